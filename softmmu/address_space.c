// SPDX-License-Identifier: MIT
// Lookups in an address space, device-sized accesses by the CPU, and DMA of any length.
#include "softmmu/as_internal.h"

#include "base/copy.h"
#include "base/log.h"
#include "base/vectors.h"

#include <string.h>

// ---- lookup ----

// The last piece that starts at or before addr. Bounds every index, since the array may be edited meanwhile.
static bool range_search(const struct flat_range *ranges, unsigned n, uint64_t addr, struct flat_range *out)
{
    unsigned lo = 0, hi = n;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        if (ranges[mid].start <= addr) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    if (lo && addr - ranges[lo - 1].start < ranges[lo - 1].len) {
        *out = ranges[lo - 1];
        return true;
    }
    uint64_t next = lo < n ? ranges[lo].start : UINT64_MAX;
    *out = (struct flat_range){.start = addr, .len = next > addr ? next - addr : 1};
    return false;
}

bool as_find(struct address_space *as, uint64_t addr, struct flat_range *out)
{
    for (;;) {
        uint32_t seq = __atomic_load_n(&as->seq, __ATOMIC_ACQUIRE);
        if (UNLIKELY(seq & 1)) {
            __builtin_ia32_pause();
            continue;
        }
        bool found = true;
        if (addr - as->fast[0].start < as->fast[0].len) {
            *out = as->fast[0];
        } else if (addr - as->fast[1].start < as->fast[1].len) {
            *out = as->fast[1];
        } else {
            // The count before the array: an array is only ever replaced by one that has room for more.
            unsigned n = __atomic_load_n(&as->n_ranges, __ATOMIC_ACQUIRE);
            found = range_search(__atomic_load_n(&as->ranges, __ATOMIC_ACQUIRE), n, addr, out);
        }
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (LIKELY(__atomic_load_n(&as->seq, __ATOMIC_RELAXED) == seq)) {
            return found;
        }
    }
}

// The page walker asks for every entry it reads, and nearly all of them lie in the largest RAM range.
static hva fast_ptr(struct address_space *as, gpa addr, uint64_t *run)
{
    uint32_t seq = __atomic_load_n(&as->seq, __ATOMIC_ACQUIRE);
    const struct flat_range *f = &as->fast[0];
    if (addr - f->start >= f->len) {
        f = &as->fast[1];
    }
    uint64_t at = addr - f->start, len = f->len;
    hva host = f->host;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if ((seq & 1) || at >= len || __atomic_load_n(&as->seq, __ATOMIC_RELAXED) != seq) {
        return NULL;
    }
    *run = len - at;
    return host + at;
}

hva as_ram_ptr(struct address_space *as, gpa addr, bool write, uint64_t *run)
{
    struct flat_range f;
    uint64_t left;
    hva host = fast_ptr(as, addr, &left); // never ROM
    if (LIKELY(host)) {
        if (run) {
            *run = left;
        }
        return host;
    }
    if (!as_find(as, addr, &f) || !f.ram || (write && f.rom)) {
        return NULL;
    }
    if (run) {
        *run = f.len - (addr - f.start);
    }
    return f.host + (addr - f.start);
}

hva as_page_ptr(struct address_space *as, gpa page, bool *rom)
{
    struct flat_range f;
    uint64_t run;
    hva fast = fast_ptr(as, page, &run);
    if (LIKELY(fast && run >= PAGE_SIZE && (uint64_t)fast % PAGE_SIZE == 0)) {
        *rom = false;
        return fast;
    }
    if (!as_find(as, page, &f) || !f.ram || f.len - (page - f.start) < PAGE_SIZE) {
        return NULL;
    }
    hva host = f.host + (page - f.start);
    if ((uint64_t)host % PAGE_SIZE) {
        return NULL; // an image that was not placed on a page boundary is memory all the same, byte by byte
    }
    *rom = f.rom;
    return host;
}

static void range_mark_dirty(const struct flat_range *f, uint64_t addr, uint64_t len)
{
    uint64_t first = (uint64_t)(f->host + (addr - f->start) - f->ram->base) >> PAGE_SHIFT;
    uint64_t last = (uint64_t)(f->host + (addr - f->start) + len - 1 - f->ram->base) >> PAGE_SHIFT;
    for (uint64_t p = first; p <= last; p++) {
        uint64_t *word = &f->ram->dirty[p / 64], bit = BIT(p % 64);
        if (!(__atomic_load_n(word, __ATOMIC_RELAXED) & bit)) {
            __atomic_fetch_or(word, bit, __ATOMIC_RELAXED);
        }
    }
}

void as_mark_dirty(struct address_space *as, gpa addr, uint64_t len)
{
    struct flat_range f;
    while (len && as_find(as, addr, &f)) {
        uint64_t n = f.len - (addr - f.start);
        n = n < len ? n : len;
        if (f.ram && !f.rom) {
            range_mark_dirty(&f, addr, n);
        }
        addr += n;
        len -= n;
    }
}

// ---- device registers ----

static uint64_t value_mask(unsigned size) { return size >= 8 ? ~0ull : BIT(8 * size) - 1; }

// The largest naturally aligned piece at offset that fits in size and in the device's widest access.
static unsigned piece_size(uint64_t offset, unsigned size, unsigned max)
{
    unsigned n = max;
    while (n > size || offset % n) {
        n /= 2;
    }
    return n;
}

static unsigned ops_max(const struct io_ops *ops) { return ops->max_size ? ops->max_size : 4; }

static unsigned ops_min(const struct io_ops *ops) { return ops->min_size ? ops->min_size : 1; }

uint64_t region_load(const struct region *r, uint64_t offset, unsigned size)
{
    const struct io_ops *ops = r->ops;
    uint64_t value = 0;
    if (!ops->read) {
        return value_mask(size);
    }
    if (!ops->gpr_only) {
        vectors_save();
    }
    for (unsigned done = 0; done < size;) {
        uint64_t at = offset + done;
        unsigned n = piece_size(at, size - done, ops_max(ops));
        unsigned min = ops_min(ops);
        uint64_t piece;
        if (n < min) {
            unsigned skip = at % min;
            piece = ops->read(r->opaque, at - skip, min) >> (8 * skip);
        } else {
            piece = ops->read(r->opaque, at, n);
        }
        value |= (piece & value_mask(n)) << (8 * done);
        done += n;
    }
    return value;
}

void region_store(const struct region *r, uint64_t offset, uint64_t value, unsigned size)
{
    const struct io_ops *ops = r->ops;
    if (!ops->write) {
        return;
    }
    if (!ops->gpr_only) {
        vectors_save();
    }
    for (unsigned done = 0; done < size;) {
        uint64_t at = offset + done;
        unsigned n = piece_size(at, size - done, ops_max(ops));
        unsigned min = ops_min(ops);
        uint64_t piece = (value >> (8 * done)) & value_mask(n);
        if (n < min) {
            // A register that knows no byte enables: keep the bytes beside the ones written.
            unsigned skip = at % min;
            uint64_t old = ops->read ? ops->read(r->opaque, at - skip, min) : 0;
            piece = (old & ~(value_mask(n) << (8 * skip))) | piece << (8 * skip);
            ops->write(r->opaque, at - skip, piece & value_mask(min), min);
        } else {
            ops->write(r->opaque, at, piece, n);
        }
        done += n;
    }
}

static uint64_t range_load(const struct flat_range *f, uint64_t addr, unsigned size)
{
    if (f->ram) {
        uint64_t v = 0;
        copy_bytes(&v, f->host + (addr - f->start), size);
        return v;
    }
    return region_load(f->region, f->offset + (addr - f->start), size);
}

// One access goes as a whole to the device that decodes its first byte, even where a region of higher
// priority covers a byte further on: a dword at CF8h is PCI's although the byte CF9h is the reset control's.
static bool range_takes(const struct flat_range *f, uint64_t addr, unsigned size)
{
    uint64_t at = addr - f->start;
    return f->len - at >= size || (!f->ram && f->region->size - (f->offset + at) >= size);
}

uint64_t as_load(struct address_space *as, uint64_t addr, unsigned size)
{
    struct flat_range f;
    if (as_find(as, addr, &f) && range_takes(&f, addr, size)) {
        return range_load(&f, addr, size);
    }
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++) { // nothing there, or it straddles the end of a region
        uint64_t byte = addr + i >= addr && as_find(as, addr + i, &f) ? range_load(&f, addr + i, 1) : 0xff;
        value |= (byte & 0xff) << (8 * i);
    }
    return value;
}

static void listeners_ram_written(struct address_space *as, gpa addr, uint64_t len)
{
    vectors_save();
    for (unsigned i = 0; i < as->n_listeners; i++) {
        struct as_listener *l = &as->listeners[i];
        if (l->ram_written) {
            l->ram_written(l->opaque, addr, len);
        }
    }
}

static void range_store(struct address_space *as, const struct flat_range *f, uint64_t addr, uint64_t value,
                        unsigned size)
{
    if (!f->ram) {
        region_store(f->region, f->offset + (addr - f->start), value, size);
    } else if (!f->rom) {
        copy_bytes(f->host + (addr - f->start), &value, size);
        range_mark_dirty(f, addr, size);
        listeners_ram_written(as, addr, size);
    } else if (f->region->ops) {
        region_store(f->region, f->offset + (addr - f->start), value, size);
    }
}

void as_store(struct address_space *as, uint64_t addr, uint64_t value, unsigned size)
{
    struct flat_range f;
    if (as_find(as, addr, &f) && range_takes(&f, addr, size)) {
        range_store(as, &f, addr, value, size);
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        if (addr + i >= addr && as_find(as, addr + i, &f)) {
            range_store(as, &f, addr + i, value >> (8 * i), 1);
        }
    }
}

// ---- DMA ----

// The next piece of a transfer: at most 8 bytes of a device, any length of memory or of nothing.
static uint64_t dma_piece(struct address_space *as, gpa addr, uint64_t len, struct flat_range *f, bool *mapped)
{
    *mapped = as_find(as, addr, f);
    uint64_t n = f->len - (addr - f->start);
    n = n < len ? n : len;
    bool memory = f->ram && !(f->rom && f->region->ops);
    return !*mapped || memory || n < 8 ? n : 8;
}

static void dma_load_io(const struct flat_range *f, gpa addr, uint8_t *to, unsigned len)
{
    for (unsigned n; len; addr += n, to += n, len -= n) {
        n = piece_size(addr, len, 8);
        uint64_t v = range_load(f, addr, n);
        memcpy(to, &v, n);
    }
}

static void dma_store_io(struct address_space *as, const struct flat_range *f, gpa addr, const uint8_t *from,
                         unsigned len)
{
    for (unsigned n; len; addr += n, from += n, len -= n) {
        uint64_t v = 0;
        n = piece_size(addr, len, 8);
        memcpy(&v, from, n);
        range_store(as, f, addr, v, n);
    }
}

bool as_read(struct address_space *as, gpa addr, void *buf, size_t len)
{
    uint8_t *to = buf;
    bool all = true, mapped;
    struct flat_range f;
    for (uint64_t n; len; addr += n, to += n, len -= n) {
        n = dma_piece(as, addr, len, &f, &mapped);
        if (!mapped) {
            memset(to, 0xff, n);
            all = false;
        } else if (f.ram) {
            memcpy(to, f.host + (addr - f.start), n);
        } else {
            dma_load_io(&f, addr, to, (unsigned)n);
        }
    }
    return all;
}

void as_ram_written(struct address_space *as, gpa addr, uint64_t len)
{
    as_mark_dirty(as, addr, len);
    listeners_ram_written(as, addr, len);
}

bool as_write(struct address_space *as, gpa addr, const void *buf, size_t len)
{
    const uint8_t *from = buf;
    bool all = true, mapped;
    struct flat_range f;
    for (uint64_t n; len; addr += n, from += n, len -= n) {
        n = dma_piece(as, addr, len, &f, &mapped);
        if (!mapped) {
            all = false;
        } else if (!f.ram || (f.rom && f.region->ops)) {
            dma_store_io(as, &f, addr, from, (unsigned)n);
        } else if (!f.rom) {
            memcpy(f.host + (addr - f.start), from, n);
            range_mark_dirty(&f, addr, n);
            listeners_ram_written(as, addr, n);
        }
    }
    return all;
}
