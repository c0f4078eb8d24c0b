// SPDX-License-Identifier: MIT
// "NAME,key=value,..." arguments as QEMU writes them: ',,' stands for a comma inside a value.
//
// Each lookup marks its key as used; what nobody asked for is an error that names it.
#pragma once

#include "base/types.h"

// A message for the user, without the "ring3: " and the newline. Filled by whoever returns -EINVAL.
struct err {
    char text[320];
};
// Returns -EINVAL, so that `return err_set(...)` reads well.
int err_set(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

enum { KEYVAL_MAX = 32 };

struct keyval {
    char *storage;
    struct {
        const char *key, *value;
        bool used;
    } item[KEYVAL_MAX];
    unsigned count;
};

// A first element without '=' becomes the value of implied_key (if not NULL). Any other bare word is
// "key=on", and "nokey" stays a key of its own. 0 or -EINVAL.
int keyval_parse(struct keyval *kv, const char *text, const char *implied_key, struct err *e);
void keyval_free(struct keyval *kv);

const char *keyval_get(struct keyval *kv, const char *key); // NULL if absent; the last one wins
// Adds a pair (both strings must outlive kv), as a default or on behalf of a shorthand.
int keyval_add(struct keyval *kv, const char *key, const char *value);
// These leave *out alone if the key is absent. 0 or -EINVAL.
int keyval_get_bool(struct keyval *kv, const char *key, bool *out, struct err *e);
int keyval_get_uint(struct keyval *kv, const char *key, uint64_t *out, struct err *e);
int keyval_get_on_off_auto(struct keyval *kv, const char *key, bool *out, struct err *e); // auto: as if it were absent
int keyval_get_range(struct keyval *kv, const char *key, unsigned min, unsigned max, unsigned *out, struct err *e);
int keyval_get_size(struct keyval *kv, const char *key, uint64_t *out, struct err *e);
// -EINVAL if a key was not asked for: "what: no property 'key'".
int keyval_check_used(const struct keyval *kv, const char *what, struct err *e);

// on/off/yes/no/true/false; 0 or -EINVAL.
int parse_bool(const char *s, bool *out);
// "512M", "1.5G", "4096"; unit is the factor of a bare number (1 or 1 MiB). 0 or -EINVAL.
int parse_size(const char *s, uint64_t unit, uint64_t *out);
int parse_uint(const char *s, uint64_t *out); // decimal, 0x..., 0...
