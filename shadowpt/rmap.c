// SPDX-License-Identifier: MIT
// Reverse map of W entries: a sparse array by guest-physical page number.
#include "shadowpt/rmap.h"

#include <errno.h>
#include <sys/mman.h>

#define RMAP_BYTES (sizeof(struct rmap_entry) << (RMAP_GPA_BITS - PAGE_SHIFT))

int rmap_create(struct rmap *m)
{
    void *p = mmap(NULL, RMAP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        return -errno;
    }
    madvise(p, RMAP_BYTES, MADV_NOHUGEPAGE);
    madvise(p, RMAP_BYTES, MADV_DONTDUMP);
    m->page = p;
    return 0;
}

void rmap_destroy(struct rmap *m)
{
    if (m->page) {
        munmap(m->page, RMAP_BYTES);
        m->page = NULL;
    }
}

// Does the W entry still lead to host? A table index is the guest page modulo 2^40, so compare modulo that.
static bool leads_to(const struct view *v, uint32_t id, hva host)
{
    uint64_t entry = v->tab[id];
    uint64_t sum = entry + ((uint64_t)id << PAGE_SHIFT);
    return entry && ((sum ^ (uint64_t)host) & (BIT(40) - 1)) == 0;
}

void rmap_add(struct rmap *m, struct view *const *views, gpa page, hva host, unsigned view, uint32_t id)
{
    struct rmap_entry *e = &m->page[page >> PAGE_SHIFT];
    int place = -1;
    if (e->overflow) {
        return;
    }
    for (int i = 0; i < 3; i++) {
        if (e->view[i] == view + 1 && e->id[i] == id) {
            return;
        }
        if (place < 0 && (!e->view[i] || !leads_to(views[e->view[i] - 1], e->id[i], host))) {
            place = i;
        }
    }
    if (place < 0) {
        e->overflow = 1;
        return;
    }
    e->view[place] = (uint8_t)(view + 1);
    e->id[place] = id;
}

bool rmap_revoke(struct rmap *m, struct view *const *views, gpa page)
{
    struct rmap_entry *e = &m->page[page >> PAGE_SHIFT];
    bool known = !e->overflow;
    for (int i = 0; i < 3; i++) {
        if (known && e->view[i]) {
            // Whatever is there now: an entry of another page in this slot is merely filled again.
            views[e->view[i] - 1]->tab[e->id[i]] = 0;
        }
        e->view[i] = 0;
    }
    e->overflow = 0;
    return known;
}
