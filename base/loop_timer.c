// SPDX-License-Identifier: MIT
// Nanosecond timers of the I/O thread, on one timerfd.
//
// GLib's own timeouts are rounded to milliseconds, too coarse for a guest's 1 kHz tick. Timers here are a
// binary heap ordered by deadline; the timerfd is armed for the earliest. Arming is lazy: a timer that is
// moved later or deleted leaves the timerfd alone (one wake-up with nothing to do is cheaper than a
// system call at every re-arm, and most device timers are re-armed far more often than they fire).
// There is one heap per clock: timers of the guest's clock wait while it stands still.
//
// Built with general registers only: the guest's own timers are set with its vector state live (base/vectors.h).
#include "base/loop_timer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/vectors.h"

enum { TIMER_NOT_QUEUED = -1 };

struct timer_heap {
    struct loop_timer **entry; // guarded by the big lock, like all of it
    unsigned count, capacity;
};

struct loop_timer {
    struct timer_heap *heap; // of its clock
    uint64_t deadline;
    void (*fn)(void *);
    void *opaque;
    int slot; // index in the heap, or TIMER_NOT_QUEUED
};

static struct {
    int fd;
    struct timer_heap guest, host;
    uint64_t armed; // what the timerfd is set to, host time; UINT64_MAX: disarmed
    bool dispatching;
} timers = {.fd = -1, .armed = UINT64_MAX};

int loop_timers_init(void)
{
    timers.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    return timers.fd < 0 ? -errno : timers.fd;
}

static void heap_place(struct timer_heap *h, struct loop_timer *t, unsigned slot)
{
    h->entry[slot] = t;
    t->slot = (int)slot;
}

static void heap_up(struct timer_heap *h, struct loop_timer *t, unsigned slot)
{
    while (slot > 0) {
        unsigned parent = (slot - 1) / 2;
        if (h->entry[parent]->deadline <= t->deadline)
            break;
        heap_place(h, h->entry[parent], slot);
        slot = parent;
    }
    heap_place(h, t, slot);
}

static void heap_down(struct timer_heap *h, struct loop_timer *t, unsigned slot)
{
    for (;;) {
        unsigned child = 2 * slot + 1;
        if (child >= h->count)
            break;
        if (child + 1 < h->count && h->entry[child + 1]->deadline < h->entry[child]->deadline)
            child++;
        if (h->entry[child]->deadline >= t->deadline)
            break;
        heap_place(h, h->entry[child], slot);
        slot = child;
    }
    heap_place(h, t, slot);
}

static void heap_remove(struct loop_timer *t)
{
    struct timer_heap *h = t->heap;
    unsigned slot = (unsigned)t->slot;
    struct loop_timer *last = h->entry[--h->count];
    t->slot = TIMER_NOT_QUEUED;
    if (last == t)
        return;
    heap_up(h, last, slot);
    heap_down(h, last, (unsigned)last->slot);
}

// Host time of the first timer; UINT64_MAX: none, or it waits for a clock that stands still.
static uint64_t next_deadline(void)
{
    uint64_t guest = timers.guest.count ? clock_to_host_ns(timers.guest.entry[0]->deadline) : UINT64_MAX;
    uint64_t host = timers.host.count ? timers.host.entry[0]->deadline : UINT64_MAX;

    return guest < host ? guest : host;
}

static void timerfd_arm(void)
{
    uint64_t want = next_deadline();
    if (want >= timers.armed || timers.fd < 0)
        return;
    uint64_t ns = want ? want : 1; // 0 would disarm
    vectors_save();
    struct itimerspec its = {.it_value = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)}};
    if (timerfd_settime(timers.fd, TFD_TIMER_ABSTIME, &its, NULL) == 0)
        timers.armed = want;
}

// A callback may re-arm its timer into the past. One round runs each timer about once, then lets go
// of the big lock, so that no guest can keep the vCPUs from it.
static void run_expired(struct timer_heap *h, uint64_t now)
{
    for (unsigned budget = h->count; budget > 0 && h->count > 0; budget--) {
        struct loop_timer *t = h->entry[0];
        if (t->deadline > now)
            break;
        heap_remove(t);
        t->fn(t->opaque);
    }
}

bool loop_run_overdue(uint64_t late_ns)
{
    if (!clock_running() || !timers.guest.count)
        return false;
    uint64_t now = clock_now_ns();
    if (now < late_ns || timers.guest.entry[0]->deadline > now - late_ns)
        return false;
    run_expired(&timers.guest, now);
    return true;
}

void loop_timers_run(void)
{
    uint64_t expirations;
    if (read(timers.fd, &expirations, sizeof(expirations)) < 0 && errno != EAGAIN)
        return;
    timers.armed = UINT64_MAX;
    timers.dispatching = true;
    if (clock_running())
        run_expired(&timers.guest, clock_now_ns());
    run_expired(&timers.host, clock_host_ns());
    timers.dispatching = false;
    timerfd_arm();
}

static struct loop_timer *timer_new(struct timer_heap *h, void (*fn)(void *), void *opaque)
{
    struct loop_timer *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    *t = (struct loop_timer){.heap = h, .fn = fn, .opaque = opaque, .slot = TIMER_NOT_QUEUED};
    return t;
}

struct loop_timer *loop_timer_new(void (*fn)(void *), void *opaque) { return timer_new(&timers.guest, fn, opaque); }

struct loop_timer *loop_timer_new_host(void (*fn)(void *), void *opaque) { return timer_new(&timers.host, fn, opaque); }

void loop_timer_free(struct loop_timer *t)
{
    if (!t)
        return;
    loop_timer_del(t);
    free(t);
}

static bool heap_reserve(struct timer_heap *h)
{
    if (h->count < h->capacity)
        return true;
    vectors_save();
    unsigned capacity = h->capacity ? 2 * h->capacity : 64;
    struct loop_timer **entry = realloc(h->entry, capacity * sizeof(struct loop_timer *));
    if (!entry)
        return false;
    h->entry = entry;
    h->capacity = capacity;
    return true;
}

void loop_timer_mod(struct loop_timer *t, uint64_t deadline_ns)
{
    struct timer_heap *h = t->heap;

    if (t->slot == TIMER_NOT_QUEUED) {
        if (!heap_reserve(h))
            return;
        t->deadline = deadline_ns;
        heap_up(h, t, h->count++);
    } else {
        t->deadline = deadline_ns;
        heap_up(h, t, (unsigned)t->slot);
        heap_down(h, t, (unsigned)t->slot);
    }
    if (!timers.dispatching)
        timerfd_arm();
}

void loop_timer_del(struct loop_timer *t)
{
    if (t->slot != TIMER_NOT_QUEUED)
        heap_remove(t);
}

void loop_clock_changed(void)
{
    if (!timers.dispatching)
        timerfd_arm();
}

bool loop_timer_pending(const struct loop_timer *t) { return t->slot != TIMER_NOT_QUEUED; }
