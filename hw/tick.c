// SPDX-License-Identifier: MIT
// The PC's tick on its way to the interrupt controllers: IRQ 0, driven by the 8254 or the HPET.
#include "hw/tick.h"

#include <stdlib.h>

#include "base/loop.h"
#include "base/stats.h"
#include "hw/i8259.h"
#include "hw/ioapic.h"
#include "hw/lapic.h"

// When the timer has not ticked for so long, it was stopped or reprogrammed: what it owed is void.
#define FORGIVE_NS 100000000u

struct tick {
    struct tick_config cfg;
    bool level;
    unsigned owed;
    uint64_t last; // ns: the latest edge
};

// Is an edge latched that the CPU is to take? What a masked input has latched it is not.
static bool waiting(const struct tick *t)
{
    int vector = ioapic_edge_vector(t->cfg.ioapic, 2);
    return (vector >= 0 && lapic_requested(t->cfg.lapic, (uint8_t)vector)) ||
           (i8259_requested(t->cfg.pic, 0) && lapic_extint_open(t->cfg.lapic));
}

void tick_set_irq(void *opaque, unsigned n, bool level)
{
    struct tick *t = opaque;
    if (level && !t->level) {
        t->last = clock_now_ns();
        if (t->owed < TICK_OWED_MAX && waiting(t) && t->cfg.periodic(t->cfg.opaque)) {
            t->owed++;
            stat_inc(STAT_irq_tick_missed);
        }
    }
    t->level = level;
    irq_set(&t->cfg.line, level);
}

void tick_taken(void *opaque)
{
    struct tick *t = opaque;
    if (LIKELY(!t->owed))
        return;
    vectors_save();
    if (clock_now_ns() - t->last > FORGIVE_NS || !t->cfg.periodic(t->cfg.opaque)) {
        t->owed = 0;
        return;
    }
    if (waiting(t))
        return; // another interrupt was taken
    t->owed--;
    stat_inc(STAT_irq_tick_made_up);
    irq_set(&t->cfg.line, !t->level);
    irq_set(&t->cfg.line, t->level);
}

void tick_reset(struct tick *t)
{
    t->owed = 0;
    t->level = false;
}

struct tick *tick_create(const struct tick_config *cfg)
{
    struct tick *t = calloc(1, sizeof(*t));
    if (t)
        t->cfg = *cfg;
    return t;
}
