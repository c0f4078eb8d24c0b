// SPDX-License-Identifier: MIT
// Fuzzes hw/vmport.c: random registers, or a driver's commands with pointer events between them.
#include "hw/vmport.h"

#include "hw/input.h"
#include "tests/fuzz/fuzz.h"

static uint32_t reg[6];
static struct input *input;
static struct vmport *port;
static const uint8_t uuid[16];

static uint32_t get_reg(void *opaque, enum vmport_reg r) { return reg[r]; }
static void set_reg(void *opaque, enum vmport_reg r, uint32_t v) { reg[r] = v; }
static void poke(void *opaque) {}

static void create(void)
{
    const struct vmport_config cfg = {.ports = ports,
                                      .ram_size = 1 << 30,
                                      .uuid = uuid,
                                      .input = input = input_create(),
                                      .get_reg = get_reg,
                                      .set_reg = set_reg,
                                      .poke = poke};
    port = vmport_create(&cfg);
}

static void reset(void) { vmport_reset(port); }

static void event(uint8_t a, uint8_t b)
{
    static const uint32_t modes[] = {0x45414552, 0xf5, 0x4c455252, 0x53424152};

    if (a & 0x80) {
        input_move_to(input, b << 7, a << 7);
        input_buttons(input, b & 31, a & 1);
        return;
    }
    reg[VMPORT_EAX] = 0x564d5868;
    reg[VMPORT_ECX] = a & 0x40 ? 0x27 + (a & 3) % 3 : a;
    reg[VMPORT_EBX] = (a & 3) == 2 ? modes[b & 3] : b & 7;
    inl(0x5658);
}

static const struct fuzz_target target = {"vmport", {{false, 0x5658, 4}}, create, reset, event, 0};
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_run(&target, data, size); }
