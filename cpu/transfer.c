// SPDX-License-Identifier: MIT
// Far JMP, CALL and RET, through call gates too.
// SDM vol. 3A, section 5.8 "Privilege Level Checking When Transferring Program Control Between Code Segments".
#include "cpu/internal.h"

void far_set_cs(struct cpu *cpu, uint16_t sel, struct desc *d, unsigned cpl)
{
    desc_set_accessed(cpu, d);
    segment_fill(&cpu->seg[CS], (sel & ~3) | cpl, d);
    cpu_set_cpl(cpu, cpl);
}

void far_check_rip(struct cpu *cpu, const struct desc *d, uint64_t off, uint32_t error)
{
    bool is64 = in_long_mode(cpu) && (d->hi & SEG_L);
    if (is64 ? !is_canonical(off) : off > desc_limit(d))
        cpu_raise_error(cpu, EXC_GP, error);
}

void far_return_segment(struct cpu *cpu, uint16_t sel, struct desc *d)
{
    uint32_t error = sel & ~3u;
    unsigned rpl = sel & 3;
    if (!error)
        raise_gp0(cpu);
    if (!desc_read(cpu, sel, d) || !attr_is_code(d->hi) || rpl < cpu->cpl)
        cpu_raise_error(cpu, EXC_GP, error);
    if (d->hi & TYPE_CONFORMING ? attr_dpl(d->hi) > rpl : attr_dpl(d->hi) != rpl)
        cpu_raise_error(cpu, EXC_GP, error);
    if (in_long_mode(cpu) && (d->hi & SEG_L) && (d->hi & SEG_DB))
        cpu_raise_error(cpu, EXC_GP, error);
    if (!(d->hi & SEG_P))
        cpu_raise_error(cpu, EXC_NP, error);
}

void far_return_stack(struct cpu *cpu, uint16_t sel, unsigned cpl, const struct desc *cs, struct segment *out)
{
    if (sel & ~3) {
        segment_check_stack(cpu, sel, cpl, EXC_GP, 0, out);
        return;
    }
    // A null SS is good for 64-bit code of levels 0 to 2.
    if (!in_long_mode(cpu) || !(cs->hi & SEG_L) || cpl == 3 || (sel & 3u) != cpl)
        raise_gp0(cpu);
    segment_set_null(out, sel);
    out->attr = cpl << 13;
}

void far_leave_to(struct cpu *cpu, const struct segment *ss, uint64_t sp, bool outer)
{
    static const uint8_t data[] = {ES, DS, FS, GS};
    cpu->seg[SS] = *ss;
    if (in_long_mode(cpu) && (cpu->seg[CS].attr & SEG_L))
        cpu->gpr[RSP] = sp;
    else if (ss->attr & SEG_DB)
        cpu->gpr[RSP] = (uint32_t)sp;
    else // the upper half keeps what it was: a leak that guests know of ("espfix")
        cpu->gpr[RSP] = (cpu->gpr[RSP] & 0xffff0000) | (sp & 0xffff);
    for (unsigned i = 0; outer && i < ARRAY_SIZE(data); i++) {
        struct segment *s = &cpu->seg[data[i]];
        // FS and GS with a null selector may carry a base that WRMSR set: not touched.
        bool conforming = attr_is_code(s->attr) && (s->attr & TYPE_CONFORMING);
        if ((s->sel & ~3) && !conforming && attr_dpl(s->attr) < cpu->cpl)
            segment_set_null(s, 0);
    }
}

// --- JMP and CALL

// Privilege of a direct transfer to code segment d.
static void check_direct(struct cpu *cpu, uint16_t sel, const struct desc *d)
{
    uint32_t error = sel & ~3u;
    unsigned dpl = attr_dpl(d->hi);
    if (d->hi & TYPE_CONFORMING ? dpl > cpu->cpl : (sel & 3u) > cpu->cpl || dpl != cpu->cpl)
        cpu_raise_error(cpu, EXC_GP, error);
    if (in_long_mode(cpu) && (d->hi & SEG_L) && (d->hi & SEG_DB))
        cpu_raise_error(cpu, EXC_GP, error);
    if (!(d->hi & SEG_P))
        cpu_raise_error(cpu, EXC_NP, error);
}

// Reads what the call gate names; returns the level the target runs at. SDM vol. 3A, section 5.8.4.
static unsigned gate_target(struct cpu *cpu, uint16_t gate_sel, struct desc *gate, bool call, uint16_t *sel,
                            uint64_t *off, struct desc *d)
{
    bool lm = in_long_mode(cpu);
    *off = gate_offset(gate);
    if (attr_type(gate->hi) == SYS_CALL16)
        *off &= 0xffff;
    if (lm) {
        if (!desc_read_upper(cpu, gate_sel, gate) || (cpu_load_sys(cpu, gate->addr + 12, 4) & 0x1f00))
            cpu_raise_error(cpu, EXC_GP, gate_sel & ~3u);
        *off |= (uint64_t)gate->hi2 << 32;
    }
    *sel = gate->lo >> 16;
    uint32_t error = *sel & ~3u;
    if (!error)
        raise_gp0(cpu);
    if (!desc_read(cpu, *sel, d) || !attr_is_code(d->hi) || attr_dpl(d->hi) > cpu->cpl ||
        (lm && (d->hi & (SEG_L | SEG_DB)) != SEG_L))
        cpu_raise_error(cpu, EXC_GP, error);
    bool conforming = d->hi & TYPE_CONFORMING;
    if (!call && !conforming && attr_dpl(d->hi) != cpu->cpl)
        cpu_raise_error(cpu, EXC_GP, error);
    if (!(d->hi & SEG_P))
        cpu_raise_error(cpu, EXC_NP, error);
    far_check_rip(cpu, d, *off, 0);
    return conforming ? cpu->cpl : attr_dpl(d->hi);
}

static void call_same_level(struct cpu *cpu, uint16_t sel, struct desc *d, uint64_t off, unsigned opsize)
{
    struct far_stack st;
    far_stack_current(cpu, &st, 0);
    // From compatibility mode into 64-bit code the pushes already are that code's.
    if (in_long_mode(cpu) && (d->hi & SEG_L))
        st.is64 = true;
    far_stack_push(cpu, &st, (uint64_t[]){cpu->seg[CS].sel, cpu->next_rip}, 2, opsize);
    far_set_cs(cpu, sel, d, cpu->cpl);
    if (st.is64)
        cpu->gpr[RSP] = st.sp;
    else
        sp_set(cpu, st.sp);
    cpu->rip = off;
}

static void call_inner(struct cpu *cpu, const struct desc *gate, uint16_t sel, struct desc *d, uint64_t off,
                       unsigned opsize, unsigned cpl)
{
    struct far_stack old, st;
    uint64_t frame[4 + 31];
    unsigned n = 0, count = 0;
    far_stack_current(cpu, &old, 0);
    if (in_long_mode(cpu)) {
        st = (struct far_stack){.is64 = true, .sp = tss_read_rsp(cpu, cpl, 0)};
        segment_set_null(&st.ss, cpl);
        st.ss.attr = cpl << 13;
    } else {
        uint16_t ss;
        uint32_t esp;
        tss_read_stack(cpu, cpl, 0, &ss, &esp);
        st = (struct far_stack){.error = ss & ~3u};
        segment_check_stack(cpu, ss, cpl, EXC_TS, 0, &st.ss);
        st.sp = st.ss.attr & SEG_DB ? esp : esp & 0xffff;
        count = gate->hi & 31;
    }
    st.implicit = true;
    frame[n++] = cpu->seg[SS].sel;
    frame[n++] = cpu->gpr[RSP];
    for (unsigned i = count; i-- > 0;)
        frame[n++] = far_stack_peek(cpu, &old, i * opsize, opsize);
    frame[n++] = cpu->seg[CS].sel;
    frame[n++] = cpu->next_rip;
    far_stack_push(cpu, &st, frame, n, opsize);
    far_set_cs(cpu, sel, d, cpl);
    far_leave_to(cpu, &st.ss, st.sp, false);
    cpu->rip = off;
}

static void far_gate(struct cpu *cpu, uint16_t sel, struct desc *gate, bool call)
{
    struct desc d;
    uint16_t cs;
    uint64_t off;
    unsigned type = attr_type(gate->hi), opsize = in_long_mode(cpu) ? 8 : type == SYS_CALL32 ? 4 : 2;
    unsigned cpl = gate_target(cpu, sel, gate, call, &cs, &off, &d);
    if (!call) {
        far_set_cs(cpu, cs, &d, cpu->cpl);
        cpu->rip = off;
    } else if (cpl == cpu->cpl) {
        call_same_level(cpu, cs, &d, off, opsize);
    } else {
        call_inner(cpu, gate, cs, &d, off, opsize, cpl);
    }
}

// The selector names a gate or a TSS.
static void far_system(struct cpu *cpu, uint16_t sel, struct desc *d, bool call)
{
    const uint32_t legacy = BIT(SYS_CALL16) | BIT(SYS_CALL32) | BIT(SYS_TASK_GATE) | BIT(SYS_TSS16) | BIT(SYS_TSS32);
    unsigned type = attr_type(d->hi), dpl = attr_dpl(d->hi);
    uint32_t error = sel & ~3u;
    if (!((in_long_mode(cpu) ? BIT(SYS_CALL32) : legacy) >> type & 1) || dpl < cpu->cpl || (sel & 3u) > dpl)
        cpu_raise_error(cpu, EXC_GP, error);
    if (!(d->hi & SEG_P))
        cpu_raise_error(cpu, EXC_NP, error);
    enum task_switch why = call ? TASK_CALL : TASK_JMP;
    if (type == SYS_TASK_GATE)
        task_switch_by_gate(cpu, d, why, cpu->next_rip, 0);
    else if (type == SYS_TSS16 || type == SYS_TSS32)
        task_switch_to(cpu, sel, d, why, cpu->next_rip, 0);
    else
        far_gate(cpu, sel, d, call);
}

static void far_real(struct cpu *cpu, uint16_t sel, uint64_t off, unsigned opsize, bool call)
{
    if (off > (in_vm86(cpu) ? 0xffff : cpu->seg[CS].limit))
        raise_gp0(cpu);
    if (call) {
        struct far_stack st;
        far_stack_current(cpu, &st, 0);
        far_stack_push(cpu, &st, (uint64_t[]){cpu->seg[CS].sel, cpu->next_rip}, 2, opsize);
        sp_set(cpu, st.sp);
    }
    segment_set_real(cpu, CS, sel);
    cpu->rip = off;
}

// A transfer that keeps the level, the stack and the task changes CS alone.
struct before {
    unsigned cpl;
    uint16_t ss, tr;
};

static struct before state_before(const struct cpu *cpu)
{
    return (struct before){.cpl = cpu->cpl, .ss = cpu->seg[SS].sel, .tr = cpu->tr.sel};
}

static void transferred(struct cpu *cpu, const struct before *b)
{
    if (!in_long_mode(cpu) && b->cpl == cpu->cpl && b->ss == cpu->seg[SS].sel && b->tr == cpu->tr.sel)
        cpu_segment_loaded(cpu, CS);
    else
        cpu_update_mode(cpu);
}

static void far_branch(struct cpu *cpu, uint16_t sel, uint64_t off, unsigned opsize, bool call)
{
    struct desc d;
    const struct before before = state_before(cpu);
    off &= size_mask(opsize);
    if (!in_protected(cpu)) {
        far_real(cpu, sel, off, opsize, call);
    } else {
        if (!(sel & ~3))
            raise_gp0(cpu);
        if (!desc_read(cpu, sel, &d))
            cpu_raise_error(cpu, EXC_GP, sel & ~3u);
        if (attr_is_code(d.hi)) {
            check_direct(cpu, sel, &d);
            far_check_rip(cpu, &d, off, 0);
            if (call) {
                call_same_level(cpu, sel, &d, off, opsize);
            } else {
                far_set_cs(cpu, sel, &d, cpu->cpl);
                cpu->rip = off;
            }
        } else if (d.hi & SEG_S) {
            cpu_raise_error(cpu, EXC_GP, sel & ~3u);
        } else {
            far_system(cpu, sel, &d, call);
        }
    }
    transferred(cpu, &before);
}

void cpu_op_far_jmp(struct cpu *cpu, uint16_t sel, uint64_t off, unsigned opsize)
{
    far_branch(cpu, sel, off, opsize, false);
}

void cpu_op_far_call(struct cpu *cpu, uint16_t sel, uint64_t off, unsigned opsize)
{
    far_branch(cpu, sel, off, opsize, true);
}

// --- RET

void cpu_op_far_ret(struct cpu *cpu, unsigned opsize, unsigned imm)
{
    struct far_stack st;
    struct desc d;
    const struct before before = state_before(cpu);
    far_stack_current(cpu, &st, 0);
    uint64_t ip = far_stack_peek(cpu, &st, 0, opsize);
    uint16_t cs = far_stack_peek(cpu, &st, opsize, opsize);
    uint64_t sp = st.sp + 2 * opsize + imm;
    if (!in_protected(cpu)) {
        if (ip > (in_vm86(cpu) ? 0xffff : cpu->seg[CS].limit))
            raise_gp0(cpu);
        sp_set(cpu, sp);
        segment_set_real(cpu, CS, cs);
        cpu->rip = ip;
        cpu_update_mode(cpu);
        return;
    }
    unsigned cpl = cs & 3;
    far_return_segment(cpu, cs, &d);
    far_check_rip(cpu, &d, ip, 0);
    if (cpl == cpu->cpl) {
        bool was64 = in_code64(cpu);
        far_set_cs(cpu, cs, &d, cpl);
        if (was64)
            cpu->gpr[RSP] = sp;
        else
            sp_set(cpu, sp);
    } else {
        struct segment ss;
        uint64_t outer_sp = far_stack_peek(cpu, &st, 2 * opsize + imm, opsize);
        uint16_t outer_ss = far_stack_peek(cpu, &st, 3 * opsize + imm, opsize);
        far_return_stack(cpu, outer_ss, cpl, &d, &ss);
        far_set_cs(cpu, cs, &d, cpl);
        far_leave_to(cpu, &ss, outer_sp + imm, true); // the parameters lie on both stacks
    }
    cpu->rip = ip;
    transferred(cpu, &before);
}
