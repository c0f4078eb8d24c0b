// SPDX-License-Identifier: MIT
// The vector state of a program is the same after it has used devices, by ports, by memory and by MSRs; and what a
// device stores and returns is right for each form of access. A VMM may leave that state in the host's registers
// while its device models run.
#include "paging64.h"

static uint8_t before[512] __attribute__((aligned(64))), after[512] __attribute__((aligned(64)));

SNIP(d_fill, "fninit; fldpi; fldl2e; movl $0x3f80, -4(%rsp); ldmxcsr -4(%rsp); mov $0x0123456789abcdef, %rax\n"
             ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n movq %rax, %xmm\\n; pinsrq $1, %rax, %xmm\\n\n"
             "imul $0x1234567, %rax\n .endr\n fxsave64 (%rdi)");
SNIP(d_save, "fxsave64 (%rdi)");
SNIP(d_in, "in %dx, %al");
SNIP(d_out, "out %al, %dx");
SNIP(d_rdmsr, "rdmsr");
SNIP(d_wrmsr, "wrmsr");

static struct state step(const char *code, ureg rdi, ureg rax, ureg rdx, ureg rcx)
{
    struct state s = kernel_state(code);
    s.r[RDI] = rdi;
    s.r[RAX] = rax;
    s.r[RDX] = rdx;
    s.r[RCX] = rcx;
    run(&s);
    return s;
}

static void fill(void) { step(d_fill, (ureg)before, 0, 0, 0); }

static void check_kept(const char *name)
{
    step(d_save, (ureg)after, 0, 0, 0);
    ok(mem_equal(before, after, 6) && mem_equal(before + 24, after + 24, 416 - 24), "vector state after %s", name);
}

static void test_ports(void)
{
    // clang-format off
    static const struct {
        uint16_t port;
        uint8_t value;
        const char *name;
    } ports[] = {
        {0x3fa, 7, "UART, FIFO control"}, {0x3f9, 0, "UART, interrupt enable"},
        {0x3ff, 1, "UART, scratch"}, {0x21, 0xff, "8259"}, {0x20, 0x20, "8259, EOI"}, {0x43, 0x34, "8254, control"},
        {0x40, 0, "8254, counter"}, {0x70, 0x0a, "RTC, index"}, {0x71, 0x26, "RTC, data"}, {0x64, 0xad, "8042"},
        {0x80, 1, "POST"}, {0x3c8, 0, "DAC"}, {0x3cf, 0, "graphics controller"}, {0xcf8, 0, "PCI"}, {0x92, 2, "port 92h"},
    };
    // clang-format on
    for (unsigned i = 0; i < sizeof ports / sizeof ports[0]; i++) {
        fill();
        for (unsigned n = 0; n < 300; n++) // fills buffers, makes and ends interrupt requests
            step(d_out, 0, ports[i].value, ports[i].port, 0);
        check_kept(ports[i].name);
        fill();
        step(d_in, 0, 0, ports[i].port, 0);
        check_kept("a read of it");
    }
    fill();
    for (unsigned n = 0; n < 20; n++)
        note("a line for the UART");
    check_kept("UART, data");
}

static void test_msrs(void)
{
    fill();
    step(d_wrmsr, 0, 0x1000, 0x7fffffff, 0x6e0);
    step(d_rdmsr, 0, 0, 0, 0x6e0);
    step(d_rdmsr, 0, 0, 0, 0x1b);
    check_kept("MSRs of the local APIC");
}

SNIP(d_mem,
     ".rept 3\n mov (%rdi), %al; movzbl 1(%rdi), %ecx; test %al, 2(%rdi); cmpb $3, 3(%rdi)\n"
     "mov %bh, 4(%rdi); mov %r14b, 5(%rdi); movw $0x5678, 6(%rdi); mov %r15, 8(%rdi); movl $-2, 16(%rdi)\n"
     "movq $-3, 24(%rdi); orb $0x81, 4(%rdi); mov 8(%rdi), %r14; movsbq 5(%rdi), %r15; mov 6(%rdi), %dx\n .endr");

// The VGA's memory: four planes on the same addresses, of which the CPU reads one and writes all.
static void test_vga(void)
{
    map_page(TEST_VA, 0xa0000, PTE_P | PTE_W | PTE_PCD, 1);
    outb(0x3c2, 0x63); // the CPU may access it
    outb(0x3c4, 4);
    outb(0x3c5, 6); // all planes, sequential
    outb(0x3c4, 2);
    outb(0x3c5, 15);
    outb(0x3ce, 6);
    outb(0x3cf, 5); // A0000h, graphics
    outb(0x3ce, 8);
    outb(0x3cf, 255);
    outb(0x3ce, 5);
    outb(0x3cf, 0);
    outb(0x3ce, 1);
    outb(0x3cf, 0);
    volatile uint8_t *p = (uint8_t *)TEST_VA;
    for (unsigned i = 0; i < 32; i++)
        p[i] = (uint8_t)(i + 1);
    fill();
    struct state s = kernel_state(d_mem);
    s.r[RDI] = TEST_VA;
    s.r[RBX] = 0xab12;
    s.r[R14] = 0x99;
    s.r[R15] = 0x1122334455667788;
    run(&s);
    check_kept("accesses to VGA memory");
    check_done("accesses to VGA memory", &s);
    check_eq("... AL", s.r[RAX] & 0xff, 1);
    check_eq("... MOVZX", s.r[RCX], 2);
    check_eq("... AH..BH as source, then OR", p[4], 0xab | 0x81);
    check_eq("... a word of immediate", p[6] | p[7] << 8, 0x5678);
    check_eq("... read back", s.r[RDX] & 0xffff, 0x5678);
    check_eq("... MOVSX", s.r[R15], (ureg)(int64_t)(int8_t)p[5]);
    check_eq("... 32 bits of immediate", *(volatile uint32_t *)(p + 16), 0xfffffffe);
    check_eq("... 64 bits, extended", *(volatile uint64_t *)(p + 24), -3ull);
}

static volatile unsigned hits;
static void self_irq(struct frame *f)
{
    hits++;
    ((volatile uint32_t *)TEST_VA)[0xb0 / 4] = 0;
}

// An interrupt that a store to the local APIC makes pending is taken soon; at a branch at the latest.
SNIP(d_self, "mov $0, %ebx; mov $0x300, %edx; mov $0x44041, %eax; sti; nop\n"
             ".rept 4\n mov %eax, (%rdi,%rdx); jmp .+2; jmp .+2; add (%rsi), %ebx\n .endr\n cli");

static void test_self_ipi(void)
{
    map_page(TEST_VA, 0xfee00000, PTE_P | PTE_W | PTE_PCD, 1);
    ((volatile uint32_t *)TEST_VA)[0xf0 / 4] = 0x1ff;
    irq_hook[VEC_SELF] = self_irq;
    for (unsigned round = 0; round < 3; round++) {
        hits = 0;
        struct state s = kernel_state(d_self);
        s.r[RDI] = TEST_VA;
        s.r[RSI] = (ureg)&hits;
        run(&s);
        check_done("self-IPI by stores to the local APIC", &s);
        check_eq("... each taken at once", s.r[RBX], 1 + 2 + 3 + 4);
    }
}

void test_main(void)
{
    write_cr4(read_cr4() | 0x200); // OSFXSR
    test_ports();
    test_msrs();
    test_vga();
    test_self_ipi();
}
