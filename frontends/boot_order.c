// SPDX-License-Identifier: MIT
// Collects what has a bootindex and writes fw_cfg's "bootorder" file.
#include "frontends/boot_order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ENTRIES = 64, PATH_SIZE = 128 };

struct boot_order {
    struct entry {
        int bootindex;
        char path[PATH_SIZE];
    } entry[MAX_ENTRIES]; // in order
    unsigned count;
};

struct boot_order *boot_order_create(void) { return calloc(1, sizeof(struct boot_order)); }
void boot_order_destroy(struct boot_order *o) { free(o); }

int boot_order_add(struct boot_order *o, int bootindex, const char *path, struct err *e)
{
    unsigned at = o->count;

    if (o->count == MAX_ENTRIES)
        return err_set(e, "more than %d devices have a bootindex", MAX_ENTRIES);
    for (unsigned i = 0; i < o->count; i++)
        if (o->entry[i].bootindex == bootindex)
            return err_set(e, "bootindex=%d is used twice", bootindex);
    for (; at && o->entry[at - 1].bootindex > bootindex; at--)
        o->entry[at] = o->entry[at - 1];
    o->entry[at].bootindex = bootindex;
    snprintf(o->entry[at].path, PATH_SIZE, "%s", path);
    o->count++;
    return 0;
}

int boot_order_add_pci(struct boot_order *o, int bootindex, uint8_t devfn, const char *kind, const char *rest,
                       struct err *e)
{
    char path[PATH_SIZE];

    if (devfn & 7)
        snprintf(path, sizeof(path), "/pci@i0cf8/%s@%x,%x%s", kind, devfn >> 3, devfn & 7, rest);
    else
        snprintf(path, sizeof(path), "/pci@i0cf8/%s@%x%s", kind, devfn >> 3, rest);
    return boot_order_add(o, bootindex, path, e);
}

char *boot_order_text(const struct boot_order *o, bool strict, size_t *len)
{
    char *text = malloc((o->count + 1) * (PATH_SIZE + 1)), *p = text;

    if (!text)
        return NULL;
    for (unsigned i = 0; i < o->count; i++)
        p += sprintf(p, "%s\n", o->entry[i].path);
    if (strict)
        p += sprintf(p, "HALT\n");
    if (p > text)
        p[-1] = 0; // the last line's end
    *len = (size_t)(p - text);
    return text;
}
