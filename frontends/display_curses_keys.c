// SPDX-License-Identifier: MIT
// Characters of the terminal as keys of a US keyboard, and characters of the VGA as Unicode.
#include "frontends/display_curses.h"

#include <curses.h>

struct term_key term_key_of_char(unsigned c)
{
    // By set 1 code: what the key gives without and with shift.
    static const char plain[0x3a] = "\0\0331234567890-=\b\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
    static const char shifted[0x3a] = "\0\0!@#$%^&*()_+\0\0QWERTYUIOP{}\0\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0\0\0";

    if (!c)
        return (struct term_key){0x03, TERM_CTRL | TERM_SHIFT}; // Ctrl-@
    if (c == 0x7f)
        return (struct term_key){0x0e, 0};
    if (c == '\n')
        c = '\r';
    for (uint16_t code = 1; code < 0x3a && c < 0x80; code++) {
        if (code == 0x37) // the keypad's star
            continue;
        if ((unsigned)plain[code] == c)
            return (struct term_key){code, 0};
        if ((unsigned)shifted[code] == c)
            return (struct term_key){code, TERM_SHIFT};
    }
    if (c < 0x20) { // Ctrl and a letter, or one of [ \ ] ^ _
        struct term_key k = term_key_of_char(c < 0x1b ? c + 0x60 : c + 0x40);

        k.modifiers |= TERM_CTRL;
        return k;
    }
    return (struct term_key){0, 0};
}

struct term_key term_key_of_curses(int key)
{
    // clang-format off
    static const struct {
        int curses;
        struct term_key key;
    } rows[] = {
        { KEY_UP, { 0xe048, 0 } }, { KEY_DOWN, { 0xe050, 0 } }, { KEY_LEFT, { 0xe04b, 0 } },
        { KEY_RIGHT, { 0xe04d, 0 } }, { KEY_HOME, { 0xe047, 0 } }, { KEY_END, { 0xe04f, 0 } },
        { KEY_PPAGE, { 0xe049, 0 } }, { KEY_NPAGE, { 0xe051, 0 } }, { KEY_IC, { 0xe052, 0 } },
        { KEY_DC, { 0xe053, 0 } }, { KEY_BACKSPACE, { 0x0e, 0 } }, { KEY_ENTER, { 0x1c, 0 } },
        { KEY_BTAB, { 0x0f, TERM_SHIFT } }, { KEY_A1, { 0x47, 0 } }, { KEY_A3, { 0x49, 0 } },
        { KEY_B2, { 0x4c, 0 } }, { KEY_C1, { 0x4f, 0 } }, { KEY_C3, { 0x51, 0 } },
        { KEY_SLEFT, { 0xe04b, TERM_SHIFT } }, { KEY_SRIGHT, { 0xe04d, TERM_SHIFT } },
        { KEY_SR, { 0xe048, TERM_SHIFT } }, { KEY_SF, { 0xe050, TERM_SHIFT } },
        { KEY_SHOME, { 0xe047, TERM_SHIFT } }, { KEY_SEND, { 0xe04f, TERM_SHIFT } },
        { KEY_SPREVIOUS, { 0xe049, TERM_SHIFT } }, { KEY_SNEXT, { 0xe051, TERM_SHIFT } },
        { KEY_SIC, { 0xe052, TERM_SHIFT } }, { KEY_SDC, { 0xe053, TERM_SHIFT } },
    };
    // clang-format on
    static const uint8_t modifiers[] = {0, TERM_SHIFT, TERM_CTRL, TERM_CTRL | TERM_SHIFT, TERM_ALT};

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].curses == key)
            return rows[i].key;
    // F1 to F12, then twelve each with shift, control, both, and alt: terminfo(5), as xterm numbers them.
    if (key >= KEY_F(1) && key <= KEY_F(12 * (int)ARRAY_SIZE(modifiers))) {
        unsigned n = (unsigned)(key - KEY_F(1)), f = n % 12;

        return (struct term_key){(uint16_t)(f < 10 ? 0x3b + f : 0x57 + f - 10), modifiers[n / 12]};
    }
    return (struct term_key){0, 0};
}

uint16_t cp437_to_unicode(uint8_t c)
{
    static const uint16_t low[32] = {
        0x0020, 0x263a, 0x263b, 0x2665, 0x2666, 0x2663, 0x2660, 0x2022, 0x25d8, 0x25cb, 0x25d9,
        0x2642, 0x2640, 0x266a, 0x266b, 0x263c, 0x25ba, 0x25c4, 0x2195, 0x203c, 0x00b6, 0x00a7,
        0x25ac, 0x21a8, 0x2191, 0x2193, 0x2192, 0x2190, 0x221f, 0x2194, 0x25b2, 0x25bc,
    };
    static const uint16_t high[128] = {
        0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8, 0x00ef, 0x00ee,
        0x00ec, 0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb, 0x00f9, 0x00ff, 0x00d6,
        0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192, 0x00e1, 0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1, 0x00aa,
        0x00ba, 0x00bf, 0x2310, 0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb, 0x2591, 0x2592, 0x2593, 0x2502,
        0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557, 0x255d, 0x255c, 0x255b, 0x2510, 0x2514,
        0x2534, 0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550,
        0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256b, 0x256a, 0x2518, 0x250c,
        0x2588, 0x2584, 0x258c, 0x2590, 0x2580, 0x03b1, 0x00df, 0x0393, 0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4,
        0x03a6, 0x0398, 0x03a9, 0x03b4, 0x221e, 0x03c6, 0x03b5, 0x2229, 0x2261, 0x00b1, 0x2265, 0x2264, 0x2320,
        0x2321, 0x00f7, 0x2248, 0x00b0, 0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, 0x00a0,
    };

    return c < 0x20 ? low[c] : c < 0x7f ? c : c == 0x7f ? 0x2302 : high[c - 0x80];
}
