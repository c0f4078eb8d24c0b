// SPDX-License-Identifier: MIT
// Tests of QMP: the splitter, the handshake, answers and errors, events, and clients that do not read.
#include "frontends/qmp.h"

#include "base/biglock.h"
#include "base/loop.h"
#include "frontends/machine.h"
#include "frontends/qmp_split.h"
#include "hw/chardev.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/check_main.h"

// --- a machine that can only run and stop

static void nothing(void *opaque) {}
static void clocks(void *opaque, bool run) {}
static void end(void *opaque, int status) {}
static const struct runstate_ops run_ops = {.halt = nothing,
                                            .pause = nothing,
                                            .clocks = clocks,
                                            .resume = nothing,
                                            .reset = nothing,
                                            .power_button = nothing,
                                            .exit = end};
static struct config cfg = {.name = "tester", .uuid = {0xde, 0xad}};
static struct machine machine = {.cfg = &cfg};

// --- a stream that a test reads and writes

static char wire[1 << 20]; // what the client got
static size_t wire_used, room, accepts;

static size_t stream_write(struct chardev *c, const uint8_t *buf, size_t len)
{
    size_t n = len < room ? len : room;

    ck_assert_uint_lt(wire_used + n, sizeof(wire));
    memcpy(wire + wire_used, buf, n);
    wire_used += n;
    wire[wire_used] = 0;
    room -= n;
    return n;
}
static void stream_accept(struct chardev *c) { accepts++; }
static const struct chardev_backend_ops stream_ops = {.write = stream_write, .accept_input = stream_accept};
static struct chardev stream;
static struct qmp *qmp;

static void forget(void)
{
    wire_used = 0;
    *wire = 0;
}

static size_t say_bytes(const char *s, size_t len)
{
    size_t done = 0;

    while (done < len) {
        size_t n = stream.fe->can_receive(stream.fe_opaque);

        if (!n)
            break;
        n = n < len - done ? n : len - done;
        stream.fe->receive(stream.fe_opaque, (const uint8_t *)s + done, n);
        done += n;
    }
    return done;
}

// Says s and returns what came back.
static const char *ask(const char *s)
{
    forget();
    ck_assert_uint_eq(say_bytes(s, strlen(s)), strlen(s));
    return wire;
}

static void set_up(void)
{
    loop_init();
    stream = (struct chardev){.be = &stream_ops};
    room = sizeof(wire);
    machine.runstate = runstate_create(&run_ops, NULL);
    big_lock();
    runstate_cont(machine.runstate);
    ck_assert_int_eq(qmp_create(&machine, &stream, false, &qmp), 0);
    stream.fe->connected(stream.fe_opaque, true);
}

static void tear_down(void)
{
    qmp_destroy(qmp);
    big_unlock();
    runstate_destroy(machine.runstate);
}

static void negotiate(void) { ck_assert_str_eq(ask("{\"execute\":\"qmp_capabilities\"}"), "{\"return\":{}}\r\n"); }

START_TEST(handshake)
{
    ck_assert_str_eq(wire, "{\"QMP\":{\"version\":{\"qemu\":{\"micro\":0,\"minor\":2,\"major\":7},"
                           "\"package\":\"ring3 0.1.0\"},\"capabilities\":[]}}\r\n");
    ck_assert_str_eq(ask("{\"execute\":\"query-name\"}"),
                     "{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"Expecting capabilities negotiation with "
                     "'qmp_capabilities'\"}}\r\n");
    ck_assert_str_eq(ask("{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\"]}}"),
                     "{\"error\":{\"class\":\"GenericError\",\"desc\":\"Capability 'oob' is not available\"}}\r\n");
    negotiate();
    ck_assert_ptr_nonnull(strstr(ask("{\"execute\":\"qmp_capabilities\"}"), "already complete"));
    stream.fe->connected(stream.fe_opaque, false);
    forget();
    stream.fe->connected(stream.fe_opaque, true); // the next client begins at the beginning
    ck_assert_ptr_nonnull(strstr(wire, "{\"QMP\":"));
    ck_assert_ptr_nonnull(strstr(ask("{\"execute\":\"query-name\"}"), "CommandNotFound"));
}
END_TEST

START_TEST(answers_carry_the_id)
{
    negotiate();
    ck_assert_str_eq(ask("{\"execute\":\"query-name\",\"id\":7}"), "{\"return\":{\"name\":\"tester\"},\"id\":7}\r\n");
    ck_assert_str_eq(ask("{ \"id\" : {\"a\":[1,\"\\u00e9\"]},\n \"execute\" : \"query-uuid\" }\n"),
                     "{\"return\":{\"UUID\":\"dead0000-0000-0000-0000-000000000000\"},"
                     "\"id\":{\"a\":[1,\"\xc3\xa9\"]}}\r\n");
    ck_assert_str_eq(ask("{\"execute\":\"no-such\",\"id\":\"x\"}"),
                     "{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"The command no-such has not been found\"},"
                     "\"id\":\"x\"}\r\n");
    // Two in one piece, and one in many.
    ck_assert_str_eq(ask("{\"execute\":\"query-kvm\",\"id\":1}{\"execute\":\"query-name\",\"id\":2}"),
                     "{\"return\":{\"enabled\":false,\"present\":false},\"id\":1}\r\n"
                     "{\"return\":{\"name\":\"tester\"},\"id\":2}\r\n");
    forget();
    for (const char *s = "{\"execute\":\"query-name\"}"; *s; s++)
        say_bytes(s, 1);
    ck_assert_str_eq(wire, "{\"return\":{\"name\":\"tester\"}}\r\n");
}
END_TEST

START_TEST(bad_messages_get_one_error_each)
{
    static const struct {
        const char *text, *desc;
    } rows[] = {
        {"[1,2]", "QMP input must be a JSON object"},
        {"{}", "QMP input lacks member 'execute'"},
        {"{\"execute\":1}", "QMP input member 'execute' must be a string"},
        {"{\"execute\":\"stop\",\"arguments\":[]}", "QMP input member 'arguments' must be an object"},
        {"{\"execute\":\"stop\",\"foo\":1}", "QMP input member 'foo' is unexpected"},
        {"{\"execute\":\"stop\",\"arguments\":{\"a\":1}}", "Parameter 'a' is unexpected"},
        {"{\"execute\":\"memsave\",\"arguments\":{\"val\":1}}", "Parameter 'size' is missing"},
        {"{\"execute\":\"memsave\",\"arguments\":{\"val\":\"1\"}}",
         "Invalid parameter type for 'val', expected: integer"},
        {"{\"execute\":\"memsave\",\"arguments\":{\"val\":1.5}}",
         "Invalid parameter type for 'val', expected: integer"},
        {"{\"execute\":\"memsave\",\"arguments\":{\"val\":1e300}}",
         "Invalid parameter type for 'val', expected: integer"},
        {"{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":true}}",
         "Invalid parameter type for 'command-line', expected: string"},
        {"{\"execute\":\"eject\"}", "Either 'device' or 'id' must be given"},
        {"{\"execute\":\"send-key\",\"arguments\":{\"keys\":[{\"type\":\"qcode\",\"data\":\"nokey\"}]}}",
         "Invalid parameter 'nokey'"},
        {"{\"execute\":\"send-key\",\"arguments\":{\"keys\":[5]}}", "Parameter 'type' is missing"},
        {"{\"execute\":\"input-send-event\",\"arguments\":{\"events\":[{\"type\":\"btn\",\"data\":{}}]}}",
         "Invalid parameter 'data' of an input event of type 'btn'"},
        {"{\"execute\" \"stop\"}", "JSON parse error, invalid JSON"},
        {"{]", "JSON parse error, invalid JSON"},
        {"}\n", "JSON parse error, expecting an object"},
        {"hello { \"execute\" : \"stop\" }\n", "JSON parse error, expecting an object"},
        {"{\"execute\":\"st\nop\"}\n", "JSON parse error, control character or end of line in a string"},
        {"{\"execute\":\"\xc0\x80\"}\n", "JSON parse error, invalid UTF-8 sequence in string"},
        {"{\"execute\":\"\xed\xa0\x80\"}\n", "JSON parse error, invalid UTF-8 sequence in string"},
        {"{\"execute\":\"\xe2\x82\"}\n", "JSON parse error, invalid UTF-8 sequence in string"},
        {"{\"execute\": \x01 1}\n", "JSON parse error, stray character"},
    };

    negotiate();
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        char want[256];
        const char *got = ask(rows[i].text);

        snprintf(want, sizeof(want), "{\"error\":{\"class\":\"GenericError\",\"desc\":\"%s\"}}\r\n", rows[i].desc);
        if (strncmp(rows[i].text, "{\"execute\":\"st\n", 14)) // there, the rest of the message is a line of its own
            ck_assert_msg(!strcmp(got, want), "%s gave %s", rows[i].text, got);
        else
            ck_assert_msg(!strncmp(got, want, strlen(want)), "%s gave %s", rows[i].text, got);
        ck_assert_str_eq(ask("{\"execute\":\"query-name\"}"), "{\"return\":{\"name\":\"tester\"}}\r\n");
    }
    ck_assert(runstate_running(machine.runstate));
}
END_TEST

// The order and the number of answers, for input that is too much in one way or the other.
static void flood(const char *head, char fill, size_t count, const char *desc)
{
    static char chunk[65536];
    size_t rest = count;
    char *first;

    forget();
    say_bytes(head, strlen(head));
    memset(chunk, fill, sizeof(chunk));
    for (; rest; rest -= rest < sizeof(chunk) ? rest : sizeof(chunk))
        say_bytes(chunk, rest < sizeof(chunk) ? rest : sizeof(chunk));
    say_bytes("\n", 1);
    first = strstr(wire, desc);
    ck_assert_msg(first, "%s", wire);
    ck_assert_ptr_null(strstr(first + 1, "error")); // one answer
    ck_assert_str_eq(ask("{\"execute\":\"query-name\"}"), "{\"return\":{\"name\":\"tester\"}}\r\n");
}

START_TEST(floods_get_one_error)
{
    negotiate();
    flood("{\"execute\":\"", 'a', 100 << 20, "JSON token size limit exceeded");
    flood("", 'x', 100 << 20, "expecting an object");
    flood("{\"a\":", '[', 1 << 20, "JSON nesting depth limit exceeded");
    flood("", '{', 1 << 20, "JSON nesting depth limit exceeded");
    flood("{\"a\":", ' ', 4 << 20, "JSON token size limit exceeded");
}
END_TEST

START_TEST(a_byte_of_ones_starts_afresh)
{
    negotiate();
    ck_assert_ptr_nonnull(strstr(ask("{\"execute\": {\"execute\": \xff"), "message cut off"));
    ck_assert_str_eq(ask("\xff{\"execute\":\"query-name\"}"), "{\"return\":{\"name\":\"tester\"}}\r\n");
    ck_assert_str_eq(ask("{\"execute\":\"query-name\"}\xff"),
                     "{\"return\":{\"name\":\"tester\"}}\r\n"); // nothing is cut
}
END_TEST

START_TEST(events)
{
    runstate_stop(machine.runstate, RUN_STATE_PAUSED);
    ck_assert_ptr_null(strstr(wire, "STOP")); // not before the handshake
    runstate_cont(machine.runstate);
    negotiate();
    ask("{\"execute\":\"stop\"}");
    ck_assert_ptr_nonnull(strstr(wire, "\"event\":\"STOP\""));
    ck_assert_ptr_nonnull(strstr(wire, "{\"timestamp\":{\"seconds\":"));
    ck_assert_ptr_nonnull(strstr(strstr(wire, "STOP"), "{\"return\":{}}")); // the event comes first, as from QEMU
    ck_assert_str_eq(ask("{\"execute\":\"query-status\"}"),
                     "{\"return\":{\"status\":\"paused\",\"singlestep\":false,\"running\":false}}\r\n");
    ask("{\"execute\":\"stop\"}"); // again: no event
    ck_assert_str_eq(wire, "{\"return\":{}}\r\n");
    ck_assert_ptr_nonnull(strstr(ask("{\"execute\":\"cont\"}"), "\"event\":\"RESUME\""));
}
END_TEST

START_TEST(a_client_that_does_not_read_is_waited_for)
{
    static const char query[] = "{\"execute\":\"query-commands\"}";
    size_t asked = 0, answers = 0;

    negotiate();
    forget();
    room = 0;
    while (asked < 10000 && say_bytes(query, strlen(query)) == strlen(query))
        asked++;
    ck_assert_uint_gt(asked, 10);
    ck_assert_uint_lt(asked, 1000);        // it stopped listening
    for (unsigned i = 0; i < 20000; i++) { // and events have an end, too
        runstate_stop(machine.runstate, RUN_STATE_PAUSED);
        runstate_cont(machine.runstate);
    }
    accepts = 0;
    room = sizeof(wire);
    stream.fe->can_write(stream.fe_opaque);
    ck_assert_uint_gt(accepts, 0);
    ck_assert_uint_lt(wire_used, 768 << 10);
    for (const char *s = wire; (s = strstr(s, "{\"return\":")); s++)
        answers++;
    ck_assert_uint_ge(answers, asked); // what was taken was answered: the last one, in part, too
    ck_assert_ptr_nonnull(strstr(wire, "\"STOP\""));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        handshake,
        answers_carry_the_id,
        bad_messages_get_one_error_each,
        floods_get_one_error,
        a_byte_of_ones_starts_afresh,
        events,
        a_client_that_does_not_read_is_waited_for,
    };
    return check_list_main((struct check_list){.name = "qmp",
                                               .tests = tests,
                                               .count = ARRAY_SIZE(tests),
                                               .set_up = set_up,
                                               .tear_down = tear_down,
                                               .timeout = 50});
}
