// SPDX-License-Identifier: MIT
// A pseudo-terminal as a character device; its name is printed for the user to connect to.
#include "frontends/chardev_backend.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static void pty_close(struct chardev_fd *c)
{
    int *slave = c->opaque;

    close(*slave);
    free(slave);
}

int chardev_pty_create(struct keyval *kv, struct chardev **out, struct err *e)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    int *slave = malloc(sizeof(*slave));
    struct chardev_fd *c = chardev_fd_create(master, master);
    struct termios t;
    char name[64];

    if (!slave || !c || master < 0 || grantpt(master) || unlockpt(master) || ptsname_r(master, name, sizeof(name)) ||
        (*slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0) {
        err_set(e, "pty: %s", strerror(errno));
        if (master >= 0)
            close(master);
        free(slave);
        free(c);
        return -EINVAL;
    }
    // Our own open slave keeps the master from hanging up between users.
    if (!tcgetattr(*slave, &t)) {
        cfmakeraw(&t);
        tcsetattr(*slave, TCSANOW, &t);
    }
    c->opaque = slave;
    c->on_close = pty_close;
    error_report("char device redirected to %s", name);
    c->base.terminal = true;
    *out = &c->base;
    return 0;
}
