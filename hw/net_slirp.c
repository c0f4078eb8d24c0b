// SPDX-License-Identifier: MIT
// -netdev user over libslirp: the only file that runs it.
//
// libslirp wants to fill somebody's poll set, have it polled, and be told the results. We keep its sockets in an
// epoll instance that the I/O thread watches as one descriptor: after anything that may change the set
// (service, a batch of frames from the guest) sync_poll() brings epoll in line with it. When epoll has
// something to say, service() hands it over. Nothing runs per socket while nothing happens.
//
// Frames for a guest that has no receive buffer wait in a bounded queue; past the bound they are dropped, as
// a switch would.
#include "hw/net_slirp_internal.h"

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "hw/net_gro.h"

enum { RX_QUEUE_BYTES = 1 << 20, EVENTS_AT_ONCE = 64 };

struct rx_frame { // waits for the guest
    struct rx_frame *next;
    size_t len;
    bool has_offload;
    struct net_offload offload;
    uint8_t data[];
};

struct poll_entry { // one line of libslirp's poll set; its index is the idx that libslirp knows
    int fd;
    int revents;
};

struct net_slirp {
    struct netdev netdev;
    Slirp *slirp;
    int epoll_fd;
    struct loop_watch *watch;
    struct loop_timer *timer;
    struct poll_entry *poll; // the set of the last sync_poll
    unsigned poll_count, poll_cap;
    uint32_t *fd_generation; // by fd: the sync that last had it
    unsigned fd_cap;
    uint32_t generation;
    struct net_gro *gro;
    struct rx_frame *rx_head, **rx_tail;
    size_t rx_bytes;
    bool received; // something went to the front end since the last receive_done
    bool busy;     // inside libslirp: do not enter it again
    uint8_t tx[NET_MAX_FRAME];
};

struct slirp_timer {
    struct loop_timer *timer;
    SlirpTimerCb cb;
    void *opaque;
    struct net_slirp *ns;
};

// --- host -> guest

static bool offer(struct net_slirp *ns, const uint8_t *frame, size_t len, const struct net_offload *o)
{
    const struct net_frontend_ops *fe = ns->netdev.fe;
    if (!fe || !ns->netdev.link_up)
        return true; // nobody there: consumed
    if (!fe->can_receive(ns->netdev.fe_opaque) || !fe->receive(ns->netdev.fe_opaque, frame, len, o))
        return false;
    ns->received = true;
    ns->netdev.rx_frames++;
    ns->netdev.rx_bytes += len;
    return true;
}

static void enqueue(struct net_slirp *ns, const uint8_t *frame, size_t len, const struct net_offload *o)
{
    struct rx_frame *f = ns->rx_bytes + len > RX_QUEUE_BYTES ? NULL : malloc(sizeof(*f) + len);
    if (!f) {
        ns->netdev.dropped++;
        return;
    }
    *f = (struct rx_frame){.len = len, .has_offload = o != NULL};
    if (o)
        f->offload = *o;
    memcpy(f->data, frame, len);
    *ns->rx_tail = f;
    ns->rx_tail = &f->next;
    ns->rx_bytes += len;
}

static void deliver(void *opaque, const uint8_t *frame, size_t len, const struct net_offload *o)
{
    struct net_slirp *ns = opaque;
    if (ns->rx_head || !offer(ns, frame, len, o))
        enqueue(ns, frame, len, o);
}

static void drain_queue(struct net_slirp *ns)
{
    struct rx_frame *f;
    while ((f = ns->rx_head) && offer(ns, f->data, f->len, f->has_offload ? &f->offload : NULL)) {
        ns->rx_head = f->next;
        if (!ns->rx_head)
            ns->rx_tail = &ns->rx_head;
        ns->rx_bytes -= f->len;
        free(f);
    }
}

static void signal_guest(struct net_slirp *ns)
{
    if (ns->received && ns->netdev.fe && ns->netdev.fe->receive_done)
        ns->netdev.fe->receive_done(ns->netdev.fe_opaque);
    ns->received = false;
}

// --- polling

static uint32_t to_epoll(int events)
{
    return (events & SLIRP_POLL_IN ? (uint32_t)EPOLLIN : 0) | (events & SLIRP_POLL_OUT ? (uint32_t)EPOLLOUT : 0) |
           (events & SLIRP_POLL_PRI ? (uint32_t)EPOLLPRI : 0);
}

static int from_epoll(uint32_t e)
{
    return (e & EPOLLIN ? SLIRP_POLL_IN : 0) | (e & EPOLLOUT ? SLIRP_POLL_OUT : 0) |
           (e & EPOLLPRI ? SLIRP_POLL_PRI : 0) | (e & EPOLLERR ? SLIRP_POLL_ERR : 0) |
           (e & EPOLLHUP ? SLIRP_POLL_HUP : 0);
}

static bool note_fd(struct net_slirp *ns, int fd)
{
    if ((unsigned)fd >= ns->fd_cap) {
        unsigned cap = (unsigned)fd + 64;
        uint32_t *grown = realloc(ns->fd_generation, cap * sizeof(*grown));
        if (!grown)
            return false;
        memset(grown + ns->fd_cap, 0, (cap - ns->fd_cap) * sizeof(*grown));
        ns->fd_generation = grown;
        ns->fd_cap = cap;
    }
    ns->fd_generation[fd] = ns->generation;
    return true;
}

static int add_poll(int fd, int events, void *opaque)
{
    struct net_slirp *ns = opaque;
    if (fd < 0)
        return -1;
    if (ns->poll_count == ns->poll_cap) {
        unsigned cap = ns->poll_cap ? ns->poll_cap * 2 : 32;
        struct poll_entry *grown = realloc(ns->poll, cap * sizeof(*grown));
        if (!grown)
            return -1;
        ns->poll = grown;
        ns->poll_cap = cap;
    }
    if (!note_fd(ns, fd))
        return -1;
    struct epoll_event e = {.events = to_epoll(events), .data.u32 = ns->poll_count};
    // Always set, never assumed: libslirp may have closed and reopened a socket under the same number.
    if (epoll_ctl(ns->epoll_fd, EPOLL_CTL_MOD, fd, &e) && errno == ENOENT)
        epoll_ctl(ns->epoll_fd, EPOLL_CTL_ADD, fd, &e);
    ns->poll[ns->poll_count] = (struct poll_entry){.fd = fd};
    return (int)ns->poll_count++;
}

static int get_revents(int idx, void *opaque)
{
    struct net_slirp *ns = opaque;
    return idx >= 0 && (unsigned)idx < ns->poll_count ? ns->poll[idx].revents : 0;
}

// Brings epoll in line with what libslirp waits for now, and the timer with its timeout.
static void sync_poll(struct net_slirp *ns)
{
    uint32_t timeout = UINT32_MAX;
    ns->generation++;
    ns->poll_count = 0;
    slirp_pollfds_fill(ns->slirp, &timeout, add_poll, ns);
    for (unsigned fd = 0; fd < ns->fd_cap; fd++)
        if (ns->fd_generation[fd] && ns->fd_generation[fd] != ns->generation) {
            epoll_ctl(ns->epoll_fd, EPOLL_CTL_DEL, (int)fd, NULL);
            ns->fd_generation[fd] = 0;
        }
    if (timeout == UINT32_MAX)
        loop_timer_del(ns->timer);
    else
        loop_timer_mod(ns->timer, clock_now_ns() + timeout * 1000000ull);
}

static void service(struct net_slirp *ns)
{
    struct epoll_event e[EVENTS_AT_ONCE];
    ns->busy = true;
    sync_poll(ns); // libslirp's indices must be those of the set that the events refer to
    int n = epoll_wait(ns->epoll_fd, e, EVENTS_AT_ONCE, 0);
    for (int i = 0; i < n; i++)
        if (e[i].data.u32 < ns->poll_count)
            ns->poll[e[i].data.u32].revents = from_epoll(e[i].events);
    slirp_pollfds_poll(ns->slirp, n < 0, get_revents, ns);
    net_gro_flush(ns->gro);
    sync_poll(ns);
    ns->busy = false;
    signal_guest(ns);
}

static void on_event(void *opaque, unsigned revents) { service(opaque); }
static void on_timer(void *opaque) { service(opaque); }

// --- libslirp's callbacks

static ssize_t cb_send_packet(const void *buf, size_t len, void *opaque)
{
    struct net_slirp *ns = opaque;
    net_gro_add(ns->gro, buf, len, ns->netdev.fe_caps);
    return (ssize_t)len;
}

static void cb_guest_error(const char *msg, void *opaque) { log_printf(LOG_guest_errors, "slirp: %s\n", msg); }

static int64_t cb_clock(void *opaque) { return (int64_t)clock_now_ns(); }

static void slirp_timer_fired(void *opaque)
{
    struct slirp_timer *t = opaque;
    t->cb(t->opaque);
    net_gro_flush(t->ns->gro);
    signal_guest(t->ns);
}

static void *cb_timer_new(SlirpTimerCb cb, void *cb_opaque, void *opaque)
{
    struct slirp_timer *t = calloc(1, sizeof(*t));
    if (!t)
        abort(); // at set-up only; libslirp takes no NULL
    *t = (struct slirp_timer){.cb = cb, .opaque = cb_opaque, .ns = opaque};
    t->timer = loop_timer_new(slirp_timer_fired, t);
    return t;
}

static void cb_timer_free(void *timer, void *opaque)
{
    struct slirp_timer *t = timer;
    loop_timer_free(t->timer);
    free(t);
}

static void cb_timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
    struct slirp_timer *t = timer;
    loop_timer_mod(t->timer, (uint64_t)expire_ms * 1000000);
}

static void cb_register(int fd, void *opaque) {}

static void cb_unregister(int fd, void *opaque)
{
    struct net_slirp *ns = opaque;
    if (fd >= 0 && (unsigned)fd < ns->fd_cap && ns->fd_generation[fd]) {
        epoll_ctl(ns->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        ns->fd_generation[fd] = 0;
    }
}

static void cb_notify(void *opaque) {}

static const SlirpCb callbacks = {
    .send_packet = cb_send_packet,
    .guest_error = cb_guest_error,
    .clock_get_ns = cb_clock,
    .timer_new = cb_timer_new,
    .timer_free = cb_timer_free,
    .timer_mod = cb_timer_mod,
    .register_poll_fd = cb_register,
    .unregister_poll_fd = cb_unregister,
    .notify = cb_notify,
};

// --- struct netdev

static void send_frame(struct netdev *n, const struct iovec *iov, unsigned iovcnt, const struct net_offload *o)
{
    struct net_slirp *ns = CONTAINER_OF(n, struct net_slirp, netdev);
    size_t len = 0;
    for (unsigned i = 0; i < iovcnt; i++) {
        if (iov[i].iov_len > sizeof(ns->tx) - len) {
            n->dropped++;
            return;
        }
        memcpy(ns->tx + len, iov[i].iov_base, iov[i].iov_len);
        len += iov[i].iov_len;
    }
    if (ns->busy) {
        n->dropped++;
        return;
    }
    net_finish_csum(ns->tx, len, o);
    ns->busy = true;
    slirp_input(ns->slirp, ns->tx, (int)len);
    ns->busy = false;
}

static void flush(struct netdev *n)
{
    struct net_slirp *ns = CONTAINER_OF(n, struct net_slirp, netdev);
    if (ns->busy)
        return;
    net_gro_flush(ns->gro);
    sync_poll(ns);
    signal_guest(ns);
}

static void rx_ready(struct netdev *n)
{
    struct net_slirp *ns = CONTAINER_OF(n, struct net_slirp, netdev);
    drain_queue(ns);
    if (!ns->busy)
        signal_guest(ns);
}

static void destroy(struct netdev *n)
{
    struct net_slirp *ns = CONTAINER_OF(n, struct net_slirp, netdev);
    if (ns->watch)
        loop_watch_free(ns->watch);
    if (ns->slirp)
        slirp_cleanup(ns->slirp);
    if (ns->timer)
        loop_timer_free(ns->timer);
    if (ns->epoll_fd >= 0)
        close(ns->epoll_fd);
    while (ns->rx_head) {
        struct rx_frame *f = ns->rx_head;
        ns->rx_head = f->next;
        free(f);
    }
    net_gro_free(ns->gro);
    free(ns->poll);
    free(ns->fd_generation);
    free(ns);
}

static const struct netdev_ops slirp_netdev_ops = {
    .send = send_frame,
    .flush = flush,
    .rx_ready = rx_ready,
    .destroy = destroy,
};

int net_slirp_hostfwd_add(struct netdev *n, const char *rule, char err[160])
{
    struct net_slirp *ns = CONTAINER_OF(n, struct net_slirp, netdev);
    struct slirp_hostfwd f;
    int ret = slirp_options_hostfwd(rule, false, &f, err);
    if (ret)
        return ret;
    if (slirp_add_hostfwd(ns->slirp, f.udp, f.host, f.host_port, f.guest, f.guest_port) < 0) {
        snprintf(err, 160, "could not set up host forwarding rule '%.80s': %s", rule, strerror(errno));
        return -EADDRINUSE;
    }
    sync_poll(ns);
    return 0;
}

int net_slirp_hostfwd_remove(struct netdev *n, const char *rule, char err[160])
{
    struct net_slirp *ns = CONTAINER_OF(n, struct net_slirp, netdev);
    struct slirp_hostfwd f;
    int ret = slirp_options_hostfwd(rule, true, &f, err);
    if (ret)
        return ret;
    if (slirp_remove_hostfwd(ns->slirp, f.udp, f.host, f.host_port)) {
        snprintf(err, 160, "no host forwarding rule '%.80s'", rule);
        return -ENOENT;
    }
    sync_poll(ns);
    return 0;
}

char *net_slirp_info(struct netdev *n)
{
    struct net_slirp *ns = CONTAINER_OF(n, struct net_slirp, netdev);
    char *text = slirp_connection_info(ns->slirp), *copy = text ? strdup(text) : NULL;
    g_free(text); // libslirp allocates with GLib
    return copy;
}

int net_slirp_create(const struct net_slirp_options *o, struct netdev **out, char err[160])
{
    SlirpConfig config;
    int ret = slirp_options_config(o, &config, err);
    if (ret)
        return ret;
    struct net_slirp *ns = calloc(1, sizeof(*ns));
    if (!ns)
        return -ENOMEM;
    ns->netdev.ops = &slirp_netdev_ops;
    // No TSO6: libslirp refuses IPv6 packets over its MTU.
    ns->netdev.caps = NET_CAP_CSUM | NET_CAP_TSO4;
    ns->netdev.link_up = true;
    snprintf(ns->netdev.id, sizeof(ns->netdev.id), "%s", o->id ? o->id : "user");
    ns->rx_tail = &ns->rx_head;
    snprintf(err, 160, "netdev user: out of memory or descriptors");
    ret = -ENOMEM;
    ns->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    ns->timer = loop_timer_new(on_timer, ns);
    ns->gro = net_gro_new(deliver, ns);
    if (ns->epoll_fd < 0 || !ns->timer || !ns->gro)
        goto fail;
    signal(SIGPIPE, SIG_IGN); // libslirp writes to sockets that peers close
    ns->slirp = slirp_new(&config, &callbacks, ns);
    ns->watch = loop_watch_new(ns->epoll_fd, LOOP_READ, on_event, ns);
    if (!ns->slirp || !ns->watch)
        goto fail;
    sync_poll(ns);
    for (const char *const *rule = o->hostfwd; rule && *rule; rule++)
        if ((ret = net_slirp_hostfwd_add(&ns->netdev, *rule, err)))
            goto fail;
    *out = &ns->netdev;
    return 0;
fail:
    destroy(&ns->netdev);
    return ret;
}
