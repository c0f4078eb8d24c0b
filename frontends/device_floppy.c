// SPDX-License-Identifier: MIT
// -device floppy, -fda, -fdb: disks in the drives of the board's floppy controller.
#include "frontends/device_types.h"

#include "frontends/boot_order.h"
#include "hw/block.h"
#include "hw/fdc_82077.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct device_property floppy_properties[] = {
    {"drive", "id of the -drive (default: no disk in it)"},
    {"unit", "0 or 1 (default: the first free one)"},
    {"drive-type", "120, 144, 288 or auto (default: auto, what suits the disk)"},
    {"bootindex", "place in the boot order, 0 first"},
    {NULL, NULL},
};

// --- disks that change; a floppy drive has neither tray nor lock

static int eject(void *opaque, bool force) { return 0; }

static struct block *take(void *opaque)
{
    struct floppy_place *p = opaque;
    struct block *b = fdc_media(p->fdc, p->unit);

    fdc_set_media(p->fdc, p->unit, NULL);
    return b;
}

static int insert(void *opaque, struct block *b)
{
    struct floppy_place *p = opaque;

    return fdc_set_media(p->fdc, p->unit, b);
}

static void status(void *opaque, bool *tray_open, bool *locked) { *tray_open = *locked = false; }

static const struct drive_media_ops media_ops = {eject, take, insert, status};

static void make_removable(struct devices *d, struct drive *drive, unsigned unit)
{
    d->floppy[unit] = (struct floppy_place){d->dc.fdc, unit};
    drives_set_media_ops(drive, &media_ops, &d->floppy[unit]);
}

// --- creation

// The controller is on the PIIX3's ISA bus, in slot 1.
static int add_boot_index(struct devices *d, struct keyval *kv, unsigned unit, struct err *e)
{
    char path[64];
    int index;

    if (device_boot_index(kv, &index, e))
        return -EINVAL;
    snprintf(path, sizeof(path), "/pci@i0cf8/isa@1/fdc@03f0/floppy@%u", unit);
    return index < 0 ? 0 : boot_order_add(d->dc.boot_order, index, path, e);
}

int device_floppy_create(struct devices *d, struct keyval *kv, struct err *e)
{
    const char *id = keyval_get(kv, "drive"), *name = keyval_get(kv, "drive-type");
    enum fdc_drive_type type = FDC_TYPE_AUTO;
    struct drive *drive = NULL;
    uint64_t unit = fdc_has_drive(d->dc.fdc, 0);
    bool known = true;

    if (id && !(drive = devices_take_drive(d, id, e)))
        return -EINVAL;
    if (drive)
        drive->device = keyval_get(kv, "id");
    if (keyval_get_uint(kv, "unit", &unit, e))
        return -EINVAL;
    if (unit >= FDC_DRIVES)
        return err_set(e, "unit=%llu: a floppy controller has drives 0 and 1", (unsigned long long)unit);
    if (name)
        type = fdc_type_by_name(name, &known);
    if (!known || type == FDC_TYPE_NONE)
        return err_set(e, "drive-type=%.40s: expected 120, 144, 288 or auto", name);
    switch (fdc_add_drive(d->dc.fdc, (unsigned)unit, type, drive ? drive->block : NULL)) {
    case 0: break;
    case -EBUSY: return err_set(e, "unit %u is taken", (unsigned)unit);
    case -EFBIG:
        return err_set(e, "%.120s is no floppy disk for this drive: it has %llu bytes", block_name(drive->block),
                       (unsigned long long)block_size(drive->block));
    default: return err_set(e, "there is no such drive");
    }
    if (!drive)
        drive = drives_add_empty(d, keyval_get(kv, "id"), DRIVE_FLOPPY, 0, (unsigned)unit);
    if (drive)
        make_removable(d, drive, (unsigned)unit);
    return add_boot_index(d, kv, (unsigned)unit, e);
}

int device_floppy_default(struct devices *d, struct err *e)
{
    struct drive *drive;

    if (d->dc.cfg->nodefaults || fdc_has_drive(d->dc.fdc, 0))
        return 0;
    drive = drives_add_empty(d, NULL, DRIVE_FLOPPY, 0, 0);
    if (!drive || fdc_add_drive(d->dc.fdc, 0, FDC_TYPE_AUTO, NULL))
        return err_set(e, "cannot add the floppy drive");
    drive->taken = true;
    make_removable(d, drive, 0);
    return 0;
}
