// SPDX-License-Identifier: MIT
// Counters. stats.def has one line each; they are printed by -d stats and `info stats`.
#pragma once

#include "base/types.h"
#include <stdio.h>

enum stat {
#define X(id, help) STAT_##id,
#include "base/stats.def"
#undef X
    STAT_COUNT
};

// One array for the process; relaxed, since a lost count under SMP is tolerable and a lock is not.
extern uint64_t stats[STAT_COUNT];

static inline void stat_inc(enum stat s) { stats[s]++; }
static inline void stat_add(enum stat s, uint64_t n) { stats[s] += n; }

void stats_print(FILE *f); // non-zero counters, grouped by the part of the name before the first '_'
