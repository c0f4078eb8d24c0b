// SPDX-License-Identifier: MIT
// The high-precision event timer: a 64-bit 100 MHz counter with three comparators.
#include "hw/hpet.h"

#include <stdlib.h>

#include "base/vectors.h"
#include "hw/timebase.h"

// IA-PC HPET Specification 1.0a, section 2.3 "Register Model".
// clang-format off
enum { REG_CAP = 0x000, REG_CONF = 0x010, REG_STATUS = 0x020, REG_COUNTER = 0x0f0, REG_TIMER = 0x100,
       TIMER_STRIDE = 0x20, TN_CONF = 0x00, TN_CMP = 0x08, TN_FSB = 0x10, HPET_SIZE = 0x400 };
// clang-format on
enum { CONF_ENABLE = 1, CONF_LEGACY = 2 };
// clang-format off
enum {
    TN_LEVEL = 1 << 1, TN_INT_ENABLE = 1 << 2, TN_PERIODIC = 1 << 3, TN_PERIODIC_CAP = 1 << 4,
    TN_SIZE_CAP = 1 << 5, TN_VAL_SET = 1 << 6, TN_32BIT = 1 << 8, TN_ROUTE_SHIFT = 9,
    TN_ROUTE = 31 << TN_ROUTE_SHIFT, TN_FSB_EN = 1 << 14, TN_FSB_CAP = 1 << 15,
    TN_WRITABLE = TN_LEVEL | TN_INT_ENABLE | TN_PERIODIC | TN_VAL_SET | TN_32BIT | TN_ROUTE | TN_FSB_EN,
};
// clang-format on
#define HPET_HZ (1000000000000000u / HPET_PERIOD_FS)
#define CAPABILITIES ((uint64_t)HPET_PERIOD_FS << 32 | 0x80860000u | 1u << 15 | 1u << 13 | (HPET_TIMERS - 1) << 8 | 1)
// Any pin that no ISA device or PIRQ owns edge-triggered, and IRQ 0's and 8's for legacy replacement.
#define ROUTES 0x00f00104ull

struct hpet_timer {
    struct hpet *hpet;
    unsigned n;
    uint64_t conf, cmp, period, fsb;
    bool asserted; // drives a line high (level-triggered)
    unsigned pin;  // that line
    struct loop_timer *timer;
    uint64_t due; // ns: the match that it waits for
};

struct hpet {
    struct hpet_config cfg;
    uint64_t conf, status;
    uint64_t counter; // while stopped; else its value at start
    uint64_t start;   // ns
    struct hpet_timer timer[HPET_TIMERS];
};

// What is done at one time is done by one reading of the clock (now, ns): the thread may have to wait for a CPU between
// two, and a match that falls in between would be taken for the one after the counter has come round.
static uint64_t counter_at(const struct hpet *h, uint64_t now)
{
    if (!(h->conf & CONF_ENABLE))
        return h->counter;
    return h->counter + timebase_ticks(now - h->start, HPET_HZ);
}

static uint64_t width_mask(const struct hpet_timer *t) { return t->conf & TN_32BIT ? 0xffffffffull : UINT64_MAX; }

// --- interrupts

static unsigned timer_pin(const struct hpet_timer *t)
{
    if (t->hpet->conf & CONF_LEGACY && t->n < 2)
        return t->n == 0 ? 2 : 8;
    return (t->conf & TN_ROUTE) >> TN_ROUTE_SHIFT;
}

static void timer_lower(struct hpet_timer *t)
{
    if (t->asserted)
        t->hpet->cfg.set_irq(t->hpet->cfg.irq_opaque, t->pin, false);
    t->asserted = false;
}

// A level-triggered timer follows its status bit.
static void timer_update_line(struct hpet_timer *t)
{
    struct hpet *h = t->hpet;
    bool want = t->conf & TN_LEVEL && t->conf & TN_INT_ENABLE && !(t->conf & TN_FSB_EN) && h->conf & CONF_ENABLE &&
                h->status & BIT(t->n);
    if (t->asserted && (!want || t->pin != timer_pin(t)))
        timer_lower(t);
    if (!want || t->asserted || timer_pin(t) >= HPET_PINS)
        return;
    t->pin = timer_pin(t);
    t->asserted = true;
    h->cfg.set_irq(h->cfg.irq_opaque, t->pin, true);
}

static void timer_interrupt(struct hpet_timer *t)
{
    struct hpet *h = t->hpet;
    if (t->conf & TN_LEVEL)
        h->status |= BIT(t->n); // whether or not the interrupt is enabled
    if (!(t->conf & TN_INT_ENABLE))
        return;
    if (t->conf & TN_FSB_EN) {
        if (h->cfg.send_msi)
            h->cfg.send_msi(h->cfg.opaque, t->fsb >> 32, (uint32_t)t->fsb);
    } else if (t->conf & TN_LEVEL) {
        timer_update_line(t);
    } else if (timer_pin(t) < HPET_PINS) {
        h->cfg.set_irq(h->cfg.irq_opaque, timer_pin(t), true);
        h->cfg.set_irq(h->cfg.irq_opaque, timer_pin(t), false);
    }
}

// --- comparators

// after: the match at hand has been served; a 32-bit comparator matches again when the counter comes round.
static void timer_arm_next(struct hpet_timer *t, uint64_t now, bool after)
{
    struct hpet *h = t->hpet;
    uint64_t delta = ((t->cmp - counter_at(h, now) - after) & width_mask(t)) + after;
    // A 64-bit comparator behind the counter waits thousands of years: as good as never.
    if (!(h->conf & CONF_ENABLE) || !(t->conf & (TN_INT_ENABLE | TN_LEVEL)) || delta > INT64_MAX) {
        loop_timer_del(t->timer);
        return;
    }
    t->due = timebase_add(now, timebase_ns(delta, HPET_HZ));
    timebase_arm(t->timer, now, t->due);
}

static void timer_arm(struct hpet_timer *t, uint64_t now) { timer_arm_next(t, now, false); }

// Periods that a late host let pass are interrupts still: those of 100 ms, if they are no shorter than 50 us.
#define MAKE_UP_TICKS ((uint64_t)HPET_HZ / 10)
#define MAKE_UP_PERIOD ((uint64_t)HPET_HZ / 20000)

static void timer_fired(void *opaque)
{
    struct hpet_timer *t = opaque;
    uint64_t mask = width_mask(t), missed = 0, now = clock_now_ns();
    if (t->conf & TN_PERIODIC && t->period) {
        // The comparator moves on to the first match that is still to come.
        uint64_t behind = (counter_at(t->hpet, now) - t->cmp) & mask, periods = behind / t->period + 1;
        t->cmp = (t->cmp + periods * t->period) & mask;
        if (t->period >= MAKE_UP_PERIOD)
            missed = (behind < MAKE_UP_TICKS ? behind : MAKE_UP_TICKS) / t->period;
    }
    if (t->conf & TN_PERIODIC ? t->period != 0 : t->conf & TN_32BIT)
        timer_arm_next(t, now, true);
    timer_interrupt(t);
    for (; missed && !(t->conf & (TN_LEVEL | TN_FSB_EN)); missed--)
        timer_interrupt(t);
}

// Before a register changes: matches that have happened, and which a late host has not looked at yet, count.
static void serve_due(struct hpet *h, uint64_t now)
{
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        struct hpet_timer *t = &h->timer[i];
        if (!loop_timer_pending(t->timer) || t->due > now)
            continue;
        loop_timer_del(t->timer);
        timer_fired(t);
    }
}

static void write_conf(struct hpet_timer *t, uint64_t v, uint64_t now)
{
    uint64_t writable = TN_WRITABLE;
    if (!t->hpet->cfg.send_msi)
        writable &= ~(uint64_t)TN_FSB_EN;
    t->conf = (t->conf & ~writable) | (v & writable);
    if (t->conf & TN_32BIT) {
        t->cmp &= 0xffffffff;
        t->period &= 0xffffffff;
    }
    timer_update_line(t);
    timer_arm(t, now);
}

static void write_cmp(struct hpet_timer *t, uint64_t v, uint64_t now)
{
    v &= width_mask(t);
    if (!(t->conf & TN_PERIODIC) || t->conf & TN_VAL_SET)
        t->cmp = v;
    if (t->conf & TN_PERIODIC)
        t->period = v;
    t->conf &= ~(uint64_t)TN_VAL_SET; // "hardware will automatically clear it"
    timer_arm(t, now);
}

// --- registers

static uint64_t reg_read(struct hpet *h, uint64_t reg)
{
    switch (reg) {
    case REG_CAP: return CAPABILITIES;
    case REG_CONF: return h->conf;
    case REG_STATUS: return h->status;
    case REG_COUNTER: return counter_at(h, clock_now_ns());
    }
    unsigned n = (unsigned)(reg - REG_TIMER) / TIMER_STRIDE;
    if (reg < REG_TIMER || n >= HPET_TIMERS)
        return 0;
    const struct hpet_timer *t = &h->timer[n];
    switch ((reg - REG_TIMER) % TIMER_STRIDE) {
    case TN_CONF: return t->conf;
    case TN_CMP: return t->cmp;
    case TN_FSB: return t->fsb;
    default: return 0;
    }
}

static void write_general(struct hpet *h, uint64_t v, uint64_t now)
{
    uint64_t changed = h->conf ^ (v & (CONF_ENABLE | CONF_LEGACY));
    if (changed & CONF_ENABLE) {
        h->counter = counter_at(h, now);
        h->start = now;
    }
    h->conf ^= changed;
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        timer_update_line(&h->timer[i]);
        timer_arm(&h->timer[i], now);
    }
    if (changed & CONF_LEGACY && h->cfg.legacy)
        h->cfg.legacy(h->cfg.opaque, h->conf & CONF_LEGACY);
}

static void write_timer(struct hpet *h, uint64_t reg, uint64_t v, uint64_t now)
{
    unsigned n = (unsigned)(reg - REG_TIMER) / TIMER_STRIDE;
    if (reg < REG_TIMER || n >= HPET_TIMERS)
        return;
    struct hpet_timer *t = &h->timer[n];
    switch ((reg - REG_TIMER) % TIMER_STRIDE) {
    case TN_CONF: write_conf(t, v, now); break;
    case TN_CMP: write_cmp(t, v, now); break;
    case TN_FSB: t->fsb = v; break;
    }
}

static void reg_write(struct hpet *h, uint64_t reg, uint64_t v)
{
    uint64_t now = clock_now_ns();
    serve_due(h, now);
    switch (reg) {
    case REG_CONF: write_general(h, v, now); break;
    case REG_STATUS:
        h->status &= ~v;
        for (unsigned i = 0; i < HPET_TIMERS; i++)
            timer_update_line(&h->timer[i]);
        break;
    case REG_COUNTER: // only meant to be written while stopped
        h->counter = v;
        h->start = now;
        for (unsigned i = 0; i < HPET_TIMERS; i++)
            timer_arm(&h->timer[i], now);
        break;
    default: write_timer(h, reg, v, now); break;
    }
}

static uint64_t hpet_read(void *opaque, uint64_t offset, unsigned size)
{
    uint64_t v = reg_read(opaque, offset & ~7ull);
    return size == 8 ? v : v >> 8 * (offset & 4) & 0xffffffff;
}

static void hpet_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    vectors_save(); // lines, messages and the board may follow
    uint64_t reg = offset & ~7ull;
    if (size == 4) { // the other half stays; status bits that are written 0 do
        uint64_t old = reg == REG_STATUS ? 0 : reg_read(opaque, reg);
        value = offset & 4 ? (old & 0xffffffff) | value << 32 : (old & ~0xffffffffull) | (value & 0xffffffff);
    }
    reg_write(opaque, reg, value);
}

static const struct io_ops hpet_ops = {
    .read = hpet_read, .write = hpet_write, .min_size = 4, .max_size = 8, .gpr_only = true};

bool hpet_ticks(const struct hpet *h, unsigned pin)
{
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        const struct hpet_timer *t = &h->timer[i];
        if (h->conf & CONF_ENABLE && t->conf & TN_PERIODIC && t->conf & TN_INT_ENABLE && t->period >= MAKE_UP_PERIOD &&
            timer_pin(t) == pin)
            return true;
    }
    return false;
}

// --- life

void hpet_reset(struct hpet *h)
{
    if (h->conf & CONF_LEGACY && h->cfg.legacy)
        h->cfg.legacy(h->cfg.opaque, false);
    h->conf = h->status = h->counter = 0;
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        struct hpet_timer *t = &h->timer[i];
        timer_lower(t);
        loop_timer_del(t->timer);
        t->conf = ROUTES << 32 | TN_PERIODIC_CAP | TN_SIZE_CAP | (h->cfg.send_msi ? TN_FSB_CAP : 0);
        t->cmp = UINT64_MAX;
        t->period = t->fsb = 0;
    }
}

struct hpet *hpet_create(const struct hpet_config *cfg)
{
    struct hpet *h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    h->cfg = *cfg;
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        h->timer[i] = (struct hpet_timer){.hpet = h, .n = i};
        h->timer[i].timer = loop_timer_new(timer_fired, &h->timer[i]);
        if (!h->timer[i].timer)
            return NULL; // start-up fails as a whole: nothing is taken apart
    }
    if (!as_map_io(cfg->mem, "hpet", cfg->base, HPET_SIZE, &hpet_ops, h, 0))
        return NULL;
    hpet_reset(h);
    return h;
}
