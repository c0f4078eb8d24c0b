// SPDX-License-Identifier: MIT
// Preparations (gen_special.c) of what saves and loads the state of x87, SSE and AVX.
#include "tests/insn/gen.h"

// --- x87 and saved state -------------------------------------------------------------------------------

static bool prep_fldcw(struct gen *g, struct plan *p)
{
    uint16_t cw = (uint16_t)(0x7f | rng_below(&g->rng, 16) << 8);
    if (rng_chance(&g->rng, g->last ? 20 : 5))
        cw = (uint16_t)rng_next(&g->rng);
    gen_force_target(p, gen_pick_target(g, 2, false, false));
    gen_patch(g, p->mem_target, &cw, 2);
    return true;
}

static bool prep_stenv(struct gen *g, struct plan *p)
{
    gen_force_target(p, gen_pick_target(g, p->rule->op[0].size, false, false));
    if (gen_data_offset(p->mem_target) >= 8 * PAGE_SIZE)
        return false;                     // stack instructions read there
    gen_ignore(g, p->mem_target, 12, 16); // FIP, FCS, FOP, FDP, FDS
    return true;
}

static bool prep_ldenv(struct gen *g, struct plan *p)
{
    uint32_t env[7] = {0xffff037f, 0xffff0000, 0xffffffff, 0, 0, 0, 0xffff0000};
    env[0] = 0xffff0000 | 0x7f | rng_below(&g->rng, 16) << 8;
    env[1] |= rng_below(&g->rng, 8) << 11 | ((uint32_t)rng_next(&g->rng) & 0x4700);
    env[2] = 0xffff0000 | (uint32_t)(rng_next(&g->rng) & 0xffff);
    if (g->last && rng_chance(&g->rng, 20))
        env[0] &= ~rng_below(&g->rng, 64);
    gen_force_target(p, gen_pick_target(g, p->rule->op[0].size, false, false));
    gen_patch(g, p->mem_target, env, sizeof(env));
    return true;
}

static bool prep_ldmxcsr(struct gen *g, struct plan *p)
{
    uint32_t v = 0x1f80 | rng_below(&g->rng, 8) << 13 | rng_below(&g->rng, 64);
    if (rng_chance(&g->rng, g->last ? 20 : 4))
        v &= ~(rng_below(&g->rng, 64) << 7);
    if (g->last && rng_chance(&g->rng, 15))
        v |= 1u << (18 + rng_below(&g->rng, 14)); // reserved: #GP. Bit 17 means something on some CPUs
    gen_force_target(p, gen_pick_target(g, 4, false, false));
    gen_patch(g, p->mem_target, &v, 4);
    return true;
}

static bool prep_fxsave(struct gen *g, struct plan *p)
{
    if (!p->have_target)
        gen_force_target(p, gen_pick_target(g, 512, true, false));
    gen_ignore(g, p->mem_target, 6, 18); // FOP, FIP, FDP
    return true;
}

static void patch_xsave(struct gen *g, uint64_t target, unsigned len)
{
    long off = gen_data_offset(target);
    if (off >= 0 && g->tc->patches < PATCHES_MAX)
        g->tc->patch[g->tc->patches++] = (struct patch){
            .off = (uint32_t)off, .len = (uint16_t)len, .kind = PATCH_XSAVE};
}

// Sometimes what is restored was saved just before.
static void save_first(struct gen *g, const char *text, uint64_t target, uint16_t avoid)
{
    const struct rule *r = gen_find(text);
    struct plan s;
    if (!r)
        return;
    gen_plan_init(&s, r);
    gen_force_target(&s, target);
    s.avoid = avoid;
    gen_emit(g, &s);
}

static bool prep_fxrstor(struct gen *g, struct plan *p)
{
    gen_force_target(p, gen_pick_target(g, 512, true, false));
    patch_xsave(g, p->mem_target, 512);
    if (g->last && rng_chance(&g->rng, 10)) {
        uint32_t bad = 1u << (18 + rng_below(&g->rng, 14));
        gen_patch(g, p->mem_target + 24, &bad, 4);
    }
    if (rng_chance(&g->rng, 40))
        save_first(g, p->rule->flags & RF_W1 ? "FXSAVE64 M512" : "FXSAVE M512", p->mem_target, 0);
    return true;
}

enum { XSAVE_LEN = 2696 };

static bool pick_xsave_target(struct gen *g, struct plan *p)
{
    uint64_t t = g->mode32 || rng_chance(&g->rng, 50) ? DATA_LO : DATA_HI;
    t += PAGE_SIZE + 64 * rng_below(&g->rng, (3 * PAGE_SIZE - XSAVE_LEN) / 64);
    if (g->last && rng_chance(&g->rng, 10))
        t += 2 * PAGE_SIZE;
    if (g->last && rng_chance(&g->rng, 5))
        t += 8;
    if (gen_target_ignored(g, t, XSAVE_LEN))
        return false;
    p->mem_size = 64;
    gen_force_target(p, t);
    return true;
}

static void set_mask(struct gen *g, struct plan *p)
{
    static const uint8_t masks[] = {7, 0xff, 3, 1, 2, 4, 0xe0};
    uint32_t m = rng_chance(&g->rng, 50)   ? 0xe7
                 : rng_chance(&g->rng, 50) ? (uint32_t)rng_next(&g->rng) & 0xe7
                                           : masks[rng_below(&g->rng, ARRAY_SIZE(masks))];
    gen_set_reg(g, RAX, m & native_xcr0());
    gen_set_reg(g, RDX, 0);
    p->avoid |= 1 << RAX | 1 << RDX;
}

static bool prep_xsave(struct gen *g, struct plan *p)
{
    if (!p->have_target) {
        if (!pick_xsave_target(g, p))
            return false;
        set_mask(g, p);
    }
    gen_ignore(g, p->mem_target, 6, 18);
    gen_ignore(g, p->mem_target, 512, 16); // XSTATE_BV, XCOMP_BV: what is in use is the CPU's own business
    return true;
}

static bool prep_xsavec(struct gen *g, struct plan *p)
{
    if (!prep_xsave(g, p))
        return false;
    gen_ignore(g, p->mem_target, 0, XSAVE_LEN); // nor what it leaves out
    return true;
}

static bool prep_xrstor(struct gen *g, struct plan *p)
{
    static const char *const savers[] = {"XSAVE M2696", "XSAVEC M2696", "XSAVEOPT M2696"};
    if (!pick_xsave_target(g, p))
        return false;
    patch_xsave(g, p->mem_target, XSAVE_LEN);
    if (g->last && rng_chance(&g->rng, 15)) { // a bad header
        uint64_t bad = rng_chance(&g->rng, 50) ? gen_value(g) | BIT(40) : BIT(1);
        gen_patch(g, p->mem_target + 512 + 8 * rng_below(&g->rng, 8), &bad, 8);
    }
    set_mask(g, p);
    if (rng_chance(&g->rng, 50)) {
        uint64_t t = p->mem_target;
        save_first(g, savers[rng_below(&g->rng, 3)], t, p->avoid);
    }
    return true;
}

static bool prep_xgetbv(struct gen *g, struct plan *p)
{
    gen_set_reg(g, RCX, g->last && rng_chance(&g->rng, 20) ? 2 + rng_below(&g->rng, 100) : 0);
    return true;
}

// --- the table ---------------------------------------------------------------------------------------

const struct prep gen_preps_state[] = {
    {"fldcw", prep_fldcw},
    {"stenv", prep_stenv},
    {"ldenv", prep_ldenv},
    {"ldmxcsr", prep_ldmxcsr},
    {"fxsave", prep_fxsave},
    {"fxrstor", prep_fxrstor},
    {"xsave", prep_xsave},
    {"xsavec", prep_xsavec},
    {"xrstor", prep_xrstor},
    {"xgetbv", prep_xgetbv},
    {0},
};
