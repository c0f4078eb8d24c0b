// SPDX-License-Identifier: MIT
// Where Capstone 4.0.2 and the manual disagree: one line each, and a test each in test_decode.c.
#include <capstone/capstone.h>

#include "translator/opcodes.h"

struct quirk {
    uint8_t kind;        // enum quirk_kind
    uint8_t encs;        // OPC_LEGACY, OPC_VEX, OPC_EVEX
    uint8_t map, lo, hi; // opcodes
    uint8_t pp;          // OPC_NP.. accepted; 0: any
    int16_t cs_id;       // QUIRK_ID: what Capstone says
    uint16_t id;         // what we say
};

enum { L = OPC_LEGACY, V = OPC_VEX, E = OPC_EVEX };
enum { // ids for what Capstone has none for
    ID_GFNI = INSN_ID_QUIRK,
    ID_VAES,
    ID_SERIALIZE,
    ID_RDPID,
    ID_WBNOINVD,
    ID_ENDBR,
    ID_AVX512,
    ID_AVX_VNNI,
    ID_MASK,
    ID_VBROADCASTI128,
};

static const struct quirk quirks[] = {
    {QUIRK_ID, L, MAP_0F, 0xc7, 0xc7, OPC_F3, X86_INS_RDSEED, ID_RDPID},
    {QUIRK_ID, L, MAP_0F, 0x09, 0x09, OPC_F3, X86_INS_WBINVD, ID_WBNOINVD},
    {QUIRK_REFUSED, L, MAP_0F, 0x01, 0x01, OPC_NP, 0, ID_SERIALIZE},
    {QUIRK_REFUSED, L, MAP_0F, 0x18, 0x1f, 0, 0, ID_ENDBR}, // hint NOPs with F3, ENDBR64 among them
    {QUIRK_REFUSED, L | V, MAP_0F38, 0xcf, 0xcf, OPC_66, 0, ID_GFNI},
    {QUIRK_REFUSED, L | V, MAP_0F3A, 0xce, 0xcf, OPC_66, 0, ID_GFNI},
    {QUIRK_REFUSED, V, MAP_0F38, 0xdc, 0xdf, OPC_66, 0, ID_VAES}, // the 256-bit forms
    {QUIRK_REFUSED, V, MAP_0F3A, 0x44, 0x44, OPC_66, 0, ID_VAES}, // VPCLMULQDQ, 256 bits
    {QUIRK_REFUSED, V, MAP_0F38, 0x50, 0x53, OPC_66, 0, ID_AVX_VNNI},
    {QUIRK_REFUSED, V, MAP_0F38, 0x5a, 0x5a, OPC_66, 0, ID_VBROADCASTI128},
    {QUIRK_REFUSED, V, MAP_0F, 0x41, 0x4b, 0, 0, ID_MASK}, // KANDQ, KANDD, KADD ...: AVX512BW and DQ
    {QUIRK_REFUSED, V, MAP_0F, 0x90, 0x99, 0, 0, ID_MASK},
    {QUIRK_REFUSED, V, MAP_0F3A, 0x30, 0x33, OPC_66, 0, ID_MASK},
    // Capstone knows AVX512F, and of BW, DQ, VL, VBMI, VBMI2, VNNI, BITALG, IFMA, BF16, VP2INTERSECT little or none.
    {QUIRK_REFUSED, E, MAP_0F, 0x00, 0xff, 0, 0, ID_AVX512},
    {QUIRK_REFUSED, E, MAP_0F38, 0x00, 0xff, 0, 0, ID_AVX512},
    {QUIRK_REFUSED, E, MAP_0F3A, 0x00, 0xff, 0, 0, ID_AVX512},
    // 66h does not shorten near branches in 64-bit mode: SDM vol. 2A, "CALL", "JMP", "Jcc" (rel16: N.S.)
    {QUIRK_LENGTH, L, MAP_1, 0xe8, 0xe9, 0, 0, 0},
    {QUIRK_LENGTH, L, MAP_0F, 0x80, 0x8f, 0, 0, 0},
    // With a SIB byte whose EVEX.X or B is set it loses count.
    {QUIRK_LENGTH, E, MAP_0F, 0x00, 0xff, 0, 0, 0},
    {QUIRK_LENGTH, E, MAP_0F38, 0x00, 0xff, 0, 0, 0},
    {QUIRK_LENGTH, E, MAP_0F3A, 0x00, 0xff, 0, 0, 0},
};

static unsigned enc_bit(const struct insn *in) { return in->enc == ENC_LEGACY ? L : in->enc == ENC_EVEX ? E : V; }

int quirk_check(const struct insn *in, enum decode_mode mode, unsigned cs_id, unsigned cs_len)
{
    unsigned pp = in->pp == 0x66 ? OPC_66 : in->pp == 0xf3 ? OPC_F3 : in->pp == 0xf2 ? OPC_F2 : OPC_NP;
    for (unsigned i = 0; i < ARRAY_SIZE(quirks); i++) {
        const struct quirk *q = &quirks[i];
        if (!(q->encs & enc_bit(in)) || q->map != in->map || in->opcode < q->lo || in->opcode > q->hi ||
            (q->pp && !(q->pp & pp)))
            continue;
        if (q->kind == QUIRK_REFUSED && !cs_id)
            return q->id;
        if (q->kind == QUIRK_LENGTH && cs_id && cs_len != in->len)
            return (int)cs_id;
        if (q->kind == QUIRK_ID && (int)cs_id == q->cs_id)
            return q->id;
    }
    return -1;
}
