// SPDX-License-Identifier: MIT
// Control and debug registers, MSRs, fast system calls, flags, and port I/O rights.
#include "machine.h"

static void wrmsr(uint32_t msr, uint64_t v)
{
    cpu->gpr[RCX] = msr;
    cpu->gpr[RAX] = (uint32_t)v;
    cpu->gpr[RDX] = v >> 32;
    cpu_op_wrmsr(cpu);
}

static uint64_t rdmsr(uint32_t msr)
{
    cpu->gpr[RCX] = msr;
    cpu_op_rdmsr(cpu);
    return cpu->gpr[RDX] << 32 | cpu->gpr[RAX];
}

START_TEST(cr_checks)
{
    machine_protected();
    RAISES(EXC_GP, 0, cpu_op_mov_to_cr(cpu, 0, CR0_PG));
    RAISES(EXC_GP, 0, cpu_op_mov_to_cr(cpu, 0, CR0_PE | CR0_NW));
    RAISES(EXC_GP, 0, cpu_op_mov_to_cr(cpu, 4, BIT(12))); // LA57
    RAISES(EXC_GP, 0, cpu_op_mov_to_cr(cpu, 4, CR4_PCIDE));
    RAISES(EXC_UD, -1, cpu_op_mov_to_cr(cpu, 1, 0));
    RAISES(EXC_UD, -1, cpu_op_mov_from_cr(cpu, 5));
    QUIET(cpu_op_lmsw(cpu, 0)); // cannot clear PE
    ck_assert(cpu->cr0 & CR0_PE);
    QUIET(cpu_op_lmsw(cpu, 9));
    ck_assert(cpu->cr0 & CR0_TS);
    ck_assert(cpu->mode & MODE_FPU_OFF);
    QUIET(cpu_op_clts(cpu));
    ck_assert(!(cpu->mode & MODE_FPU_OFF));
    machine_set_cpl(3);
    RAISES(EXC_GP, 0, cpu_op_mov_from_cr(cpu, 0));
    RAISES(EXC_GP, 0, cpu_op_hlt(cpu));
    RAISES(EXC_GP, 0, cpu_op_invlpg(cpu, 0));
}
END_TEST

START_TEST(long_mode_rules)
{
    machine_long();
    RAISES(EXC_GP, 0, cpu_op_mov_to_cr(cpu, 4, 0));                  // PAE cannot go
    RAISES(EXC_GP, 0, cpu_op_mov_to_cr(cpu, 0, cpu->cr0 & ~CR0_PG)); // from 64-bit code
    RAISES(EXC_GP, 0, wrmsr(0xc0000080, EFER_SCE));                  // LME while PG
    RAISES(EXC_GP, 0, wrmsr(0xc0000080, cpu->efer | BIT(12)));       // SVME
    RAISES(EXC_GP, 0, cpu_op_mov_to_cr(cpu, 3, BIT(50)));
    RAISES(EXC_GP, 0, cpu_op_mov_to_cr(cpu, 0, cpu->cr0 | BIT(40)));
    QUIET(cpu_op_mov_to_cr(cpu, 4, cpu->cr4 | CR4_PCIDE));
    QUIET(cpu_op_mov_to_cr(cpu, 3, PT | 5 | BIT(63)));
    ck_assert_uint_eq(cpu->cr3, PT | 5); // bit 63 is not kept
    RAISES(EXC_GP, 0, cpu_op_mov_to_cr(cpu, 0, cpu->cr0 & ~CR0_PG));
    QUIET(cpu_op_mov_to_cr(cpu, 4, cpu->cr4 & ~CR4_PCIDE));
    RAISES(EXC_GP, 0, cpu_op_mov_to_cr(cpu, 4, cpu->cr4 | CR4_PCIDE)); // CR3[11:0] is not 0
    QUIET(cpu_op_far_jmp(cpu, CODE0, 0x7000, 4));                      // compatibility mode: paging may go
    QUIET(cpu_op_mov_to_cr(cpu, 0, cpu->cr0 & ~CR0_PG));
    ck_assert(!(cpu->efer & EFER_LMA));
    ck_assert(cpu->efer & EFER_LME);
}
END_TEST

START_TEST(pae_pdptes)
{
    machine_protected();
    poke(PT, (PT + 0x1000) | 1, 8);
    poke(PT + 8, 0, 8);
    poke(PT + 16, BIT(1) | 1, 8); // reserved bit
    poke(PT + 24, 0, 8);
    QUIET(cpu_op_mov_to_cr(cpu, 4, CR4_PAE));
    QUIET(cpu_op_mov_to_cr(cpu, 3, PT));
    RAISES(EXC_GP, 0, cpu_op_mov_to_cr(cpu, 0, cpu->cr0 | CR0_PG));
    ck_assert(!(cpu->cr0 & CR0_PG));
    poke(PT + 16, 0, 8);
    poke(PT + 0x1000, 0x83 | 0, 8); // 2 MiB
    QUIET(cpu_op_mov_to_cr(cpu, 0, cpu->cr0 | CR0_PG));
    uint64_t v = 0;
    poke(0x7000, 0x55, 1);
    QUIET(v = cpu_load(cpu, 0x7000, 1));
    ck_assert_uint_eq(v, 0x55);
}
END_TEST

START_TEST(msrs)
{
    uint64_t v = 0;
    machine_protected();
    RAISES(EXC_GP, 0, rdmsr(0x12345));
    RAISES(EXC_GP, 0, wrmsr(0xc0000100, 0x800000000000));
    QUIET(wrmsr(0xc0000101, 0xffff888000000000));
    ck_assert_uint_eq(cpu->seg[GS].base, 0xffff888000000000);
    RAISES(EXC_GP, 0, wrmsr(0x277, 2)); // PAT: 2 is no memory type
    QUIET(wrmsr(0x277, 0x0007040600070401));
    QUIET(v = rdmsr(0x277));
    ck_assert_uint_eq(v, 0x0007040600070401);
    RAISES(EXC_GP, 0, wrmsr(0xda0, 1)); // XSS: no supervisor component
    QUIET(wrmsr(0x10, 1000));           // TSC, and TSC_ADJUST with it
    QUIET(v = rdmsr(0x10));
    ck_assert(v >= 1000 && v < 1000 + (1ull << 33));
    uint64_t adjust = cpu->tsc_adjust, offset = cpu->tsc_offset;
    QUIET(wrmsr(0x3b, adjust + 77));
    ck_assert_uint_eq(cpu->tsc_offset, offset + 77);
    QUIET(v = rdmsr(0xc0010015)); // HWCR: read without asking by Linux
    QUIET(wrmsr(0xc0011029, 2));
    machine_set_cpl(3);
    RAISES(EXC_GP, 0, rdmsr(0x10));
}
END_TEST

START_TEST(syscall_sysret)
{
    machine_long();
    cpu->star = (uint64_t)CODE64 << 32 | (uint64_t)(0x20 | 3) << 48; // user: 30h code, 28h stack
    cpu->lstar = 0xffffffff81000000;
    cpu->sfmask = FL_IF | FL_TF | FL_AC;
    machine_set_cpl(3);
    cpu->rflags = FL_IF | FL_CF | FL_AC | FL_RF | 2;
    cpu->next_rip = 0x401002;
    QUIET(cpu_op_syscall(cpu));
    ck_assert_uint_eq(cpu->cpl, 0);
    ck_assert(!(cpu->mode & MODE_USER));
    ck_assert_uint_eq(cpu->rip, 0xffffffff81000000);
    ck_assert_uint_eq(cpu->gpr[RCX], 0x401002);
    ck_assert_uint_eq(cpu->gpr[R11], FL_IF | FL_CF | FL_AC | 2);
    ck_assert_uint_eq(cpu->rflags, FL_CF | 2);
    ck_assert_uint_eq(cpu->seg[CS].sel, CODE64);
    ck_assert_uint_eq(cpu->seg[SS].sel, CODE64 + 8);
    cpu->gpr[RCX] = 0x800000000000;
    RAISES(EXC_GP, 0, cpu_op_sysret(cpu, 8));
    ck_assert_uint_eq(cpu->cpl, 0);
    cpu->gpr[RCX] = 0x401002;
    QUIET(cpu_op_sysret(cpu, 8));
    ck_assert_uint_eq(cpu->cpl, 3);
    ck_assert_uint_eq(cpu->seg[CS].sel, CODE64_3);
    ck_assert_uint_eq(cpu->seg[SS].sel, 0x28 | 3);
    ck_assert_uint_eq(cpu->rflags, FL_IF | FL_CF | FL_AC | 2);
    ck_assert(cpu->mmu.user);
    cpu->efer &= ~EFER_SCE;
    RAISES(EXC_UD, -1, cpu_op_syscall(cpu));
}
END_TEST

START_TEST(sysenter_sysexit)
{
    machine_protected();
    machine_set_cpl(3);
    RAISES(EXC_GP, 0, cpu_op_sysenter(cpu)); // CS is null
    cpu->sysenter_cs = CODE0;
    cpu->sysenter_eip = 0x4000;
    cpu->sysenter_esp = 0x9000;
    cpu->rflags = FL_IF | 2;
    QUIET(cpu_op_sysenter(cpu));
    ck_assert_uint_eq(cpu->cpl, 0);
    ck_assert_uint_eq(cpu->rip, 0x4000);
    ck_assert_uint_eq(cpu->gpr[RSP], 0x9000);
    ck_assert_uint_eq(cpu->rflags, 2);
    cpu->gpr[RCX] = 0xb000;
    cpu->gpr[RDX] = 0x7000;
    QUIET(cpu_op_sysexit(cpu, 4));
    ck_assert_uint_eq(cpu->cpl, 3);
    ck_assert_uint_eq(cpu->seg[CS].sel, CODE3);
    ck_assert_uint_eq(cpu->gpr[RSP], 0xb000);
    RAISES(EXC_GP, 0, cpu_op_sysexit(cpu, 4));
}
END_TEST

START_TEST(debug_registers)
{
    machine_protected();
    QUIET(cpu_op_mov_to_dr(cpu, 7, 0xffffffff));
    ck_assert_uint_eq(cpu->dr[7], 0xffff27ff);
    ck_assert(cpu->mode & MODE_STEP);
    RAISES(EXC_DB, -1, cpu_op_mov_to_dr(cpu, 0, 0)); // GD
    set_gate(IDT + EXC_DB * 8, CODE0, 0x4000, 14, 0, 0);
    QUIET(cpu_deliver_exception(cpu));
    ck_assert(cpu->dr[6] & BIT(13));
    ck_assert(!(cpu->dr[7] & BIT(13)));
    QUIET(cpu_op_mov_to_dr(cpu, 5, 0)); // alias of DR7
    ck_assert_uint_eq(cpu->dr[7], 0x400);
    QUIET(cpu_op_mov_to_dr(cpu, 6, 0));
    ck_assert_uint_eq(cpu->dr[6], 0xffff0ff0);
    cpu->cr4 |= CR4_DE;
    RAISES(EXC_UD, -1, cpu_op_mov_to_dr(cpu, 5, 0));
}
END_TEST

START_TEST(flags_and_iopl)
{
    machine_protected();
    cpu->rflags = FL_IF | 2;
    QUIET(cpu_op_popf(cpu, 0xffffffff, 4));
    ck_assert_uint_eq(cpu->rflags, (FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_AC | FL_ID | 2));
    ck_assert(cpu->mode & MODE_STEP);
    ck_assert(cpu->mmu.ac);
    QUIET(cpu_op_popf(cpu, 0, 2)); // the upper half stays
    ck_assert_uint_eq(cpu->rflags, FL_AC | FL_ID | 2);
    machine_set_cpl(3);
    QUIET(cpu_op_popf(cpu, FL_IF | FL_IOPL | FL_CF, 4));
    ck_assert_uint_eq(cpu->rflags, FL_CF | 2);
    RAISES(EXC_GP, 0, cpu_op_cli(cpu));
    RAISES(EXC_GP, 0, cpu_op_sti(cpu));
    cpu->cr4 |= CR4_PVI;
    QUIET(cpu_op_sti(cpu));
    ck_assert(cpu->rflags & FL_VIF);
    ck_assert(!(cpu->rflags & FL_IF));
    cpu->rflags |= FL_VIP;
    RAISES(EXC_GP, 0, cpu_op_sti(cpu));
    RAISES(EXC_UD, -1, cpu_op_stac(cpu, true));
}
END_TEST

static uint64_t port_value;
static unsigned port_reads;
static uint64_t port_read(void *opaque, uint64_t offset, unsigned size) { return port_reads++, 0x1234567 + offset; }
static void port_write(void *opaque, uint64_t offset, uint64_t v, unsigned size) { port_value = v << 8 | size; }
static const struct io_ops port_ops = {.read = port_read, .write = port_write};

START_TEST(port_rights)
{
    uint64_t v = 0;
    machine_protected();
    ck_assert_ptr_nonnull(as_map_io(cpu->ports, "test", 0x80, 8, &port_ops, NULL, 0));
    QUIET(v = cpu_op_in(cpu, 0x80, 2));
    ck_assert_uint_eq(v, 0x4567);
    machine_set_cpl(3);
    QUIET(cpu_op_out(cpu, 0x80, 0xabcd1234, 1)); // bitmap of zeros at 68h
    ck_assert_uint_eq(port_value, 0x34 << 8 | 1);
    poke(TSS + 0x68 + 0x80 / 8, 2, 1); // 81h denied
    RAISES(EXC_GP, 0, cpu_op_in(cpu, 0x80, 2));
    QUIET(cpu_op_in(cpu, 0x80, 1));
    cpu->tr.limit = 0x68 + 0x80 / 8; // the byte after the last bit must exist
    RAISES(EXC_GP, 0, cpu_op_in(cpu, 0x80, 1));
    cpu->rflags |= FL_IOPL;
    QUIET(cpu_op_in(cpu, 0x80, 2));
    // INS must not read the port if the store would fault.
    unsigned before = port_reads;
    cpu->gpr[RDX] = 0x80;
    cpu->gpr[RDI] = 0;
    set_desc(SPARE, 0x2000, 0xff, 0xf100); // read-only
    QUIET(cpu_op_load_sreg(cpu, ES, SPARE | 3));
    RAISES(EXC_GP, 0, cpu_op_string(cpu, STR_INS, 1, 4, REP_NONE, DS));
    ck_assert_uint_eq(port_reads, before);
}
END_TEST

START_TEST(xcr0_rules)
{
    machine_long();
    cpu->gpr[RCX] = cpu->gpr[RDX] = 0;
    cpu->gpr[RAX] = 3;
    RAISES(EXC_UD, -1, cpu_op_xsetbv(cpu));
    QUIET(cpu_op_mov_to_cr(cpu, 4, cpu->cr4 | CR4_OSXSAVE));
    QUIET(cpu_op_xsetbv(cpu));
    cpu->gpr[RAX] = 2;
    RAISES(EXC_GP, 0, cpu_op_xsetbv(cpu)); // x87 cannot go
    cpu->gpr[RAX] = 5;
    RAISES(EXC_GP, 0, cpu_op_xsetbv(cpu)); // AVX without SSE
    cpu->gpr[RAX] = 0x27;
    RAISES(EXC_GP, 0, cpu_op_xsetbv(cpu)); // a third of AVX-512
    cpu->gpr[RAX] = 1 << 9;
    RAISES(EXC_GP, 0, cpu_op_xsetbv(cpu)); // PKRU
    ck_assert_uint_eq(cpu->xcr0, 3);
    if (cpu->model->xcr0_mask & 4) {
        ck_assert(cpu->mode & MODE_AVX_OFF);
        cpu->gpr[RAX] = 7;
        QUIET(cpu_op_xsetbv(cpu));
        ck_assert(!(cpu->mode & MODE_AVX_OFF));
    }
}
END_TEST

static TCase *cases(void)
{
    TCase *t = tcase_create("system");
    tcase_add_test(t, cr_checks);
    tcase_add_test(t, long_mode_rules);
    tcase_add_test(t, pae_pdptes);
    tcase_add_test(t, msrs);
    tcase_add_test(t, syscall_sysret);
    tcase_add_test(t, sysenter_sysexit);
    tcase_add_test(t, debug_registers);
    tcase_add_test(t, flags_and_iopl);
    tcase_add_test(t, port_rights);
    tcase_add_test(t, xcr0_rules);
    return t;
}

int main(void) { return machine_run_suite("system", (TCase * (*const[])(void)){cases}, 1); }
