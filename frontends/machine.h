// SPDX-License-Identifier: MIT
// One machine from the command line to its end: what is created in which order, who may stop, reset or end
// it.
#pragma once

#include "cpu/cpuid.h"
#include "frontends/board_pc.h"
#include "frontends/chardevs.h"
#include "frontends/devices.h"
#include "frontends/options.h"
#include "frontends/vcpu.h"

struct monitor;

struct machine {
    struct config *cfg;
    struct cpu_model model;
    struct ram ram;
    struct address_space *mem, *ports;
    struct linux_boot *boot;
    struct chardevs *chardevs;
    struct chardev *monitor_chr;
    struct monitor *monitor;
    struct vcpu *vcpu;
    struct board *board;
    struct devices *devices;
    int event_fd; // written when the main thread has to look
    _Atomic bool exiting;
    _Atomic int exit_status;
};

// 0 or -EINVAL with a message; on an error nothing is left behind.
int machine_create(struct config *cfg, struct machine **out, struct err *e);
int machine_start(struct machine *m, struct err *e); // the CPU runs unless -S
void machine_destroy(struct machine *m);             // NULL is fine

// Any thread.
void machine_request_exit(struct machine *m, int status);
void machine_request_reset(struct machine *m);
void machine_power_off(struct machine *m); // the guest's own power-off: -no-shutdown pauses
