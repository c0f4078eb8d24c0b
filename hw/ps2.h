// SPDX-License-Identifier: MIT
// The two devices behind the keyboard controller, as it sees them: bytes in, bytes out. Private to hw/.
#pragma once

#include "base/types.h"

enum { PS2_QUEUE = 64, PS2_EVENTS = 32 };

// Bytes on their way to the controller. Answers to commands may use all of it; input events stop at
// PS2_EVENTS, so that a flood of input never pushes an answer out.
struct ps2_queue {
    uint8_t bytes[PS2_QUEUE];
    unsigned head, count;
};

static inline void ps2_queue_push(struct ps2_queue *q, uint8_t v)
{
    if (q->count < PS2_QUEUE)
        q->bytes[(q->head + q->count++) % PS2_QUEUE] = v;
}

static inline uint8_t ps2_queue_pop(struct ps2_queue *q)
{
    uint8_t v = q->bytes[q->head];
    q->head = (q->head + 1) % PS2_QUEUE;
    q->count--;
    return v;
}

static inline bool ps2_queue_has_room(const struct ps2_queue *q, unsigned bytes)
{
    return q->count + bytes <= PS2_EVENTS;
}

enum { PS2_ACK = 0xfa, PS2_RESEND = 0xfe, PS2_BAT_OK = 0xaa };

struct ps2_kbd {
    struct ps2_queue out;
    bool scanning;
    uint8_t command; // waiting for its argument; 0: none
    uint8_t set;     // 1 or 2
    uint8_t leds, typematic, last;
};

void ps2_kbd_reset(struct ps2_kbd *k);
void ps2_kbd_write(struct ps2_kbd *k, uint8_t v);
bool ps2_kbd_ready(const struct ps2_kbd *k);
uint8_t ps2_kbd_read(struct ps2_kbd *k);
void ps2_kbd_key(struct ps2_kbd *k, uint16_t scancode, bool down);
// The controller's translation of one byte of set 2 into set 1 (F0h is handled by the caller).
uint8_t ps2_kbd_translate(uint8_t v);

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
