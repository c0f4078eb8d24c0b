// SPDX-License-Identifier: MIT
// The vCPU thread.
#include "frontends/vcpu.h"

#include "cpu/cpu.h"
#include "cpu/fpu.h"
#include "cpu/interrupt.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct vcpu {
    struct vcpu_config cfg;
    pthread_t thread;
    struct cpu *cpu;
    pthread_mutex_t lock; // guards all below; cond says one of them changed
    pthread_cond_t cond;
    bool created, start, started, pause, parked, quit, stopped, leave, reset;
    unsigned holds; // of vcpu_hold(); the CPU waits while there is one
    int error;      // of accel->init
    pid_t thread_id;
};

static void publish(struct vcpu *v, bool *flag)
{
    pthread_mutex_lock(&v->lock);
    *flag = true;
    pthread_cond_broadcast(&v->cond);
    pthread_mutex_unlock(&v->lock);
}

static void wait_for(struct vcpu *v, const bool *flag)
{
    pthread_mutex_lock(&v->lock);
    while (!*flag)
        pthread_cond_wait(&v->cond, &v->lock);
    pthread_mutex_unlock(&v->lock);
}

static bool must_park(const struct vcpu *v) { return (v->pause || v->holds) && !v->quit; }

// Waits while paused, and carries out resets meanwhile. False: the thread ends.
static bool park(struct vcpu *v, struct cpu *cpu)
{
    bool quit;

    pthread_mutex_lock(&v->lock);
    while (must_park(v)) {
        if (v->reset && !v->holds) {
            v->reset = false;
            cpu_request_clear(cpu, CPU_REQ_RESET);
            pthread_mutex_unlock(&v->lock);
            v->cfg.reset(v->cfg.opaque, cpu, false);
            pthread_mutex_lock(&v->lock);
            continue;
        }
        v->parked = true;
        pthread_cond_broadcast(&v->cond);
        pthread_cond_wait(&v->cond, &v->lock);
        v->parked = false;
    }
    quit = v->quit;
    pthread_mutex_unlock(&v->lock);
    return !quit;
}

static bool wait_for_start(struct vcpu *v)
{
    bool quit;

    pthread_mutex_lock(&v->lock);
    while (!v->start && !v->quit)
        pthread_cond_wait(&v->cond, &v->lock);
    quit = v->quit;
    pthread_mutex_unlock(&v->lock);
    return !quit;
}

static void take_reset(struct vcpu *v, struct cpu *cpu)
{
    pthread_mutex_lock(&v->lock);
    v->reset = false;
    cpu_request_clear(cpu, CPU_REQ_RESET);
    pthread_mutex_unlock(&v->lock);
}

static void run(struct vcpu *v, struct cpu *cpu)
{
    while (park(v, cpu)) {
        uint32_t requests;

        v->cfg.accel->run(cpu, 0);
        requests = cpu_requests(cpu);
        if (requests & CPU_REQ_RESET) {
            take_reset(v, cpu);
            if (!v->cfg.reset(v->cfg.opaque, cpu, false))
                vcpu_pause_async(v);
        }
        // Cleared before `pause` is looked at, so that a pause asked for in between is not lost.
        cpu_request_clear(cpu, CPU_REQ_STOP);
    }
}

// From vcpu_start() to vcpu_stop(). True if there is an accelerator to destroy.
static bool live(struct vcpu *v, struct cpu *cpu)
{
    if (!wait_for_start(v))
        return false;
    v->error = cpu_fpu_init(cpu);
    if (!v->error)
        v->error = v->cfg.accel->init(cpu, &v->cfg.accel_config);
    if (!v->error)
        cpu->kick = v->cfg.accel->kick; // cpu_request() from any thread reaches running code from here on
    if (!v->error && !v->cfg.reset(v->cfg.opaque, cpu, true))
        v->error = -EIO;
    publish(v, &v->started);
    if (!v->error)
        run(v, cpu);
    return !v->error || v->error == -EIO;
}

static void *vcpu_main(void *opaque)
{
    struct vcpu *v = opaque;
    struct cpu *cpu = &vcpu_self;
    bool accelerated;

    cpu_init(cpu, v->cfg.mem, v->cfg.ports, v->cfg.model, v->cfg.index);
    v->cpu = cpu;
    v->thread_id = gettid();
    publish(v, &v->created);
    accelerated = live(v, cpu);
    publish(v, &v->stopped);
    // The board's timers may still raise interrupts, which look at the CPU and kick it.
    wait_for(v, &v->leave);
    if (accelerated)
        v->cfg.accel->destroy(cpu);
    free(cpu->xsave);
    cpu->xsave = NULL;
    return NULL;
}

int vcpu_create(const struct vcpu_config *cfg, struct vcpu **out)
{
    struct vcpu *v = calloc(1, sizeof(*v));
    int ret;

    if (!v)
        return -ENOMEM;
    v->cfg = *cfg;
    v->pause = true;
    pthread_mutex_init(&v->lock, NULL);
    pthread_cond_init(&v->cond, NULL);
    ret = pthread_create(&v->thread, NULL, vcpu_main, v);
    if (ret) {
        free(v);
        return -ret;
    }
    pthread_setname_np(v->thread, "ring3-vcpu0");
    wait_for(v, &v->created);
    *out = v;
    return 0;
}

struct cpu *vcpu_cpu(struct vcpu *v) { return v->cpu; }
int vcpu_thread_id(const struct vcpu *v) { return (int)v->thread_id; }

int vcpu_start(struct vcpu *v)
{
    publish(v, &v->start);
    wait_for(v, &v->started);
    return v->error;
}

void vcpu_resume(struct vcpu *v)
{
    pthread_mutex_lock(&v->lock);
    v->pause = false;
    pthread_cond_broadcast(&v->cond);
    pthread_mutex_unlock(&v->lock);
}

void vcpu_pause_async(struct vcpu *v)
{
    publish(v, &v->pause);
    cpu_request(v->cpu, CPU_REQ_STOP);
}

static void wait_until_parked(struct vcpu *v)
{
    pthread_mutex_lock(&v->lock);
    while (v->started && !v->error && !v->parked && must_park(v))
        pthread_cond_wait(&v->cond, &v->lock);
    pthread_mutex_unlock(&v->lock);
}

void vcpu_pause(struct vcpu *v)
{
    vcpu_pause_async(v);
    wait_until_parked(v);
}

void vcpu_hold(struct vcpu *v)
{
    pthread_mutex_lock(&v->lock);
    v->holds++;
    pthread_mutex_unlock(&v->lock);
    cpu_request(v->cpu, CPU_REQ_STOP);
    wait_until_parked(v);
}

void vcpu_release(struct vcpu *v)
{
    pthread_mutex_lock(&v->lock);
    v->holds--;
    pthread_cond_broadcast(&v->cond);
    pthread_mutex_unlock(&v->lock);
}

void vcpu_reset(struct vcpu *v)
{
    pthread_mutex_lock(&v->lock);
    v->reset = true;
    cpu_request(v->cpu, CPU_REQ_RESET); // inside, as take_reset() clears both at once
    pthread_cond_broadcast(&v->cond);
    pthread_mutex_unlock(&v->lock);
}

void vcpu_stop(struct vcpu *v)
{
    if (!v)
        return;
    publish(v, &v->quit);
    cpu_request(v->cpu, CPU_REQ_STOP);
    wait_for(v, &v->stopped);
}

void vcpu_destroy(struct vcpu *v)
{
    if (!v)
        return;
    vcpu_stop(v);
    publish(v, &v->leave);
    pthread_join(v->thread, NULL);
    free(v);
}
