// SPDX-License-Identifier: MIT
// System management mode: the SMI and RSM, with the AMD64 save area (all of a 64-bit CPU's state).
// AMD64 Architecture Programmer's Manual vol. 2 (24593), chapter 10 "System-Management Mode", table 10-1 "AMD64 Architecture
// SMM State-Save Area"; table 10-3 for the state the handler starts in. Firmware knows it by its revision.
#include "cpu/internal.h"
#include "base/log.h"

enum { SMM_ENTRY = 0x8000, SAVE_AREA = 0xfe00, SAVE_SIZE = 0x200, SMM_REVISION = 0x20064 };
// clang-format off
enum { // offsets from SAVE_AREA
    S_SEGMENTS = 0x000, S_GDTR = 0x060, S_LDTR = 0x070, S_IDTR = 0x080, S_TR = 0x090, S_SELECTOR = 0, S_ATTR = 2,
    S_LIMIT = 4, S_BASE = 8, S_HALT = 0x0c9, S_NMI = 0x0ca, S_CPL = 0x0cb, S_EFER = 0x0d0, S_REVISION = 0x0fc,
    S_SMBASE = 0x100, S_CR4 = 0x148, S_CR3 = 0x150, S_CR0 = 0x158, S_DR7 = 0x160, S_DR6 = 0x168, S_RFLAGS = 0x170,
    S_RIP = 0x178, S_R15 = 0x180,
};
// clang-format on
// The general registers go down from RAX at the top; the area's order is the numbers' reversed but for RSP to RDI.
static const uint8_t gpr_slot[16] = {
    [R15] = 0, [R14] = 1, [R13] = 2,  [R12] = 3,  [R11] = 4,  [R10] = 5,  [R9] = 6,   [R8] = 7,
    [RDI] = 8, [RSI] = 9, [RBP] = 10, [RSP] = 11, [RBX] = 12, [RDX] = 13, [RCX] = 14, [RAX] = 15,
};

static void put(uint8_t *area, unsigned at, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        area[at + i] = (uint8_t)(v >> 8 * i);
}

static uint64_t get(const uint8_t *area, unsigned at, unsigned size)
{
    uint64_t v = 0;
    while (size--)
        v = v << 8 | area[at + size];
    return v;
}

// Attributes are bits 47:40 and 55:52 of the descriptor, side by side.
static void put_segment(uint8_t *area, unsigned at, const struct segment *s)
{
    put(area, at + S_SELECTOR, s->sel, 2);
    put(area, at + S_ATTR, (s->attr >> 8 & 0xff) | (s->attr >> 12 & 0xf00), 2);
    put(area, at + S_LIMIT, s->limit, 4);
    put(area, at + S_BASE, s->base, 8);
}

static struct segment get_segment(const uint8_t *area, unsigned at)
{
    uint32_t attr = get(area, at + S_ATTR, 2);
    return (struct segment){.sel = get(area, at + S_SELECTOR, 2),
                            .limit = get(area, at + S_LIMIT, 4),
                            .base = get(area, at + S_BASE, 8),
                            .attr = (attr & 0xff) << 8 | (attr & 0xf00) << 12};
}

static void put_table(uint8_t *area, unsigned at, const struct table_reg *t)
{
    put(area, at + S_LIMIT, t->limit, 4);
    put(area, at + S_BASE, t->base, 8);
}

static struct table_reg get_table(const uint8_t *area, unsigned at)
{
    return (struct table_reg){.base = get(area, at + S_BASE, 8), .limit = get(area, at + S_LIMIT, 4) & 0xffff};
}

static void save(const struct cpu *cpu, uint8_t *area)
{
    for (unsigned i = 0; i < SAVE_SIZE; i++)
        area[i] = 0;
    for (unsigned i = 0; i < SREG_COUNT; i++)
        put_segment(area, S_SEGMENTS + 16 * i, &cpu->seg[i]);
    put_table(area, S_GDTR, &cpu->gdtr);
    put_segment(area, S_LDTR, &cpu->ldtr);
    put_table(area, S_IDTR, &cpu->idtr);
    put_segment(area, S_TR, &cpu->tr);
    area[S_HALT] = cpu->halted;
    area[S_NMI] = cpu->nmi_blocked;
    area[S_CPL] = cpu->cpl;
    put(area, S_EFER, cpu->efer, 8);
    put(area, S_REVISION, SMM_REVISION, 4);
    put(area, S_SMBASE, cpu->smbase, 4);
    put(area, S_CR4, cpu->cr4, 8);
    put(area, S_CR3, cpu->cr3, 8);
    put(area, S_CR0, cpu->cr0, 8);
    put(area, S_DR7, cpu->dr[7], 8);
    put(area, S_DR6, cpu->dr[6], 8);
    put(area, S_RFLAGS, cpu->rflags, 8);
    put(area, S_RIP, cpu->rip, 8);
    for (unsigned i = 0; i < 16; i++)
        put(area, S_R15 + 8 * gpr_slot[i], cpu->gpr[i], 8);
}

// The board shows or hides SMRAM. Big lock held.
static void tell_board(struct cpu *cpu, bool in_smm)
{
    cpu->in_smm = in_smm;
    if (cpu->smm_changed)
        cpu->smm_changed(cpu->smm_opaque, in_smm);
}

static void control_changed(struct cpu *cpu)
{
    mmu_set_control(&cpu->mmu, cpu->cr0, cpu->cr4, cpu->efer);
    mmu_load_cr3(&cpu->mmu, cpu->cr3, false);
    cpu_update_mode(cpu);
}

void cpu_enter_smm(struct cpu *cpu)
{
    uint8_t area[SAVE_SIZE];

    leave_for_general_c(cpu);
    save(cpu, area);
    big_lock();
    tell_board(cpu, true);
    as_write(cpu->mem, (gpa)cpu->smbase + SAVE_AREA, area, sizeof(area));
    big_unlock();
    cpu->halted = false;
    cpu->nmi_blocked = true;
    cpu->shadow_sti = cpu->shadow_ss = 0;
    for (unsigned i = 0; i < SREG_COUNT; i++)
        cpu->seg[i] = (struct segment){.limit = 0xffffffff, .attr = ATTR_DATA_REAL | SEG_G};
    cpu->seg[CS] = (struct segment){
        .sel = (uint16_t)(cpu->smbase >> 4), .base = cpu->smbase, .limit = 0xffffffff, .attr = ATTR_CODE_REAL | SEG_G};
    cpu->rip = SMM_ENTRY;
    cpu->cpl = 0;
    cpu->dr[7] = 0x400;
    cpu->cr0 &= ~(CR0_PE | CR0_EM | CR0_TS | CR0_PG);
    cpu->cr4 = cpu->efer = 0;
    cpu_set_rflags(cpu, 2);
    control_changed(cpu);
}

// --- RSM

struct restored {
    uint64_t cr0, cr3, cr4, efer, rip;
    struct segment seg[SREG_COUNT], ldtr, tr;
    struct table_reg gdtr, idtr;
};

// AMD64 APM vol. 2, section 10.3.3 "SMM Operating Environment", and SDM vol. 3C, section 32.4.1: a state that no
// instruction could have made shuts the CPU down.
static bool state_ok(const struct cpu *cpu, struct restored *r)
{
    const struct segment *all[SREG_COUNT + 2] = {&r->ldtr, &r->tr};
    bool long_mode = (r->efer & EFER_LME) && (r->cr0 & CR0_PG);

    for (unsigned i = 0; i < SREG_COUNT; i++)
        all[2 + i] = &r->seg[i];
    if (((r->cr0 & CR0_PG) && !(r->cr0 & CR0_PE)) || ((r->cr0 & CR0_NW) && !(r->cr0 & CR0_CD)) || r->cr0 >> 32)
        return false;
    if ((r->cr4 & ~cpu->model->cr4_mask) || (r->efer & ~(cpu->model->efer_mask | EFER_LMA)))
        return false;
    if (!!(r->efer & EFER_LMA) != long_mode || (long_mode && !(r->cr4 & CR4_PAE)) ||
        (!long_mode && (r->cr4 & CR4_PCIDE)))
        return false;
    if (r->cr3 >> (long_mode ? cpu->model->maxphyaddr : 32) || !is_canonical(r->rip))
        return false;
    for (unsigned i = 0; i < SREG_COUNT + 2; i++)
        if (!is_canonical(all[i]->base) || (!long_mode && all[i]->base >> 32) ||
            ((all[i]->attr & SEG_L) && (all[i]->attr & SEG_DB)))
            return false;
    if (!is_canonical(r->gdtr.base) || !is_canonical(r->idtr.base))
        return false;
    return long_mode || (!(r->rip >> 32) && !(r->gdtr.base >> 32) && !(r->idtr.base >> 32));
}

static void restore_segments(struct cpu *cpu, const struct restored *r)
{
    for (unsigned i = 0; i < SREG_COUNT; i++)
        cpu->seg[i] = r->seg[i];
    cpu->ldtr = r->ldtr;
    cpu->tr = r->tr;
    cpu->gdtr = r->gdtr;
    cpu->idtr = r->idtr;
}

// The PDPTE registers are loaded again from memory; false if they are no good.
static bool restore_control(struct cpu *cpu, const struct restored *r)
{
    struct paging pg = cpu->mmu.pg;

    pg.cr0 = cpu->cr0 = (r->cr0 | CR0_ET);
    pg.cr3 = cpu->cr3 = r->cr3;
    pg.cr4 = cpu->cr4 = r->cr4;
    pg.efer = cpu->efer = r->efer;
    if (paging_enabled(&pg) && paging_is_pae(&pg)) {
        if (!paging_load_pdptes(cpu->mem, &pg))
            return false;
        for (unsigned i = 0; i < 4; i++)
            cpu->mmu.pg.pdpte[i] = pg.pdpte[i];
    }
    return true;
}

static void shut_down(struct cpu *cpu)
{
    leave_for_general_c(cpu);
    log_printf(LOG_cpu_reset, "RSM with a state that cannot be, SMBASE %x", cpu->smbase);
    cpu_request(cpu, CPU_REQ_RESET);
}

void cpu_op_rsm(struct cpu *cpu)
{
    struct restored r;
    uint8_t area[SAVE_SIZE];

    if (!cpu->in_smm)
        cpu_raise(cpu, EXC_UD);
    leave_for_general_c(cpu);
    big_lock();
    as_read(cpu->mem, (gpa)cpu->smbase + SAVE_AREA, area, sizeof(area));
    tell_board(cpu, false);
    big_unlock();
    for (unsigned i = 0; i < SREG_COUNT; i++)
        r.seg[i] = get_segment(area, S_SEGMENTS + 16 * i);
    r.ldtr = get_segment(area, S_LDTR);
    r.tr = get_segment(area, S_TR);
    r.gdtr = get_table(area, S_GDTR);
    r.idtr = get_table(area, S_IDTR);
    r.cr0 = get(area, S_CR0, 8);
    r.cr3 = get(area, S_CR3, 8);
    r.cr4 = get(area, S_CR4, 8);
    r.efer = get(area, S_EFER, 8);
    r.rip = get(area, S_RIP, 8);
    if (!state_ok(cpu, &r) || !restore_control(cpu, &r)) {
        shut_down(cpu);
        return;
    }
    restore_segments(cpu, &r);
    cpu->rip = r.rip;
    cpu->dr[7] = (get(area, S_DR7, 8) & 0xffff27ff) | 0x400;
    cpu->dr[6] = (get(area, S_DR6, 8) & 0xe00f) | 0xffff0ff0;
    cpu->smbase = get(area, S_SMBASE, 4);
    cpu->halted = area[S_HALT] & 1;
    cpu->nmi_blocked = area[S_NMI] & 1;
    for (unsigned i = 0; i < 16; i++)
        cpu->gpr[i] = get(area, S_R15 + 8 * gpr_slot[i], 8);
    uint64_t flags = get(area, S_RFLAGS, 8);
    cpu->cpl = !(r.cr0 & CR0_PE) ? 0 : flags & FL_VM ? 3 : area[S_CPL] & 3;
    cpu_set_rflags(cpu, flags);
    control_changed(cpu);
}
