// SPDX-License-Identifier: MIT
// A network link: a device (the front end) at one end, something on the host (struct netdev) at the other.
// Frames are Ethernet frames without FCS. Both ends run with the big lock held.
#pragma once

#include "base/types.h"
#include <sys/uio.h>

enum { // struct net_offload.gso
    NET_GSO_NONE,
    NET_GSO_TCPV4,
    NET_GSO_TCPV6,
};
// What one end left for the other to do. A NULL pointer means a plain, finished frame.
struct net_offload {
    bool needs_csum;                  // the checksum at csum_start + csum_offset holds only the pseudo-header's sum
    bool csum_valid;                  // host -> device: already verified
    uint16_t csum_start, csum_offset; // from the frame's first byte
    uint8_t gso;                      // NET_GSO_*: one frame stands for many
    uint16_t gso_size;                // payload bytes of each
    uint16_t hdr_len;                 // bytes of Ethernet + IP + TCP header
};
enum {                // capabilities, for netdev.caps and net_frontend caps
    NET_CAP_CSUM = 1, // takes frames with needs_csum
    NET_CAP_TSO4 = 2, // takes NET_GSO_TCPV4
    NET_CAP_TSO6 = 4,
};
enum { NET_MAX_FRAME = 65550 + 14 };

struct netdev;
struct netdev_ops {
    // Device -> host. The frame is consumed or dropped before the call returns.
    void (*send)(struct netdev *n, const struct iovec *iov, unsigned iovcnt, const struct net_offload *o);
    void (*flush)(struct netdev *n);    // after a batch of sends; may be NULL
    void (*rx_ready)(struct netdev *n); // the device can receive again; may be NULL
    void (*destroy)(struct netdev *n);
};
struct net_frontend_ops {
    bool (*can_receive)(void *opaque); // room for at least one full frame
    // Host -> device. False: dropped (no room).
    bool (*receive)(void *opaque, const uint8_t *frame, size_t len, const struct net_offload *o);
    // After a batch of receives, once: raise the interrupt. May be NULL.
    void (*receive_done)(void *opaque);
};
struct netdev {
    const struct netdev_ops *ops;
    const struct net_frontend_ops *fe; // NULL: not connected; frames are dropped
    void *fe_opaque;
    unsigned caps;    // NET_CAP_* that the host end takes
    unsigned fe_caps; // NET_CAP_* that the device takes now (set by the device; features may change it)
    bool link_up;
    char id[32];
    uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes, dropped; // for `info network`; rx is host -> device
};
static inline void net_connect(struct netdev *n, const struct net_frontend_ops *fe, void *opaque)
{
    n->fe = fe;
    n->fe_opaque = opaque;
    n->fe_caps = 0;
}
static inline void netdev_destroy(struct netdev *n)
{
    if (n)
        n->ops->destroy(n);
}
// Internet checksum helper for back ends: finishes a frame that needs_csum in place.
void net_finish_csum(uint8_t *frame, size_t len, const struct net_offload *o);
// The n-th default MAC: 52:54:00:12:34:56 + n, as QEMU gives them.
void net_default_mac(uint8_t mac[6], unsigned n);
int net_parse_mac(const char *text, uint8_t mac[6]); // 0 or -EINVAL
