// SPDX-License-Identifier: MIT
// Segments that are not flat, 16-bit addressing, and what real mode and VM86 do inline.
//
// Flat segments cost nothing: gen_mem.c takes the effective address for the linear one. Here a memory operand is an
// offset first, compared with the segment's bounds (struct segment_bounds, decided when the register is loaded) and
// added to its base:
//
//      mov ax, [bx+si+4]           lea   r14d, [rbx+rsi+4]
//                                  movzx r14d, r14w
//                                  lea   r15, [r14+2]          cmp r14d, 0fffeh   where all segments have 64 KiB
//                                  cmp   r15, fs:[ds.end_r]    ja  limit          (MODE_SEG64K: real mode, VM86)
//                                  ja    limit
//                                  add   r14d, fs:[ds.base]
//
// and then looked up as always. A byte at a 16-bit offset cannot leave 64 KiB, so nothing is compared at all; an
// aligned word of a stack cannot either, and the lookup's own check finds those that are not. Bases and bounds are read
// when the code runs, so that loading a segment register leaves translations alone; only what changes the mode word
// (MODE_SEG64K, MODE_SEG_DOWN, MODE_FLAT) leads to other blocks. CS is part of a block's key (code_addr.h), and constant.
#include "base/stats.h"
#include "cpu/cpu.h"
#include "translator/gen.h"
#include "translator/host_insn.h"

static struct emem seg_field(const struct gen *g, unsigned seg, size_t field)
{
    return cpu_field(g->bt, offsetof(struct cpu, seg) + seg * sizeof(struct segment) + field);
}
static struct emem bounds_field(const struct gen *g, unsigned seg, size_t field)
{
    return cpu_field(g->bt, offsetof(struct cpu, bounds) + seg * sizeof(struct segment_bounds) + field);
}
static uint32_t cs_base(const struct gen *g) { return (uint32_t)(g->tb->va >> 32); }

bool gen_seg_flat(const struct gen *g, unsigned seg) { return seg != FS && seg != GS && (g->tb->mode & MODE_FLAT); }

void gen_seg_ea16(struct gen *g, const struct insn *in)
{
    struct emit *e = &g->e;
    if (in->moffs || in->base < 0) {
        emit_mov_imm(e, R14, (uint16_t)(in->moffs ? in->imm : in->disp));
        return;
    }
    int from = in->base;
    if (in->index >= 0 || in->disp) {
        emit_lea32(e, R14, (struct emem){.base = in->base, .index = in->index, .scale = 1, .disp = in->disp});
        from = R14;
    }
    emit_op_reg(e, EF_0F, 0xb7, R14, from); // movzx r14d, word
}

void gen_seg_relative(struct gen *g, unsigned seg, bool ea16)
{
    g->seg = gen_seg_flat(g, seg) ? 0 : (uint8_t)(seg + 1);
    g->seg_ea16 = ea16;
}

// Host registers that the guest has none of, outside long mode: loaded by bt_load_scratch() on the way into translated
// code, and kept right by what changes segments or DF inside it. r12 and r13 are gen_flags.c's.
enum { HOST_DS = R8, HOST_SS = R9, HOST_ES = R10, HOST_STEP = GEN_HOST_STEP };

static int base_register(const struct gen *g, unsigned seg)
{
    return !g->scratch ? -1 : seg == DS ? HOST_DS : seg == SS ? HOST_SS : seg == ES ? HOST_ES : -1;
}

// --- the check

static void limit_branch(struct gen_slow *s, uint8_t *site) { s->limit[s->nlimit++] = site; }

static bool is_64k(const struct gen *g, unsigned seg)
{
    uint64_t mode = g->tb->mode;
    return seg == CS ? (mode & MODE_REAL) && code_limit(mode) == 0xffff : (mode & MODE_SEG64K) != 0;
}

// Bases are multiples of 16 there, so that alignment in the segment is alignment in memory.
bool gen_seg_odd(const struct gen *g, unsigned size)
{
    return g->seg_ea16 && (size == 2 || size == 4) && (g->tb->mode & MODE_REAL) && is_64k(g, g->seg - 1u);
}

void gen_seg_odd_stub(struct gen *g, struct gen_slow *s, const uint8_t *slow)
{
    struct emit *e = &g->e;
    unsigned size = s->site->size, seg = s->odd_seg;
    emit_patch(e, s->odd, gen_here(g));
    emit_mov32(e, R15, R14);
    if (seg == CS) {
        emit_op_reg(e, 0, 0x81, 5, R15); // sub r15d, base
        emit_32(e, cs_base(g));
    } else {
        emit_op_mem(e, 0, 0x2b, R15, seg_field(g, seg, offsetof(struct segment, base)));
    }
    emit_op_reg(e, 0, 0x81, 7, R15); // cmp r15d, last offset that fits
    emit_32(e, 0x10000 - size);
    limit_branch(s, emit_jcc(e, CC_A, NULL));
    host_rorx32(e, R15, R14, 12);
    emit_op_reg(e, 0, 0x81, 7, R15);
    emit_32(e, (PAGE_SIZE - size) << 20 | 0xfffff);
    emit_jcc(e, CC_A, slow);
    emit_jmp(e, s->odd_back);
}

static void check_dead(struct gen *g, struct gen_slow *s, unsigned seg, unsigned size, bool write, bool odd)
{
    struct emit *e = &g->e;
    if (is_64k(g, seg)) {
        if ((g->seg_ea16 && size == 1) || odd)
            return;
        emit_op_reg(e, 0, 0x81, 7, R14); // cmp r14d, last offset that fits
        emit_32(e, 0x10000 - size);
        limit_branch(s, emit_jcc(e, CC_A, NULL));
        return;
    }
    if (size == 1 || size == 2 || size == 4) {
        size_t max = write ? offsetof(struct segment_bounds, max_w) : offsetof(struct segment_bounds, max_r);
        emit_op_mem(e, EF_W, 0x3b, R14, bounds_field(g, seg, max + 8 * (size / 2))); // cmp r14, max
        limit_branch(s, emit_jcc(e, CC_G, NULL));
    } else {
        emit_lea(e, R15, EMEM(R14, (int32_t)size));
        size_t end = write ? offsetof(struct segment_bounds, end_w) : offsetof(struct segment_bounds, end_r);
        emit_op_mem(e, EF_W, 0x3b, R15, bounds_field(g, seg, end)); // cmp r15, end
        limit_branch(s, emit_jcc(e, CC_A, NULL));
    }
    if (g->tb->mode & MODE_SEG_DOWN) {
        emit_op_mem(e, EF_W, 0x3b, R14, bounds_field(g, seg, offsetof(struct segment_bounds, start)));
        limit_branch(s, emit_jcc(e, CC_B, NULL));
    }
}

// A branch for JRCXZ that is jumped into: see hidden_jump() in gen_mem.c. r15 is dead.
static uint8_t *hidden_limit(struct emit *e, struct gen_slow *s)
{
    emit_bytes(e, "\x49\xbf", 2); // movabs r15, ...
    uint8_t *at = e->p;
    limit_branch(s, emit_jmp(e, NULL));
    emit_bytes(e, "\x90\x90\x90", 3);
    return at;
}

// To `limit` unless r15 is negative. Clobbers rcx.
static void unless_negative(struct emit *e, const uint8_t *limit)
{
    emit_mov_imm(e, RCX, 63);
    host_shrx(e, RCX, R15, RCX);
    emit_8(e, 0xe3); // jrcxz
    ptrdiff_t rel = limit - (e->p + 1);
    if (rel < INT8_MIN)
        e->overflow = true;
    emit_8(e, (uint8_t)rel);
}

static void emit_not(struct emit *e, int r) { emit_op_reg(e, EF_W, 0xf7, 2, r); } // changes no flags

static void check_neutral(struct gen *g, struct gen_slow *s, unsigned seg, unsigned size, bool write)
{
    struct emit *e = &g->e;
    if (is_64k(g, seg)) {
        if (g->seg_ea16 && size == 1)
            return;
        uint8_t *limit = hidden_limit(e, s);
        emit_lea(e, R15, EMEM(R14, (int32_t)size - 0x10001));
        unless_negative(e, limit);
        return;
    }
    uint8_t *limit = hidden_limit(e, s);
    size_t end = write ? offsetof(struct segment_bounds, end_w) : offsetof(struct segment_bounds, end_r);
    emit_load(e, RCX, bounds_field(g, seg, end));
    emit_not(e, RCX); // -end - 1
    emit_lea(e, R15, (struct emem){.base = R14, .index = RCX, .scale = 1, .disp = (int32_t)size});
    unless_negative(e, limit);
    if (g->tb->mode & MODE_SEG_DOWN) {
        emit_mov(e, R15, R14);
        emit_not(e, R15); // -offset - 1
        emit_load(e, RCX, bounds_field(g, seg, offsetof(struct segment_bounds, start)));
        emit_lea(e, R15, (struct emem){.base = R15, .index = RCX, .scale = 1});
        unless_negative(e, limit);
    }
}

static void add_base(struct gen *g, unsigned seg, bool neutral)
{
    struct emit *e = &g->e;
    struct emem base = seg_field(g, seg, offsetof(struct segment, base));
    int in_register = base_register(g, seg);
    if (seg == CS) {
        if (cs_base(g))
            emit_lea32(e, R14, EMEM(R14, (int32_t)cs_base(g)));
    } else if (in_register >= 0) {
        emit_lea32(e, R14, (struct emem){.base = R14, .index = (int8_t)in_register, .scale = 1});
    } else if (neutral) {
        emit_load32(e, R15, base);
        emit_lea32(e, R14, EMEM_R14_R15);
    } else {
        emit_op_mem(e, 0, 0x03, R14, base); // add r14d, base
    }
}

bool gen_seg_window(struct gen *g, struct gen_slow *s, unsigned size)
{
    struct emit *e = &g->e;
    unsigned seg = g->seg - 1u;
    if (is_64k(g, seg) || seg == CS || (size != 1 && size != 2 && size != 4))
        return false;
    emit_op_mem(e, EF_W, 0x3b, R14, bounds_field(g, seg, offsetof(struct segment_bounds, max_low) + 8 * (size / 2)));
    s->outside = emit_jcc(e, CC_G, NULL);
    s->outside_limit = true;
    s->odd_seg = (uint8_t)seg;
    add_base(g, seg, false);
    g->seg = 0;
    return true;
}

void gen_seg_outside(struct gen *g, struct gen_slow *s)
{
    unsigned ea16 = g->seg_ea16;
    g->seg = (uint8_t)(s->odd_seg + 1);
    g->seg_ea16 = false; // only 64 KiB segments ask
    gen_seg_check(g, s, s->site->size, false, false, false);
    g->seg_ea16 = ea16;
}

void gen_seg_check(struct gen *g, struct gen_slow *s, unsigned size, bool write, bool odd, bool neutral)
{
    unsigned seg = g->seg - 1u;
    g->seg = 0;
    s->odd_seg = (uint8_t)seg;
    if (neutral)
        check_neutral(g, s, seg, size, write);
    else
        check_dead(g, s, seg, size, write, odd);
    add_base(g, seg, neutral);
}

// --- segment registers of real mode and VM86: selector * 16, nothing can fault

static bool inline_loads(uint64_t mode) { return (mode & (MODE_REAL | MODE_SEG64K)) == (MODE_REAL | MODE_SEG64K); }

// MOV Sreg, POP Sreg, LES and its kin; -1: none of them. mode: with real-mode rules only.
static int loaded_sreg(uint64_t mode, const struct insn *in)
{
    if (!inline_loads(mode) || in->enc != ENC_LEGACY || in->class != IC_SYSTEM || in->lock)
        return -1;
    if (in->map == MAP_1)
        switch (in->opcode) {
        case 0x8e: return in->modrm >> 3 & 7;
        case 0x07:
        case 0xc4: return ES;
        case 0x17: return SS;
        case 0x1f:
        case 0xc5: return DS;
        }
    else if (in->map == MAP_0F)
        switch (in->opcode) {
        case 0xa1:
        case 0xb4: return FS;
        case 0xa9:
        case 0xb5: return GS;
        case 0xb2: return SS;
        }
    return -1;
}

static bool is_far_pointer(const struct insn *in)
{
    return in->map == MAP_1 ? in->opcode == 0xc4 || in->opcode == 0xc5
                            : in->opcode == 0xb2 || in->opcode == 0xb4 || in->opcode == 0xb5;
}

bool gen_real_loads_ss(uint64_t mode, const struct insn *in) { return loaded_sreg(mode, in) == SS; }

bool gen_real_goes_on(uint64_t mode, const struct insn *in)
{
    int s = loaded_sreg(mode, in);
    return s >= 0 && !(is_far_pointer(in) && in->opsize != 2);
}

// r15d: the selector. Clobbers r14.
static void set_real_segment(struct gen *g, unsigned s)
{
    struct emit *e = &g->e;
    emit_op_mem(e, EF_66, 0x89, R15, seg_field(g, s, offsetof(struct segment, sel)));
    emit_lea32(e, R14, (struct emem){.base = -1, .index = R15, .scale = 8});
    emit_lea32(e, R14, (struct emem){.base = R14, .index = R14, .scale = 1});
    emit_store32(e, seg_field(g, s, offsetof(struct segment, base)), R14);
    if (base_register(g, s) >= 0)
        emit_mov32(e, base_register(g, s), R14);
}

static bool load_real_segment(struct gen *g, unsigned i, unsigned s)
{
    const struct insn *in = &g->insn[i];
    struct emit *e = &g->e;
    // The shadow of a load of SS is the next instruction, which must be in this block (nothing is taken in between).
    if ((s == SS && i + 1 >= g->n) || s == CS || s >= SREG_COUNT || (is_far_pointer(in) && in->opsize != 2))
        return false;
    if (in->map == MAP_1 && in->opcode == 0x8e && !in->has_mem) {
        emit_op_reg(e, EF_0F, 0xb7, R15, in->rm); // movzx r15d, word
    } else if (in->has_mem) {
        bool far = is_far_pointer(in);
        if (!gen_ea(g, i))
            return false;
        gen_lookup(g, i, far ? 4 : 2, false, false, false, g->live[i] != 0);
        if (far) {
            emit_op_mem(e, 0, 0x8b, R15, EMEM_R14_R15);
            emit_op_reg(e, EF_66, 0x89, R15, in->reg);
            host_rorx32(e, R15, R15, 16);
            emit_op_reg(e, EF_0F, 0xb7, R15, R15);
        } else {
            emit_op_mem(e, EF_0F, 0xb7, R15, EMEM_R14_R15);
        }
    } else { // POP
        gen_seg_top(g, i, in->opsize, false);
        emit_op_mem(e, EF_0F, 0xb7, R15, EMEM_R14_R15);
        gen_seg_add_sp(g, i, in->opsize);
    }
    set_real_segment(g, s);
    return true;
}

// MOV m16, Sreg
static bool store_segment(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    struct emit *e = &g->e;
    unsigned s = in->modrm >> 3 & 7;
    if (!in->has_mem || s >= SREG_COUNT || !gen_ea(g, i))
        return false;
    gen_lookup(g, i, 2, true, false, false, g->live[i] != 0);
    emit_lea(e, R14, EMEM_R14_R15);
    emit_op_mem(e, EF_0F, 0xb7, R15, seg_field(g, s, offsetof(struct segment, sel)));
    emit_op_mem(e, EF_66, 0x89, R15, EMEM(R14, 0));
    return true;
}

// --- XLAT, and the operands of string instructions (gen_string.c)

// Offset in a register of the address size to r14.
void gen_seg_register(struct gen *g, const struct insn *in, int r, unsigned seg)
{
    if (in->addrsize == 2)
        emit_op_reg(&g->e, EF_0F, 0xb7, R14, r);
    else
        emit_mov32(&g->e, R14, r);
    gen_seg_relative(g, seg, in->addrsize == 2);
}

static bool gen_xlat(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    struct emit *e = &g->e;
    emit_op_reg(e, EF_0F, 0xb6, R14, RAX); // movzx r14d, al
    emit_lea32(e, R14, (struct emem){.base = R14, .index = RBX, .scale = 1});
    if (in->addrsize == 2)
        emit_op_reg(e, EF_0F, 0xb7, R14, R14);
    gen_seg_relative(g, in->seg >= 0 ? (unsigned)in->seg : DS, in->addrsize == 2);
    gen_lookup(g, i, 1, false, false, false, g->live[i] != 0);
    emit_op_mem(e, 0, 0x8a, RAX, EMEM_R14_R15);
    return true;
}

// --- the lot

static int pushed_sreg(const struct insn *in)
{
    if (in->map == MAP_1 && (in->opcode & 0xe7) == 0x06)
        return in->opcode >> 3;
    if (in->map == MAP_0F && (in->opcode == 0xa0 || in->opcode == 0xa8))
        return in->opcode == 0xa0 ? FS : GS;
    return -1;
}

bool gen_seg_keeps_flags(uint64_t mode, const struct insn *in)
{
    if (mode & MODE_CS64 || in->enc != ENC_LEGACY)
        return false;
    if (in->class != IC_SYSTEM || in->lock)
        return false;
    return loaded_sreg(mode, in) >= 0 || pushed_sreg(in) >= 0 ||
           (in->map == MAP_1 && (in->opcode == 0xd7 || in->opcode == 0x8c));
}

static bool try_inline(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    if (in->class == IC_PUSHA)
        return gen_seg_pusha(g, i);
    if (in->class == IC_POPA)
        return gen_seg_popa(g, i);
    if (in->class != IC_SYSTEM || in->lock)
        return false;
    int s = loaded_sreg(g->tb->mode, in);
    if (s >= 0)
        return load_real_segment(g, i, (unsigned)s);
    s = pushed_sreg(in);
    if (s >= 0)
        return gen_seg_push_sreg(g, i, (unsigned)s);
    if (in->map == MAP_1 && in->opcode == 0x8c)
        return store_segment(g, i);
    if (in->map == MAP_1 && in->opcode == 0xd7)
        return gen_xlat(g, i);
    return gen_real_far(g, i);
}

bool gen_seg_inline(struct gen *g, unsigned i)
{
    uint8_t *start = g->e.p;
    unsigned nslow = g->nslow, nlinks = g->nlinks;
    bool rcx_saved = g->rcx_saved;
    if (g->code64 || g->insn[i].enc != ENC_LEGACY)
        return false;
    if (try_inline(g, i))
        return true;
    g->e.p = start;
    g->nslow = nslow;
    g->nlinks = nlinks;
    g->rcx_saved = rcx_saved;
    g->seg = 0;
    return false;
}
