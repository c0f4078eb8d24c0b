// SPDX-License-Identifier: MIT
// ACPI fixed hardware as the PIIX4 has it: PM1a events and control, PM timer, GPE0, SMI_CMD.
// ACPI 1.0b, section 4.7 "ACPI Register Model"; Intel 82371AB (290562-001), chapter 11.
//
//     base + 0  PM1_STS  16   base + 4  PM1_CNT  16      base + 8  PM_TMR  32
//     base + 2  PM1_EN   16                              gpe_base: GPE0_STS 2 bytes, GPE0_EN 2 bytes
#pragma once

#include "hw/irq.h"
#include "softmmu/address_space.h"

enum { ACPI_PM_TIMER_HZ = 3579545, ACPI_PM_SIZE = 64, ACPI_SMI_CMD = 0xb2 };

struct acpi_pm_config {
    struct address_space *ports;
    uint16_t base;                   // of the PM block; 0: unmapped until acpi_pm_set_base()
    uint16_t gpe_base;               // 0: no GPE block
    uint8_t enable_cmd, disable_cmd; // values for SMI_CMD; 0 and 0: PIIX4's usual F1h and F0h
    uint8_t slp_typ_s5;              // SLP_TYP that means soft off (QEMU's PIIX4 tables use 0)
    struct irq_line sci;             // IRQ 9
    bool timer_32bit;                // TMR_VAL_EXT
    void (*power_off)(void *opaque);
    void (*smi)(void *opaque); // SMI_CMD was written, whatever the value; may be NULL
    void *opaque;
};

struct acpi_pm;

struct acpi_pm *acpi_pm_create(const struct acpi_pm_config *cfg); // NULL if out of memory
void acpi_pm_reset(struct acpi_pm *p);
// PMBASE of the PCI function was written (PIIX4 configuration 40h, enabled by 80h bit 0).
void acpi_pm_set_base(struct acpi_pm *p, uint16_t base, bool enabled);
// `system_powerdown`: sets PWRBTN_STS. Returns false if the guest has not enabled the button's event.
bool acpi_pm_power_button(struct acpi_pm *p);
bool acpi_pm_hears_power_button(const struct acpi_pm *p); // has the guest enabled its event?
// Sets a GPE0 status bit, 0 to 15 (hot-plug).
void acpi_pm_set_gpe(struct acpi_pm *p, unsigned bit);
// A board that boots without firmware hands the machine over in ACPI mode.
void acpi_pm_set_sci_enabled(struct acpi_pm *p, bool enabled);
