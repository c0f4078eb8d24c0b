// SPDX-License-Identifier: MIT
// Shadow page tables: guest-virtual page -> (host address - guest-virtual address), for translated code.
//
// A *view* is what one privilege of one address space sees. It is two flat tables in one reservation:
//
//      view->base - 2 GiB          view->base (gs base)             view->base + 4 GiB
//          | W: 2^28 entries, stores   | R: 2^29 entries, loads          |
//
// An entry is 8 bytes, `host page - guest page`, so that guest address + entry is the host address;
// 0 means "not resident" and untouched table memory is zero, so nothing must be initialised.
// R is indexed by bits 12..40 of the guest-virtual address, W by bits 12..39: the tables are folded.
// A fold needs a tag, and the tag costs nothing: guest RAM is mapped at host address H, and every
// H + k * 2^40 for k != 0 is reserved PROT_NONE (ram_create does it) or not canonical. A wrong page that
// shares the slot differs by a multiple of 2^40, so that the sum lands in a reservation and the access
// faults on the host; the fault handler then takes the slow path. A 64-bit offset of any value, even
// a non-canonical one, therefore never reaches memory that is not this guest's own RAM at the right page.
//
// In translated code (guest address in r14, flags dead):
//      load:   mov r15,r14; shr r15,12; mov r15,gs:[r15d*8]              ; addr32 does the fold
//      store:  mov r15,r14; shl r15,24; shr r15,36; mov r15,gs:[r15*8-0x80000000]
//              test r15,r15; jz slow; op [r14+r15]
//
// Which views there are: U[slot] user mode of an address space, KA[slot] supervisor with SMAP lifted by
// AC, and one K: supervisor otherwise. With SMAP, K never holds user pages and so outlives CR3 loads
// (its global pages; the others are in a log and dropped). Without SMAP, K holds user pages as well.
// slot: one of SHADOW_SLOTS address spaces (root, PCID), recycled least recently used.
#pragma once

#include "softmmu/mmu.h"

enum { SHADOW_SLOTS = 8 };
#define SHADOW_R_BITS 29 // entries: 2^29 * 8 bytes = 4 GiB
#define SHADOW_W_BITS 28 // entries: 2^28 * 8 bytes = 2 GiB, ending at base

struct shadow;

struct shadow_config {
    struct mmu *mmu;
    // Does this guest-physical page hold translations? Such a page gets no W entry.
    bool (*page_has_code)(void *opaque, gpa page);
    // The current view's base may have changed: the engine loads it into GS base before translated code runs on.
    void (*view_changed)(void *opaque, void *base);
    void (*space_changed)(void *opaque); // the bases of all privileges' views may have (shadow_view_of)
    void *opaque;
    uint64_t max_bytes; // bound on resident table memory; past it the fullest views are dropped
};

int shadow_create(struct shadow **out, const struct shadow_config *cfg); // 0 or -errno
void shadow_destroy(struct shadow *s);
extern const struct mmu_shadow_ops shadow_mmu_ops;

// The bits of a host address from this one on that all guest RAM has in common (softmmu/ram.c); 0 before the first
// entry was made.
enum { SHADOW_HOME_SHIFT = 40 };
uint64_t shadow_home(const struct shadow *s);

void *shadow_view_base(struct shadow *s);                   // of the current view, for GS base
void *shadow_view_of(struct shadow *s, bool user, bool ac); // the same of another privilege in this address space

// A page got its first translation: revoke every W entry that points to it, in all views.
void shadow_protect_code(struct shadow *s, gpa page);
// A guest-physical range changed its mapping (BAR moved, ROM shadowed): drop what points there.
void shadow_drop_range(struct shadow *s, gpa addr, uint64_t len);

// Where the current view may store at va on a page that holds translations, as shadow_resolve() found out before;
// NULL if that is not known (any more). *pa gets the guest-physical address.
hva shadow_code_store(struct shadow *s, gva va, gpa *pa);

// Is va, as shadow_resolve() found out before, a page without memory that the current view may read (write)? false:
// that is not known (any more). *pa gets the guest-physical address.
bool shadow_device(struct shadow *s, gva va, bool write, gpa *pa);

// Slow path of translated code: a read or write of size bytes at va, which the fast path refused or
// that faulted. 0: resident now, retry; 1: not fast (MMIO, page-crossing, code page): emulate the
// instruction; -1: *f holds the page fault.
int shadow_resolve(struct shadow *s, gva va, unsigned size, bool write, struct mmu_fault *f);
