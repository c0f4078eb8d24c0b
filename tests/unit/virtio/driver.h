// SPDX-License-Identifier: MIT
// The driver's side of a virtio device, as a test needs it: a small PC with one PCI bus, guest RAM with an
// allocator, virtqueues, and register access through the modern or the legacy interface.
#pragma once

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "hw/pci.h"
#include "virtio/virtio_pci.h"

enum { RAM_SIZE = 32 << 20, DRIVER_QUEUES = 4 };

extern struct address_space *mem, *ports;
extern struct ram ram;
extern struct pci_bus *bus;
extern unsigned msi_count[8]; // by data
extern bool intx_level;       // any PIRQ

void machine_init(void);
void machine_exit(void);
gpa guest_alloc(uint64_t size, uint64_t align); // zeroed
void guest_rewind(gpa to);                      // frees all from there up
void *guest_ptr(gpa a);

// base/loop.h is replaced: posted calls and timers wait until the test runs them.
void loop_run_posted(void);
void loop_run_timers(void); // all that are armed, whatever their time

struct driver_queue {
    unsigned size;
    gpa desc, avail, used;
    uint16_t free_head, avail_idx, seen; // seen: used entries taken
    uint16_t next[1024];
    unsigned notify_offset;
};

struct driver {
    struct virtio_device *dev;
    uint8_t devfn;
    bool modern;
    uint64_t bar; // BAR 4 or BAR 0
    uint64_t features;
    struct driver_queue q[DRIVER_QUEUES];
};

struct segment {
    gpa addr;
    uint32_t len;
    bool write;
};

// Plugs dev in, gives BARs addresses and runs initialization up to FEATURES_OK with want & offered.
void driver_start(struct driver *d, struct virtio_device *dev, const struct virtio_pci_config *cfg, bool modern,
                  uint64_t want);
void driver_queue(struct driver *d, unsigned n, unsigned size);
void driver_ok(struct driver *d);
// Adds a chain (indirect: through a table) and makes it available. Returns its head.
unsigned driver_add(struct driver *d, unsigned n, const struct segment *s, unsigned count, bool indirect);
void driver_kick(struct driver *d, unsigned n);
bool driver_wants_kick(struct driver *d, unsigned n, uint16_t old_avail); // as EVENT_IDX or flags say
// Takes the next used entry. False: none.
bool driver_used(struct driver *d, unsigned n, unsigned *head, uint32_t *len);
uint32_t cfg_read(unsigned devfn, unsigned reg, unsigned size);
void cfg_write(unsigned devfn, unsigned reg, uint32_t v, unsigned size);
// Registers of the common configuration (modern).
uint64_t common_load(struct driver *d, unsigned offset, unsigned size);
void common_store(struct driver *d, unsigned offset, uint64_t v, unsigned size);
int run_suite(TCase *c, const char *name);
