// SPDX-License-Identifier: MIT
// Plain instructions: the memory operand is bounced through a buffer, or used in place if it is locked.
#include <pthread.h>

#include "translator/interp_int.h"

// ---- addresses

uint64_t interp_ea(struct interp *in, const struct insn *i)
{
    const struct cpu *cpu = in->cpu;
    uint64_t ea = (uint64_t)(int64_t)i->disp;
    if (i->moffs)
        ea = (uint64_t)i->imm;
    if (i->base == BASE_RIP)
        ea += in->next_rip;
    else if (i->base >= 0)
        ea += cpu->gpr[i->base];
    if (i->index >= 0 && !i->vsib)
        ea += cpu->gpr[i->index] * i->scale;
    return ea & interp_size_mask(i->addrsize);
}

// DR7: SDM vol. 3B, section 18.2.4 "Debug Control Register (DR7)"
void interp_note_access(struct interp *in, gva lin, unsigned size, bool write)
{
    static const uint8_t lengths[] = {1, 2, 8, 4};
    const struct cpu *cpu = in->cpu;
    if (LIKELY(!in->watch))
        return;
    for (unsigned n = 0; n < 4; n++) {
        unsigned rw = cpu->dr[7] >> (16 + 4 * n) & 3, len = lengths[cpu->dr[7] >> (18 + 4 * n) & 3];
        if (!(cpu->dr[7] >> (2 * n) & 3) || !(rw == 3 || (rw == 1 && write)))
            continue;
        uint64_t lo = cpu->dr[n] & ~(uint64_t)(len - 1);
        if (lin < lo + len && lo < lin + size)
            in->db_hits |= BIT(n);
    }
}

// SDM vol. 3A, chapter 6, "Interrupt 17-Alignment Check Exception (#AC)"
static void check_alignment(struct interp *in, gva lin, unsigned size)
{
    const struct cpu *cpu = in->cpu;
    if (LIKELY(!(cpu->rflags & FL_AC) || !(cpu->cr0 & CR0_AM) || cpu->cpl != 3))
        return;
    if ((size == 2 || size == 4 || size == 8) && lin & (size - 1))
        cpu_raise_error(in->cpu, EXC_AC, 0);
}

gva interp_linear(struct interp *in, unsigned size, bool write)
{
    const struct insn *i = &in->cur->insn;
    gva lin = cpu_linear(in->cpu, i->mem_seg, interp_ea(in, i), size, write);
    check_alignment(in, lin, size);
    interp_note_access(in, lin, size, write);
    return lin;
}

void interp_probe_write(struct interp *in, gva lin, unsigned size)
{
    struct mmu_fault f;
    if (!mmu_write(&in->cpu->mmu, lin, in->bounce, size, MMU_PROBE, &f))
        cpu_raise_pf(in->cpu, &f);
}

// ---- may it run at all?

// SDM vol. 3A, section 2.5 "Control Registers" (EM, TS, MP, OSFXSR, OSXSAVE), table 2-2, and vol. 2A, section
// 2.4 "AVX and SSE Instruction Exception Classification".
void interp_check_features(struct interp *in, const struct insn *i)
{
    struct cpu *cpu = in->cpu;
    uint64_t cr0 = cpu->cr0;
    if (i->enc != ENC_LEGACY && cpu->mode & MODE_REAL)
        cpu_raise(cpu, EXC_UD);
    if (i->uses_x87) {
        bool wait = i->opcode == 0x9b && i->map == MAP_1;
        if (wait ? (cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS) : cr0 & (CR0_EM | CR0_TS))
            cpu_raise(cpu, EXC_NM);
    }
    if (i->uses_avx || i->uses_avx512) {
        uint64_t need = i->uses_avx512 ? 0xe6 : 6;
        if (!(cpu->cr4 & CR4_OSXSAVE) || (cpu->xcr0 & need) != need)
            cpu_raise(cpu, EXC_UD);
    }
    if ((i->uses_sse || i->uses_mmx) && cr0 & CR0_EM)
        cpu_raise(cpu, EXC_UD);
    if (i->uses_sse && !(cpu->cr4 & CR4_OSFXSR))
        cpu_raise(cpu, EXC_UD);
    if ((i->uses_sse || i->uses_mmx || i->uses_avx || i->uses_avx512) && cr0 & CR0_TS)
        cpu_raise(cpu, EXC_NM);
}

// ---- x87 environments: SDM vol. 1, section 8.1.8 "x87 FPU Instruction and Data (Operand) Pointers"

static void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, v & 0xffff);
    put16(p + 2, v >> 16);
}

// Replaces the host's pointers in an image of FNSTENV or FNSAVE by the guest's. Figures 8-9 to 8-12.
static void fix_environment(struct interp *in, uint8_t *env, bool small)
{
    const struct x87_pointers *x = &in->x87;
    if (in->cpu->mode & MODE_REAL) {
        uint32_t ip = (uint32_t)(x->cs * 16u + x->ip), dp = (uint32_t)(x->ds * 16u + x->dp);
        if (small) {
            put16(env + 6, ip & 0xffff);
            put16(env + 8, (ip >> 16 & 15) << 12 | x->op);
            put16(env + 10, dp & 0xffff);
            put16(env + 12, (dp >> 16 & 15) << 12);
        } else {
            put32(env + 12, 0xffff0000 | (ip & 0xffff));
            put32(env + 16, (ip >> 16) << 12 | x->op);
            put32(env + 20, 0xffff0000 | (dp & 0xffff));
            put32(env + 24, (dp >> 16) << 12);
        }
    } else if (small) {
        put16(env + 6, x->ip & 0xffff);
        put16(env + 8, x->cs);
        put16(env + 10, x->dp & 0xffff);
        put16(env + 12, x->ds);
    } else {
        put32(env + 12, (uint32_t)x->ip);
        put32(env + 16, (uint32_t)x->op << 16 | x->cs);
        put32(env + 20, (uint32_t)x->dp);
        put32(env + 24, 0xffff0000 | x->ds);
    }
}

// A pending x87 exception comes before the memory operand is looked at. Only the control instructions that
// do not wait (and those that have no memory operand) leave that to the host.
static void check_pending(struct interp *in, const struct insn *i)
{
    unsigned ext = i->modrm >> 3 & 7;
    uint16_t status;
    if (i->uses_x87 && ((i->opcode == 0xd9 && ext >= 6) || (i->opcode == 0xdd && ext >= 6)))
        return;
    cpu_fpu_load(in->cpu);
    __asm__ volatile("fnstsw %0" : "=m"(status));
    cpu_fpu_save_sanitized(in->cpu);
    if (status & 0x80)
        cpu_raise(in->cpu, EXC_MF);
}

// Control instructions leave the pointers alone.
static void track_x87(struct interp *in, const struct insn *i)
{
    unsigned ext = i->modrm >> 3 & 7;
    bool control = i->opcode == 0x9b || (i->opcode == 0xd9 && i->has_mem && ext >= 4) ||
                   (i->opcode == 0xdb && i->modrm >= 0xe0 && i->modrm <= 0xe7) ||
                   (i->opcode == 0xdd && i->has_mem && ext >= 4) || (i->opcode == 0xdf && i->modrm == 0xe0);
    if (control)
        return;
    in->x87.ip = in->cpu->rip;
    in->x87.cs = in->cpu->seg[CS].sel;
    in->x87.op = (uint16_t)((i->opcode & 7) << 8 | i->modrm);
    if (i->has_mem) {
        in->x87.dp = interp_ea(in, i);
        in->x87.ds = in->cpu->seg[i->mem_seg].sel;
    }
}

// ---- execution

static void run(struct interp *in, uint64_t ptr)
{
    if (!thunk_run_insn(in, ptr))
        cpu_raise(in->cpu, EXC_UD);
}

// The operand's place in the bounce buffer: as far into a cache line as the guest's, so that the host's
// alignment checks see what the guest's address is.
static uint8_t *bounce_at(struct interp *in, gva lin) { return in->bounce + (lin & 63); }

// One at a time for locked accesses that cannot be done in place (MMIO, page-crossing): a locked access
// is atomic against other locked ones at least.
static pthread_mutex_t split_lock = PTHREAD_MUTEX_INITIALIZER;

static void code_written(struct cpu *cpu, gva lin, unsigned size)
{
    gpa pa;
    if (cpu->mmu.code_written && mmu_debug_translate(&cpu->mmu, lin, &pa))
        cpu->mmu.code_written(cpu->mmu.code_written_opaque, pa, size);
}

static void exec_locked(struct interp *in, const struct insn *i, gva lin, uint64_t delta)
{
    struct cpu *cpu = in->cpu;
    struct mmu_fault f;
    bool faulted;
    hva p = mmu_rmw_ptr(&cpu->mmu, lin, i->mem_size, 0, &f, &faulted);
    if (faulted)
        cpu_raise_pf(cpu, &f);
    if (p) {
        run(in, (uint64_t)(uintptr_t)p - delta);
        code_written(cpu, lin, i->mem_size);
        return;
    }
    interp_probe_write(in, lin, i->mem_size);
    uint8_t *buf = bounce_at(in, lin);
    // Nothing between lock and unlock raises: rights were checked just now, and only MMIO can be slow.
    cpu_fpu_save(cpu);
    pthread_mutex_lock(&split_lock);
    bool ok = mmu_read(&cpu->mmu, lin, buf, i->mem_size, 0, &f);
    if (ok) {
        run(in, (uint64_t)(uintptr_t)buf - delta);
        ok = mmu_write(&cpu->mmu, lin, buf, i->mem_size, 0, &f);
    }
    cpu_fpu_save(cpu);
    pthread_mutex_unlock(&split_lock);
    if (!ok)
        cpu_raise_pf(cpu, &f);
}

// Operands that must be aligned fault with #GP(0) before they can fault with #PF. AMD's MXCSR.MM lifts it for legacy
// arithmetic (APM vol. 1, section 4.2.2 "MXCSR Register"): the host then says which.
static void check_aligned(struct interp *in, const struct insn *i, gva lin)
{
    uint32_t mxcsr = 0;
    if (LIKELY(!i->mem_aligned || !(lin & (i->mem_size - 1u))))
        return;
    if (i->enc == ENC_LEGACY) {
        cpu_fpu_load(in->cpu);
        __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
        cpu_fpu_save_sanitized(in->cpu);
    }
    if (!(mxcsr & 1u << 17))
        cpu_raise_error(in->cpu, EXC_GP, 0);
}

static void exec_memory(struct interp *in, const struct insn *i)
{
    struct cpu *cpu = in->cpu;
    bool write = i->mem_access & MA_WRITE;
    uint64_t ea = interp_ea(in, i), delta = 0;
    // The offset's high bits select another operand: SDM vol. 2A, section 3.1.1.9, Bit(BitBase, BitOffset).
    if (i->is_bitstring) {
        int64_t bit = (int64_t)(cpu->gpr[i->reg & 15] << (64 - 8 * i->opsize)) >> (64 - 8 * i->opsize);
        delta = (uint64_t)((bit >> (i->opsize == 8 ? 6 : i->opsize == 4 ? 5 : 4)) * i->opsize);
        ea = (ea + delta) & interp_size_mask(i->addrsize);
    }
    bool based = !interp_code64(cpu) || i->mem_seg >= FS;
    gva unchecked = ea + (based ? cpu->seg[i->mem_seg].base : 0);
    if (i->mask_elem) {
        interp_masked(in, ea, i->mem_aligned && unchecked & (i->mem_size - 1u));
        return;
    }
    check_aligned(in, i, unchecked);
    gva lin = cpu_linear(cpu, i->mem_seg, ea, i->mem_size, write);
    check_alignment(in, lin, i->mem_size);
    interp_note_access(in, lin, i->mem_size, write);
    bool exchange = i->enc == ENC_LEGACY && i->map == MAP_1 && (i->opcode & 0xfe) == 0x86;
    if (i->lock || exchange) {
        exec_locked(in, i, lin, delta);
        return;
    }
    uint8_t *buf = bounce_at(in, lin);
    if (write)
        interp_probe_write(in, lin, i->mem_size);
    // x87 stores with an unmasked exception do not write, nor do masked elements: then the old bytes must go back.
    bool partial = i->uses_x87 || (i->enc == ENC_EVEX && i->evex[3] & 7);
    if (i->mem_access & MA_READ || partial)
        cpu_read(cpu, lin, buf, i->mem_size);
    run(in, (uint64_t)(uintptr_t)buf - delta);
    bool environment = i->uses_x87 && ((i->opcode == 0xd9 && (i->modrm >> 3 & 7) == 6) ||
                                       (i->opcode == 0xdd && (i->modrm >> 3 & 7) == 6));
    if (environment)
        fix_environment(in, buf, i->mem_size == 14 || i->mem_size == 94);
    if (write)
        cpu_write(cpu, lin, buf, i->mem_size);
}

void interp_plain(struct interp *in)
{
    const struct insn *i = &in->cur->insn;
    interp_check_features(in, i);
    if (interp_legacy(in))
        return;
    if (i->vsib) {
        interp_gather_scatter(in);
        return;
    }
    // CVTPI2PS and CVTPI2PD from memory use no MMX register: if the CPU looks at pending exceptions, it does so
    // when it executes them.
    if ((i->uses_x87 || i->uses_mmx) && i->has_mem && !(i->map == MAP_0F && i->opcode == 0x2a))
        check_pending(in, i);
    if (i->uses_x87)
        track_x87(in, i);
    if (i->has_mem && i->map == MAP_1 && i->opcode == 0x8d) { // LEA
        interp_set(in->cpu, i, i->reg, i->opsize, interp_ea(in, i));
        return;
    }
    if (!i->has_mem)
        run(in, 0);
    else if (i->mem_size) // else a prefetch or a long NOP
        exec_memory(in, i);
}
