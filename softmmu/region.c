// SPDX-License-Identifier: MIT
// The region list of an address space, and the flat view that is rebuilt when it changes.
//
// Runs at set-up or from device callbacks (BAR moves, PAM registers), under the big lock.
#include "softmmu/as_internal.h"

#include "base/vectors.h"

#include <stdlib.h>
#include <string.h>
#include <stdio.h>

// ---- the flat view ----

static uint64_t region_end(const struct region *r) // exclusive, inside the address space
{
    uint64_t room = r->as->size - r->base;
    return r->base + (r->size < room ? r->size : room);
}

static bool region_visible(const struct region *r) { return r->enabled && r->size && r->base < r->as->size; }

// The topmost region at addr: highest priority, the latest among equals. *until shrinks to where that may
// change.
static struct region *region_top(struct address_space *as, uint64_t addr, uint64_t *until)
{
    struct region *top = NULL;
    *until = as->size;
    for (struct region *r = as->regions; r; r = r->next) {
        if (!region_visible(r) || region_end(r) <= addr) {
            continue;
        }
        if (r->base > addr) {
            *until = r->base < *until ? r->base : *until;
            continue;
        }
        *until = region_end(r) < *until ? region_end(r) : *until;
        if (!top || r->priority >= top->priority) {
            top = r;
        }
    }
    return top;
}

static void range_fill(struct flat_range *f, struct region *r, uint64_t start, uint64_t len)
{
    *f = (struct flat_range){.start = start, .len = len, .region = r, .offset = start - r->base};
    if (r->kind != REGION_IO) {
        f->ram = r->ram;
        f->host = r->ram->base + r->ram_offset + f->offset;
        f->rom = r->kind == REGION_ROM;
    }
}

// Each step ends at a region's first or last byte, so there are at most 2n+1 pieces.
static unsigned flat_build(struct address_space *as, struct flat_range *out)
{
    unsigned n = 0;
    uint64_t addr = 0, until;
    while (addr < as->size) {
        struct region *r = region_top(as, addr, &until);
        if (r && n && out[n - 1].region == r && out[n - 1].start + out[n - 1].len == addr) {
            out[n - 1].len += until - addr;
        } else if (r) {
            range_fill(&out[n++], r, addr, until - addr);
        }
        addr = until;
    }
    return n;
}

static void fast_pick(struct address_space *as)
{
    memset(as->fast, 0, sizeof(as->fast));
    for (unsigned i = 0; i < as->n_ranges; i++) {
        struct flat_range *f = &as->ranges[i];
        if (!f->ram || f->rom) {
            continue;
        }
        if (f->len > as->fast[0].len) {
            as->fast[1] = as->fast[0];
            as->fast[0] = *f;
        } else if (f->len > as->fast[1].len) {
            as->fast[1] = *f;
        }
    }
}

static void flat_rebuild(struct address_space *as)
{
    __atomic_store_n(&as->seq, as->seq + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    as->n_ranges = flat_build(as, as->ranges);
    fast_pick(as);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&as->seq, as->seq + 1, __ATOMIC_RELEASE);
}

static void map_changed(struct address_space *as, uint64_t base, uint64_t size)
{
    vectors_save();
    flat_rebuild(as);
    for (unsigned i = 0; i < as->n_listeners; i++) {
        struct as_listener *l = &as->listeners[i];
        if (l->map_changed) {
            l->map_changed(l->opaque, base, size);
        }
    }
}

// Room for the pieces of n regions, so that a rebuild never allocates and cannot fail.
static bool flat_reserve(struct address_space *as, unsigned n)
{
    unsigned need = 2 * n + 1;
    if (need <= as->cap) {
        return true;
    }
    unsigned cap = as->cap ? 2 * as->cap : 64;
    while (cap < need) {
        cap *= 2;
    }
    struct flat_range *bigger = calloc(cap, sizeof(*bigger));
    if (!bigger || as->n_outgrown == ARRAY_SIZE(as->outgrown)) {
        free(bigger);
        return false;
    }
    if (as->ranges) {
        memcpy(bigger, as->ranges, as->n_ranges * sizeof(*bigger));
        as->outgrown[as->n_outgrown++] = as->ranges;
    }
    __atomic_store_n(&as->ranges, bigger, __ATOMIC_RELEASE);
    as->cap = cap;
    return true;
}

// ---- the public side ----

struct address_space *as_create(const char *name, uint64_t size)
{
    struct address_space *as = calloc(1, sizeof(*as));
    if (!as) {
        return NULL;
    }
    snprintf(as->name, sizeof(as->name), "%s", name);
    as->size = size;
    as->tail = &as->regions;
    if (!flat_reserve(as, 16)) {
        free(as);
        return NULL;
    }
    return as;
}

void as_destroy(struct address_space *as)
{
    if (!as) {
        return;
    }
    for (struct region *r = as->regions, *next; r; r = next) {
        next = r->next;
        free(r);
    }
    for (unsigned i = 0; i < as->n_outgrown; i++) {
        free(as->outgrown[i]);
    }
    free(as->ranges);
    free(as);
}

static struct region *region_add(struct address_space *as, const char *name, const struct region *init)
{
    vectors_save();
    struct region *r = malloc(sizeof(*r));
    if (!r || !flat_reserve(as, as->n_regions + 1)) {
        free(r);
        return NULL;
    }
    *r = *init;
    r->as = as;
    r->enabled = true;
    snprintf(r->name, sizeof(r->name), "%s", name);
    *as->tail = r;
    as->tail = &r->next;
    as->n_regions++;
    map_changed(as, r->base, r->size);
    return r;
}

struct region *as_map_ram(struct address_space *as, const char *name, uint64_t base, uint64_t size, struct ram *ram,
                          uint64_t ram_offset, bool readonly, int priority)
{
    if (ram_offset > ram->size || size > ram->size - ram_offset) {
        return NULL;
    }
    const struct region init = {
        .base = base,
        .size = size,
        .ram = ram,
        .ram_offset = ram_offset,
        .priority = priority,
        .kind = readonly ? REGION_ROM : REGION_RAM,
    };
    return region_add(as, name, &init);
}

struct region *as_map_rom_io(struct address_space *as, const char *name, uint64_t base, uint64_t size, struct ram *ram,
                             uint64_t ram_offset, const struct io_ops *ops, void *opaque, int priority)
{
    if (ram_offset > ram->size || size > ram->size - ram_offset) {
        return NULL;
    }
    const struct region init = {
        .base = base,
        .size = size,
        .ram = ram,
        .ram_offset = ram_offset,
        .ops = ops,
        .opaque = opaque,
        .priority = priority,
        .kind = REGION_ROM,
    };
    return region_add(as, name, &init);
}

struct region *as_map_io(struct address_space *as, const char *name, uint64_t base, uint64_t size,
                         const struct io_ops *ops, void *opaque, int priority)
{
    const struct region init = {
        .base = base,
        .size = size,
        .ops = ops,
        .opaque = opaque,
        .priority = priority,
        .kind = REGION_IO,
    };
    return region_add(as, name, &init);
}

void as_unmap(struct region *r)
{
    if (!r) {
        return;
    }
    struct address_space *as = r->as;
    struct region **p = &as->regions;
    while (*p != r) {
        p = &(*p)->next;
    }
    *p = r->next;
    if (as->tail == &r->next) {
        as->tail = p;
    }
    as->n_regions--;
    map_changed(as, r->base, r->size);
    free(r);
}

void as_move(struct region *r, uint64_t new_base)
{
    uint64_t old = r->base;
    if (old == new_base) {
        return;
    }
    r->base = new_base;
    if (r->enabled) {
        map_changed(r->as, old, r->size);
        map_changed(r->as, new_base, r->size);
    }
}

void as_set_enabled(struct region *r, bool enabled)
{
    if (r->enabled != enabled) {
        r->enabled = enabled;
        map_changed(r->as, r->base, r->size);
    }
}

void as_add_listener(struct address_space *as, const struct as_listener *l)
{
    if (as->n_listeners < AS_MAX_LISTENERS) {
        as->listeners[as->n_listeners++] = *l;
    }
}

void as_for_each(struct address_space *as,
                 void (*fn)(void *opaque, const char *name, uint64_t base, uint64_t size, const char *kind),
                 void *opaque)
{
    static const char *const kinds[2][3] = {{"ram (off)", "rom (off)", "i/o (off)"}, {"ram", "rom", "i/o"}};
    // The list is in order of creation; regions are few, so pick the next by address each time.
    const struct region *last = NULL;
    for (unsigned i = 0; i < as->n_regions; i++) {
        const struct region *best = NULL;
        bool passed_last = last == NULL;
        for (const struct region *r = as->regions; r; r = r->next) {
            bool after = !last || r->base > last->base || (r->base == last->base && passed_last && r != last);
            passed_last |= r == last;
            if (after && (!best || r->base < best->base)) {
                best = r;
            }
        }
        if (!best) {
            return;
        }
        fn(opaque, best->name, best->base, best->size, kinds[best->enabled][best->kind]);
        last = best;
    }
}
