// SPDX-License-Identifier: MIT
// Where the guest's x87, MMX, SSE and AVX state is.
//
// It stays in the host's registers while the vCPU runs translated code and the general-registers-only C
// of cpu/, softmmu/ and shadowpt/. Before anything else runs (devices, libc, Capstone) the engine calls
// cpu_fpu_save(); before guest code runs again cpu_fpu_load().
#pragma once

#include "base/vectors.h"
#include "cpu/state.h"

int cpu_fpu_init(struct cpu *cpu);  // allocates xsave; sets the reset state; 0 or -errno
void cpu_fpu_save(struct cpu *cpu); // if live: XSAVE, then the ABI's x87 control word and MXCSR
void cpu_fpu_load(struct cpu *cpu); // if not live: XRSTOR
// What runs next is C that may be instrumented (base/vectors.h).
static inline void cpu_fpu_save_sanitized(struct cpu *cpu)
{
    if (SANITIZED)
        cpu_fpu_save(cpu);
}
void cpu_fpu_reset(struct cpu *cpu); // power-on or INIT state
