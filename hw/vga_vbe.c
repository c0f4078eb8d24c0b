// SPDX-License-Identifier: MIT
// The DISPI registers of the Bochs VBE display API, version B0C5h, and QEMU's memory-mapped copies of all
// registers.
//
// docs/specs/standard-vga.txt of QEMU gives the layout of BAR 2; vbe_display_api.txt of Bochs the registers.
#include "hw/vga_internal.h"

#include <errno.h>
#include <string.h>

enum {
    VBE_PORT_INDEX = 0x1ce,
    VBE_PORT_DATA = 0x1cf,
    VBE_ID0 = 0xb0c0,
    VBE_ID5 = 0xb0c5,
    VBE_MAX_BPP = 32,
    VBE_MAX_VIRT_WIDTH = 16000
};
enum {
    BAR2_PORTS = 0x400,
    BAR2_PORTS_END = 0x420,
    BAR2_DISPI = 0x500,
    BAR2_DISPI_END = 0x516,
    BAR2_QEXT = 0x600,
    BAR2_QEXT_END = 0x608
};
#define BYTE_ORDER_LITTLE 0x1e1e1e1eu
#define BYTE_ORDER_BIG 0xbebebebeu

static bool valid_bpp(unsigned bpp) { return bpp == 4 || bpp == 8 || bpp == 15 || bpp == 16 || bpp == 24 || bpp == 32; }

static uint16_t clamp(unsigned value, unsigned low, unsigned high)
{
    return (uint16_t)(value < low ? low : value > high ? high : value);
}

// Makes the geometry one that fits the video memory, whatever was written.
static void fix_geometry(struct vga *v)
{
    uint16_t *r = v->vbe;
    if (!valid_bpp(r[VBE_BPP]))
        r[VBE_BPP] = 8;
    r[VBE_XRES] = clamp(r[VBE_XRES] & ~7u, 8, DISPLAY_MAX_WIDTH);
    unsigned bits = r[VBE_BPP] == 15 ? 16 : r[VBE_BPP]; // of memory a pixel takes
    r[VBE_VIRT_WIDTH] = clamp(r[VBE_VIRT_WIDTH] & ~7u, r[VBE_XRES], VBE_MAX_VIRT_WIDTH);
    // 4 bits: the stride of a plane, and the lines that fit into one.
    v->vbe_stride = bits == 4 ? r[VBE_VIRT_WIDTH] / 8u : r[VBE_VIRT_WIDTH] * bits / 8u;
    unsigned lines = (bits == 4 ? vga_plane_size(v) : v->vram_size) / v->vbe_stride;
    r[VBE_YRES] = clamp(r[VBE_YRES], 1, lines < DISPLAY_MAX_HEIGHT ? lines : DISPLAY_MAX_HEIGHT);
    r[VBE_VIRT_HEIGHT] = clamp(lines, 1, 0xffff);
    r[VBE_X_OFFSET] = clamp(r[VBE_X_OFFSET], 0, r[VBE_VIRT_WIDTH] - r[VBE_XRES] + 0u);
    r[VBE_Y_OFFSET] = clamp(r[VBE_Y_OFFSET], 0, r[VBE_VIRT_HEIGHT] - r[VBE_YRES] + 0u);
}

// The VGA underneath goes to a graphics mode with a window that suits the depth; guests rely on it.
static void program_vga(struct vga *v)
{
    bool planar = v->vbe[VBE_BPP] == 4;
    unsigned last = v->vbe[VBE_YRES] - 1u;
    v->misc |= MISC_RAM;
    v->gr[GR_MISC] = GR_MISC_GRAPHICS | 1 << 2;
    v->gr[GR_MODE] = planar ? 0 : GR_MODE_256;
    v->gr[GR_SET_RESET] = v->gr[GR_ENABLE_SET_RESET] = v->gr[GR_DATA_ROTATE] = 0;
    v->gr[GR_BIT_MASK] = 0xff;
    v->sr[SR_MAP_MASK] = 15;
    v->sr[SR_MEMORY_MODE] = SR_MEMORY_EXTENDED | SR_MEMORY_SEQUENTIAL | (planar ? 0 : SR_MEMORY_CHAIN4);
    v->sr[SR_CLOCKING] &= (uint8_t)~SR_CLOCKING_HALF;
    v->cr[CR_MODE] |= 0x43;
    v->cr[CR_H_DISPLAY_END] = (uint8_t)(v->vbe[VBE_XRES] / 8 - 1);
    v->cr[CR_OFFSET] = (uint8_t)(v->vbe_stride >> 3);
    v->cr[CR_V_DISPLAY_END] = (uint8_t)last;
    v->cr[CR_OVERFLOW] = (uint8_t)((v->cr[CR_OVERFLOW] & ~0x42) | (last >> 7 & 0x02) | (last >> 3 & 0x40) | 0x10);
    v->cr[CR_LINE_COMPARE] = 0xff;
    v->cr[CR_MAX_SCAN] = 0x40;
}

static void write_enable(struct vga *v, uint16_t value)
{
    bool was = vga_vbe_on(v);
    v->vbe[VBE_BANK] = 0;
    v->vbe[VBE_ENABLE] = value & (VBE_ENABLED | VBE_GETCAPS | VBE_8BIT_DAC | VBE_LFB | VBE_NOCLEAR);
    if (!(value & VBE_ENABLED) || was)
        return;
    v->vbe[VBE_VIRT_WIDTH] = v->vbe[VBE_X_OFFSET] = v->vbe[VBE_Y_OFFSET] = 0;
    fix_geometry(v);
    program_vga(v);
    if (!(value & VBE_NOCLEAR)) {
        size_t planes = v->vbe[VBE_BPP] == 4 ? 4 : 1;
        memset(v->ram.base, 0, planes * v->vbe_stride * v->vbe[VBE_YRES]);
    }
}

uint16_t vga_vbe_read(struct vga *v, unsigned index)
{
    bool caps = v->vbe[VBE_ENABLE] & VBE_GETCAPS;
    if (index >= VBE_COUNT)
        return 0;
    if (caps && index == VBE_XRES)
        return DISPLAY_MAX_WIDTH;
    if (caps && index == VBE_YRES)
        return DISPLAY_MAX_HEIGHT;
    if (caps && index == VBE_BPP)
        return VBE_MAX_BPP;
    return index == VBE_MEMORY_64K ? (uint16_t)(v->vram_size >> 16) : v->vbe[index];
}

void vga_vbe_write(struct vga *v, unsigned index, uint16_t value)
{
    if (index == VBE_ID) {
        if (value >= VBE_ID0 && value <= VBE_ID5)
            v->vbe[VBE_ID] = value;
        return;
    }
    if (index >= VBE_COUNT || index == VBE_MEMORY_64K || index == VBE_VIRT_HEIGHT)
        return;
    // A window onto the old bank or mode; it comes back when it is used. The text window holds the planes'
    // contents.
    if (index == VBE_BANK || index == VBE_ENABLE)
        vga_window_close(v);
    if (index == VBE_ENABLE) {
        write_enable(v, value);
    } else if (index == VBE_BANK) {
        unsigned banks = v->vram_size >> (v->vbe[VBE_BPP] == 4 ? 18 : 16);
        v->vbe[VBE_BANK] = (uint16_t)(value % (banks ? banks : 1));
    } else {
        v->vbe[index] = value;
        if (vga_vbe_on(v))
            fix_geometry(v);
    }
    vga_window_update(v);
}

void vga_vbe_reset(struct vga *v)
{
    memset(v->vbe, 0, sizeof(v->vbe));
    v->vbe[VBE_ID] = VBE_ID5;
    v->vbe_index = 0;
    v->vbe_stride = 0;
    v->big_endian = false;
}

// --- ports

static uint64_t index_read(void *opaque, uint64_t offset, unsigned size) { return ((struct vga *)opaque)->vbe_index; }
static void index_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    ((struct vga *)opaque)->vbe_index = (uint16_t)value;
}
static uint64_t data_read(void *opaque, uint64_t offset, unsigned size)
{
    struct vga *v = opaque;
    return vga_vbe_read(v, v->vbe_index);
}
static void data_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct vga *v = opaque;
    vga_vbe_write(v, v->vbe_index, (uint16_t)value);
}
static const struct io_ops index_ops = {.read = index_read, .write = index_write, .min_size = 2, .max_size = 2};
static const struct io_ops data_ops = {.read = data_read, .write = data_write, .min_size = 2, .max_size = 2};

// Two 16-bit registers whose ports overlap: the index's second byte is the data's first.
int vga_vbe_map_ports(struct vga *v)
{
    v->ports[5] = as_map_io(v->cfg.ports, "vbe-index", VBE_PORT_INDEX, 2, &index_ops, v, 0);
    v->ports[6] = as_map_io(v->cfg.ports, "vbe-data", VBE_PORT_DATA, 2, &data_ops, v, 1);
    return v->ports[5] && v->ports[6] ? 0 : -ENOMEM;
}

// --- BAR 2

static uint32_t qext_read(const struct vga *v, unsigned offset)
{
    return offset < 4 ? BAR2_QEXT_END - BAR2_QEXT : v->big_endian ? BYTE_ORDER_BIG : BYTE_ORDER_LITTLE;
}

static uint64_t bar2_read(void *opaque, uint64_t offset, unsigned size)
{
    struct vga *v = opaque;
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++) {
        unsigned at = (unsigned)offset + i, byte = 0xff;
        if (at < sizeof(v->edid))
            byte = v->cfg.no_edid ? 0xff : v->edid[at];
        else if (at < BAR2_PORTS)
            byte = v->cfg.no_edid ? 0xff : 0;
        else if (at < BAR2_PORTS_END)
            byte = vga_port_read(v, at - BAR2_PORTS + 0x3c0);
        else if (at >= BAR2_DISPI && at < BAR2_DISPI_END)
            byte = vga_vbe_read(v, (at - BAR2_DISPI) / 2) >> (at & 1 ? 8 : 0);
        else if (at >= BAR2_QEXT && at < BAR2_QEXT_END)
            byte = qext_read(v, (at - BAR2_QEXT) & 4) >> 8 * (at & 3);
        value |= (uint64_t)(byte & 0xff) << 8 * i;
    }
    return value;
}

static void bar2_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct vga *v = opaque;
    if (offset == BAR2_QEXT + 4 && size >= 4) {
        if ((uint32_t)value == BYTE_ORDER_BIG || (uint32_t)value == BYTE_ORDER_LITTLE)
            v->big_endian = (uint32_t)value == BYTE_ORDER_BIG;
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        unsigned at = (unsigned)offset + i;
        if (at >= BAR2_PORTS && at < BAR2_PORTS_END)
            vga_port_write(v, at - BAR2_PORTS + 0x3c0, (uint8_t)(value >> 8 * i));
        else if (at >= BAR2_DISPI && at < BAR2_DISPI_END && !(at & 1) && i + 1 < size)
            vga_vbe_write(v, (at - BAR2_DISPI) / 2, (uint16_t)(value >> 8 * i));
    }
}

const struct io_ops vga_bar2_ops = {.read = bar2_read, .write = bar2_write, .min_size = 1, .max_size = 4};
