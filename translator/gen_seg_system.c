// SPDX-License-Identifier: MIT
// Helpers for what 16-bit and segmented code does all day and 64-bit code hardly at all: far transfers, segment
// loads, port I/O, POPF. They save the interpreter's fetch and decode, and a transfer goes on to the target's block.
#include "cpu/cpu.h"
#include "translator/gen.h"

void bt_load_scratch(struct cpu *cpu)
{
    if (cpu->mode & (MODE_CS64 | MODE_COMPAT))
        return;
    cpu->gpr[R8] = cpu->seg[DS].base;
    cpu->gpr[R9] = cpu->seg[SS].base;
    cpu->gpr[R10] = cpu->seg[ES].base;
    cpu->gpr[R12] = (uint64_t)bt_of(cpu)->window;
    cpu->gpr[R11] = cpu->rflags & FL_DF ? -1ull : 1;
}

// --- far transfers. arg[0]: offset, or bytes to drop; arg[1]: selector | operand size << 16

static uint64_t h_far_jmp(struct cpu *cpu, const struct tb_site *site)
{
    cpu_op_far_jmp(cpu, (uint16_t)site->arg[1], site->arg[0], site->arg[1] >> 16);
    return bt_transfer(cpu);
}
static uint64_t h_far_call(struct cpu *cpu, const struct tb_site *site)
{
    cpu_op_far_call(cpu, (uint16_t)site->arg[1], site->arg[0], site->arg[1] >> 16);
    return bt_transfer(cpu);
}
static uint64_t h_far_ret(struct cpu *cpu, const struct tb_site *site)
{
    cpu_op_far_ret(cpu, site->arg[1] >> 16, site->arg[0]);
    return bt_transfer(cpu);
}
// The pointer is in ENG_TMP; arg[0]: a call; arg[1]: operand size
static uint64_t h_far_indirect(struct cpu *cpu, const struct tb_site *site)
{
    unsigned size = site->arg[1];
    uint64_t v = cpu->engine[ENG_TMP];
    uint16_t sel = (uint16_t)(v >> (8 * size));
    uint64_t off = size == 2 ? (uint16_t)v : (uint32_t)v;
    (site->arg[0] ? cpu_op_far_call : cpu_op_far_jmp)(cpu, sel, off, size);
    return bt_transfer(cpu);
}

// --- arg[0]: segment register; arg[1]: general register, or operand size of a POP

static uint64_t h_mov_sreg(struct cpu *cpu, const struct tb_site *site)
{
    cpu_op_load_sreg(cpu, site->arg[0], (uint16_t)cpu->gpr[site->arg[1]]);
    return bt_go_on(cpu, site);
}
static uint64_t h_pop_sreg(struct cpu *cpu, const struct tb_site *site)
{
    uint64_t before = cpu->gpr[RSP];
    uint16_t sel = (uint16_t)cpu_pop(cpu, site->arg[1]);
    uint64_t after = cpu->gpr[RSP]; // by the old SS's rules
    cpu->gpr[RSP] = before;         // in case the load faults
    cpu_op_load_sreg(cpu, site->arg[0], sel);
    cpu->gpr[RSP] = after;
    return bt_go_on(cpu, site);
}

// The pointer is in ENG_TMP. arg[0]: segment register | register << 8; arg[1]: operand size
static uint64_t h_load_far(struct cpu *cpu, const struct tb_site *site)
{
    uint64_t v = cpu->engine[ENG_TMP], *r = &cpu->gpr[site->arg[0] >> 8];
    unsigned size = site->arg[1];
    cpu_op_load_sreg(cpu, site->arg[0] & 0xff, (uint16_t)(v >> (8 * size)));
    *r = size == 2 ? (*r & ~0xffffull) | (uint16_t)v : (uint32_t)v;
    return bt_go_on(cpu, site);
}

static uint64_t h_popf(struct cpu *cpu, const struct tb_site *site)
{
    uint64_t before = cpu->gpr[RSP];
    uint64_t v = cpu_pop(cpu, site->arg[0]);
    uint64_t after = cpu->gpr[RSP];
    cpu->gpr[RSP] = before;
    cpu_op_popf(cpu, v, site->arg[0]);
    cpu->gpr[RSP] = after;
    return bt_go_on(cpu, site);
}

static uint64_t h_std(struct cpu *cpu, const struct tb_site *site)
{
    cpu->rflags |= FL_DF;
    return bt_go_on(cpu, site);
}

// --- ports. arg[0]: size; arg[1]: the port, or bit 16: DX

static uint16_t port_of(const struct cpu *cpu, const struct tb_site *site)
{
    return (uint16_t)(site->arg[1] >> 16 ? cpu->gpr[RDX] : site->arg[1]);
}

static uint64_t h_in(struct cpu *cpu, const struct tb_site *site)
{
    unsigned size = site->arg[0];
    uint64_t v = cpu_op_in(cpu, port_of(cpu, site), size), mask = size == 1 ? 0xff : 0xffff;
    cpu->gpr[RAX] = size == 4 ? (uint32_t)v : (cpu->gpr[RAX] & ~mask) | (v & mask);
    return bt_go_on(cpu, site);
}
static uint64_t h_out(struct cpu *cpu, const struct tb_site *site)
{
    unsigned size = site->arg[0];
    cpu_op_out(cpu, port_of(cpu, site),
               size == 4 ? (uint32_t)cpu->gpr[RAX] : cpu->gpr[RAX] & (size == 1 ? 0xff : 0xffff), size);
    return bt_go_on(cpu, site);
}

// --- which instruction has which

// A far pointer in memory: to ENG_TMP.
static bool fetch_far(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    struct emit *e = &g->e;
    struct emem tmp = eng(g->bt, ENG_TMP);
    if ((in->opsize != 2 && in->opsize != 4) || !in->has_mem || !gen_ea(g, i))
        return false;
    gen_lookup(g, i, in->opsize + 2u, false, false, false, g->live[i] != 0);
    emit_lea(e, R14, EMEM_R14_R15);
    emit_load32(e, R15, EMEM(R14, 0));
    emit_store(e, tmp, R15);
    if (in->opsize == 4) {
        emit_op_mem(e, EF_0F, 0xb7, R15, EMEM(R14, 4)); // movzx: the selector
        tmp.disp += 4;
        emit_store32(e, tmp, R15);
    }
    return true;
}

static bool gen_far(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    uint64_t size = (uint64_t)in->opsize << 16;
    if (in->opcode == 0xca || in->opcode == 0xcb)
        gen_helper(g, i, h_far_ret, in->opcode == 0xca ? (uint16_t)in->imm : 0, size);
    else if (in->opcode == 0xff && !fetch_far(g, i))
        return false;
    else if (in->opcode == 0xff)
        gen_helper(g, i, h_far_indirect, (in->modrm >> 3 & 7) == 3, in->opsize);
    else
        gen_helper(g, i, in->opcode == 0x9a ? h_far_call : h_far_jmp, (uint64_t)in->imm, (uint16_t)in->imm2 | size);
    return true;
}

static bool gen_load_far(struct gen *g, unsigned i, unsigned s)
{
    if (!fetch_far(g, i))
        return false;
    gen_helper(g, i, h_load_far, s | (uint64_t)g->insn[i].reg << 8, g->insn[i].opsize);
    return true;
}

static bool gen_port(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    unsigned size = in->opcode & 1 ? (in->opsize == 8 ? 4 : in->opsize) : 1;
    gen_helper(g, i, in->opcode & 2 ? h_out : h_in, size, in->opcode < 0xe8 ? (uint8_t)in->imm : 1 << 16);
    return true;
}

bool gen_seg_system(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    if (in->map == MAP_0F && (in->opcode == 0xa1 || in->opcode == 0xa9) && !g->code64) {
        gen_helper(g, i, h_pop_sreg, in->opcode == 0xa1 ? FS : GS, in->opsize);
        return true;
    }
    if (in->map == MAP_0F && !g->code64 && in->has_mem &&
        (in->opcode == 0xb2 || in->opcode == 0xb4 || in->opcode == 0xb5))
        return gen_load_far(g, i, in->opcode == 0xb2 ? SS : in->opcode == 0xb4 ? FS : GS);
    if (in->map != MAP_1)
        return false;
    if (in->opcode >= 0xe4 && (in->opcode < 0xe8 || in->opcode >= 0xec) && in->opcode < 0xf0)
        return gen_port(g, i);
    if (in->opcode == 0xfd) {
        gen_helper(g, i, h_std, 0, 0);
        return true;
    }
    if (g->code64)
        return false;
    switch (in->opcode) {
    case 0x07:
    case 0x17:
    case 0x1f: gen_helper(g, i, h_pop_sreg, in->opcode >> 3 & 3, in->opsize); return true;
    case 0xc4:
    case 0xc5: return gen_load_far(g, i, in->opcode == 0xc4 ? ES : DS);
    case 0x8e:
        if (in->has_mem)
            return false;
        gen_helper(g, i, h_mov_sreg, in->modrm >> 3 & 7, in->rm);
        return true;
    case 0x9a:
    case 0xca:
    case 0xcb:
    case 0xea:
    case 0xff: return gen_far(g, i);
    case 0x9d: gen_helper(g, i, h_popf, in->opsize, 0); return true;
    }
    return false;
}
