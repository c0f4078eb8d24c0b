// SPDX-License-Identifier: MIT
// Private to the generator: its state, and what gen.c and gen_*.c share.
#pragma once

#include "cpu/state.h"
#include "tests/insn/rng.h"
#include "tests/insn/testcase.h"

struct pending {
    uint16_t unit;
    uint8_t fix;
    uint8_t after;
    uint16_t known, touched, undef;
};

struct gen {
    struct testcase *tc;
    struct rng rng;
    bool mode32, last, ac;
    unsigned theme;
    uint16_t known; // bit per GPR whose value at this point is known
    uint64_t val[16];
    uint16_t undef; // flags that may be undefined here
    int df;         // direction flag: 0, 1, or -1 unknown
    bool fs_known, gs_known;
    uint64_t fs, gs;
    bool strict_align; // no misaligned operand where alignment is asked for
    bool in_function;  // no stack instructions, RSP left alone
    struct pending pend[8];
    unsigned npend;
    uint64_t recent[4]; // addresses used before
};

struct memop {
    bool present;
    int base, index; // -1 none; base 16: RIP
    uint8_t scale;   // log2
    int32_t disp;
    uint64_t target; // linear address
    bool a32;        // 67h
    int seg;         // override: enum sreg, or -1
};

// What is to be emitted; -1 fields are chosen freely.
struct plan {
    const struct rule *rule;
    int opsize; // 2, 4, 8 for sized rules
    int reg, rm, vvvv, is4, opreg, k;
    int vl; // VL_*
    bool force_mem, force_reg, no_access, no_lock;
    unsigned mem_size; // 0: by the rule
    uint64_t mem_target;
    bool have_target;
    uint16_t avoid; // registers that are no address registers
    struct memop mem;
    bool have_imm;
    int64_t imm;
    int rep;  // 0, 0xf2, 0xf3: prefix to add
    int seg;  // override without ModRM
    bool a32; // 67h without ModRM
    int rsp_delta;
    bool high8; // set by operand choice: AH..BH are in use
    bool done;  // everything was emitted already
};

// A preparation of isa.def's p=; false: draw another rule.
struct prep {
    const char *name;
    bool (*fn)(struct gen *g, struct plan *p);
};

// gen_encode.c
struct unit *gen_unit(struct gen *g, const struct rule *r);
void gen_encode(struct gen *g, struct plan *p);

// gen_operand.c
int gen_pick_gpr(struct gen *g);
uint64_t gen_value(struct gen *g); // an interesting 64-bit value
uint64_t gen_pick_target(struct gen *g, unsigned size, bool aligned, bool low);
bool gen_target_ignored(struct gen *g, uint64_t target, unsigned size);
void gen_memop(struct gen *g, struct memop *m, uint64_t target, uint16_t avoid);
void gen_memop_free(struct gen *g, struct memop *m); // any address: for LEA and hints
void gen_set_reg(struct gen *g, int reg, uint64_t value);
void gen_patch(struct gen *g, uint64_t target, const void *bytes, unsigned len);
void gen_patch_interesting(struct gen *g, uint64_t target, unsigned len);
void gen_ignore(struct gen *g, uint64_t target, unsigned off, unsigned len);
void gen_random_vec(struct rng *r, uint8_t *dst, unsigned len);
long gen_data_offset(uint64_t target); // in the area, or -1
void gen_kill(struct gen *g, uint16_t regs);
int gen_pick_scratch(struct gen *g);                    // a GPR, but not RSP
void gen_force_target(struct plan *p, uint64_t target); // the operand is in memory, there

// gen_special.c
bool gen_prepare(struct gen *g, struct plan *p); // false: draw another rule
const struct rule *gen_find(const char *text);
uint64_t gen_pick_selector(struct gen *g);

bool gen_need_stack(struct gen *g);                   // RSP in the middle of the stack; gen_flow.c
bool gen_prep_counted(struct gen *g, struct plan *p); // gen_loop.c

// gen_flow.c, gen_state.c: ended by one without a name
extern const struct prep gen_preps_flow[], gen_preps_state[];

// gen.c
void gen_plan_init(struct plan *p, const struct rule *r);
bool gen_emit(struct gen *g, struct plan *p); // choose what is open, encode, keep track
void gen_flags(struct gen *g, const struct rule *r);
void gen_open_jump(struct gen *g, unsigned unit, unsigned fix, unsigned after);
void gen_simple(struct gen *g);
