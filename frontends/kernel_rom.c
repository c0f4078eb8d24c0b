// SPDX-License-Identifier: MIT
// Gives the firmware the option ROM of -kernel.
#include "frontends/kernel_rom.h"

#include "frontends/boot_image.h"
#include "frontends/boot_order.h"
#include "frontends/le_bytes.h"
#include "hw/fw_cfg.h"

#include <stdlib.h>
#include <string.h>

extern const uint8_t kernel_rom[], kernel_rom_end[]; // kernel_rom.S

enum { ROM_SIZE = 512, PNP_POINTER = 0x1a, PNP_SIZE = 32, PNP_CHECKSUM = 9, ROM_FILE_ORDER = -1 };
#define ROM_FILE "genroms/ring3-kernel.bin"

struct kernel_rom {
    void (*entered)(void *opaque);
    void *opaque;
};

static void port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    const struct kernel_rom *k = opaque;
    k->entered(k->opaque);
}

static const struct io_ops port_ops = {.write = port_write, .min_size = 1, .max_size = 1};

int kernel_rom_add(struct fw_cfg *f, struct boot_order *order, struct address_space *ports,
                   void (*entered)(void *opaque), void *opaque, struct err *e)
{
    struct kernel_rom *k = calloc(1, sizeof(*k));
    uint8_t rom[ROM_SIZE], *pnp = rom + kernel_rom[PNP_POINTER];

    if (!k)
        return err_set(e, "out of memory");
    *k = (struct kernel_rom){entered, opaque};
    memcpy(rom, kernel_rom, sizeof(rom));
    pnp[PNP_CHECKSUM] = byte_checksum(pnp, PNP_SIZE);
    rom[ROM_SIZE - 1] = byte_checksum(rom, ROM_SIZE);
    if (!as_map_io(ports, "kernel-rom", KERNEL_ROM_PORT, 1, &port_ops, k, 0) ||
        fw_cfg_add_file(f, ROM_FILE, rom, sizeof(rom))) {
        free(k);
        return err_set(e, "out of memory");
    }
    return boot_order_add(order, ROM_FILE_ORDER, "/rom@" ROM_FILE, e);
}
