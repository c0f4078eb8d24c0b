// SPDX-License-Identifier: MIT
// A PS/2 keyboard: scan code sets 1 and 2.
// IBM PS/2 Hardware Interface Technical Reference (1990), "Keyboards (101- and 102-Key)".
#include "hw/ps2.h"

enum {
    KBD_SET_LEDS = 0xed, KBD_ECHO = 0xee, KBD_SCAN_SET = 0xf0, KBD_IDENTIFY = 0xf2, KBD_TYPEMATIC = 0xf3,
    KBD_ENABLE = 0xf4, KBD_DISABLE = 0xf5, KBD_DEFAULTS = 0xf6, KBD_KEYS_FIRST = 0xf7, KBD_KEYS_LAST = 0xfa,
    KBD_RESEND = 0xfe, KBD_RESET = 0xff,
};
enum { KEY_PAUSE = 0xe11d, KEY_PRINT_SCREEN = 0xe037 };

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

static void answer(struct ps2_kbd *k, uint8_t v) { ps2_queue_push(&k->out, v); }

static void defaults(struct ps2_kbd *k)
{
    k->set = 2;
    k->typematic = 0x2b; // 10.9 characters a second after 500 ms
    k->out.count = 0;
    k->command = 0;
}

void ps2_kbd_reset(struct ps2_kbd *k)
{
    *k = (struct ps2_kbd){.scanning = true};
    defaults(k);
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
        if (v > 2) { // set 3 is not modelled
            answer(k, PS2_RESEND);
            break;
        }
        answer(k, PS2_ACK);
        if (v == 0)
            answer(k, k->set);
        else
            k->set = v;
        break;
    }
}

void ps2_kbd_write(struct ps2_kbd *k, uint8_t v)
{
    uint8_t command = k->command;
    k->command = 0;
    if (command && v < KBD_SET_LEDS) {
        write_argument(k, command, v);
        return;
    }
    switch (v) {
    case KBD_SET_LEDS:
    case KBD_TYPEMATIC:
    case KBD_SCAN_SET:
        k->command = v;
        answer(k, PS2_ACK);
        break;
    case KBD_ECHO:
        answer(k, KBD_ECHO);
        break;
    case KBD_IDENTIFY:
        answer(k, PS2_ACK);
        answer(k, 0xab);
        answer(k, 0x83);
        break;
    case KBD_ENABLE:
        k->out.count = 0;
        k->scanning = true;
        answer(k, PS2_ACK);
        break;
    case KBD_DISABLE:
    case KBD_DEFAULTS:
        defaults(k);
        k->scanning = v == KBD_DEFAULTS;
        answer(k, PS2_ACK);
        break;
    case KBD_RESEND:
        answer(k, k->last);
        break;
    case KBD_RESET:
        ps2_kbd_reset(k);
        answer(k, PS2_ACK);
        answer(k, PS2_BAT_OK);
        break;
    default: // F7h to FAh configure keys of set 3 and are accepted without effect
        answer(k, v >= KBD_KEYS_FIRST && v <= KBD_KEYS_LAST ? PS2_ACK : PS2_RESEND);
        break;
    }
}

bool ps2_kbd_ready(const struct ps2_kbd *k) { return k->out.count > 0; }

uint8_t ps2_kbd_read(struct ps2_kbd *k) { return k->last = ps2_queue_pop(&k->out); }

// One key as make or break code, with an E0h prefix if extended.
static void send_code(struct ps2_kbd *k, uint8_t code, bool extended, bool down)
{
    if (extended)
        answer(k, 0xe0);
    if (k->set == 1) {
        answer(k, down ? code : code | 0x80);
        return;
    }
    if (!down)
        answer(k, 0xf0);
    answer(k, set2_of_set1[code]);
}

void ps2_kbd_key(struct ps2_kbd *k, uint16_t scancode, bool down)
{
    static const uint8_t pause_set1[] = {0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5};
    static const uint8_t pause_set2[] = {0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77};
    uint8_t code = scancode & 0x7f;
    if (!k->scanning || !code || !ps2_queue_has_room(&k->out, sizeof(pause_set2)))
        return;
    if (scancode == KEY_PAUSE) { // has no break code
        const uint8_t *seq = k->set == 1 ? pause_set1 : pause_set2;
        unsigned n = k->set == 1 ? sizeof(pause_set1) : sizeof(pause_set2);
        for (unsigned i = 0; down && i < n; i++)
            answer(k, seq[i]);
    } else if (scancode == KEY_PRINT_SCREEN) { // wrapped in an extended left shift
        send_code(k, down ? 0x2a : 0x37, true, down);
        send_code(k, down ? 0x37 : 0x2a, true, down);
    } else {
        send_code(k, code, scancode >> 8 == 0xe0, down);
    }
}
