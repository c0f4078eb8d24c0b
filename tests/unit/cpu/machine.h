// SPDX-License-Identifier: MIT
// A vCPU over a few megabytes of RAM, without an engine: what the tests of cpu/ run on.
#pragma once

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/cpuid.h"
#include "cpu/fpu.h"
#include "cpu/interrupt.h"

extern struct cpu *cpu;
extern hva ram; // guest-physical 0; RAM_SIZE bytes
enum { RAM_SIZE = 4 << 20 };

// Where the tables are.
// clang-format off
enum { GDT = 0x1000, IDT = 0x2000, TSS = 0x3000, LDT = 0x5000, TSS2 = 0x6000, PT = 0x10000, STACK0 = 0x9000,
       STACK1 = 0xa000, STACK3 = 0xb000, DATA = 0x100000 };
// clang-format on
// Selectors: flat, per level, 32- and 64-bit.
// clang-format off
enum { CODE0 = 0x08, DATA0 = 0x10, CODE3 = 0x18 | 3, DATA3 = 0x20 | 3, CODE64 = 0x28, CODE64_3 = 0x30 | 3, TSS_SEL = 0x40,
       LDT_SEL = 0x50, CODE1 = 0x60 | 1, DATA1 = 0x68 | 1, SPARE = 0x80, GATE = 0x90, TSS2_SEL = 0xa0,
       CODE16 = 0xa8, CONFORM = 0xb0 };
// clang-format on

void machine_up(void); // checked fixtures: power-on state, -cpu max
void machine_down(void);
void machine_protected(void);       // 32-bit, CPL 0, flat, GDT/IDT/TSS loaded, no paging
void machine_paged(void);           // the same with 4 KiB paging, identity, user pages
void machine_long(void);            // 64-bit, CPL 0, identity, user pages
void machine_set_cpl(unsigned cpl); // segments of that level

uint64_t peek(uint64_t pa, unsigned size);
void poke(uint64_t pa, uint64_t v, unsigned size);
void set_desc(unsigned sel, uint32_t base, uint32_t limit, uint32_t attr); // attr as in struct segment
void set_gate(uint64_t table_entry, uint16_t sel, uint64_t off, unsigned type, unsigned dpl, unsigned extra);
void set_present(uint64_t va, bool present); // machine_paged and machine_long

// The exception the statement raises; fails if there is none.
#define RAISES(v, err, ...)                                     \
    do {                                                        \
        if (!setjmp(cpu->unwind)) {                             \
            __VA_ARGS__;                                        \
            ck_abort_msg("no exception");                       \
        }                                                       \
        ck_assert_uint_eq(cpu->exc.vector, v);                  \
        if ((err) >= 0) {                                       \
            ck_assert(cpu->exc.has_error);                      \
            ck_assert_uint_eq(cpu->exc.error, (uint32_t)(err)); \
        }                                                       \
    } while (0)
// The statement must not raise.
#define QUIET(...)                                                                  \
    do {                                                                            \
        if (setjmp(cpu->unwind))                                                    \
            ck_abort_msg("exception %u error %x", cpu->exc.vector, cpu->exc.error); \
        __VA_ARGS__;                                                                \
    } while (0)

int machine_run_suite(const char *name, TCase *(*const cases[])(void), unsigned n);
