// SPDX-License-Identifier: MIT
// Gives up the system calls that the running machine does not need.
#pragma once

// For the whole process, all threads, for good. 0; -ENOSYS if the host has no seccomp; or another -errno.
int sandbox_enter(void);
