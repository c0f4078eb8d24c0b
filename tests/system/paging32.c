// SPDX-License-Identifier: MIT
// 32-bit and PAE paging: permissions, 4M and 2M pages, reserved bits, the PDPTE registers, A/D bits.
// SDM vol. 3A, sections 4.3 "32-Bit Paging" and 4.4 "PAE Paging".
#include "test.h"

#define VA 0x40000000u
enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };

SNIP(w_load, "mov (%eax), %ebx");
SNIP(w_store, "mov %ebx, (%eax)");
SNIP(w_jump, "jmp *%eax");
SNIP(w_cr3, "mov %eax, %cr3");
SNIP(w_cr4, "mov %eax, %cr4");

enum { READ, WRITE, EXEC };
static uint32_t *pd, *pt; // 32-bit: the directory, and the table for VA
static uint64_t *pdpt, *pae_pd, *pae_pt;
static uint8_t *frame;
static const uint32_t big = 32 << 20;

static struct state access(unsigned how, bool user, uint32_t va)
{
    static const char *const code[] = {w_load, w_store, w_jump};
    struct state s = user ? user_state(code[how]) : kernel_state(code[how]);
    s.r[RAX] = va;
    s.r[RBX] = 0x80cd80cd;
    run(&s);
    return s;
}

static bool access_good(unsigned how, bool user, uint32_t va, bool allow, ureg err)
{
    struct state s = access(how, user, va);
    bool good = allow ? s.vec == EXC_DONE : s.vec == EXC_PF && s.err == err && s.cr2 == va;
    if (!good)
        note("access %u user %u: want %s error %lx, got vector %lu error %lx cr2 %lx", how, user,
             allow ? "done" : "fault", err, s.vec, s.err, s.cr2);
    return good;
}

static ureg error_code(unsigned how, bool user, bool nx_on)
{
    return P | (user ? U : 0) | (how == WRITE ? W : how == EXEC && (nx_on || (read_cr4() & CR4_SMEP)) ? 0x10 : 0);
}

static bool allowed(unsigned how, bool user, uint32_t rights, bool nx)
{
    if (user)
        return (rights & U) && (how == READ || (how == WRITE ? !!(rights & W) : !nx));
    return how == READ || (how == WRITE ? (rights & W) || !(read_cr0() & CR0_WP) : !nx);
}

static void fill_code(void *p)
{
    for (unsigned i = 0; i < 64; i++)
        ((uint16_t *)p)[i] = 0x80cd;
}

// The identity map of the first 16 MiB is user-accessible so that snippets run at CPL 3 where they are.
static void enable_32bit(void)
{
    pd = page_alloc();
    pt = page_alloc();
    for (unsigned i = 0; i < 16; i++)
        pd[i] = i << 22 | PS | P | W | U;
    pd[VA >> 22] = (uint32_t)pt | P | W | U;
    write_cr4(read_cr4() | CR4_PSE);
    write_cr3((ureg)pd);
    write_cr0(read_cr0() | CR0_PG | CR0_WP);
    ok(read_cr0() & CR0_PG, "32-bit paging is on");
}

static void test_32bit_rights(void)
{
    for (unsigned wp = 0; wp < 2; wp++) {
        unsigned bad = 0;
        write_cr0(wp ? read_cr0() | CR0_WP : read_cr0() & ~(ureg)CR0_WP);
        for (unsigned r = 0; r < 16; r++) {
            uint32_t leaf = (r & 1 ? U : 0) | (r & 2 ? W : 0), upper = (r & 4 ? U : 0) | (r & 8 ? W : 0);
            pd[VA >> 22] = (uint32_t)pt | P | upper;
            pt[0] = (uint32_t)frame | P | leaf;
            write_cr3((ureg)pd);
            for (unsigned a = 0; a < 6; a++)
                bad += !access_good(a >> 1, a & 1, VA, allowed(a >> 1, a & 1, leaf & upper, false),
                                    error_code(a >> 1, a & 1, false));
        }
        ok(!bad, "32-bit 4K pages, CR0.WP %u: 96 accesses", wp);
        bad = 0;
        for (unsigned r = 0; r < 4; r++) {
            uint32_t leaf = (r & 1 ? U : 0) | (r & 2 ? W : 0);
            pd[VA >> 22] = big | PS | P | leaf;
            write_cr3((ureg)pd);
            for (unsigned a = 0; a < 6; a++)
                bad += !access_good(a >> 1, a & 1, VA, allowed(a >> 1, a & 1, leaf, false),
                                    error_code(a >> 1, a & 1, false));
        }
        ok(!bad, "32-bit 4M pages, CR0.WP %u: 24 accesses", wp);
    }
    write_cr0(read_cr0() | CR0_WP);
}

static void test_32bit_bits(void)
{
    pd[VA >> 22] = big | PS | P | W | U | 1 << 21;
    write_cr3((ureg)pd);
    ok(access_good(READ, false, VA, false, 9), "4M page with reserved bit 21: RSVD");
    pd[VA >> 22] = big | PS | P | W | U;
    write_cr3((ureg)pd);
    access(READ, false, VA);
    check_eq("a read of a 4M page sets A", pd[VA >> 22] & (A | D), A);
    access(WRITE, true, VA);
    check_eq("a write of a 4M page sets D", pd[VA >> 22] & (A | D), A | D);
    // Without CR4.PSE, bit 7 of a directory entry is ignored: it points at a table.
    pd[VA >> 22] = (uint32_t)pt | PS | P | W | U;
    pt[0] = (uint32_t)frame | P | W | U;
    uint32_t *low[2] = {page_alloc(), page_alloc()}; // the image's own first 8 MiB as 4K pages
    for (unsigned i = 0; i < 2048; i++)
        low[i / 1024][i % 1024] = i << 12 | P | W | U;
    for (unsigned i = 0; i < 2; i++)
        pd[i] = (uint32_t)low[i] | P | W | U;
    write_cr4(read_cr4() & ~(ureg)CR4_PSE);
    struct state s = access(READ, true, VA);
    ok(s.vec == EXC_DONE && s.r[RBX] == 0x80cd80cd, "CR4.PSE clear: PS is ignored, a 4K table is used: vector %lu",
       s.vec);
    ok(pt[0] & A, "... A in its entry");
    write_cr4(read_cr4() | CR4_PSE);
    for (unsigned i = 0; i < 2; i++)
        pd[i] = i << 22 | PS | P | W | U;
    pd[VA >> 22] = 0;
    write_cr3((ureg)pd);
    ok(access_good(READ, true, VA, false, U), "not present at CPL 3: error 4");
    ok(access_good(WRITE, false, VA, false, W), "not present, write at CPL 0: error 2");
}

static void enable_pae(void)
{
    write_cr0(read_cr0() & ~(ureg)CR0_PG);
    pdpt = page_alloc();
    pae_pd = page_alloc();
    pae_pt = page_alloc();
    uint64_t *low = page_alloc();
    for (unsigned i = 0; i < 32; i++)
        low[i] = i << 21 | PS | P | W | U;
    pdpt[0] = (ureg)low | P;
    pdpt[1] = (ureg)pae_pd | P;
    pae_pd[0] = (ureg)pae_pt | P | W | U;
    write_cr4(read_cr4() | CR4_PAE);
    if (has_cpuid(0x80000001, RDX, 20))
        wrmsr(0xc0000080, 0x800);
    write_cr3((ureg)pdpt);
    write_cr0(read_cr0() | CR0_PG | CR0_WP);
    ok(read_cr4() & CR4_PAE, "PAE paging is on");
}

static void test_pae_rights(void)
{
    bool nx = has_cpuid(0x80000001, RDX, 20);
    for (unsigned size = 0; size < 2; size++) {
        unsigned bad = 0;
        for (unsigned r = 0; r < 64; r++) {
            if (!nx && (r & 0x24))
                continue;
            uint64_t leaf = (r & 1 ? U : 0) | (r & 2 ? W : 0) | (r & 4 ? 1ull << 63 : 0);
            uint64_t upper = (r & 8 ? U : 0) | (r & 16 ? W : 0) | (r & 32 ? 1ull << 63 : 0);
            uint32_t both = (uint32_t)leaf & (size ? ~0u : (uint32_t)upper);
            if (size && (r & 0x38))
                continue;
            if (size) {
                pae_pd[0] = big | PS | P | leaf;
            } else {
                pae_pd[0] = (ureg)pae_pt | P | upper;
                pae_pt[0] = (ureg)frame | P | leaf;
            }
            write_cr3((ureg)pdpt);
            for (unsigned a = 0; a < 6; a++)
                bad += !access_good(a >> 1, a & 1, VA, allowed(a >> 1, a & 1, both, r & (size ? 4 : 0x24)),
                                    error_code(a >> 1, a & 1, nx));
        }
        ok(!bad, "PAE %s pages: rights, %u wrong", size ? "2M" : "4K", bad);
    }
}

// 4.4.1 "PDPTE Registers": loaded with CR3, reserved bits are #GP, later changes in memory are not seen.
static void test_pdptes(void)
{
    pae_pd[0] = (ureg)pae_pt | P | W | U;
    pae_pt[0] = (ureg)frame | P | W | U;
    write_cr3((ureg)pdpt);
    access(READ, true, VA);
    uint64_t old = pdpt[1];
    pdpt[1] = 0;
    invlpg((void *)VA);
    struct state s = access(READ, true, VA);
    check_done("a PDPTE changed in memory is not seen before CR3 is loaded", &s);
    write_cr3((ureg)pdpt);
    ok(access_good(READ, true, VA, false, U), "... and is after");
    pdpt[1] = old;
    write_cr3((ureg)pdpt);
    static const uint64_t reserved[] = {W, U, 1ull << 8 | PS, 1ull << 63};
    unsigned bad = 0;
    for (unsigned i = 0; i < 4; i++) {
        pdpt[2] = (ureg)pae_pd | P | reserved[i];
        s = kernel_state(w_cr3);
        s.r[RAX] = (ureg)pdpt;
        run(&s);
        if (s.vec != EXC_GP || s.err != 0 || s.rip != (ureg)w_cr3) {
            note("reserved bits %llx: vector %lu", reserved[i], s.vec);
            bad += i != 2; // bits 7 and 8 are reserved on some processors only
        }
    }
    ok(!bad, "MOV to CR3 with reserved bits in a present PDPTE is #GP(0)");
    pdpt[2] = W | U; // not present: no check
    s = kernel_state(w_cr3);
    s.r[RAX] = (ureg)pdpt;
    run(&s);
    check_done("... not in one that is not present", &s);
    pae_pd[0] = big | PS | P | W | U | 1 << 13;
    write_cr3((ureg)pdpt);
    ok(access_good(READ, false, VA, false, 9), "PAE 2M page with reserved bit 13: RSVD");
    pae_pd[0] = (ureg)pae_pt | P | W | U | 1ull << 62;
    write_cr3((ureg)pdpt);
    ok(access_good(READ, true, VA, false, 0xd), "PAE directory entry with bit 62: RSVD");
    pae_pd[0] = (ureg)pae_pt | P | W | U;
    pae_pt[0] = (ureg)frame | P | W | U;
    write_cr3((ureg)pdpt);
    access(READ, true, VA);
    check_eq("PAE: a read sets A", (uint32_t)pae_pt[0] & (A | D), A);
    access(WRITE, true, VA);
    check_eq("PAE: a write sets D", (uint32_t)pae_pt[0] & (A | D), A | D);
}

void test_main(void)
{
    frame = page_alloc();
    fill_code(frame);
    fill_code((void *)big);
    enable_32bit();
    test_32bit_rights();
    test_32bit_bits();
    enable_pae();
    test_pae_rights();
    test_pdptes();
}
