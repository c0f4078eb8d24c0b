// SPDX-License-Identifier: MIT
// The option -audiodev.
#include "frontends/audio.h"
#include "frontends/options_internal.h"

#include <errno.h>

int opt_audiodev(struct config *c, const char *flag, const char *arg, struct err *e)
{
    struct keyval *kv = &c->audiodevs[c->audiodev_count];

    if (wants_help(arg)) {
        audio_print_help();
        return HANDLED_HELP;
    }
    if (c->audiodev_count == CONFIG_AUDIODEVS)
        return err_set(e, "-audiodev: more than %u of them", CONFIG_AUDIODEVS);
    if (keyval_parse(kv, arg, "driver", e))
        return -EINVAL;
    c->audiodev_count++;
    return audio_check(kv, e);
}
