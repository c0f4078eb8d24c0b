// SPDX-License-Identifier: MIT
// Preparations: what an instruction needs around it so that it does something worth comparing.
//
// Each is named by p= in isa.def. It may emit instructions of its own first, force operands in the plan,
// or emit everything itself (plan.done). False means that it does not fit here: another rule is drawn.
#include <string.h>

#include "tests/insn/gen.h"

const struct rule *gen_find(const char *text)
{
    for (unsigned i = 0; i < isa_count; i++)
        if (strcmp(isa_rules[i].text, text) == 0 && isa_rules[i].available)
            return &isa_rules[i];
    return NULL;
}

// --- computation ---------------------------------------------------------------------------------------

static bool prep_div(struct gen *g, struct plan *p)
{
    static const uint64_t high[] = {0, 0, 1, 0xffffffffffffffff};
    if (rng_chance(&g->rng, g->last ? 80 : 97) && p->rule->bytes[0] == 0xf7)
        gen_set_reg(g, RDX, high[rng_below(&g->rng, 4)]);
    if (rng_chance(&g->rng, 60))
        gen_set_reg(g, RAX, gen_value(g));
    return true;
}

static bool prep_bt(struct gen *g, struct plan *p)
{
    p->reg = gen_pick_scratch(g);
    gen_set_reg(g, p->reg, (uint64_t)(int64_t)((int)rng_below(&g->rng, 600) - 300));
    p->avoid |= (uint16_t)(1u << p->reg);
    p->mem_target = gen_pick_target(g, 8, false, false);
    p->have_target = true;
    return !gen_target_ignored(g, p->mem_target - 64, 136);
}

static bool prep_cx8(struct gen *g, struct plan *p)
{
    unsigned half = p->rule->flags & RF_W1 ? 8 : 4;
    uint64_t v[2] = {gen_value(g), gen_value(g)};
    uint8_t bytes[16];
    p->mem_size = 2 * half;
    gen_force_target(p, gen_pick_target(g, p->mem_size, half == 8, false));
    memcpy(bytes, &v[0], half);
    memcpy(bytes + half, &v[1], half);
    gen_patch(g, p->mem_target, bytes, 2 * half);
    if (rng_chance(&g->rng, 60)) {
        gen_set_reg(g, RAX, half == 4 ? (uint32_t)v[0] : v[0]);
        gen_set_reg(g, RDX, half == 4 ? (uint32_t)v[1] : v[1]);
    }
    p->avoid |= 1 << RAX | 1 << RDX;
    return true;
}

static bool prep_no_access(struct gen *g, struct plan *p)
{
    p->no_access = true;
    return true;
}

static bool prep_moffs(struct gen *g, struct plan *p)
{
    unsigned size = p->rule->bytes[0] & 1 ? (unsigned)p->opsize : 1;
    p->a32 = !g->mode32 && rng_chance(&g->rng, 15);
    p->mem.target = gen_pick_target(g, size, false, p->a32);
    return true;
}

static bool prep_xlat(struct gen *g, struct plan *p)
{
    uint64_t t = (rng_chance(&g->rng, 50) && !g->mode32 ? DATA_HI : DATA_LO) + PAGE_SIZE +
                 rng_below(&g->rng, 2 * PAGE_SIZE);
    if (gen_target_ignored(g, t, 256))
        return false;
    p->a32 = t < DATA_HI && !g->mode32 && rng_chance(&g->rng, 20);
    gen_set_reg(g, RBX, t | (p->a32 ? rng_next(&g->rng) << 32 : 0));
    return true;
}

static bool prep_w1(struct gen *g, struct plan *p)
{
    p->mem_size = 1;
    return true;
}
static bool prep_w2(struct gen *g, struct plan *p)
{
    p->mem_size = 2;
    return true;
}

static bool prep_vmaskmov(struct gen *g, struct plan *p)
{
    p->force_mem = true;
    return true;
}

static bool prep_maskmov(struct gen *g, struct plan *p)
{
    // Always writable, in one page: whether bytes that are not chosen fault is up to the CPU.
    uint64_t t = g->mode32 || rng_chance(&g->rng, 50) ? DATA_LO : DATA_HI;
    t += (1 + rng_below(&g->rng, 3)) * PAGE_SIZE + rng_below(&g->rng, PAGE_SIZE - 16);
    if (gen_target_ignored(g, t, 16))
        return false;
    p->a32 = t < 0x100000000 && !g->mode32 && rng_chance(&g->rng, 15);
    gen_set_reg(g, RDI, t);
    return true;
}

// --- segments ------------------------------------------------------------------------------------------

uint64_t gen_pick_selector(struct gen *g)
{
    static const uint16_t sel[] = {
        SEL_USER_DS, SEL_USER_DS,      SEL_USER_DS,   SEL_USER_DS,   0,      3,      SEL_USER_CS32,
        SEL_USER_CS, SEL_USER_DS & ~3, SEL_KERNEL_CS, SEL_KERNEL_DS, 0xfff8, 0xffff, 7};
    return sel[rng_below(&g->rng, g->last ? ARRAY_SIZE(sel) : 4)];
}

static bool prep_sreg(struct gen *g, struct plan *p)
{
    p->reg = (int)rng_below(&g->rng, g->last ? 8 : 6);
    p->mem_size = 2;
    return true;
}

// The operand is this selector, in a register or in memory.
static void put_selector(struct gen *g, struct plan *p, uint16_t sel)
{
    p->mem_size = 2;
    if (g->tc->units || rng_chance(&g->rng, 50)) { // later on, stores may have changed it in memory
        p->force_reg = true;
        p->rm = gen_pick_scratch(g);
        gen_set_reg(g, p->rm, sel | (gen_value(g) & 0xffff0000));
    } else {
        gen_force_target(p, gen_pick_target(g, 2, false, false));
        gen_patch(g, p->mem_target, &sel, 2);
    }
}

static bool prep_ldsreg(struct gen *g, struct plan *p)
{
    static const uint8_t which[] = {ES, DS, ES, DS, FS, GS, SS, CS, 6, 7};
    uint16_t sel = (uint16_t)gen_pick_selector(g);
    p->reg = which[rng_below(&g->rng, g->last ? ARRAY_SIZE(which) : 4)];
    if (p->reg >= FS && sel == 0) // whether a null selector clears the base differs between makers
        sel = SEL_USER_DS;
    if (p->reg >= FS && sel == 3)
        sel = SEL_USER_DS;
    put_selector(g, p, sel);
    return true;
}

static bool prep_sel(struct gen *g, struct plan *p)
{
    uint16_t sel = (uint16_t)gen_pick_selector(g);
    put_selector(g, p, sel);
    return true;
}

static bool prep_fsgs(struct gen *g, struct plan *p)
{
    bool write = p->rule->digit >= 2, gs = p->rule->digit & 1;
    if (!write)
        return true;
    uint64_t v = rng_chance(&g->rng, 50) ? DATA_LO + rng_below(&g->rng, 0x4000) : DATA_HI + rng_below(&g->rng, 0x4000);
    if (g->last && rng_chance(&g->rng, 20))
        v = 0x8000000000000000 | gen_value(g);
    p->rm = gen_pick_scratch(g);
    p->force_reg = true;
    gen_set_reg(g, p->rm, v);
    if (p->opsize == 4)
        v = (uint32_t)v;
    *(gs ? &g->gs : &g->fs) = v;
    *(gs ? &g->gs_known : &g->fs_known) = g->npend == 0;
    return true;
}

// --- strings -------------------------------------------------------------------------------------------

static uint64_t pick_run(struct gen *g, unsigned bytes, bool low)
{
    uint64_t base = low || g->mode32 || rng_chance(&g->rng, 50) ? DATA_LO : DATA_HI;
    if (rng_chance(&g->rng, g->last ? 20 : 2)) { // meets the read-only page or the end
        unsigned end = (rng_chance(&g->rng, 50) ? 4 : rng_chance(&g->rng, 50) ? 5 : 7) * PAGE_SIZE;
        return base + end - rng_below(&g->rng, bytes + 8);
    }
    unsigned room = 3 * PAGE_SIZE - bytes;
    if (rng_chance(&g->rng, 40) && bytes > 1) // over the end of a page
        return base + (2 + rng_below(&g->rng, 2)) * PAGE_SIZE - rng_below(&g->rng, bytes);
    return base + PAGE_SIZE + rng_below(&g->rng, room);
}

static bool prep_str(struct gen *g, struct plan *p)
{
    unsigned op = p->rule->bytes[0] & 0xfe, size = p->rule->bytes[0] & 1 ? (unsigned)p->opsize : 1;
    bool src = op == 0xa4 || op == 0xa6 || op == 0xac, dst = op != 0xac;
    uint32_t k = rng_below(&g->rng, 100), count;
    p->rep = rng_chance(&g->rng, 50) ? 0xf3 : rng_chance(&g->rng, 40) ? 0xf2 : 0;
    count = k < 10   ? 0
            : k < 55 ? 1 + rng_below(&g->rng, 8)
            : k < 85 ? 9 + rng_below(&g->rng, 56)
                     : 65 + rng_below(&g->rng, 1500 / size);
    if (g->df < 0 && count > 4)
        count = 3;
    if (op == 0xac && count > 64)
        count = 64;
    unsigned bytes = (p->rep ? count : 1) * size;
    bool back = g->df == 1;
    p->a32 = !g->mode32 && rng_chance(&g->rng, 12);
    uint64_t s = pick_run(g, bytes ? bytes : 1, p->a32), d = pick_run(g, bytes ? bytes : 1, p->a32);
    if (rng_chance(&g->rng, 25))
        d = s + rng_below(&g->rng, 40) - 20; // overlapping
    if ((src && gen_target_ignored(g, s - 16, bytes + 32)) || (dst && gen_target_ignored(g, d - 16, bytes + 32)))
        return false;
    if (back && bytes) {
        s += bytes - size;
        d += bytes - size;
    }
    if (src && !g->mode32 && !p->a32 && rng_chance(&g->rng, 12) && (g->fs_known || g->gs_known)) {
        p->seg = g->fs_known ? FS : GS;
        s -= p->seg == FS ? g->fs : g->gs;
    }
    uint64_t junk = p->a32 ? rng_next(&g->rng) << 32 : 0; // above the address size
    if (src)
        gen_set_reg(g, RSI, s | junk);
    if (dst)
        gen_set_reg(g, RDI, d | junk);
    if (p->rep)
        gen_set_reg(g, RCX, count | junk);
    if (op == 0xae && rng_chance(&g->rng, 60))
        gen_set_reg(g, RAX, rng_chance(&g->rng, 50) ? 0 : 0x5a5a5a5a5a5a5a5a);
    return true;
}

// --- gathers and scatters ------------------------------------------------------------------------------

static void load_vector(struct gen *g, int reg, const uint8_t bytes[64])
{
    const struct rule *r = gen_find(reg >= 16 || rng_chance(&g->rng, 50) ? "VMOVDQU32 Vx,Wx" : "VMOVDQU Vx,Wx");
    struct plan p;
    if (!r)
        r = gen_find("VMOVDQU Vx,Wx");
    gen_plan_init(&p, r);
    p.reg = reg;
    p.k = 0;
    p.vl = r->enc == RE_EVEX ? VL_512 : VL_256;
    gen_force_target(&p, DATA_LO + PAGE_SIZE + 2048 + 64 * rng_below(&g->rng, 16));
    if (gen_target_ignored(g, p.mem_target, 64))
        return;
    gen_patch(g, p.mem_target, bytes, 64);
    gen_emit(g, &p);
}

static bool prep_gather(struct gen *g, struct plan *p)
{
    const struct rule *r = p->rule;
    bool qidx = r->bytes[0] & 1, evex = r->enc == RE_EVEX;
    unsigned nvec = g->mode32 ? 8 : evex ? 32 : 16, scale = rng_below(&g->rng, 4);
    int idx = (int)rng_below(&g->rng, nvec), dst = (int)rng_below(&g->rng, nvec), mask = (int)rng_below(&g->rng, nvec);
    uint64_t t = gen_pick_target(g, 8, false, false);
    uint8_t v[64];
    if (gen_target_ignored(g, t - 600, 1200) || ((idx == dst || idx == mask || dst == mask) && !g->last))
        return false;
    for (unsigned i = 0; i < 64; i += 8) {
        int32_t a = (int32_t)rng_below(&g->rng, 1000 >> scale) - (500 >> scale);
        int32_t b = (int32_t)rng_below(&g->rng, 1000 >> scale) - (500 >> scale);
        int64_t q = qidx ? a : (int64_t)((uint64_t)(uint32_t)b << 32 | (uint32_t)a);
        memcpy(v + i, &q, 8);
    }
    load_vector(g, idx, v);
    if (!evex) {
        for (unsigned i = 0; i < 64; i++)
            v[i] = rng_chance(&g->rng, 70) ? 0xff : (uint8_t)rng_next(&g->rng);
        load_vector(g, mask, v);
        p->vvvv = mask;
    } else {
        p->k = rng_chance(&g->rng, 95) ? 1 + (int)rng_below(&g->rng, 7) : 0; // k0: #UD
        if (!g->last && !p->k)
            p->k = 1;
    }
    int base = gen_pick_scratch(g), disp = (int8_t)rng_next(&g->rng);
    gen_set_reg(g, base, t - (uint64_t)(int64_t)disp);
    p->reg = dst;
    p->mem = (struct memop){
        .present = true, .base = base, .index = idx, .scale = (uint8_t)scale, .disp = disp, .seg = -1, .target = t};
    p->mem_size = 64;
    return true;
}

// --- the table ---------------------------------------------------------------------------------------

static const struct prep preps_special[] = {
    {"div", prep_div},           {"bt", prep_bt},           {"cx8", prep_cx8},
    {"lea", prep_no_access},     {"nop", prep_no_access},   {"moffs", prep_moffs},
    {"xlat", prep_xlat},         {"w1", prep_w1},           {"w2", prep_w2},
    {"vmaskmov", prep_vmaskmov}, {"maskmov", prep_maskmov}, {"sreg", prep_sreg},
    {"ldsreg", prep_ldsreg},     {"sel", prep_sel},         {"fsgs", prep_fsgs},
    {"str", prep_str},           {"gather", prep_gather},   {0},
};

bool gen_prepare(struct gen *g, struct plan *p)
{
    const struct prep *const tables[] = {preps_special, gen_preps_flow, gen_preps_state};
    if (!p->rule->prep[0])
        return true;
    for (unsigned t = 0; t < ARRAY_SIZE(tables); t++)
        for (const struct prep *i = tables[t]; i->name; i++)
            if (strcmp(p->rule->prep, i->name) == 0)
                return i->fn(g, p);
    return false;
}
