// SPDX-License-Identifier: MIT
// The page walker: every format, the rights matrix against a model of its own, reserved bits, A and D.
#include "tests/unit/check_main.h"
#include "tests/unit/softmmu/guest.h"

#include <stdlib.h>

static struct guest g;

static void setup(void) { guest_create(&g); }
static void teardown(void) { guest_destroy(&g); }

enum format { F_32, F_32_4M, F_PAE, F_PAE_2M, F_64, F_64_2M, F_64_1G, FORMATS };

// Page tables for one address. entry[0] is the leaf, entry[1] the entry above it, if it has rights.
struct built {
    struct paging pg;
    void *entry[2];
    bool wide;
    unsigned n;
    uint8_t shift;
};

#define VA 0x40c03123ull
#define PA 0x2403123ull // same low 22 bits

static struct built build(enum format f)
{
    struct built b = {.pg = {.cr0 = G_CR0_PE | G_CR0_PG, .maxphyaddr = 46}, .wide = f >= F_PAE, .n = 2};
    uint64_t top = guest_table(&g), mid = guest_table(&g), low = guest_table(&g), pt = guest_table(&g);
    uint32_t *top32 = (uint32_t *)(g.ram.base + top), *mid32 = (uint32_t *)(g.ram.base + mid);
    uint64_t rwu = G_P | G_W | G_U;
    b.pg.cr3 = top;
    b.shift = 12;
    switch (f) {
    case F_32:
        top32[VA >> 22] = mid | rwu;
        mid32[(VA >> 12) & 1023] = (PA & PAGE_MASK) | rwu;
        b.entry[0] = &mid32[(VA >> 12) & 1023];
        b.entry[1] = &top32[VA >> 22];
        return b;
    case F_32_4M:
        b.pg.cr4 = G_CR4_PSE;
        top32[VA >> 22] = (PA & ~0x3fffffull) | rwu | G_PS;
        b.entry[0] = &top32[VA >> 22];
        b.n = 1;
        b.shift = 22;
        return b;
    case F_PAE:
    case F_PAE_2M:
        b.pg.cr4 = G_CR4_PAE;
        *guest_entry(&g, top, (VA >> 30) & 3) = mid | G_P;
        break;
    default:
        b.pg.cr4 = G_CR4_PAE;
        b.pg.efer = G_EFER_LMA;
        *guest_entry(&g, top, (VA >> 39) & 511) = low | rwu;
        *guest_entry(&g, low, (VA >> 30) & 511) = mid | rwu;
    }
    uint64_t *pdpte = guest_entry(&g, low, (VA >> 30) & 511), *pde = guest_entry(&g, mid, (VA >> 21) & 511);
    uint64_t *pte = guest_entry(&g, pt, (VA >> 12) & 511);
    *pde = pt | rwu;
    *pte = (PA & PAGE_MASK) | rwu;
    b.entry[0] = pte;
    b.entry[1] = pde;
    if (f == F_PAE_2M || f == F_64_2M) {
        *pde = (PA & ~0x1fffffull) | rwu | G_PS;
        b.entry[0] = pde;
        b.entry[1] = pdpte;
        b.n = f == F_PAE_2M ? 1 : 2;
        b.shift = 21;
    } else if (f == F_64_1G) {
        *pdpte = 0 | rwu | G_PS;
        b.entry[0] = pdpte;
        b.n = 1;
        b.shift = 30;
    }
    if (!b.pg.efer && b.pg.cr4) {
        ck_assert(paging_load_pdptes(g.as, &b.pg));
    }
    return b;
}

static uint64_t get(const struct built *b, unsigned i)
{
    return b->wide ? *(uint64_t *)b->entry[i] : *(uint32_t *)b->entry[i];
}

static void put(const struct built *b, unsigned i, uint64_t v)
{
    if (b->wide) {
        *(uint64_t *)b->entry[i] = v;
    } else {
        *(uint32_t *)b->entry[i] = (uint32_t)v;
    }
}

static struct walk_result walk(const struct built *b, struct walk_request req)
{
    struct walk_result r;
    req.va = req.va ? req.va : VA;
    page_walk(g.as, &b->pg, &req, &r);
    return r;
}

START_TEST(address_of_each_format)
{
    struct built b = build(_i);
    struct walk_result r = walk(&b, (struct walk_request){.access = MMU_READ});
    uint64_t offset = BIT(b.shift) - 1;
    ck_assert(!r.fault);
    ck_assert_uint_eq(r.page_shift, b.shift);
    ck_assert_uint_eq(r.pa, _i == F_64_1G ? VA & offset : (PA & ~offset) | (VA & offset));
    ck_assert(r.user && r.writable && !r.nx && !r.global && !r.dirty);
    put(&b, 0, get(&b, 0) & ~(uint64_t)G_P);
    r = walk(&b, (struct walk_request){.access = MMU_WRITE, .user = true});
    ck_assert(r.fault);
    ck_assert_uint_eq(r.error, PF_W | PF_U);
}
END_TEST

START_TEST(no_paging_is_identity)
{
    struct paging pg = {.cr0 = G_CR0_PE, .maxphyaddr = 46};
    struct walk_request req = {.va = 0xfee00123, .access = MMU_WRITE, .set_ad = true};
    struct walk_result r;
    page_walk(g.as, &pg, &req, &r);
    ck_assert(!r.fault && r.user && r.writable && r.dirty && !r.global);
    ck_assert_uint_eq(r.pa, 0xfee00123);
}
END_TEST

// The model: section 4.6.1 of SDM vol. 3A sentence by sentence, as a list of what is forbidden.
struct model {
    bool user_page, writable, nx; // all levels
    bool wp, smep, smap, nxe, pae;
    bool user, ac, implicit;
    enum mmu_access access;
};

static int model_error(const struct model *m) // -1: allowed
{
    bool bad = false;
    if (m->user) {
        bad |= !m->user_page;
        bad |= m->access == MMU_WRITE && !m->writable;
        bad |= m->access == MMU_FETCH && m->nxe && m->nx;
    } else if (m->access == MMU_FETCH) {
        bad |= m->nxe && m->nx;
        bad |= m->smep && m->user_page;
    } else {
        bad |= m->user_page && m->smap && m->implicit;
        bad |= m->user_page && m->smap && !m->implicit && !m->ac;
        bad |= m->access == MMU_WRITE && m->wp && !m->writable;
    }
    if (!bad) {
        return -1;
    }
    return 1 + 2 * (m->access == MMU_WRITE) + 4 * m->user +
           16 * (m->access == MMU_FETCH && (m->smep || (m->pae && m->nxe)));
}

// bits: two levels' U, W, XD, then WP, SMEP, SMAP, NXE, user, ac, implicit; access counted outside.
static void matrix_case(struct built *b, unsigned bits, enum mmu_access access)
{
    struct model m = {.wp = bits >> 6 & 1,
                      .smep = bits >> 7 & 1,
                      .smap = bits >> 8 & 1,
                      .nxe = bits >> 9 & 1,
                      .user = bits >> 10 & 1,
                      .ac = bits >> 11 & 1,
                      .implicit = bits >> 12 & 1,
                      .access = access,
                      .user_page = true,
                      .writable = true,
                      .pae = b->wide};
    uint64_t saved[2];
    if (m.user && m.implicit) {
        return;
    }
    for (unsigned i = 0; i < b->n; i++) {
        unsigned u = bits >> (3 * i) & 1, w = bits >> (3 * i + 1) & 1, x = bits >> (3 * i + 2) & 1;
        if (x && (!m.nxe || !b->wide)) {
            return; // reserved: tested elsewhere
        }
        saved[i] = get(b, i);
        put(b, i, (saved[i] & ~(uint64_t)(G_U | G_W)) | (u ? G_U : 0) | (w ? G_W : 0) | (x ? G_XD : 0));
        m.user_page &= u;
        m.writable &= w;
        m.nx |= x;
    }
    b->pg.cr0 = G_CR0_PE | G_CR0_PG | (m.wp ? G_CR0_WP : 0);
    b->pg.cr4 = (b->pg.cr4 & ~(G_CR4_SMEP | G_CR4_SMAP)) | (m.smep ? G_CR4_SMEP : 0) | (m.smap ? G_CR4_SMAP : 0);
    b->pg.efer = (b->pg.efer & ~G_EFER_NXE) | (m.nxe ? G_EFER_NXE : 0);
    struct walk_result r = walk(
        b, (struct walk_request){.access = access, .user = m.user, .ac = m.ac, .implicit = m.implicit, .set_ad = true});
    int want = model_error(&m), got = r.fault ? (int)r.error : -1;
    ck_assert_msg(got == want, "bits %#x access %d: error %d, the model says %d", bits, access, got, want);
    for (unsigned i = 0; i < b->n; i++) {
        uint64_t a = want < 0 ? G_A : 0, d = want < 0 && i == 0 && access == MMU_WRITE ? G_D : 0;
        ck_assert_msg((get(b, i) & (G_A | G_D)) == (a | d), "bits %#x access %d: A/D of level %u", bits, access, i);
        put(b, i, saved[i]);
    }
}

START_TEST(rights_matrix)
{
    struct built b = build(_i);
    for (unsigned bits = 0; bits < 1u << 13; bits++) {
        if (b.n == 1 && (bits >> 3 & 7)) {
            continue;
        }
        for (int a = MMU_READ; a <= MMU_FETCH; a++) {
            matrix_case(&b, bits, a);
        }
    }
}
END_TEST

static const struct {
    enum format f;
    unsigned level; // 0: the leaf
    uint64_t bits;
    uint8_t maxphyaddr;
    bool nxe, reserved;
} reserved_cases[] = {
    {F_32_4M, 0, BIT(21), 46, false, true},  {F_32_4M, 0, BIT(20), 46, false, false}, // PSE-36 reaches bit 39
    {F_32_4M, 0, BIT(20), 39, false, true},  {F_32_4M, 0, BIT(13), 32, false, true},
    {F_32_4M, 0, BIT(13), 33, false, false}, {F_PAE, 0, BIT(46), 46, false, true},
    {F_PAE, 0, BIT(45), 46, false, false},   {F_PAE, 0, BIT(52), 46, true, true},
    {F_PAE, 1, BIT(62), 46, true, true},     {F_PAE, 0, G_XD, 46, false, true},
    {F_PAE, 1, G_XD, 46, true, false},       {F_PAE_2M, 0, BIT(13), 46, false, true},
    {F_PAE_2M, 0, BIT(20), 46, false, true}, {F_PAE_2M, 0, BIT(12), 46, false, false}, // PAT
    {F_64, 0, BIT(51), 46, true, true},      {F_64, 0, BIT(51), 52, true, false},
    {F_64, 0, BIT(52), 46, true, false}, // ignored
    {F_64, 1, BIT(62), 46, true, false},     {F_64, 1, G_XD, 46, false, true},
    {F_64, 0, G_PS, 46, true, false}, // PAT
    {F_64_2M, 0, BIT(20), 46, true, true},   {F_64_2M, 1, BIT(46), 46, true, true},
    {F_64_1G, 0, BIT(29), 46, true, true},   {F_64_1G, 0, BIT(13), 46, true, true},
    {F_64_1G, 0, BIT(30), 46, true, false},
};

START_TEST(reserved_bits)
{
    struct built b = build(reserved_cases[_i].f);
    b.pg.maxphyaddr = reserved_cases[_i].maxphyaddr;
    b.pg.efer |= reserved_cases[_i].nxe ? G_EFER_NXE : 0;
    unsigned level = reserved_cases[_i].level;
    put(&b, level, get(&b, level) | reserved_cases[_i].bits);
    if (level == 1 && b.shift == 12 && !reserved_cases[_i].reserved && reserved_cases[_i].bits != G_XD) {
        ck_assert(!walk(&b, (struct walk_request){.access = MMU_READ}).fault);
    }
    struct walk_result r = walk(&b, (struct walk_request){.access = MMU_READ, .user = true});
    ck_assert_int_eq(r.fault, reserved_cases[_i].reserved);
    if (r.fault) {
        ck_assert_uint_eq(r.error, PF_P | PF_U | PF_RSVD);
    }
}
END_TEST

START_TEST(pml4e_ps_is_reserved)
{
    struct built b = build(F_64);
    *guest_entry(&g, b.pg.cr3, 0) |= G_PS;
    ck_assert_uint_eq(walk(&b, (struct walk_request){.access = MMU_WRITE}).error, PF_P | PF_W | PF_RSVD);
}
END_TEST

START_TEST(pse36_address)
{
    struct built b = build(F_32_4M);
    put(&b, 0, 0x00c00000u | 0x5au << 13 | G_P | G_W | G_U | G_PS);
    struct walk_result r = walk(&b, (struct walk_request){.access = MMU_READ});
    ck_assert(!r.fault);
    ck_assert_uint_eq(r.pa, 0x5a00c00000ull | (VA & 0x3fffff));
}
END_TEST

START_TEST(ps_without_pse_is_a_table)
{
    struct built b = build(F_32);
    put(&b, 1, get(&b, 1) | G_PS);
    struct walk_result r = walk(&b, (struct walk_request){.access = MMU_READ});
    ck_assert(!r.fault);
    ck_assert_uint_eq(r.page_shift, 12);
}
END_TEST

START_TEST(global_needs_pge)
{
    struct built b = build(_i);
    put(&b, 0, get(&b, 0) | G_G);
    ck_assert(!walk(&b, (struct walk_request){.access = MMU_READ}).global);
    b.pg.cr4 |= G_CR4_PGE;
    ck_assert(walk(&b, (struct walk_request){.access = MMU_READ}).global);
}
END_TEST

START_TEST(look_without_touching)
{
    struct built b = build(_i);
    ck_assert(!walk(&b, (struct walk_request){.access = MMU_WRITE}).fault);
    ck_assert_uint_eq(get(&b, 0) & (G_A | G_D), 0);
    struct walk_result r = walk(&b, (struct walk_request){.access = MMU_READ, .set_ad = true});
    ck_assert(!r.dirty);
    ck_assert_uint_eq(get(&b, 0) & (G_A | G_D), G_A);
    r = walk(&b, (struct walk_request){.access = MMU_WRITE, .set_ad = true});
    ck_assert(r.dirty);
    ck_assert_uint_eq(get(&b, 0) & (G_A | G_D), G_A | G_D);
    ck_assert(walk(&b, (struct walk_request){.access = MMU_READ}).dirty);
}
END_TEST

START_TEST(pdptes_are_registers)
{
    struct built b = build(F_PAE);
    *guest_entry(&g, b.pg.cr3, (VA >> 30) & 3) = 0; // the copy in the register still stands
    ck_assert(!walk(&b, (struct walk_request){.access = MMU_READ}).fault);
    ck_assert(paging_load_pdptes(g.as, &b.pg));
    ck_assert(walk(&b, (struct walk_request){.access = MMU_READ}).fault);
    *guest_entry(&g, b.pg.cr3, 3) = 0x2000 | G_W; // reserved, but not present
    ck_assert(paging_load_pdptes(g.as, &b.pg));
    *guest_entry(&g, b.pg.cr3, 3) |= G_P;
    uint64_t before = b.pg.pdpte[1];
    ck_assert(!paging_load_pdptes(g.as, &b.pg));
    ck_assert_uint_eq(b.pg.pdpte[1], before);
    *guest_entry(&g, b.pg.cr3, 3) = BIT(46) | G_P;
    ck_assert(!paging_load_pdptes(g.as, &b.pg));
}
END_TEST

START_TEST(tables_outside_memory)
{
    struct built b = build(F_64);
    b.pg.cr3 = BIT(45);
    struct walk_result r = walk(&b, (struct walk_request){.access = MMU_READ, .set_ad = true});
    ck_assert(r.fault);
    ck_assert_uint_eq(r.error, PF_P | PF_RSVD);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("walk");
    TCase *t = tcase_create("walk");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, address_of_each_format, 0, FORMATS);
    tcase_add_test(t, no_paging_is_identity);
    tcase_add_loop_test(t, rights_matrix, 0, FORMATS);
    tcase_add_loop_test(t, reserved_bits, 0, ARRAY_SIZE(reserved_cases));
    tcase_add_test(t, pml4e_ps_is_reserved);
    tcase_add_test(t, pse36_address);
    tcase_add_test(t, ps_without_pse_is_a_table);
    tcase_add_loop_test(t, global_needs_pge, 0, FORMATS);
    tcase_add_loop_test(t, look_without_touching, 0, FORMATS);
    tcase_add_test(t, pdptes_are_registers);
    tcase_add_test(t, tables_outside_memory);
    suite_add_tcase(s, t);
    return check_main(s);
}
