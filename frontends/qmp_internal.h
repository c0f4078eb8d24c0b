// SPDX-License-Identifier: MIT
// What the files of QMP share: commands, their arguments, their answers.
#pragma once

#include "frontends/qmp.h"

#include <cjson/cJSON.h>

// One command under way. Exactly one of result and an error becomes the answer; a result of NULL is {}.
struct qmp_call {
    struct machine *machine;
    const cJSON *args; // an object, checked against the command's row; NULL: none were given
    cJSON *result;
    const char *error_class; // NULL: no error
    char error[400];
};

void qmp_fail(struct qmp_call *c, const char *fmt, ...) __attribute__((format(printf, 2, 3))); // GenericError
void qmp_fail_class(struct qmp_call *c, const char *error_class, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

// Arguments, by name. Absent: the default.
const char *qmp_string(const struct qmp_call *c, const char *name);
int64_t qmp_integer(const struct qmp_call *c, const char *name, int64_t otherwise);
bool qmp_bool(const struct qmp_call *c, const char *name, bool otherwise);

// A row: args lists the arguments as "name:type", separated by commas; ? behind a type means optional.
// Types: s string, i integer, b boolean, o object, a array.
struct qmp_command {
    const char *name, *args;
    void (*fn)(struct qmp_call *c);
};
// Each list ends with a NULL name.
extern const struct qmp_command qmp_control_commands[], qmp_query_commands[], qmp_device_commands[];

// Calls fn for every command's name.
void qmp_for_each_command(void (*fn)(void *opaque, const char *name), void *opaque);
cJSON *qmp_version(void); // {"qemu": {...}, "package": ...}

// Takes one parsed message (not NULL, any type), out of the handshake, and returns the answer. NULL: out of memory.
// *negotiated: in command mode; set by qmp_capabilities.
cJSON *qmp_dispatch(struct machine *m, const cJSON *message, bool *negotiated);
cJSON *qmp_error(const char *error_class, const char *text);
