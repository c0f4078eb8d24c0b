// SPDX-License-Identifier: MIT
// The generator: a seed to a test case. What a seed means changes only with isa.def and these gen*.c files.
#include "tests/insn/gen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const uint8_t data_page_kind[DATA_PAGES] = {PAGE_NONE, PAGE_RW,   PAGE_RW,   PAGE_RW, PAGE_RO, PAGE_NONE,
                                            PAGE_RW,   PAGE_NONE, PAGE_NONE, PAGE_RW, PAGE_RW, PAGE_NONE};
const uint8_t data_page_phys[DATA_PAGES] = {11, 0, 2, 3, 4, 5, 6, 7, 8, 9, 1, 10};

static struct gen_config config;

// --- drawing a rule ------------------------------------------------------------------------------------

enum { CL_INT, CL_X87, CL_SSE, CL_VEX, CL_EVEX, CL_FILTER, CLASSES };
struct draw {
    uint16_t *rule;
    uint32_t *upto;
    unsigned n;
    uint32_t total;
};
static struct draw draws[2][CLASSES]; // by mode, set up once

static int rule_class(const struct rule *r)
{
    if (r->enc == RE_EVEX)
        return CL_EVEX;
    if (r->enc == RE_VEX)
        return r->nops && r->op[0].kind == OK_GPR && r->op[0].size == SZ_Y ? CL_INT : CL_VEX;
    if (r->flags & (RF_X87 | RF_MMX) || strncmp(r->text, "FX", 2) == 0 || strncmp(r->prep, "xsave", 5) == 0 ||
        strncmp(r->text, "XRSTOR", 6) == 0)
        return CL_X87;
    for (unsigned i = 0; i < r->nops; i++)
        if (r->op[i].kind == OK_VEC)
            return CL_SSE;
    return CL_INT;
}

static int draw_add(struct draw *d, const struct rule *r)
{
    if (d->n % 256 == 0) {
        uint16_t *a = realloc(d->rule, (d->n + 256) * sizeof(*a));
        uint32_t *b = realloc(d->upto, (d->n + 256) * sizeof(*b));
        if (a)
            d->rule = a;
        if (b)
            d->upto = b;
        if (!a || !b)
            return -1;
    }
    d->total += r->flags & RF_RARE ? 1 : r->weight * 12u;
    d->rule[d->n] = r->index;
    d->upto[d->n++] = d->total;
    return 0;
}

int gen_init(const struct gen_config *cfg)
{
    config = *cfg;
    for (int m = 0; m < 2; m++)
        for (unsigned i = 0; i < isa_count; i++) {
            const struct rule *r = &isa_rules[i];
            if (!r->available || r->flags & (m ? RF_ONLY64 : RF_NO64))
                continue;
            if (draw_add(&draws[m][rule_class(r)], r))
                return -1;
            if (cfg->filter && strcasestr(r->text, cfg->filter) && draw_add(&draws[m][CL_FILTER], r))
                return -1;
        }
    if (cfg->filter && !draws[0][CL_FILTER].n && !draws[1][CL_FILTER].n) {
        fprintf(stderr, "insn-diff: no rule of isa.def contains \"%s\"\n", cfg->filter);
        return -1;
    }
    return 0;
}

// How the instruction kinds mix in one test case: percent of cases, then weights by class.
static const struct {
    uint8_t percent, weight[CL_FILTER];
} themes[] = {
    {40, {100, 0, 0, 0, 0}},  {12, {30, 70, 0, 0, 0}},  {15, {30, 5, 65, 0, 0}},
    {12, {25, 0, 10, 65, 0}}, {11, {25, 0, 5, 20, 50}}, {10, {30, 15, 20, 20, 15}},
};

static const struct rule *draw_rule(struct gen *g, unsigned theme)
{
    const struct draw *d = &draws[g->mode32][CL_INT];
    uint32_t k = rng_below(&g->rng, 100);
    if (draws[g->mode32][CL_FILTER].n) {
        d = &draws[g->mode32][k < 70 ? CL_FILTER : CL_INT];
    } else {
        for (unsigned c = 0; c < CL_FILTER; c++) {
            if (k < themes[theme].weight[c]) {
                d = &draws[g->mode32][c];
                break;
            }
            k -= themes[theme].weight[c];
        }
        if (!d->n)
            d = &draws[g->mode32][CL_INT];
    }
    uint32_t x = rng_below(&g->rng, d->total);
    unsigned lo = 0, hi = d->n - 1;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        if (x < d->upto[mid])
            hi = mid;
        else
            lo = mid + 1;
    }
    return &isa_rules[d->rule[lo]];
}

// --- one instruction -----------------------------------------------------------------------------------

void gen_plan_init(struct plan *p, const struct rule *r)
{
    *p = (struct plan){.rule = r, .reg = -1, .rm = -1, .vvvv = -1, .is4 = -1, .opreg = -1, .k = -1, .seg = -1};
    p->mem.seg = -1;
}

static void choose_opsize(struct gen *g, struct plan *p)
{
    const struct rule *r = p->rule;
    bool v = r->flags & RF_SIZED, y = false;
    for (unsigned i = 0; i < r->nops; i++)
        y |= r->op[i].size == SZ_Y;
    if (p->opsize)
        return;
    if (y)
        p->opsize = g->mode32 || rng_chance(&g->rng, 50) ? 4 : 8;
    else if (v && r->flags & RF_D64)
        p->opsize = rng_chance(&g->rng, 15) ? 2 : g->mode32 ? 4 : 8;
    else if (v)
        p->opsize = rng_chance(&g->rng, 20) ? 2 : g->mode32 || r->flags & RF_NOQ || rng_chance(&g->rng, 45) ? 4 : 8;
    else
        p->opsize = 4;
}

static void choose_vl(struct gen *g, struct plan *p)
{
    if (p->vl || p->rule->enc == RE_LEGACY)
        return;
    do
        p->vl = 1 << rng_below(&g->rng, 4);
    while (!(p->rule->vl & p->vl));
}

static int choose_reg(struct gen *g, const struct rule *r, enum op_kind kind)
{
    switch (kind) {
    case OK_GPR: return gen_pick_gpr(g);
    case OK_VEC:
        if (g->mode32 || rng_chance(&g->rng, 50))
            return (int)rng_below(&g->rng, rng_chance(&g->rng, 50) ? 4 : 8);
        return (int)rng_below(&g->rng, r->enc == RE_EVEX ? 32 : 16);
    default: return (int)rng_below(&g->rng, 8);
    }
}

static unsigned operand_bytes(const struct plan *p, unsigned size)
{
    unsigned vl = p->vl == VL_512 ? 64 : p->vl == VL_256 ? 32 : 16;
    switch (size) {
    case SZ_V:
    case SZ_Y: return (unsigned)p->opsize;
    case SZ_Z: return p->opsize == 2 ? 2 : 4;
    case SZ_X: return vl;
    case SZ_H: return vl / 2;
    case SZ_F: return vl / 4;
    case SZ_E: return vl / 8;
    default: return size;
    }
}

static void choose_mem(struct gen *g, struct plan *p, const struct operand *op)
{
    const struct rule *r = p->rule;
    bool aligned = r->flags & RF_ALIGNED;
    if (p->no_access) {
        gen_memop_free(g, &p->mem);
        p->mem_size = 1;
        return;
    }
    if (!p->mem_size)
        p->mem_size = operand_bytes(p, op->size);
    if (r->flags & (RF_B4 | RF_B8) && rng_chance(&g->rng, 30))
        p->mem_size = r->flags & RF_B4 ? 4 : 8;
    if (!p->have_target) {
        g->strict_align = p->k > 0; // with no element chosen, some CPUs do not look at the alignment
        p->mem_target = gen_pick_target(g, p->mem_size, aligned, false);
        g->strict_align = false;
        if (rng_chance(&g->rng, 40))
            gen_patch_interesting(g, p->mem_target, p->mem_size);
    }
    gen_memop(g, &p->mem, p->mem_target, p->avoid);
}

// Fields first, memory last: what sets up its address must not be disturbed.
static void choose_operands(struct gen *g, struct plan *p)
{
    const struct rule *r = p->rule;
    const struct operand *rm = NULL;
    if (p->k < 0)
        p->k = r->flags & RF_K && rng_chance(&g->rng, 60) ? (int)rng_below(&g->rng, 8) : 0;
    for (unsigned i = 0; i < r->nops; i++) {
        const struct operand *op = &r->op[i];
        int v = choose_reg(g, r, op->kind);
        if (op->field == OF_REG && p->reg < 0)
            p->reg = v;
        else if (op->field == OF_VVVV && p->vvvv < 0)
            p->vvvv = v;
        else if (op->field == OF_IS4 && p->is4 < 0)
            p->is4 = g->mode32 ? v & 7 : v & 15;
        else if (op->field == OF_OPCODE && p->opreg < 0)
            p->opreg = v;
        else if (op->field == OF_RM)
            rm = op;
    }
    if (!rm)
        return;
    bool mem = rm->mem_ok && (!rm->reg_ok || p->force_mem || (!p->force_reg && rng_chance(&g->rng, 55)));
    if (mem)
        choose_mem(g, p, rm);
    else if (p->rm < 0)
        p->rm = choose_reg(g, r, rm->kind);
}

// Registers that the instruction may have changed are not known any more.
static void kill_written(struct gen *g, const struct plan *p)
{
    const struct rule *r = p->rule;
    uint16_t dead = r->clobbers;
    for (unsigned i = 0; i < r->nops; i++) {
        const struct operand *op = &r->op[i];
        int v = op->field == OF_REG                     ? p->reg
                : op->field == OF_VVVV                  ? p->vvvv
                : op->field == OF_OPCODE                ? p->opreg
                : op->field == OF_RM && !p->mem.present ? p->rm
                                                        : -1;
        if (op->kind != OK_GPR || v < 0 || v > 15)
            continue;
        if (i > 0 && p->mem.present && r->op[0].field == OF_RM && r->text[0] != 'X')
            continue; // the source of a store
        if (op->size == 1 && p->high8 && v >= 4 && v <= 7)
            v -= 4;
        dead |= (uint16_t)(1u << v);
    }
    if (p->rsp_delta && g->known >> RSP & 1) {
        g->val[RSP] += (uint64_t)(int64_t)p->rsp_delta;
        if (g->mode32)
            g->val[RSP] = (uint32_t)g->val[RSP];
        for (unsigned i = 0; i < g->npend; i++)
            g->pend[i].touched |= 1u << RSP;
    }
    gen_kill(g, dead);
}

void gen_flags(struct gen *g, const struct rule *r) { g->undef = (uint16_t)((g->undef & ~r->fl_write) | r->fl_undef); }

bool gen_emit(struct gen *g, struct plan *p)
{
    choose_opsize(g, p);
    choose_vl(g, p);
    if (!gen_prepare(g, p))
        return false;
    if (p->done)
        return true;
    choose_operands(g, p);
    gen_encode(g, p);
    kill_written(g, p);
    gen_flags(g, p->rule);
    return true;
}

// --- forward jumps -------------------------------------------------------------------------------------

void gen_open_jump(struct gen *g, unsigned unit, unsigned fix, unsigned after)
{
    g->pend[g->npend++] = (struct pending){
        .unit = (uint16_t)unit, .fix = (uint8_t)fix, .after = (uint8_t)after, .known = g->known, .undef = g->undef};
}

static void close_jumps(struct gen *g, bool all)
{
    for (unsigned i = 0; i < g->npend;) {
        struct pending *p = &g->pend[i];
        if (!all && --p->after) {
            i++;
            continue;
        }
        g->tc->unit[p->unit].fix[p->fix].unit = (uint16_t)g->tc->units;
        g->known &= (uint16_t)(p->known & ~p->touched);
        g->undef |= p->undef;
        *p = g->pend[--g->npend];
    }
}

// --- the initial state ---------------------------------------------------------------------------------

static void start_xsave(struct gen *g, uint8_t *x)
{
    struct rng *r = &g->rng;
    native_xsave_template(x);
    uint64_t have = native_xcr0();
    uint64_t bv = have;
    uint16_t fcw = 0x37f;
    if (rng_chance(r, 40))
        fcw = (uint16_t)(0x3f | rng_below(r, 16) << 8 | 0x40);
    uint32_t mxcsr = 0x1f80;
    if (rng_chance(r, 30))
        mxcsr = 0x1f80 | (rng_below(r, 8) << 13) | (rng_chance(r, 30) ? 0x40 : 0) |
                (rng_below(r, 64) & rng_below(r, 64));
    if (rng_chance(r, 6))
        mxcsr &= ~(rng_below(r, 64) << 7), mxcsr &= ~0x3fu; // some exceptions unmasked, none pending
    if (rng_chance(r, 6))
        fcw &= (uint16_t)~rng_below(r, 64);
    // x87: a full, an empty or a half-full stack
    uint8_t ftw = rng_chance(r, 30) ? 0 : rng_chance(r, 50) ? 0xff : (uint8_t)rng_next(r);
    uint16_t fsw = (uint16_t)(rng_below(r, 8) << 11 | (rng_next(r) & 0x4700));
    memcpy(x, &fcw, 2);
    memcpy(x + 2, &fsw, 2);
    x[4] = ftw;
    memcpy(x + 24, &mxcsr, 4);
    for (unsigned i = 0; i < 8; i++) {
        uint8_t *st = x + 32 + 16 * i;
        uint64_t m = rng_next(r);
        uint16_t e = (uint16_t)(0x3fff - 8 + rng_below(r, 20)) | (uint16_t)(rng_next(r) & 0x8000);
        uint32_t k = rng_below(r, 10);
        if (k < 6)
            m |= BIT(63);
        else if (k == 6)
            m = BIT(63), e = 0x7fff; // infinity
        else if (k == 7)
            m = 0, e = (uint16_t)(e & 0x8000);
        else if (k == 8)
            e = (uint16_t)rng_next(r);
        memcpy(st, &m, 8);
        memcpy(st + 8, &e, 2);
    }
    unsigned vecs = g->mode32 ? 8 : 16;
    for (unsigned i = 0; i < vecs; i++)
        gen_random_vec(r, x + 160 + 16 * i, 16);
    const uint32_t *off = native_xsave_offsets();
    if (have & 4)
        for (unsigned i = 0; i < vecs; i++)
            gen_random_vec(r, x + off[2] + 16 * i, 16);
    if (have & 0x20) {
        for (unsigned i = 0; i < 8; i++) {
            uint64_t k = rng_next(r);
            memcpy(x + off[5] + 8 * i, &k, 8);
        }
        for (unsigned i = 0; i < vecs; i++)
            gen_random_vec(r, x + off[6] + 32 * i, 32);
        for (unsigned i = 0; i < 16 && !g->mode32; i++)
            gen_random_vec(r, x + off[7] + 64 * i, 64);
    }
    memcpy(x + 512, &bv, 8);
}

static void start_state(struct gen *g)
{
    struct machine *m = &g->tc->start;
    struct rng *r = &g->rng;
    for (int i = 0; i < 16; i++) {
        uint64_t base = g->mode32 || rng_chance(r, 50) ? DATA_LO : DATA_HI;
        if (rng_chance(r, 55))
            m->gpr[i] = base + PAGE_SIZE + rng_below(r, 3 * PAGE_SIZE);
        else
            m->gpr[i] = gen_value(g);
        if (i == RSP) // near the middle of the stack, or where it crosses pages
            m->gpr[i] = base + 10 * PAGE_SIZE + (rng_chance(r, 90) ? 8 * rng_below(r, 256) : rng_below(r, 16));
        if (g->mode32)
            m->gpr[i] = i < 8 ? (uint32_t)m->gpr[i] : 0;
        g->val[i] = m->gpr[i];
    }
    g->known = g->mode32 ? 0xff : 0xffff;
    m->rflags = 0x202 | (rng_next(r) & FL_ARITH);
    m->fs_base = g->mode32 ? 0 : DATA_LO + rng_below(r, 0x3000);
    m->gs_base = g->mode32 ? 0 : rng_chance(r, 50) ? DATA_HI + rng_below(r, 0x3000) : rng_below(r, 0x10000);
    g->fs = m->fs_base;
    g->gs = m->gs_base;
    g->fs_known = g->gs_known = !g->mode32;
    start_xsave(g, m->xsave);
}

// --- a test case ---------------------------------------------------------------------------------------

static unsigned draw_theme(struct gen *g)
{
    uint32_t k = rng_below(&g->rng, 100), t = 0;
    while (k >= themes[t].percent)
        k -= themes[t++].percent;
    return t;
}

// Computation only: for the body of a function that is called.
void gen_simple(struct gen *g)
{
    for (unsigned tries = 0; tries < 20; tries++) {
        const struct rule *r = draw_rule(g, g->theme);
        struct plan p;
        if (r->prep[0] || r->fl_read & g->undef || r->flags & RF_END)
            continue;
        gen_plan_init(&p, r);
        if (gen_emit(g, &p))
            return;
    }
}

static void gen_instruction(struct gen *g, unsigned theme)
{
    for (unsigned tries = 0; tries < 20; tries++) {
        const struct rule *r = draw_rule(g, theme);
        struct plan p;
        if (r->fl_read & g->undef)
            continue;
        if (r->flags & RF_END && !g->last)
            continue;
        gen_plan_init(&p, r);
        if (gen_emit(g, &p))
            return;
    }
}

void gen_case(struct testcase *tc, uint64_t seed)
{
    struct rng mix = {seed};
    struct gen g = {.tc = tc, .rng = {rng_next(&mix)}}; // seeds that are neighbours have nothing in common
    tc->seed = seed;
    tc->units = tc->patches = tc->ignores = 0;
    g.mode32 = config.mode == 32 || (config.mode == 0 && seed % 4 == 3);
    g.ac = config.ac;
    tc->mode32 = g.mode32;
    tc->high_code = !g.mode32 && rng_chance(&g.rng, 50);
    uint64_t page = rng_below(&g.rng, CODE_PAGES - 1);
    uint64_t in = rng_chance(&g.rng, 70) ? rng_below(&g.rng, PAGE_SIZE - CODE_MAX)
                                         : PAGE_SIZE - 1 - rng_below(&g.rng, 100);
    tc->entry = (tc->high_code ? CODE_HI : CODE_LO) + page * PAGE_SIZE + in;
    start_state(&g);
    unsigned theme = g.theme = draw_theme(&g), n = 1 + rng_below(&g.rng, config.max_insns);
    for (unsigned i = 0; i < n; i++) {
        g.last = i + 1 == n;
        gen_instruction(&g, theme);
        close_jumps(&g, false);
    }
    close_jumps(&g, true);
    struct unit *u = &tc->unit[tc->units++]; // gen_unit() always leaves room for this one
    *u = (struct unit){.bytes = {0xcc}, .len = 1, .rule = 0xffff, .setup = true, .undef = g.undef};
    testcase_layout(tc);
}

// --- layout --------------------------------------------------------------------------------------------

static uint64_t fix_target(const struct testcase *tc, const struct unit *u, const struct fix *f)
{
    if (!f->to_unit)
        return f->addr;
    uint16_t at = f->unit;
    if (f->kind == FIX_REL8) // a short jump that turned out too far lands as far as it can
        while (at > u - tc->unit + 1 && tc->unit[at].off - (u->off + u->len) > 127)
            at--;
    return tc->entry + tc->unit[at].off;
}

void testcase_layout(struct testcase *tc)
{
    unsigned off = 0;
    for (unsigned i = 0; i < tc->units; i++) {
        struct unit *u = &tc->unit[i];
        u->off = (uint16_t)off;
        if (u->dropped)
            continue;
        if (off + u->len > CODE_MAX - CODE_TAIL) // does not fit: stop here, with the final INT3
            u->dropped = true;
        else
            off += u->len;
    }
    for (unsigned i = 0; i < tc->units; i++) {
        struct unit *u = &tc->unit[i];
        if (u->dropped)
            continue;
        memcpy(tc->code + u->off, u->bytes, u->len);
        for (unsigned k = 0; k < u->nfix; k++) {
            const struct fix *f = &u->fix[k];
            uint64_t target = fix_target(tc, u, f), rel = target - (tc->entry + u->off + u->len);
            bool absolute = f->kind == FIX_ABS32 || f->kind == FIX_ABS64;
            memcpy(tc->code + u->off + f->off, absolute ? &target : &rel,
                   f->kind == FIX_REL8    ? 1
                   : f->kind == FIX_ABS64 ? 8
                                          : 4);
        }
    }
    // More INT3s, should the last instruction turn out shorter or longer than it was meant to be.
    for (unsigned i = 0; i < CODE_TAIL; i++)
        tc->code[off++] = 0xcc;
    tc->code_len = off;
}

void testcase_data(const struct testcase *tc, uint8_t *data)
{
    static uint8_t template[DATA_SIZE];
    static bool made;
    if (!made) {
        struct rng r = {42};
        for (unsigned i = 0; i < DATA_SIZE; i += 64) { // random, but with runs of equal bytes for REPE, REPNE
            gen_random_vec(&r, template + i, 64);
            if (i / 256 % 3 == 0)
                memset(template + i, i & 0x800 ? 0 : 0x5a, 64);
        }
        made = true;
    }
    memcpy(data, template, DATA_SIZE);
    for (unsigned i = 0; i < tc->patches; i++) {
        const struct patch *p = &tc->patch[i];
        const void *src = p->kind == PATCH_XSAVE ? tc->start.xsave : p->bytes;
        unsigned len = p->len;
        if (p->off < DATA_SIZE)
            memcpy(data + p->off, src, p->off + len > DATA_SIZE ? DATA_SIZE - p->off : len);
    }
}
