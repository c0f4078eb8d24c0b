// SPDX-License-Identifier: MIT
// A PS/2 mouse with a wheel (ids 0, 3 and 4).
// IBM PS/2 Hardware Interface Technical Reference (1990), "Mouse"; the wheel is Microsoft's IntelliMouse way.
#include "hw/ps2.h"

// clang-format off
enum {
    MOUSE_SCALING_1 = 0xe6, MOUSE_SCALING_2 = 0xe7, MOUSE_RESOLUTION = 0xe8, MOUSE_STATUS = 0xe9,
    MOUSE_STREAM = 0xea, MOUSE_READ = 0xeb, MOUSE_END_WRAP = 0xec, MOUSE_WRAP = 0xee, MOUSE_REMOTE = 0xf0,
    MOUSE_IDENTIFY = 0xf2, MOUSE_RATE = 0xf3, MOUSE_ENABLE = 0xf4, MOUSE_DISABLE = 0xf5, MOUSE_DEFAULTS = 0xf6,
    MOUSE_RESEND = 0xfe, MOUSE_RESET = 0xff,
};
// clang-format on
enum { ID_PLAIN = 0, ID_WHEEL = 3, ID_EXPLORER = 4, PACKET_MAX = 4 };
// How much movement may wait: what a guest that reads slowly still gets to see.
enum { BACKLOG = 4096 };

static void answer(struct ps2_mouse *m, uint8_t v) { ps2_queue_push(&m->out, v); }

static void defaults(struct ps2_mouse *m)
{
    m->out.count = 0;
    m->reporting = m->remote = m->scaling = false;
    m->resolution = 2; // 4 counts a millimetre
    m->rate = 100;
    m->dx = m->dy = m->dz = 0;
    m->changed = false;
}

void ps2_mouse_reset(struct ps2_mouse *m)
{
    *m = (struct ps2_mouse){.id = ID_PLAIN};
    defaults(m);
}

static int take(int *backlog, int limit)
{
    int v = *backlog > limit ? limit : *backlog < -limit ? -limit : *backlog;
    *backlog -= v;
    return v;
}

// "Set Scaling 2:1": in stream mode small counts are damped and large ones doubled.
static int scale(const struct ps2_mouse *m, int v)
{
    static const uint8_t small[] = {0, 1, 1, 3, 6, 9};
    int size = v < 0 ? -v : v;

    if (!m->scaling || m->remote)
        return v;
    size = size < (int)sizeof(small) ? small[size] : 2 * size;
    return v < 0 ? -size : size;
}

static void send_packet(struct ps2_mouse *m)
{
    int limit = m->scaling && !m->remote ? 127 : 255;
    int x = scale(m, take(&m->dx, limit)), y = scale(m, take(&m->dy, limit)), z = take(&m->dz, 7);

    answer(m, (uint8_t)(0x08 | (m->buttons & 7) | (x < 0 ? 0x10 : 0) | (y < 0 ? 0x20 : 0)));
    answer(m, (uint8_t)x);
    answer(m, (uint8_t)y);
    if (m->id == ID_WHEEL)
        answer(m, (uint8_t)z);
    else if (m->id == ID_EXPLORER)
        answer(m, (uint8_t)((z & 15) | (m->buttons & 0x18) << 1));
    else
        m->dz = 0;
    m->changed = m->dx || m->dy || m->dz;
}

static void report(struct ps2_mouse *m)
{
    while (m->changed && m->reporting && !m->remote && !m->wrap && ps2_queue_has_room(&m->out, PACKET_MAX))
        send_packet(m);
}

static void set_rate(struct ps2_mouse *m, uint8_t v)
{
    m->rate = v;
    m->knock[0] = m->knock[1];
    m->knock[1] = m->knock[2];
    m->knock[2] = v;
    if (m->knock[0] == 200 && m->knock[1] == 100 && m->knock[2] == 80)
        m->id = ID_WHEEL;
    else if (m->knock[0] == 200 && m->knock[1] == 200 && m->knock[2] == 80)
        m->id = ID_EXPLORER;
}

static void send_status(struct ps2_mouse *m)
{
    answer(m, (uint8_t)((m->remote ? 0x40 : 0) | (m->reporting ? 0x20 : 0) | (m->scaling ? 0x10 : 0) |
                        (m->buttons & 1 ? 4 : 0) | (m->buttons & 4 ? 2 : 0) | (m->buttons & 2 ? 1 : 0)));
    answer(m, m->resolution);
    answer(m, m->rate);
}

static void write_command(struct ps2_mouse *m, uint8_t v)
{
    answer(m, PS2_ACK);
    switch (v) {
    case MOUSE_SCALING_1: m->scaling = false; break;
    case MOUSE_SCALING_2: m->scaling = true; break;
    case MOUSE_RESOLUTION:
    case MOUSE_RATE: m->command = v; break;
    case MOUSE_STATUS: send_status(m); break;
    case MOUSE_STREAM: m->remote = false; break;
    case MOUSE_READ: send_packet(m); break;
    case MOUSE_END_WRAP: m->wrap = false; break;
    case MOUSE_WRAP: m->wrap = true; break;
    case MOUSE_REMOTE: m->remote = true; break;
    case MOUSE_IDENTIFY: answer(m, m->id); break;
    case MOUSE_ENABLE: m->reporting = true; break;
    case MOUSE_DISABLE: m->reporting = false; break;
    case MOUSE_DEFAULTS:
        defaults(m);
        answer(m, PS2_ACK);
        break;
    case MOUSE_RESET:
        ps2_mouse_reset(m);
        answer(m, PS2_ACK);
        answer(m, PS2_BAT_OK);
        answer(m, m->id);
        break;
    default: // not a command: ask for it again
        m->out.count--;
        answer(m, v == MOUSE_RESEND ? m->last : PS2_RESEND);
        break;
    }
}

void ps2_mouse_write(struct ps2_mouse *m, uint8_t v)
{
    uint8_t command = m->command;
    // A command cuts off what was being sent; this also keeps room for its answer.
    if (m->out.count >= PS2_EVENTS)
        m->out.count = 0;
    if (m->wrap && v != MOUSE_END_WRAP && v != MOUSE_RESET) {
        answer(m, v);
        return;
    }
    m->command = 0;
    if (command == MOUSE_RATE && v < MOUSE_SCALING_1) {
        set_rate(m, v);
        answer(m, PS2_ACK);
    } else if (command == MOUSE_RESOLUTION && v < MOUSE_SCALING_1) {
        m->resolution = v & 3;
        answer(m, PS2_ACK);
    } else {
        write_command(m, v);
    }
}

bool ps2_mouse_ready(const struct ps2_mouse *m) { return m->out.count > 0; }

uint8_t ps2_mouse_read(struct ps2_mouse *m)
{
    m->last = (uint8_t)ps2_queue_pop(&m->out);
    report(m); // there may be room for what waited
    return m->last;
}

static void add(int *backlog, int v)
{
    v = v > BACKLOG ? BACKLOG : v < -BACKLOG ? -BACKLOG : v;
    *backlog += v;
    *backlog = *backlog > BACKLOG ? BACKLOG : *backlog < -BACKLOG ? -BACKLOG : *backlog;
}

void ps2_mouse_event(struct ps2_mouse *m, int dx, int dy, int dz, unsigned buttons)
{
    if (!m->reporting && !m->remote)
        return;
    add(&m->dx, dx);
    add(&m->dy, dy < -BACKLOG ? BACKLOG : -dy); // the mouse counts upwards
    add(&m->dz, dz);
    m->changed |= dx || dy || dz || m->buttons != (uint8_t)buttons;
    m->buttons = (uint8_t)buttons;
    report(m);
}

bool ps2_mouse_has_room(const struct ps2_mouse *m)
{
    return !m->reporting || m->remote || m->wrap || (!m->changed && ps2_queue_has_room(&m->out, PACKET_MAX));
}

void ps2_mouse_poke(struct ps2_mouse *m)
{
    m->changed = true;
    report(m);
}
