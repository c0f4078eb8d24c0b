// SPDX-License-Identifier: MIT
// Fuzzes hw/vga*.c and hw/display.c: registers, memory, and drawing whatever results.
#include "tests/unit/hw/vga_bench.h"

#include <stdlib.h>

#include "tests/fuzz/fuzz.h"

static struct display_reader *reader;

static void create(void)
{
    vga_start(1);
    reader = display_reader_new(screen);
}

// From a mode that shows something, so that bytes change pictures rather than nothing.
static void reset(void)
{
    static const uint8_t irqs[4] = {10, 10, 11, 11};
    pci_bus_reset(vga_bus);
    pci_assign_resources(vga_bus, 0xc000, 0xffff, FRAME_BUFFER, 0xfec00000, irqs);
    vga_set_mode(3);
}

static void draw(void)
{
    struct display_frame f;
    struct display_rect r;
    display_read(reader, &f, &r);
    volatile uint32_t sum = 0;
    for (unsigned i = 0; i < f.width * f.height; i += 4097)
        sum += f.pixels[i];
    for (unsigned i = 0; i < f.text.columns * f.text.rows; i++)
        sum += f.text.cells[i];
    if (r.w && (r.x + r.w > f.width || r.y + r.h > f.height))
        abort();
}

static void event(uint8_t a, uint8_t b)
{
    switch (a >> 6) {
    case 0: vga_set_mode(vga_mode_table[b % vga_mode_count].number); break;
    case 1: dispi(a & 15, (uint16_t)(b << (a >> 4 & 3) * 2)); break;
    case 2: (a & 1 ? gr_write : a & 2 ? sr_write : cr_write)(a >> 2 & 15, b); break;
    default: draw(); break;
    }
}

static const struct fuzz_target target = {
    "vga",
    {{false, 0x3b4, 8},
     {false, 0x3c0, 16},
     {false, 0x3d4, 8},
     {false, 0x1ce, 3},
     {true, 0xa0000, 0x20000},
     {true, FRAME_BUFFER, 1 << 20},
     {true, FRAME_BUFFER + (1 << 20), 4096}},
    create,
    reset,
    event,
    0,
};
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_run(&target, data, size); }
