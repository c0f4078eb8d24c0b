// SPDX-License-Identifier: MIT
// What -kernel names: a Linux, multiboot or PVH kernel, behind one interface.
#pragma once

#include "frontends/keyval.h"
#include "softmmu/address_space.h"

struct cpu;

enum { BOOT_MAX_E820 = 32 };

struct e820_entry {
    uint64_t addr, size;
    uint32_t type; // 1 RAM, 2 reserved, 3 ACPI data, 4 ACPI NVS
};

struct boot_image_config {
    const char *kernel, *initrd, *cmdline; // initrd and cmdline may be NULL
    uint64_t low_ram;                      // bytes of memory below 4 GiB
    struct e820_entry e820[BOOT_MAX_E820];
    unsigned e820_count;
    uint64_t acpi_rsdp;
    bool firmware; // it runs first: the map and the RSDP are what it says then
};

struct boot_image;
struct boot_image_ops {
    // At each start or reset: fills memory. 0 or -EINVAL (a file changed under us).
    int (*load)(struct boot_image *b, struct address_space *mem, struct err *e);
    // Then, after cpu_reset(): the registers at the entry point.
    void (*set_cpu)(const struct boot_image *b, struct cpu *cpu);
    void (*close)(struct boot_image *b);
};
struct boot_image { // the first member of each kind's own structure
    const struct boot_image_ops *ops;
    struct boot_image_config cfg;
};

// Tells the kinds apart, opens and checks the files and decides where everything goes. 0 or -EINVAL with a message.
int boot_image_open(const struct boot_image_config *cfg, struct boot_image **out, struct err *e);
// NULL is fine for these three: the firmware boots.
int boot_image_load(struct boot_image *b, struct address_space *mem, struct err *e);
void boot_image_set_cpu(const struct boot_image *b, struct cpu *cpu);
void boot_image_close(struct boot_image *b);

// Where the option ROM leaves the BIOS's memory map (INT 15h, AX = E820h): a count, then 20-byte entries.
enum { BOOT_BIOS_MAP = 0x8000, BOOT_BIOS_MAP_ENTRY = 20 };

// --- what the kinds share (boot_image.c)
// Opens a regular file that is not empty; what ("-kernel") is for the message. The descriptor, or -1.
int boot_file_open(const char *path, uint64_t *size, const char *what, struct err *e);
// elf_read_fn of a descriptor: opaque points to it.
bool boot_file_read(void *opaque, uint64_t offset, void *buf, size_t len);
// [offset, offset + size) of the file to guest memory. 0 or -EINVAL with a message.
int boot_file_copy(struct address_space *mem, int fd, uint64_t offset, uint64_t size, gpa to, struct err *e);
struct elf_image;
// The segments to where they belong, zeros behind them. 0 or -EINVAL with a message.
int boot_elf_copy(struct address_space *mem, int fd, const struct elf_image *elf, struct err *e);
// Is [low, high) RAM that a kernel may be loaded to? high 0: nothing.
int boot_check_range(const struct boot_image_config *cfg, uint64_t low, uint64_t high, struct err *e);
const char *boot_cmdline(const struct boot_image_config *cfg); // "" if there is none
// 32-bit protected mode with flat segments, paging and interrupts off, all general registers 0.
void boot_cpu_flat32(struct cpu *cpu, uint32_t entry);
