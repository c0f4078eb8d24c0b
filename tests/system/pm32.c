// SPDX-License-Identifier: MIT
// 32-bit protected mode: exceptions, privilege changes, gates, segment limits, 16-bit segments, paging off.
// SDM vol. 3A, chapters 5 "Protection" and 6 "Interrupt and Exception Handling".
#include "test.h"

enum {
    NP_DATA = FREE_SEL,
    SMALL = FREE_SEL + 8,
    DOWN = FREE_SEL + 16,
    DOWN16 = FREE_SEL + 24,
    RO = FREE_SEL + 32,
    XO = FREE_SEL + 40,
    CODE16 = FREE_SEL + 48,
    DATA16 = FREE_SEL + 56,
    GATE = FREE_SEL + 64,
    CONF = FREE_SEL + 72,
    SMALL_CS = FREE_SEL + 80,
    GATE16 = FREE_SEL + 88,
    UCODE16 = FREE_SEL + 96,
    BASED = FREE_SEL + 104
};

static uint32_t words[4] = {0x1111, 0x2222, 0x3333, 0x4444};

SNIP(q_div, "xor %ecx, %ecx\n" AT(q_div_at) "div %ecx");
SNIP(q_ud, "ud2");
SNIP(q_int, "int $0x42\n" AT(q_int_after) "nop");
SNIP(q_load, "mov (%ebx), %eax");
SNIP(q_load8, "mov (%ebx), %al");
SNIP(q_store, "mov %eax, (%ebx)");
SNIP(q_store_cs, "mov %eax, %cs:(%ebx)");
SNIP(q_push, "push %eax; mov %esp, %ecx; mov %ss, %edx");
SNIP(q_pop, "pop %eax; mov %esp, %ecx");
SNIP(q_load_ds, "mov %eax, %ds");
SNIP(q_load_ss, "mov %eax, %ss");
SNIP(q_cli, "cli");
SNIP(q_into, "mov $0x7fffffff, %eax; inc %eax\n into\n" AT(q_into_after) "nop");
SNIP(q_bound, "bound %eax, (%ebx)");
SNIP(q_regs, "mov %cs, %eax; mov %ss, %ecx; mov %esp, %edx");
LABEL(q_div_at);
LABEL(q_int_after);
LABEL(q_into_after);

static void check_word(const char *name, const struct state *s, ureg got, ureg want)
{
    ok(s->vec == EXC_DONE && got == want, "%s: vector %lu got %lx want %lx", name, s->vec, got, want);
}

static void test_exceptions(void)
{
    struct state s = user_state(q_div);
    run(&s);
    check_exc("#DE at CPL 3", &s, EXC_DE, NO_ERROR, q_div_at);
    check_eq("... to CPL 0: the frame is on SS0:ESP0", s.frame, (ureg)irq_stack + sizeof irq_stack - 20);
    ok(s.cs == UCODE && s.ss == UDATA && s.r[RSP] == ustack_top(), "... CS, SS, ESP are saved: %lx %lx %lx", s.cs, s.ss,
       s.r[RSP]);
    s = kernel_state(q_ud);
    s.r[RSP] -= 6;
    run(&s);
    check_exc("#UD at CPL 0", &s, EXC_UD, NO_ERROR, q_ud);
    check_eq("... same level: three dwords on the same stack, not aligned", s.frame, kstack_top() - 6 - 12);
    idt_default(0x42, 0xee);
    s = user_state(q_int);
    run(&s);
    check_exc("INT n through a DPL 3 gate", &s, 0x42, NO_ERROR, q_int_after);
    idt_default(0x42, 0x8e);
    s = user_state(q_int);
    run(&s);
    check_exc("INT n through a DPL 0 gate is #GP(vector*8+2)", &s, EXC_GP, 0x42 * 8 + 2, q_int);
    idt_default(EXC_OF, 0xee);
    s = user_state(q_into);
    run(&s);
    check_exc("INTO is a trap", &s, EXC_OF, NO_ERROR, q_into_after);
    static uint32_t bounds[2] = {5, 9};
    s = user_state(q_bound);
    s.r[RAX] = 4;
    s.r[RBX] = (ureg)bounds;
    run(&s);
    check_exc("BOUND is a fault", &s, EXC_BR, NO_ERROR, q_bound);
    s = user_state(q_cli);
    run(&s);
    check_exc("CLI at CPL 3 is #GP(0)", &s, EXC_GP, 0, q_cli);
    s = user_state(q_load_ds);
    s.r[RAX] = NP_DATA | 3;
    run(&s);
    check_exc("DS not present is #NP(sel)", &s, EXC_NP, NP_DATA, q_load_ds);
    s = user_state(q_load_ss);
    s.r[RAX] = NP_DATA | 3;
    run(&s);
    check_exc("SS not present is #SS(sel)", &s, EXC_SS, NP_DATA, q_load_ss);
    s = kernel_state(q_load_ss);
    run(&s);
    check_exc("SS null is #GP(0) at CPL 0 too", &s, EXC_GP, 0, q_load_ss);
}

static struct state seg_run(const char *code, ureg ds, ureg rbx)
{
    struct state s = user_state(code);
    s.ds = ds;
    s.r[RBX] = rbx;
    run(&s);
    return s;
}

static void test_limits(void)
{
    struct state s = seg_run(q_load, SMALL | 3, 8);
    check_word("the last dword inside the limit", &s, s.r[RAX], 0x3333);
    s = seg_run(q_load, SMALL | 3, 9);
    check_exc("a dword that ends beyond the limit is #GP(0)", &s, EXC_GP, 0, q_load);
    s = seg_run(q_load8, SMALL | 3, 12);
    check_exc("the byte beyond the limit is #GP(0)", &s, EXC_GP, 0, q_load8);
    s = seg_run(q_load, SMALL | 3, 0xffffffff);
    check_exc("an access that wraps is #GP(0)", &s, EXC_GP, 0, q_load);
    s = seg_run(q_load, DOWN | 3, 0x1004);
    check_word("expand-down, inside", &s, s.r[RAX], 0x2222);
    s = seg_run(q_load, DOWN | 3, 0xffd);
    check_exc("expand-down, at the limit, is #GP(0)", &s, EXC_GP, 0, q_load);
    s = seg_run(q_load, DOWN16 | 3, 0xfffc);
    check_word("expand-down, B clear: the last dword below 64 KiB", &s, s.r[RAX], 0x1111);
    s = seg_run(q_load, DOWN16 | 3, 0x10000);
    check_exc("expand-down, B clear: 64 KiB is #GP(0)", &s, EXC_GP, 0, q_load);
    s = seg_run(q_store, RO | 3, (ureg)(words + 3));
    check_exc("store to read-only data is #GP(0)", &s, EXC_GP, 0, q_store);
    s = seg_run(q_store_cs, UDATA, (ureg)(words + 3));
    check_exc("store through CS is #GP(0)", &s, EXC_GP, 0, q_store_cs);
    s = seg_run(q_load, 0, (ureg)words);
    check_exc("load through a null DS is #GP(0)", &s, EXC_GP, 0, q_load);
    s = seg_run(q_load_ds, UDATA, 0);
    s = seg_run(q_load, BASED | 3, 8);
    check_word("a segment base near 4 GiB wraps", &s, s.r[RAX], 0x1111);
    s = user_state(q_push);
    s.ss = SMALL | 3;
    s.r[RSP] = 16;
    run(&s);
    check_exc("PUSH beyond SS's limit is #SS(0)", &s, EXC_SS, 0, q_push);
    check_eq("... ESP unchanged", s.r[RSP], 16);
    s = user_state(q_div); // EIP beyond CS's limit
    s.cs = SMALL_CS | 3;
    s.rip = 0x100;
    run(&s);
    ok(s.vec == EXC_GP && s.err == 0, "IRET to an EIP beyond CS's limit is #GP(0): vector %lu error %lx", s.vec, s.err);
}

SNIP16(q_c16, "movl $0x12345678, %eax; movw $0xffff, %bx; incw %bx; mov %cs, %cx; pushw %cx; popw %dx");
SNIP16(q_c16_disp, "movw 2(%bx,%si), %ax; movl (%ebx,%edi), %ecx");
SNIP(q_loop16, "xor %eax, %eax; mov $0x10002, %ecx\n 1: inc %eax; addr16 loop 1b");
// IRET to a 16-bit stack may leave ESP's high half as it was in the kernel: only its not changing is checked.
SNIP(q_push16seg, "mov %esp, %edi; push %eax; mov %esp, %ecx; pop %edx");

static void test_16bit(void)
{
    // Code segments of 16 bits, based at the snippet so that IP starts at 0.
    gdt_set(UCODE16, make_desc((ureg)q_c16, 0xffff, 0xfb, 0));
    struct state s = user_state(q_c16);
    s.cs = UCODE16 | 3;
    s.rip = 0;
    s.r[RBX] = 0xaaaa0000;
    s.r[RCX] = s.r[RDX] = 0x55550000;
    run(&s);
    ok(s.vec == EXC_DONE && s.r[RAX] == 0x12345678 && s.r[RBX] == 0xaaaa0000 && s.r[RDX] == (0x55550000 | UCODE16 | 3),
       "16-bit code segment: operand sizes: vector %lu eax %lx ebx %lx edx %lx", s.vec, s.r[RAX], s.r[RBX], s.r[RDX]);
    check_eq("... the saved EIP is an offset", s.rip, (ureg)(q_c16_end - q_c16) + 2);
    gdt_set(UCODE16, make_desc((ureg)q_c16_disp, 0xffff, 0xfb, 0));
    gdt_set(DATA16, make_desc((ureg)words, 0xffff, 0xf3, 0));
    s = user_state(q_c16_disp);
    s.cs = UCODE16 | 3;
    s.rip = 0;
    s.ds = DATA16 | 3;
    s.r[RBX] = 0xfffe;
    s.r[RSI] = 4;
    s.r[RDI] = (ureg)4 - 0xfffe;
    run(&s); // BX + SI + 2 wraps at 64 KiB; EBX + EDI does so at 4 GiB
    ok(s.vec == EXC_DONE && (s.r[RAX] & 0xffff) == 0x2222 && s.r[RCX] == 0x2222,
       "16-bit addresses wrap at 64 KiB: %lx %lx", s.r[RAX], s.r[RCX]);
    s = user_state(q_loop16);
    run(&s);
    ok(s.vec == EXC_DONE && s.r[RAX] == 2 && s.r[RCX] == 0x10000, "LOOP with 67h counts CX only: %lx %lx", s.r[RAX],
       s.r[RCX]);
    gdt_set(DATA16, make_desc((ureg)ustack, 0xffff, 0xf3, 0)); // B clear: the stack pointer is SP
    s = user_state(q_push16seg);
    s.ss = DATA16 | 3;
    s.r[RSP] = 0xabcd0100;
    s.r[RAX] = 0x99;
    run(&s);
    ok(s.vec == EXC_DONE && s.r[RCX] == s.r[RDI] - 4 && (s.r[RCX] & 0xffff) == 0xfc && s.r[RDX] == 0x99,
       "16-bit stack: PUSH uses SP, ESP's high half stays: %lx", s.r[RCX]);
    s = user_state(q_push16seg);
    s.ss = DATA16 | 3;
    s.r[RSP] = 0xabcd0000;
    mem_set(ustack, 0, 16);
    gdt_set(DATA16, make_desc((ureg)ustack - 0xf000, 0xffff, 0xf3, 0));
    run(&s);
    check_word("... SP wraps from 0 to FFFCh", &s, s.r[RCX], (s.r[RDI] & 0xffff0000) | 0xfffc);
}

SNIP(q_lcall_gate, "push $0x1111; push $0x2222; lcall *(%ebx)\n" AT(q_gate_after) "nop");
SNIP(q_gate_target, "mov %cs, %eax; mov %ss, %ecx; mov %esp, %edx; mov 8(%esp), %esi; mov 12(%esp), %edi");
SNIP(q_gate_ret, "lret $8");
SNIP(q_gate_caller, "mov %esp, %esi; push $0x1111; push $0x2222; lcall *(%ebx); mov %esp, %edi; mov %cs, %eax");
SNIP(q_lret, "lretl");
SNIP(q_ljmp, "ljmp *(%ebx)");
LABEL(q_gate_after);

static void set_gate(unsigned sel, const void *target, unsigned cs, unsigned type, unsigned params)
{
    ureg a = (ureg)target;
    gdt_set(sel, (a & 0xffff) | (uint64_t)cs << 16 | (uint64_t)params << 32 | (uint64_t)type << 40 |
                     (uint64_t)(a >> 16) << 48);
}

// 5.8.4 "Accessing a Code Segment Through a Call Gate", 5.8.5 "Stack Switching": parameters are copied.
static void test_gates(void)
{
    static struct __attribute__((packed)) {
        uint32_t off;
        uint16_t sel;
    } f = {0, GATE | 3};
    set_gate(GATE, q_gate_target, KCODE, 0xec, 2);
    struct state s = user_state(q_lcall_gate);
    s.r[RBX] = (ureg)&f;
    run(&s);
    check_done("call gate to CPL 0", &s);
    ok(s.r[RAX] == KCODE && s.r[RCX] == KDATA, "... CS and SS: %lx %lx", s.r[RAX], s.r[RCX]);
    const ureg *frame = (const ureg *)((ureg)irq_stack + sizeof irq_stack - 24);
    check_eq("... ESP: six dwords on SS0:ESP0", s.r[RDX], (ureg)frame);
    ok(s.r[RSI] == 0x2222 && s.r[RDI] == 0x1111, "... the two parameters are copied: %lx %lx", s.r[RSI], s.r[RDI]);
    ok(frame[0] == (ureg)q_gate_after && frame[1] == UCODE && frame[4] == ustack_top() - 8 && frame[5] == UDATA,
       "... return address, old ESP and SS");
    set_gate(GATE, q_gate_ret, KCODE, 0xec, 2);
    s = user_state(q_gate_caller);
    s.r[RBX] = (ureg)&f;
    run(&s);
    ok(s.vec == EXC_DONE && s.r[RSI] == s.r[RDI] && s.r[RAX] == UCODE,
       "far RET n returns to CPL 3 and releases both stacks: %lx %lx", s.r[RSI], s.r[RDI]);
    set_gate(GATE, q_gate_target, KCODE, 0x8c, 0);
    s = user_state(q_lcall_gate);
    s.r[RBX] = (ureg)&f;
    run(&s);
    check_exc("DPL 0 call gate from CPL 3 is #GP(sel)", &s, EXC_GP, GATE, (const char *)q_lcall_gate + 10);
    f.sel = CONF | 3;
    f.off = (ureg)q_regs;
    s = user_state(q_ljmp);
    s.r[RBX] = (ureg)&f;
    run(&s);
    check_word("far JMP to conforming code keeps CPL 3", &s, s.r[RAX], CONF | 3);
    f.sel = KCODE;
    s = user_state(q_ljmp);
    s.r[RBX] = (ureg)&f;
    run(&s);
    check_exc("far JMP to DPL 0 code from CPL 3 is #GP(sel)", &s, EXC_GP, KCODE, q_ljmp);
    s = kernel_state(q_lret);
    s.r[RSP] -= 16;
    ureg *q = (ureg *)s.r[RSP];
    q[0] = (ureg)q_regs;
    q[1] = UCODE;
    q[2] = ustack_top();
    q[3] = UDATA;
    s.fs = KDATA;
    s.gs = UDATA;
    run(&s);
    ok(s.vec == EXC_DONE && s.r[RAX] == UCODE && s.r[RDX] == ustack_top(), "far RET to CPL 3");
    ok(s.ds == 0 && s.fs == 0 && s.gs == UDATA, "... nulls the segments that CPL 3 may not have: ds %lx fs %lx gs %lx",
       s.ds, s.fs, s.gs);
}

// 6.12.1: gates of 16 bits push words.
SNIP16(q_int16_target, "movw %sp, %ax; movw (%esp), %bx; movw 2(%esp), %cx; movw 4(%esp), %dx");
static void test_gate16(void)
{
    gdt_set(CODE16, make_desc((ureg)q_int16_target, 0xffff, 0x9b, 0));
    idt_set(0x42, (void *)0, CODE16, 0xe6, 0);
    struct state s = kernel_state(q_int);
    s.cs = KCODE;
    run(&s);
    ok(s.vec == EXC_DONE && (s.r[RAX] & 0xffff) == ((kstack_top() - 6) & 0xffff) &&
           (s.r[RBX] & 0xffff) == ((ureg)q_int_after & 0xffff) && (s.r[RCX] & 0xffff) == KCODE,
       "a 16-bit interrupt gate pushes three words: vector %lu sp %lx", s.vec, s.r[RAX]);
    idt_default(0x42, 0xee);
}

void test_main(void)
{
    gdt_set(NP_DATA, make_desc(0, 0xfffff, 0x73, 0xc));
    gdt_set(SMALL, make_desc((ureg)words, 11, 0xf3, 4));
    gdt_set(DOWN, make_desc((ureg)words - 0x1000, 0xfff, 0xf7, 4));
    gdt_set(DOWN16, make_desc((ureg)words - 0xfffc, 0xfff, 0xf7, 0));
    gdt_set(RO, make_desc(0, 0xfffff, 0xf1, 0xc));
    gdt_set(XO, make_desc(0, 0xfffff, 0xf9, 0xc));
    gdt_set(CONF, make_desc(0, 0xfffff, 0x9f, 0xc));
    gdt_set(SMALL_CS, make_desc(0, 0xff, 0xfb, 4));
    gdt_set(BASED, make_desc((ureg)words - 8, 0xfffff, 0xf3, 0xc));
    test_exceptions();
    test_limits();
    test_16bit();
    test_gates();
    test_gate16();
}
