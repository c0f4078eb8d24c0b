// SPDX-License-Identifier: MIT
// The drives of the machine: what -drive, -hda, -cdrom and their like name, and their media.
//
// A drive has the id of its -drive, or the one QEMU would give it: ide0-hd0, ide1-cd0, floppy0, virtio0.
#pragma once

#include "frontends/options.h"

struct block;
struct devices;

enum drive_if { DRIVE_IDE, DRIVE_FLOPPY, DRIVE_VIRTIO, DRIVE_NONE };

// How a device with removable media moves them. Big lock held.
struct drive_media_ops {
    int (*eject)(void *opaque, bool force);       // opens the tray; -EBUSY: the guest has locked it
    struct block *(*take)(void *opaque);          // the medium out of the open tray; NULL: none
    int (*insert)(void *opaque, struct block *b); // and closes the tray; -EFBIG: not for this drive
    void (*status)(void *opaque, bool *tray_open, bool *locked);
};

struct drive {
    char id[64];
    enum drive_if iface;
    unsigned bus, unit;                  // IDE and floppy
    bool cd;                             // media=cdrom
    const char *serial, *device;         // device: id of the -device that has it, or NULL
    struct block *block;                 // NULL: no medium
    bool taken;                          // by a device
    const struct drive_media_ops *media; // NULL: not removable
    void *media_opaque;
    void (*tray_moved)(void *opaque, const struct drive *drive, bool open); // NULL: nobody is interested
    void *tray_opaque;
};

// --- set-up, for devices.c and the device types

int drives_check(struct keyval *kv, struct err *e);    // names and values, before anything is opened
int drives_open_all(struct devices *d, struct err *e); // and adds the devices that if= implies
// A drive without a medium, for a device without drive=. NULL: too many.
struct drive *drives_add_empty(struct devices *d, const char *id, enum drive_if iface, unsigned bus, unsigned unit);
void drives_set_media_ops(struct drive *drive, const struct drive_media_ops *ops, void *opaque);

// --- for monitors; big lock held. id is the drive's, or its device's.

void drives_for_each(struct devices *d, void (*fn)(void *opaque, const struct drive *drive), void *opaque);
struct drive *drives_by_id(struct devices *d, const char *id); // NULL: none
// Calls moved when a tray moves, whoever moved it.
void drives_on_tray(struct devices *d, void (*moved)(void *opaque, const struct drive *drive, bool open), void *opaque);
// Opens the tray and takes the medium out. -EBUSY with a message: the guest has locked it (and was asked).
int drives_eject(struct devices *d, const char *id, bool force, struct err *e);
// Ejects what is there and inserts this image. The sandbox lets files be opened for reading only.
int drives_change(struct devices *d, const char *id, const char *path, bool force, struct err *e);
