// SPDX-License-Identifier: MIT
// The PC speaker: what timer 2 and port 61h make it sound like.
#pragma once

#include "hw/i8254.h"
#include "hw/port_b.h"

struct pcspk;

struct pcspk *pcspk_create(const struct i8254 *timer, const struct port_b *port_b); // NULL if out of memory
// The next samples at rate Hz, mono, as the speaker stands now. Silence is zeros. Big lock held.
void pcspk_render(struct pcspk *s, int16_t *samples, unsigned count, unsigned rate);
