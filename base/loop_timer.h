// SPDX-License-Identifier: MIT
// Private to base/: what the I/O thread calls of its timers.
#pragma once

int loop_timers_init(void); // the timerfd to watch, or -errno
void loop_timers_run(void); // it is readable: runs what is due. Big lock held.
