// SPDX-License-Identifier: MIT
// Spans: the accesses that a stretch of code makes off one base register, served by one lookup.
//
// Code works on few objects at a time: its stack frame, the structure a pointer leads to. Those accesses lie
// within a few hundred bytes of an address known at the first of them, in one page nearly always. So the first
// checks the whole range and turns it into a host pointer, which stays in r15 until the last:
//
//      mov  rax, [rbx+8]           lea r14, [rbx+8]; (lookup of 24 bytes for writing); lea r15, [r14+r15]
//      test rax, rax               mov rax, [r15]
//      jz   out                    test rax, rax; jz out
//      inc  dword [rbx+24]         inc dword [r15+16]
//
// The stack pointer is followed through PUSH, POP and additions, so that prologue, locals, epilogue and RET are one
// span. In between, an access elsewhere makes do with r14 alone.
//
// If the range leaves its page, or the page may not be written and something in the span writes, the block is left for
// its *exact* twin: the same code from here on without spans, up to the end of a short block (TB_EXACT). Only
// what the first access does by itself may fault or set accessed and dirty bits: what comes later may never run.
#include "base/stats.h"
#include "translator/gen.h"
#include "translator/host_insn.h"

enum { SPAN_RANGE = 512 };

// One access of an instruction that may belong to a span: where, relative to the base register's value
// at the span's start.
struct access {
    int32_t at;
    uint8_t size;
    bool write;
};

static int32_t width_of(const struct gen *g) { return g->code64 ? 8 : 4; }
static unsigned wide(const struct gen *g) { return g->code64 ? EF_W : 0; }

static bool own_width(const struct gen *g, const struct insn *in) { return in->opsize == width_of(g); }

// Is the segment one without base and limit?
static bool flat(const struct gen *g, const struct insn *in)
{
    return in->mem_seg != FS && in->mem_seg != GS && (g->code64 || in->mem_seg != CS);
}

static bool cmpxchg_ah(const struct insn *in)
{
    return in->enc == ENC_LEGACY && in->map == MAP_0F && in->opcode == 0xb0 && !in->rex && in->reg == 4;
}

// An ordinary instruction with an ordinary memory operand.
static bool plain_access(const struct gen *g, const struct insn *in)
{
    return in->class == IC_PLAIN && in->has_mem && in->mem_access != MA_NONE && !in->is_bitstring && !in->vsib &&
           !in->moffs && !in->mask_elem && in->mem_size && in->mem_size <= 64 && in->addrsize == width_of(g) &&
           flat(g, in) && gen_high_operands(in) != 3 && !cmpxchg_ah(in);
}

// Does instruction `in` access memory at a known distance from register base, which has moved by delta?
static bool span_access(const struct gen *g, const struct insn *in, int base, int32_t delta, struct access *a)
{
    int32_t w = width_of(g);
    if (plain_access(g, in) && in->base == base && in->index < 0) {
        if (in->disp > (1 << 30) || in->disp < -(1 << 30))
            return false;
        *a = (struct access){.at = in->disp + delta, .size = in->mem_size, .write = in->mem_access & MA_WRITE};
        return true;
    }
    if (!own_width(g, in) || in->has_mem)
        return false;
    bool reg = in->opcode_reg || in->has_modrm;
    switch (in->class) {
    case IC_PUSH:
        *a = (struct access){.at = delta - w, .size = (uint8_t)w, .write = true};
        return base == RSP && (!reg || in->rm != RSP);
    case IC_POP:
        *a = (struct access){.at = delta, .size = (uint8_t)w};
        return base == RSP && in->rm != RSP;
    case IC_CALL:
    case IC_CALL_IND:
        *a = (struct access){.at = delta - w, .size = (uint8_t)w, .write = true};
        return base == RSP && (in->class == IC_CALL || in->rm != RSP);
    case IC_RET:
        *a = (struct access){.at = delta, .size = (uint8_t)w};
        return base == RSP;
    case IC_LEAVE:
        *a = (struct access){.at = delta, .size = (uint8_t)w};
        return base == RBP;
    default:
        return false;
    }
}

// MOV and its extending kin into a whole register: the destination may be the address register, too.
static bool whole_load(const struct insn *in)
{
    if (in->enc != ENC_LEGACY || in->opsize < 4)
        return false;
    return in->map == MAP_1 ? in->opcode == 0x8b || in->opcode == 0x63
                            : in->map == MAP_0F && ((in->opcode & 0xf6) == 0xb6);
}

// An access off other registers, inside a span: r14 has to do.
static bool foreign_access(const struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    struct gen_remat plan;
    if (!g->code64 || !plain_access(g, in) || in->base >= R14 || in->index >= R14 || in->base < 0)
        return false;
    if (in->mem_size > 16 || (in->mem_size & (in->mem_size - 1)) || (in->mem_size == 16 && !in->mem_aligned))
        return false;
    if (gen_high_operands(in) && !whole_load(in))
        return false;
    return g->live[i] == 0 || gen_remat_plan(g, i, g->live[i], &plan);
}

// ADD, SUB or LEA of a constant to RSP.
static bool rsp_moves_by(const struct gen *g, const struct insn *in, int32_t *delta)
{
    if (in->class != IC_PLAIN || in->enc != ENC_LEGACY || in->map != MAP_1 || !own_width(g, in) ||
        in->imm > SPAN_RANGE || in->imm < -SPAN_RANGE)
        return false;
    unsigned ext = in->modrm >> 3 & 7;
    if ((in->opcode == 0x83 || in->opcode == 0x81) && !in->has_mem && in->rm == RSP && (ext == 0 || ext == 5)) {
        *delta += ext ? -(int32_t)in->imm : (int32_t)in->imm;
        return true;
    }
    if (in->opcode == 0x8d && in->reg == RSP && in->base == RSP && in->index < 0 && in->addrsize == width_of(g) &&
        in->disp >= -SPAN_RANGE && in->disp <= SPAN_RANGE) {
        *delta += in->disp;
        return true;
    }
    return false;
}

// May an instruction without an access of its own stand inside a span?
static bool passes(const struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    if (in->class == IC_JCC)
        return in->opsize != 2 || g->code64;
    if (in->class != IC_PLAIN)
        return false;
    if (!in->has_mem)
        return gen_high_operands(in) != 3 && (g->code64 || !gen_high_operands(in));
    if (in->mem_access != MA_NONE)
        return false;
    bool lea = in->map == MAP_1 && in->opcode == 0x8d && in->enc == ENC_LEGACY;
    return !lea || (in->reg < R14 && in->index < R14 && in->addrsize == width_of(g));
}

// The base register after instruction in: moved by a known distance, or (false) anything.
static bool follow(const struct gen *g, const struct insn *in, int base, int32_t *delta)
{
    if (base == RSP && (gen_stack_delta(g, in, delta) || rsp_moves_by(g, in, delta)))
        return true;
    uint32_t written = in->gpr_written;
    if (in->class == IC_POP)
        written |= 1u << in->rm;
    return in->class != IC_LEAVE && !(written & 1u << base);
}

static bool ends_span(const struct insn *in)
{
    return in->class == IC_CALL || in->class == IC_CALL_IND || in->class == IC_RET;
}

// The longest span that begins at instruction first; s->n accesses.
static void grow(const struct gen *g, unsigned first, int base, struct gen_span *s)
{
    int32_t delta = 0;
    *s = (struct gen_span){.first = (uint8_t)first, .last = (uint8_t)first, .base = (int8_t)base};
    for (unsigned k = first; k < g->n; k++) {
        const struct insn *in = &g->insn[k];
        struct access a;
        s->at[k - first] = INT32_MIN;
        if (k > first && gen_entered_at(g, k))
            break;
        if (gen_needs_unit(g, k))
            break;
        if (span_access(g, in, base, delta, &a)) {
            int32_t lo = s->n && s->lo < a.at ? s->lo : a.at, hi = a.at + a.size;
            if (s->n && s->hi > hi)
                hi = s->hi;
            if (hi - lo > SPAN_RANGE)
                break;
            if (!s->n) {
                s->lead_at = a.at;
                s->lead_size = a.size;
                s->lead_write = a.write;
            }
            s->lo = lo;
            s->hi = hi;
            s->write |= a.write;
            s->last = k;
            s->n++;
            s->at[k - first] = a.at;
        } else if (k == first || !(passes(g, k) || foreign_access(g, k))) {
            break;
        }
        if (ends_span(in) || !follow(g, in, base, &delta))
            break;
    }
}

static int base_of(const struct gen *g, const struct insn *in)
{
    if (in->class == IC_PUSH || in->class == IC_POP || in->class == IC_CALL || in->class == IC_CALL_IND ||
        in->class == IC_RET)
        return in->has_mem ? -1 : RSP;
    if (in->class == IC_LEAVE)
        return RBP;
    return plain_access(g, in) && in->index < 0 && in->base < R14 ? in->base : -1;
}

void gen_span_plan(struct gen *g)
{
    g->nspans = 0;
    if ((!g->code64 && !g->flat32) || g->tb->pa2 != NO_PA || (g->tb->mode & TB_EXACT) ||
        (g->bt->disable & ACCEL_NO_SPANS))
        return;
    for (unsigned i = 0; i < g->n && g->nspans < GEN_MAX_SPANS;) {
        struct gen_span *s = &g->spans[g->nspans];
        int base = base_of(g, &g->insn[i]);
        bool near_end = (g->rip[i] & ~PAGE_MASK) > PAGE_SIZE - INSN_MAX; // its twin could leave the page
        if (base >= 0 && !near_end)
            grow(g, i, base, s);
        if (base < 0 || near_end || s->n < 2) {
            i++;
            continue;
        }
        g->nspans++;
        i = s->last + 1;
    }
}

// --- emission

static const struct gen_span *span_at(const struct gen *g, unsigned i)
{
    const struct gen_span *s = &g->spans[g->span];
    return g->span < g->nspans && i >= s->first && i <= s->last ? s : NULL;
}

bool gen_in_span(const struct gen *g, unsigned i) { return span_at(g, i); }

static void open_span(struct gen *g, const struct gen_span *s)
{
    struct emit *e = &g->e;
    if (s->lo)
        (g->code64 ? emit_lea : emit_lea32)(e, R14, EMEM(s->base, s->lo));
    else
        (g->code64 ? emit_mov : emit_mov32)(e, R14, s->base);
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
    emit_lea(e, R15, (struct emem){.base = R14, .index = R15, .scale = 1});
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

static void add_rsp(struct gen *g, int32_t by)
{
    (g->code64 ? emit_lea : emit_lea32)(&g->e, RSP, EMEM(RSP, by));
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
    add_rsp(g, -width_of(g));
    if (in->class == IC_CALL) {
        gen_link_jmp(g, i, code_target(g->tb->mode, g->rip[i], in->len, in->imm, in->opsize), g->taken_live[i] != 0);
        return;
    }
    int r = gen_reg(g, in->rm, R14);
    if (r != R14)
        emit_op_reg(&g->e, wide(g), 0x89, r, R14);
    gen_indirect(g, i);
}

// The stack word at m to or from a register; guest r14 and r15 by way of r14.
static void stack_word(struct gen *g, bool load, int r, struct emem m)
{
    struct emit *e = &g->e;
    int host = r < R14 ? r : R14;
    if (r >= R14 && !load)
        emit_load(e, R14, CPU_FIELD(g->bt, gpr[r]));
    emit_op_mem(e, wide(g), load ? 0x8b : 0x89, host, m);
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
        add_rsp(g, -width_of(g));
        return true;
    case IC_POP:
        stack_word(g, true, in->rm, m);
        add_rsp(g, width_of(g));
        return true;
    case IC_LEAVE:
        (g->code64 ? emit_lea : emit_lea32)(&g->e, RSP, EMEM(RBP, width_of(g)));
        emit_op_mem(&g->e, wide(g), 0x8b, RBP, m);
        return true;
    case IC_CALL:
    case IC_CALL_IND:
        span_call(g, i, m);
        return true;
    case IC_RET:
        emit_op_mem(&g->e, wide(g), 0x8b, R14, m);
        add_rsp(g, width_of(g) + (in->imm_len ? (uint16_t)in->imm : 0));
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
    struct tb_site *site = gen_site(g, i);
    if (!site || g->nslow == GEN_MAX_SLOW)
        return !(e->overflow = true);
    struct gen_slow *s = &g->slow[g->nslow++];
    *s = (struct gen_slow){.site = site, .foreign = true, .insn = i};
    site->size = in->mem_size;
    site->write = write;
    foreign_address(g, i);
    if (in->mem_size > 1 && !in->mem_aligned) {
        emit_bytes(e, "\x41\xf6\xc6", 3); // test r14b, size - 1
        emit_8(e, in->mem_size - 1);
        s->unaligned = emit_jcc(e, CC_NZ, NULL);
        s->checked = gen_here(g);
    }
    if (write) {
        host_shift_imm(e, SHIFT_SHL, R14, 24);
        host_shift_imm(e, SHIFT_SHR, R14, 36);
    } else {
        host_rorx(e, R14, R14, 12);
    }
    host_load_shadow(e, R14, write, true);
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
        done = gen_high_operands(in) || !g->code64 ? with_high(g, in, &how) : (emit_bytes(&g->e, in->bytes, in->len), true);
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
        struct tb_link *l = &tb->links[tb->nlinks++];
        *l = (struct tb_link){.target = g->rip[s->insn], .from = tb, .kind = EXIT_LINK, .exact = true};
        l->site = emit_jmp(&g->e, NULL);
        gen_link_exit(g, l);
        emit_patch(&g->e, l->site, l->stub);
    }
}
