// SPDX-License-Identifier: MIT
// What the board's files share: board_pc.c creates it, board_firmware.c tells the firmware about it,
// board_direct.c does the firmware's work where there is none.
#pragma once

#include "frontends/acpi.h"
#include "frontends/board_pc.h"
#include "frontends/options.h"
#include "frontends/smbios.h"
#include "hw/irq.h"

enum { BOARD_PM_BASE = 0x600, BOARD_GPE_BASE = 0xafe0, BOARD_SCI_IRQ = 9 };

struct board {
    struct board_config cfg;
    struct i8259 *pic;
    struct ioapic *ioapic;
    struct lapic_bus *lapic_bus;
    struct lapic *lapic;
    struct tick *tick;
    struct i8254 *pit;
    struct port_b *port_b;
    struct i8237 *dma;
    struct fdc *fdc;
    struct pcspk *speaker;
    struct vmport *vmport; // NULL: vmport=off
    struct mc146818 *rtc;
    struct hpet *hpet;
    struct i8042 *kbd;
    struct reset_ports *reset_ports;
    struct pci_bus *pci;
    struct i440fx *i440fx;
    struct piix3 *piix3;
    struct piix3_ide *ide;
    struct piix4_pm *piix4_pm;
    struct acpi_pm *pm;
    struct fw_cfg *fw_cfg;
    struct uart_16550 *uart[BOARD_UARTS];
    struct debugcon *debugcon;
    struct boot_order *boot_order;
    uint8_t *acpi;  // without firmware: ACPI and SMBIOS tables, ACPI_AREA_SIZE bytes
    bool was_reset; // since creation: the first reset is power-on
};

// --- board_firmware.c
void board_set_boot_drives(struct board *b); // at each reset: -boot once= holds for the first
struct smbios_config board_smbios(const struct board *b);

// --- board_isa.c
bool board_create_dma(struct board *b);
bool board_create_fdc(struct board *b, uint16_t base, struct irq_line irq);
bool board_create_speaker(struct board *b);
bool board_create_vmport(struct board *b);
void board_reset_isa(struct board *b);
void board_set_floppy_cmos(struct board *b); // after the rest of the equipment byte

// --- board_direct.c
int board_direct_create(struct board *b, const struct acpi_tables *tables, struct err *e);
void board_direct_reset(struct board *b); // after the devices' own reset
