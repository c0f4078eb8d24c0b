// SPDX-License-Identifier: MIT
// A bench for device models: real address spaces, a clock that the test moves, recorded IRQ lines and CPUs.
#include "tests/unit/hw/harness.h"

#include <stdlib.h>
#include <string.h>

#include "base/loop.h"
#include "tests/unit/check_main.h"

struct address_space *ports, *mem;
struct ram bench_ram;
uint64_t bench_now, bench_timer_runs;
struct bench_line bench_line[BENCH_LINES];
struct cpu bench_cpu[BENCH_CPUS];
_Thread_local struct cpu vcpu_self __attribute__((tls_model("local-exec"), aligned(64)));

// --- the loop

struct loop_timer {
    void (*fn)(void *);
    void *opaque;
    uint64_t deadline;
    bool pending;
    struct loop_timer *next;
};
static struct loop_timer *timers;

uint64_t clock_now_ns(void) { return bench_now; }
uint64_t clock_tsc_hz(void) { return 2000000000; }

struct loop_timer *loop_timer_new(void (*fn)(void *), void *opaque)
{
    struct loop_timer *t = calloc(1, sizeof(*t));
    *t = (struct loop_timer){.fn = fn, .opaque = opaque, .next = timers};
    return timers = t;
}

void loop_timer_free(struct loop_timer *t) { t->pending = false; }

void loop_timer_mod(struct loop_timer *t, uint64_t deadline_ns)
{
    t->deadline = deadline_ns;
    t->pending = true;
}

void loop_timer_del(struct loop_timer *t) { t->pending = false; }
bool loop_timer_pending(const struct loop_timer *t) { return t->pending; }

// Block back ends watch for completions; block_read() and its like find theirs without.
struct loop_watch {
    int unused;
};
struct loop_watch *loop_watch_new(int fd, unsigned events, void (*fn)(void *, unsigned), void *opaque)
{
    return calloc(1, sizeof(struct loop_watch));
}
void loop_watch_set(struct loop_watch *w, unsigned events) {}
void loop_watch_free(struct loop_watch *w) { free(w); }

void bench_advance(uint64_t ns)
{
    uint64_t end = bench_now + ns;
    for (;;) {
        struct loop_timer *first = NULL;
        for (struct loop_timer *t = timers; t; t = t->next)
            if (t->pending && t->deadline <= end && (!first || t->deadline < first->deadline))
                first = t;
        if (!first)
            break;
        if (first->deadline > bench_now)
            bench_now = first->deadline;
        first->pending = false;
        bench_timer_runs++;
        first->fn(first->opaque);
    }
    bench_now = end;
}

// --- lines and CPUs

void bench_set_line(void *opaque, unsigned n, bool level)
{
    if (level && !bench_line[n].level)
        bench_line[n].rises++;
    bench_line[n].level = level;
}

struct irq_line bench_irq(unsigned n) { return (struct irq_line){bench_set_line, NULL, n}; }

void cpu_request(struct cpu *cpu, uint32_t bits) { cpu->request |= bits; }
void cpu_request_clear(struct cpu *cpu, uint32_t bits) { cpu->request &= ~bits; }

void bench_become_cpu(int n)
{
    vcpu_self.intc = n < 0 ? NULL : bench_cpu[n].intc;
    vcpu_self.intc_opaque = n < 0 ? NULL : bench_cpu[n].intc_opaque;
}

// --- life

void bench_init(void)
{
    timers = NULL;
    bench_now = 1000000000;
    bench_timer_runs = 0;
    memset(bench_line, 0, sizeof(bench_line));
    memset(bench_cpu, 0, sizeof(bench_cpu));
    bench_become_cpu(-1);
    // A test may begin anew: what its first devices hold on to stays, and stays in sight of the leak checker.
    static void *kept[64];
    static unsigned n_kept;
    void *const old[] = {ports, mem, bench_ram.base, bench_ram.dirty};
    for (unsigned i = 0; i < ARRAY_SIZE(old) && n_kept < ARRAY_SIZE(kept); i++)
        kept[n_kept++] = old[i];
    ports = as_create("ports", 0x10000);
    mem = as_create("mem", 1ull << 40);
    // Plain memory, not ram_create(): its address-space reservations and AddressSanitizer's shadow collide.
    bench_ram = (struct ram){
        .base = calloc(1, BENCH_RAM),
        .size = BENCH_RAM,
        .dirty = calloc(BENCH_RAM / PAGE_SIZE / 64, sizeof(uint64_t)),
    };
    if (!ports || !mem || !bench_ram.base || !bench_ram.dirty ||
        !as_map_ram(mem, "ram", 0, BENCH_RAM, &bench_ram, 0, false, 0))
        abort();
}

int bench_main(const char *name, const TTest *const *tests, unsigned n)
{
    return check_list_main((struct check_list){.name = name, .tests = tests, .count = n, .set_up = bench_init});
}
