// SPDX-License-Identifier: MIT
// A character stream between a device (UART, debugcon, virtio console) and something on the host.
// The device is the front end; the back ends (stdio with its mux, file, pty, socket) live in frontends/.
#pragma once

#include "base/types.h"
#include "base/vectors.h"

struct chardev;
struct chardev_backend_ops {
    // Device -> host. Returns how many bytes were taken; fewer than len means "full": can_write comes later.
    size_t (*write)(struct chardev *c, const uint8_t *buf, size_t len);
    void (*close)(struct chardev *c);
    // The front end can take input again (its FIFO drained).
    void (*accept_input)(struct chardev *c);
};
struct chardev_frontend_ops {                                      // all called with the big lock held
    size_t (*can_receive)(void *opaque);                           // room for input now, bytes
    void (*receive)(void *opaque, const uint8_t *buf, size_t len); // host -> device
    void (*can_write)(void *opaque);                               // room for output again; may be NULL
    void (*break_received)(void *opaque);                          // may be NULL
    // Somebody is at the other end now, or left; may be NULL. Streams that are open from the start say so when input
    // may come; a mux's ports never do.
    void (*connected)(void *opaque, bool on);
};
struct chardev {
    const struct chardev_backend_ops *be;
    const struct chardev_frontend_ops *fe;
    void *fe_opaque;
    char id[32];
    bool terminal; // a person with a terminal may be at the other end
};
static inline size_t chardev_write(struct chardev *c, const uint8_t *buf, size_t len)
{
    vectors_save();
    return c && c->be ? c->be->write(c, buf, len) : len;
}
static inline void chardev_accept_input(struct chardev *c)
{
    if (!c || !c->be || !c->be->accept_input)
        return;
    vectors_save();
    c->be->accept_input(c);
}
