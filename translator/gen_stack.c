// SPDX-License-Identifier: MIT
// Stack instructions, one at a time and in runs.
//
// Compilers open a function with a run of pushes and close it with a run of pops and a RET. A run lies in
// one page nearly always, so it is checked once:
//
//      push rbp                lea r14, [rsp-24]; (one lookup of 24 bytes); lea r14, [r14+r15]
//      push r12                mov [r14+16], rbp; mov [r14+8], r12; mov [r14], rbx
//      push rbx                lea rsp, [rsp-24]
//
// If the check fails, out-of-line code does the same instructions one by one and comes back behind the run.
// A RET is where flags must be taken for live, and the flag-neutral check is the longer one: here it is paid
// once for the whole epilogue.
#include "base/stats.h"
#include "translator/gen.h"

enum { RUN_MAX = 16 };

void gen_add_rsp(struct gen *g, int32_t delta)
{
    if (g->code64)
        emit_lea(&g->e, RSP, EMEM(RSP, delta));
    else
        emit_lea32(&g->e, RSP, EMEM(RSP, delta));
}

static void copy_address(struct gen *g, int from)
{
    if (g->code64)
        emit_mov(&g->e, R14, from);
    else
        emit_mov32(&g->e, R14, from);
}

// Stack instructions of the mode's own width are inline: 8 bytes in 64-bit code, 4 on a flat 32-bit stack.
static bool stack_inline(const struct gen *g, const struct insn *in)
{
    if (g->code64)
        return in->opsize == 8;
    return in->opsize == 4 &&
           (g->tb->mode & (MODE_CS32 | MODE_SS32 | MODE_FLAT)) == (MODE_CS32 | MODE_SS32 | MODE_FLAT);
}

static void push_address(struct gen *g, unsigned i, unsigned width)
{
    if (g->code64)
        emit_lea(&g->e, R14, EMEM(RSP, -(int32_t)width));
    else
        emit_lea32(&g->e, R14, EMEM(RSP, -(int32_t)width));
    gen_lookup(g, i, width, true, false, true, g->live[i] != 0);
}

bool gen_push(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    struct emit *e = &g->e;
    if (!stack_inline(g, in))
        return !g->code64 && gen_seg_push(g, i);
    if (in->has_mem) {
        if (!gen_ea(g, i))
            return false;
        gen_lookup(g, i, gen_width(g), false, false, false, g->live[i] != 0);
        emit_op_mem(e, gen_wide(g), 0x8b, R15, EMEM_R14_R15);
        emit_store(e, eng(g->bt, ENG_TMP), R15);
    }
    bool reg = in->opcode_reg || in->has_modrm;
    push_address(g, i, gen_width(g));
    if (in->has_mem || (reg && in->rm >= R14)) {
        emit_lea(e, R14, EMEM_R14_R15);
        emit_load(e, R15, in->has_mem ? eng(g->bt, ENG_TMP) : CPU_FIELD(g->bt, gpr[in->rm]));
        emit_op_mem(e, gen_wide(g), 0x89, R15, EMEM(R14, 0));
    } else if (reg) {
        emit_op_mem(e, gen_wide(g), 0x89, in->rm, EMEM_R14_R15);
    } else {
        emit_store_imm32(e, EMEM_R14_R15, (int32_t)in->imm, g->code64);
    }
    gen_add_rsp(g, -(int32_t)gen_width(g));
    return true;
}

void gen_push_const(struct gen *g, unsigned i, uint64_t v)
{
    struct emit *e = &g->e;
    push_address(g, i, gen_width(g));
    if (!g->code64 || (int64_t)v == (int32_t)v) {
        emit_store_imm32(e, EMEM_R14_R15, (int32_t)v, g->code64);
        g->log.fixed = true;
    } else {
        emit_lea(e, R14, EMEM_R14_R15);
        emit_mov_address(e, R15, v);
        emit_store(e, EMEM(R14, 0), R15);
    }
    gen_add_rsp(g, -(int32_t)gen_width(g));
}

// Guest register r = the stack word at m. r14 may be m's base, r15 is free.
static void load_stack_word(struct gen *g, int r, struct emem m)
{
    if (r >= R14) {
        emit_op_mem(&g->e, gen_wide(g), 0x8b, R15, m);
        emit_store(&g->e, CPU_FIELD(g->bt, gpr[r]), R15);
    } else {
        emit_op_mem(&g->e, gen_wide(g), 0x8b, r, m);
    }
}

bool gen_pop(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    if (!stack_inline(g, in) || in->has_mem)
        return !g->code64 && gen_seg_pop(g, i);
    copy_address(g, RSP);
    gen_lookup(g, i, gen_width(g), false, false, true, g->live[i] != 0);
    load_stack_word(g, in->rm, EMEM_R14_R15);
    if (in->rm != RSP) // POP RSP: the value read is the new RSP
        gen_add_rsp(g, (int32_t)gen_width(g));
    return true;
}

bool gen_leave(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    if (!stack_inline(g, in))
        return !g->code64 && gen_seg_leave(g, i);
    copy_address(g, RBP);
    gen_lookup(g, i, gen_width(g), false, false, true, g->live[i] != 0);
    emit_op_mem(&g->e, gen_wide(g), 0x8b, RBP, EMEM_R14_R15);
    if (g->code64)
        emit_lea(&g->e, RSP, EMEM(R14, 8));
    else
        emit_lea32(&g->e, RSP, EMEM(R14, 4));
    return true;
}

// RET's stack half: target to r14, RSP past it and past imm16 more bytes.
void gen_ret_pop(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    copy_address(g, RSP);
    gen_lookup(g, i, gen_width(g), false, false, true, g->live[i] != 0);
    emit_op_mem(&g->e, gen_wide(g), 0x8b, R14, EMEM_R14_R15);
    gen_add_rsp(g, (int32_t)gen_width(g) + (in->imm_len ? (uint16_t)in->imm : 0));
}

// --- runs

static bool run_member(const struct gen *g, unsigned k, unsigned class)
{
    const struct insn *in = &g->insn[k];
    if (in->class != class || !stack_inline(g, in) || in->has_mem)
        return false;
    bool reg = in->opcode_reg || in->has_modrm;
    return !(reg && in->rm == RSP);
}

static unsigned run_length(const struct gen *g, unsigned i)
{
    unsigned class = g->insn[i].class, n = 0;
    while (n < RUN_MAX && i + n < g->n && run_member(g, i + n, class) && (n == 0 || !gen_entered_at(g, i + n)))
        n++;
    return n;
}

static void emit_push_run(struct gen *g, unsigned i, unsigned n)
{
    struct emit *e = &g->e;
    int32_t width = (int32_t)gen_width(g);
    for (unsigned k = 0; k < n; k++) {
        const struct insn *in = &g->insn[i + k];
        struct emem m = EMEM(R14, width * (int32_t)(n - 1 - k));
        if (!in->opcode_reg && !in->has_modrm)
            emit_store_imm32(e, m, (int32_t)in->imm, g->code64);
        else
            emit_op_mem(e, gen_wide(g), 0x89, gen_reg(g, in->rm, R15), m);
    }
    gen_add_rsp(g, -width * (int32_t)n);
}

// Makes one run from instruction i on; returns how many instructions it took, 0 if there is none.
unsigned gen_stack_run(struct gen *g, unsigned i)
{
    struct emit *e = &g->e;
    unsigned class = g->insn[i].class;
    if ((class != IC_PUSH && class != IC_POP) || g->nruns == GEN_MAX_RUNS || (g->bt->disable & ACCEL_NO_RUNS))
        return 0;
    unsigned n = run_length(g, i);
    const struct insn *after = &g->insn[i + n];
    bool ret = class == IC_POP && n && i + n < g->n && after->class == IC_RET && after->opsize == gen_width(g) &&
               !gen_entered_at(g, i + n);
    if (n + ret < 2)
        return 0;
    int32_t width = (int32_t)gen_width(g);
    unsigned bytes = (n + ret) * width;
    if (class == IC_PUSH && g->code64)
        emit_lea(e, R14, EMEM(RSP, -(int32_t)bytes));
    else if (class == IC_PUSH)
        emit_lea32(e, R14, EMEM(RSP, -(int32_t)bytes));
    else
        copy_address(g, RSP);
    bool live = false;
    for (unsigned k = 0; k < n + ret; k++)
        live |= g->live[i + k] != 0;
    g->want_defer = ret && g->scratch;
    g->own_stubs = true;
    gen_lookup(g, i, bytes, class == IC_PUSH, false, false, live);
    if (e->overflow)
        return n + ret;
    struct gen_run *r = &g->runs[g->nruns++];
    *r = (struct gen_run){.slow = --g->nslow, .first = i, .n = n, .ret = ret, .deferred = g->deferred};
    r->branches = g->slow[r->slow];
    emit_lea(e, R14, EMEM_R14_R15);
    if (class == IC_PUSH) {
        emit_push_run(g, i, n);
    } else {
        for (unsigned k = 0; k < n; k++)
            load_stack_word(g, g->insn[i + k].rm, EMEM(R14, width * (int32_t)k));
        if (ret)
            emit_op_mem(e, gen_wide(g), 0x8b, R14, EMEM(R14, width * (int32_t)n));
        gen_add_rsp(g, (int32_t)bytes + (ret && after->imm_len ? (uint16_t)after->imm : 0));
    }
    r->resume = gen_here(g);
    if (ret)
        gen_indirect(g, i + n);
    stat_inc(STAT_tb_stack_runs);
    return n + ret;
}

// Out of line: the instructions of each run one by one, then back behind it.
void gen_run_stubs(struct gen *g)
{
    for (unsigned k = 0; k < g->nruns && !g->e.overflow; k++) {
        struct gen_run *r = &g->runs[k];
        g->rcx_saved = false;
        gen_look_closer(g, &r->branches);
        if (r->branches.leaves)
            emit_patch(&g->e, r->branches.leaves, gen_here(g));
        for (unsigned b = 0; b < r->branches.nbranch; b++)
            emit_patch(&g->e, r->branches.branch[b], gen_here(g));
        for (unsigned i = r->first; i < r->first + r->n + r->ret; i++) {
            gen_map(g, i);
            if (i == r->first && r->branches.restore_rcx)
                emit_load(&g->e, RCX, eng(g->bt, ENG_RCX));
            if (i == r->first && r->branches.remat)
                gen_remat(g, &r->branches.plan);
            if (g->insn[i].class == IC_PUSH)
                gen_push(g, i);
            else if (g->insn[i].class == IC_POP)
                gen_pop(g, i);
            else
                gen_ret_pop(g, i);
        }
        if (r->deferred)
            gen_save_flags(g);
        emit_jmp(&g->e, r->resume);
    }
}
