// SPDX-License-Identifier: MIT
// The ACPI tables of the board, for a machine that boots without firmware.
//
//     E0000h  FACS, FADT, MADT, HPET, DSDT, RSDT, XSDT       ACPI 2.0 and later
//     F0000h  RSDP (found through boot_params or by its signature on a 16-byte boundary)
#pragma once

#include "base/types.h"

enum { ACPI_AREA_BASE = 0xe0000, ACPI_AREA_SIZE = 0x20000, ACPI_RSDP_ADDR = 0xf0000,
       ACPI_BOARD_FLAGS_ADDR = 0xeff00 }; // a byte that dsdt.asl reads: bit n: COM(n+1) is there

struct acpi_config {
    unsigned cpus;
    uint32_t lapic_base, ioapic_base, hpet_base; // hpet_base 0: none
    uint16_t pm_base, gpe_base, smi_cmd;
    uint8_t enable_cmd, disable_cmd;
    uint8_t sci_irq;
    uint8_t com_ports; // the flags byte
};
// Fills area (ACPI_AREA_SIZE bytes, what the guest sees at ACPI_AREA_BASE). 0, or -ENOSPC.
int acpi_build(const struct acpi_config *cfg, uint8_t *area);
