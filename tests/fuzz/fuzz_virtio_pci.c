// SPDX-License-Identifier: MIT
// Fuzzes the PCI bus and all virtio devices over it: the input is a list of register accesses, memory writes and
// turns of the I/O thread.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "../unit/virtio/driver.h"
#include "virtio/virtio_blk.h"
#include "virtio/virtio_console.h"
#include "virtio/virtio_net.h"
#include "virtio/virtio_rng.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEVICES = 4, RINGS = 0x20000 };

static struct virtio_device *dev[DEVICES];
static struct block *blk;

static void be_send(struct netdev *n, const struct iovec *iov, unsigned count, const struct net_offload *o)
{
    static uint8_t frame[NET_MAX_FRAME]; // and back it comes
    size_t len = 0;
    for (unsigned i = 0; i < count && len + iov[i].iov_len <= sizeof(frame); len += iov[i++].iov_len)
        memcpy(frame + len, iov[i].iov_base, iov[i].iov_len);
    net_finish_csum(frame, len, o);
    if (n->fe->can_receive(n->fe_opaque) && n->fe->receive(n->fe_opaque, frame, len, o))
        n->fe->receive_done(n->fe_opaque);
}
static const struct netdev_ops be_ops = {.send = be_send};
static struct netdev nd = {.ops = &be_ops, .caps = NET_CAP_CSUM | NET_CAP_TSO4, .link_up = true};

static void open_disk(void)
{
    char path[64], err[160];
    snprintf(path, sizeof(path), "%s/ring3-fuzz-XXXXXX", P_tmpdir);
    int fd = mkstemp(path);
    if (fd < 0 || ftruncate(fd, 1 << 20))
        abort();
    const struct block_options o = {.path = path, .aio = BLOCK_AIO_THREADS};
    if (block_open(&o, &blk, err))
        abort();
    close(fd);
    unlink(path);
}

static void set_up(void)
{
    machine_init();
    open_disk();
    const struct virtio_blk_config b = {.block = blk, .num_queues = 2, .queue_size = 16};
    const struct virtio_net_config n = {.netdev = &nd, .mac = {2}, .rx_queue_size = 16, .tx_queue_size = 16};
    const struct virtio_rng_config r = {.max_bytes = 4096, .period_ms = 1};
    dev[0] = virtio_blk_create(&b);
    dev[1] = virtio_net_create(&n);
    dev[2] = virtio_rng_create(&r);
    dev[3] = virtio_console_create(NULL);
    for (unsigned i = 0; i < DEVICES; i++) {
        const struct virtio_pci_config cfg = {.devfn = (int)((i + 2) << 3), .vectors = -1};
        if (virtio_pci_add(bus, dev[i], &cfg))
            abort();
    }
}

// Half of the runs start where a driver would have set the device up, with rings that the input then bends.
static void bring_up(struct virtio_device *d)
{
    gpa at = RINGS;
    d->features = virtio_offered(d, false);
    for (unsigned i = 0; i < d->queues; i++, at += 0x1000) {
        struct virtq *q = &d->vq[i];
        q->size = q->max_size < 16 ? q->max_size : 16;
        q->desc = at;
        q->avail = at + 0x400;
        q->used = at + 0x800;
        q->event_idx = q->indirect = true;
        virtq_enable(q);
        struct {
            uint64_t addr;
            uint32_t len;
            uint16_t flags, next;
        } t[3] = {{at + 0xa00, 16, 1, 1}, {at + 0xa40, 512, (uint16_t)(i == 1 ? 1 : 3), 2}, {at + 0xc40, 1, 2, 0}};
        memcpy(guest_ptr(at), t, sizeof(t));
    }
    d->status = 15;
}

static void forget_msis(void) { memset(msi_count, 0, sizeof(msi_count)); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!mem)
        set_up();
    if (size < 2)
        return 0;
    const uint8_t irqs[4] = {10, 10, 11, 11};
    struct virtio_device *d = dev[data[0] % DEVICES];
    struct pci_device *p = virtio_pci_device(d);
    pci_bus_reset(bus);
    pci_assign_resources(bus, 0xc000, 0xf000, 0xe0000000, 0xf0000000, irqs);
    memset(guest_ptr(RINGS), 0, 0x4000);
    if (data[1] & 1)
        bring_up(d);
    for (size_t i = 2; i + 6 <= size; i += 6) {
        const uint8_t *c = data + i;
        unsigned width = 1u << (c[0] >> 4 & 3), offset = c[1];
        uint32_t value;
        memcpy(&value, c + 2, 4);
        gpa bar = p->bar[4].addr + ((unsigned)(c[0] >> 6) << 12) + (offset & (0x100 - width));
        switch (c[0] & 15) {
        case 0: cfg_write(p->devfn, offset & ~3u, value, width > 4 ? 4 : width); break;
        case 1: cfg_read(p->devfn, offset & ~3u, width > 4 ? 4 : width); break;
        case 2: as_store(ports, p->bar[0].addr + (offset & 0x3c), value, width); break;
        case 3: as_load(ports, p->bar[0].addr + (offset & 0x3c), width); break;
        case 4:
        case 5: as_store(mem, bar, value, width); break;
        case 6: as_load(mem, bar, width); break;
        case 7: loop_run_timers(); break;
        case 8: block_drain(blk); break;
        case 9: as_store(mem, p->bar[1].addr + offset * 16u % 4096, value & 0x10 ? 0xfee00000 : value & 7, 4); break;
        case 10: virtio_notify(d, offset % 4); break;
        case 11:
        case 12: // make chain 0 available and kick
            (*(uint16_t *)guest_ptr(RINGS + 0x402 + 0x1000 * (offset & 3)))++;
            virtio_notify(d, offset & 3);
            break;
        default: memcpy(guest_ptr(RINGS + (value & 0x3ff) * 16u), c, 6); break;
        }
        loop_run_posted();
        forget_msis();
    }
    block_drain(blk);
    return 0;
}
