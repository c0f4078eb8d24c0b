// SPDX-License-Identifier: MIT
// IRET in every mode. SDM vol. 2A, "IRET/IRETD/IRETQ - Interrupt Return".
#include "cpu/internal.h"

enum { // what IRET may change at CPL 0 beside IF, IOPL, VIF, VIP
    IRET_FLAGS = FL_ARITH | FL_TF | FL_DF | FL_NT | FL_RF | FL_AC | FL_ID,
};

static void set_flags(struct cpu *cpu, uint64_t v, uint64_t mask, unsigned opsize)
{
    if (opsize == 2)
        mask &= 0xffff;
    cpu->rflags = (cpu->rflags & ~mask) | (v & mask) | 2;
}

// Real mode, and VM86 with IOPL 3 or with VME (then IF stands for VIF).
static void iret_real(struct cpu *cpu, unsigned opsize)
{
    struct far_stack st;
    bool vm86 = in_vm86(cpu), vme = vm86 && iopl(cpu) < 3;
    if (vme && (!(cpu->cr4 & CR4_VME) || opsize != 2))
        raise_gp0(cpu);
    far_stack_current(cpu, &st, 0);
    uint64_t ip = far_stack_peek(cpu, &st, 0, opsize);
    uint16_t cs = far_stack_peek(cpu, &st, opsize, opsize);
    uint64_t fl = far_stack_peek(cpu, &st, 2 * opsize, opsize);
    if (ip > (vm86 ? 0xffff : cpu->seg[CS].limit))
        raise_gp0(cpu);
    uint64_t mask = IRET_FLAGS | FL_IF | FL_IOPL;
    if (vme) {
        if ((fl & FL_TF) || ((fl & FL_IF) && (cpu->rflags & FL_VIP)))
            raise_gp0(cpu);
        mask = (mask & ~(uint64_t)(FL_IF | FL_IOPL));
        cpu->rflags = (cpu->rflags & ~(uint64_t)FL_VIF) | (fl & FL_IF ? FL_VIF : 0);
    } else if (vm86) {
        mask &= ~(uint64_t)FL_IOPL;
    }
    sp_set(cpu, st.sp + 3 * opsize);
    segment_set_real(cpu, CS, cs);
    cpu->rip = ip;
    set_flags(cpu, fl, mask, opsize);
}

static void iret_to_vm86(struct cpu *cpu, const struct far_stack *st, uint64_t fl)
{
    static const uint8_t order[] = {ES, DS, FS, GS}; // after EIP, CS, EFLAGS, ESP, SS
    uint64_t ip = far_stack_peek(cpu, st, 0, 4) & 0xffff;
    uint16_t cs = far_stack_peek(cpu, st, 4, 4), ss = far_stack_peek(cpu, st, 16, 4), sel[4];
    uint64_t sp = far_stack_peek(cpu, st, 12, 4);
    for (unsigned i = 0; i < 4; i++)
        sel[i] = far_stack_peek(cpu, st, 20 + 4 * i, 4);
    set_flags(cpu, fl, IRET_FLAGS | FL_IF | FL_IOPL | FL_VM | FL_VIF | FL_VIP, 4);
    segment_set_real(cpu, CS, cs);
    segment_set_real(cpu, SS, ss);
    for (unsigned i = 0; i < 4; i++)
        segment_set_real(cpu, order[i], sel[i]);
    cpu->gpr[RSP] = (uint32_t)sp;
    cpu->rip = ip;
    cpu_set_cpl(cpu, 3);
}

static void iret_protected(struct cpu *cpu, unsigned opsize)
{
    struct far_stack st;
    struct desc d;
    struct segment ss;
    unsigned old_cpl = cpu->cpl;
    far_stack_current(cpu, &st, 0);
    uint64_t ip = far_stack_peek(cpu, &st, 0, opsize);
    uint16_t cs = far_stack_peek(cpu, &st, opsize, opsize);
    uint64_t fl = far_stack_peek(cpu, &st, 2 * opsize, opsize);
    if ((fl & FL_VM) && opsize == 4 && !old_cpl && !in_long_mode(cpu)) {
        iret_to_vm86(cpu, &st, fl);
        return;
    }
    unsigned cpl = cs & 3;
    far_return_segment(cpu, cs, &d);
    // 64-bit code always pops SS:RSP, other code only when it changes level.
    bool outer = cpl != old_cpl, pops_ss = outer || in_code64(cpu);
    uint64_t sp = st.sp + 3 * opsize;
    if (pops_ss) {
        sp = far_stack_peek(cpu, &st, 3 * opsize, opsize);
        far_return_stack(cpu, far_stack_peek(cpu, &st, 4 * opsize, opsize), cpl, &d, &ss);
    }
    far_check_rip(cpu, &d, ip, 0);

    uint64_t mask = IRET_FLAGS;
    if (old_cpl <= iopl(cpu))
        mask |= FL_IF;
    if (!old_cpl)
        mask |= FL_IOPL | FL_VIF | FL_VIP;
    far_set_cs(cpu, cs, &d, cpl);
    if (pops_ss)
        far_leave_to(cpu, &ss, sp, outer);
    else
        sp_set(cpu, sp);
    set_flags(cpu, fl, mask, opsize);
    cpu->rip = ip;
}

void cpu_op_iret(struct cpu *cpu, unsigned opsize)
{
    // NMIs are open again even if the IRET faults: SDM vol. 3A, section 6.7.1 "Handling Multiple NMIs".
    cpu->nmi_blocked = false;
    if (!in_protected(cpu)) {
        iret_real(cpu, opsize);
    } else if (cpu->rflags & FL_NT) {
        if (in_long_mode(cpu))
            raise_gp0(cpu);
        task_return(cpu);
        return;
    } else {
        iret_protected(cpu, opsize);
    }
    cpu_update_mode(cpu);
}
