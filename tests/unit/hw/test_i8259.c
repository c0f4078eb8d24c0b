// SPDX-License-Identifier: MIT
// Tests of hw/i8259.c.
#include "hw/i8259.h"

#include "tests/unit/hw/harness.h"

enum { INTR = 20 };
static struct i8259 *pic;

static void init(uint8_t icw4_master)
{
    outb(0x20, 0x11);
    outb(0x21, 0x20);
    outb(0x21, 0x04);
    outb(0x21, icw4_master);
    outb(0xa0, 0x11);
    outb(0xa1, 0x28);
    outb(0xa1, 0x02);
    outb(0xa1, 0x01);
}

static void start(void)
{
    pic = i8259_create(ports, bench_irq(INTR));
    init(0x01);
}

static void pulse(unsigned n)
{
    i8259_set_irq(pic, n, true);
    i8259_set_irq(pic, n, false);
}

START_TEST(edge_is_latched_and_acknowledged)
{
    start();
    pulse(3);
    ck_assert(bench_line[INTR].level);
    ck_assert_int_eq(i8259_acknowledge(pic), 0x23);
    ck_assert(!bench_line[INTR].level);
    outb(0x20, 0x0b); // read ISR
    ck_assert_uint_eq(inb(0x20), 0x08);
    outb(0x20, 0x20);
    ck_assert_uint_eq(inb(0x20), 0);
}
END_TEST

START_TEST(lower_priority_waits_for_eoi)
{
    start();
    pulse(1);
    ck_assert_int_eq(i8259_acknowledge(pic), 0x21);
    pulse(4);
    ck_assert(!bench_line[INTR].level);
    pulse(0); // higher: nests
    ck_assert(bench_line[INTR].level);
    ck_assert_int_eq(i8259_acknowledge(pic), 0x20);
    outb(0x20, 0x20);
    ck_assert(!bench_line[INTR].level);
    outb(0x20, 0x20);
    ck_assert_int_eq(i8259_acknowledge(pic), 0x24);
}
END_TEST

START_TEST(slave_cascades)
{
    start();
    pulse(12);
    ck_assert_int_eq(i8259_acknowledge(pic), 0x2c);
    outb(0x20, 0x0b);
    outb(0xa0, 0x0b);
    ck_assert_uint_eq(inb(0x20), 0x04);
    ck_assert_uint_eq(inb(0xa0), 0x10);
    pulse(9); // higher in the slave, but the master has IRQ 2 in service
    ck_assert(!bench_line[INTR].level);
    outb(0xa0, 0x20);
    outb(0x20, 0x62); // specific EOI of 2
    ck_assert_int_eq(i8259_acknowledge(pic), 0x29);
}
END_TEST

START_TEST(special_fully_nested_slave_nests)
{
    start();
    init(0x11);
    pulse(12);
    ck_assert_int_eq(i8259_acknowledge(pic), 0x2c);
    pulse(9);
    ck_assert(bench_line[INTR].level);
    ck_assert_int_eq(i8259_acknowledge(pic), 0x29);
}
END_TEST

START_TEST(spurious_is_irq_7_without_service)
{
    start();
    ck_assert_int_eq(i8259_acknowledge(pic), 0x27);
    outb(0x20, 0x0b);
    ck_assert_uint_eq(inb(0x20), 0);
    // A level request of the slave that goes away in between: IRQ 15, with the master's IRQ 2 not pending
    outb(0x4d1, 0x08);
    i8259_set_irq(pic, 11, true);
    ck_assert(bench_line[INTR].level);
    i8259_set_irq(pic, 11, false);
    ck_assert(!bench_line[INTR].level);
}
END_TEST

START_TEST(level_triggered_asks_again)
{
    start();
    outb(0x4d1, 0x08); // IRQ 11
    i8259_set_irq(pic, 11, true);
    ck_assert_int_eq(i8259_acknowledge(pic), 0x2b);
    outb(0xa0, 0x20);
    outb(0x20, 0x20);
    ck_assert(bench_line[INTR].level);
    i8259_set_irq(pic, 11, false);
    ck_assert(!bench_line[INTR].level);
    outb(0x4d0, 0xff);
    outb(0x4d1, 0xff);
    ck_assert_uint_eq(inb(0x4d0), 0xf8);
    ck_assert_uint_eq(inb(0x4d1), 0xde);
}
END_TEST

START_TEST(mask_holds_back)
{
    start();
    outb(0x21, 0x08);
    pulse(3);
    ck_assert(!bench_line[INTR].level);
    ck_assert_uint_eq(inb(0x21), 0x08);
    outb(0x20, 0x0a);
    ck_assert_uint_eq(inb(0x20), 0x08);
    outb(0x21, 0);
    ck_assert(bench_line[INTR].level);
}
END_TEST

START_TEST(auto_eoi_and_rotation)
{
    start();
    init(0x03);
    outb(0x20, 0x80); // rotate in automatic EOI mode
    pulse(0);
    ck_assert_int_eq(i8259_acknowledge(pic), 0x20);
    outb(0x20, 0x0b);
    ck_assert_uint_eq(inb(0x20), 0);
    pulse(0);
    pulse(1); // after rotation 1 is the highest
    ck_assert_int_eq(i8259_acknowledge(pic), 0x21);
    ck_assert_int_eq(i8259_acknowledge(pic), 0x20);
}
END_TEST

START_TEST(set_priority_and_rotate_on_eoi)
{
    start();
    outb(0x20, 0xc4); // IRQ 4 is the lowest: 5 the highest
    pulse(3);
    pulse(5);
    ck_assert_int_eq(i8259_acknowledge(pic), 0x25);
    outb(0x20, 0xa0); // rotate on non-specific EOI: 5 becomes the lowest
    pulse(5);
    ck_assert_int_eq(i8259_acknowledge(pic), 0x23);
}
END_TEST

START_TEST(poll_acknowledges)
{
    start();
    outb(0x20, 0x0c);
    ck_assert_uint_eq(inb(0x20) & 0x80, 0);
    pulse(6);
    outb(0x20, 0x0c);
    ck_assert_uint_eq(inb(0x20), 0x86);
    outb(0x20, 0x0b);
    ck_assert_uint_eq(inb(0x20), 0x40);
}
END_TEST

START_TEST(special_mask_mode_lets_lower_through)
{
    start();
    pulse(1);
    ck_assert_int_eq(i8259_acknowledge(pic), 0x21);
    pulse(5);
    ck_assert(!bench_line[INTR].level);
    outb(0x21, 0x02);
    outb(0x20, 0x68);
    ck_assert(bench_line[INTR].level);
    ck_assert_int_eq(i8259_acknowledge(pic), 0x25);
    outb(0x20, 0x20); // the masked level 1 is not the one that ends
    outb(0x20, 0x0b);
    ck_assert_uint_eq(inb(0x20), 0x02);
}
END_TEST

START_TEST(icw1_clears_edges_and_masks)
{
    start();
    outb(0x21, 0xff);
    i8259_set_irq(pic, 3, true);
    init(0x01);
    ck_assert_uint_eq(inb(0x21), 0);
    ck_assert(!bench_line[INTR].level);
    i8259_set_irq(pic, 3, false);
    i8259_set_irq(pic, 3, true);
    ck_assert(bench_line[INTR].level);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        edge_is_latched_and_acknowledged,
        lower_priority_waits_for_eoi,
        slave_cascades,
        special_fully_nested_slave_nests,
        spurious_is_irq_7_without_service,
        level_triggered_asks_again,
        mask_holds_back,
        auto_eoi_and_rotation,
        set_priority_and_rotate_on_eoi,
        poll_acknowledges,
        special_mask_mode_lets_lower_through,
        icw1_clears_edges_and_masks,
    };
    return bench_main("i8259", tests, ARRAY_SIZE(tests));
}
