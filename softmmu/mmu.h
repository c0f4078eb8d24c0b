// SPDX-License-Identifier: MIT
// One vCPU's MMU: translation, C-level loads and stores with full x86 rules, and invalidation.
//
// softmmu/ owns the architecture (walks, faults, what an INVLPG means); shadowpt/ owns the speed
// (the flat tables that translated code indexes) and is reached through struct mmu_shadow_ops.
//
// Everything here is built with general registers only: it runs while guest vector state is live in
// the host's registers. Only MMIO leaves for general C: the big lock is taken, and the address space calls
// vectors_save() if the device needs it.
#pragma once

#include "softmmu/address_space.h"
#include "softmmu/walk.h"

struct mmu;

// A debugger's watchpoints. access() is told of each data access that moves bytes, before it does. page(): does
// anything watch a load (or store) of this page? Then it gets no fast entry for it.
struct mmu_watch_ops {
    void (*access)(void *opaque, gva va, unsigned size, bool write);
    bool (*page)(void *opaque, gva page, bool write);
};

struct mmu_fault {
    gva addr;       // CR2
    uint32_t error; // PF_* bits
};

// Implemented by shadowpt/. ctx is the struct shadow.
struct mmu_shadow_ops {
    // A walk succeeded: make [va's page] fast for this access from now on. May decline.
    void (*fill)(void *ctx, gva va, enum mmu_access access, const struct walk_result *w);
    // Forget. The kinds mirror the architecture:
    void (*flush_page)(void *ctx, gva va);                     // INVLPG: current PCID, and global
    void (*flush_pcid_page)(void *ctx, unsigned pcid, gva va); // INVPCID type 0
    void (*flush_pcid)(void *ctx, unsigned pcid);              // all but global pages of one PCID
    void (*flush_nonglobal)(void *ctx);                        // all PCIDs, all but global pages
    void (*flush_all)(void *ctx);                              // everything
    // cr3 changed to root with pcid (0 without CR4.PCIDE): select that address space.
    void (*switch_space)(void *ctx, uint64_t root, unsigned pcid);
    // Privilege of data accesses changed: select the view.
    void (*set_privilege)(void *ctx, bool user, bool ac);
    // Fast lookup for C code, in the view of (user, ac); NULL if not resident.
    hva (*lookup)(void *ctx, gva va, enum mmu_access access, bool user, bool ac);
};

// What epochs are made from (mmu_control.c). A filter has a bit set for each page that code was fetched from
// since the epoch got its number; a bit too many costs a needless new epoch, never a stale link.
// A compiler fetches from 5,000 pages; 2^17 bits keep the chance of that under 4 %.
enum { MMU_SPACES = 16, MMU_USER_FILTER = 1 << 17, MMU_SUPERVISOR_FILTER = 1 << 15 };
// Up to MMU_CODE such pages are remembered one by one: after a flush they are looked at, and the number stays if they
// are what they were.
enum { MMU_CODE = 512, MMU_CODE_HASH = 1024 };
struct mmu_code_page {
    gva page;
    gpa pa;
};

struct mmu_space {       // one (root, PCID)
    uint64_t root, used; // used: for least-recently-used
    uint32_t epoch;      // 0: none yet, or no longer good
    uint16_t pcid;
    bool valid, has_global; // has_global: code was fetched from a global page
    bool suspect;           // flushed since: the epoch holds if the pages below still translate the same
    bool many;              // more than code[] holds
    uint16_t ncode;
    uint32_t shifts; // a bit for each page size (its shift) in the filter
    uint64_t filter[MMU_USER_FILTER / 64];
    struct mmu_code_page code[MMU_CODE];
    uint16_t code_at[MMU_CODE_HASH]; // 1 + its number in code[], by page; 0: free
};

// A page that code was fetched from. Good while its epoch is the current one, which is just what epochs say.
enum { MMU_FETCH_CACHE = 256 };
struct mmu_fetch_entry {
    gva page;
    gpa pa;
    uint32_t epoch; // 0: empty
};

struct mmu {
    struct paging pg;
    bool user; // data accesses are made as user mode (CPL 3)
    bool ac;   // EFLAGS.AC
    struct address_space *mem;
    const struct mmu_shadow_ops *shadow;
    void *shadow_ctx;
    // Stores into pages that hold translations end here (after the bytes are in memory).
    void (*code_written)(void *opaque, gpa addr, unsigned len);
    void *code_written_opaque;
    const struct mmu_watch_ops *watch; // NULL: nothing is watched
    void *watch_opaque;
    // Which translated-code links are still good. Each is a fresh number whenever a fetch of that
    // privilege may translate differently (CR3 load, flush, INVLPG of a page code was fetched from).
    uint32_t epoch_user, epoch_supervisor;
    // Called when either epoch changed (the translator keeps copies where its code can reach them).
    void (*epoch_changed)(void *opaque);
    void *epoch_opaque;
    bool no_recheck; // each flush changes epochs

    // Private to softmmu/.
    uint32_t epoch_last;       // the last number given out
    bool supervisor_nonglobal; // supervisor code was fetched through pages that a CR3 load forgets
    unsigned space;            // index of the current one
    uint64_t space_clock;
    struct mmu_space spaces[MMU_SPACES];
    uint32_t supervisor_shifts;
    uint64_t supervisor_filter[MMU_SUPERVISOR_FILTER / 64];
    struct mmu_fetch_entry fetch_cache[MMU_FETCH_CACHE];
};

enum {                // flags for the access functions
    MMU_IMPLICIT = 1, // supervisor access whatever the CPL (GDT, IDT, TSS, ...)
    MMU_PROBE = 2,    // check rights (and set A, for writes D) but move no data
};

void mmu_init(struct mmu *m, struct address_space *mem, uint8_t maxphyaddr);
void mmu_set_shadow(struct mmu *m, const struct mmu_shadow_ops *ops, void *ctx);

// --- data accesses: any size up to 4096, page-crossing allowed; all-or-nothing for writes: both pages
// are checked before a byte is written. MMIO is split into accesses of at most 8 bytes.
// Return false and fill *f on a fault. Canonical and segment checks are the caller's.
bool mmu_read(struct mmu *m, gva va, void *dst, unsigned size, unsigned flags, struct mmu_fault *f);
bool mmu_write(struct mmu *m, gva va, const void *src, unsigned size, unsigned flags, struct mmu_fault *f);
// A host pointer for a read-modify-write that stays inside one RAM page, made writable (checks, sets D);
// NULL if it is MMIO, ROM, crosses a page or faults (*faulted says which). The page may hold translations:
// code_written is not called, the caller sees to them.
hva mmu_rmw_ptr(struct mmu *m, gva va, unsigned size, unsigned flags, struct mmu_fault *f, bool *faulted);

// --- instruction fetch
// Translates va for a fetch with the given privilege. False and *f on a fault. *pa gets the address.
// Records that code is fetched from this page, so that its invalidation changes the epoch.
bool mmu_fetch_translate(struct mmu *m, gva va, bool user, gpa *pa, struct mmu_fault *f);
// Reads up to len bytes of code; returns how many could be read before a fault (filled in *f if short).
// Not-RAM pages are read through as_load.
unsigned mmu_fetch(struct mmu *m, gva va, bool user, void *dst, unsigned len, struct mmu_fault *f);

// --- register changes (the CPU has already checked the values)
// CR0, CR4 or EFER changed: stores them and flushes as far as the change makes visible
// (SDM vol. 3A, section 4.10.4.1 "Operations that Invalidate TLBs and Paging-Structure Caches").
void mmu_set_control(struct mmu *m, uint64_t cr0, uint64_t cr4, uint64_t efer);
// The A20 gate. On the CPU's thread; its vector state has been saved (a device's register was written).
void mmu_set_a20(struct mmu *m, bool enabled);
// MOV to CR3; no_flush is bit 63 with PCIDs. For PAE the PDPTEs must be loaded first (paging_load_pdptes).
void mmu_load_cr3(struct mmu *m, uint64_t cr3, bool no_flush);
void mmu_invlpg(struct mmu *m, gva va);
void mmu_invpcid(struct mmu *m, unsigned type, unsigned pcid, gva va); // type 0 to 3
void mmu_set_privilege(struct mmu *m, bool user, bool ac);

// Translation for debuggers and logs: no A/D, no fill, no fault. False if not mapped.
bool mmu_debug_translate(struct mmu *m, gva va, gpa *pa);
