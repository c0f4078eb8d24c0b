// SPDX-License-Identifier: MIT
// Monitor commands for keyboard, mouse, screen and removable media.
#include "frontends/monitor_internal.h"

#include "frontends/drives.h"
#include "frontends/machine.h"
#include "frontends/screendump.h"
#include "hw/input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 16, HOLD_MS = 100 };

// --- keyboard

static void cmd_sendkey(struct monitor *mon, const struct monitor_args *args)
{
    const char *keys = monitor_arg_text(args, "keys");
    int64_t hold = monitor_arg_number(args, "hold-time", HOLD_MS);
    uint16_t codes[KEYS_MAX];
    unsigned n = 0;

    for (const char *s = keys;; s++) {
        size_t len = strcspn(s, "-");

        if (!len && *s == '-' && (!s[1] || s[1] == '-')) // the key itself
            len = 1;
        if (n == KEYS_MAX) {
            monitor_printf(mon, "too many keys\n");
            return;
        }
        codes[n] = len == 1 && *s == '<' ? input_key_by_name("less", 4) : input_key_by_name(s, len);
        if (!codes[n++]) {
            monitor_printf(mon, "invalid parameter: %.*s\n", len < 60 ? (int)len : 60, s);
            return;
        }
        s += len;
        if (!*s)
            break;
    }
    if (hold < 0 || input_press_together(mon->machine->input, codes, n, (unsigned)(hold < 60000 ? hold : 60000)))
        monitor_printf(mon, "the keys were not sent\n");
}

// --- mouse

static void cmd_mouse_move(struct monitor *mon, const struct monitor_args *args)
{
    const char *dz = monitor_arg_text(args, "dz_str");
    int wheel = dz ? (int)strtol(dz, NULL, 0) : 0;

    input_move(mon->machine->input, (int)strtol(monitor_arg_text(args, "dx_str"), NULL, 0),
               (int)strtol(monitor_arg_text(args, "dy_str"), NULL, 0));
    if (wheel) // up is away from the user
        input_wheel(mon->machine->input, wheel > 0 ? -1 : 1);
}

static void cmd_mouse_button(struct monitor *mon, const struct monitor_args *args)
{
    static const enum input_button buttons[] = {INPUT_LEFT, INPUT_MIDDLE, INPUT_RIGHT}; // 1, 2, 4
    uint64_t state = (uint64_t)monitor_arg_number(args, "button_state", 0);

    for (unsigned i = 0; i < ARRAY_SIZE(buttons); i++)
        input_buttons(mon->machine->input, buttons[i], state >> i & 1);
}

// --- screen

static void cmd_screendump(struct monitor *mon, const struct monitor_args *args)
{
    const char *format = monitor_arg_text(args, "format");
    struct err e;

    if (screendump_write(mon->machine->screen, monitor_arg_text(args, "filename"), format, &e))
        monitor_printf(mon, "Error: %s\n", e.text);
}

// --- removable media

static bool known_drive(struct monitor *mon, const char *id)
{
    if (drives_by_id(mon->machine->devices, id))
        return true;
    monitor_printf(mon, "Error: Device '%s' not found\n", id);
    return false;
}

static void cmd_eject(struct monitor *mon, const struct monitor_args *args)
{
    const char *id = monitor_arg_text(args, "device");
    struct err e;

    if (known_drive(mon, id) && drives_eject(mon->machine->devices, id, monitor_arg_flag(args, "force"), &e))
        monitor_printf(mon, "Error: %s\n", e.text);
}

static void cmd_change(struct monitor *mon, const struct monitor_args *args)
{
    const char *id = monitor_arg_text(args, "device"), *format = monitor_arg_text(args, "format");
    struct err e;

    if (!known_drive(mon, id))
        return;
    if (format && strcmp(format, "raw"))
        monitor_printf(mon, "Error: Unknown driver '%s'\n", format);
    else if (drives_change(mon->machine->devices, id, monitor_arg_text(args, "filename"),
                           monitor_arg_flag(args, "force"), &e))
        monitor_printf(mon, "Error: %s\n", e.text);
}

const struct monitor_command monitor_device_commands[] = {
    {"eject", "force:-f,device:s", "[-f] device", "eject a removable medium (use -f to force it)", cmd_eject},
    {"change", "force:-f,device:s,filename:s,format:s?", "[-f] device filename [format]",
     "change a removable medium (-f: even if the guest has locked it)", cmd_change},
    {"sendkey", "keys:s,hold-time:l?", "keys [hold_ms]",
     "send keys to the VM (e.g. 'sendkey ctrl-alt-f1', default hold time=100 ms)", cmd_sendkey},
    {"mouse_move", "dx_str:s,dy_str:s,dz_str:s?", "dx dy [dz]", "send mouse move events", cmd_mouse_move},
    {"mouse_button", "button_state:l", "state", "change mouse button state (1=L, 2=M, 4=R)", cmd_mouse_button},
    {"screendump", "filename:s,f:-f,format:s?", "filename [-f format]",
     "save screen into PPM image 'filename' (or PNG, with -f png)", cmd_screendump},
    {NULL, NULL, NULL, NULL, NULL},
};
