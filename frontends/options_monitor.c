// SPDX-License-Identifier: MIT
// The options of the machine's control: -monitor, -qmp, -qmp-pretty, -mon.
#include "frontends/options_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int add(struct config *c, const char *flag, struct monitor_option m, struct err *e)
{
    if (c->monitor_count == CONFIG_MONITORS)
        return err_set(e, "-%s: more than %d monitors", flag, CONFIG_MONITORS);
    c->monitors[c->monitor_count++] = m;
    c->monitor_chosen = true;
    return 0;
}

int opt_monitor(struct config *c, const char *flag, const char *arg, struct err *e)
{
    c->monitor_chosen = true;
    return strcmp(arg, "none") ? add(c, flag, (struct monitor_option){.spec = arg}, e) : 0;
}

int opt_qmp(struct config *c, const char *flag, const char *arg, struct err *e)
{
    struct monitor_option m = {.spec = arg, .qmp = true, .pretty = !strcmp(flag, "qmp-pretty")};

    return strcmp(arg, "none") ? add(c, flag, m, e) : 0;
}

int opt_mon(struct config *c, const char *flag, const char *arg, struct err *e)
{
    struct monitor_option m = {.is_id = true};
    const char *id, *mode;
    struct keyval kv;
    int ret;

    if (keyval_parse(&kv, arg, "chardev", e))
        return -EINVAL;
    id = keyval_get(&kv, "chardev");
    mode = keyval_get(&kv, "mode");
    m.qmp = mode && !strcmp(mode, "control");
    if (!id)
        ret = err_set(e, "-mon: chardev= is missing");
    else if (mode && !m.qmp && strcmp(mode, "readline"))
        ret = err_set(e, "-mon: mode=%.40s: expected readline or control", mode);
    else
        ret = keyval_get_bool(&kv, "pretty", &m.pretty, e);
    if (!ret && m.pretty && !m.qmp)
        ret = err_set(e, "-mon: pretty= needs mode=control");
    if (!ret)
        ret = keyval_check_used(&kv, "-mon", e);
    if (!ret && !(m.spec = strdup(id))) // the parsed copy goes
        ret = err_set(e, "out of memory");
    keyval_free(&kv);
    if (ret)
        return ret;
    ret = add(c, flag, m, e);
    if (ret)
        free((char *)m.spec);
    return ret;
}
