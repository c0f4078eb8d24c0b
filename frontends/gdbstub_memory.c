// SPDX-License-Identifier: MIT
// A debugger's loads and stores: page by page, RAM, ROM (stores included) and device registers.
#include "frontends/gdbstub_memory.h"

#include <string.h>

#include "softmmu/address_space.h"

static bool is_canonical(uint64_t v) { return (uint64_t)((int64_t)(v << 16) >> 16) == v; }

// Where the next piece is; returns its length inside one page, 0 if it is not mapped.
static size_t next_piece(struct cpu *cpu, bool physical, uint64_t addr, size_t left, gpa *pa)
{
    size_t room = PAGE_SIZE - (addr & ~PAGE_MASK);

    if (physical) {
        *pa = addr;
    } else if (cpu->efer & EFER_LMA) {
        if (!is_canonical(addr) || !mmu_debug_translate(&cpu->mmu, addr, pa))
            return 0;
    } else if (!mmu_debug_translate(&cpu->mmu, (uint32_t)addr, pa)) { // GDB extends signs
        return 0;
    }
    return left < room ? left : room;
}

size_t gdb_memory_read(struct cpu *cpu, bool physical, uint64_t addr, void *buf, size_t len)
{
    size_t done = 0, n;
    gpa pa;

    while (done < len && (n = next_piece(cpu, physical, addr + done, len - done, &pa))) {
        as_read(cpu->mem, pa, (uint8_t *)buf + done, n);
        done += n;
    }
    return done;
}

size_t gdb_memory_write(struct cpu *cpu, bool physical, uint64_t addr, const void *buf, size_t len)
{
    size_t done = 0, n;
    gpa pa;

    while (done < len && (n = next_piece(cpu, physical, addr + done, len - done, &pa))) {
        const uint8_t *from = (const uint8_t *)buf + done;
        bool rom = false;
        hva page = as_page_ptr(cpu->mem, pa & PAGE_MASK, &rom);

        if (page && rom) { // what a CPU cannot change, the user can
            memcpy(page + (pa & ~PAGE_MASK), from, n);
            as_ram_written(cpu->mem, pa, n);
        } else {
            as_write(cpu->mem, pa, from, n);
        }
        done += n;
    }
    return done;
}
