// SPDX-License-Identifier: MIT
// A monitor on a character device: its output, and its input line by line. Terminals get monitor_edit.c's
// editor; sockets, which programs write to, one that knows erasing only.
#include "frontends/monitor_internal.h"

#include "frontends/chardev_backend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { OUTPUT_MAX = 1 << 20 };

struct monitor_console {
    struct monitor mon;
    struct chardev *chr;
    struct monitor_edit *edit; // NULL: the simple editor
    char line[MONITOR_LINE_MAX];
    size_t used;
    char *output; // what the stream could not take yet
    size_t output_used;
    bool greeted, running;
};

// --- output

static void flush_output(void *opaque)
{
    struct monitor_console *mc = opaque;
    size_t n = chardev_write(mc->chr, (const uint8_t *)mc->output, mc->output_used);

    mc->output_used -= n;
    memmove(mc->output, mc->output + n, mc->output_used);
}

static void append(struct monitor_console *mc, const char *s, size_t len)
{
    char *bigger;

    if (!len || mc->output_used + len > OUTPUT_MAX)
        return; // nobody reads it
    bigger = realloc(mc->output, mc->output_used + len);
    if (!bigger)
        return;
    mc->output = bigger;
    memcpy(mc->output + mc->output_used, s, len);
    mc->output_used += len;
}

// A raw terminal wants CR LF.
static void console_put(void *opaque, const char *text, size_t len)
{
    struct monitor_console *mc = opaque;

    while (len) {
        const char *nl = memchr(text, '\n', len);
        size_t n = nl ? (size_t)(nl - text) : len;

        append(mc, text, n);
        if (nl)
            append(mc, "\r\n", 2);
        text += n + (nl != NULL);
        len -= n + (nl != NULL);
    }
    if (!mc->running) // a command's output goes out in one piece
        flush_output(mc);
}

// --- the simple editor

static void prompt(struct monitor_console *mc) { monitor_printf(&mc->mon, "(ring3) %.*s", (int)mc->used, mc->line); }

static void run_line(struct monitor_console *mc)
{
    monitor_printf(&mc->mon, "\n");
    mc->line[mc->used] = 0;
    mc->used = 0;
    mc->running = true;
    monitor_run(&mc->mon, mc->line);
    mc->running = false;
    prompt(mc);
}

static void erase(struct monitor_console *mc, size_t count)
{
    for (; mc->used && count; mc->used--, count--)
        monitor_printf(&mc->mon, "\b \b");
}

static void take_byte(struct monitor_console *mc, uint8_t byte)
{
    switch (byte) {
    case '\r':
    case '\n': run_line(mc); break;
    case 0x7f:
    case '\b': erase(mc, 1); break;
    case 0x15: // Ctrl-U
    case 0x03: // Ctrl-C
        erase(mc, mc->used);
        break;
    default:
        if (byte >= ' ' && byte < 0x7f && mc->used < sizeof(mc->line) - 1) {
            mc->line[mc->used++] = (char)byte;
            monitor_printf(&mc->mon, "%c", byte);
        }
    }
}

// --- the stream

static void greet(void *opaque)
{
    struct monitor_console *mc = opaque;

    monitor_printf(&mc->mon, mc->greeted ? "\n" : "\nring3 monitor - type 'help' for more information\n");
    if (mc->edit && !mc->greeted) {
        if (!monitor_edit_start(mc->edit)) {
            monitor_edit_destroy(mc->edit);
            mc->edit = NULL;
        }
    } else if (mc->edit) {
        monitor_edit_refresh(mc->edit);
    }
    mc->greeted = true;
    if (!mc->edit)
        prompt(mc);
}

static void connected(void *opaque, bool on)
{
    struct monitor_console *mc = opaque;

    if (on) {
        greet(mc);
        return;
    }
    mc->used = mc->output_used = 0; // the next user starts afresh
    mc->greeted = mc->edit != NULL;
}

static size_t can_receive(void *opaque)
{
    struct monitor_console *mc = opaque;

    return mc->edit ? monitor_edit_room(mc->edit) : 256;
}

static void receive(void *opaque, const uint8_t *buf, size_t len)
{
    struct monitor_console *mc = opaque;

    if (mc->edit) {
        monitor_edit_input(mc->edit, buf, len);
        return;
    }
    for (size_t i = 0; i < len; i++)
        take_byte(mc, buf[i]);
}

// --- life

int monitor_create(struct machine *m, struct chardev *chr, struct monitor_console **out)
{
    static const struct chardev_frontend_ops ops = {
        .can_receive = can_receive, .receive = receive, .can_write = flush_output, .connected = connected};
    struct monitor_console *mc = calloc(1, sizeof(*mc));

    if (!mc)
        return -ENOMEM;
    mc->mon = (struct monitor){.machine = m, .put = console_put, .opaque = mc};
    mc->chr = chr;
    if (chr->terminal)
        mc->edit = monitor_edit_create(&mc->mon);
    chr->fe = &ops;
    chr->fe_opaque = mc;
    chardev_mux_on_focus(chr, greet, mc);
    *out = mc;
    return 0;
}

void monitor_destroy(struct monitor_console *mc)
{
    if (!mc)
        return;
    monitor_edit_destroy(mc->edit);
    mc->chr->fe = NULL;
    free(mc->output);
    free(mc);
}
