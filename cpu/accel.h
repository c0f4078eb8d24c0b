// SPDX-License-Identifier: MIT
// The accelerator interface: what executes a vCPU's instructions.
#pragma once

#include "cpu/state.h"

enum {                         // optimisations of bt
    ACCEL_NO_CHAIN = 1,        // direct branches always return to the dispatcher
    ACCEL_NO_IBL = 2,          // indirect ones, too
    ACCEL_NO_FLAGS = 4,        // all flags taken for live everywhere
    ACCEL_NO_RUNS = 8,         // stack instructions one at a time
    ACCEL_NO_REMAT = 16,       // live flags are always kept, never made again
    ACCEL_NO_HIGH = 32,        // guest r14/r15 go back to memory after each instruction
    ACCEL_NO_LEGACY = 64,      // real mode, VM86, 16-bit code and segments that are not flat: interpreted
    ACCEL_NO_SPANS = 128,      // each memory access looks its page up by itself
    ACCEL_NO_CLONE = 256,      // the same code at another address is translated again
    ACCEL_NO_WINDOW = 512,     // loads from low memory always look their page up
    ACCEL_NO_STRINGS = 1024,   // string instructions always go through their helper
    ACCEL_NO_UNROLL = 2048,    // small loops stand in a block once
    ACCEL_NO_SELF_KICK = 4096, // late timers are left to the I/O thread
    ACCEL_NO_RECHECK = 8192,   // after a flush of the TLB all links between pages are verified again
    ACCEL_NO_SWAP = 16384,     // guest r14/r15 never take the places of others
    ACCEL_SWAP_EAGER = 32768,  // not one of them: they do so wherever they can, for tests
};

struct accel_config {
    uint64_t tb_bytes; // code-cache size, 0 for the default
    uint32_t disable;  // ACCEL_NO_* bits: optimisations switched off, for differential tests
};

struct accel_ops {
    const char *name; // -accel NAME
    const char *help;
    int (*init)(struct cpu *cpu, const struct accel_config *cfg); // on the vCPU thread; 0 or -errno
    // Runs until CPU_REQ_STOP, CPU_REQ_RESET or (max_insns > 0, interp only) so many instructions.
    void (*run)(struct cpu *cpu, uint64_t max_insns);
    // Any thread: make a running vCPU look at its requests soon.
    void (*kick)(struct cpu *cpu);
    void (*destroy)(struct cpu *cpu);
};

extern const struct accel_ops accel_interp, accel_bt;
const struct accel_ops *accel_find(const char *name);
