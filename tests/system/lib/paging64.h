// SPDX-License-Identifier: MIT
// 4-level page tables for tests: find or make the entry that maps an address at a given level.
#pragma once

#include "test.h"

enum {
    PTE_P = 1,
    PTE_W = 2,
    PTE_U = 4,
    PTE_PWT = 8,
    PTE_PCD = 0x10,
    PTE_A = 0x20,
    PTE_D = 0x40,
    PTE_PS = 0x80,
    PTE_G = 0x100,
    PTE_PWU = 7,
};
#define PTE_NX (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull

// A range of linear addresses that the environment leaves to the tests (PDPT entry 2), and a high one.
#define TEST_VA 0x80000000ull
#define HIGH_VA 0xffff900000000000ull

// The entry at level (1: PT, 2: PD, 3: PDPT, 4: PML4) for va under the current CR3; upper levels are made
// as present, writable, user when missing.
uint64_t *pte_at(uint64_t va, unsigned level);
// Maps one page of the level's size, with INVLPG.
uint64_t *map_page(uint64_t va, uint64_t pa, uint64_t flags, unsigned level);
