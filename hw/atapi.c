// SPDX-License-Identifier: MIT
// An ATAPI CD/DVD drive: the PACKET protocol, sense data, and the tray.
// ATA/ATAPI-6 (T13/1410D), 8.27 "PACKET" and 9.8 to 9.9; MMC-3 (T10/1363D) for the commands, in atapi_cmd.c.
#include "hw/ide_internal.h"

#include <errno.h>
#include <string.h>

enum { PACKET_BYTES = 12, FEATURE_DMA = 1, FEATURE_OVERLAP = 2 };

// --- ends of packet commands

static void set_reason(struct ide_drive *d, uint8_t reason)
{
    d->reg.count = (uint8_t)((d->reg.count & 0xf8) | reason);
}

void atapi_ok(struct ide_drive *d)
{
    set_reason(d, IREASON_IO | IREASON_CD);
    d->error = 0;
    ide_done(d);
}

void atapi_fail(struct ide_drive *d, uint8_t key, uint8_t asc, uint8_t ascq)
{
    d->sense = (struct atapi_sense){key, asc, ascq};
    set_reason(d, IREASON_IO | IREASON_CD);
    ide_abort(d, (uint8_t)(key << 4 | (key == SENSE_ILLEGAL ? ER_ABRT : 0)));
}

// Starts the data of a command. Without a byte count limit (8.27.4) there is no room for PIO data.
void atapi_start(struct ide_drive *d, struct ide_stream *s)
{
    s->dma = d->packet_dma;
    s->drq = d->byte_limit;
    if (s->dma || s->drq)
        ide_stream_start(d, s);
    else
        atapi_fail(d, SENSE_ILLEGAL, 0x24, 0);
}

static void reply_end(struct ide_drive *d, int result) { atapi_ok(d); }

void atapi_reply(struct ide_drive *d, unsigned len, unsigned room)
{
    len = len < room ? len : room;
    if (!len) {
        atapi_ok(d);
        return;
    }
    struct ide_stream s = {.local = true, .in = 1, .out = 1, .end = reply_end};
    d->len = len;
    memset(d->buf + len, 0, 4); // an odd length is read as words
    atapi_start(d, &s);
}

// --- data blocks

// 9.8: the byte count registers say how much this block is.
void atapi_block(struct ide_drive *d, unsigned n)
{
    bool packet = d->stream.write && d->stream.quiet;
    d->reg.lba[1] = (uint8_t)n;
    d->reg.lba[2] = (uint8_t)(n >> 8);
    set_reason(d, packet ? IREASON_CD : d->stream.write ? 0 : IREASON_IO);
}

// --- packets

bool atapi_has_medium(const struct ide_drive *d) { return d->block && !d->tray_open; }

uint32_t atapi_sectors(const struct ide_drive *d)
{
    uint64_t n = atapi_has_medium(d) ? block_size(d->block) / CD_SECTOR : 0;
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static void execute(struct ide_drive *d, int result)
{
    const struct atapi_row *row = atapi_find(d->buf[0]);
    memcpy(d->packet, d->buf, PACKET_BYTES);
    if (!row) {
        atapi_fail(d, SENSE_ILLEGAL, 0x20, 0);
        return;
    }
    if (d->attention && !(row->flags & ATAPI_ANY_TIME)) { // once: the medium may have changed
        d->attention = false;
        atapi_fail(d, SENSE_ATTENTION, 0x28, 0);
        return;
    }
    if (row->flags & ATAPI_NEEDS_MEDIUM && !atapi_has_medium(d)) {
        atapi_fail(d, SENSE_NOT_READY, 0x3a, d->tray_open ? 2 : 1);
        return;
    }
    row->run(d, d->packet);
}

static void packet(struct ide_drive *d)
{
    unsigned limit = d->reg.lba[1] | d->reg.lba[2] << 8u;
    d->packet_dma = d->reg.feature & FEATURE_DMA;
    if (d->reg.feature & FEATURE_OVERLAP || (d->packet_dma && !d->ch->cfg.dma.transfer)) {
        ide_abort(d, ER_ABRT);
        return;
    }
    d->byte_limit = limit == 1 ? 2 : limit & 0xfffe; // an odd limit is of use to the last block only
    const struct ide_stream s = {
        .write = true, .local = true, .quiet = true, .in = 1, .out = 1, .drq = PACKET_BYTES, .end = execute};
    d->len = PACKET_BYTES;
    ide_stream_start(d, &s);
}

static void set_features(struct ide_drive *d)
{
    enum { TRANSFER_MODE = 0x03, NO_DEFAULTS = 0x66, DEFAULTS = 0xcc };
    uint8_t feature = d->reg.feature;
    if (feature == TRANSFER_MODE ? ata_set_mode(d, d->reg.count) : feature == NO_DEFAULTS || feature == DEFAULTS)
        ide_done(d);
    else
        ide_abort(d, ER_ABRT);
}

void atapi_command(struct ide_drive *d, uint8_t command)
{
    switch (command) {
    case 0xa0: packet(d); break;
    case 0xa1: // IDENTIFY PACKET DEVICE
        atapi_identify(d, d->buf);
        ide_stream_reply(d, IDE_SECTOR, ata_data_end);
        break;
    case 0xef: set_features(d); break;
    case 0xe5: // CHECK POWER MODE
        d->reg.count = 0xff;
        ide_done(d);
        break;
    case 0xe0:
    case 0xe1:
    case 0xe2:
    case 0xe3:
    case 0xe6: // STANDBY, IDLE, SLEEP
    case 0xe7: // FLUSH CACHE: there is none
        ide_done(d);
        break;
    case 0xec: // IDENTIFY DEVICE and READ SECTORS: refused with the signature, by which a host finds a CD drive
    case 0x20: {
        uint8_t select = d->device;
        ide_set_signature(d);
        d->device = select;
        ide_abort(d, ER_ABRT);
        break;
    }
    default: ide_abort(d, ER_ABRT); break;
    }
}

void atapi_reset(struct ide_drive *d, bool power_on)
{
    d->sense = (struct atapi_sense){0};
    d->locked = false;
    if (power_on) {
        d->attention = d->event_new = d->event_gone = d->event_request = false;
        d->tray_open = d->tray_open && d->block;
    }
}

// --- the tray, as the outside world moves it

struct ide_cd_status ide_cd_status(const struct ide_drive *d)
{
    return (struct ide_cd_status){.block = d->block, .tray_open = d->tray_open, .locked = d->locked};
}

void ide_cd_on_tray(struct ide_drive *d, void (*moved)(void *opaque, bool open), void *opaque)
{
    d->tray_moved = moved;
    d->tray_opaque = opaque;
}

static void move_tray(struct ide_drive *d, bool open)
{
    if (d->tray_open == open)
        return;
    d->tray_open = open;
    if (d->tray_moved)
        d->tray_moved(d->tray_opaque, open);
}

// A read that is under way loses its medium.
static void cancel_reads(struct ide_drive *d)
{
    if (d->phase == IDE_IDLE || d->stream.local)
        return;
    ide_stream_stop(d);
    atapi_fail(d, SENSE_NOT_READY, 0x3a, 1);
}

void atapi_open_tray(struct ide_drive *d)
{
    cancel_reads(d);
    d->event_gone = d->block;
    d->event_new = d->attention = false;
    move_tray(d, true);
}

void atapi_close_tray(struct ide_drive *d)
{
    if (d->block && d->tray_open) {
        d->attention = d->event_new = true;
        d->event_gone = false;
    }
    move_tray(d, false);
}

int ide_cd_eject(struct ide_drive *d, bool force)
{
    if (d->locked && !force) {
        d->event_request = true; // the guest sees an eject button pressed
        return -EBUSY;
    }
    if (force)
        d->locked = false;
    atapi_open_tray(d);
    return 0;
}

struct block *ide_cd_take(struct ide_drive *d)
{
    struct block *b = d->block;
    cancel_reads(d);
    if (b && !d->tray_open)
        d->event_gone = true;
    d->block = NULL;
    return b;
}

void ide_cd_insert(struct ide_drive *d, struct block *b)
{
    d->block = b;
    d->event_gone = false;
    d->attention = d->event_new = b;
    move_tray(d, false);
}
