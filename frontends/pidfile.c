// SPDX-License-Identifier: MIT
// The file of -pidfile: this process's id, while it runs.
#include "frontends/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int pidfile_write(const char *path, struct err *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (fd < 0)
        return err_set(e, "-pidfile %.150s: %s", path, strerror(errno));
    dprintf(fd, "%d\n", getpid());
    close(fd);
    return 0;
}

void pidfile_remove(const char *path) { unlink(path); }
