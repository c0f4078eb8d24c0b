// SPDX-License-Identifier: MIT
// The board's ACPI tables: built once, then placed by ourselves for a kernel that is entered directly, or by the
// firmware through fw_cfg's table loader.
//
// Without firmware:
//     E0000h  FACS, DSDT, FADT, MADT, HPET, RSDT, XSDT     ACPI 2.0 and later
//     F0000h  RSDP (found through boot_params or by its signature on a 16-byte boundary)
#pragma once

#include "base/types.h"

struct fw_cfg;

enum {
    ACPI_AREA_BASE = 0xe0000,
    ACPI_AREA_SIZE = 0x20000,
    ACPI_RSDP_ADDR = 0xf0000,
    ACPI_RSDP_SIZE = 36,
    ACPI_TABLES_SIZE = ACPI_RSDP_ADDR - ACPI_AREA_BASE,
    ACPI_MAX_POINTERS = 32,
    ACPI_MAX_CHECKSUMS = 16
};

struct acpi_config {
    unsigned cpus;
    uint32_t lapic_base, ioapic_base, hpet_base; // hpet_base 0: none
    uint32_t pci_base;                           // PCI memory goes from here to FEBFFFFFh
    uint16_t pm_base, gpe_base, smi_cmd;
    uint8_t enable_cmd, disable_cmd;
    uint8_t sci_irq;
    uint8_t com_ports; // bit n: COM(n+1) is there
    bool fdc;          // the floppy controller is there
};

// Tables with addresses from the start of data; whoever places them adds where that is.
struct acpi_tables {
    uint8_t data[ACPI_TABLES_SIZE], rsdp[ACPI_RSDP_SIZE];
    uint32_t size;
    struct acpi_pointer { // a little-endian field that holds an address in data
        uint32_t at;
        uint8_t size;
        bool in_rsdp;
    } pointer[ACPI_MAX_POINTERS];
    struct acpi_checksum { // the byte at `at` makes [start, start + len) add up to 0
        uint32_t at, start, len;
        bool in_rsdp;
    } checksum[ACPI_MAX_CHECKSUMS]; // in the order of computation
    unsigned pointers, checksums;
};

int acpi_build(const struct acpi_config *cfg, struct acpi_tables *t); // 0, or -ENOSPC
// Fills area (ACPI_AREA_SIZE bytes, what the guest sees at ACPI_AREA_BASE), tables and RSDP.
void acpi_place(const struct acpi_tables *t, uint8_t *area);
// "etc/acpi/tables", "etc/acpi/rsdp" and "etc/table-loader". 0 or -errno.
int acpi_add_to_fw_cfg(const struct acpi_tables *t, struct fw_cfg *f);
