// SPDX-License-Identifier: MIT
// The local APIC's registers, by the xAPIC page and by x2APIC MSRs, and IA32_APIC_BASE.
// SDM vol. 3A, sections 10.4 "Local APIC" and 10.12 "Extended XAPIC (x2APIC)".
#include "cpu/state.h"
#include "hw/lapic_internal.h"

enum { MSR_APIC_BASE = 0x1b, MSR_TSC_DEADLINE = 0x6e0, MSR_X2APIC = 0x800 };
// Version 14h, six local vectors.
enum { VERSION = (LVT_COUNT - 1) << 16 | 0x14 };

// Who may do what with a register: X in the page, M by MSR.
enum { XR = 1, XW = 2, MR = 4, MW = 8 };
struct reg_rule {
    uint8_t access;
    uint64_t writable; // by MSR, any other bit is a #GP; in the page it is ignored
    uint32_t ignored;  // read-only bits that may be written back as read
};

// clang-format off
#define RO {XR | MR, 0, 0}
#define LVT_LINT_BITS {XR | XW | MR | MW, 0x1a7ff, 0x5000}
// clang-format on
static const struct reg_rule rules[APIC_REGS] = {
    [APIC_ID] = RO,
    [APIC_VERSION] = RO,
    [APIC_TPR] = {XR | XW | MR | MW, 0xff, 0},
    [APIC_APR] = {XR, 0, 0},
    [APIC_PPR] = RO,
    [APIC_EOI] = {XW | MW, 0, 0}, // by MSR only 0 may be written
    [APIC_RRD] = {XR, 0, 0},
    [APIC_LDR] = {XR | XW | MR, 0xff000000, 0},
    [APIC_DFR] = {XR | XW, 0xf0000000, 0},
    [APIC_SVR] = {XR | XW | MR | MW, 0x3ff, 0},
    [APIC_ISR... APIC_ISR + 7] = RO,
    [APIC_TMR... APIC_TMR + 7] = RO,
    [APIC_IRR... APIC_IRR + 7] = RO,
    [APIC_ESR] = {XR | XW | MR | MW, 0, 0},
    [APIC_ICR] = {XR | XW | MR | MW, 0xffffffff000ccfff, 0x1000},
    [APIC_ICR_HIGH] = {XR | XW, 0xff000000, 0},
    [APIC_LVT + LVT_TIMER] = {XR | XW | MR | MW, 0x700ff, 0x1000},
    [APIC_LVT + LVT_THERMAL] = {XR | XW | MR | MW, 0x107ff, 0x1000},
    [APIC_LVT + LVT_PERF] = {XR | XW | MR | MW, 0x107ff, 0x1000},
    [APIC_LVT + LVT_LINT0] = LVT_LINT_BITS,
    [APIC_LVT + LVT_LINT1] = LVT_LINT_BITS,
    [APIC_LVT + LVT_ERROR] = {XR | XW | MR | MW, 0x100ff, 0x1000},
    [APIC_INITIAL_COUNT] = {XR | XW | MR | MW, 0xffffffff, 0},
    [APIC_CURRENT_COUNT] = RO,
    [APIC_DIVIDE] = {XR | XW | MR | MW, 0xb, 0},
    [APIC_SELF_IPI] = {MW, 0xff, 0},
};

// --- values

static uint32_t reg_read(struct lapic *l, unsigned reg)
{
    switch (reg) {
    case APIC_ID: return lapic_x2apic(l) ? l->cfg.id : l->cfg.id << 24;
    case APIC_VERSION: return VERSION;
    case APIC_TPR: return l->tpr;
    case APIC_PPR: return lapic_ppr(l);
    case APIC_LDR: return l->ldr;
    case APIC_DFR: return l->dfr;
    case APIC_SVR: return l->svr;
    case APIC_ISR ... APIC_ISR + 7: return l->isr[reg - APIC_ISR];
    case APIC_TMR ... APIC_TMR + 7: return l->tmr[reg - APIC_TMR];
    case APIC_IRR ... APIC_IRR + 7: return l->irr[reg - APIC_IRR];
    case APIC_ESR: return l->esr;
    case APIC_ICR: return (uint32_t)l->icr;
    case APIC_ICR_HIGH: return (uint32_t)(l->icr >> 32);
    case APIC_LVT ... APIC_LVT + LVT_COUNT - 1: return l->lvt[reg - APIC_LVT];
    case APIC_INITIAL_COUNT: return l->initial_count;
    case APIC_CURRENT_COUNT: return lapic_timer_current(l);
    case APIC_DIVIDE: return l->divide;
    default: return 0;
    }
}

static void write_svr(struct lapic *l, uint32_t v)
{
    l->svr = v;
    if (v & SVR_ENABLED)
        return;
    // Section 10.4.7.2: "the mask bits for all the LVT entries are set"
    uint32_t old_timer = l->lvt[LVT_TIMER];
    for (unsigned i = 0; i < LVT_COUNT; i++)
        l->lvt[i] |= LVT_MASKED;
    lapic_timer_set_lvt(l, old_timer);
}

static void write_lvt(struct lapic *l, enum lapic_lvt n, uint32_t v)
{
    uint32_t old = l->lvt[n];
    if (!(l->svr & SVR_ENABLED))
        v |= LVT_MASKED;
    l->lvt[n] = v | (old & LVT_REMOTE_IRR);
    if (!(v & LVT_LEVEL))
        l->lvt[n] &= ~(uint32_t)LVT_REMOTE_IRR;
    if (n == LVT_TIMER)
        lapic_timer_set_lvt(l, old);
    else if (n == LVT_LINT0 || n == LVT_LINT1)
        lapic_lint_changed(l, n - LVT_LINT0);
}

// v has been cut down to writable bits.
static void reg_write(struct lapic *l, unsigned reg, uint64_t v)
{
    uint32_t low = (uint32_t)v;
    switch (reg) {
    case APIC_TPR: l->tpr = (uint8_t)v; break;
    case APIC_EOI: lapic_eoi(l); break;
    case APIC_LDR: l->ldr = low; break;
    case APIC_DFR: l->dfr = low | 0x0fffffff; break;
    case APIC_SVR: write_svr(l, low); break;
    case APIC_ESR: // "write before read": shows what gathered since the last write
        l->esr = l->errors;
        l->errors = 0;
        break;
    case APIC_ICR:
        l->icr = lapic_x2apic(l) ? v : (l->icr & ~0xffffffffull) | low;
        lapic_bus_send_ipi(l, l->icr);
        break;
    case APIC_ICR_HIGH: l->icr = (l->icr & 0xffffffff) | (uint64_t)low << 32; break;
    case APIC_LVT ... APIC_LVT + LVT_COUNT - 1: write_lvt(l, reg - APIC_LVT, low); break;
    case APIC_INITIAL_COUNT: lapic_timer_set_initial(l, low); break;
    case APIC_DIVIDE: lapic_timer_set_divide(l, low); break;
    case APIC_SELF_IPI:
        if (v < 16)
            lapic_error(l, ESR_SEND_ILLEGAL);
        else
            lapic_accept(l, APIC_FIXED, (uint8_t)v, false);
        break;
    }
    lapic_update(l);
}

// --- the page

// The LAPIC whose page it is: the one of the vCPU that runs on this thread; NULL for a bus master.
static struct lapic *current_lapic(void) { return vcpu_self.intc == &lapic_intc_ops ? vcpu_self.intc_opaque : NULL; }

static bool page_answers(const struct lapic *l) { return l && lapic_enabled(l) && !lapic_x2apic(l); }

static uint64_t page_read(void *opaque, uint64_t offset, unsigned size)
{
    struct lapic *l = current_lapic();
    if (!page_answers(l) || offset >= PAGE_SIZE)
        return 0xffffffff;
    unsigned reg = (unsigned)offset >> 4;
    if (offset & 15)
        return 0; // the 12 bytes after each register
    if (reg >= APIC_REGS || !(rules[reg].access & XR)) {
        lapic_error(l, ESR_ILLEGAL_REGISTER);
        return 0;
    }
    return reg_read(l, reg);
}

static void page_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct lapic *l = current_lapic();
    if (!l) {
        lapic_bus_send_msi(opaque, LAPIC_DEFAULT_BASE + offset, (uint32_t)value);
        return;
    }
    if (!page_answers(l) || offset >= PAGE_SIZE || offset & 15)
        return;
    unsigned reg = (unsigned)offset >> 4;
    if (reg >= APIC_REGS || !(rules[reg].access & XW))
        lapic_error(l, ESR_ILLEGAL_REGISTER);
    else
        reg_write(l, reg, value & rules[reg].writable);
}

const struct io_ops lapic_page_ops = {
    .read = page_read, .write = page_write, .min_size = 4, .max_size = 4, .gpr_only = true};

// --- MSRs

// Section 10.12.5 "x2APIC State Transitions": only off -> xAPIC -> x2APIC -> off, and xAPIC -> off.
static bool write_apic_base(struct lapic *l, uint64_t v)
{
    uint64_t known = APIC_BASE_ADDR | APIC_BASE_BSP | APIC_BASE_EN | (l->cfg.has_x2apic ? APIC_BASE_EXTD : 0);
    bool en = v & APIC_BASE_EN, extd = v & APIC_BASE_EXTD, was_en = lapic_enabled(l), was_extd = lapic_x2apic(l);
    if (v & ~known || (extd && !en) || (extd && !was_en) || (was_extd && en && !extd))
        return false;
    l->apic_base = v;
    if (was_en && !en) // registers are lost; so are interrupts that were waiting
        lapic_init_reset(l);
    if (extd && !was_extd) {
        // Section 10.12.10.2 "Deriving Logical x2APIC ID from the Local x2APIC ID"
        l->ldr = (l->cfg.id >> 4) << 16 | 1u << (l->cfg.id & 15);
        l->icr &= 0xffffffff;
    }
    lapic_bus_move_page(l);
    lapic_update(l);
    return true;
}

static const struct reg_rule *msr_rule(const struct lapic *l, uint32_t msr, uint8_t access)
{
    if (!lapic_x2apic(l) || msr < MSR_X2APIC || msr >= MSR_X2APIC + APIC_REGS)
        return NULL;
    const struct reg_rule *rule = &rules[msr - MSR_X2APIC];
    return rule->access & access ? rule : NULL;
}

bool lapic_rdmsr(void *opaque, uint32_t msr, uint64_t *value)
{
    struct lapic *l = opaque;
    if (msr == MSR_APIC_BASE) {
        *value = l->apic_base;
        return true;
    }
    if (msr == MSR_TSC_DEADLINE) {
        *value = lapic_timer_get_deadline(l);
        return true;
    }
    if (!msr_rule(l, msr, MR))
        return false;
    *value = msr == MSR_X2APIC + APIC_ICR ? l->icr : reg_read(l, msr - MSR_X2APIC);
    return true;
}

bool lapic_wrmsr(void *opaque, uint32_t msr, uint64_t value)
{
    struct lapic *l = opaque;
    if (msr == MSR_APIC_BASE)
        return write_apic_base(l, value);
    if (msr == MSR_TSC_DEADLINE) {
        lapic_timer_set_deadline(l, value);
        return true;
    }
    const struct reg_rule *rule = msr_rule(l, msr, MW);
    if (!rule || value & ~(rule->writable | rule->ignored))
        return false;
    reg_write(l, msr - MSR_X2APIC, value & rule->writable);
    return true;
}
