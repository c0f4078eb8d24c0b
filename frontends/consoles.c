// SPDX-License-Identifier: MIT
// Connects the machine's consoles and its control to character devices.
#include "frontends/consoles.h"

#include "frontends/chardevs.h"
#include "frontends/displays.h"
#include "frontends/drives.h"
#include "frontends/machine.h"
#include "frontends/monitor.h"
#include "frontends/qmp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CONTROLS = CONFIG_MONITORS + CONFIG_SERIALS }; // each -serial may be mon:

struct consoles {
    struct machine *machine;
    struct control {
        struct chardev *chr;
        bool is_qmp, pretty;
        struct monitor_console *monitor;
        struct qmp *qmp;
    } control[CONTROLS];
    unsigned count;
};

// Where they go if the user did not say: as QEMU's -nographic does it.
static void set_defaults(struct config *cfg)
{
    const struct monitor_option terminal = {.spec = "stdio"};

    if (!cfg->nographic || cfg->nodefaults)
        return;
    if (!cfg->serial_count && !cfg->monitor_chosen) {
        cfg->serials[cfg->serial_count++] = "mon:stdio";
        return;
    }
    for (unsigned i = 0; i < cfg->serial_count; i++)
        if (strstr(cfg->serials[i], "stdio") || !strncmp(cfg->serials[i], "chardev:", 8))
            return; // the terminal is taken, or may be
    for (unsigned i = 0; i < cfg->monitor_count; i++)
        if (cfg->monitors[i].is_id || strstr(cfg->monitors[i].spec, "stdio"))
            return;
    if (!cfg->serial_count)
        cfg->serials[cfg->serial_count++] = "stdio";
    else if (!cfg->monitor_chosen)
        cfg->monitors[cfg->monitor_count++] = terminal;
}

static void add_control(struct consoles *c, struct chardev *chr, const struct monitor_option *o)
{
    struct control *control = &c->control[c->count++];

    control->chr = chr;
    control->is_qmp = o && o->qmp;
    control->pretty = o && o->pretty;
}

static int open_serials(struct consoles *c, struct board_config *bc, struct err *e)
{
    struct config *cfg = c->machine->cfg;

    for (unsigned i = 0; i < cfg->serial_count; i++) {
        struct chardev *mon = NULL;
        struct err why;

        if (chardevs_open(c->machine->chardevs, cfg->serials[i], &bc->serial[i], &mon, &why))
            return err_set(e, "-serial %.80s: %.200s", cfg->serials[i], why.text);
        bc->has_uart[i] = strcmp(cfg->serials[i], "none");
        if (mon)
            add_control(c, mon, NULL);
    }
    if (!cfg->serial_count && !cfg->nodefaults)
        bc->has_uart[0] = true; // there, and connected to nothing
    return 0;
}

static int open_controls(struct consoles *c, struct err *e)
{
    struct config *cfg = c->machine->cfg;

    for (unsigned i = 0; i < cfg->monitor_count; i++) {
        const struct monitor_option *o = &cfg->monitors[i];
        const char *flag = o->is_id ? "-mon" : o->qmp ? "-qmp" : "-monitor";
        struct chardev *chr, *second = NULL;
        struct err why;

        if (o->is_id ? chardevs_find(c->machine->chardevs, o->spec, &chr, &why)
                     : chardevs_open(c->machine->chardevs, o->spec, &chr, &second, &why))
            return err_set(e, "%s %.80s: %.200s", flag, o->spec, why.text);
        if (chr)
            add_control(c, chr, o);
    }
    return 0;
}

static void on_quit_key(void *opaque) { runstate_shutdown(((struct machine *)opaque)->runstate, RUN_CAUSE_HOST_UI, 0); }

int consoles_open(struct machine *m, struct board_config *bc, struct consoles **out, struct err *e)
{
    struct consoles *c = *out = calloc(1, sizeof(*c));
    struct err why;

    if (!c)
        return err_set(e, "out of memory");
    c->machine = m;
    set_defaults(m->cfg);
    if (chardevs_create(m->cfg, on_quit_key, m, &m->chardevs, e) || open_serials(c, bc, e))
        return -EINVAL;
    if (m->cfg->debugcon && chardevs_open(m->chardevs, m->cfg->debugcon, &bc->debugcon, NULL, &why))
        return err_set(e, "-debugcon %.80s: %.200s", m->cfg->debugcon, why.text);
    return open_controls(c, e);
}

static void on_tray(void *opaque, const struct drive *drive, bool open)
{
    struct consoles *c = opaque;

    for (unsigned i = 0; i < c->count; i++)
        if (c->control[i].qmp)
            qmp_tray_moved(c->control[i].qmp, drive->id, drive->device ? drive->device : "", open);
}

int consoles_start(struct consoles *c, struct err *e)
{
    const struct display_ops *display = c->machine->cfg->display.ops;

    drives_on_tray(c->machine->devices, on_tray, c);
    for (unsigned i = 0; i < c->count; i++) {
        struct control *k = &c->control[i];
        int ret;

        // ncurses and libedit share what libtinfo knows of the terminal: no line editor beside a curses screen.
        if (display && display->terminal)
            k->chr->terminal = false;
        ret = k->is_qmp ? qmp_create(c->machine, k->chr, k->pretty, &k->qmp)
                        : monitor_create(c->machine, k->chr, &k->monitor);
        if (ret)
            return err_set(e, "out of memory");
    }
    return 0;
}

void consoles_destroy(struct consoles *c)
{
    if (!c)
        return;
    if (c->machine->devices)
        drives_on_tray(c->machine->devices, NULL, NULL);
    for (unsigned i = 0; i < c->count; i++) {
        monitor_destroy(c->control[i].monitor);
        qmp_destroy(c->control[i].qmp);
    }
    free(c);
}

bool consoles_can_control(const struct consoles *c) { return c->count; }
