// SPDX-License-Identifier: MIT
// The local APICs and the bus that joins them: xAPIC at FEE00000h, x2APIC MSRs, timer, IPIs, MSI.
// SDM vol. 3A, chapter 10 "Advanced Programmable Interrupt Controller (APIC)".
//
// Wiring, as the board does it:
//     bus = lapic_bus_create(mem);
//     lapic = lapic_create(bus, &cfg);                 // one per vCPU; sets cpu->intc and cpu->intc_opaque
//     pic = i8259_create(ports, (struct irq_line){ lapic_set_lint, bsp, 0 });
//     lapic_set_extint(bsp, i8259_acknowledge, pic);   // and on every LAPIC whose LINT0 the PIC drives
//     ioapic cfg: .deliver = lapic_bus_deliver, .opaque = bus
//     lapic_bus_set_eoi(bus, ioapic_eoi, ioapic);
// The xAPIC page answers for the vCPU whose thread makes the access (vcpu_self); a write from any other
// thread is a bus master's and thus an MSI.
#pragma once

#include "hw/apic_msg.h"
#include "hw/irq.h"
#include "softmmu/address_space.h"

struct cpu;
struct cpu_intc_ops;
struct lapic;
struct lapic_bus;

enum { LAPIC_DEFAULT_BASE = 0xfee00000, LAPIC_MAX = 255, LAPIC_TIMER_HZ = 1000000000 };

struct lapic_bus *lapic_bus_create(struct address_space *mem); // NULL if out of memory
void lapic_bus_set_eoi(struct lapic_bus *bus, void (*eoi)(void *opaque, uint8_t vector), void *opaque);
void lapic_bus_deliver(void *bus, const struct apic_msg *msg);
// fn(opaque) on the vCPU's thread whenever it has taken an interrupt, an 8259's too. Vector state is live (base/vectors.h).
void lapic_bus_set_taken(struct lapic_bus *bus, void (*fn)(void *opaque), void *opaque);
// An MSI: a write of data to addr, SDM vol. 3A, section 10.11.
void lapic_bus_send_msi(void *bus, uint64_t addr, uint32_t data);

struct lapic_config {
    struct cpu *cpu;
    uint32_t id; // APIC id: below 255
    bool bsp;
    bool has_x2apic;                     // the CPU model's
    uint64_t tsc_hz;                     // of the guest's TSC; 0: the host's
    uint64_t (*guest_tsc)(void *opaque); // NULL: host TSC + cpu->tsc_offset
    void *opaque;
};
// NULL: no memory or id taken
struct lapic *lapic_create(struct lapic_bus *bus, const struct lapic_config *cfg);
void lapic_reset(struct lapic *l);      // power-on: also IA32_APIC_BASE
void lapic_init_reset(struct lapic *l); // INIT: keeps the id and IA32_APIC_BASE (delivery does this itself)
// Who answers the CPU's INTA cycles when LINT0 is ExtINT (or the APIC is off).
void lapic_set_extint(struct lapic *l, int (*acknowledge)(void *opaque), void *opaque);
// The 8259's INTR reaches the CPU: through LINT0 in "virtual wire mode", or past an APIC that is off.
bool lapic_extint_open(const struct lapic *l);
bool lapic_requested(const struct lapic *l, uint8_t vector); // in the IRR: accepted, and not yet taken by the CPU
// An irq_line set function: n is 0 (LINT0) or 1 (LINT1).
void lapic_set_lint(void *opaque, unsigned n, bool level);
void lapic_send_nmi(struct lapic *l); // the monitor's `nmi`
// Vector of the last start-up IPI, to be read when CPU_REQ_SIPI is taken.
uint8_t lapic_sipi_vector(const struct lapic *l);
extern const struct cpu_intc_ops lapic_intc_ops; // opaque is the struct lapic
void lapic_info(struct lapic *l, void (*print)(void *opaque, const char *line), void *opaque); // `info lapic`
