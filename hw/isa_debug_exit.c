// SPDX-License-Identifier: MIT
// -device isa-debug-exit: a write of v ends the process with status (v << 1) | 1.
#include "hw/isa_debug_exit.h"

#include <stdlib.h>

struct isa_debug_exit {
    void (*exit_fn)(void *opaque, int status);
    void *opaque;
};

static uint64_t debug_exit_read(void *opaque, uint64_t offset, unsigned size) { return 0; }

static void debug_exit_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct isa_debug_exit *d = opaque;
    d->exit_fn(d->opaque, (int)(uint32_t)(value << 1 | 1));
}

static const struct io_ops debug_exit_ops = {
    .read = debug_exit_read,
    .write = debug_exit_write,
    .min_size = 1,
    .max_size = 4,
};

struct isa_debug_exit *isa_debug_exit_create(struct address_space *ports, uint16_t iobase, uint16_t iosize,
                                             void (*exit_fn)(void *opaque, int status), void *opaque)
{
    struct isa_debug_exit *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    *d = (struct isa_debug_exit){exit_fn, opaque};
    if (!as_map_io(ports, "isa-debug-exit", iobase, iosize, &debug_exit_ops, d, 0)) {
        free(d);
        return NULL;
    }
    return d;
}
