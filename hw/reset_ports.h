// SPDX-License-Identifier: MIT
// Ports that reset the machine: 92h (with the fast A20 gate) and CF9h (reset control of the PIIX3).
// Intel 82371SB (PIIX3) data sheet, sections 2.5.5 and 2.5.7.
#pragma once

#include "softmmu/address_space.h"

struct reset_ports_config {
    struct address_space *ports;
    void (*reset)(void *opaque, bool hard); // hard: CF9h with bit 1
    void (*set_a20)(void *opaque, bool enabled);
    void *opaque;
    // CF9h lies inside PCI's CF8h..CFFh: it is mapped on top of it, one byte wide.
};

struct reset_ports;

struct reset_ports *reset_ports_create(const struct reset_ports_config *cfg); // NULL if out of memory
void reset_ports_reset(struct reset_ports *r);
void reset_ports_a20_changed(struct reset_ports *r, bool enabled); // by the keyboard controller
