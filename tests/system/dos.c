// SPDX-License-Identifier: MIT
// 16-bit programs as DOS knew them: each runs in real mode, in VM86 and in 16-bit protected mode at CPL 3, with the
// same bases, and must come to the same end.
// SDM vol. 3B, chapter 21 "8086 Emulation"; vol. 1, section 3.3.1; vol. 2 for each instruction.
#include "test.h"

enum {
    CODE16 = FREE_SEL,
    STACK16 = FREE_SEL + 8,
    DATA16 = FREE_SEL + 16,
    REAL_CODE = FREE_SEL + 24,
    REAL_DATA = FREE_SEL + 32
};
enum {
    CODE_AT = 0x8000,
    STACK_AT = 0x9000,
    DATA_AT = 0x11000,
    STUBS_AT = 0x4000,
    DRIVER_AT = 0x5000,
    BLOCK_AT = 0x6000
};
#define DATA ((volatile uint8_t *)DATA_AT)

// --- real mode: a driver at 5000h takes the registers from a block at 6000h, jumps to the program at 800h:0, and
// comes back by whatever interrupt ends it. Vector n points to stub n: "push n; jmp done".

struct block {
    uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi;
    uint16_t ds, es, cs, ip, flags, vector;
};
#define BLOCK ((volatile struct block *)BLOCK_AT)

asm(".pushsection .snip, \"awx\"\n .code16\n driver:\n"
    "movw $0x38+0x18, %ax; movw %ax, %ds; movw %ax, %es; movw %ax, %ss; movw %ax, %fs; movw %ax, %gs\n"
    "movl %cr0, %eax; andl $~1, %eax; movl %eax, %cr0\n ljmpw $0x500, $1f-driver\n"
    "1: xorw %ax, %ax; movw %ax, %fs; movw %ax, %gs; lidtl %cs:8f-driver\n"
    "movw $0x900, %ax; movw %ax, %ss; movl %fs:0x6010, %esp\n"
    "movl %fs:0x6004, %ecx; movl %fs:0x6008, %edx; movl %fs:0x600c, %ebx; movl %fs:0x6014, %ebp\n"
    "movl %fs:0x6018, %esi; movl %fs:0x601c, %edi; movw $0x1100, %ax; movw %ax, %ds; movw %ax, %es\n"
    "movl %fs:0x6000, %eax; cld; ljmpw $0x800, $0\n"
    // Entered with: vector, IP, CS, FLAGS on the stack.
    ".globl driver_done\n driver_done: pushw %ds; pushw $0; popw %ds\n"
    "movl %eax, 0x6000; movl %ecx, 0x6004; movl %edx, 0x6008; movl %ebx, 0x600c; movl %ebp, 0x6014\n"
    "movl %esi, 0x6018; movl %edi, 0x601c; popw 0x6020; movw %es, 0x6022; popw 0x602a; popw 0x6026; popw 0x6024\n"
    "popw 0x6028; movl %esp, 0x6010\n"
    "movl %cr0, %eax; orl $1, %eax; movl %eax, %cr0\n ljmpl $0x08, $driver_back\n"
    ".balign 4\n 8: .word 0x3ff; .long 0\n driver_end:\n .code32\n .popsection\n"
    ".globl driver_run\n driver_run: pushal; movl %esp, driver_esp; ljmp $0x30+0x18, $0\n"
    "driver_back: movw $0x10, %ax; movw %ax, %ds; movw %ax, %es; movw %ax, %ss; movl driver_esp, %esp\n"
    "movw %ax, %fs; movw %ax, %gs; popal; ret\n");
extern const char driver[], driver_end[], driver_done[];
void driver_run(void);
uint32_t driver_esp;

static void make_driver(void)
{
    uint8_t *d = (uint8_t *)STUBS_AT;
    mem_copy((void *)DRIVER_AT, driver, (size_t)(driver_end - driver));
    for (unsigned v = 0; v < 256; v++, d += 8) { // pushw $v; ljmp 500h:done
        uint16_t done = (uint16_t)(driver_done - driver);
        const uint8_t stub[8] = {0x6a, (uint8_t)v, 0xea, (uint8_t)done, (uint8_t)(done >> 8), 0, 5, 0};
        mem_copy(d, stub, sizeof stub);
        *(volatile uint32_t *)(v * 4) = v * 8 | STUBS_AT << 12;
    }
}

static struct state in_real(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        ureg base;
    } idtr = {sizeof idt - 1, (ureg)idt};
    *BLOCK = (struct block){.esp = 0x1000};
    driver_run();
    asm volatile("lidt %0" : : "m"(idtr));
    volatile struct block *b = BLOCK;
    struct state s = {.rip = b->ip, .cs = b->cs, .rflags = b->flags, .vec = b->vector & 0xff, .err = NO_ERROR};
    const ureg r[8] = {b->eax, b->ecx, b->edx, b->ebx, b->esp, b->ebp, b->esi, b->edi};
    for (unsigned i = 0; i < 8; i++)
        s.r[i] = r[i];
    return s;
}

static struct state in_vm86(void)
{
    struct state s = {.cs = 0x800, .ss = 0x900, .rflags = 0x20000 | FL_IOPL | FL_ONE, .ds = 0x1100, .es = 0x1100};
    s.r[RSP] = 0x1000;
    run(&s);
    return s;
}

static struct state in_pm16(void)
{
    struct state s = {
        .cs = CODE16 | 3, .ss = STACK16 | 3, .rflags = FL_ONE | FL_IOPL, .ds = DATA16 | 3, .es = DATA16 | 3};
    s.r[RSP] = 0x1000;
    run(&s);
    return s;
}

// --- the programs

SNIP16(
    d_arith,
    "movw $0x1234, %ax; addw $0xf00d, %ax; adcw $0, %ax; movw %ax, %bx; imulw $-3, %bx, %cx; movw $100, %ax\n"
    "mulw %ax; movw %dx, %si; movw $7, %bx; divw %bx; xchgw %ax, %di; movw $-100, %ax; cwtd; idivw %bx; rclw $3, %ax\n"
    "incw %ax; decw %si; negw %dx; notw %cx; sbbb %bl, %bl; salw $3, %dx; sarb $1, %ch; shldw $4, %ax, %si");
SNIP16(d_bcd,
       "movb $0x38, %al; addb $0x45, %al; daa; movw %ax, %bx; subb $0x19, %al; das; movb %al, %bh; movw $0x0009, %ax\n"
       "addb $8, %al; aaa; movw %ax, %cx; movw $0x0103, %ax; subb $7, %al; aas; movw %ax, %dx; movb $97, %al; aam\n"
       "movw %ax, %si; aad; movw %ax, %di; stc; .byte 0xd6; cbtw");
SNIP16(d_string,
       "xorw %di, %di; movw $0x4142, %ax; movw $32, %cx; rep stosw; movw $64, %cx; xorw %si, %si; movw $0x100, %di\n"
       "rep movsb; movb $'Z', 0x120; xorw %si, %si; movw $0x100, %di; movw $64, %cx; repe cmpsb; movw %cx, %dx\n"
       "movw $0x100, %di; movw $64, %cx; movb $'Z', %al; repne scasb; movw %di, %bx; std; movw $0x13f, %si\n"
       "movw $0x17f, %di; movw $64, %cx; rep movsb; lodsb; lodsb; stosb; cld; movw %si, %bp; movw $0x15e, %si\n"
       "xorl %ecx, %ecx; movw $8, %cx; 1: lodsb; addb %al, %ch; decb %cl; jnz 1b");
SNIP16(
    d_loop,
    "xorw %ax, %ax; movw $300, %cx; 1: addw %cx, %ax; loop 1b; movw $10, %cx; xorw %bx, %bx; 2: incw %bx; cmpw $4, %bx\n"
    "loopne 2b; movw %cx, %dx; movw $10, %cx; 3: decw %bx; cmpw %bx, %bx; loope 3b; movw %bx, %si; jcxz 4f; movw $1, %di\n"
    "4: movl $0x10000, %ecx; jcxz 5f; orw $2, %di; 5: jecxz 6f; orw $4, %di; 6: loop 7f; orw $8, %di; 7:");
SNIP16(d_call,
       "pushw $10; callw 1f; movw %ax, %bx; leaw 3f-d_call, %si; movw $7f-d_call, %di; callw *%di; callw 4f; jmp 9f\n"
       "1: pushw %bp; movw %sp, %bp; pushw %si; movw 4(%bp), %ax; cmpw $2, %ax; jb 2f; decw %ax; pushw %ax; callw 1b\n"
       "movw %ax, %si; movw 4(%bp), %ax; subw $2, %ax; pushw %ax; callw 1b; addw %si, %ax; 2: popw %si; popw %bp\n"
       "3: retw $2\n 4: popw %cx; pushw %cx; retw\n 7: movw $0x77, %dx; retw\n 9:");
SNIP16(
    d_stack,
    "movl $0x11112222, %eax; movl $0x33334444, %ebx; pushaw; popw %cx; addw $14, %sp; pushal; movzwl %sp, %ebp; movw 0x1c(%ebp), %dx\n"
    "popal; enterw $8, $0; movw %bp, %si; leavew; enterw $4, $2; movw %sp, %di; leavew; pushw $0x5555; popw 0x40\n"
    "pushl $0x12345678; popw %ax; popw %bx; pushw %sp; popw %cx; pushw 0x40; popw %dx; pushfw; popw %bp; andw $0x8d5, %bp");
SNIP16(
    d_wide,
    "movl $0x200, %ebx; movl $3, %esi; movl $0xdeadbeef, (%ebx,%esi,4); movl 0x20c, %eax; movzbl 0x20d, %ecx\n"
    "movsbl 0x20f, %edx; leal -4(%ebx,%esi,8), %edi; addl $0x10000, %edi; bswapl %eax; btsl $31, 0x20c; btw $77, 0x200\n"
    "sbbw %bp, %bp; shrdl $8, %eax, 0x20c; movl 0x20c, %esi");
SNIP16(
    d_xlat,
    "movw $256, %cx; xorw %di, %di; movw $0xff, %ax; 1: stosb; decb %al; loop 1b; xorw %bx, %bx; movb $10, %al; xlatb\n"
    "movb %al, %ah; movw $5, %bx; movb $200, %al; xlatb; movw $0xfff0, %bx; movb $0x20, %al; xlatb %es:(%bx); movb %al, %dl");
SNIP16(
    d_hot,
    "movw $20000, %cx; xorw %ax, %ax; xorw %bx, %bx; xorw %si, %si; 1: movw %cx, %dx; andw $0x3fe, %dx; movw %dx, %di\n"
    "addw %cx, 0x400(%di); movw 0x400(%di), %dx; rolw $1, %dx; xorw %dx, %ax; pushw %ax; popw %bp; addw %bp, %bx\n"
    "adcw $0, %si; decw %cx; jnz 1b");
// Faults
SNIP16(d_wrap, "movw $0xffff, %bx; movb (%bx), %al; movw $1, %cx; movw (%bx), %ax");
SNIP16(d_wrap_store, "movw $0xfffd, %bx; movw %ax, (%bx); movw $1, %cx; movl %eax, (%bx)");
SNIP16(d_wrap_stack, "movw $0xffff, %bp; movb (%bp), %al; movw $1, %cx; movw (%bp), %ax");
SNIP16(d_wrap_push, "movw $1, %sp; movw $1, %cx; pushw %ax");
SNIP16(d_far_offset, "movl $0x10000, %ebx; movw $1, %cx; movb (%ebx), %al");
SNIP16(d_div, "movw $1, %cx; xorw %bx, %bx; divw %bx");
SNIP16(d_ud, "movw $1, %cx; ud2");
SNIP16(d_push_wrap, "movw $2, %sp; pushw $0x1111; pushw $0x2222; movw %sp, %bx; popw %ax; popw %dx; movw %sp, %cx");
// Real mode and VM86 only
SNIP16(
    d_segment,
    "movw $0x1110, %ax; movw %ax, %ds; movb $0x5a, 1; movw $0x1100, %ax; movw %ax, %es; movb %es:0x101, %bl\n"
    "movw $0x101, 0x10; movw $0x1100, 0x12; ldsw %es:0x110, %si; movb (%si), %cl; lesw %ds:0x110, %di; movw %es, %dx\n"
    "pushw %ds; popw %fs; movw %fs, %bp; lfsw 0x110, %ax; movw %ss, %ax; movw %ax, %ss; movw %sp, %sp; popw %ax; pushw %ax");
SNIP16(
    d_far,
    "lcallw $0x800, $1f-d_far; addw $0x10, %bx; movw $3f-d_far, 0x50; movw $0x800, 0x52; lcallw *0x50; pushw %cs; callw 1f\n"
    "movw %sp, %cx; movw $4f-d_far, 0x54; movw $0x7f0, 0x56; addw $0x100, 0x54; ljmpw *0x54\n"
    "1: addw $1, %bx; lretw\n 3: addw $0x300, %bx; pushw $9; lcallw $0x800, $5f-d_far; lretw\n"
    "5: movw %sp, %bp; movw 4(%bp), %dx; lretw $2\n 4: movw %cs, %si");
SNIP16(
    d_self,
    "xorw %ax, %ax; movw $3, %cx; 1: addw $1, %ax; incb %cs:(1b+2)-d_self; loop 1b; movb $0x90, %cs:2f-d_self; jmp 2f\n"
    "2: incw %ax; movw %ax, %bx; movb $1, %cs:(1b+2)-d_self; movb $0x40, %cs:2b-d_self");

struct program {
    const char *name, *code, *end;
    struct state (*in)(void); // NULL: everywhere
    unsigned vec;
    unsigned regs;    // which of want[] are compared (a bit each)
    uint16_t want[8]; // by enum: AX CX DX BX SP BP SI DI
};
#define P(s) #s, s, s##_end
enum { BAX = 1, BCX = 2, BDX = 4, BBX = 8, BSP = 16, BBP = 32, BSI = 64, BDI = 128, EVERY = 255 };

// clang-format off
static const struct program programs[] = {
    { P(d_arith), NULL, EXC_DONE, EVERY, { 0xff94, 0x03c5, 0x0010, 0x00ff, 0x1000, 0, 0xffff, 0x0594 } },
    { P(d_bcd), NULL, EXC_DONE, EVERY, { 0xffff, 0x0107, 0x0006, 0x6483, 0x1000, 0, 0x0907, 0x0061 } },
    { P(d_string), NULL, EXC_DONE, EVERY, { 0x4141, 0x2400, 0x001f, 0x0121, 0x1000, 0x00fd, 0x0166, 0x013e } },
    { P(d_loop), NULL, EXC_DONE, EVERY, { 0xb05e, 0xffff, 0x0006, 0xfffa, 0x1000, 0, 0xfffa, 0x0004 } },
    { P(d_call), NULL, EXC_DONE, BAX | BBX | BDX | BSP, { 55, 0, 0x77, 55, 0x1000, 0, 0, 0 } },
    { P(d_stack), NULL, EXC_DONE, BAX | BBX | BCX | BDX | BSP | BSI | BDI, { 0x5678, 0x1000, 0x5555, 0x1234, 0x1000, 0, 0x0ffe, 0x0ff6 } },
    { P(d_wide), NULL, EXC_DONE, BAX | BCX | BDX | BBX | BDI | BBP, { 0xadde, 0xbe, 0xffde, 0x200, 0x1000, 0, 0, 0x214 } },
    { P(d_xlat), NULL, EXC_DONE, BAX | BDX, { 0xf5ef, 0, 0xef, 0, 0, 0, 0, 0 } },
    { P(d_hot), NULL, EXC_DONE, BCX | BSP, { 0, 0, 0, 0, 0x1000, 0, 0, 0 } },
    { P(d_push_wrap), NULL, EXC_DONE, EVERY & ~(BBP | BSI | BDI), { 0x2222, 2, 0x1111, 0xfffe, 2, 0, 0, 0 } },
    { P(d_wrap), NULL, EXC_GP, BCX | BBX, { 0, 1, 0, 0xffff, 0, 0, 0, 0 } },
    { P(d_wrap_store), NULL, EXC_GP, BCX | BBX, { 0, 1, 0, 0xfffd, 0, 0, 0, 0 } },
    { P(d_wrap_stack), NULL, EXC_SS, BCX | BBP, { 0, 1, 0, 0, 0, 0xffff, 0, 0 } },
    { P(d_far_offset), NULL, EXC_GP, BCX, { 0, 1, 0, 0, 0, 0, 0, 0 } },
    { P(d_div), NULL, EXC_DE, BCX, { 0, 1, 0, 0, 0, 0, 0, 0 } },
    { P(d_ud), NULL, EXC_UD, BCX, { 0, 1, 0, 0, 0, 0, 0, 0 } },
    { P(d_wrap_push), in_vm86, EXC_SS, BCX | BSP, { 0, 1, 0, 0, 1, 0, 0, 0 } },
    { P(d_wrap_push), in_pm16, EXC_SS, BCX | BSP, { 0, 1, 0, 0, 1, 0, 0, 0 } },
    { P(d_segment), in_real, EXC_DONE, BCX | BDX | BBX | BSP | BSI | BDI | BBP, { 0, 0x5a, 0x1100, 0x5a, 0x1000, 0x1100, 0x101, 0x101 } },
    { P(d_segment), in_vm86, EXC_DONE, BCX | BDX | BBX | BSP | BSI | BDI | BBP, { 0, 0x5a, 0x1100, 0x5a, 0x1000, 0x1100, 0x101, 0x101 } },
    { P(d_far), in_real, EXC_DONE, BCX | BDX | BBX | BSP | BSI, { 0, 0x1000, 9, 0x0312, 0x1000, 0, 0x7f0, 0 } },
    { P(d_far), in_vm86, EXC_DONE, BCX | BDX | BBX | BSP | BSI, { 0, 0x1000, 9, 0x0312, 0x1000, 0, 0x7f0, 0 } },
    { P(d_self), in_real, EXC_DONE, BAX | BBX, { 6, 0, 0, 6, 0, 0, 0, 0 } },
    { P(d_self), in_vm86, EXC_DONE, BAX | BBX, { 6, 0, 0, 6, 0, 0, 0, 0 } },
};
// clang-format on

static void check_program(const struct program *p, struct state (*in)(void), const char *mode)
{
    static const char *const names[8] = {"AX", "CX", "DX", "BX", "SP", "BP", "SI", "DI"};
    bool good = true;
    mem_set((void *)DATA_AT, 0, 0x10000);
    mem_copy((void *)CODE_AT, p->code, (size_t)(p->end - p->code) + 2);
    struct state s = in();
    good = s.vec == p->vec;
    for (unsigned i = 0; i < 8; i++)
        if (p->regs >> i & 1 && (s.r[i] & 0xffff) != p->want[i]) {
            note("%s: %s is %lx, want %x", p->name, names[i], s.r[i] & 0xffff, p->want[i]);
            good = false;
        }
    ok(good, "%s in %s: vector %lu at %lx", p->name, mode, s.vec, s.rip);
}

// The same numbers, whichever they are, in all three.
static void check_agreement(const char *name, const char *code, const char *end)
{
    struct state s[3];
    for (unsigned m = 0; m < 3; m++) {
        mem_set((void *)DATA_AT, 0, 0x10000);
        mem_copy((void *)CODE_AT, code, (size_t)(end - code) + 2);
        s[m] = m == 0 ? in_real() : m == 1 ? in_vm86() : in_pm16();
    }
    bool same = s[0].vec == EXC_DONE;
    for (unsigned i = 0; i < 8; i++)
        same &= !((s[0].r[i] ^ s[1].r[i]) & 0xffff) && !((s[0].r[i] ^ s[2].r[i]) & 0xffff);
    ok(same, "%s: real mode, VM86 and protected mode agree: ax %lx %lx %lx", name, s[0].r[RAX], s[1].r[RAX],
       s[2].r[RAX]);
}

void test_main(void)
{
    gdt_set(CODE16, make_desc(CODE_AT, 0xffff, 0xfb, 0));
    gdt_set(STACK16, make_desc(STACK_AT, 0xffff, 0xf3, 0));
    gdt_set(DATA16, make_desc(DATA_AT, 0xffff, 0xf3, 0));
    gdt_set(REAL_CODE, make_desc(DRIVER_AT, 0xffff, 0x9b, 0));
    gdt_set(REAL_DATA, make_desc(0, 0xffff, 0x93, 0));
    make_driver();
    for (unsigned i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        const struct program *p = &programs[i];
        if (!p->in || p->in == in_real)
            check_program(p, in_real, "real mode");
        if (!p->in || p->in == in_vm86)
            check_program(p, in_vm86, "VM86");
        if (!p->in || p->in == in_pm16)
            check_program(p, in_pm16, "16-bit protected mode");
    }
    check_agreement("d_hot", d_hot, d_hot_end);
    check_agreement("d_arith", d_arith, d_arith_end);
    check_agreement("d_string", d_string, d_string_end);
}
