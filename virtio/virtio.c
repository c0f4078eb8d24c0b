// SPDX-License-Identifier: MIT
// What all virtio devices share: status, feature negotiation, configuration space, errors.
// Virtio 1.2, sections 2.1 "Device Status Field", 2.2 "Feature Bits" and 3.1 "Device Initialization".
#include "virtio/virtio.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

void virtio_init(struct virtio_device *d, const char *name, uint16_t id, const struct virtio_device_ops *ops)
{
    d->name = name;
    d->device_id = id;
    d->ops = ops;
    d->host_features = BIT(VIRTIO_F_INDIRECT_DESC) | BIT(VIRTIO_F_EVENT_IDX);
}

struct virtq *virtio_add_queue(struct virtio_device *d, unsigned size)
{
    if (d->queues == VIRTIO_MAX_QUEUES || !size || size > VIRTQ_MAX_SIZE || (size & (size - 1)))
        return NULL;
    struct virtq *q = &d->vq[d->queues++];
    q->max_size = (uint16_t)size;
    virtq_reset(q);
    return q;
}

void virtio_queue_signal(struct virtio_device *d, unsigned q)
{
    if (d->transport && virtq_should_signal(&d->vq[q]))
        d->transport->queue_interrupt(d->transport_opaque, q);
}

void virtio_config_changed(struct virtio_device *d)
{
    d->config_generation++;
    if (d->transport && (d->status & VIRTIO_S_DRIVER_OK))
        d->transport->config_interrupt(d->transport_opaque);
}

void virtio_error(struct virtio_device *d, const char *fmt, ...)
{
    if (d->broken)
        return;
    d->broken = true;
    char text[128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    log_printf(LOG_guest_errors, "%s: %s; device needs a reset\n", d->name, text);
    d->status |= VIRTIO_S_NEEDS_RESET;
    if (d->transport && (d->status & VIRTIO_S_DRIVER_OK))
        d->transport->config_interrupt(d->transport_opaque);
}

bool virtio_queue_usable(struct virtio_device *d, unsigned q)
{
    return !d->broken && (d->status & VIRTIO_S_DRIVER_OK) && q < d->queues && d->vq[q].enabled;
}

uint64_t virtio_offered(const struct virtio_device *d, bool legacy)
{
    if (legacy) // the upper half cannot be seen through the legacy interface
        return (d->host_features | BIT(VIRTIO_F_ANY_LAYOUT)) & UINT32_MAX;
    return d->host_features | BIT(VIRTIO_F_VERSION_1);
}

void virtio_notify(struct virtio_device *d, unsigned q)
{
    if (virtio_queue_usable(d, q))
        d->ops->notify(d, q);
}

static void driver_ok(struct virtio_device *d)
{
    for (unsigned i = 0; i < d->queues; i++) {
        d->vq[i].event_idx = virtio_has(d, VIRTIO_F_EVENT_IDX);
        d->vq[i].indirect = virtio_has(d, VIRTIO_F_INDIRECT_DESC);
    }
    if (d->ops->driver_ok)
        d->ops->driver_ok(d);
    // Buffers may have been queued, and kicked for, before now.
    for (unsigned i = 0; i < d->queues; i++)
        virtio_notify(d, i);
}

void virtio_set_status(struct virtio_device *d, uint8_t status, bool legacy)
{
    if (!status) {
        virtio_reset(d);
        return;
    }
    uint8_t old = d->status;
    // Bits are only ever added by the driver (2.1.1); NEEDS_RESET is ours.
    status = (uint8_t)((status & ~VIRTIO_S_NEEDS_RESET) | old);
    if (!legacy && (status & VIRTIO_S_FEATURES_OK) && !(old & VIRTIO_S_FEATURES_OK)) {
        bool ok = (d->features & BIT(VIRTIO_F_VERSION_1)) && !(d->features & ~virtio_offered(d, false));
        if (!ok)
            status &= (uint8_t)~VIRTIO_S_FEATURES_OK;
    }
    if (legacy)
        d->features &= virtio_offered(d, true);
    else if (!(status & VIRTIO_S_FEATURES_OK))
        status &= (uint8_t)~VIRTIO_S_DRIVER_OK;
    d->status = status;
    if ((status & VIRTIO_S_DRIVER_OK) && !(old & VIRTIO_S_DRIVER_OK))
        driver_ok(d);
}

void virtio_reset(struct virtio_device *d)
{
    if (d->ops->reset)
        d->ops->reset(d);
    d->status = 0;
    d->broken = false;
    d->features = 0;
    d->config_generation = 0;
    for (unsigned i = 0; i < d->queues; i++)
        virtq_reset(&d->vq[i]);
}

uint64_t virtio_config_read(struct virtio_device *d, unsigned offset, unsigned size)
{
    if (offset >= d->config_size || size > 8)
        return 0;
    if (d->ops->config_refresh)
        d->ops->config_refresh(d);
    uint64_t v = 0;
    memcpy(&v, d->config + offset, size < d->config_size - offset ? size : d->config_size - offset);
    return v;
}

void virtio_config_write(struct virtio_device *d, unsigned offset, uint64_t value, unsigned size)
{
    if (offset >= d->config_size || size > 8)
        return;
    bool any = false;
    for (unsigned i = 0; i < size && offset + i < d->config_size; i++) {
        uint8_t m = d->config_wmask[offset + i];
        any |= m != 0;
        d->config[offset + i] = (uint8_t)((d->config[offset + i] & ~m) | ((value >> 8 * i) & m));
    }
    if (any && d->ops->config_written)
        d->ops->config_written(d, offset, size);
}
