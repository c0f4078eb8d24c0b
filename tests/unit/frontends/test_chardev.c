// SPDX-License-Identifier: MIT
// The mux: who gets the input, the Ctrl-A commands, and back pressure.
#include "frontends/chardev_backend.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/check_main.h"

static char out[4096];
static size_t out_len, accepted;
static int quits;

static size_t real_write(struct chardev *c, const uint8_t *buf, size_t len)
{
    memcpy(out + out_len, buf, len);
    out_len += len;
    return len;
}
static void real_accept(struct chardev *c) { accepted++; }
static const struct chardev_backend_ops real_ops = {.write = real_write, .accept_input = real_accept};
static struct chardev real;

struct sink {
    char got[256];
    size_t len, room;
    int breaks, focused;
};
static size_t sink_room(void *o) { return ((struct sink *)o)->room; }
static void sink_receive(void *o, const uint8_t *buf, size_t len)
{
    struct sink *s = o;

    ck_assert_uint_le(len, s->room);
    memcpy(s->got + s->len, buf, len);
    s->len += len;
    s->room -= len;
}
static void sink_break(void *o) { ((struct sink *)o)->breaks++; }
static void sink_focus(void *o) { ((struct sink *)o)->focused++; }
static const struct chardev_frontend_ops sink_ops = {
    .can_receive = sink_room, .receive = sink_receive, .break_received = sink_break};

static void on_quit(void *o) { quits++; }

static struct chardev_mux *mux;
static struct chardev *port[2];
static struct sink sink[2];

static void set_up(void)
{
    real.be = &real_ops;
    memset(sink, 0, sizeof(sink));
    out_len = accepted = 0;
    quits = 0;
    mux = chardev_mux_create(&real, on_quit, NULL);
    for (int i = 0; i < 2; i++) {
        port[i] = chardev_mux_add(mux);
        port[i]->fe = &sink_ops;
        port[i]->fe_opaque = &sink[i];
        sink[i].room = 100;
        chardev_mux_on_focus(port[i], sink_focus, &sink[i]);
    }
}

static void tear_down(void) { chardev_mux_destroy(mux); }

static void type(const char *s) { real.fe->receive(real.fe_opaque, (const uint8_t *)s, strlen(s)); }

START_TEST(switches)
{
    type("ab\x01"
         "ccd\x01"
         "ce");
    ck_assert_mem_eq(sink[0].got, "abe", 3);
    ck_assert_mem_eq(sink[1].got, "cd", 2);
    ck_assert_uint_eq(sink[0].len, 3);
    ck_assert_uint_eq(sink[1].len, 2);
    ck_assert_int_eq(sink[1].focused, 1);
    ck_assert_int_eq(sink[0].focused, 1);
}
END_TEST

START_TEST(escapes)
{
    type("\x01\x01\x01"
         "b\x01"
         "z");
    ck_assert_uint_eq(sink[0].len, 1);
    ck_assert_int_eq(sink[0].got[0], 1);
    ck_assert_int_eq(sink[0].breaks, 1);
    ck_assert_uint_eq(out_len, 0);
    type("\x01h");
    ck_assert_uint_gt(out_len, 20);
    type("\x01x");
    ck_assert_int_eq(quits, 1);
}
END_TEST

START_TEST(full_front_end)
{
    sink[0].room = 2;
    type("hello");
    ck_assert_uint_eq(sink[0].len, 2);
    type("\x01x"); // the way out works all the same
    ck_assert_int_eq(quits, 1);
    sink[0].room = 10;
    chardev_accept_input(port[0]);
    ck_assert_mem_eq(sink[0].got, "hello", 5);
    ck_assert_uint_eq(accepted, 1);
    chardev_write(port[1], (const uint8_t *)"x", 1);
    ck_assert_uint_gt(out_len, 0);
}
END_TEST

START_TEST(bounded)
{
    static char big[100000];

    memset(big, 'x', sizeof(big));
    sink[0].room = 0;
    real.fe->receive(real.fe_opaque, (const uint8_t *)big, sizeof(big));
    ck_assert_uint_eq(real.fe->can_receive(real.fe_opaque), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("chardev");
    TCase *t = tcase_create("mux");

    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, switches);
    tcase_add_test(t, escapes);
    tcase_add_test(t, full_front_end);
    tcase_add_test(t, bounded);
    suite_add_tcase(s, t);
    return check_main(s);
}
