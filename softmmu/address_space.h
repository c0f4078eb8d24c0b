// SPDX-License-Identifier: MIT
// An address space: guest-physical memory or I/O ports, as a sorted list of regions.
//
// A region is RAM (bytes in the one guest-RAM memfd), ROM (RAM that CPU stores do
// not change) or a device (MMIO or ports). Later regions go on top of earlier ones
// (priority is explicit), as a BAR goes on top of a hole.
#pragma once

#include "base/types.h"

// A device's registers. offset is from the start of the region; size is 1, 2, 4 or 8.
struct io_ops {
    uint64_t (*read)(void *opaque, uint64_t offset, unsigned size);
    void (*write)(void *opaque, uint64_t offset, uint64_t value, unsigned size);
    // Accesses narrower/wider than these are merged or split by the address space.
    // 0 means 1 and 4.
    unsigned min_size, max_size;
    // Built with general registers only, and so is what they call before vectors_save() (base/vectors.h). What is
    // not is called with the vector state saved. tests/tree/vectors.py follows their code.
    bool gpr_only;
};

// Guest RAM: one memfd, mapped once read-write for the VMM. Untouched pages cost nothing.
struct ram {
    hva base;        // host address of byte 0
    uint64_t size;   // bytes, a multiple of PAGE_SIZE
    uint64_t *dirty; // bitmap, one bit a page: written since last cleared
};
int ram_create(struct ram *ram, uint64_t size); // 0 or -errno
void ram_destroy(struct ram *ram);

struct address_space;
struct region;

struct address_space *as_create(const char *name, uint64_t size);
void as_destroy(struct address_space *as);

// Map and unmap. All return a region handle, or NULL if out of memory.
struct region *as_map_ram(struct address_space *as, const char *name, uint64_t base, uint64_t size, struct ram *ram,
                          uint64_t ram_offset, bool readonly, int priority);
struct region *as_map_io(struct address_space *as, const char *name, uint64_t base, uint64_t size,
                         const struct io_ops *ops, void *opaque, int priority);
// Memory to read and run, whose stores go to ops->write (shadow RAM behind a ROM, flash).
struct region *as_map_rom_io(struct address_space *as, const char *name, uint64_t base, uint64_t size, struct ram *ram,
                             uint64_t ram_offset, const struct io_ops *ops, void *opaque, int priority);
void as_unmap(struct region *r);
void as_move(struct region *r, uint64_t new_base);
// A disabled region stays in the list and is passed over (BAR decoding off, A20, PAM).
void as_set_enabled(struct region *r, bool enabled);

// One device-sized access by the CPU; unmapped reads give all ones, unmapped writes are dropped.
// Port and MMIO regions: call with the big lock held.
uint64_t as_load(struct address_space *as, uint64_t addr, unsigned size);
void as_store(struct address_space *as, uint64_t addr, uint64_t value, unsigned size);

// DMA and loaders: any length, over any mix of regions. A device that masters the bus uses these
// and nothing else. Returns false if any byte was unmapped (those read as 0xff).
// Writes into RAM call the code hook (below) and set dirty bits.
bool as_read(struct address_space *as, gpa addr, void *buf, size_t len);
bool as_write(struct address_space *as, gpa addr, const void *buf, size_t len);
// A device stored [addr, addr + len) itself, through as_ram_ptr: calls the code hook and sets dirty bits.
void as_ram_written(struct address_space *as, gpa addr, uint64_t len);

// Host address of a guest-physical RAM or ROM byte, or NULL if it is not memory.
// *run (if not NULL) gets how many bytes from there are host-contiguous. write: refuse ROM.
hva as_ram_ptr(struct address_space *as, gpa addr, bool write, uint64_t *run);
// Same question by page for the shadow page tables; *rom is set for ROM pages.
hva as_page_ptr(struct address_space *as, gpa page, bool *rom);
// Sets the dirty bits of [addr, addr+len): for whoever writes through one of these pointers.
void as_mark_dirty(struct address_space *as, gpa addr, uint64_t len);

// The engine learns of memory written behind the CPU's back, and of mapping changes.
struct as_listener {
    // [addr, addr+len) of RAM is about to be/was written by DMA. Called after the write.
    void (*ram_written)(void *opaque, gpa addr, uint64_t len);
    // The map of [addr, addr+len) changed: forget translations and shadow entries.
    void (*map_changed)(void *opaque, gpa addr, uint64_t len);
    void *opaque;
};
void as_add_listener(struct address_space *as, const struct as_listener *l);

// For `info mtree`: calls fn for every region in address order.
void as_for_each(struct address_space *as,
                 void (*fn)(void *opaque, const char *name, uint64_t base, uint64_t size, const char *kind),
                 void *opaque);
