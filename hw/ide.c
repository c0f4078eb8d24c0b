// SPDX-License-Identifier: MIT
// The registers of an IDE channel: command and control block, drive selection, interrupts, resets.
// ATA/ATAPI-6 (T13/1410D), clause 7 "Interface register definitions and descriptions" and 9.2 to 9.4 (resets).
//
// Both drives latch every write to the command block; the selected one answers reads. A missing device 1 is
// answered for by device 0, with a Status of 0; a channel without drives is pulled down at DD7 and up elsewhere.
#include "hw/ide_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { REG_DATA, REG_ERROR, REG_COUNT, REG_LBA0, REG_LBA1, REG_LBA2, REG_DEVICE, REG_STATUS };
enum { REG_FEATURE = REG_ERROR, REG_COMMAND = REG_STATUS };
enum { CMD_DEVICE_RESET = 0x08, CMD_DIAGNOSTIC = 0x90, DIAGNOSTIC_PASSED = 1, FLOATING = 0x7f };

// --- interrupts

void ide_update_irq(struct ide_channel *ch)
{
    const struct ide_drive *d = &ch->drive[ch->selected];
    bool level = d->present && d->intrq && !(ch->device_control & CTL_NIEN);
    if (level == ch->line)
        return;
    ch->line = level;
    irq_set(&ch->cfg.irq, level);
}

void ide_raise(struct ide_drive *d)
{
    d->intrq = true;
    ide_update_irq(d->ch);
}

// --- ends of commands

void ide_done(struct ide_drive *d)
{
    d->status = ST_DRDY | ST_DSC;
    ide_raise(d);
}

void ide_abort(struct ide_drive *d, uint8_t error)
{
    d->error = error;
    d->status = ST_DRDY | ST_DSC | ST_ERR;
    ide_raise(d);
}

// 9.12 "Signature and persistence"
void ide_set_signature(struct ide_drive *d)
{
    d->reg.count = d->reg.lba[0] = 1;
    d->reg.lba[1] = d->cd ? 0x14 : 0;
    d->reg.lba[2] = d->cd ? 0xeb : 0;
    d->hob = (struct ide_regs){0};
    d->device = d->unit ? DEV_SELECT : 0;
}

// --- resets

static void drive_reset(struct ide_drive *d, bool power_on)
{
    if (!d->present)
        return;
    ide_stream_stop(d);
    d->intrq = false;
    ide_set_signature(d);
    d->error = DIAGNOSTIC_PASSED;
    d->status = d->cd ? 0 : ST_DRDY | ST_DSC; // a packet device sets DRDY with its first command
    if (power_on)
        ata_reset(d);
    if (d->cd)
        atapi_reset(d, power_on);
}

static void soft_reset(struct ide_channel *ch)
{
    for (unsigned i = 0; i < 2; i++)
        drive_reset(&ch->drive[i], false);
    ch->selected = 0;
    ide_update_irq(ch);
}

void ide_channel_reset(struct ide_channel *ch)
{
    ch->device_control = 0;
    for (unsigned i = 0; i < 2; i++) {
        ch->drive[i].reg = ch->drive[i].hob = (struct ide_regs){0};
        drive_reset(&ch->drive[i], true);
    }
    ch->selected = 0;
    ide_update_irq(ch);
}

// 8.11 "EXECUTE DEVICE DIAGNOSTIC": both devices do it, device 0 answers.
static void diagnostic(struct ide_channel *ch)
{
    soft_reset(ch);
    struct ide_drive *first = &ch->drive[ch->drive[0].present ? 0 : 1];
    if (first->present)
        ide_raise(first);
}

static void write_control(struct ide_channel *ch, uint8_t v)
{
    uint8_t old = ch->device_control;
    ch->device_control = v;
    if (v & CTL_SRST) {
        if (!(old & CTL_SRST)) {
            soft_reset(ch);
            for (unsigned i = 0; i < 2; i++)
                ch->drive[i].status = ch->drive[i].present ? ST_BSY : 0;
        }
    } else if (old & CTL_SRST) {
        soft_reset(ch);
    }
    ide_update_irq(ch);
}

// --- commands

static void write_command(struct ide_channel *ch, uint8_t v)
{
    struct ide_drive *d = &ch->drive[ch->selected];
    if (ch->device_control & CTL_SRST)
        return;
    if (v == CMD_DIAGNOSTIC) {
        if (!((ch->drive[0].status | ch->drive[1].status) & (ST_BSY | ST_DRQ)))
            diagnostic(ch);
        return;
    }
    if (!d->present)
        return;
    if (d->cd && v == CMD_DEVICE_RESET) { // 8.10: the one command that a busy device takes
        uint8_t select = d->device & DEV_SELECT;
        drive_reset(d, false);
        d->device = select;
        ide_update_irq(ch);
        return;
    }
    if (d->status & (ST_BSY | ST_DRQ))
        return;
    d->intrq = false;
    ide_update_irq(ch);
    d->error = 0;
    d->status = ST_BSY;
    if (d->cd)
        atapi_command(d, v);
    else
        ata_command(d, v);
}

// --- registers

static struct ide_drive *answering(struct ide_channel *ch)
{
    if (ch->drive[ch->selected].present)
        return &ch->drive[ch->selected];
    return ch->selected && ch->drive[0].present ? &ch->drive[0] : NULL;
}

static uint8_t read_status(struct ide_channel *ch, bool acknowledge)
{
    struct ide_drive *d = &ch->drive[ch->selected];
    if (!d->present)
        return answering(ch) ? 0 : FLOATING;
    if (acknowledge) {
        d->intrq = false;
        ide_update_irq(ch);
    }
    return d->status;
}

static uint8_t read_register(struct ide_channel *ch, unsigned reg)
{
    const struct ide_drive *d = answering(ch);
    if (reg == REG_STATUS)
        return read_status(ch, true);
    if (!d)
        return FLOATING;
    const struct ide_regs *r = ch->device_control & CTL_HOB ? &d->hob : &d->reg;
    switch (reg) {
    case REG_ERROR: return d->error;
    case REG_COUNT: return r->count;
    case REG_DEVICE: return (uint8_t)((d->device & ~DEV_SELECT) | (ch->selected ? DEV_SELECT : 0) | DEV_OBSOLETE);
    default: return r->lba[reg - REG_LBA0];
    }
}

static void latch(struct ide_drive *d, unsigned reg, uint8_t v)
{
    switch (reg) {
    case REG_FEATURE:
        d->hob.feature = d->reg.feature;
        d->reg.feature = v;
        break;
    case REG_COUNT:
        d->hob.count = d->reg.count;
        d->reg.count = v;
        break;
    case REG_DEVICE: d->device = v; break;
    default:
        d->hob.lba[reg - REG_LBA0] = d->reg.lba[reg - REG_LBA0];
        d->reg.lba[reg - REG_LBA0] = v;
        break;
    }
}

static void write_register(struct ide_channel *ch, unsigned reg, uint8_t v)
{
    ch->device_control &= (uint8_t)~CTL_HOB; // any write to the command block clears HOB
    if (reg == REG_COMMAND) {
        write_command(ch, v);
        return;
    }
    for (unsigned i = 0; i < 2; i++)
        latch(&ch->drive[i], reg, v);
    if (reg == REG_DEVICE) {
        ch->selected = (v & DEV_SELECT) != 0;
        ide_update_irq(ch);
    }
}

static uint64_t read_data(struct ide_channel *ch, unsigned size)
{
    struct ide_drive *d = &ch->drive[ch->selected];
    if (!d->present)
        return UINT64_MAX;
    uint64_t v = ide_data_read(d);
    return size == 4 ? v | (uint64_t)ide_data_read(d) << 16 : v;
}

static void write_data(struct ide_channel *ch, uint64_t v, unsigned size)
{
    struct ide_drive *d = &ch->drive[ch->selected];
    if (!d->present)
        return;
    ide_data_write(d, (uint16_t)v);
    if (size == 4)
        ide_data_write(d, (uint16_t)(v >> 16));
}

// A wide access to the 8-bit registers is one access to each of them.
static uint64_t command_read(void *opaque, uint64_t offset, unsigned size)
{
    if (offset == REG_DATA)
        return read_data(opaque, size);
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)(offset + i <= REG_STATUS ? read_register(opaque, (unsigned)offset + i) : 0xff) << 8 * i;
    return v;
}

static void command_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    if (offset == REG_DATA) {
        write_data(opaque, value, size);
        return;
    }
    for (unsigned i = 0; i < size && offset + i <= REG_COMMAND; i++)
        write_register(opaque, (unsigned)offset + i, (uint8_t)(value >> 8 * i));
}

static uint64_t control_read(void *opaque, uint64_t offset, unsigned size) { return read_status(opaque, false); }
static void control_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    write_control(opaque, (uint8_t)value);
}

static const struct io_ops command_ops = {.read = command_read, .write = command_write, .min_size = 1, .max_size = 4};
static const struct io_ops control_ops = {.read = control_read, .write = control_write, .min_size = 1, .max_size = 1};

// --- creation

void ide_channel_set_enabled(struct ide_channel *ch, bool on)
{
    as_set_enabled(ch->command, on);
    as_set_enabled(ch->control, on);
}

struct ide_channel *ide_channel_create(const struct ide_channel_config *cfg)
{
    struct ide_channel *ch = calloc(1, sizeof(*ch));
    if (!ch)
        return NULL;
    ch->cfg = *cfg;
    for (unsigned i = 0; i < 2; i++) {
        ch->drive[i].ch = ch;
        ch->drive[i].unit = i;
    }
    // 3F7h is the floppy controller's: the second register of the control block is long obsolete.
    ch->command = as_map_io(cfg->ports, "ide", cfg->command, 8, &command_ops, ch, 0);
    ch->control = ch->command ? as_map_io(cfg->ports, "ide-control", cfg->control, 1, &control_ops, ch, 0) : NULL;
    if (ch->control)
        return ch;
    if (ch->command)
        as_unmap(ch->command);
    free(ch);
    return NULL;
}

// Printable text, at most max characters of it.
static int set_text(char *to, size_t max, const char *text, const char *otherwise)
{
    const char *s = text ? text : otherwise;
    if (strlen(s) > max)
        return -EINVAL;
    for (const char *p = s; *p; p++)
        if (*p < ' ' || *p > '~')
            return -EINVAL;
    memcpy(to, s, strlen(s) + 1);
    return 0;
}

int ide_attach(struct ide_channel *ch, unsigned unit, const struct ide_drive_config *cfg)
{
    struct ide_drive *d = &ch->drive[unit & 1];
    if (d->present)
        return -EBUSY;
    if ((!cfg->cd && !cfg->block) || set_text(d->serial, 20, cfg->serial, "R30001") ||
        set_text(d->model, 40, cfg->model, cfg->cd ? "RING3 DVD-ROM" : "RING3 HARDDISK") ||
        set_text(d->version, 8, cfg->version, "1.0"))
        return -EINVAL;
    d->buf = calloc(1, IDE_BUFFER + 8);
    if (!d->buf)
        return -ENOMEM;
    d->cd = cfg->cd;
    d->block = cfg->block;
    if (!d->cd)
        d->chs = ide_guess_geometry(d->block);
    d->present = true;
    drive_reset(d, true);
    return 0;
}

struct ide_drive *ide_channel_drive(struct ide_channel *ch, unsigned unit)
{
    return ch->drive[unit & 1].present ? &ch->drive[unit & 1] : NULL;
}

bool ide_drive_is_cd(const struct ide_drive *d) { return d->cd; }
struct ide_geometry ide_drive_geometry(const struct ide_drive *d) { return d->chs; }

void ide_dma_ready(struct ide_channel *ch)
{
    for (unsigned i = 0; i < 2; i++)
        ide_stream_ready(&ch->drive[i]);
}
