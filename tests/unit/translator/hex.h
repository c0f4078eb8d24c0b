// SPDX-License-Identifier: MIT
// Instructions in tests are written as text: "48 89 e5".
#pragma once

#include <stdint.h>
#include <stdlib.h>

#include "translator/decode.h"

// Returns the number of bytes.
static inline unsigned parse_hex(const char *s, uint8_t out[INSN_MAX])
{
    unsigned n = 0;
    char *end;
    for (unsigned long v = strtoul(s, &end, 16); end != s && n < INSN_MAX; v = strtoul(s, &end, 16)) {
        out[n++] = (uint8_t)v;
        s = end;
    }
    return n;
}
