// SPDX-License-Identifier: MIT
// A window on the guest's screen, by SDL2: refresh, keys, mouse, grab, title and closing.
//
// Everything of SDL happens on one thread of its own, which waits for events and looks at the screen 60 times
// a second while it changes or somebody types, and seldom when nothing does.
#include "frontends/display_sdl.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/biglock.h"
#include "base/loop.h"
#include "frontends/runstate.h"
#include "hw/input.h"

enum { BUSY_MS = 16, IDLE_MS = 100, HIDDEN_MS = 500, BUSY_FOR_MS = 1000 };
enum { ZOOM_STEP = 25, ZOOM_MIN = 25, ZOOM_MAX = 400 };

struct sdl_ui {
    struct display_context context;
    pthread_t thread;
    sem_t started;
    int error; // of the start, if started
    char error_text[200];
    _Atomic bool stopping;

    SDL_Window *window;
    struct sdl_canvas *canvas;
    struct display_reader *reader;
    unsigned width, height; // of the guest's screen
    int zoom;               // per cent; 0: the user chose the window's size
    int asked_w, asked_h;   // the size that the zoom gave
    bool grabbed, full_screen, absolute, hidden, redraw;
    bool close_asked;
    bool swallow_hotkey; // the key that ended a combination is not the guest's
    SDL_Scancode swallowed;
    uint32_t busy_until; // SDL ticks
    char title[160];
};

// --- title, cursor, grab

static const char *grab_keys(const struct sdl_ui *ui)
{
    static const char *const names[] = {
        [GRAB_LCTRL_LALT] = "Ctrl-Alt-G",
        [GRAB_LSHIFT_LCTRL_LALT] = "Ctrl-Alt-Shift-G",
        [GRAB_RCTRL] = "Right-Ctrl-G",
    };

    return names[ui->context.options->grab_mod];
}

static void update_title(struct sdl_ui *ui, bool running)
{
    char title[sizeof(ui->title)], grab[64] = "";
    const char *name = ui->context.name;

    if (ui->grabbed)
        snprintf(grab, sizeof(grab), " - Press %s to exit grab", grab_keys(ui));
    snprintf(title, sizeof(title), "ring3%s%.60s%s%s%s", name ? " (" : "", name ? name : "", name ? ")" : "",
             running ? "" : " [Paused]", grab);
    if (strcmp(title, ui->title)) {
        SDL_SetWindowTitle(ui->window, title);
        strcpy(ui->title, title);
    }
}

// The guest draws the pointer where it can place it; where both would be seen, the host's is hidden.
static void update_cursor(struct sdl_ui *ui)
{
    SDL_ShowCursor(ui->context.options->show_cursor || !(ui->grabbed || ui->absolute));
    if (ui->context.options->show_cursor || ui->absolute || !ui->grabbed)
        SDL_SetRelativeMouseMode(SDL_FALSE);
    else
        SDL_SetRelativeMouseMode(SDL_TRUE);
}

static void set_grab(struct sdl_ui *ui, bool on)
{
    ui->grabbed = on;
    SDL_SetWindowKeyboardGrab(ui->window, on);
    SDL_SetWindowMouseGrab(ui->window, on && !ui->absolute);
    update_cursor(ui);
}

static void apply_zoom(struct sdl_ui *ui)
{
    if (ui->full_screen || !ui->zoom || !ui->width)
        return;
    ui->asked_w = (int)ui->width * ui->zoom / 100;
    ui->asked_h = (int)ui->height * ui->zoom / 100;
    SDL_SetWindowSize(ui->window, ui->asked_w, ui->asked_h);
    ui->redraw = true;
}

static void set_full_screen(struct sdl_ui *ui, bool on)
{
    if (SDL_SetWindowFullscreen(ui->window, on ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0))
        return;
    ui->full_screen = on;
    ui->redraw = true;
    set_grab(ui, on);
    apply_zoom(ui); // the guest may have changed its mode meanwhile
}

static void change_zoom(struct sdl_ui *ui, int by)
{
    int w, h;

    SDL_GetWindowSize(ui->window, &w, &h);
    if (!ui->zoom && ui->width)
        ui->zoom = w * 100 / (int)ui->width / ZOOM_STEP * ZOOM_STEP;
    ui->zoom = by ? SDL_clamp(ui->zoom + by, ZOOM_MIN, ZOOM_MAX) : 100;
    apply_zoom(ui);
}

// --- keys

// With this key press: SDL_GetModState() tells of the last event that arrived, which may be the modifiers' release.
static bool grab_mod_held(const struct sdl_ui *ui, const SDL_KeyboardEvent *k)
{
    static const SDL_Keymod needed[] = {
        [GRAB_LCTRL_LALT] = KMOD_LCTRL | KMOD_LALT,
        [GRAB_LSHIFT_LCTRL_LALT] = KMOD_LSHIFT | KMOD_LCTRL | KMOD_LALT,
        [GRAB_RCTRL] = KMOD_RCTRL,
    };
    SDL_Keymod need = needed[ui->context.options->grab_mod];

    return (k->keysym.mod & need) == need;
}

static bool hotkey(struct sdl_ui *ui, SDL_Scancode code)
{
    switch (code) {
    case SDL_SCANCODE_F: set_full_screen(ui, !ui->full_screen); break;
    case SDL_SCANCODE_G: set_grab(ui, !ui->grabbed); break;
    case SDL_SCANCODE_U:
    case SDL_SCANCODE_0: change_zoom(ui, 0); break;
    case SDL_SCANCODE_EQUALS:
    case SDL_SCANCODE_KP_PLUS: change_zoom(ui, ZOOM_STEP); break;
    case SDL_SCANCODE_MINUS:
    case SDL_SCANCODE_KP_MINUS: change_zoom(ui, -ZOOM_STEP); break;
    default: return false;
    }
    return true;
}

static void on_key(struct sdl_ui *ui, const SDL_KeyboardEvent *k)
{
    SDL_Scancode code = k->keysym.scancode;
    bool down = k->state == SDL_PRESSED;
    uint16_t set1 = sdl_key_to_set1(code);

    if (k->repeat) // the guest's keyboard repeats by itself, at the rate the guest chose
        return;
    if (ui->swallow_hotkey && code == ui->swallowed) {
        if (!down)
            ui->swallow_hotkey = false;
        return;
    }
    if (down && grab_mod_held(ui, k) && hotkey(ui, code)) {
        ui->swallow_hotkey = true;
        ui->swallowed = code;
        return;
    }
    if (!set1)
        return;
    big_lock();
    input_key(ui->context.input, set1, down);
    big_unlock();
}

// --- mouse

static void on_motion(struct sdl_ui *ui, const SDL_MouseMotionEvent *m)
{
    unsigned x, y;

    if (!ui->absolute && !ui->grabbed)
        return;
    sdl_canvas_locate(ui->canvas, m->x, m->y, &x, &y);
    big_lock();
    if (input_wants_absolute(ui->context.input))
        input_move_to(ui->context.input, x, y);
    else if (ui->grabbed)
        input_move(ui->context.input, m->xrel, m->yrel);
    big_unlock();
}

static void on_button(struct sdl_ui *ui, const SDL_MouseButtonEvent *b)
{
    static const unsigned buttons[] = {
        [SDL_BUTTON_LEFT] = INPUT_LEFT, [SDL_BUTTON_MIDDLE] = INPUT_MIDDLE, [SDL_BUTTON_RIGHT] = INPUT_RIGHT,
        [SDL_BUTTON_X1] = INPUT_SIDE,   [SDL_BUTTON_X2] = INPUT_EXTRA,
    };
    bool down = b->state == SDL_PRESSED;
    unsigned x, y;

    if (!ui->grabbed && !ui->absolute) { // the first click takes the mouse
        if (down && b->button == SDL_BUTTON_LEFT)
            set_grab(ui, true);
        return;
    }
    if (b->button >= SDL_arraysize(buttons) || !buttons[b->button])
        return;
    sdl_canvas_locate(ui->canvas, b->x, b->y, &x, &y);
    big_lock();
    if (input_wants_absolute(ui->context.input))
        input_move_to(ui->context.input, x, y);
    input_buttons(ui->context.input, buttons[b->button], down);
    big_unlock();
}

static void on_wheel(struct sdl_ui *ui, const SDL_MouseWheelEvent *w)
{
    int away = w->direction == SDL_MOUSEWHEEL_FLIPPED ? -w->y : w->y;

    if (!ui->grabbed && !ui->absolute)
        return;
    big_lock();
    input_wheel(ui->context.input, -away);
    big_unlock();
}

// --- window

static void let_go(struct sdl_ui *ui)
{
    if (ui->grabbed && !ui->full_screen)
        set_grab(ui, false);
    ui->swallow_hotkey = false;
    big_lock();
    input_release_all(ui->context.input);
    big_unlock();
}

// The first time the guest is asked by its power button; whoever asks again, or a guest that cannot hear,
// ends it.
static void on_close(struct sdl_ui *ui)
{
    struct runstate *rs = ui->context.runstate;
    bool ask;

    if (ui->context.options->no_close)
        return;
    big_lock();
    ask = !ui->close_asked && runstate_running(rs) && ui->context.hears_power_button(ui->context.opaque);
    big_unlock();
    ui->close_asked = true;
    if (ask)
        runstate_powerdown(rs);
    else
        runstate_shutdown(rs, RUN_CAUSE_HOST_UI, 0);
}

static void on_window(struct sdl_ui *ui, const SDL_WindowEvent *w)
{
    int now_w, now_h;

    switch (w->event) {
    case SDL_WINDOWEVENT_SIZE_CHANGED: // several may wait: only the last size counts
        SDL_GetWindowSize(ui->window, &now_w, &now_h);
        if (!ui->full_screen && (now_w != ui->asked_w || now_h != ui->asked_h))
            ui->zoom = 0;
        ui->redraw = true;
        break;
    case SDL_WINDOWEVENT_EXPOSED:
    case SDL_WINDOWEVENT_SHOWN:
    case SDL_WINDOWEVENT_RESTORED:
        ui->hidden = false;
        ui->redraw = true;
        break;
    case SDL_WINDOWEVENT_MINIMIZED:
    case SDL_WINDOWEVENT_HIDDEN: ui->hidden = true; break;
    case SDL_WINDOWEVENT_FOCUS_LOST: let_go(ui); break;
    case SDL_WINDOWEVENT_CLOSE: on_close(ui); break;
    }
}

static void on_event(struct sdl_ui *ui, const SDL_Event *ev)
{
    switch (ev->type) {
    case SDL_KEYDOWN:
    case SDL_KEYUP: on_key(ui, &ev->key); break;
    case SDL_MOUSEMOTION: on_motion(ui, &ev->motion); break;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP: on_button(ui, &ev->button); break;
    case SDL_MOUSEWHEEL: on_wheel(ui, &ev->wheel); break;
    case SDL_WINDOWEVENT: on_window(ui, &ev->window); break;
    case SDL_RENDER_TARGETS_RESET:
    case SDL_RENDER_DEVICE_RESET: ui->redraw = true; break;
    default: return;
    }
    ui->busy_until = SDL_GetTicks() + BUSY_FOR_MS;
}

// --- refresh

static void refresh(struct sdl_ui *ui)
{
    struct display_frame frame;
    struct display_rect dirty;
    bool running, absolute, resized;

    big_lock();
    running = runstate_running(ui->context.runstate);
    absolute = input_wants_absolute(ui->context.input);
    display_read(ui->reader, &frame, &dirty);
    resized = frame.width != ui->width || frame.height != ui->height;
    ui->width = frame.width;
    ui->height = frame.height;
    if (dirty.w && !sdl_canvas_take(ui->canvas, &frame, &dirty))
        dirty.w = 0;
    big_unlock();

    if (absolute != ui->absolute) {
        ui->absolute = absolute;
        set_grab(ui, ui->grabbed && !absolute);
    }
    update_title(ui, running);
    if (resized) {
        ui->redraw = true;
        apply_zoom(ui);
    }
    if (dirty.w)
        ui->busy_until = SDL_GetTicks() + BUSY_FOR_MS;
    if (!ui->hidden)
        sdl_canvas_show(ui->canvas, ui->redraw);
    ui->redraw = false;
}

static void run(struct sdl_ui *ui)
{
    uint32_t next = SDL_GetTicks();
    SDL_Event ev;

    while (!ui->stopping) {
        int32_t wait = (int32_t)(next - SDL_GetTicks());

        if (SDL_WaitEventTimeout(&ev, wait > 0 ? wait : 1)) {
            do
                on_event(ui, &ev);
            while (SDL_PollEvent(&ev));
            if (next - SDL_GetTicks() > BUSY_MS && next > SDL_GetTicks())
                next = SDL_GetTicks(); // what was done may be seen at once
        }
        if ((int32_t)(next - SDL_GetTicks()) > 0)
            continue;
        refresh(ui);
        next = SDL_GetTicks() + (ui->hidden                                       ? HIDDEN_MS
                                 : (int32_t)(ui->busy_until - SDL_GetTicks()) > 0 ? BUSY_MS
                                                                                  : IDLE_MS);
    }
}

// --- life

static int open_window(struct sdl_ui *ui)
{
    static const char *const hints[][2] = {
        {SDL_HINT_NO_SIGNAL_HANDLERS, "1"}, // main.c has them
        {SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1"},
        {SDL_HINT_FRAMEBUFFER_ACCELERATION, "0"}, // gl=on is the user's choice
        {SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0"},
        {SDL_HINT_GRAB_KEYBOARD, "1"},
        {SDL_HINT_MOUSE_RELATIVE_SCALING, "0"},
    };
    const struct display_options *o = ui->context.options;

    for (unsigned i = 0; i < SDL_arraysize(hints); i++)
        SDL_SetHint(hints[i][0], hints[i][1]);
    if (SDL_InitSubSystem(SDL_INIT_VIDEO))
        return -EIO;
    SDL_StopTextInput(); // keys are places here, not text
    SDL_EventState(SDL_DROPFILE, SDL_DISABLE);
    ui->asked_w = 640;
    ui->asked_h = 480;
    ui->window = SDL_CreateWindow("ring3", SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, 640, 480,
                                  SDL_WINDOW_RESIZABLE | (o->full_screen ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0));
    if (!ui->window || !(ui->canvas = sdl_canvas_create(ui->window, o->scaling, o->gl)))
        return -EIO;
    big_lock();
    ui->reader = display_reader_new(ui->context.screen);
    big_unlock();
    if (!ui->reader)
        return SDL_OutOfMemory();
    update_title(ui, true);
    ui->full_screen = o->full_screen;
    if (ui->full_screen)
        set_grab(ui, true);
    return 0;
}

static void close_window(struct sdl_ui *ui)
{
    if (ui->reader) {
        big_lock();
        display_reader_free(ui->reader);
        big_unlock();
    }
    if (ui->window && ui->grabbed)
        set_grab(ui, false);
    sdl_canvas_destroy(ui->canvas);
    if (ui->window)
        SDL_DestroyWindow(ui->window);
    SDL_QuitSubSystem(SDL_INIT_VIDEO);
    if (!SDL_WasInit(0)) // the sound may go on
        SDL_Quit();
}

static void *window_thread(void *opaque)
{
    struct sdl_ui *ui = opaque;

    pthread_setname_np(pthread_self(), "sdl");
    ui->zoom = 100;
    ui->redraw = true;
    ui->error = open_window(ui);
    if (ui->error)
        snprintf(ui->error_text, sizeof(ui->error_text), "%s", SDL_GetError());
    sem_post(&ui->started);
    if (!ui->error)
        run(ui);
    close_window(ui);
    return NULL;
}

static int start(const struct display_context *c, void **state, struct err *e)
{
    struct sdl_ui *ui = calloc(1, sizeof(*ui));
    int ret;

    if (!ui)
        return err_set(e, "out of memory");
    ui->context = *c;
    sem_init(&ui->started, 0, 0);
    ret = pthread_create(&ui->thread, NULL, window_thread, ui);
    if (ret) {
        free(ui);
        return err_set(e, "-display sdl: %s", strerror(ret));
    }
    while (sem_wait(&ui->started) && errno == EINTR)
        continue;
    if (ui->error) {
        pthread_join(ui->thread, NULL);
        ret = err_set(e, "-display sdl: no window can be opened: %s", ui->error_text);
        sem_destroy(&ui->started);
        free(ui);
        return ret;
    }
    *state = ui;
    return 0;
}

static void stop(void *state)
{
    struct sdl_ui *ui = state;
    SDL_Event wake = {.type = SDL_USEREVENT};

    ui->stopping = true;
    SDL_PushEvent(&wake);
    pthread_join(ui->thread, NULL);
    sem_destroy(&ui->started);
    free(ui);
}

// --- options

static int parse_choice(struct keyval *kv, const char *key, const char *const *names, unsigned n, int *out,
                        struct err *e)
{
    const char *v = keyval_get(kv, key);

    if (!v)
        return 0;
    for (unsigned i = 0; i < n; i++)
        if (!strcmp(v, names[i])) {
            *out = (int)i;
            return 0;
        }
    return err_set(e, "-display sdl: %s=%.40s: expected %s%s%s%s%s", key, v, names[0], n > 2 ? ", " : "",
                   n > 2 ? names[1] : "", " or ", names[n - 1]);
}

static int parse(struct display_options *o, struct keyval *kv, struct err *e)
{
    static const char *const mods[] = {"lctrl-lalt", "lshift-lctrl-lalt", "rctrl"};
    static const char *const scalings[] = {"smooth", "nearest", "integer"};
    int mod = GRAB_LCTRL_LALT, scaling = SCALING_SMOOTH;
    bool close = true;

    if (keyval_get_bool(kv, "gl", &o->gl, e) || keyval_get_bool(kv, "window-close", &close, e) ||
        keyval_get_bool(kv, "show-cursor", &o->show_cursor, e) ||
        keyval_get_bool(kv, "full-screen", &o->full_screen, e) ||
        parse_choice(kv, "grab-mod", mods, SDL_arraysize(mods), &mod, e) ||
        parse_choice(kv, "scaling", scalings, SDL_arraysize(scalings), &scaling, e))
        return -EINVAL;
    o->no_close = !close;
    o->grab_mod = (enum display_grab_mod)mod;
    o->scaling = (enum display_scaling)scaling;
    return 0;
}

const struct display_ops display_sdl = {
    .name = "sdl",
    .help = "a window, by SDL2: gl=on|off (off), grab-mod=lctrl-lalt|lshift-lctrl-lalt|rctrl, "
            "window-close=on|off (on), show-cursor=on|off (off), full-screen=on|off, "
            "scaling=smooth|nearest|integer",
    .window = true,
    .parse = parse,
    .start = start,
    .stop = stop,
};
