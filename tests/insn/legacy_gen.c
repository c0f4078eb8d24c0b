// SPDX-License-Identifier: MIT
// Draws cases of 16-bit and segmented code: segments, registers, and instructions encoded at random.
//
// There is no model of any instruction here, so that anything goes: both sides see the same bytes. What is left out
// would end the comparison rather than test it: HLT, writes to control and debug registers, RDTSC and its kin, and
// x87 environments (which hold the host's instruction pointers).
#include <string.h>

#include "tests/insn/legacy.h"

static const char *const mode_names[LM_MODES] = {"real mode", "big real mode", "VM86", "16-bit protected mode",
                                                 "32-bit segmented protected mode"};
const char *legacy_mode_name(enum legacy_mode m) { return mode_names[m]; }

// --- values

static uint32_t interesting(struct rng *r)
{
    static const uint32_t v[] = {0,      1,       2,          0x7f,       0x80,       0xff,      0x100,
                                 0xfff,  0x1000,  0x7fff,     0x8000,     0xfffc,     0xfffd,    0xfffe,
                                 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
    switch (rng_below(r, 4)) {
    case 0: return v[rng_below(r, ARRAY_SIZE(v))];
    case 1: return rng_below(r, 0x10000);
    case 2: return rng_below(r, 0x2000);
    default: return rng_chance(r, 50) ? rng_below(r, 0x20000) : (uint32_t)rng_next(r);
    }
}

// --- segments

enum { CODE = 0x800, RW = 0x200, DOWN = 0x400 };

// A descriptor in both forms.
static uint64_t pack(const struct segment *s)
{
    uint32_t limit = s->attr & SEG_G ? s->limit >> 12 : s->limit;
    uint64_t lo = (limit & 0xffff) | (s->base & 0xffff) << 16;
    uint64_t hi = (s->base >> 16 & 0xff) | (s->base & 0xff000000) | s->attr | (limit & 0xf0000);
    return lo | hi << 32;
}

static uint32_t draw_limit(struct rng *r, bool *pages)
{
    static const uint32_t v[] = {0xffff, 0xffff, 0x7ff, 0xfff, 0x1000, 0x1fff, 0xfffe, 0x1ffff, 0xfffff};
    *pages = rng_chance(r, 20);
    if (*pages)
        return rng_chance(r, 50) ? 0xffffffff : rng_below(r, 0x40) << 12 | 0xfff;
    return rng_chance(r, 20) ? rng_below(r, 0x12000) : v[rng_below(r, ARRAY_SIZE(v))];
}

static struct segment draw_segment(struct rng *r, bool code)
{
    bool pages;
    struct segment s = {.limit = draw_limit(r, &pages)};
    s.base = rng_chance(r, 10) ? 0 : rng_chance(r, 50) ? rng_below(r, 0xf00) << 8 : rng_below(r, 0xf0000);
    s.attr = SEG_S | SEG_P | (pages ? SEG_G : 0) | (rng_chance(r, 50) ? SEG_DB : 0) | 0x100;
    s.attr |= rng_chance(r, 70) ? SEG_DPL : rng_below(r, 4) << 13;
    if (code)
        s.attr |= CODE | (rng_chance(r, 70) ? RW : 0) | (rng_chance(r, 20) ? DOWN : 0);
    else
        s.attr |= (rng_chance(r, 85) ? RW : 0) | (rng_chance(r, 20) ? DOWN : 0);
    if (rng_chance(r, 5))
        s.attr &= ~(uint32_t)SEG_P;
    return s;
}

enum { FIRST_SEL = 4, LAST_SEL = 27, CODE_SEL = 28, STACK_SEL = 29 };

static void draw_tables(struct legacy_case *lc, struct rng *r, struct segment *all)
{
    lc->gdt[1] = 0x00cf9b000000ffff; // the handlers' code and data
    lc->gdt[2] = 0x00cf93000000ffff;
    lc->gdt[3] = 0x00008b1830000000 | (0x68 + 63); // TSS at 183000h
    for (unsigned i = FIRST_SEL; i <= LAST_SEL; i++) {
        all[i] = draw_segment(r, rng_chance(r, 30));
        lc->gdt[i] = pack(&all[i]);
    }
    for (unsigned i = 0; i < 8; i++) {
        struct segment s = draw_segment(r, rng_chance(r, 30));
        lc->ldt[i] = pack(&s);
    }
    if (rng_chance(r, 30)) // a call gate to the handlers' flat segment, which ends the case
        lc->gdt[LAST_SEL] = 0x0018ec0000080000ull | rng_below(r, 4) * 4;
}

static void draw_protected(struct legacy_case *lc, struct rng *r)
{
    struct segment all[32] = {0};
    static const uint8_t data[] = {ES, DS, FS, GS};
    unsigned cpl = lc->cpl0 ? 0 : 3;
    draw_tables(lc, r, all);
    struct segment cs = draw_segment(r, true);
    cs.attr = (cs.attr | SEG_P) & ~(uint32_t)(SEG_DB | SEG_DPL);
    cs.attr |= (lc->mode == LM_PM32 ? SEG_DB : 0) | cpl << 13;
    cs.base = 0x10000 + rng_below(r, 0x70000);
    if (cs.limit < 0x1ff)
        cs.limit = cs.attr & SEG_G ? 0xfff : 0x1ff;
    cs.sel = (uint16_t)(CODE_SEL * 8 | cpl);
    lc->gdt[CODE_SEL] = pack(&cs);
    lc->seg[CS] = cs;
    struct segment ss = draw_segment(r, false);
    ss.attr = (ss.attr | SEG_P | RW) & ~(uint32_t)SEG_DPL;
    ss.attr |= cpl << 13;
    ss.sel = (uint16_t)(STACK_SEL * 8 | cpl);
    lc->gdt[STACK_SEL] = pack(&ss);
    lc->seg[SS] = ss;
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
        unsigned n = FIRST_SEL + rng_below(r, LAST_SEL - FIRST_SEL);
        struct segment s = all[n];
        s.sel = (uint16_t)(n * 8 | cpl);
        if (!(s.attr & SEG_P) || (s.attr & (CODE | RW)) == CODE || (s.attr >> 13 & 3) < cpl || rng_chance(r, 5))
            s = (struct segment){0};
        lc->seg[data[i]] = s;
    }
    if (rng_chance(r, 10)) // all flat but one
        for (unsigned i = 0; i < 3; i++) {
            unsigned s = (const uint8_t[]){ES, DS, SS}[i];
            lc->seg[s] = (struct segment){
                .limit = 0xffffffff, .attr = SEG_S | SEG_P | SEG_G | SEG_DB | 0x300 | cpl << 13, .sel = lc->seg[s].sel};
        }
}

static void draw_paragraphs(struct legacy_case *lc, struct rng *r)
{
    bool vm = lc->mode == LM_VM86;
    for (unsigned i = 0; i < SREG_COUNT; i++) {
        uint16_t sel = i == CS             ? (uint16_t)(0x1000 + rng_below(r, 0x7000))
                       : rng_chance(r, 10) ? 0xffff
                                           : (uint16_t)rng_next(r);
        lc->seg[i] = (struct segment){.base = (uint32_t)sel << 4,
                                      .limit = 0xffff,
                                      .sel = sel,
                                      .attr = SEG_P | SEG_S | 0x300 | (i == CS && !vm ? CODE : 0) | (vm ? SEG_DPL : 0)};
        if (lc->mode == LM_BIG_REAL && i != CS && rng_chance(r, 60)) {
            lc->seg[i].limit = 0xffffffff;
            lc->seg[i].attr |= SEG_G | (rng_chance(r, 30) ? SEG_DB : 0);
            lc->seg[i].base = rng_chance(r, 30) ? 0 : lc->seg[i].base;
        }
    }
    if (vm)
        draw_tables(lc, r, (struct segment[32]){{0}});
}

// --- instructions

struct out {
    struct legacy_case *lc;
    struct rng *r;
};

static void put(struct out *o, unsigned byte)
{
    if (o->lc->len < LEGACY_CODE_MAX - 8)
        o->lc->code[o->lc->len++] = (uint8_t)byte;
}
static void put_n(struct out *o, uint32_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        put(o, v >> (8 * i));
}

// reg < 0: any. memory: no register operand.
static void put_modrm(struct out *o, int reg, bool memory, bool addr16)
{
    struct rng *r = o->r;
    unsigned mod = memory ? rng_below(r, 3) : rng_chance(r, 65) ? rng_below(r, 3) : 3, rm = rng_below(r, 8);
    put(o, mod << 6 | (reg < 0 ? rng_below(r, 8) : (unsigned)reg) << 3 | rm);
    if (mod == 3)
        return;
    unsigned disp = mod == 1 ? 1 : mod == 2 ? 2 : 0;
    if (addr16) {
        if (mod == 0 && rm == 6)
            disp = 2;
    } else {
        disp *= mod == 2 ? 2 : 1;
        if (rm == 4) {
            unsigned sib = rng_below(r, 256);
            put(o, sib);
            if ((sib & 7) == 5 && mod == 0)
                disp = 4;
        } else if (rm == 5 && mod == 0) {
            disp = 4;
        }
    }
    put_n(o, rng_chance(r, 70) ? rng_below(r, 64) : interesting(r), disp);
}

// One-byte opcodes by what follows: M ModRM, N memory ModRM, b w z immediates, J short forward branch, j near one,
// o offset, P far pointer, - nothing. S: a string instruction, may be repeated. R: rarely
struct form {
    uint8_t lo, hi;
    const char *what;
};
static const struct form one_byte[] = {
    {0x00, 0x03, "M"},  {0x04, 0x04, "b"},  {0x05, 0x05, "z"},  {0x08, 0x0b, "M"},  {0x10, 0x13, "M"},
    {0x15, 0x15, "z"},  {0x18, 0x1b, "M"},  {0x20, 0x23, "M"},  {0x28, 0x2b, "M"},  {0x30, 0x33, "M"},
    {0x38, 0x3b, "M"},  {0x3c, 0x3c, "b"},  {0x06, 0x07, "-"},  {0x0e, 0x0e, "-"},  {0x16, 0x17, "-"},
    {0x1e, 0x1f, "-"},  {0x27, 0x27, "R-"}, {0x2f, 0x2f, "R-"}, {0x37, 0x37, "R-"}, {0x3f, 0x3f, "R-"},
    {0x40, 0x5f, "-"},  {0x40, 0x5f, "-"},  {0x60, 0x61, "-"},  {0x62, 0x62, "RN"}, {0x63, 0x63, "RM"},
    {0x68, 0x68, "z"},  {0x69, 0x69, "Mz"}, {0x6a, 0x6a, "b"},  {0x6b, 0x6b, "Mb"}, {0x70, 0x7f, "J"},
    {0x70, 0x7f, "J"},  {0x80, 0x80, "Mb"}, {0x81, 0x81, "Mz"}, {0x82, 0x83, "Mb"}, {0x84, 0x8b, "M"},
    {0x88, 0x8b, "M"},  {0x88, 0x8b, "M"},  {0x8c, 0x8c, "M"},  {0x8d, 0x8d, "N"},  {0x8e, 0x8e, "M"},
    {0x8f, 0x8f, "M"},  {0x90, 0x99, "-"},  {0x9a, 0x9a, "RP"}, {0x9c, 0x9f, "-"},  {0xa0, 0xa3, "o"},
    {0xa4, 0xa7, "S"},  {0xa8, 0xa8, "b"},  {0xa9, 0xa9, "z"},  {0xaa, 0xaf, "S"},  {0xb0, 0xb7, "b"},
    {0xb8, 0xbf, "z"},  {0xc0, 0xc1, "Mb"}, {0xc2, 0xc2, "w"},  {0xc3, 0xc3, "-"},  {0xc4, 0xc5, "N"},
    {0xc6, 0xc6, "Mb"}, {0xc7, 0xc7, "Mz"}, {0xc8, 0xc8, "e"},  {0xc9, 0xc9, "-"},  {0xca, 0xca, "Rw"},
    {0xcb, 0xcb, "R-"}, {0xcd, 0xcd, "Rb"}, {0xce, 0xcf, "R-"}, {0xd0, 0xd3, "M"},  {0xd4, 0xd5, "Rb"},
    {0xd6, 0xd6, "R-"}, {0xd7, 0xd7, "-"},  {0xd8, 0xd8, "M"},  {0xda, 0xdc, "M"},  {0xde, 0xdf, "M"},
    {0xe0, 0xe3, "J"},  {0xe4, 0xe7, "Rb"}, {0xe8, 0xe9, "j"},  {0xea, 0xea, "RP"}, {0xeb, 0xeb, "J"},
    {0xec, 0xef, "R-"}, {0xf5, 0xf5, "-"},  {0xf6, 0xf6, "T"},  {0xf7, 0xf7, "T"},  {0xf8, 0xf9, "-"},
    {0xfa, 0xfb, "-"},  {0xfc, 0xfd, "-"},  {0xfe, 0xff, "M"},  {0xff, 0xff, "M"},
};
static const struct form two_byte[] = {
    {0x00, 0x00, "RM"}, {0x02, 0x03, "RM"}, {0x40, 0x4f, "M"}, {0x80, 0x8f, "j"}, {0x90, 0x9f, "M"}, {0xa0, 0xa1, "-"},
    {0xa3, 0xa3, "M"},  {0xa4, 0xa4, "Mb"}, {0xa5, 0xa5, "M"}, {0xa8, 0xa9, "-"}, {0xab, 0xab, "M"}, {0xac, 0xac, "Mb"},
    {0xad, 0xad, "M"},  {0xaf, 0xaf, "M"},  {0xb0, 0xb1, "M"}, {0xb2, 0xb2, "N"}, {0xb3, 0xb3, "M"}, {0xb4, 0xb5, "N"},
    {0xb6, 0xb7, "M"},  {0xba, 0xba, "Mb"}, {0xbb, 0xbd, "M"}, {0xbe, 0xbf, "M"}, {0xc0, 0xc1, "M"}, {0xc8, 0xcf, "-"},
    {0x10, 0x11, "M"},  {0x28, 0x29, "M"},  {0x6f, 0x6f, "M"}, {0x7f, 0x7f, "M"}, {0x58, 0x59, "M"}, {0xc7, 0xc7, "RN"},
};

static void put_form(struct out *o, const char *what, unsigned op, bool op16, bool addr16)
{
    struct rng *r = o->r;
    for (; *what; what++)
        switch (*what) {
        case 'M': put_modrm(o, -1, false, addr16); break;
        case 'N': put_modrm(o, op == 0xc7 ? 1 : -1, true, addr16); break;
        case 'T': { // group 3: TEST has an immediate
            unsigned reg = rng_below(r, 8);
            put_modrm(o, (int)reg, false, addr16);
            if (reg < 2)
                put_n(o, interesting(r), op == 0xf6 ? 1 : op16 ? 2 : 4);
            break;
        }
        case 'b': put(o, rng_chance(r, 50) ? rng_below(r, 33) : interesting(r)); break;
        case 'w': put_n(o, rng_below(r, 8) * 2, 2); break;
        case 'z': put_n(o, interesting(r), op16 ? 2 : 4); break;
        case 'o': put_n(o, interesting(r), addr16 ? 2 : 4); break;
        case 'e':
            put_n(o, rng_below(r, 64), 2);
            put(o, rng_chance(r, 70) ? 0 : rng_below(r, 4));
            break;
        case 'J': put(o, rng_chance(r, 90) ? rng_below(r, 12) : (uint8_t) - (int)rng_below(r, 8)); break;
        case 'j': put_n(o, rng_chance(r, 95) ? rng_below(r, 12) : interesting(r), op16 ? 2 : 4); break;
        case 'P':
            put_n(o, o->lc->ip + o->lc->len + rng_below(r, 16), op16 ? 2 : 4);
            put_n(o, rng_chance(r, 70) ? o->lc->seg[CS].sel : rng_below(r, 256), 2);
            break;
        }
}

// Leaves flags undefined (they then depend on what they were before, which dead flags may not be).
static bool undefines_flags(bool two, unsigned op)
{
    if (two)
        return (op >= 0xa3 && op < 0xb0 && op != 0xa8 && op != 0xa9) || op == 0xb3 || (op >= 0xba && op <= 0xbd);
    return op == 0x69 || op == 0x6b || (op & 0xfe) == 0xf6 || (op & 0xfe) == 0xc0 || (op & 0xfc) == 0xd0 ||
           (op & 0xfe) == 0xd4 || op == 0x27 || op == 0x2f || op == 0x37 || op == 0x3f;
}

static void put_instruction(struct out *o)
{
    struct rng *r = o->r;
    bool code16 = o->lc->mode != LM_PM32, op16 = code16, addr16 = code16;
    bool two = rng_chance(r, 20);
    const struct form *f;
    do
        f = two ? &two_byte[rng_below(r, ARRAY_SIZE(two_byte))] : &one_byte[rng_below(r, ARRAY_SIZE(one_byte))];
    while (f->what[0] == 'R' && !rng_chance(r, 15));
    if (rng_chance(r, 20))
        put(o, (const uint8_t[]){0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65}[rng_below(r, 6)]);
    if (rng_chance(r, 25))
        put(o, 0x66), op16 = !op16;
    if (rng_chance(r, 20))
        put(o, 0x67), addr16 = !addr16;
    if (rng_chance(r, 1))
        put(o, 0xf0);
    if (f->what[0] == 'S' && rng_chance(r, 30))
        put(o, 0xf2 + rng_below(r, 2));
    if (two)
        put(o, 0x0f);
    unsigned op = f->lo + rng_below(r, f->hi - f->lo + 1u);
    put(o, op);
    put_form(o, f->what[0] == 'R' ? f->what + 1 : f->what, op, op16, addr16);
    if (undefines_flags(two, op) && !o->lc->exact)
        put_n(o, 0xc438, 2); // cmp ah,al
}

static void draw_code(struct legacy_case *lc, struct rng *r)
{
    struct out o = {lc, r};
    lc->insns = 1 + rng_below(r, LEGACY_INSNS);
    for (unsigned i = 0; i < lc->insns; i++) {
        lc->at[i] = (uint16_t)lc->len;
        put_instruction(&o);
    }
    lc->at[lc->insns] = (uint16_t)lc->len;
    while (lc->len < LEGACY_CODE_MAX && (lc->len < 8 || lc->code[lc->len - 8] != 0xcc))
        lc->code[lc->len++] = 0xcc;
}

void legacy_draw(struct legacy_case *lc, uint64_t seed, bool exact)
{
    struct rng rng = {seed}, *r = &rng;
    rng.s = rng_next(r) ^ seed << 32; // seeds in a row are not the same numbers one further on
    memset(lc, 0, sizeof *lc);
    lc->seed = seed;
    lc->exact = exact;
    lc->mode = (enum legacy_mode)rng_below(r, LM_MODES);
    lc->cpl0 = rng_chance(r, 30);
    for (unsigned i = 0; i < sizeof lc->tss_tail; i++)
        lc->tss_tail[i] = (uint8_t)(rng_chance(r, 50) ? 0xff : rng_next(r));
    if (lc->mode >= LM_PM16)
        draw_protected(lc, r);
    else
        draw_paragraphs(lc, r);
    for (unsigned i = 0; i < 8; i++)
        lc->gpr[i] = interesting(r);
    lc->gpr[RSP] = rng_chance(r, 20) ? interesting(r) : 0x100 + (rng_below(r, 0x700) & ~1u);
    lc->gpr[RCX] = rng_chance(r, 60) ? rng_below(r, 16) : lc->gpr[RCX] & 0x1ffff;
    lc->rflags = 2 | (rng_next(r) & (FL_ARITH | FL_DF)) | (rng_chance(r, 1) ? FL_TF : 0);
    if (lc->mode == LM_VM86)
        lc->rflags |= FL_VM | (rng_chance(r, 60) ? FL_IOPL : 0) | (rng_chance(r, 20) ? FL_VIF : 0);
    else if (lc->mode >= LM_PM16)
        lc->rflags |= rng_below(r, 4) << 12;
    lc->cr4 = (rng_chance(r, 50) ? CR4_VME : 0) | CR4_OSFXSR | CR4_OSXMMEXCPT;
    lc->ip = rng_below(r, 0x10000 - LEGACY_CODE_MAX);
    if (rng_chance(r, 5))
        lc->ip = 0xffff - rng_below(r, 64);
    if (lc->seg[CS].limit < lc->ip + LEGACY_CODE_MAX && !rng_chance(r, 20))
        lc->ip = rng_below(r, 0x80);
    draw_code(lc, r);
}
