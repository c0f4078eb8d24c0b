// SPDX-License-Identifier: MIT
// Code in several address spaces: the same linear address is other code after MOV to CR3, whatever was
// chained, cached or predicted before. SDM vol. 3A, section 4.10 "Caching Translation Information".
#include "paging64.h"

enum { SPACES = 5, CODE_PAGES = 3 };
static const uint64_t code_va = HIGH_VA;
static uint64_t roots[SPACES];
static uint64_t *leaves[SPACES]; // the page table for code_va
static uint8_t *code[SPACES][CODE_PAGES];
static bool pcids;

static ureg call(const void *p)
{
    ureg v;
    asm volatile("call *%1" : "=a"(v) : "r"(p) : "memory", "rcx", "rdx");
    return v;
}

static void switch_to(unsigned n, bool keep)
{
    write_cr3(roots[n] | (pcids ? n + 1 : 0) | (pcids && keep ? 1ull << 63 : 0));
}

static uint64_t make_space(unsigned n)
{
    uint64_t *pml4 = page_alloc(), *pdpt = page_alloc(), *pd = page_alloc();
    leaves[n] = page_alloc();
    mem_copy(pml4, (void *)(read_cr3() & PTE_ADDR), 4096);
    pml4[HIGH_VA >> 39 & 511] = (uint64_t)pdpt | PTE_PWU;
    pdpt[0] = (uint64_t)pd | PTE_PWU;
    pd[0] = (uint64_t)leaves[n] | PTE_PWU;
    return (uint64_t)pml4;
}

// Page 0: CALL page 1; ADD the page's own constant; RET. Page 1: JMP page 2. Page 2: MOV a constant; RET.
static void fill_code(unsigned n)
{
    uint8_t *p0 = code[n][0], *p1 = code[n][1], *p2 = code[n][2];
    p0[0] = 0xe8;
    *(uint32_t *)(p0 + 1) = 4096 - 5;
    p0[5] = 0x05; // ADD EAX, imm32
    *(uint32_t *)(p0 + 6) = 100 * (n + 1);
    p0[10] = 0xc3;
    p1[0] = 0xe9;
    *(uint32_t *)(p1 + 1) = 4096 - 5;
    p2[0] = 0xb8; // MOV EAX, imm32
    *(uint32_t *)(p2 + 1) = n + 1;
    p2[5] = 0xc3;
}

static void map_own(unsigned n, unsigned page, unsigned owner, uint64_t flags)
{
    leaves[n][page] = (uint64_t)code[owner][page] | PTE_PWU | flags;
}

static ureg want(unsigned p0, unsigned p2) { return 100 * (p0 + 1) + p2 + 1; }

static void test_own_code(bool keep)
{
    unsigned bad = 0;
    for (unsigned i = 0; i < 400; i++) {
        unsigned n = (i * 7 + i / 5) % SPACES;
        switch_to(n, keep);
        bad += call((void *)code_va) != want(n, n);
    }
    ok(!bad, "%u spaces with their own code at one address, 400 switches%s: %u wrong", SPACES,
       keep ? " without flush" : "", bad);
}

// Page 1 and 0 are shared, page 2 is each space's own: a jump from shared code into private code.
static void test_shared(bool keep)
{
    for (unsigned n = 0; n < SPACES; n++) {
        map_own(n, 0, 0, 0);
        map_own(n, 1, 0, 0);
        switch_to(n, false);
    }
    unsigned bad = 0;
    for (unsigned i = 0; i < 400; i++) {
        unsigned n = (i * 3 + i / 7) % SPACES;
        switch_to(n, keep);
        bad += call((void *)code_va) != want(0, n);
    }
    ok(!bad, "shared code jumps into private code, 400 switches%s: %u wrong", keep ? " without flush" : "", bad);
    for (unsigned n = 0; n < SPACES; n++) {
        map_own(n, 0, n, 0);
        map_own(n, 1, n, 0);
        switch_to(n, false);
    }
}

// A space's code page is exchanged while another space runs.
static void test_exchange(void)
{
    unsigned bad = 0;
    for (unsigned i = 0; i < 200; i++) {
        unsigned n = i % SPACES, owner = (i / SPACES + n) % SPACES;
        switch_to((n + 1) % SPACES, false);
        call((void *)code_va);
        map_own(n, 2, owner, 0);
        switch_to(n, false); // flushes n
        bad += call((void *)code_va) != want(n, owner);
        map_own(n, 2, n, 0);
        invlpg((void *)(code_va + 8192));
        bad += call((void *)code_va) != want(n, n);
    }
    ok(!bad, "a code page exchanged while another space runs, 200 times: %u wrong", bad);
}

static void test_unmapped(void)
{
    unsigned bad = 0;
    for (unsigned n = 0; n < SPACES; n++) {
        switch_to(n, false);
        call((void *)code_va);
        uint64_t old = leaves[n][2];
        leaves[n][2] = 0;
        invlpg((void *)(code_va + 8192));
        struct state s = kernel_state((void *)code_va);
        run(&s);
        bad += s.vec != EXC_PF || s.rip != code_va + 8192 || s.cr2 != code_va + 8192 || s.err != 0x10;
        leaves[n][2] = old & ~(uint64_t)PTE_U;
        invlpg((void *)(code_va + 8192));
        s = user_state(USER(0));
        s.rip = code_va;
        run(&s);
        bad += s.vec != EXC_PF || s.rip != code_va + 8192 || s.err != 0x15;
        bad += call((void *)code_va) != want(n, n); // supervisor code may still go there
        leaves[n][2] = old;
        invlpg((void *)(code_va + 8192));
        bad += call((void *)code_va) != want(n, n);
    }
    ok(!bad, "a jump into a page that is unmapped or supervisor faults at its target: %u wrong", bad);
}

// One physical page of code written through the identity mapping while several spaces hold it.
static void test_written(bool keep)
{
    unsigned bad = 0;
    uint32_t r[4];
    for (unsigned i = 0; i < 100; i++) {
        unsigned n = i % SPACES;
        *(volatile uint32_t *)(code[n][2] + 1) = 1000 + i;
        cpuid(0, 0, r);
        switch_to(n, keep);
        bad += call((void *)code_va) != 100 * (n + 1) + 1000 + i;
    }
    for (unsigned n = 0; n < SPACES; n++)
        fill_code(n);
    ok(!bad, "code written between switches%s: %u wrong", keep ? " without flush" : "", bad);
}

SNIP(w_user, "xor %ebx, %ebx; mov $50, %ebp\n 1: call *%rsi; add %eax, %ebx; dec %ebp; jnz 1b");

// User code of each space, entered and left 60 times: returns and calls are predicted across switches.
static void test_user(bool keep)
{
    unsigned bad = 0;
    for (unsigned i = 0; i < 60; i++) {
        unsigned n = (i * 2 + i / 9) % SPACES;
        switch_to(n, keep);
        struct state s = user_state(w_user);
        s.r[RSI] = code_va;
        run(&s);
        bad += s.vec != EXC_DONE || (uint32_t)s.r[RBX] != 50 * want(n, n);
    }
    ok(!bad, "CPL 3 calls its space's code, 60 switches%s: %u wrong", keep ? " without flush" : "", bad);
}

static void test_all(bool keep)
{
    test_own_code(keep);
    test_shared(keep);
    test_written(keep);
    test_user(keep);
}

void test_main(void)
{
    uint64_t cr3 = read_cr3();
    for (unsigned n = 0; n < SPACES; n++) {
        roots[n] = make_space(n);
        for (unsigned p = 0; p < CODE_PAGES; p++) {
            code[n][p] = page_alloc();
            map_own(n, p, n, 0);
        }
        fill_code(n);
    }
    test_all(false);
    test_exchange();
    test_unmapped();
    write_cr3(cr3);
    if (!has_cpuid(1, RCX, 17))
        return skip("PCIDs", "CPUID has none");
    write_cr4(read_cr4() | CR4_PCIDE | CR4_PGE);
    pcids = true;
    note("with PCIDs");
    test_all(false);
    test_all(true);
    test_exchange();
    test_unmapped();
}
