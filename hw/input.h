// SPDX-License-Identifier: MIT
// Keys and pointer movements on their way from a window, a terminal, the monitor or QMP to the guest's
// devices.
//
// A key is named by its set 1 make code, as i8042.h does: 01h to 7Fh, or E0xxh for the extended keys; E11Dh is
// Pause, E037h Print Screen. Its names are QEMU's ("ret", "ctrl", "kp_add").
// Events wait here in a bounded queue while the device has no room, so that fast typing loses nothing.
#pragma once

#include "base/types.h"

struct input;

enum { INPUT_ABS_MAX = 0x7fff };
enum input_button { INPUT_LEFT = 1, INPUT_RIGHT = 2, INPUT_MIDDLE = 4, INPUT_SIDE = 8, INPUT_EXTRA = 16 };

struct input_pointer {
    bool absolute;
    int dx, dy, dz;   // since the last event: right, down, wheel towards the user
    unsigned x, y;    // absolute: 0 to INPUT_ABS_MAX over the screen
    unsigned buttons; // of enum input_button, now
};

struct input_keyboard_ops {
    bool (*has_room)(void *opaque); // for one more key event
    void (*key)(void *opaque, uint16_t scancode, bool down);
};
struct input_pointer_ops {
    bool (*has_room)(void *opaque);
    void (*pointer)(void *opaque, const struct input_pointer *p);
};

// Big lock held for all of these.
struct input *input_create(void); // NULL if out of memory
void input_destroy(struct input *in);

// --- devices
void input_set_keyboard(struct input *in, const struct input_keyboard_ops *ops, void *opaque);
void input_set_relative(struct input *in, const struct input_pointer_ops *ops, void *opaque); // PS/2 mouse
// An absolute device (VMware port) takes the pointer while it is active; NULL ops: gone.
void input_set_absolute(struct input *in, const struct input_pointer_ops *ops, void *opaque);
void input_device_ready(struct input *in); // a device has room again: hand on what waits
void input_reset(struct input *in);        // the machine was reset: what waits is dropped

// --- sources
bool input_wants_absolute(const struct input *in);
// false: the queue is full and the event was dropped.
bool input_key(struct input *in, uint16_t scancode, bool down);
unsigned input_key_room(const struct input *in); // key events that fit now
bool input_move(struct input *in, int dx, int dy);
bool input_move_to(struct input *in, unsigned x, unsigned y);          // 0 to INPUT_ABS_MAX
void input_position(const struct input *in, unsigned *x, unsigned *y); // the last one of these
bool input_wheel(struct input *in, int dz);
bool input_buttons(struct input *in, unsigned mask, bool down);
// Releases every key that is down: a window lost the focus.
void input_release_all(struct input *in);
// Presses the keys together, in order, and releases them after hold_ms: `sendkey ctrl-alt-f1`. 0 or -errno.
int input_press_together(struct input *in, const uint16_t *scancodes, unsigned n, unsigned hold_ms);

// --- names
uint16_t input_key_by_name(const char *name, size_t len); // QEMU's name or "0x.." scancode; 0: unknown
const char *input_key_name(uint16_t scancode);            // NULL: none
