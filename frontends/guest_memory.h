// SPDX-License-Identifier: MIT
// The guest's memory as a debugger sees it: RAM and ROM only, since reading a device has effects;
// and, by physical address, the VGA's window.
#pragma once

#include "frontends/keyval.h"

struct machine;

// Big lock held and the CPU held or stopped (for virtual addresses, which its page tables translate). False: some
// of it is not mapped, or no memory.
bool guest_memory_read(struct machine *m, uint64_t addr, bool physical, void *buf, size_t len);
// Writes [addr, addr + size) to a file, which is created or emptied. Big lock held; holds the CPU itself. 0 or
// -EINVAL with a message.
int guest_memory_save(struct machine *m, uint64_t addr, bool physical, uint64_t size, const char *path, struct err *e);
