// SPDX-License-Identifier: MIT
// Interrupt and exception delivery, and IRET, in IA-32e mode.
// SDM vol. 3A, section 6.14 "Exception and Interrupt Handling in 64-bit Mode"; vol. 2A, "IRET/IRETD/IRETQ".
#include "paging64.h"

SNIP(d_int40, "int $0x42\n" AT(d_int40_after) "nop");
SNIP(d_ud, "ud2");
SNIP32(d_compat_int, "int $0x42\n" AT(d_compat_int_after) "nop");
SNIP32(d_compat_ud, "ud2");
LABEL(d_int40_after);
LABEL(d_compat_int_after);
enum { VEC = 0x42 };

// "6.14.2 64-Bit Mode Stack Frame": RSP is aligned to 16 before the frame is pushed, SS:RSP always pushed.
static void test_frame(void)
{
    idt_default(VEC, 0x8e);
    struct state s = kernel_state(d_int40);
    s.r[RSP] -= 5;
    s.rflags |= FL_CF | FL_DF | FL_AC;
    run(&s);
    check_exc("INT n at CPL 0", &s, VEC, NO_ERROR, d_int40_after);
    check_eq("same level: saved RSP is the interrupted one", s.r[RSP], kstack_top() - 5);
    check_eq("same level: the frame begins at RSP aligned to 16", s.frame, ((kstack_top() - 5) & ~15ul) - 40);
    check_eq("saved RFLAGS", s.rflags, FL_CF | FL_DF | FL_AC | FL_ONE);
    check_eq("saved SS", s.ss, KDATA);
    s = kernel_state(d_ud);
    s.r[RSP] -= 1;
    run(&s);
    check_eq("exception: frame aligned", s.frame, ((kstack_top() - 1) & ~15ul) - 40);
    s = user_state(d_ud);
    run(&s);
    check_eq("to CPL 0: the frame is on the TSS's RSP0", s.frame, (ureg)irq_stack + sizeof irq_stack - 40);
    check_eq("to CPL 0: saved CS", s.cs, UCODE);
    check_eq("to CPL 0: saved SS", s.ss, UDATA);
}

// INT n is checked against the gate's DPL, an exception is not.
static void test_gate_dpl(void)
{
    struct state s = user_state(d_int40);
    run(&s);
    check_exc("INT n through a DPL 0 gate at CPL 3 is #GP(vector*8+2)", &s, EXC_GP, VEC * 8 + 2, d_int40);
    idt_default(VEC, 0xee);
    s = user_state(d_int40);
    run(&s);
    check_exc("INT n through a DPL 3 gate", &s, VEC, NO_ERROR, d_int40_after);
    idt_default(VEC, 0x6e);
    s = user_state(d_int40);
    run(&s);
    check_exc("INT n through a gate that is not present is #NP(vector*8+2)", &s, EXC_NP, VEC * 8 + 2, d_int40);
    idt_default(VEC, 0xe5);
    s = user_state(d_int40);
    run(&s);
    check_exc("INT n through a task gate in IA-32e mode is #GP(vector*8+2)", &s, EXC_GP, VEC * 8 + 2, d_int40);
    idt_set(VEC, (const void *)0x1234, KDATA, 0xee, 0);
    s = user_state(d_int40);
    run(&s);
    check_exc("gate to a data segment is #GP(sel)", &s, EXC_GP, KDATA, d_int40);
    idt_set(VEC, (const void *)0x1234, KCODE32, 0xee, 0);
    s = user_state(d_int40);
    run(&s);
    check_exc("gate to a 32-bit code segment is #GP(sel)", &s, EXC_GP, KCODE32, d_int40);
    idt_set(VEC, (const void *)0x1234, 0, 0xee, 0);
    s = user_state(d_int40);
    run(&s);
    check_exc("gate with a null selector is #GP(0)", &s, EXC_GP, 0, d_int40);
    idt_set(EXC_UD, (const void *)0x1234, KDATA, 0x8e, 0);
    s = user_state(d_ud);
    run(&s); // an error of a delivery that was not INT n carries EXT (bit 0)
    check_exc("exception through a gate to data: EXT is set", &s, EXC_GP, KDATA + 1, d_ud);
    idt_default(EXC_UD, 0x8e);
}

SNIP(d_flags, "pushfq; pop %rax; mov %rsp, %rbx; int $0x80");

// Interrupt gates clear IF, trap gates leave it; both clear TF, NT, RF, VM (6.12.1.3 "Flag Usage ...").
static void test_flags(void)
{
    struct state s;
    idt_default(EXC_DONE, 0xee);
    idt_set(VEC, d_flags, KCODE, 0xee, 0);
    s = user_state(d_int40);
    s.rflags |= FL_IF | FL_NT | FL_AC | FL_DF | FL_CF;
    run(&s);
    check_eq("interrupt gate: RFLAGS in the handler", s.r[RAX], FL_AC | FL_DF | FL_CF | FL_ONE);
    idt_set(VEC, d_flags, KCODE, 0xef, 0);
    s = user_state(d_int40);
    s.rflags |= FL_IF | FL_NT | FL_AC | FL_DF | FL_CF;
    run(&s);
    check_eq("trap gate: RFLAGS in the handler keep IF", s.r[RAX], FL_IF | FL_AC | FL_DF | FL_CF | FL_ONE);
    check_eq("handler's SS after a privilege change is null", s.ss, 0);
    check_eq("handler's CS", s.cs, KCODE);
    idt_set(VEC, d_flags, KCODE, 0xef, 2);
    tss.ist[1] = (ureg)ist_stack + 2048;
    s = kernel_state(d_int40);
    run(&s);
    check_eq("IST: the frame is on the IST stack even at the same level", s.r[RBX], (ureg)ist_stack + 2048 - 40);
    tss.ist[1] += 8;
    s = kernel_state(d_int40);
    run(&s);
    check_eq("IST: aligned to 16", s.r[RBX], (ureg)ist_stack + 2048 - 40);
}

static void test_compat(void)
{
    idt_default(VEC, 0xee);
    struct state s = compat_state(d_compat_int);
    s.r[R8] = 0x1122334455667788;
    run(&s);
    check_exc("INT n from compatibility mode", &s, VEC, NO_ERROR, d_compat_int_after);
    check_eq("saved CS is the 32-bit one", s.cs, UCODE32);
    check_eq("R8 is not changed by compatibility mode", s.r[R8], 0x1122334455667788);
    s = compat_state(d_compat_ud);
    run(&s);
    check_exc("exception from compatibility mode", &s, EXC_UD, NO_ERROR, d_compat_ud);
    s = kernel_state(d_compat_ud);
    s.cs = KCODE32;
    run(&s);
    check_exc("exception from CPL 0 compatibility mode", &s, EXC_UD, NO_ERROR, d_compat_ud);
}

SNIP(d_iret, AT(d_iret_at) "iretq\n");
SNIP(d_iretd, AT(d_iretd_at) "iretl\n");
SNIP(d_target, "pushfq; pop %rax");
LABEL(d_iret_at);
LABEL(d_iretd_at);

static struct state iret_state(ureg rip, ureg cs, ureg flags, ureg rsp, ureg ss)
{
    struct state s = kernel_state(d_iret);
    s.r[RSP] -= 40;
    ureg *f = (ureg *)s.r[RSP];
    f[0] = rip;
    f[1] = cs;
    f[2] = flags;
    f[3] = rsp;
    f[4] = ss;
    return s;
}

static void check_iret(const char *name, struct state s, unsigned vec, ureg err)
{
    run(&s);
    check_exc(name, &s, vec, err, d_iret_at);
}

// vol. 2A, "IRET", "64-Bit Mode Exceptions" and the IA-32e-MODE part of the operation.
static void test_iret_faults(void)
{
    const ureg t = (ureg)d_target, sp = kstack_top() - 256, usp = ustack_top();
    check_iret("IRET: null CS is #GP(0)", iret_state(t, 0, 2, sp, KDATA), EXC_GP, 0);
    check_iret("IRET: CS is data", iret_state(t, KDATA, 2, sp, KDATA), EXC_GP, KDATA);
    check_iret("IRET: CS beyond the GDT", iret_state(t, 64 * 8, 2, sp, KDATA), EXC_GP, 64 * 8);
    check_iret("IRET: CS's DPL is not its RPL", iret_state(t, KCODE | 3, 2, sp, UDATA), EXC_GP, KCODE);
    check_iret("IRET: non-canonical RIP", iret_state(0x800000000000, KCODE, 2, sp, KDATA), EXC_GP, 0);
    check_iret("IRET: SS's RPL is not CS's", iret_state((ureg)USER(d_target), UCODE, 2, usp, KDATA), EXC_GP, KDATA);
    check_iret("IRET: SS is code", iret_state((ureg)USER(d_target), UCODE, 2, usp, UCODE), EXC_GP, UCODE & ~3);
    check_iret("IRET: null SS to CPL 3", iret_state((ureg)USER(d_target), UCODE, 2, usp, 3), EXC_GP, 0);
    check_iret("IRET: null SS to compatibility mode", iret_state(t, KCODE32, 2, sp, 0), EXC_GP, 0);
    gdt_set(FREE_SEL, make_desc(0, 0xfffff, 0x7b, 0xa));
    gdt_set(FREE_SEL + 8, make_desc(0, 0xfffff, 0x73, 0xc));
    gdt_set(FREE_SEL + 16, make_desc(0, 0xfffff, 0xfb, 0xe));
    check_iret("IRET: CS not present", iret_state(t, FREE_SEL | 3, 2, usp, UDATA), EXC_NP, FREE_SEL);
    check_iret("IRET: SS not present", iret_state(t, UCODE, 2, usp, (FREE_SEL + 8) | 3), EXC_SS, FREE_SEL + 8);
    check_iret("IRET: CS with L and D", iret_state(t, (FREE_SEL + 16) | 3, 2, usp, UDATA), EXC_GP, FREE_SEL + 16);
    struct state s = iret_state(t, KCODE, FL_NT | 2, sp, KDATA);
    s.rflags |= FL_NT; // the current NT, not the image's, makes IRET a task return
    s.rip = (ureg)d_iret;
    run(&s);
    check_exc("IRET with NT set in IA-32e mode is #GP(0)", &s, EXC_GP, 0, d_iret_at);
}

static void test_iret(void)
{
    const ureg t = (ureg)d_target, sp = kstack_top() - 256;
    struct state s = iret_state(t, KCODE, FL_ARITH | FL_DF | FL_AC | FL_NT | FL_IOPL | 2, sp, 0);
    run(&s);
    check_done("IRET to the same level with a null SS", &s);
    check_eq("... loads RSP", s.r[RSP], sp);
    check_eq("... loads RFLAGS", s.r[RAX], FL_ARITH | FL_DF | FL_AC | FL_NT | FL_IOPL | 2);
    check_eq("... loads the null SS", s.ss, 0);
    s = iret_state(t, KCODE, 2, sp, KDATA);
    s.rflags |= FL_ARITH | FL_AC;
    run(&s);
    check_eq("IRET clears flags", s.r[RAX], 2);
    s = kernel_state(d_iretd);
    s.r[RSP] -= 20;
    uint32_t *f = (uint32_t *)s.r[RSP];
    f[0] = (uint32_t)t;
    f[1] = KCODE;
    f[2] = 2 | FL_CF;
    f[3] = (uint32_t)sp;
    f[4] = KDATA;
    run(&s);
    check_done("IRETD in 64-bit mode pops five dwords", &s);
    check_eq("... RSP", s.r[RSP], sp);
}

SNIP(d_user_iret, "mov %ss, %ecx; push %rcx; lea 64(%rsp), %rcx; push %rcx; push %rbx; mov %cs, %ecx; push %rcx\n"
                  "lea 1f(%rip), %rcx; push %rcx; iretq; 1: pushfq; pop %rax");

// At CPL 3 IRET changes neither IOPL nor, above IOPL, IF: silently.
static void test_iret_user(void)
{
    struct state s = user_state(d_user_iret);
    s.rflags |= FL_IF;
    s.r[RBX] = FL_IOPL | FL_CF | 2;
    run(&s);
    check_done("IRET at CPL 3 to CPL 3", &s);
    check_eq("... cannot change IF or IOPL", s.r[RAX], FL_IF | FL_CF | 2);
    s = user_state(d_user_iret);
    s.rflags |= FL_IF | FL_IOPL;
    s.r[RBX] = FL_CF | 2;
    run(&s);
    check_eq("... may change IF with IOPL 3, never IOPL", s.r[RAX], FL_IOPL | FL_CF | 2);
}

SNIP(d_push, "push %rax");

// Table 6-5: contributory after contributory, or anything but benign after #PF, is #DF(0).
static void test_double_fault(void)
{
    struct state s = kernel_state(d_push);
    s.r[RSP] = TEST_VA + 0x2008; // not mapped: the PUSH faults, and so does the delivery of its #PF
    run(&s);
    check_exc("#PF while delivering #PF is #DF(0)", &s, EXC_DF, 0, NULL);
    check_eq("... on its IST stack", s.frame, (ureg)ist_stack + sizeof ist_stack - 48);
    idt_default(EXC_GP, 0x0e); // not present
    s = user_state(d_int40);
    idt_default(VEC, 0x8e);
    run(&s);
    check_exc("#NP while delivering #GP is #DF(0)", &s, EXC_DF, 0, NULL);
    idt_default(EXC_GP, 0x8e);
    idt_default(EXC_UD, 0x0e);
    s = user_state(d_ud);
    run(&s); // benign first: the second exception is delivered alone
    check_exc("#NP while delivering #UD is #NP(vector*8+2+1)", &s, EXC_NP, EXC_UD * 8 + 3, d_ud);
    idt_default(EXC_UD, 0x8e);
    ureg rsp0 = tss.rsp[0];
    tss.rsp[0] = 0x0000900000000000;
    s = user_state(d_ud);
    idt_default(EXC_SS, 0x8e);
    idt[EXC_SS].ist = 1;
    run(&s); // 6.14.4: a non-canonical stack pointer from the TSS is #SS
    ok(s.vec == EXC_SS && (s.err & ~1ul) == 0 && s.rip == (ureg)USER(d_ud), "non-canonical RSP0 is #SS(0 or EXT)");
    idt_default(EXC_SS, 0x8e);
    tss.rsp[0] = rsp0;
}

void test_main(void)
{
    test_frame();
    test_gate_dpl();
    test_flags();
    test_compat();
    test_iret_faults();
    test_iret();
    test_iret_user();
    test_double_fault();
}
