// SPDX-License-Identifier: MIT
// String instructions: one element inline, REP MOVS and REP STOS inside a page inline, the rest by a helper.
// SDM vol. 1, section 7.3.9 "String Operations"; vol. 2B, "REP/REPE/REPZ/REPNE/REPNZ".
//
// MOVS and STOS leave the flags alone, and memory functions end in `rep movsb; ret`: the flags are live there. So the
// inline form of a repeated one saves them if it must, makes all its checks, and only then touches a register:
//
//      rep movsb                   rcx - 1 < 4096, DF clear, neither side leaves its page?
//                                  r14 = addend of rsi's page, r15 = addend of rdi's page: both resident RAM?
//                                  add rsi, r14; add rdi, r15
//                                  rep movsb
//                                  sub rsi, r14; sub rdi, r15
//
// Whatever fails a check has changed nothing yet, and is the helper's.
#include "base/stats.h"
#include "cpu/cpu.h"
#include "cpu/interrupt.h"
#include "shadowpt/shadow.h"
#include "translator/gen.h"
#include "translator/host_insn.h"

enum { OP_MOVS = 0xa4, OP_CMPS = 0xa6, OP_STOS = 0xaa, OP_LODS = 0xac, OP_SCAS = 0xae }; // of bytes; | 1: larger

static unsigned element_size(const struct insn *in) { return in->opcode & 1 ? in->opsize : 1; }
static unsigned size_flags(unsigned size) { return size == 2 ? EF_66 : size == 8 ? EF_W : 0; }

// MOVS to SCAS, without LOCK.
static bool is_string(const struct insn *in)
{
    return in->class == IC_STRING && in->map == MAP_1 && in->enc == ENC_LEGACY && in->opcode >= OP_MOVS && !in->lock;
}
static bool has_fs_gs(const struct insn *in) { return in->seg == FS || in->seg == GS; }

// --- helpers. REP MOVS, REP STOS of any length: 64-bit addresses, flat segments, upward

static hva resident(struct cpu *cpu, gva va, enum mmu_access access)
{
    return shadow_mmu_ops.lookup(bt_of(cpu)->shadow, va, access, cpu->mmu.user, cpu->mmu.ac);
}

static uint64_t at_most(uint64_t n, gva va, unsigned size)
{
    uint64_t room = (PAGE_SIZE - (va & ~PAGE_MASK)) / size;
    return n < room ? n : room;
}

// Page run after page run while both sides are resident; false: the rest is for cpu_op_string. Returns to it for
// requests as well, which looks at them after each run.
static bool rep_resident(struct cpu *cpu, bool movs, unsigned size)
{
    uint64_t *left = &cpu->gpr[RCX];
    if (cpu->rflags & FL_DF)
        return false;
    while (*left) {
        hva s = NULL, d = resident(cpu, cpu->gpr[RDI], MMU_WRITE);
        uint64_t n = at_most(*left, cpu->gpr[RDI], size);
        if (movs) {
            s = resident(cpu, cpu->gpr[RSI], MMU_READ);
            n = at_most(n, cpu->gpr[RSI], size);
        }
        if (!d || (movs && !s) || !n || cpu_requests(cpu))
            return false;
        if (movs)
            cpu_host_movs(d, s, n, size, false);
        else
            cpu_host_stos(d, cpu->gpr[RAX], n, size, false);
        cpu->gpr[RDI] += n * size;
        cpu->gpr[RSI] += movs ? n * size : 0;
        *left -= n;
    }
    return true;
}

static uint64_t rep_string(struct cpu *cpu, const struct tb_site *site, enum string_op op)
{
    unsigned size = site->arg[0];
    if (!rep_resident(cpu, op == STR_MOVS, size)) {
        cpu_op_string(cpu, op, size, 8, REP_E, DS);
        if (cpu->rip != site->next_rip)
            return HELPER_LEAVE; // stopped early for a request
    }
    return bt_go_on(cpu, site);
}
static uint64_t h_rep_movs(struct cpu *cpu, const struct tb_site *site) { return rep_string(cpu, site, STR_MOVS); }
static uint64_t h_rep_stos(struct cpu *cpu, const struct tb_site *site) { return rep_string(cpu, site, STR_STOS); }

// arg[0]: op | size << 8 | addrsize << 16 | rep << 24; arg[1]: segment
static uint64_t h_string(struct cpu *cpu, const struct tb_site *site)
{
    uint64_t a = site->arg[0];
    cpu_op_string(cpu, a & 0xff, a >> 8 & 0xff, a >> 16 & 0xff, a >> 24 & 0xff, site->arg[1]);
    if (cpu->rip != site->next_rip)
        return HELPER_LEAVE; // stopped early for a request
    return bt_go_on(cpu, site);
}

static void gen_string_helper(struct gen *g, unsigned i)
{
    static const uint8_t op_of[16] = {
        [4] = STR_MOVS,  [5] = STR_MOVS,  [6] = STR_CMPS,  [7] = STR_CMPS,  [10] = STR_STOS,
        [11] = STR_STOS, [12] = STR_LODS, [13] = STR_LODS, [14] = STR_SCAS, [15] = STR_SCAS};
    const struct insn *in = &g->insn[i];
    unsigned op = op_of[in->opcode & 15], size = element_size(in);
    if ((op == STR_MOVS || op == STR_STOS) && in->rep && in->addrsize == 8 && !has_fs_gs(in)) {
        gen_helper(g, i, op == STR_MOVS ? h_rep_movs : h_rep_stos, size, 0);
        return;
    }
    uint64_t rep = in->repne ? REP_NE : in->rep ? REP_E : REP_NONE;
    gen_helper(g, i, h_string, op | size << 8 | (uint64_t)in->addrsize << 16 | rep << 24,
               in->seg >= 0 ? (uint64_t)in->seg : DS);
}

// --- one element

static bool is_single(uint64_t mode, const struct insn *in)
{
    return is_string(in) && !in->rep && !in->repne && !((mode & MODE_CS64) && has_fs_gs(in));
}

// The address in RSI or RDI to r14.
static void element_address(struct gen *g, const struct insn *in, int r, unsigned seg)
{
    if (!g->code64)
        gen_seg_register(g, in, r, seg);
    else if (in->addrsize == 4)
        emit_mov32(&g->e, R14, r);
    else
        emit_mov(&g->e, R14, r);
}

// The register that is 1 or -1 by DF: r14, without touching flags, or the one that has it always. Clobbers r15.
static int string_step(struct gen *g)
{
    struct emit *e = &g->e;
    if (g->scratch)
        return GEN_HOST_STEP;
    emit_load32(e, R14, CPU_FIELD(g->bt, rflags));
    emit_mov_imm(e, R15, 63 - 10);
    host_shlx(e, R14, R14, R15);
    emit_mov_imm(e, R15, 63);
    host_sarx(e, R14, R14, R15); // 0 or -1
    emit_lea(e, R14, (struct emem){.base = R14, .index = R14, .scale = 1, .disp = 1});
    return R14;
}

static void string_advance(struct gen *g, unsigned i, int r, int step, unsigned size)
{
    const struct insn *in = &g->insn[i];
    struct emit *e = &g->e;
    unsigned op = in->opcode & 0xfe;
    bool compares = op == OP_CMPS || op == OP_SCAS;                     // its flags are wanted
    if (in->addrsize == 2 && !g->live[i] && !compares && step != R14) { // ADD takes half as long as a 16-bit LEA
        if (size > 1)
            emit_lea32(e, R14, (struct emem){.base = -1, .index = (int8_t)step, .scale = (uint8_t)size});
        emit_op_reg(e, EF_66, 0x01, size > 1 ? R14 : step, r);
        return;
    }
    struct emem m = {.base = (int8_t)r, .index = (int8_t)step, .scale = (uint8_t)size};
    emit_op_mem(&g->e, size_flags(in->addrsize), 0x8d, r, m); // lea: a 16-bit one leaves the upper half alone
}

static void gen_single(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    struct emit *e = &g->e;
    unsigned size = element_size(in), op = in->opcode & 0xfe;
    unsigned flags = size_flags(size), wide = size > 1, src = in->seg >= 0 ? (unsigned)in->seg : DS;
    bool live = g->live[i] != 0, from_si = op == OP_MOVS || op == OP_CMPS || op == OP_LODS, to_di = op != OP_LODS;
    if (from_si) {
        element_address(g, in, RSI, src);
        gen_lookup(g, i, size, false, false, false, live);
        if (to_di) {
            emit_op_mem(e, flags, 0x8a + wide, R15, EMEM_R14_R15);
            emit_store(e, eng(g->bt, ENG_TMP), R15);
        } else {
            emit_op_mem(e, flags, 0x8a + wide, RAX, EMEM_R14_R15);
        }
    }
    if (to_di) {
        element_address(g, in, RDI, ES);
        gen_lookup(g, i, size, op == OP_MOVS || op == OP_STOS, false, false, live);
        if (from_si) {
            emit_lea(e, R14, EMEM_R14_R15);
            emit_load(e, R15, eng(g->bt, ENG_TMP));
        }
        struct emem m = from_si ? EMEM(R14, 0) : EMEM_R14_R15;
        unsigned byte = !wide && from_si ? EF_BYTEREG : 0;
        if (op == OP_MOVS || op == OP_STOS)
            emit_op_mem(e, flags | byte, 0x88 + wide, from_si ? R15 : RAX, m);
        else
            emit_op_mem(e, flags | byte, 0x3a + wide, from_si ? R15 : RAX, m); // cmp reg, [m]
    }
    int step = string_step(g);
    if (from_si)
        string_advance(g, i, RSI, step, size);
    if (to_di)
        string_advance(g, i, RDI, step, size);
}

// --- REP MOVS, REP STOS

static bool is_short_rep(uint64_t mode, const struct insn *in)
{
    unsigned op = in->opcode & 0xfe;
    if (!is_string(in) || !in->rep || has_fs_gs(in) || (op != OP_MOVS && op != OP_STOS))
        return false;
    return mode & MODE_CS64 ? in->addrsize == 8 : gen_flat32(mode) && in->addrsize == 4;
}

enum { MAX_CHECKS = 12 };
struct checks {
    uint8_t *failed[MAX_CHECKS];
    unsigned n;
};
static void fails_if(struct gen *g, struct checks *c, unsigned cc) { c->failed[c->n++] = emit_jcc(&g->e, cc, NULL); }

// r14d: offset of `pointer` in its page, r15d: bytes to do. Clobbers r14.
static void check_room(struct gen *g, struct checks *c, int pointer)
{
    struct emit *e = &g->e;
    emit_mov32(e, R14, pointer);
    emit_op_reg(e, 0, 0x81, 4, R14); // and r14d, offset in the page
    emit_32(e, PAGE_SIZE - 1);
    emit_lea32(e, R14, EMEM_R14_R15);
    emit_op_reg(e, 0, 0x81, 7, R14); // cmp r14d, PAGE_SIZE
    emit_32(e, PAGE_SIZE);
    fails_if(g, c, CC_A);
}

// The addend of `pointer`'s page to `addend`; `tmp` is clobbered. An alias would leave RAM's stripe (softmmu/ram.c); a
// single access finds that out by its fault, here nothing may fault any more.
static void check_page(struct gen *g, struct checks *c, int pointer, int addend, int tmp, bool write)
{
    struct emit *e = &g->e;
    host_page_entry(e, addend, pointer, write, g->code64);
    emit_op_reg(e, EF_W, 0x85, addend, addend); // test
    fails_if(g, c, CC_Z);
    if (!g->code64)
        return; // 32-bit addresses have no aliases
    emit_lea(e, tmp, (struct emem){.base = (int8_t)addend, .index = (int8_t)pointer, .scale = 1});
    host_shift_imm(e, SHIFT_SHR, tmp, SHADOW_HOME_SHIFT);
    emit_op_reg(e, 0, 0x81, 7, tmp); // cmp tmp32, home
    emit_32(e, (uint32_t)shadow_home(g->bt->shadow));
    fails_if(g, c, CC_NZ);
}

// Flags to ENG_TMP2 and back; r15 is clobbered.
static void save_flags(struct gen *g)
{
    struct emit *e = &g->e;
    emit_mov(e, R15, RAX);
    host_flags_to_ax(e);
    emit_store32(e, eng(g->bt, ENG_TMP2), RAX);
    emit_mov(e, RAX, R15);
}

static void restore_flags(struct gen *g)
{
    struct emit *e = &g->e;
    emit_mov(e, R15, RAX);
    emit_load32(e, RAX, eng(g->bt, ENG_TMP2));
    host_flags_from_ax(e);
    emit_mov(e, RAX, R15);
}

// Adds (or subtracts) the addends; in 32-bit code the registers are zero-extended again.
static void move_pointers(struct gen *g, bool movs, bool back)
{
    struct emit *e = &g->e;
    unsigned op = back ? 0x29 : 0x01; // sub, add
    if (movs)
        emit_op_reg(e, EF_W, op, R14, RSI);
    emit_op_reg(e, EF_W, op, R15, RDI);
    if (!back || g->code64)
        return;
    if (movs)
        emit_mov32(e, RSI, RSI);
    emit_mov32(e, RDI, RDI);
}

static void gen_short_rep(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    struct emit *e = &g->e;
    unsigned size = element_size(in);
    bool movs = (in->opcode & 0xfe) == OP_MOVS, live = i + 1 >= g->n || g->live[i + 1];
    struct checks c = {.n = 0};
    if (live)
        save_flags(g);
    emit_op_reg(e, EF_W, 0x85, RCX, RCX); // test rcx, rcx
    uint8_t *none = emit_jcc(e, CC_Z, NULL);
    emit_op_reg(e, EF_W, 0x81, 7, RCX); // cmp rcx, the most that a page takes
    emit_32(e, PAGE_SIZE / size);
    fails_if(g, &c, CC_A);
    emit_op_mem(e, 0, 0xf7, 0, CPU_FIELD(g->bt, rflags)); // test dword, DF
    emit_32(e, FL_DF);
    fails_if(g, &c, CC_NZ);
    emit_lea32(e, R15, (struct emem){.base = -1, .index = RCX, .scale = (uint8_t)size});
    if (movs)
        check_room(g, &c, RSI);
    check_room(g, &c, RDI);
    if (g->tb->mode & MODE_COMPAT) { // 64-bit code may have left something in the upper halves
        if (movs)
            emit_mov32(e, RSI, RSI);
        emit_mov32(e, RDI, RDI);
    }
    if (movs) {
        check_page(g, &c, RSI, R14, R15, false);
        emit_store(e, eng(g->bt, ENG_TMP), R14);
    }
    check_page(g, &c, RDI, R15, R14, true);
    if (movs)
        emit_load(e, R14, eng(g->bt, ENG_TMP));
    move_pointers(g, movs, false);
    if (size == 2)
        emit_8(e, 0x66);
    emit_8(e, 0xf3); // rep
    if (size == 8)
        emit_8(e, 0x48);
    emit_8(e, in->opcode);
    move_pointers(g, movs, true);
    uint8_t *done = emit_jmp(e, NULL);
    for (unsigned k = 0; k < c.n; k++)
        emit_patch(e, c.failed[k], gen_here(g));
    if (live)
        restore_flags(g);
    gen_string_helper(g, i);
    uint8_t *after = live ? emit_jmp(e, NULL) : NULL;
    emit_patch(e, done, gen_here(g));
    emit_patch(e, none, gen_here(g));
    if (live) {
        restore_flags(g);
        emit_patch(e, after, gen_here(g));
    }
    stat_inc(STAT_tb_strings);
}

bool gen_string_keeps_flags(uint64_t mode, const struct insn *in)
{
    return is_single(mode, in) || is_short_rep(mode, in);
}

bool gen_string(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    bool inlined = !(g->bt->disable & ACCEL_NO_STRINGS);
    if (in->opcode < OP_MOVS || in->map != MAP_1)
        return false; // INS, OUTS
    g->rcx_saved = false;
    if (inlined && is_single(g->tb->mode, in))
        gen_single(g, i);
    else if (inlined && is_short_rep(g->tb->mode, in))
        gen_short_rep(g, i);
    else
        gen_string_helper(g, i);
    g->rcx_saved = false;
    return true;
}
