// SPDX-License-Identifier: MIT
// Segments in IA-32e mode: FS and GS bases, ignored DS, compatibility-mode limits and the wrap at 4 GiB.
// SDM vol. 3A, sections 3.2.4 "Segmentation in IA-32e Mode" and 5.3 "Limit Checking".
#include "paging64.h"

enum {
    MSR_FS_BASE = 0xc0000100,
    MSR_GS_BASE,
    SMALL = FREE_SEL,
    DOWN = FREE_SEL + 8,
    RO = FREE_SEL + 16,
    BASE = FREE_SEL + 24,
    CS_SMALL = FREE_SEL + 32,
    SS16 = FREE_SEL + 40,
    CS16 = FREE_SEL + 48,
    XO = FREE_SEL + 56
};

static uint64_t words[4] = {0x1111, 0x2222, 0x3333, 0x4444};

SNIP(b_fs, "mov %fs:8, %rax");
SNIP(b_gs_rbx, "mov %gs:(%rbx), %rax");
SNIP(b_gs32, "mov %gs:(%ebx), %rax");
SNIP(b_lea, ".byte 0x65; lea 8(%rbx), %rax");
SNIP(b_ds_null, "mov $0, %eax; mov %eax, %ds; mov (%rbx), %rax");
SNIP(b_fsload, "mov %ecx, %fs; mov %fs:(%rbx), %rax");
SNIP(b_rdfs, "rdfsbase %rax; rdgsbase %rcx");
SNIP(b_wrfs, "wrfsbase %rbx; mov %fs:0, %rax");
SNIP(b_wrfs32, "wrfsbase %ebx; rdfsbase %rax");
SNIP(b_rip, "lea 1f(%rip), %rax; 1: nop");
SNIP(b_moffs, "movabs 0x4010000000000000, %al"); // non-canonical absolute address
SNIP(b_moffs32, ".byte 0x67, 0xa1; .long 0x40100000");

static void test_bases(void)
{
    wrmsr(MSR_FS_BASE, (ureg)USER(words));
    wrmsr(MSR_GS_BASE, (ureg)USER(words) - 0x1000);
    struct state s = user_state(b_fs);
    run(&s);
    check_eq("FS base", s.r[RAX], 0x2222);
    s = user_state(b_gs_rbx);
    s.r[RBX] = 0x1010;
    run(&s);
    check_eq("GS base + register", s.r[RAX], 0x3333);
    wrmsr(MSR_GS_BASE, (ureg)USER(words) - 0x7fff00000000);
    s = user_state(b_gs_rbx);
    s.r[RBX] = 0x7fff00000018;
    run(&s);
    check_eq("GS base is 64 bits wide", s.r[RAX], 0x4444);
    wrmsr(MSR_GS_BASE, (ureg)USER(words) + 0x1000);
    s = user_state(b_gs_rbx);
    s.r[RBX] = (ureg)-0x1000;
    run(&s);
    check_eq("GS base + a negative register", s.r[RAX], 0x1111);
    wrmsr(MSR_GS_BASE, (ureg)USER(words) - 0xfffffff8);
    s = user_state(b_gs32);
    s.r[RBX] = 0xabcdef00fffffff8;
    run(&s); // 67h: the offset is 32 bits, zero-extended, then the base is added
    check_eq("67h truncates the offset before the base is added", s.r[RAX], 0x1111);
    s = user_state(b_lea);
    s.r[RBX] = 0x100;
    run(&s);
    check_eq("LEA does not add the base", s.r[RAX], 0x108);
    wrmsr(MSR_FS_BASE, 0x00007ffffffff000);
    s = user_state(b_fs);
    s.rip = (ureg)USER(b_fs);
    run(&s);
    check_exc("FS base near the hole's edge: the page is missing", &s, EXC_PF, 4, b_fs);
    wrmsr(MSR_GS_BASE, 0x00007ffffffff000);
    s = user_state(b_gs_rbx);
    s.r[RBX] = 0x1000;
    run(&s);
    check_exc("GS base + offset not canonical is #GP(0)", &s, EXC_GP, 0, b_gs_rbx);
    s = user_state(b_moffs);
    run(&s);
    check_exc("MOV from a non-canonical absolute address is #GP(0)", &s, EXC_GP, 0, b_moffs);
    s = user_state(b_moffs32);
    run(&s);
    ok(s.vec == EXC_DONE && s.r[RAX] == *(uint32_t *)0x40100000, "MOV moffs with 67h has a 32-bit address");
    s = user_state(b_rip);
    run(&s);
    check_eq("RIP-relative LEA", s.r[RAX], (ureg)USER(b_rip) + 7);
}

static void test_selectors(void)
{
    struct state s = user_state(b_ds_null);
    s.r[RBX] = (ureg)USER(words);
    run(&s);
    check_eq("64-bit mode ignores a null DS", s.vec == EXC_DONE ? s.r[RAX] : 0, 0x1111);
    gdt_set(BASE, make_desc((uint32_t)(ureg)USER(words), 7, 0xf3, 4));
    s = user_state(b_fsload);
    s.r[RCX] = BASE | 3;
    s.r[RBX] = 24;
    run(&s); // the base is used, the limit (7) is not
    check_eq("64-bit mode: FS's base from its descriptor, the limit is not checked", s.vec == EXC_DONE ? s.r[RAX] : 0,
             0x4444);
    check_eq("... and RDMSR shows it", rdmsr(MSR_FS_BASE), (uint32_t)(ureg)USER(words));
    if (!has_cpuid(7, RBX, 0))
        return skip("FSGSBASE", "CPUID has none");
    s = user_state(b_rdfs);
    run(&s);
    check_exc("RDFSBASE without CR4.FSGSBASE is #UD", &s, EXC_UD, NO_ERROR, b_rdfs);
    write_cr4(read_cr4() | CR4_FSGSBASE);
    wrmsr(MSR_FS_BASE, 0x1234567890);
    wrmsr(MSR_GS_BASE, 0xffff800012345678);
    s = user_state(b_rdfs);
    run(&s);
    ok(s.r[RAX] == 0x1234567890 && s.r[RCX] == 0xffff800012345678, "RDFSBASE and RDGSBASE at CPL 3: %lx %lx", s.r[RAX],
       s.r[RCX]);
    s = user_state(b_wrfs);
    s.r[RBX] = (ureg)USER(words);
    run(&s);
    check_eq("WRFSBASE", s.r[RAX], 0x1111);
    s = user_state(b_wrfs);
    s.r[RBX] = 0x800000000000;
    run(&s);
    check_exc("WRFSBASE of a non-canonical base is #GP(0)", &s, EXC_GP, 0, b_wrfs);
    s = user_state(b_wrfs32);
    s.r[RBX] = 0xffffffff80001234;
    run(&s);
    check_eq("32-bit WRFSBASE zero-extends", s.r[RAX], 0x80001234);
    write_cr4(read_cr4() & ~(ureg)CR4_FSGSBASE);
}

SNIP32(b_c_load, "movl (%ebx), %eax");
SNIP32(b_c_load8, "movb (%ebx), %al");
SNIP32(b_c_store, "movl %eax, (%ebx)");
SNIP32(b_c_wrap, "movl 0x7fffffff(%ebx), %eax");
SNIP32(b_c_push, "push %eax; mov %esp, %ecx; pop %eax");
SNIP32(b_c_es, "mov %ecx, %es; mov %es:(%ebx), %eax");
SNIP32(b_c_cs, "mov %cs:(%ebx), %eax");
SNIP32(b_c_cs_store, "mov %eax, %cs:(%ebx)");
SNIP32(b_c_inc, "inc %eax; dec %ecx; .byte 0x40, 0x48"); // 40h and 48h are INC and DEC here, not REX
SNIP32(b_c_pusha, "pusha; mov 28(%esp), %ecx; mov %ecx, 24(%esp); popa");
SNIP32(b_c_aaa, "mov $0x0f, %eax; aaa; mov %eax, %ecx; mov $0x17, %al; das; bound %ebx, (%esi)");
SNIP32(b_c_into, "mov $0x7fffffff, %eax; inc %eax\n into\n" AT(b_c_into_at) "nop");
LABEL(b_c_into_at);

static struct state compat_run(const char *code, ureg ds, ureg rbx)
{
    struct state s = compat_state(code);
    s.ds = ds;
    s.r[RBX] = rbx;
    run(&s);
    return s;
}

static void test_limits(void)
{
    gdt_set(SMALL, make_desc((uint32_t)(ureg)USER(words), 11, 0xf3, 4));
    gdt_set(DOWN, make_desc((uint32_t)(ureg)USER(words) - 0x1000, 0xfff, 0xf7, 4)); // valid: 1000h to FFFFFFFFh
    gdt_set(RO, make_desc(0, 0xfffff, 0xf1, 0xc));
    gdt_set(XO, make_desc(0, 0xfffff, 0xf9, 0xc));
    struct state s = compat_run(b_c_load, SMALL | 3, 8);
    check_eq("limit: the last dword inside", s.vec == EXC_DONE ? s.r[RAX] : 0, 0x2222);
    s = compat_run(b_c_load, SMALL | 3, 9);
    check_exc("limit: one byte beyond is #GP(0)", &s, EXC_GP, 0, b_c_load);
    s = compat_run(b_c_load8, SMALL | 3, 11);
    check_done("limit: the last byte", &s);
    s = compat_run(b_c_load8, SMALL | 3, 12);
    check_exc("limit: the byte beyond is #GP(0)", &s, EXC_GP, 0, b_c_load8);
    s = compat_run(b_c_load, SMALL | 3, 0xfffffffe);
    check_exc("limit: an offset that wraps is #GP(0)", &s, EXC_GP, 0, b_c_load);
    s = compat_run(b_c_load, DOWN | 3, 0x1008);
    check_eq("expand-down: inside", s.vec == EXC_DONE ? s.r[RAX] : 0, 0x2222);
    s = compat_run(b_c_load, DOWN | 3, 0xfff);
    check_exc("expand-down: at the limit is #GP(0)", &s, EXC_GP, 0, b_c_load);
    s = compat_run(b_c_store, RO | 3, (ureg)USER(words + 3));
    check_exc("store to read-only data is #GP(0)", &s, EXC_GP, 0, b_c_store);
    s = compat_run(b_c_load, 0, (ureg)USER(words));
    check_exc("load through a null DS is #GP(0)", &s, EXC_GP, 0, b_c_load);
    s = compat_run(b_c_cs, UDATA, (ureg)USER(words));
    check_eq("load through readable CS", s.vec == EXC_DONE ? s.r[RAX] : 0, 0x1111);
    s = compat_run(b_c_cs_store, UDATA, (ureg)USER(words + 3));
    check_exc("store through CS is #GP(0)", &s, EXC_GP, 0, b_c_cs_store);
    s = compat_state(b_c_cs);
    s.cs = XO | 3;
    s.r[RBX] = (ureg)USER(words);
    run(&s);
    check_exc("load through execute-only CS is #GP(0)", &s, EXC_GP, 0, b_c_cs);
    s = compat_state(b_c_push);
    gdt_set(SMALL, make_desc((uint32_t)(ureg)USER(ustack), 0xff, 0xf3, 4));
    s.ss = SMALL | 3;
    s.r[RSP] = 0x104;
    run(&s);
    check_exc("PUSH beyond SS's limit is #SS(0)", &s, EXC_SS, 0, b_c_push);
    s.r[RSP] = 0x100;
    s.rip = (ureg)USER(b_c_push);
    s.rflags = FL_ONE;
    run(&s);
    check_eq("PUSH just inside SS's limit", s.vec == EXC_DONE ? s.r[RCX] : 0, 0xfc);
}

static void test_compat(void)
{
    uint8_t *top = page_alloc();
    map_page(0xfffff000, (ureg)top, PTE_PWU, 1);
    *(uint32_t *)(top + 4092) = 0xcafe;
    struct state s = compat_run(b_c_wrap, UDATA, (ureg)(uint32_t)(0x40100000u - 0x7fffffffu));
    check_eq("base + displacement wraps at 4 GiB", s.vec == EXC_DONE ? s.r[RAX] : 0, *(uint32_t *)0x40100000);
    s = compat_run(b_c_load, UDATA, 0xfffffffc);
    check_eq("the last dword below 4 GiB", s.vec == EXC_DONE ? s.r[RAX] : 0, 0xcafe);
    gdt_set(BASE, make_desc(0xfffffffc, 0xfffff, 0xf3, 0xc));
    s = compat_run(b_c_load, BASE | 3, (ureg)USER(words) + 4);
    check_eq("segment base + offset wraps at 4 GiB", s.vec == EXC_DONE ? s.r[RAX] : 0, 0x1111);
    s = compat_run(b_c_inc, UDATA, 0);
    ok(s.vec == EXC_DONE && (uint32_t)s.r[RAX] == 1 && (uint32_t)s.r[RCX] == 0xffffffff,
       "40h..4Fh are INC and DEC: %lx %lx", s.r[RAX], s.r[RCX]);
    s = compat_state(b_c_pusha);
    s.r[RAX] = 0x1234;
    run(&s);
    ok(s.vec == EXC_DONE && (uint32_t)s.r[RCX] == 0x1234, "PUSHA and POPA");
    static uint32_t bounds[2] = {10, 20};
    s = compat_state(b_c_aaa);
    s.r[RSI] = (ureg)USER(bounds);
    s.r[RBX] = 21;
    run(&s);
    ok(s.vec == EXC_BR && (s.r[RCX] & 0xffff) == 0x0105, "AAA; BOUND outside is #BR: vector %lu value %lx", s.vec,
       s.r[RCX]);
    s = compat_state(b_c_aaa);
    s.r[RSI] = (ureg)USER(bounds);
    s.r[RBX] = 20;
    run(&s);
    check_done("BOUND inside", &s);
    idt_default(EXC_OF, 0xee);
    s = compat_state(b_c_into);
    run(&s);
    check_exc("INTO with OF is #OF, a trap", &s, EXC_OF, NO_ERROR, b_c_into_at);
}

void test_main(void)
{
    test_bases();
    test_selectors();
    test_limits();
    test_compat();
}
