// SPDX-License-Identifier: MIT
// VEX and EVEX forms that exist and that do not, though Capstone and the decoder's table took them: the host says
// which, before the guest's operand is touched. They come from differences of insn-diff, or stand beside one.
#include <stdlib.h>
#include <string.h>

#include "cpu/state.h"
#include "translator/decode.h"
#include "translator/host_fault.h"
#include "translator/interp.h"
#include "tests/unit/check_main.h"

static struct interp *in;
static struct decoder *d;

static void setup(void)
{
    ck_assert_int_eq(host_fault_init(), 0);
    ck_assert_int_eq(host_fault_thread_init(), 0);
    ck_assert_int_eq(interp_create(&in, &vcpu_self), 0);
    ck_assert_int_eq(decoder_create(&d), 0);
}

static void teardown(void)
{
    decoder_destroy(d);
    interp_destroy(in);
}

static const struct {
    const char *hex;
    uint8_t mode;
    bool exists;
} forms[] = {
    {"62 f2 65 2c df 92 58 5c 6a 05", DECODE_32, false}, // vaesdeclast takes no mask
    {"62 f2 65 28 df 92 58 5c 6a 05", DECODE_32, true},
    {"62 41 05 42 f6 af d5 22 00 00", DECODE_64, false}, // nor does vpsadbw
    {"62 41 05 40 f6 af d5 22 00 00", DECODE_64, true},
    {"62 d1 7c 09 2e 9d 8a d5 74 f9", DECODE_64, false}, // nor vucomiss
    {"62 d1 7c 08 2e 9d 8a d5 74 f9", DECODE_64, true},
    {"62 f1 7d 0d 10 1c 25 0c 00 ff ff", DECODE_64, false}, // vmovupd is W1
    {"62 f1 fd 0d 10 1c 25 0c 00 ff ff", DECODE_64, true},
    {"62 c1 fe 58 6f a7 f5 23 5b 04", DECODE_64, false}, // vmovdqu64 does not broadcast
    {"62 c1 fe 48 6f a7 f5 23 5b 04", DECODE_64, true},
    {"62 f1 7c 49 11 00", DECODE_64, true},           // vmovups [rax]{k1},zmm0
    {"62 f1 7c c9 10 00", DECODE_64, true},           // vmovups zmm0{k1}{z},[rax]
    {"62 f1 7c c9 11 00", DECODE_64, false},          // a store does not zero
    {"62 01 14 40 58 34 3e", DECODE_64, true},        // vaddps zmm30,zmm29,[r14+r15]
    {"62 f1 7c 59 c2 08 00", DECODE_64, true},        // vcmpeqps k1{k1},zmm0,[rax]{1to16}
    {"62 f2 7d 49 8a 00", DECODE_64, true},           // vcompressps [rax]{k1},zmm0
    {"62 71 7e 08 2d 30", DECODE_64, true},           // vcvtss2si r14d,[rax]
    {"c4 62 79 5a ae 27 ae 64 04", DECODE_64, false}, // vbroadcasti128 xmm13,[rsi+464ae27h]
    {"c4 62 7d 5a ae 27 ae 64 04", DECODE_64, true},  // ymm13
    {"c4 42 11 8e 3c 24", DECODE_64, true},           // vpmaskmovd [r12],xmm13,xmm15
    {"c4 c2 89 f7 06", DECODE_64, true},              // shlx rax,[r14],r14
    {"62 f2 7d 49 92 04 08", DECODE_64, true},        // vgatherdps zmm0{k1},[rax+zmm1]: not asked
};

static struct insn decode_hex(const char *hex, enum decode_mode mode)
{
    uint8_t bytes[INSN_MAX] = {0};
    struct insn i;
    unsigned n = 0;
    char *end;
    for (unsigned long v = strtoul(hex, &end, 16); end != hex && n < INSN_MAX; v = strtoul(hex, &end, 16)) {
        bytes[n++] = (uint8_t)v;
        hex = end;
    }
    ck_assert_int_eq(decode(d, bytes, n, mode, 0x1000, &i), 0);
    return i;
}

START_TEST(vector_forms)
{
    uint64_t before[16];
    if (!__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl") ||
        !__builtin_cpu_supports("avx512vbmi2") || !__builtin_cpu_supports("vaes"))
        return;
    for (unsigned k = 0; k < 16; k++)
        vcpu_self.gpr[k] = before[k] = 0x0123456789abcdef * (k + 1);
    decoder_ask_host(d, interp_host_knows, in);
    for (unsigned round = 0; round < 2; round++) { // the second time the verdict is a remembered one
        struct insn i = decode_hex(forms[_i].hex, forms[_i].mode);
        ck_assert_msg((i.class != IC_INVALID) == forms[_i].exists, "%s, round %u", forms[_i].hex, round);
    }
    ck_assert(!memcmp(before, vcpu_self.gpr, sizeof before));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("host verdict");
    TCase *t = tcase_create("host verdict");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, vector_forms, 0, sizeof forms / sizeof forms[0]);
    suite_add_tcase(s, t);
    return check_main(s);
}
