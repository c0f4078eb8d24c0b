// SPDX-License-Identifier: MIT
// The floppy controller's commands: parameters in, results out. 82077AA data sheet, section 5 "Command
// Set/Descriptions".
#include "hw/fdc_internal.h"

#include "base/log.h"

enum {
    MT = 0x80,
    MFM = 0x40,
    SK = 0x20,
    LOCK_SET = 0x80,
    SEEK_INWARD = 0x40,
    VERIFY_EC = 0x80,
    ND = 0x01,
    CONFIG_IMPLIED_SEEK = 0x40
};
enum { P_OPCODE, P_UNIT, P_C, P_H, P_R, P_N, P_EOT, P_GPL, P_DTL }; // of the data commands
enum { VERSION_82077 = 0x90, RECALIBRATE_STEPS = 79 };

struct fdc_command {
    uint8_t opcode, mask; // of the first byte
    uint8_t length;       // with that byte
    void (*run)(struct fdc *f);
};

// --- what they share

static unsigned unit_of(const struct fdc *f) { return f->params[P_UNIT] & 3; }

static void done(struct fdc *f) { fdc_finish(f, NULL, 0); }

// The end of a seek: an interrupt for SENSE INTERRUPT STATUS to explain.
static void seek_end(struct fdc *f, unsigned unit, uint8_t st0)
{
    if (f->pending && (f->pending_st0[FDC_UNITS - 1] & ST0_POLLING) == ST0_POLLING)
        f->pending = 0; // statuses of a reset that nobody asked for
    f->pending |= (uint8_t)(1u << unit);
    f->pending_st0[unit] = st0;
    f->seeking |= (uint8_t)(1u << unit);
    done(f);
    fdc_set_irq(f, true);
}

static void move_to(struct fdc *f, unsigned unit, uint8_t cylinder)
{
    // Where the heads are is always known here, also after a reset has set PCN to 0.
    fdc_seek(f, unit, cylinder);
    f->pcn[unit] = cylinder;
}

// --- control commands

static void run_specify(struct fdc *f)
{
    f->specify[0] = f->params[1];
    f->specify[1] = f->params[2];
    done(f);
}

static void run_sense_drive(struct fdc *f)
{
    unsigned unit = unit_of(f);
    const struct fdc_drive *d = fdc_drive(f, unit);
    uint8_t st3 = (uint8_t)(ST3_READY | ST3_TWO_SIDED | (f->params[P_UNIT] & (ST3_HEAD | 3)));

    if (d && d->track == 0)
        st3 |= ST3_TRACK_0;
    if (d && d->media && block_readonly(d->media))
        st3 |= ST3_WRITE_PROTECTED;
    fdc_finish(f, &st3, 1);
}

static void run_recalibrate(struct fdc *f)
{
    unsigned unit = unit_of(f);
    struct fdc_drive *d = fdc_drive(f, unit);
    uint8_t st0 = (uint8_t)(ST0_SEEK_END | unit);

    if (!d || d->track > RECALIBRATE_STEPS)
        st0 |= ST0_ABNORMAL | ST0_EQUIPMENT_CHECK; // track 0 was not seen
    if (d)
        fdc_seek(f, unit, d->track > RECALIBRATE_STEPS ? d->track - RECALIBRATE_STEPS : 0);
    f->pcn[unit] = 0;
    seek_end(f, unit, st0);
}

static void run_seek(struct fdc *f)
{
    move_to(f, unit_of(f), f->params[2]);
    seek_end(f, unit_of(f), (uint8_t)(ST0_SEEK_END | (f->params[P_UNIT] & (ST0_HEAD | 3))));
}

static void run_relative_seek(struct fdc *f)
{
    unsigned unit = unit_of(f);
    struct fdc_drive *d = fdc_drive(f, unit);
    uint8_t steps = f->params[2];
    bool inward = f->params[0] & SEEK_INWARD;
    uint8_t st0 = (uint8_t)(ST0_SEEK_END | (f->params[P_UNIT] & (ST0_HEAD | 3)));

    if (!inward && d && steps > d->track)
        st0 |= ST0_ABNORMAL | ST0_EQUIPMENT_CHECK; // "track 0 is reached before the steps are done"
    if (d)
        fdc_seek(f, unit, inward ? d->track + (unsigned)steps : d->track > steps ? d->track - (unsigned)steps : 0);
    f->pcn[unit] = (uint8_t)(inward ? f->pcn[unit] + steps : f->pcn[unit] - steps);
    seek_end(f, unit, st0);
}

static void run_sense_interrupt(struct fdc *f)
{
    uint8_t r[2] = {ST0_INVALID};

    for (unsigned unit = 0; unit < FDC_UNITS; unit++) {
        uint8_t bit = (uint8_t)(1u << unit);

        if (!(f->pending & bit))
            continue;
        f->pending &= (uint8_t)~bit;
        f->seeking &= (uint8_t)~bit;
        r[0] = f->pending_st0[unit];
        r[1] = f->pcn[unit];
        // The polling after a reset is one interrupt for four statuses; seeks that overlapped have one each.
        fdc_set_irq(f, false);
        if (f->pending && (r[0] & ST0_POLLING) != ST0_POLLING)
            fdc_set_irq(f, true);
        fdc_finish(f, r, 2);
        return;
    }
    fdc_finish(f, r, 1); // nothing to sense: an invalid command
}

static void run_configure(struct fdc *f)
{
    f->config = f->params[2] & 0x7f;
    f->precomp_track = f->params[3];
    done(f);
}

static void run_perpendicular(struct fdc *f)
{
    uint8_t v = f->params[1];
    // Without OW the drives' bits keep what they are.
    f->perpendicular = (uint8_t)(v & 0x80 ? v & 0x3f : (f->perpendicular & 0x3c) | (v & 3));
    done(f);
}

static void run_dumpreg(struct fdc *f)
{
    const uint8_t r[10] = {
        f->pcn[0],     f->pcn[1],       f->pcn[2],   f->pcn[3],
        f->specify[0], f->specify[1],   f->last_eot, (uint8_t)((f->locked ? 0x80 : 0) | f->perpendicular),
        f->config,     f->precomp_track};
    fdc_finish(f, r, 10);
}

static void run_lock(struct fdc *f)
{
    f->locked = f->params[0] & LOCK_SET;
    fdc_finish(f, &(uint8_t){f->locked ? 0x10 : 0}, 1);
}

static void run_version(struct fdc *f) { fdc_finish(f, &(uint8_t){VERSION_82077}, 1); }

// PART ID is among these: "an invalid command" is how an 82077AA is told from an 82078.
static void run_invalid(struct fdc *f)
{
    log_printf(LOG_guest_errors, "fdc: invalid command %02x", f->params[0]);
    fdc_finish(f, &(uint8_t){ST0_INVALID}, 1);
}

// --- data commands

static void start(struct fdc *f, enum fdc_action action, struct fdc_transfer t)
{
    const uint8_t *p = f->params;

    t.action = action;
    t.unit = p[P_UNIT] & 7; // with the head
    t.c = p[P_C];
    t.h = p[P_H];
    t.r = p[P_R];
    t.n = p[P_N];
    t.eot = p[P_EOT];
    t.multi_track = p[P_OPCODE] & MT;
    t.skip = p[P_OPCODE] & SK;
    if (f->config & CONFIG_IMPLIED_SEEK)
        move_to(f, unit_of(f), t.c);
    f->last_eot = t.eot;
    f->non_dma = f->specify[1] & ND && action != FDC_VERIFY;
    f->t = t;
    fdc_transfer_start(f);
}

static void run_read(struct fdc *f) { start(f, FDC_READ, (struct fdc_transfer){0}); }
static void run_read_deleted(struct fdc *f) { start(f, FDC_READ, (struct fdc_transfer){.deleted = true}); }
static void run_write(struct fdc *f) { start(f, FDC_WRITE, (struct fdc_transfer){0}); }

static void run_read_track(struct fdc *f)
{
    f->params[P_OPCODE] &= (uint8_t) ~(MT | SK);
    start(f, FDC_READ, (struct fdc_transfer){.by_index = true});
}

static void run_verify(struct fdc *f)
{
    bool counted = f->params[P_UNIT] & VERIFY_EC;
    unsigned sectors = f->params[P_DTL] ? f->params[P_DTL] : 256;

    start(f, FDC_VERIFY, (struct fdc_transfer){.left = counted ? sectors : 0});
}

static void run_scan(struct fdc *f)
{
    uint8_t step = f->params[P_DTL] == 2 ? 2 : 1;
    start(f, FDC_SCAN, (struct fdc_transfer){.scan_opcode = f->params[P_OPCODE] & 0x1f, .scan_step = step});
}

// FORMAT TRACK: N, sectors per cylinder, gap, fill; C, H, R, N of each sector come as data.
static void run_format(struct fdc *f)
{
    struct fdc_transfer t = {.action = FDC_FORMAT,
                             .unit = f->params[P_UNIT] & 7,
                             .n = f->params[2],
                             .left = f->params[3],
                             .fill = f->params[5],
                             .eot = f->params[3]};

    f->last_eot = t.eot;
    f->non_dma = f->specify[1] & ND;
    f->t = t;
    fdc_transfer_start(f);
}

// READ ID: the first ID field that comes by.
static void run_read_id(struct fdc *f)
{
    unsigned unit = unit_of(f), head = f->params[P_UNIT] >> 2 & 1;
    const struct fdc_drive *d = fdc_drive(f, unit);
    uint8_t r[7] = {(uint8_t)(f->params[P_UNIT] & 7)};

    if (!d || !d->media || (f->dsr & 3) != fdc_media_rate(d) || !(f->params[P_OPCODE] & MFM) ||
        d->track >= d->format->cylinders || head >= d->format->heads) {
        r[0] |= ST0_ABNORMAL;
        r[1] = ST1_MISSING_MARK;
    } else {
        r[3] = d->track;
        r[4] = (uint8_t)head;
        r[5] = 1;
        r[6] = FDC_SECTOR_N;
    }
    fdc_finish(f, r, 7);
    f->result_irq = true;
    fdc_set_irq(f, true);
}

// --- the table

static const struct fdc_command commands[] = {
    // opcode mask  bytes
    {0x06, 0x1f, 9, run_read},
    {0x0c, 0x1f, 9, run_read_deleted},
    {0x05, 0x3f, 9, run_write},
    {0x09, 0x3f, 9, run_write}, // WRITE DELETED DATA: an image has no place for the mark
    {0x02, 0x9f, 9, run_read_track},
    {0x16, 0x1f, 9, run_verify},
    {0x11, 0x1f, 9, run_scan}, // EQUAL
    {0x19, 0x1f, 9, run_scan}, // LOW OR EQUAL
    {0x1d, 0x1f, 9, run_scan}, // HIGH OR EQUAL
    {0x0d, 0xbf, 6, run_format},
    {0x0a, 0xbf, 2, run_read_id},
    {0x10, 0xff, 1, run_version},
    {0x07, 0xff, 2, run_recalibrate},
    {0x08, 0xff, 1, run_sense_interrupt},
    {0x03, 0xff, 3, run_specify},
    {0x04, 0xff, 2, run_sense_drive},
    {0x0f, 0xff, 3, run_seek},
    {0x8f, 0xbf, 3, run_relative_seek},
    {0x13, 0xff, 4, run_configure},
    {0x0e, 0xff, 1, run_dumpreg},
    {0x12, 0xff, 2, run_perpendicular},
    {0x14, 0x7f, 1, run_lock},
    {0x00, 0x00, 1, run_invalid},
};

void fdc_command_byte(struct fdc *f, uint8_t v)
{
    const struct fdc_command *c = commands;

    if (f->phase == FDC_IDLE) {
        f->phase = FDC_COMMAND;
        f->param_at = 0;
    }
    f->params[f->param_at++] = v;
    while ((f->params[0] & c->mask) != c->opcode)
        c++;
    if (f->param_at < c->length)
        return;
    c->run(f);
}
