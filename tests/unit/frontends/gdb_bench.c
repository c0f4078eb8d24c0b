// SPDX-License-Identifier: MIT
// The bench of the gdb stub's tests.
#include "gdb_bench.h"

#include "base/biglock.h"
#include "base/loop.h"
#include "cpu/cpu.h"
#include "cpu/interrupt.h"
#include "frontends/gdbstub.h"
#include "frontends/gdbstub_packet.h"
#include "frontends/machine.h"
#include "hw/chardev.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// Check's own assertions work inside its tests only, and this serves a fuzz target, too.
#define must(condition)                                                               \
    do {                                                                              \
        if (!(condition)) {                                                           \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                  \
        }                                                                             \
    } while (0)

uint8_t *bench_ram;
unsigned bench_acks, bench_naks;
static struct machine machine;
static struct chardev chr;
static struct gdb_reader reader;
static unsigned exits;

// What the stub wrote: big lock held by the writer, so a lock of its own lets the test wait.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static uint8_t wire[1 << 20];
static size_t written, taken;

static size_t chr_write(struct chardev *c, const uint8_t *buf, size_t len)
{
    pthread_mutex_lock(&lock);
    if (written + len > sizeof(wire)) // nobody looks at it
        written = taken = 0;
    memcpy(wire + written, buf, len);
    written += len;
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&lock);
    return len;
}

static const struct chardev_backend_ops chr_ops = {.write = chr_write};

// --- the machine

static void rs_halt(void *opaque) { vcpu_pause_async(machine.vcpu); }
static void rs_pause(void *opaque) { vcpu_pause(machine.vcpu); }
static void rs_clocks(void *opaque, bool run) {}
static void rs_resume(void *opaque) { vcpu_resume(machine.vcpu); }
static void rs_reset(void *opaque) { vcpu_reset(machine.vcpu); }
static void rs_button(void *opaque) {}
static void rs_exit(void *opaque, int status)
{
    pthread_mutex_lock(&lock);
    exits++;
    pthread_mutex_unlock(&lock);
}

static const struct runstate_ops rs_ops = {
    .halt = rs_halt,
    .pause = rs_pause,
    .clocks = rs_clocks,
    .resume = rs_resume,
    .reset = rs_reset,
    .power_button = rs_button,
    .exit = rs_exit,
};

static bool reset(void *opaque, struct cpu *cpu, bool first)
{
    cpu_reset(cpu);
    cpu->seg[CS].base = cpu->seg[CS].sel = 0;
    cpu->rip = BENCH_START;
    cpu->gpr[RSP] = 0x8000;
    cpu_update_mode(cpu);
    return true;
}

void bench_up(const char *accel, const uint8_t *code, size_t len)
{
    char why[160];
    struct vcpu_config vc = {.accel = accel_find(accel), .model = &machine.model, .reset = reset};

    must(loop_init() == 0);
    must(loop_start() == 0);
    must(cpu_model_parse("max", &machine.model, why) == 0);
    must(ram_create(&machine.ram, BENCH_RAM) == 0);
    bench_ram = machine.ram.base;
    memcpy(bench_ram + BENCH_START, code, len);
    vc.mem = machine.mem = as_create("memory", 1ull << machine.model.maxphyaddr);
    vc.ports = machine.ports = as_create("ports", 1 << 16);
    must(as_map_ram(machine.mem, "ram", 0, BENCH_RAM, &machine.ram, 0, false, 0));
    machine.runstate = runstate_create(&rs_ops, NULL);
    must(vcpu_create(&vc, &machine.vcpu) == 0);
    chr.be = &chr_ops;
    big_lock();
    must(gdbstub_create(&machine, &chr, &machine.gdbstub) == 0);
    big_unlock();
    must(vcpu_start(machine.vcpu) == 0);
}

void bench_down(void)
{
    big_lock();
    gdbstub_destroy(machine.gdbstub, 0);
    big_unlock();
    vcpu_destroy(machine.vcpu);
    loop_stop();
    runstate_destroy(machine.runstate);
    ram_destroy(&machine.ram);
}

// --- the debugger's side. Input comes on the I/O thread, as it does from a real stream.

struct input {
    const uint8_t *bytes;
    size_t len;
    int connect; // 0, 1, or -1: bytes
    bool done;
};

static void deliver(void *opaque)
{
    struct input *in = opaque;

    if (in->connect >= 0)
        chr.fe->connected(chr.fe_opaque, in->connect);
    else
        chr.fe->receive(chr.fe_opaque, in->bytes, in->len);
    pthread_mutex_lock(&lock);
    in->done = true;
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&lock);
}

static void give(struct input *in)
{
    loop_post(deliver, in);
    pthread_mutex_lock(&lock);
    while (!in->done)
        pthread_cond_wait(&cond, &lock);
    pthread_mutex_unlock(&lock);
}

void bench_connect(bool on)
{
    struct input in = {.connect = on};

    give(&in);
}

void bench_raw(const void *bytes, size_t len)
{
    struct input in = {.bytes = bytes, .len = len, .connect = -1};

    give(&in);
}

void bench_send(const char *packet)
{
    static struct gdb_reply p;
    static uint8_t out[2 * GDB_PACKET_MAX + 4];

    p.len = 0;
    gdb_put(&p, packet, strlen(packet));
    bench_raw(out, gdb_frame(&p, out));
}

// False: nothing came for a long time.
static bool next_byte(uint8_t *byte)
{
    struct timespec until;
    bool ok = true;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    pthread_mutex_lock(&lock);
    while (taken == written && ok)
        ok = !pthread_cond_timedwait(&cond, &lock, &until);
    if (ok)
        *byte = wire[taken++];
    if (taken == written)
        taken = written = 0;
    pthread_mutex_unlock(&lock);
    return ok;
}

const char *bench_reply(void)
{
    for (;;) {
        uint8_t byte = 0;

        must(next_byte(&byte)); // a reply comes
        switch (gdb_read_byte(&reader, byte)) {
        case GDB_PACKET: return reader.data;
        case GDB_ACK: bench_acks++; break;
        case GDB_NAK: bench_naks++; break;
        case GDB_NOTHING: break;
        default: must(false); // it sent a broken packet
        }
    }
}

void bench_drop_output(void)
{
    pthread_mutex_lock(&lock);
    taken = written = 0;
    pthread_mutex_unlock(&lock);
}

const char *bench_ask(const char *packet)
{
    bench_send(packet);
    return bench_reply();
}

static _Atomic int vector;

static int acknowledge(void *opaque)
{
    cpu_request_clear(opaque, CPU_REQ_INTR);
    return vector;
}

void bench_interrupt(uint8_t v)
{
    static const struct cpu_intc_ops ops = {.acknowledge = acknowledge};
    struct cpu *cpu = vcpu_cpu(machine.vcpu);

    vector = v;
    cpu->intc = &ops;
    cpu->intc_opaque = cpu;
    cpu_request(cpu, CPU_REQ_INTR);
}

void bench_wait_asleep(void)
{
    while (!vcpu_cpu(machine.vcpu)->sleeping)
        sched_yield();
}

bool bench_running(void)
{
    bool running;

    big_lock();
    running = runstate_running(machine.runstate);
    big_unlock();
    return running;
}

unsigned bench_exits(void)
{
    unsigned n;

    pthread_mutex_lock(&lock);
    n = exits;
    pthread_mutex_unlock(&lock);
    return n;
}
