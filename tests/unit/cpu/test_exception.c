// SPDX-License-Identifier: MIT
// Delivery of exceptions and interrupts, IRET, double and triple faults.
#include "machine.h"

static void raise_and_deliver(enum vector v, int error)
{
    if (!setjmp(cpu->unwind)) {
        if (error >= 0)
            cpu_raise_error(cpu, v, error);
        cpu_raise(cpu, v);
    }
    while (setjmp(cpu->unwind))
        ;
    cpu_deliver_exception(cpu);
}

START_TEST(real_mode_int_and_iret)
{
    cpu->seg[CS].base = 0x10000;
    cpu->seg[CS].sel = 0x1000;
    cpu->seg[SS].base = 0x20000;
    cpu->seg[SS].sel = 0x2000;
    cpu->gpr[RSP] = 0xffff0000; // SP 0 wraps to FFFA; the upper half is not touched
    cpu->rip = 0x100;
    cpu->next_rip = 0x102;
    cpu->rflags = FL_IF | FL_TF | FL_CF | 2;
    poke(0x21 * 4, 0x3000 << 16 | 0x1234, 4);
    cpu->idtr = (struct table_reg){0, 0x3ff};
    QUIET(cpu_op_int(cpu, 0x21));
    ck_assert_uint_eq(cpu->rip, 0x1234);
    ck_assert_uint_eq(cpu->seg[CS].base, 0x30000);
    ck_assert_uint_eq(cpu->gpr[RSP], 0xfffffffa);
    ck_assert(!(cpu->rflags & (FL_IF | FL_TF)));
    ck_assert_uint_eq(peek(0x2fffa, 2), 0x102);
    ck_assert_uint_eq(peek(0x2fffc, 2), 0x1000);
    ck_assert_uint_eq(peek(0x2fffe, 2), FL_IF | FL_TF | FL_CF | 2);
    QUIET(cpu_op_iret(cpu, 2));
    ck_assert_uint_eq(cpu->rip, 0x102);
    ck_assert_uint_eq(cpu->seg[CS].base, 0x10000);
    ck_assert_uint_eq(cpu->gpr[RSP], 0xffff0000);
    ck_assert_uint_eq(cpu->rflags, FL_IF | FL_TF | FL_CF | 2);
}
END_TEST

START_TEST(protected_same_level)
{
    machine_protected();
    set_gate(IDT + EXC_GP * 8, CODE0, 0x1234567, 14, 0, 0);
    cpu->rip = 0x7010;
    cpu->rflags = FL_IF | FL_NT | 2;
    raise_and_deliver(EXC_GP, 0x55);
    ck_assert_uint_eq(cpu->rip, 0x1234567);
    ck_assert_uint_eq(cpu->gpr[RSP], 0x8000 - 16);
    ck_assert_uint_eq(peek(0x7ff0, 4), 0x55);
    ck_assert_uint_eq(peek(0x7ff4, 4), 0x7010);
    ck_assert_uint_eq(peek(0x7ff8, 4), CODE0);
    ck_assert_uint_eq(peek(0x7ffc, 4), FL_IF | FL_NT | FL_RF | 2); // a fault pushes RF
    ck_assert_uint_eq(cpu->rflags, 2);
    ck_assert(peek(GDT + CODE0 + 5, 1) & 1);
    ck_assert_int_eq(cpu->delivering, -1);
}
END_TEST

START_TEST(protected_inner_and_back)
{
    machine_protected();
    machine_set_cpl(3);
    set_gate(IDT + 0x80 * 8, CODE0, 0x4000, 15, 3, 0); // trap gate: IF stays
    cpu->gpr[RSP] = 0xb000;
    cpu->rip = 0x7000;
    cpu->next_rip = 0x7002;
    cpu->rflags = FL_IF | 2;
    QUIET(cpu_op_int(cpu, 0x80));
    ck_assert_uint_eq(cpu->cpl, 0);
    ck_assert(!(cpu->mode & MODE_USER));
    ck_assert_uint_eq(cpu->seg[SS].sel, DATA0);
    ck_assert_uint_eq(cpu->gpr[RSP], STACK0 - 20);
    ck_assert_uint_eq(peek(STACK0 - 4, 4), DATA3);
    ck_assert_uint_eq(peek(STACK0 - 8, 4), 0xb000);
    ck_assert_uint_eq(peek(STACK0 - 12, 4), FL_IF | 2);
    ck_assert_uint_eq(peek(STACK0 - 16, 4), CODE3);
    ck_assert_uint_eq(peek(STACK0 - 20, 4), 0x7002);
    ck_assert(cpu->rflags & FL_IF);
    QUIET(cpu_op_load_sreg(cpu, ES, DATA3));
    cpu->nmi_blocked = true;
    QUIET(cpu_op_iret(cpu, 4));
    ck_assert(!cpu->nmi_blocked);
    ck_assert_uint_eq(cpu->cpl, 3);
    ck_assert_uint_eq(cpu->rip, 0x7002);
    ck_assert_uint_eq(cpu->gpr[RSP], 0xb000);
    ck_assert_uint_eq(cpu->seg[DS].sel, 0); // DPL 0: dropped
    ck_assert(!(cpu->seg[DS].attr & SEG_P));
    ck_assert_uint_eq(cpu->seg[ES].sel, DATA3);
    ck_assert(cpu->mmu.user);
}
END_TEST

START_TEST(gate_errors)
{
    machine_protected();
    cpu->next_rip = 0x7002;
    machine_set_cpl(3);
    set_gate(IDT + 0x30 * 8, CODE0, 0x4000, 14, 0, 0);
    RAISES(EXC_GP, 0x30 * 8 + 2, cpu_op_int(cpu, 0x30)); // DPL
    poke(IDT + 0x31 * 8 + 4, 0x6e00, 4);
    RAISES(EXC_NP, 0x31 * 8 + 2, cpu_op_int(cpu, 0x31));
    set_gate(IDT + 0x32 * 8, 0, 0x4000, 14, 3, 0);
    RAISES(EXC_GP, 0, cpu_op_int(cpu, 0x32));
    set_gate(IDT + 0x33 * 8, DATA0, 0x4000, 14, 3, 0);
    RAISES(EXC_GP, DATA0, cpu_op_int(cpu, 0x33));
    RAISES(EXC_GP, DATA0 | 1, cpu_deliver_interrupt(cpu, 0x33)); // EXT
    cpu->delivering = -1;
    cpu->idtr.limit = 0x80;
    RAISES(EXC_GP, 0x32 * 8 + 2, cpu_op_int(cpu, 0x32));
    ck_assert_uint_eq(cpu->cpl, 3);
    ck_assert_uint_eq(cpu->rip, 0x7000);
}
END_TEST

START_TEST(bad_inner_stack)
{
    machine_protected();
    machine_set_cpl(3);
    set_gate(IDT + 0x80 * 8, CODE0, 0x4000, 14, 3, 0);
    poke(TSS + 8, DATA3, 2);
    RAISES(EXC_TS, DATA3 & ~3, cpu_op_int(cpu, 0x80));
    poke(TSS + 8, 0, 2);
    RAISES(EXC_TS, 0, cpu_op_int(cpu, 0x80));
    set_desc(SPARE, 0, 0x5fff, 0x409300); // too small for ESP0
    poke(TSS + 8, SPARE, 2);
    RAISES(EXC_SS, SPARE, cpu_op_int(cpu, 0x80));
    set_desc(SPARE, 0, 0xffff, 0x401300); // not present
    RAISES(EXC_SS, SPARE, cpu_op_int(cpu, 0x80));
    cpu->tr.limit = 6;
    RAISES(EXC_TS, TSS_SEL, cpu_op_int(cpu, 0x80));
}
END_TEST

START_TEST(double_fault)
{
    machine_protected();
    set_gate(IDT + EXC_DF * 8, CODE0, 0x4000, 14, 0, 0);
    raise_and_deliver(EXC_GP, 0); // no gate for #GP: #NP or #GP again
    ck_assert_uint_eq(cpu->rip, 0x4000);
    ck_assert_uint_eq(peek(cpu->gpr[RSP], 4), 0);
    ck_assert_uint_eq(peek(cpu->gpr[RSP] + 12, 4) & FL_RF, 0);
    ck_assert_int_eq(cpu->delivering, -1);
    ck_assert_uint_eq(cpu_requests(cpu), 0);
}
END_TEST

START_TEST(benign_then_contributory_is_serial)
{
    machine_protected();
    set_gate(IDT + EXC_GP * 8, CODE0, 0x4400, 14, 0, 0);
    raise_and_deliver(EXC_UD, -1);
    ck_assert_uint_eq(cpu->rip, 0x4400);
    ck_assert_uint_eq(peek(cpu->gpr[RSP], 4), EXC_UD * 8 + 2 + 1);
}
END_TEST

START_TEST(triple_fault)
{
    machine_protected();
    raise_and_deliver(EXC_GP, 0);
    ck_assert_uint_eq(cpu_requests(cpu), CPU_REQ_RESET);
    ck_assert(cpu->halted);
}
END_TEST

START_TEST(page_fault_sets_cr2)
{
    machine_paged();
    set_gate(IDT + EXC_PF * 8, CODE0, 0x4000, 14, 0, 0);
    set_present(DATA, false);
    cpu->rip = 0x7004;
    RAISES(EXC_PF, 2, cpu_store(cpu, DATA + 8, 1, 4));
    ck_assert_uint_eq(cpu->cr2, 0); // not before delivery
    QUIET(cpu_deliver_exception(cpu));
    ck_assert_uint_eq(cpu->cr2, DATA + 8);
    ck_assert_uint_eq(peek(cpu->gpr[RSP], 4), 2);
    machine_set_cpl(3);
    RAISES(EXC_PF, 4, cpu_load(cpu, DATA, 4));
}
END_TEST

START_TEST(long_mode_ist_and_alignment)
{
    machine_long();
    set_gate(IDT + EXC_GP * 16, CODE64, 0x4000, 14, 0, 0);
    poke(IDT + EXC_GP * 16 + 8, 0xffff8000, 4);
    cpu->gpr[RSP] = 0x8009;
    cpu->rip = 0x7010;
    raise_and_deliver(EXC_GP, 0x18);
    ck_assert_uint_eq(cpu->rip, 0xffff800000004000);
    ck_assert_uint_eq(cpu->gpr[RSP], 0x8000 - 48);
    ck_assert_uint_eq(peek(0x7ff0, 8), 0x8009);
    ck_assert_uint_eq(peek(0x7ff8, 8), DATA0);
    ck_assert_uint_eq(cpu->seg[SS].sel, DATA0); // same level: SS stays
    QUIET(cpu->gpr[RSP] += 8, cpu_op_iret(cpu, 8));
    ck_assert_uint_eq(cpu->gpr[RSP], 0x8009);
    ck_assert_uint_eq(cpu->rip, 0x7010);
    set_gate(IDT + 0x40 * 16, CODE64, 0x4000, 14, 0, 1); // IST1
    poke(IDT + 0x40 * 16 + 8, 0, 4);
    QUIET(cpu_deliver_interrupt(cpu, 0x40));
    ck_assert_uint_eq(cpu->gpr[RSP], STACK1 - 40);
}
END_TEST

START_TEST(long_mode_from_user)
{
    machine_long();
    machine_set_cpl(3);
    set_gate(IDT + 0x20 * 16, CODE64, 0x4000, 14, 0, 0);
    poke(IDT + 0x20 * 16 + 8, 0, 4);
    cpu->rflags = FL_IF | 2;
    cpu->gpr[RSP] = 0xb004;
    cpu->rip = 0x7777;
    QUIET(cpu_deliver_interrupt(cpu, 0x20));
    ck_assert_uint_eq(cpu->cpl, 0);
    ck_assert_uint_eq(cpu->seg[SS].sel, 0); // null, RPL = CPL
    ck_assert_uint_eq(cpu->gpr[RSP], STACK0 - 40);
    ck_assert_uint_eq(peek(STACK0 - 8, 8), DATA3);
    ck_assert_uint_eq(peek(STACK0 - 32, 8), CODE64_3);
    ck_assert_uint_eq(peek(STACK0 - 24, 8), FL_IF | 2); // interrupts push RF as it was
    cpu->seg[FS].base = 0x123456789000;                 // null selector with a base: survives
    cpu->seg[FS].sel = 0;
    QUIET(cpu_op_iret(cpu, 8));
    ck_assert_uint_eq(cpu->cpl, 3);
    ck_assert_uint_eq(cpu->rip, 0x7777);
    ck_assert_uint_eq(cpu->gpr[RSP], 0xb004);
    ck_assert_uint_eq(cpu->seg[FS].base, 0x123456789000);
    ck_assert_uint_eq(cpu->rflags, FL_IF | 2);
}
END_TEST

START_TEST(iret_to_compat_and_errors)
{
    machine_long();
    cpu->gpr[RSP] = 0x8000;
    const uint64_t frame[5] = {0x10007000, CODE3, FL_IF | 2, 0xb000, DATA3};
    memcpy(ram + 0x8000, frame, sizeof frame);
    QUIET(cpu_op_iret(cpu, 8));
    ck_assert_uint_eq(cpu->mode & (MODE_CS64 | MODE_CS32 | MODE_USER), MODE_CS32 | MODE_USER);
    ck_assert_uint_eq(cpu->rip, 0x10007000);

    cpu_reset(cpu);
    machine_long(); // to CPL 3 with a null SS, a wrong RPL, a non-canonical RIP
    memcpy(ram + 0x8000, frame, sizeof frame);
    poke(0x8020, 0, 8);
    RAISES(EXC_GP, 0, cpu_op_iret(cpu, 8));
    poke(0x8020, DATA0, 8);
    RAISES(EXC_GP, DATA0, cpu_op_iret(cpu, 8));
    poke(0x8020, DATA3, 8);
    poke(0x8008, CODE64_3, 8);
    poke(0x8000, 0x800000000000, 8);
    RAISES(EXC_GP, 0, cpu_op_iret(cpu, 8));
    ck_assert_uint_eq(cpu->gpr[RSP], 0x8000);
    ck_assert_uint_eq(cpu->cpl, 0);
    cpu->rflags |= FL_NT;
    RAISES(EXC_GP, 0, cpu_op_iret(cpu, 8));
}
END_TEST

START_TEST(vm86_round_trip)
{
    machine_protected();
    cpu->gpr[RSP] = 0x8000;
    const uint32_t frame[9] = {0x100,  0x1000, FL_VM | FL_IF | FL_IOPL | 2, 0xfffe, 0x2000, 0x3000, 0x4000,
                               0x5000, 0x6000};
    memcpy(ram + 0x8000, frame, sizeof frame);
    QUIET(cpu_op_iret(cpu, 4));
    ck_assert(cpu->rflags & FL_VM);
    ck_assert(cpu->mode & MODE_REAL);
    ck_assert_uint_eq(cpu->cpl, 3);
    ck_assert_uint_eq(cpu->seg[CS].base, 0x10000);
    ck_assert_uint_eq(cpu->seg[SS].base, 0x20000);
    ck_assert_uint_eq(cpu->seg[ES].base, 0x30000);
    ck_assert_uint_eq(cpu->seg[DS].base, 0x40000);
    ck_assert_uint_eq(cpu->seg[GS].base, 0x60000);
    set_gate(IDT + EXC_GP * 8, CODE0, 0x4000, 14, 0, 0);
    raise_and_deliver(EXC_GP, 0);
    ck_assert_uint_eq(cpu->cpl, 0);
    ck_assert(!(cpu->rflags & FL_VM));
    ck_assert_uint_eq(cpu->gpr[RSP], STACK0 - 40);
    ck_assert_uint_eq(peek(STACK0 - 4, 4), 0x6000);  // GS
    ck_assert_uint_eq(peek(STACK0 - 8, 4), 0x5000);  // FS
    ck_assert_uint_eq(peek(STACK0 - 12, 4), 0x4000); // DS
    ck_assert_uint_eq(peek(STACK0 - 16, 4), 0x3000); // ES
    ck_assert_uint_eq(peek(STACK0 - 20, 4), 0x2000); // SS
    ck_assert_uint_eq(cpu->seg[DS].sel, 0);
    cpu->gpr[RSP] += 4;
    QUIET(cpu_op_iret(cpu, 4));
    ck_assert(cpu->rflags & FL_VM);
    ck_assert_uint_eq(cpu->rip, 0x100);
    cpu->rflags &= ~(uint64_t)FL_IOPL; // IOPL 0 without VME: sensitive instructions fault
    RAISES(EXC_GP, 0, cpu_op_int(cpu, 0x21));
    RAISES(EXC_GP, 0, cpu_op_pushf(cpu, 2));
    RAISES(EXC_GP, 0, cpu_op_popf(cpu, 2, 2));
    RAISES(EXC_GP, 0, cpu_op_iret(cpu, 2));
    RAISES(EXC_GP, 0, cpu_op_cli(cpu));
}
END_TEST

START_TEST(vme_redirects_int)
{
    machine_protected();
    cpu->cr4 |= CR4_VME;
    poke(TSS + 0x66, 0x100, 2); // redirection map at E0h: all zero, all to the 8086 program
    const uint32_t frame[9] = {0x100, 0x1000, FL_VM | FL_VIF | 2, 0xfffe, 0x2000, 0, 0, 0, 0};
    memcpy(ram + 0x8000, frame, sizeof frame);
    QUIET(cpu_op_iret(cpu, 4));
    poke(0x21 * 4, 0x3000 << 16 | 0x1234, 4);
    cpu->next_rip = 0x102;
    QUIET(cpu_op_int(cpu, 0x21));
    ck_assert(cpu->rflags & FL_VM);
    ck_assert_uint_eq(cpu->rip, 0x1234);
    ck_assert(!(cpu->rflags & FL_VIF));
    ck_assert_uint_eq(peek(0x20000 + 0xfffc, 2), FL_IF | FL_IOPL | 2); // VIF shows as IF
    QUIET(cpu_op_iret(cpu, 2));
    ck_assert(cpu->rflags & FL_VIF);
    ck_assert_uint_eq(cpu->rip, 0x102);
    poke(TSS + 0xe0 + 0x21 / 8, 1 << (0x21 & 7), 1);
    RAISES(EXC_GP, 0, cpu_op_int(cpu, 0x21));
}
END_TEST

START_TEST(alignment_checks)
{
    machine_paged();
    QUIET(cpu_op_mov_to_cr(cpu, 0, cpu->cr0 | CR0_AM));
    cpu->rflags |= FL_AC;
    QUIET(cpu_load(cpu, DATA + 1, 4)); // CPL 0
    machine_set_cpl(3);
    ck_assert(cpu->mode & MODE_STEP);
    QUIET(cpu_load(cpu, DATA + 4, 4));
    RAISES(EXC_AC, 0, cpu_load(cpu, DATA + 2, 4));
    RAISES(EXC_AC, 0, cpu_store(cpu, DATA + 7, 0, 2));
    QUIET(cpu_load_sys(cpu, DATA + 2, 4));
    cpu->rflags &= ~(uint64_t)FL_AC;
    QUIET(cpu_load(cpu, DATA + 2, 4));
}
END_TEST

START_TEST(interrupt_windows)
{
    machine_protected();
    set_gate(IDT + EXC_NMI * 8, CODE0, 0x4000, 14, 0, 0);
    cpu_request(cpu, CPU_REQ_INTR);
    ck_assert(!cpu_interrupt_pending(cpu)); // IF clear
    QUIET(cpu_op_sti(cpu));
    ck_assert(cpu->mode & MODE_STEP);
    ck_assert(!cpu_interrupt_pending(cpu)); // shadow
    cpu->shadow_sti = 0;
    ck_assert(cpu_interrupt_pending(cpu));
    QUIET(cpu_op_load_sreg(cpu, SS, DATA0));
    ck_assert(!cpu_interrupt_pending(cpu));
    cpu->shadow_ss = 0;
    cpu_request_clear(cpu, CPU_REQ_INTR);
    cpu_request(cpu, CPU_REQ_NMI);
    ck_assert(cpu_interrupt_pending(cpu));
    QUIET(cpu_take_interrupt(cpu));
    ck_assert_uint_eq(cpu->rip, 0x4000);
    ck_assert(cpu->nmi_blocked);
    cpu_request(cpu, CPU_REQ_NMI);
    ck_assert(!cpu_interrupt_pending(cpu));
    QUIET(cpu_op_iret(cpu, 4));
    ck_assert(cpu_interrupt_pending(cpu));
}
END_TEST

static TCase *cases(void)
{
    TCase *t = tcase_create("exceptions");
    tcase_add_test(t, real_mode_int_and_iret);
    tcase_add_test(t, protected_same_level);
    tcase_add_test(t, protected_inner_and_back);
    tcase_add_test(t, gate_errors);
    tcase_add_test(t, bad_inner_stack);
    tcase_add_test(t, double_fault);
    tcase_add_test(t, benign_then_contributory_is_serial);
    tcase_add_test(t, triple_fault);
    tcase_add_test(t, page_fault_sets_cr2);
    tcase_add_test(t, long_mode_ist_and_alignment);
    tcase_add_test(t, long_mode_from_user);
    tcase_add_test(t, iret_to_compat_and_errors);
    tcase_add_test(t, vm86_round_trip);
    tcase_add_test(t, vme_redirects_int);
    tcase_add_test(t, alignment_checks);
    tcase_add_test(t, interrupt_windows);
    return t;
}

int main(void) { return machine_run_suite("exception", (TCase * (*const[])(void)){cases}, 1); }
