// SPDX-License-Identifier: MIT
// What the files of the monitor share: commands, their arguments, and where their output goes.
#pragma once

#include "frontends/monitor.h"

enum { MONITOR_LINE_MAX = 4096, MONITOR_ARGS_MAX = 8 };

struct monitor {
    struct machine *machine;
    void (*put)(void *opaque, const char *text, size_t len);
    void *opaque;
};

void monitor_printf(struct monitor *mon, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void monitor_print_line(void *mon, const char *line);
// Around whatever looks at the CPU's state.
void monitor_hold_cpu(struct monitor *mon);
void monitor_release_cpu(struct monitor *mon);

// --- arguments
// A command describes its arguments as "name:type,name:type?". Types, where ? means it may be left out:
//   s  a word, or "words in quotes"     S  the rest of the line
//   l  an expression (monitor_expr.c)   -x a flag
//   /  a format, written right behind the command's name: x/8xg
struct monitor_format {
    unsigned count, size; // size in bytes; 0: not given
    char kind;            // x, d, u, o, c, i; 0: not given
};
struct monitor_arg {
    char name[16];
    bool present;
    const char *text;
    int64_t number;
};
struct monitor_args {
    struct monitor_arg arg[MONITOR_ARGS_MAX];
    unsigned count;
    struct monitor_format format;
    char text[MONITOR_LINE_MAX]; // what the words point into
    size_t used;
};
const char *monitor_skip_blanks(const char *s);
// Parses the text behind a command's name. False: why says what is wrong.
bool monitor_args_parse(struct monitor *mon, const char *command, const char *spec, const char *text,
                        struct monitor_args *args, char why[128]);
const char *monitor_arg_text(const struct monitor_args *args, const char *name); // NULL: not given
int64_t monitor_arg_number(const struct monitor_args *args, const char *name, int64_t otherwise);
bool monitor_arg_flag(const struct monitor_args *args, const char *name);

// An expression as QEMU's monitor has them: numbers, 'c', $register, + - * / % & | ^ ~ and parentheses.
// *text moves on. False: why says what is wrong.
bool monitor_expr(struct monitor *mon, const char **text, int64_t *out, char why[128]);

// --- commands
struct monitor_command {
    const char *name;  // "stop", or several: "quit|q"
    const char *args;  // see above
    const char *usage; // "[-f] device"
    const char *help;
    void (*fn)(struct monitor *mon, const struct monitor_args *args);
};
// Each list ends with a NULL name.
extern const struct monitor_command monitor_control_commands[], monitor_device_commands[], monitor_memory_commands[],
    monitor_info_commands[], monitor_info_cpu_commands[];

void monitor_run(struct monitor *mon, const char *line);

// The names that continue the line's last word, for completion: calls fn for each.
void monitor_complete(struct monitor *mon, const char *line, size_t len, void (*fn)(void *opaque, const char *name),
                      void *opaque);

// --- a terminal's line editor (monitor_edit.c): a thread that waits for input without the big lock
struct monitor_edit;
struct monitor_edit *monitor_edit_create(struct monitor *mon); // NULL: not to be had; big lock held
bool monitor_edit_start(struct monitor_edit *ed);
// How much input it takes now, and giving it.
size_t monitor_edit_room(struct monitor_edit *ed);
void monitor_edit_input(struct monitor_edit *ed, const uint8_t *buf, size_t len);
void monitor_edit_refresh(struct monitor_edit *ed); // shows the prompt again: the input came back
void monitor_edit_destroy(struct monitor_edit *ed); // big lock held; released meanwhile
