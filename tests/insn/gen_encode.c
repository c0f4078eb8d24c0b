// SPDX-License-Identifier: MIT
// The encoder: a plan with every operand chosen, to bytes. SDM vol. 2A, chapter 2 "Instruction Format".
#include <string.h>

#include "tests/insn/gen.h"

struct unit *gen_unit(struct gen *g, const struct rule *r)
{
    struct testcase *tc = g->tc;
    if (tc->units >= UNITS_MAX - 1)
        return NULL;
    struct unit *u = &tc->unit[tc->units++];
    *u = (struct unit){.rule = r ? r->index : 0xffff, .setup = !r, .undef = g->undef};
    return u;
}

struct out {
    struct unit *u;
    uint8_t b[UNIT_MAX + 8];
    unsigned n;
};

static void put(struct out *o, const void *p, unsigned n)
{
    if (o->n + n <= sizeof(o->b)) {
        memcpy(o->b + o->n, p, n);
        o->n += n;
    }
}
static void put8(struct out *o, unsigned v)
{
    uint8_t b = (uint8_t)v;
    put(o, &b, 1);
}

static bool is_gpr_or_vec(int v) { return v >= 0; }

// --- ModRM, SIB, displacement --------------------------------------------------------------------------

// n8: the scale of EVEX disp8 (1 for others, 0: no disp8).
static void put_mem(struct gen *g, struct out *o, const struct memop *m, unsigned reg, unsigned n8)
{
    if (m->base == 16 || (m->base < 0 && m->index < 0 && g->mode32)) {
        put8(o, (reg & 7) << 3 | 5); // disp32, RIP-relative in 64-bit mode
        if (m->base == 16 && m->target) {
            o->u->fix[o->u->nfix++] = (struct fix){.kind = FIX_RIP, .off = (uint8_t)o->n, .addr = m->target};
        }
        put(o, &m->disp, 4);
        return;
    }
    bool sib = m->index >= 0 || m->base < 0 || (m->base & 7) == RSP || rng_chance(&g->rng, 5);
    unsigned mod = 2;
    int32_t disp = m->disp;
    if (m->base < 0)
        mod = 0;
    else if (disp == 0 && (m->base & 7) != RBP && !rng_chance(&g->rng, 20))
        mod = 0;
    else if (n8 && disp % (int)n8 == 0 && disp / (int)n8 == (int8_t)(disp / (int)n8) && !rng_chance(&g->rng, 20))
        mod = 1;
    put8(o, mod << 6 | (reg & 7) << 3 | (sib ? 4u : (unsigned)m->base & 7));
    if (sib)
        put8(o, (unsigned)(m->index >= 0 ? m->scale : 0) << 6 | (unsigned)(m->index >= 0 ? m->index & 7 : 4) << 3 |
                    (unsigned)(m->base >= 0 ? m->base & 7 : 5));
    if (mod == 1)
        put8(o, (unsigned)(disp / (int)n8));
    else if (mod == 2 || m->base < 0)
        put(o, &disp, 4);
}

static void put_modrm(struct gen *g, struct out *o, const struct plan *p, unsigned n8)
{
    unsigned reg = p->rule->digit >= 0 ? (unsigned)p->rule->digit : (unsigned)p->reg;
    if (p->mem.present)
        put_mem(g, o, &p->mem, reg, n8);
    else
        put8(o, 0xc0 | (reg & 7) << 3 | ((unsigned)p->rm & 7));
}

static void put_immediates(struct gen *g, struct out *o, const struct plan *p)
{
    const struct rule *r = p->rule;
    unsigned n = 0;
    for (unsigned i = 0; i < r->nops; i++) {
        const struct operand *op = &r->op[i];
        if (op->field == OF_IS4) {
            put8(o, (unsigned)p->is4 << 4);
            continue;
        }
        if (op->field != OF_IMM)
            continue;
        unsigned size = op->size == SZ_Z ? (p->opsize == 2 ? 2 : 4) : op->size == SZ_V ? (unsigned)p->opsize : op->size;
        uint64_t v = p->have_imm && n++ == 0 ? (uint64_t)p->imm : gen_value(g);
        put(o, &v, size);
    }
    if (r->nops && r->op[0].field == OF_MOFFS)
        put(o, &p->mem.target, g->mode32 || p->a32 ? 4 : 8);
    else if (r->nops > 1 && r->op[1].field == OF_MOFFS)
        put(o, &p->mem.target, g->mode32 || p->a32 ? 4 : 8);
}

// --- legacy --------------------------------------------------------------------------------------------

static bool wants_opsize_prefix(const struct plan *p) { return p->rule->flags & RF_SIZED && p->opsize == 2; }

// A prefix that means nothing to a one-byte opcode: REPNE, REP, or a size or segment that is not used.
static uint8_t redundant_prefix(struct gen *g, const struct plan *p)
{
    static const uint8_t any[] = {0xf2, 0xf3, 0xf2, 0xf3};
    bool mem = p->mem.present;
    if (!(p->rule->flags & (RF_SIZED | RF_X87)) && rng_chance(&g->rng, 50))
        return 0x66;
    if (!mem && rng_chance(&g->rng, 50))
        return (uint8_t)(0x26 | rng_below(&g->rng, 4) << 3);
    return any[rng_below(&g->rng, 4)];
}

static void put_prefixes(struct gen *g, struct out *o, const struct plan *p, bool legacy)
{
    static const uint8_t seg_bytes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
    uint8_t list[6];
    unsigned n = 0;
    int seg = p->mem.present ? p->mem.seg : p->seg;
    if (legacy) {
        if (p->rule->pp == 0x66 || wants_opsize_prefix(p))
            list[n++] = 0x66;
        if (p->rule->pp == 0xf2 || p->rule->pp == 0xf3)
            list[n++] = p->rule->pp;
        if (p->rep)
            list[n++] = (uint8_t)p->rep;
        bool lockable = p->rule->flags & RF_LOCK && p->mem.present && !p->no_lock;
        if (lockable ? rng_chance(&g->rng, 40) : g->last && p->rule->flags & RF_LOCK && rng_chance(&g->rng, 2))
            list[n++] = 0xf0;
        if (p->rule->nbytes == 1 && !p->rule->prep[0] && !p->rule->pp && !p->rep && rng_chance(&g->rng, 3))
            list[n++] = redundant_prefix(g, p);
    }
    if (seg >= 0)
        list[n++] = seg_bytes[seg];
    if ((p->mem.present && p->mem.a32) || p->a32)
        list[n++] = 0x67;
    if (legacy && n && g->last && rng_chance(&g->rng, 2)) // repeated, up to and past 15 bytes
        for (unsigned k = rng_below(&g->rng, 12); k; k--)
            put8(o, list[0]);
    while (n) { // in any order
        unsigned i = rng_below(&g->rng, n);
        put8(o, list[i]);
        list[i] = list[--n];
    }
}

static void encode_legacy(struct gen *g, struct out *o, struct plan *p)
{
    const struct rule *r = p->rule;
    put_prefixes(g, o, p, true);
    unsigned rex = 0;
    if (r->flags & RF_W1 || (r->flags & RF_SIZED && p->opsize == 8 && !(r->flags & RF_D64)))
        rex |= 0x48;
    if (p->reg >= 8 && r->digit < 0)
        rex |= 0x44;
    if (p->mem.present) {
        if (p->mem.base >= 8 && p->mem.base < 16)
            rex |= 0x41;
        if (p->mem.index >= 8)
            rex |= 0x42;
    } else if (p->rm >= 8) {
        rex |= 0x41;
    }
    if (p->opreg >= 8)
        rex |= 0x41;
    bool byte_reg = false; // one of SPL, BPL, SIL, DIL or AH, CH, DH, BH
    for (unsigned i = 0; i < r->nops; i++) {
        const struct operand *op = &r->op[i];
        int v = op->field == OF_REG                     ? p->reg
                : op->field == OF_OPCODE                ? p->opreg
                : op->field == OF_RM && !p->mem.present ? p->rm
                                                        : -1;
        if (op->kind == OK_GPR && op->size == 1 && v >= 4 && v <= 7)
            byte_reg = true;
    }
    if (!g->mode32 && !rex && (byte_reg ? !rng_chance(&g->rng, 50) : rng_chance(&g->rng, 3)))
        rex = 0x40;
    p->high8 = byte_reg && !rex;
    if (rex)
        put8(o, rex);
    for (unsigned i = 0; i < r->nbytes; i++) {
        unsigned b = r->bytes[i];
        if (i + 1u == r->nbytes && p->opreg >= 0)
            b += (unsigned)p->opreg & 7;
        if (i + 1u == r->nbytes && r->plus_i)
            b += rng_below(&g->rng, 8);
        put8(o, b);
    }
    if (r->has_modrm)
        put_modrm(g, o, p, 1);
    put_immediates(g, o, p);
}

// --- VEX and EVEX --------------------------------------------------------------------------------------

static unsigned vex_pp(const struct rule *r) { return r->pp == 0x66 ? 1 : r->pp == 0xf3 ? 2 : r->pp == 0xf2 ? 3 : 0; }

static unsigned vex_w(struct gen *g, const struct plan *p)
{
    switch (p->rule->w) {
    case W_0: return 0;
    case W_1: return 1;
    case W_Y: // ignored in 32-bit code, but by VPEXTRQ and VPINSRQ, which raise #UD on some CPUs
        return p->opsize == 8 || (g->mode32 && p->rule->enc == RE_VEX && p->rule->map != 3 && rng_chance(&g->rng, 20));
    default: return rng_below(&g->rng, 2);
    }
}

struct ext {
    unsigned r, x, b, r2, v2;
}; // extension bits, not inverted

static struct ext extensions(const struct plan *p)
{
    struct ext e = {0};
    int reg = p->rule->digit >= 0 ? 0 : p->reg;
    if (is_gpr_or_vec(reg)) {
        e.r = (unsigned)reg >> 3 & 1;
        e.r2 = (unsigned)reg >> 4 & 1;
    }
    if (p->mem.present) {
        e.b = p->mem.base >= 8 && p->mem.base < 16;
        e.x = p->mem.index >= 0 && (p->mem.index >> 3 & 1);
        e.v2 = p->mem.index >= 16; // VSIB
    } else if (p->rm >= 0) {
        e.b = (unsigned)p->rm >> 3 & 1;
        e.x = (unsigned)p->rm >> 4 & 1;
    }
    if (p->vvvv >= 16)
        e.v2 = 1;
    return e;
}

// [from, to): the bytes from R, X, B on. Now and then a wrong bit in the prefix of the last instruction: mostly #UD, and the host knows when not.
static void spoil(struct gen *g, struct out *o, const struct plan *p, unsigned from, unsigned to)
{
    const struct rule *r = p->rule;
    if (!g->last || !rng_chance(&g->rng, 6))
        return;
    for (unsigned i = 0; i < r->nops; i++)
        if (r->op[i].field == OF_IMM || r->op[i].field == OF_IS4)
            return; // an immediate that became an instruction could jump back
    unsigned at = from + rng_below(&g->rng, to - from), bit = rng_below(&g->rng, 8);
    if (at == from + 1 && bit == 7)
        return; // W: CPUs do not agree on which instructions ignore it
    if (p->mem.present && p->mem.seg >= FS && to - from > 1 && at == from && (bit == 5 || bit == 6))
        return; // X, B: another address register, with which the offset might not be canonical (gen_memop())
    if (g->mode32 && to - from == 2 && at == from && bit < 5)
        return; // VEX.mmmmm: the other map's instruction may want W, which AMD's ignore in 32-bit code (VPERMQ)
    if (g->mode32 && at == from && bit >= 6)
        return; // that would be BOUND, LDS or LES, and the rest no instruction of ours
    o->b[at] ^= (uint8_t)(1u << bit);
}

static void encode_vex(struct gen *g, struct out *o, struct plan *p)
{
    const struct rule *r = p->rule;
    struct ext e = extensions(p);
    unsigned w = vex_w(g, p), l = p->vl == VL_256 ? 1 : p->vl == VL_IG ? rng_below(&g->rng, 2) : 0;
    unsigned vvvv = p->vvvv >= 0 ? (unsigned)p->vvvv & 15 : 0;
    put_prefixes(g, o, p, false);
    unsigned start = o->n;
    if (!e.x && !e.b && !w && r->map == 1 && rng_chance(&g->rng, 70)) {
        put8(o, 0xc5);
        put8(o, (e.r ^ 1) << 7 | (~vvvv & 15) << 3 | l << 2 | vex_pp(r));
    } else {
        put8(o, 0xc4);
        put8(o, (e.r ^ 1) << 7 | (e.x ^ 1) << 6 | (e.b ^ 1) << 5 | r->map);
        put8(o, w << 7 | (~vvvv & 15) << 3 | l << 2 | vex_pp(r));
    }
    spoil(g, o, p, start + 1, o->n);
    put8(o, r->bytes[0]);
    if (r->has_modrm)
        put_modrm(g, o, p, 1);
    put_immediates(g, o, p);
}

static void encode_evex(struct gen *g, struct out *o, struct plan *p)
{
    const struct rule *r = p->rule;
    struct ext e = extensions(p);
    unsigned w = vex_w(g, p), vvvv = p->vvvv >= 0 ? (unsigned)p->vvvv & 15 : 0;
    unsigned ll = p->vl == VL_512 ? 2 : p->vl == VL_256 ? 1 : 0;
    unsigned b = 0, z = 0, n8 = p->mem_size;
    if (p->mem.present && r->flags & (RF_B4 | RF_B8) && p->mem_size <= 8)
        b = 1; // broadcast, as chosen with the memory operand
    else if (!p->mem.present && r->flags & (RF_ER | RF_SAE) && (p->vl == VL_512 || p->vl == VL_IG) &&
             rng_chance(&g->rng, 30)) {
        b = 1;
        if (r->flags & RF_ER)
            ll = rng_below(&g->rng, 4); // the rounding mode
    }
    if (r->flags & RF_ND8)
        n8 = 0;
    if (r->flags & RF_KZ && p->k && rng_chance(&g->rng, 50))
        z = 1;
    put_prefixes(g, o, p, false);
    put8(o, 0x62);
    put8(o, (e.r ^ 1) << 7 | (e.x ^ 1) << 6 | (e.b ^ 1) << 5 | (e.r2 ^ 1) << 4 | r->map);
    put8(o, w << 7 | (~vvvv & 15) << 3 | 4 | vex_pp(r));
    put8(o, z << 7 | ll << 5 | b << 4 | (e.v2 ^ 1) << 3 | (unsigned)p->k);
    spoil(g, o, p, o->n - 3, o->n);
    put8(o, r->bytes[0]);
    if (r->has_modrm)
        put_modrm(g, o, p, n8);
    put_immediates(g, o, p);
}

void gen_encode(struct gen *g, struct plan *p)
{
    struct unit *u = gen_unit(g, p->rule);
    struct out o = {.u = u};
    if (!u)
        return;
    if (p->rule->enc == RE_LEGACY)
        encode_legacy(g, &o, p);
    else if (p->rule->enc == RE_VEX)
        encode_vex(g, &o, p);
    else
        encode_evex(g, &o, p);
    if (o.n > 15 && !g->last) { // too long: #GP
        g->tc->units--;
        return;
    }
    memcpy(u->bytes, o.b, o.n);
    u->len = (uint8_t)o.n;
}
