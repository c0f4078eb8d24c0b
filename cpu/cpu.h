// SPDX-License-Identifier: MIT
// What instructions do to the CPU's state, for every instruction that is not plain computation.
// The interpreter and translated code call these; none of them knows which of the two it was.
//
// Conventions. On entry gpr, rflags, rip (this instruction) and next_rip (the one after) are right.
// A function that transfers control sets rip; any other leaves rip alone and its caller moves on to
// next_rip. Faults do not return: cpu_raise() unwinds to the engine with the state as it was at the
// start of the instruction, which is why every function checks everything before it changes anything.
// All of cpu/ is compiled with general registers only and calls no libc string function: guest vector
// state is live in the host's registers while it runs (fpu.h says what to do before general C).
// mode is kept current by whoever changes what it depends on (cpu_update_mode).
// Offsets "ea" are linear addresses whose segment checks have been made, unless it says otherwise.
#pragma once

#include "cpu/state.h"

// --- exceptions (exception.c; SDM vol. 3A, chapter 6)
_Noreturn void cpu_raise(struct cpu *cpu, enum vector v); // no error code
_Noreturn void cpu_raise_error(struct cpu *cpu, enum vector v, uint32_t error);
_Noreturn void cpu_raise_pf(struct cpu *cpu, const struct mmu_fault *f); // sets CR2 on delivery
_Noreturn void cpu_raise_db(struct cpu *cpu, uint64_t dr6_bits);
// Delivers cpu->exc. May itself unwind with a second exception: the engine's loop just calls it again,
// and the double-fault rules (table 6-5) are applied here. A triple fault makes CPU_REQ_RESET.
void cpu_deliver_exception(struct cpu *cpu);
// Delivers an external interrupt or NMI through the IDT.
void cpu_deliver_interrupt(struct cpu *cpu, uint8_t vector);
void cpu_op_int(struct cpu *cpu, uint8_t vector); // INT n
void cpu_op_int3(struct cpu *cpu);
void cpu_op_int1(struct cpu *cpu);
void cpu_op_into(struct cpu *cpu);
void cpu_op_iret(struct cpu *cpu, unsigned opsize); // opsize in bytes: 2, 4, 8, here and below

// --- memory, raising exceptions (memory.c). size 1..4096.
uint64_t cpu_load(struct cpu *cpu, gva ea, unsigned size); // size 1, 2, 4, 8
void cpu_store(struct cpu *cpu, gva ea, uint64_t v, unsigned size);
uint64_t cpu_load_sys(struct cpu *cpu, gva ea, unsigned size); // implicit supervisor
void cpu_store_sys(struct cpu *cpu, gva ea, uint64_t v, unsigned size);
void cpu_read(struct cpu *cpu, gva ea, void *dst, unsigned size);
void cpu_write(struct cpu *cpu, gva ea, const void *src, unsigned size);
// Segmentation: checks a seg:offset access (limit, type, canonical; #GP or #SS(0)) and returns the linear
// address. write: the access writes. In 64-bit code only FS/GS bases and canonicality matter.
gva cpu_linear(struct cpu *cpu, enum sreg s, uint64_t offset, unsigned size, bool write);
void cpu_push(struct cpu *cpu, uint64_t v, unsigned opsize); // by SS's rules; RSP changes only on success
uint64_t cpu_pop(struct cpu *cpu, unsigned opsize);

// --- segments and far transfers (segment.c, transfer.c; SDM vol. 3A, chapters 3, 5 and 7)
void cpu_op_load_sreg(struct cpu *cpu, enum sreg s, uint16_t sel); // MOV/POP/LDS; not CS; SS starts the shadow
void cpu_op_far_jmp(struct cpu *cpu, uint16_t sel, uint64_t off, unsigned opsize);
void cpu_op_far_call(struct cpu *cpu, uint16_t sel, uint64_t off, unsigned opsize);
void cpu_op_far_ret(struct cpu *cpu, unsigned opsize, unsigned imm);
void cpu_op_syscall(struct cpu *cpu);
void cpu_op_sysret(struct cpu *cpu, unsigned opsize);
void cpu_op_sysenter(struct cpu *cpu);
void cpu_op_sysexit(struct cpu *cpu, unsigned opsize);
void cpu_op_swapgs(struct cpu *cpu);
bool cpu_op_lar(struct cpu *cpu, uint16_t sel, uint32_t *out); // returns ZF
bool cpu_op_lsl(struct cpu *cpu, uint16_t sel, uint32_t *out);
bool cpu_op_verr(struct cpu *cpu, uint16_t sel);
bool cpu_op_verw(struct cpu *cpu, uint16_t sel);
void cpu_op_lldt(struct cpu *cpu, uint16_t sel);
void cpu_op_ltr(struct cpu *cpu, uint16_t sel);
void cpu_op_lgdt(struct cpu *cpu, gva ea, unsigned opsize);
void cpu_op_lidt(struct cpu *cpu, gva ea, unsigned opsize);
void cpu_op_sgdt(struct cpu *cpu, gva ea);
void cpu_op_sidt(struct cpu *cpu, gva ea);
uint16_t cpu_op_sldt(struct cpu *cpu); // UMIP checked inside, here and in the next two
uint16_t cpu_op_str(struct cpu *cpu);
uint64_t cpu_op_smsw(struct cpu *cpu);
void cpu_op_lmsw(struct cpu *cpu, uint16_t v);

// --- control registers, MSRs, system (system.c, msr.c, cpuid.c)
void cpu_op_mov_to_cr(struct cpu *cpu, unsigned n, uint64_t v);
uint64_t cpu_op_mov_from_cr(struct cpu *cpu, unsigned n);
void cpu_op_mov_to_dr(struct cpu *cpu, unsigned n, uint64_t v);
uint64_t cpu_op_mov_from_dr(struct cpu *cpu, unsigned n);
void cpu_op_clts(struct cpu *cpu);
void cpu_op_invlpg(struct cpu *cpu, gva ea);
void cpu_op_invpcid(struct cpu *cpu, uint64_t type, gva ea);
void cpu_op_rdmsr(struct cpu *cpu);
void cpu_op_wrmsr(struct cpu *cpu);
void cpu_op_rdtsc(struct cpu *cpu); // with the CR4.TSD check
void cpu_op_rdtscp(struct cpu *cpu);
void cpu_op_rdpmc(struct cpu *cpu);
uint64_t cpu_op_rdpid(struct cpu *cpu);
void cpu_op_cpuid(struct cpu *cpu);
void cpu_op_hlt(struct cpu *cpu); // sets halted
void cpu_op_monitor(struct cpu *cpu);
void cpu_op_mwait(struct cpu *cpu); // documented no-op: does not halt
void cpu_op_cli(struct cpu *cpu);
void cpu_op_sti(struct cpu *cpu); // starts the shadow
void cpu_op_stac(struct cpu *cpu, bool set);
uint64_t cpu_op_pushf(struct cpu *cpu, unsigned opsize); // the value to push (VM86/IOPL checks made)
void cpu_op_popf(struct cpu *cpu, uint64_t v, unsigned opsize);
void cpu_op_wbinvd(struct cpu *cpu); // also INVD
void cpu_op_xgetbv(struct cpu *cpu);
void cpu_op_xsetbv(struct cpu *cpu);
void cpu_op_fsgsbase(struct cpu *cpu, enum sreg s, bool write, uint64_t *v, unsigned opsize); // RD/WRFSBASE...
uint64_t cpu_op_in(struct cpu *cpu, uint16_t port, unsigned size);
void cpu_op_out(struct cpu *cpu, uint16_t port, uint64_t v, unsigned size);
// --- system management mode (smm.c)
void cpu_enter_smm(struct cpu *cpu); // takes an SMI
void cpu_op_rsm(struct cpu *cpu);

// --- string instructions (string.c): a page run at a time, interruptible after each run. They set rip to
// next_rip when done, and leave it at the instruction when they stop early for a request.
enum string_op { STR_MOVS, STR_STOS, STR_LODS, STR_CMPS, STR_SCAS, STR_INS, STR_OUTS };
enum rep { REP_NONE, REP_E, REP_NE }; // REP is REP_E
void cpu_op_string(struct cpu *cpu, enum string_op op, unsigned size, unsigned addrsize, enum rep rep,
                   enum sreg src_seg);
// The host's own REP MOVS and REP STOS: n elements of size bytes.
void cpu_host_movs(hva d, hva s, uint64_t n, unsigned size, bool down);
void cpu_host_stos(hva d, uint64_t v, uint64_t n, unsigned size, bool down);

// --- vector state in memory (fpu.c): FXSAVE ... XRSTORS on guest memory, XCR0 of the guest
enum xstate_op { X_FXSAVE, X_FXRSTOR, X_XSAVE, X_XRSTOR, X_XSAVEOPT, X_XSAVEC, X_XSAVES, X_XRSTORS };
void cpu_op_xstate(struct cpu *cpu, enum xstate_op op, gva ea, bool rex_w);

// --- life (cpu.c)
void cpu_init(struct cpu *cpu, struct address_space *mem, struct address_space *ports, const struct cpu_model *model,
              unsigned index);
void cpu_reset(struct cpu *cpu);                    // power-on state: SDM vol. 3A, section 9.1.1
void cpu_update_mode(struct cpu *cpu);              // mode and the MMU's privilege, from segments, CR*, RFLAGS
void cpu_set_window(struct cpu *cpu, uint32_t end); // the engine's: struct segment_bounds, max_low
void cpu_set_rflags(struct cpu *cpu, uint64_t v);   // all bits, with the consequences (AC, TF, IF)
// One line per register, as `info registers` prints.
void cpu_dump(const struct cpu *cpu, void (*print)(void *opaque, const char *line), void *opaque);
