// SPDX-License-Identifier: MIT
// Stack instructions outside 64-bit code, with any stack segment, 16- or 32-bit stack pointers and either operand size.
// The usual combination of flat 32-bit code is gen_stack.c's.
//
//      push bx                     lea   r14d, [rsp-2]
//                                  movzx r14d, r14w
//                                  add   r14d, fs:[ss.base]    (with a check of its limit, if that is not 64 KiB)
//                                  test  r14b, 1 ...           (lookup)
//                                  mov   [r14+r15], bx
//                                  lea   sp, [rsp-2]
#include "translator/gen.h"

static bool sp16(const struct gen *g) { return !(g->tb->mode & MODE_SS32); }

// r14 = (r + delta) in the stack's address size, as an offset in SS.
static void stack_offset(struct gen *g, int r, int32_t delta)
{
    struct emit *e = &g->e;
    if (delta) {
        emit_lea32(e, R14, EMEM(r, delta));
        r = R14;
    }
    if (sp16(g))
        emit_op_reg(e, EF_0F, 0xb7, R14, r); // movzx r14d, word
    else if (r != R14)
        emit_mov32(e, R14, r);
    gen_seg_relative(g, SS, sp16(g));
}

// Does the next instruction look up the stack with the flags still wanted? Then they need not come back in between.
static bool next_looks_up(const struct gen *g, unsigned i)
{
    const struct insn *a = &g->insn[i], *b = a + 1;
    bool from = (a->class == IC_PUSH || a->class == IC_POP) && !a->has_mem;
    if (a->class == IC_RET)
        return g->scratch; // gen_indirect()
    return g->scratch && from && i + 1 < g->n && g->live[i + 1] &&
           (b->class == IC_PUSH || b->class == IC_POP || b->class == IC_RET) && !b->has_mem &&
           !gen_entered_at(g, i + 1);
}

void gen_seg_top(struct gen *g, unsigned i, unsigned width, bool write)
{
    stack_offset(g, RSP, write ? -(int32_t)width : 0);
    g->want_defer = next_looks_up(g, i);
    gen_lookup(g, i, width, write, false, true, g->live[i] != 0);
}

// A 16-bit LEA leaves the upper half of ESP alone and the flags, but takes twice as long as an ADD.
void gen_seg_add_sp(struct gen *g, unsigned i, int32_t delta)
{
    struct emit *e = &g->e;
    if (!sp16(g)) {
        emit_lea32(e, RSP, EMEM(RSP, delta));
    } else if (g->live[i] && !g->deferred) {
        emit_op_mem(e, EF_66, 0x8d, RSP, EMEM(RSP, delta));
    } else if (delta == (int8_t)delta) {
        emit_op_reg(e, EF_66, 0x83, 0, RSP); // add sp, imm8
        emit_8(e, (uint8_t)delta);
    } else {
        emit_op_reg(e, EF_66, 0x81, 0, RSP);
        emit_16(e, (uint16_t)delta);
    }
}

static unsigned f66(unsigned width) { return width == 2 ? EF_66 : 0; }

bool gen_seg_push(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    struct emit *e = &g->e;
    unsigned w = in->opsize;
    if (w != 2 && w != 4)
        return false;
    if (in->has_mem) {
        if (!gen_ea(g, i))
            return false;
        gen_lookup(g, i, w, false, false, false, g->live[i] != 0);
        emit_op_mem(e, f66(w), 0x8b, R15, EMEM_R14_R15);
        emit_store(e, eng(g->bt, ENG_TMP), R15);
        gen_seg_top(g, i, w, true);
        emit_lea(e, R14, EMEM_R14_R15);
        emit_load(e, R15, eng(g->bt, ENG_TMP));
        emit_op_mem(e, f66(w), 0x89, R15, EMEM(R14, 0));
    } else if (in->opcode_reg || in->has_modrm) {
        gen_seg_top(g, i, w, true);
        emit_op_mem(e, f66(w), 0x89, in->rm, EMEM_R14_R15);
    } else {
        gen_seg_push_const(g, i, (uint32_t)in->imm);
        return true;
    }
    gen_seg_add_sp(g, i, -(int32_t)w);
    return true;
}

bool gen_seg_push_sreg(struct gen *g, unsigned i, unsigned s)
{
    struct emit *e = &g->e;
    unsigned w = g->insn[i].opsize;
    struct emem sel = cpu_field(g->bt,
                                offsetof(struct cpu, seg) + s * sizeof(struct segment) + offsetof(struct segment, sel));
    if (w != 2 && w != 4)
        return false;
    gen_seg_top(g, i, w, true);
    emit_lea(e, R14, EMEM_R14_R15);
    emit_op_mem(e, EF_0F, 0xb7, R15, sel); // movzx r15d, word
    emit_op_mem(e, f66(w), 0x89, R15, EMEM(R14, 0));
    gen_seg_add_sp(g, i, -(int32_t)w);
    return true;
}

// The constant's width is the instruction's operand size.
void gen_seg_push_const(struct gen *g, unsigned i, uint32_t v)
{
    struct emit *e = &g->e;
    unsigned w = g->insn[i].opsize;
    gen_seg_top(g, i, w, true);
    emit_op_mem(e, f66(w), 0xc7, 0, EMEM_R14_R15);
    if (w == 2)
        emit_16(e, (uint16_t)v);
    else
        emit_32(e, v);
    gen_seg_add_sp(g, i, -(int32_t)w);
}

bool gen_seg_pop(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    unsigned w = in->opsize;
    if (in->has_mem || in->rm == RSP || (w != 2 && w != 4))
        return false;
    gen_seg_top(g, i, w, false);
    emit_op_mem(&g->e, f66(w), 0x8b, in->rm, EMEM_R14_R15);
    gen_seg_add_sp(g, i, (int32_t)w);
    return true;
}

bool gen_seg_leave(struct gen *g, unsigned i)
{
    struct emit *e = &g->e;
    unsigned w = g->insn[i].opsize;
    if (w != 2 && w != 4)
        return false;
    stack_offset(g, RBP, 0);
    gen_lookup(g, i, w, false, false, true, g->live[i] != 0);
    emit_op_mem(e, f66(w), 0x8b, R15, EMEM_R14_R15);
    emit_op_mem(e, sp16(g) ? EF_66 : 0, 0x8d, RSP, EMEM(RBP, (int32_t)w));
    emit_op_reg(e, f66(w), 0x89, R15, RBP);
    return true;
}

// RET's stack half: IP to r14.
void gen_seg_ret_pop(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    gen_seg_top(g, i, in->opsize, false);
    if (in->opsize == 2)
        emit_op_mem(&g->e, EF_0F, 0xb7, R14, EMEM_R14_R15);
    else
        emit_load32(&g->e, R14, EMEM_R14_R15);
    gen_seg_add_sp(g, i, in->opsize + (in->imm_len ? (uint16_t)in->imm : 0));
}

// All eight words with one lookup; what leaves the page or the segment is done one by one elsewhere. A 16-bit stack
// pointer wraps between two words, which only a limit of 64 KiB finds.
static bool all_inline(const struct gen *g, unsigned w)
{
    return (w == 2 || w == 4) && (!sp16(g) || (g->tb->mode & MODE_SEG64K));
}

bool gen_seg_pusha(struct gen *g, unsigned i)
{
    struct emit *e = &g->e;
    unsigned w = g->insn[i].opsize;
    if (!all_inline(g, w))
        return false;
    stack_offset(g, RSP, -(int32_t)(8 * w));
    gen_lookup(g, i, 8 * w, true, false, false, g->live[i] != 0);
    emit_lea(e, R14, EMEM_R14_R15);
    for (int r = RAX; r <= RDI; r++)
        emit_op_mem(e, f66(w), 0x89, r, EMEM(R14, (int32_t)w * (RDI - r)));
    gen_seg_add_sp(g, i, -(int32_t)(8 * w));
    return true;
}

bool gen_seg_popa(struct gen *g, unsigned i)
{
    struct emit *e = &g->e;
    unsigned w = g->insn[i].opsize;
    if (!all_inline(g, w))
        return false;
    stack_offset(g, RSP, 0);
    gen_lookup(g, i, 8 * w, false, false, false, g->live[i] != 0);
    emit_lea(e, R14, EMEM_R14_R15);
    for (int r = RAX; r <= RDI; r++)
        if (r != RSP)
            emit_op_mem(e, f66(w), 0x8b, r, EMEM(R14, (int32_t)w * (RDI - r)));
    gen_seg_add_sp(g, i, (int32_t)(8 * w));
    return true;
}
