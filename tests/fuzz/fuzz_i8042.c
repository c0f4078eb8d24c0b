// SPDX-License-Identifier: MIT
// Fuzzes hw/i8042.c, hw/ps2_kbd.c and hw/ps2_mouse.c.
#include "hw/i8042.h"

#include "tests/fuzz/fuzz.h"

static struct i8042 *kbc;
static void on_reset(void *opaque) {}
static void on_a20(void *opaque, bool on) {}

static void create(void)
{
    const struct i8042_config cfg = {
        .ports = ports,
        .irq_kbd = bench_irq(1),
        .irq_aux = bench_irq(12),
        .reset = on_reset,
        .set_a20 = on_a20,
    };
    kbc = i8042_create(&cfg);
}

static void reset(void) { i8042_reset(kbc); }

static void event(uint8_t a, uint8_t b)
{
    if ((a & 0xc0) == 0x40) { // a command to the mouse, which random ports seldom make up
        outb(0x64, 0xd4);
        outb(0x60, a & 1 ? 0xe6 + b % 26 : b);
    } else if (a & 0x80)
        mouse_send_event(kbc, (int)((uint32_t)a << 24), (int)((uint32_t)b << 24) >> (a & 15), (int8_t)b, b);
    else
        kbd_send_scancode(kbc, (uint16_t)((a & 2 ? 0xe000 : a & 4 ? 0xe100 : 0) | b), a & 1);
}

static const struct fuzz_target target = {
    "i8042", {{false, 0x60, 1}, {false, 0x64, 1}}, create, reset, event, 1,
};
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_run(&target, data, size); }
