// SPDX-License-Identifier: MIT
// What net_slirp.c and net_slirp_options.c share.
#pragma once

#include <libslirp.h>

#include "hw/net_slirp.h"

struct slirp_hostfwd {
    bool udp;
    struct in_addr host, guest;
    int host_port, guest_port;
};
// Both return 0, or -EINVAL with a message.
int slirp_options_config(const struct net_slirp_options *o, SlirpConfig *c, char err[160]);
int slirp_options_hostfwd(const char *rule, bool remove, struct slirp_hostfwd *f, char err[160]);
