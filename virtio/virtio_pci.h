// SPDX-License-Identifier: MIT
// Virtio over PCI: modern (4.1), and legacy or transitional (4.1.4.8 "Legacy Interfaces").
#pragma once

#include "hw/pci.h"
#include "virtio/virtio.h"

struct virtio_pci_config {
    int devfn;           // < 0: first free slot
    bool disable_legacy; // default off: transitional, device id 1000h + n
    bool disable_modern; // default off
    int vectors;         // MSI-X vectors; < 0: one a queue and one for configuration; 0: INTx only
};
struct virtio_pci;
// The device belongs to the transport from here on. 0 or -errno; on an error d is untouched.
int virtio_pci_add(struct pci_bus *bus, struct virtio_device *d, const struct virtio_pci_config *cfg);
// The PCI device of d (for `info pci`, boot order).
struct pci_device *virtio_pci_device(struct virtio_device *d);
