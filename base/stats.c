// SPDX-License-Identifier: MIT
// Counters: the array and its printout.
#include "base/stats.h"

#include <string.h>

uint64_t stats[STAT_COUNT];

static const struct {
    const char *id, *help;
} stat_names[STAT_COUNT] = {
// clang-format off
#define X(id, help) {#id, help},
// clang-format on
#include "base/stats.def"
#undef X
};

// The part of the name before the first '_'.
static size_t group_len(const char *id) { return strcspn(id, "_"); }

void stats_print(FILE *f)
{
    const char *group = "";
    for (unsigned i = 0; i < STAT_COUNT; i++) {
        if (!stats[i]) {
            continue;
        }
        const char *id = stat_names[i].id;
        size_t n = group_len(id);
        if (n != group_len(group) || strncmp(id, group, n) != 0) {
            fprintf(f, "%.*s\n", (int)n, id);
            group = id;
        }
        fprintf(f, "  %-24s %16llu  %s\n", id[n] ? id + n + 1 : id, (unsigned long long)stats[i], stat_names[i].help);
    }
    fflush(f);
}
