// SPDX-License-Identifier: MIT
// What the firmware is told: the boot order file, -boot's arguments, and images that are no firmware.
#include "frontends/boot_order.h"
#include "frontends/device_types.h"
#include "frontends/firmware.h"
#include "hw/fdc_82077.h"
#include "hw/i8237.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/check_main.h"

static struct err e;

START_TEST(boot_order_file)
{
    struct boot_order *o = boot_order_create();
    size_t len;
    char *text = boot_order_text(o, false, &len);

    ck_assert_uint_eq(len, 0);
    free(text);
    ck_assert_int_eq(boot_order_add_pci(o, 7, 4 << 3, "scsi", "/disk@0,0", &e), 0);
    ck_assert_int_eq(boot_order_add_pci(o, 1, 1 << 3 | 1, "ide", "/drive@0/disk@1", &e), 0);
    ck_assert_int_eq(boot_order_add(o, 3, "/rom@genroms/x", &e), 0);
    ck_assert_int_ne(boot_order_add(o, 3, "/twice", &e), 0);
    ck_assert_ptr_nonnull(strstr(e.text, "twice"));
    text = boot_order_text(o, false, &len);
    ck_assert_str_eq(text, "/pci@i0cf8/ide@1,1/drive@0/disk@1\n/rom@genroms/x\n/pci@i0cf8/scsi@4/disk@0,0");
    ck_assert_uint_eq(len, strlen(text) + 1);
    free(text);
    text = boot_order_text(o, true, &len);
    ck_assert_str_eq(text + len - 6, "\nHALT");
    free(text);
    for (int i = 100; boot_order_add(o, i, "/x", &e) == 0; i++)
        ck_assert_int_lt(i, 200); // there is an end
    boot_order_destroy(o);
}
END_TEST

START_TEST(boot_index_of_a_floppy)
{
    static struct address_space *ports, *mem; // what is made on them stays
    static struct devices d;
    struct fdc_config fc = {.base = 0x3f0, .dma_channel = 2};
    struct keyval kv;
    size_t len;
    char *text;

    fc.ports = ports = as_create("ports", 1 << 16);
    mem = as_create("memory", 1 << 20);
    fc.dma = i8237_create(ports, mem);
    d.dc = (struct devices_config){.fdc = fdc_create(&fc), .boot_order = boot_order_create()};
    ck_assert_int_eq(keyval_parse(&kv, "floppy,unit=1,bootindex=4", "driver", &e), 0);
    ck_assert_int_eq(device_floppy_create(&d, &kv, &e), 0);
    text = boot_order_text(d.dc.boot_order, false, &len);
    ck_assert_str_eq(text, "/pci@i0cf8/isa@1/fdc@03f0/floppy@1");
    free(text);
    keyval_free(&kv);
    boot_order_destroy(d.dc.boot_order);
}
END_TEST

static int parse(struct config *c, const char *boot)
{
    char *argv[] = {"ring3", "-boot", (char *)boot, NULL};

    return options_parse(c, 3, argv, &e) == OPTIONS_RUN ? 0 : -1;
}

START_TEST(boot_arguments)
{
    static const char *const bad[] = {"x",
                                      "cc",
                                      "acdn",
                                      "once=q",
                                      "menu=maybe",
                                      "splash-time=-1",
                                      "splash-time=99999",
                                      "reboot-timeout=-2",
                                      "reboot-timeout=",
                                      "order=c,wibble=1"};
    static struct config c;

    ck_assert_int_eq(parse(&c, "dc"), 0);
    ck_assert_str_eq(c.boot.order, "dc");
    ck_assert_int_eq(c.boot.reboot_timeout, -1);
    ck_assert_int_eq(parse(&c, "order=c,once=n,menu=on,splash-time=500,reboot-timeout=3000,strict=on"), 0);
    ck_assert_str_eq(c.boot.order, "c");
    ck_assert_str_eq(c.boot.once, "n");
    ck_assert(c.boot.menu && c.boot.strict && c.boot.has_splash_time);
    ck_assert_int_eq(c.boot.splash_time, 500);
    ck_assert_int_eq(c.boot.reboot_timeout, 3000);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
        ck_assert_msg(parse(&c, bad[i]) != 0, "%s was taken", bad[i]);
}
END_TEST

START_TEST(bios_images)
{
    static struct config c;
    static struct address_space *mem; // the firmware's regions end with it, and it with the process
    char path[] = "/tmp/ring3-test-bios-XXXXXX";
    int fd = mkstemp(path);
    struct firmware *f;

    mem = as_create("memory", 1ull << 33);
    c.bios = path;
    ck_assert_int_ne(firmware_open(&c, &f, &e), 0); // empty
    ck_assert_int_eq(ftruncate(fd, 65535), 0);
    ck_assert_int_ne(firmware_open(&c, &f, &e), 0);
    ck_assert_ptr_nonnull(strstr(e.text, "64 KiB"));
    ck_assert_int_eq(ftruncate(fd, FIRMWARE_MAX + 65536), 0);
    ck_assert_int_ne(firmware_open(&c, &f, &e), 0);
    ck_assert_int_eq(ftruncate(fd, 256 << 10), 0);
    ck_assert_int_eq(pwrite(fd, "reset", 5, (256 << 10) - 16), 5);
    ck_assert_int_eq(pwrite(fd, "low", 3, 128 << 10), 3);
    ck_assert_msg(firmware_open(&c, &f, &e) == 0, "%s", e.text);
    ck_assert_int_eq(firmware_map(f, mem), 0);
    ck_assert_uint_eq(as_load(mem, 0xfffffff0, 1), 'r');
    ck_assert_uint_eq(as_load(mem, 0xffff0, 1), 'r');
    ck_assert_uint_eq(as_load(mem, 0xe0000, 1), 'l');
    ck_assert_uint_eq(as_load(mem, 0xdffff, 1), 0xff); // nothing there
    as_store(mem, 0xffff0, 0, 1);
    ck_assert_uint_eq(as_load(mem, 0xffff0, 1), 'r');
    firmware_close(f);
    close(fd);
    unlink(path);
    ck_assert_int_ne(firmware_open(&c, &f, &e), 0);
    ck_assert_ptr_nonnull(strstr(e.text, "no such file"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("firmware");
    TCase *t = tcase_create("firmware");

    tcase_add_test(t, boot_order_file);
    tcase_add_test(t, boot_index_of_a_floppy);
    tcase_add_test(t, boot_arguments);
    tcase_add_test(t, bios_images);
    suite_add_tcase(s, t);
    return check_main(s);
}
