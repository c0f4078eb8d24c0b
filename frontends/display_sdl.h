// SPDX-License-Identifier: MIT
// The parts of the SDL window. Private to display_sdl*.c.
#pragma once

#include <SDL.h>

#include "frontends/displays.h"
#include "hw/display.h"

// Set 1 make code (hw/input.h) of a key; 0: a PC keyboard has no such key.
uint16_t sdl_key_to_set1(SDL_Scancode code);

// --- the picture in the window: a copy of the guest's screen, and where it is shown.
// All of this belongs to the window's thread.
struct sdl_canvas;

struct sdl_canvas *sdl_canvas_create(SDL_Window *window, enum display_scaling scaling, bool gl); // NULL: SDL_GetError()
void sdl_canvas_destroy(struct sdl_canvas *c);
// Copies what is dirty. Big lock held. False if out of memory.
bool sdl_canvas_take(struct sdl_canvas *c, const struct display_frame *frame, const struct display_rect *dirty);
// Shows what was taken, or everything (after a change of the window). Without the big lock.
void sdl_canvas_show(struct sdl_canvas *c, bool all);
// The place in the window, as coordinates of the guest's screen from 0 to INPUT_ABS_MAX.
void sdl_canvas_locate(struct sdl_canvas *c, int window_x, int window_y, unsigned *x, unsigned *y);
