// SPDX-License-Identifier: MIT
// Fuzz target: the ELF, multiboot and PVH images of -kernel, opened and loaded. The first byte chooses the good image
// that the rest changes, as (offset, value) triples.
#include "frontends/elf_image.h"
#include "frontends/multiboot_loader.h"

#include "cpu/cpu.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_BYTES = 4096, RAM_BYTES = 4 << 20, TEXT_AT = 0x400, HEADER_AT = 0x200 };

// The headers of an ELF file of so many bits: a segment, and the note that says where PVH begins.
#define PUT_ELF(file, note, bits, machine)                                                             \
    do {                                                                                               \
        Elf##bits##_Ehdr *h = (Elf##bits##_Ehdr *)(file);                                              \
        Elf##bits##_Phdr *p = (Elf##bits##_Phdr *)(h + 1);                                             \
        *h = (Elf##bits##_Ehdr){.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS##bits, ELFDATA2LSB, 1},      \
                                .e_type = ET_EXEC,                                                     \
                                .e_machine = machine,                                                  \
                                .e_entry = 0x200000,                                                   \
                                .e_phoff = sizeof(*h),                                                 \
                                .e_phentsize = sizeof(*p),                                             \
                                .e_phnum = 2};                                                         \
        p[0] = (Elf##bits##_Phdr){.p_type = PT_LOAD,                                                   \
                                  .p_offset = TEXT_AT,                                                 \
                                  .p_paddr = 0x200000,                                                 \
                                  .p_vaddr = 0x200000,                                                 \
                                  .p_filesz = 0x800,                                                   \
                                  .p_memsz = 0x1000,                                                   \
                                  .p_flags = PF_X};                                                    \
        p[1] = (Elf##bits##_Phdr){.p_type = PT_NOTE, .p_offset = HEADER_AT, .p_filesz = sizeof(note)}; \
    } while (0)

static void make_elf(uint8_t *file, bool wide)
{
    static const uint32_t note[] = {4, 4, 18, 0x006e6558, 0x200010};

    if (wide)
        PUT_ELF(file, note, 64, EM_X86_64);
    else
        PUT_ELF(file, note, 32, EM_386);
    memcpy(file + HEADER_AT, note, sizeof(note));
}

static void make_multiboot(uint8_t *file, uint32_t flags)
{
    const uint32_t header[] = {0x1badb002, flags,   -(0x1badb002 + flags), 0x200000 + HEADER_AT, 0x200000, 0x200e00,
                               0x201000,   0x200020};

    memcpy(file + HEADER_AT, header, sizeof(header));
}

static void run(const uint8_t *file)
{
    static struct cpu cpu;
    struct address_space *mem = as_create("memory", BIT(36));
    struct ram ram;
    struct boot_image *b;
    struct err e = {""};
    char path[40];
    int fd = memfd_create("image", 0);

    if (!mem || fd < 0 || write(fd, file, FILE_BYTES) != FILE_BYTES || ram_create(&ram, RAM_BYTES))
        abort();
    as_map_ram(mem, "ram", 0, RAM_BYTES, &ram, 0, false, 0);
    mmu_init(&cpu.mmu, mem, 36);
    cpu.mem = mem;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct boot_image_config cfg = {.kernel = path,
                                    .initrd = path,
                                    .cmdline = "x",
                                    .low_ram = RAM_BYTES,
                                    .e820 = {{0, RAM_BYTES, 1}},
                                    .e820_count = 1};
    if (!boot_image_open(&cfg, &b, &e)) {
        if (boot_image_load(b, mem, &e)) // everything was checked before
            abort();
        boot_image_set_cpu(b, &cpu);
        boot_image_close(b);
    } else if (!*e.text) {
        abort();
    }
    close(fd);
    ram_destroy(&ram);
    as_destroy(mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t file[FILE_BYTES] = {0};

    if (!size)
        return 0;
    if (data[0] & 1)
        make_elf(file, data[0] & 2);
    if (data[0] & 4)
        make_multiboot(file, data[0] & 8 ? 0x10003 : 3);
    for (size_t i = 1; i + 2 < size; i += 3)
        file[(data[i] | data[i + 1] << 8) % FILE_BYTES] = data[i + 2];
    run(file);
    return 0;
}
