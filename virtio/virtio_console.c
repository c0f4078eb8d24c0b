// SPDX-License-Identifier: MIT
// virtio-console, one port: queue 0 carries input to the guest, queue 1 its output. Virtio 1.2, section 5.3.
#include "virtio/virtio_console.h"

#include <stdlib.h>
#include <string.h>

enum { RX, TX, QUEUE_SIZE = 128, CHUNK = 4096, CHAIN_MAX = 1 << 24 };

struct virtio_console {
    struct virtio_device vdev;
    struct chardev *chr;
    bool tx_waiting; // the back end was full in the middle of `out`
    struct virtq_chain in, out;
    size_t out_done; // bytes of `out` written
};

// --- guest -> host

// Writes what is left of `out`. False if the back end is full.
static bool write_chain(struct virtio_console *c)
{
    uint8_t buf[CHUNK];
    size_t n;
    while ((n = virtq_copy_out(&c->out, c->out_done, buf, sizeof(buf)))) {
        size_t took = chardev_write(c->chr, buf, n);
        c->out_done += took;
        if (took < n)
            return false;
    }
    return true;
}

static void transmit(struct virtio_console *c)
{
    struct virtq *q = &c->vdev.vq[TX];
    unsigned budget = 4 * QUEUE_SIZE;
    int got = 0;
    for (;;) {
        if (!c->tx_waiting) {
            got = budget-- ? virtq_pop(q, &c->out) : 0;
            if (got <= 0)
                break;
            c->out_done = 0;
            if (c->out.out_len > CHAIN_MAX) {
                virtio_error(&c->vdev, "transmit buffer too long");
                return;
            }
        }
        c->tx_waiting = !write_chain(c);
        if (c->tx_waiting)
            break;
        virtq_push(q, &c->out, 0);
    }
    if (got < 0)
        virtio_error(&c->vdev, "transmit queue: %s", q->error);
    else
        virtq_enable_notify(q);
    virtio_queue_signal(&c->vdev, TX);
}

static void can_write(void *opaque)
{
    struct virtio_console *c = opaque;
    if (virtio_queue_usable(&c->vdev, TX))
        transmit(c);
}

// --- host -> guest

static size_t can_receive(void *opaque)
{
    struct virtio_console *c = opaque;
    if (!virtio_queue_usable(&c->vdev, RX) || virtq_empty(&c->vdev.vq[RX]))
        return 0;
    return CHUNK;
}

static void receive(void *opaque, const uint8_t *buf, size_t len)
{
    struct virtio_console *c = opaque;
    struct virtq *q = &c->vdev.vq[RX];
    bool any = false;
    while (len && virtio_queue_usable(&c->vdev, RX)) {
        int got = virtq_pop(q, &c->in);
        if (got < 0)
            virtio_error(&c->vdev, "receive queue: %s", q->error);
        if (got <= 0)
            break; // no room: what the guest gave no buffer for is lost, as on a serial line
        size_t n = virtq_copy_in(&c->in, 0, buf, len);
        virtq_push(q, &c->in, (uint32_t)n);
        any = true;
        buf += n;
        len -= n;
        if (!n)
            break;
    }
    if (virtio_queue_usable(&c->vdev, RX))
        virtq_enable_notify(q);
    if (any)
        virtio_queue_signal(&c->vdev, RX);
}

static const struct chardev_frontend_ops chr_ops = {
    .can_receive = can_receive,
    .receive = receive,
    .can_write = can_write,
};

static void notify(struct virtio_device *d, unsigned queue)
{
    struct virtio_console *c = CONTAINER_OF(d, struct virtio_console, vdev);
    if (queue == TX) {
        transmit(c);
    } else {
        virtq_enable_notify(&d->vq[RX]);
        chardev_accept_input(c->chr);
    }
}

static void reset(struct virtio_device *d)
{
    struct virtio_console *c = CONTAINER_OF(d, struct virtio_console, vdev);
    c->tx_waiting = false;
}

static void destroy(struct virtio_device *d) { free(CONTAINER_OF(d, struct virtio_console, vdev)); }

static const struct virtio_device_ops console_ops = {.notify = notify, .reset = reset, .destroy = destroy};

struct virtio_device *virtio_console_create(struct chardev *chr)
{
    struct virtio_console *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    virtio_init(&c->vdev, "virtio-serial-pci", VIRTIO_ID_CONSOLE, &console_ops);
    c->vdev.pci_class = 7;
    c->vdev.pci_subclass = 0x80;
    c->vdev.config_size = 12; // cols, rows, max_nr_ports, emerg_wr: all zero, no feature offers them
    virtio_add_queue(&c->vdev, QUEUE_SIZE);
    virtio_add_queue(&c->vdev, QUEUE_SIZE);
    c->chr = chr;
    if (chr) {
        chr->fe = &chr_ops;
        chr->fe_opaque = c;
    }
    return &c->vdev;
}
