// SPDX-License-Identifier: MIT
// The lock that guards every device model: one process-wide mutex that knows its owner.
#include "base/biglock.h"

#include <pthread.h>

static pthread_mutex_t big_mutex = PTHREAD_MUTEX_INITIALIZER;
static __thread bool held_by_me;

void big_lock(void)
{
    pthread_mutex_lock(&big_mutex);
    held_by_me = true;
}

void big_unlock(void)
{
    held_by_me = false;
    pthread_mutex_unlock(&big_mutex);
}

bool big_lock_held(void)
{
    return held_by_me;
}
