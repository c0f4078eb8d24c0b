// SPDX-License-Identifier: MIT
// The part of the engine that the shadow tables need: a guest with a shadow, and the accesses of translated
// code.
#pragma once

#include "shadowpt/shadow.h"
#include "tests/unit/softmmu/guest.h"

#define LONG_CR0 (G_CR0_PE | G_CR0_PG | G_CR0_WP)
#define LONG_CR4 (G_CR4_PAE | G_CR4_PGE | G_CR4_PCIDE | G_CR4_SMAP)
#define LONG_EFER (G_EFER_LMA | G_EFER_NXE)

struct engine {
    struct guest g;
    struct mmu m;
    struct shadow *s;
    void *base; // what GS base would be
    bool code[GUEST_RAM >> 12];
    unsigned code_written;
};

static inline bool engine_page_has_code(void *opaque, gpa page)
{
    struct engine *e = opaque;
    return page < GUEST_RAM && e->code[page >> 12];
}

static inline void engine_view_changed(void *opaque, void *base)
{
    struct engine *e = opaque;
    e->base = base;
}

static inline void engine_code_written(void *opaque, gpa addr, unsigned len)
{
    struct engine *e = opaque;
    e->code_written += e->code[addr >> 12];
}

static inline void engine_create(struct engine *e, uint64_t max_bytes)
{
    memset(e, 0, sizeof(*e));
    guest_create(&e->g);
    mmu_init(&e->m, e->g.as, 46);
    const struct shadow_config cfg = {.mmu = &e->m,
                                      .page_has_code = engine_page_has_code,
                                      .view_changed = engine_view_changed,
                                      .opaque = e,
                                      .max_bytes = max_bytes};
    ck_assert_int_eq(shadow_create(&e->s, &cfg), 0);
    e->base = shadow_view_base(e->s);
    mmu_set_shadow(&e->m, &shadow_mmu_ops, e->s);
    e->m.code_written = engine_code_written;
    e->m.code_written_opaque = e;
}

static inline void engine_destroy(struct engine *e)
{
    shadow_destroy(e->s);
    guest_destroy(&e->g);
}

// What the inline sequence computes: the host address, or 0 where it leaves for the slow path.
static inline uint64_t inline_address(const struct engine *e, gva va, bool write)
{
    uint64_t entry;
    if (write) {
        entry = *(const uint64_t *)((const char *)e->base - 0x80000000ll + ((va << 24) >> 36) * 8);
    } else {
        entry = *(const uint64_t *)((const char *)e->base + (uint32_t)((uint32_t)(va >> 12) * 8));
    }
    return entry ? va + entry : 0;
}

// Would the access reach guest RAM? (Elsewhere it faults on the host: test_shadow.c tries that for real.)
static inline bool in_ram(const struct engine *e, uint64_t host) { return host - (uint64_t)e->g.ram.base < GUEST_RAM; }
