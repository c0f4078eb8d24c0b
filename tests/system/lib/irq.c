// SPDX-License-Identifier: MIT
// Just enough of the local APIC, the 8259A pair and the 8254 to make interrupts arrive.
#include "test.h"

#define LAPIC ((volatile uint32_t *)0xfee00000)

uint32_t lapic_read(unsigned reg) { return LAPIC[reg / 4]; }

void lapic_write(unsigned reg, uint32_t v) { LAPIC[reg / 4] = v; }

void lapic_enable(void)
{
    lapic_write(0xf0, 0x1ff); // spurious vector FFh, software enable
    lapic_write(0x80, 0);     // TPR
    lapic_write(0x350, 0x10000);
}

void lapic_eoi(void) { lapic_write(0xb0, 0); }

void lapic_self_ipi(unsigned vector) { lapic_write(0x300, 0x40000 | vector); }

void lapic_timer_oneshot(unsigned vector, uint32_t count)
{
    lapic_write(0x3e0, 0x0b); // divide by 1
    lapic_write(0x320, vector);
    lapic_write(0x380, count);
}

void lapic_timer_stop(void)
{
    lapic_write(0x320, 0x10000);
    lapic_write(0x380, 0);
}

void pic_init(unsigned base, uint16_t mask)
{
    outb(0x20, 0x11);
    outb(0xa0, 0x11);
    outb(0x21, (uint8_t)base);
    outb(0xa1, (uint8_t)(base + 8));
    outb(0x21, 4);
    outb(0xa1, 2);
    outb(0x21, 1);
    outb(0xa1, 1);
    outb(0x21, (uint8_t)mask);
    outb(0xa1, (uint8_t)(mask >> 8));
}

void pic_eoi(void) { outb(0x20, 0x20); }

void pit_oneshot(uint16_t count)
{
    outb(0x43, 0x30); // counter 0, low then high byte, mode 0
    outb(0x40, (uint8_t)count);
    outb(0x40, (uint8_t)(count >> 8));
}
