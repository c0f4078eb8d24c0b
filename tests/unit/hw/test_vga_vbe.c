// SPDX-License-Identifier: MIT
// Tests of hw/vga_vbe.c: DISPI registers, every depth, banks, virtual screens.
#include "tests/unit/hw/vga_bench.h"

enum { ID, XRES, YRES, BPP, ENABLE, BANK, VIRT_WIDTH, VIRT_HEIGHT, X_OFFSET, Y_OFFSET, MEMORY_64K };
enum { GETCAPS = 2, DAC8 = 0x20, LFB = 0x40, NOCLEAR = 0x80 };

START_TEST(identity)
{
    vga_start(0);
    ck_assert_uint_eq(dispi_read(ID), 0xb0c5);
    for (unsigned id = 0xb0c0; id <= 0xb0c5; id++) {
        dispi(ID, (uint16_t)id);
        ck_assert_uint_eq(dispi_read(ID), id);
    }
    dispi(ID, 0xb0c6);
    ck_assert_uint_eq(dispi_read(ID), 0xb0c5);
    ck_assert_uint_eq(dispi_read(MEMORY_64K), 256);
    dispi(ENABLE, GETCAPS);
    ck_assert_uint_eq(dispi_read(XRES), 2560);
    ck_assert_uint_eq(dispi_read(YRES), 1600);
    ck_assert_uint_eq(dispi_read(BPP), 32);
    ck_assert_uint_eq(dispi_read(99), 0);
}
END_TEST

// The registers' ports overlap at 1CFh.
START_TEST(index_and_data)
{
    vga_start(0);
    outw(0x1ce, XRES);
    outw(0x1cf, 1024);
    outw(0x1ce, YRES);
    outw(0x1cf, 768);
    ck_assert_uint_eq(inw(0x1ce), YRES);
    ck_assert_uint_eq(inw(0x1cf), 768);
    outw(0x1ce, XRES);
    ck_assert_uint_eq(inw(0x1cf), 1024);
}
END_TEST

static uint32_t five(uint32_t c) { return (c & 31) << 3 | (c & 31) >> 2; }
static uint32_t six(uint32_t c) { return (c & 63) << 2 | (c & 63) >> 4; }

static uint32_t expected(unsigned bpp, uint32_t v)
{
    switch (bpp) {
    case 8: return dac_color(v & 0xff);
    case 15: return five(v >> 10) << 16 | five(v >> 5) << 8 | five(v);
    case 16: return five(v >> 11) << 16 | six(v >> 5) << 8 | five(v);
    default: return v & 0xffffff;
    }
}

static void check_depth(unsigned width, unsigned height, unsigned bpp)
{
    unsigned bytes = (bpp + 7) / 8;
    vga_start(0);
    vbe_mode(width, height, bpp, LFB);
    for (unsigned y = 0; y < height; y += 7)
        for (unsigned x = 0; x < width; x++) {
            uint32_t v = x * 0x010203 + y * 0x050001;
            as_write(mem, FRAME_BUFFER + (y * width + x) * bytes, &v, bytes);
        }
    look();
    ck_assert_uint_eq(frame.width, width);
    ck_assert_uint_eq(frame.height, height);
    ck_assert_uint_eq(frame.text.columns, 0);
    for (unsigned y = 0; y < height; y++)
        for (unsigned x = 0; x < width; x++)
            expect_pixel(x, y, expected(bpp, y % 7 ? 0 : x * 0x010203 + y * 0x050001));
    look();
    ck_assert_uint_eq(dirty.w, 0);
    uint32_t v = ~0u;
    as_write(mem, FRAME_BUFFER + (9 * width + 3) * bytes, &v, bytes);
    look();
    ck_assert_uint_eq(dirty.x, 3);
    ck_assert_uint_eq(dirty.y, 9);
    ck_assert_uint_eq(dirty.w * dirty.h, 1);
    ck_assert_uint_eq(pixel(3, 9), expected(bpp, v));
}

START_TEST(depth_8) { check_depth(640, 480, 8); }
END_TEST
START_TEST(depth_15) { check_depth(800, 600, 15); }
END_TEST
START_TEST(depth_16) { check_depth(800, 600, 16); }
END_TEST
START_TEST(depth_24) { check_depth(1024, 768, 24); }
END_TEST
START_TEST(depth_32) { check_depth(1280, 1024, 32); }
END_TEST
START_TEST(largest) { check_depth(2560, 1600, 32); }
END_TEST

START_TEST(depth_4)
{
    vga_start(0);
    vga_set_mode(0x12); // for the attribute palette
    vbe_mode(800, 600, 4, 0);
    for (unsigned y = 0; y < 600; y++)
        for (unsigned p = 0; p < 4; p++) {
            sr_write(2, (uint8_t)(1 << p));
            as_store(mem, 0xa0000 + y * 100, y >> p & 1 ? 0xff : 0, 1);
        }
    look();
    ck_assert_uint_eq(frame.width, 800);
    for (unsigned y = 0; y < 600; y++) {
        ck_assert_uint_eq(pixel(7, y), attr_color(y & 15));
        ck_assert_uint_eq(pixel(8, y), attr_color(0));
    }
}
END_TEST

START_TEST(wide_dac)
{
    vga_start(0);
    vbe_mode(640, 480, 8, DAC8);
    outb(0x3c8, 0);
    outb(0x3c9, 0xfe);
    outb(0x3c9, 0x81);
    outb(0x3c9, 0x7f);
    look();
    ck_assert_uint_eq(pixel(0, 0), 0xfe817f);
}
END_TEST

START_TEST(banks)
{
    vga_start(0);
    vbe_mode(1024, 768, 8, 0);
    for (unsigned bank = 0; bank < 12; bank++) {
        dispi(BANK, (uint16_t)bank);
        for (unsigned i = 0; i < 0x10000; i += 4)
            as_store(mem, 0xa0000 + i, bank * 0x01010101u + i, 4);
    }
    for (unsigned bank = 0; bank < 12; bank++)
        for (unsigned i = 0; i < 0x10000; i += 4)
            if (readl(FRAME_BUFFER + bank * 0x10000 + i) != bank * 0x01010101u + i)
                ck_abort_msg("bank %u, offset %x", bank, i);
    dispi(BANK, 3);
    ck_assert_uint_eq(as_load(mem, 0xa0004, 4), 0x03030307);
}
END_TEST

START_TEST(virtual_screen)
{
    vga_start(0);
    vbe_mode(640, 480, 16, LFB);
    ck_assert_uint_eq(dispi_read(VIRT_WIDTH), 640);
    ck_assert_uint_eq(dispi_read(VIRT_HEIGHT), (16 << 20) / 1280);
    dispi(VIRT_WIDTH, 1024);
    ck_assert_uint_eq(dispi_read(VIRT_HEIGHT), (16 << 20) / 2048);
    dispi(X_OFFSET, 100);
    dispi(Y_OFFSET, 50);
    as_store(mem, FRAME_BUFFER + 50 * 2048 + 100 * 2, 0xffff, 2);
    as_store(mem, FRAME_BUFFER + 529 * 2048 + 739 * 2, 0xf800, 2);
    look();
    ck_assert_uint_eq(pixel(0, 0), 0xffffff);
    ck_assert_uint_eq(pixel(639, 479), 0xff0000);
    dispi(X_OFFSET, 0xffff);
    dispi(Y_OFFSET, 0xffff);
    ck_assert_uint_eq(dispi_read(X_OFFSET), 1024 - 640);
    ck_assert_uint_eq(dispi_read(Y_OFFSET), 8192 - 480);
    look();
}
END_TEST

START_TEST(clearing)
{
    vga_start(0);
    vbe_mode(640, 480, 32, LFB);
    writel(FRAME_BUFFER, 0x123456);
    vbe_mode(640, 480, 32, LFB | NOCLEAR);
    ck_assert_uint_eq(readl(FRAME_BUFFER), 0x123456);
    vbe_mode(640, 480, 32, LFB);
    ck_assert_uint_eq(readl(FRAME_BUFFER), 0);
}
END_TEST

START_TEST(absurd_geometry)
{
    vga_start(1);
    vbe_mode(0, 0, 0, LFB);
    ck_assert_uint_ge(dispi_read(XRES), 8);
    ck_assert_uint_eq(dispi_read(BPP), 8);
    look();
    vbe_mode(0xffff, 0xffff, 32, LFB);
    ck_assert_uint_eq(dispi_read(XRES), 2560);
    ck_assert_uint_eq(dispi_read(YRES), (1 << 20) / 2560 / 4); // what fits
    look();
    ck_assert_uint_eq(frame.height, (1 << 20) / 2560 / 4);
    dispi(VIRT_WIDTH, 0xffff);
    ck_assert_uint_eq(dispi_read(VIRT_WIDTH), 16000);
    look();
    dispi(BANK, 0xffff);
    as_store(mem, 0xa0000, 1, 1);
    for (unsigned seed = 1; seed < 3000; seed++) {
        uint32_t r = seed * 2654435761u;
        dispi(r >> 28, (uint16_t)(r >> 4 & (r & 8 ? 0xffff : 0x47)));
        as_store(mem, 0xa0000 + (r >> 8 & 0x1ffff), r, 4);
        if (!(seed % 8))
            look();
    }
}
END_TEST

START_TEST(big_endian)
{
    vga_start(0);
    vbe_mode(640, 480, 32, LFB);
    as_store(mem, pci_find(vga_bus, 2 << 3)->bar[2].addr + 0x604, 0xbebebebe, 4);
    writel(FRAME_BUFFER, 0x33221100);
    look();
    ck_assert_uint_eq(pixel(0, 0), 0x112233);
}
END_TEST

START_TEST(back_to_text)
{
    vga_start(0);
    vga_set_mode(3);
    vbe_mode(800, 600, 32, LFB);
    look();
    ck_assert_uint_eq(frame.width, 800);
    dispi(ENABLE, 0);
    vga_set_mode(3);
    look();
    ck_assert_uint_eq(frame.width, 720);
    ck_assert_uint_eq(frame.text.columns, 80);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        identity, index_and_data, depth_8, depth_15,       depth_16, depth_24,        depth_32,   largest,
        depth_4,  wide_dac,       banks,   virtual_screen, clearing, absurd_geometry, big_endian, back_to_text,
    };
    return bench_main("vga_vbe", tests, ARRAY_SIZE(tests));
}
