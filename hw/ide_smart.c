// SPDX-License-Identifier: MIT
// SMART: a drive that is in good health and counts nothing.
// ATA/ATAPI-6 (T13/1410D), 8.53 "SMART"; attribute layout of SFF-8035i revision 2.0.
#include "hw/ide_internal.h"

#include <string.h>

enum {
    READ_DATA = 0xd0,
    READ_THRESHOLDS = 0xd1,
    AUTOSAVE = 0xd2,
    SAVE = 0xd3,
    ENABLE = 0xd8,
    DISABLE = 0xd9,
    RETURN_STATUS = 0xda
};
enum { KEY_MID = 0x4f, KEY_HIGH = 0xc2 };

// The worst value ever is the value; raw counts are 0.
static const struct {
    uint8_t id;
    uint16_t flags;
    uint8_t value, threshold;
} attributes[] = {
    {1, 0x0003, 100, 6},  // raw read error rate
    {3, 0x0003, 100, 20}, // spin-up time
    {4, 0x0002, 100, 20}, // start/stop count
    {5, 0x0003, 100, 36}, // reallocated sectors
    {9, 0x0003, 100, 0},  // power-on hours
    {12, 0x0003, 100, 0}, // power cycles
};

static void checksum(uint8_t *out)
{
    uint8_t sum = 0;
    for (unsigned i = 0; i < 511; i++)
        sum = (uint8_t)(sum + out[i]);
    out[511] = (uint8_t)-sum;
}

static void reply(struct ide_drive *d, bool thresholds)
{
    uint8_t *out = d->buf;
    memset(out, 0, IDE_SECTOR);
    out[0] = 1; // structure revision
    for (unsigned i = 0; i < ARRAY_SIZE(attributes); i++) {
        uint8_t *a = out + 2 + 12 * i;
        a[0] = attributes[i].id;
        if (thresholds) {
            a[1] = attributes[i].threshold;
        } else {
            a[1] = (uint8_t)attributes[i].flags;
            a[3] = a[4] = attributes[i].value;
        }
    }
    if (!thresholds) {
        out[368] = 0x03; // capabilities: data is saved before power-down and by autosave
        out[369] = 0x00;
    }
    checksum(out);
    ide_stream_reply(d, IDE_SECTOR, ata_data_end);
}

void ata_smart(struct ide_drive *d)
{
    uint8_t sub = d->reg.feature;
    if (d->reg.lba[1] != KEY_MID || d->reg.lba[2] != KEY_HIGH || (d->smart_off && sub != ENABLE)) {
        ide_abort(d, ER_ABRT);
        return;
    }
    switch (sub) {
    case READ_DATA: reply(d, false); return;
    case READ_THRESHOLDS: reply(d, true); return;
    case ENABLE: d->smart_off = false; break;
    case DISABLE: d->smart_off = true; break;
    case AUTOSAVE:
    case SAVE: break;
    case RETURN_STATUS: break; // the key stays in the registers: no threshold exceeded
    default: ide_abort(d, ER_ABRT); return;
    }
    ide_done(d);
}
