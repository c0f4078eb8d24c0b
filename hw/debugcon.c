// SPDX-License-Identifier: MIT
// -device isa-debugcon / -debugcon: one port whose writes go to a chardev and whose reads identify it.
#include "hw/debugcon.h"

#include <stdlib.h>

struct debugcon {
    struct chardev *chr;
    uint8_t readback;
};

static uint64_t debugcon_read(void *opaque, uint64_t offset, unsigned size)
{
    struct debugcon *d = opaque;
    return d->readback;
}

static void debugcon_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct debugcon *d = opaque;
    uint8_t v = (uint8_t)value;
    chardev_write(d->chr, &v, 1); // when the chardev is full the byte is lost: there is no status to wait for
}

static const struct io_ops debugcon_ops = {
    .read = debugcon_read,
    .write = debugcon_write,
    .min_size = 1,
    .max_size = 1,
};

static size_t debugcon_can_receive(void *opaque) { return 0; } // output only
static void debugcon_receive(void *opaque, const uint8_t *buf, size_t len) {}

static const struct chardev_frontend_ops debugcon_frontend = {
    .can_receive = debugcon_can_receive,
    .receive = debugcon_receive,
};

struct debugcon *debugcon_create(struct address_space *ports, uint16_t iobase, uint8_t readback, struct chardev *chr)
{
    struct debugcon *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    *d = (struct debugcon){.chr = chr, .readback = readback};
    if (!as_map_io(ports, "debugcon", iobase, 1, &debugcon_ops, d, 0)) {
        free(d);
        return NULL;
    }
    if (chr && !chr->fe) {
        chr->fe = &debugcon_frontend;
        chr->fe_opaque = d;
    }
    return d;
}
