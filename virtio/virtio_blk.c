// SPDX-License-Identifier: MIT
// virtio-blk over hw/block.h. Virtio 1.2, section 5.2 "Block Device".
//
// A kick submits every waiting request from the vCPU's thread and reaps what the page cache served at once;
// data moves between the file and guest RAM with no copy of ours.
#include "virtio/virtio_blk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/loop.h"

// clang-format off
enum { // 5.2.3 "Feature bits"
    BLK_F_SEG_MAX = 2, BLK_F_GEOMETRY = 4, BLK_F_RO = 5, BLK_F_BLK_SIZE = 6, BLK_F_FLUSH = 9, BLK_F_TOPOLOGY = 10,
    BLK_F_CONFIG_WCE = 11, BLK_F_MQ = 12, BLK_F_DISCARD = 13, BLK_F_WRITE_ZEROES = 14,
};
// clang-format on
// clang-format off
enum { // 5.2.6 "Device Operation": request types and status
    T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13,
    S_OK = 0, S_IOERR = 1, S_UNSUPP = 2,
};
// clang-format on
enum { SECTOR = 512, ID_BYTES = 20, MAX_DISCARD_SECTORS = 1 << 22, WZ_FLAG_UNMAP = 1 };

struct blk_config { // 5.2.4 "Device configuration layout"
    uint64_t capacity;
    uint32_t size_max, seg_max;
    struct {
        uint16_t cylinders;
        uint8_t heads, sectors;
    } geometry;
    uint32_t blk_size;
    struct {
        uint8_t physical_block_exp, alignment_offset;
        uint16_t min_io_size;
        uint32_t opt_io_size;
    } topology;
    uint8_t writeback, unused0;
    uint16_t num_queues;
    uint32_t max_discard_sectors, max_discard_seg, discard_sector_alignment;
    uint32_t max_write_zeroes_sectors, max_write_zeroes_seg;
    uint8_t write_zeroes_may_unmap, unused1[3];
};

struct blk_header {
    uint32_t type, reserved;
    uint64_t sector;
};
struct blk_range {
    uint64_t sector;
    uint32_t sectors, flags;
};

struct virtio_blk {
    struct virtio_device vdev;
    struct block *block;
    bool default_wce;
    char serial[ID_BYTES + 1];
    unsigned block_size;
    bool resetting; // drop completions: the rings are going away
    bool rerun_posted;
    struct virtq_chain chain; // the one being parsed
};

struct blk_request {
    struct block_request io;
    struct virtio_blk *b;
    unsigned queue;
    uint16_t head;
    uint32_t data_in; // bytes that a read stores
    uint8_t *status;
    gpa status_addr;
    gpa *addr; // of each iov, for reads
    struct iovec iov[];
};

// --- completion

static void complete(struct virtio_blk *b, unsigned queue, uint16_t head, uint8_t *status, gpa status_addr,
                     uint8_t value, uint32_t written)
{
    struct virtq *q = &b->vdev.vq[queue];
    *status = value;
    as_ram_written(q->mem, status_addr, 1);
    virtq_fill(q, head, written + 1, 0);
    virtq_publish(q, 1);
    virtio_queue_signal(&b->vdev, queue);
}

static void request_done(struct block_request *io, int result)
{
    struct blk_request *r = CONTAINER_OF(io, struct blk_request, io);
    struct virtio_blk *b = r->b;
    if (!b->resetting) {
        struct address_space *mem = b->vdev.mem;
        if (io->op == BLOCK_READ)
            for (unsigned i = 0; i < io->iovcnt; i++)
                as_ram_written(mem, r->addr[i], r->iov[i].iov_len);
        complete(b, r->queue, r->head, r->status, r->status_addr, result ? S_IOERR : S_OK, r->data_in);
    }
    free(r);
}

// The status byte is the last one the device may write.
static uint8_t *status_byte(const struct virtq_chain *c, gpa *addr)
{
    unsigned last = c->out_count + c->in_count - 1;
    *addr = c->addr[last] + c->iov[last].iov_len - 1;
    return (uint8_t *)c->iov[last].iov_base + c->iov[last].iov_len - 1;
}

static void complete_now(struct virtio_blk *b, unsigned queue, uint8_t value, uint32_t written)
{
    gpa at;
    uint8_t *status = status_byte(&b->chain, &at);
    virtq_mark_written(&b->vdev.vq[queue], &b->chain, written);
    complete(b, queue, b->chain.head, status, at, value, written);
}

// --- submission

// Takes the `len` bytes at `skip` of iov[0..count) into the request.
static void take_iov(struct blk_request *r, const struct iovec *iov, const gpa *addr, unsigned count, size_t skip,
                     size_t len)
{
    unsigned n = 0;
    for (unsigned i = 0; i < count && len; i++) {
        size_t have = iov[i].iov_len;
        if (skip >= have) {
            skip -= have;
            continue;
        }
        size_t use = have - skip < len ? have - skip : len;
        r->iov[n] = (struct iovec){(uint8_t *)iov[i].iov_base + skip, use};
        r->addr[n++] = addr[i] + skip;
        skip = 0;
        len -= use;
    }
    r->io.iov = r->iov;
    r->io.iovcnt = n;
}

static struct blk_request *new_request(struct virtio_blk *b, unsigned queue, enum block_op op, unsigned segs)
{
    struct blk_request *r = malloc(sizeof(*r) + segs * (sizeof(struct iovec) + sizeof(gpa)));
    if (!r)
        return NULL;
    r->io = (struct block_request){.op = op, .done = request_done};
    r->b = b;
    r->queue = queue;
    r->head = b->chain.head;
    r->data_in = 0;
    r->status = status_byte(&b->chain, &r->status_addr);
    r->addr = (gpa *)(r->iov + segs);
    return r;
}

static void transfer(struct virtio_blk *b, unsigned queue, const struct blk_header *h)
{
    const struct virtq_chain *c = &b->chain;
    bool read = h->type == T_IN;
    uint64_t bytes = read ? c->in_len - 1 : c->out_len - sizeof(*h);
    uint64_t sectors = block_size(b->block) / SECTOR;
    bool ok = bytes % b->block_size == 0 && h->sector % (b->block_size / SECTOR) == 0 && h->sector <= sectors &&
              bytes / SECTOR <= sectors - h->sector;
    struct blk_request *r = ok ? new_request(b, queue, read ? BLOCK_READ : BLOCK_WRITE,
                                             read ? c->in_count : c->out_count)
                               : NULL;
    if (!r) {
        complete_now(b, queue, S_IOERR, 0);
        return;
    }
    if (read)
        take_iov(r, c->iov + c->out_count, c->addr + c->out_count, c->in_count, 0, bytes);
    else
        take_iov(r, c->iov, c->addr, c->out_count, sizeof(*h), bytes);
    r->data_in = read ? (uint32_t)bytes : 0;
    r->io.offset = h->sector * SECTOR;
    r->io.length = bytes;
    block_submit(b->block, &r->io);
}

static void discard_or_zero(struct virtio_blk *b, unsigned queue, uint32_t type)
{
    const struct virtq_chain *c = &b->chain;
    struct blk_range range;
    uint64_t sectors = block_size(b->block) / SECTOR;
    if (c->out_len != sizeof(struct blk_header) + sizeof(range)) { // max_*_seg is 1
        complete_now(b, queue, S_UNSUPP, 0);
        return;
    }
    virtq_copy_out(c, sizeof(struct blk_header), &range, sizeof(range));
    uint32_t allowed = type == T_WRITE_ZEROES ? WZ_FLAG_UNMAP : 0;
    if (range.flags & ~allowed) {
        complete_now(b, queue, S_UNSUPP, 0);
        return;
    }
    bool ok = range.sectors <= MAX_DISCARD_SECTORS && range.sector <= sectors &&
              range.sectors <= sectors - range.sector;
    struct blk_request *r = ok ? new_request(b, queue, type == T_DISCARD ? BLOCK_DISCARD : BLOCK_WRITE_ZEROES, 0)
                               : NULL;
    if (!r) {
        complete_now(b, queue, S_IOERR, 0);
        return;
    }
    r->io.offset = range.sector * SECTOR;
    r->io.length = (uint64_t)range.sectors * SECTOR;
    r->io.unmap = range.flags & WZ_FLAG_UNMAP;
    block_submit(b->block, &r->io);
}

static void flush(struct virtio_blk *b, unsigned queue)
{
    struct blk_request *r = new_request(b, queue, BLOCK_FLUSH, 0);
    if (r)
        block_submit(b->block, &r->io);
    else
        complete_now(b, queue, S_IOERR, 0);
}

static void get_id(struct virtio_blk *b, unsigned queue)
{
    size_t n = b->chain.in_len - 1 < ID_BYTES ? b->chain.in_len - 1 : ID_BYTES;
    virtq_copy_in(&b->chain, 0, b->serial, n);
    complete_now(b, queue, S_OK, (uint32_t)n);
}

static int handle(struct virtio_blk *b, unsigned queue)
{
    struct virtq_chain *c = &b->chain;
    struct blk_header h;
    if (virtq_copy_out(c, 0, &h, sizeof(h)) != sizeof(h) || !c->in_len) {
        virtio_error(&b->vdev, "request without header or status");
        return -EINVAL;
    }
    switch (h.type) {
    case T_IN:
    case T_OUT: transfer(b, queue, &h); break;
    case T_FLUSH: flush(b, queue); break;
    case T_GET_ID: get_id(b, queue); break;
    case T_DISCARD:
    case T_WRITE_ZEROES: discard_or_zero(b, queue, h.type); break;
    default: complete_now(b, queue, S_UNSUPP, 0);
    }
    return 0;
}

static void rerun(void *opaque);

static void notify(struct virtio_device *d, unsigned queue)
{
    struct virtio_blk *b = CONTAINER_OF(d, struct virtio_blk, vdev);
    struct virtq *q = &d->vq[queue];
    // A driver on another vCPU that refills as fast as we serve must not keep this one here for ever.
    unsigned budget = 4 * q->size;
    int got = 0;
    do {
        virtq_disable_notify(q);
        while (budget && (got = virtq_pop(q, &b->chain)) > 0) {
            budget--;
            if (handle(b, queue))
                return;
        }
        if (got < 0) {
            virtio_error(d, "queue %u: %s", queue, q->error);
            break;
        }
        block_kick(b->block);
    } while (virtq_enable_notify(q) && budget);
    block_kick(b->block);
    if (!budget && !b->rerun_posted) {
        b->rerun_posted = true;
        loop_post(rerun, b);
    }
}

static void rerun(void *opaque)
{
    struct virtio_blk *b = opaque;
    b->rerun_posted = false;
    for (unsigned i = 0; i < b->vdev.queues; i++)
        virtio_notify(&b->vdev, i);
}

// --- configuration

static void config_written(struct virtio_device *d, unsigned offset, unsigned len)
{
    struct virtio_blk *b = CONTAINER_OF(d, struct virtio_blk, vdev);
    if (!virtio_has(d, BLK_F_CONFIG_WCE))
        return;
    bool on = d->config[offsetof(struct blk_config, writeback)] & 1;
    if (!on && block_write_cache(b->block)) { // what was written so far becomes stable now
        block_drain(b->block);
        block_flush(b->block);
    }
    block_set_write_cache(b->block, on);
}

static void driver_ok(struct virtio_device *d)
{
    struct virtio_blk *b = CONTAINER_OF(d, struct virtio_blk, vdev);
    // 5.2.6.2: without FLUSH (and with no way to say otherwise) the driver expects writes to be stable.
    if (!virtio_has(d, BLK_F_FLUSH) && !virtio_has(d, BLK_F_CONFIG_WCE))
        block_set_write_cache(b->block, false);
}

static void reset(struct virtio_device *d)
{
    struct virtio_blk *b = CONTAINER_OF(d, struct virtio_blk, vdev);
    b->resetting = true;
    block_drain(b->block);
    b->resetting = false;
    block_set_write_cache(b->block, b->default_wce);
    d->config[offsetof(struct blk_config, writeback)] = b->default_wce;
}

static void destroy(struct virtio_device *d)
{
    reset(d);
    free(CONTAINER_OF(d, struct virtio_blk, vdev));
}

static const struct virtio_device_ops blk_ops = {
    .notify = notify,
    .reset = reset,
    .driver_ok = driver_ok,
    .config_written = config_written,
    .destroy = destroy,
};

static void fill_config(struct virtio_blk *b, const struct virtio_blk_config *cfg, unsigned queues, unsigned size)
{
    uint64_t sectors = block_size(b->block) / SECTOR, cylinders = sectors / (16 * 63);
    unsigned physical = cfg->physical_block_size ? cfg->physical_block_size : b->block_size;
    struct blk_config c = {
        .capacity = sectors,
        .seg_max = size > 2 ? size - 2 : 1,
        .geometry = {.cylinders = (uint16_t)(cylinders > 16383 ? 16383 : cylinders), .heads = 16, .sectors = 63},
        .blk_size = b->block_size,
        .topology = {.physical_block_exp = (uint8_t)__builtin_ctz(physical / b->block_size)},
        .writeback = b->default_wce,
        .num_queues = (uint16_t)queues,
        .max_discard_sectors = MAX_DISCARD_SECTORS,
        .max_discard_seg = 1,
        .discard_sector_alignment = b->block_size / SECTOR,
        .max_write_zeroes_sectors = MAX_DISCARD_SECTORS,
        .max_write_zeroes_seg = 1,
        .write_zeroes_may_unmap = 1,
    };
    _Static_assert(sizeof(c) <= sizeof(b->vdev.config), "configuration space is too small");
    memcpy(b->vdev.config, &c, sizeof(c));
    b->vdev.config_size = sizeof(c);
    if (!cfg->no_config_wce)
        b->vdev.config_wmask[offsetof(struct blk_config, writeback)] = 1;
}

static bool power_of_two(unsigned v, unsigned min, unsigned max) { return v >= min && v <= max && !(v & (v - 1)); }

struct virtio_device *virtio_blk_create(const struct virtio_blk_config *cfg)
{
    unsigned queues = cfg->num_queues ? cfg->num_queues : 1, size = cfg->queue_size ? cfg->queue_size : 256;
    unsigned bs = cfg->logical_block_size ? cfg->logical_block_size : SECTOR;
    unsigned physical = cfg->physical_block_size ? cfg->physical_block_size : bs;
    if (queues > VIRTIO_MAX_QUEUES || !power_of_two(size, 4, VIRTQ_MAX_SIZE) || !power_of_two(bs, SECTOR, 32768) ||
        !power_of_two(physical, bs, 1u << 21))
        return NULL;
    struct virtio_blk *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    struct virtio_device *d = &b->vdev;
    virtio_init(d, "virtio-blk-pci", VIRTIO_ID_BLOCK, &blk_ops);
    d->pci_class = 1; // mass storage, SCSI: what drivers of transitional devices expect
    b->block = cfg->block;
    b->block_size = bs;
    b->default_wce = !cfg->no_write_cache && block_write_cache(cfg->block);
    block_set_write_cache(cfg->block, b->default_wce);
    if (cfg->serial)
        strncpy(b->serial, cfg->serial, ID_BYTES);
    d->host_features |= BIT(BLK_F_SEG_MAX) | BIT(BLK_F_GEOMETRY) | BIT(BLK_F_BLK_SIZE) | BIT(BLK_F_FLUSH) |
                        BIT(BLK_F_TOPOLOGY);
    if (!cfg->no_config_wce)
        d->host_features |= BIT(BLK_F_CONFIG_WCE);
    if (queues > 1)
        d->host_features |= BIT(BLK_F_MQ);
    if (block_readonly(cfg->block))
        d->host_features |= BIT(BLK_F_RO);
    else
        d->host_features |= BIT(BLK_F_DISCARD) | BIT(BLK_F_WRITE_ZEROES);
    for (unsigned i = 0; i < queues; i++)
        virtio_add_queue(d, size);
    fill_config(b, cfg, queues, size);
    return d;
}
