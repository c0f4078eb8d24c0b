// SPDX-License-Identifier: MIT
// Packets of the GDB remote serial protocol: taking them out of a byte stream, and putting replies into one.
// GDB manual, appendix E.1 "Overview": $data#checksum, }-escapes, * run lengths, + and - acknowledgments.
#pragma once

#include "base/types.h"

enum { GDB_PACKET_MAX = 0x4000 }; // bytes of data in one packet, as we tell the debugger

// --- in
struct gdb_reader {
    enum { GDB_IDLE, GDB_DATA, GDB_ESCAPE, GDB_RUN, GDB_SUM1, GDB_SUM2 } state;
    uint8_t sum, want;
    bool bad; // too long, or an impossible run length
    size_t len;
    char data[GDB_PACKET_MAX + 1]; // of the packet that is complete: ends with a 0 that len does not count
};
enum gdb_event { GDB_NOTHING, GDB_PACKET, GDB_BROKEN, GDB_ACK, GDB_NAK, GDB_INTERRUPT };
enum gdb_event gdb_read_byte(struct gdb_reader *r, uint8_t byte);

// --- out
struct gdb_reply {
    size_t len;
    bool full; // something did not fit
    uint8_t data[GDB_PACKET_MAX];
};
void gdb_put(struct gdb_reply *p, const void *data, size_t len); // as it is
void gdb_putf(struct gdb_reply *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void gdb_put_hex(struct gdb_reply *p, const void *data, size_t len); // two digits a byte
// The reply as it goes over the wire, with what has a meaning there escaped. Returns its length, at most
// 2 * GDB_PACKET_MAX + 4.
size_t gdb_frame(const struct gdb_reply *p, uint8_t *wire);

// --- numbers. Each takes what it understands off *s.
bool gdb_take_hex(const char **s, uint64_t *out); // up to 16 digits; false: none
bool gdb_take(const char **s, const char *prefix);
// len bytes as two digits each; false: too few.
bool gdb_take_bytes(const char **s, uint8_t *out, size_t len);
