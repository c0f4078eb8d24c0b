// SPDX-License-Identifier: MIT
// Port I/O rights: IOPL and the I/O permission bitmap; CR4.TSD; CLI and STI by IOPL.
// SDM vol. 1, section 18.5 "Protected-Mode I/O"; vol. 3A, section 2.5 on CR4.TSD.
#include "test.h"

enum { PORT = 0x80 };

SNIP(i_out8, "out %al, %dx");
SNIP(i_out16, "out %ax, %dx");
SNIP(i_out32, "out %eax, %dx");
SNIP(i_in8, "in %dx, %al");
SNIP(i_in_imm, "in $0x80, %al");
SNIP(i_outsb, "outsb");
SNIP(i_insb, "insb");
SNIP(i_rep_insb, "rep insb");
SNIP(i_cli, "cli; pushfq; pop %rax");
SNIP(i_sti, "sti; nop; pushfq; cli; pop %rax");
SNIP(i_rdtsc, "rdtsc");
SNIP(i_rdtscp, "rdtscp");
SNIP(
    i_in_widths,
    "mov $-1, %rax; in %dx, %al; mov %rax, %rbx; mov $-1, %rax; in %dx, %ax; mov %rax, %rcx; mov $-1, %rax; in %dx, %eax");

static struct state port_run(const char *code, ureg port, ureg flags)
{
    struct state s = user_state(code);
    s.r[RDX] = port;
    s.r[RSI] = s.r[RDI] = (ureg)USER(ustack);
    s.rflags |= flags;
    run(&s);
    return s;
}

static void check_port(const char *name, const char *code, ureg port, ureg flags, bool allow)
{
    struct state s = port_run(code, port, flags);
    if (allow)
        check_done(name, &s);
    else
        check_exc(name, &s, EXC_GP, 0, code);
}

static void set_port(unsigned port, bool allow)
{
    if (allow)
        tss.io[port / 8] &= (uint8_t) ~(1 << port % 8);
    else
        tss.io[port / 8] |= (uint8_t)(1 << port % 8);
}

static void test_bitmap(void)
{
    check_port("no bitmap: OUT at CPL 3, IOPL 0 is #GP(0)", i_out8, PORT, 0, false);
    check_port("IOPL 3 allows it", i_out8, PORT, FL_IOPL, true);
    mem_set(tss.io, 0xff, sizeof tss.io);
    tss.iomap = offsetof(struct tss, io);
    check_port("bitmap of ones: #GP(0)", i_out8, PORT, 0, false);
    set_port(PORT, true);
    check_port("bit clear: OUT runs", i_out8, PORT, 0, true);
    check_port("... IN runs", i_in8, PORT, 0, true);
    check_port("... IN with an immediate port runs", i_in_imm, 0, 0, true);
    check_port("... OUTSB runs", i_outsb, PORT, 0, true);
    check_port("... INSB runs", i_insb, PORT, 0, true);
    check_port("... 16-bit OUT needs the next bit too", i_out16, PORT, 0, false);
    set_port(PORT + 1, true);
    check_port("... and runs with it", i_out16, PORT, 0, true);
    check_port("... 32-bit OUT needs four", i_out32, PORT, 0, false);
    set_port(PORT + 2, true);
    set_port(PORT + 3, true);
    check_port("... and runs with them", i_out32, PORT, 0, true);
    set_port(0x87, true);
    set_port(0x88, false);
    check_port("16-bit OUT over a byte of the bitmap: second port denied", i_out16, 0x87, 0, false);
    set_port(0x88, true);
    check_port("... both allowed", i_out16, 0x87, 0, true);
    check_port("... REP INSB denied elsewhere", i_rep_insb, 0x90, 0, false);
    // A bitmap that the TSS limit cuts off: every bit beyond is 1.
    uint64_t saved = gdt[TSS_SEL / 8];
    gdt_set(TSS_SEL, make_desc((uint32_t)(ureg)&tss, offsetof(struct tss, io) + PORT / 8, 0x89, 0));
    asm volatile("ltr %w0" : : "r"(TSS_SEL));
    check_port("limit ends in the bitmap's byte: the extra byte is missing: #GP(0)", i_out8, PORT, 0, false);
    gdt_set(TSS_SEL, make_desc((uint32_t)(ureg)&tss, offsetof(struct tss, io) + PORT / 8 + 1, 0x89, 0));
    asm volatile("ltr %w0" : : "r"(TSS_SEL));
    check_port("limit one byte further: OUT runs", i_out8, PORT, 0, true);
    gdt_set(TSS_SEL, saved & ~(2ull << 40));
    asm volatile("ltr %w0" : : "r"(TSS_SEL));
    tss.iomap = sizeof tss;
}

static void test_iopl(void)
{
    struct state s = port_run(i_cli, 0, FL_IF);
    check_exc("CLI at CPL 3, IOPL 0 is #GP(0)", &s, EXC_GP, 0, i_cli);
    s = port_run(i_sti, 0, 0);
    check_exc("STI at CPL 3, IOPL 0 is #GP(0)", &s, EXC_GP, 0, i_sti);
    s = port_run(i_cli, 0, FL_IF | FL_IOPL);
    check_eq("CLI at CPL 3, IOPL 3 clears IF", s.vec == EXC_DONE ? s.r[RAX] & FL_IF : 99, 0);
    s = port_run(i_sti, 0, FL_IOPL);
    check_eq("STI at CPL 3, IOPL 3 sets IF", s.vec == EXC_DONE ? s.r[RAX] & FL_IF : 99, FL_IF);
}

static void test_tsc(void)
{
    struct state s = port_run(i_rdtsc, 0, 0);
    check_done("RDTSC at CPL 3", &s);
    s.r[RAX] = rdtsc();
    write_cr4(read_cr4() | CR4_TSD);
    s = port_run(i_rdtsc, 0, 0);
    check_exc("RDTSC at CPL 3 with CR4.TSD is #GP(0)", &s, EXC_GP, 0, i_rdtsc);
    if (has_cpuid(0x80000001, RDX, 27)) {
        s = port_run(i_rdtscp, 0, 0);
        check_exc("RDTSCP at CPL 3 with CR4.TSD is #GP(0)", &s, EXC_GP, 0, i_rdtscp);
    }
    s = kernel_state(i_rdtsc);
    run(&s);
    check_done("RDTSC at CPL 0 with CR4.TSD", &s);
    write_cr4(read_cr4() & ~(ureg)CR4_TSD);
    if (has_cpuid(0x80000001, RDX, 27)) {
        wrmsr(0xc0000103, 0x12345);
        s = port_run(i_rdtscp, 0, 0);
        check_eq("RDTSCP gives TSC_AUX in ECX", s.vec == EXC_DONE ? s.r[RCX] : 0, 0x12345);
    }
    wrmsr(0x10, 0x1000000000);
    uint64_t t = rdtsc();
    ok(t >= 0x1000000000 && t < 0x1100000000, "the time-stamp counter can be written: %lx", t);
    uint64_t a = rdtsc(), b = rdtsc();
    ok(b >= a, "it does not go back");
}

static void test_widths(void)
{
    struct state s = kernel_state(i_in_widths);
    s.r[RDX] = 0x3fd - 2; // COM1 + 3: the bytes matter less than which part of RAX changes
    run(&s);
    ok((s.r[RBX] & ~0xfful) == ~0xfful, "IN AL leaves the rest of RAX: %lx", s.r[RBX]);
    ok((s.r[RCX] & ~0xfffful) == ~0xfffful, "IN AX leaves the rest of RAX: %lx", s.r[RCX]);
    ok(s.r[RAX] >> 32 == 0, "IN EAX clears the high half: %lx", s.r[RAX]);
}

void test_main(void)
{
    test_bitmap();
    test_iopl();
    test_tsc();
    test_widths();
}
