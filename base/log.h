// SPDX-License-Identifier: MIT
// Run-time log: categories selected with -d, written to stderr or the file of -D.
#pragma once

#include "base/types.h"

// X(name, help): one line per category; -d NAME switches it on.
#define LOG_CATEGORIES(X)                                                      \
    X(in_asm, "guest code as it is translated, with Capstone")                 \
    X(out_asm, "host code that a translated block became")                     \
    X(int, "interrupts and exceptions as they are delivered")                  \
    X(exec, "each translated block as the dispatcher enters it")               \
    X(mmu, "page walks, shadow fills and invalidations")                       \
    X(stats, "all counters, at exit")                                          \
    X(guest_errors, "things the guest did that no real machine would welcome") \
    X(unimp, "guest accesses to parts that are not modelled")                  \
    X(cpu_reset, "CPU state before each reset")                                \
    X(virtio, "virtqueue set-up and errors")                                   \
    X(pci, "PCI configuration and BAR changes")                                \
    X(trace, "every instruction with the registers after it (slow)")

enum log_category {
#define X(name, help) LOG_##name,
    LOG_CATEGORIES(X)
#undef X
        LOG_COUNT
};

extern uint32_t log_mask; // bit per category; written at start-up and by the monitor only

static inline bool log_on(enum log_category c) { return UNLIKELY(log_mask & (1u << c)); }

// One line to the log if the category is on. Not async-signal-safe.
void log_printf(enum log_category c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// "a,b,c" as -d takes it. Returns 0, or -EINVAL with the first unknown name in *bad.
int log_set_mask(const char *list, char bad[32]);
// File for -D; NULL is stderr. Returns 0 or a negative errno.
int log_set_file(const char *path);
void log_flush(void);

// A message for the user on stderr: "ring3: ...\n".
void error_report(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void warn_report(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
