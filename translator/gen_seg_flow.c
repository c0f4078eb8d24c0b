// SPDX-License-Identifier: MIT
// Near control flow of 16-bit and segmented code: IPs that wrap, return addresses that are offsets, counts in CX.
#include "cpu/cpu.h"
#include "translator/gen.h"
#include "translator/host_insn.h"

// The tables hold code addresses: CS.base in the upper half, added in the lower (code_addr.h). Keeps flags.
void gen_seg_indirect_key(struct gen *g)
{
    uint32_t base = (uint32_t)(g->tb->va >> 32);
    if (g->code64 || !base)
        return;
    emit_lea32(&g->e, R14, EMEM(R14, (int32_t)base));
    emit_mov_imm(&g->e, R15, (uint64_t)base << 32);
    emit_lea(&g->e, R14, EMEM_R14_R15);
}

// CALL pushes after it has checked its target: an IP (r14) beyond the limit goes to the interpreter before that. JMP and
// RET find out in the dispatcher, which no block beyond the limit keeps them from. Keeps flags.
static void check_call(struct gen *g, unsigned i)
{
    struct emit *e = &g->e;
    uint32_t limit = code_limit(g->tb->mode);
    if (limit == UINT32_MAX || (g->insn[i].opsize == 2 && limit >= 0xffff))
        return;
    struct tb_site *site = gen_site(g, i, false);
    if (!site)
        return;
    emit_store(e, eng(g->bt, ENG_RCX), RCX);
    emit_mov_imm(e, RCX, limit + 1ull);
    emit_op_reg(e, EF_W, 0xf7, 2, RCX);                                                // not: changes no flags
    emit_lea(e, R15, (struct emem){.base = R14, .index = RCX, .scale = 1, .disp = 1}); // negative if inside
    emit_mov_imm(e, RCX, 63);
    host_shrx(e, RCX, R15, RCX);
    uint8_t *beyond = emit_jmp8(e, 0xe3);
    emit_load(e, RCX, eng(g->bt, ENG_RCX));
    uint8_t *ok = emit_jmp8(e, 0xeb);
    emit_here(e, beyond);
    emit_load(e, RCX, eng(g->bt, ENG_RCX));
    emit_lea_rip(e, R14, (uint8_t *)site);
    emit_mov_imm(e, R15, EXIT_SLOW_MEM);
    emit_jmp(e, g->bt->glue.exit);
    emit_here(e, ok);
}

// Near indirect JMP and CALL: the IP to r14, the return address pushed in between.
static bool indirect_branch(struct gen *g, unsigned i, bool call)
{
    struct emit *e = &g->e;
    if (!gen_branch_operand(g, i))
        return false;
    if (call) {
        check_call(g, i);
        emit_store(e, eng(g->bt, ENG_TMP), R14);
        gen_seg_push_const(g, i, (uint32_t)code_rip(g->tb->mode, gen_next(g, i)));
        emit_load(e, R14, eng(g->bt, ENG_TMP));
    }
    gen_indirect(g, i);
    return true;
}

// LOOP, LOOPE, LOOPNE, J(E)CXZ. The host's count in RCX or ECX; a test of CX goes through a borrowed register.
static bool gen_loop(struct gen *g, unsigned i, gva target)
{
    const struct insn *in = &g->insn[i];
    struct emit *e = &g->e;
    bool cx = in->addrsize == 2, jcxz = in->opcode == 0xe3;
    uint16_t wanted = g->taken_live[i] | (i + 1 < g->n ? g->live[i + 1] : FL_ARITH);
    bool live = wanted, dec = !(wanted & ~FL_CF); // DEC keeps CF
    uint8_t *other = NULL, *zero;
    bool other_cc = in->opcode == 0xe0 || in->opcode == 0xe1;
    if (dec && !other_cc && !jcxz) {
        emit_op_reg(e, cx ? EF_66 : 0, 0xff, 1, RCX); // dec
        gen_link_jcc(g, i, CC_NZ, target);
        return true;
    }
    if (!jcxz)
        emit_op_mem(e, cx ? EF_66 : 0, 0x8d, RCX, EMEM(RCX, -1)); // lea: no flags
    if (other_cc)                                                 // LOOPNE, LOOPE: not taken if ZF, if not ZF
        other = emit_jcc(e, in->opcode == 0xe0 ? CC_Z : CC_NZ, NULL);
    if (cx && !live && !other) {
        emit_op_reg(e, EF_66, 0x85, RCX, RCX); // test cx, cx
        gen_link_jcc(g, i, CC_Z, target);
        return true;
    }
    if (cx) {
        emit_mov32(e, R14, RCX);
        emit_op_reg(e, EF_0F, 0xb7, RCX, RCX); // movzx ecx, cx
    } else {
        emit_8(e, 0x67); // jecxz
    }
    zero = emit_jmp8(e, 0xe3);
    if (cx)
        emit_mov32(e, RCX, R14);
    if (!jcxz)
        gen_link_jmp(g, i, target, true);
    uint8_t *over = jcxz ? emit_jmp8(e, 0xeb) : NULL;
    emit_here(e, zero);
    if (cx)
        emit_mov32(e, RCX, R14);
    if (jcxz) {
        gen_link_jmp(g, i, target, true);
        emit_here(e, over);
    }
    if (other)
        emit_patch(e, other, gen_here(g));
    return true;
}

bool gen_seg_branch(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    uint64_t mode = g->tb->mode;
    gva target = code_target(mode, g->rip[i], in->len, in->imm, in->opsize);
    bool relative = in->class != IC_RET && in->class != IC_JMP_IND && in->class != IC_CALL_IND;
    if ((in->opsize != 2 && in->opsize != 4) || (relative && code_rip(mode, target) > code_limit(mode)))
        return false; // the interpreter raises #GP if it is taken
    switch (in->class) {
    case IC_JMP: gen_link_jmp(g, i, target, g->taken_live[i] != 0); return true;
    case IC_JCC: gen_link_jcc(g, i, in->opcode & 15, target); return true;
    case IC_LOOP: return gen_loop(g, i, target);
    case IC_CALL:
        gen_seg_push_const(g, i, (uint32_t)code_rip(mode, gen_next(g, i)));
        gen_link_jmp(g, i, target, g->taken_live[i] != 0);
        return true;
    case IC_RET:
        gen_seg_ret_pop(g, i);
        gen_indirect(g, i);
        return true;
    case IC_JMP_IND: return indirect_branch(g, i, false);
    case IC_CALL_IND: return indirect_branch(g, i, true);
    default: return false;
    }
}

// --- far transfers of real mode and VM86: CS is selector * 16, IPs of 16 bits are inside its 64 KiB

static struct emem cs_field(const struct gen *g, size_t field)
{
    return cpu_field(g->bt, offsetof(struct cpu, seg) + CS * sizeof(struct segment) + field);
}

// r14d: selector << 16 | IP. To it.
static void go_far(struct gen *g, unsigned i)
{
    struct emit *e = &g->e;
    host_rorx32(e, R15, R14, 16);
    emit_op_reg(e, EF_0F, 0xb7, R15, R15); // movzx: the selector
    emit_op_reg(e, EF_0F, 0xb7, R14, R14); // and the IP
    emit_op_mem(e, EF_66, 0x89, R15, cs_field(g, offsetof(struct segment, sel)));
    emit_lea32(e, R15, (struct emem){.base = -1, .index = R15, .scale = 8});
    emit_lea32(e, R15, (struct emem){.base = R15, .index = R15, .scale = 1});
    emit_store32(e, cs_field(g, offsetof(struct segment, base)), R15);
    emit_lea32(e, R14, EMEM_R14_R15);
    host_rorx(e, R15, R15, 32);
    emit_lea(e, R14, EMEM_R14_R15);
    g->far = true;
    gen_indirect(g, i);
    g->far = false;
}

static void go_far_constant(struct gen *g, unsigned i, uint16_t sel, uint16_t ip)
{
    struct emit *e = &g->e;
    emit_op_mem(e, EF_66, 0xc7, 0, cs_field(g, offsetof(struct segment, sel)));
    emit_16(e, sel);
    emit_store_imm32(e, cs_field(g, offsetof(struct segment, base)), sel << 4, false);
    gen_link_jmp(g, i, code_addr((uint32_t)sel << 4, ip), true);
}

static void push_far_return(struct gen *g, unsigned i)
{
    struct emit *e = &g->e;
    uint32_t ip = (uint32_t)code_rip(g->tb->mode, gen_next(g, i)), sel = (uint32_t)(g->tb->va >> 36);
    gen_seg_top(g, i, 4, true);
    emit_store_imm32(e, EMEM_R14_R15, (int32_t)(sel << 16 | ip), false);
    gen_seg_add_sp(g, i, -4);
}

bool gen_real_far(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    struct emit *e = &g->e;
    uint64_t mode = g->tb->mode;
    // A base that no selector makes (after reset) is pushed as the selector it came with: the helper knows it.
    if (!(mode & MODE_REAL) || !(mode & MODE_SEG64K) || code_limit(mode) != 0xffff || in->opsize != 2 ||
        in->map != MAP_1 || (g->tb->va >> 32 & ~0xffff0ull))
        return false;
    unsigned reg = in->modrm >> 3 & 7;
    switch (in->opcode) {
    case 0x9a:
        push_far_return(g, i);
        go_far_constant(g, i, (uint16_t)in->imm2, (uint16_t)in->imm);
        return true;
    case 0xea: go_far_constant(g, i, (uint16_t)in->imm2, (uint16_t)in->imm); return true;
    case 0xca:
    case 0xcb:
        gen_seg_top(g, i, 4, false);
        emit_load32(e, R14, EMEM_R14_R15);
        gen_seg_add_sp(g, i, 4 + (in->opcode == 0xca ? (uint16_t)in->imm : 0));
        go_far(g, i);
        return true;
    case 0xff:
        if ((reg != 3 && reg != 5) || !in->has_mem || !gen_ea(g, i))
            return false;
        gen_lookup(g, i, 4, false, false, false, g->live[i] != 0);
        emit_load32(e, R14, EMEM_R14_R15);
        if (reg == 3) {
            emit_store(e, eng(g->bt, ENG_TMP), R14);
            push_far_return(g, i);
            emit_load(e, R14, eng(g->bt, ENG_TMP));
        }
        go_far(g, i);
        return true;
    }
    return false;
}
