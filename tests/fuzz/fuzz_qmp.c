// SPDX-License-Identifier: MIT
// Fuzz target: QMP's input, through the splitter, the JSON parser and the checks of a message, up to the commands.
// Bytes 128 and up stand for words of the protocol; the first byte says whether they do.
#include "frontends/qmp_internal.h"
#include "frontends/qmp_split.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// clang-format off
static const char *const words[] = {
    "{", "}", "[", "]", ":", ",", "\"", "\\", "\\u", "\n", "\"execute\":", "\"arguments\":{", "\"id\":", "\"qmp_capabilities\"",
    "\"stop\"", "\"enable\":[", "\"oob\"", "1e9", "-1", "null", "true", "\xc3\xa9", "\xff",
};
// clang-format on

static void take(struct qmp_split *s, uint8_t byte)
{
    bool negotiated = false;
    const char *end = NULL;
    cJSON *message, *reply;
    char *text;

    switch (qmp_split_byte(s, byte)) {
    case QMP_SPLIT_NOTHING: return;
    case QMP_SPLIT_ERROR:
        if (!s->error || s->len || s->depth)
            abort();
        return;
    case QMP_SPLIT_MESSAGE: break;
    }
    if (!s->len || s->len >= QMP_SPLIT_MAX || s->depth || strlen(s->text) != s->len)
        abort();
    message = cJSON_ParseWithLengthOpts(s->text, s->len, &end, false);
    reply = message ? qmp_dispatch(NULL, message, &negotiated) : qmp_error("GenericError", "invalid");
    text = cJSON_PrintUnformatted(reply);
    // A client must be able to read the answer.
    if (!text || !cJSON_IsObject(reply))
        abort();
    cJSON_Delete(cJSON_Parse(text));
    cJSON_free(text);
    cJSON_Delete(reply);
    cJSON_Delete(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qmp_split s = {.text = NULL};
    bool spell = size && data[0] & 1;

    for (size_t i = 1; i < size; i++) {
        const char *w = words[data[i] % ARRAY_SIZE(words)];

        if (!spell || data[i] < 128)
            take(&s, data[i]);
        else
            for (; *w; w++)
                take(&s, (uint8_t)*w);
    }
    qmp_split_end(&s);
    qmp_split_free(&s);
    return 0;
}
