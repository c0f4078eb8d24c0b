// SPDX-License-Identifier: MIT
// Register changes and invalidations: what the shadow must forget, and which translated-code links still
// stand.
//
// SDM vol. 3A, section 4.10.4 "Invalidation of TLBs and Paging-Structure Caches".
//
// The translator keeps links between blocks of different pages. Such a link is good as long as the fetch of
// its target translates as it did when the link was made. Instead of telling the translator about pages, each
// privilege has an epoch, a number that changes when a fetch may translate differently. User code has one per
// address space (root, PCID), so that a guest that switches back and forth with PCIDs finds its old number,
// and with it all its links, again. Supervisor code has one for all address spaces, since kernels map
// themselves with global pages. An INVLPG is almost always for a data page; the filter of pages that code
// was fetched from tells it apart. A flush of everything is mostly about data, too (a large munmap, a fork): the pages
// that code was fetched from are walked once more, and if all is as it was the number stays.
#include "softmmu/mmu_internal.h"

#include "base/copy.h"
#include "base/stats.h"

enum { NO_PCID = 0xffff }; // of the space that stands for paging switched off
#define NO_ROOT (~0ull)

// ---- epochs ----

static void epochs_notify(struct mmu *m)
{
    if (m->epoch_changed) {
        m->epoch_changed(m->epoch_opaque);
    }
}

// A number never used before. On wrap-around everybody hears that no old number is good (both epochs 0).
static uint32_t epoch_fresh(struct mmu *m)
{
    stat_inc(STAT_mmu_epochs);
    if (++m->epoch_last == 0) {
        for (unsigned i = 0; i < MMU_SPACES; i++) {
            m->spaces[i].epoch = 0;
        }
        m->epoch_user = m->epoch_supervisor = 0;
        zero_bytes(m->fetch_cache, sizeof(m->fetch_cache));
        epochs_notify(m);
        m->epoch_last = 1;
    }
    return m->epoch_last;
}

static void space_forget(struct mmu_space *s)
{
    s->suspect = false;
    if (!s->epoch) {
        return; // nothing was fetched since the last time
    }
    s->ncode = 0;
    s->many = false;
    zero_bytes(s->code_at, sizeof(s->code_at));
    s->epoch = 0;
    s->has_global = false;
    s->shifts = 0;
    zero_bytes(s->filter, sizeof(s->filter));
}

// ---- filters ----

// Pages of each size have keys of their own; a page is entered under its size and looked for under all.
static uint32_t filter_hash(gva va, unsigned shift)
{
    uint64_t key = (va >> shift) * 64 + shift;
    return (uint32_t)((key * 0x9e3779b97f4a7c15ull) >> 40);
}

static void filter_add(uint64_t *filter, unsigned bits, gva va, unsigned shift)
{
    uint32_t h = filter_hash(va, shift) & (bits - 1);
    filter[h / 64] |= BIT(h % 64);
}

static bool filter_has(const uint64_t *filter, unsigned bits, uint32_t shifts, gva va)
{
    for (; shifts; shifts &= shifts - 1) {
        uint32_t h = filter_hash(va, (unsigned)__builtin_ctz(shifts)) & (bits - 1);
        if (filter[h / 64] & BIT(h % 64)) {
            return true;
        }
    }
    return false;
}

// ---- code pages ----

static void code_note(struct mmu_space *s, gva va, gpa pa)
{
    gva page = va & PAGE_MASK;
    unsigned h = filter_hash(va, PAGE_SHIFT) % MMU_CODE_HASH;
    while (s->code_at[h] && s->code[s->code_at[h] - 1].page != page) {
        h = (h + 1) % MMU_CODE_HASH;
    }
    if (!s->code_at[h]) {
        if (s->ncode == MMU_CODE) {
            s->many = true;
            return;
        }
        s->code_at[h] = ++s->ncode;
    }
    s->code[s->code_at[h] - 1] = (struct mmu_code_page){.page = page, .pa = pa & PAGE_MASK};
}

static void user_note(struct mmu_space *s, gva va, const struct walk_result *w)
{
    filter_add(s->filter, MMU_USER_FILTER, va, w->page_shift);
    s->shifts |= 1u << w->page_shift;
    s->has_global |= w->global;
}

// Would a fetch from each page known do what it did? Its accessed flags must be set already: a fetch after the flush
// would set them (SDM vol. 3A, section 4.8), and links do not.
static bool space_unchanged(struct mmu *m, struct mmu_space *s)
{
    for (unsigned i = 0; i < s->ncode; i++) {
        const struct mmu_code_page *c = &s->code[i];
        const struct walk_request req = {.va = c->page, .access = MMU_FETCH, .user = true};
        struct walk_result w;
        page_walk(m->mem, &m->pg, &req, &w);
        if (w.fault || !w.accessed || w.pa != c->pa) {
            return false;
        }
        user_note(s, req.va, &w); // it may be part of a page of another size now
    }
    return true;
}

// The current space, if it was flushed: its epoch holds, or is dropped.
static void space_settle(struct mmu *m, struct mmu_space *s)
{
    if (!s->suspect) {
        return;
    }
    s->suspect = false;
    if (!s->epoch) {
        return;
    }
    if (m->no_recheck || s->many || !space_unchanged(m, s)) {
        space_forget(s);
    } else {
        stat_inc(STAT_mmu_epochs_kept);
    }
}

// ---- epochs, continued ----

// Brings the public numbers up to date: fresh ones where the old were dropped. Wrap-around may drop one that
// was just made, hence the loop; it ends since it cannot happen twice in a row.
static void epochs_publish(struct mmu *m, uint32_t old_user, uint32_t old_supervisor)
{
    struct mmu_space *s = &m->spaces[m->space];
    space_settle(m, s);
    while (!s->epoch || !m->epoch_supervisor) {
        if (!s->epoch) {
            uint32_t n = epoch_fresh(m);
            s->epoch = n;
        }
        if (!m->epoch_supervisor) {
            uint32_t n = epoch_fresh(m);
            m->epoch_supervisor = n;
        }
    }
    m->epoch_user = s->epoch;
    if (m->epoch_user != old_user || m->epoch_supervisor != old_supervisor) {
        epochs_notify(m);
    }
}

static void supervisor_forget(struct mmu *m)
{
    m->epoch_supervisor = 0;
    m->supervisor_nonglobal = false;
    m->supervisor_shifts = 0;
    zero_bytes(m->supervisor_filter, sizeof(m->supervisor_filter));
}

void mmu_note_fetch(struct mmu *m, gva va, bool user, const struct walk_result *w)
{
    if (user) {
        struct mmu_space *s = &m->spaces[m->space];
        user_note(s, va, w);
        code_note(s, va, w->pa);
    } else {
        filter_add(m->supervisor_filter, MMU_SUPERVISOR_FILTER, va, w->page_shift);
        m->supervisor_shifts |= 1u << w->page_shift;
        m->supervisor_nonglobal |= !w->global;
    }
}

// ---- address spaces ----

static unsigned current_pcid(const struct mmu *m) { return m->pg.cr4 & CR4_PCIDE ? m->pg.cr3 & 0xfff : 0; }

static uint64_t current_root(const struct mmu *m)
{
    if (paging_is_long(&m->pg)) {
        return m->pg.cr3 & 0xffffffffff000ull;
    }
    return m->pg.cr3 & (m->pg.cr4 & CR4_PAE ? 0xffffffe0u : 0xfffff000u);
}

static void space_select(struct mmu *m, uint64_t root, unsigned pcid)
{
    struct mmu_space *victim = &m->spaces[0];
    for (unsigned i = 0; i < MMU_SPACES; i++) {
        struct mmu_space *s = &m->spaces[i];
        if (s->valid && s->root == root && s->pcid == pcid) {
            victim = s;
            break;
        }
        if (victim->valid && (!s->valid || s->used < victim->used)) {
            victim = s;
        }
    }
    if (!victim->valid || victim->root != root || victim->pcid != pcid) {
        space_forget(victim);
        victim->valid = true;
        victim->root = root;
        victim->pcid = (uint16_t)pcid;
    }
    victim->used = ++m->space_clock;
    m->space = (unsigned)(victim - m->spaces);
}

static void spaces_forget(struct mmu *m)
{
    for (unsigned i = 0; i < MMU_SPACES; i++) {
        space_forget(&m->spaces[i]);
    }
}

// Flushed: looked at again when they are the current one.
static void spaces_suspect(struct mmu *m)
{
    for (unsigned i = 0; i < MMU_SPACES; i++) {
        m->spaces[i].suspect = true;
    }
}

static void spaces_suspect_pcid(struct mmu *m, unsigned pcid)
{
    for (unsigned i = 0; i < MMU_SPACES; i++) {
        m->spaces[i].suspect |= m->spaces[i].pcid == pcid;
    }
}

// One page of one PCID; global: the same page where it is global, whatever the PCID.
static void spaces_forget_page(struct mmu *m, unsigned pcid, gva va, bool global)
{
    for (unsigned i = 0; i < MMU_SPACES; i++) {
        struct mmu_space *s = &m->spaces[i];
        if ((s->pcid == pcid || (global && s->has_global)) && s->epoch &&
            filter_has(s->filter, MMU_USER_FILTER, s->shifts, va)) {
            space_forget(s);
        }
    }
}

static void select_current(struct mmu *m)
{
    uint64_t root = paging_enabled(&m->pg) ? current_root(m) : NO_ROOT;
    unsigned pcid = paging_enabled(&m->pg) ? current_pcid(m) : NO_PCID;
    space_select(m, root, pcid);
    if (m->shadow) {
        m->shadow->switch_space(m->shadow_ctx, root, pcid);
    }
}

// ---- the public side ----

void mmu_init(struct mmu *m, struct address_space *mem, uint8_t maxphyaddr)
{
    zero_bytes(m, sizeof(*m));
    m->mem = mem;
    m->pg.maxphyaddr = maxphyaddr;
    select_current(m);
    epochs_publish(m, 0, 0);
}

void mmu_set_shadow(struct mmu *m, const struct mmu_shadow_ops *ops, void *ctx)
{
    m->shadow = ops;
    m->shadow_ctx = ctx;
    if (ops) {
        ops->flush_all(ctx);
        select_current(m);
        ops->set_privilege(ctx, m->user, m->ac);
    }
}

void mmu_set_privilege(struct mmu *m, bool user, bool ac)
{
    if (m->user == user && m->ac == ac) {
        return;
    }
    m->user = user;
    m->ac = ac;
    if (m->shadow) {
        m->shadow->set_privilege(m->shadow_ctx, user, ac);
    }
}

// Bits that change what is visible through cached translations. The shadow keeps the outcome of a walk and of
// the rights check, so unlike a TLB it must also forget when WP or SMAP change. All of these are rare;
// toggling PGE is how older kernels ask for just this.
#define CR0_MATTERS (CR0_PG | CR0_WP)
#define CR4_MATTERS (CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP)
#define EFER_MATTERS (EFER_NXE | EFER_LMA)
// Those that fetches do not depend on.
#define CR0_DATA_ONLY CR0_WP
#define CR4_DATA_ONLY CR4_SMAP

void mmu_set_control(struct mmu *m, uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    uint64_t d0 = (m->pg.cr0 ^ cr0) & CR0_MATTERS;
    uint64_t d4 = (m->pg.cr4 ^ cr4) & CR4_MATTERS;
    uint64_t de = (m->pg.efer ^ efer) & EFER_MATTERS;
    uint32_t old_user = m->epoch_user, old_supervisor = m->epoch_supervisor;

    m->pg.cr0 = cr0;
    m->pg.cr4 = cr4;
    m->pg.efer = efer;
    if (!d0 && !d4 && !de) {
        return;
    }
    if (m->shadow) {
        m->shadow->flush_all(m->shadow_ctx);
    }
    if ((d0 & ~CR0_DATA_ONLY) || (d4 & ~CR4_DATA_ONLY) || de) {
        spaces_forget(m);
        supervisor_forget(m);
    }
    select_current(m);
    if (m->shadow) {
        m->shadow->set_privilege(m->shadow_ctx, m->user, m->ac); // which view that is depends on SMAP
    }
    epochs_publish(m, old_user, old_supervisor);
}

void mmu_set_a20(struct mmu *m, bool enabled)
{
    uint32_t old_user = m->epoch_user, old_supervisor = m->epoch_supervisor;

    if (m->pg.a20_off == !enabled) {
        return;
    }
    m->pg.a20_off = !enabled;
    if (m->shadow) {
        m->shadow->flush_all(m->shadow_ctx);
    }
    spaces_forget(m);
    supervisor_forget(m);
    select_current(m);
    epochs_publish(m, old_user, old_supervisor);
}

void mmu_load_cr3(struct mmu *m, uint64_t cr3, bool no_flush)
{
    uint32_t old_user = m->epoch_user, old_supervisor = m->epoch_supervisor;
    bool pcide = m->pg.cr4 & CR4_PCIDE;

    stat_inc(STAT_cpu_cr3_write);
    m->pg.cr3 = cr3 & ~BIT(63);
    if (!paging_enabled(&m->pg)) {
        return; // nothing is cached that depends on it; setting CR0.PG flushes
    }
    unsigned pcid = current_pcid(m);
    if (!pcide) {
        spaces_suspect(m);
        if (m->shadow) {
            m->shadow->flush_nonglobal(m->shadow_ctx);
        }
    } else if (!no_flush) {
        spaces_suspect_pcid(m, pcid);
        if (m->shadow) {
            m->shadow->flush_pcid(m->shadow_ctx, pcid);
        }
    }
    unsigned old_space = m->space;
    select_current(m);
    // Supervisor code in pages that are not global belongs to one address space, and there is one epoch for
    // all.
    bool kept = pcide && no_flush && m->space == old_space;
    if (m->supervisor_nonglobal && !kept) {
        supervisor_forget(m);
    }
    epochs_publish(m, old_user, old_supervisor);
}

void mmu_invlpg(struct mmu *m, gva va)
{
    uint32_t old_user = m->epoch_user, old_supervisor = m->epoch_supervisor;

    stat_inc(STAT_cpu_invlpg);
    if (!paging_enabled(&m->pg)) {
        return;
    }
    if (m->shadow) {
        m->shadow->flush_page(m->shadow_ctx, va);
    }
    spaces_forget_page(m, current_pcid(m), va, true);
    if (filter_has(m->supervisor_filter, MMU_SUPERVISOR_FILTER, m->supervisor_shifts, va)) {
        supervisor_forget(m);
    }
    epochs_publish(m, old_user, old_supervisor);
}

// SDM vol. 2A, "INVPCID - Invalidate Process-Context Identifier"
enum { INVPCID_ADDRESS, INVPCID_CONTEXT, INVPCID_ALL, INVPCID_ALL_NONGLOBAL };

static void invpcid_address(struct mmu *m, unsigned pcid, gva va)
{
    if (m->shadow) {
        m->shadow->flush_pcid_page(m->shadow_ctx, pcid, va);
    }
    spaces_forget_page(m, pcid, va, false);
    if (pcid == current_pcid(m) && m->supervisor_nonglobal &&
        filter_has(m->supervisor_filter, MMU_SUPERVISOR_FILTER, m->supervisor_shifts, va)) {
        supervisor_forget(m);
    }
}

static void invpcid_context(struct mmu *m, unsigned pcid)
{
    if (m->shadow) {
        m->shadow->flush_pcid(m->shadow_ctx, pcid);
    }
    spaces_suspect_pcid(m, pcid);
    if (pcid == current_pcid(m) && m->supervisor_nonglobal) {
        supervisor_forget(m);
    }
}

static void invpcid_all(struct mmu *m, bool global)
{
    if (m->shadow) {
        if (global) {
            m->shadow->flush_all(m->shadow_ctx);
        } else {
            m->shadow->flush_nonglobal(m->shadow_ctx);
        }
    }
    spaces_suspect(m);
    if (global || m->supervisor_nonglobal) {
        supervisor_forget(m);
    }
}

void mmu_invpcid(struct mmu *m, unsigned type, unsigned pcid, gva va)
{
    uint32_t old_user = m->epoch_user, old_supervisor = m->epoch_supervisor;

    stat_inc(STAT_cpu_invlpg);
    if (!paging_enabled(&m->pg)) {
        return;
    }
    switch (type) {
    case INVPCID_ADDRESS: invpcid_address(m, pcid, va); break;
    case INVPCID_CONTEXT: invpcid_context(m, pcid); break;
    default: invpcid_all(m, type == INVPCID_ALL); break;
    }
    epochs_publish(m, old_user, old_supervisor);
}
