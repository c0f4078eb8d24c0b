// SPDX-License-Identifier: MIT
// virtio-blk and the raw back end: data comes through with every engine and cache mode, limits hold, resets with
// requests in flight are clean, images are locked, snapshots leave no trace.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "driver.h"
#include "virtio/virtio_blk.h"

enum { IMAGE = 4 << 20, T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_ID = 8, T_DISCARD = 11, T_ZERO = 13 };

static char path[64];
static struct block *blk;
static struct driver drv;
static struct virtio_device *dev;

static void make_image(void)
{
    snprintf(path, sizeof(path), "%s/ring3-test-XXXXXX", P_tmpdir);
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    uint32_t *data = malloc(IMAGE);
    for (unsigned i = 0; i < IMAGE / 4; i++)
        data[i] = i * 2654435761u;
    ck_assert_int_eq(write(fd, data, IMAGE), IMAGE);
    free(data);
    close(fd);
}

static void start(struct block_options o, bool modern)
{
    char err[160];
    make_image();
    o.path = path;
    if (o.cache == BLOCK_CACHE_NONE && block_open(&o, &blk, err) == -EINVAL)
        o.cache = BLOCK_CACHE_WRITEBACK; // no O_DIRECT here
    else if (o.cache == BLOCK_CACHE_NONE)
        block_close(blk);
    ck_assert_msg(block_open(&o, &blk, err) == 0, "%s", err);
    const struct virtio_blk_config cfg = {.block = blk, .serial = "ring3-disk"};
    dev = virtio_blk_create(&cfg);
    const struct virtio_pci_config pci = {.devfn = -1, .vectors = -1};
    driver_start(&drv, dev, &pci, modern, ~0ull & ~BIT(29));
    driver_queue(&drv, 0, 128);
    driver_ok(&drv);
}

static void finish(void)
{
    block_close(blk);
    unlink(path);
}

struct request {
    gpa header, status;
};

static struct request submit(uint32_t type, uint64_t sector, gpa data, uint32_t len)
{
    struct request r = {guest_alloc(16, 16), guest_alloc(1, 1)};
    uint32_t *h = guest_ptr(r.header);
    h[0] = type;
    memcpy(h + 2, &sector, 8);
    *(uint8_t *)guest_ptr(r.status) = 0xee;
    bool in = type == T_IN || type == T_ID;
    struct segment s[4] = {{r.header, 16, false}};
    unsigned n = 1;
    if (len > 1) { // in two odd pieces
        s[n++] = (struct segment){data, len / 2 | 1, in};
        s[n++] = (struct segment){data + (len / 2 | 1), len - (len / 2 | 1), in};
    }
    s[n++] = (struct segment){r.status, 1, true};
    driver_add(&drv, 0, s, n, drv.features & BIT(28));
    return r;
}

static uint8_t run(uint32_t type, uint64_t sector, gpa data, uint32_t len)
{
    unsigned head;
    uint32_t written;
    struct request r = submit(type, sector, data, len);
    driver_kick(&drv, 0);
    block_drain(blk);
    ck_assert(driver_used(&drv, 0, &head, &written));
    return *(uint8_t *)guest_ptr(r.status);
}

static void random_io(struct block_options o, bool modern)
{
    start(o, modern);
    uint8_t *model = malloc(IMAGE);
    int fd = open(path, O_RDONLY);
    ck_assert_int_eq(pread(fd, model, IMAGE, 0), IMAGE);
    gpa data = guest_alloc(128 << 10, 4096);
    gpa mark = guest_alloc(0, 16);
    for (unsigned i = 0; i < 600; i++) {
        guest_rewind(mark);
        uint32_t sectors = 1 + (uint32_t)random() % 200;
        uint64_t at = (uint64_t)random() % (IMAGE / 512 - sectors);
        gpa buf = data + (random() % 2 ? (uint32_t)random() % 512 : 0);
        uint8_t *p = guest_ptr(buf);
        if (random() % 2) {
            for (uint32_t b = 0; b < sectors * 512; b++)
                p[b] = (uint8_t)random();
            ck_assert_uint_eq(run(T_OUT, at, buf, sectors * 512), 0);
            memcpy(model + at * 512, p, sectors * 512);
        } else {
            ck_assert_uint_eq(run(T_IN, at, buf, sectors * 512), 0);
            ck_assert_int_eq(memcmp(p, model + at * 512, sectors * 512), 0);
        }
        if (i % 50 == 0)
            ck_assert_uint_eq(run(T_FLUSH, 0, 0, 0), 0);
    }
    uint8_t *file = malloc(IMAGE);
    ck_assert_int_eq(pread(fd, file, IMAGE, 0), IMAGE);
    if (o.snapshot)
        for (unsigned i = 0; i < IMAGE / 4; i++)
            ck_assert_msg(((uint32_t *)file)[i] == i * 2654435761u, "the image changed at %u", i * 4);
    else
        ck_assert_int_eq(memcmp(file, model, IMAGE), 0);
    close(fd);
    free(file);
    free(model);
    finish();
}

START_TEST(io_uring_or_auto) { random_io((struct block_options){0}, true); }
END_TEST
START_TEST(io_threads) { random_io((struct block_options){.aio = BLOCK_AIO_THREADS}, false); }
END_TEST
START_TEST(io_direct) { random_io((struct block_options){.cache = BLOCK_CACHE_NONE}, true); }
END_TEST
START_TEST(io_writethrough) { random_io((struct block_options){.cache = BLOCK_CACHE_WRITETHROUGH}, true); }
END_TEST
START_TEST(io_snapshot) { random_io((struct block_options){.snapshot = true}, true); }
END_TEST

START_TEST(limits)
{
    start((struct block_options){.discard = true}, true);
    gpa data = guest_alloc(8192, 4096);
    uint64_t end = IMAGE / 512;
    ck_assert_uint_eq(run(T_IN, end, data, 512), 1);
    ck_assert_uint_eq(run(T_IN, end - 1, data, 1024), 1);
    ck_assert_uint_eq(run(T_IN, ~0ull, data, 512), 1);
    ck_assert_uint_eq(run(T_OUT, UINT64_MAX / 512, data, 512), 1);
    ck_assert_uint_eq(run(T_IN, 0, data, 100), 1); // not a whole sector
    ck_assert_uint_eq(run(99, 0, data, 512), 2);
    ck_assert_uint_eq(run(T_ID, 0, data, 20), 0);
    ck_assert_str_eq((char *)guest_ptr(data), "ring3-disk");
    struct {
        uint64_t sector;
        uint32_t n, flags;
    } range = {8, 8, 0};
    memcpy(guest_ptr(data), &range, 16);
    ck_assert_uint_eq(run(T_ZERO, 0, data, 16), 0);
    ck_assert_uint_eq(run(T_IN, 8, data, 4096), 0);
    for (unsigned i = 0; i < 4096; i++)
        ck_assert(((uint8_t *)guest_ptr(data))[i] == 0);
    range.sector = end - 1;
    memcpy(guest_ptr(data), &range, 16);
    ck_assert_uint_eq(run(T_DISCARD, 0, data, 16), 1);
    range.flags = 2;
    memcpy(guest_ptr(data), &range, 16);
    ck_assert_uint_eq(run(T_DISCARD, 0, data, 16), 2);
    finish();
}
END_TEST

START_TEST(reset_in_flight)
{
    for (unsigned round = 0; round < 20; round++) {
        start((struct block_options){.aio = round & 1 ? BLOCK_AIO_THREADS : BLOCK_AIO_AUTO}, true);
        gpa data = guest_alloc(1 << 18, 4096);
        for (unsigned i = 0; i < 30; i++)
            submit(i & 1 ? T_OUT : T_IN, i * 8, data + i * 4096, 4096);
        driver_kick(&drv, 0);
        uint16_t used = ((uint16_t *)guest_ptr(drv.q[0].used))[1];
        common_store(&drv, 0x14, 0, 1);
        uint16_t *now = guest_ptr(drv.q[0].used);
        ck_assert_uint_eq(now[1], used); // the driver gave the ring up: nothing may be stored there
        ck_assert_uint_eq(common_load(&drv, 0x14, 1), 0);
        finish();
        machine_exit();
        machine_init();
    }
}
END_TEST

START_TEST(locks_and_errors)
{
    char err[160];
    struct block *a, *b;
    make_image();
    struct block_options rw = {.path = path}, ro = {.path = path, .readonly = true};
    ck_assert_int_eq(block_open(&rw, &a, err), 0);
    ck_assert_int_ne(block_open(&rw, &b, err), 0);
    ck_assert_ptr_nonnull(strstr(err, "lock"));
    ck_assert_int_ne(block_open(&ro, &b, err), 0);
    block_close(a);
    ck_assert_int_eq(block_open(&ro, &a, err), 0);
    ck_assert_int_eq(block_open(&ro, &b, err), 0);
    uint8_t buf[512];
    ck_assert_int_eq(block_write(a, 0, buf, 512), -EROFS);
    ck_assert_int_eq(block_read(a, IMAGE, buf, 1), -EIO);
    ck_assert_int_eq(block_read(a, 0, buf, 512), 0);
    block_close(a);
    block_close(b);
    unlink(path);
    ck_assert_int_eq(block_open(&rw, &a, err), -ENOENT);
    struct block_options dir = {.path = ".", .readonly = true};
    ck_assert_int_ne(block_open(&dir, &a, err), 0);
}
END_TEST

// A file that ends inside a sector reads as zeros up to the sector's end.
START_TEST(odd_size)
{
    char err[160];
    struct block *a;
    make_image();
    ck_assert_int_eq(truncate(path, 1000), 0);
    struct block_options o = {.path = path};
    ck_assert_int_eq(block_open(&o, &a, err), 0);
    ck_assert_uint_eq(block_size(a), 1024);
    uint8_t buf[1024];
    memset(buf, 0xff, sizeof(buf));
    ck_assert_int_eq(block_read(a, 0, buf, 1024), 0);
    for (unsigned i = 1000; i < 1024; i++)
        ck_assert_uint_eq(buf[i], 0);
    ck_assert_uint_ne(buf[998] | buf[996], 0);
    block_close(a);
    unlink(path);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("blk");
    tcase_add_test(c, io_uring_or_auto);
    tcase_add_test(c, io_threads);
    tcase_add_test(c, io_direct);
    tcase_add_test(c, io_writethrough);
    tcase_add_test(c, io_snapshot);
    tcase_add_test(c, limits);
    tcase_add_test(c, reset_in_flight);
    tcase_add_test(c, locks_and_errors);
    tcase_add_test(c, odd_size);
    return run_suite(c, "virtio-blk");
}
