// SPDX-License-Identifier: MIT
// The GDB stub's connection and run control.
//
// The debugger is the only one who sends: it stops and resumes the machine by packets, each answered at once but for
// those that let it run, whose answer comes when it stops. Everything happens on the I/O thread with the big lock
// held; only debug_stopped() is called by the vCPU's thread. Stopping goes through runstate.h, so that guest time
// stands still and other front ends hear of it; why the CPU stopped is in cpu/debug_points.h.
#include "frontends/gdbstub.h"

#include "base/loop.h"
#include "frontends/gdbstub_internal.h"
#include "frontends/machine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OUT_MAX = 1 << 20 };

// --- output

static void flush_out(void *opaque)
{
    struct gdbstub *s = opaque;
    size_t n;

    if (!s->out_len)
        return; // and perhaps there was never a buffer
    n = chardev_write(s->chr, s->out, s->out_len);
    s->out_len -= n;
    memmove(s->out, s->out + n, s->out_len);
}

static void put_out(struct gdbstub *s, const void *data, size_t len)
{
    if (s->out_len + len > OUT_MAX)
        return; // it does not read what it asks for
    if (s->out_len + len > s->out_size) {
        size_t size = (s->out_len + len) * 2;
        uint8_t *bigger = realloc(s->out, size);

        if (!bigger)
            return;
        s->out = bigger;
        s->out_size = size;
    }
    memcpy(s->out + s->out_len, data, len);
    s->out_len += len;
}

void gdbstub_send(struct gdbstub *s)
{
    if (s->reply.full) { // nothing that we send is that long
        s->reply.len = 0;
        s->reply.full = false;
        gdb_putf(&s->reply, "E%02x", ENOMEM);
    }
    s->sent_len = gdb_frame(&s->reply, s->sent);
    s->reply.len = 0;
    put_out(s, s->sent, s->sent_len);
}

// --- stopping and going on

// GDB's numbers of signals (include/gdb/signals.def), as QEMU assigns them to run states.
static unsigned signal_of(const struct gdbstub *s)
{
    enum { SIG_INT = 2, SIG_QUIT = 3, SIG_TRAP = 5, SIG_ABRT = 6, SIG_IO = 23, SIG_UNKNOWN = 143 };

    if (s->points.reason)
        return SIG_TRAP;
    switch (runstate_get(s->runstate)) {
    case RUN_STATE_PAUSED: return SIG_INT;
    case RUN_STATE_SHUTDOWN: return SIG_QUIT;
    case RUN_STATE_IO_ERROR: return SIG_IO;
    case RUN_STATE_INTERNAL_ERROR: return SIG_ABRT;
    case RUN_STATE_PRELAUNCH:
    case RUN_STATE_DEBUG: return SIG_TRAP;
    default: return SIG_UNKNOWN;
    }
}

void gdbstub_put_stop(struct gdbstub *s)
{
    static const char *const watch[DEBUG_KINDS] = {
        [DEBUG_WATCH_WRITE] = "watch", [DEBUG_WATCH_READ] = "rwatch", [DEBUG_WATCH_ACCESS] = "awatch"};
    const struct debug_point *hit = &s->points.hit;

    gdb_putf(&s->reply, "T%02xthread:01;", signal_of(s));
    if (s->points.reason == DEBUG_WATCH)
        gdb_putf(&s->reply, "%s:%llx;", watch[hit->kind], (unsigned long long)hit->addr);
    else if (s->points.reason == DEBUG_BREAK && hit->kind == DEBUG_SW_BREAK && s->swbreak)
        gdb_putf(&s->reply, "swbreak:;");
    else if (s->points.reason == DEBUG_BREAK && hit->kind == DEBUG_HW_BREAK && s->hwbreak)
        gdb_putf(&s->reply, "hwbreak:;");
}

static void report_stop(struct gdbstub *s)
{
    s->awaiting = false;
    gdbstub_put_stop(s);
    gdbstub_send(s);
    flush_out(s);
}

// vCPU thread. The machine stops soon, and on_event() hears of it.
static void debug_stopped(void *opaque)
{
    struct gdbstub *s = opaque;

    runstate_request_stop(s->runstate, RUN_STATE_DEBUG);
}

static void go_on(void *opaque)
{
    struct gdbstub *s = opaque;

    if (s->awaiting)
        runstate_cont(s->runstate);
}

static void on_event(void *opaque, enum run_event event, enum run_cause cause)
{
    struct gdbstub *s = opaque;

    if (event != RUN_EVENT_STOP || !s->awaiting)
        return;
    // The user's stop overtook a breakpoint's, the debugger heard of both in one and has resumed: nothing is new.
    if (runstate_get(s->runstate) == RUN_STATE_DEBUG && !s->points.reason)
        loop_post(go_on, s);
    else
        report_stop(s);
}

void gdbstub_resume(struct gdbstub *s, bool step)
{
    step = step && s->sstep & GDB_SSTEP_ENABLE;
    debug_points_prepare(s->cpu, step, s->sstep & GDB_SSTEP_NOIRQ);
    s->awaiting = true;
    if (runstate_cont(s->runstate))
        report_stop(s); // it was shut down: there it stays
}

// --- the connection

static void take_packet(struct gdbstub *s)
{
    if (!s->no_ack)
        put_out(s, "+", 1);
    if (runstate_running(s->runstate)) // somebody else let it run, or the debugger lost count
        runstate_stop(s->runstate, RUN_STATE_PAUSED);
    s->silent = false;
    gdbstub_execute(s);
    if (!s->silent)
        gdbstub_send(s);
}

static void take_byte(struct gdbstub *s, uint8_t byte)
{
    switch (gdb_read_byte(&s->in, byte)) {
    case GDB_PACKET: take_packet(s); break;
    case GDB_BROKEN:
        if (!s->no_ack)
            put_out(s, "-", 1);
        break;
    case GDB_NAK: put_out(s, s->sent, s->sent_len); break;
    case GDB_INTERRUPT: runstate_stop(s->runstate, RUN_STATE_PAUSED); break;
    case GDB_ACK:
    case GDB_NOTHING: break;
    }
}

static size_t can_receive(void *opaque) { return 4096; }

static void receive(void *opaque, const uint8_t *buf, size_t len)
{
    struct gdbstub *s = opaque;

    for (size_t i = 0; i < len && s->connected; i++)
        take_byte(s, buf[i]);
    flush_out(s);
}

static void forget_points(struct gdbstub *s)
{
    machine_hold_cpu(s->machine);
    debug_points_clear(s->cpu);
    if (runstate_running(s->runstate))
        debug_points_prepare(s->cpu, false, false); // a step under way becomes a run
    machine_release_cpu(s->machine);
}

// The machine stops when a debugger comes. When it goes without a word the machine stays as it is, so that another one
// can come, but runs into nothing that nobody would hear of.
static void connected(void *opaque, bool on)
{
    struct gdbstub *s = opaque;

    if (on == s->connected)
        return;
    s->connected = on;
    s->awaiting = s->no_ack = s->swbreak = s->hwbreak = s->physical = false;
    s->in.state = GDB_IDLE;
    s->sent_len = s->out_len = 0;
    s->sstep = GDB_SSTEP_ALL;
    if (!on) {
        forget_points(s);
        return;
    }
    runstate_stop(s->runstate, RUN_STATE_PAUSED);
    s->arch = s->arch_fixed ? s->next_arch : gdb_arch_of(s->cpu);
}

// --- life

int gdbstub_chardev_spec(const char *dev, char *out, size_t size, struct err *e)
{
    bool tcp = !strncmp(dev, "tcp:", 4);
    int n = snprintf(out, size, "%s%s", dev, tcp ? ",server=on,wait=off,nodelay=on" : "");

    return n < 0 || (size_t)n >= size ? err_set(e, "'%.80s...' is too long", dev) : 0;
}

int gdbstub_create(struct machine *m, struct chardev *chr, struct gdbstub **out)
{
    static const struct chardev_frontend_ops ops = {
        .can_receive = can_receive, .receive = receive, .can_write = flush_out, .connected = connected};
    struct gdbstub *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->machine = m;
    s->runstate = m->runstate;
    s->cpu = vcpu_cpu(m->vcpu);
    s->chr = chr;
    s->points.stopped = debug_stopped;
    s->points.opaque = s;
    s->listener = (struct run_listener){.event = on_event, .opaque = s};
    debug_points_attach(s->cpu, &s->points);
    runstate_listen(s->runstate, &s->listener);
    chr->fe = &ops;
    chr->fe_opaque = s;
    *out = s;
    return 0;
}

void gdbstub_destroy(struct gdbstub *s, int exit_status)
{
    if (!s)
        return;
    if (s->connected) {
        s->reply.len = 0;
        gdb_putf(&s->reply, "W%02x", (unsigned)exit_status & 0xff);
        gdbstub_send(s);
        flush_out(s);
    }
    s->chr->fe = NULL;
    runstate_unlisten(s->runstate, &s->listener);
    machine_hold_cpu(s->machine);
    debug_points_attach(s->cpu, NULL);
    machine_release_cpu(s->machine);
    free(s->out);
    free(s->xml);
    free(s);
}
