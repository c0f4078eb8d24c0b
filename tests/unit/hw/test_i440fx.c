// SPDX-License-Identifier: MIT
// The 440FX's PAM registers in all four modes, and SMRAM: data sheet 290549-001, sections 3.2.18 and 3.2.20.
#include "hw/i440fx.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/check_main.h"

static struct address_space *mem, *ports;
static struct ram ram, rom;
static struct i440fx *bridge;

static void cfg_write(unsigned at, uint8_t v)
{
    as_store(ports, 0xcf8, 0x80000000u | (at & 0xfc), 4);
    as_store(ports, 0xcfc + (at & 3), v, 1);
}

static uint8_t cfg_read(unsigned at)
{
    as_store(ports, 0xcf8, 0x80000000u | (at & 0xfc), 4);
    return (uint8_t)as_load(ports, 0xcfc + (at & 3), 1);
}

static void setup(void)
{
    struct pci_bus_config pc = {0};
    struct i440fx_config ic = {.ram = &ram, .rom = &rom};

    ck_assert_int_eq(ram_create(&ram, 2 << 20), 0);
    ck_assert_int_eq(ram_create(&rom, 256 << 10), 0);
    memset(rom.base, 0xb1, rom.size);
    memset(ram.base, 0x33, ram.size);
    mem = as_create("memory", 1ull << 32);
    ports = as_create("ports", 65536);
    as_map_ram(mem, "low", 0, 0xa0000, &ram, 0, false, 0);
    as_map_ram(mem, "bios", 0xe0000, 0x20000, &rom, 0x20000, true, -2);
    pc.mem = ic.mem = mem;
    pc.ports = ports;
    ic.bus = pci_bus_create(&pc);
    bridge = i440fx_create(&ic);
    ck_assert_ptr_nonnull(bridge);
}

static void teardown(void)
{
    as_destroy(mem);
    as_destroy(ports);
    ram_destroy(&ram);
    ram_destroy(&rom);
}

// What a segment shows and where a store to it goes.
static void check(gpa at, uint8_t shows, bool ram_written)
{
    uint8_t before = ram.base[at], v = (uint8_t)(before + 0x11);

    ck_assert_uint_eq(as_load(mem, at, 1), shows);
    as_store(mem, at, v, 1);
    ck_assert_uint_eq(ram.base[at], ram_written ? v : before);
    ck_assert_uint_eq(rom.base[rom.size - 0x20000 + (at & 0x1ffff)], 0xb1);
    ram.base[at] = before;
}

START_TEST(four_modes)
{
    static const struct {
        gpa at;
        unsigned reg, shift;
        uint8_t below;
    } segments[] = {
        {0xf1234, 0x59, 4, 0xb1}, {0xc0010, 0x5a, 0, 0xff}, {0xc4010, 0x5a, 4, 0xff},
        {0xd8010, 0x5d, 0, 0xff}, {0xe0010, 0x5e, 0, 0xb1}, {0xec010, 0x5f, 4, 0xb1},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(segments); i++) {
        gpa at = segments[i].at;
        uint8_t below = segments[i].below;

        check(at, below, false); // after reset
        cfg_write(segments[i].reg, (uint8_t)(1 << segments[i].shift));
        check(at, 0x33, false); // reads from RAM
        cfg_write(segments[i].reg, (uint8_t)(2 << segments[i].shift));
        check(at, below, true); // writes to RAM
        as_write(mem, at, "dma", 3);
        ck_assert_mem_eq(ram.base + at, "dma", 3);
        memset(ram.base + at, 0x33, 3);
        cfg_write(segments[i].reg, (uint8_t)(3 << segments[i].shift));
        check(at, 0x33, true);
        cfg_write(segments[i].reg, 0);
        check(at, below, false);
    }
}
END_TEST

// A firmware that runs from the ROM copies it to where it is: then the RAM shows the same.
START_TEST(shadow_copy)
{
    cfg_write(0x59, 0x20);
    for (gpa at = 0xf0000; at < 0x100000; at += 4)
        as_store(mem, at, as_load(mem, at, 4), 4);
    cfg_write(0x59, 0x10);
    ck_assert_uint_eq(as_load(mem, 0xfabcd, 1), 0xb1);
    ck_assert_uint_eq(ram.base[0xfabcd], 0xb1);
    i440fx_reset(bridge);
    ck_assert_uint_eq(cfg_read(0x59), 0);
}
END_TEST

START_TEST(smram)
{
    enum { G_SMRAME = 8, D_LCK = 0x10, D_CLS = 0x20, D_OPEN = 0x40 };

    ck_assert_uint_eq(as_load(mem, 0xa8000, 1), 0xff);
    cfg_write(0x72, G_SMRAME);
    ck_assert_uint_eq(as_load(mem, 0xa8000, 1), 0xff);
    i440fx_set_smm(bridge, true);
    ck_assert_uint_eq(as_load(mem, 0xa8000, 1), 0x33);
    i440fx_set_smm(bridge, false);
    ck_assert_uint_eq(as_load(mem, 0xa8000, 1), 0xff);
    cfg_write(0x72, G_SMRAME | D_OPEN);
    ck_assert_uint_eq(as_load(mem, 0xa8000, 1), 0x33);
    cfg_write(0x72, D_OPEN); // disabled as a whole
    ck_assert_uint_eq(as_load(mem, 0xa8000, 1), 0xff);
    cfg_write(0x72, G_SMRAME | D_OPEN | D_LCK); // the lock closes it
    ck_assert_uint_eq(as_load(mem, 0xa8000, 1), 0xff);
    cfg_write(0x72, G_SMRAME | D_OPEN);
    ck_assert_uint_eq(cfg_read(0x72) & (D_OPEN | D_LCK | G_SMRAME), D_LCK | G_SMRAME);
    i440fx_set_smm(bridge, true);
    ck_assert_uint_eq(as_load(mem, 0xa8000, 1), 0x33);
    i440fx_reset(bridge);
    ck_assert_uint_eq(as_load(mem, 0xa8000, 1), 0xff);
    cfg_write(0x72, G_SMRAME | D_OPEN); // not locked any more
    ck_assert_uint_eq(as_load(mem, 0xa8000, 1), 0x33);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("i440fx");
    TCase *t = tcase_create("i440fx");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, four_modes);
    tcase_add_test(t, shadow_copy);
    tcase_add_test(t, smram);
    suite_add_tcase(s, t);
    return check_main(s);
}
