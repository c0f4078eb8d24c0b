// SPDX-License-Identifier: MIT
// The local APIC's timer: one-shot, periodic and TSC-deadline.
// SDM vol. 3A, section 10.5.4 "APIC Timer".
#include <errno.h>

#include "cpu/state.h"
#include "hw/lapic_internal.h"
#include "hw/timebase.h"

_Static_assert(LAPIC_TIMER_HZ == 1000000000, "one count before division is one ns");

static unsigned timer_mode(const struct lapic *l) { return l->lvt[LVT_TIMER] >> LVT_TIMER_MODE_SHIFT & 3; }

// Figure 10-10: 000b divides by 2, ... 110b by 128, 111b by 1.
static unsigned divide_shift(const struct lapic *l) { return ((l->divide & 3) + (l->divide >> 1 & 4) + 1) & 7; }

static uint64_t period_ns(const struct lapic *l) { return (uint64_t)l->initial_count << divide_shift(l); }

static uint64_t guest_tsc(const struct lapic *l)
{
    return l->cfg.guest_tsc ? l->cfg.guest_tsc(l->cfg.opaque) : __builtin_ia32_rdtsc() + l->cfg.cpu->tsc_offset;
}

static void arm_deadline(struct lapic *l)
{
    uint64_t tsc = guest_tsc(l), now = clock_now_ns();
    if (!l->deadline) {
        loop_timer_del(l->timer);
    } else if (tsc >= l->deadline) {
        l->deadline = 0; // "when the timer generates an interrupt, it disarms itself and clears the MSR"
        loop_timer_del(l->timer);
        lapic_lvt_fire(l, LVT_TIMER);
    } else {
        uint64_t wait = timebase_muldiv(l->deadline - tsc, 1000000000u, l->cfg.tsc_hz);
        loop_timer_mod(l->timer, timebase_add(timebase_add(now, wait), 1));
    }
}

static void arm_count(struct lapic *l)
{
    uint64_t now = clock_now_ns(), period = period_ns(l), elapsed = now - l->start;
    bool periodic = timer_mode(l) == TIMER_PERIODIC;
    // A masked timer counts on, but nobody needs to be told.
    if (!period || l->lvt[LVT_TIMER] & LVT_MASKED || (!periodic && elapsed >= period)) {
        loop_timer_del(l->timer);
        return;
    }
    uint64_t next = l->start + (elapsed / period + 1) * period;
    if (periodic)
        timebase_arm(l->timer, now, next);
    else
        loop_timer_mod(l->timer, next);
}

static void arm(struct lapic *l)
{
    if (timer_mode(l) == TIMER_TSC_DEADLINE)
        arm_deadline(l);
    else
        arm_count(l);
}

static void timer_fired(void *opaque)
{
    struct lapic *l = opaque;
    if (timer_mode(l) == TIMER_TSC_DEADLINE) {
        arm_deadline(l); // fires, or waits for the rest if the clocks differ a little
        return;
    }
    lapic_lvt_fire(l, LVT_TIMER);
    if (timer_mode(l) == TIMER_PERIODIC) // periods that were missed merge into this interrupt
        arm_count(l);
}

void lapic_timer_set_initial(struct lapic *l, uint32_t count)
{
    if (timer_mode(l) == TIMER_TSC_DEADLINE)
        return; // "writes to the initial-count register are ignored"
    l->initial_count = count;
    l->start = clock_now_ns();
    arm(l);
}

void lapic_timer_set_divide(struct lapic *l, uint32_t divide)
{
    uint64_t now = clock_now_ns(), counts = (now - l->start) >> divide_shift(l);
    l->divide = divide;
    uint64_t elapsed = counts << divide_shift(l);
    l->start = elapsed <= now ? now - elapsed : 0; // what was counted stays counted
    arm(l);
}

void lapic_timer_set_lvt(struct lapic *l, uint32_t old)
{
    bool was_deadline = (old >> LVT_TIMER_MODE_SHIFT & 3) == TIMER_TSC_DEADLINE;
    if (was_deadline != (timer_mode(l) == TIMER_TSC_DEADLINE)) { // the switch disarms the timer
        l->initial_count = 0;
        l->deadline = 0;
    }
    arm(l);
}

uint32_t lapic_timer_current(const struct lapic *l)
{
    if (!l->initial_count || timer_mode(l) == TIMER_TSC_DEADLINE)
        return 0;
    uint64_t counts = (clock_now_ns() - l->start) >> divide_shift(l);
    if (timer_mode(l) == TIMER_PERIODIC)
        return l->initial_count - (uint32_t)(counts % l->initial_count);
    return counts >= l->initial_count ? 0 : l->initial_count - (uint32_t)counts;
}

void lapic_timer_set_deadline(struct lapic *l, uint64_t tsc)
{
    if (timer_mode(l) != TIMER_TSC_DEADLINE)
        return;
    l->deadline = tsc;
    arm_deadline(l);
}

uint64_t lapic_timer_get_deadline(const struct lapic *l) { return l->deadline; }

void lapic_timer_reset(struct lapic *l)
{
    l->initial_count = l->divide = 0;
    l->deadline = 0;
    loop_timer_del(l->timer);
}

int lapic_timer_init(struct lapic *l)
{
    if (!l->cfg.tsc_hz)
        l->cfg.tsc_hz = clock_tsc_hz();
    l->timer = loop_timer_new(timer_fired, l);
    return l->timer ? 0 : -ENOMEM;
}
