// SPDX-License-Identifier: MIT
// The I/O thread over GLib's main context, with nanosecond timers on one timerfd.
//
// GLib's own timeouts are rounded to milliseconds, too coarse for a guest's 1 kHz tick. Timers here are a
// binary heap ordered by deadline; the timerfd is armed for the earliest. Arming is lazy: a timer that is
// moved later or deleted leaves the timerfd alone (one wake-up with nothing to do is cheaper than a
// system call at every re-arm, and most device timers are re-armed far more often than they fire).
// There is one heap per clock: timers of the guest's clock wait while it stands still.
#include "base/loop.h"

#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/biglock.h"

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

struct loop_watch {
    GSource source; // must be first: GLib allocates the whole
    void (*fn)(void *, unsigned revents);
    void *opaque;
    gpointer tag; // NULL while paused
    int fd;
    unsigned events;
};

// One I/O thread in the process.
static struct {
    GMainContext *context;
    GMainLoop *main_loop;
    pthread_t thread;
    bool started;
    int timer_fd;
    struct loop_watch *timer_watch;
    struct timer_heap guest, host;
    uint64_t armed; // what the timerfd is set to, host time; UINT64_MAX: disarmed
    bool dispatching;
} loop = {.timer_fd = -1, .armed = UINT64_MAX};

static _Thread_local bool on_loop_thread;

// --- timers

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
    uint64_t guest = loop.guest.count ? clock_to_host_ns(loop.guest.entry[0]->deadline) : UINT64_MAX;
    uint64_t host = loop.host.count ? loop.host.entry[0]->deadline : UINT64_MAX;

    return guest < host ? guest : host;
}

static void timerfd_arm(void)
{
    uint64_t want = next_deadline();
    if (want >= loop.armed || loop.timer_fd < 0)
        return;
    uint64_t ns = want ? want : 1; // 0 would disarm
    struct itimerspec its = {.it_value = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)}};
    if (timerfd_settime(loop.timer_fd, TFD_TIMER_ABSTIME, &its, NULL) == 0)
        loop.armed = want;
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

static void timerfd_fired(void *opaque, unsigned revents)
{
    uint64_t expirations;
    if (read(loop.timer_fd, &expirations, sizeof(expirations)) < 0 && errno != EAGAIN)
        return;
    loop.armed = UINT64_MAX;
    loop.dispatching = true;
    if (clock_running())
        run_expired(&loop.guest, clock_now_ns());
    run_expired(&loop.host, clock_host_ns());
    loop.dispatching = false;
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

struct loop_timer *loop_timer_new(void (*fn)(void *), void *opaque) { return timer_new(&loop.guest, fn, opaque); }

struct loop_timer *loop_timer_new_host(void (*fn)(void *), void *opaque)
{
    return timer_new(&loop.host, fn, opaque);
}

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
    if (!loop.dispatching)
        timerfd_arm();
}

void loop_timer_del(struct loop_timer *t)
{
    if (t->slot != TIMER_NOT_QUEUED)
        heap_remove(t);
}

void loop_clock_changed(void)
{
    if (!loop.dispatching)
        timerfd_arm();
}

bool loop_timer_pending(const struct loop_timer *t)
{
    return t->slot != TIMER_NOT_QUEUED;
}

// --- file descriptors

static GIOCondition watch_condition(unsigned events)
{
    return (GIOCondition)((events & LOOP_READ ? G_IO_IN | G_IO_HUP | G_IO_ERR : 0) |
                          (events & LOOP_WRITE ? G_IO_OUT | G_IO_HUP | G_IO_ERR : 0));
}

static gboolean watch_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    struct loop_watch *w = (struct loop_watch *)source;
    big_lock();
    // Another thread may have paused or freed the watch while this one waited for the lock. GLib holds
    // a reference during dispatch, so w itself is still there.
    if (!g_source_is_destroyed(source) && w->tag) {
        GIOCondition got = g_source_query_unix_fd(source, w->tag);
        unsigned revents = 0;
        if (got & (G_IO_IN | G_IO_HUP | G_IO_ERR))
            revents |= LOOP_READ;
        if (got & (G_IO_OUT | G_IO_HUP | G_IO_ERR))
            revents |= LOOP_WRITE;
        revents &= w->events;
        if (revents)
            w->fn(w->opaque, revents);
    }
    big_unlock();
    return G_SOURCE_CONTINUE;
}

// With neither prepare nor check GLib dispatches when poll() says so; it looks at the descriptors under its
// own lock, so that another thread (with the big lock) may change the watch meanwhile.
static GSourceFuncs watch_funcs = {.dispatch = watch_dispatch};

struct loop_watch *loop_watch_new(int fd, unsigned events, void (*fn)(void *, unsigned revents), void *opaque)
{
    struct loop_watch *w = (struct loop_watch *)g_source_new(&watch_funcs, sizeof(*w));
    w->fn = fn;
    w->opaque = opaque;
    w->fd = fd;
    w->tag = NULL;
    w->events = 0;
    loop_watch_set(w, events);
    g_source_attach(&w->source, loop.context);
    return w;
}

void loop_watch_set(struct loop_watch *w, unsigned events)
{
    if (events == w->events)
        return;
    w->events = events;
    if (!events) {
        // poll() reports a hang-up even for no events at all, so a paused descriptor must leave the set.
        g_source_remove_unix_fd(&w->source, w->tag);
        w->tag = NULL;
    } else if (!w->tag) {
        w->tag = g_source_add_unix_fd(&w->source, w->fd, watch_condition(events));
    } else {
        g_source_modify_unix_fd(&w->source, w->tag, watch_condition(events));
    }
    if (loop.context)
        g_main_context_wakeup(loop.context);
}

void loop_watch_free(struct loop_watch *w)
{
    if (!w)
        return;
    g_source_destroy(&w->source);
    g_source_unref(&w->source);
}

// --- deferred calls

struct loop_call {
    void (*fn)(void *);
    void *opaque;
};

static gboolean loop_call_run(gpointer data)
{
    struct loop_call *call = data;
    big_lock();
    call->fn(call->opaque);
    big_unlock();
    return G_SOURCE_REMOVE;
}

void loop_post(void (*fn)(void *), void *opaque)
{
    struct loop_call *call = g_new(struct loop_call, 1);
    *call = (struct loop_call){fn, opaque};
    GSource *source = g_idle_source_new();
    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, loop_call_run, call, g_free);
    g_source_attach(source, loop.context);
    g_source_unref(source);
}

// --- the thread

int loop_init(void)
{
    if (loop.context)
        return 0;
    loop.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (loop.timer_fd < 0)
        return -errno;
    loop.context = g_main_context_new();
    loop.main_loop = g_main_loop_new(loop.context, FALSE);
    loop.timer_watch = loop_watch_new(loop.timer_fd, LOOP_READ, timerfd_fired, NULL);
    return 0;
}

static void *loop_thread(void *opaque)
{
    on_loop_thread = true;
    pthread_setname_np(pthread_self(), "io");
    g_main_context_push_thread_default(loop.context);
    g_main_loop_run(loop.main_loop);
    g_main_context_pop_thread_default(loop.context);
    return NULL;
}

int loop_start(void)
{
    if (loop.started)
        return 0;
    // Signals that ask the process for something (SIGINT, SIGTERM, SIGWINCH) belong to the main thread.
    sigset_t all, old;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = pthread_create(&loop.thread, NULL, loop_thread, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r)
        return -r;
    loop.started = true;
    return 0;
}

static gboolean loop_quit(gpointer data)
{
    g_main_loop_quit(loop.main_loop);
    return G_SOURCE_REMOVE;
}

void loop_stop(void)
{
    if (!loop.started)
        return;
    if (on_loop_thread) {
        g_main_loop_quit(loop.main_loop);
        return;
    }
    // By a source, not directly: the thread may not have entered g_main_loop_run() yet.
    GSource *source = g_idle_source_new();
    g_source_set_priority(source, G_PRIORITY_HIGH);
    g_source_set_callback(source, loop_quit, NULL, NULL);
    g_source_attach(source, loop.context);
    g_source_unref(source);
    bool held = big_lock_held();
    if (held)
        big_unlock(); // a callback may be waiting for it
    pthread_join(loop.thread, NULL);
    if (held)
        big_lock();
    loop.started = false;
}

bool loop_is_current(void)
{
    return on_loop_thread;
}
