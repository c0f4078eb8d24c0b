// SPDX-License-Identifier: MIT
// Compares two outcomes field by field, and prints test cases for people.
#include <stdio.h>
#include <string.h>

#include "cpu/state.h"
#include "tests/insn/testcase.h"
#include "translator/decode.h"

struct diff {
    FILE *f;
    unsigned n;
    const char *want_name, *got_name;
};

static void differ(struct diff *d, const char *what, uint64_t want, uint64_t got)
{
    d->n++;
    if (d->f)
        fprintf(d->f, "  %-10s %s %016llx  %s %016llx\n", what, d->want_name, (unsigned long long)want, d->got_name,
                (unsigned long long)got);
}

static void check(struct diff *d, const char *what, uint64_t want, uint64_t got)
{
    if (want != got)
        differ(d, what, want, got);
}

static void check_bytes(struct diff *d, const char *what, const uint8_t *want, const uint8_t *got, unsigned len)
{
    if (memcmp(want, got, len) == 0)
        return;
    d->n++;
    if (!d->f)
        return;
    for (int side = 0; side < 2; side++) {
        fprintf(d->f, "  %-10s %s ", side ? "" : what, side ? d->got_name : d->want_name);
        for (unsigned i = len; i-- > 0;)
            fprintf(d->f, "%02x", (side ? got : want)[i]);
        fputc('\n', d->f);
    }
}

// --- flags ---------------------------------------------------------------------------------------------

// Undefined by then: by the instruction that RIP is at, if it faulted, and those before it.
static uint16_t undefined_flags(const struct testcase *tc, uint64_t rip)
{
    uint16_t all = 0;
    for (unsigned i = 0; i < tc->units; i++) {
        const struct unit *u = &tc->unit[i];
        uint16_t own = u->undef;
        if (u->rule != 0xffff)
            own |= isa_rules[u->rule].fl_undef;
        all |= own;
        if (u->dropped)
            continue;
        if (rip == tc->entry + u->off && (u->rule != 0xffff || u->bytes[0] != 0xcc))
            return own;
        if (rip == tc->entry + u->off + u->len && i + 1 == tc->units)
            return u->undef;
    }
    return all;
}

// --- vector state --------------------------------------------------------------------------------------

// A component's bytes, or its initial state if XSTATE_BV says so. SDM vol. 1, section 13.6 "Processor Tracking
// of XSAVE-Managed State".
static const uint8_t *component(const uint8_t *x, unsigned i, unsigned off)
{
    static const uint8_t zero[1024];
    uint64_t bv;
    memcpy(&bv, x + 512, 8);
    return bv >> i & 1 ? x + off : zero;
}

static void check_x87(struct diff *d, const uint8_t *a, const uint8_t *b)
{
    static const uint8_t init[512] = {0x7f, 3};
    uint64_t abv, bbv;
    memcpy(&abv, a + 512, 8);
    memcpy(&bbv, b + 512, 8);
    const uint8_t *x = abv & 1 ? a : init, *y = bbv & 1 ? b : init;
    char name[16];
    check(d, "FCW", x[0] | x[1] << 8, y[0] | y[1] << 8);
    check(d, "FSW", x[2] | x[3] << 8, y[2] | y[3] << 8);
    check(d, "FTW", x[4], y[4]);
    for (unsigned i = 0; i < 8; i++) {
        snprintf(name, sizeof(name), "ST%u", i);
        check_bytes(d, name, x + 32 + 16 * i, y + 32 + 16 * i, 10);
    }
}

static void check_vectors(struct diff *d, const uint8_t *a, const uint8_t *b)
{
    static const struct {
        const char *name;
        uint8_t component, size, count;
    } parts[] = {
        {"XMM", 1, 16, 16}, {"YMM-high", 2, 16, 16}, {"K", 5, 8, 8}, {"ZMM-high", 6, 32, 16}, {"ZMM16+", 7, 64, 16},
    };
    char name[24];
    uint32_t am, bm;
    memcpy(&am, a + 24, 4);
    memcpy(&bm, b + 24, 4);
    check(d, "MXCSR", am, bm);
    for (unsigned p = 0; p < ARRAY_SIZE(parts); p++) {
        unsigned c = parts[p].component, off = c == 1 ? 160 : native_xsave_offsets()[c];
        if (!(native_xcr0() >> c & 1))
            continue;
        const uint8_t *x = component(a, c, off), *y = component(b, c, off);
        if (memcmp(x, y, (size_t)parts[p].size * parts[p].count) == 0)
            continue;
        for (unsigned i = 0; i < parts[p].count; i++) {
            snprintf(name, sizeof(name), "%s%u", parts[p].name, i + (c == 7 ? 16 : 0));
            check_bytes(d, name, x + i * parts[p].size, y + i * parts[p].size, parts[p].size);
        }
    }
}

// --- memory --------------------------------------------------------------------------------------------

static bool ignored(const struct testcase *tc, unsigned off)
{
    for (unsigned i = 0; i < tc->ignores; i++)
        if (off - tc->ignore[i].off < tc->ignore[i].len)
            return true;
    return false;
}

static void check_data(struct diff *d, const struct testcase *tc, const uint8_t *a, const uint8_t *b)
{
    unsigned shown = 0;
    char name[24];
    for (unsigned page = 0; page < DATA_PAGES; page++) {
        unsigned start = page * PAGE_SIZE;
        if (data_page_kind[page] == PAGE_NONE || memcmp(a + start, b + start, PAGE_SIZE) == 0)
            continue;
        for (unsigned off = start; off < start + PAGE_SIZE; off++) {
            if (a[off] == b[off] || ignored(tc, off))
                continue;
            snprintf(name, sizeof(name), "mem %05x", off);
            if (shown++ < 32)
                differ(d, name, a[off], b[off]);
        }
    }
}

// --- all of it -----------------------------------------------------------------------------------------

// The rule of the instruction that faulted, or NULL.
static const struct rule *faulting_rule(const struct testcase *tc, uint64_t rip)
{
    for (unsigned i = 0; i < tc->units; i++) {
        const struct unit *u = &tc->unit[i];
        if (!u->dropped && rip == tc->entry + u->off)
            return u->rule == 0xffff ? NULL : &isa_rules[u->rule];
    }
    return NULL;
}

// Which byte of an area (FXSAVE, FNSTENV, ...) the CPU touches first is its own business: on some, the last.
static bool saves_area(const struct testcase *tc, uint64_t rip)
{
    const struct rule *r = faulting_rule(tc, rip);
    return r && r->nops && r->op[0].field == OF_RM && r->op[0].size >= 28 &&
           (r->op[0].size < SZ_V || r->op[0].size > SZ_E) && r->enc == RE_LEGACY;
}

static void check_fault(struct diff *d, const struct testcase *tc, const struct outcome *want,
                        const struct outcome *got)
{
    if (tc->lax_flags && want->vector == EXC_MF && got->vector == EXC_PF)
        return; // translated code meets the page fault first; the pending exception comes after it was resolved
    check(d, "vector", want->vector, got->vector);
    if (want->vector != got->vector)
        return;
    uint32_t mask = 0xffffffff;
    if (want->vector == EXC_PF) {
        if (saves_area(tc, want->m.rip))
            return;
        const struct rule *r = faulting_rule(tc, want->m.rip); // MASKMOV: the operand's first byte or the first chosen
        uint64_t cr2 = r && strcmp(r->prep, "maskmov") == 0 ? PAGE_MASK : UINT64_MAX;
        check(d, "CR2", want->cr2 & cr2, got->cr2 & cr2);
        if (want->cr2 >= 0x7ffffffff000)
            mask = ~1u; // Linux says "present" for every address that is not a process's
    } else if (want->vector == EXC_BP || want->vector == EXC_OF || want->vector == EXC_DB) {
        mask = 0;
    }
    check(d, "error", want->error & mask, got->error & mask);
}

// A return address that a store changed leads to what is left of earlier cases, a far RET through a wild
// selector for one, where CPUs differ. (Other addresses than the code's are a case's own doing.)
static bool astray(const struct testcase *tc, uint64_t rip)
{
    uint64_t area = tc->high_code ? CODE_HI : CODE_LO;
    return rip - area < CODE_PAGES * PAGE_SIZE && rip - tc->entry >= tc->code_len;
}

// XRSTOR may access any byte of a component that it was asked for, also of one that it then only initialises:
// SDM vol. 1, section 13.13 "Memory Access by the XSAVE Feature Set". AMD's does, ring3 does not.
static bool xrstor_looked(const struct testcase *tc, const struct outcome *want, const struct outcome *got)
{
    const struct rule *r = want->vector == EXC_PF ? faulting_rule(tc, want->m.rip) : NULL;
    return r && strncmp(r->text, "XRSTOR", 6) == 0 && got->m.rip != want->m.rip;
}

unsigned compare_outcomes(const struct testcase *tc, const struct outcome *want, const struct outcome *got,
                          const char *want_name, const char *got_name, FILE *f)
{
    static const char *const names[16] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                          "R8",  "R9",  "R10", "R11", "R12", "R13", "R14", "R15"};
    struct diff d = {f, 0, want_name, got_name};
    if (astray(tc, want->m.rip) || xrstor_looked(tc, want, got))
        return 0;
    if (got->lost != want->lost) {
        d.n++;
        if (f)
            fprintf(f, "  %s: %s (vector %u, RIP %llx)\n", got_name, got->lost_why, got->vector,
                    (unsigned long long)got->m.rip);
    }
    check_fault(&d, tc, want, got);
    for (unsigned i = 0; i < (tc->mode32 ? 8u : 16u); i++)
        check(&d, names[i], tc->mode32 ? (uint32_t)want->m.gpr[i] : want->m.gpr[i],
              tc->mode32 ? (uint32_t)got->m.gpr[i] : got->m.gpr[i]);
    check(&d, "RIP", want->m.rip, got->m.rip);
    uint64_t undef = undefined_flags(tc, want->m.rip);
    if (tc->lax_flags && want->vector != EXC_BP)
        undef |= FL_ARITH;
    check(&d, "RFLAGS", want->m.rflags & ~undef, got->m.rflags & ~undef);
    if (!tc->mode32) {
        check(&d, "FS base", want->m.fs_base, got->m.fs_base);
        check(&d, "GS base", want->m.gs_base, got->m.gs_base);
    }
    check_x87(&d, want->m.xsave, got->m.xsave);
    check_vectors(&d, want->m.xsave, got->m.xsave);
    check_data(&d, tc, want->data, got->data);
    return d.n;
}

// --- for people ----------------------------------------------------------------------------------------

void report_case(const struct testcase *tc, FILE *f)
{
    static struct decoder *decoder;
    if (!decoder && decoder_create(&decoder))
        decoder = NULL;
    for (unsigned i = 0; i < tc->units; i++) {
        const struct unit *u = &tc->unit[i];
        char text[128] = "";
        if (u->dropped)
            continue;
        if (decoder)
            disassemble(decoder, tc->code + u->off, u->len, tc->mode32 ? DECODE_32 : DECODE_64, tc->entry + u->off,
                        text, sizeof(text));
        fprintf(f, "  %012llx  ", (unsigned long long)(tc->entry + u->off));
        for (unsigned k = 0; k < u->len; k++)
            fprintf(f, "%02x", tc->code[u->off + k]);
        fprintf(f, "%*s %s   ; %s\n", u->len < 12 ? 2 * (12 - u->len) : 0, "", text,
                u->rule == 0xffff ? "" : isa_rules[u->rule].text);
    }
    static const char *const names[16] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                          "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15"};
    for (unsigned i = 0; i < (tc->mode32 ? 8u : 16u); i++)
        fprintf(f, "%s%s=%016llx%s", i % 4 ? " " : "  ", names[i], (unsigned long long)tc->start.gpr[i],
                i % 4 == 3 ? "\n" : "");
    uint16_t fcw;
    uint32_t mxcsr;
    memcpy(&fcw, tc->start.xsave, 2);
    memcpy(&mxcsr, tc->start.xsave + 24, 4);
    fprintf(f, "  RFLAGS=%llx FS=%llx GS=%llx FCW=%x MXCSR=%x %s\n", (unsigned long long)tc->start.rflags,
            (unsigned long long)tc->start.fs_base, (unsigned long long)tc->start.gs_base, fcw, mxcsr,
            tc->mode32 ? "(32-bit)" : "");
}
