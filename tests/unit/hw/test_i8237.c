// SPDX-License-Identifier: MIT
// Tests of hw/i8237.c.
#include "hw/i8237.h"

#include "tests/unit/hw/harness.h"

#include <string.h>

enum { READ_MODE = 0x48, WRITE_MODE = 0x44, VERIFY_MODE = 0x40, AUTOINIT = 0x10, DOWN = 0x20 };

static struct i8237 *dma;
static unsigned woken;

static void on_ready(void *opaque) { woken++; }

static void start(void)
{
    dma = i8237_create(ports, mem);
    i8237_open_cascade(dma);
}

// Channel 2: a transfer of count + 1 bytes at page:address.
static void program(uint8_t mode, uint8_t page, uint16_t address, uint16_t count)
{
    outb(0x0a, 0x06); // mask channel 2
    outb(0x0c, 0);
    outb(0x0b, mode | 2);
    outb(0x04, (uint8_t)address);
    outb(0x04, (uint8_t)(address >> 8));
    outb(0x81, page);
    outb(0x05, (uint8_t)count);
    outb(0x05, (uint8_t)(count >> 8));
    outb(0x0a, 0x02);
}

static uint16_t get16(uint16_t port)
{
    outb(0x0c, 0);
    uint16_t low = inb(port);
    return (uint16_t)(low | inb(port) << 8);
}

START_TEST(device_to_memory)
{
    static const uint8_t data[] = {1, 2, 3, 4, 5, 6};
    uint8_t *ram = (uint8_t *)bench_ram.base;
    bool tc;

    start();
    program(WRITE_MODE, 0x02, 0x1234, 3);
    ck_assert_uint_eq(i8237_write(dma, 2, data, 2, &tc), 2);
    ck_assert(!tc);
    ck_assert_uint_eq(get16(0x04), 0x1236);
    ck_assert_uint_eq(get16(0x05), 1);
    ck_assert_uint_eq(i8237_write(dma, 2, data + 2, 4, &tc), 2); // not beyond the count
    ck_assert(tc);
    ck_assert_mem_eq(ram + 0x21234, data, 4);
    ck_assert_uint_eq(ram[0x21238], 0);
    ck_assert_uint_eq(get16(0x05), 0xffff);
    ck_assert_uint_eq(inb(0x08) & 0x0f, 0x04); // TC, cleared by the read
    ck_assert_uint_eq(inb(0x08) & 0x0f, 0x00);
    ck_assert_uint_eq(inb(0x0f) & 0x0f, 0x0f); // masked itself
    ck_assert_uint_eq(i8237_write(dma, 2, data, 1, &tc), 0);
}
END_TEST

START_TEST(memory_to_device_down_and_autoinit)
{
    uint8_t *ram = (uint8_t *)bench_ram.base, buf[4];
    bool tc;

    start();
    memcpy(ram + 0x8000, "abcdef", 6);
    program(READ_MODE | AUTOINIT | DOWN, 0x00, 0x8003, 2);
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_eq(i8237_read(dma, 2, buf, 4, &tc), 3);
        ck_assert(tc);
        ck_assert_mem_eq(buf, "dcb", 3);
        ck_assert_uint_eq(get16(0x04), 0x8003);
        ck_assert_uint_eq(get16(0x05), 2);
    }
    ck_assert_uint_eq(inb(0x0f) & 0x04, 0);
}
END_TEST

START_TEST(addresses_wrap_inside_64k)
{
    uint8_t *ram = (uint8_t *)bench_ram.base;
    bool tc;

    start();
    program(WRITE_MODE, 0x03, 0xfffe, 3);
    ck_assert_uint_eq(i8237_write(dma, 2, "wxyz", 4, &tc), 4);
    ck_assert_mem_eq(ram + 0x3fffe, "wx", 2);
    ck_assert_mem_eq(ram + 0x30000, "yz", 2);
    ck_assert_uint_eq(ram[0x40000], 0);
}
END_TEST

START_TEST(words)
{
    uint8_t *ram = (uint8_t *)bench_ram.base;
    bool tc;

    start();
    outb(0xd4, 0x05); // channel 5 masked
    outb(0xd8, 0);
    outb(0xd6, WRITE_MODE | 1);
    outb(0xc4, 0x00); // word address 8000h, page 4: byte 50000h
    outb(0xc4, 0x80);
    outb(0x8b, 0x05); // bit 0 has no line
    outb(0xc6, 0x01);
    outb(0xc6, 0x00);
    outb(0xd4, 0x01);
    ck_assert_uint_eq(i8237_write(dma, 5, "abcdef", 6, &tc), 4);
    ck_assert(tc);
    ck_assert_mem_eq(ram + 0x50000, "abcd\0", 5);
    ck_assert_uint_eq(inb(0xd0) & 0x0f, 0x02);
    outb(0xd4, 0x01);
    ck_assert_uint_eq(i8237_write(dma, 5, "a", 1, &tc), 0); // half a word
}
END_TEST

START_TEST(verify_moves_nothing)
{
    uint8_t *ram = (uint8_t *)bench_ram.base, buf[2] = {0};
    bool tc;

    start();
    program(VERIFY_MODE, 0x00, 0x9000, 3);
    ck_assert_uint_eq(i8237_write(dma, 2, "ab", 2, &tc), 2);
    ck_assert_uint_eq(ram[0x9000], 0);
    ck_assert_uint_eq(i8237_read(dma, 2, buf, 2, &tc), 2);
    ck_assert(tc);
    ck_assert_uint_eq(buf[0], 0xff);
}
END_TEST

START_TEST(who_may_transfer)
{
    bool tc;
    uint8_t buf[2];

    start();
    program(WRITE_MODE, 0x00, 0x9000, 99);
    ck_assert_uint_eq(i8237_read(dma, 2, buf, 1, &tc), 0); // the other direction
    outb(0x08, 0x04);                                      // controller disabled
    ck_assert_uint_eq(i8237_write(dma, 2, "a", 1, &tc), 0);
    outb(0x08, 0x00);
    ck_assert_uint_eq(i8237_write(dma, 2, "a", 1, &tc), 1);
    outb(0xd4, 0x04); // the cascade is masked
    ck_assert_uint_eq(i8237_write(dma, 2, "a", 1, &tc), 0);
    outb(0xd4, 0x00);
    ck_assert_uint_eq(i8237_write(dma, 2, "a", 1, &tc), 1);
    outb(0x0b, 0xc2); // cascade mode
    ck_assert_uint_eq(i8237_write(dma, 2, "a", 1, &tc), 0);
    ck_assert_uint_eq(i8237_write(dma, 4, "a", 1, &tc), 0);
    ck_assert_uint_eq(i8237_write(dma, 8, "a", 1, &tc), 0);
    outb(0xda, 0); // master clear: everything masked, so the cascade, too
    outb(0x0b, WRITE_MODE | 2);
    ck_assert_uint_eq(i8237_write(dma, 2, "a", 1, &tc), 0);
}
END_TEST

START_TEST(a_waiting_device_is_woken)
{
    start();
    i8237_connect(dma, 2, on_ready, NULL);
    outb(0x0a, 0x06);
    program(WRITE_MODE, 0x00, 0x9000, 9);
    ck_assert_uint_eq(woken, 0); // no DREQ
    outb(0x0a, 0x06);
    i8237_set_dreq(dma, 2, true);
    ck_assert_uint_eq(inb(0x08), 0x40);
    ck_assert_uint_eq(woken, 0);
    outb(0x0a, 0x02);
    ck_assert_uint_eq(woken, 1);
    i8237_set_dreq(dma, 2, false);
    outb(0x0e, 0);
    ck_assert_uint_eq(woken, 1);
}
END_TEST

START_TEST(pages_and_scratch_ports)
{
    uint8_t *ram = (uint8_t *)bench_ram.base;
    bool tc;

    start();
    for (uint16_t p = 0x80; p < 0x90; p++)
        outb(p, (uint8_t)(p * 3));
    for (uint16_t p = 0x80; p < 0x90; p++)
        ck_assert_uint_eq(inb(p), (uint8_t)(p * 3));
    program(WRITE_MODE, 0x01, 0x0000, 9);
    outb(0x481, 0x7f); // 7f010000h: no memory there
    ck_assert_uint_eq(i8237_write(dma, 2, "a", 1, &tc), 1);
    ck_assert_uint_eq(ram[0x10000], 0);
    outb(0x81, 0x01); // a new page clears the high one
    ck_assert_uint_eq(inb(0x481), 0);
    ck_assert_uint_eq(i8237_write(dma, 2, "b", 1, &tc), 1);
    ck_assert_uint_eq(ram[0x10001], 'b');
    i8237_reset(dma);
    ck_assert_uint_eq(inb(0x81), 0);
    ck_assert_uint_eq(inb(0x0f) & 0x0f, 0x0f);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        device_to_memory, memory_to_device_down_and_autoinit, addresses_wrap_inside_64k, words, verify_moves_nothing,
        who_may_transfer, a_waiting_device_is_woken,          pages_and_scratch_ports,
    };
    return bench_main("i8237", tests, ARRAY_SIZE(tests));
}
