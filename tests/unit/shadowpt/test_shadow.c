// SPDX-License-Identifier: MIT
// Shadow views: rights of each view, what each invalidation drops and keeps, aliases, code pages, memory
// bound.
#include "tests/unit/check_main.h"
#include "tests/unit/shadowpt/engine.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static struct engine e;
static uint64_t root[2];

#define USER 0x400000ull
#define LARGE 0x40000000ull          // user, 2 MiB
#define KERNEL 0xffff888000000000ull // global
#define LOCAL 0xffffc90000000000ull  // supervisor, not global
#define BIG 0xffff888040000000ull    // 1 GiB, global

static void setup(void)
{
    engine_create(&e, 0);
    for (unsigned i = 0; i < 2; i++) {
        root[i] = guest_table(&e.g);
        uint64_t at = 0x1000000 * (i + 1);
        for (unsigned k = 0; k < 8; k++) {
            guest_map(&e.g, root[i], USER + k * PAGE_SIZE, (at + k * PAGE_SIZE) | G_P | G_W | G_U, 12);
            guest_map(&e.g, root[i], KERNEL + k * PAGE_SIZE, (0x600000 + k * PAGE_SIZE) | G_P | G_W | G_G, 12);
            guest_map(&e.g, root[i], LOCAL + k * PAGE_SIZE, (at + 0x100000 + k * PAGE_SIZE) | G_P | G_W, 12);
        }
        guest_map(&e.g, root[i], LARGE, (at + 0x400000) | G_P | G_W | G_U | G_PS, 21);
        guest_map(&e.g, root[i], BIG, 0 | G_P | G_W | G_G | G_PS, 30);
    }
    e.m.pg.cr3 = root[0] | 1;
    mmu_set_control(&e.m, LONG_CR0, LONG_CR4, LONG_EFER);
    mmu_load_cr3(&e.m, root[0] | 1, false);
}

static void teardown(void) { engine_destroy(&e); }

static void privilege(bool user, bool ac) { mmu_set_privilege(&e.m, user, ac); }

// Makes va resident in the current view by the slow path of translated code.
static int resolve(gva va, bool write)
{
    struct mmu_fault f;
    return shadow_resolve(e.s, va, 1, write, &f);
}

static bool resident(gva va, bool write) { return in_ram(&e, inline_address(&e, va, write)); }

static void warm(gva va)
{
    ck_assert_int_eq(resolve(va, true), 0);
    ck_assert(resident(va, false) && resident(va, true));
}

// ---- views and rights ----

START_TEST(read_fill_gives_no_write)
{
    ck_assert_int_eq(resolve(KERNEL, false), 0);
    ck_assert(resident(KERNEL, false) && !resident(KERNEL, true));
    ck_assert_uint_eq(inline_address(&e, KERNEL + 0x123, false), (uint64_t)e.g.ram.base + 0x600123);
    warm(KERNEL);
    ck_assert_uint_eq(inline_address(&e, KERNEL + 0x123, true), (uint64_t)e.g.ram.base + 0x600123);
    ck_assert(!resident(KERNEL + PAGE_SIZE, false));
}
END_TEST

START_TEST(views_by_privilege)
{
    struct mmu_fault f;
    warm(KERNEL);
    ck_assert_int_eq(shadow_resolve(e.s, USER, 1, false, &f), -1); // SMAP
    ck_assert_uint_eq(f.error, PF_P);
    void *k = e.base;
    privilege(true, false);
    ck_assert_ptr_ne(e.base, k);
    ck_assert(!resident(KERNEL, false));
    ck_assert_int_eq(shadow_resolve(e.s, KERNEL, 1, false, &f), -1);
    ck_assert_uint_eq(f.error, PF_P | PF_U);
    warm(USER);
    privilege(false, true);
    ck_assert_ptr_ne(e.base, k);
    ck_assert(!resident(USER, false));
    warm(USER);
    warm(KERNEL);
    privilege(false, false);
    ck_assert_ptr_eq(e.base, k);
    ck_assert(resident(KERNEL, true) && !resident(USER, false));
    ck_assert_ptr_eq(e.base, shadow_view_base(e.s));
}
END_TEST

START_TEST(implicit_accesses_from_user_mode_fill_the_kernels_view)
{
    struct mmu_fault f;
    uint64_t v;
    privilege(true, false);
    ck_assert(mmu_read(&e.m, KERNEL, &v, 8, MMU_IMPLICIT, &f));
    ck_assert(!resident(KERNEL, false)); // not for the user
    ck_assert(!mmu_read(&e.m, KERNEL, &v, 8, 0, &f));
    privilege(false, false);
    ck_assert(resident(KERNEL, false));
}
END_TEST

START_TEST(write_protect)
{
    struct mmu_fault f;
    *guest_map(&e.g, root[0], KERNEL, 0, 12) = 0x600000 | G_P | G_G;
    ck_assert_int_eq(shadow_resolve(e.s, KERNEL, 1, true, &f), -1);
    mmu_set_control(&e.m, LONG_CR0 & ~G_CR0_WP, LONG_CR4, LONG_EFER);
    warm(KERNEL);
    mmu_set_control(&e.m, LONG_CR0, LONG_CR4, LONG_EFER);
    ck_assert(!resident(KERNEL, true));
    ck_assert_int_eq(shadow_resolve(e.s, KERNEL, 1, true, &f), -1);
}
END_TEST

START_TEST(smap_switched_on)
{
    mmu_set_control(&e.m, LONG_CR0, LONG_CR4 & ~G_CR4_SMAP, LONG_EFER);
    warm(USER); // without SMAP the kernel's view holds user pages
    void *k = e.base;
    privilege(false, true);
    ck_assert_ptr_eq(e.base, k);
    mmu_set_control(&e.m, LONG_CR0, LONG_CR4, LONG_EFER);
    ck_assert_ptr_ne(e.base, k); // AC counts at once
    ck_assert(!resident(USER, false));
    privilege(false, false);
    ck_assert(!resident(USER, false));
    ck_assert_int_eq(resolve(USER, false), -1);
}
END_TEST

START_TEST(rom_and_devices_are_not_written_fast)
{
    struct mmu_fault f;
    as_map_ram(e.g.as, "rom", 0x600000, 0x1000, &e.g.ram, 0x700000, true, 1);
    shadow_drop_range(e.s, 0x600000, 0x1000);
    ck_assert_int_eq(shadow_resolve(e.s, KERNEL, 4, false, &f), 0);
    ck_assert_int_eq(shadow_resolve(e.s, KERNEL, 4, true, &f), 1);
    ck_assert(!resident(KERNEL, true));
    *guest_map(&e.g, root[0], KERNEL + PAGE_SIZE, 0, 12) = 0xfee00000 | G_P | G_W;
    ck_assert_int_eq(shadow_resolve(e.s, KERNEL + PAGE_SIZE, 4, false, &f), 1);
    ck_assert_int_eq(shadow_resolve(e.s, KERNEL + 0xffe, 4, false, &f), 1); // leaves its page
}
END_TEST

START_TEST(dropped_range)
{
    warm(KERNEL);
    struct region *r = as_map_ram(e.g.as, "window", 0x600000, 0x1000, &e.g.ram, 0x700000, false, 1);
    shadow_drop_range(e.s, 0x600000, 0x1000);
    warm(KERNEL);
    ck_assert_uint_eq(inline_address(&e, KERNEL, false), (uint64_t)e.g.ram.base + 0x700000);
    as_unmap(r);
    shadow_drop_range(e.s, 0x600000, 0x1000);
    ck_assert(!resident(KERNEL, false));
}
END_TEST

START_TEST(page_at_its_own_host_address)
{
    struct mmu_fault f;
    gva va = (gva)e.g.ram.base + 0x600000;
    guest_map(&e.g, root[0], va, 0x600000 | G_P | G_W, 12);
    ck_assert_int_eq(shadow_resolve(e.s, va, 4, false, &f), 1); // the entry would be 0
}
END_TEST

// ---- invalidation: what must go, and what should stay ----

enum { WARM_USER = 1, WARM_LARGE = 2, WARM_KERNEL = 4, WARM_LOCAL = 8, WARM_BIG = 16, WARM_KA = 32, WARM_OTHER = 64 };

static void warm_all(void)
{
    mmu_load_cr3(&e.m, root[1] | 2, true);
    privilege(true, false);
    warm(USER);
    mmu_load_cr3(&e.m, root[0] | 1, true);
    warm(USER);
    warm(LARGE + 0x5000);
    warm(LARGE + 0x1ff000);
    privilege(false, true);
    warm(USER);
    privilege(false, false);
    warm(KERNEL);
    warm(LOCAL);
    warm(BIG + 0x7000);
    warm(BIG + 0x201000);
}

static unsigned still_warm(void)
{
    unsigned mask = 0;
    mask |= resident(KERNEL, true) ? WARM_KERNEL : 0;
    mask |= resident(LOCAL, true) ? WARM_LOCAL : 0;
    mask |= resident(BIG + 0x7000, false) || resident(BIG + 0x201000, true) ? WARM_BIG : 0;
    privilege(false, true);
    mask |= resident(USER, false) ? WARM_KA : 0;
    privilege(true, false);
    mask |= resident(USER, true) ? WARM_USER : 0;
    mask |= resident(LARGE + 0x5000, false) || resident(LARGE + 0x1ff000, true) ? WARM_LARGE : 0;
    return mask;
}

static unsigned other_warm(void)
{
    mmu_load_cr3(&e.m, root[1] | 2, true);
    return resident(USER, true) ? WARM_OTHER : 0;
}

static void do_invlpg_user(void) { mmu_invlpg(&e.m, USER + 0xfff); }
static void do_invlpg_large(void) { mmu_invlpg(&e.m, LARGE + 0x100000); }
static void do_invlpg_kernel(void) { mmu_invlpg(&e.m, KERNEL); }
static void do_invlpg_local(void) { mmu_invlpg(&e.m, LOCAL); }
static void do_invlpg_big(void) { mmu_invlpg(&e.m, BIG + 0x3fff0000); }
static void do_invpcid_addr(void) { mmu_invpcid(&e.m, 0, 1, USER); }
static void do_invpcid_addr_other(void) { mmu_invpcid(&e.m, 0, 2, USER); }
static void do_invpcid_one(void) { mmu_invpcid(&e.m, 1, 1, 0); }
static void do_invpcid_one_other(void) { mmu_invpcid(&e.m, 1, 2, 0); }
static void do_invpcid_all(void) { mmu_invpcid(&e.m, 2, 0, 0); }
static void do_invpcid_nonglobal(void) { mmu_invpcid(&e.m, 3, 0, 0); }
static void do_cr3_flush(void) { mmu_load_cr3(&e.m, root[0] | 1, false); }
static void do_cr3_no_flush(void) { mmu_load_cr3(&e.m, root[0] | 1, true); }
static void do_cr3_there_and_back(void)
{
    mmu_load_cr3(&e.m, root[1] | 2, true);
    mmu_load_cr3(&e.m, root[0] | 1, true);
}
static void do_toggle_pge(void)
{
    mmu_set_control(&e.m, LONG_CR0, LONG_CR4 & ~G_CR4_PGE, LONG_EFER);
    mmu_set_control(&e.m, LONG_CR0, LONG_CR4, LONG_EFER);
}
static void do_toggle_nxe(void) { mmu_set_control(&e.m, LONG_CR0, LONG_CR4, G_EFER_LMA); }
static void do_toggle_ts(void) { mmu_set_control(&e.m, LONG_CR0 | 8, LONG_CR4, LONG_EFER); }

#define ALL 127
static const struct {
    const char *name;
    void (*run)(void);
    unsigned stays; // required to go: the rest
} invalidations[] = {
    {"nothing", do_cr3_no_flush, ALL},
    {"INVLPG user", do_invlpg_user, ALL & ~(WARM_USER | WARM_KA)},
    {"INVLPG large", do_invlpg_large, ALL & ~WARM_LARGE},
    {"INVLPG global", do_invlpg_kernel, ALL & ~WARM_KERNEL},
    {"INVLPG supervisor", do_invlpg_local, ALL & ~WARM_LOCAL},
    {"INVLPG 1 GiB", do_invlpg_big, ALL & ~WARM_BIG},
    {"INVPCID address", do_invpcid_addr, ALL & ~(WARM_USER | WARM_KA)},
    {"INVPCID address, other", do_invpcid_addr_other, ALL & ~WARM_OTHER},
    {"INVPCID one", do_invpcid_one, WARM_KERNEL | WARM_BIG | WARM_OTHER},
    {"INVPCID one, other", do_invpcid_one_other, ALL & ~WARM_OTHER},
    {"INVPCID all", do_invpcid_all, 0},
    {"INVPCID not global", do_invpcid_nonglobal, WARM_KERNEL | WARM_BIG},
    {"CR3", do_cr3_flush, WARM_KERNEL | WARM_BIG | WARM_OTHER},
    {"CR3 there and back", do_cr3_there_and_back, ALL & ~WARM_LOCAL},
    {"CR4.PGE", do_toggle_pge, 0},
    {"EFER.NXE", do_toggle_nxe, 0},
    {"CR0.TS", do_toggle_ts, ALL},
};

START_TEST(invalidation)
{
    warm_all();
    ck_assert_uint_eq(still_warm() | other_warm(), ALL & ~0u);
    mmu_load_cr3(&e.m, root[0] | 1, true);
    privilege(false, false);
    warm(LOCAL); // switching dropped it
    invalidations[_i].run();
    unsigned got = still_warm();
    got |= other_warm();
    ck_assert_msg(got == invalidations[_i].stays, "%s: %#x stays, expected %#x", invalidations[_i].name, got,
                  invalidations[_i].stays);
}
END_TEST

START_TEST(no_pcid)
{
    mmu_set_control(&e.m, LONG_CR0, LONG_CR4 & ~G_CR4_PCIDE, LONG_EFER);
    mmu_load_cr3(&e.m, root[0], false);
    warm(KERNEL);
    warm(LOCAL);
    privilege(true, false);
    warm(USER);
    void *u = e.base;
    mmu_load_cr3(&e.m, root[1], false);
    ck_assert(!resident(USER, false));
    ck_assert_ptr_eq(e.base, u); // the warm tables serve the next address space
    warm(USER);
    ck_assert_uint_eq(inline_address(&e, USER, false), (uint64_t)e.g.ram.base + 0x2000000);
    privilege(false, false);
    ck_assert(resident(KERNEL, true) && !resident(LOCAL, false));
}
END_TEST

START_TEST(clean_page_is_walked_again)
{
    uint64_t *pte = guest_map(&e.g, root[0], KERNEL, 0x600000 | G_P | G_W | G_G, 12);
    warm(KERNEL);
    ck_assert_uint_eq(*pte & (G_A | G_D), G_A | G_D);
    *pte &= ~(uint64_t)(G_A | G_D);
    mmu_invlpg(&e.m, KERNEL);
    ck_assert_int_eq(resolve(KERNEL, false), 0);
    ck_assert_uint_eq(*pte & (G_A | G_D), G_A);
    ck_assert(!resident(KERNEL, true)); // the first store must set D
    warm(KERNEL);
    ck_assert_uint_eq(*pte & (G_A | G_D), G_A | G_D);
}
END_TEST

START_TEST(more_entries_than_the_log_holds)
{
    mmu_load_cr3(&e.m, root[0] | 1, true);
    privilege(true, false);
    for (unsigned i = 0; i < 6000; i++) {
        gva va = 0x10000000 + (gva)i * PAGE_SIZE;
        guest_map(&e.g, root[0], va, (0x1000000 + (i % 512) * PAGE_SIZE) | G_P | G_W | G_U, 12);
        warm(va);
    }
    mmu_load_cr3(&e.m, root[0] | 1, false);
    for (unsigned i = 0; i < 6000; i++) {
        ck_assert(!resident(0x10000000 + (gva)i * PAGE_SIZE, false));
        ck_assert(!resident(0x10000000 + (gva)i * PAGE_SIZE, true));
    }
}
END_TEST

START_TEST(slots_are_recycled_clean)
{
    privilege(true, false);
    for (unsigned i = 0; i < 3 * SHADOW_SLOTS; i++) {
        mmu_load_cr3(&e.m, root[i & 1] | (i + 1), true);
        ck_assert(!resident(USER, false));
        warm(USER);
        ck_assert_uint_eq(inline_address(&e, USER, true), (uint64_t)e.g.ram.base + 0x1000000 * ((i & 1) + 1));
    }
    // The same root under another PCID is another address space, and so is the same PCID with another root.
    mmu_load_cr3(&e.m, root[0] | 100, true);
    ck_assert(!resident(USER, false));
    warm(USER);
    mmu_load_cr3(&e.m, root[1] | 100, true);
    ck_assert(!resident(USER, false));
}
END_TEST

START_TEST(pae_and_4m_pages)
{
    struct mmu_fault f;
    uint64_t pd = guest_table(&e.g);
    uint32_t *pde = (uint32_t *)(e.g.ram.base + pd);
    pde[0x100] = 0x800000 | G_P | G_W | G_U | G_PS; // 4 MiB at 1 GiB
    mmu_set_control(&e.m, G_CR0_PE, 0, 0);
    e.m.pg.cr3 = pd;
    mmu_set_control(&e.m, LONG_CR0, G_CR4_PSE, 0);
    ck_assert_int_eq(shadow_resolve(e.s, 0x40001000, 4, true, &f), 0);
    ck_assert_int_eq(shadow_resolve(e.s, 0x40201000, 4, true, &f), 0);
    ck_assert(resident(0x40201000, true));
    mmu_invlpg(&e.m, 0x403ff000);
    ck_assert(!resident(0x40001000, false) && !resident(0x40201000, false));
    ck_assert(!resident(0x40001000, true) && !resident(0x40201000, true));
}
END_TEST

START_TEST(paging_off)
{
    struct mmu_fault f;
    mmu_set_control(&e.m, G_CR0_PE, 0, 0);
    ck_assert_int_eq(shadow_resolve(e.s, 0x7000, 4, true, &f), 0);
    ck_assert_uint_eq(inline_address(&e, 0x7008, true), (uint64_t)e.g.ram.base + 0x7008);
    mmu_load_cr3(&e.m, root[1], false); // means nothing yet
    ck_assert(resident(0x7000, true));
    mmu_set_control(&e.m, LONG_CR0, G_CR4_PAE, LONG_EFER);
    ck_assert(!resident(0x7000, true));
}
END_TEST

// ---- code pages ----

START_TEST(protect_code)
{
    struct mmu_fault f;
    uint32_t v = 7;
    warm(BIG + 0x600000); // two ways to the same page
    warm(KERNEL);
    privilege(false, true);
    warm(KERNEL);
    e.code[0x600] = true;
    shadow_protect_code(e.s, 0x600000);
    ck_assert(!resident(KERNEL, true) && resident(KERNEL, false));
    privilege(false, false);
    ck_assert(!resident(KERNEL, true) && !resident(BIG + 0x600000, true));
    ck_assert(resident(KERNEL, false) && resident(BIG + 0x600000, false));
    ck_assert_int_eq(shadow_resolve(e.s, KERNEL, 4, true, &f), 1);
    ck_assert_uint_eq(e.code_written, 0);
    ck_assert(mmu_write(&e.m, KERNEL + 8, &v, 4, 0, &f));
    ck_assert_uint_eq(e.code_written, 1);
    ck_assert_uint_eq(e.g.ram.base[0x600008], 7);
    e.code[0x600] = false;
    warm(KERNEL);
}
END_TEST

// A store beside code is let through by what the resolver found out, until anything is invalidated.
START_TEST(code_store_stands_until_an_invalidation)
{
    gpa pa = 0;
    e.code[0x1000000 >> 12] = true; // the page at USER in space 0
    privilege(true, false);
    ck_assert_ptr_null(shadow_code_store(e.s, USER + 8, &pa));
    ck_assert_int_eq(resolve(USER, true), 1);
    ck_assert(!resident(USER, true));
    ck_assert_ptr_nonnull(shadow_code_store(e.s, USER + 8, &pa));
    ck_assert_uint_eq(pa, 0x1000008);
    ck_assert_ptr_null(shadow_code_store(e.s, USER + PAGE_SIZE, &pa));
    privilege(false, true); // another view has its own rights
    ck_assert_ptr_null(shadow_code_store(e.s, USER + 8, &pa));
    privilege(true, false);
    mmu_invlpg(&e.m, LARGE);
    ck_assert_ptr_null(shadow_code_store(e.s, USER + 8, &pa));
    ck_assert_int_eq(resolve(USER, true), 1);
    ck_assert_ptr_nonnull(shadow_code_store(e.s, USER + 8, &pa));
    mmu_load_cr3(&e.m, root[1] | 2, false);
    ck_assert_ptr_null(shadow_code_store(e.s, USER + 8, &pa));
}
END_TEST

START_TEST(protect_code_with_many_aliases)
{
    for (unsigned i = 0; i < 20; i++) {
        guest_map(&e.g, root[0], KERNEL + 0x100000 + i * PAGE_SIZE, 0x600000 | G_P | G_W | G_G, 12);
        warm(KERNEL + 0x100000 + i * PAGE_SIZE);
    }
    e.code[0x600] = true;
    shadow_protect_code(e.s, 0x600000);
    for (unsigned i = 0; i < 20; i++) {
        ck_assert(!resident(KERNEL + 0x100000 + i * PAGE_SIZE, true));
    }
}
END_TEST

START_TEST(crossing_store_tells_of_code)
{
    struct mmu_fault f;
    uint64_t v = 1;
    e.code[0x601] = true;
    warm(KERNEL);
    ck_assert(mmu_write(&e.m, KERNEL + PAGE_SIZE - 4, &v, 8, 0, &f));
    ck_assert_uint_eq(e.code_written, 1);
}
END_TEST

// ---- host safety ----

static sigjmp_buf jump;
static void on_fault(int sig) { siglongjmp(jump, sig); }

static bool try_host(uint64_t host, bool write)
{
    if (sigsetjmp(jump, 1)) {
        return false;
    }
    if (write) {
        *(volatile uint8_t *)host = 0x5a;
    } else {
        (void)*(volatile uint8_t *)host;
    }
    return true;
}

// The access that the inline sequence makes, for real.
static bool try_access(gva va, bool write)
{
    uint64_t host = inline_address(&e, va, write);
    return host && try_host(host, write);
}

START_TEST(aliases_fault)
{
    struct sigaction sa = {.sa_handler = on_fault, .sa_flags = SA_NODEFER};
    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
    privilege(true, false);
    warm(USER);
    ck_assert(try_access(USER, false) && try_access(USER, true));
    for (uint64_t k = 1; k < 1 << 24; k = k < 600 ? k + 1 : k * 2 + 1) {
        gva alias = USER + (k << 40); // canonical or not
        ck_assert_msg(!try_access(alias, true), "store at %#llx", (unsigned long long)alias);
        ck_assert_msg(!try_access(alias, false), "load at %#llx", (unsigned long long)alias);
    }
    ck_assert_int_eq(resolve(0xffff000000000000ull | USER, false), 1); // not canonical: no page fault
    // RAM's ends: nothing of ours lies beside it.
    uint64_t ends[] = {(uint64_t)e.g.ram.base - 1, (uint64_t)e.g.ram.base + GUEST_RAM,
                       (uint64_t)e.g.ram.base + GUEST_RAM + 4096};
    for (unsigned i = 0; i < 3; i++) {
        ck_assert(!try_host(ends[i], false));
    }
}
END_TEST

START_TEST(folded_addresses_share_a_slot_safely)
{
    gva far = USER + BIT(41);
    guest_map(&e.g, root[0], far, 0x3000000 | G_P | G_W | G_U, 12);
    privilege(true, false);
    warm(USER);
    ck_assert(!resident(far, false) && !resident(far, true));
    warm(far);
    ck_assert(!resident(USER, false) && !resident(USER, true));
    ck_assert_uint_eq(inline_address(&e, far, true), (uint64_t)e.g.ram.base + 0x3000000);
    warm(USER);
    mmu_invlpg(&e.m, far);
    ck_assert(!resident(far, false));
}
END_TEST

static long rss_kib(void)
{
    long pages = 0, dummy;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld %ld", &dummy, &pages) != 2) {
        pages = 0;
    }
    if (f) {
        fclose(f);
    }
    return pages * 4;
}

// One page in each 2 MiB, so that every entry costs a table page: the process must stay inside the bound.
START_TEST(memory_is_bounded)
{
    engine_destroy(&e);
    engine_create(&e, 32 << 20);
    uint64_t r = guest_table(&e.g), pdpt = guest_table(&e.g), pd = guest_table(&e.g), pt = guest_table(&e.g);
    for (unsigned i = 0; i < 512; i++) { // every table entry leads to the same tables: all of memory is mapped
        *guest_entry(&e.g, r, i) = pdpt | G_P | G_W | G_U;
        *guest_entry(&e.g, pdpt, i) = pd | G_P | G_W | G_U;
        *guest_entry(&e.g, pd, i) = pt | G_P | G_W | G_U;
        *guest_entry(&e.g, pt, i) = 0x600000 | G_P | G_W | G_U;
    }
    e.m.pg.cr3 = r;
    mmu_set_control(&e.m, LONG_CR0, LONG_CR4, LONG_EFER);
    privilege(true, false);
    long before = rss_kib();
    long most = 0;
    for (uint64_t i = 0; i < 60000; i++) {
        if (i % 20000 == 0) {
            mmu_load_cr3(&e.m, r | (i / 20000 + 1), true);
        }
        resolve((i * 7919 % (1 << 20)) << 21, i & 1);
        if (i % 1000 == 0) {
            long now = rss_kib() - before;
            most = now > most ? now : most;
        }
    }
    ck_assert_msg(most > 1000, "the test touched nothing: %ld KiB", most);
    ck_assert_msg(most < 40 << 10, "grew by %ld KiB", most);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("shadow");
    TCase *t = tcase_create("shadow");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, read_fill_gives_no_write);
    tcase_add_test(t, views_by_privilege);
    tcase_add_test(t, implicit_accesses_from_user_mode_fill_the_kernels_view);
    tcase_add_test(t, write_protect);
    tcase_add_test(t, smap_switched_on);
    tcase_add_test(t, rom_and_devices_are_not_written_fast);
    tcase_add_test(t, dropped_range);
    tcase_add_test(t, page_at_its_own_host_address);
    tcase_add_loop_test(t, invalidation, 0, ARRAY_SIZE(invalidations));
    tcase_add_test(t, no_pcid);
    tcase_add_test(t, clean_page_is_walked_again);
    tcase_add_test(t, more_entries_than_the_log_holds);
    tcase_add_test(t, slots_are_recycled_clean);
    tcase_add_test(t, pae_and_4m_pages);
    tcase_add_test(t, paging_off);
    tcase_add_test(t, protect_code);
    tcase_add_test(t, code_store_stands_until_an_invalidation);
    tcase_add_test(t, protect_code_with_many_aliases);
    tcase_add_test(t, crossing_store_tells_of_code);
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__) // ram.c guards no aliases in those builds
    tcase_add_test(t, aliases_fault);
#else
    (void)aliases_fault;
#endif
    tcase_add_test(t, folded_addresses_share_a_slot_safely);
#ifndef __SANITIZE_THREAD__ // whose own memory grows with what the test touches
    tcase_add_test(t, memory_is_bounded);
#else
    (void)memory_is_bounded;
#endif
    suite_add_tcase(s, t);
    return check_main(s);
}
