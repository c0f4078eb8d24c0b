// SPDX-License-Identifier: MIT
// The table of device types that -device knows. Private to devices*.c and device_types.c.
#pragma once

#include "frontends/devices.h"
#include "frontends/drives.h"

struct pci_device;
struct device_property {
    const char *name, *help;
};

struct device_type {
    const char *name, *alias, *bus, *help;
    const struct device_property *properties; // ends with a NULL name
    bool pci;                                 // the common PCI and virtio properties, too
    // kv holds the properties. 0 or -EINVAL.
    int (*create)(struct devices *d, struct keyval *kv, struct err *e);
};

struct devices {
    struct devices_config dc;
    struct drive drive[CONFIG_DRIVES + 4]; // and drives without a -drive
    unsigned drive_count;
    struct floppy_place { // what the media of a floppy drive are moved by
        struct fdc *fdc;
        unsigned unit;
    } floppy[2];
    struct net {
        struct netdev *netdev;
        const char *card;
    } net[CONFIG_NETDEVS];
    unsigned net_count, nic_count;
    struct keyval implied[CONFIG_DRIVES + 4 + CONFIG_NETDEVS + 1]; // -device arguments that -drive and -nic stand for
    unsigned implied_count;
    struct vga *vga;
};

// addr= and bus=; *devfn is -1 without an address.
int device_parse_addr(struct keyval *kv, int *devfn, struct err *e);

// An opened -drive for a device that is to be its only user; NULL with a message.
struct drive *devices_take_drive(struct devices *d, const char *id, struct err *e);

// --- device_floppy.c
extern const struct device_property floppy_properties[];
int device_floppy_create(struct devices *d, struct keyval *kv, struct err *e);
int device_floppy_default(struct devices *d, struct err *e); // the drive that every PC has

// Adds the -device that another argument stands for.
int devices_imply(struct devices *d, const char *text, struct err *e);

// --- device_ide.c
extern const struct device_property ide_properties[];
int device_ide_hd_create(struct devices *d, struct keyval *kv, struct err *e);
int device_ide_cd_create(struct devices *d, struct keyval *kv, struct err *e);

// --- device_vga.c
extern const struct device_property vga_properties[];
int device_vga_create(struct devices *d, struct keyval *kv, struct err *e);
bool device_vga_default(const struct config *cfg);

const struct device_type *device_type_find(const char *name);
const struct device_type *device_type_at(unsigned i); // NULL at the end
// Does the type have this property?
bool device_type_has(const struct device_type *t, const char *property);
void device_type_print_properties(const struct device_type *t);

// How the firmware's boot order names a PCI device, and its usual option ROM (NULL: none).
struct device_boot_info {
    const char *kind, *rest, *rom;
};
// bootindex=, or -1. 0 or -EINVAL.
int device_boot_index(struct keyval *kv, int *index, struct err *e);
// bootindex=, romfile= and rombar= of a device that is plugged in. info NULL: nothing to boot from. 0 or -EINVAL.
int device_pci_finish(struct devices *d, struct pci_device *pci, struct keyval *kv, const struct device_boot_info *info,
                      struct err *e);
