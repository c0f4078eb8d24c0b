// SPDX-License-Identifier: MIT
// Fuzzes hw/i8237.c: devices on every channel that move what they are let.
#include "hw/i8237.h"

#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

static struct i8237 *dma;

static void create(void) { dma = i8237_create(ports, mem); }
static void reset(void) { i8237_reset(dma); }

static void event(uint8_t a, uint8_t b)
{
    static uint8_t buf[70000];
    size_t len = a & 0x80 ? b * 270u : b;
    bool tc;

    size_t n = a & 0x40 ? i8237_read(dma, a & 15, buf, len, &tc) : i8237_write(dma, a & 15, buf, len, &tc);
    if (n > len || (tc && !n))
        abort();
    i8237_set_dreq(dma, a & 7, b & 1);
}

static const struct fuzz_target target = {
    "i8237", {{false, 0, 16}, {false, 0xc0, 32}, {false, 0x80, 16}, {false, 0x480, 16}}, create, reset, event, 0,
};
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_run(&target, data, size); }
