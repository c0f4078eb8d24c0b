// SPDX-License-Identifier: MIT
// The split virtqueue, device side: the one place where the driver's rings are read and judged.
//
// Everything in the rings may change while we look at it. So each 16-bit index and each descriptor is read
// once, into a local copy, and only the copy is checked and used.
#include "virtio/virtqueue.h"

#include <errno.h>
#include <string.h>

enum { DESC_BYTES = 16, AVAIL_F_NO_INTERRUPT = 1, USED_F_NO_NOTIFY = 1 };
enum { RING_FLAGS = 0, RING_IDX = 2, RING_SLOTS = 4, LEGACY_ALIGN = 4096 };

struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

static int bad(struct virtq *q, const char *why)
{
    q->error = why;
    return -EINVAL;
}

// --- ring access: by pointer where the ring is one run of RAM, else through the address space

static uint16_t load16(struct virtq *q, hva ptr, gpa base, unsigned offset)
{
    if (LIKELY(ptr))
        return __atomic_load_n((uint16_t *)(ptr + offset), __ATOMIC_ACQUIRE);
    uint16_t v = 0;
    if (!as_read(q->mem, base + offset, &v, 2))
        q->error = "ring is not in memory";
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return v;
}

static void store16(struct virtq *q, unsigned offset, uint16_t v)
{
    if (LIKELY(q->used_ptr))
        __atomic_store_n((uint16_t *)(q->used_ptr + offset), v, __ATOMIC_RELEASE);
    else if (!as_write(q->mem, q->used + offset, &v, 2))
        q->error = "used ring is not in memory";
}

static uint16_t avail_idx(struct virtq *q) { return load16(q, q->avail_ptr, q->avail, RING_IDX); }

static unsigned avail_bytes(const struct virtq *q) { return RING_SLOTS + 2u * q->size + 2; }
static unsigned used_bytes(const struct virtq *q) { return RING_SLOTS + 8u * q->size + 2; }

// --- set-up

void virtq_reset(struct virtq *q)
{
    *q = (struct virtq){.mem = q->mem, .max_size = q->max_size, .size = q->max_size, .msix_vector = 0xffff};
}

static hva map_ring(struct virtq *q, gpa at, uint64_t bytes, bool write)
{
    uint64_t run = 0;
    hva p = as_ram_ptr(q->mem, at, write, &run);
    return p && run >= bytes ? p : NULL;
}

int virtq_enable(struct virtq *q)
{
    if (!q->size || q->size > q->max_size || (q->size & (q->size - 1)))
        return bad(q, "queue size is not a power of two in range");
    if ((q->desc & 15) || (q->avail & 1) || (q->used & 3))
        return bad(q, "ring address is not aligned");
    if (q->desc >> 52 || q->avail >> 52 || q->used >> 52)
        return bad(q, "ring address is out of range");
    q->desc_ptr = map_ring(q, q->desc, (uint64_t)DESC_BYTES * q->size, false);
    q->avail_ptr = map_ring(q, q->avail, avail_bytes(q), false);
    q->used_ptr = map_ring(q, q->used, used_bytes(q), true);
    q->error = NULL;
    q->last_avail = q->used_idx = 0;
    q->inflight = 0;
    q->signalled_valid = false;
    q->notify_off = false;
    q->enabled = true;
    return 0;
}

gpa virtq_legacy_used(gpa base, uint16_t size)
{
    uint64_t end = base + (uint64_t)DESC_BYTES * size + RING_SLOTS + 2u * size + 2;
    return (end + LEGACY_ALIGN - 1) & ~(uint64_t)(LEGACY_ALIGN - 1);
}

uint64_t virtq_legacy_bytes(uint16_t size) { return virtq_legacy_used(0, size) + RING_SLOTS + 8u * size + 2; }

// --- descriptor chains

// The table a walk goes through: the ring's own, or one indirect table.
struct table {
    gpa base;
    hva ptr; // NULL: read through the address space
    unsigned count;
};

static int read_desc(struct virtq *q, const struct table *t, unsigned i, struct desc *d)
{
    if (LIKELY(t->ptr))
        memcpy(d, t->ptr + (size_t)i * DESC_BYTES, sizeof(*d));
    else if (!as_read(q->mem, t->base + (uint64_t)i * DESC_BYTES, d, sizeof(*d)))
        return bad(q, "descriptor table is not in memory");
    // What we check must be what we use, even if the driver rewrites the table now.
    __asm__ volatile("" ::: "memory");
    return 0;
}

static int add_segment(struct virtq *q, struct virtq_chain *c, const struct desc *d)
{
    bool write = d->flags & VIRTQ_DESC_F_WRITE;
    if (!d->len)
        return bad(q, "descriptor of length 0");
    if (!write && c->in_count)
        return bad(q, "readable descriptor after a writable one");
    if (d->addr + d->len < d->addr)
        return bad(q, "descriptor wraps");
    uint64_t *total = write ? &c->in_len : &c->out_len;
    *total += d->len;
    if (c->in_len + c->out_len > UINT32_MAX)
        return bad(q, "descriptor chain over 4 GiB");
    uint64_t at = d->addr, left = d->len;
    while (left) {
        uint64_t run = 0;
        hva p = as_ram_ptr(q->mem, at, write, &run);
        if (!p || !run)
            return bad(q, "buffer is not in memory");
        if (run > left)
            run = left;
        unsigned n = c->out_count + c->in_count;
        if (n == VIRTQ_MAX_SEGS)
            return bad(q, "descriptor chain has too many segments");
        c->iov[n] = (struct iovec){.iov_base = p, .iov_len = run};
        c->addr[n] = at;
        if (write)
            c->in_count++;
        else
            c->out_count++;
        at += run;
        left -= run;
    }
    return 0;
}

static int enter_indirect(struct virtq *q, const struct desc *d, struct table *t)
{
    if (!q->indirect)
        return bad(q, "indirect descriptor was not negotiated");
    if (d->flags & (VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_WRITE))
        return bad(q, "indirect descriptor with NEXT or WRITE");
    if (!d->len || d->len % DESC_BYTES || d->len / DESC_BYTES > VIRTQ_MAX_SEGS)
        return bad(q, "bad size of an indirect table");
    uint64_t run = 0;
    hva p = as_ram_ptr(q->mem, d->addr, false, &run);
    *t = (struct table){.base = d->addr, .ptr = p && run >= d->len ? p : NULL, .count = d->len / DESC_BYTES};
    return 0;
}

static int walk_chain(struct virtq *q, struct virtq_chain *c)
{
    struct table t = {.base = q->desc, .ptr = q->desc_ptr, .count = q->size};
    unsigned i = c->head, steps = 0;
    bool in_indirect = false;
    for (;;) {
        struct desc d;
        int ret = read_desc(q, &t, i, &d);
        if (ret)
            return ret;
        if (d.flags & VIRTQ_DESC_F_INDIRECT) {
            if (in_indirect)
                return bad(q, "nested indirect descriptor");
            ret = enter_indirect(q, &d, &t);
            if (ret)
                return ret;
            in_indirect = true;
            i = steps = 0;
            continue;
        }
        ret = add_segment(q, c, &d);
        if (ret)
            return ret;
        if (!(d.flags & VIRTQ_DESC_F_NEXT))
            return 0;
        i = d.next;
        if (i >= t.count)
            return bad(q, "next descriptor out of range");
        if (++steps >= t.count)
            return bad(q, "descriptor loop");
    }
}

int virtq_pop(struct virtq *q, struct virtq_chain *c)
{
    if (!q->enabled)
        return 0;
    uint16_t ahead = (uint16_t)(avail_idx(q) - q->last_avail);
    if (q->error)
        return -EINVAL;
    if (!ahead)
        return 0;
    if (ahead > q->size)
        return bad(q, "available index runs too far ahead");
    if (q->inflight >= q->size)
        return bad(q, "more buffers available than the queue holds");
    uint16_t head = load16(q, q->avail_ptr, q->avail, RING_SLOTS + 2u * (q->last_avail & (q->size - 1u)));
    if (head >= q->size)
        return bad(q, "available descriptor out of range");
    c->head = head;
    c->out_count = c->in_count = 0;
    c->out_len = c->in_len = 0;
    int ret = walk_chain(q, c);
    if (ret)
        return ret;
    q->last_avail++;
    q->inflight++;
    return 1;
}

void virtq_unpop(struct virtq *q)
{
    q->last_avail--;
    q->inflight--;
}

bool virtq_empty(struct virtq *q) { return !q->enabled || avail_idx(q) == q->last_avail; }

// --- the used ring

void virtq_fill(struct virtq *q, uint16_t head, uint32_t written, unsigned ahead)
{
    unsigned slot = (q->used_idx + ahead) & (q->size - 1u);
    uint32_t e[2] = {head, written};
    if (LIKELY(q->used_ptr))
        memcpy(q->used_ptr + RING_SLOTS + 8u * slot, e, sizeof(e));
    else if (!as_write(q->mem, q->used + RING_SLOTS + 8u * slot, e, sizeof(e)))
        q->error = "used ring is not in memory";
}

void virtq_publish(struct virtq *q, unsigned n)
{
    uint16_t first = q->used_idx;
    q->used_idx = (uint16_t)(q->used_idx + n);
    q->inflight = q->inflight > n ? q->inflight - n : 0;
    store16(q, RING_IDX, q->used_idx);
    if (!q->used_ptr)
        return;
    unsigned slot = first & (q->size - 1u);
    if (n == 1) {
        as_ram_written(q->mem, q->used + RING_IDX, 2);
        as_ram_written(q->mem, q->used + RING_SLOTS + 8u * slot, 8);
    } else {
        as_ram_written(q->mem, q->used, used_bytes(q));
    }
}

void virtq_push(struct virtq *q, const struct virtq_chain *c, uint32_t written)
{
    virtq_mark_written(q, c, written);
    virtq_fill(q, c->head, written, 0);
    virtq_publish(q, 1);
}

bool virtq_should_signal(struct virtq *q)
{
    if (!q->enabled)
        return false;
    // The store to used.idx must be visible before the driver's wish is read (2.7.7.2).
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!q->event_idx)
        return !(load16(q, q->avail_ptr, q->avail, RING_FLAGS) & AVAIL_F_NO_INTERRUPT);
    uint16_t old = q->signalled, now = q->used_idx;
    bool valid = q->signalled_valid;
    q->signalled = now;
    q->signalled_valid = true;
    uint16_t event = load16(q, q->avail_ptr, q->avail, RING_SLOTS + 2u * q->size); // used_event
    return !valid || (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

void virtq_disable_notify(struct virtq *q)
{
    if (!q->enabled || q->notify_off)
        return;
    q->notify_off = true;
    if (!q->event_idx) // with EVENT_IDX an avail_event left behind says the same
        store16(q, RING_FLAGS, USED_F_NO_NOTIFY);
}

bool virtq_enable_notify(struct virtq *q)
{
    if (!q->enabled)
        return false;
    q->notify_off = false;
    if (q->event_idx)
        store16(q, RING_SLOTS + 8u * q->size, q->last_avail); // avail_event
    else
        store16(q, RING_FLAGS, 0);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return avail_idx(q) != q->last_avail;
}

// --- buffers

void virtq_mark_written(struct virtq *q, const struct virtq_chain *c, uint64_t bytes)
{
    for (unsigned i = c->out_count; bytes && i < c->out_count + c->in_count; i++) {
        uint64_t n = c->iov[i].iov_len < bytes ? c->iov[i].iov_len : bytes;
        as_ram_written(q->mem, c->addr[i], n);
        bytes -= n;
    }
}

static size_t copy(const struct iovec *iov, unsigned count, size_t skip, void *buf, size_t len, bool to_iov)
{
    size_t done = 0;
    for (unsigned i = 0; i < count && done < len; i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        uint8_t *p = (uint8_t *)iov[i].iov_base + skip;
        size_t n = iov[i].iov_len - skip;
        if (n > len - done)
            n = len - done;
        if (to_iov)
            memcpy(p, (uint8_t *)buf + done, n);
        else
            memcpy((uint8_t *)buf + done, p, n);
        done += n;
        skip = 0;
    }
    return done;
}

size_t virtq_copy_out(const struct virtq_chain *c, size_t skip, void *dst, size_t len)
{
    return copy(c->iov, c->out_count, skip, dst, len, false);
}

size_t virtq_copy_in(const struct virtq_chain *c, size_t skip, const void *src, size_t len)
{
    return copy(c->iov + c->out_count, c->in_count, skip, (void *)(uintptr_t)src, len, true);
}
