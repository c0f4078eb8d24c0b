// SPDX-License-Identifier: MIT
// Tests of the devices of a port or two: reset_ports.c, isa_debug_exit.c, debugcon.c.
#include "hw/debugcon.h"
#include "hw/isa_debug_exit.h"
#include "hw/reset_ports.h"
#include "tests/unit/hw/harness.h"

static unsigned soft, hard;
static int a20 = -1, status = -1;
static char out[16];
static unsigned out_len;

static void on_reset(void *opaque, bool h) { h ? hard++ : soft++; }
static void on_a20(void *opaque, bool on) { a20 = on; }
static void on_exit_status(void *opaque, int s) { status = s; }

static uint64_t pci_read(void *opaque, uint64_t offset, unsigned size) { return 0x11223344; }
static uint64_t pci_written;
static unsigned pci_size;
static void pci_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    pci_written = value;
    pci_size = size;
}
static const struct io_ops pci_ops = {.read = pci_read, .write = pci_write, .min_size = 1, .max_size = 4};

static void start(void)
{
    const struct reset_ports_config cfg = {.ports = ports, .reset = on_reset, .set_a20 = on_a20};
    as_map_io(ports, "pci", 0xcf8, 8, &pci_ops, NULL, 0);
    reset_ports_create(&cfg);
}

START_TEST(port_92)
{
    start();
    ck_assert_uint_eq(inb(0x92), 2);
    outb(0x92, 0);
    ck_assert_int_eq(a20, 0);
    outb(0x92, 3);
    ck_assert_int_eq(a20, 1);
    ck_assert_uint_eq(soft, 1);
    outb(0x92, 3);
    ck_assert_uint_eq(soft, 1);
}
END_TEST

START_TEST(reset_control)
{
    start();
    outb(0xcf9, 0x02);
    ck_assert_uint_eq(hard + soft, 0);
    outb(0xcf9, 0x06);
    ck_assert_uint_eq(hard, 1);
    ck_assert_uint_eq(inb(0xcf9), 0x06);
    outb(0xcf9, 0x00);
    outb(0xcf9, 0x04);
    ck_assert_uint_eq(soft, 1);
}
END_TEST

START_TEST(a_dword_at_cf8_is_pcis)
{
    start();
    outl(0xcf8, 0x80000604);
    ck_assert_uint_eq(pci_written, 0x80000604);
    ck_assert_uint_eq(pci_size, 4);
    ck_assert_uint_eq(hard + soft, 0);
    ck_assert_uint_eq(inl(0xcf8), 0x11223344);
}
END_TEST

START_TEST(debug_exit)
{
    isa_debug_exit_create(ports, 0x501, 2, on_exit_status, NULL);
    ck_assert_uint_eq(inb(0x501), 0);
    outb(0x501, 0x10);
    ck_assert_int_eq(status, 0x21);
    isa_debug_exit_create(ports, 0xf4, 4, on_exit_status, NULL);
    outl(0xf4, 0);
    ck_assert_int_eq(status, 1);
}
END_TEST

static size_t sink_write(struct chardev *c, const uint8_t *buf, size_t len)
{
    for (size_t i = 0; i < len && out_len < sizeof(out); i++)
        out[out_len++] = (char)buf[i];
    return len;
}

START_TEST(debug_console)
{
    static const struct chardev_backend_ops ops = {.write = sink_write};
    static struct chardev chr = {.be = &ops};
    debugcon_create(ports, 0xe9, 0xe9, &chr);
    ck_assert_uint_eq(inb(0xe9), 0xe9);
    outb(0xe9, 'h');
    outb(0xe9, 'i');
    ck_assert_uint_eq(out_len, 2);
    ck_assert_int_eq(out[1], 'i');
    ck_assert_uint_eq(chr.fe->can_receive(chr.fe_opaque), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {port_92, reset_control, a_dword_at_cf8_is_pcis, debug_exit, debug_console};
    return bench_main("ports", tests, ARRAY_SIZE(tests));
}
