// SPDX-License-Identifier: MIT
// One page of code at many addresses in user mode, as shared libraries are: what it pushes, where it branches and what it
// reaches RIP-relative is each address's own. A translator may make one copy from another.
#include "paging64.h"

enum { PLACES = 12, ROUNDS = 4 };
// Beyond 4 GiB, and not in order.
static uint64_t place(unsigned n) { return 0x7f0000000000ull + (uint64_t)(n * 5 % PLACES) * 0x123456000ull; }

// Runs at place(n); the page behind it holds data. rsi: bytes from m_code to that page's first quadword.
// rbx gathers: the address itself, a return address, the data, the loop's sum.
SNIP(m_code,
     "lea m_code_entry(%rip), %rbx\n" AT(m_code_entry) "call 1f\n" AT(
         m_code_back) "jmp 2f\n"
                      "1: mov (%rsp), %rcx\n ret\n"
                      "2: add 4096+m_code(%rip), %rdx\n" // this place's data
                      "push %rdx\n push %rcx\n mov 8(%rsp), %r8\n add (%rsp), %r8\n pop %r9\n pop %r10\n"
                      "xor %edi, %edi\n mov $30, %ebp\n"
                      "3: inc %edi\n cmp $10, %edi\n jb 4f\n add $2, %r11\n 4: dec %ebp\n jnz 3b\n"
                      "lea 5f(%rip), %rax\n jmp *%rax\n ud2\n"
                      "5: mov %rdx, 4096+8+m_code(%rip)");
LABEL(m_code_entry);
LABEL(m_code_back);

static uint8_t *data[PLACES];

static void make_places(void)
{
    uint8_t *page = page_alloc();
    // The code begins at the start of a page there, too.
    mem_copy(page, m_code, 512);
    for (unsigned n = 0; n < PLACES; n++) {
        data[n] = page_alloc();
        *(uint64_t *)data[n] = 1000 + n;
        map_page(place(n), (uint64_t)page, PTE_PWU, 1);
        map_page(place(n) + 4096, (uint64_t)data[n], PTE_PWU, 1);
    }
}

static bool right(unsigned n, const struct state *s)
{
    uint64_t back = place(n) + (uint64_t)(m_code_back - (const char *)m_code);
    uint64_t here = place(n) + (uint64_t)(m_code_entry - (const char *)m_code);
    return s->vec == EXC_DONE && s->r[RBX] == here && s->r[RCX] == back && s->r[RDX] == 1007 + n &&
           s->r[R8] == back + 1007 + n && s->r[R9] == back && s->r[R10] == 1007 + n && s->r[R11] == 42 &&
           *(uint64_t *)(data[n] + 8) == 1007 + n;
}

void test_main(void)
{
    make_places();
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned wrong = 0;
        for (unsigned n = 0; n < PLACES; n++) {
            struct state s = user_state((const void *)0);
            s.rip = place(n);
            s.r[RDX] = 7;
            s.r[R11] = 0;
            *(uint64_t *)(data[n] + 8) = 0;
            run(&s);
            if (!right(n, &s) && !wrong++)
                note("at %lx: vector %lu rip %lx rbx %lx rcx %lx rdx %lx r11 %lu", place(n), s.vec, s.rip, s.r[RBX],
                     s.r[RCX], s.r[RDX], s.r[R11]);
        }
        ok(!wrong, "round %u: one page of code at %u addresses, each with its own data", round, PLACES);
    }
    // Code that changes must change everywhere.
    map_page(TEST_VA, *pte_at(place(0), 1) & PTE_ADDR, PTE_PWU, 1);
    uint8_t *alias = (uint8_t *)TEST_VA;
    unsigned at = 0, wrong = 0;
    while (alias[at] != 0xbd || *(uint32_t *)(alias + at + 1) != 30) // MOV EBP, 30
        at++;
    alias[at + 1] = 31;
    for (unsigned n = 0; n < PLACES; n++) {
        struct state s = user_state((const void *)0);
        s.rip = place(n);
        s.r[RDX] = 7;
        run(&s);
        wrong += s.vec != EXC_DONE || s.r[R11] != 44;
    }
    ok(!wrong, "changed code is changed at every address: %u wrong", wrong);
}
