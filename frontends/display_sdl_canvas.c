// SPDX-License-Identifier: MIT
// Brings the guest's screen into an SDL window: scaled by us into the window's own memory, of which only what
// changed is sent, or with gl=on as a texture that the graphics card scales.
#include "frontends/display_sdl.h"

#include <stdlib.h>
#include <string.h>

#include "hw/input.h"

struct sdl_canvas {
    SDL_Window *window;
    enum display_scaling scaling;
    SDL_Renderer *renderer; // gl=on only
    SDL_Texture *texture;
    SDL_Surface *image; // the guest's screen
    SDL_Rect dirty;     // of the image, not yet shown; w == 0: nothing
};

struct sdl_canvas *sdl_canvas_create(SDL_Window *window, enum display_scaling scaling, bool gl)
{
    struct sdl_canvas *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->window = window;
    c->scaling = scaling;
    if (gl && !(c->renderer = SDL_CreateRenderer(window, -1, SDL_RENDERER_ACCELERATED))) {
        free(c);
        return NULL;
    }
    if (!gl && !SDL_GetWindowSurface(window)) {
        free(c);
        return NULL;
    }
    return c;
}

void sdl_canvas_destroy(struct sdl_canvas *c)
{
    if (!c)
        return;
    if (c->texture)
        SDL_DestroyTexture(c->texture);
    if (c->renderer)
        SDL_DestroyRenderer(c->renderer);
    SDL_FreeSurface(c->image);
    free(c);
}

static bool resize(struct sdl_canvas *c, int w, int h)
{
    if (c->image && c->image->w == w && c->image->h == h)
        return true;
    SDL_FreeSurface(c->image);
    c->image = SDL_CreateRGBSurfaceWithFormat(0, w, h, 32, SDL_PIXELFORMAT_RGB888);
    if (!c->renderer)
        return c->image;
    if (c->texture)
        SDL_DestroyTexture(c->texture);
    c->texture = SDL_CreateTexture(c->renderer, SDL_PIXELFORMAT_RGB888, SDL_TEXTUREACCESS_STREAMING, w, h);
    if (c->texture)
        SDL_SetTextureScaleMode(c->texture, c->scaling == SCALING_SMOOTH ? SDL_ScaleModeLinear : SDL_ScaleModeNearest);
    return c->image && c->texture;
}

bool sdl_canvas_take(struct sdl_canvas *c, const struct display_frame *frame, const struct display_rect *dirty)
{
    SDL_Rect d = {(int)dirty->x, (int)dirty->y, (int)dirty->w, (int)dirty->h};

    if (!resize(c, (int)frame->width, (int)frame->height))
        return false;
    for (int y = d.y; y < d.y + d.h; y++)
        memcpy((uint8_t *)c->image->pixels + (size_t)y * (size_t)c->image->pitch + 4 * (size_t)d.x,
               frame->pixels + (size_t)y * frame->width + d.x, 4 * (size_t)d.w);
    if (c->dirty.w)
        SDL_UnionRect(&c->dirty, &d, &c->dirty);
    else
        c->dirty = d;
    return true;
}

// Where the image lies in a window of this size: as large as fits with square pixels, in the middle.
static SDL_Rect place(const struct sdl_canvas *c, int window_w, int window_h)
{
    int w = c->image->w, h = c->image->h;
    SDL_Rect r;

    if (c->scaling == SCALING_INTEGER && window_w >= w && window_h >= h) {
        int n = window_w / w < window_h / h ? window_w / w : window_h / h;

        r.w = w * n;
        r.h = h * n;
    } else if ((int64_t)window_w * h <= (int64_t)window_h * w) {
        r.w = window_w;
        r.h = (int)((int64_t)h * window_w / w);
    } else {
        r.h = window_h;
        r.w = (int)((int64_t)w * window_h / h);
    }
    r.w = r.w ? r.w : 1;
    r.h = r.h ? r.h : 1;
    r.x = (window_w - r.w) / 2;
    r.y = (window_h - r.h) / 2;
    return r;
}

static void show_texture(struct sdl_canvas *c, bool all)
{
    SDL_Rect to;
    int w, h;

    SDL_GetRendererOutputSize(c->renderer, &w, &h);
    to = place(c, w, h);
    if (all) // the card may have lost its copy
        c->dirty = (SDL_Rect){0, 0, c->image->w, c->image->h};
    if (c->dirty.w)
        SDL_UpdateTexture(c->texture, &c->dirty,
                          (uint8_t *)c->image->pixels + c->dirty.y * c->image->pitch + 4 * c->dirty.x, c->image->pitch);
    SDL_SetRenderDrawColor(c->renderer, 0, 0, 0, 255);
    SDL_RenderClear(c->renderer);
    SDL_RenderCopy(c->renderer, c->texture, NULL, &to);
    SDL_RenderPresent(c->renderer);
}

// The part of the window that shows this part of the image, with the neighbours that smoothing mixes in.
static SDL_Rect cover(const SDL_Rect *to, const SDL_Surface *image, const SDL_Rect *part)
{
    int x0 = to->x + (int)((int64_t)(part->x - 1) * to->w / image->w) - 1;
    int y0 = to->y + (int)((int64_t)(part->y - 1) * to->h / image->h) - 1;
    int x1 = to->x + (int)((int64_t)(part->x + part->w + 1) * to->w / image->w) + 2;
    int y1 = to->y + (int)((int64_t)(part->y + part->h + 1) * to->h / image->h) + 2;
    SDL_Rect r = {x0, y0, x1 - x0, y1 - y0};

    SDL_IntersectRect(&r, to, &r);
    return r;
}

static void show_surface(struct sdl_canvas *c, bool all)
{
    SDL_Surface *win = SDL_GetWindowSurface(c->window); // a new one after each change of size
    SDL_Rect to, part;

    if (!win)
        return;
    to = place(c, win->w, win->h);
    if (all)
        SDL_FillRect(win, NULL, 0);
    if (to.w == c->image->w && to.h == c->image->h) {
        SDL_Rect from = all ? (SDL_Rect){0, 0, to.w, to.h} : c->dirty;

        part = (SDL_Rect){to.x + from.x, to.y + from.y, from.w, from.h};
        SDL_BlitSurface(c->image, &from, win, &(SDL_Rect){part.x, part.y, part.w, part.h});
    } else {
        part = all ? to : cover(&to, c->image, &c->dirty);
        if (c->scaling != SCALING_SMOOTH || win->format->format != c->image->format->format ||
            SDL_SoftStretchLinear(c->image, NULL, win, &to))
            SDL_BlitScaled(c->image, NULL, win, &(SDL_Rect){to.x, to.y, to.w, to.h});
    }
    if (all)
        SDL_UpdateWindowSurface(c->window);
    else
        SDL_UpdateWindowSurfaceRects(c->window, &part, 1);
}

void sdl_canvas_show(struct sdl_canvas *c, bool all)
{
    if (!c->image || (!all && !c->dirty.w))
        return;
    if (c->renderer)
        show_texture(c, all);
    else
        show_surface(c, all);
    c->dirty = (SDL_Rect){0, 0, 0, 0};
}

void sdl_canvas_locate(struct sdl_canvas *c, int window_x, int window_y, unsigned *x, unsigned *y)
{
    int w, h, px, py;
    SDL_Rect to;

    *x = *y = 0;
    SDL_GetWindowSize(c->window, &w, &h);
    if (!c->image)
        return;
    to = place(c, w, h);
    px = SDL_clamp(window_x - to.x, 0, to.w - 1);
    py = SDL_clamp(window_y - to.y, 0, to.h - 1);
    *x = to.w > 1 ? (unsigned)((int64_t)px * INPUT_ABS_MAX / (to.w - 1)) : 0;
    *y = to.h > 1 ? (unsigned)((int64_t)py * INPUT_ABS_MAX / (to.h - 1)) : 0;
}
