// SPDX-License-Identifier: MIT
// Receive merging: consecutive TCP segments of one flow become one large frame, for guests that take those.
#pragma once

#include "hw/net.h"

struct net_gro;
typedef void net_gro_deliver(void *opaque, const uint8_t *frame, size_t len, const struct net_offload *o);

struct net_gro *net_gro_new(net_gro_deliver *deliver, void *opaque); // NULL if out of memory
void net_gro_free(struct net_gro *g);
// Takes a finished frame. It is delivered now or, merged with others, at the latest by net_gro_flush.
// caps: NET_CAP_* of the guest; without CSUM and TSO4 every frame goes straight through.
void net_gro_add(struct net_gro *g, const uint8_t *frame, size_t len, unsigned caps);
void net_gro_flush(struct net_gro *g);
