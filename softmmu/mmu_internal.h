// SPDX-License-Identifier: MIT
// Shared by mmu.c (accesses) and mmu_control.c (register changes, invalidation, epochs).
#pragma once

#include "softmmu/mmu.h"

#define CR0_WP BIT(16)
#define CR0_PG BIT(31)
#define CR4_PSE BIT(4)
#define CR4_PAE BIT(5)
#define CR4_PGE BIT(7)
#define CR4_PCIDE BIT(17)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)

// Code was fetched from va's page (w is its translation): its invalidation changes the epoch from now on.
void mmu_note_fetch(struct mmu *m, gva va, bool user, const struct walk_result *w);
