// SPDX-License-Identifier: MIT
// Host signals taken while generated code runs: one handler, a table of code regions.
#include "translator/host_fault.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

enum { MAX_REGIONS = 16, ALTSTACK_SIZE = 256 * 1024 };

struct fault_region {
    _Atomic(uint8_t *) lo; // NULL: free
    uint8_t *hi;
    bool (*fn)(void *, struct host_fault *);
    void *opaque;
};

// Process-wide, as signal dispositions are. Entries are published by their lo.
static struct fault_region regions[MAX_REGIONS];

static bool dispatch(struct host_fault *f)
{
    uint8_t *rip = (uint8_t *)f->uc->uc_mcontext.gregs[REG_RIP];
    for (unsigned i = 0; i < MAX_REGIONS; i++) {
        uint8_t *lo = atomic_load_explicit(&regions[i].lo, memory_order_acquire);
        if (lo && rip >= lo && rip < regions[i].hi)
            return regions[i].fn(regions[i].opaque, f);
    }
    return false;
}

// Async-signal-safe: looks up a table and calls a handler that must be so too.
static void on_signal(int signo, siginfo_t *si, void *ctx)
{
    ucontext_t *uc = ctx;
    struct host_fault f = {
        .signo = signo,
        .code = si->si_code,
        .addr = si->si_addr,
        .trapno = uc->uc_mcontext.gregs[REG_TRAPNO],
        .error = uc->uc_mcontext.gregs[REG_ERR],
        .uc = uc,
    };
    if (dispatch(&f))
        return;
    // Not ours: a bug in the VMM. Let the default action make a core at the faulting instruction.
    signal(signo, SIG_DFL);
}

int host_fault_init(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigemptyset(&sa.sa_mask);
    for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
        if (sigaction(signals[i], &sa, NULL))
            return -errno;
    return 0;
}

int host_fault_thread_init(void)
{
    stack_t old;
    if (!sigaltstack(NULL, &old) && (old.ss_flags & (int)SS_AUTODISARM) && old.ss_size >= ALTSTACK_SIZE)
        return 0; // this thread has it already
    // A guard page below, so that a runaway handler faults instead of writing over its neighbour.
    uint8_t *stack = mmap(NULL, ALTSTACK_SIZE + PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED)
        return -errno;
    if (mprotect(stack + PAGE_SIZE, ALTSTACK_SIZE, PROT_READ | PROT_WRITE))
        goto fail;
    // AUTODISARM: the kernel must not take a guest RSP that points into this stack for "already on it".
    stack_t ss = {.ss_sp = stack + PAGE_SIZE, .ss_size = ALTSTACK_SIZE, .ss_flags = (int)SS_AUTODISARM};
    if (sigaltstack(&ss, NULL))
        goto fail;
    return 0;
fail:;
    int err = -errno;
    munmap(stack, ALTSTACK_SIZE + PAGE_SIZE);
    return err;
}

int host_fault_add_region(void *lo, void *hi, bool (*fn)(void *, struct host_fault *), void *opaque)
{
    for (unsigned i = 0; i < MAX_REGIONS; i++) {
        if (atomic_load(&regions[i].lo))
            continue;
        regions[i].hi = hi;
        regions[i].fn = fn;
        regions[i].opaque = opaque;
        atomic_store_explicit(&regions[i].lo, (uint8_t *)lo, memory_order_release);
        return 0;
    }
    return -ENOSPC;
}

void host_fault_remove_region(void *lo)
{
    for (unsigned i = 0; i < MAX_REGIONS; i++)
        if (atomic_load(&regions[i].lo) == (uint8_t *)lo)
            atomic_store(&regions[i].lo, NULL);
}
