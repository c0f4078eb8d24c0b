// SPDX-License-Identifier: MIT
// Tests of hw/hpet.c.
#include "hw/hpet.h"

#include "tests/unit/hw/harness.h"

#define BASE 0xfed00000ull
static struct hpet *hpet;
static int legacy = -1;
static uint64_t msi_addr;
static uint32_t msi_data;

static void on_legacy(void *opaque, bool on) { legacy = on; }
static void on_msi(void *opaque, uint64_t addr, uint32_t data)
{
    msi_addr = addr;
    msi_data = data;
}

static void start(void)
{
    const struct hpet_config cfg = {
        .mem = mem,
        .base = BASE,
        .set_irq = bench_set_line,
        .legacy = on_legacy,
        .send_msi = on_msi,
    };
    hpet = hpet_create(&cfg);
}

static uint64_t get(unsigned r) { return as_load(mem, BASE + r, 8); }
static void set(unsigned r, uint64_t v) { as_store(mem, BASE + r, v, 8); }

START_TEST(capabilities_and_counter)
{
    start();
    ck_assert_uint_eq(get(0), 0x009896808086a201);
    ck_assert_uint_eq(readl(BASE + 4), 10000000);
    bench_advance(1000);
    ck_assert_uint_eq(get(0xf0), 0);
    set(0x10, 1);
    bench_advance(1000);
    ck_assert_uint_eq(get(0xf0), 100);
    set(0x10, 0);
    bench_advance(1000);
    ck_assert_uint_eq(get(0xf0), 100);
    set(0xf0, 0x100000000);
    ck_assert_uint_eq(readl(BASE + 0xf4), 1);
}
END_TEST

START_TEST(one_shot_edge)
{
    start();
    set(0x10, 1);
    set(0x100, 20 << 9 | 4);
    set(0x108, get(0xf0) + 100000);
    bench_advance(990000);
    ck_assert_uint_eq(bench_line[20].rises, 0);
    bench_advance(20000);
    ck_assert_uint_eq(bench_line[20].rises, 1);
    ck_assert_uint_eq(get(0x20), 0);
    bench_advance(100000000);
    ck_assert_uint_eq(bench_line[20].rises, 1);
}
END_TEST

START_TEST(one_shot_level)
{
    start();
    set(0x10, 1);
    set(0x120, 21 << 9 | 4 | 2);
    set(0x128, 100000);
    bench_advance(1000001);
    ck_assert(bench_line[21].level);
    ck_assert_uint_eq(get(0x20), 2);
    set(0x20, 2);
    ck_assert(!bench_line[21].level);
}
END_TEST

START_TEST(periodic)
{
    start(); // as Linux starts it
    set(0x100, 2 << 9 | 0x40 | 8 | 4);
    set(0x108, 100000);
    set(0x108, 100000);
    set(0x10, 3);
    ck_assert_int_eq(legacy, 1);
    bench_advance(100000000);
    ck_assert_uint_ge(bench_line[2].rises, 99);
    ck_assert_uint_le(bench_line[2].rises, 100);
    hpet_reset(hpet);
    ck_assert_int_eq(legacy, 0);
}
END_TEST

START_TEST(late_ticks_are_made_up_for)
{
    start();
    set(0x100, 2 << 9 | 0x40 | 8 | 4);
    set(0x108, 400000); // 4 ms
    set(0x108, 400000);
    set(0x10, 3);
    ck_assert(hpet_ticks(hpet, 2));
    bench_now += 25000000; // the host is late
    bench_advance(0);
    ck_assert_uint_eq(bench_line[2].rises, 6);
    bench_advance(3000000); // and the next one comes at its time
    ck_assert_uint_eq(bench_line[2].rises, 7);
    bench_now += 500000000; // the last 100 ms count
    bench_advance(0);
    ck_assert_uint_eq(bench_line[2].rises, 7 + 26);
    set(0x100, 2 << 9 | 4);
    ck_assert(!hpet_ticks(hpet, 2));
}
END_TEST

// The interrupt wakes the vCPU's thread, which takes this one's CPU for a while: once.
static uint64_t raising_takes;
static void slow_line(void *opaque, unsigned n, bool level)
{
    if (level) {
        bench_now += raising_takes;
        raising_takes = 0;
    }
    bench_set_line(opaque, n, level);
}

static void start_tick(uint32_t width)
{
    const struct hpet_config cfg = {.mem = mem, .base = BASE, .set_irq = slow_line};
    hpet = hpet_create(&cfg);
    set(0x100, 2 << 9 | width | 0x40 | 8 | 4);
    set(0x108, 400000); // 4 ms
    set(0x108, 400000);
    set(0x10, 3);
}

// Of 32 bits, as Linux has it, it would come 43 s later; of 64 bits never.
enum { TICK_64 = 0, TICK_32 = 0x100 };

static void slow_interrupt(uint32_t width)
{
    raising_takes = 6000000;
    start_tick(width);
    bench_advance(10000000); // the first tick at 4 ms, and 6 ms with it: the second was in between
    ck_assert_uint_eq(bench_line[2].rises, 2);
    bench_advance(10000000);
    ck_assert_uint_eq(bench_line[2].rises, 5);
}

START_TEST(slow_interrupt_64) { slow_interrupt(TICK_64); }
END_TEST
START_TEST(slow_interrupt_32) { slow_interrupt(TICK_32); }
END_TEST

static void late_write(uint32_t width)
{
    raising_takes = 0;
    start_tick(width);
    bench_now += 5000000; // nobody has looked
    set(0x10, 3);
    ck_assert_uint_eq(bench_line[2].rises, 1);
    bench_advance(3000000);
    ck_assert_uint_eq(bench_line[2].rises, 2);
    bench_now += 5000000;
    set(0xf0, get(0xf0)); // the counter
    ck_assert_uint_eq(bench_line[2].rises, 3);
}

START_TEST(late_write_64) { late_write(TICK_64); }
END_TEST
START_TEST(late_write_32) { late_write(TICK_32); }
END_TEST

START_TEST(tiny_period_is_bounded)
{
    start();
    set(0x100, 2 << 9 | 0x40 | 8 | 4);
    set(0x108, 1);
    set(0x108, 1);
    set(0x10, 1);
    bench_timer_runs = 0;
    bench_advance(10000000);
    ck_assert_uint_le(bench_timer_runs, 501);
}
END_TEST

START_TEST(thirty_two_bits)
{
    start();
    set(0xf0, 0xfffffff0);
    set(0x100, 20 << 9 | 0x100 | 4);
    set(0x108, 0x123400005000);
    ck_assert_uint_eq(get(0x108), 0x5000);
    set(0x10, 1);
    bench_advance(1000000);
    ck_assert_uint_eq(bench_line[20].rises, 1);
}
END_TEST

START_TEST(front_side_bus)
{
    start();
    set(0x10, 1);
    set(0x110, 0xfee0100000000051);
    set(0x100, 0x4000 | 4);
    set(0x108, 1000);
    bench_advance(100000);
    ck_assert_uint_eq(msi_addr, 0xfee01000);
    ck_assert_uint_eq(msi_data, 0x51);
}
END_TEST

START_TEST(read_only_bits)
{
    start();
    uint64_t cap = get(0x140);
    set(0x140, 0);
    ck_assert_uint_eq(get(0x140), cap);
    ck_assert_uint_eq(get(0x160), 0); // only three timers
    set(0, 0);
    ck_assert_uint_eq(get(0) & 0xff, 1);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        capabilities_and_counter, one_shot_edge,   one_shot_level, periodic,       late_ticks_are_made_up_for,
        tiny_period_is_bounded,   thirty_two_bits, front_side_bus, read_only_bits, slow_interrupt_64,
        slow_interrupt_32,        late_write_64,   late_write_32,
    };
    return bench_main("hpet", tests, ARRAY_SIZE(tests));
}
