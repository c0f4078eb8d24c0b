// SPDX-License-Identifier: MIT
// The monitor's commands: finding, parsing, running, helping and completing them.
#include "frontends/monitor_internal.h"

#include "frontends/machine.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct monitor_command *const command_lists[] = {
    monitor_control_commands,
    monitor_device_commands,
    monitor_memory_commands,
};
static const struct monitor_command *const info_lists[] = {monitor_info_commands, monitor_info_cpu_commands};

// --- output

void monitor_printf(struct monitor *mon, const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n > 0)
        mon->put(mon->opaque, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

void monitor_print_line(void *opaque, const char *line) { monitor_printf(opaque, "%s\n", line); }

void monitor_hold_cpu(struct monitor *mon) { machine_hold_cpu(mon->machine); }
void monitor_release_cpu(struct monitor *mon) { machine_release_cpu(mon->machine); }

// --- the table

// Is name one of "quit|q"?
static bool name_matches(const char *names, const char *name, size_t len)
{
    for (;;) {
        size_t n = strcspn(names, "|");

        if (n == len && !strncmp(names, name, len))
            return true;
        if (!names[n])
            return false;
        names += n + 1;
    }
}

static const struct monitor_command *find(const struct monitor_command *const *lists, unsigned count, const char *name,
                                          size_t len)
{
    for (unsigned i = 0; i < count; i++)
        for (const struct monitor_command *c = lists[i]; c->name; c++)
            if (name_matches(c->name, name, len))
                return c;
    return NULL;
}

// --- help

static void print_help(struct monitor *mon, const struct monitor_command *c, const char *prefix)
{
    monitor_printf(mon, "%s%s%s%s -- %s\n", prefix, c->name, *c->usage ? " " : "", c->usage, c->help);
}

static void print_list(struct monitor *mon, const struct monitor_command *const *lists, unsigned count,
                       const char *prefix)
{
    for (unsigned i = 0; i < count; i++)
        for (const struct monitor_command *c = lists[i]; c->name; c++)
            print_help(mon, c, prefix);
}

static void help(struct monitor *mon, const char *name)
{
    const struct monitor_command *c;
    size_t len = strlen(name);

    if (!*name) {
        monitor_printf(mon, "help|? [cmd] -- show the help\n"
                            "info [subcommand] -- show various information about the system state\n");
        print_list(mon, command_lists, ARRAY_SIZE(command_lists), "");
        return;
    }
    if (!strcmp(name, "info")) {
        print_list(mon, info_lists, ARRAY_SIZE(info_lists), "info ");
        return;
    }
    c = find(command_lists, ARRAY_SIZE(command_lists), name, len);
    if (c)
        print_help(mon, c, "");
    else
        monitor_printf(mon, "unknown command: '%s'\n", name);
}

// --- running

static void run_command(struct monitor *mon, const struct monitor_command *c, const char *name, const char *rest)
{
    struct monitor_args args;
    char why[128];

    if (monitor_args_parse(mon, name, c->args, rest, &args, why))
        c->fn(mon, &args);
    else
        monitor_printf(mon, "%s\nTry \"help %s\" for more information\n", why, name);
}

// A command's name ends at a blank or at the '/' of a format.
static size_t name_length(const char *s)
{
    size_t n = 0;

    while (s[n] && !isspace((unsigned char)s[n]) && s[n] != '/')
        n++;
    return n;
}

static void run_info(struct monitor *mon, const char *rest)
{
    const struct monitor_command *c;
    size_t len;
    char name[80];

    rest = monitor_skip_blanks(rest);
    len = name_length(rest);
    if (!len) {
        print_list(mon, info_lists, ARRAY_SIZE(info_lists), "info ");
        return;
    }
    snprintf(name, sizeof(name), "info %.*s", len < 64 ? (int)len : 64, rest);
    c = find(info_lists, ARRAY_SIZE(info_lists), rest, len);
    if (c)
        run_command(mon, c, name, rest + len);
    else
        monitor_printf(mon, "unknown command: '%s'\n", name);
}

void monitor_run(struct monitor *mon, const char *line)
{
    const struct monitor_command *c;
    char name[64];
    size_t len;

    line = monitor_skip_blanks(line);
    len = name_length(line);
    if (!*line)
        return;
    snprintf(name, sizeof(name), "%.*s", len < sizeof(name) ? (int)len : (int)sizeof(name) - 1, line);
    if (!strcmp(name, "info")) {
        run_info(mon, line + len);
        return;
    }
    if (!strcmp(name, "help") || !strcmp(name, "?")) {
        const char *what = monitor_skip_blanks(line + len);

        snprintf(name, sizeof(name), "%.*s", (int)strcspn(what, " \t"), what);
        help(mon, name);
        return;
    }
    c = find(command_lists, ARRAY_SIZE(command_lists), line, len);
    if (c)
        run_command(mon, c, name, line + len);
    else
        monitor_printf(mon, "unknown command: '%s'\n", name);
}

// --- captured output

struct capture {
    char *text;
    size_t used;
    bool failed;
};

static void capture_put(void *opaque, const char *text, size_t len)
{
    enum { CAPTURE_MAX = 1 << 20 };
    struct capture *c = opaque;
    char *bigger;

    if (c->failed || c->used + len > CAPTURE_MAX)
        return;
    bigger = realloc(c->text, c->used + len + 1);
    if (!bigger) {
        c->failed = true;
        return;
    }
    c->text = bigger;
    memcpy(c->text + c->used, text, len);
    c->used += len;
    c->text[c->used] = 0;
}

char *monitor_run_captured(struct machine *m, const char *line)
{
    struct capture c = {.text = calloc(1, 1)};
    struct monitor mon = {.machine = m, .put = capture_put, .opaque = &c};

    if (c.text)
        monitor_run(&mon, line);
    return c.text;
}

// --- completion

static void offer(const struct monitor_command *const *lists, unsigned count, const char *word, size_t len,
                  void (*fn)(void *opaque, const char *name), void *opaque)
{
    char name[32];

    for (unsigned i = 0; i < count; i++)
        for (const struct monitor_command *c = lists[i]; c->name; c++) {
            snprintf(name, sizeof(name), "%.*s", (int)strcspn(c->name, "|"), c->name);
            if (!strncmp(name, word, len))
                fn(opaque, name);
        }
}

void monitor_complete(struct monitor *mon, const char *line, size_t len, void (*fn)(void *opaque, const char *name),
                      void *opaque)
{
    static const char *const own[] = {"help", "info"};
    size_t word = len, first = 0;

    while (first < len && isspace((unsigned char)line[first]))
        first++;
    while (word > first && !isspace((unsigned char)line[word - 1]))
        word--;
    if (word == first) {
        for (unsigned i = 0; i < ARRAY_SIZE(own); i++)
            if (!strncmp(own[i], line + word, len - word))
                fn(opaque, own[i]);
        offer(command_lists, ARRAY_SIZE(command_lists), line + word, len - word, fn, opaque);
    } else if (len - first > 5 && !strncmp(line + first, "info ", 5)) {
        offer(info_lists, ARRAY_SIZE(info_lists), line + word, len - word, fn, opaque);
    } else if (len - first > 5 && !strncmp(line + first, "help ", 5)) {
        offer(command_lists, ARRAY_SIZE(command_lists), line + word, len - word, fn, opaque);
    }
}
