// SPDX-License-Identifier: MIT
// The 8254 programmable interval timer: three 16-bit counters at 1.193182 MHz.
//
// Nothing counts here. A counter is its reload value and the time at which it was loaded; what the guest
// reads is worked out from clock_now_ns(). Only counter 0 owns a host timer, for the next rising edge of
// its output: a low pulse between two edges is shown to the IRQ line as low, high at the same moment.
#include "hw/i8254.h"

#include <stdlib.h>

#include "hw/timebase.h"

enum { RW_LATCH = 0, RW_LSB = 1, RW_MSB = 2, RW_BOTH = 3 };
enum { CW_BCD = 0x01, CW_MODE_SHIFT = 1, CW_RW_SHIFT = 4, CW_SC_SHIFT = 6, SC_READ_BACK = 3 };
enum { READ_BACK_NO_COUNT = 0x20, READ_BACK_NO_STATUS = 0x10 };
enum { STATUS_OUT = 0x80, STATUS_NULL = 0x40 };
// How far back counter 0 delivers the ticks that a late host let pass.
#define CATCH_UP_NS 100000000u
// Faster ticks (50 us) come one at a time, as far apart as timebase_arm() lets them.
enum { CATCH_UP_RELOAD = I8254_HZ / 20000 };

struct i8254_counter {
    uint8_t mode, rw;
    bool bcd, gate;
    bool loaded;          // a count was written since the control word
    bool triggered;       // modes 1 and 5: by a rising edge of the gate
    uint32_t reload;      // 1 to 65536 (10000)
    uint32_t next_reload; // modes 2 and 3: takes over at switch_tick; 0: none
    uint64_t switch_tick;
    uint64_t start; // ns: when counting began
    bool frozen;    // the gate stopped it (modes 0, 2, 3, 4)
    uint64_t frozen_ticks;
    uint8_t write_lsb;
    bool write_high, read_high; // next byte of a two-byte access is the high one
    bool count_latched, status_latched;
    uint16_t latched_count;
    uint8_t latched_status;
};

struct i8254 {
    struct i8254_counter counter[3];
    struct irq_line irq0;
    bool disconnected;
    struct loop_timer *timer;
    uint64_t edge; // ns: the rising edge the timer stands for
};

// --- what a counter shows at a time

static uint32_t counter_modulus(const struct i8254_counter *c) { return c->bcd ? 10000 : 65536; }

static uint64_t counter_ticks(const struct i8254_counter *c, uint64_t now)
{
    if (c->frozen)
        return c->frozen_ticks;
    return now > c->start ? timebase_ticks(now - c->start, I8254_HZ) : 0;
}

// A count written to a running counter in modes 2 and 3 takes over when its period ends.
static void counter_sync(struct i8254_counter *c, uint64_t now)
{
    if (!c->next_reload || counter_ticks(c, now) < c->switch_tick)
        return;
    if (c->frozen)
        c->frozen_ticks = 0;
    else
        c->start += timebase_ns(c->switch_tick, I8254_HZ);
    c->reload = c->next_reload;
    c->next_reload = 0;
}

static bool counter_out(const struct i8254_counter *c, uint64_t now)
{
    if (!c->loaded)
        return c->mode != 0;
    uint64_t d = counter_ticks(c, now);
    switch (c->mode) {
    case 0: return d >= c->reload;
    case 1: return !c->triggered || d >= c->reload;
    case 2: return c->frozen || d % c->reload != c->reload - 1;
    case 3: return c->frozen || d % c->reload < (c->reload + 1) / 2;
    case 4: return d != c->reload;
    default: return !c->triggered || d != c->reload;
    }
}

static uint16_t to_bcd(uint32_t v)
{
    return (uint16_t)(v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12);
}

static uint32_t from_bcd(uint16_t v)
{
    return (v & 15u) + (v >> 4 & 15u) * 10 + (v >> 8 & 15u) * 100 + (v >> 12 & 15u) * 1000;
}

static uint16_t counter_value(const struct i8254_counter *c, uint64_t now)
{
    uint32_t modulus = counter_modulus(c), n = c->reload ? c->reload : modulus, v;
    uint64_t d = c->loaded ? counter_ticks(c, now) : 0;
    switch (c->mode) {
    case 2: v = n - (uint32_t)(d % n); break;
    case 3: { // counts by two, over each half of the period; an odd count starts one lower
        uint32_t phase = (uint32_t)(d % n), high = (n + 1) / 2;
        v = (n & ~1u) - 2 * (phase < high ? phase : phase - high);
        break;
    }
    default: // wraps and goes on
        v = (uint32_t)((n + (uint64_t)modulus - d % modulus) % modulus);
        break;
    }
    v %= modulus;
    return c->bcd ? to_bcd(v) : (uint16_t)v;
}

// --- counter 0's interrupt

// Ticks until OUT next rises, counted from the load, after tick d; 0: never.
static uint64_t counter_next_rise(const struct i8254_counter *c, uint64_t d)
{
    if (!c->loaded || c->frozen || ((c->mode == 1 || c->mode == 5) && !c->triggered))
        return 0;
    if (c->mode == 2 || c->mode == 3)
        return (d / c->reload + 1) * c->reload;
    uint64_t rise = c->mode >= 4 ? c->reload + 1 : c->reload;
    return d < rise ? rise : 0;
}

// Finds the first edge after a time. False: there is none.
static bool irq0_next(struct i8254 *t, uint64_t after)
{
    struct i8254_counter *c = &t->counter[0];
    uint64_t rise = counter_next_rise(c, counter_ticks(c, after));
    t->edge = c->start + timebase_ns(rise, I8254_HZ);
    return rise;
}

static void irq0_arm(struct i8254 *t, uint64_t now, uint64_t after)
{
    if (irq0_next(t, after))
        timebase_arm(t->timer, now, t->edge);
    else
        loop_timer_del(t->timer);
}

static void irq0_show(struct i8254 *t, bool level)
{
    if (!t->disconnected)
        irq_set(&t->irq0, level);
}

static void irq0_fired(void *opaque)
{
    struct i8254 *t = opaque;
    uint64_t now = clock_now_ns();
    // Late ticks are made up for. What lies further back is forgotten: time has stood still for the guest.
    if (i8254_get_period(t, 0) && now > t->edge + CATCH_UP_NS) {
        counter_sync(&t->counter[0], now - CATCH_UP_NS);
        irq0_next(t, now - CATCH_UP_NS);
    }
    uint64_t edge;
    do {
        irq0_show(t, false);
        irq0_show(t, true);
        counter_sync(&t->counter[0], edge = t->edge);
    } while (t->counter[0].reload >= CATCH_UP_RELOAD && irq0_next(t, edge) && t->edge <= now);
    irq0_arm(t, now, edge);
}

// After any change to counter n.
static void counter_changed(struct i8254 *t, unsigned n, uint64_t now)
{
    if (n != 0)
        return;
    irq0_show(t, counter_out(&t->counter[0], now));
    irq0_arm(t, now, now);
}

// --- registers

static void counter_load(struct i8254_counter *c, uint16_t raw, uint64_t now)
{
    uint32_t n = c->bcd ? from_bcd(raw) : raw;
    if (n == 0 || n > counter_modulus(c))
        n = counter_modulus(c);
    if ((c->mode == 2 || c->mode == 3) && n == 1)
        n = 2; // "a count of 1 is illegal" in mode 2
    if (c->loaded && (c->mode == 2 || c->mode == 3)) {
        uint64_t d = counter_ticks(c, now);
        c->next_reload = n;
        c->switch_tick = (d / c->reload + 1) * c->reload;
        return;
    }
    c->reload = n;
    c->loaded = true;
    if (c->mode == 1 || c->mode == 5) {
        return; // waits for the gate; a one-shot under way goes on
    }
    c->start = now;
    c->frozen = !c->gate;
    c->frozen_ticks = 0;
}

static void counter_write(struct i8254 *t, unsigned n, uint8_t v, uint64_t now)
{
    struct i8254_counter *c = &t->counter[n];
    counter_sync(c, now);
    switch (c->rw) {
    case RW_LSB: counter_load(c, v, now); break;
    case RW_MSB: counter_load(c, (uint16_t)(v << 8), now); break;
    default:
        if (!c->write_high) {
            c->write_lsb = v;
            c->write_high = true;
            if (c->mode == 0 && c->loaded) // "the first byte disables counting", OUT goes low
                c->loaded = false;
            break;
        }
        c->write_high = false;
        counter_load(c, (uint16_t)(v << 8 | c->write_lsb), now);
        break;
    }
    counter_changed(t, n, now);
}

static void counter_latch_count(struct i8254_counter *c, uint64_t now)
{
    if (c->count_latched)
        return; // held until read
    c->latched_count = counter_value(c, now);
    c->count_latched = true;
}

static void counter_latch_status(struct i8254_counter *c, uint64_t now)
{
    if (c->status_latched)
        return;
    bool null_count = !c->loaded || c->next_reload;
    c->latched_status = (uint8_t)((counter_out(c, now) ? STATUS_OUT : 0) | (null_count ? STATUS_NULL : 0) |
                                  c->rw << CW_RW_SHIFT | c->mode << CW_MODE_SHIFT | (c->bcd ? CW_BCD : 0));
    c->status_latched = true;
}

static void control_write(struct i8254 *t, uint8_t v, uint64_t now)
{
    unsigned n = v >> CW_SC_SHIFT;
    if (n == SC_READ_BACK) {
        for (unsigned i = 0; i < 3; i++) {
            struct i8254_counter *c = &t->counter[i];
            if (!(v & (2u << i)))
                continue;
            counter_sync(c, now);
            if (!(v & READ_BACK_NO_COUNT))
                counter_latch_count(c, now);
            if (!(v & READ_BACK_NO_STATUS))
                counter_latch_status(c, now);
        }
        return;
    }
    struct i8254_counter *c = &t->counter[n];
    unsigned rw = v >> CW_RW_SHIFT & 3;
    if (rw == RW_LATCH) {
        counter_sync(c, now);
        counter_latch_count(c, now);
        return;
    }
    unsigned mode = v >> CW_MODE_SHIFT & 7;
    bool gate = c->gate;
    uint32_t reload = c->reload;
    *c = (struct i8254_counter){
        .mode = (uint8_t)(mode > 5 ? mode - 4 : mode), // x10 and x11 are modes 2 and 3
        .rw = (uint8_t)rw,
        .bcd = v & CW_BCD,
        .gate = gate,
        .reload = reload,
        .start = now,
    };
    if (c->reload > counter_modulus(c))
        c->reload = counter_modulus(c);
    counter_changed(t, n, now);
}

static uint64_t i8254_read(void *opaque, uint64_t offset, unsigned size)
{
    struct i8254 *t = opaque;
    if (offset > 2)
        return 0xff; // the control word register is write-only
    struct i8254_counter *c = &t->counter[offset];
    uint64_t now = clock_now_ns();
    counter_sync(c, now);
    if (c->status_latched) {
        c->status_latched = false;
        return c->latched_status;
    }
    uint16_t v = c->count_latched ? c->latched_count : counter_value(c, now);
    bool high = c->rw == RW_MSB || (c->rw == RW_BOTH && c->read_high);
    if (c->rw == RW_BOTH)
        c->read_high = !c->read_high;
    if (c->rw != RW_BOTH || high)
        c->count_latched = false;
    return high ? v >> 8 : v & 0xff;
}

static void i8254_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct i8254 *t = opaque;
    uint64_t now = clock_now_ns();
    if (offset == 3)
        control_write(t, (uint8_t)value, now);
    else if (offset < 3)
        counter_write(t, (unsigned)offset, (uint8_t)value, now);
}

static const struct io_ops i8254_ops = {
    .read = i8254_read,
    .write = i8254_write,
    .min_size = 1,
    .max_size = 1,
    .gpr_only = true,
};

// --- the gates

void i8254_set_gate(struct i8254 *t, unsigned n, bool level)
{
    if (n > 2)
        return;
    struct i8254_counter *c = &t->counter[n];
    if (c->gate == level)
        return;
    uint64_t now = clock_now_ns();
    counter_sync(c, now);
    uint64_t d = counter_ticks(c, now);
    c->gate = level;
    if (!c->loaded)
        return;
    switch (c->mode) {
    case 0:
    case 4: // the gate pauses
        if (level)
            c->start = now - timebase_ns(c->frozen_ticks, I8254_HZ);
        c->frozen_ticks = d;
        c->frozen = !level;
        break;
    case 2:
    case 3: // low: stopped with OUT high; the rising edge reloads
        if (level && c->next_reload) {
            c->reload = c->next_reload;
            c->next_reload = 0;
        }
        c->start = now;
        c->frozen_ticks = 0;
        c->frozen = !level;
        break;
    default: // the rising edge triggers
        if (level) {
            c->triggered = true;
            c->start = now;
        }
        break;
    }
    counter_changed(t, n, now);
}

bool i8254_get_out(const struct i8254 *t, unsigned n)
{
    if (n > 2)
        return false;
    struct i8254_counter c = t->counter[n];
    uint64_t now = clock_now_ns();
    counter_sync(&c, now);
    return counter_out(&c, now);
}

uint32_t i8254_get_period(const struct i8254 *t, unsigned n)
{
    if (n > 2)
        return 0;
    struct i8254_counter c = t->counter[n];
    counter_sync(&c, clock_now_ns());
    return c.loaded && !c.frozen && (c.mode == 2 || c.mode == 3) ? c.reload : 0;
}

bool i8254_ticks(const struct i8254 *t) { return !t->disconnected && i8254_get_period(t, 0) >= CATCH_UP_RELOAD; }

void i8254_disconnect_irq(struct i8254 *t, bool disconnected)
{
    if (disconnected)
        irq0_show(t, false);
    t->disconnected = disconnected;
}

void i8254_reset(struct i8254 *t)
{
    for (unsigned i = 0; i < 3; i++)
        t->counter[i] = (struct i8254_counter){.rw = RW_BOTH, .gate = i != 2, .reload = 65536};
    t->disconnected = false;
    loop_timer_del(t->timer);
    irq_set(&t->irq0, false);
}

struct i8254 *i8254_create(struct address_space *ports, uint16_t base, struct irq_line irq0)
{
    struct i8254 *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->irq0 = irq0;
    t->timer = loop_timer_new(irq0_fired, t);
    if (!t->timer || !as_map_io(ports, "i8254", base, 4, &i8254_ops, t, 0)) {
        loop_timer_free(t->timer);
        free(t);
        return NULL;
    }
    i8254_reset(t);
    return t;
}
