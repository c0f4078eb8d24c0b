// SPDX-License-Identifier: MIT
// The debugger's view of the registers: numbering, the description, reading and writing with the consequences.
#include "frontends/gdbstub_memory.h"
#include "frontends/gdbstub_regs.h"
#include "tests/unit/cpu/machine.h"

#include <stdio.h>

static unsigned number_of(enum gdb_arch a, const char *name)
{
    for (unsigned n = 0; n < gdb_reg_count(a); n++)
        if (!strcmp(gdb_reg_name(a, n), name))
            return n;
    ck_abort_msg("no register %s", name);
}

static uint64_t get(enum gdb_arch a, const char *name)
{
    uint8_t b[GDB_REG_BYTES] = {0};
    uint64_t v;

    ck_assert_uint_ne(gdb_reg_read(cpu, a, number_of(a, name), b), 0);
    memcpy(&v, b, 8);
    return v;
}

static int put(enum gdb_arch a, const char *name, uint64_t v)
{
    uint8_t b[GDB_REG_BYTES] = {0};

    memcpy(b, &v, 8);
    return gdb_reg_write(cpu, a, number_of(a, name), b);
}

// Clients without a description assume GDB's numbers (amd64_register_names, i386_register_names).
START_TEST(numbering)
{
    ck_assert_uint_eq(number_of(GDB_X86_64, "rip"), 16);
    ck_assert_uint_eq(number_of(GDB_X86_64, "eflags"), 17);
    ck_assert_uint_eq(number_of(GDB_X86_64, "cs"), 18);
    ck_assert_uint_eq(number_of(GDB_X86_64, "st0"), 24);
    ck_assert_uint_eq(number_of(GDB_X86_64, "fctrl"), 32);
    ck_assert_uint_eq(number_of(GDB_X86_64, "xmm0"), 40);
    ck_assert_uint_eq(number_of(GDB_X86_64, "mxcsr"), 56);
    ck_assert_uint_eq(number_of(GDB_I386, "eip"), 8);
    ck_assert_uint_eq(number_of(GDB_I386, "gs"), 15);
    ck_assert_uint_eq(number_of(GDB_I386, "st0"), 16);
    ck_assert_uint_eq(number_of(GDB_I386, "xmm0"), 32);
    ck_assert_uint_eq(number_of(GDB_I386, "mxcsr"), 40);
    ck_assert_uint_eq(gdb_reg_count_g(GDB_X86_64), 57);
    ck_assert_uint_eq(gdb_reg_count_g(GDB_I386), 41);
    ck_assert_ptr_null(gdb_reg_name(GDB_X86_64, gdb_reg_count(GDB_X86_64)));
    ck_assert_uint_eq(gdb_reg_read(cpu, GDB_X86_64, 0xffff, (uint8_t[16]){0}), 0);
    ck_assert_int_eq(gdb_reg_write(cpu, GDB_X86_64, 0xffff, (uint8_t[16]){0}), 0);
}
END_TEST

START_TEST(description)
{
    for (unsigned a = 0; a < GDB_ARCHS; a++) {
        size_t len, depth = 0;
        char *xml = gdb_target_xml((enum gdb_arch)a, &len), line[160];

        ck_assert_ptr_nonnull(xml);
        ck_assert_uint_eq(strlen(xml), len);
        for (unsigned n = 0; n < gdb_reg_count((enum gdb_arch)a); n++) {
            const struct gdb_reg *r = gdb_reg_row((enum gdb_arch)a, n);
            snprintf(line, sizeof(line), "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%u\"", r->name, r->bits,
                     r->type, n);
            ck_assert_msg(strstr(xml, line) != NULL, "%s", line);
            uint8_t b[GDB_REG_BYTES];
            ck_assert_uint_eq(gdb_reg_read(cpu, (enum gdb_arch)a, n, b), r->bits / 8);
        }
        for (const char *p = xml; *p; p++) { // elements nest and close
            if (*p != '<' || p[1] == '?' || p[1] == '!')
                continue;
            const char *end = strchr(p, '>');
            ck_assert_ptr_nonnull(end);
            if (p[1] == '/')
                depth--;
            else if (end[-1] != '/')
                depth++;
        }
        ck_assert_uint_eq(depth, 0);
        free(xml);
    }
}
END_TEST

START_TEST(choice)
{
    ck_assert_int_eq(gdb_arch_of(cpu), GDB_X86_64); // power-on: as QEMU
    machine_protected();
    ck_assert_int_eq(gdb_arch_of(cpu), GDB_X86_64);
    machine_paged();
    ck_assert_int_eq(gdb_arch_of(cpu), GDB_I386);
    machine_long();
    ck_assert_int_eq(gdb_arch_of(cpu), GDB_X86_64);
    enum gdb_arch a = GDB_X86_64;
    ck_assert(gdb_arch_parse("i8086", &a) && a == GDB_I8086);
    ck_assert(!gdb_arch_parse("i808", &a));
}
END_TEST

START_TEST(general)
{
    machine_long();
    for (unsigned i = 0; i < 16; i++)
        cpu->gpr[i] = 0x1111111111111111ull * i;
    ck_assert_uint_eq(get(GDB_X86_64, "rbx"), 0x3333333333333333);
    ck_assert_uint_eq(get(GDB_X86_64, "rsp"), 0x4444444444444444);
    ck_assert_uint_eq(get(GDB_X86_64, "r15"), 0xffffffffffffffff);
    ck_assert_int_eq(put(GDB_X86_64, "rdi", 0x123456789abcdef0), 8);
    ck_assert_uint_eq(cpu->gpr[RDI], 0x123456789abcdef0);
    ck_assert_int_eq(put(GDB_X86_64, "rip", 0xffffffff81000000), 8);
    ck_assert_uint_eq(cpu->rip, 0xffffffff81000000);
    ck_assert_int_eq(put(GDB_X86_64, "eflags", 0x246), 4);
    ck_assert_uint_eq(cpu->rflags, 0x246);
    ck_assert_int_eq(put(GDB_X86_64, "eflags", 0x20246), -1); // VM
    ck_assert_int_eq(put(GDB_X86_64, "gs_base", 0xffff888000000000), 8);
    ck_assert_uint_eq(cpu->seg[GS].base, 0xffff888000000000);
    ck_assert_int_eq(put(GDB_X86_64, "gs_base", 0x1234567890000000), -1); // not canonical
}
END_TEST

START_TEST(real_mode)
{
    ck_assert_uint_eq(get(GDB_X86_64, "rip"), 0xfff0); // as QEMU
    ck_assert_uint_eq(get(GDB_I386, "eip"), 0xfff0);
    ck_assert_uint_eq((uint32_t)get(GDB_I8086, "eip"), 0xfffffff0); // linear
    ck_assert_uint_eq(get(GDB_I8086, "cs_base"), 0xffff0000);
    ck_assert_int_eq(put(GDB_I8086, "eip", 0xffff1234), 4);
    ck_assert_uint_eq(cpu->rip, 0x1234);
    ck_assert_int_eq(put(GDB_I8086, "eip", 0x7c00), -1); // not in CS
    ck_assert_int_eq(put(GDB_I8086, "ds", 0x1000), 4);
    ck_assert_uint_eq(cpu->seg[DS].base, 0x10000);
    ck_assert_int_eq(put(GDB_I8086, "cs", 0x70), 4);
    ck_assert_uint_eq(cpu->seg[CS].base, 0x700);
    ck_assert_uint_eq(cpu->rip, 0x1234);
}
END_TEST

START_TEST(selectors)
{
    machine_protected();
    cpu->gpr[RAX] = 77;
    ck_assert_int_eq(put(GDB_I386, "es", DATA3), 4);
    ck_assert_uint_eq(cpu->seg[ES].sel, DATA3);
    ck_assert_int_eq(put(GDB_I386, "es", 0xfff8), -1); // beyond the GDT
    ck_assert_uint_eq(cpu->seg[ES].sel, DATA3);
    ck_assert_int_eq(put(GDB_I386, "ss", DATA3), -1); // not of this level
    ck_assert_uint_eq(cpu->shadow_ss, 0);
    ck_assert_uint_eq(cpu->gpr[RAX], 77);
}
END_TEST

START_TEST(control)
{
    machine_long();
    uint64_t cr0 = cpu->cr0, cr3 = cpu->cr3;
    ck_assert_uint_eq(get(GDB_X86_64, "cr0"), cr0);
    ck_assert_uint_eq(get(GDB_X86_64, "cr3"), cr3);
    ck_assert_int_eq(put(GDB_X86_64, "cr0", cr0 ^ CR0_WP), 8);
    ck_assert_uint_eq(cpu->mmu.pg.cr0, cr0 ^ CR0_WP);
    ck_assert_int_eq(put(GDB_X86_64, "cr0", cr0 & ~CR0_PG), -1); // #GP in 64-bit mode
    ck_assert_int_eq(put(GDB_X86_64, "cr4", cpu->cr4 | BIT(40)), -1);
    ck_assert_int_eq(put(GDB_X86_64, "cr4", cpu->cr4 | CR4_OSFXSR), 8);
    ck_assert_uint_eq(cpu->cr4 & CR4_OSFXSR, CR4_OSFXSR);
    ck_assert_int_eq(put(GDB_X86_64, "efer", cpu->efer ^ EFER_NXE), 8);
    ck_assert_int_eq(put(GDB_X86_64, "efer", cpu->efer ^ EFER_LME), -1); // under paging
    ck_assert_uint_eq(cpu->cpl, 0);
    machine_set_cpl(3);
    ck_assert_int_eq(put(GDB_X86_64, "cr2", 0x1234), 8); // the user is no user
    ck_assert_uint_eq(cpu->cr2, 0x1234);
    ck_assert_uint_eq(cpu->cpl, 3);
    ck_assert_int_eq(put(GDB_X86_64, "dr7", 0x401), -1); // the guest's
}
END_TEST

START_TEST(vectors)
{
    uint8_t v[16], back[16];

    for (unsigned i = 0; i < 16; i++)
        v[i] = (uint8_t)(i * 17 + 1);
    // Components in their initial state become used when they are written.
    *(uint64_t *)(cpu->xsave + 512) = 0;
    memset(cpu->xsave + 160, 0xee, 256);
    gdb_reg_read(cpu, GDB_X86_64, number_of(GDB_X86_64, "xmm3"), back);
    ck_assert_mem_eq(back, (uint8_t[16]){0}, 16);
    ck_assert_int_eq(gdb_reg_write(cpu, GDB_X86_64, number_of(GDB_X86_64, "xmm3"), v), 16);
    ck_assert_int_eq(gdb_reg_write(cpu, GDB_X86_64, number_of(GDB_X86_64, "st1"), v), 10);
    if (cpu->fpu_host_mask & 4)
        ck_assert_int_eq(gdb_reg_write(cpu, GDB_X86_64, number_of(GDB_X86_64, "ymm3h"), v), 16);
    cpu_fpu_load(cpu);
    uint8_t x[32] = {0};
    __asm__ volatile("movups %%xmm3, %0" : "=m"(x));
    cpu_fpu_save(cpu);
    ck_assert_mem_eq(x, v, 16);
    gdb_reg_read(cpu, GDB_I386, number_of(GDB_I386, "st1"), back);
    ck_assert_mem_eq(back, v, 10);
    ck_assert_int_eq(put(GDB_X86_64, "mxcsr", 0x1fbf), 4);
    ck_assert_int_eq(put(GDB_X86_64, "mxcsr", 0xffff0000), -1); // would fault when loaded
    ck_assert_uint_eq(get(GDB_X86_64, "mxcsr") & 0xffffffff, 0x1fbf);
}
END_TEST

START_TEST(avx512)
{
    static const struct {
        const char *name;
        unsigned size;
    } rows[] = {{"xmm17", 16}, {"ymm17h", 16}, {"zmm17h", 32}, {"zmm3h", 32}, {"k5", 8}};
    uint8_t v[GDB_REG_BYTES], back[GDB_REG_BYTES], x[64], k[8];

    if ((cpu->fpu_host_mask & 0xe0) != 0xe0) { // not on this host: they read as 0
        ck_assert_int_eq(gdb_reg_read(cpu, GDB_X86_64, number_of(GDB_X86_64, "zmm17h"), back), 32);
        ck_assert_mem_eq(back, (uint8_t[32]){0}, 32);
        return;
    }
    *(uint64_t *)(cpu->xsave + 512) = 0;
    for (unsigned r = 0; r < ARRAY_SIZE(rows); r++) {
        memset(v, (int)(0x11 * (r + 1)), sizeof(v));
        ck_assert_int_eq(gdb_reg_write(cpu, GDB_X86_64, number_of(GDB_X86_64, rows[r].name), v), (int)rows[r].size);
        gdb_reg_read(cpu, GDB_X86_64, number_of(GDB_X86_64, rows[r].name), back);
        ck_assert_mem_eq(back, v, rows[r].size);
    }
    gdb_reg_read(cpu, GDB_X86_64, number_of(GDB_X86_64, "k4"), back);
    ck_assert_mem_eq(back, (uint8_t[8]){0}, 8);
    cpu_fpu_load(cpu);
    __asm__ volatile(".byte 0x62, 0xe1, 0xfe, 0x48, 0x7f, 0x08" ::"a"(x) : "memory"); // vmovdqu64 [rax], zmm17
    __asm__ volatile(".byte 0xc4, 0xe1, 0xf8, 0x91, 0x28" ::"a"(k) : "memory");       // kmovq [rax], k5
    cpu_fpu_save(cpu);
    for (unsigned i = 0; i < 64; i++)
        ck_assert_uint_eq(x[i], i < 16 ? 0x11 : i < 32 ? 0x22 : 0x33);
    for (unsigned i = 0; i < 8; i++)
        ck_assert_uint_eq(k[i], 0x55);
}
END_TEST

// SDM vol. 1, section 8.1.7: 0 valid, 1 zero, 2 special, 3 empty.
START_TEST(x87_tags)
{
    cpu_fpu_load(cpu);
    __asm__ volatile("fninit; fldz; fld1");
    cpu_fpu_save(cpu);
    // TOP is 6: physical 7 holds zero, 6 holds one
    ck_assert_uint_eq(get(GDB_X86_64, "ftag") & 0xffffffff, 0x4fff);
    ck_assert_uint_eq(get(GDB_X86_64, "fctrl") & 0xffffffff, 0x37f);
    ck_assert_int_eq(put(GDB_X86_64, "ftag", 0xffff), 4);
    ck_assert_uint_eq(cpu->xsave[4], 0);
}
END_TEST

START_TEST(memory)
{
    uint8_t buf[PAGE_SIZE * 2];

    machine_long();
    set_present(DATA + PAGE_SIZE, false);
    memset(ram + DATA, 0x5a, PAGE_SIZE * 3);
    ck_assert_uint_eq(gdb_memory_read(cpu, false, DATA + 0xff0, buf, 64), 16); // up to the page that is missing
    ck_assert_uint_eq(gdb_memory_read(cpu, true, DATA + 0xff0, buf, 64), 64);
    ck_assert_uint_eq(gdb_memory_read(cpu, false, DATA + PAGE_SIZE, buf, 4), 0);
    ck_assert_uint_eq(gdb_memory_read(cpu, false, 0x800000000000, buf, 4), 0); // not canonical
    ck_assert_uint_eq(gdb_memory_write(cpu, false, DATA + 4, "abc", 3), 3);
    ck_assert_mem_eq(ram + DATA + 3,
                     "\x5a"
                     "abc\x5a",
                     5);
    ck_assert_uint_eq(gdb_memory_write(cpu, false, DATA + PAGE_SIZE - 1, "xy", 2), 1);
}
END_TEST

static TCase *all(void)
{
    TCase *t = tcase_create("all");

    tcase_add_test(t, numbering);
    tcase_add_test(t, description);
    tcase_add_test(t, choice);
    tcase_add_test(t, general);
    tcase_add_test(t, real_mode);
    tcase_add_test(t, selectors);
    tcase_add_test(t, control);
    tcase_add_test(t, vectors);
    tcase_add_test(t, avx512);
    tcase_add_test(t, x87_tags);
    tcase_add_test(t, memory);
    return t;
}

int main(void)
{
    static TCase *(*const cases[])(void) = {all};

    return machine_run_suite("gdb_regs", cases, 1);
}
