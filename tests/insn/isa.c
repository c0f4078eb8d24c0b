// SPDX-License-Identifier: MIT
// Parses isa.def once at start-up.
#include "tests/insn/isa.h"

#include <cpuid.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/state.h"

struct rule isa_rules[] = {
// clang-format off
#define I(t, e, o) { .text = t, .encoding = e, .options = o },
// clang-format on
#include "tests/insn/isa.def"
#undef I
};
const unsigned isa_count = ARRAY_SIZE(isa_rules);

// --- features ------------------------------------------------------------------------------------------

enum { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };
// clang-format off
static const struct feature { const char *name; uint32_t leaf, sub; uint8_t reg, bit; } features[] = {
    { "sse", 1, 0, CPUID_EDX, 25 }, { "sse2", 1, 0, CPUID_EDX, 26 }, { "sse3", 1, 0, CPUID_ECX, 0 },
    { "pclmul", 1, 0, CPUID_ECX, 1 }, { "ssse3", 1, 0, CPUID_ECX, 9 }, { "fma", 1, 0, CPUID_ECX, 12 },
    { "sse4_1", 1, 0, CPUID_ECX, 19 }, { "sse4_2", 1, 0, CPUID_ECX, 20 }, { "movbe", 1, 0, CPUID_ECX, 22 },
    { "popcnt", 1, 0, CPUID_ECX, 23 }, { "aes", 1, 0, CPUID_ECX, 25 }, { "xsave", 1, 0, CPUID_ECX, 27 },
    { "avx", 1, 0, CPUID_ECX, 28 }, { "f16c", 1, 0, CPUID_ECX, 29 }, { "lzcnt", 0x80000001, 0, CPUID_ECX, 5 },
    { "sse4a", 0x80000001, 0, CPUID_ECX, 6 }, { "fsgsbase", 7, 0, CPUID_EBX, 0 }, { "bmi1", 7, 0, CPUID_EBX, 3 },
    { "avx2", 7, 0, CPUID_EBX, 5 }, { "bmi2", 7, 0, CPUID_EBX, 8 }, { "avx512f", 7, 0, CPUID_EBX, 16 },
    { "avx512dq", 7, 0, CPUID_EBX, 17 }, { "adx", 7, 0, CPUID_EBX, 19 }, { "avx512ifma", 7, 0, CPUID_EBX, 21 },
    { "clflushopt", 7, 0, CPUID_EBX, 23 }, { "clwb", 7, 0, CPUID_EBX, 24 }, { "avx512cd", 7, 0, CPUID_EBX, 28 },
    { "sha", 7, 0, CPUID_EBX, 29 }, { "avx512bw", 7, 0, CPUID_EBX, 30 }, { "avx512vbmi", 7, 0, CPUID_ECX, 1 },
    { "avx512vbmi2", 7, 0, CPUID_ECX, 6 }, { "gfni", 7, 0, CPUID_ECX, 8 }, { "vaes", 7, 0, CPUID_ECX, 9 },
    { "vpclmul", 7, 0, CPUID_ECX, 10 }, { "avx512vnni", 7, 0, CPUID_ECX, 11 },
    { "avx512bitalg", 7, 0, CPUID_ECX, 12 }, { "avx512vpopcntdq", 7, 0, CPUID_ECX, 14 },
    { "avx512vp2intersect", 7, 0, CPUID_EDX, 8 }, { "avxvnni", 7, 1, CPUID_EAX, 4 },
    { "avx512bf16", 7, 1, CPUID_EAX, 5 },
};
// clang-format on

static bool has_feature(const char *name, bool *known)
{
    *known = true;
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        const struct feature *f = &features[i];
        uint32_t r[4];
        if (strcmp(name, f->name) != 0)
            continue;
        if (!__get_cpuid_count(f->leaf, f->sub, &r[0], &r[1], &r[2], &r[3]))
            return false;
        return r[f->reg] >> f->bit & 1;
    }
    return *known = false;
}

// --- operands ------------------------------------------------------------------------------------------

static const struct {
    const char *name;
    uint16_t size;
} types[] = {
    {"b", 1},    {"w", 2},   {"d", 4},   {"q", 8},     {"v", SZ_V},  {"y", SZ_Y},
    {"z", SZ_Z}, {"dq", 16}, {"qq", 32}, {"x", SZ_X},  {"h", SZ_H},  {"f", SZ_F},
    {"e", SZ_E}, {"ss", 4},  {"sd", 8},  {"ps", SZ_X}, {"pd", SZ_X},
};

static int parse_type(const char *t)
{
    if (isdigit((unsigned char)*t))
        return atoi(t);
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
        if (strcmp(t, types[i].name) == 0)
            return types[i].size;
    return -1;
}

// Letters that start an operand. Two-letter ones first; lower-case and other names are fixed registers.
static const struct {
    const char *letter;
    uint8_t field, kind;
    bool reg_ok, mem_ok;
} letters[] = {
    {"KG", OF_REG, OK_MASK, true, false}, {"KR", OF_RM, OK_MASK, true, false},  {"KB", OF_VVVV, OK_MASK, true, false},
    {"E", OF_RM, OK_GPR, true, true},     {"R", OF_RM, OK_GPR, true, false},    {"M", OF_RM, OK_NONE, false, true},
    {"G", OF_REG, OK_GPR, true, false},   {"B", OF_VVVV, OK_GPR, true, false},  {"V", OF_REG, OK_VEC, true, false},
    {"W", OF_RM, OK_VEC, true, true},     {"U", OF_RM, OK_VEC, true, false},    {"H", OF_VVVV, OK_VEC, true, false},
    {"L", OF_IS4, OK_VEC, true, false},   {"P", OF_REG, OK_MMX, true, false},   {"Q", OF_RM, OK_MMX, true, true},
    {"N", OF_RM, OK_MMX, true, false},    {"S", OF_REG, OK_SREG, true, false},  {"Z", OF_OPCODE, OK_GPR, true, false},
    {"I", OF_IMM, OK_NONE, false, false}, {"J", OF_REL, OK_NONE, false, false}, {"O", OF_MOFFS, OK_NONE, false, true},
    {"X", OF_VSIB, OK_NONE, false, true},
};
static const char *const fixed[] = {"AL",    "AX",         "rAX",       "rDX", "DX", "CL", "1",  "b",  "v",  "ST",
                                    "ST(i)", "(function)", "(counted)", "FS",  "GS", "ES", "CS", "SS", "DS", "CR/DR"};

static int parse_operand(struct rule *r, const char *s)
{
    for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++)
        if (strcmp(s, fixed[i]) == 0)
            return 0;
    for (unsigned i = 0; i < ARRAY_SIZE(letters); i++) {
        size_t n = strlen(letters[i].letter);
        if (strncmp(s, letters[i].letter, n) != 0)
            continue;
        int size = letters[i].kind == OK_MASK ? 8 : parse_type(s + n);
        if (size < 0 || r->nops == ARRAY_SIZE(r->op))
            return -1;
        r->op[r->nops++] = (struct operand){letters[i].field, letters[i].kind, letters[i].reg_ok, letters[i].mem_ok,
                                            (uint16_t)size};
        if (letters[i].field == OF_REG || letters[i].field == OF_RM || letters[i].field == OF_VSIB)
            r->has_modrm = true;
        if ((size == SZ_V || size == SZ_Z || size == SZ_Y) && r->enc == RE_LEGACY)
            r->flags |= RF_SIZED;
        return 0;
    }
    return -1;
}

static int parse_operands(struct rule *r)
{
    char buf[96], *save, *space;
    snprintf(buf, sizeof(buf), "%s", r->text);
    if (!(space = strchr(buf, ' ')))
        return 0;
    for (char *t = strtok_r(space + 1, ", ", &save); t; t = strtok_r(NULL, ", ", &save))
        if (parse_operand(r, t))
            return -1;
    return 0;
}

// --- encoding ------------------------------------------------------------------------------------------

static int parse_vex(struct rule *r, char *t)
{
    static const struct {
        const char *name;
        uint8_t vl;
    } lengths[] = {
        {"128", VL_128},        {"256", VL_256}, {"512", VL_512},
        {"LZ", VL_128},         {"LIG", VL_IG},  {"x", VL_128 | VL_256 | VL_512},
        {"y", VL_256 | VL_512},
    };
    static const struct {
        const char *name;
        uint8_t pp;
    } pps[] = {{"NP", 0}, {"66", 0x66}, {"F3", 0xf3}, {"F2", 0xf2}};
    char *save, *f[5];
    unsigned n = 0;
    for (char *p = strtok_r(t, ".", &save); p && n < 5; p = strtok_r(NULL, ".", &save))
        f[n++] = p;
    if (n != 5)
        return -1;
    r->enc = f[0][0] == 'E' ? RE_EVEX : RE_VEX;
    for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++)
        if (strcmp(f[1], lengths[i].name) == 0)
            r->vl = lengths[i].vl;
    if (r->enc == RE_VEX && r->vl != VL_IG)
        r->vl &= VL_128 | VL_256;
    for (unsigned i = 0; i < ARRAY_SIZE(pps); i++)
        if (strcmp(f[2], pps[i].name) == 0)
            r->pp = pps[i].pp;
    r->map = strcmp(f[3], "0F") == 0 ? 1 : strcmp(f[3], "0F38") == 0 ? 2 : 3;
    r->w = f[4][1] == '0' ? W_0 : f[4][1] == '1' ? W_1 : f[4][1] == 'y' ? W_Y : W_IG;
    return r->vl ? 0 : -1;
}

static int parse_encoding(struct rule *r)
{
    char buf[64], *save;
    uint8_t all[6];
    unsigned n = 0;
    snprintf(buf, sizeof(buf), "%s", r->encoding);
    r->digit = -1;
    for (char *t = strtok_r(buf, " ", &save); t; t = strtok_r(NULL, " ", &save)) {
        if (t[0] == '/') {
            r->digit = (int8_t)(t[1] - '0');
            r->has_modrm = true;
        } else if (strchr(t, '.')) {
            if (parse_vex(r, t))
                return -1;
        } else {
            char *end;
            all[n++] = (uint8_t)strtoul(t, &end, 16);
            if (strcmp(end, "+i") == 0)
                r->plus_i = true;
            else if (*end)
                return -1;
            if (n == sizeof(all))
                return -1;
        }
    }
    // The first of two or more bytes may be a mandatory prefix.
    unsigned k = 0;
    if (n > 1 && (all[0] == 0x66 || all[0] == 0xf2 || all[0] == 0xf3))
        r->pp = all[k++];
    if (n - k > 4)
        return -1;
    for (; k < n; k++)
        r->bytes[r->nbytes++] = all[k];
    return r->nbytes ? 0 : -1;
}

// --- options -------------------------------------------------------------------------------------------

static uint16_t parse_flags(const char *s)
{
    static const struct {
        char c;
        uint16_t bit;
    } letters_[] = {{'O', FL_OF}, {'S', FL_SF}, {'Z', FL_ZF},   {'A', FL_AF},
                    {'P', FL_PF}, {'C', FL_CF}, {'*', FL_ARITH}};
    uint16_t v = 0;
    for (; *s; s++)
        for (unsigned i = 0; i < ARRAY_SIZE(letters_); i++)
            if (*s == letters_[i].c)
                v |= letters_[i].bit;
    return v;
}

static const struct {
    const char *name;
    uint32_t bit;
} options[] = {
    {"lock", RF_LOCK}, {"al", RF_ALIGNED}, {"sz=v", RF_SIZED},    {"d64", RF_D64},   {"noq", RF_NOQ},
    {"W1", RF_W1},     {"no64", RF_NO64},  {"only64", RF_ONLY64}, {"end", RF_END},   {"x87", RF_X87},
    {"mmx", RF_MMX},   {"k", RF_K},        {"kz", RF_K | RF_KZ},  {"b4", RF_B4},     {"b8", RF_B8},
    {"er", RF_ER},     {"sae", RF_SAE},    {"nd8", RF_ND8},       {"rare", RF_RARE}, {"F512", RF_F512},
};

static int parse_option(struct rule *r, const char *t, bool *unaligned)
{
    for (unsigned i = 0; i < ARRAY_SIZE(options); i++)
        if (strcmp(t, options[i].name) == 0) {
            r->flags |= options[i].bit;
            return 0;
        }
    if (strcmp(t, "ua") == 0) {
        *unaligned = true;
    } else if (strncmp(t, "w=", 2) == 0) {
        r->fl_write = parse_flags(t + 2);
    } else if (strncmp(t, "u=", 2) == 0) {
        r->fl_undef = parse_flags(t + 2);
    } else if (strncmp(t, "r=", 2) == 0) {
        r->fl_read = parse_flags(t + 2);
    } else if (strncmp(t, "n=", 2) == 0) {
        r->weight = (uint16_t)atoi(t + 2);
    } else if (strncmp(t, "f=", 2) == 0) {
        snprintf(r->feature, sizeof(r->feature), "%s", t + 2);
    } else if (strncmp(t, "p=", 2) == 0) {
        snprintf(r->prep, sizeof(r->prep), "%s", t + 2);
    } else if (strncmp(t, "cl=", 3) == 0) {
        static const char regs[] = "ACDBQRST"; // in register-number order
        for (const char *c = t + 3; *c; c++)
            r->clobbers |= (uint16_t)(1u << (strchr(regs, *c) - regs));
    } else {
        return -1;
    }
    return 0;
}

static int parse_options(struct rule *r)
{
    char buf[96], *save;
    bool unaligned = false;
    snprintf(buf, sizeof(buf), "%s", r->options);
    r->weight = 1;
    for (char *t = strtok_r(buf, " ", &save); t; t = strtok_r(NULL, " ", &save))
        if (parse_option(r, t, &unaligned))
            return -1;
    // SDM vol. 1, section 4.1.1 "Alignment of Words, ...": 16-byte legacy SSE operands must be aligned.
    for (unsigned i = 0; i < r->nops; i++)
        if (r->enc == RE_LEGACY && !unaligned && r->op[i].mem_ok && r->op[i].size == 16)
            r->flags |= RF_ALIGNED;
    return 0;
}

int isa_init(void)
{
    for (unsigned i = 0; i < isa_count; i++) {
        struct rule *r = &isa_rules[i];
        bool known = true;
        r->index = (uint16_t)i;
        if (parse_encoding(r) || parse_operands(r) || parse_options(r)) {
            fprintf(stderr, "isa.def: cannot read I(\"%s\", \"%s\", \"%s\")\n", r->text, r->encoding, r->options);
            return -1;
        }
        r->available = !r->feature[0] || has_feature(r->feature, &known);
        if (r->available && (r->flags & RF_F512 || r->enc == RE_EVEX)) {
            bool k2;
            r->available = has_feature("avx512f", &k2);
        }
        if (!known) {
            fprintf(stderr, "isa.def: unknown feature in I(\"%s\", ..., \"%s\")\n", r->text, r->options);
            return -1;
        }
    }
    return 0;
}
