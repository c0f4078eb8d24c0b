// SPDX-License-Identifier: MIT
// The options of debugging the guest from outside: -gdb, -s.
#include "frontends/options_internal.h"

#include <string.h>

int opt_gdb(struct config *c, const char *flag, const char *arg, struct err *e)
{
    if (!strcmp(flag, "s"))
        arg = "tcp::1234";
    c->gdb = strcmp(arg, "none") ? arg : NULL;
    return 0;
}
