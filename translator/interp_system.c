// SPDX-License-Identifier: MIT
// Sensitive and privileged instructions: operands are fetched here, cpu_op_* functions do the rest.
#include "translator/interp_int.h"

static uint64_t read_rm(struct interp *in, const struct insn *i, unsigned size)
{
    if (!i->has_mem)
        return interp_get(in->cpu, i, i->rm, size);
    return cpu_load(in->cpu, interp_linear(in, size, false), size);
}

// A selector or MSW: two bytes in memory, the operand size in a register.
static void write_rm16(struct interp *in, const struct insn *i, uint64_t v)
{
    if (i->has_mem)
        cpu_store(in->cpu, interp_linear(in, 2, true), v & 0xffff, 2);
    else
        interp_set(in->cpu, i, i->rm, i->opsize, v);
}

static void set_zf(struct cpu *cpu, bool on)
{
    cpu->rflags = on ? cpu->rflags | FL_ZF : cpu->rflags & ~(uint64_t)FL_ZF;
}

// For cpu_op_* functions that transfer control.
static void follow(struct interp *in) { in->next_rip = in->cpu->rip; }

// ---- segment registers and the stack

static uint64_t peek_stack(struct interp *in, unsigned size)
{
    struct cpu *cpu = in->cpu;
    gva lin = cpu_linear(cpu, SS, cpu->gpr[RSP] & interp_stack_mask(cpu), size, false);
    interp_note_access(in, lin, size, false);
    return cpu_load(cpu, lin, size);
}

static void pop_sreg(struct interp *in, const struct insn *i, enum sreg s)
{
    struct cpu *cpu = in->cpu;
    uint64_t mask = interp_stack_mask(cpu), sp = cpu->gpr[RSP]; // as before SS changes
    uint16_t sel = (uint16_t)peek_stack(in, i->opsize);
    cpu_op_load_sreg(cpu, s, sel);
    cpu->gpr[RSP] = (mask == 0xffff ? sp & ~mask : 0) | ((sp + i->opsize) & mask);
}

static void load_far_pointer(struct interp *in, const struct insn *i, enum sreg s)
{
    struct cpu *cpu = in->cpu;
    gva lin = interp_linear(in, i->opsize + 2u, false);
    uint64_t off = cpu_load(cpu, lin, i->opsize);
    uint16_t sel = (uint16_t)cpu_load(cpu, lin + i->opsize, 2);
    cpu_op_load_sreg(cpu, s, sel);
    interp_set(cpu, i, i->reg, i->opsize, off);
}

static void far_indirect(struct interp *in, const struct insn *i, bool call)
{
    struct cpu *cpu = in->cpu;
    gva lin = interp_linear(in, i->opsize + 2u, false);
    uint64_t off = cpu_load(cpu, lin, i->opsize);
    uint16_t sel = (uint16_t)cpu_load(cpu, lin + i->opsize, 2);
    (call ? cpu_op_far_call : cpu_op_far_jmp)(cpu, sel, off, i->opsize);
    follow(in);
}

static void popf(struct interp *in, const struct insn *i)
{
    struct cpu *cpu = in->cpu;
    uint64_t v = peek_stack(in, i->opsize);
    cpu_op_popf(cpu, v, i->opsize);
    interp_set_sp(cpu, cpu->gpr[RSP] + i->opsize);
}

static void exec_xlat(struct interp *in, const struct insn *i)
{
    struct cpu *cpu = in->cpu;
    uint64_t ea = (cpu->gpr[RBX] + (cpu->gpr[RAX] & 0xff)) & interp_size_mask(i->addrsize);
    gva lin = cpu_linear(cpu, i->seg >= 0 ? (enum sreg)i->seg : DS, ea, 1, false);
    interp_note_access(in, lin, 1, false);
    interp_set(cpu, i, RAX, 1, cpu_load(cpu, lin, 1)); // RAX as a byte is AL
}

// ---- one-byte opcodes

static void note_port(struct interp *in, uint16_t port, unsigned size)
{
    const struct cpu *cpu = in->cpu;
    static const uint8_t lengths[] = {1, 2, 8, 4};
    if (LIKELY(!in->watch) || !(cpu->cr4 & CR4_DE))
        return;
    for (unsigned n = 0; n < 4; n++) {
        unsigned len = lengths[cpu->dr[7] >> (18 + 4 * n) & 3];
        uint64_t lo = cpu->dr[n] & ~(uint64_t)(len - 1);
        if (cpu->dr[7] >> (2 * n) & 3 && (cpu->dr[7] >> (16 + 4 * n) & 3) == 2 && port < lo + len && lo < port + size)
            in->db_hits |= BIT(n);
    }
}

static void exec_port(struct interp *in, const struct insn *i)
{
    struct cpu *cpu = in->cpu;
    uint16_t port = (uint16_t)(i->opcode < 0xe8 ? (uint64_t)i->imm : cpu->gpr[RDX]);
    unsigned size = i->opcode & 1 ? (i->opsize == 8 ? 4 : i->opsize) : 1;
    note_port(in, port, size);
    if (i->opcode & 2)
        cpu_op_out(cpu, port, cpu->gpr[RAX] & interp_size_mask(size), size);
    else
        interp_set(cpu, i, RAX, size, cpu_op_in(cpu, port, size));
}

static void exec_interrupt(struct interp *in, const struct insn *i)
{
    struct cpu *cpu = in->cpu;
    if (i->opcode == 0xce && !(cpu->rflags & FL_OF))
        return;
    in->no_trap = true;
    if (i->opcode == 0xcc)
        cpu_op_int3(cpu);
    else if (i->opcode == 0xcd)
        cpu_op_int(cpu, (uint8_t)i->imm);
    else if (i->opcode == 0xce)
        cpu_op_into(cpu);
    else
        cpu_op_int1(cpu);
    follow(in);
}

static void system_one_byte(struct interp *in, const struct insn *i)
{
    struct cpu *cpu = in->cpu;
    switch (i->opcode) {
    case 0x06:
    case 0x0e:
    case 0x16:
    case 0x1e: // ES CS SS DS
        cpu_push(cpu, cpu->seg[i->opcode >> 3 & 3].sel, i->opsize);
        return;
    case 0x07:
    case 0x17:
    case 0x1f: pop_sreg(in, i, (enum sreg)(i->opcode >> 3 & 3)); return;
    case 0x8c: write_rm16(in, i, cpu->seg[i->modrm >> 3 & 7].sel); return;
    case 0x8e: cpu_op_load_sreg(cpu, (enum sreg)(i->modrm >> 3 & 7), (uint16_t)read_rm(in, i, 2)); return;
    case 0x9a:
        cpu_op_far_call(cpu, (uint16_t)i->imm2, (uint64_t)i->imm, i->opsize);
        follow(in);
        return;
    case 0xea:
        cpu_op_far_jmp(cpu, (uint16_t)i->imm2, (uint64_t)i->imm, i->opsize);
        follow(in);
        return;
    case 0x9c: cpu_push(cpu, cpu_op_pushf(cpu, i->opsize), i->opsize); return;
    case 0x9d: popf(in, i); return;
    case 0xc4: load_far_pointer(in, i, ES); return;
    case 0xc5: load_far_pointer(in, i, DS); return;
    case 0xca:
        cpu_op_far_ret(cpu, i->opsize, (unsigned)i->imm);
        follow(in);
        return;
    case 0xcb:
        cpu_op_far_ret(cpu, i->opsize, 0);
        follow(in);
        return;
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xf1: exec_interrupt(in, i); return;
    case 0xcf:
        in->keep_rf = true;
        cpu_op_iret(cpu, i->opsize);
        follow(in);
        return;
    case 0xd7: exec_xlat(in, i); return;
    case 0xe4:
    case 0xe5:
    case 0xe6:
    case 0xe7:
    case 0xec:
    case 0xed:
    case 0xee:
    case 0xef: exec_port(in, i); return;
    case 0xf4: cpu_op_hlt(cpu); return;
    case 0xfa: cpu_op_cli(cpu); return;
    case 0xfb: cpu_op_sti(cpu); return;
    case 0xfc: cpu->rflags &= ~(uint64_t)FL_DF; return;
    case 0xfd: cpu->rflags |= FL_DF; return;
    case 0xff: far_indirect(in, i, (i->modrm >> 3 & 7) == 3); return;
    }
    cpu_raise(cpu, EXC_UD);
}

// ---- 0F opcodes

static void group6(struct interp *in, const struct insn *i)
{
    struct cpu *cpu = in->cpu;
    unsigned op = i->modrm >> 3 & 7;
    if (cpu->mode & MODE_REAL) // SDM vol. 2, "SLDT", "STR", "LLDT", "LTR", "VERR": not recognized
        cpu_raise(cpu, EXC_UD);
    switch (op) {
    case 0: write_rm16(in, i, cpu_op_sldt(cpu)); return;
    case 1: write_rm16(in, i, cpu_op_str(cpu)); return;
    }
    if (op < 4 && cpu->cpl)
        cpu_raise_error(cpu, EXC_GP, 0);
    uint16_t sel = (uint16_t)read_rm(in, i, 2);
    switch (op) {
    case 2: cpu_op_lldt(cpu, sel); return;
    case 3: cpu_op_ltr(cpu, sel); return;
    case 4: set_zf(cpu, cpu_op_verr(cpu, sel)); return;
    case 5: set_zf(cpu, cpu_op_verw(cpu, sel)); return;
    }
}

static void group7_memory(struct interp *in, const struct insn *i)
{
    struct cpu *cpu = in->cpu;
    unsigned op = i->modrm >> 3 & 7, table = interp_code64(cpu) ? 10 : 6;
    if ((op == 2 || op == 3 || op == 7) && cpu->cpl) // before the operand is looked at
        cpu_raise_error(cpu, EXC_GP, 0);
    switch (op) {
    case 0: cpu_op_sgdt(cpu, interp_linear(in, table, true)); return;
    case 1: cpu_op_sidt(cpu, interp_linear(in, table, true)); return;
    case 2: cpu_op_lgdt(cpu, interp_linear(in, table, false), i->opsize); return;
    case 3: cpu_op_lidt(cpu, interp_linear(in, table, false), i->opsize); return;
    case 7: {
        uint64_t ea = interp_ea(in, i);
        bool based = !interp_code64(cpu) || i->mem_seg >= FS;
        gva lin = ea + (based ? cpu->seg[i->mem_seg].base : 0);
        cpu_op_invlpg(cpu, interp_code64(cpu) ? lin : (uint32_t)lin);
        return;
    }
    }
}

static void group7(struct interp *in, const struct insn *i)
{
    struct cpu *cpu = in->cpu;
    switch (i->modrm >> 3 & 7) {
    case 4: write_rm16(in, i, cpu_op_smsw(cpu)); return;
    case 6:
        if (cpu->cpl)
            cpu_raise_error(cpu, EXC_GP, 0);
        cpu_op_lmsw(cpu, (uint16_t)read_rm(in, i, 2));
        return;
    }
    if (i->has_mem) {
        group7_memory(in, i);
        return;
    }
    switch (i->modrm) {
    case 0xc8: cpu_op_monitor(cpu); return;
    case 0xc9: cpu_op_mwait(cpu); return;
    case 0xca: cpu_op_stac(cpu, false); return;
    case 0xcb: cpu_op_stac(cpu, true); return;
    case 0xd0: cpu_op_xgetbv(cpu); return;
    case 0xd1: cpu_op_xsetbv(cpu); return;
    case 0xf8: cpu_op_swapgs(cpu); return;
    case 0xf9: cpu_op_rdtscp(cpu); return;
    }
    cpu_raise(cpu, EXC_UD);
}

static void exec_lar(struct interp *in, const struct insn *i)
{
    struct cpu *cpu = in->cpu;
    uint32_t v;
    if (cpu->mode & MODE_REAL)
        cpu_raise(cpu, EXC_UD);
    uint16_t sel = (uint16_t)read_rm(in, i, 2);
    bool ok = i->opcode == 2 ? cpu_op_lar(cpu, sel, &v) : cpu_op_lsl(cpu, sel, &v);
    if (ok)
        interp_set(cpu, i, i->reg, i->opsize, v);
    set_zf(cpu, ok);
}

static void exec_fsgsbase(struct interp *in, const struct insn *i)
{
    unsigned op = i->modrm >> 3 & 7, size = i->rex & 8 ? 8 : 4;
    uint64_t v = interp_get(in->cpu, i, i->rm, size);
    cpu_op_fsgsbase(in->cpu, op & 1 ? GS : FS, op >= 2, &v, size);
    if (op < 2)
        interp_set(in->cpu, i, i->rm, size, v);
}

static void exec_fast_call(struct interp *in, const struct insn *i)
{
    struct cpu *cpu = in->cpu;
    unsigned size = i->rex & 8 ? 8 : 4;
    switch (i->opcode) {
    case 0x05:
        cpu_op_syscall(cpu);
        in->no_trap = !(cpu->rflags & FL_TF); // masked by SFMASK
        break;
    case 0x07: cpu_op_sysret(cpu, size); break;
    case 0x34: cpu_op_sysenter(cpu); break;
    case 0x35: cpu_op_sysexit(cpu, size); break;
    }
    follow(in);
}

static void exec_move_control(struct interp *in, const struct insn *i)
{
    struct cpu *cpu = in->cpu;
    unsigned size = interp_code64(cpu) ? 8 : 4;
    uint64_t v = interp_get(cpu, i, i->rm, size);
    switch (i->opcode) {
    case 0x20: interp_set(cpu, i, i->rm, size, cpu_op_mov_from_cr(cpu, i->reg)); return;
    case 0x21: interp_set(cpu, i, i->rm, size, cpu_op_mov_from_dr(cpu, i->reg)); return;
    case 0x22: cpu_op_mov_to_cr(cpu, i->reg, v); return;
    case 0x23: cpu_op_mov_to_dr(cpu, i->reg, v); return;
    }
}

static void system_0f(struct interp *in, const struct insn *i)
{
    struct cpu *cpu = in->cpu;
    switch (i->opcode) {
    case 0x00: group6(in, i); return;
    case 0x01: group7(in, i); return;
    case 0x02:
    case 0x03: exec_lar(in, i); return;
    case 0x05:
    case 0x07:
    case 0x34:
    case 0x35: exec_fast_call(in, i); return;
    case 0x06: cpu_op_clts(cpu); return;
    case 0x08:
    case 0x09: cpu_op_wbinvd(cpu); return;
    case 0x20:
    case 0x21:
    case 0x22:
    case 0x23: exec_move_control(in, i); return;
    case 0x30: cpu_op_wrmsr(cpu); return;
    case 0x31: cpu_op_rdtsc(cpu); return;
    case 0x32: cpu_op_rdmsr(cpu); return;
    case 0x33: cpu_op_rdpmc(cpu); return;
    case 0xa0: cpu_push(cpu, cpu->seg[FS].sel, i->opsize); return;
    case 0xa8: cpu_push(cpu, cpu->seg[GS].sel, i->opsize); return;
    case 0xa1: pop_sreg(in, i, FS); return;
    case 0xa9: pop_sreg(in, i, GS); return;
    case 0xa2: cpu_op_cpuid(cpu); return;
    case 0xaa:
        cpu_op_rsm(cpu);
        follow(in);
        return;
    case 0xae: exec_fsgsbase(in, i); return;
    case 0xb2: load_far_pointer(in, i, SS); return;
    case 0xb4: load_far_pointer(in, i, FS); return;
    case 0xb5: load_far_pointer(in, i, GS); return;
    case 0xc7: interp_set(cpu, i, i->rm, interp_code64(cpu) ? 8 : 4, cpu_op_rdpid(cpu)); return;
    case 0xf7: interp_maskmov(in); return;
    }
    cpu_raise(cpu, EXC_UD);
}

static void exec_invpcid(struct interp *in, const struct insn *i)
{
    struct cpu *cpu = in->cpu;
    if (cpu->cpl)
        cpu_raise_error(cpu, EXC_GP, 0);
    cpu_op_invpcid(cpu, interp_get(cpu, i, i->reg, interp_code64(cpu) ? 8 : 4), interp_linear(in, 16, false));
}

// ---- extended state

static void exec_xstate(struct interp *in, const struct insn *i)
{
    static const uint8_t group15[8] = {
        [0] = X_FXSAVE, [1] = X_FXRSTOR, [4] = X_XSAVE, [5] = X_XRSTOR, [6] = X_XSAVEOPT};
    static const uint8_t group9[8] = {[3] = X_XRSTORS, [4] = X_XSAVEC, [5] = X_XSAVES};
    unsigned ext = i->modrm >> 3 & 7;
    enum xstate_op op = (enum xstate_op)(i->opcode == 0xae ? group15[ext] : group9[ext]);
    bool legacy = op == X_FXSAVE || op == X_FXRSTOR;
    struct cpu *cpu = in->cpu;
    if (!legacy && !(cpu->cr4 & CR4_OSXSAVE))
        cpu_raise(cpu, EXC_UD);
    if (cpu->cr0 & (legacy ? CR0_EM | CR0_TS : CR0_TS))
        cpu_raise(cpu, EXC_NM);
    bool write = op == X_FXSAVE || op == X_XSAVE || op == X_XSAVEOPT || op == X_XSAVEC || op == X_XSAVES;
    gva lin = interp_linear(in, legacy ? 512 : 576, write);
    cpu_op_xstate(cpu, op, lin, i->rex & 8);
}

void interp_system(struct interp *in)
{
    struct cpu *cpu = in->cpu;
    const struct insn *i = &in->cur->insn;
    cpu->next_rip = in->next_rip;
    if (i->class == IC_XSTATE)
        exec_xstate(in, i);
    else if (i->map == MAP_1)
        system_one_byte(in, i);
    else if (i->map == MAP_0F)
        system_0f(in, i);
    else if (i->map == MAP_0F38 && i->opcode == 0x82)
        exec_invpcid(in, i);
    else
        cpu_raise(cpu, EXC_UD);
}
