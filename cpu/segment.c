// SPDX-License-Identifier: MIT
// Descriptors and segment registers: loads, LAR/LSL/VERR/VERW, and the descriptor-table registers.
// SDM vol. 3A, chapters 3 "Protected-Mode Memory Management" and 5 "Protection".
#include "cpu/internal.h"

// --- descriptors

static bool table_find(const struct cpu *cpu, uint16_t sel, gva *base, uint32_t *limit)
{
    if (sel & 4) {
        if (!(cpu->ldtr.attr & SEG_P))
            return false;
        *base = cpu->ldtr.base;
        *limit = cpu->ldtr.limit;
    } else {
        *base = cpu->gdtr.base;
        *limit = cpu->gdtr.limit;
    }
    return true;
}

bool desc_read(struct cpu *cpu, uint16_t sel, struct desc *d)
{
    gva base;
    uint32_t limit;
    if (!table_find(cpu, sel, &base, &limit) || (sel | 7u) > limit)
        return false;
    d->addr = base + (sel & ~7u);
    uint64_t v = cpu_load_sys(cpu, d->addr, 8);
    d->lo = v;
    d->hi = v >> 32;
    d->hi2 = 0;
    return true;
}

bool desc_read_upper(struct cpu *cpu, uint16_t sel, struct desc *d)
{
    gva base;
    uint32_t limit;
    if (!table_find(cpu, sel, &base, &limit) || (sel | 7u) + 8 > limit)
        return false;
    d->hi2 = cpu_load_sys(cpu, d->addr + 8, 4);
    return true;
}

void desc_set_accessed(struct cpu *cpu, struct desc *d)
{
    if (d->hi & TYPE_A)
        return;
    d->hi |= TYPE_A;
    cpu_store_sys(cpu, d->addr + 5, d->hi >> 8, 1);
}

void desc_set_busy(struct cpu *cpu, struct desc *d, bool busy)
{
    d->hi = busy ? d->hi | 0x200 : d->hi & ~0x200u;
    cpu_store_sys(cpu, d->addr + 5, d->hi >> 8, 1);
}

// --- the hidden part

void segment_fill(struct segment *s, uint16_t sel, const struct desc *d)
{
    *s = (struct segment){.base = desc_base(d), .limit = desc_limit(d), .attr = d->hi & DESC_ATTR, .sel = sel};
}

void segment_set_null(struct segment *s, uint16_t sel) { *s = (struct segment){.sel = sel}; }

void segment_set_real(struct cpu *cpu, enum sreg n, uint16_t sel)
{
    struct segment *s = &cpu->seg[n];
    s->sel = sel;
    s->base = (uint32_t)sel << 4;
    if (in_vm86(cpu)) {
        s->limit = 0xffff;
        s->attr = ATTR_DATA_REAL | SEG_DPL;
    } else if (!(s->attr & SEG_P) || n == CS) {
        // Real mode keeps limits and sizes of a protected-mode past ("unreal mode"), but nothing is unusable.
        s->attr = (s->attr & (SEG_DB | SEG_G)) | (n == CS ? ATTR_CODE_REAL : ATTR_DATA_REAL);
    }
}

void segment_set_flat(struct cpu *cpu, enum sreg n, uint16_t sel, uint32_t attr)
{
    cpu->seg[n] = (struct segment){.limit = 0xffffffff, .attr = attr, .sel = sel};
}

void segment_check_stack(struct cpu *cpu, uint16_t sel, unsigned cpl, enum vector v, uint32_t ext, struct segment *out)
{
    struct desc d;
    uint32_t error = (sel & ~3u) | ext;
    if (!(sel & ~3))
        cpu_raise_error(cpu, v, v == EXC_TS ? error : ext);
    if (!desc_read(cpu, sel, &d) || (sel & 3u) != cpl || attr_dpl(d.hi) != cpl || !attr_is_writable_data(d.hi))
        cpu_raise_error(cpu, v, error);
    if (!(d.hi & SEG_P))
        cpu_raise_error(cpu, EXC_SS, error);
    desc_set_accessed(cpu, &d);
    segment_fill(out, sel, &d);
}

// SDM vol. 2B, "MOV - Move": "Loading a segment register while in protected mode". *out is written once nothing can
// fault any more.
static void load_ss(struct cpu *cpu, uint16_t sel, struct segment *out)
{
    if (sel & ~3) {
        segment_check_stack(cpu, sel, cpu->cpl, EXC_GP, 0, out);
    } else {
        if (!in_code64(cpu) || cpu->cpl == 3 || (sel & 3) != cpu->cpl)
            raise_gp0(cpu);
        segment_set_null(out, sel);
        out->attr = cpu->cpl << 13;
    }
}

static void load_data_segment(struct cpu *cpu, uint16_t sel, struct segment *out)
{
    struct desc d;
    uint32_t error = sel & ~3u;
    if (!error) {
        segment_set_null(out, sel);
        return;
    }
    if (!desc_read(cpu, sel, &d) || !(d.hi & SEG_S) || (d.hi & (TYPE_CODE | TYPE_R)) == TYPE_CODE)
        cpu_raise_error(cpu, EXC_GP, error);
    bool conforming = attr_is_code(d.hi) && (d.hi & TYPE_CONFORMING);
    if (!conforming && ((sel & 3u) > attr_dpl(d.hi) || cpu->cpl > attr_dpl(d.hi)))
        cpu_raise_error(cpu, EXC_GP, error);
    if (!(d.hi & SEG_P))
        cpu_raise_error(cpu, EXC_NP, error);
    desc_set_accessed(cpu, &d);
    segment_fill(out, sel, &d);
}

void cpu_op_load_sreg(struct cpu *cpu, enum sreg s, uint16_t sel)
{
    if (!in_protected(cpu)) {
        segment_set_real(cpu, s, sel);
    } else if (s == SS) {
        load_ss(cpu, sel, &cpu->seg[s]);
    } else {
        load_data_segment(cpu, sel, &cpu->seg[s]);
    }
    if (s == SS)
        cpu->shadow_ss = 1;
    if (in_code64(cpu)) {
        if (s < FS)
            cpu_update_mode(cpu);
    } else if (s == SS) {
        cpu_update_mode(cpu);
    } else {
        cpu_segment_loaded(cpu, s);
    }
}

// --- LAR, LSL, VERR, VERW: SDM vol. 2A and 2B; they set ZF instead of faulting

static bool verify_visible(struct cpu *cpu, uint16_t sel, struct desc *d)
{
    if (!in_protected(cpu))
        cpu_raise(cpu, EXC_UD);
    if (!(sel & ~3) || !desc_read(cpu, sel, d))
        return false;
    if (attr_is_code(d->hi) && (d->hi & TYPE_CONFORMING))
        return true;
    unsigned dpl = attr_dpl(d->hi);
    return cpu->cpl <= dpl && (sel & 3u) <= dpl;
}

bool cpu_op_lar(struct cpu *cpu, uint16_t sel, uint32_t *out)
{
    const uint32_t legacy = BIT(SYS_TSS16) | BIT(SYS_LDT) | BIT(SYS_TSS16_BUSY) | BIT(SYS_CALL16) | BIT(SYS_TASK_GATE) |
                            BIT(SYS_TSS32) | BIT(SYS_TSS32_BUSY) | BIT(SYS_CALL32);
    const uint32_t longm = BIT(SYS_LDT) | BIT(SYS_TSS32) | BIT(SYS_TSS32_BUSY) | BIT(SYS_CALL32);
    struct desc d;
    if (!verify_visible(cpu, sel, &d))
        return false;
    if (!(d.hi & SEG_S) && !((in_long_mode(cpu) ? longm : legacy) >> attr_type(d.hi) & 1))
        return false;
    *out = d.hi & 0xffff00; // the limit's high bits (19:16) are undefined in the manual; CPUs return them
    return true;
}

bool cpu_op_lsl(struct cpu *cpu, uint16_t sel, uint32_t *out)
{
    const uint32_t legacy = BIT(SYS_TSS16) | BIT(SYS_LDT) | BIT(SYS_TSS16_BUSY) | BIT(SYS_TSS32) | BIT(SYS_TSS32_BUSY);
    const uint32_t longm = BIT(SYS_LDT) | BIT(SYS_TSS32) | BIT(SYS_TSS32_BUSY);
    struct desc d;
    if (!verify_visible(cpu, sel, &d))
        return false;
    if (!(d.hi & SEG_S) && !((in_long_mode(cpu) ? longm : legacy) >> attr_type(d.hi) & 1))
        return false;
    *out = desc_limit(&d);
    return true;
}

bool cpu_op_verr(struct cpu *cpu, uint16_t sel)
{
    struct desc d;
    if (!verify_visible(cpu, sel, &d) || !(d.hi & SEG_S))
        return false;
    return !(d.hi & TYPE_CODE) || (d.hi & TYPE_R);
}

bool cpu_op_verw(struct cpu *cpu, uint16_t sel)
{
    struct desc d;
    return verify_visible(cpu, sel, &d) && attr_is_writable_data(d.hi);
}

// --- LDTR and TR

static void load_system_segment(struct cpu *cpu, uint16_t sel, uint32_t types, struct desc *d, struct segment *out)
{
    uint32_t error = sel & ~3u;
    if ((sel & 4) || !desc_read(cpu, sel, d) || (d->hi & SEG_S) || !(types >> attr_type(d->hi) & 1))
        cpu_raise_error(cpu, EXC_GP, error);
    if (!(d->hi & SEG_P))
        cpu_raise_error(cpu, EXC_NP, error);
    segment_fill(out, sel, d);
    if (in_long_mode(cpu)) {
        if (!desc_read_upper(cpu, sel, d))
            cpu_raise_error(cpu, EXC_GP, error);
        out->base |= (uint64_t)d->hi2 << 32;
        if (!is_canonical(out->base))
            cpu_raise_error(cpu, EXC_GP, error);
    }
}

static void require_protected_cpl0(struct cpu *cpu)
{
    if (!in_protected(cpu))
        cpu_raise(cpu, EXC_UD);
    require_cpl0(cpu);
}

void cpu_op_lldt(struct cpu *cpu, uint16_t sel)
{
    struct desc d;
    struct segment new;
    require_protected_cpl0(cpu);
    if (!(sel & ~3)) {
        segment_set_null(&cpu->ldtr, sel);
        return;
    }
    load_system_segment(cpu, sel, BIT(SYS_LDT), &d, &new);
    cpu->ldtr = new;
}

void cpu_op_ltr(struct cpu *cpu, uint16_t sel)
{
    struct desc d;
    struct segment new;
    require_protected_cpl0(cpu);
    if (!(sel & ~3))
        raise_gp0(cpu);
    load_system_segment(cpu, sel, in_long_mode(cpu) ? BIT(SYS_TSS32) : BIT(SYS_TSS16) | BIT(SYS_TSS32), &d, &new);
    desc_set_busy(cpu, &d, true);
    new.attr |= 0x200;
    cpu->tr = new;
}

// UMIP: SDM vol. 3A, section 2.5, "CR4.UMIP User-Mode Instruction Prevention"
static void check_umip(struct cpu *cpu)
{
    if ((cpu->cr4 & CR4_UMIP) && cpu->cpl)
        raise_gp0(cpu);
}

uint16_t cpu_op_sldt(struct cpu *cpu)
{
    if (!in_protected(cpu))
        cpu_raise(cpu, EXC_UD);
    check_umip(cpu);
    return cpu->ldtr.sel;
}

uint16_t cpu_op_str(struct cpu *cpu)
{
    if (!in_protected(cpu))
        cpu_raise(cpu, EXC_UD);
    check_umip(cpu);
    return cpu->tr.sel;
}

uint64_t cpu_op_smsw(struct cpu *cpu)
{
    check_umip(cpu);
    return cpu->cr0;
}

// --- GDTR and IDTR

static struct table_reg table_load(struct cpu *cpu, gva ea, unsigned opsize)
{
    uint8_t m[10];
    struct table_reg t = {0};
    unsigned n = in_code64(cpu) ? 8 : 4;
    require_cpl0(cpu);
    cpu_read(cpu, ea, m, 2 + n);
    t.limit = m[0] | m[1] << 8;
    for (unsigned i = 0; i < n; i++)
        t.base |= (uint64_t)m[2 + i] << i * 8;
    if (n == 4 && opsize == 2)
        t.base &= 0xffffff;
    if (!is_canonical(t.base))
        raise_gp0(cpu);
    return t;
}

static void table_store(struct cpu *cpu, gva ea, const struct table_reg *t)
{
    uint8_t m[10] = {t->limit, t->limit >> 8};
    check_umip(cpu);
    for (unsigned i = 0; i < 8; i++)
        m[2 + i] = t->base >> i * 8;
    cpu_write(cpu, ea, m, in_code64(cpu) ? 10 : 6);
}

void cpu_op_lgdt(struct cpu *cpu, gva ea, unsigned opsize) { cpu->gdtr = table_load(cpu, ea, opsize); }
void cpu_op_lidt(struct cpu *cpu, gva ea, unsigned opsize) { cpu->idtr = table_load(cpu, ea, opsize); }
void cpu_op_sgdt(struct cpu *cpu, gva ea) { table_store(cpu, ea, &cpu->gdtr); }
void cpu_op_sidt(struct cpu *cpu, gva ea) { table_store(cpu, ea, &cpu->idtr); }
