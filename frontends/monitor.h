// SPDX-License-Identifier: MIT
// The monitor: a text console that inspects and controls the machine.
#pragma once

#include "base/types.h"

struct chardev;
struct machine;
struct monitor;

// Big lock held for all of these.
int monitor_create(struct machine *m, struct chardev *chr, struct monitor **out); // 0 or -errno
void monitor_start(struct monitor *mon); // shows the prompt where it owns its stream
void monitor_destroy(struct monitor *mon); // NULL is fine

// --- for monitor*.c
void monitor_printf(struct monitor *mon, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void monitor_print_line(void *mon, const char *line);
struct machine *monitor_machine(struct monitor *mon);

struct monitor_command {
    const char *name, *args, *help;
    void (*fn)(struct monitor *mon, char *args); // args: what follows the name, never NULL
};
extern const struct monitor_command monitor_info_commands[]; // "info NAME"; ends with a NULL name
extern const struct monitor_command monitor_memory_commands[]; // x, xp, print
// Around whatever looks at the CPU's state.
void monitor_hold_cpu(struct monitor *mon);
void monitor_release_cpu(struct monitor *mon);
