// SPDX-License-Identifier: MIT
// Re-encodes one plain guest instruction for 64-bit host execution.
//
// The fields are taken apart by the decoder, so this is assembly: prefixes, REX or VEX or EVEX, opcode,
// ModRM, immediate, with the register numbers replaced. One case does not go through: a REX prefix, which
// [r14+r15] needs, turns AH, CH, DH and BH into SPL..DIL. Then the two bytes of that register change places
// around the instruction, e.g. for "add [rdi],ch":
//
//      xchg cl,ch ; add [r14+r15],cl ; xchg cl,ch
//
// XCHG of registers changes no flags. CMPXCHG [m],AH wants AL as well and borrows r15 instead.
#include "translator/rewrite.h"

#include "cpu/state.h"

struct fields {
    unsigned reg, rm, vvvv; // numbers as they will be encoded
    bool mem;               // memory operand is [base + index + disp]
    int base, index;
    unsigned scale; // 0 to 3: a power of two
    int32_t disp;
    bool force_rex;
    uint8_t opcode;
};

static unsigned map_gpr(const struct rewrite *how, unsigned n)
{
    return n == R14 ? how->map14 : n == R15 ? how->map15 : n;
}

static bool is_high_byte(const struct insn *in, unsigned n, unsigned size)
{
    return in->enc == ENC_LEGACY && size == 1 && !in->rex && n >= 4 && n < 8;
}

int rewrite_swapped(const struct insn *in, const struct rewrite *how)
{
    if (!how->mem || !in->has_mem || in->reg_kind != FK_GPR || !is_high_byte(in, in->reg, in->reg_size))
        return -1;
    if (how->base < 8 && how->index < 8)
        return -1;
    bool cmpxchg_ah = in->map == MAP_0F && in->opcode == 0xb0 && in->reg == 4;
    return cmpxchg_ah ? -1 : in->reg - 4;
}

static bool exists_in_64(const struct insn *in)
{
    if (in->enc != ENC_LEGACY || in->map != MAP_1)
        return true;
    switch (in->opcode) {
    case 0x27:
    case 0x2f:
    case 0x37:
    case 0x3f: // DAA DAS AAA AAS
    case 0x62:
    case 0xd4:
    case 0xd5:
    case 0xd6: // BOUND AAM AAD SALC
        return false;
    case 0x63: // ARPL, unless it is MOVSXD
        return (in->has_mem ? in->mem_size : in->rm_size) != 2;
    }
    return true;
}

// ---- ModRM

static void put_modrm(struct emit *e, const struct insn *in, const struct fields *f)
{
    unsigned reg = (f->reg & 7) << 3;
    if (!f->mem) {
        emit_8(e, (uint8_t)(0xc0 | reg | (f->rm & 7)));
        return;
    }
    // Mod 0 with base 5 means no base: use a zero disp8. In EVEX a disp8 is scaled, so that only zero is one.
    unsigned mod = f->disp == 0                                        ? ((f->base & 7) == 5 ? 0x40 : 0)
                   : in->enc != ENC_EVEX && f->disp == (int8_t)f->disp ? 0x40
                                                                       : 0x80;
    if (f->index >= 0) {
        emit_8(e, (uint8_t)(mod | reg | 4));
        emit_8(e, (uint8_t)(f->scale << 6 | (f->index & 7) << 3 | (f->base & 7)));
    } else if ((f->base & 7) == 4) {
        emit_8(e, (uint8_t)(mod | reg | 4));
        emit_8(e, (uint8_t)(4 << 3 | 4));
    } else {
        emit_8(e, (uint8_t)(mod | reg | (f->base & 7)));
    }
    if (mod == 0x40)
        emit_8(e, (uint8_t)f->disp);
    else if (mod == 0x80)
        emit_32(e, (uint32_t)f->disp);
}

static unsigned rex_bits(const struct insn *in, const struct fields *f)
{
    unsigned b = f->mem ? (unsigned)f->base : f->rm, x = f->mem && f->index >= 0 ? (unsigned)f->index : 0;
    return (in->rex & 8) | (f->reg >> 3 & 1) << 2 | (x >> 3 & 1) << 1 | (b >> 3 & 1);
}

static void put_map(struct emit *e, unsigned map)
{
    if (map != MAP_1)
        emit_8(e, 0x0f);
    if (map == MAP_0F38 || map == MAP_0F3A)
        emit_8(e, map == MAP_0F38 ? 0x38 : 0x3a);
}

// ---- encodings: SDM vol. 2A, chapter 2 "Instruction Format"

static void put_legacy(struct emit *e, const struct insn *in, const struct fields *f, bool modrm)
{
    if (in->lock)
        emit_8(e, 0xf0);
    if (in->host_66)
        emit_8(e, 0x66);
    if (in->rep || in->repne)
        emit_8(e, in->rep ? 0xf3 : 0xf2);
    unsigned rex = rex_bits(in, f);
    if (rex || f->force_rex)
        emit_8(e, (uint8_t)(0x40 | rex));
    put_map(e, in->map);
    emit_8(e, f->opcode);
    if (modrm)
        put_modrm(e, in, f);
}

static unsigned pp_number(const struct insn *in)
{
    return in->pp == 0x66 ? 1 : in->pp == 0xf3 ? 2 : in->pp == 0xf2 ? 3 : 0;
}

static void put_vex(struct emit *e, const struct insn *in, const struct fields *f)
{
    unsigned rex = rex_bits(in, f);
    unsigned tail = (~f->vvvv & 15) << 3 | (in->vl & 1) << 2 | pp_number(in);
    if (!(rex & 11) && in->map == MAP_0F) {
        emit_8(e, 0xc5);
        emit_8(e, (uint8_t)((~rex & 4) << 5 | tail));
    } else {
        emit_8(e, 0xc4);
        emit_8(e, (uint8_t)((~rex & 7) << 5 | in->map));
        emit_8(e, (uint8_t)((rex & 8) << 4 | tail));
    }
    emit_8(e, f->opcode);
    if (in->has_modrm)
        put_modrm(e, in, f);
}

static void put_evex(struct emit *e, const struct insn *in, const struct fields *f)
{
    unsigned rex = rex_bits(in, f);
    if (!f->mem) // EVEX.X is the fifth bit of a vector register in ModRM.rm
        rex = (rex & ~2u) | (f->rm >> 3 & 2);
    unsigned r4 = f->reg >> 4 & 1;
    emit_8(e, 0x62);
    emit_8(e, (uint8_t)((~rex & 7) << 5 | (r4 ^ 1) << 4 | in->map));
    emit_8(e, (uint8_t)((rex & 8) << 4 | (~f->vvvv & 15) << 3 | 4 | pp_number(in)));
    emit_8(e, (uint8_t)((in->evex[3] & 0xf7) | (~f->vvvv >> 1 & 8)));
    emit_8(e, f->opcode);
    put_modrm(e, in, f);
}

// ---- the special cases

static void put_swap(struct emit *e, unsigned low)
{
    emit_8(e, 0x86);
    emit_8(e, (uint8_t)(0xc0 | (low + 4) << 3 | low));
}

// CMPXCHG [m],AH: AL is an operand too, so AH's value goes through r15.
static bool borrow_r15(struct emit *e, struct fields *f)
{
    if (f->base != R14 || (f->index >= 0 && f->index != R15))
        return false;
    if (f->index >= 0)
        emit_lea(e, R14, (struct emem){.base = R14, .index = R15, .scale = 1});
    put_swap(e, 0);
    emit_mov32(e, R15, RAX);
    put_swap(e, 0);
    f->index = -1;
    f->reg = R15;
    return true;
}

// INC/DEC in one byte, MOV from and to an absolute offset, opcode 82: other encodings of the same.
static bool put_substitute(struct emit *e, const struct insn *in, struct fields *f)
{
    if (in->enc != ENC_LEGACY || in->map != MAP_1)
        return false;
    if (in->opcode >= 0x40 && in->opcode <= 0x4f) {
        f->opcode = 0xff;
        f->reg = in->opcode >= 0x48;
    } else if (in->moffs) {
        static const uint8_t ops[] = {0x8a, 0x8b, 0x88, 0x89};
        f->opcode = ops[in->opcode & 3];
        f->reg = RAX;
    } else {
        if (in->opcode == 0x82)
            f->opcode = 0x80;
        return false;
    }
    put_legacy(e, in, f, true);
    return true;
}

static bool fill_fields(const struct insn *in, const struct rewrite *how, struct fields *f)
{
    *f = (struct fields){.reg = in->reg,
                         .rm = in->rm,
                         .vvvv = in->vvvv,
                         .mem = in->has_mem,
                         .base = how->base,
                         .index = how->index,
                         .scale = how->scale ? (unsigned)__builtin_ctz(how->scale) : 0,
                         .disp = how->disp,
                         .force_rex = in->rex,
                         .opcode = in->opcode};
    if (in->reg_kind == FK_GPR)
        f->reg = map_gpr(how, in->reg);
    else if (in->reg_kind == FK_OTHER)
        f->reg = in->modrm >> 3 & 7;
    if (in->rm_kind == FK_GPR)
        f->rm = map_gpr(how, in->rm);
    else if (in->rm_kind != FK_VEC)
        f->rm = in->modrm & 7;
    if (in->vvvv_kind == FK_GPR)
        f->vvvv = map_gpr(how, in->vvvv);
    bool gpr16 = (in->reg_kind == FK_GPR && f->reg > 15) || (in->rm_kind == FK_GPR && f->rm > 15) ||
                 (in->vvvv_kind == FK_GPR && f->vvvv > 15);
    return !gpr16 && (!f->mem || (how->mem && how->base >= 0 && how->index != RSP));
}

int rewrite_plain(struct emit *e, const struct insn *in, const struct rewrite *how)
{
    struct fields f;
    if (in->class != IC_PLAIN || in->vsib || !exists_in_64(in))
        return -1;
    bool hint = in->map == MAP_0F && in->enc == ENC_LEGACY &&
                (in->opcode == 0x0d || (in->opcode >= 0x18 && in->opcode <= 0x1f));
    if (hint && in->has_mem)
        return 0; // prefetches of guest addresses and long NOPs: nothing to do
    if (!fill_fields(in, how, &f))
        return -1;
    int swap = rewrite_swapped(in, how);
    if (swap >= 0) {
        put_swap(e, (unsigned)swap);
        f.reg = (unsigned)swap;
    } else if (f.mem && in->reg_kind == FK_GPR && is_high_byte(in, in->reg, in->reg_size) && rex_bits(in, &f)) {
        if (!borrow_r15(e, &f))
            return -1;
    }
    if (put_substitute(e, in, &f))
        return 0;
    if (in->enc == ENC_EVEX)
        put_evex(e, in, &f);
    else if (in->enc != ENC_LEGACY)
        put_vex(e, in, &f);
    else if (in->opcode_reg) {
        f.opcode = (uint8_t)((in->opcode & 0xf8) | (f.rm & 7));
        put_legacy(e, in, &f, false);
    } else {
        put_legacy(e, in, &f, in->has_modrm);
    }
    emit_bytes(e, in->bytes + in->imm_off, in->imm_off ? in->imm_len : 0);
    if (swap >= 0)
        put_swap(e, (unsigned)swap);
    return 0;
}
