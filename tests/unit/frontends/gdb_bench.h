// SPDX-License-Identifier: MIT
// A vCPU that really runs, its run state and a gdb stub, with a character device of the test's own at the other end.
#pragma once

#include "base/types.h"

enum { BENCH_RAM = 1 << 20, BENCH_START = 0x1000 };

// Real-mode code at BENCH_START, CS, DS and SS 0; the machine has not been started. Once a process.
void bench_up(const char *accel, const uint8_t *code, size_t len);
void bench_down(void);
extern uint8_t *bench_ram;

void bench_connect(bool on);
void bench_raw(const void *bytes, size_t len); // what the debugger sends
void bench_send(const char *packet);           // the same, framed
// The next packet that the stub sends, unframed; acknowledgments before it are taken off and counted in bench_acks.
// Fails the test if none comes.
const char *bench_reply(void);
extern unsigned bench_acks, bench_naks;
void bench_drop_output(void);              // what the stub sent so far
const char *bench_ask(const char *packet); // both
void bench_interrupt(uint8_t vector);      // raises the line of the interrupt controller; taking it lowers it
void bench_wait_asleep(void);              // until the CPU sleeps in a HLT
bool bench_running(void);
unsigned bench_exits(void); // how often the machine was asked to end
