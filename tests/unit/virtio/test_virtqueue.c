// SPDX-License-Identifier: MIT
// Virtqueues against a driver written here: random traffic that must come through whole, and broken rings.
#include "driver.h"

enum { SIZE = 16, F_EVENT = 29, F_INDIRECT = 28 };

// A device that answers each chain: writes the bytes it read, plus one, into the writable part.
struct echo {
    struct virtio_device vdev;
    struct virtq_chain chain;
    unsigned limit; // chains a notify
};

static void echo_notify(struct virtio_device *d, unsigned qn)
{
    struct echo *e = CONTAINER_OF(d, struct echo, vdev);
    struct virtq *q = &d->vq[qn];
    int got;
    do {
        virtq_disable_notify(q);
        while ((got = virtq_pop(q, &e->chain)) > 0) {
            uint8_t buf[4096];
            size_t n = virtq_copy_out(&e->chain, 0, buf, sizeof(buf));
            for (size_t i = 0; i < n; i++)
                buf[i]++;
            n = virtq_copy_in(&e->chain, 0, buf, n);
            virtq_push(q, &e->chain, (uint32_t)n);
            virtio_queue_signal(d, qn);
        }
        if (got < 0) {
            virtio_error(d, "%s", q->error);
            return;
        }
    } while (virtq_enable_notify(q));
}

static const struct virtio_device_ops echo_ops = {.notify = echo_notify};
static struct echo echo;
static struct driver drv;

static void start(bool modern, uint64_t features)
{
    memset(&echo, 0, sizeof(echo));
    virtio_init(&echo.vdev, "echo", VIRTIO_ID_ENTROPY, &echo_ops);
    virtio_add_queue(&echo.vdev, SIZE);
    const struct virtio_pci_config cfg = {.devfn = -1, .vectors = -1};
    driver_start(&drv, &echo.vdev, &cfg, modern, features);
    driver_queue(&drv, 0, SIZE);
    driver_ok(&drv);
}

struct pending {
    bool used;
    uint8_t *in;
    const uint8_t *out;
    uint32_t len;
};

static void traffic(bool modern, uint64_t features, unsigned rounds)
{
    struct pending p[SIZE] = {0};
    gpa arena[SIZE];
    start(modern, features);
    for (unsigned i = 0; i < SIZE; i++)
        arena[i] = guest_alloc(8192, 4096);
    unsigned in_queue = 0, kicks = 0;
    struct driver_queue *q = &drv.q[0];
    for (unsigned r = 0; r < rounds; r++) {
        uint16_t old = q->avail_idx;
        unsigned batch = (unsigned)random() % 4, added = 0;
        gpa save = guest_alloc(0, 16);
        for (unsigned b = 0; b < batch && in_queue + added < SIZE / 4; b++, added++) {
            uint32_t len = 4 + (uint32_t)random() % 200, cut = 1 + (uint32_t)random() % (len - 2);
            gpa base = arena[(r * 4 + b) % SIZE];
            uint8_t *out = guest_ptr(base);
            for (uint32_t i = 0; i < len; i++)
                out[i] = (uint8_t)random();
            struct segment s[4] = {{base, cut, false},
                                   {base + cut, len - cut, false},
                                   {base + 4096, len - cut, true},
                                   {base + 4096 + len - cut, cut, true}};
            unsigned head = driver_add(&drv, 0, s, 4, (features & BIT(F_INDIRECT)) && random() % 2);
            ck_assert(!p[head].used);
            p[head] = (struct pending){true, guest_ptr(base + 4096), out, len};
        }
        in_queue += added;
        if (added && driver_wants_kick(&drv, 0, old)) {
            driver_kick(&drv, 0);
            kicks++;
        }
        unsigned head;
        uint32_t len;
        while (driver_used(&drv, 0, &head, &len)) {
            ck_assert(p[head].used);
            ck_assert_uint_eq(len, p[head].len);
            unsigned wrong = 0;
            for (uint32_t i = 0; i < len; i++)
                wrong += p[head].in[i] != (uint8_t)(p[head].out[i] + 1);
            ck_assert_uint_eq(wrong, 0);
            p[head].used = false;
            in_queue--;
        }
        ck_assert_uint_eq(in_queue, 0);
        guest_rewind(save);
    }
    ck_assert_uint_gt(kicks, rounds / 4);
}

START_TEST(traffic_modern) { traffic(true, 0, 3000); }
END_TEST
START_TEST(traffic_legacy) { traffic(false, 0, 3000); }
END_TEST
START_TEST(traffic_event) { traffic(true, BIT(F_EVENT), 45000); } // idx wraps
END_TEST
START_TEST(traffic_indirect) { traffic(true, BIT(F_INDIRECT) | BIT(F_EVENT), 3000); }
END_TEST
START_TEST(traffic_indirect_legacy) { traffic(false, BIT(F_INDIRECT) | BIT(F_EVENT), 3000); }
END_TEST

// --- broken rings: the device asks for a reset and is well after it

struct vdesc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

static void expect_broken(void)
{
    driver_kick(&drv, 0);
    ck_assert_uint_eq(common_load(&drv, 0x14, 1) & 0x40, 0x40);
    driver_kick(&drv, 0); // no crash, nothing moves
    common_store(&drv, 0x14, 0, 1);
    ck_assert_uint_eq(common_load(&drv, 0x14, 1), 0);
    ck_assert_uint_eq(common_load(&drv, 0x1c, 2), 0);
}

static void make_available(unsigned head)
{
    uint16_t *avail = guest_ptr(drv.q[0].avail);
    avail[2 + avail[1] % SIZE] = (uint16_t)head;
    avail[1]++;
}

static void bad_chain(struct vdesc a, struct vdesc b, uint64_t features)
{
    start(true, features);
    struct vdesc *t = guest_ptr(drv.q[0].desc);
    t[0] = a;
    t[1] = b;
    make_available(0);
    expect_broken();
}

static const struct vdesc none;

START_TEST(loops)
{
    gpa p = guest_alloc(4096, 4096);
    bad_chain((struct vdesc){p, 16, 1, 0}, none, 0);
    bad_chain((struct vdesc){p, 16, 1, 1}, (struct vdesc){p, 16, 1, 0}, 0);
    bad_chain((struct vdesc){p, 16, 1, SIZE}, none, 0);
}
END_TEST

START_TEST(bad_buffers)
{
    gpa p = guest_alloc(4096, 4096);
    bad_chain((struct vdesc){RAM_SIZE, 16, 0, 0}, none, 0);
    bad_chain((struct vdesc){RAM_SIZE - 8, 16, 2, 0}, none, 0);
    bad_chain((struct vdesc){~0ull - 4, 16, 2, 0}, none, 0);
    bad_chain((struct vdesc){p, 0, 0, 0}, none, 0);
    bad_chain((struct vdesc){p, 16, 3, 1}, (struct vdesc){p, 16, 0, 0}, 0);
    bad_chain((struct vdesc){0, 0xffffffff, 0, 0}, none, 0);
}
END_TEST

START_TEST(bad_indirect)
{
    gpa t = guest_alloc(4096, 4096), p = guest_alloc(64, 16);
    bad_chain((struct vdesc){t, 32, 4, 0}, none, 0); // not negotiated
    bad_chain((struct vdesc){t, 31, 4, 0}, none, BIT(F_INDIRECT));
    bad_chain((struct vdesc){t, 0, 4, 0}, none, BIT(F_INDIRECT));
    bad_chain((struct vdesc){t, 32, 5, 1}, none, BIT(F_INDIRECT));
    bad_chain((struct vdesc){t, 16 << 20, 4, 0}, none, BIT(F_INDIRECT));
    struct vdesc *i = guest_ptr(t);
    i[0] = (struct vdesc){p, 16, 1, 1};
    i[1] = (struct vdesc){p, 16, 4, 0}; // nested
    bad_chain((struct vdesc){t, 32, 4, 0}, none, BIT(F_INDIRECT));
    i[1] = (struct vdesc){p, 16, 1, 0}; // loop
    bad_chain((struct vdesc){t, 32, 4, 0}, none, BIT(F_INDIRECT));
    bad_chain((struct vdesc){RAM_SIZE + 4096, 32, 4, 0}, none, BIT(F_INDIRECT));
}
END_TEST

START_TEST(bad_indices)
{
    start(true, 0);
    ((uint16_t *)guest_ptr(drv.q[0].avail))[1] = SIZE + 1;
    expect_broken();
    start(true, 0);
    make_available(SIZE);
    expect_broken();
}
END_TEST

START_TEST(bad_sizes)
{
    static const unsigned sizes[] = {0, 3, 24, SIZE * 2, 0xffff};
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        start(true, 0);
        common_store(&drv, 0x14, 0, 1);
        common_store(&drv, 0x14, 3, 1);
        common_store(&drv, 8, 1, 4);
        common_store(&drv, 12, 1, 4);
        common_store(&drv, 0x14, 11, 1);
        common_store(&drv, 0x16, 0, 2);
        common_store(&drv, 0x18, sizes[i], 2);
        common_store(&drv, 0x1c, 1, 2);
        ck_assert_uint_eq(common_load(&drv, 0x1c, 2), 0);
        ck_assert_uint_eq(common_load(&drv, 0x14, 1) & 0x40, 0x40);
    }
}
END_TEST

START_TEST(rings_outside_ram)
{
    start(true, 0);
    struct virtq *q = &echo.vdev.vq[0];
    gpa places[] = {RAM_SIZE - 64, RAM_SIZE + 4096, 0xfee00000, 0xffffffffffff0, 0xfffffffffffffff0};
    for (unsigned i = 0; i < ARRAY_SIZE(places); i++)
        for (unsigned which = 0; which < 3; which++) {
            gpa good = 0x100000;
            virtq_reset(q);
            q->desc = which == 0 ? places[i] : good;
            q->avail = which == 1 ? places[i] : good + 4096;
            q->used = which == 2 ? places[i] : good + 8192;
            memset(guest_ptr(good), 0, 16384);
            if (virtq_enable(q))
                continue;
            struct vdesc *t = guest_ptr(good);
            t[0] = (struct vdesc){good + 12288, 16, 2, 0};
            ((uint16_t *)guest_ptr(good + 4096))[1] = 1;
            echo.vdev.broken = false;
            driver_kick(&drv, 0);
        }
}
END_TEST

// Interrupts: what EVENT_IDX and NO_INTERRUPT ask for, by INTx and by MSI-X.
START_TEST(interrupts)
{
    gpa p = guest_alloc(64, 16);
    const struct segment s[2] = {{p, 8, false}, {p + 16, 8, true}};
    unsigned head;
    uint32_t len;
    start(false, 0);
    driver_add(&drv, 0, s, 2, false);
    driver_kick(&drv, 0);
    ck_assert(intx_level);
    ck_assert_uint_eq(as_load(ports, drv.bar + 19, 1), 1);
    ck_assert(!intx_level);
    ck_assert(driver_used(&drv, 0, &head, &len));
    *(uint16_t *)guest_ptr(drv.q[0].avail) = 1; // NO_INTERRUPT
    driver_add(&drv, 0, s, 2, false);
    driver_kick(&drv, 0);
    ck_assert(!intx_level);
    ck_assert(driver_used(&drv, 0, &head, &len));
}
END_TEST

START_TEST(interrupts_event_idx)
{
    gpa p = guest_alloc(64, 16);
    const struct segment s[2] = {{p, 8, false}, {p + 16, 8, true}};
    start(true, BIT(F_EVENT));
    cfg_write(drv.devfn, 0x98 + 2, 0, 2); // harmless wherever it lands
    unsigned cap = cfg_read(drv.devfn, 0x34, 1);
    while (cfg_read(drv.devfn, cap, 1) != 0x11)
        cap = cfg_read(drv.devfn, cap + 1, 1);
    uint64_t table = cfg_read(drv.devfn, 0x14, 4) & ~15u;
    for (unsigned v = 0; v < 2; v++) {
        as_store(mem, table + 16 * v, 0xfee00000, 4);
        as_store(mem, table + 16 * v + 8, v, 4);
        as_store(mem, table + 16 * v + 12, 0, 4);
    }
    cfg_write(drv.devfn, cap + 2, 0x8000, 2);
    common_store(&drv, 0x16, 0, 2);
    common_store(&drv, 0x1a, 1, 2);
    ck_assert_uint_eq(common_load(&drv, 0x1a, 2), 1);
    common_store(&drv, 0x10, 7, 2); // no such vector
    ck_assert_uint_eq(common_load(&drv, 0x10, 2), 0xffff);
    uint16_t *event = (uint16_t *)guest_ptr(drv.q[0].avail) + 2 + SIZE;
    unsigned head, want = 0;
    uint32_t len;
    *event = 3; // interrupt me when the fourth is used
    for (unsigned i = 0; i < 8; i++) {
        driver_add(&drv, 0, s, 2, false);
        driver_kick(&drv, 0);
        ck_assert(driver_used(&drv, 0, &head, &len));
        want += i == 0 || i == 3; // the first one is always signalled
        ck_assert_uint_eq(msi_count[1], want);
    }
    ck_assert(!intx_level);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("virtqueue");
    tcase_add_test(c, traffic_modern);
    tcase_add_test(c, traffic_legacy);
    tcase_add_test(c, traffic_event);
    tcase_add_test(c, traffic_indirect);
    tcase_add_test(c, traffic_indirect_legacy);
    tcase_add_test(c, loops);
    tcase_add_test(c, bad_buffers);
    tcase_add_test(c, bad_indirect);
    tcase_add_test(c, bad_indices);
    tcase_add_test(c, bad_sizes);
    tcase_add_test(c, rings_outside_ram);
    tcase_add_test(c, interrupts);
    tcase_add_test(c, interrupts_event_idx);
    return run_suite(c, "virtqueue");
}
