// SPDX-License-Identifier: MIT
// Helpers that take an operand: RDFSBASE and its kin, XSAVE and its kin, INVLPG. They save the interpreter's fetch and
// decode; what is not the common case goes there still.
#include "cpu/cpu.h"
#include "cpu/fpu.h"
#include "translator/gen.h"

static bool canonical(gva va) { return (int64_t)(va << 16) >> 16 == (int64_t)va; }

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
