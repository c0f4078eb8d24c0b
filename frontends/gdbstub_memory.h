// SPDX-License-Identifier: MIT
// Guest memory as a debugger sees it. Big lock held, the vCPU parked.
#pragma once

#include "cpu/state.h"

// Virtual addresses go through the page tables that are current; physical: no translation. Sets no accessed and
// dirty bits, hits no watchpoint. Both return how many bytes could be done before one that is not mapped.
size_t gdb_memory_read(struct cpu *cpu, bool physical, uint64_t addr, void *buf, size_t len);
size_t gdb_memory_write(struct cpu *cpu, bool physical, uint64_t addr, const void *buf, size_t len);
