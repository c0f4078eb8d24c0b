// SPDX-License-Identifier: MIT
// The 8254 programmable interval timer: three 16-bit counters at 1.193182 MHz.
// Intel 8254 data sheet (231164-005).
#pragma once

#include "hw/irq.h"
#include "softmmu/address_space.h"

enum { I8254_HZ = 1193182 };

struct i8254;

// Maps 4 ports at base (40h). Counter 0's output is irq0. NULL if out of memory.
struct i8254 *i8254_create(struct address_space *ports, uint16_t base, struct irq_line irq0);
void i8254_reset(struct i8254 *t);
void i8254_set_gate(struct i8254 *t, unsigned counter, bool level);
// Ticks of the square wave (mode 3) or rate (mode 2) that runs now; 0: none does.
uint32_t i8254_get_period(const struct i8254 *t, unsigned counter);
bool i8254_ticks(const struct i8254 *t); // does counter 0 interrupt periodically, and not too fast to make up for it?
bool i8254_get_out(const struct i8254 *t, unsigned counter);
// HPET legacy replacement takes IRQ 0 away from counter 0 (which counts on).
void i8254_disconnect_irq(struct i8254 *t, bool disconnected);
