// SPDX-License-Identifier: MIT
// PIIX4 power management function (82371AB function 3, at 01.3): where the ACPI PM block and the SMBus
// host controller sit in I/O space. The PM registers themselves belong to the ACPI device of the board.
#pragma once

#include "hw/pci.h"

struct piix4_pm;
struct piix4_pm_config {
    struct pci_bus *bus;
    struct address_space *ports;
    const struct io_ops *pm_ops; // 64 ports: PM1a_EVT at 0, PM1a_CNT at 4, PM_TMR at 8
    void *pm_opaque;
    bool smm; // false: tell firmware that SMM is set up already (it then leaves SMM alone)
};
struct piix4_pm *piix4_pm_create(const struct piix4_pm_config *cfg);
// A board without firmware: PMBA = base, decoding on.
void piix4_pm_set_base(struct piix4_pm *p, uint16_t base);
// APMC (port B2h) raises an SMI: DEVACTB.APMC_EN.
bool piix4_pm_apmc_enabled(const struct piix4_pm *p);
