// SPDX-License-Identifier: MIT
// virtio-rng: fills the driver's buffers from getrandom(2), within a quota. Virtio 1.2, section 5.4.
#include "virtio/virtio_rng.h"

#include <stdlib.h>
#include <sys/random.h>

#include "base/loop.h"

enum { QUEUE_SIZE = 8, DEFAULT_PERIOD_MS = 65536, REQUEST_MAX = 1 << 16, BATCH = 64 };

struct virtio_rng {
    struct virtio_device vdev;
    struct virtio_rng_config cfg;
    uint64_t left; // bytes of this period's quota
    struct loop_timer *timer;
    bool posted;
    struct virtq_chain chain;
};

// Stores at most `max` bytes. A request may come back shorter than it was.
static uint32_t fill(struct virtio_rng *r, uint64_t max)
{
    struct virtq_chain *c = &r->chain;
    uint32_t done = 0;
    for (unsigned i = c->out_count; i < c->out_count + c->in_count && done < max; i++) {
        size_t n = c->iov[i].iov_len < max - done ? c->iov[i].iov_len : max - done;
        ssize_t got = getrandom(c->iov[i].iov_base, n, 0);
        if (got <= 0)
            break;
        done += (uint32_t)got;
        if ((size_t)got < n)
            break;
    }
    return done;
}

static void serve(void *opaque);

static void notify(struct virtio_device *d, unsigned queue)
{
    struct virtio_rng *r = CONTAINER_OF(d, struct virtio_rng, vdev);
    struct virtq *q = &d->vq[queue];
    bool any = false;
    for (unsigned i = 0; i < BATCH; i++) {
        if (r->cfg.max_bytes && !r->left) {
            if (!loop_timer_pending(r->timer))
                loop_timer_mod(r->timer, clock_now_ns() + r->cfg.period_ms * 1000000ull);
            break;
        }
        int got = virtq_pop(q, &r->chain);
        if (got < 0) {
            virtio_error(d, "queue: %s", q->error);
            return;
        }
        if (!got) {
            if (!virtq_enable_notify(q))
                break;
            continue;
        }
        uint64_t max = r->cfg.max_bytes && r->left < REQUEST_MAX ? r->left : REQUEST_MAX;
        uint32_t n = fill(r, max);
        r->left -= r->cfg.max_bytes ? n : 0;
        virtq_push(q, &r->chain, n);
        any = true;
        if (i == BATCH - 1 && !r->posted) {
            r->posted = true;
            loop_post(serve, r);
        }
    }
    if (any)
        virtio_queue_signal(d, queue);
}

static void serve(void *opaque)
{
    struct virtio_rng *r = opaque;
    r->posted = false;
    virtio_notify(&r->vdev, 0);
}

static void new_period(void *opaque)
{
    struct virtio_rng *r = opaque;
    r->left = r->cfg.max_bytes;
    virtio_notify(&r->vdev, 0);
}

static void destroy(struct virtio_device *d)
{
    struct virtio_rng *r = CONTAINER_OF(d, struct virtio_rng, vdev);
    if (r->timer)
        loop_timer_free(r->timer);
    free(r);
}

static const struct virtio_device_ops rng_ops = {.notify = notify, .destroy = destroy};

struct virtio_device *virtio_rng_create(const struct virtio_rng_config *cfg)
{
    struct virtio_rng *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    if (cfg)
        r->cfg = *cfg;
    if (!r->cfg.period_ms)
        r->cfg.period_ms = DEFAULT_PERIOD_MS;
    r->left = r->cfg.max_bytes;
    if (r->cfg.max_bytes && !(r->timer = loop_timer_new(new_period, r))) {
        free(r);
        return NULL;
    }
    virtio_init(&r->vdev, "virtio-rng-pci", VIRTIO_ID_ENTROPY, &rng_ops);
    r->vdev.pci_subclass = 0xff;
    virtio_add_queue(&r->vdev, QUEUE_SIZE);
    return &r->vdev;
}
