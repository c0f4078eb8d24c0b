// SPDX-License-Identifier: MIT
// The bzImage header's bounds, and what a loaded kernel finds in memory.
#include "frontends/linux_loader.h"

#include "cpu/cpu.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/check_main.h"

enum { SETUP_SECTS = 3, KERNEL_BYTES = 5000, FILE_BYTES = (SETUP_SECTS + 1) * 512 + KERNEL_BYTES };

static uint8_t image[FILE_BYTES];
static struct linux_header h;
static struct err e;

static void put(unsigned at, uint64_t v, unsigned size) { memcpy(image + at, &v, size); }

static void make_image(void)
{
    for (unsigned i = 0; i < FILE_BYTES; i++)
        image[i] = (uint8_t)(i * 7);
    image[0x1f1] = SETUP_SECTS;
    put(0x1f4, (KERNEL_BYTES + 15) / 16, 4);
    put(0x1fe, 0xaa55, 2);
    image[0x201] = 0x66;
    memcpy(image + 0x202, "HdrS", 4);
    put(0x206, 0x020f, 2);
    image[0x211] = 1;
    put(0x22c, 0x7fffffff, 4);
    put(0x230, 0x200000, 4);
    image[0x234] = 1;
    put(0x236, 1, 2);
    put(0x238, 2047, 4);
    put(0x258, 0x1000000, 8);
    put(0x260, 0x100000, 4);
}

START_TEST(good_header)
{
    make_image();
    ck_assert_int_eq(linux_parse_header(image, 1024, FILE_BYTES, &h, &e), 0);
    ck_assert(h.has_64 && h.relocatable);
    ck_assert_uint_eq(h.setup_bytes, (SETUP_SECTS + 1) * 512);
    ck_assert_uint_eq(h.kernel_bytes, KERNEL_BYTES);
    ck_assert_uint_eq(h.header_end, 0x268);
    ck_assert_uint_eq(h.cmdline_max, 2047);
    image[0x1f1] = 0; // means 4
    put(0x1f4, 0, 4);
    ck_assert_int_eq(linux_parse_header(image, 1024, FILE_BYTES, &h, &e), 0);
    ck_assert_uint_eq(h.setup_bytes, 5 * 512);
}
END_TEST

START_TEST(bad_headers)
{
    static const struct {
        unsigned at;
        uint64_t value;
        unsigned size;
        const char *what;
    } rows[] = {
        {0x1fe, 0, 2, "boot flag"},
        {0x202, 0, 4, "magic"},
        {0x206, 0x0203, 2, "old protocol"},
        {0x211, 0, 1, "loaded low"},
        {0x1f1, 255, 1, "set-up beyond the file"},
        {0x1f4, 0xffffffff, 4, "truncated"},
        {0x230, 0x30000, 4, "odd alignment"},
        {0x230, 0, 4, "no alignment"},
        {0, 0x464c457f, 4, "ELF"},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        make_image();
        put(rows[i].at, rows[i].value, rows[i].size);
        ck_assert_msg(linux_parse_header(image, 1024, FILE_BYTES, &h, &e) != 0, "%s was taken", rows[i].what);
    }
    make_image();
    for (size_t len = 0; len < 1024; len += 64)
        ck_assert_int_ne(linux_parse_header(image, len, len, &h, &e), 0);
}
END_TEST

static char kernel_path[] = "/tmp/ring3-test-kernel-XXXXXX", initrd_path[] = "/tmp/ring3-test-initrd-XXXXXX";

static void write_file(char *path, const void *data, size_t len)
{
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
    close(fd);
}

START_TEST(loads)
{
    struct boot_image_config cfg = {.cmdline = "console=ttyS0",
                                    .low_ram = 64 << 20,
                                    .e820_count = 2,
                                    .acpi_rsdp = 0xf0000,
                                    .e820 = {{0, 0x9fc00, 1}, {0x100000, 63 << 20, 1}}};
    struct address_space *mem = as_create("memory", 1ull << 36);
    static struct cpu cpu;
    struct boot_image *b;
    struct ram ram;
    uint8_t bp[4096], got[KERNEL_BYTES];
    uint64_t entry;
    uint32_t initrd, v;

    make_image();
    write_file(kernel_path, image, FILE_BYTES);
    write_file(initrd_path, "initrd-bytes", 12);
    cfg.kernel = kernel_path;
    cfg.initrd = initrd_path;
    ck_assert_int_eq(ram_create(&ram, 64 << 20), 0);
    ck_assert_ptr_nonnull(as_map_ram(mem, "ram", 0, 64 << 20, &ram, 0, false, 0));
    ck_assert_msg(linux_boot_open(&cfg, &b, &e) == 0, "%s", e.text);
    ck_assert_msg(boot_image_load(b, mem, &e) == 0, "%s", e.text);

    as_read(mem, 0x1000000, got, KERNEL_BYTES);
    ck_assert_mem_eq(got, image + (SETUP_SECTS + 1) * 512, KERNEL_BYTES);
    as_read(mem, LINUX_BOOT_PARAMS, bp, sizeof(bp));
    ck_assert_mem_eq(bp + 0x202, "HdrS", 4);
    ck_assert_uint_eq(bp[0x1e8], 2);
    ck_assert_uint_eq(bp[0x210], 0xff);
    ck_assert_uint_eq(bp[0x1ef], 0); // the sentinel
    memcpy(&v, bp + 0x228, 4);
    as_read(mem, v, got, 14);
    ck_assert_str_eq((char *)got, "console=ttyS0");
    memcpy(&initrd, bp + 0x218, 4);
    memcpy(&v, bp + 0x21c, 4);
    ck_assert_uint_eq(v, 12);
    ck_assert_uint_eq(initrd, (64 << 20) - 4096);
    as_read(mem, initrd, got, 12);
    ck_assert_mem_eq(got, "initrd-bytes", 12);
    // PML4[0] -> PDPT[1] -> PD[0]: 1 GiB is at 1 GiB
    as_read(mem, LINUX_PAGE_TABLES + 3 * 4096, &entry, 8);
    ck_assert_uint_eq(entry, 0x40000083);

    mmu_init(&cpu.mmu, mem, 36);
    cpu.mem = mem;
    boot_image_set_cpu(b, &cpu);
    ck_assert_uint_eq(cpu.rip, 0x1000200);
    ck_assert_uint_eq(cpu.gpr[RSI], LINUX_BOOT_PARAMS);
    ck_assert_uint_eq(cpu.efer, EFER_LME | EFER_LMA);
    ck_assert(cpu.mode & MODE_CS64);
    ck_assert(!(cpu.rflags & FL_IF));

    // Behind the firmware the 16-bit code is entered, in real mode wherever the guest called from.
    b->cfg.firmware = true;
    cpu.cpl = 3;
    boot_image_set_cpu(b, &cpu);
    ck_assert_uint_eq(cpu.seg[CS].base + cpu.rip, LINUX_SETUP + 0x200);
    ck_assert_uint_eq(cpu.cr0 & (CR0_PE | CR0_PG), 0);
    ck_assert_uint_eq(cpu.efer | cpu.cr4, 0);
    ck_assert_uint_eq(cpu.cpl, 0);
    ck_assert(cpu.mode & MODE_REAL);
    boot_image_close(b);
    ram_destroy(&ram);
    as_destroy(mem);
}
END_TEST

START_TEST(does_not_fit)
{
    struct boot_image_config cfg = {.low_ram = 2 << 20};
    struct boot_image *b;
    char path[] = "/tmp/ring3-test-kernel-XXXXXX";

    make_image();
    put(0x260, 0x1000000, 4);
    write_file(path, image, FILE_BYTES);
    cfg.kernel = path;
    ck_assert_int_ne(linux_boot_open(&cfg, &b, &e), 0);
    ck_assert_msg(strstr(e.text, "memory") != NULL, "%s", e.text);
    put(0x258, UINT64_MAX - 4096, 8); // address + size wraps
    image[0x234] = 0;
    unlink(path);
    strcpy(path, "/tmp/ring3-test-kernel-XXXXXX");
    write_file(path, image, FILE_BYTES);
    cfg.low_ram = 1 << 30;
    ck_assert_int_ne(linux_boot_open(&cfg, &b, &e), 0);
    unlink(path);
}
END_TEST

static void remove_files(void)
{
    unlink(kernel_path);
    unlink(initrd_path);
}

int main(void)
{
    Suite *s = suite_create("linux_loader");
    TCase *t = tcase_create("linux_loader");

    tcase_add_test(t, good_header);
    tcase_add_test(t, bad_headers);
    tcase_add_test(t, loads);
    tcase_add_test(t, does_not_fit);
    tcase_add_checked_fixture(t, NULL, remove_files);
    suite_add_tcase(s, t);
    return check_main(s);
}
