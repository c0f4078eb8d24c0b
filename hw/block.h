// SPDX-License-Identifier: MIT
// Block back ends: an image that devices read and write asynchronously.
//
// The device is the front end. It fills a struct block_request, hands it to block_submit() and gets done()
// back with the big lock held: on the I/O thread, or inside block_kick() or block_drain() on the caller's.
// Never inside block_submit().
#pragma once

#include "base/types.h"
#include <sys/uio.h>

enum block_op { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_WRITE_ZEROES };

struct block;
struct block_request {
    enum block_op op;
    uint64_t offset;   // bytes; with length inside block_size(), checked by block_submit
    uint64_t length;   // bytes; for reads and writes the sum of iov
    struct iovec *iov; // stays valid until done
    unsigned iovcnt;   // any number
    bool unmap;        // write zeroes: the space may be given back
    void (*done)(struct block_request *r, int result); // 0 or -errno
    void *opaque;
    // --- the back end's own
    struct block_request *next;
    uint64_t progress; // bytes done before the rest was handed to a worker
    int result;
};

enum block_cache { // as in QEMU's cache=
    BLOCK_CACHE_WRITEBACK,
    BLOCK_CACHE_NONE,
    BLOCK_CACHE_WRITETHROUGH,
    BLOCK_CACHE_DIRECTSYNC,
    BLOCK_CACHE_UNSAFE,
};
enum block_aio { BLOCK_AIO_AUTO, BLOCK_AIO_THREADS, BLOCK_AIO_IO_URING };

struct block_options {
    const char *path;
    bool readonly;
    bool snapshot; // writes go to an anonymous overlay that ends with the process
    bool no_lock;  // file.locking=off
    enum block_cache cache;
    enum block_aio aio;
    bool discard; // discard=unmap: pass discards on
};

// Opens a raw image or block device. On an error returns -errno and a message for the user in err.
int block_open(const struct block_options *o, struct block **out, char err[160]);
void block_close(struct block *b);          // drains and flushes; NULL is fine
uint64_t block_size(const struct block *b); // bytes
bool block_readonly(const struct block *b);
unsigned block_alignment(const struct block *b); // of offsets, lengths and buffers for O_DIRECT; 1 without
// Does a completed write mean it is on stable storage (writethrough, directsync)? The guest may change this
// (virtio-blk's CONFIG_WCE, IDE's SET FEATURES).
bool block_write_cache(const struct block *b);
void block_set_write_cache(struct block *b, bool on);
const char *block_name(const struct block *b);     // its path
const char *block_aio_name(const struct block *b); // "io_uring" or "threads", for `info block`

// Big lock held for all of these.
void block_submit(struct block *b, struct block_request *r);
void block_kick(struct block *b);  // after a batch of submits: starts them, and reaps what is finished already
void block_drain(struct block *b); // returns when every submitted request is done

// For firmware-speed devices (PIO, boot loaders): whole transfers at once. 0 or -errno.
int block_read(struct block *b, uint64_t offset, void *buf, size_t len);
int block_write(struct block *b, uint64_t offset, const void *buf, size_t len);
int block_flush(struct block *b);
