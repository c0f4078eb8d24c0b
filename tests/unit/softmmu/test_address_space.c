// SPDX-License-Identifier: MIT
// Address spaces: overlaps and priorities, device access sizes, DMA over mixed regions, listeners.
#include "tests/unit/check_main.h"
#include "tests/unit/softmmu/guest.h"

#include <pthread.h>
#include <stdlib.h>

static struct guest g;

static void setup(void) { guest_create(&g); }
static void teardown(void) { guest_destroy(&g); }

// A device that keeps its bytes and a list of the accesses it saw.
struct device {
    uint8_t bytes[64];
    struct {
        uint64_t offset;
        unsigned size;
        bool write;
    } seen[64];
    unsigned n;
};

static void device_note(struct device *d, uint64_t offset, unsigned size, bool write)
{
    ck_assert_uint_lt(d->n, ARRAY_SIZE(d->seen));
    ck_assert_uint_le(offset + size, sizeof(d->bytes));
    d->seen[d->n].offset = offset;
    d->seen[d->n].size = size;
    d->seen[d->n++].write = write;
}

static uint64_t device_read(void *opaque, uint64_t offset, unsigned size)
{
    struct device *d = opaque;
    uint64_t v = 0;
    device_note(d, offset, size, false);
    memcpy(&v, d->bytes + offset, size);
    return v;
}

static void device_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct device *d = opaque;
    device_note(d, offset, size, true);
    memcpy(d->bytes + offset, &value, size);
}

static const struct io_ops byte_ops = {.read = device_read, .write = device_write, .min_size = 1, .max_size = 1};
static const struct io_ops dword_ops = {.read = device_read, .write = device_write, .min_size = 4, .max_size = 4};
static const struct io_ops any_ops = {.read = device_read, .write = device_write, .min_size = 1, .max_size = 8};
static const struct io_ops default_ops = {.read = device_read, .write = device_write, .min_size = 0, .max_size = 0};

static void device_fill(struct device *d)
{
    memset(d, 0, sizeof(*d));
    for (unsigned i = 0; i < sizeof(d->bytes); i++) {
        d->bytes[i] = (uint8_t)(0x10 + i);
    }
}

#define MMIO 0xfe000000ull

START_TEST(access_sizes)
{
    static const struct {
        const struct io_ops *ops;
        uint64_t offset;
        unsigned size, accesses, first_size;
    } cases[] = {
        {&any_ops, 0, 8, 1, 8},     {&any_ops, 4, 8, 2, 4},   {&any_ops, 1, 2, 2, 1},     {&any_ops, 1, 4, 3, 1},
        {&default_ops, 0, 8, 2, 4}, {&byte_ops, 0, 4, 4, 1},  {&dword_ops, 0, 8, 2, 4},   {&dword_ops, 1, 1, 1, 4},
        {&dword_ops, 2, 2, 1, 4},   {&dword_ops, 3, 2, 2, 4}, {&default_ops, 2, 4, 2, 2},
    };
    struct device d;
    device_fill(&d);
    as_map_io(g.as, "dev", MMIO, 64, cases[_i].ops, &d, 0);
    uint64_t want = 0;
    memcpy(&want, d.bytes + cases[_i].offset, cases[_i].size);
    ck_assert_uint_eq(as_load(g.as, MMIO + cases[_i].offset, cases[_i].size), want);
    ck_assert_uint_eq(d.n, cases[_i].accesses);
    ck_assert_uint_eq(d.seen[0].size, cases[_i].first_size);

    uint8_t expect[64];
    memcpy(expect, d.bytes, 64);
    memcpy(expect + cases[_i].offset, "\x81\x82\x83\x84\x85\x86\x87\x88", cases[_i].size);
    as_store(g.as, MMIO + cases[_i].offset, 0x8887868584838281ull, cases[_i].size);
    ck_assert_mem_eq(d.bytes, expect, 64);
}
END_TEST

START_TEST(nothing_there)
{
    ck_assert_uint_eq(as_load(g.as, MMIO, 1), 0xff);
    ck_assert_uint_eq(as_load(g.as, MMIO, 4), 0xffffffff);
    ck_assert_uint_eq(as_load(g.as, MMIO, 8), ~0ull);
    as_store(g.as, MMIO, 1, 8);
    ck_assert_uint_eq(as_load(g.as, ~0ull - 3, 8), ~0ull); // wraps: RAM at 0 is not reached as a dword
    ck_assert_ptr_null(as_ram_ptr(g.as, MMIO, false, NULL));
    ck_assert_ptr_null(as_ram_ptr(g.as, GUEST_RAM, false, NULL));
    ck_assert_ptr_null(as_ram_ptr(g.as, ~0ull, false, NULL));
}
END_TEST

START_TEST(priorities_and_moves)
{
    struct device d;
    device_fill(&d);
    uint64_t run;
    bool rom;
    struct region *r = as_map_io(g.as, "bar", 0x20000, 64, &any_ops, &d, 1);
    ck_assert_uint_eq(as_load(g.as, 0x20000, 1), 0x10);
    ck_assert_ptr_eq(as_ram_ptr(g.as, 0x1ff00, true, &run), g.ram.base + 0x1ff00);
    ck_assert_uint_eq(run, 0x100);
    ck_assert_ptr_null(as_page_ptr(g.as, 0x20000, &rom));
    ck_assert_ptr_nonnull(as_page_ptr(g.as, 0x1f000, &rom));
    ck_assert_ptr_eq(as_ram_ptr(g.as, 0x20040, true, &run), g.ram.base + 0x20040);
    struct region *low = as_map_io(g.as, "below", 0x20000, 64, &byte_ops, &d, -1);
    ck_assert_uint_eq(as_load(g.as, 0x20000, 2), 0x1110);
    as_set_enabled(r, false);
    g.ram.base[0x20000] = 0x77;
    ck_assert_uint_eq(as_load(g.as, 0x20000, 1), 0x77);
    as_set_enabled(r, true);
    as_move(r, 0x30000);
    ck_assert_uint_eq(as_load(g.as, 0x20000, 1), 0x77);
    ck_assert_uint_eq(as_load(g.as, 0x30001, 1), 0x11);
    as_move(r, ~0ull - 7); // a BAR being sized: outside, and its end overflows
    ck_assert_ptr_nonnull(as_ram_ptr(g.as, 0x30000, true, NULL));
    as_move(r, BIT(46) - 32); // half of it outside
    ck_assert_uint_eq(as_load(g.as, BIT(46) - 1, 1), 0x10 + 31);
    as_unmap(r);
    as_unmap(low);
    ck_assert_ptr_eq(as_ram_ptr(g.as, 0, true, &run), g.ram.base);
    ck_assert_uint_eq(run, GUEST_RAM);
}
END_TEST

// The map at every byte against a model: the last of the highest priority wins.
START_TEST(random_maps_match_a_model)
{
    struct address_space *as = as_create("ports", 512);
    struct device d[12];
    struct region *r[12];
    struct {
        unsigned base, size;
        int priority;
        bool enabled;
    } m[12];
    srand(7);
    for (int i = 0; i < 12; i++) {
        memset(&d[i], 0, sizeof(d[i]));
        memset(d[i].bytes, i + 1, sizeof(d[i].bytes));
        m[i].base = rand() % 500;
        m[i].size = 1 + rand() % 64;
        m[i].priority = rand() % 3;
        m[i].enabled = true;
        r[i] = as_map_io(as, "r", m[i].base, m[i].size, &byte_ops, &d[i], m[i].priority);
    }
    for (int step = 0; step < 200; step++) {
        int k = rand() % 12;
        if (rand() % 2) {
            as_move(r[k], m[k].base = rand() % 500);
        } else {
            as_set_enabled(r[k], m[k].enabled = rand() % 4 != 0);
        }
        for (unsigned a = 0; a < 512; a++) {
            int top = -1;
            for (int i = 0; i < 12; i++) {
                bool covers = m[i].enabled && a >= m[i].base && a < m[i].base + m[i].size;
                if (covers && (top < 0 || m[i].priority >= m[top].priority)) {
                    top = i;
                }
                d[i].n = 0;
            }
            ck_assert_uint_eq(as_load(as, a, 1), top < 0 ? 0xffu : (unsigned)top + 1);
        }
    }
    as_destroy(as);
}
END_TEST

START_TEST(an_access_belongs_to_its_first_byte)
{
    struct address_space *as = as_create("ports", 65536);
    struct device pci, reset;
    device_fill(&pci);
    device_fill(&reset);
    as_map_io(as, "pci", 0xcf8, 8, &default_ops, &pci, 0);
    as_map_io(as, "reset", 0xcf9, 1, &byte_ops, &reset, 1);
    as_store(as, 0xcf8, 0x80001234, 4);
    ck_assert_uint_eq(pci.n, 1);
    ck_assert_uint_eq(pci.seen[0].size, 4);
    ck_assert_uint_eq(reset.n, 0);
    as_store(as, 0xcf9, 6, 1);
    ck_assert_uint_eq(reset.n, 1);
    as_destroy(as);
}
END_TEST

struct events {
    unsigned written, changed;
    gpa addr;
    uint64_t len;
};

static void on_written(void *opaque, gpa addr, uint64_t len)
{
    struct events *e = opaque;
    e->written++;
    e->addr = addr;
    e->len = len;
}

static void on_changed(void *opaque, gpa addr, uint64_t len)
{
    struct events *e = opaque;
    e->changed++;
    e->addr = addr;
    e->len = len;
}

START_TEST(dma_over_everything)
{
    struct device d;
    struct events e = {0};
    uint8_t buf[0x3000], back[0x3000];
    device_fill(&d);
    const struct as_listener l = {on_written, on_changed, &e};
    as_add_listener(g.as, &l);
    as_map_io(g.as, "dev", 0x11000, 64, &any_ops, &d, 1);
    struct region *rom = as_map_ram(g.as, "rom", 0x12000, 0x1000, &g.ram, 0x200000, true, 1);
    ck_assert_uint_eq(e.changed, 2);
    ck_assert_uint_eq(e.addr, 0x12000);
    memset(g.ram.base + 0x200000, 0x5a, 0x1000);
    for (unsigned i = 0; i < sizeof(buf); i++) {
        buf[i] = (uint8_t)(i * 7);
    }
    ck_assert(as_write(g.as, 0x10003, buf, sizeof(buf)));
    ck_assert_mem_eq(g.ram.base + 0x10003, buf, 0xffd);
    ck_assert_mem_eq(d.bytes, buf + 0xffd, 64);
    ck_assert_mem_eq(g.ram.base + 0x11040, buf + 0xffd + 64, 0x1000 - 64);
    for (unsigned i = 0; i < 0x1000; i++) {
        ck_assert_uint_eq(g.ram.base[0x200000 + i], 0x5a);
    }
    ck_assert_mem_eq(g.ram.base + 0x13000, buf + 0x2ffd, 3);
    ck_assert_uint_eq(e.written, 3); // before the device, after it, after the ROM
    ck_assert_uint_eq(e.addr, 0x13000);
    ck_assert_uint_eq(e.len, 3);
    d.n = 0;
    ck_assert(as_read(g.as, 0x10003, back, sizeof(back)));
    memset(buf + 0x1ffd, 0x5a, 0x1000);
    ck_assert_mem_eq(back, buf, sizeof(buf));
    ck_assert_ptr_null(as_ram_ptr(g.as, 0x12000, true, NULL));
    ck_assert_ptr_nonnull(as_ram_ptr(g.as, 0x12000, false, NULL));
    as_unmap(rom);
    ck_assert_uint_eq(e.changed, 3);
}
END_TEST

START_TEST(dma_past_the_end)
{
    uint8_t buf[16] = {1, 2, 3, 4, 5, 6, 7, 8};
    ck_assert(!as_write(g.as, GUEST_RAM - 4, buf, 16));
    ck_assert_mem_eq(g.ram.base + GUEST_RAM - 4, buf, 4);
    memset(buf, 0, sizeof(buf));
    ck_assert(!as_read(g.as, GUEST_RAM - 4, buf, 8));
    ck_assert_mem_eq(buf, "\x01\x02\x03\x04\xff\xff\xff\xff", 8);
    uint8_t *big = malloc(64u << 20); // a hole is skipped in one step, not byte by byte
    ck_assert(!as_read(g.as, BIT(40), big, 64u << 20));
    ck_assert_uint_eq(big[(64u << 20) - 1], 0xff);
    free(big);
}
END_TEST

START_TEST(dirty_bits)
{
    uint8_t b = 1;
    ck_assert_uint_eq(g.ram.dirty[0], 0);
    as_write(g.as, 0x3fff, &b, 1);
    ck_assert_uint_eq(g.ram.dirty[0], 8);
    as_store(g.as, 0x4ffe, 0, 4);
    ck_assert_uint_eq(g.ram.dirty[0], 8 | 16 | 32);
    as_read(g.as, 0, &b, 1);
    ck_assert_uint_eq(g.ram.dirty[0], 8 | 16 | 32);
}
END_TEST

static void collect(void *opaque, const char *name, uint64_t base, uint64_t size, const char *kind)
{
    strcat(opaque, name);
    strcat(opaque, kind[0] == 'r' && kind[1] == 'a' ? "+" : " ");
}

START_TEST(list_in_address_order)
{
    struct device d;
    char out[128] = "";
    as_map_io(g.as, "c", 0x3000, 16, &any_ops, &d, 0);
    as_map_io(g.as, "a", 0x1000, 16, &any_ops, &d, 0);
    as_map_io(g.as, "b", 0x1000, 16, &any_ops, &d, 0);
    as_for_each(g.as, collect, out);
    ck_assert_str_eq(out, "ram+a b c ");
}
END_TEST

// A reader without the lock sees the old map or the new one, never a mixture.
static void *reader(void *opaque)
{
    bool *stop = opaque;
    uintptr_t bad = 0;
    while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
        uint64_t run = 0;
        hva p = as_ram_ptr(g.as, 0x500000, false, &run);
        bad |= p != g.ram.base + 0x500000 && p != g.ram.base + 0x700000;
        bad |= run > GUEST_RAM;
    }
    return (void *)bad;
}

START_TEST(lock_free_readers)
{
    pthread_t t;
    bool stop = false;
    void *bad;
    struct region *r = as_map_ram(g.as, "window", 0x500000, 0x1000, &g.ram, 0x700000, false, 1);
    ck_assert_int_eq(pthread_create(&t, NULL, reader, &stop), 0);
    for (unsigned i = 0; i < 20000; i++) {
        as_set_enabled(r, i & 1);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    pthread_join(t, &bad);
    ck_assert_ptr_null(bad);
}
END_TEST

START_TEST(ram_is_lazy_and_bounded)
{
    struct ram r, bad;
    ck_assert_int_eq(ram_create(&r, 32ull << 30), 0); // more than many hosts have
    r.base[(32ull << 30) - 1] = 1;
    ck_assert_uint_eq((uint64_t)r.base >> 40, (uint64_t)g.ram.base >> 40); // one stripe for all
    ck_assert_int_lt(ram_create(&bad, 4097), 0);
    ck_assert_int_lt(ram_create(&bad, 0), 0);
    ck_assert_int_lt(ram_create(&bad, BIT(50)), 0);
    ram_destroy(&r);
    for (int i = 0; i < 8; i++) { // given back: the same place can be had again
        ck_assert_int_eq(ram_create(&r, 1ull << 30), 0);
        ram_destroy(&r);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("address_space");
    TCase *t = tcase_create("address_space");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, access_sizes, 0, 11);
    tcase_add_test(t, nothing_there);
    tcase_add_test(t, priorities_and_moves);
    tcase_add_test(t, random_maps_match_a_model);
    tcase_add_test(t, an_access_belongs_to_its_first_byte);
    tcase_add_test(t, dma_over_everything);
    tcase_add_test(t, dma_past_the_end);
    tcase_add_test(t, dirty_bits);
    tcase_add_test(t, list_in_address_order);
    tcase_add_test(t, lock_free_readers);
    tcase_add_test(t, ram_is_lazy_and_bounded);
    suite_add_tcase(s, t);
    return check_main(s);
}
