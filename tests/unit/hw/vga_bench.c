// SPDX-License-Identifier: MIT
// A VGA on the bench: see vga_bench.h.
#include "tests/unit/hw/vga_bench.h"

#include <stdlib.h>

#define PLANAR_PALETTE 0, 1, 2, 3, 4, 5, 6, 7, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17
#define COLOR_PALETTE 0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f
#define MONO_PALETTE 0, 8, 8, 8, 8, 8, 8, 8, 0x10, 0x18, 0x18, 0x18, 0x18, 0x18, 0x18, 0x18
// clang-format off
#define TEXT_GR {0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff}
#define PLANAR_GR {0, 0, 0, 0, 0, 0, 0x05, 0x0f, 0xff}
// clang-format on
#define CURSOR_TEXT 0x0d, 0x0e
#define V400 0x9c, 0x8e, 0x8f

// "PS/2 Hardware Interface Technical Reference - Video Subsystem", "VGA Function", BIOS mode tables.
// clang-format off
const struct vga_mode_regs vga_mode_table[] = {
    {0x01, 0x67, {3, 8, 3, 0, 2},
     {0x2d, 0x27, 0x28, 0x90, 0x2b, 0xa0, 0xbf, 0x1f, 0, 0x4f, CURSOR_TEXT, 0, 0, 0, 0, V400, 0x14, 0x1f, 0x96, 0xb9,
      0xa3, 0xff},
     TEXT_GR, {COLOR_PALETTE, 0x0c, 0, 0x0f, 8, 0}},
    {0x03, 0x67, {3, 0, 3, 0, 2},
     {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0, 0x4f, CURSOR_TEXT, 0, 0, 0, 0, V400, 0x28, 0x1f, 0x96, 0xb9,
      0xa3, 0xff},
     TEXT_GR, {COLOR_PALETTE, 0x0c, 0, 0x0f, 8, 0}},
    {0x04, 0x63, {3, 9, 3, 0, 2},
     {0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0, 0xc1, 0, 0, 0, 0, 0, 0, V400, 0x14, 0, 0x96, 0xb9, 0xa2,
      0xff},
     {0, 0, 0, 0, 0, 0x30, 0x0f, 0, 0xff},
     {0, 0x13, 0x15, 0x17, 2, 4, 6, 7, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 1, 0, 3, 0, 0}},
    {0x06, 0x63, {3, 1, 1, 0, 6},
     {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0xc1, 0, 0, 0, 0, 0, 0, V400, 0x28, 0, 0x96, 0xb9, 0xc2,
      0xff},
     {0, 0, 0, 0, 0, 0, 0x0d, 0, 0xff},
     {0, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 1, 0, 1, 0, 0}},
    {0x07, 0x66, {3, 0, 3, 0, 2},
     {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0, 0x4f, CURSOR_TEXT, 0, 0, 0, 0, V400, 0x28, 0x0d, 0x96, 0xb9,
      0xa3, 0xff},
     {0, 0, 0, 0, 0, 0x10, 0x0a, 0, 0xff}, {MONO_PALETTE, 0x0e, 0, 0x0f, 8, 0}},
    {0x0d, 0x63, {3, 9, 15, 0, 6},
     {0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0, 0xc0, 0, 0, 0, 0, 0, 0, V400, 0x14, 0, 0x96, 0xb9, 0xe3,
      0xff},
     PLANAR_GR, {PLANAR_PALETTE, 1, 0, 0x0f, 0, 0}},
    {0x0e, 0x63, {3, 1, 15, 0, 6},
     {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0xc0, 0, 0, 0, 0, 0, 0, V400, 0x28, 0, 0x96, 0xb9, 0xe3,
      0xff},
     PLANAR_GR, {PLANAR_PALETTE, 1, 0, 0x0f, 0, 0}},
    {0x0f, 0xa2, {3, 1, 15, 0, 6},
     {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0x40, 0, 0, 0, 0, 0, 0, 0x83, 0x85, 0x5d, 0x28, 0x0f, 0x63,
      0xba, 0xe3, 0xff},
     PLANAR_GR, {0, 8, 0, 0, 0x18, 0x18, 0, 0, 0, 8, 0, 0, 0, 0x18, 0, 0, 0x0b, 0, 5, 0, 0}},
    {0x10, 0xa3, {3, 1, 15, 0, 6},
     {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0x40, 0, 0, 0, 0, 0, 0, 0x83, 0x85, 0x5d, 0x28, 0x0f, 0x63,
      0xba, 0xe3, 0xff},
     PLANAR_GR, {COLOR_PALETTE, 1, 0, 0x0f, 0, 0}},
    {0x11, 0xe3, {3, 1, 15, 0, 6},
     {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0, 0x40, 0, 0, 0, 0, 0, 0, 0xea, 0x8c, 0xdf, 0x28, 0, 0xe7, 4,
      0xe3, 0xff},
     {0, 0, 0, 0, 0, 0, 5, 1, 0xff},
     {0, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 1, 0, 15, 0, 0}},
    {0x12, 0xe3, {3, 1, 15, 0, 6},
     {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0, 0x40, 0, 0, 0, 0, 0, 0, 0xea, 0x8c, 0xdf, 0x28, 0, 0xe7, 4,
      0xe3, 0xff},
     PLANAR_GR, {COLOR_PALETTE, 1, 0, 0x0f, 0, 0}},
    {0x13, 0x63, {3, 1, 15, 0, 14},
     {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0x41, 0, 0, 0, 0, 0, 0, V400, 0x28, 0x40, 0x96, 0xb9, 0xa3,
      0xff},
     {0, 0, 0, 0, 0, 0x40, 5, 15, 0xff}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x41, 0, 15, 0, 0}},
};
// clang-format on
const unsigned vga_mode_count = ARRAY_SIZE(vga_mode_table);

struct vga *vga;
struct display *screen;
struct display_frame frame;
struct display_rect dirty;
struct pci_bus *vga_bus;
static struct display_reader *reader;
static const struct vga_mode_regs *current;

static void set_pirq(void *opaque, unsigned pirq, bool level) {}
static void send_msi(void *opaque, uint64_t addr, uint32_t data) {}

static uint8_t dac_part(unsigned n, unsigned part) { return (uint8_t)((n * (2 * part + 1) + 21 * part) & 63); }

static uint32_t six_to_eight(uint32_t c) { return c << 2 | (c & 1) * 3; }

uint32_t dac_color(unsigned n)
{
    return six_to_eight(dac_part(n, 0)) << 16 | six_to_eight(dac_part(n, 1)) << 8 | six_to_eight(dac_part(n, 2));
}

uint32_t attr_color(unsigned n) { return dac_color(current->ar[n]); }

void vga_start(unsigned vgamem_mb)
{
    const struct pci_bus_config pc = {.mem = mem, .ports = ports, .set_pirq = set_pirq, .send_msi = send_msi};
    static const uint8_t irqs[4] = {10, 10, 11, 11};
    vga_bus = pci_bus_create(&pc);
    screen = display_create();
    const struct vga_config vc = {
        .mem = mem, .ports = ports, .bus = vga_bus, .devfn = 2 << 3, .display = screen, .vgamem_mb = vgamem_mb};
    if (vga_create(&vc, &vga))
        abort(); // not Check's: the fuzzer runs here, too
    pci_bus_reset(vga_bus);
    pci_assign_resources(vga_bus, 0xc000, 0xffff, FRAME_BUFFER, 0xfec00000, irqs);
    reader = display_reader_new(screen);
    outb(0x3c8, 0);
    for (unsigned i = 0; i < 256 * 3; i++)
        outb(0x3c9, dac_part(i / 3, i % 3));
}

void sr_write(unsigned n, uint8_t v) { outw(0x3c4, (uint16_t)(v << 8 | n)); }
void gr_write(unsigned n, uint8_t v) { outw(0x3ce, (uint16_t)(v << 8 | n)); }

static uint16_t crtc(void) { return inb(0x3cc) & 1 ? 0x3d4 : 0x3b4; }

void cr_write(unsigned n, uint8_t v) { outw(crtc(), (uint16_t)(v << 8 | n)); }

void ar_write(unsigned n, uint8_t v)
{
    inb((uint16_t)(crtc() + 6));
    outb(0x3c0, (uint8_t)n);
    outb(0x3c0, v);
    outb(0x3c0, 0x20);
}

const struct vga_mode_regs *vga_find_mode(unsigned number)
{
    for (unsigned i = 0; i < vga_mode_count; i++)
        if (vga_mode_table[i].number == number)
            return &vga_mode_table[i];
    abort();
}

void vga_set_mode(unsigned number)
{
    const struct vga_mode_regs *m = current = vga_find_mode(number);
    outb(0x3c2, m->misc);
    for (unsigned i = 0; i < 5; i++)
        sr_write(i, m->sr[i]);
    cr_write(0x11, 0); // lift the protection of 0 to 7
    for (unsigned i = 0; i < 25; i++)
        cr_write(i, m->cr[i]);
    for (unsigned i = 0; i < 9; i++)
        gr_write(i, m->gr[i]);
    for (unsigned i = 0; i < 21; i++)
        ar_write(i, m->ar[i]);
}

void dispi(unsigned n, uint16_t v)
{
    outw(0x1ce, (uint16_t)n);
    outw(0x1cf, v);
}

uint16_t dispi_read(unsigned n)
{
    outw(0x1ce, (uint16_t)n);
    return inw(0x1cf);
}

void vbe_mode(unsigned width, unsigned height, unsigned bpp, unsigned flags)
{
    dispi(4, 0);
    dispi(1, (uint16_t)width);
    dispi(2, (uint16_t)height);
    dispi(3, (uint16_t)bpp);
    dispi(4, (uint16_t)(1 | flags));
    inb(0x3da);
    inb(0x3ba);
    outb(0x3c0, 0x20); // the screen on
}

void look(void) { display_read(reader, &frame, &dirty); }

uint32_t pixel(unsigned x, unsigned y)
{
    ck_assert_uint_lt(x, frame.width);
    ck_assert_uint_lt(y, frame.height);
    return frame.pixels[y * frame.width + x];
}

void expect_pixel(unsigned x, unsigned y, uint32_t want)
{
    if (x >= frame.width || y >= frame.height || frame.pixels[y * frame.width + x] != want)
        ck_abort_msg("%u,%u is %06x, not %06x", x, y, pixel(x, y), want);
}

uint32_t screen_crc(void)
{
    uint32_t crc = ~0u;
    for (unsigned i = 0; i < frame.width * frame.height * 4; i++) {
        crc ^= frame.pixels[i / 4] >> 8 * (i % 4) & 0xff;
        for (unsigned k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}
