// SPDX-License-Identifier: MIT
// The local APIC's core: accepting interrupts, their priorities, local vectors, reset.
// SDM vol. 3A, section 10.8 "Handling Interrupts".
#include "hw/lapic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/interrupt.h"
#include "hw/lapic_internal.h"

// --- 256-bit registers

static void set_bit(uint32_t *r, uint8_t v) { r[v >> 5] |= 1u << (v & 31); }
static void clear_bit(uint32_t *r, uint8_t v) { r[v >> 5] &= ~(1u << (v & 31)); }
static bool test_bit(const uint32_t *r, uint8_t v) { return r[v >> 5] >> (v & 31) & 1; }

static int highest_bit(const uint32_t *r)
{
    for (int i = 7; i >= 0; i--)
        if (r[i])
            return 32 * i + 31 - __builtin_clz(r[i]);
    return -1;
}

// --- priorities, section 10.8.3.1 "Task and Processor Priorities"

uint8_t lapic_ppr(const struct lapic *l)
{
    int isrv = highest_bit(l->isr);
    int class = isrv < 0 ? 0 : isrv & 0xf0;
    return (l->tpr & 0xf0) >= class ? l->tpr : (uint8_t) class;
}

// The vector that may interrupt the CPU now, or -1.
static int deliverable(const struct lapic *l)
{
    if (!lapic_enabled(l))
        return -1;
    int v = highest_bit(l->irr);
    return v >= 0 && (v & 0xf0) > (lapic_ppr(l) & 0xf0) ? v : -1;
}

bool lapic_extint_open(const struct lapic *l)
{
    uint32_t lvt = l->lvt[LVT_LINT0];
    return !lapic_enabled(l) || (!(lvt & LVT_MASKED) && (lvt >> LVT_MODE_SHIFT & 7) == APIC_EXTINT);
}

static bool extint_pending(const struct lapic *l) { return l->lint[0] && l->extint && lapic_extint_open(l); }

bool lapic_requested(const struct lapic *l, uint8_t vector) { return lapic_enabled(l) && test_bit(l->irr, vector); }

void lapic_update(struct lapic *l)
{
    bool want = extint_pending(l) || deliverable(l) >= 0;
    bool have = cpu_requests(l->cfg.cpu) & CPU_REQ_INTR;
    if (want && !have)
        cpu_request(l->cfg.cpu, CPU_REQ_INTR);
    else if (!want && have)
        cpu_request_clear(l->cfg.cpu, CPU_REQ_INTR);
}

static int lapic_acknowledge(void *opaque)
{
    struct lapic *l = opaque;
    int v;
    if (extint_pending(l)) {
        v = l->extint(l->extint_opaque);
    } else if ((v = deliverable(l)) >= 0) {
        clear_bit(l->irr, (uint8_t)v);
        set_bit(l->isr, (uint8_t)v);
    }
    lapic_update(l);
    if (l->bus->taken)
        l->bus->taken(l->bus->taken_opaque);
    return v;
}

// --- acceptance

void lapic_error(struct lapic *l, uint32_t esr_bit)
{
    l->errors |= esr_bit;
    if (!(l->lvt[LVT_ERROR] & LVT_MASKED) && (l->lvt[LVT_ERROR] & LVT_VECTOR) >= 16)
        lapic_accept(l, APIC_FIXED, l->lvt[LVT_ERROR] & LVT_VECTOR, false);
}

static void accept_fixed(struct lapic *l, uint8_t vector, bool level)
{
    if (!(l->svr & SVR_ENABLED))
        return; // section 10.4.7.2: only INIT, NMI, SMI and SIPI get through
    if (vector < 16) {
        lapic_error(l, ESR_RECEIVE_ILLEGAL);
        return;
    }
    set_bit(l->irr, vector);
    if (level)
        set_bit(l->tmr, vector);
    else
        clear_bit(l->tmr, vector);
    lapic_update(l);
}

void lapic_accept(struct lapic *l, uint8_t mode, uint8_t vector, bool level)
{
    switch (mode) {
    case APIC_FIXED:
    case APIC_LOWEST: accept_fixed(l, vector, level); break;
    case APIC_SMI: cpu_request(l->cfg.cpu, CPU_REQ_SMI); break;
    case APIC_NMI: cpu_request(l->cfg.cpu, CPU_REQ_NMI); break;
    case APIC_INIT:
        lapic_init_reset(l);
        cpu_request(l->cfg.cpu, CPU_REQ_INIT);
        break;
    case APIC_SIPI:
        l->sipi_vector = vector;
        cpu_request(l->cfg.cpu, CPU_REQ_SIPI);
        break;
    default: // ExtINT comes over LINT0 only
        break;
    }
}

void lapic_lvt_fire(struct lapic *l, enum lapic_lvt n)
{
    uint32_t lvt = l->lvt[n];
    if (lvt & LVT_MASKED || !lapic_enabled(l))
        return;
    // The mode field exists in three of the six; for the timer those bits are zero, which is "fixed".
    lapic_accept(l, lvt >> LVT_MODE_SHIFT & 7, lvt & LVT_VECTOR, false);
}

void lapic_lint_changed(struct lapic *l, unsigned n)
{
    uint32_t *lvt = &l->lvt[LVT_LINT0 + n];
    bool fixed = (*lvt >> LVT_MODE_SHIFT & 7) == APIC_FIXED;
    bool ready = *lvt & LVT_LEVEL && !(*lvt & (LVT_MASKED | LVT_REMOTE_IRR));
    if (fixed && ready && l->lint[n] && lapic_enabled(l)) {
        *lvt |= LVT_REMOTE_IRR;
        lapic_accept(l, APIC_FIXED, *lvt & LVT_VECTOR, true);
    }
    lapic_update(l);
}

void lapic_set_lint(void *opaque, unsigned n, bool level)
{
    struct lapic *l = opaque;
    if (n > 1 || l->lint[n] == level)
        return;
    l->lint[n] = level;
    uint32_t lvt = l->lvt[LVT_LINT0 + n];
    unsigned mode = lvt >> LVT_MODE_SHIFT & 7;
    if (!lapic_enabled(l)) {
        if (n == 1 && level) // section 10.4.3: the pins are INTR and NMI
            cpu_request(l->cfg.cpu, CPU_REQ_NMI);
    } else if (level && mode != APIC_EXTINT && !(mode == APIC_FIXED && lvt & LVT_LEVEL)) {
        lapic_lvt_fire(l, LVT_LINT0 + n);
    }
    lapic_lint_changed(l, n);
}

void lapic_eoi(struct lapic *l)
{
    int v = highest_bit(l->isr);
    if (v < 0)
        return;
    clear_bit(l->isr, (uint8_t)v);
    if (test_bit(l->tmr, (uint8_t)v)) {
        for (unsigned n = 0; n < 2; n++) {
            uint32_t *lvt = &l->lvt[LVT_LINT0 + n];
            if (*lvt & LVT_REMOTE_IRR && (*lvt & LVT_VECTOR) == (uint32_t)v) {
                *lvt &= ~(uint32_t)LVT_REMOTE_IRR;
                lapic_lint_changed(l, n);
            }
        }
        if (l->bus->eoi)
            l->bus->eoi(l->bus->eoi_opaque, (uint8_t)v);
    }
    lapic_update(l);
}

void lapic_send_nmi(struct lapic *l)
{
    if (lapic_enabled(l))
        lapic_lvt_fire(l, LVT_LINT1); // NMI is wired to LINT1
    else
        cpu_request(l->cfg.cpu, CPU_REQ_NMI);
}

// --- what the CPU asks

static uint64_t lapic_get_tpr(void *opaque)
{
    struct lapic *l = opaque;
    return l->tpr >> 4;
}

static void lapic_set_tpr(void *opaque, uint64_t cr8)
{
    struct lapic *l = opaque;
    l->tpr = (uint8_t)(cr8 << 4);
    lapic_update(l);
}

static uint32_t lapic_apic_id(void *opaque)
{
    struct lapic *l = opaque;
    return l->cfg.id;
}

static uint8_t lapic_get_sipi_vector(void *opaque) { return lapic_sipi_vector(opaque); }

const struct cpu_intc_ops lapic_intc_ops = {
    .acknowledge = lapic_acknowledge,
    .get_tpr = lapic_get_tpr,
    .set_tpr = lapic_set_tpr,
    .rdmsr = lapic_rdmsr,
    .wrmsr = lapic_wrmsr,
    .apic_id = lapic_apic_id,
    .sipi_vector = lapic_get_sipi_vector,
};

uint8_t lapic_sipi_vector(const struct lapic *l) { return l->sipi_vector; }

void lapic_set_extint(struct lapic *l, int (*acknowledge)(void *opaque), void *opaque)
{
    l->extint = acknowledge;
    l->extint_opaque = opaque;
}

// --- life

// Section 10.4.7.1 "Local APIC State After Power-Up or Reset"; INIT differs only in keeping the id.
void lapic_init_reset(struct lapic *l)
{
    l->tpr = 0;
    l->dfr = 0xffffffff;
    l->ldr = lapic_x2apic(l) ? (l->cfg.id >> 4) << 16 | 1u << (l->cfg.id & 15) : 0;
    l->svr = 0xff;
    memset(l->isr, 0, sizeof(l->isr));
    memset(l->irr, 0, sizeof(l->irr));
    memset(l->tmr, 0, sizeof(l->tmr));
    l->esr = l->errors = 0;
    l->icr = 0;
    for (unsigned i = 0; i < LVT_COUNT; i++)
        l->lvt[i] = LVT_MASKED;
    // A boot processor without firmware must get the 8259's interrupts: virtual wire mode, as PC firmware
    // sets it up.
    if (l->cfg.bsp)
        l->lvt[LVT_LINT0] = APIC_EXTINT << LVT_MODE_SHIFT;
    lapic_timer_reset(l);
    lapic_update(l);
}

void lapic_reset(struct lapic *l)
{
    l->apic_base = LAPIC_DEFAULT_BASE | APIC_BASE_EN | (l->cfg.bsp ? APIC_BASE_BSP : 0);
    lapic_bus_move_page(l);
    l->sipi_vector = 0;
    lapic_init_reset(l);
}

struct lapic *lapic_create(struct lapic_bus *bus, const struct lapic_config *cfg)
{
    if (cfg->id >= LAPIC_MAX || bus->count == LAPIC_BUS_MAX)
        return NULL;
    for (unsigned i = 0; i < bus->count; i++)
        if (bus->lapic[i]->cfg.id == cfg->id)
            return NULL;
    struct lapic *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    l->bus = bus;
    l->cfg = *cfg;
    if (lapic_timer_init(l) < 0) {
        free(l);
        return NULL;
    }
    bus->lapic[bus->count++] = l;
    cfg->cpu->intc = &lapic_intc_ops;
    cfg->cpu->intc_opaque = l;
    lapic_reset(l);
    return l;
}

static void info_bits(const char *name, const uint32_t *r, void (*print)(void *opaque, const char *line), void *opaque)
{
    char line[256];
    int n = snprintf(line, sizeof(line), "%s:", name);
    for (unsigned v = 0; v < 256 && n < 240; v++)
        if (test_bit(r, (uint8_t)v))
            n += snprintf(line + n, sizeof(line) - (size_t)n, " %u", v);
    print(opaque, line);
}

void lapic_info(struct lapic *l, void (*print)(void *opaque, const char *line), void *opaque)
{
    static const char *const names[LVT_COUNT] = {"timer", "thermal", "perf", "lint0", "lint1", "error"};
    char line[160];
    snprintf(line, sizeof(line), "lapic id=%u base=%llx%s%s svr=%03x tpr=%02x ppr=%02x ldr=%08x dfr=%08x esr=%02x",
             l->cfg.id, (unsigned long long)(l->apic_base & APIC_BASE_ADDR), lapic_enabled(l) ? "" : " off",
             lapic_x2apic(l) ? " x2apic" : "", l->svr, l->tpr, lapic_ppr(l), l->ldr, l->dfr, l->esr);
    print(opaque, line);
    for (unsigned i = 0; i < LVT_COUNT; i++) {
        snprintf(line, sizeof(line), "lvt %-7s %08x%s", names[i], l->lvt[i], l->lvt[i] & LVT_MASKED ? " masked" : "");
        print(opaque, line);
    }
    snprintf(line, sizeof(line), "timer initial=%u current=%u divide=%x deadline=%llx", l->initial_count,
             lapic_timer_current(l), l->divide, (unsigned long long)l->deadline);
    print(opaque, line);
    info_bits("isr", l->isr, print, opaque);
    info_bits("irr", l->irr, print, opaque);
}
