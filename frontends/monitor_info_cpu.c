// SPDX-License-Identifier: MIT
// "info" subjects about the CPU: registers, and what its page tables map (mem, tlb).
#include "frontends/monitor_internal.h"

#include "cpu/cpu.h"
#include "frontends/machine.h"

#include <inttypes.h>
#include <string.h>

// The x87 and SSE registers, from the XSAVE area: SDM vol. 1, section 13.4 "XSAVE Area".
static void print_fpu(struct monitor *mon, const struct cpu *cpu)
{
    enum { XSTATE_BV = 512, ST = 32, XMM = 160, MXCSR = 24 };
    static const uint8_t initial[416] = {0x7f, 0x03};
    const uint8_t *x = cpu->xsave[XSTATE_BV] & 1 ? cpu->xsave : initial;
    const uint8_t *xmm = cpu->xsave[XSTATE_BV] & 2 ? cpu->xsave + XMM : initial + XMM;
    uint16_t fcw, fsw, exponent;
    unsigned top;
    uint64_t v[2];
    uint32_t mxcsr;

    memcpy(&fcw, x, 2);
    memcpy(&fsw, x + 2, 2);
    memcpy(&mxcsr, cpu->xsave + MXCSR, 4);
    top = fsw >> 11 & 7;
    monitor_printf(mon, "FCW=%04x FSW=%04x [ST=%u] FTW=%02x MXCSR=%08x\n", fcw, fsw, top, x[4], mxcsr);
    for (unsigned i = 0; i < 8; i++) { // by their places, not by their distance from the top
        memcpy(v, x + ST + 16 * ((i - top) & 7), 8);
        memcpy(&exponent, x + ST + 16 * ((i - top) & 7) + 8, 2);
        monitor_printf(mon, "FPR%u=%016" PRIx64 " %04x%c", i, v[0], exponent, i % 2 ? '\n' : ' ');
    }
    for (unsigned i = 0; i < 16; i++) {
        memcpy(v, xmm + 16 * i, 16);
        monitor_printf(mon, "XMM%02u=%016" PRIx64 " %016" PRIx64 "%c", i, v[1], v[0], i % 2 ? '\n' : ' ');
    }
}

static void info_registers(struct monitor *mon, const struct monitor_args *args)
{
    monitor_printf(mon, "\nCPU#0\n");
    monitor_hold_cpu(mon);
    cpu_dump(vcpu_cpu(mon->machine->vcpu), monitor_print_line, mon);
    print_fpu(mon, vcpu_cpu(mon->machine->vcpu));
    monitor_release_cpu(mon);
}

static void info_cpus(struct monitor *mon, const struct monitor_args *args)
{
    monitor_printf(mon, "* CPU #0: thread_id=%d\n", vcpu_thread_id(mon->machine->vcpu));
}

// --- page tables: SDM vol. 3A, chapter 4 "Paging"

enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_PWT = 8, PTE_PCD = 16, PTE_A = 32, PTE_D = 64, PTE_PS = 128, PTE_G = 256 };
#define PTE_NX BIT(63)
#define PTE_ADDR 0x000ffffffffff000ull
// A guest can point its tables at themselves; nobody reads more than this.
enum { ENTRIES_MAX = 1 << 22, LINES_MAX = 1 << 16 };

struct tables {
    struct monitor *mon;
    struct address_space *mem;
    unsigned entry_size, entries_left, lines_left;
    bool four_level;
    void (*page)(struct tables *t, gva va, uint64_t size, uint64_t entry, unsigned rights);
    // `info mem`: the run of equal rights so far
    gva start, end;
    unsigned run_rights;
};

static uint64_t read_entry(struct tables *t, gpa addr)
{
    const uint8_t *p = as_ram_ptr(t->mem, addr, false, NULL);
    uint64_t v = 0;

    if (p)
        memcpy(&v, p, t->entry_size);
    return v;
}

// shift: of the address bits that index this table. rights: W and U of the levels above.
static void walk_table(struct tables *t, gpa table, gva va, unsigned shift, unsigned rights)
{
    unsigned count = t->entry_size == 4 ? 1024 : shift == 30 && !t->four_level ? 4 : 512;

    for (unsigned i = 0; i < count && t->entries_left && t->lines_left; i++) {
        uint64_t entry = read_entry(t, table + i * t->entry_size);
        gva at = va + ((uint64_t)i << shift);
        bool pdpte = shift == 30 && !t->four_level; // of PAE: without rights of its own
        unsigned own = pdpte ? rights : rights & (unsigned)entry;

        t->entries_left--;
        if (!(entry & PTE_P))
            continue;
        if (shift == 39 && i >= 256)
            at |= 0xffff000000000000;
        if (shift == 12 || (entry & PTE_PS && !pdpte && shift != 39))
            t->page(t, at, 1ull << shift, entry, own);
        else if (t->entry_size == 4)
            walk_table(t, entry & 0xfffff000, at, 12, own);
        else
            walk_table(t, entry & PTE_ADDR, at, shift - 9, own);
    }
}

// False, after saying so: the guest has no paging on.
static bool walk_all(struct tables *t)
{
    const struct cpu *cpu = vcpu_cpu(t->mon->machine->vcpu);
    const struct paging *pg = &cpu->mmu.pg;

    t->mem = t->mon->machine->mem;
    t->entries_left = ENTRIES_MAX;
    t->lines_left = LINES_MAX;
    if (!paging_enabled(pg)) {
        monitor_printf(t->mon, "PG disabled\n");
        return false;
    }
    t->four_level = paging_is_long(pg);
    t->entry_size = t->four_level || paging_is_pae(pg) ? 8 : 4;
    if (t->four_level)
        walk_table(t, cpu->cr3 & PTE_ADDR, 0, 39, PTE_W | PTE_U);
    else if (t->entry_size == 8)
        walk_table(t, cpu->cr3 & 0xffffffe0, 0, 30, PTE_W | PTE_U);
    else
        walk_table(t, cpu->cr3 & 0xfffff000, 0, 22, PTE_W | PTE_U);
    return true;
}

static void say_if_cut(struct tables *t)
{
    if (!t->entries_left || !t->lines_left)
        monitor_printf(t->mon, "(there is more)\n");
}

static void print_mapping(struct tables *t, gva va, uint64_t size, uint64_t entry, unsigned rights)
{
    gpa pa = entry & PTE_ADDR & ~(size - 1);

    if (t->entry_size == 4)
        pa = size == PAGE_SIZE ? entry & 0xfffff000 : (entry & 0xffc00000) | (entry & 0x1fe000) << 19; // PSE-36
    t->lines_left--;
    monitor_printf(t->mon, "%016" PRIx64 ": %016" PRIx64 " %c%c%c%c%c%c%c%c%c\n", va, pa,
                   t->entry_size == 8 && entry & PTE_NX ? 'X' : '-', entry & PTE_G ? 'G' : '-',
                   size > PAGE_SIZE ? 'P' : '-', entry & PTE_D ? 'D' : '-', entry & PTE_A ? 'A' : '-',
                   entry & PTE_PCD ? 'C' : '-', entry & PTE_PWT ? 'T' : '-', entry & PTE_U ? 'U' : '-',
                   entry & PTE_W ? 'W' : '-');
}

static void info_tlb(struct monitor *mon, const struct monitor_args *args)
{
    struct tables t = {.mon = mon, .page = print_mapping};

    monitor_hold_cpu(mon);
    if (walk_all(&t))
        say_if_cut(&t);
    monitor_release_cpu(mon);
}

static void print_run(struct tables *t)
{
    if (t->end == t->start)
        return;
    t->lines_left--;
    monitor_printf(t->mon, "%016" PRIx64 "-%016" PRIx64 " %016" PRIx64 " %cr%c\n", t->start, t->end, t->end - t->start,
                   t->run_rights & PTE_U ? 'u' : '-', t->run_rights & PTE_W ? 'w' : '-');
}

static void add_to_run(struct tables *t, gva va, uint64_t size, uint64_t entry, unsigned rights)
{
    rights &= PTE_U | PTE_W;
    if (va != t->end || rights != t->run_rights) {
        print_run(t);
        t->start = va;
        t->run_rights = rights;
    }
    t->end = va + size;
}

static void info_mem(struct monitor *mon, const struct monitor_args *args)
{
    struct tables t = {.mon = mon, .page = add_to_run};

    monitor_hold_cpu(mon);
    if (walk_all(&t)) {
        print_run(&t);
        say_if_cut(&t);
    }
    monitor_release_cpu(mon);
}

const struct monitor_command monitor_info_cpu_commands[] = {
    {"registers", "", "", "show the cpu registers", info_registers},
    {"cpus", "", "", "show infos for each CPU", info_cpus},
    {"mem", "", "", "show the active virtual memory mappings", info_mem},
    {"tlb", "", "", "show virtual to physical memory mappings", info_tlb},
    {NULL, NULL, NULL, NULL, NULL},
};
