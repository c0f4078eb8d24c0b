// SPDX-License-Identifier: MIT
// Virtual-8086 mode, hardware task switches, and a round trip through real mode.
// SDM vol. 3A, chapter 7 "Task Management"; vol. 3B, chapter 20 "8086 Emulation".
#include "test.h"

enum { TSS2 = FREE_SEL, TASK_GATE = FREE_SEL + 8, CODE16 = FREE_SEL + 16, DATA16 = FREE_SEL + 24 };
#define LOW ((uint8_t *)0x8000) // where 16-bit code runs

SNIP16(z_add, "movw $0x1234, %ax; addw %bx, %ax; movw %cs, %cx; movw %ss, %dx; movl 0, %esi");
SNIP16(z_cli, "cli");
SNIP16(z_sti, "sti; pushfw; popw %ax; cli");
SNIP16(z_pushf, "pushfw; popw %ax");
SNIP16(z_int, "int $0x42");
SNIP16(z_seg, "movw $0x1234, %ax; movw %ax, %ds; movw %ds, %bx; movl $0x10000, %edi; movb (%edi), %al");
SNIP16(z_hlt, "hlt");

static struct state v86(const char *code, const char *end, ureg flags)
{
    mem_copy(LOW, code, (size_t)(end - code) + 2);
    struct state s = {.rip = 0,
                      .cs = 0x800,
                      .ss = 0x900,
                      .rflags = FL_VM | FL_ONE | flags,
                      .ds = 0x111,
                      .es = 0x222,
                      .fs = 0x333,
                      .gs = 0x444};
    s.r[RSP] = 0x1000;
    s.r[RBX] = 0x4321;
    run(&s);
    return s;
}

static void test_v86(void)
{
    *(volatile uint32_t *)0x1110 = 0xfeedface;
    struct state s = v86(z_add, z_add_end, FL_IOPL);
    check_done("VM86: code runs", &s);
    ok((s.r[RAX] & 0xffff) == 0x5555 && (s.r[RCX] & 0xffff) == 0x800 && (s.r[RDX] & 0xffff) == 0x900 &&
           s.r[RSI] == 0xfeedface,
       "VM86: segments are paragraphs: %lx %lx %lx %lx", s.r[RAX], s.r[RCX], s.r[RDX], s.r[RSI]);
    ok(s.rflags & FL_VM, "VM86: the frame has VM set");
    ok(s.vm_seg[0] == 0x222 && s.vm_seg[1] == 0x111 && s.vm_seg[2] == 0x333 && s.vm_seg[3] == 0x444,
       "VM86: the frame holds ES, DS, FS, GS: %lx %lx %lx %lx", s.vm_seg[0], s.vm_seg[1], s.vm_seg[2], s.vm_seg[3]);
    ok(s.ds == 0 && s.es == 0 && s.fs == 0 && s.gs == 0, "VM86: the handler's data segments are null");
    s = v86(z_cli, z_cli_end, 0);
    ok(s.vec == EXC_GP && s.err == 0 && s.rip == 0, "VM86: CLI with IOPL 0 is #GP(0)");
    s = v86(z_pushf, z_pushf_end, 0);
    ok(s.vec == EXC_GP && s.err == 0, "VM86: PUSHF with IOPL 0 is #GP(0)");
    s = v86(z_int, z_int_end, 0);
    ok(s.vec == EXC_GP && s.err == 0, "VM86: INT n with IOPL 0 is #GP(0): vector %lu error %lx", s.vec, s.err);
    s = v86(z_sti, z_sti_end, FL_IOPL);
    ok(s.vec == EXC_DONE && (s.r[RAX] & (FL_IF | FL_IOPL)) == (FL_IF | FL_IOPL), "VM86: STI and PUSHF with IOPL 3");
    idt_default(0x42, 0xee);
    s = v86(z_int, z_int_end, FL_IOPL);
    ok(s.vec == 0x42 && s.rip == 2, "VM86: INT n with IOPL 3 goes through the IDT: vector %lu", s.vec);
    s = v86(z_hlt, z_hlt_end, FL_IOPL);
    ok(s.vec == EXC_GP && s.err == 0, "VM86: HLT is #GP(0)");
    s = v86(z_seg, z_seg_end, FL_IOPL);
    ok(s.vec == EXC_GP && s.err == 0 && (s.r[RBX] & 0xffff) == 0x1234,
       "VM86: an offset beyond 64 KiB is #GP(0): vector %lu", s.vec);
}

static struct tss tss2;
static uint8_t task_stack[4096];
SNIP(z_ljmp_task, "mov $0x77, %edi\n ljmp *(%ebx)\n" AT(z_ljmp_task_after) "nop");
SNIP(z_lcall_task, "mov $0x88, %edi\n lcall *(%ebx)\n" AT(z_lcall_task_after) "nop");
SNIP(z_task_jmp_back, "incl (%esi)\n str %eax; mov %eax, 4(%esi); pushf; popl 8(%esi)\n ljmp $0x28, $0");
SNIP(z_task_iret, "1: incl (%esi)\n str %eax; mov %eax, 4(%esi); pushf; popl 8(%esi)\n iretl\n jmp 1b");
SNIP(z_int_task, "int $0x43\n" AT(z_int_task_after) "nop");
LABEL(z_ljmp_task_after);
LABEL(z_lcall_task_after);
LABEL(z_int_task_after);
static volatile uint32_t seen[3];

static void make_task(const char *code)
{
    mem_set(&tss2, 0, 104);
    tss2.eip = (ureg)code;
    tss2.esp = (ureg)task_stack + sizeof task_stack - 16;
    tss2.eflags = 2;
    tss2.esi = (ureg)seen;
    tss2.cs = KCODE;
    tss2.ss = tss2.ds = tss2.es = KDATA;
    tss2.iomap = sizeof tss2;
    gdt_set(TSS2, make_desc((ureg)&tss2, sizeof tss2 - 1, 0x89, 0));
    seen[0] = seen[1] = seen[2] = 0;
}

static void test_tasks(void)
{
    static struct __attribute__((packed)) {
        uint32_t off;
        uint16_t sel;
    } f = {0, TSS2};
    make_task(z_task_jmp_back);
    struct state s = kernel_state(z_ljmp_task);
    s.r[RBX] = (ureg)&f;
    s.r[RSI] = 0x1234;
    run(&s);
    check_done("far JMP to a TSS and back", &s);
    ok(seen[0] == 1 && seen[1] == TSS2 && !(seen[2] & FL_NT), "... the task ran with its own TR, NT clear: %x %x %x",
       seen[0], seen[1], seen[2]);
    ok(s.r[RDI] == 0x77 && s.r[RSI] == 0x1234 && s.r[RSP] == kstack_top(), "... the first task's registers came back");
    check_eq("... its TSS holds the EIP after the JMP", tss.eip, (ureg)z_ljmp_task_after);
    ok((gdt[TSS_SEL / 8] >> 40 & 0xff) == 0x8b && (gdt[TSS2 / 8] >> 40 & 0xff) == 0x89, "... busy bits");
    ok(read_cr0() & CR0_TS, "... CR0.TS is set");
    asm volatile("clts");
    make_task(z_task_iret);
    s = kernel_state(z_lcall_task);
    s.r[RBX] = (ureg)&f;
    run(&s);
    check_done("far CALL to a TSS, IRET back", &s);
    ok(seen[0] == 1 && (seen[2] & FL_NT) && tss2.link == TSS_SEL, "... NT and the back link: %x link %x", seen[2],
       tss2.link);
    ok(!(s.rflags & FL_NT), "... NT is clear again");
    gdt_set(TASK_GATE, (uint64_t)TSS2 << 16 | 0xe5ull << 40);
    idt_set(0x43, NULL, TSS2, 0xe5, 0);
    make_task(z_task_iret);
    s = user_state(z_int_task);
    run(&s);
    check_done("INT n through a task gate from CPL 3, IRET back", &s);
    ok(seen[0] == 1 && tss.eip == (ureg)z_int_task_after && tss.cs == UCODE, "... saved EIP %x, CS %x", tss.eip,
       tss.cs);
    f.sel = TSS2;
    gdt_set(TSS2, make_desc((ureg)&tss2, sizeof tss2 - 1, 0x8b, 0));
    s = kernel_state(z_ljmp_task);
    s.r[RBX] = (ureg)&f;
    run(&s);
    check_exc("JMP to a busy TSS is #GP(sel)", &s, EXC_GP, TSS2, (const char *)z_ljmp_task + 5);
    gdt_set(TSS2, make_desc((ureg)&tss2, 50, 0x89, 0));
    s = kernel_state(z_ljmp_task);
    s.r[RBX] = (ureg)&f;
    run(&s);
    check_exc("JMP to a TSS that is too small is #TS(sel)", &s, EXC_TS, TSS2, (const char *)z_ljmp_task + 5);
    asm volatile("clts");
}

// To real mode and back: vol. 3A, section 9.9.2 "Switching Back to Real-Address Mode": the segment registers
// get descriptors of 64 KiB and 16 bits first, since the hidden parts stay. Its interrupts come through a
// table of vectors.
asm(".pushsection .snip, \"awx\"\n .code16\n real16:\n"
    "movw $0x48, %ax; movw %ax, %ds; movw %ax, %es; movw %ax, %ss; movw %ax, %fs; movw %ax, %gs\n"
    "movl %cr0, %eax; andl $~1, %eax; movl %eax, %cr0\n ljmpw $0x800, $1f-real16\n"
    "1: movw $0x800, %ax; movw %ax, %ds; movw %ax, %es; movw %ax, %ss; movw $0x1000, %sp; lidtl 8f-real16\n"
    "movw $0x5678, %bx; int $0x44; movw %cx, 9f-real16; pushw $0x55aa; popw %dx; movw %dx, 9f-real16+2\n"
    "movw $0xffff, %si; xorl %edi, %edi; movw %cs, %di; movl %edi, 9f-real16+4\n"
    "movl %cr0, %eax; orl $1, %eax; movl %eax, %cr0\n ljmpl $0x08, $real_back\n"
    "7: movw %bx, %cx; movl $0xabcd, 9f-real16+8; iretw\n"
    "8: .word 0x3ff; .long 0x7000\n .balign 4\n 9: .fill 4, 4, 0\n .globl real16_isr, real16_data\n"
    ".set real16_isr, 7b-real16\n .set real16_data, 9b-real16\n real16_end:\n .code32\n .popsection\n"
    ".globl real_trip\n real_trip: pushal; movl %esp, real_esp; ljmp $0x40, $0\n"
    "real_back: movw $0x10, %ax; movw %ax, %ds; movw %ax, %es; movw %ax, %ss; movl real_esp, %esp\n"
    "xorl %eax, %eax; movw %ax, %fs; movw %ax, %gs; popal; ret\n");
extern const char real16[], real16_end[], real16_isr[], real16_data[];
void real_trip(void);
uint32_t real_esp;

static void test_real_mode(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        ureg base;
    } idtr = {sizeof idt - 1, (ureg)idt};
    mem_copy(LOW, real16, (size_t)(real16_end - real16));
    gdt_set(DATA16, make_desc(0, 0xffff, 0x93, 0));
    gdt_set(CODE16, make_desc((ureg)LOW, 0xffff, 0x9b, 0));
    *(volatile uint32_t *)(0x7000 + 0x44 * 4) = 0x800u << 16 | (uint16_t)(ureg)real16_isr;
    real_trip();
    asm volatile("lidt %0" : : "m"(idtr));
    const uint16_t *d = (const uint16_t *)(LOW + (ureg)real16_data);
    check_eq("real mode: INT n through the vector table at 7000h, and IRET", d[0], 0x5678);
    check_eq("... PUSH and POP", d[1], 0x55aa);
    check_eq("... CS is a paragraph", *(const uint32_t *)(d + 2), 0x800);
    check_eq("... the handler stored", *(const uint32_t *)(d + 4), 0xabcd);
}

void test_main(void)
{
    test_v86();
    test_tasks();
    test_real_mode();
}
