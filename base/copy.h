// SPDX-License-Identifier: MIT
// Byte copies for code that runs while guest vector state is live: libc's use vector registers.
#pragma once

#include "base/types.h"

// At any address: x86 does not mind.
typedef volatile uint16_t copy_u16 __attribute__((aligned(1), may_alias));
typedef volatile uint32_t copy_u32 __attribute__((aligned(1), may_alias));
typedef volatile uint64_t copy_u64 __attribute__((aligned(1), may_alias));

// One access each where the size is a power of two, so that what the guest's CPU would do in one piece stays
// in one piece for other threads (SDM vol. 3A, section 9.1.1 "Guaranteed Atomic Operations").
static inline void copy_bytes(void *dst, const void *src, size_t n)
{
    switch (n) {
    case 1: *(volatile uint8_t *)dst = *(const volatile uint8_t *)src; return;
    case 2: *(copy_u16 *)dst = *(const copy_u16 *)src; return;
    case 4: *(copy_u32 *)dst = *(const copy_u32 *)src; return;
    case 8: *(copy_u64 *)dst = *(const copy_u64 *)src; return;
    default: break;
    }
    if (n < 256) { // REP MOVSB has a start-up cost of tens of cycles
        uint8_t *d = dst;
        const uint8_t *s = src;
        for (; n >= 8; n -= 8, d += 8, s += 8) {
            *(copy_u64 *)d = *(const copy_u64 *)s;
        }
        for (; n; n--) {
            *(volatile uint8_t *)d++ = *(const volatile uint8_t *)s++;
        }
        return;
    }
    __asm__ volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(n) : : "memory");
}

// The n (1, 2, 4 or 8) bytes at p as a number. Where they have just been written, a wider load would wait for them.
static inline uint64_t load_number(const void *p, size_t n)
{
    switch (n) {
    case 1: return *(const volatile uint8_t *)p;
    case 2: return *(const copy_u16 *)p;
    case 4: return *(const copy_u32 *)p;
    default: return *(const copy_u64 *)p;
    }
}

static inline void store_number(void *p, uint64_t v, size_t n)
{
    switch (n) {
    case 1: *(volatile uint8_t *)p = (uint8_t)v; return;
    case 2: *(copy_u16 *)p = (uint16_t)v; return;
    case 4: *(copy_u32 *)p = (uint32_t)v; return;
    default: *(copy_u64 *)p = v; return;
    }
}

static inline void zero_bytes(void *dst, size_t n)
{
    __asm__ volatile("rep stosb" : "+D"(dst), "+c"(n) : "a"(0) : "memory");
}
