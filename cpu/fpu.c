// SPDX-License-Identifier: MIT
// The guest's vector state: kept in the host's registers, saved to struct cpu's area, and the FXSAVE and XSAVE
// family on guest memory. SDM vol. 1, chapter 13 "Managing State Using the XSAVE Feature Set".
//
// The host's own instruction does the work, with the guest's requested-feature bitmap (EDX:EAX AND XCR0), on the
// guest's page itself or on an aligned bounce buffer. Restores always go through the buffer: its header is checked
// before the host may #GP, and another vCPU cannot change it in between.
//
// XSAVES and XRSTORS are privileged, yet without supervisor components (XSS is 0) they differ from XSAVEC and from
// the compacted XRSTOR in nothing a guest can see.
//
// Known gap: the x87 instruction and data pointers that the host stores are those of the code cache and of this
// process. They are stored as zero (drop_pointers), which at least tells the guest nothing; mapping them back to the
// guest belongs there.
#include "cpu/fpu.h"
#include "base/copy.h"
#include "cpu/internal.h"

#include <errno.h>
#include <stdlib.h>

// clang-format off
enum {
    X_KNOWN = 0xe7, // x87, SSE, AVX, opmask, ZMM_Hi256, Hi16_ZMM
    X_LEGACY_SIZE = 512, X_HEADER = 512, X_EXTENDED = 576,
    FX_MXCSR = 24, FX_MXCSR_MASK = 28, FX_XMM = 160, FX_SIZE = 416, // bytes 416..511 are software's
};
// clang-format on
#define XCOMP_COMPACT BIT(63)

struct xheader {
    uint64_t bv, comp, rest[6];
};

// --- the host's instructions

static uint64_t host_xcr0(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return lo | (uint64_t)hi << 32;
}

static void host_xsave(void *p, uint64_t mask)
{
    __asm__ volatile("xsave64 (%0)" : : "r"(p), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32)) : "memory");
}

static void host_xsavec(void *p, uint64_t mask)
{
    __asm__ volatile("xsavec64 (%0)" : : "r"(p), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32)) : "memory");
}

static void host_xrstor(const void *p, uint64_t mask)
{
    __asm__ volatile("xrstor64 (%0)" : : "r"(p), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32)) : "memory");
}

static void host_abi_state(bool avx)
{
    // FNINIT leaves no pending exception behind; MXCSR as the psABI has it at function entry. Clean upper halves
    // spare the C library's SSE code a transition penalty.
    uint32_t mxcsr = 0x1f80;
    __asm__ volatile("fninit; ldmxcsr %0" : : "m"(mxcsr));
    if (avx)
        __asm__ volatile("vzeroupper");
}

// Which bits LDMXCSR takes on this host: SDM vol. 1, section 11.6.6 "Guidelines for Writing to the MXCSR Register".
static uint32_t host_mxcsr_mask(void)
{
    uint8_t image[512] __attribute__((aligned(64)));
    __asm__ volatile("fxsave64 %0" : "=m"(image));
    uint32_t m = *(const uint32_t *)(image + FX_MXCSR_MASK);
    return m ? m : 0xffbf;
}

// --- the vCPU's own area

static struct xheader *header_of(uint8_t *area) { return (struct xheader *)(area + X_HEADER); }

int cpu_fpu_init(struct cpu *cpu)
{
    cpu->fpu_host_mask = host_xcr0() & X_KNOWN;
    cpu->fpu_mxcsr_mask = host_mxcsr_mask();
    if (!cpu->xsave) {
        void *p;
        if (posix_memalign(&p, 64, XSAVE_AREA_SIZE))
            return -ENOMEM;
        cpu->xsave = p;
    }
    cpu_fpu_reset(cpu);
    return 0;
}

void cpu_fpu_save(struct cpu *cpu)
{
    if (!cpu->fpu_live)
        return;
    host_xsave(cpu->xsave, cpu->fpu_host_mask);
    host_abi_state(cpu->fpu_host_mask & 4);
    cpu->fpu_live = false;
}

void cpu_fpu_load(struct cpu *cpu)
{
    if (cpu->fpu_live)
        return;
    host_xrstor(cpu->xsave, cpu->fpu_host_mask);
    cpu->fpu_live = true;
}

void cpu_fpu_reset(struct cpu *cpu)
{
    if (!cpu->xsave)
        return;
    if (cpu->fpu_live) {
        host_abi_state(cpu->fpu_host_mask & 4);
        cpu->fpu_live = false;
    }
    zero_bytes(cpu->xsave, XSAVE_AREA_SIZE);
    *(uint16_t *)cpu->xsave = 0x40; // FCW of power-on: SDM vol. 3A, table 10-1; FINIT would give 37FH
    *(uint32_t *)(cpu->xsave + FX_MXCSR) = 0x1f80;
    header_of(cpu->xsave)->bv = 3; // the rest is loaded as initial
}

uint64_t cpu_fpu_inuse(struct cpu *cpu)
{
    if (!cpu->fpu_live)
        return header_of(cpu->xsave)->bv;
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(1));
    return lo | (uint64_t)hi << 32;
}

// --- layout of guest areas

struct xlayout {
    uint32_t offset[8], size[8], end;
};

// Where the components of an area are. comp: bitmap of a compacted area, or 0 for the standard format with
// the components in mask.
static void layout_make(const struct cpu_model *m, uint64_t comp, uint64_t mask, struct xlayout *l)
{
    l->end = X_EXTENDED;
    for (unsigned i = 2; i < 8; i++) {
        uint64_t have = comp ? comp : mask;
        l->size[i] = have >> i & 1 ? m->xcomp[i].size : 0;
        l->offset[i] = m->xcomp[i].offset;
        if (!l->size[i])
            continue;
        if (comp) {
            if (m->xcomp[i].align64)
                l->end = (l->end + 63) & ~63u;
            l->offset[i] = l->end;
            l->end += l->size[i];
        } else if (l->offset[i] + l->size[i] > l->end) {
            l->end = l->offset[i] + l->size[i];
        }
    }
}

// --- saves

static void drop_pointers(uint8_t *legacy)
{
    *(volatile uint64_t *)(legacy + 8) = 0;
    *(volatile uint64_t *)(legacy + 16) = 0;
}

// The host's save of the guest's state into area (64-aligned, its header zeroed, or the guest's own page).
// The state is live during it and afterwards only if it was before: what follows may unwind.
static void native_save(struct cpu *cpu, enum xstate_op op, uint8_t *area, uint64_t mask)
{
    bool live = cpu->fpu_live;
    cpu_fpu_load(cpu);
    if (op == X_FXSAVE)
        __asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
    else if (op == X_XSAVEC || op == X_XSAVES)
        host_xsavec(area, mask);
    else
        host_xsave(area, mask);
    if (!live)
        cpu_fpu_save(cpu);
    if (op == X_FXSAVE || (mask & 1))
        drop_pointers(area);
}

// Outside 64-bit mode the upper eight (for component 7: all sixteen) registers are neither saved nor restored:
// SDM vol. 1, section 13.7 "Operation of XSAVE", and 13.5 on each component.
static unsigned stored_size(const struct cpu *cpu, unsigned component, unsigned size)
{
    if (in_code64(cpu) || component == 5)
        return size;
    return component == 7 ? 0 : size / 2;
}

static void put(struct cpu *cpu, gva ea, const uint8_t *area, unsigned from, unsigned len)
{
    if (len)
        cpu_write(cpu, ea + from, area + from, len);
}

// Writes to the guest what the instruction defines as written, and nothing else.
static void store_area(struct cpu *cpu, enum xstate_op op, gva ea, uint8_t *area, uint64_t mask,
                       const struct xlayout *l)
{
    bool compact = op == X_XSAVEC || op == X_XSAVES;
    uint64_t bv = header_of(area)->bv;
    // XSAVE stores initial components as well; the others leave them out.
    uint64_t stored = op == X_XSAVE ? mask : mask & bv;
    if (stored & 1) {
        put(cpu, ea, area, 0, FX_MXCSR);
        put(cpu, ea, area, 32, FX_XMM - 32);
    }
    if (compact ? stored & 2 : mask & 6)
        put(cpu, ea, area, FX_MXCSR, 8);
    if (stored & 2)
        put(cpu, ea, area, FX_XMM, stored_size(cpu, 1, FX_SIZE - FX_XMM));
    for (unsigned i = 2; i < 8; i++)
        if (stored >> i & 1)
            put(cpu, ea, area, l->offset[i], stored_size(cpu, i, l->size[i]));
    if (compact) {
        put(cpu, ea, area, X_HEADER, 16);
    } else {
        uint64_t old = cpu_load(cpu, ea + X_HEADER, 8);
        cpu_store(cpu, ea + X_HEADER, (old & ~mask) | (bv & mask), 8);
    }
}

static void probe_write(struct cpu *cpu, gva ea, unsigned len)
{
    struct mmu_fault f;
    uint8_t none = 0;
    for (unsigned off = 0; off < len; off += PAGE_SIZE - (ea + off) % PAGE_SIZE)
        if (!mmu_write(&cpu->mmu, ea + off, &none, 1, MMU_PROBE, &f))
            cpu_raise_pf(cpu, &f);
}

static void do_xsave(struct cpu *cpu, enum xstate_op op, gva ea, uint64_t mask)
{
    bool compact = op == X_XSAVEC || op == X_XSAVES;
    struct mmu *m = &cpu->mmu;
    struct xlayout l;
    layout_make(cpu->model, compact ? mask | XCOMP_COMPACT : 0, mask, &l);
    // A page of plain RAM that holds no translations: save right into it. Not for XSAVEOPT, which leaves out
    // initial components: store_area() does that.
    if (m->shadow && op != X_XSAVEOPT && in_code64(cpu) && ea % PAGE_SIZE + l.end <= PAGE_SIZE) {
        hva p = m->shadow->lookup(m->shadow_ctx, ea, MMU_WRITE, m->user, m->ac);
        if (p) {
            native_save(cpu, op, p, mask);
            return;
        }
    }
    uint8_t area[XSAVE_AREA_SIZE] __attribute__((aligned(64)));
    *header_of(area) = (struct xheader){0};
    native_save(cpu, op, area, mask);
    probe_write(cpu, ea, l.end);
    store_area(cpu, op, ea, area, mask, &l);
}

// --- restores

// Is the guest's header good for XRSTOR? SDM vol. 1, section 13.8.1 "Standard Form of XRSTOR" and 13.8.2
// "Compacted Form of XRSTOR"; and XRSTORS wants the compacted form.
static bool header_ok(const struct cpu *cpu, const struct xheader *h, enum xstate_op op)
{
    if (h->comp & XCOMP_COMPACT) {
        const struct cpuid_leaf *l = cpu_model_leaf(cpu->model, 0xd, 1);
        for (unsigned i = 0; i < ARRAY_SIZE(h->rest); i++)
            if (h->rest[i])
                return false;
        return l && (l->eax & 2) && !(h->comp & ~XCOMP_COMPACT & ~cpu->xcr0) && !(h->bv & ~h->comp) && !(h->bv >> 63);
    }
    return op != X_XRSTORS && !h->comp && !h->rest[0] && !(h->bv & ~cpu->xcr0);
}

static void check_mxcsr(struct cpu *cpu, const uint8_t *area)
{
    if (*(const uint32_t *)(area + FX_MXCSR) & ~cpu->fpu_mxcsr_mask)
        raise_gp0(cpu);
}

// Puts back what a restore outside 64-bit mode does not touch. was: all state before it, standard format.
static void keep_upper(const struct cpu *cpu, const uint8_t *was)
{
    uint8_t now[XSAVE_AREA_SIZE] __attribute__((aligned(64)));
    uint64_t all = cpu->fpu_host_mask, old = ((const struct xheader *)(was + X_HEADER))->bv;
    struct xlayout l;
    layout_make(cpu->model, 0, all, &l);
    l.offset[1] = FX_XMM;
    l.size[1] = FX_SIZE - FX_XMM;
    *header_of(now) = (struct xheader){0};
    host_xsave(now, all);
    for (unsigned i = 1; i < 8; i++) {
        unsigned low = stored_size(cpu, i, l.size[i]);
        if (!l.size[i])
            continue;
        if (!(header_of(now)->bv >> i & 1)) // initial, but what is kept may not be
            zero_bytes(now + l.offset[i], low);
        if (old >> i & 1)
            copy_bytes(now + l.offset[i] + low, was + l.offset[i] + low, l.size[i] - low);
        else
            zero_bytes(now + l.offset[i] + low, l.size[i] - low);
    }
    header_of(now)->bv |= all & 0xc6;
    host_xrstor(now, all);
}

static void do_xrstor(struct cpu *cpu, enum xstate_op op, gva ea, uint64_t mask)
{
    uint8_t area[XSAVE_AREA_SIZE] __attribute__((aligned(64)));
    struct xheader *h = header_of(area);
    struct xlayout l;
    bool live = cpu->fpu_live;
    cpu_read(cpu, ea, area, X_EXTENDED);
    if (!header_ok(cpu, h, op))
        raise_gp0(cpu);
    bool compact = h->comp & XCOMP_COMPACT;
    if (compact ? mask & h->bv & 2 : mask & 6) // only then is MXCSR loaded
        check_mxcsr(cpu, area);
    layout_make(cpu->model, compact ? h->comp : 0, mask & h->bv, &l);
    for (unsigned i = 2; i < 8; i++)
        if (l.size[i] && (mask & h->bv) >> i & 1)
            cpu_read(cpu, ea + l.offset[i], area + l.offset[i], l.size[i]);
    cpu_fpu_load(cpu);
    if (in_code64(cpu)) {
        host_xrstor(area, mask);
    } else {
        uint8_t was[XSAVE_AREA_SIZE] __attribute__((aligned(64)));
        *header_of(was) = (struct xheader){0};
        host_xsave(was, cpu->fpu_host_mask);
        host_xrstor(area, mask);
        keep_upper(cpu, was);
    }
    if (!live)
        cpu_fpu_save(cpu);
}

// --- FXSAVE, FXRSTOR: SDM vol. 2A

// XMM8..15 exist in 64-bit mode only; elsewhere their places in memory are left alone.
static unsigned fx_size(const struct cpu *cpu) { return in_code64(cpu) ? FX_SIZE : 288; }

static void do_fxsave(struct cpu *cpu, gva ea)
{
    uint8_t area[512] __attribute__((aligned(64)));
    native_save(cpu, X_FXSAVE, area, 0);
    probe_write(cpu, ea, sizeof area); // CPUs want all 512 bytes to be writable
    cpu_write(cpu, ea, area, fx_size(cpu));
}

static void do_fxrstor(struct cpu *cpu, gva ea, bool rex_w)
{
    uint8_t area[512] __attribute__((aligned(64))), now[512] __attribute__((aligned(64)));
    bool live = cpu->fpu_live;
    unsigned size = fx_size(cpu);
    cpu_read(cpu, ea, area, sizeof area); // all 512 must be readable
    check_mxcsr(cpu, area);
    cpu_fpu_load(cpu);
    if (size < FX_SIZE) { // the host loads all sixteen registers
        __asm__ volatile("fxsave64 (%0)" : : "r"(now) : "memory");
        copy_bytes(area + size, now + size, FX_SIZE - size);
    }
    if (rex_w)
        __asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
    else
        __asm__ volatile("fxrstor (%0)" : : "r"(area) : "memory");
    if (!live)
        cpu_fpu_save(cpu);
}

// --- entry

static void check_allowed(struct cpu *cpu, enum xstate_op op, gva ea)
{
    bool fx = op == X_FXSAVE || op == X_FXRSTOR;
    const struct cpuid_leaf *l = cpu_model_leaf(cpu->model, 0xd, 1);
    uint32_t features = l ? l->eax : 0;
    if (fx) {
        if (cpu->cr0 & CR0_EM)
            cpu_raise(cpu, EXC_NM);
    } else if (!(cpu->cr4 & CR4_OSXSAVE) || (op == X_XSAVEOPT && !(features & 1)) ||
               (op == X_XSAVEC && !(features & 2)) || ((op == X_XSAVES || op == X_XRSTORS) && !(features & 8))) {
        cpu_raise(cpu, EXC_UD);
    }
    if (op == X_XSAVES || op == X_XRSTORS)
        require_cpl0(cpu);
    if (cpu->cr0 & CR0_TS)
        cpu_raise(cpu, EXC_NM);
    if (ea & (fx ? 15 : 63))
        raise_gp0(cpu);
}

void cpu_op_xstate(struct cpu *cpu, enum xstate_op op, gva ea, bool rex_w)
{
    uint64_t mask = ((uint32_t)cpu->gpr[RAX] | cpu->gpr[RDX] << 32) & cpu->xcr0;
    check_allowed(cpu, op, ea);
    if (op == X_FXSAVE)
        do_fxsave(cpu, ea);
    else if (op == X_FXRSTOR)
        do_fxrstor(cpu, ea, rex_w);
    else if (op == X_XRSTOR || op == X_XRSTORS)
        do_xrstor(cpu, op, ea, mask);
    else
        do_xsave(cpu, op, ea, mask);
}
