// SPDX-License-Identifier: MIT
// CPU models: -cpu NAME,+feature,-feature to a table of leaves, and CPUID as the guest sees it.
//
// Which CPU to be. User-level features are the host's, since its own circuits execute them. Vendor, family and model
// are chosen for the mitigations a guest's kernel derives from them: each costs far more under translation than on
// metal, and none protects anything here, since the host's kernel guards the process as a whole.
//   - AMD: family 1Ah (Zen 5), model 02h. Not in Linux's lists for retbleed (15h..17h), SRSO (17h, 19h) or TSA (19h),
//     so no untrained return thunks; AMD CPUs have no Meltdown (no PTI), L1TF, MDS. Automatic IBRS (80000021H.EAX[8])
//     makes spectre_v2 choose "Enhanced / Automatic IBRS" and so plain indirect calls in place of retpolines; the
//     guest switches it on by EFER.AIBRSE (bit 21), which changes nothing here. SRSO_NO and SRSO_USER_KERNEL_NO are
//     for kernels that list 1Ah under SRSO. SSB_NO: no speculative-store-bypass prctl. IBPB, STIBP, SSBD are not
//     offered: nothing to write on a context switch. LFENCE is announced as serialising (80000021H.EAX[2]).
//   - Intel: family 6, model 8Fh (Sapphire Rapids) with IA32_ARCH_CAPABILITIES: RDCL_NO, IBRS_ALL and all the other
//     _NO bits (msr.c), so that "Enhanced IBRS" is chosen, and no PTI, MDS, TAA, MMIO, GDS, RFDS, BHI work is done.
// What remains in both is RSB filling on context switches, which Linux ties to spectre_v2 as such.
#include "cpu/cpuid.h"
#include "cpu/cpuid_data.h"
#include "cpu/internal.h"

#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PHYS_BITS = 40, LINEAR_BITS = 48, FEATURES_MAX = 192 };

// --- the host

static void host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
    uint32_t max = __get_cpuid_max(leaf & 0x80000000, NULL);
    memset(r, 0, 16);
    if (leaf <= max)
        __cpuid_count(leaf, subleaf, r[R_EAX], r[R_EBX], r[R_ECX], r[R_EDX]);
}

static uint64_t raw_clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_RAW, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

// A (clock, TSC) pair taken as close together as a few tries allow.
static void sample_tsc(uint64_t *ns, uint64_t *tsc)
{
    uint64_t best = ~0ull;
    for (int i = 0; i < 16; i++) {
        uint64_t a = __builtin_ia32_rdtsc(), t = raw_clock_ns(), b = __builtin_ia32_rdtsc();
        if (b - a < best) {
            best = b - a;
            *ns = t;
            *tsc = a + (b - a) / 2;
        }
    }
}

static uint32_t host_tsc_khz(void)
{
    uint32_t r[4];
    host_cpuid(0x15, 0, r);
    if (r[R_EAX] && r[R_EBX] && r[R_ECX])
        return (uint64_t)r[R_ECX] * r[R_EBX] / r[R_EAX] / 1000;
    uint64_t t0 = 0, t1 = 0, c0 = 0, c1 = 0;
    sample_tsc(&t0, &c0);
    do
        sample_tsc(&t1, &c1);
    while (t1 - t0 < 10000000);
    return (unsigned __int128)(c1 - c0) * 1000000 / (t1 - t0);
}

static bool host_is_amd(void) // or one of its relatives; else Intel
{
    uint32_t r[4];
    host_cpuid(0, 0, r);
    return r[R_EBX] != signature_INTEL_ebx;
}

// --- feature names

static bool name_is(const char *a, const char *b, size_t len) // '-', '_' and '.' are one, as QEMU users mix them
{
    for (size_t i = 0; i < len; i++) {
        char x = a[i] == '_' || a[i] == '.' ? '-' : a[i], y = b[i] == '_' || b[i] == '.' ? '-' : b[i];
        if (x != y || !y)
            return false;
    }
    return !b[len];
}

static int feature_index(const char *name, size_t len)
{
    for (unsigned i = 0; i < cpu_feature_count; i++)
        if (name_is(name, cpu_features[i].name, len))
            return i;
    return -1;
}

static bool same_bit(const struct cpu_feature *a, const struct cpu_feature *b)
{
    return a->leaf == b->leaf && a->subleaf == b->subleaf && a->reg == b->reg && a->bit == b->bit;
}

static bool host_has(const struct cpu_feature *f)
{
    uint32_t r[4], xcr0;
    const char *n = f->name;
    host_cpuid(f->leaf, f->subleaf, r);
    if (!(r[f->reg] >> f->bit & 1))
        return false;
    bool avx512 = !strncmp(n, "avx512", 6), avx = avx512 || !strncmp(n, "avx", 3);
    if (!avx && strcmp(n, "xsave"))
        return true;
    host_cpuid(1, 0, r);
    if (!(r[R_ECX] & bit_OSXSAVE))
        return false;
    __asm__("xgetbv" : "=a"(xcr0) : "c"(0) : "edx");
    uint32_t need = avx512 ? 0xe6 : avx ? 6 : 3;
    return (xcr0 & need) == need;
}

// --- building

struct builder {
    struct cpu_model *m;
    const struct cpu_model_def *def;
    bool amd;
    bool on[FEATURES_MAX];
};

static struct cpuid_leaf *leaf_get(struct cpu_model *m, uint32_t leaf, uint32_t subleaf)
{
    for (unsigned i = 0; i < m->count; i++)
        if (m->leaves[i].leaf == leaf && m->leaves[i].subleaf == subleaf)
            return &m->leaves[i];
    if (m->count == ARRAY_SIZE(m->leaves))
        return &m->leaves[m->count - 1]; // the tables are constants: a test checks that they fit
    struct cpuid_leaf *l = &m->leaves[m->count++];
    *l = (struct cpuid_leaf){.leaf = leaf, .subleaf = subleaf};
    return l;
}

static void leaf_set(struct cpu_model *m, uint32_t leaf, uint32_t subleaf, uint32_t a, uint32_t b, uint32_t c,
                     uint32_t d)
{
    *leaf_get(m, leaf, subleaf) = (struct cpuid_leaf){leaf, subleaf, a, b, c, d};
}

static bool available(const struct builder *b, const struct cpu_feature *f)
{
    switch (f->kind) {
    case NATIVE: return host_has(f);
    case EMULATED_AMD: return b->amd;
    case EMULATED_INTEL: return !b->amd;
    case REFUSED: return false;
    }
    return true;
}

static void feature_off(struct builder *b, const struct cpu_feature *f)
{
    for (unsigned i = 0; i < cpu_feature_count; i++)
        if (same_bit(&cpu_features[i], f))
            b->on[i] = false;
}

// What needs an absent feature goes too.
static void drop_orphans(struct builder *b)
{
    for (bool again = true; again;) {
        again = false;
        for (unsigned i = 0; i < cpu_feature_count; i++) {
            const struct cpu_feature *f = &cpu_features[i];
            if (b->on[i] && f->needs && !b->on[feature_index(f->needs, strlen(f->needs))]) {
                feature_off(b, f);
                again = true;
            }
        }
    }
}

static int feature_on(struct builder *b, int i, char err[160])
{
    for (; i >= 0;
         i = cpu_features[i].needs ? feature_index(cpu_features[i].needs, strlen(cpu_features[i].needs)) : -1) {
        const struct cpu_feature *f = &cpu_features[i];
        if (!available(b, f)) {
            snprintf(err, 160,
                     f->kind == REFUSED  ? "CPU feature '%s' is not supported"
                     : f->kind == NATIVE ? "the host CPU has no feature '%s'"
                                         : "CPU feature '%s' belongs to another vendor's CPUs",
                     f->name);
            return -EINVAL;
        }
        b->on[i] = true;
    }
    return 0;
}

static int edit(struct builder *b, const char *item, size_t len, char err[160])
{
    const char *name = item, *eq = memchr(item, '=', len);
    size_t n = len;
    bool on = true;
    if (len && (*item == '+' || *item == '-')) {
        on = *item == '+';
        name++;
        n--;
    } else if (eq) {
        n = eq - item;
        const char *v = eq + 1;
        size_t vlen = len - n - 1;
        on = vlen == 2 && !memcmp(v, "on", 2);
        if (!on && !(vlen == 3 && !memcmp(v, "off", 3))) {
            snprintf(err, 160, "CPU property '%.*s': expected on or off, not '%.*s'", (int)(n < 40 ? n : 40), name,
                     (int)(vlen < 40 ? vlen : 40), v);
            return -EINVAL;
        }
    }
    int i = feature_index(name, n);
    if (i < 0) {
        snprintf(err, 160, "unknown CPU feature '%.*s' (see -cpu help)", (int)(n < 60 ? n : 60), name);
        return -EINVAL;
    }
    if (on)
        return feature_on(b, i, err);
    feature_off(b, &cpu_features[i]);
    drop_orphans(b);
    return 0;
}

static void start_features(struct builder *b)
{
    const char *list = b->def->features;
    for (unsigned i = 0; !list && i < cpu_feature_count; i++)
        b->on[i] = cpu_features[i].kind != OPTIONAL && available(b, &cpu_features[i]);
    while (list && *list) {
        size_t n = strcspn(list, " ");
        int i = feature_index(list, n);
        if (i >= 0)
            b->on[i] = available(b, &cpu_features[i]);
        list += n + strspn(list + n, " ");
    }
    drop_orphans(b);
}

static bool has(const struct builder *b, const char *name)
{
    int i = feature_index(name, strlen(name));
    return i >= 0 && b->on[i];
}

static void build_identity(struct builder *b)
{
    struct cpu_model *m = b->m;
    const struct cpu_model_def *d = b->def;
    unsigned family = d->family, model = d->model, step = d->stepping;
    if (!family) {
        family = b->amd ? 0x1a : 6;
        model = b->amd ? 0x02 : 0x8f;
        step = b->amd ? 1 : 8;
    }
    unsigned base = family > 15 ? 15 : family;
    uint32_t sig = step | (model & 15) << 4 | base << 8 | model >> 4 << 16 | (family - base) << 20;
    const char *v = b->amd ? "AuthenticAMD" : "GenuineIntel";
    uint32_t w[3];
    memcpy(w, v, 12);
    leaf_set(m, 0, 0, d->level, w[0], w[2], w[1]);
    leaf_set(m, 1, 0, sig, 8 << 8 | 1 << 16, 0, 0); // CLFLUSH lines of 64 bytes, one logical processor
    leaf_set(m, 0x80000000, 0, d->xlevel, b->amd ? w[0] : 0, b->amd ? w[2] : 0, b->amd ? w[1] : 0);
    leaf_set(m, 0x80000001, 0, b->amd ? sig : 0, 0, 0, 0);
    char brand[48] = "";
    if (d->brand)
        memcpy(brand, d->brand, strnlen(d->brand, sizeof brand - 1));
    for (unsigned i = 0; i < 3; i++) {
        uint32_t r[4];
        if (d->brand)
            memcpy(r, brand + 16 * i, 16);
        else
            host_cpuid(0x80000002 + i, 0, r);
        leaf_set(m, 0x80000002 + i, 0, r[0], r[1], r[2], r[3]);
    }
}

static void build_constants(struct builder *b)
{
    struct cpu_model *m = b->m;
    for (unsigned i = 0; i < cpuid_const_count; i++) {
        const struct cpuid_const *c = &cpuid_consts[i];
        bool ext = c->leaf & 0x80000000;
        if (c->vendor == (b->amd ? 'A' : 'I') && c->leaf <= (ext ? b->def->xlevel : b->def->level))
            leaf_set(m, c->leaf, c->subleaf, c->eax, c->ebx, c->ecx, c->edx);
    }
    // 15H: TSC = crystal * EBX / EAX; the crystal is what the local APIC's timer counts, 1 GHz.
    leaf_set(m, 0x15, 0, 1000000, m->tsc_khz, 1000000000, 0);
    leaf_set(m, 0x16, 0, m->tsc_khz / 1000, m->tsc_khz / 1000, 100, 0);
    if (has(b, "hypervisor")) {
        uint32_t w[3];
        memcpy(w, "ring3 ring3 ", 12);
        leaf_set(m, 0x40000000, 0, 0x40000010, w[0], w[1], w[2]);
        leaf_set(m, 0x40000010, 0, m->tsc_khz, 1000000, 0, 0); // TSC and APIC timer in kHz
    }
    leaf_set(m, 0x80000008, 0, PHYS_BITS | LINEAR_BITS << 8, 0, 0, 0);
}

static void build_features(struct builder *b)
{
    for (unsigned i = 0; i < cpu_feature_count; i++) {
        const struct cpu_feature *f = &cpu_features[i];
        if (!b->on[i])
            continue;
        struct cpuid_leaf *l = leaf_get(b->m, f->leaf, f->subleaf);
        uint32_t *reg[4] = {&l->eax, &l->ebx, &l->ecx, &l->edx};
        *reg[f->reg] |= 1u << f->bit;
    }
    struct cpuid_leaf *l7 = leaf_get(b->m, 7, 0);
    l7->eax = 1; // highest subleaf
    // AMD repeats most of leaf 1's EDX.
    if (b->amd)
        leaf_get(b->m, 0x80000001, 0)->edx |= leaf_get(b->m, 1, 0)->edx & 0x0183f3ff;
}

static void build_xsave(struct builder *b)
{
    struct cpu_model *m = b->m;
    m->xcr0_mask = has(b, "xsave") ? 3 | (has(b, "avx") ? 4 : 0) | (has(b, "avx512f") ? 0xe0 : 0) : 1;
    for (unsigned i = 2; i < ARRAY_SIZE(m->xcomp); i++) {
        uint32_t r[4];
        if (!(m->xcr0_mask >> i & 1))
            continue;
        host_cpuid(0xd, i, r);
        m->xcomp[i].size = r[R_EAX];
        m->xcomp[i].offset = r[R_EBX];
        m->xcomp[i].align64 = r[R_ECX] & 2;
        leaf_set(m, 0xd, i, r[R_EAX], r[R_EBX], r[R_ECX] & 2, 0);
    }
}

static void build_summary(struct builder *b)
{
    struct cpu_model *m = b->m;
    m->maxphyaddr = PHYS_BITS;
    m->max_linear = LINEAR_BITS;
    m->is_amd = b->amd;
    m->has_pcid = has(b, "pcid");
    m->has_smap = has(b, "smap");
    m->has_smep = has(b, "smep");
    m->has_umip = has(b, "umip");
    m->has_fsgsbase = has(b, "fsgsbase");
    m->has_rdtscp = has(b, "rdtscp");
    m->has_xsaves = has(b, "xsaves");
    m->has_nx = has(b, "nx");
    m->has_1g = has(b, "pdpe1gb");
    m->has_x2apic = has(b, "x2apic");
    m->has_invpcid = has(b, "invpcid");
    m->cr4_mask = CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    m->cr4_mask |= (has(b, "vme") ? CR4_VME | CR4_PVI : 0) | (m->has_umip ? CR4_UMIP : 0) |
                   (m->has_fsgsbase ? CR4_FSGSBASE : 0) | (m->has_pcid ? CR4_PCIDE : 0) |
                   (has(b, "xsave") ? CR4_OSXSAVE : 0) | (m->has_smep ? CR4_SMEP : 0) | (m->has_smap ? CR4_SMAP : 0);
    m->efer_mask = (has(b, "syscall") ? EFER_SCE : 0) | (has(b, "lm") ? EFER_LME | EFER_LMA : 0) |
                   (m->has_nx ? EFER_NXE : 0) | (has(b, "auto-ibrs") ? BIT(21) : 0);
}

int cpu_model_parse(const char *arg, struct cpu_model *out, char err[160])
{
    struct builder b = {.m = out};
    size_t n = strcspn(arg, ",");
    memset(out, 0, sizeof *out);
    for (unsigned i = 0; i < cpu_model_def_count; i++)
        if (strlen(cpu_model_defs[i].name) == n && !memcmp(arg, cpu_model_defs[i].name, n))
            b.def = &cpu_model_defs[i];
    if (!b.def) {
        snprintf(err, 160, "unknown CPU model '%.*s' (see -cpu help)", (int)(n < 60 ? n : 60), arg);
        return -EINVAL;
    }
    snprintf(out->name, sizeof out->name, "%s", b.def->name);
    b.amd = b.def->vendor ? b.def->vendor[0] == 'A' : host_is_amd();
    start_features(&b);
    while (arg[n] == ',') {
        arg += n + 1;
        n = strcspn(arg, ",");
        int r = edit(&b, arg, n, err);
        if (r)
            return r;
    }
    out->tsc_khz = host_tsc_khz();
    build_identity(&b);
    build_constants(&b);
    build_features(&b);
    build_xsave(&b);
    build_summary(&b);
    return 0;
}

void cpu_model_help(void (*print)(const char *line))
{
    char line[120];
    print("Available CPU models:");
    for (unsigned i = 0; i < cpu_model_def_count; i++) {
        snprintf(line, sizeof line, "  %-10s %s", cpu_model_defs[i].name, cpu_model_defs[i].help);
        print(line);
    }
    print("Features, as +NAME, -NAME or NAME=on|off:");
    int n = 0;
    for (unsigned i = 0; i < cpu_feature_count; i++) {
        if (cpu_features[i].kind == REFUSED)
            continue;
        int len = strlen(cpu_features[i].name) + 1;
        if (n + len > 78) {
            print(line);
            n = 0;
        }
        n += snprintf(line + n, sizeof line - n, "%s%s", n ? " " : "  ", cpu_features[i].name);
    }
    if (n)
        print(line);
}
