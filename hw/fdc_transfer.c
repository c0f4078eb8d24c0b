// SPDX-License-Identifier: MIT
// The floppy controller's data commands: sector after sector between the disk and the host, by DMA or through
// the FIFO. 82077AA data sheet, section 5.1 "Data Transfer Commands".
#include "hw/fdc_internal.h"

#include <string.h>

enum { SCAN_EQUAL = 0x11, SCAN_LOW = 0x19, SCAN_HIGH = 0x1d, FORMAT_ID_BYTES = 4, SCAN_WILD = 0xff };
enum next { GO_ON, ENDED };

static unsigned unit_of(const struct fdc *f) { return f->t.unit & 3; }
static unsigned head_of(const struct fdc *f) { return f->t.unit >> 2 & 1; }

// --- the end

// C, H, R as the result phase gives them: those of the sector after the last one. Table 5-6.
static void step_ids(struct fdc_transfer *t)
{
    if (t->r != t->eot) {
        t->r++;
        return;
    }
    t->r = 1;
    if (!t->multi_track || t->h & 1)
        t->c++;
    if (t->multi_track)
        t->h ^= 1;
}

static enum next end(struct fdc *f, uint8_t st0, uint8_t st1, uint8_t st2)
{
    struct fdc_transfer *t = &f->t;
    const uint8_t r[7] = {(uint8_t)(st0 | (t->unit & 7)), st1, st2, t->c, t->h, t->r, t->n};

    fdc_finish(f, r, 7);
    f->result_irq = true;
    fdc_set_irq(f, true);
    return ENDED;
}

static enum next fail(struct fdc *f, uint8_t st1, uint8_t st2) { return end(f, ST0_ABNORMAL, st1, st2); }

// --- finding a sector

// The sector's byte offset in the image. GO_ON, or the command has ended for want of it.
static enum next locate(struct fdc *f, uint64_t *offset)
{
    struct fdc_transfer *t = &f->t;
    const struct fdc_drive *d = fdc_drive(f, unit_of(f));
    unsigned head = head_of(f);

    if (!d || !d->media || (f->dsr & 3) != fdc_media_rate(d) || d->track >= d->format->cylinders ||
        head >= d->format->heads)
        return fail(f, ST1_MISSING_MARK, 0); // nothing on this track makes sense
    if (!t->by_index) {
        if (t->c != d->track)
            return fail(f, ST1_NO_DATA, ST2_WRONG_CYLINDER);
        if (t->h != head || t->n != FDC_SECTOR_N || t->r == 0 || t->r > d->format->sectors_per_track)
            return fail(f, ST1_NO_DATA, 0);
    } else if (t->r == 0 || t->r > d->format->sectors_per_track || t->n != FDC_SECTOR_N) {
        return fail(f, ST1_NO_DATA, 0);
    }
    *offset = (((uint64_t)d->track * d->format->heads + head) * d->format->sectors_per_track + t->r - 1) * FDC_SECTOR;
    return GO_ON;
}

static struct block *media(struct fdc *f) { return fdc_drive(f, unit_of(f))->media; }

static int load(struct fdc *f, uint64_t offset)
{
    uint64_t size = block_size(media(f));
    size_t there = offset >= size ? 0 : size - offset < FDC_SECTOR ? (size_t)(size - offset) : FDC_SECTOR;

    memset(f->t.buf, 0, FDC_SECTOR); // beyond the image's end
    return there ? block_read(media(f), offset, f->t.buf, there) : 0;
}

static int store(struct fdc *f, uint64_t offset)
{
    uint64_t size = block_size(media(f));
    return offset + FDC_SECTOR <= size ? block_write(media(f), offset, f->t.buf, FDC_SECTOR) : -1;
}

// --- one sector

static enum next load_sector(struct fdc *f)
{
    struct fdc_transfer *t = &f->t;
    uint64_t offset;

    if (locate(f, &offset))
        return ENDED;
    if (t->deleted && t->skip) // every sector carries the other mark: none is left
        return fail(f, ST1_NO_DATA, 0);
    if (load(f, offset))
        return fail(f, ST1_DATA_ERROR, ST2_DATA_ERROR);
    return GO_ON;
}

// Before its data: what can be said without them, and what the host is to read.
static enum next begin_sector(struct fdc *f)
{
    struct fdc_transfer *t = &f->t;
    const struct fdc_drive *d = fdc_drive(f, unit_of(f));
    uint64_t offset;

    t->at = 0;
    t->length = FDC_SECTOR;
    t->scan_failed = false;
    t->scan_equal = true;
    switch (t->action) {
    case FDC_READ:
    case FDC_SCAN:
    case FDC_VERIFY: return load_sector(f);
    case FDC_WRITE:
        if (d && d->media && block_readonly(d->media))
            return fail(f, ST1_NOT_WRITABLE, 0);
        return locate(f, &offset);
    default: t->length = FORMAT_ID_BYTES; return GO_ON;
    }
}

static enum next format_sector(struct fdc *f)
{
    struct fdc_transfer *t = &f->t;
    uint64_t offset;

    t->c = t->buf[0];
    t->h = t->buf[1];
    t->r = t->buf[2];
    t->n = t->buf[3];
    if (locate(f, &offset))
        return ENDED;
    memset(t->buf, t->fill, FDC_SECTOR);
    return store(f, offset) ? fail(f, ST1_DATA_ERROR, 0) : GO_ON;
}

// After its data. last: the host gave TC.
static enum next end_sector(struct fdc *f, bool last)
{
    struct fdc_transfer *t = &f->t;
    bool at_end = t->r == t->eot;
    uint64_t offset;

    switch (t->action) {
    case FDC_WRITE:
        if (locate(f, &offset))
            return ENDED;
        if (store(f, offset))
            return fail(f, ST1_DATA_ERROR, ST2_DATA_ERROR);
        break;
    case FDC_FORMAT:
        if (t->at < t->length) // TC
            return end(f, 0, 0, 0);
        if (format_sector(f))
            return ENDED;
        return --t->left && !last ? GO_ON : end(f, 0, 0, 0);
    case FDC_SCAN:
        if (!t->scan_failed)
            return end(f, 0, 0, t->scan_equal ? ST2_SCAN_EQUAL : 0);
        if (at_end || last)
            return end(f, 0, 0, ST2_SCAN_NOT_SATISFIED);
        if (t->scan_step == 2 && t->r + 1 != t->eot)
            t->r++;
        break;
    default: break;
    }
    step_ids(t);
    if (t->deleted)
        return end(f, 0, 0, ST2_CONTROL_MARK); // the other kind of sector is read, and the last one
    if (last || (t->action == FDC_VERIFY && t->left && --t->left == 0))
        return end(f, 0, 0, 0);
    if (!at_end)
        return GO_ON;
    if (t->multi_track && (t->h & 1)) { // on to the second side
        t->unit |= 4;
        return GO_ON;
    }
    return t->action == FDC_VERIFY && !t->left ? end(f, 0, 0, 0) : fail(f, ST1_END_OF_CYLINDER, 0);
}

static void scan_byte(struct fdc_transfer *t, uint8_t host)
{
    uint8_t disk = t->buf[t->at];

    if (host == SCAN_WILD || disk == SCAN_WILD || disk == host)
        return;
    t->scan_equal = false;
    if (t->scan_opcode == SCAN_EQUAL || (t->scan_opcode == SCAN_LOW ? disk > host : disk < host))
        t->scan_failed = true;
}

// --- moving data

// Ends a sector that is full or was cut short, and begins the next.
static enum next next_sector(struct fdc *f, bool last)
{
    struct fdc_transfer *t = &f->t;

    // "If the host terminates a write in a sector's middle, the rest is filled with zeros."
    if (t->action == FDC_WRITE && t->at < t->length)
        memset(t->buf + t->at, 0, t->length - t->at);
    return end_sector(f, last) ? ENDED : begin_sector(f);
}

// Moves what the channel takes of this sector. Returns the bytes; 0: it takes nothing now.
static size_t dma_some(struct fdc *f, bool *tc)
{
    struct fdc_transfer *t = &f->t;
    unsigned ch = f->cfg.dma_channel;
    uint8_t host[FDC_SECTOR];
    size_t n;

    if (t->action == FDC_READ)
        return i8237_write(f->cfg.dma, ch, t->buf + t->at, t->length - t->at, tc);
    if (t->action != FDC_SCAN)
        return i8237_read(f->cfg.dma, ch, t->buf + t->at, t->length - t->at, tc);
    n = i8237_read(f->cfg.dma, ch, host, t->length - t->at, tc);
    for (size_t i = 0; i < n; i++, t->at++)
        scan_byte(t, host[i]);
    t->at -= (unsigned)n;
    return n;
}

// Each round ends a sector, and sectors are counted by EOT (or SC), so this ends: at most 2 * 256 rounds.
void fdc_transfer_pump(struct fdc *f)
{
    struct fdc_transfer *t = &f->t;

    while (f->phase == FDC_EXECUTION && !f->non_dma) {
        bool tc = false;

        if (t->action == FDC_VERIFY) {
            t->at = t->length;
        } else {
            fdc_update_lines(f); // DREQ
            size_t n = f->dor & DOR_DMA_GATE ? dma_some(f, &tc) : 0;
            if (!n)
                return;
            t->at += (unsigned)n;
        }
        if ((t->at == t->length || tc) && next_sector(f, tc))
            return;
    }
}

void fdc_transfer_start(struct fdc *f)
{
    struct fdc_transfer *t = &f->t;

    f->phase = FDC_EXECUTION;
    if (t->action == FDC_FORMAT) {
        const struct fdc_drive *d = fdc_drive(f, unit_of(f));

        if (d && d->media && block_readonly(d->media)) {
            fail(f, ST1_NOT_WRITABLE, 0);
            return;
        }
        if (!t->left) {
            end(f, 0, 0, 0);
            return;
        }
    }
    if (t->by_index)
        t->r = 1;
    if (t->r > t->eot && t->action != FDC_FORMAT) { // would go round 255 sectors
        fail(f, ST1_NO_DATA, 0);
        return;
    }
    if (begin_sector(f))
        return;
    if (f->non_dma)
        fdc_set_irq(f, true); // asks for the first byte
    else
        fdc_transfer_pump(f);
}

// --- non-DMA mode: the interrupt stands for "the FIFO wants you", once a sector

static void fifo_moved(struct fdc *f)
{
    if (f->t.at == 1)
        fdc_set_irq(f, false);
    if (f->t.at == f->t.length && next_sector(f, false) == GO_ON)
        fdc_set_irq(f, true);
}

uint8_t fdc_transfer_pop(struct fdc *f)
{
    uint8_t v = f->t.buf[f->t.at++];
    fifo_moved(f);
    return v;
}

void fdc_transfer_push(struct fdc *f, uint8_t v)
{
    if (f->t.action == FDC_SCAN)
        scan_byte(&f->t, v);
    else
        f->t.buf[f->t.at] = v;
    f->t.at++;
    fifo_moved(f);
}
