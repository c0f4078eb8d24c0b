// SPDX-License-Identifier: MIT
// PIIX3 ISA bridge (82371SB, PCI function 01.0): PIRQ routing. (Its port CF9h is in hw/reset_ports.h.)
//
// The board gives pci_bus_config.set_pirq a function that calls piix3_set_pirq. A PIRQ that PIRQRC[A:D]
// (60h-63h) routes to an ISA IRQ drives set_isa_irq; the board feeds that into the 8259s and the I/O APIC.
#pragma once

#include "hw/pci.h"

struct piix3;
struct piix3_config {
    struct pci_bus *bus;
    // The OR of all PIRQs routed to ISA IRQ irq (3..7, 9..12, 14, 15). The board ORs in nothing else on
    // a PCI IRQ, since the line is level-triggered.
    void (*set_isa_irq)(void *opaque, unsigned irq, bool level);
    // PIRQ routing changed (to show in `info irq`, or to set ELCR); may be NULL.
    void (*routes_changed)(void *opaque, const uint8_t irq_of_pirq[4]); // 0: not routed
    void *opaque;
};
struct piix3 *piix3_create(const struct piix3_config *cfg); // NULL if out of memory or slot 1 is taken
void piix3_set_pirq(struct piix3 *p, unsigned pirq, bool level);
// For a board without firmware: routes PIRQ A..D to these ISA IRQs.
void piix3_set_routes(struct piix3 *p, const uint8_t irq_of_pirq[4]);
