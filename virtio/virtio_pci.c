// SPDX-License-Identifier: MIT
// Virtio over PCI. Virtio 1.2, section 4.1 "Virtio Over PCI Bus".
//
// BAR 0: legacy registers (I/O, 64 ports)      BAR 1: MSI-X
// BAR 4: modern, 64-bit memory, 16 KiB: +0 common, +1000h ISR, +2000h device, +3000h notify (4 bytes a queue)
#include "virtio/virtio_pci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum { BAR_LEGACY = 0, BAR_MSIX = 1, BAR_MODERN = 4 };
enum { COMMON = 0, ISR = 0x1000, DEVICE = 0x2000, NOTIFY = 0x3000, MODERN_SIZE = 0x4000, PART = 0x1000 };
enum { NOTIFY_MULTIPLIER = 4, LEGACY_SIZE = 128 };
enum { ISR_QUEUE = 1, ISR_CONFIG = 2 };
enum { CAP_VNDR = 9, CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4, CAP_PCI = 5 };
enum { COMMAND_MASTER = 4 };

struct virtio_pci {
    struct pci_device pci;
    struct virtio_device *dev;
    uint8_t isr;
    uint16_t config_vector, queue_select;
    uint32_t device_feature_select, driver_feature_select;
    unsigned vectors;
    unsigned pci_cap; // offset of the PCI configuration access capability; 0: none
};

// --- interrupts

static void interrupt(struct virtio_pci *p, uint16_t vector, uint8_t isr)
{
    if (pci_msix_enabled(&p->pci)) {
        if (vector != VIRTIO_NO_VECTOR)
            pci_msix_notify(&p->pci, vector);
        return;
    }
    p->isr |= isr;
    pci_set_intx(&p->pci, true);
}

static void queue_interrupt(void *opaque, unsigned q)
{
    struct virtio_pci *p = opaque;
    interrupt(p, p->dev->vq[q].msix_vector, ISR_QUEUE);
}

static void config_interrupt(void *opaque)
{
    struct virtio_pci *p = opaque;
    interrupt(p, p->config_vector, ISR_CONFIG);
}

static const struct virtio_transport_ops transport_ops = {queue_interrupt, config_interrupt};

static uint8_t read_isr(struct virtio_pci *p)
{
    uint8_t v = p->isr;
    p->isr = 0;
    pci_set_intx(&p->pci, false);
    return v;
}

static uint16_t check_vector(const struct virtio_pci *p, uint16_t v) { return v < p->vectors ? v : VIRTIO_NO_VECTOR; }

// --- what both interfaces do

static struct virtq *selected(struct virtio_pci *p)
{
    return p->queue_select < p->dev->queues ? &p->dev->vq[p->queue_select] : NULL;
}

static void reset_transport(struct virtio_pci *p)
{
    p->isr = 0;
    p->config_vector = VIRTIO_NO_VECTOR;
    p->queue_select = 0;
    p->device_feature_select = p->driver_feature_select = 0;
    pci_set_intx(&p->pci, false);
}

static void set_status(struct virtio_pci *p, uint8_t status, bool legacy)
{
    log_printf(LOG_virtio, "%s: status %02x\n", p->dev->name, status);
    virtio_set_status(p->dev, status, legacy);
    if (!status)
        reset_transport(p);
}

static void kick(struct virtio_pci *p, unsigned q)
{
    if (p->pci.config[4] & COMMAND_MASTER)
        virtio_notify(p->dev, q);
}

static void enable_queue(struct virtio_pci *p, struct virtq *q)
{
    q->event_idx = virtio_has(p->dev, VIRTIO_F_EVENT_IDX);
    q->indirect = virtio_has(p->dev, VIRTIO_F_INDIRECT_DESC);
    if (virtq_enable(q))
        virtio_error(p->dev, "queue %u: %s", p->queue_select, q->error);
    else
        log_printf(LOG_virtio, "%s: queue %u: size %u at %llx %llx %llx\n", p->dev->name, p->queue_select, q->size,
                   (unsigned long long)q->desc, (unsigned long long)q->avail, (unsigned long long)q->used);
}

// --- modern: common configuration (4.1.4.3)

struct common { // as it lies in the BAR
    uint32_t device_feature_select, device_feature, driver_feature_select, driver_feature;
    uint16_t config_msix_vector, num_queues;
    uint8_t device_status, config_generation;
    uint16_t queue_select, queue_size, queue_msix_vector, queue_enable, queue_notify_off;
    uint64_t queue_desc, queue_driver, queue_device;
};
#define AT(field) offsetof(struct common, field)

static uint64_t common_read(struct virtio_pci *p, unsigned offset, unsigned size)
{
    struct virtio_device *d = p->dev;
    const struct virtq *q = selected(p);
    uint64_t offered = virtio_offered(d, false);
    struct common c = {
        .device_feature_select = p->device_feature_select,
        .device_feature = p->device_feature_select < 2 ? (uint32_t)(offered >> 32 * p->device_feature_select) : 0,
        .driver_feature_select = p->driver_feature_select,
        .driver_feature = p->driver_feature_select < 2 ? (uint32_t)(d->features >> 32 * p->driver_feature_select) : 0,
        .config_msix_vector = p->config_vector,
        .num_queues = (uint16_t)d->queues,
        .device_status = d->status,
        .config_generation = d->config_generation,
        .queue_select = p->queue_select,
        .queue_msix_vector = VIRTIO_NO_VECTOR,
    };
    if (q) {
        c.queue_size = q->size;
        c.queue_msix_vector = q->msix_vector;
        c.queue_enable = q->enabled;
        c.queue_notify_off = p->queue_select;
        c.queue_desc = q->desc;
        c.queue_driver = q->avail;
        c.queue_device = q->used;
    }
    uint64_t v = 0;
    if (offset + size <= sizeof(c))
        memcpy(&v, (const char *)&c + offset, size);
    return v;
}

static void write_half(uint64_t *field, unsigned high, uint32_t value)
{
    *field = high ? (*field & UINT32_MAX) | (uint64_t)value << 32 : (*field & ~(uint64_t)UINT32_MAX) | value;
}

static void common_write_queue(struct virtio_pci *p, unsigned offset, uint32_t v)
{
    struct virtq *q = selected(p);
    if (!q)
        return;
    if (offset == AT(queue_msix_vector)) {
        q->msix_vector = check_vector(p, (uint16_t)v);
        return;
    }
    if (q->enabled) // 4.1.4.3.2: the driver must not change an enabled queue
        return;
    switch (offset) {
    case AT(queue_size): q->size = (uint16_t)v; break;
    case AT(queue_enable):
        if (v == 1 && (p->dev->status & VIRTIO_S_FEATURES_OK))
            enable_queue(p, q);
        break;
    case AT(queue_desc):
    case AT(queue_desc) + 4: write_half(&q->desc, offset - AT(queue_desc), v); break;
    case AT(queue_driver):
    case AT(queue_driver) + 4: write_half(&q->avail, offset - AT(queue_driver), v); break;
    case AT(queue_device):
    case AT(queue_device) + 4: write_half(&q->used, offset - AT(queue_device), v); break;
    }
}

static void common_write(struct virtio_pci *p, unsigned offset, uint32_t v)
{
    switch (offset) {
    case AT(device_feature_select): p->device_feature_select = v; break;
    case AT(driver_feature_select): p->driver_feature_select = v; break;
    case AT(driver_feature):
        if (p->driver_feature_select < 2 && !(p->dev->status & (VIRTIO_S_FEATURES_OK | VIRTIO_S_DRIVER_OK)))
            write_half(&p->dev->features, p->driver_feature_select, v);
        break;
    case AT(config_msix_vector): p->config_vector = check_vector(p, (uint16_t)v); break;
    case AT(device_status): set_status(p, (uint8_t)v, false); break;
    case AT(queue_select): p->queue_select = (uint16_t)v; break;
    default: common_write_queue(p, offset, v);
    }
}

static uint64_t modern_read(void *opaque, uint64_t offset, unsigned size)
{
    struct virtio_pci *p = opaque;
    unsigned at = offset & (PART - 1);
    switch (offset & ~(uint64_t)(PART - 1)) {
    case COMMON: return common_read(p, at, size);
    case ISR: return at == 0 ? read_isr(p) : 0;
    case DEVICE: return virtio_config_read(p->dev, at, size);
    default: return 0;
    }
}

static void modern_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct virtio_pci *p = opaque;
    unsigned at = offset & (PART - 1);
    switch (offset & ~(uint64_t)(PART - 1)) {
    case COMMON:
        common_write(p, at, (uint32_t)value);
        if (size == 8)
            common_write(p, at + 4, (uint32_t)(value >> 32));
        break;
    case DEVICE: virtio_config_write(p->dev, at, value, size); break;
    case NOTIFY: kick(p, at / NOTIFY_MULTIPLIER); break;
    }
}

static const struct io_ops modern_ops = {.read = modern_read, .write = modern_write, .min_size = 1, .max_size = 8};

// --- legacy (4.1.4.8): registers in I/O ports, the device configuration behind them

// clang-format off
enum {
    L_DEVICE_FEATURES = 0, L_DRIVER_FEATURES = 4, L_QUEUE_PFN = 8, L_QUEUE_SIZE = 12, L_QUEUE_SELECT = 14,
    L_QUEUE_NOTIFY = 16, L_STATUS = 18, L_ISR = 19, L_CONFIG_VECTOR = 20, L_QUEUE_VECTOR = 22,
};
// clang-format on

static unsigned legacy_config_start(const struct virtio_pci *p) { return pci_msix_enabled(&p->pci) ? 24 : 20; }

static uint64_t legacy_read(void *opaque, uint64_t port, unsigned size)
{
    struct virtio_pci *p = opaque;
    unsigned start = legacy_config_start(p), at = (unsigned)port;
    const struct virtq *q = selected(p);
    if (at >= start)
        return virtio_config_read(p->dev, at - start, size);
    switch (at) {
    case L_DEVICE_FEATURES: return virtio_offered(p->dev, true);
    case L_DRIVER_FEATURES: return (uint32_t)p->dev->features;
    case L_QUEUE_PFN: return q ? q->desc >> PAGE_SHIFT : 0;
    case L_QUEUE_SIZE: return q ? q->max_size : 0;
    case L_QUEUE_SELECT: return p->queue_select;
    case L_STATUS: return p->dev->status;
    case L_ISR: return read_isr(p);
    case L_CONFIG_VECTOR: return p->config_vector;
    case L_QUEUE_VECTOR: return q ? q->msix_vector : VIRTIO_NO_VECTOR;
    default: return 0;
    }
}

static void legacy_set_pfn(struct virtio_pci *p, struct virtq *q, uint32_t pfn)
{
    if (!q)
        return;
    if (!pfn) { // 0 takes the queue down; drivers of that age do it only with the device stopped
        set_status(p, 0, true);
        return;
    }
    if (q->enabled)
        return;
    q->desc = (gpa)pfn << PAGE_SHIFT;
    q->avail = q->desc + 16u * q->max_size;
    q->used = virtq_legacy_used(q->desc, q->max_size);
    enable_queue(p, q);
}

static void legacy_write(void *opaque, uint64_t port, uint64_t value, unsigned size)
{
    struct virtio_pci *p = opaque;
    unsigned start = legacy_config_start(p), at = (unsigned)port;
    struct virtq *q = selected(p);
    uint32_t v = (uint32_t)value;
    if (at >= start) {
        virtio_config_write(p->dev, at - start, v, size);
        return;
    }
    switch (at) {
    case L_DRIVER_FEATURES:
        if (!(p->dev->status & VIRTIO_S_DRIVER_OK))
            p->dev->features = v & virtio_offered(p->dev, true);
        break;
    case L_QUEUE_PFN: legacy_set_pfn(p, q, v); break;
    case L_QUEUE_SELECT: p->queue_select = (uint16_t)v; break;
    case L_QUEUE_NOTIFY: kick(p, v & 0xffff); break;
    case L_STATUS: set_status(p, (uint8_t)v, true); break;
    case L_CONFIG_VECTOR: p->config_vector = check_vector(p, (uint16_t)v); break;
    case L_QUEUE_VECTOR:
        if (q)
            q->msix_vector = check_vector(p, (uint16_t)v);
        break;
    }
}

static const struct io_ops legacy_ops = {.read = legacy_read, .write = legacy_write, .min_size = 1, .max_size = 4};

// --- capabilities (4.1.4)

static unsigned add_cap(struct virtio_pci *p, uint8_t type, uint32_t offset, uint32_t length, unsigned size)
{
    unsigned at = pci_add_capability(&p->pci, CAP_VNDR, size);
    uint8_t *c = p->pci.config + at;
    c[2] = (uint8_t)size;
    c[3] = type;
    c[4] = type == CAP_PCI ? 0 : BAR_MODERN;
    memcpy(c + 8, &offset, 4);
    memcpy(c + 12, &length, 4);
    return at;
}

static void add_modern(struct virtio_pci *p)
{
    const uint32_t multiplier = NOTIFY_MULTIPLIER;
    add_cap(p, CAP_COMMON, COMMON, sizeof(struct common), 16);
    add_cap(p, CAP_ISR, ISR, 1, 16);
    if (p->dev->config_size)
        add_cap(p, CAP_DEVICE, DEVICE, p->dev->config_size, 16);
    unsigned at = add_cap(p, CAP_NOTIFY, NOTIFY, NOTIFY_MULTIPLIER * p->dev->queues, 20);
    memcpy(p->pci.config + at + 16, &multiplier, 4);
    at = add_cap(p, CAP_PCI, 0, 0, 20);
    p->pci_cap = at;
    memset(p->pci.wmask + at + 4, 0xff, 1);  // bar
    memset(p->pci.wmask + at + 8, 0xff, 12); // offset, length, data
    pci_set_bar(&p->pci, BAR_MODERN, MODERN_SIZE, false, true, true, &modern_ops, p);
}

// The window of 4.1.4.9 "PCI configuration access capability": reads and writes of its last dword are accesses
// to [offset, offset + length) of the BAR.
static bool window(struct virtio_pci *p, uint32_t *offset, uint32_t *length)
{
    const uint8_t *c = p->pci.config + p->pci_cap;
    memcpy(offset, c + 8, 4);
    memcpy(length, c + 12, 4);
    bool size_ok = *length == 1 || *length == 2 || *length == 4;
    return c[4] == BAR_MODERN && size_ok && *offset <= MODERN_SIZE - *length && *offset % *length == 0;
}

static void config_written(struct pci_device *d, unsigned at, unsigned size)
{
    struct virtio_pci *p = CONTAINER_OF(d, struct virtio_pci, pci);
    uint32_t offset, length, value;
    if (!p->pci_cap || at < p->pci_cap + 16 || at >= p->pci_cap + 20 || !window(p, &offset, &length))
        return;
    memcpy(&value, d->config + p->pci_cap + 16, 4);
    modern_write(p, offset, length == 4 ? value : value & (BIT(8 * length) - 1), length);
}

static void config_reading(struct pci_device *d, unsigned at, unsigned size)
{
    struct virtio_pci *p = CONTAINER_OF(d, struct virtio_pci, pci);
    uint32_t offset, length;
    if (!p->pci_cap || at < p->pci_cap + 16 || at >= p->pci_cap + 20 || !window(p, &offset, &length))
        return;
    uint32_t value = (uint32_t)modern_read(p, offset, length);
    memcpy(d->config + p->pci_cap + 16, &value, 4);
}

static void reset(struct pci_device *d)
{
    struct virtio_pci *p = CONTAINER_OF(d, struct virtio_pci, pci);
    virtio_reset(p->dev);
    reset_transport(p);
    if (p->pci_cap) {
        d->config[p->pci_cap + 4] = 0;
        memset(d->config + p->pci_cap + 8, 0, 12);
    }
}

// --- set-up

static struct pci_ids ids_of(const struct virtio_device *d, const struct virtio_pci_config *cfg)
{
    // Transitional device ids, 4.1.2.1.
    static const uint16_t legacy_id[] = {
        [VIRTIO_ID_NET] = 0x1000,
        [VIRTIO_ID_BLOCK] = 0x1001,
        [VIRTIO_ID_CONSOLE] = 0x1003,
        [VIRTIO_ID_ENTROPY] = 0x1005,
    };
    struct pci_ids ids = {.vendor = 0x1af4, .subvendor = 0x1af4, .class = d->pci_class, .subclass = d->pci_subclass};
    bool transitional = !cfg->disable_legacy && d->device_id < ARRAY_SIZE(legacy_id) && legacy_id[d->device_id];
    ids.device = transitional ? legacy_id[d->device_id] : (uint16_t)(0x1040 + d->device_id);
    ids.subdevice = transitional ? d->device_id : 0x1100;
    ids.revision = transitional ? 0 : 1;
    return ids;
}

int virtio_pci_add(struct pci_bus *bus, struct virtio_device *d, const struct virtio_pci_config *cfg)
{
    if (cfg->disable_legacy && cfg->disable_modern)
        return -EINVAL;
    struct virtio_pci *p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->dev = d;
    p->pci.name = d->name;
    p->pci.opaque = d;
    p->pci.reset = reset;
    p->pci.config_written = config_written;
    p->pci.config_reading = config_reading;
    const struct pci_ids ids = ids_of(d, cfg);
    int ret = pci_add(bus, &p->pci, cfg->devfn, &ids, 1);
    if (ret)
        goto fail;
    p->vectors = cfg->vectors < 0 ? d->queues + 1 : (unsigned)cfg->vectors;
    if (!cfg->disable_legacy)
        pci_set_bar(&p->pci, BAR_LEGACY, LEGACY_SIZE, true, false, false, &legacy_ops, p);
    if (p->vectors && pci_msix_init(&p->pci, p->vectors, BAR_MSIX))
        p->vectors = 0; // INTx serves as well
    if (!cfg->disable_modern)
        add_modern(p);
    d->transport = &transport_ops;
    d->transport_opaque = p;
    d->mem = pci_bus_memory(bus);
    for (unsigned i = 0; i < d->queues; i++)
        d->vq[i].mem = d->mem;
    reset_transport(p);
    return 0;
fail:
    free(p);
    return ret;
}

struct pci_device *virtio_pci_device(struct virtio_device *d)
{
    return d->transport == &transport_ops ? &((struct virtio_pci *)d->transport_opaque)->pci : NULL;
}
