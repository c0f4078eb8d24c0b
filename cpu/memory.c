// SPDX-License-Identifier: MIT
// Guest memory for instructions' C code: loads and stores that raise, segmentation, and stacks.
#include "cpu/internal.h"

#include "base/copy.h"

// Outside 64-bit mode linear addresses wrap at 4 GiB: SDM vol. 3A, section 3.3.1.
static bool wraps(const struct cpu *cpu, gva ea, unsigned size)
{
    return UNLIKELY(ea + size > BIT(32)) && !in_code64(cpu) && ea < BIT(32);
}

static void read_flags(struct cpu *cpu, gva ea, void *dst, unsigned size, unsigned flags)
{
    struct mmu_fault f;
    if (wraps(cpu, ea, size)) {
        unsigned n = BIT(32) - ea;
        read_flags(cpu, ea, dst, n, flags);
        read_flags(cpu, 0, (uint8_t *)dst + n, size - n, flags);
        return;
    }
    if (UNLIKELY(!mmu_read(&cpu->mmu, ea, dst, size, flags, &f)))
        cpu_raise_pf(cpu, &f);
}

static void write_flags(struct cpu *cpu, gva ea, const void *src, unsigned size, unsigned flags)
{
    struct mmu_fault f;
    if (wraps(cpu, ea, size)) {
        unsigned n = BIT(32) - ea;
        if (!mmu_write(&cpu->mmu, 0, src, size - n, flags | MMU_PROBE, &f))
            cpu_raise_pf(cpu, &f);
        write_flags(cpu, ea, src, n, flags);
        write_flags(cpu, 0, (const uint8_t *)src + n, size - n, flags);
        return;
    }
    if (UNLIKELY(!mmu_write(&cpu->mmu, ea, src, size, flags, &f)))
        cpu_raise_pf(cpu, &f);
}

// SDM vol. 3A, chapter 6, "Interrupt 17-Alignment Check Exception (#AC)": at CPL 3, with CR0.AM and EFLAGS.AC.
static void check_alignment(struct cpu *cpu, gva ea, unsigned size)
{
    if (UNLIKELY(ea & (size - 1)) && (cpu->rflags & FL_AC) && cpu->cpl == 3 && (cpu->cr0 & CR0_AM))
        cpu_raise_error(cpu, EXC_AC, 0);
}

static uint64_t load_flags(struct cpu *cpu, gva ea, unsigned size, unsigned flags)
{
    uint64_t v;
    read_flags(cpu, ea, &v, size, flags);
    return load_number(&v, size);
}

uint64_t cpu_load(struct cpu *cpu, gva ea, unsigned size)
{
    check_alignment(cpu, ea, size);
    return load_flags(cpu, ea, size, 0);
}

void cpu_store(struct cpu *cpu, gva ea, uint64_t v, unsigned size)
{
    check_alignment(cpu, ea, size);
    write_flags(cpu, ea, &v, size, 0);
}

uint64_t cpu_load_sys(struct cpu *cpu, gva ea, unsigned size) { return load_flags(cpu, ea, size, MMU_IMPLICIT); }

void cpu_store_sys(struct cpu *cpu, gva ea, uint64_t v, unsigned size) { write_flags(cpu, ea, &v, size, MMU_IMPLICIT); }

void cpu_read(struct cpu *cpu, gva ea, void *dst, unsigned size) { read_flags(cpu, ea, dst, size, 0); }
void cpu_write(struct cpu *cpu, gva ea, const void *src, unsigned size) { write_flags(cpu, ea, src, size, 0); }

// SDM vol. 3A, sections 5.3 "Limit Checking" and 5.4 "Type Checking"
bool segment_allows(const struct cpu *cpu, const struct segment *s, uint64_t offset, unsigned size, bool write,
                    bool check_type)
{
    if (check_type) {
        if (!(s->attr & SEG_P))
            return false;
        if (s->attr & TYPE_CODE ? write || !(s->attr & TYPE_R) : write && !(s->attr & TYPE_W))
            return false;
    }
    uint64_t last = offset + size - 1;
    if (!(s->attr & TYPE_CODE) && (s->attr & TYPE_DOWN))
        return offset > s->limit && last <= (s->attr & SEG_DB ? 0xffffffffu : 0xffffu);
    return last <= s->limit;
}

gva cpu_linear(struct cpu *cpu, enum sreg s, uint64_t offset, unsigned size, bool write)
{
    const struct segment *seg = &cpu->seg[s];
    if (in_code64(cpu)) {
        gva a = s >= FS ? seg->base + offset : offset;
        // The last byte matters as well: an access that runs into the hole faults like one that starts there.
        if (LIKELY(is_canonical(a) && is_canonical(a + size - 1)))
            return a;
    } else {
        offset = (uint32_t)offset;
        if (LIKELY(segment_allows(cpu, seg, offset, size, write, !(cpu->mode & MODE_REAL))))
            return (uint32_t)(seg->base + offset);
    }
    cpu_raise_error(cpu, s == SS ? EXC_SS : EXC_GP, 0);
}

static uint64_t sp_mask(const struct cpu *cpu)
{
    return in_code64(cpu) ? ~0ull : cpu->seg[SS].attr & SEG_DB ? 0xffffffffu : 0xffffu;
}

void sp_set(struct cpu *cpu, uint64_t sp)
{
    uint64_t mask = sp_mask(cpu);
    cpu->gpr[RSP] = mask == 0xffff ? (cpu->gpr[RSP] & ~mask) | (sp & mask) : sp & mask;
}

void cpu_push(struct cpu *cpu, uint64_t v, unsigned opsize)
{
    uint64_t sp = (cpu->gpr[RSP] - opsize) & sp_mask(cpu);
    cpu_store(cpu, cpu_linear(cpu, SS, sp, opsize, true), v, opsize);
    sp_set(cpu, sp);
}

uint64_t cpu_pop(struct cpu *cpu, unsigned opsize)
{
    uint64_t sp = cpu->gpr[RSP] & sp_mask(cpu);
    uint64_t v = cpu_load(cpu, cpu_linear(cpu, SS, sp, opsize, false), opsize);
    sp_set(cpu, sp + opsize);
    return v;
}

// --- stacks of far transfers

void far_stack_current(struct cpu *cpu, struct far_stack *st, uint32_t error)
{
    *st = (struct far_stack){.ss = cpu->seg[SS], .sp = cpu->gpr[RSP], .is64 = in_code64(cpu), .error = error};
    st->sp &= sp_mask(cpu);
}

static uint64_t far_stack_mask(const struct far_stack *st)
{
    return st->is64 ? ~0ull : st->ss.attr & SEG_DB ? 0xffffffffu : 0xffffu;
}

static gva far_stack_linear(struct cpu *cpu, const struct far_stack *st, uint64_t sp, unsigned size, bool write)
{
    if (st->is64) {
        if (is_canonical(sp) && is_canonical(sp + size - 1))
            return sp;
    } else if (segment_allows(cpu, &st->ss, sp, size, write, !(cpu->mode & MODE_REAL))) {
        return (uint32_t)(st->ss.base + sp);
    }
    cpu_raise_error(cpu, EXC_SS, st->error);
}

void far_stack_push(struct cpu *cpu, struct far_stack *st, const uint64_t *v, unsigned n, unsigned opsize)
{
    uint8_t frame[48 * 8];
    uint64_t mask = far_stack_mask(st);
    unsigned flags = st->implicit ? MMU_IMPLICIT : 0, total = n * opsize;
    if (!n)
        return;
    for (unsigned i = 0; i < n; i++)
        store_number(frame + (n - 1 - i) * opsize, v[i], opsize);
    uint64_t sp = (st->sp - total) & mask;
    if (LIKELY(mask - sp >= total - 1)) { // does not wrap
        write_flags(cpu, far_stack_linear(cpu, st, sp, total, true), frame, total, flags);
    } else {
        for (int probe = MMU_PROBE; probe >= 0; probe -= MMU_PROBE)
            for (unsigned i = 0; i < n; i++)
                write_flags(cpu, far_stack_linear(cpu, st, (sp + i * opsize) & mask, opsize, true), frame + i * opsize,
                            opsize, flags | probe);
    }
    st->sp = sp;
}

uint64_t far_stack_peek(struct cpu *cpu, const struct far_stack *st, unsigned offset, unsigned opsize)
{
    uint64_t sp = (st->sp + offset) & far_stack_mask(st);
    return load_flags(cpu, far_stack_linear(cpu, st, sp, opsize, false), opsize, st->implicit ? MMU_IMPLICIT : 0);
}
