// SPDX-License-Identifier: MIT
// Gives up the system calls that the running machine does not need.
#pragma once

#include <stdbool.h>

struct sandbox_needs {
    bool network; // opens IP sockets while it runs (-netdev user)
    bool files;   // writes files that its user names while it runs (screendump, pmemsave)
    bool unlink;  // removes files at its end (-pidfile, Unix sockets)
    bool window;  // talks to a window system
    bool sound;   // talks to the host's sound system
    bool gl;      // ... and to a graphics card
};
// For the whole process, all threads, for good. 0; -ENOSYS if the host has no seccomp; or another -errno.
int sandbox_enter(const struct sandbox_needs *needs);
