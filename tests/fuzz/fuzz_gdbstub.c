// SPDX-License-Identifier: MIT
// Fuzz target: what a debugger sends. The first byte chooses: raw bytes, or packets that are framed rightly (a newline
// ends each; bytes 128 and up stand for beginnings of packets), so that random input gets to the commands.
#include "frontends/gdbstub_packet.h"
#include "tests/unit/frontends/gdb_bench.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// clang-format off
static const char *const words[] = {
    "g", "G", "p", "P", "m", "M", "X", "Z0,", "Z1,", "Z2,", "Z3,", "Z4,", "z0,", "z2,", "c", "s", "C05", "S05", "vCont;c",
    "vCont;s:1", "H", "T", "?", "D", "qSupported:", "qXfer:features:read:target.xml:", "qqemu.sstep", "Qqemu.sstep=",
    "Qqemu.PhyMemMode:", "Qring3.Arch:i8086", "qC", "QStartNoAckMode", "0", "1000", "2000", ",", ":", "=", ";", "ff",
};
// clang-format on

static void send_packets(const uint8_t *data, size_t size)
{
    static struct gdb_reply p;
    static uint8_t wire[2 * GDB_PACKET_MAX + 4];

    p.len = 0;
    for (size_t i = 0; i <= size; i++) {
        if (i == size || data[i] == '\n') {
            bench_raw(wire, gdb_frame(&p, wire));
            p.len = 0;
        } else if (data[i] >= 128) {
            const char *word = words[(data[i] - 128u) % ARRAY_SIZE(words)];
            gdb_put(&p, word, strlen(word));
        } else {
            gdb_put(&p, &data[i], 1);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t code[] = {0x40, 0xa3, 0x00, 0x20, 0xeb, 0xfa}; // inc ax; mov [2000h],ax; jmp back
    static bool up;

    if (!up)
        bench_up("interp", code, sizeof(code));
    up = true;
    bench_connect(true);
    if (size && data[0] & 1)
        bench_raw(data + 1, size - 1);
    else if (size)
        send_packets(data + 1, size - 1);
    bench_raw("\x03", 1); // whatever it was told to do, it stops
    bench_drop_output();
    bench_connect(false);
    return 0;
}
