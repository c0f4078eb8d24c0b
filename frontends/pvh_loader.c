// SPDX-License-Identifier: MIT
// Loads a PVH kernel: an ELF file whose note names a 32-bit entry point.
//
// Above the kernel, from the next page on: hvm_start_info, module list, memory map, command line. The module (-initrd) is
// at the top of low memory.
#include "frontends/pvh_loader.h"

#include "cpu/cpu.h"
#include "frontends/elf_image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { START_MAGIC = 0x336ec578, START_VERSION = 1, CMDLINE_MAX = 64 << 10 };

struct start_info {
    uint32_t magic, version, flags, modules;
    uint64_t module_list, cmdline, rsdp, memory_map;
    uint32_t memory_map_entries, reserved;
};
struct start_module {
    uint64_t addr, size, cmdline, reserved;
};
struct start_memory {
    uint64_t addr, size;
    uint32_t type, reserved;
};
struct start_area {
    struct start_info info;
    struct start_module module;
    struct start_memory map[BOOT_MAX_E820];
};

struct pvh_boot {
    struct boot_image image;
    struct elf_image elf;
    int fd, initrd_fd;
    uint64_t info_addr, initrd_addr, initrd_size;
    char *cmdline;
};

static int place(struct pvh_boot *b, struct err *e)
{
    const struct boot_image_config *cfg = &b->image.cfg;
    uint64_t end;

    if (boot_check_range(cfg, b->elf.low, b->elf.high, e))
        return -EINVAL;
    if (b->elf.pvh_entry < b->elf.low || b->elf.pvh_entry >= b->elf.high)
        return err_set(e, "its PVH entry point %#llx is outside of it", (unsigned long long)b->elf.pvh_entry);
    b->info_addr = (b->elf.high < 0x100000 ? 0x100000 : b->elf.high + PAGE_SIZE - 1) & PAGE_MASK;
    end = b->info_addr + sizeof(struct start_area) + strlen(b->cmdline) + 1;
    if (boot_check_range(cfg, b->info_addr, end, e))
        return -EINVAL;
    if (!b->initrd_size)
        return 0;
    if (b->initrd_size > cfg->low_ram || (b->initrd_addr = (cfg->low_ram - b->initrd_size) & PAGE_MASK) < end)
        return err_set(e, "the %llu MiB of -initrd do not fit behind it; give more memory with -m",
                       (unsigned long long)(b->initrd_size >> 20));
    return 0;
}

static void pvh_close(struct boot_image *image)
{
    struct pvh_boot *b = CONTAINER_OF(image, struct pvh_boot, image);

    if (b->fd >= 0)
        close(b->fd);
    if (b->initrd_fd >= 0)
        close(b->initrd_fd);
    free(b->cmdline);
    free(b);
}

static int pvh_load(struct boot_image *image, struct address_space *mem, struct err *e)
{
    struct pvh_boot *b = CONTAINER_OF(image, struct pvh_boot, image);
    const struct boot_image_config *cfg = &image->cfg;
    uint64_t at = b->info_addr, cmdline = at + sizeof(struct start_area);
    struct start_area area = {
        .info = {.magic = START_MAGIC,
                 .version = START_VERSION,
                 .modules = b->initrd_size ? 1 : 0,
                 .module_list = at + offsetof(struct start_area, module),
                 .cmdline = cmdline,
                 .rsdp = cfg->acpi_rsdp,
                 .memory_map = at + offsetof(struct start_area, map),
                 .memory_map_entries = cfg->e820_count},
        .module = {.addr = b->initrd_addr, .size = b->initrd_size},
    };

    for (unsigned i = 0; i < cfg->e820_count; i++)
        area.map[i] = (struct start_memory){cfg->e820[i].addr, cfg->e820[i].size, cfg->e820[i].type, 0};
    if (boot_elf_copy(mem, b->fd, &b->elf, e))
        return -EINVAL;
    if (b->initrd_size && boot_file_copy(mem, b->initrd_fd, 0, b->initrd_size, b->initrd_addr, e))
        return -EINVAL;
    if (!as_write(mem, at, &area, sizeof(area)) || !as_write(mem, cmdline, b->cmdline, strlen(b->cmdline) + 1))
        return err_set(e, "no memory at %#llx for the start info", (unsigned long long)at);
    return 0;
}

static void pvh_set_cpu(const struct boot_image *image, struct cpu *cpu)
{
    const struct pvh_boot *b = CONTAINER_OF(image, const struct pvh_boot, image);

    boot_cpu_flat32(cpu, (uint32_t)b->elf.pvh_entry);
    cpu->gpr[RBX] = b->info_addr;
    cpu->tr = (struct segment){.limit = 0x67, .attr = SEG_P | 0xb00}; // a busy 32-bit TSS at 0
}

static const struct boot_image_ops pvh_ops = {
    .load = pvh_load,
    .set_cpu = pvh_set_cpu,
    .close = pvh_close,
};

int pvh_open(const struct boot_image_config *cfg, int fd, uint64_t size, struct boot_image **out, struct err *e)
{
    struct pvh_boot *b = calloc(1, sizeof(*b));

    if (!b)
        return err_set(e, "out of memory");
    b->image = (struct boot_image){.ops = &pvh_ops, .cfg = *cfg};
    b->fd = b->initrd_fd = -1;
    if (elf_parse(boot_file_read, &fd, size, &b->elf, e))
        goto fail;
    if (!b->elf.has_pvh) {
        err_set(e, "it is an ELF file without a PVH note or a multiboot header; for Linux the boot image "
                   "(bzImage, vmlinuz) is needed");
        goto fail;
    }
    if (strlen(boot_cmdline(cfg)) >= CMDLINE_MAX) {
        err_set(e, "the command line is longer than %d characters", CMDLINE_MAX - 1);
        goto fail;
    }
    b->cmdline = strdup(boot_cmdline(cfg));
    if (!b->cmdline) {
        err_set(e, "out of memory");
        goto fail;
    }
    if (cfg->initrd && (b->initrd_fd = boot_file_open(cfg->initrd, &b->initrd_size, "-initrd", e)) < 0)
        goto fail;
    if (place(b, e))
        goto fail;
    b->fd = fd;
    *out = &b->image;
    return 0;
fail:
    pvh_close(&b->image);
    return -EINVAL;
}
