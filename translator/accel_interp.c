// SPDX-License-Identifier: MIT
// -accel interp: the run loop around interp_step.
#include <errno.h>

#include "base/log.h"
#include "cpu/accel.h"
#include "base/vectors.h"
#include "cpu/cpu.h"
#include "cpu/debug_points.h"
#include "cpu/fpu.h"
#include "cpu/interrupt.h"
#include "translator/host_fault.h"
#include "translator/interp.h"

static void save_vectors(void *opaque) { cpu_fpu_save(opaque); }

static int accel_interp_init(struct cpu *cpu, const struct accel_config *cfg)
{
    struct interp *in;
    int err = cpu_fpu_init(cpu);
    if (!err)
        err = host_fault_init();
    if (!err)
        err = host_fault_thread_init();
    if (!err)
        err = interp_create(&in, cpu);
    if (err)
        return err;
    vectors_hook = (struct vectors_hook){save_vectors, cpu};
    cpu->accel = in;
    return 0;
}

static void print_line(void *opaque, const char *line) { log_printf(LOG_trace, "%s", line); }

static void trace(struct cpu *cpu)
{
    cpu_fpu_save(cpu);
    cpu_dump(cpu, print_line, NULL);
}

// Everything that changes across the longjmp lives in memory: cpu, and n, which is volatile.
static void accel_interp_run(struct cpu *cpu, uint64_t max_insns)
{
    volatile uint64_t n = 0;
    if (setjmp(cpu->unwind))
        cpu_deliver_exception(cpu); // may come back here with the next one
    for (;;) {
        if (debug_done(cpu))
            break;
        uint32_t req = cpu_requests(cpu);
        if (req & (CPU_REQ_STOP | CPU_REQ_RESET))
            break;
        if (req & CPU_REQ_FLUSH)
            cpu_request_clear(cpu, CPU_REQ_FLUSH); // nothing is cached without being checked
        if (cpu_interrupt_pending(cpu))
            cpu_take_interrupt(cpu);
        if (cpu->halted) {
            cpu_fpu_save(cpu);
            cpu_halt_wait(cpu);
            continue;
        }
        if (max_insns && n >= max_insns)
            break;
        if (debug_break(cpu))
            break;
        n++;
        interp_step(cpu->accel);
        if (log_on(LOG_trace))
            trace(cpu);
    }
    cpu_fpu_save(cpu);
    debug_report(cpu);
}

static void accel_interp_kick(struct cpu *cpu)
{
    // The loop looks at its requests after every instruction, and cpu_request wakes a halted vCPU.
}

static void accel_interp_destroy(struct cpu *cpu)
{
    interp_destroy(cpu->accel);
    cpu->accel = NULL;
}

const struct accel_ops accel_interp = {
    .name = "interp",
    .help = "one instruction at a time: the reference (slow)",
    .init = accel_interp_init,
    .run = accel_interp_run,
    .kick = accel_interp_kick,
    .destroy = accel_interp_destroy,
};
