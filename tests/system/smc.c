// SPDX-License-Identifier: MIT
// Self-modifying and cross-modifying code on one processor.
// SDM vol. 3A, sections 8.1.3 "Handling Self- and Cross-Modifying Code" and 11.6 "Self-Modifying Code": a
// store is seen by a later fetch from the same linear address; through an alias after a serializing
// instruction.
#include "paging64.h"

// Patch the immediate of a MOV that was already executed.
SNIP(m_own, "xor %edx, %edx\n"
            "1: " AT(m_own_imm) "mov $1, %eax\n add %eax, %edx\n movl $10, m_own_imm+1(%rip)\n cmp $11, %edx\n jb 1b");
// The next instruction.
SNIP(m_next, "movl $7, 1+m_next_imm(%rip)\n" AT(m_next_imm) "mov $1, %eax");
// The following instruction, in the same block, by a byte store that turns INC into DEC.
SNIP(m_byte, "xor %eax, %eax\n movb $0xc8, 1+m_byte_at(%rip)\n" AT(m_byte_at) ".byte 0xff, 0xc0");
// A store that ends in the following instruction's first byte; and one to itself (it runs on unchanged).
SNIP(m_qword,
     "xor %eax, %eax; movabs $0x90909090909090c3, %rcx; lea m_qword_at(%rip), %rdi; call m_qword_f; jmp m_qword_end\n"
     "m_qword_f: mov %rcx, (%rdi)\n" AT(m_qword_at) "inc %eax; inc %eax; inc %eax; inc %eax; ret");
SNIP(m_self,
     "lea m_self_at(%rip), %rdi; mov $0x90, %al; mov $3, %ecx; rep\n" AT(m_self_at) "stosb; nop; nop; mov $5, %edx");
// PUSH as the store.
SNIP(m_push,
     "mov %rsp, %rbx; lea m_push_at+8(%rip), %rsp; mov $0x90909090c0ffc0ff, %rax; mov %rax, %rcx; xor %eax, %eax\n"
     "push %rcx\n" AT(m_push_at) "ud2; nop; nop; nop; nop; nop; nop; mov %rbx, %rsp");
LABEL(m_own_imm);
LABEL(m_next_imm);
LABEL(m_byte_at);
LABEL(m_qword_at);
LABEL(m_self_at);
LABEL(m_push_at);

static void patch32(const char *at, uint32_t v) { *(volatile uint32_t *)(ureg)at = v; }

static void test_own_block(bool user)
{
    const char *who = user ? "CPL 3" : "CPL 0";
    struct state (*make)(const void *) = user ? user_state : kernel_state;
    struct state s;
    patch32(m_own_imm + 1, 1);
    s = make(m_own);
    run(&s);
    ok(s.vec == EXC_DONE && s.r[RDX] == 11, "a loop patches its own immediate, %s: vector %lu sum %lu", who, s.vec,
       s.r[RDX]);
    for (unsigned i = 0; i < 3; i++) {
        patch32(m_next_imm + 1, 1);
        s = make(m_next);
        run(&s);
        ok(s.vec == EXC_DONE && s.r[RAX] == 7, "a store into the next instruction, %s, round %u: %lx", who, i,
           s.r[RAX]);
        ((volatile uint8_t *)(ureg)m_byte_at)[1] = 0xc0;
        s = make(m_byte);
        run(&s);
        ok(s.vec == EXC_DONE && (uint32_t)s.r[RAX] == 0xffffffff, "a byte store into the next instruction, %s: %lx",
           who, s.r[RAX]);
    }
    static const uint8_t incs[9] = {0xff, 0xc0, 0xff, 0xc0, 0xff, 0xc0, 0xff, 0xc0, 0xc3};
    mem_copy((void *)(ureg)m_qword_at, incs, sizeof incs);
    s = make(m_qword);
    run(&s);
    ok(s.vec == EXC_DONE && s.r[RAX] == 0, "a store of a RET over the next instruction, %s: %lu", who, s.r[RAX]);
    static const uint8_t stos[3] = {0xaa, 0x90, 0x90};
    mem_copy((void *)(ureg)m_self_at, stos, sizeof stos);
    s = make(m_self);
    run(&s);
    // REP STOSB over its own bytes: each iteration may or may not see them; the end must be reached.
    ok(s.vec == EXC_DONE && s.r[RDX] == 5, "REP STOSB over itself, %s: vector %lu", who, s.vec);
    s = make(m_push);
    mem_copy((void *)(ureg)m_push_at, "\x0f\x0b\x90\x90\x90\x90\x90\x90", 8);
    run(&s);
    ok(s.vec == EXC_DONE && s.r[RAX] == 2, "PUSH over the next instruction, %s: vector %lu value %lu", who, s.vec,
       s.r[RAX]);
}

static void emit_mov_ret(volatile uint8_t *p, uint32_t v)
{
    p[0] = 0xb8;
    *(volatile uint32_t *)(p + 1) = v;
    p[5] = 0xc3;
}

static ureg call(const volatile void *p)
{
    ureg v;
    asm volatile("call *%1" : "=a"(v) : "r"(p) : "memory", "rcx", "rdx");
    return v & 0xffffffff;
}

// Code written again and again, as a JIT does: the page is written and run in turns.
static void test_rewrite(void)
{
    uint8_t *page = page_alloc();
    unsigned bad = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        emit_mov_ret(page, i);
        bad += call(page) != i;
    }
    check_eq("one function written and called 2000 times", bad, 0);
    bad = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        uint8_t *f = page + (i % 200) * 16;
        emit_mov_ret(f, i);
        bad += call(f) != i;
        if (i >= 199) // the one that is rewritten next still holds what it got 199 rounds ago
            bad += call(page + ((i + 1) % 200) * 16) != i - 199;
    }
    check_eq("200 functions of one page, each rewritten while the others run", bad, 0);
    uint8_t a[16], b[16];
    emit_mov_ret(a, 0xaaaa);
    emit_mov_ret(b, 0xbbbb);
    bad = 0;
    for (unsigned i = 0; i < 500; i++) {
        mem_copy(page + 64, i & 1 ? a : b, 6);
        bad += call(page + 64) != (i & 1 ? 0xaaaau : 0xbbbbu);
    }
    check_eq("code copied over code by REP MOVSB, 500 times", bad, 0);
    volatile uint32_t *data = (volatile uint32_t *)(page + 4000);
    emit_mov_ret(page, 5);
    bad = 0;
    for (unsigned i = 0; i < 1000; i++) {
        *data = i; // data in the code's page: the code must live on
        bad += call(page) != 5 || *data != i;
    }
    check_eq("data written in a page of running code", bad, 0);
}

static void serialize(void)
{
    uint32_t r[4];
    cpuid(0, 0, r);
}

static void test_alias(void)
{
    uint8_t *page = page_alloc();
    volatile uint8_t *a = (uint8_t *)TEST_VA, *b = (uint8_t *)TEST_VA + 0x5000;
    map_page((ureg)a, (ureg)page, PTE_PWU, 1);
    map_page((ureg)b, (ureg)page, PTE_PWU, 1);
    unsigned bad = 0;
    for (uint32_t i = 0; i < 200; i++) {
        emit_mov_ret(b + 32, i);
        serialize();
        bad += call(a + 32) != i;
    }
    check_eq("written through one alias, run through another", bad, 0);
    bad = 0;
    for (uint32_t i = 0; i < 200; i++) {
        emit_mov_ret(page + 32, i); // the identity mapping's large page
        serialize();
        bad += call(a + 32) != i || call(b + 32) != i;
    }
    check_eq("written through the identity mapping, run through two aliases", bad, 0);
}

// One instruction (MOV EAX, imm32) over a page end.
static void test_cross_page(void)
{
    uint8_t *first = page_alloc(), *second = page_alloc(), *other = page_alloc();
    volatile uint8_t *va = (uint8_t *)TEST_VA + 0x10000;
    map_page((ureg)va, (ureg)first, PTE_PWU, 1);
    map_page((ureg)va + 4096, (ureg)second, PTE_PWU, 1);
    volatile uint8_t *f = va + 4096 - 2;
    emit_mov_ret(f, 0x11223344);
    mem_copy(other, second, 16);
    check_eq("an instruction over a page end", call(f), 0x11223344);
    second[0] = 0x99; // first page holds B8 44; the second 33 22 11 C3
    check_eq("its second page is written", call(f), 0x11229944);
    va[4095] = 0x77;
    check_eq("its first page is written", call(f), 0x11229977);
    other[1] = 0xee;
    map_page((ureg)va + 4096, (ureg)other, PTE_PWU, 1);
    check_eq("its second page is remapped", call(f), 0x11ee3377);
    map_page((ureg)va + 4096, (ureg)second, PTE_PWU, 1);
    check_eq("... and back", call(f), 0x11229977);
    uint64_t *e = map_page((ureg)va + 4096, 0, 0, 1);
    struct state s = kernel_state((void *)f);
    run(&s);
    ok(s.vec == EXC_PF && s.rip == (ureg)f && s.cr2 == (ureg)va + 4096,
       "its second page is unmapped: #PF at the instruction, CR2 %lx at the second page", s.cr2);
    *e = (ureg)second | PTE_PWU;
    check_eq("... mapped again", call(f), 0x11229977);
    *e |= PTE_NX;
    invlpg((void *)(va + 4096));
    s = kernel_state((void *)f);
    run(&s);
    ok(s.vec == EXC_PF && s.rip == (ureg)f && s.err == 0x11, "its second page is NX: vector %lu error %lx", s.vec,
       s.err);
    unsigned bad = 0;
    for (unsigned i = 0; i < 200; i++) {
        map_page((ureg)va + 4096, (ureg)(i & 1 ? second : other), PTE_PWU, 1);
        bad += call(f) != (i & 1 ? 0x11229977u : 0x11ee3377u);
    }
    check_eq("its second page is remapped 200 times", bad, 0);
}

// A call into another page, whose mapping changes: a chained block must not be followed.
static void test_remap_target(void)
{
    uint8_t *caller = page_alloc(), *x = page_alloc(), *y = page_alloc();
    volatile uint8_t *va = (uint8_t *)TEST_VA + 0x20000;
    map_page((ureg)va, (ureg)caller, PTE_PWU, 1);
    emit_mov_ret(x, 1);
    emit_mov_ret(y, 2);
    caller[0] = 0xe9; // JMP rel32 to the next page
    *(uint32_t *)(caller + 1) = 4096 - 5;
    unsigned bad = 0;
    for (unsigned i = 0; i < 300; i++) {
        map_page((ureg)va + 4096, (ureg)(i & 1 ? x : y), PTE_PWU, 1);
        bad += call(va) != (i & 1 ? 1 : 2);
    }
    check_eq("a direct jump into a page that is remapped 300 times", bad, 0);
    bad = 0;
    for (unsigned i = 0; i < 100; i++) {
        *pte_at((ureg)va + 4096, 1) = (ureg)(i & 1 ? x : y) | PTE_PWU;
        write_cr3(read_cr3());
        bad += call(va) != (i & 1 ? 1 : 2);
    }
    check_eq("... with MOV to CR3", bad, 0);
}

void test_main(void)
{
    test_own_block(false);
    test_own_block(true);
    test_rewrite();
    test_alias();
    test_cross_page();
    test_remap_target();
}
