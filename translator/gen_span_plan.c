// SPDX-License-Identifier: MIT
// Spans: the accesses that a stretch of code makes near one address, served by one lookup. Which they are.
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
// An address is base + index * scale + displacement; two belong together if they are a constant apart. Registers are
// followed through copies and additions of constants (struct value), so that a frame is one span from its first PUSH
// to RET, off RSP and RBP alike, and so are the elements that an unrolled loop walks over. In between, an access
// elsewhere makes do with r14 alone.
//
// If the range leaves its page, or the page may not be written and something in the span writes, the block is left for
// its *exact* twin: the same code from here on without spans, up to the end of a short block (TB_EXACT). Only
// what the first access does by itself may fault or set accessed and dirty bits: what comes later may never run.
#include "translator/gen.h"

enum { SPAN_RANGE = 512, STEP_MAX = 1 << 20, UNROLL_MAX = 4, UNROLL_INSNS = 12 };
// Guest r14 and r15 are in memory inside a span. Code that computes with them is better off without one.
enum { HIGH_MAX = 2 };

// What a register holds: what register `reg` held at the span's start, plus `off`; reg -1: something else.
struct value {
    int8_t reg;
    int32_t off;
};

// One access of an instruction that may belong to a span: base and index are registers at the span's start, -1 for
// none; base BASE_RIP: `at` is relative to origin.
struct access {
    int8_t base, index;
    uint8_t scale;
    int64_t at;
    uint8_t size;
    bool write;
};

static bool own_width(const struct gen *g, const struct insn *in) { return in->opsize == gen_width(g); }

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
           !in->moffs && !in->mask_elem && in->mem_size && in->mem_size <= 64 && in->addrsize == gen_width(g) &&
           flat(g, in) && gen_high_operands(in) != 3 && !cmpxchg_ah(in);
}

// The access of stack instruction in to [reg + off].
static bool stack_access(const struct value *v, int reg, int32_t off, unsigned size, bool write, struct access *a)
{
    *a = (struct access){
        .base = v[reg].reg, .index = -1, .scale = 1, .at = v[reg].off + off, .size = (uint8_t)size, .write = write};
    return v[reg].reg >= 0;
}

// base + index * scale + displacement, in terms of the registers at the span's start.
static bool operand_access(const struct gen *g, unsigned i, const struct value *v, gva origin, struct access *a)
{
    const struct insn *in = &g->insn[i];
    *a = (struct access){.base = in->base,
                         .index = in->index,
                         .scale = in->index < 0 ? 1 : in->scale,
                         .at = in->disp,
                         .size = (uint8_t)in->mem_size,
                         .write = in->mem_access & MA_WRITE};
    if (in->base == BASE_RIP) {
        a->at += (int64_t)(g->rip[i] + in->len - origin);
        return true;
    }
    if (in->base >= 0) {
        a->base = v[in->base].reg;
        a->at += v[in->base].off;
    }
    if (in->index >= 0) {
        a->index = v[in->index].reg;
        a->at += (int64_t)v[in->index].off * in->scale;
    }
    return (in->base < 0 || a->base >= 0) && (in->index < 0 || a->index >= 0);
}

// The access of instruction i, if it is at a place known by registers at the span's start.
static bool known_access(const struct gen *g, unsigned i, const struct value *v, gva origin, struct access *a)
{
    const struct insn *in = &g->insn[i];
    unsigned w = gen_width(g);
    if (plain_access(g, in))
        return operand_access(g, i, v, origin, a);
    if (!own_width(g, in) || in->has_mem)
        return false;
    bool reg = in->opcode_reg || in->has_modrm;
    switch (in->class) {
    case IC_PUSH: return (!reg || in->rm != RSP) && stack_access(v, RSP, -(int32_t)w, w, true, a);
    case IC_POP: return in->rm != RSP && stack_access(v, RSP, 0, w, false, a);
    case IC_CALL:
    case IC_CALL_IND: return (in->class == IC_CALL || in->rm != RSP) && stack_access(v, RSP, -(int32_t)w, w, true, a);
    case IC_RET: return stack_access(v, RSP, 0, w, false, a);
    case IC_LEAVE: return stack_access(v, RBP, 0, w, false, a);
    default: return false;
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
    // AH to BH change places with AL to BL while the instruction runs, which must not be its index meanwhile.
    struct rewrite how = {.mem = true, .base = R14, .index = in->index};
    if (in->index >= 0 && rewrite_swapped(in, &how) == in->index)
        return false;
    return g->live[i] == 0 || gen_remat_plan(g, i, g->live[i], &plan);
}

// MOV r, r; ADD, SUB, INC, DEC and LEA of a constant: the register written and what it holds then; or -1.
static int moved(const struct gen *g, const struct insn *in, const struct value *v, struct value *to)
{
    unsigned ext = in->modrm >> 3 & 7;
    int32_t imm = (int32_t)in->imm;
    if (in->class != IC_PLAIN || in->enc != ENC_LEGACY || in->map != MAP_1 || in->lock || !own_width(g, in))
        return -1;
    if (in->opcode == 0x8d && in->base >= 0 && in->base != BASE_RIP && in->index < 0 && in->addrsize == gen_width(g)) {
        *to = (struct value){.reg = v[in->base].reg, .off = v[in->base].off + in->disp};
        return in->disp > STEP_MAX || in->disp < -STEP_MAX ? -1 : in->reg;
    }
    if (in->has_mem)
        return -1;
    if (in->opcode == 0x89 || in->opcode == 0x8b) {
        bool store = in->opcode == 0x89;
        *to = v[store ? in->reg : in->rm];
        return store ? in->rm : in->reg;
    }
    if ((in->opcode == 0x83 || in->opcode == 0x81) && (ext == 0 || ext == 5) && in->imm <= STEP_MAX &&
        in->imm >= -STEP_MAX)
        imm = ext ? -imm : imm;
    else if (in->opcode == 0xff && ext < 2)
        imm = ext ? -1 : 1;
    else
        return -1;
    *to = (struct value){.reg = v[in->rm].reg, .off = v[in->rm].off + imm};
    return in->rm;
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
    return !lea || (in->reg < R14 && in->index < R14 && in->addrsize == gen_width(g));
}

static void start_values(struct value *v)
{
    for (unsigned r = 0; r < 16; r++)
        v[r] = (struct value){.reg = (int8_t)r};
}

// The registers' values behind instruction in.
static void step(const struct gen *g, const struct insn *in, struct value *v)
{
    int32_t delta = 0;
    struct value to;
    int dst;
    if (in->class == IC_LEAVE) {
        v[RSP] = v[RBP];
        v[RSP].off += (int32_t)gen_width(g);
        v[RBP].reg = -1;
        return;
    }
    if ((dst = moved(g, in, v, &to)) >= 0) {
        v[dst] = to;
        return;
    }
    bool stack = gen_stack_delta(g, in, &delta);
    uint32_t written = in->gpr_written;
    if (stack) {
        v[RSP].off += delta;
        written &= ~(1u << RSP);
    }
    if (in->class == IC_POP && !in->has_mem)
        written |= 1u << in->rm;
    for (unsigned r = 0; r < 16; r++)
        if (written & 1u << r)
            v[r].reg = -1;
}

// Behind a loop's branch back there is mostly nothing to come.
static bool ends_span(const struct insn *in)
{
    return (in->class == IC_JCC && in->imm < 0) || in->class == IC_CALL || in->class == IC_CALL_IND ||
           in->class == IC_RET;
}

// Does any register still know where it is from register reg?
static bool held(const struct value *v, int reg)
{
    for (unsigned r = 0; r < 16; r++)
        if (v[r].reg == reg)
            return true;
    return false;
}

static bool same_place(const struct gen_span *s, const struct access *a)
{
    return a->base == s->base && a->index == s->index && a->scale == s->scale;
}

// Takes the access of instruction k into the span if it lies near the others.
static bool join(struct gen_span *s, unsigned k, const struct access *a)
{
    int64_t lo = s->n && s->lo < a->at ? s->lo : a->at, hi = a->at + a->size;
    if (s->n && s->hi > hi)
        hi = s->hi;
    if (hi - lo > SPAN_RANGE || hi > INT32_MAX || lo <= INT32_MIN)
        return false;
    if (!s->n) {
        s->lead_at = (int32_t)a->at;
        s->lead_size = a->size;
        s->lead_write = a->write;
        s->base = a->base;
        s->index = a->index;
        s->scale = a->scale;
    }
    s->lo = (int32_t)lo;
    s->hi = (int32_t)hi;
    s->write |= a->write;
    s->last = (uint8_t)k;
    s->n++;
    s->at[k - s->first] = (int32_t)a->at;
    return true;
}

// The longest span that begins at instruction first; s->n accesses.
static void grow(const struct gen *g, unsigned first, struct gen_span *s)
{
    struct value v[16];
    start_values(v);
    s->first = s->last = (uint8_t)first;
    s->n = 0;
    s->write = false;
    s->origin = g->rip[first];
    unsigned high = 0; // instructions that name guest r14 or r15 since the last member
    for (unsigned k = first; k < g->n; k++) {
        const struct insn *in = &g->insn[k];
        struct access a;
        s->at[k - first] = INT32_MIN;
        if ((k > first && (gen_entered_at(g, k) || gen_swap_edge(g, k))) || gen_needs_unit(g, k))
            break;
        bool near = known_access(g, k, v, s->origin, &a) && (k == first || same_place(s, &a)) && join(s, k, &a);
        if (near)
            high = 0;
        else if (k == first || !(passes(g, k) || foreign_access(g, k)))
            break;
        else if (gen_high_operands(in) && ++high > HIGH_MAX)
            break;
        if (ends_span(in))
            break;
        step(g, in, v);
        if (s->base >= 0 && s->base != BASE_RIP && !held(v, s->base))
            break;
    }
}

static bool may_have_spans(const struct gen *g)
{
    return (g->code64 || g->flat32) && g->tb->pa2 == NO_PA && !(g->tb->mode & TB_EXACT) &&
           !(g->bt->disable & ACCEL_NO_SPANS);
}

// How often the loop of instructions first to last should stand in the block, so that the accesses of several rounds
// share a lookup: those off registers that a round moves by a constant. 1: that gains nothing.
unsigned gen_span_unroll(const struct gen *g, unsigned first, unsigned last)
{
    struct value v[16];
    unsigned best = 1;
    // A 66h on the branch cuts IP to 16 bits where it is taken: unrolled, that would be the way out.
    if (!may_have_spans(g) || (g->bt->disable & ACCEL_NO_UNROLL) || last - first >= UNROLL_INSNS ||
        (!g->code64 && g->insn[last].opsize == 2))
        return 1;
    start_values(v);
    for (unsigned k = first; k <= last; k++)
        step(g, &g->insn[k], v);
    for (unsigned k = first; k <= last; k++) {
        const struct insn *in = &g->insn[k];
        if (!plain_access(g, in) || in->base == BASE_RIP || (in->base >= 0 && v[in->base].reg != in->base) ||
            (in->index >= 0 && v[in->index].reg != in->index))
            continue;
        int64_t stride = (in->base >= 0 ? v[in->base].off : 0) +
                         (in->index >= 0 ? (int64_t)v[in->index].off * in->scale : 0);
        stride = stride < 0 ? -stride : stride;
        unsigned fit = stride * UNROLL_MAX <= SPAN_RANGE ? UNROLL_MAX : (unsigned)(SPAN_RANGE / stride);
        best = fit > best ? fit : best;
    }
    return best;
}

static bool may_begin(const struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    bool stack = in->class == IC_PUSH || in->class == IC_POP || in->class == IC_LEAVE;
    if ((g->rip[i] & ~PAGE_MASK) > PAGE_SIZE - INSN_MAX) // its twin could leave the page
        return false;
    return in->has_mem ? plain_access(g, in) : stack;
}

void gen_span_plan(struct gen *g)
{
    g->nspans = 0;
    if (!may_have_spans(g))
        return;
    for (unsigned i = 0; i < g->n && g->nspans < GEN_MAX_SPANS;) {
        struct gen_span *s = &g->spans[g->nspans];
        s->n = 0;
        if (may_begin(g, i))
            grow(g, i, s);
        if (s->n < 2) {
            i++;
            continue;
        }
        g->nspans++;
        i = s->last + 1;
    }
}
