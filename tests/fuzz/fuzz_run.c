// SPDX-License-Identifier: MIT
// Interprets an input as accesses to a device.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hw/timebase.h"
#include "tests/fuzz/fuzz.h"

struct input {
    const uint8_t *p;
    size_t left;
};

static uint64_t take(struct input *in, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes && in->left; i++, in->p++, in->left--)
        v |= (uint64_t)*in->p << 8 * i;
    return v;
}

// No device may fire timers faster than the floor for periodic ones, whatever was programmed.
static void advance(const struct fuzz_target *t, uint64_t ns)
{
    uint64_t before = bench_timer_runs;
    bench_advance(ns);
    if (bench_timer_runs - before > t->timers * (ns / TIMEBASE_MIN_PERIOD_NS + 4)) {
        fprintf(stderr, "%s: %llu timer runs in %llu ns\n", t->name, (unsigned long long)(bench_timer_runs - before),
                (unsigned long long)ns);
        abort();
    }
}

static void access(const struct fuzz_target *t, struct input *in, bool write)
{
    unsigned n = 0;
    while (n < ARRAY_SIZE(t->windows) && t->windows[n].size)
        n++;
    const struct fuzz_window *w = &t->windows[take(in, 1) % n];
    uint64_t where = take(in, w->size > 256 ? 2 : 1);
    unsigned size = 1u << (where & 3);
    if (w->size <= 16)
        size = 1u << (take(in, 1) & 3);
    struct address_space *as = w->memory ? mem : ports;
    uint64_t addr = w->base + where % w->size;
    size = !w->memory && size == 8 ? 4 : size;
    if (write)
        as_store(as, addr, take(in, size), size);
    else
        as_load(as, addr, size);
}

int fuzz_run(const struct fuzz_target *t, const uint8_t *data, size_t size)
{
    static bool created;
    if (!created) {
        bench_init();
        t->create();
        created = true;
    }
    struct input in = {data, size};
    t->reset();
    while (in.left) {
        unsigned op = (unsigned)take(&in, 1) & 15;
        if (op < 8)
            access(t, &in, true);
        else if (op < 12)
            access(t, &in, false);
        else if (op < 14)
            advance(t, (uint64_t)1 << (take(&in, 1) & 31) % 28);
        else if (t->event) {
            uint8_t a = (uint8_t)take(&in, 1);
            t->event(a, (uint8_t)take(&in, 1));
        }
    }
    advance(t, 10000000);
    return 0;
}
