// SPDX-License-Identifier: MIT
// How requests become asynchronous: io_uring where the kernel lets us, worker threads elsewhere.
//
// With io_uring, reads, writes and flushes go to the ring straight from the caller's thread. What the page
// cache can serve is complete when io_uring_enter returns, and block_kick() reaps it there and then: no thread
// switch. The rest raises event_fd and is reaped on the I/O thread. Requests that need more than one system
// call (discards, overlays, unaligned O_DIRECT, short transfers) go to a worker.
#include "hw/block_internal.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/loop.h"

// --- completion

static void wake(struct block *b)
{
    uint64_t one = 1;
    ssize_t n = write(b->event_fd, &one, sizeof(one));
    (void)n; // a full counter is readable as well
}

void block_aio_finish(struct block *b, struct block_request *r, int result)
{
    r->result = result;
    pthread_mutex_lock(&b->lock);
    bool first = !b->finished.head;
    block_list_add(&b->finished, r);
    pthread_mutex_unlock(&b->lock);
    if (first)
        wake(b);
}

static void complete(struct block *b, struct block_request *r, int result)
{
    b->inflight--;
    r->done(r, result);
}

// --- workers

static void to_worker(struct block *b, struct block_request *r)
{
    pthread_mutex_lock(&b->lock);
    block_list_add(&b->todo, r);
    pthread_cond_signal(&b->work);
    pthread_mutex_unlock(&b->lock);
}

static void *worker(void *opaque)
{
    struct block *b = opaque;
    pthread_mutex_lock(&b->lock);
    for (;;) {
        struct block_request *r = block_list_take(&b->todo);
        if (r) {
            pthread_mutex_unlock(&b->lock);
            block_aio_finish(b, r, block_raw_run(b, r));
            pthread_mutex_lock(&b->lock);
        } else if (b->stop) {
            break;
        } else {
            pthread_cond_wait(&b->work, &b->lock);
        }
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

static int start_workers(struct block *b, unsigned n)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); // signals belong to the threads that know them
    int ret = 0;
    for (unsigned i = 0; i < n && !ret; i++) {
        ret = -pthread_create(&b->thread[i], NULL, worker, b);
        if (!ret)
            b->workers++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return b->workers ? 0 : ret;
}

// --- io_uring

static bool ring_takes(const struct block *b, const struct block_request *r)
{
    if (!b->uring || b->overlay_fd >= 0)
        return false;
    if (r->op == BLOCK_FLUSH)
        return true;
    return (r->op == BLOCK_READ || r->op == BLOCK_WRITE) && r->iovcnt <= IOV_MAX && block_raw_aligned(b, r);
}

static bool to_ring(struct block *b, struct block_request *r)
{
    if (b->ring_inflight >= BLOCK_RING_ENTRIES)
        return false;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&b->ring);
    if (!sqe)
        return false;
    if (r->op == BLOCK_FLUSH)
        io_uring_prep_fsync(sqe, b->fd, IORING_FSYNC_DATASYNC);
    else if (r->op == BLOCK_READ)
        io_uring_prep_readv2(sqe, b->fd, r->iov, r->iovcnt, r->offset, 0);
    else
        io_uring_prep_writev2(sqe, b->fd, r->iov, r->iovcnt, r->offset, b->write_cache ? 0 : RWF_DSYNC);
    io_uring_sqe_set_data(sqe, r);
    b->ring_inflight++;
    return true;
}

static void refill_ring(struct block *b)
{
    while (b->ring_waiting.head && to_ring(b, b->ring_waiting.head))
        block_list_take(&b->ring_waiting);
}

static void ring_done(struct block *b, struct block_request *r, int res)
{
    b->ring_inflight--;
    bool again = res == -EINTR || res == -EAGAIN;
    bool partial = res >= 0 && r->op != BLOCK_FLUSH && (uint64_t)res < r->length;
    if (again || partial) { // a worker does the rest: it knows about the end of the file, too
        r->progress = again ? 0 : (uint64_t)res;
        to_worker(b, r);
    } else {
        complete(b, r, res < 0 ? res : 0);
    }
}

static void reap_ring(struct block *b)
{
    struct io_uring_cqe *cqe;
    while (io_uring_peek_cqe(&b->ring, &cqe) == 0) {
        struct block_request *r = io_uring_cqe_get_data(cqe);
        int res = cqe->res;
        io_uring_cqe_seen(&b->ring, cqe);
        ring_done(b, r, res);
    }
}

// --- both

void block_aio_start(struct block *b, struct block_request *r)
{
    if (!ring_takes(b, r))
        to_worker(b, r);
    else if (b->ring_waiting.head || !to_ring(b, r))
        block_list_add(&b->ring_waiting, r);
}

void block_aio_kick(struct block *b)
{
    if (!b->uring)
        return;
    refill_ring(b);
    if (!io_uring_sq_ready(&b->ring))
        return;
    // What completes at once is reaped by our caller; the event is for what completes later.
    io_uring_cq_eventfd_toggle(&b->ring, false);
    int ret = io_uring_submit(&b->ring);
    io_uring_cq_eventfd_toggle(&b->ring, true);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (ret < 0) // busy, or no memory for now: the ring keeps the entries, and the event brings us back
        wake(b);
}

void block_aio_reap(struct block *b)
{
    pthread_mutex_lock(&b->lock);
    struct block_request *r = b->finished.head;
    block_list_init(&b->finished);
    pthread_mutex_unlock(&b->lock);
    while (r) {
        struct block_request *next = r->next;
        complete(b, r, r->result);
        r = next;
    }
    if (!b->uring)
        return;
    reap_ring(b);
    if (b->ring_waiting.head || io_uring_sq_ready(&b->ring))
        block_aio_kick(b);
}

static void event(void *opaque, unsigned revents)
{
    struct block *b = opaque;
    uint64_t n;
    ssize_t got = read(b->event_fd, &n, sizeof(n));
    (void)got;
    block_kick(b);
}

int block_aio_init(struct block *b, enum block_aio aio)
{
    pthread_mutex_init(&b->lock, NULL);
    pthread_mutex_init(&b->image_lock, NULL);
    pthread_cond_init(&b->work, NULL);
    block_list_init(&b->todo);
    block_list_init(&b->finished);
    block_list_init(&b->ring_waiting);
    b->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (b->event_fd < 0)
        return -errno;
    int ret = 0;
    if (aio != BLOCK_AIO_THREADS) {
        ret = io_uring_queue_init(BLOCK_RING_ENTRIES, &b->ring, 0);
        if (!ret && (ret = io_uring_register_eventfd(&b->ring, b->event_fd)))
            io_uring_queue_exit(&b->ring);
        b->uring = !ret;
        if (ret && aio == BLOCK_AIO_IO_URING)
            goto fail;
    }
    ret = start_workers(b, b->uring && b->overlay_fd < 0 ? 1 : BLOCK_WORKERS);
    if (ret)
        goto fail;
    b->watch = loop_watch_new(b->event_fd, LOOP_READ, event, b);
    if (b->watch)
        return 0;
    ret = -ENOMEM;
fail:
    block_aio_exit(b);
    return ret;
}

void block_aio_exit(struct block *b)
{
    if (b->watch)
        loop_watch_free(b->watch);
    pthread_mutex_lock(&b->lock);
    b->stop = true;
    pthread_cond_broadcast(&b->work);
    pthread_mutex_unlock(&b->lock);
    for (unsigned i = 0; i < b->workers; i++)
        pthread_join(b->thread[i], NULL);
    if (b->uring)
        io_uring_queue_exit(&b->ring);
    close(b->event_fd);
    pthread_cond_destroy(&b->work);
    pthread_mutex_destroy(&b->lock);
    pthread_mutex_destroy(&b->image_lock);
}
