// SPDX-License-Identifier: MIT
// System management mode: the state that an SMI saves and the handler sees, and what RSM brings back.
#include "machine.h"

enum { SMBASE = 0x30000, AREA = SMBASE + 0xfe00 };

static unsigned entered, left;

static void changed(void *opaque, bool in_smm)
{
    if (in_smm)
        entered++;
    else
        left++;
}

static void smi(void)
{
    entered = left = 0;
    cpu->smm_changed = changed;
    cpu_request(cpu, CPU_REQ_SMI);
    ck_assert(cpu_interrupt_pending(cpu));
    QUIET(cpu_take_interrupt(cpu));
    ck_assert(cpu->in_smm && entered == 1);
}

static void check_handler_state(void)
{
    ck_assert_uint_eq(cpu->rip, 0x8000);
    ck_assert_uint_eq(cpu->seg[CS].base, SMBASE);
    ck_assert_uint_eq(cpu->seg[CS].sel, SMBASE >> 4);
    ck_assert_uint_eq(cpu->seg[DS].base, 0);
    ck_assert_uint_eq(cpu->seg[DS].limit, 0xffffffff);
    ck_assert_uint_eq(cpu->cr0 & (CR0_PE | CR0_PG | CR0_TS | CR0_EM), 0);
    ck_assert_uint_eq(cpu->cr4 | cpu->efer, 0);
    ck_assert_uint_eq(cpu->rflags, 2);
    ck_assert_uint_eq(cpu->cpl, 0);
    ck_assert((cpu->mode & (MODE_REAL | MODE_CS32 | MODE_CS64)) == MODE_REAL);
    ck_assert_uint_eq(peek(AREA + 0xfc, 4), 0x20064); // revision
    ck_assert_uint_eq(peek(AREA + 0x100, 4), SMBASE);
}

// The same CPU comes back, from whatever mode.
static void round_trip(void)
{
    struct cpu before;

    for (unsigned i = 0; i < 16; i++)
        cpu->gpr[i] = 0x1111111111111111ull * i;
    cpu->rip = 0x7654;
    cpu_set_rflags(cpu, cpu->rflags | FL_CF | FL_ZF | FL_DF | FL_IF);
    memcpy(&before, cpu, offsetof(struct cpu, exc));
    smi();
    check_handler_state();
    ck_assert_uint_eq(peek(AREA + 0x178, 8), 0x7654);
    ck_assert_uint_eq(peek(AREA + 0x1f8, 8), 0);                  // RAX
    ck_assert_uint_eq(peek(AREA + 0x180, 8), 0xffffffffffffffff); // R15
    ck_assert_uint_eq(peek(AREA + 0x1f0, 8), 0x1111111111111111); // RCX
    for (unsigned i = 0; i < 16; i++)
        cpu->gpr[i] = 0x5a5a;
    cpu_op_far_jmp(cpu, 0, 0x1234, 2);
    QUIET(cpu_op_rsm(cpu));
    ck_assert(!cpu->in_smm && left == 1);
    ck_assert_mem_eq(cpu->gpr, before.gpr, sizeof(before.gpr));
    ck_assert_uint_eq(cpu->rip, 0x7654);
    ck_assert_uint_eq(cpu->rflags, before.rflags);
    for (unsigned i = 0; i < SREG_COUNT; i++) {
        ck_assert_uint_eq(cpu->seg[i].base, before.seg[i].base);
        ck_assert_uint_eq(cpu->seg[i].limit, before.seg[i].limit);
        ck_assert_uint_eq(cpu->seg[i].attr, before.seg[i].attr);
        ck_assert_uint_eq(cpu->seg[i].sel, before.seg[i].sel);
    }
    ck_assert_uint_eq(cpu->cr0, before.cr0);
    ck_assert_uint_eq(cpu->cr3, before.cr3);
    ck_assert_uint_eq(cpu->cr4, before.cr4);
    ck_assert_uint_eq(cpu->efer, before.efer);
    ck_assert_uint_eq(cpu->cpl, before.cpl);
    ck_assert_uint_eq(cpu->mode, before.mode);
    ck_assert_uint_eq(cpu->idtr.base, before.idtr.base);
    ck_assert_uint_eq(cpu->gdtr.limit, before.gdtr.limit);
    ck_assert_uint_eq(cpu->tr.attr, before.tr.attr);
    ck_assert_uint_eq(cpu->mmu.pg.cr0, before.cr0);
    ck_assert_uint_eq(cpu->mmu.pg.cr3, before.cr3);
}

START_TEST(from_every_mode)
{
    static void (*const modes[])(void) = {NULL, machine_protected, machine_paged, machine_paged, machine_long};

    if (modes[_i]) // else real mode, as after reset
        modes[_i]();
    if (_i == 3)
        machine_set_cpl(3);
    if (_i == 4) { // with every bit that Linux may set (AUTOIBRS)
        cpu->gpr[RCX] = 0xc0000080;
        cpu->gpr[RAX] = (uint32_t)cpu->model->efer_mask;
        cpu->gpr[RDX] = 0;
        QUIET(cpu_op_wrmsr(cpu));
    }
    round_trip();
}
END_TEST

START_TEST(relocates)
{
    machine_protected();
    smi();
    poke(AREA + 0x100, 0x80000, 4);
    QUIET(cpu_op_rsm(cpu));
    ck_assert_uint_eq(cpu->smbase, 0x80000);
    smi();
    ck_assert_uint_eq(cpu->seg[CS].base, 0x80000);
    ck_assert_uint_eq(peek(0x80000 + 0xff00, 4), 0x80000);
    QUIET(cpu_op_rsm(cpu));
    cpu_reset(cpu);
    ck_assert_uint_eq(cpu->smbase, SMBASE);
}
END_TEST

START_TEST(halt_and_blocking)
{
    machine_protected();
    cpu->halted = true;
    smi();
    ck_assert(!cpu->halted);
    cpu_request(cpu, CPU_REQ_SMI | CPU_REQ_NMI | CPU_REQ_INIT);
    ck_assert(!cpu_interrupt_pending(cpu)); // all wait for RSM
    QUIET(cpu_op_rsm(cpu));
    ck_assert(cpu->halted); // back into the HLT
    ck_assert(cpu_interrupt_pending(cpu));
    cpu_request_clear(cpu, CPU_REQ_SMI | CPU_REQ_NMI | CPU_REQ_INIT);
    smi();
    poke(AREA + 0xc9, 0, 1); // the handler may say otherwise
    QUIET(cpu_op_rsm(cpu));
    ck_assert(!cpu->halted);
}
END_TEST

START_TEST(rsm_elsewhere)
{
    machine_protected();
    RAISES(EXC_UD, -1, cpu_op_rsm(cpu));
}
END_TEST

START_TEST(impossible_states)
{
    static const struct {
        unsigned at;
        uint64_t value;
        const char *what;
    } rows[] = {
        {0x158, CR0_PG, "PG without PE"},
        {0x158, CR0_PE | CR0_NW, "NW without CD"},
        {0x158, BIT(40), "a reserved bit of CR0"},
        {0x148, BIT(12), "a reserved bit of CR4"},
        {0x148, CR4_PCIDE, "PCIDE outside long mode"},
        {0x0d0, EFER_LMA, "LMA without LME"},
        {0x0d0, BIT(12), "a reserved bit of EFER"},
        {0x150, BIT(40), "CR3 above 4 GiB"},
        {0x178, BIT(60), "RIP that is not canonical"},
        {0x028, BIT(62), "a segment base that is not canonical"},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        machine_protected();
        smi();
        poke(AREA + rows[i].at, rows[i].value, 8);
        QUIET(cpu_op_rsm(cpu));
        ck_assert_msg(cpu_requests(cpu) & CPU_REQ_RESET, "%s was taken", rows[i].what);
        cpu_request_clear(cpu, CPU_REQ_RESET);
        cpu_reset(cpu);
    }
}
END_TEST

static TCase *make_case(void)
{
    TCase *t = tcase_create("smm");

    tcase_add_loop_test(t, from_every_mode, 0, 5);
    tcase_add_test(t, relocates);
    tcase_add_test(t, halt_and_blocking);
    tcase_add_test(t, rsm_elsewhere);
    tcase_add_test(t, impossible_states);
    return t;
}

int main(void)
{
    static TCase *(*const cases[])(void) = {make_case};

    return machine_run_suite("smm", cases, 1);
}
