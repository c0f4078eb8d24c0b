// SPDX-License-Identifier: MIT
// The IDE function of the PIIX3 (82371SB, PCI function 01.1): two channels at their legacy ports, and a bus master.
//
// BAR 4, 16 ports, 8 for each channel:
//   0  BMIC    start/stop (bit 0), direction (bit 3: 1 writes to memory)
//   2  BMIS    active (0), error (1), interrupt (2), drive 0/1 can do DMA (5, 6)
//   4  BMIDTP  address of the descriptor table: base | byte count (0: 64 KiB) | bit 31 ends the table
#pragma once

#include "hw/ide.h"
#include "hw/pci.h"

struct piix3_ide;
struct piix3_ide_config {
    struct pci_bus *bus;
    struct address_space *ports;
    struct irq_line irq[2]; // ISA IRQ 14 and 15
};
struct piix3_ide *piix3_ide_create(const struct piix3_ide_config *cfg); // NULL: out of memory, or 01.1 is taken
struct ide_channel *piix3_ide_channel(struct piix3_ide *p, unsigned n);
// For a board without firmware: makes both channels decode their ports.
void piix3_ide_enable(struct piix3_ide *p);
// What the BIOS reads about the disks: set(index, value) for CMOS 12h, 19h to 2Ch and 39h.
void piix3_ide_cmos(struct piix3_ide *p, void (*set)(void *opaque, uint8_t index, uint8_t value), void *opaque);
