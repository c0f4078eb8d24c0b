// SPDX-License-Identifier: MIT
// virtio-rng: the host's random numbers. Virtio 1.2, section 5.4 "Entropy Device".
#pragma once

#include "virtio/virtio.h"

struct virtio_rng_config {
    uint64_t max_bytes; // per period; 0: no limit
    unsigned period_ms; // 0: 65536
};
struct virtio_device *virtio_rng_create(const struct virtio_rng_config *cfg); // cfg may be NULL
