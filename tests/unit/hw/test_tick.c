// SPDX-License-Identifier: MIT
// Tests of hw/tick.c, with the chips around it as the board wires them.
#include "hw/tick.h"

#include "cpu/state.h"
#include "hw/i8254.h"
#include "hw/i8259.h"
#include "hw/ioapic.h"
#include "hw/lapic.h"
#include "tests/unit/hw/harness.h"

#define LAPIC 0xfee00000ull
#define IOAPIC 0xfec00000ull
#define MS 1000000ull
enum { R_EOI = 0xb0, R_SVR = 0xf0, R_LINT0 = 0x350, VECTOR = 0x30, PIC_BASE = 0x20 };

static struct i8259 *pic;
static struct ioapic *ioapic;
static struct lapic *lapic;
static struct i8254 *pit;
static struct tick *tick;

static void controllers(void *opaque, unsigned n, bool level)
{
    i8259_set_irq(pic, n, level);
    ioapic_set_irq(ioapic, n ? n : 2, level);
}

static bool periodic(void *opaque) { return i8254_ticks(pit); }

static void redirect(uint32_t entry)
{
    writel(IOAPIC, 0x10 + 2 * 2);
    writel(IOAPIC + 0x10, entry);
}

static void start(void)
{
    struct lapic_bus *bus = lapic_bus_create(mem);
    lapic = lapic_create(bus, &(struct lapic_config){.cpu = &bench_cpu[0], .bsp = true, .tsc_hz = 1000000000});
    bench_become_cpu(0);
    writel(LAPIC + R_SVR, 0x1ff);
    pic = i8259_create(ports, (struct irq_line){lapic_set_lint, lapic, 0});
    lapic_set_extint(lapic, i8259_acknowledge, pic);
    ioapic = ioapic_create(
        &(struct ioapic_config){.mem = mem, .base = IOAPIC, .deliver = lapic_bus_deliver, .opaque = bus});
    lapic_bus_set_eoi(bus, ioapic_eoi, ioapic);
    tick = tick_create(&(struct tick_config){
        .line = {controllers, NULL, 0}, .pic = pic, .ioapic = ioapic, .lapic = lapic, .periodic = periodic});
    lapic_bus_set_taken(bus, tick_taken, tick);
    pit = i8254_create(ports, 0x40, (struct irq_line){tick_set_irq, tick, 0});
}

static void use_ioapic(void)
{
    outb(0x21, 0xff);
    writel(LAPIC + R_LINT0, 0x10000);
    redirect(VECTOR);
}

static void use_pic(void)
{
    outb(0x20, 0x11);
    outb(0x21, PIC_BASE);
    outb(0x21, 4);
    outb(0x21, 1);
    outb(0x21, 0xfe);
}

static void tick_at(uint8_t mode, uint16_t count)
{
    outb(0x43, (uint8_t)(0x30 | mode << 1));
    outb(0x40, (uint8_t)count);
    outb(0x40, (uint8_t)(count >> 8));
}

// The CPU takes all there is, one by one.
static unsigned take_all(int vector)
{
    unsigned n = 0;
    while (bench_cpu[0].request & CPU_REQ_INTR) {
        ck_assert_int_eq(bench_cpu[0].intc->acknowledge(lapic), vector);
        if (vector == VECTOR)
            writel(LAPIC + R_EOI, 0);
        else
            outb(0x20, 0x20);
        ck_assert_uint_lt(n++, 1000);
    }
    return n;
}

// The I/O APIC in use, counter 0 periodic, and nothing of it waiting.
static void start_ticking(uint16_t count)
{
    start();
    use_ioapic();
    tick_at(2, count);
    take_all(VECTOR);
}

// The vCPU's thread waited for a CPU, while the I/O thread did not.
START_TEST(ticks_wait_for_the_cpu)
{
    start_ticking(4773); // 4 ms
    bench_advance(25 * MS);
    ck_assert_uint_eq(take_all(VECTOR), 6);
    bench_advance(4 * MS);
    ck_assert_uint_eq(take_all(VECTOR), 1);
    ck_assert_uint_eq(take_all(VECTOR), 0);
}
END_TEST

// Too fast for a debt to be paid beside them.
START_TEST(fast_ticks_merge)
{
    start_ticking(24); // 20 us
    bench_advance(25 * MS);
    ck_assert_uint_eq(take_all(VECTOR), 1);
}
END_TEST

// Both of them had to wait.
START_TEST(late_ticks_come_one_by_one)
{
    start();
    use_ioapic();
    tick_at(3, 4773);
    take_all(VECTOR);
    bench_now += 25 * MS;
    bench_advance(0);
    ck_assert_uint_eq(take_all(VECTOR), 6);
}
END_TEST

START_TEST(through_the_8259)
{
    start();
    use_pic();
    tick_at(2, 4773);
    take_all(PIC_BASE);
    bench_advance(25 * MS);
    ck_assert_uint_eq(take_all(PIC_BASE), 6);
}
END_TEST

START_TEST(another_interrupt_is_no_tick)
{
    start_ticking(4773);
    bench_advance(9 * MS); // two ticks, one of them owed
    writel(LAPIC + 0x310, 0);
    writel(LAPIC + 0x300, 0x40000 | 0x51); // to itself, and of a higher priority
    ck_assert_int_eq(bench_cpu[0].intc->acknowledge(lapic), 0x51);
    writel(LAPIC + R_EOI, 0);
    ck_assert_uint_eq(take_all(VECTOR), 2);
}
END_TEST

START_TEST(masked_ticks_are_lost)
{
    start();
    use_ioapic();
    redirect(0x10000 | VECTOR);
    tick_at(2, 4773);
    bench_advance(25 * MS);
    redirect(VECTOR);
    ck_assert_uint_eq(take_all(VECTOR), 0);
    bench_advance(4 * MS);
    ck_assert_uint_eq(take_all(VECTOR), 1);
}
END_TEST

START_TEST(single_shots_are_not_owed)
{
    start();
    use_ioapic();
    for (unsigned i = 0; i < 3; i++) {
        tick_at(0, 1000);
        bench_advance(2 * MS);
    }
    ck_assert_uint_eq(take_all(VECTOR), 1);
}
END_TEST

START_TEST(a_stopped_timer_owes_nothing)
{
    start_ticking(4773);
    bench_advance(25 * MS);
    tick_at(0, 60000);
    ck_assert_uint_eq(take_all(VECTOR), 1);
    tick_at(2, 4773);
    take_all(VECTOR);
    bench_advance(25 * MS);
    bench_now += 200 * MS; // and nobody ran the timer
    ck_assert_uint_eq(take_all(VECTOR), 1);
}
END_TEST

START_TEST(debt_is_bounded)
{
    start_ticking(1193); // 1 ms
    bench_advance(10000 * MS);
    ck_assert_uint_eq(take_all(VECTOR), TICK_OWED_MAX + 1);
    bench_advance(10 * MS);
    tick_reset(tick);
    ck_assert_uint_eq(take_all(VECTOR), 1);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        ticks_wait_for_the_cpu,
        fast_ticks_merge,
        late_ticks_come_one_by_one,
        through_the_8259,
        another_interrupt_is_no_tick,
        masked_ticks_are_lost,
        single_shots_are_not_owed,
        a_stopped_timer_owes_nothing,
        debt_is_bounded,
    };
    return bench_main("tick", tests, ARRAY_SIZE(tests));
}
