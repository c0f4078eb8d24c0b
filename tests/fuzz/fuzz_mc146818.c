// SPDX-License-Identifier: MIT
// Fuzzes hw/mc146818.c.
#include "hw/mc146818.h"

#include "tests/fuzz/fuzz.h"

static struct mc146818 *rtc;

static void create(void)
{
    const struct mc146818_config cfg = {
        .ports = ports,
        .base = 0x70,
        .irq = bench_irq(8),
        .time_base = RTC_BASE_DATE,
        .date = 951782399,
        .vm_clock = true,
    };
    rtc = mc146818_create(&cfg);
}

static void reset(void)
{
    for (unsigned i = 0; i < 128; i++)
        mc146818_set_cmos(rtc, i, 0);
    mc146818_set_cmos(rtc, 10, 0x26);
    mc146818_set_cmos(rtc, 11, 0x02);
    mc146818_reset(rtc);
}

// A register by number, which random bytes seldom reach through the index.
static void event(uint8_t a, uint8_t b)
{
    outb(0x70, a & 15);
    outb(0x71, b);
    inb(0x71);
    mc146818_get_time(rtc);
}

static const struct fuzz_target target = {"mc146818", {{false, 0x70, 2}}, create, reset, event, 2};
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_run(&target, data, size); }
