// SPDX-License-Identifier: MIT
// Helpers that take an operand: REP MOVS and STOS of resident pages, RDFSBASE and its kin, XSAVE and its kin, INVLPG.
// They save the interpreter's fetch and decode; what is not the common case goes there still, or to cpu_op_string.
#include "cpu/cpu.h"
#include "cpu/fpu.h"
#include "cpu/interrupt.h"
#include "shadowpt/shadow.h"
#include "translator/gen.h"

static bool canonical(gva va) { return (int64_t)(va << 16) >> 16 == (int64_t)va; }

// --- REP MOVS, REP STOS: 64-bit addresses, flat segments, upward

static hva resident(struct cpu *cpu, gva va, enum mmu_access access)
{
    return shadow_mmu_ops.lookup(bt_of(cpu)->shadow, va, access, cpu->mmu.user, cpu->mmu.ac);
}

static uint64_t at_most(uint64_t n, gva va, unsigned size)
{
    uint64_t room = (PAGE_SIZE - (va & ~PAGE_MASK)) / size;
    return n < room ? n : room;
}

static void copy_up(hva d, hva s, uint64_t n, unsigned size)
{
    switch (size) {
    case 1: __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n)::"memory"); break;
    case 2: __asm__ volatile("rep movsw" : "+D"(d), "+S"(s), "+c"(n)::"memory"); break;
    case 4: __asm__ volatile("rep movsl" : "+D"(d), "+S"(s), "+c"(n)::"memory"); break;
    default: __asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(n)::"memory"); break;
    }
}

static void fill_up(hva d, uint64_t v, uint64_t n, unsigned size)
{
    switch (size) {
    case 1: __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(v) : "memory"); break;
    case 2: __asm__ volatile("rep stosw" : "+D"(d), "+c"(n) : "a"(v) : "memory"); break;
    case 4: __asm__ volatile("rep stosl" : "+D"(d), "+c"(n) : "a"(v) : "memory"); break;
    default: __asm__ volatile("rep stosq" : "+D"(d), "+c"(n) : "a"(v) : "memory"); break;
    }
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
            copy_up(d, s, n, size);
        else
            fill_up(d, cpu->gpr[RAX], n, size);
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

bool gen_rep_string(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    bool movs = (in->opcode & 0xfe) == 0xa4, stos = (in->opcode & 0xfe) == 0xaa;
    if (!(movs || stos) || !in->rep || in->addrsize != 8 || in->seg == FS || in->seg == GS)
        return false;
    gen_helper(g, i, movs ? h_rep_movs : h_rep_stos, in->opcode & 1 ? in->opsize : 1, 0);
    return true;
}

// --- RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE. arg[0]: ModRM.reg; arg[1]: register | size << 8

static uint64_t h_fsgsbase(struct cpu *cpu, const struct tb_site *site)
{
    unsigned op = site->arg[0], r = site->arg[1] & 0xff;
    uint64_t v = cpu->gpr[r];
    cpu_op_fsgsbase(cpu, op & 1 ? GS : FS, op >= 2, &v, site->arg[1] >> 8);
    if (op < 2)
        cpu->gpr[r] = v;
    return bt_go_on(cpu, site);
}

// --- with a memory operand, whose address the block has put into ENG_EA

static uint64_t h_invlpg(struct cpu *cpu, const struct tb_site *site)
{
    cpu_op_invlpg(cpu, cpu->engine[ENG_EA]);
    return bt_go_on(cpu, site);
}

// arg[0]: enum xstate_op, arg[1]: REX.W. Checks before those of cpu_op_xstate are the interpreter's.
static uint64_t h_xstate(struct cpu *cpu, const struct tb_site *site)
{
    gva ea = cpu->engine[ENG_EA];
    bool legacy = site->arg[0] == X_FXSAVE || site->arg[0] == X_FXRSTOR;
    if (!canonical(ea) || !canonical(ea + 575) || (!legacy && !(cpu->cr4 & CR4_OSXSAVE)) ||
        (cpu->cr0 & (CR0_EM | CR0_TS)))
        return bt_helper_interp(cpu, site);
    cpu_op_xstate(cpu, site->arg[0], ea, site->arg[1]);
    return bt_go_on(cpu, site);
}

static bool gen_with_address(struct gen *g, unsigned i, uint64_t (*fn)(struct cpu *, const struct tb_site *),
                             uint64_t a, uint64_t b)
{
    if (!gen_ea(g, i))
        return false;
    emit_store(&g->e, eng(g->bt, ENG_EA), R14);
    gen_helper(g, i, fn, a, b);
    return true;
}

bool gen_operand(struct gen *g, unsigned i)
{
    // By ModRM.reg; -1: not one of these
    static const int8_t group15[8] = {X_FXSAVE, X_FXRSTOR, -1, -1, X_XSAVE, X_XRSTOR, X_XSAVEOPT, -1};
    static const int8_t group9[8] = {-1, -1, -1, X_XRSTORS, X_XSAVEC, X_XSAVES, -1, -1};
    const struct insn *in = &g->insn[i];
    unsigned ext = in->modrm >> 3 & 7;
    if (!g->code64 || in->map != MAP_0F)
        return false;
    if (in->class == IC_XSTATE) {
        int op = in->opcode == 0xae ? group15[ext] : in->opcode == 0xc7 ? group9[ext] : -1;
        return op >= 0 && in->has_mem && gen_with_address(g, i, h_xstate, (uint64_t)op, in->rex & 8);
    }
    if (in->opcode == 0xae && !in->has_mem && in->pp == 0xf3 && ext < 4) {
        gen_helper(g, i, h_fsgsbase, ext, in->rm | (in->rex & 8 ? 8u : 4u) << 8);
        return true;
    }
    return in->opcode == 0x01 && ext == 7 && in->has_mem && gen_with_address(g, i, h_invlpg, 0, 0);
}
