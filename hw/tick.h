// SPDX-License-Identifier: MIT
// The PC's tick on its way to the interrupt controllers: IRQ 0, driven by the 8254 or the HPET.
//
// An interrupt controller latches one edge. When the vCPU's thread has to wait for a CPU of a crowded host, the ticks of
// that time merge into one, and a guest that counts them against another clock finds its timer broken (Linux panics:
// "IO-APIC + timer doesn't work"). So periodic ticks that find the one before still latched are owed, and delivered one
// by one as fast as the CPU takes them.
#pragma once

#include "hw/irq.h"

struct i8259;
struct ioapic;
struct lapic;

struct tick_config {
    struct irq_line line; // IRQ 0: to input 0 of pic and pin 2 of ioapic
    const struct i8259 *pic;
    const struct ioapic *ioapic;
    const struct lapic *lapic;      // the boot processor's
    bool (*periodic)(void *opaque); // does a timer tick on the line? What comes once is never owed
    void *opaque;
};

// Never so many that a guest could notice more than a burst: 100 ms at 1 kHz.
enum { TICK_OWED_MAX = 100 };

struct tick;

struct tick *tick_create(const struct tick_config *cfg); // NULL if out of memory
void tick_reset(struct tick *t);
void tick_set_irq(void *opaque, unsigned n, bool level); // an irq_line set function: what the timers drive
void tick_taken(void *opaque);                           // the CPU has acknowledged an interrupt, any
