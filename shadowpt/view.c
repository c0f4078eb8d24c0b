// SPDX-License-Identifier: MIT
// One view: filling its tables, and emptying them at a cost that follows what was filled.
//
// Three ways to empty it, from cheap to dear: zero the entries in the fill log; zero the table pages that
// were touched; give all of the memory back to the host. The first two keep the table pages, so that the
// entries that come back (the next process's stack, the same libraries) find them there.
#include "shadowpt/view.h"

#include "base/copy.h"

#include <sys/mman.h>

enum { ZERO_PAGES_MAX = 256 }; // more touched table pages than that: asking the host for fresh ones is cheaper

static bool bit_get(const uint64_t *map, uint32_t i) { return map[i / 64] >> (i % 64) & 1; }

static void bit_set(uint64_t *map, uint32_t i) { map[i / 64] |= BIT(i % 64); }

static void bit_clear(uint64_t *map, uint32_t i) { map[i / 64] &= ~BIT(i % 64); }

static void *map_lazily(uint64_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        return NULL;
    }
    madvise(p, size, MADV_NOHUGEPAGE); // one entry must not cost 2 MiB
    madvise(p, size, MADV_DONTDUMP);
    return p;
}

struct view *view_create(void)
{
    struct view *v = map_lazily(sizeof(*v));
    if (!v) {
        return NULL;
    }
    v->tab = map_lazily(VIEW_BYTES);
    if (!v->tab) {
        munmap(v, sizeof(*v));
        return NULL;
    }
    return v;
}

void view_destroy(struct view *v)
{
    if (v) {
        munmap(v->tab, VIEW_BYTES);
        munmap(v, sizeof(*v));
    }
}

// ---- filling ----

unsigned view_note_miss(struct view *v, uint32_t id)
{
    uint32_t chunk = id >> (21 - 3);
    if (LIKELY(bit_get(v->chunks, chunk))) {
        return 0;
    }
    bit_set(v->chunks, chunk);
    v->n_chunks++;
    v->bytes += PAGE_SIZE;
    return PAGE_SIZE;
}

static unsigned touch(struct view *v, uint32_t id)
{
    uint32_t page = id / VIEW_PAGE_ENTRIES;
    if (LIKELY(bit_get(v->touched, page))) {
        return 0;
    }
    bit_set(v->touched, page);
    if (v->n_pages < VIEW_PAGE_LOG) {
        v->page[v->n_pages++] = page;
    } else {
        v->pages_overflow = true;
    }
    v->bytes += PAGE_SIZE;
    return PAGE_SIZE + view_note_miss(v, id);
}

unsigned view_set(struct view *v, uint32_t id, uint64_t entry, bool global)
{
    if (v->tab[id] == entry) {
        return 0; // it is in a log; if in the other one, it may go earlier, or stay as long as a TLB could keep it
    }
    unsigned grown = touch(v, id);
    struct view_log *log = &v->log[global];
    if (LIKELY(log->n < VIEW_LOG)) {
        log->id[log->n++] = id;
    } else {
        log->overflow = true;
    }
    v->has_global |= global;
    v->tab[id] = entry;
    return grown;
}

void view_note_large(struct view *v, gva va, unsigned page_shift)
{
    uint32_t region = (va >> 21) & (VIEW_REGIONS - 1);
    v->has_4m |= page_shift == 22;
    if (page_shift == 30) {
        bit_set(v->gigs, (va >> 30) & (VIEW_GIGS - 1));
    }
    if (bit_get(v->large, region)) {
        return;
    }
    bit_set(v->large, region);
    if (v->n_large < VIEW_LARGE_LOG) {
        v->large_log[v->n_large++] = region;
    } else {
        v->large_overflow = true;
    }
}

// ---- emptying ----

static void zero_table_page(struct view *v, uint32_t page)
{
    if (bit_get(v->touched, page)) {
        zero_bytes(v->tab + (uint64_t)page * VIEW_PAGE_ENTRIES, PAGE_SIZE);
    }
}

// All entries of a 2 MiB region, whatever page they came from.
static void drop_region(struct view *v, uint32_t region)
{
    if (bit_get(v->large, region)) {
        zero_table_page(v, VIEW_W_ENTRIES / VIEW_PAGE_ENTRIES + region);
        zero_table_page(v, region & (VIEW_W_ENTRIES / VIEW_PAGE_ENTRIES - 1));
        bit_clear(v->large, region); // stays in large_log, which only says where to look
    }
}

static void drop_gig(struct view *v, gva va)
{
    uint32_t gig = (va >> 30) & (VIEW_GIGS - 1);
    if (!bit_get(v->gigs, gig)) {
        return;
    }
    for (uint32_t i = 0; i < 512; i++) {
        uint32_t region = gig * 512 + i;
        if (v->large[region / 64] == 0) {
            i |= 63;
            continue;
        }
        drop_region(v, region);
    }
    bit_clear(v->gigs, gig);
}

static void drop_entry(struct view *v, uint32_t id)
{
    if (bit_get(v->touched, id / VIEW_PAGE_ENTRIES)) { // else reading it would make the host map a page
        v->tab[id] = 0;
    }
}

void view_drop_page(struct view *v, gva va)
{
    if (view_is_empty(v)) {
        return;
    }
    uint32_t region = (va >> 21) & (VIEW_REGIONS - 1);
    drop_gig(v, va);
    drop_region(v, region);
    if (v->has_4m) {
        drop_region(v, region ^ 1);
    }
    drop_entry(v, view_read_id(va));
    drop_entry(v, view_write_id(va));
}

static void log_zero(struct view *v, struct view_log *log)
{
    for (unsigned i = 0; i < log->n; i++) {
        v->tab[log->id[i]] = 0;
    }
    log->n = 0;
}

static void large_clear(struct view *v)
{
    if (v->large_overflow) {
        zero_bytes(v->large, sizeof(v->large));
    }
    for (unsigned i = 0; i < v->n_large; i++) {
        bit_clear(v->large, v->large_log[i]);
    }
    if (v->n_large) {
        zero_bytes(v->gigs, sizeof(v->gigs));
    }
    v->n_large = 0;
    v->large_overflow = v->has_4m = false;
}

static void logs_reset(struct view *v)
{
    v->log[0].n = v->log[1].n = 0;
    v->log[0].overflow = v->log[1].overflow = false;
    v->has_global = false;
    large_clear(v);
}

uint64_t view_give_back(struct view *v)
{
    uint64_t had = v->bytes;
    // The host keeps its own page tables over MADV_DONTNEED; only a new mapping drops them.
    bool renewed = false;
    if (v->n_chunks > 256) {
        void *p = mmap(v->tab, VIEW_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
        renewed = p == (void *)v->tab;
        madvise(v->tab, VIEW_BYTES, MADV_NOHUGEPAGE);
        madvise(v->tab, VIEW_BYTES, MADV_DONTDUMP);
    }
    if (renewed) {
        zero_bytes(v->chunks, sizeof(v->chunks));
        v->n_chunks = 0;
    } else {
        madvise(v->tab, VIEW_BYTES, MADV_DONTNEED);
    }
    if (v->pages_overflow) {
        zero_bytes(v->touched, sizeof(v->touched));
    } else {
        for (unsigned i = 0; i < v->n_pages; i++) {
            bit_clear(v->touched, v->page[i]);
        }
    }
    v->n_pages = 0;
    v->pages_overflow = false;
    logs_reset(v);
    v->bytes = (uint64_t)v->n_chunks * PAGE_SIZE;
    return had - v->bytes;
}

uint64_t view_flush(struct view *v)
{
    if (v->log[0].overflow || v->log[1].overflow) {
        if (v->pages_overflow || v->n_pages > ZERO_PAGES_MAX) {
            return view_give_back(v);
        }
        for (unsigned i = 0; i < v->n_pages; i++) {
            zero_table_page(v, v->page[i]);
        }
    } else {
        log_zero(v, &v->log[0]);
        log_zero(v, &v->log[1]);
    }
    logs_reset(v);
    return 0;
}

uint64_t view_flush_nonglobal(struct view *v)
{
    if (v->log[0].overflow) {
        return view_flush(v);
    }
    log_zero(v, &v->log[0]);
    if (!v->log[1].n) {
        logs_reset(v);
    }
    return 0;
}
