// SPDX-License-Identifier: MIT
// -device isa-debugcon / -debugcon: one port whose writes go to a chardev and whose reads identify it.
#pragma once

#include "hw/chardev.h"
#include "softmmu/address_space.h"

struct debugcon;

// iobase E9h, readback E9h are the defaults. NULL if out of memory.
struct debugcon *debugcon_create(struct address_space *ports, uint16_t iobase, uint8_t readback, struct chardev *chr);
