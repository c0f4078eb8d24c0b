// SPDX-License-Identifier: MIT
// The rules of isa.def, parsed: what the generator needs to encode an instruction.
#pragma once

#include "base/types.h"

// Where an operand is encoded.
enum op_field { OF_FIXED, OF_REG, OF_RM, OF_VVVV, OF_IS4, OF_OPCODE, OF_IMM, OF_REL, OF_MOFFS, OF_VSIB };
enum op_kind { OK_NONE, OK_GPR, OK_VEC, OK_MMX, OK_MASK, OK_SREG, OK_ST };
// Sizes that depend on a prefix; others are given in bytes.
enum op_size { SZ_V = 1000, SZ_Y, SZ_Z, SZ_X, SZ_H, SZ_F, SZ_E };

struct operand {
    uint8_t field, kind;
    bool reg_ok, mem_ok; // for OF_RM
    uint16_t size;       // bytes, or enum op_size
};

enum rule_enc { RE_LEGACY, RE_VEX, RE_EVEX };
enum { VL_128 = 1, VL_256 = 2, VL_512 = 4, VL_IG = 8 };
enum { W_0, W_1, W_IG, W_Y };

// clang-format off
enum rule_flags {
    RF_LOCK = 1 << 0, RF_ALIGNED = 1 << 1, RF_SIZED = 1 << 2, RF_D64 = 1 << 3, RF_NOQ = 1 << 4, RF_W1 = 1 << 5,
    RF_NO64 = 1 << 6, RF_ONLY64 = 1 << 7, RF_END = 1 << 8, RF_X87 = 1 << 9, RF_MMX = 1 << 10, RF_K = 1 << 11,
    RF_KZ = 1 << 12, RF_B4 = 1 << 13, RF_B8 = 1 << 14, RF_ER = 1 << 15, RF_SAE = 1 << 16, RF_ND8 = 1 << 17,
    RF_RARE = 1 << 18, RF_F512 = 1 << 19,
};
// clang-format on

struct rule {
    const char *text, *encoding, *options;
    uint8_t enc, map, pp;     // map 1: 0F, 2: 0F38, 3: 0F3A; pp 0, 0x66, 0xf3, 0xf2
    uint8_t bytes[4], nbytes; // legacy: all opcode bytes after the mandatory prefix; VEX, EVEX: the opcode
    uint8_t vl, w;
    int8_t digit; // /n, or -1
    bool plus_i, has_modrm;
    struct operand op[5];
    uint8_t nops;
    uint32_t flags;                       // RF_*
    uint16_t fl_write, fl_undef, fl_read; // FL_* bits
    uint16_t clobbers;                    // bit per GPR
    uint16_t weight;
    char feature[20], prep[12];
    bool available; // the host has it
    uint16_t index;
};

extern struct rule isa_rules[];
extern const unsigned isa_count;

// Parses the table and asks CPUID. Returns 0, or -1 with a message on stderr naming the bad line.
int isa_init(void);
