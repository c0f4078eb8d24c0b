// SPDX-License-Identifier: MIT
// One QMP message: its members, its command, the command's arguments, and the answer.
#include "frontends/qmp_internal.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct qmp_command *const lists[] = {qmp_control_commands, qmp_query_commands, qmp_device_commands};

// --- errors

static void set_error(struct qmp_call *c, const char *error_class, const char *fmt, va_list ap)
{
    c->error_class = error_class;
    vsnprintf(c->error, sizeof(c->error), fmt, ap);
}

void qmp_fail(struct qmp_call *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_error(c, "GenericError", fmt, ap);
    va_end(ap);
}

void qmp_fail_class(struct qmp_call *c, const char *error_class, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_error(c, error_class, fmt, ap);
    va_end(ap);
}

cJSON *qmp_error(const char *error_class, const char *text)
{
    cJSON *reply = cJSON_CreateObject(), *error = cJSON_AddObjectToObject(reply, "error");

    cJSON_AddStringToObject(error, "class", error_class);
    cJSON_AddStringToObject(error, "desc", text);
    return reply;
}

// --- arguments

static const cJSON *get(const struct qmp_call *c, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(c->args, name);
}

const char *qmp_string(const struct qmp_call *c, const char *name) { return cJSON_GetStringValue(get(c, name)); }

int64_t qmp_integer(const struct qmp_call *c, const char *name, int64_t otherwise)
{
    const cJSON *v = get(c, name);

    return cJSON_IsNumber(v) ? (int64_t)v->valuedouble : otherwise; // check_type() saw that it fits
}

bool qmp_bool(const struct qmp_call *c, const char *name, bool otherwise)
{
    const cJSON *v = get(c, name);

    return cJSON_IsBool(v) ? cJSON_IsTrue(v) : otherwise;
}

static const struct {
    char letter;
    const char *name;
} types[] = {{'s', "string"}, {'i', "integer"}, {'b', "boolean"}, {'o', "object"}, {'a', "array"}};

static bool has_type(const cJSON *v, char type)
{
    switch (type) {
    case 's': return cJSON_IsString(v);
    case 'i': return cJSON_IsNumber(v) && v->valuedouble == floor(v->valuedouble) && fabs(v->valuedouble) < 0x1p63;
    case 'b': return cJSON_IsBool(v);
    case 'o': return cJSON_IsObject(v);
    default: return cJSON_IsArray(v);
    }
}

// Looks for name in a row's description of arguments. Returns its type, 0 if it is not there.
static char type_of(const char *spec, const char *name)
{
    while (*spec) {
        size_t n = strcspn(spec, ":");

        if (strlen(name) == n && !strncmp(spec, name, n))
            return spec[n + 1];
        spec += strcspn(spec, ",");
        spec += *spec == ',';
    }
    return 0;
}

static bool check_present(struct qmp_call *c, const char *spec)
{
    while (*spec) {
        size_t n = strcspn(spec, ":"), end = strcspn(spec, ",");
        char name[40];

        snprintf(name, sizeof(name), "%.*s", (int)n, spec);
        if (spec[end - 1] != '?' && !get(c, name)) {
            qmp_fail(c, "Parameter '%s' is missing", name);
            return false;
        }
        spec += end + (spec[end] == ',');
    }
    return true;
}

static bool check_args(struct qmp_call *c, const char *spec)
{
    const cJSON *v;

    cJSON_ArrayForEach(v, c->args)
    {
        char type = type_of(spec, v->string);
        unsigned i = 0;

        if (!type) {
            qmp_fail(c, "Parameter '%.100s' is unexpected", v->string);
            return false;
        }
        if (has_type(v, type))
            continue;
        while (types[i].letter != type)
            i++;
        qmp_fail(c, "Invalid parameter type for '%s', expected: %s", v->string, types[i].name);
        return false;
    }
    return check_present(c, spec);
}

// --- commands

static const struct qmp_command *find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++)
        for (const struct qmp_command *c = lists[i]; c->name; c++)
            if (!strcmp(c->name, name))
                return c;
    return NULL;
}

void qmp_for_each_command(void (*fn)(void *opaque, const char *name), void *opaque)
{
    fn(opaque, "qmp_capabilities");
    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++)
        for (const struct qmp_command *c = lists[i]; c->name; c++)
            fn(opaque, c->name);
}

// The members of a message. False: not a command; the error says why.
static bool check_message(struct qmp_call *c, const cJSON *message)
{
    const cJSON *v;
    bool execute = false;

    if (!cJSON_IsObject(message)) {
        qmp_fail(c, "QMP input must be a JSON object");
        return false;
    }
    cJSON_ArrayForEach(v, message)
    {
        if (!strcmp(v->string, "execute")) {
            execute = cJSON_IsString(v);
            if (!execute)
                qmp_fail(c, "QMP input member 'execute' must be a string");
        } else if (!strcmp(v->string, "arguments")) {
            if (!cJSON_IsObject(v))
                qmp_fail(c, "QMP input member 'arguments' must be an object");
            c->args = v;
        } else if (strcmp(v->string, "id")) {
            qmp_fail(c, "QMP input member '%.100s' is unexpected", v->string);
        }
        if (c->error_class)
            return false;
    }
    if (!execute)
        qmp_fail(c, "QMP input lacks member 'execute'");
    return execute;
}

// Out-of-band execution is the one capability there is, and it is not offered.
static void negotiate(struct qmp_call *c, bool *negotiated)
{
    const cJSON *enable = get(c, "enable");

    if (!check_args(c, "enable:a?"))
        return;
    if (cJSON_GetArraySize(enable))
        qmp_fail(c, "Capability 'oob' is not available");
    else
        *negotiated = true;
}

static void execute(struct qmp_call *c, const char *name, bool *negotiated)
{
    bool capabilities = !strcmp(name, "qmp_capabilities");
    const struct qmp_command *cmd = find(name);

    if (capabilities && *negotiated) {
        qmp_fail_class(c, "CommandNotFound", "Capabilities negotiation is already complete, command ignored");
    } else if (capabilities) {
        negotiate(c, negotiated);
    } else if (!*negotiated) {
        qmp_fail_class(c, "CommandNotFound", "Expecting capabilities negotiation with 'qmp_capabilities'");
    } else if (!cmd) {
        qmp_fail_class(c, "CommandNotFound", "The command %.200s has not been found", name);
    } else if (check_args(c, cmd->args)) {
        cmd->fn(c);
    }
}

cJSON *qmp_dispatch(struct machine *m, const cJSON *message, bool *negotiated)
{
    struct qmp_call c = {.machine = m};
    const cJSON *id = cJSON_IsObject(message) ? cJSON_GetObjectItemCaseSensitive(message, "id") : NULL;
    cJSON *reply;

    if (check_message(&c, message))
        execute(&c, cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(message, "execute")), negotiated);
    if (c.error_class) {
        cJSON_Delete(c.result);
        reply = qmp_error(c.error_class, c.error);
    } else {
        reply = cJSON_CreateObject();
        cJSON_AddItemToObject(reply, "return", c.result ? c.result : cJSON_CreateObject());
    }
    if (id)
        cJSON_AddItemToObject(reply, "id", cJSON_Duplicate(id, true));
    return reply;
}
