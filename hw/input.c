// SPDX-License-Identifier: MIT
// The way of keys and pointer movements to the guest's devices: two bounded queues and who drains them.
//
// Keys and pointer wait apart, since a guest without a mouse driver never drains the latter. Keys are never
// merged. Pointer movements that wait are added up as long as no button changes between them, so that a
// guest that is slow to read sees where the pointer is and every click, not the way there.
#include "hw/input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/loop.h"

enum { KEY_QUEUE = 4096, POINTER_QUEUE = 256, KEY_INDICES = 3 * 128 };
enum { MAX_DELTA = 1 << 20, MAX_HOLD_MS = 60000 };

// scancode 0: no key, but a pause before the next.
struct key_event {
    uint16_t scancode;
    bool down;
    uint32_t pause_ms;
};

struct input {
    const struct input_keyboard_ops *keyboard;
    const struct input_pointer_ops *relative, *absolute;
    void *keyboard_opaque, *relative_opaque, *absolute_opaque;
    struct key_event keys[KEY_QUEUE];
    struct input_pointer pointers[POINTER_QUEUE];
    unsigned key_head, key_count, pointer_head, pointer_count;
    struct loop_timer *pause;
    unsigned x, y, buttons;    // after the last event in the queue
    bool is_down[KEY_INDICES]; // likewise
    bool draining;             // a device's callback may say at once that it is ready again
};

// --- to the devices

static void drain_keys(struct input *in)
{
    while (in->key_count && !loop_timer_pending(in->pause)) {
        struct key_event k = in->keys[in->key_head];

        if (k.scancode && in->keyboard && !in->keyboard->has_room(in->keyboard_opaque))
            return;
        in->key_head = (in->key_head + 1) % KEY_QUEUE;
        in->key_count--;
        if (!k.scancode)
            loop_timer_mod(in->pause, clock_now_ns() + k.pause_ms * 1000000ull);
        else if (in->keyboard)
            in->keyboard->key(in->keyboard_opaque, k.scancode, k.down);
    }
}

static void drain_pointers(struct input *in)
{
    while (in->pointer_count) {
        struct input_pointer p = in->pointers[in->pointer_head];
        const struct input_pointer_ops *ops = p.absolute ? in->absolute : in->relative;
        void *opaque = p.absolute ? in->absolute_opaque : in->relative_opaque;

        if (ops && !ops->has_room(opaque))
            return;
        in->pointer_head = (in->pointer_head + 1) % POINTER_QUEUE;
        in->pointer_count--;
        if (ops)
            ops->pointer(opaque, &p);
    }
}

void input_device_ready(struct input *in)
{
    if (in->draining || !(in->key_count | in->pointer_count))
        return;
    in->draining = true;
    drain_keys(in);
    drain_pointers(in);
    in->draining = false;
}

static void on_pause_over(void *opaque) { input_device_ready(opaque); }

struct input *input_create(void)
{
    struct input *in = calloc(1, sizeof(*in));

    if (in && !(in->pause = loop_timer_new(on_pause_over, in))) {
        free(in);
        return NULL;
    }
    return in;
}

void input_destroy(struct input *in)
{
    if (!in)
        return;
    loop_timer_free(in->pause);
    free(in);
}

void input_set_keyboard(struct input *in, const struct input_keyboard_ops *ops, void *opaque)
{
    in->keyboard = ops;
    in->keyboard_opaque = opaque;
    input_device_ready(in);
}

void input_set_relative(struct input *in, const struct input_pointer_ops *ops, void *opaque)
{
    in->relative = ops;
    in->relative_opaque = opaque;
    input_device_ready(in);
}

void input_set_absolute(struct input *in, const struct input_pointer_ops *ops, void *opaque)
{
    in->absolute = ops;
    in->absolute_opaque = opaque;
    input_device_ready(in);
}

void input_reset(struct input *in)
{
    in->key_count = in->pointer_count = in->buttons = 0;
    memset(in->is_down, 0, sizeof(in->is_down));
    loop_timer_del(in->pause);
}

// --- from the sources

bool input_wants_absolute(const struct input *in) { return in->absolute; }

// Of is_down; KEY_INDICES if there is no such key.
static unsigned key_index(uint16_t scancode)
{
    static const uint8_t prefixes[] = {0x00, 0xe0, 0xe1};

    for (unsigned i = 0; i < ARRAY_SIZE(prefixes); i++)
        if (scancode >> 8 == prefixes[i] && (scancode & 0xff) && !(scancode & 0x80))
            return i * 128 + (scancode & 0x7f);
    return KEY_INDICES;
}

static uint16_t key_at(unsigned index)
{
    static const uint16_t prefixes[] = {0x0000, 0xe000, 0xe100};

    return (uint16_t)(prefixes[index / 128] | index % 128);
}

static void push_key(struct input *in, struct key_event k)
{
    in->keys[(in->key_head + in->key_count++) % KEY_QUEUE] = k;
    if (k.scancode)
        in->is_down[key_index(k.scancode)] = k.down;
}

bool input_key(struct input *in, uint16_t scancode, bool down)
{
    unsigned index = key_index(scancode);

    if (index == KEY_INDICES)
        return false;
    // All else leaves room for the releases of what is down: no key may stay stuck.
    if (in->key_count >= KEY_QUEUE - (down || !in->is_down[index] ? KEY_INDICES : 0))
        return false;
    push_key(in, (struct key_event){.scancode = scancode, .down = down});
    input_device_ready(in);
    return true;
}

unsigned input_key_room(const struct input *in)
{
    return in->key_count < KEY_QUEUE - KEY_INDICES ? KEY_QUEUE - KEY_INDICES - in->key_count : 0;
}

static int clamp_delta(long long v) { return (int)(v > MAX_DELTA ? MAX_DELTA : v < -MAX_DELTA ? -MAX_DELTA : v); }

static bool push_pointer(struct input *in, struct input_pointer p)
{
    struct input_pointer *last = NULL;

    if (in->pointer_count)
        last = &in->pointers[(in->pointer_head + in->pointer_count - 1) % POINTER_QUEUE];
    if (last && last->absolute == p.absolute && last->buttons == p.buttons) {
        p.dx = clamp_delta((long long)last->dx + p.dx);
        p.dy = clamp_delta((long long)last->dy + p.dy);
        p.dz = clamp_delta((long long)last->dz + p.dz);
        *last = p;
    } else if (in->pointer_count < POINTER_QUEUE) {
        in->pointers[(in->pointer_head + in->pointer_count++) % POINTER_QUEUE] = p;
    } else {
        last->buttons = in->buttons = p.buttons; // a click is lost, but no button stays stuck
        return false;
    }
    in->buttons = p.buttons;
    input_device_ready(in);
    return true;
}

// An absolute device keeps its place while only wheel or buttons change.
static struct input_pointer pointer_now(struct input *in)
{
    struct input_pointer p = {.absolute = in->absolute, .x = in->x, .y = in->y, .buttons = in->buttons};

    return p;
}

bool input_move(struct input *in, int dx, int dy)
{
    struct input_pointer p = {.dx = clamp_delta(dx), .dy = clamp_delta(dy), .buttons = in->buttons};

    return push_pointer(in, p);
}

void input_position(const struct input *in, unsigned *x, unsigned *y)
{
    *x = in->x;
    *y = in->y;
}

bool input_move_to(struct input *in, unsigned x, unsigned y)
{
    struct input_pointer p;

    in->x = x < INPUT_ABS_MAX ? x : INPUT_ABS_MAX;
    in->y = y < INPUT_ABS_MAX ? y : INPUT_ABS_MAX;
    p = pointer_now(in);
    p.absolute = true;
    return push_pointer(in, p);
}

bool input_wheel(struct input *in, int dz)
{
    struct input_pointer p = pointer_now(in);

    p.dz = clamp_delta(dz);
    return push_pointer(in, p);
}

bool input_buttons(struct input *in, unsigned mask, bool down)
{
    struct input_pointer p = pointer_now(in);

    p.buttons = down ? in->buttons | mask : in->buttons & ~mask;
    return p.buttons == in->buttons || push_pointer(in, p);
}

void input_release_all(struct input *in)
{
    for (unsigned i = 0; i < KEY_INDICES; i++)
        if (in->is_down[i])
            input_key(in, key_at(i), false);
    input_buttons(in, in->buttons, false);
}

int input_press_together(struct input *in, const uint16_t *scancodes, unsigned n, unsigned hold_ms)
{
    for (unsigned i = 0; i < n; i++)
        if (key_index(scancodes[i]) == KEY_INDICES)
            return -EINVAL;
    if (n > KEY_QUEUE / 4 || in->key_count + 2 * n + 1 > KEY_QUEUE - KEY_INDICES)
        return -ENOSPC;
    for (unsigned i = 0; i < n; i++)
        push_key(in, (struct key_event){.scancode = scancodes[i], .down = true});
    push_key(in, (struct key_event){.pause_ms = hold_ms < MAX_HOLD_MS ? hold_ms : MAX_HOLD_MS});
    for (unsigned i = n; i-- > 0;)
        push_key(in, (struct key_event){.scancode = scancodes[i]});
    input_device_ready(in);
    return 0;
}

// --- names

// QEMU's names (its QKeyCode). Where several names share a code the first is the one that is given back.
static const struct key_name {
    const char *name;
    uint16_t scancode;
} key_names[] = {
// clang-format off
#define X(name, scancode) { #name, scancode },
// clang-format on
#include "hw/input_keys.def"
#undef X
};

uint16_t input_key_by_name(const char *name, size_t len)
{
    uint32_t v = 0;

    for (size_t i = 0; i < ARRAY_SIZE(key_names); i++)
        if (strlen(key_names[i].name) == len && !memcmp(key_names[i].name, name, len))
            return key_names[i].scancode;
    if (len < 3 || len > 6 || name[0] != '0' || (name[1] != 'x' && name[1] != 'X'))
        return 0;
    for (size_t i = 2; i < len; i++) {
        char c = name[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                                : 16;

        if (digit == 16)
            return 0;
        v = v << 4 | digit;
    }
    if (v >= 0x81 && v <= 0xff) // QEMU's numbers: the upper bit stands for E0h
        v = 0xe000 | (v & 0x7f);
    return key_index((uint16_t)v) == KEY_INDICES ? 0 : (uint16_t)v;
}

const char *input_key_name(uint16_t scancode)
{
    for (size_t i = 0; i < ARRAY_SIZE(key_names); i++)
        if (key_names[i].scancode == scancode)
            return key_names[i].name;
    return NULL;
}
