// SPDX-License-Identifier: MIT
// Hardware task switches. SDM vol. 3A, chapter 7 "Task Management" (section 7.3 "Task Switching").
//
// Everything that may fault in the old task is done first: reading the new TSS, writing the old one. From
// commit() on the switch has happened; what is wrong with the new task's segments faults in the new task.
#include "cpu/internal.h"

// Offsets of a TSS: SDM vol. 3A, figures 7-2 "32-Bit Task-State Segment" and 7-10 "16-Bit TSS Format".
struct tss_layout {
    uint8_t min_limit, size, cr3, ip, flags, gpr, seg, seg_stride, nseg, ldt, trap;
};
static const struct tss_layout tss16 = {0x2b, 2, 0, 0x0e, 0x10, 0x12, 0x22, 2, 4, 0x2a, 0};
static const struct tss_layout tss32 = {0x67, 4, 0x1c, 0x20, 0x24, 0x28, 0x48, 4, 6, 0x60, 0x64};

struct task_state {
    uint64_t cr3, ip, flags, gpr[8];
    uint16_t seg[SREG_COUNT], ldt;
    bool trap;
};

static const struct tss_layout *layout_of(uint32_t attr) { return attr & 0x800 ? &tss32 : &tss16; }

static void read_tss(struct cpu *cpu, gva base, const struct tss_layout *l, struct task_state *t)
{
    *t = (struct task_state){0};
    if (l->cr3)
        t->cr3 = cpu_load_sys(cpu, base + l->cr3, 4);
    t->ip = cpu_load_sys(cpu, base + l->ip, l->size);
    t->flags = cpu_load_sys(cpu, base + l->flags, l->size);
    for (unsigned i = 0; i < 8; i++)
        t->gpr[i] = cpu_load_sys(cpu, base + l->gpr + i * l->size, l->size);
    for (unsigned i = 0; i < l->nseg; i++)
        t->seg[i] = cpu_load_sys(cpu, base + l->seg + i * l->seg_stride, 2);
    t->ldt = cpu_load_sys(cpu, base + l->ldt, 2);
    if (l->trap)
        t->trap = cpu_load_sys(cpu, base + l->trap, 1) & 1;
}

static void write_tss(struct cpu *cpu, gva base, const struct tss_layout *l, uint64_t ip, uint64_t flags)
{
    cpu_store_sys(cpu, base + l->ip, ip, l->size);
    cpu_store_sys(cpu, base + l->flags, flags, l->size);
    for (unsigned i = 0; i < 8; i++)
        cpu_store_sys(cpu, base + l->gpr + i * l->size, cpu->gpr[i], l->size);
    for (unsigned i = 0; i < l->nseg; i++)
        cpu_store_sys(cpu, base + l->seg + i * l->seg_stride, cpu->seg[i].sel, 2);
}

// The busy bit of the current task's descriptor; a TR without one (before LTR) has nothing to clear.
static void clear_old_busy(struct cpu *cpu)
{
    struct desc d;
    if (desc_read(cpu, cpu->tr.sel, &d))
        desc_set_busy(cpu, &d, false);
}

static void load_cr3(struct cpu *cpu, uint64_t cr3)
{
    if (!(cpu->cr0 & CR0_PG) || cr3 == cpu->cr3)
        return;
    struct paging pg = cpu->mmu.pg;
    pg.cr3 = cr3;
    if (paging_is_pae(&pg) && paging_load_pdptes(cpu->mem, &pg))
        for (unsigned i = 0; i < 4; i++)
            cpu->mmu.pg.pdpte[i] = pg.pdpte[i];
    cpu->cr3 = cr3;
    mmu_load_cr3(&cpu->mmu, cr3, false);
}

static void commit(struct cpu *cpu, const struct task_state *t, const struct tss_layout *l)
{
    if (l->cr3)
        load_cr3(cpu, t->cr3);
    for (unsigned i = 0; i < 8; i++)
        cpu->gpr[i] = l->size == 2 ? 0xffff0000 | t->gpr[i] : t->gpr[i];
    cpu->rip = t->ip;
    cpu->next_rip = t->ip;
    cpu->rflags = (t->flags & 0x3f7fd5) | 2;
    cpu->cr0 |= CR0_TS;
    cpu->mmu.pg.cr0 |= CR0_TS;
    cpu->dr[7] &= ~0x155ull; // local enables: SDM vol. 3B, section 18.2.4
    for (unsigned i = 0; i < SREG_COUNT; i++)
        segment_set_null(&cpu->seg[i], t->seg[i]);
    segment_set_null(&cpu->ldtr, t->ldt);
}

static void load_new_ldt(struct cpu *cpu, uint16_t sel, uint32_t ext)
{
    struct desc d;
    if (!(sel & ~3))
        return;
    if ((sel & 4) || !desc_read(cpu, sel, &d) || (d.hi & SEG_S) || attr_type(d.hi) != SYS_LDT || !(d.hi & SEG_P))
        cpu_raise_error(cpu, EXC_TS, (sel & ~3u) | ext);
    segment_fill(&cpu->ldtr, sel, &d);
}

static void load_new_cs(struct cpu *cpu, uint16_t sel, uint32_t ext)
{
    struct desc d;
    uint32_t error = (sel & ~3u) | ext;
    unsigned rpl = sel & 3;
    if (!(sel & ~3) || !desc_read(cpu, sel, &d) || !attr_is_code(d.hi) ||
        (d.hi & TYPE_CONFORMING ? attr_dpl(d.hi) > rpl : attr_dpl(d.hi) != rpl))
        cpu_raise_error(cpu, EXC_TS, error);
    if (!(d.hi & SEG_P))
        cpu_raise_error(cpu, EXC_NP, error);
    desc_set_accessed(cpu, &d);
    segment_fill(&cpu->seg[CS], sel, &d);
}

static void load_new_data(struct cpu *cpu, enum sreg s, uint16_t sel, uint32_t ext)
{
    struct desc d;
    uint32_t error = (sel & ~3u) | ext;
    if (!(sel & ~3))
        return;
    if (!desc_read(cpu, sel, &d) || !(d.hi & SEG_S) || (d.hi & (TYPE_CODE | TYPE_R)) == TYPE_CODE)
        cpu_raise_error(cpu, EXC_TS, error);
    bool conforming = attr_is_code(d.hi) && (d.hi & TYPE_CONFORMING);
    if (!conforming && ((sel & 3u) > attr_dpl(d.hi) || cpu->cpl > attr_dpl(d.hi)))
        cpu_raise_error(cpu, EXC_TS, error);
    if (!(d.hi & SEG_P))
        cpu_raise_error(cpu, EXC_NP, error);
    desc_set_accessed(cpu, &d);
    segment_fill(&cpu->seg[s], sel, &d);
}

static void load_new_segments(struct cpu *cpu, const struct task_state *t, uint32_t ext)
{
    if (in_vm86(cpu)) {
        cpu_set_cpl(cpu, 3);
        for (unsigned i = 0; i < SREG_COUNT; i++)
            segment_set_real(cpu, i, t->seg[i]);
        cpu_update_mode(cpu);
        load_new_ldt(cpu, t->ldt, ext);
        return;
    }
    // The new privilege stands before the segments do, so that a fault on them is the new task's.
    cpu_set_cpl(cpu, t->seg[CS] & 3);
    cpu_update_mode(cpu);
    load_new_ldt(cpu, t->ldt, ext);
    load_new_cs(cpu, t->seg[CS], ext);
    segment_check_stack(cpu, t->seg[SS], cpu->cpl, EXC_TS, ext, &cpu->seg[SS]);
    load_new_data(cpu, DS, t->seg[DS], ext);
    load_new_data(cpu, ES, t->seg[ES], ext);
    load_new_data(cpu, FS, t->seg[FS], ext);
    load_new_data(cpu, GS, t->seg[GS], ext);
    cpu_update_mode(cpu);
    if (cpu->rip > cpu->seg[CS].limit)
        cpu_raise_error(cpu, EXC_GP, ext);
}

void task_switch_to(struct cpu *cpu, uint16_t sel, struct desc *d, enum task_switch why, uint64_t return_rip,
                    uint32_t ext)
{
    const struct tss_layout *new = layout_of(d->hi), *old = layout_of(cpu->tr.attr);
    uint64_t flags = cpu->rflags;
    struct task_state t;
    uint32_t base = desc_base(d);
    if (desc_limit(d) < new->min_limit || !(cpu->tr.attr & SEG_P) || cpu->tr.limit < old->min_limit)
        cpu_raise_error(cpu, EXC_TS, (sel & ~3u) | ext);
    read_tss(cpu, base, new, &t);

    if (why == TASK_IRET)
        flags &= ~(uint64_t)FL_NT;
    write_tss(cpu, cpu->tr.base, old, return_rip, flags);
    if (why == TASK_JMP || why == TASK_IRET)
        clear_old_busy(cpu);
    if (why != TASK_IRET)
        desc_set_busy(cpu, d, true);
    if (why == TASK_CALL || why == TASK_INT) {
        cpu_store_sys(cpu, base, cpu->tr.sel, 2);
        t.flags |= FL_NT;
    }
    segment_fill(&cpu->tr, sel, d);
    cpu->tr.attr |= 0x200;
    commit(cpu, &t, new);
    load_new_segments(cpu, &t, ext);
    if (t.trap && cpu->delivering < 0)
        cpu_raise_db(cpu, BIT(15));
}

void task_switch_by_gate(struct cpu *cpu, const struct desc *gate, enum task_switch why, uint64_t return_rip,
                         uint32_t ext)
{
    struct desc d;
    uint16_t sel = gate->lo >> 16;
    uint32_t error = (sel & ~3u) | ext;
    if ((sel & 4) || !(sel & ~3) || !desc_read(cpu, sel, &d) || (d.hi & SEG_S) ||
        (attr_type(d.hi) != SYS_TSS16 && attr_type(d.hi) != SYS_TSS32))
        cpu_raise_error(cpu, EXC_GP, error);
    if (!(d.hi & SEG_P))
        cpu_raise_error(cpu, EXC_NP, error);
    task_switch_to(cpu, sel, &d, why, return_rip, ext);
}

void task_return(struct cpu *cpu)
{
    struct desc d;
    uint16_t sel = cpu_load_sys(cpu, cpu->tr.base, 2);
    uint32_t error = sel & ~3u;
    if ((sel & 4) || !error || !desc_read(cpu, sel, &d) || (d.hi & SEG_S) ||
        (attr_type(d.hi) != SYS_TSS16_BUSY && attr_type(d.hi) != SYS_TSS32_BUSY))
        cpu_raise_error(cpu, EXC_TS, error);
    if (!(d.hi & SEG_P))
        cpu_raise_error(cpu, EXC_NP, error);
    task_switch_to(cpu, sel, &d, TASK_IRET, cpu->next_rip, 0);
}
