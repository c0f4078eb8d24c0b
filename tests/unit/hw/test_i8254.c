// SPDX-License-Identifier: MIT
// Tests of hw/i8254.c and hw/port_b.c.
#include "hw/i8254.h"

#include "hw/port_b.h"
#include "hw/timebase.h"
#include "tests/unit/hw/harness.h"

static struct i8254 *pit;
static struct port_b *port_b;

static void start(void)
{
    pit = i8254_create(ports, 0x40, bench_irq(0));
    port_b = port_b_create(ports, pit);
}

static void program(unsigned n, unsigned mode, uint16_t count)
{
    outb(0x43, (uint8_t)(n << 6 | 3 << 4 | mode << 1));
    outb((uint16_t)(0x40 + n), (uint8_t)count);
    outb((uint16_t)(0x40 + n), (uint8_t)(count >> 8));
}

static uint16_t latch(unsigned n)
{
    outb(0x43, (uint8_t)(n << 6));
    uint16_t low = inb((uint16_t)(0x40 + n));
    return (uint16_t)(low | inb((uint16_t)(0x40 + n)) << 8);
}

static void advance_ticks(uint64_t t) { bench_advance(timebase_ns(t, I8254_HZ)); }

START_TEST(mode_2_interrupts_at_its_rate)
{
    start();
    program(0, 2, 11932); // 100 Hz
    bench_line[0].rises = 0;
    bench_advance(1000000000);
    ck_assert_uint_ge(bench_line[0].rises, 99);
    ck_assert_uint_le(bench_line[0].rises, 101);
}
END_TEST

START_TEST(late_ticks_are_made_up_for)
{
    start();
    program(0, 2, 4773); // 4 ms
    bench_line[0].rises = 0;
    ck_assert(i8254_ticks(pit));
    bench_now += 25000000; // the host is late
    bench_timer_runs = 0;
    bench_advance(0);
    ck_assert_uint_eq(bench_line[0].rises, 6);
    ck_assert_uint_eq(bench_timer_runs, 1); // each run may take the host as long again
    bench_advance(3500000);                 // and the next one comes at its time
    ck_assert_uint_eq(bench_line[0].rises, 7);
    bench_now += 500000000; // the last 100 ms count
    bench_advance(0);
    ck_assert_uint_eq(bench_line[0].rises, 7 + 25);
    i8254_disconnect_irq(pit, true);
    ck_assert(!i8254_ticks(pit));
}
END_TEST

START_TEST(mode_2_counts_down_and_reloads)
{
    start();
    program(0, 2, 1000);
    advance_ticks(300);
    uint16_t v = latch(0);
    ck_assert_uint_ge(v, 699);
    ck_assert_uint_le(v, 700);
    advance_ticks(1000);
    v = latch(0);
    ck_assert_uint_ge(v, 698);
    ck_assert_uint_le(v, 700);
}
END_TEST

START_TEST(mode_0_interrupts_once)
{
    start();
    program(0, 0, 5000);
    ck_assert(!bench_line[0].level);
    advance_ticks(4990);
    ck_assert(!bench_line[0].level);
    advance_ticks(20);
    ck_assert(bench_line[0].level);
    advance_ticks(200000);
    ck_assert_uint_eq(bench_line[0].rises, 1);
    ck_assert_uint_gt(latch(0), 5000); // wrapped and counting on
    program(0, 0, 5000);
    bench_now += 500000000; // however late the host is
    bench_advance(1000000);
    ck_assert_uint_eq(bench_line[0].rises, 2);
}
END_TEST

START_TEST(mode_3_is_a_square_wave)
{
    start();
    outb(0x61, 1);
    program(2, 3, 1000);
    ck_assert(inb(0x61) & 0x20);
    advance_ticks(499);
    ck_assert(inb(0x61) & 0x20);
    advance_ticks(2);
    ck_assert(!(inb(0x61) & 0x20));
    advance_ticks(500);
    ck_assert(inb(0x61) & 0x20);
}
END_TEST

START_TEST(port_61_gates_counter_2)
{
    start(); // as Linux measures the TSC: gate on, mode 0, wait for OUT
    outb(0x61, 0);
    program(2, 0, 11932);
    advance_ticks(20000);
    ck_assert(!(inb(0x61) & 0x20));
    outb(0x61, 1);
    ck_assert_uint_eq(inb(0x61) & 0x0f, 1);
    advance_ticks(11000);
    ck_assert(!(inb(0x61) & 0x20));
    advance_ticks(1000);
    ck_assert(inb(0x61) & 0x20);
}
END_TEST

START_TEST(mode_1_waits_for_the_gate)
{
    start();
    program(2, 1, 100);
    ck_assert(i8254_get_out(pit, 2));
    advance_ticks(500);
    ck_assert(i8254_get_out(pit, 2));
    i8254_set_gate(pit, 2, true);
    ck_assert(!i8254_get_out(pit, 2));
    advance_ticks(60);
    i8254_set_gate(pit, 2, false);
    i8254_set_gate(pit, 2, true); // retriggered
    advance_ticks(60);
    ck_assert(!i8254_get_out(pit, 2));
    advance_ticks(50);
    ck_assert(i8254_get_out(pit, 2));
}
END_TEST

START_TEST(mode_4_strobes)
{
    start();
    i8254_set_gate(pit, 2, true);
    program(2, 4, 100);
    ck_assert(i8254_get_out(pit, 2));
    bench_now += timebase_ns(100, I8254_HZ);
    ck_assert(!i8254_get_out(pit, 2));
    bench_now += timebase_ns(2, I8254_HZ);
    ck_assert(i8254_get_out(pit, 2));
}
END_TEST

START_TEST(read_back_latches_status_and_count)
{
    start();
    program(0, 2, 0x1234);
    outb(0x43, 0xc2); // counter 0, count and status
    ck_assert_uint_eq(inb(0x40), 0x80 | 3 << 4 | 2 << 1);
    advance_ticks(50);
    ck_assert_uint_eq(inb(0x40), 0x34);
    ck_assert_uint_eq(inb(0x40), 0x12);
    outb(0x43, 0x34);
    outb(0x43, 0xe2);
    ck_assert(inb(0x40) & 0x40); // null count: not loaded yet
}
END_TEST

START_TEST(latch_holds_until_read)
{
    start();
    program(0, 2, 1000);
    outb(0x43, 0x00);
    advance_ticks(100);
    outb(0x43, 0x00); // ignored: the first one is still held
    uint16_t v = inb(0x40);
    v |= (uint16_t)(inb(0x40) << 8);
    ck_assert_uint_eq(v, 1000);
}
END_TEST

START_TEST(bcd_counts_decimal)
{
    start();
    outb(0x43, 0x35);
    outb(0x40, 0x00);
    outb(0x40, 0x10); // 1000
    advance_ticks(1);
    ck_assert_uint_eq(latch(0), 0x999);
}
END_TEST

START_TEST(lsb_only_and_msb_only)
{
    start();
    outb(0x43, 0x14);
    outb(0x40, 200);
    ck_assert_uint_eq(inb(0x40), 200);
    ck_assert_uint_eq(inb(0x40), 200);
    outb(0x43, 0x24);
    outb(0x40, 2);
    ck_assert_uint_eq(inb(0x40), 2);
}
END_TEST

START_TEST(new_count_waits_for_the_period)
{
    start();
    program(0, 2, 1000);
    advance_ticks(500);
    outb(0x40, 0xd0); // 2000
    outb(0x40, 0x07);
    ck_assert_uint_le(latch(0), 500);
    advance_ticks(501);
    ck_assert_uint_gt(latch(0), 1900);
}
END_TEST

START_TEST(tiny_period_does_not_flood)
{
    start();
    program(0, 2, 2);
    bench_timer_runs = 0;
    bench_advance(10000000);
    ck_assert_uint_le(bench_timer_runs, 501);
}
END_TEST

START_TEST(refresh_bit_toggles)
{
    start();
    uint8_t a = inb(0x61) & 0x10;
    bench_advance(15086);
    ck_assert_uint_ne(a, inb(0x61) & 0x10);
}
END_TEST

int main(void)
{
    // clang-format off
    const TTest *const tests[] = {
        mode_2_interrupts_at_its_rate, late_ticks_are_made_up_for, mode_2_counts_down_and_reloads, mode_0_interrupts_once,
        mode_3_is_a_square_wave, port_61_gates_counter_2, mode_1_waits_for_the_gate, mode_4_strobes,
        read_back_latches_status_and_count, latch_holds_until_read, bcd_counts_decimal, lsb_only_and_msb_only,
        new_count_waits_for_the_period, tiny_period_does_not_flood, refresh_bit_toggles,
    };
    // clang-format on
    return bench_main("i8254", tests, ARRAY_SIZE(tests));
}
