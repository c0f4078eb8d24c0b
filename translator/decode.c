// SPDX-License-Identifier: MIT
// The decoder: a walk over the encoding finds the fields, the attribute table says what they mean, and
// Capstone says whether there is such an instruction.
//
// The walk follows SDM vol. 2A, chapter 2 "Instruction Format". An instruction is accepted if a row of
// opcodes.def matches it and Capstone decodes it with the same length; quirks.c lists the disagreements
// that the manual settles in our favour. Everything else is #UD: what we do not know completely, we do not
// run, since a memory operand that we overlooked would be a hole in the wall between guest and host.
#include "translator/decode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/state.h"
#include "translator/opcodes.h"
#include "translator/verdict.h"

struct decoder {
    struct opcode_table *table;
    struct verdicts *verdicts;
};

int decoder_create(struct decoder **out)
{
    struct decoder *d = calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    d->table = opcode_table_create();
    d->verdicts = verdicts_create();
    if (!d->table || !d->verdicts)
        goto fail;
    *out = d;
    return 0;
fail:
    decoder_destroy(d);
    return -ENOMEM;
}

void decoder_destroy(struct decoder *d)
{
    if (!d)
        return;
    verdicts_destroy(d->verdicts);
    opcode_table_destroy(d->table);
    free(d);
}

void decoder_ask_host(struct decoder *d, decoder_host_fn *fn, void *opaque)
{
    verdicts_ask_host(d->verdicts, fn, opaque);
}

// ---- the walk

struct walk {
    const uint8_t *b;
    unsigned len, pos;
    enum decode_mode mode;
    bool truncated; // ran out of bytes
    const struct opcode_row *row;
};

static uint8_t next_byte(struct walk *w)
{
    if (w->pos >= w->len) {
        w->truncated = true;
        return 0;
    }
    return w->b[w->pos++];
}

static uint64_t next_le(struct walk *w, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++)
        v |= (uint64_t)next_byte(w) << (8 * i);
    return v;
}

static int64_t sign_extend(uint64_t v, unsigned bytes)
{
    return bytes == 0 || bytes >= 8 ? (int64_t)v : (int64_t)(v << (64 - 8 * bytes)) >> (64 - 8 * bytes);
}

// Legacy prefixes and REX; returns the first byte that is neither.
static uint8_t walk_prefixes(struct walk *w, struct insn *in)
{
    in->seg = -1;
    for (;;) {
        uint8_t c = next_byte(w);
        if (w->truncated)
            return 0;
        int seg = -1;
        switch (c) {
        case 0x26: seg = ES; break;
        case 0x2e: seg = CS; break;
        case 0x36: seg = SS; break;
        case 0x3e: seg = DS; break;
        case 0x64: seg = FS; break;
        case 0x65: seg = GS; break;
        case 0x66: in->opsize_prefix = true; break;
        case 0x67: in->addrsize_prefix = true; break;
        case 0xf0: in->lock = true; break;
        case 0xf2:
            in->repne = true;
            in->rep = false;
            break;
        case 0xf3:
            in->rep = true;
            in->repne = false;
            break;
        default:
            if (w->mode == DECODE_64 && (c & 0xf0) == 0x40) {
                in->rex = c;
                continue;
            }
            return c;
        }
        in->rex = 0; // a REX that is not next to the opcode does not count
        if (seg >= 0 && (w->mode != DECODE_64 || seg >= FS))
            in->seg = (int8_t)seg;
    }
}

// Is c the start of a VEX or EVEX prefix here? Outside 64-bit mode only if what would be ModRM has mod 3.
static bool is_vex(const struct walk *w, uint8_t c)
{
    if (c != 0xc4 && c != 0xc5 && c != 0x62)
        return false;
    return w->mode == DECODE_64 || (w->pos < w->len && w->b[w->pos] >= 0xc0);
}

static const uint8_t vex_pp[] = {0, 0x66, 0xf3, 0xf2};

// False: no such encoding. SDM vol. 2A, section 2.3.5 "The VEX Prefix", 2.7.1 "Instruction Format and EVEX".
static bool walk_vex(struct walk *w, struct insn *in, uint8_t c)
{
    if (in->lock || in->rep || in->repne || in->opsize_prefix || in->rex)
        return false;
    uint8_t p0 = next_byte(w), p1 = c == 0xc5 ? p0 : next_byte(w);
    uint8_t rxb = (uint8_t)(~p0 >> 5 & 7);
    if (c == 0xc5) {
        in->enc = ENC_VEX2;
        in->rex = (uint8_t)(rxb & 4);
        in->map = MAP_0F;
    } else if (c == 0xc4) {
        in->enc = ENC_VEX3;
        in->rex = (uint8_t)(rxb | (p1 >> 7) << 3);
        in->map = p0 & 0x1f;
    } else {
        uint8_t p2 = next_byte(w);
        in->enc = ENC_EVEX;
        in->rex = (uint8_t)(rxb | (p1 >> 7) << 3);
        in->map = p0 & 7;
        in->evex[0] = 0x62;
        in->evex[1] = p0;
        in->evex[2] = p1;
        in->evex[3] = p2;
        if (p0 & 8 || !(p1 & 4))
            return false;
    }
    in->pp = vex_pp[p1 & 3];
    in->vvvv = (uint8_t)(~p1 >> 3 & 15);
    in->vl = c == 0x62 ? in->evex[3] >> 5 & 3 : p1 >> 2 & 1;
    if (c == 0x62)
        in->vvvv |= (uint8_t)((~in->evex[3] & 8) << 1);
    if (w->mode != DECODE_64) {
        in->rex &= 8;
        in->vvvv &= 7;
    }
    return in->map >= MAP_0F && in->map <= MAP_0F3A;
}

// False: VEX with prefixes that it does not go with, or a map that does not exist.
static bool walk_opcode(struct walk *w, struct insn *in)
{
    uint8_t c = walk_prefixes(w, in);
    if (w->truncated)
        return true;
    if (w->mode != DECODE_64 && (c == 0xc4 || c == 0xc5 || c == 0x62) && w->pos >= w->len) {
        w->truncated = true;
        return true;
    }
    bool ok = true;
    if (is_vex(w, c)) {
        ok = walk_vex(w, in, c);
        c = next_byte(w);
    } else if (c == 0x0f) {
        in->map = MAP_0F;
        c = next_byte(w);
        if (c == 0x38 || c == 0x3a) {
            in->map = c == 0x38 ? MAP_0F38 : MAP_0F3A;
            c = next_byte(w);
        } else if (c == 0x0f) {
            in->map = MAP_3DNOW;
        }
        in->pp = in->repne ? 0xf2 : in->rep ? 0xf3 : in->opsize_prefix ? 0x66 : 0;
    }
    in->opcode = c;
    in->opcode_off = (uint8_t)(w->pos ? w->pos - 1 : 0);
    return ok;
}

static void modrm_address16(struct insn *in, unsigned mod, unsigned rm)
{
    static const int8_t bases[] = {RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX};
    static const int8_t indexes[] = {RSI, RDI, RSI, RDI, -1, -1, -1, -1};
    in->base = bases[rm];
    in->index = indexes[rm];
    in->disp_len = mod == 1 ? 1 : mod == 2 ? 2 : 0;
    if (mod == 0 && rm == 6) {
        in->base = -1;
        in->disp_len = 2;
    }
}

static void modrm_address(struct walk *w, struct insn *in, unsigned mod, unsigned rm)
{
    in->disp_len = mod == 1 ? 1 : mod == 2 ? 4 : 0;
    if (rm == 4) {
        in->sib_off = (uint8_t)w->pos;
        uint8_t sib = next_byte(w);
        unsigned base = sib & 7, index = (sib >> 3 & 7) | (in->rex & 2) << 2;
        in->scale = (uint8_t)(1u << (sib >> 6));
        if (index != 4)
            in->index = (int8_t)index;
        if (base == 5 && mod == 0)
            in->disp_len = 4;
        else
            in->base = (int8_t)(base | (in->rex & 1) << 3);
    } else if (rm == 5 && mod == 0) {
        in->disp_len = 4;
        in->base = w->mode == DECODE_64 ? 16 : -1;
    } else {
        in->base = (int8_t)(rm | (in->rex & 1) << 3);
    }
}

// ModRM, SIB and displacement: SDM vol. 2A, section 2.1.3 "ModR/M and SIB Bytes".
static void walk_modrm(struct walk *w, struct insn *in)
{
    in->modrm_off = (uint8_t)w->pos;
    in->has_modrm = true;
    in->modrm = next_byte(w);
    unsigned mod = in->modrm >> 6, rm = in->modrm & 7;
    in->reg = (uint8_t)((in->modrm >> 3 & 7) | (in->rex & 4) << 1);
    in->rm = (uint8_t)(rm | (in->rex & 1) << 3);
    if (mod == 3)
        return;
    in->has_mem = true;
    if (in->addrsize == 2)
        modrm_address16(in, mod, rm);
    else
        modrm_address(w, in, mod, rm);
    if (in->disp_len) {
        in->disp_off = (uint8_t)w->pos;
        in->disp = (int32_t)sign_extend(next_le(w, in->disp_len), in->disp_len);
    }
    in->mem_seg = in->base == RSP || in->base == RBP ? SS : DS;
    if (in->seg >= 0)
        in->mem_seg = (uint8_t)in->seg;
}

// ---- matching

static bool row_matches(const struct opcode_row *r, const struct walk *w, const struct insn *in)
{
    uint8_t pp = in->pp == 0x66 ? OPC_66 : in->pp == 0xf3 ? OPC_F3 : in->pp == 0xf2 ? OPC_F2 : OPC_NP;
    if (r->pp && in->map != MAP_1 && !(r->pp & pp))
        return false;
    if (r->traits & (w->mode == DECODE_64 ? OT_I64 : OT_O64))
        return false;
    if (r->w && !(r->w & (in->rex & 8 ? 2 : 1)))
        return false;
    // With a register operand EVEX.b makes L'L the rounding mode of a 512-bit or scalar operation.
    if (r->l && !(r->l & 1u << in->vl))
        return false;
    if (!r->has_modrm)
        return true;
    if (r->modrm >= 0 && r->modrm != in->modrm)
        return false;
    if (r->mod && r->mod != (in->has_mem ? 1 : 2))
        return false;
    return r->ext >> (in->modrm >> 3 & 7) & 1;
}

// The row, having read ModRM if the opcode has one; NULL: no such instruction.
static const struct opcode_row *find_row(struct decoder *d, struct walk *w, struct insn *in)
{
    unsigned n;
    const struct opcode_row *const *rows = opcode_rows(d->table, in->enc, in->map, in->opcode, &n);
    bool modrm = false;
    for (unsigned i = 0; i < n; i++)
        modrm |= rows[i]->has_modrm && !(rows[i]->traits & (w->mode == DECODE_64 ? OT_I64 : OT_O64));
    if (modrm) {
        if (in->enc == ENC_LEGACY && in->map == MAP_0F && in->opcode >= 0x20 && in->opcode < 0x24) {
            in->modrm_off = (uint8_t)w->pos; // mod is ignored: always registers
            in->has_modrm = true;
            in->modrm = next_byte(w) | 0xc0;
            in->reg = (uint8_t)((in->modrm >> 3 & 7) | (in->rex & 4) << 1);
            in->rm = (uint8_t)((in->modrm & 7) | (in->rex & 1) << 3);
        } else {
            walk_modrm(w, in);
        }
        if (w->truncated)
            return NULL;
    }
    for (unsigned i = 0; i < n; i++)
        if (row_matches(rows[i], w, in))
            return rows[i];
    return NULL;
}

// ---- sizes

static unsigned integer_opsize(const struct opcode_row *r, const struct walk *w, const struct insn *in)
{
    if (w->mode == DECODE_64) {
        if (r->traits & OT_F64 || in->rex & 8)
            return 8;
        return r->traits & OT_D64 ? (in->opsize_prefix ? 2 : 8) : in->opsize_prefix ? 2 : 4;
    }
    return (w->mode == DECODE_32) != in->opsize_prefix ? 4 : 2;
}

static unsigned operand_size(const struct insn *in, enum decode_mode mode, char size)
{
    unsigned v = in->opsize, vl = in->enc == ENC_LEGACY ? 16 : 16u << (in->vl > 2 ? 2 : in->vl);
    bool w = in->rex & 8, small = v == 2;
    switch (size) {
    case 'b': return 1;
    case 'w': return 2;
    case 'd': return 4;
    case 'q': return 8;
    case 't': return 10;
    case 'o': return 16;
    case 'Y': return 32;
    case 'v': return v;
    case 'z': return v == 8 ? 4 : v;
    case 'y':
    case 'S': return w ? 8 : 4;
    case 'p': return 2 + v;
    case 'a': return 2 * v;
    case 'g': return mode == DECODE_64 ? 10 : 6;
    case 'n': return small ? 14 : 28;
    case 'N': return small ? 94 : 108;
    case 'X': return 255; // 512 and more: checked by cpu_op_xstate
    case 'x': return vl;
    case 'h': return vl / 2;
    case 'f': return vl / 4;
    case 'e': return vl / 8;
    case 'P': return in->pp == 0xf3 ? 4 : in->pp == 0xf2 ? 8 : vl;
    }
    return 0;
}

static enum field_kind place_kind(char place)
{
    switch (place) {
    case 0: return FK_NONE;
    case 'E':
    case 'R':
    case 'G':
    case 'B':
    case 'Z': return FK_GPR;
    case 'V':
    case 'W':
    case 'U':
    case 'H': return FK_VEC;
    case 'k':
    case 'm':
    case 'j': return FK_MASK;
    }
    return FK_OTHER;
}

static void fill_immediates(struct walk *w, struct insn *in, const struct opcode_row *r)
{
    if (!r->imm[0] && !r->far && !r->moffs.place)
        return;
    in->imm_off = (uint8_t)w->pos;
    if (r->far) {
        in->imm = (int64_t)next_le(w, in->opsize);
        in->imm2 = (int64_t)next_le(w, 2);
        in->imm_len = (uint8_t)(in->opsize + 2);
        return;
    }
    if (r->moffs.place) {
        in->imm_len = in->addrsize;
        in->imm = (int64_t)next_le(w, in->addrsize);
        in->disp = (int32_t)in->imm;
        return;
    }
    for (unsigned i = 0; r->imm[i]; i++) {
        unsigned n = r->imm[i] == '2' ? 2 : operand_size(in, w->mode, r->imm[i]);
        uint64_t v = next_le(w, n);
        // Signed where the operand is arithmetic or a displacement; ports, vectors, counts and control
        // bytes are not.
        bool is_signed = r->branch || (in->enc == ENC_LEGACY && in->map == MAP_1 && in->opcode < 0xc0) ||
                         (in->map == MAP_1 && (in->opcode == 0xc6 || in->opcode == 0xc7 || in->opcode >= 0xf0)) ||
                         (in->enc == ENC_LEGACY && in->map == MAP_0F && r->branch);
        *(i ? &in->imm2 : &in->imm) = is_signed ? sign_extend(v, n) : (int64_t)v;
        in->imm_len += (uint8_t)n;
    }
}

// ---- attributes

static unsigned gpr_bit(const struct insn *in, unsigned n, unsigned size)
{
    bool high = size == 1 && in->enc == ENC_LEGACY && !in->rex && n >= 4 && n < 8;
    return 1u << ((high ? n - 4 : n) & 15);
}

static void note_register(struct insn *in, const struct operand *op, unsigned n, unsigned size, bool conditional)
{
    if (place_kind(op->place) != FK_GPR)
        return;
    uint32_t bit = gpr_bit(in, n, size);
    if (op->access & ACC_READ || conditional || size < 4)
        in->gpr_read |= bit;
    if (op->access & ACC_WRITE)
        in->gpr_written |= bit;
}

// VBROADCASTSS, VBROADCASTSD, VPBROADCASTB..Q: one element, which is not read if no destination element is chosen.
static bool is_broadcast(const struct insn *in)
{
    if (in->map != MAP_0F38)
        return false;
    if (in->opcode == 0x19 || in->opcode == 0x59) // W0: pairs of elements
        return in->rex & 8;
    return in->opcode == 0x18 || in->opcode == 0x58 || in->opcode == 0x78 || in->opcode == 0x79;
}

static void fill_memory(struct insn *in, const struct walk *w, const struct opcode_row *r)
{
    const struct operand *op = r->moffs.place ? &r->moffs : &r->rm;
    char size_code = op->mem_size ? op->mem_size : op->size;
    unsigned size = operand_size(in, w->mode, size_code), w_size = in->rex & 8 ? 8 : 4;
    if (!op->place || size_code == '-' || !size)
        return;
    in->mem_access = (op->access & ACC_READ ? MA_READ : 0) | (op->access & ACC_WRITE ? MA_WRITE : 0);
    unsigned n = r->traits & OT_N1 ? (r->elem ? r->elem : w_size) : size;
    if (in->enc == ENC_EVEX) {
        bool vector = size_code == 'x' || size_code == 'h' || (size_code == 'P' && size >= 16);
        if (in->evex[3] & 0x10 && vector && r->rm.access == ACC_READ) {
            size = n = w_size; // broadcast
            in->mem_bcast = true;
        }
        if (in->disp_len == 1)
            in->disp *= (int32_t)n;
        if (in->evex[3] & 7 && !(r->traits & OT_NOMASK))
            in->mask_elem = size_code == 'P' && size < 16 ? (uint8_t)size : r->elem ? r->elem : (uint8_t)w_size;
        if (in->evex[3] & 7 && is_broadcast(in)) {
            in->mem_bcast = true;
            in->mask_elem = (uint8_t)size;
        }
    } else if (r->traits & OT_MVV) {
        in->mask_elem = r->elem ? r->elem : (uint8_t)w_size;
    }
    in->mem_size = (uint8_t)size;
    bool vec = op->place == 'W' && size == 16 && in->enc == ENC_LEGACY && !(r->traits & OT_UNALIGNED);
    in->mem_aligned = vec || (r->traits & OT_ALIGNED && size >= 16) ||
                      (op->place == 'M' && op->size == 'o' && in->map == MAP_0F && in->opcode == 0xc7);
}

static void fill_registers(struct insn *in, const struct walk *w, const struct opcode_row *r)
{
    bool evex = in->enc == ENC_EVEX, m64 = w->mode == DECODE_64;
    in->reg_kind = r->has_modrm ? (r->reg.place ? place_kind(r->reg.place) : FK_OTHER) : FK_NONE;
    in->rm_kind = r->has_modrm && !in->has_mem ? place_kind(r->rm.place) : FK_NONE;
    in->vvvv_kind = place_kind(r->vvvv.place);
    if (evex && m64) {
        if (in->reg_kind == FK_VEC)
            in->reg |= (uint8_t)(~in->evex[1] & 0x10);
        if (in->rm_kind == FK_VEC)
            in->rm |= (uint8_t)((in->rex & 2) << 3);
    }
    if (in->vvvv_kind == FK_GPR)
        in->vvvv &= 15;
    in->reg_size = in->reg_kind == FK_GPR ? (uint8_t)operand_size(in, w->mode, r->reg.size) : 0;
    in->rm_size = in->rm_kind == FK_GPR ? (uint8_t)operand_size(in, w->mode, r->rm.size) : 0;
    // CMOV and the like keep or merge their destination: + in the table; a write through = is complete
    // only from 32 bits up.
    if (in->reg_kind == FK_GPR)
        note_register(in, &r->reg, in->reg, in->reg_size, false);
    if (in->rm_kind == FK_GPR && r->rm.size != '-')
        note_register(in, &r->rm, in->rm, in->rm_size, false);
    if (in->vvvv_kind == FK_GPR)
        note_register(in, &r->vvvv, in->vvvv, in->rex & 8 ? 8 : 4, false);
    if (r->opreg.place) {
        in->opcode_reg = true;
        in->rm = (uint8_t)((in->opcode & 7) | (in->rex & 1) << 3);
        in->rm_kind = FK_GPR;
        in->rm_size = (uint8_t)operand_size(in, w->mode, r->opreg.size);
        note_register(in, &r->opreg, in->rm, in->rm_size, false);
    }
    in->gpr_read |= r->implicit_read;
    in->gpr_written |= r->implicit_written;
    if (in->has_mem) {
        if (in->base >= 0 && in->base < 16)
            in->gpr_read |= 1u << in->base;
        if (in->index >= 0 && !(r->traits & OT_VSIB))
            in->gpr_read |= 1u << in->index;
    }
}

// SDM vol. 1, appendix B "EFLAGS Condition Codes"
static uint16_t condition_flags(unsigned cc)
{
    static const uint16_t flags[] = {FL_OF, FL_CF, FL_ZF,         FL_CF | FL_ZF,
                                     FL_SF, FL_PF, FL_SF | FL_OF, FL_ZF | FL_SF | FL_OF};
    return flags[cc >> 1 & 7];
}

static void fill_flags(struct insn *in, const struct opcode_row *r)
{
    in->flags_read = r->flags & FL_ARITH;
    in->flags_written = r->flags >> 16 & FL_ARITH;
    in->flags_partial = r->flags & OF_PARTIAL;
    if (r->flags & OF_COND)
        in->flags_read = condition_flags(in->opcode & 15);
    if (r->flags & OF_SHIFT) {
        unsigned count = (unsigned)in->imm & (in->opsize == 8 ? 63 : 31);
        bool rotate_carry = in->map == MAP_1 && (in->modrm & 0x30) == 0x10; // RCL, RCR: the count is mod 9 or 17
        if (!count) {
            in->flags_read = in->flags_written = 0;
        } else if (rotate_carry && in->opsize < 4 && count > 8) {
            in->flags_written = 0;
            in->flags_partial = true;
        }
    }
    // A comparison as a string instruction writes flags, surely if it is not repeated.
    if (r->class == IC_STRING && in->flags_partial && !in->rep && !in->repne) {
        in->flags_written = FL_ARITH;
        in->flags_partial = false;
    }
}

static void fill_features(struct insn *in, const struct opcode_row *r)
{
    bool vec = false, mmx = false;
    const struct operand *ops[] = {&r->reg, &r->rm, &r->vvvv};
    for (unsigned i = 0; i < 3; i++) {
        vec |= place_kind(ops[i]->place) == FK_VEC;
        mmx |= ops[i]->place && strchr("PQN", ops[i]->place);
    }
    in->uses_x87 = r->traits & OT_X87;
    in->uses_mmx = mmx || r->traits & OT_MMX;
    in->uses_sse = (vec && in->enc == ENC_LEGACY) || r->traits & OT_SSE;
    in->uses_avx512 = in->enc == ENC_EVEX || r->traits & OT_AVX512;
    in->uses_avx = !in->uses_avx512 && ((vec && in->enc != ENC_LEGACY) || r->traits & OT_AVX);
}

// Does any operand's size follow the operand-size attribute?
static bool depends_on_opsize(const struct opcode_row *r)
{
    const char sizes[] = {r->reg.size, r->rm.size, r->opreg.size, r->moffs.size, r->implicit_size, r->imm[0]};
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
        if (sizes[i] && strchr("vznNap", sizes[i]))
            return true;
    return false;
}

static bool has_size(const struct opcode_row *r, char size)
{
    return r->reg.size == size || r->rm.size == size || r->vvvv.size == size;
}

// 90: NOP, PAUSE, or XCHG r8,rAX.
static void amend_nop(struct insn *in)
{
    if (in->enc != ENC_LEGACY || in->map != MAP_1 || in->opcode != 0x90 || in->rex & 1)
        return;
    in->gpr_read = in->gpr_written = 0;
    in->opcode_reg = false;
    in->rm_kind = FK_NONE;
}

static void fill(struct walk *w, struct insn *in, const struct opcode_row *r)
{
    in->class = r->class;
    in->opsize = (uint8_t)integer_opsize(r, w, in);
    if (w->mode != DECODE_64 && (has_size(r, 'y') || r->traits & OT_WY))
        in->rex &= (uint8_t)~8; // VEX.W is ignored for general registers outside 64-bit mode
    if (in->enc == ENC_LEGACY)
        in->host_66 = depends_on_opsize(r) ? in->opsize == 2 : r->pp & OPC_66 && in->pp == 0x66;
    fill_immediates(w, in, r);
    if (r->moffs.place) {
        in->has_mem = in->moffs = true;
        in->mem_seg = in->seg >= 0 ? (uint8_t)in->seg : DS;
    }
    if (r->traits & OT_VSIB && in->sib_off) // no "none" among vector index registers
        in->index = (int8_t)((in->bytes[in->sib_off] >> 3 & 7) | (in->rex & 2) << 2);
    if (in->has_mem)
        fill_memory(in, w, r);
    fill_registers(in, w, r);
    fill_features(in, r);
    const struct operand *first[] = {&r->rm, &r->reg, &r->opreg, &r->moffs, &r->vvvv};
    char size = r->traits & OT_BYTE ? 'b' : 0;
    for (unsigned i = 0; i < ARRAY_SIZE(first) && !size; i++)
        if (first[i]->access & ACC_WRITE &&
            (place_kind(first[i]->place) == FK_GPR || first[i]->place == 'M' || first[i]->place == 'O'))
            size = first[i]->size;
    for (unsigned i = 0; i < ARRAY_SIZE(first) && !size; i++)
        if (place_kind(first[i]->place) == FK_GPR)
            size = first[i]->size;
    if (!size)
        size = r->implicit_size;
    if (size && strchr("bwdqvzy", size) && in->class != IC_CALL_IND && in->class != IC_JMP_IND)
        in->opsize = (uint8_t)operand_size(in, w->mode, size);
    fill_flags(in, r);
    in->is_bitstring = r->traits & OT_BITS && in->has_mem;
    in->vsib = r->traits & OT_VSIB;
    in->ends_block = r->traits & OT_END;
    amend_nop(in);
}

// Are the fields that a VEX or EVEX instruction does not use as they must be? Else #UD: SDM vol. 2A, section 2.3.6
// "Instruction Operand Encoding and VEX.vvvv, ModR/M", 2.7.11 "#UD Equations for EVEX". Capstone lets some pass.
static bool fields_ok(const struct walk *w, const struct insn *in, const struct opcode_row *r)
{
    if (in->enc == ENC_LEGACY)
        return true;
    bool used = r->vvvv.place, vsib = r->traits & OT_VSIB;
    uint8_t p1 = in->bytes[in->opcode_off - (in->enc == ENC_EVEX ? 2 : 1)];
    if (!used && (p1 >> 3 & 15) != 15)
        return false;
    if (in->enc != ENC_EVEX)
        return in->reg_kind != FK_MASK || !(in->rex & 4);
    bool b = in->evex[3] & 0x10, high = !(in->evex[3] & 8);
    if (high && (w->mode != DECODE_64 || !(used || vsib)))
        return false;
    if (in->vl == 3 && (!b || in->has_mem)) // L'L is a rounding mode only with b and registers
        return false;
    if (vsib && (b || in->evex[3] & 0x80))
        return false;
    bool z = in->evex[3] & 0x80, mask = in->evex[3] & 7;
    if (z && (!mask || in->reg_kind == FK_MASK || in->mem_access & MA_WRITE))
        return false;
    // Bytes and words are not broadcast, nor what is a broadcast by itself.
    if (b && in->has_mem && (!in->mem_bcast || r->elem == 1 || r->elem == 2 || is_broadcast(in)))
        return false;
    if (in->reg_kind == FK_GPR && mask)
        return false;
    if (w->mode != DECODE_64) // R' is ignored there
        return true;
    if (in->reg_kind == FK_GPR && !(in->evex[1] & 0x10))
        return false;
    return in->reg_kind != FK_MASK || (in->evex[1] & 0x90) == 0x90;
}

// Opcodes that 64-bit mode has not still have their operands there: more than 15 bytes with them is #GP(0), not #UD (seen
// on AMD's Zen 5; the limit is in SDM vol. 3A, section 6.15, "Interrupt 13-General Protection Exception (#GP)").
static unsigned operand_bytes(const struct insn *in, const struct walk *w)
{
    if (w->mode != DECODE_64 || in->enc != ENC_LEGACY || in->map != MAP_1)
        return 0;
    switch (in->opcode) {
    case 0x82: return 2; // group 1: ModRM and a byte
    case 0x9a:           // CALL, JMP ptr16:16 or ptr16:32
    case 0xea: return in->opsize_prefix ? 4 : 6;
    case 0xd4: // AAM, AAD
    case 0xd5: return 1;
    default: return 0;
    }
}

static int invalid(struct insn *out, const struct walk *w)
{
    uint8_t bytes[INSN_MAX];
    memcpy(bytes, out->bytes, sizeof bytes);
    *out = (struct insn){.class = IC_INVALID,
                         .len = (uint8_t)(w->pos ? w->pos : 1),
                         .seg = -1,
                         .base = -1,
                         .index = -1,
                         .ends_block = true,
                         .opcode = out->opcode,
                         .map = out->map,
                         .too_long = w->truncated || w->pos + operand_bytes(out, w) > INSN_MAX};
    memcpy(out->bytes, bytes, sizeof bytes);
    return 0;
}

int decode(struct decoder *d, const uint8_t *bytes, unsigned len, enum decode_mode mode, uint64_t rip, struct insn *out)
{
    if (len > INSN_MAX)
        len = INSN_MAX;
    struct walk w = {.b = bytes, .len = len, .mode = mode};
    *out = (struct insn){.base = -1, .index = -1, .scale = 1, .mem_seg = DS};
    memcpy(out->bytes, bytes, len);
    bool ok = walk_opcode(&w, out);
    out->addrsize = mode == DECODE_64                             ? (out->addrsize_prefix ? 4 : 8)
                    : (mode == DECODE_32) != out->addrsize_prefix ? 4
                                                                  : 2;
    const struct opcode_row *row = ok && !w.truncated ? find_row(d, &w, out) : NULL;
    if (row)
        fill(&w, out, row);
    if (w.truncated && len < INSN_MAX)
        return -1;
    // LOCK: SDM vol. 2A, "LOCK - Assert LOCK# Signal Prefix"
    bool locked = row && out->lock && !(row->traits & OT_LOCK && out->has_mem);
    if (!row || w.truncated || locked || !fields_ok(&w, out, row))
        return invalid(out, &w);
    out->len = (uint8_t)w.pos;
    memset(out->bytes + w.pos, 0, sizeof out->bytes - w.pos);
    if (!verdict(d->verdicts, mode, rip, out))
        return invalid(out, &w);
    return 0;
}
