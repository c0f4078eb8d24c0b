// SPDX-License-Identifier: MIT
// -kernel behind the firmware: an option ROM that is first in the boot order, and the port at which it calls us.
#pragma once

#include "frontends/keyval.h"
#include "softmmu/address_space.h"

struct fw_cfg;
struct boot_order;

enum { KERNEL_ROM_PORT = 0x51c };

// entered: called on the vCPU thread with the big lock held when the firmware has handed over.
int kernel_rom_add(struct fw_cfg *f, struct boot_order *order, struct address_space *ports,
                   void (*entered)(void *opaque), void *opaque, struct err *e);
