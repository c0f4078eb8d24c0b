// SPDX-License-Identifier: MIT
// VMware's backdoor port 5658h: its version, and the absolute pointer ("vmmouse").
//
// The pointer's data are a queue of 32-bit words, of which the guest asks how many wait and takes up to six at
// once. It only works beside a PS/2 mouse, whose interrupt says that there is something to take.
#include "hw/vmport.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "hw/input.h"

enum { VMPORT = 0x5658, VMPORT_MAGIC = 0x564d5868 };
enum {
    CMD_VERSION = 0x0a,
    CMD_UUID = 0x13,
    CMD_RAM_SIZE = 0x14,
    CMD_TIME = 0x17,
    CMD_POINTER_DATA = 0x27,
    CMD_POINTER_STATUS = 0x28,
    CMD_POINTER_COMMAND = 0x29,
};
enum { VERSION = 6, PRODUCT_SERVER = 2, RAM_SIZE_EBX = 0x1177 };
// Arguments of CMD_POINTER_COMMAND. "READ" also enables.
enum {
    POINTER_READ_ID = 0x45414552,
    POINTER_DISABLE = 0xf5,
    POINTER_RELATIVE = 0x4c455252,
    POINTER_ABSOLUTE = 0x53424152,
    POINTER_ID = 0x3442554a
};
enum { BUTTON_LEFT = 0x20, BUTTON_RIGHT = 0x10, BUTTON_MIDDLE = 0x08 };
enum { QUEUE_WORDS = 1024, PACKET_WORDS = 4, MOST_WORDS = 6, DISABLED = 0xffff0000 };

struct vmport {
    struct vmport_config cfg;
    uint32_t queue[QUEUE_WORDS];
    unsigned head, count;
    bool enabled, absolute;
};

static uint32_t get(struct vmport *v, enum vmport_reg reg) { return v->cfg.get_reg(v->cfg.opaque, reg); }
static void set(struct vmport *v, enum vmport_reg reg, uint32_t x) { v->cfg.set_reg(v->cfg.opaque, reg, x); }

// --- the pointer

static void push(struct vmport *v, uint32_t word) { v->queue[(v->head + v->count++) % QUEUE_WORDS] = word; }

static uint32_t pop(struct vmport *v)
{
    uint32_t word = v->queue[v->head];

    v->head = (v->head + 1) % QUEUE_WORDS;
    v->count--;
    return word;
}

static bool has_room(void *opaque) { return ((struct vmport *)opaque)->count + PACKET_WORDS <= QUEUE_WORDS; }

static void on_pointer(void *opaque, const struct input_pointer *p)
{
    struct vmport *v = opaque;
    uint32_t buttons = 0;

    if (!has_room(v))
        return;
    if (p->buttons & INPUT_LEFT)
        buttons |= BUTTON_LEFT;
    if (p->buttons & INPUT_RIGHT)
        buttons |= BUTTON_RIGHT;
    if (p->buttons & INPUT_MIDDLE)
        buttons |= BUTTON_MIDDLE;
    push(v, buttons);
    push(v, p->x * 2u | (p->x & 1u)); // 0 to FFFFh
    push(v, p->y * 2u | (p->y & 1u));
    push(v, (uint32_t)p->dz);
    v->cfg.poke(v->cfg.opaque);
}

static const struct input_pointer_ops pointer_ops = {.has_room = has_room, .pointer = on_pointer};

static void set_mode(struct vmport *v, bool enabled, bool absolute)
{
    bool was = v->enabled && v->absolute, is = enabled && absolute;

    v->enabled = enabled;
    v->absolute = absolute;
    if (was != is && v->cfg.input)
        input_set_absolute(v->cfg.input, is ? &pointer_ops : NULL, v);
}

static uint32_t pointer_status(struct vmport *v) { return v->enabled ? v->count : DISABLED; }

static uint32_t pointer_data(struct vmport *v)
{
    // In the order of the words.
    static const enum vmport_reg regs[MOST_WORDS] = {VMPORT_EAX, VMPORT_EBX, VMPORT_ECX,
                                                     VMPORT_EDX, VMPORT_ESI, VMPORT_EDI};
    unsigned n = get(v, VMPORT_EBX);
    uint32_t eax = 0;

    if (n == 0 || n > MOST_WORDS || n > v->count) {
        log_printf(LOG_guest_errors, "vmport: %u words of the pointer asked for, there are %u", n, v->count);
        set_mode(v, false, false); // the driver starts over
        return UINT32_MAX;
    }
    for (unsigned i = 0; i < n; i++) {
        uint32_t word = pop(v);
        if (i == 0)
            eax = word;
        else
            set(v, regs[i], word);
    }
    if (v->absolute)
        input_device_ready(v->cfg.input);
    return eax;
}

static void pointer_command(struct vmport *v)
{
    switch (get(v, VMPORT_EBX)) {
    case POINTER_READ_ID:
        v->head = v->count = 0;
        push(v, POINTER_ID);
        set_mode(v, true, false);
        break;
    case POINTER_DISABLE:
        v->count = 0;
        set_mode(v, false, false);
        break;
    case POINTER_RELATIVE: set_mode(v, v->enabled, false); break;
    case POINTER_ABSOLUTE: set_mode(v, v->enabled, true); break;
    }
}

// --- the port

static uint32_t uuid_word(const struct vmport *v, unsigned n)
{
    uint32_t word;
    memcpy(&word, v->cfg.uuid + 4 * n, 4);
    return word;
}

static uint32_t command(struct vmport *v, uint16_t cmd)
{
    struct timespec now;

    switch (cmd) {
    case CMD_VERSION:
        set(v, VMPORT_EBX, VMPORT_MAGIC);
        set(v, VMPORT_ECX, PRODUCT_SERVER);
        return VERSION;
    case CMD_UUID:
        set(v, VMPORT_EBX, uuid_word(v, 1));
        set(v, VMPORT_ECX, uuid_word(v, 2));
        set(v, VMPORT_EDX, uuid_word(v, 3));
        return uuid_word(v, 0);
    case CMD_RAM_SIZE: set(v, VMPORT_EBX, RAM_SIZE_EBX); return (uint32_t)v->cfg.ram_size;
    case CMD_TIME: // seconds, microseconds, largest time lag in microseconds
        clock_gettime(CLOCK_REALTIME, &now);
        set(v, VMPORT_EBX, (uint32_t)(now.tv_nsec / 1000));
        set(v, VMPORT_ECX, 1000000);
        return (uint32_t)now.tv_sec;
    case CMD_POINTER_DATA: return v->cfg.input ? pointer_data(v) : UINT32_MAX;
    case CMD_POINTER_STATUS: return v->cfg.input ? pointer_status(v) : UINT32_MAX;
    case CMD_POINTER_COMMAND:
        if (!v->cfg.input)
            return UINT32_MAX;
        pointer_command(v);
        return get(v, VMPORT_EAX);
    default: log_printf(LOG_unimp, "vmport: command %02x", cmd); return UINT32_MAX;
    }
}

static uint64_t vmport_read(void *opaque, uint64_t offset, unsigned size)
{
    struct vmport *v = opaque;

    // A port like any other for those who do not know the number.
    if (offset || size != 4 || get(v, VMPORT_EAX) != VMPORT_MAGIC)
        return UINT32_MAX;
    return command(v, (uint16_t)get(v, VMPORT_ECX));
}

// Some callers use OUT; then EAX, too, comes back as a register.
static void vmport_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct vmport *v = opaque;

    if (!offset && size == 4 && (uint32_t)value == VMPORT_MAGIC)
        set(v, VMPORT_EAX, command(v, (uint16_t)get(v, VMPORT_ECX)));
}

static const struct io_ops vmport_ops = {.read = vmport_read, .write = vmport_write, .min_size = 1, .max_size = 4};

void vmport_reset(struct vmport *v)
{
    v->head = v->count = 0;
    set_mode(v, false, false);
}

struct vmport *vmport_create(const struct vmport_config *cfg)
{
    struct vmport *v = calloc(1, sizeof(*v));

    if (!v)
        return NULL;
    v->cfg = *cfg;
    if (!as_map_io(cfg->ports, "vmport", VMPORT, 4, &vmport_ops, v, 0)) {
        free(v);
        return NULL;
    }
    return v;
}
