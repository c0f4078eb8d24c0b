// SPDX-License-Identifier: MIT
// Counted loops: a few accesses off pointers that move, as compilers make them of array code. A translator may unroll
// them, and look the pages of several rounds up together.
//
//      mov p, address; mov q, p (or elsewhere); mov i, small; mov c, rounds
//      first:  two to seven of: load, store, read-modify-write off p, q, p + i * scale, p + c * scale, RIP or an absolute
//              address; add, sub, lea, inc, dec of p or i; copies between p and q; push and pop; a jump out of the loop or
//              over one of these
//              dec c, sub c, or add c and cmp; jcc first
//
// Nothing in the body writes c, and what counts is one unit with its branch: a case stays finite whatever is left out.
#include <string.h>

#include "tests/insn/gen.h"

enum { ROUNDS_MAX = 12 };
struct loop {
    int p, q, i, c, d[2]; // registers
    uint64_t at;          // where p points at first
    bool stack;
    struct unit *out[4]; // units with a branch out of the loop
    unsigned nout;
};

static unsigned index_of(const struct gen *g, const struct unit *u) { return (unsigned)(u - g->tc->unit); }

static void put8(struct unit *u, unsigned v) { u->bytes[u->len++] = (uint8_t)v; }
static void put32(struct unit *u, uint32_t v)
{
    memcpy(u->bytes + u->len, &v, 4);
    u->len += 4;
}

static void put_rex(struct gen *g, struct unit *u, bool w, int reg, int index, int rm)
{
    unsigned rex = (w ? 8 : 0) | (reg >= 8 ? 4 : 0) | (index >= 8 ? 2 : 0) | (rm >= 8 ? 1 : 0);
    if (rex && !g->mode32)
        put8(u, 0x40 | rex);
}

// op r/m, reg between registers of pointer size; reg may be an opcode extension.
static struct unit *reg_op(struct gen *g, unsigned op, int reg, int rm)
{
    struct unit *u = gen_unit(g, NULL);
    if (!u)
        return NULL;
    put_rex(g, u, true, reg, 0, rm);
    put8(u, op);
    put8(u, 0xc0 | (unsigned)(reg & 7) << 3 | (unsigned)(rm & 7));
    return u;
}

static void lea(struct gen *g, int dst, int base, int8_t disp)
{
    struct unit *u = gen_unit(g, NULL);
    if (!u)
        return;
    put_rex(g, u, true, dst, 0, base);
    put8(u, 0x8d);
    put8(u, 0x40 | (unsigned)(dst & 7) << 3 | (unsigned)(base & 7));
    if ((base & 7) == RSP)
        put8(u, 0x24);
    put8(u, (uint8_t)disp);
}

// --- the body

struct form {
    uint8_t op, ext, imm;
    bool byte, map_0f, keeps_reg;
};
// ext: 1 + the opcode extension. keeps_reg: the register is not written.
// clang-format off
static const struct form forms[] = {
    {.op = 0x8b}, {.op = 0x8b}, {.op = 0x89, .keeps_reg = true}, {.op = 0x89, .keeps_reg = true}, {.op = 0x03},
    {.op = 0x01, .keeps_reg = true}, {.op = 0x2b}, {.op = 0x39, .keeps_reg = true}, {.op = 0x3b, .keeps_reg = true},
    {.op = 0x83, .ext = 1, .imm = 1}, {.op = 0x83, .ext = 8, .imm = 1}, {.op = 0xff, .ext = 1}, {.op = 0xff, .ext = 2},
    {.op = 0xc7, .ext = 1, .imm = 4}, {.op = 0x88, .byte = true, .keeps_reg = true}, {.op = 0x8a, .byte = true},
    {.op = 0xb6, .map_0f = true}, {.op = 0xb7, .map_0f = true}, {.op = 0x13}, {.op = 0x87},
};
// clang-format on

// ModRM and what follows it: [base + index * scale + disp8], or an address of the data area.
static void put_operand(struct gen *g, struct unit *u, const struct loop *l, int reg, int base, int index)
{
    unsigned r = (unsigned)(reg & 7) << 3;
    if (base < 0) {
        bool rip = !g->mode32 && (l->at >= DATA_HI) == g->tc->high_code;
        uint64_t target = l->at + rng_below(&g->rng, 64);
        if (!g->mode32 && !rip && target >= DATA_HI) { // out of reach: off the pointer after all
            base = l->p;
            index = -1;
        } else if (rip || g->mode32) {
            put8(u, r | 5);
            if (rip)
                u->fix[u->nfix++] = (struct fix){.kind = FIX_RIP, .off = u->len, .addr = target};
            put32(u, (uint32_t)target);
            return;
        } else {
            put8(u, r | 4);
            put8(u, 0x25);
            put32(u, (uint32_t)target);
            return;
        }
    }
    put8(u, 0x40 | r | (index >= 0 || (base & 7) == RSP ? 4u : (unsigned)base & 7));
    if (index >= 0)
        put8(u, rng_below(&g->rng, 4) << 6 | (unsigned)(index & 7) << 3 | (unsigned)(base & 7));
    else if ((base & 7) == RSP)
        put8(u, 0x24);
    put8(u, rng_chance(&g->rng, 20)   ? 0
            : rng_chance(&g->rng, 70) ? rng_below(&g->rng, 8) * 4
                                      : (uint8_t)rng_next(&g->rng));
}

static void access(struct gen *g, const struct loop *l)
{
    const struct form *f = &forms[rng_below(&g->rng, ARRAY_SIZE(forms))];
    int reg = l->d[rng_below(&g->rng, 2)], index = -1;
    int base = rng_chance(&g->rng, 60) ? l->p : rng_chance(&g->rng, 75) ? l->q : -1;
    bool wide = !g->mode32 && rng_chance(&g->rng, 45), rex = false;
    if (base >= 0 && rng_chance(&g->rng, 30))
        index = rng_chance(&g->rng, 60) ? l->i : l->c;
    if (f->op == 0x13 && g->undef)
        return;
    if (f->ext)
        reg = f->ext - 1;
    if (f->byte) {
        wide = false;
        if (f->keeps_reg && l->i < 4 && base >= 0 && base < 8 &&
            rng_chance(&g->rng, 40)) { // AH to BH of the index itself
            reg = l->i + 4;
            index = l->i;
        } else if (reg >= 4 && reg < 8 && !(rex = !g->mode32) && !f->keeps_reg)
            return; // it would be another's high byte
    }
    struct unit *u = gen_unit(g, NULL);
    if (!u)
        return;
    unsigned before = u->len;
    int rm = base < 0 && !g->mode32 && l->at >= DATA_HI && !g->tc->high_code ? l->p : base; // as put_operand() has it
    put_rex(g, u, wide, f->ext ? 0 : reg, index, rm < 0 ? 0 : rm);
    if (rex && u->len == before)
        put8(u, 0x40);
    if (f->map_0f)
        put8(u, 0x0f);
    put8(u, f->op);
    put_operand(g, u, l, reg, base, index);
    for (unsigned k = 0; k < f->imm; k++)
        put8(u, f->imm == 1 || k < 3 ? (uint8_t)rng_next(&g->rng) : 0);
}

static void move_pointer(struct gen *g, const struct loop *l, int r)
{
    static const uint8_t steps[] = {1, 2, 4, 8, 8, 16, 24, 32, 64, 100};
    int8_t by = (int8_t)(r == l->i ? 1 + rng_below(&g->rng, 3) : steps[rng_below(&g->rng, sizeof(steps))]);
    uint32_t k = rng_below(&g->rng, 5);
    struct unit *u;
    if (k == 0) {
        lea(g, r, r, rng_chance(&g->rng, 70) ? by : (int8_t)-by);
    } else if (k == 1) {
        bool down = rng_chance(&g->rng, 30);
        if (g->mode32 && rng_chance(&g->rng, 60) && (u = gen_unit(g, NULL)))
            put8(u, (down ? 0x48u : 0x40u) + (unsigned)r);
        else
            reg_op(g, 0xff, down, r);
    } else if ((u = reg_op(g, 0x83, k == 4 ? 5 : 0, r)) != NULL) {
        put8(u, (uint8_t)by);
    }
}

static struct unit *branch_to(struct gen *g, struct unit *u, unsigned cc, bool near, unsigned to)
{
    if (near)
        put8(u, 0x0f);
    put8(u, (near ? 0x80 : 0x70) | cc);
    u->fix[u->nfix++] = (struct fix){
        .kind = near ? FIX_REL32 : FIX_REL8, .off = u->len, .to_unit = true, .unit = (uint16_t)to};
    u->len += near ? 4 : 1;
    return u;
}

// CMP and a branch: out of the loop, or over what comes next.
static void jump(struct gen *g, struct loop *l)
{
    static const uint8_t ccs[] = {2, 3, 4, 5, 6, 7, 12, 13, 14, 15};
    bool on_counter = rng_chance(&g->rng, 40);
    struct unit *u = reg_op(g, 0x83, 7, on_counter ? l->c : l->d[0]);
    if (!u)
        return;
    put8(u, on_counter ? rng_below(&g->rng, 6) : (uint8_t)rng_next(&g->rng));
    bool over = rng_chance(&g->rng, 50);
    unsigned cc = over || !on_counter ? ccs[rng_below(&g->rng, sizeof(ccs))] : 4;
    branch_to(g, u, cc, !over || rng_chance(&g->rng, 30), index_of(g, u) + 2);
    if (!over && l->nout < ARRAY_SIZE(l->out))
        l->out[l->nout++] = u;
}

static void push_pop(struct gen *g, const struct loop *l)
{
    int from = rng_chance(&g->rng, 50) ? l->d[0] : l->p, to = l->d[1];
    if (!l->stack)
        return;
    for (int pop = 0; pop < 2; pop++) {
        struct unit *u = gen_unit(g, NULL);
        int r = pop ? to : from;
        if (!u)
            return;
        put_rex(g, u, false, 0, 0, r);
        put8(u, (pop ? 0x58u : 0x50u) + (unsigned)(r & 7));
        if (!pop && rng_chance(&g->rng, 40))
            access(g, l);
    }
}

static void body_item(struct gen *g, struct loop *l)
{
    uint32_t k = rng_below(&g->rng, 100);
    if (k < 55)
        access(g, l);
    else if (k < 75)
        move_pointer(g, l, k < 63 ? l->p : k < 69 ? l->q : l->i);
    else if (k < 81)
        reg_op(g, rng_chance(&g->rng, 50) ? 0x89 : 0x8b, k < 78 ? l->p : l->q, k < 78 ? l->q : l->p);
    else if (k < 85)
        lea(g, l->q, l->p, (int8_t)rng_next(&g->rng));
    else if (k < 90)
        jump(g, l);
    else if (k < 95)
        push_pop(g, l);
    else
        reg_op(g, rng_chance(&g->rng, 50) ? 0x01 : 0x29, l->d[0], l->d[1]);
}

// --- around it

static bool pick_registers(struct gen *g, struct loop *l)
{
    int *want[] = {&l->i, &l->p, &l->q, &l->c, &l->d[0], &l->d[1]};
    uint16_t used = 1u << RSP;
    for (unsigned k = 0; k < ARRAY_SIZE(want); k++) {
        do
            *want[k] = k == 0 && rng_chance(&g->rng, 50) ? (int)rng_below(&g->rng, 4) : gen_pick_scratch(g);
        while (used >> *want[k] & 1);
        used |= (uint16_t)(1u << *want[k]);
    }
    return true;
}

// Where a loop begins: inside pages 1 to 3, near an end of one, or, when a fault may end the case, anywhere.
static uint64_t pick_start(struct gen *g)
{
    uint64_t base = g->mode32 || rng_chance(&g->rng, 50) ? DATA_LO : DATA_HI;
    if (g->last && rng_chance(&g->rng, 40)) {
        static const uint8_t ends[] = {1, 4, 4, 5, 6, 7, 7};
        return base + ends[rng_below(&g->rng, sizeof(ends))] * PAGE_SIZE + rng_below(&g->rng, 400) - 200;
    }
    if (rng_chance(&g->rng, 45))
        return base + (2 + rng_below(&g->rng, 2)) * PAGE_SIZE + rng_below(&g->rng, 300) - 150;
    return base + PAGE_SIZE + 1300 + rng_below(&g->rng, 2 * PAGE_SIZE);
}

// The end of a round. c counts down, or up to a constant.
static void close_loop(struct gen *g, const struct loop *l, unsigned first, unsigned rounds, bool up)
{
    struct unit *u;
    unsigned cc = 5; // NZ
    if (up) {
        static const uint8_t below[] = {2, 5, 12}; // B, NZ, L
        u = reg_op(g, 0x83, 0, l->c);
        if (!u)
            return;
        put8(u, 1);
        put_rex(g, u, true, 0, 0, l->c);
        put8(u, 0x83);
        put8(u, 0xc0 | 7 << 3 | (unsigned)(l->c & 7));
        put8(u, rounds);
        cc = below[rng_below(&g->rng, 3)];
    } else if (rng_chance(&g->rng, 50)) {
        u = reg_op(g, 0xff, 1, l->c);
        cc = rng_chance(&g->rng, 70) ? 5 : 15; // G
    } else {
        u = reg_op(g, 0x83, 5, l->c);
        if (u)
            put8(u, 1);
        cc = rng_chance(&g->rng, 50) ? 5 : 7; // A
    }
    if (u)
        branch_to(g, u, cc, g->tc->unit[index_of(g, u)].len > 9 || g->tc->units - first > 11 || rng_chance(&g->rng, 30),
                  first);
}

bool gen_prep_counted(struct gen *g, struct plan *p)
{
    struct loop l = {.nout = 0};
    // A short jump that is too far lands in between: it must not lead past what sets c.
    if (g->in_function || g->npend || g->tc->ignores || g->tc->units > UNITS_MAX - 50 || !pick_registers(g, &l))
        return false;
    l.at = pick_start(g);
    l.stack = rng_chance(&g->rng, 40) && gen_need_stack(g);
    unsigned rounds = 1 + rng_below(&g->rng, ROUNDS_MAX);
    bool up = rng_chance(&g->rng, 30);
    gen_set_reg(g, l.p, l.at);
    if (rng_chance(&g->rng, 40))
        gen_set_reg(g, l.q, l.at + rng_below(&g->rng, 128) - 64);
    else if (rng_chance(&g->rng, 50))
        gen_set_reg(g, l.q, pick_start(g));
    else
        reg_op(g, 0x89, l.p, l.q);
    gen_set_reg(g, l.i, rng_below(&g->rng, 12));
    gen_set_reg(g, l.c, up ? 0 : rounds);
    g->tc->unit[g->tc->units - 1].keep = true;
    unsigned first = g->tc->units;
    for (unsigned n = 2 + rng_below(&g->rng, 6); n; n--)
        body_item(g, &l);
    if (rng_chance(&g->rng, 60))
        move_pointer(g, &l, l.p);
    close_loop(g, &l, first, rounds, up);
    for (unsigned k = 0; k < l.nout; k++)
        l.out[k]->fix[0].unit = (uint16_t)g->tc->units;
    gen_kill(g, (uint16_t)(1u << l.p | 1u << l.q | 1u << l.i | 1u << l.c | 1u << l.d[0] | 1u << l.d[1] |
                           (l.stack ? 1u << RSP : 0)));
    return p->done = true;
}
