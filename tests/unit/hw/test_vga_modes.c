// SPDX-License-Identifier: MIT
// Tests of hw/vga_render.c, hw/vga_text.c, hw/vga_graphics.c: every standard mode, pixel by pixel, and what else
// the CRT controller can do with it.
#include "tests/unit/hw/vga_bench.h"

// A font in which every line of every character is different.
static uint8_t glyph(unsigned bank, unsigned ch, unsigned line)
{
    return (uint8_t)(ch * 37 + line * 11 + bank * 101 + (ch ^ line));
}

static void load_font(unsigned map, unsigned bank)
{
    unsigned base = (map & 3) * 0x4000 + (map >> 2) * 0x2000;
    sr_write(2, 4);
    sr_write(4, 7);
    gr_write(5, 0);
    gr_write(6, 4);
    for (unsigned i = 0; i < 256 * 32; i++)
        poke(0xa0000 + base + i, glyph(bank, i / 32, i % 32));
}

static void start(unsigned mode)
{
    vga_start(0);
    bench_now = 0; // the first half second: cursor on, blinking characters shown
    vga_set_mode(mode);
    if (!(vga_find_mode(mode)->gr[6] & 1)) {
        load_font(0, 0);
        vga_set_mode(mode);
        cr_write(0x0a, 0x20);
    }
}

static uint32_t text_base = 0xb8000;

static void put(unsigned cell, unsigned ch, unsigned attr) { as_store(mem, text_base + 2 * cell, ch | attr << 8, 2); }

// What one dot of a cell of 8 or 9 dots must be.
static uint32_t text_dot(unsigned bank, unsigned ch, unsigned attr, unsigned x, unsigned line)
{
    unsigned bits = glyph(bank, ch, line) << 1;
    if (ch >= 0xc0 && ch <= 0xdf)
        bits |= bits >> 1 & 1;
    return attr_color(bits >> (8 - x) & 1 ? attr & 15 : attr >> 4 & 7);
}

START_TEST(text_80x25)
{
    start(3);
    for (unsigned i = 0; i < 2000; i++)
        put(i, i & 0xff, (i * 7 / 3) & 0x7f);
    look();
    ck_assert_uint_eq(frame.width, 720);
    ck_assert_uint_eq(frame.height, 400);
    for (unsigned y = 0; y < 400; y++)
        for (unsigned x = 0; x < 720; x++) {
            unsigned i = y / 16 * 80 + x / 9;
            uint32_t want = text_dot(0, i & 0xff, (i * 7 / 3) & 0x7f, x % 9, y % 16);
            expect_pixel(x, y, want);
        }
    ck_assert_uint_eq(frame.text.columns, 80);
    ck_assert_uint_eq(frame.text.rows, 25);
    for (unsigned i = 0; i < 2000; i++)
        ck_assert_uint_eq(frame.text.cells[i], (i & 0xff) | ((i * 7 / 3) & 0x7f) << 8);
    ck_assert(!frame.text.cursor_shown);
}
END_TEST

START_TEST(text_crc)
{
    start(3);
    for (unsigned i = 0; i < 2000; i++)
        put(i, i & 0xff, (i * 7 / 3) & 0x7f);
    look();
    ck_assert_uint_eq(screen_crc(), 0x464256bb); // of a screen that text_80x25 has checked
}
END_TEST

START_TEST(text_only_changes)
{
    start(3);
    for (unsigned i = 0; i < 2000; i++)
        put(i, 'A', 7);
    look();
    ck_assert_uint_eq(dirty.w, 720);
    look();
    ck_assert_uint_eq(dirty.w, 0);
    put(3 * 80 + 5, 'B', 7);
    put(4 * 80 + 7, 'B', 7);
    look();
    ck_assert_uint_eq(dirty.x, 45);
    ck_assert_uint_eq(dirty.y, 48);
    ck_assert_uint_eq(dirty.w, 27);
    ck_assert_uint_eq(dirty.h, 32);
    // The palette changes everything; so does the font.
    outb(0x3c8, 0);
    outb(0x3c9, 63);
    outb(0x3c9, 63);
    outb(0x3c9, 63);
    look();
    ck_assert_uint_eq(dirty.w, 720);
    ck_assert_uint_eq(dirty.h, 400);
    load_font(0, 1);
    vga_set_mode(3);
    look();
    ck_assert_uint_eq(pixel(3 * 9, 5), glyph(1, 'A', 5) & 0x80 ? attr_color(7) : 0xffffff);
}
END_TEST

START_TEST(text_40x25)
{
    start(1);
    put(41, 'Q', 0x2e);
    look();
    ck_assert_uint_eq(frame.width, 640);
    ck_assert_uint_eq(frame.height, 400);
    ck_assert_uint_eq(frame.text.columns, 40);
    for (unsigned y = 0; y < 16; y++)
        for (unsigned x = 0; x < 16; x++)
            ck_assert_uint_eq(pixel(16 + x, 16 + y), text_dot(0, 'Q', 0x2e, x / 2, y));
}
END_TEST

START_TEST(text_8_dots)
{
    start(3);
    sr_write(1, 1);
    ar_write(0x13, 0);
    put(82, 0xc4, 0x1f);
    look();
    ck_assert_uint_eq(frame.width, 640);
    for (unsigned y = 0; y < 16; y++)
        for (unsigned x = 0; x < 8; x++)
            ck_assert_uint_eq(pixel(16 + x, 16 + y), text_dot(0, 0xc4, 0x1f, x, y));
}
END_TEST

START_TEST(text_mono)
{
    start(7);
    text_base = 0xb0000;
    put(0, 'x', 0x01); // underlined
    put(1, 'x', 0x07);
    look();
    ck_assert_uint_eq(frame.width, 720);
    for (unsigned x = 0; x < 9; x++) {
        ck_assert_uint_eq(pixel(x, 13), attr_color(1));
        ck_assert_uint_eq(pixel(9 + x, 13), text_dot(0, 'x', 7, x, 13));
        ck_assert_uint_eq(pixel(x, 12), text_dot(0, 'x', 1, x, 12));
    }
}
END_TEST

START_TEST(text_two_fonts)
{
    start(3);
    load_font(5, 1);
    vga_set_mode(3);
    cr_write(0x0a, 0x20);
    sr_write(3, 0x04 | 0x20); // A (attribute bit 3 set): 1 + 4 = 5; B: 0
    put(0, 'k', 0x07);
    put(1, 'k', 0x0f);
    look();
    for (unsigned y = 0; y < 16; y++)
        for (unsigned x = 0; x < 9; x++) {
            expect_pixel(x, y, text_dot(0, 'k', 0x07, x, y));
            ck_assert_uint_eq(pixel(9 + x, y), text_dot(1, 'k', 0x0f, x, y));
        }
}
END_TEST

START_TEST(text_blink)
{
    start(3);
    put(0, 'k', 0x9e);
    look();
    ck_assert_uint_eq(pixel(3, 3), text_dot(0, 'k', 0x1e, 3, 3));
    unsigned lit = 0, dark = 0;
    for (unsigned i = 0; i < 100; i++) { // hidden for 32 of 64 frames
        bench_advance(1000000000 / 60);
        look();
        bool hidden = true;
        for (unsigned y = 0; y < 16; y++)
            for (unsigned x = 0; x < 9; x++)
                hidden &= pixel(x, y) == attr_color(1);
        lit += !hidden;
        dark += hidden;
    }
    ck_assert_uint_gt(lit, 30);
    ck_assert_uint_gt(dark, 30);
    ar_write(0x10, 0x04); // no blinking: a bright background
    look();
    for (unsigned x = 0; x < 9; x++)
        ck_assert_uint_eq(pixel(x, 0), attr_color(glyph(0, 'k', 0) << 1 >> (8 - x) & 1 ? 14 : 9));
}
END_TEST

START_TEST(text_cursor)
{
    start(3);
    for (unsigned i = 0; i < 2000; i++)
        put(i, ' ', 0x17);
    cr_write(0x0a, 13);
    cr_write(0x0b, 14);
    cr_write(0x0e, 85 >> 8);
    cr_write(0x0f, 85);
    look();
    ck_assert(frame.text.cursor_shown);
    ck_assert_uint_eq(frame.text.cursor_column, 5);
    ck_assert_uint_eq(frame.text.cursor_row, 1);
    for (unsigned x = 45; x < 54; x++) {
        ck_assert_uint_eq(pixel(x, 16 + 13), attr_color(7));
        ck_assert_uint_eq(pixel(x, 16 + 14), attr_color(7));
        ck_assert_uint_eq(pixel(x, 16 + 12), text_dot(0, ' ', 0x17, x - 45, 12));
    }
    cr_write(0x0f, 86);
    look();
    ck_assert_uint_eq(dirty.x, 45);
    ck_assert_uint_eq(dirty.w, 18);
    bench_advance(1000000000 / 60 * 17);
    look();
    ck_assert(frame.text.cursor_shown); // it blinks, but it is there
    ck_assert_uint_eq(pixel(55, 16 + 13), text_dot(0, ' ', 0x17, 1, 13));
    cr_write(0x0a, 0x2d);
    look();
    ck_assert(!frame.text.cursor_shown);
}
END_TEST

START_TEST(text_scrolling)
{
    start(3);
    for (unsigned i = 0; i < 4000; i++)
        put(i, i % 251, 7);
    cr_write(0x0c, 160 >> 8);
    cr_write(0x0d, 160);
    look();
    ck_assert_uint_eq(pixel(2, 7), text_dot(0, 160, 7, 2, 7));
    cr_write(0x08, 3); // smooth scrolling: the first row begins with its line 3
    look();
    ck_assert_uint_eq(pixel(2, 4), text_dot(0, 160, 7, 2, 7));
    ck_assert_uint_eq(pixel(2, 13), text_dot(0, 240, 7, 2, 0));
    ar_write(0x13, 2); // and 3 dots to the left
    look();
    ck_assert_uint_eq(pixel(0, 4), text_dot(0, 160, 7, 3, 7));
    ck_assert_uint_eq(pixel(718, 4), text_dot(0, 240, 7, 1 + 3 - 3, 7)); // of the 81st cell
}
END_TEST

START_TEST(text_split)
{
    start(3);
    for (unsigned i = 0; i < 4000; i++)
        put(i, i % 251, 7);
    cr_write(0x0c, 800 >> 8);
    cr_write(0x0d, 800 & 255);
    cr_write(0x07, 0x1f & ~0x10);
    cr_write(0x09, 0x0f);
    cr_write(0x18, 99);
    look();
    ck_assert_uint_eq(pixel(4, 99), text_dot(0, (800 + 6 * 80) % 251, 7, 4, 3));
    for (unsigned y = 100; y < 132; y++)
        ck_assert_uint_eq(pixel(4, y), text_dot(0, (y - 100) / 16 * 80, 7, 4, (y - 100) % 16));
}
END_TEST

// --- graphics

START_TEST(cga_4_colors)
{
    start(4);
    for (unsigned y = 0; y < 200; y++)
        for (unsigned x = 0; x < 320; x += 4) {
            unsigned byte = 0;
            for (unsigned i = 0; i < 4; i++)
                byte |= ((x + i + y / 3) & 3) << (6 - 2 * i);
            poke(0xb8000 + (y & 1) * 0x2000 + y / 2 * 80 + x / 4, (uint8_t)byte);
        }
    look();
    ck_assert_uint_eq(frame.width, 640);
    ck_assert_uint_eq(frame.height, 400);
    for (unsigned y = 0; y < 400; y++)
        for (unsigned x = 0; x < 640; x++)
            expect_pixel(x, y, attr_color((x / 2 + y / 2 / 3) & 3));
    ck_assert_uint_eq(frame.text.columns, 0);
}
END_TEST

START_TEST(cga_2_colors)
{
    start(6);
    for (unsigned y = 0; y < 200; y++)
        for (unsigned x = 0; x < 640; x += 8)
            poke(0xb8000 + (y & 1) * 0x2000 + y / 2 * 80 + x / 8, (uint8_t)(x / 8 + y));
    look();
    ck_assert_uint_eq(frame.height, 400);
    for (unsigned y = 0; y < 400; y++)
        for (unsigned x = 0; x < 640; x++)
            expect_pixel(x, y, attr_color((uint8_t)(x / 8 + y / 2) >> (7 - x % 8) & 1));
}
END_TEST

static void check_planar(unsigned mode, unsigned width, unsigned height, unsigned dot_w, unsigned dot_h, unsigned mask)
{
    start(mode);
    // Write mode 2, bit by bit: each pixel gets a colour of its own.
    gr_write(5, 2);
    for (unsigned y = 0; y < height; y++)
        for (unsigned x = 0; x < width; x++) {
            uint32_t a = 0xa0000 + y * width / 8 + x / 8;
            gr_write(8, (uint8_t)(0x80 >> x % 8));
            peek(a);
            poke(a, (uint8_t)(x + y * 3));
        }
    look();
    ck_assert_uint_eq(frame.width, width * dot_w);
    ck_assert_uint_eq(frame.height, height * dot_h);
    for (unsigned y = 0; y < height * dot_h; y++)
        for (unsigned x = 0; x < width * dot_w; x++)
            expect_pixel(x, y, attr_color((x / dot_w + y / dot_h * 3) & mask));
}

START_TEST(planar_0d) { check_planar(0x0d, 320, 200, 2, 2, 15); }
END_TEST
START_TEST(planar_0e) { check_planar(0x0e, 640, 200, 1, 2, 15); }
END_TEST
START_TEST(planar_0f) { check_planar(0x0f, 640, 350, 1, 1, 5); }
END_TEST
START_TEST(planar_10) { check_planar(0x10, 640, 350, 1, 1, 15); }
END_TEST
START_TEST(planar_11) { check_planar(0x11, 640, 480, 1, 1, 15); }
END_TEST
START_TEST(planar_12) { check_planar(0x12, 640, 480, 1, 1, 15); }
END_TEST

START_TEST(mode_13)
{
    start(0x13);
    for (unsigned i = 0; i < 64000; i++)
        poke(0xa0000 + i, (uint8_t)(i / 320 + i % 320));
    look();
    ck_assert_uint_eq(frame.width, 640);
    ck_assert_uint_eq(frame.height, 400);
    for (unsigned y = 0; y < 400; y++)
        for (unsigned x = 0; x < 640; x++)
            expect_pixel(x, y, dac_color((x / 2 + y / 2) & 255));
    look();
    ck_assert_uint_eq(dirty.w, 0);
    poke(0xa0000 + 320 * 10 + 20, 0x55 ^ 30);
    look();
    ck_assert_uint_eq(dirty.x, 40);
    ck_assert_uint_eq(dirty.y, 20);
    ck_assert_uint_eq(dirty.w, 2);
    ck_assert_uint_eq(dirty.h, 2);
    outb(0x3c6, 0x0f); // the DAC's mask
    look();
    ck_assert_uint_eq(pixel(2 * 100, 2 * 100), dac_color(200 & 15));
}
END_TEST

// 320 x 240, four planes: "mode X".
START_TEST(unchained)
{
    start(0x13);
    sr_write(4, 6);
    outb(0x3c2, 0xe3);
    static const uint8_t crtc[][2] = {{0x11, 0x2c}, {0x06, 0x0d}, {0x07, 0x3e}, {0x10, 0xea}, {0x12, 0xdf},
                                      {0x14, 0x00}, {0x15, 0xe7}, {0x16, 0x06}, {0x17, 0xe3}};
    for (unsigned i = 0; i < ARRAY_SIZE(crtc); i++)
        cr_write(crtc[i][0], crtc[i][1]);
    for (unsigned x = 0; x < 320; x++) {
        sr_write(2, (uint8_t)(1 << (x & 3)));
        for (unsigned y = 0; y < 240; y++)
            poke(0xa0000 + y * 80 + x / 4, (uint8_t)(x * 3 + y));
    }
    look();
    ck_assert_uint_eq(frame.height, 480);
    for (unsigned y = 0; y < 480; y++)
        for (unsigned x = 0; x < 640; x++)
            expect_pixel(x, y, dac_color((x / 2 * 3 + y / 2) & 255));
    cr_write(0x0d, 80); // the second page, a line further
    ar_write(0x13, 2);  // one pixel to the left
    look();
    ck_assert_uint_eq(pixel(0, 0), dac_color(3 + 1));
    ck_assert_uint_eq(pixel(638, 0), dac_color(0 + 2)); // comes from the next line
}
END_TEST

START_TEST(planar_split_and_panning)
{
    start(0x12);
    gr_write(5, 2);
    gr_write(8, 0xff);
    for (unsigned a = 0; a < 640 / 8 * 480; a++)
        poke(0xa0000 + a, (uint8_t)(a / 80));
    cr_write(0x11, 0);
    cr_write(0x0c, 8000 >> 8); // line 100 on top
    cr_write(0x0d, 8000 & 255);
    cr_write(0x07, 0x3e & ~0x10);
    cr_write(0x09, 0);
    cr_write(0x18, 199);
    look();
    ck_assert_uint_eq(pixel(0, 0), attr_color(100 & 15));
    ck_assert_uint_eq(pixel(0, 199), attr_color(299 & 15));
    ck_assert_uint_eq(pixel(0, 200), attr_color(0));
    ck_assert_uint_eq(pixel(639, 279), attr_color(79 & 15));
    ar_write(0x13, 5);
    gr_write(8, 0x04); // the sixth pixel
    peek(0xa0000);
    poke(0xa0000, 9);
    look();
    ck_assert_uint_eq(pixel(0, 200), attr_color(9));
    ar_write(0x10, 0x21); // the lower part does not pan
    look();
    ck_assert_uint_eq(pixel(0, 200), attr_color(0));
    ck_assert_uint_eq(pixel(5, 200), attr_color(9));
}
END_TEST

START_TEST(color_select)
{
    start(0x12);
    gr_write(5, 2);
    poke(0xa0000, 6);
    ar_write(0x14, 0x08);
    look();
    ck_assert_uint_eq(pixel(0, 0), dac_color(0x14 | 0x80));
    ar_write(0x10, 0x81);
    ar_write(0x14, 0x0a);
    look();
    ck_assert_uint_eq(pixel(0, 0), dac_color(0x04 | 0xa0));
    ar_write(0x12, 0x03); // planes 0 and 1 only
    look();
    ck_assert_uint_eq(pixel(0, 0), dac_color(0x02 | 0xa0));
}
END_TEST

START_TEST(blank)
{
    start(0x13);
    for (unsigned i = 0; i < 64000; i++)
        poke(0xa0000 + i, 5);
    look();
    ck_assert_uint_eq(pixel(9, 9), dac_color(5));
    sr_write(1, 0x21);
    look();
    ck_assert_uint_eq(pixel(9, 9), 0);
    ck_assert_uint_eq(dirty.w, 640);
    look();
    ck_assert_uint_eq(dirty.w, 0);
    sr_write(1, 1);
    look();
    ck_assert_uint_eq(pixel(9, 9), dac_color(5));
    inb(0x3da);
    outb(0x3c0, 0);
    look();
    ck_assert_uint_eq(pixel(9, 9), 0);
}
END_TEST

// Registers that make no sense must not lead outside of the memory or the screen.
START_TEST(absurd_modes)
{
    start(3);
    cr_write(0x11, 0);
    for (unsigned seed = 1; seed < 1000; seed++) {
        uint32_t r = seed * 2654435761u;
        switch (r >> 28 & 3) {
        case 0: cr_write(r >> 8 & 31, (uint8_t)r); break;
        case 1: ar_write(r >> 8 & 31, (uint8_t)r); break;
        case 2: sr_write(r >> 8 & 7, (uint8_t)(r & ~0x20)); break;
        default: gr_write(r >> 8 & 15, (uint8_t)r); break;
        }
        cr_write(0x11, 0);
        look();
        ck_assert_uint_le(frame.width, DISPLAY_MAX_WIDTH);
        ck_assert_uint_le(frame.height, DISPLAY_MAX_HEIGHT);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        text_80x25,        text_crc,
        text_only_changes, text_40x25,
        text_8_dots,       text_mono,
        text_two_fonts,    text_blink,
        text_cursor,       text_scrolling,
        text_split,        cga_4_colors,
        cga_2_colors,      planar_0d,
        planar_0e,         planar_0f,
        planar_10,         planar_11,
        planar_12,         mode_13,
        unchained,         planar_split_and_panning,
        color_select,      blank,
        absurd_modes,
    };
    return bench_main("vga_modes", tests, ARRAY_SIZE(tests));
}
