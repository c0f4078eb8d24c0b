// SPDX-License-Identifier: MIT
// -device ide-hd and ide-cd: drives on the PIIX3's two IDE channels.
#include "frontends/device_types.h"

#include "frontends/boot_order.h"
#include "hw/block.h"
#include "hw/piix3_ide.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { IDE_DEVFN = 1 << 3 | 1, ANYWHERE = 2 };

const struct device_property ide_properties[] = {
    {"drive", "id of the -drive (ide-cd: without it the drive is empty)"},
    {"bus", "ide.0 or ide.1 (default: the first with a free place)"},
    {"unit", "0: master, 1: slave (default: the first free one)"},
    {"serial", "serial number, at most 20 characters"},
    {"model", "model, at most 40 characters"},
    {"ver", "firmware version, at most 8 characters"},
    {"bootindex", "the firmware tries the lowest first"},
    {"write-cache", "off: the drive starts with its write cache off (default: auto)"},
    {NULL, NULL},
};

// --- removable media

static int cd_eject(void *opaque, bool force) { return ide_cd_eject(opaque, force); }
static struct block *cd_take(void *opaque) { return ide_cd_take(opaque); }
static int cd_insert(void *opaque, struct block *b)
{
    ide_cd_insert(opaque, b);
    return 0;
}
static void cd_status(void *opaque, bool *tray_open, bool *locked)
{
    struct ide_cd_status s = ide_cd_status(opaque);

    *tray_open = s.tray_open;
    *locked = s.locked;
}
static void cd_moved(void *opaque, bool open)
{
    const struct drive *drive = opaque;

    if (drive->tray_moved)
        drive->tray_moved(drive->tray_opaque, drive, open);
}

static const struct drive_media_ops cd_ops = {cd_eject, cd_take, cd_insert, cd_status};

// --- places

static int find_place(struct devices *d, struct keyval *kv, unsigned *bus, unsigned *unit, struct err *e)
{
    const char *name = keyval_get(kv, "bus");
    uint64_t wanted = ANYWHERE;

    if (keyval_get_uint(kv, "unit", &wanted, e))
        return -EINVAL;
    if (wanted > 1 && wanted != ANYWHERE)
        return err_set(e, "unit=%llu: expected 0 or 1", (unsigned long long)wanted);
    if (name && strcmp(name, "ide.0") && strcmp(name, "ide.1"))
        return err_set(e, "bus=%.40s: expected ide.0 or ide.1", name);
    for (unsigned i = 0; i < 4; i++) {
        if ((name && i / 2 != (unsigned)(name[4] - '0')) || (wanted != ANYWHERE && i % 2 != wanted) ||
            ide_channel_drive(piix3_ide_channel(d->dc.ide, i / 2), i % 2))
            continue;
        *bus = i / 2;
        *unit = i % 2;
        return 0;
    }
    return err_set(e, "there is no free place on %s", name ? name : "the IDE channels");
}

static int add_boot_index(struct devices *d, struct keyval *kv, unsigned bus, unsigned unit, struct err *e)
{
    char rest[32];
    int index;

    if (device_boot_index(kv, &index, e))
        return -EINVAL;
    snprintf(rest, sizeof(rest), "/drive@%x/disk@%x", bus, unit);
    return index < 0 ? 0 : boot_order_add_pci(d->dc.boot_order, index, IDE_DEVFN, "ide", rest, e);
}

// --- creation

// The drive of the device, opened or made up for an ide-cd without drive=.
static struct drive *get_drive(struct devices *d, struct keyval *kv, bool cd, unsigned bus, unsigned unit,
                               struct err *e)
{
    const char *id = keyval_get(kv, "drive"), *device = keyval_get(kv, "id");
    struct drive *drive = NULL;

    if (id) {
        drive = devices_take_drive(d, id, e);
    } else if (!cd) {
        err_set(e, "drive= is missing");
    } else {
        drive = drives_add_empty(d, device, DRIVE_IDE, bus, unit);
        if (!drive)
            err_set(e, "too many drives");
        else
            drive->taken = true;
    }
    if (drive)
        drive->device = device;
    return drive;
}

static int check_medium(const struct drive *drive, bool cd, struct err *e)
{
    if (!cd && !drive->block)
        return err_set(e, "drive '%.60s' is empty; a disk needs an image", drive->id);
    if (!cd && block_readonly(drive->block))
        return err_set(e, "drive '%.60s' is read-only, and an IDE disk cannot be", drive->id);
    if (!cd && !block_size(drive->block))
        return err_set(e, "the image of drive '%.60s' is empty", drive->id);
    return 0;
}

static int create(struct devices *d, struct keyval *kv, bool cd, struct err *e)
{
    const char *serial = keyval_get(kv, "serial");
    struct ide_drive_config ic = {.cd = cd, .model = keyval_get(kv, "model"), .version = keyval_get(kv, "ver")};
    unsigned bus = 0, unit = 0;
    struct drive *drive;
    char own_serial[21];
    bool on = true;

    if (!d->dc.ide)
        return err_set(e, "this board has no IDE controller");
    if (find_place(d, kv, &bus, &unit, e) || !(drive = get_drive(d, kv, cd, bus, unit, e)) ||
        check_medium(drive, cd, e))
        return -EINVAL;
    if (keyval_get_on_off_auto(kv, "write-cache", &on, e))
        return -EINVAL;
    if (!cd && !on)
        block_set_write_cache(drive->block, false);
    snprintf(own_serial, sizeof(own_serial), "R3%05u", bus * 2 + unit + 1);
    ic.block = drive->block;
    ic.serial = serial ? serial : drive->serial ? drive->serial : own_serial;
    switch (ide_attach(piix3_ide_channel(d->dc.ide, bus), unit, &ic)) {
    case 0: break;
    case -EINVAL: return err_set(e, "serial=, model= or ver= is too long, or not printable");
    default: return err_set(e, "out of memory");
    }
    if (cd) {
        struct ide_drive *ide = ide_channel_drive(piix3_ide_channel(d->dc.ide, bus), unit);

        drives_set_media_ops(drive, &cd_ops, ide);
        ide_cd_on_tray(ide, cd_moved, drive);
    }
    return add_boot_index(d, kv, bus, unit, e);
}

int device_ide_hd_create(struct devices *d, struct keyval *kv, struct err *e) { return create(d, kv, false, e); }
int device_ide_cd_create(struct devices *d, struct keyval *kv, struct err *e) { return create(d, kv, true, e); }
