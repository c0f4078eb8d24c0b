// SPDX-License-Identifier: MIT
// Run-time log: the mask, the file, and messages for the user.
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

uint32_t log_mask;
static FILE *log_file; // NULL is stderr

static const char *const log_names[LOG_COUNT] = {
#define X(name, help) #name,
    LOG_CATEGORIES(X)
#undef X
};

static FILE *log_out(void) { return log_file ? log_file : stderr; }

static bool category_find(const char *name, size_t len, uint32_t *bit)
{
    for (unsigned i = 0; i < LOG_COUNT; i++) {
        if (strlen(log_names[i]) == len && memcmp(log_names[i], name, len) == 0) {
            *bit = 1u << i;
            return true;
        }
    }
    return false;
}

int log_set_mask(const char *list, char bad[32])
{
    uint32_t mask = 0;
    while (*list) {
        size_t len = strcspn(list, ",");
        uint32_t bit = 0;
        if (len && !category_find(list, len, &bit)) {
            snprintf(bad, 32, "%.*s", (int)(len < 31 ? len : 31), list);
            return -EINVAL;
        }
        mask |= bit;
        list += len + (list[len] == ',');
    }
    log_mask = mask;
    return 0;
}

int log_set_file(const char *path)
{
    FILE *f = NULL;
    if (path) {
        f = fopen(path, "we");
        if (!f) {
            return -errno;
        }
        setvbuf(f, NULL, _IOFBF, 1 << 16);
    }
    if (log_file) {
        fclose(log_file);
    }
    log_file = f;
    return 0;
}

void log_flush(void) { fflush(log_out()); }

void log_printf(enum log_category c, const char *fmt, ...)
{
    if (!log_on(c)) {
        return;
    }
    // One stdio call under the stream's lock keeps lines of different threads whole.
    FILE *f = log_out();
    size_t len = strlen(fmt);
    va_list ap;
    va_start(ap, fmt);
    flockfile(f);
    vfprintf(f, fmt, ap);
    if (len == 0 || fmt[len - 1] != '\n') {
        putc_unlocked('\n', f);
    }
    funlockfile(f);
    va_end(ap);
}

static void report(const char *kind, const char *fmt, va_list ap)
{
    flockfile(stderr);
    fprintf(stderr, "ring3: %s", kind);
    vfprintf(stderr, fmt, ap);
    putc_unlocked('\n', stderr);
    funlockfile(stderr);
}

void error_report(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    report("", fmt, ap);
    va_end(ap);
}

void warn_report(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    report("warning: ", fmt, ap);
    va_end(ap);
}
