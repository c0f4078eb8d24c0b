// SPDX-License-Identifier: MIT
// The PCI bus: configuration mechanism #1 at CF8h/CFCh, configuration space writes, INTx wiring.
// PCI Local Bus Specification 3.0, sections 3.2.2.3.2 "Software Generation of Configuration Transactions"
// and 6.2 "Configuration Space Functions".
#include "hw/pci_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

// --- configuration space

static uint32_t config_read(struct pci_device *d, unsigned offset, unsigned size)
{
    uint32_t v = 0;
    if (d->config_reading)
        d->config_reading(d, offset, size);
    for (unsigned i = 0; i < size && offset + i < PCI_CONFIG_SIZE; i++)
        v |= (uint32_t)d->config[offset + i] << 8 * i;
    return v;
}

static bool overlaps(unsigned offset, unsigned size, unsigned field, unsigned len)
{
    return offset < field + len && field < offset + size;
}

static void update_intx(struct pci_device *d);

static void config_write(struct pci_device *d, unsigned offset, uint32_t value, unsigned size)
{
    for (unsigned i = 0; i < size && offset + i < PCI_CONFIG_SIZE; i++) {
        uint8_t v = (uint8_t)(value >> 8 * i), *c = &d->config[offset + i];
        uint8_t w = d->wmask[offset + i];
        *c = (uint8_t)(((*c & ~w) | (v & w)) & ~(v & d->w1cmask[offset + i]));
    }
    if (overlaps(offset, size, PCI_COMMAND, 2) || overlaps(offset, size, PCI_BAR0, 4 * PCI_BARS) ||
        overlaps(offset, size, PCI_ROM_ADDRESS, 4))
        pci_update_bars(d);
    if (overlaps(offset, size, PCI_COMMAND, 2))
        update_intx(d);
    if (d->msix)
        msix_control_written(d);
    if (d->config_written)
        d->config_written(d, offset, size);
}

// --- configuration mechanism #1
//
// CF8h: 31 enable | 23:16 bus | 15:11 device | 10:8 function | 7:2 register | 0. Only dwords reach it.
// CFCh..CFFh: the bytes of that register.

enum { CF8_SIZE = 8, CF8_ENABLE_SHIFT = 31 };

static struct pci_device *addressed(struct pci_bus *b, unsigned port, unsigned *offset)
{
    if (!(b->address >> CF8_ENABLE_SHIFT) || (b->address >> 16 & 0xff))
        return NULL;
    *offset = (b->address & 0xfc) + (port & 3);
    return b->dev[b->address >> 8 & 0xff];
}

static uint64_t cf8_read(void *opaque, uint64_t port, unsigned size)
{
    struct pci_bus *b = opaque;
    if (port < 4)
        return port == 0 && size == 4 ? b->address : UINT64_MAX;
    unsigned offset;
    struct pci_device *d = addressed(b, (unsigned)port, &offset);
    return d ? config_read(d, offset, size) : UINT64_MAX;
}

static void cf8_write(void *opaque, uint64_t port, uint64_t value, unsigned size)
{
    struct pci_bus *b = opaque;
    if (port < 4) {
        if (port == 0 && size == 4)
            b->address = (uint32_t)value & 0x80fffffc;
        return;
    }
    unsigned offset;
    struct pci_device *d = addressed(b, (unsigned)port, &offset);
    if (d) {
        if (log_on(LOG_pci))
            log_printf(LOG_pci, "%s: config %02x.%u <- %x\n", d->name, offset, size, (uint32_t)value);
        config_write(d, offset, (uint32_t)value, size);
    }
}

static const struct io_ops cf8_ops = {.read = cf8_read, .write = cf8_write, .min_size = 1, .max_size = 4};

struct pci_bus *pci_bus_create(const struct pci_bus_config *cfg)
{
    struct pci_bus *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    b->cfg = *cfg;
    if (!as_map_io(cfg->ports, "pci-config", 0xcf8, CF8_SIZE, &cf8_ops, b, 0)) {
        free(b);
        return NULL;
    }
    return b;
}

// --- INTx

unsigned pci_pirq_of(uint8_t devfn, unsigned pin) { return ((devfn >> 3) - 1u + pin) & 3; }

// The line follows the device's request unless Interrupt Disable is set; PIRQ lines are shared.
static void drive_pirq(struct pci_device *d, bool level)
{
    unsigned pin = d->config[PCI_INT_PIN];
    if (!pin || level == d->intx_driven)
        return;
    d->intx_driven = level;
    struct pci_bus *b = d->bus;
    unsigned pirq = pci_pirq_of(d->devfn, pin - 1), *count = &b->pirq_count[pirq];
    unsigned before = *count;
    *count = level ? before + 1 : before - 1;
    if ((*count != 0) != (before != 0) && b->cfg.set_pirq)
        b->cfg.set_pirq(b->cfg.opaque, pirq, level);
}

static void update_intx(struct pci_device *d)
{
    bool off = pci_get16(&d->config[PCI_COMMAND]) & PCI_CMD_INTX_OFF;
    drive_pirq(d, d->intx_level && !off);
}

void pci_set_intx(struct pci_device *d, bool level)
{
    d->intx_level = level;
    d->config[PCI_STATUS] = (uint8_t)((d->config[PCI_STATUS] & ~PCI_ST_INTX) | (level ? PCI_ST_INTX : 0));
    update_intx(d);
}

// --- devices

struct address_space *pci_bus_memory(struct pci_bus *b) { return b->cfg.mem; }

struct pci_device *pci_find(struct pci_bus *b, uint8_t devfn) { return b->dev[devfn]; }

static int free_slot(const struct pci_bus *b)
{
    for (int slot = 1; slot < 32; slot++) {
        bool used = false;
        for (int fn = 0; fn < 8; fn++)
            used |= b->dev[slot << 3 | fn] != NULL;
        if (!used)
            return slot << 3;
    }
    return -ENOSPC;
}

// Bit 7 of function 0's header type says that the slot has more functions.
static void mark_multifunction(struct pci_bus *b, uint8_t devfn)
{
    struct pci_device *first = b->dev[devfn & ~7];
    for (unsigned fn = 1; first && fn < 8; fn++)
        if (b->dev[(devfn & ~7u) | fn])
            first->config[PCI_HEADER_TYPE] |= 0x80;
}

int pci_add(struct pci_bus *b, struct pci_device *d, int devfn, const struct pci_ids *ids, unsigned pin)
{
    if (devfn < 0)
        devfn = free_slot(b);
    if (devfn < 0)
        return devfn;
    if (devfn > 255 || pin > 4)
        return -EINVAL;
    if (b->dev[devfn])
        return -EEXIST;
    b->dev[devfn] = d;
    d->bus = b;
    d->devfn = (uint8_t)devfn;
    uint8_t *c = d->config;
    pci_set16(c + PCI_VENDOR_ID, ids->vendor);
    pci_set16(c + PCI_DEVICE_ID, ids->device);
    pci_set16(c + PCI_SUBVENDOR, ids->subvendor);
    pci_set16(c + PCI_SUBDEVICE, ids->subdevice);
    c[PCI_REVISION_ID] = ids->revision;
    c[PCI_CLASS_PROG] = ids->progif;
    c[PCI_CLASS_PROG + 1] = ids->subclass;
    c[PCI_CLASS_PROG + 2] = ids->class;
    c[PCI_INT_PIN] = (uint8_t)pin;
    pci_set16(d->wmask + PCI_COMMAND,
              PCI_CMD_IO | PCI_CMD_MEM | PCI_CMD_MASTER | PCI_CMD_PARITY | PCI_CMD_SERR | PCI_CMD_INTX_OFF);
    pci_set16(d->w1cmask + PCI_STATUS, 0xf900);
    d->wmask[PCI_CACHE_LINE] = d->wmask[PCI_LATENCY] = d->wmask[PCI_INT_LINE] = 0xff;
    mark_multifunction(b, (uint8_t)devfn);
    return 0;
}

unsigned pci_add_capability(struct pci_device *d, uint8_t id, unsigned size)
{
    // Capabilities go from 40h up, one after another, dword-aligned (section 6.7 "Capabilities List").
    unsigned at = 0x40;
    uint8_t *link = &d->config[PCI_CAP_PTR];
    while (*link) {
        at = *link;
        link = &d->config[at + 1];
    }
    if (link != &d->config[PCI_CAP_PTR])
        at += d->cap_last_size;
    if (at + size > PCI_CONFIG_SIZE)
        return 0;
    *link = (uint8_t)at;
    d->cap_last_size = (uint8_t)((size + 3) & ~3u);
    d->config[at] = id;
    d->config[at + 1] = 0;
    d->config[PCI_STATUS] |= PCI_ST_CAPS;
    return at;
}

static void device_reset(struct pci_device *d)
{
    pci_set16(d->config + PCI_COMMAND, 0);
    d->config[PCI_STATUS + 1] = 0;
    d->config[PCI_CACHE_LINE] = d->config[PCI_LATENCY] = d->config[PCI_INT_LINE] = 0;
    pci_reset_bars(d);
    if (d->msix)
        msix_reset(d);
    if (d->reset)
        d->reset(d);
    pci_set_intx(d, false);
}

void pci_bus_reset(struct pci_bus *b)
{
    b->address = 0;
    for (unsigned i = 0; i < 256; i++)
        if (b->dev[i])
            device_reset(b->dev[i]);
}

void pci_for_each(struct pci_bus *b, void (*fn)(void *opaque, struct pci_device *d), void *opaque)
{
    for (unsigned i = 0; i < 256; i++)
        if (b->dev[i])
            fn(opaque, b->dev[i]);
}

// --- bus mastering

static bool may_master(const struct pci_device *d) { return pci_get16(&d->config[PCI_COMMAND]) & PCI_CMD_MASTER; }

bool pci_dma_read(struct pci_device *d, gpa a, void *buf, size_t len)
{
    if (!may_master(d)) {
        memset(buf, 0xff, len);
        return false;
    }
    return as_read(d->bus->cfg.mem, a, buf, len);
}

bool pci_dma_write(struct pci_device *d, gpa a, const void *buf, size_t len)
{
    return may_master(d) && as_write(d->bus->cfg.mem, a, buf, len);
}
