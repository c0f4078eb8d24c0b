// SPDX-License-Identifier: MIT
// Cuts a stream of bytes into JSON messages before anything parses them: balanced braces, strings, valid
// UTF-8, and limits on size and depth, so that no input makes the parser recurse or the process grow.
#pragma once

#include "base/types.h"

enum { QMP_SPLIT_MAX = 1 << 20, QMP_SPLIT_DEPTH = 128 };

enum qmp_split_event {
    QMP_SPLIT_NOTHING, // more bytes, please
    QMP_SPLIT_MESSAGE, // text[0..len), ended with a 0, is an object or array; valid until the next byte
    QMP_SPLIT_ERROR,   // error says why; what belongs to it is skipped
};

struct qmp_split {
    char *text;
    size_t len, capacity;
    unsigned depth; // open braces and brackets
    bool in_string, escaped, skipping;
    uint8_t utf8_left;          // continuation bytes that must follow
    uint8_t utf8_min, utf8_max; // range of the next one
    const char *error;
};

enum qmp_split_event qmp_split_byte(struct qmp_split *s, uint8_t byte);
// The stream ended. True: in the middle of a message.
bool qmp_split_end(struct qmp_split *s);
void qmp_split_free(struct qmp_split *s);
