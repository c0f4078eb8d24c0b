// SPDX-License-Identifier: MIT
// IDENTIFY DEVICE and IDENTIFY PACKET DEVICE data, and the geometry of a disk.
// ATA/ATAPI-6 (T13/1410D), tables 27 "IDENTIFY DEVICE information" and 31 "IDENTIFY PACKET DEVICE information".
#include "hw/ide_internal.h"

#include <string.h>

enum { MAX_CYLINDERS = 16383 };

static void set_word(uint8_t *out, unsigned n, unsigned v)
{
    out[2 * n] = (uint8_t)v;
    out[2 * n + 1] = (uint8_t)(v >> 8);
}

static void set_words(uint8_t *out, unsigned n, unsigned count, uint64_t v)
{
    for (unsigned i = 0; i < count; i++)
        set_word(out, n + i, (unsigned)(v >> 16 * i) & 0xffff);
}

// Text is padded with blanks; the first character of a word is in its high byte.
static void set_text(uint8_t *out, unsigned n, unsigned words, const char *text)
{
    size_t len = strlen(text);
    for (unsigned i = 0; i < 2 * words; i++)
        out[(2 * n + i) ^ 1] = i < len ? (uint8_t)text[i] : ' ';
}

static unsigned mode_word(unsigned supported, uint8_t chosen)
{
    return supported | (chosen == IDE_MODE_NONE ? 0 : 0x100u << chosen);
}

// What disks and CD drives have in common.
static void common(const struct ide_drive *d, uint8_t *out)
{
    bool dma = d->ch->cfg.dma.transfer;
    set_text(out, 10, 10, d->serial);
    set_text(out, 23, 4, d->version);
    set_text(out, 27, 20, d->model);
    set_word(out, 49, dma ? 0x0f00 : 0x0e00); // DMA, LBA, IORDY, and IORDY may be switched off
    set_word(out, 53, dma ? 7 : 3);           // words 54-58, 64-70 and 88 are valid
    set_word(out, 63, dma ? mode_word(0x07, d->mwdma_mode) : 0);
    set_word(out, 64, 3);                      // PIO modes 3 and 4
    set_words(out, 65, 4, 0x0078007800780078); // cycle times: 120 ns
    set_word(out, 80, 0x0070);                 // ATA/ATAPI-4 to 6
    if (dma)
        set_word(out, 88, mode_word(0x3f, d->udma_mode));
    // Hardware reset result: 80-conductor cable, jumper, diagnostic passed.
    set_word(out, 93, d->unit ? 0x6b00 : 0x600b);
}

// 6.17.27 "Integrity word": all 512 bytes add up to 0.
static void seal(uint8_t *out)
{
    uint8_t sum = 0;
    out[510] = 0xa5;
    for (unsigned i = 0; i < 511; i++)
        sum = (uint8_t)(sum + out[i]);
    out[511] = (uint8_t)-sum;
}

void ata_identify(const struct ide_drive *d, uint8_t out[IDE_SECTOR])
{
    uint64_t sectors = block_size(d->block) / IDE_SECTOR;
    uint32_t current = d->cur_cylinders * d->cur_heads * d->cur_sectors;
    bool cache = block_write_cache(d->block);
    memset(out, 0, IDE_SECTOR);
    common(d, out);
    set_word(out, 0, 0x0040); // a fixed ATA device
    set_word(out, 1, d->chs.cylinders);
    set_word(out, 3, d->chs.heads);
    set_word(out, 6, d->chs.sectors);
    set_word(out, 47, 0x8000 | IDE_MAX_MULTIPLE);
    set_word(out, 50, 0x4000);
    set_word(out, 51, 0x0200); // PIO timing, of ATA-3
    set_word(out, 54, d->cur_cylinders);
    set_word(out, 55, d->cur_heads);
    set_word(out, 56, d->cur_sectors);
    set_words(out, 57, 2, current);
    set_word(out, 59, d->multiple ? 0x100u | d->multiple : 0);
    set_words(out, 60, 2, sectors > IDE_MAX_LBA28 ? IDE_MAX_LBA28 : sectors);
    set_word(out, 82, 0x4069); // NOP, look-ahead, write cache, power management, SMART
    set_word(out, 83, 0x7400); // FLUSH CACHE EXT, FLUSH CACHE, 48-bit addresses
    set_word(out, 84, 0x4040); // WRITE DMA FUA EXT
    set_word(out, 85, 0x4008u | (d->look_ahead ? 0x40u : 0) | (cache ? 0x20u : 0) | (d->smart_off ? 0 : 1u));
    set_word(out, 86, 0x3400);
    set_word(out, 87, 0x4040);
    set_words(out, 100, 4, sectors);
    seal(out);
}

void atapi_identify(const struct ide_drive *d, uint8_t out[IDE_SECTOR])
{
    memset(out, 0, IDE_SECTOR);
    common(d, out);
    set_word(out, 0, 0x85c0);  // packet device, CD, removable, DRQ within 50 us, 12-byte packets
    set_word(out, 82, 0x4210); // NOP, DEVICE RESET, PACKET
    set_word(out, 83, 0x4000);
    set_word(out, 84, 0x4000);
    set_word(out, 85, 0x4210);
    set_word(out, 87, 0x4000);
    seal(out);
}

// --- geometry

// The heads and sectors that the partition table was written for: the last entry's end is the end of a cylinder.
static bool from_partitions(const uint8_t *mbr, uint64_t sectors, struct ide_geometry *g)
{
    if (mbr[510] != 0x55 || mbr[511] != 0xaa)
        return false;
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *p = mbr + 446 + 16 * i;
        uint32_t length = p[12] | p[13] << 8 | p[14] << 16 | (uint32_t)p[15] << 24;
        unsigned heads = p[5] + 1u, per_track = p[6] & 63u;
        if (!length || !p[5] || !per_track)
            continue;
        uint64_t cylinders = sectors / (heads * per_track);
        if (cylinders < 1 || cylinders > MAX_CYLINDERS)
            continue;
        *g = (struct ide_geometry){(unsigned)cylinders, heads, per_track, IDE_TRANSLATE_NONE};
        return true;
    }
    return false;
}

static struct ide_geometry from_size(uint64_t sectors)
{
    uint64_t cylinders = sectors / (16 * 63);
    cylinders = cylinders > MAX_CYLINDERS ? MAX_CYLINDERS : cylinders < 2 ? 2 : cylinders;
    return (struct ide_geometry){(unsigned)cylinders, 16, 63, IDE_TRANSLATE_NONE};
}

struct ide_geometry ide_guess_geometry(struct block *b)
{
    uint8_t mbr[IDE_SECTOR];
    uint64_t sectors = block_size(b) / IDE_SECTOR;
    struct ide_geometry g, size = from_size(sectors);
    if (!sectors || block_read(b, 0, mbr, sizeof(mbr)) || !from_partitions(mbr, sectors, &g)) {
        // The BIOS interface has 10 bits of cylinder: larger disks need a translation.
        size.translation = size.cylinders <= 1024 ? IDE_TRANSLATE_NONE : IDE_TRANSLATE_LBA;
        return size;
    }
    if (g.heads <= 16)
        return g;
    // More heads than ATA has: the partitions were made through a translating BIOS. LARGE doubles heads and
    // halves cylinders until they fit; it reaches 128 heads and 1024 cylinders.
    size.translation = size.cylinders * size.heads <= 1024 * 128 ? IDE_TRANSLATE_LARGE : IDE_TRANSLATE_LBA;
    return size;
}
