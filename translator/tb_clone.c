// SPDX-License-Identifier: MIT
// The same code at another address: a block is copied and moved rather than translated again.
//
// Address-space randomisation puts a shared library somewhere else in each process, and so each process would have
// its blocks made anew, at a microsecond an instruction. But they stand on the same guest-physical bytes, and differ
// in a few places only, which the translator wrote down: rel32 operands (the three parts of a block, code, out-of-line
// code and data, move by different distances), 64-bit constants that hold guest addresses (what CALL pushes, RIP-relative
// operands), and the addresses in the block's links and sites. Copying takes a twentieth of the time.
//
// For 64-bit user code, whose addresses are beyond 4 GiB on either side: then all constants have the long form.
#include <string.h>

#include "base/stats.h"
#include "translator/tb.h"

struct move { // from one block to its copy
    const struct tb *from;
    ptrdiff_t code, cold, data; // distances of the parts
    uint64_t va;
};

// Where something in, or pointed to by, the old block is in the new one. Executable or data addresses.
static uint8_t *moved(const struct move *m, uint8_t *p)
{
    const struct tb *t = m->from;
    const uint8_t *data = (const uint8_t *)t;
    if (p >= t->code && p < t->code + t->code_size)
        return p + m->code;
    if (p >= t->cold && p < t->cold + t->cold_size)
        return p + m->cold;
    if (p >= data && p < data + t->data_size)
        return p + m->data;
    return p; // glue
}

static uint8_t *exec_of(const struct tb *t, uint32_t where)
{
    return where & TB_RELOC_COLD ? t->cold + (where & ~TB_RELOC_COLD) : t->code + where;
}

static void move_rel32(struct bt *bt, const struct move *m, uint32_t where)
{
    uint8_t *old = exec_of(m->from, where), *new = moved(m, old);
    int32_t rel;
    memcpy(&rel, old, sizeof(rel));
    rel = (int32_t)(moved(m, old + 4 + rel) - (new + 4));
    memcpy(new - cache_exec(bt), &rel, sizeof(rel));
}

static void move_address(struct bt *bt, const struct move *m, uint32_t where)
{
    uint8_t *new = moved(m, exec_of(m->from, where)) - cache_exec(bt);
    uint64_t v;
    memcpy(&v, new, sizeof(v));
    v += m->va;
    memcpy(new, &v, sizeof(v));
}

static void point_rel32(struct bt *bt, uint8_t *site, const uint8_t *target)
{
    int32_t rel = (int32_t)(target - (site + 4 + cache_exec(bt)));
    memcpy(site, &rel, sizeof(rel));
}

static void move_link(struct bt *bt, const struct move *m, struct tb *tb, struct tb_link *l)
{
    l->from = tb;
    l->to = NULL;
    l->next_in = NULL;
    l->neg_epoch = 0;
    l->target += m->va;
    l->site = moved(m, l->site + cache_exec(bt)) - cache_exec(bt);
    l->stub = moved(m, l->stub);
    if (l->internal)
        l->internal_target = moved(m, l->internal_target);
    point_rel32(bt, l->site, l->internal ? l->internal_target : l->stub);
}

static void move_site(const struct move *m, struct tb *tb, struct tb_site *s)
{
    s->rip += m->va;
    s->next_rip += m->va;
    s->tb = tb;
    s->resume = moved(m, s->resume);
}

static void move_tables(struct bt *bt, const struct move *m, struct tb *tb)
{
    const uint32_t *r = tb->reloc;
    for (unsigned i = 0; i < tb->nrel; i++)
        move_rel32(bt, m, *r++);
    for (unsigned i = 0; i < tb->naddr; i++)
        move_address(bt, m, *r++);
    for (unsigned i = 0; i < tb->nsites; i++)
        move_site(m, tb, (struct tb_site *)((uint8_t *)tb + *r++));
    for (unsigned i = 0; i < tb->nlinks; i++) // last: a link that was chained gets its stub again
        move_link(bt, m, tb, &tb->links[i]);
    for (unsigned i = 0; i < tb->nmap; i++)
        if (tb->map[i].host >= tb->code_size)
            tb->map[i].host += (uint32_t)(m->cold - m->code);
}

static bool beyond_4g(gva va) { return va > UINT32_MAX && va < 1ull << 47; }

struct tb *tb_clone(struct bt *bt, gva va, gpa pa, uint64_t mode)
{
    struct code_cache *c = &bt->cache;
    const uint64_t *starts = mode & MODE_USER ? tb_page_starts(bt, pa) : NULL;
    unsigned off = pa & ~PAGE_MASK;
    if (!starts || !(starts[off / 64] >> (off % 64) & 1) || bt->disable & ACCEL_NO_CLONE)
        return NULL;
    const struct tb *old = tb_find_original(bt, pa, mode);
    if (!old || !old->reloc || !beyond_4g(va) || !beyond_4g(old->va))
        return NULL;
    struct tb *tb = (struct tb *)c->d;
    uint8_t *code = c->p + cache_exec(bt), *cold = c->cold + cache_exec(bt);
    struct move m = {.from = old,
                     .code = code - old->code,
                     .cold = cold - old->cold,
                     .data = (uint8_t *)tb - (const uint8_t *)old,
                     .va = va - old->va};
    memcpy(c->p, old->code, old->code_size);
    memcpy(c->cold, old->cold, old->cold_size);
    memcpy(tb, old, old->data_size);
    tb->va = va;
    tb->code = code;
    tb->cold = cold;
    tb->drop_stub = moved(&m, tb->drop_stub);
    tb->links = (struct tb_link *)moved(&m, (uint8_t *)tb->links);
    tb->map = (struct tb_map_entry *)moved(&m, (uint8_t *)tb->map);
    tb->reloc = (uint32_t *)moved(&m, (uint8_t *)tb->reloc);
    tb->in = NULL;
    tb->original = false;
    move_tables(bt, &m, tb);
    code_cache_commit(bt, tb, c->p + old->code_size, c->cold + old->cold_size, c->d + old->data_size);
    tb_insert(bt, tb);
    stat_inc(STAT_tb_cloned);
    return tb;
}
