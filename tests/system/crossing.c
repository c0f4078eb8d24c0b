// SPDX-License-Identifier: MIT
// Accesses over a page end: values, all-or-nothing faults, CR2, LOCK; code over a page end.
// SDM vol. 3A, section 4.7 "Page-Fault Exceptions"; section 6.5 "Exception Classifications": a fault
// restarts.
#include "paging64.h"

#define EDGE (TEST_VA + 4096)
static uint8_t *first, *second;

SNIP(c_load2, "movzwl (%rsi), %eax");
SNIP(c_load4, "mov (%rsi), %eax");
SNIP(c_load8, "mov (%rsi), %rax");
SNIP(c_store2, "mov %ax, (%rsi)");
SNIP(c_store4, "mov %eax, (%rsi)");
SNIP(c_store8, "mov %rax, (%rsi)");
SNIP(c_add8, "add %rax, (%rsi)");
SNIP(c_xchg8, "xchg %rax, (%rsi)");
SNIP(c_lock8, "lock xadd %rax, (%rsi)");
SNIP(c_lock4, "lock addl %eax, (%rsi)");
SNIP(c_cmpxchg, "lock cmpxchg %rdx, (%rsi)");
SNIP(c_inc2, "incw (%rsi)");
SNIP(c_bts, "btsq %rcx, (%rsi)");
SNIP(c_movups_load, "movups (%rsi), %xmm0; movq %xmm0, %rax; pextrq $1, %xmm0, %rdx");
SNIP(c_movups_store,
     "movq %rax, %xmm0; movq %rdx, %xmm1; punpcklqdq %xmm1, %xmm0; " AT(c_movups_store_at) "movups %xmm0, (%rsi)");
SNIP(c_push, "mov %rsi, %rsp; " AT(c_push_at) "push %rax");
SNIP(c_pop, "mov %rsi, %rsp; " AT(c_pop_at) "pop %rax");
SNIP(c_fld, "fninit; fldt (%rsi); fstpt (%rdi)");
SNIP(c_fstp, "fninit; fld1; " AT(c_fstp_at) "fstpt (%rsi)");
SNIP(c_pushmem, "pushq (%rsi); pop %rax");
SNIP(c_popmem, "push %rax; " AT(c_popmem_at) "popq (%rsi)");
SNIP(c_call, "call *(%rsi)");
SNIP(c_cmp, "cmp %rax, (%rsi); sete %dl");
SNIP(c_imul, "imul (%rsi), %rax");
SNIP(c_div, "xor %edx, %edx; " AT(c_div_at) "divq (%rsi)");
LABEL(c_movups_store_at);
LABEL(c_push_at);
LABEL(c_pop_at);
LABEL(c_fstp_at);
LABEL(c_popmem_at);
LABEL(c_div_at);

static void map_both(bool second_too, uint64_t second_flags)
{
    map_page(TEST_VA, (ureg)first, PTE_PWU, 1);
    map_page(EDGE, second_too ? (ureg)second : 0, second_too ? second_flags : 0, 1);
}

static void put8(uint64_t va, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++) {
        uint64_t a = va + i;
        (a < EDGE ? first + (a - TEST_VA) : second + (a - EDGE))[0] = (uint8_t)(v >> 8 * i);
    }
}

static uint64_t get8(uint64_t va)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < 8; i++) {
        uint64_t a = va + i;
        v |= (uint64_t)(a < EDGE ? first + (a - TEST_VA) : second + (a - EDGE))[0] << 8 * i;
    }
    return v;
}

struct row {
    const char *name, *code, *at;
    unsigned size;           // bytes touched
    ureg rax, rdx, rcx;      // in
    uint64_t mem, mem_after; // at RSI
    ureg rax_after;
    bool write;
};

#define M 0x8877665544332211
static const struct row rows[] = {
    {"16-bit load", c_load2, c_load2, 2, 0, 0, 0, M, M, 0x2211, false},
    {"32-bit load", c_load4, c_load4, 4, 0, 0, 0, M, M, 0x44332211, false},
    {"64-bit load", c_load8, c_load8, 8, 0, 0, 0, M, M, M, false},
    {"16-bit store", c_store2, c_store2, 2, 0xabcd, 0, 0, M, 0x887766554433abcd, 0xabcd, true},
    {"32-bit store", c_store4, c_store4, 4, 0xaabbccdd, 0, 0, M, 0x88776655aabbccdd, 0xaabbccdd, true},
    {"64-bit store", c_store8, c_store8, 8, 0x0102030405060708, 0, 0, M, 0x0102030405060708, 0x0102030405060708, true},
    {"ADD to memory", c_add8, c_add8, 8, 0x0101010101010101, 0, 0, M, M + 0x0101010101010101, 0x0101010101010101, true},
    {"XCHG", c_xchg8, c_xchg8, 8, 0x1234, 0, 0, M, 0x1234, M, true},
    {"LOCK XADD", c_lock8, c_lock8, 8, 1, 0, 0, M, M + 1, M, true},
    {"LOCK ADD, 32 bits", c_lock4, c_lock4, 4, 1, 0, 0, M, M + 1, 1, true},
    {"LOCK CMPXCHG, equal", c_cmpxchg, c_cmpxchg, 8, M, 0x5555, 0, M, 0x5555, M, true},
    {"LOCK CMPXCHG, not equal", c_cmpxchg, c_cmpxchg, 8, 7, 0x5555, 0, M, M, M, true},
    {"INC, 16 bits", c_inc2, c_inc2, 2, 9, 0, 0, M, M + 1, 9, true},
    {"PUSH from memory", c_pushmem, c_pushmem, 8, 9, 0, 0, M, M, M, false},
    {"POP to memory", c_popmem, c_popmem_at, 8, 0x99, 0, 0, M, 0x99, 0x99, true},
    {"CMP", c_cmp, c_cmp, 8, M, 0, 0, M, M, M, false},
    {"IMUL", c_imul, c_imul, 8, 2, 0, 0, 3, 3, 6, false},
    {"DIV", c_div, c_div_at, 8, 100, 0, 0, 7, 7, 14, false},
};

static struct state row_run(const struct row *r, bool user, uint64_t va)
{
    struct state s = user ? user_state(r->code) : kernel_state(r->code);
    s.r[RAX] = r->rax;
    s.r[RDX] = r->rdx;
    s.r[RCX] = r->rcx;
    s.r[RSI] = va;
    run(&s);
    return s;
}

static void check_row(const struct row *r, bool user)
{
    unsigned bad = 0, faults_bad = 0, w_bad = 0;
    for (unsigned off = 1; off < r->size; off++) {
        uint64_t va = EDGE - off;
        map_both(true, PTE_PWU);
        put8(va, r->mem);
        struct state s = row_run(r, user, va);
        if (s.vec != EXC_DONE || s.r[RAX] != r->rax_after || get8(va) != r->mem_after) {
            note("%s at -%u: vector %lu rax %lx memory %lx", r->name, off, s.vec, s.r[RAX], get8(va));
            bad++;
        }
        // The second page is missing, or read-only: nothing at all may have changed.
        for (unsigned ro = 0; ro <= r->write; ro++) {
            map_both(ro, PTE_P | PTE_U);
            put8(va, r->mem);
            s = row_run(r, user, va);
            ureg err = (ro ? 1 : 0) | (r->write ? 2 : 0) | (user ? 4 : 0);
            w_bad += s.err != err;
            if (s.vec != EXC_PF || (s.err & ~2ul) != (err & ~2ul) || s.cr2 != EDGE || get8(va) != r->mem ||
                s.r[RAX] != r->rax || s.rip != (ureg)(user ? USER(r->at) : r->at)) {
                note("%s at -%u, %s: vector %lu error %lx (want %lx) cr2 %lx rax %lx memory %lx", r->name, off,
                     ro ? "read-only" : "missing", s.vec, s.err, err, s.cr2, s.r[RAX], get8(va));
                faults_bad++;
            }
        }
    }
    ok(!bad, "%s over a page end, CPL %d", r->name, user ? 3 : 0);
    ok(!faults_bad, "%s with a fault on the second page, CPL %d: nothing changed", r->name, user ? 3 : 0);
    ok(!w_bad, "W in the error code of %s, CPL %d", r->name, user ? 3 : 0); // a read-modify-write is a write
}

static void test_first_page_faults(void)
{
    map_page(TEST_VA, 0, 0, 1);
    map_page(EDGE, (ureg)second, PTE_PWU, 1);
    put8(EDGE - 4, M);
    struct state s = user_state(c_store8);
    s.r[RSI] = EDGE - 4;
    s.r[RAX] = 0;
    run(&s);
    ok(s.vec == EXC_PF && s.cr2 == EDGE - 4 && get8(EDGE - 4) == M,
       "the first page is missing: CR2 is the address itself");
}

static void test_vector(void)
{
    unsigned bad = 0, faults_bad = 0;
    for (unsigned off = 1; off < 16; off++) {
        uint64_t va = EDGE - off;
        map_both(true, PTE_PWU);
        struct state s = user_state(c_movups_store);
        s.r[RAX] = 0x1122334455667788;
        s.r[RDX] = 0x99aabbccddeeff00;
        s.r[RSI] = va;
        run(&s);
        bad += s.vec != EXC_DONE || get8(va) != 0x1122334455667788 || get8(va + 8) != 0x99aabbccddeeff00;
        s = user_state(c_movups_load);
        s.r[RSI] = va;
        run(&s);
        bad += s.vec != EXC_DONE || s.r[RAX] != 0x1122334455667788 || s.r[RDX] != 0x99aabbccddeeff00;
        map_both(true, PTE_P | PTE_U);
        s = user_state(c_movups_store);
        s.r[RSI] = va;
        run(&s);
        faults_bad += s.vec != EXC_PF || s.cr2 != EDGE || s.err != 7 || get8(va) != 0x1122334455667788 ||
                      get8(va + 8) != 0x99aabbccddeeff00;
    }
    ok(!bad, "MOVUPS load and store over a page end, 15 offsets");
    ok(!faults_bad, "MOVUPS store with a fault on the second page: nothing changed");
}

static void test_x87(void)
{
    unsigned bad = 0;
    for (unsigned off = 1; off < 10; off++) {
        map_both(true, PTE_PWU);
        struct state s = user_state(c_fstp);
        s.r[RSI] = EDGE - off;
        put8(EDGE - off + 8, 0);
        run(&s);
        bad += s.vec != EXC_DONE || get8(EDGE - off) != 0x8000000000000000 || (get8(EDGE - off + 8) & 0xffff) != 0x3fff;
        s = user_state(c_fld);
        s.r[RSI] = EDGE - off;
        s.r[RDI] = TEST_VA + 64;
        run(&s);
        bad += s.vec != EXC_DONE || get8(TEST_VA + 64) != 0x8000000000000000;
        map_both(true, PTE_P | PTE_U);
        put8(EDGE - off, M);
        s = user_state(c_fstp);
        s.r[RSI] = EDGE - off;
        run(&s);
        bad += s.vec != EXC_PF || s.cr2 != EDGE || s.rip != (ureg)USER(c_fstp_at);
    }
    check_eq("FLD and FSTP m80 over a page end, 9 offsets", bad, 0);
}

static void test_stack(void)
{
    map_both(true, PTE_PWU);
    struct state s = user_state(c_push);
    s.r[RSI] = EDGE + 4;
    s.r[RAX] = M;
    run(&s);
    ok(s.vec == EXC_DONE && get8(EDGE - 4) == M && s.r[RSP] == EDGE - 4, "PUSH over a page end");
    s = user_state(c_pop);
    s.r[RSI] = EDGE - 4;
    run(&s);
    ok(s.vec == EXC_DONE && s.r[RAX] == M && s.r[RSP] == EDGE + 4, "POP over a page end");
    map_both(false, 0);
    s = user_state(c_push);
    s.r[RSI] = EDGE + 4;
    s.r[RAX] = 0;
    run(&s);
    check_exc("PUSH whose upper half is missing", &s, EXC_PF, 6, c_push_at);
    check_eq("... CR2", s.cr2, EDGE);
    check_eq("... RSP unchanged", s.r[RSP], EDGE + 4);
    check_eq("... memory unchanged", get8(EDGE - 4), M);
    s = user_state(c_pop);
    s.r[RSI] = EDGE - 4;
    s.r[RAX] = 77;
    run(&s);
    check_exc("POP whose upper half is missing", &s, EXC_PF, 4, c_pop_at);
    ok(s.r[RSP] == EDGE - 4 && s.r[RAX] == 77, "... registers unchanged");
    map_both(true, PTE_PWU);
    put8(EDGE - 3, (ureg)USER(c_call_end));
    s = user_state(c_call);
    s.r[RSI] = EDGE - 3;
    run(&s);
    check_exc("indirect CALL through a pointer over a page end", &s, EXC_DONE, NO_ERROR, c_call_end + 2);
}

// BTS with a register operand: the bit offset moves the address (vol. 2A, "BTS").
static void test_bit_string(void)
{
    map_both(true, PTE_PWU);
    mem_set(first, 0, 4096);
    mem_set(second, 0, 4096);
    struct state s = user_state(c_bts);
    s.r[RSI] = EDGE - 64;
    s.r[RCX] = 64 * 8 + 9;
    run(&s);
    ok(s.vec == EXC_DONE && second[1] == 2 && !(s.rflags & FL_CF), "BTS reaches into the next page");
    s = user_state(c_bts);
    s.r[RSI] = EDGE + 64;
    s.r[RCX] = (ureg) - (64 * 8 + 64);
    run(&s);
    ok(s.vec == EXC_DONE && first[4096 - 8] == 1, "BTS with a negative offset reaches into the page before");
    map_both(false, 0);
    s = user_state(c_bts);
    s.r[RSI] = EDGE - 64;
    s.r[RCX] = 64 * 8 + 9;
    run(&s);
    ok(s.vec == EXC_PF && s.rip == (ureg)USER(c_bts), "BTS into a missing page");
    check_eq("W in the error code of BTS", s.err, 6);
    check_eq("... CR2", s.cr2, EDGE);
}

// Instructions of every length over the page end; then with the second page missing.
static void test_code(void)
{
    static const uint8_t code[] = {0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0, 0xff, 0xc0,
                                   0x48, 0xb9, 1,    2,    3,    4, 5, 6, 7, 8, 0xcd, 0x80};
    unsigned bad = 0, faults_bad = 0;
    for (unsigned off = 1; off < sizeof code; off++) {
        uint64_t va = EDGE - off;
        map_both(true, PTE_PWU);
        for (unsigned i = 0; i < sizeof code; i++) {
            uint64_t a = va + i;
            (a < EDGE ? first + (a - TEST_VA) : second + (a - EDGE))[0] = code[i];
        }
        struct state s = user_state(USER(0));
        s.rip = va;
        run(&s);
        bad += s.vec != EXC_DONE || s.r[RAX] != 1 || s.r[RCX] != 0x0807060504030201;
        map_both(false, 0);
        s = user_state(USER(0));
        s.rip = va;
        run(&s);
        static const uint8_t starts[] = {0, 10, 12, 22}; // of the instructions
        unsigned start = 0;
        for (unsigned i = 0; i < sizeof starts; i++)
            if (starts[i] <= off)
                start = starts[i];
        faults_bad += s.vec != EXC_PF || s.cr2 != EDGE || s.err != 0x14 || s.rip != va + start;
        if (s.rip != va + start)
            note("offset %u: rip +%lu, want +%u", off, s.rip - va, start);
    }
    check_eq("code over a page end, every offset", bad, 0);
    check_eq("code over a page end into a missing page, every offset", faults_bad, 0);
}

void test_main(void)
{
    first = page_alloc();
    second = page_alloc();
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        check_row(&rows[i], true);
        check_row(&rows[i], false);
    }
    test_first_page_faults();
    test_vector();
    test_x87();
    test_stack();
    test_bit_string();
    test_code();
}
