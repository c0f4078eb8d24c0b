// SPDX-License-Identifier: MIT
// The code of spans (gen_span_plan.c says what they are): one lookup, and accesses off the pointer it left in r15.
#include "base/stats.h"
#include "translator/gen.h"
#include "translator/host_insn.h"

static const struct gen_span *span_at(const struct gen *g, unsigned i)
{
    const struct gen_span *s = &g->spans[g->span];
    return g->span < g->nspans && i >= s->first && i <= s->last ? s : NULL;
}

bool gen_in_span(const struct gen *g, unsigned i) { return span_at(g, i); }

// The lowest address of the span to r14.
static void low_address(struct gen *g, const struct gen_span *s)
{
    struct emit *e = &g->e;
    if (s->base == BASE_RIP) {
        emit_mov_address(e, R14, s->origin + (gva)(int64_t)s->lo);
        return;
    }
    int base = s->base < 0 ? -1 : gen_reg(g, s->base, R14), index = s->index < 0 ? -1 : gen_reg(g, s->index, R15);
    if (s->lo || index >= 0 || base < 0)
        (g->code64 ? emit_lea : emit_lea32)(
            e, R14, (struct emem){.base = (int8_t)base, .index = (int8_t)index, .scale = s->scale, .disp = s->lo});
    else
        (g->code64 ? emit_mov : emit_mov32)(e, R14, base);
}

static void open_span(struct gen *g, const struct gen_span *s)
{
    struct emit *e = &g->e;
    low_address(g, s);
    unsigned k = g->nslow;
    g->own_stubs = true;
    gen_lookup(g, s->first, (unsigned)(s->hi - s->lo), s->write, false, false, g->live[s->first] != 0);
    if (e->overflow)
        return;
    g->slow[k].span = true;
    struct tb_site *site = g->slow[k].site;
    site->span = true;
    site->lead_at = (int16_t)(s->lead_at - s->lo);
    site->lead_size = s->lead_size;
    site->lead_write = s->lead_write;
    emit_lea(e, R15, EMEM_R14_R15);
    stat_inc(STAT_tb_spans);
    stat_add(STAT_tb_span_accesses, s->n);
}

// A plain instruction that may name guest r14 or r15, which r14 stands for.
static bool with_high(struct gen *g, const struct insn *in, struct rewrite *how)
{
    unsigned high = gen_high_operands(in);
    int guest = high == 1 ? R14 : R15;
    how->map14 = how->map15 = R14;
    g->tb->map[g->tb->nmap - 1].swapped = 1 + rewrite_swapped(in, how);
    if (high && how->base != R14)
        emit_load(&g->e, R14, CPU_FIELD(g->bt, gpr[guest]));
    if (rewrite_plain(&g->e, in, how))
        return false;
    if (high && (in->gpr_written & 1u << guest))
        emit_store(&g->e, CPU_FIELD(g->bt, gpr[guest]), R14);
    return true;
}

static void store_const(struct gen *g, struct emem m, uint64_t v)
{
    if (!g->code64 || (int64_t)v == (int32_t)v) {
        emit_store_imm32(&g->e, m, (int32_t)v, g->code64);
        g->log.fixed = true;
    } else {
        emit_mov_address(&g->e, R14, v);
        emit_store(&g->e, m, R14);
    }
}

static void span_call(struct gen *g, unsigned i, struct emem m)
{
    const struct insn *in = &g->insn[i];
    store_const(g, m, code_rip(g->tb->mode, gen_next(g, i)));
    gen_add_rsp(g, -(int32_t)gen_width(g));
    if (in->class == IC_CALL) {
        gen_link_jmp(g, i, code_target(g->tb->mode, g->rip[i], in->len, in->imm, in->opsize), g->taken_live[i] != 0);
        return;
    }
    int r = gen_reg(g, in->rm, R14);
    if (r != R14)
        emit_op_reg(&g->e, gen_wide(g), 0x89, r, R14);
    gen_indirect(g, i);
}

// The stack word at m to or from a register; guest r14 and r15 by way of r14.
static void stack_word(struct gen *g, bool load, int r, struct emem m)
{
    struct emit *e = &g->e;
    int host = r < R14 ? r : R14;
    if (r >= R14 && !load)
        emit_load(e, R14, CPU_FIELD(g->bt, gpr[r]));
    emit_op_mem(e, gen_wide(g), load ? 0x8b : 0x89, host, m);
    if (r >= R14 && load)
        emit_store(e, CPU_FIELD(g->bt, gpr[r]), R14);
}

static bool member(struct gen *g, unsigned i, const struct gen_span *s)
{
    const struct insn *in = &g->insn[i];
    struct emem m = EMEM(R15, s->at[i - s->first] - s->lo);
    switch (in->class) {
    case IC_PUSH:
        if (in->opcode_reg || in->has_modrm)
            stack_word(g, false, in->rm, m);
        else
            emit_store_imm32(&g->e, m, (int32_t)in->imm, g->code64);
        gen_add_rsp(g, -(int32_t)gen_width(g));
        return true;
    case IC_POP:
        stack_word(g, true, in->rm, m);
        gen_add_rsp(g, (int32_t)gen_width(g));
        return true;
    case IC_LEAVE:
        (g->code64 ? emit_lea : emit_lea32)(&g->e, RSP, EMEM(RBP, (int32_t)gen_width(g)));
        emit_op_mem(&g->e, gen_wide(g), 0x8b, RBP, m);
        return true;
    case IC_CALL:
    case IC_CALL_IND: span_call(g, i, m); return true;
    case IC_RET:
        emit_op_mem(&g->e, gen_wide(g), 0x8b, R14, m);
        gen_add_rsp(g, (int32_t)gen_width(g) + (in->imm_len ? (uint16_t)in->imm : 0));
        gen_indirect(g, i);
        return true;
    default: {
        struct rewrite how = {.mem = true, .base = R15, .index = -1, .disp = m.disp};
        return with_high(g, in, &how);
    }
    }
}

// The address of instruction i's memory operand to r14, and nothing else.
static void foreign_address(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    struct emem m = {.base = in->base, .index = in->index, .scale = in->scale ? in->scale : 1, .disp = in->disp};
    if (in->index < 0 && !in->disp)
        emit_mov(&g->e, R14, in->base);
    else
        emit_lea(&g->e, R14, m);
}

// Address, table entry and what is left of the host address all go through r14: the access is made off the entry plus
// the base register, with index and displacement as they were.
static bool foreign(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    struct emit *e = &g->e;
    bool write = in->mem_access & MA_WRITE;
    struct tb_site *site = gen_site(g, i, false);
    if (!site || g->nslow == GEN_MAX_SLOW)
        return !(e->overflow = true);
    struct gen_slow *s = &g->slow[g->nslow++];
    *s = (struct gen_slow){.site = site, .foreign = true, .insn = i};
    site->size = in->mem_size;
    site->write = write;
    foreign_address(g, i);
    if (in->mem_size > 1 && !in->mem_aligned) {
        host_test_r14b(e, in->mem_size - 1u);
        s->unaligned = emit_jcc(e, CC_NZ, NULL);
        s->checked = gen_here(g);
    }
    host_page_entry(e, R14, R14, write, true);
    emit_op_reg(e, EF_W, 0x85, R14, R14);
    s->branch[s->nbranch++] = emit_jcc(e, CC_Z, NULL);
    s->resume = gen_here(g);
    s->remat = g->live[i] != 0 && gen_remat_plan(g, i, g->live[i], &s->plan);
    if (s->remat)
        gen_remat(g, &s->plan);
    emit_lea(e, R14, (struct emem){.base = in->base, .index = R14, .scale = 1});
    struct rewrite how = {.mem = true, .base = R14, .index = in->index, .scale = in->scale, .disp = in->disp};
    stat_inc(STAT_tb_span_foreign);
    return with_high(g, in, &how);
}

// Everything between a span's first and last access comes here; false: it cannot be done after all.
bool gen_span_insn(struct gen *g, unsigned i)
{
    const struct gen_span *s = span_at(g, i);
    const struct insn *in = &g->insn[i];
    bool done;
    if (i == s->first)
        open_span(g, s);
    if (s->at[i - s->first] != INT32_MIN)
        done = member(g, i, s);
    else if (in->class == IC_JCC)
        done = gen_branch(g, i);
    else if (in->has_mem && in->mem_access != MA_NONE)
        done = foreign(g, i);
    else if (in->has_mem)
        done = gen_lea(g, i);
    else {
        struct rewrite how = {.index = -1, .base = -1};
        done = gen_high_operands(in) || !g->code64 || in->renamed ? with_high(g, in, &how)
                                                                  : (emit_bytes(&g->e, in->bytes, in->len), true);
    }
    if (i == s->last)
        g->span++;
    return done;
}

// Out of line: a foreign access that is misaligned, or whose page is not resident. The span's pointer survives it in
// the state block.
static void foreign_stub(struct gen *g, struct gen_slow *s)
{
    struct emit *e = &g->e;
    if (s->unaligned) {
        emit_patch(e, s->unaligned, gen_here(g));
        emit_store(e, eng(g->bt, ENG_SPAN), R15);
        uint8_t *leaves = gen_leaves_page(e, s->site->size);
        emit_load(e, R15, eng(g->bt, ENG_SPAN));
        emit_jmp(e, s->checked);
        emit_patch(e, leaves, gen_here(g));
        emit_load(e, R15, eng(g->bt, ENG_SPAN));
    }
    for (unsigned b = 0; b < s->nbranch; b++)
        emit_patch(e, s->branch[b], gen_here(g));
    foreign_address(g, s->insn);
    emit_store(e, eng(g->bt, ENG_SPAN), R15);
    if (s->remat)
        gen_remat(g, &s->plan);
    emit_lea_rip(e, R15, (uint8_t *)s->site);
    emit_jmp(e, g->bt->glue.mem_slow);
    s->site->resume = gen_here(g);
    emit_mov(e, R14, R15);
    emit_load(e, R15, eng(g->bt, ENG_SPAN));
    emit_jmp(e, s->resume);
}

void gen_foreign_stubs(struct gen *g)
{
    for (unsigned k = 0; k < g->nslow; k++)
        if (g->slow[k].foreign)
            foreign_stub(g, &g->slow[k]);
}

// Out of line: a span that leaves its page goes on in the exact twin. tb->links has room behind those there are.
void gen_span_stubs(struct gen *g)
{
    struct tb *tb = g->tb;
    for (unsigned k = 0; k < g->nslow; k++) {
        struct gen_slow *s = &g->slow[k];
        if (!s->span || !s->leaves)
            continue;
        emit_patch(&g->e, s->leaves, gen_here(g));
        if (s->remat)
            gen_remat(g, &s->plan);
        if (gen_swapped(g, s->insn))
            gen_swap(g);
        struct tb_link *l = &tb->links[tb->nlinks++];
        *l = (struct tb_link){.target = g->rip[s->insn], .from = tb, .kind = EXIT_LINK, .exact = true};
        l->site = emit_jmp(&g->e, NULL);
        gen_link_exit(g, l);
        emit_patch(&g->e, l->site, l->stub);
    }
}
