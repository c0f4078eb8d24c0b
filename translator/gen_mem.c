// SPDX-License-Identifier: MIT
// Memory operands: from `op reg, [guest-virtual]` to `op reg, [r14 + r15]`.
//
// r14 gets the effective address; the shadow table's entry for its page (shadowpt/shadow.h) goes to r15, and
// guest address + entry is the host address. Two things send an access out of line: it leaves its page (the
// next guest page is somewhere else), or its page is not resident. Where the arithmetic flags are dead, which
// backward liveness knows of nearly all accesses, the checks are compares and branches:
//
//      lea   r14, [rbx+8]          ; mov rax, [rbx+8]
//      test  r14b, 7               ; aligned accesses stay in their page
//      jnz   closer
//      rorx  r15, r14, 12
//      mov   r15, gs:[r15d*8]
//      test  r15, r15
//      jz    slow
//      mov   rax, [r14+r15]
//
// Where flags are live the same is done with instructions that keep them (BMI2 shifts, LEA, JRCXZ).
#include "base/stats.h"
#include "translator/gen.h"
#include "translator/host_insn.h"

// 64-bit code only: there are no limits.
static void add_segment_base(struct gen *g, unsigned seg)
{
    emit_load(&g->e, R15, CPU_FIELD(g->bt, seg[seg].base));
    emit_lea(&g->e, R14, EMEM_R14_R15);
}

int gen_reg(struct gen *g, int guest, int scratch)
{
    if (guest < R14)
        return guest;
    emit_load(&g->e, scratch, CPU_FIELD(g->bt, gpr[guest]));
    return scratch;
}

bool gen_ea(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    struct emit *e = &g->e;
    bool wide = in->addrsize == 8;
    // #GP(0): code segments are not writable; in real mode they are.
    if (!g->code64 && in->mem_seg == CS && (in->mem_access & MA_WRITE) && !(g->tb->mode & MODE_REAL))
        return false;

    if (in->addrsize == 2) {
        gen_seg_ea16(g, in);
    } else if (in->moffs) {
        emit_mov_imm(e, R14, wide ? (uint64_t)in->imm : (uint32_t)in->imm);
    } else if (in->base == BASE_RIP) {
        uint64_t ea = g->rip[i] + in->len + in->disp;
        emit_mov_address(e, R14, wide ? ea : (uint32_t)ea);
    } else {
        int base = in->base < 0 ? -1 : gen_reg(g, in->base, R14);
        int index = in->index < 0 ? -1 : gen_reg(g, in->index, R15);
        struct emem m = {.base = base, .index = index, .scale = in->scale ? in->scale : 1, .disp = in->disp};
        if (base >= 0 && index < 0 && in->disp == 0) {
            if (wide)
                emit_mov(e, R14, base);
            else
                emit_mov32(e, R14, base);
        } else if (wide) {
            emit_lea(e, R14, m);
        } else {
            emit_lea32(e, R14, m);
        }
    }
    if (!g->code64)
        gen_seg_relative(g, in->mem_seg, in->addrsize == 2);
    else if (in->mem_seg == FS || in->mem_seg == GS)
        add_segment_base(g, in->mem_seg);
    return true;
}

static void slow_branch(struct gen_slow *s, uint8_t *site) { s->branch[s->nbranch++] = site; }

// The branch for accesses at r14 that leave their page.
uint8_t *gen_leaves_page(struct emit *e, unsigned size)
{
    host_rorx32(e, R15, R14, 12);    // page offset to the top bits
    emit_op_reg(e, 0, 0x81, 7, R15); // cmp r15d, last offset that stays inside
    emit_32(e, (PAGE_SIZE - size) << 20 | 0xfffff);
    return emit_jcc(e, CC_A, NULL);
}

// The page's entry of the load table to r15. Returns the branch that finds none.
static uint8_t *load_entry32(struct gen *g)
{
    struct emit *e = &g->e;
    host_page_entry(e, R15, R14, false, false);
    emit_op_reg(e, EF_W, 0x85, R15, R15); // test r15, r15
    return emit_jcc(e, CC_Z, NULL);
}

// The window: without paging, and where the guest has no r12, that register holds the host address of guest-physical 0.
// A load below 640 KiB is a comparison away, whichever page it is in. (Stores must see whether their page holds
// translations.)
enum { HOST_WINDOW = R12 };
static bool use_window(const struct gen *g)
{
    return g->scratch && !g->own_stubs && (g->tb->mode & MODE_UNPAGED) && g->bt->window;
}

static void outside_stub(struct gen *g, struct gen_slow *s, const uint8_t *slow)
{
    struct emit *e = &g->e;
    emit_patch(e, s->outside, gen_here(g));
    if (s->outside_limit)
        gen_seg_outside(g, s);
    if (s->outside_check) {
        emit_patch(e, gen_leaves_page(e, s->site->size), slow);
    }
    emit_patch(e, load_entry32(g), slow);
    emit_jmp(e, s->outside_back);
}

static void lookup_flags_dead(struct gen *g, struct gen_slow *s, unsigned size, bool write, bool aligned, bool stack)
{
    struct emit *e = &g->e;
    if (!write && g->seg && use_window(g) && gen_seg_window(g, s, size)) {
        emit_mov(e, R15, HOST_WINDOW);
        s->outside_back = gen_here(g);
        s->outside_check = size > 1 && !aligned;
        stat_inc(STAT_tb_window);
        return;
    }
    bool odd = g->seg && gen_seg_odd(g, size);
    if (g->seg)
        gen_seg_check(g, s, size, write, odd, false);
    if (odd) {
        host_test_r14b(e, size - 1);
        s->odd = emit_jcc(e, CC_NZ, NULL);
        s->odd_back = gen_here(g);
    }
    if (!write && use_window(g)) {
        emit_op_reg(e, 0, 0x81, 7, R14); // cmp r14d, last address that is inside
        emit_32(e, WINDOW_END - size);
        s->outside = emit_jcc(e, CC_A, NULL);
        emit_mov(e, R15, HOST_WINDOW);
        s->outside_back = gen_here(g);
        s->outside_check = size > 1 && !aligned && !odd;
        stat_inc(STAT_tb_window);
        return;
    }
    if (size > 1 && !aligned && !odd) {
        if (stack || size == 4 || size == 8) {
            host_test_r14b(e, size - 1);
            if (stack) {
                slow_branch(s, emit_jcc(e, CC_NZ, NULL));
            } else { // aligned nearly always; if not, it is looked at more closely out of line
                s->unaligned = emit_jcc(e, CC_NZ, NULL);
                s->checked = gen_here(g);
            }
        } else {
            s->leaves = gen_leaves_page(e, size);
        }
    }
    host_page_entry(e, R15, R14, write, g->code64);
    emit_op_reg(e, EF_W, 0x85, R15, R15); // test r15, r15
    slow_branch(s, emit_jcc(e, CC_Z, NULL));
}

// A branch to the slow path that JRCXZ (rel8 only) can reach and that costs the fast path no jump around it: it
// stands inside the immediate of `movabs r15, imm64`, which falls through harmlessly since r15 is dead here.
static uint8_t *hidden_jump(struct emit *e, struct gen_slow *s)
{
    emit_bytes(e, "\x49\xbf", 2);
    uint8_t *at = e->p;
    slow_branch(s, emit_jmp(e, NULL));
    emit_bytes(e, "\x90\x90\x90", 3);
    return at;
}

static void jrcxz_back(struct emit *e, const uint8_t *to)
{
    ptrdiff_t rel = to - (e->p + 2);
    if (rel < INT8_MIN)
        e->overflow = true;
    emit_8(e, 0xe3);
    emit_8(e, (uint8_t)rel);
}

// The same with no instruction that writes flags. RCX is borrowed: JRCXZ is the only such branch.
static void lookup_flags_live(struct gen *g, struct gen_slow *s, unsigned size, bool write, bool aligned)
{
    struct emit *e = &g->e;
    s->restore_rcx = true;
    if (!g->rcx_saved) // saved once: a store and load for each would be a chain through memory
        emit_store(e, eng(g->bt, ENG_RCX), RCX);
    g->rcx_saved = true;
    if (g->seg)
        gen_seg_check(g, s, size, write, false, true);
    uint8_t *slow = hidden_jump(e, s);
    if (size > 1 && !aligned) {
        host_rorx32(e, RCX, R14, 12);
        emit_lea(e, RCX, EMEM(RCX, (int32_t)(size - 1) << 20)); // bit 32 set: leaves the page
        host_rorx(e, RCX, RCX, 32);
        emit_lea32(e, RCX, EMEM(RCX, -1)); // 0: leaves; else 0xffffffff
        jrcxz_back(e, slow);
    }
    if (!write) {
        host_rorx(e, R15, R14, 12);
    } else {
        emit_mov_imm(e, RCX, 24);
        host_shlx(e, R15, R14, RCX);
        emit_mov_imm(e, RCX, 36);
        host_shrx(e, R15, R15, RCX);
    }
    host_load_shadow(e, R15, write, true);
    emit_mov(e, RCX, R15);
    jrcxz_back(e, slow);
    emit_load(e, RCX, eng(g->bt, ENG_RCX));
}

void gen_lookup(struct gen *g, unsigned i, unsigned size, bool write, bool aligned, bool stack, bool live)
{
    if (g->nslow == GEN_MAX_SLOW) {
        g->e.overflow = true;
        return;
    }
    struct gen_slow *s = &g->slow[g->nslow++];
    *s = (struct gen_slow){.insn = i};
    s->site = gen_site(g, i, false);
    if (!s->site)
        return;
    s->site->size = size;
    s->site->write = write;
    stack = stack && (size & (size - 1)) == 0 && size <= 16;
    if (g->seg)
        stat_inc(STAT_tb_limit_checks);
    if (live && !g->deferred && gen_remat_plan(g, i, g->live[i], &s->plan)) {
        s->remat = true;
    } else if (live && g->scratch && !g->deferred && !(g->live[i] & ~FL_CF)) { // INC and DEC let CF live long
        emit_bytes(&g->e, "\x41\x0f\x92\xc5", 4);                              // setc r13b
        s->remat = s->plan.cf = true;
    } else if (live && g->scratch) {
        if (!g->deferred)
            gen_save_flags(g);
        s->remat = s->plan.saved = true;
    }
    if (live && !s->remat)
        lookup_flags_live(g, s, size, write, aligned);
    else
        lookup_flags_dead(g, s, size, write, aligned, stack);
    g->own_stubs = false;
    g->deferred = s->plan.saved && g->want_defer;
    g->want_defer = false;
    if (s->remat) {
        if (!g->deferred)
            gen_remat(g, &s->plan);
        stat_inc(STAT_tb_remat);
    } else if (live) {
        stat_inc(STAT_tb_neutral);
    }
    s->site->resume = gen_here(g);
}

// Beyond the segment's limit: the interpreter repeats the instruction and raises what there is to raise.
static void limit_stub(struct gen *g, struct gen_slow *s)
{
    if (!s->nlimit)
        return;
    for (unsigned b = 0; b < s->nlimit; b++)
        emit_patch(&g->e, s->limit[b], gen_here(g));
    if (s->restore_rcx)
        emit_load(&g->e, RCX, eng(g->bt, ENG_RCX));
    if (s->remat)
        gen_remat(g, &s->plan);
    emit_lea_rip(&g->e, R14, (uint8_t *)s->site);
    emit_mov_imm(&g->e, R15, EXIT_SLOW_MEM);
    emit_jmp(&g->e, g->bt->glue.exit);
}

// Out of line: a misaligned access, which mostly stays in its page all the same.
void gen_look_closer(struct gen *g, struct gen_slow *s)
{
    if (!s->unaligned)
        return;
    emit_patch(&g->e, s->unaligned, gen_here(g));
    s->leaves = gen_leaves_page(&g->e, s->site->size);
    emit_jmp(&g->e, s->checked);
}

void gen_slow_stubs(struct gen *g)
{
    for (unsigned k = 0; k < g->nslow; k++) {
        struct gen_slow *s = &g->slow[k];
        if (s->foreign)
            continue;
        gen_look_closer(g, s);
        if (s->leaves && !s->span)
            emit_patch(&g->e, s->leaves, gen_here(g));
        const uint8_t *slow = gen_here(g);
        for (unsigned b = 0; b < s->nbranch; b++)
            emit_patch(&g->e, s->branch[b], slow);
        if (s->restore_rcx)
            emit_load(&g->e, RCX, eng(g->bt, ENG_RCX));
        if (s->remat) // the slow path may fault: the guest must see its flags
            gen_remat(g, &s->plan);
        emit_lea_rip(&g->e, R15, (uint8_t *)s->site);
        emit_jmp(&g->e, g->bt->glue.mem_slow);
        if (s->outside)
            outside_stub(g, s, slow);
        if (s->odd)
            gen_seg_odd_stub(g, s, slow);
        limit_stub(g, s);
    }
}

unsigned gen_high_operands(const struct insn *in)
{
    unsigned m = 0;
    if (in->has_modrm && in->reg_kind == FK_GPR && (in->reg & ~1) == R14)
        m |= 1u << (in->reg - R14);
    if (in->vvvv_kind == FK_GPR && (in->vvvv & ~1) == R14)
        m |= 1u << (in->vvvv - R14);
    if (((in->has_modrm && !in->has_mem && in->rm_kind == FK_GPR) || in->opcode_reg) && (in->rm & ~1) == R14)
        m |= 1u << (in->rm - R14);
    return m;
}

// Runs of instructions without memory operands keep guest r14/r15 in the host's between them: in memory, each
// use would wait for the store before it.
bool gen_keeps_high(const struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    return g->code64 && in->class == IC_PLAIN && !in->has_mem && !(g->bt->disable & ACCEL_NO_HIGH);
}

void gen_high_forget(struct gen *g)
{
    for (int r = R14; r <= R15; r++)
        if (g->high_dirty & 1u << (r - R14))
            emit_store(&g->e, CPU_FIELD(g->bt, gpr[r]), r);
    g->high_loaded = g->high_dirty = 0;
}

static bool plain_registers(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    struct emit *e = &g->e;
    unsigned high = gen_high_operands(in);
    for (int r = R14; r <= R15; r++)
        if (high & ~(unsigned)g->high_loaded & 1u << (r - R14))
            emit_load(e, r, CPU_FIELD(g->bt, gpr[r]));
    g->high_loaded |= high;
    if (g->code64 && !in->renamed) {
        emit_bytes(e, in->bytes, in->len);
    } else {
        struct rewrite how = {.map14 = R14, .map15 = R15};
        if (rewrite_plain(e, in, &how))
            return false;
    }
    g->high_dirty |= high & in->gpr_written >> R14;
    if (!gen_keeps_high(g, i))
        gen_high_forget(g);
    return true;
}

// What the slow path may do for an instruction whose memory turns out to be a device's: enum site_device.
static void note_device(const struct insn *in, struct tb_site *site)
{
    uint8_t op = in->opcode, ext = in->modrm >> 3 & 7;
    if (in->enc != ENC_LEGACY || in->lock || in->mem_size > 8)
        return;
    if (in->map == MAP_0F) {
        if (op == 0xb6 || op == 0xb7 || op == 0xbe || op == 0xbf) // MOVZX, MOVSX
            site->device = SITE_LOAD;
        return;
    }
    if (in->map != MAP_1)
        return;
    if (op == 0x8a || op == 0x8b || op == 0xa0 || op == 0xa1 || op == 0x84 || op == 0x85 ||  // MOV, TEST
        ((op == 0xf6 || op == 0xf7) && ext < 2) || (op >= 0x80 && op <= 0x83 && ext == 7)) { // TEST, CMP
        site->device = SITE_LOAD;
    } else if (op == 0x88 || op == 0x89 || op == 0xa2 || op == 0xa3) { // MOV
        unsigned reg = in->moffs ? RAX : in->reg;
        bool high = op == 0x88 && !in->rex && reg >= 4 && reg < 8;
        site->device = high ? SITE_STORE_HIGH : SITE_STORE;
        site->device_reg = (uint8_t)(high ? reg - 4 : reg);
    } else if ((op == 0xc6 || op == 0xc7) && ext == 0) {
        site->device = SITE_STORE_IMM;
        site->device_imm = (uint32_t)in->imm;
    }
}

static bool plain_memory(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    struct emit *e = &g->e;
    if (in->is_bitstring)
        return gen_bitstring(g, i);
    if (in->vsib || in->mem_size == 0 || in->mem_size > 64)
        return false;
    unsigned high = gen_high_operands(in);
    if (high == 3)
        return false;
    if (!gen_ea(g, i))
        return false;
    bool stack = (in->base == RSP || in->base == RBP) && in->index < 0 && in->mem_seg != FS && in->mem_seg != GS;
    gen_lookup(g, i, in->mem_size, in->mem_access & MA_WRITE, in->mem_aligned, stack, g->live[i] != 0);
    if (g->nslow && g->slow[g->nslow - 1].site) {
        g->slow[g->nslow - 1].site->masked = in->mask_elem != 0;
        note_device(in, g->slow[g->nslow - 1].site);
    }
    struct rewrite how = {.mem = true, .base = R14, .index = R15, .map14 = R15, .map15 = R15};
    if (high) {
        int guest = high == 1 ? R14 : R15;
        emit_lea(e, R14, EMEM_R14_R15);
        emit_load(e, R15, CPU_FIELD(g->bt, gpr[guest]));
        how.index = -1;
        g->tb->map[g->tb->nmap - 1].swapped = 1 + rewrite_swapped(in, &how);
        if (rewrite_plain(e, in, &how))
            return false;
        if (in->gpr_written & 1u << guest)
            emit_store(e, CPU_FIELD(g->bt, gpr[guest]), R15);
        return true;
    }
    g->tb->map[g->tb->nmap - 1].swapped = 1 + rewrite_swapped(in, &how);
    return rewrite_plain(e, in, &how) == 0;
}

bool gen_plain(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    if (!in->has_mem)
        return plain_registers(g, i);
    if (in->mem_access == MA_NONE)
        return gen_lea(g, i);
    return plain_memory(g, i);
}

// LEA, and the hints that name memory without touching it (NOP, PREFETCH), which become nothing.
bool gen_lea(struct gen *g, unsigned i)
{
    struct insn in = g->insn[i];
    struct emit *e = &g->e;
    if (!(in.map == MAP_1 && in.opcode == 0x8d && in.enc == ENC_LEGACY))
        return true;
    g->insn[i].mem_seg = DS; // LEA computes an offset: no segment base
    if (!gen_ea(g, i))
        return false;
    g->seg = 0;
    int dst = in.reg;
    bool high = dst >= R14;
    if (high && in.opsize == 2)
        emit_load(e, R15, CPU_FIELD(g->bt, gpr[dst]));
    int host = high ? R15 : dst;
    emit_op_reg(e, in.opsize == 8 ? EF_W : in.opsize == 2 ? EF_66 : 0, 0x89, R14, host);
    if (high)
        emit_store(e, CPU_FIELD(g->bt, gpr[dst]), R15);
    return true;
}
