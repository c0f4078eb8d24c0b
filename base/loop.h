// SPDX-License-Identifier: MIT
// The I/O thread: file-descriptor events, nanosecond timers, deferred calls.
// All callbacks run on the I/O thread with the big lock held.
// Implemented over GLib's main context plus one timerfd (GLib alone rounds to ms).
#pragma once

#include "base/types.h"

struct loop_timer;
struct loop_watch;

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

int loop_init(void);        // before any other call; 0 or -errno
int loop_start(void);       // starts the I/O thread
void loop_stop(void);       // ends and joins it
bool loop_is_current(void); // called from the I/O thread?

// The guest's clock in ns, the base of all guest time: the host's monotonic clock less the time for which it
// was stopped. It runs until somebody stops it.
uint64_t clock_now_ns(void);
uint64_t clock_host_ns(void); // the host's monotonic clock: for what goes on while the machine stands still
// Guest time stands still, and its timers with it, while the machine is stopped. Big lock held.
void clock_stop(void);
void clock_start(void);
bool clock_running(void);
uint64_t clock_to_host_ns(uint64_t guest_ns); // UINT64_MAX: not before clock_start()
// Frequency of the host's TSC, measured once against that clock. The first call may take 20 ms.
uint64_t clock_tsc_hz(void);

// Timers fire once at an absolute clock_now_ns() time. Call these with the big lock held.
struct loop_timer *loop_timer_new(void (*fn)(void *), void *opaque);
// The same by clock_host_ns(): fires while the machine is stopped, too (redrawing, time-outs of clients).
struct loop_timer *loop_timer_new_host(void (*fn)(void *), void *opaque);
void loop_timer_free(struct loop_timer *t);
void loop_timer_mod(struct loop_timer *t, uint64_t deadline_ns);
void loop_timer_del(struct loop_timer *t);
// Runs the guest clock's timers if one is late by late_ns or more, on the caller's thread, with the big lock held and no
// guest vector state live: on a crowded host the I/O thread may wait for a CPU longer than a guest waits for its tick.
// Returns whether there was one.
bool loop_run_overdue(uint64_t late_ns);
bool loop_timer_pending(const struct loop_timer *t);

// Watches a file descriptor. events is a mask of LOOP_*; 0 pauses the watch.
struct loop_watch *loop_watch_new(int fd, unsigned events, void (*fn)(void *, unsigned revents), void *opaque);
void loop_watch_set(struct loop_watch *w, unsigned events);
void loop_watch_free(struct loop_watch *w); // does not close fd

// Runs fn(opaque) on the I/O thread soon. Callable from any thread, lock held or not.
void loop_post(void (*fn)(void *), void *opaque);

// --- for clock.c
void loop_clock_changed(void); // the next timer may be due at another time
