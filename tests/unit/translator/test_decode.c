// SPDX-License-Identifier: MIT
// The decoder: encodings with the fields they must decode to, every quirk, refusals, and random bytes whose
// length must be Capstone's.
#include <capstone/capstone.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/state.h"
#include "translator/decode.h"
#include "tests/unit/translator/hex.h"
#include "tests/unit/check_main.h"

static struct decoder *d;

static void setup(void) { ck_assert_int_eq(decoder_create(&d), 0); }
static void teardown(void) { decoder_destroy(d); }

static struct insn decode_hex(const char *hex, enum decode_mode mode)
{
    uint8_t bytes[INSN_MAX] = {0};
    struct insn in;
    unsigned n = parse_hex(hex, bytes);
    ck_assert_msg(decode(d, bytes, n, mode, 0x1000, &in) == 0, "%s: truncated", hex);
    if (in.class != IC_INVALID)
        ck_assert_msg(in.len == n, "%s: length %u, want %u", hex, in.len, n);
    return in;
}

enum { M16 = DECODE_16, M32 = DECODE_32, M64 = DECODE_64, N = -1 };

struct expected {
    const char *hex;
    uint8_t mode, class;
    uint8_t access, size; // memory
    bool aligned;
    int8_t base, index; // -1: none
    uint8_t seg;
    uint8_t opsize;
    uint32_t read, written; // GPR bits
    uint16_t flags_read, flags_written;
};

#define G(r) (1u << R##r)
#define ALL FL_ARITH

static const struct expected table[] = {
    // integer, 64-bit
    {"01 c8", M64, IC_PLAIN, 0, 0, false, N, N, DS, 4, G(AX) | G(CX), G(AX), 0, ALL},    // add eax,ecx
    {"4d 01 f7", M64, IC_PLAIN, 0, 0, false, N, N, DS, 8, G(14) | G(15), G(15), 0, ALL}, // add r15,r14
    {"48 8b 44 8b 08", M64, IC_PLAIN, MA_READ, 8, false, RBX, RCX, DS, 8, G(BX) | G(CX), G(AX), 0, 0},
    {"66 89 45 fc", M64, IC_PLAIN, MA_WRITE, 2, false, RBP, N, SS, 2, G(AX) | G(BP), 0, 0, 0}, // mov [rbp-4],ax
    {"f0 0f b1 0f", M64, IC_PLAIN, MA_RW, 4, false, RDI, N, DS, 4, G(AX) | G(CX) | G(DI), G(AX), 0, ALL},
    {"11 07", M64, IC_PLAIN, MA_RW, 4, false, RDI, N, DS, 4, G(AX) | G(DI), 0, FL_CF, ALL}, // adc [rdi],eax
    {"88 2f", M64, IC_PLAIN, MA_WRITE, 1, false, RDI, N, DS, 1, G(CX) | G(DI), 0, 0, 0},    // mov [rdi],ch
    {"40 88 2f", M64, IC_PLAIN, MA_WRITE, 1, false, RDI, N, DS, 1, G(BP) | G(DI), 0, 0, 0}, // mov [rdi],bpl
    {"65 48 8b 04 25 28 00 00 00", M64, IC_PLAIN, MA_READ, 8, false, N, N, GS, 8, 0, G(AX), 0, 0},
    {"8b 05 10 00 00 00", M64, IC_PLAIN, MA_READ, 4, false, 16, N, DS, 4, 0, G(AX), 0, 0},    // rip-relative
    {"4f 8d 34 3e", M64, IC_PLAIN, 0, 0, false, R14, R15, DS, 8, G(14) | G(15), G(14), 0, 0}, // lea r14,[r14+r15]
    {"0f 45 c1", M64, IC_PLAIN, 0, 0, false, N, N, DS, 4, G(AX) | G(CX), G(AX), FL_ZF, 0},    // cmovne
    {"c1 e0 00", M64, IC_PLAIN, 0, 0, false, N, N, DS, 4, G(AX), G(AX), 0, 0},                // shl eax,0
    {"c1 e0 20", M64, IC_PLAIN, 0, 0, false, N, N, DS, 4, G(AX), G(AX), 0, 0},                // shl eax,32: 0
    {"48 c1 e0 20", M64, IC_PLAIN, 0, 0, false, N, N, DS, 8, G(AX), G(AX), 0, ALL},
    {"d3 e0", M64, IC_PLAIN, 0, 0, false, N, N, DS, 4, G(AX) | G(CX), G(AX), 0, 0}, // shl eax,cl
    {"ff c0", M64, IC_PLAIN, 0, 0, false, N, N, DS, 4, G(AX), G(AX), 0, ALL & ~FL_CF},
    {"41 90", M64, IC_PLAIN, 0, 0, false, N, N, DS, 4, G(AX) | G(8), G(AX) | G(8), 0, 0}, // xchg r8d,eax
    {"f3 90", M64, IC_PLAIN, 0, 0, false, N, N, DS, 4, 0, 0, 0, 0},                       // pause
    {"0f c7 0f", M64, IC_PLAIN, MA_RW, 8, false, RDI, N, DS, 8, G(AX) | G(BX) | G(CX) | G(DX) | G(DI), G(AX) | G(DX), 0,
     0},
    {"48 0f c7 0f", M64, IC_PLAIN, MA_RW, 16, true, RDI, N, DS, 8, G(AX) | G(BX) | G(CX) | G(DX) | G(DI), G(AX) | G(DX),
     0, 0},
    {"c4 62 93 f6 f8", M64, IC_PLAIN, 0, 0, false, N, N, DS, 8, G(AX) | G(DX), G(13) | G(15), 0, 0}, // mulx r15,r13,rax
    {"c4 42 88 f2 f7", M64, IC_PLAIN, 0, 0, false, N, N, DS, 8, G(14) | G(15), G(14), 0, ALL},       // andn r14,r14,r15
    // flow and stack
    {"41 57", M64, IC_PUSH, 0, 0, false, N, N, DS, 8, G(15) | G(SP), G(SP), 0, 0},
    {"8f 00", M64, IC_POP, MA_WRITE, 8, false, RAX, N, DS, 8, G(AX) | G(SP), G(SP), 0, 0},
    {"ff 36", M64, IC_PUSH, MA_READ, 8, false, RSI, N, DS, 8, G(SI) | G(SP), G(SP), 0, 0},
    {"e8 00 00 00 00", M64, IC_CALL, 0, 0, false, N, N, DS, 8, G(SP), G(SP), 0, 0},
    {"ff 25 00 00 00 00", M64, IC_JMP_IND, MA_READ, 8, false, 16, N, DS, 8, 0, 0, 0, 0},
    {"41 ff d7", M64, IC_CALL_IND, 0, 0, false, N, N, DS, 8, G(15) | G(SP), G(SP), 0, 0},
    {"7c 00", M64, IC_JCC, 0, 0, false, N, N, DS, 8, 0, 0, FL_SF | FL_OF, 0},
    {"c2 10 00", M64, IC_RET, 0, 0, false, N, N, DS, 8, G(SP), G(SP), 0, 0},
    {"e3 00", M64, IC_LOOP, 0, 0, false, N, N, DS, 8, G(CX), 0, 0, 0},
    // vector
    {"0f 58 07", M64, IC_PLAIN, MA_READ, 16, true, RDI, N, DS, 4, G(DI), 0, 0, 0},     // addps
    {"f3 0f 58 07", M64, IC_PLAIN, MA_READ, 4, false, RDI, N, DS, 4, G(DI), 0, 0, 0},  // addss
    {"f2 0f 58 07", M64, IC_PLAIN, MA_READ, 8, false, RDI, N, DS, 4, G(DI), 0, 0, 0},  // addsd
    {"0f 10 07", M64, IC_PLAIN, MA_READ, 16, false, RDI, N, DS, 4, G(DI), 0, 0, 0},    // movups
    {"66 0f 7f 07", M64, IC_PLAIN, MA_WRITE, 16, true, RDI, N, DS, 2, G(DI), 0, 0, 0}, // movdqa
    {"c5 fc 58 07", M64, IC_PLAIN, MA_READ, 32, false, RDI, N, DS, 4, G(DI), 0, 0, 0}, // vaddps ymm
    {"c5 fc 29 07", M64, IC_PLAIN, MA_WRITE, 32, true, RDI, N, DS, 4, G(DI), 0, 0, 0}, // vmovaps
    {"62 f1 7c 48 58 07", M64, IC_PLAIN, MA_READ, 64, false, RDI, N, DS, 4, G(DI), 0, 0, 0},
    {"62 f1 7c 58 58 07", M64, IC_PLAIN, MA_READ, 4, false, RDI, N, DS, 4, G(DI), 0, 0, 0},  // {1to16}
    {"66 41 0f 7e c7", M64, IC_PLAIN, 0, 0, false, N, N, DS, 4, 0, G(15), 0, 0},             // movd r15d,xmm0
    {"66 0f 3a 14 07 01", M64, IC_PLAIN, MA_WRITE, 1, false, RDI, N, DS, 4, G(DI), 0, 0, 0}, // pextrb
    {"f3 44 0f 2c 37", M64, IC_PLAIN, MA_READ, 4, false, RDI, N, DS, 4, G(DI), G(14), 0, 0}, // cvttss2si r14d
    {"0f 2f 07", M64, IC_PLAIN, MA_READ, 4, false, RDI, N, DS, 4, G(DI), 0, 0, ALL},         // comiss
    {"d9 37", M64, IC_PLAIN, MA_WRITE, 28, false, RDI, N, DS, 4, G(DI), 0, 0, 0},            // fnstenv
    {"66 dd 37", M64, IC_PLAIN, MA_WRITE, 94, false, RDI, N, DS, 2, G(DI), 0, 0, 0},         // fnsavew
    {"df e0", M64, IC_PLAIN, 0, 0, false, N, N, DS, 2, G(AX), G(AX), 0, 0},                  // fnstsw ax
    // 16 and 32 bits
    {"40", M32, IC_PLAIN, 0, 0, false, N, N, DS, 4, G(AX), G(AX), 0, ALL & ~FL_CF},
    {"8b 42 08", M16, IC_PLAIN, MA_READ, 2, false, RBP, RSI, SS, 2, G(BP) | G(SI), G(AX), 0, 0},
    {"66 8b 07", M16, IC_PLAIN, MA_READ, 4, false, RBX, N, DS, 4, G(BX), G(AX), 0, 0},
    {"67 8b 04 24", M16, IC_PLAIN, MA_READ, 2, false, RSP, N, SS, 2, G(SP), G(AX), 0, 0},
    {"a1 34 12", M16, IC_PLAIN, MA_READ, 2, false, N, N, DS, 2, 0, G(AX), 0, 0},
    {"62 07", M32, IC_PLAIN, MA_READ, 8, false, RDI, N, DS, 4, G(AX) | G(DI), 0, 0, 0}, // bound
    {"60", M32, IC_PUSHA, 0, 0, false, N, N, DS, 4, 0xff, G(SP), 0, 0},
    {"c4 07", M32, IC_SYSTEM, MA_READ, 6, false, RDI, N, DS, 4, G(DI), G(AX), 0, 0}, // les
};

START_TEST(fields)
{
    const struct expected *x = &table[_i];
    struct insn in = decode_hex(x->hex, (enum decode_mode)x->mode);
    ck_assert_msg(in.class == x->class, "%s: class %u", x->hex, in.class);
    ck_assert_msg(in.mem_access == x->access && in.mem_size == x->size, "%s: access %u size %u", x->hex, in.mem_access,
                  in.mem_size);
    ck_assert_msg(in.mem_aligned == x->aligned, "%s: aligned %d", x->hex, in.mem_aligned);
    ck_assert_msg(in.base == x->base && in.index == x->index, "%s: base %d index %d", x->hex, in.base, in.index);
    ck_assert_msg(in.mem_seg == x->seg, "%s: segment %u", x->hex, in.mem_seg);
    ck_assert_msg(in.opsize == x->opsize, "%s: opsize %u", x->hex, in.opsize);
    // A superset of reads is allowed where a partial write merges; here they are exact but for that.
    ck_assert_msg((in.gpr_read & x->read) == x->read && !(in.gpr_read & ~(x->read | x->written)), "%s: reads %x",
                  x->hex, in.gpr_read);
    ck_assert_msg(in.gpr_written == x->written, "%s: writes %x", x->hex, in.gpr_written);
    ck_assert_msg(in.flags_read == x->flags_read && in.flags_written == x->flags_written, "%s: flags %x %x", x->hex,
                  in.flags_read, in.flags_written);
}
END_TEST

// What must never run natively, or does not exist. One opcode of every kind of rule.
// clang-format off
static const struct { const char *hex; uint8_t mode, class; } classes[] = {
    {"0f 01 07", M64, IC_SYSTEM}, {"0f 01 0f", M64, IC_SYSTEM}, {"0f 00 c0", M64, IC_SYSTEM}, // sgdt sidt sldt
    {"0f 01 e0", M64, IC_SYSTEM}, {"0f 00 c8", M64, IC_SYSTEM}, {"0f 02 c1", M64, IC_SYSTEM}, // smsw str lar
    {"0f 03 c1", M64, IC_SYSTEM}, {"0f 00 e1", M64, IC_SYSTEM}, {"0f 00 e9", M64, IC_SYSTEM}, // lsl verr verw
    {"9c", M64, IC_SYSTEM}, {"9d", M64, IC_SYSTEM}, {"8c d8", M64, IC_SYSTEM}, {"8e d8", M64, IC_SYSTEM},
    {"06", M32, IC_SYSTEM}, {"17", M32, IC_SYSTEM}, {"0f a8", M64, IC_SYSTEM}, {"0f a1", M64, IC_SYSTEM},
    {"cd 80", M64, IC_SYSTEM}, {"cc", M64, IC_SYSTEM}, {"f1", M64, IC_SYSTEM}, {"cf", M64, IC_SYSTEM},
    {"48 cf", M64, IC_SYSTEM}, {"cb", M64, IC_SYSTEM}, {"ff 2f", M64, IC_SYSTEM}, {"ea 00 00 00 00 08 00", M32, IC_SYSTEM},
    {"fa", M64, IC_SYSTEM}, {"fb", M64, IC_SYSTEM}, {"f4", M64, IC_SYSTEM}, {"ec", M64, IC_SYSTEM}, {"e7 80", M64, IC_SYSTEM},
    {"0f 20 c0", M64, IC_SYSTEM}, {"44 0f 22 c0", M64, IC_SYSTEM}, {"0f 23 f8", M64, IC_SYSTEM}, {"0f 20 00", M64, IC_SYSTEM},
    {"0f a2", M64, IC_SYSTEM}, {"0f 31", M64, IC_SYSTEM}, {"0f 30", M64, IC_SYSTEM}, {"0f 05", M64, IC_SYSTEM},
    {"0f 01 f8", M64, IC_SYSTEM}, {"0f 01 f9", M64, IC_SYSTEM}, {"0f 01 d0", M64, IC_SYSTEM}, {"0f 01 3f", M64, IC_SYSTEM},
    {"f3 48 0f ae c7", M64, IC_SYSTEM}, {"66 0f 38 82 07", M64, IC_SYSTEM}, {"d7", M64, IC_SYSTEM}, {"fd", M64, IC_SYSTEM},
    {"66 0f f7 c1", M64, IC_SYSTEM}, {"0f f7 c1", M64, IC_SYSTEM}, {"c5 f9 f7 c1", M64, IC_SYSTEM}, // implicit [rdi]
    {"0f ae 07", M64, IC_XSTATE}, {"48 0f ae 27", M64, IC_XSTATE}, {"0f c7 2f", M64, IC_XSTATE},
    {"f3 a4", M64, IC_STRING}, {"6c", M64, IC_STRING}, {"48 af", M64, IC_STRING},
    {"9b", M64, IC_PLAIN}, {"0f ae f0", M64, IC_PLAIN}, {"0f ae 3f", M64, IC_PLAIN}, {"0f c7 f0", M64, IC_PLAIN},
    // no such thing
    {"0f 0b", M64, IC_INVALID}, {"0f b9 c0", M64, IC_INVALID}, {"0f ff c0", M64, IC_INVALID},
    {"06", M64, IC_INVALID}, {"37", M64, IC_INVALID}, {"60", M64, IC_INVALID}, {"82 c0 00", M64, IC_INVALID},
    {"9a 00 00 00 00 08 00", M64, IC_INVALID}, {"d6", M64, IC_INVALID}, {"ce", M64, IC_INVALID},
    {"0f 0f c1 9e", M64, IC_INVALID}, {"0f 0e", M64, IC_INVALID},                              // 3DNow!, femms
    {"8f e8 78 c2 c0 07", M64, IC_INVALID}, {"c4 e3 f9 6b c9 20", M64, IC_INVALID},            // XOP, FMA4
    {"0f 01 d8", M64, IC_INVALID}, {"0f 01 d9", M64, IC_INVALID}, {"0f 01 dd", M64, IC_INVALID}, // SVM
    {"0f 01 c1", M64, IC_INVALID}, {"0f c7 37", M64, IC_INVALID}, {"0f 78 c0", M64, IC_INVALID}, // VMX
    {"0f 01 fc", M64, IC_INVALID}, {"66 0f 38 f8 07", M64, IC_INVALID}, {"f2 0f 38 f8 07", M64, IC_INVALID}, // clzero...
    {"c7 f8 00 00 00 00", M64, IC_INVALID}, {"0f 37", M64, IC_INVALID}, {"8e c8", M64, IC_INVALID}, // xbegin getsec
    {"0f 24 c0", M64, IC_INVALID}, {"ff ff", M64, IC_INVALID}, {"ff d8", M64, IC_INVALID}, {"c4 e0 78 58 07", M64, IC_INVALID},
    // LOCK where it is not allowed
    {"f0 01 c8", M64, IC_INVALID}, {"f0 8b 07", M64, IC_INVALID}, {"f0 89 07", M64, IC_INVALID}, {"f0 39 07", M64, IC_INVALID},
    {"f0 0f a3 07", M64, IC_INVALID}, {"f0 90", M64, IC_INVALID}, {"f0 f6 07 01", M64, IC_INVALID}, {"f0 0f 22 c0", M32, IC_INVALID},
    {"f0 c5 f8 58 07", M64, IC_INVALID},
    {"f0 01 07", M64, IC_PLAIN}, {"f0 0f ab 07", M64, IC_PLAIN}, {"f0 87 07", M64, IC_PLAIN}, {"f0 0f c7 0f", M64, IC_PLAIN},
    // VEX with the prefixes that it replaces
    {"66 c5 f8 58 07", M64, IC_INVALID}, {"48 c5 f8 58 07", M64, IC_INVALID}, {"f3 c4 e1 78 58 07", M64, IC_INVALID},
};
// clang-format on

START_TEST(rules)
{
    struct insn in = decode_hex(classes[_i].hex, (enum decode_mode)classes[_i].mode);
    ck_assert_msg(in.class == classes[_i].class, "%s: class %u, want %u", classes[_i].hex, in.class, classes[_i].class);
    ck_assert_int_ge(in.len, 1);
    ck_assert_int_le(in.len, INSN_MAX);
}
END_TEST

// One line for each line of quirks.c: Capstone 4.0.2 is wrong about these, and the decoder is not.
static const struct {
    const char *hex;
    uint8_t mode, class;
} quirks[] = {
    {"f3 0f c7 f8", M64, IC_SYSTEM},                     // rdpid, not rdseed
    {"f3 0f 09", M64, IC_SYSTEM},                        // wbnoinvd
    {"0f 01 e8", M64, IC_PLAIN},                         // serialize
    {"f3 0f 1e fa", M64, IC_PLAIN},                      // endbr64
    {"f3 0f 1e fb", M32, IC_PLAIN},                      // endbr32
    {"66 0f 38 cf c1", M64, IC_PLAIN},                   // gf2p8mulb
    {"66 0f 3a ce c1 01", M64, IC_PLAIN},                // gf2p8affineqb
    {"c4 e3 f5 cf c1 01", M64, IC_PLAIN},                // vgf2p8affineinvqb ymm
    {"c4 e2 75 dc c2", M64, IC_PLAIN},                   // vaesenc ymm
    {"c4 e3 75 44 c2 11", M64, IC_PLAIN},                // vpclmulqdq ymm
    {"c4 e2 75 50 c2", M64, IC_PLAIN},                   // vpdpbusd, VEX
    {"c4 e2 7d 5a 07", M64, IC_PLAIN},                   // vbroadcasti128
    {"c4 e1 fb 92 cb", M64, IC_PLAIN},                   // kmovq k1,rbx
    {"c4 e1 ec 46 d2", M64, IC_PLAIN},                   // kxnorq
    {"c4 e3 f9 31 c9 04", M64, IC_PLAIN},                // kshiftrq
    {"62 f2 76 49 26 e1", M64, IC_PLAIN},                // vptestnmb
    {"62 f3 7d 48 3f c2 00", M64, IC_PLAIN},             // vpcmpeqb
    {"62 f2 7d 48 78 18", M64, IC_PLAIN},                // vpbroadcastb
    {"62 f2 7e 48 52 c1", M64, IC_PLAIN},                // vdpbf16ps
    {"62 91 7e 08 10 a4 e5 3f 09 3a 40", M64, IC_PLAIN}, // vmovss xmm4,[r13+r12*8+x]: its length
    {"66 e8 00 00 00 00", M64, IC_CALL},                 // 66h is ignored: rel32
    {"66 0f 83 00 00 00 00", M64, IC_JCC},
    {"66 66 48 e8 00 00 00 00", M64, IC_CALL}, // as linkers pad calls of __tls_get_addr
    {"66 e8 00 00", M32, IC_CALL},
    {"66 65 0f 38 3a 07", M64, IC_PLAIN}, // pminuw with a segment prefix after 66
};

START_TEST(capstone_quirks)
{
    struct insn in = decode_hex(quirks[_i].hex, (enum decode_mode)quirks[_i].mode);
    ck_assert_msg(in.class == quirks[_i].class, "%s: class %u", quirks[_i].hex, in.class);
}
END_TEST

START_TEST(details)
{
    struct insn in = decode_hex("49 be ef cd ab 89 67 45 23 01", DECODE_64);
    ck_assert(in.opcode_reg && in.rm == R14 && in.imm == 0x123456789abcdef);
    in = decode_hex("83 c0 80", DECODE_64);
    ck_assert_int_eq(in.imm, -128);
    in = decode_hex("e4 80", DECODE_64);
    ck_assert_int_eq(in.imm, 0x80);
    in = decode_hex("48 a1 88 77 66 55 44 33 22 11", DECODE_64);
    ck_assert(in.moffs && in.has_mem && in.imm == 0x1122334455667788 && in.mem_size == 8);
    in = decode_hex("c8 34 12 05", DECODE_64);
    ck_assert(in.imm == 0x1234 && in.imm2 == 5);
    in = decode_hex("ea 78 56 34 12 08 00", DECODE_32);
    ck_assert(in.imm == 0x12345678 && in.imm2 == 8);
    in = decode_hex("62 f1 7c 48 58 47 01", DECODE_64); // disp8*N: N is 64, with broadcast 4
    ck_assert_int_eq(in.disp, 64);
    in = decode_hex("62 f1 7c 58 58 47 01", DECODE_64);
    ck_assert(in.disp == 4 && in.mem_bcast);
    in = decode_hex("62 f2 fd 4b 8a 47 01", DECODE_64); // vcompresspd [rdi+8]{k3}: N is one element
    ck_assert(in.disp == 8 && in.mask_elem == 8 && in.mem_size == 64);
    in = decode_hex("c4 e2 71 92 04 25 00 00 00 00", DECODE_64); // vgatherdps: index 4 is a register
    ck_assert(in.vsib && in.index == 4);
    in = decode_hex("c4 e2 6d 2d 07", DECODE_64);
    ck_assert(in.mask_elem == 8 && in.mem_size == 32);
    in = decode_hex("48 0f ab 07", DECODE_64);
    ck_assert(in.is_bitstring);
    in = decode_hex("0f ba 2f 05", DECODE_64);
    ck_assert(!in.is_bitstring && in.mem_access == MA_RW);
    in = decode_hex("0f 1f 44 00 00", DECODE_64);
    ck_assert(in.has_mem && in.mem_access == MA_NONE && in.mem_size == 0);
}
END_TEST

// Prefixes, and an opcode that 64-bit mode has not: its operand counts towards the 15 bytes.
START_TEST(too_long_if_it_were)
{
    static const struct {
        uint8_t opcode, prefix;
        unsigned most; // prefixes before it for #UD; one more is #GP
    } rows[] = {
        {0xea, 0xf2, 8}, {0x9a, 0xf2, 8}, {0xea, 0x66, 10}, {0xd4, 0xf2, 13}, {0x82, 0xf2, 12}, {0x06, 0xf2, 14},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        for (unsigned more = 0; more < 2; more++) {
            uint8_t bytes[INSN_MAX + 1] = {0};
            struct insn in;
            unsigned n = rows[i].most + more;
            memset(bytes, rows[i].prefix, n);
            bytes[n] = rows[i].opcode;
            ck_assert_int_eq(decode(d, bytes, INSN_MAX, DECODE_64, 0x1000, &in), 0);
            ck_assert_int_eq(in.class, IC_INVALID);
            ck_assert_msg(in.too_long == more, "%02x behind %u prefixes", rows[i].opcode, n);
        }
}
END_TEST

START_TEST(too_short)
{
    uint8_t bytes[INSN_MAX] = {0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8};
    struct insn in;
    for (unsigned n = 0; n < 10; n++)
        ck_assert_int_eq(decode(d, bytes, n, DECODE_64, 0, &in), -1);
    ck_assert_int_eq(decode(d, bytes, 10, DECODE_64, 0, &in), 0);
    memset(bytes, 0x66, sizeof bytes); // prefixes only: 14 may go on, 15 may not
    ck_assert_int_eq(decode(d, bytes, 14, DECODE_64, 0, &in), -1);
    ck_assert_int_eq(decode(d, bytes, 15, DECODE_64, 0, &in), 0);
    ck_assert_int_eq(in.class, IC_INVALID);
}
END_TEST

// Random bytes: whatever both accept has one length, and no read went past the end (the buffer is exact,
// so that a sanitizer sees it).
START_TEST(random_lengths)
{
    static const cs_mode modes[] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};
    csh cs;
    ck_assert_int_eq(cs_open(CS_ARCH_X86, modes[_i], &cs), CS_ERR_OK);
    cs_insn *ci = cs_malloc(cs);
    uint64_t seed = 0x9e3779b97f4a7c15 * (uint64_t)(_i + 1);
    unsigned both = 0, differ = 0;
    for (unsigned n = 0; n < 300000; n++) {
        uint8_t b[INSN_MAX];
        for (unsigned k = 0; k < sizeof b; k++) {
            seed = seed * 6364136223846793005 + 1442695040888963407;
            b[k] = (uint8_t)(seed >> 56);
        }
        if (n % 4 == 1)
            b[0] = 0x0f;
        struct insn in;
        ck_assert_int_eq(decode(d, b, sizeof b, (enum decode_mode)_i, 0, &in), 0);
        const uint8_t *p = b;
        size_t len = sizeof b;
        uint64_t ip = 0;
        // Two of the quirks are about lengths: EVEX, and 66h before a near branch in 64-bit mode.
        bool branch = in.opsize_prefix && (in.class == IC_JMP || in.class == IC_CALL || in.class == IC_JCC);
        if (in.class == IC_INVALID || in.enc == ENC_EVEX || branch || !cs_disasm_iter(cs, &p, &len, &ip, ci))
            continue;
        both++;
        differ += ci->size != in.len;
    }
    cs_free(ci, 1);
    cs_close(&cs);
    ck_assert_msg(both > 100000, "%u", both);
    ck_assert_msg(differ == 0, "%u of %u", differ, both);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("decode");
    TCase *t = tcase_create("decode");
    tcase_add_unchecked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, fields, 0, ARRAY_SIZE(table));
    tcase_add_loop_test(t, rules, 0, ARRAY_SIZE(classes));
    tcase_add_loop_test(t, capstone_quirks, 0, ARRAY_SIZE(quirks));
    tcase_add_test(t, details);
    tcase_add_test(t, too_long_if_it_were);
    tcase_add_test(t, too_short);
    tcase_add_loop_test(t, random_lengths, 0, 3);
    suite_add_tcase(s, t);
    return check_main(s);
}
