// SPDX-License-Identifier: MIT
// The MMU without a shadow: page-crossing and device accesses, fetches, and when the epochs change.
#include "tests/unit/check_main.h"
#include "tests/unit/softmmu/guest.h"

#include "base/biglock.h"
#include "base/vectors.h"

#include <stdlib.h>

static struct guest g;
static struct mmu m;
static uint64_t root_a, root_b;

#define USER_VA 0x400000ull
#define KERNEL_VA 0xffffffff81000000ull
#define LONG_CR0 (G_CR0_PE | G_CR0_PG | G_CR0_WP)
#define LONG_CR4 (G_CR4_PAE | G_CR4_PGE)

// Two address spaces: four user pages at USER_VA (A: 0x200000.., B: 0x300000..), a global kernel 2 MiB page.
static void setup(void)
{
    guest_create(&g);
    root_a = guest_table(&g);
    root_b = guest_table(&g);
    for (unsigned i = 0; i < 4; i++) {
        guest_map(&g, root_a, USER_VA + i * PAGE_SIZE, (0x200000 + i * PAGE_SIZE) | G_P | G_W | G_U, 12);
        guest_map(&g, root_b, USER_VA + i * PAGE_SIZE, (0x300000 + i * PAGE_SIZE) | G_P | G_W | G_U, 12);
    }
    guest_map(&g, root_a, KERNEL_VA, 0x400000 | G_P | G_W | G_PS | G_G, 21);
    guest_map(&g, root_b, KERNEL_VA, 0x400000 | G_P | G_W | G_PS | G_G, 21);
    mmu_init(&m, g.as, 46);
    m.pg.cr3 = root_a;
    mmu_set_control(&m, LONG_CR0, LONG_CR4, G_EFER_LMA | G_EFER_NXE);
}

static void teardown(void) { guest_destroy(&g); }

// ---- accesses ----

START_TEST(read_and_write_across_pages)
{
    struct mmu_fault f;
    uint8_t in[100], out[100];
    for (unsigned i = 0; i < sizeof(in); i++) {
        in[i] = (uint8_t)(i + 1);
    }
    // The two pages are not neighbours in memory.
    *guest_map(&g, root_a, USER_VA + PAGE_SIZE, 0, 12) = 0x280000 | G_P | G_W | G_U;
    ck_assert(mmu_write(&m, USER_VA + 4096 - 37, in, 100, 0, &f));
    ck_assert_mem_eq(g.ram.base + 0x200000 + 4096 - 37, in, 37);
    ck_assert_mem_eq(g.ram.base + 0x280000, in + 37, 63);
    ck_assert(mmu_read(&m, USER_VA + 4096 - 37, out, 100, 0, &f));
    ck_assert_mem_eq(in, out, 100);
}
END_TEST

START_TEST(crossing_write_is_all_or_nothing)
{
    struct mmu_fault f;
    uint64_t v = 0x1122334455667788ull;
    gva last = USER_VA + 4 * PAGE_SIZE; // not mapped
    memset(g.ram.base + 0x203000, 0xee, PAGE_SIZE);
    ck_assert(!mmu_write(&m, last - 3, &v, 8, 0, &f));
    ck_assert_uint_eq(f.addr, last); // CR2 is the first byte that faulted
    ck_assert_uint_eq(f.error, PF_W);
    for (unsigned i = 0; i < PAGE_SIZE; i++) {
        ck_assert_uint_eq(g.ram.base[0x203000 + i], 0xee);
    }
    m.user = true;
    ck_assert(!mmu_read(&m, last - 1, &v, 2, 0, &f));
    ck_assert_uint_eq(f.addr, last);
    ck_assert_uint_eq(f.error, PF_U);
}
END_TEST

START_TEST(wraps_at_4g_outside_long_mode)
{
    struct mmu_fault f;
    uint32_t v = 0x44332211;
    mmu_set_control(&m, G_CR0_PE, 0, 0);
    g.ram.base[0] = g.ram.base[1] = 0;
    ck_assert(mmu_write(&m, 0xfffffffe, &v, 4, 0, &f)); // the first half goes nowhere
    ck_assert_uint_eq(g.ram.base[0], 0x33);
    ck_assert_uint_eq(g.ram.base[1], 0x44);
}
END_TEST

START_TEST(probe_moves_nothing)
{
    struct mmu_fault f;
    uint64_t *e = guest_map(&g, root_a, USER_VA, 0x200000 | G_P | G_W | G_U, 12);
    memset(g.ram.base + 0x200000, 0x33, 16);
    ck_assert(mmu_write(&m, USER_VA, NULL, 8, MMU_PROBE, &f));
    ck_assert_uint_eq(g.ram.base[0x200000], 0x33);
    ck_assert_uint_eq(*e & (G_A | G_D), G_A | G_D);
    m.user = true;
    ck_assert(!mmu_read(&m, KERNEL_VA, NULL, 1, MMU_PROBE, &f));
    ck_assert_uint_eq(f.error, PF_P | PF_U);
    ck_assert(mmu_read(&m, KERNEL_VA, NULL, 1, MMU_PROBE | MMU_IMPLICIT, &f));
}
END_TEST

static struct {
    unsigned reads, writes, before;
    unsigned sizes[16];
    bool locked;
} io;

static uint64_t io_read(void *opaque, uint64_t offset, unsigned size)
{
    io.sizes[io.reads++ % 16] = size;
    io.locked |= big_lock_held();
    return 0x8877665544332211ull >> (8 * (offset % 8));
}

static void io_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    io.writes++;
    io.locked &= big_lock_held();
}

static void before_io(void *opaque) { io.before++; }

START_TEST(mmio)
{
    static const struct io_ops ops = {.read = io_read, .write = io_write, .min_size = 1, .max_size = 8};
    static const struct io_ops gpr_ops = {.read = io_read, .min_size = 1, .max_size = 8, .gpr_only = true};
    struct mmu_fault f;
    uint8_t buf[16];
    bool faulted = true;
    memset(&io, 0, sizeof(io));
    vectors_hook = (struct vectors_hook){before_io, NULL};
    struct region *dev = as_map_io(g.as, "dev", 0x202000, 0x1000, &ops, NULL, 1);
    ck_assert(mmu_read(&m, USER_VA + 2 * PAGE_SIZE, buf, 16, 0, &f));
    ck_assert_uint_eq(io.reads, 2);
    ck_assert_uint_eq(io.sizes[0], 8);
    ck_assert_uint_ge(io.before, 1);
    ck_assert(io.locked && !big_lock_held());
    ck_assert_uint_eq(buf[15], 0x88);
    io.reads = 0;
    ck_assert(mmu_read(&m, USER_VA + 2 * PAGE_SIZE, buf, 6, 0, &f)); // 4 + 2
    ck_assert_uint_eq(io.reads, 2);
    ck_assert_uint_eq(io.sizes[0], 4);
    ck_assert_uint_eq(io.sizes[1], 2);
    // RAM to device: one store, two kinds of memory
    ck_assert(mmu_write(&m, USER_VA + 2 * PAGE_SIZE - 4, buf, 8, 0, &f));
    ck_assert_mem_eq(g.ram.base + 0x202000 - 4, buf, 4);
    ck_assert_uint_eq(io.writes, 1);
    ck_assert(io.locked);
    ck_assert_ptr_null(mmu_rmw_ptr(&m, USER_VA + 2 * PAGE_SIZE, 4, 0, &f, &faulted));
    ck_assert(!faulted);
    // Code that leaves the vector registers alone need not have them saved.
    as_unmap(dev);
    as_map_io(g.as, "gpr", 0x202000, 0x1000, &gpr_ops, NULL, 1);
    io.before = io.reads = 0;
    ck_assert(mmu_read(&m, USER_VA + 2 * PAGE_SIZE, buf, 4, 0, &f));
    ck_assert_uint_eq(io.reads, 1);
    ck_assert_uint_eq(io.before, 0);
    vectors_hook.save = NULL;
}
END_TEST

START_TEST(rmw_pointer)
{
    struct mmu_fault f;
    bool faulted;
    uint64_t *e = guest_map(&g, root_a, USER_VA, 0x200000 | G_P | G_W | G_U, 12);
    ck_assert_ptr_eq(mmu_rmw_ptr(&m, USER_VA + 8, 8, 0, &f, &faulted), g.ram.base + 0x200008);
    ck_assert_uint_eq(*e & G_D, G_D);
    ck_assert_ptr_null(mmu_rmw_ptr(&m, USER_VA + 4092, 8, 0, &f, &faulted));
    ck_assert(!faulted);
    *e = 0x200000 | G_P | G_U;
    ck_assert_ptr_null(mmu_rmw_ptr(&m, USER_VA, 8, 0, &f, &faulted));
    ck_assert(faulted);
    ck_assert_uint_eq(f.error, PF_P | PF_W);
}
END_TEST

START_TEST(a20_gate)
{
    static struct mmu real;
    struct mmu_fault f;
    uint32_t v = 0;
    gpa pa;
    mmu_init(&real, g.as, 46);
    mmu_set_control(&real, 0, 0, 0);
    uint32_t epoch = real.epoch_supervisor;
    memcpy(g.ram.base + 0x500, "even", 4);
    memcpy(g.ram.base + 0x100500, "odd!", 4);
    ck_assert(mmu_read(&real, 0x100500, &v, 4, 0, &f));
    ck_assert_mem_eq(&v, "odd!", 4);
    mmu_set_a20(&real, false);
    ck_assert_uint_ne(real.epoch_supervisor, epoch); // links into code that moved are void
    ck_assert(mmu_read(&real, 0x100500, &v, 4, 0, &f));
    ck_assert_mem_eq(&v, "even", 4);
    ck_assert(mmu_write(&real, 0x300500, "thrd", 4, 0, &f));
    ck_assert_mem_eq(g.ram.base + 0x200500, "thrd", 4);
    ck_assert(mmu_fetch_translate(&real, 0x10fff0, false, &pa, &f));
    ck_assert_uint_eq(pa, 0xfff0);
    mmu_set_a20(&real, true);
    ck_assert(mmu_read(&real, 0x100500, &v, 4, 0, &f));
    ck_assert_mem_eq(&v, "odd!", 4);
    ck_assert(mmu_fetch_translate(&real, 0x10fff0, false, &pa, &f));
    ck_assert_uint_eq(pa, 0x10fff0);
    // Paging: the tables' addresses and the page's own are masked alike.
    uint64_t root = 0x300000, leaf = 0x400000;
    memset(g.ram.base + 0x200000, 0, PAGE_SIZE);
    *(uint32_t *)(g.ram.base + 0x200000) = (uint32_t)leaf | G_P | G_W | G_PS; // where CR3 points with the line low
    memcpy(g.ram.base + 0x400500, "page", 4);
    mmu_load_cr3(&real, root, false);
    mmu_set_a20(&real, false);
    mmu_set_control(&real, G_CR0_PE | G_CR0_PG, G_CR4_PSE, 0);
    ck_assert(mmu_read(&real, 0x100500, &v, 4, 0, &f));
    ck_assert_mem_eq(&v, "page", 4);
}
END_TEST

START_TEST(rom_ignores_stores)
{
    struct mmu_fault f;
    uint32_t v = 1;
    as_map_ram(g.as, "rom", 0x201000, 0x1000, &g.ram, 0x600000, true, 1);
    memset(g.ram.base + 0x600000, 0x99, 4);
    ck_assert(mmu_write(&m, USER_VA + PAGE_SIZE, &v, 4, 0, &f));
    ck_assert(mmu_read(&m, USER_VA + PAGE_SIZE, &v, 4, 0, &f));
    ck_assert_uint_eq(v, 0x99999999);
}
END_TEST

START_TEST(fetch_stops_at_the_fault)
{
    struct mmu_fault f;
    uint8_t buf[15];
    guest_map(&g, root_a, USER_VA + 3 * PAGE_SIZE, 0x203000 | G_P | G_W | G_U | G_XD, 12);
    memset(g.ram.base + 0x202ff8, 0x90, 8);
    ck_assert_uint_eq(mmu_fetch(&m, USER_VA + 0x2ff8, true, buf, 15, &f), 8);
    ck_assert_uint_eq(f.addr, USER_VA + 0x3000);
    ck_assert_uint_eq(f.error, PF_P | PF_U | PF_I);
    ck_assert_uint_eq(buf[7], 0x90);
    ck_assert_uint_eq(mmu_fetch(&m, USER_VA + 0x1ff8, true, buf, 15, &f), 15);
}
END_TEST

START_TEST(debug_translation_leaves_no_trace)
{
    gpa pa;
    uint64_t *e = guest_map(&g, root_a, USER_VA, 0x200000 | G_P | G_U, 12);
    mmu_set_control(&m, LONG_CR0, LONG_CR4 | G_CR4_SMAP, G_EFER_LMA | G_EFER_NXE);
    ck_assert(mmu_debug_translate(&m, USER_VA + 5, &pa));
    ck_assert_uint_eq(pa, 0x200005);
    ck_assert_uint_eq(*e & (G_A | G_D), 0);
    ck_assert(!mmu_debug_translate(&m, 0x7000000, &pa));
}
END_TEST

// ---- epochs ----

static unsigned notified;
static void on_epoch(void *opaque) { notified++; }

static void fetch(gva va, bool user)
{
    struct mmu_fault f;
    gpa pa;
    ck_assert(mmu_fetch_translate(&m, va, user, &pa, &f));
}

static void pcid_on(void)
{
    mmu_set_control(&m, LONG_CR0, LONG_CR4 | G_CR4_PCIDE, G_EFER_LMA | G_EFER_NXE);
    m.epoch_changed = on_epoch;
    notified = 0;
}

START_TEST(epoch_invlpg_of_data_changes_nothing)
{
    m.epoch_changed = on_epoch;
    fetch(USER_VA, true);
    fetch(KERNEL_VA + 0x1234, false);
    uint32_t u = m.epoch_user, s = m.epoch_supervisor;
    notified = 0;
    mmu_invlpg(&m, USER_VA + PAGE_SIZE);
    ck_assert_uint_eq(m.epoch_user, u);
    ck_assert_uint_eq(m.epoch_supervisor, s);
    ck_assert_uint_eq(notified, 0);
    mmu_invlpg(&m, USER_VA + 0x123);
    ck_assert_uint_ne(m.epoch_user, u);
    ck_assert_uint_eq(m.epoch_supervisor, s);
    ck_assert_uint_eq(notified, 1);
    mmu_invlpg(&m, KERNEL_VA + 0x1ff000); // the same 2 MiB page as the code
    ck_assert_uint_ne(m.epoch_supervisor, s);
}
END_TEST

START_TEST(epoch_returns_with_the_address_space)
{
    m.no_recheck = true;
    pcid_on();
    mmu_load_cr3(&m, root_a | 1, false);
    fetch(USER_VA, true);
    fetch(KERNEL_VA, false);
    uint32_t a = m.epoch_user, s = m.epoch_supervisor;
    mmu_load_cr3(&m, root_b | 2, true);
    uint32_t b = m.epoch_user;
    ck_assert_uint_ne(a, b);
    mmu_load_cr3(&m, root_a | 1, true);
    ck_assert_uint_eq(m.epoch_user, a);
    mmu_load_cr3(&m, root_b | 2, true);
    ck_assert_uint_eq(m.epoch_user, b);
    ck_assert_uint_eq(m.epoch_supervisor, s); // its code is in global pages
    mmu_load_cr3(&m, root_a | 1, false);      // a flush
    ck_assert_uint_ne(m.epoch_user, a);
    ck_assert_uint_eq(m.epoch_supervisor, s);
    mmu_load_cr3(&m, root_b | 2, true);
    mmu_invlpg(&m, USER_VA); // PCID 2 fetched nothing there
    ck_assert_uint_eq(m.epoch_user, b);
}
END_TEST

START_TEST(epoch_of_nonglobal_supervisor_code)
{
    *guest_map(&g, root_a, KERNEL_VA, 0, 21) = 0x400000 | G_P | G_W | G_PS;
    pcid_on();
    mmu_load_cr3(&m, root_a | 1, false);
    fetch(KERNEL_VA, false);
    uint32_t s = m.epoch_supervisor;
    mmu_load_cr3(&m, root_a | 1, true); // nothing forgotten, nothing else selected
    ck_assert_uint_eq(m.epoch_supervisor, s);
    mmu_load_cr3(&m, root_b | 2, true);
    ck_assert_uint_ne(m.epoch_supervisor, s);
    s = m.epoch_supervisor;
    mmu_load_cr3(&m, root_a | 1, true); // nothing fetched since: still good
    ck_assert_uint_eq(m.epoch_supervisor, s);
}
END_TEST

START_TEST(epoch_without_pcid)
{
    m.no_recheck = true;
    fetch(USER_VA, true);
    fetch(KERNEL_VA, false);
    uint32_t u = m.epoch_user, s = m.epoch_supervisor;
    mmu_load_cr3(&m, root_a, false);
    ck_assert_uint_ne(m.epoch_user, u);
    ck_assert_uint_eq(m.epoch_supervisor, s);
    u = m.epoch_user;
    mmu_set_control(&m, LONG_CR0, LONG_CR4 & ~G_CR4_PGE, G_EFER_LMA | G_EFER_NXE);
    ck_assert_uint_ne(m.epoch_user, u);
    ck_assert_uint_ne(m.epoch_supervisor, s);
}
END_TEST

START_TEST(epoch_and_control_bits)
{
    uint32_t u = m.epoch_user, s = m.epoch_supervisor;
    mmu_set_control(&m, LONG_CR0 ^ G_CR0_WP, LONG_CR4, G_EFER_LMA | G_EFER_NXE);
    mmu_set_control(&m, (LONG_CR0 ^ G_CR0_WP) | 8, LONG_CR4 | G_CR4_SMAP, G_EFER_LMA | G_EFER_NXE); // TS
    ck_assert_uint_eq(m.epoch_user, u);
    ck_assert_uint_eq(m.epoch_supervisor, s);
    mmu_set_control(&m, LONG_CR0, LONG_CR4 | G_CR4_SMEP, G_EFER_LMA | G_EFER_NXE);
    ck_assert_uint_ne(m.epoch_supervisor, s);
    s = m.epoch_supervisor;
    mmu_set_control(&m, LONG_CR0, LONG_CR4 | G_CR4_SMEP, G_EFER_LMA);
    ck_assert_uint_ne(m.epoch_supervisor, s);
}
END_TEST

START_TEST(epoch_invpcid)
{
    m.no_recheck = true;
    pcid_on();
    mmu_load_cr3(&m, root_b | 2, false);
    fetch(USER_VA, true);
    uint32_t b = m.epoch_user;
    mmu_load_cr3(&m, root_a | 1, false);
    fetch(USER_VA, true);
    fetch(KERNEL_VA, false);
    uint32_t a = m.epoch_user, s = m.epoch_supervisor;
    mmu_invpcid(&m, 0, 2, USER_VA + PAGE_SIZE);
    mmu_invpcid(&m, 0, 2, KERNEL_VA);
    mmu_load_cr3(&m, root_b | 2, true);
    ck_assert_uint_eq(m.epoch_user, b);
    mmu_load_cr3(&m, root_a | 1, true);
    mmu_invpcid(&m, 0, 2, USER_VA);
    ck_assert_uint_eq(m.epoch_user, a);
    mmu_load_cr3(&m, root_b | 2, true);
    ck_assert_uint_ne(m.epoch_user, b);
    mmu_invpcid(&m, 1, 1, 0);
    mmu_load_cr3(&m, root_a | 1, true);
    ck_assert_uint_ne(m.epoch_user, a);
    a = m.epoch_user;
    mmu_invpcid(&m, 3, 0, 0);
    ck_assert_uint_ne(m.epoch_user, a);
    ck_assert_uint_eq(m.epoch_supervisor, s);
    mmu_invpcid(&m, 2, 0, 0);
    ck_assert_uint_ne(m.epoch_supervisor, s);
}
END_TEST

START_TEST(epoch_of_global_user_code)
{
    *guest_map(&g, root_a, USER_VA, 0, 12) = 0x200000 | G_P | G_U | G_G;
    pcid_on();
    mmu_load_cr3(&m, root_a | 1, false);
    fetch(USER_VA, true);
    uint32_t a = m.epoch_user;
    mmu_load_cr3(&m, root_b | 2, true);
    mmu_invpcid(&m, 0, 2, USER_VA); // not for global pages
    mmu_load_cr3(&m, root_a | 1, true);
    ck_assert_uint_eq(m.epoch_user, a);
    mmu_load_cr3(&m, root_b | 2, true);
    mmu_invlpg(&m, USER_VA); // drops global translations of all PCIDs
    mmu_load_cr3(&m, root_a | 1, true);
    ck_assert_uint_ne(m.epoch_user, a);
}
END_TEST

static bool saw_zero;
static void on_wrap(void *opaque) { saw_zero |= m.epoch_user == 0 && m.epoch_supervisor == 0; }

START_TEST(epoch_wraps_with_a_warning)
{
    m.no_recheck = true;
    m.epoch_changed = on_wrap;
    saw_zero = false;
    m.epoch_last = UINT32_MAX - 2;
    for (int i = 0; i < 8; i++) {
        uint32_t old = m.epoch_user;
        mmu_load_cr3(&m, root_a, false);
        ck_assert_uint_ne(m.epoch_user, 0);
        ck_assert_uint_ne(m.epoch_supervisor, 0);
        ck_assert_uint_ne(m.epoch_user, m.epoch_supervisor);
        ck_assert_uint_ne(m.epoch_user, old);
    }
    ck_assert(saw_zero);
}
END_TEST

START_TEST(epoch_more_spaces_than_slots)
{
    pcid_on();
    uint32_t seen[200];
    for (unsigned i = 0; i < 200; i++) {
        mmu_load_cr3(&m, root_a | (i + 1), true);
        seen[i] = m.epoch_user;
        for (unsigned k = 0; k < i; k++) {
            ck_assert_uint_ne(seen[i], seen[k]);
        }
    }
}
END_TEST

// ---- epochs that outlive a flush ----

static uint64_t *code_entry; // of the page fetched from

static uint32_t fetched_epoch(void)
{
    code_entry = guest_map(&g, root_a, USER_VA, 0x200000 | G_P | G_U, 12);
    pcid_on();
    mmu_load_cr3(&m, root_a | 1, false);
    fetch(USER_VA, true);
    return m.epoch_user;
}

static void flush(void) { mmu_load_cr3(&m, root_a | 1, false); }

START_TEST(recheck_keeps_what_translates_the_same)
{
    uint32_t a = fetched_epoch();
    guest_map(&g, root_a, USER_VA + PAGE_SIZE, 0, 12); // a page of data
    notified = 0;
    flush();
    ck_assert_uint_eq(m.epoch_user, a);
    mmu_invpcid(&m, 1, 1, 0);
    ck_assert_uint_eq(m.epoch_user, a);
    mmu_invpcid(&m, 2, 0, 0);
    ck_assert_uint_eq(m.epoch_user, a);
    mmu_load_cr3(&m, root_b | 2, true);
    mmu_invpcid(&m, 1, 1, 0); // of a space that is not current
    mmu_load_cr3(&m, root_a | 1, true);
    ck_assert_uint_eq(m.epoch_user, a);
    m.no_recheck = true;
    flush();
    ck_assert_uint_ne(m.epoch_user, a);
}
END_TEST

// What the kernel does to the entry of a page of code before it flushes, by number
static const struct {
    uint64_t clear, set;
} entry_changes[] = {
    {G_P, 0}, {0x200000, 0x280000}, {G_U, 0}, {0, BIT(63)}, {G_A, 0},
};

START_TEST(recheck_sees_a_change)
{
    uint32_t a = fetched_epoch();
    *code_entry = (*code_entry & ~entry_changes[_i].clear) | entry_changes[_i].set;
    flush();
    ck_assert_uint_ne(m.epoch_user, a);
}
END_TEST

START_TEST(recheck_sees_a_change_made_while_away)
{
    uint32_t a = fetched_epoch();
    mmu_load_cr3(&m, root_b | 2, true);
    *code_entry = 0x280000 | G_P | G_U | G_A;
    mmu_invpcid(&m, 1, 1, 0);
    mmu_load_cr3(&m, root_a | 1, true);
    ck_assert_uint_ne(m.epoch_user, a);
}
END_TEST

START_TEST(recheck_learns_a_page_grew)
{
    uint32_t a = fetched_epoch();
    guest_map(&g, root_a, USER_VA, 0x200000 | G_P | G_U | G_A | G_PS, 21);
    flush();
    ck_assert_uint_eq(m.epoch_user, a); // the same page of memory still
    mmu_invlpg(&m, USER_VA + 0x1ff000);
    ck_assert_uint_ne(m.epoch_user, a);
}
END_TEST

START_TEST(recheck_gives_up_on_many_pages)
{
    uint32_t a = fetched_epoch();
    gva at = USER_VA + 0x200000;
    for (unsigned i = 0; i < MMU_CODE; i++) {
        guest_map(&g, root_a, at + i * PAGE_SIZE, (0x200000 + i % 256 * PAGE_SIZE) | G_P | G_U, 12);
    }
    for (unsigned i = 0; i + 1 < MMU_CODE; i++) {
        fetch(at + i * PAGE_SIZE, true);
    }
    fetch(at, true); // again
    flush();
    ck_assert_uint_eq(m.epoch_user, a); // as many as can be remembered
    fetch(at + (MMU_CODE - 1) * PAGE_SIZE, true);
    flush();
    ck_assert_uint_ne(m.epoch_user, a);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mmu");
    TCase *t = tcase_create("mmu");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, read_and_write_across_pages);
    tcase_add_test(t, crossing_write_is_all_or_nothing);
    tcase_add_test(t, wraps_at_4g_outside_long_mode);
    tcase_add_test(t, probe_moves_nothing);
    tcase_add_test(t, mmio);
    tcase_add_test(t, rmw_pointer);
    tcase_add_test(t, a20_gate);
    tcase_add_test(t, rom_ignores_stores);
    tcase_add_test(t, fetch_stops_at_the_fault);
    tcase_add_test(t, debug_translation_leaves_no_trace);
    tcase_add_test(t, epoch_invlpg_of_data_changes_nothing);
    tcase_add_test(t, epoch_returns_with_the_address_space);
    tcase_add_test(t, epoch_of_nonglobal_supervisor_code);
    tcase_add_test(t, epoch_without_pcid);
    tcase_add_test(t, epoch_and_control_bits);
    tcase_add_test(t, epoch_invpcid);
    tcase_add_test(t, epoch_of_global_user_code);
    tcase_add_test(t, epoch_wraps_with_a_warning);
    tcase_add_test(t, epoch_more_spaces_than_slots);
    tcase_add_test(t, recheck_keeps_what_translates_the_same);
    tcase_add_loop_test(t, recheck_sees_a_change, 0, ARRAY_SIZE(entry_changes));
    tcase_add_test(t, recheck_sees_a_change_made_while_away);
    tcase_add_test(t, recheck_learns_a_page_grew);
    tcase_add_test(t, recheck_gives_up_on_many_pages);
    suite_add_tcase(s, t);
    return check_main(s);
}
