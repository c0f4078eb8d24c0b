// SPDX-License-Identifier: MIT
// Fuzzes what holds the PC together: hw/pci.c, i440fx.c, piix3.c, piix4_pm.c, reset_ports.c, port_b.c, pcspk.c,
// debugcon.c, isa_debug_exit.c.
#include <stdlib.h>

#include "hw/debugcon.h"
#include "hw/i440fx.h"
#include "hw/isa_debug_exit.h"
#include "hw/pcspk.h"
#include "hw/piix3.h"
#include "hw/piix4_pm.h"
#include "hw/reset_ports.h"
#include "tests/fuzz/fuzz.h"

static struct pci_bus *bus;
static struct i440fx *bridge;
static struct piix3 *isa;
static struct reset_ports *resets;
static struct port_b *port_b;
static struct pcspk *speaker;
static struct ram ram, rom;

static void set_pirq(void *opaque, unsigned pirq, bool level) { piix3_set_pirq(isa, pirq, level); }
static void send_msi(void *opaque, uint64_t addr, uint32_t data) {}
static void base_changed(void *opaque, uint16_t base, bool enabled) {}
static void on_reset(void *opaque, bool hard) {}
static void on_a20(void *opaque, bool on) {}
static void on_exit_status(void *opaque, int status) {}
static void set_isa_irq(void *opaque, unsigned irq, bool level)
{
    if (irq < 3 || irq == 8 || irq == 13 || irq > 15)
        abort();
    bench_set_line(NULL, irq, level);
}

static void create(void)
{
    if (ram_create(&ram, 1 << 20) || ram_create(&rom, 128 << 10))
        abort();
    const struct pci_bus_config pc = {.mem = mem, .ports = ports, .set_pirq = set_pirq, .send_msi = send_msi};
    bus = pci_bus_create(&pc);
    const struct i440fx_config ic = {.bus = bus, .mem = mem, .ram = &ram, .rom = &rom};
    const struct piix3_config p3 = {.bus = bus, .set_isa_irq = set_isa_irq};
    const struct piix4_pm_config p4 = {.bus = bus, .ports = ports, .base_changed = base_changed, .smm = true};
    const struct reset_ports_config rp = {.ports = ports, .reset = on_reset, .set_a20 = on_a20};
    struct i8254 *timer = i8254_create(ports, 0x40, (struct irq_line){0});
    bridge = i440fx_create(&ic);
    isa = piix3_create(&p3);
    resets = reset_ports_create(&rp);
    port_b = port_b_create(ports, timer);
    speaker = pcspk_create(timer, port_b);
    if (!bridge || !isa || !piix4_pm_create(&p4) || !resets || !speaker || !debugcon_create(ports, 0x402, 0xe9, NULL) ||
        !isa_debug_exit_create(ports, 0x501, 4, on_exit_status, NULL))
        abort();
}

static void reset(void)
{
    pci_bus_reset(bus);
    i440fx_set_smm(bridge, false);
    reset_ports_reset(resets);
    port_b_reset(port_b);
}

static void event(uint8_t a, uint8_t b)
{
    static int16_t samples[256];
    switch (a & 7) {
    case 0: i440fx_set_smm(bridge, b & 1); break;
    case 1: piix3_set_pirq(isa, b & 3, b & 4); break;
    case 2: pcspk_render(speaker, samples, b, 8000 + a * 100u); break;
    case 3: reset_ports_a20_changed(resets, b & 1); break;
    default: // a byte of the configuration of one of them, which random ports seldom make up
        outl(0xcf8, 0x80000000u | (a & 8 ? 0x800u | (a & 0x30u) << 4 : 0) | (a & 0x10 ? b | 0x40 : 0x58 + (b & 31)));
        outb((uint16_t)(0xcfc + (b & 3)), (uint8_t)(a ^ b << 4));
        break;
    }
}

static const struct fuzz_target target = {
    "chipset",
    {{false, 0xcf8, 8},
     {false, 0x40, 4},
     {false, 0x61, 1},
     {false, 0x92, 1},
     {false, 0xb2, 2},
     {false, 0x402, 1},
     {false, 0x501, 4},
     {true, 0xa0000, 0x60000}},
    create,
    reset,
    event,
    1,
};
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_run(&target, data, size); }
