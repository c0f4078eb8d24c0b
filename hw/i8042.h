// SPDX-License-Identifier: MIT
// The 8042 keyboard controller with a PS/2 keyboard and a PS/2 wheel mouse behind it.
// IBM PS/2 Hardware Interface Technical Reference (1990), "Keyboard and Auxiliary Device Controller".
#pragma once

#include "hw/input.h"
#include "hw/irq.h"
#include "softmmu/address_space.h"

struct i8042_config {
    struct address_space *ports; // 60h and 64h
    struct irq_line irq_kbd;     // IRQ 1
    struct irq_line irq_aux;     // IRQ 12
    void (*reset)(void *opaque); // command FEh, or output port bit 0 low: reset the machine
    void (*set_a20)(void *opaque, bool enabled);
    void *opaque;
    bool no_aux;         // no mouse connected
    struct input *input; // where keys and movements come from; NULL: only the functions below
};

struct i8042;

struct i8042 *i8042_create(const struct i8042_config *cfg); // NULL if out of memory
void i8042_reset(struct i8042 *k);
// The gate's level changed elsewhere (port 92h): what the output port reads.
void i8042_a20_changed(struct i8042 *k, bool enabled);

// --- input, big lock held. Events that do not fit in the device's queue are dropped, as in hardware.
// scancode: the set 1 make code, 01h to 7Fh, or E0xxh for the extended keys; E11Dh is Pause,
// E037h Print Screen. The keyboard sends it in the set the guest chose.
void kbd_send_scancode(struct i8042 *k, uint16_t scancode, bool down);
// dx to the right, dy down, dz wheel towards the user; buttons: 1 left, 2 right, 4 middle, 8 and 16 at the side.
void mouse_send_event(struct i8042 *k, int dx, int dy, int dz, unsigned buttons);
// An absolute pointer's event waits at the VMware port: the mouse interrupts with an empty packet.
void mouse_poke(struct i8042 *k);
// Keyboard LEDs: 1 scroll, 2 num, 4 caps.
unsigned kbd_get_leds(const struct i8042 *k);
