// SPDX-License-Identifier: MIT
// Parsing of "NAME,key=value,..." arguments.
#include "frontends/keyval.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int err_set(struct err *e, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    return -EINVAL;
}

// Copies one element up to a lone ',' into out, undoing ',,'. Returns what follows the ',' or NULL at the
// end.
static const char *copy_element(const char *in, char **out)
{
    char *o = *out;
    const char *next = NULL;

    while (*in) {
        if (*in == ',') {
            if (in[1] != ',') {
                next = in + 1;
                break;
            }
            in++;
        }
        *o++ = *in++;
    }
    *o++ = 0;
    *out = o;
    return next;
}

int keyval_parse(struct keyval *kv, const char *text, const char *implied_key, struct err *e)
{
    char *out;
    bool first = true;

    memset(kv, 0, sizeof(*kv));
    kv->storage = out = malloc(strlen(text) + 2);
    if (!out)
        return err_set(e, "out of memory");
    for (const char *in = text; in && *in; first = false) {
        char *element = out, *eq;

        in = copy_element(in, &out);
        if (!*element && !first)
            continue;
        eq = strchr(element, '=');
        if (kv->count == KEYVAL_MAX) {
            keyval_free(kv);
            return err_set(e, "more than %d properties in '%.80s'", KEYVAL_MAX, text);
        }
        if (eq) {
            *eq = 0;
            keyval_add(kv, element, eq + 1);
        } else if (first && implied_key) {
            keyval_add(kv, implied_key, element);
        } else {
            keyval_add(kv, element, "on");
        }
        if (!*kv->item[kv->count - 1].key) {
            keyval_free(kv);
            return err_set(e, "a property without a name in '%.80s'", text);
        }
    }
    return 0;
}

void keyval_free(struct keyval *kv)
{
    free(kv->storage);
    kv->storage = NULL;
    kv->count = 0;
}

int keyval_add(struct keyval *kv, const char *key, const char *value)
{
    if (kv->count == KEYVAL_MAX)
        return -EINVAL;
    kv->item[kv->count].key = key;
    kv->item[kv->count].value = value;
    kv->item[kv->count++].used = false;
    return 0;
}

const char *keyval_get(struct keyval *kv, const char *key)
{
    const char *v = NULL;

    for (unsigned i = 0; i < kv->count; i++)
        if (!strcmp(kv->item[i].key, key)) {
            kv->item[i].used = true;
            v = kv->item[i].value;
        }
    return v;
}

int parse_bool(const char *s, bool *out)
{
    static const char *const words[][2] = {{"off", "on"}, {"no", "yes"}, {"false", "true"}, {"0", "1"}};

    for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
        for (unsigned v = 0; v < 2; v++)
            if (!strcmp(s, words[i][v])) {
                *out = v;
                return 0;
            }
    return -EINVAL;
}

int parse_uint(const char *s, uint64_t *out)
{
    char *end;

    if (!isdigit((unsigned char)*s))
        return -EINVAL;
    errno = 0;
    *out = strtoull(s, &end, 0);
    return errno || *end ? -EINVAL : 0;
}

int parse_size(const char *s, uint64_t unit, uint64_t *out)
{
    static const char suffixes[] = "BKMGTPE";
    char *end;
    double v;
    const char *suffix;

    if (!isdigit((unsigned char)*s))
        return -EINVAL;
    if (!parse_uint(s, out)) // exact for plain numbers
        return __builtin_mul_overflow(*out, unit, out) ? -EINVAL : 0;
    v = strtod(s, &end);
    if (*end) {
        suffix = strchr(suffixes, toupper((unsigned char)*end));
        if (!suffix || (end[1] && strcasecmp(end + 1, "B") && strcasecmp(end + 1, "iB")))
            return -EINVAL;
        unit = 1ull << (10 * (suffix - suffixes));
    }
    v *= (double)unit;
    if (!(v >= 0 && v < 9.2e18))
        return -EINVAL;
    *out = (uint64_t)v;
    return 0;
}

int keyval_get_bool(struct keyval *kv, const char *key, bool *out, struct err *e)
{
    const char *v = keyval_get(kv, key);

    if (v && parse_bool(v, out))
        return err_set(e, "%s=%.60s: expected on or off", key, v);
    return 0;
}

int keyval_get_uint(struct keyval *kv, const char *key, uint64_t *out, struct err *e)
{
    const char *v = keyval_get(kv, key);

    if (v && parse_uint(v, out))
        return err_set(e, "%s=%.60s: expected a number", key, v);
    return 0;
}

int keyval_get_on_off_auto(struct keyval *kv, const char *key, bool *out, struct err *e)
{
    const char *v = keyval_get(kv, key);

    if (v && strcmp(v, "auto") && parse_bool(v, out))
        return err_set(e, "%s=%.60s: expected on, off or auto", key, v);
    return 0;
}

int keyval_get_range(struct keyval *kv, const char *key, unsigned min, unsigned max, unsigned *out, struct err *e)
{
    uint64_t v = *out;

    if (keyval_get_uint(kv, key, &v, e))
        return -EINVAL;
    if (keyval_get(kv, key) && (v < min || v > max))
        return err_set(e, "%s=%llu: from %u to %u", key, (unsigned long long)v, min, max);
    *out = (unsigned)v;
    return 0;
}

int keyval_get_size(struct keyval *kv, const char *key, uint64_t *out, struct err *e)
{
    const char *v = keyval_get(kv, key);

    if (v && parse_size(v, 1, out))
        return err_set(e, "%s=%.60s: expected a size such as 512M or 2G", key, v);
    return 0;
}

int keyval_check_used(const struct keyval *kv, const char *what, struct err *e)
{
    for (unsigned i = 0; i < kv->count; i++)
        if (!kv->item[i].used)
            return err_set(e, "%s: no property '%.60s'", what, kv->item[i].key);
    return 0;
}
