// SPDX-License-Identifier: MIT
// PIIX4 power management function (82371AB function 3, at 01.3): where the ACPI PM block and the SMBus
// host controller sit in I/O space. The PM registers themselves are in hw/acpi_pm.h.
#pragma once

#include "hw/pci.h"

struct piix4_pm;
struct piix4_pm_config {
    struct pci_bus *bus;
    struct address_space *ports;
    // PMBA (40h) or PMIOSE (80h bit 0) was written, or reset: the board calls acpi_pm_set_base.
    void (*base_changed)(void *opaque, uint16_t base, bool enabled);
    void *opaque;
    bool smm; // false: tell firmware that SMM is set up already (it then leaves SMM alone)
};
struct piix4_pm *piix4_pm_create(const struct piix4_pm_config *cfg);
// A board without firmware: PMBA = base, decoding on.
void piix4_pm_set_base(struct piix4_pm *p, uint16_t base);
// APMC (port B2h) raises an SMI: DEVACTB.APMC_EN.
bool piix4_pm_apmc_enabled(const struct piix4_pm *p);
