// SPDX-License-Identifier: MIT
// Device clocks: conversion between ticks and nanoseconds, and how fast a guest may make a timer fire.
#pragma once

#include "base/loop.h"

// A guest may program any period. Interrupts closer together than this would only merge in the
// interrupt controller, while each costs the host a wake-up; periodic timers are slowed to it.
enum { TIMEBASE_MIN_PERIOD_NS = 20000 };

// a * b / c without overflow in between; saturates.
static inline uint64_t timebase_muldiv(uint64_t a, uint64_t b, uint64_t c)
{
    unsigned __int128 q = (unsigned __int128)a * b / c;
    return q > UINT64_MAX ? UINT64_MAX : (uint64_t)q;
}

static inline uint64_t timebase_ticks(uint64_t ns, uint64_t hz) { return timebase_muldiv(ns, hz, 1000000000u); }

// Rounded up: at that time the tick has happened.
static inline uint64_t timebase_ns(uint64_t ticks, uint64_t hz)
{
    unsigned __int128 q = ((unsigned __int128)ticks * 1000000000u + hz - 1) / hz;
    return q > UINT64_MAX ? UINT64_MAX : (uint64_t)q;
}

static inline uint64_t timebase_add(uint64_t a, uint64_t b) { return a + b < a ? UINT64_MAX : a + b; }

// Re-arms a timer of which nothing is known but that the guest chose its deadline.
static inline void timebase_arm(struct loop_timer *t, uint64_t now, uint64_t deadline)
{
    if (deadline < now + TIMEBASE_MIN_PERIOD_NS)
        deadline = now + TIMEBASE_MIN_PERIOD_NS;
    loop_timer_mod(t, deadline);
}
