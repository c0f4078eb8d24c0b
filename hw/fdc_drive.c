// SPDX-License-Identifier: MIT
// Floppy drives: what disk an image is, head movement, disk change.
#include "hw/fdc_internal.h"

#include <errno.h>
#include <string.h>

// One row per size people have images of; an image is sides interleaved by cylinder. The rate is that of the
// FM/MFM clock in the drive named; larger 3.5" formats pack more sectors into a track.
static const struct fdc_format formats[] = {
    // sectors cylinders heads spt  rate           drive
    {2880, 80, 2, 18, FDC_RATE_500K, FDC_TYPE_1440K}, {1440, 80, 2, 9, FDC_RATE_250K, FDC_TYPE_1440K},
    {5760, 80, 2, 36, FDC_RATE_1M, FDC_TYPE_2880K},   {2400, 80, 2, 15, FDC_RATE_500K, FDC_TYPE_1200K},
    {720, 40, 2, 9, FDC_RATE_300K, FDC_TYPE_1200K},   {320, 40, 1, 8, FDC_RATE_300K, FDC_TYPE_1200K},
    {360, 40, 1, 9, FDC_RATE_300K, FDC_TYPE_1200K},   {640, 40, 2, 8, FDC_RATE_300K, FDC_TYPE_1200K},
    {1600, 80, 2, 10, FDC_RATE_250K, FDC_TYPE_1440K}, {1640, 82, 2, 10, FDC_RATE_250K, FDC_TYPE_1440K},
    {1660, 83, 2, 10, FDC_RATE_250K, FDC_TYPE_1440K}, {2560, 80, 2, 16, FDC_RATE_500K, FDC_TYPE_1440K},
    {3200, 80, 2, 20, FDC_RATE_500K, FDC_TYPE_1440K}, {3360, 80, 2, 21, FDC_RATE_500K, FDC_TYPE_1440K},
    {3444, 82, 2, 21, FDC_RATE_500K, FDC_TYPE_1440K}, {3486, 83, 2, 21, FDC_RATE_500K, FDC_TYPE_1440K},
    {3520, 80, 2, 22, FDC_RATE_500K, FDC_TYPE_1440K}, {3680, 80, 2, 23, FDC_RATE_500K, FDC_TYPE_1440K},
    {3840, 80, 2, 24, FDC_RATE_500K, FDC_TYPE_1440K}, {6240, 80, 2, 39, FDC_RATE_1M, FDC_TYPE_2880K},
    {6400, 80, 2, 40, FDC_RATE_1M, FDC_TYPE_2880K},   {7040, 80, 2, 44, FDC_RATE_1M, FDC_TYPE_2880K},
    {7680, 80, 2, 48, FDC_RATE_1M, FDC_TYPE_2880K},
};

// A drive reads what fits its own size of disk, and 3.5" drives also the lesser densities.
static bool fits(enum fdc_drive_type drive, const struct fdc_format *x)
{
    switch (drive) {
    case FDC_TYPE_360K: return x->cylinders == 40;
    case FDC_TYPE_1200K: return x->type == FDC_TYPE_1200K;
    case FDC_TYPE_720K: return x->type == FDC_TYPE_1440K && x->rate == FDC_RATE_250K;
    case FDC_TYPE_1440K: return x->type == FDC_TYPE_1440K;
    case FDC_TYPE_2880K: return x->type == FDC_TYPE_1440K || x->type == FDC_TYPE_2880K;
    default: return true;
    }
}

// The format of exactly this size; else the smaller of the two usual ones that holds it: a boot sector alone is a
// disk of which the rest reads as zeros.
const struct fdc_format *fdc_format_of(const struct fdc_drive *d, uint64_t bytes)
{
    static const unsigned usual[] = {0, 2};
    uint64_t sectors = (bytes + FDC_SECTOR - 1) / FDC_SECTOR;

    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++)
        if (formats[i].sectors == sectors && fits(d->type, &formats[i]))
            return &formats[i];
    for (unsigned i = 0; i < ARRAY_SIZE(usual); i++)
        if (formats[usual[i]].sectors >= sectors && fits(d->type, &formats[usual[i]]))
            return &formats[usual[i]];
    return NULL;
}

uint8_t fdc_media_rate(const struct fdc_drive *d)
{
    // A 360 KiB drive turns slower than a 1.2 MiB one: 300 rather than 360 times a minute.
    return d->type == FDC_TYPE_360K && d->format->rate == FDC_RATE_300K ? FDC_RATE_250K : d->format->rate;
}

struct fdc_drive *fdc_drive(struct fdc *f, unsigned unit)
{
    return unit < FDC_DRIVES && f->drive[unit].type != FDC_TYPE_NONE ? &f->drive[unit] : NULL;
}

void fdc_seek(struct fdc *f, unsigned unit, unsigned track)
{
    struct fdc_drive *d = fdc_drive(f, unit);

    if (!d)
        return;
    track = track < FDC_MAX_TRACK ? track : FDC_MAX_TRACK;
    // The line is cleared by a step pulse with a disk in the drive. Recalibrating on track 0 makes none, but
    // every driver that polls the line seeks away and back.
    if (d->media && track != d->track)
        d->changed = false;
    d->track = (uint8_t)track;
}

int fdc_set_media(struct fdc *f, unsigned unit, struct block *media)
{
    struct fdc_drive *d = fdc_drive(f, unit);
    const struct fdc_format *format = NULL;

    if (!d)
        return -EINVAL;
    if (media && !(format = fdc_format_of(d, block_size(media))))
        return -EFBIG;
    d->media = media;
    d->format = format;
    d->changed = true;
    return 0;
}

int fdc_add_drive(struct fdc *f, unsigned unit, enum fdc_drive_type type, struct block *media)
{
    const struct fdc_format *x;
    struct fdc_drive probe = {.type = type};

    if (unit >= FDC_DRIVES || type == FDC_TYPE_NONE)
        return -EINVAL;
    if (f->drive[unit].type != FDC_TYPE_NONE)
        return -EBUSY;
    if (type == FDC_TYPE_AUTO) {
        x = media ? fdc_format_of(&probe, block_size(media)) : NULL;
        if (media && !x)
            return -EFBIG;
        type = x ? x->type : FDC_TYPE_2880K;
    }
    f->drive[unit] = (struct fdc_drive){.type = type};
    int ret = fdc_set_media(f, unit, media);
    if (ret)
        f->drive[unit].type = FDC_TYPE_NONE;
    return ret;
}

struct block *fdc_media(const struct fdc *f, unsigned unit) { return unit < FDC_DRIVES ? f->drive[unit].media : NULL; }

bool fdc_has_drive(const struct fdc *f, unsigned unit)
{
    return unit < FDC_DRIVES && f->drive[unit].type != FDC_TYPE_NONE;
}

uint8_t fdc_cmos_types(const struct fdc *f) { return (uint8_t)(f->drive[0].type << 4 | f->drive[1].type); }

uint8_t fdc_cmos_equipment(const struct fdc *f)
{
    unsigned n = fdc_has_drive(f, 0) + fdc_has_drive(f, 1);
    return (uint8_t)(n ? 0x01 | (n - 1) << 6 : 0);
}

enum fdc_drive_type fdc_type_by_name(const char *name, bool *ok)
{
    static const struct {
        const char *name;
        enum fdc_drive_type type;
    } names[] = {{"120", FDC_TYPE_1200K},
                 {"144", FDC_TYPE_1440K},
                 {"288", FDC_TYPE_2880K},
                 {"none", FDC_TYPE_NONE},
                 {"auto", FDC_TYPE_AUTO}};

    *ok = true;
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (!strcmp(name, names[i].name))
            return names[i].type;
    *ok = false;
    return FDC_TYPE_NONE;
}
