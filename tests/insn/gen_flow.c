// SPDX-License-Identifier: MIT
// Preparations (gen_special.c) of what moves RSP, RIP and DF: stack instructions, jumps, calls.
#include <string.h>

#include "tests/insn/gen.h"

// --- flags and the stack -------------------------------------------------------------------------------

static bool prep_std(struct gen *g, struct plan *p)
{
    g->df = g->npend ? -1 : 1;
    return true;
}
static bool prep_cld(struct gen *g, struct plan *p)
{
    g->df = g->npend ? -1 : 0;
    return true;
}

static uint64_t pick_stack(struct gen *g)
{
    uint64_t base = g->mode32 || rng_chance(&g->rng, 50) ? DATA_LO : DATA_HI;
    if (g->last && rng_chance(&g->rng, 10)) // where pushes fault, and where pops do
        return base + (rng_chance(&g->rng, 50) ? 9 : 11) * PAGE_SIZE + rng_below(&g->rng, 9) - 4;
    if (rng_chance(&g->rng, 15))
        return base + 10 * PAGE_SIZE + rng_below(&g->rng, 12) - 4;
    return base + 9 * PAGE_SIZE + 1024 + 8 * rng_below(&g->rng, 700);
}

bool gen_need_stack(struct gen *g)
{
    if (g->in_function)
        return false;
    long off = g->known >> RSP & 1 ? gen_data_offset(g->val[RSP]) : -1;
    bool good = off > 9 * PAGE_SIZE + 256 && off < 11 * PAGE_SIZE - 256;
    if (!good || rng_chance(&g->rng, 10))
        gen_set_reg(g, RSP, pick_stack(g));
    return true;
}

static void move_rsp(struct gen *g, int delta)
{
    g->val[RSP] += (uint64_t)(int64_t)delta;
    if (g->mode32)
        g->val[RSP] = (uint32_t)g->val[RSP];
    for (unsigned i = 0; i < g->npend; i++)
        g->pend[i].touched |= 1u << RSP;
}

static bool push_imm(struct gen *g, int opsize, uint32_t v)
{
    struct unit *u = gen_unit(g, NULL);
    if (!u)
        return false;
    unsigned n = 0;
    if (opsize == 2)
        u->bytes[n++] = 0x66;
    u->bytes[n++] = 0x68;
    memcpy(u->bytes + n, &v, 4);
    u->len = (uint8_t)(n + (opsize == 2 ? 2 : 4));
    move_rsp(g, -opsize);
    return true;
}

static bool prep_push(struct gen *g, struct plan *p)
{
    if (!gen_need_stack(g))
        return false;
    p->rsp_delta = -p->opsize;
    return true;
}
static bool prep_pop(struct gen *g, struct plan *p)
{
    if (!gen_need_stack(g))
        return false;
    p->rsp_delta = p->opsize;
    return true;
}
static bool prep_popm(struct gen *g, struct plan *p)
{
    p->avoid |= 1 << RSP; // the address is formed after RSP moved
    return prep_pop(g, p);
}
// How far PUSHA and POPA get before they fault is up to the CPU: keep clear of the stack's ends.
static bool need_safe_stack(struct gen *g)
{
    if (!gen_need_stack(g))
        return false;
    if (g->val[RSP] < DATA_LO + 9 * PAGE_SIZE + 64 || g->val[RSP] > DATA_LO + 11 * PAGE_SIZE - 64)
        gen_set_reg(g, RSP, DATA_LO + 10 * PAGE_SIZE + rng_below(&g->rng, 64) - 32);
    return true;
}

static bool prep_pusha(struct gen *g, struct plan *p)
{
    if (!need_safe_stack(g))
        return false;
    p->rsp_delta = -8 * p->opsize;
    return true;
}
static bool prep_popa(struct gen *g, struct plan *p)
{
    if (!need_safe_stack(g))
        return false;
    p->rsp_delta = 8 * p->opsize;
    return true;
}
static bool prep_popseg(struct gen *g, struct plan *p)
{
    uint32_t sel = (uint32_t)gen_pick_selector(g);
    bool fsgs = p->rule->bytes[0] == 0x0f;
    if (fsgs && sel <= 3)
        sel = SEL_USER_DS;
    if (!gen_need_stack(g) || (fsgs && g->mode32 && sel != SEL_USER_DS) || !push_imm(g, p->opsize, sel))
        return false;
    if (fsgs)
        *(p->rule->bytes[1] == 0xa9 ? &g->gs_known : &g->fs_known) = false;
    p->rsp_delta = p->opsize;
    return true;
}
static bool prep_popf(struct gen *g, struct plan *p)
{
    uint32_t v = 0x202 | (rng_next(&g->rng) & FL_ARITH);
    if (rng_chance(&g->rng, 5))
        v |= FL_DF;
    if (rng_chance(&g->rng, 20))
        v |= (uint32_t)rng_next(&g->rng) & (FL_NT | FL_ID | FL_IOPL | FL_IF | FL_VIF | FL_VIP);
    if (g->ac && rng_chance(&g->rng, 20))
        v |= FL_AC;
    if (!gen_need_stack(g) || !push_imm(g, p->opsize, v))
        return false;
    g->df = g->npend ? -1 : (v & FL_DF) != 0;
    p->rsp_delta = p->opsize;
    return true;
}
static bool prep_leave(struct gen *g, struct plan *p)
{
    if (g->in_function)
        return false;
    if (rng_chance(&g->rng, 95))
        gen_set_reg(g, RBP, pick_stack(g));
    return true;
}
static bool prep_enter(struct gen *g, struct plan *p)
{
    if (!gen_need_stack(g))
        return false;
    if (rng_chance(&g->rng, 95))
        gen_set_reg(g, RBP, pick_stack(g));
    else if (g->tc->ignores)
        return false; // with a nesting level it could copy what is not compared to where it is
    p->have_imm = true;
    p->imm = rng_below(&g->rng, 100);
    return true;
}

// --- control flow --------------------------------------------------------------------------------------

static unsigned unit_index(struct gen *g, struct unit *u) { return (unsigned)(u - g->tc->unit); }

static bool room_for_jump(const struct gen *g) { return g->npend < ARRAY_SIZE(g->pend) && !g->in_function; }

static struct unit *branch(struct gen *g, const struct rule *r, unsigned relsize)
{
    struct unit *u = gen_unit(g, r);
    if (!u)
        return NULL;
    memcpy(u->bytes, r->bytes, r->nbytes);
    u->len = (uint8_t)(r->nbytes + relsize);
    u->nfix = 1;
    u->fix[0] = (struct fix){.kind = relsize == 1 ? FIX_REL8 : FIX_REL32, .off = r->nbytes, .to_unit = true};
    return u;
}

static bool prep_jcc(struct gen *g, struct plan *p)
{
    bool near = p->rule->op[0].size == SZ_Z;
    if (!room_for_jump(g))
        return false;
    struct unit *u = branch(g, p->rule, near ? 4 : 1);
    if (!u)
        return false;
    gen_open_jump(g, unit_index(g, u), 0, 1 + 1 + rng_below(&g->rng, near ? 3 : 2));
    return p->done = true;
}

static bool prep_loop(struct gen *g, struct plan *p)
{
    if (!room_for_jump(g))
        return false;
    if (rng_chance(&g->rng, 50))
        gen_set_reg(g, RCX, rng_below(&g->rng, 3) | (rng_chance(&g->rng, 30) ? 0x100000000 : 0));
    struct unit *u = branch(g, p->rule, 1);
    if (!u)
        return false;
    if (!g->mode32 && rng_chance(&g->rng, 30)) { // ECX counts
        memmove(u->bytes + 1, u->bytes, u->len);
        u->bytes[0] = 0x67;
        u->len++;
        u->fix[0].off++;
    }
    gen_kill(g, p->rule->clobbers);
    gen_open_jump(g, unit_index(g, u), 0, 2 + rng_below(&g->rng, 2));
    return p->done = true;
}

static bool prep_call(struct gen *g, struct plan *p)
{
    if (!room_for_jump(g) || !gen_need_stack(g))
        return false;
    struct unit *u = branch(g, p->rule, 4);
    if (!u)
        return false;
    move_rsp(g, g->mode32 ? -4 : -8);
    gen_open_jump(g, unit_index(g, u), 0, 1 + rng_below(&g->rng, 2));
    return p->done = true;
}

// Loads the address of a unit to come. Returns the unit that does so (its fix 0), or NULL.
static struct unit *load_label(struct gen *g, int reg)
{
    struct unit *u = gen_unit(g, NULL);
    if (!u)
        return NULL;
    u->nfix = 1;
    u->fix[0].to_unit = true;
    if (g->mode32) {
        u->bytes[0] = (uint8_t)(0xb8 + reg);
        u->len = 5;
        u->fix[0].kind = FIX_ABS32;
        u->fix[0].off = 1;
    } else if (rng_chance(&g->rng, 50)) {
        u->bytes[0] = (uint8_t)(0x48 | reg >> 3);
        u->bytes[1] = (uint8_t)(0xb8 + (reg & 7));
        u->len = 10;
        u->fix[0].kind = FIX_ABS64;
        u->fix[0].off = 2;
    } else {
        u->bytes[0] = (uint8_t)(0x48 | (reg >> 3) << 2);
        u->bytes[1] = 0x8d;
        u->bytes[2] = (uint8_t)(5 | (reg & 7) << 3);
        u->len = 7;
        u->fix[0].kind = FIX_RIP;
        u->fix[0].off = 3;
    }
    gen_kill(g, (uint16_t)(1u << reg));
    return u;
}

static bool indirect(struct gen *g, struct plan *p, bool call)
{
    if (!room_for_jump(g) || (call && !gen_need_stack(g)))
        return false;
    unsigned after = 1 + rng_below(&g->rng, 2), size = g->mode32 ? 4 : 8;
    p->opsize = (int)size;
    if (rng_chance(&g->rng, 50)) {
        p->force_reg = true;
        p->rm = gen_pick_scratch(g);
        struct unit *u = load_label(g, p->rm);
        if (!u)
            return false;
        gen_open_jump(g, unit_index(g, u), 0, after);
    } else {
        // Stored right before it is used: another store in between could make it a loop.
        struct plan store;
        int reg = gen_pick_scratch(g);
        struct unit *u = load_label(g, reg);
        if (!u)
            return false;
        gen_plan_init(&store, gen_find("MOV Ev,Gv"));
        store.reg = reg;
        store.opsize = (int)size;
        store.avoid = (uint16_t)(1u << reg);
        gen_force_target(&store, gen_pick_target(g, size, false, false));
        if (!gen_emit(g, &store))
            return false;
        gen_force_target(p, store.mem_target);
        gen_open_jump(g, unit_index(g, u), 0, after);
    }
    if (call)
        p->rsp_delta = -(int)size;
    return true;
}
static bool prep_callind(struct gen *g, struct plan *p) { return indirect(g, p, true); }
static bool prep_jmpind(struct gen *g, struct plan *p) { return indirect(g, p, false); }

static bool prep_ret(struct gen *g, struct plan *p)
{
    if (!room_for_jump(g) || !gen_need_stack(g))
        return false;
    int reg = gen_pick_scratch(g), size = g->mode32 ? 4 : 8;
    struct unit *u = load_label(g, reg), *push = gen_unit(g, NULL), *ret = gen_unit(g, p->rule);
    if (!u || !push || !ret)
        return false;
    if (reg >= 8)
        push->bytes[push->len++] = 0x41;
    push->bytes[push->len++] = (uint8_t)(0x50 + (reg & 7));
    ret->bytes[ret->len++] = p->rule->bytes[0];
    if (p->rule->bytes[0] == 0xc2) {
        ret->bytes[ret->len] = (uint8_t)rng_below(&g->rng, 64);
        move_rsp(g, ret->bytes[ret->len]);
        ret->len += 2;
    }
    (void)size;
    gen_open_jump(g, unit_index(g, u), 0, 1 + rng_below(&g->rng, 2));
    return p->done = true;
}

// jmp over; f: one or two instructions; ret; over: call f
static bool prep_func(struct gen *g, struct plan *p)
{
    if (g->in_function || g->npend >= 4 || g->tc->units > UNITS_MAX - 40 || !gen_need_stack(g))
        return false;
    struct unit *jmp = gen_unit(g, NULL);
    jmp->bytes[0] = 0xe9;
    jmp->len = 5;
    jmp->nfix = 1;
    jmp->fix[0] = (struct fix){.kind = FIX_REL32, .off = 1, .to_unit = true};
    unsigned body = g->tc->units;
    uint16_t undef = g->undef; // the call runs before the function, and may fault
    bool last = g->last;
    g->in_function = true;
    g->last = false;
    for (unsigned n = 1 + rng_below(&g->rng, 2); n; n--)
        gen_simple(g);
    g->in_function = false;
    g->last = last;
    struct unit *ret = gen_unit(g, NULL), *call = gen_unit(g, p->rule);
    if (!ret || !call)
        return false;
    ret->bytes[0] = 0xc3;
    ret->len = 1;
    call->undef = undef;
    call->bytes[0] = 0xe8;
    call->len = 5;
    call->nfix = 1;
    call->fix[0] = (struct fix){.kind = FIX_REL32, .off = 1, .to_unit = true, .unit = (uint16_t)body};
    jmp->fix[0].unit = (uint16_t)unit_index(g, call);
    return p->done = true;
}

static bool prep_int(struct gen *g, struct plan *p)
{
    static const uint8_t vectors[] = {0, 1, 2, 3, 4, 5, 8, 13, 14, 0x20, 0x82, 0xff}; // not 80h: Linux's system call
    p->have_imm = true;
    p->imm = vectors[rng_below(&g->rng, ARRAY_SIZE(vectors))];
    return true;
}

// --- the table ---------------------------------------------------------------------------------------

// clang-format off
const struct prep gen_preps_flow[] = {
    { "std", prep_std }, { "cld", prep_cld }, { "push", prep_push }, { "pop", prep_pop }, { "popm", prep_popm },
    { "pusha", prep_pusha }, { "popa", prep_popa }, { "popseg", prep_popseg }, { "popf", prep_popf },
    { "leave", prep_leave }, { "enter", prep_enter }, { "jmp", prep_jcc }, { "jcc", prep_jcc }, { "loop", prep_loop },
    { "call", prep_call }, { "callind", prep_callind }, { "jmpind", prep_jmpind }, { "ret", prep_ret },
    { "func", prep_func }, { "int", prep_int }, { "counted", gen_prep_counted },
    { 0 },
};
// clang-format on
