// SPDX-License-Identifier: MIT
// The fast system calls: SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS.
// SDM vol. 3A, section 5.8.7 "Performing Fast Calls to System Procedures" and 5.8.8 (in 64-bit mode).
#include "cpu/internal.h"

// Both sides load flat segments from constants: no descriptor is read.
static void enter_flat(struct cpu *cpu, uint16_t cs, uint16_t ss, unsigned cpl, bool is64)
{
    uint32_t dpl = cpl << 13;
    segment_set_flat(cpu, CS, cs | cpl, ATTR_CODE_FLAT | dpl | (is64 ? SEG_L : SEG_DB));
    segment_set_flat(cpu, SS, ss | cpl, ATTR_DATA_FLAT | dpl);
    cpu_set_cpl(cpu, cpl);
}

void cpu_op_syscall(struct cpu *cpu)
{
    if (!(cpu->efer & EFER_SCE) || !in_protected(cpu))
        cpu_raise(cpu, EXC_UD);
    uint16_t sel = (cpu->star >> 32) & 0xfffc;
    stat_inc(STAT_cpu_syscall);
    if (in_long_mode(cpu)) {
        bool from64 = in_code64(cpu);
        cpu->gpr[RCX] = cpu->next_rip;
        cpu->gpr[R11] = cpu->rflags & ~(uint64_t)FL_RF;
        cpu->rflags &= ~(cpu->sfmask | FL_RF);
        cpu->rflags |= 2;
        cpu->rip = from64 ? cpu->lstar : cpu->cstar;
        enter_flat(cpu, sel, sel + 8, 0, true);
    } else { // AMD's legacy form
        cpu->gpr[RCX] = (uint32_t)cpu->next_rip;
        cpu->rflags &= ~(uint64_t)(FL_IF | FL_RF | FL_VM);
        cpu->rip = (uint32_t)cpu->star;
        enter_flat(cpu, sel, sel + 8, 0, false);
    }
    cpu_update_mode(cpu);
}

void cpu_op_sysret(struct cpu *cpu, unsigned opsize)
{
    if (!(cpu->efer & EFER_SCE) || !in_protected(cpu))
        cpu_raise(cpu, EXC_UD);
    require_cpl0(cpu);
    uint16_t sel = (cpu->star >> 48) & 0xfffc;
    if (in_long_mode(cpu)) {
        if (opsize == 8) {
            // #GP while still at CPL 0, as Intel does it; the address would fault at its fetch otherwise.
            if (!is_canonical(cpu->gpr[RCX]))
                raise_gp0(cpu);
            cpu->rip = cpu->gpr[RCX];
            enter_flat(cpu, sel + 16, sel + 8, 3, true);
        } else {
            cpu->rip = (uint32_t)cpu->gpr[RCX];
            enter_flat(cpu, sel, sel + 8, 3, false);
        }
        cpu->rflags = (cpu->gpr[R11] & 0x3c7fd7) | 2;
    } else {
        cpu->rip = (uint32_t)cpu->gpr[RCX];
        enter_flat(cpu, sel, sel + 8, 3, false);
        cpu->rflags |= FL_IF;
    }
    cpu_update_mode(cpu);
}

void cpu_op_sysenter(struct cpu *cpu)
{
    uint16_t sel = cpu->sysenter_cs & 0xfffc;
    if (!(cpu->cr0 & CR0_PE) || !sel)
        raise_gp0(cpu);
    bool lm = in_long_mode(cpu);
    stat_inc(STAT_cpu_syscall);
    cpu->rflags &= ~(uint64_t)(FL_VM | FL_IF | FL_RF);
    cpu->gpr[RSP] = lm ? cpu->sysenter_esp : (uint32_t)cpu->sysenter_esp;
    cpu->rip = lm ? cpu->sysenter_eip : (uint32_t)cpu->sysenter_eip;
    enter_flat(cpu, sel, sel + 8, 0, lm);
    cpu_update_mode(cpu);
}

void cpu_op_sysexit(struct cpu *cpu, unsigned opsize)
{
    uint16_t sel = cpu->sysenter_cs & 0xfffc;
    if (!(cpu->cr0 & CR0_PE) || !sel || cpu->cpl)
        raise_gp0(cpu);
    if (opsize == 8) {
        if (!is_canonical(cpu->gpr[RCX]) || !is_canonical(cpu->gpr[RDX]))
            raise_gp0(cpu);
        cpu->gpr[RSP] = cpu->gpr[RCX];
        cpu->rip = cpu->gpr[RDX];
        enter_flat(cpu, sel + 32, sel + 40, 3, true);
    } else {
        cpu->gpr[RSP] = (uint32_t)cpu->gpr[RCX];
        cpu->rip = (uint32_t)cpu->gpr[RDX];
        enter_flat(cpu, sel + 16, sel + 24, 3, false);
    }
    cpu_update_mode(cpu);
}

void cpu_op_swapgs(struct cpu *cpu)
{
    if (!in_code64(cpu))
        cpu_raise(cpu, EXC_UD);
    require_cpl0(cpu);
    uint64_t base = cpu->seg[GS].base;
    cpu->seg[GS].base = cpu->kernel_gs_base;
    cpu->kernel_gs_base = base;
}
