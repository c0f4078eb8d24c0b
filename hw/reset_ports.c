// SPDX-License-Identifier: MIT
// Ports that reset the machine: 92h (with the fast A20 gate) and CF9h (reset control of the PIIX3).
#include "hw/reset_ports.h"

#include <stdlib.h>

enum { PORT92_INIT_NOW = 0x01, PORT92_A20 = 0x02 };
enum { RCR_HARD = 0x02, RCR_RESET = 0x04, RCR_WRITABLE = RCR_HARD | RCR_RESET };

struct reset_ports {
    struct reset_ports_config cfg;
    uint8_t port92, rcr;
};

static uint64_t port92_read(void *opaque, uint64_t offset, unsigned size)
{
    struct reset_ports *r = opaque;
    return r->port92;
}

static void port92_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct reset_ports *r = opaque;
    uint8_t was = r->port92;
    r->port92 = (uint8_t)value;
    if ((was ^ r->port92) & PORT92_A20 && r->cfg.set_a20)
        r->cfg.set_a20(r->cfg.opaque, value & PORT92_A20);
    if (!(was & PORT92_INIT_NOW) && value & PORT92_INIT_NOW && r->cfg.reset)
        r->cfg.reset(r->cfg.opaque, false);
}

static uint64_t rcr_read(void *opaque, uint64_t offset, unsigned size)
{
    struct reset_ports *r = opaque;
    return r->rcr;
}

// The reset happens when bit 2 goes from 0 to 1; bit 1 says which kind.
static void rcr_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct reset_ports *r = opaque;
    bool rises = !(r->rcr & RCR_RESET) && value & RCR_RESET;
    r->rcr = value & RCR_WRITABLE;
    if (rises && r->cfg.reset)
        r->cfg.reset(r->cfg.opaque, value & RCR_HARD);
}

static const struct io_ops port92_ops = {
    .read = port92_read,
    .write = port92_write,
    .min_size = 1,
    .max_size = 1,
};
static const struct io_ops rcr_ops = {.read = rcr_read, .write = rcr_write, .min_size = 1, .max_size = 1};

void reset_ports_a20_changed(struct reset_ports *r, bool enabled)
{
    r->port92 = (uint8_t)(enabled ? r->port92 | PORT92_A20 : r->port92 & ~PORT92_A20);
}

void reset_ports_reset(struct reset_ports *r)
{
    r->port92 = PORT92_A20;
    r->rcr = 0;
}

struct reset_ports *reset_ports_create(const struct reset_ports_config *cfg)
{
    struct reset_ports *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->cfg = *cfg;
    if (!as_map_io(cfg->ports, "port92", 0x92, 1, &port92_ops, r, 0) ||
        !as_map_io(cfg->ports, "reset-control", 0xcf9, 1, &rcr_ops, r, 1)) {
        free(r);
        return NULL;
    }
    reset_ports_reset(r);
    return r;
}
