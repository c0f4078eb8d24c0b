// SPDX-License-Identifier: MIT
// A screen: the picture that a graphics adapter keeps up to date, and what each reader has not seen of it
// yet.
#include "hw/display.h"

#include <stdlib.h>
#include <string.h>

enum { NO_ADAPTER_WIDTH = 640, NO_ADAPTER_HEIGHT = 480, TEXT_MAX_CELLS = 1 << 18 };

struct display_reader {
    struct display *display;
    struct display_reader *next;
    struct display_rect dirty;
};

struct display {
    const struct display_adapter_ops *ops;
    void *opaque;
    bool redraw; // the adapter has not drawn everything yet
    unsigned width, height;
    uint32_t *pixels;
    struct display_text text;
    uint16_t *cells;
    unsigned cells_room;
    struct display_reader *readers;
};

// --- the sign "no adapter"

// 5 x 7 dots a letter, a row a byte, the leftmost dot in bit 4.
static const struct letter {
    char c;
    uint8_t row[7];
} letters[] = {
    {'A', {0x0e, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11}}, {'D', {0x1e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x1e}},
    {'E', {0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x1f}}, {'N', {0x11, 0x19, 0x15, 0x13, 0x11, 0x11, 0x11}},
    {'O', {0x0e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e}}, {'P', {0x1e, 0x11, 0x11, 0x1e, 0x10, 0x10, 0x10}},
    {'R', {0x1e, 0x11, 0x11, 0x1e, 0x14, 0x12, 0x11}}, {'T', {0x1f, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04}},
};

static void draw_letter(struct display *d, unsigned x, unsigned y, char c)
{
    enum { DOT = 2 };
    for (unsigned i = 0; i < ARRAY_SIZE(letters); i++)
        for (unsigned dot = 0; letters[i].c == c && dot < 7 * 5 * DOT * DOT; dot++) {
            unsigned dx = dot % (5 * DOT), dy = dot / (5 * DOT);
            if (letters[i].row[dy / DOT] >> (4 - dx / DOT) & 1)
                d->pixels[(y + dy) * d->width + x + dx] = 0xaaaaaa;
        }
}

static void show_no_adapter(struct display *d)
{
    static const char sign[] = "NO ADAPTER";
    enum { COLUMNS = 80, ROWS = 25, LENGTH = sizeof(sign) - 1, PITCH = 16 };
    uint16_t cells[COLUMNS * ROWS];
    const struct display_text text = {.columns = COLUMNS, .rows = ROWS, .cells = cells};
    if (!display_resize(d, NO_ADAPTER_WIDTH, NO_ADAPTER_HEIGHT))
        return;
    for (unsigned i = 0; i < COLUMNS * ROWS; i++)
        cells[i] = 0x0720;
    for (unsigned i = 0; i < LENGTH; i++) {
        cells[ROWS / 2 * COLUMNS + (COLUMNS - LENGTH) / 2 + i] = (uint16_t)(0x0700 | (uint8_t)sign[i]);
        draw_letter(d, (d->width - LENGTH * PITCH) / 2 + i * PITCH, d->height / 2 - 7, sign[i]);
    }
    display_changed(d, 0, 0, d->width, d->height);
    display_set_text(d, &text);
}

// --- life

struct display *display_create(void)
{
    struct display *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    show_no_adapter(d);
    if (!d->pixels) {
        free(d);
        return NULL;
    }
    return d;
}

void display_set_adapter(struct display *d, const struct display_adapter_ops *ops, void *opaque)
{
    d->ops = ops;
    d->opaque = opaque;
    d->redraw = true;
    if (!ops)
        show_no_adapter(d);
}

void display_destroy(struct display *d)
{
    if (!d)
        return;
    while (d->readers)
        display_reader_free(d->readers);
    free(d->pixels);
    free(d->cells);
    free(d);
}

// --- the adapter's side

bool display_resize(struct display *d, unsigned width, unsigned height)
{
    if (!width || !height || width > DISPLAY_MAX_WIDTH || height > DISPLAY_MAX_HEIGHT)
        return false;
    uint32_t *pixels = calloc((size_t)width * height, sizeof(*pixels));
    if (!pixels)
        return false;
    free(d->pixels);
    d->pixels = pixels;
    d->width = width;
    d->height = height;
    display_changed(d, 0, 0, width, height);
    return true;
}

uint32_t *display_pixels(struct display *d) { return d->pixels; }

static void rect_add(struct display_rect *r, unsigned x, unsigned y, unsigned w, unsigned h)
{
    if (!r->w) {
        *r = (struct display_rect){x, y, w, h};
        return;
    }
    unsigned x1 = r->x + r->w > x + w ? r->x + r->w : x + w, y1 = r->y + r->h > y + h ? r->y + r->h : y + h;
    r->x = r->x < x ? r->x : x;
    r->y = r->y < y ? r->y : y;
    r->w = x1 - r->x;
    r->h = y1 - r->y;
}

void display_changed(struct display *d, unsigned x, unsigned y, unsigned w, unsigned h)
{
    if (x >= d->width || y >= d->height || !w || !h)
        return;
    w = w < d->width - x ? w : d->width - x;
    h = h < d->height - y ? h : d->height - y;
    for (struct display_reader *r = d->readers; r; r = r->next)
        rect_add(&r->dirty, x, y, w, h);
}

void display_set_text(struct display *d, const struct display_text *text)
{
    size_t n = (size_t)text->columns * text->rows;
    d->text = (struct display_text){0};
    if (!n || n > TEXT_MAX_CELLS)
        return;
    if (n > d->cells_room) {
        uint16_t *cells = realloc(d->cells, n * sizeof(*cells));
        if (!cells)
            return;
        d->cells = cells;
        d->cells_room = (unsigned)n;
    }
    memcpy(d->cells, text->cells, n * sizeof(*d->cells));
    d->text = *text;
    d->text.cells = d->cells;
    d->text.cursor_shown = text->cursor_shown && text->cursor_column < text->columns && text->cursor_row < text->rows;
}

// --- the readers' side

struct display_reader *display_reader_new(struct display *d)
{
    struct display_reader *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    *r = (struct display_reader){d, d->readers, {0, 0, d->width, d->height}};
    d->readers = r;
    return r;
}

void display_reader_free(struct display_reader *r)
{
    if (!r)
        return;
    struct display_reader **p = &r->display->readers;
    while (*p != r)
        p = &(*p)->next;
    *p = r->next;
    free(r);
}

void display_read(struct display_reader *r, struct display_frame *frame, struct display_rect *dirty)
{
    struct display *d = r->display;
    if (d->ops) {
        bool all = d->redraw;
        d->redraw = false;
        d->ops->render(d->opaque, d, all);
    }
    *frame = (struct display_frame){d->width, d->height, d->pixels, d->text};
    // After a change of size, what was noted for the old size would be clipped; display_resize() added it
    // all.
    *dirty = r->dirty;
    if (dirty->w && (dirty->x + dirty->w > d->width || dirty->y + dirty->h > d->height))
        *dirty = (struct display_rect){0, 0, d->width, d->height};
    r->dirty = (struct display_rect){0};
}
