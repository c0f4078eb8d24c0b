// SPDX-License-Identifier: MIT
// A picture of the screen as a file.
#pragma once

#include "frontends/keyval.h"

struct display;

// format: "ppm" or "png"; NULL: ppm. The file appears whole or not at all. Big lock held. 0, or -EINVAL with a
// message.
int screendump_write(struct display *d, const char *path, const char *format, struct err *e);
