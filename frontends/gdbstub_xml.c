// SPDX-License-Identifier: MIT
// The target description: GDB manual, appendix G "Target Descriptions". Written from the register table, so that the two
// cannot disagree; types that GDB does not know by itself are spelled out here.
#include "frontends/gdbstub_regs.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const feature_names[] = {
    [GDB_CORE] = "org.gnu.gdb.i386.core",    [GDB_SSE] = "org.gnu.gdb.i386.sse",
    [GDB_AVX] = "org.gnu.gdb.i386.avx",      [GDB_AVX512] = "org.gnu.gdb.i386.avx512",
    [GDB_CONTROL] = "org.ring3.x86.control", [GDB_SEGMENTS] = "org.gnu.gdb.i386.segments",
    [GDB_TABLES] = "org.ring3.x86.tables",
};

// A register of flags; the name of bit 0 first, "" where a bit has none.
struct flags {
    const char *id;
    unsigned bytes, feature;
    const char *bit[32];
};
// SDM vol. 1, section 3.4.3 "EFLAGS Register" and 10.2.3 "MXCSR Control and Status Register"; vol. 3A, section 2.5
// "Control Registers"; vol. 4, IA32_EFER.
static const struct flags flag_types[] = {
    {"i386_eflags", 4, GDB_CORE, {"CF", "", "PF", "",   "AF", "",   "ZF", "SF", "TF",  "IF",  "DF",
                                  "OF", "", "",   "NT", "",   "RF", "VM", "AC", "VIF", "VIP", "ID"}},
    {"i386_mxcsr",
     4,
     GDB_SSE,
     {"IE", "DE", "ZE", "OE", "UE", "PE", "DAZ", "IM", "DM", "ZM", "OM", "UM", "PM", "", "", "FZ"}},
    {"x86_cr0", 8, GDB_CONTROL, {"PE", "MP", "EM", "TS", "ET", "NE", [6] = "", "",   "",        "",  "",
                                 "",   "",   "",   "",   "",   "WP", "",       "AM", [19] = "", "",  "",
                                 "",   "",   "",   "",   "",   "",   "",       "NW", "CD",      "PG"}},
    {"x86_cr4", 8, GDB_CONTROL, {"VME",     "PVI",        "TSD",  "DE",   "PSE",  "PAE",  "MCE", "PGE",      "PCE",
                                 "OSFXSR",  "OSXMMEXCPT", "UMIP", "LA57", "VMXE", "SMXE", "",    "FSGSBASE", "PCIDE",
                                 "OSXSAVE", "KL",         "SMEP", "SMAP", "PKE",  "CET",  "PKS"}},
    {"x86_efer",
     8,
     GDB_CONTROL,
     {"SCE", "", "", "", "", "", "", "", "LME", "", "LMA", "NXE", "SVME", "LMSLE", "FFXSR", "TCE"}},
};

static void put_flags(FILE *f, const struct flags *t)
{
    fprintf(f, "<flags id=\"%s\" size=\"%u\">", t->id, t->bytes);
    for (unsigned b = 0; b < ARRAY_SIZE(t->bit); b++)
        if (t->bit[b] && *t->bit[b])
            fprintf(f, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>", t->bit[b], b, b);
    fputs("</flags>\n", f);
}

// The ways to look at an XMM register.
static void put_vectors(FILE *f)
{
    static const struct {
        const char *id, *type;
        unsigned count;
    } ways[] = {
        {"v4_float", "ieee_single", 4}, {"v2_double", "ieee_double", 2}, {"v16_int8", "int8", 16},
        {"v8_int16", "int16", 8},       {"v4_int32", "int32", 4},        {"v2_int64", "int64", 2},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(ways); i++)
        fprintf(f, "<vector id=\"%s\" type=\"%s\" count=\"%u\"/>\n", ways[i].id, ways[i].type, ways[i].count);
    fputs("<union id=\"vec128\">", f);
    for (unsigned i = 0; i < ARRAY_SIZE(ways); i++)
        fprintf(f, "<field name=\"%s\" type=\"%s\"/>", ways[i].id, ways[i].id);
    fputs("<field name=\"uint128\" type=\"uint128\"/></union>\n", f);
}

static void begin_feature(FILE *f, unsigned feature)
{
    fprintf(f, "<feature name=\"%s\">\n", feature_names[feature]);
    if (feature == GDB_SSE || feature == GDB_AVX512) // each feature has types of its own
        put_vectors(f);
    if (feature == GDB_AVX512)
        fputs("<vector id=\"v2ui128\" type=\"uint128\" count=\"2\"/>\n", f);
    for (unsigned i = 0; i < ARRAY_SIZE(flag_types); i++)
        if (flag_types[i].feature == feature)
            put_flags(f, &flag_types[i]);
}

char *gdb_target_xml(enum gdb_arch a, size_t *len)
{
    static const char *const bfd_names[GDB_ARCHS] = {
        [GDB_X86_64] = "i386:x86-64", [GDB_I386] = "i386", [GDB_I8086] = "i8086"};
    char *text = NULL;
    FILE *f = open_memstream(&text, len);
    int feature = -1;

    if (!f)
        return NULL;
    fprintf(f,
            "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target version=\"1.0\">\n"
            "<architecture>%s</architecture>\n",
            bfd_names[a]);
    for (unsigned n = 0; n < gdb_reg_count(a); n++) {
        const struct gdb_reg *r = gdb_reg_row(a, n);

        if (r->feature != feature) {
            if (feature >= 0)
                fputs("</feature>\n", f);
            feature = r->feature;
            begin_feature(f, r->feature);
        }
        fprintf(f, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%u\"", r->name, r->bits, r->type, n);
        if (r->group)
            fprintf(f, " group=\"%s\"", r->group);
        fputs("/>\n", f);
    }
    fputs("</feature>\n</target>\n", f);
    if (fclose(f)) {
        free(text);
        return NULL;
    }
    return text;
}
