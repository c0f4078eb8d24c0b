// SPDX-License-Identifier: MIT
// The inside of an address space: the region list (region.c) and the flat view made from it
// (address_space.c).
#pragma once

#include "softmmu/address_space.h"

enum region_kind { REGION_RAM, REGION_ROM, REGION_IO };

struct region {
    struct address_space *as;
    struct region *next; // in order of creation
    char name[40];
    uint64_t base, size;
    enum region_kind kind;
    int priority;
    bool enabled;
    struct ram *ram; // REGION_RAM, REGION_ROM
    uint64_t ram_offset;
    const struct io_ops *ops; // REGION_IO; REGION_ROM: takes the stores, or NULL
    void *opaque;
};

// One piece of the flat view: [start, start+len) is seen as one region. Pieces are sorted and disjoint.
struct flat_range {
    uint64_t start, len;
    struct region *region;
    uint64_t offset; // of start in the region
    struct ram *ram; // NULL for devices
    hva host;        // of start, if RAM or ROM
    bool rom;
};

enum { AS_MAX_LISTENERS = 64, AS_FAST_RANGES = 2 };

// The flat view is edited in place under the big lock and read without it (every page walk reads it), so
// it carries a sequence number: odd while it is edited; a reader that saw it move reads again. Arrays that
// were outgrown stay allocated until the address space goes, so that a late reader reads stale bytes at
// worst.
struct address_space {
    char name[24];
    uint64_t size;
    struct region *regions, **tail;
    unsigned n_regions;

    uint32_t seq;
    unsigned n_ranges, cap;
    struct flat_range *ranges;
    struct flat_range fast[AS_FAST_RANGES]; // copies of the largest RAM ranges, looked at first

    struct flat_range *outgrown[32]; // capacities double, so 32 is never reached
    unsigned n_outgrown;

    struct as_listener listeners[AS_MAX_LISTENERS];
    unsigned n_listeners;
};

// The piece that holds addr, copied out consistently. False if nothing is mapped there; *out is the hole then
// (start is addr, len reaches to the next region).
bool as_find(struct address_space *as, uint64_t addr, struct flat_range *out);
// One access to a device's registers, whatever its size and alignment; it must lie inside the region.
uint64_t region_load(const struct region *r, uint64_t offset, unsigned size);
void region_store(const struct region *r, uint64_t offset, uint64_t value, unsigned size);
