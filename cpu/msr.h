// SPDX-License-Identifier: MIT
// MSRs: what other files of cpu/ need of msr.c.
#pragma once

#include "cpu/state.h"

void cpu_msr_reset(struct cpu *cpu); // power-on values
// Both return false where the architecture says #GP.
bool cpu_msr_read(struct cpu *cpu, uint32_t msr, uint64_t *v);
bool cpu_msr_write(struct cpu *cpu, uint32_t msr, uint64_t v);
