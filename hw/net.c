// SPDX-License-Identifier: MIT
// Helpers for network links: checksums that the device left open, MAC addresses.
// RFC 1071 "Computing the Internet Checksum".
#include "hw/net.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { ETH_HEADER = 14, IPV4_MIN = 20, IPV6_HEADER = 40, TCP_MIN = 20, PROTO_TCP = 6 };

static uint64_t sum_bytes(uint64_t sum, const uint8_t *p, size_t len)
{
    for (; len >= 8; p += 8, len -= 8) {
        uint32_t w[2];
        memcpy(w, p, 8);
        sum += (uint64_t)w[0] + w[1];
    }
    for (; len >= 2; p += 2, len -= 2) {
        uint16_t w;
        memcpy(&w, p, 2);
        sum += w;
    }
    return len ? sum + *p : sum;
}

// Folds to 16 bits, in the byte order of the memory that was summed.
static uint16_t fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static void put16(uint8_t *p, uint16_t v) { memcpy(p, &v, 2); }
static void put16_be(uint8_t *p, size_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

// A frame that stands for many goes on as one large one: lengths and the pseudo-header's sum must say so.
static void fix_gso_headers(uint8_t *frame, size_t len, const struct net_offload *o)
{
    uint8_t *ip = frame + ETH_HEADER;
    size_t ip_len = len - ETH_HEADER;
    uint64_t pseudo;
    if (o->gso == NET_GSO_TCPV4) {
        size_t hl = (ip[0] & 15) * 4u;
        if (ip_len < IPV4_MIN || ip[0] >> 4 != 4 || hl < IPV4_MIN || ip_len < hl + TCP_MIN || ip_len > 65535 ||
            o->csum_start != ETH_HEADER + hl)
            return;
        put16_be(ip + 2, ip_len);
        put16(ip + 10, 0);
        put16(ip + 10, (uint16_t)~fold(sum_bytes(0, ip, hl)));
        pseudo = sum_bytes(0, ip + 12, 8);
        ip_len -= hl;
    } else {
        if (ip_len < IPV6_HEADER + TCP_MIN || ip[0] >> 4 != 6 || ip_len - IPV6_HEADER > 65535)
            return;
        ip_len -= IPV6_HEADER;
        put16_be(ip + 4, ip_len);
        pseudo = sum_bytes(0, ip + 8, 32);
    }
    uint8_t tail[4] = {0, PROTO_TCP, (uint8_t)(ip_len >> 8), (uint8_t)ip_len};
    put16(frame + o->csum_start + o->csum_offset, fold(sum_bytes(pseudo, tail, 4)));
}

void net_finish_csum(uint8_t *frame, size_t len, const struct net_offload *o)
{
    if (!o || !o->needs_csum || (size_t)o->csum_start + o->csum_offset + 2 > len)
        return;
    if (o->gso != NET_GSO_NONE && len > ETH_HEADER + IPV4_MIN)
        fix_gso_headers(frame, len, o);
    uint16_t c = (uint16_t)~fold(sum_bytes(0, frame + o->csum_start, len - o->csum_start));
    put16(frame + o->csum_start + o->csum_offset, c ? c : 0xffff);
}

void net_default_mac(uint8_t mac[6], unsigned n)
{
    const uint8_t first[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
    memcpy(mac, first, 6);
    mac[5] = (uint8_t)(mac[5] + n);
}

int net_parse_mac(const char *text, uint8_t mac[6])
{
    unsigned v[6];
    int end = 0;
    if (sscanf(text, "%2x%*1[:-]%2x%*1[:-]%2x%*1[:-]%2x%*1[:-]%2x%*1[:-]%2x%n", &v[0], &v[1], &v[2], &v[3], &v[4],
               &v[5], &end) != 6 ||
        text[end])
        return -EINVAL;
    for (unsigned i = 0; i < 6; i++)
        mac[i] = (uint8_t)v[i];
    return 0;
}
