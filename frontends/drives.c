// SPDX-License-Identifier: MIT
// -drive: checked, opened, placed on its interface; and media that change while the machine runs.
#include "frontends/device_types.h"

#include "hw/block.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct { // in the order of enum drive_if
    const char *name;
    unsigned buses, units; // 0: the interface has no places
    const char *disk, *cd; // the -device that if= stands for
} interfaces[] = {
    {"ide", 2, 2, "ide-hd", "ide-cd"},
    {"floppy", 1, 2, "floppy", NULL},
    {"virtio", 0, 0, "virtio-blk-pci", NULL},
    {"none", 0, 0, NULL, NULL},
};

// --- the argument

// "value" among names: its index, or -EINVAL with a message.
static int choose(const char *key, const char *value, const char *const *names, unsigned count, struct err *e)
{
    for (unsigned i = 0; i < count; i++)
        if (!strcmp(names[i], value))
            return (int)i;
    return err_set(e, "-drive: %s=%.40s is not one of its values", key, value);
}

static int get_iface(const struct keyval *kv)
{
    const char *v = keyval_get((struct keyval *)(uintptr_t)kv, "if");

    for (unsigned i = 0; v && i < ARRAY_SIZE(interfaces); i++)
        if (!strcmp(interfaces[i].name, v))
            return (int)i;
    return v ? -EINVAL : DRIVE_IDE;
}

static bool is_cd(struct keyval *kv)
{
    const char *media = keyval_get(kv, "media");

    return media && !strcmp(media, "cdrom");
}

int drives_check(struct keyval *kv, struct err *e)
{
    static const char *const known[] = {"if",       "file",      "format",   "id",           "cache",
                                        "readonly", "read-only", "snapshot", "media",        "aio",
                                        "discard",  "serial",    "index",    "file.locking", "werror",
                                        "rerror",   "bus",       "unit",     "detect-zeroes"};
    const char *format = keyval_get(kv, "format"), *media = keyval_get(kv, "media");
    int iface = get_iface(kv);

    for (unsigned i = 0, j; i < kv->count; i++) {
        for (j = 0; j < ARRAY_SIZE(known) && strcmp(known[j], kv->item[i].key); j++)
            continue;
        if (j == ARRAY_SIZE(known))
            return err_set(e, "-drive: no property '%.60s'", kv->item[i].key);
    }
    if (iface < 0)
        return err_set(e, "-drive: if=%.40s is not supported; there are ide, floppy, virtio, none",
                       keyval_get(kv, "if"));
    if (iface == DRIVE_NONE && !keyval_get(kv, "id"))
        return err_set(e, "-drive: if=none needs id=");
    if (format && strcmp(format, "raw"))
        return err_set(e, "-drive: format=%.40s is not supported; only raw is (qemu-img convert -O raw)", format);
    if (media && strcmp(media, "disk") && strcmp(media, "cdrom"))
        return err_set(e, "-drive: media=%.40s: expected disk or cdrom", media);
    if (is_cd(kv) && iface != DRIVE_IDE && iface != DRIVE_NONE)
        return err_set(e, "-drive: media=cdrom needs if=ide or if=none");
    if (!keyval_get(kv, "file") && !is_cd(kv) && iface != DRIVE_FLOPPY)
        return err_set(e, "-drive: file= is missing");
    return 0;
}

static int parse(struct devices *d, struct keyval *kv, struct block_options *bo, struct err *e)
{
    static const char *const caches[] = {// in the order of enum block_cache
                                         "writeback", "none", "writethrough", "directsync", "unsafe"};
    static const char *const aios[] = {"auto", "threads", "io_uring", "native"};
    static const char *const discards[] = {"ignore", "off", "unmap", "on"};
    const char *cache = keyval_get(kv, "cache"), *aio = keyval_get(kv, "aio"), *discard = keyval_get(kv, "discard");
    const char *locking = keyval_get(kv, "file.locking");
    int n = 0;

    *bo = (struct block_options){.path = keyval_get(kv, "file"), .snapshot = d->dc.cfg->snapshot};
    if (keyval_get_bool(kv, "readonly", &bo->readonly, e) || keyval_get_bool(kv, "read-only", &bo->readonly, e) ||
        keyval_get_bool(kv, "snapshot", &bo->snapshot, e))
        return -EINVAL;
    if (cache && (n = choose("cache", cache, caches, ARRAY_SIZE(caches), e)) < 0)
        return n;
    bo->cache = cache ? (enum block_cache)n : BLOCK_CACHE_WRITEBACK;
    if (aio && (n = choose("aio", aio, aios, ARRAY_SIZE(aios), e)) < 0)
        return n;
    bo->aio = aio ? (n == 3 ? BLOCK_AIO_AUTO : (enum block_aio)n) : BLOCK_AIO_AUTO;
    if (discard && (n = choose("discard", discard, discards, ARRAY_SIZE(discards), e)) < 0)
        return n;
    bo->discard = discard && n >= 2;
    bo->no_lock = locking && !strcmp(locking, "off");
    if (is_cd(kv)) {
        bo->readonly = true;
        bo->snapshot = false;
    }
    return 0;
}

static int refuse_other_formats(const struct keyval *kv, struct block *b, struct err *e)
{
    static const struct {
        const char *magic, *name;
    } formats[] = {
        {"QFI\xfb", "qcow2"}, {"KDMV", "VMDK"}, {"vhdx", "VHDX"}, {"cone", "VHD"}, {"<<< ", "VDI"},
    };
    uint8_t head[512];

    for (unsigned i = 0; i < kv->count; i++)
        if (!strcmp(kv->item[i].key, "format"))
            return 0; // format=raw was said
    if (block_size(b) < sizeof(head) || block_read(b, 0, head, sizeof(head)))
        return 0;
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++)
        if (!memcmp(head, formats[i].magic, 4))
            return err_set(e, "-drive %.150s: it is a %s image; only raw ones are supported (qemu-img convert -O raw)",
                           block_name(b), formats[i].name);
    return 0;
}

// --- places

static struct drive *drive_at(struct devices *d, enum drive_if iface, unsigned bus, unsigned unit)
{
    for (unsigned i = 0; i < d->drive_count; i++)
        if (d->drive[i].iface == iface && d->drive[i].bus == bus && d->drive[i].unit == unit)
            return &d->drive[i];
    return NULL;
}

// bus= and unit=, or index=, or the first free place.
static int place(struct devices *d, struct keyval *kv, struct drive *drive, struct err *e)
{
    unsigned buses = interfaces[drive->iface].buses, units = interfaces[drive->iface].units;
    uint64_t index = ~0ull, bus = ~0ull, unit = ~0ull;

    if (keyval_get_uint(kv, "index", &index, e) || keyval_get_uint(kv, "bus", &bus, e) ||
        keyval_get_uint(kv, "unit", &unit, e))
        return -EINVAL;
    if (!buses)
        return 0;
    if (index != ~0ull && (bus != ~0ull || unit != ~0ull))
        return err_set(e, "-drive: index= cannot be used with bus= and unit=");
    if (index != ~0ull) {
        bus = index / units;
        unit = index % units;
    } else if (unit == ~0ull) {
        bus = bus == ~0ull ? 0 : bus;
        for (unit = 0; bus < buses && drive_at(d, drive->iface, (unsigned)bus, (unsigned)unit);)
            if (++unit == units) {
                unit = 0;
                bus++;
            }
    } else if (bus == ~0ull) {
        bus = 0;
    }
    if (bus >= buses || unit >= units)
        return err_set(e, "-drive: if=%s has places for %u drives, and this one is outside or too many",
                       interfaces[drive->iface].name, buses * units);
    if (drive_at(d, drive->iface, (unsigned)bus, (unsigned)unit))
        return err_set(e, "-drive: there is a drive with if=%s, index=%u already", interfaces[drive->iface].name,
                       (unsigned)(bus * units + unit));
    drive->bus = (unsigned)bus;
    drive->unit = (unsigned)unit;
    return 0;
}

static void name(struct drive *drive, const char *id, unsigned n)
{
    const char *iface = interfaces[drive->iface].name;

    if (id)
        snprintf(drive->id, sizeof(drive->id), "%s", id);
    else if (drive->iface == DRIVE_IDE)
        snprintf(drive->id, sizeof(drive->id), "%s%u-%s%u", iface, drive->bus, drive->cd ? "cd" : "hd", drive->unit);
    else
        snprintf(drive->id, sizeof(drive->id), "%s%u", iface, drive->iface == DRIVE_FLOPPY ? drive->unit : n);
}

// --- opening

// The -device that the drive stands for.
static int imply(struct devices *d, const struct drive *drive, struct err *e)
{
    const char *type = drive->cd ? interfaces[drive->iface].cd : interfaces[drive->iface].disk;
    char text[160];

    if (!type)
        return 0;
    if (drive->iface == DRIVE_IDE)
        snprintf(text, sizeof(text), "%s,drive=%s,bus=ide.%u,unit=%u", type, drive->id, drive->bus, drive->unit);
    else if (drive->iface == DRIVE_FLOPPY)
        snprintf(text, sizeof(text), "%s,drive=%s,unit=%u", type, drive->id, drive->unit);
    else
        snprintf(text, sizeof(text), "%s,drive=%s", type, drive->id);
    return devices_imply(d, text, e);
}

static struct drive *new_drive(struct devices *d, enum drive_if iface)
{
    struct drive *drive = &d->drive[d->drive_count];

    if (d->drive_count == ARRAY_SIZE(d->drive))
        return NULL;
    *drive = (struct drive){.iface = iface};
    return drive;
}

static int open_drive(struct devices *d, unsigned n, struct keyval *kv, struct err *e)
{
    struct drive *drive = new_drive(d, (enum drive_if)get_iface(kv));
    struct block_options bo;
    char why[160];

    if (!drive)
        return err_set(e, "-drive: too many of them");
    drive->cd = is_cd(kv);
    if (parse(d, kv, &bo, e) || place(d, kv, drive, e))
        return -EINVAL;
    name(drive, keyval_get(kv, "id"), n);
    if (drives_by_id(d, drive->id))
        return err_set(e, "-drive: id '%.60s' is used twice", drive->id);
    if (bo.path && *bo.path && block_open(&bo, &drive->block, why))
        return err_set(e, "-drive: %.160s", why);
    d->drive_count++;
    drive->serial = keyval_get(kv, "serial");
    if (drive->block && refuse_other_formats(kv, drive->block, e))
        return -EINVAL;
    return imply(d, drive, e);
}

struct drive *drives_add_empty(struct devices *d, const char *id, enum drive_if iface, unsigned bus, unsigned unit)
{
    struct drive *drive = new_drive(d, iface);

    if (!drive)
        return NULL;
    drive->bus = bus;
    drive->unit = unit;
    drive->cd = iface == DRIVE_IDE;
    name(drive, id, d->drive_count);
    d->drive_count++;
    return drive;
}

// QEMU's pc has an empty CD drive as master of the second channel, unless the user places IDE drives by hand.
static bool wants_default_cd(struct devices *d)
{
    struct config *cfg = d->dc.cfg;

    if (cfg->nodefaults || drive_at(d, DRIVE_IDE, 1, 0))
        return false;
    for (unsigned i = 0; i < cfg->device_count; i++) {
        const char *type = keyval_get(&cfg->devices[i], "driver");

        if (type && (!strcmp(type, "ide-hd") || !strcmp(type, "ide-cd")))
            return false;
    }
    return true;
}

int drives_open_all(struct devices *d, struct err *e)
{
    struct config *cfg = d->dc.cfg;
    struct drive *cd;

    for (unsigned i = 0; i < cfg->drive_count; i++)
        if (open_drive(d, i, &cfg->drives[i], e))
            return -EINVAL;
    if (!wants_default_cd(d))
        return 0;
    cd = drives_add_empty(d, NULL, DRIVE_IDE, 1, 0);
    return cd ? imply(d, cd, e) : 0;
}

void drives_set_media_ops(struct drive *drive, const struct drive_media_ops *ops, void *opaque)
{
    drive->media = ops;
    drive->media_opaque = opaque;
}

// --- for monitors

void drives_for_each(struct devices *d, void (*fn)(void *opaque, const struct drive *drive), void *opaque)
{
    for (unsigned i = 0; i < d->drive_count; i++)
        fn(opaque, &d->drive[i]);
}

struct drive *drives_by_id(struct devices *d, const char *id)
{
    for (unsigned i = 0; i < d->drive_count; i++)
        if (!strcmp(d->drive[i].id, id))
            return &d->drive[i];
    for (unsigned i = 0; i < d->drive_count; i++)
        if (d->drive[i].device && !strcmp(d->drive[i].device, id))
            return &d->drive[i];
    return NULL;
}

void drives_on_tray(struct devices *d, void (*moved)(void *opaque, const struct drive *drive, bool open), void *opaque)
{
    for (unsigned i = 0; i < d->drive_count; i++) {
        d->drive[i].tray_moved = moved;
        d->drive[i].tray_opaque = opaque;
    }
}

static struct drive *removable(struct devices *d, const char *id, struct err *e)
{
    struct drive *drive = drives_by_id(d, id);

    if (!drive)
        err_set(e, "there is no drive '%.60s'", id);
    else if (!drive->media)
        err_set(e, "drive '%.60s' is not removable", id);
    return drive && drive->media ? drive : NULL;
}

int drives_eject(struct devices *d, const char *id, bool force, struct err *e)
{
    struct drive *drive = removable(d, id, e);

    if (!drive)
        return -EINVAL;
    if (drive->media->eject(drive->media_opaque, force)) {
        err_set(e, "drive '%.60s' is locked by the guest, which has been asked to let go; or use force", id);
        return -EBUSY;
    }
    block_close(drive->media->take(drive->media_opaque));
    drive->block = NULL;
    return 0;
}

int drives_change(struct devices *d, const char *id, const char *path, bool force, struct err *e)
{
    struct block_options bo = {.path = path};
    struct drive *drive = removable(d, id, e);
    struct block *block;
    char why[160];
    int ret;

    if (!drive)
        return -EINVAL;
    bo.readonly = drive->cd;
    ret = block_open(&bo, &block, why);
    if (ret == -EPERM || ret == -EACCES || ret == -EROFS) { // the sandbox, or the file itself
        bo.readonly = true;
        ret = block_open(&bo, &block, why);
    }
    if (ret)
        return err_set(e, "%.160s", why);
    ret = drives_eject(d, id, force, e);
    if (!ret && (ret = drive->media->insert(drive->media_opaque, block)))
        err_set(e, "'%.100s' does not fit into drive '%.60s': %s", path, id, strerror(-ret));
    if (ret)
        block_close(block);
    else
        drive->block = block;
    return ret;
}
