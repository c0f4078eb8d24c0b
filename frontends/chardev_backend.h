// SPDX-License-Identifier: MIT
// What the character back ends share: streams over file descriptors, and the mux.
// Private to frontends/; users of character devices see chardevs.h and hw/chardev.h.
#pragma once

#include "frontends/keyval.h"
#include "hw/chardev.h"

// --- a stream over one or two file descriptors
struct loop_watch;
struct chardev_fd {
    struct chardev base;
    int in_fd, out_fd; // -1: not connected (input never comes, output is dropped)
    struct loop_watch *in_watch, *out_watch;
    bool started;
    // The other side hung up (big lock held); may be NULL. The descriptors are still open.
    void (*hung_up)(struct chardev_fd *c);
    void (*on_close)(struct chardev_fd *c); // before the descriptors are closed; may be NULL
    void *opaque;                           // of the kind's own file
    bool keep_fds;                          // do not close them (0 and 1)
};
struct chardev_fd *chardev_fd_create(int in_fd, int out_fd); // NULL: out of memory
// Exchanges the descriptors (old ones are forgotten, not closed); watches them if started.
void chardev_fd_set(struct chardev_fd *c, int in_fd, int out_fd);
void chardev_fd_start(struct chardev *c); // input may come from now on

// --- one file per kind. kv holds the -chardev properties. 0 or -EINVAL.
int chardev_stdio_create(struct keyval *kv, struct chardev **out, struct err *e);
int chardev_pty_create(struct keyval *kv, struct chardev **out, struct err *e);
int chardev_socket_create(struct keyval *kv, struct chardev **out, struct err *e);
void chardev_stdio_reapply(void); // after SIGCONT: the terminal's raw mode again

// --- the mux: several front ends on one stream, Ctrl-A switches
struct chardev_mux;
struct chardev_mux *chardev_mux_create(struct chardev *real, void (*quit)(void *opaque), void *opaque);
struct chardev *chardev_mux_add(struct chardev_mux *m); // a new port; NULL: no more
void chardev_mux_destroy(struct chardev_mux *m);        // not the stream
// fn is called when this port gets the input (big lock held).
void chardev_mux_on_focus(struct chardev *port, void (*fn)(void *opaque), void *opaque);
