// SPDX-License-Identifier: MIT
// -device isa-debug-exit: a write of v ends the process with status (v << 1) | 1.
#pragma once

#include "softmmu/address_space.h"

struct isa_debug_exit;

// iobase 501h and iosize 2 are QEMU's defaults. exit_fn gets the status. NULL if out of memory.
struct isa_debug_exit *isa_debug_exit_create(struct address_space *ports, uint16_t iobase, uint16_t iosize,
                                             void (*exit_fn)(void *opaque, int status), void *opaque);
