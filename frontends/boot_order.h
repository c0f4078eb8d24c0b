// SPDX-License-Identifier: MIT
// The order in which the firmware tries devices: their bootindex= and their OpenFirmware paths.
//
// A path is what SeaBIOS builds for the device (boot.c), for example
//     /pci@i0cf8/scsi@3/disk@0,0                a virtio disk in slot 3
//     /pci@i0cf8/ethernet@4/ethernet-phy@0      a network card in slot 4
//     /pci@i0cf8/ide@1,1/drive@0/disk@1         the slave of the first IDE channel
//     /pci@i0cf8/isa@1/fdc@03f0/floppy@0        the first floppy drive
//     /rom@genroms/NAME                         an option ROM
#pragma once

#include "frontends/keyval.h"

struct boot_order;

struct boot_order *boot_order_create(void); // NULL if out of memory
void boot_order_destroy(struct boot_order *o);
// 0, or -EINVAL with a message: the index is taken.
int boot_order_add(struct boot_order *o, int bootindex, const char *path, struct err *e);
// A PCI function: kind is "scsi", "ethernet", "ide", ...; rest starts with '/' or is empty.
int boot_order_add_pci(struct boot_order *o, int bootindex, uint8_t devfn, const char *kind, const char *rest,
                       struct err *e);
// The "bootorder" file, to be freed: a line each, the last one ended by a NUL. *len is 0 if there is nothing to
// say; strict: nothing else is tried. NULL if out of memory.
char *boot_order_text(const struct boot_order *o, bool strict, size_t *len);
