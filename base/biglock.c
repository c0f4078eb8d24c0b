// SPDX-License-Identifier: MIT
// The lock that guards every device model: one process-wide mutex that knows its owner.
//
// A futex of our own and not a pthread mutex, since the vCPU takes it with the guest's vector state in the registers
// (base/vectors.h), and libc promises nothing about those.
#include "base/biglock.h"
#include "base/vectors.h"

#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FREE, TAKEN, WAITED_FOR };

static uint32_t big_mutex;
static __thread bool held_by_me;
__thread struct vectors_hook vectors_hook;

static void lock_wait(void)
{
    vectors_save();
    while (__atomic_exchange_n(&big_mutex, WAITED_FOR, __ATOMIC_ACQUIRE) != FREE)
        syscall(SYS_futex, &big_mutex, FUTEX_WAIT_PRIVATE, WAITED_FOR, NULL, NULL, 0);
}

void big_lock(void)
{
    uint32_t was = FREE;
    if (!__atomic_compare_exchange_n(&big_mutex, &was, TAKEN, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        lock_wait();
    held_by_me = true;
}

void big_unlock(void)
{
    held_by_me = false;
    if (__atomic_exchange_n(&big_mutex, FREE, __ATOMIC_RELEASE) == WAITED_FOR) {
        vectors_save();
        syscall(SYS_futex, &big_mutex, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

bool big_lock_held(void) { return held_by_me; }
