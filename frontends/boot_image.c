// SPDX-License-Identifier: MIT
// Tells the kinds of kernels apart, and reads files for their loaders.
#include "frontends/boot_image.h"

#include "cpu/cpu.h"
#include "frontends/elf_image.h"
#include "frontends/linux_loader.h"
#include "frontends/multiboot_loader.h"
#include "frontends/pvh_loader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPY_BYTES = 1 << 20 };

int boot_file_open(const char *path, uint64_t *size, const char *what, struct err *e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &st)) {
        err_set(e, "%s %.150s: %s", what, path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        err_set(e, "%s %.150s: not a regular file", what, path);
    } else if (!st.st_size) {
        err_set(e, "%s %.150s: the file is empty", what, path);
    } else {
        *size = (uint64_t)st.st_size;
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

int boot_file_copy(struct address_space *mem, int fd, uint64_t offset, uint64_t size, gpa to, struct err *e)
{
    uint8_t *buf = malloc(COPY_BYTES);
    int ret = buf ? 0 : err_set(e, "out of memory");

    while (size && !ret) {
        size_t want = size < COPY_BYTES ? size : COPY_BYTES;
        ssize_t n = pread(fd, buf, want, (off_t)offset);

        if (n <= 0)
            ret = err_set(e, "a file of -kernel or -initrd cannot be read: %s", n ? strerror(errno) : "it shrank");
        else if (!as_write(mem, to, buf, (size_t)n))
            ret = err_set(e, "no memory at %#llx for the kernel", (unsigned long long)to);
        else {
            offset += (uint64_t)n;
            to += (uint64_t)n;
            size -= (uint64_t)n;
        }
    }
    free(buf);
    return ret;
}

bool boot_file_read(void *opaque, uint64_t offset, void *buf, size_t len)
{
    int fd = *(int *)opaque;

    for (uint8_t *to = buf; len;) {
        ssize_t n = pread(fd, to, len, (off_t)offset);

        if (n <= 0)
            return false;
        to += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return true;
}

static bool zero(struct address_space *mem, gpa addr, uint64_t len)
{
    static const uint8_t zeros[64 << 10];

    for (uint64_t n; len; addr += n, len -= n) {
        n = len < sizeof(zeros) ? len : sizeof(zeros);
        if (!as_write(mem, addr, zeros, n))
            return false;
    }
    return true;
}

int boot_elf_copy(struct address_space *mem, int fd, const struct elf_image *elf, struct err *e)
{
    for (unsigned i = 0; i < elf->segments; i++) {
        const struct elf_segment *s = &elf->segment[i];

        if (boot_file_copy(mem, fd, s->offset, s->file_size, s->addr, e))
            return -EINVAL;
        if (!zero(mem, s->addr + s->file_size, s->mem_size - s->file_size))
            return err_set(e, "no memory at %#llx for the kernel", (unsigned long long)s->addr);
    }
    return 0;
}

int boot_check_range(const struct boot_image_config *cfg, uint64_t low, uint64_t high, struct err *e)
{
    enum { LOW_END = 0x9f000, HIGH_START = 0x100000 };

    if (high <= low || (low < HIGH_START && high > LOW_END))
        return err_set(e, "it asks to be loaded to [%#llx, %#llx), where a PC has no memory for it",
                       (unsigned long long)low, (unsigned long long)high);
    if (high > cfg->low_ram)
        return err_set(e, "it needs memory up to %llu MiB; give it more with -m",
                       (unsigned long long)((high >> 20) + 1));
    return 0;
}

const char *boot_cmdline(const struct boot_image_config *cfg) { return cfg->cmdline ? cfg->cmdline : ""; }

// --- the kinds

enum { HEAD_BYTES = MULTIBOOT_SEARCH };

static int open_kind(const struct boot_image_config *cfg, const uint8_t *head, size_t len, int fd, uint64_t size,
                     struct boot_image **out, struct err *e)
{
    struct multiboot_header mh;
    int found = multiboot_find_header(head, len, &mh, e);

    if (found < 0)
        return -EINVAL;
    if (found)
        return multiboot_open(cfg, &mh, fd, size, out, e);
    if (elf_is(head, len))
        return pvh_open(cfg, fd, size, out, e);
    return -ENOEXEC;
}

int boot_image_open(const struct boot_image_config *cfg, struct boot_image **out, struct err *e)
{
    uint8_t head[HEAD_BYTES];
    uint64_t size;
    int fd = boot_file_open(cfg->kernel, &size, "-kernel", e), ret;
    struct err why;
    ssize_t n;

    if (fd < 0)
        return -EINVAL;
    n = pread(fd, head, sizeof(head), 0);
    ret = open_kind(cfg, head, n < 0 ? 0 : (size_t)n, fd, size, out, &why);
    if (ret == -ENOEXEC)
        return close(fd), linux_boot_open(cfg, out, e);
    if (ret) {
        close(fd);
        return err_set(e, "-kernel %.100s: %.200s", cfg->kernel, why.text);
    }
    return 0;
}

// --- behind the firmware

static void read_bios_map(struct boot_image_config *cfg, struct address_space *mem)
{
    uint8_t entry[BOOT_BIOS_MAP_ENTRY];
    uint32_t n = (uint32_t)as_load(mem, BOOT_BIOS_MAP, 4);

    if (!n || n > BOOT_MAX_E820)
        return; // keeps what we said
    for (cfg->e820_count = 0; cfg->e820_count < n; cfg->e820_count++) {
        struct e820_entry *map = &cfg->e820[cfg->e820_count];

        as_read(mem, BOOT_BIOS_MAP + 4 + cfg->e820_count * BOOT_BIOS_MAP_ENTRY, entry, sizeof(entry));
        memcpy(&map->addr, entry, 8);
        memcpy(&map->size, entry + 8, 8);
        memcpy(&map->type, entry + 16, 4);
    }
}

// ACPI Specification 6.4, section 5.2.5.1 "Finding the RSDP on IA-PC Systems"
static uint64_t find_rsdp(struct address_space *mem)
{
    uint8_t rsdp[20];

    for (gpa at = 0xe0000; at < 0x100000; at += 16) {
        uint8_t sum = 0;

        if (!as_read(mem, at, rsdp, sizeof(rsdp)) || memcmp(rsdp, "RSD PTR ", 8))
            continue;
        for (unsigned i = 0; i < sizeof(rsdp); i++)
            sum += rsdp[i];
        if (!sum)
            return at;
    }
    return 0;
}

int boot_image_load(struct boot_image *b, struct address_space *mem, struct err *e)
{
    if (b && b->cfg.firmware) {
        read_bios_map(&b->cfg, mem);
        b->cfg.acpi_rsdp = find_rsdp(mem);
    }
    return b ? b->ops->load(b, mem, e) : 0;
}

void boot_image_set_cpu(const struct boot_image *b, struct cpu *cpu)
{
    if (b)
        b->ops->set_cpu(b, cpu);
}

void boot_image_close(struct boot_image *b)
{
    if (b)
        b->ops->close(b);
}

void boot_cpu_flat32(struct cpu *cpu, uint32_t entry)
{
    const uint32_t common = SEG_S | SEG_P | SEG_G | SEG_DB;
    const struct segment data = {.sel = 0x18, .limit = 0xffffffff, .attr = 0x300 | common};

    cpu->seg[CS] = (struct segment){.sel = 0x10, .limit = 0xffffffff, .attr = 0xb00 | common};
    cpu->seg[DS] = cpu->seg[ES] = cpu->seg[SS] = cpu->seg[FS] = cpu->seg[GS] = data;
    cpu->idtr = (struct table_reg){0, 0};
    cpu->cr0 = CR0_PE | CR0_ET;
    cpu->cr3 = cpu->cr4 = cpu->efer = 0;
    mmu_set_control(&cpu->mmu, cpu->cr0, cpu->cr4, cpu->efer);
    mmu_load_cr3(&cpu->mmu, 0, false);
    memset(cpu->gpr, 0, sizeof(cpu->gpr));
    cpu->rip = entry;
    cpu->cpl = 0;
    cpu->halted = false;
    cpu_set_rflags(cpu, 2);
    cpu_update_mode(cpu);
}
