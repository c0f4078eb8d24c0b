// SPDX-License-Identifier: MIT
// What the parts of the VGA share: its registers, its memory, and what was last drawn of them.
//
// Video memory: plane p of plane offset n is byte 4 * n + p, so that chain-4 addresses and the VBE's linear
// frame buffer are byte offsets, and four planes are one 32-bit word.
#pragma once

#include "hw/vga.h"

// Register names as in IBM's "PS/2 Hardware Interface Technical Reference - Video Subsystem" (S42G-2193).
enum { SR_RESET, SR_CLOCKING, SR_MAP_MASK, SR_CHAR_MAP, SR_MEMORY_MODE, SR_COUNT };
enum { SR_CLOCKING_8DOT = 0x01, SR_CLOCKING_HALF = 0x08, SR_CLOCKING_OFF = 0x20 };
enum { SR_MEMORY_EXTENDED = 0x02, SR_MEMORY_SEQUENTIAL = 0x04, SR_MEMORY_CHAIN4 = 0x08 };
enum {
    GR_SET_RESET,
    GR_ENABLE_SET_RESET,
    GR_COLOR_COMPARE,
    GR_DATA_ROTATE,
    GR_READ_MAP,
    GR_MODE,
    GR_MISC,
    GR_COLOR_DONT_CARE,
    GR_BIT_MASK,
    GR_COUNT
};
enum { GR_MODE_WRITE = 0x03, GR_MODE_READ = 0x08, GR_MODE_ODD_EVEN = 0x10, GR_MODE_SHIFT = 0x20, GR_MODE_256 = 0x40 };
enum { GR_MISC_GRAPHICS = 0x01, GR_MISC_CHAIN = 0x02 };
enum {
    CR_H_TOTAL,
    CR_H_DISPLAY_END,
    CR_H_BLANK_START,
    CR_H_BLANK_END,
    CR_H_SYNC_START,
    CR_H_SYNC_END,
    CR_V_TOTAL,
    CR_OVERFLOW,
    CR_PRESET_ROW,
    CR_MAX_SCAN,
    CR_CURSOR_START,
    CR_CURSOR_END,
    CR_START_HIGH,
    CR_START_LOW,
    CR_CURSOR_HIGH,
    CR_CURSOR_LOW,
    CR_V_SYNC_START,
    CR_V_SYNC_END,
    CR_V_DISPLAY_END,
    CR_OFFSET,
    CR_UNDERLINE,
    CR_V_BLANK_START,
    CR_V_BLANK_END,
    CR_MODE,
    CR_LINE_COMPARE,
    CR_COUNT
};
enum { AR_MODE = 0x10, AR_OVERSCAN, AR_PLANE_ENABLE, AR_PANNING, AR_COLOR_SELECT, AR_COUNT };
enum { AR_MODE_LINE_GRAPHICS = 0x04, AR_MODE_BLINK = 0x08, AR_MODE_PAN_TOP = 0x20, AR_MODE_P54 = 0x80 };
enum { AR_INDEX_VIDEO = 0x20 };
enum { MISC_COLOR = 0x01, MISC_RAM = 0x02 };

// Bochs VBE display API.
enum {
    VBE_ID,
    VBE_XRES,
    VBE_YRES,
    VBE_BPP,
    VBE_ENABLE,
    VBE_BANK,
    VBE_VIRT_WIDTH,
    VBE_VIRT_HEIGHT,
    VBE_X_OFFSET,
    VBE_Y_OFFSET,
    VBE_MEMORY_64K,
    VBE_COUNT
};
enum { VBE_ENABLED = 0x01, VBE_GETCAPS = 0x02, VBE_8BIT_DAC = 0x20, VBE_LFB = 0x40, VBE_NOCLEAR = 0x80 };

enum { VGA_WINDOW = 0xa0000, VGA_WINDOW_SIZE = 0x20000, VGA_PLANE = 0x10000, VGA_TEXT_WINDOW = 0x8000 };
enum { VGA_WINDOW_PRIORITY = 1 }; // with the next one above it: below the chipset's SMRAM
enum { VGA_MAX_COLUMNS = 256 };

// How A0000h..BFFFFh is seen now.
enum vga_window { WINDOW_IO, WINDOW_LINEAR, WINDOW_TEXT };

// Everything that decides the picture besides memory and palette; if it differs, all is drawn again.
struct vga_mode {
    enum { VGA_BLANK, VGA_TEXT, VGA_PLANAR, VGA_CGA, VGA_256, VGA_LINEAR } kind;
    unsigned width, height;           // dots
    unsigned columns;                 // character clocks
    unsigned cell_width, cell_height; // dots and scan lines of a character; graphics: row scans
    unsigned bpp;                     // VGA_LINEAR
    uint32_t start, stride;           // in CRTC address steps; VGA_LINEAR: bytes
    unsigned line_compare, preset_row, panning;
    uint8_t half, double_scan, byte_mode, double_word, row_scan, underline, pan_top, plane_enable, attribute_mode,
        swapped;
    uint8_t char_map;
};

struct vga {
    struct vga_config cfg;
    struct pci_device pci;
    struct ram ram; // vram_size bytes of video memory, then VGA_TEXT_WINDOW bytes
    uint32_t vram_size;
    struct region *ports[8];
    struct region *io;     // the window as registers
    struct region *direct; // and as RAM, or NULL
    enum vga_window window;
    unsigned window_map;  // where it is (vga_mem.c)
    unsigned window_heat; // accesses through io that could have gone to RAM

    uint8_t misc, feature, enable;
    uint8_t sr_index, sr[SR_COUNT];
    uint8_t gr_index, gr[GR_COUNT];
    uint8_t cr_index, cr[CR_COUNT];
    uint8_t ar_index, ar[AR_COUNT];
    bool ar_data; // the next write to 3C0h is data
    uint32_t latch;
    uint8_t dac_mask, dac_state, dac_read, dac_write, dac_part, dac_buffer[2];
    uint8_t dac[256][3];
    uint16_t vbe_index, vbe[VBE_COUNT];
    uint32_t vbe_stride; // bytes; of a plane if 4 bpp
    bool big_endian;
    uint8_t edid[256];

    // What is on the screen.
    struct vga_mode shown;
    uint32_t palette[256]; // colours of pixels: what 4-bit ones become, or 8-bit ones
    uint8_t *lines;        // graphics: the bytes that each line was drawn from
    uint32_t *cells;       // text: what each cell was drawn from
    unsigned cells_room;
    uint16_t *codes; // text: character and attribute, for display_set_text()
    uint16_t cursor_shape;
    bool font_stale;
    uint8_t font[2][256][32];
};

static inline uint32_t *vga_planes(struct vga *v, uint32_t offset)
{
    return (uint32_t *)(void *)(v->ram.base + 4 * (uint64_t)offset);
}
static inline uint32_t vga_plane_size(const struct vga *v) { return v->vram_size / 4; }
static inline bool vga_vbe_on(const struct vga *v) { return v->vbe[VBE_ENABLE] & VBE_ENABLED; }
static inline uint8_t *vga_text_window(struct vga *v) { return v->ram.base + v->vram_size; }
// Four bits to the four bytes of a word of planes.
static inline uint32_t vga_spread(unsigned bits) { return ((bits & 15) * 0x00204081u & 0x01010101u) * 0xff; }
static inline unsigned vga_lines(const struct vga *v) // of the visible part
{
    return (v->cr[CR_V_DISPLAY_END] | (v->cr[CR_OVERFLOW] & 0x02u) << 7 | (v->cr[CR_OVERFLOW] & 0x40u) << 3) + 1;
}

// vga_regs.c: port 3B0h + offset
int vga_map_ports(struct vga *v); // 0 or -ENOMEM
uint8_t vga_port_read(struct vga *v, unsigned port);
void vga_port_write(struct vga *v, unsigned port, uint8_t value);
void vga_regs_reset(struct vga *v);
// vga_mem.c
extern const struct io_ops vga_window_ops;
void vga_window_update(struct vga *v); // registers changed: is the window still what it was?
void vga_window_sync(struct vga *v);   // brings the planes up to date with what was written to the text window
void vga_window_close(struct vga *v);  // back to WINDOW_IO
// vga_vbe.c
uint16_t vga_vbe_read(struct vga *v, unsigned index);
void vga_vbe_write(struct vga *v, unsigned index, uint16_t value);
int vga_vbe_map_ports(struct vga *v);
void vga_vbe_reset(struct vga *v);
extern const struct io_ops vga_bar2_ops;
void vga_edid_make(uint8_t edid[256], unsigned xres, unsigned yres);
// vga_render.c
extern const struct display_adapter_ops vga_display_ops;
// Puts a line of pixels on the screen if it differs from what is there.
void vga_put_line(struct display *d, unsigned y, unsigned width, const uint32_t *line);
// The plane offset that the CRTC reads for its counter ma in row scan row.
uint32_t vga_crtc_address(const struct vga *v, uint32_t ma, unsigned row);
// vga_text.c, vga_graphics.c
void vga_draw_text(struct vga *v, struct display *d, bool all);
void vga_draw_graphics(struct vga *v, struct display *d, bool all);
