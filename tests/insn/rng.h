// SPDX-License-Identifier: MIT
// A small seeded random number generator (splitmix64), the same on every host.
#pragma once

#include "base/types.h"

struct rng {
    uint64_t s;
};

static inline uint64_t rng_next(struct rng *r)
{
    uint64_t z = (r->s += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}
static inline uint32_t rng_below(struct rng *r, uint32_t n) { return (uint32_t)((rng_next(r) >> 32) * n >> 32); }
static inline bool rng_chance(struct rng *r, uint32_t percent) { return rng_below(r, 100) < percent; }
