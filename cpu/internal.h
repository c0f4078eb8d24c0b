// SPDX-License-Identifier: MIT
// Private to cpu/: descriptors, stacks of far transfers, and small predicates.
#pragma once

#include "base/biglock.h"
#include "base/stats.h"
#include "base/vectors.h"
#include "cpu/cpu.h"
#include "cpu/cpuid.h"
#include "cpu/interrupt.h"

// A descriptor as it lies in the GDT or LDT: two dwords, and for 16-byte system descriptors a third.
//
//      hi: 31..24 base | G D/B L AVL | limit 19..16 | P DPL S type | base 23..16
//      lo: base 15..0 | limit 15..0
//      gate: hi = offset 31..16 | P DPL 0 type | count;  lo = selector | offset 15..0
struct desc {
    uint32_t lo, hi, hi2; // hi2: bits 63..32 of a 16-byte descriptor's base or offset
    gva addr;             // where it was read
};

enum { DESC_ATTR = 0xf0ff00 }; // the bits of hi that struct segment's attr keeps

// Type field of attr/hi: SDM vol. 3A, tables 3-1 "Code- and Data-Segment Types" and 3-2 "System-Segment and
// Gate-Descriptor Types"
// clang-format off
enum {
    TYPE_A = 0x100, TYPE_W = 0x200, TYPE_R = 0x200, TYPE_DOWN = 0x400, TYPE_CONFORMING = 0x400, TYPE_CODE = 0x800,
    SYS_TSS16 = 1, SYS_LDT = 2, SYS_TSS16_BUSY = 3, SYS_CALL16 = 4, SYS_TASK_GATE = 5, SYS_INT16 = 6,
    SYS_TRAP16 = 7, SYS_TSS32 = 9, SYS_TSS32_BUSY = 11, SYS_CALL32 = 12, SYS_INT32 = 14, SYS_TRAP32 = 15,
};
// clang-format on
enum {
    ATTR_DATA_REAL = SEG_P | SEG_S | TYPE_W | TYPE_A,
    ATTR_CODE_REAL = SEG_P | SEG_S | TYPE_CODE | TYPE_R | TYPE_A,
    ATTR_DATA_FLAT = ATTR_DATA_REAL | SEG_G | SEG_DB,
    ATTR_CODE_FLAT = ATTR_CODE_REAL | SEG_G,
};

static inline unsigned attr_dpl(uint32_t attr) { return attr >> 13 & 3; }
static inline unsigned attr_type(uint32_t attr) { return attr >> 8 & 15; }
static inline bool attr_is_code(uint32_t attr) { return (attr & (SEG_S | TYPE_CODE)) == (SEG_S | TYPE_CODE); }
static inline bool attr_is_data(uint32_t attr) { return (attr & (SEG_S | TYPE_CODE)) == SEG_S; }
static inline bool attr_is_writable_data(uint32_t attr) { return attr_is_data(attr) && (attr & TYPE_W); }

static inline uint32_t desc_base(const struct desc *d)
{
    return d->lo >> 16 | (d->hi & 0xff) << 16 | (d->hi & 0xff000000);
}
static inline uint32_t desc_limit(const struct desc *d)
{
    uint32_t l = (d->lo & 0xffff) | (d->hi & 0xf0000);
    return d->hi & SEG_G ? l << 12 | 0xfff : l;
}
static inline uint64_t gate_offset(const struct desc *d) { return (d->lo & 0xffff) | (d->hi & 0xffff0000); }

static inline bool in_long_mode(const struct cpu *cpu) { return cpu->efer & EFER_LMA; }
static inline bool in_code64(const struct cpu *cpu) { return cpu->mode & MODE_CS64; }
static inline bool in_vm86(const struct cpu *cpu) { return cpu->rflags & FL_VM; }
static inline bool in_protected(const struct cpu *cpu) { return (cpu->cr0 & CR0_PE) && !in_vm86(cpu); }
static inline unsigned iopl(const struct cpu *cpu) { return cpu->rflags >> 12 & 3; }
static inline bool is_canonical(uint64_t a) { return (uint64_t)((int64_t)(a << 16) >> 16) == a; }
static inline uint64_t size_mask(unsigned bytes) { return bytes == 8 ? ~0ull : (1ull << bytes * 8) - 1; }

_Noreturn static inline void raise_gp0(struct cpu *cpu) { cpu_raise_error(cpu, EXC_GP, 0); }
static inline void require_cpl0(struct cpu *cpu)
{
    if (cpu->cpl)
        raise_gp0(cpu);
}

// Vector state leaves the host's registers: call before general C (devices, the log).
static inline void leave_for_general_c(struct cpu *cpu) { vectors_save(); }

// --- segment.c
// Reads sel's descriptor; false if the selector is beyond its table or its LDT is unusable.
bool desc_read(struct cpu *cpu, uint16_t sel, struct desc *d);
// The upper half of a 16-byte system descriptor read before; false past the table's limit.
bool desc_read_upper(struct cpu *cpu, uint16_t sel, struct desc *d);
void desc_set_accessed(struct cpu *cpu, struct desc *d);
void desc_set_busy(struct cpu *cpu, struct desc *d, bool busy);
void segment_fill(struct segment *s, uint16_t sel, const struct desc *d);
void segment_set_null(struct segment *s, uint16_t sel);
void segment_set_real(struct cpu *cpu, enum sreg s, uint16_t sel); // real mode and VM86
void segment_set_flat(struct cpu *cpu, enum sreg s, uint16_t sel, uint32_t attr);
// Checks a stack segment for privilege cpl, as far transfers to other levels do: raises vector v (#TS or #GP)
// or #SS with the selector and ext. Marks it accessed.
void segment_check_stack(struct cpu *cpu, uint16_t sel, unsigned cpl, enum vector v, uint32_t ext, struct segment *out);

// --- cpu.c
void cpu_segment_loaded(struct cpu *cpu, enum sreg s); // outside 64-bit code: cpu_update_mode() for s alone, not SS

// --- memory.c
// Access rights and limit of [offset, offset+size) in s, without raising; 64-bit code: always true.
bool segment_allows(const struct cpu *cpu, const struct segment *s, uint64_t offset, unsigned size, bool write,
                    bool check_type);

// A stack that is not (yet) the current one.
struct far_stack {
    struct segment ss;
    uint64_t sp;
    bool is64;      // 64-bit mode: no segment, 64-bit pointer
    bool implicit;  // accesses are supervisor's, whatever the CPL of the mmu is
    uint32_t error; // of #SS when it does not fit
};
void far_stack_current(struct cpu *cpu, struct far_stack *st, uint32_t error);
// Pushes v[0] first; n of opsize bytes each. All or nothing; st->sp moves.
void far_stack_push(struct cpu *cpu, struct far_stack *st, const uint64_t *v, unsigned n, unsigned opsize);
// Reads the item i (0: top) of opsize bytes.
uint64_t far_stack_peek(struct cpu *cpu, const struct far_stack *st, unsigned offset, unsigned opsize);
void sp_set(struct cpu *cpu, uint64_t sp); // RSP, ESP or SP by the current stack's size

// --- exception.c
void cpu_set_cpl(struct cpu *cpu, unsigned cpl);
// Stack of an inner level from the 16- or 32-bit TSS: raises #TS.
void tss_read_stack(struct cpu *cpu, unsigned cpl, uint32_t ext, uint16_t *ss, uint32_t *esp);
uint64_t tss_read_rsp(struct cpu *cpu, unsigned slot, uint32_t ext); // 64-bit TSS: RSP0..2 are 0..2, IST1.. are 4..

// --- task.c
enum task_switch { TASK_JMP, TASK_CALL, TASK_INT, TASK_IRET };
// d: TSS descriptor of sel, type checked. rip of the outgoing task is return_rip.
void task_switch_to(struct cpu *cpu, uint16_t sel, struct desc *d, enum task_switch why, uint64_t return_rip,
                    uint32_t ext);
// Through a task gate: checks the TSS selector in it.
void task_switch_by_gate(struct cpu *cpu, const struct desc *gate, enum task_switch why, uint64_t return_rip,
                         uint32_t ext);
void task_return(struct cpu *cpu); // IRET with NT set

// --- transfer.c
void far_set_cs(struct cpu *cpu, uint16_t sel, struct desc *d, unsigned cpl); // marks accessed
// Is off a valid new RIP for the code segment d? Else #GP(0).
void far_check_rip(struct cpu *cpu, const struct desc *d, uint64_t off, uint32_t error);
// CS popped by RETF or IRET, whose RPL is the level to return to: checks and reads.
void far_return_segment(struct cpu *cpu, uint16_t sel, struct desc *d);
// SS popped with it, for a return to code segment cs at cpl.
void far_return_stack(struct cpu *cpu, uint16_t sel, unsigned cpl, const struct desc *cs, struct segment *out);
// Takes the stack of the level returned to (CS and CPL are set); outer: drops data segments it may not see.
void far_leave_to(struct cpu *cpu, const struct segment *ss, uint64_t sp, bool outer);

// --- io.c
void cpu_check_io(struct cpu *cpu, uint16_t port, unsigned size); // IOPL and the I/O permission bitmap

// --- fpu.c
uint64_t cpu_fpu_inuse(struct cpu *cpu); // XINUSE: components not in their initial state

// --- system.c
bool cpu_write_efer(struct cpu *cpu, uint64_t v); // false: #GP
