// SPDX-License-Identifier: MIT
// CPU models: CPUID as a table, edited by -cpu NAME,+feat,-feat.
#pragma once

#include "base/types.h"

struct cpu;

struct cpuid_leaf {
    uint32_t leaf, subleaf, eax, ebx, ecx, edx;
};

struct cpu_model {
    char name[32];
    struct cpuid_leaf leaves[64];
    unsigned count;
    uint8_t maxphyaddr, max_linear;
    uint64_t xcr0_mask; // XCR0 bits the guest may set
    uint64_t cr4_mask;  // CR4 bits that exist
    uint64_t efer_mask;
    bool has_pcid, has_smap, has_smep, has_umip, has_fsgsbase, has_rdtscp, has_xsaves, has_nx, has_1g, has_x2apic,
        has_invpcid;
    bool is_amd;
    uint32_t tsc_khz; // of the host, which the guest's TSC ticks with
    // XSAVE components in the standard format: where they are on this host; size 0: not carried.
    struct {
        uint32_t offset, size;
        bool align64;
    } xcomp[8];
};

// Builds a model from the -cpu argument, e.g. "max", "qemu64,+avx2,-smap". Returns 0, or -EINVAL with a
// one-line message for the user. "max": all that the host has and ring3 runs fast.
int cpu_model_parse(const char *arg, struct cpu_model *out, char err[160]);
void cpu_model_help(void (*print)(const char *line)); // -cpu help
// The model's own entry of a leaf, or NULL.
const struct cpuid_leaf *cpu_model_leaf(const struct cpu_model *m, uint32_t leaf, uint32_t subleaf);
// CPUID as the guest sees it now (OSXSAVE, APIC id, sizes of XCR0's areas depend on state).
void cpu_model_query(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
