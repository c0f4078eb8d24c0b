// SPDX-License-Identifier: MIT
// Reverse map: which W entries lead to a guest-physical page, so that it can be made read-only for its code.
//
// 16 bytes a page, three places; a page that is written through more is marked, and then all views are
// emptied. Places are not taken back when an entry is dropped: they are checked against the table when
// needed.
#pragma once

#include "shadowpt/view.h"

#define RMAP_GPA_BITS 40 // pages above get no W entry

struct rmap_entry {
    uint32_t id[3];  // entry in the view's table
    uint8_t view[3]; // index + 1; 0 is free
    uint8_t overflow;
};

struct rmap {
    struct rmap_entry *page; // by guest-physical page number, allocated as it is touched
};

int rmap_create(struct rmap *m); // 0 or -errno
void rmap_destroy(struct rmap *m);

// A W entry for this page (host: where it is) was put into views[view].
void rmap_add(struct rmap *m, struct view *const *views, gpa page, hva host, unsigned view, uint32_t id);
// Zeroes all of them. False if there were too many to know: the caller empties all views.
bool rmap_revoke(struct rmap *m, struct view *const *views, gpa page);
