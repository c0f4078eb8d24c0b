// SPDX-License-Identifier: MIT
// The options of screens: -display, -nographic, -full-screen.
#include "frontends/displays.h"
#include "frontends/options_internal.h"

#include <errno.h>

int opt_nographic(struct config *c, const char *flag, const char *arg, struct err *e)
{
    c->nographic = true;
    return 0;
}

int opt_full_screen(struct config *c, const char *flag, const char *arg, struct err *e)
{
    c->display.full_screen = true;
    return 0;
}

int opt_display(struct config *c, const char *flag, const char *arg, struct err *e)
{
    struct display_options o = {.full_screen = c->display.full_screen};
    struct keyval kv;
    const char *name;
    int ret = 0;

    if (wants_help(arg)) {
        display_print_help();
        return HANDLED_HELP;
    }
    if (keyval_parse(&kv, arg, "type", e))
        return -EINVAL;
    name = keyval_get(&kv, "type");
    o.ops = name ? display_find(name) : NULL;
    if (!o.ops)
        ret = err_set(e, "-display: there is no display '%.60s' (-display help lists them)", name ? name : "");
    else if (o.ops->parse)
        ret = o.ops->parse(&o, &kv, e);
    if (!ret)
        ret = keyval_check_used(&kv, "-display", e);
    keyval_free(&kv);
    if (!ret)
        c->display = o;
    return ret;
}
