// SPDX-License-Identifier: MIT
// Making arithmetic flags again: the cheap way to keep them across code that writes flags.
//
// A check that uses CMP destroys the flags that, say, a JCC behind the memory access still wants. But the
// instruction that made them is mostly CMP, TEST, a logical operation or ADD/SUB, and its operands are still
// there: run it once more and the flags are back, without the borrowed registers (and the store-to-load
// latency) of the flag-neutral forms.
//
//      cmp, test reg,...        the same again
//      and, or, xor reg,...     test reg,reg: the flags depend on the result alone
//      add reg,x; sub reg,x     undo and redo: sub reg,x; add reg,x
//      add rsp,imm; pop; pop    the same, from RSP moved back by what the pops added
//
// This works when nothing between the two points writes a register involved, and control cannot enter in between.
//
// Where it does not, and the guest's r8 to r13 do not exist (outside long mode), LAHF and SETO put the flags into r13.
#include "translator/gen.h"
#include "translator/host_insn.h"

enum alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP, ALU_TEST, ALU_NONE };

struct alu_form {
    enum alu op;
    int dst, src;     // guest registers; src -1: an immediate or memory
    unsigned flip_at; // offset of the byte that says which operation
    uint8_t flip;     // XOR there turns ADD into SUB and back
};

// The register form of an ALU instruction; op ALU_NONE if it is none, or names something this file cannot redo.
static struct alu_form alu_form(const struct insn *in)
{
    struct alu_form f = {.op = ALU_NONE, .dst = in->rm, .src = -1, .flip_at = in->opcode_off, .flip = 0x28};
    if (in->enc != ENC_LEGACY || in->map != MAP_1 || in->lock)
        return f;
    uint8_t op = in->opcode, form = op & 7;
    if (op < 0x40 && form < 6) {
        f.op = op >> 3;
        if (form == 4 || form == 5)
            f.dst = RAX;
        else if (form < 2)
            f.src = in->reg;
        else
            f.dst = in->reg, f.src = in->has_mem ? -1 : in->rm;
        if (in->has_mem && form < 2)
            f.op = ALU_NONE;
    } else if ((op == 0x80 || op == 0x81 || op == 0x83) && !in->has_mem) {
        f.op = in->modrm >> 3 & 7;
        f.flip_at = in->modrm_off;
    } else if ((op == 0x84 || op == 0x85) && !in->has_mem) {
        f.op = ALU_TEST;
        f.src = in->reg;
    } else if (op == 0xa8 || op == 0xa9) {
        f.op = ALU_TEST;
        f.dst = RAX;
    } else if ((op == 0xf6 || op == 0xf7) && !in->has_mem && (in->modrm >> 3 & 7) == 0) {
        f.op = ALU_TEST;
    }
    return f;
}

static bool can_redo(const struct gen *g, const struct insn *in, const struct alu_form *f)
{
    if (f->dst >= R14 || f->src >= R14)
        return false;
    if (!(in->opcode & 1) && !in->rex && (f->dst >= 4 || f->src >= 4))
        return false; // AH..BH: numbered like RSP..RDI
    switch (f->op) {
    case ALU_CMP:
    case ALU_TEST: return !in->has_mem;
    case ALU_AND:
    case ALU_OR:
    case ALU_XOR: return (in->opsize >= 4 || !g->code64) && (in->opcode & 1);
    case ALU_ADD:
    case ALU_SUB: return (in->opsize >= 4 || !g->code64) && (in->opcode & 1) && !in->has_mem && f->src != f->dst;
    default: return false;
    }
}

bool gen_entered_at(const struct gen *g, unsigned k) { return g->entered >> k & 1; }

void gen_note_entries(struct gen *g)
{
    g->entered = 0;
    for (unsigned i = 0; i < g->n; i++) {
        const struct insn *in = &g->insn[i];
        if (in->class != IC_JMP && in->class != IC_JCC && in->class != IC_LOOP && in->class != IC_CALL)
            continue;
        gva target = code_target(g->tb->mode, g->rip[i], in->len, in->imm, in->opsize);
        int k = gen_index_of(g->rip, g->n, target);
        if (k >= 0)
            g->entered |= 1ull << k;
    }
}

// Adds what a stack instruction adds to RSP; false if it writes RSP in any other way.
bool gen_stack_delta(const struct gen *g, const struct insn *in, int32_t *delta)
{
    int32_t width = in->opsize;
    if (g->code64 ? width != 8 : width < 2)
        return false;
    switch (in->class) {
    case IC_PUSH:
    case IC_CALL:
    case IC_CALL_IND: *delta -= width; return true;
    case IC_POP: *delta += width; return in->has_mem || in->rm != RSP;
    case IC_RET: *delta += width + (in->imm_len ? (uint16_t)in->imm : 0); return true;
    default: return false;
    }
}

// Plan for the point behind instruction at - 1 (all of it done) where the flags in live are wanted.
bool gen_remat_plan(const struct gen *g, unsigned at, uint16_t live, struct gen_remat *plan)
{
    uint32_t written = 0;
    int32_t delta = 0;
    if (g->bt->disable & ACCEL_NO_REMAT)
        return false;
    for (unsigned k = at; k-- > 0;) {
        const struct insn *in = &g->insn[k];
        if (k + 1 < g->n && gen_entered_at(g, k + 1))
            return false;
        if (gen_swap_edge(g, k + 1))
            written |= 1u << (g->tb->swap & 15) | 1u << (g->tb->swap >> 4);
        if (in->class > IC_LEAVE)
            return false; // helpers: too much may happen
        if (in->flags_written || in->flags_partial) {
            struct alu_form f = alu_form(in);
            uint32_t used = (f.dst >= 0 ? 1u << f.dst : 0) | (f.src >= 0 ? 1u << f.src : 0);
            if (in->flags_partial || (live & ~in->flags_written) || !can_redo(g, in, &f) || (used & written))
                return false;
            if (delta && (used & 1u << RSP) && (!(f.dst == RSP && f.src < 0) || (!g->code64 && !g->flat32)))
                return false;
            *plan = (struct gen_remat){.insn = k, .delta = used & 1u << RSP ? delta : 0};
            return true;
        }
        uint32_t w = in->gpr_written;
        if ((w & 1u << RSP) && gen_stack_delta(g, in, &delta))
            w &= ~(1u << RSP);
        if (in->class == IC_POP && !in->has_mem)
            w |= 1u << in->rm;
        written |= w;
    }
    return false;
}

void gen_save_flags(struct gen *g)
{
    struct emit *e = &g->e;
    emit_mov32(e, R15, RAX);
    host_flags_to_ax(e);
    emit_mov32(e, R13, RAX);
    emit_mov32(e, RAX, R15);
}

static void restore_flags(struct emit *e)
{
    emit_bytes(e, "\x41\x95", 2);     // xchg eax, r13d
    emit_bytes(e, "\x3c\x81\x9e", 3); // cmp al, 0x81: OF if al is 1; sahf
    emit_bytes(e, "\x41\x95", 2);
}

static void move_rsp(struct gen *g, int32_t by)
{
    if (!by)
        return;
    if (g->code64)
        emit_lea(&g->e, RSP, EMEM(RSP, by));
    else
        emit_lea32(&g->e, RSP, EMEM(RSP, by));
}

// Outside 64-bit code, and where names are exchanged, the bytes may mean something else to the host (operand size, INC and DEC in one byte).
static void remat_rewritten(struct emit *e, const struct insn *in, const struct alu_form *f)
{
    const struct rewrite how = {.map14 = R14, .map15 = R15};
    bool ok = true;
    if (f->op == ALU_ADD || f->op == ALU_SUB) {
        struct insn undo = *in;
        if (f->flip_at == in->opcode_off)
            undo.opcode ^= f->flip;
        else
            undo.modrm ^= f->flip;
        ok = rewrite_plain(e, &undo, &how) == 0;
    }
    if (!ok || rewrite_plain(e, in, &how))
        e->overflow = true;
}

void gen_remat(struct gen *g, const struct gen_remat *plan)
{
    struct emit *e = &g->e;
    if (plan->cf) {
        emit_bytes(e, "\x41\x0f\xba\xe5\x00", 5); // bt r13d, 0
        return;
    }
    if (plan->saved) {
        restore_flags(e);
        return;
    }
    const struct insn *in = &g->insn[plan->insn];
    struct alu_form f = alu_form(in);
    move_rsp(g, -plan->delta);
    if (f.op == ALU_AND || f.op == ALU_OR || f.op == ALU_XOR) {
        emit_op_reg(e, in->opsize == 8 ? EF_W : in->opsize == 2 ? EF_66 : 0, 0x85, f.dst, f.dst);
    } else if (!g->code64 || in->renamed) {
        remat_rewritten(e, in, &f);
    } else {
        if (f.op == ALU_ADD || f.op == ALU_SUB) {
            uint8_t undo[INSN_MAX];
            for (unsigned i = 0; i < in->len; i++)
                undo[i] = in->bytes[i];
            undo[f.flip_at] ^= f.flip;
            emit_bytes(e, undo, in->len);
        }
        emit_bytes(e, in->bytes, in->len);
    }
    move_rsp(g, plan->delta);
}
