// SPDX-License-Identifier: MIT
// How data moves between a drive's image, its buffer and the host, by PIO or DMA.
//
// A transfer of any length goes through one buffer of IDE_BUFFER bytes. ide_stream_run() takes the steps drawn in
// ide_internal.h until one of them has to wait: for the block layer, for the host at the data register, or for
// the bus master. Block requests that the page cache serves complete inside block_kick(), so that most commands are
// done when the guest's OUT is; the loop, not recursion, then takes the next step.
#include "hw/ide_internal.h"

#include <errno.h>
#include <string.h>

static void run(struct ide_drive *d);

// --- the image

static void io_done(struct block_request *io, int result)
{
    struct ide_drive *d = CONTAINER_OF(io, struct ide_drive, io);
    d->waiting = false;
    if (d->dropped)
        return;
    if (result) {
        d->phase = IDE_IDLE;
        d->stream.end(d, result);
        return;
    }
    d->phase = d->after_wait;
    if (io->op == BLOCK_READ && d->stream.expand)
        d->stream.expand(d, (unsigned)(io->length / d->stream.in));
    run(d);
}

// The next `length` bytes of the image; then comes `next`.
static void submit(struct ide_drive *d, enum block_op op, uint64_t length, enum ide_phase next)
{
    d->iov = (struct iovec){d->buf, length};
    d->io = (struct block_request){
        .op = op, .offset = d->stream.offset, .length = length, .iov = &d->iov, .iovcnt = 1, .done = io_done};
    d->stream.offset += length;
    d->stream.left -= length;
    d->phase = IDE_WAIT;
    d->after_wait = next;
    d->waiting = true;
    d->status = ST_BSY;
    block_submit(d->block, &d->io);
    block_kick(d->block);
}

// Bytes of the image that fit into the buffer at once.
static uint64_t chunk(const struct ide_stream *s)
{
    uint64_t most = (uint64_t)(IDE_BUFFER / (s->out > s->in ? s->out : s->in)) * s->in;
    return s->left < most ? s->left : most;
}

static void fetch(struct ide_drive *d)
{
    struct ide_stream *s = &d->stream;
    uint64_t n = chunk(s);
    if (!n) {
        d->phase = IDE_FINISH;
        return;
    }
    d->pos = 0;
    d->len = (uint32_t)(n / s->in * s->out);
    submit(d, BLOCK_READ, n, s->verify ? IDE_FETCH : IDE_HOST);
}

static void prepare(struct ide_drive *d)
{
    struct ide_stream *s = &d->stream;
    d->pos = 0;
    if (!s->local)
        d->len = (uint32_t)chunk(s);
    d->phase = d->len ? IDE_HOST : IDE_FINISH;
}

static void store(struct ide_drive *d)
{
    if (d->stream.local)
        d->phase = IDE_FINISH;
    else
        submit(d, BLOCK_WRITE, d->len, IDE_PREPARE);
}

// --- the host

// Moves what the bus master takes; false if it wants no more for now.
static bool host_dma(struct ide_drive *d)
{
    const struct ide_dma_ops *dma = &d->ch->cfg.dma;
    d->status = ST_DRDY | ST_DSC | ST_DRQ;
    if (dma->transfer)
        d->pos += (uint32_t)dma->transfer(dma->opaque, d->buf + d->pos, d->len - d->pos, !d->stream.write);
    return d->pos == d->len;
}

// Offers the next DRQ block, if there is one.
static bool host_pio(struct ide_drive *d)
{
    struct ide_stream *s = &d->stream;
    if (d->pos == d->len)
        return true;
    uint32_t n = d->len - d->pos < s->drq ? d->len - d->pos : s->drq;
    d->drq_end = d->pos + n;
    d->status = ST_DRDY | ST_DSC | ST_DRQ;
    if (d->cd)
        atapi_block(d, n);
    if (!s->quiet)
        ide_raise(d);
    s->quiet = false;
    return false;
}

static bool host(struct ide_drive *d)
{
    if (!(d->stream.dma ? host_dma(d) : host_pio(d)))
        return false;
    d->status = ST_BSY;
    d->phase = d->stream.write ? IDE_STORE : IDE_FETCH;
    return true;
}

static void finish(struct ide_drive *d)
{
    if (d->stream.flush) {
        d->stream.flush = false;
        submit(d, BLOCK_FLUSH, 0, IDE_FINISH);
        return;
    }
    d->phase = IDE_IDLE;
    d->stream.end(d, 0);
}

static void run(struct ide_drive *d)
{
    if (d->running)
        return;
    d->running = true;
    for (bool more = true; more;) {
        switch (d->phase) {
        case IDE_FETCH: fetch(d); break;
        case IDE_PREPARE: prepare(d); break;
        case IDE_HOST: more = host(d); break;
        case IDE_STORE: store(d); break;
        case IDE_FINISH: finish(d); break;
        default: more = false; break;
        }
    }
    d->running = false;
}

void ide_stream_start(struct ide_drive *d, const struct ide_stream *s)
{
    d->stream = *s;
    if (!s->local)
        d->len = 0;
    d->pos = d->drq_end = 0;
    d->status = ST_BSY;
    d->phase = s->write ? IDE_PREPARE : s->local ? IDE_HOST : IDE_FETCH;
    run(d);
}

void ide_stream_reply(struct ide_drive *d, unsigned len, void (*end)(struct ide_drive *d, int result))
{
    const struct ide_stream s = {.local = true, .in = 1, .out = 1, .drq = len, .end = end};
    d->len = len;
    ide_stream_start(d, &s);
}

void ide_stream_stop(struct ide_drive *d)
{
    if (d->waiting) {
        d->dropped = true;
        block_drain(d->block);
        d->dropped = false;
    }
    d->phase = IDE_IDLE;
    d->pos = d->drq_end = d->len = 0;
}

void ide_stream_ready(struct ide_drive *d)
{
    if (d->phase == IDE_HOST && d->stream.dma)
        run(d);
}

// --- the data register

static bool at_data(const struct ide_drive *d, bool write)
{
    return d->phase == IDE_HOST && !d->stream.dma && d->stream.write == write && d->pos < d->drq_end;
}

static void moved_word(struct ide_drive *d)
{
    d->pos += 2;
    if (d->pos < d->drq_end)
        return;
    d->pos = d->drq_end; // a last odd byte
    d->status = ST_BSY;
    run(d);
}

uint16_t ide_data_read(struct ide_drive *d)
{
    uint16_t v;
    if (!at_data(d, false))
        return 0xffff;
    memcpy(&v, d->buf + d->pos, 2);
    moved_word(d);
    return v;
}

void ide_data_write(struct ide_drive *d, uint16_t v)
{
    if (!at_data(d, true))
        return;
    memcpy(d->buf + d->pos, &v, 2);
    moved_word(d);
}
