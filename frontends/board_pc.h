// SPDX-License-Identifier: MIT
// The PC board: 440FX + PIIX3, and everything soldered to it.
#pragma once

#include "frontends/keyval.h"
#include "frontends/boot_image.h"
#include "hw/chardev.h"
#include "softmmu/address_space.h"

struct cpu;
struct cpu_model;
struct pci_bus;
struct piix3_ide;
struct fdc;
struct pcspk;
struct firmware;
struct config;
struct boot_order;
struct board;

enum { BOARD_UARTS = 4 };
// RAM ends here if there is more than BOARD_RAM_HOLE_MAX (as QEMU splits it); the rest is above 4 GiB.
#define BOARD_RAM_SPLIT 0xc0000000ull
#define BOARD_RAM_HOLE_MAX 0xe0000000ull
#define BOARD_PCI_BASE 0xe0000000ull
#define BOARD_PCI_END 0xfec00000ull

struct board_config {
    struct ram *ram;
    struct address_space *mem, *ports;
    struct cpu *cpu;
    const struct cpu_model *model;
    struct firmware *firmware;    // NULL: the kernel is entered directly
    const struct config *options; // clock, HPET, VMware port, UUID; what to tell the firmware
    struct input *input;          // where keys and movements come from
    struct chardev *serial[BOARD_UARTS];
    bool has_uart[BOARD_UARTS];
    struct chardev *debugcon; // NULL: none
    bool smm;                 // the firmware may use system management mode
    // Big lock held, on whatever thread the device runs.
    void (*reset)(void *opaque);
    void (*power_off)(void *opaque);
    void (*kernel_entered)(void *opaque); // the firmware boots -kernel; NULL: it boots something else
    void *opaque;
};

int board_create(const struct board_config *cfg, struct board **out, struct err *e);
// When every device is plugged in: tells the firmware about them, or writes the tables for a kernel.
int board_finish(struct board *b, struct err *e);
struct pci_bus *board_pci_bus(struct board *b);
struct fdc *board_fdc(struct board *b);
struct pcspk *board_speaker(struct board *b);
struct piix3_ide *board_ide(struct board *b);
struct boot_order *board_boot_order(struct board *b);
// Every device back to its power-on state; without firmware then what it would have done: BARs, PIRQ routes, ACPI
// tables. On the vCPU thread with the big lock held (its local APIC is among them).
void board_reset(struct board *b);
bool board_hears_power_button(struct board *b); // has the guest asked for its event?
bool board_power_button(struct board *b);       // false: the guest does not listen
void board_send_nmi(struct board *b);
// Sends serial output that waits to be sent in one piece: before the process ends.
void board_flush(struct board *b);
uint64_t board_low_ram(uint64_t ram_bytes);                      // bytes of RAM below 4 GiB
unsigned board_e820(uint64_t ram_bytes, struct e820_entry *map); // at most BOOT_MAX_E820 entries
void board_info_irq(struct board *b, void (*print)(void *opaque, const char *line), void *opaque);
