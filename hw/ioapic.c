// SPDX-License-Identifier: MIT
// The 82093AA I/O APIC: 24 pins, version 20h (with the EOI register).
#include "hw/ioapic.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { IOREGSEL = 0x00, IOWIN = 0x10, IOEOI = 0x40, IOAPIC_SIZE = 0x1000 };
enum { REG_ID = 0, REG_VERSION = 1, REG_ARB = 2, REG_REDIR = 0x10 };
enum { IOAPIC_VERSION = 0x20 };
// Redirection entry, 82093AA data sheet, section 3.2.4 "IOREDTBL[23:0]".
#define REDIR_VECTOR 0xffu
#define REDIR_MODE_SHIFT 8
#define REDIR_LOGICAL BIT(11)
#define REDIR_STATUS BIT(12)
#define REDIR_LOW BIT(13)
#define REDIR_REMOTE_IRR BIT(14)
#define REDIR_LEVEL BIT(15)
#define REDIR_MASKED BIT(16)
#define REDIR_DEST_SHIFT 56
#define REDIR_READ_ONLY (REDIR_STATUS | REDIR_REMOTE_IRR)
#define REDIR_WRITABLE (0xff0000000001afffull | REDIR_MASKED)

struct ioapic {
    struct ioapic_config cfg;
    uint8_t select;
    uint8_t id;
    uint32_t lines; // the inputs, true for asserted whatever INTPOL says
    uint64_t redir[IOAPIC_PINS];
};

static void pin_send(struct ioapic *io, unsigned pin)
{
    uint64_t e = io->redir[pin];
    struct apic_msg msg = {
        .dest = (uint32_t)(e >> REDIR_DEST_SHIFT),
        .vector = e & REDIR_VECTOR,
        .mode = e >> REDIR_MODE_SHIFT & 7,
        .logical = e & REDIR_LOGICAL,
        .level = e & REDIR_LEVEL,
    };
    // Only fixed and lowest-priority interrupts are level-triggered on the bus and wait for an EOI.
    bool waits = msg.level && (msg.mode == APIC_FIXED || msg.mode == APIC_LOWEST);
    if (waits)
        io->redir[pin] |= REDIR_REMOTE_IRR;
    msg.level = waits;
    io->cfg.deliver(io->cfg.opaque, &msg);
}

// Level-triggered: sends while the line is asserted and no earlier one waits for its EOI.
static void pin_service_level(struct ioapic *io, unsigned pin)
{
    uint64_t e = io->redir[pin];
    if (io->lines & (1u << pin) && e & REDIR_LEVEL && !(e & (REDIR_MASKED | REDIR_REMOTE_IRR)))
        pin_send(io, pin);
}

void ioapic_set_irq(void *opaque, unsigned pin, bool level)
{
    struct ioapic *io = opaque;
    if (pin >= IOAPIC_PINS)
        return;
    uint32_t bit = 1u << pin;
    bool was = io->lines & bit;
    io->lines = level ? io->lines | bit : io->lines & ~bit;
    if (!level || was)
        return;
    uint64_t e = io->redir[pin];
    if (e & REDIR_LEVEL)
        pin_service_level(io, pin);
    else if (!(e & REDIR_MASKED)) // "edge-sensitive interrupts signaled on a masked pin are ignored"
        pin_send(io, pin);
}

int ioapic_edge_vector(const struct ioapic *io, unsigned pin)
{
    uint64_t e = io->redir[pin];
    unsigned mode = e >> REDIR_MODE_SHIFT & 7;
    return e & (REDIR_MASKED | REDIR_LEVEL) || (mode != APIC_FIXED && mode != APIC_LOWEST) ? -1
                                                                                           : (int)(e & REDIR_VECTOR);
}

// A line that is still asserted at the EOI asks again.
static void pin_eoi(struct ioapic *io, unsigned pin)
{
    io->redir[pin] &= ~REDIR_REMOTE_IRR;
    pin_service_level(io, pin);
}

void ioapic_eoi(void *opaque, uint8_t vector)
{
    struct ioapic *io = opaque;
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        uint64_t e = io->redir[pin];
        if ((e & REDIR_VECTOR) == vector && e & REDIR_REMOTE_IRR)
            pin_eoi(io, pin);
    }
}

static uint32_t window_read(struct ioapic *io)
{
    switch (io->select) {
    case REG_ID:
    case REG_ARB: return (uint32_t)io->id << 24;
    case REG_VERSION: return (IOAPIC_PINS - 1) << 16 | IOAPIC_VERSION;
    }
    unsigned pin = (io->select - REG_REDIR) / 2u;
    if (io->select < REG_REDIR || pin >= IOAPIC_PINS)
        return 0;
    return (uint32_t)(io->redir[pin] >> (io->select & 1 ? 32 : 0));
}

static void window_write(struct ioapic *io, uint32_t v)
{
    if (io->select == REG_ID)
        io->id = v >> 24 & 15;
    unsigned pin = (io->select - REG_REDIR) / 2u;
    if (io->select < REG_REDIR || pin >= IOAPIC_PINS)
        return;
    uint64_t old = io->redir[pin], e;
    if (io->select & 1)
        e = (old & 0xffffffff) | (uint64_t)v << 32;
    else
        e = (old & ~0xffffffffull) | v;
    e = (e & REDIR_WRITABLE) | (old & REDIR_READ_ONLY);
    // Remote IRR has no meaning for edge-triggered interrupts; switching to edge and back is how systems
    // without the EOI register clear it.
    if (!(e & REDIR_LEVEL))
        e &= ~REDIR_REMOTE_IRR;
    io->redir[pin] = e;
    pin_service_level(io, pin);
}

static uint64_t ioapic_read(void *opaque, uint64_t offset, unsigned size)
{
    struct ioapic *io = opaque;
    switch (offset) {
    case IOREGSEL: return io->select;
    case IOWIN: return window_read(io);
    default: return 0;
    }
}

static void ioapic_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct ioapic *io = opaque;
    switch (offset) {
    case IOREGSEL: io->select = (uint8_t)value; break;
    case IOWIN: window_write(io, (uint32_t)value); break;
    case IOEOI: ioapic_eoi(io, (uint8_t)value); break;
    }
}

static const struct io_ops ioapic_ops = {
    .read = ioapic_read,
    .write = ioapic_write,
    .min_size = 4,
    .max_size = 4,
    .gpr_only = true,
};

void ioapic_reset(struct ioapic *io)
{
    io->select = 0;
    io->id = io->cfg.id;
    for (unsigned i = 0; i < IOAPIC_PINS; i++)
        io->redir[i] = REDIR_MASKED;
}

struct ioapic *ioapic_create(const struct ioapic_config *cfg)
{
    struct ioapic *io = calloc(1, sizeof(*io));
    if (!io)
        return NULL;
    io->cfg = *cfg;
    if (!as_map_io(cfg->mem, "ioapic", cfg->base, IOAPIC_SIZE, &ioapic_ops, io, 0)) {
        free(io);
        return NULL;
    }
    ioapic_reset(io);
    return io;
}

void ioapic_info(const struct ioapic *io, void (*print)(void *opaque, const char *line), void *opaque)
{
    char line[128];
    snprintf(line, sizeof(line), "ioapic id=%u sel=%02x lines=%06x", io->id, io->select, io->lines);
    print(opaque, line);
    for (unsigned i = 0; i < IOAPIC_PINS; i++) {
        uint64_t e = io->redir[i];
        snprintf(line, sizeof(line), "pin %-2u %016" PRIx64 " dest=%02x vec=%02x %s %s%s%s", i, e,
                 (unsigned)(e >> REDIR_DEST_SHIFT), (unsigned)(e & REDIR_VECTOR), e & REDIR_LEVEL ? "level" : "edge",
                 e & REDIR_LOGICAL ? "logical" : "physical", e & REDIR_MASKED ? " masked" : "",
                 e & REDIR_REMOTE_IRR ? " irr" : "");
        print(opaque, line);
    }
}
