// SPDX-License-Identifier: MIT
// A QMP session: greeting, negotiation, messages in, answers and events out.
//
// A client that does not read cannot make the process grow: its commands wait in its own socket while answers
// do, and events are dropped when the queue is full.
#include "frontends/qmp_internal.h"

#include "frontends/machine.h"
#include "frontends/qmp_split.h"
#include "frontends/version.h"
#include "hw/chardev.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum { READ_CHUNK = 4096, INPUT_STOPS = 64 << 10, EVENTS_STOP = 256 << 10 };

struct qmp {
    struct machine *machine;
    struct chardev *chr;
    struct qmp_split split;
    struct run_listener listener;
    char *output; // what the stream could not take yet
    size_t output_used;
    uint8_t input[READ_CHUNK]; // what has to wait until the client reads its answers
    size_t input_at, input_end;
    bool pretty, negotiated, open, pumping;
};

static void pump(struct qmp *q);

// --- output

static void flush_output(void *opaque)
{
    struct qmp *q = opaque;
    size_t n = chardev_write(q->chr, (const uint8_t *)q->output, q->output_used);

    q->output_used -= n;
    memmove(q->output, q->output + n, q->output_used);
    if (q->output_used >= INPUT_STOPS)
        return;
    pump(q);
    chardev_accept_input(q->chr);
}

// Takes the object over. NULL (out of memory) sends nothing.
static void send_json(struct qmp *q, cJSON *json)
{
    char *text = json ? q->pretty ? cJSON_Print(json) : cJSON_PrintUnformatted(json) : NULL;
    size_t len = text ? strlen(text) : 0;
    char *bigger = text ? realloc(q->output, q->output_used + len + 2) : NULL;

    cJSON_Delete(json);
    if (bigger) {
        q->output = bigger;
        memcpy(q->output + q->output_used, text, len);
        memcpy(q->output + q->output_used + len, "\r\n", 2);
        q->output_used += len + 2;
        flush_output(q);
    }
    cJSON_free(text);
}

cJSON *qmp_version(void)
{
    // The protocol is that of this release of QEMU; clients ask what they may use by it.
    cJSON *v = cJSON_CreateObject(), *qemu = cJSON_AddObjectToObject(v, "qemu");

    cJSON_AddNumberToObject(qemu, "micro", 0);
    cJSON_AddNumberToObject(qemu, "minor", 2);
    cJSON_AddNumberToObject(qemu, "major", 7);
    cJSON_AddStringToObject(v, "package", "ring3 " RING3_VERSION);
    return v;
}

static void send_greeting(struct qmp *q)
{
    cJSON *greeting = cJSON_CreateObject(), *body = cJSON_AddObjectToObject(greeting, "QMP");

    cJSON_AddItemToObject(body, "version", qmp_version());
    cJSON_AddArrayToObject(body, "capabilities");
    send_json(q, greeting);
}

// --- events

static void send_event(struct qmp *q, const char *name, cJSON *data)
{
    cJSON *event, *stamp;
    struct timeval now;

    if (!q->open || !q->negotiated || q->output_used > EVENTS_STOP) {
        cJSON_Delete(data);
        return;
    }
    gettimeofday(&now, NULL);
    event = cJSON_CreateObject();
    stamp = cJSON_AddObjectToObject(event, "timestamp");
    cJSON_AddNumberToObject(stamp, "seconds", (double)now.tv_sec);
    cJSON_AddNumberToObject(stamp, "microseconds", (double)now.tv_usec);
    cJSON_AddStringToObject(event, "event", name);
    if (data)
        cJSON_AddItemToObject(event, "data", data);
    send_json(q, event);
}

void qmp_tray_moved(struct qmp *q, const char *drive, const char *device, bool open)
{
    cJSON *data = cJSON_CreateObject();

    cJSON_AddStringToObject(data, "device", drive);
    cJSON_AddStringToObject(data, "id", device);
    cJSON_AddBoolToObject(data, "tray-open", open);
    send_event(q, "DEVICE_TRAY_MOVED", data);
}

static void on_run_event(void *opaque, enum run_event event, enum run_cause cause)
{
    static const char *const names[] = {
        [RUN_EVENT_STOP] = "STOP",         [RUN_EVENT_RESUME] = "RESUME",       [RUN_EVENT_RESET] = "RESET",
        [RUN_EVENT_SHUTDOWN] = "SHUTDOWN", [RUN_EVENT_POWERDOWN] = "POWERDOWN",
    };
    cJSON *data = NULL;

    if (event == RUN_EVENT_RESET || event == RUN_EVENT_SHUTDOWN) {
        data = cJSON_CreateObject();
        cJSON_AddBoolToObject(data, "guest", run_cause_is_guest(cause));
        cJSON_AddStringToObject(data, "reason", run_cause_name(cause));
    }
    send_event(opaque, names[event], data);
}

// --- input

static void take_message(struct qmp *q)
{
    const char *end = NULL;
    cJSON *message = cJSON_ParseWithLengthOpts(q->split.text, q->split.len, &end, false);

    if (message && end == q->split.text + q->split.len)
        send_json(q, qmp_dispatch(q->machine, message, &q->negotiated));
    else
        send_json(q, qmp_error("GenericError", "JSON parse error, invalid JSON"));
    cJSON_Delete(message);
}

static void take_byte(struct qmp *q, uint8_t byte)
{
    switch (qmp_split_byte(&q->split, byte)) {
    case QMP_SPLIT_NOTHING: break;
    case QMP_SPLIT_MESSAGE: take_message(q); break;
    case QMP_SPLIT_ERROR: send_json(q, qmp_error("GenericError", q->split.error)); break;
    }
}

// Sending an answer comes back here when the stream takes it.
static void pump(struct qmp *q)
{
    if (q->pumping)
        return;
    q->pumping = true;
    while (q->input_at < q->input_end && q->output_used < INPUT_STOPS)
        take_byte(q, q->input[q->input_at++]);
    q->pumping = false;
}

static size_t can_receive(void *opaque)
{
    struct qmp *q = opaque;

    return q->input_at == q->input_end ? sizeof(q->input) : 0;
}

static void receive(void *opaque, const uint8_t *buf, size_t len)
{
    struct qmp *q = opaque;

    memcpy(q->input, buf, len); // at most what can_receive() said
    q->input_at = 0;
    q->input_end = len;
    pump(q);
}

static void connected(void *opaque, bool on)
{
    struct qmp *q = opaque;

    qmp_split_end(&q->split);
    q->negotiated = false;
    q->open = on;
    q->output_used = q->input_at = q->input_end = 0;
    if (on)
        send_greeting(q);
}

// --- life

int qmp_create(struct machine *m, struct chardev *chr, bool pretty, struct qmp **out)
{
    static const struct chardev_frontend_ops ops = {
        .can_receive = can_receive, .receive = receive, .can_write = flush_output, .connected = connected};
    struct qmp *q = calloc(1, sizeof(*q));

    if (!q)
        return -ENOMEM;
    q->machine = m;
    q->chr = chr;
    q->pretty = pretty;
    q->listener = (struct run_listener){.event = on_run_event, .opaque = q};
    runstate_listen(m->runstate, &q->listener);
    chr->fe = &ops;
    chr->fe_opaque = q;
    *out = q;
    return 0;
}

void qmp_destroy(struct qmp *q)
{
    if (!q)
        return;
    runstate_unlisten(q->machine->runstate, &q->listener);
    q->chr->fe = NULL;
    qmp_split_free(&q->split);
    free(q->output);
    free(q);
}
