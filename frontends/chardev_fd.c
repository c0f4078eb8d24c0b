// SPDX-License-Identifier: MIT
// A character device over file descriptors, driven by the I/O thread; never blocks on output.
#include "frontends/chardev_backend.h"

#include "base/loop.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

enum { CHUNK = 4096 }; // PIPE_BUF: what a writable pipe is sure to take

static bool can_write_now(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    return poll(&p, 1, 0) == 1;
}

static size_t fd_write(struct chardev *chr, const uint8_t *buf, size_t len)
{
    struct chardev_fd *c = CONTAINER_OF(chr, struct chardev_fd, base);
    size_t done = 0;

    if (c->out_fd < 0)
        return len;
    while (done < len) {
        ssize_t n;

        if (!can_write_now(c->out_fd))
            break;
        n = write(c->out_fd, buf + done, len - done < CHUNK ? len - done : CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            return len; // nobody reads any more: as if it were written
        done += (size_t)n;
    }
    if (done < len && c->out_watch)
        loop_watch_set(c->out_watch, LOOP_WRITE);
    return c->out_watch ? done : len;
}

static void fd_writable(void *opaque, unsigned revents)
{
    struct chardev_fd *c = opaque;

    loop_watch_set(c->out_watch, 0);
    if (c->base.fe && c->base.fe->can_write)
        c->base.fe->can_write(c->base.fe_opaque);
}

static void fd_readable(void *opaque, unsigned revents)
{
    struct chardev_fd *c = opaque;
    uint8_t buf[CHUNK];
    size_t room = c->base.fe ? c->base.fe->can_receive(c->base.fe_opaque) : 0;
    ssize_t n;

    if (!room) { // until accept_input
        loop_watch_set(c->in_watch, 0);
        return;
    }
    n = read(c->in_fd, buf, room < sizeof(buf) ? room : sizeof(buf));
    if (n > 0) {
        c->base.fe->receive(c->base.fe_opaque, buf, (size_t)n);
    } else if (!n || (errno != EINTR && errno != EAGAIN)) {
        loop_watch_set(c->in_watch, 0);
        if (c->hung_up)
            c->hung_up(c);
        else
            c->in_fd = c->keep_fds || c->in_fd == c->out_fd ? -1 : c->in_fd;
    }
}

static void fd_accept_input(struct chardev *chr)
{
    struct chardev_fd *c = CONTAINER_OF(chr, struct chardev_fd, base);

    if (c->in_watch && c->in_fd >= 0)
        loop_watch_set(c->in_watch, LOOP_READ);
}

static void drop_watches(struct chardev_fd *c)
{
    if (c->in_watch)
        loop_watch_free(c->in_watch);
    if (c->out_watch)
        loop_watch_free(c->out_watch);
    c->in_watch = c->out_watch = NULL;
}

static void add_watches(struct chardev_fd *c)
{
    if (c->in_fd >= 0)
        c->in_watch = loop_watch_new(c->in_fd, LOOP_READ, fd_readable, c);
    if (c->out_fd >= 0)
        c->out_watch = loop_watch_new(c->out_fd, 0, fd_writable, c);
}

static void fd_close(struct chardev *chr)
{
    struct chardev_fd *c = CONTAINER_OF(chr, struct chardev_fd, base);

    drop_watches(c);
    if (c->on_close)
        c->on_close(c);
    if (!c->keep_fds) {
        if (c->in_fd >= 0)
            close(c->in_fd);
        if (c->out_fd >= 0 && c->out_fd != c->in_fd)
            close(c->out_fd);
    }
    free(c);
}

static const struct chardev_backend_ops fd_ops = {
    .write = fd_write,
    .close = fd_close,
    .accept_input = fd_accept_input,
};

struct chardev_fd *chardev_fd_create(int in_fd, int out_fd)
{
    struct chardev_fd *c = calloc(1, sizeof(*c));

    if (c) {
        c->base.be = &fd_ops;
        c->in_fd = in_fd;
        c->out_fd = out_fd;
    }
    return c;
}

static void tell_connected(struct chardev_fd *c, bool on)
{
    if (c->base.fe && c->base.fe->connected)
        c->base.fe->connected(c->base.fe_opaque, on);
}

void chardev_fd_set(struct chardev_fd *c, int in_fd, int out_fd)
{
    drop_watches(c);
    c->in_fd = in_fd;
    c->out_fd = out_fd;
    if (!c->started)
        return;
    add_watches(c);
    tell_connected(c, in_fd >= 0);
    if (out_fd >= 0 && c->base.fe && c->base.fe->can_write)
        c->base.fe->can_write(c->base.fe_opaque);
}

void chardev_fd_start(struct chardev *chr)
{
    struct chardev_fd *c = CONTAINER_OF(chr, struct chardev_fd, base);

    if (chr->be != &fd_ops || c->started)
        return;
    c->started = true;
    add_watches(c);
    if (c->in_fd >= 0)
        tell_connected(c, true);
}
