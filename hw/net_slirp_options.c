// SPDX-License-Identifier: MIT
// Turns -netdev user's strings into addresses: the virtual network's layout and hostfwd rules.
#include "hw/net_slirp_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int bad(char err[160], const char *what, const char *value)
{
    snprintf(err, 160, "netdev user: %s '%.90s'", what, value);
    return -EINVAL;
}

static int parse_address(const char *text, struct in_addr *out, const char *what, char err[160])
{
    if (text && inet_pton(AF_INET, text, out) != 1)
        return bad(err, what, text);
    return 0;
}

// "a.b.c.d", "a.b.c.d/24" or "a.b.c.d/255.255.255.0". Without a mask the address class decides.
static int parse_net(const char *text, struct in_addr *net, struct in_addr *mask, char err[160])
{
    char addr[32];
    const char *slash = strchr(text, '/');
    snprintf(addr, sizeof(addr), "%.*s", slash ? (int)(slash - text) : 31, text);
    if (inet_pton(AF_INET, addr, net) != 1)
        return bad(err, "bad network", text);
    uint32_t a = ntohl(net->s_addr), m = !(a >> 31) ? 0xff000000 : a >> 30 == 2 ? 0xffff0000 : 0xffffff00;
    if (slash && strchr(slash, '.')) {
        if (inet_pton(AF_INET, slash + 1, mask) != 1)
            return bad(err, "bad network mask", text);
        m = ntohl(mask->s_addr);
    } else if (slash) {
        char *end;
        long bits = strtol(slash + 1, &end, 10);
        if (*end || end == slash + 1 || bits < 4 || bits > 30)
            return bad(err, "bad network mask", text);
        m = ~0u << (32 - bits);
    }
    if (~m & (~m + 1))
        return bad(err, "bad network mask", text);
    mask->s_addr = htonl(m);
    net->s_addr &= mask->s_addr;
    return 0;
}

static bool inside(const SlirpConfig *c, struct in_addr a)
{
    return (a.s_addr & c->vnetmask.s_addr) == c->vnetwork.s_addr;
}

static int config_v4(const struct net_slirp_options *o, SlirpConfig *c, char err[160])
{
    int ret = parse_net(o->net ? o->net : "10.0.2.0/24", &c->vnetwork, &c->vnetmask, err);
    if (ret)
        return ret;
    uint32_t host_bits = ~c->vnetmask.s_addr;
    c->vhost.s_addr = c->vnetwork.s_addr | (htonl(0x0202) & host_bits);
    c->vdhcp_start.s_addr = c->vnetwork.s_addr | (htonl(0x020f) & host_bits);
    c->vnameserver.s_addr = c->vnetwork.s_addr | (htonl(0x0203) & host_bits);
    if ((ret = parse_address(o->host, &c->vhost, "bad host address", err)) ||
        (ret = parse_address(o->dhcpstart, &c->vdhcp_start, "bad dhcpstart", err)) ||
        (ret = parse_address(o->dns, &c->vnameserver, "bad dns", err)))
        return ret;
    if (!inside(c, c->vhost))
        return bad(err, "host is not inside the network:", o->host ? o->host : "default");
    if (!inside(c, c->vdhcp_start) || c->vdhcp_start.s_addr == c->vhost.s_addr ||
        c->vdhcp_start.s_addr == c->vnameserver.s_addr)
        return bad(err, "dhcpstart is not inside the network or taken:", o->dhcpstart ? o->dhcpstart : "default");
    if (!inside(c, c->vnameserver) || c->vnameserver.s_addr == c->vhost.s_addr)
        return bad(err, "dns is not inside the network or taken:", o->dns ? o->dns : "default");
    return 0;
}

static int parse_v6(const char *text, struct in6_addr *out, const char *what, char err[160])
{
    return inet_pton(AF_INET6, text, out) == 1 ? 0 : bad(err, what, text);
}

static int config_v6(const struct net_slirp_options *o, SlirpConfig *c, char err[160])
{
    int ret = parse_v6(o->ipv6_prefix ? o->ipv6_prefix : "fec0::", &c->vprefix_addr6, "bad ipv6-prefix", err);
    if (ret)
        return ret;
    unsigned len = o->ipv6_prefixlen ? o->ipv6_prefixlen : 64;
    if (len > 126)
        return bad(err, "bad ipv6-prefixlen in", o->id ? o->id : "user");
    c->vprefix_len = (uint8_t)len;
    c->vhost6 = c->vnameserver6 = c->vprefix_addr6;
    c->vhost6.s6_addr[15] |= 2;
    c->vnameserver6.s6_addr[15] |= 3;
    if (o->ipv6_host && (ret = parse_v6(o->ipv6_host, &c->vhost6, "bad ipv6-host", err)))
        return ret;
    if (o->ipv6_dns && (ret = parse_v6(o->ipv6_dns, &c->vnameserver6, "bad ipv6-dns", err)))
        return ret;
    return 0;
}

int slirp_options_config(const struct net_slirp_options *o, SlirpConfig *c, char err[160])
{
    *c = (SlirpConfig){
        .version = 1, .restricted = o->restricted, .in_enabled = !o->no_ipv4, .in6_enabled = !o->no_ipv6};
    if (o->no_ipv4 && o->no_ipv6)
        return bad(err, "neither IPv4 nor IPv6 in", o->id ? o->id : "user");
    int ret = config_v4(o, c, err);
    if (!ret)
        ret = config_v6(o, c, err);
    c->vhostname = o->hostname;
    c->tftp_server_name = o->tftp_server_name;
    c->tftp_path = o->tftp;
    c->bootfile = o->bootfile;
    c->vdomainname = o->domainname;
    c->vdnssearch = o->dnssearch && *o->dnssearch ? (const char **)(uintptr_t)o->dnssearch : NULL;
    return ret;
}

// --- hostfwd: [tcp|udp]:[hostaddr]:hostport[-[guestaddr]:guestport]

static bool field(const char **p, char sep, char *out, size_t size)
{
    const char *end = strchr(*p, sep);
    if (!end || (size_t)(end - *p) >= size)
        return false;
    memcpy(out, *p, (size_t)(end - *p));
    out[end - *p] = 0;
    *p = end + 1;
    return true;
}

static bool port(const char *text, int min, int *out)
{
    char *end;
    long v = strtol(text, &end, 10);
    *out = (int)v;
    return end != text && !*end && v >= min && v <= 65535;
}

int slirp_options_hostfwd(const char *rule, bool remove, struct slirp_hostfwd *f, char err[160])
{
    char proto[8], host[32], hport[8] = "", guest[32] = "";
    const char *p = rule;
    *f = (struct slirp_hostfwd){.host = {.s_addr = INADDR_ANY}};
    if (!field(&p, ':', proto, sizeof(proto)) || !field(&p, ':', host, sizeof(host)))
        return bad(err, "bad hostfwd rule", rule);
    f->udp = !strcmp(proto, "udp");
    if (!f->udp && *proto && strcmp(proto, "tcp"))
        return bad(err, "bad protocol in hostfwd rule", rule);
    if (*host && inet_pton(AF_INET, host, &f->host) != 1)
        return bad(err, "bad host address in hostfwd rule", rule);
    if (remove) {
        if (!port(p, 0, &f->host_port))
            return bad(err, "bad host port in hostfwd rule", rule);
        return 0;
    }
    if (!field(&p, '-', hport, sizeof(hport)) || !port(hport, 0, &f->host_port))
        return bad(err, "bad host port in hostfwd rule", rule);
    if (!field(&p, ':', guest, sizeof(guest)) || (*guest && inet_pton(AF_INET, guest, &f->guest) != 1))
        return bad(err, "bad guest address in hostfwd rule", rule);
    if (!port(p, 1, &f->guest_port))
        return bad(err, "bad guest port in hostfwd rule", rule);
    return 0;
}
