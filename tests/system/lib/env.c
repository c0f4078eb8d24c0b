// SPDX-License-Identifier: MIT
// The environment a snippet runs in: IDT, TSS, stacks, and what happens at each exception.
#include "test.h"

extern const char vector_table[], image_end[] asm("_end");
void run_enter(struct state *s);
_Noreturn void run_leave(void);
void exc_dispatch(struct frame *f);
void env_init(void);

struct idt_gate idt[256] __attribute__((aligned(16)));
struct tss tss __attribute__((aligned(4096)));
uint8_t kstack[8192] __attribute__((aligned(4096))), ustack[8192] __attribute__((aligned(4096)));
uint8_t ist_stack[4096] __attribute__((aligned(4096))), irq_stack[8192] __attribute__((aligned(4096)));
void (*irq_hook[256])(struct frame *f);
static struct state *running;
static uint8_t *next_page;

void *mem_set(void *d, int c, size_t n)
{
    void *r = d;
    asm volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
    return r;
}

void *mem_copy(void *d, const void *s, size_t n)
{
    void *r = d;
    asm volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
    return r;
}

bool mem_equal(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a, *y = b;
    while (n--)
        if (*x++ != *y++)
            return false;
    return true;
}

// The compiler may make up calls to these.
void *memset(void *d, int c, size_t n);
void *memcpy(void *d, const void *s, size_t n);
void *memset(void *d, int c, size_t n) { return mem_set(d, c, n); }
void *memcpy(void *d, const void *s, size_t n) { return mem_copy(d, s, n); }

void *page_alloc(void)
{
    void *p = next_page;
    next_page += 4096;
    return mem_set(p, 0, 4096);
}

bool has_cpuid(uint32_t leaf, unsigned reg, unsigned bit)
{
    uint32_t r[4];
    cpuid(leaf & 0x80000000, 0, r);
    if (r[RAX] < leaf)
        return false;
    cpuid(leaf, 0, r);
    return r[reg] >> bit & 1;
}

bool is_intel(void)
{
    uint32_t r[4];
    cpuid(0, 0, r);
    return r[RBX] == 0x756e6547;
}

void idt_set(unsigned v, const void *handler, unsigned sel, unsigned type, unsigned ist)
{
    ureg a = (ureg)handler;
    idt[v] = (struct idt_gate)
    {
        .off0 = (uint16_t)a, .sel = (uint16_t)sel, .ist = (uint8_t)ist, .type = (uint8_t)type,
        .off1 = (uint16_t)(a >> 16),
#if TEST64
        .off2 = (uint32_t)(a >> 32),
#endif
    };
}

void idt_default(unsigned v, unsigned type)
{
    idt_set(v, vector_table + 16 * v, KCODE, type, TEST64 && v == EXC_DF ? 1 : 0);
}

void gdt_set(unsigned sel, uint64_t desc) { gdt[sel / 8] = desc; }

// type_p_dpl is the descriptor's byte 5, flags its byte 6's upper nibble.
uint64_t make_desc(uint32_t base, uint32_t limit, unsigned type_p_dpl, unsigned flags)
{
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)type_p_dpl << 40 |
           (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)flags << 52 | (uint64_t)(base >> 24) << 56;
}

void env_init(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        ureg base;
    } idtr = {sizeof idt - 1, (ureg)idt};
    next_page = (uint8_t *)(((ureg)image_end + 0x1fffff) & ~(ureg)0x1fffff);
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    outb(0x3f9, 0); // COM1: no interrupts, 115200 8n1
    outb(0x3fb, 0x80);
    outb(0x3f8, 1);
    outb(0x3f9, 0);
    outb(0x3fb, 3);
    for (unsigned v = 0; v < 256; v++)
        idt_default(v, v == EXC_DONE ? 0xee : 0x8e);
    asm volatile("lidt %0" : : "m"(idtr));
    tss.iomap = sizeof tss; // beyond the limit: no port is allowed
#if TEST64
    tss.rsp[0] = (ureg)irq_stack + sizeof irq_stack;
    tss.ist[0] = (ureg)ist_stack + sizeof ist_stack;
    gdt_set(TSS_SEL + 8, 0);
#else
    tss.esp0 = (ureg)irq_stack + sizeof irq_stack;
    tss.ss0 = KDATA;
#endif
    gdt_set(TSS_SEL, make_desc((uint32_t)(ureg)&tss, sizeof tss - 1, 0x89, 0));
    asm volatile("lldt %w1; ltr %w0" : : "r"(TSS_SEL), "r"(0));
}

struct state kernel_state(const void *rip)
{
    struct state s = {.rip = (ureg)rip, .cs = KCODE, .rflags = FL_ONE, .ss = KDATA, .ds = KDATA};
    s.r[RSP] = kstack_top();
#if !TEST64
    s.es = KDATA;
#endif
    return s;
}

struct state user_state(const void *rip)
{
    struct state s = {.rip = (ureg)USER(rip), .cs = UCODE, .rflags = FL_ONE, .ss = UDATA, .ds = UDATA};
    s.r[RSP] = ustack_top();
#if !TEST64
    s.es = UDATA;
#endif
    return s;
}

#if TEST64
struct state compat_state(const void *rip)
{
    struct state s = user_state(rip);
    s.cs = UCODE32;
    return s;
}
#endif

void run(struct state *s)
{
    running = s;
    run_enter(s);
}

static _Noreturn void die(const struct frame *f)
{
    note("unexpected vector %lu error %lx at cs:rip %lx:%lx cr2 %lx", f->vec, f->err, f->cs, f->rip, read_cr2());
    ok(false, "no unexpected exception");
    tap_done();
}

#if TEST64
static void save_state(struct state *s, const struct frame *f)
{
    for (int i = 0; i < 16; i++)
        s->r[i] = f->gpr[i];
    s->r[RSP] = f->rsp;
    s->ss = f->ss;
}
#else
static void save_state(struct state *s, const struct frame *f)
{
    const ureg r[8] = {f->eax, f->ecx, f->edx, f->ebx, 0, f->ebp, f->esi, f->edi};
    mem_copy(s->r, r, sizeof r);
    bool outer = (f->cs & 3) || (f->rflags & FL_VM);
    s->r[RSP] = outer ? f->rsp : (ureg)&f->rsp;
    s->ss = outer ? f->ss : KDATA;
    s->ds = f->ds;
    s->es = f->es;
    s->fs = f->fs;
    s->gs = f->gs;
    if (f->rflags & FL_VM)
        mem_copy(s->vm_seg, &f->vm_es, sizeof s->vm_seg);
}
#endif

void exc_dispatch(struct frame *f)
{
    if (irq_hook[f->vec]) {
        irq_hook[f->vec](f);
        return;
    }
    struct state *s = running;
    if (!s)
        die(f);
    running = NULL;
    save_state(s, f);
    s->rip = f->rip;
    s->cs = f->cs;
    s->rflags = f->rflags;
    s->vec = f->vec;
    s->err = f->err;
    s->cr2 = read_cr2();
    s->dr6 = read_dr6();
    s->frame = (ureg)(f->err == NO_ERROR ? &f->rip : &f->err);
    run_leave();
}
