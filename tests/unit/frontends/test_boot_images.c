// SPDX-License-Identifier: MIT
// ELF, multiboot and PVH images: what is loaded where, what the kernel finds, and what is refused.
#include "frontends/elf_image.h"
#include "frontends/multiboot_loader.h"
#include "frontends/pvh_loader.h"

#include "cpu/cpu.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/check_main.h"

enum {
    FILE_BYTES = 0x3000,
    TEXT_AT = 0x1000,
    NOTE_AT = 0x200,
    LOAD_ADDR = 0x200000,
    TEXT_BYTES = 0x1800,
    BSS_BYTES = 0x800,
    VIRT = 0x40000000
};

static uint8_t image[FILE_BYTES];
static struct err e;
static struct elf_image elf;
static struct address_space *mem;
static struct ram ram;
static struct cpu cpu;
static char path[] = "/tmp/ring3-test-boot-XXXXXX", module_path[] = "/tmp/ring3-test-mod-XXXXXX";
static struct boot_image_config cfg;

static bool read_image(void *opaque, uint64_t offset, void *buf, size_t len)
{
    if (offset > sizeof(image) || len > sizeof(image) - offset)
        return false;
    memcpy(buf, image + offset, len);
    return true;
}

static int parse(void) { return elf_parse(read_image, NULL, sizeof(image), &elf, &e); }

static Elf32_Ehdr *ehdr(void) { return (Elf32_Ehdr *)image; }
static Elf32_Phdr *phdr(unsigned n) { return (Elf32_Phdr *)(image + sizeof(Elf32_Ehdr)) + n; }

// An ELF file of 32 bits: one segment with zeros behind it, and a note segment with the PVH entry point.
static void make_elf32(bool pvh)
{
    static const uint32_t note[] = {4, 4, 18, 0x006e6558, LOAD_ADDR + 0x20}; // "Xen\0"

    for (unsigned i = 0; i < FILE_BYTES; i++)
        image[i] = (uint8_t)(i * 13 + 5);
    *ehdr() = (Elf32_Ehdr){.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, 1},
                           .e_type = ET_EXEC,
                           .e_machine = EM_386,
                           .e_version = 1,
                           .e_entry = VIRT + 0x40,
                           .e_phoff = sizeof(Elf32_Ehdr),
                           .e_ehsize = sizeof(Elf32_Ehdr),
                           .e_phentsize = sizeof(Elf32_Phdr),
                           .e_phnum = pvh ? 2 : 1};
    *phdr(0) = (Elf32_Phdr){.p_type = PT_LOAD,
                            .p_offset = TEXT_AT,
                            .p_vaddr = VIRT,
                            .p_paddr = LOAD_ADDR,
                            .p_filesz = TEXT_BYTES,
                            .p_memsz = TEXT_BYTES + BSS_BYTES,
                            .p_flags = PF_R | PF_X};
    *phdr(1) = (Elf32_Phdr){.p_type = PT_NOTE, .p_offset = NOTE_AT, .p_filesz = sizeof(note), .p_align = 4};
    if (pvh)
        memcpy(image + NOTE_AT, note, sizeof(note));
}

static void put32(unsigned at, uint32_t v) { memcpy(image + at, &v, 4); }
static uint32_t get32(gpa at) { return (uint32_t)as_load(mem, at, 4); }

static void put_multiboot(unsigned at, uint32_t flags)
{
    put32(at, 0x1badb002);
    put32(at + 4, flags);
    put32(at + 8, -(0x1badb002 + flags));
}

static void write_file(char *name, const void *data, size_t len)
{
    int fd;

    unlink(name); // of the test's last image
    strcpy(name + strlen(name) - 6, "XXXXXX");
    fd = mkstemp(name);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
    close(fd);
}

static void setup(void)
{
    ck_assert_int_eq(ram_create(&ram, 16 << 20), 0);
    mem = as_create("memory", 1ull << 36);
    as_map_ram(mem, "ram", 0, 16 << 20, &ram, 0, false, 0);
    mmu_init(&cpu.mmu, mem, 36);
    cpu.mem = mem;
    cfg = (struct boot_image_config){.kernel = path,
                                     .cmdline = "one two",
                                     .low_ram = 16 << 20,
                                     .acpi_rsdp = 0xf0000,
                                     .e820 = {{0, 0x9fc00, 1}, {0x100000, 15 << 20, 1}},
                                     .e820_count = 2};
}

static void teardown(void)
{
    unlink(path);
    unlink(module_path);
    ram_destroy(&ram);
    as_destroy(mem);
}

static struct boot_image *load(void)
{
    struct boot_image *b;

    write_file(path, image, sizeof(image));
    ck_assert_msg(boot_image_open(&cfg, &b, &e) == 0, "%s", e.text);
    ck_assert_msg(boot_image_load(b, mem, &e) == 0, "%s", e.text);
    cpu.cr0 = CR0_PE | CR0_PG;
    boot_image_set_cpu(b, &cpu);
    ck_assert_uint_eq(cpu.cr0, CR0_PE | CR0_ET);
    ck_assert_uint_eq(cpu.seg[CS].limit, 0xffffffff);
    ck_assert((cpu.mode & (MODE_CS32 | MODE_FLAT)) == (MODE_CS32 | MODE_FLAT));
    ck_assert(!(cpu.rflags & FL_IF));
    return b;
}

static void refused(const char *text)
{
    struct boot_image *b;

    write_file(path, image, sizeof(image));
    ck_assert_int_ne(boot_image_open(&cfg, &b, &e), 0);
    ck_assert_msg(strstr(e.text, text) != NULL, "'%s' instead of '%s'", e.text, text);
    unlink(path);
}

static void check_loaded(void)
{
    uint8_t got[TEXT_BYTES + BSS_BYTES], zeros[BSS_BYTES] = {0};

    as_read(mem, LOAD_ADDR, got, sizeof(got));
    ck_assert_mem_eq(got, image + TEXT_AT, TEXT_BYTES);
    ck_assert_mem_eq(got + TEXT_BYTES, zeros, BSS_BYTES);
}

START_TEST(elf32)
{
    make_elf32(true);
    ck_assert_msg(parse() == 0, "%s", e.text);
    ck_assert_uint_eq(elf.segments, 1);
    ck_assert_uint_eq(elf.entry, LOAD_ADDR + 0x40);
    ck_assert_uint_eq(elf.low, LOAD_ADDR);
    ck_assert_uint_eq(elf.high, LOAD_ADDR + TEXT_BYTES + BSS_BYTES);
    ck_assert(elf.has_pvh && elf.pvh_entry == LOAD_ADDR + 0x20);
    make_elf32(false);
    ck_assert_int_eq(parse(), 0);
    ck_assert(!elf.has_pvh);
}
END_TEST

START_TEST(damaged_elf)
{
    make_elf32(true);
    phdr(0)->p_offset = FILE_BYTES - 10;
    ck_assert_int_ne(parse(), 0);
    make_elf32(true);
    phdr(0)->p_memsz = TEXT_BYTES - 1;
    ck_assert_int_ne(parse(), 0);
    make_elf32(true);
    ehdr()->e_phoff = FILE_BYTES - 8;
    ck_assert_int_ne(parse(), 0);
    make_elf32(true);
    ehdr()->e_phentsize = 8;
    ck_assert_int_ne(parse(), 0);
    make_elf32(true);
    ehdr()->e_machine = EM_ARM;
    ck_assert_int_ne(parse(), 0);
    make_elf32(true);
    ehdr()->e_type = ET_REL;
    ck_assert_int_ne(parse(), 0);
    make_elf32(true);
    phdr(0)->p_type = PT_NULL;
    ck_assert_int_ne(parse(), 0);
    make_elf32(true); // notes with absurd sizes
    put32(NOTE_AT, 0xfffffff0);
    ck_assert_int_eq(parse(), 0);
    ck_assert(!elf.has_pvh);
    make_elf32(true);
    put32(NOTE_AT + 4, 0xfffffffc);
    ck_assert_int_eq(parse(), 0);
    ck_assert(!elf.has_pvh);
}
END_TEST

START_TEST(pvh)
{
    struct boot_image *b;
    uint32_t info;

    make_elf32(true);
    write_file(module_path, "module-bytes", 12);
    cfg.initrd = module_path;
    b = load();
    check_loaded();
    info = (uint32_t)cpu.gpr[RBX];
    ck_assert_uint_eq(cpu.rip, LOAD_ADDR + 0x20);
    ck_assert_uint_eq(cpu.tr.limit, 0x67);
    ck_assert_uint_ge(info, LOAD_ADDR + TEXT_BYTES + BSS_BYTES);
    ck_assert_uint_eq(get32(info), 0x336ec578);
    ck_assert_uint_eq(get32(info + 12), 1);       // modules
    ck_assert_uint_eq(get32(info + 32), 0xf0000); // RSDP
    ck_assert_uint_eq(get32(info + 48), 2);       // memory map
    ck_assert_uint_eq(get32(get32(info + 40) + 24), 0x100000);
    ck_assert_uint_eq(get32(get32(info + 16) + 8), 12);
    ck_assert_uint_eq(get32(get32(get32(info + 16))), 0x75646f6d); // "modu"
    ck_assert_uint_eq(get32(get32(info + 24)), 0x20656e6f);        // "one "
    boot_image_close(b);
}
END_TEST

START_TEST(pvh_refused)
{
    make_elf32(false);
    refused("without a PVH note");
    make_elf32(true);
    phdr(0)->p_paddr = 0x9e000;
    refused("where a PC has no memory");
    make_elf32(true);
    phdr(0)->p_paddr = 0xfff00000;
    refused("-m");
    make_elf32(true);
    put32(NOTE_AT + 16, 0x100);
    refused("entry point");
}
END_TEST

START_TEST(multiboot_elf)
{
    struct boot_image *b;
    char list[100], got[60];
    uint32_t info, mods;

    make_elf32(false);
    put_multiboot(0x400, 3);
    write_file(module_path, "module-bytes", 12);
    snprintf(list, sizeof(list), "%s a,,b,%s", module_path, module_path);
    cfg.initrd = list;
    b = load();
    check_loaded();
    info = (uint32_t)cpu.gpr[RBX];
    ck_assert_uint_eq(cpu.gpr[RAX], 0x2badb002);
    ck_assert_uint_eq(cpu.rip, LOAD_ADDR + 0x40);
    ck_assert_uint_eq(get32(info), 1 | 2 | 4 | 8 | 0x40 | 0x200);
    ck_assert_uint_eq(get32(info + 8), 15 * 1024);
    as_read(mem, get32(info + 16), got, sizeof(got));
    ck_assert_ptr_nonnull(strstr(got, " one two"));
    ck_assert_uint_eq(get32(info + 20), 2);
    mods = get32(info + 24);
    for (unsigned i = 0; i < 2; i++) {
        uint32_t start = get32(mods + 16 * i);

        ck_assert_uint_eq(start % 4096, 0);
        ck_assert_uint_eq(get32(mods + 16 * i + 4), start + 12);
        ck_assert_uint_eq(get32(start), 0x75646f6d);
    }
    as_read(mem, get32(mods + 8), got, sizeof(got));
    ck_assert_str_eq(got + strlen(module_path), " a,b");
    ck_assert_uint_eq(get32(info + 44), 2 * 24);
    ck_assert_uint_eq(get32(get32(info + 48)), 20);
    ck_assert_uint_eq(get32(get32(info + 48) + 24 + 4), 0x100000);
    boot_image_close(b);
}
END_TEST

START_TEST(multiboot_addresses)
{
    struct boot_image *b;
    uint8_t got[16], zeros[16] = {0};
    const uint32_t fields[5] = {0x300100, 0x300000, 0x301000, 0x301800, 0x300123};

    memset(image, 0xcc, sizeof(image));
    put_multiboot(0x1100, 0x10003);
    for (unsigned i = 0; i < 5; i++)
        put32(0x1100 + 12 + 4 * i, fields[i]);
    image[0x1000] = 0x5a; // where the load address begins
    image[0x1fff] = 0x5b;
    b = load();
    ck_assert_uint_eq(cpu.rip, 0x300123);
    as_read(mem, 0x300000, got, 1);
    ck_assert_uint_eq(got[0], 0x5a);
    as_read(mem, 0x300fff, got, 16);
    ck_assert_uint_eq(got[0], 0x5b);
    ck_assert_mem_eq(got + 1, zeros, 15);
    boot_image_close(b);
    put32(0x1100 + 12, 0x2fffff); // header before the load address
    refused("do not fit its file");
    put32(0x1100 + 12, 0x302000); // load address before the file
    refused("do not fit its file");
    put32(0x1100 + 12, 0x300100);
    put32(0x1100 + 20, 0x2fffff);
    refused("ends before");
    put32(0x1100 + 20, 0x400000);
    refused("truncated");
    put32(0x1100 + 20, 0x301000);
    put32(0x1100 + 24, 0x300fff);
    refused("zeros");
    put32(0x1100 + 24, 0xffffffff);
    refused("-m");
}
END_TEST

START_TEST(multiboot_refused)
{
    make_elf32(false);
    put_multiboot(0x400, 0x8003);
    refused("features");
    make_elf32(false);
    ehdr()->e_machine = EM_X86_64;
    put_multiboot(0x400, 3);
    refused("32-bit ELF");
    make_elf32(false);
    put_multiboot(0x400, 3);
    cfg.initrd = "/nonexistent/module";
    refused("No such file");
    struct multiboot_header h;
    memset(image, 0, sizeof(image));
    put_multiboot(8192 - 12, 0x10003); // its addresses are beyond what is searched
    ck_assert_int_lt(multiboot_find_header(image, sizeof(image), &h, &e), 0);
    put32(8192 - 4, 0); // a checksum that does not add up
    ck_assert_int_eq(multiboot_find_header(image, sizeof(image), &h, &e), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("boot_images");
    TCase *t = tcase_create("boot_images");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, elf32);
    tcase_add_test(t, damaged_elf);
    tcase_add_test(t, pvh);
    tcase_add_test(t, pvh_refused);
    tcase_add_test(t, multiboot_elf);
    tcase_add_test(t, multiboot_addresses);
    tcase_add_test(t, multiboot_refused);
    suite_add_tcase(s, t);
    return check_main(s);
}
