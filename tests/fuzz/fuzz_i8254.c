// SPDX-License-Identifier: MIT
// Fuzzes hw/i8254.c and hw/port_b.c.
#include "hw/i8254.h"

#include "hw/port_b.h"
#include "tests/fuzz/fuzz.h"

static struct i8254 *pit;
static struct port_b *port_b;

static void create(void)
{
    pit = i8254_create(ports, 0x40, bench_irq(0));
    port_b = port_b_create(ports, pit);
}

static void reset(void)
{
    i8254_reset(pit);
    port_b_reset(port_b);
}

static void event(uint8_t a, uint8_t b)
{
    if (a & 0x80)
        i8254_disconnect_irq(pit, b & 1);
    else
        i8254_set_gate(pit, a & 3, b & 1);
}

static const struct fuzz_target target = {
    "i8254", {{false, 0x40, 4}, {false, 0x40, 4}, {false, 0x61, 1}}, create, reset, event, 1,
};
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_run(&target, data, size); }
