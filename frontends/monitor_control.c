// SPDX-License-Identifier: MIT
// Monitor commands that run, stop, reset and end the machine.
#include "frontends/monitor_internal.h"

#include "base/log.h"
#include "frontends/machine.h"

#include <stdio.h>
#include <string.h>

static void cmd_stop(struct monitor *mon, const struct monitor_args *args)
{
    runstate_stop(mon->machine->runstate, RUN_STATE_PAUSED);
}

static void cmd_cont(struct monitor *mon, const struct monitor_args *args)
{
    if (runstate_cont(mon->machine->runstate))
        monitor_printf(mon, "Error: Resetting the Virtual Machine is required\n");
}

static void cmd_quit(struct monitor *mon, const struct monitor_args *args)
{
    runstate_shutdown(mon->machine->runstate, RUN_CAUSE_HOST_QMP_QUIT, 0);
}

static void cmd_system_reset(struct monitor *mon, const struct monitor_args *args)
{
    runstate_reset(mon->machine->runstate, RUN_CAUSE_HOST_QMP_SYSTEM_RESET);
}

static void cmd_system_powerdown(struct monitor *mon, const struct monitor_args *args)
{
    runstate_powerdown(mon->machine->runstate);
}

static void cmd_nmi(struct monitor *mon, const struct monitor_args *args) { board_send_nmi(mon->machine->board); }

static void cmd_log(struct monitor *mon, const struct monitor_args *args)
{
    static const char *const names[] = {
#define X(name, help) #name,
        LOG_CATEGORIES(X)
#undef X
    };
    const char *items = monitor_arg_text(args, "items");
    char bad[32];

    if (!strcmp(items, "none")) {
        log_mask = 0;
        return;
    }
    if (!log_set_mask(items, bad))
        return;
    monitor_printf(mon, "Log items (comma separated):\nnone\n");
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        monitor_printf(mon, "%s\n", names[i]);
}

static void cmd_logfile(struct monitor *mon, const struct monitor_args *args)
{
    int ret = log_set_file(monitor_arg_text(args, "filename"));

    if (ret)
        monitor_printf(mon, "Error: %s\n", strerror(-ret));
}

const struct monitor_command monitor_control_commands[] = {
    {"stop|s", "", "", "stop emulation", cmd_stop},
    {"cont|c", "", "", "resume emulation", cmd_cont},
    {"quit|q", "", "", "quit the emulator", cmd_quit},
    {"system_reset", "", "", "reset the system", cmd_system_reset},
    {"system_powerdown", "", "", "send system power down event", cmd_system_powerdown},
    {"nmi", "", "", "inject an NMI", cmd_nmi},
    {"log", "items:s", "item1[,...]", "activate logging of the specified items (none: of nothing)", cmd_log},
    {"logfile", "filename:s", "filename", "output logs to 'filename'", cmd_logfile},
    {NULL, NULL, NULL, NULL, NULL},
};
