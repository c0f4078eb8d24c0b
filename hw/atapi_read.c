// SPDX-License-Identifier: MIT
// Reading a CD: READ (10), READ (12), READ CD, READ CD MSF. MMC-3 (T10/1363D), 6.17 to 6.19 and 6.31.
//
// The image holds the 2048 bytes of user data of each mode 1 sector. What READ CD wants around them is made here:
// 12 sync | 4 header | 2048 user data | 4 EDC | 8 zero | 276 ECC. The ECC reads as zero: no drive lets a host
// see it go wrong.
#include "hw/ide_internal.h"

#include <errno.h>
#include <string.h>

enum { RAW_SECTOR = 2352 };
enum { SYNC = 12, HEADER = 4, EDC_ECC = 288 };
enum { WANT_SYNC = 0x80, WANT_HEADER = 0x20, WANT_DATA = 0x10, WANT_EDC = 0x08 };

static void read_end(struct ide_drive *d, int result)
{
    if (result)
        atapi_fail(d, SENSE_MEDIUM_ERROR, 0x11, 0); // unrecovered read error
    else
        atapi_ok(d);
}

static uint8_t bcd(unsigned v) { return (uint8_t)(v / 10 << 4 | v % 10); }

// ECMA-130, clause 14.3 "EDC field": P(x) = (x^16 + x^15 + x^2 + 1)(x^16 + x^2 + x + 1), least bit first.
static uint32_t edc(const uint8_t *p, unsigned n)
{
    uint32_t v = 0;
    while (n--) {
        v ^= *p++;
        for (unsigned i = 0; i < 8; i++)
            v = v >> 1 ^ (v & 1 ? 0xd8018001u : 0);
    }
    return v;
}

static void raw_sector(uint8_t out[RAW_SECTOR], const uint8_t *data, uint32_t lba)
{
    uint32_t frame = lba + CD_LEAD_IN;
    memmove(out + SYNC + HEADER, data, CD_SECTOR);
    memset(out, 0xff, SYNC);
    out[0] = out[SYNC - 1] = 0;
    out[12] = bcd(frame / (60 * 75) % 100);
    out[13] = bcd(frame / 75 % 60);
    out[14] = bcd(frame % 75);
    out[15] = 1; // mode
    uint32_t sum = edc(out, SYNC + HEADER + CD_SECTOR);
    memset(out + SYNC + HEADER + CD_SECTOR, 0, EDC_ECC);
    memcpy(out + SYNC + HEADER + CD_SECTOR, &sum, 4);
}

// Within the buffer: from the last sector to the first where the results are larger, so that none is overwritten
// before its turn.
static void expand(struct ide_drive *d, unsigned n)
{
    uint8_t raw[RAW_SECTOR], want = d->packet[9];
    uint32_t first = (uint32_t)(d->stream.offset / CD_SECTOR) - n;
    for (unsigned k = 0; k < n; k++) {
        unsigned i = d->stream.out > CD_SECTOR ? n - 1 - k : k;
        uint8_t *out = d->buf + (size_t)i * d->stream.out;
        raw_sector(raw, d->buf + (size_t)i * CD_SECTOR, first + i);
        const struct {
            uint8_t flag;
            uint16_t at, len;
        } parts[] = {
            {WANT_SYNC, 0, SYNC},
            {WANT_HEADER, SYNC, HEADER},
            {WANT_DATA, SYNC + HEADER, CD_SECTOR},
            {WANT_EDC, SYNC + HEADER + CD_SECTOR, EDC_ECC},
        };
        for (unsigned part = 0; part < ARRAY_SIZE(parts); part++)
            if (want & parts[part].flag) {
                memcpy(out, raw + parts[part].at, parts[part].len);
                out += parts[part].len;
            }
    }
}

static void start(struct ide_drive *d, uint32_t lba, uint32_t count, unsigned size)
{
    uint32_t sectors = atapi_sectors(d);
    if (lba > sectors || count > sectors - lba) {
        atapi_fail(d, SENSE_ILLEGAL, 0x21, 0); // logical block address out of range
        return;
    }
    if (!count || !size) {
        atapi_ok(d);
        return;
    }
    struct ide_stream s = {
        .offset = (uint64_t)lba * CD_SECTOR,
        .left = (uint64_t)count * CD_SECTOR,
        .in = CD_SECTOR,
        .out = size,
        .expand = size == CD_SECTOR ? NULL : expand,
        .end = read_end,
    };
    atapi_start(d, &s);
}

void atapi_read_10_12(struct ide_drive *d, const uint8_t *p)
{
    start(d, be32(p + 2), p[0] == 0xa8 ? be32(p + 6) : be16(p + 7), CD_SECTOR);
}

void atapi_read_cd(struct ide_drive *d, const uint8_t *p)
{
    bool msf = p[0] == 0xb9;
    uint32_t lba = be32(p + 2), count = (uint32_t)p[6] << 16 | be16(p + 7);
    unsigned type = p[1] >> 2 & 7, want = p[9], size = 0;
    if (msf) { // from MSF to MSF
        uint32_t first = (p[3] * 60u + p[4]) * 75 + p[5], end = (p[6] * 60u + p[7]) * 75 + p[8];
        if (first < CD_LEAD_IN || end < first) {
            atapi_fail(d, SENSE_ILLEGAL, 0x24, 0);
            return;
        }
        lba = first - CD_LEAD_IN;
        count = end - first;
    }
    if (type > 2 || type == 1) {               // CD-DA, or mode 2
        atapi_fail(d, SENSE_ILLEGAL, 0x64, 0); // illegal mode for this track
        return;
    }
    if (want & 0x06 || p[10] & 7) { // C2 error pointers, sub-channels
        atapi_fail(d, SENSE_ILLEGAL, 0x24, 0);
        return;
    }
    size += want & WANT_SYNC ? SYNC : 0;
    size += want & WANT_HEADER ? HEADER : 0; // (mode 1 has no subheader)
    size += want & WANT_DATA ? CD_SECTOR : 0;
    size += want & WANT_EDC ? EDC_ECC : 0;
    start(d, lba, count, size);
}
