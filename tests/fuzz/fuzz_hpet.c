// SPDX-License-Identifier: MIT
// Fuzzes hw/hpet.c.
#include "hw/hpet.h"

#include <stdlib.h>

#include "tests/fuzz/fuzz.h"

static struct hpet *hpet;
static void on_legacy(void *opaque, bool on) {}
static void on_msi(void *opaque, uint64_t addr, uint32_t data) {}

static void on_irq(void *opaque, unsigned pin, bool level)
{
    if (pin >= HPET_PINS)
        abort();
    bench_set_line(opaque, pin, level);
}

static void create(void)
{
    const struct hpet_config cfg = {
        .mem = mem,
        .base = HPET_DEFAULT_BASE,
        .set_irq = on_irq,
        .legacy = on_legacy,
        .send_msi = on_msi,
    };
    hpet = hpet_create(&cfg);
}

static void reset(void) { hpet_reset(hpet); }

// A whole register, which random offsets seldom hit.
static void event(uint8_t a, uint8_t b)
{
    static const uint16_t regs[] = {0x10, 0x20, 0xf0, 0x100, 0x108, 0x110, 0x120, 0x128, 0x140, 0x148};
    as_store(mem, HPET_DEFAULT_BASE + regs[a % ARRAY_SIZE(regs)], (uint64_t)b << (a >> 2), 8);
}

static const struct fuzz_target target = {
    "hpet", {{true, HPET_DEFAULT_BASE, 0x160}}, create, reset, event, HPET_TIMERS,
};
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_run(&target, data, size); }
