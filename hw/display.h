// SPDX-License-Identifier: MIT
// A screen between a graphics adapter, which draws on it when asked, and its readers: a window, a
// terminal, a screen dump.
//
// Nothing is drawn until a reader asks. display_read() has the adapter bring the pixels up to date and
// tells this reader which part of them changed since it last asked; each reader has its own account of that.
#pragma once

#include "base/types.h"

struct display;
struct display_reader;

struct display_rect {
    unsigned x, y, w, h; // pixels; w == 0: empty
};

// Text modes also keep their characters, for terminals.
struct display_text {
    unsigned columns, rows;             // 0: a graphics mode
    const uint16_t *cells;              // columns * rows: CP437 code, VGA attribute in the upper byte
    unsigned cursor_column, cursor_row; // where the cursor is, if it is shown
    bool cursor_shown;
};

struct display_frame {
    unsigned width, height; // pixels
    const uint32_t *pixels; // xRGB8888, width per row, no padding; valid until the big lock is released
    struct display_text text;
};

struct display_adapter_ops {
    // Bring the pixels up to date: display_resize() if the mode changed, write to display_pixels(),
    // display_changed() for what was drawn. all: even what has not changed.
    void (*render)(void *opaque, struct display *d, bool all);
};

enum { DISPLAY_MAX_WIDTH = 2560, DISPLAY_MAX_HEIGHT = 1600 };

// Big lock held for all of these.
struct display *display_create(void); // shows "no adapter" until it has one; NULL if out of memory
void display_set_adapter(struct display *d, const struct display_adapter_ops *ops, void *opaque);
void display_destroy(struct display *d); // NULL is fine

// --- the adapter's side, inside render()
bool display_resize(struct display *d, unsigned width, unsigned height); // black; false if out of memory
uint32_t *display_pixels(struct display *d);
void display_changed(struct display *d, unsigned x, unsigned y, unsigned w, unsigned h); // clipped
void display_set_text(struct display *d, const struct display_text *text);               // cells are copied

// --- the readers' side
struct display_reader *display_reader_new(struct display *d); // NULL if out of memory
void display_reader_free(struct display_reader *r);
// Empty dirty: nothing changed. A change of size makes everything dirty.
void display_read(struct display_reader *r, struct display_frame *frame, struct display_rect *dirty);
