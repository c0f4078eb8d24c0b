// SPDX-License-Identifier: MIT
// Whether the machine runs, and what happened to it: stop, cont, reset, shutdown and the power button, with
// listeners (QMP's events, a window's title, gdb). States, causes and their names are QEMU's.
//
//   prelaunch --cont--> running --stop--> paused, debug, guest-panicked --cont--> running
//   running --the guest powers off, -no-shutdown--> shutdown --reset--> prelaunch
//
// While the machine does not run, guest time stands still: clock_now_ns() and the time-stamp counter.
#pragma once

#include "base/types.h"

#define RUN_STATES(X)                   \
    X(DEBUG, "debug")                   \
    X(INTERNAL_ERROR, "internal-error") \
    X(IO_ERROR, "io-error")             \
    X(PAUSED, "paused")                 \
    X(PRELAUNCH, "prelaunch")           \
    X(RUNNING, "running")               \
    X(SHUTDOWN, "shutdown")             \
    X(GUEST_PANICKED, "guest-panicked")

enum run_state {
#define X(name, text) RUN_STATE_##name,
    RUN_STATES(X)
#undef X
};

// From GUEST_SHUTDOWN on, the guest is the cause.
#define RUN_CAUSES(X)                                 \
    X(HOST_ERROR, "host-error")                       \
    X(HOST_QMP_QUIT, "host-qmp-quit")                 \
    X(HOST_QMP_SYSTEM_RESET, "host-qmp-system-reset") \
    X(HOST_SIGNAL, "host-signal")                     \
    X(HOST_UI, "host-ui")                             \
    X(GUEST_SHUTDOWN, "guest-shutdown")               \
    X(GUEST_RESET, "guest-reset")                     \
    X(GUEST_PANIC, "guest-panic")

enum run_cause {
#define X(name, text) RUN_CAUSE_##name,
    RUN_CAUSES(X)
#undef X
};

enum run_event { RUN_EVENT_STOP, RUN_EVENT_RESUME, RUN_EVENT_RESET, RUN_EVENT_SHUTDOWN, RUN_EVENT_POWERDOWN };

const char *run_state_name(enum run_state s);
const char *run_cause_name(enum run_cause c);
static inline bool run_cause_is_guest(enum run_cause c) { return c >= RUN_CAUSE_GUEST_SHUTDOWN; }

// What the machine does for it.
struct runstate_ops {
    void (*halt)(void *opaque);             // any thread: the vCPUs pause soon, at an instruction boundary
    void (*pause)(void *opaque);            // the same, and waits for it; called without the big lock
    void (*clocks)(void *opaque, bool run); // guest time; the vCPUs are paused; big lock held
    void (*resume)(void *opaque);           // the vCPUs; big lock held
    void (*flush)(void *opaque);            // disks and consoles, after a stop; big lock held; may be NULL
    void (*reset)(void *opaque);            // any thread; runstate_reset_done() is to be called when it happened
    void (*power_button)(void *opaque);     // big lock held
    void (*exit)(void *opaque, int status); // big lock held
};

// Tells one listener; cause says more about RESET and SHUTDOWN. On the thread that caused the change or the
// I/O thread, big lock held. It must not stop or continue the machine itself (the _request_ calls are fine).
struct run_listener {
    void (*event)(void *opaque, enum run_event event, enum run_cause cause);
    void *opaque;
    struct run_listener *next;
};

struct runstate;

// In state prelaunch. NULL if out of memory.
struct runstate *runstate_create(const struct runstate_ops *ops, void *opaque);
void runstate_destroy(struct runstate *rs); // NULL is fine
void runstate_set_policy(struct runstate *rs, bool no_reboot, bool no_shutdown);

// --- big lock held
enum run_state runstate_get(const struct runstate *rs);
bool runstate_running(const struct runstate *rs);
void runstate_listen(struct runstate *rs, struct run_listener *l);
void runstate_unlisten(struct runstate *rs, struct run_listener *l);

// --- big lock held (it is released meanwhile), not on a vCPU thread and not in a listener
// Stops the machine; on return the vCPUs are parked. Nothing happens if it is stopped already.
void runstate_stop(struct runstate *rs, enum run_state why);
// 0; -EBUSY: the machine has to be reset first (it was shut down).
int runstate_cont(struct runstate *rs);

// --- any thread, with the big lock or without
void runstate_request_stop(struct runstate *rs, enum run_state why); // carried out on the I/O thread
void runstate_reset(struct runstate *rs, enum run_cause cause);      // -no-reboot makes it a shutdown
void runstate_reset_done(struct runstate *rs);
// Ends the process with status; -no-shutdown stops the machine instead if the guest is the cause.
void runstate_shutdown(struct runstate *rs, enum run_cause cause, int status);
void runstate_powerdown(struct runstate *rs);    // presses the power button
bool runstate_ending(const struct runstate *rs); // a shutdown that ends the process was asked for
