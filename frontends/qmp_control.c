// SPDX-License-Identifier: MIT
// QMP commands that run, stop, reset and end the machine, and save its memory.
#include "frontends/qmp_internal.h"

#include "frontends/guest_memory.h"
#include "frontends/machine.h"
#include "frontends/monitor.h"

#include <stdlib.h>

static void cmd_stop(struct qmp_call *c) { runstate_stop(c->machine->runstate, RUN_STATE_PAUSED); }

static void cmd_cont(struct qmp_call *c)
{
    if (runstate_cont(c->machine->runstate))
        qmp_fail(c, "Resetting the Virtual Machine is required");
}

static void cmd_quit(struct qmp_call *c) { runstate_shutdown(c->machine->runstate, RUN_CAUSE_HOST_QMP_QUIT, 0); }

static void cmd_system_reset(struct qmp_call *c)
{
    runstate_reset(c->machine->runstate, RUN_CAUSE_HOST_QMP_SYSTEM_RESET);
}

static void cmd_system_powerdown(struct qmp_call *c) { runstate_powerdown(c->machine->runstate); }
static void cmd_inject_nmi(struct qmp_call *c) { board_send_nmi(c->machine->board); }

// There is one CPU, number 0.
static bool check_cpu(struct qmp_call *c)
{
    if (!qmp_integer(c, "cpu-index", 0))
        return true;
    qmp_fail(c, "Parameter 'cpu-index' expects a CPU number");
    return false;
}

static void save(struct qmp_call *c, bool physical)
{
    int64_t size = qmp_integer(c, "size", 0);
    struct err e;

    if (check_cpu(c) && guest_memory_save(c->machine, (uint64_t)qmp_integer(c, "val", 0), physical, (uint64_t)size,
                                          qmp_string(c, "filename"), &e))
        qmp_fail(c, "%s", e.text);
}

static void cmd_memsave(struct qmp_call *c) { save(c, false); }
static void cmd_pmemsave(struct qmp_call *c) { save(c, true); }

static void cmd_human_monitor_command(struct qmp_call *c)
{
    char *text;

    if (!check_cpu(c))
        return;
    text = monitor_run_captured(c->machine, qmp_string(c, "command-line"));
    c->result = text ? cJSON_CreateString(text) : NULL;
    if (!c->result)
        qmp_fail(c, "out of memory");
    free(text);
}

const struct qmp_command qmp_control_commands[] = {
    {"stop", "", cmd_stop},
    {"cont", "", cmd_cont},
    {"quit", "", cmd_quit},
    {"system_reset", "", cmd_system_reset},
    {"system_powerdown", "", cmd_system_powerdown},
    {"inject-nmi", "", cmd_inject_nmi},
    {"memsave", "val:i,size:i,filename:s,cpu-index:i?", cmd_memsave},
    {"pmemsave", "val:i,size:i,filename:s", cmd_pmemsave},
    {"human-monitor-command", "command-line:s,cpu-index:i?", cmd_human_monitor_command},
    {NULL, NULL, NULL},
};
