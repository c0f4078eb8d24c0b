// SPDX-License-Identifier: MIT
// Making running translated code come back to the dispatcher: no block polls, so the vCPU unchains itself.
//
// A kick is a signal to the vCPU's thread. Its handler (1) replaces the epochs by 0 and the indirect-branch
// tables by an empty one, so that every cross-page and every indirect branch misses; (2) points the
// same-page links of the block that is running to their stubs. Whatever the thread is about to execute, the
// next block boundary leaves for the dispatcher, which puts all back (bt_kick_restore).
//
// Where the signal may land, and why it cannot be lost:
//   in a block             its links are undone; an indirect branch that has already read its table is
//                          redirected through r15 (the layout after tb->ibl_off is fixed: gen_flow.c)
//   in C or glue called from a block   ENG_SITE says which block will be resumed, ENG_RESUME which will be entered
//                          instead (transfer.c): their links are undone
//   in the dispatcher, or on the way in   bt->current is the block to be entered: its links are undone;
//                          and the dispatcher looks at requests after it has set ENG_IN_CODE
//
// On a crowded host the I/O thread, which runs the timers, may wait tens of milliseconds for a CPU while the guest loops,
// waits for a timer's interrupt, and gives up. So the thread also kicks itself every few milliseconds of its own CPU
// time, and then runs the timers that are late (bt_kick_late_timers).
//
// A request that the vCPU's own thread makes (a device it has just written to raises an interrupt) needs no signal:
// it is in C, and all C that resumes or enters a block looks at the requests first.
#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/biglock.h"
#include "base/loop.h"
#include "base/stats.h"
#include "base/vectors.h"
#include "cpu/interrupt.h"
#include "translator/tb.h"

#define KICK_SIGNAL (SIGRTMIN + 1)
enum { SELF_KICK_NS = 4000000, LATE_NS = 2000000 };

static void suspend(struct bt *bt, struct tb *tb)
{
    if (!tb)
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(bt->kicked_tbs); i++) {
        if (bt->kicked_tbs[i] == tb)
            return;
        if (!bt->kicked_tbs[i]) {
            bt->kicked_tbs[i] = tb;
            break;
        }
    }
    tb_links_suspend(bt, tb);
}

// Makes all that is about to run come back, but for what a block has in registers. Async-signal-safe.
static void stop_blocks(struct bt *bt)
{
    struct cpu *cpu = bt->cpu;
    bt->kicked = true;
    cpu->engine[ENG_EPOCH_USER] = cpu->engine[ENG_EPOCH_SUP] = 0;
    cpu->engine[ENG_IBL_USER] = cpu->engine[ENG_IBL_SUP] = (uint64_t)bt->ibl_empty;
    suspend(bt, bt->current);
    struct tb_site *site = (struct tb_site *)cpu->engine[ENG_SITE];
    if (site)
        suspend(bt, site->tb);
    suspend(bt, tb_by_host(bt, (const uint8_t *)cpu->engine[ENG_RESUME]));
}

// Async-signal-safe; runs on the vCPU thread.
static void on_kick(int signo, siginfo_t *si, void *ctx)
{
    struct cpu *cpu = &vcpu_self;
    struct bt *bt = cpu->accel;
    ucontext_t *uc = ctx;
    if (!bt || !cpu->engine[ENG_IN_CODE] || bt->kicked)
        return;
    stop_blocks(bt);
    const uint8_t *rip = (const uint8_t *)uc->uc_mcontext.gregs[REG_RIP];
    struct tb *tb = tb_by_host(bt, rip);
    if (!tb)
        return;
    suspend(bt, tb);
    if (tb->ibl_off && rip >= tb->code + tb->ibl_off && rip < tb->code + tb->ibl_end) {
        const uint8_t *lookup = tb->code + tb->ibl_off;
        greg_t *r = uc->uc_mcontext.gregs;
        if (tb->ibl_remat) {
            // Matched already (r14 is 0), and to be sent elsewhere with its target back; or about to compare.
            if (rip != lookup && r[REG_R14] == 0)
                r[REG_R14] = -(greg_t)((struct ibl_entry *)r[REG_R15])->neg_va;
            else if (rip != lookup)
                return;
            r[REG_R15] = (greg_t)bt->kick_entry;
        } else if (rip == lookup) // the table is in rcx, its entry not yet in r15
            uc->uc_mcontext.gregs[REG_RCX] = (greg_t)bt->ibl_empty;
        else
            uc->uc_mcontext.gregs[REG_R15] = (greg_t)bt->kick_entry;
    }
}

// A helper is about to resume tb. If a kick came before the glue had said so (ENG_SITE), or is due to a request of
// this thread's own, do its work now.
void bt_kick_resuming(struct bt *bt, struct tb *tb)
{
    if (UNLIKELY(!bt->kicked && cpu_attention_due(bt->cpu)))
        stop_blocks(bt);
    if (bt->kicked)
        suspend(bt, tb);
}

int bt_kick_init(struct bt *bt)
{
    struct sigaction sa = {.sa_sigaction = on_kick, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    sigemptyset(&sa.sa_mask);
    bt->thread = pthread_self();
    if (sigaction(KICK_SIGNAL, &sa, NULL))
        return -errno;
    if (bt->disable & ACCEL_NO_SELF_KICK)
        return 0;
    struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = KICK_SIGNAL};
    const struct itimerspec every = {{0, SELF_KICK_NS}, {0, SELF_KICK_NS}};
    ev._sigev_un._tid = gettid(); // glibc before 2.39 has no name for it
    bt->has_self_kick = !timer_create(CLOCK_THREAD_CPUTIME_ID, &ev, &bt->self_kick);
    if (bt->has_self_kick)
        timer_settime(bt->self_kick, 0, &every, NULL);
    return 0; // without it timers are late at times, no more
}

void bt_kick_end(struct bt *bt)
{
    if (bt->has_self_kick)
        timer_delete(bt->self_kick);
    bt->has_self_kick = false;
}

// Dispatcher, after a kick.
void bt_kick_late_timers(struct bt *bt)
{
    if (!bt->has_self_kick)
        return;
    vectors_save();
    big_lock();
    if (loop_run_overdue(LATE_NS))
        stat_inc(STAT_exit_late_timers);
    big_unlock();
}

// Any thread.
void bt_kick(struct cpu *cpu)
{
    struct bt *bt = bt_of(cpu);
    if (bt && cpu->engine[ENG_IN_CODE] && !pthread_equal(bt->thread, pthread_self())) {
        vectors_save(); // another vCPU's, if it is one that kicks
        pthread_kill(bt->thread, KICK_SIGNAL);
    }
}

// Dispatcher: the request has been seen.
void bt_kick_restore(struct bt *bt)
{
    for (unsigned i = 0; i < ARRAY_SIZE(bt->kicked_tbs); i++) {
        if (bt->kicked_tbs[i] && !bt->kicked_tbs[i]->dropped)
            tb_links_resume(bt, bt->kicked_tbs[i]);
        bt->kicked_tbs[i] = NULL;
    }
    bt->kicked = false;
    bt_load_epochs(bt);
}
