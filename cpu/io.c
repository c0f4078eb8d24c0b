// SPDX-License-Identifier: MIT
// Port I/O and its protection. SDM vol. 1, section 19.5 "Protected-Mode I/O".
#include "cpu/internal.h"

void cpu_check_io(struct cpu *cpu, uint16_t port, unsigned size)
{
    if (!(cpu->cr0 & CR0_PE) || (!in_vm86(cpu) && cpu->cpl <= iopl(cpu)))
        return;
    // A bit per port in the TSS; the word at 66h says where, and the map's last byte must be inside the limit.
    if (!(cpu->tr.attr & SEG_P) || !(cpu->tr.attr & 0x800) || cpu->tr.limit < 0x67)
        raise_gp0(cpu);
    uint32_t at = cpu_load_sys(cpu, cpu->tr.base + 0x66, 2) + port / 8;
    if (at + 1 > cpu->tr.limit)
        raise_gp0(cpu);
    uint32_t bits = cpu_load_sys(cpu, cpu->tr.base + at, 2) >> (port & 7);
    if (bits & ((1u << size) - 1))
        raise_gp0(cpu);
}

uint64_t cpu_op_in(struct cpu *cpu, uint16_t port, unsigned size)
{
    cpu_check_io(cpu, port, size);
    stat_inc(STAT_mmu_pio);
    big_lock();
    uint64_t v = as_load(cpu->ports, port, size);
    big_unlock();
    return v & size_mask(size);
}

void cpu_op_out(struct cpu *cpu, uint16_t port, uint64_t v, unsigned size)
{
    cpu_check_io(cpu, port, size);
    stat_inc(STAT_mmu_pio);
    big_lock();
    as_store(cpu->ports, port, v & size_mask(size), size);
    big_unlock();
}
