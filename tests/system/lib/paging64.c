// SPDX-License-Identifier: MIT
// 4-level page tables for tests (SDM vol. 3A, section 4.5 "4-Level Paging and 5-Level Paging").
#include "paging64.h"

uint64_t *pte_at(uint64_t va, unsigned level)
{
    uint64_t *table = (uint64_t *)(read_cr3() & PTE_ADDR);
    for (unsigned l = 4;; l--) {
        uint64_t *e = &table[va >> (12 + 9 * (l - 1)) & 511];
        if (l == level)
            return e;
        if (!(*e & PTE_P) || (*e & PTE_PS))
            *e = (uint64_t)page_alloc() | PTE_PWU;
        table = (uint64_t *)(*e & PTE_ADDR);
    }
}

uint64_t *map_page(uint64_t va, uint64_t pa, uint64_t flags, unsigned level)
{
    uint64_t *e = pte_at(va, level);
    *e = pa | flags | (level > 1 ? PTE_PS : 0);
    invlpg((void *)va);
    return e;
}
