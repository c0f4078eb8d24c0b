// SPDX-License-Identifier: MIT
// A test case: a few instructions, the state they start from, and what came of them.
//
// The guest-virtual memory, the same in the native run and in the guest (see README.md):
//
//      DATA_LO + page * 4096, again at DATA_HI     CODE_LO, again at CODE_HI
//      0 -       none                              CODE_PAGES pages, read and execute,
//      1 rw |    not contiguous in physical memory contiguous in virtual, reversed in physical memory
//      2 rw ||
//      3 rw  |   contiguous
//      4 r
//      5 -       none
//      6 rw
//      7 8 -     none
//      9 10 rw   stack
//      11 -      none
#pragma once

#include "tests/insn/isa.h"

#define DATA_LO 0x10000000ull
#define DATA_HI 0x654310000000ull
#define CODE_LO 0x20000000ull
#define CODE_HI 0x654320000000ull
enum { DATA_PAGES = 12, DATA_SIZE = DATA_PAGES * PAGE_SIZE, CODE_PAGES = 64, CODE_MAX = 1024, CODE_TAIL = 24 };

enum { PAGE_NONE, PAGE_RO, PAGE_RW };
extern const uint8_t data_page_kind[DATA_PAGES]; // PAGE_*
extern const uint8_t data_page_phys[DATA_PAGES]; // its place in physical memory

// Selectors as Linux has them, so that instructions that read them agree.
enum { SEL_KERNEL_CS = 0x10, SEL_KERNEL_DS = 0x18, SEL_USER_CS32 = 0x23, SEL_USER_DS = 0x2b, SEL_USER_CS = 0x33 };

enum fix_kind { FIX_REL8, FIX_REL32, FIX_RIP, FIX_ABS32, FIX_ABS64 };
struct fix {
    uint8_t kind, off; // offset of the field in the unit
    bool to_unit;      // else to an address
    uint16_t unit;
    uint64_t addr;
};

enum { UNIT_MAX = 24, UNITS_MAX = 96, PATCHES_MAX = 96, IGNORES_MAX = 24 };
struct unit { // one instruction
    uint8_t bytes[UNIT_MAX];
    uint8_t len, nfix;
    bool dropped, setup; // setup: not drawn, but prepares a register
    bool keep;           // a loop would have no end without it
    struct fix fix[2];
    uint16_t rule;  // index, 0xffff if setup
    uint16_t undef; // flags that may be undefined while it runs
    uint16_t off;   // in the code, after layout
};

// Initial bytes of the data area that differ from the template.
enum { PATCH_BYTES, PATCH_XSAVE }; // XSAVE: from the initial vector state
struct patch {
    uint32_t off;
    uint16_t len;
    uint8_t kind;
    uint8_t bytes[64];
};
struct range {
    uint32_t off, len;
};

enum { XSAVE_BYTES = 4096 };

struct machine { // registers
    uint64_t gpr[16], rip, rflags, fs_base, gs_base;
    uint8_t xsave[XSAVE_BYTES] __attribute__((aligned(64)));
};

struct testcase {
    uint64_t seed;
    bool mode32, high_code;
    bool lax_flags; // arithmetic flags are not compared after a fault
    uint64_t entry;
    struct machine start;
    struct unit unit[UNITS_MAX];
    unsigned units;
    struct patch patch[PATCHES_MAX];
    unsigned patches;
    struct range ignore[IGNORES_MAX]; // of the data area
    unsigned ignores;
    uint8_t code[CODE_MAX];
    unsigned code_len;
};

struct outcome {
    struct machine m;
    uint8_t vector;
    uint32_t error;
    uint64_t cr2;
    bool lost; // the guest did not come back as it should
    const char *lost_why;
    uint8_t *data; // DATA_SIZE bytes, pages of kind PAGE_NONE not meaningful
};

// --- gen.c
struct gen_config {
    int mode;
    bool ac;
    const char *filter;
    unsigned max_insns;
}; // mode 64, 32 or 0: both
int gen_init(const struct gen_config *cfg);
void gen_case(struct testcase *tc, uint64_t seed);
// Places the units that are not dropped and fills code[].
void testcase_layout(struct testcase *tc);
// The area's initial bytes.
void testcase_data(const struct testcase *tc, uint8_t *data);

// --- native.c: the oracle
int native_init(void);
void native_run(const struct testcase *tc, struct outcome *out);
uint64_t native_xcr0(void);                 // components that take part
const uint32_t *native_xsave_offsets(void); // of each component in the standard format
void native_xsave_template(uint8_t *area);  // initialised state in XSAVE's standard format

// --- guest.c
struct accel_ops;
int guest_init(const struct accel_ops *accel, uint32_t disable);
void guest_run(const struct testcase *tc, struct outcome *out);

// --- compare.c
// Returns the number of differences; prints them if f is not NULL.
struct _IO_FILE;
unsigned compare_outcomes(const struct testcase *tc, const struct outcome *want, const struct outcome *got,
                          const char *want_name, const char *got_name, struct _IO_FILE *f);
void report_case(const struct testcase *tc, struct _IO_FILE *f);
