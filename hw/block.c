// SPDX-License-Identifier: MIT
// The block layer between devices and an image: checks requests, waits for them, and whole transfers at once.
#include "hw/block_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

uint64_t block_size(const struct block *b) { return b->size; }
bool block_readonly(const struct block *b) { return b->readonly; }
unsigned block_alignment(const struct block *b) { return b->align; }
bool block_write_cache(const struct block *b) { return b->write_cache; }
void block_set_write_cache(struct block *b, bool on) { b->write_cache = on; }
const char *block_name(const struct block *b) { return b->path; }
const char *block_aio_name(const struct block *b) { return b->uring ? "io_uring" : "threads"; }

static int check(const struct block *b, const struct block_request *r)
{
    if (r->op != BLOCK_READ && r->op != BLOCK_FLUSH && b->readonly)
        return -EROFS;
    if (r->op != BLOCK_FLUSH && (r->offset > b->size || r->length > b->size - r->offset))
        return -EIO;
    return 0;
}

void block_submit(struct block *b, struct block_request *r)
{
    r->progress = 0;
    b->inflight++;
    int ret = check(b, r);
    bool nothing = r->op == BLOCK_FLUSH ? b->unsafe || b->readonly || b->overlay_fd >= 0 : r->length == 0;
    if (ret || nothing)
        block_aio_finish(b, r, ret);
    else
        block_aio_start(b, r);
}

void block_kick(struct block *b)
{
    block_aio_kick(b);
    block_aio_reap(b);
}

// Sleeps until something completed, and reaps it. The timeout covers nothing known: a wake-up that got lost
// must not hang the VM.
static void wait_and_reap(struct block *b)
{
    struct pollfd p = {.fd = b->event_fd, .events = POLLIN};
    if (poll(&p, 1, 100) > 0) {
        uint64_t n;
        ssize_t got = read(b->event_fd, &n, sizeof(n));
        (void)got;
    }
    block_kick(b);
}

void block_drain(struct block *b)
{
    block_kick(b);
    while (b->inflight)
        wait_and_reap(b);
}

// --- whole transfers

struct sync {
    bool done;
    int result;
};

static void sync_done(struct block_request *r, int result)
{
    struct sync *s = r->opaque;
    s->done = true;
    s->result = result;
}

static int run(struct block *b, struct block_request *r)
{
    struct sync s = {0};
    r->done = sync_done;
    r->opaque = &s;
    block_submit(b, r);
    block_kick(b);
    while (!s.done)
        wait_and_reap(b);
    return s.result;
}

int block_read(struct block *b, uint64_t offset, void *buf, size_t len)
{
    struct iovec iov = {buf, len};
    struct block_request r = {.op = BLOCK_READ, .offset = offset, .length = len, .iov = &iov, .iovcnt = 1};
    return run(b, &r);
}

int block_write(struct block *b, uint64_t offset, const void *buf, size_t len)
{
    struct iovec iov = {(void *)(uintptr_t)buf, len};
    struct block_request r = {.op = BLOCK_WRITE, .offset = offset, .length = len, .iov = &iov, .iovcnt = 1};
    return run(b, &r);
}

int block_flush(struct block *b)
{
    struct block_request r = {.op = BLOCK_FLUSH};
    return run(b, &r);
}
