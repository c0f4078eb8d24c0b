// SPDX-License-Identifier: MIT
// A vCPU's thread: it owns the struct cpu (its thread-local vcpu_self), runs the accelerator, and pauses,
// resets and ends when asked.
#pragma once

#include "cpu/accel.h"
#include "cpu/cpuid.h"

struct vcpu;
struct vcpu_config {
    const struct accel_ops *accel;
    struct accel_config accel_config;
    const struct cpu_model *model;
    struct address_space *mem, *ports;
    unsigned index;
    // On the vCPU thread, without the big lock: at the first start and after each CPU_REQ_RESET. False: do
    // not run on (the machine is about to end).
    bool (*reset)(void *opaque, struct cpu *cpu, bool first);
    void *opaque;
};

// Starts the thread; on return the CPU exists (powered on, not running). 0 or -errno.
int vcpu_create(const struct vcpu_config *cfg, struct vcpu **out);
struct cpu *vcpu_cpu(struct vcpu *v);
int vcpu_thread_id(const struct vcpu *v); // the host's number, for query-cpus-fast
// The board is complete: initialise the accelerator and reset. The CPU runs once resumed. 0 or -errno.
int vcpu_start(struct vcpu *v);
void vcpu_resume(struct vcpu *v);
void vcpu_pause_async(struct vcpu *v); // any thread, lock or not
void vcpu_pause(struct vcpu *v);       // waits; not with the big lock held, not on the vCPU thread
// To look at the CPU: it waits, whether it is paused or not, until as many releases. Lock as for vcpu_pause().
void vcpu_hold(struct vcpu *v);
void vcpu_release(struct vcpu *v);
void vcpu_reset(struct vcpu *v); // any thread: a reset soon, while paused, too
// For good: no guest code runs any more, but the CPU is there until vcpu_destroy(). NULL is fine.
void vcpu_stop(struct vcpu *v);
// Ends the thread, and with it the CPU: only when no device can raise an interrupt any more. NULL is fine.
void vcpu_destroy(struct vcpu *v);
