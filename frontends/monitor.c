// SPDX-License-Identifier: MIT
// The monitor's line editor, its command table and the commands that control the machine.
#include "frontends/monitor.h"

#include "base/biglock.h"
#include "base/log.h"
#include "frontends/chardev_backend.h"
#include "frontends/machine.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 512, OUTPUT_MAX = 1 << 20 };

struct monitor {
    struct machine *machine;
    struct chardev *chr;
    char line[LINE_MAX_BYTES];
    size_t used;
    char *output; // what the stream could not take yet
    size_t output_used;
    bool greeted;
};

struct machine *monitor_machine(struct monitor *mon) { return mon->machine; }

// --- output

static void flush_output(void *opaque)
{
    struct monitor *mon = opaque;
    size_t n = chardev_write(mon->chr, (const uint8_t *)mon->output, mon->output_used);

    mon->output_used -= n;
    memmove(mon->output, mon->output + n, mon->output_used);
}

static void put(struct monitor *mon, const char *s, size_t len)
{
    char *bigger;

    if (!len || mon->output_used + len > OUTPUT_MAX)
        return; // nobody reads it
    bigger = realloc(mon->output, mon->output_used + len);
    if (!bigger)
        return;
    mon->output = bigger;
    memcpy(mon->output + mon->output_used, s, len);
    mon->output_used += len;
}

void monitor_printf(struct monitor *mon, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    for (char *s = text, *nl; *s; s = nl) { // a raw terminal wants CR LF
        nl = strchr(s, '\n');
        if (!nl) {
            put(mon, s, strlen(s));
            break;
        }
        put(mon, s, (size_t)(nl - s));
        put(mon, "\r\n", 2);
        nl++;
    }
    flush_output(mon);
}

void monitor_print_line(void *opaque, const char *line) { monitor_printf(opaque, "%s\n", line); }

// --- holding the CPU

void monitor_hold_cpu(struct monitor *mon) { machine_hold_cpu(mon->machine); }
void monitor_release_cpu(struct monitor *mon) { machine_release_cpu(mon->machine); }

// --- commands

static void cmd_help(struct monitor *mon, char *args);
static void cmd_info(struct monitor *mon, char *args);

static void cmd_stop(struct monitor *mon, char *args)
{
    runstate_stop(mon->machine->runstate, RUN_STATE_PAUSED);
}

static void cmd_cont(struct monitor *mon, char *args)
{
    if (runstate_cont(mon->machine->runstate))
        monitor_printf(mon, "Error: Resetting the Virtual Machine is required\n");
}

static void cmd_quit(struct monitor *mon, char *args)
{
    runstate_shutdown(mon->machine->runstate, RUN_CAUSE_HOST_QMP_QUIT, 0);
}

static void cmd_system_reset(struct monitor *mon, char *args)
{
    runstate_reset(mon->machine->runstate, RUN_CAUSE_HOST_QMP_SYSTEM_RESET);
}

static void cmd_system_powerdown(struct monitor *mon, char *args)
{
    runstate_powerdown(mon->machine->runstate);
}

static void cmd_nmi(struct monitor *mon, char *args) { board_send_nmi(mon->machine->board); }

static void cmd_log(struct monitor *mon, char *args)
{
    char bad[32];

    if (!strcmp(args, "none"))
        log_mask = 0;
    else if (log_set_mask(args, bad))
        monitor_printf(mon, "no log item '%s'\n", bad);
}

static const struct monitor_command commands[] = {
    { "help", "", "this list", cmd_help },
    { "?", "", "this list", cmd_help },
    { "info", "[SUBJECT]", "shows something; without a subject, the subjects", cmd_info },
    { "stop", "", "pauses the CPU", cmd_stop },
    { "cont", "", "lets it run on", cmd_cont },
    { "c", "", "the same as cont", cmd_cont },
    { "system_reset", "", "resets the machine", cmd_system_reset },
    { "system_powerdown", "", "presses the power button", cmd_system_powerdown },
    { "nmi", "", "sends an NMI", cmd_nmi },
    { "log", "ITEM,...|none", "chooses log items (see -d help)", cmd_log },
    { "quit", "", "ends the machine", cmd_quit },
    { "q", "", "the same as quit", cmd_quit },
    { NULL, NULL, NULL, NULL },
};

static const struct monitor_command *find_command(const struct monitor_command *list, const char *name)
{
    for (; list->name; list++)
        if (!strcmp(list->name, name))
            return list;
    return NULL;
}

static void print_commands(struct monitor *mon, const struct monitor_command *list, const char *prefix)
{
    for (; list->name; list++)
        monitor_printf(mon, "%s%s%s%s -- %s\n", prefix, list->name, *list->args ? " " : "", list->args,
                       list->help);
}

static void cmd_help(struct monitor *mon, char *args)
{
    print_commands(mon, commands, "");
    print_commands(mon, monitor_memory_commands, "");
}

// The first word of *s, which then points behind it and the blanks that follow.
static char *take_word(char **s)
{
    char *word = *s;

    while (**s && !isspace((unsigned char)**s))
        ++*s;
    if (**s)
        *(*s)++ = 0;
    while (isspace((unsigned char)**s))
        ++*s;
    return word;
}

static void cmd_info(struct monitor *mon, char *args)
{
    char *name = take_word(&args);
    const struct monitor_command *c = find_command(monitor_info_commands, name);

    if (c)
        c->fn(mon, args);
    else
        print_commands(mon, monitor_info_commands, "info ");
}

static void run_line(struct monitor *mon, char *line)
{
    const struct monitor_command *c;
    char *name, *slash;

    while (isspace((unsigned char)*line))
        line++;
    if (!*line)
        return;
    name = take_word(&line);
    slash = strchr(name, '/'); // "x/4i ADDR": the format goes to the command as its first word
    if (slash) {
        char args[LINE_MAX_BYTES + 16];

        snprintf(args, sizeof(args), "%s %s", slash, line);
        *slash = 0;
        c = find_command(monitor_memory_commands, name);
        if (c) {
            c->fn(mon, args);
            return;
        }
    } else {
        c = find_command(commands, name);
        if (!c)
            c = find_command(monitor_memory_commands, name);
        if (c) {
            c->fn(mon, line);
            return;
        }
    }
    monitor_printf(mon, "unknown command: '%s' ('help' lists them)\n", name);
}

// --- the line

static void prompt(struct monitor *mon)
{
    monitor_printf(mon, "(ring3) %.*s", (int)mon->used, mon->line);
}

static void on_focus(void *opaque)
{
    struct monitor *mon = opaque;

    monitor_printf(mon, mon->greeted ? "\n" : "\nring3 monitor - type 'help' for more information\n");
    mon->greeted = true;
    prompt(mon);
}

static void take_byte(struct monitor *mon, uint8_t byte)
{
    switch (byte) {
    case '\r':
    case '\n':
        monitor_printf(mon, "\n");
        mon->line[mon->used] = 0;
        mon->used = 0;
        run_line(mon, mon->line);
        prompt(mon);
        break;
    case 0x7f:
    case '\b':
        if (mon->used) {
            mon->used--;
            monitor_printf(mon, "\b \b");
        }
        break;
    case 0x15: // Ctrl-U
        for (; mon->used; mon->used--)
            monitor_printf(mon, "\b \b");
        break;
    default:
        if (byte >= ' ' && byte < 0x7f && mon->used < sizeof(mon->line) - 1) {
            mon->line[mon->used++] = (char)byte;
            monitor_printf(mon, "%c", byte);
        }
    }
}

static size_t can_receive(void *opaque) { return 256; }

static void receive(void *opaque, const uint8_t *buf, size_t len)
{
    for (size_t i = 0; i < len; i++)
        take_byte(opaque, buf[i]);
}

int monitor_create(struct machine *m, struct chardev *chr, struct monitor **out)
{
    static const struct chardev_frontend_ops ops = {
        .can_receive = can_receive, .receive = receive, .can_write = flush_output };
    struct monitor *mon = calloc(1, sizeof(*mon));

    if (!mon)
        return -ENOMEM;
    mon->machine = m;
    mon->chr = chr;
    chr->fe = &ops;
    chr->fe_opaque = mon;
    chardev_mux_on_focus(chr, on_focus, mon);
    *out = mon;
    return 0;
}

void monitor_start(struct monitor *mon)
{
    if (!chardev_is_mux_port(mon->chr))
        on_focus(mon);
}

void monitor_destroy(struct monitor *mon)
{
    if (!mon)
        return;
    mon->chr->fe = NULL;
    free(mon->output);
    free(mon);
}
