// SPDX-License-Identifier: MIT
// What the board tells the firmware: CMOS bytes and fw_cfg items, as SeaBIOS looks for them under QEMU.
// QEMU's docs/specs/fw_cfg.rst; SeaBIOS's docs/Runtime_config.md.
#include "frontends/board_internal.h"

#include "frontends/boot_order.h"
#include "frontends/firmware.h"
#include "frontends/kernel_rom.h"
#include "frontends/version.h"
#include "hw/acpi_pm.h"
#include "hw/fw_cfg.h"
#include "hw/hpet.h"
#include "hw/ioapic.h"
#include "hw/lapic.h"
#include "hw/mc146818.h"
#include "hw/piix3_ide.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t board_low_ram(uint64_t ram_bytes) { return ram_bytes < BOARD_RAM_HOLE_MAX ? ram_bytes : BOARD_RAM_SPLIT; }

// --- CMOS

static void set_cmos_byte(void *opaque, uint8_t index, uint8_t value) { mc146818_set_cmos(opaque, index, value); }

static void set_cmos(struct board *b)
{
    uint64_t low = board_low_ram(b->cfg.ram->size), high = b->cfg.ram->size - low;
    uint64_t ext_k = low / 1024 - 1024 < 0xffff ? low / 1024 - 1024 : 0xffff;
    uint64_t above_16m = low > 16 << 20 ? (low - (16 << 20)) >> 16 : 0;
    const struct {
        uint8_t index, value;
    } bytes[] = {
        {0x14, 0x06}, // equipment: mouse, FPU
        {0x15, 640 & 0xff},
        {0x16, 640 >> 8}, // base memory, KiB
        {0x17, (uint8_t)ext_k},
        {0x18, (uint8_t)(ext_k >> 8)},
        {0x30, (uint8_t)ext_k},
        {0x31, (uint8_t)(ext_k >> 8)},
        {0x34, (uint8_t)above_16m},
        {0x35, (uint8_t)(above_16m >> 8)},
        {0x5b, (uint8_t)(high >> 16)},
        {0x5c, (uint8_t)(high >> 24)},
        {0x5d, (uint8_t)(high >> 32)},
        {0x5f, 0}, // CPUs beyond the first
    };

    for (unsigned i = 0; i < ARRAY_SIZE(bytes); i++)
        mc146818_set_cmos(b->rtc, bytes[i].index, bytes[i].value);
    piix3_ide_cmos(b->ide, set_cmos_byte, b->rtc);
    board_set_floppy_cmos(b);
}

// The nibbles that SeaBIOS reads for a drive letter; 0: none.
static uint8_t boot_nibble(char drive)
{
    static const struct {
        char letter;
        uint8_t nibble;
    } rows[] = {{'a', 1}, {'b', 1}, {'c', 2}, {'d', 3}, {'n', 4}};

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].letter == drive)
            return rows[i].nibble;
    return 0;
}

void board_set_boot_drives(struct board *b)
{
    const struct boot_options *o = &b->cfg.options->boot;
    const char *order = !b->was_reset && o->once ? o->once : o->order ? o->order : "cad";
    uint8_t n[3] = {0};

    for (unsigned i = 0; i < 3 && order[i]; i++)
        n[i] = boot_nibble(order[i]);
    mc146818_set_cmos(b->rtc, 0x3d, (uint8_t)(n[1] << 4 | n[0]));
    mc146818_set_cmos(b->rtc, 0x38, (uint8_t)(n[2] << 4)); // bit 0 clear: floppies need a boot signature
}

// --- fw_cfg

static int add_e820(struct board *b)
{
    uint64_t size = b->cfg.ram->size, low = board_low_ram(size);
    const struct e820_entry map[] = {
        {0xfeffc000, 0x4000, 2},
        {0, low, 1},
        {1ull << 32, size - low, 1},
    };
    uint8_t table[ARRAY_SIZE(map)][20];
    unsigned n = size > low ? 3 : 2;

    for (unsigned i = 0; i < n; i++) {
        memcpy(table[i], &map[i].addr, 8);
        memcpy(table[i] + 8, &map[i].size, 8);
        memcpy(table[i] + 16, &map[i].type, 4);
    }
    return fw_cfg_add_file(b->fw_cfg, "etc/e820", table, n * 20);
}

static int add_boot_options(struct board *b)
{
    const struct boot_options *o = &b->cfg.options->boot;
    uint16_t wait = htole16(o->splash_time);
    uint32_t timeout = htole32((uint32_t)o->reboot_timeout);
    int ret = fw_cfg_add_u16(b->fw_cfg, FW_CFG_BOOT_MENU, o->menu);

    if (!ret && o->has_splash_time)
        ret = fw_cfg_add_file(b->fw_cfg, "etc/boot-menu-wait", &wait, sizeof(wait));
    if (!ret) // without it SeaBIOS would try again after a minute; QEMU's default is never
        ret = fw_cfg_add_file(b->fw_cfg, "etc/boot-fail-wait", &timeout, sizeof(timeout));
    return ret;
}

static int add_numbers(struct board *b)
{
    return fw_cfg_add_u64(b->fw_cfg, FW_CFG_RAM_SIZE, b->cfg.ram->size) ||
           fw_cfg_add_bytes(b->fw_cfg, FW_CFG_UUID, b->cfg.options->uuid, 16) ||
           fw_cfg_add_u16(b->fw_cfg, FW_CFG_NB_CPUS, 1) || fw_cfg_add_u16(b->fw_cfg, FW_CFG_MAX_CPUS, 1) ||
           fw_cfg_add_u16(b->fw_cfg, FW_CFG_NOGRAPHIC, b->cfg.options->nographic) ||
           fw_cfg_add_u32(b->fw_cfg, FW_CFG_IRQ0_OVERRIDE, 1);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static int add_option_rom(struct board *b, const struct keyval *kv, struct err *e)
{
    const char *file = NULL, *index = NULL;
    char name[56], path[80];
    uint64_t n;
    uint8_t *data;
    size_t len;
    int ret;

    for (unsigned i = 0; i < kv->count; i++)
        if (!strcmp(kv->item[i].key, "romfile"))
            file = kv->item[i].value;
        else
            index = kv->item[i].value;
    if (firmware_load_file(b->cfg.options, "-option-rom", file, FIRMWARE_LEGACY, &data, &len, e))
        return -EINVAL;
    snprintf(name, sizeof(name), "genroms/%.40s", base_name(file));
    ret = fw_cfg_add_file(b->fw_cfg, name, data, len);
    free(data);
    if (ret)
        return err_set(e, "-option-rom %.150s: %s", file, ret == -EEXIST ? "it is given twice" : strerror(-ret));
    snprintf(path, sizeof(path), "/rom@%s", name);
    return index && !parse_uint(index, &n) ? boot_order_add(b->boot_order, (int)n, path, e) : 0;
}

static int add_splash(struct board *b, const char *file, struct err *e)
{
    uint8_t *data;
    size_t len;
    int ret;

    if (firmware_load_file(b->cfg.options, "-boot splash=", file, 8 << 20, &data, &len, e))
        return -EINVAL;
    if (len > 2 && data[0] == 0xff && data[1] == 0xd8)
        ret = fw_cfg_add_file(b->fw_cfg, "bootsplash.jpg", data, len);
    else if (len > 2 && data[0] == 'B' && data[1] == 'M')
        ret = fw_cfg_add_file(b->fw_cfg, "bootsplash.bmp", data, len);
    else
        ret = -EINVAL;
    free(data);
    return ret ? err_set(e, "-boot: splash=%.150s: it is neither a JPEG nor a BMP picture", file) : 0;
}

static int add_boot_order(struct board *b, struct err *e)
{
    size_t len;
    char *text = boot_order_text(b->boot_order, b->cfg.options->boot.strict, &len);
    int ret = text ? 0 : -ENOMEM;

    if (!ret && len)
        ret = fw_cfg_add_file(b->fw_cfg, "bootorder", text, len);
    free(text);
    return ret ? err_set(e, "out of memory") : 0;
}

// --- tables

static struct acpi_config acpi_configuration(const struct board *b)
{
    struct acpi_config ac = {
        .cpus = 1,
        .lapic_base = LAPIC_DEFAULT_BASE,
        .ioapic_base = IOAPIC_DEFAULT_BASE,
        .hpet_base = b->hpet ? HPET_DEFAULT_BASE : 0,
        .pm_base = BOARD_PM_BASE,
        .gpe_base = BOARD_GPE_BASE,
        .smi_cmd = ACPI_SMI_CMD,
        .enable_cmd = 0xf1,
        .disable_cmd = 0xf0,
        .sci_irq = BOARD_SCI_IRQ,
        .fdc = b->fdc,
    };

    // SeaBIOS puts BARs where RAM ends, at 2 GiB at the lowest.
    ac.pci_base = (uint32_t)(b->cfg.firmware ? board_low_ram(b->cfg.ram->size) : BOARD_PCI_BASE);
    for (unsigned i = 0; i < BOARD_UARTS; i++)
        ac.com_ports |= (uint8_t)(b->cfg.has_uart[i] << i);
    return ac;
}

struct smbios_config board_smbios(const struct board *b)
{
    struct smbios_config sc = {.product = "Standard PC (i440FX + PIIX, 1996)", .version = RING3_VERSION};

    memcpy(sc.uuid, b->cfg.options->uuid, sizeof(sc.uuid));
    return sc;
}

// The firmware allocates memory for the tables and writes their address into the entry point.
static int add_smbios(struct board *b)
{
    struct smbios_config sc = board_smbios(b);
    uint8_t area[SMBIOS_SIZE];
    uint32_t len;

    if (smbios_build(&sc, 0, area, &len))
        return -ENOSPC;
    return fw_cfg_add_file(b->fw_cfg, "etc/smbios/smbios-anchor", area, SMBIOS_ENTRY_SIZE) ||
           fw_cfg_add_file(b->fw_cfg, "etc/smbios/smbios-tables", area + SMBIOS_TABLE_OFFSET, len);
}

static int add_tables(struct board *b, struct err *e)
{
    struct acpi_config ac = acpi_configuration(b);
    struct acpi_tables *t = malloc(sizeof(*t));
    int ret;

    if (!t)
        return err_set(e, "out of memory");
    ret = acpi_build(&ac, t) ? err_set(e, "cannot build the ACPI tables") : 0;
    if (!ret && !b->cfg.firmware)
        ret = board_direct_create(b, t, e);
    else if (!ret && (acpi_add_to_fw_cfg(t, b->fw_cfg) || add_smbios(b)))
        ret = err_set(e, "cannot pass the ACPI and SMBIOS tables to the firmware");
    free(t);
    return ret;
}

int board_finish(struct board *b, struct err *e)
{
    const struct config *o = b->cfg.options;

    set_cmos(b);
    if (add_numbers(b) || add_e820(b) || add_boot_options(b))
        return err_set(e, "out of memory");
    if (o->boot.splash && add_splash(b, o->boot.splash, e))
        return -EINVAL;
    for (unsigned i = 0; i < o->option_rom_count; i++)
        if (add_option_rom(b, &o->option_roms[i], e))
            return -EINVAL;
    if (b->cfg.kernel_entered &&
        kernel_rom_add(b->fw_cfg, b->boot_order, b->cfg.ports, b->cfg.kernel_entered, b->cfg.opaque, e))
        return -EINVAL;
    return add_boot_order(b, e) || add_tables(b, e) ? -EINVAL : 0;
}
