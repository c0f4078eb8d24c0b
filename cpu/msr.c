// SPDX-License-Identifier: MIT
// Model-specific registers. SDM vol. 4 for Intel's; AMD APM vol. 2, appendix A "MSR Cross-Reference" for C001xxxxh.
//
// Most are a field of struct cpu with a set of bits that may be written: one table line each. Those that act
// have a function. The rest of what kernels touch without asking reads as a constant and drops writes; an MSR in
// no table raises #GP.
#include "cpu/msr.h"
#include "cpu/internal.h"

enum { F_CANONICAL = 1 };

struct msr_field {
    uint32_t msr;
    uint32_t offset;   // of the uint64_t in struct cpu
    uint64_t writable; // other bits: #GP if set
    unsigned flags;
};

// clang-format off
#define FIELD(msr, f, mask, flags) {msr, offsetof(struct cpu, f), mask, flags}
// clang-format on
#define ALL (~0ull)

static const struct msr_field fields[] = {
    FIELD(0xc0000100, seg[FS].base, ALL, F_CANONICAL),
    FIELD(0xc0000101, seg[GS].base, ALL, F_CANONICAL),
    FIELD(0xc0000102, kernel_gs_base, ALL, F_CANONICAL),
    FIELD(0xc0000081, star, ALL, 0),
    FIELD(0xc0000082, lstar, ALL, F_CANONICAL),
    FIELD(0xc0000083, cstar, ALL, F_CANONICAL),
    FIELD(0xc0000084, sfmask, 0xffffffff, 0),
    FIELD(0xc0000103, tsc_aux, 0xffffffff, 0),
    FIELD(0x174, sysenter_cs, ALL, 0),
    FIELD(0x175, sysenter_esp, ALL, F_CANONICAL),
    FIELD(0x176, sysenter_eip, ALL, F_CANONICAL),
    FIELD(0x1a0, misc_enable, 0x4550c51889, 0), // MISC_ENABLE
    FIELD(0x048, spec_ctrl, 0x7ff, 0),          // SPEC_CTRL: nothing of ours listens to it
    FIELD(0x2ff, mtrr_def_type, 0xcff, 0),
    FIELD(0xda0, xss, 0, 0), // no supervisor components
};

// Registers that read as a constant and swallow writes, so that probing kernels log nothing.
struct msr_const {
    uint32_t first, last;
    uint64_t value;
};
static const struct msr_const constants[] = {
    {0x017, 0x017, 0},     // PLATFORM_ID
    {0x02a, 0x02a, 0},     // EBL_CR_POWERON
    {0x034, 0x034, 0},     // SMI_COUNT
    {0x03a, 0x03a, 1},     // FEATURE_CONTROL: locked, no VMX
    {0x049, 0x049, 0},     // PRED_CMD
    {0x079, 0x079, 0},     // BIOS_UPDT_TRIG
    {0x0c1, 0x0c8, 0},     // PMC0..7
    {0x0cd, 0x0cd, 0},     // FSB_FREQ
    {0x0e2, 0x0e2, 0},     // PKG_CST_CONFIG_CONTROL
    {0x0fe, 0x0fe, 0x508}, // MTRRCAP: 8 variable ranges, fixed ranges, WC
    {0x10b, 0x10b, 0},     // FLUSH_CMD
    {0x122, 0x122, 0},     // TSX_CTRL
    {0x140, 0x140, 0},     // MISC_FEATURES_ENABLES
    {0x179, 0x17b, 0},     // MCG_CAP (no banks), MCG_STATUS, MCG_CTL
    {0x186, 0x18d, 0},     // PERFEVTSEL0..7
    {0x198, 0x199, 0},     // PERF_STATUS, PERF_CTL
    {0x19a, 0x19c, 0},     // CLOCK_MODULATION, THERM_INTERRUPT, THERM_STATUS
    {0x1a2, 0x1a2, 0},     // TEMPERATURE_TARGET
    {0x1ad, 0x1b2, 0},     // TURBO_RATIO_LIMIT .. ENERGY_PERF_BIAS, PACKAGE_THERM_*
    {0x1c9, 0x1c9, 0},     // LASTBRANCH_TOS
    {0x1d9, 0x1de, 0},     // DEBUGCTL and the last-branch and -interrupt addresses
    {0x1fc, 0x1fc, 0},     // POWER_CTL
    {0x345, 0x345, 0},     // PERF_CAPABILITIES
    {0x38d, 0x390, 0},     // fixed-counter and global control
    {0x400, 0x47f, 0},     // machine-check banks
    {0x606, 0x606, 0},     // RAPL_POWER_UNIT
    {0x611, 0x611, 0},
    {0x619, 0x619, 0},
    {0x639, 0x641, 0},
    {0xc0010000, 0xc0010007, 0},          // PERF_CTL0..3, PERF_CTR0..3
    {0xc0010010, 0xc0010010, 0},          // SYSCFG
    {0xc0010015, 0xc0010015, 0x01000010}, // HWCR: TscFreqSel, WBINVD is kept
    {0xc0010016, 0xc001001d, 0},          // IORRs, TOP_MEM, TOP_MEM2
    {0xc001001f, 0xc001001f, 0},          // NB_CFG
    {0xc0010020, 0xc0010020, 0},          // PATCH_LOADER
    {0xc0010055, 0xc0010058, 0},          // INT_PENDING, MMIO_CFG_BASE
    {0xc0010061, 0xc0010072, 0},          // P-states
    {0xc0010111, 0xc0010113, 0},          // SMBASE, SMM address and mask
    {0xc0010114, 0xc0010114, 0x18},       // VM_CR: SVM locked off
    {0xc0010117, 0xc0010117, 0},
    {0xc0010131, 0xc0010131, 0}, // SEV_STATUS
    {0xc0010140, 0xc0010141, 0}, // OSVW
    {0xc0010200, 0xc001020b, 0}, // core performance counters
    {0xc0010299, 0xc001029b, 0}, // RAPL
    {0xc00102b0, 0xc00102b4, 0}, // CPPC
    {0xc00102f0, 0xc00102f1, 0}, // PPIN
    {0xc0011004, 0xc0011005, 0}, // CPUID feature overrides
    {0xc0011019, 0xc0011023, 0}, // address masks, LS_CFG, IC_CFG, DC_CFG
    {0xc0011029, 0xc0011029, 2}, // DE_CFG: LFENCE serialises
    {0xc001102a, 0xc001103d, 0}, // BU_CFG2, IBS
};

static const struct msr_field *find_field(uint32_t msr)
{
    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
        if (fields[i].msr == msr)
            return &fields[i];
    return NULL;
}

static const struct msr_const *find_constant(uint32_t msr)
{
    for (unsigned i = 0; i < ARRAY_SIZE(constants); i++)
        if (msr >= constants[i].first && msr <= constants[i].last)
            return &constants[i];
    return NULL;
}

// --- MTRRs and PAT: stored and checked; all guest memory is the host's write-back

static bool memory_type_ok(unsigned t, bool pat) { return t < 8 && ((pat ? 0xf3u : 0x73u) >> t & 1); }

static bool memory_types_ok(uint64_t v, bool pat)
{
    for (unsigned i = 0; i < 8; i++)
        if (!memory_type_ok(v >> i * 8 & 0xff, pat))
            return false;
    return true;
}

static uint64_t *mtrr_slot(struct cpu *cpu, uint32_t msr, bool *fixed)
{
    *fixed = true;
    switch (msr) {
    case 0x250: return &cpu->mtrr_fixed[0];
    case 0x258 ... 0x259: return &cpu->mtrr_fixed[1 + msr - 0x258];
    case 0x268 ... 0x26f: return &cpu->mtrr_fixed[3 + msr - 0x268];
    case 0x200 ... 0x20f:
        *fixed = false;
        return msr & 1 ? &cpu->mtrr_mask[msr >> 1 & 7] : &cpu->mtrr_base[msr >> 1 & 7];
    }
    return NULL;
}

// --- the interrupt controller's MSRs: APIC_BASE, TSC_DEADLINE, x2APIC

static bool is_intc_msr(uint32_t msr) { return msr == 0x1b || msr == 0x6e0 || (msr >= 0x800 && msr <= 0x8ff); }

static bool intc_access(struct cpu *cpu, uint32_t msr, uint64_t *v, bool write)
{
    bool ok = false;
    if (!cpu->intc)
        return false;
    big_lock();
    if (write && cpu->intc->wrmsr)
        ok = cpu->intc->wrmsr(cpu->intc_opaque, msr, *v);
    else if (!write && cpu->intc->rdmsr)
        ok = cpu->intc->rdmsr(cpu->intc_opaque, msr, v);
    big_unlock();
    return ok;
}

// --- IA32_ARCH_CAPABILITIES: SDM vol. 4, table 2-2. The host, which the guest's code really runs on, has its own
// mitigations; to the guest this CPU needs none.
static uint64_t arch_capabilities(void)
{
    const unsigned no[] = {0 /* RDCL_NO */,
                           1 /* IBRS_ALL */,
                           3 /* SKIP_L1DFL_VMENTRY */,
                           4 /* SSB_NO */,
                           5 /* MDS_NO */,
                           6 /* IF_PSCHANGE_MC_NO */,
                           8 /* TAA_NO */,
                           13 /* SBDR_SSDP_NO */,
                           14 /* FBSDP_NO */,
                           15 /* PSDP_NO */,
                           20 /* BHI_NO */,
                           24 /* PBRSB_NO */,
                           26 /* GDS_NO */,
                           27 /* RFDS_NO */};
    uint64_t v = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(no); i++)
        v |= BIT(no[i]);
    return v | 1ull << 62; // ITS_NO
}

bool cpu_msr_read(struct cpu *cpu, uint32_t msr, uint64_t *v)
{
    bool fixed;
    if (is_intc_msr(msr))
        return intc_access(cpu, msr, v, false);
    const struct msr_field *f = find_field(msr);
    if (f) {
        *v = *(const uint64_t *)((const char *)cpu + f->offset);
        return true;
    }
    const uint64_t *mtrr = mtrr_slot(cpu, msr, &fixed);
    if (mtrr) {
        *v = *mtrr;
        return true;
    }
    switch (msr) {
    case 0xc0000080: *v = cpu->efer; return true;
    case 0x10: *v = __builtin_ia32_rdtsc() + cpu->tsc_offset; return true;
    case 0xe7: // MPERF, APERF: a CPU that always runs at its TSC's pace
    case 0xe8: *v = __builtin_ia32_rdtsc() + cpu->tsc_offset; return true;
    case 0x3b: *v = cpu->tsc_adjust; return true;
    case 0x277: *v = cpu->pat; return true;
    case 0x8b: *v = cpu->model->is_amd ? 0x0b00215a : 0x2b000590ull << 32; return true; // microcode revision
    case 0xce: *v = (uint64_t)(cpu->model->tsc_khz / 100000) << 8; return true;         // PLATFORM_INFO: ratio
    case 0x10a: *v = arch_capabilities(); return !cpu->model->is_amd;
    }
    const struct msr_const *c = find_constant(msr);
    if (c)
        *v = c->value;
    return c;
}

bool cpu_msr_write(struct cpu *cpu, uint32_t msr, uint64_t v)
{
    bool fixed;
    if (is_intc_msr(msr))
        return intc_access(cpu, msr, &v, true);
    const struct msr_field *f = find_field(msr);
    if (f) {
        if ((v & ~f->writable) || ((f->flags & F_CANONICAL) && !is_canonical(v)))
            return false;
        *(uint64_t *)((char *)cpu + f->offset) = v;
        return true;
    }
    uint64_t *mtrr = mtrr_slot(cpu, msr, &fixed);
    if (mtrr) {
        if (fixed && !memory_types_ok(v, false))
            return false;
        *mtrr = v;
        return true;
    }
    switch (msr) {
    case 0xc0000080: return cpu_write_efer(cpu, v);
    case 0x10: {
        uint64_t delta = v - (__builtin_ia32_rdtsc() + cpu->tsc_offset);
        cpu->tsc_offset += delta;
        cpu->tsc_adjust += delta; // SDM vol. 3B, section 18.17.3 "Time-Stamp Counter Adjustment"
        return true;
    }
    case 0x3b:
        cpu->tsc_offset += v - cpu->tsc_adjust;
        cpu->tsc_adjust = v;
        return true;
    case 0x277:
        if (!memory_types_ok(v, true))
            return false;
        cpu->pat = v;
        return true;
    case 0x8b: return true; // written before the revision is read
    case 0xe7 ... 0xe8: return true;
    }
    return find_constant(msr);
}

static bool msr_present(const struct cpu *cpu, uint32_t msr)
{
    if (msr == 0xc0000103)
        return cpu->model->has_rdtscp;
    if (msr == 0xda0)
        return cpu->model->has_xsaves;
    return true;
}

void cpu_op_rdmsr(struct cpu *cpu)
{
    uint64_t v = 0;
    uint32_t msr = cpu->gpr[RCX];
    require_cpl0(cpu);
    if (!msr_present(cpu, msr) || !cpu_msr_read(cpu, msr, &v))
        raise_gp0(cpu);
    cpu->gpr[RAX] = (uint32_t)v;
    cpu->gpr[RDX] = v >> 32;
}

void cpu_op_wrmsr(struct cpu *cpu)
{
    uint32_t msr = cpu->gpr[RCX];
    require_cpl0(cpu);
    if (!msr_present(cpu, msr) || !cpu_msr_write(cpu, msr, (uint32_t)cpu->gpr[RAX] | cpu->gpr[RDX] << 32))
        raise_gp0(cpu);
}

void cpu_msr_reset(struct cpu *cpu)
{
    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
        if (fields[i].msr != 0xc0000100 && fields[i].msr != 0xc0000101) // the segments' reset did these
            *(uint64_t *)((char *)cpu + fields[i].offset) = 0;
    cpu->misc_enable = 0x1801; // fast strings; no BTS, no PEBS
    cpu->pat = 0x0007040600070406;
    cpu->tsc_adjust = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(cpu->mtrr_fixed); i++)
        cpu->mtrr_fixed[i] = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(cpu->mtrr_base); i++)
        cpu->mtrr_base[i] = cpu->mtrr_mask[i] = 0;
}
