// SPDX-License-Identifier: MIT
// Far JMP, CALL and RET, call gates, LAR/LSL/VERR/VERW, and near transfers' operand sizes, in IA-32e mode.
// SDM vol. 3A, section 5.8 "Privilege Level Checking When Transferring Program Control Between Code
// Segments".
#include "test.h"

// clang-format off
enum { GATE = FREE_SEL, BAD_GATE = FREE_SEL + 16, CONFORMING = FREE_SEL + 32, EXEC_ONLY = FREE_SEL + 40,
       NOT_PRESENT = FREE_SEL + 48, DATA_RO = FREE_SEL + 56, SMALL = FREE_SEL + 64, LDT_SEL = FREE_SEL + 72,
       CODE16 = FREE_SEL + 88, CONF0 = FREE_SEL + 96 };
// clang-format on

SNIP(t_ljmp, AT(t_ljmp_at) "ljmpl *(%rax)");
SNIP(t_ljmp64, "rex.w ljmp *(%rax)");
SNIP(t_lcall, "lcall *(%rax)\n" AT(t_lcall_after) "nop");
SNIP(t_lcall64, "rex.w lcall *(%rax)\n" AT(t_lcall64_after) "nop");
SNIP(t_lret, "lretl");
SNIP(t_lret64, "lretq");
SNIP(t_lretn, "lretq $16");
SNIP(t_regs, "mov %cs, %ebx; mov %ss, %ecx; mov %rsp, %rdx");
SNIP32(t_regs32, "mov %cs, %ebx; mov %ss, %ecx; mov %esp, %edx");
LABEL(t_lcall_after);
LABEL(t_lcall64_after);

struct __attribute__((packed)) far32 {
    uint32_t off;
    uint16_t sel;
};
struct __attribute__((packed)) far64 {
    uint64_t off;
    uint16_t sel;
};

static void set_gate(unsigned sel, const void *target, unsigned cs, unsigned type)
{
    ureg a = (ureg)target;
    gdt_set(sel, (a & 0xffff) | (uint64_t)cs << 16 | (uint64_t)type << 40 | (uint64_t)(a >> 16 & 0xffff) << 48);
    gdt_set(sel + 8, a >> 32);
}

static void set_tables(void)
{
    set_gate(GATE, t_regs, KCODE, 0xec);
    set_gate(BAD_GATE, t_regs, KCODE32, 0xec);
    gdt_set(CONFORMING, make_desc(0, 0xfffff, 0xff, 0xa));
    gdt_set(CONF0, make_desc(0, 0xfffff, 0x9f, 0xa));
    gdt_set(EXEC_ONLY, make_desc(0, 0xfffff, 0xf9, 0xa));
    gdt_set(NOT_PRESENT, make_desc(0, 0xfffff, 0x7b, 0xa));
    gdt_set(DATA_RO, make_desc(0, 0xfffff, 0xf1, 0xc));
    gdt_set(SMALL, make_desc(0x1000, 0x123, 0xf3, 0x4));
    gdt_set(LDT_SEL, make_desc(0, 0xfff, 0x82, 0));
    gdt_set(LDT_SEL + 8, 0);
    gdt_set(CODE16, make_desc(0, 0xfffff, 0x9b, 0x8));
}

static struct state far_state(bool user, const char *at, const void *ptr)
{
    struct state s = user ? user_state(at) : kernel_state(at);
    s.r[RAX] = (ureg)(user ? USER(ptr) : ptr);
    return s;
}

static void test_far_jmp(void)
{
    static struct far32 f;
    static struct far64 g;
    f = (struct far32){(uint32_t)(ureg)t_regs32, KCODE32};
    struct state s = far_state(false, t_ljmp, &f);
    run(&s);
    check_eq("far JMP to a 32-bit segment at CPL 0", s.vec == EXC_DONE ? s.r[RBX] : 0, KCODE32);
    check_eq("... saved CS", s.cs, KCODE32);
    g = (struct far64){(ureg)t_regs, KCODE};
    s = far_state(false, t_ljmp64, &g);
    run(&s);
    if (is_intel()) { // the 64-bit offset form is Intel's: AMD64 vol. 3, "JMP (Far)" has none
        check_eq("far JMP m16:64", s.vec == EXC_DONE ? s.r[RBX] : 0, KCODE);
    } else {
        skip("far JMP m16:64", "not on AMD");
    }
    f = (struct far32){(uint32_t)(ureg)USER(t_regs), KCODE};
    s = far_state(true, t_ljmp, &f);
    run(&s);
    check_exc("far JMP from CPL 3 to DPL 0 code is #GP(sel)", &s, EXC_GP, KCODE, t_ljmp);
    f.sel = 0;
    s = far_state(true, t_ljmp, &f);
    run(&s);
    check_exc("far JMP to a null selector is #GP(0)", &s, EXC_GP, 0, t_ljmp);
    f.sel = NOT_PRESENT | 3;
    s = far_state(true, t_ljmp, &f);
    run(&s);
    check_exc("far JMP to a segment not present is #NP(sel)", &s, EXC_NP, NOT_PRESENT, t_ljmp);
    f.sel = UDATA;
    s = far_state(true, t_ljmp, &f);
    run(&s);
    check_exc("far JMP to data is #GP(sel)", &s, EXC_GP, UDATA & ~3, t_ljmp);
    f.sel = TSS_SEL;
    s = far_state(false, t_ljmp, &f);
    run(&s);
    check_exc("far JMP to a TSS in IA-32e mode is #GP(sel)", &s, EXC_GP, TSS_SEL, t_ljmp);
    f.sel = CONF0;
    s = far_state(true, t_ljmp, &f);
    run(&s);
    check_eq("far JMP to DPL 0 conforming code stays at CPL 3", s.vec == EXC_DONE ? s.r[RBX] : 0, CONF0 | 3);
    f.sel = EXEC_ONLY;
    s = far_state(true, t_ljmp, &f);
    run(&s);
    check_eq("far JMP sets the RPL to the CPL", s.vec == EXC_DONE ? s.r[RBX] : 0, EXEC_ONLY | 3);
    check_eq("... and sets the descriptor's accessed bit", gdt[EXEC_ONLY / 8] >> 40 & 1, 1);
}

// 5.8.3.1 "IA-32e Mode Call Gates", 5.8.5.1 "Stack Switching in 64-bit Mode".
static void test_call_gate(void)
{
    static struct far32 f;
    f = (struct far32){0xdeadbeef, GATE | 3};
    struct state s = far_state(true, t_lcall, &f);
    run(&s);
    check_done("call gate from CPL 3 to CPL 0", &s);
    check_eq("... CS", s.r[RBX], KCODE);
    check_eq("... SS is null with RPL 0", s.r[RCX], 0);
    const ureg *frame = (const ureg *)((ureg)irq_stack + sizeof irq_stack - 32);
    check_eq("... RSP: four quadwords on RSP0", s.r[RDX], (ureg)frame);
    check_eq("... pushed RIP", frame[0], (ureg)USER(t_lcall_after));
    check_eq("... pushed CS", frame[1], UCODE);
    check_eq("... pushed RSP", frame[2], ustack_top());
    check_eq("... pushed SS", frame[3], UDATA);
    s = far_state(true, t_ljmp, &f);
    run(&s);
    check_exc("JMP through a gate to more privileged code is #GP(code sel)", &s, EXC_GP, KCODE, t_ljmp);
    f.sel = BAD_GATE;
    s = far_state(true, t_lcall, &f);
    run(&s);
    check_exc("call gate to 32-bit code is #GP(code sel)", &s, EXC_GP, KCODE32, t_lcall);
    set_gate(GATE, t_regs, KCODE, 0x8c);
    f.sel = GATE | 3;
    s = far_state(true, t_lcall, &f);
    run(&s);
    check_exc("call gate with DPL 0 from CPL 3 is #GP(gate sel)", &s, EXC_GP, GATE, t_lcall);
    set_gate(GATE, t_regs, KCODE, 0x6c);
    s = far_state(true, t_lcall, &f);
    run(&s);
    check_exc("call gate not present is #NP(gate sel)", &s, EXC_NP, GATE, t_lcall);
    set_gate(GATE, t_regs, KCODE, 0xec);
    gdt[GATE / 8 + 1] = 0x0c0000000000;
    s = far_state(true, t_lcall, &f);
    run(&s);
    check_exc("call gate with a type in its upper half is #GP(gate sel)", &s, EXC_GP, GATE, t_lcall);
    set_gate(GATE, t_regs, KCODE, 0xec);
    f.sel = GATE;
    s = far_state(false, t_lcall, &f);
    run(&s);
    check_eq("call gate at CPL 0 keeps the stack: 16 bytes pushed", s.r[RDX], kstack_top() - 16);
    check_eq("... SS is kept", s.r[RCX], KDATA);
}

static void test_far_call_ret(void)
{
    static struct far32 f;
    f = (struct far32){(uint32_t)(ureg)t_regs32, KCODE32};
    struct state s = far_state(false, t_lcall, &f);
    run(&s);
    check_eq("far CALL m16:32 pushes two dwords", s.r[RDX], kstack_top() - 8);
    check_eq("... return offset", ((uint32_t *)s.r[RDX])[0], (uint32_t)(ureg)t_lcall_after);
    check_eq("... return selector", ((uint32_t *)s.r[RDX])[1], KCODE);
    s = kernel_state(t_lret64);
    s.r[RSP] -= 32;
    ureg *q = (ureg *)s.r[RSP];
    q[0] = (ureg)USER(t_regs);
    q[1] = UCODE;
    q[2] = ustack_top();
    q[3] = UDATA;
    run(&s);
    check_eq("far RET to CPL 3: CS", s.vec == EXC_DONE ? s.r[RBX] : 0, UCODE);
    check_eq("... SS", s.r[RCX], UDATA);
    check_eq("... RSP", s.r[RDX], ustack_top());
    s = kernel_state(t_lretn);
    s.r[RSP] -= 48;
    q = (ureg *)s.r[RSP];
    q[0] = (ureg)USER(t_regs);
    q[1] = UCODE;
    q[4] = ustack_top() - 64; // RSP and SS are read past the parameters
    q[5] = UDATA;
    run(&s);
    check_eq("far RET n to CPL 3 releases both stacks", s.vec == EXC_DONE ? s.r[RDX] : 0, ustack_top() - 64 + 16);
    s = user_state(t_lret64);
    s.r[RSP] -= 16;
    q = (ureg *)(s.r[RSP] - 0x40000000);
    q[0] = (ureg)t_regs;
    q[1] = KCODE;
    run(&s);
    check_exc("far RET to an inner level is #GP(sel)", &s, EXC_GP, KCODE, t_lret64);
    check_eq("... RSP unchanged", s.r[RSP], ustack_top() - 16);
    s = kernel_state(t_lret);
    s.r[RSP] -= 8;
    uint32_t *d = (uint32_t *)s.r[RSP];
    d[0] = (uint32_t)(ureg)t_regs32;
    d[1] = KCODE32;
    run(&s);
    check_eq("far RET (32-bit) to compatibility mode", s.vec == EXC_DONE ? s.r[RBX] : 0, KCODE32);
    check_eq("... ESP", s.r[RDX], kstack_top());
    s = kernel_state(t_lret64);
    s.r[RSP] -= 16;
    q = (ureg *)s.r[RSP];
    q[0] = 0x0000800000000000;
    q[1] = KCODE;
    run(&s);
    check_exc("far RET to a non-canonical RIP is #GP(0)", &s, EXC_GP, 0, t_lret64);
}

// LAR leaves bits 19:16 undefined.
SNIP(t_lar, "mov $0x55, %ebx; lar %eax, %ebx; pushfq; pop %rcx; and $~0xf0000, %ebx");
SNIP(t_lsl, "mov $0x55, %ebx; lsl %eax, %ebx; pushfq; pop %rcx");
SNIP(t_verr, "verr %ax; pushfq; pop %rcx");
SNIP(t_verw, "verw %ax; pushfq; pop %rcx");

static void check_desc(const char *name, const char *at, bool user, ureg sel, bool zf, ureg value)
{
    struct state s = user ? user_state(at) : kernel_state(at);
    s.rflags |= FL_CF | (zf ? 0 : FL_ZF);
    s.r[RAX] = sel;
    s.r[RBX] = 0x55;
    run(&s);
    bool good = s.vec == EXC_DONE && (s.r[RCX] & FL_ZF) == (zf ? FL_ZF : 0) && (s.r[RCX] & FL_CF) && s.r[RBX] == value;
    ok(good, "%s: vector %lu ZF %lu value %lx, want ZF %u value %lx", name, s.vec, s.r[RCX] >> 6 & 1, s.r[RBX], zf,
       value);
}

// vol. 2A, "LAR", "LSL", "VERR/VERW": ZF only, no fault.
static void test_verify(void)
{
    check_desc("LAR of user code", t_lar, true, UCODE, true, 0xa0fb00);
    check_desc("LAR of DPL 0 code at CPL 3", t_lar, true, KCODE, false, 0x55);
    check_desc("LAR of DPL 0 data with RPL 3 at CPL 0", t_lar, false, KDATA | 3, false, 0x55);
    check_desc("LAR of conforming DPL 0 code at CPL 3", t_lar, true, CONF0, true, 0xa09f00);
    check_desc("LAR of a null selector", t_lar, false, 0, false, 0x55);
    check_desc("LAR beyond the GDT", t_lar, false, 64 * 8, false, 0x55);
    check_desc("LAR of a segment not present", t_lar, false, NOT_PRESENT, true, 0xa07b00);
    check_desc("LAR of a 64-bit TSS", t_lar, false, TSS_SEL, true, 0x008b00);
    check_desc("LAR of an LDT", t_lar, false, LDT_SEL, true, 0x008200);
    check_desc("LAR of a call gate", t_lar, false, GATE, true, (gdt[GATE / 8] >> 32) & 0xf0ff00);
    check_desc("LSL with page granularity", t_lsl, true, UDATA, true, 0xffffffff);
    check_desc("LSL with byte granularity", t_lsl, true, SMALL | 3, true, 0x123);
    check_desc("LSL of a TSS", t_lsl, false, TSS_SEL, true, sizeof tss - 1);
    check_desc("LSL of a call gate", t_lsl, false, GATE, false, 0x55);
    check_desc("LSL of DPL 0 data at CPL 3", t_lsl, true, KDATA, false, 0x55);
    check_desc("VERR of user data", t_verr, true, UDATA, true, 0x55);
    check_desc("VERR of kernel data at CPL 3", t_verr, true, KDATA, false, 0x55);
    check_desc("VERR of execute-only code", t_verr, true, EXEC_ONLY, false, 0x55);
    check_desc("VERR of conforming DPL 0 code at CPL 3", t_verr, true, CONF0, true, 0x55);
    check_desc("VERR of a TSS", t_verr, false, TSS_SEL, false, 0x55);
    check_desc("VERW of user data", t_verw, true, UDATA, true, 0x55);
    check_desc("VERW of read-only data", t_verw, true, DATA_RO | 3, false, 0x55);
    check_desc("VERW of code", t_verw, true, UCODE, false, 0x55);
    check_desc("VERW of a null selector", t_verw, true, 0, false, 0x55);
}

SNIP(t_near16, "xor %eax, %eax; mov $3, %ecx\n 1: inc %eax; loop 1b; jrcxz 2f; mov $99, %eax\n 2: nop");
SNIP(t_callret, "call 1f; jmp 2f; 1: push %rsp; pop %rbx; ret $0\n 2: mov %rsp, %rcx");
SNIP(t_enter, "enter $32, $0; mov %rsp, %rax; mov %rbp, %rbx; leave; mov %rsp, %rcx");
SNIP(t_enter3, "lea 0(%rsp), %rbp; enter $16, $3; mov %rsp, %rax; leave");
SNIP(t_pushf16, "pushw $0x1234; mov %rsp, %rax; popw %bx");
SNIP(t_poprsp, "mov %rsp, %rcx; push %rcx; pop %rsp; mov %rsp, %rax; pushq $0x77; popq (%rsp); mov -8(%rsp), %rbx");
SNIP(t_pushrsp, "mov %rsp, %rcx; push %rsp; pop %rax");

static void test_near(void)
{
    struct state s = user_state(t_near16);
    run(&s);
    check_eq("LOOP and JRCXZ", s.r[RAX], 3);
    s = user_state(t_callret);
    run(&s);
    check_eq("CALL pushes 8 bytes", s.r[RBX], ustack_top() - 8);
    check_eq("RET restores RSP", s.r[RCX], ustack_top());
    s = user_state(t_enter);
    run(&s);
    ok(s.r[RAX] == ustack_top() - 40 && s.r[RBX] == ustack_top() - 8 && s.r[RCX] == ustack_top(),
       "ENTER 32, 0 and LEAVE");
    s = user_state(t_enter3);
    run(&s);
    check_eq("ENTER 16, 3 pushes three frame pointers", s.r[RAX], ustack_top() - 8 - 24 - 16);
    s = user_state(t_pushf16);
    run(&s);
    ok(s.r[RAX] == ustack_top() - 2 && (s.r[RBX] & 0xffff) == 0x1234, "16-bit PUSH and POP");
    s = user_state(t_poprsp);
    run(&s);
    check_eq("POP RSP loads the popped value", s.r[RAX], s.r[RCX]);
    s = user_state(t_pushrsp);
    run(&s);
    check_eq("PUSH RSP pushes the old value", s.r[RAX], s.r[RCX]);
}

void test_main(void)
{
    set_tables();
    test_far_jmp();
    set_tables();
    test_call_gate();
    test_far_call_ret();
    test_verify();
    test_near();
}
