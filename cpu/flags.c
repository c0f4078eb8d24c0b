// SPDX-License-Identifier: MIT
// Instructions on RFLAGS that privilege decides about: CLI, STI, PUSHF, POPF, STAC, CLAC.
// SDM vol. 3A, section 6.8.1 "Masking Maskable Hardware Interrupts"; vol. 3B, section 21.3 and 21.4 for VME and PVI.
#include "cpu/internal.h"

// Does this code change IF? False: VIF stands for it. Neither: #GP(0).
static bool may_change_if(struct cpu *cpu)
{
    if (!(cpu->cr0 & CR0_PE) || cpu->cpl <= iopl(cpu))
        return true;
    if (cpu->cpl == 3 && (cpu->cr4 & (in_vm86(cpu) ? CR4_VME : CR4_PVI)))
        return false;
    raise_gp0(cpu);
}

void cpu_op_cli(struct cpu *cpu) { cpu->rflags &= may_change_if(cpu) ? ~(uint64_t)FL_IF : ~(uint64_t)FL_VIF; }

void cpu_op_sti(struct cpu *cpu)
{
    if (!may_change_if(cpu)) {
        if (cpu->rflags & FL_VIP)
            raise_gp0(cpu);
        cpu->rflags |= FL_VIF;
    } else if (!(cpu->rflags & FL_IF)) {
        cpu->rflags |= FL_IF;
        cpu->shadow_sti = 1;
        cpu_update_mode(cpu);
    }
}

void cpu_op_stac(struct cpu *cpu, bool set)
{
    if (!cpu->model->has_smap || cpu->cpl)
        cpu_raise(cpu, EXC_UD);
    cpu->rflags = set ? cpu->rflags | FL_AC : cpu->rflags & ~(uint64_t)FL_AC;
    if (cpu->mmu.ac != set)
        mmu_set_privilege(&cpu->mmu, cpu->mmu.user, set);
}

uint64_t cpu_op_pushf(struct cpu *cpu, unsigned opsize)
{
    uint64_t v = cpu->rflags & ~(uint64_t)(FL_VM | FL_RF);
    if (in_vm86(cpu) && iopl(cpu) < 3) {
        if (!(cpu->cr4 & CR4_VME) || opsize != 2)
            raise_gp0(cpu);
        v = (v & ~(uint64_t)FL_IF) | FL_IOPL | (v & FL_VIF ? FL_IF : 0);
    }
    return v & size_mask(opsize);
}

void cpu_op_popf(struct cpu *cpu, uint64_t v, unsigned opsize)
{
    uint64_t mask = FL_ARITH | FL_TF | FL_DF | FL_NT | FL_AC | FL_ID;
    if (in_vm86(cpu)) {
        if (iopl(cpu) == 3) {
            mask |= FL_IF;
        } else {
            if (!(cpu->cr4 & CR4_VME) || opsize != 2 || (v & FL_TF) || ((v & FL_IF) && (cpu->rflags & FL_VIP)))
                raise_gp0(cpu);
            cpu->rflags = (cpu->rflags & ~(uint64_t)FL_VIF) | (v & FL_IF ? FL_VIF : 0);
        }
    } else {
        if (cpu->cpl <= iopl(cpu))
            mask |= FL_IF;
        if (!cpu->cpl)
            mask |= FL_IOPL;
    }
    if (opsize == 2)
        mask &= 0xffff;
    uint64_t old = cpu->rflags;
    cpu->rflags = ((old & ~mask) | (v & mask)) & ~(uint64_t)FL_RF;
    if ((old ^ cpu->rflags) & (FL_TF | FL_AC))
        cpu_update_mode(cpu);
}
