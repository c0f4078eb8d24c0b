// SPDX-License-Identifier: MIT
// The differential test of 16-bit and segmented code: bt against the interpreter (README.md).
#pragma once

#include "cpu/state.h"
#include "tests/insn/rng.h"

// How the drawn code runs.
enum legacy_mode { LM_REAL, LM_BIG_REAL, LM_VM86, LM_PM16, LM_PM32, LM_MODES };

enum { LEGACY_RAM = 2 << 20, LEGACY_CODE_MAX = 256, LEGACY_INSNS = 24 };

struct legacy_case {
    uint64_t seed;
    enum legacy_mode mode;
    bool cpl0;  // protected modes
    bool exact; // flags are compared wherever they show
    uint8_t code[LEGACY_CODE_MAX];
    unsigned len;
    uint16_t at[LEGACY_INSNS + 1]; // offsets of instructions in code
    unsigned insns;
    uint32_t ip;
    struct segment seg[SREG_COUNT];
    uint32_t gpr[8];
    uint64_t rflags, cr4;
    uint64_t gdt[32], ldt[8];
    uint8_t tss_tail[64]; // interrupt redirection and I/O permission bitmaps
};

struct legacy_options {
    uint64_t seed, count;
    unsigned max_failures;
    uint32_t disable;
    bool show;
};

// --- legacy_gen.c
void legacy_draw(struct legacy_case *lc, uint64_t seed, bool exact);
const char *legacy_mode_name(enum legacy_mode m);

// --- legacy.c: 0 nothing differed, 1 something did, 2 it could not start
int legacy_run(const struct legacy_options *o);
