// SPDX-License-Identifier: MIT
// Builds the PC board from one table.
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
#include "frontends/board_internal.h"

#include "cpu/cpuid.h"
#include "cpu/interrupt.h"
#include "cpu/state.h"
#include "frontends/boot_order.h"
#include "frontends/firmware.h"
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
#include "hw/piix3_ide.h"
#include "hw/piix4_pm.h"
#include "hw/port_b.h"
#include "hw/reset_ports.h"
#include "hw/tick.h"
#include "hw/uart_16550.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// --- wires

static void isa_set_irq(void *opaque, unsigned n, bool level)
{
    struct board *b = opaque;

    i8259_set_irq(b->pic, n, level);
    ioapic_set_irq(b->ioapic, n ? n : 2, level);
}

static struct irq_line isa_irq(struct board *b, unsigned n) { return (struct irq_line){isa_set_irq, b, n}; }

static bool tick_periodic(void *opaque)
{
    struct board *b = opaque;

    return i8254_ticks(b->pit) || (b->hpet && hpet_ticks(b->hpet, 2));
}

// The HPET names I/O APIC pins; what reaches the 8259 is its legacy replacement.
static void hpet_set_irq(void *opaque, unsigned pin, bool level)
{
    struct board *b = opaque;

    if (pin == 2) {
        tick_set_irq(b->tick, 0, level);
        return;
    }
    ioapic_set_irq(b->ioapic, pin, level);
    if (pin == 8)
        i8259_set_irq(b->pic, pin, level);
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

static void request_reset(void *opaque) { ((struct board *)opaque)->cfg.reset(((struct board *)opaque)->cfg.opaque); }
static void request_hard_reset(void *opaque, bool hard) { request_reset(opaque); }
// Port B2h raises an SMI if the PIIX4's APMC_EN says so: 82371AB data sheet, section 7.1.18 "DEVACTB".
static void raise_smi(void *opaque)
{
    struct board *b = opaque;

    if (b->cfg.smm && piix4_pm_apmc_enabled(b->piix4_pm))
        cpu_request(b->cfg.cpu, CPU_REQ_SMI);
}
static void smm_changed(void *opaque, bool in_smm) { i440fx_set_smm(((struct board *)opaque)->i440fx, in_smm); }
static void request_power_off(void *opaque)
{
    ((struct board *)opaque)->cfg.power_off(((struct board *)opaque)->cfg.opaque);
}

// Both gates show what either was last told; the line is the CPU's own business. A debugger that writes the port while
// the CPU runs changes what the gates show and no more.
static void set_a20_line(struct board *b, bool enabled)
{
    if (b->cfg.cpu == &vcpu_self)
        mmu_set_a20(&b->cfg.cpu->mmu, enabled);
}

static void kbd_set_a20(void *opaque, bool enabled)
{
    struct board *b = opaque;

    reset_ports_a20_changed(b->reset_ports, enabled);
    set_a20_line(b, enabled);
}
static void port_92_set_a20(void *opaque, bool enabled)
{
    struct board *b = opaque;

    i8042_a20_changed(b->kbd, enabled);
    set_a20_line(b, enabled);
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
    if (b->cfg.firmware && firmware_map(b->cfg.firmware, mem))
        return false;
    return size == low || as_map_ram(mem, "ram-high", 1ull << 32, size - low, b->cfg.ram, low, false, 0);
}

static bool create_lapic(struct board *b, uint32_t base, unsigned irq)
{
    struct lapic_config lc = {.cpu = b->cfg.cpu, .bsp = true, .has_x2apic = b->cfg.model->has_x2apic};

    b->lapic_bus = lapic_bus_create(b->cfg.mem);
    return b->lapic_bus && (b->lapic = lapic_create(b->lapic_bus, &lc));
}

static bool create_pic(struct board *b, uint32_t base, unsigned irq)
{
    b->pic = i8259_create(b->cfg.ports, (struct irq_line){lapic_set_lint, b->lapic, 0});
    if (b->pic)
        lapic_set_extint(b->lapic, i8259_acknowledge, b->pic);
    return b->pic;
}

static bool create_ioapic(struct board *b, uint32_t base, unsigned irq)
{
    struct ioapic_config ic = {.mem = b->cfg.mem, .base = base, .deliver = lapic_bus_deliver, .opaque = b->lapic_bus};

    b->ioapic = ioapic_create(&ic);
    if (b->ioapic)
        lapic_bus_set_eoi(b->lapic_bus, ioapic_eoi, b->ioapic);
    return b->ioapic;
}

static bool create_pit(struct board *b, uint32_t base, unsigned irq)
{
    const struct tick_config tc = {.line = isa_irq(b, irq),
                                   .pic = b->pic,
                                   .ioapic = b->ioapic,
                                   .lapic = b->lapic,
                                   .periodic = tick_periodic,
                                   .opaque = b};

    if (!(b->tick = tick_create(&tc)))
        return false;
    lapic_bus_set_taken(b->lapic_bus, tick_taken, b->tick);
    return (b->pit = i8254_create(b->cfg.ports, (uint16_t)base, (struct irq_line){tick_set_irq, b->tick, 0}));
}

static bool create_port_b(struct board *b, uint32_t base, unsigned irq)
{
    return (b->port_b = port_b_create(b->cfg.ports, b->pit)) && board_create_speaker(b);
}

static bool create_dma(struct board *b, uint32_t base, unsigned irq) { return board_create_dma(b); }

static bool create_fdc(struct board *b, uint32_t base, unsigned irq)
{
    return board_create_fdc(b, (uint16_t)base, isa_irq(b, irq));
}

static bool create_vmport(struct board *b, uint32_t base, unsigned irq) { return board_create_vmport(b); }

static bool create_rtc(struct board *b, uint32_t base, unsigned irq)
{
    const struct config *o = b->cfg.options;
    struct mc146818_config rc = {.ports = b->cfg.ports,
                                 .base = (uint16_t)base,
                                 .irq = isa_irq(b, irq),
                                 .time_base = (enum rtc_base)o->rtc_base,
                                 .date = o->rtc_date,
                                 .vm_clock = o->rtc_vm_clock};

    return (b->rtc = mc146818_create(&rc));
}

static bool create_hpet(struct board *b, uint32_t base, unsigned irq)
{
    struct hpet_config hc = {.mem = b->cfg.mem,
                             .base = base,
                             .set_irq = hpet_set_irq,
                             .irq_opaque = b,
                             .legacy = hpet_legacy,
                             .send_msi = send_msi,
                             .opaque = b};

    return b->cfg.options->no_hpet || (b->hpet = hpet_create(&hc));
}

static bool create_kbd(struct board *b, uint32_t base, unsigned irq)
{
    struct i8042_config kc = {.ports = b->cfg.ports,
                              .irq_kbd = isa_irq(b, irq),
                              .irq_aux = isa_irq(b, 12),
                              .reset = request_reset,
                              .set_a20 = kbd_set_a20,
                              .opaque = b,
                              .input = b->cfg.input};

    return (b->kbd = i8042_create(&kc));
}

static bool create_pci(struct board *b, uint32_t base, unsigned irq)
{
    struct pci_bus_config pc = {
        .mem = b->cfg.mem, .ports = b->cfg.ports, .set_pirq = set_pirq, .send_msi = send_msi, .opaque = b};

    return (b->pci = pci_bus_create(&pc));
}

static bool create_i440fx(struct board *b, uint32_t base, unsigned irq)
{
    struct i440fx_config ic = {.bus = b->pci, .mem = b->cfg.mem, .ram = b->cfg.ram};

    if (b->cfg.firmware)
        ic.rom = &b->cfg.firmware->rom;

    return (b->i440fx = i440fx_create(&ic));
}

static bool create_piix3(struct board *b, uint32_t base, unsigned irq)
{
    struct piix3_config pc = {.bus = b->pci, .set_isa_irq = isa_set_irq, .opaque = b};

    return (b->piix3 = piix3_create(&pc));
}

static bool create_ide(struct board *b, uint32_t base, unsigned irq)
{
    struct piix3_ide_config ic = {.bus = b->pci, .ports = b->cfg.ports, .irq = {isa_irq(b, irq), isa_irq(b, irq + 1)}};

    return (b->ide = piix3_ide_create(&ic));
}

static bool create_pm(struct board *b, uint32_t base, unsigned irq)
{
    struct acpi_pm_config ac = {.ports = b->cfg.ports,
                                .base = (uint16_t)base,
                                .gpe_base = BOARD_GPE_BASE,
                                .sci = isa_irq(b, irq),
                                .timer_32bit = false,
                                .smi = raise_smi,
                                .power_off = request_power_off,
                                .opaque = b};
    struct piix4_pm_config pc = {
        .bus = b->pci, .ports = b->cfg.ports, .base_changed = pm_base_changed, .opaque = b, .smm = b->cfg.smm};

    return (b->pm = acpi_pm_create(&ac)) && (b->piix4_pm = piix4_pm_create(&pc));
}

static bool create_reset_ports(struct board *b, uint32_t base, unsigned irq)
{
    struct reset_ports_config rc = {
        .ports = b->cfg.ports, .reset = request_hard_reset, .set_a20 = port_92_set_a20, .opaque = b};

    return (b->reset_ports = reset_ports_create(&rc));
}

static bool create_fw_cfg(struct board *b, uint32_t base, unsigned irq)
{
    return (b->fw_cfg = fw_cfg_create(b->cfg.ports, b->cfg.mem));
}

static bool create_uart(struct board *b, uint32_t base, unsigned irq)
{
    static const uint16_t bases[BOARD_UARTS] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
    struct uart_16550_config uc = {.as = b->cfg.ports, .base = base, .irq = isa_irq(b, irq)};
    unsigned n = 0;

    while (bases[n] != base)
        n++;
    uc.chr = b->cfg.serial[n];
    return !b->cfg.has_uart[n] || (b->uart[n] = uart_16550_create(&uc));
}

static bool create_debugcon(struct board *b, uint32_t base, unsigned irq)
{
    return !b->cfg.debugcon || (b->debugcon = debugcon_create(b->cfg.ports, (uint16_t)base, 0xe9, b->cfg.debugcon));
}

static const struct board_row {
    const char *name;
    uint32_t base; // address or port; 0 where the device decides
    unsigned irq;  // ISA IRQ
    bool (*create)(struct board *b, uint32_t base, unsigned irq);
} board_table[] = {
    // in the order of creation
    {"memory", 0, 0, create_memory},
    {"local APIC", LAPIC_DEFAULT_BASE, 0, create_lapic},
    {"8259 interrupt controllers", 0x20, 0, create_pic},
    {"82093AA I/O APIC", IOAPIC_DEFAULT_BASE, 0, create_ioapic},
    {"8254 timer", 0x40, 0, create_pit},
    {"port 61h", 0x61, 0, create_port_b},
    {"8237A DMA controllers", 0x00, 0, create_dma},
    {"82077AA floppy controller", 0x3f0, 6, create_fdc},
    {"MC146818 clock", 0x70, 8, create_rtc},
    {"HPET", HPET_DEFAULT_BASE, 0, create_hpet},
    {"8042 keyboard controller", 0x60, 1, create_kbd},
    {"VMware port", 0x5658, 0, create_vmport},
    {"PCI bus", 0xcf8, 0, create_pci},
    {"440FX host bridge", 0, 0, create_i440fx},
    {"PIIX3 ISA bridge", 0, 0, create_piix3},
    {"PIIX3 IDE controller", 0, 14, create_ide},
    {"PIIX4 power management", BOARD_PM_BASE, BOARD_SCI_IRQ, create_pm},
    {"reset ports", 0x92, 0, create_reset_ports},
    {"fw_cfg", 0x510, 0, create_fw_cfg},
    {"COM1", 0x3f8, 4, create_uart},
    {"COM2", 0x2f8, 3, create_uart},
    {"COM3", 0x3e8, 4, create_uart},
    {"COM4", 0x2e8, 3, create_uart},
    {"debug console", 0xe9, 0, create_debugcon},
};

int board_create(const struct board_config *cfg, struct board **out, struct err *e)
{
    struct board *b = calloc(1, sizeof(*b));

    if (!b)
        return err_set(e, "out of memory");
    b->cfg = *cfg;
    cfg->cpu->smm_changed = smm_changed;
    cfg->cpu->smm_opaque = b;
    for (unsigned i = 0; i < ARRAY_SIZE(board_table); i++)
        if (!board_table[i].create(b, board_table[i].base, board_table[i].irq))
            return err_set(e, "cannot create the board's %s: out of memory", board_table[i].name);
    b->boot_order = boot_order_create();
    if (!b->boot_order)
        return err_set(e, "out of memory");
    *out = b;
    return 0;
}

struct pci_bus *board_pci_bus(struct board *b) { return b->pci; }
struct fdc *board_fdc(struct board *b) { return b->fdc; }
struct piix3_ide *board_ide(struct board *b) { return b->ide; }
struct boot_order *board_boot_order(struct board *b) { return b->boot_order; }

// --- reset

static void reset_devices(struct board *b)
{
    i8259_reset(b->pic);
    ioapic_reset(b->ioapic);
    lapic_reset(b->lapic);
    tick_reset(b->tick);
    i8254_reset(b->pit);
    port_b_reset(b->port_b);
    mc146818_reset(b->rtc);
    if (b->hpet)
        hpet_reset(b->hpet);
    board_reset_isa(b);
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
    set_a20_line(b, true);
    board_set_boot_drives(b);
    if (!b->cfg.firmware)
        board_direct_reset(b);
    b->was_reset = true;
}

bool board_hears_power_button(struct board *b) { return acpi_pm_hears_power_button(b->pm); }
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
