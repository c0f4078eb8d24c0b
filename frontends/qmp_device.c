// SPDX-License-Identifier: MIT
// QMP commands for keyboard, mouse, screen and removable media.
#include "frontends/qmp_internal.h"

#include "frontends/drives.h"
#include "frontends/machine.h"
#include "frontends/screendump.h"
#include "hw/input.h"

#include <string.h>

enum { KEYS_MAX = 64, HOLD_MS = 100, HOLD_MAX_MS = 60000 };

// --- keyboard and mouse

// A KeyValue: {"type": "number", "data": SCANCODE} or {"type": "qcode", "data": NAME}. 0, after an error: neither.
static uint16_t key_value(struct qmp_call *c, const cJSON *key)
{
    const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(key, "type"));
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(key, "data");
    uint16_t code = 0;

    if (!cJSON_IsObject(key) || !type || !data)
        qmp_fail(c, "Parameter '%s' is missing", !type ? "type" : "data");
    else if (!strcmp(type, "number") && cJSON_IsNumber(data))
        code = data->valuedouble > 0 && data->valuedouble < 256 ? (uint16_t)data->valuedouble : 0;
    else if (!strcmp(type, "qcode") && cJSON_IsString(data))
        code = input_key_by_name(data->valuestring, strlen(data->valuestring));
    // A number is a set 1 code with bit 7 for the extended keys; Pause has one of its own.
    if (code & 0x80 && code < 0x100)
        code = code == 0xc6 ? 0xe11d : (uint16_t)(0xe000 | (code & 0x7f));
    if (!code && !c->error_class)
        qmp_fail(c, "Invalid parameter '%.60s'", cJSON_IsString(data) ? data->valuestring : type);
    return code;
}

static void cmd_send_key(struct qmp_call *c)
{
    const cJSON *keys = cJSON_GetObjectItemCaseSensitive(c->args, "keys"), *key;
    int64_t hold = qmp_integer(c, "hold-time", HOLD_MS);
    uint16_t codes[KEYS_MAX];
    unsigned n = 0;

    cJSON_ArrayForEach(key, keys)
    {
        if (n == KEYS_MAX) {
            qmp_fail(c, "too many keys");
            return;
        }
        codes[n] = key_value(c, key);
        if (!codes[n++])
            return;
    }
    if (hold < 0 || hold > HOLD_MAX_MS)
        hold = hold < 0 ? HOLD_MS : HOLD_MAX_MS;
    if (n && input_press_together(c->machine->input, codes, n, (unsigned)hold))
        qmp_fail(c, "the keyboard's queue is full");
}

// One InputEvent, checked first (send false), so that nothing of a bad list takes effect.
struct input_event {
    enum { EVENT_KEY, EVENT_BUTTON, EVENT_REL, EVENT_ABS } kind;
    uint16_t key;
    unsigned button; // INPUT_*
    int wheel;
    bool down, is_y;
    int64_t value;
};

static bool parse_button(const char *name, struct input_event *ev)
{
    static const struct {
        const char *name;
        unsigned button;
        int wheel;
    } buttons[] = {
        {"left", INPUT_LEFT, 0}, {"middle", INPUT_MIDDLE, 0}, {"right", INPUT_RIGHT, 0}, {"wheel-up", 0, -1},
        {"wheel-down", 0, 1},    {"side", INPUT_SIDE, 0},     {"extra", INPUT_EXTRA, 0},
    };

    for (unsigned i = 0; name && i < ARRAY_SIZE(buttons); i++)
        if (!strcmp(buttons[i].name, name)) {
            ev->button = buttons[i].button;
            ev->wheel = buttons[i].wheel;
            return true;
        }
    return false;
}

static bool parse_event(struct qmp_call *c, const cJSON *event, struct input_event *ev)
{
    static const char *const kinds[] = {"key", "btn", "rel", "abs"};
    const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(event, "type"));
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(event, "data"),
                *down = cJSON_GetObjectItemCaseSensitive(data, "down"),
                *value = cJSON_GetObjectItemCaseSensitive(data, "value");
    const char *axis = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(data, "axis"));
    unsigned kind = 0;
    bool ok = true;

    *ev = (struct input_event){.down = cJSON_IsTrue(down)};
    while (type && kind < ARRAY_SIZE(kinds) && strcmp(kinds[kind], type))
        kind++;
    if (!type || kind == ARRAY_SIZE(kinds) || !cJSON_IsObject(data)) {
        qmp_fail(c, !type ? "Parameter 'type' is missing" : "Invalid parameter 'type' or 'data' of an input event");
        return false;
    }
    ev->kind = kind;
    if (kind == EVENT_KEY) {
        ev->key = key_value(c, cJSON_GetObjectItemCaseSensitive(data, "key"));
        ok = ev->key && cJSON_IsBool(down);
    } else if (kind == EVENT_BUTTON) {
        ok = cJSON_IsBool(down) &&
             parse_button(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(data, "button")), ev);
    } else {
        ok = axis && (!strcmp(axis, "x") || !strcmp(axis, "y")) && cJSON_IsNumber(value) &&
             value->valuedouble >= -(1 << 20) && value->valuedouble <= 1 << 20;
        ev->is_y = ok && *axis == 'y';
        ev->value = ok ? (int64_t)value->valuedouble : 0;
    }
    if (!ok && !c->error_class)
        qmp_fail(c, "Invalid parameter 'data' of an input event of type '%s'", type);
    return ok;
}

static void send_event(struct input *in, const struct input_event *ev)
{
    switch (ev->kind) {
    case EVENT_KEY: input_key(in, ev->key, ev->down); break;
    case EVENT_BUTTON:
        if (ev->button)
            input_buttons(in, ev->button, ev->down);
        else if (ev->down)
            input_wheel(in, ev->wheel);
        break;
    case EVENT_REL: input_move(in, ev->is_y ? 0 : (int)ev->value, ev->is_y ? (int)ev->value : 0); break;
    case EVENT_ABS: break; // both axes at once, below
    }
}

static void cmd_input_send_event(struct qmp_call *c)
{
    enum { EVENTS_MAX = 256 };
    const cJSON *events = cJSON_GetObjectItemCaseSensitive(c->args, "events"), *event;
    struct input *in = c->machine->input;
    struct input_event list[EVENTS_MAX];
    int64_t at[2] = {-1, -1};
    unsigned n = 0, x, y;

    cJSON_ArrayForEach(event, events)
    {
        if (n == EVENTS_MAX) {
            qmp_fail(c, "too many input events");
            return;
        }
        if (!parse_event(c, event, &list[n++]))
            return;
    }
    // The place first: a click in the same list is meant to be there.
    input_position(in, &x, &y);
    for (unsigned i = 0; i < n; i++)
        if (list[i].kind == EVENT_ABS)
            at[list[i].is_y] = list[i].value < 0 ? 0 : list[i].value > INPUT_ABS_MAX ? INPUT_ABS_MAX : list[i].value;
    if (at[0] >= 0 || at[1] >= 0)
        input_move_to(in, at[0] >= 0 ? (unsigned)at[0] : x, at[1] >= 0 ? (unsigned)at[1] : y);
    for (unsigned i = 0; i < n; i++)
        send_event(in, &list[i]);
}

// --- screen

static void cmd_screendump(struct qmp_call *c)
{
    struct err e;

    if (qmp_string(c, "device"))
        qmp_fail_class(c, "DeviceNotFound", "Device '%.60s' not found", qmp_string(c, "device"));
    else if (screendump_write(c->machine->screen, qmp_string(c, "filename"), qmp_string(c, "format"), &e))
        qmp_fail(c, "%s", e.text);
}

// --- removable media

// "device" is the drive's id, "id" its device's; either will do. NULL after an error.
static const char *find_drive(struct qmp_call *c)
{
    const char *name = qmp_string(c, "id") ? qmp_string(c, "id") : qmp_string(c, "device");

    if (!name)
        qmp_fail(c, "Either 'device' or 'id' must be given"); // as no row can say it
    else if (drives_by_id(c->machine->devices, name))
        return name;
    else
        qmp_fail_class(c, "DeviceNotFound", "Device '%.60s' not found", name);
    return NULL;
}

static void cmd_eject(struct qmp_call *c)
{
    const char *id = find_drive(c);
    struct err e;

    if (id && drives_eject(c->machine->devices, id, qmp_bool(c, "force", false), &e))
        qmp_fail(c, "%s", e.text);
}

static void cmd_blockdev_change_medium(struct qmp_call *c)
{
    const char *id = find_drive(c), *format = qmp_string(c, "format"), *mode = qmp_string(c, "read-only-mode");
    struct err e;

    if (!id)
        return;
    if (format && strcmp(format, "raw"))
        qmp_fail(c, "Unknown driver '%.60s'", format);
    else if (mode && strcmp(mode, "retain") && strcmp(mode, "read-only") && strcmp(mode, "read-write"))
        qmp_fail(c, "Invalid parameter '%.60s'", mode);
    else if (drives_change(c->machine->devices, id, qmp_string(c, "filename"), qmp_bool(c, "force", false), &e))
        qmp_fail(c, "%s", e.text);
}

const struct qmp_command qmp_device_commands[] = {
    {"send-key", "keys:a,hold-time:i?", cmd_send_key},
    {"input-send-event", "events:a,device:s?,head:i?", cmd_input_send_event},
    {"screendump", "filename:s,device:s?,head:i?,format:s?", cmd_screendump},
    {"eject", "device:s?,id:s?,force:b?", cmd_eject},
    {"blockdev-change-medium", "device:s?,id:s?,filename:s,format:s?,force:b?,read-only-mode:s?",
     cmd_blockdev_change_medium},
    {NULL, NULL, NULL},
};
