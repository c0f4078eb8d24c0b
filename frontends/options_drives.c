// SPDX-License-Identifier: MIT
// The options that name disk images: -drive, -hda to -hdd, -cdrom, -fda, -fdb.
#include "frontends/options_internal.h"

#include <errno.h>

// The next drive, empty; NULL with a message.
static struct keyval *next_drive(struct config *c, const char *flag, struct err *e)
{
    if (c->drive_count < CONFIG_DRIVES)
        return &c->drives[c->drive_count];
    err_set(e, "-%s: more than %d drives", flag, CONFIG_DRIVES);
    return NULL;
}

int opt_drive(struct config *c, const char *flag, const char *arg, struct err *e)
{
    struct keyval *kv = next_drive(c, flag, e);

    if (!kv || keyval_parse(kv, arg, NULL, e))
        return -EINVAL;
    c->drive_count++;
    return 0;
}

// The file's name is taken as it is: its commas mean nothing.
static int add_file(struct config *c, const char *flag, const char *place, const char *file, struct err *e)
{
    struct keyval *kv = next_drive(c, flag, e);

    if (!kv || keyval_parse(kv, place, NULL, e))
        return -EINVAL;
    c->drive_count++;
    return keyval_add(kv, "file", file) ? err_set(e, "-%s: too many properties", flag) : 0;
}

int opt_hd(struct config *c, const char *flag, const char *arg, struct err *e)
{
    static const char *const places[] = {"if=ide,index=0", "if=ide,index=1", "if=ide,index=2", "if=ide,index=3"};

    return add_file(c, flag, places[(flag[2] - 'a') & 3], arg, e);
}

int opt_cdrom(struct config *c, const char *flag, const char *arg, struct err *e)
{
    return add_file(c, flag, "if=ide,index=2,media=cdrom", arg, e);
}

int opt_fd(struct config *c, const char *flag, const char *arg, struct err *e)
{
    return add_file(c, flag, flag[2] == 'a' ? "if=floppy,index=0" : "if=floppy,index=1", arg, e);
}
