// SPDX-License-Identifier: MIT
// The code cache: memory for translated blocks, mapped writable here and executable there, filled region by
// region. When the last region is full the oldest is evicted: hot code that was in it is simply translated
// again, and the other regions stay.
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/stats.h"
#include "translator/tb.h"

enum { READY_STEP = 256 << 10 };

// Makes the host provide the next pages in one go: page faults one by one cost several times as much. Kernels before
// 5.14 refuse, and the faults come.
static void make_ready(uint8_t **ready, const uint8_t *upto, ptrdiff_t exec)
{
    if (*ready >= upto)
        return;
    uint8_t *from = (uint8_t *)((uintptr_t)*ready & PAGE_MASK);
    madvise(from, READY_STEP, MADV_POPULATE_WRITE);
    if (exec)
        madvise(from + exec, READY_STEP, MADV_POPULATE_READ);
    *ready = from + READY_STEP;
}

static void start_region(struct bt *bt, unsigned region)
{
    struct code_cache *c = &bt->cache;
    c->region = region;
    c->p = c->rw + GLUE_SIZE + region * c->region_size;
    c->cold = c->p + c->region_size / 2;
    c->d = c->data + region * c->region_size;
    c->ready_p = c->p;
    c->ready_cold = c->cold;
    c->ready_d = c->d;
}

int code_cache_init(struct bt *bt, size_t size)
{
    struct code_cache *c = &bt->cache;
    if (size == 0)
        size = 192u << 20; // only what is filled is ever touched
    size_t granule = (size_t)CACHE_REGIONS * PAGE_SIZE;
    size = (size + granule - 1) / granule * granule;
    size_t total = GLUE_SIZE + size;
    c->fd = memfd_create("ring3-code", MFD_CLOEXEC);
    if (c->fd < 0)
        return -errno;
    if (ftruncate(c->fd, (off_t)total))
        goto fail;
    c->rw = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
    if (c->rw == MAP_FAILED)
        goto fail;
    // Code and, right behind it, data: one reservation, so that rel32 always reaches.
    c->rx = mmap(NULL, total + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (c->rx == MAP_FAILED)
        goto fail;
    if (mmap(c->rx, total, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, c->fd, 0) == MAP_FAILED)
        goto fail;
    c->data = c->rx + total;
    c->size = size;
    c->region_size = size / CACHE_REGIONS;
    c->glue_rw = c->rw;
    for (unsigned i = 0; i < CACHE_REGIONS; i++) {
        c->tbs[i] = mmap(NULL, TB_PER_REGION * sizeof(struct tb *), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (c->tbs[i] == MAP_FAILED)
            goto fail;
    }
    start_region(bt, 0);
    return 0;
fail:;
    int err = -errno;
    close(c->fd);
    return err;
}

void code_cache_destroy(struct bt *bt)
{
    struct code_cache *c = &bt->cache;
    munmap(c->rw, GLUE_SIZE + c->size);
    munmap(c->rx, GLUE_SIZE + 2 * c->size);
    for (unsigned i = 0; i < CACHE_REGIONS; i++)
        munmap(c->tbs[i], TB_PER_REGION * sizeof(struct tb *));
    close(c->fd);
}

static void evict_region(struct bt *bt, unsigned region)
{
    struct code_cache *c = &bt->cache;
    for (unsigned i = 0; i < c->ntbs[region]; i++) {
        tb_drop(bt, c->tbs[region][i]);
        stat_inc(STAT_tb_evicted);
    }
    if (c->ntbs[region]) { // indirect-branch entries point to code by address
        const uint8_t *code = c->rx + GLUE_SIZE + region * c->region_size;
        ibl_clear_code(bt, code, code + c->region_size);
    }
    c->ntbs[region] = 0;
    // Whatever the dispatcher held on to may have been there.
    bt->last_link = NULL;
    bt->current = NULL;
}

void code_cache_reserve(struct bt *bt)
{
    struct code_cache *c = &bt->cache;
    uint8_t *cold_end = c->rw + GLUE_SIZE + (c->region + 1) * c->region_size;
    uint8_t *code_end = cold_end - c->region_size / 2;
    uint8_t *data_end = c->data + (c->region + 1) * c->region_size;
    bool room = c->p + TB_MAX_CODE <= code_end && c->cold + TB_MAX_CODE <= cold_end && c->d + TB_MAX_DATA <= data_end &&
                c->ntbs[c->region] < TB_PER_REGION;
    if (!room) {
        unsigned next = (c->region + 1) % CACHE_REGIONS;
        evict_region(bt, next);
        start_region(bt, next);
    }
    make_ready(&c->ready_p, c->p + TB_MAX_CODE, cache_exec(bt));
    make_ready(&c->ready_cold, c->cold + TB_MAX_CODE, cache_exec(bt));
    make_ready(&c->ready_d, c->d + TB_MAX_DATA, 0);
}

static uint8_t *align16(uint8_t *p) { return (uint8_t *)(((uintptr_t)p + 15) & ~(uintptr_t)15); }

void code_cache_commit(struct bt *bt, struct tb *tb, uint8_t *code_end, uint8_t *cold_end, uint8_t *data_end)
{
    struct code_cache *c = &bt->cache;
    tb->region = c->region;
    c->tbs[c->region][c->ntbs[c->region]++] = tb;
    stat_add(STAT_tb_bytes, code_end - c->p);
    stat_add(STAT_tb_cold_bytes, cold_end - c->cold);
    c->p = align16(code_end);
    c->cold = align16(cold_end);
    c->d = align16(data_end);
}

void code_cache_flush(struct bt *bt)
{
    for (unsigned i = 0; i < CACHE_REGIONS; i++)
        evict_region(bt, i);
    start_region(bt, 0);
}

// Async-signal-safe.
struct tb *tb_by_host(struct bt *bt, const uint8_t *host)
{
    struct code_cache *c = &bt->cache;
    const uint8_t *base = c->rx + GLUE_SIZE;
    if (host < base || host >= base + c->size)
        return NULL;
    unsigned region = (host - base) / c->region_size;
    bool cold = (host - base) % c->region_size >= c->region_size / 2; // both parts rise in the same order
    unsigned lo = 0, hi = c->ntbs[region];
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        const struct tb *tb = c->tbs[region][mid];
        if ((cold ? tb->cold : tb->code) <= host)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == 0)
        return NULL;
    struct tb *tb = c->tbs[region][lo - 1];
    return host < (cold ? tb->cold + tb->cold_size : tb->code + tb->code_size) ? tb : NULL;
}

const struct tb_map_entry *tb_map_lookup(const struct tb *tb, const uint8_t *host)
{
    uint32_t off = host - tb->code;
    const struct tb_map_entry *found = NULL;
    for (unsigned i = 0; i < tb->nmap && tb->map[i].host <= off; i++)
        found = &tb->map[i];
    return found;
}
