// SPDX-License-Identifier: MIT
// A guest without a CPU: RAM, an address space, and page tables built in it. For the tests of softmmu/ and
// shadowpt/.
#pragma once

#include <check.h>
#include <string.h>

#include "softmmu/address_space.h"
#include "softmmu/mmu.h"

#define GUEST_RAM (64u << 20)
enum { G_P = 1, G_W = 2, G_U = 4, G_A = 0x20, G_D = 0x40, G_PS = 0x80, G_G = 0x100 };
#define G_XD BIT(63)
#define G_CR0_PE BIT(0)
#define G_CR0_WP BIT(16)
#define G_CR0_PG BIT(31)
#define G_CR4_PSE BIT(4)
#define G_CR4_PAE BIT(5)
#define G_CR4_PGE BIT(7)
#define G_CR4_PCIDE BIT(17)
#define G_CR4_SMEP BIT(20)
#define G_CR4_SMAP BIT(21)
#define G_EFER_LMA BIT(10)
#define G_EFER_NXE BIT(11)

struct guest {
    struct ram ram;
    struct address_space *as;
    uint64_t next; // where the next table goes
};

static inline void guest_create(struct guest *g)
{
    ck_assert_int_eq(ram_create(&g->ram, GUEST_RAM), 0);
    g->as = as_create("memory", BIT(46));
    ck_assert_ptr_nonnull(as_map_ram(g->as, "ram", 0, GUEST_RAM, &g->ram, 0, false, 0));
    g->next = 0x100000;
}

static inline void guest_destroy(struct guest *g)
{
    as_destroy(g->as);
    ram_destroy(&g->ram);
}

static inline uint64_t guest_table(struct guest *g)
{
    uint64_t t = g->next;
    g->next += PAGE_SIZE;
    memset(g->ram.base + t, 0, PAGE_SIZE);
    return t;
}

static inline uint64_t *guest_entry(struct guest *g, uint64_t table, unsigned index)
{
    return (uint64_t *)(g->ram.base + table) + index;
}

// 4-level paging: maps va with a leaf at the level of shift (12, 21, 30); returns the leaf entry.
static inline uint64_t *guest_map(struct guest *g, uint64_t root, gva va, uint64_t leaf, unsigned shift)
{
    uint64_t table = root;
    for (unsigned s = 39; s > shift; s -= 9) {
        uint64_t *e = guest_entry(g, table, (va >> s) & 511);
        if (!*e) {
            *e = guest_table(g) | G_P | G_W | G_U;
        }
        table = *e & 0xffffffffff000ull;
    }
    uint64_t *e = guest_entry(g, table, (va >> shift) & 511);
    *e = leaf;
    return e;
}
