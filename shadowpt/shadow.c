// SPDX-License-Identifier: MIT
// Shadow page tables: which view a translation goes into, and which views an invalidation empties.
//
// The reader's map: shadow.h says what the tables look like and why no tag is needed; view.c fills and
// empties one view; rmap.c finds the entries of a page that got code. Here is the policy:
//
//   U[slot]   user mode of one address space: pages with U/S set
//   KA[slot]  supervisor while AC lifts SMAP: all pages of one address space
//   K         supervisor otherwise: with SMAP supervisor pages only, without it all pages
//
// Entries of pages that are not global belong to one PCID. U and KA follow their slot's; K holds those of the
// current address space and loses them when another is selected. An entry may always be dropped too early.
#include "shadowpt/shadow.h"

#include "base/stats.h"
#include "shadowpt/rmap.h"
#include "shadowpt/view.h"

#include <errno.h>
#include <stdlib.h>

#define CR0_WP BIT(16)
#define CR0_PG BIT(31)
#define CR4_SMAP BIT(21)

enum { VIEW_KA = SHADOW_SLOTS, VIEW_K = 2 * SHADOW_SLOTS, VIEWS };

// Views keep up to 1 MiB of host page tables when they give their memory back.
#define MIN_BYTES ((uint64_t)32 << 20)

// A page that the current view may access, but not by itself: it may write it, but for the code on it
// (shadow_code_store()), or it is no memory (shadow_device()). Good while no invalidation came after it.
enum { GRANTS = 64 };
struct grant {
    gva page;
    gpa pa;
    hva host;        // NULL: a device's page, ...
    bool write;      // ... which may be written, too
    uint64_t serial; // 0: empty
    unsigned view;
};

struct slot { // an address space
    uint64_t root, used;
    unsigned pcid;
    bool valid;
};

struct shadow {
    struct view *view[VIEWS];
    unsigned slot; // of the current address space
    bool smap, wp; // as the entries in K and KA were filled
    uint64_t home; // bits 40 and up of the host address of all RAM; see host_in_home
    uint64_t bytes;
    uint64_t clock;
    struct slot slots[SHADOW_SLOTS];
    struct rmap rmap;
    uint64_t serial; // of the last invalidation
    struct grant grants[GRANTS];
    struct shadow_config cfg;
};

// ---- which view ----

static unsigned view_pick(const struct shadow *s, bool user, bool ac)
{
    if (user) {
        return s->slot;
    }
    return ac && s->smap ? VIEW_KA + s->slot : VIEW_K;
}

// The current view. Nothing is kept of it here: translated code switches views by itself at STAC and CLAC, and
// says so in the MMU's ac only.
static unsigned view_current(const struct shadow *s) { return view_pick(s, s->cfg.mmu->user, s->cfg.mmu->ac); }

static void view_select(struct shadow *s)
{
    stat_inc(STAT_shadow_view_switch);
    if (s->cfg.view_changed) {
        s->cfg.view_changed(s->cfg.opaque, view_base(s->view[view_current(s)]));
    }
}

static void op_set_privilege(void *ctx, bool user, bool ac) { view_select(ctx); }

static void space_changed(struct shadow *s)
{
    if (s->cfg.space_changed) {
        s->cfg.space_changed(s->cfg.opaque);
    }
    view_select(s);
}

static void flush_view_nonglobal(struct shadow *s, unsigned i) { s->bytes -= view_flush_nonglobal(s->view[i]); }

static void flush_slot_nonglobal(struct shadow *s, unsigned slot)
{
    flush_view_nonglobal(s, slot);
    flush_view_nonglobal(s, VIEW_KA + slot);
}

static bool slot_is_clean(const struct shadow *s, unsigned slot)
{
    return !s->view[slot]->log[0].n && !s->view[VIEW_KA + slot]->log[0].n;
}

// The slot of (root, pcid), or else one to give to it. Guests without PCIDs flush before they switch: their
// current slot is clean then, and its warm table pages serve the next address space.
static unsigned slot_find(struct shadow *s, uint64_t root, unsigned pcid)
{
    unsigned oldest = 0;
    for (unsigned i = 0; i < SHADOW_SLOTS; i++) {
        struct slot *t = &s->slots[i];
        if (t->valid && t->root == root && t->pcid == pcid) {
            return i;
        }
        if (s->slots[oldest].valid && (!t->valid || t->used < s->slots[oldest].used)) {
            oldest = i;
        }
    }
    return slot_is_clean(s, s->slot) ? s->slot : oldest;
}

static void op_switch_space(void *ctx, uint64_t root, unsigned pcid)
{
    struct shadow *s = ctx;
    s->serial++;
    unsigned i = slot_find(s, root, pcid);
    struct slot *t = &s->slots[i];
    bool same = t->valid && t->root == root && t->pcid == pcid;
    if (!same) {
        if (t->valid && !slot_is_clean(s, i)) {
            stat_inc(STAT_shadow_view_recycled);
        }
        flush_slot_nonglobal(s, i);
        *t = (struct slot){.root = root, .pcid = pcid, .valid = true};
    }
    if (!same || i != s->slot) {
        flush_view_nonglobal(s, VIEW_K);
    }
    t->used = ++s->clock;
    s->slot = i;
    space_changed(s);
}

// ---- filling ----

// Past the bound the fullest views give their memory back.
static void bound_memory(struct shadow *s)
{
    for (unsigned tries = 0; s->bytes > s->cfg.max_bytes && tries < VIEWS; tries++) {
        unsigned fullest = 0;
        for (unsigned i = 1; i < VIEWS; i++) {
            if (s->view[i]->bytes > s->view[fullest]->bytes) {
                fullest = i;
            }
        }
        stat_inc(STAT_shadow_flush_all);
        s->bytes -= view_give_back(s->view[fullest]);
    }
}

// The view a page is for: that of the access it was walked for. An implicit supervisor access made from user
// mode belongs to K. VIEWS: none.
static unsigned fill_view(const struct shadow *s, const struct walk_result *w)
{
    unsigned cur = view_current(s);
    if (!w->user) {
        return cur < SHADOW_SLOTS ? VIEW_K : cur;
    }
    return cur == VIEW_K && s->smap ? VIEWS : cur;
}

uint64_t shadow_home(const struct shadow *s) { return s->home; }

// An alias of guest RAM differs from the address meant by a multiple of 2^40. All RAM lies in one stripe of
// 2^40 bytes (ram.c), so the bits above tell them apart; memory that is not there is never made fast.
static bool host_in_home(struct shadow *s, hva host)
{
    uint64_t high = (uint64_t)host >> SHADOW_HOME_SHIFT;
    if (UNLIKELY(!s->home)) {
        s->home = high;
    }
    return high == s->home;
}

static bool is_canonical(gva va) { return (uint64_t)((int64_t)(va << 16) >> 16) == va; }

static bool write_allowed(const struct shadow *s, unsigned view, gpa page, const struct walk_result *w)
{
    return w->dirty && !(page >> RMAP_GPA_BITS) && (w->writable || (view >= SHADOW_SLOTS && !s->wp));
}

static bool watched(const struct shadow *s, gva va, bool write)
{
    const struct mmu *m = s->cfg.mmu;
    return UNLIKELY(m->watch) && m->watch->page(m->watch_opaque, va, write);
}

static bool has_code(const struct shadow *s, gpa page)
{
    return s->cfg.page_has_code && s->cfg.page_has_code(s->cfg.opaque, page);
}

static struct grant *grant_of(struct shadow *s, gva va) { return &s->grants[(va >> PAGE_SHIFT) % GRANTS]; }

// One 4 KiB page of what was walked. Returns by how many bytes the view grew.
static unsigned fill_page(struct shadow *s, unsigned i, gva va, gpa page, bool write, const struct walk_result *w)
{
    bool rom;
    hva host = as_page_ptr(s->cfg.mmu->mem, page, &rom);
    uint64_t entry = (uint64_t)host - va;

    // An entry of 0 means "not resident", so a page at its own host address stays slow.
    if (!host || !entry || !host_in_home(s, host) || watched(s, va, false)) {
        if (!host && !watched(s, va, false)) {
            bool writable = write && w->dirty && (w->writable || (i >= SHADOW_SLOTS && !s->wp));
            *grant_of(s,
                      va) = (struct grant){.page = va, .pa = page, .write = writable, .serial = s->serial, .view = i};
        }
        return 0;
    }
    struct view *v = s->view[i];
    unsigned grown = view_set(v, view_read_id(va), entry, w->global);
    stat_inc(STAT_shadow_fill_read);
    if (write && !rom && write_allowed(s, i, page, w) && !watched(s, va, true)) {
        as_mark_dirty(s->cfg.mmu->mem, page, PAGE_SIZE);
        if (has_code(s, page)) {
            *grant_of(s, va) = (struct grant){.page = va, .pa = page, .host = host, .serial = s->serial, .view = i};
            return grown;
        }
        grown += view_set(v, view_write_id(va), entry, w->global);
        rmap_add(&s->rmap, s->view, page, host, i, view_write_id(va));
        stat_inc(STAT_shadow_fill_write);
    }
    return grown;
}

// Of a large page the neighbours whose entries lie in the same cache line come along: no walk, no cache miss.
enum { CLUSTER = 8 };

static void op_fill(void *ctx, gva va, enum mmu_access access, const struct walk_result *w)
{
    struct shadow *s = ctx;
    unsigned i = fill_view(s, w), grown = 0;
    bool write = access == MMU_WRITE;
    gpa page = w->pa & PAGE_MASK;

    if (i == VIEWS || access == MMU_FETCH || !is_canonical(va)) {
        return;
    }
    va &= PAGE_MASK;
    if (w->page_shift == PAGE_SHIFT) {
        grown = fill_page(s, i, va, page, write, w);
    } else {
        uint64_t back = va & (CLUSTER * PAGE_SIZE - 1);
        for (unsigned k = 0; k < CLUSTER; k++) {
            grown += fill_page(s, i, va - back + k * PAGE_SIZE, page - back + k * PAGE_SIZE, write, w);
        }
        view_note_large(s->view[i], va, w->page_shift);
    }
    if (grown) {
        s->bytes += grown;
        bound_memory(s);
    }
}

static hva op_lookup(void *ctx, gva va, enum mmu_access access, bool user, bool ac)
{
    struct shadow *s = ctx;
    const struct view *v = s->view[view_pick(s, user, ac)];
    if (access == MMU_FETCH) {
        return NULL;
    }
    uint64_t entry = v->tab[access == MMU_WRITE ? view_write_id(va) : view_read_id(va)];
    uint64_t host = va + entry;
    return entry && host >> SHADOW_HOME_SHIFT == s->home ? (hva)host : NULL;
}

// ---- invalidation ----

static void op_flush_page(void *ctx, gva va)
{
    struct shadow *s = ctx;
    s->serial++;
    unsigned pcid = s->slots[s->slot].pcid;
    stat_inc(STAT_shadow_flush_page);
    view_drop_page(s->view[VIEW_K], va);
    for (unsigned i = 0; i < SHADOW_SLOTS; i++) {
        bool ours = s->slots[i].valid && s->slots[i].pcid == pcid;
        if (ours || s->view[i]->has_global) {
            view_drop_page(s->view[i], va);
        }
        if (ours || s->view[VIEW_KA + i]->has_global) {
            view_drop_page(s->view[VIEW_KA + i], va);
        }
    }
}

static void op_flush_pcid_page(void *ctx, unsigned pcid, gva va)
{
    struct shadow *s = ctx;
    s->serial++;
    stat_inc(STAT_shadow_flush_page);
    if (pcid == s->slots[s->slot].pcid) {
        view_drop_page(s->view[VIEW_K], va);
    }
    for (unsigned i = 0; i < SHADOW_SLOTS; i++) {
        if (s->slots[i].valid && s->slots[i].pcid == pcid) {
            view_drop_page(s->view[i], va);
            view_drop_page(s->view[VIEW_KA + i], va);
        }
    }
}

static void op_flush_pcid(void *ctx, unsigned pcid)
{
    struct shadow *s = ctx;
    s->serial++;
    if (pcid == s->slots[s->slot].pcid) {
        flush_view_nonglobal(s, VIEW_K);
    }
    for (unsigned i = 0; i < SHADOW_SLOTS; i++) {
        if (s->slots[i].valid && s->slots[i].pcid == pcid) {
            flush_slot_nonglobal(s, i);
        }
    }
}

static void op_flush_nonglobal(void *ctx)
{
    struct shadow *s = ctx;
    s->serial++;
    flush_view_nonglobal(s, VIEW_K);
    for (unsigned i = 0; i < SHADOW_SLOTS; i++) {
        flush_slot_nonglobal(s, i);
        s->slots[i].valid &= i == s->slot; // nothing in them: no reason to come back to them
    }
}

static void flush_views(struct shadow *s)
{
    s->serial++;
    stat_inc(STAT_shadow_flush_all);
    for (unsigned i = 0; i < VIEWS; i++) {
        s->bytes -= view_flush(s->view[i]);
    }
}

static void op_flush_all(void *ctx)
{
    struct shadow *s = ctx;
    const struct paging *pg = &s->cfg.mmu->pg;
    flush_views(s);
    // Everything is empty: the one moment at which the rules for filling may change.
    s->smap = (pg->cr4 & CR4_SMAP) && (pg->cr0 & CR0_PG);
    s->wp = pg->cr0 & CR0_WP;
    for (unsigned i = 0; i < SHADOW_SLOTS; i++) {
        s->slots[i].valid &= i == s->slot;
    }
    space_changed(s);
}

const struct mmu_shadow_ops shadow_mmu_ops = {
    .fill = op_fill,
    .flush_page = op_flush_page,
    .flush_pcid_page = op_flush_pcid_page,
    .flush_pcid = op_flush_pcid,
    .flush_nonglobal = op_flush_nonglobal,
    .flush_all = op_flush_all,
    .switch_space = op_switch_space,
    .set_privilege = op_set_privilege,
    .lookup = op_lookup,
};

// ---- the engine's side ----

void *shadow_view_base(struct shadow *s) { return view_base(s->view[view_current(s)]); }

void *shadow_view_of(struct shadow *s, bool user, bool ac) { return view_base(s->view[view_pick(s, user, ac)]); }

void shadow_protect_code(struct shadow *s, gpa page)
{
    if (!(page >> RMAP_GPA_BITS) && !rmap_revoke(&s->rmap, s->view, page & PAGE_MASK)) {
        flush_views(s);
    }
}

// Rare (a BAR or a PAM register changed), so everything goes rather than a search through all tables.
void shadow_drop_range(struct shadow *s, gpa addr, uint64_t len) { flush_views(s); }

hva shadow_code_store(struct shadow *s, gva va, gpa *pa)
{
    const struct grant *g = grant_of(s, va);
    if (g->serial != s->serial || g->page != (va & PAGE_MASK) || g->view != view_current(s) || !g->host) {
        return NULL;
    }
    *pa = g->pa | (va & ~PAGE_MASK);
    return g->host + (va & ~PAGE_MASK);
}

bool shadow_device(struct shadow *s, gva va, bool write, gpa *pa)
{
    const struct grant *g = grant_of(s, va);
    *pa = g->pa | (va & ~PAGE_MASK);
    return g->serial == s->serial && g->page == (va & PAGE_MASK) && g->view == view_current(s) && !g->host &&
           (g->write || !write);
}

int shadow_resolve(struct shadow *s, gva va, unsigned size, bool write, struct mmu_fault *f)
{
    struct mmu *m = s->cfg.mmu;
    struct view *v = s->view[view_current(s)];
    unsigned grown = view_note_miss(v, write ? view_write_id(va) : view_read_id(va));
    if (grown) {
        s->bytes += grown;
        bound_memory(s);
    }
    if (size > PAGE_SIZE - va % PAGE_SIZE || !is_canonical(va)) {
        return 1; // #GP or #SS for the latter: the emulation knows which
    }
    bool ok = write ? mmu_write(m, va, NULL, size, MMU_PROBE, f) : mmu_read(m, va, NULL, size, MMU_PROBE, f);
    if (!ok) {
        return -1;
    }
    return op_lookup(s, va, write ? MMU_WRITE : MMU_READ, m->user, m->ac) ? 0 : 1;
}

int shadow_create(struct shadow **out, const struct shadow_config *cfg)
{
    struct shadow *s = calloc(1, sizeof(*s));
    int err = -ENOMEM;
    if (!s) {
        return err;
    }
    s->cfg = *cfg;
    if (!s->cfg.max_bytes) {
        s->cfg.max_bytes = (uint64_t)256 << 20;
    } else if (s->cfg.max_bytes < MIN_BYTES) {
        s->cfg.max_bytes = MIN_BYTES;
    }
    err = rmap_create(&s->rmap);
    for (unsigned i = 0; !err && i < VIEWS; i++) {
        s->view[i] = view_create();
        err = s->view[i] ? 0 : -ENOMEM;
    }
    if (err) {
        shadow_destroy(s);
        return err;
    }
    s->serial = 1;
    op_flush_all(s);
    *out = s;
    return 0;
}

void shadow_destroy(struct shadow *s)
{
    if (!s) {
        return;
    }
    for (unsigned i = 0; i < VIEWS; i++) {
        view_destroy(s->view[i]);
    }
    rmap_destroy(&s->rmap);
    free(s);
}
