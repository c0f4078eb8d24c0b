// SPDX-License-Identifier: MIT
// Control and debug registers, invalidations, and the small system instructions.
// SDM vol. 3A, section 2.5 "Control Registers"; vol. 3B, section 18.2 "Debug Registers".
#include "cpu/internal.h"
#include "softmmu/walk.h"

// --- control registers

// Which changes of CR0 and CR4 reload the PAE PDPTE registers: SDM vol. 3A, section 4.4.1 "PDPTE Registers".
#define CR0_PDPTE (CR0_CD | CR0_NW | CR0_PG)
#define CR4_PDPTE (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)

// The PDPTEs as these registers select them go to the MMU; #GP(0) if one has reserved bits set.
static void load_pdptes(struct cpu *cpu, uint64_t cr0, uint64_t cr3, uint64_t cr4, uint64_t efer)
{
    struct paging pg = cpu->mmu.pg;
    pg.cr0 = cr0;
    pg.cr3 = cr3;
    pg.cr4 = cr4;
    pg.efer = efer;
    if (!paging_enabled(&pg) || !paging_is_pae(&pg))
        return;
    if (!paging_load_pdptes(cpu->mem, &pg))
        raise_gp0(cpu);
    for (unsigned i = 0; i < 4; i++)
        cpu->mmu.pg.pdpte[i] = pg.pdpte[i];
}

static void write_cr0(struct cpu *cpu, uint64_t v)
{
    const uint64_t known = CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG;
    if (v >> 32)
        raise_gp0(cpu);
    v = (v & known) | CR0_ET;
    uint64_t changed = v ^ cpu->cr0, efer = cpu->efer;
    if (((v & CR0_PG) && !(v & CR0_PE)) || ((v & CR0_NW) && !(v & CR0_CD)))
        raise_gp0(cpu);
    if (changed & CR0_PG) {
        if (v & CR0_PG) {
            if (efer & EFER_LME) { // SDM vol. 3A, section 10.8.5 "Initializing IA-32e Mode"
                if (!(cpu->cr4 & CR4_PAE) || (cpu->seg[CS].attr & SEG_L))
                    raise_gp0(cpu);
                efer |= EFER_LMA;
            }
        } else {
            if (in_code64(cpu) || (cpu->cr4 & CR4_PCIDE))
                raise_gp0(cpu);
            efer &= ~EFER_LMA;
        }
    }
    if (changed & CR0_PDPTE)
        load_pdptes(cpu, v, cpu->cr3, cpu->cr4, efer);
    cpu->cr0 = v;
    cpu->efer = efer;
    if (changed & ~(CR0_TS | CR0_MP | CR0_EM | CR0_NE | CR0_AM))
        mmu_set_control(&cpu->mmu, v, cpu->cr4, efer);
    else
        cpu->mmu.pg.cr0 = v;
    cpu_update_mode(cpu);
}

static void write_cr3(struct cpu *cpu, uint64_t v)
{
    bool no_flush = false;
    if (cpu->cr4 & CR4_PCIDE) {
        no_flush = v >> 63;
        v &= ~BIT(63);
    }
    if (in_long_mode(cpu) ? v >> cpu->model->maxphyaddr : v >> 32)
        raise_gp0(cpu);
    load_pdptes(cpu, cpu->cr0, v, cpu->cr4, cpu->efer);
    cpu->cr3 = v;
    mmu_load_cr3(&cpu->mmu, v, no_flush);
}

static void write_cr4(struct cpu *cpu, uint64_t v)
{
    uint64_t changed = v ^ cpu->cr4;
    if (v & ~cpu->model->cr4_mask)
        raise_gp0(cpu);
    if (in_long_mode(cpu) && !(v & CR4_PAE))
        raise_gp0(cpu);
    if ((changed & v & CR4_PCIDE) && (!in_long_mode(cpu) || (cpu->cr3 & 0xfff)))
        raise_gp0(cpu);
    if (changed & CR4_PDPTE)
        load_pdptes(cpu, cpu->cr0, cpu->cr3, v, cpu->efer);
    cpu->cr4 = v;
    mmu_set_control(&cpu->mmu, cpu->cr0, v, cpu->efer);
    cpu_update_mode(cpu);
}

static void write_cr8(struct cpu *cpu, uint64_t v)
{
    if (v > 15)
        raise_gp0(cpu);
    if (!cpu->intc || !cpu->intc->set_tpr)
        return;
    big_lock();
    cpu->intc->set_tpr(cpu->intc_opaque, v);
    big_unlock();
}

void cpu_op_mov_to_cr(struct cpu *cpu, unsigned n, uint64_t v)
{
    static void (*const write[9])(struct cpu *, uint64_t) = {
        [0] = write_cr0,
        [3] = write_cr3,
        [4] = write_cr4,
        [8] = write_cr8,
    };
    if (n > 8 || (n != 2 && !write[n]))
        cpu_raise(cpu, EXC_UD);
    require_cpl0(cpu);
    if (!in_code64(cpu))
        v = (uint32_t)v;
    if (n == 2)
        cpu->cr2 = v;
    else
        write[n](cpu, v);
}

uint64_t cpu_op_mov_from_cr(struct cpu *cpu, unsigned n)
{
    if (n > 8 || !(0x11d >> n & 1))
        cpu_raise(cpu, EXC_UD);
    require_cpl0(cpu);
    switch (n) {
    case 0: return cpu->cr0;
    case 2: return cpu->cr2;
    case 3: return cpu->cr3;
    case 4: return cpu->cr4;
    }
    uint64_t v = 0;
    if (cpu->intc && cpu->intc->get_tpr) {
        big_lock();
        v = cpu->intc->get_tpr(cpu->intc_opaque);
        big_unlock();
    }
    return v;
}

void cpu_op_lmsw(struct cpu *cpu, uint16_t v)
{
    require_cpl0(cpu);
    // PE can be set this way, not cleared.
    write_cr0(cpu, (cpu->cr0 & ~(CR0_MP | CR0_EM | CR0_TS)) | (v & 15));
}

void cpu_op_clts(struct cpu *cpu)
{
    require_cpl0(cpu);
    cpu->cr0 &= ~CR0_TS;
    cpu->mmu.pg.cr0 = cpu->cr0;
    cpu_update_mode(cpu);
}

bool cpu_write_efer(struct cpu *cpu, uint64_t v)
{
    if (v & ~(cpu->model->efer_mask | EFER_LMA))
        return false;
    if (((v ^ cpu->efer) & EFER_LME) && (cpu->cr0 & CR0_PG))
        return false;
    cpu->efer = (v & ~EFER_LMA) | (cpu->efer & EFER_LMA); // LMA is read-only
    mmu_set_control(&cpu->mmu, cpu->cr0, cpu->cr4, cpu->efer);
    cpu_update_mode(cpu);
    return true;
}

// --- debug registers

// DR4 and DR5 are DR6 and DR7 unless CR4.DE; DR7.GD traps the access itself. Returns the register meant.
static unsigned check_dr(struct cpu *cpu, unsigned n)
{
    if (n > 7 || ((n == 4 || n == 5) && (cpu->cr4 & CR4_DE)))
        cpu_raise(cpu, EXC_UD);
    require_cpl0(cpu);
    if (cpu->dr[7] & BIT(13))
        cpu_raise_db(cpu, BIT(13)); // DR6.BD
    return n == 4 || n == 5 ? n + 2 : n;
}

void cpu_op_mov_to_dr(struct cpu *cpu, unsigned n, uint64_t v)
{
    n = check_dr(cpu, n);
    if (!in_code64(cpu))
        v = (uint32_t)v;
    if (n >= 6 && v >> 32)
        raise_gp0(cpu);
    if (n == 6)
        v = (v & 0xe00f) | 0xffff0ff0;
    else if (n == 7)
        v = (v & 0xffff23ff) | 0x400;
    cpu->dr[n] = v;
    if (n == 7)
        cpu_update_mode(cpu);
}

uint64_t cpu_op_mov_from_dr(struct cpu *cpu, unsigned n) { return cpu->dr[check_dr(cpu, n)]; }

// --- TLB invalidations

void cpu_op_invlpg(struct cpu *cpu, gva ea)
{
    require_cpl0(cpu);
    if (is_canonical(ea))
        mmu_invlpg(&cpu->mmu, ea);
}

void cpu_op_invpcid(struct cpu *cpu, uint64_t type, gva ea)
{
    if (!cpu->model->has_invpcid)
        cpu_raise(cpu, EXC_UD);
    require_cpl0(cpu);
    uint64_t pcid = cpu_load(cpu, ea, 8), va = cpu_load(cpu, ea + 8, 8);
    if (!in_code64(cpu))
        type = (uint32_t)type;
    if (type > 3 || (type < 2 && !(cpu->cr4 & CR4_PCIDE) && (pcid & 0xfff)) || pcid >> 12 ||
        (type == 0 && !is_canonical(va)))
        raise_gp0(cpu);
    mmu_invpcid(&cpu->mmu, type, pcid, va);
}

void cpu_op_wbinvd(struct cpu *cpu) { require_cpl0(cpu); } // the host's caches are coherent

// --- time and identity

static void put_edx_eax(struct cpu *cpu, uint64_t v)
{
    cpu->gpr[RAX] = (uint32_t)v;
    cpu->gpr[RDX] = v >> 32;
}

void cpu_op_rdtsc(struct cpu *cpu)
{
    if ((cpu->cr4 & CR4_TSD) && cpu->cpl)
        raise_gp0(cpu);
    put_edx_eax(cpu, __builtin_ia32_rdtsc() + cpu->tsc_offset);
}

void cpu_op_rdtscp(struct cpu *cpu)
{
    if (!cpu->model->has_rdtscp)
        cpu_raise(cpu, EXC_UD);
    cpu_op_rdtsc(cpu);
    cpu->gpr[RCX] = (uint32_t)cpu->tsc_aux;
}

uint64_t cpu_op_rdpid(struct cpu *cpu) { return cpu->tsc_aux; }

// No performance counters exist (CPUID leaf 0AH is zero), so no value of ECX is valid.
void cpu_op_rdpmc(struct cpu *cpu) { raise_gp0(cpu); }

void cpu_op_cpuid(struct cpu *cpu)
{
    uint32_t out[4];
    stat_inc(STAT_cpu_cpuid);
    cpu_model_query(cpu, cpu->gpr[RAX], cpu->gpr[RCX], out);
    cpu->gpr[RAX] = out[0];
    cpu->gpr[RBX] = out[1];
    cpu->gpr[RCX] = out[2];
    cpu->gpr[RDX] = out[3];
}

// --- waiting

void cpu_op_hlt(struct cpu *cpu)
{
    require_cpl0(cpu);
    cpu->halted = true;
}

static void check_monitor(struct cpu *cpu)
{
    const struct cpuid_leaf *l = cpu_model_leaf(cpu->model, 1, 0);
    if (!l || !(l->ecx & BIT(3)) || cpu->cpl)
        cpu_raise(cpu, EXC_UD);
}

void cpu_op_monitor(struct cpu *cpu)
{
    check_monitor(cpu);
    if ((uint32_t)cpu->gpr[RCX])
        raise_gp0(cpu);
}

void cpu_op_mwait(struct cpu *cpu)
{
    check_monitor(cpu);
    if ((uint32_t)cpu->gpr[RCX] > 1)
        raise_gp0(cpu);
}

// --- extended control registers: SDM vol. 2D, "XSETBV", and vol. 1, section 13.3

void cpu_op_xsetbv(struct cpu *cpu)
{
    if (!(cpu->cr4 & CR4_OSXSAVE))
        cpu_raise(cpu, EXC_UD);
    require_cpl0(cpu);
    uint64_t v = (uint32_t)cpu->gpr[RAX] | cpu->gpr[RDX] << 32, avx512 = v & 0xe0;
    if ((uint32_t)cpu->gpr[RCX] || !(v & 1) || (v & ~cpu->model->xcr0_mask) || ((v & 4) && !(v & 2)) ||
        (avx512 && (avx512 != 0xe0 || !(v & 4))))
        raise_gp0(cpu);
    cpu->xcr0 = v;
    cpu_update_mode(cpu);
}

void cpu_op_xgetbv(struct cpu *cpu)
{
    if (!(cpu->cr4 & CR4_OSXSAVE))
        cpu_raise(cpu, EXC_UD);
    uint32_t n = cpu->gpr[RCX];
    if (n == 0) {
        put_edx_eax(cpu, cpu->xcr0);
        return;
    }
    const struct cpuid_leaf *l = cpu_model_leaf(cpu->model, 0xd, 1);
    if (n != 1 || !l || !(l->eax & 4))
        raise_gp0(cpu);
    put_edx_eax(cpu, cpu_fpu_inuse(cpu) & cpu->xcr0);
}

void cpu_op_fsgsbase(struct cpu *cpu, enum sreg s, bool write, uint64_t *v, unsigned opsize)
{
    if (!(cpu->cr4 & CR4_FSGSBASE) || !in_code64(cpu))
        cpu_raise(cpu, EXC_UD);
    uint64_t mask = size_mask(opsize);
    if (!write) {
        *v = cpu->seg[s].base & mask;
        return;
    }
    if (!is_canonical(*v & mask))
        raise_gp0(cpu);
    cpu->seg[s].base = *v & mask;
}
