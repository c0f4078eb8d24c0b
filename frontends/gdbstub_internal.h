// SPDX-License-Identifier: MIT
// One debugger's connection: what gdbstub.c (connection, run control) and gdbstub_commands.c (packets) share.
#pragma once

#include "cpu/debug_points.h"
#include "frontends/gdbstub_packet.h"
#include "frontends/gdbstub_regs.h"
#include "frontends/runstate.h"

// Bits of QEMU's qqemu.sstep packet.
enum { GDB_SSTEP_ENABLE = 1, GDB_SSTEP_NOIRQ = 2, GDB_SSTEP_NOTIMER = 4, GDB_SSTEP_ALL = 7 };

struct gdbstub {
    struct machine *machine;
    struct runstate *runstate;
    struct cpu *cpu;
    struct chardev *chr;
    struct debug_points points;
    struct run_listener listener;
    // --- the connection
    bool connected, no_ack;
    bool swbreak, hwbreak; // the debugger knows these stop reasons
    bool awaiting;         // it has let the machine run and waits to hear of a stop
    bool silent;           // the packet being done gets no reply (yet)
    struct gdb_reader in;
    struct gdb_reply reply;
    uint8_t sent[2 * GDB_PACKET_MAX + 4]; // the last reply, for a NAK
    size_t sent_len;
    uint8_t *out; // what the stream could not take yet
    size_t out_len, out_size;
    // --- how it wants to see the machine
    enum gdb_arch arch;
    enum gdb_arch next_arch; // and of the next connection, if it is
    bool arch_fixed;         // by a Qring3.Arch packet
    bool physical;           // addresses are guest-physical
    unsigned sstep;          // GDB_SSTEP_*
    char *xml;               // target.xml as it was begun to be read
    size_t xml_len;
};

// --- gdbstub.c. Big lock held, which the run control releases meanwhile.
void gdbstub_resume(struct gdbstub *s, bool step);
void gdbstub_send(struct gdbstub *s);     // s->reply, which is empty afterwards
void gdbstub_put_stop(struct gdbstub *s); // the reason of the last stop, into s->reply

// --- gdbstub_commands.c: the packet in s->in, to s->reply
void gdbstub_execute(struct gdbstub *s);
