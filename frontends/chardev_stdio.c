// SPDX-License-Identifier: MIT
// The terminal as a character device: raw mode while the machine runs, restored on every way out.
#include "frontends/chardev_backend.h"

#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

// The process has one terminal.
static struct {
    bool in_use, changed;
    struct termios saved, raw;
} terminal;

static void restore_terminal(void)
{
    if (terminal.changed)
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal.saved);
    terminal.changed = false;
}

void chardev_stdio_reapply(void)
{
    if (terminal.changed)
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal.raw);
}

static void stdio_close(struct chardev_fd *c)
{
    restore_terminal();
    terminal.in_use = false;
}

static void enter_raw_mode(bool signals)
{
    if (tcgetattr(STDIN_FILENO, &terminal.saved))
        return; // not a terminal
    terminal.raw = terminal.saved;
    terminal.raw.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    terminal.raw.c_oflag |= OPOST;
    terminal.raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN | (signals ? 0 : ISIG));
    terminal.raw.c_cflag = (terminal.raw.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
    terminal.raw.c_cc[VMIN] = 1;
    terminal.raw.c_cc[VTIME] = 0;
    if (!tcsetattr(STDIN_FILENO, TCSANOW, &terminal.raw)) {
        if (!terminal.changed)
            atexit(restore_terminal);
        terminal.changed = true;
    }
}

int chardev_stdio_create(struct keyval *kv, struct chardev **out, struct err *e)
{
    struct chardev_fd *c;
    bool signals = true;

    if (keyval_get_bool(kv, "signal", &signals, e))
        return -1;
    if (terminal.in_use)
        return err_set(e,
                       "the terminal (stdio) is used twice; share it with -serial mon:stdio or -chardev stdio,mux=on");
    c = chardev_fd_create(STDIN_FILENO, STDOUT_FILENO);
    if (!c)
        return err_set(e, "out of memory");
    c->keep_fds = true;
    c->on_close = stdio_close;
    terminal.in_use = true;
    enter_raw_mode(signals);
    c->base.terminal = terminal.changed && isatty(STDOUT_FILENO);
    *out = &c->base;
    return 0;
}
