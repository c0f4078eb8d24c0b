// SPDX-License-Identifier: MIT
// A debugger's hold on a vCPU: breakpoints, watchpoints and single steps, apart from the guest's own DR0..DR7.
//
// How it costs nothing when unused. cpu->debug_active is looked at once per turn of the engine's loop, never in
// translated code. Breakpoints are addresses at which no block begins and over which none extends, so that
// translated code leaves for the loop there. Watched pages get no fast entries in the shadow tables, so that
// each access to them comes to softmmu/mmu.c, which tells debug_points.c; MODE_STEP then ends the run behind
// the instruction. A step is MODE_STEP for one instruction of the interpreter.
//
// Who may do what. The set is changed while the vCPU is parked (frontends/vcpu.h); the vCPU's thread reads it and
// reports why it stopped. Addresses are linear.
#pragma once

#include "cpu/state.h"

// Numbers of the remote protocol's Z packets.
enum debug_kind {
    DEBUG_SW_BREAK,
    DEBUG_HW_BREAK,
    DEBUG_WATCH_WRITE,
    DEBUG_WATCH_READ,
    DEBUG_WATCH_ACCESS,
    DEBUG_KINDS
};
enum debug_reason { DEBUG_NONE, DEBUG_BREAK, DEBUG_STEP, DEBUG_WATCH };

struct debug_point {
    gva addr;
    uint32_t len; // 1 for breakpoints
    uint8_t kind;
};

enum { DEBUG_MAX_POINTS = 256, DEBUG_MAX_WATCH_LEN = 4096 };
struct debug_set {
    struct debug_point point[DEBUG_MAX_POINTS];
    unsigned n;
};

// Bits of cpu->debug_active. The last two put MODE_STEP into the mode.
enum { DEBUG_ACTIVE_POINTS = 1, DEBUG_ACTIVE_STEP = 2, DEBUG_ACTIVE_HIT = 4 };

struct debug_points {
    struct debug_set set;
    unsigned breaks, watches; // of each sort in it
    uint32_t generation;      // changes with the set
    // --- of the run under way
    bool mask_irqs;           // while stepping: external interrupts wait, but for those that end a HLT
    bool stepped;             // something was executed or delivered
    enum debug_reason reason; // why the run ended; DEBUG_NONE: not on the debugger's account
    struct debug_point hit;   // DEBUG_WATCH, DEBUG_BREAK: which
    // The run has ended for `reason`: on the vCPU's thread, vector state saved, big lock not held. It must see to it
    // that the vCPU is paused.
    void (*stopped)(void *opaque);
    void *opaque;
};

// --- any thread, with the vCPU parked
void debug_points_attach(struct cpu *cpu, struct debug_points *d); // NULL: takes it away
// 0; -EINVAL: no such kind or a bad length; -ENOSPC: too many; removing: -ENOENT. Inserting twice is fine.
int debug_point_insert(struct cpu *cpu, enum debug_kind kind, gva addr, uint64_t len);
int debug_point_remove(struct cpu *cpu, enum debug_kind kind, gva addr, uint64_t len);
void debug_points_clear(struct cpu *cpu);
// What the next run is: one instruction, or on until something happens.
void debug_points_prepare(struct cpu *cpu, bool step, bool mask_irqs);

// --- the engine
bool debug_points_done(struct cpu *cpu);
bool debug_points_break(struct cpu *cpu);
const struct debug_point *debug_points_at(const struct debug_points *d, gva linear);
// Between two instructions, before interrupts are looked at: is the run over?
static inline bool debug_done(struct cpu *cpu) { return UNLIKELY(cpu->debug_active) && debug_points_done(cpu); }
// Before the instruction at rip: does something stop the run here?
static inline bool debug_break(struct cpu *cpu) { return UNLIKELY(cpu->debug_active) && debug_points_break(cpu); }
// Is there a breakpoint at offset rip of the code segment?
static inline const struct debug_point *debug_break_at(const struct cpu *cpu, uint64_t rip)
{
    if (LIKELY(!(cpu->debug_active & DEBUG_ACTIVE_POINTS)))
        return NULL;
    return debug_points_at(cpu->debug, cpu->mode & MODE_CS64 ? rip : (uint32_t)(cpu->seg[CS].base + rip));
}
// At the end of a run, vector state saved.
static inline void debug_report(struct cpu *cpu)
{
    if (UNLIKELY(cpu->debug != NULL) && cpu->debug->reason)
        cpu->debug->stopped(cpu->debug->opaque);
}
