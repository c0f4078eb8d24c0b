// SPDX-License-Identifier: MIT
// Tests of hw/ioapic.c.
#include "hw/ioapic.h"

#include "tests/unit/hw/harness.h"

#define BASE 0xfec00000ull
static struct ioapic *io;
static struct apic_msg last;
static unsigned sent;

static void on_deliver(void *opaque, const struct apic_msg *m)
{
    last = *m;
    sent++;
}

static uint32_t get(uint8_t reg)
{
    writel(BASE, reg);
    return readl(BASE + 0x10);
}

static void set(uint8_t reg, uint32_t v)
{
    writel(BASE, reg);
    writel(BASE + 0x10, v);
}

static void start(void)
{
    const struct ioapic_config cfg = {.mem = mem, .base = BASE, .id = 5, .deliver = on_deliver};
    io = ioapic_create(&cfg);
}

START_TEST(identity)
{
    start();
    ck_assert_uint_eq(get(0), 5u << 24);
    ck_assert_uint_eq(get(1), 0x170020);
    set(0, 0x07000000);
    ck_assert_uint_eq(get(0), 7u << 24);
    for (unsigned i = 0; i < 24; i++)
        ck_assert_uint_eq(get((uint8_t)(0x10 + 2 * i)), 0x10000);
    ck_assert_uint_eq(get(0x40), 0);
}
END_TEST

START_TEST(edge_once)
{
    start();
    set(0x19, 0x02000000);
    set(0x18, 0x0931); // lowest priority, logical
    ioapic_set_irq(io, 4, true);
    ck_assert_uint_eq(sent, 1);
    ck_assert_uint_eq(last.vector, 0x31);
    ck_assert_uint_eq(last.dest, 2);
    ck_assert_uint_eq(last.mode, APIC_LOWEST);
    ck_assert(last.logical && !last.level);
    ioapic_set_irq(io, 4, true);
    ck_assert_uint_eq(sent, 1);
    ioapic_set_irq(io, 4, false);
    ioapic_set_irq(io, 4, true);
    ck_assert_uint_eq(sent, 2);
    ck_assert(!(get(0x18) & 0x4000));
}
END_TEST

START_TEST(masked_edge_is_lost)
{
    start();
    set(0x18, 0x10031);
    ioapic_set_irq(io, 4, true);
    set(0x18, 0x00031);
    ck_assert_uint_eq(sent, 0);
}
END_TEST

START_TEST(level_waits_for_eoi)
{
    start();
    set(0x24, 0xa050);
    ioapic_set_irq(io, 10, true);
    ck_assert_uint_eq(sent, 1);
    ck_assert(last.level);
    ck_assert(get(0x24) & 0x4000);
    ioapic_eoi(io, 0x51); // another vector
    ck_assert_uint_eq(sent, 1);
    ioapic_eoi(io, 0x50);
    ck_assert_uint_eq(sent, 2); // still asserted
    ioapic_set_irq(io, 10, false);
    ioapic_eoi(io, 0x50);
    ck_assert_uint_eq(sent, 2);
    ck_assert(!(get(0x24) & 0x4000));
}
END_TEST

START_TEST(level_unmasked_while_asserted)
{
    start();
    set(0x24, 0x1a050);
    ioapic_set_irq(io, 10, true);
    ck_assert_uint_eq(sent, 0);
    set(0x24, 0x0a050);
    ck_assert_uint_eq(sent, 1);
}
END_TEST

START_TEST(eoi_register_and_switch_to_edge)
{
    start();
    set(0x24, 0xa050);
    ioapic_set_irq(io, 10, true);
    ioapic_set_irq(io, 10, false);
    ck_assert(get(0x24) & 0x4000);
    writel(BASE + 0x40, 0x50);
    ck_assert(!(get(0x24) & 0x4000));
    ioapic_set_irq(io, 10, true);
    ck_assert(get(0x24) & 0x4000);
    set(0x24, 0x12050);
    set(0x24, 0x1a050);
    ck_assert(!(get(0x24) & 0x4000));
}
END_TEST

START_TEST(read_only_bits)
{
    start();
    set(0x24, 0xffffffff);
    ck_assert_uint_eq(get(0x24), 0x1afff);
    set(0x25, 0xffffffff);
    ck_assert_uint_eq(get(0x25), 0xff000000);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        identity,
        edge_once,
        masked_edge_is_lost,
        level_waits_for_eoi,
        level_unmasked_while_asserted,
        eoi_register_and_switch_to_edge,
        read_only_bits,
    };
    return bench_main("ioapic", tests, ARRAY_SIZE(tests));
}
