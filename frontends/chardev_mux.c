// SPDX-License-Identifier: MIT
// One stream shared by several front ends: all may write, one has the input, Ctrl-A c passes it on.
#include "frontends/chardev_backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MUX_PORTS = 4, MUX_BUFFER = 1 << 16, ESCAPE = 0x01 };

struct mux_port {
    struct chardev base;
    struct chardev_mux *mux;
    void (*focus)(void *opaque);
    void *focus_opaque;
};
struct chardev_mux {
    struct chardev *real;
    struct mux_port port[MUX_PORTS];
    unsigned count, focused;
    bool escaped;    // the last byte was Ctrl-A
    uint8_t *buffer; // input that the focused port cannot take yet
    size_t used;
    void (*quit)(void *opaque);
    void *quit_opaque;
};

// --- output

static size_t mux_write(struct chardev *c, const uint8_t *buf, size_t len)
{
    return chardev_write(CONTAINER_OF(c, struct mux_port, base)->mux->real, buf, len);
}

static void mux_can_write(void *opaque)
{
    struct chardev_mux *m = opaque;

    for (unsigned i = 0; i < m->count; i++)
        if (m->port[i].base.fe && m->port[i].base.fe->can_write)
            m->port[i].base.fe->can_write(m->port[i].base.fe_opaque);
}

static void mux_print(struct chardev_mux *m, const char *s) { chardev_write(m->real, (const uint8_t *)s, strlen(s)); }

// --- input

static void deliver(struct chardev_mux *m)
{
    struct chardev *c = &m->port[m->focused].base;

    while (m->used && c->fe) {
        size_t n = c->fe->can_receive(c->fe_opaque);

        if (!n)
            return;
        if (n > m->used)
            n = m->used;
        m->used -= n;
        // The front end may change the focus: take the bytes out of the buffer first.
        uint8_t bytes[256];
        if (n > sizeof(bytes)) {
            m->used += n - sizeof(bytes);
            n = sizeof(bytes);
        }
        memcpy(bytes, m->buffer, n);
        memmove(m->buffer, m->buffer + n, m->used);
        c->fe->receive(c->fe_opaque, bytes, n);
    }
}

static void queue_byte(struct chardev_mux *m, uint8_t byte)
{
    if (m->used < MUX_BUFFER)
        m->buffer[m->used++] = byte;
}

static void escape_command(struct chardev_mux *m, uint8_t byte)
{
    struct mux_port *p = &m->port[m->focused];

    switch (byte) {
    case ESCAPE: queue_byte(m, byte); break;
    case 'h':
    case '?':
        mux_print(m, "\r\nCtrl-A h    this help\r\nCtrl-A x    end the machine\r\n"
                     "Ctrl-A s    save disk data back (nothing is held back)\r\n"
                     "Ctrl-A b    send a break\r\nCtrl-A c    next of console and monitor\r\n"
                     "Ctrl-A Ctrl-A    send Ctrl-A\r\n");
        break;
    case 'x':
        mux_print(m, "\r\nring3: terminated\r\n");
        m->quit(m->quit_opaque);
        break;
    case 's': break;
    case 'b':
        deliver(m);
        if (p->base.fe && p->base.fe->break_received)
            p->base.fe->break_received(p->base.fe_opaque);
        break;
    case 'c':
        m->focused = (m->focused + 1) % m->count;
        m->used = 0;
        if (m->port[m->focused].focus)
            m->port[m->focused].focus(m->port[m->focused].focus_opaque);
        break;
    default: break;
    }
}

static size_t mux_can_receive(void *opaque)
{
    struct chardev_mux *m = opaque;

    return MUX_BUFFER - m->used;
}

static void mux_receive(void *opaque, const uint8_t *buf, size_t len)
{
    struct chardev_mux *m = opaque;

    for (size_t i = 0; i < len; i++) {
        if (m->escaped) {
            m->escaped = false;
            escape_command(m, buf[i]);
        } else if (buf[i] == ESCAPE) {
            deliver(m);
            m->escaped = true;
        } else {
            queue_byte(m, buf[i]);
        }
    }
    deliver(m);
}

static void mux_accept_input(struct chardev *c)
{
    struct mux_port *p = CONTAINER_OF(c, struct mux_port, base);

    if (p == &p->mux->port[p->mux->focused])
        deliver(p->mux);
    chardev_accept_input(p->mux->real);
}

// --- life

static const struct chardev_frontend_ops mux_fe_ops = {
    .can_receive = mux_can_receive,
    .receive = mux_receive,
    .can_write = mux_can_write,
};
static const struct chardev_backend_ops mux_be_ops = {
    .write = mux_write,
    .accept_input = mux_accept_input,
};

struct chardev_mux *chardev_mux_create(struct chardev *real, void (*quit)(void *opaque), void *opaque)
{
    struct chardev_mux *m = calloc(1, sizeof(*m));

    if (!m || !(m->buffer = malloc(MUX_BUFFER))) {
        free(m);
        return NULL;
    }
    m->real = real;
    m->quit = quit;
    m->quit_opaque = opaque;
    real->fe = &mux_fe_ops;
    real->fe_opaque = m;
    return m;
}

struct chardev *chardev_mux_add(struct chardev_mux *m)
{
    struct mux_port *p;

    if (m->count == MUX_PORTS)
        return NULL;
    p = &m->port[m->count++];
    p->mux = m;
    p->base.be = &mux_be_ops;
    memcpy(p->base.id, m->real->id, sizeof(p->base.id));
    p->base.terminal = m->real->terminal;
    return &p->base;
}

void chardev_mux_destroy(struct chardev_mux *m)
{
    if (!m)
        return;
    m->real->fe = NULL;
    free(m->buffer);
    free(m);
}

static bool is_mux_port(const struct chardev *c) { return c->be == &mux_be_ops; }

void chardev_mux_on_focus(struct chardev *port, void (*fn)(void *opaque), void *opaque)
{
    struct mux_port *p = CONTAINER_OF(port, struct mux_port, base);

    if (is_mux_port(port)) {
        p->focus = fn;
        p->focus_opaque = opaque;
    }
}
