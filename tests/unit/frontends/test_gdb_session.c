// SPDX-License-Identifier: MIT
// Sessions with the gdb stub over a running vCPU, under each accelerator: packets, breakpoints, watchpoints, steps.
#include "gdb_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/check_main.h"

// 1000: xor cx,cx           1002: inc cx              1003: mov [0x2000],cx   1007: mov ax,[0x2002]
// 100a: cmp cx,0x1000       100e: jne 1002            1010: mov si,0x3000     1013: mov di,0x4000
// 1016: mov cx,8            1019: rep movsb           101b: jmp 101b
static const uint8_t code[] = {
    0x31, 0xc9, 0x41, 0x89, 0x0e, 0x00, 0x20, 0xa1, 0x02, 0x20, 0x81, 0xf9, 0x00, 0x10, 0x75,
    0xf2, 0xbe, 0x00, 0x30, 0xbf, 0x00, 0x40, 0xb9, 0x08, 0x00, 0xf3, 0xa4, 0xeb, 0xfe,
};
static const char *const accels[] = {"interp", "bt"};

static void start(int i)
{
    bench_up(accels[i], code, sizeof(code));
    bench_connect(true);
    ck_assert_str_eq(bench_ask("?"), "T05thread:01;");
}

// Register n of x86-64.
static uint64_t reg(unsigned n)
{
    char packet[16], le[17] = "";
    const char *hex;

    snprintf(packet, sizeof(packet), "p%x", n);
    hex = bench_ask(packet);
    for (int b = (int)strlen(hex) / 2 - 1; b >= 0; b--)
        strncat(le, hex + 2 * b, 2);
    return strtoull(le, NULL, 16);
}
enum { AX = 0, CX = 2, PC = 16 };

START_TEST(handshake)
{
    start(_i);
    ck_assert_ptr_nonnull(strstr(bench_ask("qSupported:swbreak+;hwbreak+"), "qXfer:features:read+"));
    ck_assert_str_eq(bench_ask("qAttached"), "1");
    ck_assert_str_eq(bench_ask("qC"), "QC01");
    ck_assert_str_eq(bench_ask("qCRC:0,1"), "");
    ck_assert_str_eq(bench_ask("qfThreadInfo"), "m01");
    ck_assert_str_eq(bench_ask("qsThreadInfo"), "l");
    ck_assert_str_eq(bench_ask("Hg0"), "OK");
    ck_assert_str_eq(bench_ask("Hc-1"), "OK");
    ck_assert_str_eq(bench_ask("T2"), "E16");
    ck_assert_str_eq(bench_ask("vMustReplyEmpty"), "");
    ck_assert_str_eq(bench_ask("vCont?"), "vCont;c;C;s;S");
    ck_assert_str_eq(bench_ask("qqemu.sstepbits"), "ENABLE=1,NOIRQ=2,NOTIMER=4");
    ck_assert_str_eq(bench_ask("qqemu.sstep"), "0x7");
    ck_assert_str_eq(bench_ask("Qqemu.sstep=0x1"), "OK");
    ck_assert_str_eq(bench_ask("qqemu.sstep"), "0x1");
    ck_assert_str_eq(bench_ask("Qqemu.sstep=9"), "E16");
    ck_assert_uint_eq(bench_acks, 17);
    ck_assert_str_eq(bench_ask("QStartNoAckMode"), "OK");
    ck_assert_uint_eq(bench_acks, 18);
    bench_ask("qC");
    ck_assert_uint_eq(bench_acks, 18);
}
END_TEST

START_TEST(damage)
{
    start(_i);
    bench_raw("$qC#00", 6);
    bench_raw("-", 1); // and it did not get our last packet
    ck_assert_str_eq(bench_reply(), "T05thread:01;");
    ck_assert_uint_eq(bench_naks, 1);
    static const char *const bad[] = {"m",
                                      "m1",
                                      "m1,",
                                      "M0,1",
                                      "M0,1:z",
                                      "M0,2:11",
                                      "X0,2:1",
                                      "P",
                                      "P0=1",
                                      "pzz",
                                      "pffff",
                                      "Z0",
                                      "Z0,1",
                                      "vCont;x",
                                      "vCont",
                                      "Gzz",
                                      "Cx",
                                      "Qqemu.sstep=z",
                                      "Qring3.Arch:z80",
                                      "mffffffffffffffff,ffffffffffffffff"};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        const char *reply = bench_ask(bad[i]);
        // Without paging the last address wraps, and there is nothing to refuse.
        ck_assert_msg(*reply == 'E' || bad[i][1] == 'f', "%s: %s", bad[i], reply);
    }
    ck_assert_str_eq(bench_ask("Z5,1,1"), "");
    ck_assert_str_eq(bench_ask("Z2,1,0"), "E16");
    ck_assert_str_eq(bench_ask("Z2,1,100000"), "E16");
    ck_assert_str_eq(bench_ask("z0,1,1"), "E02"); // not there
    for (unsigned i = 0; i < 256; i++) {
        char packet[32];
        snprintf(packet, sizeof(packet), "Z0,%x,1", 0x9000 + i);
        ck_assert_str_eq(bench_ask(packet), "OK");
    }
    ck_assert_str_eq(bench_ask("Z0,1,1"), "E1c");
    ck_assert(!bench_running());
}
END_TEST

START_TEST(memory)
{
    start(_i);
    ck_assert_str_eq(bench_ask("m1000,4"), "31c94189");
    ck_assert_str_eq(bench_ask("M5000,3:c0ffee"), "OK");
    ck_assert_mem_eq(bench_ram + 0x5000, "\xc0\xff\xee", 3);
    bench_raw("$X5000,2:}\x03}]#0f", 16);
    ck_assert_str_eq(bench_reply(), "OK");
    ck_assert_mem_eq(bench_ram + 0x5000, "#}\xee", 3);
    ck_assert_str_eq(bench_ask("Qqemu.PhyMemMode:1"), "OK");
    ck_assert_str_eq(bench_ask("qqemu.PhyMemMode"), "1");
    ck_assert_str_eq(bench_ask("m5000,1"), "23");
    const char *xml = bench_ask("qXfer:features:read:target.xml:0,ffb");
    ck_assert_int_eq(*xml, 'm');
    ck_assert_ptr_nonnull(strstr(xml, "i386:x86-64"));
    ck_assert_str_eq(bench_ask("qXfer:features:read:other.xml:0,ffb"), "E00");
    ck_assert_str_eq(bench_ask("qXfer:features:read:target.xml:fffff,10"), "E16");
}
END_TEST

START_TEST(breakpoints)
{
    start(_i);
    bench_ask("qSupported:swbreak+;hwbreak+");
    ck_assert_str_eq(bench_ask("Z0,1010,1"), "OK");
    ck_assert_str_eq(bench_ask("vCont;c:1"), "T05thread:01;swbreak:;");
    ck_assert_uint_eq(reg(PC), 0x1010);
    ck_assert_uint_eq(reg(CX), 0x1000);
    ck_assert_str_eq(bench_ask("c"), "T05thread:01;swbreak:;"); // it is still there
    ck_assert_uint_eq(reg(PC), 0x1010);
    ck_assert_str_eq(bench_ask("s"), "T05thread:01;"); // a step passes it
    ck_assert_uint_eq(reg(PC), 0x1013);
    ck_assert_str_eq(bench_ask("z0,1010,1"), "OK");
    // In the middle of a block that has run
    ck_assert_str_eq(bench_ask("Z1,1007,1"), "OK");
    ck_assert_str_eq(bench_ask("c1000"), "T05thread:01;hwbreak:;");
    ck_assert_uint_eq(reg(PC), 0x1007);
    ck_assert_uint_eq(reg(CX), 1);
    ck_assert_str_eq(bench_ask("z1,1007,1"), "OK");
    ck_assert_str_eq(bench_ask("Z0,101b,1"), "OK");
    ck_assert_str_eq(bench_ask("c"), "T05thread:01;swbreak:;");
    ck_assert_str_eq(bench_ask("z0,101b,1"), "OK");
    bench_send("c");
    ck_assert(bench_running());
    bench_raw("\x03", 1);
    ck_assert_str_eq(bench_reply(), "T02thread:01;");
    ck_assert_uint_eq(reg(PC), 0x101b);
}
END_TEST

// CF is written at 1002 (INC keeps it), 100a; at 1003 INC's flags are what the guest would see.
START_TEST(flags_at_breakpoints)
{
    start(_i);
    ck_assert_str_eq(bench_ask("Z0,1003,1"), "OK");
    ck_assert_str_eq(bench_ask("c"), "T05thread:01;");
    ck_assert_uint_eq(reg(17) & 0x8d5, 0); // 1: no zero, no sign, odd parity
    for (unsigned i = 0; i < 2; i++) {
        bench_ask("s");
        ck_assert_str_eq(bench_ask("c"), "T05thread:01;");
    }
    ck_assert_uint_eq(reg(CX), 3);
    ck_assert_uint_eq(reg(17) & 0x8d5, 0x5); // 3: parity; the borrow of 2 - 1000h
}
END_TEST

START_TEST(watchpoints)
{
    start(_i);
    ck_assert_str_eq(bench_ask("Z2,2000,2"), "OK");
    ck_assert_str_eq(bench_ask("c"), "T05thread:01;watch:2000;");
    ck_assert_uint_eq(reg(PC), 0x1007); // behind the store
    ck_assert_str_eq(bench_ask("m2000,2"), "0100");
    ck_assert_str_eq(bench_ask("c"), "T05thread:01;watch:2000;");
    ck_assert_uint_eq(reg(CX), 2);
    ck_assert_str_eq(bench_ask("z2,2000,2"), "OK");
    ck_assert_str_eq(bench_ask("Z3,2003,1"), "OK"); // the second byte of the load
    ck_assert_str_eq(bench_ask("c"), "T05thread:01;rwatch:2003;");
    ck_assert_uint_eq(reg(PC), 0x100a);
    ck_assert_str_eq(bench_ask("z3,2003,1"), "OK");
    ck_assert_str_eq(bench_ask("Z4,2001,2"), "OK"); // touched by both
    ck_assert_str_eq(bench_ask("c"), "T05thread:01;awatch:2001;");
    ck_assert_uint_eq(reg(PC), 0x1007);
    ck_assert_str_eq(bench_ask("c"), "T05thread:01;awatch:2001;");
    ck_assert_uint_eq(reg(PC), 0x100a);
    ck_assert_str_eq(bench_ask("z4,2001,2"), "OK");
    ck_assert_str_eq(bench_ask("Z3,2000,1"), "OK"); // stored, never loaded
    ck_assert_str_eq(bench_ask("Z1,1010,1"), "OK");
    ck_assert_str_eq(bench_ask("c"), "T05thread:01;");
    ck_assert_uint_eq(reg(PC), 0x1010);
    ck_assert_uint_eq(reg(CX), 0x1000);
}
END_TEST

START_TEST(string_watchpoints)
{
    start(_i);
    ck_assert_str_eq(bench_ask("M3000,8:0102030405060708"), "OK");
    ck_assert_str_eq(bench_ask("Z2,4003,1"), "OK");
    ck_assert_str_eq(bench_ask("c"), "T05thread:01;watch:4003;");
    ck_assert_uint_eq(reg(PC), 0x1019); // in the middle of it
    ck_assert_uint_eq(reg(CX), 4);
    ck_assert_str_eq(bench_ask("m4000,8"), "0102030400000000");
    ck_assert_str_eq(bench_ask("Z1,101b,1"), "OK");
    ck_assert_str_eq(bench_ask("c"), "T05thread:01;");
    ck_assert_str_eq(bench_ask("m4000,8"), "0102030405060708");
}
END_TEST

START_TEST(steps)
{
    static const uint16_t path[] = {0x1002, 0x1003, 0x1007, 0x100a, 0x100e, 0x1002, 0x1003};

    start(_i);
    for (unsigned i = 0; i < ARRAY_SIZE(path); i++) {
        ck_assert_str_eq(bench_ask(i & 1 ? "vCont;s:1;c" : "s"), "T05thread:01;");
        ck_assert_uint_eq(reg(PC), path[i]);
    }
    ck_assert_str_eq(bench_ask("P10=1910000000000000"), "OK"); // REP MOVSB with CX 0
    ck_assert_str_eq(bench_ask("P2=0200000000000000"), "OK");
    for (unsigned cx = 2; cx--;) { // an iteration a step
        ck_assert_str_eq(bench_ask("s"), "T05thread:01;");
        ck_assert_uint_eq(reg(CX), cx);
    }
    ck_assert_uint_eq(reg(PC), 0x101b);
    // A fault: the step ends at its handler. 0F 0B is UD2; vector 6 of the IVT leads to 1000h.
    ck_assert_str_eq(bench_ask("M18,4:00100000"), "OK");
    ck_assert_str_eq(bench_ask("M6000,2:0f0b"), "OK");
    ck_assert_str_eq(bench_ask("s6000"), "T05thread:01;");
    ck_assert_uint_eq(reg(PC), 0x1000);
}
END_TEST

// 6000: sti; nop; nop; hlt; cli; jmp to itself. Vector 20h leads to 7000h: iret.
START_TEST(interrupts)
{
    start(_i);
    ck_assert_str_eq(bench_ask("M6000,7:fb9090f4faebfe"), "OK");
    ck_assert_str_eq(bench_ask("M7000,1:cf"), "OK");
    ck_assert_str_eq(bench_ask("M80,4:00700000"), "OK");
    bench_ask("s6000");
    bench_ask("s");
    ck_assert_uint_eq(reg(PC), 0x6002);
    bench_interrupt(0x20);
    ck_assert_str_eq(bench_ask("s"), "T05thread:01;"); // held off
    ck_assert_uint_eq(reg(PC), 0x6003);
    ck_assert_str_eq(bench_ask("Qqemu.sstep=1"), "OK");
    ck_assert_str_eq(bench_ask("s"), "T05thread:01;"); // taken instead of the instruction
    ck_assert_uint_eq(reg(PC), 0x7000);
    ck_assert_str_eq(bench_ask("s"), "T05thread:01;");
    ck_assert_uint_eq(reg(PC), 0x6003);
    ck_assert_str_eq(bench_ask("Qqemu.sstep=7"), "OK");
    ck_assert_str_eq(bench_ask("s"), "T05thread:01;"); // HLT is over at once for the debugger
    ck_assert_uint_eq(reg(PC), 0x6004);
    bench_send("s");
    bench_wait_asleep();
    bench_interrupt(0x20);
    ck_assert_str_eq(bench_reply(), "T05thread:01;");
    ck_assert_uint_eq(reg(PC), 0x7000); // before the CLI behind the HLT
    // And without steps
    ck_assert_str_eq(bench_ask("Z1,7000,1"), "OK");
    bench_send("c6000");
    bench_wait_asleep();
    bench_interrupt(0x20);
    ck_assert_str_eq(bench_reply(), "T05thread:01;");
    ck_assert_uint_eq(reg(PC), 0x7000);
}
END_TEST

START_TEST(leaving)
{
    start(_i);
    ck_assert_str_eq(bench_ask("Z1,101b,1"), "OK");
    ck_assert_str_eq(bench_ask("D"), "OK"); // takes the breakpoint along
    ck_assert(bench_running());
    bench_connect(false);
    bench_connect(true); // stops it
    ck_assert(!bench_running());
    ck_assert_str_eq(bench_ask("?"), "T05thread:01;");
    ck_assert_str_eq(bench_ask("Z1,1002,1"), "OK");
    bench_connect(false); // without a word
    ck_assert(!bench_running());
    bench_connect(true);
    bench_send("c1000"); // nothing is left to run into
    bench_raw("\x03", 1);
    ck_assert_str_eq(bench_reply(), "T02thread:01;");
    ck_assert_str_eq(bench_ask("qring3.Arch"), "x86-64;next:auto");
    ck_assert_str_eq(bench_ask("Qring3.Arch:i8086"), "OK");
    ck_assert_str_eq(bench_ask("qring3.Arch"), "x86-64;next:i8086");
    bench_connect(false);
    bench_connect(true);
    ck_assert_str_eq(bench_ask("qring3.Arch"), "i8086;next:i8086");
    ck_assert_uint_eq(strlen(bench_ask("p8")), 8); // eip
    bench_send("k");
    while (!bench_exits()) // carried out on the I/O thread
        bench_raw("+", 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gdb_session");
    TCase *t = tcase_create("all");

    tcase_set_timeout(t, 30);
    tcase_add_checked_fixture(t, NULL, bench_down);
    tcase_add_loop_test(t, handshake, 0, 2);
    tcase_add_loop_test(t, damage, 0, 2);
    tcase_add_loop_test(t, memory, 0, 2);
    tcase_add_loop_test(t, breakpoints, 0, 2);
    tcase_add_loop_test(t, flags_at_breakpoints, 0, 2);
    tcase_add_loop_test(t, watchpoints, 0, 2);
    tcase_add_loop_test(t, string_watchpoints, 0, 2);
    tcase_add_loop_test(t, steps, 0, 2);
    tcase_add_loop_test(t, interrupts, 0, 2);
    tcase_add_loop_test(t, leaving, 0, 2);
    suite_add_tcase(suite, t);
    return check_main(suite);
}
