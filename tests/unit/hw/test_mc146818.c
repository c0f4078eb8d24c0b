// SPDX-License-Identifier: MIT
// Tests of hw/mc146818.c.
#include "hw/mc146818.h"

#include <time.h>

#include "tests/unit/hw/harness.h"

#define SECOND 1000000000ull
static struct mc146818 *rtc;

static void start(int64_t date)
{
    const struct mc146818_config cfg = {
        .ports = ports,
        .base = 0x70,
        .irq = bench_irq(8),
        .time_base = RTC_BASE_DATE,
        .date = date,
        .vm_clock = true,
    };
    rtc = mc146818_create(&cfg);
}

static uint8_t get(uint8_t i)
{
    outb(0x70, i);
    return inb(0x71);
}

static void set(uint8_t i, uint8_t v)
{
    outb(0x70, i);
    outb(0x71, v);
}

enum { LEAP = 951782399 }; // 2000-02-28 23:59:59, a Monday

START_TEST(calendar_rolls_over_in_bcd)
{
    start(LEAP);
    ck_assert_uint_eq(get(0), 0x59);
    ck_assert_uint_eq(get(2), 0x59);
    ck_assert_uint_eq(get(4), 0x23);
    ck_assert_uint_eq(get(6), 2);
    bench_advance(SECOND);
    ck_assert_uint_eq(get(0), 0);
    ck_assert_uint_eq(get(7), 0x29);
    ck_assert_uint_eq(get(8), 0x02);
    ck_assert_uint_eq(get(9), 0x00);
    ck_assert_uint_eq(get(0x32), 0x20);
}
END_TEST

START_TEST(binary_and_twelve_hours)
{
    start(LEAP);
    set(11, 0x04);
    ck_assert_uint_eq(get(0), 59);
    ck_assert_uint_eq(get(4), 0x80 | 11);
    bench_advance(SECOND);
    ck_assert_uint_eq(get(4), 12);
}
END_TEST

START_TEST(set_stops_and_starts)
{
    start(LEAP);
    set(11, 0x82);
    bench_advance(5 * SECOND);
    ck_assert_uint_eq(get(0), 0x59);
    static const uint8_t t[][2] = {{9, 0x24}, {0x32, 0x20}, {8, 0x12}, {7, 0x31}, {4, 0x10}, {2, 0x20}, {0, 0x30}};
    for (unsigned i = 0; i < ARRAY_SIZE(t); i++)
        set(t[i][0], t[i][1]);
    ck_assert(!(get(10) & 0x80));
    set(11, 0x02);
    ck_assert_int_eq(mc146818_get_time(rtc), 1735640430); // 2024-12-31 10:20:30
    bench_advance(30 * SECOND);
    ck_assert_uint_eq(get(0), 0x00);
    ck_assert_uint_eq(get(2), 0x21);
}
END_TEST

START_TEST(uip_announces_the_update)
{
    start(LEAP);
    bench_advance(SECOND / 2);
    ck_assert(!(get(10) & 0x80));
    bench_advance(SECOND / 2 - 200000);
    ck_assert(get(10) & 0x80);
    bench_advance(200000);
    ck_assert(!(get(10) & 0x80));
}
END_TEST

START_TEST(update_interrupt_each_second)
{
    start(LEAP);
    set(11, 0x12);
    get(12);
    for (int i = 0; i < 3; i++) {
        bench_advance(SECOND);
        ck_assert(bench_line[8].level);
        ck_assert_uint_eq(get(12) & 0x9f, 0x90); // PF comes and goes; midnight is the alarm
        ck_assert(!bench_line[8].level);
    }
    ck_assert_uint_eq(bench_line[8].rises, 3);
}
END_TEST

START_TEST(alarm_matches_with_wildcards)
{
    start(LEAP);
    set(1, 0x30);
    set(3, 0xff);
    set(5, 0xff);
    set(11, 0x22);
    get(12);
    bench_advance(20 * SECOND);
    ck_assert(!bench_line[8].level);
    bench_advance(11 * SECOND);
    ck_assert(bench_line[8].level);
    ck_assert_uint_eq(get(12) & 0xa0, 0xa0);
    bench_advance(60 * SECOND);
    ck_assert_uint_eq(bench_line[8].rises, 2);
}
END_TEST

START_TEST(alarm_flag_without_interrupt)
{
    start(LEAP);
    set(1, 0x10);
    set(3, 0x00);
    set(5, 0x00);
    get(12);
    bench_advance(10 * SECOND);
    ck_assert_uint_eq(get(12) & 0x20, 0);
    bench_advance(2 * SECOND);
    ck_assert_uint_eq(get(12) & 0xbf, 0x30);
    ck_assert_uint_eq(bench_line[8].rises, 0);
}
END_TEST

START_TEST(periodic_rate)
{
    start(LEAP);
    set(10, 0x26); // 1024 Hz
    set(11, 0x42);
    unsigned n = 0;
    for (int i = 0; i < 1000; i++) {
        bench_advance(SECOND / 1000);
        n += get(12) >> 6 & 1;
    }
    ck_assert_uint_ge(bench_line[8].rises, 995);
    ck_assert_uint_le(bench_line[8].rises, 1001);
    ck_assert_uint_ge(n, 995);
}
END_TEST

START_TEST(registers_c_and_d_are_read_only)
{
    start(LEAP);
    set(13, 0);
    ck_assert_uint_eq(get(13), 0x80);
    set(12, 0xff);
    ck_assert_uint_eq(get(12) & 0x0f, 0);
    set(0x5a, 0x77);
    ck_assert_uint_eq(get(0x5a), 0x77);
    mc146818_reset(rtc);
    ck_assert_uint_eq(get(0x5a), 0x77);
}
END_TEST

START_TEST(divider_reset_half_second)
{
    start(LEAP);
    set(10, 0x70);
    bench_advance(3 * SECOND);
    ck_assert_uint_eq(get(0), 0x59);
    set(10, 0x26);
    bench_advance(SECOND / 2 - 1000000);
    ck_assert_uint_eq(get(0), 0x59);
    bench_advance(2000000);
    ck_assert_uint_eq(get(0), 0x00);
}
END_TEST

START_TEST(utc_is_the_hosts_time)
{
    const struct mc146818_config cfg = {.ports = ports, .base = 0x70, .irq = bench_irq(8)};
    rtc = mc146818_create(&cfg);
    int64_t d = mc146818_get_time(rtc) - time(NULL);
    ck_assert_int_ge(d, -1);
    ck_assert_int_le(d, 1);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        calendar_rolls_over_in_bcd,
        binary_and_twelve_hours,
        set_stops_and_starts,
        uip_announces_the_update,
        update_interrupt_each_second,
        alarm_matches_with_wildcards,
        alarm_flag_without_interrupt,
        periodic_rate,
        registers_c_and_d_are_read_only,
        divider_reset_half_second,
        utc_is_the_hosts_time,
    };
    return bench_main("mc146818", tests, ARRAY_SIZE(tests));
}
