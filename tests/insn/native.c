// SPDX-License-Identifier: MIT
// The oracle: runs a test case on the host CPU, in this process, at the guest's addresses.
//
// The case ends with a signal (INT3, or the exception it raised). The handler takes the registers out of the
// signal frame and leaves by restoring the stack; it does not return, so the kernel restores nothing.
#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "cpu/state.h"
#include "tests/insn/testcase.h"

struct native_block {
    uint64_t gpr[16], rip, rflags, fs, gs, host_rsp, host_fs, host_gs, cs, ss;
    void *xsave;
    uint64_t mask, end_fs, end_gs;
};
extern struct native_block native_block;
struct native_block native_block __attribute__((visibility("hidden")));

void native_enter(void);
_Noreturn void native_leave(void);
void native_signal_thunk(int sig, siginfo_t *info, void *uc);
_Noreturn void native_signal(int sig, siginfo_t *info, ucontext_t *uc);

static uint8_t *data_alias, *code_alias; // writable views
static struct outcome *result;
static uint32_t offsets[64];

// The order of the ucontext's registers, by register number.
static const int greg[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                             REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

_Noreturn void native_signal(int sig, siginfo_t *info, ucontext_t *uc)
{
    struct outcome *o = result;
    for (int i = 0; i < 16; i++)
        o->m.gpr[i] = (uint64_t)uc->uc_mcontext.gregs[greg[i]];
    o->m.rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
    o->m.rflags = (uint64_t)uc->uc_mcontext.gregs[REG_EFL];
    o->m.fs_base = native_block.end_fs;
    o->m.gs_base = native_block.end_gs;
    o->vector = (uint8_t)uc->uc_mcontext.gregs[REG_TRAPNO];
    o->error = (uint32_t)uc->uc_mcontext.gregs[REG_ERR];
    o->cr2 = (uint64_t)uc->uc_mcontext.gregs[REG_CR2];
    // struct _fpx_sw_bytes at 464: magic, extended size, features, xstate size (asm/sigcontext.h).
    const uint8_t *fp = (const uint8_t *)uc->uc_mcontext.fpregs;
    uint32_t size;
    memcpy(&size, fp + 464 + 16, 4);
    memcpy(o->m.xsave, fp, size < XSAVE_BYTES ? size : XSAVE_BYTES);
    native_leave();
}

uint64_t native_xcr0(void)
{
    static uint64_t mask;
    if (!mask) {
        uint32_t a, b, c, d;
        __cpuid(1, a, b, c, d);
        if (!(c >> 27 & 1))
            return mask = 3;
        __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
        mask = a & 0xe7;
    }
    return mask;
}

const uint32_t *native_xsave_offsets(void) { return offsets; }

void native_xsave_template(uint8_t *area)
{
    uint16_t fcw = 0x37f;
    uint32_t mxcsr = 0x1f80;
    uint64_t bv = native_xcr0();
    memset(area, 0, XSAVE_BYTES);
    memcpy(area, &fcw, 2);
    memcpy(area + 24, &mxcsr, 4);
    memcpy(area + 512, &bv, 8);
}

static uint8_t *map_alias(int fd, size_t size)
{
    uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

static int map_at(int fd, uint64_t addr, uint64_t offset, size_t size, int prot)
{
    void *p = mmap((void *)addr, size, prot, MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, fd, (off_t)offset);
    return p == (void *)addr ? 0 : -1;
}

static int map_views(void)
{
    static const uint64_t data_at[] = {DATA_LO, DATA_HI}, code_at[] = {CODE_LO, CODE_HI};
    int dfd = memfd_create("insn-data", MFD_CLOEXEC), cfd = memfd_create("insn-code", MFD_CLOEXEC);
    if (dfd < 0 || cfd < 0 || ftruncate(dfd, DATA_SIZE) || ftruncate(cfd, CODE_PAGES * PAGE_SIZE))
        return -1;
    data_alias = map_alias(dfd, DATA_SIZE);
    code_alias = map_alias(cfd, CODE_PAGES * PAGE_SIZE);
    if (!data_alias || !code_alias)
        return -1;
    memset(data_alias, 1, DATA_SIZE); // all pages exist before they are mapped, so that P is set in faults
    memset(code_alias, 0xcc, CODE_PAGES * PAGE_SIZE);
    for (int v = 0; v < 2; v++) {
        for (unsigned i = 0; i < DATA_PAGES; i++)
            if (data_page_kind[i] != PAGE_NONE && map_at(dfd, data_at[v] + i * PAGE_SIZE, i * PAGE_SIZE, PAGE_SIZE,
                                                         PROT_READ | (data_page_kind[i] == PAGE_RW ? PROT_WRITE : 0)))
                return -1;
        if (map_at(cfd, code_at[v], 0, CODE_PAGES * PAGE_SIZE, PROT_READ | PROT_EXEC))
            return -1;
        volatile uint8_t *ro = (volatile uint8_t *)(data_at[v] + 4 * PAGE_SIZE);
        (void)*ro;
    }
    close(dfd);
    close(cfd);
    return 0;
}

int native_init(void)
{
    for (uint32_t i = 2; i < 32; i++) {
        uint32_t a, b, c, d;
        if (__get_cpuid_count(0xd, i, &a, &b, &c, &d) && native_xcr0() >> i & 1)
            offsets[i] = b;
    }
    if (map_views()) {
        fprintf(stderr, "insn-diff: cannot map the test's memory: %s\n", strerror(errno));
        return -1;
    }
    return 0;
}

static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};

void native_run(const struct testcase *tc, struct outcome *out)
{
    static uint8_t stack[65536] __attribute__((aligned(64)));
    struct sigaction old[ARRAY_SIZE(signals)], sa = {.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)}, old_ss;
    uint64_t page_off = (tc->entry & 0xfffff);

    sa.sa_sigaction = native_signal_thunk;
    for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
        sigaction(signals[i], &sa, &old[i]);
    sigaltstack(&ss, &old_ss);

    testcase_data(tc, data_alias);
    memcpy(code_alias + page_off, tc->code, tc->code_len);
    result = out;
    memset(out->m.xsave, 0, 576);
    native_block = (struct native_block){
        .rip = tc->entry,
        .rflags = tc->start.rflags,
        .fs = tc->start.fs_base,
        .gs = tc->start.gs_base,
        .cs = tc->mode32 ? SEL_USER_CS32 : SEL_USER_CS,
        .ss = SEL_USER_DS,
        .xsave = (void *)tc->start.xsave,
        .mask = native_xcr0(),
    };
    memcpy(native_block.gpr, tc->start.gpr, sizeof(native_block.gpr));
    native_enter();

    out->data = data_alias;
    out->lost = false;
    sigaltstack(&old_ss, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
        sigaction(signals[i], &old[i], NULL);
}
