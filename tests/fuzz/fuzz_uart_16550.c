// SPDX-License-Identifier: MIT
// Fuzzes hw/uart_16550.c.
#include "hw/uart_16550.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

static struct uart_16550 *uart;
static size_t room = 100;

static size_t sink_write(struct chardev *c, const uint8_t *buf, size_t len)
{
    size_t n = len < room ? len : room;
    for (size_t i = 0; i < n; i++)
        *(volatile const uint8_t *)&buf[i];
    room -= n;
    return n;
}

// A back end with a lot to say: whenever there is room it sends, as far as it may.
static void sink_accept(struct chardev *c)
{
    static const uint8_t zeros[64];
    size_t n = c->fe->can_receive(c->fe_opaque);
    if (n > sizeof(zeros))
        abort();
    c->fe->receive(c->fe_opaque, zeros, n);
}

static const struct chardev_backend_ops sink_ops = {.write = sink_write, .accept_input = sink_accept};
static struct chardev sink = {.be = &sink_ops};

static void create(void)
{
    const struct uart_16550_config cfg = {.as = ports, .base = 0x3f8, .irq = bench_irq(4), .chr = &sink};
    uart = uart_16550_create(&cfg);
}

static void reset(void)
{
    room = 100;
    uart_16550_reset(uart);
}

static void event(uint8_t a, uint8_t b)
{
    uint8_t buf[32];
    memset(buf, b, sizeof(buf));
    if (a < 64) {
        room += b;
        sink.fe->can_write(sink.fe_opaque);
    } else if (a < 128) {
        sink.fe->break_received(sink.fe_opaque);
    } else {
        sink.fe->receive(sink.fe_opaque, buf, a & 31);
    }
}

static const struct fuzz_target target = {"uart_16550", {{false, 0x3f8, 8}}, create, reset, event, 1};
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_run(&target, data, size); }
