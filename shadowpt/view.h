// SPDX-License-Identifier: MIT
// One view: the two folded tables of shadow.h, and what is needed to empty them quickly.
//
// The tables are one array; an entry's id is its index in it:
//
//      0 .. 2^28          W, by bits 12..39 of the guest-virtual address
//      2^28 .. 3*2^28     R, by bits 12..40; R's first entry is what GS base points to
//
// A table page is 512 entries, so it is also exactly the 2 MiB of guest-virtual memory of a large page.
#pragma once

#include "base/types.h"

#define VIEW_W_ENTRIES (1u << 28)
#define VIEW_ENTRIES (3u << 28)
#define VIEW_BYTES ((uint64_t)VIEW_ENTRIES * 8)
#define VIEW_PAGE_ENTRIES 512u
#define VIEW_TABLE_PAGES (VIEW_ENTRIES / VIEW_PAGE_ENTRIES)
#define VIEW_CHUNKS (VIEW_BYTES >> 21) // what one page of the host's own page tables maps
#define VIEW_REGIONS (1u << 20)        // 2 MiB regions that R tells apart
#define VIEW_GIGS (1u << 11)

enum { VIEW_LOG = 4096, VIEW_PAGE_LOG = 1024, VIEW_LARGE_LOG = 256 };

// Ids of entries filled since the last flush; an id may be in it twice, and of entries gone since.
struct view_log {
    unsigned n;
    bool overflow; // n ran out: ids are missing
    uint32_t id[VIEW_LOG];
};

struct view {
    uint64_t *tab;
    uint64_t bytes;         // memory held: table pages and the host's page tables below them
    bool has_global;        // entries of global pages may be present
    bool has_4m;            // a page of 4 MiB was filled: a large page may be two regions
    struct view_log log[2]; // [global]
    // Table pages written since the tables were last given back to the host.
    unsigned n_pages;
    bool pages_overflow;
    uint32_t page[VIEW_PAGE_LOG];
    uint64_t touched[VIEW_TABLE_PAGES / 64];
    // Regions with entries from a page larger than 4 KiB; gigs: from a page of 1 GiB.
    unsigned n_large;
    bool large_overflow;
    uint32_t large_log[VIEW_LARGE_LOG];
    uint64_t large[VIEW_REGIONS / 64];
    uint64_t gigs[VIEW_GIGS / 64];
    uint64_t chunks[VIEW_CHUNKS / 64];
    unsigned n_chunks;
};

static inline uint32_t view_read_id(gva va)
{
    return VIEW_W_ENTRIES + (uint32_t)((va >> 12) & (2 * VIEW_W_ENTRIES - 1));
}

static inline uint32_t view_write_id(gva va) { return (uint32_t)((va >> 12) & (VIEW_W_ENTRIES - 1)); }

static inline void *view_base(const struct view *v) { return v->tab + VIEW_W_ENTRIES; }

static inline bool view_is_empty(const struct view *v) { return !v->log[0].n && !v->log[1].n; }

// Allocates a view; its memory, 6 GiB of tables and the bookkeeping, costs nothing until it is used.
struct view *view_create(void);
void view_destroy(struct view *v);

// Returns by how many bytes the view's memory grew.
unsigned view_set(struct view *v, uint32_t id, uint64_t entry, bool global);
void view_note_large(struct view *v, gva va, unsigned page_shift);
// Translated code looked at this entry and found nothing: the host may have made page tables for it.
unsigned view_note_miss(struct view *v, uint32_t id);

void view_drop_page(struct view *v, gva va);
// These return by how many bytes the view's memory shrank.
uint64_t view_flush_nonglobal(struct view *v);
uint64_t view_flush(struct view *v);
uint64_t view_give_back(struct view *v); // empty, and no memory held
