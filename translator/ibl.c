// SPDX-License-Identifier: MIT
// Indirect-branch lookup tables: guest address of a branch target -> translated code.
//
// Translated code indexes the current table by the low 18 bits of the target and compares by adding:
// entry.neg_va + target == 0. A table is valid for one epoch (one way fetches translate); user mode keeps a
// few tables, so that a switch back to a recent address space finds its own still filled.
#include <errno.h>
#include <sys/mman.h>

#include "translator/tb.h"

static struct ibl_entry *table_map(void)
{
    void *p = mmap(NULL, IBL_ENTRIES * sizeof(struct ibl_entry), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    ((struct ibl_entry *)p)[0].neg_va = 1; // an empty slot is 0, which only target 0 would match: slot 0
    return p;
}

// Entries whose code lies in [lo, hi).
static void table_clear_code(struct ibl_table *t, uintptr_t lo, uintptr_t hi)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < t->used; i++) {
        struct ibl_entry *e = &t->entry[t->log[i]];
        if ((uintptr_t)e->code >= lo && (uintptr_t)e->code < hi)
            *e = (struct ibl_entry){0};
        else
            t->log[kept++] = t->log[i];
    }
    t->used = kept;
    if (!t->entry[0].code)
        t->entry[0].neg_va = 1;
}

static void table_clear(struct ibl_table *t) { table_clear_code(t, 0, UINTPTR_MAX); }

int ibl_init(struct bt *bt)
{
    bt->ibl_empty = table_map();
    bt->ibl_sup.entry = table_map();
    if (!bt->ibl_empty || !bt->ibl_sup.entry)
        return -ENOMEM;
    for (unsigned i = 0; i < ARRAY_SIZE(bt->ibl_users); i++)
        if (!(bt->ibl_users[i].entry = table_map()))
            return -ENOMEM;
    bt->ibl_user = &bt->ibl_users[0];
    return 0;
}

void ibl_destroy(struct bt *bt)
{
    size_t size = IBL_ENTRIES * sizeof(struct ibl_entry);
    munmap(bt->ibl_empty, size);
    munmap(bt->ibl_sup.entry, size);
    for (unsigned i = 0; i < ARRAY_SIZE(bt->ibl_users); i++)
        munmap(bt->ibl_users[i].entry, size);
}

void ibl_insert(struct bt *bt, gva va, uint8_t *code, bool user)
{
    struct ibl_table *t = user ? bt->ibl_user : &bt->ibl_sup;
    unsigned slot = va & (IBL_ENTRIES - 1);
    if (!t->entry[slot].code)
        t->log[t->used++] = slot;
    t->entry[slot] = (struct ibl_entry){.neg_va = -va, .code = code};
}

// Two modes may meet at one address and privilege (CR0.TS set and clear, 32-bit and 64-bit code).
void ibl_set_mode(struct bt *bt, uint64_t mode)
{
    struct ibl_table *t = mode & MODE_USER ? bt->ibl_user : &bt->ibl_sup;
    if (UNLIKELY(t->mode != mode)) {
        table_clear(t);
        t->mode = mode;
    }
}

void ibl_clear_code(struct bt *bt, const uint8_t *lo, const uint8_t *hi)
{
    table_clear_code(&bt->ibl_sup, (uintptr_t)lo, (uintptr_t)hi);
    for (unsigned i = 0; i < ARRAY_SIZE(bt->ibl_users); i++)
        table_clear_code(&bt->ibl_users[i], (uintptr_t)lo, (uintptr_t)hi);
}

void ibl_clear_all(struct bt *bt)
{
    table_clear(&bt->ibl_sup);
    for (unsigned i = 0; i < ARRAY_SIZE(bt->ibl_users); i++)
        table_clear(&bt->ibl_users[i]);
}

void ibl_select(struct bt *bt)
{
    const struct mmu *m = &bt->cpu->mmu;
    if (bt->ibl_sup.epoch != m->epoch_supervisor) {
        table_clear(&bt->ibl_sup);
        bt->ibl_sup.epoch = m->epoch_supervisor;
    }
    if (bt->ibl_user->epoch == m->epoch_user)
        return;
    struct ibl_table *oldest = &bt->ibl_users[0];
    for (unsigned i = 0; i < ARRAY_SIZE(bt->ibl_users); i++) {
        struct ibl_table *t = &bt->ibl_users[i];
        if (t->epoch == m->epoch_user) {
            bt->ibl_user = t;
            return;
        }
        if ((int32_t)(t->epoch - oldest->epoch) < 0)
            oldest = t;
    }
    table_clear(oldest);
    oldest->epoch = m->epoch_user;
    bt->ibl_user = oldest;
}
