// SPDX-License-Identifier: MIT
// The pair of 8259A interrupt controllers of a PC, with the ELCR of the ISA bridge.
#include "hw/i8259.h"

#include <stdio.h>
#include <stdlib.h>

enum { CASCADE = 2 };

// Command words, 8259A data sheet, "Programming the 8259A".
// clang-format off
enum {
    ICW1_IC4 = 0x01, ICW1_SNGL = 0x02, ICW1_SELECT = 0x10,
    ICW4_AEOI = 0x02, ICW4_SFNM = 0x10,
    OCW3_RIS = 0x01, OCW3_RR = 0x02, OCW3_P = 0x04, OCW3_SELECT = 0x08, OCW3_SMM = 0x20, OCW3_ESMM = 0x40,
};
// clang-format on
enum init_state { READY, WAIT_ICW2, WAIT_ICW3, WAIT_ICW4 };

struct i8259_chip {
    struct i8259 *pair;
    uint8_t irr, imr, isr;
    uint8_t lines; // inputs as they are now
    uint8_t elcr, elcr_mask;
    uint8_t base;    // ICW2
    uint8_t highest; // the input with the highest priority (rotation)
    enum init_state init;
    bool need_icw4, single;
    bool aeoi, rotate_aeoi, sfnm, smm, poll, read_isr;
};

struct i8259 {
    struct i8259_chip chip[2]; // master, slave
    struct irq_line intr;
    bool output;
};

// --- priority resolution

static int chip_first(const struct i8259_chip *c, uint8_t set)
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned n = (c->highest + i) & 7;
        if (set & (1u << n))
            return (int)n;
    }
    return -1;
}

static unsigned chip_rank(const struct i8259_chip *c, int n) { return n < 0 ? 8 : ((unsigned)n - c->highest) & 7; }

// The request that the chip's INT output stands for, or -1.
static int chip_pending(const struct i8259_chip *c)
{
    int n = chip_first(c, c->irr & (uint8_t)~c->imr);
    uint8_t inhibiting = c->isr;
    // "Special Mask Mode": masked levels in service no longer inhibit the others.
    if (c->smm)
        inhibiting &= (uint8_t)~c->imr;
    // "The Special Fully Nested Mode": a slave in service is not locked out of the master.
    if (c->sfnm && c == &c->pair->chip[0])
        inhibiting &= (uint8_t) ~(1u << CASCADE);
    return n >= 0 && chip_rank(c, n) < chip_rank(c, chip_first(c, inhibiting)) ? n : -1;
}

static void pair_update(struct i8259 *p)
{
    struct i8259_chip *master = &p->chip[0];
    // The slave's INT is a plain level into the master: it goes when the slave's request goes.
    uint8_t bit = 1u << CASCADE;
    master->irr = (uint8_t)((master->irr & ~bit) | (chip_pending(&p->chip[1]) >= 0 ? bit : 0));
    bool output = chip_pending(master) >= 0;
    if (output != p->output) {
        p->output = output;
        irq_set(&p->intr, output);
    }
}

// The INTA sequence for one chip and one of its inputs.
static void chip_accept(struct i8259_chip *c, int n)
{
    uint8_t bit = (uint8_t)(1u << n);
    if (!(c->elcr & bit))
        c->irr &= (uint8_t)~bit;
    if (!c->aeoi)
        c->isr |= bit;
    else if (c->rotate_aeoi)
        c->highest = (uint8_t)((n + 1) & 7);
}

int i8259_acknowledge(void *opaque)
{
    struct i8259 *p = opaque;
    struct i8259_chip *c = &p->chip[0];
    int n = chip_pending(c);
    if (n >= 0) {
        chip_accept(c, n);
        if (n == CASCADE) {
            c = &p->chip[1];
            n = chip_pending(c);
            if (n >= 0)
                chip_accept(c, n);
        }
    }
    // No request (any more): "a default IRQ 7", with no bit in service.
    int vector = c->base + (n < 0 ? 7 : n);
    pair_update(p);
    return vector;
}

bool i8259_requested(const struct i8259 *p, unsigned n)
{
    const struct i8259_chip *c = &p->chip[n >> 3];
    return c->irr & ~c->imr & 1u << (n & 7);
}

bool i8259_int_output(const struct i8259 *p) { return p->output; }

void i8259_set_irq(void *opaque, unsigned n, bool level)
{
    struct i8259 *p = opaque;
    if (n > 15 || n == CASCADE)
        return;
    struct i8259_chip *c = &p->chip[n >> 3];
    uint8_t bit = (uint8_t)(1u << (n & 7));
    bool was = c->lines & bit;
    c->lines = (uint8_t)(level ? c->lines | bit : c->lines & ~bit);
    if (c->elcr & bit)
        c->irr = (uint8_t)(level ? c->irr | bit : c->irr & ~bit);
    else if (level && !was)
        c->irr |= bit; // stays latched when the line falls: devices here may pulse their lines
    pair_update(p);
}

// --- registers

static void chip_clear(struct i8259_chip *c)
{
    struct i8259 *pair = c->pair;
    uint8_t lines = c->lines, elcr = c->elcr, elcr_mask = c->elcr_mask, base = c->base;
    *c = (struct i8259_chip){.pair = pair, .lines = lines, .elcr = elcr, .elcr_mask = elcr_mask, .base = base};
    c->irr = lines & elcr;
}

static void chip_eoi(struct i8259_chip *c, int n, bool rotate)
{
    if (n < 0)
        return;
    c->isr &= (uint8_t) ~(1u << n);
    if (rotate)
        c->highest = (uint8_t)((n + 1) & 7);
}

static void chip_write_ocw2(struct i8259_chip *c, uint8_t v)
{
    int level = v & 7;
    uint8_t in_service = c->smm ? c->isr & (uint8_t)~c->imr : c->isr;
    switch (v >> 5) { // R, SL, EOI
    case 0: c->rotate_aeoi = false; break;
    case 1: chip_eoi(c, chip_first(c, in_service), false); break;
    case 2: break; // no operation
    case 3: chip_eoi(c, level, false); break;
    case 4: c->rotate_aeoi = true; break;
    case 5: chip_eoi(c, chip_first(c, in_service), true); break;
    case 6: c->highest = (uint8_t)((level + 1) & 7); break;
    case 7: chip_eoi(c, level, true); break;
    }
}

static void chip_write_ocw3(struct i8259_chip *c, uint8_t v)
{
    if (v & OCW3_P)
        c->poll = true;
    else if (v & OCW3_RR)
        c->read_isr = v & OCW3_RIS;
    if (v & OCW3_ESMM)
        c->smm = v & OCW3_SMM;
}

static void chip_write_data(struct i8259_chip *c, uint8_t v)
{
    switch (c->init) {
    case READY: c->imr = v; break;
    case WAIT_ICW2:
        c->base = v & 0xf8;
        c->init = !c->single ? WAIT_ICW3 : c->need_icw4 ? WAIT_ICW4 : READY;
        break;
    case WAIT_ICW3: // which inputs have slaves: wired, not programmed, on a PC
        c->init = c->need_icw4 ? WAIT_ICW4 : READY;
        break;
    case WAIT_ICW4:
        c->aeoi = v & ICW4_AEOI;
        c->sfnm = v & ICW4_SFNM;
        c->init = READY;
        break;
    }
}

static void chip_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct i8259_chip *c = opaque;
    uint8_t v = (uint8_t)value;
    if (offset == 1) {
        chip_write_data(c, v);
    } else if (v & ICW1_SELECT) {
        // ICW1 resets the edge sense circuits, the masks, the priorities and (IC4 clear) what ICW4 sets.
        // LTIM is ignored: the ELCR of the ISA bridge replaces it.
        chip_clear(c);
        c->init = WAIT_ICW2;
        c->need_icw4 = v & ICW1_IC4;
        c->single = v & ICW1_SNGL;
    } else if (v & OCW3_SELECT) {
        chip_write_ocw3(c, v);
    } else {
        chip_write_ocw2(c, v);
    }
    pair_update(c->pair);
}

static uint64_t chip_read(void *opaque, uint64_t offset, unsigned size)
{
    struct i8259_chip *c = opaque;
    if (c->poll) { // "Poll Command": the read is the INTA cycle
        c->poll = false;
        int n = chip_pending(c);
        if (n < 0)
            return 7;
        chip_accept(c, n);
        pair_update(c->pair);
        return 0x80u | (unsigned)n;
    }
    if (offset == 1)
        return c->imr;
    return c->read_isr ? c->isr : c->irr;
}

static uint64_t elcr_read(void *opaque, uint64_t offset, unsigned size)
{
    struct i8259 *p = opaque;
    return p->chip[offset & 1].elcr;
}

static void elcr_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct i8259 *p = opaque;
    struct i8259_chip *c = &p->chip[offset & 1];
    c->elcr = (uint8_t)value & c->elcr_mask;
    c->irr = (uint8_t)((c->irr & ~c->elcr) | (c->lines & c->elcr));
    pair_update(p);
}

static const struct io_ops chip_ops = {
    .read = chip_read, .write = chip_write, .min_size = 1, .max_size = 1, .gpr_only = true};
static const struct io_ops elcr_ops = {
    .read = elcr_read, .write = elcr_write, .min_size = 1, .max_size = 1, .gpr_only = true};

void i8259_reset(struct i8259 *p)
{
    for (unsigned i = 0; i < 2; i++) {
        p->chip[i].elcr = 0;
        p->chip[i].base = 0;
        chip_clear(&p->chip[i]);
    }
    pair_update(p);
}

struct i8259 *i8259_create(struct address_space *ports, struct irq_line intr)
{
    struct i8259 *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->intr = intr;
    // IRQ 0, 1, 2, 8 and 13 are always edge-triggered (PIIX4, section 4.1.3).
    p->chip[0] = (struct i8259_chip){.pair = p, .elcr_mask = 0xf8};
    p->chip[1] = (struct i8259_chip){.pair = p, .elcr_mask = 0xde};
    if (!as_map_io(ports, "i8259-master", 0x20, 2, &chip_ops, &p->chip[0], 0) ||
        !as_map_io(ports, "i8259-slave", 0xa0, 2, &chip_ops, &p->chip[1], 0) ||
        !as_map_io(ports, "elcr", 0x4d0, 2, &elcr_ops, p, 0))
        return NULL; // start-up fails as a whole: nothing is taken apart
    return p;
}

void i8259_info(const struct i8259 *p, void (*print)(void *opaque, const char *line), void *opaque)
{
    for (unsigned i = 0; i < 2; i++) {
        const struct i8259_chip *c = &p->chip[i];
        char line[128];
        snprintf(line, sizeof(line),
                 "pic%u: irr=%02x imr=%02x isr=%02x hprio=%u irq_base=%02x elcr=%02x smm=%d aeoi=%d", i, c->irr, c->imr,
                 c->isr, c->highest, c->base, c->elcr, c->smm, c->aeoi);
        print(opaque, line);
    }
}
