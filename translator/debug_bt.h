// SPDX-License-Identifier: MIT
// Keeping translated code right under a debugger's breakpoints and watchpoints.
#pragma once

#include "translator/tb.h"

// At the start of a run: blocks that extend over new breakpoints and fast entries of newly watched pages go.
void bt_debug_sync(struct bt *bt);
