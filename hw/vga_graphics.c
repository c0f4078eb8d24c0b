// SPDX-License-Identifier: MIT
// Graphics modes: a line of pixels at a time, from planes or from the linear frame buffer.
//
// The bytes of each line are kept, and only lines whose bytes are others now become pixels again. The frame
// buffer is plain memory to the guest, so that comparing is what tells: at memory speed, and without any
// race.
#include "hw/vga_internal.h"

#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = DISPLAY_MAX_WIDTH * 4 };

// Takes the n bytes of line y; NULL if they are what is on the screen. The answer is a copy that stays as it
// is while the guest draws on.
static const uint8_t *take_line(struct vga *v, unsigned y, const void *bytes, size_t n, bool all)
{
    uint8_t *kept = v->lines + (size_t)y * LINE_BYTES;
    if (!all && !memcmp(kept, bytes, n))
        return NULL;
    memcpy(kept, bytes, n);
    return kept;
}

// --- what a character clock of planes becomes

// Eight pixels: bit 7 of each plane is the leftmost one. The palette is applied behind the plane mask.
static void planar_pixels(const uint32_t *palette, unsigned enable, uint32_t planes, uint32_t out[8])
{
    for (unsigned i = 0; i < 8; i++) {
        uint32_t bits = planes >> (7 - i) & 0x01010101u;
        out[i] = palette[(bits | bits >> 7 | bits >> 14 | bits >> 21) & enable];
    }
}

// "Shift register mode" 1: pairs of bits, first of the even planes, then of the odd ones; planes 2 and 3 give
// the upper two bits of a pixel.
static void cga_pixels(const uint32_t *palette, unsigned enable, uint32_t planes, uint32_t out[8])
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned low = planes >> (i < 4 ? 0 : 8), shift = 6 - 2 * (i & 3);
        out[i] = palette[((low >> shift & 3) | (low >> 16 >> shift & 3) << 2) & enable];
    }
}

// Four pixels, one from each plane, two dots wide.
static void deep_pixels(const uint32_t *palette, unsigned enable, uint32_t planes, uint32_t out[8])
{
    for (unsigned i = 0; i < 4; i++)
        out[2 * i] = out[2 * i + 1] = palette[planes >> 8 * i & 0xff];
}

struct planes_line {
    uint32_t ma;
    unsigned row, panning;
};

// In dots of the mode, before they are doubled.
static unsigned pan_dots(const struct vga_mode *m, unsigned panning)
{
    return m->kind == VGA_256 ? panning & 6 : panning & 7;
}

// What the CRTC reads for a line; a character clock more if the line is shifted. Returns the number of words.
static unsigned fetch_planes(struct vga *v, const struct planes_line *l, uint32_t words[VGA_MAX_COLUMNS * 2])
{
    const struct vga_mode *m = &v->shown;
    unsigned columns = m->columns + (pan_dots(m, l->panning) ? 1 : 0);
    for (unsigned c = 0; c < columns; c++)
        words[c] = *vga_planes(v, vga_crtc_address(v, l->ma + c, l->row));
    return columns;
}

static void expand_planes(const struct vga *v, const uint8_t *words, unsigned columns, unsigned pan, uint32_t *line)
{
    static void (*const expand[])(const uint32_t *, unsigned, uint32_t, uint32_t *) = {
        [VGA_PLANAR] = planar_pixels,
        [VGA_CGA] = cga_pixels,
        [VGA_256] = deep_pixels,
    };
    const struct vga_mode *m = &v->shown;
    uint32_t dots[8], planes;
    // 0: the first dot of the screen; what lies to the left of it or to the right of the last is not drawn.
    unsigned x = 0, skip = pan;
    for (unsigned c = 0; c < columns; c++) {
        memcpy(&planes, words + 4 * c, sizeof(planes));
        expand[m->kind](v->palette, m->plane_enable, planes, dots);
        for (unsigned i = skip; i < 8 && x < m->width; i++) {
            line[x++] = dots[i];
            if (m->half)
                line[x++] = dots[i];
        }
        skip = 0;
    }
}

// "Line Compare": below that line the picture starts at address 0 again (split screen).
static void draw_planes(struct vga *v, struct display *d, bool all)
{
    const struct vga_mode *m = &v->shown;
    uint32_t line[DISPLAY_MAX_WIDTH], words[VGA_MAX_COLUMNS * 2];
    struct planes_line l = {m->start, m->preset_row % m->cell_height, m->panning};
    unsigned twice = 0;
    for (unsigned y = 0; y < m->height; y++) {
        unsigned n = fetch_planes(v, &l, words);
        const uint8_t *changed = take_line(v, y, words, n * sizeof(*words), all);
        if (changed) {
            expand_planes(v, changed, n, pan_dots(m, l.panning), line);
            vga_put_line(d, y, m->width, line);
        }
        if (y == m->line_compare) {
            l.ma = l.row = twice = 0;
            if (m->pan_top)
                l.panning = 0;
        } else if (m->double_scan && !twice) {
            twice = 1;
        } else {
            twice = 0;
            if (++l.row >= m->cell_height) {
                l.row = 0;
                l.ma += m->stride;
            }
        }
    }
}

// --- linear

static uint32_t load16(const uint8_t *p, bool swapped)
{
    return swapped ? (uint32_t)(p[0] << 8 | p[1]) : (uint32_t)(p[0] | p[1] << 8);
}

// n bits at the bottom of c to 8 bits: the lowest ones repeat the highest.
static uint32_t widen(uint32_t c, unsigned n)
{
    c &= (1u << n) - 1;
    return c << (8 - n) | c >> (2 * n - 8);
}

static void linear_pixels(const struct vga *v, const uint8_t *p, unsigned n, uint32_t *out)
{
    bool swapped = v->shown.swapped;
    switch (v->shown.bpp) {
    case 8:
        for (unsigned i = 0; i < n; i++)
            out[i] = v->palette[p[i]];
        break;
    case 15:
        for (unsigned i = 0; i < n; i++) {
            uint32_t c = load16(p + 2 * i, swapped);
            out[i] = widen(c >> 10, 5) << 16 | widen(c >> 5, 5) << 8 | widen(c, 5);
        }
        break;
    case 16:
        for (unsigned i = 0; i < n; i++) {
            uint32_t c = load16(p + 2 * i, swapped);
            out[i] = widen(c >> 11, 5) << 16 | widen(c >> 5, 6) << 8 | widen(c, 5);
        }
        break;
    case 24:
        for (unsigned i = 0; i < n; i++, p += 3)
            out[i] = swapped ? (uint32_t)(p[0] << 16 | p[1] << 8 | p[2]) : (uint32_t)(p[2] << 16 | p[1] << 8 | p[0]);
        break;
    default:
        for (unsigned i = 0; i < n; i++, p += 4) {
            uint32_t c;
            memcpy(&c, p, sizeof(c));
            out[i] = (swapped ? __builtin_bswap32(c) : c) & 0xffffff;
        }
        break;
    }
}

static void draw_linear(struct vga *v, struct display *d, bool all)
{
    const struct vga_mode *m = &v->shown;
    uint32_t line[DISPLAY_MAX_WIDTH];
    uint8_t wrapped[LINE_BYTES];
    uint32_t bytes = m->width * ((m->bpp + 7) / 8);
    for (unsigned y = 0; y < m->height; y++) {
        uint32_t at = (uint32_t)((m->start + (uint64_t)y * m->stride) % v->vram_size);
        const uint8_t *from = v->ram.base + at;
        if (v->vram_size - at < bytes) {
            uint32_t first = v->vram_size - at;
            memcpy(wrapped, from, first);
            memcpy(wrapped + first, v->ram.base, bytes - first);
            from = wrapped;
        }
        const uint8_t *changed = take_line(v, y, from, bytes, all);
        if (changed) {
            linear_pixels(v, changed, m->width, line);
            vga_put_line(d, y, m->width, line);
        }
    }
}

void vga_draw_graphics(struct vga *v, struct display *d, bool all)
{
    // Untouched, these pages cost nothing.
    if (!v->lines && !(v->lines = calloc(DISPLAY_MAX_HEIGHT, LINE_BYTES)))
        return;
    if (v->shown.kind == VGA_LINEAR)
        draw_linear(v, d, all);
    else
        draw_planes(v, d, all);
}
