// SPDX-License-Identifier: MIT
// Re-encodes one guest instruction for the host: its memory operand and guest r14/r15 go elsewhere,
// everything else stays as it was.
#pragma once

#include "translator/decode.h"
#include "translator/emit.h"

struct rewrite {
    bool mem;           // replace the ModRM memory operand by [base + index + disp] (segment and 67h dropped)
    int8_t base, index; // host registers; index -1: none
    uint8_t scale;      // of index; 0 means 1
    int32_t disp;
    uint8_t map14, map15; // host registers that stand for guest r14 and r15 in register fields
};

// Returns 0; -1 if this instruction cannot be re-encoded (it does not exist in 64-bit mode, or names a register
// that is not available): the interpreter emulates it. Only host r14/r15 may be used as further scratch.
int rewrite_plain(struct emit *e, const struct insn *in, const struct rewrite *how);

// AH..BH cannot be encoded beside [r14+r15], so that rewrite_plain brackets the instruction with
// "xchg low,high". If it faults in between, the recovery must swap the two bytes back: this returns which
// register (0..3) they are in, or -1 if there is no bracket.
int rewrite_swapped(const struct insn *in, const struct rewrite *how);
