// SPDX-License-Identifier: MIT
// Operands: values worth trying, addresses worth touching, and address forms that reach them.
#include <string.h>

#include "tests/insn/gen.h"

// --- values --------------------------------------------------------------------------------------------

int gen_pick_gpr(struct gen *g)
{
    // R14 and R15 are scratch in translated code and live in memory: draw them often. RSP seldom.
    static const uint8_t pool64[] = {0,  0,  1,  1,  2,  2,  3,  3,  5,  5,  6,  6,  7,  7,  8, 9,
                                     10, 11, 12, 12, 13, 13, 14, 14, 14, 14, 15, 15, 15, 15, 4};
    static const uint8_t pool32[] = {0, 0, 1, 1, 2, 2, 3, 3, 5, 5, 6, 6, 7, 7, 4};
    for (;;) {
        int r = g->mode32 ? pool32[rng_below(&g->rng, sizeof(pool32))] : pool64[rng_below(&g->rng, sizeof(pool64))];
        if (r != RSP || (!g->in_function && rng_chance(&g->rng, 40)))
            return r;
    }
}

uint64_t gen_value(struct gen *g)
{
    static const uint64_t special[] = {0,
                                       1,
                                       2,
                                       0x7f,
                                       0x80,
                                       0xff,
                                       0x100,
                                       0x7fff,
                                       0x8000,
                                       0xffff,
                                       0x10000,
                                       0x7fffffff,
                                       0x80000000,
                                       0xffffffff,
                                       0x100000000,
                                       0x7fffffffffffffff,
                                       0x8000000000000000,
                                       0xffffffffffffffff,
                                       0xfffffffffffffffe,
                                       0x5555555555555555,
                                       0xaaaaaaaaaaaaaaaa,
                                       0xffffffff80000000,
                                       0x0123456789abcdef};
    switch (rng_below(&g->rng, 4)) {
    case 0: return special[rng_below(&g->rng, ARRAY_SIZE(special))];
    case 1: return rng_below(&g->rng, 40);
    case 2: return (uint64_t)(int64_t)(int8_t)rng_next(&g->rng);
    default: return rng_next(&g->rng);
    }
}

void gen_random_vec(struct rng *r, uint8_t *dst, unsigned len)
{
    static const uint64_t f64[] = {0,
                                   0x8000000000000000,
                                   0x3ff0000000000000,
                                   0xbff0000000000000,
                                   0x7ff0000000000000,
                                   0xfff0000000000000,
                                   0x7ff8000000000000,
                                   0x7ff0000000000001,
                                   1,
                                   0x000fffffffffffff,
                                   0x0010000000000000,
                                   0x7fefffffffffffff,
                                   0x4008000000000000,
                                   0x3fe0000000000000,
                                   0x43e0000000000000,
                                   0x41dfffffffc00000};
    static const uint32_t f32[] = {0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
                                   0x7fc00000, 0x7f800001, 1,          0x007fffff, 0x00800000, 0x7f7fffff,
                                   0x40400000, 0x3f000000, 0x4f000000, 0x5f000000};
    uint32_t mode = rng_below(r, 5);
    for (unsigned i = 0; i < len; i += 8) {
        uint64_t v;
        if (mode == 0)
            v = f64[rng_below(r, 16)];
        else if (mode == 1)
            v = f32[rng_below(r, 16)] | (uint64_t)f32[rng_below(r, 16)] << 32;
        else if (mode == 2)
            v = (rng_next(r) & 0x000fffffffffffff) | (uint64_t)(1013 + rng_below(r, 20)) << 52;
        else if (mode == 3)
            v = (rng_next(r) & 0x807fffff807fffff) | (uint64_t)(120 + rng_below(r, 14)) << 55 |
                (uint64_t)(120 + rng_below(r, 14)) << 23;
        else
            v = rng_next(r);
        memcpy(dst + i, &v, len - i < 8 ? len - i : 8);
    }
}

// --- the data area -------------------------------------------------------------------------------------

long gen_data_offset(uint64_t t)
{
    if (t >= DATA_LO && t < DATA_LO + DATA_SIZE)
        return (long)(t - DATA_LO);
    if (t >= DATA_HI && t < DATA_HI + DATA_SIZE)
        return (long)(t - DATA_HI);
    return -1;
}

bool gen_target_ignored(struct gen *g, uint64_t target, unsigned size)
{
    long off = gen_data_offset(target);
    for (unsigned i = 0; off >= 0 && i < g->tc->ignores; i++) {
        struct range *r = &g->tc->ignore[i];
        if (off < (long)(r->off + r->len) && (long)r->off < off + (long)size)
            return true;
    }
    return false;
}

void gen_ignore(struct gen *g, uint64_t target, unsigned off, unsigned len)
{
    long o = gen_data_offset(target);
    if (o >= 0 && g->tc->ignores < IGNORES_MAX)
        g->tc->ignore[g->tc->ignores++] = (struct range){(uint32_t)o + off, len};
}

void gen_patch(struct gen *g, uint64_t target, const void *bytes, unsigned len)
{
    long off = gen_data_offset(target);
    if (off < 0 || off + len > DATA_SIZE || g->tc->patches == PATCHES_MAX || len > 64)
        return;
    struct patch *p = &g->tc->patch[g->tc->patches++];
    *p = (struct patch){.off = (uint32_t)off, .len = (uint16_t)len, .kind = PATCH_BYTES};
    memcpy(p->bytes, bytes, len);
}

void gen_patch_interesting(struct gen *g, uint64_t target, unsigned len)
{
    uint8_t b[64];
    if (len > 64)
        len = 64;
    if (rng_chance(&g->rng, 50)) {
        for (unsigned i = 0; i < len; i += 8) {
            uint64_t v = gen_value(g);
            memcpy(b + i, &v, len - i < 8 ? len - i : 8);
        }
    } else {
        gen_random_vec(&g->rng, b, len);
        if (len == 10) { // an 80-bit number: exponent near one, or BCD digits
            uint16_t e = (uint16_t)(0x3ff0 + rng_below(&g->rng, 32)) | (uint16_t)(rng_next(&g->rng) & 0x8000);
            if (rng_chance(&g->rng, 60))
                memcpy(b + 8, &e, 2);
            if (rng_chance(&g->rng, 60))
                b[7] |= 0x80;
            for (unsigned i = 0; rng_chance(&g->rng, 20) && i < 9; i++)
                b[i] = (uint8_t)(rng_below(&g->rng, 10) << 4 | rng_below(&g->rng, 10));
        }
    }
    gen_patch(g, target, b, len);
}

// Where accesses meet the end of a page: offset of the boundary, in pages, and how often.
static const struct {
    uint8_t boundary, weight;
    bool faults;
} crossings[] = {
    {2, 6, false}, {3, 4, false}, {10, 1, false}, {4, 2, true}, {5, 2, true}, {7, 3, true}, {1, 1, true}, {6, 1, true},
};

static uint64_t pick_offset(struct gen *g, unsigned size, bool faulting)
{
    uint32_t k = rng_below(&g->rng, 100);
    if (faulting && k < 25)
        return (rng_chance(&g->rng, 60)   ? 4
                : rng_chance(&g->rng, 50) ? 5
                                          : 7) *
                   PAGE_SIZE +
               rng_below(&g->rng, PAGE_SIZE);
    if (faulting || (k < 30 && size > 1)) {
        for (;;) {
            unsigned i = rng_below(&g->rng, ARRAY_SIZE(crossings));
            if (crossings[i].faults != faulting || rng_below(&g->rng, 6) >= crossings[i].weight)
                continue;
            unsigned before = size > 1 ? 1 + rng_below(&g->rng, size - 1) : 1;
            return (uint64_t)crossings[i].boundary * PAGE_SIZE - before;
        }
    }
    static const uint8_t pages[] = {1, 1, 2, 2, 3, 3, 6};
    unsigned page = pages[rng_below(&g->rng, sizeof(pages))];
    unsigned room = size <= PAGE_SIZE ? PAGE_SIZE - size : 0;
    // Few distinct places, so that instructions meet each other's results.
    unsigned in = rng_chance(&g->rng, 60) ? (rng_below(&g->rng, 8) * 64 + rng_below(&g->rng, 16))
                                          : rng_below(&g->rng, room + 1);
    return (uint64_t)page * PAGE_SIZE + (in > room ? room : in);
}

uint64_t gen_pick_target(struct gen *g, unsigned size, bool aligned, bool low)
{
    bool misalign = !g->strict_align;
    uint64_t base = low || g->mode32 || rng_chance(&g->rng, 50) ? DATA_LO : DATA_HI;
    bool faulting = rng_chance(&g->rng, g->last ? 15 : 1);
    if (faulting && !low && rng_chance(&g->rng, 10)) { // not canonical, or the kernel's half
        // Not across the border of canonical addresses: which fault comes first differs between makers.
        static const uint64_t odd[] = {0x800000000000,     0xffff7fffffff0000, 0x7fffffffe000,
                                       0xffff800000000000, 0xffffffffffff0000, 0x1000000000000000};
        uint64_t t = odd[rng_below(&g->rng, ARRAY_SIZE(odd))] + rng_below(&g->rng, 16);
        return g->mode32 ? (uint32_t)t : t;
    }
    for (unsigned tries = 0; tries < 10; tries++) {
        uint64_t t;
        if (size <= 64 && rng_chance(&g->rng, 25) && g->recent[0]) {
            t = g->recent[rng_below(&g->rng, 4)] + (uint64_t)(int64_t)(int8_t)(rng_next(&g->rng) & 7);
            if (!t || gen_data_offset(t) < 0 || (low && t >= DATA_HI))
                continue;
            base = t & ~(uint64_t)0xfffff;
        } else {
            t = base + pick_offset(g, size, faulting);
        }
        if (aligned && !rng_chance(&g->rng, misalign ? g->last ? 15 : 2 : 0))
            t &= ~(uint64_t)(size >= 64 ? 63 : size >= 32 ? 31 : 15);
        if (gen_target_ignored(g, t, size))
            continue;
        if (g->in_function && gen_data_offset(t + size) >= 9 * PAGE_SIZE)
            continue; // its return address is there
        memmove(&g->recent[1], &g->recent[0], sizeof(g->recent) - sizeof(g->recent[0]));
        return g->recent[0] = t;
    }
    return base + 6 * PAGE_SIZE + 0xa00; // nothing is ignored up there
}

// --- registers with a known value ----------------------------------------------------------------------

void gen_kill(struct gen *g, uint16_t regs)
{
    g->known &= (uint16_t)~regs;
    for (unsigned i = 0; i < g->npend; i++)
        g->pend[i].touched |= regs;
}

void gen_set_reg(struct gen *g, int reg, uint64_t value)
{
    struct unit *u = gen_unit(g, NULL);
    if (!u)
        return;
    uint8_t *b = u->bytes;
    unsigned n = 0;
    if (g->mode32) {
        value = (uint32_t)value;
        b[n++] = (uint8_t)(0xb8 + reg);
        memcpy(b + n, &value, 4);
        n += 4;
    } else if (value <= 0xffffffff && rng_chance(&g->rng, 60)) { // mov r32, imm32
        if (reg >= 8)
            b[n++] = 0x41;
        b[n++] = (uint8_t)(0xb8 + (reg & 7));
        memcpy(b + n, &value, 4);
        n += 4;
    } else if ((int64_t)value == (int32_t)value) { // mov r/m64, imm32
        b[n++] = (uint8_t)(0x48 | reg >> 3);
        b[n++] = 0xc7;
        b[n++] = (uint8_t)(0xc0 | (reg & 7));
        memcpy(b + n, &value, 4);
        n += 4;
    } else {
        b[n++] = (uint8_t)(0x48 | reg >> 3);
        b[n++] = (uint8_t)(0xb8 + (reg & 7));
        memcpy(b + n, &value, 8);
        n += 8;
    }
    u->len = (uint8_t)n;
    gen_kill(g, (uint16_t)(1u << reg));
    g->known |= (uint16_t)(1u << reg);
    g->val[reg] = value;
}

// --- address forms -------------------------------------------------------------------------------------

static bool fits32(int64_t d) { return d == (int32_t)d; }

static int pick_address_reg(struct gen *g, uint16_t avoid, bool index)
{
    for (unsigned tries = 0; tries < 32; tries++) {
        int r = gen_pick_gpr(g);
        if (avoid >> r & 1 || (index && r == RSP))
            continue;
        if (tries < 16 && !(g->known >> r & 1) && rng_chance(&g->rng, 60))
            continue; // rather one whose value is known already
        return r;
    }
    return -1;
}

static int64_t small_disp(struct gen *g)
{
    switch (rng_below(&g->rng, 4)) {
    case 0: return 0;
    case 1: return (int8_t)rng_next(&g->rng);
    case 2: return (int16_t)rng_next(&g->rng);
    default: return (int32_t)rng_next(&g->rng) >> 4;
    }
}

// The sum as the CPU forms it: in the address size.
static uint64_t address_part(const struct gen *g, const struct memop *m, uint64_t v)
{
    return m->a32 || g->mode32 ? (uint32_t)v : v;
}

// Distance from the registers to the target as a displacement, or false if it does not fit.
static bool reach(const struct gen *g, const struct memop *m, uint64_t target, uint64_t sum, int32_t *disp)
{
    uint64_t d = target - sum;
    if (m->a32 || g->mode32) {
        *disp = (int32_t)(uint32_t)d;
        return m->a32 && !g->mode32 ? target <= 0xffffffff : true;
    }
    *disp = (int32_t)d;
    return fits32((int64_t)d);
}

static void choose_index(struct gen *g, struct memop *m, uint16_t avoid)
{
    m->index = pick_address_reg(g, avoid, true);
    if (m->index < 0)
        return;
    m->scale = (uint8_t)rng_below(&g->rng, 4);
    if (!(g->known >> m->index & 1))
        gen_set_reg(g, m->index, (uint64_t)small_disp(g) >> rng_below(&g->rng, 2));
}

void gen_memop(struct gen *g, struct memop *m, uint64_t target, uint16_t avoid)
{
    *m = (struct memop){.present = true, .base = -1, .index = -1, .seg = -1, .target = target};
    uint64_t ea = target, sum = 0;
    // An offset that is not canonical although the sum with the base is: AMD's faults, Intel's does not.
    bool based = gen_data_offset(target) >= 0;
    if (!g->mode32) {
        if (rng_chance(&g->rng, 6) && g->fs_known && based) {
            m->seg = FS;
            ea -= g->fs;
        } else if (rng_chance(&g->rng, 6) && g->gs_known && based) {
            m->seg = GS;
            ea -= g->gs;
        } else if (rng_chance(&g->rng, 2)) {
            m->seg = (int)rng_below(&g->rng, 4); // ignored in 64-bit mode
        }
        if (rng_chance(&g->rng, 5) && ea <= 0xffffffff)
            m->a32 = true;
        bool near_code = g->tc->high_code ? target >= DATA_HI && target < DATA_HI + DATA_SIZE : target < 0x80000000;
        if (rng_chance(&g->rng, 12) && m->seg < FS && near_code && !m->a32) {
            m->base = 16;
            return;
        }
    } else if (rng_chance(&g->rng, 5)) {
        m->seg = ES + (int)rng_below(&g->rng, 4);
    }
    uint32_t form = rng_below(&g->rng, 100);
    if (form < 10 && reach(g, m, ea, 0, &m->disp))
        return; // absolute
    if (form < 40)
        choose_index(g, m, avoid);
    if (m->index >= 0)
        sum = address_part(g, m, g->val[m->index]) << m->scale;
    if (form >= 32 && form < 40 && m->index >= 0 && reach(g, m, ea, address_part(g, m, sum), &m->disp))
        return; // index without base
    if (m->index >= 0)
        avoid |= (uint16_t)(1u << m->index);
    m->base = pick_address_reg(g, avoid, false);
    if (m->base < 0)
        m->base = RBX;
    if (!(g->known >> m->base & 1) || !reach(g, m, ea, address_part(g, m, sum + g->val[m->base]), &m->disp) ||
        (g->mode32 && rng_chance(&g->rng, 20))) {
        gen_set_reg(g, m->base, address_part(g, m, ea - sum - (uint64_t)small_disp(g)));
        if (!reach(g, m, ea, address_part(g, m, sum + g->val[m->base]), &m->disp)) {
            m->index = -1; // the index is too far out: do without
            gen_set_reg(g, m->base, address_part(g, m, ea - (uint64_t)small_disp(g)));
            reach(g, m, ea, g->val[m->base], &m->disp);
        }
    }
}

void gen_memop_free(struct gen *g, struct memop *m)
{
    *m = (struct memop){.present = true, .base = -1, .index = -1, .seg = -1};
    m->base = rng_chance(&g->rng, 85) ? gen_pick_gpr(g) : g->mode32 ? -1 : 16;
    if (m->base != 16 && rng_chance(&g->rng, 60)) {
        m->index = gen_pick_gpr(g);
        if (m->index == RSP)
            m->index = -1;
        m->scale = (uint8_t)rng_below(&g->rng, 4);
    }
    m->disp = (int32_t)small_disp(g);
    m->a32 = !g->mode32 && rng_chance(&g->rng, 10);
    m->target = 0;
}

void gen_force_target(struct plan *p, uint64_t target)
{
    p->have_target = p->force_mem = true;
    p->mem_target = target;
}

int gen_pick_scratch(struct gen *g)
{
    int r;
    do
        r = gen_pick_gpr(g);
    while (r == RSP);
    return r;
}
