// SPDX-License-Identifier: MIT
// The VGA as a PCI device: its memory, BARs, creation and reset.
#include "hw/vga_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BAR2_SIZE = 4096 };

static void reset(struct vga *v)
{
    vga_window_close(v);
    vga_regs_reset(v);
    vga_vbe_reset(v);
    v->font_stale = true;
}

static void pci_reset(struct pci_device *d) { reset(CONTAINER_OF(d, struct vga, pci)); }

static int add_to_bus(struct vga *v)
{
    static const struct pci_ids ids = {0x1234, 0x1111, 0x1af4, 0x1100, .class = 3, .revision = 2};
    v->pci.name = "VGA";
    v->pci.reset = pci_reset;
    int ret = pci_add(v->cfg.bus, &v->pci, v->cfg.devfn, &ids, 0);
    if (ret)
        return ret;
    pci_set_bar_ram(&v->pci, 0, v->vram_size, false, true, &v->ram, 0, false);
    pci_set_bar(&v->pci, 2, BAR2_SIZE, false, false, false, &vga_bar2_ops, v);
    return v->cfg.rom ? pci_set_rom(&v->pci, v->cfg.rom, v->cfg.rom_size) : 0;
}

int vga_create(const struct vga_config *cfg, struct vga **out)
{
    unsigned mb = cfg->vgamem_mb ? cfg->vgamem_mb : VGA_MEM_DEFAULT_MB;
    if (mb & (mb - 1) || mb > VGA_MEM_MAX_MB)
        return -EINVAL;
    struct vga *v = calloc(1, sizeof(*v));
    if (!v)
        return -ENOMEM;
    v->cfg = *cfg;
    v->cfg.xres = cfg->xres ? cfg->xres : VGA_XRES_DEFAULT;
    v->cfg.yres = cfg->yres ? cfg->yres : VGA_YRES_DEFAULT;
    v->vram_size = mb << 20;
    int ret = ram_create(&v->ram, v->vram_size + VGA_TEXT_WINDOW);
    if (ret)
        goto fail;
    ret = -ENOMEM;
    v->io = as_map_io(cfg->mem, "vga", VGA_WINDOW, VGA_WINDOW_SIZE, &vga_window_ops, v, VGA_WINDOW_PRIORITY);
    if (!v->io || vga_map_ports(v) || vga_vbe_map_ports(v))
        goto fail;
    vga_edid_make(v->edid, v->cfg.xres, v->cfg.yres);
    reset(v);
    ret = add_to_bus(v); // last: the bus keeps it
    if (ret)
        goto fail;
    if (cfg->display)
        display_set_adapter(cfg->display, &vga_display_ops, v);
    *out = v;
    return 0;
fail:
    vga_destroy(v);
    return ret;
}

void vga_destroy(struct vga *v)
{
    if (!v)
        return;
    if (v->cfg.display)
        display_set_adapter(v->cfg.display, NULL, NULL);
    vga_window_close(v);
    as_unmap(v->io);
    for (unsigned i = 0; i < ARRAY_SIZE(v->ports); i++)
        as_unmap(v->ports[i]);
    ram_destroy(&v->ram);
    free(v->lines);
    free(v->cells);
    free(v->codes);
    free(v);
}
