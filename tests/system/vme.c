// SPDX-License-Identifier: MIT
// VME, the I/O permission bitmap, 16-bit task-state segments, and task switches that nest or deliver faults.
// SDM vol. 3B, sections 21.3.3.4 "Handling Software Interrupts in a Virtual-8086-Mode Task" and 21.2.8; vol. 1,
// section 19.5.2 "I/O Permission Bit Map"; vol. 3A, chapter 8 "Task Management".
#include "test.h"

#define CR4_VME 1u
#define FL_VIF 0x80000u
#define FL_VIP 0x100000u
#define LOW ((uint8_t *)0x8000)
enum { TSS16 = FREE_SEL, TASK_GATE = FREE_SEL + 8, TSS_B = FREE_SEL + 16, NOT_PRESENT = FREE_SEL + 24 };

SNIP16(m_cli, "cli; pushfw; popw %ax");
SNIP16(m_sti, "sti; pushfw; popw %ax");
SNIP16(m_popf_if, "pushw $0x0202; popfw; pushfw; popw %ax");
SNIP16(m_popf_none, "pushw $0x0002; popfw; pushfw; popw %ax");
SNIP16(m_popf_tf, "pushw $0x0102; popfw");
SNIP16(m_popfl, "pushl $2; popfl");
SNIP16(m_int, "int $0x45; movw $0x99, %bx");
SNIP16(m_iret, "pushw $0x0202; pushw %cs; pushw $1f-m_iret; iretw; 1: pushfw; popw %ax");
SNIP16(m_in, "movw $0x61, %dx; inb %dx, %al; movw $1, %bx");
SNIP16(m_inw, "movw $0x67, %dx; movw $1, %bx; inw %dx, %ax");
SNIP16(m_out_high, "movw $0xfff0, %dx; movw $1, %bx; outb %al, %dx");
SNIP(m_in32, "mov $0x61, %edx; inb %dx, %al; mov $1, %ebx");

static struct state v86(const char *code, const char *end, ureg flags)
{
    mem_copy(LOW, code, (size_t)(end - code) + 2);
    struct state s = {.cs = 0x800, .ss = 0x900, .rflags = 0x20000 | FL_ONE | flags, .ds = 0x111, .es = 0x222};
    s.r[RSP] = 0x1000;
    run(&s);
    return s;
}
#define V86(name, flags) v86(name, name##_end, flags)

// The INT 80h that ends a snippet: with IOPL 3 it gets to the monitor, below that it is #GP(0).
static bool ended(const struct state *s, const char *code, const char *end)
{
    return s->rip == (ureg)(end - code) + (s->vec == EXC_DONE ? 2 : 0) &&
           (s->vec == EXC_DONE || (s->vec == EXC_GP && !s->err));
}
#define ENDED(name) ended(&s, name, name##_end)

// io[0..31] of the framework's TSS is the interrupt redirection map, the ports' map follows.
static void set_map(unsigned vector, bool to_monitor)
{
    if (to_monitor)
        tss.io[vector / 8] |= (uint8_t)(1u << (vector & 7));
    else
        tss.io[vector / 8] &= (uint8_t) ~(1u << (vector & 7));
}

static void test_vme(void)
{
    uint32_t cr4;
    asm volatile("mov %%cr4, %0" : "=r"(cr4));
    if (!has_cpuid(1, RDX, 1)) {
        skip("VME", "the CPU has none");
        return;
    }
    set_map(EXC_DONE, true);
    struct state s = V86(m_cli, 0);
    ok(s.vec == EXC_GP && s.rip == 0, "without VME: CLI with IOPL 0 is #GP: vector %lu", s.vec);
    asm volatile("mov %0, %%cr4" : : "r"(cr4 | CR4_VME));
    s = V86(m_cli, FL_VIF | FL_IF);
    ok(ENDED(m_cli) && !(s.rflags & FL_VIF) && (s.rflags & FL_IF), "VME: CLI clears VIF, not IF: flags %lx", s.rflags);
    ok(!(s.r[RAX] & FL_IF) && (s.r[RAX] & FL_IOPL) == FL_IOPL, "... PUSHF shows VIF as IF, and IOPL 3: %lx", s.r[RAX]);
    s = V86(m_sti, 0);
    ok(ENDED(m_sti) && (s.rflags & FL_VIF) && !(s.rflags & FL_IF) && (s.r[RAX] & FL_IF),
       "VME: STI sets VIF: flags %lx ax %lx", s.rflags, s.r[RAX]);
    s = V86(m_sti, FL_VIP);
    ok(s.vec == EXC_GP && s.err == 0 && s.rip == 0, "VME: STI with VIP set is #GP(0): vector %lu", s.vec);
    s = V86(m_popf_if, 0);
    ok(ENDED(m_popf_if) && (s.rflags & FL_VIF) && (s.r[RAX] & FL_IF), "VME: POPF loads VIF from IF: flags %lx",
       s.rflags);
    s = V86(m_popf_none, FL_VIF);
    ok(ENDED(m_popf_none) && !(s.rflags & FL_VIF), "VME: POPF clears VIF: flags %lx", s.rflags);
    s = V86(m_popf_if, FL_VIP);
    ok(s.vec == EXC_GP && s.err == 0, "VME: POPF that sets IF with VIP set is #GP(0): vector %lu", s.vec);
    s = V86(m_popf_tf, 0);
    ok(s.vec == EXC_GP && s.err == 0, "VME: POPF that sets TF is #GP(0): vector %lu", s.vec);
    s = V86(m_popfl, 0);
    ok(s.vec == EXC_GP && s.err == 0, "VME: POPFD with IOPL 0 is #GP(0): vector %lu", s.vec);
    s = V86(m_iret, 0);
    ok(ENDED(m_iret) && (s.rflags & FL_VIF) && (s.r[RAX] & FL_IF), "VME: IRET loads VIF from IF: vector %lu flags %lx",
       s.vec, s.rflags);

    // INT n: its bit clear goes to the 8086 programme's own handler, at 850h:0 here.
    ureg vectors = 0;
    asm volatile("" : "+r"(vectors));
    static const uint8_t handler[] = {0x89, 0xe1, 0x9c, 0x5a, 0xcf}; // mov cx,sp; pushf; pop dx; iret
    mem_copy((void *)0x8500, handler, sizeof handler);
    *(volatile uint32_t *)(vectors + 0x45 * 4) = 0x850u << 16;
    set_map(0x45, false);
    s = V86(m_int, FL_VIF);
    ok(ENDED(m_int) && (s.r[RBX] & 0xffff) == 0x99 && (s.r[RCX] & 0xffff) == 0x1000 - 6,
       "VME: INT n with its bit clear goes through the table at 0: vector %lu sp %lx", s.vec, s.r[RCX]);
    ok(!(s.r[RDX] & FL_IF) && (s.rflags & FL_VIF), "... VIF is clear in the handler and set again by IRET: %lx",
       s.r[RDX]);
    set_map(0x45, true);
    s = V86(m_int, FL_VIF);
    ok(s.vec == EXC_GP && s.err == 0 && s.rip == 0, "VME: with its bit set and IOPL 0: #GP(0): vector %lu", s.vec);
    idt_default(0x45, 0xee);
    s = V86(m_int, FL_IOPL);
    ok(s.vec == 0x45 && s.rip == 2, "VME: with its bit set and IOPL 3: the IDT: vector %lu", s.vec);
    set_map(0x45, false);
    s = V86(m_int, FL_IOPL | FL_IF);
    ok(ENDED(m_int) && !(s.r[RDX] & FL_IF) && (s.rflags & FL_IF),
       "VME: bit clear, IOPL 3: the table, by IF: vector %lu flags %lx", s.vec, s.rflags);
    asm volatile("mov %0, %%cr4" : : "r"(cr4));
}

// 1: the port is refused.
static void set_port(unsigned port, bool refused)
{
    uint8_t *map = tss.io + 32;
    if (refused)
        map[port / 8] |= (uint8_t)(1u << (port & 7));
    else
        map[port / 8] &= (uint8_t) ~(1u << (port & 7));
}

static void test_ports(void)
{
    struct state s = V86(m_in, FL_IOPL);
    ok(s.vec == EXC_GP && s.err == 0 && s.rip == 3,
       "VM86: a port whose bit is set is #GP(0), whatever IOPL: vector %lu", s.vec);
    set_port(0x61, false);
    s = V86(m_in, 0);
    ok(ENDED(m_in) && (s.r[RBX] & 0xffff) == 1, "VM86: a port whose bit is clear, IOPL 0: vector %lu", s.vec);
    s = user_state(m_in32);
    run(&s);
    check_done("CPL 3: a port whose bit is clear", &s);
    set_port(0x61, true);
    s = user_state(m_in32);
    run(&s);
    check_exc("CPL 3: a port whose bit is set is #GP(0)", &s, EXC_GP, 0, m_in32 + 5);
    s = user_state(m_in32);
    s.rflags |= FL_IOPL;
    run(&s);
    check_done("CPL 3 with IOPL 3: the map is not looked at", &s);
    set_port(0x67, false);
    s = V86(m_inw, 0);
    ok(s.vec == EXC_GP && (s.r[RBX] & 0xffff) == 1, "a word needs both its bits, which lie in two bytes: vector %lu",
       s.vec);
    set_port(0x68, false);
    s = V86(m_inw, 0);
    ok(ENDED(m_inw), "... both clear: vector %lu", s.vec);
    // The map is cut off by the TSS's limit: ports beyond it are refused.
    mem_set(tss.io + 32, 0, sizeof tss.io - 32);
    s = V86(m_out_high, 0);
    ok(s.vec == EXC_GP, "a port whose byte is beyond the TSS's limit is #GP(0): vector %lu", s.vec);
    tss.iomap = sizeof tss;
}

// --- tasks

struct __attribute__((packed)) tss16 {
    uint16_t link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags, ax, cx, dx, bx, sp, bp, si, di, es, cs, ss, ds, ldt;
};
static struct tss16 small;
static struct tss other;
static uint8_t task_stack[4096];
static volatile uint32_t seen[6];

SNIP(t_lcall, "mov $0x88, %edi\n lcall *(%ebx)\n" AT(t_lcall_after) "nop");
SNIP(t_np, "mov $0x38+0x10, %eax\n" AT(t_np_at) "mov %eax, %ds");
LABEL(t_lcall_after);
LABEL(t_np_at);
// The 16-bit task: its registers are words, and its upper halves are what they are.
SNIP16(
    t_small,
    "1: movw %ax, %cs:0x100; movw %sp, %cs:0x102; strw %cs:0x104; pushfw; popw %cs:0x106; incw %cs:0x108; iretw; jmp 1b");
// A task for a fault: the error code is on its stack.
SNIP(t_fault, "1: popl (%esi); incl 4(%esi); str %eax; mov %eax, 8(%esi)\n"
              "mov (%ebp), %ecx; mov %ecx, 12(%esi); addl $2, (%ebp); iretl; jmp 1b");

static void test_small_task(void)
{
    static struct __attribute__((packed)) {
        uint32_t off;
        uint16_t sel;
    } f = {0, TSS16};
    enum { SMALL_CODE = FREE_SEL + 32, SMALL_STACK = FREE_SEL + 40 };
    mem_copy(LOW, t_small, (size_t)(t_small_end - t_small));
    mem_set(LOW + 0x100, 0, 16);
    gdt_set(SMALL_CODE, make_desc((ureg)LOW, 0xffff, 0x9b, 0));
    gdt_set(SMALL_STACK, make_desc(0x9000, 0xffff, 0x93, 0));
    gdt_set(SMALL_CODE + 16, make_desc((ureg)LOW, 0xffff, 0x93, 0));
    gdt_set(TSS16, make_desc((ureg)&small, sizeof small - 1, 0x81, 0));
    small = (struct tss16){.flags = 2,
                           .ax = 0xabcd,
                           .sp = 0x1000,
                           .cs = SMALL_CODE,
                           .ss = SMALL_STACK,
                           .ds = SMALL_CODE + 16,
                           .es = SMALL_STACK};
    // The code stores through CS, which it may not: DS is meant.
    for (uint8_t *p = LOW; p < LOW + (t_small_end - t_small); p++)
        if (*p == 0x2e)
            *p = 0x3e;
    for (unsigned n = 1; n <= 2; n++) {
        struct state s = kernel_state(t_lcall);
        s.r[RBX] = (ureg)&f;
        s.r[RSI] = 0x12345678;
        run(&s);
        check_done(n == 1 ? "far CALL to a 16-bit TSS, IRET back" : "... and once more, behind its IRET", &s);
        ok(s.r[RSI] == 0x12345678 && s.r[RDI] == 0x88 && s.r[RSP] == kstack_top(),
           "... the 32-bit task's registers: %lx %lx", s.r[RSI], s.r[RDI]);
        asm volatile("clts");
    }
    const volatile uint16_t *d = (const volatile uint16_t *)(LOW + 0x100);
    ok(d[0] == 0xabcd && d[1] == 0x1000 && d[2] == TSS16, "... its registers and TR: %x %x %x", d[0], d[1], d[2]);
    ok((d[3] & FL_NT) && small.link == TSS_SEL, "... NT and the back link: %x %x", d[3], small.link);
    check_eq("... it ran twice", d[4], 2);
    check_eq("... its descriptor is not busy again", gdt[TSS16 / 8] >> 40 & 0xff, 0x81);
}

// Vol. 3A, section 8.3: a fault through a task gate; its error code is pushed on the new task's stack.
static void test_fault_task(void)
{
    mem_set(&other, 0, 104);
    seen[0] = seen[1] = seen[2] = 0;
    other.eip = (ureg)t_fault;
    other.esp = (ureg)task_stack + sizeof task_stack - 16;
    other.ebp = (ureg)&tss.eip;
    other.eflags = 2;
    other.esi = (ureg)seen;
    other.cs = KCODE;
    other.ss = other.ds = other.es = KDATA;
    other.iomap = sizeof other;
    gdt_set(TSS_B, make_desc((ureg)&other, sizeof other - 1, 0x89, 0));
    gdt_set(0x48, make_desc(0, 0xfffff, 0x13, 0xc)); // not present
    idt_set(EXC_NP, NULL, TSS_B, 0xe5, 0);
    struct state s = kernel_state(t_np);
    run(&s);
    asm volatile("clts");
    idt_default(EXC_NP, 0x8e);
    check_done("#NP through a task gate, IRET back behind the instruction", &s);
    ok(seen[0] == 0x48 && seen[1] == 1 && seen[2] == TSS_B, "... error code on its stack, TR: %x %x %x", seen[0],
       seen[1], seen[2]);
    check_eq("... the faulting EIP was saved", seen[3], (ureg)t_np_at);
}

void test_main(void)
{
    tss.iomap = (uint16_t)(offsetof(struct tss, io) + 32); // the redirection map is the 32 bytes before it
    mem_set(tss.io + 32, 0xff, sizeof tss.io - 32);
    test_vme();
    test_ports();
    test_small_task();
    test_fault_task();
}
