// SPDX-License-Identifier: MIT
// virtio-net over hw/net.h. Virtio 1.2, section 5.1 "Network Device".
//
// Queue 0 receives, 1 transmits, 2 controls. A transmit kick only posts work to the I/O thread, so the guest
// makes its next frames while the host's stack eats these; kicks are off until the queue has run dry.
#include "virtio/virtio_net.h"

#include <stdlib.h>
#include <string.h>

#include "base/loop.h"

// clang-format off
enum { // 5.1.3 "Feature bits"
    NET_F_CSUM = 0, NET_F_GUEST_CSUM = 1, NET_F_CTRL_GUEST_OFFLOADS = 2, NET_F_MTU = 3, NET_F_MAC = 5,
    NET_F_GUEST_TSO4 = 7, NET_F_GUEST_TSO6 = 8, NET_F_HOST_TSO4 = 11, NET_F_HOST_TSO6 = 12, NET_F_MRG_RXBUF = 15,
    NET_F_STATUS = 16, NET_F_CTRL_VQ = 17, NET_F_CTRL_RX = 18, NET_F_CTRL_VLAN = 19, NET_F_CTRL_MAC_ADDR = 23,
};
// clang-format on
enum { RX, TX, CTRL, CTRL_SIZE = 64 };
enum { HDR_F_NEEDS_CSUM = 1, HDR_F_DATA_VALID = 2, HDR_GSO_TCPV4 = 1, HDR_GSO_TCPV6 = 4 };
enum { STATUS_LINK_UP = 1, ETH_MIN = 14, TX_BYTES_A_RUN = 1 << 18, TX_FRAMES_A_RUN = 256 };

struct net_config { // 5.1.4 "Device configuration layout"
    uint8_t mac[6];
    uint16_t status, max_virtqueue_pairs, mtu;
};
struct net_header { // 5.1.6; the last field only with MRG_RXBUF or VERSION_1
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};
enum { LEGACY_HEADER = 10 };

struct virtio_net {
    struct virtio_device vdev;
    struct netdev *netdev;
    uint8_t mac[6];
    bool tx_posted;
    struct virtq_chain first, chain, tx;
};

static bool has(const struct virtio_net *n, unsigned bit) { return virtio_has(&n->vdev, bit); }

static unsigned header_size(const struct virtio_net *n)
{
    bool full = has(n, NET_F_MRG_RXBUF) || has(n, VIRTIO_F_VERSION_1);
    return full ? sizeof(struct net_header) : LEGACY_HEADER;
}

// --- receive: host -> guest

static bool can_receive(void *opaque)
{
    struct virtio_net *n = opaque;
    struct virtq *q = &n->vdev.vq[RX];
    if (!virtio_queue_usable(&n->vdev, RX))
        return false;
    return !virtq_empty(q) || virtq_enable_notify(q);
}

static struct net_header receive_header(const struct net_offload *o)
{
    struct net_header h = {0};
    if (!o)
        return h;
    if (o->needs_csum) {
        h.flags = HDR_F_NEEDS_CSUM;
        h.csum_start = o->csum_start;
        h.csum_offset = o->csum_offset;
    } else if (o->csum_valid) {
        h.flags = HDR_F_DATA_VALID;
    }
    if (o->gso != NET_GSO_NONE) {
        h.gso_type = o->gso == NET_GSO_TCPV4 ? HDR_GSO_TCPV4 : HDR_GSO_TCPV6;
        h.gso_size = o->gso_size;
        h.hdr_len = o->hdr_len;
    }
    return h;
}

static void put_back(struct virtq *q, unsigned chains)
{
    while (chains--)
        virtq_unpop(q);
}

// The frame goes over as many chains as it needs with MRG_RXBUF, else into one. Nothing is published before
// all of it has found room.
static bool receive(void *opaque, const uint8_t *frame, size_t len, const struct net_offload *o)
{
    struct virtio_net *n = opaque;
    struct virtio_device *d = &n->vdev;
    struct virtq *q = &d->vq[RX];
    bool merge = has(n, NET_F_MRG_RXBUF);
    unsigned hsize = header_size(n), chains = 0;
    struct net_header h = receive_header(o);
    size_t done = 0;
    if (!virtio_queue_usable(d, RX) || len > NET_MAX_FRAME)
        return false;
    do {
        struct virtq_chain *c = chains ? &n->chain : &n->first;
        int got = virtq_pop(q, c);
        if (got <= 0) {
            put_back(q, chains);
            if (got < 0)
                virtio_error(d, "receive queue: %s", q->error);
            else
                virtq_enable_notify(q);
            return false;
        }
        unsigned skip = chains ? 0 : hsize;
        if (c->in_len < skip + (merge ? 1 : len)) {
            put_back(q, chains + 1);
            if (merge)
                virtio_error(d, "receive buffer smaller than its header");
            return !merge; // too big for this driver's buffers: gone, as on a wire
        }
        if (!chains)
            virtq_copy_in(c, 0, &h, hsize);
        size_t part = virtq_copy_in(c, skip, frame + done, len - done);
        done += part;
        virtq_mark_written(q, c, skip + part);
        virtq_fill(q, c->head, (uint32_t)(skip + part), chains++);
    } while (done < len && chains < q->size);
    if (done < len) {
        put_back(q, chains);
        return false;
    }
    if (hsize == sizeof(h)) {
        uint16_t count = (uint16_t)chains;
        virtq_copy_in(&n->first, offsetof(struct net_header, num_buffers), &count, 2);
    }
    virtq_publish(q, chains);
    return true;
}

static void receive_done(void *opaque)
{
    struct virtio_net *n = opaque;
    virtio_queue_signal(&n->vdev, RX);
}

static const struct net_frontend_ops net_ops = {can_receive, receive, receive_done};

// --- transmit: guest -> host

static bool read_header(const struct virtio_net *n, const struct net_header *h, size_t len, struct net_offload *o)
{
    *o = (struct net_offload){.gso_size = h->gso_size, .hdr_len = h->hdr_len};
    if (h->flags & HDR_F_NEEDS_CSUM) {
        if (!has(n, NET_F_CSUM) || (size_t)h->csum_start + h->csum_offset + 2 > len)
            return false;
        o->needs_csum = true;
        o->csum_start = h->csum_start;
        o->csum_offset = h->csum_offset;
    }
    switch (h->gso_type) {
    case 0: return true;
    case HDR_GSO_TCPV4: o->gso = NET_GSO_TCPV4; return has(n, NET_F_HOST_TSO4) && o->needs_csum && h->gso_size;
    case HDR_GSO_TCPV6: o->gso = NET_GSO_TCPV6; return has(n, NET_F_HOST_TSO6) && o->needs_csum && h->gso_size;
    default: return false;
    }
}

// The chain's readable part without its first `skip` bytes, in place.
static struct iovec *advance(struct virtq_chain *c, size_t skip, unsigned *count)
{
    unsigned i = 0;
    while (i < c->out_count && skip >= c->iov[i].iov_len)
        skip -= c->iov[i++].iov_len;
    if (i < c->out_count) {
        c->iov[i].iov_base = (uint8_t *)c->iov[i].iov_base + skip;
        c->iov[i].iov_len -= skip;
    }
    *count = c->out_count - i;
    return c->iov + i;
}

static void send_chain(struct virtio_net *n)
{
    struct virtq_chain *c = &n->tx;
    unsigned hsize = header_size(n), count;
    struct net_header h = {0};
    struct net_offload o;
    if (c->out_len < hsize + ETH_MIN || c->out_len - hsize > NET_MAX_FRAME)
        return;
    virtq_copy_out(c, 0, &h, hsize);
    size_t len = c->out_len - hsize;
    if (!n->netdev || !n->netdev->link_up || !read_header(n, &h, len, &o))
        return;
    const struct iovec *iov = advance(c, hsize, &count);
    n->netdev->tx_frames++;
    n->netdev->tx_bytes += len;
    n->netdev->ops->send(n->netdev, iov, count, &o);
}

static void transmit(void *opaque);

static void post_transmit(struct virtio_net *n)
{
    if (n->tx_posted)
        return;
    n->tx_posted = true;
    loop_post(transmit, n);
}

static void transmit(void *opaque)
{
    struct virtio_net *n = opaque;
    struct virtio_device *d = &n->vdev;
    struct virtq *q = &d->vq[TX];
    n->tx_posted = false;
    if (!virtio_queue_usable(d, TX))
        return;
    size_t bytes = 0;
    unsigned frames = 0;
    int got = 0;
    bool more = true;
    while (bytes < TX_BYTES_A_RUN && frames < TX_FRAMES_A_RUN) {
        got = virtq_pop(q, &n->tx);
        if (got < 0) {
            virtio_error(d, "transmit queue: %s", q->error);
            return;
        }
        if (!got) {
            more = virtq_enable_notify(q);
            if (!more)
                break;
            continue;
        }
        send_chain(n);
        if (!virtio_queue_usable(d, TX)) // what we sent may have come back and broken the device
            return;
        bytes += n->tx.out_len;
        frames++;
        virtq_push(q, &n->tx, 0);
    }
    if (frames) {
        virtio_queue_signal(d, TX);
        if (n->netdev && n->netdev->ops->flush)
            n->netdev->ops->flush(n->netdev);
    }
    if (more) { // let others have the lock in between
        virtq_disable_notify(q);
        post_transmit(n);
    }
}

// --- control queue (5.1.6.5)

enum { CTRL_RX = 0, CTRL_MAC = 1, CTRL_VLAN = 2, CTRL_GUEST_OFFLOADS = 5, CTRL_OK = 0, CTRL_ERR = 1 };

static void set_caps(struct virtio_net *n, uint64_t bits)
{
    if (!n->netdev)
        return;
    n->netdev->fe_caps = (bits & BIT(NET_F_GUEST_CSUM) ? NET_CAP_CSUM : 0u) |
                         (bits & BIT(NET_F_GUEST_TSO4) ? NET_CAP_TSO4 : 0u) |
                         (bits & BIT(NET_F_GUEST_TSO6) ? NET_CAP_TSO6 : 0u);
}

static bool mac_table(const struct virtq_chain *c)
{
    size_t at = 2; // two tables, unicast and multicast: le32 count, count addresses. We filter nothing.
    for (unsigned t = 0; t < 2; t++) {
        uint32_t count;
        if (virtq_copy_out(c, at, &count, 4) != 4 || (c->out_len - at - 4) / 6 < count)
            return false;
        at += 4 + 6ull * count;
    }
    return at == c->out_len;
}

static uint8_t control(struct virtio_net *n, const struct virtq_chain *c)
{
    uint8_t cmd[2];
    uint64_t offloads;
    if (virtq_copy_out(c, 0, cmd, 2) != 2)
        return CTRL_ERR;
    switch (cmd[0]) {
    case CTRL_RX: return cmd[1] <= 5 && c->out_len == 3 ? CTRL_OK : CTRL_ERR;
    case CTRL_MAC:
        if (cmd[1] == 0)
            return mac_table(c) ? CTRL_OK : CTRL_ERR;
        if (cmd[1] != 1 || c->out_len != 8)
            return CTRL_ERR;
        virtq_copy_out(c, 2, n->vdev.config, 6);
        return CTRL_OK;
    case CTRL_VLAN: return cmd[1] <= 1 && c->out_len == 4 ? CTRL_OK : CTRL_ERR;
    case CTRL_GUEST_OFFLOADS:
        if (cmd[1] != 0 || !has(n, NET_F_CTRL_GUEST_OFFLOADS) || virtq_copy_out(c, 2, &offloads, 8) != 8 ||
            (offloads & ~n->vdev.features))
            return CTRL_ERR;
        set_caps(n, offloads);
        return CTRL_OK;
    default: return CTRL_ERR;
    }
}

static void run_control(struct virtio_net *n)
{
    struct virtq *q = &n->vdev.vq[CTRL];
    int got = 0;
    for (unsigned i = 0; i < CTRL_SIZE && (got = virtq_pop(q, &n->chain)) > 0; i++) {
        if (!n->chain.in_len) {
            virtio_error(&n->vdev, "control command without room for the answer");
            return;
        }
        uint8_t ack = control(n, &n->chain);
        virtq_copy_in(&n->chain, 0, &ack, 1);
        virtq_push(q, &n->chain, 1);
    }
    if (got < 0)
        virtio_error(&n->vdev, "control queue: %s", q->error);
    else
        virtq_enable_notify(q);
    virtio_queue_signal(&n->vdev, CTRL);
}

// --- device

static void notify(struct virtio_device *d, unsigned queue)
{
    struct virtio_net *n = CONTAINER_OF(d, struct virtio_net, vdev);
    switch (queue) {
    case RX:
        virtq_disable_notify(&d->vq[RX]);
        if (n->netdev && n->netdev->ops->rx_ready)
            n->netdev->ops->rx_ready(n->netdev);
        break;
    case TX:
        virtq_disable_notify(&d->vq[TX]);
        post_transmit(n);
        break;
    case CTRL: run_control(n); break;
    }
}

static void driver_ok(struct virtio_device *d) { set_caps(CONTAINER_OF(d, struct virtio_net, vdev), d->features); }

static void reset(struct virtio_device *d)
{
    struct virtio_net *n = CONTAINER_OF(d, struct virtio_net, vdev);
    set_caps(n, 0);
    memcpy(d->config, n->mac, 6);
}

static void refresh(struct virtio_device *d)
{
    struct virtio_net *n = CONTAINER_OF(d, struct virtio_net, vdev);
    uint16_t status = n->netdev && n->netdev->link_up ? STATUS_LINK_UP : 0;
    memcpy(d->config + offsetof(struct net_config, status), &status, 2);
}

static void destroy(struct virtio_device *d)
{
    struct virtio_net *n = CONTAINER_OF(d, struct virtio_net, vdev);
    if (n->netdev)
        net_connect(n->netdev, NULL, NULL);
    free(n);
}

static const struct virtio_device_ops virtio_net_ops = {
    .notify = notify,
    .reset = reset,
    .driver_ok = driver_ok,
    .config_refresh = refresh,
    .destroy = destroy,
};

static uint64_t offload_features(const struct netdev *nd)
{
    uint64_t f = BIT(NET_F_GUEST_CSUM) | BIT(NET_F_GUEST_TSO4) | BIT(NET_F_GUEST_TSO6) | BIT(NET_F_CTRL_GUEST_OFFLOADS);
    unsigned caps = nd ? nd->caps : 0;
    if (caps & NET_CAP_CSUM)
        f |= BIT(NET_F_CSUM) | (caps & NET_CAP_TSO4 ? BIT(NET_F_HOST_TSO4) : 0) |
             (caps & NET_CAP_TSO6 ? BIT(NET_F_HOST_TSO6) : 0);
    return f;
}

struct virtio_device *virtio_net_create(const struct virtio_net_config *cfg)
{
    struct virtio_net *n = calloc(1, sizeof(*n));
    if (!n)
        return NULL;
    struct virtio_device *d = &n->vdev;
    virtio_init(d, "virtio-net-pci", VIRTIO_ID_NET, &virtio_net_ops);
    d->pci_class = 2;
    if (!virtio_add_queue(d, cfg->rx_queue_size ? cfg->rx_queue_size : 256) ||
        !virtio_add_queue(d, cfg->tx_queue_size ? cfg->tx_queue_size : 256) || !virtio_add_queue(d, CTRL_SIZE)) {
        free(n);
        return NULL;
    }
    d->host_features |= BIT(NET_F_MAC) | BIT(NET_F_MRG_RXBUF) | BIT(NET_F_STATUS) | BIT(NET_F_CTRL_VQ) |
                        BIT(NET_F_CTRL_RX) | BIT(NET_F_CTRL_VLAN) | BIT(NET_F_CTRL_MAC_ADDR);
    if (!cfg->no_offload)
        d->host_features |= offload_features(cfg->netdev);
    struct net_config c = {.max_virtqueue_pairs = 1, .mtu = cfg->mtu};
    memcpy(n->mac, cfg->mac, 6);
    memcpy(c.mac, cfg->mac, 6);
    memcpy(d->config, &c, sizeof(c));
    d->config_size = 10;
    if (cfg->mtu) {
        d->host_features |= BIT(NET_F_MTU);
        d->config_size = sizeof(c);
    }
    n->netdev = cfg->netdev;
    if (n->netdev)
        net_connect(n->netdev, &net_ops, n);
    return d;
}
