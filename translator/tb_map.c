// SPDX-License-Identifier: MIT
// Which translated blocks exist: lookup by address and mode, which guest pages they came from, the links
// between them, and dropping them when their bytes change (self-modifying code, DMA, eviction).
//
// A page that holds translations is kept out of the shadow tables' store side, so that every store to it
// ends in slow.c, which asks here whether the bytes written overlap any block's. Only blocks that do are
// dropped; a page that loses its last block becomes an ordinary writable page again.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/stats.h"
#include "shadowpt/shadow.h"
#include "translator/tb.h"

enum { TB_BUCKETS = 1 << 16, TB_SLOTS = 7, ORIGINAL_HASH = 1 << 16, PAGE_HASH = 1 << 13 };

// Blocks by address and mode. Most lookups find the host's caches cold, and so a bucket is one cache line: pointers with a
// tag in the bits that addresses leave free, so that no other block is looked at on the way. Buckets of neighbouring
// guest code lie side by side.
struct tb_bucket {
    uint64_t slot[TB_SLOTS]; // block, tag << 48; 0: free
    struct tb *more;         // by hash_next, when all slots are taken
};
#define SLOT_TB(slot) ((struct tb *)((slot) & (BIT(48) - 1)))

struct code_page {
    gpa page;
    uint64_t granules; // a bit per 64 bytes that a block may depend on; bits too many are found out and cleared
    uint64_t starts[PAGE_SIZE / 64]; // a bit per byte where a block may begin; never cleared while the page has code
    struct tb *tbs;                  // linked by page_next[0] or [1]
    struct code_page *next;
};

struct tb_map_table {
    struct tb_bucket *bucket; // TB_BUCKETS
    struct tb *originals[ORIGINAL_HASH];
    struct code_page *pages[PAGE_HASH];
    struct code_page *spare; // to be used again: free() may use vector registers while the guest's are live
    // A bit per hash of pages that ever held code: read by other threads, never cleared.
    _Atomic uint64_t ever[PAGE_HASH / 8];
};

int tb_map_init(struct bt *bt)
{
    bt->map = calloc(1, sizeof(*bt->map));
    if (!bt->map)
        return -ENOMEM;
    void *p = mmap(NULL, TB_BUCKETS * sizeof(struct tb_bucket), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                   0); // aligned to cache lines, and its pages come as they are used
    bt->map->bucket = p == MAP_FAILED ? NULL : p;
    return bt->map->bucket ? 0 : -ENOMEM;
}

void tb_map_destroy(struct bt *bt)
{
    for (unsigned i = 0; i < PAGE_HASH; i++)
        for (struct code_page *p = bt->map->pages[i], *n; p; p = n) {
            n = p->next;
            free(p);
        }
    for (struct code_page *p = bt->map->spare, *n; p; p = n) {
        n = p->next;
        free(p);
    }
    munmap(bt->map->bucket, TB_BUCKETS * sizeof(struct tb_bucket));
    free(bt->map);
}

static uint64_t mix(uint64_t v) { return v * 0x9e3779b97f4a7c15ull; }
static struct tb_bucket *tb_bucket(const struct bt *bt, gva va, uint64_t mode)
{
    uint64_t page = mix((va >> PAGE_SHIFT) + (mode << 36)) >> 40;
    return &bt->map->bucket[(page << 6 | (va >> 6 & 63)) & (TB_BUCKETS - 1)];
}
static uint64_t tb_tag(gva va, uint64_t mode) { return mix(va ^ mode << 20) >> 48; }
static unsigned original_hash(gpa pa) { return mix(pa) >> 40 & (ORIGINAL_HASH - 1); }
static unsigned page_hash(gpa page) { return (page >> PAGE_SHIFT) & (PAGE_HASH - 1); }

static struct code_page *page_find(struct bt *bt, gpa page)
{
    struct code_page *p = bt->map->pages[page_hash(page)];
    while (p && p->page != page)
        p = p->next;
    return p;
}

bool tb_page_has_code(struct bt *bt, gpa page) { return page_find(bt, page & PAGE_MASK) != NULL; }

static unsigned ever_bit(gpa page) { return (page >> PAGE_SHIFT) % (PAGE_HASH * 8); }

bool tb_page_maybe_code(struct bt *bt, gpa page)
{
    unsigned b = ever_bit(page);
    return atomic_load(&bt->map->ever[b / 64]) >> (b % 64) & 1;
}

const uint64_t *tb_page_starts(struct bt *bt, gpa page)
{
    const struct code_page *p = page_find(bt, page & PAGE_MASK);
    return p ? p->starts : NULL;
}

struct tb *tb_find(struct bt *bt, gva va, gpa pa, uint64_t mode)
{
    const struct tb_bucket *b = tb_bucket(bt, va, mode);
    uint64_t tag = tb_tag(va, mode);
    for (unsigned i = 0; i < TB_SLOTS; i++) {
        if (b->slot[i] >> 48 != tag)
            continue;
        struct tb *tb = SLOT_TB(b->slot[i]);
        if (tb && tb_is(tb, va, pa, mode))
            return tb;
    }
    for (struct tb *tb = b->more; tb; tb = tb->hash_next)
        if (tb_is(tb, va, pa, mode))
            return tb;
    return NULL;
}

static void bucket_add(struct bt *bt, struct tb *tb)
{
    struct tb_bucket *b = tb_bucket(bt, tb->va, tb->mode);
    for (unsigned i = 0; i < TB_SLOTS; i++)
        if (!b->slot[i]) {
            b->slot[i] = (uint64_t)tb | tb_tag(tb->va, tb->mode) << 48;
            return;
        }
    tb->hash_next = b->more;
    b->more = tb;
}

static void bucket_remove(struct bt *bt, struct tb *tb)
{
    struct tb_bucket *b = tb_bucket(bt, tb->va, tb->mode);
    for (unsigned i = 0; i < TB_SLOTS; i++)
        if (SLOT_TB(b->slot[i]) == tb) {
            b->slot[i] = 0;
            return;
        }
    struct tb **t = &b->more;
    while (*t != tb)
        t = &(*t)->hash_next;
    *t = tb->hash_next;
}

struct tb *tb_find_original(struct bt *bt, gpa pa, uint64_t mode)
{
    for (struct tb *tb = bt->map->originals[original_hash(pa)]; tb; tb = tb->original_next)
        if (tb->pa == pa && tb->mode == mode)
            return tb;
    return NULL;
}

enum { GRANULE_SHIFT = 6 };

// Bits of the granules of a page that [lo, hi), cut to the page, touches.
static uint64_t granule_bits(gpa page, gpa lo, gpa hi)
{
    if (hi <= page || lo >= page + PAGE_SIZE)
        return 0;
    unsigned first = lo <= page ? 0 : (lo - page) >> GRANULE_SHIFT;
    unsigned last = hi >= page + PAGE_SIZE ? 63 : (hi - 1 - page) >> GRANULE_SHIFT;
    return (last - first == 63 ? ~0ull : (1ull << (last - first + 1)) - 1) << first;
}

static uint64_t tb_granules(const struct tb *tb, gpa page)
{
    unsigned first = tb->pa2 == NO_PA ? tb->size : PAGE_SIZE - (tb->pa & ~PAGE_MASK);
    uint64_t m = granule_bits(page, tb->pa, tb->pa + first);
    if (tb->pa2 != NO_PA)
        m |= granule_bits(page, tb->pa2, tb->pa2 + (tb->size - first));
    if (page == (tb->pa & PAGE_MASK))
        for (unsigned i = 0; i < tb->ndeps; i++)
            m |= granule_bits(page, page + tb->deps[i].lo, page + tb->deps[i].hi);
    return m;
}

static unsigned page_slot(const struct tb *tb, gpa page) { return (tb->pa & PAGE_MASK) == page ? 0 : 1; }

static void page_add(struct bt *bt, gpa page, struct tb *tb, unsigned which)
{
    struct code_page *p = page_find(bt, page);
    if (!p) {
        p = bt->map->spare;
        if (p)
            bt->map->spare = p->next;
        else
            p = malloc(sizeof(*p)); // only translate_block comes here, with vector state saved
        if (!p)
            abort(); // host out of memory: nothing the guest asked for can be done without it
        p->tbs = NULL;
        p->granules = 0;
        memset(p->starts, 0, sizeof(p->starts));
        p->page = page;
        atomic_fetch_or(&bt->map->ever[ever_bit(page) / 64], 1ull << (ever_bit(page) % 64));
        p->next = bt->map->pages[page_hash(page)];
        bt->map->pages[page_hash(page)] = p;
        shadow_protect_code(bt->shadow, page);
    }
    p->granules |= tb_granules(tb, page);
    if (which == 0)
        p->starts[(tb->pa & ~PAGE_MASK) / 64] |= 1ull << (tb->pa & 63);
    tb->page_next[which] = p->tbs;
    tb->page_at[which] = &p->tbs;
    if (p->tbs)
        p->tbs->page_at[page_slot(p->tbs, page)] = &tb->page_next[which];
    p->tbs = tb;
}

static void page_remove(struct bt *bt, gpa page, struct tb *tb)
{
    struct code_page **pp = &bt->map->pages[page_hash(page)];
    while (*pp && (*pp)->page != page)
        pp = &(*pp)->next;
    struct code_page *p = *pp;
    if (!p)
        return;
    unsigned slot = page_slot(tb, page);
    struct tb *next = tb->page_next[slot];
    *tb->page_at[slot] = next;
    if (next)
        next->page_at[page_slot(next, page)] = tb->page_at[slot];
    if (!p->tbs) {
        *pp = p->next;
        p->next = bt->map->spare;
        bt->map->spare = p;
    }
}

void tb_insert(struct bt *bt, struct tb *tb)
{
    bucket_add(bt, tb);
    if (tb->original) {
        tb->original_next = bt->map->originals[original_hash(tb->pa)];
        bt->map->originals[original_hash(tb->pa)] = tb;
    }
    page_add(bt, tb->pa & PAGE_MASK, tb, 0);
    if (tb->pa2 != NO_PA && (tb->pa2 & PAGE_MASK) != (tb->pa & PAGE_MASK))
        page_add(bt, tb->pa2 & PAGE_MASK, tb, 1);
}

// --- links

static void patch(struct bt *bt, uint8_t *site, const uint8_t *target)
{
    int32_t rel = (int32_t)(target - (site + 4 + cache_exec(bt)));
    __atomic_store_n((int32_t *)site, rel, __ATOMIC_RELAXED); // unaligned but one store: the vCPU's own thread
}

void tb_chain(struct bt *bt, struct tb_link *l, struct tb *to)
{
    l->to = to;
    l->next_in = to->in;
    to->in = l;
    patch(bt, l->site, to->code);
    stat_inc(STAT_tb_chained);
}

void tb_unchain(struct bt *bt, struct tb_link *l)
{
    if (!l->to)
        return;
    for (struct tb_link **p = &l->to->in; *p; p = &(*p)->next_in)
        if (*p == l) {
            *p = l->next_in;
            break;
        }
    l->to = NULL;
    patch(bt, l->site, l->stub);
}

// Async-signal-safe.
void tb_links_suspend(struct bt *bt, struct tb *tb)
{
    for (unsigned i = 0; i < tb->nlinks; i++)
        if (tb->links[i].to || tb->links[i].internal)
            patch(bt, tb->links[i].site, tb->links[i].stub);
}

void tb_links_resume(struct bt *bt, struct tb *tb)
{
    for (unsigned i = 0; i < tb->nlinks; i++) {
        struct tb_link *l = &tb->links[i];
        if (l->internal)
            patch(bt, l->site, l->internal_target);
        else if (l->to)
            patch(bt, l->site, l->to->code);
    }
}

// --- dropping

void tb_drop(struct bt *bt, struct tb *tb)
{
    if (tb->dropped)
        return;
    tb->dropped = true;
    bucket_remove(bt, tb);
    struct tb **o = &bt->map->originals[original_hash(tb->pa)];
    while (tb->original && *o != tb)
        o = &(*o)->original_next;
    if (tb->original)
        *o = tb->original_next;
    page_remove(bt, tb->pa & PAGE_MASK, tb);
    if (tb->pa2 != NO_PA && (tb->pa2 & PAGE_MASK) != (tb->pa & PAGE_MASK))
        page_remove(bt, tb->pa2 & PAGE_MASK, tb);
    while (tb->in)
        tb_unchain(bt, tb->in);
    for (unsigned i = 0; i < tb->nlinks; i++)
        tb_unchain(bt, &tb->links[i]);
    // Whoever still holds the address (an indirect-branch entry) is sent to the dispatcher.
    uint8_t *entry = tb->code - cache_exec(bt);
    entry[0] = 0xe9;
    patch(bt, entry + 1, tb->drop_stub);
    if (bt->last_link && bt->last_link->from == tb)
        bt->last_link = NULL;
}

static bool overlaps(const struct tb *tb, gpa pa, uint64_t len)
{
    gpa end = pa + len;
    unsigned first = tb->size;
    if (tb->pa2 != NO_PA)
        first = PAGE_SIZE - (tb->pa & ~PAGE_MASK);
    if (pa < tb->pa + first && tb->pa < end)
        return true;
    if (tb->pa2 != NO_PA && pa < tb->pa2 + (tb->size - first) && tb->pa2 < end)
        return true;
    for (unsigned i = 0; i < tb->ndeps; i++) {
        gpa page = tb->pa & PAGE_MASK;
        if (pa < page + tb->deps[i].hi && page + tb->deps[i].lo < end)
            return true;
    }
    return false;
}

enum code_store tb_code_store(struct bt *bt, gpa pa, unsigned len)
{
    gpa page = pa & PAGE_MASK;
    struct code_page *p = page_find(bt, page);
    if (!p)
        return CODE_STORE_NO_CODE;
    if (LIKELY(!(p->granules & granule_bits(page, pa, pa + len))))
        return CODE_STORE_BESIDE;
    bool hit = false;
    uint64_t granules = 0;
    for (struct tb *tb = p->tbs; tb; tb = tb->page_next[page_slot(tb, page)]) {
        hit |= overlaps(tb, pa, len);
        granules |= tb_granules(tb, page);
    }
    p->granules = granules;
    return hit ? CODE_STORE_HIT : CODE_STORE_BESIDE;
}

// Drops the blocks of p that overlap, and counts them. May retire p with its last block, or a neighbour with a block
// that lies on both.
static bool invalidate_page(struct bt *bt, struct code_page *p, gpa pa, uint64_t len, unsigned *dropped)
{
    gpa page = p->page;
    bool current = false;
    struct tb *next;
    if (!(p->granules & granule_bits(page, pa, pa + len)))
        return false;
    for (struct tb *tb = p->tbs; tb; tb = next) {
        next = tb->page_next[page_slot(tb, page)];
        if (!overlaps(tb, pa, len))
            continue;
        current |= tb == bt->current;
        stat_inc(STAT_tb_dropped_smc);
        tb_drop(bt, tb);
        ++*dropped;
    }
    return current;
}

bool tb_invalidate_range(struct bt *bt, gpa pa, uint64_t len)
{
    bool current = false;
    unsigned dropped = 0;
    if (len / PAGE_SIZE <= PAGE_HASH) {
        for (gpa page = pa & PAGE_MASK; page < pa + len; page += PAGE_SIZE) {
            struct code_page *p = page_find(bt, page);
            if (p)
                current |= invalidate_page(bt, p, pa, len, &dropped);
        }
        return current;
    }
    for (unsigned i = 0; i < PAGE_HASH; i++) { // fewer pages hold code than there are
        for (struct code_page *p = bt->map->pages[i]; p;) {
            unsigned before = dropped;
            current |= invalidate_page(bt, p, pa, len, &dropped);
            p = dropped == before ? p->next : bt->map->pages[i];
        }
    }
    return current;
}
