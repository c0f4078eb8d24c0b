// SPDX-License-Identifier: MIT
// The tests' machine: RAM, tables, modes.
#include "machine.h"
#include "tests/unit/check_main.h"

struct cpu *cpu;
hva ram;
static struct ram memory;
static struct address_space *mem, *ports;
static struct cpu_model model;

void machine_up(void)
{
    char err[160];
    cpu = &vcpu_self;
    memset(cpu, 0, sizeof *cpu);
    ck_assert_int_eq(ram_create(&memory, RAM_SIZE), 0);
    ram = memory.base;
    mem = as_create("mem", 1ull << 40);
    ports = as_create("ports", 1 << 16);
    ck_assert_ptr_nonnull(as_map_ram(mem, "ram", 0, RAM_SIZE, &memory, 0, false, 0));
    ck_assert_int_eq(cpu_model_parse("max", &model, err), 0);
    cpu_init(cpu, mem, ports, &model, 0);
    ck_assert_int_eq(cpu_fpu_init(cpu), 0);
    cpu_reset(cpu);
}

void machine_down(void)
{
    free(cpu->xsave);
    as_destroy(mem);
    as_destroy(ports);
    ram_destroy(&memory);
}

uint64_t peek(uint64_t pa, unsigned size)
{
    uint64_t v = 0;
    memcpy(&v, ram + pa, size);
    return v;
}

void poke(uint64_t pa, uint64_t v, unsigned size) { memcpy(ram + pa, &v, size); }

void set_desc(unsigned sel, uint32_t base, uint32_t limit, uint32_t attr)
{
    uint32_t lim = attr & SEG_G ? limit >> 12 : limit;
    poke(GDT + (sel & ~7u), (lim & 0xffff) | base << 16, 4);
    poke(GDT + (sel & ~7u) + 4, (base >> 16 & 0xff) | attr | (lim & 0xf0000) | (base & 0xff000000), 4);
}

void set_gate(uint64_t at, uint16_t sel, uint64_t off, unsigned type, unsigned dpl, unsigned extra)
{
    poke(at, (off & 0xffff) | (uint32_t)sel << 16, 4);
    poke(at + 4, (off & 0xffff0000) | 0x8000 | dpl << 13 | type << 8 | extra, 4);
}

static void make_tables(void)
{
    const uint32_t code = 0xc09b00, data = 0xc09300; // G, D, P, S; DPL 0
    set_desc(CODE0, 0, 0xffffffff, code & ~0x100u);  // not yet accessed
    set_desc(DATA0, 0, 0xffffffff, data & ~0x100u);
    set_desc(CODE3, 0, 0xffffffff, code | SEG_DPL);
    set_desc(DATA3, 0, 0xffffffff, data | SEG_DPL);
    set_desc(CODE64, 0, 0xffffffff, 0xa09b00);
    set_desc(CODE64_3, 0, 0xffffffff, 0xa09b00 | SEG_DPL);
    set_desc(CODE1, 0, 0xffffffff, code | 0x2000);
    set_desc(DATA1, 0, 0xffffffff, data | 0x2000);
    set_desc(CODE16, 0, 0xffff, 0x009b00);
    set_desc(CONFORM, 0, 0xffffffff, 0xc09f00);
    set_desc(TSS_SEL, TSS, 0x2067, 0x8900);
    poke(GDT + TSS_SEL + 8, 0, 8);
    set_desc(LDT_SEL, LDT, 0xff, 0x8200);
    poke(GDT + LDT_SEL + 8, 0, 8);
    set_desc(TSS2_SEL, TSS2, 0x67, 0x8900);
    cpu->gdtr = (struct table_reg){GDT, 0xff};
    cpu->idtr = (struct table_reg){IDT, 0xfff};
}

static void load_one(enum sreg s, uint16_t sel) { QUIET(cpu_op_load_sreg(cpu, s, sel)); }

static void load_all(uint16_t code, uint16_t data)
{
    QUIET(cpu_op_far_jmp(cpu, code, 0x7000, 4));
    for (unsigned s = ES; s <= GS; s++)
        if (s != CS)
            load_one(s, data);
    cpu->shadow_ss = 0;
    cpu_update_mode(cpu);
}

void machine_protected(void)
{
    make_tables();
    QUIET(cpu_op_mov_to_cr(cpu, 0, CR0_PE | CR0_NE | CR0_WP));
    load_all(CODE0, DATA0);
    QUIET(cpu_op_ltr(cpu, TSS_SEL));
    poke(TSS + 4, STACK0, 4);
    poke(TSS + 8, DATA0, 4);
    poke(TSS + 12, STACK1, 4);
    poke(TSS + 16, DATA1, 4);
    poke(TSS + 0x66, 0x68, 2);
    cpu->gpr[RSP] = 0x8000;
}

void machine_paged(void)
{
    for (unsigned i = 0; i < 1024; i++)
        poke(PT + 4096 + i * 4, i << 12 | 7, 4);
    poke(PT, (PT + 4096) | 7, 4);
    machine_protected();
    QUIET(cpu_op_mov_to_cr(cpu, 3, PT));
    QUIET(cpu_op_mov_to_cr(cpu, 0, cpu->cr0 | CR0_PG));
}

void machine_long(void)
{
    poke(PT, (PT + 0x1000) | 7, 8);
    poke(PT + 0x1000, (PT + 0x2000) | 7, 8);
    poke(PT + 0x2000, (PT + 0x3000) | 7, 8);
    poke(PT + 0x2008, (PT + 0x4000) | 7, 8);
    for (unsigned i = 0; i < 1024; i++)
        poke(PT + 0x3000 + i * 8, (uint64_t)i << 12 | 7, 8);
    make_tables();
    QUIET(cpu_op_mov_to_cr(cpu, 0, CR0_PE | CR0_NE | CR0_WP));
    load_all(CODE0, DATA0);
    QUIET(cpu_op_mov_to_cr(cpu, 4, CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT));
    QUIET(cpu_op_mov_to_cr(cpu, 3, PT));
    cpu->gpr[RCX] = 0xc0000080;
    cpu->gpr[RAX] = EFER_LME | EFER_SCE | EFER_NXE;
    cpu->gpr[RDX] = 0;
    QUIET(cpu_op_wrmsr(cpu));
    QUIET(cpu_op_mov_to_cr(cpu, 0, cpu->cr0 | CR0_PG));
    ck_assert(cpu->efer & EFER_LMA);
    ck_assert(!(cpu->mode & MODE_CS64));
    QUIET(cpu_op_far_jmp(cpu, CODE64, 0x7000, 4));
    ck_assert(cpu->mode & MODE_CS64);
    QUIET(cpu_op_ltr(cpu, TSS_SEL));
    poke(TSS + 4, STACK0, 8);
    poke(TSS + 36, STACK1, 8); // IST1
    cpu->gpr[RSP] = 0x8000;
}

void machine_set_cpl(unsigned cpl)
{
    struct segment *cs = &cpu->seg[CS], *ss = &cpu->seg[SS];
    cs->attr = (cs->attr & ~(uint32_t)SEG_DPL) | cpl << 13;
    ss->attr = (ss->attr & ~(uint32_t)SEG_DPL) | cpl << 13;
    if (cpl == 3) {
        cs->sel = cpu->mode & MODE_CS64 ? CODE64_3 : CODE3;
        ss->sel = DATA3;
    } else {
        cs->sel = cpl == 1 ? CODE1 : cpu->mode & MODE_CS64 ? CODE64 : CODE0;
        ss->sel = cpl == 1 ? DATA1 : DATA0;
    }
    cpu->cpl = cpl;
    cpu_update_mode(cpu);
}

void set_present(uint64_t va, bool present)
{
    uint64_t at = cpu->efer & EFER_LMA ? PT + 0x3000 + (va >> 12) * 8 : PT + 0x1000 + (va >> 12) * 4;
    poke(at, (peek(at, 4) & ~1ull) | present, 4);
    mmu_invlpg(&cpu->mmu, va);
}

int machine_run_suite(const char *name, TCase *(*const cases[])(void), unsigned n)
{
    Suite *s = suite_create(name);
    for (unsigned i = 0; i < n; i++) {
        TCase *t = cases[i]();
        tcase_add_checked_fixture(t, machine_up, machine_down);
        suite_add_tcase(s, t);
    }
    return check_main(s);
}
