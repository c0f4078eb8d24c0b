// SPDX-License-Identifier: MIT
// The 440FX host bridge: PAM and SMRAM.
// Intel 82441FX (PMC) data sheet (290549-001), sections 3.2.18 "PAM - Programmable Attribute Map Registers"
// and 3.2.20 "SMRAM - System Management RAM Control".
#include "hw/i440fx.h"

#include <stdlib.h>

#include "base/log.h"

enum { PMCCFG = 0x50, PAM0 = 0x59, PAM_REGS = 7, SMRAM = 0x72 };
enum { PAM_RE = 1, PAM_WE = 2 };
enum { SMRAM_G_SMRAME = 8, SMRAM_D_LCK = 0x10, SMRAM_D_CLS = 0x20, SMRAM_D_OPEN = 0x40 };

// PAM0's high half is F0000h..FFFFFh; PAM1..6 hold two 16 KiB segments each from C0000h, low half first.
enum { SEGMENTS = 13, SEGMENT_BIOS = 12 };

struct segment {
    struct region *rw, *ro; // RAM with and without writes; neither enabled: what lies below (PCI, ROM)
};
struct i440fx {
    struct pci_device pci;
    struct segment seg[SEGMENTS];
    struct region *smram;
};

static uint32_t segment_base(unsigned s) { return s == SEGMENT_BIOS ? 0xf0000 : 0xc0000 + s * 0x4000; }
static uint32_t segment_size(unsigned s) { return s == SEGMENT_BIOS ? 0x10000 : 0x4000; }

static unsigned segment_bits(const struct i440fx *b, unsigned s)
{
    if (s == SEGMENT_BIOS)
        return b->pci.config[PAM0] >> 4 & 3;
    return b->pci.config[PAM0 + 1 + s / 2] >> (s & 1 ? 4 : 0) & 3;
}

static void update(struct i440fx *b)
{
    for (unsigned s = 0; s < SEGMENTS; s++) {
        // Write-only (reads from PCI, writes to RAM) is for copying a ROM over itself. No firmware we run
        // does it, and the address space has no such kind: it counts as off.
        unsigned bits = segment_bits(b, s);
        as_set_enabled(b->seg[s].rw, bits == (PAM_RE | PAM_WE));
        as_set_enabled(b->seg[s].ro, bits == PAM_RE);
    }
    unsigned smram = b->pci.config[SMRAM];
    as_set_enabled(b->smram, (smram & SMRAM_G_SMRAME) && (smram & SMRAM_D_OPEN) && !(smram & SMRAM_D_CLS));
}

static void config_written(struct pci_device *d, unsigned offset, unsigned size)
{
    struct i440fx *b = CONTAINER_OF(d, struct i440fx, pci);
    if (offset <= SMRAM && offset + size > SMRAM && (d->config[SMRAM] & SMRAM_D_LCK)) {
        d->config[SMRAM] &= (uint8_t)~SMRAM_D_OPEN;
        d->wmask[SMRAM] = SMRAM_D_CLS; // the lock stands until reset
    }
    if (offset + size > PAM0 && offset <= SMRAM)
        update(b);
}

void i440fx_reset(struct i440fx *b)
{
    uint8_t *c = b->pci.config;
    for (unsigned i = 0; i < PAM_REGS; i++)
        c[PAM0 + i] = 0;
    c[SMRAM] = 0x02;
    b->pci.wmask[SMRAM] = 0x78;
    c[0x04] = 0x06; // memory and master are always on
    c[0x07] = 0x02; // medium DEVSEL
    update(b);
}

static void reset(struct pci_device *d)
{
    i440fx_reset(CONTAINER_OF(d, struct i440fx, pci));
}

void i440fx_open_pam(struct i440fx *b)
{
    b->pci.config[PAM0] = 0x30;
    for (unsigned i = 1; i < PAM_REGS; i++)
        b->pci.config[PAM0 + i] = 0x33;
    update(b);
}

static int map_segments(struct i440fx *b, const struct i440fx_config *cfg)
{
    for (unsigned s = 0; s < SEGMENTS; s++) {
        uint32_t base = segment_base(s), size = segment_size(s);
        struct segment *g = &b->seg[s];
        g->rw = as_map_ram(cfg->mem, "pam-ram", base, size, cfg->ram, base, false, I440FX_PAM_PRIORITY);
        g->ro = as_map_ram(cfg->mem, "pam-rom", base, size, cfg->ram, base, true, I440FX_PAM_PRIORITY);
        if (!g->rw || !g->ro)
            return -1;
    }
    b->smram = as_map_ram(cfg->mem, "smram", 0xa0000, 0x20000, cfg->ram, 0xa0000, false, I440FX_SMRAM_PRIORITY);
    return b->smram ? 0 : -1;
}

struct i440fx *i440fx_create(const struct i440fx_config *cfg)
{
    struct i440fx *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    b->pci.name = "i440FX";
    b->pci.config_written = config_written;
    b->pci.reset = reset;
    const struct pci_ids ids = {0x8086, 0x1237, 0x1af4, 0x1100, .class = 6, .revision = 2};
    if (map_segments(b, cfg) || pci_add(cfg->bus, &b->pci, 0, &ids, 0)) {
        for (unsigned s = 0; s < SEGMENTS; s++) {
            if (b->seg[s].rw)
                as_unmap(b->seg[s].rw);
            if (b->seg[s].ro)
                as_unmap(b->seg[s].ro);
        }
        if (b->smram)
            as_unmap(b->smram);
        free(b);
        return NULL;
    }
    for (unsigned i = 0; i < PAM_REGS; i++)
        b->pci.wmask[PAM0 + i] = i ? 0x33 : 0x30;
    b->pci.wmask[PMCCFG] = 0xff;
    i440fx_reset(b);
    return b;
}
