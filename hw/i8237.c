// SPDX-License-Identifier: MIT
// ISA DMA: two 8237A controllers in cascade and their page registers.
//
// A device moves its bytes in one call, so that there are no bus cycles here: demand, single and block transfer
// differ only in who may hold the bus for how long, which no guest can observe. What it can observe is kept:
// addresses and counts as they stand between calls, mask and TC bits, autoinitialisation.
#include "hw/i8237.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

// Data sheet, "Register Description".
// clang-format off
enum { REG_STATUS = 8, REG_COMMAND = 8, REG_REQUEST = 9, REG_MASK_BIT = 10, REG_MODE = 11,
       REG_CLEAR_FLIP_FLOP = 12, REG_MASTER_CLEAR = 13, REG_TEMPORARY = 13, REG_CLEAR_MASK = 14,
       REG_MASK_ALL = 15 };
// clang-format on
enum { COMMAND_DISABLE = 0x04 };
enum {
    MODE_TYPE = 0x0c,
    MODE_VERIFY = 0x00,
    MODE_WRITE = 0x04,
    MODE_READ = 0x08,
    MODE_AUTOINIT = 0x10,
    MODE_DECREMENT = 0x20,
    MODE_KIND = 0xc0,
    MODE_CASCADE = 0xc0
};
enum { PAGE_PORTS = 16 };

struct i8237_channel {
    uint16_t base_address, base_count, address, count;
    uint8_t mode;
    void (*ready)(void *opaque);
    void *opaque;
};

struct i8237_controller {
    struct i8237 *both;
    struct i8237_channel channel[4];
    unsigned shift;                           // 1: words
    uint8_t command, mask, tc, request, dreq; // bits per channel, but command
    bool high_byte;                           // the flip-flop
};

struct i8237 {
    struct i8237_controller half[2];
    struct address_space *mem;
    uint8_t page[PAGE_PORTS], high_page[PAGE_PORTS];
};

// The page register of each channel, as an offset from 80h.
static const uint8_t page_of[I8237_CHANNELS] = {0x7, 0x3, 0x1, 0x2, 0xf, 0xb, 0x9, 0xa};

static struct i8237_controller *half_of(struct i8237 *d, unsigned channel) { return &d->half[channel / 4 & 1]; }

// --- may a channel transfer?

static bool half_runs(const struct i8237_controller *h, unsigned n)
{
    return !(h->command & COMMAND_DISABLE) && !(h->mask & 1u << n);
}

static bool channel_runs(const struct i8237 *d, unsigned channel)
{
    const struct i8237_controller *h = &d->half[channel / 4];

    if (!half_runs(h, channel % 4) || (h->channel[channel % 4].mode & MODE_KIND) == MODE_CASCADE)
        return false;
    return h->shift || half_runs(&d->half[1], 0);
}

// After anything that may have opened a channel. A device may move data and program nothing, so that one
// round is enough.
static void wake_devices(struct i8237 *d)
{
    for (unsigned i = 0; i < I8237_CHANNELS; i++) {
        struct i8237_channel *c = &d->half[i / 4].channel[i % 4];

        if (c->ready && d->half[i / 4].dreq & 1u << i % 4 && channel_runs(d, i))
            c->ready(c->opaque);
    }
}

// --- transfers

static gpa channel_page(const struct i8237 *d, unsigned channel)
{
    unsigned n = page_of[channel];
    // Words: address bits 1 to 16 come from the controller, so the page's bit 0 has no line.
    uint8_t low = channel < 4 ? d->page[n] : d->page[n] & 0xfe;

    return (gpa)d->high_page[n] << 24 | (gpa)low << 16;
}

// Counts `units` transfers. Returns true at TC: "a Terminal Count is generated when the word count goes from
// zero to FFFFh".
static bool channel_advance(struct i8237_controller *h, unsigned n, uint32_t units)
{
    struct i8237_channel *c = &h->channel[n];
    bool tc = units == c->count + 1u;

    c->count = (uint16_t)(c->count - units);
    c->address = (uint16_t)(c->mode & MODE_DECREMENT ? c->address - units : c->address + units);
    if (!tc)
        return false;
    h->tc |= (uint8_t)(1u << n);
    h->request &= (uint8_t) ~(1u << n);
    if (c->mode & MODE_AUTOINIT) {
        c->address = c->base_address;
        c->count = c->base_count;
    } else {
        h->mask |= (uint8_t)(1u << n);
    }
    return true;
}

static void copy(struct i8237 *d, gpa at, uint8_t *buf, size_t len, bool to_memory)
{
    if (to_memory)
        as_write(d->mem, at, buf, len);
    else
        as_read(d->mem, at, buf, len);
}

// A stretch of memory at a time that does not wrap; unit by unit where the channel counts down.
static void copy_units(struct i8237 *d, unsigned channel, uint8_t *buf, uint32_t units, bool to_memory)
{
    const struct i8237_controller *h = half_of(d, channel);
    const struct i8237_channel *c = &h->channel[channel % 4];
    gpa page = channel_page(d, channel);
    uint16_t at = c->address;

    while (units) {
        uint32_t run = 1;
        if (!(c->mode & MODE_DECREMENT))
            run = units + at < 0x10000u ? units : (uint32_t)(0x10000u - at);
        copy(d, page + ((uint32_t)at << h->shift), buf, (size_t)run << h->shift, to_memory);
        at = (uint16_t)(c->mode & MODE_DECREMENT ? (uint32_t)at - 1 : at + run);
        buf += (size_t)run << h->shift;
        units -= run;
    }
}

static size_t transfer(struct i8237 *d, unsigned channel, void *buf, size_t len, bool to_memory, bool *tc)
{
    struct i8237_controller *h = half_of(d, channel & 7);
    struct i8237_channel *c = &h->channel[channel % 4];
    unsigned type = c->mode & MODE_TYPE;

    *tc = false;
    if (channel >= I8237_CHANNELS || channel == I8237_CASCADE || !channel_runs(d, channel) || !(len >> h->shift))
        return 0;
    if (type != MODE_VERIFY && type != (to_memory ? MODE_WRITE : MODE_READ)) {
        log_printf(LOG_guest_errors, "i8237: channel %u is set up for the other direction (mode %02x)", channel,
                   c->mode);
        return 0;
    }
    size_t units = len >> h->shift;
    if (units > c->count + 1u)
        units = c->count + 1u;
    if (type != MODE_VERIFY)
        copy_units(d, channel, buf, (uint32_t)units, to_memory);
    else if (!to_memory)
        memset(buf, 0xff, units << h->shift);
    *tc = channel_advance(h, channel % 4, (uint32_t)units);
    return units << h->shift;
}

size_t i8237_read(struct i8237 *d, unsigned channel, void *buf, size_t len, bool *tc)
{
    return transfer(d, channel, buf, len, false, tc);
}

size_t i8237_write(struct i8237 *d, unsigned channel, const void *buf, size_t len, bool *tc)
{
    return transfer(d, channel, (void *)(uintptr_t)buf, len, true, tc); // only read
}

void i8237_connect(struct i8237 *d, unsigned channel, void (*ready)(void *opaque), void *opaque)
{
    if (channel >= I8237_CHANNELS || channel == I8237_CASCADE)
        return;
    half_of(d, channel)->channel[channel % 4].ready = ready;
    half_of(d, channel)->channel[channel % 4].opaque = opaque;
}

void i8237_set_dreq(struct i8237 *d, unsigned channel, bool level)
{
    struct i8237_controller *h = half_of(d, channel & 7);
    uint8_t bit = (uint8_t)(1u << channel % 4);

    h->dreq = level ? h->dreq | bit : h->dreq & (uint8_t)~bit;
}

// --- registers

static uint8_t read_halves(struct i8237_controller *h, uint16_t v)
{
    h->high_byte = !h->high_byte;
    return (uint8_t)(h->high_byte ? v : v >> 8);
}

static void write_halves(struct i8237_controller *h, uint16_t *base, uint16_t *current, uint8_t v)
{
    // "The base registers are written simultaneously with their corresponding current register in 8-bit bytes."
    *base = (uint16_t)(h->high_byte ? (*base & 0x00ff) | v << 8 : (*base & 0xff00) | v);
    *current = *base;
    h->high_byte = !h->high_byte;
}

static void master_clear(struct i8237_controller *h)
{
    h->command = h->tc = h->request = 0;
    h->high_byte = false;
    h->mask = 0x0f;
}

static void set_bit(uint8_t *bits, unsigned n, bool on)
{
    *bits = (uint8_t)(on ? *bits | 1u << n : *bits & ~(1u << n));
}

static uint64_t controller_read(void *opaque, uint64_t offset, unsigned size)
{
    struct i8237_controller *h = opaque;
    unsigned reg = (unsigned)(offset >> h->shift) & 15;
    uint8_t v;

    if (reg < 8)
        return read_halves(h, reg & 1 ? h->channel[reg / 2].count : h->channel[reg / 2].address);
    switch (reg) {
    case REG_STATUS:
        v = (uint8_t)((h->dreq | h->request) << 4 | h->tc);
        h->tc = 0; // "bits 0-3 are cleared upon reset and on each Status Read"
        return v;
    case REG_TEMPORARY: return 0; // of memory-to-memory transfers, for which a PC has no use
    case REG_MASK_ALL: return 0xf0 | h->mask;
    default: return 0xff;
    }
}

static void controller_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct i8237_controller *h = opaque;
    unsigned reg = (unsigned)(offset >> h->shift) & 15, n = value & 3;
    uint8_t v = (uint8_t)value;

    if (reg < 8) {
        struct i8237_channel *c = &h->channel[reg / 2];
        if (reg & 1)
            write_halves(h, &c->base_count, &c->count, v);
        else
            write_halves(h, &c->base_address, &c->address, v);
        return;
    }
    switch (reg) {
    case REG_COMMAND: h->command = v; break;
    case REG_REQUEST: set_bit(&h->request, n, v & 4); break;
    case REG_MASK_BIT: set_bit(&h->mask, n, v & 4); break;
    case REG_MODE: h->channel[n].mode = v; break;
    case REG_CLEAR_FLIP_FLOP: h->high_byte = false; break;
    case REG_MASTER_CLEAR: master_clear(h); break;
    case REG_CLEAR_MASK: h->mask = 0; break;
    case REG_MASK_ALL: h->mask = v & 0x0f; break;
    }
    wake_devices(h->both);
}

static uint64_t page_read(void *opaque, uint64_t offset, unsigned size)
{
    return ((struct i8237 *)opaque)->page[offset % PAGE_PORTS];
}

static void page_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct i8237 *d = opaque;

    d->page[offset % PAGE_PORTS] = (uint8_t)value;
    d->high_page[offset % PAGE_PORTS] = 0; // so that software that knows 24 bits is right
}

static uint64_t high_page_read(void *opaque, uint64_t offset, unsigned size)
{
    return ((struct i8237 *)opaque)->high_page[offset % PAGE_PORTS];
}

static void high_page_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    ((struct i8237 *)opaque)->high_page[offset % PAGE_PORTS] = (uint8_t)value;
}

static const struct io_ops controller_ops = {
    .read = controller_read,
    .write = controller_write,
    .min_size = 1,
    .max_size = 1,
};
static const struct io_ops page_ops = {
    // 80h is what guests write to for a delay
    .read = page_read, .write = page_write, .min_size = 1, .max_size = 1, .gpr_only = true,
};
static const struct io_ops high_page_ops = {
    .read = high_page_read,
    .write = high_page_write,
    .min_size = 1,
    .max_size = 1,
};

// --- life

void i8237_open_cascade(struct i8237 *d)
{
    d->half[1].channel[0].mode = MODE_CASCADE;
    d->half[1].mask &= 0x0e;
}

void i8237_reset(struct i8237 *d)
{
    for (unsigned i = 0; i < 2; i++) {
        master_clear(&d->half[i]);
        for (unsigned n = 0; n < 4; n++) {
            struct i8237_channel *c = &d->half[i].channel[n];
            *c = (struct i8237_channel){.ready = c->ready, .opaque = c->opaque};
        }
    }
    memset(d->page, 0, sizeof(d->page));
    memset(d->high_page, 0, sizeof(d->high_page));
}

struct i8237 *i8237_create(struct address_space *ports, struct address_space *mem)
{
    struct i8237 *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    d->mem = mem;
    for (unsigned i = 0; i < 2; i++)
        d->half[i] = (struct i8237_controller){.both = d, .shift = i};
    if (!as_map_io(ports, "dma-1", 0x00, 0x10, &controller_ops, &d->half[0], 0) ||
        !as_map_io(ports, "dma-2", 0xc0, 0x20, &controller_ops, &d->half[1], 0) ||
        !as_map_io(ports, "dma-page", 0x80, PAGE_PORTS, &page_ops, d, 0) ||
        !as_map_io(ports, "dma-high-page", 0x480, PAGE_PORTS, &high_page_ops, d, 0)) {
        free(d);
        return NULL;
    }
    i8237_reset(d);
    return d;
}
