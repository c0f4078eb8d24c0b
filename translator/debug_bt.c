// SPDX-License-Identifier: MIT
// What a debugger's new breakpoints and watchpoints undo in translated code (cpu/debug_points.h).
//
// Only what was added since the last run matters: a block that ends before a breakpoint, or a page without fast
// entries, is right without them, too. Debuggers take all breakpoints away at each stop and set them again, so this
// compares with what the code cache was last made right for.
#include "translator/debug_bt.h"

#include "cpu/debug_points.h"
#include "shadowpt/shadow.h"

static bool contains(const struct debug_set *s, const struct debug_point *p)
{
    for (unsigned i = 0; i < s->n; i++)
        if (s->point[i].addr == p->addr && s->point[i].kind == p->kind && s->point[i].len == p->len)
            return true;
    return false;
}

static bool may_hold(const struct tb *tb, gva addr)
{
    gva start = code_linear(tb->mode, tb->va);
    if (addr - start < tb->size)
        return true;
    for (unsigned i = 0; i < tb->ndeps; i++) // the flags live behind it are those that are read up to the breakpoint
        if ((addr & PAGE_MASK) == (start & PAGE_MASK) && (addr & ~PAGE_MASK) >= tb->deps[i].lo &&
            (addr & ~PAGE_MASK) < tb->deps[i].hi)
            return true;
    return false;
}

static void drop_blocks(struct bt *bt, gva addr)
{
    struct code_cache *c = &bt->cache;
    for (unsigned r = 0; r < CACHE_REGIONS; r++)
        for (unsigned i = 0; i < c->ntbs[r]; i++)
            if (!c->tbs[r][i]->dropped && may_hold(c->tbs[r][i], addr))
                tb_drop(bt, c->tbs[r][i]);
}

void bt_debug_sync(struct bt *bt)
{
    struct cpu *cpu = bt->cpu;
    struct debug_bt *known = &bt->debug;
    const struct debug_points *d = cpu->debug;
    if (!d || d->generation == known->generation)
        return;
    bool shadow = false;
    for (unsigned i = 0; i < d->set.n; i++) {
        const struct debug_point *p = &d->set.point[i];
        if (contains(&known->set, p))
            continue;
        if (p->kind <= DEBUG_HW_BREAK)
            drop_blocks(bt, p->addr);
        else
            shadow = true;
    }
    if (shadow)
        shadow_drop_range(bt->shadow, 0, UINT64_MAX);
    known->set.n = d->set.n;
    for (unsigned i = 0; i < d->set.n; i++)
        known->set.point[i] = d->set.point[i];
    known->generation = d->generation;
}
