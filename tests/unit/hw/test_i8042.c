// SPDX-License-Identifier: MIT
// Tests of hw/i8042.c, hw/ps2_kbd.c and hw/ps2_mouse.c.
#include "hw/i8042.h"

#include "tests/unit/hw/harness.h"

static struct i8042 *kbc;
static unsigned resets;
static int a20 = -1;

static void on_reset(void *opaque) { resets++; }
static void on_a20(void *opaque, bool on) { a20 = on; }

static void start(void)
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

static void command(uint8_t c) { outb(0x64, c); }

static int next(void) { return inb(0x64) & 1 ? inb(0x60) : -1; }

static void set_ctr(uint8_t v)
{
    command(0x60);
    outb(0x60, v);
}

static void aux(uint8_t v)
{
    command(0xd4);
    outb(0x60, v);
}

static void expect(const uint8_t *want, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        ck_assert_int_eq(next(), want[i]);
    ck_assert_int_eq(next(), -1);
}
#define EXPECT(...) expect((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

START_TEST(self_tests)
{
    start();
    ck_assert_uint_eq(inb(0x64) & 0x05, 0);
    command(0xaa);
    ck_assert_uint_eq(inb(0x64) & 0x05, 0x05);
    EXPECT(0x55);
    command(0xab);
    EXPECT(0x00);
    command(0xa9);
    EXPECT(0x00);
    command(0xa7);
    command(0x20);
    ck_assert(next() & 0x20);
    command(0xa8);
    command(0x20);
    ck_assert(!(next() & 0x20));
}
END_TEST

START_TEST(keyboard_commands)
{
    start();
    set_ctr(0x00);
    outb(0x60, 0xff);
    EXPECT(0xfa, 0xaa);
    outb(0x60, 0xf2);
    EXPECT(0xfa, 0xab, 0x83);
    outb(0x60, 0xee);
    EXPECT(0xee);
    outb(0x60, 0xed);
    EXPECT(0xfa);
    outb(0x60, 0x02);
    EXPECT(0xfa);
    ck_assert_uint_eq(kbd_get_leds(kbc), 2);
    outb(0x60, 0xf0);
    outb(0x60, 0x00);
    EXPECT(0xfa, 0xfa, 0x02);
    outb(0x60, 0xe0);
    EXPECT(0xfe);
}
END_TEST

START_TEST(scan_codes_set_2_and_translated)
{
    start();
    set_ctr(0x00);
    kbd_send_scancode(kbc, 0x1e, true); // A
    kbd_send_scancode(kbc, 0x1e, false);
    EXPECT(0x1c, 0xf0, 0x1c);
    kbd_send_scancode(kbc, 0xe048, true); // cursor up
    kbd_send_scancode(kbc, 0xe048, false);
    EXPECT(0xe0, 0x75, 0xe0, 0xf0, 0x75);
    set_ctr(0x40);
    kbd_send_scancode(kbc, 0x1e, true);
    kbd_send_scancode(kbc, 0x1e, false);
    EXPECT(0x1e, 0x9e);
    kbd_send_scancode(kbc, 0xe048, true);
    kbd_send_scancode(kbc, 0xe048, false);
    EXPECT(0xe0, 0x48, 0xe0, 0xc8);
    kbd_send_scancode(kbc, 0xe11d, true);
    EXPECT(0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5);
}
END_TEST

START_TEST(every_key_translates_back)
{
    start();
    set_ctr(0x40);
    for (unsigned code = 1; code < 128; code++) {
        kbd_send_scancode(kbc, (uint16_t)code, true);
        ck_assert_int_eq(next(), (int)code);
        kbd_send_scancode(kbc, (uint16_t)code, false);
        ck_assert_int_eq(next(), (int)(code | 0x80));
    }
}
END_TEST

START_TEST(interrupts_one_edge_a_byte)
{
    start();
    set_ctr(0x43);
    kbd_send_scancode(kbc, 0xe048, true);
    ck_assert_uint_eq(bench_line[1].rises, 1);
    ck_assert_int_eq(next(), 0xe0);
    ck_assert_uint_eq(bench_line[1].rises, 2);
    ck_assert_int_eq(next(), 0x48);
    ck_assert(!bench_line[1].level);
    ck_assert_uint_eq(bench_line[12].rises, 0);
}
END_TEST

START_TEST(disabled_keyboard_waits)
{
    start();
    set_ctr(0x51);
    kbd_send_scancode(kbc, 0x1e, true);
    ck_assert_int_eq(next(), -1);
    command(0xae);
    EXPECT(0x1e);
}
END_TEST

START_TEST(flood_is_bounded)
{
    start();
    set_ctr(0x10);
    for (int i = 0; i < 10000; i++)
        kbd_send_scancode(kbc, 0x1e, i & 1);
    outb(0x60, 0xff); // reset still answers, and flushes
    EXPECT(0xfa, 0xaa);
}
END_TEST

START_TEST(mouse_reset_and_packets)
{
    start();
    set_ctr(0x02);
    aux(0xff);
    ck_assert_uint_eq(inb(0x64) & 0x21, 0x21);
    ck_assert(bench_line[12].level);
    EXPECT(0xfa, 0xaa, 0x00);
    mouse_send_event(kbc, 5, 5, 0, 1); // not reporting yet
    ck_assert_int_eq(next(), -1);
    aux(0xf4);
    EXPECT(0xfa);
    mouse_send_event(kbc, 5, -3, 0, 1);
    EXPECT(0x09, 5, 3);
    mouse_send_event(kbc, -300, 0, 0, 0);
    EXPECT(0x18, 0x01, 0, 0x18, (uint8_t)-45, 0);
}
END_TEST

START_TEST(mouse_wheel_is_found_by_knocking)
{
    start();
    set_ctr(0x00);
    static const uint8_t rates[] = {200, 100, 80};
    for (unsigned i = 0; i < 3; i++) {
        aux(0xf3);
        aux(rates[i]);
        EXPECT(0xfa, 0xfa);
    }
    aux(0xf2);
    EXPECT(0xfa, 0x03);
    aux(0xf4);
    EXPECT(0xfa);
    mouse_send_event(kbc, 0, 0, -1, 0);
    EXPECT(0x08, 0, 0, 0xff);
    aux(0xe9);
    EXPECT(0xfa, 0x20, 0x02, 80);
}
END_TEST

START_TEST(reset_line_and_a20)
{
    start();
    command(0xfe);
    ck_assert_uint_eq(resets, 1);
    command(0xf0 | 0x0f); // no bit pulsed
    ck_assert_uint_eq(resets, 1);
    command(0xd1);
    outb(0x60, 0xdd);
    ck_assert_int_eq(a20, 0);
    command(0xd0);
    ck_assert(!(next() & 0x02));
    command(0xd1);
    outb(0x60, 0xdf);
    ck_assert_int_eq(a20, 1);
    command(0xdd);
    ck_assert_int_eq(a20, 0);
    ck_assert_uint_eq(resets, 1);
    i8042_a20_changed(kbc, true);
    command(0xd0);
    ck_assert(next() & 0x02);
}
END_TEST

START_TEST(loopback_buffers)
{
    start();
    set_ctr(0x03);
    command(0xd2);
    outb(0x60, 0x77);
    ck_assert_uint_eq(inb(0x64) & 0x21, 0x01);
    EXPECT(0x77);
    command(0xd3);
    outb(0x60, 0x66);
    ck_assert_uint_eq(inb(0x64) & 0x21, 0x21);
    EXPECT(0x66);
}
END_TEST

START_TEST(scan_set_3)
{
    start();
    set_ctr(0x00);
    outb(0x60, 0xf0);
    outb(0x60, 0x03);
    EXPECT(0xfa, 0xfa);
    outb(0x60, 0xf0);
    EXPECT(0xfa);
    outb(0x60, 0x00);
    EXPECT(0xfa, 0x03);
    kbd_send_scancode(kbc, 0x1e, true); // A: typematic, no break code
    kbd_send_scancode(kbc, 0x1e, false);
    EXPECT(0x1c);
    kbd_send_scancode(kbc, 0x2a, true); // left shift: make and break
    kbd_send_scancode(kbc, 0x2a, false);
    EXPECT(0x12, 0xf0, 0x12);
    kbd_send_scancode(kbc, 0xe048, true); // cursor up has a code of its own
    EXPECT(0x63);
    kbd_send_scancode(kbc, 0xe11d, true); // Pause is an ordinary key
    EXPECT(0x62);
    outb(0x60, 0xf8); // all keys make and break
    EXPECT(0xfa);
    kbd_send_scancode(kbc, 0x1e, true);
    kbd_send_scancode(kbc, 0x1e, false);
    EXPECT(0x1c, 0xf0, 0x1c);
    outb(0x60, 0xfd); // one key make only, then another
    EXPECT(0xfa);
    outb(0x60, 0x1c);
    EXPECT(0xfa);
    outb(0x60, 0x32);
    EXPECT(0xfa);
    outb(0x60, 0xf4);
    EXPECT(0xfa);
    kbd_send_scancode(kbc, 0x30, true); // B
    kbd_send_scancode(kbc, 0x30, false);
    kbd_send_scancode(kbc, 0x2e, true); // C keeps its break code
    kbd_send_scancode(kbc, 0x2e, false);
    EXPECT(0x32, 0x21, 0xf0, 0x21);
    outb(0x60, 0xf6); // defaults: set 2 again
    EXPECT(0xfa);
    kbd_send_scancode(kbc, 0x30, true);
    kbd_send_scancode(kbc, 0x30, false);
    EXPECT(0x32, 0xf0, 0x32);
}
END_TEST

START_TEST(typematic_repeats_the_last_key)
{
    start();
    set_ctr(0x00);
    kbd_send_scancode(kbc, 0x1e, true);
    kbd_send_scancode(kbc, 0x30, true);
    EXPECT(0x1c, 0x32);
    bench_advance(499000000);
    ck_assert_int_eq(next(), -1);
    bench_advance(1000001); // 500 ms after the press
    EXPECT(0x32);
    bench_advance(91740000); // 11 * 2 * 4.17 ms: 10.9 a second
    EXPECT(0x32);
    kbd_send_scancode(kbc, 0x30, false);
    EXPECT(0xf0, 0x32);
    bench_advance(2000000000);
    ck_assert_int_eq(next(), -1);
    outb(0x60, 0xf3);
    EXPECT(0xfa);
    outb(0x60, 0x00); // 250 ms, 30 a second
    EXPECT(0xfa);
    kbd_send_scancode(kbc, 0x1e, true);
    EXPECT(0x1c);
    bench_advance(250000000);
    EXPECT(0x1c);
    bench_advance(33360000);
    EXPECT(0x1c);
    bench_advance(3000000000); // nobody reads: one in each buffer, no more
    EXPECT(0x1c, 0x1c);
}
END_TEST

START_TEST(answers_go_before_scan_codes)
{
    start();
    set_ctr(0x00);
    kbd_send_scancode(kbc, 0xe048, true);
    kbd_send_scancode(kbc, 0x1e, true);
    outb(0x60, 0xee); // E0 is in the buffer: its second byte comes before the answer
    EXPECT(0xe0, 0x75, 0xee, 0x1c);
}
END_TEST

START_TEST(five_buttons_and_scaling)
{
    static const uint8_t rates[] = {200, 200, 80};
    start();
    set_ctr(0x00);
    for (unsigned i = 0; i < 3; i++) {
        aux(0xf3);
        aux(rates[i]);
        EXPECT(0xfa, 0xfa);
    }
    aux(0xf2);
    EXPECT(0xfa, 0x04);
    aux(0xf4);
    EXPECT(0xfa);
    mouse_send_event(kbc, 1, 0, 2, 8 | 16 | 1);
    EXPECT(0x09, 1, 0, 0x32);
    mouse_send_event(kbc, 0, 0, 0, 0);
    EXPECT(0x08, 0, 0, 0);
    mouse_poke(kbc); // an empty packet
    EXPECT(0x08, 0, 0, 0);
    aux(0xe7); // 2:1
    EXPECT(0xfa);
    mouse_send_event(kbc, 3, 2, 0, 0);
    EXPECT(0x28, 3, 0xff, 0);
    mouse_send_event(kbc, 10, -5, 0, 0);
    EXPECT(0x08, 20, 9, 0);
}
END_TEST

// 1,000 keys pressed and released before the guest reads the first byte.
START_TEST(no_key_is_lost)
{
    struct input *in = input_create();
    const struct i8042_config cfg = {
        .ports = ports,
        .irq_kbd = bench_irq(1),
        .irq_aux = bench_irq(12),
        .reset = on_reset,
        .set_a20 = on_a20,
        .input = in,
    };
    kbc = i8042_create(&cfg);
    set_ctr(0x41);
    for (unsigned i = 0; i < 1000; i++) {
        uint16_t key = (uint16_t)(0x02 + i % 0x50);
        ck_assert(input_key(in, key, true));
        ck_assert(input_key(in, key, false));
    }
    for (unsigned i = 0; i < 1000; i++) {
        ck_assert_int_eq(next(), 0x02 + (int)i % 0x50);
        ck_assert_int_eq(next(), 0x82 + (int)i % 0x50);
    }
    ck_assert_int_eq(next(), -1);
}
END_TEST

int main(void)
{
    // clang-format off
    const TTest *const tests[] = {
        self_tests, keyboard_commands, scan_codes_set_2_and_translated, every_key_translates_back,
        interrupts_one_edge_a_byte, disabled_keyboard_waits, flood_is_bounded, mouse_reset_and_packets,
        mouse_wheel_is_found_by_knocking, reset_line_and_a20, loopback_buffers,
        scan_set_3, typematic_repeats_the_last_key, answers_go_before_scan_codes, five_buttons_and_scaling,
        no_key_is_lost,
    };
    // clang-format on
    return bench_main("i8042", tests, ARRAY_SIZE(tests));
}
