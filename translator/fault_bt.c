// SPDX-License-Identifier: MIT
// A host fault in translated code: the guest's registers are rebuilt from the signal context as they were at
// the start of the guest instruction, and the dispatcher has the interpreter run that one instruction, which
// raises the guest's exception, or, if the fault was only ours (a folded shadow slot), does its work.
#include "base/stats.h"
#include "translator/tb.h"

// Host register order of ucontext for guest registers of the same name (r14 and r15 are in memory).
static const int greg_of[14] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI,
                                REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13};

// Async-signal-safe.
bool bt_on_host_fault(void *opaque, struct host_fault *f)
{
    struct cpu *cpu = &vcpu_self;
    struct bt *bt = cpu->accel;
    greg_t *r = f->uc->uc_mcontext.gregs;
    const uint8_t *rip = (const uint8_t *)r[REG_RIP];
    struct tb *tb = bt ? tb_by_host(bt, rip) : NULL;
    const struct tb_map_entry *m = tb ? tb_map_lookup(tb, rip) : NULL;
    if (!m)
        return false;
    for (unsigned i = 0; i < ARRAY_SIZE(greg_of); i++)
        cpu->gpr[i] = r[greg_of[i]];
    if (m->high & 1)
        cpu->gpr[R14] = r[REG_R14];
    if (m->high & 2)
        cpu->gpr[R15] = r[REG_R15];
    if (m->swapped) { // between the two XCHGs around an instruction that names AH..BH
        uint64_t *g = &cpu->gpr[m->swapped - 1];
        *g = (*g & ~0xffffull) | (*g & 0xff) << 8 | (*g >> 8 & 0xff);
    }
    tb_unswap(cpu, m->renamed ? tb->swap : 0);
    cpu->rflags = (cpu->rflags & ~(uint64_t)FL_ARITH) | (r[REG_EFL] & FL_ARITH);
    cpu->rip = code_rip(tb->mode, tb->va + m->guest);
    cpu->next_rip = cpu->rip + m->len;
    stat_inc(STAT_exit_fault_signal);
    r[REG_RIP] = (greg_t)bt->glue.fault_exit;
    r[REG_EFL] &= ~(greg_t)(FL_DF | FL_TF | FL_AC);
    return true;
}
