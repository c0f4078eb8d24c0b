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

static void force_target(struct plan *p, uint64_t target)
{
    p->have_target = p->force_mem = true;
    p->mem_target = target;
}

static int pick_scratch(struct gen *g)
{
    int r;
    do
        r = gen_pick_gpr(g);
    while (r == RSP);
    return r;
}

// --- computation ---------------------------------------------------------------------------------------

static bool prep_div(struct gen *g, struct plan *p)
{
    static const uint64_t high[] = { 0, 0, 1, 0xffffffffffffffff };
    if (rng_chance(&g->rng, g->last ? 80 : 97) && p->rule->bytes[0] == 0xf7)
        gen_set_reg(g, RDX, high[rng_below(&g->rng, 4)]);
    if (rng_chance(&g->rng, 60))
        gen_set_reg(g, RAX, gen_value(g));
    return true;
}

static bool prep_bt(struct gen *g, struct plan *p)
{
    p->reg = pick_scratch(g);
    gen_set_reg(g, p->reg, (uint64_t)(int64_t)((int)rng_below(&g->rng, 600) - 300));
    p->avoid |= (uint16_t)(1u << p->reg);
    p->mem_target = gen_pick_target(g, 8, false, false);
    p->have_target = true;
    return !gen_target_ignored(g, p->mem_target - 64, 136);
}

static bool prep_cx8(struct gen *g, struct plan *p)
{
    unsigned half = p->rule->flags & RF_W1 ? 8 : 4;
    uint64_t v[2] = { gen_value(g), gen_value(g) };
    uint8_t bytes[16];
    p->mem_size = 2 * half;
    force_target(p, gen_pick_target(g, p->mem_size, half == 8, false));
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
    uint64_t t = (rng_chance(&g->rng, 50) && !g->mode32 ? DATA_HI : DATA_LO) + PAGE_SIZE + rng_below(&g->rng, 2 * PAGE_SIZE);
    if (gen_target_ignored(g, t, 256))
        return false;
    p->a32 = t < DATA_HI && !g->mode32 && rng_chance(&g->rng, 20);
    gen_set_reg(g, RBX, t | (p->a32 ? rng_next(&g->rng) << 32 : 0));
    return true;
}

static bool prep_w1(struct gen *g, struct plan *p) { p->mem_size = 1; return true; }
static bool prep_w2(struct gen *g, struct plan *p) { p->mem_size = 2; return true; }

static bool prep_vmaskmov(struct gen *g, struct plan *p) { p->force_mem = true; return true; }

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

static uint64_t pick_selector(struct gen *g)
{
    static const uint16_t sel[] = { SEL_USER_DS, SEL_USER_DS, SEL_USER_DS, SEL_USER_DS, 0, 3, SEL_USER_CS32, SEL_USER_CS,
                                    SEL_USER_DS & ~3, SEL_KERNEL_CS, SEL_KERNEL_DS, 0xfff8, 0xffff, 7 };
    return sel[rng_below(&g->rng, g->last ? ARRAY_SIZE(sel) : 4)];
}

static bool prep_sreg(struct gen *g, struct plan *p)
{
    p->reg = (int)rng_below(&g->rng, g->last ? 8 : 6);
    p->mem_size = 2;
    return true;
}

static bool prep_ldsreg(struct gen *g, struct plan *p)
{
    static const uint8_t which[] = { ES, DS, ES, DS, FS, GS, SS, CS, 6, 7 };
    uint16_t sel = (uint16_t)pick_selector(g);
    p->reg = which[rng_below(&g->rng, g->last ? ARRAY_SIZE(which) : 4)];
    p->mem_size = 2;
    if (p->reg >= FS && sel == 0) // whether a null selector clears the base differs between makers
        sel = SEL_USER_DS;
    if (p->reg >= FS && sel == 3)
        sel = SEL_USER_DS;
    if (g->tc->units || rng_chance(&g->rng, 50)) { // later on, stores may have changed it in memory
        p->force_reg = true;
        p->rm = pick_scratch(g);
        gen_set_reg(g, p->rm, sel | (gen_value(g) & 0xffff0000));
    } else {
        force_target(p, gen_pick_target(g, 2, false, false));
        gen_patch(g, p->mem_target, &sel, 2);
    }
    return true;
}

static bool prep_sel(struct gen *g, struct plan *p)
{
    uint16_t sel = (uint16_t)pick_selector(g);
    p->mem_size = 2;
    if (g->tc->units || rng_chance(&g->rng, 50)) { // later on, stores may have changed it in memory
        p->force_reg = true;
        p->rm = pick_scratch(g);
        gen_set_reg(g, p->rm, sel | (gen_value(g) & 0xffff0000));
    } else {
        force_target(p, gen_pick_target(g, 2, false, false));
        gen_patch(g, p->mem_target, &sel, 2);
    }
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
    p->rm = pick_scratch(g);
    p->force_reg = true;
    gen_set_reg(g, p->rm, v);
    if (p->opsize == 4)
        v = (uint32_t)v;
    *(gs ? &g->gs : &g->fs) = v;
    *(gs ? &g->gs_known : &g->fs_known) = g->npend == 0;
    return true;
}

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

static bool need_stack(struct gen *g)
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
    if (!need_stack(g))
        return false;
    p->rsp_delta = -p->opsize;
    return true;
}
static bool prep_pop(struct gen *g, struct plan *p)
{
    if (!need_stack(g))
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
    if (!need_stack(g))
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
    uint32_t sel = (uint32_t)pick_selector(g);
    bool fsgs = p->rule->bytes[0] == 0x0f;
    if (fsgs && sel <= 3)
        sel = SEL_USER_DS;
    if (!need_stack(g) || (fsgs && g->mode32 && sel != SEL_USER_DS) || !push_imm(g, p->opsize, sel))
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
    if (!need_stack(g) || !push_imm(g, p->opsize, v))
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
    if (!need_stack(g))
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
    u->fix[0] = (struct fix){ .kind = relsize == 1 ? FIX_REL8 : FIX_REL32, .off = r->nbytes, .to_unit = true };
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
    if (!room_for_jump(g) || !need_stack(g))
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
    if (!room_for_jump(g) || (call && !need_stack(g)))
        return false;
    unsigned after = 1 + rng_below(&g->rng, 2), size = g->mode32 ? 4 : 8;
    p->opsize = (int)size;
    if (rng_chance(&g->rng, 50)) {
        p->force_reg = true;
        p->rm = pick_scratch(g);
        struct unit *u = load_label(g, p->rm);
        if (!u)
            return false;
        gen_open_jump(g, unit_index(g, u), 0, after);
    } else {
        // Stored right before it is used: another store in between could make it a loop.
        struct plan store;
        int reg = pick_scratch(g);
        struct unit *u = load_label(g, reg);
        if (!u)
            return false;
        gen_plan_init(&store, gen_find("MOV Ev,Gv"));
        store.reg = reg;
        store.opsize = (int)size;
        store.avoid = (uint16_t)(1u << reg);
        force_target(&store, gen_pick_target(g, size, false, false));
        if (!gen_emit(g, &store))
            return false;
        force_target(p, store.mem_target);
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
    if (!room_for_jump(g) || !need_stack(g))
        return false;
    int reg = pick_scratch(g), size = g->mode32 ? 4 : 8;
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
    if (g->in_function || g->npend >= 4 || g->tc->units > UNITS_MAX - 40 || !need_stack(g))
        return false;
    struct unit *jmp = gen_unit(g, NULL);
    jmp->bytes[0] = 0xe9;
    jmp->len = 5;
    jmp->nfix = 1;
    jmp->fix[0] = (struct fix){ .kind = FIX_REL32, .off = 1, .to_unit = true };
    unsigned body = g->tc->units;
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
    call->bytes[0] = 0xe8;
    call->len = 5;
    call->nfix = 1;
    call->fix[0] = (struct fix){ .kind = FIX_REL32, .off = 1, .to_unit = true, .unit = (uint16_t)body };
    jmp->fix[0].unit = (uint16_t)unit_index(g, call);
    return p->done = true;
}

static bool prep_int(struct gen *g, struct plan *p)
{
    static const uint8_t vectors[] = { 0, 1, 2, 3, 4, 5, 8, 13, 14, 0x20, 0x82, 0xff }; // not 80h: Linux's system call
    p->have_imm = true;
    p->imm = vectors[rng_below(&g->rng, ARRAY_SIZE(vectors))];
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
    count = k < 10 ? 0 : k < 55 ? 1 + rng_below(&g->rng, 8) : k < 85 ? 9 + rng_below(&g->rng, 56)
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

// --- x87 and saved state -------------------------------------------------------------------------------

static bool prep_fldcw(struct gen *g, struct plan *p)
{
    uint16_t cw = (uint16_t)(0x7f | rng_below(&g->rng, 16) << 8);
    if (rng_chance(&g->rng, g->last ? 20 : 5))
        cw = (uint16_t)rng_next(&g->rng);
    force_target(p, gen_pick_target(g, 2, false, false));
    gen_patch(g, p->mem_target, &cw, 2);
    return true;
}

static bool prep_stenv(struct gen *g, struct plan *p)
{
    force_target(p, gen_pick_target(g, p->rule->op[0].size, false, false));
    if (gen_data_offset(p->mem_target) >= 8 * PAGE_SIZE)
        return false; // stack instructions read there
    gen_ignore(g, p->mem_target, 12, 16); // FIP, FCS, FOP, FDP, FDS
    return true;
}

static bool prep_ldenv(struct gen *g, struct plan *p)
{
    uint32_t env[7] = { 0xffff037f, 0xffff0000, 0xffffffff, 0, 0, 0, 0xffff0000 };
    env[0] = 0xffff0000 | 0x7f | rng_below(&g->rng, 16) << 8;
    env[1] |= rng_below(&g->rng, 8) << 11 | ((uint32_t)rng_next(&g->rng) & 0x4700);
    env[2] = 0xffff0000 | (uint32_t)(rng_next(&g->rng) & 0xffff);
    if (g->last && rng_chance(&g->rng, 20))
        env[0] &= ~rng_below(&g->rng, 64);
    force_target(p, gen_pick_target(g, p->rule->op[0].size, false, false));
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
    force_target(p, gen_pick_target(g, 4, false, false));
    gen_patch(g, p->mem_target, &v, 4);
    return true;
}

static bool prep_fxsave(struct gen *g, struct plan *p)
{
    if (!p->have_target)
        force_target(p, gen_pick_target(g, 512, true, false));
    gen_ignore(g, p->mem_target, 6, 18); // FOP, FIP, FDP
    return true;
}

static void patch_xsave(struct gen *g, uint64_t target, unsigned len)
{
    long off = gen_data_offset(target);
    if (off >= 0 && g->tc->patches < PATCHES_MAX)
        g->tc->patch[g->tc->patches++] = (struct patch){ .off = (uint32_t)off, .len = (uint16_t)len, .kind = PATCH_XSAVE };
}

// Sometimes what is restored was saved just before.
static void save_first(struct gen *g, const char *text, uint64_t target, uint16_t avoid)
{
    const struct rule *r = gen_find(text);
    struct plan s;
    if (!r)
        return;
    gen_plan_init(&s, r);
    force_target(&s, target);
    s.avoid = avoid;
    gen_emit(g, &s);
}

static bool prep_fxrstor(struct gen *g, struct plan *p)
{
    force_target(p, gen_pick_target(g, 512, true, false));
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
    force_target(p, t);
    return true;
}

static void set_mask(struct gen *g, struct plan *p)
{
    static const uint8_t masks[] = { 7, 0xff, 3, 1, 2, 4, 0xe0 };
    uint32_t m = rng_chance(&g->rng, 50) ? 0xe7 : rng_chance(&g->rng, 50) ? (uint32_t)rng_next(&g->rng) & 0xe7
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
    static const char *const savers[] = { "XSAVE M2696", "XSAVEC M2696", "XSAVEOPT M2696" };
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
    force_target(&p, DATA_LO + PAGE_SIZE + 2048 + 64 * rng_below(&g->rng, 16));
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
    int base = pick_scratch(g), disp = (int8_t)rng_next(&g->rng);
    gen_set_reg(g, base, t - (uint64_t)(int64_t)disp);
    p->reg = dst;
    p->mem = (struct memop){ .present = true, .base = base, .index = idx, .scale = (uint8_t)scale, .disp = disp, .seg = -1,
                             .target = t };
    p->mem_size = 64;
    return true;
}

// --- the table -----------------------------------------------------------------------------------------

static const struct { const char *name; bool (*fn)(struct gen *g, struct plan *p); } preps[] = {
    { "div", prep_div }, { "bt", prep_bt }, { "cx8", prep_cx8 }, { "lea", prep_no_access }, { "nop", prep_no_access },
    { "moffs", prep_moffs }, { "xlat", prep_xlat }, { "w1", prep_w1 }, { "w2", prep_w2 },
    { "vmaskmov", prep_vmaskmov }, { "maskmov", prep_maskmov }, { "sreg", prep_sreg }, { "ldsreg", prep_ldsreg },
    { "sel", prep_sel }, { "fsgs", prep_fsgs }, { "std", prep_std }, { "cld", prep_cld }, { "push", prep_push },
    { "pop", prep_pop }, { "popm", prep_popm }, { "pusha", prep_pusha }, { "popa", prep_popa },
    { "popseg", prep_popseg }, { "popf", prep_popf }, { "leave", prep_leave }, { "enter", prep_enter },
    { "jmp", prep_jcc }, { "jcc", prep_jcc }, { "loop", prep_loop }, { "call", prep_call },
    { "callind", prep_callind }, { "jmpind", prep_jmpind }, { "ret", prep_ret }, { "func", prep_func },
    { "int", prep_int }, { "str", prep_str }, { "fldcw", prep_fldcw }, { "stenv", prep_stenv },
    { "ldenv", prep_ldenv }, { "ldmxcsr", prep_ldmxcsr }, { "fxsave", prep_fxsave }, { "fxrstor", prep_fxrstor },
    { "xsave", prep_xsave }, { "xsavec", prep_xsavec }, { "xrstor", prep_xrstor }, { "xgetbv", prep_xgetbv },
    { "gather", prep_gather },
};

bool gen_prepare(struct gen *g, struct plan *p)
{
    if (!p->rule->prep[0])
        return true;
    for (unsigned i = 0; i < ARRAY_SIZE(preps); i++)
        if (strcmp(p->rule->prep, preps[i].name) == 0)
            return preps[i].fn(g, p);
    return false;
}
