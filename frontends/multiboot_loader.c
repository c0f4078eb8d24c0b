// SPDX-License-Identifier: MIT
// Loads a multiboot kernel, ELF or by the addresses in its header, with modules, memory map and command line.
//
// Above the kernel, from the next page on: information structure, memory map, module list, strings; then each module
// on a page of its own.
#include "frontends/multiboot_loader.h"

#include "cpu/cpu.h"
#include "frontends/elf_image.h"
#include "frontends/le_bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEADER_MAGIC = 0x1badb002, LOADER_MAGIC = 0x2badb002 };
enum { // section 3.1.2 "The magic fields of Multiboot header"
    WANT_PAGES = 1 << 0,
    WANT_MEMORY = 1 << 1,
    WANT_VIDEO = 1 << 2,
    HAS_ADDRESSES = 1 << 16,
    KNOWN_REQUIREMENTS = WANT_PAGES | WANT_MEMORY | WANT_VIDEO,
    REQUIREMENTS = 0xffff,
};
enum { // section 3.3 "Boot information format"
    INFO_MEMORY = 1 << 0,
    INFO_BOOT_DEVICE = 1 << 1,
    INFO_CMDLINE = 1 << 2,
    INFO_MODS = 1 << 3,
    INFO_MMAP = 1 << 6,
    INFO_LOADER_NAME = 1 << 9,
};
enum { BOOT_DEVICE = 0x8000ffff, STRINGS_MAX = 64 << 10 }; // the first partition of the first disk
static const char loader_name[] = "ring3";

struct mb_info {
    uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4], mmap_length, mmap_addr,
        drives_length, drives_addr, config_table, boot_loader_name, apm_table, vbe[4];
};
struct mb_module {
    uint32_t start, end, string, reserved;
};
struct mb_memory {
    uint32_t size;
    uint64_t addr, len;
    uint32_t type;
} __attribute__((packed));
struct mb_area {
    struct mb_info info;
    struct mb_memory map[BOOT_MAX_E820];
    struct mb_module mod[MULTIBOOT_MAX_MODULES];
    char strings[STRINGS_MAX]; // only string_bytes of them are written
};

struct multiboot {
    struct boot_image image;
    struct elf_image elf; // for a header with addresses: its one segment
    int fd;
    struct module {
        int fd;
        uint64_t addr, size;
        uint32_t string; // offset in strings
    } mod[MULTIBOOT_MAX_MODULES];
    unsigned mods;
    uint64_t area_addr;
    uint32_t cmdline, string_bytes; // offsets in strings
    char strings[STRINGS_MAX];
};

// --- the header

static uint32_t get32(const uint8_t *p) { return (uint32_t)get_le(p, 4); }

int multiboot_find_header(const uint8_t *file, size_t len, struct multiboot_header *h, struct err *e)
{
    if (len > MULTIBOOT_SEARCH)
        len = MULTIBOOT_SEARCH;
    for (size_t at = 0; at + 12 <= len; at += 4) {
        uint32_t flags = get32(file + at + 4);
        const uint8_t *p = file + at + 12;

        if (get32(file + at) != HEADER_MAGIC || HEADER_MAGIC + flags + get32(file + at + 8))
            continue;
        *h = (struct multiboot_header){.offset = (uint32_t)at, .flags = flags};
        if (flags & REQUIREMENTS & ~KNOWN_REQUIREMENTS)
            return err_set(e, "its multiboot header asks for features %#x that we do not have",
                           flags & REQUIREMENTS & ~KNOWN_REQUIREMENTS);
        if (!(flags & HAS_ADDRESSES))
            return 1;
        if (at + 32 > len)
            return err_set(e, "its multiboot header is truncated");
        h->header_addr = get32(p);
        h->load_addr = get32(p + 4);
        h->load_end_addr = get32(p + 8);
        h->bss_end_addr = get32(p + 12);
        h->entry_addr = get32(p + 16);
        return 1;
    }
    return 0;
}

// Section 3.1.3 "The address fields of Multiboot header"
static int use_addresses(const struct multiboot_header *h, uint64_t size, struct elf_image *elf, struct err *e)
{
    struct elf_segment *s = &elf->segment[0];

    memset(elf, 0, sizeof(*elf));
    if (h->header_addr < h->load_addr || h->header_addr - h->load_addr > h->offset)
        return err_set(e, "the addresses of its multiboot header do not fit its file");
    s->offset = h->offset - (h->header_addr - h->load_addr);
    s->addr = h->load_addr;
    if (h->load_end_addr && h->load_end_addr < h->load_addr)
        return err_set(e, "its multiboot header ends before it begins");
    s->file_size = h->load_end_addr ? h->load_end_addr - h->load_addr : size - s->offset;
    if (s->file_size > size - s->offset)
        return err_set(e, "it is truncated");
    s->mem_size = s->file_size;
    if (h->bss_end_addr) {
        if (h->bss_end_addr < h->load_addr + s->file_size)
            return err_set(e, "its multiboot header ends its zeros before its data");
        s->mem_size = h->bss_end_addr - h->load_addr;
    }
    elf->segments = 1;
    elf->low = s->addr;
    elf->high = s->addr + s->mem_size;
    elf->entry = h->entry_addr;
    return 0;
}

// --- strings and modules

// Appends a string; its offset, or -EINVAL with a message.
static int add_string(struct multiboot *b, const char *a, const char *separator, const char *rest, struct err *e)
{
    size_t len = strlen(a) + strlen(separator) + strlen(rest) + 1;
    uint32_t at = b->string_bytes;
    char *p = b->strings + at;

    if (len > STRINGS_MAX - at)
        return err_set(e, "command line and module arguments are longer than %d characters", STRINGS_MAX);
    p = stpcpy(p, a);
    p = stpcpy(p, separator);
    stpcpy(p, rest);
    b->string_bytes += (uint32_t)len;
    return (int)at;
}

// The next of a list with commas, ",," undone, into text. NULL at its end, or the rest.
static const char *next_module(const char *list, char *text, size_t size, struct err *e)
{
    size_t n = 0;

    for (; *list && (*list != ',' || list[1] == ','); list++) {
        list += *list == ',';
        if (n + 1 == size) {
            err_set(e, "-initrd: a module's name and arguments are too long");
            return NULL;
        }
        text[n++] = *list;
    }
    text[n] = 0;
    return *list ? list + 1 : list;
}

static int open_modules(struct multiboot *b, const char *list, struct err *e)
{
    char text[4096];

    while (list && *list) {
        struct module *m = &b->mod[b->mods];
        int at;
        char *space;

        if (b->mods == MULTIBOOT_MAX_MODULES)
            return err_set(e, "-initrd: more than %d modules", MULTIBOOT_MAX_MODULES);
        list = next_module(list, text, sizeof(text), e);
        if (!list || (at = add_string(b, text, "", "", e)) < 0)
            return -EINVAL;
        m->string = (uint32_t)at;
        space = strchr(text, ' ');
        if (space)
            *space = 0;
        m->fd = boot_file_open(text, &m->size, "-initrd", e);
        if (m->fd < 0)
            return -EINVAL;
        b->mods++;
    }
    return 0;
}

static int place(struct multiboot *b, struct err *e)
{
    uint64_t at;

    if (boot_check_range(&b->image.cfg, b->elf.low, b->elf.high, e))
        return -EINVAL;
    if (b->elf.entry > UINT32_MAX)
        return err_set(e, "its entry point %#llx is above 4 GiB", (unsigned long long)b->elf.entry);
    b->area_addr = (b->elf.high < 0x100000 ? 0x100000 : b->elf.high + PAGE_SIZE - 1) & PAGE_MASK;
    at = b->area_addr + offsetof(struct mb_area, strings) + b->string_bytes;
    for (unsigned i = 0; i < b->mods; i++) {
        b->mod[i].addr = (at + PAGE_SIZE - 1) & PAGE_MASK;
        if (__builtin_add_overflow(b->mod[i].addr, b->mod[i].size, &at) || at > b->image.cfg.low_ram)
            return err_set(e, "the modules of -initrd do not fit behind it; give more memory with -m");
    }
    return boot_check_range(&b->image.cfg, b->area_addr, at, e);
}

// --- boot_image_ops

static void multiboot_close(struct boot_image *image)
{
    struct multiboot *b = CONTAINER_OF(image, struct multiboot, image);

    if (b->fd >= 0)
        close(b->fd);
    for (unsigned i = 0; i < b->mods; i++)
        close(b->mod[i].fd);
    free(b);
}

static uint32_t string_addr(const struct multiboot *b, uint32_t offset)
{
    return (uint32_t)b->area_addr + offsetof(struct mb_area, strings) + offset;
}

static void fill_info(const struct multiboot *b, struct mb_area *a)
{
    const struct boot_image_config *cfg = &b->image.cfg;
    uint32_t at = (uint32_t)b->area_addr;

    a->info = (struct mb_info){
        .flags = INFO_MEMORY | INFO_BOOT_DEVICE | INFO_CMDLINE | INFO_MMAP | INFO_LOADER_NAME |
                 (b->mods ? INFO_MODS : 0),
        .mem_lower = 639,
        .mem_upper = (uint32_t)(cfg->low_ram / 1024 - 1024),
        .boot_device = BOOT_DEVICE,
        .cmdline = string_addr(b, b->cmdline),
        .mods_count = b->mods,
        .mods_addr = at + offsetof(struct mb_area, mod),
        .mmap_length = cfg->e820_count * sizeof(a->map[0]),
        .mmap_addr = at + offsetof(struct mb_area, map),
        .boot_loader_name = string_addr(b, 0),
    };
    for (unsigned i = 0; i < cfg->e820_count; i++)
        a->map[i] = (struct mb_memory){sizeof(a->map[0]) - 4, cfg->e820[i].addr, cfg->e820[i].size, cfg->e820[i].type};
    for (unsigned i = 0; i < b->mods; i++)
        a->mod[i] = (struct mb_module){(uint32_t)b->mod[i].addr, (uint32_t)(b->mod[i].addr + b->mod[i].size),
                                       string_addr(b, b->mod[i].string), 0};
    memcpy(a->strings, b->strings, b->string_bytes);
}

static int multiboot_load(struct boot_image *image, struct address_space *mem, struct err *e)
{
    struct multiboot *b = CONTAINER_OF(image, struct multiboot, image);
    struct mb_area *area = calloc(1, sizeof(*area));
    bool written;

    if (!area)
        return err_set(e, "out of memory");
    fill_info(b, area);
    written = as_write(mem, b->area_addr, area, offsetof(struct mb_area, strings) + b->string_bytes);
    free(area);
    if (!written)
        return err_set(e, "no memory at %#llx for the boot information", (unsigned long long)b->area_addr);
    if (boot_elf_copy(mem, b->fd, &b->elf, e))
        return -EINVAL;
    for (unsigned i = 0; i < b->mods; i++)
        if (boot_file_copy(mem, b->mod[i].fd, 0, b->mod[i].size, b->mod[i].addr, e))
            return -EINVAL;
    return 0;
}

// Section 3.2 "Machine state"
static void multiboot_set_cpu(const struct boot_image *image, struct cpu *cpu)
{
    const struct multiboot *b = CONTAINER_OF(image, const struct multiboot, image);

    boot_cpu_flat32(cpu, (uint32_t)b->elf.entry);
    cpu->gpr[RAX] = LOADER_MAGIC;
    cpu->gpr[RBX] = b->area_addr;
}

static const struct boot_image_ops multiboot_ops = {
    .load = multiboot_load,
    .set_cpu = multiboot_set_cpu,
    .close = multiboot_close,
};

// QEMU refuses x86-64 ELF files here, too: the entry point runs in 32-bit mode.
static int read_image(struct multiboot *b, const struct multiboot_header *h, int fd, uint64_t size, struct err *e)
{
    if (h->flags & HAS_ADDRESSES)
        return use_addresses(h, size, &b->elf, e);
    if (elf_parse(boot_file_read, &fd, size, &b->elf, e))
        return -EINVAL;
    return b->elf.machine == ELF_MACHINE_386 ? 0 : err_set(e, "a multiboot kernel has to be a 32-bit ELF file");
}

int multiboot_open(const struct boot_image_config *cfg, const struct multiboot_header *h, int fd, uint64_t size,
                   struct boot_image **out, struct err *e)
{
    struct multiboot *b = calloc(1, sizeof(*b));
    const char *append = boot_cmdline(cfg);
    int at;

    if (!b)
        return err_set(e, "out of memory");
    b->image = (struct boot_image){.ops = &multiboot_ops, .cfg = *cfg};
    b->fd = -1;
    if (read_image(b, h, fd, size, e) || add_string(b, loader_name, "", "", e) < 0 ||
        (at = add_string(b, cfg->kernel, *append ? " " : "", append, e)) < 0)
        goto fail;
    b->cmdline = (uint32_t)at;
    if (open_modules(b, cfg->initrd, e) || place(b, e))
        goto fail;
    b->fd = fd;
    *out = &b->image;
    return 0;
fail:
    multiboot_close(&b->image);
    return -EINVAL;
}
