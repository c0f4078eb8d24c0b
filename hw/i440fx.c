// SPDX-License-Identifier: MIT
// The 440FX host bridge: PAM and SMRAM.
// Intel 82441FX (PMC) data sheet (290549-001), sections 3.2.18 "PAM - Programmable Attribute Map Registers"
// and 3.2.20 "SMRAM - System Management RAM Control".
#include "hw/i440fx.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum { PMCCFG = 0x50, PAM0 = 0x59, PAM_REGS = 7, SMRAM = 0x72 };
enum { PAM_RE = 1, PAM_WE = 2 };
enum { SMRAM_G_SMRAME = 8, SMRAM_D_LCK = 0x10, SMRAM_D_CLS = 0x20, SMRAM_D_OPEN = 0x40 };

// PAM0's high half is F0000h..FFFFFh; PAM1..6 hold two 16 KiB segments each from C0000h, low half first.
enum { SEGMENTS = 13, SEGMENT_BIOS = 12 };
enum { SMRAM_BASE = 0xa0000, SMRAM_SIZE = 0x20000, BIOS_AREA = 0xe0000, BIOS_AREA_END = 0x100000 };

// What lies over a segment, by its two bits; with neither, nothing does: what is below shows (PCI, ROM).
struct segment {
    struct i440fx *bridge;
    uint32_t base;
    struct region *map[4]; // [PAM_RE]: RAM that is not written, [PAM_WE]: ROM to read, RAM to write
};
struct i440fx {
    struct pci_device pci;
    struct ram *ram;
    struct segment seg[SEGMENTS];
    struct region *smram;
    bool smm; // the CPU is in SMM
};

static uint32_t segment_base(unsigned s) { return s == SEGMENT_BIOS ? 0xf0000 : 0xc0000 + s * 0x4000; }
static uint32_t segment_size(unsigned s) { return s == SEGMENT_BIOS ? 0x10000 : 0x4000; }

static unsigned segment_bits(const struct i440fx *b, unsigned s)
{
    if (s == SEGMENT_BIOS)
        return b->pci.config[PAM0] >> 4 & 3;
    return b->pci.config[PAM0 + 1 + s / 2] >> (s & 1 ? 4 : 0) & 3;
}

// Write only: for copying a ROM over itself. The RAM that is written shows when PAM_RE is set; until then nobody
// runs from it, and the change of the map tells the engine.
static void shadow_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    const struct segment *g = opaque;
    memcpy(g->bridge->ram->base + g->base + offset, &value, size);
}

static const struct io_ops shadow_ops = {.write = shadow_write, .min_size = 1, .max_size = 8};

static void update(struct i440fx *b)
{
    for (unsigned s = 0; s < SEGMENTS; s++) {
        unsigned bits = segment_bits(b, s);
        for (unsigned i = 1; i < 4; i++)
            if (i != bits)
                as_set_enabled(b->seg[s].map[i], false);
        if (bits)
            as_set_enabled(b->seg[s].map[bits], true);
    }
    // Table 3-7 "SMRAM Space Cycles": D_CLS keeps data accesses out, code fetches not. We do not tell
    // the two apart and let everything in while the CPU is in SMM.
    unsigned smram = b->pci.config[SMRAM];
    bool open = (smram & SMRAM_D_OPEN) && !(smram & SMRAM_D_CLS);
    as_set_enabled(b->smram, (smram & SMRAM_G_SMRAME) && (open || b->smm));
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
    b->smm = false;
    update(b);
}

static void reset(struct pci_device *d) { i440fx_reset(CONTAINER_OF(d, struct i440fx, pci)); }

void i440fx_open_pam(struct i440fx *b)
{
    b->pci.config[PAM0] = 0x30;
    for (unsigned i = 1; i < PAM_REGS; i++)
        b->pci.config[PAM0 + i] = 0x33;
    update(b);
}

void i440fx_set_smm(struct i440fx *b, bool smm)
{
    b->smm = smm;
    update(b);
}

// The ROM that shows at the top of the first MiB: its last 128 KiB end there. NULL where there is none.
static struct region *map_write_only(struct segment *g, const struct i440fx_config *cfg, uint32_t size)
{
    uint64_t below_top = BIOS_AREA_END - g->base; // bytes from the segment to the end of the ROM
    if (cfg->rom && g->base >= BIOS_AREA && below_top <= cfg->rom->size)
        return as_map_rom_io(cfg->mem, "pam-write", g->base, size, cfg->rom, cfg->rom->size - below_top, &shadow_ops, g,
                             I440FX_PAM_PRIORITY);
    return as_map_io(cfg->mem, "pam-write", g->base, size, &shadow_ops, g, I440FX_PAM_PRIORITY);
}

static int map_segments(struct i440fx *b, const struct i440fx_config *cfg)
{
    for (unsigned s = 0; s < SEGMENTS; s++) {
        uint32_t base = segment_base(s), size = segment_size(s);
        struct segment *g = &b->seg[s];
        g->bridge = b;
        g->base = base;
        g->map[PAM_RE | PAM_WE] = as_map_ram(cfg->mem, "pam-ram", base, size, cfg->ram, base, false,
                                             I440FX_PAM_PRIORITY);
        g->map[PAM_RE] = as_map_ram(cfg->mem, "pam-rom", base, size, cfg->ram, base, true, I440FX_PAM_PRIORITY);
        g->map[PAM_WE] = map_write_only(g, cfg, size);
        if (!g->map[PAM_RE] || !g->map[PAM_WE] || !g->map[PAM_RE | PAM_WE])
            return -1;
    }
    b->smram = as_map_ram(cfg->mem, "smram", SMRAM_BASE, SMRAM_SIZE, cfg->ram, SMRAM_BASE, false,
                          I440FX_SMRAM_PRIORITY);
    return b->smram ? 0 : -1;
}

static void unmap_segments(struct i440fx *b)
{
    for (unsigned s = 0; s < SEGMENTS; s++)
        for (unsigned i = 1; i < 4; i++)
            as_unmap(b->seg[s].map[i]);
    as_unmap(b->smram);
}

struct i440fx *i440fx_create(const struct i440fx_config *cfg)
{
    struct i440fx *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    b->ram = cfg->ram;
    b->pci.name = "i440FX";
    b->pci.config_written = config_written;
    b->pci.reset = reset;
    const struct pci_ids ids = {0x8086, 0x1237, 0x1af4, 0x1100, .class = 6, .revision = 2};
    if (map_segments(b, cfg) || pci_add(cfg->bus, &b->pci, 0, &ids, 0)) {
        unmap_segments(b);
        free(b);
        return NULL;
    }
    for (unsigned i = 0; i < PAM_REGS; i++)
        b->pci.wmask[PAM0 + i] = i ? 0x33 : 0x30;
    b->pci.wmask[PMCCFG] = 0xff;
    i440fx_reset(b);
    return b;
}
