// SPDX-License-Identifier: MIT
// What -device, -drive, -netdev, -nic and -object ask for: checked, opened, created and plugged in.
#pragma once

#include "frontends/chardevs.h"
#include "frontends/options.h"
#include "softmmu/address_space.h"

struct block;
struct netdev;
struct pci_bus;
struct boot_order;
struct piix3_ide;
struct fdc;
struct display;

struct devices;
struct devices_config {
    struct config *cfg;
    struct address_space *ports;
    struct pci_bus *bus;
    struct fdc *fdc;
    struct boot_order *boot_order; // for bootindex=
    bool firmware;                 // it runs: option ROMs are of use
    struct piix3_ide *ide;
    struct chardevs *chardevs;
    struct display *screen;                       // for the graphics adapter
    void (*debug_exit)(void *opaque, int status); // isa-debug-exit
    void *opaque;
};

// Names and properties, before anything is opened. 0 or -EINVAL.
int devices_check(struct config *cfg, struct err *e);
int devices_create(const struct devices_config *dc, struct devices **out, struct err *e);
// Big lock held: waits for what is under way and flushes the disks. NULL is fine.
void devices_destroy(struct devices *d);
void devices_for_each_block(struct devices *d, void (*fn)(void *opaque, const char *id, struct block *b), void *opaque);
void devices_for_each_net(struct devices *d, void (*fn)(void *opaque, const char *card, struct netdev *n),
                          void *opaque);

// Will there be a VGA, by default or by -device?
bool device_vga_wanted(const struct config *cfg);
void devices_print_help(void);                                 // -device help
int devices_print_properties(const char *name, struct err *e); // -device NAME,help
