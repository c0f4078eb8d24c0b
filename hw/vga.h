// SPDX-License-Identifier: MIT
// A VGA with Bochs VBE extensions, as QEMU's "std" adapter: PCI 1234:1111.
//
//   ports   1CEh, 1CFh (DISPI), 3B4h..3BAh, 3C0h..3CFh, 3D4h..3DAh
//   memory  A0000h..BFFFFh
//   BAR 0   the frame buffer, RAM
//   BAR 2   4 KiB: EDID at 0, VGA ports 3C0h.. at 400h, DISPI registers at 500h, byte order at 600h
#pragma once

#include "hw/display.h"
#include "hw/pci.h"

enum { VGA_MEM_MIN_MB = 1, VGA_MEM_MAX_MB = 256, VGA_MEM_DEFAULT_MB = 16 };
enum { VGA_XRES_DEFAULT = 1280, VGA_YRES_DEFAULT = 800 };

struct vga;
struct vga_config {
    struct address_space *mem, *ports;
    struct pci_bus *bus;
    int devfn; // < 0: the first free slot
    struct display *display;
    unsigned vgamem_mb;  // a power of two; 0: the default
    unsigned xres, yres; // the monitor's own resolution, in the EDID; 0: the default
    bool no_edid;
    const void *rom; // expansion ROM; NULL: none
    size_t rom_size;
};
int vga_create(const struct vga_config *cfg, struct vga **out); // 0 or -errno
void vga_destroy(struct vga *v);                                // for tests: unmaps everything but the PCI slot
