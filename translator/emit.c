// SPDX-License-Identifier: MIT
// The emitter's encoders: ModRM, SIB and REX put together once. SDM vol. 2A, chapter 2 "Instruction Format".
#include "translator/emit.h"

#include <string.h>

static void emit_prefix_map(struct emit *e, unsigned flags, unsigned rex)
{
    if (flags & EF_66)
        emit_8(e, 0x66);
    if (flags & EF_F2)
        emit_8(e, 0xf2);
    if (flags & EF_F3)
        emit_8(e, 0xf3);
    if (rex)
        emit_8(e, 0x40 | rex);
    if (flags & (EF_0F | EF_0F38 | EF_0F3A))
        emit_8(e, 0x0f);
    if (flags & EF_0F38)
        emit_8(e, 0x38);
    if (flags & EF_0F3A)
        emit_8(e, 0x3a);
}

static unsigned rex_bits(unsigned flags, int reg, int index, int base)
{
    unsigned rex = 0;
    if (flags & EF_W)
        rex |= 0x48;
    if (reg >= 8)
        rex |= 0x44;
    if (index >= 8)
        rex |= 0x42;
    if (base >= 8)
        rex |= 0x41;
    if ((flags & EF_BYTEREG) && reg >= 4)
        rex |= 0x40;
    return rex;
}

void emit_op_reg(struct emit *e, unsigned flags, uint8_t op, int reg, int rm)
{
    unsigned rex = rex_bits(flags, reg, 0, rm);
    if ((flags & EF_BYTEREG) && rm >= 4)
        rex |= 0x40;
    emit_prefix_map(e, flags, rex);
    emit_8(e, op);
    emit_8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

void emit_op_mem(struct emit *e, unsigned flags, uint8_t op, int reg, struct emem m)
{
    if (m.fs)
        emit_8(e, 0x64);
    if (m.gs)
        emit_8(e, 0x65);
    if (m.addr32)
        emit_8(e, 0x67);
    emit_prefix_map(e, flags, rex_bits(flags, reg, m.index, m.base));
    emit_8(e, op);

    unsigned r = (reg & 7) << 3;
    unsigned scale = m.scale == 8 ? 3 : m.scale == 4 ? 2 : m.scale == 2 ? 1 : 0;
    if (m.base < 0) { // no base: SIB with base 101 and mod 00 is disp32
        emit_8(e, r | 4);
        emit_8(e, scale << 6 | (m.index < 0 ? 4 : m.index & 7) << 3 | 5);
        emit_32(e, m.disp);
        return;
    }
    unsigned mod = m.disp == 0 && (m.base & 7) != 5 ? 0 : m.disp == (int8_t)m.disp ? 1 : 2;
    if (m.index >= 0 || (m.base & 7) == 4) {
        emit_8(e, mod << 6 | r | 4);
        emit_8(e, scale << 6 | (m.index < 0 ? 4 : m.index & 7) << 3 | (m.base & 7));
    } else {
        emit_8(e, mod << 6 | r | (m.base & 7));
    }
    if (mod == 1)
        emit_8(e, m.disp);
    else if (mod == 2)
        emit_32(e, m.disp);
}

void emit_mov_imm(struct emit *e, int r, uint64_t v)
{
    if (v <= UINT32_MAX) {
        if (r >= 8)
            emit_8(e, 0x41);
        emit_8(e, 0xb8 | (r & 7));
        emit_32(e, v);
    } else if ((int64_t)v == (int32_t)v) {
        emit_op_reg(e, EF_W, 0xc7, 0, r);
        emit_32(e, v);
    } else {
        emit_8(e, r >= 8 ? 0x49 : 0x48);
        emit_8(e, 0xb8 | (r & 7));
        emit_64(e, v);
    }
}

void emit_mov_address(struct emit *e, int r, uint64_t v)
{
    emit_mov_imm(e, r, v);
    if (!e->log)
        return;
    if (v <= UINT32_MAX || (int64_t)v == (int32_t)v || e->log->naddr == EMIT_LOG)
        e->log->fixed = true;
    else
        e->log->addr[e->log->naddr++] = e->p - 8;
}

void emit_store_imm32(struct emit *e, struct emem m, int32_t simm, bool w64)
{
    emit_op_mem(e, w64 ? EF_W : 0, 0xc7, 0, m);
    emit_32(e, simm);
}

void emit_lea_rip(struct emit *e, int r, const uint8_t *target_exec)
{
    emit_8(e, r >= 8 ? 0x4c : 0x48);
    emit_8(e, 0x8d);
    emit_8(e, (r & 7) << 3 | 5);
    uint8_t *site = e->p;
    emit_32(e, 0);
    emit_patch(e, site, target_exec);
}

void emit_jmp_mem(struct emit *e, struct emem m) { emit_op_mem(e, 0, 0xff, 4, m); }

void emit_patch(struct emit *e, uint8_t *site, const uint8_t *target_exec)
{
    if (e->overflow || site + 4 > e->end)
        return;
    int32_t rel = (int32_t)(target_exec - (site + 4 + e->exec));
    memcpy(site, &rel, 4);
    if (!e->log)
        return;
    if (e->log->nrel == EMIT_LOG)
        e->log->fixed = true;
    else
        e->log->rel[e->log->nrel++] = site;
}

static uint8_t *emit_rel32(struct emit *e, const uint8_t *target_exec)
{
    uint8_t *site = e->p;
    emit_32(e, 0);
    if (target_exec)
        emit_patch(e, site, target_exec);
    return site;
}

uint8_t *emit_jmp(struct emit *e, const uint8_t *target_exec)
{
    emit_8(e, 0xe9);
    return emit_rel32(e, target_exec);
}

uint8_t *emit_jcc(struct emit *e, unsigned cc, const uint8_t *target_exec)
{
    emit_8(e, 0x0f);
    emit_8(e, 0x80 | cc);
    return emit_rel32(e, target_exec);
}

uint8_t *emit_jmp8(struct emit *e, uint8_t opcode)
{
    emit_8(e, opcode);
    uint8_t *site = e->p;
    emit_8(e, 0);
    return site;
}

void emit_here(struct emit *e, uint8_t *site8)
{
    ptrdiff_t rel = e->p - site8 - 1;
    if (rel > INT8_MAX)
        e->overflow = true; // a rel8 cannot say it: the block is given up rather than wrong
    else if (!e->overflow)
        *site8 = (uint8_t)rel;
}
