// SPDX-License-Identifier: MIT
// Fuzzes hw/i8259.c.
#include "hw/i8259.h"

#include <stdlib.h>

#include "tests/fuzz/fuzz.h"

static struct i8259 *pic;
static void create(void) { pic = i8259_create(ports, bench_irq(0)); }
static void reset(void) { i8259_reset(pic); }

static void event(uint8_t a, uint8_t b)
{
    if (a & 0x80) {
        int v = i8259_acknowledge(pic);
        if (v < 0 || v > 255)
            abort();
    } else {
        i8259_set_irq(pic, a & 31, b & 1);
    }
    if (i8259_int_output(pic) != bench_line[0].level)
        abort();
}

static const struct fuzz_target target = {
    "i8259", {{false, 0x20, 2}, {false, 0xa0, 2}, {false, 0x4d0, 2}}, create, reset, event, 0,
};
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_run(&target, data, size); }
