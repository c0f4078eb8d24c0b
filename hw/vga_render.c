// SPDX-License-Identifier: MIT
// From registers and memory to a picture: which mode it is, the palette, and putting lines on the screen.
#include "hw/vga_internal.h"

#include <string.h>

// --- mode

static void mode_linear(const struct vga *v, struct vga_mode *m)
{
    const uint16_t *r = v->vbe;
    unsigned bytes = (r[VBE_BPP] + 7u) / 8;
    m->kind = VGA_LINEAR;
    m->width = r[VBE_XRES];
    m->height = r[VBE_YRES];
    m->bpp = r[VBE_BPP];
    m->stride = v->vbe_stride;
    m->start = r[VBE_Y_OFFSET] * v->vbe_stride + r[VBE_X_OFFSET] * bytes;
    m->swapped = v->big_endian;
}

static void mode_vbe_planar(const struct vga *v, struct vga_mode *m)
{
    const uint16_t *r = v->vbe;
    m->kind = VGA_PLANAR;
    m->width = r[VBE_XRES];
    m->height = r[VBE_YRES];
    m->columns = m->width / 8;
    m->cell_height = 1;
    m->stride = v->vbe_stride;
    m->start = r[VBE_Y_OFFSET] * v->vbe_stride + r[VBE_X_OFFSET] / 8u;
    m->panning = r[VBE_X_OFFSET] & 7;
    m->line_compare = UINT32_MAX;
    m->bpp = 4;
    m->plane_enable = 15;
}

// "CRT Controller Registers"
static void mode_crtc(const struct vga *v, struct vga_mode *m)
{
    unsigned overflow = v->cr[CR_OVERFLOW], max_scan = v->cr[CR_MAX_SCAN];
    m->half = (v->sr[SR_CLOCKING] & SR_CLOCKING_HALF) != 0;
    m->columns = v->cr[CR_H_DISPLAY_END] + 1u;
    m->height = vga_lines(v);
    m->cell_width = 8;
    m->cell_height = (max_scan & 0x1f) + 1u;
    m->double_scan = max_scan >> 7;
    m->start = (uint32_t)v->cr[CR_START_HIGH] << 8 | v->cr[CR_START_LOW];
    m->start += v->cr[CR_PRESET_ROW] >> 5 & 3; // byte panning
    m->stride = v->cr[CR_OFFSET] * 2u;
    m->line_compare = v->cr[CR_LINE_COMPARE] | (overflow & 0x10u) << 4 | (max_scan & 0x40u) << 3;
    m->preset_row = v->cr[CR_PRESET_ROW] & 0x1f;
    m->byte_mode = v->cr[CR_MODE] & 0x60;
    m->double_word = v->cr[CR_UNDERLINE] & 0x40;
    m->row_scan = v->cr[CR_MODE] & 0x0f;
    m->underline = v->cr[CR_UNDERLINE] & 0x1f;
    m->plane_enable = v->ar[AR_PLANE_ENABLE] & 15;
    m->attribute_mode = v->ar[AR_MODE];
    m->pan_top = (v->ar[AR_MODE] & AR_MODE_PAN_TOP) != 0;
    m->panning = v->ar[AR_PANNING];
}

static void mode_find(const struct vga *v, struct vga_mode *m)
{
    memset(m, 0, sizeof(*m));
    if (!(v->ar_index & AR_INDEX_VIDEO) || v->sr[SR_CLOCKING] & SR_CLOCKING_OFF) {
        *m = (struct vga_mode){.kind = VGA_BLANK, .width = v->shown.width, .height = v->shown.height};
        return;
    }
    if (vga_vbe_on(v) && v->vbe[VBE_BPP] != 4) {
        mode_linear(v, m);
        return;
    }
    if (vga_vbe_on(v)) {
        mode_vbe_planar(v, m);
        return;
    }
    mode_crtc(v, m);
    if (!(v->gr[GR_MISC] & GR_MISC_GRAPHICS)) {
        m->kind = VGA_TEXT;
        m->char_map = v->sr[SR_CHAR_MAP];
        m->cell_width = v->sr[SR_CLOCKING] & SR_CLOCKING_8DOT ? 8 : 9;
        // With the dot clock halved a character is 16 dots here, as QEMU shows it, even if it had 9.
        if (m->half)
            m->cell_width = 16;
    } else {
        unsigned gr = v->gr[GR_MODE];
        m->kind = gr & GR_MODE_256 ? VGA_256 : gr & GR_MODE_SHIFT ? VGA_CGA : VGA_PLANAR;
        m->cell_width = 8u << m->half;
    }
    m->width = m->columns * m->cell_width;
}

// --- palette

static uint32_t color(const struct vga *v, unsigned n)
{
    const uint8_t *c = v->dac[n & v->dac_mask];
    if (v->vbe[VBE_ENABLE] & VBE_8BIT_DAC)
        return (uint32_t)c[0] << 16 | (uint32_t)c[1] << 8 | c[2];
    // 6 bits to 8: the lowest bit fills the room, so that 0 and 3Fh become 0 and FFh, as QEMU does it.
    uint32_t rgb = 0;
    for (unsigned i = 0; i < 3; i++)
        rgb = rgb << 8 | (uint32_t)c[i] << 2 | (c[i] & 1u) * 3;
    return rgb;
}

// "Attribute Controller Registers": 4-bit pixels go through the internal palette, which gives 6 bits; Color
// Select gives the rest.
static unsigned attribute_color(const struct vga *v, unsigned n)
{
    unsigned p = v->ar[n], select = v->ar[AR_COLOR_SELECT];
    if (v->ar[AR_MODE] & AR_MODE_P54)
        return (p & 0x0f) | (select & 0x0f) << 4;
    return (p & 0x3f) | (select & 0x0c) << 4;
}

// Returns whether a colour changed.
static bool palette_update(struct vga *v, const struct vga_mode *m)
{
    uint32_t palette[256] = {0};
    bool deep = m->kind == VGA_256 || m->kind == VGA_LINEAR;
    for (unsigned n = 0; n < (deep ? 256u : 16u); n++)
        palette[n] = color(v, deep ? n : attribute_color(v, n));
    bool changed = memcmp(palette, v->palette, sizeof(palette));
    memcpy(v->palette, palette, sizeof(palette));
    return changed;
}

// --- lines

uint32_t vga_crtc_address(const struct vga *v, uint32_t ma, unsigned row)
{
    const struct vga_mode *m = &v->shown;
    uint32_t a = ma;
    if (m->bpp == 4)
        return ma % vga_plane_size(v); // VBE: no CRTC
    // Double-word mode is for chain 4, whose planes are packed here (vga_mem.c), so that it changes nothing.
    if (!(m->byte_mode & 0x40) && !(m->double_word))
        a = ma << 1 | (ma >> (m->byte_mode & 0x20 ? 15 : 13) & 1);
    if (!(m->row_scan & 1))
        a = (a & ~BIT(13)) | (row & 1) << 13;
    if (!(m->row_scan & 2))
        a = (a & ~BIT(14)) | (row >> 1 & 1) << 14;
    return a & (VGA_PLANE - 1);
}

void vga_put_line(struct display *d, unsigned y, unsigned width, const uint32_t *line)
{
    uint32_t *to = display_pixels(d) + (size_t)y * width;
    if (!memcmp(to, line, width * sizeof(*line)))
        return;
    unsigned first = 0, last = width;
    while (to[first] == line[first])
        first++;
    while (to[last - 1] == line[last - 1])
        last--;
    memcpy(to + first, line + first, (last - first) * sizeof(*line));
    display_changed(d, first, y, last - first, 1);
}

static void draw_blank(struct vga *v, struct display *d)
{
    static const struct display_text none;
    size_t n = (size_t)v->shown.width * v->shown.height;
    memset(display_pixels(d), 0, n * sizeof(uint32_t));
    display_changed(d, 0, 0, v->shown.width, v->shown.height);
    display_set_text(d, &none);
}

static void render(void *opaque, struct display *d, bool all)
{
    struct vga *v = opaque;
    struct vga_mode m;
    static const struct display_text graphics;
    mode_find(v, &m);
    if (!m.width || !m.height || m.width > DISPLAY_MAX_WIDTH || m.height > DISPLAY_MAX_HEIGHT) {
        m.width = 640;
        m.height = 480;
        m.kind = VGA_BLANK;
    }
    bool new_mode = memcmp(&m, &v->shown, sizeof(m)) != 0;
    if ((all || m.width != v->shown.width || m.height != v->shown.height) && !display_resize(d, m.width, m.height))
        return; // out of memory: the old picture stays
    v->shown = m;
    if (m.kind == VGA_BLANK) {
        if (all || new_mode)
            draw_blank(v, d);
        return;
    }
    all |= new_mode;
    all |= palette_update(v, &m);
    vga_window_sync(v);
    if (m.kind == VGA_TEXT) {
        vga_draw_text(v, d, all);
        return;
    }
    if (all)
        display_set_text(d, &graphics);
    vga_draw_graphics(v, d, all);
}

const struct display_adapter_ops vga_display_ops = {.render = render};
