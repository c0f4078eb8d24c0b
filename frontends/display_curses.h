// SPDX-License-Identifier: MIT
// What a terminal sends and shows, in the terms of a PC. Private to display_curses*.c.
#pragma once

#include "base/types.h"

enum { TERM_SHIFT = 1, TERM_CTRL = 2, TERM_ALT = 4 };

struct term_key {
    uint16_t scancode; // of hw/input.h; 0: no PC key makes this
    uint8_t modifiers; // TERM_SHIFT and so on: to be held around it
};

struct term_key term_key_of_char(unsigned c); // ASCII, control characters included; US keyboard
struct term_key term_key_of_curses(int key);  // KEY_* of <curses.h>

// Unicode of each CP437 character of the text screen; control codes are the pictures a VGA has for them.
uint16_t cp437_to_unicode(uint8_t c);
