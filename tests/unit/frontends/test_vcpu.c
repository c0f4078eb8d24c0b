// SPDX-License-Identifier: MIT
// The vCPU's thread: how long the CPU is there for the board. The accelerator is a stub.
#include "frontends/vcpu.h"

#include "cpu/cpu.h"
#include "cpu/interrupt.h"
#include "tests/unit/check_main.h"

#include <sched.h>
#include <stdatomic.h>

static _Atomic unsigned kicks, runs, destroyed;

static int stub_init(struct cpu *cpu, const struct accel_config *cfg) { return 0; }
static void stub_kick(struct cpu *cpu) { kicks++; }
static void stub_destroy(struct cpu *cpu) { destroyed++; }

static void stub_run(struct cpu *cpu, uint64_t max_insns)
{
    runs++;
    while (!(cpu_requests(cpu) & (CPU_REQ_STOP | CPU_REQ_RESET)))
        sched_yield();
}

static const struct accel_ops stub = {
    .name = "stub", .init = stub_init, .run = stub_run, .kick = stub_kick, .destroy = stub_destroy};

static bool reset(void *opaque, struct cpu *cpu, bool first) { return true; }

static struct cpu_model model;
static struct vcpu *vcpu;
static struct address_space *mem, *ports;

static void tear_down(void)
{
    as_destroy(mem);
    as_destroy(ports);
}

static void set_up(void)
{
    struct vcpu_config cfg = {.accel = &stub, .model = &model, .reset = reset};
    char why[200];

    ck_assert(cpu_model_parse("max", &model, why) == 0);
    cfg.mem = mem = as_create("memory", 1ull << model.maxphyaddr);
    cfg.ports = ports = as_create("ports", 1 << 16);
    ck_assert(vcpu_create(&cfg, &vcpu) == 0);
}

// A timer of the board may raise an interrupt between the CPU's last instruction and the end of the I/O thread.
START_TEST(a_stopped_cpu_takes_interrupts)
{
    unsigned before;

    ck_assert(vcpu_start(vcpu) == 0);
    vcpu_resume(vcpu);
    while (!runs)
        sched_yield();
    vcpu_stop(vcpu);
    before = kicks;
    cpu_request(vcpu_cpu(vcpu), CPU_REQ_INTR);
    ck_assert(cpu_requests(vcpu_cpu(vcpu)) & CPU_REQ_INTR);
    ck_assert_uint_eq(kicks, before + 1); // and what a kick needs is still there
    ck_assert_uint_eq(destroyed, 0);
    vcpu_destroy(vcpu);
    ck_assert_uint_eq(destroyed, 1);
}
END_TEST

START_TEST(a_stopped_cpu_runs_no_more)
{
    unsigned before;

    ck_assert(vcpu_start(vcpu) == 0);
    vcpu_stop(vcpu);
    before = runs;
    vcpu_resume(vcpu);
    vcpu_reset(vcpu);
    vcpu_pause(vcpu); // does not wait for a thread that will not answer
    vcpu_destroy(vcpu);
    ck_assert_uint_eq(runs, before);
}
END_TEST

START_TEST(a_cpu_that_never_started_ends)
{
    vcpu_destroy(vcpu);
    ck_assert_uint_eq(destroyed, 0);
    vcpu_stop(NULL);
    vcpu_destroy(NULL);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_stopped_cpu_takes_interrupts,
        a_stopped_cpu_runs_no_more,
        a_cpu_that_never_started_ends,
    };
    return check_list_main((struct check_list){.name = "vcpu",
                                               .tests = tests,
                                               .count = ARRAY_SIZE(tests),
                                               .set_up = set_up,
                                               .tear_down = tear_down,
                                               .timeout = 20});
}
