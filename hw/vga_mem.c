// SPDX-License-Identifier: MIT
// Guest accesses at A0000h..BFFFFh: the graphics controller's way from a byte of the CPU to four planes, and
// the modes in which that way is so simple that the guest gets RAM there instead.
//
// WINDOW_LINEAR: chain 4 with nothing between CPU and memory (mode 13h, VBE banks): the window maps video
// memory. WINDOW_TEXT: characters in plane 0 and attributes in plane 1, both at even offsets (text and CGA
// modes). The guest writes to RAM beside the video memory, and vga_window_sync() copies it to the planes when
// they are needed. Opening a window flushes the engine's tables, so that it has to be earned by a number of
// accesses first.
//
// What differs from real hardware: reads from such a window do not load the latches; chain-4 addresses are
// byte offsets (the planes' offsets are address / 4, not address & ~3), as the VBE's linear frame buffer
// wants it. IBM "PS/2 Hardware Interface Technical Reference - Video Subsystem", "Graphics Controller
// Registers".
#include "hw/vga_internal.h"

#include <string.h>

enum { WINDOW_HEAT = 64 };

// --- addresses

// "Memory Map": what of the window is decoded.
static const struct {
    uint32_t base, size;
} maps[4] = {{0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}};
static unsigned map_of(const struct vga *v) { return v->gr[GR_MISC] >> 2 & 3; }

// Offset in the window to address in video memory; false: not decoded. Bit 1 of the miscellaneous output register
// ("Enable RAM") is kept but closes nothing, as with QEMU: GRUB as firmware (grub-firmware-qemu) never sets it.
static bool decode(const struct vga *v, uint32_t offset, uint32_t *addr)
{
    unsigned n = map_of(v);
    if (offset - maps[n].base >= maps[n].size)
        return false;
    *addr = offset - maps[n].base;
    return true;
}

static uint32_t bank(const struct vga *v) { return vga_vbe_on(v) ? (uint32_t)v->vbe[VBE_BANK] << 16 : 0; }

// The plane offset behind a CPU address. The planes are 64 KiB each, but all of the memory in VBE modes.
static uint32_t plane_offset(const struct vga *v, uint32_t addr)
{
    uint32_t size = vga_vbe_on(v) ? vga_plane_size(v) : VGA_PLANE;
    if (v->sr[SR_MEMORY_MODE] & SR_MEMORY_CHAIN4)
        return ((addr + bank(v)) >> 2) % size;
    if (v->gr[GR_MISC] & GR_MISC_CHAIN)
        addr &= ~1u; // chained planes share an even offset: A0 chooses between them
    return (addr + bank(v)) % size;
}

// --- one byte

static uint32_t rotate(const struct vga *v, uint8_t value)
{
    unsigned n = v->gr[GR_DATA_ROTATE] & 7;
    return (uint8_t)((unsigned)value >> n | (unsigned)value << (8 - n));
}

static uint32_t alu(const struct vga *v, uint32_t data)
{
    switch (v->gr[GR_DATA_ROTATE] >> 3) {
    case 1: return data & v->latch;
    case 2: return data | v->latch;
    case 3: return data ^ v->latch;
    default: return data;
    }
}

// What the four planes get: "Write Modes".
static uint32_t write_data(const struct vga *v, uint8_t value)
{
    uint32_t mask = v->gr[GR_BIT_MASK] * 0x01010101u, data, enable;
    switch (v->gr[GR_MODE] & GR_MODE_WRITE) {
    case 0:
        enable = vga_spread(v->gr[GR_ENABLE_SET_RESET]);
        data = rotate(v, value) * 0x01010101u;
        data = (data & ~enable) | (vga_spread(v->gr[GR_SET_RESET]) & enable);
        break;
    case 1: return v->latch;
    case 2: data = vga_spread(value); break;
    default:
        mask &= rotate(v, value) * 0x01010101u;
        data = vga_spread(v->gr[GR_SET_RESET]);
        break;
    }
    return (alu(v, data) & mask) | (v->latch & ~mask);
}

static void write_byte(struct vga *v, uint32_t addr, uint8_t value)
{
    unsigned planes = v->sr[SR_MAP_MASK];
    if (v->sr[SR_MEMORY_MODE] & SR_MEMORY_CHAIN4)
        planes &= 1u << (addr & 3);
    else if (!(v->sr[SR_MEMORY_MODE] & SR_MEMORY_SEQUENTIAL))
        planes &= addr & 1 ? 0xa : 0x5;
    uint32_t *word = vga_planes(v, plane_offset(v, addr)), mask = vga_spread(planes);
    *word = (*word & ~mask) | (write_data(v, value) & mask);
    v->font_stale |= planes & 4;
}

static uint8_t read_byte(struct vga *v, uint32_t addr)
{
    v->latch = *vga_planes(v, plane_offset(v, addr));
    if (v->gr[GR_MODE] & GR_MODE_READ) {
        uint32_t differ = (v->latch ^ vga_spread(v->gr[GR_COLOR_COMPARE])) & vga_spread(v->gr[GR_COLOR_DONT_CARE]);
        return (uint8_t) ~(differ | differ >> 8 | differ >> 16 | differ >> 24);
    }
    unsigned plane = v->gr[GR_READ_MAP];
    if (v->sr[SR_MEMORY_MODE] & SR_MEMORY_CHAIN4)
        plane = addr & 3;
    else if (v->gr[GR_MODE] & GR_MODE_ODD_EVEN)
        plane = (plane & 2) | (addr & 1);
    return (uint8_t)(v->latch >> 8 * plane);
}

// --- the window as RAM

static enum vga_window possible_window(const struct vga *v)
{
    bool plain = !(v->gr[GR_MODE] & (GR_MODE_WRITE | GR_MODE_READ)) && !v->gr[GR_DATA_ROTATE] &&
                 !v->gr[GR_ENABLE_SET_RESET] && v->gr[GR_BIT_MASK] == 0xff;
    unsigned map = map_of(v);
    if (!plain)
        return WINDOW_IO;
    if (v->sr[SR_MEMORY_MODE] & SR_MEMORY_CHAIN4)
        return map < 2 && v->sr[SR_MAP_MASK] == 15 ? WINDOW_LINEAR : WINDOW_IO;
    if (map < 2 || vga_vbe_on(v) || v->sr[SR_MEMORY_MODE] & SR_MEMORY_SEQUENTIAL || v->sr[SR_MAP_MASK] != 3)
        return WINDOW_IO;
    bool chained = v->gr[GR_MISC] & GR_MISC_CHAIN && v->gr[GR_MODE] & GR_MODE_ODD_EVEN;
    return chained && v->gr[GR_READ_MAP] < 2 ? WINDOW_TEXT : WINDOW_IO;
}

// Even plane offset 2 n of planes 0 and 1 is the n-th 16-bit word of the text window.
static void text_from_planes(struct vga *v)
{
    uint16_t *text = (uint16_t *)(void *)vga_text_window(v);
    for (unsigned n = 0; n < VGA_TEXT_WINDOW / 2; n++)
        text[n] = (uint16_t)*vga_planes(v, 2 * n);
}

void vga_window_sync(struct vga *v)
{
    if (v->window != WINDOW_TEXT)
        return;
    const uint16_t *text = (const uint16_t *)(void *)vga_text_window(v);
    for (unsigned n = 0; n < VGA_TEXT_WINDOW / 2; n++)
        *(uint16_t *)(void *)vga_planes(v, 2 * n) = text[n];
}

void vga_window_close(struct vga *v)
{
    if (v->window == WINDOW_IO)
        return;
    // First out of the guest's reach, then the copy.
    as_unmap(v->direct);
    v->direct = NULL;
    vga_window_sync(v);
    v->window = WINDOW_IO;
    v->window_heat = 0;
}

static void window_open(struct vga *v, enum vga_window window)
{
    unsigned n = map_of(v);
    uint64_t at = v->vram_size;
    v->window_heat = 0;
    if (window == WINDOW_LINEAR) {
        at = bank(v);
        if (at + maps[n].size > v->vram_size)
            return; // it would wrap
    } else {
        text_from_planes(v);
    }
    v->direct = as_map_ram(v->cfg.mem, "vga-window", VGA_WINDOW + maps[n].base, maps[n].size, &v->ram, at, false,
                           VGA_WINDOW_PRIORITY + 1);
    if (!v->direct)
        return;
    v->window = window;
    v->window_map = n;
}

void vga_window_update(struct vga *v)
{
    if (v->window == WINDOW_IO)
        v->window_heat = 0;
    else if (possible_window(v) != v->window || map_of(v) != v->window_map)
        vga_window_close(v);
}

static void warm_up(struct vga *v)
{
    enum vga_window window;
    if (++v->window_heat < WINDOW_HEAT)
        return;
    v->window_heat = 0;
    window = possible_window(v);
    if (window != WINDOW_IO)
        window_open(v, window);
}

static uint64_t window_read(void *opaque, uint64_t offset, unsigned size)
{
    struct vga *v = opaque;
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++) {
        uint32_t addr;
        uint8_t byte = decode(v, (uint32_t)offset + i, &addr) ? read_byte(v, addr) : 0xff;
        value |= (uint64_t)byte << 8 * i;
    }
    warm_up(v);
    return value;
}

static void window_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct vga *v = opaque;
    for (unsigned i = 0; i < size; i++) {
        uint32_t addr;
        if (decode(v, (uint32_t)offset + i, &addr))
            write_byte(v, addr, (uint8_t)(value >> 8 * i));
    }
    warm_up(v);
}

const struct io_ops vga_window_ops = {
    .read = window_read, .write = window_write, .min_size = 1, .max_size = 8, .gpr_only = true};
