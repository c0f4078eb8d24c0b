// SPDX-License-Identifier: MIT
// CPUID at run time: the model's table, and the few values that depend on the CPU's state.
#include "cpu/internal.h"

const struct cpuid_leaf *cpu_model_leaf(const struct cpu_model *m, uint32_t leaf, uint32_t subleaf)
{
    for (unsigned i = 0; i < m->count; i++)
        if (m->leaves[i].leaf == leaf && m->leaves[i].subleaf == subleaf)
            return &m->leaves[i];
    return NULL;
}

static uint32_t apic_id(const struct cpu *cpu) { return cpu->index; }

// Size of an XSAVE area for these components. SDM vol. 1, section 13.4.
static uint32_t xsave_size(const struct cpu_model *m, uint64_t components, bool compact)
{
    uint32_t end = 576;
    for (unsigned i = 2; i < ARRAY_SIZE(m->xcomp); i++) {
        if (!(components >> i & 1) || !m->xcomp[i].size)
            continue;
        if (compact && m->xcomp[i].align64)
            end = (end + 63) & ~63u;
        uint32_t start = compact ? end : m->xcomp[i].offset;
        if (start + m->xcomp[i].size > end)
            end = start + m->xcomp[i].size;
    }
    return end;
}

static void query_xsave(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    const struct cpu_model *m = cpu->model;
    if (!(m->cr4_mask & CR4_OSXSAVE))
        return;
    if (subleaf == 0) {
        out[0] = m->xcr0_mask;
        out[1] = xsave_size(m, cpu->xcr0, false);
        out[2] = xsave_size(m, m->xcr0_mask, false);
    } else if (subleaf == 1 && (out[0] & 10)) {
        out[1] = xsave_size(m, cpu->xcr0 | cpu->xss, true);
    }
}

// Topology: each CPU is a package of one core with one thread. SDM vol. 3A, section 9.9.
static void query_topology(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    out[0] = 0;
    out[1] = subleaf < 2;
    out[2] = subleaf | (subleaf < 2 ? (subleaf + 1) << 8 : 0);
    out[3] = apic_id(cpu);
}

void cpu_model_query(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    const struct cpu_model *m = cpu->model;
    bool indexed = leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd || leaf == 0x8000001d;
    uint32_t sub = indexed ? subleaf : 0;
    const struct cpuid_leaf *l = NULL, *top;
    out[0] = out[1] = out[2] = out[3] = 0;
    top = leaf >> 28 == 4 ? cpu_model_leaf(m, 0x40000000, 0) : cpu_model_leaf(m, leaf & 0x80000000, 0);
    if (!top || leaf > top->eax)
        return; // beyond the last leaf: zero, as AMD has it
    l = cpu_model_leaf(m, leaf, sub);
    if (l) {
        out[0] = l->eax;
        out[1] = l->ebx;
        out[2] = l->ecx;
        out[3] = l->edx;
    }
    switch (leaf) {
    case 1:
        out[1] |= apic_id(cpu) << 24;
        if (cpu->cr4 & CR4_OSXSAVE)
            out[2] |= BIT(27);
        break;
    case 0xb: query_topology(cpu, sub, out); break;
    case 0xd: query_xsave(cpu, sub, out); break;
    case 0x8000001e:
        if (m->is_amd)
            out[0] = out[1] = apic_id(cpu); // APIC id; core id, one thread per core
        break;
    }
}
