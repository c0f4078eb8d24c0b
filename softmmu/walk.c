// SPDX-License-Identifier: MIT
// The page walker: paging formats as a table, one loop over the levels, and the access-rights rules.
//
// SDM vol. 3A, section 4.3 "32-Bit Paging", 4.4 "PAE Paging", 4.5 "4-Level Paging and 5-Level Paging" (the
// latter is not offered), 4.6 "Access Rights", 4.7 "Page-Fault Exceptions", 4.8 "Accessed and Dirty Flags".
#include "softmmu/walk.h"

#include "base/stats.h"
#include "softmmu/address_space.h"

#define CR0_PG BIT(31)
#define CR0_WP BIT(16)
#define CR4_PSE BIT(4)
#define CR4_PAE BIT(5)
#define CR4_PGE BIT(7)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)

enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 0x20, PTE_D = 0x40, PTE_PS = 0x80, PTE_G = 0x100 };
#define PTE_XD BIT(63)

// One row per format; levels are counted from the top.
struct walk_level {
    uint8_t shift; // of the page or table this level's entries map
    uint8_t index_bits;
    bool leaf_if_ps;        // PS makes it a leaf (for 32-bit paging only with CR4.PSE)
    uint64_t reserved;      // always, below maxphyaddr
    uint64_t reserved_leaf; // in a large-page leaf
};

struct walk_format {
    uint8_t levels, entry_size;
    uint64_t root_mask;     // of CR3, or of the PDPTE
    uint64_t reserved_high; // bits above maxphyaddr that are reserved whatever maxphyaddr (63 is judged by NXE)
    struct walk_level level[4];
};

#define BITS(hi, lo) ((~0ull >> (63 - (hi))) & ~(BIT(lo) - 1))

static const struct walk_format format_32 = {
    .levels = 2,
    .entry_size = 4,
    .root_mask = BITS(31, 12),
    .level = {{22, 10, true, 0, 0}, {12, 10, false, 0, 0}},
};
static const struct walk_format format_pae = {
    .levels = 2,
    .entry_size = 8,
    .root_mask = BITS(51, 12),
    .reserved_high = BITS(62, 52),
    .level = {{21, 9, true, 0, BITS(20, 13)}, {12, 9, false, 0, 0}},
};
static const struct walk_format format_4level = {
    .levels = 4,
    .entry_size = 8,
    .root_mask = BITS(51, 12),
    .level = {{39, 9, false, PTE_PS, 0},
              {30, 9, true, 0, BITS(29, 13)},
              {21, 9, true, 0, BITS(20, 13)},
              {12, 9, false, 0, 0}},
};

bool paging_enabled(const struct paging *pg) { return pg->cr0 & CR0_PG; }

bool paging_is_long(const struct paging *pg) { return pg->efer & EFER_LMA; }

bool paging_is_pae(const struct paging *pg) { return paging_enabled(pg) && (pg->cr4 & CR4_PAE) && !paging_is_long(pg); }

static uint64_t phys_reserved(const struct paging *pg) // bits 51..maxphyaddr
{
    return pg->maxphyaddr >= 52 ? 0 : BITS(51, pg->maxphyaddr);
}

// SDM vol. 3B, section 23.5 "A20M# Support": the CPU masks the line on every physical address it puts out.
static gpa a20(const struct paging *pg, gpa addr) { return pg->a20_off ? addr & ~BIT(20) : addr; }

bool paging_load_pdptes(struct address_space *mem, struct paging *pg)
{
    uint64_t entry[4];
    for (unsigned i = 0; i < 4; i++) {
        uint64_t run;
        hva p = as_ram_ptr(mem, a20(pg, (pg->cr3 & BITS(31, 5)) + 8 * i), false, &run);
        entry[i] = p && run >= 8 ? *(volatile uint64_t *)p : 0;
        // SDM vol. 3A, table 4-8 "Format of a PAE Page-Directory-Pointer-Table Entry (PDPTE)"
        if ((entry[i] & PTE_P) && (entry[i] & (BITS(2, 1) | BITS(8, 5) | BITS(63, 52) | phys_reserved(pg)))) {
            return false;
        }
    }
    for (unsigned i = 0; i < 4; i++) {
        pg->pdpte[i] = entry[i];
    }
    return true;
}

// ---- one walk ----

// What was read on the way down, so that A and D can be set once the access is known to be allowed.
struct walk_step {
    hva ptr; // NULL if the entry is not in RAM
    uint64_t value;
    gpa addr;
};

struct walk {
    struct address_space *mem;
    const struct paging *pg;
    const struct walk_format *fmt;
    struct walk_step step[4];
    unsigned steps;
};

// A table outside memory reads as an empty bus: all ones.
static uint64_t entry_read(struct walk *w, gpa addr)
{
    struct walk_step *s = &w->step[w->steps++];
    bool wide = w->fmt->entry_size == 8;
    addr = a20(w->pg, addr);
    s->addr = addr;
    s->ptr = as_ram_ptr(w->mem, addr, true, NULL);
    hva p = s->ptr ? s->ptr : as_ram_ptr(w->mem, addr, false, NULL);
    if (!p) {
        s->value = wide ? ~0ull : ~0u;
    } else {
        s->value = wide ? *(volatile uint64_t *)p : *(volatile uint32_t *)p;
    }
    return s->value;
}

// False if the entry changed meanwhile: the walk starts again. A plain OR could revive an entry that another
// CPU just cleared.
static bool entry_set_bits(struct walk *w, const struct walk_step *s, uint64_t bits)
{
    if ((s->value & bits) == bits || !s->ptr) {
        return true;
    }
    as_mark_dirty(w->mem, s->addr, w->fmt->entry_size);
    if (w->fmt->entry_size == 8) {
        uint64_t old = s->value;
        return __atomic_compare_exchange_n((uint64_t *)s->ptr, &old, old | bits, false, __ATOMIC_SEQ_CST,
                                           __ATOMIC_RELAXED);
    }
    uint32_t old = (uint32_t)s->value;
    return __atomic_compare_exchange_n((uint32_t *)s->ptr, &old, old | (uint32_t)bits, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_RELAXED);
}

static bool walk_set_ad(struct walk *w, bool write)
{
    for (unsigned i = 0; i < w->steps; i++) {
        bool leaf = i + 1 == w->steps;
        if (!entry_set_bits(w, &w->step[i], PTE_A | (leaf && write ? PTE_D : 0))) {
            return false;
        }
    }
    return true;
}

// SDM vol. 3A, section 4.6.1 "Determination of Access Rights"
static bool rights_ok(const struct paging *pg, const struct walk_request *req, const struct walk_result *r)
{
    if (req->access == MMU_FETCH && r->nx) {
        return false;
    }
    if (req->user) {
        return r->user && (req->access != MMU_WRITE || r->writable);
    }
    if (req->access == MMU_FETCH) {
        return !(r->user && (pg->cr4 & CR4_SMEP));
    }
    if (r->user && (pg->cr4 & CR4_SMAP) && (req->implicit || !req->ac)) {
        return false;
    }
    return req->access != MMU_WRITE || r->writable || !(pg->cr0 & CR0_WP);
}

// SDM vol. 3A, figure 4-12 "Page-Fault Error Code": I only where instruction fetches can be told apart.
static void set_fault(const struct paging *pg, const struct walk_request *req, struct walk_result *out, uint32_t cause)
{
    bool nx_known = (pg->cr4 & CR4_SMEP) || ((pg->cr4 & CR4_PAE) && (pg->efer & EFER_NXE));
    out->fault = true;
    out->error = cause | (req->access == MMU_WRITE ? PF_W : 0) | (req->user ? PF_U : 0) |
                 (req->access == MMU_FETCH && nx_known ? PF_I : 0);
}

static uint64_t reserved_bits(const struct walk *w, const struct walk_level *l, bool large)
{
    const struct paging *pg = w->pg;
    if (w->fmt->entry_size == 4) {
        if (!large) {
            return 0;
        }
        // PSE-36: bits 20:13 are address bits 39:32 as far as maxphyaddr goes; bit 21 is reserved.
        unsigned m = pg->maxphyaddr < 40 ? pg->maxphyaddr : 40;
        return m <= 32 ? BITS(21, 13) : BITS(21, m - 19);
    }
    return l->reserved | w->fmt->reserved_high | phys_reserved(pg) | (pg->efer & EFER_NXE ? 0 : PTE_XD) |
           (large ? l->reserved_leaf : 0);
}

static gpa leaf_address(const struct walk *w, const struct walk_level *l, uint64_t e, bool large, gva va)
{
    uint64_t offset = va & (BIT(l->shift) - 1);
    if (w->fmt->entry_size == 4) {
        return large ? (e & BITS(31, 22)) | (e & BITS(20, 13)) << 19 | offset : (e & BITS(31, 12)) | offset;
    }
    return (e & BITS(51, 12) & ~(BIT(l->shift) - 1)) | offset;
}

// Goes down to the leaf. False with the fault in *out.
static bool walk_down(struct walk *w, uint64_t table, const struct walk_request *req, struct walk_result *out)
{
    const struct paging *pg = w->pg;
    bool pse = w->fmt->entry_size == 8 || (pg->cr4 & CR4_PSE);
    out->user = out->writable = out->accessed = true;
    out->nx = false;
    w->steps = 0;
    for (unsigned i = 0; i < w->fmt->levels; i++) {
        const struct walk_level *l = &w->fmt->level[i];
        uint64_t index = (req->va >> l->shift) & (BIT(l->index_bits) - 1);
        uint64_t e = entry_read(w, table + index * w->fmt->entry_size);
        if (!(e & PTE_P)) {
            set_fault(pg, req, out, 0);
            return false;
        }
        bool large = l->leaf_if_ps && pse && (e & PTE_PS);
        if (e & reserved_bits(w, l, large)) {
            set_fault(pg, req, out, PF_P | PF_RSVD);
            return false;
        }
        out->user &= !!(e & PTE_U);
        out->writable &= !!(e & PTE_W);
        out->accessed &= !!(e & PTE_A);
        out->nx |= w->fmt->entry_size == 8 && (e & PTE_XD);
        if (large || i + 1 == w->fmt->levels) {
            out->pa = a20(pg, leaf_address(w, l, e, large, req->va));
            out->page_shift = l->shift;
            out->global = (e & PTE_G) && (pg->cr4 & CR4_PGE);
            out->dirty = e & PTE_D;
            return true;
        }
        table = e & w->fmt->root_mask;
    }
    return false; // not reached: the last level is a leaf
}

static bool walk_root(struct walk *w, const struct walk_request *req, struct walk_result *out, uint64_t *table)
{
    const struct paging *pg = w->pg;
    if (paging_is_long(pg)) {
        w->fmt = &format_4level;
    } else if (pg->cr4 & CR4_PAE) {
        w->fmt = &format_pae;
        uint64_t e = pg->pdpte[(req->va >> 30) & 3];
        if (!(e & PTE_P)) {
            set_fault(pg, req, out, 0);
            return false;
        }
        *table = e & format_pae.root_mask;
        return true;
    } else {
        w->fmt = &format_32;
    }
    *table = pg->cr3 & w->fmt->root_mask;
    return true;
}

void page_walk(struct address_space *mem, const struct paging *pg, const struct walk_request *req,
               struct walk_result *out)
{
    struct walk w; // not initialised as a whole: that costs as much as a level
    uint64_t table;

    w.mem = mem;
    w.pg = pg;
    stat_inc(STAT_mmu_walks);
    *out = (struct walk_result){.page_shift = 12};
    if (!paging_enabled(pg)) {
        out->pa = a20(pg, req->va & 0xffffffffu);
        out->user = out->writable = out->dirty = out->accessed = true;
        return;
    }
    if (!walk_root(&w, req, out, &table)) {
        return;
    }
    // A guest that races with its own walks cannot hold this up for ever; in the end the access counts as
    // made before the entry changed.
    for (unsigned tries = 0; tries < 64; tries++) {
        if (!walk_down(&w, table, req, out)) {
            return;
        }
        if (!rights_ok(pg, req, out)) {
            set_fault(pg, req, out, PF_P);
            return;
        }
        if (!req->set_ad) {
            return;
        }
        if (walk_set_ad(&w, req->access == MMU_WRITE)) {
            out->dirty |= req->access == MMU_WRITE;
            return;
        }
    }
}
