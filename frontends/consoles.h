// SPDX-License-Identifier: MIT
// Who sits at which character device: serial ports, debug console, monitors and QMP servers.
#pragma once

#include "frontends/board_pc.h"
#include "frontends/options.h"

struct machine;
struct consoles;

// Opens what the command line names, and what it does not name but QEMU would have; fills bc's streams and
// m->chardevs. Without the big lock. 0 or -EINVAL; *out is to be destroyed either way.
int consoles_open(struct machine *m, struct board_config *bc, struct consoles **out, struct err *e);
// --- big lock held
int consoles_start(struct consoles *c, struct err *e); // the monitors and QMP servers, once there is a board
void consoles_destroy(struct consoles *c);             // these; the streams stay. NULL is fine
bool consoles_can_control(const struct consoles *c);   // is there a monitor?
