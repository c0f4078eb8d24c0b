// SPDX-License-Identifier: MIT
// The attribute table: opcodes.def compiled into rows that decode.c matches. Private to decode.c.
#pragma once

#include "translator/decode.h"

enum { OPC_LEGACY = 1, OPC_VEX = 2, OPC_EVEX = 4 };
enum { OPC_NP = 1, OPC_66 = 2, OPC_F3 = 4, OPC_F2 = 8 };

// clang-format off
enum opcode_traits {
    OT_I64 = 1 << 0, OT_O64 = 1 << 1, OT_D64 = 1 << 2, OT_F64 = 1 << 3, OT_LOCK = 1 << 4, OT_BYTE = 1 << 5,
    OT_UNALIGNED = 1 << 6, OT_ALIGNED = 1 << 7, OT_X87 = 1 << 8, OT_MMX = 1 << 9, OT_SSE = 1 << 10,
    OT_AVX = 1 << 11, OT_AVX512 = 1 << 12, OT_NOMASK = 1 << 13, OT_N1 = 1 << 14, OT_MVV = 1 << 15,
    OT_VSIB = 1 << 16, OT_BITS = 1 << 17, OT_END = 1 << 18, OT_WY = 1 << 19,
};
// clang-format on

// Bits of the flags column: read in 0..11, surely written in 16..27, and these.
#define OF_PARTIAL (1u << 12)
#define OF_COND (1u << 13)  // reads what the condition in the opcode's low four bits tests
#define OF_SHIFT (1u << 14) // a count of 0 leaves the flags alone

enum { ACC_READ = 1, ACC_WRITE = 2 };

struct operand {
    char place;     // as in opcodes.def, 0: none
    char size;      // as a register and, unless mem_size says otherwise, in memory
    char mem_size;  // 0: as size
    uint8_t access; // ACC_*
};

struct opcode_row {
    uint8_t encs, map, lo, hi;
    uint8_t pp;    // OPC_NP.. accepted; 0: any
    uint8_t ext;   // bit per accepted ModRM.reg
    uint8_t mod;   // 0: any, 1: memory, 2: register
    uint8_t w, l;  // accepted values, a bit each; 0: any
    int16_t modrm; // the exact byte, or -1
    uint8_t elem;  // bytes per masked element; 0: 4 << W
    uint8_t class;
    uint32_t traits, flags;
    bool has_modrm;
    struct operand reg, rm, vvvv, opreg, moffs;
    char imm[3]; // sizes; 'J' in imm_kind for branches
    bool branch, far;
    uint16_t implicit_read, implicit_written;
    char implicit_size; // of @a if it is the first operand
};

struct opcode_table;
struct opcode_table *opcode_table_create(void);
void opcode_table_destroy(struct opcode_table *t);

// The rows of one opcode, in table order. enc is enum insn_enc.
const struct opcode_row *const *opcode_rows(const struct opcode_table *t, unsigned enc, unsigned map, unsigned opcode,
                                            unsigned *count);

// Where Capstone 4.0.2 and the manual disagree (quirks.c).
enum quirk_kind {
    QUIRK_REFUSED, // Capstone knows no such instruction, the manual does
    QUIRK_LENGTH,  // Capstone misjudges the length
    QUIRK_ID,      // Capstone takes it for another instruction; id is what we report
};
enum { INSN_ID_QUIRK = 0x8000 }; // ids of our own, above Capstone's

// Does a quirk explain Capstone's verdict? cs_id 0: refused. Returns the id to report, or -1.
int quirk_check(const struct insn *in, enum decode_mode mode, unsigned cs_id, unsigned cs_len);
