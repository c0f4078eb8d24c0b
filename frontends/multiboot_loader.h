// SPDX-License-Identifier: MIT
// Multiboot 1 kernels: Multiboot Specification version 0.6.96.
#pragma once

#include "frontends/boot_image.h"

enum { MULTIBOOT_SEARCH = 8192, MULTIBOOT_MAX_MODULES = 64 };

// The header (section 3.1 "OS image format") as it lies in the file.
struct multiboot_header {
    uint32_t offset; // in the file
    uint32_t flags;
    uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr; // flag 16: no ELF is needed
};
// Looks through the file's first len bytes. 1: found, 0: there is none, -EINVAL with a message: one that asks for what
// we do not have.
int multiboot_find_header(const uint8_t *file, size_t len, struct multiboot_header *h, struct err *e);
// fd is the kernel's; the image owns it if this succeeds. 0, or -EINVAL with a message (without the file's name).
// cfg->initrd lists the modules: "FILE[ ARGUMENTS][,FILE[ ARGUMENTS]...]", ",," is a comma.
int multiboot_open(const struct boot_image_config *cfg, const struct multiboot_header *h, int fd, uint64_t size,
                   struct boot_image **out, struct err *e);
