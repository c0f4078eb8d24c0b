// SPDX-License-Identifier: MIT
// An IDE channel: two drives (hard disks or ATAPI CD drives) behind one set of command block registers.
//
// The channel knows its ports and its interrupt line; what moves the bytes of a DMA command (the bus master)
// is behind struct ide_dma_ops. Big lock held for all of these.
#pragma once

#include "hw/irq.h"
#include "softmmu/address_space.h"

struct block;
struct ide_channel;
struct ide_drive;

struct ide_dma_ops {
    // Moves up to len bytes between buf and the guest's memory; returns how many. Fewer means that the bus master
    // is stopped, or came to the end of its table: the drive goes on at ide_dma_ready().
    size_t (*transfer)(void *opaque, void *buf, size_t len, bool to_guest);
    void *opaque;
};

struct ide_channel_config {
    struct address_space *ports;
    uint16_t command, control; // 1F0h and 3F6h, or 170h and 376h
    struct irq_line irq;
    struct ide_dma_ops dma; // transfer NULL: the drives have no DMA
};
struct ide_channel *ide_channel_create(const struct ide_channel_config *cfg); // NULL if out of memory
void ide_channel_set_enabled(struct ide_channel *ch, bool on);                // does it decode its ports?
void ide_channel_reset(struct ide_channel *ch);                               // power-on
void ide_dma_ready(struct ide_channel *ch);                                   // the bus master was started
struct ide_drive *ide_channel_drive(struct ide_channel *ch, unsigned unit);   // NULL: nothing is plugged in there

struct ide_drive_config {
    bool cd;
    struct block *block; // NULL: a CD drive without a medium
    // What IDENTIFY says, at most 20, 40 and 8 characters; NULL: a default.
    const char *serial, *model, *version;
};
// Unit 0 is the master. 0, -EBUSY if it is taken, -EINVAL (a disk without block, a bad text), -ENOMEM.
int ide_attach(struct ide_channel *ch, unsigned unit, const struct ide_drive_config *cfg);

// --- disks

// What the BIOS is told about a disk (CMOS 12h, 19h to 2Ch and 39h).
enum ide_translation { IDE_TRANSLATE_NONE, IDE_TRANSLATE_LBA, IDE_TRANSLATE_LARGE, IDE_TRANSLATE_RECHS };
struct ide_geometry {
    unsigned cylinders, heads, sectors;
    enum ide_translation translation;
};
bool ide_drive_is_cd(const struct ide_drive *d);
struct ide_geometry ide_drive_geometry(const struct ide_drive *d); // all 0 for a CD drive

// --- removable media

struct ide_cd_status {
    struct block *block; // the medium; NULL: none
    bool tray_open, locked;
};
struct ide_cd_status ide_cd_status(const struct ide_drive *d);
// Opens the tray. The medium stays in it: ide_cd_take() removes it. -EBUSY if the guest has locked the door: then
// the guest is asked to let it go, unless force is set.
int ide_cd_eject(struct ide_drive *d, bool force);
struct block *ide_cd_take(struct ide_drive *d); // the caller closes it; NULL: there was none
// Puts a medium in (the tray has to be open or empty) and closes the tray. The block stays the caller's.
void ide_cd_insert(struct ide_drive *d, struct block *b);
// The tray moved, by the guest's command or by the calls above; for the monitor's events.
void ide_cd_on_tray(struct ide_drive *d, void (*moved)(void *opaque, bool open), void *opaque);
