// SPDX-License-Identifier: MIT
// The GDB stub: the real gdb debugs what runs in the machine, over a character device (-gdb, -s).
#pragma once

#include "frontends/keyval.h"

struct chardev;
struct gdbstub;
struct machine;

// All with the big lock held.
// What -gdb says, as a chardev specification: TCP is a server that waits for nobody, whatever else it says.
int gdbstub_chardev_spec(const char *dev, char *out, size_t size, struct err *e);
int gdbstub_create(struct machine *m, struct chardev *chr, struct gdbstub **out); // 0 or -errno
void gdbstub_destroy(struct gdbstub *s, int exit_status); // tells the debugger; not on the vCPU thread; NULL is fine
