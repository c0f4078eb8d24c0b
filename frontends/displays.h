// SPDX-License-Identifier: MIT
// The ways to show the guest's screen and take its input: a window, the terminal, or nothing. Each is one row.
#pragma once

#include "frontends/keyval.h"

struct config;
struct display;
struct input;
struct runstate;

enum display_grab_mod { GRAB_LCTRL_LALT, GRAB_LSHIFT_LCTRL_LALT, GRAB_RCTRL };
enum display_scaling { SCALING_SMOOTH, SCALING_NEAREST, SCALING_INTEGER };

// -display, -full-screen and their like. Zero: the defaults.
struct display_options {
    const struct display_ops *ops; // NULL: -display was not given
    bool full_screen, no_close, show_cursor, gl;
    enum display_grab_mod grab_mod;
    enum display_scaling scaling;
};

struct display_context {
    const struct display_options *options;
    const char *name; // the machine's; NULL: none
    struct display *screen;
    struct input *input;
    struct runstate *runstate;
    bool (*hears_power_button)(void *opaque); // big lock held: would the guest notice?
    void *opaque;
};

struct display_ops {
    const char *name, *help;
    bool terminal; // takes standard input and output for itself
    bool window;   // talks to a window system
    // Reads the properties of -display NAME,... ; those it leaves are unknown. NULL: there are none.
    int (*parse)(struct display_options *o, struct keyval *kv, struct err *e);
    // 0 with *state, or -errno with a message and nothing left behind. Without the big lock.
    int (*start)(const struct display_context *c, void **state, struct err *e);
    void (*stop)(void *state); // without the big lock, on the thread that started it
};

extern const struct display_ops display_sdl, display_curses, display_none;

const struct display_ops *display_find(const char *name); // NULL: not known, or not built in
void display_print_help(void);

// The window that was asked for, if any. With no choice of the user's, a window that cannot be opened is only
// a remark on standard error.
struct display_running {
    const struct display_ops *ops;
    void *state;
};
int display_start(const struct config *cfg, const struct display_context *c, struct display_running *r, struct err *e);
void display_stop(struct display_running *r);
