// SPDX-License-Identifier: MIT
// virtio-blk. Virtio 1.2, section 5.2 "Block Device".
#pragma once

#include "hw/block.h"
#include "virtio/virtio.h"

struct virtio_blk_config {
    struct block *block;                              // not owned
    const char *serial;                               // at most 20 bytes; NULL: none
    unsigned num_queues;                              // 0: 1; at most VIRTIO_MAX_QUEUES
    unsigned queue_size;                              // 0: 256; a power of two
    unsigned logical_block_size, physical_block_size; // 0: 512
    bool no_write_cache;                              // write-cache=off: the guest sees a write-through disk
    bool no_config_wce;
};
struct virtio_device *virtio_blk_create(const struct virtio_blk_config *cfg); // NULL: out of memory or bad values
