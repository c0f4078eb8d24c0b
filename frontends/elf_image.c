// SPDX-License-Identifier: MIT
// Reads ELF headers, program headers and notes; every number in the file is checked against the file's size.
#include "frontends/elf_image.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

enum { XEN_ELFNOTE_PHYS32_ENTRY = 18, MAX_PROGRAM_HEADERS = 256 };

struct reader {
    elf_read_fn *read;
    void *opaque;
    uint64_t file_size;
    struct elf_image *image;
};

// The two classes differ in the width of fields only.
struct header {
    uint64_t entry, phoff;
    uint16_t phentsize, phnum;
};

bool elf_is(const uint8_t *file, size_t len) { return len >= SELFMAG && !memcmp(file, ELFMAG, SELFMAG); }

static bool inside(const struct reader *r, uint64_t offset, uint64_t len)
{
    return offset <= r->file_size && len <= r->file_size - offset;
}

static int read_header(struct reader *r, struct header *h, struct err *e)
{
    union {
        unsigned char ident[EI_NIDENT];
        Elf32_Ehdr h32;
        Elf64_Ehdr h64;
    } u;
    uint16_t type;

    if (!r->read(r->opaque, 0, &u.h32, sizeof(u.h32)) || !elf_is(u.ident, sizeof(u.ident)))
        return err_set(e, "it is no ELF file");
    r->image->is_64 = u.ident[EI_CLASS] == ELFCLASS64;
    if ((!r->image->is_64 && u.ident[EI_CLASS] != ELFCLASS32) || u.ident[EI_DATA] != ELFDATA2LSB)
        return err_set(e, "it is an ELF file of another machine");
    if (r->image->is_64 && !r->read(r->opaque, 0, &u.h64, sizeof(u.h64)))
        return err_set(e, "the ELF file is truncated");
    if (r->image->is_64) {
        *h = (struct header){u.h64.e_entry, u.h64.e_phoff, u.h64.e_phentsize, u.h64.e_phnum};
        r->image->machine = u.h64.e_machine;
        type = u.h64.e_type;
    } else {
        *h = (struct header){u.h32.e_entry, u.h32.e_phoff, u.h32.e_phentsize, u.h32.e_phnum};
        r->image->machine = u.h32.e_machine;
        type = u.h32.e_type;
    }
    if (r->image->machine != ELF_MACHINE_386 && r->image->machine != ELF_MACHINE_X86_64)
        return err_set(e, "it is an ELF file of another machine (%u)", r->image->machine);
    if (type != ET_EXEC && type != ET_DYN)
        return err_set(e, "it is an ELF file, but no executable");
    if (h->phentsize != (r->image->is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)) || h->phnum > MAX_PROGRAM_HEADERS ||
        !inside(r, h->phoff, (uint64_t)h->phnum * h->phentsize))
        return err_set(e, "the ELF file's program headers are damaged");
    return 0;
}

static bool read_program_header(const struct reader *r, const struct header *h, unsigned n, Elf64_Phdr *p)
{
    uint64_t at = h->phoff + (uint64_t)n * h->phentsize;
    Elf32_Phdr p32;

    if (r->image->is_64)
        return r->read(r->opaque, at, p, sizeof(*p));
    if (!r->read(r->opaque, at, &p32, sizeof(p32)))
        return false;
    *p = (Elf64_Phdr){.p_type = p32.p_type,
                      .p_flags = p32.p_flags,
                      .p_offset = p32.p_offset,
                      .p_vaddr = p32.p_vaddr,
                      .p_paddr = p32.p_paddr,
                      .p_filesz = p32.p_filesz,
                      .p_memsz = p32.p_memsz,
                      .p_align = p32.p_align};
    return true;
}

static int add_segment(struct reader *r, const struct header *h, const Elf64_Phdr *p, struct err *e)
{
    struct elf_image *m = r->image;
    uint64_t end;

    if (!p->p_memsz)
        return 0;
    if (m->segments == ELF_MAX_SEGMENTS)
        return err_set(e, "the ELF file has more than %d segments", ELF_MAX_SEGMENTS);
    if (!inside(r, p->p_offset, p->p_filesz))
        return err_set(e, "the ELF file is truncated");
    if (p->p_filesz > p->p_memsz || __builtin_add_overflow(p->p_paddr, p->p_memsz, &end))
        return err_set(e, "a segment of the ELF file has an absurd size");
    m->segment[m->segments++] = (struct elf_segment){p->p_offset, p->p_filesz, p->p_paddr, p->p_memsz};
    if (m->segments == 1 || p->p_paddr < m->low)
        m->low = p->p_paddr;
    if (end > m->high)
        m->high = end;
    // The entry point is a virtual address; what the header gives for it is where the segment is loaded.
    if (h->entry >= p->p_vaddr && h->entry - p->p_vaddr < p->p_memsz && (p->p_flags & PF_X))
        m->entry = h->entry - p->p_vaddr + p->p_paddr;
    return 0;
}

// Notes are name size, desc size, type; then the name and the desc, each padded to 4 bytes (PVH kernels use
// 4 whatever p_align says; 8 is honoured where it is given and fits).
static void find_pvh(struct elf_image *m, const uint8_t *notes, size_t len, size_t align)
{
    size_t at = 0;

    while (len - at >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr n;
        size_t name = at + sizeof(n), desc, next;

        memcpy(&n, notes + at, sizeof(n));
        if (n.n_namesz > len || n.n_descsz > len)
            return;
        desc = (name + n.n_namesz + align - 1) & ~(align - 1);
        next = (desc + n.n_descsz + align - 1) & ~(align - 1);
        if (desc > len || n.n_descsz > len - desc)
            return;
        if (n.n_type == XEN_ELFNOTE_PHYS32_ENTRY && n.n_namesz == 4 && !memcmp(notes + name, "Xen", 4) &&
            (n.n_descsz == 4 || n.n_descsz == 8)) {
            m->pvh_entry = 0;
            memcpy(&m->pvh_entry, notes + desc, n.n_descsz);
            m->has_pvh = true;
            return;
        }
        if (next > len)
            return;
        at = next;
    }
}

static void read_notes(struct reader *r, const Elf64_Phdr *p)
{
    uint8_t notes[4096];
    uint64_t left = p->p_filesz;

    // A kernel's notes are a few hundred bytes; what is longer than the buffer is not looked at.
    if (left > sizeof(notes))
        left = sizeof(notes);
    if (!left || !inside(r, p->p_offset, left) || !r->read(r->opaque, p->p_offset, notes, left))
        return;
    find_pvh(r->image, notes, left, 4);
    if (!r->image->has_pvh && p->p_align == 8)
        find_pvh(r->image, notes, left, 8);
}

int elf_parse(elf_read_fn *read, void *opaque, uint64_t file_size, struct elf_image *image, struct err *e)
{
    struct reader r = {read, opaque, file_size, image};
    struct header h = {0};

    memset(image, 0, sizeof(*image));
    if (read_header(&r, &h, e))
        return -EINVAL;
    image->entry = h.entry;
    for (unsigned i = 0; i < h.phnum; i++) {
        Elf64_Phdr p;

        if (!read_program_header(&r, &h, i, &p))
            return err_set(e, "the ELF file is truncated");
        if (p.p_type == PT_LOAD && add_segment(&r, &h, &p, e))
            return -EINVAL;
        if (p.p_type == PT_NOTE && !image->has_pvh)
            read_notes(&r, &p);
    }
    return image->segments ? 0 : err_set(e, "the ELF file has nothing to load");
}
