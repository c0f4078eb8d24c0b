// SPDX-License-Identifier: MIT
// PCI: one bus behind the i440FX host bridge (CF8/CFC), configuration space, BARs, INTx routing, MSI-X.
#pragma once

#include "hw/irq.h"
#include "softmmu/address_space.h"

enum { PCI_BARS = 6, PCI_CONFIG_SIZE = 256 };

struct pci_device;
struct pci_bus;

struct pci_bar {
    uint64_t size; // 0: absent
    bool io, is64, prefetch;
    const struct io_ops *ops;
    void *opaque;
    struct ram *ram; // memory behind the BAR instead of ops
    uint64_t ram_offset;
    bool readonly;
    struct region *region; // owned by pci.c
    uint64_t addr;
};

struct pci_device {
    const char *name;
    struct pci_bus *bus;
    uint8_t devfn;
    uint8_t config[PCI_CONFIG_SIZE];
    uint8_t wmask[PCI_CONFIG_SIZE];   // bits the guest may write
    uint8_t w1cmask[PCI_CONFIG_SIZE]; // bits a written 1 clears
    struct pci_bar bar[PCI_BARS];
    bool intx_level;       // the device asks for INTx
    bool intx_driven;      // and the line is driven (Interrupt Disable is off)
    uint8_t cap_last_size; // bytes of the last capability added
    struct msix *msix;     // NULL without
    struct pci_bar rom;    // expansion ROM, at 30h
    struct ram rom_mem;
    // Optional: called after the generic write took effect.
    void (*config_written)(struct pci_device *d, unsigned offset, unsigned size);
    // Optional: called before config is read, to refresh it.
    void (*config_reading)(struct pci_device *d, unsigned offset, unsigned size);
    void (*reset)(struct pci_device *d);
    void *opaque;
};

struct pci_bus_config {
    struct address_space *mem, *ports;
    // INTA..D (pin 0..3) of slot s drives PIRQ (s - 1 + pin) & 3, as SeaBIOS and QEMU's tables have it.
    void (*set_pirq)(void *opaque, unsigned pirq, bool level);
    // MSI: a write of data to addr (the board sends it to the local APICs)
    void (*send_msi)(void *opaque, uint64_t addr, uint32_t data);
    void *opaque;
};
struct pci_bus *pci_bus_create(const struct pci_bus_config *cfg); // maps CF8h..CFFh
void pci_bus_reset(struct pci_bus *b);
struct address_space *pci_bus_memory(struct pci_bus *b);
struct pci_device *pci_find(struct pci_bus *b, uint8_t devfn); // NULL: no device there
unsigned pci_pirq_of(uint8_t devfn, unsigned pin);             // pin 0..3 is INTA..D

// devfn < 0: the first free slot. Fills vendor..class; INTA if pin is 1. 0 or -errno (no slot left, slot taken).
struct pci_ids {
    uint16_t vendor, device, subvendor, subdevice;
    uint8_t class, subclass, progif, revision;
};
int pci_add(struct pci_bus *b, struct pci_device *d, int devfn, const struct pci_ids *ids, unsigned pin);
void pci_set_bar(struct pci_device *d, unsigned n, uint64_t size, bool io, bool is64, bool prefetch,
                 const struct io_ops *ops, void *opaque);
// A BAR that is memory (a frame buffer): [ram_offset, ram_offset + size) of ram.
void pci_set_bar_ram(struct pci_device *d, unsigned n, uint64_t size, bool is64, bool prefetch, struct ram *ram,
                     uint64_t ram_offset, bool readonly);
// The expansion ROM BAR with these bytes (copied, padded to a power of two). 0 or -errno.
int pci_set_rom(struct pci_device *d, const void *image, size_t len);
unsigned pci_add_capability(struct pci_device *d, uint8_t id, unsigned size); // returns its offset
void pci_set_intx(struct pci_device *d, bool level);
// MSI-X table and PBA in BAR bar_n (a BAR of its own). 0 or -errno.
int pci_msix_init(struct pci_device *d, unsigned vectors, unsigned bar_n);
bool pci_msix_enabled(const struct pci_device *d);
void pci_msix_notify(struct pci_device *d, unsigned vector);
// DMA: honours bus mastering; false if it is off or an address is no memory.
bool pci_dma_read(struct pci_device *d, gpa a, void *buf, size_t len);
bool pci_dma_write(struct pci_device *d, gpa a, const void *buf, size_t len);
// A board without firmware gives every BAR an address, enables decoding, and sets interrupt lines
// (irq_of_pirq[4]). Windows are [io_base, io_end) and [mem_base, mem_end).
void pci_assign_resources(struct pci_bus *b, uint16_t io_base, uint16_t io_end, uint64_t mem_base, uint64_t mem_end,
                          const uint8_t irq_of_pirq[4]);
void pci_for_each(struct pci_bus *b, void (*fn)(void *opaque, struct pci_device *d), void *opaque);
