// SPDX-License-Identifier: MIT
// Tests of hw/input.c: order, bounds, merging of movements, combinations, names.
#include "hw/input.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/hw/harness.h"

static struct input *in;
static int room;
static struct {
    uint16_t scancode;
    bool down;
} keys[8192];
static struct input_pointer moves[1024];
static unsigned key_count, move_count;

static bool has_room(void *opaque) { return room > 0; }
static void on_key(void *opaque, uint16_t scancode, bool down)
{
    room--;
    keys[key_count].scancode = scancode;
    keys[key_count++].down = down;
    input_device_ready(in); // a device may say so at any time
}
static void on_pointer(void *opaque, const struct input_pointer *p)
{
    room--;
    moves[move_count++] = *p;
}
static const struct input_keyboard_ops keyboard = {has_room, on_key};
static const struct input_pointer_ops pointer = {has_room, on_pointer};

static void start(int space)
{
    in = input_create();
    room = space;
    input_set_keyboard(in, &keyboard, NULL);
    input_set_relative(in, &pointer, NULL);
}

static void ready(int space)
{
    room = space;
    input_device_ready(in);
}

START_TEST(keys_wait_in_order)
{
    start(1);
    for (unsigned i = 0; i < 1500; i++)
        ck_assert(input_key(in, (uint16_t)(1 + i % 0x7e), i & 1));
    ck_assert_uint_eq(key_count, 1);
    while (key_count < 1500) {
        unsigned before = key_count;
        ready(7);
        ck_assert_uint_gt(key_count, before);
    }
    for (unsigned i = 0; i < 1500; i++) {
        ck_assert_uint_eq(keys[i].scancode, 1 + i % 0x7e);
        ck_assert_uint_eq(keys[i].down, i & 1);
    }
}
END_TEST

START_TEST(a_full_queue_still_takes_releases)
{
    unsigned n = 0;
    start(0);
    while (input_key(in, (uint16_t)(1 + n % 0x7f), true))
        ck_assert_uint_lt(n++, 10000);
    ck_assert_uint_ge(n, 2000);
    input_release_all(in);
    ready(100000);
    ck_assert_uint_eq(key_count, n + 0x7f);
    ck_assert(!keys[key_count - 1].down);
}
END_TEST

// Releases of keys that are up, which a QMP client may send, do not take the room of those of keys that are down.
START_TEST(releases_of_other_keys_leave_room)
{
    unsigned n = 0;
    start(0);
    ck_assert(input_key(in, 0x1e, true));
    while (input_key(in, 0x30, false))
        ck_assert_uint_lt(n++, 10000);
    ck_assert(input_key(in, 0x1e, false));
}
END_TEST

START_TEST(no_such_key)
{
    start(10);
    ck_assert(!input_key(in, 0, true));
    ck_assert(!input_key(in, 0x80, true));
    ck_assert(!input_key(in, 0xe000, true));
    ck_assert(!input_key(in, 0xe2a1, true));
    ck_assert(!input_key(in, 0x0101, true));
    ck_assert_uint_eq(key_count, 0);
}
END_TEST

START_TEST(movements_are_added_up_between_clicks)
{
    start(0);
    for (int i = 0; i < 1000; i++)
        ck_assert(input_move(in, 2, -1));
    ck_assert(input_buttons(in, INPUT_LEFT, true));
    ck_assert(input_wheel(in, 1));
    ck_assert(input_wheel(in, 1));
    ck_assert(input_buttons(in, INPUT_LEFT, false));
    ready(10);
    ck_assert_uint_eq(move_count, 3);
    ck_assert(moves[0].dx == 2000 && moves[0].dy == -1000 && !moves[0].buttons);
    ck_assert(!moves[1].dx && moves[1].dz == 2 && moves[1].buttons == INPUT_LEFT);
    ck_assert(!moves[2].dz && !moves[2].buttons);
}
END_TEST

START_TEST(pointer_queue_is_bounded)
{
    start(0);
    for (int i = 0; i < 10000; i++)
        input_buttons(in, INPUT_RIGHT, !(i & 1));
    for (int i = 0; i < 10000; i++)
        input_move(in, INT32_MAX, INT32_MIN);
    ready(100000);
    ck_assert_uint_le(move_count, 512);
    ck_assert_uint_eq(moves[move_count - 1].buttons, 0);
    ck_assert_int_lt(moves[move_count - 1].dy, 0);
}
END_TEST

static struct input_pointer last_absolute;
static void on_absolute(void *opaque, const struct input_pointer *p) { last_absolute = *p; }
START_TEST(absolute_device_takes_the_pointer)
{
    static const struct input_pointer_ops absolute = {has_room, on_absolute};
    start(10);
    ck_assert(!input_wants_absolute(in));
    input_set_absolute(in, &absolute, NULL);
    ck_assert(input_wants_absolute(in));
    input_move_to(in, 100, 100000);
    input_buttons(in, INPUT_MIDDLE, true);
    ck_assert_uint_eq(move_count, 0);
    ck_assert(last_absolute.absolute && last_absolute.x == 100 && last_absolute.y == INPUT_ABS_MAX);
    ck_assert_uint_eq(last_absolute.buttons, INPUT_MIDDLE);
    input_set_absolute(in, NULL, NULL);
    input_buttons(in, INPUT_MIDDLE, false);
    ck_assert_uint_eq(move_count, 1);
    ck_assert(!moves[0].absolute);
}
END_TEST

START_TEST(combinations_are_held_and_follow_each_other)
{
    static const uint16_t first[] = {0x1d, 0x38, 0xe053}, second[] = {0x1e};
    start(100);
    ck_assert_int_eq(input_press_together(in, first, 3, 100), 0);
    ck_assert_int_eq(input_press_together(in, second, 1, 50), 0);
    ck_assert_uint_eq(key_count, 3);
    ck_assert(keys[0].scancode == 0x1d && keys[2].scancode == 0xe053 && keys[2].down);
    bench_advance(99000000);
    ck_assert_uint_eq(key_count, 3);
    bench_advance(1000000);
    ck_assert_uint_eq(key_count, 7);
    ck_assert(keys[3].scancode == 0xe053 && !keys[3].down && keys[5].scancode == 0x1d);
    ck_assert(keys[6].scancode == 0x1e && keys[6].down);
    bench_advance(50000000);
    ck_assert_uint_eq(key_count, 8);
    ck_assert_int_eq(input_press_together(in, (const uint16_t[]){0x1e, 0}, 2, 1), -EINVAL);
    for (unsigned i = 0; i < 10000; i++)
        if (input_press_together(in, second, 1, ~0u))
            return;
    ck_abort_msg("the queue has no end");
}
END_TEST

START_TEST(reset_forgets)
{
    start(0);
    input_key(in, 0x1e, true);
    input_move(in, 1, 1);
    input_reset(in);
    ready(100);
    input_release_all(in);
    ck_assert_uint_eq(key_count + move_count, 0);
}
END_TEST

START_TEST(names)
{
    ck_assert_uint_eq(input_key_by_name("ret", 3), 0x1c);
    ck_assert_uint_eq(input_key_by_name("ctrl-alt", 4), 0x1d);
    ck_assert_uint_eq(input_key_by_name("kp_add", 6), 0x4e);
    ck_assert_uint_eq(input_key_by_name("0", 1), 0x0b);
    ck_assert_uint_eq(input_key_by_name("pause", 5), 0xe11d);
    ck_assert_uint_eq(input_key_by_name("0x1e", 4), 0x1e);
    ck_assert_uint_eq(input_key_by_name("0xe048", 6), 0xe048);
    ck_assert_uint_eq(input_key_by_name("0xc8", 4), 0xe048);
    ck_assert_uint_eq(input_key_by_name("0x0", 3), 0);
    ck_assert_uint_eq(input_key_by_name("0xg0", 4), 0);
    ck_assert_uint_eq(input_key_by_name("0x1234567", 9), 0);
    ck_assert_uint_eq(input_key_by_name("retu", 4), 0);
    ck_assert_uint_eq(input_key_by_name("", 0), 0);
    ck_assert_str_eq(input_key_name(0x1c), "ret");
    ck_assert_str_eq(input_key_name(0x37), "kp_multiply");
    ck_assert_ptr_null(input_key_name(0xe07f));
    for (unsigned c = 1; c < 0x80; c++)
        if (input_key_name((uint16_t)c))
            ck_assert_uint_eq(input_key_by_name(input_key_name((uint16_t)c), strlen(input_key_name((uint16_t)c))), c);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        keys_wait_in_order,
        a_full_queue_still_takes_releases,
        releases_of_other_keys_leave_room,
        no_such_key,
        movements_are_added_up_between_clicks,
        pointer_queue_is_bounded,
        absolute_device_takes_the_pointer,
        combinations_are_held_and_follow_each_other,
        reset_forgets,
        names,
    };
    return bench_main("input", tests, ARRAY_SIZE(tests));
}
