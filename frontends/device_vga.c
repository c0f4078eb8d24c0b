// SPDX-License-Identifier: MIT
// -vga and -device VGA: the graphics adapter and its ROM.
#include "frontends/device_types.h"

#include "frontends/firmware.h"
#include "frontends/options_internal.h"
#include "hw/vga.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VGA_ROM "vgabios-stdvga.bin"
enum { VGA_ROM_MAX = 256 << 10, VGA_RES_MIN = 160 };

const struct device_property vga_properties[] = {
    {"addr", "slot[.function], hexadecimal; default: the first free one"},
    {"bus", "pci.0"},
    {"vgamem_mb", "video memory, a power of two from 1 to 256 (default: 16)"},
    {"xres", "the monitor's own resolution, for the EDID (default: 1280)"},
    {"yres", "default: 800"},
    {"edid", "off: the monitor does not say what it can do"},
    {"romfile", "VGA BIOS (default: " VGA_ROM " if firmware boots); empty: none"},
    {NULL, NULL},
};

// The ROM is for firmware; a kernel that is entered directly needs none.
static int load_rom(const struct devices *d, struct keyval *kv, uint8_t **rom, size_t *size, struct err *e)
{
    const char *name = keyval_get(kv, "romfile");

    if (!name)
        name = d->dc.firmware ? VGA_ROM : "";
    return *name ? firmware_load_file(d->dc.cfg, "romfile", name, VGA_ROM_MAX, rom, size, e) : 0;
}

int device_vga_create(struct devices *d, struct keyval *kv, struct err *e)
{
    struct vga_config vc = {
        .mem = pci_bus_memory(d->dc.bus), .ports = d->dc.ports, .bus = d->dc.bus, .display = d->dc.screen};
    uint8_t *rom = NULL;
    bool edid = true;
    int ret;

    if (d->vga)
        return err_set(e, "there is one already (with -vga none, -device VGA is the only one)");
    if (device_parse_addr(kv, &vc.devfn, e) ||
        keyval_get_range(kv, "vgamem_mb", VGA_MEM_MIN_MB, VGA_MEM_MAX_MB, &vc.vgamem_mb, e) ||
        keyval_get_range(kv, "xres", VGA_RES_MIN, DISPLAY_MAX_WIDTH, &vc.xres, e) ||
        keyval_get_range(kv, "yres", VGA_RES_MIN, DISPLAY_MAX_HEIGHT, &vc.yres, e) ||
        keyval_get_bool(kv, "edid", &edid, e))
        return -EINVAL;
    if (vc.vgamem_mb & (vc.vgamem_mb - 1))
        return err_set(e, "vgamem_mb=%u: not a power of two", vc.vgamem_mb);
    vc.no_edid = !edid;
    if (load_rom(d, kv, &rom, &vc.rom_size, e))
        return -EINVAL;
    vc.rom = rom;
    ret = vga_create(&vc, &d->vga);
    free(rom);
    if (ret == -EEXIST || ret == -ENOSPC)
        return err_set(e, vc.devfn >= 0 ? "its PCI slot is taken" : "no free PCI slot");
    if (ret)
        return err_set(e, "cannot create it: %s", strerror(-ret));
    return 0;
}

static bool has_vga_device(const struct config *cfg)
{
    for (unsigned i = 0; i < cfg->device_count; i++)
        for (unsigned k = 0; k < cfg->devices[i].count; k++)
            if (!strcmp(cfg->devices[i].item[k].key, "driver") && !strcmp(cfg->devices[i].item[k].value, "VGA"))
                return true;
    return false;
}

// The adapter that a PC has unless the user says otherwise: true if -vga asks for one, or nobody asked.
bool device_vga_default(const struct config *cfg)
{
    if (cfg->vga)
        return !strcmp(cfg->vga, "std");
    return !has_vga_device(cfg) && !cfg->nodefaults;
}

bool device_vga_wanted(const struct config *cfg) { return has_vga_device(cfg) || device_vga_default(cfg); }

int opt_vga(struct config *c, const char *flag, const char *arg, struct err *e)
{
    if (wants_help(arg)) {
        puts("none                 no graphics adapter\nstd                  VGA with Bochs VBE (default)");
        return HANDLED_HELP;
    }
    if (strcmp(arg, "std") && strcmp(arg, "none"))
        return err_set(e, "-vga %.60s: there is no such adapter (-vga help lists them)", arg);
    c->vga = arg;
    return 0;
}
