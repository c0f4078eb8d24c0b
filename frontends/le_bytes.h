// SPDX-License-Identifier: MIT
// Little-endian fields and byte checksums of the tables that firmware and kernels read.
#pragma once

#include "base/types.h"

#include <stddef.h>

static inline uint64_t get_le(const uint8_t *p, unsigned size)
{
    uint64_t v = 0;

    while (size--)
        v = v << 8 | p[size];
    return v;
}

static inline void put_le(uint8_t *p, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

// What a checksum byte within p, now 0, must be for all len bytes to add up to 0.
static inline uint8_t byte_checksum(const uint8_t *p, size_t len)
{
    uint8_t sum = 0;

    while (len--)
        sum += *p++;
    return (uint8_t)-sum;
}
