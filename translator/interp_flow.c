// SPDX-License-Identifier: MIT
// Near control flow, stack and string instructions.
#include "translator/interp_int.h"

// ---- branches

// Checks a branch target: SDM vol. 2A, "JMP-Jump": #GP(0) past the code segment's limit or if not canonical.
static uint64_t check_target(struct interp *in, uint64_t target, unsigned opsize)
{
    struct cpu *cpu = in->cpu;
    target &= interp_size_mask(opsize);
    if (interp_code64(cpu) ? !interp_canonical(target) : target > cpu->seg[CS].limit)
        cpu_raise_error(cpu, EXC_GP, 0);
    return target;
}

static uint64_t relative_target(struct interp *in, const struct insn *i)
{
    return check_target(in, in->next_rip + (uint64_t)i->imm, i->opsize);
}

// SDM vol. 1, appendix B "EFLAGS Condition Codes"
static bool condition(uint64_t fl, unsigned cc)
{
    bool r = false, sf_ne_of = !(fl & FL_SF) != !(fl & FL_OF);
    switch (cc >> 1 & 7) {
    case 0: r = fl & FL_OF; break;
    case 1: r = fl & FL_CF; break;
    case 2: r = fl & FL_ZF; break;
    case 3: r = fl & (FL_CF | FL_ZF); break;
    case 4: r = fl & FL_SF; break;
    case 5: r = fl & FL_PF; break;
    case 6: r = sf_ne_of; break;
    case 7: r = sf_ne_of || fl & FL_ZF; break;
    }
    return r != (cc & 1);
}

static void exec_loop(struct interp *in, const struct insn *i)
{
    struct cpu *cpu = in->cpu;
    uint64_t mask = interp_size_mask(i->addrsize), count = cpu->gpr[RCX] & mask;
    if (i->opcode == 0xe3) { // JCXZ: no decrement
        if (!count)
            in->next_rip = relative_target(in, i);
        return;
    }
    count = (count - 1) & mask;
    bool zf = cpu->rflags & FL_ZF;
    bool taken = count && (i->opcode == 0xe2 || zf == (i->opcode == 0xe1));
    uint64_t target = taken ? relative_target(in, i) : in->next_rip;
    interp_set(cpu, i, RCX, i->addrsize, count);
    in->next_rip = target;
}

static uint64_t read_rm(struct interp *in, const struct insn *i, unsigned size)
{
    if (!i->has_mem)
        return interp_get(in->cpu, i, i->rm, size);
    return cpu_load(in->cpu, interp_linear(in, size, false), size);
}

static gva stack_linear(struct interp *in, uint64_t sp, unsigned size, bool write)
{
    gva lin = cpu_linear(in->cpu, SS, sp & interp_stack_mask(in->cpu), size, write);
    interp_note_access(in, lin, size, write);
    return lin;
}

static void push(struct interp *in, uint64_t v, unsigned size)
{
    if (in->watch)
        stack_linear(in, in->cpu->gpr[RSP] - size, size, true);
    cpu_push(in->cpu, v, size);
}

static void exec_ret(struct interp *in, const struct insn *i)
{
    struct cpu *cpu = in->cpu;
    uint64_t sp = cpu->gpr[RSP];
    uint64_t v = cpu_load(cpu, stack_linear(in, sp, i->opsize, false), i->opsize);
    in->next_rip = check_target(in, v, i->opsize);
    interp_set_sp(cpu, sp + i->opsize + (i->opcode == 0xc2 ? (uint64_t)i->imm : 0));
}

void interp_flow(struct interp *in)
{
    const struct insn *i = &in->cur->insn;
    uint64_t target;
    switch (i->class) {
    case IC_JMP: in->next_rip = relative_target(in, i); return;
    case IC_JCC:
        if (condition(in->cpu->rflags, i->opcode & 15))
            in->next_rip = relative_target(in, i);
        return;
    case IC_LOOP: exec_loop(in, i); return;
    case IC_CALL:
        target = relative_target(in, i);
        push(in, in->next_rip, i->opsize);
        in->next_rip = target;
        return;
    case IC_CALL_IND:
        target = check_target(in, read_rm(in, i, i->opsize), i->opsize);
        push(in, in->next_rip, i->opsize);
        in->next_rip = target;
        return;
    case IC_JMP_IND: in->next_rip = check_target(in, read_rm(in, i, i->opsize), i->opsize); return;
    case IC_RET: exec_ret(in, i); return;
    }
}

// ---- the stack

// Checks [sp, sp + n * size) slot by slot, so that what follows cannot fault half way.
static void probe_stack(struct interp *in, uint64_t sp, unsigned n, unsigned size, bool write)
{
    for (unsigned j = 0; j < n; j++) {
        unsigned k = write ? n - 1 - j : j; // in the order of the pushes or pops
        gva lin = stack_linear(in, sp + k * size, size, write);
        if (write)
            interp_probe_write(in, lin, size);
        else
            cpu_load(in->cpu, lin, size);
    }
}

static void exec_pop(struct interp *in, const struct insn *i)
{
    struct cpu *cpu = in->cpu;
    uint64_t sp = cpu->gpr[RSP];
    uint64_t v = cpu_load(cpu, stack_linear(in, sp, i->opsize, false), i->opsize);
    if (!i->has_mem) {
        interp_set_sp(cpu, sp + i->opsize);
        interp_set(cpu, i, i->rm, i->opsize, v);
        return;
    }
    // POP [RSP+x]: the address is computed with the incremented RSP (SDM vol. 2B, "POP").
    interp_set_sp(cpu, sp + i->opsize);
    uint64_t new_sp = cpu->gpr[RSP], ea = interp_ea(in, i);
    cpu->gpr[RSP] = sp;
    gva lin = cpu_linear(cpu, i->mem_seg, ea, i->opsize, true);
    interp_note_access(in, lin, i->opsize, true);
    cpu_store(cpu, lin, v, i->opsize);
    cpu->gpr[RSP] = new_sp;
}

// SDM vol. 2A, "ENTER-Make Stack Frame for Procedure Parameters". As on hardware, a fault half way leaves what was
// pushed below the stack pointer, and the registers as they were.
static void exec_enter(struct interp *in, const struct insn *i)
{
    struct cpu *cpu = in->cpu;
    unsigned size = i->opsize, level = (unsigned)i->imm2 & 31;
    uint64_t sp = cpu->gpr[RSP] - size, bp = cpu->gpr[RBP], mask = interp_stack_mask(cpu), frame = sp & mask;
    cpu_store(cpu, stack_linear(in, sp, size, true), bp & interp_size_mask(size), size);
    for (unsigned k = 1; k < level; k++) {
        uint64_t v = cpu_load(cpu, stack_linear(in, bp - k * size, size, false), size);
        sp -= size;
        cpu_store(cpu, stack_linear(in, sp, size, true), v, size);
    }
    if (level) {
        sp -= size;
        cpu_store(cpu, stack_linear(in, sp, size, true), frame & interp_size_mask(size), size);
    }
    sp -= (uint64_t)i->imm; // the final stack top must be writable, too
    interp_probe_write(in, cpu_linear(cpu, SS, sp & mask, 1, true), 1);
    interp_set(cpu, i, RBP, size, frame);
    interp_set_sp(cpu, sp);
}

static void exec_pusha(struct interp *in, const struct insn *i)
{
    struct cpu *cpu = in->cpu;
    uint64_t sp = cpu->gpr[RSP];
    probe_stack(in, sp - 8 * i->opsize, 8, i->opsize, true);
    for (unsigned r = RAX; r <= RDI; r++)
        cpu_push(cpu, (r == RSP ? sp : cpu->gpr[r]) & interp_size_mask(i->opsize), i->opsize);
}

static void exec_popa(struct interp *in, const struct insn *i)
{
    struct cpu *cpu = in->cpu;
    probe_stack(in, cpu->gpr[RSP], 8, i->opsize, false);
    for (int r = RDI; r >= RAX; r--) {
        uint64_t v = cpu_pop(cpu, i->opsize);
        if (r != RSP)
            interp_set(cpu, i, (unsigned)r, i->opsize, v);
    }
}

void interp_stack(struct interp *in)
{
    struct cpu *cpu = in->cpu;
    const struct insn *i = &in->cur->insn;
    uint64_t v;
    switch (i->class) {
    case IC_PUSH:
        if (i->opcode_reg)
            v = interp_get(cpu, i, i->rm, i->opsize);
        else
            v = i->has_modrm ? read_rm(in, i, i->opsize) : (uint64_t)i->imm & interp_size_mask(i->opsize);
        push(in, v, i->opsize);
        return;
    case IC_POP: exec_pop(in, i); return;
    case IC_LEAVE: {
        uint64_t frame = cpu->gpr[RBP];
        v = cpu_load(cpu, stack_linear(in, frame, i->opsize, false), i->opsize);
        interp_set_sp(cpu, (frame & interp_stack_mask(cpu)) + i->opsize);
        interp_set(cpu, i, RBP, i->opsize, v);
        return;
    }
    case IC_ENTER: exec_enter(in, i); return;
    case IC_PUSHA: exec_pusha(in, i); return;
    case IC_POPA: exec_popa(in, i); return;
    }
}

// ---- strings

static const int8_t string_ops[16] = {
    [0x4] = STR_MOVS, [0x5] = STR_MOVS, [0x6] = STR_CMPS, [0x7] = STR_CMPS, [0xa] = STR_STOS,
    [0xb] = STR_STOS, [0xc] = STR_LODS, [0xd] = STR_LODS, [0xe] = STR_SCAS, [0xf] = STR_SCAS,
};

// Data breakpoints on what one iteration will access.
static void note_string(struct interp *in, const struct insn *i, enum string_op op, unsigned seg)
{
    struct cpu *cpu = in->cpu;
    uint64_t mask = interp_size_mask(i->addrsize);
    bool code64 = interp_code64(cpu);
    gva src = (code64 && seg < FS ? 0 : cpu->seg[seg].base) + (cpu->gpr[RSI] & mask);
    gva dst = (code64 ? 0 : cpu->seg[ES].base) + (cpu->gpr[RDI] & mask);
    if (op == STR_MOVS || op == STR_LODS || op == STR_CMPS || op == STR_OUTS)
        interp_note_access(in, src, i->opsize, false);
    if (op != STR_LODS && op != STR_OUTS)
        interp_note_access(in, dst, i->opsize, op == STR_MOVS || op == STR_STOS || op == STR_INS);
}

void interp_string(struct interp *in)
{
    struct cpu *cpu = in->cpu;
    const struct insn *i = &in->cur->insn;
    bool io = i->opcode < 0x70;
    enum string_op op = io ? (i->opcode < 0x6e ? STR_INS : STR_OUTS) : (enum string_op)string_ops[i->opcode & 15];
    unsigned size = io && i->opsize == 8 ? 4 : i->opsize, seg = i->seg >= 0 ? (unsigned)i->seg : DS;
    bool compares = op == STR_CMPS || op == STR_SCAS;
    enum rep rep = i->rep ? REP_E : i->repne ? (compares ? REP_NE : REP_E) : REP_NONE;
    bool single = (cpu->mode & MODE_STEP) || in->watch; // traps come between iterations
    cpu->next_rip = in->next_rip;
    if (!single) {
        cpu_op_string(cpu, op, size, i->addrsize, rep, (enum sreg)seg);
        in->next_rip = cpu->rip;
        return;
    }
    uint64_t start = cpu->rip, mask = interp_size_mask(i->addrsize), count = cpu->gpr[RCX] & mask;
    if (rep != REP_NONE && !count)
        return;
    note_string(in, i, op, seg);
    cpu_op_string(cpu, op, size, i->addrsize, REP_NONE, (enum sreg)seg);
    cpu->rip = start;
    if (rep == REP_NONE)
        return;
    interp_set(cpu, i, RCX, i->addrsize, --count);
    bool more = count && !(compares && !(cpu->rflags & FL_ZF) == (rep == REP_E));
    if (more)
        in->next_rip = start;
}
