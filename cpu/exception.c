// SPDX-License-Identifier: MIT
// Exceptions and interrupts: raising, delivery through the IDT in every mode; iret.c is the way back.
// SDM vol. 3A, chapter 6 "Interrupt and Exception Handling".
#include "base/log.h"
#include "cpu/debug_points.h"
#include "cpu/internal.h"

// --- raising

_Noreturn void cpu_raise(struct cpu *cpu, enum vector v)
{
    cpu->exc.vector = v;
    cpu->exc.has_error = false;
    cpu->exc.error = 0;
    longjmp(cpu->unwind, 1);
}

_Noreturn void cpu_raise_error(struct cpu *cpu, enum vector v, uint32_t error)
{
    cpu->exc.vector = v;
    cpu->exc.has_error = true;
    cpu->exc.error = error;
    longjmp(cpu->unwind, 1);
}

_Noreturn void cpu_raise_pf(struct cpu *cpu, const struct mmu_fault *f)
{
    cpu->exc.cr2 = f->addr;
    cpu_raise_error(cpu, EXC_PF, f->error);
}

_Noreturn void cpu_raise_db(struct cpu *cpu, uint64_t dr6_bits)
{
    cpu->exc.dr6 = dr6_bits;
    cpu_raise(cpu, EXC_DB);
}

// --- delivery

// What is being delivered. ext: bit 0 of error codes that the delivery itself produces.
struct event {
    uint8_t vector;
    bool soft;  // INT n, INT3, INTO: the gate's DPL counts
    bool int_n; // INT n proper: VM86's rules apply
    bool has_error;
    uint32_t error, ext;
    uint64_t rip;    // to return to
    uint64_t rflags; // image to push
};

static uint32_t idt_error(const struct event *ev) { return ev->vector * 8u | 2 | ev->ext; }

uint64_t tss_read_rsp(struct cpu *cpu, unsigned slot, uint32_t ext)
{
    unsigned off = 4 + slot * 8;
    if (off + 7 > cpu->tr.limit)
        cpu_raise_error(cpu, EXC_TS, (cpu->tr.sel & ~3u) | ext);
    return cpu_load_sys(cpu, cpu->tr.base + off, 8);
}

void tss_read_stack(struct cpu *cpu, unsigned cpl, uint32_t ext, uint16_t *ss, uint32_t *esp)
{
    bool is32 = cpu->tr.attr & 0x800;
    unsigned off = is32 ? cpl * 8 + 4 : cpl * 4 + 2, last = off + (is32 ? 7 : 3);
    if (!(cpu->tr.attr & SEG_P) || last > cpu->tr.limit)
        cpu_raise_error(cpu, EXC_TS, (cpu->tr.sel & ~3u) | ext);
    *esp = cpu_load_sys(cpu, cpu->tr.base + off, is32 ? 4 : 2);
    *ss = cpu_load_sys(cpu, cpu->tr.base + off + (is32 ? 4 : 2), 2);
}

void cpu_set_cpl(struct cpu *cpu, unsigned cpl) { cpu->cpl = cpl; }

// The code segment a gate names: SDM vol. 3A, section 6.12.1 "Exception- or Interrupt-Handler Procedures".
// Returns the CPL of the handler.
static unsigned handler_segment(struct cpu *cpu, uint16_t sel, uint32_t ext, struct desc *d)
{
    uint32_t error = (sel & ~3u) | ext;
    if (!(sel & ~3))
        cpu_raise_error(cpu, EXC_GP, ext);
    if (!desc_read(cpu, sel, d) || !attr_is_code(d->hi) || attr_dpl(d->hi) > cpu->cpl)
        cpu_raise_error(cpu, EXC_GP, error);
    if (in_long_mode(cpu) && (d->hi & (SEG_L | SEG_DB)) != SEG_L)
        cpu_raise_error(cpu, EXC_GP, error);
    if (!(d->hi & SEG_P))
        cpu_raise_error(cpu, EXC_NP, error);
    unsigned cpl = d->hi & TYPE_CONFORMING ? cpu->cpl : attr_dpl(d->hi);
    if (in_vm86(cpu) && cpl != 0)
        cpu_raise_error(cpu, EXC_GP, error);
    return cpl;
}

// The last step, once the frame is in memory: nothing here can fault.
static void enter_handler(struct cpu *cpu, uint64_t rip, bool interrupt_gate, unsigned cpl)
{
    cpu->rip = rip;
    cpu->rflags &= ~(uint64_t)(FL_TF | FL_NT | FL_RF | FL_VM);
    if (interrupt_gate)
        cpu->rflags &= ~(uint64_t)FL_IF;
    cpu_set_cpl(cpu, cpl);
    cpu->shadow_sti = cpu->shadow_ss = 0;
    cpu_update_mode(cpu);
}

// SDM vol. 3A, section 6.14 "Exception and Interrupt Handling in 64-bit Mode"
static void deliver_long(struct cpu *cpu, const struct event *ev)
{
    struct desc d;
    if (ev->vector * 16u + 15 > cpu->idtr.limit)
        cpu_raise_error(cpu, EXC_GP, idt_error(ev));
    gva at = cpu->idtr.base + ev->vector * 16u;
    uint64_t q0 = cpu_load_sys(cpu, at, 8), q1 = cpu_load_sys(cpu, at + 8, 8);
    struct desc gate = {.lo = q0, .hi = q0 >> 32};
    uint64_t target = gate_offset(&gate) | q1 << 32;
    unsigned type = attr_type(gate.hi), ist = gate.hi & 7;
    if ((gate.hi & SEG_S) || (type != SYS_INT32 && type != SYS_TRAP32))
        cpu_raise_error(cpu, EXC_GP, idt_error(ev));
    if (ev->soft && attr_dpl(gate.hi) < cpu->cpl)
        cpu_raise_error(cpu, EXC_GP, idt_error(ev));
    if (!(gate.hi & SEG_P))
        cpu_raise_error(cpu, EXC_NP, idt_error(ev));
    uint16_t sel = gate.lo >> 16;
    unsigned cpl = handler_segment(cpu, sel, ev->ext, &d);
    if (!is_canonical(target))
        cpu_raise_error(cpu, EXC_GP, ev->ext);

    struct far_stack st = {.is64 = true, .implicit = cpl < 3, .error = ev->ext, .sp = cpu->gpr[RSP]};
    if (ist)
        st.sp = tss_read_rsp(cpu, 3 + ist, ev->ext);
    else if (cpl != cpu->cpl)
        st.sp = tss_read_rsp(cpu, cpl, ev->ext);
    st.sp &= ~15ull;
    uint64_t frame[6] = {cpu->seg[SS].sel, cpu->gpr[RSP], ev->rflags, cpu->seg[CS].sel, ev->rip, ev->error};
    far_stack_push(cpu, &st, frame, ev->has_error ? 6 : 5, 8);
    desc_set_accessed(cpu, &d);

    segment_fill(&cpu->seg[CS], (sel & ~3) | cpl, &d);
    if (cpl != cpu->cpl) {
        segment_set_null(&cpu->seg[SS], cpl);
        cpu->seg[SS].attr = cpl << 13;
    }
    cpu->gpr[RSP] = st.sp;
    enter_handler(cpu, target, type == SYS_INT32, cpl);
}

static void deliver_protected(struct cpu *cpu, const struct event *ev)
{
    struct desc gate, d;
    if (ev->vector * 8u + 7 > cpu->idtr.limit)
        cpu_raise_error(cpu, EXC_GP, idt_error(ev));
    uint64_t q = cpu_load_sys(cpu, cpu->idtr.base + ev->vector * 8u, 8);
    gate = (struct desc){.lo = q, .hi = q >> 32};
    unsigned type = attr_type(gate.hi);
    const uint32_t valid = BIT(SYS_TASK_GATE) | BIT(SYS_INT16) | BIT(SYS_TRAP16) | BIT(SYS_INT32) | BIT(SYS_TRAP32);
    if ((gate.hi & SEG_S) || !(valid >> type & 1) || (ev->soft && attr_dpl(gate.hi) < cpu->cpl))
        cpu_raise_error(cpu, EXC_GP, idt_error(ev));
    if (!(gate.hi & SEG_P))
        cpu_raise_error(cpu, EXC_NP, idt_error(ev));
    if (type == SYS_TASK_GATE) {
        task_switch_by_gate(cpu, &gate, TASK_INT, ev->rip, ev->ext);
        if (ev->has_error)
            cpu_push(cpu, ev->error, cpu->tr.attr & 0x800 ? 4 : 2);
        return;
    }
    bool is32 = type & 8, vm86 = in_vm86(cpu);
    unsigned opsize = is32 ? 4 : 2;
    uint16_t sel = gate.lo >> 16;
    uint32_t target = is32 ? gate_offset(&gate) : gate.lo & 0xffff;
    unsigned cpl = handler_segment(cpu, sel, ev->ext, &d);
    bool inner = cpl != cpu->cpl;

    struct far_stack st;
    uint64_t frame[10];
    unsigned n = 0;
    far_stack_current(cpu, &st, ev->ext);
    if (inner) {
        uint16_t ss;
        uint32_t esp;
        tss_read_stack(cpu, cpl, ev->ext, &ss, &esp);
        segment_check_stack(cpu, ss, cpl, EXC_TS, ev->ext, &st.ss);
        st.sp = st.ss.attr & SEG_DB ? esp : esp & 0xffff;
        st.implicit = true;
        st.error = (ss & ~3u) | ev->ext;
        if (vm86)
            for (unsigned i = 0; i < 4; i++)
                frame[n++] = cpu->seg[(const uint8_t[]){GS, FS, DS, ES}[i]].sel;
        frame[n++] = cpu->seg[SS].sel;
        frame[n++] = cpu->gpr[RSP];
    }
    frame[n++] = ev->rflags;
    frame[n++] = cpu->seg[CS].sel;
    frame[n++] = ev->rip;
    if (ev->has_error)
        frame[n++] = ev->error;
    far_check_rip(cpu, &d, target, ev->ext);
    far_stack_push(cpu, &st, frame, n, opsize);
    desc_set_accessed(cpu, &d);

    if (vm86)
        for (unsigned i = 0; i < 4; i++)
            segment_set_null(&cpu->seg[(const uint8_t[]){GS, FS, DS, ES}[i]], 0);
    segment_fill(&cpu->seg[CS], (sel & ~3) | cpl, &d);
    cpu->rflags &= ~(uint64_t)FL_VM;
    if (inner) {
        cpu->seg[SS] = st.ss;
        cpu->gpr[RSP] = st.ss.attr & SEG_DB ? (uint32_t)st.sp : (cpu->gpr[RSP] & ~0xffffull) | (st.sp & 0xffff);
    } else {
        sp_set(cpu, st.sp);
    }
    enter_handler(cpu, target, !(type & 1), cpl);
}

// Through the interrupt vector table at ivt: SDM vol. 3B, section 21.1.4 "Interrupt and Exception Handling" (real
// mode), and the virtual-8086 handlers of section 21.3.3 (methods 5 and 6). vme: IF and VIF change places.
static void deliver_ivt(struct cpu *cpu, const struct event *ev, gva ivt, uint32_t limit, bool vme)
{
    if (ev->vector * 4u + 3 > limit)
        cpu_raise_error(cpu, EXC_GP, idt_error(ev));
    uint32_t far = cpu_load_sys(cpu, ivt + ev->vector * 4u, 4);
    struct far_stack st;
    uint64_t flags = ev->rflags;
    if (vme)
        flags = (flags & ~(uint64_t)FL_IF) | FL_IOPL | (flags & FL_VIF ? FL_IF : 0);
    far_stack_current(cpu, &st, ev->ext);
    far_stack_push(cpu, &st, (uint64_t[]){flags, cpu->seg[CS].sel, ev->rip}, 3, 2);
    sp_set(cpu, st.sp);
    segment_set_real(cpu, CS, far >> 16);
    cpu->rip = far & 0xffff;
    cpu->rflags &= ~(uint64_t)(FL_TF | FL_RF | FL_AC | (vme ? FL_VIF : FL_IF));
    cpu->shadow_sti = cpu->shadow_ss = 0;
    cpu_update_mode(cpu);
}

// May INT n go to the 8086 program's own handler? SDM vol. 3B, section 21.3.3.4, table 21-2. Raises #GP(0) if
// it may go nowhere.
static bool vm86_redirects(struct cpu *cpu, uint8_t vector)
{
    if (cpu->cr4 & CR4_VME) {
        uint32_t map = cpu_load_sys(cpu, cpu->tr.base + 102, 2);
        uint32_t at = map - 32 + vector / 8;
        if (map >= 32 && at <= cpu->tr.limit && !(cpu_load_sys(cpu, cpu->tr.base + at, 1) >> (vector & 7) & 1))
            return true;
    }
    if (iopl(cpu) < 3)
        raise_gp0(cpu);
    return false;
}

static void deliver(struct cpu *cpu, const struct event *ev)
{
    if (!(cpu->cr0 & CR0_PE))
        deliver_ivt(cpu, ev, cpu->idtr.base, cpu->idtr.limit, false);
    else if (in_long_mode(cpu))
        deliver_long(cpu, ev);
    else if (ev->int_n && in_vm86(cpu) && vm86_redirects(cpu, ev->vector))
        deliver_ivt(cpu, ev, 0, 0x3ff, iopl(cpu) < 3);
    else
        deliver_protected(cpu, ev);
}

// --- what may follow what

enum exc_class { BENIGN, CONTRIBUTORY, PAGE_FAULT };

static enum exc_class classify(int vector)
{
    const uint32_t contributory = BIT(EXC_DE) | BIT(EXC_TS) | BIT(EXC_NP) | BIT(EXC_SS) | BIT(EXC_GP);
    if (vector == EXC_PF)
        return PAGE_FAULT;
    return vector < 32 && (contributory >> vector & 1) ? CONTRIBUTORY : BENIGN;
}

enum { DELIVERING_EXTERNAL = 256 }; // cpu->delivering: an interrupt, benign whatever its number

// SDM vol. 3A, chapter 6, "Interrupt 8-Double Fault Exception (#DF)", table 6-5. Returns false on a triple fault.
static bool combine(struct cpu *cpu)
{
    if (cpu->delivering < 0)
        return true;
    enum exc_class first = classify(cpu->delivering), second = classify(cpu->exc.vector);
    if (cpu->delivering == EXC_DF && second != BENIGN)
        return false;
    if ((first == CONTRIBUTORY && second == CONTRIBUTORY) || (first == PAGE_FAULT && second != BENIGN)) {
        cpu->exc.vector = EXC_DF;
        cpu->exc.has_error = true;
        cpu->exc.error = 0;
    }
    return true;
}

// RF in the image: SDM vol. 3B, section 18.3.1.1 "Instruction-Breakpoint Exception Condition". Set for faults; #DB
// keeps what it was, and #DF and #MC are aborts.
static bool pushes_rf(unsigned vector)
{
    return vector != EXC_DB && vector != EXC_DF && vector != EXC_MC && vector != EXC_BP && vector != EXC_OF;
}

static void log_event(struct cpu *cpu, const struct event *ev)
{
    leave_for_general_c(cpu);
    log_printf(LOG_int, "v=%02x e=%04x ext=%u cpl=%u ip=%04x:%016llx sp=%04x:%016llx cr2=%016llx ax=%016llx",
               ev->vector, ev->error, ev->ext, cpu->cpl, cpu->seg[CS].sel, (unsigned long long)ev->rip,
               cpu->seg[SS].sel, (unsigned long long)cpu->gpr[RSP], (unsigned long long)cpu->cr2,
               (unsigned long long)cpu->gpr[RAX]);
}

void cpu_deliver_exception(struct cpu *cpu)
{
    if (!combine(cpu)) {
        cpu->delivering = -1;
        if (log_on(LOG_int) || log_on(LOG_cpu_reset)) {
            leave_for_general_c(cpu);
            log_printf(log_on(LOG_int) ? LOG_int : LOG_cpu_reset, "triple fault at %04x:%llx", cpu->seg[CS].sel,
                       (unsigned long long)cpu->rip);
        }
        cpu->halted = true; // shutdown: nothing runs until the board resets us
        cpu_request(cpu, CPU_REQ_RESET);
        return;
    }
    uint8_t v = cpu->exc.vector;
    cpu->delivering = v;
    if (v == EXC_PF) {
        cpu->cr2 = cpu->exc.cr2;
    } else if (v == EXC_DB) {
        cpu->dr[6] |= cpu->exc.dr6;
        cpu->dr[7] &= ~BIT(13); // GD
    }
    struct event ev = {.vector = v,
                       .has_error = cpu->exc.has_error,
                       .error = cpu->exc.error,
                       .ext = 1,
                       .rip = cpu->rip,
                       .rflags = cpu->rflags | (pushes_rf(v) ? FL_RF : 0)};
    if (log_on(LOG_int))
        log_event(cpu, &ev);
    deliver(cpu, &ev);
    cpu->delivering = -1;
}

void cpu_deliver_interrupt(struct cpu *cpu, uint8_t vector)
{
    struct event ev = {.vector = vector, .ext = 1, .rip = cpu->rip, .rflags = cpu->rflags};
    cpu->delivering = DELIVERING_EXTERNAL;
    if (UNLIKELY(cpu->debug_active))
        cpu->debug->stepped = true;
    if (log_on(LOG_int))
        log_event(cpu, &ev);
    deliver(cpu, &ev);
    cpu->delivering = -1;
}

// --- software interrupts: traps, whose return address is the next instruction

static void software_interrupt(struct cpu *cpu, uint8_t vector, bool int_n, bool soft)
{
    struct event ev = {.vector = vector,
                       .soft = soft,
                       .int_n = int_n,
                       .ext = !soft,
                       .rip = cpu->next_rip,
                       .rflags = cpu->rflags & ~(uint64_t)FL_RF};
    if (log_on(LOG_int))
        log_event(cpu, &ev);
    deliver(cpu, &ev);
}

void cpu_op_int(struct cpu *cpu, uint8_t vector) { software_interrupt(cpu, vector, true, true); }
void cpu_op_int3(struct cpu *cpu) { software_interrupt(cpu, EXC_BP, false, true); }
void cpu_op_int1(struct cpu *cpu) { software_interrupt(cpu, EXC_DB, false, false); } // as if by hardware
void cpu_op_into(struct cpu *cpu)
{
    if (cpu->rflags & FL_OF)
        software_interrupt(cpu, EXC_OF, false, true);
    else
        cpu->rip = cpu->next_rip;
}
