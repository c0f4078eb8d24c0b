// SPDX-License-Identifier: MIT
// What the block back end's files share: block.c (requests), block_raw.c (the image), block_aio.c (engines).
#pragma once

#include "hw/block.h"

#include <liburing.h>
#include <pthread.h>

struct loop_watch;

enum { BLOCK_WORKERS = 4, BLOCK_RING_ENTRIES = 128, BLOCK_SECTOR = 512 };

struct block_list { // FIFO of requests
    struct block_request *head, **tail;
};
static inline void block_list_init(struct block_list *l)
{
    l->head = NULL;
    l->tail = &l->head;
}
static inline void block_list_add(struct block_list *l, struct block_request *r)
{
    r->next = NULL;
    *l->tail = r;
    l->tail = &r->next;
}
static inline struct block_request *block_list_take(struct block_list *l)
{
    struct block_request *r = l->head;
    if (r && !(l->head = r->next))
        l->tail = &l->head;
    return r;
}

struct block {
    char *path;
    int fd;
    uint64_t size; // as the guest sees it: whole sectors
    unsigned align;
    bool readonly, discard, unsafe, write_cache;

    // Copy-on-write overlay (snapshot=on): a cluster is in the overlay if its bit is set.
    int overlay_fd; // -1: none
    uint64_t *overlay_map;
    pthread_mutex_t image_lock; // overlay, and read-modify-write of partial O_DIRECT blocks

    unsigned inflight; // submitted, done() not yet called
    int event_fd;      // written when a completion waits
    struct loop_watch *watch;

    // Workers.
    pthread_mutex_t lock; // guards what follows
    pthread_cond_t work;
    struct block_list todo, finished;
    bool stop;
    unsigned workers;
    pthread_t thread[BLOCK_WORKERS];

    // io_uring.
    bool uring;
    struct io_uring ring;
    unsigned ring_inflight;         // SQEs made and not reaped
    struct block_list ring_waiting; // no room in the ring
};

// block_raw.c: does the whole request, blocking. Any thread. 0 or -errno.
int block_raw_run(struct block *b, struct block_request *r);
// Is r aligned enough to go to the kernel as it is?
bool block_raw_aligned(const struct block *b, const struct block_request *r);

// block_aio.c
int block_aio_init(struct block *b, enum block_aio aio);
void block_aio_exit(struct block *b);
void block_aio_start(struct block *b, struct block_request *r);
void block_aio_finish(struct block *b, struct block_request *r, int result); // completes at the next reap
void block_aio_kick(struct block *b);
void block_aio_reap(struct block *b); // calls done() of all that is finished
