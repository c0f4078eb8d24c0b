// SPDX-License-Identifier: MIT
// One machine from the command line to its end: what is created in which order, who may stop, reset or end
// it.
#pragma once

#include "cpu/cpuid.h"
#include "frontends/board_pc.h"
#include "frontends/chardevs.h"
#include "frontends/devices.h"
#include "frontends/options.h"
#include "frontends/runstate.h"
#include "frontends/vcpu.h"

struct input;
struct gdbstub;
struct consoles;
struct display;

struct machine {
    struct config *cfg;
    struct cpu_model model;
    struct ram ram;
    struct address_space *mem, *ports;
    struct boot_image *boot;   // NULL: the firmware boots what it finds
    struct firmware *firmware; // NULL: there is none, and the kernel is entered directly
    bool kernel_entered;       // the firmware has handed over; vCPU thread
    struct chardevs *chardevs;
    struct consoles *consoles;
    struct chardev *gdb_chr;
    struct gdbstub *gdbstub;
    struct vcpu *vcpu;
    struct input *input; // keyboard and pointer
    struct board *board;
    struct audio *audio; // NULL: none
    struct devices *devices;
    struct display *screen;    // what the graphics adapter shows
    struct runstate *runstate; // stop, cont, reset, shutdown, power button and their events
    uint64_t stopped_tsc;      // the host's TSC when guest time was stopped
    int event_fd;              // written when the main thread has to look
    _Atomic bool ended;
    int exit_status; // once it has ended
};

// 0 or -EINVAL with a message; on an error nothing is left behind.
int machine_create(struct config *cfg, struct machine **out, struct err *e);
int machine_start(struct machine *m, struct err *e); // the CPU runs unless -S
void machine_destroy(struct machine *m);             // NULL is fine

// Big lock held (it is released meanwhile), not on a vCPU thread: the CPU's state can be looked at in between,
// whether the machine runs or not.
void machine_hold_cpu(struct machine *m);
void machine_release_cpu(struct machine *m);
