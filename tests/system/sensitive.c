// SPDX-License-Identifier: MIT
// The sensitive instructions that do not trap in user mode: at CPL 3 each must show the guest's state.
//
// Robin and Irvine, "Analysis of the Intel Pentium's Ability to Support a Secure Virtual Machine Monitor"
// (2000), list 17. A VMM that ran them as they are in an unprivileged process would give the guest the host's
// values: sensitive_bare.c shows which. Here every value is checked against what this image set up itself.
#include "test.h"

enum { LDT_SEL = FREE_SEL, MARK = FREE_SEL + 16, KMARK = FREE_SEL + 24, LDT_ENTRY = 0x0f, GATE = FREE_SEL + 32 };
static uint64_t ldt[2];
static uint8_t out[16];

SNIP(v_sgdt, "sgdt (%rdi)");
SNIP(v_sidt, "sidt (%rdi)");
SNIP(v_sldt, "mov $-1, %rax; sldt %eax");
SNIP(v_sldt_mem, "sldt (%rdi)");
SNIP(v_smsw, "mov $-1, %rax; smsw %rax");
SNIP(v_str, "mov $-1, %rax; str %eax");
SNIP(v_pushf, "pushfq; pop %rax");
SNIP(v_popf, "push %rbx; popfq; pushfq; pop %rax");
SNIP(v_lar, "xor %eax, %eax; lar %ebx, %eax; setz %cl; and $0xf0ff00, %eax");
SNIP(v_lsl, "xor %eax, %eax; lsl %ebx, %eax; setz %cl");
SNIP(v_verr, "verr %bx; setz %cl");
SNIP(v_verw, "verw %bx; setz %cl");
SNIP(v_mov_from, "mov %cs, %eax; mov %ss, %ecx; mov %ds, %edx; mov %fs, %esi");
SNIP(v_mov_to, "mov %ebx, %ds; mov %ds, %eax; mov %ebx, %fs; movzbl %fs:4, %ecx");
SNIP(v_mov_ds, "mov %ebx, %ds; mov %ds, %eax");
SNIP(v_push_fs, "mov %ebx, %fs; push %fs; pop %rax; push %gs; pop %rcx");
SNIP(v_pop_fs, "push %rbx; pop %fs; mov %fs, %eax");
SNIP(v_lcall, "lcall *(%rdi)");
SNIP(v_gate, "mov %cs, %eax; mov %ss, %ecx");
SNIP(v_ljmp, "ljmp *(%rdi)");
SNIP32(v_compat, "mov %cs, %eax; push %cs; pop %ebx; push %ss; pop %ecx; push %ds; pop %edx");
SNIP(v_lret, "push %rbx; push %rdi; lretq");
SNIP(v_iret, "mov %ss, %eax; push %rax; lea 8(%rsp), %rcx; push %rcx; pushfq; push %rbx; push %rdi; iretq");
SNIP(v_target, "mov %cs, %eax");
SNIP(v_int, "int $0x42");
SNIP(v_int_target, "mov %cs, %eax; mov (%rsp), %rcx");

static struct state at_cpl3(const char *code, ureg rbx, const void *rdi)
{
    struct state s = user_state(code);
    s.r[RBX] = rbx;
    s.r[RDI] = (ureg)USER(rdi);
    run(&s);
    return s;
}

static void show(const char *insn, ureg got, ureg want, const struct state *s)
{
    ok(s->vec == EXC_DONE && got == want, "%s at CPL 3: the guest sees %lx, the guest's own is %lx (vector %lu)", insn,
       got, want, s->vec);
}

static void test_tables(void)
{
    mem_set(out, 0, sizeof out);
    struct state s = at_cpl3(v_sgdt, 0, out);
    show("SGDT base", *(ureg *)(out + 2), (ureg)gdt, &s);
    show("SGDT limit", *(uint16_t *)out, 64 * 8 - 1, &s);
    s = at_cpl3(v_sidt, 0, out);
    show("SIDT base", *(ureg *)(out + 2), (ureg)idt, &s);
    show("SIDT limit", *(uint16_t *)out, sizeof idt - 1, &s);
    s = at_cpl3(v_sldt, 0, out);
    show("SLDT", s.r[RAX], LDT_SEL, &s);
    mem_set(out, 0xff, sizeof out);
    s = at_cpl3(v_sldt_mem, 0, out);
    show("SLDT to memory: 16 bits", *(uint32_t *)out, 0xffff0000u | LDT_SEL, &s);
    s = at_cpl3(v_str, 0, out);
    show("STR", s.r[RAX], TSS_SEL, &s);
    s = at_cpl3(v_smsw, 0, out);
    show("SMSW", s.r[RAX], read_cr0(), &s);
    ureg cr0 = read_cr0();
    write_cr0(cr0 ^ CR0_TS ^ CR0_AM);
    s = at_cpl3(v_smsw, 0, out);
    show("SMSW after a change of TS and AM", s.r[RAX], cr0 ^ CR0_TS ^ CR0_AM, &s);
    write_cr0(cr0);
}

static void test_flags(void)
{
    struct state s = user_state(v_pushf);
    run(&s);
    show("PUSHF with IF clear", s.r[RAX], FL_ONE, &s);
    s = user_state(v_pushf);
    s.rflags |= FL_IF | FL_IOPL | FL_CF;
    run(&s);
    show("PUSHF with IF set, IOPL 3", s.r[RAX], FL_IF | FL_IOPL | FL_CF | FL_ONE, &s);
    s = at_cpl3(v_popf, FL_IF | FL_IOPL | FL_CF | FL_DF | FL_ONE, out);
    show("POPF with IOPL 0: IF and IOPL stay clear, silently", s.r[RAX], FL_CF | FL_DF | FL_ONE, &s);
    s = user_state(v_popf);
    s.rflags |= FL_IOPL;
    s.r[RBX] = FL_IF | FL_ZF | FL_ONE;
    run(&s);
    show("POPF with IOPL 3: IF changes, IOPL does not", s.r[RAX], FL_IF | FL_IOPL | FL_ZF | FL_ONE, &s);
    s = kernel_state(v_popf);
    s.r[RBX] = FL_IOPL | FL_ZF | FL_AC | FL_NT | FL_ONE;
    run(&s);
    ok(s.vec == EXC_DONE && s.r[RAX] == (FL_IOPL | FL_ZF | FL_AC | FL_NT | FL_ONE),
       "POPF at CPL 0 changes IOPL and NT: %lx", s.r[RAX]);
}

static void test_descriptors(void)
{
    struct state s = at_cpl3(v_lar, MARK | 3, out);
    show("LAR of a descriptor only the guest has", s.r[RAX], 0x40f300, &s);
    s = at_cpl3(v_lsl, MARK | 3, out);
    show("LSL of it", s.r[RAX], 0x4321, &s);
    s = at_cpl3(v_lsl, LDT_ENTRY, out);
    show("LSL of a descriptor in the guest's LDT", s.r[RAX], 0x765, &s);
    s = at_cpl3(v_lar, KMARK, out);
    show("LAR of DPL 0 data: ZF", s.r[RCX] & 1, 0, &s);
    s = at_cpl3(v_verr, MARK | 3, out);
    show("VERR: ZF", s.r[RCX] & 1, 1, &s);
    s = at_cpl3(v_verw, KMARK, out);
    show("VERW of DPL 0 data: ZF", s.r[RCX] & 1, 0, &s);
    s = at_cpl3(v_verw, MARK | 3, out);
    show("VERW: ZF", s.r[RCX] & 1, 1, &s);
}

static void test_segments(void)
{
    struct state s = user_state(v_mov_from);
    s.ds = MARK | 3;
    run(&s);
    show("MOV from CS", s.r[RAX], UCODE, &s);
    show("MOV from SS", s.r[RCX], UDATA, &s);
    show("MOV from DS", s.r[RDX], MARK | 3, &s);
    ((uint8_t *)USER(out))[4] = 0x5a;
    gdt_set(MARK, make_desc((uint32_t)(ureg)USER(out), 0x4321, 0xf3, 4));
    s = at_cpl3(v_mov_to, MARK | 3, out);
    show("MOV to DS and back", s.r[RAX], MARK | 3, &s);
    show("MOV to FS: the base is the guest descriptor's", s.r[RCX], 0x5a, &s);
    s = at_cpl3(v_mov_to, KMARK, out);
    ok(s.vec == EXC_GP && s.err == KMARK, "MOV to DS of DPL 0 data: vector %lu error %lx, want 13 error %x", s.vec,
       s.err, KMARK);
    s = at_cpl3(v_mov_ds, LDT_ENTRY, out);
    show("MOV to DS from the guest's LDT", s.r[RAX], LDT_ENTRY, &s);
    s = at_cpl3(v_push_fs, MARK | 3, out);
    show("PUSH FS", s.r[RAX], MARK | 3, &s);
    s = at_cpl3(v_pop_fs, MARK | 3, out);
    show("POP FS", s.r[RAX], MARK | 3, &s);
    s = compat_state(v_compat);
    s.ds = MARK | 3;
    run(&s);
    show("PUSH CS (compatibility mode)", s.r[RBX], UCODE32, &s);
    show("PUSH SS (compatibility mode)", s.r[RCX], UDATA, &s);
    show("PUSH DS (compatibility mode)", s.r[RDX], MARK | 3, &s);
}

static void test_transfers(void)
{
    static struct __attribute__((packed)) {
        uint32_t off;
        uint16_t sel;
    } f;
    ureg a = (ureg)v_gate;
    gdt_set(GATE, (a & 0xffff) | (uint64_t)KCODE << 16 | (uint64_t)0xec << 40 | (uint64_t)(a >> 16 & 0xffff) << 48);
    gdt_set(GATE + 8, 0);
    f.sel = GATE | 3;
    struct state s = at_cpl3(v_lcall, 0, &f);
    show("far CALL through the guest's call gate: CS", s.r[RAX], KCODE, &s);
    f.off = (uint32_t)(ureg)USER(v_compat);
    f.sel = UCODE32;
    s = at_cpl3(v_ljmp, 0, &f);
    show("far JMP to the guest's 32-bit code segment: CS", s.r[RAX], UCODE32, &s);
    f.sel = KCODE;
    s = at_cpl3(v_ljmp, 0, &f);
    ok(s.vec == EXC_GP && s.err == KCODE, "far JMP to the guest's kernel: vector %lu error %lx, want 13 error %x",
       s.vec, s.err, KCODE);
    s = at_cpl3(v_lret, UCODE, v_target);
    show("far RET: CS", s.r[RAX], UCODE, &s);
    s = at_cpl3(v_iret, UCODE, v_target);
    show("IRET: CS", s.r[RAX], UCODE, &s);
    s = at_cpl3(v_iret, KCODE, v_target);
    ok(s.vec == EXC_GP && s.err == KCODE, "IRET to the guest's kernel: vector %lu error %lx, want 13 error %x", s.vec,
       s.err, KCODE);
    idt_set(0x42, v_int_target, KCODE, 0xee, 0);
    s = at_cpl3(v_int, 0, out);
    show("INT n through the guest's IDT: CS of the handler", s.r[RAX], KCODE, &s);
    show("... the return address", s.r[RCX], (ureg)USER(v_int_end), &s);
}

// CR4.UMIP: SGDT, SIDT, SLDT, SMSW, STR are #GP(0) at CPL 3. Vol. 3A, section 2.5 "Control Registers".
static void test_umip(void)
{
    if (!has_cpuid(7, RCX, 2))
        return skip("UMIP", "CPUID has none");
    static const struct {
        const char *name, *code;
    } rows[] = {
        {"SGDT", v_sgdt},
        {"SIDT", v_sidt},
        {"SLDT to memory", v_sldt_mem},
    };
    write_cr4(read_cr4() | CR4_UMIP);
    for (unsigned i = 0; i < 3; i++) {
        struct state s = at_cpl3(rows[i].code, 0, out);
        ok(s.vec == EXC_GP && s.err == 0 && s.rip == (ureg)USER(rows[i].code), "UMIP: %s at CPL 3 is #GP(0)",
           rows[i].name);
    }
    struct state s = at_cpl3(v_str, 0, out);
    ok(s.vec == EXC_GP && s.err == 0, "UMIP: STR at CPL 3 is #GP(0)");
    s = at_cpl3(v_smsw, 0, out);
    ok(s.vec == EXC_GP && s.err == 0, "UMIP: SMSW at CPL 3 is #GP(0)");
    s = kernel_state(v_str);
    run(&s);
    ok(s.vec == EXC_DONE && s.r[RAX] == TSS_SEL, "UMIP: STR at CPL 0 runs");
    write_cr4(read_cr4() & ~(ureg)CR4_UMIP);
}

void test_main(void)
{
    // The LDT's page is supervisor: descriptor loads are implicit supervisor accesses.
    ldt[1] = make_desc(0, 0x765, 0xf3, 4);
    gdt_set(LDT_SEL, make_desc((uint32_t)(ureg)ldt, sizeof ldt - 1, 0x82, 0));
    gdt_set(LDT_SEL + 8, 0);
    gdt_set(MARK, make_desc(0, 0x4321, 0xf3, 4));
    gdt_set(KMARK, make_desc(0, 0x1234, 0x93, 4));
    asm volatile("lldt %w0" : : "r"(LDT_SEL));
    test_tables();
    test_flags();
    test_descriptors();
    test_segments();
    test_transfers();
    test_umip();
}
