// SPDX-License-Identifier: MIT
// The machine's run state: transitions one at a time, requests of any thread, listeners.
#include "frontends/runstate.h"

#include "base/biglock.h"
#include "base/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct requests {
    bool stop, powerdown, shutdown, reset_done;
    enum run_state stop_why;
    enum run_cause shutdown_cause, reset_cause;
    int status;
};

struct runstate {
    const struct runstate_ops *ops;
    void *opaque;
    // Held over a whole stop or cont, which waits for vCPUs. Taken before the big lock, never inside it.
    pthread_mutex_t transition;
    enum run_state state; // big lock
    struct run_listener *listeners;
    bool no_reboot, no_shutdown;

    pthread_mutex_t lock; // guards the requests; taken last
    struct requests want;
    enum run_cause reset_cause; // of the next reset
    bool posted;
    _Atomic bool ending;
};

static const char *const state_names[] = {
#define X(name, text) [RUN_STATE_##name] = text,
    RUN_STATES(X)
#undef X
};
static const char *const cause_names[] = {
#define X(name, text) [RUN_CAUSE_##name] = text,
    RUN_CAUSES(X)
#undef X
};

const char *run_state_name(enum run_state s) { return state_names[s]; }
const char *run_cause_name(enum run_cause c) { return cause_names[c]; }

// --- listeners

static void emit(struct runstate *rs, enum run_event event, enum run_cause cause)
{
    for (struct run_listener *l = rs->listeners, *next; l; l = next) {
        next = l->next; // it may leave
        l->event(l->opaque, event, cause);
    }
}

void runstate_listen(struct runstate *rs, struct run_listener *l)
{
    struct run_listener **p = &rs->listeners;

    while (*p) // in the order of coming
        p = &(*p)->next;
    l->next = NULL;
    *p = l;
}

void runstate_unlisten(struct runstate *rs, struct run_listener *l)
{
    for (struct run_listener **p = &rs->listeners; *p; p = &(*p)->next)
        if (*p == l) {
            *p = l->next;
            return;
        }
}

// --- transitions

static void begin_transition(struct runstate *rs)
{
    big_unlock();
    pthread_mutex_lock(&rs->transition);
}

void runstate_stop(struct runstate *rs, enum run_state why)
{
    bool stopped = false;

    begin_transition(rs);
    // Whoever changes the state holds `transition`, so it can be read without the big lock.
    if (rs->state == RUN_STATE_RUNNING) {
        rs->ops->pause(rs->opaque);
        stopped = true;
    }
    big_lock();
    if (stopped) {
        rs->ops->clocks(rs->opaque, false);
        rs->state = why;
    }
    pthread_mutex_unlock(&rs->transition);
    if (stopped && rs->ops->flush)
        rs->ops->flush(rs->opaque);
    if (stopped)
        emit(rs, RUN_EVENT_STOP, 0);
}

int runstate_cont(struct runstate *rs)
{
    bool resumed = false;
    int ret = 0;

    begin_transition(rs);
    big_lock();
    if (rs->state == RUN_STATE_SHUTDOWN || rs->state == RUN_STATE_INTERNAL_ERROR)
        ret = -EBUSY;
    else if (rs->state != RUN_STATE_RUNNING && !rs->ending)
        resumed = true;
    if (resumed) {
        rs->state = RUN_STATE_RUNNING;
        rs->ops->clocks(rs->opaque, true);
        rs->ops->resume(rs->opaque);
    }
    pthread_mutex_unlock(&rs->transition);
    if (resumed)
        emit(rs, RUN_EVENT_RESUME, 0);
    return ret;
}

enum run_state runstate_get(const struct runstate *rs) { return rs->state; }
bool runstate_running(const struct runstate *rs) { return rs->state == RUN_STATE_RUNNING; }
bool runstate_ending(const struct runstate *rs) { return rs->ending; }

// --- requests, carried out on the I/O thread

// A machine that was reset while it stood still has not been launched yet.
static void after_reset(struct runstate *rs, enum run_cause cause)
{
    begin_transition(rs);
    big_lock();
    if (rs->state != RUN_STATE_RUNNING)
        rs->state = RUN_STATE_PRELAUNCH;
    pthread_mutex_unlock(&rs->transition);
    emit(rs, RUN_EVENT_RESET, cause);
}

static void shut_down(struct runstate *rs, enum run_cause cause, int status)
{
    emit(rs, RUN_EVENT_SHUTDOWN, cause);
    if (rs->ending)
        rs->ops->exit(rs->opaque, status);
    else
        runstate_stop(rs, RUN_STATE_SHUTDOWN);
}

static void carry_out(void *opaque)
{
    struct runstate *rs = opaque;
    struct requests want;

    pthread_mutex_lock(&rs->lock);
    want = rs->want;
    rs->want = (struct requests){0};
    rs->posted = false;
    pthread_mutex_unlock(&rs->lock);
    if (want.reset_done)
        after_reset(rs, want.reset_cause);
    if (want.powerdown) {
        emit(rs, RUN_EVENT_POWERDOWN, 0);
        rs->ops->power_button(rs->opaque);
    }
    if (want.stop)
        runstate_stop(rs, want.stop_why);
    if (want.shutdown)
        shut_down(rs, want.shutdown_cause, want.status);
}

// With rs->lock held.
static void post(struct runstate *rs)
{
    if (!rs->posted)
        loop_post(carry_out, rs);
    rs->posted = true;
}

void runstate_request_stop(struct runstate *rs, enum run_state why)
{
    rs->ops->halt(rs->opaque);
    pthread_mutex_lock(&rs->lock);
    if (!rs->want.stop) // the first one counts
        rs->want.stop_why = why;
    rs->want.stop = true;
    post(rs);
    pthread_mutex_unlock(&rs->lock);
}

void runstate_powerdown(struct runstate *rs)
{
    pthread_mutex_lock(&rs->lock);
    rs->want.powerdown = true;
    post(rs);
    pthread_mutex_unlock(&rs->lock);
}

void runstate_shutdown(struct runstate *rs, enum run_cause cause, int status)
{
    rs->ops->halt(rs->opaque);
    pthread_mutex_lock(&rs->lock);
    if (!rs->ending && !rs->want.shutdown) { // the first one counts
        rs->want.shutdown = true;
        rs->want.shutdown_cause = cause;
        rs->want.status = status;
        post(rs);
    }
    if (!rs->no_shutdown || !run_cause_is_guest(cause))
        rs->ending = true;
    pthread_mutex_unlock(&rs->lock);
}

void runstate_reset(struct runstate *rs, enum run_cause cause)
{
    if (rs->no_reboot) {
        runstate_shutdown(rs, cause, 0);
        return;
    }
    pthread_mutex_lock(&rs->lock);
    rs->reset_cause = cause;
    pthread_mutex_unlock(&rs->lock);
    rs->ops->reset(rs->opaque);
}

void runstate_reset_done(struct runstate *rs)
{
    pthread_mutex_lock(&rs->lock);
    rs->want.reset_done = true;
    rs->want.reset_cause = rs->reset_cause;
    rs->reset_cause = RUN_CAUSE_GUEST_RESET; // a triple fault, unless somebody says otherwise
    post(rs);
    pthread_mutex_unlock(&rs->lock);
}

// --- life

struct runstate *runstate_create(const struct runstate_ops *ops, void *opaque)
{
    struct runstate *rs = calloc(1, sizeof(*rs));

    if (!rs)
        return NULL;
    rs->ops = ops;
    rs->opaque = opaque;
    rs->state = RUN_STATE_PRELAUNCH;
    rs->reset_cause = RUN_CAUSE_GUEST_RESET;
    pthread_mutex_init(&rs->transition, NULL);
    pthread_mutex_init(&rs->lock, NULL);
    return rs;
}

void runstate_set_policy(struct runstate *rs, bool no_reboot, bool no_shutdown)
{
    rs->no_reboot = no_reboot;
    rs->no_shutdown = no_shutdown;
}

void runstate_destroy(struct runstate *rs)
{
    if (!rs)
        return;
    pthread_mutex_destroy(&rs->transition);
    pthread_mutex_destroy(&rs->lock);
    free(rs);
}
