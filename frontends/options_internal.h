// SPDX-License-Identifier: MIT
// What the option handlers share: options.c and options_*.c, nobody else.
#pragma once

#include "frontends/options.h"

#include <string.h>

// A handler returns 0, -EINVAL with *e filled, or this: what the user wanted was printed.
enum { HANDLED_HELP = 1 };
typedef int option_fn(struct config *c, const char *flag, const char *arg, struct err *e);

static inline bool wants_help(const char *arg) { return !strcmp(arg, "help") || !strcmp(arg, "?"); }

// One handler for each row of the table, wherever it is.
#define SECTION(title)
#define OPTION(handler, flag, arg, help) option_fn opt_##handler;
#include "frontends/options.def"
#undef SECTION
#undef OPTION
