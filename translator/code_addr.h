// SPDX-License-Identifier: MIT
// Code addresses: how translated blocks, links and the indirect-branch tables name a place in guest code.
//
//      64-bit code     RIP
//      other code      bits 31..0: the linear address; bits 63..32: CS.base
//
// Both are needed there. Pages, links and self-modifying code hang on the linear address; what CALL pushes and where
// an IP wraps hang on the offset, which is the difference. With flat segments the base is 0, and nothing differs from
// an ordinary address. For the same reason the mode a block is keyed by has the code segment's limit in its upper
// half: a block never contains an instruction that would exceed it, nor does a link lead to one.
#pragma once

#include "cpu/state.h"

static inline gva code_addr(uint64_t base, uint32_t ip) { return base << 32 | (uint32_t)(base + ip); }

// Upper half: the limit + 1, 0 for 4 GiB.
static inline uint64_t code_mode(const struct cpu *cpu)
{
    return cpu->mode & MODE_CS64 ? cpu->mode : cpu->mode | (uint64_t)(cpu->seg[CS].limit + 1) << 32;
}
static inline uint32_t code_limit(uint64_t mode) { return (uint32_t)(mode >> 32) - 1; }

static inline gva code_addr_now(const struct cpu *cpu)
{
    return cpu->mode & MODE_CS64 ? cpu->rip : code_addr(cpu->seg[CS].base, (uint32_t)cpu->rip);
}

// The offset in the code segment, and the address in memory.
static inline uint64_t code_rip(uint64_t mode, gva at) { return mode & MODE_CS64 ? at : (uint32_t)(at - (at >> 32)); }
static inline gva code_linear(uint64_t mode, gva at) { return mode & MODE_CS64 ? at : (uint32_t)at; }

// The instruction n bytes further on. The IP of 16-bit code wraps.
static inline gva code_next(uint64_t mode, gva at, unsigned n)
{
    if (mode & MODE_CS64)
        return at + n;
    uint32_t ip = (uint32_t)code_rip(mode, at) + n;
    return code_addr(at >> 32, mode & MODE_CS32 ? ip : (uint16_t)ip);
}

// Where a relative branch of len bytes at `at` goes.
static inline gva code_target(uint64_t mode, gva at, unsigned len, int64_t disp, unsigned opsize)
{
    if (mode & MODE_CS64)
        return at + len + (uint64_t)disp;
    uint32_t ip = (uint32_t)(code_rip(mode, at) + len + (uint64_t)disp);
    return code_addr(at >> 32, opsize == 2 ? (uint16_t)ip : ip);
}
