// SPDX-License-Identifier: MIT
// Guest RAM: private memory mapped where none of its aliases at multiples of 2^40 can ever be memory.
//
// The shadow page tables fold a 64-bit guest address to 40 bits and have no tag (shadowpt/shadow.h): an
// address that shares a slot with another one reaches host RAM + k * 2^40. So for every k those bytes are
// reserved PROT_NONE, with a margin on both sides for an access that straddles the end of RAM. The host's
// user half is 2^47 bytes: 128 reservations. Reserved address space costs no memory.
#include "softmmu/address_space.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif

#define ALIAS_SHIFT 40
// All RAM of the process lies in one 2^40-aligned stripe: shadowpt tells a right address from an alias by it.
// The sanitizers keep their own memory in most stripes, so their builds reserve only that one, and do not guard
// aliases; ThreadSanitizer allows mappings only near the top.
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define HOME 126
#define FIRST_STRIPE HOME
#define STRIPES (HOME + 1)
#define FIRST_TRY (BIT(39) + (16ull << 30))
#elif defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define HOME 32
#define FIRST_STRIPE HOME
#define STRIPES (HOME + 1)
#define FIRST_TRY TRY_STEP
#else
#define HOME 32
#define FIRST_STRIPE 0
#define STRIPES 128 // 2^47 / 2^40
#define FIRST_TRY TRY_STEP
#endif
#define MARGIN ((uint64_t)2 << 20)
#define TRIES 240
#define TRY_STEP ((uint64_t)4 << 30)

static void unreserve(uint64_t low, uint64_t len, unsigned n)
{
    for (unsigned k = FIRST_STRIPE; k < n; k++) {
        munmap((void *)(((uint64_t)k << ALIAS_SHIFT) + low), len);
    }
}

// Reserves [low, low+len) in each stripe, or nothing.
static int reserve(uint64_t low, uint64_t len)
{
    for (unsigned k = FIRST_STRIPE; k < STRIPES; k++) {
        void *want = (void *)(((uint64_t)k << ALIAS_SHIFT) + low);
        void *got = mmap(want, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1,
                         0);
        if (got == want) {
            continue;
        }
        int err = got == MAP_FAILED ? errno : EEXIST; // a kernel before 4.17 takes the address for a hint
        if (got != MAP_FAILED) {
            munmap(got, len);
        }
        unreserve(low, len, k);
        return -err;
    }
    return 0;
}

static int reserve_somewhere(uint64_t len, uint64_t *low)
{
    int err = -ENOMEM;
    for (unsigned i = 0; i < TRIES; i++) {
        *low = FIRST_TRY + TRY_STEP * i;
        if (*low + len > BIT(ALIAS_SHIFT)) {
            break;
        }
        err = reserve(*low, len);
        if (err != -EEXIST) {
            return err;
        }
    }
    return err;
}

int ram_create(struct ram *ram, uint64_t size)
{
    uint64_t low, len = size + 2 * MARGIN;
    int err;

    memset(ram, 0, sizeof(*ram));
    if (size == 0 || size % PAGE_SIZE || size > BIT(39)) {
        return -EINVAL;
    }
    ram->dirty = calloc((size / PAGE_SIZE + 63) / 64, sizeof(uint64_t));
    if (!ram->dirty) {
        return -ENOMEM;
    }
    err = reserve_somewhere(len, &low);
    if (err) {
        goto fail_dirty;
    }
    void *want = (void *)(((uint64_t)HOME << ALIAS_SHIFT) + low + MARGIN);
    void *got = mmap(want, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
                     0);
    if (got == MAP_FAILED) {
        err = -errno;
        goto fail_reserved;
    }
    ram->base = got;
    ram->size = size;
    return 0;

fail_reserved:
    unreserve(low, len, STRIPES);
fail_dirty:
    free(ram->dirty);
    memset(ram, 0, sizeof(*ram));
    return err;
}

void ram_destroy(struct ram *ram)
{
    if (!ram->base) {
        return;
    }
    uint64_t low = ((uint64_t)ram->base & (BIT(ALIAS_SHIFT) - 1)) - MARGIN;
    unreserve(low, ram->size + 2 * MARGIN, STRIPES); // the RAM itself lies in one of them
    free(ram->dirty);
    memset(ram, 0, sizeof(*ram));
}
