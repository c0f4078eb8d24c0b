// SPDX-License-Identifier: MIT
// A bounds-checked emitter of host (x86-64) machine code.
//
// Bytes are written through p and stop at end (overflow is then set; the caller throws the result away).
// Where code runs from (the executable mapping) may differ from where it is written: rel32 operands are
// computed from `exec`, the distance executable - writable.
#pragma once

#include "base/types.h"

struct emit {
    uint8_t *p, *end;
    ptrdiff_t exec; // add to a writable address to get the address it runs at
    bool overflow;
    struct emit_log *log; // where what has to change if the code moves is written down; may be NULL
};

// Positions (writable addresses) of rel32 operands, and of 64-bit constants that hold guest addresses.
enum { EMIT_LOG = 1024 };
struct emit_log {
    unsigned nrel, naddr;
    bool fixed; // something cannot be moved, or there was no room to say so
    uint8_t *rel[EMIT_LOG], *addr[EMIT_LOG];
};

static inline void emit_8(struct emit *e, uint8_t v)
{
    if (e->p < e->end)
        *e->p++ = v;
    else
        e->overflow = true;
}
static inline void emit_bytes(struct emit *e, const void *src, unsigned n)
{
    const uint8_t *s = src;
    for (unsigned i = 0; i < n; i++)
        emit_8(e, s[i]);
}
static inline void emit_16(struct emit *e, uint16_t v) { emit_bytes(e, &v, 2); }
static inline void emit_32(struct emit *e, uint32_t v) { emit_bytes(e, &v, 4); }
static inline void emit_64(struct emit *e, uint64_t v) { emit_bytes(e, &v, 8); }

// A host memory operand. base or index -1: none. fs/gs: segment prefix. addr32: 67h prefix.
struct emem {
    int8_t base, index;
    uint8_t scale; // 1, 2, 4, 8
    bool fs, gs, addr32;
    int32_t disp;
};
#define EMEM(b, d) ((struct emem){.base = (b), .index = -1, .scale = 1, .disp = (d)})
#define EMEM_FS(d) ((struct emem){.base = -1, .index = -1, .scale = 1, .fs = true, .disp = (d)})

// clang-format off
enum emit_flags {
    EF_W = 1,       // REX.W
    EF_66 = 2,      // operand-size prefix
    EF_F3 = 4, EF_F2 = 8,
    EF_0F = 16, EF_0F38 = 32, EF_0F3A = 64,
    EF_BYTEREG = 128, // reg is a byte register: 4..7 mean SPL..DIL and need a REX prefix
};
// clang-format on

// The general forms: prefixes, REX, opcode map, opcode, ModRM. An immediate, if any, is appended by the
// caller. RIP-relative operands are not made here (emit_lea_rip).
void emit_op_mem(struct emit *e, unsigned flags, uint8_t op, int reg, struct emem m);
void emit_op_reg(struct emit *e, unsigned flags, uint8_t op, int reg, int rm);

// --- the instructions the translator needs by name (64-bit unless it says 32)
static inline void emit_load(struct emit *e, int r, struct emem m) { emit_op_mem(e, EF_W, 0x8b, r, m); }
static inline void emit_store(struct emit *e, struct emem m, int r) { emit_op_mem(e, EF_W, 0x89, r, m); }
static inline void emit_load32(struct emit *e, int r, struct emem m) { emit_op_mem(e, 0, 0x8b, r, m); }
static inline void emit_store32(struct emit *e, struct emem m, int r) { emit_op_mem(e, 0, 0x89, r, m); }
static inline void emit_lea(struct emit *e, int r, struct emem m) { emit_op_mem(e, EF_W, 0x8d, r, m); }
static inline void emit_lea32(struct emit *e, int r, struct emem m) { emit_op_mem(e, 0, 0x8d, r, m); }
static inline void emit_mov(struct emit *e, int dst, int src) { emit_op_reg(e, EF_W, 0x89, src, dst); }
static inline void emit_mov32(struct emit *e, int dst, int src) { emit_op_reg(e, 0, 0x89, src, dst); }
void emit_mov_imm(struct emit *e, int r, uint64_t v); // shortest of mov r32,imm32; mov r64,simm32; movabs. Flags kept.
void emit_mov_address(struct emit *e, int r, uint64_t v); // the same for a guest address
void emit_store_imm32(struct emit *e, struct emem m, int32_t simm, bool w64);
void emit_lea_rip(struct emit *e, int r, const uint8_t *target_exec); // lea r,[rip+x], target an executable address
void emit_jmp_mem(struct emit *e, struct emem m);

// Branches with rel32. They return the writable address of the rel32, for emit_patch.
uint8_t *emit_jmp(struct emit *e, const uint8_t *target_exec); // NULL: patched later
uint8_t *emit_jcc(struct emit *e, unsigned cc, const uint8_t *target_exec);
// Points the rel32 at `site` (writable address, as returned above) to an executable address.
void emit_patch(struct emit *e, uint8_t *site, const uint8_t *target_exec);
// Short forward branch: returns the writable address of its rel8; emit_here resolves it to the current position.
uint8_t *emit_jmp8(struct emit *e, uint8_t opcode); // opcode 0xeb, 0x70+cc, 0xe3 (jrcxz)
void emit_here(struct emit *e, uint8_t *site8);
