// SPDX-License-Identifier: MIT
// Receive merging for IPv4 TCP. A guest's cost is per frame, so a bulk transfer gains from fewer, larger ones.
//
// One flow is held at a time. A segment joins it if addresses, ports, acknowledgement, window and options are
// the same, it continues where the held data ends, and only ACK and PSH are set. The first segment's size is
// the merged frame's gso_size, so all but the last must have it. Anything else first sends what is held.
#include "hw/net_gro.h"

#include <stdlib.h>
#include <string.h>

enum { ETH = 14, IPV4 = 20, TCP = 20, IP_AT = ETH, MAX_IP = 65535 };
enum { TCP_PSH = 8, TCP_ACK = 16 };

struct net_gro {
    net_gro_deliver *deliver;
    void *opaque;
    size_t len;    // of the held frame; 0: none
    size_t header; // its Ethernet + IP + TCP header
    uint32_t next_seq;
    unsigned segment; // payload bytes of the first
    unsigned count;   // segments merged
    bool closed;      // a short or pushed segment was last
    uint8_t frame[ETH + MAX_IP];
};

static unsigned get16(const uint8_t *p) { return (unsigned)p[0] << 8 | p[1]; }
static uint32_t get32(const uint8_t *p) { return (uint32_t)get16(p) << 16 | get16(p + 2); }
static void set16(uint8_t *p, size_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static uint32_t sum16(const uint8_t *p, size_t len) // len is even
{
    uint32_t sum = 0;
    for (size_t i = 0; i < len; i += 2)
        sum += get16(p + i);
    return sum;
}

static unsigned fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

// The header length of a plain TCP segment with data, or 0. *end: where the IP packet ends in the frame.
static size_t mergeable(const uint8_t *f, size_t len, size_t *end)
{
    const uint8_t *ip = f + IP_AT, *tcp = ip + IPV4;
    if (len < ETH + IPV4 + TCP || get16(f + 12) != 0x0800 || ip[0] != 0x45 || ip[9] != 6)
        return 0;
    if (get16(ip + 6) & 0x3fff) // a fragment
        return 0;
    size_t header = ETH + IPV4 + (tcp[12] >> 4) * 4u;
    *end = ETH + get16(ip + 2);
    if ((tcp[12] >> 4) * 4u < TCP || *end > len || *end <= header)
        return 0;
    return (tcp[13] & ~TCP_PSH) == TCP_ACK ? header : 0;
}

static bool same_flow(const struct net_gro *g, const uint8_t *f, size_t header)
{
    const uint8_t *a = g->frame, *b = f;
    if (header != g->header || memcmp(a, b, ETH) || memcmp(a + IP_AT + 12, b + IP_AT + 12, 8))
        return false;
    const uint8_t *ta = a + IP_AT + IPV4, *tb = b + IP_AT + IPV4;
    return !memcmp(ta, tb, 4) && !memcmp(ta + 8, tb + 8, 4) && !memcmp(ta + 14, tb + 14, 2) &&
           !memcmp(ta + TCP, tb + TCP, header - ETH - IPV4 - TCP) && a[IP_AT + 1] == b[IP_AT + 1] &&
           a[IP_AT + 8] == b[IP_AT + 8];
}

void net_gro_flush(struct net_gro *g)
{
    if (!g->len)
        return;
    size_t len = g->len;
    g->len = 0;
    if (g->count == 1) {
        g->deliver(g->opaque, g->frame, len, NULL);
        return;
    }
    uint8_t *ip = g->frame + IP_AT, *tcp = ip + IPV4;
    size_t ip_len = len - ETH, tcp_len = ip_len - IPV4;
    set16(ip + 2, ip_len);
    set16(ip + 10, 0);
    set16(ip + 10, ~fold(sum16(ip, IPV4)) & 0xffff);
    set16(tcp + 16, fold(sum16(ip + 12, 8) + 6 + (uint32_t)tcp_len)); // pseudo-header only
    const struct net_offload o = {
        .needs_csum = true,
        .csum_start = ETH + IPV4,
        .csum_offset = 16,
        .gso = NET_GSO_TCPV4,
        .gso_size = (uint16_t)g->segment,
        .hdr_len = (uint16_t)g->header,
    };
    g->deliver(g->opaque, g->frame, len, &o);
}

static void hold(struct net_gro *g, const uint8_t *f, size_t header, size_t end)
{
    const uint8_t *tcp = f + IP_AT + IPV4;
    memcpy(g->frame, f, end);
    g->len = end;
    g->header = header;
    g->segment = (unsigned)(end - header);
    g->next_seq = get32(tcp + 4) + g->segment;
    g->count = 1;
    g->closed = tcp[13] & TCP_PSH;
}

void net_gro_add(struct net_gro *g, const uint8_t *f, size_t len, unsigned caps)
{
    const unsigned need = NET_CAP_CSUM | NET_CAP_TSO4;
    size_t end = 0, header = (caps & need) == need && len <= sizeof(g->frame) ? mergeable(f, len, &end) : 0;
    if (!header) {
        net_gro_flush(g);
        g->deliver(g->opaque, f, len, NULL);
        return;
    }
    const uint8_t *tcp = f + IP_AT + IPV4;
    size_t payload = end - header;
    bool joins = g->len && !g->closed && same_flow(g, f, header) && get32(tcp + 4) == g->next_seq &&
                 payload <= g->segment && g->len + payload <= sizeof(g->frame);
    if (!joins) {
        net_gro_flush(g);
        hold(g, f, header, end);
        return;
    }
    memcpy(g->frame + g->len, f + header, payload);
    g->len += payload;
    g->next_seq += (uint32_t)payload;
    g->count++;
    g->frame[IP_AT + IPV4 + 13] |= tcp[13] & TCP_PSH;
    g->closed = payload < g->segment || (tcp[13] & TCP_PSH);
}

struct net_gro *net_gro_new(net_gro_deliver *deliver, void *opaque)
{
    struct net_gro *g = calloc(1, sizeof(*g));
    if (g) {
        g->deliver = deliver;
        g->opaque = opaque;
    }
    return g;
}

void net_gro_free(struct net_gro *g) { free(g); }
