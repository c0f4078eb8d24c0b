// SPDX-License-Identifier: MIT
// The tables of CPU models: features by name, and what each model starts from.
#pragma once

#include "base/types.h"

enum cpuid_reg { R_EAX, R_EBX, R_ECX, R_EDX };

enum feature_kind {
    NATIVE,       // user-level instructions that the host executes: only if the host has them
    EMULATED,     // system features that ring3 implements whatever the host has
    EMULATED_AMD, // the same, for models of that vendor
    EMULATED_INTEL,
    OPTIONAL, // implemented, on request only
    REFUSED,  // known by name, not implemented
};

struct cpu_feature {
    const char *name;
    uint32_t leaf;
    uint8_t subleaf, reg, bit, kind;
    const char *needs; // a feature it makes no sense without, or NULL
};
extern const struct cpu_feature cpu_features[];
extern const unsigned cpu_feature_count;

struct cpu_model_def {
    const char *name, *help;
    const char *vendor; // NULL: the host's
    unsigned family, model, stepping;
    uint32_t level, xlevel;
    const char *brand;    // NULL: the host's
    const char *features; // NULL: all that are NATIVE and the host has, and EMULATED
};
extern const struct cpu_model_def cpu_model_defs[];
extern const unsigned cpu_model_def_count;

// Leaves that are constants: caches of one core. vendor 'A' or 'I', or 0 for both.
struct cpuid_const {
    char vendor;
    uint32_t leaf, subleaf, eax, ebx, ecx, edx;
};
extern const struct cpuid_const cpuid_consts[];
extern const unsigned cpuid_const_count;
