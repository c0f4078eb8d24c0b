// SPDX-License-Identifier: MIT
// Tests of the key and character tables of the displays, and of a window that cannot be opened.
#include <stdlib.h>
#include <string.h>

#include "frontends/display_curses.h"
#include "hw/input.h"
#include "tests/unit/check_main.h"
#if RING3_HAVE_SDL
#include "frontends/display_sdl.h"

// Every key of the window is another key of the PC.
START_TEST(sdl_keys_are_distinct)
{
    static bool taken[0x10000];
    unsigned n = 0;

    for (int i = 0; i < SDL_NUM_SCANCODES; i++) {
        uint16_t code = sdl_key_to_set1((SDL_Scancode)i);

        if (!code || i == SDL_SCANCODE_NONUSHASH) // the same key as BACKSLASH
            continue;
        ck_assert_msg(!taken[code], "SDL scancode %d and another are both %x", i, code);
        taken[code] = true;
        n++;
    }
    ck_assert_uint_ge(n, 104);
    ck_assert_uint_eq(sdl_key_to_set1((SDL_Scancode)-1), 0);
    ck_assert_uint_eq(sdl_key_to_set1(SDL_NUM_SCANCODES), 0);
    ck_assert_uint_eq(sdl_key_to_set1(SDL_SCANCODE_NONUSHASH), 0x2b);
}
END_TEST

// The machine goes on, with the sound that it has by then.
START_TEST(sdl_without_a_window_leaves_the_sound)
{
    const struct display_options options = {.ops = NULL};
    const struct display_context context = {.options = &options};
    struct err e;
    void *state;

    setenv("SDL_VIDEODRIVER", "there is no such driver", 1);
    setenv("SDL_AUDIODRIVER", "dummy", 1);
    ck_assert_int_eq(SDL_InitSubSystem(SDL_INIT_AUDIO), 0);
    ck_assert_int_lt(display_sdl.start(&context, &state, &e), 0);
    ck_assert(SDL_WasInit(SDL_INIT_AUDIO));
    SDL_QuitSubSystem(SDL_INIT_AUDIO);
}
END_TEST
#endif

// By the names of the keys: what a US keyboard types.
START_TEST(characters)
{
    // clang-format off
    static const struct {
        char c;
        const char *key;
        unsigned modifiers;
    } rows[] = {
        { 'a', "a", 0 }, { 'Z', "z", TERM_SHIFT }, { '0', "0", 0 }, { ')', "0", TERM_SHIFT }, { '*', "8", TERM_SHIFT },
        { ' ', "spc", 0 }, { '\r', "ret", 0 }, { '\n', "ret", 0 }, { '\t', "tab", 0 }, { 0x1b, "esc", 0 },
        { 0x7f, "backspace", 0 }, { 3, "c", TERM_CTRL }, { 26, "z", TERM_CTRL }, { 0x1c, "backslash", TERM_CTRL },
        { '"', "apostrophe", TERM_SHIFT }, { '~', "grave_accent", TERM_SHIFT }, { '|', "backslash", TERM_SHIFT },
        { '?', "slash", TERM_SHIFT }, { '_', "minus", TERM_SHIFT },
    };
    // clang-format on

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct term_key k = term_key_of_char((unsigned char)rows[i].c);

        ck_assert_msg(k.scancode == input_key_by_name(rows[i].key, strlen(rows[i].key)), "'%c' is %x", rows[i].c,
                      k.scancode);
        ck_assert_uint_eq(k.modifiers, rows[i].modifiers);
    }
    for (unsigned c = 0; c < 0x80; c++)
        ck_assert_msg(term_key_of_char(c).scancode, "no key types %u", c);
    ck_assert_uint_eq(term_key_of_char(0xe9).scancode, 0);
    ck_assert_uint_eq(term_key_of_char(0x110000).scancode, 0);
}
END_TEST

START_TEST(cp437)
{
    for (unsigned i = 0; i < 256; i++)
        for (unsigned j = 1; j < i; j++)
            ck_assert_msg(cp437_to_unicode((uint8_t)i) != cp437_to_unicode((uint8_t)j) || i == 0x20,
                          "%u and %u look the same", i, j);
    ck_assert_uint_eq(cp437_to_unicode('A'), 'A');
    ck_assert_uint_eq(cp437_to_unicode(0xc4), 0x2500);
    ck_assert_uint_eq(cp437_to_unicode(0xdb), 0x2588);
    ck_assert_uint_eq(cp437_to_unicode(0xe1), 0x00df);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("display_keys");
    TCase *tc = tcase_create("tables");

#if RING3_HAVE_SDL
    tcase_add_test(tc, sdl_keys_are_distinct);
    tcase_add_test(tc, sdl_without_a_window_leaves_the_sound);
#endif
    tcase_add_test(tc, characters);
    tcase_add_test(tc, cp437);
    suite_add_tcase(suite, tc);
    return check_main(suite);
}
