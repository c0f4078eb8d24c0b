// SPDX-License-Identifier: MIT
// Framing of the GDB remote protocol: checksums, escapes, run lengths, packets that are broken.
#include <stdlib.h>
#include <string.h>

#include "frontends/gdbstub_packet.h"
#include "tests/unit/check_main.h"

static struct gdb_reader r;

static void fresh(void) { memset(&r, 0, sizeof(r)); }

// The last event of feeding len bytes; every earlier one must be GDB_NOTHING.
static enum gdb_event feed(const char *bytes, size_t len)
{
    for (size_t i = 0; i + 1 < len; i++)
        ck_assert_int_eq(gdb_read_byte(&r, (uint8_t)bytes[i]), GDB_NOTHING);
    return gdb_read_byte(&r, (uint8_t)bytes[len - 1]);
}
#define FEED(text) feed(text, sizeof(text) - 1)

START_TEST(plain)
{
    ck_assert_int_eq(FEED("$g#67"), GDB_PACKET);
    ck_assert_str_eq(r.data, "g");
    ck_assert_int_eq(FEED("$qSupported:xmlRegisters=i386#c1"), GDB_PACKET);
    ck_assert_int_eq(FEED("$#00"), GDB_PACKET);
    ck_assert_uint_eq(r.len, 0);
    ck_assert_int_eq(FEED("$m0,4#fD"), GDB_PACKET); // either case
}
END_TEST

START_TEST(broken)
{
    ck_assert_int_eq(FEED("$g#66"), GDB_BROKEN);
    ck_assert_int_eq(FEED("$g#6x"), GDB_BROKEN);
    ck_assert_int_eq(FEED("$g#x7"), GDB_BROKEN);
    ck_assert_int_eq(FEED("$g#67"), GDB_PACKET);     // and on it goes
    ck_assert_int_eq(FEED("$m12$g#67"), GDB_PACKET); // one that broke off
    ck_assert_str_eq(r.data, "g");
}
END_TEST

START_TEST(between_packets)
{
    ck_assert_int_eq(FEED("+"), GDB_ACK);
    ck_assert_int_eq(FEED("-"), GDB_NAK);
    ck_assert_int_eq(FEED("\x03"), GDB_INTERRUPT);
    ck_assert_int_eq(FEED("xyz\r\n"), GDB_NOTHING);
    ck_assert_int_eq(FEED("$X\x03+-#f3"), GDB_BROKEN); // inside, they are data
    ck_assert_uint_eq(r.len, 4);
    ck_assert_int_eq(FEED("$X\x03+-#b3"), GDB_PACKET);
}
END_TEST

START_TEST(escapes)
{
    // } ] is }, } \3 is #, } \4 is $
    ck_assert_int_eq(FEED("$}]}\x03}\x04#db"), GDB_PACKET);
    ck_assert_uint_eq(r.len, 3);
    ck_assert_mem_eq(r.data, "}#$", 3);
}
END_TEST

START_TEST(run_lengths)
{
    // "0* " is 0000: the manual's own example
    ck_assert_int_eq(FEED("$0* #7a"), GDB_PACKET);
    ck_assert_str_eq(r.data, "0000");
    ck_assert_int_eq(FEED("$* #4a"), GDB_BROKEN);     // nothing to repeat
    ck_assert_int_eq(FEED("$0*\x1f#79"), GDB_BROKEN); // no count
    ck_assert_int_eq(FEED("$0*#5a"), GDB_BROKEN);     // the end instead of one
    ck_assert_int_eq(FEED("$g#67"), GDB_PACKET);
}
END_TEST

START_TEST(too_long)
{
    gdb_read_byte(&r, '$');
    for (unsigned i = 0; i < GDB_PACKET_MAX + 1; i++)
        ck_assert_int_eq(gdb_read_byte(&r, 'a'), GDB_NOTHING);
    ck_assert_int_eq(FEED("#61"), GDB_BROKEN);
    gdb_read_byte(&r, '$');
    for (unsigned i = 0; i < 1000; i++) // 97000 bytes in 3000
        FEED("a*~");
    uint8_t sum = (uint8_t)(1000 * ('a' + '*' + '~'));
    char end[4] = {'#', "0123456789abcdef"[sum >> 4], "0123456789abcdef"[sum & 15]};
    ck_assert_int_eq(feed(end, 3), GDB_BROKEN);
    ck_assert_int_eq(FEED("$g#67"), GDB_PACKET);
}
END_TEST

START_TEST(round_trip)
{
    static struct gdb_reply p;
    static uint8_t wire[2 * GDB_PACKET_MAX + 4];

    srand(7);
    for (unsigned n = 0; n < 200; n++) {
        size_t len = (size_t)rand() % (n < 190 ? 300 : GDB_PACKET_MAX);
        p.len = 0;
        for (size_t i = 0; i < len; i++) {
            uint8_t b = (uint8_t)(n & 1 ? rand() : "$#}*+-\x03"[rand() % 7]);
            gdb_put(&p, &b, 1);
        }
        size_t size = gdb_frame(&p, wire);
        ck_assert_uint_le(size, sizeof(wire));
        ck_assert_int_eq(feed((const char *)wire, size), GDB_PACKET);
        ck_assert_uint_eq(r.len, len);
        ck_assert_mem_eq(r.data, p.data, len);
    }
}
END_TEST

START_TEST(replies)
{
    static struct gdb_reply p;
    static uint8_t big[GDB_PACKET_MAX];

    gdb_putf(&p, "E%02x", 14);
    gdb_put_hex(&p, "\x00\xff\x5a", 3);
    ck_assert_uint_eq(p.len, 9);
    ck_assert_mem_eq(p.data, "E0e00ff5a", 9);
    ck_assert(!p.full);
    gdb_put(&p, big, sizeof(big));
    ck_assert(p.full);
    ck_assert_uint_eq(p.len, 9);
}
END_TEST

START_TEST(numbers)
{
    const char *s = "deadBEEF,10:00fFxx";
    uint64_t v;
    uint8_t b[2];

    ck_assert(gdb_take_hex(&s, &v) && v == 0xdeadbeef);
    ck_assert(!gdb_take_hex(&s, &v));
    ck_assert(!gdb_take(&s, ":") && gdb_take(&s, ","));
    ck_assert(gdb_take_hex(&s, &v) && v == 0x10 && gdb_take(&s, ":"));
    ck_assert(gdb_take_bytes(&s, b, 2) && b[0] == 0 && b[1] == 0xff);
    ck_assert(!gdb_take_bytes(&s, b, 1));
    s = "11112222333344445"; // no more than 64 bits
    ck_assert(gdb_take_hex(&s, &v) && v == 0x1111222233334444 && *s == '5');
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gdb_packet");
    TCase *t = tcase_create("all");

    tcase_add_checked_fixture(t, fresh, NULL);
    tcase_add_test(t, plain);
    tcase_add_test(t, broken);
    tcase_add_test(t, between_packets);
    tcase_add_test(t, escapes);
    tcase_add_test(t, run_lengths);
    tcase_add_test(t, too_long);
    tcase_add_test(t, round_trip);
    tcase_add_test(t, replies);
    tcase_add_test(t, numbers);
    suite_add_tcase(suite, t);
    return check_main(suite);
}
