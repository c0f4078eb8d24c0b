// SPDX-License-Identifier: MIT
// x87 and SSE exceptions, FXSAVE/XSAVE images, XCR0 and MXCSR rules.
// SDM vol. 1, chapters 8 "Programming with the x87 FPU", 11.5 "SSE, SSE2, and SSE3 Exceptions", 13 "Managing
// State Using the XSAVE Feature Set"; vol. 3A, 6.15 on #MF and #XM.
#include "test.h"

static uint8_t area[8192] __attribute__((aligned(64)));
static uint8_t area2[8192] __attribute__((aligned(64)));

SNIP(f_mf, "fninit; fnstcw -8(%rsp); andw $~4, -8(%rsp); fldcw -8(%rsp); fld1; fldz\n"
           "fdivrp\n nop\n" AT(f_mf_at) "fwait\n nop");
SNIP(f_xm, "stmxcsr -8(%rsp); mov -8(%rsp), %eax; and $~0x200, %eax; mov %eax, -4(%rsp); ldmxcsr -4(%rsp)\n"
           "mov $0x3f800000, %eax; movd %eax, %xmm1; xorps %xmm2, %xmm2\n" AT(
               f_xm_at) "divss %xmm2, %xmm1\n ldmxcsr -8(%rsp)");
SNIP(f_xm_mem, "stmxcsr -8(%rsp); mov -8(%rsp), %eax; and $~0x200, %eax; mov %eax, -4(%rsp); ldmxcsr -4(%rsp)\n"
               "mov $0x3f800000, %eax; movd %eax, %xmm1; movl $0, -16(%rsp)\n" AT(
                   f_xm_mem_at) "divss -16(%rsp), %xmm1\n ldmxcsr -8(%rsp)");
SNIP(f_masked, "mov $0x1f80, %eax; mov %eax, -4(%rsp); ldmxcsr -4(%rsp); mov $0x3f800000, %eax; movd %eax, %xmm1\n"
               "xorps %xmm2, %xmm2; divss %xmm2, %xmm1; stmxcsr -4(%rsp); mov -4(%rsp), %ebx; movd %xmm1, %ecx");
SNIP(f_ldmxcsr, "ldmxcsr (%rax)");
SNIP(f_fxrstor, "fxrstor (%rax)");
SNIP(f_fxsave, "fxsave (%rax)");
SNIP(f_reset_mxcsr, "movl $0x1f80, -4(%rsp); ldmxcsr -4(%rsp)");
LABEL(f_mf_at);
LABEL(f_xm_at);
LABEL(f_xm_mem_at);

static void test_exceptions(void)
{
    struct state s = user_state(f_mf);
    run(&s);
    check_exc("unmasked #Z: #MF at the next waiting instruction", &s, EXC_MF, NO_ERROR, f_mf_at);
    asm volatile("fninit");
    s = user_state(f_xm);
    run(&s);
    check_exc("unmasked SSE divide by zero is #XM at the instruction", &s, EXC_XM, NO_ERROR, f_xm_at);
    s = user_state(f_reset_mxcsr);
    run(&s);
    s = user_state(f_xm_mem);
    run(&s);
    check_exc("... with a memory operand", &s, EXC_XM, NO_ERROR, f_xm_mem_at);
    s = user_state(f_reset_mxcsr);
    run(&s);
    ureg cr4 = read_cr4();
    write_cr4(cr4 & ~(ureg)CR4_OSXMMEXCPT);
    s = user_state(f_xm);
    run(&s);
    check_exc("... is #UD without CR4.OSXMMEXCPT", &s, EXC_UD, NO_ERROR, f_xm_at);
    write_cr4(cr4);
    s = user_state(f_masked);
    run(&s);
    ok(s.vec == EXC_DONE && (s.r[RBX] & 0x3f) == 4 && s.r[RCX] == 0x7f800000,
       "masked: the ZE flag and infinity: %lx %lx", s.r[RBX], s.r[RCX]);
}

static void check_rax(const char *name, const char *code, const void *p, unsigned vec)
{
    struct state s = user_state(code);
    s.r[RAX] = (ureg)USER(p);
    run(&s);
    check_exc(name, &s, vec, vec == EXC_DONE ? NO_ERROR : 0, vec == EXC_DONE ? NULL : code);
}

static void test_mxcsr(void)
{
    asm volatile("fxsave %0" : "=m"(area));
    uint32_t mask = *(uint32_t *)(area + 28);
    static uint32_t word;
    ok((mask & 0xffbf) == 0xffbf, "MXCSR_MASK is %x", mask);
    word = 0x1f80 | 0x10000;
    check_rax("LDMXCSR of a reserved bit is #GP(0)", f_ldmxcsr, &word, EXC_GP);
    word = 0x1f80 | 0x8000 | 0x6000;
    check_rax("LDMXCSR of FTZ and rounding runs", f_ldmxcsr, &word, EXC_DONE);
    word = 0x1f80;
    check_rax("LDMXCSR back", f_ldmxcsr, &word, EXC_DONE);
    *(uint32_t *)(area + 24) = 0x80001f80;
    check_rax("FXRSTOR of a reserved MXCSR bit is #GP(0)", f_fxrstor, area, EXC_GP);
    check_rax("FXRSTOR, misaligned, is #GP(0)", f_fxrstor, area + 8, EXC_GP);
    check_rax("FXSAVE, misaligned, is #GP(0)", f_fxsave, area + 4, EXC_GP);
}

SNIP(f_fill, "fninit; fld1; fldpi; fldl2e; mov $0x1111111122222222, %rax; movq %rax, %xmm0; pinsrq $1, %rdi, %xmm0\n"
             "movq %rdi, %xmm15; movl $0x3f80, -4(%rsp); ldmxcsr -4(%rsp)");
SNIP(f_clear, "fninit; xorps %xmm0, %xmm0; xorps %xmm15, %xmm15; movl $0x1f80, -4(%rsp); ldmxcsr -4(%rsp)");
SNIP(f_env, "fninit; " AT(f_env_fld) "flds (%rax); fnstenv (%rbx)");
LABEL(f_env_fld);
SNIP(f_fxsaveq, "fninit; " AT(f_fxsaveq_fld) "flds (%rax); fxsave64 (%rbx)");
LABEL(f_fxsaveq_fld);

static struct state plain(const char *code, ureg rax, ureg rdi)
{
    struct state s = user_state(code);
    s.r[RAX] = rax;
    s.r[RDI] = rdi;
    run(&s);
    return s;
}

static void test_fxsave(void)
{
    plain(f_fill, 0, 0x123456789abcdef0);
    mem_set(area, 0xcc, 512);
    struct state s = plain(f_fxsave, (ureg)USER(area), 0);
    check_done("FXSAVE", &s);
    check_eq("... FCW", *(uint16_t *)area, 0x37f);
    check_eq("... FSW's TOP", *(uint16_t *)(area + 2) >> 11 & 7, 5);
    check_eq("... abridged FTW", area[4], 0xe0);
    check_eq("... MXCSR", *(uint32_t *)(area + 24) & 0xffc0, 0x3f80);
    check_eq("... ST0 = log2(e)", *(uint64_t *)(area + 32), 0xb8aa3b295c17f0bc);
    check_eq("... XMM0", *(uint64_t *)(area + 160 + 8), 0x123456789abcdef0);
    check_eq("... XMM15", *(uint64_t *)(area + 160 + 240), 0x123456789abcdef0);
    check_eq("... bytes 464 to 511 are not written", *(uint64_t *)(area + 464), 0xcccccccccccccccc);
    plain(f_clear, 0, 0);
    plain(f_fxrstor, (ureg)USER(area), 0);
    mem_set(area2, 0xcc, 512);
    plain(f_fxsave, (ureg)USER(area2), 0);
    ok(mem_equal(area, area2, 6) && mem_equal(area + 24, area2 + 24, 464 - 24),
       "FXRSTOR and FXSAVE give the same image");
}

// The instruction pointers that are stored must be the guest's.
static void test_pointers(void)
{
    static float one = 1.0f;
    struct state s = user_state(f_env);
    s.r[RAX] = (ureg)USER(&one);
    s.r[RBX] = (ureg)USER(area);
    run(&s);
    check_done("FNSTENV", &s);
    uint32_t fip = *(uint32_t *)(area + 12), fdp = *(uint32_t *)(area + 20);
    // AMD keeps the pointers only when an exception is pending (CPUID 80000008h EBX bit 2 tells); then they
    // are 0.
    ok(fip == (uint32_t)(ureg)USER(f_env_fld) || fip == 0, "FNSTENV's FIP is the guest's: %x, want %x or 0", fip,
       (uint32_t)(ureg)USER(f_env_fld));
    ok(fdp == (uint32_t)(ureg)USER(&one) || fdp == 0, "FNSTENV's FDP is the guest's: %x", fdp);
    s = user_state(f_fxsaveq);
    s.r[RAX] = (ureg)USER(&one);
    s.r[RBX] = (ureg)USER(area);
    run(&s);
    uint64_t rip = *(uint64_t *)(area + 8), rdp = *(uint64_t *)(area + 16);
    ok(rip == (ureg)USER(f_fxsaveq_fld) || rip == 0, "FXSAVE64's RIP is the guest's: %lx", rip);
    ok(rdp == (ureg)USER(&one) || rdp == 0, "FXSAVE64's RDP is the guest's: %lx", rdp);
}

SNIP(f_xgetbv, "xgetbv");
SNIP(f_xsetbv, "xsetbv");
SNIP(f_xsave, "xsave (%rdi)");
SNIP(f_xrstor, "xrstor (%rdi)");
SNIP(f_xsaveopt, "xsaveopt (%rdi)");
SNIP(f_xsavec, "xsavec (%rdi)");
SNIP(f_vmov, "vpcmpeqd %ymm3, %ymm3, %ymm3");
SNIP(f_ymm_set, "mov $0x0102030405060708, %rax; movq %rax, %xmm3; vinserti128 $1, %xmm3, %ymm3, %ymm3");
SNIP(f_ymm_get, "vextracti128 $1, %ymm3, %xmm4; movq %xmm4, %rbx; movq %xmm3, %rcx");

static struct state xop(const char *code, bool user, ureg rax, ureg rcx, const void *p)
{
    struct state s = user ? user_state(code) : kernel_state(code);
    s.r[RAX] = rax;
    s.r[RCX] = rcx;
    s.r[RDI] = (ureg)(user ? USER(p) : p);
    run(&s);
    return s;
}

static void check_xsetbv(const char *name, ureg value, ureg index, unsigned vec)
{
    struct state s = xop(f_xsetbv, false, value, index, area);
    check_exc(name, &s, vec, vec == EXC_DONE ? NO_ERROR : 0, vec == EXC_DONE ? NULL : f_xsetbv);
}

static void test_xcr0(void)
{
    struct state s = xop(f_xgetbv, true, 0, 0, area);
    check_exc("XGETBV without CR4.OSXSAVE is #UD", &s, EXC_UD, NO_ERROR, f_xgetbv);
    s = xop(f_xsave, true, 7, 0, area);
    check_exc("XSAVE without CR4.OSXSAVE is #UD", &s, EXC_UD, NO_ERROR, f_xsave);
    s = xop(f_vmov, true, 0, 0, area);
    check_exc("AVX without CR4.OSXSAVE is #UD", &s, EXC_UD, NO_ERROR, f_vmov);
    ok(!has_cpuid(1, RCX, 27), "CPUID.OSXSAVE is clear");
    write_cr4(read_cr4() | CR4_OSXSAVE);
    ok(has_cpuid(1, RCX, 27), "CPUID.OSXSAVE follows CR4");
    s = xop(f_xgetbv, true, 0, 0, area);
    ok(s.vec == EXC_DONE && s.r[RAX] == 1, "XCR0 is 1 after reset: %lx", s.r[RAX]);
    s = xop(f_xgetbv, true, 0, 9, area);
    check_exc("XGETBV of register 9 is #GP(0)", &s, EXC_GP, 0, f_xgetbv);
    s = xop(f_xsetbv, true, 7, 0, area);
    check_exc("XSETBV at CPL 3 is #GP(0)", &s, EXC_GP, 0, f_xsetbv);
    check_xsetbv("XSETBV: x87 off is #GP(0)", 2, 0, EXC_GP);
    check_xsetbv("XSETBV: AVX without SSE is #GP(0)", 5, 0, EXC_GP);
    check_xsetbv("XSETBV of register 1 is #GP(0)", 1, 1, EXC_GP);
    check_xsetbv("XSETBV: a reserved bit is #GP(0)", 1 | 1u << 30, 0, EXC_GP);
    check_xsetbv("XSETBV 3", 3, 0, EXC_DONE);
    uint32_t r[4];
    cpuid(0xd, 0, r);
    ok(r[RBX] == 576, "CPUID 0Dh: the size in use is 576 for XCR0 3: %u", r[RBX]);
}

static void test_avx(void)
{
    uint32_t r[4];
    cpuid(0xd, 0, r);
    if (!(r[RAX] & 4))
        return skip("AVX state", "XCR0 has no bit 2");
    struct state s = xop(f_vmov, true, 0, 0, area);
    check_exc("AVX without XCR0.AVX is #UD", &s, EXC_UD, NO_ERROR, f_vmov);
    check_xsetbv("XSETBV 7", 7, 0, EXC_DONE);
    s = xop(f_vmov, true, 0, 0, area);
    check_done("AVX with XCR0.AVX runs", &s);
    ureg cr0 = read_cr0();
    write_cr0(cr0 | CR0_TS);
    s = xop(f_vmov, true, 0, 0, area);
    check_exc("AVX with TS is #NM", &s, EXC_NM, NO_ERROR, f_vmov);
    write_cr0(cr0);
    cpuid(0xd, 0, r);
    check_eq("CPUID 0Dh: the size in use is 832 for XCR0 7", r[RBX], 832);
    xop(f_ymm_set, true, 0, 0, area);
    mem_set(area, 0, sizeof area);
    s = xop(f_xsave, true, 7, 0, area);
    check_done("XSAVE", &s);
    check_eq("... XSTATE_BV has AVX and SSE", *(uint64_t *)(area + 512) & 6, 6);
    check_eq("... the high half of YMM3 is at 576 + 48", *(uint64_t *)(area + 576 + 48), 0x0102030405060708);
    *(uint64_t *)(area + 512) &= ~4ull;
    xop(f_xrstor, true, 7, 0, area);
    s = xop(f_ymm_get, true, 0, 0, area);
    check_eq("XRSTOR with XSTATE_BV.AVX clear clears the high half", s.r[RBX], 0);
    check_eq("... and keeps the low half", s.r[RCX], 0x0102030405060708);
    *(uint64_t *)(area + 512) |= 4;
    xop(f_xrstor, true, 7, 0, area);
    s = xop(f_ymm_get, true, 0, 0, area);
    check_eq("XRSTOR with XSTATE_BV.AVX loads it", s.r[RBX], 0x0102030405060708);
    *(uint64_t *)(area + 576 + 48) = 0x99;
    xop(f_xrstor, true, 3, 0, area);
    s = xop(f_ymm_get, true, 0, 0, area);
    check_eq("XRSTOR with AVX not in EDX:EAX leaves it", s.r[RBX], 0x0102030405060708);
    mem_set(area2, 0xcc, sizeof area2);
    *(uint64_t *)(area2 + 512) = 0;
    mem_set(area2 + 512, 0, 64);
    xop(f_xsave, true, 4, 0, area2);
    check_eq("XSAVE of AVX alone leaves XMM's bytes", *(uint64_t *)(area2 + 160), 0xcccccccccccccccc);
    check_eq("... and sets only its bit", *(uint64_t *)(area2 + 512), 4);
}

// vol. 1, 13.8 "Operation of XRSTOR": header rules.
static void test_xrstor_faults(void)
{
    static const struct {
        const char *name;
        unsigned at;
        uint64_t v;
    } rows[] = {
        {"XSTATE_BV with a bit not in XCR0", 512, 1ull << 62},
        {"XCOMP_BV not 0 without bit 63", 520, 1},
        {"reserved header bytes", 528, 1},
    };
    for (unsigned i = 0; i < 3; i++) {
        mem_set(area, 0, 1024);
        *(uint32_t *)(area + 24) = 0x1f80;
        *(uint64_t *)(area + rows[i].at) = rows[i].v;
        struct state s = xop(f_xrstor, true, 7, 0, area);
        ok(s.vec == EXC_GP && s.err == 0, "XRSTOR: %s is #GP(0): vector %lu", rows[i].name, s.vec);
    }
    mem_set(area, 0, 1024);
    *(uint32_t *)(area + 24) = 0x80001f80;
    *(uint64_t *)(area + 512) = 2;
    struct state s = xop(f_xrstor, true, 3, 0, area);
    ok(s.vec == EXC_GP && s.err == 0, "XRSTOR: a reserved MXCSR bit is #GP(0): vector %lu", s.vec);
    s = xop(f_xsave, true, 3, 0, area + 16);
    ok(s.vec == EXC_GP && s.err == 0, "XSAVE to an address not aligned to 64 is #GP(0): vector %lu", s.vec);
    uint32_t r[4];
    cpuid(0xd, 1, r);
    if (!(r[RAX] & 2))
        return skip("XSAVEC", "CPUID has none");
    mem_set(area, 0xcc, sizeof area);
    mem_set(area + 512, 0,
            64); // XSAVEC writes the header's first 16 bytes only, XRSTOR wants the rest to be 0
    s = xop(f_xsavec, true, 3, 0, area);
    ok(s.vec == EXC_DONE && *(uint64_t *)(area + 520) == (1ull << 63 | 3), "XSAVEC writes XCOMP_BV: %lx",
       *(uint64_t *)(area + 520));
    s = xop(f_xrstor, true, 3, 0, area);
    check_done("XRSTOR of the compacted form", &s);
}

void test_main(void)
{
    test_exceptions();
    test_mxcsr();
    test_fxsave();
    test_pointers();
    if (!has_cpuid(1, RCX, 26))
        return skip("XSAVE", "CPUID has none");
    test_xcr0();
    test_avx();
    test_xrstor_faults();
}
