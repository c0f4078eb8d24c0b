// SPDX-License-Identifier: MIT
// FXSAVE and the XSAVE family on guest memory, and the moves of the state between host registers and the area.
#include "machine.h"

enum { AREA = DATA, HEADER = 512 };

// The guest's state goes into cpu->xsave while it is not live.
static void put_xmm(unsigned n, uint8_t fill) { memset(cpu->xsave + 160 + 16 * n, fill, 16); }
static uint8_t get_xmm(unsigned n) { return cpu->xsave[160 + 16 * n]; }
static uint64_t *host_header(void) { return (uint64_t *)(cpu->xsave + HEADER); }

static void with_xsave(uint64_t mask)
{
    machine_long();
    QUIET(cpu_op_mov_to_cr(cpu, 4, cpu->cr4 | CR4_OSXSAVE));
    cpu->xcr0 = cpu->model->xcr0_mask & mask;
    cpu_update_mode(cpu);
    cpu->mode |= MODE_CS64; // else the upper registers take no part
    cpu->gpr[RAX] = cpu->gpr[RDX] = 0xffffffff;
}

START_TEST(host_round_trip)
{
    put_xmm(3, 0x33);
    *(uint16_t *)cpu->xsave = 0x27f;
    *(uint32_t *)(cpu->xsave + 24) = 0x1fa0;
    host_header()[0] |= 3;
    cpu_fpu_load(cpu);
    ck_assert(cpu->fpu_live);
    uint8_t x[16];
    uint16_t fcw;
    uint32_t mxcsr;
    __asm__ volatile("movups %%xmm3, %0; fnstcw %1; stmxcsr %2" : "=m"(x), "=m"(fcw), "=m"(mxcsr));
    __asm__ volatile("movups %0, %%xmm4" : : "m"(x));
    cpu_fpu_save(cpu);
    ck_assert_uint_eq(x[5], 0x33);
    ck_assert_uint_eq(fcw, 0x27f);
    ck_assert_uint_eq(mxcsr, 0x1fa0);
    ck_assert_uint_eq(get_xmm(4), 0x33);
    ck_assert_uint_eq(*(uint16_t *)cpu->xsave, 0x27f);
    __asm__ volatile("fnstcw %0; stmxcsr %1" : "=m"(fcw), "=m"(mxcsr)); // C code has its own
    ck_assert_uint_eq(fcw, 0x37f);
    ck_assert_uint_eq(mxcsr & 0xffc0, 0x1f80);
}
END_TEST

START_TEST(fxsave_modes)
{
    machine_paged();
    cpu->cr4 |= CR4_OSFXSR;
    for (unsigned i = 0; i < 16; i++)
        put_xmm(i, 0x10 + i);
    memset(ram + AREA, 0xee, 512);
    QUIET(cpu_op_xstate(cpu, X_FXSAVE, AREA, false));
    ck_assert(!cpu->fpu_live);
    ck_assert_uint_eq(ram[AREA + 160 + 16 * 7], 0x17);
    ck_assert_uint_eq(ram[AREA + 160 + 16 * 8], 0xee); // 32-bit code has eight
    memset(ram + AREA + 160, 0x77, 16);
    memset(ram + AREA + 160 + 16 * 8, 0x99, 16);
    QUIET(cpu_op_xstate(cpu, X_FXRSTOR, AREA, false));
    ck_assert_uint_eq(get_xmm(0), 0x77);
    ck_assert_uint_eq(get_xmm(8), 0x18);
    poke(AREA + 24, 0x80001f80, 4);
    RAISES(EXC_GP, 0, cpu_op_xstate(cpu, X_FXRSTOR, AREA, false)); // reserved MXCSR bit
    ck_assert(!cpu->fpu_live);
    RAISES(EXC_GP, 0, cpu_op_xstate(cpu, X_FXSAVE, AREA + 8, false));
    cpu->cr0 |= CR0_TS;
    RAISES(EXC_NM, -1, cpu_op_xstate(cpu, X_FXSAVE, AREA, false));
}
END_TEST

// Fills every component with something of its own; returns the mask used.
static uint64_t fill_components(void)
{
    uint64_t mask = cpu->xcr0;
    for (unsigned i = 0; i < 16; i++)
        put_xmm(i, 0x40 + i);
    for (unsigned i = 2; i < 8; i++)
        if (mask >> i & 1)
            memset(cpu->xsave + cpu->model->xcomp[i].offset, 0x60 + i, cpu->model->xcomp[i].size);
    host_header()[0] = mask;
    return mask;
}

static void check_components(uint64_t mask)
{
    for (unsigned i = 0; i < 16; i++)
        ck_assert_uint_eq(get_xmm(i), mask & 2 ? 0x40 + i : 0);
    for (unsigned i = 2; i < 8; i++)
        for (unsigned b = 0; cpu->xcr0 >> i & 1 && b < cpu->model->xcomp[i].size; b++)
            ck_assert_uint_eq(cpu->xsave[cpu->model->xcomp[i].offset + b], mask >> i & 1 ? 0x60 + i : 0);
}

// cpu->xsave after a load and save by the host: initial components read as zero.
static void normalise(void)
{
    cpu_fpu_load(cpu);
    cpu_fpu_save(cpu);
}

START_TEST(xsave_round_trips)
{
    static const enum xstate_op save[] = {X_XSAVE, X_XSAVEOPT, X_XSAVEC, X_XSAVES};
    static const unsigned at[] = {AREA, AREA + 0xf00}; // in one page, over a page end
    with_xsave(~0ull);
    for (unsigned i = 0; i < ARRAY_SIZE(save) * ARRAY_SIZE(at); i++) {
        enum xstate_op op = save[i / 2];
        bool compact = op >= X_XSAVEC;
        unsigned ea = at[i & 1];
        memset(ram + AREA, compact ? 0xee : 0, 0x4000);
        uint64_t mask = fill_components();
        QUIET(cpu_op_xstate(cpu, op, ea, true));
        ck_assert_uint_eq(peek(ea + HEADER, 8) & ~1ull, mask & ~1ull);
        ck_assert_uint_eq(peek(ea + HEADER + 8, 8), compact ? mask | BIT(63) : 0);
        ck_assert_uint_eq(peek(ea + 8, 8), 0); // no host pointers
        cpu_fpu_reset(cpu);
        if (compact)
            memset(ram + ea + HEADER + 16, 0, 48); // software's duty
        QUIET(cpu_op_xstate(cpu, op == X_XSAVES ? X_XRSTORS : X_XRSTOR, ea, true));
        check_components(mask);
    }
}
END_TEST

START_TEST(partial_masks)
{
    with_xsave(~0ull);
    if (!(cpu->xcr0 & 4))
        return;
    uint64_t all = fill_components();
    memset(ram + AREA, 0xee, 0x2000);
    memset(ram + AREA + HEADER, 0, 64);
    poke(AREA + HEADER, 2, 8);
    cpu->gpr[RAX] = 4; // AVX only: SSE's bytes stay, its header bit too, MXCSR goes with AVX
    QUIET(cpu_op_xstate(cpu, X_XSAVE, AREA, true));
    ck_assert_uint_eq(peek(AREA + HEADER, 8), 6);
    ck_assert_uint_eq(ram[AREA + 160], 0xee);
    ck_assert_uint_eq(peek(AREA + 24, 4), 0x1f80);
    ck_assert_uint_eq(ram[AREA + cpu->model->xcomp[2].offset], 0x62);
    // Restoring a component whose header bit is clear initialises it; others in the mask's outside stay.
    poke(AREA + HEADER, 0, 8);
    QUIET(cpu_op_xstate(cpu, X_XRSTOR, AREA, true));
    normalise();
    check_components(all & ~4ull);
}
END_TEST

START_TEST(init_optimisation)
{
    with_xsave(7);
    if (!(cpu->xcr0 & 4))
        return;
    fill_components();
    host_header()[0] = 3; // AVX is initial
    memset(ram + AREA, 0xee, 0x1000);
    memset(ram + AREA + HEADER, 0, 64);
    poke(AREA + HEADER, 4, 8);
    QUIET(cpu_op_xstate(cpu, X_XSAVEOPT, AREA, true));
    ck_assert_uint_eq(peek(AREA + HEADER, 8) & 6, 2);
    ck_assert_uint_eq(ram[AREA + cpu->model->xcomp[2].offset], 0xee); // not written
    QUIET(cpu_op_xstate(cpu, X_XSAVE, AREA, true));
    ck_assert_uint_eq(ram[AREA + cpu->model->xcomp[2].offset], 0);
}
END_TEST

// 32-bit code has XMM0..7: the others are neither stored nor loaded.
START_TEST(compatibility_mode)
{
    with_xsave(3);
    QUIET(cpu_op_far_jmp(cpu, CODE0, 0x7000, 4));
    ck_assert(!(cpu->mode & MODE_CS64));
    fill_components();
    memset(ram + AREA, 0xee, 0x1000);
    memset(ram + AREA + HEADER, 0, 64);
    QUIET(cpu_op_xstate(cpu, X_XSAVE, AREA, false));
    ck_assert_uint_eq(ram[AREA + 160 + 16 * 7], 0x47);
    ck_assert_uint_eq(ram[AREA + 160 + 16 * 8], 0xee);
    memset(ram + AREA + 160, 0x99, 256);
    QUIET(cpu_op_xstate(cpu, X_XRSTOR, AREA, false));
    ck_assert_uint_eq(get_xmm(7), 0x99);
    ck_assert_uint_eq(get_xmm(8), 0x48);
}
END_TEST

START_TEST(bad_headers)
{
    with_xsave(3);
    memset(ram + AREA, 0, 0x1000);
    poke(AREA + 24, 0x1f80, 4);
    QUIET(cpu_op_xstate(cpu, X_XRSTOR, AREA, true));
    poke(AREA + HEADER, 4, 8); // not in XCR0
    RAISES(EXC_GP, 0, cpu_op_xstate(cpu, X_XRSTOR, AREA, true));
    poke(AREA + HEADER, 1, 8);
    poke(AREA + HEADER + 16, 1, 8); // reserved
    RAISES(EXC_GP, 0, cpu_op_xstate(cpu, X_XRSTOR, AREA, true));
    poke(AREA + HEADER + 16, 0, 8);
    poke(AREA + HEADER + 8, 1, 8); // XCOMP_BV without bit 63
    RAISES(EXC_GP, 0, cpu_op_xstate(cpu, X_XRSTOR, AREA, true));
    poke(AREA + HEADER + 8, 0, 8);
    RAISES(EXC_GP, 0, cpu_op_xstate(cpu, X_XRSTORS, AREA, true)); // wants the compacted form
    poke(AREA + HEADER + 8, BIT(63) | 2, 8);                      // XSTATE_BV has what XCOMP_BV lacks
    RAISES(EXC_GP, 0, cpu_op_xstate(cpu, X_XRSTOR, AREA, true));
    poke(AREA + HEADER + 8, BIT(63) | 3, 8);
    QUIET(cpu_op_xstate(cpu, X_XRSTORS, AREA, true));
    poke(AREA + HEADER + 56, 1, 8);
    RAISES(EXC_GP, 0, cpu_op_xstate(cpu, X_XRSTOR, AREA, true));
    poke(AREA + HEADER + 56, 0, 8);
    poke(AREA + HEADER, 2, 8);
    poke(AREA + 24, 0xffff0000, 4);
    RAISES(EXC_GP, 0, cpu_op_xstate(cpu, X_XRSTOR, AREA, true));
    RAISES(EXC_GP, 0, cpu_op_xstate(cpu, X_XSAVE, AREA + 32, true));
    machine_set_cpl(3);
    RAISES(EXC_GP, 0, cpu_op_xstate(cpu, X_XSAVES, AREA, true));
    cpu->cr4 &= ~CR4_OSXSAVE;
    RAISES(EXC_UD, -1, cpu_op_xstate(cpu, X_XSAVE, AREA, true));
}
END_TEST

START_TEST(fault_leaves_state)
{
    with_xsave(~0ull);
    fill_components();
    set_present(AREA + 0x1000, false);
    memset(ram + AREA, 0, 0x2000);
    RAISES(EXC_PF, 2, cpu_op_xstate(cpu, X_XSAVE, AREA + 0xfc0, true));
    ck_assert_uint_eq(peek(AREA + 0xfc0 + 24, 4), 0); // nothing was written
    cpu->exc.vector = 0;
    cpu_fpu_load(cpu); // no general C between here and the save
    if (!setjmp(cpu->unwind))
        cpu_op_xstate(cpu, X_XRSTOR, AREA + 0xfc0, true);
    bool live = cpu->fpu_live;
    cpu_fpu_save(cpu);
    ck_assert(live);
    ck_assert_uint_eq(cpu->exc.vector, EXC_PF);
    ck_assert_uint_eq(cpu->exc.error, 0);
    check_components(cpu->xcr0);
}
END_TEST

static TCase *cases(void)
{
    TCase *t = tcase_create("vector state");
    tcase_add_test(t, host_round_trip);
    tcase_add_test(t, fxsave_modes);
    tcase_add_test(t, xsave_round_trips);
    tcase_add_test(t, partial_masks);
    tcase_add_test(t, init_optimisation);
    tcase_add_test(t, compatibility_mode);
    tcase_add_test(t, bad_headers);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) // their calls are general C in between
    tcase_add_test(t, fault_leaves_state);
#else
    (void)fault_leaves_state;
#endif
    return t;
}

int main(void) { return machine_run_suite("fpu", (TCase * (*const[])(void)){cases}, 1); }
