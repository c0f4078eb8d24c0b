// SPDX-License-Identifier: MIT
// The VGA's ports: sequencer, graphics controller, CRT controller, attribute controller, palette, status.
// IBM "PS/2 Hardware Interface Technical Reference - Video Subsystem" (S42G-2193), "VGA Function",
// "Registers".
#include "hw/vga_internal.h"

#include <errno.h>
#include <string.h>

#include "base/loop.h"

enum {
    PORT_AR = 0x3c0,
    PORT_AR_READ = 0x3c1,
    PORT_MISC = 0x3c2,
    PORT_ENABLE = 0x3c3,
    PORT_SR_INDEX = 0x3c4,
    PORT_SR = 0x3c5,
    PORT_DAC_MASK = 0x3c6,
    PORT_DAC_READ = 0x3c7,
    PORT_DAC_WRITE = 0x3c8,
    PORT_DAC = 0x3c9,
    PORT_FEATURE_READ = 0x3ca,
    PORT_MISC_READ = 0x3cc,
    PORT_GR_INDEX = 0x3ce,
    PORT_GR = 0x3cf,
    PORT_CR_INDEX = 0x3d4,
    PORT_CR = 0x3d5,
    PORT_STATUS1 = 0x3da,
};
enum { STATUS0_SENSE = 0x10, STATUS1_NOT_DISPLAYING = 0x01, STATUS1_V_RETRACE = 0x08 };
enum { CR_PROTECT = 0x80, CR_LATCH = 0x22, CR_FLIP_FLOP = 0x24 };

// Bits that exist.
static const uint8_t sr_mask[SR_COUNT] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
static const uint8_t gr_mask[GR_COUNT] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};
static const uint8_t ar_mask[AR_COUNT] = {
    0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
    0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0xef, 0xff, 0x3f, 0x0f, 0x0f,
};

// --- timing

// Input Status Register 1 follows the beam: where it is now, from the CRTC's totals and the dot clock.
static uint8_t status1(const struct vga *v)
{
    static const unsigned khz[4] = {25175, 28322, 25175, 25175};
    unsigned dots = v->sr[SR_CLOCKING] & SR_CLOCKING_8DOT ? 8 : 9;
    if (v->sr[SR_CLOCKING] & SR_CLOCKING_HALF)
        dots *= 2;
    unsigned overflow = v->cr[CR_OVERFLOW];
    uint64_t total = (v->cr[CR_V_TOTAL] | (overflow & 0x01u) << 8 | (overflow & 0x20u) << 4) + 2u;
    uint64_t sync = v->cr[CR_V_SYNC_START] | (overflow & 0x04u) << 6 | (overflow & 0x80u) << 2;
    uint64_t chars = v->cr[CR_H_TOTAL] + 5u;
    uint64_t line_ns = chars * dots * 1000000 / khz[v->misc >> 2 & 3];
    uint64_t frame_ns = line_ns * total;
    if (total < 64 || chars < 16) { // not programmed: 60 Hz, so that a waiting loop ends
        frame_ns = 16666667;
        line_ns = frame_ns / 525;
        total = 525;
        sync = 490;
    }
    uint64_t now = clock_now_ns(), in_frame = now % frame_ns;
    uint64_t line = in_frame / line_ns, in_line = in_frame % line_ns * chars / line_ns;
    uint8_t status = 0;
    // Real retrace lasts two lines, which a polling guest may miss when the host takes its thread away for a
    // moment. Here it lasts until the picture begins again.
    if (line >= (sync < total ? sync : total - 2))
        status |= STATUS1_V_RETRACE;
    if (line >= vga_lines(v) || in_line > v->cr[CR_H_DISPLAY_END] || status & STATUS1_V_RETRACE)
        status |= STATUS1_NOT_DISPLAYING;
    return status;
}

// --- palette

static uint8_t dac_read(struct vga *v)
{
    uint8_t value = v->dac[v->dac_read][v->dac_part];
    if (++v->dac_part == 3) {
        v->dac_part = 0;
        v->dac_read++;
    }
    return value;
}

// A colour takes effect with its third part.
static void dac_write(struct vga *v, uint8_t value)
{
    if (!(v->vbe[VBE_ENABLE] & VBE_8BIT_DAC))
        value &= 0x3f;
    if (v->dac_part < 2) {
        v->dac_buffer[v->dac_part++] = value;
        return;
    }
    uint8_t *entry = v->dac[v->dac_write++];
    entry[0] = v->dac_buffer[0];
    entry[1] = v->dac_buffer[1];
    entry[2] = value;
    v->dac_part = 0;
}

// --- CRTC

static uint8_t cr_read(const struct vga *v)
{
    if (v->cr_index < CR_COUNT)
        return v->cr[v->cr_index];
    if (v->cr_index == CR_LATCH)
        return (uint8_t)(v->latch >> 8 * (v->gr[GR_READ_MAP] & 3));
    if (v->cr_index == CR_FLIP_FLOP)
        return v->ar_data ? 0x80 : 0;
    return 0xff;
}

static void cr_write(struct vga *v, uint8_t value)
{
    uint8_t n = v->cr_index;
    if (n >= CR_COUNT)
        return;
    if (n <= CR_OVERFLOW && v->cr[CR_V_SYNC_END] & CR_PROTECT) {
        if (n == CR_OVERFLOW) // of which bit 8 of Line Compare is not protected
            v->cr[n] = (uint8_t)((v->cr[n] & ~0x10) | (value & 0x10));
        return;
    }
    v->cr[n] = value;
}

// --- attribute controller

static void ar_write(struct vga *v, uint8_t value)
{
    unsigned n = v->ar_index & 0x1f;
    if (!v->ar_data)
        v->ar_index = value & 0x3f;
    else if (n < AR_COUNT) // IBM's takes the palette only while the screen is off; others do not mind, nor do we
        v->ar[n] = value & ar_mask[n];
    v->ar_data = !v->ar_data;
}

// --- ports

// The CRTC and its status answer at 3Dxh in colour modes, at 3Bxh in monochrome ones.
static bool decodes(const struct vga *v, unsigned *port)
{
    if (*port >= 0x3c0 && *port < 0x3d0)
        return true;
    bool color = *port >= 0x3d0;
    *port = 0x3d0 | (*port & 15);
    return color == (v->misc & MISC_COLOR);
}

uint8_t vga_port_read(struct vga *v, unsigned port)
{
    if (!decodes(v, &port))
        return 0xff;
    switch (port) {
    case PORT_AR: return v->ar_index;
    case PORT_AR_READ: return (v->ar_index & 0x1f) < AR_COUNT ? v->ar[v->ar_index & 0x1f] : 0;
    case PORT_MISC: return STATUS0_SENSE;
    case PORT_ENABLE: return v->enable;
    case PORT_SR_INDEX: return v->sr_index;
    case PORT_SR: return v->sr_index < SR_COUNT ? v->sr[v->sr_index] : 0;
    case PORT_DAC_MASK: return v->dac_mask;
    case PORT_DAC_READ: return v->dac_state;
    case PORT_DAC_WRITE: return v->dac_write;
    case PORT_DAC: return dac_read(v);
    case PORT_FEATURE_READ: return v->feature;
    case PORT_MISC_READ: return v->misc;
    case PORT_GR_INDEX: return v->gr_index;
    case PORT_GR: return v->gr_index < GR_COUNT ? v->gr[v->gr_index] : 0;
    case PORT_CR_INDEX: return v->cr_index;
    case PORT_CR: return cr_read(v);
    case PORT_STATUS1: v->ar_data = false; return status1(v);
    default: return 0xff;
    }
}

static void write_register(struct vga *v, unsigned port, uint8_t value)
{
    switch (port) {
    case PORT_AR: ar_write(v, value); break;
    case PORT_MISC: v->misc = value & 0xef; break;
    case PORT_ENABLE: v->enable = value & 1; break;
    case PORT_SR_INDEX: v->sr_index = value & 7; break;
    case PORT_SR:
        if (v->sr_index < SR_COUNT)
            v->sr[v->sr_index] = value & sr_mask[v->sr_index];
        break;
    case PORT_DAC_MASK: v->dac_mask = value; break;
    case PORT_DAC_READ:
        v->dac_read = value;
        v->dac_part = 0;
        v->dac_state = 3;
        break;
    case PORT_DAC_WRITE:
        v->dac_write = value;
        v->dac_part = 0;
        v->dac_state = 0;
        break;
    case PORT_DAC: dac_write(v, value); break;
    case PORT_GR_INDEX: v->gr_index = value & 15; break;
    case PORT_GR:
        if (v->gr_index < GR_COUNT)
            v->gr[v->gr_index] = value & gr_mask[v->gr_index];
        break;
    case PORT_CR_INDEX: v->cr_index = value; break;
    case PORT_CR: cr_write(v, value); break;
    case PORT_STATUS1: v->feature = value & 0x10; break;
    default: break;
    }
}

void vga_port_write(struct vga *v, unsigned port, uint8_t value)
{
    if (!decodes(v, &port))
        return;
    write_register(v, port, value);
    if (port == PORT_SR || port == PORT_GR || port == PORT_MISC)
        vga_window_update(v);
}

struct port_range {
    uint16_t base, count;
    struct io_ops ops;
};

#define PORT_RANGE(base, count)                                                            \
    static uint64_t read_##base(void *opaque, uint64_t offset, unsigned size)              \
    {                                                                                      \
        return vga_port_read(opaque, base + (unsigned)offset);                             \
    }                                                                                      \
    static void write_##base(void *opaque, uint64_t offset, uint64_t value, unsigned size) \
    {                                                                                      \
        vga_port_write(opaque, base + (unsigned)offset, (uint8_t)value);                   \
    }                                                                                      \
    static const struct port_range range_##base = {                                        \
        base, count, {.read = read_##base, .write = write_##base, .min_size = 1, .max_size = 1, .gpr_only = true}};
PORT_RANGE(0x3b4, 2)
PORT_RANGE(0x3ba, 1)
PORT_RANGE(0x3c0, 16)
PORT_RANGE(0x3d4, 2)
PORT_RANGE(0x3da, 1)

int vga_map_ports(struct vga *v)
{
    static const struct port_range *const ranges[] = {&range_0x3b4, &range_0x3ba, &range_0x3c0, &range_0x3d4,
                                                      &range_0x3da};
    for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++) {
        const struct port_range *r = ranges[i];
        v->ports[i] = as_map_io(v->cfg.ports, "vga", r->base, r->count, &r->ops, v, 0);
        if (!v->ports[i])
            return -ENOMEM;
    }
    return 0;
}

void vga_regs_reset(struct vga *v)
{
    v->misc = v->feature = v->enable = 0;
    v->sr_index = v->gr_index = v->cr_index = v->ar_index = 0;
    v->ar_data = false;
    v->latch = 0;
    memset(v->sr, 0, sizeof(v->sr));
    memset(v->gr, 0, sizeof(v->gr));
    memset(v->cr, 0, sizeof(v->cr));
    memset(v->ar, 0, sizeof(v->ar));
    memset(v->dac, 0, sizeof(v->dac));
    v->dac_mask = 0xff;
    v->dac_state = v->dac_read = v->dac_write = v->dac_part = 0;
}
