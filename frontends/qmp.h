// SPDX-License-Identifier: MIT
// QMP: the machine's control protocol, JSON messages on a stream. QEMU's "QEMU Machine Protocol Specification"
// and "QEMU QMP Reference Manual".
#pragma once

#include "base/types.h"

struct chardev;
struct machine;
struct qmp;

// Big lock held for all of these.
int qmp_create(struct machine *m, struct chardev *chr, bool pretty, struct qmp **out); // 0 or -errno
// DEVICE_TRAY_MOVED: of the drive with this id, and this id of its device.
void qmp_tray_moved(struct qmp *q, const char *drive, const char *device, bool open);
void qmp_destroy(struct qmp *q); // NULL is fine
