// SPDX-License-Identifier: MIT
// Tests of hw/vmport.c, as a guest's driver speaks to it.
#include "hw/vmport.h"

#include "hw/input.h"
#include "tests/unit/hw/harness.h"

enum { MAGIC = 0x564d5868, PORT = 0x5658 };

static uint32_t reg[6];
static struct input *input;
static struct vmport *port;
static unsigned pokes;
static const uint8_t uuid[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static uint32_t get_reg(void *opaque, enum vmport_reg r) { return reg[r]; }
static void set_reg(void *opaque, enum vmport_reg r, uint32_t v) { reg[r] = v; }
static void poke(void *opaque) { pokes++; }

static void start(void)
{
    const struct vmport_config cfg = {.ports = ports,
                                      .ram_size = 512 << 20,
                                      .uuid = uuid,
                                      .input = input = input_create(),
                                      .get_reg = get_reg,
                                      .set_reg = set_reg,
                                      .poke = poke};
    port = vmport_create(&cfg);
}

static uint32_t call(uint16_t command, uint32_t ebx)
{
    reg[VMPORT_EAX] = MAGIC;
    reg[VMPORT_EBX] = ebx;
    reg[VMPORT_ECX] = 0xabcd0000 | command;
    reg[VMPORT_EDX] = PORT;
    return reg[VMPORT_EAX] = inl(PORT);
}

static void enable(void)
{
    call(0x29, 0x45414552);
    ck_assert_uint_eq(call(0x28, 0), 1);
    ck_assert_uint_eq(call(0x27, 1), 0x3442554a);
    call(0x29, 0x53424152);
}

START_TEST(version_and_facts)
{
    start();
    ck_assert_uint_eq(call(0x0a, 0), 6);
    ck_assert_uint_eq(reg[VMPORT_EBX], MAGIC);
    ck_assert_uint_eq(reg[VMPORT_ECX], 2);
    ck_assert_uint_eq(call(0x14, 0), 512 << 20);
    ck_assert_uint_eq(call(0x13, 0), 0x04030201);
    ck_assert_uint_eq(reg[VMPORT_EDX], 0x100f0e0d);
    ck_assert_uint_eq(call(0x55, 0), 0xffffffff);
    reg[VMPORT_EAX] = 0x12345678; // no magic
    ck_assert_uint_eq(inl(PORT), 0xffffffff);
    ck_assert_uint_eq(inb(PORT), 0xff);
}
END_TEST

START_TEST(pointer_moves)
{
    start();
    ck_assert(!input_wants_absolute(input));
    ck_assert_uint_eq(call(0x28, 0) & 0xffff0000, 0xffff0000); // not enabled
    enable();
    ck_assert(input_wants_absolute(input));
    ck_assert_uint_eq(call(0x28, 0), 0);
    input_move_to(input, 0, INPUT_ABS_MAX);
    ck_assert_uint_eq(pokes, 1);
    ck_assert_uint_eq(call(0x28, 0), 4);
    ck_assert_uint_eq(call(0x27, 4), 0);
    ck_assert_uint_eq(reg[VMPORT_EBX], 0);
    ck_assert_uint_eq(reg[VMPORT_ECX], 0xffff);
    ck_assert_uint_eq(reg[VMPORT_EDX], 0);
    input_buttons(input, INPUT_LEFT | INPUT_MIDDLE, true);
    ck_assert_uint_eq(call(0x27, 1), 0x28);
    ck_assert_uint_eq(call(0x27, 3), 0); // the rest, in other portions
    ck_assert_uint_eq(reg[VMPORT_EBX], 0xffff);
    input_wheel(input, -1);
    ck_assert_uint_eq(call(0x27, 4), 0x28);
    ck_assert_uint_eq(reg[VMPORT_EDX], 0xffffffff);
    call(0x29, 0x4c455252); // relative
    ck_assert(!input_wants_absolute(input));
    call(0x29, 0x53424152);
    ck_assert(input_wants_absolute(input));
    vmport_reset(port);
    ck_assert(!input_wants_absolute(input));
}
END_TEST

START_TEST(a_flood_is_bounded_and_order_is_kept)
{
    start();
    enable();
    for (unsigned i = 0; i < 10000; i++) {
        input_move_to(input, i % 0x7fff, 0);
        input_buttons(input, INPUT_LEFT, i & 1); // so that movements are not merged
    }
    ck_assert_uint_eq(call(0x28, 0), 1024);
    for (unsigned i = 0; i < 256; i++)
        call(0x27, 4);
    ck_assert_uint_ge(call(0x28, 0), 4); // the input queue went on
}
END_TEST

START_TEST(asking_for_too_much)
{
    start();
    enable();
    ck_assert_uint_eq(call(0x27, 1), 0xffffffff); // nothing there: switched off
    ck_assert_uint_eq(call(0x28, 0) & 0xffff0000, 0xffff0000);
    ck_assert(!input_wants_absolute(input));
    enable();
    ck_assert_uint_eq(call(0x27, 0), 0xffffffff);
    enable();
    ck_assert_uint_eq(call(0x27, 0xffffffff), 0xffffffff);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        version_and_facts,
        pointer_moves,
        a_flood_is_bounded_and_order_is_kept,
        asking_for_too_much,
    };
    return bench_main("vmport", tests, ARRAY_SIZE(tests));
}
