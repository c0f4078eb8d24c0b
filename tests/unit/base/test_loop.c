// SPDX-License-Identifier: MIT
// Tests of base/loop_glib.c and base/clock.c, in real time.
#include "base/loop.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "base/biglock.h"
#include "tests/unit/check_main.h"

static unsigned order[8], fired;
static uint64_t fired_at;
static bool held, on_loop;

static void record(void *opaque)
{
    order[fired++ % 8] = (unsigned)(uintptr_t)opaque;
    fired_at = clock_now_ns();
    held = big_lock_held();
    on_loop = loop_is_current();
}

static void sleep_ms(unsigned ms)
{
    const struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

static void wait_for(const unsigned *n, unsigned want)
{
    unsigned have = 0;
    for (int i = 0; i < 2000 && have < want; i++) {
        sleep_ms(1);
        big_lock();
        have = *n;
        big_unlock();
    }
    ck_assert_uint_ge(have, want);
}

static void start(void)
{
    ck_assert_int_eq(loop_init(), 0);
    ck_assert_int_eq(loop_start(), 0);
}

START_TEST(timers_fire_in_order_with_the_lock)
{
    start();
    big_lock();
    struct loop_timer *t[4];
    uint64_t now = clock_now_ns();
    for (unsigned i = 0; i < 4; i++)
        t[i] = loop_timer_new(record, (void *)(uintptr_t)i);
    loop_timer_mod(t[0], now + 30000000);
    loop_timer_mod(t[1], now + 10000000);
    loop_timer_mod(t[2], now + 20000000);
    loop_timer_mod(t[3], now + 15000000);
    loop_timer_del(t[3]);
    ck_assert(loop_timer_pending(t[0]) && !loop_timer_pending(t[3]));
    big_unlock();
    wait_for(&fired, 3);
    ck_assert_uint_eq(order[0], 1);
    ck_assert_uint_eq(order[1], 2);
    ck_assert_uint_eq(order[2], 0);
    ck_assert(held && on_loop && !loop_is_current());
    ck_assert_uint_ge(fired_at, now + 30000000);
    loop_stop();
    ck_assert_uint_eq(fired, 3);
    for (unsigned i = 0; i < 4; i++)
        loop_timer_free(t[i]);
}
END_TEST

START_TEST(timer_moved_earlier_and_later)
{
    start();
    big_lock();
    struct loop_timer *t = loop_timer_new(record, NULL);
    uint64_t now = clock_now_ns();
    loop_timer_mod(t, now + 3600000000000ull);
    loop_timer_mod(t, now + 5000000);
    loop_timer_mod(t, now + 20000000);
    big_unlock();
    wait_for(&fired, 1);
    ck_assert_uint_ge(fired_at, now + 20000000);
    loop_stop();
    ck_assert(!loop_timer_pending(t));
    loop_timer_free(t);
}
END_TEST

static struct loop_timer *greedy;
static unsigned greedy_runs;
static void rearm_in_the_past(void *opaque)
{
    greedy_runs++;
    loop_timer_mod(greedy, 0);
}

START_TEST(timer_in_the_past_does_not_lock_out)
{
    start();
    big_lock();
    greedy = loop_timer_new(rearm_in_the_past, NULL);
    loop_timer_mod(greedy, 0);
    big_unlock();
    wait_for(&greedy_runs, 100);
    for (int i = 0; i < 20; i++) { // the lock can still be had
        big_lock();
        big_unlock();
    }
    loop_stop();
}
END_TEST

// The lock keeps the I/O thread from running them; whoever has it may, once they are late enough.
START_TEST(overdue_timers_run_on_the_callers_thread)
{
    start();
    big_lock();
    fired = 0;
    struct loop_timer *t = loop_timer_new(record, (void *)1);
    uint64_t deadline = clock_now_ns() + 1000000000;
    loop_timer_mod(t, deadline);
    ck_assert(!loop_run_overdue(0));
    deadline = clock_now_ns();
    loop_timer_mod(t, deadline);
    ck_assert(!loop_run_overdue(3600 * 1000000000ull)); // not so late
    ck_assert_uint_eq(fired, 0);
    ck_assert(loop_run_overdue(0));
    ck_assert_uint_eq(fired, 1);
    ck_assert(held && !on_loop);
    ck_assert(!loop_run_overdue(0));
    loop_timer_mod(t, clock_now_ns());
    clock_stop();
    ck_assert(!loop_run_overdue(0)); // guest time stands still
    clock_start();
    loop_timer_free(t);
    big_unlock();
    loop_stop();
}
END_TEST

static unsigned stress_fired[200];
static struct loop_timer *stress[200];
static void stress_record(void *opaque)
{
    unsigned i = (unsigned)(uintptr_t)opaque;
    stress_fired[i]++;
    if (i % 7 == 0)
        loop_timer_del(stress[(i + 1) % 200]);
}

START_TEST(many_timers)
{
    start();
    big_lock();
    uint64_t now = clock_now_ns();
    srand(1);
    for (unsigned i = 0; i < 200; i++)
        stress[i] = loop_timer_new(stress_record, (void *)(uintptr_t)i);
    for (unsigned n = 0; n < 5000; n++) {
        unsigned i = (unsigned)rand() % 200;
        if (rand() % 4)
            loop_timer_mod(stress[i], now + 5000000 + (unsigned)rand() % 5000000);
        else
            loop_timer_del(stress[i]);
    }
    bool pending[200];
    for (unsigned i = 0; i < 200; i++)
        pending[i] = loop_timer_pending(stress[i]);
    big_unlock();
    sleep_ms(40);
    big_lock();
    for (unsigned i = 0; i < 200; i++) {
        ck_assert(!loop_timer_pending(stress[i]));
        ck_assert_uint_le(stress_fired[i], pending[i]);
        if (pending[i] && (i + 199) % 200 % 7 != 0)
            ck_assert_uint_eq(stress_fired[i], 1);
    }
    big_unlock();
    loop_stop();
}
END_TEST

static int pipe_fd[2];
static unsigned reads;
static struct loop_watch *watch;
static void on_readable(void *opaque, unsigned revents)
{
    char c;
    ck_assert(revents == LOOP_READ && big_lock_held());
    if (read(pipe_fd[0], &c, 1) == 1)
        reads++;
    else
        loop_watch_set(watch, 0); // end of file
}

START_TEST(watch_reads_pauses_and_sees_the_end)
{
    start();
    ck_assert_int_eq(pipe(pipe_fd), 0);
    big_lock();
    watch = loop_watch_new(pipe_fd[0], LOOP_READ, on_readable, NULL);
    big_unlock();
    ck_assert_int_eq(write(pipe_fd[1], "ab", 2), 2);
    wait_for(&reads, 2);
    big_lock();
    loop_watch_set(watch, 0);
    big_unlock();
    ck_assert_int_eq(write(pipe_fd[1], "c", 1), 1);
    sleep_ms(20);
    big_lock();
    ck_assert_uint_eq(reads, 2);
    loop_watch_set(watch, LOOP_READ);
    big_unlock();
    wait_for(&reads, 3);
    close(pipe_fd[1]);
    sleep_ms(10);
    // Paused at a hang-up: the thread must sleep, not spin.
    struct timespec a, b;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    sleep_ms(100);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    ck_assert_int_lt((b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec, 20000000);
    big_lock();
    loop_watch_free(watch);
    big_unlock();
    loop_stop();
}
END_TEST

START_TEST(post_runs_on_the_loop)
{
    start();
    loop_post(record, (void *)5);
    wait_for(&fired, 1);
    ck_assert(held && on_loop);
    ck_assert_uint_eq(order[0], 5);
    big_lock();
    loop_stop(); // also with the lock held
    ck_assert(big_lock_held());
    big_unlock();
}
END_TEST

static unsigned host_fired;
static void record_host(void *opaque) { host_fired++; }

START_TEST(a_stopped_clock_holds_its_timers_and_goes_on_without_a_jump)
{
    start();
    big_lock();
    struct loop_timer *guest = loop_timer_new(record, NULL), *host = loop_timer_new_host(record_host, NULL);
    ck_assert(clock_running());
    clock_stop();
    clock_stop(); // twice is once
    uint64_t then = clock_now_ns(), host_then = clock_host_ns();
    ck_assert(!clock_running() && clock_to_host_ns(then) == UINT64_MAX);
    loop_timer_mod(guest, then + 1000000); // armed while stopped, due long before the host's
    loop_timer_mod(host, host_then + 30000000);
    big_unlock();
    wait_for(&host_fired, 1);
    big_lock();
    ck_assert_uint_eq(fired, 0);
    ck_assert_uint_eq(clock_now_ns(), then);
    ck_assert(loop_timer_pending(guest));
    clock_start();
    ck_assert_uint_ge(clock_now_ns(), then);
    ck_assert_uint_le(clock_now_ns() - then, clock_host_ns() - host_then - 30000000);
    big_unlock();
    wait_for(&fired, 1);
    ck_assert_uint_ge(fired_at, then + 1000000);
    // A timer armed while it ran waits over a stop, too.
    big_lock();
    uint64_t due = clock_now_ns() + 20000000;
    loop_timer_mod(guest, due);
    clock_stop();
    host_then = clock_host_ns();
    loop_timer_mod(host, host_then + 40000000);
    big_unlock();
    wait_for(&host_fired, 2);
    big_lock();
    ck_assert_uint_eq(fired, 1);
    clock_start();
    big_unlock();
    wait_for(&fired, 2);
    ck_assert_uint_ge(fired_at, due);
    loop_stop();
    loop_timer_free(guest);
    loop_timer_free(host);
}
END_TEST

START_TEST(tsc_rate_fits_the_clock)
{
    uint64_t hz = clock_tsc_hz();
    ck_assert_uint_eq(hz, clock_tsc_hz());
    uint64_t t0 = clock_now_ns(), c0 = __rdtsc();
    sleep_ms(100);
    uint64_t t1 = clock_now_ns(), c1 = __rdtsc();
    double measured = (double)(c1 - c0) * 1e9 / (double)(t1 - t0);
    ck_assert_double_lt(measured / (double)hz, 1.001);
    ck_assert_double_gt(measured / (double)hz, 0.999);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        timers_fire_in_order_with_the_lock,
        timer_moved_earlier_and_later,
        timer_in_the_past_does_not_lock_out,
        overdue_timers_run_on_the_callers_thread,
        many_timers,
        watch_reads_pauses_and_sees_the_end,
        post_runs_on_the_loop,
        a_stopped_clock_holds_its_timers_and_goes_on_without_a_jump,
        tsc_rate_fits_the_clock,
    };
    return check_list_main((struct check_list){.name = "loop", .tests = tests, .count = ARRAY_SIZE(tests)});
}
