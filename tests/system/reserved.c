// SPDX-License-Identifier: MIT
// Reserved bits and impossible combinations in control registers, MSRs and descriptors raise #GP.
// A VMM that lets them through may not survive it: this image is not run under QEMU's TCG, which accepts
// most of them.
#include "test.h"

SNIP(x_rdmsr, "rdmsr");
SNIP(x_wrmsr, "wrmsr");
SNIP(x_movcr, "mov %rax, %cr0");
SNIP(x_movcr3, "mov %rax, %cr3");
SNIP(x_movcr4, "mov %rax, %cr4");
SNIP(x_movcr8, "mov %rax, %cr8");
SNIP(x_movdr7, "mov %rax, %dr7");
SNIP(x_movdr6, "mov %rax, %dr6");
SNIP(x_ltr, "ltr %ax");
SNIP(x_lgdt, "lgdt (%rax)");

static void check_rax(const char *name, const char *at, ureg v)
{
    struct state s = kernel_state(at);
    s.r[RAX] = v;
    run(&s);
    check_exc(name, &s, EXC_GP, 0, at);
}

static void check_msr(const char *name, uint32_t msr, uint64_t v)
{
    struct state s = kernel_state(x_wrmsr);
    s.r[RCX] = msr;
    s.r[RAX] = (uint32_t)v;
    s.r[RDX] = v >> 32;
    run(&s);
    check_exc(name, &s, EXC_GP, 0, x_wrmsr);
}

// SDM vol. 3A, section 2.5 "Control Registers"; vol. 2B, "MOV-Move to/from Control Registers".
static void test_control_registers(void)
{
    ureg cr0 = read_cr0(), cr4 = read_cr4();
    check_rax("CR0: PG without PE", x_movcr, cr0 & ~1ul);
    check_rax("CR0: NW without CD", x_movcr, (cr0 & ~(1ul << 30)) | 1ul << 29);
    check_rax("CR0: a bit of the high half", x_movcr, cr0 | 1ul << 32);
    check_rax("CR0: PG off in 64-bit mode", x_movcr, cr0 & ~(ureg)CR0_PG);
    check_rax("CR4: PAE off in long mode", x_movcr4, cr4 & ~(ureg)CR4_PAE);
    check_rax("CR4: reserved bit 31", x_movcr4, cr4 | 1ul << 31);
    check_rax("CR4: a bit of the high half", x_movcr4, cr4 | 1ul << 40);
    check_rax("CR3: bit 62", x_movcr3, read_cr3() | 1ul << 62);
    check_rax("CR8: bit 4", x_movcr8, 16);
    check_rax("DR7: a bit of the high half", x_movdr7, 1ul << 32 | 0x400);
    check_rax("DR6: a bit of the high half", x_movdr6, 1ul << 32);
    if (has_cpuid(1, RCX, 17))
        check_rax("CR4: PCIDE while CR3[11:0] is not 0", x_movcr4, (write_cr3(read_cr3() | 8), cr4 | CR4_PCIDE));
    write_cr3(read_cr3() & ~0xffful);
    check_eq("CR0 is as before", read_cr0(), cr0);
    check_eq("CR4 is as before", read_cr4(), cr4);
}

// SDM vol. 4, chapter 2; vol. 2B, "WRMSR".
static void test_msrs(void)
{
    struct state s = kernel_state(x_rdmsr);
    s.r[RCX] = 0x12345678;
    run(&s);
    check_exc("RDMSR of an unknown register", &s, EXC_GP, 0, x_rdmsr);
    check_msr("WRMSR of an unknown register", 0x12345678, 0);
    check_msr("EFER: a reserved bit", 0xc0000080, 0xd01 | 1 << 9);
    check_msr("EFER: LME off with paging on", 0xc0000080, 0xc01);
    check_msr("LSTAR: not canonical", 0xc0000082, 0x0080000000000000);
    check_msr("FS_BASE: not canonical", 0xc0000100, 0x0000800000000000);
    check_msr("GS_BASE: not canonical", 0xc0000101, 0x0000800000000000);
    check_msr("KERNEL_GS_BASE: not canonical", 0xc0000102, 0xffff000000000000);
    check_msr("SYSENTER_EIP: not canonical", 0x176, 0x0080000000000000);
    check_msr("PAT: memory type 2", 0x277, 0x0007040600070402);
}

// SDM vol. 2A, "LTR", "LGDT/LIDT".
static void test_tables(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } bad = {0xff, 0x0000800000000000};
    check_rax("LTR: null", x_ltr, 0);
    check_rax("LGDT: base not canonical", x_lgdt, (ureg)&bad);
}

void test_main(void)
{
    test_control_registers();
    test_msrs();
    test_tables();
}
