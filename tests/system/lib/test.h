// SPDX-License-Identifier: MIT
// The whole framework of a bare-metal test: TAP output, snippets run from a chosen register state, tables.
//
// A test is: SNIP(name, "assembler") somewhere at file scope, then
//     struct state s = kernel_state(name);   // or user_state(), compat_state()
//     s.r[RAX] = 1; run(&s);                 // runs until an exception; the snippet's own end is INT 80h
//     check_exc("what", &s, EXC_GP, 0, name_fault);
// After run() s holds every register as the exception's frame saved it, the vector, error code, CR2, DR6.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __x86_64__
#define TEST64 1
enum { STATE_REGS = 16 };
#else
#define TEST64 0
enum { STATE_REGS = 8 };
#endif
typedef unsigned long ureg; // one general register

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };
// clang-format off
enum {
    EXC_DE = 0, EXC_DB, EXC_NMI, EXC_BP, EXC_OF, EXC_BR, EXC_UD, EXC_NM, EXC_DF, EXC_TS = 10, EXC_NP, EXC_SS,
    EXC_GP, EXC_PF, EXC_MF = 16, EXC_AC, EXC_MC, EXC_XM, EXC_DONE = 0x80, VEC_TIMER = 0x40, VEC_SELF = 0x41,
    VEC_PIC = 0x20,
};
// clang-format on
enum {
    FL_CF = 1,
    FL_ONE = 2,
    FL_PF = 4,
    FL_AF = 0x10,
    FL_ZF = 0x40,
    FL_SF = 0x80,
    FL_TF = 0x100,
    FL_IF = 0x200,
    FL_DF = 0x400,
    FL_OF = 0x800,
    FL_IOPL = 0x3000,
    FL_NT = 0x4000,
    FL_RF = 0x10000,
    FL_VM = 0x20000,
    FL_AC = 0x40000,
    FL_ARITH = 0x8d5,
};
#define CR0_TS 8u
#define CR0_EM 4u
#define CR0_MP 2u
#define CR0_WP 0x10000u
#define CR0_AM 0x40000u
#define CR0_PG 0x80000000u
#define CR4_TSD 4u
#define CR4_DE 8u
#define CR4_PSE 0x10u
#define CR4_PAE 0x20u
#define CR4_PGE 0x80u
#define CR4_OSXMMEXCPT 0x400u
#define CR4_UMIP 0x800u
#define CR4_FSGSBASE 0x10000u
#define CR4_PCIDE 0x20000u
#define CR4_OSXSAVE 0x40000u
#define CR4_SMEP 0x100000u
#define CR4_SMAP 0x200000u
#define NO_ERROR ((ureg)-1) // state.err of an exception without an error code

// Selectors of lib/boot.S's GDT; 0x50 (64-bit) or 0x30 (32-bit) and up are the tests' own.
#if TEST64
enum {
    KCODE = 0x08,
    KDATA = 0x10,
    KCODE32 = 0x18,
    UCODE32 = 0x23,
    UDATA = 0x2b,
    UCODE = 0x33,
    TSS_SEL = 0x40,
    FREE_SEL = 0x50
};
#else
enum { KCODE = 0x08, KDATA = 0x10, UCODE = 0x1b, UDATA = 0x23, TSS_SEL = 0x28, FREE_SEL = 0x30 };
#endif

// Offsets are known to lib/entry*.S.
struct state {
    ureg r[STATE_REGS];
    ureg rip, cs, rflags, ss, ds; // ds is loaded into DS and ES
#if !TEST64
    ureg fs, gs, es;
#endif
    ureg vec, err, cr2, dr6;
    ureg frame;     // address of the frame the CPU pushed (of its error code, or of RIP when it has none)
    ureg vm_seg[4]; // VM86 (32-bit only): ES, DS, FS, GS as the frame saved them
};

// --- tap.c
void out_str(const char *s);
void ok(bool good, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void check_eq_(const char *name, uint64_t got, uint64_t want);
#define check_eq(name, got, want) check_eq_(name, (uint64_t)(got), (uint64_t)(want))
void skip(const char *name, const char *why);
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2))); // "# ..." line
void check_exc(const char *name, const struct state *s, unsigned vec, ureg err, const void *rip);
void check_done(const char *name, const struct state *s); // the snippet reached its end
_Noreturn void tap_done(void);
_Noreturn void debug_exit(unsigned code);
unsigned tap_failures(void);

// --- env.c
void test_main(void);
void run(struct state *s);
struct state kernel_state(const void *rip);
struct state user_state(const void *rip); // CPL 3; in 64-bit images at the user alias of rip
#if TEST64
struct state compat_state(const void *rip);        // CPL 3, 32-bit code
#define USER(p) ((void *)((ureg)(p) + 0x40000000)) // the user-mode alias of an address in the image
#else
#define USER(p) ((void *)(p))
#endif
// A handler for a vector that then returns to the interrupted code. f points at the saved registers.
struct frame;
extern void (*irq_hook[256])(struct frame *f);
struct frame {
#if TEST64
    ureg gpr[16], vec, err, rip, cs, rflags, rsp, ss;
#else
    ureg gs, fs, es, ds, edi, esi, ebp, esp0, ebx, edx, ecx, eax, vec, err, rip, cs, rflags, rsp, ss;
    ureg vm_es, vm_ds, vm_fs, vm_gs;
#endif
};
struct __attribute__((packed)) idt_gate {
    uint16_t off0, sel;
    uint8_t ist, type;
    uint16_t off1;
#if TEST64
    uint32_t off2, zero;
#endif
};
extern struct idt_gate idt[256];
void idt_set(unsigned v, const void *handler, unsigned sel, unsigned type, unsigned ist);
void idt_default(unsigned v, unsigned type); // this framework's own handler, with a type byte, e.g. 0x8e
extern uint64_t gdt[64];
void gdt_set(unsigned sel, uint64_t desc);
uint64_t make_desc(uint32_t base, uint32_t limit, unsigned type_p_dpl, unsigned flags); // flags: G D/B L AVL
#if TEST64
struct __attribute__((packed)) tss {
    uint32_t r0;
    uint64_t rsp[3], r1, ist[7], r2;
    uint16_t r3, iomap;
    uint8_t io[8193];
};
#else
struct __attribute__((packed)) tss {
    uint32_t link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi, es, cs,
        ss, ds, fs, gs, ldt;
    uint16_t trap, iomap;
    uint8_t io[8193];
};
#endif
extern struct tss tss;
extern uint8_t kstack[8192], ustack[8192], ist_stack[4096], irq_stack[8192]; // irq_stack: TSS stack 0
static inline ureg kstack_top(void) { return (ureg)kstack + sizeof kstack - 64; }
static inline ureg ustack_top(void) { return (ureg)USER(ustack) + sizeof ustack - 64; }
void *mem_set(void *d, int c, size_t n);
void *mem_copy(void *d, const void *s, size_t n);
bool mem_equal(const void *a, const void *b, size_t n);
void *page_alloc(void); // a zeroed page of physical memory outside the image, never freed
bool has_cpuid(uint32_t leaf, unsigned reg, unsigned bit); // reg: RAX, RBX, RCX, RDX; subleaf 0
bool is_intel(void);

// --- snippets: position-independent code in a writable section. The end is INT 80h.
#define SNIP_ATTR(name, pre, body)                                                                               \
    extern const char name[], name##_end[];                                                                      \
    asm(".pushsection .snip, \"awx\", @progbits\n .balign 16\n .globl " #name ", " #name "_end\n" pre "\n" #name \
        ":\n" body "\n" #name "_end: int $0x80\n .code" CODE_BITS "\n .popsection\n")
#if TEST64
#define CODE_BITS "64"
#else
#define CODE_BITS "32"
#endif
#define SNIP(name, ...) SNIP_ATTR(name, ".code" CODE_BITS, __VA_ARGS__)
#define SNIP32(name, ...) SNIP_ATTR(name, ".code32", __VA_ARGS__)
#define SNIP16(name, ...) SNIP_ATTR(name, ".code16", __VA_ARGS__)
#define LABEL(name) extern const char name[]
// A label inside a snippet: AT(x) in its text makes the global symbol x.
#define AT(x) ".globl " #x "\n " #x ": "

// --- instructions
static inline void outb(uint16_t p, uint8_t v) { asm volatile("outb %0, %1" : : "a"(v), "Nd"(p)); }
static inline uint8_t inb(uint16_t p)
{
    uint8_t v;
    asm volatile("inb %1, %0" : "=a"(v) : "Nd"(p));
    return v;
}
static inline void cpuid(uint32_t l, uint32_t s, uint32_t out[4]) // EAX, ECX, EDX, EBX: by enum
{
    asm volatile("cpuid" : "=a"(out[RAX]), "=b"(out[RBX]), "=c"(out[RCX]), "=d"(out[RDX]) : "a"(l), "c"(s));
}
static inline uint64_t rdmsr(uint32_t n)
{
    uint32_t a, d;
    asm volatile("rdmsr" : "=a"(a), "=d"(d) : "c"(n));
    return a | (uint64_t)d << 32;
}
static inline void wrmsr(uint32_t n, uint64_t v)
{
    asm volatile("wrmsr" : : "a"((uint32_t)v), "d"((uint32_t)(v >> 32)), "c"(n) : "memory");
}
static inline uint64_t rdtsc(void)
{
    uint32_t a, d;
    asm volatile("rdtsc" : "=a"(a), "=d"(d));
    return a | (uint64_t)d << 32;
}
#define CR_ACCESS(n)                                  \
    static inline ureg read_cr##n(void)               \
    {                                                 \
        ureg v;                                       \
        asm volatile("mov %%cr" #n ", %0" : "=r"(v)); \
        return v;                                     \
    }                                                 \
    static inline void write_cr##n(ureg v) { asm volatile("mov %0, %%cr" #n : : "r"(v) : "memory"); }
CR_ACCESS(0)
CR_ACCESS(2)
CR_ACCESS(3)
CR_ACCESS(4)
#define DR_ACCESS(n)                                  \
    static inline ureg read_dr##n(void)               \
    {                                                 \
        ureg v;                                       \
        asm volatile("mov %%dr" #n ", %0" : "=r"(v)); \
        return v;                                     \
    }                                                 \
    static inline void write_dr##n(ureg v) { asm volatile("mov %0, %%dr" #n : : "r"(v) : "memory"); }
DR_ACCESS(0)
DR_ACCESS(1)
DR_ACCESS(2)
DR_ACCESS(3)
DR_ACCESS(6)
DR_ACCESS(7)
static inline void invlpg(const volatile void *p) { asm volatile("invlpg (%0)" : : "r"(p) : "memory"); }
#define barrier() asm volatile("" : : : "memory")

// --- irq.c
void lapic_enable(void);
void lapic_eoi(void);
void lapic_self_ipi(unsigned vector); // fixed, to self
void lapic_timer_oneshot(unsigned vector, uint32_t count);
void lapic_timer_stop(void);
uint32_t lapic_read(unsigned reg);
void lapic_write(unsigned reg, uint32_t v);
void pic_init(unsigned base, uint16_t mask); // mask bits 1: off
void pic_eoi(void);
void pit_oneshot(uint16_t count); // channel 0, mode 0: IRQ 0 after count/1.193182 us
