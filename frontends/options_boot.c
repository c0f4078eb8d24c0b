// SPDX-License-Identifier: MIT
// The options of what to boot through the firmware: -boot, -bios, -L, -option-rom.
#include "frontends/firmware.h"
#include "frontends/options_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int opt_bios(struct config *c, const char *flag, const char *arg, struct err *e)
{
    c->bios = arg;
    return 0;
}

int opt_L(struct config *c, const char *flag, const char *arg, struct err *e)
{
    if (wants_help(arg)) {
        for (unsigned i = 0; i < c->dir_count; i++)
            puts(c->dirs[i]);
        for (unsigned i = 0; firmware_default_dir(i); i++)
            puts(firmware_default_dir(i));
        return HANDLED_HELP;
    }
    if (c->dir_count == CONFIG_DIRS)
        return err_set(e, "-L: more than %d of them", CONFIG_DIRS);
    c->dirs[c->dir_count++] = arg;
    return 0;
}

// Drive letters, each at most once. The CMOS has room for three of them.
static int check_order(const char *key, const char *order, struct err *e)
{
    if (strlen(order) > 3)
        return err_set(e, "-boot: %s=%.40s: at most three drives", key, order);
    for (const char *p = order; *p; p++) {
        if (!strchr("abcdn", *p))
            return err_set(e, "-boot: %s=%.40s: there is no drive '%c' (there are a, b, c, d, n)", key, order, *p);
        if (strchr(p + 1, *p))
            return err_set(e, "-boot: %s=%.40s: drive '%c' is given twice", key, order, *p);
    }
    return 0;
}

// A signed number, which keyval_get_uint() has no room for: -1 means "never".
static int get_int(struct keyval *kv, const char *key, long min, long max, long *out, struct err *e)
{
    const char *v = keyval_get(kv, key);
    char *end;

    if (!v)
        return 0;
    errno = 0;
    *out = strtol(v, &end, 0);
    if (end == v || *end || errno || *out < min || *out > max)
        return err_set(e, "-boot: %s=%.40s: expected a number from %ld to %ld", key, v, min, max);
    return 0;
}

// Copies a value into the options' own text, since the keyval goes away.
static int keep(struct boot_options *b, size_t *used, const char *value, const char **out, struct err *e)
{
    size_t len;

    if (!value)
        return 0;
    len = strlen(value) + 1;
    if (*used + len > sizeof(b->text))
        return err_set(e, "-boot: the arguments are too long");
    *out = memcpy(b->text + *used, value, len);
    *used += len;
    return 0;
}

static int parse_boot(struct keyval *kv, struct boot_options *b, struct err *e)
{
    const char *order = keyval_get(kv, "order"), *once = keyval_get(kv, "once");
    long splash_time = 0, timeout = -1;
    size_t used = 0;

    if ((order && check_order("order", order, e)) || (once && check_order("once", once, e)) ||
        keyval_get_bool(kv, "menu", &b->menu, e) || keyval_get_bool(kv, "strict", &b->strict, e) ||
        get_int(kv, "splash-time", 0, 65535, &splash_time, e) ||
        get_int(kv, "reboot-timeout", -1, 65535, &timeout, e) || keep(b, &used, order, &b->order, e) ||
        keep(b, &used, once, &b->once, e) || keep(b, &used, keyval_get(kv, "splash"), &b->splash, e))
        return -EINVAL;
    b->has_splash_time = keyval_get(kv, "splash-time");
    b->splash_time = (uint16_t)splash_time;
    b->reboot_timeout = (int32_t)timeout;
    return keyval_check_used(kv, "-boot", e);
}

int opt_boot(struct config *c, const char *flag, const char *arg, struct err *e)
{
    struct boot_options b = {.reboot_timeout = -1};
    struct keyval kv;
    int ret;

    if (keyval_parse(&kv, arg, "order", e))
        return -EINVAL;
    ret = parse_boot(&kv, &b, e);
    keyval_free(&kv);
    if (ret)
        return ret;
    c->boot = b;
    // The copies moved with the structure.
    if (b.order)
        c->boot.order = c->boot.text + (b.order - b.text);
    if (b.once)
        c->boot.once = c->boot.text + (b.once - b.text);
    if (b.splash)
        c->boot.splash = c->boot.text + (b.splash - b.text);
    return 0;
}

int opt_option_rom(struct config *c, const char *flag, const char *arg, struct err *e)
{
    struct keyval *kv = &c->option_roms[c->option_rom_count];
    uint64_t index = 0;

    if (c->option_rom_count == CONFIG_ROMS)
        return err_set(e, "-option-rom: more than %d of them", CONFIG_ROMS);
    if (keyval_parse(kv, arg, "romfile", e))
        return -EINVAL;
    c->option_rom_count++;
    if (!keyval_get(kv, "romfile"))
        return err_set(e, "-option-rom: romfile= is missing");
    if (keyval_get_uint(kv, "bootindex", &index, e))
        return -EINVAL;
    if (index > INT32_MAX)
        return err_set(e, "-option-rom: bootindex=%llu is too large", (unsigned long long)index);
    return keyval_check_used(kv, "-option-rom", e);
}
