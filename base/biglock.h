// SPDX-License-Identifier: MIT
// The lock that guards every device model.
//
// Device callbacks (port I/O, MMIO, timers, fd events) always run with it held.
// A vCPU thread takes it where it leaves the CPU for a device (cpu/ and
// softmmu/mmu.c do so); the I/O thread takes it around each callback.
#pragma once

#include <stdbool.h>

void big_lock(void);
void big_unlock(void);
bool big_lock_held(void); // by this thread
