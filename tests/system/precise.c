// SPDX-License-Identifier: MIT
// Precise faults: an instruction that faults on memory leaves every register and flag as it was, whatever the
// code around it makes of them. SDM vol. 3A, section 6.5 "Exception Classifications", "Faults".
#include "paging64.h"

// Every snippet: ADD sets flags to a known value, then the instruction at label f_ faults on [r13] (or where
// its row says), then flags are overwritten, so that a translator may think them dead at the fault.
#define CASE(name, insn)                                                                  \
    SNIP(name, "add $-1, %r11\n" AT(name##_f) insn "\n add $1, %r11\n xor %r11d, %r11d"); \
    LABEL(name##_f)

CASE(e_load, "mov (%r13), %rax");
CASE(e_load8, "mov 3(%rbx), %ah");
CASE(e_store8, "mov %ch, 3(%rbx)");
CASE(e_store, "mov %r15, 8(%r13)");
CASE(e_storei, "movq $5, 8(%r13)");
CASE(e_index, "mov -8(%r13,%r14,8), %r15");
CASE(e_add, "add %rbx, (%r13)");
CASE(e_adc, "adc (%r13), %rbx");
CASE(e_cmp, "cmp %rbx, (%r13)");
CASE(e_xchg, "xchg %rbx, (%r13)");
CASE(e_cmpxchg, "lock cmpxchg %rbx, (%r13)");
CASE(e_cmpxchg16b, "lock cmpxchg16b (%r13)");
CASE(e_xadd, "xadd %rbx, (%r13)");
CASE(e_inc, "incl (%r13)");
CASE(e_neg, "negq (%r13)");
CASE(e_rol, "rolq %cl, (%r13)");
CASE(e_rcr, "rcrl $3, (%r13)");
CASE(e_shld, "shldq $4, %rbx, (%r13)");
CASE(e_mul, "mulq (%r13)");
CASE(e_div, "divq (%r13)");
CASE(e_bt, "btq $3, (%r13)");
CASE(e_setcc, "sete (%r13)");
CASE(e_cmov, "cmovne (%r13), %rbx"); // reads memory whether or not it moves
CASE(e_movzx, "movzbl (%r13), %ebx");
CASE(e_movbe, "movbe (%r13), %rbx");
CASE(e_push, "pushq (%r13)");
CASE(e_pop, "popq (%r13)");
CASE(e_call, "call *(%r13)");
CASE(e_jmp, "jmp *(%r13)");
CASE(e_movs, "movsq");
CASE(e_lods, "lodsb");
CASE(e_scas, "scasl");
CASE(e_xlat, "xlat");
CASE(e_addps, "addps (%r13), %xmm1");
CASE(e_movaps, "movaps %xmm1, (%r13)");
CASE(e_cvt, "cvtsi2sdq (%r13), %xmm1");
CASE(e_fld, "fldl (%r13)");
CASE(e_fiadd, "fiaddl (%r13)");
CASE(e_paddb, "paddb (%r13), %mm1");
CASE(e_fxsave, "fxsave (%r13)");
CASE(e_stmxcsr, "stmxcsr (%r13)");
CASE(e_leave, "leave");
CASE(e_enter, "enter $16, $1");
CASE(e_ret, "ret");
CASE(e_pushr, "push %rax");
CASE(e_popr, "pop %rax");
CASE(e_callr, "call *%rax");
CASE(e_calld, "call .");
CASE(e_pushf, "pushfq");
CASE(e_popf, "popfq");
CASE(e_lretq, "lretq");
CASE(e_iretq, "iretq");
CASE(e_rip, "mov 0x40000000(%rip), %rbx");

enum { ON_R13, ON_RSP, ON_RBP, ON_RSI, ON_RBX, ANY };
struct row {
    const char *name, *code, *at;
    unsigned where;
    bool write;
};
// clang-format off
#define ROW(n, text, where, write) { text, n, n##_f, where, write }
// clang-format on
static const struct row rows[] = {
    ROW(e_load, "MOV load", ON_R13, false),
    ROW(e_load8, "MOV AH load", ON_RBX, false),
    ROW(e_store8, "MOV CH store", ON_RBX, true),
    ROW(e_store, "MOV R15 store", ON_R13, true),
    ROW(e_storei, "MOV imm store", ON_R13, true),
    ROW(e_index, "MOV with R13 and R14", ON_R13, false),
    ROW(e_add, "ADD", ON_R13, true),
    ROW(e_adc, "ADC", ON_R13, false),
    ROW(e_cmp, "CMP", ON_R13, false),
    ROW(e_xchg, "XCHG", ON_R13, true),
    ROW(e_cmpxchg, "LOCK CMPXCHG", ON_R13, true),
    ROW(e_cmpxchg16b, "LOCK CMPXCHG16B", ON_R13, true),
    ROW(e_xadd, "XADD", ON_R13, true),
    ROW(e_inc, "INC", ON_R13, true),
    ROW(e_neg, "NEG", ON_R13, true),
    ROW(e_rol, "ROL", ON_R13, true),
    ROW(e_rcr, "RCR", ON_R13, true),
    ROW(e_shld, "SHLD", ON_R13, true),
    ROW(e_mul, "MUL", ON_R13, false),
    ROW(e_div, "DIV", ON_R13, false),
    ROW(e_bt, "BT", ON_R13, false),
    ROW(e_setcc, "SETcc", ON_R13, true),
    ROW(e_cmov, "CMOVcc", ON_R13, false),
    ROW(e_movzx, "MOVZX", ON_R13, false),
    ROW(e_movbe, "MOVBE", ON_R13, false),
    ROW(e_push, "PUSH mem", ON_R13, false),
    ROW(e_pop, "POP mem", ON_R13, true),
    ROW(e_call, "CALL mem", ON_R13, false),
    ROW(e_jmp, "JMP mem", ON_R13, false),
    ROW(e_movs, "MOVSQ", ON_RSI, false),
    ROW(e_lods, "LODSB", ON_RSI, false),
    ROW(e_scas, "SCASD", ANY, false),
    ROW(e_xlat, "XLAT", ON_RBX, false),
    ROW(e_addps, "ADDPS", ON_R13, false),
    ROW(e_movaps, "MOVAPS store", ON_R13, true),
    ROW(e_cvt, "CVTSI2SD", ON_R13, false),
    ROW(e_fld, "FLD", ON_R13, false),
    ROW(e_fiadd, "FIADD", ON_R13, false),
    ROW(e_paddb, "PADDB MMX", ON_R13, false),
    ROW(e_fxsave, "FXSAVE", ON_R13, true),
    ROW(e_stmxcsr, "STMXCSR", ON_R13, true),
    ROW(e_leave, "LEAVE", ON_RBP, false),
    ROW(e_enter, "ENTER", ON_RSP, true),
    ROW(e_ret, "RET", ON_RSP, false),
    ROW(e_pushr, "PUSH reg", ON_RSP, true),
    ROW(e_popr, "POP reg", ON_RSP, false),
    ROW(e_callr, "CALL reg", ON_RSP, true),
    ROW(e_calld, "CALL rel", ON_RSP, true),
    ROW(e_pushf, "PUSHF", ON_RSP, true),
    ROW(e_popf, "POPF", ON_RSP, false),
    ROW(e_lretq, "far RET", ON_RSP, false),
    ROW(e_iretq, "IRET", ON_RSP, false),
    ROW(e_rip, "MOV RIP-relative", ANY, false),
};

static uint64_t *page;
static const uint64_t bad_va = TEST_VA + 0x7000;

static void fill_registers(struct state *s, const struct row *r)
{
    for (unsigned i = 0; i < 16; i++)
        if (i != RSP)
            s->r[i] = 0x1111111111111111 * i + 0x0102030405060708;
    s->r[R11] = 1ull << 63; // ADD of -1: CF, OF and PF set, the rest clear
    s->r[R13] = bad_va;
    s->r[R14] = 1;
    s->r[RAX] = 0x40; // AL is XLAT's offset
    s->r[RBP] = s->r[RSI] = s->r[RDI] = s->r[RBX] = (ureg)USER(ustack) + 512;
    if (r->where == ON_RSP)
        s->r[RSP] = bad_va + 256;
    else if (r->where == ON_RBP)
        s->r[RBP] = bad_va;
    else if (r->where == ON_RSI)
        s->r[RSI] = bad_va;
    else if (r->where == ON_RBX)
        s->r[RBX] = bad_va;
    else if (r->where == ANY)
        s->r[RDI] = bad_va;
}

static void check_row(const struct row *r)
{
    struct state s = user_state(r->code), before;
    // Once with the page there, so that whatever caches the code or the page is warm.
    if (r->where == ON_R13 || r->where == ON_RBX || r->where == ON_RSI) {
        mem_set(page, 1, 4096);
        map_page(bad_va, (ureg)page, PTE_PWU, 1);
        fill_registers(&s, r);
        run(&s);
        map_page(bad_va, 0, 0, 1);
        s = user_state(r->code);
    }
    asm volatile("fninit");
    fill_registers(&s, r);
    before = s;
    before.r[R11]--;
    run(&s);
    ok(s.vec == EXC_PF && s.rip == (ureg)USER(r->at), "%s: #PF at the instruction (vector %lu rip %lx)", r->name, s.vec,
       s.rip);
    if (r->code != e_rip && r->code != e_enter)
        ok((s.cr2 & ~0xfffull) == bad_va, "... CR2 %lx", s.cr2);
    ok((s.err & 2) == (r->write ? 2 : 0), "W in the error code of %s: %lx", r->name, s.err);
    unsigned changed = 0;
    for (unsigned i = 0; i < 16; i++)
        if (s.r[i] != before.r[i]) {
            note("register %u is %lx, was %lx", i, s.r[i], before.r[i]);
            changed++;
        }
    ok(!changed, "... registers as before");
    ok((s.rflags & FL_ARITH) == (FL_CF | FL_OF | FL_PF), "flags as before %s: %lx", r->name, s.rflags & FL_ARITH);
}

// The same fault again and again in a hot loop, resolved by the handler each time: nothing is lost.
static volatile unsigned faults;

static void on_fault(struct frame *f)
{
    faults++;
    map_page(read_cr2() & ~0xfffull, (ureg)page, PTE_PWU, 1);
}

SNIP(e_loop, "xor %eax, %eax; xor %edx, %edx\n"
             "1: add $3, %rax; adc $0, %edx; mov %rax, (%r13); add (%r13), %rdx; inc %ebx; cmp %ecx, %ebx; jb 1b");

static void test_resume(void)
{
    irq_hook[EXC_PF] = on_fault;
    unsigned bad = 0;
    for (unsigned i = 0; i < 50; i++) {
        map_page(bad_va, 0, 0, 1);
        struct state s = i & 1 ? user_state(e_loop) : kernel_state(e_loop);
        faults = 0;
        s.r[R13] = bad_va + i * 8;
        s.r[RCX] = 100;
        s.r[RBX] = 0;
        run(&s);
        bad += s.vec != EXC_DONE || faults != 1 || s.r[RAX] != 300 || s.r[RDX] != 3 * 100 * 101 / 2 || page[i] != 300;
    }
    irq_hook[EXC_PF] = NULL;
    check_eq("a fault inside a loop that the handler resolves, 50 times", bad, 0);
    map_page(bad_va, 0, 0, 1);
}

static volatile unsigned ticks;
static unsigned want_ticks;

static void on_tick(struct frame *f)
{
    ticks++;
    lapic_eoi();
    if (ticks < want_ticks)
        lapic_timer_oneshot(VEC_TIMER, 3000 + 977 * ticks);
}

// ADC chains and a checksum: an interrupt at any place must keep flags and registers.
SNIP(
    e_long,
    "mov $300000, %ecx; xor %eax, %eax; xor %edx, %edx; mov $1, %r14d; mov $7, %r15d\n"
    "1: add %r15, %rax; adc %r14, %rdx; rol $7, %rax; xor %rcx, %rax; push %rax; pushfq; popfq; pop %rbx; adc %rbx, %r14\n"
    "imul %r14, %r15; inc %r15; sbb $0, %rdx; dec %ecx; jnz 1b");

static void test_interrupted(void)
{
    struct state calm = user_state(e_long), s;
    run(&calm);
    lapic_enable();
    irq_hook[VEC_TIMER] = on_tick;
    unsigned bad = 0, total = 0;
    for (unsigned i = 0; i < 4; i++) {
        s = i & 1 ? kernel_state(e_long) : user_state(e_long);
        s.rflags |= FL_IF;
        ticks = 0;
        want_ticks = 200;
        lapic_timer_oneshot(VEC_TIMER, 2000);
        run(&s);
        lapic_timer_stop();
        asm volatile("sti; nop; nop; cli");
        total += ticks;
        bad += s.r[RAX] != calm.r[RAX] || s.r[RDX] != calm.r[RDX] || s.r[R14] != calm.r[R14] || s.r[R15] != calm.r[R15];
    }
    irq_hook[VEC_TIMER] = NULL;
    ok(!bad && total > 0, "a computation interrupted %u times has the same result, %u of 4 wrong", total, bad);
}

void test_main(void)
{
    page = page_alloc();
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        check_row(&rows[i]);
    test_resume();
    test_interrupted();
}
