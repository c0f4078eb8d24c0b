// SPDX-License-Identifier: MIT
// Byte copies for code that runs while guest vector state is live: libc's use vector registers.
#pragma once

#include "base/types.h"

// One access each where the size is a power of two, so that what the guest's CPU would do in one piece stays
// in one piece for other threads (SDM vol. 3A, section 9.1.1 "Guaranteed Atomic Operations").
static inline void copy_bytes(void *dst, const void *src, size_t n)
{
    switch (n) {
    case 1:
        *(volatile uint8_t *)dst = *(const volatile uint8_t *)src;
        return;
    case 2:
        *(volatile uint16_t *)dst = *(const volatile uint16_t *)src;
        return;
    case 4:
        *(volatile uint32_t *)dst = *(const volatile uint32_t *)src;
        return;
    case 8:
        *(volatile uint64_t *)dst = *(const volatile uint64_t *)src;
        return;
    default:
        break;
    }
    if (n < 256) { // REP MOVSB has a start-up cost of tens of cycles
        uint8_t *d = dst;
        const uint8_t *s = src;
        for (; n >= 8; n -= 8, d += 8, s += 8) {
            *(volatile uint64_t *)d = *(const volatile uint64_t *)s;
        }
        for (; n; n--) {
            *(volatile uint8_t *)d++ = *(const volatile uint8_t *)s++;
        }
        return;
    }
    __asm__ volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(n) : : "memory");
}

static inline void zero_bytes(void *dst, size_t n)
{
    __asm__ volatile("rep stosb" : "+D"(dst), "+c"(n) : "a"(0) : "memory");
}
