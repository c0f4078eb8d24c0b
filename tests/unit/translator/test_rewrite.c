// SPDX-License-Identifier: MIT
// The rewriter: instructions with their operand moved to [r14+r15] or [r14] run and must do what they say.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cpu/state.h"
#include "translator/rewrite.h"
#include "tests/unit/translator/hex.h"
#include "tests/unit/check_main.h"

static struct decoder *d;

// At an address below 2 GiB, so that code reaches it without a register.
struct arena {
    uint64_t gpr[16], flags;
    _Alignas(64) uint8_t mem[128];
};
static struct arena *a;
static uint8_t *code;

static void setup(void)
{
    ck_assert_int_eq(decoder_create(&d), 0);
    a = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    code = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(a != MAP_FAILED && code != MAP_FAILED);
}

static void teardown(void)
{
    munmap(a, PAGE_SIZE);
    munmap(code, PAGE_SIZE);
    decoder_destroy(d);
}

#define AT(field) EMEM(-1, (int32_t)(uintptr_t)&a->field)

static struct insn decode_hex(const char *hex, enum decode_mode mode)
{
    uint8_t bytes[INSN_MAX] = {0};
    struct insn in;
    unsigned n = parse_hex(hex, bytes);
    ck_assert_msg(!decode(d, bytes, n, mode, 0, &in) && in.len == n && in.class == IC_PLAIN, "%s", hex);
    return in;
}

// Runs what emitter made of the arena's registers (all but RSP).
static void run(const uint8_t *body, unsigned len)
{
    static const uint8_t saved[] = {RBX, RBP, R12, R13, R14, R15};
    ck_assert_int_eq(mprotect(code, PAGE_SIZE, PROT_READ | PROT_WRITE), 0);
    struct emit e = {.p = code, .end = code + PAGE_SIZE};
    for (unsigned i = 0; i < 6; i++)
        emit_op_reg(&e, 0, 0xff, 6, saved[i]); // push
    emit_op_mem(&e, 0, 0xff, 6, AT(flags));
    emit_8(&e, 0x9d);
    for (int r = 0; r < 16; r++)
        if (r != RSP)
            emit_load(&e, r, AT(gpr[r]));
    emit_bytes(&e, body, len);
    for (int r = 0; r < 16; r++)
        if (r != RSP)
            emit_store(&e, AT(gpr[r]), r);
    emit_8(&e, 0x9c);
    emit_op_mem(&e, 0, 0x8f, 0, AT(flags));
    for (int i = 5; i >= 0; i--)
        emit_op_reg(&e, 0, 0x8f, 0, saved[i]); // pop
    emit_8(&e, 0xc3);
    ck_assert(!e.overflow);
    ck_assert_int_eq(mprotect(code, PAGE_SIZE, PROT_READ | PROT_EXEC), 0);
    ((void (*)(void))(uintptr_t)code)();
}

static const uint64_t start[16] = {
    [RAX] = 0x11121314a5a60748, [RCX] = 0x2122232425262728, [RDX] = 0x3132333435363738, [RBX] = 0x4142434445464748,
    [RBP] = 0x5152535455565758, [RSI] = 0x6162636465666768, [RDI] = 0x7172737475767778, [R8] = 0x8182838485868788,
    [R9] = 0x9192939495969798,  [R10] = 0xa1a2a3a4a5a6a7a8, [R11] = 0xb1b2b3b4b5b6b7b8, [R12] = 0xc1c2c3c4c5c6c7c8,
    [R13] = 0xd1d2d3d4d5d6d7d8,
};
#define MEM 0x0102030405060748ull
enum { PAIR, BASE }; // [r14+r15], or [r14] with r15 standing for guest r14 (value R14V)
#define R14V 0xe1e2e3e4e5e6e7e8ull

static const struct {
    const char *hex;
    uint8_t mode, form;
    int8_t reg; // register that changes, or -1
    uint64_t reg_value;
    uint64_t mem; // after
} cases[] = {
    // AH..BH beside [r14+r15]
    {"00 2f", DECODE_64, PAIR, -1, 0, MEM + 0x27},                           // add [rdi],ch
    {"8a 3e", DECODE_64, PAIR, RBX, 0x4142434445464848, MEM},                // mov bh,[rsi]
    {"02 27", DECODE_64, PAIR, RAX, 0x11121314a5a64f48, MEM},                // add ah,[rdi]
    {"0f c0 27", DECODE_64, PAIR, RAX, 0x11121314a5a64848, MEM + 7},         // xadd [rdi],ah
    {"86 37", DECODE_64, PAIR, RDX, 0x3132333435364838, 0x0102030405060737}, // xchg [rdi],dh
    {"0f b0 27", DECODE_64, PAIR, -1, 0, 0x0102030405060707},                // cmpxchg [rdi],ah: AL is 48h
    {"0f b0 2f", DECODE_64, PAIR, -1, 0, 0x0102030405060727},                // cmpxchg [rdi],ch
    {"c6 07 55", DECODE_64, PAIR, -1, 0, 0x0102030405060755},                // mov byte [rdi],55h
    {"40 88 2f", DECODE_64, PAIR, -1, 0, 0x0102030405060758},                // mov [rdi],bpl: REX stays
    // any address form becomes the same one
    {"48 8b 84 8b 00 01 00 00", DECODE_64, PAIR, RAX, MEM, MEM}, // mov rax,[rbx+rcx*4+256]
    {"65 67 4a 03 04 25 00 00 00 00", DECODE_64, PAIR, RAX, 0x11121314a5a60748 + MEM, MEM},
    {"48 03 0d 00 00 00 00", DECODE_64, PAIR, RCX, 0x2122232425262728 + MEM, MEM}, // rip-relative
    {"66 81 07 34 12", DECODE_64, PAIR, -1, 0, 0x010203040506197c},                // add word [rdi],1234h
    {"48 c7 07 ff ff ff ff", DECODE_64, PAIR, -1, 0, ~0ull},
    {"48 a1 88 77 66 55 44 33 22 11", DECODE_64, PAIR, RAX, MEM, MEM}, // mov rax,moffs
    {"f3 48 0f b8 07", DECODE_64, PAIR, RAX, 14, MEM},                 // popcnt
    // guest r14 is r15 here
    {"4d 01 37", DECODE_64, BASE, -1, 0, MEM + R14V},          // add [r15],r14
    {"4d 8b 75 08", DECODE_64, BASE, R15, MEM, MEM},           // mov r14,[r13+8]
    {"c4 42 88 f2 37", DECODE_64, BASE, R15, ~R14V &MEM, MEM}, // andn r14,r14,[r15]
    {"c4 62 bb f7 37", DECODE_64, BASE, R15, MEM >> 8, MEM},   // shrx r14,[rdi],r8: count 8
    // 16 and 32 bits
    {"03 07", DECODE_32, PAIR, RAX, 0xa5a60748u + 0x05060748u, MEM},
    {"66 03 07", DECODE_32, PAIR, RAX, 0x11121314a5a60e90, MEM},
    {"03 07", DECODE_16, PAIR, RAX, 0x11121314a5a60e90, MEM},
    {"66 03 07", DECODE_16, PAIR, RAX, 0xa5a60748u + 0x05060748u, MEM},
    {"41", DECODE_32, PAIR, RCX, 0x25262729, MEM},         // inc ecx
    {"49", DECODE_16, PAIR, RCX, 0x2122232425262727, MEM}, // dec cx
    {"a1 00 00 00 00", DECODE_32, PAIR, RAX, 0x05060748, MEM},
    {"82 07 10", DECODE_32, PAIR, -1, 0, MEM + 0x10},
};

START_TEST(executes)
{
    struct insn in = decode_hex(cases[_i].hex, (enum decode_mode)cases[_i].mode);
    bool pair = cases[_i].form == PAIR;
    struct rewrite how = {.mem = in.has_mem, .base = R14, .index = pair ? R15 : -1, .map14 = R15, .map15 = 0xff};
    uint8_t body[64];
    struct emit e = {.p = body, .end = body + sizeof body};
    ck_assert_msg(rewrite_plain(&e, &in, &how) == 0 && !e.overflow, "%s", cases[_i].hex);
    memcpy(a->gpr, start, sizeof start);
    memset(a->mem, 0, sizeof a->mem);
    uint64_t mem = MEM;
    memcpy(a->mem + 8, &mem, 8);
    a->flags = 2;
    a->gpr[R14] = (uintptr_t)a->mem + (pair ? 0x1008 : 8);
    a->gpr[R15] = pair ? (uint64_t)-0x1000 : R14V;
    uint64_t before[16];
    memcpy(before, a->gpr, sizeof before);
    run(body, (unsigned)(e.p - body));
    memcpy(&mem, a->mem + 8, 8);
    ck_assert_msg(mem == cases[_i].mem, "%s: memory %llx", cases[_i].hex, (unsigned long long)mem);
    for (int r = 0; r < 16; r++) {
        bool scratch = r == RSP || r == R14 || (r == R15 && pair);
        uint64_t want = r == cases[_i].reg ? cases[_i].reg_value : before[r];
        ck_assert_msg(scratch || a->gpr[r] == want, "%s: register %d is %llx, want %llx", cases[_i].hex, r,
                      (unsigned long long)a->gpr[r], (unsigned long long)want);
    }
}
END_TEST

// Loads 16, 32 or 64 bytes and stores them back elsewhere, through every vector encoding and number.
START_TEST(vectors)
{
    static const struct {
        const char *load, *store;
        unsigned size;
    } v[] = {
        {"f3 0f 6f 07", "f3 0f 7f 07", 16},
        {"f3 44 0f 6f 3f", "f3 44 0f 7f 3f", 16},
        {"c5 fe 6f 07", "c5 fe 7f 07", 32},
        {"c4 61 7e 6f 3f", "c4 61 7e 7f 3f", 32},
        {"62 f1 7e 48 6f 07", "62 f1 7e 48 7f 07", 64},
        {"62 61 7e 48 6f 3f", "62 61 7e 48 7f 3f", 64},
        {"62 e1 7e 48 6f 45 01", "62 e1 7e 48 7f 45 02", 64},
    };
    if (v[_i].size == 32 && !__builtin_cpu_supports("avx"))
        return;
    if (v[_i].size == 64 && !__builtin_cpu_supports("avx512f"))
        return;
    struct insn load = decode_hex(v[_i].load, DECODE_64), store = decode_hex(v[_i].store, DECODE_64);
    // Base registers whose low bits are special: r13 needs a displacement, r12 a SIB byte.
    static const int8_t bases[][2] = {{R14, R15}, {R13, -1}, {R12, -1}, {R14, -1}, {R13, R14}, {RBX, -1}};
    for (unsigned k = 0; k < ARRAY_SIZE(bases); k++) {
        uint8_t body[64];
        struct emit e = {.p = body, .end = body + sizeof body};
        struct rewrite how = {.mem = true, .base = bases[k][0], .index = bases[k][1], .map14 = R14, .map15 = R15};
        ck_assert_int_eq(rewrite_plain(&e, &load, &how), 0);
        emit_lea(&e, bases[k][0], EMEM(bases[k][0], 64));
        ck_assert_int_eq(rewrite_plain(&e, &store, &how), 0);
        for (unsigned i = 0; i < 64; i++) {
            a->mem[i] = (uint8_t)(i * 7 + k);
            a->mem[64 + i] = 0xee;
        }
        memset(a->gpr, 0, sizeof a->gpr);
        a->flags = 2;
        a->gpr[bases[k][0]] = (uintptr_t)a->mem;
        run(body, (unsigned)(e.p - body));
        ck_assert_mem_eq(a->mem + 64, a->mem, v[_i].size);
        if (v[_i].size < 64)
            ck_assert_int_eq(a->mem[64 + v[_i].size], 0xee);
    }
}
END_TEST

START_TEST(refusals)
{
    // clang-format off
    static const struct { const char *hex; uint8_t mode; } no[] = {
        {"27", DECODE_32}, {"2f", DECODE_32}, {"37", DECODE_32}, {"3f", DECODE_32}, {"d4 0a", DECODE_32}, {"d5 0a", DECODE_32},
        {"d6", DECODE_32}, {"62 07", DECODE_32}, {"63 07", DECODE_32}, {"63 c1", DECODE_32},
        {"c4 e2 71 92 04 05 00 00 00 00", DECODE_64}, // gather
        {"4d 01 3f", DECODE_64},                      // names r15, which is not to be had (map15)
    };
    // clang-format on
    uint8_t body[64];
    for (unsigned i = 0; i < ARRAY_SIZE(no); i++) {
        struct insn in = decode_hex(no[i].hex, (enum decode_mode)no[i].mode);
        struct emit e = {.p = body, .end = body + sizeof body};
        struct rewrite how = {.mem = in.has_mem, .base = R14, .index = R15, .map14 = R14, .map15 = 0xff};
        ck_assert_msg(rewrite_plain(&e, &in, &how) == -1, "%s", no[i].hex);
    }
    // and the bracket is announced, for fault recovery
    struct insn in = decode_hex("00 2f", DECODE_64);
    struct rewrite how = {.mem = true, .base = R14, .index = R15, .map14 = R14, .map15 = R15};
    ck_assert_int_eq(rewrite_swapped(&in, &how), 1);
    in = decode_hex("40 00 2f", DECODE_64);
    ck_assert_int_eq(rewrite_swapped(&in, &how), -1);
    how.base = RBX, how.index = -1;
    in = decode_hex("00 2f", DECODE_64);
    ck_assert_int_eq(rewrite_swapped(&in, &how), -1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("rewrite");
    TCase *t = tcase_create("rewrite");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, executes, 0, ARRAY_SIZE(cases));
    tcase_add_loop_test(t, vectors, 0, 7);
    tcase_add_test(t, refusals);
    suite_add_tcase(s, t);
    return check_main(s);
}
