// SPDX-License-Identifier: MIT
// The driver's side of a virtio device: written from the standard, sharing nothing with virtio/.
#include "driver.h"

#include "base/loop.h"
#include "tests/unit/check_main.h"

struct address_space *mem, *ports;
struct ram ram;
struct pci_bus *bus;
unsigned msi_count[8];
bool intx_level;
static gpa next_free;
static uint64_t bar_base = 0xe0000000;

static void set_pirq(void *opaque, unsigned n, bool level) { intx_level = level; }
static void send_msi(void *opaque, uint64_t addr, uint32_t data)
{
    if (addr == 0xfee00000)
        msi_count[data & 7]++;
}

// Buses and their devices have no end but the process's: here the leak checker finds those of earlier machines.
static struct pci_bus *kept[64];
static unsigned kept_count;

void machine_init(void)
{
    if (ram_create(&ram, RAM_SIZE)) // no ck_assert here: fuzz targets run outside Check
        abort();
    mem = as_create("mem", 1ull << 52);
    ports = as_create("ports", 1 << 16);
    as_map_ram(mem, "ram", 0, RAM_SIZE, &ram, 0, false, 0);
    const struct pci_bus_config cfg = {mem, ports, set_pirq, send_msi, NULL};
    bus = pci_bus_create(&cfg);
    kept[kept_count++ % 64] = bus;
    memset(msi_count, 0, sizeof(msi_count));
    intx_level = false;
    next_free = 0x10000;
}

void machine_exit(void)
{
    as_destroy(mem);
    as_destroy(ports);
    ram_destroy(&ram);
}

gpa guest_alloc(uint64_t size, uint64_t align)
{
    gpa a = (next_free + align - 1) & ~(align - 1);
    next_free = a + size;
    ck_assert_uint_le(next_free, RAM_SIZE);
    memset(guest_ptr(a), 0, size);
    return a;
}

void guest_rewind(gpa to) { next_free = to; }

void *guest_ptr(gpa a) { return ram.base + a; }

// --- base/loop.h

struct loop_timer {
    void (*fn)(void *);
    void *opaque;
    bool armed;
};
static struct {
    void (*fn)(void *);
    void *opaque;
} posted[256];
static unsigned posted_count;
static struct loop_timer *timers[64];
static unsigned timer_count;

struct loop_timer *loop_timer_new(void (*fn)(void *), void *opaque)
{
    struct loop_timer *t = calloc(1, sizeof(*t));
    *t = (struct loop_timer){fn, opaque, false};
    return timers[timer_count++ % 64] = t;
}
void loop_timer_free(struct loop_timer *t) { t->armed = false; }
void loop_timer_mod(struct loop_timer *t, uint64_t deadline) { t->armed = true; }
void loop_timer_del(struct loop_timer *t) { t->armed = false; }
bool loop_timer_pending(const struct loop_timer *t) { return t->armed; }
struct loop_watch *loop_watch_new(int fd, unsigned events, void (*fn)(void *, unsigned), void *opaque)
{
    return (struct loop_watch *)posted;
}
void loop_watch_set(struct loop_watch *w, unsigned events) {}
void loop_watch_free(struct loop_watch *w) {}
void loop_clock_changed(void) {}
void loop_post(void (*fn)(void *), void *opaque)
{
    if (posted_count == 256)
        abort();
    posted[posted_count].fn = fn;
    posted[posted_count++].opaque = opaque;
}
void loop_run_posted(void)
{
    for (unsigned i = 0; i < posted_count && i < 256; i++)
        posted[i].fn(posted[i].opaque);
    posted_count = 0;
}
void loop_run_timers(void)
{
    for (unsigned i = 0; i < timer_count && i < 64; i++)
        if (timers[i]->armed) {
            timers[i]->armed = false;
            timers[i]->fn(timers[i]->opaque);
        }
}

// --- registers

uint32_t cfg_read(unsigned devfn, unsigned reg, unsigned size)
{
    as_store(ports, 0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc), 4);
    return (uint32_t)as_load(ports, 0xcfc + (reg & 3), size);
}
void cfg_write(unsigned devfn, unsigned reg, uint32_t v, unsigned size)
{
    as_store(ports, 0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc), 4);
    as_store(ports, 0xcfc + (reg & 3), v, size);
}
uint64_t common_load(struct driver *d, unsigned offset, unsigned size) { return as_load(mem, d->bar + offset, size); }
void common_store(struct driver *d, unsigned offset, uint64_t v, unsigned size)
{
    as_store(mem, d->bar + offset, v, size);
}
static uint64_t io_load(struct driver *d, unsigned o, unsigned size) { return as_load(ports, d->bar + o, size); }
static void io_store(struct driver *d, unsigned o, uint64_t v, unsigned size) { as_store(ports, d->bar + o, v, size); }

static void start_modern(struct driver *d, uint64_t want)
{
    common_store(d, 0x14, 0, 1);
    ck_assert_uint_eq(common_load(d, 0x14, 1), 0);
    common_store(d, 0x14, 3, 1);
    common_store(d, 0, 0, 4);
    uint64_t offered = common_load(d, 4, 4);
    common_store(d, 0, 1, 4);
    offered |= common_load(d, 4, 4) << 32;
    d->features = offered & (want | BIT(32));
    common_store(d, 8, 0, 4);
    common_store(d, 12, (uint32_t)d->features, 4);
    common_store(d, 8, 1, 4);
    common_store(d, 12, d->features >> 32, 4);
    common_store(d, 0x14, 11, 1);
    ck_assert_uint_eq(common_load(d, 0x14, 1), 11);
}

static void start_legacy(struct driver *d, uint64_t want)
{
    io_store(d, 18, 0, 1);
    io_store(d, 18, 3, 1);
    d->features = io_load(d, 0, 4) & want;
    io_store(d, 4, d->features, 4);
}

void driver_start(struct driver *d, struct virtio_device *dev, const struct virtio_pci_config *cfg, bool modern,
                  uint64_t want)
{
    memset(d, 0, sizeof(*d));
    d->dev = dev;
    d->modern = modern;
    ck_assert_int_eq(virtio_pci_add(bus, dev, cfg), 0);
    d->devfn = virtio_pci_device(dev)->devfn;
    const uint8_t irqs[4] = {10, 10, 11, 11};
    pci_assign_resources(bus, 0xc000, 0xf000, bar_base, bar_base + (16 << 20), irqs);
    d->bar = cfg_read(d->devfn, modern ? 0x20 : 0x10, 4) & (modern ? ~15u : ~3u);
    if (modern)
        start_modern(d, want);
    else
        start_legacy(d, want);
}

void driver_queue(struct driver *d, unsigned n, unsigned size)
{
    struct driver_queue *q = &d->q[n];
    memset(q, 0, sizeof(*q));
    if (d->modern) {
        common_store(d, 0x16, n, 2);
        ck_assert_uint_ge(common_load(d, 0x18, 2), size);
        common_store(d, 0x18, size, 2);
        q->desc = guest_alloc(16 * size, 16);
        q->avail = guest_alloc(6 + 2 * size, 2);
        q->used = guest_alloc(6 + 8 * size, 4);
    } else {
        io_store(d, 14, n, 2);
        size = (unsigned)io_load(d, 12, 2);
        ck_assert_uint_gt(size, 0);
        q->desc = guest_alloc(16 * size + 6 + 2 * size + 4096 + 6 + 8 * size, 4096);
        q->avail = q->desc + 16 * size;
        q->used = (q->avail + 6 + 2 * size + 4095) & ~4095ull;
    }
    q->size = size;
    for (unsigned i = 0; i < size; i++)
        q->next[i] = (uint16_t)(i + 1);
    if (!d->modern) {
        io_store(d, 8, q->desc >> 12, 4);
        return;
    }
    common_store(d, 0x20, q->desc, 8);
    common_store(d, 0x28, (uint32_t)q->avail, 4);
    common_store(d, 0x2c, q->avail >> 32, 4);
    common_store(d, 0x30, q->used, 8);
    q->notify_offset = 0x3000 + 4 * (unsigned)common_load(d, 0x1e, 2);
    common_store(d, 0x1c, 1, 2);
    ck_assert_uint_eq(common_load(d, 0x1c, 2), 1);
}

void driver_ok(struct driver *d)
{
    if (d->modern)
        common_store(d, 0x14, 15, 1);
    else
        io_store(d, 18, 7, 1);
}

struct vdesc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

static unsigned take(struct driver_queue *q)
{
    unsigned i = q->free_head;
    ck_assert_uint_lt(i, q->size);
    q->free_head = q->next[i];
    return i;
}

unsigned driver_add(struct driver *d, unsigned n, const struct segment *s, unsigned count, bool indirect)
{
    struct driver_queue *q = &d->q[n];
    struct vdesc *table = guest_ptr(q->desc);
    unsigned head = take(q);
    gpa itable = indirect ? guest_alloc(16 * count, 16) : 0;
    struct vdesc *t = indirect ? guest_ptr(itable) : table;
    unsigned at = indirect ? 0 : head;
    for (unsigned i = 0; i < count; i++) {
        bool last = i + 1 == count;
        unsigned next = last ? 0 : indirect ? at + 1 : take(q);
        t[at] = (struct vdesc){s[i].addr, s[i].len, (uint16_t)((s[i].write ? 2 : 0) | (last ? 0 : 1)), (uint16_t)next};
        at = next;
    }
    if (indirect)
        table[head] = (struct vdesc){itable, 16 * count, 4, 0};
    uint16_t *avail = guest_ptr(q->avail);
    avail[2 + q->avail_idx % q->size] = (uint16_t)head;
    __atomic_store_n(&avail[1], ++q->avail_idx, __ATOMIC_RELEASE);
    return head;
}

void driver_kick(struct driver *d, unsigned n)
{
    if (d->modern)
        as_store(mem, d->bar + d->q[n].notify_offset, n, 2);
    else
        io_store(d, 16, n, 2);
}

bool driver_wants_kick(struct driver *d, unsigned n, uint16_t old_avail)
{
    struct driver_queue *q = &d->q[n];
    uint16_t *used = guest_ptr(q->used);
    if (!(d->features & BIT(29)))
        return !(used[0] & 1);
    uint16_t event = used[2 + 4 * q->size];
    return (uint16_t)(q->avail_idx - event - 1) < (uint16_t)(q->avail_idx - old_avail);
}

bool driver_used(struct driver *d, unsigned n, unsigned *head, uint32_t *len)
{
    struct driver_queue *q = &d->q[n];
    uint16_t *used = guest_ptr(q->used);
    if (used[1] == q->seen)
        return false;
    uint32_t *e = (uint32_t *)(used + 2) + 2 * (q->seen++ % q->size);
    *head = e[0];
    *len = e[1];
    ck_assert_uint_lt(*head, q->size);
    struct vdesc *t = guest_ptr(q->desc);
    unsigned i = *head;
    for (;;) { // give the chain back
        unsigned flags = t[i].flags, next = t[i].next;
        q->next[i] = q->free_head;
        q->free_head = (uint16_t)i;
        if (!(flags & 1))
            break;
        i = next;
    }
    return true;
}

int run_suite(TCase *c, const char *name)
{
    Suite *s = suite_create(name);
    tcase_add_checked_fixture(c, machine_init, machine_exit);
    tcase_set_timeout(c, 60);
    suite_add_tcase(s, c);
    return check_main(s);
}
