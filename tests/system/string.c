// SPDX-License-Identifier: MIT
// String instructions with REP: counts, direction, page ends, faults in the middle, interrupts, address size.
// SDM vol. 2B, "REP/REPE/REPZ/REPNE/REPNZ": "a fault ... the registers hold the state after the last
// iteration".
#include "paging64.h"

#define A TEST_VA
#define B (TEST_VA + 0x10000)
enum { PAGES = 3 };

SNIP(r_movsb, "rep movsb");
SNIP(r_movsq, "rep movsq");
SNIP(r_movsb_std, "std; " AT(r_movsb_std_at) "rep movsb; cld");
SNIP(r_movsd_std, "std; rep movsl; cld");
SNIP(r_stosb, "rep stosb");
SNIP(r_stosd, "rep stosl");
SNIP(r_stosq, "rep stosq");
SNIP(r_lodsw, "rep lodsw");
SNIP(r_cmpsb, "repe cmpsb; pushfq; pop %rbx");
SNIP(r_cmpsb_ne, "repne cmpsb; pushfq; pop %rbx");
SNIP(r_scasb, "repne scasb; pushfq; pop %rbx");
SNIP(r_scasb_e, "repe scasb; pushfq; pop %rbx");
SNIP(r_movsb32, "rep movsb (%esi), (%edi)");
SNIP(r_stosb32, "rep stosb %al, (%edi)");
SNIP(r_movsb_plain, "movsb; movsw; movsl; movsq");
SNIP(r_movsb_gs, "rep movsb %gs:(%rsi), %es:(%rdi)");
LABEL(r_movsb_std_at);

static uint8_t *a_page[PAGES], *b_page[PAGES];

static void map_all(void)
{
    for (unsigned i = 0; i < PAGES; i++) {
        map_page(A + 4096 * i, (ureg)a_page[i], PTE_PWU, 1);
        map_page(B + 4096 * i, (ureg)b_page[i], PTE_PWU, 1);
    }
}

static void fill(void)
{
    for (unsigned i = 0; i < PAGES; i++)
        for (unsigned j = 0; j < 4096; j++) {
            a_page[i][j] = (uint8_t)(i * 31 + j * 7 + (j >> 8));
            b_page[i][j] = 0;
        }
}

static struct state string_run(const char *code, bool user, ureg rsi, ureg rdi, ureg rcx, ureg rax)
{
    struct state s = user ? user_state(code) : kernel_state(code);
    s.r[RSI] = rsi;
    s.r[RDI] = rdi;
    s.r[RCX] = rcx;
    s.r[RAX] = rax;
    run(&s);
    return s;
}

static void check_regs(const char *name, const struct state *s, unsigned vec, ureg rsi, ureg rdi, ureg rcx)
{
    ok(s->vec == vec && s->r[RSI] == rsi && s->r[RDI] == rdi && s->r[RCX] == rcx,
       "%s: vector %lu rsi %lx rdi %lx rcx %lx, want %u %lx %lx %lx", name, s->vec, s->r[RSI], s->r[RDI], s->r[RCX],
       vec, rsi, rdi, rcx);
}

static uint8_t at(ureg va) { return va < B ? a_page[(va - A) / 4096][va & 4095] : b_page[(va - B) / 4096][va & 4095]; }

static bool same(ureg x, ureg y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (at(x + i) != at(y + i))
            return false;
    return true;
}

static void test_plain(void)
{
    fill();
    struct state s = string_run(r_movsb, true, A + 5, B + 9, 10000, 0);
    check_regs("REP MOVSB over page ends", &s, EXC_DONE, A + 10005, B + 10009, 0);
    ok(same(A + 5, B + 9, 10000) && !at(B + 8) && !at(B + 10009), "... copied, no more");
    fill();
    s = string_run(r_movsq, false, A + 1, B + 4093, 700, 0);
    check_regs("REP MOVSQ, misaligned, over page ends", &s, EXC_DONE, A + 5601, B + 4093 + 5600, 0);
    ok(same(A + 1, B + 4093, 5600) && !at(B + 4092) && !at(B + 4093 + 5600), "... copied, no more");
    s = string_run(r_movsb, true, 0x123, 0x456, 0, 0);
    check_regs("REP MOVSB with a count of 0 touches nothing", &s, EXC_DONE, 0x123, 0x456, 0);
    s = string_run(r_movsb, true, 1ull << 47, 1ull << 47, 0, 0);
    check_regs("... nor checks that its addresses are canonical", &s, EXC_DONE, 1ull << 47, 1ull << 47, 0);
    fill();
    s = string_run(r_movsb_std, true, A + 9000, B + 9100, 9000, 0);
    check_regs("REP MOVSB with DF set, over page ends", &s, EXC_DONE, A, B + 100, 0);
    ok(same(A + 1, B + 101, 9000) && !at(B + 100) && !at(B + 9101), "... copied, no more");
    fill();
    s = string_run(r_movsd_std, true, A + 8190, B + 4094, 1000, 0);
    check_regs("REP MOVSD with DF set, elements over page ends", &s, EXC_DONE, A + 4190, B + 94, 0);
    ok(same(A + 4194, B + 98, 4000) && !at(B + 97) && !at(B + 4098), "... copied, no more");
    fill();
    s = string_run(r_movsb, true, A, A + 1, 5000, 0); // overlapping: the first byte spreads
    bool good = true;
    for (unsigned i = 0; i <= 5000; i++)
        good &= at(A + i) == 0;
    ok(good && s.vec == EXC_DONE, "REP MOVSB onto itself plus 1 fills");
    fill();
    s = string_run(r_stosq, true, 7, B + 4092, 600, 0x1122334455667788);
    check_regs("REP STOSQ over page ends", &s, EXC_DONE, 7, B + 4092 + 4800, 0);
    ok(at(B + 4092) == 0x88 && at(B + 4092 + 4799) == 0x11 && !at(B + 4091) && !at(B + 4092 + 4800),
       "... stored, no more");
    s = string_run(r_lodsw, true, A + 4095, 0, 3, 0xffff0000ffff0000);
    ok(s.vec == EXC_DONE && s.r[RSI] == A + 4101 && s.r[RCX] == 0 &&
           s.r[RAX] == (0xffff0000ffff0000 | at(A + 4099) | (ureg)at(A + 4100) << 8),
       "REP LODSW over a page end keeps the rest of RAX");
    fill();
    s = string_run(r_movsb_plain, true, A + 10, B + 10, 5, 0);
    check_regs("MOVSB, MOVSW, MOVSD, MOVSQ without REP", &s, EXC_DONE, A + 25, B + 25, 5);
}

static void test_compare(void)
{
    fill();
    string_run(r_movsb, false, A, B, 8192, 0);
    b_page[1][904] ^= 0x55;
    struct state s = string_run(r_cmpsb, true, A, B, 8000, 0);
    check_regs("REPE CMPSB stops after the difference", &s, EXC_DONE, A + 5001, B + 5001, 8000 - 5001);
    uint8_t x = at(A + 5000), y = at(B + 5000);
    ok(!(s.r[RBX] & FL_ZF) && !!(s.r[RBX] & FL_CF) == (x < y), "... with the flags of the comparison");
    s = string_run(r_cmpsb, true, A, B, 5000, 0);
    ok(s.r[RBX] & FL_ZF && s.r[RCX] == 0, "REPE CMPSB of equal strings: ZF");
    s = user_state(r_cmpsb);
    s.rflags |= FL_ARITH & ~FL_ZF;
    run(&s);
    check_eq("REPE CMPSB with a count of 0 changes no flag", s.r[RBX] & FL_ARITH, FL_ARITH & ~FL_ZF);
    mem_set(b_page[0], 1, 4096);
    mem_set(b_page[1], 1, 4096);
    b_page[1][100] = 9;
    s = string_run(r_scasb, true, 0, B + 10, 8000, 9);
    check_regs("REPNE SCASB finds over a page end", &s, EXC_DONE, 0, B + 4197, 8000 - 4187);
    ok(s.r[RBX] & FL_ZF, "... ZF");
    s = string_run(r_scasb_e, true, 0, B + 10, 8000, 1);
    check_regs("REPE SCASB stops after the first other byte", &s, EXC_DONE, 0, B + 4197, 8000 - 4187);
    s = string_run(r_cmpsb_ne, true, A, A, 10, 0);
    check_regs("REPNE CMPSB stops at equal bytes", &s, EXC_DONE, A + 1, A + 1, 9);
}

static void test_faults(void)
{
    fill();
    map_page(B + 4096, 0, 0, 1);
    struct state s = string_run(r_movsb, true, A + 3, B + 4000, 500, 0);
    check_regs("REP MOVSB into a missing page", &s, EXC_PF, A + 3 + 96, B + 4096, 500 - 96);
    ok(s.cr2 == B + 4096 && s.err == 6 && s.rip == (ureg)USER(r_movsb), "... #PF at the instruction, error %lx cr2 %lx",
       s.err, s.cr2);
    ok(same(A + 3, B + 4000, 96), "... what comes before the fault is copied");
    map_all();
    s.r[RBX] = 1;
    s.rflags &= ~(ureg)FL_RF;
    run(&s);
    check_regs("... and it resumes from there", &s, EXC_DONE, A + 503, B + 4500, 0);
    ok(same(A + 3, B + 4000, 500), "... all is copied");
    map_page(A + 4096, 0, 0, 1);
    s = string_run(r_movsb, true, A + 4090, B, 500, 0);
    check_regs("REP MOVSB from a missing page", &s, EXC_PF, A + 4096, B + 6, 494);
    ok(s.cr2 == A + 4096 && s.err == 4, "... a read");
    s = string_run(r_movsq, true, A + 4096 - 20, B, 10, 0);
    check_regs("REP MOVSQ, an element half in a missing page", &s, EXC_PF, A + 4096 - 4, B + 16, 8);
    check_eq("... CR2", s.cr2, A + 4096);
    s = string_run(r_cmpsb, true, A + 4090, A + 4090, 20, 0);
    check_regs("REPE CMPSB into a missing page", &s, EXC_PF, A + 4096, A + 4096, 14);
    s = string_run(r_stosd, true, 0, A + 4096 - 6, 4, 0x01020304);
    check_regs("REP STOSD, an element half in a missing page", &s, EXC_PF, 0, A + 4096 - 2, 3);
    map_all();
    map_page(B, 0, 0, 1);
    s = string_run(r_movsb_std, true, A + 5000, B + 4096 + 10, 50, 0);
    check_regs("REP MOVSB with DF set into a missing page", &s, EXC_PF, A + 5000 - 11, B + 4095, 39);
    ok(s.cr2 == B + 4095 && s.rip == (ureg)USER(r_movsb_std_at), "... CR2 %lx", s.cr2);
    map_all();
    s = string_run(r_movsb, true, 1ull << 47, B, 5, 0);
    check_regs("REP MOVSB from a non-canonical address", &s, EXC_GP, 1ull << 47, B, 5);
    s = string_run(r_stosb, false, 0, 0x00007ffffffff000, 5, 0);
    check_regs("REP STOSB to a missing page below the hole", &s, EXC_PF, 0, 0x00007ffffffff000, 5);
}

// 67h: ESI, EDI, ECX; they wrap at 4 GiB and are zero-extended. vol. 1, section 3.6.1.
static void test_address_size(void)
{
    fill();
    struct state s = string_run(r_movsb32, true, 0xabcd00000000 | (A + 7), 0x123400000000 | (B + 8), 0xffffffff00000064,
                                0);
    check_regs("REP MOVSB with 67h uses ESI, EDI, ECX and clears their high halves", &s, EXC_DONE, A + 7 + 100,
               B + 8 + 100, 0);
    ok(same(A + 7, B + 8, 100) && !at(B + 108), "... copied");
    s = string_run(r_movsb32, true, 0xabcd00000001, 0x123400000002, 0xffffffff00000000, 0);
    ok(s.vec == EXC_DONE && (uint32_t)s.r[RCX] == 0 && (uint32_t)s.r[RSI] == 1 && (uint32_t)s.r[RDI] == 2,
       "REP MOVSB with 67h and ECX 0");
    // Addresses FFFFF000h and 0: EDI wraps.
    uint8_t *top = page_alloc();
    map_page(0xfffff000, (ureg)top, PTE_P | PTE_W | PTE_U, 1);
    static uint8_t save[16];
    mem_copy(save, (void *)0x0, 16);
    s = string_run(r_stosb32, false, 0, 0xfffffffe, 5, 0x5a);
    const volatile uint8_t *zero = (uint8_t *)0;
    asm volatile("" : "+r"(zero));
    ok(s.vec == EXC_DONE && s.r[RDI] == 3 && top[4095] == 0x5a && zero[0] == 0x5a && zero[2] == 0x5a,
       "REP STOSB with 67h wraps from FFFFFFFFh to 0: vector %lu rdi %lx", s.vec, s.r[RDI]);
    mem_copy((void *)0x0, save, 16);
}

static volatile unsigned ticks;
static volatile ureg tick_rcx, tick_rip;

static void on_tick(struct frame *f)
{
    if (!ticks++) {
        tick_rcx = f->gpr[RCX];
        tick_rip = f->rip;
    }
    lapic_eoi();
}

// A long REP MOVSB must be interruptible, with RIP at the instruction, and go on after it.
static void test_interrupted(void)
{
    uint8_t *from = (uint8_t *)(32ul << 20), *to = (uint8_t *)(40ul << 20);
    const ureg n = 8 << 20;
    mem_set(from, 0x5a, n);
    lapic_enable();
    irq_hook[VEC_TIMER] = on_tick;
    bool inside = false, good = true;
    for (unsigned i = 0; i < 20 && !inside; i++) {
        mem_set(to, 0, n);
        ticks = 0;
        struct state s = kernel_state(r_movsb);
        s.r[RSI] = (ureg)from;
        s.r[RDI] = (ureg)to;
        s.r[RCX] = n;
        s.rflags |= FL_IF;
        lapic_timer_oneshot(VEC_TIMER, 20000 + 20000 * i);
        run(&s);
        lapic_timer_stop();
        asm volatile("sti; nop; nop; cli");
        good &= s.vec == EXC_DONE && s.r[RCX] == 0 && s.r[RSI] == (ureg)from + n && s.r[RDI] == (ureg)to + n;
        good &= to[0] == 0x5a && to[n / 2] == 0x5a && to[n - 1] == 0x5a;
        inside = ticks && tick_rip == (ureg)r_movsb && tick_rcx < n && tick_rcx > 0;
    }
    ok(good, "REP MOVSB of 8 MiB with timer interrupts finishes");
    ok(inside, "... and was interrupted in the middle, RIP at the instruction (rcx %lx)", tick_rcx);
}

static void test_segment(void)
{
    fill();
    wrmsr(0xc0000101, A + 100);
    struct state s = string_run(r_movsb_gs, true, 20, B, 50, 0);
    ok(s.vec == EXC_DONE && same(A + 120, B, 50), "REP MOVSB with a GS override reads through GS's base");
    wrmsr(0xc0000101, 0);
}

void test_main(void)
{
    for (unsigned i = 0; i < PAGES; i++) {
        a_page[i] = page_alloc();
        b_page[PAGES - 1 - i] = page_alloc(); // not contiguous
    }
    map_all();
    test_plain();
    test_compare();
    test_faults();
    test_address_size();
    test_segment();
    test_interrupted();
}
