// SPDX-License-Identifier: MIT
// Tests of the monitor's command lines: arguments, expressions, errors, completion. No machine behind it.
#include "frontends/monitor_internal.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/check_main.h"

static char out[65536];

static void put(void *opaque, const char *text, size_t len)
{
    size_t used = strlen(out);

    ck_assert_uint_lt(used + len, sizeof(out));
    memcpy(out + used, text, len);
    out[used + len] = 0;
}

static struct monitor mon = {.put = put};
static struct monitor_args args;
static char why[128];

static bool parse(const char *spec, const char *text)
{
    *why = 0;
    return monitor_args_parse(&mon, "cmd", spec, text, &args, why);
}

START_TEST(words_flags_and_numbers)
{
    ck_assert(parse("force:-f,device:s,filename:s,format:s?", " -f cd0 \"a \\\"b\\\\ c\\n\""));
    ck_assert(monitor_arg_flag(&args, "force"));
    ck_assert_str_eq(monitor_arg_text(&args, "device"), "cd0");
    ck_assert_str_eq(monitor_arg_text(&args, "filename"), "a \"b\\ c\n");
    ck_assert_ptr_null(monitor_arg_text(&args, "format"));
    ck_assert(parse("force:-f,device:s", "-foo")); // a word, not the flag
    ck_assert(!monitor_arg_flag(&args, "force"));
    ck_assert_str_eq(monitor_arg_text(&args, "device"), "-foo");
    ck_assert(parse("val:l,size:l,filename:s", "0x10 (1 + 2) * 3 file"));
    ck_assert_int_eq(monitor_arg_number(&args, "val", -1), 16);
    ck_assert_int_eq(monitor_arg_number(&args, "size", -1), 9);
    ck_assert_str_eq(monitor_arg_text(&args, "filename"), "file");
    ck_assert(parse("hold:l?", "  "));
    ck_assert_int_eq(monitor_arg_number(&args, "hold", 77), 77);
    ck_assert(parse("rest:S", "  all of  it "));
    ck_assert_str_eq(monitor_arg_text(&args, "rest"), "all of  it ");
}
END_TEST

START_TEST(formats)
{
    ck_assert(parse("fmt:/,addr:l", "/16xg 4"));
    ck_assert_uint_eq(args.format.count, 16);
    ck_assert_uint_eq(args.format.size, 8);
    ck_assert_int_eq(args.format.kind, 'x');
    ck_assert(parse("fmt:/,addr:l", " 4"));
    ck_assert_uint_eq(args.format.count, 1);
    ck_assert_uint_eq(args.format.size, 0);
    ck_assert(parse("fmt:/,addr:l", "/99999999999999999999i 4"));
    ck_assert_uint_gt(args.format.count, 99999);
    ck_assert(!parse("fmt:/,addr:l", "/4q 4"));
    ck_assert_str_eq(why, "invalid char in format");
}
END_TEST

START_TEST(what_is_wrong_is_said)
{
    static const struct {
        const char *spec, *text, *why;
    } rows[] = {
        {"", " 1", "cmd: extraneous characters at the end of line"},
        {"filename:s", "", "cmd: filename expected"},
        {"device:s", "", "cmd: block device name expected"},
        {"keys:s", "", "cmd: string expected"},
        {"keys:s", "\"open", "unterminated string"},
        {"keys:s", "\"\\q\"", "invalid escape code in a string"},
        {"addr:l", "", "unexpected end of expression"},
        {"addr:l", "1+", "unexpected end of expression"},
        {"addr:l", "(1", "')' expected"},
        {"addr:l", "1/0", "division by zero"},
        {"addr:l", "1%0", "division by zero"},
        {"addr:l", "$nix", "unknown register"},
        {"addr:l", "'a", "missing terminating ' character"},
        {"addr:l", "zz", "invalid char 'z' in expression"},
        {"addr:l", "99999999999999999999", "number too large"},
        {"addr:l", "1 2", "cmd: extraneous characters at the end of line"},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        ck_assert_msg(!parse(rows[i].spec, rows[i].text), "%s", rows[i].text);
        ck_assert_str_eq(why, rows[i].why);
    }
}
END_TEST

START_TEST(expressions)
{
    // clang-format off
    static const struct {
        const char *text;
        int64_t value;
    } rows[] = {
        { "1+2*3", 7 }, { "(1+2)*3", 9 }, { "-5", -5 }, { "~0", -1 }, { "0x10|1", 17 }, { "6&3^1", 3 },
        { "7%4-1", 2 }, { "'A'", 65 }, { "010", 8 }, { "0xffffffff81000000", (int64_t)0xffffffff81000000 },
        { "1 + - 2", -1 }, { "0x8000000000000000 / -1", INT64_MIN }, { "0x8000000000000000 % -1", 0 },
        { "0x7fffffffffffffff * 2 + 2", 0 },
    };
    // clang-format on

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        ck_assert_msg(parse("v:l", rows[i].text), "%s: %s", rows[i].text, why);
        ck_assert_msg(monitor_arg_number(&args, "v", 0) == rows[i].value, "%s", rows[i].text);
    }
}
END_TEST

START_TEST(deep_and_long_input_is_refused)
{
    static char text[8192];

    memset(text, '(', sizeof(text) - 1);
    text[4000] = 0;
    ck_assert(!parse("v:l", text));
    ck_assert_str_eq(why, "expression nested too deeply");
    memset(text, '-', sizeof(text) - 1);
    text[4000] = 0;
    ck_assert(!parse("v:l", text));
    memset(text, 'a', sizeof(text) - 1);
    ck_assert(!parse("s:s", text));
    ck_assert_str_eq(why, "cmd: line too long");
    monitor_run(&mon, text); // a name of 8 KiB
    ck_assert_ptr_nonnull(strstr(out, "unknown command: 'aaaa"));
}
END_TEST

START_TEST(commands_are_found_by_all_their_names)
{
    monitor_run(&mon, "  help  q");
    monitor_run(&mon, "help cont");
    ck_assert_str_eq(out, "quit|q -- quit the emulator\ncont|c -- resume emulation\n");
    *out = 0;
    monitor_run(&mon, "");
    monitor_run(&mon, "   ");
    ck_assert_str_eq(out, "");
    monitor_run(&mon, "nonsense 1 2");
    monitor_run(&mon, "info nonsense");
    monitor_run(&mon, "help nonsense");
    ck_assert_str_eq(out, "unknown command: 'nonsense'\nunknown command: 'info nonsense'\n"
                          "unknown command: 'nonsense'\n");
    *out = 0;
    monitor_run(&mon, "stop now");
    ck_assert_str_eq(out, "stop: extraneous characters at the end of line\n"
                          "Try \"help stop\" for more information\n");
    *out = 0;
    monitor_run(&mon, "print/c 'x'");
    monitor_run(&mon, "p/d -1");
    monitor_run(&mon, "p 0x1f");
    ck_assert_str_eq(out, "'x'\n-1\n0x1f\n");
}
END_TEST

static char offered[1024];
static void collect(void *opaque, const char *name)
{
    strcat(offered, name);
    strcat(offered, " ");
}

START_TEST(completion)
{
    monitor_complete(&mon, "sy", 2, collect, NULL);
    ck_assert_str_eq(offered, "system_reset system_powerdown ");
    *offered = 0;
    monitor_complete(&mon, "info me", 7, collect, NULL);
    ck_assert_str_eq(offered, "mem ");
    *offered = 0;
    monitor_complete(&mon, "help qu", 7, collect, NULL);
    ck_assert_str_eq(offered, "quit ");
    *offered = 0;
    monitor_complete(&mon, "stop x", 6, collect, NULL);
    ck_assert_str_eq(offered, "");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        words_flags_and_numbers,
        formats,
        what_is_wrong_is_said,
        expressions,
        deep_and_long_input_is_refused,
        commands_are_found_by_all_their_names,
        completion,
    };
    return check_list_main((struct check_list){.name = "monitor", .tests = tests, .count = ARRAY_SIZE(tests)});
}
