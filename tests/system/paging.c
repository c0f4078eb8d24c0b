// SPDX-License-Identifier: MIT
// 4-level paging: permissions in every combination, reserved bits, error codes, accessed and dirty bits.
// SDM vol. 3A, sections 4.5 "4-Level Paging", 4.6 "Access Rights", 4.7 "Page-Fault Exceptions", 4.8 "Accessed
// and Dirty Flags".
#include "paging64.h"

SNIP(p_load, "mov (%rax), %rbx");
SNIP(p_store, "mov %rbx, (%rax)");
SNIP(p_jump, "jmp *%rax");
SNIP(p_add, "add %rbx, (%rax)");
SNIP(p_lgdt_store, "sgdt (%rax)");

enum { READ, WRITE, EXEC };
static uint8_t *frame_4k, *frame_2m; // physical: a page, a 2 MiB frame; both hold code that is "int $0x80"
static const uint64_t big_pa = 32 << 20;
static uint64_t page_1g; // the 1 GiB page is 0..1 GiB again

static struct state access(unsigned how, bool user, uint64_t va)
{
    static const char *const code[] = {p_load, p_store, p_jump};
    struct state s = user ? user_state(code[how]) : kernel_state(code[how]);
    s.r[RAX] = va;
    s.r[RBX] = 0x80cd80cd80cd80cd; // what is stored is INT 80h again
    run(&s);
    return s;
}

// Is the access allowed? 4.6.1 "Determination of Access Rights".
static bool allowed(unsigned how, bool user, uint64_t rights)
{
    bool u = rights & PTE_U, w = rights & PTE_W, nx = rights & PTE_NX;
    ureg cr0 = read_cr0(), cr4 = read_cr4();
    if (user)
        return u && (how == READ || (how == WRITE ? w : !nx));
    if (u && how == EXEC && (cr4 & CR4_SMEP))
        return false;
    if (u && how != EXEC && (cr4 & CR4_SMAP)) // with EFLAGS.AC clear
        return false;
    return how == READ || (how == WRITE ? w || !(cr0 & CR0_WP) : !nx);
}

static bool access_good(unsigned how, bool user, uint64_t va, bool allow, ureg extra_error)
{
    struct state s = access(how, user, va);
    ureg err = extra_error | (user ? 4 : 0) | (how == WRITE ? 2 : how == EXEC ? 0x10 : 0);
    bool good = allow ? s.vec == EXC_DONE : s.vec == EXC_PF && s.err == err && s.cr2 == va;
    if (!good)
        note("access %u user %u va %lx: want %s error %lx, got vector %lu error %lx cr2 %lx", how, user, va,
             allow ? "done" : "fault", err, s.vec, s.err, s.cr2);
    return good;
}

// Every combination of U, W, NX at the leaf and at one upper level, for each page size.
static void test_rights(const char *mode)
{
    static const struct {
        unsigned level;
        const char *name;
    } sizes[] = {{1, "4K"}, {2, "2M"}, {3, "1G"}};
    bool has_1g = has_cpuid(0x80000001, RDX, 26);
    for (unsigned i = 0; i < 3; i++) {
        unsigned level = sizes[i].level;
        if (level == 3 && !has_1g) {
            skip("1G pages", "CPUID has none");
            continue;
        }
        uint64_t va = HIGH_VA, pa = level == 1 ? (uint64_t)frame_4k : level == 2 ? big_pa : page_1g, bad = 0;
        if (level == 3)
            va += big_pa; // look at the same bytes through the 1 GiB page
        uint64_t *upper = pte_at(HIGH_VA, level + 1), *leaf = pte_at(HIGH_VA, level);
        uint64_t saved = *upper;
        for (unsigned r = 0; r < 64; r++) {
            uint64_t l = (r & 1 ? PTE_U : 0) | (r & 2 ? PTE_W : 0) | (r & 4 ? PTE_NX : 0);
            uint64_t u = (r & 8 ? PTE_U : 0) | (r & 16 ? PTE_W : 0) | (r & 32 ? PTE_NX : 0);
            *leaf = pa | PTE_P | l | (level > 1 ? PTE_PS : 0);
            *upper = (saved & PTE_ADDR) | PTE_P | u;
            write_cr3(read_cr3());
            uint64_t both = (l & u & PTE_PWU) | ((l | u) & PTE_NX);
            for (unsigned a = 0; a < 6; a++)
                bad += !access_good(a >> 1, a & 1, va, allowed(a >> 1, a & 1, both), PTE_P);
        }
        ok(!bad, "%s pages, %s: 384 accesses by 64 combinations of rights, %lu wrong", sizes[i].name, mode, bad);
        *upper = saved;
        *leaf = 0;
        write_cr3(read_cr3());
    }
}

static void test_all_rights(void)
{
    ureg cr0 = read_cr0(), cr4 = read_cr4();
    bool smep = has_cpuid(7, RBX, 7), smap = has_cpuid(7, RBX, 20);
    test_rights("WP");
    write_cr0(cr0 & ~(ureg)CR0_WP);
    test_rights("no WP");
    write_cr0(cr0);
    if (smep) {
        write_cr4(cr4 | CR4_SMEP);
        test_rights("SMEP");
    } else {
        skip("SMEP", "CPUID has none");
    }
    if (smap) {
        write_cr4(cr4 | CR4_SMAP);
        test_rights("SMAP");
        write_cr0(cr0 & ~(ureg)CR0_WP);
        test_rights("SMAP, no WP");
        write_cr0(cr0);
    } else {
        skip("SMAP", "CPUID has none");
    }
    write_cr4(cr4);
}

SNIP(p_stac, "stac; mov (%rax), %rbx; clac; " AT(p_stac_at) "mov (%rax), %rcx");
SNIP(p_ac_push, "push %rbx");
LABEL(p_stac_at);

// 4.6.1: EFLAGS.AC lifts SMAP for explicit supervisor accesses; implicit ones (a descriptor load) never.
static void test_smap(void)
{
    if (!has_cpuid(7, RBX, 20))
        return skip("SMAP and EFLAGS.AC", "CPUID has none");
    ureg cr4 = read_cr4();
    map_page(TEST_VA, (uint64_t)frame_4k, PTE_PWU, 1);
    write_cr4(cr4 | CR4_SMAP);
    struct state s = kernel_state(p_load);
    s.r[RAX] = TEST_VA;
    s.rflags |= FL_AC;
    run(&s);
    check_done("SMAP: a load with AC set", &s);
    s = kernel_state(p_store);
    s.r[RAX] = TEST_VA;
    s.r[RBX] = 0x80cd80cd80cd80cd;
    s.rflags |= FL_AC;
    run(&s);
    check_done("SMAP: a store with AC set", &s);
    s = kernel_state(p_stac);
    s.r[RAX] = TEST_VA;
    run(&s);
    check_exc("SMAP: STAC opens, CLAC closes", &s, EXC_PF, 1, p_stac_at);
    s = user_state(p_load);
    s.r[RAX] = TEST_VA;
    run(&s);
    check_done("SMAP does not concern CPL 3", &s);
    s = user_state(p_stac);
    run(&s);
    check_exc("STAC at CPL 3 is #UD", &s, EXC_UD, NO_ERROR, p_stac);
    write_cr4(cr4);
    if (has_cpuid(7, RBX, 20) && !(cr4 & CR4_SMAP)) {
        s = kernel_state(p_stac);
        s.r[RAX] = TEST_VA;
        run(&s);
        check_done("STAC works without CR4.SMAP", &s);
    }
    map_page(TEST_VA, 0, 0, 1);
}

static void check_reserved(const char *name, unsigned level, uint64_t entry)
{
    uint64_t *e = pte_at(HIGH_VA, level), old = *e;
    *e = entry;
    write_cr3(read_cr3());
    bool good = access_good(READ, false, HIGH_VA, false, 9);
    good &= access_good(WRITE, true, HIGH_VA, false, 9);
    good &= access_good(EXEC, false, HIGH_VA, false, 9);
    ok(good, "%s: RSVD in the error code", name);
    *e = old;
    write_cr3(read_cr3());
}

static void test_reserved(void)
{
    uint32_t r[4];
    cpuid(0x80000008, 0, r);
    unsigned width = r[RAX] & 255;
    pte_at(HIGH_VA, 1);
    map_page(HIGH_VA, (uint64_t)frame_4k, PTE_PWU, 1);
    check_reserved("2M page with bit 13 set", 2, big_pa | PTE_PWU | PTE_PS | 1 << 13);
    check_reserved("PML4 entry with PS set", 4, *pte_at(HIGH_VA, 4) | PTE_PS);
    if (width < 52) {
        check_reserved("PTE with an address bit above MAXPHYADDR", 1, 1ull << width | (uint64_t)frame_4k | PTE_PWU);
        check_reserved("2M page with an address bit above MAXPHYADDR", 2, 1ull << width | big_pa | PTE_PWU | PTE_PS);
        check_reserved("PDPT entry with an address bit above MAXPHYADDR", 3, 1ull << 51 | *pte_at(HIGH_VA, 3));
    } else {
        skip("address bits above MAXPHYADDR", "MAXPHYADDR is 52");
    }
    wrmsr(0xc0000080, rdmsr(0xc0000080) & ~0x800ull); // EFER.NXE off: bit 63 is reserved, no I bit
    uint64_t *e = pte_at(HIGH_VA, 1);
    *e |= PTE_NX;
    write_cr3(read_cr3());
    struct state s = access(READ, false, HIGH_VA);
    ok(s.vec == EXC_PF && s.err == 9, "EFER.NXE off: bit 63 is reserved: vector %lu error %lx", s.vec, s.err);
    *e &= ~PTE_NX & ~(uint64_t)PTE_U;
    write_cr3(read_cr3());
    s = access(EXEC, true, HIGH_VA);
    ok(s.vec == EXC_PF && s.err == 5, "EFER.NXE and SMEP off: no I bit: vector %lu error %lx", s.vec, s.err);
    wrmsr(0xc0000080, rdmsr(0xc0000080) | 0x800);
    *e = 0;
    write_cr3(read_cr3());
}

static void check_ad(const char *name, uint64_t got, uint64_t want)
{
    ok((got & (PTE_A | PTE_D)) == want, "%s: A/D bits are %lx, want %lx", name, got & (PTE_A | PTE_D), want);
}

static void test_accessed_dirty(unsigned level, const char *size)
{
    uint64_t pa = level == 1 ? (uint64_t)frame_4k : big_pa, *leaf = pte_at(TEST_VA, level);
    note("%s pages", size);
    uint64_t *up[5];
    for (unsigned l = level + 1; l <= 4; l++) {
        up[l] = pte_at(TEST_VA, l);
        *up[l] &= ~(uint64_t)PTE_A;
    }
    map_page(TEST_VA, pa, PTE_P | PTE_W | PTE_U, level);
    write_cr3(read_cr3());
    access(READ, false, TEST_VA);
    check_ad("a read sets A", *leaf, PTE_A);
    for (unsigned l = level + 1; l <= 4; l++)
        ok(*up[l] & PTE_A, "... A in the level %u entry", l);
    access(WRITE, false, TEST_VA + 8);
    check_ad("the first write to a page that was read sets D", *leaf, PTE_A | PTE_D);
    *leaf &= ~(uint64_t)PTE_D;
    invlpg((void *)TEST_VA);
    access(READ, false, TEST_VA);
    check_ad("D cleared, INVLPG, read: D stays clear", *leaf, PTE_A);
    access(WRITE, true, TEST_VA);
    check_ad("... and a write sets it again", *leaf, PTE_A | PTE_D);
    *leaf &= ~(uint64_t)(PTE_A | PTE_D);
    invlpg((void *)(TEST_VA + (level == 2 ? 0x54321 : 0))); // any address inside a large page will do
    access(WRITE, false, TEST_VA);
    check_ad("A and D cleared, INVLPG, write: both set", *leaf, PTE_A | PTE_D);
    *leaf &= ~(uint64_t)PTE_A;
    invlpg((void *)TEST_VA);
    access(EXEC, true, TEST_VA);
    ok(*leaf & PTE_A, "a fetch sets A");
    *leaf = pa | PTE_P | PTE_U | (level > 1 ? PTE_PS : 0);
    invlpg((void *)TEST_VA);
    struct state s = access(WRITE, true, TEST_VA);
    ok(s.vec == EXC_PF && s.err == 7 && !(*leaf & PTE_D), "a write that faults does not set D");
    ok(access_good(WRITE, false, TEST_VA, false, 1), "... nor is it let through by WP");
    *leaf = pa | PTE_P | PTE_W | PTE_U | (level > 1 ? PTE_PS : 0);
    invlpg((void *)TEST_VA);
    s = kernel_state(p_add);
    s.r[RAX] = TEST_VA;
    run(&s);
    check_ad("a read-modify-write sets D", *leaf, PTE_A | PTE_D);
    *leaf = 0;
    invlpg((void *)TEST_VA);
}

static void test_implicit(void)
{
    // The GDT in a page of its own: a segment load sets A in its PTE, and faults as a supervisor access at
    // CPL 3.
    uint64_t *e = map_page(TEST_VA, (uint64_t)gdt & PTE_ADDR, PTE_P | PTE_W, 1);
    map_page(TEST_VA + 0x1000, ((uint64_t)gdt & PTE_ADDR) + 0x1000, PTE_P | PTE_W, 1);
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } r = {64 * 8 - 1, TEST_VA + ((ureg)gdt & 4095)}, old;
    asm volatile("sgdt %0; lgdt %1" : "=m"(old) : "m"(r));
    access(READ, true, (uint64_t)USER(frame_4k));
    check_ad("a descriptor load at CPL 3 through a supervisor page", *e, PTE_A);
    asm volatile("lgdt %0" : : "m"(old));
    *e = 0;
    invlpg((void *)TEST_VA);
    map_page(TEST_VA + 0x1000, 0, 0, 1);
}

static void test_misc(void)
{
    // CR0.WP takes effect at once (4.10.4.1: a change of WP needs no invalidation by software).
    ureg cr0 = read_cr0();
    map_page(TEST_VA, (uint64_t)frame_4k, PTE_P, 1);
    access(READ, false, TEST_VA);
    ok(access_good(WRITE, false, TEST_VA, false, 1), "WP set: a kernel write to a read-only page faults");
    write_cr0(cr0 & ~(ureg)CR0_WP);
    ok(access_good(WRITE, false, TEST_VA, true, 0), "WP cleared: the same write goes through");
    write_cr0(cr0);
    ok(access_good(WRITE, false, TEST_VA, false, 1), "WP set again: it faults again");
    map_page(TEST_VA, 0, 0, 1);
    // A store of ten bytes that ends in a page that is missing.
    map_page(TEST_VA, (uint64_t)frame_4k, PTE_PWU, 1);
    struct state s = kernel_state(p_lgdt_store);
    s.r[RAX] = TEST_VA + 4096 - 2;
    run(&s);
    ok(s.vec == EXC_PF && s.cr2 == TEST_VA + 4096, "SGDT over a page end faults with CR2 at the second page");
}

static void fill_code(uint8_t *p, size_t n)
{
    for (size_t i = 0; i + 1 < n; i += 2)
        *(uint16_t *)(p + i) = 0x80cd;
}

void test_main(void)
{
    frame_4k = page_alloc();
    frame_2m = (uint8_t *)big_pa;
    fill_code(frame_4k, 2048);
    fill_code(frame_2m, 4096);
    mem_set(frame_4k + 4000, 0x90, 96);
    test_all_rights();
    test_smap();
    test_reserved();
    test_accessed_dirty(1, "4K");
    test_accessed_dirty(2, "2M");
    test_implicit();
    test_misc();
}
