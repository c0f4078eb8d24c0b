// SPDX-License-Identifier: MIT
// The clock that all guest time is derived from, and the rate of the TSC against it.
#include "base/loop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

uint64_t clock_host_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

// --- guest time

// Written with the big lock held; most readers hold it too. `version` is odd during a change (a sequence
// lock), so that those who do not never mix an old offset with a new time.
static struct {
    _Atomic uint32_t version;
    _Atomic bool stopped;
    _Atomic uint64_t stopped_at; // guest time, while stopped
    _Atomic uint64_t behind;     // host time - guest time, while running
} guest_clock;

uint64_t clock_now_ns(void)
{
    for (;;) {
        uint32_t version = atomic_load(&guest_clock.version);
        uint64_t now = atomic_load(&guest_clock.stopped) ? atomic_load(&guest_clock.stopped_at)
                                                         : clock_host_ns() - atomic_load(&guest_clock.behind);

        if (!(version & 1) && version == atomic_load(&guest_clock.version))
            return now;
    }
}

bool clock_running(void) { return !atomic_load(&guest_clock.stopped); }

uint64_t clock_to_host_ns(uint64_t guest_ns)
{
    uint64_t host = guest_ns + atomic_load(&guest_clock.behind);

    return clock_running() && host >= guest_ns ? host : UINT64_MAX;
}

void clock_stop(void)
{
    uint64_t now = clock_now_ns();

    if (!clock_running())
        return;
    atomic_fetch_add(&guest_clock.version, 1);
    atomic_store(&guest_clock.stopped_at, now);
    atomic_store(&guest_clock.stopped, true);
    atomic_fetch_add(&guest_clock.version, 1);
}

void clock_start(void)
{
    if (clock_running())
        return;
    atomic_fetch_add(&guest_clock.version, 1);
    atomic_store(&guest_clock.behind, clock_host_ns() - atomic_load(&guest_clock.stopped_at));
    atomic_store(&guest_clock.stopped, false);
    atomic_fetch_add(&guest_clock.version, 1);
    loop_clock_changed();
}

// --- the TSC

struct clock_sample {
    uint64_t ns, tsc;
};

// A pair read as close together as possible: of several tries the one with the narrowest bracket.
static struct clock_sample clock_sample_take(void)
{
    struct clock_sample best = {0, 0};
    uint64_t best_width = UINT64_MAX;
    for (int i = 0; i < 16; i++) {
        uint64_t before = __builtin_ia32_rdtsc();
        uint64_t ns = clock_host_ns();
        uint64_t width = __builtin_ia32_rdtsc() - before;
        if (width < best_width) {
            best_width = width;
            best = (struct clock_sample){ns, before + width / 2};
        }
    }
    return best;
}

static uint64_t tsc_hz; // written once

static void clock_measure_tsc(void)
{
    const struct timespec gap = {0, 20000000};
    struct clock_sample a = clock_sample_take();
    nanosleep(&gap, NULL);
    struct clock_sample b = clock_sample_take();
    uint64_t ns = b.ns - a.ns;
    tsc_hz = ns ? (uint64_t)((unsigned __int128)(b.tsc - a.tsc) * 1000000000u / ns) : 1000000000u;
    // What is left of the error (some ppm) is smaller than the next multiple of 1 kHz.
    tsc_hz = (tsc_hz + 500) / 1000 * 1000;
}

uint64_t clock_tsc_hz(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, clock_measure_tsc);
    return tsc_hz;
}
