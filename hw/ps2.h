// SPDX-License-Identifier: MIT
// The two devices behind the keyboard controller, as it sees them: bytes in, bytes out. Private to hw/.
#pragma once

#include "base/types.h"

enum { PS2_QUEUE = 64, PS2_EVENTS = 32 };
enum { PS2_LAST = 0x100 }; // marks the last byte of a scan code or packet

// Bytes on their way to the controller. Answers to commands may use all of it; input events stop at
// PS2_EVENTS, so that a flood of input never pushes an answer out.
struct ps2_queue {
    uint16_t bytes[PS2_QUEUE];
    unsigned head, count;
};

static inline void ps2_queue_push(struct ps2_queue *q, uint16_t v)
{
    if (q->count < PS2_QUEUE)
        q->bytes[(q->head + q->count++) % PS2_QUEUE] = v;
}

static inline uint16_t ps2_queue_pop(struct ps2_queue *q)
{
    uint16_t v = q->bytes[q->head];
    q->head = (q->head + 1) % PS2_QUEUE;
    q->count--;
    return v;
}

static inline bool ps2_queue_has_room(const struct ps2_queue *q, unsigned bytes)
{
    return q->count + bytes <= PS2_EVENTS;
}

enum { PS2_ACK = 0xfa, PS2_RESEND = 0xfe, PS2_BAT_OK = 0xaa };

// What a key of scan code set 3 does.
enum { PS2_MAKES = 1, PS2_BREAKS = 2, PS2_REPEATS = 4 };

struct ps2_kbd {
    struct ps2_queue answers; // go before scan codes, but not into the middle of one
    struct ps2_queue codes;
    bool mid_code;
    bool scanning;
    uint8_t command; // waiting for its argument; 0: none
    uint8_t set;     // 1 to 3
    uint8_t leds, typematic, last;
    uint16_t repeating;    // the key that is held; 0: none
    uint8_t key_type[256]; // by code of set 3: PS2_MAKES and so on
};

void ps2_kbd_reset(struct ps2_kbd *k);
void ps2_kbd_write(struct ps2_kbd *k, uint8_t v);
bool ps2_kbd_ready(const struct ps2_kbd *k);
uint8_t ps2_kbd_read(struct ps2_kbd *k);
void ps2_kbd_key(struct ps2_kbd *k, uint16_t scancode, bool down);
bool ps2_kbd_has_room(const struct ps2_kbd *k); // or would not send the key at all
// The controller's translation of one byte of set 2 into set 1 (F0h is handled by the caller).
uint8_t ps2_kbd_translate(uint8_t v);
// Typematic: while ps2_kbd_repeating(), the key goes out again after the delay and then at each period.
bool ps2_kbd_repeating(const struct ps2_kbd *k);
void ps2_kbd_repeat(struct ps2_kbd *k);
uint64_t ps2_kbd_delay_ns(const struct ps2_kbd *k);
uint64_t ps2_kbd_period_ns(const struct ps2_kbd *k);

struct ps2_mouse {
    struct ps2_queue out;
    bool reporting, remote, wrap, scaling;
    uint8_t command, resolution, rate, id, last;
    uint8_t knock[3]; // the last three sample rates: how wheel mice are found
    int dx, dy, dz;   // not yet reported
    uint8_t buttons;
    bool changed;
};

void ps2_mouse_reset(struct ps2_mouse *m);
void ps2_mouse_write(struct ps2_mouse *m, uint8_t v);
bool ps2_mouse_ready(const struct ps2_mouse *m);
uint8_t ps2_mouse_read(struct ps2_mouse *m);
void ps2_mouse_event(struct ps2_mouse *m, int dx, int dy, int dz, unsigned buttons);
bool ps2_mouse_has_room(const struct ps2_mouse *m); // or would not send the event at all
// Sends a packet though nothing moved: a driver of the VMware port looks there at each mouse interrupt.
void ps2_mouse_poke(struct ps2_mouse *m);
