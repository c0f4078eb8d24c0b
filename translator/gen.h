// SPDX-License-Identifier: MIT
// The state of one translation, shared by translate.c (the loop over instructions), gen_mem.c (memory
// operands), gen_flow.c (control flow) and gen_system.c (instructions with a rule of their own).
#pragma once

#include "translator/rewrite.h"
#include "translator/tb.h"

enum { GEN_MAX_SPANS = 16, GEN_MAX_RUNS = 16, GEN_MAX_SLOW = 3 * TB_MAX_INSNS, GEN_MAX_LINKS = TB_MAX_INSNS + 4 };

// How to make the flags again at some point (gen_flags.c).
struct gen_remat {
    bool saved;    // they lie in host r13 (gen_save_flags)
    bool cf;       // CF alone lies there
    unsigned insn; // the instruction that made them
    int32_t delta; // RSP now minus RSP right behind it, if it works on RSP
};

// Out-of-line part of a memory access: where the inline code branches to, and how it goes on.
struct gen_slow {
    uint8_t *branch[3]; // rel32 sites
    unsigned nbranch;
    uint8_t *limit[2]; // the same, if the segment's limit refuses it: the interpreter finds out what to raise
    unsigned nlimit;
    uint8_t *leaves;    // the access leaves its page
    uint8_t *unaligned; // it may leave it: looked at more closely out of line, and back to...
    uint8_t *checked;
    uint8_t *resume; // foreign: gen_span.c
    uint8_t insn;
    bool span;               // the lookup of a span: leaves goes to its exact twin
    bool foreign;            // r15 holds a span's pointer
    uint8_t *odd, *odd_back; // misaligned in real mode: the checks that alignment stands for are made out of line
    uint8_t odd_seg;
    uint8_t *outside, *outside_back; // beyond the window: the lookup is out of line
    bool outside_check;              // it may leave its page
    bool outside_limit;              // r14 is an offset still
    bool restore_rcx;
    bool remat; // the inline code has destroyed live flags: make them again by the plan
    struct gen_remat plan;
    struct tb_site *site;
};

// A run of stack instructions that one lookup serves (gen_stack.c).
struct gen_run {
    struct gen_slow branches;
    unsigned slow, first, n;
    bool ret;        // a RET ends it
    bool deferred;   // behind the lookup the flags are in r13
    uint8_t *resume; // executable address behind the run
};

// Accesses near one address that one lookup serves (gen_span_plan.c).
struct gen_span {
    uint8_t first, last; // instructions
    uint8_t n;           // accesses
    int8_t base, index;  // registers at the start, -1 for none; base BASE_RIP: addresses are from origin
    uint8_t scale;
    gva origin;
    bool write;      // any of them writes
    bool lead_write; // the first does
    uint8_t lead_size;
    int32_t lead_at;
    int32_t lo, hi;           // all of them, from base + index * scale at the start
    int32_t at[TB_MAX_INSNS]; // where each access is, by instruction from first on; INT32_MIN: no member
};

struct gen {
    struct bt *bt;
    struct emit e;
    uint8_t *d, *d_end; // data of the block: bump pointer
    struct tb *tb;
    struct insn *insn;    // decoded instructions of the block
    gva *rip;             // their addresses
    uint8_t **host;       // executable address each begins at
    uint16_t *live;       // arithmetic flags live before each
    uint16_t *taken_live; // and at the target of its branch
    bool helper;          // the last instruction emitted is a helper call: control may fall through it
    unsigned n;
    bool code64, user;
    bool flat32;     // 32-bit code and stack, flat segments
    bool scratch;    // host r8 to r13 are ours (gen_seg.c)
    bool deferred;   // the guest's flags are in r13, and nowhere else
    bool want_defer; // the next lookup may leave them there
    bool own_stubs;  // the next lookup's out-of-line part is its caller's: nothing beyond the usual branches
    bool far;        // r14 is a code address already
    uint8_t seg;     // 1 + segment register that the offset in r14 is relative to; 0: r14 is a linear address
    bool seg_ea16;   // that offset is known to be below 64 KiB
    uint8_t high_loaded, high_dirty; // guest r14 (bit 0), r15 (bit 1) are in the host's, and newer there than in gpr[]
    bool rcx_saved;                  // ENG_RCX holds the guest's RCX here, from an earlier lookup of this block
    unsigned nslow, nruns, nlinks, nsites;
    unsigned nspans, span;         // span: the next, or current
    unsigned swap_first, swap_end; // instructions with names exchanged by tb->swap (gen_swap.c); none if swap_end is 0
    uint64_t entered;              // a bit per instruction that a branch of the block leads to
    struct tb_link *links;         // being collected; moved behind the block's data at the end

    // --- not cleared for each block: large, and valid as far as the counts say
    struct gen_slow slow[GEN_MAX_SLOW];
    struct gen_run runs[GEN_MAX_RUNS];
    struct gen_span spans[GEN_MAX_SPANS]; // by rising instruction
    struct emit_log log;
    uint32_t sites[2 * GEN_MAX_SLOW]; // from tb, in bytes
    bool link_live[GEN_MAX_LINKS];    // flags live at the link's target
    struct {
        bool ok;
        struct gen_remat plan;
    } link_remat[GEN_MAX_LINKS];
    // By number in tb->links, once gen_link_checks() has settled them:
    uint8_t *link_miss[GEN_MAX_LINKS];                // the check's branch to the exit
    const struct gen_remat *link_plan[GEN_MAX_LINKS]; // how to make the flags again there
};

void *gen_data(struct gen *g, size_t size); // zeroed, 8-aligned; NULL when full (g->e.overflow is then set)
static inline uint8_t *gen_here(const struct gen *g) { return g->e.p + g->e.exec; }
void gen_map(struct gen *g, unsigned i); // host code from here on belongs to instruction i
struct tb_site *gen_site(struct gen *g, unsigned i,
                         bool helper); // for instruction i: a call of a helper, or a memory access

// The first of n instructions at that address (an unrolled loop has several), or -1.
static inline int gen_index_of(const gva *rip, unsigned n, gva target)
{
    for (unsigned k = 0; k < n; k++)
        if (rip[k] == target)
            return (int)k;
    return -1;
}

// What pointers and stack slots have: 8 bytes in 64-bit code, 4 in flat 32-bit code; and the REX.W that goes with it.
static inline unsigned gen_width(const struct gen *g) { return g->code64 ? 8 : 4; }
static inline unsigned gen_wide(const struct gen *g) { return g->code64 ? EF_W : 0; }
// Where gen_lookup() has made an access possible.
#define EMEM_R14_R15 ((struct emem){.base = R14, .index = R15, .scale = 1})

// --- gen_mem.c
// Effective address of instruction i's memory operand into r14. Flags kept, r15 clobbered.
// Outside 64-bit code the address is an offset still if the segment is not flat (g->seg), and gen_lookup() does the rest.
// Returns false if this form has no fast rule.
bool gen_ea(struct gen *g, unsigned i);
// r14 = address -> r15 = addend, so that [r14+r15] is the byte; checks crossing and residency.
// Clobbers flags unless live. stack: the address is expected to be aligned to size.
void gen_lookup(struct gen *g, unsigned i, unsigned size, bool write, bool aligned, bool stack, bool live);
bool gen_plain(struct gen *g, unsigned i);
// Is this one of those that may find guest r14/r15 in the host's? All others want gen_high_forget() first.
bool gen_keeps_high(const struct gen *g, unsigned i);
void gen_high_forget(struct gen *g); // stores what is newer, and host r14/r15 are scratch again
bool gen_lea(struct gen *g, unsigned i);
// Guest r14 (bit 0), r15 (bit 1) named as register operands, not as address registers.
unsigned gen_high_operands(const struct insn *in);
uint8_t *gen_leaves_page(struct emit *e, unsigned size); // the branch taken by an access at r14 that does
void gen_look_closer(struct gen *g, struct gen_slow *s);
void gen_slow_stubs(struct gen *g);

// --- gen_flags.c
void gen_note_entries(struct gen *g);                 // for gen_entered_at()
bool gen_entered_at(const struct gen *g, unsigned k); // does a branch of the block lead to instruction k?
bool gen_stack_delta(const struct gen *g, const struct insn *in, int32_t *delta);
bool gen_remat_plan(const struct gen *g, unsigned at, uint16_t live, struct gen_remat *plan);
void gen_remat(struct gen *g, const struct gen_remat *plan);
void gen_save_flags(struct gen *g); // to r13, by way of r15; they may be written then, until gen_remat with plan.saved

// Host register that is 1, or -1 with DF, while g->scratch: bt_load_scratch() and CLD, STD keep it right.
enum { GEN_HOST_STEP = R11 };

// --- gen_seg.c: everything that flat 32-bit code and 64-bit code do not need
static inline bool gen_flat32(uint64_t mode)
{
    const uint64_t want = MODE_CS32 | MODE_SS32 | MODE_FLAT;
    return (mode & (want | MODE_CS64 | MODE_REAL)) == want;
}
static inline gva gen_next(const struct gen *g, unsigned i)
{
    return code_next(g->tb->mode, g->rip[i], g->insn[i].len);
}
bool gen_seg_flat(const struct gen *g, unsigned seg);
void gen_seg_ea16(struct gen *g, const struct insn *in);       // 16-bit addressing: offset to r14
void gen_seg_relative(struct gen *g, unsigned seg, bool ea16); // r14 is an offset in seg
// The pending check of r14 (g->seg) against the segment's bounds, and its base added. neutral: keeps flags, with RCX saved.
void gen_seg_check(struct gen *g, struct gen_slow *s, unsigned size, bool write, bool odd, bool neutral);
// In real mode an aligned access of a few bytes leaves neither its page nor its segment: is that the check to make?
// Loads through a segment with limits, inside the window: one comparison for both. True: done (then outside_limit).
bool gen_seg_window(struct gen *g, struct gen_slow *s, unsigned size);
void gen_seg_outside(struct gen *g, struct gen_slow *s); // its out-of-line part: limit and base
bool gen_seg_odd(const struct gen *g, unsigned size);
void gen_seg_odd_stub(struct gen *g, struct gen_slow *s, const uint8_t *slow); // those that are not aligned
bool gen_seg_inline(struct gen *g, unsigned i);                                // false: no inline rule
void gen_seg_register(struct gen *g, const struct insn *in, int r,
                      unsigned seg); // r, an offset of the address size, to r14
bool gen_seg_keeps_flags(uint64_t mode,
                         const struct insn *in); // neither reads nor shows flags, whatever its class says
bool gen_real_loads_ss(uint64_t mode, const struct insn *in);
bool gen_real_goes_on(uint64_t mode, const struct insn *in); // the block goes on behind it

// --- gen_seg_stack.c
bool gen_seg_push(struct gen *g, unsigned i);
bool gen_seg_push_sreg(struct gen *g, unsigned i, unsigned s);
bool gen_seg_pop(struct gen *g, unsigned i);
bool gen_seg_leave(struct gen *g, unsigned i);
bool gen_seg_pusha(struct gen *g, unsigned i);
bool gen_seg_popa(struct gen *g, unsigned i);
void gen_seg_push_const(struct gen *g, unsigned i, uint32_t v);
void gen_seg_ret_pop(struct gen *g, unsigned i);
void gen_seg_top(struct gen *g, unsigned i, unsigned width,
                 bool write);                                  // [r14+r15]: top of stack, or the word to be pushed
void gen_seg_add_sp(struct gen *g, unsigned i, int32_t delta); // at the end of instruction i

// --- gen_seg_system.c
bool gen_seg_system(struct gen *g, unsigned i);
// Before translated code outside 64-bit code is entered or gone on with: what it keeps in host r8 to r11.
void bt_load_scratch(struct cpu *cpu);

// --- gen_seg_flow.c
bool gen_seg_branch(struct gen *g, unsigned i);
bool gen_real_far(struct gen *g, unsigned i); // far JMP, CALL, RET of real mode and VM86; false: not one of these
void gen_seg_indirect_key(struct gen *g);     // r14: IP -> code address

// --- gen_swap.c
void gen_swap_plan(struct gen *g);  // picks instructions, and exchanges names in them
void gen_swap_names(struct gen *g); // exchanges them back, and forth
void gen_swap(struct gen *g);       // the registers' contents. r14 clobbered, flags kept
static inline bool gen_swapped(const struct gen *g, unsigned i) { return i >= g->swap_first && i < g->swap_end; }
// Do names mean something else from instruction i on?
static inline bool gen_swap_edge(const struct gen *g, unsigned i)
{
    return g->swap_end && (i == g->swap_first || i == g->swap_end);
}

// --- gen_span_plan.c
void gen_span_plan(struct gen *g);
unsigned gen_span_unroll(const struct gen *g, unsigned first, unsigned last);

// --- gen_span.c
bool gen_in_span(const struct gen *g, unsigned i);
bool gen_span_insn(struct gen *g, unsigned i);
void gen_foreign_stubs(struct gen *g);
void gen_span_stubs(struct gen *g);

// --- translate.c
bool gen_needs_unit(const struct gen *g, unsigned i); // a unit that is off, or shows what only the interpreter has

// --- gen_stack.c
void gen_add_rsp(struct gen *g, int32_t delta); // without touching flags; 32-bit code keeps the upper half zero
bool gen_push(struct gen *g, unsigned i);
bool gen_pop(struct gen *g, unsigned i);
bool gen_leave(struct gen *g, unsigned i);
// Pushes the constant v (a return address). Value and width by mode.
void gen_push_const(struct gen *g, unsigned i, uint64_t v);
void gen_ret_pop(struct gen *g, unsigned i);
unsigned gen_stack_run(struct gen *g, unsigned i);
void gen_run_stubs(struct gen *g);

// --- gen_flow.c
bool gen_branch_operand(struct gen *g, unsigned i); // target of a near indirect branch to r14; false: no fast rule
bool gen_branch(struct gen *g, unsigned i);         // JMP, JCC, CALL, RET, indirect, LOOP; false: interpreter
void gen_link_jmp(struct gen *g, unsigned i, gva target, bool live);
void gen_link_jcc(struct gen *g, unsigned i, unsigned cc, gva target);
void gen_link_exit(struct gen *g, struct tb_link *l); // l->stub: leaves for the dispatcher
void gen_fallthrough(struct gen *g, gva next);        // end of the block without a branch
void gen_link_checks(struct gen *g);
void gen_link_stubs(struct gen *g);
void gen_indirect(struct gen *g, unsigned i); // the inline lookup, ending instruction i; r14: target
// Guest register r (0..15) for reading: the host register it is in, r14/r15 loaded into scratch.
int gen_reg(struct gen *g, int guest, int scratch);

// --- gen_system.c
// Calls fn at this point; it returns 0 to go on with the next instruction.
void gen_helper(struct gen *g, unsigned i, uint64_t (*fn)(struct cpu *, const struct tb_site *), uint64_t a,
                uint64_t b);
bool gen_system(struct gen *g, unsigned i); // false: no rule of its own, the interpreter does it
uint64_t bt_helper_interp(struct cpu *cpu, const struct tb_site *site);
uint64_t bt_go_on(struct cpu *cpu, const struct tb_site *site); // how a helper that did not transfer control ends
uint64_t bt_helper_sti(struct cpu *cpu, const struct tb_site *site);

// What helpers return: go on at site->resume, leave for the dispatcher with cpu->rip set, or an address in the
// code cache to go on at.
enum { HELPER_GO_ON, HELPER_LEAVE };
// --- transfer.c: the last of these for cpu->rip, or HELPER_LEAVE.
uint64_t bt_transfer(struct cpu *cpu);

// --- gen_string.c
bool gen_string(struct gen *g, unsigned i);
bool gen_string_keeps_flags(uint64_t mode, const struct insn *in); // as gen_seg_keeps_flags()

// --- gen_operand.c
bool gen_operand(struct gen *g, unsigned i);

// --- gen_inline.c
bool gen_inline(struct gen *g, unsigned i); // sensitive instructions without a helper; false: not this one
bool gen_bitstring(struct gen *g, unsigned i);
