// SPDX-License-Identifier: MIT
// Fuzz target: the monitor's command lines, parsed by the rows of all commands, and completed; nothing is run.
// Bytes 128 and up stand for what the grammar knows.
#include "frontends/monitor_internal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const words[] = {
    "(",    ")",    "+",   "-",     "*",     "/",   "%",  "&", "|",  "^",          "~",
    "$rax", "$",    "'",   "'a'",   "\"",    "\\n", "\\", " ", "0x", "9999999999", "18446744073709551615",
    "-1",   "/8xg", "-f ", "info ", "help ", "sy",  "\t",
};

static void put(void *opaque, const char *text, size_t len) {}
static void offer(void *opaque, const char *name)
{
    if (!*name || strchr(name, '|'))
        abort();
}

static void parse(struct monitor *mon, const struct monitor_command *list, const char *line)
{
    static struct monitor_args args;
    char why[128];

    for (const struct monitor_command *c = list; c->name; c++) {
        memset(why, 0x55, sizeof(why));
        if (!monitor_args_parse(mon, c->name, c->args, line, &args, why)) {
            if (!memchr(why, 0, sizeof(why)) || !*why)
                abort(); // refused without a word
            continue;
        }
        for (unsigned i = 0; i < args.count; i++)
            if (args.arg[i].text && (args.arg[i].text < args.text ||
                                     args.arg[i].text + strlen(args.arg[i].text) >= args.text + sizeof(args.text)))
                abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct monitor mon = {.put = put};
    char *line = malloc(32 * size + 1), *to = line;

    if (!line)
        return 0;
    for (size_t i = 0; i < size; i++)
        if (data[i] >= 128)
            to = stpcpy(to, words[data[i] % ARRAY_SIZE(words)]);
        else
            *to++ = (char)data[i];
    *to = 0;
    line = realloc(line, (size_t)(to - line) + 1); // so that a sanitizer sees its end
    parse(&mon, monitor_control_commands, line);
    parse(&mon, monitor_device_commands, line);
    parse(&mon, monitor_memory_commands, line);
    parse(&mon, monitor_info_commands, line);
    monitor_complete(&mon, line, strlen(line), offer, NULL);
    free(line);
    return 0;
}
