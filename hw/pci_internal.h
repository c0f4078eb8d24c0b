// SPDX-License-Identifier: MIT
// What pci.c, pci_bar.c and msix.c share; nobody else includes it.
#pragma once

#include "hw/pci.h"

// clang-format off
enum { // PCI Local Bus Specification 3.0, section 6.1 "Configuration Space Organization"
    PCI_VENDOR_ID = 0x00, PCI_DEVICE_ID = 0x02, PCI_COMMAND = 0x04, PCI_STATUS = 0x06, PCI_REVISION_ID = 0x08,
    PCI_CLASS_PROG = 0x09, PCI_CACHE_LINE = 0x0c, PCI_LATENCY = 0x0d, PCI_HEADER_TYPE = 0x0e, PCI_BAR0 = 0x10,
    PCI_SUBVENDOR = 0x2c, PCI_SUBDEVICE = 0x2e, PCI_ROM_ADDRESS = 0x30, PCI_CAP_PTR = 0x34,
    PCI_INT_LINE = 0x3c, PCI_INT_PIN = 0x3d,
};
// clang-format on
// clang-format off
enum { // Command and Status bits, section 6.2.2 and 6.2.3
    PCI_CMD_IO = 1, PCI_CMD_MEM = 2, PCI_CMD_MASTER = 4, PCI_CMD_PARITY = 0x40, PCI_CMD_SERR = 0x100,
    PCI_CMD_INTX_OFF = 0x400,
    PCI_ST_INTX = 8, PCI_ST_CAPS = 0x10,
};
// clang-format on
enum { PCI_CAP_MSIX = 0x11 };

struct pci_bus {
    struct pci_bus_config cfg;
    struct pci_device *dev[256]; // by devfn
    uint32_t address;            // CONFIG_ADDRESS
    unsigned pirq_count[4];      // devices that drive each
};

static inline uint16_t pci_get16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static inline uint32_t pci_get32(const uint8_t *p) { return pci_get16(p) | (uint32_t)pci_get16(p + 2) << 16; }
static inline void pci_set16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}
static inline void pci_set32(uint8_t *p, uint32_t v)
{
    pci_set16(p, v & 0xffff);
    pci_set16(p + 2, v >> 16);
}

void pci_update_bars(struct pci_device *d); // Command or a BAR changed: move the regions
void pci_reset_bars(struct pci_device *d);
void msix_control_written(struct pci_device *d);
void msix_reset(struct pci_device *d);
