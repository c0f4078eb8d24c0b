// SPDX-License-Identifier: MIT
// What the parts of the local APIC share: lapic.c (acceptance, priorities), lapic_regs.c (registers, MSRs),
// lapic_timer.c and lapic_bus.c (destinations, IPIs, MSI). Private to hw/.
#pragma once

#include "base/loop.h"
#include "hw/lapic.h"

// Register numbers: offset in the xAPIC page / 16, and x2APIC MSR - 800h (SDM vol. 3A, tables 10-1 and 10-6).
// clang-format off
enum {
    APIC_ID = 0x02, APIC_VERSION = 0x03, APIC_TPR = 0x08, APIC_APR = 0x09, APIC_PPR = 0x0a, APIC_EOI = 0x0b,
    APIC_RRD = 0x0c, APIC_LDR = 0x0d, APIC_DFR = 0x0e, APIC_SVR = 0x0f, APIC_ISR = 0x10, APIC_TMR = 0x18,
    APIC_IRR = 0x20, APIC_ESR = 0x28, APIC_ICR = 0x30, APIC_ICR_HIGH = 0x31, APIC_LVT = 0x32,
    APIC_INITIAL_COUNT = 0x38, APIC_CURRENT_COUNT = 0x39, APIC_DIVIDE = 0x3e, APIC_SELF_IPI = 0x3f,
    APIC_REGS = 0x40,
};
// clang-format on
enum lapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };
enum {
    LVT_VECTOR = 0xff,
    LVT_MODE_SHIFT = 8,
    LVT_REMOTE_IRR = 1 << 14,
    LVT_LEVEL = 1 << 15,
    LVT_MASKED = 1 << 16,
    LVT_TIMER_MODE_SHIFT = 17,
};
enum { TIMER_ONE_SHOT = 0, TIMER_PERIODIC = 1, TIMER_TSC_DEADLINE = 2 };
enum { SVR_ENABLED = 1 << 8 };
enum { ESR_SEND_ILLEGAL = 1 << 5, ESR_RECEIVE_ILLEGAL = 1 << 6, ESR_ILLEGAL_REGISTER = 1 << 7 };
#define APIC_BASE_BSP BIT(8)
#define APIC_BASE_EXTD BIT(10)
#define APIC_BASE_EN BIT(11)
#define APIC_BASE_ADDR 0x000ffffffffff000ull

struct lapic {
    struct lapic_bus *bus;
    struct lapic_config cfg;
    uint64_t apic_base;
    uint8_t tpr;
    uint32_t ldr, dfr, svr;
    uint32_t isr[8], irr[8], tmr[8];
    uint32_t esr, errors; // latched by a write; since then
    uint64_t icr;
    uint32_t lvt[LVT_COUNT];
    bool lint[2]; // pin levels
    int (*extint)(void *opaque);
    void *extint_opaque;
    uint8_t sipi_vector;
    struct region *moved; // the page away from its default address
    // timer
    struct loop_timer *timer;
    uint32_t initial_count, divide;
    uint64_t start;    // ns: when the count was initial_count
    uint64_t deadline; // IA32_TSC_DEADLINE
};

enum { LAPIC_BUS_MAX = LAPIC_MAX };
struct lapic_bus {
    struct address_space *mem;
    struct lapic *lapic[LAPIC_BUS_MAX];
    unsigned count, next_lowest;
    void (*eoi)(void *opaque, uint8_t vector);
    void *eoi_opaque;
    void (*taken)(void *opaque);
    void *taken_opaque;
};

static inline bool lapic_enabled(const struct lapic *l) { return l->apic_base & APIC_BASE_EN; }
static inline bool lapic_x2apic(const struct lapic *l) { return l->apic_base & APIC_BASE_EXTD; }

// lapic.c
void lapic_update(struct lapic *l); // asks for or takes back the CPU's attention
uint8_t lapic_ppr(const struct lapic *l);
void lapic_accept(struct lapic *l, uint8_t mode, uint8_t vector, bool level);
void lapic_lvt_fire(struct lapic *l, enum lapic_lvt n);
void lapic_lint_changed(struct lapic *l, unsigned n); // re-evaluates a level-triggered pin
void lapic_eoi(struct lapic *l);
void lapic_error(struct lapic *l, uint32_t esr_bit);

// lapic_regs.c
bool lapic_rdmsr(void *opaque, uint32_t msr, uint64_t *value);
bool lapic_wrmsr(void *opaque, uint32_t msr, uint64_t value);
extern const struct io_ops lapic_page_ops; // opaque: struct lapic_bus

// lapic_bus.c
void lapic_bus_send_ipi(struct lapic *from, uint64_t icr);
int lapic_bus_move_page(struct lapic *l); // follows apic_base; 0 or -errno

// lapic_timer.c
int lapic_timer_init(struct lapic *l); // 0 or -errno
void lapic_timer_reset(struct lapic *l);
void lapic_timer_set_initial(struct lapic *l, uint32_t count);
void lapic_timer_set_divide(struct lapic *l, uint32_t divide);
void lapic_timer_set_lvt(struct lapic *l, uint32_t old);
uint32_t lapic_timer_current(const struct lapic *l);
void lapic_timer_set_deadline(struct lapic *l, uint64_t tsc);
uint64_t lapic_timer_get_deadline(const struct lapic *l);
