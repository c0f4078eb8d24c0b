// SPDX-License-Identifier: MIT
// The PC speaker: what timer 2 and port 61h make it sound like.
//
// Port 61h's bit 1 lets the timer's output through, bit 0 lets the timer run. A tone is its square wave; a program
// that moves the cone itself, bit by bit, is too fast for how often the sound is made here, and silent.
#include "hw/pcspk.h"

#include <stdlib.h>
#include <string.h>

enum { AMPLITUDE = 6000 }; // of 32767: it is a small speaker

struct pcspk {
    const struct i8254 *timer;
    const struct port_b *port_b;
    uint32_t phase; // in the tone's period, of 2^32
};

void pcspk_render(struct pcspk *s, int16_t *samples, unsigned count, unsigned rate)
{
    uint32_t period = port_b_speaker_on(s->port_b) ? i8254_get_period(s->timer, 2) : 0;
    uint64_t step = period ? ((uint64_t)I8254_HZ << 32) / ((uint64_t)period * rate) : 0;

    // Beyond half the sample rate only wrong tones would come out.
    if (!step || step > UINT32_MAX / 2) {
        memset(samples, 0, count * sizeof(*samples));
        s->phase = 0;
        return;
    }
    for (unsigned i = 0; i < count; i++, s->phase += (uint32_t)step)
        samples[i] = s->phase & 0x80000000 ? -AMPLITUDE : AMPLITUDE;
}

struct pcspk *pcspk_create(const struct i8254 *timer, const struct port_b *port_b)
{
    struct pcspk *s = calloc(1, sizeof(*s));

    if (s)
        *s = (struct pcspk){.timer = timer, .port_b = port_b};
    return s;
}
