// SPDX-License-Identifier: MIT
// From a helper that transferred control (SYSCALL, SYSRET, IRET) straight to the target's block.
//
// The way through the dispatcher costs as much as the instruction itself. The indirect-branch table of the
// privilege that is entered knows the block if it was entered this way before under the same epoch; ENG_RESUME
// tells a kick where we are about to go (kick.c).
#include "base/log.h"
#include "base/stats.h"
#include "cpu/fpu.h"
#include "cpu/interrupt.h"
#include "translator/gen.h"

uint64_t bt_transfer(struct cpu *cpu)
{
    struct bt *bt = bt_of(cpu);
    const struct ibl_table *t = cpu->mode & MODE_USER ? bt->ibl_user : &bt->ibl_sup;
    gva at = code_addr_now(cpu);
    const struct ibl_entry *e = &t->entry[at & (IBL_ENTRIES - 1)];
    bt->indirect_missed = true;
    // Modes that are left to the interpreter never become a table's.
    if (UNLIKELY(t->mode != code_mode(cpu) || e->neg_va + at || cpu_attention_due(cpu) || log_on(LOG_exec)))
        return HELPER_LEAVE;
    cpu->engine[ENG_RESUME] = (uint64_t)e->code;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (UNLIKELY(bt->kicked))
        return HELPER_LEAVE;
    if (!cpu->fpu_live)
        cpu_fpu_load(cpu);
    bt_load_scratch(cpu);
    bt->indirect_missed = false;
    stat_inc(STAT_tb_transfers);
    return (uint64_t)e->code;
}
