// SPDX-License-Identifier: MIT
// The I/O thread over GLib's main context. Its timers: loop_timer.c.
#include "base/loop.h"

#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/biglock.h"
#include "base/loop_timer.h"

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
    struct loop_watch *timer_watch;
} loop;

static _Thread_local bool on_loop_thread;

static void timerfd_fired(void *opaque, unsigned revents) { loop_timers_run(); }

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
    int fd = loop_timers_init();
    if (fd < 0)
        return fd;
    loop.context = g_main_context_new();
    loop.main_loop = g_main_loop_new(loop.context, FALSE);
    loop.timer_watch = loop_watch_new(fd, LOOP_READ, timerfd_fired, NULL);
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

bool loop_is_current(void) { return on_loop_thread; }
