// SPDX-License-Identifier: MIT
// The MC146818 real-time clock with 128 bytes of CMOS RAM.
// Motorola MC146818A data sheet; the century is kept in byte 32h as PCs do.
#pragma once

#include "hw/irq.h"
#include "softmmu/address_space.h"

enum rtc_base { RTC_BASE_UTC, RTC_BASE_LOCALTIME, RTC_BASE_DATE };

struct mc146818_config {
    struct address_space *ports;
    uint16_t base;           // 70h; also answers at base + 2 for the upper 128 of larger parts: not mapped here
    struct irq_line irq;     // IRQ 8
    enum rtc_base time_base; // -rtc base=
    int64_t date;            // for RTC_BASE_DATE: seconds since 1970 of the calendar date to start at
    bool vm_clock;           // -rtc clock=vm: count guest time only; else follow the host's wall clock
};

struct mc146818;

struct mc146818 *mc146818_create(const struct mc146818_config *cfg); // NULL if out of memory
void mc146818_reset(struct mc146818 *r);                             // the RAM and the time survive, as with a battery
// CMOS RAM, for the board (memory size, boot order, ...) and for `info`. index 0 to 127.
void mc146818_set_cmos(struct mc146818 *r, unsigned index, uint8_t value);
uint8_t mc146818_get_cmos(struct mc146818 *r, unsigned index);
// HPET legacy replacement takes IRQ 8 away (the flags in register C go on).
void mc146818_disconnect_irq(struct mc146818 *r, bool disconnected);
// Seconds since 1970 of the calendar time that the guest would read now.
int64_t mc146818_get_time(const struct mc146818 *r);
