// SPDX-License-Identifier: MIT
// The commands of an ATA disk. ATA/ATAPI-6 (T13/1410D), clause 8 "Command descriptions"; CHS commands as ATA-4 has
// them (T13/1153D), since BIOSes and DOS still use them.
#include "hw/ide_internal.h"

#include <errno.h>
#include <string.h>

enum { MODE_PIO = 0x08, MODE_MWDMA = 0x20, MODE_UDMA = 0x40 };

// --- addresses

static void set_lba(struct ide_drive *d, uint64_t lba)
{
    if (d->ext || d->device & DEV_LBA) {
        for (unsigned i = 0; i < 3; i++) {
            d->reg.lba[i] = (uint8_t)(lba >> 8 * i);
            if (d->ext)
                d->hob.lba[i] = (uint8_t)(lba >> (24 + 8 * i));
        }
        if (!d->ext)
            d->device = (uint8_t)((d->device & 0xf0) | (lba >> 24 & 15));
        return;
    }
    uint64_t track = lba / d->cur_sectors, cylinder = track / d->cur_heads;
    d->reg.lba[0] = (uint8_t)(lba % d->cur_sectors + 1);
    d->reg.lba[1] = (uint8_t)cylinder;
    d->reg.lba[2] = (uint8_t)(cylinder >> 8);
    d->device = (uint8_t)((d->device & 0xf0) | track % d->cur_heads);
}

// The address in the registers; false if no sector can be there.
static bool get_lba(const struct ide_drive *d, uint64_t *lba)
{
    const uint8_t *r = d->reg.lba, *h = d->hob.lba;
    if (d->ext || d->device & DEV_LBA) {
        *lba = r[0] | r[1] << 8 | (uint64_t)r[2] << 16;
        *lba |= d->ext ? (uint64_t)h[0] << 24 | (uint64_t)h[1] << 32 | (uint64_t)h[2] << 40
                       : (uint64_t)(d->device & 15) << 24;
        return true;
    }
    unsigned head = d->device & 15, cylinder = r[1] | r[2] << 8;
    if (!r[0] || r[0] > d->cur_sectors || head >= d->cur_heads)
        return false;
    *lba = ((uint64_t)cylinder * d->cur_heads + head) * d->cur_sectors + r[0] - 1;
    return true;
}

static uint32_t get_count(const struct ide_drive *d)
{
    uint32_t n = d->ext ? (uint32_t)(d->reg.count | d->hob.count << 8) : d->reg.count;
    return n ? n : d->ext ? 65536 : 256;
}

static uint64_t sectors_of(const struct ide_drive *d) { return block_size(d->block) / IDE_SECTOR; }

// --- reads and writes

// Bits of a row of the table: what kind of transfer the command is.
enum { F_EXT = 1, F_WRITE = 2, F_DMA = 4, F_MULTIPLE = 8, F_FUA = 16, F_VERIFY = 32 };

static void transfer_end(struct ide_drive *d, int result)
{
    const struct ide_stream *s = &d->stream;
    if (result) { // what was asked of the image last is not there, or did not get there
        set_lba(d, s->offset ? (s->offset - 1) / IDE_SECTOR : 0);
        ide_abort(d, s->write ? ER_ABRT : ER_UNC);
        return;
    }
    set_lba(d, d->last_lba);
    d->reg.count = d->hob.count = 0;
    if (s->write || s->dma || s->verify)
        ide_done(d);
    else
        d->status = ST_DRDY | ST_DSC; // PIO data-in ends with the last word
}

static void transfer(struct ide_drive *d, unsigned flags)
{
    uint64_t lba, sectors = sectors_of(d);
    d->ext = flags & F_EXT;
    uint32_t count = get_count(d);
    if ((flags & F_MULTIPLE && !d->multiple) || (flags & F_DMA && !d->ch->cfg.dma.transfer)) {
        ide_abort(d, ER_ABRT);
        return;
    }
    if (!get_lba(d, &lba) || lba >= sectors || count > sectors - lba) {
        ide_abort(d, ER_IDNF);
        return;
    }
    d->last_lba = lba + count - 1;
    struct ide_stream s = {
        .write = flags & F_WRITE,
        .dma = flags & F_DMA,
        .verify = flags & F_VERIFY,
        .flush = flags & F_FUA,
        .quiet = flags & F_WRITE,
        .offset = lba * IDE_SECTOR,
        .left = (uint64_t)count * IDE_SECTOR,
        .in = IDE_SECTOR,
        .out = IDE_SECTOR,
        .drq = IDE_SECTOR * (flags & F_MULTIPLE ? d->multiple : 1u),
        .end = transfer_end,
    };
    ide_stream_start(d, &s);
}

static void flush_end(struct ide_drive *d, int result)
{
    if (result)
        ide_abort(d, ER_ABRT);
    else
        ide_done(d);
}

static void flush(struct ide_drive *d, unsigned flags)
{
    const struct ide_stream s = {.write = true, .flush = true, .in = 1, .out = 1, .end = flush_end};
    ide_stream_start(d, &s);
}

// --- commands without a transfer

static void nothing(struct ide_drive *d, unsigned flags) { ide_done(d); }
static void refuse(struct ide_drive *d, unsigned flags) { ide_abort(d, ER_ABRT); }

static void seek(struct ide_drive *d, unsigned flags)
{
    uint64_t lba;
    d->ext = false;
    if (get_lba(d, &lba) && lba < sectors_of(d))
        ide_done(d);
    else
        ide_abort(d, ER_IDNF);
}

static void recalibrate(struct ide_drive *d, unsigned flags)
{
    d->reg.lba[1] = d->reg.lba[2] = 0;
    ide_done(d);
}

static void check_power(struct ide_drive *d, unsigned flags)
{
    d->reg.count = 0xff; // active or idle
    ide_done(d);
}

static void read_native_max(struct ide_drive *d, unsigned flags)
{
    uint64_t last = sectors_of(d) - 1;
    if (!sectors_of(d)) {
        ide_abort(d, ER_ABRT);
        return;
    }
    d->ext = flags & F_EXT;
    d->device |= DEV_LBA;
    set_lba(d, !d->ext && last > IDE_MAX_LBA28 - 1 ? IDE_MAX_LBA28 - 1 : last);
    ide_done(d);
}

// 8.16 of ATA-5: the logical translation.
static void initialize_parameters(struct ide_drive *d, unsigned flags)
{
    unsigned heads = (d->device & 15u) + 1, per_track = d->reg.count;
    uint64_t sectors = sectors_of(d), cylinders = per_track ? sectors / (heads * per_track) : 0;
    if (!per_track) {
        ide_abort(d, ER_ABRT);
        return;
    }
    d->cur_heads = heads;
    d->cur_sectors = per_track;
    d->cur_cylinders = cylinders > 65535 ? 65535 : (unsigned)cylinders;
    ide_done(d);
}

static void set_multiple(struct ide_drive *d, unsigned flags)
{
    unsigned n = d->reg.count;
    if (n > IDE_MAX_MULTIPLE || (n & (n - 1))) {
        ide_abort(d, ER_ABRT);
        return;
    }
    d->multiple = (uint8_t)n;
    ide_done(d);
}

void ata_data_end(struct ide_drive *d, int result) { d->status = ST_DRDY | ST_DSC; }

static void identify(struct ide_drive *d, unsigned flags)
{
    ata_identify(d, d->buf);
    ide_stream_reply(d, IDE_SECTOR, ata_data_end);
}

static void smart(struct ide_drive *d, unsigned flags) { ata_smart(d); }

// --- SET FEATURES, 8.46

bool ata_set_mode(struct ide_drive *d, uint8_t mode)
{
    unsigned n = mode & 7;
    if (mode <= 1) // default PIO mode, with or without IORDY
        return true;
    if ((mode & 0xf8) == MODE_PIO && n <= 4) {
        d->pio_mode = (uint8_t)n;
        return true;
    }
    if ((mode & 0xf8) == MODE_MWDMA && n <= 2 && d->ch->cfg.dma.transfer) {
        d->mwdma_mode = (uint8_t)n;
        d->udma_mode = IDE_MODE_NONE;
        return true;
    }
    if ((mode & 0xf8) == MODE_UDMA && n <= 5 && d->ch->cfg.dma.transfer) {
        d->udma_mode = (uint8_t)n;
        d->mwdma_mode = IDE_MODE_NONE;
        return true;
    }
    return false;
}

static void set_features(struct ide_drive *d, unsigned flags)
{
    enum {
        WRITE_CACHE = 0x02,
        TRANSFER_MODE = 0x03,
        NO_LOOK_AHEAD = 0x55,
        NO_DEFAULTS = 0x66,
        NO_WRITE_CACHE = 0x82,
        LOOK_AHEAD = 0xaa,
        DEFAULTS = 0xcc
    };
    switch (d->reg.feature) {
    case WRITE_CACHE: block_set_write_cache(d->block, true); break;
    case NO_WRITE_CACHE: // what was written so far becomes stable now, later writes before they end
        block_set_write_cache(d->block, false);
        flush(d, 0);
        return;
    case TRANSFER_MODE:
        if (ata_set_mode(d, d->reg.count))
            break;
        ide_abort(d, ER_ABRT);
        return;
    case NO_LOOK_AHEAD: d->look_ahead = false; break;
    case LOOK_AHEAD: d->look_ahead = true; break;
    case NO_DEFAULTS:
    case DEFAULTS: break; // what a soft reset does to settings: it keeps them
    default: ide_abort(d, ER_ABRT); return;
    }
    ide_done(d);
}

// --- the table

static const struct {
    uint8_t first, last; // opcodes
    void (*run)(struct ide_drive *d, unsigned flags);
    uint8_t flags;
} commands[] = {
    {0x00, 0x00, refuse, 0}, // NOP: always aborted, 8.23
    {0x10, 0x1f, recalibrate, 0},
    {0x20, 0x21, transfer, 0}, // READ SECTOR(S)
    {0x24, 0x24, transfer, F_EXT},
    {0x25, 0x25, transfer, F_EXT | F_DMA},
    {0x27, 0x27, read_native_max, F_EXT},
    {0x29, 0x29, transfer, F_EXT | F_MULTIPLE},
    {0x30, 0x31, transfer, F_WRITE},
    {0x34, 0x34, transfer, F_WRITE | F_EXT},
    {0x35, 0x35, transfer, F_WRITE | F_EXT | F_DMA},
    {0x39, 0x39, transfer, F_WRITE | F_EXT | F_MULTIPLE},
    {0x3c, 0x3c, transfer, F_WRITE}, // WRITE VERIFY
    {0x3d, 0x3d, transfer, F_WRITE | F_EXT | F_DMA | F_FUA},
    {0x40, 0x41, transfer, F_VERIFY},
    {0x42, 0x42, transfer, F_VERIFY | F_EXT},
    {0x70, 0x7f, seek, 0},
    {0x91, 0x91, initialize_parameters, 0},
    {0x94, 0x97, nothing, 0}, // STANDBY, IDLE, by the old codes
    {0x98, 0x98, check_power, 0},
    {0x99, 0x99, nothing, 0}, // SLEEP: wakes at the next command
    {0xb0, 0xb0, smart, 0},
    {0xc4, 0xc4, transfer, F_MULTIPLE},
    {0xc5, 0xc5, transfer, F_WRITE | F_MULTIPLE},
    {0xc6, 0xc6, set_multiple, 0},
    {0xc8, 0xc9, transfer, F_DMA},
    {0xca, 0xcb, transfer, F_WRITE | F_DMA},
    {0xce, 0xce, transfer, F_WRITE | F_EXT | F_MULTIPLE | F_FUA},
    {0xe0, 0xe3, nothing, 0}, // STANDBY IMMEDIATE, IDLE IMMEDIATE, STANDBY, IDLE
    {0xe5, 0xe5, check_power, 0},
    {0xe6, 0xe6, nothing, 0},
    {0xe7, 0xe7, flush, 0},
    {0xea, 0xea, flush, 0},
    {0xec, 0xec, identify, 0},
    {0xef, 0xef, set_features, 0},
    {0xf8, 0xf8, read_native_max, 0},
};

void ata_command(struct ide_drive *d, uint8_t command)
{
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
        if (command >= commands[i].first && command <= commands[i].last) {
            commands[i].run(d, commands[i].flags);
            return;
        }
    ide_abort(d, ER_ABRT);
}

void ata_reset(struct ide_drive *d)
{
    d->multiple = 0;
    d->pio_mode = 4;
    d->mwdma_mode = IDE_MODE_NONE;
    d->udma_mode = d->ch->cfg.dma.transfer ? 5 : IDE_MODE_NONE;
    d->look_ahead = true;
    d->smart_off = false;
    d->cur_cylinders = d->chs.cylinders;
    d->cur_heads = d->chs.heads;
    d->cur_sectors = d->chs.sectors;
}
