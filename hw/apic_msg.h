// SPDX-License-Identifier: MIT
// A message on the bus between I/O APICs, MSI writers and local APICs.
// SDM vol. 3A, section 10.11 "Message Signalled Interrupts" and 10.6 "Issuing Interprocessor Interrupts".
#pragma once

#include "base/types.h"

enum apic_delivery_mode {
    APIC_FIXED = 0,
    APIC_LOWEST = 1,
    APIC_SMI = 2,
    APIC_NMI = 4,
    APIC_INIT = 5,
    APIC_SIPI = 6,
    APIC_EXTINT = 7,
};

struct apic_msg {
    uint32_t dest; // 8-bit xAPIC destination, or 32-bit x2APIC one from an x2APIC ICR
    uint8_t vector;
    uint8_t mode; // enum apic_delivery_mode
    bool logical; // destination mode
    bool level;   // trigger mode
    bool x2apic;  // dest is 32 bits wide (FFFFFFFFh is the broadcast)
};
