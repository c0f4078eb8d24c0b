// SPDX-License-Identifier: MIT
// PCI: configuration space through CF8h/CFCh, BAR sizing and moves, INTx routing, MSI-X, PIIX3 and i440FX.
#include <stdlib.h>
#include <string.h>

#include "hw/i440fx.h"
#include "hw/piix3.h"
#include "hw/piix4_pm.h"
#include "tests/unit/check_main.h"

static struct address_space *mem, *ports;
static struct ram ram;
static struct pci_bus *bus;
static bool pirq[4];
static uint64_t msi_addr;
static uint32_t msi_data;
static unsigned msi_count;

static void set_pirq(void *opaque, unsigned n, bool level) { pirq[n] = level; }
static void send_msi(void *opaque, uint64_t addr, uint32_t data)
{
    msi_addr = addr;
    msi_data = data;
    msi_count++;
}

static uint64_t bar_read(void *opaque, uint64_t offset, unsigned size) { return 0xa0 + offset; }
static uint64_t last_write;
static void bar_write(void *opaque, uint64_t offset, uint64_t v, unsigned size) { last_write = v; }
static const struct io_ops bar_ops = {.read = bar_read, .write = bar_write, .min_size = 1, .max_size = 4};

static struct pci_device dev;

static void setup(void)
{
    ck_assert_int_eq(ram_create(&ram, 16 << 20), 0);
    mem = as_create("mem", 1ull << 52);
    ports = as_create("ports", 1 << 16);
    as_map_ram(mem, "low", 0, 0xa0000, &ram, 0, false, 0);
    as_map_ram(mem, "high", 0x100000, ram.size - 0x100000, &ram, 0x100000, false, 0);
    const struct pci_bus_config cfg = {mem, ports, set_pirq, send_msi, NULL};
    bus = pci_bus_create(&cfg);
    memset(&dev, 0, sizeof(dev));
    memset(pirq, 0, sizeof(pirq));
    msi_count = 0;
    dev.name = "test";
    const struct pci_ids ids = {0x1234, 0x5678, 0x1af4, 0x1100, 2, 0, 0, 3};
    ck_assert_int_eq(pci_add(bus, &dev, 3 << 3, &ids, 1), 0);
    pci_set_bar(&dev, 0, 0x100, true, false, false, &bar_ops, NULL);
    pci_set_bar(&dev, 2, 0x4000, false, true, true, &bar_ops, NULL);
}

static void teardown(void)
{
    as_destroy(mem);
    as_destroy(ports);
    ram_destroy(&ram);
}

static uint32_t select_reg(unsigned devfn, unsigned reg)
{
    as_store(ports, 0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc), 4);
    return 0xcfc + (reg & 3);
}
static uint32_t cfg_read(unsigned devfn, unsigned reg, unsigned size)
{
    return (uint32_t)as_load(ports, select_reg(devfn, reg), size);
}
static void cfg_write(unsigned devfn, unsigned reg, uint32_t v, unsigned size)
{
    as_store(ports, select_reg(devfn, reg), v, size);
}
enum { DEV = 3 << 3 };

START_TEST(config_space)
{
    ck_assert_uint_eq(cfg_read(DEV, 0, 4), 0x56781234);
    ck_assert_uint_eq(cfg_read(DEV, 2, 2), 0x5678);
    ck_assert_uint_eq(cfg_read(DEV, 3, 1), 0x56);
    ck_assert_uint_eq(cfg_read(DEV, 8, 4), 0x02000003);
    ck_assert_uint_eq(cfg_read(4 << 3, 0, 4), 0xffffffff);
    cfg_write(DEV, 0, 0, 4); // read-only
    ck_assert_uint_eq(cfg_read(DEV, 0, 4), 0x56781234);
    cfg_write(DEV, 0x3c, 11, 1);
    ck_assert_uint_eq(cfg_read(DEV, 0x3c, 2), 0x010b);
    // Only dwords reach CONFIG_ADDRESS, and with bit 31 clear nothing answers.
    as_store(ports, 0xcf8, 0, 2);
    ck_assert_uint_eq(as_load(ports, 0xcf8, 4), 0x80000000u | DEV << 8 | 0x3c);
    as_store(ports, 0xcf8, DEV << 8, 4);
    ck_assert_uint_eq(as_load(ports, 0xcfc, 4), 0xffffffff);
    // No other bus.
    as_store(ports, 0xcf8, 0x80010000u | DEV << 8, 4);
    ck_assert_uint_eq(as_load(ports, 0xcfc, 4), 0xffffffff);
}
END_TEST

START_TEST(bars)
{
    cfg_write(DEV, 0x10, 0xffffffff, 4);
    ck_assert_uint_eq(cfg_read(DEV, 0x10, 4), 0xffffff01); // SeaBIOS sizes all 32 bits
    cfg_write(DEV, 0x18, 0xffffffff, 4);
    cfg_write(DEV, 0x1c, 0xffffffff, 4);
    ck_assert_uint_eq(cfg_read(DEV, 0x18, 4), 0xffffc00c);
    ck_assert_uint_eq(cfg_read(DEV, 0x1c, 4), 0xffffffff);
    ck_assert_uint_eq(cfg_read(DEV, 0x14, 4), 0);

    cfg_write(DEV, 0x10, 0xc000, 4);
    ck_assert_uint_eq(as_load(ports, 0xc004, 1), 0xff); // decoding is off
    cfg_write(DEV, 4, 3, 2);
    ck_assert_uint_eq(as_load(ports, 0xc004, 1), 0xa4);
    cfg_write(DEV, 0x10, 0xd000, 4);
    ck_assert_uint_eq(as_load(ports, 0xc004, 1), 0xff);
    ck_assert_uint_eq(as_load(ports, 0xd004, 1), 0xa4);

    cfg_write(DEV, 0x18, 0xfe000000, 4);
    cfg_write(DEV, 0x1c, 0x10, 4);
    ck_assert_uint_eq(as_load(mem, 0x10fe000008, 1), 0xa8);
    as_store(mem, 0x10fe000008, 0x77, 4);
    ck_assert_uint_eq(last_write, 0x77);
    cfg_write(DEV, 0x1c, 0, 4);
    ck_assert_uint_eq(as_load(mem, 0x10fe000008, 1), 0xff);
    ck_assert_uint_eq(as_load(mem, 0xfe000008, 1), 0xa8);
    // Over RAM, RAM wins.
    cfg_write(DEV, 0x18, 0x200000, 4);
    as_store(mem, 0x200000, 0x5a, 1);
    ck_assert_uint_eq(as_load(mem, 0x200000, 1), 0x5a);
    cfg_write(DEV, 4, 0, 2);
    ck_assert_uint_eq(as_load(ports, 0xd004, 1), 0xff);
}
END_TEST

START_TEST(random_config_writes)
{
    srandom(1);
    pci_msix_init(&dev, 3, 1);
    for (unsigned i = 0; i < 200000; i++) {
        unsigned size = 1u << random() % 3, reg = (unsigned)random() % 256 & ~(size - 1);
        cfg_write(DEV, reg, (uint32_t)random() << 1, size);
        if (i % 1000 == 0)
            pci_bus_reset(bus);
    }
    ck_assert_uint_eq(cfg_read(DEV, 0, 4), 0x56781234);
}
END_TEST

START_TEST(rom_bar)
{
    uint8_t image[5000] = {0x55, 0xaa, 0x0a};
    ck_assert_int_eq(pci_set_rom(&dev, image, sizeof(image)), 0);
    cfg_write(DEV, 0x30, 0xfffff800, 4);
    ck_assert_uint_eq(cfg_read(DEV, 0x30, 4), 0xffffe000);
    cfg_write(DEV, 0x30, 0xfd000001, 4);
    cfg_write(DEV, 4, 2, 2);
    ck_assert_uint_eq(as_load(mem, 0xfd000000, 2), 0xaa55);
    as_store(mem, 0xfd000000, 0, 2);
    ck_assert_uint_eq(as_load(mem, 0xfd000000, 2), 0xaa55);
    cfg_write(DEV, 0x30, 0xfd000000, 4);
    ck_assert_uint_eq(as_load(mem, 0xfd000000, 2), 0xffff);
}
END_TEST

START_TEST(intx)
{
    pci_set_intx(&dev, true); // slot 3, INTA: PIRQ C
    ck_assert(pirq[2]);
    ck_assert_uint_eq(cfg_read(DEV, 6, 2) & 8, 8);
    cfg_write(DEV, 4, 0x400, 2); // Interrupt Disable
    ck_assert(!pirq[2]);
    ck_assert_uint_eq(cfg_read(DEV, 6, 2) & 8, 8);
    cfg_write(DEV, 4, 0, 2);
    ck_assert(pirq[2]);
    static struct pci_device other = {.name = "other"};
    const struct pci_ids ids = {1, 2, 3, 4, 0, 0, 0, 0};
    ck_assert_int_eq(pci_add(bus, &other, 7 << 3, &ids, 1), 0); // shares PIRQ C
    pci_set_intx(&other, true);
    pci_set_intx(&dev, false);
    ck_assert(pirq[2]);
    pci_set_intx(&other, false);
    ck_assert(!pirq[2]);
}
END_TEST

START_TEST(msix)
{
    ck_assert_int_eq(pci_msix_init(&dev, 3, 1), 0);
    unsigned cap = cfg_read(DEV, 0x34, 1);
    ck_assert_uint_eq(cfg_read(DEV, cap, 1), 0x11);
    ck_assert_uint_eq(cfg_read(DEV, cap + 2, 2), 2);
    cfg_write(DEV, 0x14, 0xfe001000, 4);
    cfg_write(DEV, 4, 6, 2);
    for (unsigned v = 0; v < 3; v++) {
        ck_assert_uint_eq(as_load(mem, 0xfe00100c + 16 * v, 4), 1); // masked out of reset
        as_store(mem, 0xfe001000 + 16 * v, 0xfee00000, 4);
        as_store(mem, 0xfe001008 + 16 * v, 0x40 + v, 4);
        as_store(mem, 0xfe00100c + 16 * v, 0, 4);
    }
    pci_msix_notify(&dev, 1);
    ck_assert_uint_eq(msi_count, 0); // not enabled
    cfg_write(DEV, cap + 2, 0x8000, 2);
    ck_assert(pci_msix_enabled(&dev));
    pci_msix_notify(&dev, 1);
    ck_assert_uint_eq(msi_count, 1);
    ck_assert_uint_eq(msi_data, 0x41);
    ck_assert_uint_eq(msi_addr, 0xfee00000);
    // A masked vector becomes pending and fires when it is unmasked.
    as_store(mem, 0xfe00100c + 16, 1, 4);
    pci_msix_notify(&dev, 1);
    ck_assert_uint_eq(msi_count, 1);
    ck_assert_uint_eq(as_load(mem, 0xfe001000 + 2048, 4), 2);
    as_store(mem, 0xfe00100c + 16, 0, 4);
    ck_assert_uint_eq(msi_count, 2);
    ck_assert_uint_eq(as_load(mem, 0xfe001000 + 2048, 4), 0);
    // So does the function mask.
    cfg_write(DEV, cap + 2, 0xc000, 2);
    pci_msix_notify(&dev, 0);
    pci_msix_notify(&dev, 2);
    ck_assert_uint_eq(msi_count, 2);
    cfg_write(DEV, cap + 2, 0x8000, 2);
    ck_assert_uint_eq(msi_count, 4);
    pci_msix_notify(&dev, 3); // no such vector
    ck_assert_uint_eq(msi_count, 4);
}
END_TEST

START_TEST(assign)
{
    const uint8_t irq[4] = {10, 10, 11, 11};
    pci_assign_resources(bus, 0xc000, 0xd000, 0xe0000000, 0xf0000000, irq);
    uint32_t io = cfg_read(DEV, 0x10, 4), m = cfg_read(DEV, 0x18, 4);
    ck_assert_uint_eq(io, 0xc001);
    ck_assert_uint_eq(m, 0xe000000c);
    ck_assert_uint_eq(cfg_read(DEV, 4, 2), 7);
    ck_assert_uint_eq(cfg_read(DEV, 0x3c, 1), 11);
    ck_assert_uint_eq(as_load(mem, 0xe0000001, 1), 0xa1);
}
END_TEST

static uint16_t isa;
static void set_isa(void *opaque, unsigned irq, bool level)
{
    isa = (uint16_t)(level ? isa | 1u << irq : isa & ~(1u << irq));
}

START_TEST(piix3_routes)
{
    isa = 0;
    const struct piix3_config cfg = {.bus = bus, .set_isa_irq = set_isa};
    struct piix3 *p = piix3_create(&cfg);
    ck_assert_ptr_nonnull(p);
    ck_assert_uint_eq(cfg_read(1 << 3, 0, 4), 0x70008086);
    ck_assert_uint_eq(cfg_read(1 << 3, 0x60, 4), 0x80808080);
    piix3_set_pirq(p, 2, true);
    ck_assert_uint_eq(isa, 0);
    cfg_write(1 << 3, 0x62, 11, 1);
    ck_assert_uint_eq(isa, 1 << 11);
    cfg_write(1 << 3, 0x63, 11, 1);
    piix3_set_pirq(p, 3, true);
    piix3_set_pirq(p, 2, false);
    ck_assert_uint_eq(isa, 1 << 11);
    cfg_write(1 << 3, 0x63, 8, 1); // IRQ 8 cannot be chosen
    ck_assert_uint_eq(isa, 0);
    pci_bus_reset(bus);
    ck_assert_uint_eq(cfg_read(1 << 3, 0x60, 4), 0x80808080);
}
END_TEST

START_TEST(pam)
{
    const struct i440fx_config cfg = {bus, mem, &ram, NULL};
    struct i440fx *b = i440fx_create(&cfg);
    ck_assert_ptr_nonnull(b);
    ck_assert_uint_eq(cfg_read(0, 0, 4), 0x12378086);
    as_store(mem, 0xf0000, 0x11, 1);
    ck_assert_uint_eq(as_load(mem, 0xf0000, 1), 0xff);
    cfg_write(0, 0x59, 0x30, 1);
    as_store(mem, 0xf0000, 0x22, 1);
    ck_assert_uint_eq(as_load(mem, 0xf0000, 1), 0x22);
    cfg_write(0, 0x59, 0x10, 1);
    as_store(mem, 0xf0000, 0x33, 1);
    ck_assert_uint_eq(as_load(mem, 0xf0000, 1), 0x22);
    cfg_write(0, 0x5a, 0x30, 1); // C4000h only
    as_store(mem, 0xc4000, 0x44, 1);
    as_store(mem, 0xc0000, 0x44, 1);
    ck_assert_uint_eq(as_load(mem, 0xc4000, 1), 0x44);
    ck_assert_uint_eq(as_load(mem, 0xc0000, 1), 0xff);
    // SMRAM opens A0000h until it is locked.
    cfg_write(0, 0x72, 0x4a, 1);
    as_store(mem, 0xa0000, 0x55, 1);
    ck_assert_uint_eq(as_load(mem, 0xa0000, 1), 0x55);
    cfg_write(0, 0x72, 0x5a, 1);
    ck_assert_uint_eq(as_load(mem, 0xa0000, 1), 0xff);
    cfg_write(0, 0x72, 0x4a, 1);
    ck_assert_uint_eq(cfg_read(0, 0x72, 1) & 0x50, 0x10);
}
END_TEST

static uint16_t pm_base;
static bool pm_on;
static void base_changed(void *opaque, uint16_t base, bool enabled)
{
    pm_base = base;
    pm_on = enabled;
}

START_TEST(pm)
{
    const struct piix4_pm_config cfg = {.bus = bus, .ports = ports, .base_changed = base_changed};
    struct piix4_pm *p = piix4_pm_create(&cfg);
    ck_assert_ptr_nonnull(p);
    ck_assert(piix4_pm_apmc_enabled(p));
    ck_assert(!pm_on);
    cfg_write(1 << 3 | 3, 0x40, 0x601, 4);
    ck_assert(!pm_on);
    cfg_write(1 << 3 | 3, 0x80, 1, 1);
    ck_assert(pm_on);
    ck_assert_uint_eq(pm_base, 0x600);
    cfg_write(1 << 3 | 3, 0x90, 0x701, 4);
    cfg_write(1 << 3 | 3, 0xd2, 1, 1);
    cfg_write(1 << 3 | 3, 4, 1, 2);
    as_store(ports, 0x702, 0x48, 1); // nobody on the bus
    ck_assert_uint_eq(as_load(ports, 0x700, 1), 4);
    as_store(ports, 0x700, 4, 1);
    ck_assert_uint_eq(as_load(ports, 0x700, 1), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pci");
    TCase *c = tcase_create("pci");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, config_space);
    tcase_add_test(c, bars);
    tcase_add_test(c, random_config_writes);
    tcase_add_test(c, rom_bar);
    tcase_add_test(c, intx);
    tcase_add_test(c, msix);
    tcase_add_test(c, assign);
    tcase_add_test(c, piix3_routes);
    tcase_add_test(c, pam);
    tcase_add_test(c, pm);
    suite_add_tcase(s, c);
    return check_main(s);
}
