// SPDX-License-Identifier: MIT
// Decoding: guest bytes to struct insn. Capstone says which instruction it is; our own walk over the
// encoding (prefixes, map, ModRM) says where its fields are, since the rewriter works on fields.
// The only owner of Capstone is verdict.c (and disas.c, for logs).
#pragma once

#include "base/types.h"

enum { INSN_MAX = 15, BASE_RIP = 16 };

enum insn_map { MAP_1 = 0, MAP_0F, MAP_0F38, MAP_0F3A, MAP_3DNOW, MAP_5, MAP_6 }; // legacy, VEX or EVEX alike
enum insn_enc { ENC_LEGACY, ENC_VEX2, ENC_VEX3, ENC_EVEX, ENC_XOP };

// What the translator does with it. PLAIN instructions compute; all other classes have a rule.
// clang-format off
enum insn_class {
    IC_PLAIN,      // copied verbatim but for register and memory operand rewriting
    IC_JMP, IC_JCC, IC_CALL, IC_RET, IC_JMP_IND, IC_CALL_IND, IC_LOOP, // near control flow; LOOP: loop*, jcxz
    IC_PUSH, IC_POP, IC_LEAVE, IC_ENTER, IC_PUSHA, IC_POPA, // stack
    IC_STRING,     // movs stos lods cmps scas ins outs, with or without rep
    IC_SYSTEM,     // everything that goes to a cpu_op_* function; interpreter knows which
    IC_XSTATE,     // fxsave ... xrstors
    IC_INVALID,    // #UD
};
// clang-format on

// Kinds of register a ModRM/VEX field names (for rewriting guest r14/r15).
enum field_kind { FK_NONE, FK_GPR, FK_VEC, FK_MASK, FK_OTHER }; // OTHER: segment, control, x87, mmx, opcode extension

enum mem_access { MA_NONE = 0, MA_READ = 1, MA_WRITE = 2, MA_RW = 3 };

struct insn {
    uint8_t bytes[INSN_MAX];
    uint8_t len;
    uint8_t class; // enum insn_class
    bool too_long; // IC_INVALID because it goes on after 15 bytes: #GP(0), not #UD
    uint16_t id;   // Capstone's X86_INS_*

    // --- encoding
    uint8_t enc, map, opcode;
    uint8_t pp;  // mandatory prefix for the map: 0, 0x66, 0xf3, 0xf2 (VEX.pp as such)
    uint8_t rex; // the REX byte or 0; for VEX/EVEX W,R,X,B as in REX (not inverted)
    bool opsize_prefix, addrsize_prefix, lock, rep, repne;
    int8_t seg;                                    // segment override (enum sreg numbering) or -1
    uint8_t vvvv;                                  // VEX/EVEX.vvvv, 0..31
    uint8_t vl;                                    // 0: 128/scalar, 1: 256, 2: 512
    uint8_t evex[4];                               // raw EVEX prefix for the rewriter
    uint8_t modrm_off, sib_off, disp_off, imm_off; // offsets in bytes[], 0 if absent
    uint8_t disp_len, imm_len;                     // bytes
    uint8_t opcode_off;                            // of the opcode byte in bytes[]

    // --- operands
    bool has_modrm, has_mem; // has_mem: ModRM names memory (LEA, NOP, prefetch: has_mem with access MA_NONE)
    uint8_t modrm, reg, rm;  // reg, rm with REX/VEX extension bits applied (0..31)
    uint8_t mem_access;      // enum mem_access
    uint8_t mem_size;        // bytes touched, never less than the truth (page-crossing check); 0 if none
    bool mem_aligned;        // faults natively unless aligned to mem_size (movaps, SSE arithmetic, ...)
    bool is_bitstring;       // bt/bts/btr/btc mem,reg: the bit offset moves the address
    bool moffs;              // MOV A0-A3: no ModRM, the offset is imm (64 bits), base and index are -1
    bool mem_bcast;          // EVEX broadcast: mem_size is one element
    uint8_t mask_elem;       // not 0: masked access, elements of so many bytes; only selected ones may fault
    bool vsib;               // gather/scatter: several addresses; left to the interpreter
    int8_t base, index;      // address registers 0..15, -1 none; base BASE_RIP
    uint8_t scale;           // 1, 2, 4, 8
    int32_t disp;
    uint8_t mem_seg;   // effective segment: enum sreg
    bool host_66;      // re-encoded for 64-bit mode it carries a 66h prefix (opsize 2, or mandatory)
    uint8_t opsize;    // 1, 2, 4, 8: operand size of integer instructions
    uint8_t addrsize;  // 2, 4, 8
    int64_t imm, imm2; // sign-extended as the instruction uses it (branches: displacement); imm2: ENTER, far

    uint8_t reg_kind, rm_kind, vvvv_kind; // enum field_kind; rm_kind for mod 3
    uint8_t reg_size, rm_size;            // bytes of a GPR operand: 1 without REX and 4..7 is AH..BH
    bool opcode_reg; // the opcode's low 3 bits (+REX.B) name a GPR (push, mov imm, bswap, xchg); it is in rm
    uint32_t gpr_read, gpr_written; // bit per GPR, implicit ones too, address registers included in read

    // --- flags (FL_* bits of arithmetic flags)
    uint16_t flags_read, flags_written; // written: surely overwritten or undefined whatever happens; conservative
    bool flags_partial;                 // may change flags without surely overwriting them (shift by CL, rep)

    // --- features
    bool uses_x87, uses_mmx, uses_sse, uses_avx, uses_avx512; // for #NM/#UD checks by mode
    bool renamed;    // registers exchanged (gen_swap.c): bytes[] has them as they were
    bool ends_block; // control does not simply fall through, or state that mode depends on may change
};

enum decode_mode { DECODE_16, DECODE_32, DECODE_64 };

struct decoder;
int decoder_create(struct decoder **out); // 0 or -errno
void decoder_destroy(struct decoder *d);

// Whether the host CPU has an instruction that the decoder takes for one; asked about VEX and EVEX forms with a
// memory operand, once for each encoding (verdict.c). Without it, the default, they are taken as they are.
typedef bool decoder_host_fn(void *opaque, const struct insn *in);
void decoder_ask_host(struct decoder *d, decoder_host_fn *fn, void *opaque);

// Decodes one instruction from up to len bytes. Returns 0; -1 if the bytes end too early (the caller
// provides more, or raises the fetch fault); an undecodable instruction is class IC_INVALID with len 1..15.
int decode(struct decoder *d, const uint8_t *bytes, unsigned len, enum decode_mode mode, uint64_t rip,
           struct insn *out);

// "mov rax, qword ptr [rbx]" for logs (guest or host code, AT&T off).
void disassemble(struct decoder *d, const uint8_t *bytes, unsigned len, enum decode_mode mode, uint64_t rip, char *out,
                 size_t out_size);
