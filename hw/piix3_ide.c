// SPDX-License-Identifier: MIT
// PIIX3 IDE: legacy decoding, and the bus master with its descriptor tables in guest memory.
// Intel 82371SB (PIIX3) data sheet (290550-002), sections 2.4 "PCI Configuration Registers - IDE Interface
// (Function 1)" and 2.7 "PCI BUS Master IDE Registers"; "Programming Interface for Bus Master IDE Controller",
// revision 1.0, for descriptor tables and the meaning of Active and Interrupt.
//
// A table is hostile: it may name any address, loop, or never end. Each descriptor moves at least 2 bytes, and the
// engine ends a table after 64 KiB, the most that one may take, so that every call is bounded by what the drive has
// to move.
#include "hw/piix3_ide.h"

#include <stdlib.h>
#include <string.h>

enum { IDETIM = 0x40, IDETIM_DECODE = 0x80 /* of the high byte */, SIDETIM = 0x44, PCI_CMD = 0x04 };
enum { BMIC = 0, BMIS = 2, BMIDTP = 4, BM_PORTS = 8 };
enum { BMIC_START = 0x01, BMIC_TO_MEMORY = 0x08 };
enum { BMIS_ACTIVE = 0x01, BMIS_ERROR = 0x02, BMIS_INT = 0x04, BMIS_CAPABLE = 0x60 };
enum { TABLE_MAX = 64 * 1024, PRD_END = 1u << 31 };

struct bus_master {
    struct piix3_ide *ide;
    unsigned n;
    uint8_t command, status;
    uint32_t table;
    // The descriptor under way.
    uint32_t next; // offset of the one after it in the table
    uint32_t addr, left;
    bool last;
};

struct piix3_ide {
    struct pci_device pci;
    struct piix3_ide_config cfg;
    struct ide_channel *channel[2];
    struct bus_master bm[2];
};

// --- descriptors

static void stop(struct bus_master *bm, uint8_t status)
{
    bm->status = (uint8_t)((bm->status & ~BMIS_ACTIVE) | status);
}

// Makes `left` more than 0, or stops the engine.
static bool next_descriptor(struct bus_master *bm)
{
    uint8_t prd[8];
    if (bm->last || bm->next >= TABLE_MAX) {
        stop(bm, 0);
        return false;
    }
    if (!pci_dma_read(&bm->ide->pci, bm->table + bm->next, prd, sizeof(prd))) {
        stop(bm, BMIS_ERROR);
        return false;
    }
    bm->next += sizeof(prd);
    bm->addr = (prd[0] | prd[1] << 8 | prd[2] << 16 | (uint32_t)prd[3] << 24) & ~1u;
    bm->left = (prd[4] | prd[5] << 8) & 0xfffe;
    bm->left = bm->left ? bm->left : 0x10000;
    bm->last = prd[7] & PRD_END >> 24;
    return true;
}

static size_t transfer(void *opaque, void *buf, size_t len, bool to_guest)
{
    struct bus_master *bm = opaque;
    size_t done = 0;
    while (done < len && bm->status & BMIS_ACTIVE) {
        if (!bm->left && !next_descriptor(bm))
            break;
        size_t n = len - done < bm->left ? len - done : bm->left;
        uint8_t *at = (uint8_t *)buf + done;
        if (!(to_guest ? pci_dma_write(&bm->ide->pci, bm->addr, at, n)
                       : pci_dma_read(&bm->ide->pci, bm->addr, at, n))) {
            stop(bm, BMIS_ERROR);
            break;
        }
        bm->addr += (uint32_t)n;
        bm->left -= (uint32_t)n;
        done += n;
    }
    // The last descriptor is used up: Active falls with its last byte, whatever the drive does then.
    if (!bm->left && bm->last)
        stop(bm, 0);
    return done;
}

// --- registers

static void write_command(struct bus_master *bm, uint8_t v)
{
    bool start = v & BMIC_START && !(bm->command & BMIC_START);
    bm->command = v & (BMIC_START | BMIC_TO_MEMORY);
    if (!(v & BMIC_START)) {
        stop(bm, 0);
        return;
    }
    if (!start)
        return;
    bm->next = bm->left = 0;
    bm->last = false;
    bm->status |= BMIS_ACTIVE;
    ide_dma_ready(bm->ide->channel[bm->n]);
}

static void write_status(struct bus_master *bm, uint8_t v)
{
    bm->status = (uint8_t)((bm->status & ~BMIS_CAPABLE & ~(v & (BMIS_ERROR | BMIS_INT))) | (v & BMIS_CAPABLE));
}

static uint64_t bm_read(void *opaque, uint64_t offset, unsigned size)
{
    struct piix3_ide *p = opaque;
    const struct bus_master *bm = &p->bm[offset / BM_PORTS & 1];
    unsigned reg = offset % BM_PORTS;
    return reg == BMIC     ? bm->command
           : reg == BMIS   ? bm->status
           : reg >= BMIDTP ? (uint8_t)(bm->table >> 8 * (reg - BMIDTP))
                           : 0;
}

static void bm_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct piix3_ide *p = opaque;
    struct bus_master *bm = &p->bm[offset / BM_PORTS & 1];
    unsigned reg = offset % BM_PORTS;
    if (reg == BMIC) {
        write_command(bm, (uint8_t)value);
    } else if (reg == BMIS) {
        write_status(bm, (uint8_t)value);
    } else if (reg >= BMIDTP) {
        unsigned shift = 8 * (reg - BMIDTP);
        bm->table = (bm->table & ~(0xffu << shift)) | (uint32_t)(value & (shift ? 0xff : 0xfc)) << shift;
    }
}

// Wider accesses come as bytes, the lowest first.
static const struct io_ops bm_ops = {.read = bm_read, .write = bm_write, .min_size = 1, .max_size = 1};

// The drive's INTRQ passes through, and leaves its mark.
static void channel_irq(void *opaque, unsigned n, bool level)
{
    struct piix3_ide *p = opaque;
    if (level)
        p->bm[n].status |= BMIS_INT;
    irq_set(&p->cfg.irq[n], level);
}

// --- configuration

static void update_decoding(struct piix3_ide *p)
{
    const uint8_t *c = p->pci.config;
    for (unsigned n = 0; n < 2; n++)
        ide_channel_set_enabled(p->channel[n], c[PCI_CMD] & 1 && c[IDETIM + 2 * n + 1] & IDETIM_DECODE);
}

static void config_written(struct pci_device *d, unsigned offset, unsigned size)
{
    if (offset < PCI_CMD + 2 || offset + size > IDETIM)
        update_decoding(CONTAINER_OF(d, struct piix3_ide, pci));
}

static void reset(struct pci_device *d)
{
    struct piix3_ide *p = CONTAINER_OF(d, struct piix3_ide, pci);
    d->config[0x07] = 0x02; // DEVSEL# timing
    memset(d->config + IDETIM, 0, 5);
    for (unsigned n = 0; n < 2; n++) {
        struct bus_master *bm = &p->bm[n];
        bm->command = bm->status = 0;
        bm->table = bm->next = bm->left = 0;
        bm->last = false;
        ide_channel_reset(p->channel[n]);
    }
    update_decoding(p);
}

void piix3_ide_enable(struct piix3_ide *p)
{
    p->pci.config[IDETIM + 1] |= IDETIM_DECODE;
    p->pci.config[IDETIM + 3] |= IDETIM_DECODE;
    p->pci.config[PCI_CMD] |= 1;
    update_decoding(p);
}

struct ide_channel *piix3_ide_channel(struct piix3_ide *p, unsigned n) { return p->channel[n & 1]; }

// --- CMOS

// Type 47 ("user defined") of the AT BIOS: its table is 9 bytes at 1Bh and 24h. 39h, two bits a disk, tells SeaBIOS
// which translation the disk's partitions were made with.
void piix3_ide_cmos(struct piix3_ide *p, void (*set)(void *opaque, uint8_t index, uint8_t value), void *opaque)
{
    uint8_t types = 0, translations = 0;
    for (unsigned i = 0; i < 4; i++) {
        const struct ide_drive *d = ide_channel_drive(p->channel[i / 2], i % 2);
        if (!d || ide_drive_is_cd(d))
            continue;
        struct ide_geometry g = ide_drive_geometry(d);
        translations |= (uint8_t)(g.translation << 2 * i);
        if (i >= 2)
            continue;
        types |= i ? 0x0f : 0xf0;
        const uint8_t table[9] = {
            (uint8_t)g.cylinders,
            (uint8_t)(g.cylinders >> 8),
            (uint8_t)g.heads,
            0xff,
            0xff,
            (uint8_t)(0xc0 | (g.heads > 8) << 3),
            (uint8_t)g.cylinders,
            (uint8_t)(g.cylinders >> 8),
            (uint8_t)g.sectors,
        };
        set(opaque, (uint8_t)(0x19 + i), 47);
        for (unsigned k = 0; k < sizeof(table); k++)
            set(opaque, (uint8_t)(0x1b + 9 * i + k), table[k]);
    }
    set(opaque, 0x12, types);
    set(opaque, 0x39, translations);
}

// --- creation

static bool create_channels(struct piix3_ide *p)
{
    static const uint16_t command[2] = {0x1f0, 0x170}, control[2] = {0x3f6, 0x376};
    for (unsigned n = 0; n < 2; n++) {
        const struct ide_channel_config cc = {
            .ports = p->cfg.ports,
            .command = command[n],
            .control = control[n],
            .irq = {channel_irq, p, n},
            .dma = {transfer, &p->bm[n]},
        };
        p->bm[n].ide = p;
        p->bm[n].n = n;
        p->channel[n] = ide_channel_create(&cc);
        if (!p->channel[n])
            return false;
    }
    return true;
}

struct piix3_ide *piix3_ide_create(const struct piix3_ide_config *cfg)
{
    struct piix3_ide *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->cfg = *cfg;
    p->pci.name = "PIIX3_IDE";
    p->pci.config_written = config_written;
    p->pci.reset = reset;
    // Bus master, both channels at their legacy ports.
    const struct pci_ids ids = {0x8086, 0x7010, 0x1af4, 0x1100, .class = 1, .subclass = 1, .progif = 0x80};
    if (!create_channels(p) || pci_add(cfg->bus, &p->pci, 1 << 3 | 1, &ids, 0)) {
        free(p); // a channel's ports end with the process
        return NULL;
    }
    pci_set_bar(&p->pci, 4, 2 * BM_PORTS, true, false, false, &bm_ops, p);
    for (unsigned i = 0; i < 4; i++)
        p->pci.wmask[IDETIM + i] = i & 1 ? 0xf3 : 0xff;
    p->pci.wmask[SIDETIM] = 0xff;
    reset(&p->pci);
    return p;
}
