// SPDX-License-Identifier: MIT
// Text modes: cells of character and attribute, drawn with the fonts of plane 2, only where something
// changed. IBM "PS/2 Hardware Interface Technical Reference - Video Subsystem", "Alphanumeric Modes".
#include "hw/vga_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/loop.h"

enum { FRAME_NS = 1000000000 / 60, CURSOR_FRAMES = 16, BLINK_FRAMES = 32 };
enum { CELL_CURSOR = 1 << 16, CELL_HIDDEN = 1 << 17 };
enum { CURSOR_OFF = 0x20 };

struct text_band { // scan lines of one row of cells
    unsigned y, lines;
    unsigned scan;   // of the first line, in the character
    unsigned repeat; // 2: double scan
    uint32_t ma;
    unsigned panning;
};

// --- fonts

// "Character Map Select": where the 8 KiB font begins in plane 2, by its 3-bit number.
static unsigned font_offset(unsigned n) { return (n & 3) * 0x4000 + (n >> 2) * 0x2000; }

static void fonts_read(struct vga *v)
{
    unsigned sel = v->sr[SR_CHAR_MAP];
    const unsigned map[2] = {(sel & 3) | (sel >> 2 & 4), (sel >> 2 & 3) | (sel >> 3 & 4)}; // attribute bit 3: 0, 1
    for (unsigned b = 0; b < 2; b++)
        for (unsigned i = 0; i < 256 * 32; i++)
            v->font[b][i / 32][i % 32] = (uint8_t)(*vga_planes(v, font_offset(map[b]) + i) >> 16);
    v->font_stale = false;
}

// --- cells

static void cell_colors(const struct vga *v, uint32_t cell, uint32_t *fg, uint32_t *bg)
{
    unsigned attr = cell >> 8 & 0xff, f = attr & 15, b = attr >> 4;
    if (v->shown.attribute_mode & AR_MODE_BLINK)
        b &= 7;
    if (cell & CELL_HIDDEN)
        f = b;
    *fg = v->palette[f & v->shown.plane_enable];
    *bg = v->palette[b & v->shown.plane_enable];
}

// The dots of one line of a character, leftmost in the top bit of 9.
static unsigned cell_dots(const struct vga *v, uint32_t cell, unsigned scan)
{
    unsigned ch = cell & 0xff, attr = cell >> 8 & 0xff;
    unsigned dots = (unsigned)v->font[attr >> 3 & 1][ch][scan & 31] << 1;
    // The ninth dot of the line-drawing characters repeats the eighth.
    if (v->shown.attribute_mode & AR_MODE_LINE_GRAPHICS && ch >= 0xc0 && ch <= 0xdf)
        dots |= dots >> 1 & 1;
    if ((attr & 0x77) == 0x01 && scan == v->shown.underline)
        dots = 0x1ff;
    if (cell & CELL_CURSOR && scan >= (v->cr[CR_CURSOR_START] & 0x1fu) && scan <= (v->cr[CR_CURSOR_END] & 0x1fu))
        dots = 0x1ff;
    return dots;
}

static void draw_cell(struct vga *v, struct display *d, const struct text_band *b, unsigned column, uint32_t cell)
{
    const struct vga_mode *m = &v->shown;
    uint32_t fg, bg;
    int x0 = (int)(column * m->cell_width) - (int)b->panning;
    cell_colors(v, cell, &fg, &bg);
    for (unsigned line = 0; line < b->lines; line++) {
        unsigned dots = cell_dots(v, cell, b->scan + line / b->repeat);
        uint32_t *to = display_pixels(d) + (size_t)(b->y + line) * m->width;
        for (unsigned i = 0; i < m->cell_width; i++) {
            int x = x0 + (int)i;
            if (x >= 0 && x < (int)m->width)
                to[x] = dots >> (8 - (m->half ? i / 2 : i)) & 1 ? fg : bg;
        }
    }
    unsigned left = x0 < 0 ? 0 : (unsigned)x0;
    if (x0 + (int)m->cell_width > 0)
        display_changed(d, left, b->y, m->cell_width - (left - (unsigned)x0), b->lines);
}

struct text_pass {
    bool all, hide_blinking;
    bool cursor_lit; // it blinks
    uint32_t cursor; // counter value; UINT32_MAX: not shown
    struct display_text text;
};

static void draw_band(struct vga *v, struct display *d, const struct text_band *b, unsigned n, struct text_pass *p)
{
    const struct vga_mode *m = &v->shown;
    unsigned columns = m->columns + (b->panning ? 1 : 0);
    uint32_t *shadow = &v->cells[n * (m->columns + 1)];
    for (unsigned c = 0; c < columns; c++) {
        uint32_t ma = (b->ma + c) & 0xffff;
        uint32_t cell = *vga_planes(v, vga_crtc_address(v, ma, 0)) & 0xffff;
        if (c < m->columns)
            v->codes[n * m->columns + c] = (uint16_t)cell;
        if (ma == p->cursor && p->cursor_lit)
            cell |= CELL_CURSOR;
        if (p->hide_blinking && cell & 0x8000)
            cell |= CELL_HIDDEN;
        if (!p->all && shadow[c] == cell)
            continue;
        shadow[c] = cell;
        draw_cell(v, d, b, c, cell);
    }
}

// --- the screen

// How far the picture is shifted to the left: "Horizontal Pixel Panning". With 9 dots, 8 means none.
static unsigned panning_dots(const struct vga_mode *m)
{
    if (m->cell_width == 9)
        return m->panning >= 8 ? 0 : m->panning + 1;
    return (m->panning & 7) << m->half;
}

static bool make_room(struct vga *v)
{
    // One row of cells a scan line is the most there can be.
    unsigned need = v->shown.height * (v->shown.columns + 1);
    if (need <= v->cells_room)
        return true;
    uint32_t *cells = realloc(v->cells, need * sizeof(*cells));
    v->cells = cells ? cells : v->cells;
    uint16_t *codes = realloc(v->codes, need * sizeof(*codes));
    v->codes = codes ? codes : v->codes;
    if (cells && codes)
        v->cells_room = need;
    return cells && codes;
}

// The rest of the row of cells that begins at line y, as far as split screen and the screen's end let it go.
static struct text_band next_band(const struct vga_mode *m, unsigned y, unsigned scan, uint32_t ma, unsigned panning)
{
    struct text_band b = {.y = y, .scan = scan, .repeat = 1u + m->double_scan, .ma = ma, .panning = panning};
    unsigned end = m->height;
    if (y <= m->line_compare && m->line_compare + 1 < end)
        end = m->line_compare + 1;
    b.lines = (m->cell_height - scan) * b.repeat;
    if (b.lines > end - y)
        b.lines = end - y;
    return b;
}

static unsigned draw_bands(struct vga *v, struct display *d, struct text_pass *p)
{
    const struct vga_mode *m = &v->shown;
    unsigned y = 0, n = 0, scan = m->preset_row % m->cell_height, panning = panning_dots(m);
    uint32_t ma = m->start;
    while (y < m->height) {
        struct text_band b = next_band(m, y, scan, ma, panning);
        draw_band(v, d, &b, n, p);
        if (p->cursor != UINT32_MAX && p->cursor - (ma & 0xffff) < m->columns) {
            p->text.cursor_column = p->cursor - (ma & 0xffff);
            p->text.cursor_row = n;
            p->text.cursor_shown = true;
        }
        n++;
        y += b.lines;
        scan = 0;
        ma += m->stride;
        if (y == m->line_compare + 1) {
            ma = 0;
            panning = m->pan_top ? 0 : panning;
        }
    }
    return n;
}

void vga_draw_text(struct vga *v, struct display *d, bool all)
{
    uint64_t frame = clock_now_ns() / FRAME_NS;
    struct text_pass p = {.all = all || v->font_stale, .cursor = UINT32_MAX};
    uint16_t shape = (uint16_t)(v->cr[CR_CURSOR_START] << 8 | v->cr[CR_CURSOR_END]);
    if (!make_room(v))
        return;
    if (p.all)
        fonts_read(v);
    p.all |= shape != v->cursor_shape; // no part of the mode, since it is written often
    v->cursor_shape = shape;
    p.hide_blinking = v->shown.attribute_mode & AR_MODE_BLINK && frame / BLINK_FRAMES & 1;
    p.cursor_lit = !(frame / CURSOR_FRAMES & 1);
    if (!(v->cr[CR_CURSOR_START] & CURSOR_OFF)) {
        p.cursor = (uint32_t)v->cr[CR_CURSOR_HIGH] << 8 | v->cr[CR_CURSOR_LOW];
        p.cursor += v->cr[CR_CURSOR_END] >> 5 & 3; // skew
    }
    p.text.columns = v->shown.columns;
    p.text.rows = draw_bands(v, d, &p);
    p.text.cells = v->codes;
    display_set_text(d, &p.text);
}
