// SPDX-License-Identifier: MIT
// More code than a code cache holds, run round and round, with interrupts and rewriting in between.
#include "paging64.h"

enum { FUNCTIONS = 24000, STRIDE = 64 };
static uint8_t *const code = (uint8_t *)(32ul << 20);

static volatile unsigned ticks;

static void on_tick(struct frame *f)
{
    ticks++;
    lapic_eoi();
    lapic_timer_oneshot(VEC_TIMER, 20000);
}

// f(n): RAX = RAX * 3 + n over two branches and a memory counter; RET.
static void emit(unsigned n, uint32_t constant)
{
    static const uint8_t text[] = {
        0x48, 0x8d, 0x04, 0x40,    // lea rax, [rax+rax*2]
        0x05, 0,    0,    0,    0, // add eax, constant
        0xa8, 0x01,                // test al, 1
        0x74, 0x04,                // jz +4
        0x48, 0xff, 0x07, 0x90,    // inc qword [rdi]; nop
        0x48, 0xff, 0x47, 0x08,    // inc qword [rdi+8]
        0xc3,                      // ret
    };
    uint8_t *p = code + n * STRIDE;
    mem_copy(p, text, sizeof text);
    *(uint32_t *)(p + 5) = constant;
}

static uint64_t counters[2];

static uint32_t call(unsigned n, uint32_t v)
{
    uint64_t r = v;
    asm volatile("call *%1" : "+a"(r) : "r"(code + n * STRIDE), "D"(counters) : "memory", "rcx", "rdx");
    return (uint32_t)r;
}

static unsigned round_trip(unsigned first, unsigned step, uint32_t add)
{
    unsigned bad = 0, odd = 0;
    uint32_t v = 1, want = 1;
    counters[0] = counters[1] = 0;
    for (unsigned i = 0; i < FUNCTIONS; i++) {
        unsigned n = (first + i * step) % FUNCTIONS;
        v = call(n, v);
        want = want * 3 + n + add;
        odd += want & 1;
        bad += v != want;
        v = want;
    }
    bad += counters[0] != odd || counters[1] != FUNCTIONS;
    return bad;
}

void test_main(void)
{
    for (unsigned n = 0; n < FUNCTIONS; n++)
        emit(n, n);
    check_eq("24000 functions in order", round_trip(0, 1, 0), 0);
    check_eq("... again", round_trip(0, 1, 0), 0);
    check_eq("... in another order", round_trip(5, 7919, 0), 0);
    for (unsigned n = 0; n < FUNCTIONS; n++)
        emit(n, n + 1);
    check_eq("... rewritten", round_trip(0, 1, 1), 0);
    lapic_enable();
    irq_hook[VEC_TIMER] = on_tick;
    lapic_timer_oneshot(VEC_TIMER, 20000);
    asm volatile("sti");
    unsigned bad = round_trip(3, 7919, 1) + round_trip(0, 1, 1);
    asm volatile("cli");
    lapic_timer_stop();
    check_eq("... under timer interrupts", bad, 0);
    ok(ticks > 0, "... which came");
}
