// SPDX-License-Identifier: MIT
// Pages whose linear addresses agree in their low bits: a VMM that indexes a table by part of the address
// must not mistake one for another. SDM vol. 1, section 3.3.7.1 "Canonical Addressing"; vol. 3A, section 4.5.
#include "paging64.h"

SNIP(k_load, "mov (%rax), %rbx");
SNIP(k_store, "mov %rbx, (%rax)");
SNIP(k_add, "lock addq $1, (%rax)");
SNIP(k_push, "mov %rax, %rsp\n" AT(k_push_at) "push %rbx");
SNIP(k_sse, "movups (%rax), %xmm0\n movups %xmm0, 16(%rax)");
SNIP(k_jump, "jmp *%rax");
LABEL(k_push_at);

// Each differs from the first in one bit from 32 up, or in the sign half.
static const uint64_t places[] = {
    0x0000100040000000, 0x0000100140000000, 0x0000100240000000, 0x0000100440000000, 0x0000101040000000,
    0x0000102040000000, 0x0000104040000000, 0x0000108040000000, 0x0000110040000000, 0x0000120040000000,
    0x0000140040000000, 0x0000180040000000, 0x0000300040000000, 0x0000500040000000, 0xffff900040000000,
    0xffffb00040000000, 0xfffff00040000000,
};
enum { PLACES = sizeof places / sizeof *places };
static uint64_t *pages[PLACES];

static struct state touch(const char *code, bool user, uint64_t va, uint64_t value)
{
    struct state s = user ? user_state(code) : kernel_state(code);
    s.r[RAX] = va;
    s.r[RBX] = value;
    run(&s);
    return s;
}

static void test_mapped(bool user)
{
    unsigned bad = 0;
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < PLACES; i++) {
            uint64_t value = 0x1000000 * (round + 1) + i;
            bad += touch(k_store, user, places[i] + 8 * round, value).vec != EXC_DONE;
            bad += pages[i][round] != value;
            for (unsigned j = 0; j < PLACES; j++) {
                uint64_t want = j <= i ? 0x1000000 * (round + 1) + j : pages[j][round];
                struct state s = touch(k_load, user, places[j] + 8 * round, 0);
                bad += s.vec != EXC_DONE || s.r[RBX] != want;
            }
        }
    ok(!bad, "%u pages that agree in their low bits, CPL %d: stores and loads, %u wrong", PLACES, user ? 3 : 0, bad);
    bad = 0;
    for (unsigned i = 0; i < PLACES; i++) {
        pages[i][8] = i;
        bad += touch(k_add, user, places[i] + 64, 0).vec != EXC_DONE || pages[i][8] != i + 1;
        bad += touch(k_push, user, places[i] + 2048, i).vec != EXC_DONE || pages[i][255] != i;
        pages[i][16] = i * 3;
        bad += touch(k_sse, user, places[i] + 128, 0).vec != EXC_DONE || pages[i][18] != i * 3;
    }
    ok(!bad, "... LOCK, PUSH and SSE, CPL %d, %u wrong", user ? 3 : 0, bad);
}

// One place is mapped and hot, the others are not: they fault, and the mapped page does not change.
static void test_unmapped(bool user)
{
    unsigned bad = 0;
    for (unsigned hot = 0; hot < PLACES; hot++) {
        for (unsigned i = 0; i < PLACES; i++)
            map_page(places[i], i == hot ? (ureg)pages[i] : 0, i == hot ? PTE_PWU : 0, 1);
        touch(k_store, user, places[hot], 0x1234);
        touch(k_load, user, places[hot], 0);
        for (unsigned i = 0; i < PLACES; i++) {
            if (i == hot)
                continue;
            ureg u = user ? 4 : 0;
            struct state s = touch(k_store, user, places[i], 0x666);
            bad += s.vec != EXC_PF || s.cr2 != places[i] || s.err != (u | 2);
            s = touch(k_load, user, places[i], 0x777);
            bad += s.vec != EXC_PF || s.cr2 != places[i] || s.err != u || s.r[RBX] != 0x777;
            s = touch(k_push, user, places[i] + 64, 1);
            bad += s.vec != (user ? EXC_PF : EXC_DF) ||
                   (user && (s.cr2 != places[i] + 56 || s.r[RSP] != places[i] + 64));
            s = touch(k_jump, user, places[i], 0);
            bad += s.vec != EXC_PF || s.rip != places[i];
            bad += pages[hot][0] != 0x1234;
        }
    }
    ok(!bad, "one of them mapped, the others fault, CPL %d, %u wrong", user ? 3 : 0, bad);
    for (unsigned i = 0; i < PLACES; i++)
        map_page(places[i], (ureg)pages[i], PTE_PWU, 1);
}

static void test_non_canonical(void)
{
    unsigned bad = 0;
    touch(k_store, false, places[0], 0x1234);
    for (unsigned bit = 47; bit < 64; bit++) {
        uint64_t va = places[0] ^ 1ull << bit;
        struct state s = touch(k_store, false, va, 0x666);
        bad += s.vec != EXC_GP || s.err != 0;
        s = touch(k_load, true, va, 0x777);
        bad += s.vec != EXC_GP || s.r[RBX] != 0x777;
        s = touch(k_add, true, va, 0);
        bad += s.vec != EXC_GP;
        bad += pages[0][0] != 0x1234;
    }
    ok(!bad, "non-canonical addresses that agree with a mapped page in their low bits are #GP(0), %u wrong", bad);
}

void test_main(void)
{
    for (unsigned i = 0; i < PLACES; i++) {
        pages[i] = page_alloc();
        map_page(places[i], (ureg)pages[i], PTE_PWU, 1);
    }
    test_mapped(false);
    test_mapped(true);
    test_unmapped(false);
    test_unmapped(true);
    test_non_canonical();
}
