// SPDX-License-Identifier: MIT
// The interpreter's private parts. Its C code is built with general registers only, since guest vector
// state may be live in the host's registers; whatever leaves for general C calls cpu_fpu_save() first.
#pragma once

#include "cpu/cpu.h"
#include "cpu/fpu.h"
#include "translator/interp.h"
#include "translator/rewrite.h"

enum { DECODE_CACHE = 4096, THUNK_SIZE = 64, BOUNCE_SIZE = 512 };

// A decoded instruction and the native code made of it. Revalidated by comparing the bytes.
struct decoded {
    gva lin;
    uint8_t mode; // enum decode_mode
    bool valid;
    int8_t thunk;   // 0: not made yet, 1: ready, -1: cannot be rewritten
    int8_t scratch; // host register that holds the operand's address in the thunk
    struct insn insn;
};

// x87 instruction and operand pointers, which the host's own registers cannot know.
struct x87_pointers {
    uint64_t ip, dp;
    uint16_t cs, ds, op;
};

struct interp {
    struct cpu *cpu;
    struct decoder *decoder;
    struct decoded *cache;        // DECODE_CACHE entries
    uint8_t *thunk_rw, *thunk_rx; // DECODE_CACHE + 1 slots; the last is for helpers' own code
    int thunk_fd;
    struct decoded *cur; // the instruction being executed
    uint64_t next_rip;
    uint64_t db_hits; // DR6 bits of data breakpoints that this instruction hit
    uint64_t db_held; // those of MOV SS, held over the instruction that follows it
    bool watch;       // data breakpoints are armed
    bool no_trap;     // TF does not trap after this instruction
    bool keep_rf;     // this instruction loads RF
    volatile unsigned fault_trapno, fault_error;
    struct x87_pointers x87;
    _Alignas(64) uint8_t bounce[BOUNCE_SIZE];
    _Alignas(64) uint8_t vec[3][64]; // vector registers taken apart by the element-wise paths
};

// ---- thunk.c: native execution
int thunk_create(struct interp *in);
void thunk_destroy(struct interp *in);
// Runs the current instruction on the guest's registers, with its memory operand (if any) at ptr.
// Raises the guest's exception if the host takes one. False if it cannot be rewritten.
bool thunk_run_insn(struct interp *in, uint64_t ptr);
// Runs code of the interpreter's own making; RAX is ptr before and the result after. Guest registers other than
// vector, MMX and mask ones are untouched.
uint64_t thunk_run_bytes(struct interp *in, const uint8_t *code, unsigned len, uint64_t ptr);

// ---- interp_plain.c
void interp_plain(struct interp *in);
uint64_t interp_ea(struct interp *in, const struct insn *i);                    // offset, not linear
gva interp_linear(struct interp *in, unsigned size, bool write);                // of the current memory operand
void interp_note_access(struct interp *in, gva lin, unsigned size, bool write); // data breakpoints
void interp_probe_write(struct interp *in, gva lin, unsigned size);
void interp_check_features(struct interp *in, const struct insn *i);

// ---- interp_vector.c: operands whose elements are accessed one by one
void interp_masked(struct interp *in, uint64_t ea, bool misaligned);
void interp_gather_scatter(struct interp *in);
void interp_maskmov(struct interp *in);

// ---- interp_flow.c, interp_legacy.c, interp_system.c
void interp_flow(struct interp *in);
void interp_stack(struct interp *in);
void interp_string(struct interp *in);
bool interp_legacy(struct interp *in); // what does not exist in 64-bit mode; false if it is not one of those
void interp_system(struct interp *in);

// ---- registers and modes
static inline uint64_t interp_size_mask(unsigned size) { return size >= 8 ? ~0ull : BIT(8 * size) - 1; }

static inline bool interp_high_byte(const struct insn *i, unsigned n, unsigned size)
{
    return size == 1 && i->enc == ENC_LEGACY && !i->rex && n >= 4 && n < 8;
}

static inline uint64_t interp_get(const struct cpu *cpu, const struct insn *i, unsigned n, unsigned size)
{
    if (interp_high_byte(i, n, size))
        return cpu->gpr[n - 4] >> 8 & 0xff;
    return cpu->gpr[n & 15] & interp_size_mask(size);
}

static inline void interp_set(struct cpu *cpu, const struct insn *i, unsigned n, unsigned size, uint64_t v)
{
    if (interp_high_byte(i, n, size)) {
        cpu->gpr[n - 4] = (cpu->gpr[n - 4] & ~0xff00ull) | (v & 0xff) << 8;
        return;
    }
    uint64_t mask = interp_size_mask(size), *r = &cpu->gpr[n & 15];
    *r = size == 4 ? (uint32_t)v : (*r & ~mask) | (v & mask);
}

static inline bool interp_code64(const struct cpu *cpu) { return cpu->mode & MODE_CS64; }
static inline bool interp_canonical(uint64_t a) { return (uint64_t)((int64_t)(a << 16) >> 16) == a; }
static inline uint64_t interp_stack_mask(const struct cpu *cpu)
{
    return cpu->mode & MODE_CS64 ? ~0ull : cpu->seg[SS].attr & SEG_DB ? 0xffffffffull : 0xffffull;
}
static inline void interp_set_sp(struct cpu *cpu, uint64_t sp)
{
    uint64_t mask = interp_stack_mask(cpu);
    cpu->gpr[RSP] = mask == 0xffff ? (cpu->gpr[RSP] & ~mask) | (sp & mask) : sp & mask;
}
