// SPDX-License-Identifier: MIT
// Raw images: opening and locking them, the snapshot overlay, and requests done step by step by a worker.
#include "base/guest_race.h"
#include "hw/block_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CLUSTER = 4096, ZERO_CHUNK = 1 << 16, BOUNCE = 1 << 20 };

// --- transfers of a part of a request

static unsigned slice(const struct block_request *r, uint64_t skip, uint64_t len, struct iovec *out, unsigned max)
{
    unsigned n = 0;
    for (unsigned i = 0; i < r->iovcnt && len && n < max; i++) {
        size_t have = r->iov[i].iov_len;
        if (skip >= have) {
            skip -= have;
            continue;
        }
        size_t take = have - skip < len ? have - skip : len;
        out[n++] = (struct iovec){(char *)r->iov[i].iov_base + skip, take};
        skip = 0;
        len -= take;
    }
    return n;
}

static void zero_fill(const struct block_request *r, uint64_t skip, uint64_t len)
{
    while (len) {
        struct iovec v;
        if (!slice(r, skip, len, &v, 1))
            return;
        GUEST_RACE_BEGIN();
        memset(v.iov_base, 0, v.iov_len);
        GUEST_RACE_END();
        skip += v.iov_len;
        len -= v.iov_len;
    }
}

// Moves bytes [skip, skip + len) of the request from or to fd at the same place of the image.
static int transfer(struct block *b, struct block_request *r, int fd, uint64_t skip, uint64_t len)
{
    struct iovec v[64];
    int flags = r->op == BLOCK_WRITE && !b->write_cache ? RWF_DSYNC : 0;
    while (len) {
        unsigned n = slice(r, skip, len, v, ARRAY_SIZE(v));
        off_t at = (off_t)(r->offset + skip);
        GUEST_RACE_BEGIN(); // a device's buffers may be guest memory
        ssize_t got = r->op == BLOCK_READ ? preadv(fd, v, (int)n, at) : pwritev2(fd, v, (int)n, at, flags);
        GUEST_RACE_END();
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0) { // the file ends inside its last sector: that reads as zero
            if (r->op == BLOCK_WRITE)
                return -ENOSPC;
            zero_fill(r, skip, len);
            return 0;
        }
        skip += (uint64_t)got;
        len -= (uint64_t)got;
    }
    return 0;
}

// --- O_DIRECT

bool block_raw_aligned(const struct block *b, const struct block_request *r)
{
    uint64_t bits = r->offset;
    if (b->align == 1)
        return true;
    for (unsigned i = 0; i < r->iovcnt; i++)
        bits |= (uintptr_t)r->iov[i].iov_base | r->iov[i].iov_len;
    return !(bits & (b->align - 1));
}

static int full_pread(int fd, void *buf, size_t len, uint64_t at)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(fd, (char *)buf + done, len - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0) {
            memset((char *)buf + done, 0, len - done);
            break;
        }
        done += (size_t)n;
    }
    return 0;
}

static int full_pwrite(int fd, const void *buf, size_t len, uint64_t at, int flags)
{
    size_t done = 0;
    while (done < len) {
        struct iovec v = {(char *)(uintptr_t)buf + done, len - done};
        ssize_t n = pwritev2(fd, &v, 1, (off_t)(at + done), flags);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENOSPC;
        done += (size_t)n;
    }
    return 0;
}

static void copy_part(const struct block_request *r, uint64_t skip, uint8_t *buf, uint64_t len)
{
    while (len) {
        struct iovec v;
        if (!slice(r, skip, len, &v, 1))
            return;
        GUEST_RACE_BEGIN();
        if (r->op == BLOCK_READ)
            memcpy(v.iov_base, buf, v.iov_len);
        else
            memcpy(buf, v.iov_base, v.iov_len);
        GUEST_RACE_END();
        skip += v.iov_len;
        buf += v.iov_len;
        len -= v.iov_len;
    }
}

// Through an aligned buffer; partial blocks are read, changed and written back under the image lock.
static int transfer_bounced(struct block *b, struct block_request *r)
{
    uint8_t *buf;
    if (posix_memalign((void **)&buf, 4096, BOUNCE))
        return -ENOMEM;
    int ret = 0, flags = b->write_cache ? 0 : RWF_DSYNC;
    uint64_t mask = b->align - 1, done = r->progress;
    pthread_mutex_lock(&b->image_lock);
    while (!ret && done < r->length) {
        uint64_t at = r->offset + done, start = at & ~mask, lead = at - start;
        uint64_t n = r->length - done < BOUNCE - lead ? r->length - done : BOUNCE - lead;
        uint64_t span = (lead + n + mask) & ~mask;
        bool partial = lead || span != n;
        if (r->op == BLOCK_READ || partial)
            ret = full_pread(b->fd, buf, span, start);
        if (!ret)
            copy_part(r, done, buf + lead, n);
        if (!ret && r->op == BLOCK_WRITE)
            ret = full_pwrite(b->fd, buf, span, start, flags);
        done += n;
    }
    pthread_mutex_unlock(&b->image_lock);
    free(buf);
    return ret;
}

// --- snapshot overlay

static bool in_overlay(const struct block *b, uint64_t cluster)
{
    return b->overlay_map[cluster / 64] >> cluster % 64 & 1;
}

static int overlay_read(struct block *b, struct block_request *r)
{
    uint64_t done = 0;
    while (done < r->length) {
        uint64_t at = r->offset + done, c = at / CLUSTER;
        bool over = in_overlay(b, c);
        uint64_t end = (c + 1) * CLUSTER;
        while (end < r->offset + r->length && in_overlay(b, end / CLUSTER) == over)
            end += CLUSTER;
        uint64_t n = (end < r->offset + r->length ? end : r->offset + r->length) - at;
        int ret = transfer(b, r, over ? b->overlay_fd : b->fd, done, n);
        if (ret)
            return ret;
        done += n;
    }
    return 0;
}

// A cluster that a write covers only in part needs its old bytes first.
static int copy_up(struct block *b, uint64_t cluster)
{
    uint8_t buf[CLUSTER];
    if (in_overlay(b, cluster))
        return 0;
    int ret = full_pread(b->fd, buf, CLUSTER, cluster * CLUSTER);
    return ret ? ret : full_pwrite(b->overlay_fd, buf, CLUSTER, cluster * CLUSTER, 0);
}

static int overlay_prepare(struct block *b, uint64_t start, uint64_t end)
{
    int ret = 0;
    if (start % CLUSTER)
        ret = copy_up(b, start / CLUSTER);
    if (!ret && end % CLUSTER)
        ret = copy_up(b, end / CLUSTER);
    return ret;
}

static void overlay_mark(struct block *b, uint64_t start, uint64_t end)
{
    for (uint64_t c = start / CLUSTER; c <= (end - 1) / CLUSTER; c++)
        b->overlay_map[c / 64] |= BIT(c % 64);
}

static int write_zeros(struct block *b, struct block_request *r, int fd)
{
    static const uint8_t zeros[ZERO_CHUNK];
    int ret = 0;
    for (uint64_t done = 0; !ret && done < r->length; done += ZERO_CHUNK) {
        uint64_t n = r->length - done < ZERO_CHUNK ? r->length - done : ZERO_CHUNK;
        ret = full_pwrite(fd, zeros, n, r->offset + done, 0);
    }
    return ret;
}

static int overlay_run(struct block *b, struct block_request *r)
{
    uint64_t end = r->offset + r->length;
    int ret = 0;
    pthread_mutex_lock(&b->image_lock);
    if (r->op == BLOCK_READ) {
        ret = overlay_read(b, r);
    } else if (r->op == BLOCK_WRITE || r->op == BLOCK_WRITE_ZEROES) {
        ret = overlay_prepare(b, r->offset, end);
        if (!ret)
            ret = r->op == BLOCK_WRITE ? transfer(b, r, b->overlay_fd, 0, r->length) : write_zeros(b, r, b->overlay_fd);
        if (!ret)
            overlay_mark(b, r->offset, end);
    }
    pthread_mutex_unlock(&b->image_lock);
    return ret;
}

static int overlay_open(struct block *b)
{
    const char *dir = getenv("TMPDIR");
    b->overlay_fd = open(dir && *dir ? dir : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (b->overlay_fd < 0)
        b->overlay_fd = memfd_create("ring3-snapshot", MFD_CLOEXEC);
    if (b->overlay_fd < 0 || ftruncate(b->overlay_fd, (off_t)((b->size + CLUSTER - 1) / CLUSTER * CLUSTER)))
        return -errno;
    b->overlay_map = calloc(b->size / CLUSTER / 64 + 1, 8);
    return b->overlay_map ? 0 : -ENOMEM;
}

// --- whole requests

static bool unsupported(int ret) { return ret == -EOPNOTSUPP || ret == -ENOTTY || ret == -ENOSYS; }

static int punch(struct block *b, struct block_request *r, int mode)
{
    return fallocate(b->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)r->offset, (off_t)r->length) ? -errno : 0;
}

static int run_zeroes(struct block *b, struct block_request *r)
{
    int ret = -EOPNOTSUPP;
    if (r->unmap && b->discard)
        ret = punch(b, r, FALLOC_FL_PUNCH_HOLE);
    if (unsupported(ret))
        ret = punch(b, r, FALLOC_FL_ZERO_RANGE);
    if (!unsupported(ret))
        goto sync;
    if (b->align > 1) { // O_DIRECT wants our zeros aligned
        uint8_t *zeros = calloc(1, r->length < BOUNCE ? r->length : BOUNCE);
        if (!zeros)
            return -ENOMEM;
        ret = 0;
        for (uint64_t done = 0; !ret && done < r->length; done += BOUNCE) {
            struct iovec v = {zeros, r->length - done < BOUNCE ? r->length - done : BOUNCE};
            struct block_request part = {
                .op = BLOCK_WRITE, .offset = r->offset + done, .length = v.iov_len, .iov = &v, .iovcnt = 1};
            ret = transfer_bounced(b, &part);
        }
        free(zeros);
    } else {
        ret = write_zeros(b, r, b->fd);
    }
sync:
    if (!ret && !b->write_cache && fdatasync(b->fd))
        ret = -errno;
    return ret;
}

static int run_discard(struct block *b, struct block_request *r)
{
    if (!b->discard)
        return 0;
    int ret = punch(b, r, FALLOC_FL_PUNCH_HOLE);
    return unsupported(ret) ? 0 : ret; // a discard is only a hint
}

int block_raw_run(struct block *b, struct block_request *r)
{
    if (b->overlay_fd >= 0)
        return overlay_run(b, r);
    switch (r->op) {
    case BLOCK_FLUSH: return fdatasync(b->fd) ? -errno : 0;
    case BLOCK_DISCARD: return run_discard(b, r);
    case BLOCK_WRITE_ZEROES: return run_zeroes(b, r);
    default:
        if (!block_raw_aligned(b, r) || (b->align > 1 && r->progress))
            return transfer_bounced(b, r);
        return transfer(b, r, b->fd, r->progress, r->length - r->progress);
    }
}

// --- opening

static int image_size(int fd, uint64_t *size)
{
    struct stat st;
    if (fstat(fd, &st))
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (S_ISBLK(st.st_mode))
        return ioctl(fd, BLKGETSIZE64, size) ? -errno : 0;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    *size = (uint64_t)st.st_size;
    return 0;
}

// Locks of open file descriptions (fcntl(2), "Open file description locks"): they end with the process.
static int lock_image(int fd, bool exclusive)
{
    struct flock l = {.l_type = exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
    if (!fcntl(fd, F_OFD_SETLK, &l))
        return 0;
    // Some network file systems know no locks: then nobody else holds one either.
    return errno == EAGAIN || errno == EACCES ? -EAGAIN : 0;
}

static unsigned probe_alignment(int fd)
{
    uint8_t *buf;
    unsigned align = 4096;
    if (posix_memalign((void **)&buf, 4096, 8192))
        return align;
    if (pread(fd, buf + BLOCK_SECTOR, BLOCK_SECTOR, BLOCK_SECTOR) >= 0)
        align = BLOCK_SECTOR;
    free(buf);
    return align;
}

static int fail(char err[160], int ret, const struct block_options *o, const char *what)
{
    snprintf(err, 160, "%s '%.100s': %s", what, o->path, strerror(-ret));
    return ret;
}

static int open_image(struct block *b, const struct block_options *o, char err[160])
{
    bool direct = o->cache == BLOCK_CACHE_NONE || o->cache == BLOCK_CACHE_DIRECTSYNC;
    bool write = !o->readonly && !o->snapshot;
    direct &= !o->snapshot;
    b->fd = open(o->path, (write ? O_RDWR : O_RDONLY) | (direct ? O_DIRECT : 0) | O_CLOEXEC | O_NONBLOCK);
    if (b->fd < 0 && errno == EINVAL && direct)
        return fail(err, -EINVAL, o, "file system does not support O_DIRECT (cache=none) for");
    if (b->fd < 0)
        return fail(err, -errno, o, "Could not open");
    int ret = image_size(b->fd, &b->size);
    if (ret)
        return fail(err, ret, o, "not a regular file or block device:");
    if (!o->no_lock && lock_image(b->fd, write)) {
        snprintf(err, 160, "Failed to get \"%s\" lock: is another process using the image [%.80s]?",
                 write ? "write" : "read", o->path);
        return -EAGAIN;
    }
    b->size = (b->size + BLOCK_SECTOR - 1) & ~(uint64_t)(BLOCK_SECTOR - 1);
    if (b->size > INT64_MAX)
        return fail(err, -EFBIG, o, "size of");
    b->align = direct ? probe_alignment(b->fd) : 1;
    if (o->snapshot && (ret = overlay_open(b)))
        return fail(err, ret, o, "Could not create a temporary overlay for");
    return 0;
}

static void release(struct block *b)
{
    if (b->fd >= 0)
        close(b->fd);
    if (b->overlay_fd >= 0)
        close(b->overlay_fd);
    free(b->overlay_map);
    free(b->path);
    free(b);
}

int block_open(const struct block_options *o, struct block **out, char err[160])
{
    struct block *b = calloc(1, sizeof(*b));
    if (!b)
        return -ENOMEM;
    b->fd = b->overlay_fd = -1;
    b->path = strdup(o->path);
    b->readonly = o->readonly;
    b->discard = o->discard;
    b->unsafe = o->cache == BLOCK_CACHE_UNSAFE;
    b->write_cache = o->cache != BLOCK_CACHE_WRITETHROUGH && o->cache != BLOCK_CACHE_DIRECTSYNC;
    int ret = open_image(b, o, err);
    if (ret)
        goto fail;
    ret = block_aio_init(b, o->aio);
    if (ret) {
        fail(err, ret, o, "no asynchronous I/O for");
        goto fail;
    }
    *out = b;
    return 0;
fail:
    release(b);
    return ret;
}

void block_close(struct block *b)
{
    if (!b)
        return;
    block_drain(b);
    if (!b->readonly)
        block_flush(b);
    block_aio_exit(b);
    release(b);
}
