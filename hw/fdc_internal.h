// SPDX-License-Identifier: MIT
// What the floppy controller's files share: fdc_82077.c (registers), fdc_command.c (commands),
// fdc_transfer.c (data), fdc_drive.c (drives and disks).
#pragma once

#include "hw/block.h"
#include "hw/fdc_82077.h"
#include "hw/i8237.h"

enum { FDC_SECTOR = 512, FDC_SECTOR_N = 2, FDC_UNITS = 4, FDC_MAX_PARAMS = 9, FDC_MAX_RESULTS = 10 };

enum { DOR_DMA_GATE = 0x08 };
enum fdc_rate { FDC_RATE_500K = 0, FDC_RATE_300K = 1, FDC_RATE_250K = 2, FDC_RATE_1M = 3 };

// clang-format off
enum {
    ST0_SEEK_END = 0x20, ST0_EQUIPMENT_CHECK = 0x10, ST0_HEAD = 0x04, ST0_ABNORMAL = 0x40, ST0_INVALID = 0x80,
    ST0_POLLING = 0xc0,
    ST1_END_OF_CYLINDER = 0x80, ST1_DATA_ERROR = 0x20, ST1_OVERRUN = 0x10, ST1_NO_DATA = 0x04,
    ST1_NOT_WRITABLE = 0x02, ST1_MISSING_MARK = 0x01,
    ST2_CONTROL_MARK = 0x40, ST2_DATA_ERROR = 0x20, ST2_WRONG_CYLINDER = 0x10, ST2_SCAN_EQUAL = 0x08,
    ST2_SCAN_NOT_SATISFIED = 0x04,
    ST3_WRITE_PROTECTED = 0x40, ST3_READY = 0x20, ST3_TRACK_0 = 0x10, ST3_TWO_SIDED = 0x08, ST3_HEAD = 0x04,
};
// clang-format on

struct fdc_drive {
    enum fdc_drive_type type; // NONE: no drive
    struct block *media;
    const struct fdc_format *format; // of media
    uint8_t track;                   // where the heads are
    bool changed;                    // the disk change line
};

struct fdc_format {
    uint16_t sectors; // of the image
    uint8_t cylinders, heads, sectors_per_track;
    uint8_t rate;             // in a drive made for it
    enum fdc_drive_type type; // the drive made for it
};

enum fdc_phase { FDC_IDLE, FDC_COMMAND, FDC_EXECUTION, FDC_RESULT };
enum fdc_action { FDC_READ, FDC_WRITE, FDC_VERIFY, FDC_SCAN, FDC_FORMAT };

// A data command under way.
struct fdc_transfer {
    enum fdc_action action;
    uint8_t c, h, r, n, eot; // C, H, R, N as commanded and counted on
    unsigned unit;
    bool multi_track, by_index; // by_index: READ TRACK, sectors as they come
    bool skip, deleted;
    unsigned left; // VERIFY with EC, FORMAT: sectors to go
    uint8_t scan_step, scan_opcode, fill;
    bool scan_failed, scan_equal; // this sector so far
    unsigned at, length;          // in buf
    uint8_t buf[FDC_SECTOR];
};

struct fdc {
    struct fdc_config cfg;
    struct fdc_drive drive[FDC_DRIVES];
    uint8_t dor, dsr, tdr;
    enum fdc_phase phase;
    uint8_t params[FDC_MAX_PARAMS];
    unsigned param_at;
    uint8_t results[FDC_MAX_RESULTS];
    unsigned result_count, result_at;
    bool irq, result_irq; // result_irq: it announces results to read
    uint8_t pending;      // units with an interrupt status to be sensed
    uint8_t pending_st0[FDC_UNITS];
    uint8_t pcn[FDC_UNITS]; // present cylinder, as the controller counts it
    uint8_t seeking;        // the MSR's drive busy bits
    uint8_t specify[2], config, precomp_track, perpendicular, last_eot;
    bool locked, non_dma;
    struct fdc_transfer t;
};

// --- fdc_82077.c
void fdc_set_irq(struct fdc *f, bool level);
void fdc_update_lines(struct fdc *f);
void fdc_finish(struct fdc *f, const uint8_t *results, unsigned n); // to the result phase, or idle for n == 0
void fdc_soft_reset(struct fdc *f);

// --- fdc_command.c
void fdc_command_byte(struct fdc *f, uint8_t v);

// --- fdc_transfer.c
void fdc_transfer_start(struct fdc *f);  // f->t is filled in
void fdc_transfer_pump(struct fdc *f);   // the DMA channel may be open now
uint8_t fdc_transfer_pop(struct fdc *f); // non-DMA mode: the FIFO
void fdc_transfer_push(struct fdc *f, uint8_t v);

// --- fdc_drive.c
struct fdc_drive *fdc_drive(struct fdc *f, unsigned unit);                         // NULL: no drive there
const struct fdc_format *fdc_format_of(const struct fdc_drive *d, uint64_t bytes); // NULL: too large
uint8_t fdc_media_rate(const struct fdc_drive *d);
void fdc_seek(struct fdc *f, unsigned unit, unsigned track); // moves the heads
enum { FDC_MAX_TRACK = 84 };                                 // where the carriage stops
