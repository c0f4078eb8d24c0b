// SPDX-License-Identifier: MIT
// Tests of hw/acpi_pm.c.
#include "hw/acpi_pm.h"

#include "tests/unit/hw/harness.h"

enum { BASE = 0x600, GPE = 0xafe0, SCI = 9 };
static struct acpi_pm *pm;
static unsigned offs, smis;

static void on_off(void *opaque) { offs++; }
static void on_smi(void *opaque) { smis++; }

static void start(bool wide)
{
    const struct acpi_pm_config cfg = {
        .ports = ports,
        .base = BASE,
        .gpe_base = GPE,
        .slp_typ_s5 = 5,
        .sci = bench_irq(SCI),
        .timer_32bit = wide,
        .power_off = on_off,
        .smi = on_smi,
    };
    pm = acpi_pm_create(&cfg);
}

START_TEST(timer_rate_and_width)
{
    start(false);
    uint32_t a = inl(BASE + 8);
    bench_advance(1000000000);
    uint32_t d = (inl(BASE + 8) - a) & 0xffffff;
    ck_assert_uint_ge(d, 3579545 - 1);
    ck_assert_uint_le(d, 3579545 + 1);
    bench_advance(100000000000);
    ck_assert_uint_eq(inl(BASE + 8) >> 24, 0);
}
END_TEST

START_TEST(timer_32_bits)
{
    start(true);
    bench_advance(100000000000);
    ck_assert_uint_ne(inl(BASE + 8) >> 24, 0);
}
END_TEST

START_TEST(enable_and_disable_by_smi_cmd)
{
    start(false);
    ck_assert(!(inw(BASE + 4) & 1));
    outb(0xb2, 0xf1);
    ck_assert(inw(BASE + 4) & 1);
    outb(0xb2, 0xf0);
    ck_assert(!(inw(BASE + 4) & 1));
    outb(0xb2, 0x42);
    ck_assert_uint_eq(smis, 3); // the firmware's handler sees them all
    ck_assert_uint_eq(inb(0xb2), 0x42);
}
END_TEST

START_TEST(power_button_is_an_sci)
{
    start(false);
    ck_assert(!acpi_pm_power_button(pm));
    ck_assert(!bench_line[SCI].level);
    outb(0xb2, 0xf1);
    outw(BASE + 2, 0x100);
    ck_assert(bench_line[SCI].level);
    ck_assert(acpi_pm_power_button(pm));
    outb(BASE + 1, 0x01); // cleared by a byte
    ck_assert(!bench_line[SCI].level);
    ck_assert_uint_eq(inw(BASE) & 0x100, 0);
}
END_TEST

START_TEST(timer_overflow_is_an_event)
{
    start(false);
    outb(0xb2, 0xf1);
    outw(BASE, 0xffff);
    outw(BASE + 2, 1);
    bench_advance(2400000000); // bit 23 changes every 2.34 s
    ck_assert(bench_line[SCI].level);
    outw(BASE, 1);
    ck_assert(!bench_line[SCI].level);
    bench_advance(2400000000);
    ck_assert(bench_line[SCI].level);
}
END_TEST

START_TEST(soft_off)
{
    start(false);
    outw(BASE + 4, 3 << 10 | 1 << 13);
    ck_assert_uint_eq(offs, 0);
    outw(BASE + 4, 5 << 10);
    ck_assert_uint_eq(offs, 0);
    outw(BASE + 4, 5 << 10 | 1 << 13);
    ck_assert_uint_eq(offs, 1);
    ck_assert_uint_eq(inw(BASE + 4), 5 << 10); // SLP_EN reads as 0
}
END_TEST

START_TEST(general_purpose_events)
{
    start(false);
    outb(0xb2, 0xf1);
    acpi_pm_set_gpe(pm, 1);
    ck_assert_uint_eq(inb(GPE), 2);
    outb(GPE + 2, 2);
    ck_assert(bench_line[SCI].level);
    outb(GPE, 2);
    ck_assert(!bench_line[SCI].level);
}
END_TEST

START_TEST(block_moves)
{
    start(false);
    acpi_pm_set_base(pm, 0xb000, true);
    ck_assert_uint_eq(inw(BASE), 0xffff);
    outw(0xb002, 0x100);
    ck_assert_uint_eq(inw(0xb002), 0x100);
    acpi_pm_set_base(pm, 0xb000, false);
    ck_assert_uint_eq(inw(0xb002), 0xffff);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        timer_rate_and_width,       timer_32_bits, enable_and_disable_by_smi_cmd, power_button_is_an_sci,
        timer_overflow_is_an_event, soft_off,      general_purpose_events,        block_moves,
    };
    return bench_main("acpi_pm", tests, ARRAY_SIZE(tests));
}
