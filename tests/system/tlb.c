// SPDX-License-Identifier: MIT
// What the guest's invalidations must make visible: INVLPG, CR3, PCID, INVPCID, global pages, CR4 toggles.
// SDM vol. 3A, section 4.10.4 "Invalidation of TLBs and Paging-Structure Caches". Only guarantees are
// checked: a new mapping must be seen after its invalidation; before it either may be seen.
#include "paging64.h"

SNIP(t_peek, "mov (%rax), %rbx");
SNIP(t_invpcid, "invpcid (%rax), %rbx");
SNIP(t_store, "mov %rax, (%rax)");

enum { INV_ADDRESS, INV_CONTEXT, INV_ALL, INV_NONGLOBAL };

static volatile uint64_t *const at = (volatile uint64_t *)HIGH_VA;
static uint64_t *page_a, *page_b; // each holds its own address
static uint64_t *leaf;

static void map_to(const void *page, uint64_t flags) { *leaf = (uint64_t)page | PTE_P | PTE_W | flags; }

static void invpcid(uint64_t type, uint64_t pcid, uint64_t va)
{
    const struct {
        uint64_t pcid, va;
    } d = {pcid, va};
    asm volatile("invpcid %0, %1" : : "m"(d), "r"(type) : "memory");
}

static void check_seen(const char *name, const void *page) { check_eq(name, *at, (uint64_t)page); }

static void check_either(const char *name)
{
    uint64_t v = *at;
    ok(v == (uint64_t)page_a || v == (uint64_t)page_b, "%s: old or new, nothing else", name);
}

static void test_invlpg(void)
{
    map_to(page_a, 0);
    invlpg(at);
    check_seen("first mapping", page_a);
    map_to(page_b, 0);
    check_either("mapping changed without invalidation");
    invlpg(at);
    check_seen("INVLPG", page_b);
    map_to(page_a, 0);
    invlpg((const char *)at + 4095);
    check_seen("INVLPG of the page's last byte", page_a);
    map_to(page_b, 0);
    write_cr3(read_cr3());
    check_seen("MOV to CR3", page_b);
    map_to(page_a, 0);
    write_cr0(read_cr0() & ~(ureg)CR0_WP);
    write_cr0(read_cr0() | CR0_WP);
    check_either("CR0.WP toggled");
    invlpg(at);
    check_seen("INVLPG again", page_a);
    for (unsigned i = 0; i < 200; i++) {
        map_to(i & 1 ? page_a : page_b, 0);
        invlpg(at);
        if (*at != (uint64_t)(i & 1 ? page_a : page_b)) {
            ok(false, "INVLPG in a loop: wrong at round %u", i);
            return;
        }
    }
    ok(true, "INVLPG in a loop, 200 remaps");
}

static void test_large(void)
{
    uint64_t *pd = pte_at(HIGH_VA, 2), table = *pd;
    volatile uint64_t *far = (volatile uint64_t *)(HIGH_VA + 0x100000);
    uint64_t *big_a = (uint64_t *)(32ul << 20), *big_b = (uint64_t *)(34ul << 20);
    big_a[0] = big_a[0x100000 / 8] = 0xa;
    big_b[0] = big_b[0x100000 / 8] = 0xb;
    *pd = (uint64_t)big_a | PTE_P | PTE_W | PTE_PS;
    invlpg(at);
    ok(*at == 0xa && *far == 0xa, "4K pages become one 2M page");
    *pd = (uint64_t)big_b | PTE_P | PTE_W | PTE_PS;
    invlpg(at);
    ok(*far == 0xb && *at == 0xb, "INVLPG of one address drops the whole 2M page");
    *pd = table;
    invlpg(far);
    map_to(page_a, 0);
    invlpg(at);
    check_seen("2M page becomes 4K pages again", page_a);
}

static void test_global(void)
{
    ureg cr4 = read_cr4();
    write_cr4(cr4 | CR4_PGE);
    map_to(page_a, PTE_G);
    invlpg(at);
    check_seen("global page", page_a);
    map_to(page_b, PTE_G);
    write_cr3(read_cr3());
    check_either("global page changed, MOV to CR3");
    invlpg(at);
    check_seen("INVLPG drops a global page", page_b);
    map_to(page_a, PTE_G);
    write_cr4(cr4);
    check_seen("clearing CR4.PGE drops global pages", page_a);
    map_to(page_b, PTE_G);
    write_cr4(cr4 | CR4_PGE);
    check_seen("setting CR4.PGE drops everything", page_b);
    map_to(page_a, 0);
    write_cr4(read_cr4() ^ CR4_PSE); // with 4-level paging PSE changes nothing; the flush is what is asked for
    check_seen("changing CR4.PSE drops everything", page_a);
    map_to(page_b, 0);
    write_cr3(read_cr3());
    check_seen("with PGE on, MOV to CR3 drops a page that is not global", page_b);
    write_cr4(cr4);
}

// A second address space with its own leaf for HIGH_VA.
static uint64_t make_space(uint64_t **its_leaf)
{
    uint64_t *pml4 = page_alloc(), *pdpt = page_alloc(), *pd = page_alloc(), *pt = page_alloc();
    mem_copy(pml4, (void *)(read_cr3() & PTE_ADDR), 4096);
    pml4[HIGH_VA >> 39 & 511] = (uint64_t)pdpt | PTE_PWU;
    pdpt[0] = (uint64_t)pd | PTE_PWU;
    pd[0] = (uint64_t)pt | PTE_PWU;
    *its_leaf = &pt[0];
    return (uint64_t)pml4;
}

static void test_spaces(void)
{
    uint64_t *other_leaf, cr3 = read_cr3(), other = make_space(&other_leaf);
    map_to(page_a, 0);
    invlpg(at);
    *other_leaf = (uint64_t)page_b | PTE_P | PTE_W;
    bool good = true;
    for (unsigned i = 0; i < 100; i++) {
        write_cr3(other);
        good &= *at == (uint64_t)page_b;
        write_cr3(cr3);
        good &= *at == (uint64_t)page_a;
    }
    ok(good, "two address spaces, 100 switches");
    write_cr3(other);
    *other_leaf = 0;
    write_cr3(cr3);
    check_seen("the other space's unmapping is not seen here", page_a);
    write_cr3(other);
    struct state s = kernel_state(t_peek);
    s.r[RAX] = HIGH_VA;
    run(&s);
    check_exc("a page unmapped before the switch is not there after it", &s, EXC_PF, 0, t_peek);
    write_cr3(cr3);
}

static void test_pcid(void)
{
    if (!has_cpuid(1, RCX, 17))
        return skip("PCID", "CPUID has none");
    uint64_t *other_leaf, cr3 = read_cr3(), cr4 = read_cr4(), other = make_space(&other_leaf);
    const uint64_t keep = 1ull << 63, mine = cr3 | 1, its = other | 2;
    write_cr4(cr4 | CR4_PCIDE);
    write_cr3(mine);
    check_eq("CR3 holds the PCID", read_cr3(), mine);
    map_to(page_a, 0);
    *other_leaf = (uint64_t)page_b | PTE_P | PTE_W;
    write_cr3(its);
    check_seen("PCID 2 sees its own mapping", page_b);
    bool good = true;
    for (unsigned i = 0; i < 100; i++) {
        write_cr3(mine | keep);
        good &= *at == (uint64_t)page_a;
        write_cr3(its | keep);
        good &= *at == (uint64_t)page_b;
    }
    ok(good, "two PCIDs, 100 switches without a flush");
    check_eq("CR3 bit 63 is not stored", read_cr3(), its);
    *other_leaf = (uint64_t)page_a | PTE_P | PTE_W;
    write_cr3(mine | keep);
    write_cr3(its); // bit 63 clear: drops PCID 2
    check_seen("MOV to CR3 without bit 63 drops that PCID's pages", page_a);
    write_cr3(mine | keep);
    map_to(page_b, 0);
    invlpg(at);
    check_seen("INVLPG drops the current PCID's page", page_b);
    write_cr4(read_cr4() & ~(ureg)CR4_PCIDE);
    map_to(page_a, 0);
    write_cr3(cr3);
    check_seen("after PCIDE is cleared", page_a);
    write_cr4(cr4);
}

static void test_invpcid(void)
{
    if (!has_cpuid(7, RBX, 10))
        return skip("INVPCID", "CPUID has none");
    ureg cr4 = read_cr4();
    map_to(page_a, 0);
    invlpg(at);
    check_seen("before INVPCID", page_a);
    map_to(page_b, 0);
    invpcid(INV_ADDRESS, 0, HIGH_VA);
    check_seen("INVPCID of an address, PCID 0", page_b);
    map_to(page_a, 0);
    invpcid(INV_CONTEXT, 0, 0);
    check_seen("INVPCID of a context", page_a);
    write_cr4(cr4 | CR4_PGE);
    map_to(page_b, PTE_G);
    invpcid(INV_ALL, 0, 0);
    check_seen("INVPCID of all contexts with globals", page_b);
    map_to(page_a, PTE_G);
    invpcid(INV_ALL, 0, 0);
    check_seen("... again, a global page", page_a);
    map_to(page_b, 0);
    invlpg(at);
    check_seen("... INVLPG", page_b);
    map_to(page_a, 0);
    invpcid(INV_NONGLOBAL, 0, 0);
    check_seen("INVPCID of all contexts without globals", page_a);
    write_cr4(cr4);
    static const struct {
        const char *name;
        ureg type;
        uint64_t pcid, va;
    } bad[] = {
        {"INVPCID type 4 is #GP(0)", 4, 0, 0},
        {"INVPCID with reserved descriptor bits is #GP(0)", 2, 1ull << 12, 0},
        {"INVPCID of a non-canonical address is #GP(0)", 0, 0, 1ull << 47},
        {"INVPCID of PCID 1 without CR4.PCIDE is #GP(0)", 0, 1, 0},
    };
    for (unsigned i = 0; i < 4; i++) {
        const struct {
            uint64_t pcid, va;
        } d = {bad[i].pcid, bad[i].va};
        struct state s = kernel_state(t_invpcid);
        barrier();
        s.r[RAX] = (ureg)&d;
        s.r[RBX] = bad[i].type;
        run(&s);
        check_exc(bad[i].name, &s, EXC_GP, 0, t_invpcid);
    }
    struct state s = user_state(t_invpcid);
    s.r[RAX] = (ureg)USER(ustack);
    run(&s);
    check_exc("INVPCID at CPL 3 is #GP(0)", &s, EXC_GP, 0, t_invpcid);
}

// A change that needs no invalidation: more rights. A fault re-walks (4.10.4.3 "Optional Invalidation").
static void test_no_invalidation(void)
{
    *leaf = (uint64_t)page_a | PTE_P;
    invlpg(at);
    (void)*at;
    struct state s = kernel_state(t_store);
    s.r[RAX] = HIGH_VA;
    run(&s);
    check_exc("a store to a read-only page", &s, EXC_PF, 3, t_store);
    *leaf |= PTE_W;
    unsigned tries = 0;
    do {
        s = kernel_state(t_store);
        s.r[RAX] = HIGH_VA;
        run(&s);
    } while (s.vec != EXC_DONE && ++tries < 2);
    ok(s.vec == EXC_DONE, "R/W set without INVLPG: at most one more fault (%u)", tries);
    *leaf = 0;
    invlpg(at);
    s = kernel_state(t_store);
    s.r[RAX] = HIGH_VA;
    run(&s);
    check_exc("a store to a missing page", &s, EXC_PF, 2, t_store);
    map_to(page_a, 0);
    s = kernel_state(t_store);
    s.r[RAX] = HIGH_VA;
    run(&s); // entries that are not present are never cached: 4.10.2.3
    check_done("P set without INVLPG is seen at once", &s);
}

void test_main(void)
{
    page_a = page_alloc();
    page_b = page_alloc();
    page_a[0] = (uint64_t)page_a;
    page_b[0] = (uint64_t)page_b;
    leaf = pte_at(HIGH_VA, 1);
    test_invlpg();
    test_large();
    test_global();
    test_spaces();
    test_pcid();
    test_invpcid();
    test_no_invalidation();
}
