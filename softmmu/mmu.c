// SPDX-License-Identifier: MIT
// C-level loads, stores and fetches with full x86 rules: the shadow first, else walk, fill and access.
#include "softmmu/mmu.h"

#include "base/biglock.h"
#include "base/copy.h"
#include "base/stats.h"
#include "softmmu/mmu_internal.h"

// An access as the architecture judges it.
struct access {
    enum mmu_access kind;
    bool user, ac, implicit;
};

static struct access access_make(const struct mmu *m, enum mmu_access kind, unsigned flags)
{
    bool implicit = flags & MMU_IMPLICIT;
    return (struct access){.kind = kind, .user = m->user && !implicit, .ac = m->ac && !implicit, .implicit = implicit};
}

static unsigned page_room(gva va) // bytes from va to the end of its page
{
    return PAGE_SIZE - (unsigned)(va % PAGE_SIZE);
}

// ---- translation ----

static hva fast_lookup(struct mmu *m, gva va, const struct access *a)
{
    return m->shadow ? m->shadow->lookup(m->shadow_ctx, va, a->kind, a->user, a->ac) : NULL;
}

static bool translate(struct mmu *m, gva va, const struct access *a, struct walk_result *w, struct mmu_fault *f)
{
    const struct walk_request req = {
        .va = va,
        .access = a->kind,
        .user = a->user,
        .ac = a->ac,
        .implicit = a->implicit,
        .set_ad = true,
    };
    page_walk(m->mem, &m->pg, &req, w);
    if (w->fault) {
        stat_inc(STAT_mmu_pf);
        *f = (struct mmu_fault){.addr = va, .error = w->error};
        return false;
    }
    return true;
}

static bool translate_and_fill(struct mmu *m, gva va, const struct access *a, struct walk_result *w,
                               struct mmu_fault *f)
{
    if (!translate(m, va, a, w, f)) {
        return false;
    }
    if (m->shadow) {
        m->shadow->fill(m->shadow_ctx, va, a->kind, w);
    }
    return true;
}

// ---- memory that is not RAM ----

// The widest access at pa a CPU would make for what is left: unaligned ones are the address space's business.
static unsigned io_piece(unsigned left) { return left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1; }

static bool io_begin(struct mmu *m)
{
    stat_inc(STAT_mmu_mmio);
    bool take = !big_lock_held();
    if (take) {
        big_lock();
    }
    return take;
}

static void io_end(bool taken)
{
    if (taken) {
        big_unlock();
    }
}

static void io_load(struct mmu *m, gpa pa, uint8_t *to, unsigned len)
{
    bool taken = io_begin(m);
    for (unsigned n; len; pa += n, to += n, len -= n) {
        n = io_piece(len);
        uint64_t v = as_load(m->mem, pa, n);
        copy_bytes(to, &v, n);
    }
    io_end(taken);
}

static void io_store(struct mmu *m, gpa pa, const uint8_t *from, unsigned len)
{
    bool taken = io_begin(m);
    for (unsigned n; len; pa += n, from += n, len -= n) {
        uint64_t v = 0;
        n = io_piece(len);
        copy_bytes(&v, from, n);
        as_store(m->mem, pa, v, n);
    }
    io_end(taken);
}

// ---- physical pieces inside one page ----

static void phys_load(struct mmu *m, gpa pa, uint8_t *to, unsigned len)
{
    uint64_t run;
    hva p = as_ram_ptr(m->mem, pa, false, &run);
    if (p && run >= len) {
        copy_bytes(to, p, len);
    } else {
        io_load(m, pa, to, len);
    }
}

// watched: no fast entry stands for this page, so it may hold translations.
static void phys_store(struct mmu *m, gpa pa, const uint8_t *from, unsigned len, bool watched)
{
    uint64_t run;
    hva p = as_ram_ptr(m->mem, pa, true, &run);
    if (!p || run < len) {
        io_store(m, pa, from, len);
        return;
    }
    copy_bytes(p, from, len);
    as_mark_dirty(m->mem, pa, len);
    if (watched && m->code_written) {
        m->code_written(m->code_written_opaque, pa, len);
    }
}

// ---- data accesses ----

static void tell_watch(struct mmu *m, gva va, unsigned size, bool write)
{
    if (UNLIKELY(m->watch)) {
        m->watch->access(m->watch_opaque, va, size, write);
    }
}

// Translates the one or two pages of an access; nothing moves before both are known to be allowed.
struct span {
    struct walk_result page[2];
    gva va[2];
    unsigned len[2];
};

static bool span_translate(struct mmu *m, gva va, unsigned size, const struct access *a, struct span *s,
                           struct mmu_fault *f)
{
    unsigned room = page_room(va);
    s->len[0] = size < room ? size : room;
    s->len[1] = size - s->len[0];
    s->va[0] = va;
    if (!translate_and_fill(m, va, a, &s->page[0], f)) {
        return false;
    }
    if (!s->len[1]) {
        return true;
    }
    s->va[1] = va + room;
    if (!paging_is_long(&m->pg)) {
        s->va[1] &= 0xffffffffu; // SDM vol. 1, section 3.3.1: the linear address space ends at 4 GiB and wraps
    }
    return translate_and_fill(m, s->va[1], a, &s->page[1], f);
}

// Both pages of a page-crossing access, if they are resident. Fast enough for code that makes many of them.
static bool crossing_lookup(struct mmu *m, gva va, unsigned size, const struct access *a, hva part[2])
{
    unsigned room = page_room(va);
    gva next = va + room;
    if (size <= room || !m->shadow || (!paging_is_long(&m->pg) && next >> 32)) {
        return false;
    }
    part[0] = fast_lookup(m, va, a);
    part[1] = part[0] ? fast_lookup(m, next, a) : NULL;
    return part[1];
}

static bool read_slow(struct mmu *m, gva va, uint8_t *to, unsigned size, unsigned flags, const struct access *a,
                      struct mmu_fault *f)
{
    struct span s;
    hva part[2];
    unsigned room = page_room(va);
    if (!(flags & MMU_PROBE) && crossing_lookup(m, va, size, a, part)) {
        copy_bytes(to, part[0], room);
        copy_bytes(to + room, part[1], size - room);
        return true;
    }
    if (!span_translate(m, va, size, a, &s, f)) {
        return false;
    }
    if (flags & MMU_PROBE) {
        return true;
    }
    tell_watch(m, va, size, false);
    phys_load(m, s.page[0].pa, to, s.len[0]);
    if (s.len[1]) {
        phys_load(m, s.page[1].pa, to + s.len[0], s.len[1]);
    }
    return true;
}

bool mmu_read(struct mmu *m, gva va, void *dst, unsigned size, unsigned flags, struct mmu_fault *f)
{
    const struct access a = access_make(m, MMU_READ, flags);
    if (LIKELY(size <= page_room(va))) {
        hva p = fast_lookup(m, va, &a);
        if (LIKELY(p)) {
            if (!(flags & MMU_PROBE)) {
                copy_bytes(dst, p, size);
            }
            return true;
        }
    }
    return read_slow(m, va, dst, size, flags, &a, f);
}

static bool write_slow(struct mmu *m, gva va, const uint8_t *from, unsigned size, unsigned flags,
                       const struct access *a, struct mmu_fault *f)
{
    struct span s;
    hva part[2];
    unsigned room = page_room(va);
    if (!(flags & MMU_PROBE) && crossing_lookup(m, va, size, a, part)) {
        copy_bytes(part[0], from, room);
        copy_bytes(part[1], from + room, size - room);
        return true;
    }
    if (!span_translate(m, va, size, a, &s, f)) {
        return false;
    }
    if (flags & MMU_PROBE) {
        return true;
    }
    tell_watch(m, va, size, true);
    // Asked before the first store: what the code hook drops may be filled again by nobody but us.
    bool watched[2] = {!fast_lookup(m, va, a), s.len[1] && !fast_lookup(m, s.va[1], a)};
    phys_store(m, s.page[0].pa, from, s.len[0], watched[0]);
    if (s.len[1]) {
        phys_store(m, s.page[1].pa, from + s.len[0], s.len[1], watched[1]);
    }
    return true;
}

bool mmu_write(struct mmu *m, gva va, const void *src, unsigned size, unsigned flags, struct mmu_fault *f)
{
    const struct access a = access_make(m, MMU_WRITE, flags);
    if (LIKELY(size <= page_room(va))) {
        hva p = fast_lookup(m, va, &a);
        if (LIKELY(p)) {
            if (!(flags & MMU_PROBE)) {
                copy_bytes(p, src, size);
            }
            return true;
        }
    }
    return write_slow(m, va, src, size, flags, &a, f);
}

hva mmu_rmw_ptr(struct mmu *m, gva va, unsigned size, unsigned flags, struct mmu_fault *f, bool *faulted)
{
    const struct access a = access_make(m, MMU_WRITE, flags);
    struct walk_result w;
    *faulted = false;
    if (size > page_room(va)) {
        return NULL;
    }
    hva p = fast_lookup(m, va, &a);
    if (LIKELY(p)) {
        return p;
    }
    if (!translate_and_fill(m, va, &a, &w, f)) {
        *faulted = true;
        return NULL;
    }
    uint64_t run;
    p = as_ram_ptr(m->mem, w.pa, true, &run);
    if (!p || run < size) {
        return NULL;
    }
    tell_watch(m, va, size, true);
    as_mark_dirty(m->mem, w.pa, size);
    return p;
}

// ---- instruction fetch ----

bool mmu_fetch_translate(struct mmu *m, gva va, bool user, gpa *pa, struct mmu_fault *f)
{
    struct mmu_fetch_entry *e = &m->fetch_cache[(va >> PAGE_SHIFT) % MMU_FETCH_CACHE];
    uint32_t epoch = user ? m->epoch_user : m->epoch_supervisor;
    if (LIKELY(e->epoch == epoch && e->page == (va & PAGE_MASK))) {
        *pa = e->pa | (va & ~PAGE_MASK); // noted when it was walked, in this same epoch
        return true;
    }
    const struct access a = {.kind = MMU_FETCH, .user = user};
    struct walk_result w;
    if (!translate(m, va, &a, &w, f)) {
        return false;
    }
    mmu_note_fetch(m, va, user, &w);
    *e = (struct mmu_fetch_entry){.page = va & PAGE_MASK, .pa = w.pa & PAGE_MASK, .epoch = epoch};
    *pa = w.pa;
    return true;
}

unsigned mmu_fetch(struct mmu *m, gva va, bool user, void *dst, unsigned len, struct mmu_fault *f)
{
    uint8_t *to = dst;
    unsigned done = 0;
    while (done < len) {
        unsigned n = len - done < page_room(va) ? len - done : page_room(va);
        gpa pa;
        if (!mmu_fetch_translate(m, va, user, &pa, f)) {
            break;
        }
        phys_load(m, pa, to + done, n);
        done += n;
        va += n;
        if (!paging_is_long(&m->pg)) {
            va &= 0xffffffffu;
        }
    }
    return done;
}

bool mmu_debug_translate(struct mmu *m, gva va, gpa *pa)
{
    const struct walk_request req = {.va = va, .access = MMU_READ, .ac = true};
    struct walk_result w;
    page_walk(m->mem, &m->pg, &req, &w);
    if (w.fault) {
        return false;
    }
    *pa = w.pa;
    return true;
}
