// SPDX-License-Identifier: MIT
// Requests from other threads to a vCPU, and when they are taken.
#pragma once

#include "cpu/state.h"

enum {
    CPU_REQ_INTR = 1 << 0, // the interrupt controller has something to deliver (level)
    CPU_REQ_NMI = 1 << 1,
    CPU_REQ_SMI = 1 << 2,
    CPU_REQ_INIT = 1 << 3,
    CPU_REQ_SIPI = 1 << 4,
    CPU_REQ_RESET = 1 << 5, // the machine wants a reset: leave the run loop
    CPU_REQ_STOP = 1 << 6,  // leave the run loop (pause, quit)
    CPU_REQ_FLUSH = 1 << 7, // engine work queued by another thread
};

// Any thread. Sets bits and makes the vCPU notice: an accelerator kicks it out of translated code,
// a halted one wakes.
void cpu_request(struct cpu *cpu, uint32_t bits);
void cpu_request_clear(struct cpu *cpu, uint32_t bits);
static inline uint32_t cpu_requests(const struct cpu *cpu)
{
    return __atomic_load_n((const uint32_t *)&cpu->request, __ATOMIC_ACQUIRE);
}

// vCPU thread: is there anything to do before the next instruction, given IF, shadows and NMI blocking?
bool cpu_interrupt_pending(const struct cpu *cpu);
// vCPU thread: must translated code come back to the dispatcher? An interrupt that waits for IF is no reason.
bool cpu_attention_due(const struct cpu *cpu);
// Takes one: NMI, or INTR through intc->acknowledge and the IDT. May unwind with an exception.
void cpu_take_interrupt(struct cpu *cpu);
// Sleeps while halted until a request that wakes it (or STOP/RESET) comes.
void cpu_halt_wait(struct cpu *cpu);
