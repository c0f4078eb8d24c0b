// SPDX-License-Identifier: MIT
// The 82077AA floppy disk controller in PC-AT mode: its registers and lines.
//
// There is no rotating disk to wait for: a command is executed inside the write of its last byte, as far as the
// DMA channel or the FIFO lets it. Commands are in fdc_command.c, data in fdc_transfer.c, drives in fdc_drive.c.
#include "hw/fdc_internal.h"

#include <stdlib.h>
#include <string.h>

// Data sheet, section 2.1 "Status, Data and Control Registers". SRA and SRB exist in PS/2 mode only.
enum { REG_DOR = 2, REG_TDR = 3, REG_MSR = 4, REG_DSR = 4, REG_FIFO = 5 };
enum { DOR_SELECT = 0x03, DOR_NO_RESET = 0x04, DOR_MOTOR_0 = 0x10 };
enum { MSR_RQM = 0x80, MSR_DIO = 0x40, MSR_NON_DMA = 0x20, MSR_BUSY = 0x10 };
enum { DSR_SW_RESET = 0x80, DSR_RATE = 0x03, DSR_DEFAULT = FDC_RATE_250K };
enum { DIR_CHANGED = 0x80, TDR_WRITABLE = 0x03 };
enum { CONFIG_NO_POLLING = 0x10, CONFIG_DEFAULT = 0x20 }; // EFIFO: the FIFO is off

// --- lines

void fdc_update_lines(struct fdc *f)
{
    bool gate = f->dor & DOR_DMA_GATE;

    irq_set(&f->cfg.irq, f->irq && gate);
    i8237_set_dreq(f->cfg.dma, f->cfg.dma_channel, gate && f->phase == FDC_EXECUTION && !f->non_dma);
}

void fdc_set_irq(struct fdc *f, bool level)
{
    f->irq = level;
    fdc_update_lines(f);
}

void fdc_finish(struct fdc *f, const uint8_t *results, unsigned n)
{
    f->phase = n ? FDC_RESULT : FDC_IDLE;
    f->result_irq = false;
    f->result_count = n;
    f->result_at = f->param_at = 0;
    if (n)
        memcpy(f->results, results, n);
    fdc_update_lines(f);
}

// --- reset

// Data sheet, section 3.4 "Reset": by DOR or DSR; LOCK keeps what CONFIGURE set.
void fdc_soft_reset(struct fdc *f)
{
    if (!f->locked) {
        f->config = CONFIG_DEFAULT;
        f->precomp_track = 0;
    }
    f->perpendicular &= 0x3c; // "GAP and WGATE are set to 0 by software resets", the drives' bits stay
    f->pending = f->seeking = 0;
    memset(f->pcn, 0, sizeof(f->pcn));
    f->irq = false;
    f->non_dma = false;
    fdc_finish(f, NULL, 0);
}

// "After a reset, the polling of the drives gives an interrupt; SENSE INTERRUPT STATUS is needed for each".
static void leave_reset(struct fdc *f)
{
    if (f->config & CONFIG_NO_POLLING)
        return;
    for (unsigned i = 0; i < FDC_UNITS; i++)
        f->pending_st0[i] = (uint8_t)(ST0_POLLING | i);
    f->pending = (1 << FDC_UNITS) - 1;
    fdc_set_irq(f, true);
}

static bool in_reset(const struct fdc *f) { return !(f->dor & DOR_NO_RESET); }

// --- registers

static uint8_t read_msr(const struct fdc *f)
{
    if (in_reset(f))
        return 0;
    uint8_t v = f->seeking;
    switch (f->phase) {
    case FDC_IDLE: return v | MSR_RQM;
    case FDC_COMMAND: return v | MSR_RQM | MSR_BUSY;
    case FDC_RESULT: return v | MSR_RQM | MSR_DIO | MSR_BUSY;
    default:
        if (!f->non_dma)
            return v | MSR_BUSY;
        return v | MSR_RQM | MSR_NON_DMA | MSR_BUSY | (f->t.action == FDC_READ ? MSR_DIO : 0);
    }
}

static uint8_t read_fifo(struct fdc *f)
{
    if (f->phase == FDC_EXECUTION && f->non_dma && f->t.action == FDC_READ)
        return fdc_transfer_pop(f);
    if (f->phase != FDC_RESULT || in_reset(f))
        return 0;
    uint8_t v = f->results[f->result_at++];
    // Reading the results takes a data command's interrupt back; SENSE INTERRUPT STATUS clears the others.
    if (f->result_irq) {
        f->result_irq = false;
        fdc_set_irq(f, false);
    }
    if (f->result_at == f->result_count)
        fdc_finish(f, NULL, 0);
    return v;
}

static void write_fifo(struct fdc *f, uint8_t v)
{
    if (in_reset(f))
        return;
    if (f->phase == FDC_EXECUTION && f->non_dma && f->t.action != FDC_READ)
        fdc_transfer_push(f, v);
    else if (f->phase == FDC_IDLE || f->phase == FDC_COMMAND)
        fdc_command_byte(f, v);
}

static void write_dor(struct fdc *f, uint8_t v)
{
    bool was_reset = in_reset(f);

    f->dor = v;
    if (!was_reset && in_reset(f))
        fdc_soft_reset(f);
    else if (was_reset && !in_reset(f))
        leave_reset(f);
    fdc_update_lines(f);
    fdc_transfer_pump(f); // the DMA gate may have opened
}

static void write_dsr(struct fdc *f, uint8_t v)
{
    f->dsr = v & (uint8_t)~DSR_SW_RESET;
    if (v & DSR_SW_RESET && !in_reset(f)) { // clears itself
        fdc_soft_reset(f);
        leave_reset(f);
    }
}

static uint64_t fdc_read(void *opaque, uint64_t offset, unsigned size)
{
    struct fdc *f = opaque;

    switch (offset) {
    case REG_DOR: return f->dor;
    case REG_TDR: return f->tdr;
    case REG_MSR: return read_msr(f);
    case REG_FIFO: return read_fifo(f);
    default: return 0xff;
    }
}

static void fdc_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct fdc *f = opaque;
    uint8_t v = (uint8_t)value;

    switch (offset) {
    case REG_DOR: write_dor(f, v); break;
    case REG_TDR: f->tdr = v & TDR_WRITABLE; break;
    case REG_DSR: write_dsr(f, v); break;
    case REG_FIFO: write_fifo(f, v); break;
    }
}

static uint64_t read_dir(void *opaque, uint64_t offset, unsigned size)
{
    struct fdc *f = opaque;
    unsigned unit = f->dor & DOR_SELECT;
    struct fdc_drive *d = fdc_drive(f, unit);

    // The line is open collector: only a selected drive whose motor runs can pull it.
    return d && f->dor & DOR_MOTOR_0 << unit && d->changed ? DIR_CHANGED : 0;
}

static void write_ccr(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct fdc *f = opaque;
    f->dsr = (uint8_t)((f->dsr & ~DSR_RATE) | (value & DSR_RATE));
}

static const struct io_ops fdc_ops = {.read = fdc_read, .write = fdc_write, .min_size = 1, .max_size = 1};
static const struct io_ops dir_ops = {.read = read_dir, .write = write_ccr, .min_size = 1, .max_size = 1};

// --- life

static void on_dma_ready(void *opaque) { fdc_transfer_pump(opaque); }

void fdc_reset(struct fdc *f)
{
    f->dor = f->tdr = 0;
    f->dsr = DSR_DEFAULT;
    f->locked = false;
    f->perpendicular = 0;
    f->specify[0] = f->specify[1] = f->last_eot = 0;
    fdc_soft_reset(f);
    for (unsigned i = 0; i < FDC_DRIVES; i++)
        f->drive[i].changed = true;
}

struct fdc *fdc_create(const struct fdc_config *cfg)
{
    struct fdc *f = calloc(1, sizeof(*f));

    if (!f)
        return NULL;
    f->cfg = *cfg;
    if (!as_map_io(cfg->ports, "fdc", cfg->base, 6, &fdc_ops, f, 0) ||
        !as_map_io(cfg->ports, "fdc-dir", cfg->base + 7u, 1, &dir_ops, f, 0)) {
        free(f);
        return NULL;
    }
    i8237_connect(cfg->dma, cfg->dma_channel, on_dma_ready, f);
    fdc_reset(f);
    return f;
}
