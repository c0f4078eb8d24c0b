// SPDX-License-Identifier: MIT
// Segment loads, limits, call gates, far returns, LAR/LSL, LTR, and hardware task switches.
#include "machine.h"

START_TEST(load_checks)
{
    machine_protected();
    set_desc(SPARE, 0x1234, 0xfff, 0x4093 << 8 & ~0x100u);
    QUIET(cpu_op_load_sreg(cpu, DS, SPARE));
    ck_assert_uint_eq(cpu->seg[DS].base, 0x1234);
    ck_assert_uint_eq(cpu->seg[DS].limit, 0xfff);
    ck_assert(peek(GDT + SPARE + 5, 1) & 1); // accessed, in memory
    ck_assert(!(cpu->mode & MODE_FLAT));
    RAISES(EXC_GP, 0x100, cpu_op_load_sreg(cpu, ES, 0x100));     // past the limit
    RAISES(EXC_GP, TSS_SEL, cpu_op_load_sreg(cpu, ES, TSS_SEL)); // a system segment
    set_desc(SPARE, 0, 0xfff, 0x401300);
    RAISES(EXC_NP, SPARE, cpu_op_load_sreg(cpu, ES, SPARE));
    RAISES(EXC_SS, SPARE, cpu_op_load_sreg(cpu, SS, SPARE));
    set_desc(SPARE, 0, 0xfff, 0x409900); // execute-only
    RAISES(EXC_GP, SPARE, cpu_op_load_sreg(cpu, ES, SPARE));
    RAISES(EXC_GP, 0, cpu_op_load_sreg(cpu, SS, 0));
    RAISES(EXC_GP, DATA3 & ~3, cpu_op_load_sreg(cpu, SS, DATA3));
    QUIET(cpu_op_load_sreg(cpu, ES, 3)); // null with an RPL
    RAISES(EXC_GP, 0, cpu_linear(cpu, ES, 0, 1, false));
    machine_set_cpl(3);
    RAISES(EXC_GP, DATA0, cpu_op_load_sreg(cpu, ES, DATA0));
    QUIET(cpu_op_load_sreg(cpu, ES, CONFORM)); // readable, conforming: any level
}
END_TEST

// What translated code compares with: offsets start <= x, x + size <= end.
START_TEST(bounds)
{
    machine_protected();
    const struct segment_bounds *b = &cpu->bounds[ES];
    set_desc(SPARE, 0x2000, 0x0fff, 0x409300); // data, read and write
    QUIET(cpu_op_load_sreg(cpu, ES, SPARE));
    ck_assert_uint_eq(b->end_r, 0x1000);
    ck_assert_uint_eq(b->end_w, 0x1000);
    ck_assert_int_eq(b->max_w[2], 0xffc);
    ck_assert_uint_eq(b->start, 0);
    set_desc(SPARE, 0x2000, 0x0fff, 0x409100); // read-only
    QUIET(cpu_op_load_sreg(cpu, ES, SPARE));
    ck_assert_uint_eq(b->end_r, 0x1000);
    ck_assert_uint_eq(b->end_w, 0);
    ck_assert_int_eq(b->max_w[0], -1);
    set_desc(SPARE, 0x2000, 0x0fff, 0x409b00); // readable code
    QUIET(cpu_op_load_sreg(cpu, ES, SPARE));
    ck_assert_uint_eq(b->end_r, 0x1000);
    ck_assert_uint_eq(b->end_w, 0);
    set_desc(SPARE, 0x2000, 0x0fff, 0x409700); // expand-down, 32-bit
    QUIET(cpu_op_load_sreg(cpu, ES, SPARE));
    ck_assert_uint_eq(b->start, 0x1000);
    ck_assert_uint_eq(b->end_w, 0x100000000);
    ck_assert(cpu->mode & MODE_SEG_DOWN);
    set_desc(SPARE, 0x2000, 0x0fff, 0x009700); // expand-down, 16-bit
    QUIET(cpu_op_load_sreg(cpu, ES, SPARE));
    ck_assert_uint_eq(b->end_w, 0x10000);
    QUIET(cpu_op_load_sreg(cpu, ES, 0));
    ck_assert_uint_eq(b->end_r, 0);
    ck_assert(!(cpu->mode & MODE_SEG_DOWN));
}
END_TEST

START_TEST(mov_ss_shadow)
{
    machine_protected();
    QUIET(cpu_op_load_sreg(cpu, SS, DATA0));
    ck_assert_uint_eq(cpu->shadow_ss, 1);
    ck_assert(cpu->mode & MODE_STEP);
    QUIET(cpu_op_load_sreg(cpu, DS, DATA0));
    ck_assert_uint_eq(cpu->shadow_ss, 1); // the engine ends it
}
END_TEST

START_TEST(limits)
{
    machine_protected();
    set_desc(SPARE, 0x2000, 0x0fff, 0x409300);
    QUIET(cpu_op_load_sreg(cpu, DS, SPARE));
    gva a = 0;
    QUIET(a = cpu_linear(cpu, DS, 0xffc, 4, true));
    ck_assert_uint_eq(a, 0x2ffc);
    RAISES(EXC_GP, 0, cpu_linear(cpu, DS, 0xffd, 4, true));
    set_desc(SPARE, 0x2000, 0x0fff, 0x409700); // expand down: 1000h .. FFFFFFFFh
    QUIET(cpu_op_load_sreg(cpu, DS, SPARE));
    RAISES(EXC_GP, 0, cpu_linear(cpu, DS, 0xfff, 1, true));
    QUIET(a = cpu_linear(cpu, DS, 0x1000, 4, true));
    ck_assert_uint_eq(a, 0x3000);
    RAISES(EXC_GP, 0, cpu_linear(cpu, DS, 0xfffffffe, 4, true));
    RAISES(EXC_GP, 0, cpu_linear(cpu, CS, 0, 4, true)); // code is not writable
    QUIET(cpu_linear(cpu, CS, 0, 4, false));
    set_desc(SPARE, 0x2000, 0xfff, 0x409300);
    QUIET(cpu_op_load_sreg(cpu, SS, SPARE));
    RAISES(EXC_SS, 0, cpu_linear(cpu, SS, 0x1000, 4, true));
    cpu->gpr[RSP] = 2;
    RAISES(EXC_SS, 0, cpu_push(cpu, 1, 4));
    ck_assert_uint_eq(cpu->gpr[RSP], 2);
}
END_TEST

START_TEST(canonical)
{
    machine_long();
    QUIET(cpu_linear(cpu, DS, 0x7ffffffffff8, 8, true));
    RAISES(EXC_GP, 0, cpu_linear(cpu, DS, 0x7ffffffffff9, 8, true));
    RAISES(EXC_SS, 0, cpu_linear(cpu, SS, 0x800000000000, 8, true));
    QUIET(cpu_linear(cpu, DS, 0xffff800000000000, 8, true));
    RAISES(EXC_GP, 0, cpu_linear(cpu, DS, 0xffff7fffffffffff, 8, true));
    QUIET(cpu_op_load_sreg(cpu, SS, 0)); // null SS at CPL 0 in 64-bit code
    RAISES(EXC_GP, 0, cpu_op_load_sreg(cpu, SS, 3));
    cpu->seg[FS].base = 0x7fffffffff00;
    RAISES(EXC_GP, 0, cpu_linear(cpu, FS, 0x100, 8, true));
    set_desc(SPARE, 0, 0xfffff, 0xe09b00); // L and D: reserved
    RAISES(EXC_GP, SPARE, cpu_op_far_jmp(cpu, SPARE, 0, 8));
}
END_TEST

START_TEST(call_gate_with_parameters)
{
    machine_protected();
    machine_set_cpl(3);
    set_gate(GDT + GATE, CODE0, 0x4000, 12, 3, 2); // two dwords
    cpu->gpr[RSP] = 0xb000;
    poke(0xb000, 0x11111111, 4);
    poke(0xb004, 0x22222222, 4);
    cpu->next_rip = 0x7007;
    QUIET(cpu_op_far_call(cpu, GATE | 3, 0x999, 4));
    ck_assert_uint_eq(cpu->cpl, 0);
    ck_assert_uint_eq(cpu->rip, 0x4000);
    ck_assert_uint_eq(cpu->seg[CS].sel, CODE0);
    ck_assert_uint_eq(cpu->gpr[RSP], STACK0 - 24);
    ck_assert_uint_eq(peek(STACK0 - 24, 4), 0x7007);
    ck_assert_uint_eq(peek(STACK0 - 20, 4), CODE3);
    ck_assert_uint_eq(peek(STACK0 - 16, 4), 0x11111111);
    ck_assert_uint_eq(peek(STACK0 - 12, 4), 0x22222222);
    ck_assert_uint_eq(peek(STACK0 - 8, 4), 0xb000);
    ck_assert_uint_eq(peek(STACK0 - 4, 4), DATA3);
    QUIET(cpu_op_far_ret(cpu, 4, 8));
    ck_assert_uint_eq(cpu->cpl, 3);
    ck_assert_uint_eq(cpu->rip, 0x7007);
    ck_assert_uint_eq(cpu->gpr[RSP], 0xb008); // parameters gone here too
    set_gate(GDT + GATE, CODE0, 0x4000, 12, 0, 0);
    RAISES(EXC_GP, GATE, cpu_op_far_call(cpu, GATE | 3, 0, 4));
    set_gate(GDT + GATE, CODE0, 0x4000, 12, 3, 0);
    RAISES(EXC_GP, CODE0, cpu_op_far_jmp(cpu, GATE | 3, 0, 4)); // JMP may not change level
    RAISES(EXC_GP, CODE0, cpu_op_far_jmp(cpu, CODE0, 0, 4));
    QUIET(cpu_op_far_jmp(cpu, CONFORM, 0x5000, 4));
    ck_assert_uint_eq(cpu->cpl, 3);
    ck_assert_uint_eq(cpu->seg[CS].sel, CONFORM | 3);
}
END_TEST

START_TEST(call_gate_64)
{
    machine_long();
    machine_set_cpl(3);
    set_gate(GDT + GATE, CODE64, 0x4000, 12, 3, 0);
    poke(GDT + GATE + 8, 0xffff8000, 8);
    cpu->gpr[RSP] = 0xb000;
    cpu->next_rip = 0x7007;
    QUIET(cpu_op_far_call(cpu, GATE | 3, 0, 4));
    ck_assert_uint_eq(cpu->rip, 0xffff800000004000);
    ck_assert_uint_eq(cpu->seg[SS].sel, 0);
    ck_assert_uint_eq(cpu->gpr[RSP], STACK0 - 32);
    ck_assert_uint_eq(peek(STACK0 - 32, 8), 0x7007);
    ck_assert_uint_eq(peek(STACK0 - 16, 8), 0xb000);
    QUIET(cpu_op_far_ret(cpu, 8, 0));
    ck_assert_uint_eq(cpu->cpl, 3);
    ck_assert_uint_eq(cpu->gpr[RSP], 0xb000);
    set_gate(GDT + GATE, CODE0, 0x4000, 12, 3, 0);
    RAISES(EXC_GP, CODE0, cpu_op_far_call(cpu, GATE | 3, 0, 4)); // must be 64-bit code
}
END_TEST

START_TEST(lar_lsl_verr)
{
    uint32_t v = 0;
    machine_protected();
    ck_assert(cpu_op_lar(cpu, DATA0, &v));
    ck_assert_uint_eq(v, 0xcf9300);
    ck_assert(cpu_op_lsl(cpu, DATA0, &v));
    ck_assert_uint_eq(v, 0xffffffff);
    ck_assert(cpu_op_lsl(cpu, TSS_SEL, &v));
    ck_assert_uint_eq(v, 0x2067);
    set_gate(GDT + GATE, CODE0, 0, 14, 0, 0); // interrupt gate: LAR refuses
    ck_assert(!cpu_op_lar(cpu, GATE, &v));
    ck_assert(!cpu_op_lar(cpu, 0, &v));
    ck_assert(!cpu_op_lar(cpu, 0x100, &v));
    ck_assert(cpu_op_verw(cpu, DATA0));
    ck_assert(!cpu_op_verw(cpu, CODE0));
    ck_assert(cpu_op_verr(cpu, CODE0));
    machine_set_cpl(3);
    ck_assert(!cpu_op_verr(cpu, DATA0));
    ck_assert(cpu_op_verr(cpu, DATA3));
    cpu->cr0 &= ~CR0_PE;
    RAISES(EXC_UD, -1, cpu_op_verr(cpu, DATA3));
}
END_TEST

START_TEST(system_tables)
{
    machine_protected();
    ck_assert_uint_eq(peek(GDT + TSS_SEL + 5, 1), 0x8b); // busy
    RAISES(EXC_GP, TSS_SEL, cpu_op_ltr(cpu, TSS_SEL));
    RAISES(EXC_GP, 0, cpu_op_ltr(cpu, 0));
    QUIET(cpu_op_lldt(cpu, LDT_SEL));
    ck_assert_uint_eq(cpu->ldtr.base, LDT);
    poke(LDT + 8, peek(GDT + DATA0, 8), 8);
    QUIET(cpu_op_load_sreg(cpu, ES, 8 | 4));
    RAISES(EXC_GP, 0x104, cpu_op_load_sreg(cpu, ES, 0x104));
    RAISES(EXC_GP, 8 | 4, cpu_op_lldt(cpu, 8 | 4));
    QUIET(cpu_op_lldt(cpu, 0));
    RAISES(EXC_GP, 8 | 4, cpu_op_load_sreg(cpu, ES, 8 | 4));
    poke(DATA, 0x123456789abcdef, 8);
    QUIET(cpu_op_lgdt(cpu, DATA, 2));
    ck_assert_uint_eq(cpu->gdtr.limit, 0xcdef);
    ck_assert_uint_eq(cpu->gdtr.base, 0x6789ab); // 24 bits with a 16-bit operand size
    cpu->cr4 |= CR4_UMIP;
    machine_set_cpl(3);
    RAISES(EXC_GP, 0, cpu_op_sgdt(cpu, DATA));
    RAISES(EXC_GP, 0, cpu_op_str(cpu));
    RAISES(EXC_GP, 0, cpu_op_lgdt(cpu, DATA, 4));
}
END_TEST

static void make_task(void)
{
    memset(ram + TSS2, 0, 0x68);
    poke(TSS2 + 0x20, 0x4000, 4); // EIP
    poke(TSS2 + 0x24, FL_IF | 2, 4);
    poke(TSS2 + 0x28, 0xaaaa5555, 4);
    poke(TSS2 + 0x38, 0xc000, 4); // ESP
    const uint16_t seg[6] = {DATA0, CODE0, DATA0, DATA0, 0, 0};
    for (unsigned i = 0; i < 6; i++)
        poke(TSS2 + 0x48 + i * 4, seg[i], 2);
}

START_TEST(task_call_and_return)
{
    machine_protected();
    make_task();
    cpu->gpr[RAX] = 0x12345678;
    cpu->next_rip = 0x7007;
    QUIET(cpu_op_far_call(cpu, TSS2_SEL, 0, 4));
    ck_assert_uint_eq(cpu->rip, 0x4000);
    ck_assert_uint_eq(cpu->gpr[RAX], 0xaaaa5555);
    ck_assert_uint_eq(cpu->gpr[RSP], 0xc000);
    ck_assert_uint_eq(cpu->tr.sel, TSS2_SEL);
    ck_assert(cpu->rflags & FL_NT);
    ck_assert(cpu->cr0 & CR0_TS);
    ck_assert_uint_eq(peek(TSS2, 2), TSS_SEL); // back link
    ck_assert_uint_eq(peek(TSS + 0x20, 4), 0x7007);
    ck_assert_uint_eq(peek(TSS + 0x28, 4), 0x12345678);
    ck_assert_uint_eq(peek(GDT + TSS_SEL + 5, 1), 0x8b); // both busy
    ck_assert_uint_eq(peek(GDT + TSS2_SEL + 5, 1), 0x8b);
    RAISES(EXC_GP, TSS2_SEL, cpu_op_far_call(cpu, TSS2_SEL, 0, 4)); // not recursive
    cpu->next_rip = 0x4001;
    QUIET(cpu_op_iret(cpu, 4));
    ck_assert_uint_eq(cpu->rip, 0x7007);
    ck_assert_uint_eq(cpu->gpr[RAX], 0x12345678);
    ck_assert_uint_eq(peek(GDT + TSS2_SEL + 5, 1), 0x89);
    ck_assert(!(cpu->rflags & FL_NT));
    ck_assert_uint_eq(peek(TSS2 + 0x24, 4) & FL_NT, 0);
}
END_TEST

START_TEST(task_gate_for_double_fault)
{
    machine_protected();
    make_task();
    poke(IDT + EXC_DF * 8, (uint32_t)TSS2_SEL << 16, 4);
    poke(IDT + EXC_DF * 8 + 4, 0x8500, 4);
    cpu->rip = 0x7055;
    if (!setjmp(cpu->unwind))
        cpu_raise_error(cpu, EXC_GP, 0);
    while (setjmp(cpu->unwind))
        ;
    cpu_deliver_exception(cpu);
    ck_assert_uint_eq(cpu->rip, 0x4000);
    ck_assert_uint_eq(cpu->gpr[RSP], 0xc000 - 4);
    ck_assert_uint_eq(peek(0xc000 - 4, 4), 0);
    ck_assert_uint_eq(peek(TSS + 0x20, 4), 0x7055);
    ck_assert_int_eq(cpu->delivering, -1);
}
END_TEST

START_TEST(task_with_bad_segments)
{
    machine_protected();
    make_task();
    poke(TSS2 + 0x50, DATA3, 2); // SS of another level
    cpu->next_rip = 0x7007;
    RAISES(EXC_TS, DATA3 & ~3, cpu_op_far_jmp(cpu, TSS2_SEL, 0, 4));
    ck_assert_uint_eq(cpu->rip, 0x4000); // the fault is the new task's
    ck_assert_uint_eq(cpu->tr.sel, TSS2_SEL);
}
END_TEST

static TCase *cases(void)
{
    TCase *t = tcase_create("segments");
    tcase_add_test(t, load_checks);
    tcase_add_test(t, bounds);
    tcase_add_test(t, mov_ss_shadow);
    tcase_add_test(t, limits);
    tcase_add_test(t, canonical);
    tcase_add_test(t, call_gate_with_parameters);
    tcase_add_test(t, call_gate_64);
    tcase_add_test(t, lar_lsl_verr);
    tcase_add_test(t, system_tables);
    tcase_add_test(t, task_call_and_return);
    tcase_add_test(t, task_gate_for_double_fault);
    tcase_add_test(t, task_with_bad_segments);
    return t;
}

int main(void) { return machine_run_suite("segment", (TCase * (*const[])(void)){cases}, 1); }
