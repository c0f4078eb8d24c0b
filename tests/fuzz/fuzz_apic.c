// SPDX-License-Identifier: MIT
// Fuzzes hw/lapic*.c and hw/ioapic.c together: two CPUs, MSRs, IPIs, MSIs, level interrupts and their EOIs.
#include "cpu/state.h"
#include "hw/ioapic.h"
#include "hw/lapic.h"

#include <stdlib.h>

#include "tests/fuzz/fuzz.h"

static struct lapic_bus *bus;
static struct lapic *lapic[2];
static struct ioapic *io;

static int extint(void *opaque) { return 0x30; }

static void create(void)
{
    bus = lapic_bus_create(mem);
    for (unsigned i = 0; i < 2; i++) {
        const struct lapic_config cfg = {
            .cpu = &bench_cpu[i],
            .id = i,
            .bsp = i == 0,
            .has_x2apic = true,
            .tsc_hz = 1000000000,
        };
        lapic[i] = lapic_create(bus, &cfg);
        lapic_set_extint(lapic[i], extint, NULL);
    }
    const struct ioapic_config cfg = {
        .mem = mem, .base = IOAPIC_DEFAULT_BASE, .deliver = lapic_bus_deliver, .opaque = bus};
    io = ioapic_create(&cfg);
    lapic_bus_set_eoi(bus, ioapic_eoi, io);
}

static void reset(void)
{
    for (unsigned i = 0; i < 2; i++) {
        lapic_reset(lapic[i]);
        bench_cpu[i].request = 0;
        bench_become_cpu((int)i);
        writel(LAPIC_DEFAULT_BASE + 0xf0, 0x1ff); // software-enabled: there is little to find otherwise
    }
    ioapic_reset(io);
}

static void event(uint8_t a, uint8_t b)
{
    static const uint32_t msrs[] = {0x1b, 0x6e0};
    uint64_t v = (uint64_t)b << (a & 31);
    unsigned n = a >> 5 & 1;
    uint32_t msr = a & 16 ? msrs[b & 1] : 0x800u + (b & 0x3f);
    switch (a & 7) {
    case 0: bench_become_cpu((int)n); break;
    case 1: ioapic_set_irq(io, b & 31, a & 8); break;
    case 2: lapic_bus_send_msi(bus, 0xfee00000 | (uint64_t)(a & 0xf8) << 9, (uint32_t)b << 4 | a << 8); break;
    case 3: lapic_set_lint(lapic[n], b & 3, a & 8); break;
    case 4: {
        int vector = lapic_intc_ops.acknowledge(lapic[n]);
        if (vector > 255)
            abort();
        break;
    }
    case 5: lapic_intc_ops.rdmsr(lapic[n], msr, &v); break;
    case 6: lapic_intc_ops.wrmsr(lapic[n], msr, msr == 0x1b ? 0xfee00000 | (uint64_t)b << 8 : v); break;
    case 7: lapic_intc_ops.set_tpr(lapic[n], b & 15); break;
    }
}

static const struct fuzz_target target = {
    "apic", {{true, LAPIC_DEFAULT_BASE, 0x1000}, {true, IOAPIC_DEFAULT_BASE, 0x50}}, create, reset, event, 4,
};
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_run(&target, data, size); }
