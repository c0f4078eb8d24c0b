// SPDX-License-Identifier: MIT
// virtio-net. Virtio 1.2, section 5.1 "Network Device".
#pragma once

#include "hw/net.h"
#include "virtio/virtio.h"

struct virtio_net_config {
    struct netdev *netdev; // NULL: not connected (no link); not owned
    uint8_t mac[6];
    uint16_t mtu;                          // host_mtu; 0: not offered
    unsigned rx_queue_size, tx_queue_size; // 0: 256
    bool no_offload;                       // csum=off,gso=off and so on
};
struct virtio_device *virtio_net_create(const struct virtio_net_config *cfg);
