// SPDX-License-Identifier: MIT
// Builds the PC board from one table, and does what firmware does where there is none.
//
// Memory                                    Interrupts
//   00000000  RAM                             ISA n -> 8259 input n and I/O APIC pin n (0 -> pin 2)
//   000a0000  VGA hole                        PIRQA..D -> PIIX3 -> ISA 10, 10, 11, 11
//   000c0000  RAM by the 440FX's PAM          8259 INT -> LINT0 of the local APIC
//   00100000  RAM up to 3.5 GiB or 3 GiB      8254 and HPET -> ISA 0, RTC -> ISA 8, PM -> ISA 9
//   e0000000  PCI BARs
//   fec00000  I/O APIC
//   fed00000  HPET
//   fee00000  local APIC
//   1 00000000  the rest of RAM
#include "frontends/board_pc.h"

#include "cpu/cpuid.h"
#include "cpu/interrupt.h"
#include "frontends/acpi.h"
#include "frontends/smbios.h"
#include "hw/acpi_pm.h"
#include "hw/debugcon.h"
#include "hw/fw_cfg.h"
#include "hw/hpet.h"
#include "hw/i440fx.h"
#include "hw/i8042.h"
#include "hw/i8254.h"
#include "hw/i8259.h"
#include "hw/ioapic.h"
#include "hw/lapic.h"
#include "hw/mc146818.h"
#include "hw/piix3.h"
#include "hw/piix4_pm.h"
#include "hw/port_b.h"
#include "hw/reset_ports.h"
#include "hw/uart_16550.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PM_BASE = 0x600, GPE_BASE = 0xafe0, SCI_IRQ = 9, PCI_IO_BASE = 0xc000, PCI_IO_END = 0xffff };
static const uint8_t pirq_routes[4] = { 10, 10, 11, 11 };

struct board {
    struct board_config cfg;
    struct i8259 *pic;
    struct ioapic *ioapic;
    struct lapic_bus *lapic_bus;
    struct lapic *lapic;
    struct i8254 *pit;
    struct port_b *port_b;
    struct mc146818 *rtc;
    struct hpet *hpet;
    struct i8042 *kbd;
    struct reset_ports *reset_ports;
    struct pci_bus *pci;
    struct i440fx *i440fx;
    struct piix3 *piix3;
    struct piix4_pm *piix4_pm;
    struct acpi_pm *pm;
    struct fw_cfg *fw_cfg;
    struct uart_16550 *uart[BOARD_UARTS];
    struct debugcon *debugcon;
    uint8_t *acpi; // ACPI and SMBIOS tables, ACPI_AREA_SIZE bytes
};

// --- wires

static void isa_set_irq(void *opaque, unsigned n, bool level)
{
    struct board *b = opaque;

    i8259_set_irq(b->pic, n, level);
    ioapic_set_irq(b->ioapic, n ? n : 2, level);
}

static struct irq_line isa_irq(struct board *b, unsigned n) { return (struct irq_line){ isa_set_irq, b, n }; }

// The HPET names I/O APIC pins; what reaches the 8259 is its legacy replacement.
static void hpet_set_irq(void *opaque, unsigned pin, bool level)
{
    struct board *b = opaque;

    ioapic_set_irq(b->ioapic, pin, level);
    if (pin == 2 || pin == 8)
        i8259_set_irq(b->pic, pin == 2 ? 0 : pin, level);
}

static void hpet_legacy(void *opaque, bool on)
{
    struct board *b = opaque;

    i8254_disconnect_irq(b->pit, on);
    mc146818_disconnect_irq(b->rtc, on);
}

static void set_pirq(void *opaque, unsigned pirq, bool level)
{
    piix3_set_pirq(((struct board *)opaque)->piix3, pirq, level);
}

static void send_msi(void *opaque, uint64_t addr, uint32_t data)
{
    lapic_bus_send_msi(((struct board *)opaque)->lapic_bus, addr, data);
}

static void request_reset(void *opaque)
{
    ((struct board *)opaque)->cfg.reset(((struct board *)opaque)->cfg.opaque);
}
static void request_hard_reset(void *opaque, bool hard) { request_reset(opaque); }
static void request_power_off(void *opaque)
{
    ((struct board *)opaque)->cfg.power_off(((struct board *)opaque)->cfg.opaque);
}

static void kbd_set_a20(void *opaque, bool enabled)
{
    reset_ports_a20_changed(((struct board *)opaque)->reset_ports, enabled);
}
static void port_92_set_a20(void *opaque, bool enabled)
{
    i8042_a20_changed(((struct board *)opaque)->kbd, enabled);
}

static void pm_base_changed(void *opaque, uint16_t base, bool enabled)
{
    acpi_pm_set_base(((struct board *)opaque)->pm, base, enabled);
}

// --- creation, one function per row of the table: false if it failed

static bool create_memory(struct board *b, uint32_t base, unsigned irq)
{
    struct address_space *mem = b->cfg.mem;
    uint64_t size = b->cfg.ram->size, low = board_low_ram(size);

    if (!as_map_ram(mem, "ram-640k", 0, 0xa0000, b->cfg.ram, 0, false, 0) ||
        !as_map_ram(mem, "ram-low", 0x100000, low - 0x100000, b->cfg.ram, 0x100000, false, 0))
        return false;
    return size == low || as_map_ram(mem, "ram-high", 1ull << 32, size - low, b->cfg.ram, low, false, 0);
}

static bool create_lapic(struct board *b, uint32_t base, unsigned irq)
{
    struct lapic_config lc = { .cpu = b->cfg.cpu, .bsp = true, .has_x2apic = b->cfg.model->has_x2apic };

    b->lapic_bus = lapic_bus_create(b->cfg.mem);
    return b->lapic_bus && (b->lapic = lapic_create(b->lapic_bus, &lc));
}

static bool create_pic(struct board *b, uint32_t base, unsigned irq)
{
    b->pic = i8259_create(b->cfg.ports, (struct irq_line){ lapic_set_lint, b->lapic, 0 });
    if (b->pic)
        lapic_set_extint(b->lapic, i8259_acknowledge, b->pic);
    return b->pic;
}

static bool create_ioapic(struct board *b, uint32_t base, unsigned irq)
{
    struct ioapic_config ic = {
        .mem = b->cfg.mem, .base = base, .deliver = lapic_bus_deliver, .opaque = b->lapic_bus
    };

    b->ioapic = ioapic_create(&ic);
    if (b->ioapic)
        lapic_bus_set_eoi(b->lapic_bus, ioapic_eoi, b->ioapic);
    return b->ioapic;
}

static bool create_pit(struct board *b, uint32_t base, unsigned irq)
{
    return (b->pit = i8254_create(b->cfg.ports, (uint16_t)base, isa_irq(b, irq)));
}

static bool create_port_b(struct board *b, uint32_t base, unsigned irq)
{
    return (b->port_b = port_b_create(b->cfg.ports, b->pit));
}

static bool create_rtc(struct board *b, uint32_t base, unsigned irq)
{
    struct mc146818_config rc = { .ports = b->cfg.ports, .base = (uint16_t)base, .irq = isa_irq(b, irq),
                                  .time_base = (enum rtc_base)b->cfg.rtc_base, .date = b->cfg.rtc_date,
                                  .vm_clock = b->cfg.rtc_vm_clock };

    return (b->rtc = mc146818_create(&rc));
}

static bool create_hpet(struct board *b, uint32_t base, unsigned irq)
{
    struct hpet_config hc = { .mem = b->cfg.mem, .base = base, .set_irq = hpet_set_irq, .irq_opaque = b,
                              .legacy = hpet_legacy, .send_msi = send_msi, .opaque = b };

    return b->cfg.no_hpet || (b->hpet = hpet_create(&hc));
}

static bool create_kbd(struct board *b, uint32_t base, unsigned irq)
{
    struct i8042_config kc = { .ports = b->cfg.ports, .irq_kbd = isa_irq(b, irq), .irq_aux = isa_irq(b, 12),
                               .reset = request_reset, .set_a20 = kbd_set_a20, .opaque = b };

    return (b->kbd = i8042_create(&kc));
}

static bool create_pci(struct board *b, uint32_t base, unsigned irq)
{
    struct pci_bus_config pc = { .mem = b->cfg.mem, .ports = b->cfg.ports, .set_pirq = set_pirq,
                                 .send_msi = send_msi, .opaque = b };

    return (b->pci = pci_bus_create(&pc));
}

static bool create_i440fx(struct board *b, uint32_t base, unsigned irq)
{
    struct i440fx_config ic = { .bus = b->pci, .mem = b->cfg.mem, .ram = b->cfg.ram };

    return (b->i440fx = i440fx_create(&ic));
}

static bool create_piix3(struct board *b, uint32_t base, unsigned irq)
{
    struct piix3_config pc = { .bus = b->pci, .set_isa_irq = isa_set_irq, .opaque = b };

    return (b->piix3 = piix3_create(&pc));
}

static bool create_pm(struct board *b, uint32_t base, unsigned irq)
{
    struct acpi_pm_config ac = { .ports = b->cfg.ports, .base = (uint16_t)base, .gpe_base = GPE_BASE,
                                 .sci = isa_irq(b, irq), .timer_32bit = false, .power_off = request_power_off,
                                 .opaque = b };
    struct piix4_pm_config pc = {
        .bus = b->pci, .ports = b->cfg.ports, .base_changed = pm_base_changed, .opaque = b
    };

    return (b->pm = acpi_pm_create(&ac)) && (b->piix4_pm = piix4_pm_create(&pc));
}

static bool create_reset_ports(struct board *b, uint32_t base, unsigned irq)
{
    struct reset_ports_config rc = {
        .ports = b->cfg.ports, .reset = request_hard_reset, .set_a20 = port_92_set_a20, .opaque = b
    };

    return (b->reset_ports = reset_ports_create(&rc));
}

static bool create_fw_cfg(struct board *b, uint32_t base, unsigned irq)
{
    struct e820_entry map[LINUX_MAX_E820];
    uint8_t table[LINUX_MAX_E820][20];
    unsigned n = board_e820(b->cfg.ram->size, map);

    b->fw_cfg = fw_cfg_create(b->cfg.ports, b->cfg.mem);
    if (!b->fw_cfg)
        return false;
    for (unsigned i = 0; i < n; i++) {
        memcpy(table[i], &map[i].addr, 8);
        memcpy(table[i] + 8, &map[i].size, 8);
        memcpy(table[i] + 16, &map[i].type, 4);
    }
    return !fw_cfg_add_u64(b->fw_cfg, FW_CFG_RAM_SIZE, b->cfg.ram->size) &&
           !fw_cfg_add_u16(b->fw_cfg, FW_CFG_NB_CPUS, 1) && !fw_cfg_add_u16(b->fw_cfg, FW_CFG_MAX_CPUS, 1) &&
           !fw_cfg_add_file(b->fw_cfg, "etc/e820", table, n * 20);
}

static bool create_uart(struct board *b, uint32_t base, unsigned irq)
{
    static const uint16_t bases[BOARD_UARTS] = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 };
    struct uart_16550_config uc = { .as = b->cfg.ports, .base = base, .irq = isa_irq(b, irq) };
    unsigned n = 0;

    while (bases[n] != base)
        n++;
    uc.chr = b->cfg.serial[n];
    return !b->cfg.has_uart[n] || (b->uart[n] = uart_16550_create(&uc));
}

static bool create_debugcon(struct board *b, uint32_t base, unsigned irq)
{
    return !b->cfg.debugcon ||
           (b->debugcon = debugcon_create(b->cfg.ports, (uint16_t)base, 0xe9, b->cfg.debugcon));
}

static const struct board_row {
    const char *name;
    uint32_t base; // address or port; 0 where the device decides
    unsigned irq;  // ISA IRQ
    bool (*create)(struct board *b, uint32_t base, unsigned irq);
} board_table[] = { // in the order of creation
    { "memory", 0, 0, create_memory },
    { "local APIC", LAPIC_DEFAULT_BASE, 0, create_lapic },
    { "8259 interrupt controllers", 0x20, 0, create_pic },
    { "82093AA I/O APIC", IOAPIC_DEFAULT_BASE, 0, create_ioapic },
    { "8254 timer", 0x40, 0, create_pit },
    { "port 61h", 0x61, 0, create_port_b },
    { "MC146818 clock", 0x70, 8, create_rtc },
    { "HPET", HPET_DEFAULT_BASE, 0, create_hpet },
    { "8042 keyboard controller", 0x60, 1, create_kbd },
    { "PCI bus", 0xcf8, 0, create_pci },
    { "440FX host bridge", 0, 0, create_i440fx },
    { "PIIX3 ISA bridge", 0, 0, create_piix3 },
    { "PIIX4 power management", PM_BASE, SCI_IRQ, create_pm },
    { "reset ports", 0x92, 0, create_reset_ports },
    { "fw_cfg", 0x510, 0, create_fw_cfg },
    { "COM1", 0x3f8, 4, create_uart },
    { "COM2", 0x2f8, 3, create_uart },
    { "COM3", 0x3e8, 4, create_uart },
    { "COM4", 0x2e8, 3, create_uart },
    { "debug console", 0xe9, 0, create_debugcon },
};

static int create_tables(struct board *b)
{
    struct acpi_config ac = {
        .cpus = 1, .lapic_base = LAPIC_DEFAULT_BASE, .ioapic_base = IOAPIC_DEFAULT_BASE,
        .hpet_base = b->cfg.no_hpet ? 0 : HPET_DEFAULT_BASE, .pm_base = PM_BASE, .gpe_base = GPE_BASE,
        .smi_cmd = ACPI_SMI_CMD, .enable_cmd = 0xf1, .disable_cmd = 0xf0, .sci_irq = SCI_IRQ,
    };

    for (unsigned i = 0; i < BOARD_UARTS; i++)
        ac.com_ports |= (uint8_t)(b->cfg.has_uart[i] << i);
    b->acpi = malloc(ACPI_AREA_SIZE);
    struct smbios_config sc = { .product = "Standard PC (i440FX + PIIX, 1996)", .version = "0.1.0" };

    memcpy(sc.uuid, b->cfg.uuid, sizeof(sc.uuid));
    if (!b->acpi || acpi_build(&ac, b->acpi))
        return -ENOMEM;
    return smbios_build(&sc, b->acpi + (SMBIOS_ADDR - ACPI_AREA_BASE));
}

int board_create(const struct board_config *cfg, struct board **out, struct err *e)
{
    struct board *b = calloc(1, sizeof(*b));

    if (!b)
        return err_set(e, "out of memory");
    b->cfg = *cfg;
    for (unsigned i = 0; i < ARRAY_SIZE(board_table); i++)
        if (!board_table[i].create(b, board_table[i].base, board_table[i].irq))
            return err_set(e, "cannot create the board's %s: out of memory", board_table[i].name);
    if (create_tables(b))
        return err_set(e, "cannot build the ACPI and SMBIOS tables");
    *out = b;
    return 0;
}

struct pci_bus *board_pci_bus(struct board *b) { return b->pci; }

// --- memory map

uint64_t board_low_ram(uint64_t ram_bytes)
{
    return ram_bytes < BOARD_RAM_HOLE_MAX ? ram_bytes : BOARD_RAM_SPLIT;
}

unsigned board_e820(uint64_t ram_bytes, struct e820_entry *map)
{
    uint64_t low = board_low_ram(ram_bytes);
    unsigned n = 0;

    map[n++] = (struct e820_entry){ 0, 0x9fc00, 1 };
    map[n++] = (struct e820_entry){ 0x9fc00, 0x400, 2 };
    map[n++] = (struct e820_entry){ ACPI_AREA_BASE, ACPI_AREA_SIZE, 2 };
    map[n++] = (struct e820_entry){ 0x100000, low - 0x100000, 1 };
    map[n++] = (struct e820_entry){ 0xfeffc000, 0x4000, 2 };
    if (ram_bytes > low)
        map[n++] = (struct e820_entry){ 1ull << 32, ram_bytes - low, 1 };
    return n;
}

// --- reset, and the firmware's part

static void reset_cmos(struct board *b)
{
    uint64_t low = board_low_ram(b->cfg.ram->size), high = b->cfg.ram->size - low;
    uint64_t ext_k = low / 1024 - 1024 < 0xffff ? low / 1024 - 1024 : 0xffff;
    uint64_t above_16m = low > 16 << 20 ? (low - (16 << 20)) >> 16 : 0;
    const struct {
        uint8_t index, value;
    } bytes[] = {
        { 0x14, 0x06 }, // equipment: mouse, FPU
        { 0x15, 640 & 0xff },
        { 0x16, 640 >> 8 }, // base memory, KiB
        { 0x17, (uint8_t)ext_k },
        { 0x18, (uint8_t)(ext_k >> 8) },
        { 0x30, (uint8_t)ext_k },
        { 0x31, (uint8_t)(ext_k >> 8) },
        { 0x34, (uint8_t)above_16m },
        { 0x35, (uint8_t)(above_16m >> 8) },
        { 0x5b, (uint8_t)(high >> 16) },
        { 0x5c, (uint8_t)(high >> 24) },
        { 0x5d, (uint8_t)(high >> 32) },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(bytes); i++)
        mc146818_set_cmos(b->rtc, bytes[i].index, bytes[i].value);
}

// "Virtual wire": LINT0 takes the 8259's interrupts, LINT1 is NMI. MP Specification 1.4, section 3.6.2.2.
static void setup_virtual_wire(struct board *b)
{
    static const struct {
        uint32_t offset, value;
    } regs[] = { { 0xf0, 0x1ff }, { 0x350, 0x700 }, { 0x360, 0x400 } };

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
    cpu->mtrr_base[0] =
        (board_low_ram(b->cfg.ram->size) > BOARD_RAM_SPLIT ? BOARD_PCI_BASE : BOARD_RAM_SPLIT) | UC;
    cpu->mtrr_mask[0] = (phys & ~((1ull << 32) - cpu->mtrr_base[0] - 1)) | MASK_VALID;
    cpu->mtrr_def_type = DEF_ENABLE | WB;
}

// The command byte as every BIOS leaves it: both interrupts on, system flag, translation to scan code set 1.
static void setup_keyboard(struct board *b)
{
    as_store(b->cfg.ports, 0x64, 0x60, 1);
    as_store(b->cfg.ports, 0x60, 0x47, 1);
}

static void reset_devices(struct board *b)
{
    i8259_reset(b->pic);
    ioapic_reset(b->ioapic);
    lapic_reset(b->lapic);
    i8254_reset(b->pit);
    port_b_reset(b->port_b);
    mc146818_reset(b->rtc);
    if (b->hpet)
        hpet_reset(b->hpet);
    i8042_reset(b->kbd);
    acpi_pm_reset(b->pm);
    pci_bus_reset(b->pci);
    reset_ports_reset(b->reset_ports);
    fw_cfg_reset(b->fw_cfg);
    for (unsigned i = 0; i < BOARD_UARTS; i++)
        if (b->uart[i])
            uart_16550_reset(b->uart[i]);
}

void board_reset(struct board *b)
{
    reset_devices(b);
    piix3_set_routes(b->piix3, pirq_routes);
    piix4_pm_set_base(b->piix4_pm, PM_BASE);
    as_store(b->cfg.ports, 0x4d0, 0x00, 1); // ELCR: 10 and 11 are level
    as_store(b->cfg.ports, 0x4d1, 0x0c, 1);
    pci_assign_resources(b->pci, PCI_IO_BASE, PCI_IO_END, BOARD_PCI_BASE, BOARD_PCI_END, pirq_routes);
    i440fx_open_pam(b->i440fx);
    setup_virtual_wire(b);
    setup_mtrr(b);
    setup_keyboard(b);
    reset_cmos(b);
    as_write(b->cfg.mem, ACPI_AREA_BASE, b->acpi, ACPI_AREA_SIZE);
}

bool board_power_button(struct board *b) { return acpi_pm_power_button(b->pm); }
void board_send_nmi(struct board *b) { lapic_send_nmi(b->lapic); }

void board_flush(struct board *b)
{
    for (unsigned i = 0; i < BOARD_UARTS; i++)
        if (b->uart[i])
            uart_16550_flush(b->uart[i]);
}

void board_info_irq(struct board *b, void (*print)(void *opaque, const char *line), void *opaque)
{
    i8259_info(b->pic, print, opaque);
    ioapic_info(b->ioapic, print, opaque);
    lapic_info(b->lapic, print, opaque);
}
