// SPDX-License-Identifier: MIT
// Control flow: direct branches become links, indirect ones an inline table lookup.
#include "translator/gen.h"
#include "translator/host_insn.h"

// A same-page link's branch goes to its stub until it is chained; a cross-page link's branch goes to the
// epoch check in its stub for good, and the jump behind the check is what is chained.
static struct tb_link *new_link(struct gen *g, unsigned i, gva target, uint8_t *site, enum exit_kind kind)
{
    if (g->nlinks == GEN_MAX_LINKS) {
        g->e.overflow = true;
        return NULL;
    }
    g->link_remat[g->nlinks].ok = gen_remat_plan(g, i + 1, FL_ARITH, &g->link_remat[g->nlinks].plan);
    struct tb_link *l = &g->links[g->nlinks++];
    *l = (struct tb_link){.target = target, .from = g->tb, .site = site, .kind = kind};
    return l;
}

// Finds which instruction of the block a branch target is; -1: none.
void gen_link_exit(struct gen *g, struct tb_link *l)
{
    l->stub = gen_here(g);
    emit_lea_rip(&g->e, R14, (uint8_t *)l);
    emit_mov_imm(&g->e, R15, l->kind);
    emit_jmp(&g->e, g->bt->glue.exit);
}

static void emit_rip_load32(struct emit *e, int r, const void *target)
{
    emit_8(e, 0x40 | (r >= 8 ? 4 : 0));
    emit_8(e, 0x8b);
    emit_8(e, (r & 7) << 3 | 5);
    uint8_t *site = e->p;
    emit_32(e, 0);
    emit_patch(e, site, target);
}

// The check in front of a cross-page jump, with the flags dead or made again behind it. Returns the branch that
// misses. l->site becomes the jump to be chained.
static uint8_t *emit_cross_check(struct gen *g, struct tb_link *l, const struct gen_remat *plan)
{
    struct emit *e = &g->e;
    emit_patch(e, l->site, gen_here(g));
    if (plan && plan->saved)
        gen_save_flags(g);
    emit_rip_load32(e, R14, &l->neg_epoch);
    emit_op_mem(e, 0, 0x03, R14, eng(g->bt, g->user ? ENG_EPOCH_USER : ENG_EPOCH_SUP)); // add r14d, epoch
    uint8_t *miss = emit_jcc(e, CC_NZ, NULL);
    if (plan)
        gen_remat(g, plan);
    l->site = emit_jmp(e, NULL);
    return miss;
}

// The same without writing flags.
static void emit_cross_check_neutral(struct gen *g, struct tb_link *l)
{
    struct emit *e = &g->e;
    emit_patch(e, l->site, gen_here(g));
    emit_store(e, eng(g->bt, ENG_RCX), RCX);
    emit_load32(e, RCX, eng(g->bt, g->user ? ENG_EPOCH_USER : ENG_EPOCH_SUP));
    emit_rip_load32(e, R14, &l->neg_epoch);
    emit_lea32(e, RCX, (struct emem){.base = RCX, .index = R14, .scale = 1});
    uint8_t *ok = emit_jmp8(e, 0xe3);
    emit_load(e, RCX, eng(g->bt, ENG_RCX));
    uint8_t *miss = emit_jmp8(e, 0xeb);
    emit_here(e, ok);
    emit_load(e, RCX, eng(g->bt, ENG_RCX));
    l->site = emit_jmp(e, NULL);
    emit_here(e, miss);
}

// Behind the block's instructions: settles which links there are, and emits the checks of those that leave the page.
void gen_link_checks(struct gen *g)
{
    struct tb *tb = g->tb;
    unsigned room = g->nlinks + g->nspans; // gen_span_stubs() adds its own
    struct tb_link *kept = gen_data(g, room * sizeof(struct tb_link));
    if (room && !kept)
        return;
    unsigned n = 0;
    for (unsigned k = 0; k < g->nlinks; k++) {
        struct tb_link *l = &kept[n];
        *l = g->links[k];
        int inside = gen_index_of(g->rip, g->n, l->target);
        // A target in the last bytes of a page may be an instruction that leaves it: that depends on two mappings.
        bool near_end = (l->target & ~PAGE_MASK) > PAGE_SIZE - INSN_MAX;
        g->link_miss[n] = NULL;
        static const struct gen_remat saved = {.saved = true};
        g->link_plan[n] = !g->link_live[k]      ? NULL
                          : g->link_remat[k].ok ? &g->link_remat[k].plan
                          : g->scratch          ? &saved
                                                : NULL;
        // A loop in an exact twin goes back to the block proper.
        bool back = inside >= 0 && g->host[inside] <= l->site + g->e.exec;
        if (back && (tb->mode & TB_EXACT))
            inside = -1;
        if (inside >= 0) {
            emit_patch(&g->e, l->site, g->host[inside]);
            if (!back)
                continue; // forward: no loop, nothing to undo for a kick
            l->internal = true;
            l->internal_target = g->host[inside];
        } else if (near_end || tb->pa2 != NO_PA || (l->target & PAGE_MASK) != (tb->va & PAGE_MASK)) {
            l->cross = true;
            if (!g->link_live[k] || g->link_plan[n])
                g->link_miss[n] = emit_cross_check(g, l, g->link_plan[n]);
        }
        n++;
    }
    tb->links = kept;
    tb->nlinks = n;
}

// Out of line: where each link goes while it is not chained.
void gen_link_stubs(struct gen *g)
{
    for (unsigned k = 0; k < g->tb->nlinks; k++) {
        struct tb_link *l = &g->tb->links[k];
        if (g->link_miss[k]) {
            emit_patch(&g->e, g->link_miss[k], gen_here(g));
            if (g->link_plan[k])
                gen_remat(g, g->link_plan[k]);
        } else if (l->cross) {
            emit_cross_check_neutral(g, l);
        }
        gen_link_exit(g, l);
        if (!l->internal)
            emit_patch(&g->e, l->site, l->stub);
    }
}

static void link_jmp(struct gen *g, unsigned i, gva target, bool live, enum exit_kind kind)
{
    if (g->nlinks < GEN_MAX_LINKS)
        g->link_live[g->nlinks] = live;
    new_link(g, i, target, emit_jmp(&g->e, NULL), kind);
}

void gen_link_jmp(struct gen *g, unsigned i, gva target, bool live) { link_jmp(g, i, target, live, EXIT_LINK); }

void gen_link_jcc(struct gen *g, unsigned i, unsigned cc, gva target)
{
    if (g->nlinks < GEN_MAX_LINKS)
        g->link_live[g->nlinks] = g->taken_live[i] != 0;
    new_link(g, i, target, emit_jcc(&g->e, cc, NULL), EXIT_LINK);
}

void gen_fallthrough(struct gen *g, gva next) { link_jmp(g, g->n - 1, next, true, EXIT_NEXT); }

// The lookup with compares; the flags are made again behind it. From ibl_off to ibl_end kick.c knows the layout:
// r15 is the entry from ibl_off on, and r14 is 0 once the entry has matched.
static void indirect_remat(struct gen *g, const struct gen_remat *plan)
{
    struct emit *e = &g->e;
    struct emem entry = EMEM(R15, offsetof(struct ibl_entry, neg_va));
    emit_mov32(e, R15, R14);
    host_shift_imm32(e, SHIFT_SHL, R15, 32 - IBL_BITS);
    host_shift_imm32(e, SHIFT_SHR, R15, 32 - IBL_BITS - 4);
    emit_op_mem(e, EF_W, 0x03, R15, eng(g->bt, g->user ? ENG_IBL_USER : ENG_IBL_SUP)); // add r15, table
    g->tb->ibl_off = gen_here(g) - g->tb->code;
    emit_op_mem(e, EF_W, 0x03, R14, entry); // add r14, -va
    uint8_t *miss = emit_jcc(e, CC_NZ, NULL);
    gen_remat(g, plan);
    emit_jmp_mem(e, EMEM(R15, offsetof(struct ibl_entry, code)));
    g->tb->ibl_end = gen_here(g) - g->tb->code;
    emit_patch(e, miss, gen_here(g));
    emit_op_mem(e, EF_W, 0x2b, R14, entry); // sub: the target again
    gen_remat(g, plan);
    emit_lea_rip(e, R15, (uint8_t *)g->tb);
    emit_jmp(e, g->bt->glue.ibl_miss);
}

// The same without writing flags, with RCX borrowed.
static void indirect_neutral(struct gen *g)
{
    struct emit *e = &g->e;
    if (!g->rcx_saved)
        emit_store(e, eng(g->bt, ENG_RCX), RCX);
    emit_mov_imm(e, RCX, 64 - IBL_BITS);
    host_shlx(e, R15, R14, RCX);
    host_shrx(e, R15, R15, RCX);
    emit_lea(e, R15, (struct emem){.base = R15, .index = R15, .scale = 1});
    emit_load(e, RCX, eng(g->bt, g->user ? ENG_IBL_USER : ENG_IBL_SUP));
    g->tb->ibl_off = gen_here(g) - g->tb->code;
    emit_lea(e, R15, (struct emem){.base = RCX, .index = R15, .scale = 8});
    emit_load(e, RCX, EMEM(R15, offsetof(struct ibl_entry, neg_va)));
    if (g->bt->fast_loop) { // LOOP: a flag-neutral "jump if different" that is not taken on a hit
        emit_lea(e, RCX, (struct emem){.base = RCX, .index = R14, .scale = 1, .disp = 1});
        uint8_t *miss = emit_jmp8(e, 0xe2);
        emit_load(e, RCX, eng(g->bt, ENG_RCX));
        emit_jmp_mem(e, EMEM(R15, offsetof(struct ibl_entry, code)));
        emit_here(e, miss);
        emit_load(e, RCX, eng(g->bt, ENG_RCX));
        emit_lea_rip(e, R15, (uint8_t *)g->tb);
        emit_jmp(e, g->bt->glue.ibl_miss);
    } else {
        emit_lea(e, RCX, (struct emem){.base = RCX, .index = R14, .scale = 1});
        uint8_t *hit = emit_jmp8(e, 0xe3);
        emit_load(e, RCX, eng(g->bt, ENG_RCX));
        emit_lea_rip(e, R15, (uint8_t *)g->tb);
        emit_jmp(e, g->bt->glue.ibl_miss);
        emit_here(e, hit);
        emit_load(e, RCX, eng(g->bt, ENG_RCX));
        emit_jmp_mem(e, EMEM(R15, offsetof(struct ibl_entry, code)));
    }
    g->tb->ibl_end = gen_here(g) - g->tb->code;
}

// r14 holds the target of the branch that instruction i makes. Keeps flags.
void gen_indirect(struct gen *g, unsigned i)
{
    struct gen_remat plan;
    int32_t rsp = 0;
    if (!g->far)
        gen_seg_indirect_key(g);
    gen_stack_delta(g, &g->insn[i], &rsp);
    g->tb->ibl_guest = g->rip[i] - g->tb->va;
    g->tb->ibl_rsp = rsp;
    g->tb->ibl_remat = !g->deferred && gen_remat_plan(g, i + 1, FL_ARITH, &plan);
    if (!g->tb->ibl_remat && g->scratch) {
        if (!g->deferred)
            gen_save_flags(g);
        plan = (struct gen_remat){.saved = true};
        g->tb->ibl_remat = true;
        g->deferred = false;
    }
    if (g->tb->ibl_remat)
        indirect_remat(g, &plan);
    else
        indirect_neutral(g);
}

static gva branch_target(const struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    return code_target(g->tb->mode, g->rip[i], in->len, in->imm, in->opsize);
}

bool gen_branch_operand(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    struct emit *e = &g->e;
    unsigned size = g->code64 ? 8 : in->opsize, flags = size == 8 ? EF_W : size == 2 ? EF_0F : 0;
    unsigned op = size == 2 ? 0xb7 : 0x8b; // movzx, mov
    if (in->has_mem) {
        if (!gen_ea(g, i))
            return false;
        gen_lookup(g, i, size, false, false, false, g->live[i] != 0);
        emit_op_mem(e, flags, op, R14, EMEM_R14_R15);
    } else {
        int r = gen_reg(g, in->rm, R14);
        if (r != R14)
            emit_op_reg(e, flags, op, R14, r);
    }
    return true;
}

// Near indirect JMP and CALL: the target to r14, the return address pushed in between.
static bool gen_indirect_branch(struct gen *g, unsigned i, bool call)
{
    const struct insn *in = &g->insn[i];
    struct emit *e = &g->e;
    if (!gen_branch_operand(g, i))
        return false;
    if (call) {
        emit_store(e, eng(g->bt, ENG_TMP), R14);
        gen_push_const(g, i, g->rip[i] + in->len);
        emit_load(e, R14, eng(g->bt, ENG_TMP));
    }
    gen_indirect(g, i);
    return true;
}

// LOOP and JrCXZ have only a rel8 form: they branch around a jump.
static bool gen_loop(struct gen *g, unsigned i, gva target)
{
    const struct insn *in = &g->insn[i];
    struct emit *e = &g->e;
    bool addr32 = in->addrsize == 4;
    if (in->addrsize == 2 || in->opcode == 0xe0 || in->opcode == 0xe1)
        return false;
    if (in->opcode == 0xe2) { // LOOP: decrement without flags, taken unless zero
        if (addr32)
            emit_lea32(e, RCX, EMEM(RCX, -1));
        else
            emit_lea(e, RCX, EMEM(RCX, -1));
    }
    if (addr32)
        emit_8(e, 0x67);
    uint8_t *zero = emit_jmp8(e, 0xe3);
    if (in->opcode == 0xe2) {
        link_jmp(g, i, target, true, EXIT_LINK);
        emit_here(e, zero);
    } else {
        uint8_t *over = emit_jmp8(e, 0xeb);
        emit_here(e, zero);
        link_jmp(g, i, target, true, EXIT_LINK);
        emit_here(e, over);
    }
    return true;
}

bool gen_branch(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    gva target = branch_target(g, i);
    if (!g->code64 && (!g->flat32 || in->opsize == 2 || in->class == IC_LOOP))
        return gen_seg_branch(g, i);
    switch (in->class) {
    case IC_JMP: link_jmp(g, i, target, g->taken_live[i] != 0, EXIT_LINK); return true;
    case IC_JCC: gen_link_jcc(g, i, in->opcode & 15, target); return true;
    case IC_LOOP: return gen_loop(g, i, target);
    case IC_CALL:
        gen_push_const(g, i, g->rip[i] + in->len);
        link_jmp(g, i, target, g->taken_live[i] != 0, EXIT_LINK);
        return true;
    case IC_RET:
        g->want_defer = g->scratch;
        gen_ret_pop(g, i);
        gen_indirect(g, i);
        return true;
    case IC_JMP_IND: return gen_indirect_branch(g, i, false);
    case IC_CALL_IND: return gen_indirect_branch(g, i, true);
    default: return false;
    }
}
