// SPDX-License-Identifier: MIT
// A board without firmware: PCI addresses, interrupt routes, memory types and ACPI tables, as firmware would have
// left them for a kernel that is entered directly.
#include "frontends/board_internal.h"

#include "cpu/cpu.h"
#include "cpu/cpuid.h"
#include "frontends/acpi.h"
#include "frontends/smbios.h"
#include "hw/acpi_pm.h"
#include "hw/hpet.h"
#include "hw/i440fx.h"
#include "hw/i8237.h"
#include "hw/ioapic.h"
#include "hw/lapic.h"
#include "hw/pci.h"
#include "hw/piix3.h"
#include "hw/piix3_ide.h"
#include "hw/piix4_pm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PCI_IO_BASE = 0xc000, PCI_IO_END = 0xffff };
static const uint8_t pirq_routes[4] = {10, 10, 11, 11};

// --- memory map

unsigned board_e820(uint64_t ram_bytes, struct e820_entry *map)
{
    uint64_t low = board_low_ram(ram_bytes);
    unsigned n = 0;

    map[n++] = (struct e820_entry){0, 0x9fc00, 1};
    map[n++] = (struct e820_entry){0x9fc00, 0x400, 2};
    map[n++] = (struct e820_entry){ACPI_AREA_BASE, ACPI_AREA_SIZE, 2};
    map[n++] = (struct e820_entry){0x100000, low - 0x100000, 1};
    map[n++] = (struct e820_entry){0xfeffc000, 0x4000, 2};
    if (ram_bytes > low)
        map[n++] = (struct e820_entry){1ull << 32, ram_bytes - low, 1};
    return n;
}

// --- tables

int board_direct_create(struct board *b, const struct acpi_tables *tables, struct err *e)
{
    struct smbios_config sc = board_smbios(b);

    b->acpi = malloc(ACPI_AREA_SIZE);
    if (!b->acpi)
        return err_set(e, "out of memory");
    acpi_place(tables, b->acpi);
    return smbios_build(&sc, SMBIOS_ADDR, b->acpi + (SMBIOS_ADDR - ACPI_AREA_BASE), NULL)
               ? err_set(e, "cannot build the SMBIOS tables")
               : 0;
}

// --- registers

// "Virtual wire": LINT0 takes the 8259's interrupts, LINT1 is NMI. MP Specification 1.4, section 3.6.2.2.
static void setup_virtual_wire(struct board *b)
{
    static const struct {
        uint32_t offset, value;
    } regs[] = {{0xf0, 0x1ff}, {0x350, 0x700}, {0x360, 0x400}};

    for (unsigned i = 0; i < ARRAY_SIZE(regs); i++)
        as_store(b->cfg.mem, LAPIC_DEFAULT_BASE + regs[i].offset, regs[i].value, 4);
}

// Everything is write-back but the VGA and PCI holes. SDM vol. 3A, section 11.11 "Memory Type Range
// Registers".
static void setup_mtrr(struct board *b)
{
    enum { UC = 0, WP = 5, WB = 6, DEF_ENABLE = 0xc00, MASK_VALID = 0x800 };
    const uint64_t every_byte = 0x0101010101010101, phys = (1ull << b->cfg.model->maxphyaddr) - 1;
    struct cpu *cpu = b->cfg.cpu;

    cpu->mtrr_fixed[0] = cpu->mtrr_fixed[1] = WB * every_byte; // up to A0000h
    cpu->mtrr_fixed[2] = UC * every_byte;                      // A0000h..BFFFFh
    for (unsigned i = 3; i < 11; i++)
        cpu->mtrr_fixed[i] = WP * every_byte;
    cpu->mtrr_base[0] = (board_low_ram(b->cfg.ram->size) > BOARD_RAM_SPLIT ? BOARD_PCI_BASE : BOARD_RAM_SPLIT) | UC;
    cpu->mtrr_mask[0] = (phys & ~((1ull << 32) - cpu->mtrr_base[0] - 1)) | MASK_VALID;
    cpu->mtrr_def_type = DEF_ENABLE | WB;
}

// The command byte as every BIOS leaves it: both interrupts on, system flag, translation to scan code set 1.
static void setup_keyboard(struct board *b)
{
    as_store(b->cfg.ports, 0x64, 0x60, 1);
    as_store(b->cfg.ports, 0x60, 0x47, 1);
}

void board_direct_reset(struct board *b)
{
    piix3_set_routes(b->piix3, pirq_routes);
    piix4_pm_set_base(b->piix4_pm, BOARD_PM_BASE);
    as_store(b->cfg.ports, 0x4d0, 0x00, 1); // ELCR: 10 and 11 are level
    as_store(b->cfg.ports, 0x4d1, 0x0c, 1);
    pci_assign_resources(b->pci, PCI_IO_BASE, PCI_IO_END, BOARD_PCI_BASE, BOARD_PCI_END, pirq_routes);
    i440fx_open_pam(b->i440fx);
    piix3_ide_enable(b->ide);
    i8237_open_cascade(b->dma);
    setup_virtual_wire(b);
    setup_mtrr(b);
    setup_keyboard(b);
    as_write(b->cfg.mem, ACPI_AREA_BASE, b->acpi, ACPI_AREA_SIZE);
}
