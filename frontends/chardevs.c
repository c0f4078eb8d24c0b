// SPDX-License-Identifier: MIT
// The list of character devices: which back end a specification names, and who is connected to it.
#include "frontends/chardevs.h"

#include "frontends/chardev_backend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_STREAMS = 24 };

struct stream {
    struct chardev *chr;
    struct chardev_mux *mux;
    const char *kind;
    bool taken;
};
struct chardevs {
    struct stream stream[MAX_STREAMS];
    unsigned count;
    void (*quit)(void *opaque);
    void *quit_opaque;
};

// --- the small kinds

static size_t null_write(struct chardev *c, const uint8_t *buf, size_t len) { return len; }
static void null_close(struct chardev *c) { free(c); }

static int null_create(struct keyval *kv, struct chardev **out, struct err *e)
{
    static const struct chardev_backend_ops ops = {.write = null_write, .close = null_close};

    *out = calloc(1, sizeof(**out));
    if (!*out)
        return err_set(e, "out of memory");
    (*out)->be = &ops;
    return 0;
}

static int file_create(struct keyval *kv, struct chardev **out, struct err *e)
{
    const char *path = keyval_get(kv, "path");
    struct chardev_fd *c;
    bool append = false;
    int fd;

    if (!path)
        return err_set(e, "a file needs path=");
    if (keyval_get_bool(kv, "append", &append, e))
        return -EINVAL;
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (append ? O_APPEND : O_TRUNC), 0666);
    if (fd < 0)
        return err_set(e, "%.150s: %s", path, strerror(errno));
    c = chardev_fd_create(-1, fd);
    if (!c) {
        close(fd);
        return err_set(e, "out of memory");
    }
    *out = &c->base;
    return 0;
}

static const struct {
    const char *name;
    int (*create)(struct keyval *kv, struct chardev **out, struct err *e);
} backends[] = {
    {"stdio", chardev_stdio_create},   {"file", file_create}, {"pty", chardev_pty_create}, {"null", null_create},
    {"socket", chardev_socket_create},
};

// --- the list

static int open_stream(struct chardevs *r, struct keyval *kv, struct stream **out, struct err *e)
{
    const char *kind = keyval_get(kv, "backend"), *id = keyval_get(kv, "id");
    struct stream *s = &r->stream[r->count];
    bool mux = false;
    unsigned i;

    if (r->count == MAX_STREAMS)
        return err_set(e, "too many character devices");
    for (i = 0; i < ARRAY_SIZE(backends) && strcmp(backends[i].name, kind ? kind : ""); i++)
        continue;
    if (i == ARRAY_SIZE(backends))
        return err_set(e, "there is no character device '%.60s' (there are stdio, file, pty, null, socket)",
                       kind ? kind : "");
    for (unsigned j = 0; id && j < r->count; j++)
        if (!strcmp(r->stream[j].chr->id, id))
            return err_set(e, "-chardev: id '%.40s' is used twice", id);
    if (keyval_get_bool(kv, "mux", &mux, e) || backends[i].create(kv, &s->chr, e))
        return -EINVAL;
    snprintf(s->chr->id, sizeof(s->chr->id), "%s", id ? id : "");
    s->kind = backends[i].name;
    r->count++;
    if (mux && !(s->mux = chardev_mux_create(s->chr, r->quit, r->quit_opaque)))
        return err_set(e, "out of memory");
    *out = s;
    return keyval_check_used(kv, kind, e);
}

// Gives the stream (or a port of its mux) to one front end.
static int take(struct stream *s, struct chardev **out, struct err *e)
{
    if (s->mux) {
        *out = chardev_mux_add(s->mux);
        return *out ? 0 : err_set(e, "too many users of one mux");
    }
    if (s->taken)
        return err_set(e, "character device '%.40s' is used twice (mux=on would share it)", s->chr->id);
    s->taken = true;
    *out = s->chr;
    return 0;
}

int chardevs_create(struct config *cfg, void (*quit)(void *opaque), void *opaque, struct chardevs **out, struct err *e)
{
    struct chardevs *r = calloc(1, sizeof(*r));
    struct stream *s;

    if (!r)
        return err_set(e, "out of memory");
    r->quit = quit;
    r->quit_opaque = opaque;
    for (unsigned i = 0; i < cfg->chardev_count; i++) {
        int ret = keyval_get(&cfg->chardevs[i], "id") ? open_stream(r, &cfg->chardevs[i], &s, e)
                                                      : err_set(e, "-chardev: id= is missing");
        if (ret) {
            chardevs_destroy(r);
            return -EINVAL;
        }
    }
    *out = r;
    return 0;
}

int chardevs_find(struct chardevs *r, const char *id, struct chardev **out, struct err *e)
{
    for (unsigned i = 0; i < r->count; i++)
        if (*id && !strcmp(r->stream[i].chr->id, id))
            return take(&r->stream[i], out, e);
    return err_set(e, "there is no -chardev with id '%.40s'", id);
}

// Turns a short form into -chardev properties: "file:PATH" -> "file,path=PATH".
static int expand(const char *spec, char *out, size_t size, struct err *e)
{
    const char *rest = strchr(spec, ':');
    int n;

    if (!strncmp(spec, "file:", 5)) {
        n = snprintf(out, size, "file,path=%s", rest + 1);
    } else if (!strncmp(spec, "unix:", 5)) {
        n = snprintf(out, size, "socket,path=%s", rest + 1);
    } else if (!strncmp(spec, "tcp:", 4)) {
        const char *port = strchr(rest + 1, ':');
        if (!port)
            return err_set(e, "'%.80s': expected tcp:HOST:PORT", spec);
        n = snprintf(out, size, "socket,host=%.*s,port=%s", (int)(port - rest - 1), rest + 1, port + 1);
    } else {
        n = snprintf(out, size, "%s", spec);
    }
    return n < 0 || (size_t)n >= size ? err_set(e, "'%.80s...' is too long", spec) : 0;
}

int chardevs_open(struct chardevs *r, const char *spec, struct chardev **out, struct chardev **monitor, struct err *e)
{
    bool mon = !strncmp(spec, "mon:", 4);
    char text[512];
    struct keyval kv;
    struct stream *s;
    int ret;

    *out = NULL;
    if (!strcmp(spec, "none"))
        return 0;
    if (!strncmp(spec, "chardev:", 8))
        return chardevs_find(r, spec + 8, out, e);
    if (mon)
        spec += 4;
    if (expand(spec, text, sizeof(text), e) || keyval_parse(&kv, text, "backend", e))
        return -EINVAL;
    if (mon) {
        keyval_add(&kv, "mux", "on");
        if (!strcmp(spec, "stdio"))
            keyval_add(&kv, "signal", "off");
    }
    ret = open_stream(r, &kv, &s, e);
    keyval_free(&kv);
    if (ret)
        return ret;
    snprintf(s->chr->id, sizeof(s->chr->id), "compat%u", r->count - 1);
    if (take(s, out, e))
        return -EINVAL;
    return mon && monitor ? take(s, monitor, e) : 0;
}

void chardevs_start(struct chardevs *r)
{
    for (unsigned i = 0; i < r->count; i++)
        chardev_fd_start(r->stream[i].chr);
}

bool chardevs_have_sockets(struct chardevs *r)
{
    for (unsigned i = 0; i < r->count; i++)
        if (!strcmp(r->stream[i].kind, "socket"))
            return true;
    return false;
}

void chardevs_for_each(struct chardevs *r, void (*fn)(void *opaque, const char *id, const char *kind, bool open),
                       void *opaque)
{
    for (unsigned i = 0; i < r->count; i++)
        fn(opaque, r->stream[i].chr->id, r->stream[i].kind, r->stream[i].mux || r->stream[i].taken);
}

void chardevs_destroy(struct chardevs *r)
{
    if (!r)
        return;
    for (unsigned i = 0; i < r->count; i++) {
        chardev_mux_destroy(r->stream[i].mux);
        r->stream[i].chr->be->close(r->stream[i].chr);
    }
    free(r);
}
