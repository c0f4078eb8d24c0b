// SPDX-License-Identifier: MIT
// The command line: what each flag leaves in struct config, and what is refused.
#include "frontends/devices.h"
#include "frontends/options.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/check_main.h"

static struct config c;
static struct err e;

static enum options_result parse(const char *const *args)
{
    char *argv[32] = {(char *)"ring3"};
    int argc = 1;

    while (args[argc - 1] && argc < 31) {
        argv[argc] = (char *)args[argc - 1];
        argc++;
    }
    e.text[0] = 0;
    return options_parse(&c, argc, argv, &e);
}
#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

START_TEST(defaults)
{
    ck_assert_int_eq(PARSE("-nographic"), OPTIONS_RUN);
    ck_assert(c.nographic && !c.no_reboot && !c.no_sandbox && !c.kernel);
    ck_assert_uint_eq(c.ram_bytes, 128 << 20);
    ck_assert_str_eq(c.accel, "bt");
    ck_assert_str_eq(c.cpu, "max");
}
END_TEST

START_TEST(values)
{
    ck_assert_int_eq(PARSE("-m", "size=1G", "-accel", "bt,tb-size=64", "-kernel", "k", "--append", "a b", "-no-reboot",
                           "-serial", "stdio", "-serial", "null", "-sandbox", "off", "-rtc", "base=2001-02-03,clock=vm",
                           "-smp", "1", "-machine", "pc,accel=interp"),
                     OPTIONS_RUN);
    ck_assert_uint_eq(c.ram_bytes, 1 << 30);
    ck_assert_uint_eq(c.tb_bytes, 64 << 20);
    ck_assert_str_eq(c.accel, "interp");
    ck_assert_str_eq(c.append, "a b");
    ck_assert_uint_eq(c.serial_count, 2);
    ck_assert_str_eq(c.serials[1], "null");
    ck_assert(c.no_reboot && c.no_sandbox && c.rtc_vm_clock);
    ck_assert_int_eq(c.rtc_base, CONFIG_RTC_DATE);
    ck_assert_int_eq(c.rtc_date, 981158400);
}
END_TEST

START_TEST(refused)
{
    static const char *const rows[][3] = {
        {"-nosuch", NULL},
        {"-m", NULL},
        {"-m", "x", NULL},
        {"-m", "1T", NULL},
        {"-smp", "4", NULL},
        {"-machine", "q35", NULL},
        {"-machine", "pc,colour=red", NULL},
        {"-accel", "tcg", NULL},
        {"-accel", "bt,tb-size=99999", NULL},
        {"-rtc", "base=yesterday", NULL},
        {"-rtc", "clock=rt", NULL},
        {"-display", "gtk", NULL},
        {"-vga", "cirrus", NULL},
        {"-net", "user", NULL},
        {"-S1", NULL},
        {"-gdb", NULL},
        {"-bios", NULL},
        {"-sandbox", "maybe", NULL},
        {"-", NULL},
        {"", NULL},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        ck_assert_msg(parse(rows[i]) == OPTIONS_ERROR, "%s %s was taken", rows[i][0], rows[i][1] ? rows[i][1] : "");
        ck_assert_msg(strlen(e.text) > 0 && !strchr(e.text, '\n'), "%s: message '%s'", rows[i][0], e.text);
        config_free(&c);
    }
}
END_TEST

START_TEST(too_many)
{
    const char *args[40] = {NULL};

    for (int i = 0; i < 10; i += 2) {
        args[i] = "-serial";
        args[i + 1] = "null";
    }
    ck_assert_int_eq(parse(args), OPTIONS_ERROR);
}
END_TEST

// One good line, and for each way to spoil it what must be said.
START_TEST(device_names)
{
    static const struct {
        const char *flag, *arg, *says;
    } rows[] = {
        {"-device", "virtio-rng-pci", NULL},
        {"-device", "virtio-rng-pci,max-bytes=1k,addr=5", NULL},
        {"-device", "virtio-blk", NULL},
        {"-device", "nosuch", "no device 'nosuch'"},
        {"-device", "virtio-rng-pci,drive=x", "no property 'drive'"},
        {"-device", "isa-debug-exit,addr=4", "no property 'addr'"},
        {"-drive", "file=x,if=virtio,format=raw,cache=none", NULL},
        {"-drive", "file=x,if=none", "id="},
        {"-drive", "if=virtio", "file="},
        {"-drive", "file=x,if=scsi", "if=scsi"},
        {"-drive", "file=x,if=virtio,media=cdrom", "media=cdrom"},
        {"-netdev", "user", "id="},
        {"-netdev", "user,id=n", NULL},
        {"-netdev", "bridge,id=n", "bridge"},
        {"-object", "rng-random,id=r,filename=/dev/urandom", NULL},
        {"-object", "rng-random,id=r,filename=/etc/passwd", "filename"},
        {"-object", "rng-random", "id="},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        int ret;

        ck_assert_int_eq(PARSE(rows[i].flag, rows[i].arg), OPTIONS_RUN);
        ret = devices_check(&c, &e);
        ck_assert_msg(!ret == !rows[i].says, "%s %s gave %d (%s)", rows[i].flag, rows[i].arg, ret, e.text);
        if (ret)
            ck_assert_msg(strstr(e.text, rows[i].says) != NULL, "%s: '%s'", rows[i].arg, e.text);
        config_free(&c);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("options");
    TCase *t = tcase_create("options");

    tcase_add_test(t, defaults);
    tcase_add_test(t, values);
    tcase_add_test(t, refused);
    tcase_add_test(t, too_many);
    tcase_add_test(t, device_names);
    suite_add_tcase(s, t);
    return check_main(s);
}
