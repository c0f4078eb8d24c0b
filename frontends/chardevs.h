// SPDX-License-Identifier: MIT
// All character devices of the process: from -chardev, and from the short forms of -serial and its like.
#pragma once

#include "frontends/options.h"
#include "hw/chardev.h"

struct chardevs;

// quit is Ctrl-A x. 0 or -EINVAL.
int chardevs_create(struct config *cfg, void (*quit)(void *opaque), void *opaque, struct chardevs **out, struct err *e);
// "stdio", "mon:stdio", "file:PATH", "pty", "null", "none", "tcp:...", "unix:...", "chardev:ID".
// *out is NULL for "none". *monitor is set if the monitor wants its own port on the same stream ("mon:").
int chardevs_open(struct chardevs *r, const char *spec, struct chardev **out, struct chardev **monitor, struct err *e);
// By id (virtconsole's chardev=). 0 or -EINVAL.
int chardevs_find(struct chardevs *r, const char *id, struct chardev **out, struct err *e);
void chardevs_start(struct chardevs *r);   // input may come
void chardevs_destroy(struct chardevs *r); // NULL is fine
bool chardevs_have_sockets(struct chardevs *r);
// kind as in the specification; open: somebody uses it.
void chardevs_for_each(struct chardevs *r, void (*fn)(void *opaque, const char *id, const char *kind, bool open),
                       void *opaque);
