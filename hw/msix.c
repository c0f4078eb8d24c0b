// SPDX-License-Identifier: MIT
// MSI-X: the vector table and the pending bits in a BAR of their own.
// PCI Local Bus Specification 3.0, section 6.8.2 "MSI-X Capability and Table Structures".
//
//   entry, 16 bytes: +0 address low  +4 address high  +8 data  +12 vector control (bit 0: mask)
#include "hw/pci_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MSIX_ENTRY = 16, MSIX_CTRL_MASK = 1, MSIX_MAX = 2048, MSIX_CONTROL = 2 };
enum { MSIX_ENABLE = 0x8000, MSIX_FUNCTION_MASK = 0x4000 }; // Message Control

struct msix {
    unsigned vectors, cap;
    uint32_t pba_offset;
    bool enabled, masked; // copies of Message Control's bits
    uint8_t *table;       // MSIX_ENTRY bytes a vector
    uint64_t *pending;
};

static bool vector_masked(const struct msix *m, unsigned v)
{
    return m->masked || (m->table[v * MSIX_ENTRY + 12] & MSIX_CTRL_MASK);
}

static void send(struct pci_device *d, unsigned v)
{
    struct msix *m = d->msix;
    const uint8_t *e = m->table + v * MSIX_ENTRY;
    struct pci_bus_config *cfg = &d->bus->cfg;
    m->pending[v / 64] &= ~BIT(v % 64);
    if (cfg->send_msi && (pci_get16(&d->config[PCI_COMMAND]) & PCI_CMD_MASTER))
        cfg->send_msi(cfg->opaque, pci_get32(e) | (uint64_t)pci_get32(e + 4) << 32, pci_get32(e + 8));
}

static void send_if_pending(struct pci_device *d, unsigned v)
{
    struct msix *m = d->msix;
    if (m->enabled && (m->pending[v / 64] >> v % 64 & 1) && !vector_masked(m, v))
        send(d, v);
}

bool pci_msix_enabled(const struct pci_device *d) { return d->msix && d->msix->enabled; }

void pci_msix_notify(struct pci_device *d, unsigned vector)
{
    struct msix *m = d->msix;
    if (!m || !m->enabled || vector >= m->vectors)
        return;
    if (vector_masked(m, vector))
        m->pending[vector / 64] |= BIT(vector % 64);
    else
        send(d, vector);
}

void msix_control_written(struct pci_device *d)
{
    struct msix *m = d->msix;
    unsigned control = pci_get16(&d->config[m->cap + MSIX_CONTROL]);
    bool enabled = control & MSIX_ENABLE, masked = control & MSIX_FUNCTION_MASK;
    if (enabled == m->enabled && masked == m->masked)
        return;
    m->enabled = enabled;
    m->masked = masked;
    for (unsigned v = 0; v < m->vectors; v++)
        send_if_pending(d, v);
}

void msix_reset(struct pci_device *d)
{
    struct msix *m = d->msix;
    memset(m->table, 0, m->vectors * MSIX_ENTRY);
    for (unsigned v = 0; v < m->vectors; v++) {
        m->table[v * MSIX_ENTRY + 12] = MSIX_CTRL_MASK;
        m->pending[v / 64] = 0;
    }
    pci_set16(&d->config[m->cap + MSIX_CONTROL], m->vectors - 1);
    m->enabled = m->masked = false;
}

// --- the BAR

static uint64_t table_read(void *opaque, uint64_t offset, unsigned size)
{
    struct msix *m = ((struct pci_device *)opaque)->msix;
    const uint8_t *from;
    if (offset + size <= m->vectors * MSIX_ENTRY)
        from = m->table + offset;
    else if (offset >= m->pba_offset && offset - m->pba_offset + size <= (m->vectors + 63) / 64 * 8)
        from = (const uint8_t *)m->pending + (offset - m->pba_offset);
    else
        return 0;
    uint64_t v = 0;
    memcpy(&v, from, size);
    return v;
}

static void table_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct pci_device *d = opaque;
    struct msix *m = d->msix;
    if (offset + size > m->vectors * MSIX_ENTRY) // the PBA is read-only
        return;
    memcpy(m->table + offset, &value, size);
    for (unsigned v = (unsigned)(offset / MSIX_ENTRY); v <= (offset + size - 1) / MSIX_ENTRY; v++) {
        m->table[v * MSIX_ENTRY + 12] &= MSIX_CTRL_MASK;
        memset(&m->table[v * MSIX_ENTRY + 13], 0, 3);
        m->table[v * MSIX_ENTRY] &= 0xfc;
        send_if_pending(d, v);
    }
}

static const struct io_ops table_ops = {.read = table_read, .write = table_write, .min_size = 4, .max_size = 8};

int pci_msix_init(struct pci_device *d, unsigned vectors, unsigned bar_n)
{
    if (!vectors || vectors > MSIX_MAX || bar_n >= PCI_BARS || d->msix)
        return -EINVAL;
    struct msix *m = calloc(1, sizeof(*m));
    if (!m)
        return -ENOMEM;
    m->vectors = vectors;
    m->table = calloc(vectors, MSIX_ENTRY);
    m->pending = calloc((vectors + 63) / 64, 8);
    m->cap = pci_add_capability(d, PCI_CAP_MSIX, 12);
    if (!m->table || !m->pending || !m->cap) {
        free(m->table);
        free(m->pending);
        free(m);
        return -ENOMEM;
    }
    // Table in the lower half of the BAR, pending bits in the upper.
    uint32_t half = 2048;
    while (half < vectors * MSIX_ENTRY)
        half <<= 1;
    m->pba_offset = half;
    pci_set32(&d->config[m->cap + 4], bar_n);
    pci_set32(&d->config[m->cap + 8], half | bar_n);
    pci_set16(&d->wmask[m->cap + MSIX_CONTROL], MSIX_ENABLE | MSIX_FUNCTION_MASK);
    d->msix = m;
    pci_set_bar(d, bar_n, half * 2, false, false, false, &table_ops, d);
    msix_reset(d);
    return 0;
}
