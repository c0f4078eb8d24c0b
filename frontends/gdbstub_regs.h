// SPDX-License-Identifier: MIT
// Registers as GDB numbers and describes them: one table an architecture, which the target description, the g packet
// and single accesses are all made from.
#pragma once

#include "cpu/state.h"

enum gdb_arch { GDB_X86_64, GDB_I386, GDB_I8086, GDB_ARCHS };

const char *gdb_arch_name(enum gdb_arch a);
// Names "x86-64", "i386", "i8086"; false if it is none of them.
bool gdb_arch_parse(const char *name, enum gdb_arch *out);
// What fits the state the CPU is in: a 64-bit CPU is one whatever mode it is in (as QEMU's is), unless an
// operating system of 32 bits runs on it.
enum gdb_arch gdb_arch_of(const struct cpu *cpu);

enum { GDB_REG_BYTES = 32 }; // the largest one

unsigned gdb_reg_count(enum gdb_arch a);
// How many registers, from number 0 on, are in the g packet: the others are asked for one by one.
unsigned gdb_reg_count_g(enum gdb_arch a);
// The name, for tests; NULL past the end.
const char *gdb_reg_name(enum gdb_arch a, unsigned n);

// --- big lock held, the vCPU parked
// Writes the register as it lies in memory; returns its size, 0 if there is none of that number.
unsigned gdb_reg_read(struct cpu *cpu, enum gdb_arch a, unsigned n, uint8_t *out);
// Size as above with the register changed; or 0: no such register; or -1: it cannot take this value.
int gdb_reg_write(struct cpu *cpu, enum gdb_arch a, unsigned n, const uint8_t *in);
// The program counter in the form this architecture's register has.
int gdb_set_pc(struct cpu *cpu, enum gdb_arch a, uint64_t v); // 0 or -1

// The description, target.xml. Freed by the caller; NULL: out of memory. Size without the final 0 in *len.
char *gdb_target_xml(enum gdb_arch a, size_t *len);

// --- for gdbstub_xml.c
struct gdb_reg {
    const char *name, *type, *group; // group: NULL for GDB's own idea of it
    uint16_t bits;
    uint8_t kind, n;
    uint8_t feature; // of which the register begins a new one if it differs from the row before
};
const struct gdb_reg *gdb_reg_row(enum gdb_arch a, unsigned n);
enum gdb_feature { GDB_CORE, GDB_SSE, GDB_AVX, GDB_AVX512, GDB_SEGMENTS, GDB_CONTROL, GDB_TABLES };
