// SPDX-License-Identifier: MIT
// Base address registers and the expansion ROM: sizing, moving, and addresses for a board without firmware.
// PCI Local Bus Specification 3.0, section 6.2.5 "Base Addresses".
#include "hw/pci_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum { BAR_IO = 1, BAR_MEM64 = 4, BAR_PREFETCH = 8, ROM_ENABLE = 1 };
// Below RAM and the board's fixed devices: a guest that programs a BAR over them gets what the chipset
// gives it, which decodes those first.
enum { BAR_PRIORITY = -1 };

static void set_wmask(struct pci_device *d, unsigned at, const struct pci_bar *bar)
{
    uint64_t mask = ~(bar->size - 1);
    // All 32 bits for ports, too: SeaBIOS takes a BAR without the upper 16 for one of nearly 4 GiB.
    pci_set32(d->wmask + at, (uint32_t)mask);
    if (bar->is64)
        pci_set32(d->wmask + at + 4, (uint32_t)(mask >> 32));
}

static void declare_bar(struct pci_device *d, unsigned n)
{
    struct pci_bar *bar = &d->bar[n];
    unsigned at = PCI_BAR0 + 4 * n;
    pci_set32(d->config + at, bar->io ? BAR_IO : (bar->is64 ? BAR_MEM64 : 0u) | (bar->prefetch ? BAR_PREFETCH : 0u));
    set_wmask(d, at, bar);
}

void pci_set_bar(struct pci_device *d, unsigned n, uint64_t size, bool io, bool is64, bool prefetch,
                 const struct io_ops *ops, void *opaque)
{
    d->bar[n] = (struct pci_bar){
        .size = size, .io = io, .is64 = is64, .prefetch = prefetch, .ops = ops, .opaque = opaque};
    declare_bar(d, n);
}

void pci_set_bar_ram(struct pci_device *d, unsigned n, uint64_t size, bool is64, bool prefetch, struct ram *ram,
                     uint64_t ram_offset, bool readonly)
{
    d->bar[n] = (struct pci_bar){
        .size = size, .is64 = is64, .prefetch = prefetch, .ram = ram, .ram_offset = ram_offset, .readonly = readonly};
    declare_bar(d, n);
}

int pci_set_rom(struct pci_device *d, const void *image, size_t len)
{
    if (!len || len > 16u << 20)
        return -EINVAL;
    uint64_t size = 4096;
    while (size < len)
        size <<= 1;
    int ret = ram_create(&d->rom_mem, size);
    if (ret)
        return ret;
    memcpy(d->rom_mem.base, image, len);
    d->rom = (struct pci_bar){.size = size, .ram = &d->rom_mem, .readonly = true};
    pci_set32(d->config + PCI_ROM_ADDRESS, 0);
    pci_set32(d->wmask + PCI_ROM_ADDRESS, (uint32_t) ~(size - 1) | ROM_ENABLE);
    return 0;
}

// --- mapping

// Where the BAR decodes now, or UINT64_MAX. Address 0 and addresses that end at the top of the space are what
// firmware writes to size a BAR: nothing decodes there.
static uint64_t bar_address(const struct pci_device *d, const struct pci_bar *bar, unsigned at, bool enabled)
{
    if (!enabled)
        return UINT64_MAX;
    uint64_t v = pci_get32(d->config + at);
    if (bar->is64)
        v |= (uint64_t)pci_get32(d->config + at + 4) << 32;
    v &= ~(bar->size - 1);
    uint64_t last = v + bar->size - 1, limit = bar->io ? 0xffff : bar->is64 ? BIT(52) - 1 : 0xffffffff;
    if (v == 0 || last < v || last >= limit)
        return UINT64_MAX;
    return v;
}

static void map_bar(struct pci_device *d, struct pci_bar *bar, uint64_t addr)
{
    struct pci_bus *b = d->bus;
    if (bar->ram)
        bar->region = as_map_ram(b->cfg.mem, d->name, addr, bar->size, bar->ram, bar->ram_offset, bar->readonly,
                                 BAR_PRIORITY);
    else
        bar->region = as_map_io(bar->io ? b->cfg.ports : b->cfg.mem, d->name, addr, bar->size, bar->ops, bar->opaque,
                                BAR_PRIORITY);
}

static void update_bar(struct pci_device *d, struct pci_bar *bar, unsigned at, bool enabled)
{
    uint64_t addr = bar_address(d, bar, at, enabled);
    if (addr == UINT64_MAX) {
        if (bar->region && bar->addr != UINT64_MAX)
            as_set_enabled(bar->region, false);
        bar->addr = addr;
        return;
    }
    if (!bar->region) {
        map_bar(d, bar, addr);
    } else if (bar->addr != addr) {
        as_move(bar->region, addr);
        as_set_enabled(bar->region, true);
    } else {
        return;
    }
    bar->addr = addr;
    if (log_on(LOG_pci))
        log_printf(LOG_pci, "%s: %s at %llx\n", d->name, bar->io ? "ports" : "memory", (unsigned long long)addr);
}

void pci_update_bars(struct pci_device *d)
{
    unsigned cmd = pci_get16(&d->config[PCI_COMMAND]);
    for (unsigned n = 0; n < PCI_BARS; n++)
        if (d->bar[n].size)
            update_bar(d, &d->bar[n], PCI_BAR0 + 4 * n, cmd & (d->bar[n].io ? PCI_CMD_IO : PCI_CMD_MEM));
    if (d->rom.size)
        update_bar(d, &d->rom, PCI_ROM_ADDRESS, (cmd & PCI_CMD_MEM) && (d->config[PCI_ROM_ADDRESS] & ROM_ENABLE));
}

void pci_reset_bars(struct pci_device *d)
{
    for (unsigned i = PCI_BAR0; i < PCI_BAR0 + 4 * PCI_BARS; i++)
        d->config[i] &= (uint8_t)~d->wmask[i];
    if (d->rom.size)
        pci_set32(d->config + PCI_ROM_ADDRESS, 0);
    pci_update_bars(d);
}

// --- a board without firmware

struct slot { // one BAR that wants an address
    struct pci_device *d;
    unsigned n;
};
struct slot_list {
    struct slot *v;
    unsigned count, cap;
};

static void collect(void *opaque, struct pci_device *d)
{
    struct slot_list *l = opaque;
    for (unsigned n = 0; n < PCI_BARS && l->count < l->cap; n++)
        if (d->bar[n].size)
            l->v[l->count++] = (struct slot){d, n};
}

// Largest first: then each next one is aligned for free.
static int by_size(const void *a, const void *b)
{
    const struct slot *x = a, *y = b;
    uint64_t sx = x->d->bar[x->n].size, sy = y->d->bar[y->n].size;
    if (sx != sy)
        return sx < sy ? 1 : -1;
    int dx = x->d->devfn * PCI_BARS + (int)x->n, dy = y->d->devfn * PCI_BARS + (int)y->n;
    return dx - dy;
}

static void place(const struct slot *s, uint64_t *next, uint64_t end)
{
    struct pci_bar *bar = &s->d->bar[s->n];
    uint64_t at = (*next + bar->size - 1) & ~(bar->size - 1);
    if (at < *next || at + bar->size > end || at + bar->size < at) {
        warn_report("%s: no room for BAR %u (0x%llx bytes)", s->d->name, s->n, (unsigned long long)bar->size);
        return;
    }
    uint8_t *c = &s->d->config[PCI_BAR0 + 4 * s->n];
    pci_set32(c, (uint32_t)at | (pci_get32(c) & (bar->io ? 3 : 15)));
    if (bar->is64)
        pci_set32(c + 4, (uint32_t)(at >> 32));
    *next = at + bar->size;
}

void pci_assign_resources(struct pci_bus *b, uint16_t io_base, uint16_t io_end, uint64_t mem_base, uint64_t mem_end,
                          const uint8_t irq_of_pirq[4])
{
    struct slot slots[256];
    struct slot_list l = {slots, 0, ARRAY_SIZE(slots)};
    pci_for_each(b, collect, &l);
    qsort(l.v, l.count, sizeof(l.v[0]), by_size);
    uint64_t io = io_base, mem = mem_base;
    for (unsigned i = 0; i < l.count; i++)
        if (l.v[i].d->bar[l.v[i].n].io)
            place(&l.v[i], &io, io_end);
        else
            place(&l.v[i], &mem, mem_end);
    for (unsigned i = 0; i < 256; i++) {
        struct pci_device *d = b->dev[i];
        if (!d)
            continue;
        unsigned pin = d->config[PCI_INT_PIN];
        if (pin)
            d->config[PCI_INT_LINE] = irq_of_pirq[pci_pirq_of(d->devfn, pin - 1)];
        pci_set16(d->config + PCI_COMMAND,
                  pci_get16(d->config + PCI_COMMAND) | PCI_CMD_IO | PCI_CMD_MEM | PCI_CMD_MASTER);
        pci_update_bars(d);
    }
}
