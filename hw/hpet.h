// SPDX-License-Identifier: MIT
// The high-precision event timer: a 64-bit 100 MHz counter with three comparators.
// IA-PC HPET Specification 1.0a (October 2004).
#pragma once

#include "hw/irq.h"
#include "softmmu/address_space.h"

enum { HPET_DEFAULT_BASE = 0xfed00000, HPET_TIMERS = 3, HPET_PERIOD_FS = 10000000, HPET_PINS = 24 };

struct hpet_config {
    struct address_space *mem;
    uint64_t base; // FED00000h
    // Interrupts by I/O APIC pin (pin 2 is IRQ 0 under legacy replacement, pin 8 is IRQ 8).
    void (*set_irq)(void *opaque, unsigned pin, bool level);
    void *irq_opaque;
    // Legacy replacement switched: the 8254's IRQ 0 and the RTC's IRQ 8 are disconnected while it is on.
    void (*legacy)(void *opaque, bool on);
    // FSB (MSI) delivery; may be NULL: not offered.
    void (*send_msi)(void *opaque, uint64_t addr, uint32_t data);
    void *opaque; // of legacy and send_msi
};

struct hpet;

struct hpet *hpet_create(const struct hpet_config *cfg); // NULL if out of memory
void hpet_reset(struct hpet *h);
bool hpet_ticks(const struct hpet *h, unsigned pin); // does a comparator interrupt there as i8254_ticks() does?
