// SPDX-License-Identifier: MIT
// What the loaders need of an ELF executable: its load segments, its entry point, and Xen's PVH note.
// Tool Interface Standard, Executable and Linking Format 1.2; System V ABI, AMD64 supplement.
#pragma once

#include "frontends/keyval.h"

enum { ELF_MAX_SEGMENTS = 32, ELF_MACHINE_386 = 3, ELF_MACHINE_X86_64 = 62 };

struct elf_segment {
    uint64_t offset, file_size; // in the file; inside it
    uint64_t addr, mem_size;    // physical; mem_size is not less than file_size, and addr + mem_size does not wrap
};

struct elf_image {
    bool is_64;
    uint16_t machine;
    uint64_t entry; // physical
    struct elf_segment segment[ELF_MAX_SEGMENTS];
    unsigned segments;
    uint64_t low, high; // of all segments, [low, high)
    bool has_pvh;
    uint64_t pvh_entry; // physical: XEN_ELFNOTE_PHYS32_ENTRY
};

// Reads [offset, offset + len) of the file: false if it is not all there.
typedef bool elf_read_fn(void *opaque, uint64_t offset, void *buf, size_t len);

bool elf_is(const uint8_t *file, size_t len); // does it begin like an ELF file?
// 0, or -EINVAL with a message.
int elf_parse(elf_read_fn *read, void *opaque, uint64_t file_size, struct elf_image *image, struct err *e);
