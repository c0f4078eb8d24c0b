// SPDX-License-Identifier: MIT
// Arguments of the monitor's commands, parsed as the command's row describes them.
#include "frontends/monitor_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static bool fail(char why[128], const char *command, const char *what)
{
    snprintf(why, 128, "%.40s%s%s", command, *command ? ": " : "", what);
    return false;
}

const char *monitor_skip_blanks(const char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    return s;
}

// A word, or a quoted string with \n, \", \\ and \' in it. Its copy is in args->text.
static bool take_word(const char **text, struct monitor_args *args, const char **out, char why[128])
{
    static const char escapes[] = "n\nr\r\"\"''\\\\";
    const char *s = *text;
    char *to = args->text + args->used;
    bool quoted = *s == '"';

    *out = to;
    for (s += quoted; *s && (quoted ? *s != '"' : !isspace((unsigned char)*s)); s++) {
        const char *e;

        if (!quoted || *s != '\\') {
            *to++ = *s;
            continue;
        }
        for (e = escapes; *e && *e != s[1]; e += 2)
            continue;
        if (!s[1] || !*e)
            return fail(why, "", "invalid escape code in a string");
        *to++ = e[1];
        s++;
    }
    if (quoted && *s++ != '"')
        return fail(why, "", "unterminated string");
    *to++ = 0;
    args->used = (size_t)(to - args->text);
    *text = s;
    return true;
}

// "/8xg": letters and one number, in any order.
static bool take_format(const char **text, struct monitor_format *f, char why[128])
{
    static const struct {
        char letter;
        uint8_t size;
    } sizes[] = {{'b', 1}, {'h', 2}, {'w', 4}, {'l', 4}, {'g', 8}};
    const char *s = monitor_skip_blanks(*text);

    *f = (struct monitor_format){.count = 1};
    if (*s == '/') {
        s++;
        if (isdigit((unsigned char)*s)) {
            for (f->count = 0; isdigit((unsigned char)*s); s++)
                f->count = f->count < 1000000 ? f->count * 10 + (unsigned)(*s - '0') : f->count;
        }
        for (; *s && !isspace((unsigned char)*s); s++) {
            unsigned i = 0;

            while (i < ARRAY_SIZE(sizes) && sizes[i].letter != *s)
                i++;
            if (i < ARRAY_SIZE(sizes))
                f->size = sizes[i].size;
            else if (strchr("xduoci", *s))
                f->kind = *s;
            else
                return fail(why, "", "invalid char in format");
        }
    }
    *text = s;
    return true;
}

static bool take_flag(const char **text, char letter)
{
    const char *s = monitor_skip_blanks(*text);

    if (s[0] != '-' || s[1] != letter || (s[2] && !isspace((unsigned char)s[2])))
        return false;
    *text = s + 2;
    return true;
}

// One argument of type type ('s', 'S' or 'l'), which is there.
static bool take_value(struct monitor *mon, char type, const char **text, struct monitor_args *args,
                       struct monitor_arg *a, char why[128])
{
    switch (type) {
    case 'l': return monitor_expr(mon, text, &a->number, why);
    case 'S':
        a->text = args->text + args->used;
        snprintf(args->text + args->used, sizeof(args->text) - args->used, "%s", *text);
        *text += strlen(*text);
        return true;
    default: return take_word(text, args, &a->text, why);
    }
}

static bool missing(const char *command, const char *name, char type, char why[128])
{
    if (type == 'l')
        return fail(why, "", "unexpected end of expression");
    return fail(why, command,
                !strcmp(name, "filename") ? "filename expected"
                : !strcmp(name, "device") ? "block device name expected"
                                          : "string expected");
}

bool monitor_args_parse(struct monitor *mon, const char *command, const char *spec, const char *text,
                        struct monitor_args *args, char why[128])
{
    args->count = 0;
    args->used = 0;
    args->format = (struct monitor_format){.count = 1};
    if (strlen(text) >= sizeof(args->text) - MONITOR_ARGS_MAX) // each word's end, too, has room in the copy
        return fail(why, command, "line too long");
    while (*spec) {
        struct monitor_arg *a = &args->arg[args->count];
        size_t name = strcspn(spec, ":");
        char type = spec[name + 1];
        bool optional;

        *a = (struct monitor_arg){.present = false};
        snprintf(a->name, sizeof(a->name), "%.*s", (int)name, spec);
        spec += name + 2;
        args->count++;
        if (type == '-') {
            a->present = take_flag(&text, *spec++);
        } else if (type == '/') {
            if (!take_format(&text, &args->format, why))
                return false;
        } else {
            text = monitor_skip_blanks(text);
            optional = *spec == '?';
            spec += optional;
            a->present = *text;
            if (!*text && !optional)
                return missing(command, a->name, type, why);
            if (*text && !take_value(mon, type, &text, args, a, why))
                return false;
        }
        spec += *spec == ',';
    }
    return !*monitor_skip_blanks(text) || fail(why, command, "extraneous characters at the end of line");
}

static const struct monitor_arg *find(const struct monitor_args *args, const char *name)
{
    for (unsigned i = 0; i < args->count; i++)
        if (!strcmp(args->arg[i].name, name) && args->arg[i].present)
            return &args->arg[i];
    return NULL;
}

const char *monitor_arg_text(const struct monitor_args *args, const char *name)
{
    const struct monitor_arg *a = find(args, name);

    return a ? a->text : NULL;
}

int64_t monitor_arg_number(const struct monitor_args *args, const char *name, int64_t otherwise)
{
    const struct monitor_arg *a = find(args, name);

    return a ? a->number : otherwise;
}

bool monitor_arg_flag(const struct monitor_args *args, const char *name) { return find(args, name); }
