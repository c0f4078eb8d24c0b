// SPDX-License-Identifier: MIT
// Tests of frontends/runstate.c with a machine that only writes down what it is asked for.
#include "frontends/runstate.h"

#include "base/biglock.h"
#include "base/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/check_main.h"

static struct runstate *rs;
static char journal[512]; // big lock, but for `halts` and `resets`
static _Atomic unsigned halts, resets;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_mutex_t changed_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned ended;

static void note(const char *s)
{
    ck_assert(big_lock_held());
    strcat(journal, s);
    strcat(journal, " ");
}

static void op_halt(void *opaque) { halts++; }

static void op_pause(void *opaque)
{
    ck_assert(!big_lock_held()); // else a CPU inside a device would never get out
    big_lock();
    note("pause");
    big_unlock();
}

static void op_clocks(void *opaque, bool run) { note(run ? "clocks-on" : "clocks-off"); }
static void op_resume(void *opaque) { note("resume"); }
static void op_flush(void *opaque) { note("flush"); }
static void op_reset(void *opaque) { resets++; }
static void op_power_button(void *opaque) { note("button"); }

static void op_exit(void *opaque, int status)
{
    char s[16];

    snprintf(s, sizeof(s), "exit%d", status);
    note(s);
    pthread_mutex_lock(&changed_lock);
    ended++;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&changed_lock);
}

static const struct runstate_ops ops = {
    .halt = op_halt,
    .pause = op_pause,
    .clocks = op_clocks,
    .resume = op_resume,
    .flush = op_flush,
    .reset = op_reset,
    .power_button = op_power_button,
    .exit = op_exit,
};

static void on_event(void *opaque, enum run_event event, enum run_cause cause)
{
    static const char *const names[] = {"STOP", "RESUME", "RESET", "SHUTDOWN", "POWERDOWN"};

    note(names[event]);
    if (event == RUN_EVENT_RESET || event == RUN_EVENT_SHUTDOWN)
        note(run_cause_name(cause));
}

static struct run_listener listener = {.event = on_event};

// Requests are carried out on the I/O thread in order: what was posted behind them comes after them.
static void barrier_reached(void *opaque)
{
    pthread_mutex_lock(&changed_lock);
    *(bool *)opaque = true;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&changed_lock);
}

static void barrier(void)
{
    bool reached = false;

    big_unlock();
    loop_post(barrier_reached, &reached);
    pthread_mutex_lock(&changed_lock);
    while (!reached)
        pthread_cond_wait(&changed, &changed_lock);
    pthread_mutex_unlock(&changed_lock);
    big_lock();
}

static void set_up(void)
{
    ck_assert_int_eq(loop_init(), 0);
    ck_assert_int_eq(loop_start(), 0);
    rs = runstate_create(&ops, NULL);
    big_lock();
    runstate_listen(rs, &listener);
}

static void tear_down(void)
{
    big_unlock();
    loop_stop();
    runstate_destroy(rs);
}

START_TEST(stop_and_cont)
{
    ck_assert_str_eq(run_state_name(runstate_get(rs)), "prelaunch");
    runstate_stop(rs, RUN_STATE_PAUSED); // not running: nothing to stop, no event
    ck_assert_int_eq(runstate_get(rs), RUN_STATE_PRELAUNCH);
    ck_assert_int_eq(runstate_cont(rs), 0);
    ck_assert_int_eq(runstate_cont(rs), 0);
    ck_assert(runstate_running(rs));
    runstate_stop(rs, RUN_STATE_DEBUG);
    runstate_stop(rs, RUN_STATE_PAUSED); // the first reason stays
    ck_assert_str_eq(run_state_name(runstate_get(rs)), "debug");
    ck_assert(big_lock_held());
    ck_assert_str_eq(journal, "clocks-on resume RESUME pause clocks-off flush STOP ");
}
END_TEST

START_TEST(a_stop_can_be_asked_for_anywhere)
{
    runstate_cont(rs);
    *journal = 0;
    runstate_request_stop(rs, RUN_STATE_GUEST_PANICKED);
    runstate_request_stop(rs, RUN_STATE_PAUSED);
    ck_assert_uint_eq(halts, 2);     // at once
    ck_assert(runstate_running(rs)); // this thread has the lock
    barrier();
    ck_assert_str_eq(run_state_name(runstate_get(rs)), "guest-panicked");
    ck_assert_str_eq(journal, "pause clocks-off flush STOP ");
}
END_TEST

START_TEST(reset_tells_its_cause)
{
    runstate_cont(rs);
    *journal = 0;
    runstate_reset(rs, RUN_CAUSE_HOST_QMP_SYSTEM_RESET);
    ck_assert_uint_eq(resets, 1);
    barrier();
    ck_assert_str_eq(journal, ""); // not before it has happened
    runstate_reset_done(rs);
    barrier();
    ck_assert_str_eq(journal, "RESET host-qmp-system-reset ");
    *journal = 0;
    runstate_reset_done(rs); // a triple fault: nobody announced it
    barrier();
    ck_assert_str_eq(journal, "RESET guest-reset ");
    ck_assert(runstate_running(rs));
    runstate_stop(rs, RUN_STATE_PAUSED);
    runstate_reset_done(rs);
    barrier();
    ck_assert_int_eq(runstate_get(rs), RUN_STATE_PRELAUNCH);
}
END_TEST

START_TEST(no_reboot_ends_at_a_reset)
{
    runstate_set_policy(rs, true, false);
    runstate_cont(rs);
    *journal = 0;
    runstate_reset(rs, RUN_CAUSE_GUEST_RESET);
    ck_assert(runstate_ending(rs));
    barrier();
    ck_assert_uint_eq(resets, 0);
    ck_assert_str_eq(journal, "SHUTDOWN guest-reset exit0 ");
    ck_assert_uint_eq(ended, 1);
}
END_TEST

START_TEST(no_shutdown_stops_when_the_guest_powers_off)
{
    runstate_set_policy(rs, false, true);
    runstate_cont(rs);
    *journal = 0;
    runstate_shutdown(rs, RUN_CAUSE_GUEST_SHUTDOWN, 0);
    ck_assert(!runstate_ending(rs));
    barrier();
    ck_assert_str_eq(journal, "SHUTDOWN guest-shutdown pause clocks-off flush STOP ");
    ck_assert_str_eq(run_state_name(runstate_get(rs)), "shutdown");
    ck_assert_int_eq(runstate_cont(rs), -EBUSY);
    runstate_reset(rs, RUN_CAUSE_HOST_QMP_SYSTEM_RESET);
    runstate_reset_done(rs);
    barrier();
    ck_assert_int_eq(runstate_cont(rs), 0);
    *journal = 0;
    runstate_shutdown(rs, RUN_CAUSE_HOST_SIGNAL, 3); // the host's wish counts all the same
    runstate_shutdown(rs, RUN_CAUSE_HOST_UI, 4);
    barrier();
    ck_assert_str_eq(journal, "SHUTDOWN host-signal exit3 ");
    ck_assert_int_eq(runstate_cont(rs), 0);
}
END_TEST

START_TEST(the_power_button_is_an_event_and_a_wire)
{
    runstate_powerdown(rs);
    runstate_powerdown(rs);
    barrier();
    ck_assert_str_eq(journal, "POWERDOWN button ");
    runstate_unlisten(rs, &listener);
    runstate_powerdown(rs);
    barrier();
    ck_assert_str_eq(journal, "POWERDOWN button button ");
}
END_TEST

// Many threads stop and continue: each stop is paired with one of the pauses, each cont with one resume.
static void *toggle(void *opaque)
{
    big_lock();
    for (unsigned i = 0; i < 200; i++) {
        journal[0] = 0;
        runstate_stop(rs, RUN_STATE_PAUSED);
        journal[0] = 0;
        runstate_cont(rs);
    }
    big_unlock();
    return NULL;
}

static int clock_balance;
static void count_clocks(void *opaque, bool run)
{
    clock_balance += run ? 1 : -1;
    ck_assert(clock_balance == 0 || clock_balance == 1);
}

START_TEST(transitions_come_one_at_a_time)
{
    struct runstate_ops counted = ops;
    struct runstate *old = rs;
    pthread_t thread[3];

    counted.clocks = count_clocks;
    rs = runstate_create(&counted, NULL);
    runstate_cont(rs);
    big_unlock();
    for (unsigned i = 0; i < ARRAY_SIZE(thread); i++)
        pthread_create(&thread[i], NULL, toggle, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(thread); i++)
        pthread_join(thread[i], NULL);
    big_lock();
    ck_assert_int_eq(clock_balance, 1);
    ck_assert(runstate_running(rs));
    runstate_destroy(rs);
    rs = old;
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        stop_and_cont,
        a_stop_can_be_asked_for_anywhere,
        reset_tells_its_cause,
        no_reboot_ends_at_a_reset,
        no_shutdown_stops_when_the_guest_powers_off,
        the_power_button_is_an_event_and_a_wire,
        transitions_come_one_at_a_time,
    };
    return check_list_main((struct check_list){
        .name = "runstate", .tests = tests, .count = ARRAY_SIZE(tests), .set_up = set_up, .tear_down = tear_down});
}
