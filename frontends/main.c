// SPDX-License-Identifier: MIT
// ring3: from the command line to the exit status.
#include "frontends/chardev_backend.h"
#include "frontends/consoles.h"
#include "frontends/displays.h"
#include "frontends/machine.h"
#include "frontends/pidfile.h"
#include "frontends/sandbox.h"

#include "base/log.h"
#include "base/loop.h"
#include "base/stats.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

// Signals arrive through a descriptor that the main thread reads; every other thread inherits the mask.
// What a display on the terminal handles itself is for its thread alone.
static int block_signals(bool terminal)
{
    static const int list[] = {SIGINT, SIGTERM, SIGHUP, SIGCONT};
    sigset_t set;
    int fd;

    sigemptyset(&set);
    for (unsigned i = 0; i < ARRAY_SIZE(list); i++)
        sigaddset(&set, list[i]);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (terminal) {
        sigaddset(&set, SIGWINCH);
        sigaddset(&set, SIGTSTP);
        sigprocmask(SIG_BLOCK, &set, NULL);
    }
    return fd;
}

static int set_up_log(const struct config *cfg, struct err *e)
{
    char bad[32];
    int ret;

    if (cfg->log_items && log_set_mask(cfg->log_items, bad))
        return err_set(e, "-d: there is no item '%.31s' (-d help lists them)", bad);
    if (cfg->log_file && (ret = log_set_file(cfg->log_file)))
        return err_set(e, "-D %.150s: %s", cfg->log_file, strerror(-ret));
    return 0;
}

static bool hears_power_button(void *opaque) { return board_hears_power_button(((struct machine *)opaque)->board); }

static int open_display(struct machine *m, struct display_running *r, struct err *e)
{
    const struct display_context dc = {.options = &m->cfg->display,
                                       .name = m->cfg->name,
                                       .screen = m->screen,
                                       .input = m->input,
                                       .runstate = m->runstate,
                                       .hears_power_button = hears_power_button,
                                       .opaque = m};

    return display_start(m->cfg, &dc, r, e);
}

// Waits for a signal and for the machine's end. Returns the exit status.
static int wait_for_end(struct machine *m, int signal_fd)
{
    struct pollfd p[2] = {{.fd = signal_fd, .events = POLLIN}, {.fd = m->event_fd, .events = POLLIN}};
    struct signalfd_siginfo si;

    while (!m->ended) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return 1;
        while (read(signal_fd, &si, sizeof(si)) == sizeof(si)) {
            if (si.ssi_signo == SIGCONT)
                chardev_stdio_reapply();
            else
                runstate_shutdown(m->runstate, RUN_CAUSE_HOST_SIGNAL, 0);
        }
    }
    return m->exit_status;
}

static int run(struct config *cfg, struct err *e)
{
    int signal_fd = block_signals(cfg->display.ops && cfg->display.ops->terminal), status, ret;
    bool pidfile_written = false;
    struct display_running display = {NULL, NULL};
    struct machine *m;

    if (signal_fd < 0 || loop_init())
        return err_set(e, "cannot set up the event loop");
    if (set_up_log(cfg, e) || machine_create(cfg, &m, e))
        return -EINVAL;
    ret = loop_start() ? err_set(e, "cannot start the I/O thread") : 0;
    if (!ret && cfg->pidfile && !(ret = pidfile_write(cfg->pidfile, e)))
        pidfile_written = true;
    if (!ret)
        ret = open_display(m, &display, e);
    if (!ret)
        ret = machine_start(m, e);
    if (!ret && !cfg->no_sandbox) {
        struct sandbox_needs needs = {.network = cfg->netdev_count,
                                      .files = consoles_can_control(m->consoles), // its user names files
                                      .unlink = cfg->pidfile || chardevs_have_sockets(m->chardevs),
                                      .window = display.ops && display.ops->window,
                                      .sound = *cfg->speaker_audiodev,
                                      .gl = cfg->display.gl};

        ret = sandbox_enter(&needs);
        if (ret == -ENOSYS)
            ret = 0; // not built in
        else if (ret)
            err_set(e, "-sandbox: the host refuses the system-call filter (%s); -sandbox off does without",
                    strerror(-ret));
    }
    status = ret ? ret : wait_for_end(m, signal_fd);
    display_stop(&display);
    machine_destroy(m);
    if (pidfile_written)
        pidfile_remove(cfg->pidfile);
    return status;
}

int main(int argc, char **argv)
{
    static struct config cfg;
    struct err e = {""};
    int status;

    switch (options_parse(&cfg, argc, argv, &e)) {
    case OPTIONS_DONE: return fflush(stdout) ? 1 : 0;
    case OPTIONS_ERROR: error_report("%s", e.text); return 1;
    case OPTIONS_RUN: break;
    }
    if (cfg.name)
        prctl(PR_SET_NAME, cfg.name);
    status = run(&cfg, &e);
    if (status < 0) {
        error_report("%s", e.text);
        status = 1;
    }
    if (log_on(LOG_stats))
        stats_print(stderr);
    log_flush();
    config_free(&cfg);
    // Library threads and the board's memory end with the process.
    return status;
}
