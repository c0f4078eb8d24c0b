// SPDX-License-Identifier: MIT
// The file of -pidfile.
#pragma once

#include "frontends/keyval.h"

int pidfile_write(const char *path, struct err *e); // 0 or -EINVAL
void pidfile_remove(const char *path);
