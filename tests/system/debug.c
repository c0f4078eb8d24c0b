// SPDX-License-Identifier: MIT
// Single-stepping and debug registers: where each #DB is delivered and what DR6 says.
// SDM vol. 3B, chapter 17 "Debug, Branch Profile, TSC ...": 17.2 "Debug Registers", 17.3 "Debug Exceptions".
#include "test.h"

enum { B0 = 1, B1 = 2, BD = 0x2000, BS = 0x4000, DR6_BITS = 0xe00f, TRACE = 64 };

static struct {
    ureg rip, dr6, rflags, rcx;
} trace[TRACE];
static unsigned traced;

static void on_db(struct frame *f)
{
    if (traced < TRACE) {
        trace[traced].rip = f->rip;
        trace[traced].dr6 = read_dr6();
        trace[traced].rflags = f->rflags;
        trace[traced].rcx = f->gpr[RCX];
        traced++;
    }
    write_dr6(0xffff0ff0);
    if (traced == TRACE) { // a runaway: let the snippet end
        f->rflags &= ~(ureg)FL_TF;
        write_dr7(0x400);
    }
}

static struct state step(const char *code, bool user, ureg flags)
{
    struct state s = user ? user_state(code) : kernel_state(code);
    traced = 0;
    write_dr6(0xffff0ff0);
    s.rflags |= flags;
    run(&s);
    return s;
}

// Compares the trace with addresses (of the identity mapping), up to NULL.
static void check_trace(const char *name, const struct state *s, const char *const *want)
{
    unsigned n = 0;
    bool good = s->vec == EXC_DONE;
    for (; want[n]; n++) {
        ureg w = (ureg)want[n] + ((s->cs & 3) ? 0x40000000 : 0);
        if (n >= traced || trace[n].rip != w || (trace[n].dr6 & DR6_BITS) != BS) {
            if (good)
                note("%s: step %u of %u is at %lx dr6 %lx, want %lx", name, n, traced, n < traced ? trace[n].rip : 0,
                     n < traced ? trace[n].dr6 : 0, w);
            good = false;
        }
    }
    if (good && traced != n)
        note("%s: %u steps, want %u; the last at %lx", name, traced, n, trace[traced - 1].rip);
    ok(good && traced == n, "%s, CPL %lu", name, s->cs & 3);
}

SNIP(g_plain, "nop\n" AT(g_p1) "inc %eax\n" AT(g_p2) "jmp 1f\n ud2\n 1: " AT(g_p3) "mov %rsp, %rax\n" AT(
                  g_p4) "push %rax\n" AT(g_p5) "pop %rax");
SNIP(g_popf, "pushfq\n orq $0x100, (%rsp)\n popfq\n nop\n" AT(g_popf_1) "nop\n" AT(g_popf_2) "pushfq\n" AT(
                 g_popf_3) "andq $~0x100, (%rsp)\n" AT(g_popf_4) "popfq\n" AT(g_popf_5) "nop\n nop");
SNIP(g_movss, "nop\n" AT(g_ss1) "mov %ss, %eax\n" AT(g_ss2) "mov %eax, %ss\n"
                                                            "nop\n" AT(g_ss3) "nop");
SNIP(g_rep, "mov $3, %ecx\n" AT(g_r1) "lea -256(%rsp), %rdi\n" AT(g_r2) "rep stosb\n" AT(g_r3) "nop");
SNIP(g_call, "call 1f\n" AT(g_c3) "jmp 2f\n 1: " AT(g_c1) "nop\n" AT(g_c2) "ret\n 2:" AT(g_c4) "nop");
SNIP(g_cond, "xor %eax, %eax\n" AT(g_j1) "jnz 1f\n" AT(g_j2) "mov $2, %ecx\n 1: " AT(g_j3) "loop 1b\n" AT(
                 g_j4) "jz 3f\n ud2\n 3:" AT(g_j5) "nop");
LABEL(g_p1);
LABEL(g_p2);
LABEL(g_p3);
LABEL(g_p4);
LABEL(g_p5);
LABEL(g_popf_1);
LABEL(g_popf_2);
LABEL(g_popf_3);
LABEL(g_popf_4);
LABEL(g_popf_5);
LABEL(g_ss1);
LABEL(g_ss2);
LABEL(g_ss3);
LABEL(g_r1);
LABEL(g_r2);
LABEL(g_r3);
LABEL(g_c1);
LABEL(g_c2);
LABEL(g_c3);
LABEL(g_c4);
LABEL(g_j1);
LABEL(g_j2);
LABEL(g_j3);
LABEL(g_j4);
LABEL(g_j5);

// 17.3.1.4 "Single-Step Exception Condition".
static void test_steps(void)
{
    static const char *const plain[] = {g_p1, g_p2, g_p3, g_p4, g_p5, g_plain_end, NULL};
    static const char *const popf[] = {g_popf_1, g_popf_2, g_popf_3, g_popf_4, g_popf_5, NULL};
    static const char *const movss[] = {g_ss1, g_ss2, g_ss3, g_movss_end, NULL};
    static const char *const rep[] = {g_r1, g_r2, g_r2, g_r2, g_r3, g_rep_end, NULL};
    static const char *const call[] = {g_c1, g_c2, g_c3, g_c4, g_call_end, NULL};
    static const char *const cond[] = {g_j1, g_j2, g_j3, g_j3, g_j4, g_j5, g_cond_end, NULL};
    for (unsigned user = 0; user < 2; user++) {
        struct state s = step(g_plain, user, FL_TF);
        check_trace("TF: a trap after each instruction", &s, plain);
        s = step(g_popf, user, 0);
        check_trace("TF set by POPF traps after the next instruction; the POPF that clears it still traps", &s, popf);
        s = step(g_movss, user, FL_TF);
        check_trace("TF: no trap between MOV SS and the next instruction", &s, movss);
        s = step(g_rep, user, FL_TF);
        check_trace("TF: REP STOSB traps after each iteration", &s, rep);
        ok(trace[2].rcx == 2 && trace[3].rcx == 1 && trace[4].rcx == 0, "... RCX counts down: %lx %lx %lx",
           trace[2].rcx, trace[3].rcx, trace[4].rcx);
        s = step(g_call, user, FL_TF);
        check_trace("TF: CALL and RET", &s, call);
        s = step(g_cond, user, FL_TF);
        check_trace("TF: conditional jumps and LOOP", &s, cond);
    }
}

SNIP(g_int, "int $0x42\n" AT(g_int1) "nop\n" AT(g_int2) "nop");
SNIP(g_ud, "nop\n" AT(g_ud1) "ud2");
SNIP(g_iret, "iretq");
LABEL(g_int1);
LABEL(g_int2);
LABEL(g_ud1);

static void test_step_events(void)
{
    static const char *const after_int[] = {g_int2, g_int_end, NULL};
    idt_set(0x42, g_iret, KCODE, 0xee, 0);
    struct state s = step(g_int, true, FL_TF);
    check_trace("TF: INT n clears it for the handler; its IRET resumes stepping", &s, after_int);
    s = step(g_ud, true, FL_TF);
    ok(s.vec == EXC_UD && traced == 1 && trace[0].rip == (ureg)USER(g_ud1),
       "TF: an instruction that faults has no trap");
    ok(s.rflags & FL_TF, "... and its frame keeps TF");
}

static uint64_t data[8] __attribute__((aligned(64)));

SNIP(g_store1, "movb $1, (%rsi)\n" AT(g_store1_at) "nop\n nop");
SNIP(g_store8, "movq $1, (%rsi)\n" AT(g_store8_at) "nop\n nop");
SNIP(g_load4, "mov (%rsi), %eax\n" AT(g_load4_at) "nop\n nop");
SNIP(g_add4, "addl $1, (%rsi)\n" AT(g_add4_at) "nop");
SNIP(g_exec, "nop\n" AT(g_exec_at) "nop\n nop\n jmp 1f\n 1: nop");
SNIP(g_rep_write, "mov $8, %ecx\n mov %rsi, %rdi\n" AT(g_rep_write_at) "rep stosb\n nop");
SNIP(g_ss_mem, "mov (%rsi), %ss\n nop\n" AT(g_ss_mem_at) "nop");
LABEL(g_store1_at);
LABEL(g_store8_at);
LABEL(g_load4_at);
LABEL(g_add4_at);
LABEL(g_exec_at);
LABEL(g_rep_write_at);
LABEL(g_ss_mem_at);

enum { RW_EXEC, RW_WRITE, RW_IO, RW_ACCESS, LEN1 = 0, LEN2, LEN8, LEN4 };

static void arm(unsigned n, const void *addr, unsigned rw, unsigned len)
{
    ureg dr7 = (read_dr7() & ~(0xful << (16 + 4 * n))) | 0x400 | 2u << (2 * n) | (rw | len << 2) << (16 + 4 * n);
    if (n == 0)
        write_dr0((ureg)addr);
    else
        write_dr3((ureg)addr);
    write_dr7(dr7);
}

static struct state watch(const char *code, bool user, const void *at)
{
    struct state s = user ? user_state(code) : kernel_state(code);
    s.r[RSI] = (ureg)(user ? USER(at) : at);
    traced = 0;
    write_dr6(0xffff0ff0);
    run(&s);
    write_dr7(0x400);
    return s;
}

static void check_hit(const char *name, const char *want, ureg bits)
{
    bool good = want ? traced == 1 && trace[0].rip == (ureg)want && (trace[0].dr6 & DR6_BITS) == bits : traced == 0;
    ok(good, "%s: %u traps, rip %lx dr6 %lx, want %lx dr6 %lx", name, traced, traced ? trace[0].rip : 0,
       traced ? trace[0].dr6 & DR6_BITS : 0, (ureg)want, bits);
}

// 17.2.5 "Breakpoint Field Recognition", 17.3.1.2 "Data Memory and I/O Breakpoint Exception Conditions".
static void test_data(void)
{
    uint8_t *d = (uint8_t *)data;
    arm(0, d, RW_WRITE, LEN1);
    watch(g_store1, false, d);
    check_hit("write breakpoint, 1 byte", g_store1_at, B0);
    arm(0, d + 1, RW_WRITE, LEN1);
    watch(g_store1, false, d);
    check_hit("... not hit by its neighbour", NULL, 0);
    arm(0, d + 4, RW_WRITE, LEN1);
    watch(g_store8, false, d);
    check_hit("... hit by a store that covers it", g_store8_at, B0);
    arm(0, d, RW_WRITE, LEN4);
    watch(g_load4, false, d);
    check_hit("write breakpoint is not hit by a load", NULL, 0);
    arm(0, d, RW_ACCESS, LEN4);
    watch(g_load4, false, d + 3);
    check_hit("access breakpoint is hit by an overlapping load", g_load4_at, B0);
    arm(3, d + 8, RW_WRITE, LEN8);
    watch(g_store1, false, d + 15);
    check_hit("8-byte breakpoint in DR3, its last byte", g_store1_at, 8);
    arm(3, d + 8, RW_WRITE, LEN8);
    watch(g_store1, false, d + 16);
    check_hit("... the byte after it", NULL, 0);
    arm(0, d, RW_WRITE, LEN4);
    watch(g_add4, false, d);
    check_hit("write breakpoint on a read-modify-write", g_add4_at, B0);
    arm(0, USER(d), RW_WRITE, LEN4);
    watch(g_store1, true, d);
    check_hit("write breakpoint at CPL 3", USER(g_store1_at), B0);
    arm(0, d, RW_WRITE, LEN4);
    watch(g_store1, true, d);
    check_hit("breakpoints are linear addresses: not hit through an alias", NULL, 0);
    arm(0, d, RW_WRITE, LEN1);
    arm(3, d, RW_ACCESS, LEN4);
    watch(g_store1, false, d);
    check_hit("two breakpoints hit by one store", g_store1_at, B0 | 8);
    arm(0, d + 5, RW_WRITE, LEN1);
    watch(g_rep_write, false, d);
    ok(traced == 1 && trace[0].rip == (ureg)g_rep_write_at && trace[0].rcx == 2,
       "write breakpoint in REP STOSB: after the iteration: rcx %lx", traced ? trace[0].rcx : 99);
    data[0] = KDATA;
    arm(0, d, RW_ACCESS, LEN2);
    watch(g_ss_mem, false, d);
    check_hit("access breakpoint on MOV SS's operand is held until after the next instruction", g_ss_mem_at, B0);
    write_dr7(0x400);
    write_dr0((ureg)d);
    watch(g_store1, false, d);
    check_hit("not enabled: no trap", NULL, 0);
}

// 17.3.1.1 "Instruction-Breakpoint Exception Condition": a fault; RF in the frame lets IRET go on.
static void test_exec(void)
{
    arm(0, g_exec_at, RW_EXEC, LEN1);
    struct state s = watch(g_exec, false, data);
    check_hit("instruction breakpoint: before the instruction, once", g_exec_at, B0);
    ok(s.vec == EXC_DONE && traced && (trace[0].rflags & FL_RF), "RF set in the frame of an instruction breakpoint");
    arm(0, USER(g_exec_at), RW_EXEC, LEN1);
    watch(g_exec, true, data);
    check_hit("instruction breakpoint at CPL 3", USER(g_exec_at), B0);
    arm(0, g_exec_at + 3, RW_EXEC, LEN1);
    watch(g_exec, false, data);
    check_hit("instruction breakpoint inside an instruction is not hit", NULL, 0);
    arm(0, g_exec_at, RW_EXEC, LEN1);
    traced = 0;
    s = kernel_state(g_exec_at);
    s.rflags |= FL_RF;
    run(&s);
    write_dr7(0x400);
    check_hit("RF in IRET's image suppresses the breakpoint at its target", NULL, 0);
    ok(!(s.rflags & FL_RF), "... and is gone after that instruction");
}

SNIP(g_gd, "mov %rax, %dr0\n nop");
SNIP(g_dr4, "mov %dr4, %rax");
SNIP(g_dr6, "mov %dr6, %rax");
SNIP(g_io, "out %al, $0x80\n" AT(g_io_at) "nop");
LABEL(g_io_at);

static ureg dr7_in_handler;

static void on_gd(struct frame *f)
{
    dr7_in_handler = read_dr7();
    on_db(f);
}

static void test_registers(void)
{
    write_dr6(0xffff0ff0);
    irq_hook[EXC_DB] = on_gd;
    write_dr7(0x400 | 0x2000);
    traced = 0;
    struct state s = kernel_state(g_gd);
    s.r[RAX] = 0x1234;
    run(&s);
    check_hit("DR7.GD: MOV DR is a fault with BD", g_gd, BD);
    check_eq("... GD is cleared for the handler", dr7_in_handler & 0x2000, 0);
    check_eq("... and the MOV then runs", read_dr0(), 0x1234);
    irq_hook[EXC_DB] = on_db;
    s = kernel_state(g_dr4);
    run(&s);
    ok(s.vec == EXC_DONE && s.r[RAX] == read_dr6(), "DR4 is DR6 without CR4.DE: %lx", s.r[RAX]);
    write_cr4(read_cr4() | CR4_DE);
    s = kernel_state(g_dr4);
    run(&s);
    check_exc("DR4 is #UD with CR4.DE", &s, EXC_UD, NO_ERROR, g_dr4);
    arm(0, (void *)0x80, RW_IO, LEN1);
    watch(g_io, false, data);
    check_hit("I/O breakpoint", g_io_at, B0);
    write_cr4(read_cr4() & ~(ureg)CR4_DE);
    write_dr6(0);
    check_eq("DR6's fixed bits read as 1", read_dr6() & 0xffff0ff0, 0xffff0ff0);
    write_dr7(0);
    check_eq("DR7's bit 10 reads as 1", read_dr7(), 0x400);
    s = user_state(g_dr6);
    run(&s);
    check_exc("MOV from DR6 at CPL 3 is #GP(0)", &s, EXC_GP, 0, g_dr6);
}

void test_main(void)
{
    irq_hook[EXC_DB] = on_db;
    test_steps();
    test_step_events();
    test_data();
    test_exec();
    test_registers();
}
