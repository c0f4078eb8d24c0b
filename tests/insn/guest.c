// SPDX-License-Identifier: MIT
// The guest: a CPU in long mode without a board, and a kernel of 256 exception handlers that stop it.
//
// Guest-physical memory: page tables from 1 MiB; the data area's pages at DATA_PA, in data_page_phys order; the
// code pages at CODE_PA, backwards. The supervisor's pages are at SUP in the upper half: GDT, IDT, TSS, the
// handlers and their stack. Handler n is OUT 0xf4,AL at SUP + 16 n of its page; the port stops the run loop.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/accel.h"
#include "cpu/cpu.h"
#include "cpu/cpuid.h"
#include "cpu/fpu.h"
#include "cpu/interrupt.h"
#include "softmmu/address_space.h"
#include "tests/insn/testcase.h"

#define SUP 0xffff800000000000ull
// clang-format off
enum {
    RAM_SIZE = 4 << 20, TABLES_PA = 1 << 20, DATA_PA = 0x10000, CODE_PA = 0x40000, SUP_PA = 0x80000,
    SUP_GDT = 0, SUP_IDT = 0x1000, SUP_STUBS = 0x2000, SUP_TSS = 0x3000, SUP_STACK = 0x4000, SUP_STACK_TOP = 0x5000,
    SUP_PAGES = 5,
};
// clang-format on
enum { PTE_P = 1, PTE_W = 2, PTE_U = 4 };
#define PTE_NX BIT(63)

static struct ram ram;
static struct address_space *mem, *ports;
static struct cpu_model model;
static const struct accel_ops *ops;
static uint64_t root, next_table = TABLES_PA;

// --- memory --------------------------------------------------------------------------------------------

static void write64(gpa pa, uint64_t v) { memcpy(ram.base + pa, &v, 8); }
static uint64_t read64(gpa pa)
{
    uint64_t v;
    memcpy(&v, ram.base + pa, 8);
    return v;
}

static void map_page(gva va, gpa pa, uint64_t bits)
{
    gpa table = root;
    for (int shift = 39; shift > PAGE_SHIFT; shift -= 9) {
        gpa entry = table + (va >> shift & 511) * 8;
        if (!(read64(entry) & PTE_P)) {
            write64(entry, next_table | PTE_P | PTE_W | PTE_U);
            next_table += PAGE_SIZE;
        }
        table = read64(entry) & 0xffffffffff000;
    }
    write64(table + (va >> PAGE_SHIFT & 511) * 8, pa | bits | PTE_P);
}

static gpa data_pa(unsigned page) { return DATA_PA + (gpa)data_page_phys[page] * PAGE_SIZE; }
static gpa code_pa(unsigned page) { return CODE_PA + (gpa)(CODE_PAGES - 1 - page) * PAGE_SIZE; }

static void build_page_tables(void)
{
    static const gva data_at[] = {DATA_LO, DATA_HI}, code_at[] = {CODE_LO, CODE_HI};
    root = next_table;
    next_table += PAGE_SIZE;
    for (unsigned v = 0; v < 2; v++) {
        for (unsigned i = 0; i < DATA_PAGES; i++)
            if (data_page_kind[i] != PAGE_NONE)
                map_page(data_at[v] + i * PAGE_SIZE, data_pa(i),
                         PTE_U | PTE_NX | (data_page_kind[i] == PAGE_RW ? PTE_W : 0));
        for (unsigned i = 0; i < CODE_PAGES; i++)
            map_page(code_at[v] + i * PAGE_SIZE, code_pa(i), PTE_U);
    }
    for (unsigned i = 0; i < SUP_PAGES; i++)
        map_page(SUP + i * PAGE_SIZE, SUP_PA + i * PAGE_SIZE, PTE_W);
}

// --- the supervisor ------------------------------------------------------------------------------------

// As Linux has them (its selectors, too): accessed, flat, DPL 3 for user code and data.
static const uint64_t gdt[] = {0,
                               0x00cf9b000000ffff,
                               0x00af9b000000ffff,
                               0x00cf93000000ffff,
                               0x00cffb000000ffff,
                               0x00cff3000000ffff,
                               0x00affb000000ffff};

static struct segment segment_of(uint16_t sel)
{
    uint64_t d = gdt[sel >> 3];
    return (struct segment){.limit = 0xffffffff, .attr = (uint32_t)(d >> 32) & 0xffff00, .sel = sel};
}

static void build_supervisor(void)
{
    memcpy(ram.base + SUP_PA + SUP_GDT, gdt, sizeof(gdt));
    for (unsigned v = 0; v < 256; v++) {
        // SDM vol. 3A, section 6.14.1 "64-Bit Mode IDT": interrupt gates; INT3 and INTO are for users.
        gva handler = SUP + SUP_STUBS + v * 16;
        uint64_t dpl = v == EXC_BP || v == EXC_OF ? 3 : 0;
        gpa gate = SUP_PA + SUP_IDT + v * 16;
        write64(gate,
                (handler & 0xffff) | SEL_KERNEL_CS << 16 | 0x8e0000000000 | dpl << 45 | (handler >> 16 & 0xffff) << 48);
        write64(gate + 8, handler >> 32);
        static const uint8_t stub[] = {0xe6, 0xf4, 0xf4, 0xeb, 0xfd}; // out 0xf4,al; hlt; jmp back to it
        memcpy(ram.base + SUP_PA + SUP_STUBS + v * 16, stub, sizeof(stub));
    }
    write64(SUP_PA + SUP_TSS + 4, SUP + SUP_STACK_TOP);       // RSP0
    write64(SUP_PA + SUP_TSS + 0x60, 0x68ull << 48);          // I/O permission bitmap: past the limit, none
    memset(ram.base + CODE_PA, 0xcc, CODE_PAGES * PAGE_SIZE); // as native.c does, should a jump go astray
}

static void exit_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    cpu_request(opaque, CPU_REQ_STOP);
}
static uint64_t exit_read(void *opaque, uint64_t offset, unsigned size) { return 0xff; }
static const struct io_ops exit_ops = {.read = exit_read, .write = exit_write};

int guest_init(const struct accel_ops *accel, uint32_t disable)
{
    // The same thread runs cases natively, with the guest's FS base: no signal may come then.
    struct accel_config cfg = {.disable = disable | ACCEL_NO_SELF_KICK};
    struct cpu *cpu = &vcpu_self;
    char err[160];
    int r = ram_create(&ram, RAM_SIZE);
    ops = accel;
    mem = as_create("memory", 1ull << 40);
    ports = as_create("I/O", 65536);
    if (r || !mem || !ports || !as_map_ram(mem, "ram", 0, RAM_SIZE, &ram, 0, false, 0) ||
        !as_map_io(ports, "exit", 0xf4, 4, &exit_ops, cpu, 0)) {
        fprintf(stderr, "insn-diff: cannot make the guest's memory\n");
        return -1;
    }
    build_page_tables();
    build_supervisor();
    if (cpu_model_parse("max", &model, err)) {
        fprintf(stderr, "insn-diff: %s\n", err);
        return -1;
    }
    cpu_init(cpu, mem, ports, &model, 0);
    if ((r = cpu_fpu_init(cpu)) != 0)
        return r;
    cpu_reset(cpu);
    r = accel->init(cpu, &cfg);
    if (r) {
        fprintf(stderr, "insn-diff: accelerator %s does not start: error %d\n", accel->name, r);
        return -1;
    }
    cpu->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
    cpu->cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE;
    cpu->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
    cpu->xcr0 = native_xcr0();
    cpu->cr3 = root;
    mmu_set_control(&cpu->mmu, cpu->cr0, cpu->cr4, cpu->efer);
    mmu_load_cr3(&cpu->mmu, root, false);
    cpu->gdtr = (struct table_reg){SUP + SUP_GDT, sizeof(gdt) - 1};
    cpu->idtr = (struct table_reg){SUP + SUP_IDT, 4095};
    cpu->tr = (struct segment){.base = SUP + SUP_TSS, .limit = 0x67, .attr = SEG_P | 0xb00, .sel = 0x40};
    cpu->ldtr = (struct segment){0};
    return 0;
}

// --- a run ---------------------------------------------------------------------------------------------

static void load_state(struct cpu *cpu, const struct testcase *tc)
{
    memcpy(cpu->gpr, tc->start.gpr, sizeof(cpu->gpr));
    cpu->rip = cpu->next_rip = tc->entry;
    cpu->rflags = tc->start.rflags;
    cpu->cpl = 3;
    cpu->halted = false;
    cpu->shadow_sti = cpu->shadow_ss = 0;
    cpu->delivering = -1;
    cpu->cr2 = 0;
    for (unsigned i = 0; i < SREG_COUNT; i++)
        cpu->seg[i] = segment_of(i == FS || i == GS ? 0 : SEL_USER_DS);
    cpu->seg[CS] = segment_of(tc->mode32 ? SEL_USER_CS32 : SEL_USER_CS);
    cpu->seg[FS] = (struct segment){.base = tc->start.fs_base};
    cpu->seg[GS] = (struct segment){.base = tc->start.gs_base};
    memcpy(cpu->xsave, tc->start.xsave, XSAVE_BYTES);
    cpu->fpu_live = false;
    cpu_request_clear(cpu, CPU_REQ_STOP);
    cpu_update_mode(cpu);
}

static void load_memory(const struct testcase *tc, uint8_t *data)
{
    testcase_data(tc, data);
    for (unsigned i = 0; i < DATA_PAGES; i++)
        if (data_page_kind[i] != PAGE_NONE)
            memcpy(ram.base + data_pa(i), data + i * PAGE_SIZE, PAGE_SIZE);
    for (unsigned done = 0; done < tc->code_len;) {
        uint64_t at = (tc->entry & 0xfffff) + done;
        unsigned n = PAGE_SIZE - (at & 0xfff);
        n = n < tc->code_len - done ? n : tc->code_len - done;
        as_write(mem, code_pa((unsigned)(at >> PAGE_SHIFT)) + (at & 0xfff), tc->code + done, n);
        done += n;
    }
}

// The exception's stack frame: SDM vol. 3A, section 6.14.2 "64-Bit Mode Stack Frame".
static const char *read_frame(const struct cpu *cpu, const struct testcase *tc, struct outcome *o)
{
    static const uint32_t with_error = 1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17;
    uint64_t stub = cpu->rip - (SUP + SUP_STUBS);
    if (stub >= 4096)
        return "RIP is not in a handler";
    o->vector = (uint8_t)(stub / 16);
    bool error = o->vector < 32 && with_error >> o->vector & 1;
    uint64_t frame = SUP + SUP_STACK_TOP - 40 - (error ? 8 : 0);
    if (cpu->gpr[RSP] != frame)
        return "RSP is not at the exception's frame";
    gpa pa = SUP_PA + (frame - SUP);
    o->error = 0;
    if (error) {
        o->error = (uint32_t)read64(pa);
        pa += 8;
    }
    o->m.rip = read64(pa);
    o->m.rflags = read64(pa + 16);
    o->m.gpr[RSP] = read64(pa + 24);
    if (read64(pa + 8) != (tc->mode32 ? SEL_USER_CS32 : SEL_USER_CS))
        return "the frame's CS is wrong";
    return NULL;
}

void guest_run(const struct testcase *tc, struct outcome *out)
{
    static uint8_t data[DATA_SIZE];
    struct cpu *cpu = &vcpu_self;
    load_memory(tc, data);
    load_state(cpu, tc);
    ops->run(cpu, 0);
    cpu_fpu_save(cpu);
    memcpy(out->m.gpr, cpu->gpr, sizeof(cpu->gpr));
    out->m.fs_base = cpu->seg[FS].base;
    out->m.gs_base = cpu->seg[GS].base;
    out->cr2 = cpu->cr2;
    out->lost_why = read_frame(cpu, tc, out);
    out->lost = out->lost_why != NULL;
    if (out->lost) {
        out->m.rip = cpu->rip;
        out->m.rflags = cpu->rflags;
    }
    memcpy(out->m.xsave, cpu->xsave, XSAVE_BYTES);
    for (unsigned i = 0; i < DATA_PAGES; i++)
        if (data_page_kind[i] != PAGE_NONE)
            memcpy(data + i * PAGE_SIZE, ram.base + data_pa(i), PAGE_SIZE);
    out->data = data;
    if (cpu_requests(cpu) & CPU_REQ_RESET) {
        out->lost = true;
        out->lost_why = "triple fault";
        cpu_request_clear(cpu, CPU_REQ_RESET);
    }
}
