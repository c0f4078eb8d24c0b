// SPDX-License-Identifier: MIT
// The table of displays, and which of them a machine gets.
#include "frontends/displays.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "frontends/options.h"

static int start_nothing(const struct display_context *c, void **state, struct err *e) { return 0; }
static void stop_nothing(void *state) {}

const struct display_ops display_none = {
    .name = "none",
    .help = "no window; the screen can still be dumped and the keyboard fed from the monitor",
    .start = start_nothing,
    .stop = stop_nothing,
};

static const struct display_ops *const displays[] = {
#if RING3_HAVE_SDL
    &display_sdl,
#endif
#if RING3_HAVE_CURSES
    &display_curses,
#endif
    &display_none,
};

const struct display_ops *display_find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(displays); i++)
        if (!strcmp(displays[i]->name, name))
            return displays[i];
    return NULL;
}

void display_print_help(void)
{
    puts("Displays:");
    for (unsigned i = 0; i < ARRAY_SIZE(displays); i++)
        printf("%-8s %s\n", displays[i]->name, displays[i]->help);
}

static bool is_set(const char *variable)
{
    const char *v = getenv(variable);

    return v && *v;
}

static bool has_window_system(void) { return is_set("DISPLAY") || is_set("WAYLAND_DISPLAY"); }

// What to use if the user named nothing: a window where there is a window system.
static const struct display_ops *display_default(void)
{
    const struct display_ops *window = display_find("sdl");

    return window && has_window_system() ? window : &display_none;
}

// The terminal belongs to one thing.
static int check_terminal(const struct config *cfg, const struct display_ops *ops, struct err *e)
{
    const char *used = NULL;

    if (!ops->terminal)
        return 0;
    for (unsigned i = 0; i < cfg->serial_count && !used; i++)
        if (strstr(cfg->serials[i], "stdio"))
            used = "-serial";
    for (unsigned i = 0; i < cfg->monitor_count && !used; i++)
        if (!cfg->monitors[i].is_id && strstr(cfg->monitors[i].spec, "stdio"))
            used = cfg->monitors[i].qmp ? "-qmp" : "-monitor";
    return used ? err_set(e, "-display %s: standard input and output are taken by %s", ops->name, used) : 0;
}

int display_start(const struct config *cfg, const struct display_context *c, struct display_running *r, struct err *e)
{
    const struct display_ops *ops = cfg->display.ops;
    bool chosen = ops || cfg->nographic;
    int ret;

    *r = (struct display_running){NULL, NULL};
    if (!ops)
        ops = cfg->nographic ? &display_none : display_default();
    if (!chosen && !ops->window)
        error_report("no window: %s; -nographic puts the serial console on this terminal, -display none says "
                     "that none is wanted",
                     display_find("sdl") ? "neither $DISPLAY nor $WAYLAND_DISPLAY is set"
                                         : "this program was built without SDL");
    ret = check_terminal(cfg, ops, e);
    if (!ret)
        ret = ops->start(c, &r->state, e);
    if (ret && !chosen) {
        error_report("%s; going on without a window", e->text);
        return 0;
    }
    if (!ret)
        r->ops = ops;
    return ret;
}

void display_stop(struct display_running *r)
{
    if (r->ops)
        r->ops->stop(r->state);
    r->ops = NULL;
}
