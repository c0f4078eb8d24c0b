// SPDX-License-Identifier: MIT
// The Linux/x86 boot protocol: header checks, placement, loading, and the CPU state at the entry point.
#include "frontends/linux_loader.h"

#include "cpu/cpu.h"
#include "frontends/le_bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Offsets in the set-up header and in boot_params alike: boot.rst, section "The Real-Mode Kernel Header";
// zero-page.rst for the others.
enum {
    BP_ACPI_RSDP = 0x070,
    BP_E820_ENTRIES = 0x1e8,
    HDR_SETUP_SECTS = 0x1f1,
    HDR_VID_MODE = 0x1fa,
    HDR_BOOT_FLAG = 0x1fe,
    HDR_JUMP_LEN = 0x201,
    HDR_MAGIC = 0x202,
    HDR_VERSION = 0x206,
    HDR_TYPE_OF_LOADER = 0x210,
    HDR_LOADFLAGS = 0x211,
    HDR_CODE32_START = 0x214,
    HDR_RAMDISK_IMAGE = 0x218,
    HDR_RAMDISK_SIZE = 0x21c,
    HDR_HEAP_END = 0x224,
    HDR_CMD_LINE_PTR = 0x228,
    HDR_INITRD_MAX = 0x22c,
    HDR_ALIGNMENT = 0x230,
    HDR_RELOCATABLE = 0x234,
    HDR_XLOADFLAGS = 0x236,
    HDR_CMDLINE_SIZE = 0x238,
    HDR_SETUP_DATA = 0x250,
    HDR_PREF_ADDRESS = 0x258,
    HDR_INIT_SIZE = 0x260,
    BP_E820_TABLE = 0x2d0,
    BP_SIZE = 4096,
};
enum { LOADED_HIGH = 1 << 0, CAN_USE_HEAP = 1 << 7, XLF_KERNEL_64 = 1 << 0, LOADER_UNDEFINED = 0xff };

enum { SECTOR = 512, HEADER_BYTES = 1024, KERNEL_64_ENTRY = 0x200 };

struct linux_boot {
    struct boot_image image;
    struct linux_header header;
    int kernel_fd, initrd_fd; // -1: none
    uint64_t kernel_addr, initrd_addr, initrd_size;
    uint8_t first[HEADER_BYTES];
    char *cmdline;
};

int linux_parse_header(const uint8_t *file, size_t len, uint64_t file_size, struct linux_header *h, struct err *e)
{
    unsigned sects;

    memset(h, 0, sizeof(*h));
    if (len >= 4 && !memcmp(file, "\177ELF", 4))
        return err_set(e, "it is an ELF file; the boot image (arch/x86/boot/bzImage, vmlinuz) is needed");
    if (len < HEADER_BYTES || get_le(file + HDR_BOOT_FLAG, 2) != 0xaa55 || memcmp(file + HDR_MAGIC, "HdrS", 4))
        return err_set(e, "it is not a Linux kernel (no boot header)");
    h->version = (uint16_t)get_le(file + HDR_VERSION, 2);
    h->header_end = HDR_MAGIC + file[HDR_JUMP_LEN];
    h->loaded_high = file[HDR_LOADFLAGS] & LOADED_HIGH;
    if (h->version < 0x0204 || !h->loaded_high || h->header_end > HEADER_BYTES)
        return err_set(e, "its boot protocol %u.%02u is too old", h->version >> 8, h->version & 0xff);
    sects = file[HDR_SETUP_SECTS] ? file[HDR_SETUP_SECTS] : 4;
    h->setup_bytes = (sects + 1) * SECTOR;
    if (file_size <= h->setup_bytes)
        return err_set(e, "the kernel is truncated");
    h->kernel_bytes = file_size - h->setup_bytes;
    // syssize counts paragraphs; a signed kernel has more bytes behind, none has fewer.
    if (h->kernel_bytes < get_le(file + 0x1f4, 4) * 16 - 15 && get_le(file + 0x1f4, 4))
        return err_set(e, "the kernel is truncated (%llu of %llu bytes)", (unsigned long long)h->kernel_bytes,
                       (unsigned long long)get_le(file + 0x1f4, 4) * 16);
    h->initrd_max = (uint32_t)get_le(file + HDR_INITRD_MAX, 4);
    h->cmdline_max = 255;
    h->pref_address = 0x100000;
    h->alignment = 1 << 20;
    if (h->version >= 0x0205) {
        h->alignment = (uint32_t)get_le(file + HDR_ALIGNMENT, 4);
        h->relocatable = file[HDR_RELOCATABLE];
    }
    if (h->version >= 0x0206)
        h->cmdline_max = (uint32_t)get_le(file + HDR_CMDLINE_SIZE, 4);
    if (h->version >= 0x020a) {
        h->pref_address = get_le(file + HDR_PREF_ADDRESS, 8);
        h->init_size = (uint32_t)get_le(file + HDR_INIT_SIZE, 4);
    }
    if (h->version >= 0x020c)
        h->has_64 = get_le(file + HDR_XLOADFLAGS, 2) & XLF_KERNEL_64;
    if (h->relocatable && (!h->alignment || (h->alignment & (h->alignment - 1)) || h->alignment > 1 << 30))
        return err_set(e, "its header asks for an alignment of %#x", h->alignment);
    return 0;
}

// The kernel runs and unpacks itself in [address, address + init_size).
static int place_kernel(struct linux_boot *b, struct err *e)
{
    struct linux_header *h = &b->header;
    uint64_t need = h->kernel_bytes > h->init_size ? h->kernel_bytes : h->init_size;
    uint64_t end;

    b->kernel_addr = h->pref_address;
    if (__builtin_add_overflow(b->kernel_addr, need, &end) || end > b->image.cfg.low_ram)
        if (h->relocatable) // try as low as it goes
            b->kernel_addr = h->alignment > 0x100000 ? h->alignment : 0x100000;
    if (b->kernel_addr < 0x100000)
        return err_set(e, "its header asks to be loaded at %#llx", (unsigned long long)b->kernel_addr);
    if (__builtin_add_overflow(b->kernel_addr, need, &end) || end > b->image.cfg.low_ram)
        return err_set(e, "the kernel needs %llu MiB of memory; give it more with -m",
                       (unsigned long long)((end >> 20) + 1));
    return 0;
}

static int place_initrd(struct linux_boot *b, struct err *e)
{
    struct linux_header *h = &b->header;
    uint64_t kernel_end = b->kernel_addr + (h->kernel_bytes > h->init_size ? h->kernel_bytes : h->init_size);
    uint64_t top = (uint64_t)h->initrd_max + 1;

    if (top > b->image.cfg.low_ram)
        top = b->image.cfg.low_ram;
    if (b->initrd_size > top || (b->initrd_addr = (top - b->initrd_size) & PAGE_MASK) < kernel_end)
        return err_set(e, "-initrd %.100s: %llu MiB do not fit behind the kernel; give more memory with -m",
                       b->image.cfg.initrd, (unsigned long long)(b->initrd_size >> 20));
    return 0;
}

static const struct boot_image_ops linux_boot_ops;
static void linux_boot_close(struct boot_image *image);

int linux_boot_open(const struct boot_image_config *cfg, struct boot_image **out, struct err *e)
{
    struct linux_boot *b = calloc(1, sizeof(*b));
    struct err why;
    uint64_t size;
    ssize_t n;

    if (!b)
        return err_set(e, "out of memory");
    b->image = (struct boot_image){.ops = &linux_boot_ops, .cfg = *cfg};
    b->initrd_fd = -1;
    b->kernel_fd = boot_file_open(cfg->kernel, &size, "-kernel", e);
    if (b->kernel_fd < 0)
        goto fail;
    n = pread(b->kernel_fd, b->first, sizeof(b->first), 0);
    if (linux_parse_header(b->first, n < 0 ? 0 : (size_t)n, size, &b->header, &why) || place_kernel(b, &why)) {
        err_set(e, "-kernel %.100s: %.200s", cfg->kernel, why.text);
        goto fail;
    }
    b->cmdline = strdup(boot_cmdline(cfg));
    if (!b->cmdline) {
        err_set(e, "out of memory");
        goto fail;
    }
    if (strlen(b->cmdline) > b->header.cmdline_max || strlen(b->cmdline) >= LINUX_CMDLINE_MAX) {
        err_set(e, "-append: the kernel takes at most %u characters", b->header.cmdline_max);
        goto fail;
    }
    if (cfg->initrd) {
        b->initrd_fd = boot_file_open(cfg->initrd, &b->initrd_size, "-initrd", e);
        if (b->initrd_fd < 0 || place_initrd(b, e))
            goto fail;
    }
    *out = &b->image;
    return 0;
fail:
    linux_boot_close(&b->image);
    return -EINVAL;
}

static void linux_boot_close(struct boot_image *image)
{
    struct linux_boot *b = CONTAINER_OF(image, struct linux_boot, image);

    if (b->kernel_fd >= 0)
        close(b->kernel_fd);
    if (b->initrd_fd >= 0)
        close(b->initrd_fd);
    free(b->cmdline);
    free(b);
}

// --- loading

// vga=: boot.rst, section "Special Command Line Options".
static uint16_t video_mode(const char *cmdline)
{
    static const struct {
        const char *name;
        uint16_t mode;
    } names[] = {
        {"normal", 0xffff},
        {"ext", 0xfffe},
        {"ask", 0xfffd},
    };
    const char *p = strstr(cmdline, "vga=");

    if (!p)
        return 0xffff;
    p += 4;
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (!strncmp(p, names[i].name, strlen(names[i].name)))
            return names[i].mode;
    return (uint16_t)strtoul(p, NULL, 0);
}

static bool load_boot_params(struct linux_boot *b, struct address_space *mem)
{
    uint8_t bp[BP_SIZE] = {0};

    memcpy(bp + HDR_SETUP_SECTS, b->first + HDR_SETUP_SECTS, b->header.header_end - HDR_SETUP_SECTS);
    bp[HDR_TYPE_OF_LOADER] = LOADER_UNDEFINED;
    bp[HDR_LOADFLAGS] |= CAN_USE_HEAP;
    put_le(bp + HDR_HEAP_END, 0xfe00, 2);
    put_le(bp + HDR_CODE32_START, b->kernel_addr, 4);
    put_le(bp + HDR_CMD_LINE_PTR, LINUX_CMDLINE, 4);
    put_le(bp + HDR_SETUP_DATA, 0, 8);
    if (b->initrd_size) {
        put_le(bp + HDR_RAMDISK_IMAGE, b->initrd_addr, 4);
        put_le(bp + HDR_RAMDISK_SIZE, b->initrd_size, 4);
    }
    put_le(bp + BP_ACPI_RSDP, b->image.cfg.acpi_rsdp, 8);
    bp[BP_E820_ENTRIES] = (uint8_t)b->image.cfg.e820_count;
    for (unsigned i = 0; i < b->image.cfg.e820_count; i++) {
        uint8_t *entry = bp + BP_E820_TABLE + 20 * i;

        put_le(entry, b->image.cfg.e820[i].addr, 8);
        put_le(entry + 8, b->image.cfg.e820[i].size, 8);
        put_le(entry + 16, b->image.cfg.e820[i].type, 4);
    }
    return as_write(mem, LINUX_BOOT_PARAMS, bp, sizeof(bp));
}

// __BOOT_CS = 10h and __BOOT_DS = 18h: boot.rst, sections "32-bit Boot Protocol" and "64-bit Boot Protocol".
static bool load_gdt(struct linux_boot *b, struct address_space *mem)
{
    uint64_t gdt[4] = {0, 0, b->header.has_64 ? 0x00af9b000000ffff : 0x00cf9b000000ffff, 0x00cf93000000ffff};

    return as_write(mem, LINUX_GDT, gdt, sizeof(gdt));
}

// PML4, one PDPT, four page directories of 2 MiB pages: the first 4 GiB, one to one.
static bool load_page_tables(struct address_space *mem)
{
    uint64_t page[512] = {0};
    const uint64_t p_rw = 3, p_rw_ps = 0x83;

    page[0] = (LINUX_PAGE_TABLES + PAGE_SIZE) | p_rw;
    if (!as_write(mem, LINUX_PAGE_TABLES, page, sizeof(page)))
        return false;
    for (unsigned i = 0; i < 4; i++)
        page[i] = (uint64_t)(LINUX_PAGE_TABLES + (2 + i) * PAGE_SIZE) | p_rw;
    if (!as_write(mem, LINUX_PAGE_TABLES + PAGE_SIZE, page, sizeof(page)))
        return false;
    for (unsigned d = 0; d < 4; d++) {
        for (unsigned i = 0; i < 512; i++)
            page[i] = ((uint64_t)d << 30 | (uint64_t)i << 21) | p_rw_ps;
        if (!as_write(mem, LINUX_PAGE_TABLES + (2 + d) * PAGE_SIZE, page, sizeof(page)))
            return false;
    }
    return true;
}

// Behind the firmware the kernel's own 16-bit code is entered, so that it asks the BIOS for the memory map, the video
// mode and the rest. boot.rst, sections "Loading The Rest of The Kernel" and "Running the Kernel".
static int load_setup(struct linux_boot *b, struct address_space *mem, struct err *e)
{
    enum { HEAP_END = LINUX_CMDLINE - LINUX_SETUP - 0x200 };
    uint8_t first[HEADER_BYTES];

    memcpy(first, b->first, sizeof(first));
    first[HDR_TYPE_OF_LOADER] = LOADER_UNDEFINED;
    first[HDR_LOADFLAGS] |= CAN_USE_HEAP;
    put_le(first + HDR_VID_MODE, video_mode(b->cmdline), 2);
    put_le(first + HDR_HEAP_END, HEAP_END, 2);
    put_le(first + HDR_CODE32_START, b->kernel_addr, 4);
    put_le(first + HDR_CMD_LINE_PTR, LINUX_CMDLINE, 4);
    put_le(first + HDR_RAMDISK_IMAGE, b->initrd_addr, 4);
    put_le(first + HDR_RAMDISK_SIZE, b->initrd_size, 4);
    if (boot_file_copy(mem, b->kernel_fd, 0, b->header.setup_bytes, LINUX_SETUP, e))
        return -EINVAL;
    return as_write(mem, LINUX_SETUP, first, sizeof(first)) ? 0 : err_set(e, "low memory is missing");
}

static int linux_boot_load(struct boot_image *image, struct address_space *mem, struct err *e)
{
    struct linux_boot *b = CONTAINER_OF(image, struct linux_boot, image);

    if (boot_file_copy(mem, b->kernel_fd, b->header.setup_bytes, b->header.kernel_bytes, b->kernel_addr, e))
        return -EINVAL;
    if (b->initrd_size && boot_file_copy(mem, b->initrd_fd, 0, b->initrd_size, b->initrd_addr, e))
        return -EINVAL;
    if (image->cfg.firmware)
        return as_write(mem, LINUX_CMDLINE, b->cmdline, strlen(b->cmdline) + 1) ? load_setup(b, mem, e)
                                                                                : err_set(e, "low memory is missing");
    if (!load_boot_params(b, mem) || !load_gdt(b, mem) || !load_page_tables(mem) ||
        !as_write(mem, LINUX_CMDLINE, b->cmdline, strlen(b->cmdline) + 1))
        return err_set(e, "low memory is missing");
    return 0;
}

// --- CPU state

// Real mode, wherever the guest called from: anybody may write to the option ROM's port.
static void enter_setup(struct cpu *cpu)
{
    const struct segment data = {
        .sel = LINUX_SETUP >> 4, .base = LINUX_SETUP, .limit = 0xffff, .attr = SEG_P | SEG_S | 0x300};

    for (unsigned i = 0; i < SREG_COUNT; i++)
        cpu->seg[i] = data;
    cpu->seg[CS].sel += 0x20;
    cpu->seg[CS].base += 0x200;
    cpu->seg[CS].attr |= 0x800;
    cpu->idtr = (struct table_reg){0, 0x3ff};
    cpu->cr0 &= ~(uint64_t)(CR0_PE | CR0_PG);
    cpu->cr4 = cpu->efer = 0;
    mmu_set_control(&cpu->mmu, cpu->cr0, cpu->cr4, cpu->efer);
    cpu->gpr[RSP] = LINUX_CMDLINE - LINUX_SETUP - 16;
    cpu->rip = 0;
    cpu->cpl = 0;
    cpu->halted = false;
    cpu_set_rflags(cpu, 2);
    cpu_update_mode(cpu);
}

static void linux_boot_set_cpu(const struct boot_image *image, struct cpu *cpu)
{
    const struct linux_boot *b = CONTAINER_OF(image, const struct linux_boot, image);

    if (image->cfg.firmware) {
        enter_setup(cpu);
        return;
    }
    boot_cpu_flat32(cpu, (uint32_t)b->kernel_addr);
    cpu->gdtr = (struct table_reg){LINUX_GDT, 4 * 8 - 1};
    cpu->gpr[RSI] = LINUX_BOOT_PARAMS;
    if (!b->header.has_64)
        return;
    cpu->seg[CS].attr ^= SEG_L | SEG_DB;
    cpu->cr0 |= CR0_PG | CR0_NE;
    cpu->cr4 = CR4_PAE;
    cpu->efer = EFER_LME | EFER_LMA;
    cpu->cr3 = LINUX_PAGE_TABLES;
    mmu_set_control(&cpu->mmu, cpu->cr0, cpu->cr4, cpu->efer);
    mmu_load_cr3(&cpu->mmu, cpu->cr3, false);
    cpu->rip += KERNEL_64_ENTRY;
    cpu_update_mode(cpu);
}

static const struct boot_image_ops linux_boot_ops = {
    .load = linux_boot_load,
    .set_cpu = linux_boot_set_cpu,
    .close = linux_boot_close,
};
