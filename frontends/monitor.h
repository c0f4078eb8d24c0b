// SPDX-License-Identifier: MIT
// The monitor: a text console that inspects and controls the machine.
#pragma once

#include "base/types.h"

struct chardev;
struct machine;
struct monitor_console;

// A console on a stream. Big lock held for all of these.
int monitor_create(struct machine *m, struct chardev *chr, struct monitor_console **out); // 0 or -errno
void monitor_destroy(struct monitor_console *mc);                                         // NULL is fine

// Runs one command line and returns what it printed, for QMP's human-monitor-command; the caller frees it.
// NULL: out of memory. Big lock held, not on a vCPU thread.
char *monitor_run_captured(struct machine *m, const char *line);
