// SPDX-License-Identifier: MIT
// The interpreter: one instruction at a time, every mode, every instruction.
//
// System instructions are the cpu_op_* functions. Everything else is executed by the host CPU itself:
// the instruction is rewritten so that its memory operand is [r14+r15], run once on the guest's registers
// with the operand bounced through a buffer, and written back if all went well, so that results are the
// host CPU's own, bit for bit.
#pragma once

#include "cpu/state.h"
#include "translator/decode.h"

struct interp;
int interp_create(struct interp **out, struct cpu *cpu); // 0 or -errno
void interp_destroy(struct interp *in);

// A decoder_host_fn for the vCPU's thread, its vector state saved: has the host try the instruction on an operand
// that always faults. False: the host says #UD.
bool interp_host_knows(void *interp, const struct insn *i);

// Executes the one instruction at cpu->rip: fetch, decode, execute, advance rip. Exceptions unwind through
// cpu->unwind with rip at the instruction. Clears interrupt shadows that end with it, raises single-step
// and data-breakpoint traps after it, instruction breakpoints before it.
void interp_step(struct interp *in);
