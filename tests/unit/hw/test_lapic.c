// SPDX-License-Identifier: MIT
// Tests of hw/lapic*.c.
#include "hw/lapic.h"

#include "cpu/state.h"
#include "hw/i8259.h"
#include "tests/unit/hw/harness.h"

#define BASE 0xfee00000ull
// clang-format off
enum { R_ID = 0x20, R_VERSION = 0x30, R_TPR = 0x80, R_PPR = 0xa0, R_EOI = 0xb0, R_LDR = 0xd0, R_DFR = 0xe0,
       R_SVR = 0xf0, R_ISR = 0x100, R_TMR = 0x180, R_IRR = 0x200, R_ESR = 0x280, R_ICR = 0x300,
       R_ICR2 = 0x310, R_TIMER = 0x320, R_LINT0 = 0x350, R_LINT1 = 0x360, R_ERROR = 0x370, R_INIT = 0x380, R_CUR = 0x390,
       R_DIV = 0x3e0 };
// clang-format on

static struct lapic_bus *bus;
static struct lapic *lapic[BENCH_CPUS];
static uint64_t tsc;
static unsigned eois;
static uint8_t eoi_vector;

static uint64_t on_tsc(void *opaque) { return tsc; }
static void on_eoi(void *opaque, uint8_t v)
{
    eois++;
    eoi_vector = v;
}

static void become(unsigned n) { bench_become_cpu((int)n); }
static uint32_t get(unsigned r) { return readl(BASE + r); }
static void set(unsigned r, uint32_t v) { writel(BASE + r, v); }
static bool wants(unsigned n, uint32_t req) { return bench_cpu[n].request & req; }
static int ack(unsigned n) { return bench_cpu[n].intc->acknowledge(lapic[n]); }
static bool rd(uint32_t msr, uint64_t *v) { return lapic_intc_ops.rdmsr(vcpu_self.intc_opaque, msr, v); }
static bool wr(uint32_t msr, uint64_t v) { return lapic_intc_ops.wrmsr(vcpu_self.intc_opaque, msr, v); }

static void start(unsigned cpus)
{
    bus = lapic_bus_create(mem);
    lapic_bus_set_eoi(bus, on_eoi, NULL);
    for (unsigned i = 0; i < cpus; i++) {
        const struct lapic_config cfg = {
            .cpu = &bench_cpu[i],
            .id = i,
            .bsp = i == 0,
            .has_x2apic = true,
            .tsc_hz = 1000000000,
            .guest_tsc = on_tsc,
        };
        lapic[i] = lapic_create(bus, &cfg);
        become(i);
        set(R_SVR, 0x1ff);
    }
    become(0);
}

static void msi(uint8_t vector, uint8_t dest, bool level)
{
    lapic_bus_send_msi(bus, BASE | (uint64_t)dest << 12, vector | (level ? 0xc000u : 0));
}

START_TEST(power_on_state)
{
    start(2);
    lapic_reset(lapic[1]);
    become(1);
    ck_assert_uint_eq(get(R_ID), 1u << 24);
    ck_assert_uint_eq(get(R_VERSION), 0x50014);
    ck_assert_uint_eq(get(R_SVR), 0xff);
    ck_assert_uint_eq(get(R_DFR), 0xffffffff);
    for (unsigned r = R_TIMER; r <= R_ERROR; r += 0x10)
        ck_assert_uint_eq(get(r), 0x10000);
    uint64_t v;
    ck_assert(rd(0x1b, &v));
    ck_assert_uint_eq(v, BASE | 0x800);
    become(0);
    ck_assert(rd(0x1b, &v));
    ck_assert_uint_eq(v, BASE | 0x900);
}
END_TEST

START_TEST(fixed_interrupt_life)
{
    start(1);
    msi(0x51, 0, false);
    ck_assert(wants(0, CPU_REQ_INTR));
    ck_assert_uint_eq(get(R_IRR + 0x20), 1u << 17);
    ck_assert_int_eq(ack(0), 0x51);
    ck_assert(!wants(0, CPU_REQ_INTR));
    ck_assert_uint_eq(get(R_ISR + 0x20), 1u << 17);
    ck_assert_uint_eq(get(R_PPR), 0x50);
    ck_assert_int_eq(ack(0), -1);
    set(R_EOI, 0);
    ck_assert_uint_eq(get(R_ISR + 0x20), 0);
    ck_assert_uint_eq(eois, 0); // edge: no broadcast
}
END_TEST

START_TEST(level_broadcasts_its_eoi)
{
    start(1);
    msi(0x61, 0, true);
    ck_assert_uint_eq(get(R_TMR + 0x30), 1u << 1);
    ack(0);
    set(R_EOI, 0);
    ck_assert_uint_eq(eois, 1);
    ck_assert_uint_eq(eoi_vector, 0x61);
}
END_TEST

START_TEST(priorities)
{
    start(1);
    set(R_TPR, 0x50);
    msi(0x5f, 0, false);
    ck_assert(!wants(0, CPU_REQ_INTR)); // same class as TPR
    msi(0x60, 0, false);
    ck_assert(wants(0, CPU_REQ_INTR));
    ck_assert_int_eq(ack(0), 0x60);
    set(R_TPR, 0);
    ck_assert(!wants(0, CPU_REQ_INTR)); // 60h in service
    ck_assert_uint_eq(get(R_PPR), 0x60);
    msi(0x70, 0, false);
    ck_assert_int_eq(ack(0), 0x70);
    set(R_EOI, 0);
    set(R_EOI, 0);
    ck_assert_int_eq(ack(0), 0x5f);
}
END_TEST

START_TEST(cr8_is_the_tpr)
{
    start(1);
    lapic_intc_ops.set_tpr(lapic[0], 0xf);
    ck_assert_uint_eq(get(R_TPR), 0xf0);
    msi(0xef, 0, false);
    ck_assert(!wants(0, CPU_REQ_INTR));
    lapic_intc_ops.set_tpr(lapic[0], 0);
    ck_assert(wants(0, CPU_REQ_INTR));
    set(R_TPR, 0x35);
    ck_assert_uint_eq(lapic_intc_ops.get_tpr(lapic[0]), 3);
}
END_TEST

START_TEST(software_disable)
{
    start(1);
    set(R_LINT1, 0x400);
    set(R_SVR, 0xff);
    ck_assert_uint_eq(get(R_LINT1), 0x10400);
    set(R_LINT1, 0x400); // cannot be unmasked
    ck_assert_uint_eq(get(R_LINT1), 0x10400);
    msi(0x51, 0, false);
    ck_assert(!wants(0, CPU_REQ_INTR));
    lapic_bus_send_msi(bus, BASE, 0x400); // NMI gets through
    ck_assert(wants(0, CPU_REQ_NMI));
}
END_TEST

START_TEST(virtual_wire)
{
    start(2);
    struct i8259 *pic = i8259_create(ports, (struct irq_line){lapic_set_lint, lapic[0], 0});
    lapic_set_extint(lapic[0], i8259_acknowledge, pic);
    outb(0x20, 0x11);
    outb(0x21, 0x08);
    outb(0x21, 0x04);
    outb(0x21, 0x01);
    i8259_set_irq(pic, 0, true);
    ck_assert(wants(0, CPU_REQ_INTR)); // LINT0 of the boot processor starts as ExtINT
    ck_assert(!wants(1, CPU_REQ_INTR));
    set(R_TPR, 0xff); // no say in it
    ck_assert(wants(0, CPU_REQ_INTR));
    ck_assert_int_eq(ack(0), 0x08);
    ck_assert(!wants(0, CPU_REQ_INTR));
    outb(0x20, 0x20);
    set(R_LINT0, 0x10700);
    i8259_set_irq(pic, 0, false);
    i8259_set_irq(pic, 0, true);
    ck_assert(!wants(0, CPU_REQ_INTR));
    set(R_LINT0, 0x00700);
    ck_assert(wants(0, CPU_REQ_INTR));
}
END_TEST

START_TEST(timer_one_shot)
{
    start(1);
    set(R_TIMER, 0xec);
    set(R_DIV, 0x3); // by 16
    set(R_INIT, 1000);
    bench_advance(8000);
    ck_assert_uint_eq(get(R_CUR), 500);
    ck_assert(!wants(0, CPU_REQ_INTR));
    bench_advance(8000);
    ck_assert_int_eq(ack(0), 0xec);
    ck_assert_uint_eq(get(R_CUR), 0);
    set(R_EOI, 0);
    bench_advance(100000);
    ck_assert(!wants(0, CPU_REQ_INTR));
}
END_TEST

START_TEST(timer_periodic_and_mask)
{
    start(1);
    set(R_TIMER, 0x200ec);
    set(R_DIV, 0xb);
    set(R_INIT, 1000000);
    unsigned n = 0;
    for (int i = 0; i < 100; i++) {
        bench_advance(1000000);
        if (ack(0) == 0xec) {
            n++;
            set(R_EOI, 0);
        }
    }
    ck_assert_uint_eq(n, 100);
    set(R_TIMER, 0x300ec);
    bench_timer_runs = 0;
    bench_advance(100000000);
    ck_assert_uint_eq(bench_timer_runs, 0);
    ck_assert_uint_ne(get(R_CUR), 0);
    set(R_TIMER, 0x200ec);
    bench_advance(1000000);
    ck_assert(wants(0, CPU_REQ_INTR));
}
END_TEST

START_TEST(timer_1ns_period_is_bounded)
{
    start(1);
    set(R_TIMER, 0x200ec);
    set(R_DIV, 0xb);
    set(R_INIT, 1);
    bench_timer_runs = 0;
    bench_advance(10000000);
    ck_assert_uint_le(bench_timer_runs, 500);
}
END_TEST

START_TEST(tsc_deadline)
{
    start(1);
    tsc = 5000;
    set(R_TIMER, 0x400ec);
    uint64_t v;
    ck_assert(wr(0x6e0, 15000));
    ck_assert(rd(0x6e0, &v));
    ck_assert_uint_eq(v, 15000);
    set(R_INIT, 77);
    ck_assert_uint_eq(get(R_INIT), 0);
    ck_assert_uint_eq(get(R_CUR), 0);
    tsc = 14000; // the TSC lags: the timer looks again
    bench_advance(10002);
    ck_assert(!wants(0, CPU_REQ_INTR));
    tsc = 15001;
    bench_advance(1002);
    ck_assert_int_eq(ack(0), 0xec);
    rd(0x6e0, &v);
    ck_assert_uint_eq(v, 0);
    set(R_EOI, 0);
    wr(0x6e0, 10); // in the past: at once
    ck_assert(wants(0, CPU_REQ_INTR));
    ack(0);
    set(R_EOI, 0);
    wr(0x6e0, 1000000);
    set(R_TIMER, 0xec); // leaving the mode disarms
    rd(0x6e0, &v);
    ck_assert_uint_eq(v, 0);
}
END_TEST

START_TEST(ipis)
{
    start(3);
    set(R_ICR2, 1u << 24);
    set(R_ICR, 0x40fd);
    ck_assert_int_eq(ack(1), 0xfd);
    ck_assert(!wants(2, CPU_REQ_INTR));
    set(R_ICR, 0x440a1); // self
    ck_assert_int_eq(ack(0), 0xa1);
    set(R_ICR, 0xc40a2); // all but self
    ck_assert(!wants(0, CPU_REQ_INTR));
    ck_assert_int_eq(ack(2), 0xa2);
    set(R_ICR, 0x840fb); // all
    ck_assert_int_eq(ack(0), 0xfb);
    ck_assert_uint_eq(get(R_ICR) & 0x1000, 0); // delivery status: idle
}
END_TEST

START_TEST(init_and_sipi)
{
    start(2);
    become(1);
    set(R_LINT0, 0x10700);
    become(0);
    set(R_ICR2, 1u << 24);
    set(R_ICR, 0xc500); // assert
    ck_assert(wants(1, CPU_REQ_INIT));
    become(1);
    ck_assert_uint_eq(get(R_SVR), 0xff);
    ck_assert_uint_eq(get(R_LINT0), 0x10000);
    become(0);
    bench_cpu[1].request = 0;
    set(R_ICR, 0x8500); // de-assert: nothing
    ck_assert(!wants(1, CPU_REQ_INIT));
    set(R_ICR, 0x469a);
    ck_assert(wants(1, CPU_REQ_SIPI));
    ck_assert_uint_eq(lapic_sipi_vector(lapic[1]), 0x9a);
    ck_assert_uint_eq(lapic_intc_ops.sipi_vector(lapic[1]), 0x9a);
}
END_TEST

START_TEST(logical_destinations)
{
    start(3);
    for (unsigned i = 0; i < 3; i++) {
        become(i);
        set(R_LDR, 1u << (24 + i));
    }
    lapic_bus_send_msi(bus, BASE | 0x06 << 12 | 4, 0x71); // flat: CPUs 1 and 2
    ck_assert(!wants(0, CPU_REQ_INTR));
    ck_assert_int_eq(ack(1), 0x71);
    ck_assert_int_eq(ack(2), 0x71);
    for (unsigned i = 0; i < 3; i++) {
        become(i);
        set(R_DFR, 0);
        set(R_LDR, i == 2 ? 0x11000000 : 1u << (24 + i));
        set(R_EOI, 0);
    }
    lapic_bus_send_msi(bus, BASE | 0x11 << 12 | 4, 0x72); // cluster 1, member 1
    ck_assert(!wants(0, CPU_REQ_INTR) && !wants(1, CPU_REQ_INTR));
    ck_assert_int_eq(ack(2), 0x72);
}
END_TEST

START_TEST(lowest_priority_picks_one)
{
    start(3);
    for (unsigned i = 0; i < 3; i++) {
        become(i);
        set(R_LDR, 1u << (24 + i));
        set(R_TPR, i == 1 ? 0x10 : 0x40);
    }
    lapic_bus_send_msi(bus, BASE | 0x07 << 12 | 4, 0x181);
    ck_assert(!wants(0, CPU_REQ_INTR) && wants(1, CPU_REQ_INTR) && !wants(2, CPU_REQ_INTR));
}
END_TEST

START_TEST(errors)
{
    start(1);
    set(R_ERROR, 0xfe);
    set(R_ICR, 0x4000 | 5);
    ck_assert_int_eq(ack(0), 0xfe);
    ck_assert_uint_eq(get(R_ESR), 0);
    set(R_ESR, 0);
    ck_assert_uint_eq(get(R_ESR), 0x20);
    set(R_EOI, 0);
    msi(3, 0, false);
    get(0x3f0); // no such register
    set(R_ESR, 0);
    ck_assert_uint_eq(get(R_ESR), 0x80 | 0x40);
    set(R_ESR, 0);
    ck_assert_uint_eq(get(R_ESR), 0);
}
END_TEST

START_TEST(apic_base_transitions)
{
    start(1);
    ck_assert(!wr(0x1b, BASE | 0x500)); // EXTD without EN
    ck_assert(!wr(0x1b, BASE | 0x901)); // reserved
    ck_assert(!wr(0x1b, BASE | 0x900 | BIT(52)));
    ck_assert(wr(0x1b, BASE | 0xd00));        // to x2APIC
    ck_assert(!wr(0x1b, BASE | 0x900));       // not back
    ck_assert_uint_eq(get(R_ID), 0xffffffff); // the page is gone
    ck_assert(wr(0x1b, BASE | 0x100));        // off
    ck_assert(!wr(0x1b, BASE | 0xd00));       // not straight to x2APIC
    ck_assert(wr(0x1b, BASE | 0x900));
    ck_assert_uint_eq(get(R_SVR), 0xff);
    ck_assert(wr(0x1b, 0xfed40900)); // the page moves
    ck_assert_uint_eq(readl(0xfed40000 + R_VERSION), 0x50014);
}
END_TEST

START_TEST(x2apic_registers)
{
    start(2);
    uint64_t v;
    ck_assert(!rd(0x802, &v)); // not in this mode
    for (unsigned i = 0; i < 2; i++) {
        become(i);
        ck_assert(wr(0x1b, BASE | 0xc00 | (i ? 0 : 0x100)));
    }
    ck_assert(rd(0x802, &v));
    ck_assert_uint_eq(v, 1);
    ck_assert(rd(0x80d, &v));
    ck_assert_uint_eq(v, 2); // cluster 0, bit 1
    ck_assert(!wr(0x80d, 2));
    ck_assert(!wr(0x80b, 1)); // EOI takes only 0
    ck_assert(wr(0x80b, 0));
    ck_assert(!rd(0x80b, &v));
    ck_assert(!rd(0x80e, &v) && !rd(0x831, &v) && !rd(0x83f, &v) && !rd(0x8ff, &v));
    ck_assert(!wr(0x808, 0x100));
    ck_assert(wr(0x808, 0x20));
    ck_assert(wr(0x83f, 0x55)); // self IPI
    ck_assert_int_eq(ack(1), 0x55);
    ck_assert(wr(0x830, 0x4066ull | 0ull << 32)); // to id 0
    ck_assert_int_eq(ack(0), 0x66);
    ck_assert(wr(0x830, 0x4877ull | 1ull << 32)); // logical: cluster 0, bit 0
    ck_assert_int_eq(ack(0), 0x77);
    ck_assert(wr(0x830, 0x4088ull | 0xffffffffull << 32)); // broadcast
    ck_assert_int_eq(ack(0), 0x88);
    ck_assert_int_eq(ack(1), 0x88);
    ck_assert(rd(0x830, &v));
    ck_assert_uint_eq(v, 0x4088ull | 0xffffffffull << 32);
    ck_assert(!wr(0x830, BIT(20)));
}
END_TEST

START_TEST(bus_master_write_is_an_msi)
{
    start(2);
    bench_become_cpu(-1);
    uint32_t data = 0x77;
    ck_assert(as_write(mem, BASE | 1 << 12, &data, 4));
    ck_assert_int_eq(ack(1), 0x77);
}
END_TEST

START_TEST(off_is_a_plain_processor)
{
    start(1);
    struct i8259 *pic = i8259_create(ports, (struct irq_line){lapic_set_lint, lapic[0], 0});
    lapic_set_extint(lapic[0], i8259_acknowledge, pic);
    set(R_LINT0, 0x10700);
    i8259_set_irq(pic, 3, true);
    ck_assert(!wants(0, CPU_REQ_INTR));
    wr(0x1b, BASE | 0x100);
    ck_assert(wants(0, CPU_REQ_INTR));
    msi(0x44, 0, false);
    ck_assert_int_eq(ack(0), 3);
    ck_assert_int_eq(ack(0), -1);
}
END_TEST

int main(void)
{
    // clang-format off
    const TTest *const tests[] = {
        power_on_state, fixed_interrupt_life, level_broadcasts_its_eoi, priorities, cr8_is_the_tpr,
        software_disable, virtual_wire, timer_one_shot, timer_periodic_and_mask,
        timer_1ns_period_is_bounded, tsc_deadline, ipis,
        init_and_sipi, logical_destinations, lowest_priority_picks_one, errors, apic_base_transitions,
        x2apic_registers, bus_master_write_is_an_msi, off_is_a_plain_processor,
    };
    // clang-format on
    return bench_main("lapic", tests, ARRAY_SIZE(tests));
}
