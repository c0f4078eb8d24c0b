// SPDX-License-Identifier: MIT
// PIIX3 ISA bridge: PIRQ to ISA IRQ routing.
// Intel 82371SB (PIIX3) data sheet (290550-002), section 2.3.6 "PIRQRC[A:D] - PIRQx Route Control Registers".
#include "hw/piix3.h"

#include <stdlib.h>
#include <string.h>

enum { PIRQRC = 0x60, PIRQRC_OFF = 0x80 };

struct piix3 {
    struct pci_device pci;
    struct piix3_config cfg;
    bool pirq[4];     // levels
    uint8_t route[4]; // 0: not routed
    uint16_t driven;  // ISA IRQs that we hold up
};

// Interrupts 0-2, 8 and 13 belong to the system board and cannot be chosen.
static uint8_t route_of(uint8_t reg)
{
    unsigned irq = reg & 15;
    bool ok = !(reg & PIRQRC_OFF) && (0xdef8u >> irq & 1);
    return ok ? (uint8_t)irq : 0;
}

static void update_lines(struct piix3 *p)
{
    uint16_t want = 0;
    for (unsigned i = 0; i < 4; i++)
        if (p->pirq[i] && p->route[i])
            want |= (uint16_t)(1u << p->route[i]);
    uint16_t changed = want ^ p->driven;
    p->driven = want;
    for (unsigned irq = 0; irq < 16; irq++)
        if (changed >> irq & 1)
            p->cfg.set_isa_irq(p->cfg.opaque, irq, want >> irq & 1);
}

static void update_routes(struct piix3 *p)
{
    uint8_t old[4];
    memcpy(old, p->route, sizeof(old));
    for (unsigned i = 0; i < 4; i++)
        p->route[i] = route_of(p->pci.config[PIRQRC + i]);
    if (memcmp(old, p->route, sizeof(old)) && p->cfg.routes_changed)
        p->cfg.routes_changed(p->cfg.opaque, p->route);
    update_lines(p);
}

void piix3_set_pirq(struct piix3 *p, unsigned pirq, bool level)
{
    p->pirq[pirq & 3] = level;
    update_lines(p);
}

void piix3_set_routes(struct piix3 *p, const uint8_t irq_of_pirq[4])
{
    memcpy(&p->pci.config[PIRQRC], irq_of_pirq, 4);
    update_routes(p);
}

static void config_written(struct pci_device *d, unsigned offset, unsigned size)
{
    if (offset < PIRQRC + 4 && offset + size > PIRQRC)
        update_routes(CONTAINER_OF(d, struct piix3, pci));
}

static void reset(struct pci_device *d)
{
    uint8_t *c = d->config;
    c[0x04] = 0x07; // I/O, memory and master are always on
    c[0x07] = 0x02;
    c[0x4c] = 0x4d; // IORT, XBCS, PIRQ, TOM and so on: power-on values of the data sheet
    c[0x4e] = 0x03;
    memset(c + PIRQRC, PIRQRC_OFF, 4);
    c[0x69] = 0x02;
    c[0x70] = PIRQRC_OFF;
    c[0x76] = c[0x77] = 0x0c;
    c[0x78] = 0x02;
    c[0xa0] = 0x08;
    c[0xa8] = 0x0f;
    update_routes(CONTAINER_OF(d, struct piix3, pci));
}

struct piix3 *piix3_create(const struct piix3_config *cfg)
{
    struct piix3 *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->cfg = *cfg;
    p->pci.name = "PIIX3";
    p->pci.config_written = config_written;
    p->pci.reset = reset;
    const struct pci_ids ids = {0x8086, 0x7000, 0x1af4, 0x1100, .class = 6, .subclass = 1};
    if (pci_add(cfg->bus, &p->pci, 1 << 3, &ids, 0)) {
        free(p);
        return NULL;
    }
    p->pci.config[0x0e] |= 0x80; // other functions (IDE, PM) follow
    static const struct {
        uint8_t at, mask;
    } writable[] = {
        {0x4c, 0xff}, {0x4e, 0xff}, {0x4f, 0xff}, {0x60, 0x8f}, {0x61, 0x8f}, {0x62, 0x8f}, {0x63, 0x8f},
        {0x69, 0xfe}, {0x6a, 0xff}, {0x70, 0xef}, {0x76, 0x8f}, {0x77, 0x8f}, {0x78, 0x3f}, {0x79, 0xff},
        {0x80, 0x7f}, {0x82, 0xff}, {0xa0, 0x1f}, {0xa2, 0xff}, {0xa3, 0xff}, {0xa8, 0x7f},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(writable); i++)
        p->pci.wmask[writable[i].at] = writable[i].mask;
    reset(&p->pci);
    return p;
}
