// SPDX-License-Identifier: MIT
// Device fuzzing: bytes become reads, writes, time steps and outside events, on the bench of tests/unit/hw.
//
// Each fuzz_<device>.c names its device's register windows. Under libFuzzer (clang -fsanitize=fuzzer) it is
// the whole program; with fuzz_main.c it replays files or runs random inputs.
#pragma once

#include "tests/unit/hw/harness.h"

struct fuzz_window {
    bool memory; // else ports
    uint64_t base, size;
};

struct fuzz_target {
    const char *name;
    struct fuzz_window windows[8];       // up to the first of size 0
    void (*create)(void);                // once a process
    void (*reset)(void);                 // before each input
    void (*event)(uint8_t a, uint8_t b); // something from outside: an IRQ, a key, a character; may be NULL
    unsigned timers;                     // host timers the device owns: bounds how often they may fire
};

// Aborts on a broken invariant; always returns 0, as LLVMFuzzerTestOneInput must.
int fuzz_run(const struct fuzz_target *t, const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
