// SPDX-License-Identifier: MIT
// A TCP or Unix socket as a character device, as client or as server for one peer at a time.
#include "frontends/chardev_backend.h"

#include "base/loop.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct server {
    int fd;
    struct loop_watch *watch;
    char path[108]; // of a Unix socket, unlinked at the end
    bool nodelay;
};

// Packets of a request-reply protocol go out at once.
static void set_nodelay(int fd, bool on)
{
    int one = 1;

    if (on)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void accept_peer(void *opaque, unsigned revents)
{
    struct chardev_fd *c = opaque;
    struct server *s = c->opaque;
    int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return;
    set_nodelay(fd, s->nodelay);
    loop_watch_set(s->watch, 0); // one at a time
    chardev_fd_set(c, fd, fd);
}

static void peer_hung_up(struct chardev_fd *c)
{
    struct server *s = c->opaque;
    int fd = c->in_fd;

    chardev_fd_set(c, -1, -1);
    close(fd);
    if (s && s->watch)
        loop_watch_set(s->watch, LOOP_READ);
}

static void socket_close(struct chardev_fd *c)
{
    struct server *s = c->opaque;

    if (!s)
        return;
    if (s->watch)
        loop_watch_free(s->watch);
    close(s->fd);
    if (*s->path)
        unlink(s->path);
    free(s);
}

static int open_unix(const char *path, bool server, struct err *e)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof(sun.sun_path))
        return err_set(e, "socket path '%.60s...' is too long", path);
    strcpy(sun.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && server)
        unlink(path);
    if (fd < 0 || (server ? bind(fd, (struct sockaddr *)&sun, sizeof(sun)) || listen(fd, 1)
                          : connect(fd, (struct sockaddr *)&sun, sizeof(sun)))) {
        err_set(e, "socket %.100s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -EINVAL;
    }
    return fd;
}

static int open_tcp(const char *host, const char *port, bool server, struct err *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = server ? AI_PASSIVE : 0}, *list;
    int fd = -1, ret, one = 1;

    if (!host || !*host)
        host = server ? NULL : "127.0.0.1";
    ret = getaddrinfo(host, port, &hints, &list);
    if (ret)
        return err_set(e, "socket %.60s:%.20s: %s", host ? host : "", port, gai_strerror(ret));
    for (struct addrinfo *a = list; a; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (fd < 0)
            continue;
        if (server)
            setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (server ? !bind(fd, a->ai_addr, a->ai_addrlen) && !listen(fd, 1) : !connect(fd, a->ai_addr, a->ai_addrlen))
            break;
        close(fd);
        fd = -1;
    }
    if (fd < 0)
        err_set(e, "socket %.60s:%.20s: %s", host ? host : "", port, strerror(errno));
    freeaddrinfo(list);
    return fd < 0 ? -EINVAL : fd;
}

int chardev_socket_create(struct keyval *kv, struct chardev **out, struct err *e)
{
    const char *path = keyval_get(kv, "path"), *host = keyval_get(kv, "host"), *port = keyval_get(kv, "port");
    bool server = false, wait = true, nowait = false, nodelay = false;
    struct server *s = NULL;
    struct chardev_fd *c;
    int fd;

    if (keyval_get_bool(kv, "server", &server, e) || keyval_get_bool(kv, "wait", &wait, e) ||
        keyval_get_bool(kv, "nowait", &nowait, e) || keyval_get_bool(kv, "nodelay", &nodelay, e))
        return -EINVAL;
    if (!path && !port)
        return err_set(e, "a socket needs path= or host= and port=");
    fd = path ? open_unix(path, server, e) : open_tcp(host, port, server, e);
    if (fd < 0)
        return -EINVAL;
    if (server) {
        s = calloc(1, sizeof(*s));
        if (!s) {
            close(fd);
            return err_set(e, "out of memory");
        }
        s->fd = fd;
        s->nodelay = nodelay && !path;
        if (path)
            strncpy(s->path, path, sizeof(s->path) - 1);
        fd = -1;
        if (wait && !nowait) {
            fprintf(stderr, "ring3: waiting for a connection on %s\n", path ? path : port);
            fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
        }
    }
    if (fd >= 0)
        set_nodelay(fd, nodelay && !path);
    c = chardev_fd_create(fd, fd);
    if (!c) {
        if (s) {
            close(s->fd);
            free(s);
        }
        if (fd >= 0)
            close(fd);
        return err_set(e, "out of memory");
    }
    c->opaque = s;
    c->hung_up = peer_hung_up;
    c->on_close = socket_close;
    if (s)
        s->watch = loop_watch_new(s->fd, fd < 0 ? LOOP_READ : 0, accept_peer, c);
    *out = &c->base;
    return 0;
}
