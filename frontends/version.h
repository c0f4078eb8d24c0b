// SPDX-License-Identifier: MIT
// The version, as -version and the monitors say it.
#pragma once

#define RING3_VERSION "0.1.0"
