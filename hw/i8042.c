// SPDX-License-Identifier: MIT
// The 8042 keyboard controller with a PS/2 keyboard and a PS/2 wheel mouse behind it.
//
// One output buffer serves three sources: the controller's own answers, then the keyboard, then the mouse.
// It is refilled as soon as the guest has read it; the interrupt line drops at the read and rises with the
// next byte, so that each byte gives one edge.
#include "hw/i8042.h"

#include <stdlib.h>

#include "base/loop.h"
#include "hw/ps2.h"

enum { STATUS_OBF = 0x01, STATUS_SYS = 0x04, STATUS_CMD = 0x08, STATUS_UNLOCKED = 0x10, STATUS_AUX = 0x20 };
enum {
    CTR_KBD_INT = 0x01,
    CTR_AUX_INT = 0x02,
    CTR_SYS = 0x04,
    CTR_KBD_DISABLED = 0x10,
    CTR_AUX_DISABLED = 0x20,
    CTR_TRANSLATE = 0x40,
};
// clang-format off
enum {
    CMD_READ_RAM = 0x20, CMD_WRITE_RAM = 0x60, CMD_TEST_PASSWORD = 0xa4, CMD_DISABLE_AUX = 0xa7,
    CMD_ENABLE_AUX = 0xa8, CMD_TEST_AUX = 0xa9, CMD_SELF_TEST = 0xaa, CMD_TEST_KBD = 0xab,
    CMD_DISABLE_KBD = 0xad, CMD_ENABLE_KBD = 0xae, CMD_READ_INPUT = 0xc0, CMD_READ_OUTPUT = 0xd0,
    CMD_WRITE_OUTPUT = 0xd1,
    CMD_WRITE_KBD_BUFFER = 0xd2, CMD_WRITE_AUX_BUFFER = 0xd3, CMD_WRITE_AUX = 0xd4, CMD_A20_OFF = 0xdd,
    CMD_A20_ON = 0xdf, CMD_TEST_INPUTS = 0xe0, CMD_PULSE = 0xf0,
};
// clang-format on
enum { OUTPUT_NO_RESET = 0x01, OUTPUT_A20 = 0x02, OUTPUT_OBF = 0x10, OUTPUT_AUX_OBF = 0x20, OUTPUT_IDLE = 0xcc };
enum { RAM_SIZE = 32, NO_PASSWORD = 0xf1, SELF_TEST_OK = 0x55 };

struct i8042 {
    struct i8042_config cfg;
    struct ps2_kbd kbd;
    struct ps2_mouse mouse;
    uint8_t ram[RAM_SIZE]; // byte 0 is the command byte
    uint8_t status;        // without OBF and AUX, which follow full and full_aux
    uint8_t command;       // waiting for data at port 60h
    uint8_t output_port;   // reset and A20 only
    uint8_t data;          // the output buffer
    bool full, full_aux;
    bool breaking; // translation swallowed an F0h
    uint8_t reply;
    bool reply_waits, reply_aux;
    struct loop_timer *typematic;
};

static uint8_t *ctr(struct i8042 *k) { return &k->ram[0]; }

static void update_irqs(struct i8042 *k)
{
    irq_set(&k->cfg.irq_kbd, k->full && !k->full_aux && *ctr(k) & CTR_KBD_INT);
    irq_set(&k->cfg.irq_aux, k->full && k->full_aux && *ctr(k) & CTR_AUX_INT);
}

static void fill(struct i8042 *k, uint8_t v, bool aux)
{
    k->data = v;
    k->full = true;
    k->full_aux = aux;
}

// The next byte of the keyboard that the guest is to see; false if translation left none.
static bool kbd_next(struct i8042 *k, uint8_t *out)
{
    while (ps2_kbd_ready(&k->kbd)) {
        uint8_t v = ps2_kbd_read(&k->kbd);
        if (!(*ctr(k) & CTR_TRANSLATE)) {
            *out = v;
            return true;
        }
        if (v == 0xf0) {
            k->breaking = true;
            continue;
        }
        *out = ps2_kbd_translate(v) | (k->breaking && v != 0xe0 && v != 0xe1 ? 0x80 : 0);
        k->breaking = false;
        return true;
    }
    return false;
}

static void refill(struct i8042 *k)
{
    uint8_t v;
    if (!k->full) {
        if (k->reply_waits) {
            k->reply_waits = false;
            fill(k, k->reply, k->reply_aux);
        } else if (!(*ctr(k) & CTR_KBD_DISABLED) && kbd_next(k, &v)) {
            fill(k, v, false);
        } else if (!(*ctr(k) & CTR_AUX_DISABLED) && ps2_mouse_ready(&k->mouse)) {
            fill(k, ps2_mouse_read(&k->mouse), true);
        }
    }
    update_irqs(k);
}

static void reply(struct i8042 *k, uint8_t v, bool aux)
{
    k->reply = v;
    k->reply_aux = aux;
    k->reply_waits = true;
}

static void set_a20(struct i8042 *k, bool on)
{
    k->output_port = (uint8_t)(on ? k->output_port | OUTPUT_A20 : k->output_port & ~OUTPUT_A20);
    if (k->cfg.set_a20)
        k->cfg.set_a20(k->cfg.opaque, on);
}

static void machine_reset(struct i8042 *k)
{
    if (k->cfg.reset)
        k->cfg.reset(k->cfg.opaque);
}

static void write_output_port(struct i8042 *k, uint8_t v)
{
    set_a20(k, v & OUTPUT_A20);
    if (!(v & OUTPUT_NO_RESET))
        machine_reset(k);
}

// --- ports

static void write_command(struct i8042 *k, uint8_t v)
{
    k->command = 0;
    switch (v) {
    case CMD_TEST_PASSWORD: reply(k, NO_PASSWORD, false); break;
    case CMD_DISABLE_AUX: *ctr(k) |= CTR_AUX_DISABLED; break;
    case CMD_ENABLE_AUX: *ctr(k) &= (uint8_t)~CTR_AUX_DISABLED; break;
    case CMD_TEST_AUX: reply(k, k->cfg.no_aux ? 0xff : 0, false); break;
    case CMD_SELF_TEST:
        k->status |= STATUS_SYS;
        *ctr(k) |= CTR_SYS;
        reply(k, SELF_TEST_OK, false);
        break;
    case CMD_TEST_KBD: reply(k, 0, false); break;
    case CMD_DISABLE_KBD: *ctr(k) |= CTR_KBD_DISABLED; break;
    case CMD_ENABLE_KBD: *ctr(k) &= (uint8_t)~CTR_KBD_DISABLED; break;
    case CMD_READ_INPUT: reply(k, 0x80, false); break; // keyboard not locked
    case CMD_READ_OUTPUT:
        reply(k,
              (uint8_t)(OUTPUT_IDLE | k->output_port | (k->full && !k->full_aux ? OUTPUT_OBF : 0) |
                        (k->full && k->full_aux ? OUTPUT_AUX_OBF : 0)),
              false);
        break;
    case CMD_WRITE_OUTPUT:
    case CMD_WRITE_KBD_BUFFER:
    case CMD_WRITE_AUX_BUFFER:
    case CMD_WRITE_AUX: k->command = v; break;
    case CMD_A20_OFF: set_a20(k, false); break;
    case CMD_A20_ON: set_a20(k, true); break;
    case CMD_TEST_INPUTS: reply(k, 0, false); break;
    default:
        if (v >= CMD_READ_RAM && v < CMD_READ_RAM + RAM_SIZE)
            reply(k, k->ram[v - CMD_READ_RAM], false);
        else if (v >= CMD_WRITE_RAM && v < CMD_WRITE_RAM + RAM_SIZE)
            k->command = v;
        else if (v >= CMD_PULSE && !(v & OUTPUT_NO_RESET))
            machine_reset(k); // pulses the output bits that are 0 in the command; bit 0 is the reset line
        break;
    }
}

static void write_data(struct i8042 *k, uint8_t v)
{
    uint8_t command = k->command;
    k->command = 0;
    switch (command) {
    case 0:
        *ctr(k) &= (uint8_t)~CTR_KBD_DISABLED; // sending to the keyboard opens its clock line
        ps2_kbd_write(&k->kbd, v);
        break;
    case CMD_WRITE_OUTPUT: write_output_port(k, v); break;
    case CMD_WRITE_KBD_BUFFER: reply(k, v, false); break;
    case CMD_WRITE_AUX_BUFFER: reply(k, v, true); break;
    case CMD_WRITE_AUX:
        if (!k->cfg.no_aux) {
            *ctr(k) &= (uint8_t)~CTR_AUX_DISABLED;
            ps2_mouse_write(&k->mouse, v);
        } else {
            reply(k, PS2_RESEND, true); // nobody answered in time
        }
        break;
    default:
        k->ram[(command - CMD_WRITE_RAM) % RAM_SIZE] = v;
        if (command == CMD_WRITE_RAM)
            k->status = (uint8_t)((k->status & ~STATUS_SYS) | (v & CTR_SYS ? STATUS_SYS : 0));
        break;
    }
}

// What waits outside may fit now.
static void input_ready(struct i8042 *k)
{
    if (k->cfg.input)
        input_device_ready(k->cfg.input);
}

static uint64_t i8042_read_data(void *opaque, uint64_t offset, unsigned size)
{
    struct i8042 *k = opaque;
    uint8_t v = k->data; // an empty buffer gives its last byte again
    if (k->full) {
        k->full = false;
        update_irqs(k);
        refill(k);
        input_ready(k);
    }
    return v;
}

static void i8042_write_data(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct i8042 *k = opaque;
    k->status &= (uint8_t)~STATUS_CMD;
    write_data(k, (uint8_t)value);
    refill(k);
    input_ready(k); // a command may have emptied a queue or stopped the keyboard
}

static uint64_t i8042_read_status(void *opaque, uint64_t offset, unsigned size)
{
    struct i8042 *k = opaque;
    return (uint8_t)(k->status | (k->full ? STATUS_OBF : 0) | (k->full && k->full_aux ? STATUS_AUX : 0));
}

static void i8042_write_command(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct i8042 *k = opaque;
    k->status |= STATUS_CMD;
    write_command(k, (uint8_t)value);
    refill(k);
}

static const struct io_ops data_ops = {
    .read = i8042_read_data,
    .write = i8042_write_data,
    .min_size = 1,
    .max_size = 1,
};
static const struct io_ops command_ops = {
    .read = i8042_read_status,
    .write = i8042_write_command,
    .min_size = 1,
    .max_size = 1,
};

// --- input

static void on_typematic(void *opaque)
{
    struct i8042 *k = opaque;
    if (!ps2_kbd_repeating(&k->kbd))
        return;
    ps2_kbd_repeat(&k->kbd);
    refill(k);
    loop_timer_mod(k->typematic, clock_now_ns() + ps2_kbd_period_ns(&k->kbd));
}

void kbd_send_scancode(struct i8042 *k, uint16_t scancode, bool down)
{
    ps2_kbd_key(&k->kbd, scancode, down);
    refill(k);
    if (!ps2_kbd_repeating(&k->kbd))
        loop_timer_del(k->typematic);
    else if (down)
        loop_timer_mod(k->typematic, clock_now_ns() + ps2_kbd_delay_ns(&k->kbd));
}

void mouse_send_event(struct i8042 *k, int dx, int dy, int dz, unsigned buttons)
{
    if (k->cfg.no_aux)
        return;
    ps2_mouse_event(&k->mouse, dx, dy, dz, buttons);
    refill(k);
}

void mouse_poke(struct i8042 *k)
{
    if (k->cfg.no_aux)
        return;
    ps2_mouse_poke(&k->mouse);
    refill(k);
}

unsigned kbd_get_leds(const struct i8042 *k) { return k->kbd.leds; }

static bool kbd_has_room(void *opaque) { return ps2_kbd_has_room(&((struct i8042 *)opaque)->kbd); }
static void kbd_key(void *opaque, uint16_t scancode, bool down) { kbd_send_scancode(opaque, scancode, down); }
static bool mouse_has_room(void *opaque) { return ps2_mouse_has_room(&((struct i8042 *)opaque)->mouse); }
static void mouse_pointer(void *opaque, const struct input_pointer *p)
{
    mouse_send_event(opaque, p->dx, p->dy, p->dz, p->buttons);
}

static const struct input_keyboard_ops keyboard_ops = {.has_room = kbd_has_room, .key = kbd_key};
static const struct input_pointer_ops pointer_ops = {.has_room = mouse_has_room, .pointer = mouse_pointer};

// --- for the board

void i8042_a20_changed(struct i8042 *k, bool enabled)
{
    k->output_port = (uint8_t)(enabled ? k->output_port | OUTPUT_A20 : k->output_port & ~OUTPUT_A20);
}

void i8042_reset(struct i8042 *k)
{
    struct i8042_config cfg = k->cfg;
    struct loop_timer *typematic = k->typematic;
    *k = (struct i8042){
        .cfg = cfg, .typematic = typematic, .status = STATUS_UNLOCKED, .output_port = OUTPUT_NO_RESET | OUTPUT_A20};
    *ctr(k) = CTR_KBD_INT | CTR_AUX_INT;
    ps2_kbd_reset(&k->kbd);
    ps2_mouse_reset(&k->mouse);
    loop_timer_del(typematic);
    if (cfg.input)
        input_reset(cfg.input);
    update_irqs(k);
}

struct i8042 *i8042_create(const struct i8042_config *cfg)
{
    struct i8042 *k = calloc(1, sizeof(*k));
    if (!k)
        return NULL;
    k->cfg = *cfg;
    k->typematic = loop_timer_new(on_typematic, k);
    if (!k->typematic || !as_map_io(cfg->ports, "i8042-data", 0x60, 1, &data_ops, k, 0) ||
        !as_map_io(cfg->ports, "i8042-command", 0x64, 1, &command_ops, k, 0)) {
        if (k->typematic)
            loop_timer_free(k->typematic);
        free(k);
        return NULL;
    }
    i8042_reset(k);
    if (cfg->input) {
        input_set_keyboard(cfg->input, &keyboard_ops, k);
        if (!cfg->no_aux)
            input_set_relative(cfg->input, &pointer_ops, k);
    }
    return k;
}
