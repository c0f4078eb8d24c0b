// SPDX-License-Identifier: MIT
// A PS/2 keyboard: the three scan code sets, the types of set 3's keys, and typematic repetition.
// IBM PS/2 Hardware Interface Technical Reference (1990), "Keyboards (101- and 102-Key)".
#include "hw/ps2.h"

#include <string.h>

// clang-format off
enum {
    KBD_SET_LEDS = 0xed, KBD_ECHO = 0xee, KBD_SCAN_SET = 0xf0, KBD_IDENTIFY = 0xf2, KBD_TYPEMATIC = 0xf3,
    KBD_ENABLE = 0xf4, KBD_DISABLE = 0xf5, KBD_DEFAULTS = 0xf6, KBD_ALL_REPEAT = 0xf7, KBD_ALL_BREAK = 0xf8,
    KBD_ALL_MAKE = 0xf9, KBD_ALL_BOTH = 0xfa, KBD_KEY_REPEAT = 0xfb, KBD_KEY_BREAK = 0xfc, KBD_KEY_MAKE = 0xfd,
    KBD_RESEND = 0xfe, KBD_RESET = 0xff,
};
// clang-format on
enum { KEY_PAUSE = 0xe11d, KEY_PRINT_SCREEN = 0xe037, LONGEST_CODE = 8 };
enum { TYPEMATIC_DEFAULT = 0x2b }; // 10.9 characters a second after 500 ms

// Set 2 code by set 1 code, 00h to 7Fh: one to one.
static const uint8_t set2_of_set1[128] = {
    0x00, 0x76, 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46, 0x45, 0x4e, 0x55, 0x66, 0x0d, // 00
    0x15, 0x1d, 0x24, 0x2d, 0x2c, 0x35, 0x3c, 0x43, 0x44, 0x4d, 0x54, 0x5b, 0x5a, 0x14, 0x1c, 0x1b, // 10
    0x23, 0x2b, 0x34, 0x33, 0x3b, 0x42, 0x4b, 0x4c, 0x52, 0x0e, 0x12, 0x5d, 0x1a, 0x22, 0x21, 0x2a, // 20
    0x32, 0x31, 0x3a, 0x41, 0x49, 0x4a, 0x59, 0x7c, 0x11, 0x29, 0x58, 0x05, 0x06, 0x04, 0x0c, 0x03, // 30
    0x0b, 0x83, 0x0a, 0x01, 0x09, 0x77, 0x7e, 0x6c, 0x75, 0x7d, 0x7b, 0x6b, 0x73, 0x74, 0x79, 0x69, // 40
    0x72, 0x7a, 0x70, 0x71, 0x84, 0x60, 0x61, 0x78, 0x07, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x37, 0x3f, // 50
    0x47, 0x4f, 0x56, 0x5e, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38, 0x40, 0x48, 0x50, 0x57, 0x6f, // 60
    0x13, 0x19, 0x39, 0x51, 0x53, 0x5c, 0x5f, 0x62, 0x63, 0x64, 0x65, 0x67, 0x68, 0x6a, 0x6d, 0x6e, // 70
};

// Set 3 code by set 1 code of the plain keys; 0: the key sends nothing in this set.
static const uint8_t set3_of_set1[128] = {
    0x00, 0x08, 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46, 0x45, 0x4e, 0x55, 0x66, 0x0d, // 00
    0x15, 0x1d, 0x24, 0x2d, 0x2c, 0x35, 0x3c, 0x43, 0x44, 0x4d, 0x54, 0x5b, 0x5a, 0x11, 0x1c, 0x1b, // 10
    0x23, 0x2b, 0x34, 0x33, 0x3b, 0x42, 0x4b, 0x4c, 0x52, 0x0e, 0x12, 0x5c, 0x1a, 0x22, 0x21, 0x2a, // 20
    0x32, 0x31, 0x3a, 0x41, 0x49, 0x4a, 0x59, 0x7e, 0x19, 0x29, 0x14, 0x07, 0x0f, 0x17, 0x1f, 0x27, // 30
    0x2f, 0x37, 0x3f, 0x47, 0x4f, 0x76, 0x5f, 0x6c, 0x75, 0x7d, 0x84, 0x6b, 0x73, 0x74, 0x7c, 0x69, // 40
    0x72, 0x7a, 0x70, 0x71, 0x57, 0x00, 0x13, 0x56, 0x5e, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // 50
};

// Set 3 has no prefixes: the extended keys have codes of their own.
static const struct {
    uint16_t scancode;
    uint8_t set3;
} set3_extended[] = {
    {0xe01c, 0x79}, {0xe01d, 0x58}, {0xe035, 0x77}, {0xe037, 0x57}, {0xe038, 0x39}, {0xe047, 0x6e}, {0xe048, 0x63},
    {0xe049, 0x6f}, {0xe04b, 0x61}, {0xe04d, 0x6a}, {0xe04f, 0x65}, {0xe050, 0x60}, {0xe051, 0x6d}, {0xe052, 0x67},
    {0xe053, 0x64}, {0xe05b, 0x8b}, {0xe05c, 0x8c}, {0xe05d, 0x8d}, {0xe11d, 0x62},
};

// Keys that do not repeat in set 3 unless told to: with a break code (shifts, locks) ...
static const uint8_t set3_break[] = {0x11, 0x12, 0x14, 0x59, 0x19};
// ... and with none (function keys, keypad, control keys).
static const uint8_t set3_make_only[] = {
    0x07, 0x08, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x37, 0x39, 0x3f, 0x47, 0x4f, 0x56, 0x57,
    0x58, 0x5e, 0x5f, 0x62, 0x65, 0x67, 0x69, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f, 0x70, 0x71,
    0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x79, 0x7a, 0x7d, 0x7e, 0x84, 0x8b, 0x8c, 0x8d,
};

uint8_t ps2_kbd_translate(uint8_t v)
{
    switch (v) { // two codes of set 2 that share a key with another
    case 0x00: return 0xff;
    case 0x02: return 0x41;
    case 0x7f: return 0x54;
    }
    for (unsigned i = 1; i < 128; i++)
        if (set2_of_set1[i] == v)
            return (uint8_t)i;
    return v; // answers (80h and up) pass unchanged
}

static uint8_t set3_code(uint16_t scancode)
{
    if (scancode < 0x80)
        return set3_of_set1[scancode];
    for (unsigned i = 0; i < ARRAY_SIZE(set3_extended); i++)
        if (set3_extended[i].scancode == scancode)
            return set3_extended[i].set3;
    return 0;
}

// --- commands

static void answer(struct ps2_kbd *k, uint8_t v) { ps2_queue_push(&k->answers, v); }

static void defaults(struct ps2_kbd *k)
{
    k->set = 2;
    k->typematic = TYPEMATIC_DEFAULT;
    k->codes.count = 0;
    k->mid_code = false;
    k->repeating = 0;
    k->command = 0;
    memset(k->key_type, PS2_MAKES | PS2_REPEATS, sizeof(k->key_type));
    for (unsigned i = 0; i < ARRAY_SIZE(set3_break); i++)
        k->key_type[set3_break[i]] = PS2_MAKES | PS2_BREAKS;
    for (unsigned i = 0; i < ARRAY_SIZE(set3_make_only); i++)
        k->key_type[set3_make_only[i]] = PS2_MAKES;
}

void ps2_kbd_reset(struct ps2_kbd *k)
{
    *k = (struct ps2_kbd){.scanning = true};
    defaults(k);
}

// F7h to FAh for all keys, and four less for one: F7h is no command for one key, F8h is FCh, F9h is FDh.
static uint8_t type_of_command(uint8_t command)
{
    switch (command) {
    case KBD_ALL_REPEAT:
    case KBD_KEY_REPEAT: return PS2_MAKES | PS2_REPEATS;
    case KBD_ALL_BREAK:
    case KBD_KEY_BREAK: return PS2_MAKES | PS2_BREAKS;
    case KBD_ALL_MAKE:
    case KBD_KEY_MAKE: return PS2_MAKES;
    default: return PS2_MAKES | PS2_BREAKS | PS2_REPEATS;
    }
}

static void write_argument(struct ps2_kbd *k, uint8_t command, uint8_t v)
{
    switch (command) {
    case KBD_SET_LEDS:
        k->leds = v & 7;
        answer(k, PS2_ACK);
        break;
    case KBD_TYPEMATIC:
        k->typematic = v & 0x7f;
        answer(k, PS2_ACK);
        break;
    case KBD_SCAN_SET:
        if (v > 3) {
            answer(k, PS2_RESEND);
            break;
        }
        answer(k, PS2_ACK);
        if (v == 0)
            answer(k, k->set);
        else
            k->set = v;
        k->codes.count = 0; // what was typed in the other set
        k->mid_code = false;
        break;
    default: // a key of set 3, and more of them until the next command
        k->key_type[v] = type_of_command(command);
        k->command = command;
        answer(k, PS2_ACK);
        break;
    }
}

void ps2_kbd_write(struct ps2_kbd *k, uint8_t v)
{
    uint8_t command = k->command;

    k->command = 0;
    k->answers.count = 0; // a new command cuts off the answer to the last
    if (command && v < KBD_SET_LEDS) {
        write_argument(k, command, v);
        return;
    }
    switch (v) {
    case KBD_SET_LEDS:
    case KBD_TYPEMATIC:
    case KBD_SCAN_SET:
    case KBD_KEY_REPEAT:
    case KBD_KEY_BREAK:
    case KBD_KEY_MAKE:
        k->command = v;
        answer(k, PS2_ACK);
        break;
    case KBD_ECHO: answer(k, KBD_ECHO); break;
    case KBD_IDENTIFY:
        answer(k, PS2_ACK);
        answer(k, 0xab);
        answer(k, 0x83);
        break;
    case KBD_ENABLE:
        k->codes.count = 0;
        k->mid_code = false;
        k->scanning = true;
        answer(k, PS2_ACK);
        break;
    case KBD_DISABLE:
    case KBD_DEFAULTS:
        defaults(k);
        k->scanning = v == KBD_DEFAULTS;
        answer(k, PS2_ACK);
        break;
    case KBD_ALL_REPEAT:
    case KBD_ALL_BREAK:
    case KBD_ALL_MAKE:
    case KBD_ALL_BOTH:
        memset(k->key_type, type_of_command(v), sizeof(k->key_type));
        answer(k, PS2_ACK);
        break;
    case KBD_RESEND: answer(k, k->last); break;
    case KBD_RESET:
        ps2_kbd_reset(k);
        answer(k, PS2_ACK);
        answer(k, PS2_BAT_OK);
        break;
    default: answer(k, PS2_RESEND); break;
    }
}

bool ps2_kbd_ready(const struct ps2_kbd *k) { return k->answers.count || k->codes.count; }

uint8_t ps2_kbd_read(struct ps2_kbd *k)
{
    uint16_t v;

    if (k->answers.count && !k->mid_code)
        return k->last = (uint8_t)ps2_queue_pop(&k->answers);
    v = ps2_queue_pop(&k->codes);
    k->mid_code = !(v & PS2_LAST);
    return k->last = (uint8_t)v;
}

// --- keys

static void push(struct ps2_kbd *k, uint8_t v, bool last) { ps2_queue_push(&k->codes, v | (last ? PS2_LAST : 0)); }

// One key as make or break code, with an E0h prefix if extended.
static void send_code(struct ps2_kbd *k, uint8_t code, bool extended, bool down)
{
    if (extended)
        push(k, 0xe0, false);
    if (k->set == 1) {
        push(k, down ? code : code | 0x80, true);
        return;
    }
    if (!down)
        push(k, 0xf0, false);
    push(k, set2_of_set1[code], true);
}

static void send_set3(struct ps2_kbd *k, uint8_t code, bool down)
{
    if (!code || (!down && !(k->key_type[code] & PS2_BREAKS)))
        return;
    if (!down)
        push(k, 0xf0, false);
    push(k, code, true);
}

static void send_key(struct ps2_kbd *k, uint16_t scancode, bool down)
{
    static const uint8_t pause_set1[] = {0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5};
    static const uint8_t pause_set2[LONGEST_CODE] = {0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77};
    uint8_t code = scancode & 0x7f;

    if (k->set == 3) {
        send_set3(k, set3_code(scancode), down);
    } else if (scancode == KEY_PAUSE) { // has no break code
        const uint8_t *seq = k->set == 1 ? pause_set1 : pause_set2;
        unsigned n = k->set == 1 ? sizeof(pause_set1) : sizeof(pause_set2);

        for (unsigned i = 0; down && i < n; i++)
            push(k, seq[i], i == n - 1);
    } else if (scancode == KEY_PRINT_SCREEN) { // wrapped in an extended left shift
        send_code(k, down ? 0x2a : 0x37, true, down);
        send_code(k, down ? 0x37 : 0x2a, true, down);
    } else {
        send_code(k, code, scancode >> 8 == 0xe0, down);
    }
}

static bool can_repeat(const struct ps2_kbd *k, uint16_t scancode)
{
    return k->set == 3 ? k->key_type[set3_code(scancode)] & PS2_REPEATS : scancode != KEY_PAUSE;
}

bool ps2_kbd_has_room(const struct ps2_kbd *k) { return !k->scanning || ps2_queue_has_room(&k->codes, LONGEST_CODE); }

void ps2_kbd_key(struct ps2_kbd *k, uint16_t scancode, bool down)
{
    if (!k->scanning || !(scancode & 0x7f) || !ps2_queue_has_room(&k->codes, LONGEST_CODE))
        return;
    send_key(k, scancode, down);
    if (down) // the last key pressed is the one that repeats
        k->repeating = can_repeat(k, scancode) ? scancode : 0;
    else if (k->repeating == scancode)
        k->repeating = 0;
}

// --- typematic: bits 6-5 are the delay, bits 4-3 and 2-0 the period

bool ps2_kbd_repeating(const struct ps2_kbd *k) { return k->repeating; }

void ps2_kbd_repeat(struct ps2_kbd *k)
{
    // Nobody reads: a repetition would only wait behind its like.
    if (k->repeating && k->scanning && !k->codes.count)
        send_key(k, k->repeating, true);
}

uint64_t ps2_kbd_delay_ns(const struct ps2_kbd *k) { return ((k->typematic >> 5) + 1) * 250000000ull; }

// (8 + A) * 2^B * 4.17 ms, A being bits 2-0 and B bits 4-3.
uint64_t ps2_kbd_period_ns(const struct ps2_kbd *k)
{
    return ((8ull + (k->typematic & 7)) << (k->typematic >> 3 & 3)) * 4170000;
}
