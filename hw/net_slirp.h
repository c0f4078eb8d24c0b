// SPDX-License-Identifier: MIT
// -netdev user: the guest's packets become this process's own sockets, by libslirp.
#pragma once

#include "hw/net.h"

// Strings are as on the command line; NULL is QEMU's default (in brackets).
struct net_slirp_options {
    const char *id;
    const char *net;       // [10.0.2.0/24] addr, addr/bits or addr/mask
    const char *host;      // [x.x.x.2]
    const char *dhcpstart; // [x.x.x.15]
    const char *dns;       // [x.x.x.3]
    const char *hostname;  // client hostname reported by DHCP
    const char *domainname;
    const char *tftp; // directory to serve
    const char *bootfile;
    const char *tftp_server_name;
    const char *ipv6_prefix; // [fec0::]
    unsigned ipv6_prefixlen; // [64]
    const char *ipv6_host, *ipv6_dns;
    bool no_ipv4, no_ipv6;
    bool restricted;              // restrict=on: no way out of the virtual net
    const char *const *hostfwd;   // each "[tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport"; NULL-terminated
    const char *const *dnssearch; // NULL-terminated
};
// On an error returns -errno and a message for the user in err.
int net_slirp_create(const struct net_slirp_options *o, struct netdev **out, char err[160]);
// The monitor's hostfwd_add and hostfwd_remove; 0 or -errno.
int net_slirp_hostfwd_add(struct netdev *n, const char *rule, char err[160]);
int net_slirp_hostfwd_remove(struct netdev *n, const char *rule, char err[160]);
char *net_slirp_info(struct netdev *n); // `info usernet`; free() it
