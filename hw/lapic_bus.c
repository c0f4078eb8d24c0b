// SPDX-License-Identifier: MIT
// What joins the local APICs: destinations, interprocessor interrupts, MSI, the register page.
// SDM vol. 3A, sections 10.6.2 "Determining IPI Destination" and 10.11 "Message Signalled Interrupts".
#include <errno.h>
#include <stdlib.h>

#include "hw/lapic_internal.h"

// FEE00000h..FEEFFFFFh: bits 19:12 of an MSI's address are its destination.
enum { MSI_WINDOW = 0x100000, PAGE_PRIORITY = 2 };
enum { ICR_LOGICAL = 1 << 11, ICR_ASSERT = 1 << 14, ICR_LEVEL = 1 << 15, ICR_SHORTHAND_SHIFT = 18 };
enum { SHORTHAND_NONE, SHORTHAND_SELF, SHORTHAND_ALL, SHORTHAND_OTHERS };

static bool is_broadcast(const struct apic_msg *m) { return m->dest == (m->x2apic ? 0xffffffff : 0xff); }

static bool matches_logical(const struct lapic *l, uint32_t dest)
{
    if (lapic_x2apic(l)) // cluster in the high half, a bit each in the low half
        return dest >> 16 == l->ldr >> 16 && dest & l->ldr & 0xffff;
    uint32_t id = l->ldr >> 24;
    if (l->dfr >> 28 == 15) // flat model
        return dest & id;
    // cluster model; cluster 15 is all of them
    return (dest >> 4 == id >> 4 || dest >> 4 == 15) && dest & id & 15;
}

static bool matches(const struct lapic *l, const struct apic_msg *m)
{
    if (!lapic_enabled(l))
        return false;
    if (is_broadcast(m))
        return true;
    if (m->logical)
        return (lapic_x2apic(l) || m->dest <= 0xff) && matches_logical(l, m->dest);
    return m->dest == l->cfg.id;
}

// Section 10.6.2.4 "Lowest Priority Delivery Mode": the one with the lowest priority,
// round robin among equals.
static void deliver_lowest(struct lapic_bus *bus, const struct apic_msg *m)
{
    struct lapic *best = NULL;
    for (unsigned i = 0; i < bus->count; i++) {
        struct lapic *l = bus->lapic[(bus->next_lowest + i) % bus->count];
        if (matches(l, m) && l->svr & SVR_ENABLED && (!best || lapic_ppr(l) < lapic_ppr(best)))
            best = l;
    }
    if (!best)
        return;
    bus->next_lowest++;
    lapic_accept(best, APIC_FIXED, m->vector, m->level);
}

void lapic_bus_deliver(void *opaque, const struct apic_msg *m)
{
    struct lapic_bus *bus = opaque;
    if (m->mode == APIC_LOWEST) {
        deliver_lowest(bus, m);
        return;
    }
    for (unsigned i = 0; i < bus->count; i++)
        if (matches(bus->lapic[i], m))
            lapic_accept(bus->lapic[i], m->mode, m->vector, m->level);
}

void lapic_bus_send_msi(void *opaque, uint64_t addr, uint32_t data)
{
    struct apic_msg m = {
        .dest = addr >> 12 & 0xff,
        .logical = addr & 4,
        .vector = (uint8_t)data,
        .mode = data >> 8 & 7,
        .level = data & 0x8000,
    };
    if (addr >> 20 != LAPIC_DEFAULT_BASE >> 20)
        return;
    if (m.level && !(data & 0x4000))
        return; // level de-assert
    lapic_bus_deliver(opaque, &m);
}

void lapic_bus_send_ipi(struct lapic *from, uint64_t icr)
{
    struct lapic_bus *bus = from->bus;
    bool x2apic = lapic_x2apic(from);
    struct apic_msg m = {
        .dest = (uint32_t)(icr >> (x2apic ? 32 : 56)),
        .vector = (uint8_t)icr,
        .mode = icr >> 8 & 7,
        .logical = icr & ICR_LOGICAL,
        .x2apic = x2apic,
    };
    if ((m.mode == APIC_FIXED || m.mode == APIC_LOWEST) && m.vector < 16) {
        lapic_error(from, ESR_SEND_ILLEGAL);
        return;
    }
    if (m.mode == APIC_INIT && icr & ICR_LEVEL && !(icr & ICR_ASSERT))
        return; // "INIT Level De-assert" only mattered to the arbitration ids of old processors
    unsigned shorthand = icr >> ICR_SHORTHAND_SHIFT & 3;
    if (shorthand == SHORTHAND_NONE) {
        lapic_bus_deliver(bus, &m);
        return;
    }
    if (shorthand == SHORTHAND_SELF) {
        if (m.mode == APIC_FIXED)
            lapic_accept(from, m.mode, m.vector, false);
        return;
    }
    for (unsigned i = 0; i < bus->count; i++) {
        struct lapic *l = bus->lapic[i];
        if (lapic_enabled(l) && (l != from || shorthand == SHORTHAND_ALL))
            lapic_accept(l, m.mode == APIC_LOWEST ? APIC_FIXED : m.mode, m.vector, false);
    }
}

void lapic_bus_set_eoi(struct lapic_bus *bus, void (*eoi)(void *opaque, uint8_t vector), void *opaque)
{
    bus->eoi = eoi;
    bus->eoi_opaque = opaque;
}

void lapic_bus_set_taken(struct lapic_bus *bus, void (*fn)(void *opaque), void *opaque)
{
    bus->taken = fn;
    bus->taken_opaque = opaque;
}

int lapic_bus_move_page(struct lapic *l)
{
    uint64_t base = l->apic_base & APIC_BASE_ADDR;
    bool away = base != LAPIC_DEFAULT_BASE && lapic_enabled(l) && !lapic_x2apic(l);
    if (!away) {
        if (l->moved)
            as_set_enabled(l->moved, false);
        return 0;
    }
    if (l->moved) {
        as_move(l->moved, base);
        as_set_enabled(l->moved, true);
        return 0;
    }
    l->moved = as_map_io(l->bus->mem, "lapic-moved", base, PAGE_SIZE, &lapic_page_ops, l->bus, PAGE_PRIORITY);
    return l->moved ? 0 : -ENOMEM;
}

struct lapic_bus *lapic_bus_create(struct address_space *mem)
{
    struct lapic_bus *bus = calloc(1, sizeof(*bus));
    if (!bus)
        return NULL;
    bus->mem = mem;
    if (!as_map_io(mem, "lapic", LAPIC_DEFAULT_BASE, MSI_WINDOW, &lapic_page_ops, bus, PAGE_PRIORITY)) {
        free(bus);
        return NULL;
    }
    return bus;
}
