// SPDX-License-Identifier: MIT
// What a virtio device is, whatever its transport. Virtio 1.2, chapter 2 "Basic Facilities of a Virtio Device".
//
// A device embeds struct virtio_device and fills ops, ids, features and queues; the transport (virtio_pci)
// drives it. The board sees only virtio_*_create() and virtio_pci_add().
#pragma once

#include "virtio/virtqueue.h"

enum { // 2.1 "Device Status Field"
    VIRTIO_S_ACKNOWLEDGE = 1,
    VIRTIO_S_DRIVER = 2,
    VIRTIO_S_DRIVER_OK = 4,
    VIRTIO_S_FEATURES_OK = 8,
    VIRTIO_S_NEEDS_RESET = 64,
    VIRTIO_S_FAILED = 128,
};
enum { // 5 "Device Types"
    VIRTIO_ID_NET = 1,
    VIRTIO_ID_BLOCK = 2,
    VIRTIO_ID_CONSOLE = 3,
    VIRTIO_ID_ENTROPY = 4,
};
enum { // 6 "Reserved Feature Bits"
    VIRTIO_F_NOTIFY_ON_EMPTY = 24,
    VIRTIO_F_ANY_LAYOUT = 27,
    VIRTIO_F_INDIRECT_DESC = 28,
    VIRTIO_F_EVENT_IDX = 29,
    VIRTIO_F_VERSION_1 = 32,
};
enum { VIRTIO_MAX_QUEUES = 16, VIRTIO_NO_VECTOR = 0xffff };

struct virtio_device;
struct virtio_device_ops {
    // The driver kicked queue q. It may be kicked at any time, with nothing new in the ring.
    void (*notify)(struct virtio_device *d, unsigned q);
    // Stops everything in flight: after it no request of this device completes. Queues are reset after it.
    void (*reset)(struct virtio_device *d);
    // DRIVER_OK was set: features are final.
    void (*driver_ok)(struct virtio_device *d);
    // d->config was read from or the driver wrote [offset, offset+len) of it; both may be NULL.
    void (*config_refresh)(struct virtio_device *d);
    void (*config_written)(struct virtio_device *d, unsigned offset, unsigned len);
    void (*destroy)(struct virtio_device *d);
};
struct virtio_transport_ops {
    void (*queue_interrupt)(void *opaque, unsigned q);
    void (*config_interrupt)(void *opaque);
};
struct virtio_device {
    const struct virtio_device_ops *ops;
    const char *name;
    uint16_t device_id; // VIRTIO_ID_*
    uint8_t pci_class, pci_subclass;
    uint64_t host_features; // what may be offered (bits below 24 and 28..); the transport adds VERSION_1
    uint64_t features;      // what the driver took
    uint8_t status;
    bool broken;              // NEEDS_RESET was set since the last reset
    uint8_t config[64];       // device-specific configuration, little-endian
    uint8_t config_wmask[64]; // bytes the driver may write: 0xff
    unsigned config_size;
    uint8_t config_generation;
    unsigned queues;
    struct virtq vq[VIRTIO_MAX_QUEUES];
    struct address_space *mem; // set by the transport, before any other callback
    const struct virtio_transport_ops *transport;
    void *transport_opaque;
};

static inline bool virtio_has(const struct virtio_device *d, unsigned bit) { return d->features >> bit & 1; }

// For devices.
void virtio_init(struct virtio_device *d, const char *name, uint16_t id, const struct virtio_device_ops *ops);
struct virtq *virtio_add_queue(struct virtio_device *d, unsigned size); // max size, a power of two
void virtio_queue_signal(struct virtio_device *d, unsigned q);          // interrupts if the driver wants one
void virtio_config_changed(struct virtio_device *d);
// The driver broke a rule: log once, set NEEDS_RESET, stop serving. Safe to call again.
void virtio_error(struct virtio_device *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Guard for notify: DRIVER_OK set, not broken, queue live.
bool virtio_queue_usable(struct virtio_device *d, unsigned q);

// For transports.
uint64_t virtio_offered(const struct virtio_device *d, bool legacy);
void virtio_set_status(struct virtio_device *d, uint8_t status, bool legacy);
void virtio_reset(struct virtio_device *d);
uint64_t virtio_config_read(struct virtio_device *d, unsigned offset, unsigned size);
void virtio_config_write(struct virtio_device *d, unsigned offset, uint64_t value, unsigned size);
void virtio_notify(struct virtio_device *d, unsigned q);
