// SPDX-License-Identifier: MIT
// Port 61h ("port B"): gate and output of timer 2, the speaker switch, the refresh toggle.
#pragma once

#include "hw/i8254.h"

struct port_b;

// Maps port 61h; t is the timer whose counter 2 it gates. NULL if out of memory.
struct port_b *port_b_create(struct address_space *ports, struct i8254 *t);
bool port_b_speaker_on(const struct port_b *p); // does the timer reach the speaker?
void port_b_reset(struct port_b *p);
