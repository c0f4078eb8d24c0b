// SPDX-License-Identifier: MIT
// The splitter in front of QMP's JSON parser.
//
// After an error the rest of the line is skipped: a line of garbage, however long, gets one answer. A byte FFh,
// which is in no UTF-8, starts afresh (as clients of QEMU's guest agent and QMP use it).
#include "frontends/qmp_split.h"

#include <stdlib.h>
#include <string.h>

enum { RESYNC = 0xff };

static void forget(struct qmp_split *s)
{
    s->len = 0;
    s->depth = 0;
    s->in_string = s->escaped = false;
    s->utf8_left = 0;
}

static enum qmp_split_event refuse(struct qmp_split *s, const char *why, bool skip)
{
    forget(s);
    if (s->capacity > 65536) { // a flood does not keep its buffer
        free(s->text);
        s->text = NULL;
        s->capacity = 0;
    }
    s->skipping = skip;
    s->error = why;
    return QMP_SPLIT_ERROR;
}

static bool append(struct qmp_split *s, uint8_t byte)
{
    if (s->len + 1 >= s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 512;
        char *text = realloc(s->text, capacity);

        if (!text)
            return false;
        s->text = text;
        s->capacity = capacity;
    }
    s->text[s->len++] = (char)byte;
    s->text[s->len] = 0;
    return true;
}

// The Unicode Standard, table 3-7 "Well-Formed UTF-8 Byte Sequences".
static bool utf8_ok(struct qmp_split *s, uint8_t b)
{
    if (s->utf8_left) {
        bool ok = b >= s->utf8_min && b <= s->utf8_max;

        s->utf8_left--;
        s->utf8_min = 0x80;
        s->utf8_max = 0xbf;
        return ok;
    }
    if (b < 0x80)
        return true;
    if (b < 0xc2 || b > 0xf4)
        return false;
    s->utf8_left = b < 0xe0 ? 1 : b < 0xf0 ? 2 : 3;
    s->utf8_min = b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : 0x80;
    s->utf8_max = b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : 0xbf;
    return true;
}

// A byte inside a message. The whole is balanced when depth comes back to 0.
static const char *track(struct qmp_split *s, uint8_t b)
{
    if (s->in_string) {
        if (b < 0x20)
            return "JSON parse error, control character or end of line in a string";
        if (!utf8_ok(s, b))
            return "JSON parse error, invalid UTF-8 sequence in string";
        if (s->escaped)
            s->escaped = false;
        else if (b == '\\')
            s->escaped = true;
        else if (b == '"')
            s->in_string = false;
        return NULL;
    }
    if (b >= 0x80 || (b < 0x20 && b != '\t' && b != '\r' && b != '\n'))
        return "JSON parse error, stray character";
    if (b == '"') {
        s->in_string = true;
    } else if (b == '{' || b == '[') {
        if (++s->depth > QMP_SPLIT_DEPTH)
            return "JSON nesting depth limit exceeded";
    } else if (b == '}' || b == ']') {
        s->depth--;
    }
    return NULL;
}

static bool is_blank(uint8_t b) { return b == ' ' || b == '\t' || b == '\r' || b == '\n'; }

enum qmp_split_event qmp_split_byte(struct qmp_split *s, uint8_t b)
{
    const char *why;

    if (b == RESYNC) {
        if (s->depth)
            return refuse(s, "JSON parse error, message cut off", false);
        s->skipping = false;
        return QMP_SPLIT_NOTHING;
    }
    if (s->skipping) {
        s->skipping = b != '\n';
        return QMP_SPLIT_NOTHING;
    }
    if (!s->depth) { // between messages
        s->len = 0;
        if (is_blank(b))
            return QMP_SPLIT_NOTHING;
        if (b != '{' && b != '[')
            return refuse(s, "JSON parse error, expecting an object", true);
    }
    why = track(s, b);
    if (why)
        return refuse(s, why, b != '\n');
    if (s->len + 2 > QMP_SPLIT_MAX)
        return refuse(s, "JSON token size limit exceeded", b != '\n');
    if (!append(s, b))
        return refuse(s, "out of memory", b != '\n');
    return s->depth ? QMP_SPLIT_NOTHING : QMP_SPLIT_MESSAGE;
}

bool qmp_split_end(struct qmp_split *s)
{
    bool partial = s->depth;

    forget(s);
    s->skipping = false;
    return partial;
}

void qmp_split_free(struct qmp_split *s)
{
    free(s->text);
    *s = (struct qmp_split){.text = NULL};
}
