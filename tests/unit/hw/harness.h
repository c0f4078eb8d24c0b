// SPDX-License-Identifier: MIT
// A bench for device models: real address spaces, a clock that the test moves, recorded IRQ lines and CPUs.
#pragma once

#include <check.h>

#include "cpu/interrupt.h"
#include "hw/irq.h"
#include "softmmu/address_space.h"

enum { BENCH_RAM = 0x100000, BENCH_LINES = 32, BENCH_CPUS = 4 };

extern struct address_space *ports, *mem;
extern struct ram bench_ram; // mapped at 0 in mem
void bench_init(void);       // once a test: fresh address spaces, time 1 s, no timers

// --- time: replaces base/loop.h. Due timers run in order, each at its own deadline.
extern uint64_t bench_now;
extern uint64_t bench_timer_runs;
void bench_advance(uint64_t ns);

// --- IRQ lines
extern struct bench_line {
    bool level;
    unsigned rises;
} bench_line[BENCH_LINES];
struct irq_line bench_irq(unsigned n);
void bench_set_line(void *opaque, unsigned n, bool level);

// --- CPUs: requests land in cpu->request
extern struct cpu bench_cpu[BENCH_CPUS];
void bench_become_cpu(int n); // this thread is vCPU n; -1: none

// --- access
static inline uint8_t inb(uint16_t p) { return (uint8_t)as_load(ports, p, 1); }
static inline uint16_t inw(uint16_t p) { return (uint16_t)as_load(ports, p, 2); }
static inline uint32_t inl(uint16_t p) { return (uint32_t)as_load(ports, p, 4); }
static inline void outb(uint16_t p, uint8_t v) { as_store(ports, p, v, 1); }
static inline void outw(uint16_t p, uint16_t v) { as_store(ports, p, v, 2); }
static inline void outl(uint16_t p, uint32_t v) { as_store(ports, p, v, 4); }
static inline uint32_t readl(gpa a) { return (uint32_t)as_load(mem, a, 4); }
static inline void writel(gpa a, uint32_t v) { as_store(mem, a, v, 4); }

// Runs the tests, each in a process of its own with a fresh bench. Returns main's status.
int bench_main(const char *name, const TTest *const *tests, unsigned n);
