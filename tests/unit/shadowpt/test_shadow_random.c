// SPDX-License-Identifier: MIT
// A guest that changes page tables at random and invalidates just what the manual asks for: every access, by
// C code and by the inline sequence, must agree with a walk made afresh.
#include "tests/unit/check_main.h"
#include "tests/unit/shadowpt/engine.h"

#include <stdlib.h>

#define SPACES 5
#define PAGES 12

static struct engine e;
static uint64_t root[SPACES], seed;
static unsigned space; // PCID is space + 1

static unsigned rnd(unsigned n)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)((seed >> 33) % n);
}

// Kinds of page: where, by which paging, and how its invalidation is asked for.
enum kind { USER_4K, USER_2M, KERNEL_GLOBAL, KERNEL_LOCAL, KERNEL_2M, USER_FOLDED, KINDS };
static const struct {
    gva va;
    uint8_t shift;
    bool global;   // and in tables that all spaces share
    uint64_t bits; // always set in the leaf
} kinds[KINDS] = {
    [USER_4K] = {0x400000, 12, false, G_U},
    [USER_2M] = {0x40000000, 21, false, G_U | G_PS},
    [KERNEL_GLOBAL] = {0xffff888000000000, 12, true, G_G},
    [KERNEL_LOCAL] = {0xffffc90000000000, 12, false, 0},
    [KERNEL_2M] = {0xffff888040000000, 21, true, G_G | G_PS},
    [USER_FOLDED] = {0x400000 + BIT(41), 12, false, G_U}, // shares slots with USER_4K
};

static gva page_va(enum kind k, unsigned i) { return kinds[k].va + ((gva)i << kinds[k].shift); }

static uint64_t random_leaf(enum kind k)
{
    uint64_t pa = kinds[k].shift == 12 ? 0x800000 + (uint64_t)rnd(256) * PAGE_SIZE : (uint64_t)(4 + rnd(8)) << 21;
    uint64_t bits = kinds[k].bits | (rnd(3) ? 0 : G_XD) | (rnd(8) ? G_P : 0) | (rnd(3) ? G_W : 0);
    return pa | bits;
}

static void map_everything(void)
{
    for (unsigned s = 0; s < SPACES; s++) {
        root[s] = guest_table(&e.g);
    }
    // As kernels do, all spaces have the global half's tables in common.
    unsigned slot = (kinds[KERNEL_GLOBAL].va >> 39) & 511;
    guest_map(&e.g, root[0], kinds[KERNEL_GLOBAL].va, 0, 12);
    for (unsigned s = 1; s < SPACES; s++) {
        *guest_entry(&e.g, root[s], slot) = *guest_entry(&e.g, root[0], slot);
    }
    for (unsigned k = 0; k < KINDS; k++) {
        for (unsigned i = 0; i < PAGES; i++) {
            for (unsigned s = 0; s < SPACES; s++) {
                guest_map(&e.g, root[s], page_va(k, i), random_leaf(k), kinds[k].shift);
            }
        }
    }
}

static uint64_t cr3(unsigned s) { return root[s] | (s + 1); }

// Changes a leaf, in this space or another, and says so as a kernel would.
static void change_mapping(void)
{
    enum kind k = rnd(KINDS);
    unsigned i = rnd(PAGES), s = rnd(3) ? space : rnd(SPACES);
    gva va = page_va(k, i);
    guest_map(&e.g, root[s], va, random_leaf(k), kinds[k].shift);
    va += rnd(1u << kinds[k].shift);
    if (kinds[k].global || s == space) {
        switch (rnd(4)) {
        case 0:
            if (!kinds[k].global) {
                mmu_load_cr3(&e.m, cr3(space), false);
                break;
            } // fall through
        default: mmu_invlpg(&e.m, va);
        }
    } else if (rnd(2)) {
        mmu_invpcid(&e.m, 0, s + 1, va);
    } else {
        mmu_invpcid(&e.m, 1, s + 1, 0);
    }
}

// Clears A and D of a page and invalidates it: the next store must set D again.
static void age_page(void)
{
    enum kind k = rnd(KINDS);
    gva va = page_va(k, rnd(PAGES));
    uint64_t table = root[space];
    for (unsigned sh = 39; sh > kinds[k].shift; sh -= 9) {
        table = *guest_entry(&e.g, table, (va >> sh) & 511) & 0xffffffffff000ull;
    }
    *guest_entry(&e.g, table, (va >> kinds[k].shift) & 511) &= ~(uint64_t)(G_A | G_D);
    mmu_invlpg(&e.m, va);
}

static void change_controls(void)
{
    uint64_t cr0 = LONG_CR0 & ~(rnd(2) ? G_CR0_WP : 0);
    uint64_t cr4 = (LONG_CR4 & ~(rnd(3) ? 0 : G_CR4_SMAP) & ~(rnd(4) ? 0 : G_CR4_PGE)) | (rnd(2) ? G_CR4_SMEP : 0);
    mmu_set_control(&e.m, cr0, cr4, LONG_EFER);
    // Without PGE nothing is global: the shared pages of other spaces are not dropped by INVLPG. Such a
    // kernel flushes; here PGE comes back at the next change, with a flush, so just avoid changing shared
    // pages.
    if (!(cr4 & G_CR4_PGE)) {
        mmu_set_control(&e.m, cr0, cr4 | G_CR4_PGE, LONG_EFER);
    }
}

static void toggle_code(void)
{
    gpa page = 0x800000 + (gpa)rnd(512) * PAGE_SIZE;
    bool *code = &e.code[page >> 12];
    *code = !*code;
    if (*code) {
        shadow_protect_code(e.s, page);
    }
}

static struct walk_result look(gva va, bool write)
{
    const struct walk_request req = {.va = va, .access = write ? MMU_WRITE : MMU_READ, .user = e.m.user, .ac = e.m.ac};
    struct walk_result r;
    page_walk(e.g.as, &e.m.pg, &req, &r);
    return r;
}

// The inline sequence: what it reaches now, without help, must be what a walk finds.
static void check_inline(gva va)
{
    for (unsigned write = 0; write < 2; write++) {
        uint64_t host = inline_address(&e, va, write);
        if (!in_ram(&e, host)) {
            continue;
        }
        struct walk_result r = look(va, write);
        ck_assert_msg(!r.fault, "%#llx: resident, but a %s faults", (unsigned long long)va, write ? "store" : "load");
        ck_assert_uint_eq(host - (uint64_t)e.g.ram.base, r.pa);
        ck_assert(!write || (r.dirty && !e.code[r.pa >> 12]));
    }
}

static void access_memory(void)
{
    enum kind k = rnd(KINDS);
    unsigned size = 1u << rnd(4);
    gva va = page_va(k, rnd(PAGES)) + (rnd(1u << kinds[k].shift) & ~7u);
    bool write = rnd(2);
    struct mmu_fault f;
    uint64_t v = 0x0101010101010101ull * rnd(256), back = 0;
    check_inline(va);
    struct walk_result want = look(va, write);
    unsigned told = e.code_written;
    bool by_resolve = rnd(2);
    int res = by_resolve ? shadow_resolve(e.s, va, size, write, &f) : 0;
    bool ok = by_resolve ? res >= 0
              : write    ? mmu_write(&e.m, va, &v, size, 0, &f)
                         : mmu_read(&e.m, va, &back, size, 0, &f);
    ck_assert_msg(ok != want.fault, "%#llx write %d: %s", (unsigned long long)va, write, ok ? "no fault" : "fault");
    if (!ok) {
        ck_assert_uint_eq(f.error, want.error);
        ck_assert_uint_eq(f.addr, va);
        return;
    }
    hva p = e.g.ram.base + want.pa;
    if (by_resolve) {
        ck_assert_int_eq(res, write && e.code[want.pa >> 12] ? 1 : 0);
        ck_assert(res || in_ram(&e, inline_address(&e, va, write)));
    } else if (write) {
        ck_assert_mem_eq(p, &v, size);
        ck_assert_uint_eq(e.code_written - told, e.code[want.pa >> 12]);
    } else {
        ck_assert_mem_eq(p, &back, size);
    }
    ck_assert(!write || look(va, true).dirty);
    check_inline(va);
}

// A fetch may be answered from what earlier walks found, as long as nothing was invalidated.
static void fetch(void)
{
    enum kind k = rnd(KINDS);
    gva va = page_va(k, rnd(PAGES)) + rnd(kinds[k].shift == 12 ? PAGE_SIZE : 2 * PAGE_SIZE);
    bool user = rnd(2);
    const struct walk_request req = {.va = va, .access = MMU_FETCH, .user = user};
    struct walk_result want;
    struct mmu_fault f;
    gpa pa;
    page_walk(e.g.as, &e.m.pg, &req, &want);
    ck_assert_int_eq(mmu_fetch_translate(&e.m, va, user, &pa, &f), !want.fault);
    if (want.fault) {
        ck_assert_uint_eq(f.error, want.error);
    } else {
        ck_assert_uint_eq(pa, want.pa);
    }
}

static void crossing(void)
{
    gva va = page_va(USER_4K, rnd(PAGES - 1)) + PAGE_SIZE - 1 - rnd(7);
    struct mmu_fault f;
    uint64_t v = 0x0807060504030201ull + rnd(99), back;
    struct walk_result a = look(va, true), b = look((va | 0xfff) + 1, true);
    bool ok = mmu_write(&e.m, va, &v, 8, 0, &f);
    ck_assert_int_eq(ok, !a.fault && !b.fault);
    if (ok) {
        unsigned n = PAGE_SIZE - va % PAGE_SIZE;
        if ((a.pa & PAGE_MASK) != (b.pa & PAGE_MASK)) {
            ck_assert(mmu_read(&e.m, va, &back, 8, 0, &f));
            ck_assert_uint_eq(back, v);
            ck_assert_mem_eq(e.g.ram.base + a.pa, &v, n);
        }
        ck_assert_mem_eq(e.g.ram.base + b.pa, (char *)&v + n, 8 - n);
    } else {
        ck_assert_uint_eq(f.addr, a.fault ? va : (va | 0xfff) + 1);
    }
}

START_TEST(agrees_with_the_walker)
{
    seed = (uint64_t)_i * 0x9e3779b97f4a7c15ull + 1;
    engine_create(&e, 0);
    map_everything();
    space = 0;
    e.m.pg.cr3 = cr3(0);
    mmu_set_control(&e.m, LONG_CR0, LONG_CR4, LONG_EFER);
    mmu_load_cr3(&e.m, cr3(0), false);
    for (unsigned step = 0; step < 40000; step++) {
        unsigned what = rnd(100);
        if (what < 55) {
            access_memory();
        } else if (what < 70) {
            fetch();
        } else if (what < 75) {
            crossing();
        } else if (what < 80) {
            mmu_set_privilege(&e.m, rnd(2), rnd(2));
        } else if (what < 85) {
            space = rnd(SPACES);
            mmu_load_cr3(&e.m, cr3(space), rnd(4) != 0);
        } else if (what < 94) {
            change_mapping();
        } else if (what < 97) {
            age_page();
        } else if (what < 98) {
            toggle_code();
        } else if (rnd(20) == 0) {
            change_controls();
        }
        ck_assert_ptr_eq(e.base, shadow_view_base(e.s));
    }
    engine_destroy(&e);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("shadow_random");
    TCase *t = tcase_create("shadow_random");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, agrees_with_the_walker, 0, 8);
    suite_add_tcase(s, t);
    return check_main(s);
}
