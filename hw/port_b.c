// SPDX-License-Identifier: MIT
// Port 61h ("port B"): gate and output of timer 2, the speaker switch, the refresh toggle.
// Intel 82371AB (PIIX4), section 4.2.4 "NMI Registers": NMISC.
#include "hw/port_b.h"

#include <stdlib.h>

#include "hw/timebase.h"

enum {
    PORT_B_GATE2 = 0x01,
    PORT_B_SPEAKER = 0x02,
    PORT_B_WRITABLE = 0x0f, // and the two NMI masks
    PORT_B_REFRESH = 0x10,
    PORT_B_OUT2 = 0x20,
    REFRESH_NS = 15085, // half a cycle of counter 1's traditional 18 ticks
};

struct port_b {
    struct i8254 *timer;
    uint8_t latch;
};

static uint64_t port_b_read(void *opaque, uint64_t offset, unsigned size)
{
    struct port_b *p = opaque;
    uint8_t v = p->latch;
    if (clock_now_ns() / REFRESH_NS & 1)
        v |= PORT_B_REFRESH;
    if (i8254_get_out(p->timer, 2))
        v |= PORT_B_OUT2;
    return v;
}

static void port_b_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct port_b *p = opaque;
    p->latch = value & PORT_B_WRITABLE;
    i8254_set_gate(p->timer, 2, value & PORT_B_GATE2);
}

static const struct io_ops port_b_ops = {
    .read = port_b_read,
    .write = port_b_write,
    .min_size = 1,
    .max_size = 1,
    .gpr_only = true,
};

bool port_b_speaker_on(const struct port_b *p)
{
    return (p->latch & (PORT_B_GATE2 | PORT_B_SPEAKER)) == (PORT_B_GATE2 | PORT_B_SPEAKER);
}

void port_b_reset(struct port_b *p)
{
    p->latch = 0;
    i8254_set_gate(p->timer, 2, false);
}

struct port_b *port_b_create(struct address_space *ports, struct i8254 *t)
{
    struct port_b *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->timer = t;
    if (!as_map_io(ports, "port-b", 0x61, 1, &port_b_ops, p, 0)) {
        free(p);
        return NULL;
    }
    return p;
}
