// SPDX-License-Identifier: MIT
// String instructions: runs over pages, overlap, direction, wraps, faults in the middle, interruption.
#include "machine.h"

static void setup(uint64_t si, uint64_t di, uint64_t count)
{
    cpu->gpr[RSI] = si;
    cpu->gpr[RDI] = di;
    cpu->gpr[RCX] = count;
    cpu->rip = 0x7000;
    cpu->next_rip = 0x7002;
}

START_TEST(movs_pages)
{
    machine_paged();
    for (unsigned i = 0; i < 10000; i++)
        ram[DATA + i] = i * 7;
    setup(DATA, DATA + 0x20123, 10000);
    QUIET(cpu_op_string(cpu, STR_MOVS, 1, 4, REP_E, DS));
    ck_assert_int_eq(memcmp(ram + DATA, ram + DATA + 0x20123, 10000), 0);
    ck_assert_uint_eq(cpu->gpr[RCX], 0);
    ck_assert_uint_eq(cpu->gpr[RSI], DATA + 10000);
    ck_assert_uint_eq(cpu->gpr[RDI], DATA + 0x20123 + 10000);
    ck_assert_uint_eq(cpu->rip, 0x7002);
    ck_assert_uint_eq(ram[DATA + 0x20123 + 10000], 0);
}
END_TEST

// Against a model that moves one element at a time.
static void reference_movs(uint8_t *m, uint64_t s, uint64_t d, uint64_t n, unsigned size, bool down)
{
    for (uint64_t step = down ? -(uint64_t)size : size; n--; s += step, d += step) {
        uint8_t t[8];
        memcpy(t, m + s, size);
        memcpy(m + d, t, size);
    }
}

START_TEST(movs_overlap)
{
    static uint8_t want[0x8000];
    static const int distance[] = {1, 2, 3, 5, 8, 64, -1, -3, -8, 4095, 4097};
    machine_paged();
    for (unsigned size = 1; size <= 4; size *= 2)
        for (unsigned k = 0; k < ARRAY_SIZE(distance) * 2; k++) {
            bool down = k & 1;
            uint64_t s = 0x3003, d = s + distance[k / 2], n = 1500;
            for (unsigned i = 0; i < sizeof want; i++)
                want[i] = ram[DATA + i] = i * 31 + (i >> 8);
            reference_movs(want, s, d, n, size, down);
            setup(DATA + s, DATA + d, n);
            cpu->rflags = down ? FL_DF | 2 : 2;
            QUIET(cpu_op_string(cpu, STR_MOVS, size, 4, REP_E, DS));
            ck_assert_msg(!memcmp(want, ram + DATA, sizeof want), "size %u distance %d down %u", size, distance[k / 2],
                          down);
            ck_assert_uint_eq(cpu->gpr[RSI], (uint32_t)(DATA + s + (down ? -n * size : n * size)));
        }
}
END_TEST

START_TEST(fault_in_the_middle)
{
    machine_paged();
    set_present(DATA + 0x2000, false);
    setup(DATA + 0x10000, DATA + 0xff0, 0x3000 / 4);
    RAISES(EXC_PF, 2, cpu_op_string(cpu, STR_MOVS, 4, 4, REP_E, DS));
    ck_assert_uint_eq(cpu->exc.cr2, DATA + 0x2000);
    ck_assert_uint_eq(cpu->rip, 0x7000);
    ck_assert_uint_eq(cpu->gpr[RDI], DATA + 0x2000);
    ck_assert_uint_eq(cpu->gpr[RSI], DATA + 0x10000 + 0x1010);
    ck_assert_uint_eq(cpu->gpr[RCX], (0x3000 - 0x1010) / 4);
    set_present(DATA + 0x2000, true);
    QUIET(cpu_op_string(cpu, STR_MOVS, 4, 4, REP_E, DS));
    ck_assert_uint_eq(cpu->gpr[RCX], 0);
    // an element over the page end: nothing of it is stored
    set_present(DATA + 0x2000, false);
    setup(DATA + 0x10000, DATA + 0x1ffe, 1);
    poke(DATA + 0x1ffe, 0xdead, 2);
    RAISES(EXC_PF, 2, cpu_op_string(cpu, STR_MOVS, 4, 4, REP_E, DS));
    ck_assert_uint_eq(peek(DATA + 0x1ffe, 2), 0xdead);
}
END_TEST

START_TEST(stos_sizes)
{
    machine_long();
    for (unsigned size = 1; size <= 8; size *= 2) {
        memset(ram + DATA, 0x11, 0x4000);
        cpu->gpr[RAX] = 0x8877665544332211;
        setup(0, DATA + 0x7fd, 0x2000 / size);
        QUIET(cpu_op_string(cpu, STR_STOS, size, 8, REP_E, DS));
        for (unsigned i = 0; i < 0x2000; i++)
            ck_assert_uint_eq(ram[DATA + 0x7fd + i], 0x11 * (i % size + 1));
        ck_assert_uint_eq(ram[DATA + 0x7fd + 0x2000], 0x11);
        ck_assert_uint_eq(ram[DATA + 0x7fc], 0x11);
    }
}
END_TEST

START_TEST(wrap_16_bit)
{
    // Real mode: DI wraps at 64 KiB, ECX and EDI keep their upper halves.
    cpu->seg[ES].base = 0x100000;
    cpu->gpr[RAX] = 0x5a;
    setup(0, 0x1234fff0, 0x56780020);
    QUIET(cpu_op_string(cpu, STR_STOS, 1, 2, REP_E, DS));
    ck_assert_uint_eq(cpu->gpr[RDI], 0x12340010);
    ck_assert_uint_eq(cpu->gpr[RCX], 0x56780000);
    ck_assert_uint_eq(ram[0x10ffff], 0x5a);
    ck_assert_uint_eq(ram[0x110000], 0);
    ck_assert_uint_eq(ram[0x100000], 0x5a);
    ck_assert_uint_eq(ram[0x100010], 0);
    setup(0, 0xfffe, 4); // the second word lies over the limit
    cpu->gpr[RDI] = 0xfffd;
    RAISES(EXC_GP, 0, cpu_op_string(cpu, STR_STOS, 2, 2, REP_E, DS));
    ck_assert_uint_eq(cpu->gpr[RDI], 0xffff);
    ck_assert_uint_eq(cpu->gpr[RCX], 3);
}
END_TEST

START_TEST(segment_limit)
{
    machine_protected();
    set_desc(SPARE, DATA, 0x17ff, 0x409300);
    QUIET(cpu_op_load_sreg(cpu, ES, SPARE));
    cpu->gpr[RAX] = 0xab;
    setup(0, 0x800, 0x2000);
    RAISES(EXC_GP, 0, cpu_op_string(cpu, STR_STOS, 1, 4, REP_E, DS));
    ck_assert_uint_eq(cpu->gpr[RDI], 0x1800);
    ck_assert_uint_eq(cpu->gpr[RCX], 0x1000);
    ck_assert_uint_eq(ram[DATA + 0x17ff], 0xab);
    ck_assert_uint_eq(ram[DATA + 0x1800], 0);
}
END_TEST

START_TEST(compare_and_scan)
{
    machine_paged();
    memset(ram + DATA, 'x', 0x3000);
    memset(ram + DATA + 0x8000, 'x', 0x3000);
    ram[DATA + 0x8000 + 0x1801] = 'y';
    setup(DATA, DATA + 0x8000, 0x3000);
    QUIET(cpu_op_string(cpu, STR_CMPS, 1, 4, REP_E, DS));
    ck_assert_uint_eq(cpu->gpr[RCX], 0x3000 - 0x1802);
    ck_assert_uint_eq(cpu->gpr[RSI], DATA + 0x1802);
    ck_assert_uint_eq(cpu->rflags & FL_ARITH, FL_CF | FL_SF | FL_AF | FL_PF); // 'x' - 'y' = FFh
    setup(DATA, DATA + 0x8000, 0x1000);
    QUIET(cpu_op_string(cpu, STR_CMPS, 1, 4, REP_E, DS));
    ck_assert_uint_eq(cpu->rflags & FL_ARITH, FL_ZF | FL_PF);
    uint64_t flags = cpu->rflags;
    setup(DATA, DATA + 0x9800, 0); // no iteration, no flags
    QUIET(cpu_op_string(cpu, STR_CMPS, 1, 4, REP_E, DS));
    ck_assert_uint_eq(cpu->rflags, flags);
    cpu->gpr[RAX] = 'y';
    setup(0, DATA + 0x8000, ~0u);
    QUIET(cpu_op_string(cpu, STR_SCAS, 1, 4, REP_NE, DS));
    ck_assert_uint_eq(cpu->gpr[RDI], DATA + 0x8000 + 0x1802);
    poke(DATA, 0x8000000000000000, 8); // 32-bit compares: 0 - 0, 80000000h - 1
    poke(DATA + 0x8000, 1ull << 32, 8);
    setup(DATA, DATA + 0x8000, 5);
    QUIET(cpu_op_string(cpu, STR_CMPS, 4, 4, REP_E, DS));
    ck_assert_uint_eq(cpu->gpr[RCX], 3);
    ck_assert_uint_eq(cpu->rflags & FL_ARITH, FL_OF | FL_AF | FL_PF);
}
END_TEST

START_TEST(lods_last)
{
    machine_paged();
    for (unsigned i = 0; i < 0x1000; i++)
        poke(DATA + i * 2, i, 2);
    cpu->gpr[RAX] = 0xffffffff;
    setup(DATA + 0x801, 0, 0x700);
    cpu->gpr[RSI] = DATA + 0x800;
    QUIET(cpu_op_string(cpu, STR_LODS, 2, 4, REP_E, DS));
    ck_assert_uint_eq(cpu->gpr[RAX], 0xffff0000 | (0x400 + 0x700 - 1));
}
END_TEST

START_TEST(interrupted)
{
    machine_paged();
    cpu->rflags = FL_IF | 2;
    cpu_request(cpu, CPU_REQ_INTR);
    setup(DATA, DATA + 0x20000, 0x3000);
    QUIET(cpu_op_string(cpu, STR_MOVS, 1, 4, REP_E, DS));
    ck_assert_uint_eq(cpu->rip, 0x7000); // stopped after a run
    ck_assert_uint_eq(cpu->gpr[RCX], 0x2000);
    cpu_request_clear(cpu, CPU_REQ_INTR);
    QUIET(cpu_op_string(cpu, STR_MOVS, 1, 4, REP_E, DS));
    ck_assert_uint_eq(cpu->rip, 0x7002);
    cpu->rflags |= FL_TF; // single-stepping sees every iteration
    cpu_update_mode(cpu);
    setup(DATA, DATA + 0x20000, 3);
    QUIET(cpu_op_string(cpu, STR_MOVS, 1, 4, REP_E, DS));
    ck_assert_uint_eq(cpu->gpr[RCX], 2);
    ck_assert_uint_eq(cpu->rip, 0x7000);
}
END_TEST

static gpa written;
static unsigned written_len;
static void note_written(void *opaque, gpa a, unsigned len)
{
    written = a;
    written_len = len;
}

START_TEST(code_pages_hear_of_it)
{
    machine_paged();
    cpu->mmu.code_written = note_written;
    cpu->gpr[RAX] = 0x90;
    setup(0, DATA + 0x10, 0x20);
    QUIET(cpu_op_string(cpu, STR_STOS, 1, 4, REP_E, DS));
    ck_assert_uint_eq(written, DATA + 0x10);
    ck_assert_uint_eq(written_len, 0x20);
    cpu->rflags |= FL_DF;
    setup(0, DATA + 0x2f, 0x20);
    QUIET(cpu_op_string(cpu, STR_STOS, 1, 4, REP_E, DS));
    ck_assert_uint_eq(written, DATA + 0x10);
    ck_assert_uint_eq(written_len, 0x20);
}
END_TEST

static TCase *cases(void)
{
    TCase *t = tcase_create("strings");
    tcase_add_test(t, movs_pages);
    tcase_add_test(t, movs_overlap);
    tcase_add_test(t, fault_in_the_middle);
    tcase_add_test(t, stos_sizes);
    tcase_add_test(t, wrap_16_bit);
    tcase_add_test(t, segment_limit);
    tcase_add_test(t, compare_and_scan);
    tcase_add_test(t, lods_last);
    tcase_add_test(t, interrupted);
    tcase_add_test(t, code_pages_hear_of_it);
    return t;
}

int main(void) { return machine_run_suite("string", (TCase * (*const[])(void)){cases}, 1); }
