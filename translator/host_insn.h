// SPDX-License-Identifier: MIT
// The few host instructions beyond emit.h that translated code is made of.
#pragma once

#include "cpu/state.h"
#include "translator/emit.h"

// Condition codes as in Jcc's opcode, SDM vol. 2D, appendix B.1.4.7
enum { CC_B = 2, CC_AE = 3, CC_Z = 4, CC_NZ = 5, CC_BE = 6, CC_A = 7, CC_G = 15 };
enum { SHIFT_SHL = 4, SHIFT_SHR = 5 };

static inline void host_shift_imm(struct emit *e, unsigned kind, int r, uint8_t n)
{
    emit_op_reg(e, EF_W, 0xc1, kind, r);
    emit_8(e, n);
}
static inline void host_shift_imm32(struct emit *e, unsigned kind, int r, uint8_t n)
{
    emit_op_reg(e, 0, 0xc1, kind, r);
    emit_8(e, n);
}

// VEX-coded BMI2 instructions: 3-byte VEX, L = 0. pp: 1 66h, 2 F3h, 3 F2h; map: 2 0F38, 3 0F3A.
static inline void host_vex(struct emit *e, unsigned map, unsigned pp, bool w, uint8_t op, int reg, int vvvv, int rm)
{
    emit_8(e, 0xc4);
    emit_8(e, (reg >= 8 ? 0 : 0x80) | 0x40 | (rm >= 8 ? 0 : 0x20) | map);
    emit_8(e, (w ? 0x80 : 0) | (~vvvv & 15) << 3 | pp);
    emit_8(e, op);
    emit_8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}
static inline void host_rorx(struct emit *e, int dst, int src, uint8_t n)
{
    host_vex(e, 3, 3, true, 0xf0, dst, 0, src);
    emit_8(e, n);
}
static inline void host_rorx32(struct emit *e, int dst, int src, uint8_t n)
{
    host_vex(e, 3, 3, false, 0xf0, dst, 0, src);
    emit_8(e, n);
}
static inline void host_shrx(struct emit *e, int dst, int src, int count)
{
    host_vex(e, 2, 3, true, 0xf7, dst, count, src);
}
static inline void host_sarx(struct emit *e, int dst, int src, int count)
{
    host_vex(e, 2, 2, true, 0xf7, dst, count, src);
}
static inline void host_shlx(struct emit *e, int dst, int src, int count)
{
    host_vex(e, 2, 1, true, 0xf7, dst, count, src);
}

// Arithmetic flags travel as LAHF and SETO leave them: AH = SF ZF AF PF CF, AL = OF.
static inline void host_flags_to_ax(struct emit *e)
{
    emit_bytes(e, "\x9f\x0f\x90\xc0", 4); // lahf; seto al
}
static inline void host_flags_from_ax(struct emit *e)
{
    emit_bytes(e, "\x04\x7f\x9e", 3); // add al, 0x7f: OF if al is 1; sahf
}

// test r14b, mask
static inline void host_test_r14b(struct emit *e, unsigned mask)
{
    emit_bytes(e, "\x41\xf6\xc6", 3);
    emit_8(e, (uint8_t)mask);
}

// r = gs:[r*8] of the load table (folded by the 67h prefix) or the store table. SHADOW_W_BASE below the base.
static inline void host_load_shadow(struct emit *e, int r, bool write, bool fold)
{
    struct emem m = {.base = -1, .index = r, .scale = 8, .gs = true};
    if (write)
        m.disp = INT32_MIN;
    else
        m.addr32 = fold;
    emit_load(e, r, m);
}

// The shadow table's entry for the page of the address in `addr` to dst, which may be the same register. Flags are lost.
static inline void host_page_entry(struct emit *e, int dst, int addr, bool write, bool code64)
{
    if (!write) {
        host_rorx(e, dst, addr, 12); // what it rotates into the upper half is dropped by the fold
    } else if (code64) {
        if (dst != addr)
            emit_mov(e, dst, addr);
        host_shift_imm(e, SHIFT_SHL, dst, 24);
        host_shift_imm(e, SHIFT_SHR, dst, 36);
    } else {
        if (dst != addr)
            emit_mov32(e, dst, addr);
        host_shift_imm32(e, SHIFT_SHR, dst, 12);
    }
    host_load_shadow(e, dst, write, true);
}
