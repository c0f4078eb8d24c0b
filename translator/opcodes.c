// SPDX-License-Identifier: MIT
// Compiles opcodes.def, which people read, into rows, which decode.c matches.
#include "translator/opcodes.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/state.h"

struct opcode_def {
    uint8_t encs, map, lo, hi;
    const char *cond, *operands;
    uint8_t class;
    uint32_t flags;
};

#define L OPC_LEGACY
#define V OPC_VEX
#define E OPC_EVEX
#define R(f) ((uint32_t)(FL_##f))
#define W(f) ((uint32_t)(FL_##f) << 16)
#define P(f) (OF_PARTIAL | 0 * FL_ZF)
#define COND OF_COND
#define SHIFT OF_SHIFT
// clang-format off
#define OP(encs, map, lo, hi, cond, operands, cls, flags) {encs, map, lo, hi, cond, operands, IC_##cls, flags},
// clang-format on
static const struct opcode_def defs[] = {
#include "translator/opcodes.def"
};
#undef L
#undef V
#undef E
#undef R
#undef W
#undef P

enum { ENCS = 3, MAPS = 4, SLOTS = ENCS * MAPS * 256 };

struct opcode_table {
    struct opcode_row rows[ARRAY_SIZE(defs)];
    uint16_t first[SLOTS + 1];
    const struct opcode_row **list;
};

static const struct {
    const char *name;
    uint32_t bit;
} trait_names[] = {
    {"i64", OT_I64}, {"o64", OT_O64},     {"d64", OT_D64},       {"f64", OT_F64},   {"lock", OT_LOCK},
    {"b", OT_BYTE},  {"u", OT_UNALIGNED}, {"va", OT_ALIGNED},    {"x87", OT_X87},   {"mmx", OT_MMX},
    {"sse", OT_SSE}, {"avx", OT_AVX},     {"avx512", OT_AVX512}, {"nf", OT_NOMASK}, {"n1", OT_N1},
    {"mvv", OT_MVV}, {"vsib", OT_VSIB},   {"bits", OT_BITS},     {"end", OT_END},   {"wy", OT_WY},
};
static const struct {
    const char *name;
    uint8_t bit;
} pp_names[] = {
    {"np", OPC_NP},
    {"66", OPC_66},
    {"f3", OPC_F3},
    {"f2", OPC_F2},
};

static bool parse_condition(struct opcode_row *r, const char *tok)
{
    for (unsigned i = 0; i < ARRAY_SIZE(trait_names); i++)
        if (!strcmp(tok, trait_names[i].name)) {
            r->traits |= trait_names[i].bit;
            return true;
        }
    for (unsigned i = 0; i < ARRAY_SIZE(pp_names); i++)
        if (!strcmp(tok, pp_names[i].name)) {
            r->pp |= pp_names[i].bit;
            return true;
        }
    unsigned n = (unsigned)(tok[1] - '0');
    if (tok[0] == '/')
        r->ext |= (uint8_t)(1u << (n & 7));
    else if (tok[0] == '=')
        r->modrm = (int16_t)strtol(tok + 1, NULL, 16);
    else if (!strcmp(tok, "mem") || !strcmp(tok, "reg"))
        r->mod = tok[0] == 'm' ? 1 : 2;
    else if (tok[0] == 'w')
        r->w |= (uint8_t)(1u << (n & 1));
    else if (tok[0] == 'l')
        r->l |= (uint8_t)(1u << (n & 3));
    else if (tok[0] == 'e')
        r->elem = (uint8_t)n;
    else
        return false;
    return true;
}

static bool parse_implicit(struct opcode_row *r, const char *tok, uint8_t access)
{
    static const char names[] = "acdbSBsD"; // in register order
    const char *p = strchr(names, tok[0]);
    if (!p)
        return false;
    if (access & ACC_READ)
        r->implicit_read |= (uint16_t)(1u << (p - names));
    if (access & ACC_WRITE)
        r->implicit_written |= (uint16_t)(1u << (p - names));
    // A byte or word write merges with what was there.
    if (tok[1] == 'b' || tok[1] == 'w' || tok[1] == 'v' || tok[1] == 'z')
        r->implicit_read |= (uint16_t)(1u << (p - names));
    if (tok[1] && !r->implicit_size)
        r->implicit_size = tok[1];
    return true;
}

static bool parse_operand(struct opcode_row *r, const char *tok)
{
    uint8_t access = ACC_READ;
    if (*tok == '=' || *tok == '+')
        access = *tok++ == '=' ? ACC_WRITE : ACC_READ | ACC_WRITE;
    if (*tok == '@')
        return parse_implicit(r, tok + 1, access);
    struct operand op = {.place = tok[0], .size = tok[1], .access = access};
    if (tok[1] && tok[2] == '/')
        op.mem_size = tok[3];
    switch (tok[0]) {
    case 'G':
    case 'V':
    case 'P':
    case 'S':
    case 'k':
        r->reg = op;
        r->has_modrm = true;
        return true;
    case 'E':
    case 'M':
    case 'R':
    case 'W':
    case 'U':
    case 'Q':
    case 'N':
    case 'm':
    case 'T':
        if (r->rm.place && tok[0] == 'T') // "=Eb T": only says that there is a ModRM byte
            return true;
        r->rm = op;
        r->has_modrm = true;
        return true;
    case 'B':
    case 'H':
    case 'j': r->vvvv = op; return true;
    case 'Z': r->opreg = op; return true;
    case 'O': r->moffs = op; return true;
    case 'A': r->far = true; return true;
    case 'J':
        r->branch = true;
        r->imm[0] = tok[1];
        return true;
    case 'L': r->imm[0] = 'b'; return true;
    case 'I': r->imm[r->imm[0] ? 1 : 0] = tok[1]; return true;
    }
    return false;
}

static bool parse_tokens(struct opcode_row *r, const char *s, bool (*parse)(struct opcode_row *, const char *))
{
    char tok[16];
    while (*s) {
        size_t n = strcspn(s, " ");
        if (n && n < sizeof tok) {
            memcpy(tok, s, n);
            tok[n] = 0;
            if (!parse(r, tok))
                return false;
        }
        s += n + (s[n] == ' ');
    }
    return true;
}

static bool compile_row(struct opcode_row *r, const struct opcode_def *d)
{
    *r = (struct opcode_row){
        .encs = d->encs, .map = d->map, .lo = d->lo, .hi = d->hi, .modrm = -1, .class = d->class, .flags = d->flags};
    if (!parse_tokens(r, d->cond, parse_condition) || !parse_tokens(r, d->operands, parse_operand))
        return false;
    if (!r->ext)
        r->ext = 0xff;
    if (!r->mod && (r->rm.place == 'M'))
        r->mod = 1;
    if (!r->mod && (r->rm.place == 'R' || r->rm.place == 'U' || r->rm.place == 'N'))
        r->mod = 2;
    return true;
}

// Fills or (list NULL) counts the rows of every slot.
static unsigned index_rows(struct opcode_table *t, bool fill)
{
    unsigned n = 0;
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        unsigned enc = slot / (MAPS * 256), map = slot / 256 % MAPS, opcode = slot & 255;
        t->first[slot] = (uint16_t)n;
        for (unsigned i = 0; i < ARRAY_SIZE(defs); i++) {
            const struct opcode_row *r = &t->rows[i];
            if (!(r->encs >> enc & 1) || r->map != map || opcode < r->lo || opcode > r->hi)
                continue;
            if (fill)
                t->list[n] = r;
            n++;
        }
    }
    t->first[SLOTS] = (uint16_t)n;
    return n;
}

struct opcode_table *opcode_table_create(void)
{
    struct opcode_table *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(defs); i++)
        if (!compile_row(&t->rows[i], &defs[i])) {
            free(t);
            return NULL;
        }
    t->list = calloc(index_rows(t, false), sizeof *t->list);
    if (!t->list) {
        free(t);
        return NULL;
    }
    index_rows(t, true);
    return t;
}

void opcode_table_destroy(struct opcode_table *t)
{
    if (!t)
        return;
    free(t->list);
    free(t);
}

const struct opcode_row *const *opcode_rows(const struct opcode_table *t, unsigned enc, unsigned map, unsigned opcode,
                                            unsigned *count)
{
    static const uint8_t group[] = {[ENC_LEGACY] = 0, [ENC_VEX2] = 1, [ENC_VEX3] = 1, [ENC_EVEX] = 2};
    *count = 0;
    if (enc > ENC_EVEX || map >= MAPS)
        return NULL;
    unsigned slot = (group[enc] * MAPS + map) * 256 + (opcode & 255);
    *count = t->first[slot + 1] - t->first[slot];
    return t->list + t->first[slot];
}
