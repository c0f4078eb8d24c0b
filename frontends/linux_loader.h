// SPDX-License-Identifier: MIT
// Boots a Linux kernel (bzImage), without firmware or behind it: Documentation/arch/x86/boot.rst, "The Linux/x86 Boot
// Protocol".
//
// What the kernel finds below 1 MiB when it is entered:
//
//     06000h  GDT: 10h flat code, 18h flat data          (LINUX_GDT)
//     07000h  boot_params, the "zero page"               (LINUX_BOOT_PARAMS)
//     08000h  page tables, 4 GiB mapped one to one       (LINUX_PAGE_TABLES, 64-bit entry only)
//     20000h  command line                               (LINUX_CMDLINE)
//     9fc00h  reserved, as a BIOS's data area would be
//     e0000h  ACPI tables (acpi.h)
// The kernel itself goes to its preferred address, the initrd to the top of low memory. Behind firmware there are only
// the kernel's 16-bit part at 10000h (LINUX_SETUP) and the command line.
#pragma once

#include "frontends/boot_image.h"

enum {
    LINUX_GDT = 0x6000,
    LINUX_BOOT_PARAMS = 0x7000,
    LINUX_PAGE_TABLES = 0x8000,
    LINUX_CMDLINE = 0x20000,
    LINUX_CMDLINE_MAX = 0x10000,
    LINUX_SETUP = 0x10000
};

// What the set-up header of a bzImage says, checked against the file's size.
struct linux_header {
    uint32_t setup_bytes;  // offset of the protected-mode kernel in the file
    uint32_t header_end;   // of the header, from the start of the file
    uint64_t kernel_bytes; // of the protected-mode part
    uint16_t version;      // protocol, 0x020c is 2.12
    bool has_64, relocatable, loaded_high;
    uint32_t initrd_max;  // highest address of the initrd's last byte
    uint32_t cmdline_max; // without the NUL
    uint64_t pref_address;
    uint32_t alignment, init_size;
};
// file holds the first len bytes (at least 1 KiB, or the whole of a shorter file) of file_size. 0 or -EINVAL.
int linux_parse_header(const uint8_t *file, size_t len, uint64_t file_size, struct linux_header *h, struct err *e);

// boot_image.h: open, for a bzImage.
int linux_boot_open(const struct boot_image_config *cfg, struct boot_image **out, struct err *e);
