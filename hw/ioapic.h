// SPDX-License-Identifier: MIT
// The 82093AA I/O APIC: 24 pins, version 20h (with the EOI register).
// Intel 82093AA data sheet (290566-001).
#pragma once

#include "hw/apic_msg.h"
#include "hw/irq.h"
#include "softmmu/address_space.h"

enum { IOAPIC_PINS = 24, IOAPIC_DEFAULT_BASE = 0xfec00000 };

struct ioapic_config {
    struct address_space *mem;
    uint64_t base; // FEC00000h
    uint8_t id;
    // lapic_bus_deliver() of hw/lapic.h with the bus as opaque.
    void (*deliver)(void *opaque, const struct apic_msg *msg);
    void *opaque;
};

struct ioapic;

struct ioapic *ioapic_create(const struct ioapic_config *cfg); // NULL if out of memory
void ioapic_reset(struct ioapic *io);
// An irq_line set function: n is the pin, 0 to 23. (PCs wire ISA IRQ 0 to pin 2.)
void ioapic_set_irq(void *opaque, unsigned pin, bool level);
// A local APIC's EOI broadcast; the opaque is the struct ioapic (see lapic_bus_set_eoi).
void ioapic_eoi(void *opaque, uint8_t vector);
// The vector that an edge on the pin asks a CPU for; -1: masked, level-triggered or no vector.
int ioapic_edge_vector(const struct ioapic *io, unsigned pin);
void ioapic_info(const struct ioapic *io, void (*print)(void *opaque, const char *line), void *opaque);
