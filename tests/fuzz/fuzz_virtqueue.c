// SPDX-License-Identifier: MIT
// Fuzzes virtqueues: the input becomes the three rings and what they point to, changed between kicks.
#include "../unit/virtio/driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIZE = 8, RINGS = 0x10000, RING_BYTES = 0x200, AVAIL = 128, USED = 256 };

struct sink {
    struct virtio_device vdev;
    struct virtq_chain chain;
};

static void notify(struct virtio_device *d, unsigned n)
{
    struct sink *s = CONTAINER_OF(d, struct sink, vdev);
    struct virtq *q = &d->vq[n];
    int got = 0;
    virtq_disable_notify(q);
    for (unsigned i = 0; i < 2 * SIZE && (got = virtq_pop(q, &s->chain)) > 0; i++) {
        uint8_t buf[256];
        size_t len = virtq_copy_out(&s->chain, i, buf, sizeof(buf));
        len = virtq_copy_in(&s->chain, 0, buf, len);
        if (len & 1) {
            virtq_unpop(q);
            break;
        }
        virtq_push(q, &s->chain, (uint32_t)len);
        virtio_queue_signal(d, n);
    }
    if (got < 0)
        virtio_error(d, "%s", q->error);
    else
        virtq_enable_notify(q);
}

static const struct virtio_device_ops ops = {.notify = notify};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sink s;
    if (!mem) {
        machine_init();
        virtio_init(&s.vdev, "sink", VIRTIO_ID_ENTROPY, &ops);
        virtio_add_queue(&s.vdev, SIZE);
        const struct virtio_pci_config cfg = {.devfn = -1, .vectors = -1};
        virtio_pci_add(bus, &s.vdev, &cfg);
    }
    if (size < 4)
        return 0;
    struct virtq *q = &s.vdev.vq[0];
    virtio_reset(&s.vdev);
    s.vdev.features = (uint64_t)data[0] << 24 | BIT(VIRTIO_F_VERSION_1);
    q->desc = RINGS;
    q->avail = RINGS + AVAIL + (data[1] & 2);
    q->used = data[1] & 1 ? RINGS + USED : RAM_SIZE - 16; // one that runs out of RAM
    s.vdev.status = 15;
    q->event_idx = virtio_has(&s.vdev, VIRTIO_F_EVENT_IDX);
    q->indirect = virtio_has(&s.vdev, VIRTIO_F_INDIRECT_DESC);
    virtq_enable(q);
    uint8_t *ring = guest_ptr(RINGS);
    memset(ring, 0, RING_BYTES);
    // A valid start, so that more than the first check is reached; then bytes of the input over it.
    for (unsigned i = 0; i < SIZE; i++) {
        uint64_t addr = RINGS + 0x1000 + 64 * i;
        uint32_t len = 32;
        memcpy(ring + 16 * i, &addr, 8);
        memcpy(ring + 16 * i + 8, &len, 4);
        ring[16 * i + 12] = (uint8_t)(i & 1 ? 2 : 1);
        ring[16 * i + 14] = (uint8_t)(i + 1);
        ring[AVAIL + 4 + 2 * i] = (uint8_t)i;
    }
    for (size_t i = 2; i + 1 < size; i += 2) {
        if (data[i] == 0xff) {
            ring[AVAIL + 2]++;
            virtio_notify(&s.vdev, 0);
        } else {
            ring[data[i] + (data[i] >= 200 ? 0x100 : 0)] = data[i + 1];
        }
    }
    virtio_notify(&s.vdev, 0);
    return 0;
}
