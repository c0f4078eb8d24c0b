// SPDX-License-Identifier: MIT
// SYSCALL/SYSRET, SYSENTER/SYSEXIT, SWAPGS: vol. 2B, and vol. 3A, section 5.8.7 and 5.8.8 "Fast System Calls
// ...".
#include "test.h"

// clang-format off
enum { MSR_STAR = 0xc0000081, MSR_LSTAR, MSR_CSTAR, MSR_FMASK, MSR_GS_BASE = 0xc0000101, MSR_KERNEL_GS_BASE,
       MSR_EFER = 0xc0000080, MSR_SYSENTER_CS = 0x174, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP };
// clang-format on

SNIP(s_syscall, "syscall\n" AT(s_syscall_after) "nop");
SNIP32(s_syscall32, "syscall\n nop");
SNIP(s_entry, "pushfq; pop %rbx; mov %cs, %edx; mov %ss, %esi");
SNIP(s_entry_ud, "ud2");
SNIP(s_sysret, "sysretq");
SNIP(s_sysretl, "sysretl");
SNIP(s_user_target, "pushfq; pop %rax; mov %cs, %edx; mov %ss, %esi; mov %rsp, %rdi");
SNIP32(s_user_target32, "pushf; pop %eax; mov %cs, %edx; mov %ss, %esi");
LABEL(s_syscall_after);

static void test_syscall(void)
{
    wrmsr(MSR_STAR, (uint64_t)0x23 << 48 | (uint64_t)KCODE << 32);
    wrmsr(MSR_LSTAR, (ureg)s_entry);
    wrmsr(MSR_CSTAR, (ureg)s_entry);
    wrmsr(MSR_FMASK, FL_IF | FL_DF | FL_TF | FL_CF);
    struct state s = user_state(s_syscall);
    s.rflags |= FL_IF | FL_DF | FL_CF | FL_ZF | FL_AC;
    // The handler runs on the user's stack: the alias is writable at CPL 0.
    run(&s);
    check_done("SYSCALL arrives at LSTAR", &s);
    check_eq("... RCX is the return RIP", s.r[RCX], (ureg)USER(s_syscall_after));
    check_eq("... R11 is RFLAGS", s.r[R11] & ~(ureg)FL_RF, FL_IF | FL_DF | FL_CF | FL_ZF | FL_AC | FL_ONE);
    check_eq("... RFLAGS is masked by FMASK", s.r[RBX], FL_ZF | FL_AC | FL_ONE);
    check_eq("... CS from STAR", s.r[RDX], KCODE);
    check_eq("... SS is CS + 8", s.r[RSI], KDATA);
    check_eq("... RSP is not changed", s.r[RSP], ustack_top());
    s = kernel_state(s_syscall);
    run(&s);
    check_eq("SYSCALL at CPL 0 works", s.r[RCX], (ureg)s_syscall_after);
    wrmsr(MSR_LSTAR, (ureg)s_entry_ud);
    s = user_state(s_syscall);
    s.rflags |= FL_TF;
    run(&s); // FMASK clears TF: no #DB before the handler's first instruction
    check_exc("SYSCALL with TF masked: no single step", &s, EXC_UD, NO_ERROR, s_entry_ud);
    check_eq("... R11 keeps TF", s.r[R11] & FL_TF, FL_TF);
    wrmsr(MSR_FMASK, 0);
    s = user_state(s_syscall);
    s.rflags |= FL_TF;
    run(&s);
    check_exc("SYSCALL with TF not masked: #DB at LSTAR", &s, EXC_DB, NO_ERROR, s_entry_ud);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~1ull);
    s = user_state(s_syscall);
    run(&s);
    check_exc("SYSCALL without EFER.SCE is #UD", &s, EXC_UD, NO_ERROR, s_syscall);
    s = kernel_state(s_sysret);
    run(&s);
    check_exc("SYSRET without EFER.SCE is #UD", &s, EXC_UD, NO_ERROR, s_sysret);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 1);
}

static void test_syscall_compat(void)
{
    struct state s = compat_state(s_syscall32);
    wrmsr(MSR_CSTAR, (ureg)s_entry);
    run(&s);
    if (is_intel()) {
        check_exc("SYSCALL in compatibility mode is #UD", &s, EXC_UD, NO_ERROR, s_syscall32);
    } else { // AMD64 vol. 2, section 6.1.1 "SYSCALL and SYSRET": CSTAR
        check_done("SYSCALL in compatibility mode arrives at CSTAR (AMD)", &s);
        check_eq("... RCX is the return EIP", s.r[RCX], (ureg)USER(s_syscall32) + 2);
    }
}

static void test_sysret(void)
{
    const ureg flags = FL_IF | FL_CF | FL_DF | FL_AC | FL_ONE;
    struct state s = kernel_state(s_sysret);
    s.r[RCX] = (ureg)USER(s_user_target);
    s.r[R11] = flags;
    s.r[RSP] = ustack_top();
    run(&s);
    check_done("SYSRETQ to CPL 3", &s);
    check_eq("... RFLAGS from R11", s.r[RAX], flags);
    check_eq("... CS is STAR[63:48] + 16, RPL 3", s.r[RDX], UCODE);
    check_eq("... SS is STAR[63:48] + 8, RPL 3", s.r[RSI], UDATA);
    check_eq("... RSP is not changed", s.r[RDI], ustack_top());
    s = kernel_state(s_sysret);
    s.r[RCX] = (ureg)USER(s_user_target);
    s.r[R11] = flags | FL_RF | FL_VM;
    s.r[RSP] = ustack_top();
    run(&s);
    check_eq("SYSRETQ: RFLAGS is R11 & 3C7FD7h: no RF, no VM", s.vec == EXC_DONE ? s.r[RAX] : 0, flags);
    s = kernel_state(s_sysretl);
    s.r[RCX] = 0xabcd000000000000 | (ureg)USER(s_user_target32);
    s.r[R11] = FL_ONE | FL_CF;
    s.r[RSP] = ustack_top();
    run(&s);
    check_done("SYSRETL to compatibility mode, RCX's high half ignored", &s);
    check_eq("... CS is STAR[63:48], RPL 3", s.r[RDX], UCODE32);
    check_eq("... SS", s.r[RSI], UDATA);
    check_eq("... RFLAGS", s.r[RAX], FL_ONE | FL_CF);
    s = kernel_state(s_sysret);
    s.r[RCX] = 0x0000800000000000;
    s.r[R11] = FL_ONE;
    run(&s);
    if (is_intel()) // vol. 2B, "SYSRET": "#GP(0) If RCX contains a non-canonical address", before CPL changes
        check_exc("SYSRET to a non-canonical RCX is #GP(0) at CPL 0", &s, EXC_GP, 0, s_sysret);
    else // AMD64: RIP is loaded, the fetch faults at CPL 3; either is allowed here, never anything else
        ok(s.vec == EXC_GP && s.err == 0 &&
               ((s.cs == KCODE && s.rip == (ureg)s_sysret) || (s.cs == UCODE && s.rip == 0x0000800000000000)),
           "SYSRET to a non-canonical RCX is #GP(0)");
    s = kernel_state(s_sysret);
    s.r[RCX] = (ureg)USER(s_user_target);
    s.r[R11] = FL_ONE | FL_TF;
    s.r[RSP] = ustack_top();
    run(&s);
    // vol. 2B, "SYSRET": TF set by SYSRET traps after SYSRET's successor on AMD, after SYSRET itself on
    // Intel.
    ok(s.vec == EXC_DB && (s.rip == (ureg)USER(s_user_target) || s.rip == (ureg)USER(s_user_target) + 1),
       "SYSRET that sets TF is followed by a single step: rip +%lx", s.rip - (ureg)USER(s_user_target));
}

SNIP(s_sysenter, "sysenter");
SNIP32(s_sysenter32, "sysenter");
SNIP(s_sysexit, "sysexitl");
SNIP(s_sysexitq, "rex.w sysexit");
SNIP(s_se_entry, "pushfq; pop %rbx; mov %cs, %edx; mov %ss, %esi");
SNIP32(s_se_back32, "mov %cs, %eax; mov %ss, %esi");
SNIP(s_se_back, "mov %cs, %eax; mov %ss, %esi");

static void test_sysenter(void)
{
    struct state s;
    if (!is_intel()) { // AMD64 vol. 3, "SYSENTER": invalid in long mode
        s = user_state(s_sysenter);
        run(&s);
        ok(s.vec == EXC_UD || s.vec == EXC_GP,
           "SYSENTER in long mode on AMD: vector %lu (#UD; #GP if it exists but CS is 0)", s.vec);
        return;
    }
    s = user_state(s_sysenter);
    wrmsr(MSR_SYSENTER_CS, 0);
    run(&s);
    check_exc("SYSENTER with SYSENTER_CS 0 is #GP(0)", &s, EXC_GP, 0, s_sysenter);
    wrmsr(MSR_SYSENTER_CS, KCODE);
    wrmsr(MSR_SYSENTER_ESP, kstack_top() - 256);
    wrmsr(MSR_SYSENTER_EIP, (ureg)s_se_entry);
    s = user_state(s_sysenter);
    s.rflags |= FL_IF | FL_CF;
    run(&s);
    check_done("SYSENTER from 64-bit mode", &s);
    check_eq("... IF cleared, nothing else", s.r[RBX], FL_CF | FL_ONE);
    check_eq("... CS", s.r[RDX], KCODE);
    check_eq("... SS", s.r[RSI], KDATA);
    check_eq("... RSP", s.r[RSP], kstack_top() - 256);
    s = compat_state(s_sysenter32);
    run(&s);
    check_done("SYSENTER from compatibility mode", &s);
    s = kernel_state(s_sysexit);
    s.r[RCX] = ustack_top();
    s.r[RDX] = (ureg)USER(s_se_back32);
    run(&s);
    check_eq("SYSEXIT to compatibility mode: CS + 16", s.vec == EXC_DONE ? s.r[RAX] : 0, (KCODE + 16) | 3);
    check_eq("... SS + 24", s.r[RSI], (KCODE + 24) | 3);
    s = kernel_state(s_sysexitq);
    s.r[RCX] = ustack_top();
    s.r[RDX] = (ureg)USER(s_se_back);
    run(&s);
    check_eq("SYSEXIT to 64-bit mode: CS + 32", s.vec == EXC_DONE ? s.r[RAX] : 0, (KCODE + 32) | 3);
    check_eq("... SS + 40", s.r[RSI], (KCODE + 40) | 3);
    check_eq("... RSP", s.r[RSP], ustack_top());
}

SNIP(s_swapgs, "mov %gs:0, %rax; swapgs; mov %gs:0, %rbx; swapgs; mov %gs:8, %rcx");

static void test_swapgs(void)
{
    static ureg a[2] = {0x1111, 0x3333}, b[2] = {0x2222, 0x4444};
    wrmsr(MSR_GS_BASE, (ureg)a);
    wrmsr(MSR_KERNEL_GS_BASE, (ureg)b);
    struct state s = kernel_state(s_swapgs);
    run(&s);
    ok(s.r[RAX] == 0x1111 && s.r[RBX] == 0x2222 && s.r[RCX] == 0x3333, "SWAPGS exchanges the GS bases");
    check_eq("GS_BASE by RDMSR", rdmsr(MSR_GS_BASE), (ureg)a);
    check_eq("KERNEL_GS_BASE by RDMSR", rdmsr(MSR_KERNEL_GS_BASE), (ureg)b);
}

void test_main(void)
{
    test_syscall();
    test_syscall_compat();
    test_sysret();
    test_sysenter();
    test_swapgs();
}
