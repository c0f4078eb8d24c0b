// SPDX-License-Identifier: MIT
// Code that uses all sixteen registers: guest r14 and r15 in registers, two others in memory.
//
// Guest r14 and r15 live in cpu->gpr[], since the host's are the translator's own (gen.h). Code written by hand for many
// registers (hashes, ciphers, long arithmetic) computes with them as with any other, and each use is a load or a store.
// In a run of such instructions two registers that it hardly uses change places with them:
//
//      mov r14, rsi ; mov rsi, [gpr r14] ; mov [gpr r14], r14      guest r14 is in rsi, guest rsi in gpr[14]
//      ...                                                         the run, with the two names exchanged
//      mov r14, rsi ; mov rsi, [gpr r14] ; mov [gpr r14], r14      and back
//
// To everything else the run is a run like any other, of instructions with other names: only what leaves it in the
// middle (a fault, the slow path of an access, a span's twin) must put the two right, by tb->swap.
#include "base/stats.h"
#include "translator/gen.h"

// What a use of a register in memory costs: as part of an address a load that nothing waits for long, else a load and
// mostly a store, in a chain of others. A run gains what r14 and r15 cost, less what those cost that take their places;
// the exchange itself is twelve instructions.
enum { ADDRESS_COST = 1, OPERAND_COST = 2, RUN_MIN = 12, GAIN_MIN = 24 };

struct uses {
    unsigned cost[16]; // by guest register
    uint32_t fixed;    // those that instructions use without naming them, or that cannot be encoded otherwise
};

typedef void name_fn(void *opaque, uint8_t *name);

// Call fn for each field of the instruction that names a general register.
static void each_operand(struct insn *in, name_fn *fn, void *opaque)
{
    if (in->has_modrm && in->reg_kind == FK_GPR)
        fn(opaque, &in->reg);
    if (in->vvvv_kind == FK_GPR)
        fn(opaque, &in->vvvv);
    if ((in->has_modrm && !in->has_mem && in->rm_kind == FK_GPR) || in->opcode_reg)
        fn(opaque, &in->rm);
}

static void each_address(struct insn *in, name_fn *fn, void *opaque)
{
    uint8_t name;
    if (in->has_mem && in->base >= 0 && in->base < BASE_RIP) {
        name = (uint8_t)in->base;
        fn(opaque, &name);
        in->base = (int8_t)name;
    }
    if (in->has_mem && in->index >= 0) {
        name = (uint8_t)in->index;
        fn(opaque, &name);
        in->index = (int8_t)name;
    }
}

static void each_name(struct insn *in, name_fn *fn, void *opaque)
{
    each_operand(in, fn, opaque);
    each_address(in, fn, opaque);
}

static void note_name(void *opaque, uint8_t *name) { *(uint32_t *)opaque |= 1u << (*name & 15); }

static void add_operand(void *opaque, uint8_t *name) { ((struct uses *)opaque)->cost[*name & 15] += OPERAND_COST; }

static void add_address(void *opaque, uint8_t *name) { ((struct uses *)opaque)->cost[*name & 15] += ADDRESS_COST; }

static bool has_high_byte(const struct insn *in)
{
    return in->enc == ENC_LEGACY && !in->rex &&
           ((in->reg_kind == FK_GPR && in->reg_size == 1 && in->reg >= 4) ||
            (in->rm_kind == FK_GPR && in->rm_size == 1 && in->rm >= 4));
}

static void count(struct uses *u, struct insn *in)
{
    uint32_t named = 0;
    each_name(in, note_name, &named);
    if (has_high_byte(in)) // AH to BH are numbered 4 to 7, and REX makes others of them
        u->fixed |= named | 0xf;
    u->fixed |= (in->gpr_read | in->gpr_written) & ~named;
    each_operand(in, add_operand, u);
    each_address(in, add_address, u);
}

static bool eligible(const struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    return in->class == IC_PLAIN && !in->vsib && !in->is_bitstring && in->addrsize == 8 && !gen_needs_unit(g, i);
}

// The cheapest register that may change places; -1: none.
static int cheapest(const struct uses *u, uint32_t taken)
{
    int best = -1;
    taken |= u->fixed | 1u << RSP | 1u << RCX | 1u << R14 | 1u << R15; // RCX is borrowed (gen_mem.c)
    for (int r = 0; r < 16; r++)
        if (!(taken & 1u << r) && (best < 0 || u->cost[r] < u->cost[best]))
            best = r;
    return best;
}

// What exchanging would gain in instructions first to end - 1; *swap: with which. INT32_MIN: it cannot be done.
static int gain(struct gen *g, unsigned first, unsigned end, uint8_t *swap)
{
    struct uses u = {.fixed = 0};
    for (unsigned i = first; i < end; i++)
        count(&u, &g->insn[i]);
    int a = cheapest(&u, 0), b = a < 0 ? -1 : cheapest(&u, 1u << a);
    if (b < 0 || (u.fixed >> R14 & 3))
        return INT32_MIN;
    *swap = (uint8_t)(a | b << 4);
    return (int)(u.cost[R14] + u.cost[R15]) - (int)(u.cost[a] + u.cost[b]);
}

static void exchange_name(void *opaque, uint8_t *name)
{
    uint8_t swap = *(uint8_t *)opaque, a = swap & 15, b = swap >> 4;
    *name = *name == R14 ? a : *name == a ? R14 : *name == R15 ? b : *name == b ? R15 : *name;
}

static uint32_t exchange_bits(uint32_t set, uint8_t swap)
{
    uint32_t out = set & ~0xffffu;
    for (uint8_t r = 0; r < 16; r++) {
        uint8_t to = r;
        exchange_name(&swap, &to);
        out |= (set >> r & 1) << to;
    }
    return out;
}

void gen_swap_names(struct gen *g)
{
    for (unsigned i = g->swap_first; i < g->swap_end; i++) {
        struct insn *in = &g->insn[i];
        each_name(in, exchange_name, &g->tb->swap);
        in->gpr_read = exchange_bits(in->gpr_read, g->tb->swap);
        in->gpr_written = exchange_bits(in->gpr_written, g->tb->swap);
        in->renamed = !in->renamed;
    }
}

void gen_swap_plan(struct gen *g)
{
    bool eager = g->bt->disable & ACCEL_SWAP_EAGER;
    int best = eager ? INT32_MIN : GAIN_MIN - 1;
    if (!g->code64 || g->tb->pa2 != NO_PA || (g->tb->mode & TB_EXACT) || (g->bt->disable & ACCEL_NO_SWAP))
        return;
    for (unsigned first = 0, end; first<g->n; first = end> first ? end : end + 1) {
        uint8_t swap = 0;
        for (end = first; end < g->n && eligible(g, end) && (end == first || !gen_entered_at(g, end));)
            end++;
        if (end == first || (end - first < RUN_MIN && !eager))
            continue;
        int n = gain(g, first, end, &swap);
        if (n <= best)
            continue;
        best = n;
        g->swap_first = first;
        g->swap_end = end;
        g->tb->swap = swap;
    }
    gen_swap_names(g);
    if (g->swap_end)
        stat_inc(STAT_tb_swaps);
}

static void exchange(struct gen *g, int r, int high)
{
    struct emit *e = &g->e;
    emit_mov(e, R14, r);
    emit_load(e, r, CPU_FIELD(g->bt, gpr[high]));
    emit_store(e, CPU_FIELD(g->bt, gpr[high]), R14);
}

void gen_swap(struct gen *g)
{
    exchange(g, g->tb->swap & 15, R14);
    exchange(g, g->tb->swap >> 4, R15);
}
