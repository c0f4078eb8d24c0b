// SPDX-License-Identifier: MIT
// Host signals (SIGSEGV, SIGBUS, SIGFPE, SIGILL) taken while generated code runs: who handles which address.
#pragma once

#include "base/types.h"
#include <signal.h>
#include <ucontext.h>

struct host_fault {
    int signo, code;     // siginfo's si_signo, si_code
    void *addr;          // si_addr
    unsigned trapno;     // the x86 vector the host took (#DE 0, #UD 6, #GP 13, #PF 14, #MF 16, #AC 17, #XM 19)
    unsigned long error; // its error code
    ucontext_t *uc;      // registers at the fault; edit them to resume elsewhere
};

// Once per process: installs the handlers (SA_ONSTACK). Faults outside all regions get the default action.
int host_fault_init(void);
// Once per vCPU thread: gives it an alternate signal stack (SS_AUTODISARM: the guest owns RSP).
int host_fault_thread_init(void);
// Faults with RIP in [lo, hi) go to fn, in signal context (async-signal-safe code only). fn returns true
// if it edited uc. Up to 16 regions.
int host_fault_add_region(void *lo, void *hi, bool (*fn)(void *opaque, struct host_fault *f), void *opaque);
void host_fault_remove_region(void *lo);
