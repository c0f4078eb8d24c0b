// SPDX-License-Identifier: MIT
// Tests of hw/uart_16550.c.
#include "hw/uart_16550.h"

#include <string.h>

#include "tests/unit/hw/harness.h"

enum { BASE = 0x3f8, LINE = 4 };
static struct uart_16550 *uart;

static uint8_t out[4096];
static size_t out_len, out_room;
static unsigned out_calls, accepts;

static size_t sink_write(struct chardev *c, const uint8_t *buf, size_t len)
{
    size_t n = len < out_room ? len : out_room;
    memcpy(out + out_len, buf, n);
    out_len += n;
    out_room -= n;
    out_calls++;
    return n;
}

static void sink_accept(struct chardev *c) { accepts++; }

static const struct chardev_backend_ops sink_ops = {.write = sink_write, .accept_input = sink_accept};
static struct chardev sink = {.be = &sink_ops};

static void start(void)
{
    const struct uart_16550_config cfg = {.as = ports, .base = BASE, .irq = bench_irq(LINE), .chr = &sink};
    out_room = sizeof(out);
    uart = uart_16550_create(&cfg);
}

static void feed(const char *s, size_t n) { sink.fe->receive(sink.fe_opaque, (const uint8_t *)s, n); }
static size_t room(void) { return sink.fe->can_receive(sink.fe_opaque); }

START_TEST(reset_values)
{
    start();
    ck_assert_uint_eq(inb(BASE + 1), 0);
    ck_assert_uint_eq(inb(BASE + 2), 1);
    ck_assert_uint_eq(inb(BASE + 5), 0x60);
    ck_assert_uint_eq(inb(BASE + 6), 0xb0);
    outb(BASE + 7, 0x5a);
    ck_assert_uint_eq(inb(BASE + 7), 0x5a);
}
END_TEST

START_TEST(divisor_latch)
{
    start();
    outb(BASE + 3, 0x83);
    outb(BASE, 1);
    outb(BASE + 1, 2);
    ck_assert_uint_eq(inb(BASE), 1);
    ck_assert_uint_eq(inb(BASE + 1), 2);
    outb(BASE + 3, 0x03);
    ck_assert_uint_eq(inb(BASE + 1), 0);
    ck_assert_uint_eq(out_len, 0);
}
END_TEST

START_TEST(output_is_batched_and_ordered)
{
    start();
    const char *line = "hello, world\n";
    for (const char *p = line; *p; p++) {
        ck_assert(inb(BASE + 5) & 0x20);
        outb(BASE, (uint8_t)*p);
    }
    ck_assert_uint_eq(out_calls, 1);
    ck_assert_uint_eq(out_len, strlen(line));
    ck_assert_int_eq(memcmp(out, line, out_len), 0);
    outb(BASE, '$');
    ck_assert_uint_eq(out_len, strlen(line));
    bench_advance(1000000);
    ck_assert_uint_eq(out_len, strlen(line) + 1);
    outb(BASE, '#');
    uart_16550_flush(uart);
    ck_assert_uint_eq(out_len, strlen(line) + 2);
}
END_TEST

START_TEST(full_chardev_holds_back)
{
    start();
    out_room = 10;
    unsigned sent = 0;
    for (; sent < 2000 && inb(BASE + 5) & 0x20; sent++)
        outb(BASE, (uint8_t)sent);
    ck_assert_uint_lt(sent, 300);
    outb(BASE + 1, 2);
    ck_assert(!bench_line[LINE].level);
    out_room = 4000;
    sink.fe->can_write(sink.fe_opaque);
    ck_assert_uint_eq(out_len, sent);
    for (unsigned i = 0; i < sent; i++)
        ck_assert_uint_eq(out[i], (uint8_t)i);
    ck_assert(inb(BASE + 5) & 0x20);
    ck_assert(bench_line[LINE].level);
}
END_TEST

START_TEST(thre_interrupt)
{
    start();
    outb(BASE + 1, 0x02); // enabling it with THR empty interrupts
    ck_assert(bench_line[LINE].level);
    ck_assert_uint_eq(inb(BASE + 2), 0x02);
    ck_assert(!bench_line[LINE].level); // reading IIR cleared it
    ck_assert_uint_eq(inb(BASE + 2), 0x01);
    outb(BASE, 'x');
    ck_assert(bench_line[LINE].level);
}
END_TEST

START_TEST(receive_without_fifo)
{
    start();
    outb(BASE + 1, 0x01);
    ck_assert_uint_eq(room(), 1);
    feed("a", 1);
    ck_assert_uint_eq(room(), 0);
    ck_assert(bench_line[LINE].level);
    ck_assert_uint_eq(inb(BASE + 2), 0x04);
    ck_assert_uint_eq(inb(BASE + 5), 0x61);
    ck_assert_uint_eq(inb(BASE), 'a');
    ck_assert(!bench_line[LINE].level);
    ck_assert_uint_eq(accepts, 1);
    ck_assert_uint_eq(inb(BASE + 5), 0x60);
}
END_TEST

START_TEST(fifo_trigger_and_timeout)
{
    start();
    outb(BASE + 2, 0xc1); // 14 bytes
    ck_assert_uint_eq(room(), 16);
    outb(BASE + 1, 0x01);
    feed("0123", 4);
    ck_assert_uint_eq(inb(BASE + 2), 0xcc); // character timeout
    feed("456789abcd", 10);
    ck_assert_uint_eq(inb(BASE + 2), 0xc4);
    ck_assert_uint_eq(inb(BASE), '0');
    ck_assert_uint_eq(inb(BASE + 2), 0xcc);
    outb(BASE + 2, 0xc3); // clear the receive FIFO
    ck_assert_uint_eq(inb(BASE + 5) & 1, 0);
    ck_assert_uint_eq(inb(BASE + 2), 0xc1);
}
END_TEST

START_TEST(overrun_and_break)
{
    start();
    outb(BASE + 2, 0x01);
    outb(BASE + 1, 0x05);
    feed("0123456789abcdefX", 17);
    ck_assert_uint_eq(inb(BASE + 2), 0xc6); // line status comes first
    ck_assert_uint_eq(inb(BASE + 5) & 0x03, 0x03);
    ck_assert_uint_eq(inb(BASE + 5) & 0x02, 0);
    for (int i = 0; i < 16; i++)
        ck_assert_uint_eq(inb(BASE), (uint8_t) "0123456789abcdef"[i]);
    sink.fe->break_received(sink.fe_opaque);
    ck_assert_uint_eq(inb(BASE + 5) & 0x11, 0x11);
    ck_assert_uint_eq(inb(BASE), 0);
}
END_TEST

START_TEST(loopback)
{
    start();
    outb(BASE + 4, 0x10);
    inb(BASE + 6);
    outb(BASE, 0xa5);
    ck_assert_uint_eq(inb(BASE + 5) & 1, 1);
    ck_assert_uint_eq(inb(BASE), 0xa5);
    ck_assert_uint_eq(out_len, 0);
    ck_assert_uint_eq(room(), 0);
    outb(BASE + 4, 0x1a); // as Linux probes: RTS, OUT2
    ck_assert_uint_eq(inb(BASE + 6) & 0xf0, 0x90);
    outb(BASE + 4, 0x15);
    ck_assert_uint_eq(inb(BASE + 6), 0x60 | 0x0b);
    outb(BASE + 4, 0x11);
    ck_assert_uint_eq(inb(BASE + 6), 0x20 | 0x04); // trailing edge of RI
}
END_TEST

START_TEST(modem_status_interrupt)
{
    start();
    outb(BASE + 1, 0x08);
    outb(BASE + 4, 0x10);
    ck_assert(bench_line[LINE].level);
    ck_assert_uint_eq(inb(BASE + 2), 0x00);
    inb(BASE + 6);
    ck_assert(!bench_line[LINE].level);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        reset_values,   divisor_latch,          output_is_batched_and_ordered, full_chardev_holds_back,
        thre_interrupt, receive_without_fifo,   fifo_trigger_and_timeout,      overrun_and_break,
        loopback,       modem_status_interrupt,
    };
    return bench_main("uart_16550", tests, ARRAY_SIZE(tests));
}
