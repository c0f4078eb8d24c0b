// SPDX-License-Identifier: MIT
// The page walker: a pure function of the paging registers (passed by value) and guest memory.
// SDM vol. 3A, chapter 4 "Paging". All formats: none, 32-bit, PSE, PAE, 4-level with 4K/2M/4M/1G pages.
#pragma once

#include "base/types.h"

struct address_space;

// What the walk depends on. Registers exactly as architected.
struct paging {
    uint64_t cr0, cr3, cr4, efer;
    uint64_t pdpte[4];  // PAE: the PDPTE registers, loaded with CR3, not read by the walk
    uint8_t maxphyaddr; // bits above it are reserved in entries
    bool a20_off;       // address line 20 is held low (the 8042's gate, port 92h)
};

enum mmu_access { MMU_READ, MMU_WRITE, MMU_FETCH };

struct walk_request {
    gva va;
    enum mmu_access access;
    bool user;     // user-mode access (CPL 3 and not implicit supervisor)
    bool ac;       // EFLAGS.AC, which lifts SMAP for explicit supervisor accesses
    bool implicit; // implicit supervisor access (descriptor tables, TSS): SMAP applies whatever AC is
    bool set_ad;   // set accessed/dirty bits (false for debuggers and lookahead)
};

enum { // page-fault error code bits, SDM vol. 3A, section 4.7 "Page-Fault Exceptions"
    PF_P = 1,
    PF_W = 2,
    PF_U = 4,
    PF_RSVD = 8,
    PF_I = 16,
};

struct walk_result {
    gpa pa;             // of the byte asked for
    uint8_t page_shift; // 12, 21, 22 or 30; 12 without paging
    bool fault;         // if set only error is meaningful
    uint32_t error;     // PF_* bits
    // Rights of the page, all levels combined:
    bool user;     // U/S: reachable from user mode
    bool writable; // R/W bit combined (not regarding CR0.WP)
    bool nx;
    bool global;   // G in the leaf and CR4.PGE
    bool dirty;    // D is set in the leaf (after this walk); true without paging
    bool accessed; // A was set in all levels before this walk; true without paging
};

// Walks, checks rights, and sets A/D bits with atomic read-modify-write when asked.
void page_walk(struct address_space *mem, const struct paging *pg, const struct walk_request *req,
               struct walk_result *out);

// Loads the four PAE PDPTEs from CR3 into pg. Returns false if a present one has reserved bits set (#GP).
bool paging_load_pdptes(struct address_space *mem, struct paging *pg);
bool paging_enabled(const struct paging *pg);
bool paging_is_pae(const struct paging *pg);  // PAE and not long mode
bool paging_is_long(const struct paging *pg); // EFER.LMA
