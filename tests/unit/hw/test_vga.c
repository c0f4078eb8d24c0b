// SPDX-License-Identifier: MIT
// Tests of hw/vga.c, hw/vga_regs.c, hw/vga_mem.c: registers, memory accesses, what PCI sees.
#include "tests/unit/hw/vga_bench.h"

static void planar(void)
{
    vga_start(0);
    vga_set_mode(0x12);
}

// One plane's byte, with read mode 0.
static uint8_t plane(unsigned p, uint32_t offset)
{
    gr_write(5, 0);
    gr_write(4, (uint8_t)p);
    return peek(0xa0000 + offset);
}

static void expect_planes(uint32_t offset, uint8_t p0, uint8_t p1, uint8_t p2, uint8_t p3)
{
    const uint8_t want[4] = {p0, p1, p2, p3};
    for (unsigned p = 0; p < 4; p++)
        ck_assert_msg(plane(p, offset) == want[p], "plane %u is %02x", p, plane(p, offset));
}

// All planes to known values, and the latches loaded with them.
static void preset(uint32_t offset)
{
    static const uint8_t old[4] = {0x0f, 0x33, 0x55, 0xf0};
    gr_write(5, 0);
    gr_write(8, 0xff);
    gr_write(3, 0);
    gr_write(1, 0);
    for (unsigned p = 0; p < 4; p++) {
        sr_write(2, (uint8_t)(1 << p));
        poke(0xa0000 + offset, old[p]);
    }
    sr_write(2, 15);
    peek(0xa0000 + offset);
}

START_TEST(register_masks)
{
    static const uint8_t sr[5] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e}, gr[9] = {15, 15, 15, 0x1f, 3, 0x7b, 15, 15, 0xff};
    vga_start(0);
    outb(0x3c2, 1);
    for (unsigned i = 0; i < 5; i++) {
        sr_write(i, 0xff);
        ck_assert_uint_eq(inb(0x3c5), sr[i]);
        ck_assert_uint_eq(inb(0x3c4), i);
    }
    for (unsigned i = 0; i < 9; i++) {
        gr_write(i, 0xff);
        ck_assert_uint_eq(inb(0x3cf), gr[i]);
    }
    outb(0x3da, 0xff);
    ck_assert_uint_eq(inb(0x3ca), 0x10);
    outb(0x3c6, 0x5a);
    ck_assert_uint_eq(inb(0x3c6), 0x5a);
}
END_TEST

START_TEST(crtc_protection)
{
    planar();
    ck_assert_uint_eq(vga_find_mode(0x12)->cr[0x11] & 0x80, 0x80);
    for (unsigned i = 0; i < 8; i++) {
        uint8_t before;
        outb(0x3d4, (uint8_t)i);
        before = inb(0x3d5);
        cr_write(i, (uint8_t)~before);
        ck_assert_uint_eq(inb(0x3d5), i == 7 ? before ^ 0x10 : before);
    }
    cr_write(0x12, 0x77);
    ck_assert_uint_eq(inb(0x3d5), 0x77);
    cr_write(0x11, 0);
    cr_write(0, 0x11);
    ck_assert_uint_eq(inb(0x3d5), 0x11);
}
END_TEST

START_TEST(color_and_mono_addresses)
{
    vga_start(0);
    outb(0x3c2, 0x67);
    outw(0x3d4, 0x5a0f);
    ck_assert_uint_eq(inb(0x3d5), 0x5a);
    ck_assert_uint_eq(inb(0x3b5), 0xff);
    ck_assert_uint_eq(inb(0x3ba), 0xff);
    outw(0x3b4, 0x110f); // nobody listens
    outb(0x3c2, 0x66);
    ck_assert_uint_eq(inb(0x3d5), 0xff);
    ck_assert_uint_eq(inb(0x3b5), 0x5a);
}
END_TEST

START_TEST(attribute_flip_flop)
{
    vga_start(0);
    outb(0x3c2, 0x67);
    inb(0x3da);
    outb(0x3c0, 0x0a);
    outb(0x3c0, 0x3c);
    ck_assert_uint_eq(inb(0x3c1), 0x3c);
    ck_assert_uint_eq(inb(0x3c0), 0x0a);
    outb(0x3d4, 0x24);
    ck_assert_uint_eq(inb(0x3d5) & 0x80, 0);
    outb(0x3c0, 0x0b); // an index again
    ck_assert_uint_eq(inb(0x3d5) & 0x80, 0x80);
    inb(0x3da);
    ck_assert_uint_eq(inb(0x3d5) & 0x80, 0);
    outb(0x3c0, 0x33);
    ck_assert_uint_eq(inb(0x3c0), 0x33);
}
END_TEST

START_TEST(palette_access)
{
    vga_start(0);
    outb(0x3c8, 10);
    ck_assert_uint_eq(inb(0x3c7), 0);
    outb(0x3c9, 1);
    outb(0x3c9, 0xff); // 6 bits
    outb(0x3c7, 10);   // an unfinished colour has no effect
    ck_assert_uint_eq(inb(0x3c7), 3);
    ck_assert_uint_eq(inb(0x3c9), 10);
    outb(0x3c8, 255);
    outb(0x3c9, 1);
    outb(0x3c9, 0xff);
    outb(0x3c9, 3);
    ck_assert_uint_eq(inb(0x3c8), 0); // and on, around
    outb(0x3c7, 255);
    ck_assert_uint_eq(inb(0x3c9), 1);
    ck_assert_uint_eq(inb(0x3c9), 0x3f);
    ck_assert_uint_eq(inb(0x3c9), 3);
    ck_assert_uint_eq(inb(0x3c9), 0); // part 0 of colour 0
}
END_TEST

// Mode 3 scans 449 lines of 900 dots at 28.322 MHz: 70 Hz.
START_TEST(retrace)
{
    unsigned retraces = 0, shown = 0;
    bool was = true;
    vga_start(0);
    vga_set_mode(3);
    for (unsigned i = 0; i < 100000; i++) { // a second
        uint8_t s = inb(0x3da);
        retraces += (s & 8) && !was;
        was = s & 8;
        shown += !(s & 1);
        ck_assert(!(s & 8) || s & 1);
        bench_advance(10000);
    }
    ck_assert_uint_ge(retraces, 69);
    ck_assert_uint_le(retraces, 71);
    ck_assert_uint_gt(shown, 65000); // 400 / 449 * 80 / 100 of the time
    ck_assert_uint_lt(shown, 76000);
}
END_TEST

START_TEST(write_mode_0)
{
    planar();
    preset(5);
    gr_write(3, 3); // rotate right by 3
    poke(0xa0005, 0x81);
    expect_planes(5, 0x30, 0x30, 0x30, 0x30);
    preset(5);
    gr_write(1, 0x06); // planes 1 and 2 from set/reset
    gr_write(0, 0x04);
    gr_write(8, 0x3c);
    poke(0xa0005, 0xff);
    expect_planes(5, 0x3f, 0x03, 0x7d, 0xfc);
    preset(5);
    sr_write(2, 0x09);
    poke(0xa0005, 0xaa);
    expect_planes(5, 0xaa, 0x33, 0x55, 0xaa);
}
END_TEST

START_TEST(write_mode_0_functions)
{
    planar();
    preset(9);
    gr_write(3, 1 << 3);
    poke(0xa0009, 0x3c);
    expect_planes(9, 0x0c, 0x30, 0x14, 0x30);
    preset(9);
    gr_write(3, 2 << 3);
    poke(0xa0009, 0x3c);
    expect_planes(9, 0x3f, 0x3f, 0x7d, 0xfc);
    preset(9);
    gr_write(3, 3 << 3);
    poke(0xa0009, 0x3c);
    expect_planes(9, 0x33, 0x0f, 0x69, 0xcc);
}
END_TEST

START_TEST(write_mode_1)
{
    planar();
    preset(9);
    gr_write(5, 1);
    gr_write(8, 0x00); // is not used
    poke(0xa0100, 0x00);
    expect_planes(0x100, 0x0f, 0x33, 0x55, 0xf0);
    ck_assert_uint_eq(plane(0, 0x101), 0);
}
END_TEST

START_TEST(write_mode_2)
{
    planar();
    preset(9);
    gr_write(5, 2);
    gr_write(8, 0x0f);
    poke(0xa0009, 0xfa); // colour 10
    expect_planes(9, 0x00, 0x3f, 0x50, 0xff);
}
END_TEST

START_TEST(write_mode_3)
{
    planar();
    preset(9);
    gr_write(5, 3);
    gr_write(0, 0x05);
    gr_write(3, 4); // rotate
    gr_write(8, 0x3f);
    poke(0xa0009, 0x0f); // becomes F0h, and 30h with the bit mask
    expect_planes(9, 0x3f, 0x03, 0x75, 0xc0);
}
END_TEST

START_TEST(read_mode_1)
{
    planar();
    preset(9); // 0f 33 55 f0
    gr_write(5, 8);
    gr_write(2, 0x07);
    gr_write(7, 0x0f);
    ck_assert_uint_eq(peek(0xa0009), 0x0f & 0x33 & 0x55 & 0x0f);
    gr_write(7, 0x01);
    ck_assert_uint_eq(peek(0xa0009), 0x0f);
    gr_write(7, 0x00);
    ck_assert_uint_eq(peek(0xa0009), 0xff);
    outb(0x3d4, 0x22); // the latch, by plane
    gr_write(4, 2);
    ck_assert_uint_eq(inb(0x3d5), 0x55);
}
END_TEST

START_TEST(memory_maps)
{
    planar();
    poke(0xa0000, 0x11);
    gr_write(6, 0x05);
    ck_assert_uint_eq(peek(0xb0000), 0xff);
    ck_assert_uint_eq(peek(0xb8000), 0xff);
    ck_assert_uint_eq(peek(0xa0000), 0x11);
    gr_write(6, 0x09);
    ck_assert_uint_eq(peek(0xa0000), 0xff);
    ck_assert_uint_eq(peek(0xb0000), 0x11);
    ck_assert_uint_eq(peek(0xb8000), 0xff);
    gr_write(6, 0x0d);
    ck_assert_uint_eq(peek(0xb0000), 0xff);
    ck_assert_uint_eq(peek(0xb8000), 0x11);
    gr_write(6, 0x01);
    ck_assert_uint_eq(peek(0xa0000), 0x11);
    ck_assert_uint_eq(peek(0xb0000), 0x11); // 64 KiB planes: around
    outb(0x3c2, 0xe1);
    ck_assert_uint_eq(peek(0xa0000), 0x11); // "Enable RAM" off: closes nothing, as with QEMU
}
END_TEST

START_TEST(odd_even)
{
    vga_start(0);
    vga_set_mode(3);
    poke(0xb8004, 0x41);
    poke(0xb8005, 0x1f);
    ck_assert_uint_eq(peek(0xb8004), 0x41);
    ck_assert_uint_eq(peek(0xb8005), 0x1f);
    sr_write(4, 6);
    gr_write(6, 5);
    ck_assert_uint_eq(plane(0, 4), 0x41);
    ck_assert_uint_eq(plane(1, 4), 0x1f);
    ck_assert_uint_eq(plane(0, 5), 0);
    ck_assert_uint_eq(plane(2, 4), 0);
}
END_TEST

START_TEST(chain_4)
{
    vga_start(0);
    vga_set_mode(0x13);
    for (unsigned i = 0; i < 8; i++)
        poke(0xa0000 + i, (uint8_t)(0x50 + i));
    ck_assert_uint_eq(as_load(mem, 0xa0001, 4), 0x54535251);
    ck_assert_uint_eq(readl(FRAME_BUFFER + 4), 0x57565554);
    sr_write(4, 6);
    expect_planes(1, 0x54, 0x55, 0x56, 0x57);
    sr_write(4, 14);
    sr_write(2, 5); // planes 0 and 2 only
    as_store(mem, 0xa0000, 0xffffffff, 4);
    ck_assert_uint_eq(as_load(mem, 0xa0000, 4), 0x53ff51ff);
}
END_TEST

static bool window_is_ram(uint32_t a) { return as_ram_ptr(mem, a, true, NULL); }

START_TEST(linear_window)
{
    vga_start(0);
    vga_set_mode(0x13);
    ck_assert(!window_is_ram(0xa0000));
    for (unsigned i = 0; i < 0x10000; i++)
        poke(0xa0000 + i, (uint8_t)(i * 7 ^ i >> 8));
    ck_assert(window_is_ram(0xa0000));
    ck_assert(window_is_ram(0xaffff));
    ck_assert(!window_is_ram(0xb0000));
    for (unsigned i = 0; i < 0x10000; i++)
        ck_assert_uint_eq(peek(0xa0000 + i), (uint8_t)(i * 7 ^ i >> 8));
    // Whatever comes between CPU and memory takes the window away.
    sr_write(2, 1);
    ck_assert(!window_is_ram(0xa0000));
    as_store(mem, 0xa0000, 0xaaaaaaaa, 4);
    ck_assert_uint_eq(as_load(mem, 0xa0000, 4), 0x150e07aa);
    static const uint8_t blockers[][2] = {{5, 0x41}, {5, 0x48}, {8, 0xfe}, {3, 8}, {3, 1}, {1, 1}, {6, 0x0d}};
    for (unsigned i = 0; i < ARRAY_SIZE(blockers); i++) {
        vga_set_mode(0x13);
        for (unsigned k = 0; k < 100; k++)
            peek(0xa0000);
        ck_assert(window_is_ram(0xa0000));
        gr_write(blockers[i][0], blockers[i][1]);
        ck_assert_msg(!window_is_ram(0xa0000), "GR%u = %x", blockers[i][0], blockers[i][1]);
    }
}
END_TEST

START_TEST(text_window)
{
    vga_start(0);
    vga_set_mode(3);
    for (unsigned i = 0; i < 0x8000; i++)
        poke(0xb8000 + i, (uint8_t)(i * 5 ^ i >> 8));
    ck_assert(window_is_ram(0xb8000));
    ck_assert(!window_is_ram(0xa0000));
    for (unsigned i = 0; i < 0x8000; i++)
        ck_assert_uint_eq(peek(0xb8000 + i), (uint8_t)(i * 5 ^ i >> 8));
    // Behind it are planes 0 and 1, even offsets.
    gr_write(6, 5);
    ck_assert(!window_is_ram(0xb8000));
    sr_write(4, 6);
    for (unsigned i = 0; i < 0x8000; i += 2) {
        ck_assert_uint_eq(plane(0, i), (uint8_t)(i * 5 ^ i >> 8));
        ck_assert_uint_eq(plane(1, i), (uint8_t)((i + 1) * 5 ^ (i + 1) >> 8));
    }
    // And back: what was written to the planes is in the window.
    sr_write(2, 1);
    poke(0xa0042, 0x99);
    vga_set_mode(3);
    ck_assert_uint_eq(peek(0xb8042), 0x99);
    for (unsigned k = 0; k < 100; k++)
        ck_assert_uint_eq(peek(0xb8042), 0x99);
    ck_assert(window_is_ram(0xb8000));
}
END_TEST

// The window goes where the memory map says now.
START_TEST(window_moves_with_the_memory_map)
{
    vga_start(0);
    vga_set_mode(3);
    for (unsigned k = 0; k < 100; k++)
        as_store(mem, 0xb8000 + 2 * k, 0x0700 + k, 2);
    ck_assert(window_is_ram(0xb8000));
    gr_write(6, 0x0a); // B0000h, as a monochrome adapter
    ck_assert(!window_is_ram(0xb8000));
    ck_assert_uint_eq(as_load(mem, 0xb8002, 2), 0xffff);
    ck_assert_uint_eq(as_load(mem, 0xb0002, 2), 0x0701);
    as_store(mem, 0xb0002, 0x0755, 2);
    gr_write(6, 0x0e);
    for (unsigned k = 0; k < 100; k++)
        ck_assert_uint_eq(as_load(mem, 0xb8002, 2), 0x0755);
    ck_assert(window_is_ram(0xb8000));
}
END_TEST

START_TEST(font_loading_beside_text)
{
    vga_start(0);
    vga_set_mode(3);
    for (unsigned i = 0; i < 200; i++)
        as_store(mem, 0xb8000 + 2 * i, 0x0700 + i, 2);
    sr_write(2, 4); // as a BIOS loads a font
    sr_write(4, 7);
    gr_write(4, 2);
    gr_write(5, 0);
    gr_write(6, 4);
    for (unsigned i = 0; i < 32; i++)
        poke(0xa0000 + 65 * 32 + i, (uint8_t)(i + 1));
    ck_assert_uint_eq(peek(0xa0000 + 65 * 32 + 3), 4);
    sr_write(2, 3);
    sr_write(4, 2);
    gr_write(4, 0);
    gr_write(5, 0x10);
    gr_write(6, 0x0e);
    for (unsigned i = 0; i < 200; i++)
        ck_assert_uint_eq(as_load(mem, 0xb8000 + 2 * i, 2), 0x0700 + i);
}
END_TEST

START_TEST(pci_identity)
{
    vga_start(0);
    struct pci_device *d = pci_find(vga_bus, 2 << 3);
    ck_assert_ptr_nonnull(d);
    static const uint8_t id[] = {0x34, 0x12, 0x11, 0x11};
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_eq(d->config[i], id[i]);
    ck_assert_uint_eq(d->config[8], 2);
    ck_assert_uint_eq(d->config[11], 3);
    ck_assert_uint_eq(d->bar[0].size, 16 << 20);
    ck_assert_uint_eq(d->bar[2].size, 4096);
    ck_assert(window_is_ram(FRAME_BUFFER));
    ck_assert(window_is_ram(FRAME_BUFFER + (16 << 20) - 1));
    ck_assert(!window_is_ram((uint32_t)d->bar[2].addr));
}
END_TEST

START_TEST(edid)
{
    vga_start(0);
    uint32_t bar2 = (uint32_t)pci_find(vga_bus, 2 << 3)->bar[2].addr;
    unsigned sum = 0;
    ck_assert_uint_eq(readl(bar2), 0xffffff00);
    ck_assert_uint_eq(readl(bar2 + 4), 0x00ffffff);
    for (unsigned i = 0; i < 128; i++)
        sum += peek(bar2 + i);
    ck_assert_uint_eq(sum & 0xff, 0);
    // The preferred timing: 1280 x 800.
    ck_assert_uint_eq(peek(bar2 + 56) | (peek(bar2 + 58) & 0xf0u) << 4, 1280);
    ck_assert_uint_eq(peek(bar2 + 59) | (peek(bar2 + 61) & 0xf0u) << 4, 800);
}
END_TEST

START_TEST(mmio_registers)
{
    vga_start(0);
    uint32_t bar2 = (uint32_t)pci_find(vga_bus, 2 << 3)->bar[2].addr;
    as_store(mem, bar2 + 0x402, 0x67, 1);
    ck_assert_uint_eq(inb(0x3cc), 0x67);
    as_store(mem, bar2 + 0x414, 0x5a0f, 2); // index and data at once
    outb(0x3d4, 0x0f);
    ck_assert_uint_eq(inb(0x3d5), 0x5a);
    ck_assert_uint_eq(as_load(mem, bar2 + 0x500, 2), 0xb0c5);
    as_store(mem, bar2 + 0x502, 1024, 2);
    ck_assert_uint_eq(dispi_read(1), 1024);
    ck_assert_uint_eq(as_load(mem, bar2 + 0x514, 2), 256);
    ck_assert_uint_eq(readl(bar2 + 0x600), 8);
    ck_assert_uint_eq(readl(bar2 + 0x604), 0x1e1e1e1e);
    writel(bar2 + 0x604, 0xbebebebe);
    ck_assert_uint_eq(readl(bar2 + 0x604), 0xbebebebe);
    writel(bar2 + 0x604, 0x12345678);
    ck_assert_uint_eq(readl(bar2 + 0x604), 0xbebebebe);
    ck_assert_uint_eq(readl(bar2 + 0xf00), 0xffffffff);
}
END_TEST

START_TEST(reset_state)
{
    vga_start(0);
    vga_set_mode(0x13);
    vbe_mode(640, 480, 32, 0x40);
    for (unsigned i = 0; i < 100; i++)
        poke(0xa0000, 1);
    pci_bus_reset(vga_bus);
    ck_assert(!window_is_ram(0xa0000));
    ck_assert_uint_eq(dispi_read(4), 0);
    ck_assert_uint_eq(inb(0x3cc), 0);
    look();
    ck_assert_uint_eq(pixel(0, 0), 0);
}
END_TEST

int main(void)
{
    // clang-format off
    const TTest *const tests[] = {
        register_masks, crtc_protection, color_and_mono_addresses, attribute_flip_flop, palette_access, retrace,
        write_mode_0, write_mode_0_functions, write_mode_1, write_mode_2, write_mode_3, read_mode_1, memory_maps,
        odd_even, chain_4, linear_window, text_window, window_moves_with_the_memory_map, font_loading_beside_text, pci_identity, edid, mmio_registers,
        reset_state,
    };
    // clang-format on
    return bench_main("vga", tests, ARRAY_SIZE(tests));
}
