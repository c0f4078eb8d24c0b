// SPDX-License-Identifier: MIT
// Small loops over memory, and REP MOVS and STOS of a few bytes: page ends, faults and exits in each round, code that
// changes in a later one, addresses that wrap or have aliases. A translator may unroll the ones, do the others inline,
// and look pages up once for several rounds; what the program sees is as if it did not.
// SDM vol. 3A, section 6.5 "Exception Classifications": a fault leaves the state as before the instruction.
#if defined(TEST32)
#include "test.h"
#else
#include "paging64.h"
#endif

// The same text for 64-bit and 32-bit code.
#define SNIPPETS(SN, p, R)                                                                                         \
    SN(p##walk, "1:" AT(p##walk_load) "mov (" R "si), %eax\n" AT(p##walk_add) "add %eax, 4(" R "si)\n"             \
                                                                              "lea 8(" R "si), " R "si\n dec " R   \
                                                                              "cx\n jnz 1b");                      \
    SN(p##down, "1: sub $8, " R "si\n mov (" R "si), %eax\n add %eax, 4(" R "si)\n dec " R "cx\n jnz 1b");         \
    SN(p##index,                                                                                                   \
       "1: mov (" R "si," R "dx,8), %eax\n add %eax, 4(" R "si," R "dx,8)\n inc " R "dx\n dec " R "cx\n jnz 1b");  \
    SN(p##flags, "1: dec " R "cx\n" AT(p##flags_load) "mov (" R "si), %eax\n mov 4(" R "si), %ebx\n"               \
                                                      "lea 8(" R "si), " R "si\n jnz 1b\n pushf\n pop " R "dx");   \
    SN(p##find, "1: mov (" R "si), %eax\n cmp %eax, %edx\n je 2f\n add 4(" R "si), %ebx\n add $8, " R "si\n"       \
                "dec " R "cx\n jnz 1b\n 2: nop");                                                                  \
    SN(p##patch, "1: mov $1, %edx\n add %edx, %ebx\n mov %al, (" R "si)\n cmpb $0, 1(" R "si)\n add $4, " R "si\n" \
                 "dec " R "cx\n jnz 1b");                                                                          \
    SN(p##ticks, "1: addl $1, (" R "si)\n addl $1, 4(" R "si)\n dec " R "cx\n jnz 1b");                            \
    SN(p##movsb, "rep movsb\n pushf\n pop " R "bx");                                                               \
    SN(p##movsl, "rep movsl");                                                                                     \
    SN(p##stosb, "rep stosb\n pushf\n pop " R "bx");                                                               \
    SN(p##stosl, "rep stosl");                                                                                     \
    SN(p##down_movs, "std\n rep movsb\n cld");                                                                     \
    SN(p##over, "rep movsb\n" AT(p##over_next) "mov $1, %eax");                                                    \
    extern const char p##walk_load[], p##walk_add[], p##flags_load[], p##over_next[];                              \
    static const struct code p##code = {p##walk,      p##walk_end,  p##walk_load,  p##walk_add, p##down,           \
                                        p##index,     p##flags,     p##flags_load, p##find,     p##patch,          \
                                        p##patch_end, p##ticks,     p##movsb,      p##movsl,    p##stosb,          \
                                        p##stosl,     p##down_movs, p##over,       p##over_next}

struct code {
    const char *walk, *walk_end, *walk_load, *walk_add, *down, *index, *flags, *flags_load, *find, *patch, *patch_end,
        *ticks, *movsb, *movsl, *stosb, *stosl, *down_movs, *over, *over_next;
};

#if TEST64
SNIPPETS(SNIP, n_, "%r");
SNIPPETS(SNIP32, c_, "%e");
// All that addresses memory by a register of its own choice.
SNIP32(c_upper, "push %esi\n pop %eax\n sub %esi, %eax\n call 1f\n jmp 2f\n 1: ret\n 2: push %ebp\n mov %esp, %ebp\n"
                "sub $8, %esp\n movl $5, (%esp)\n movl $6, 4(%esp)\n add (%esp), %eax\n add 4(%esp), %eax\n leave\n"
                "3: inc %eax\n loop 3b\n movsb\n stosb\n lodsl\n mov (%esi,%ebx,2), %edx\n mov %edx, (%edi,%ebx)");
#define VA TEST_VA
#else
// A branch with 66h at the very end of the first 64 KiB: it cuts EIP to 16 bits where it is taken, and only there.
SNIP(n_edge, "1: mov (%esi), %eax\n add %eax, 4(%esi)\n lea 8(%esi), %esi\n dec %ecx\n .byte 0x66\n jnz 1b");
SNIPPETS(SNIP, n_, "%e");
#define VA 0x40000000u
#endif

enum { NONE = 0, RO = 5, RW = 7, PAGES = 4, ROUNDS = 9, CODE_AT = 8 };
static uint8_t *page[PAGES], *text[2]; // of the data at VA; of code at VA + 8 pages
static const struct code *code;
static bool compat;
static const char *who;

#if TEST64
static void map_one(ureg va, const void *to, unsigned rights) { map_page(va, (ureg)to, rights, 1); }
#else
static uint32_t *pt;

static void map_one(ureg va, const void *to, unsigned rights)
{
    pt[va >> 12 & 1023] = (uint32_t)to | rights;
    invlpg((void *)va);
}

// Identity for 64 MiB and the local APIC's page, a table at VA.
static void paging_on(void)
{
    uint32_t *pd = page_alloc();
    pt = page_alloc();
    for (unsigned i = 0; i < 16; i++)
        pd[i] = i << 22 | 0x80 | RW;
    pd[0xfee00000u >> 22] = 0xfec00000u | 0x80 | 0x10 | 3;
    pd[VA >> 22] = (uint32_t)pt | RW;
    write_cr4(read_cr4() | CR4_PSE);
    write_cr3((uint32_t)pd);
    write_cr0(read_cr0() | CR0_PG | CR0_WP);
}
#endif

static void map_all(void)
{
    for (unsigned i = 0; i < PAGES; i++)
        map_one(VA + 4096 * i, page[i], RW);
}

static uint32_t *word(ureg va) { return (uint32_t *)(page[(va - VA) >> 12] + (va & 4095)); }

static void fill(void)
{
    for (ureg va = VA; va < VA + PAGES * 4096; va += 4)
        *word(va) = (uint32_t)(va * 2654435761u) >> 3;
}

static struct state start(const char *snippet, bool user)
{
    struct state s = user ? user_state(snippet) : kernel_state(snippet);
#if TEST64
    if (compat) {
        s = user ? compat_state(snippet) : s;
        s.cs = user ? s.cs : KCODE32;
    }
#endif
    return s;
}

static struct state loop(const char *snippet, ureg at, unsigned rounds)
{
    struct state s = start(snippet, true);
    s.r[RSI] = at;
    s.r[RCX] = rounds;
    s.r[RDX] = 0;
    run(&s);
    return s;
}

// Does the memory hold what n rounds from at leave, after fill()? It is filled again.
static bool walked(ureg at, unsigned n)
{
    uint32_t got[2 * ROUNDS + 2];
    bool good = true;
    for (unsigned i = 0; i < 2 * ROUNDS + 2; i++)
        got[i] = *word(at + 4 * i);
    fill();
    for (unsigned i = 0; i < 2 * ROUNDS + 2; i++)
        good &= got[i] == *word(at + 4 * i) + (i & 1 && i / 2 < n ? *word(at + 4 * i - 4) : 0);
    return good;
}

// --- loops

static void test_borders(void)
{
    unsigned wrong = 0;
    for (unsigned k = 0; k <= 2 * ROUNDS; k++) {
        ureg at = VA + 4096 - 4 * k;
        struct state s = loop(code->walk, at, ROUNDS);
        wrong += !(walked(at, ROUNDS) && s.vec == EXC_DONE && s.r[RSI] == at + 8 * ROUNDS && !s.r[RCX]);
        s = loop(code->down, at + 8 * ROUNDS, ROUNDS);
        wrong += !(walked(at, ROUNDS) && s.vec == EXC_DONE && s.r[RSI] == at && !s.r[RCX]);
        s = loop(code->index, at, ROUNDS);
        wrong += !(walked(at, ROUNDS) && s.vec == EXC_DONE && s.r[RSI] == at && s.r[RDX] == ROUNDS);
    }
    ok(!wrong, "%s: loops over a page's end, in each round, up, down and indexed: %u wrong", who, wrong);
}

static bool stops(const struct state *s, const char *rip, ureg cr2, ureg err, ureg rsi, ureg rcx)
{
    bool good = s->vec == EXC_PF && s->rip == (ureg)USER(rip) && s->cr2 == cr2 && s->err == err && s->r[RSI] == rsi &&
                s->r[RCX] == rcx;
    if (!good)
        note("vector %lu rip %lx cr2 %lx error %lx rsi %lx rcx %lx, want %lx %lx %lx %lx %lx", s->vec, s->rip, s->cr2,
             s->err, s->r[RSI], s->r[RCX], (ureg)USER(rip), cr2, err, rsi, rcx);
    return good;
}

static void test_faults(void)
{
    unsigned wrong = 0;
    for (unsigned k = 0; k < 2 * ROUNDS; k++) {
        ureg at = VA + 4096 - 4 * k, round = k / 2, last = at + 8 * round;
        map_one(VA + 4096, page[1], NONE);
        struct state s = loop(code->walk, at, ROUNDS);
        wrong += !stops(&s, k & 1 ? code->walk_add : code->walk_load, VA + 4096, k & 1 ? 6 : 4, last, ROUNDS - round);
        map_one(VA + 4096, page[1], RW);
        s.rflags &= ~(ureg)FL_RF;
        run(&s);
        wrong += s.vec != EXC_DONE || s.r[RCX] || !walked(at, ROUNDS);
        map_one(VA + 4096, page[1], RO);
        s = loop(code->walk, at, ROUNDS);
        ureg store = k & 1 ? VA + 4096 : VA + 4100;
        wrong += !stops(&s, code->walk_add, store, 7, last, ROUNDS - round);
        map_one(VA + 4096, page[1], RW);
        wrong += !walked(at, (unsigned)round);
    }
    ok(!wrong, "%s: #PF in each round of a loop, missing and read-only page: %u wrong", who, wrong);
    wrong = 0;
    map_one(VA + 4096, page[1], NONE);
    for (unsigned k = 0; k < ROUNDS; k++) {
        ureg at = VA + 4096 - 8 * k;
        struct state s = loop(code->flags, at, ROUNDS);
        ureg left = ROUNDS - k - 1;
        ureg want = (left ? 0 : FL_ZF) | (__builtin_parity((unsigned)left) ? 0 : FL_PF);
        wrong += !stops(&s, code->flags_load, VA + 4096, 4, VA + 4096, left) ||
                 (s.rflags & FL_ARITH & ~(ureg)FL_CF) != want;
    }
    map_all();
    ok(!wrong, "%s: flags that live across the access that faults: %u wrong", who, wrong);
}

static void test_exits(void)
{
    unsigned wrong = 0;
    for (unsigned k = 0; k < ROUNDS; k++)
        for (unsigned off = 0; off <= 16; off += 4) {
            ureg at = VA + 4096 - off;
            fill();
            struct state s = start(code->find, true);
            s.r[RSI] = at;
            s.r[RCX] = ROUNDS;
            s.r[RBX] = 0;
            s.r[RDX] = *word(at + 8 * k) = 0x12345;
            uint32_t sum = 0;
            for (unsigned i = 0; i < k; i++)
                sum += *word(at + 8 * i + 4);
            run(&s);
            wrong += s.vec != EXC_DONE || s.r[RSI] != at + 8 * k || s.r[RCX] != ROUNDS - k || (uint32_t)s.r[RBX] != sum;
        }
    fill();
    ok(!wrong, "%s: leaving a loop in the middle of each round: %u wrong", who, wrong);
}

// Copies a snippet with its INT 80h to an offset in the two pages of code, and runs it there.
static ureg place(const char *from, const char *end, unsigned off)
{
    for (const char *c = from; c < end + 2; c++, off++)
        text[off >> 12][off & 4095] = (uint8_t)*c;
    return VA + CODE_AT * 4096 + off - (unsigned)(end + 2 - from);
}

static void test_places(void)
{
    unsigned len = (unsigned)(code->walk_end - code->walk), wrong = 0;
    const unsigned offs[] = {0, 1, 4096 - len, 4096 - len - 1, 4096 - len + 1, 4096 - len / 2, 4095, 4096};
    for (unsigned i = 0; i < sizeof offs / sizeof offs[0]; i++) {
        struct state s = start(code->walk, true);
        s.rip = place(code->walk, code->walk_end, offs[i]);
        s.r[RSI] = VA + 4096 - 20;
        s.r[RCX] = ROUNDS;
        run(&s);
        wrong += s.vec != EXC_DONE || s.r[RCX] || !walked(VA + 4096 - 20, ROUNDS);
    }
    ok(!wrong, "%s: a loop at the start of a page, at its end and across it: %u wrong", who, wrong);
}

// In round k the loop stores into the MOV at its start.
static void test_patch(void)
{
    unsigned wrong = 0;
    for (unsigned again = 0; again < 2; again++)
        for (unsigned k = 1; k <= ROUNDS; k++) {
            struct state s = start(code->patch, true);
            s.rip = place(code->patch, code->patch_end, 256);
            // Other code, below, is written meanwhile; above it only the round that hits, for the rest has one more byte
            s.r[RSI] = s.rip + 1 - 4 * (k - 1);
            s.r[RCX] = k;
            s.r[RAX] = 5;
            s.r[RBX] = 0;
            run(&s);
            bool good = s.vec == EXC_DONE && (uint32_t)s.r[RBX] == k;
            s.rip = VA + CODE_AT * 4096 + 256;
            s.rflags = FL_ONE;
            s.r[RSI] = VA;
            s.r[RCX] = 3;
            s.r[RBX] = 0;
            run(&s);
            good &= s.vec == EXC_DONE && s.r[RBX] == 15;
            wrong += !good;
        }
    ok(!wrong, "%s: a loop that stores into itself in round 1 to %u: %u wrong", who, ROUNDS, wrong);
    wrong = 0;
    for (unsigned k = 1; k <= ROUNDS;
         k++) { // the constant is patched in round k, and more rounds come: over the next page
        struct state s = start(code->patch, true);
        s.rip = place(code->patch, code->patch_end, 256);
        map_one(VA + (CODE_AT - 1) * 4096, text[0], RW); // an alias, so that the store is to another address
        s.r[RSI] = s.rip + 1 - 4096 - 4 * (k - 1);
        s.r[RCX] = k;
        s.r[RAX] = 7;
        s.r[RBX] = 0;
        run(&s);
        s.rip = VA + CODE_AT * 4096 + 256;
        s.rflags = FL_ONE;
        s.r[RSI] = VA;
        s.r[RCX] = 6;
        s.r[RBX] = 0;
        run(&s);
        wrong += s.vec != EXC_DONE || s.r[RBX] != 42;
    }
    fill();
    ok(!wrong, "%s: ... and through another mapping of its page: %u wrong", who, wrong);
}

static volatile unsigned ticks;
static void on_tick(struct frame *f)
{
    ticks++;
    lapic_eoi();
    lapic_timer_oneshot(VEC_TIMER, 20000);
}

static void test_interrupted(void)
{
    const unsigned n = 1000000;
    unsigned wrong = 0;
    irq_hook[VEC_TIMER] = on_tick;
    ticks = 0;
    for (unsigned i = 0; i < 50 && !ticks; i++) { // a busy host's timers are late
        *word(VA + 8) = *word(VA + 12) = 0;
        struct state s = start(code->ticks, false);
        s.r[RSI] = VA + 8;
        s.r[RCX] = n;
        s.rflags |= FL_IF;
        lapic_timer_oneshot(VEC_TIMER, 20000);
        run(&s);
        lapic_timer_stop();
        wrong += s.vec != EXC_DONE || *word(VA + 8) != n || *word(VA + 12) != n;
    }
    asm volatile("sti; nop; nop; cli");
    ok(!wrong, "%s: a loop that is interrupted: %u wrong", who, wrong);
    ok(ticks, "%s: ... it was", who);
    fill();
}

// --- REP MOVS, REP STOS

static struct state rep(const char *snippet, bool user, ureg rsi, ureg rdi, ureg rcx)
{
    struct state s = start(snippet, user);
    s.r[RSI] = rsi;
    s.r[RDI] = rdi;
    s.r[RCX] = rcx;
    s.r[RAX] = 0x5a5a5a5a;
    run(&s);
    return s;
}

static uint8_t byte_at(ureg va) { return page[(va - VA) >> 12][va & 4095]; }

// After fill(): do n bytes at d hold what was at s? One at a time, upward.
static bool copied(ureg s, ureg d, unsigned n)
{
    static uint8_t got[6000];
    for (unsigned i = 0; i < n; i++)
        got[i] = byte_at(d + i);
    uint8_t before = byte_at(d - 1), behind = byte_at(d + n);
    fill();
    bool good = before == byte_at(d - 1) && behind == byte_at(d + n);
    for (unsigned i = 0; i < n; i++) {
        ureg from = s + i;
        uint8_t want = from >= d && from < d + i ? got[from - d] : byte_at(from);
        good &= got[i] == want;
    }
    return good;
}

static void test_copies(void)
{
    static const struct {
        unsigned s, d, n;
    } c[] = {
        {5, 4096 + 9, 1},   {5, 4096 + 9, 48}, {1, 8192 + 1, 4095},     {4096, 8192, 4096},
        {4096, 8193, 4095}, {4090, 8192, 20},  {20, 8190, 4},           {4090, 8190, 8},
        {100, 101, 50},     {100, 108, 50},    {108, 100, 50},          {100, 100, 50},
        {4095, 8191, 1},    {4095, 8191, 2},   {100, 4096 + 100, 4097}, {4080, 4100, 40},
    };
    unsigned wrong = 0;
    for (unsigned i = 0; i < sizeof c / sizeof c[0]; i++) {
        fill();
        struct state s = rep(code->movsb, i & 1, VA + c[i].s, VA + c[i].d, c[i].n);
        bool good = s.vec == EXC_DONE && s.r[RSI] == VA + c[i].s + c[i].n && s.r[RDI] == VA + c[i].d + c[i].n &&
                    !s.r[RCX];
        good &= copied(VA + c[i].s, VA + c[i].d, c[i].n);
        if (!good)
            note("copy %u: vector %lu rsi %lx rdi %lx rcx %lx", i, s.vec, s.r[RSI], s.r[RDI], s.r[RCX]);
        wrong += !good;
    }
    ok(!wrong, "%s: short copies, over page ends, overlapping: %u wrong", who, wrong);
    fill();
    map_one(VA + 3 * 4096, page[0], RW); // one page at two addresses
    struct state s = rep(code->movsb, true, VA + 100, VA + 3 * 4096 + 101, 60);
    bool good = s.vec == EXC_DONE && s.r[RDI] == VA + 3 * 4096 + 161;
    for (unsigned i = 0; i < 60; i++)
        good &= page[0][101 + i] == page[0][100];
    ok(good, "%s: a copy onto another mapping of its own page, one byte on", who);
    map_all();
    fill();
    s = rep(code->down_movs, true, VA + 200, VA + 300, 50);
    ok(s.vec == EXC_DONE && s.r[RSI] == VA + 150 && s.r[RDI] == VA + 250 && copied(VA + 151, VA + 251, 50),
       "%s: a short copy with DF set", who);
    s = rep(code->movsb, true, 0x123, 0x456, 0);
    ok(s.vec == EXC_DONE && (uint32_t)s.r[RSI] == 0x123 && (uint32_t)s.r[RDI] == 0x456 && !s.r[RCX], "%s: a count of 0",
       who);
    map_one(VA + 2 * 4096, page[2], NONE);
    s = rep(code->stosb, true, 0, VA + 4096, (ureg)(compat ? 0xffffffff : (ureg)-1));
    ok(s.vec == EXC_PF && s.cr2 == VA + 8192 && s.r[RDI] == VA + 8192 &&
           s.r[RCX] == (compat ? 0xffffffff : (ureg)-1) - 4096,
       "%s: the greatest count: rcx %lx", who, s.r[RCX]);
    s = rep(code->movsb, true, VA + 8200, VA + 10, 4);
    ok(s.vec == EXC_PF && s.cr2 == VA + 8200 && s.err == 4 && s.r[RSI] == VA + 8200 && s.r[RDI] == VA + 10 &&
           s.r[RCX] == 4,
       "%s: a short copy from a missing page", who);
    map_all();
}

static void test_flags(void)
{
    static const ureg flags[] = {0, FL_ARITH, FL_OF, FL_CF | FL_PF, FL_ZF | FL_SF | FL_AF, FL_ARITH & ~(ureg)FL_OF};
    unsigned wrong = 0;
    for (unsigned i = 0; i < sizeof flags / sizeof flags[0]; i++)
        for (unsigned k = 0; k < 8; k++) {
            struct state s = start(k & 1 ? code->movsb : code->stosb, true);
            s.r[RSI] = VA + 7;
            s.r[RDI] = VA + (k & 2 ? 4090 : 300); // inline, or not
            s.r[RCX] = k & 4 ? 20 : 0;
            s.r[RAX] = (ureg)0x01234567 << (i & 1 ? 4 : 0);
            s.rflags |= flags[i];
            ureg rax = s.r[RAX];
            run(&s);
            wrong += s.vec != EXC_DONE || (s.r[RBX] & FL_ARITH) != flags[i] || s.r[RAX] != rax;
        }
    fill();
    ok(!wrong, "%s: flags live behind REP MOVS and REP STOS: %u wrong", who, wrong);
}

static void test_special_pages(void)
{
    uint32_t version = lapic_read(0x30), tpr = lapic_read(0x80);
    struct state s = rep(code->movsl, false, 0xfee00030, VA + 40, 1);
    ok(s.vec == EXC_DONE && *word(VA + 40) == version && s.r[RSI] == 0xfee00034, "%s: REP MOVSD from a device", who);
    s = start(code->stosl, false);
    s.r[RDI] = 0xfee00080;
    s.r[RCX] = 1;
    s.r[RAX] = 0x20;
    run(&s);
    ok(s.vec == EXC_DONE && lapic_read(0x80) == 0x20 && s.r[RDI] == 0xfee00084, "%s: REP STOSD to a device", who);
    lapic_write(0x80, tpr);
    write_cr0(read_cr0() | CR0_WP);
    rep(code->stosb, false, 0, VA + 4096 + 8, 8);
    map_one(VA + 4096, page[1], RO);
    s = rep(code->stosb, false, 0, VA + 4096 + 8, 8);
    ok(s.vec == EXC_PF && s.err == 3 && s.cr2 == VA + 4096 + 8 && s.r[RCX] == 8, "%s: a read-only page, WP set", who);
    write_cr0(read_cr0() & ~(ureg)CR0_WP);
    s = rep(code->stosb, false, 0, VA + 4096 + 8, 8);
    ok(s.vec == EXC_DONE && byte_at(VA + 4096 + 15) == 0x5a, "%s: ... and with WP clear", who);
    write_cr0(read_cr0() | CR0_WP);
    s = rep(code->stosb, false, 0, VA + 4096 + 80, 8);
    ok(s.vec == EXC_PF && s.err == 3, "%s: ... and set again", who);
    map_all();
    fill();
    unsigned wrong = 0;
    uint8_t *imm = (uint8_t *)(ureg)code->over_next + 1;
    for (unsigned i = 0; i < 4; i++) { // over the constant of the next instruction
        imm[0] = 1;
        page[0][0] = (uint8_t)(7 + i);
        s = rep(code->over, true, VA, (ureg)USER(imm), 1);
        wrong += s.vec != EXC_DONE || s.r[RAX] != 7 + i;
    }
    imm[0] = 1;
    ok(!wrong, "%s: REP MOVSB over the next instruction: %u wrong", who, wrong);
    fill();
}

// --- addresses

#if TEST64
// Addresses that a translator may take for others, by which bits it drops.
static void test_aliases(void)
{
    unsigned wrong = 0;
    for (unsigned bit = 32; bit < 64; bit++) {
        ureg far = (VA + 64) ^ 1ull << bit;
        unsigned vec = bit < 47 ? EXC_PF : EXC_GP;
        for (unsigned dest = 0; dest < 2; dest++) {
            fill();
            rep(code->movsb, true, VA + 64, VA + 128, 8);
            struct state s = rep(code->movsb, true, dest ? VA + 64 : far, dest ? far : VA + 128, 8);
            wrong += s.vec != vec || s.r[RSI] != (dest ? VA + 64 : far) || s.r[RDI] != (dest ? far : VA + 128) ||
                     s.r[RCX] != 8 || (vec == EXC_PF && s.cr2 != far);
        }
        loop(code->walk, VA + 64, 4);
        fill();
        struct state s = loop(code->walk, far, 4);
        wrong += s.vec != vec || s.r[RSI] != far || s.r[RCX] != 4 || !walked(VA + 64, 0);
    }
    ok(!wrong, "%s: addresses that differ in one bit above 31: %u wrong", who, wrong);
    // A page 2^40 on, of its own.
    const ureg far = VA + (1ull << 40);
    map_page(far, (ureg)page[3], RW, 1);
    fill();
    page[3][64] = 0x77;
    struct state s = rep(code->movsb, true, far + 64, VA + 128, 1);
    ok(s.vec == EXC_DONE && byte_at(VA + 128) == 0x77 && s.r[RSI] == far + 65, "%s: a page 2^40 further on is another",
       who);
    map_page(far, 0, NONE, 1);
}

// SDM vol. 1, section 3.4.1.1 "General-Purpose Registers in 64-Bit Mode": what the upper halves hold in compatibility
// mode is undefined, and no address is formed with it.
static void test_upper_halves(void)
{
    unsigned wrong = 0;
    for (unsigned bit = 32; bit < 64; bit++) {
        ureg junk = 1ull << bit;
        fill();
        rep(code->movsb, true, VA + 64, VA + 4096 + 128, 8);
        fill();
        struct state s = rep(code->movsb, true, (VA + 64) | junk, (VA + 4096 + 128) | junk, 8);
        wrong += s.vec != EXC_DONE || (uint32_t)s.r[RSI] != VA + 72 || (uint32_t)s.r[RDI] != VA + 4096 + 136 ||
                 !copied(VA + 64, VA + 4096 + 128, 8);
        s = rep(code->stosb, true, 0, (VA + 64) | junk, 8 | junk);
        wrong += s.vec != EXC_DONE || (uint32_t)s.r[RDI] != VA + 72 || (uint32_t)s.r[RCX] || byte_at(VA + 71) != 0x5a;
        fill();
        s = loop(code->walk, (VA + 4080) | junk, ROUNDS);
        wrong += s.vec != EXC_DONE || (uint32_t)s.r[RSI] != VA + 4080 + 8 * ROUNDS || !walked(VA + 4080, ROUNDS);
    }
    ok(!wrong, "%s: upper halves of registers do not matter: %u wrong", who, wrong);
    wrong = 0;
    for (unsigned bit = 32; bit < 64; bit++)
        for (unsigned r = 0; r < 6; r++) {
            static const uint8_t regs[] = {RSI, RDI, RSP, RBP, RCX, RBX};
            fill();
            uint32_t next = *(uint32_t *)((uint8_t *)word(VA + 64) + 1 + 4 + 16);
            struct state s = start(c_upper, true);
            ureg rsp = s.r[RSP];
            s.r[RSI] = VA + 64;
            s.r[RDI] = VA + 4096 + 128;
            s.r[RBP] = 0x1234;
            s.r[RCX] = 3;
            s.r[RBX] = 8;
            s.r[regs[r]] |= 1ull << bit;
            run(&s);
            wrong += s.vec != EXC_DONE || (uint32_t)s.r[RSI] != VA + 69 || (uint32_t)s.r[RDI] != VA + 4096 + 130 ||
                     (uint32_t)s.r[RSP] != rsp || (uint32_t)s.r[RBP] != 0x1234 || (uint32_t)s.r[RDX] != next ||
                     *(uint32_t *)((uint8_t *)word(VA + 4096 + 136) + 2) != next || byte_at(VA + 4096 + 129) != 14;
        }
    fill();
    ok(!wrong, "%s: ... nor in addresses of the stack, of single string instructions and with an index: %u wrong", who,
       wrong);
}
#endif

#if !TEST64
static void test_edge(void)
{
    const unsigned len = (unsigned)(n_edge_end - n_edge);
    uint8_t *at = (uint8_t *)0x10000 - len;
    static uint8_t save[64];
    asm volatile("" : "+r"(at));
    mem_copy(save, at, len + 2);
    mem_copy(at, n_edge, len + 2);
    struct state s = start((const char *)at, true);
    s.r[RSI] = VA + 64;
    s.r[RCX] = ROUNDS;
    run(&s);
    ok(s.vec == EXC_DONE && s.rip == 0x10002 && !s.r[RCX] && walked(VA + 64, ROUNDS),
       "a loop that ends at 64 KiB, its branch with 66h: vector %lu rip %lx", s.vec, s.rip);
    mem_copy(at, save, len + 2);
}

// 32-bit addresses wrap at 4 GiB.
static void test_wrap(void)
{
    uint8_t *top = page_alloc(), *low = (uint8_t *)0;
    uint32_t *pd = (uint32_t *)read_cr3(), *high = page_alloc(), data[2 * ROUNDS];
    static uint8_t save[8 * ROUNDS];
    unsigned wrong = 0;
    asm volatile("" : "+r"(low));
    pd[1023] = (uint32_t)high | RW;
    high[1023] = (uint32_t)top | RW;
    mem_copy(save, low, sizeof save);
    for (unsigned off = 0; off <= 8 * ROUNDS; off += 4) {
        for (unsigned i = 0; i < 2 * ROUNDS; i++) {
            data[i] = i * 0x01234567 + off;
            mem_copy(4 * i < off ? top + 4096 - off + 4 * i : low + 4 * i - off, &data[i], 4);
        }
        struct state s = start(n_walk, false);
        s.r[RSI] = -off;
        s.r[RCX] = ROUNDS;
        run(&s);
        wrong += s.vec != EXC_DONE || s.r[RSI] != 8 * ROUNDS - off;
        for (unsigned i = 0; i < 2 * ROUNDS; i++)
            wrong += !mem_equal(4 * i < off ? top + 4096 - off + 4 * i : low + 4 * i - off,
                                &(uint32_t){data[i] + (i & 1 ? data[i - 1] : 0)}, 4);
        mem_copy(top + 4096 - 8, "abcdefgh", 8);
        s = rep(n_movsb, false, 0xfffffff8, VA + 64, 8);
        wrong += s.vec != EXC_DONE || s.r[RSI] != 0 || byte_at(VA + 71) != 'h';
        s = rep(n_stosb, false, 0, 0xfffffffc, 8);
        wrong += s.vec != EXC_DONE || s.r[RDI] != 4 || low[3] != 0x5a || top[4095] != 0x5a;
    }
    mem_copy(low, save, sizeof save);
    ok(!wrong, "32-bit code: loops and REP MOVS over 4 GiB: %u wrong", wrong);
}
#endif

static void test_all(const struct code *c, const char *name, bool in_compat)
{
    code = c;
    who = name;
    compat = in_compat;
    map_all();
    fill();
    test_borders();
    test_faults();
    test_exits();
    test_places();
    test_patch();
    test_interrupted();
    test_copies();
    test_flags();
    test_special_pages();
#if TEST64
    if (compat)
        test_upper_halves();
    else
        test_aliases();
#endif
}

void test_main(void)
{
#if !TEST64
    paging_on();
#endif
    for (unsigned i = 0; i < PAGES; i++)
        page[PAGES - 1 - i] = page_alloc();
    for (unsigned i = 0; i < 2; i++) {
        text[1 - i] = page_alloc();
        map_one(VA + (CODE_AT + 1 - i) * 4096, text[1 - i], RW);
    }
    lapic_enable();
#if TEST64
    test_all(&n_code, "64-bit code", false);
    test_all(&c_code, "compatibility mode", true);
#else
    test_all(&n_code, "32-bit code", false);
    test_edge();
    test_wrap();
#endif
}
