// SPDX-License-Identifier: MIT
// The architectural state of one vCPU, and the fields that translated code reaches.
//
// Each vCPU thread owns one struct cpu in thread-local storage (vcpu_self), so that translated code
// reaches it with an fs: offset that is a link-time constant while the host's own TLS stays in place.
// Other threads use the pointer, and only the fields marked "any thread".
//
// Inside the code cache: general registers live in host registers of the same name, but r14 and r15
// (scratch there; the guest's are always in gpr[14] and gpr[15]); the arithmetic flags live in host
// EFLAGS; all other flags stay in rflags; x87/SSE/AVX state lives in the host's registers.
// Everywhere else gpr[], rip and rflags are complete.
#pragma once

#include <setjmp.h>

#include "base/types.h"
#include "softmmu/mmu.h"

enum reg { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };
enum sreg { ES, CS, SS, DS, FS, GS, SREG_COUNT };

// RFLAGS, SDM vol. 1, section 3.4.3 "EFLAGS Register"
// clang-format off
enum {
    FL_CF = 1 << 0, FL_PF = 1 << 2, FL_AF = 1 << 4, FL_ZF = 1 << 6, FL_SF = 1 << 7, FL_TF = 1 << 8,
    FL_IF = 1 << 9, FL_DF = 1 << 10, FL_OF = 1 << 11, FL_IOPL = 3 << 12, FL_NT = 1 << 14, FL_RF = 1 << 16,
    FL_VM = 1 << 17, FL_AC = 1 << 18, FL_VIF = 1 << 19, FL_VIP = 1 << 20, FL_ID = 1 << 21,
    FL_ARITH = FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF,
};
// clang-format on

// CR0, CR4, EFER: SDM vol. 3A, section 2.5 "Control Registers"; vol. 4 for EFER
#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)
#define CR4_VME BIT(0)
#define CR4_PVI BIT(1)
#define CR4_TSD BIT(2)
#define CR4_DE BIT(3)
#define CR4_PSE BIT(4)
#define CR4_PAE BIT(5)
#define CR4_MCE BIT(6)
#define CR4_PGE BIT(7)
#define CR4_PCE BIT(8)
#define CR4_OSFXSR BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_UMIP BIT(11)
#define CR4_FSGSBASE BIT(16)
#define CR4_PCIDE BIT(17)
#define CR4_OSXSAVE BIT(18)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)
#define EFER_SCE BIT(0)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)

// clang-format off
enum vector {
    EXC_DE = 0, EXC_DB = 1, EXC_NMI = 2, EXC_BP = 3, EXC_OF = 4, EXC_BR = 5, EXC_UD = 6, EXC_NM = 7, EXC_DF = 8,
    EXC_TS = 10, EXC_NP = 11, EXC_SS = 12, EXC_GP = 13, EXC_PF = 14, EXC_MF = 16, EXC_AC = 17, EXC_MC = 18,
    EXC_XM = 19,
};
// clang-format on

// A segment register with its hidden part. attr is bits 8..23 of the descriptor's second dword,
// in place (so type is attr & 0xf00, S 0x1000, DPL 0x6000, P 0x8000, L 0x200000, D/B 0x400000, G 0x800000).
struct segment {
    uint64_t base;
    uint32_t limit; // bytes, inclusive, G already applied
    uint32_t attr;
    uint16_t sel;
};
enum {
    SEG_TYPE = 0xf00,
    SEG_S = 0x1000,
    SEG_DPL = 0x6000,
    SEG_P = 0x8000,
    SEG_L = 0x200000,
    SEG_DB = 0x400000,
    SEG_G = 0x800000
};

// What a segment register lets an access touch, decided when it is loaded (cpu_update_mode): offsets start <= x and
// x + size <= end. An end of 0 lets nothing through. max_r, max_w: end - size, for sizes 1, 2 and 4, signed. SDM vol. 3A, sections 5.3 "Limit Checking", 5.5 "Type Checking".
// max_low: the same for loads that end below window_end, whose memory the translator has at hand.
struct segment_bounds {
    uint64_t end_r, end_w, start;
    int64_t max_r[3], max_w[3], max_low[3];
    uint32_t mode;
    uint32_t limit, attr, base; // what they were made of
    bool typed;
};

struct table_reg {
    uint64_t base;
    uint32_t limit;
};

// What a translation depends on besides its bytes: part of every block's key.
enum mode_bits {
    MODE_CS64 = 1 << 0, // 64-bit code; else MODE_CS32 set: 32-bit, clear: 16-bit
    MODE_CS32 = 1 << 1,
    MODE_SS32 = 1 << 2,    // stack address size 32 (outside 64-bit code)
    MODE_USER = 1 << 3,    // CPL 3
    MODE_FLAT = 1 << 4,    // CS, DS, ES, SS have base 0 and no limit that can be exceeded, all usable
    MODE_FPU_OFF = 1 << 5, // CR0.EM or CR0.TS: x87/MMX/SSE instructions need #NM/#UD checks
    MODE_SSE_OFF = 1 << 6, // CR4.OSFXSR clear
    MODE_AVX_OFF = 1 << 7, // CR4.OSXSAVE clear or XCR0 without AVX
    MODE_AVX512_OFF = 1 << 8,
    MODE_STEP = 1 << 9,  // TF, an armed data or instruction breakpoint, an interrupt shadow, alignment checks, or a
                         // debugger's step: run in the interpreter
    MODE_REAL = 1 << 10, // CR0.PE clear, or VM86
    MODE_UMIP = 1 << 11,
    MODE_TSD_USER = 1 << 12, // RDTSC faults at this CPL
    MODE_RING12 = 1 << 13,   // CPL 1 or 2: privileged instructions fault, though MODE_USER is clear
    MODE_SEG64K = 1 << 14,   // ES, SS, DS, FS and GS are usable, writable and 64 KiB long, as real mode has them
    MODE_SEG_DOWN = 1 << 15, // one of them expands down: both ends need a check
    MODE_UNPAGED = 1 << 17,  // outside long mode: linear addresses are physical ones, and nobody watches them
    MODE_COMPAT = 1 << 16,   // compatibility mode: R8 to R15 belong to 64-bit code and must be kept
};

struct cpu_stash {
    uint64_t r[4];
};

struct cpu;

// What the board gives the CPU: the local APIC (or the PIC behind it). Called with the big lock held.
struct cpu_intc_ops {
    int (*acknowledge)(void *opaque);  // the vector to deliver, or -1 if it went away
    uint64_t (*get_tpr)(void *opaque); // CR8
    void (*set_tpr)(void *opaque, uint64_t cr8);
    // MSRs of the interrupt controller: IA32_APIC_BASE, x2APIC 800h..8FFh, IA32_TSC_DEADLINE. False: #GP.
    bool (*rdmsr)(void *opaque, uint32_t msr, uint64_t *value);
    bool (*wrmsr)(void *opaque, uint32_t msr, uint64_t value);
    uint32_t (*apic_id)(void *opaque);
    uint8_t (*sipi_vector)(void *opaque); // of the start-up IPI behind CPU_REQ_SIPI
};

enum { XSAVE_AREA_SIZE = 4096 };

struct cpu {
    // --- reached by translated code; keep first, displacements stay small
    uint64_t gpr[16];
    uint64_t rip;      // of the current instruction whenever C runs
    uint64_t next_rip; // of the one after it, while an instruction's C code runs
    uint64_t rflags;
    struct segment seg[SREG_COUNT];
    struct segment_bounds bounds[SREG_COUNT]; // outside 64-bit code
    uint32_t window_end;                      // linear; 0: none
    uint64_t tsc_offset;                      // guest TSC = host TSC + offset
    struct cpu_stash stash;                   // scratch of translated code
    uint64_t engine[32];                      // fields owned by the translator (see translator/tb.h)

    // --- control state
    uint32_t mode; // enum mode_bits, kept by cpu_update_mode()
    uint8_t cpl;
    bool halted;
    // Interrupt shadow after STI or MOV SS/POP SS: set by the instruction, cleared after the next one.
    uint8_t shadow_sti, shadow_ss;
    bool nmi_blocked;
    bool in_smm; // system management mode (smm.c)
    uint32_t smbase;
    uint64_t cr0, cr2, cr3, cr4, xcr0, efer;
    uint64_t dr[8];
    struct segment ldtr, tr;
    struct table_reg gdtr, idtr;

    // --- MSRs
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat, misc_enable, spec_ctrl, tsc_adjust, xss;
    uint64_t mtrr_def_type, mtrr_fixed[11], mtrr_base[8], mtrr_mask[8];

    // --- the exception being raised: cpu_raise() fills it and jumps to unwind
    struct {
        uint8_t vector;
        bool has_error;
        uint32_t error;
        uint64_t cr2;
        uint64_t dr6;
    } exc;
    jmp_buf unwind; // the engine's loop; set whenever C code of the CPU runs
    int delivering; // vector whose delivery is under way, or -1: for #DF and triple faults

    // --- vector state (fpu.h): live in the host's registers, or in xsave
    bool fpu_live;
    uint64_t fpu_host_mask;  // XCR0 bits that exist on this host and that we carry
    uint32_t fpu_mxcsr_mask; // bits of MXCSR that exist on this host; others raise #GP when loaded
    uint8_t *xsave;          // XSAVE_AREA_SIZE bytes, 64-aligned, standard format

    // --- the world
    struct mmu mmu;
    struct address_space *mem, *ports;
    const struct cpu_intc_ops *intc;
    void *intc_opaque;
    // The CPU entered or left SMM: the board shows or hides SMRAM. Big lock held. NULL: nothing to show.
    void (*smm_changed)(void *opaque, bool in_smm);
    void *smm_opaque;
    const struct cpu_model *model; // CPUID, cpuid.h
    unsigned index;                // vCPU number

    // --- requests (any thread, atomics; see interrupt.h)
    _Atomic uint32_t request; // CPU_REQ_*
    void *wake;               // engine's wake-up object
    // Any thread: set by the accelerator (its ops->kick); cpu_request() calls it. NULL: nothing to kick.
    void (*kick)(struct cpu *cpu);
    _Atomic uint32_t sleeping; // 1 while cpu_halt_wait() waits for `request` to change

    // --- a debugger outside the guest (debug_points.h)
    uint8_t debug_active;       // DEBUG_ACTIVE_* bits; 0: nothing to look at
    struct debug_points *debug; // NULL: there is none

    void *accel; // private to the accelerator
};

extern _Thread_local struct cpu vcpu_self __attribute__((tls_model("local-exec"), aligned(64)));
