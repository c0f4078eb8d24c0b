// SPDX-License-Identifier: MIT
// What a CD drive replies to packet commands. MMC-3 (T10/1363D), clauses 5 "Parameters for C/DVD logical units" and
// 6 "Commands"; SPC-2 (T10/1236D) for INQUIRY, REQUEST SENSE and mode pages.
//
// The medium is one session with one track of mode 1 data from LBA 0.
#include "hw/ide_internal.h"

#include <string.h>

enum { LEAD_OUT = 0xaa };
enum { CD_MAX_SECTORS = 80 * 60 * 75 }; // 80 minutes: what is larger is a DVD
enum { PROFILE_CD_ROM = 0x08, PROFILE_DVD_ROM = 0x10 };

static void invalid_field(struct ide_drive *d) { atapi_fail(d, SENSE_ILLEGAL, 0x24, 0); }

static bool is_dvd(const struct ide_drive *d) { return atapi_sectors(d) > CD_MAX_SECTORS; }

static uint8_t *cleared(struct ide_drive *d, unsigned len) { return memset(d->buf, 0, len); }

// An address as LBA, or as MSF: 0, minute, second, frame.
static void put_address(uint8_t *p, uint32_t lba, bool msf)
{
    if (!msf) {
        put_be32(p, lba);
        return;
    }
    lba += CD_LEAD_IN;
    p[0] = 0;
    p[1] = (uint8_t)(lba / 75 / 60);
    p[2] = (uint8_t)(lba / 75 % 60);
    p[3] = (uint8_t)(lba % 75);
}

// --- about the drive

static void test_unit_ready(struct ide_drive *d, const uint8_t *p) { atapi_ok(d); }

static void request_sense(struct ide_drive *d, const uint8_t *p)
{
    struct atapi_sense s = d->sense;
    uint8_t *out = cleared(d, 18);
    if (!s.key && d->attention) {
        s = (struct atapi_sense){SENSE_ATTENTION, 0x28, 0};
        d->attention = false;
    }
    out[0] = 0x70;
    out[2] = s.key;
    out[7] = 10; // bytes after this one
    out[12] = s.asc;
    out[13] = s.ascq;
    d->sense = (struct atapi_sense){0};
    atapi_reply(d, 18, p[4]);
}

static void put_text(uint8_t *p, unsigned len, const char *text)
{
    size_t n = strlen(text);
    for (unsigned i = 0; i < len; i++)
        p[i] = i < n ? (uint8_t)text[i] : ' ';
}

static void inquiry(struct ide_drive *d, const uint8_t *p)
{
    uint8_t *out = cleared(d, 36);
    if (p[1] & 3 || p[2]) { // vital product data, command support data
        invalid_field(d);
        return;
    }
    out[0] = 0x05; // CD/DVD device
    out[1] = 0x80; // removable medium
    out[2] = 0x00;
    out[3] = 0x21; // ATAPI, response data format of SFF-8020i
    out[4] = 36 - 5;
    put_text(out + 8, 8, "RING3");
    put_text(out + 16, 16, d->model);
    put_text(out + 32, 4, d->version);
    atapi_reply(d, 36, be16(p + 3));
}

static void get_configuration(struct ide_drive *d, const uint8_t *p)
{
    uint8_t *out = cleared(d, 40);
    unsigned rt = p[1] & 3, first = be16(p + 2), n = 8;
    if (rt == 3) {
        invalid_field(d);
        return;
    }
    put_be16(out + 6, !atapi_has_medium(d) ? 0 : is_dvd(d) ? PROFILE_DVD_ROM : PROFILE_CD_ROM);
    const struct {
        uint16_t code;
        uint8_t len, body[12];
    } features[] = {
        {0x0000,
         12,
         {0x00, 0x00, 0x03, 8, 0, PROFILE_DVD_ROM, is_dvd(d), 0, 0, PROFILE_CD_ROM, atapi_has_medium(d) && !is_dvd(d),
          0}},                                                       // profile list
        {0x0001, 12, {0x00, 0x01, 0x0b, 8, 0, 0, 0, 2, 1, 0, 0, 0}}, // core: ATAPI; device busy event
        {0x0003, 8, {0x00, 0x03, 0x03, 4, 0x29, 0, 0, 0}},           // removable: tray, eject, lock
    };
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        if (rt == 2 ? features[i].code != first : features[i].code < first)
            continue; // RT 2: that feature only; else all from the first on, and all of them are current
        memcpy(out + n, features[i].body, features[i].len);
        n += features[i].len;
    }
    put_be32(out, n - 4);
    atapi_reply(d, n, be16(p + 7));
}

static void mechanism_status(struct ide_drive *d, const uint8_t *p)
{
    uint8_t *out = cleared(d, 8);
    out[1] = d->tray_open ? 0x10 : 0; // door open
    atapi_reply(d, 8, be16(p + 8));
}

// 6.7 "GET EVENT/STATUS NOTIFICATION": media events only, and polled only.
static void get_event(struct ide_drive *d, const uint8_t *p)
{
    enum { CLASS_MEDIA = 4, NO_EVENT_AVAILABLE = 0x80 };
    uint8_t *out = cleared(d, 8);
    unsigned n = 4;
    if (!(p[1] & 1)) {
        invalid_field(d);
        return;
    }
    out[3] = 1 << CLASS_MEDIA; // supported classes
    if (p[4] & 1 << CLASS_MEDIA) {
        out[2] = CLASS_MEDIA;
        out[4] = d->event_request ? 1 : d->event_new ? 2 : d->event_gone ? 3 : 0;
        out[5] = (uint8_t)((d->tray_open ? 1 : 0) | (atapi_has_medium(d) ? 2 : 0));
        n = 8;
        if (d->event_request)
            d->event_request = false;
        else
            d->event_new = d->event_gone = false;
    } else {
        out[2] = NO_EVENT_AVAILABLE;
    }
    put_be16(out, n - 2);
    atapi_reply(d, n, be16(p + 7));
}

// --- the tray

static void start_stop(struct ide_drive *d, const uint8_t *p)
{
    bool load_eject = p[4] & 2, start = p[4] & 1;
    if (p[4] >> 4 || !load_eject) { // a power condition, or the motor
        atapi_ok(d);
        return;
    }
    if (!start && d->locked) {
        atapi_fail(d, SENSE_ILLEGAL, 0x53, 2); // medium removal prevented
        return;
    }
    if (start)
        atapi_close_tray(d);
    else
        atapi_open_tray(d);
    atapi_ok(d);
}

static void prevent_allow(struct ide_drive *d, const uint8_t *p)
{
    d->locked = p[4] & 1;
    atapi_ok(d);
}

// --- about the medium

static void read_capacity(struct ide_drive *d, const uint8_t *p)
{
    uint32_t sectors = atapi_sectors(d);
    uint8_t *out = cleared(d, 8);
    put_be32(out, sectors ? sectors - 1 : 0);
    put_be32(out + 4, CD_SECTOR);
    atapi_reply(d, 8, 8);
}

static uint8_t *put_track(uint8_t *out, uint8_t number, uint32_t lba, bool msf)
{
    out[1] = 0x14; // Q sub-channel: position; data track
    out[2] = number;
    put_address(out + 4, lba, msf);
    return out + 8;
}

// A raw entry: session, ADR and control, TNO, POINT, min, sec, frame, zero, pmin, psec, pframe.
static uint8_t *put_raw(uint8_t *out, uint8_t point, uint8_t pmin, uint8_t psec, uint8_t pframe)
{
    const uint8_t entry[11] = {1, 0x14, 0, point, 0, 0, 0, 0, pmin, psec, pframe};
    memcpy(out, entry, sizeof(entry));
    return out + sizeof(entry);
}

static uint8_t *raw_toc(struct ide_drive *d, uint8_t *out)
{
    uint8_t end[4], begin[4];
    put_address(end, atapi_sectors(d), true);
    put_address(begin, 0, true);
    out = put_raw(out, 0xa0, 1, 0, 0); // first track, disc type: CD-ROM
    out = put_raw(out, 0xa1, 1, 0, 0); // last track
    out = put_raw(out, 0xa2, end[1], end[2], end[3]);
    return put_raw(out, 1, begin[1], begin[2], begin[3]);
}

static void read_toc(struct ide_drive *d, const uint8_t *p)
{
    uint8_t *out = cleared(d, 64), *at = out + 4;
    unsigned format = p[2] & 15 ? p[2] & 15u : p[9] >> 6, start = p[6]; // (SFF-8020i has it in byte 9)
    bool msf = p[1] & 2;
    out[2] = out[3] = 1; // first and last track or session
    switch (format) {
    case 0: // TOC
        if (start > 1 && start != LEAD_OUT) {
            invalid_field(d);
            return;
        }
        if (start <= 1)
            at = put_track(at, 1, 0, msf);
        at = put_track(at, LEAD_OUT, atapi_sectors(d), msf);
        break;
    case 1: at = put_track(at, 1, 0, msf); break; // first track of the last complete session
    case 2: at = raw_toc(d, at); break;
    default: invalid_field(d); return;
    }
    put_be16(out, (unsigned)(at - out) - 2);
    atapi_reply(d, (unsigned)(at - out), be16(p + 7));
}

static void read_sub_channel(struct ide_drive *d, const uint8_t *p)
{
    enum { NO_AUDIO_STATUS = 0x15 };
    static const uint8_t lengths[4] = {0, 12, 20, 20}; // current position, catalogue number, ISRC
    uint8_t *out = cleared(d, 24);
    bool msf = p[1] & 2, sub_q = p[2] & 0x40;
    unsigned format = p[3], n = 4;
    if (sub_q && (!format || format > 3)) {
        invalid_field(d);
        return;
    }
    out[1] = NO_AUDIO_STATUS;
    if (sub_q) {
        out[4] = (uint8_t)format;
        if (format != 2) {
            out[5] = 0x14;
            out[6] = 1; // track
        }
        if (format == 1) {
            out[7] = 1; // index
            put_address(out + 8, 0, msf);
            put_address(out + 12, 0, msf);
        }
        n += lengths[format];
    }
    put_be16(out + 2, n - 4);
    atapi_reply(d, n, be16(p + 7));
}

static void read_disc_information(struct ide_drive *d, const uint8_t *p)
{
    uint8_t *out = cleared(d, 34);
    if (p[1] & 7) {
        invalid_field(d);
        return;
    }
    put_be16(out, 32);
    out[2] = 0x0e;                         // last session and disc are complete
    out[3] = out[4] = out[5] = out[6] = 1; // first track; sessions; first and last track of the last one
    out[7] = 0x20;                         // unrestricted use
    memset(out + 16, 0xff, 8);             // no lead-in, no lead-out to come
    atapi_reply(d, 34, be16(p + 7));
}

static void read_track_information(struct ide_drive *d, const uint8_t *p)
{
    uint8_t *out = cleared(d, 28);
    uint32_t which = be32(p + 2), sectors = atapi_sectors(d);
    unsigned type = p[1] & 3;
    if (type == 3 || (type == 0 && which >= sectors) || (type != 0 && which != 1)) {
        invalid_field(d);
        return;
    }
    put_be16(out, 26);
    out[2] = out[3] = 1; // track, session
    out[5] = 0x04;       // data, uninterrupted
    out[6] = 0x01;       // mode 1
    put_be32(out + 24, sectors);
    atapi_reply(d, 28, be16(p + 7));
}

static void seek(struct ide_drive *d, const uint8_t *p)
{
    if (be32(p + 2) >= atapi_sectors(d))
        atapi_fail(d, SENSE_ILLEGAL, 0x21, 0);
    else
        atapi_ok(d);
}

static void read_dvd_structure(struct ide_drive *d, const uint8_t *p)
{
    uint8_t *out = cleared(d, 4 + 2048);
    uint32_t last = atapi_sectors(d) - 1;
    unsigned n;
    if (!is_dvd(d)) {
        atapi_fail(d, SENSE_ILLEGAL, 0x30, 2); // cannot read medium, incompatible format
        return;
    }
    switch (p[1] & 15 ? 0xff : p[7]) { // media type 0 is DVD
    case 0x00:                         // physical format
        if (p[6]) {
            invalid_field(d);
            return;
        }
        n = 4 + 2048;
        out[4] = 0x01;              // DVD-ROM, version 1
        out[5] = 0x0f;              // 120 mm, no maximum rate
        out[6] = 0x01;              // one layer, embossed
        put_be32(out + 8, 0x30000); // first physical sector
        put_be32(out + 12, 0x30000 + last);
        break;
    case 0x01: // copyright
        n = 8;
        break;
    case 0x03: // burst cutting area: none
        invalid_field(d);
        return;
    case 0x04: // manufacturing
        n = 4 + 2048;
        break;
    default: invalid_field(d); return;
    }
    put_be16(out, n - 2);
    atapi_reply(d, n, be16(p + 8));
}

// --- mode pages

struct mode_page {
    uint8_t code, len;
    uint8_t body[24];
};
static const struct mode_page mode_pages[] = {
    {0x01, 8, {0x01, 6, 0x00, 5}},                                // read error recovery
    {0x0e, 16, {0x0e, 14, 0x04, 0, 0, 0, 0, 75, 1, 255, 2, 255}}, // CD audio control
    {0x1a, 12, {0x1a, 10}},                                       // power condition
    // Capabilities: reads CD-R, CD-RW, method 2, DVD-ROM; mode 2 forms; lock, eject, tray; 706 KB/s.
    {0x2a, 20, {0x2a, 18, 0x0f, 0, 0x71, 0x60, 0x29, 0, 0x02, 0xc2, 0, 2, 2, 0, 0x02, 0xc2}},
};

static void put_page(const struct ide_drive *d, uint8_t *out, const struct mode_page *m, bool mask)
{
    memset(out, 0, m->len);
    memcpy(out, m->body, mask ? 2 : m->len); // nothing can be changed
    if (m->code == 0x2a && !mask && d->locked)
        out[6] |= 2;
}

static void mode_sense(struct ide_drive *d, const uint8_t *p)
{
    enum { CURRENT, CHANGEABLE, DEFAULT, SAVED, ALL_PAGES = 0x3f, HEADER = 8 };
    unsigned control = p[2] >> 6, code = p[2] & 0x3f, n = HEADER;
    uint8_t *out = cleared(d, 80);
    if (control == SAVED) {
        atapi_fail(d, SENSE_ILLEGAL, 0x39, 0); // saving parameters is not supported
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(mode_pages); i++)
        if (code == mode_pages[i].code || code == ALL_PAGES) {
            put_page(d, out + n, &mode_pages[i], control == CHANGEABLE);
            n += mode_pages[i].len;
        }
    if (n == HEADER) {
        invalid_field(d);
        return;
    }
    put_be16(out, n - 2);
    out[2] = d->tray_open ? 0x71 : d->block ? 0x01 : 0x70; // SFF-8020i: door open, 120 mm data, no disc
    atapi_reply(d, n, be16(p + 7));
}

static void mode_select_end(struct ide_drive *d, int result)
{
    const uint8_t *in = d->buf;
    // The pages have to be ours; their values cannot be changed, and drives round what they cannot do.
    for (unsigned at = 8; at + 2 <= d->len; at += in[at + 1] + 2u) {
        unsigned i = 0;
        while (i < ARRAY_SIZE(mode_pages) && mode_pages[i].code != (in[at] & 0x3f))
            i++;
        if (i == ARRAY_SIZE(mode_pages) || in[at + 1] + 2u != mode_pages[i].len) {
            atapi_fail(d, SENSE_ILLEGAL, 0x26, 0); // invalid field in parameter list
            return;
        }
    }
    atapi_ok(d);
}

static void mode_select(struct ide_drive *d, const uint8_t *p)
{
    unsigned n = be16(p + 7);
    if (p[1] & 1) { // save pages
        invalid_field(d);
        return;
    }
    if (!n) {
        atapi_ok(d);
        return;
    }
    struct ide_stream s = {.write = true, .local = true, .in = 1, .out = 1, .end = mode_select_end};
    d->len = n; // 16 bits: fits the buffer
    atapi_start(d, &s);
}

static void nothing(struct ide_drive *d, const uint8_t *p) { atapi_ok(d); }

// --- the table

const struct atapi_row *atapi_find(uint8_t opcode)
{
    static const struct atapi_row rows[] = {
        {0x00, ATAPI_NEEDS_MEDIUM, test_unit_ready},
        {0x03, ATAPI_ANY_TIME, request_sense},
        {0x12, ATAPI_ANY_TIME, inquiry},
        {0x1b, 0, start_stop},
        {0x1e, 0, prevent_allow},
        {0x25, ATAPI_NEEDS_MEDIUM, read_capacity},
        {0x28, ATAPI_NEEDS_MEDIUM, atapi_read_10_12},
        {0x2b, ATAPI_NEEDS_MEDIUM, seek},
        {0x42, ATAPI_NEEDS_MEDIUM, read_sub_channel},
        {0x43, ATAPI_NEEDS_MEDIUM, read_toc},
        {0x46, ATAPI_ANY_TIME, get_configuration},
        {0x4a, ATAPI_ANY_TIME, get_event},
        {0x51, ATAPI_NEEDS_MEDIUM, read_disc_information},
        {0x52, ATAPI_NEEDS_MEDIUM, read_track_information},
        {0x55, 0, mode_select},
        {0x5a, 0, mode_sense},
        {0xa8, ATAPI_NEEDS_MEDIUM, atapi_read_10_12},
        {0xad, ATAPI_NEEDS_MEDIUM, read_dvd_structure},
        {0xb9, ATAPI_NEEDS_MEDIUM, atapi_read_cd},
        {0xbb, 0, nothing}, // SET CD SPEED
        {0xbd, 0, mechanism_status},
        {0xbe, ATAPI_NEEDS_MEDIUM, atapi_read_cd},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].opcode == opcode)
            return &rows[i];
    return NULL;
}
