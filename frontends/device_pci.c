// SPDX-License-Identifier: MIT
// What every PCI device that the firmware may boot from has: bootindex= and an option ROM.
#include "frontends/device_types.h"

#include "frontends/boot_order.h"
#include "frontends/firmware.h"
#include "hw/pci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ROM_MAX = 1 << 20 };

int device_boot_index(struct keyval *kv, int *index, struct err *e)
{
    uint64_t v = ~0ull;

    if (keyval_get_uint(kv, "bootindex", &v, e))
        return -EINVAL;
    if (v != ~0ull && v > INT32_MAX)
        return err_set(e, "bootindex=%llu is too large", (unsigned long long)v);
    *index = v == ~0ull ? -1 : (int)v;
    return 0;
}

// The ids in a ROM's PCI data structure become those of the card (one ROM serves several), and its checksum stays 0.
// PCI Firmware Specification 3.0, sections 5.1.1 "PCI Expansion ROM Header Format" and 5.1.2.
static void patch_ids(uint8_t *rom, size_t len, const uint8_t ids[4])
{
    enum { PCIR_POINTER = 0x18, PCIR_IDS = 4, PCIR_SIZE = 24, SPARE = 6 };
    size_t at;

    if (len < 0x20 || rom[0] != 0x55 || rom[1] != 0xaa)
        return;
    at = (size_t)(rom[PCIR_POINTER] | rom[PCIR_POINTER + 1] << 8);
    if (at + PCIR_SIZE > len || memcmp(rom + at, "PCIR", 4))
        return;
    for (unsigned i = 0; i < 4; i++) {
        uint8_t *p = &rom[at + PCIR_IDS + i];

        rom[SPARE] = (uint8_t)(rom[SPARE] + *p - ids[i]);
        *p = ids[i];
    }
}

static int add_rom(struct devices *d, struct pci_device *pci, struct keyval *kv, const char *usual, struct err *e)
{
    const char *name = keyval_get(kv, "romfile");
    bool bar = true, patch = !name;
    uint8_t *rom;
    size_t len;
    char path[4096];
    int ret;

    if (keyval_get_bool(kv, "rombar", &bar, e))
        return -EINVAL;
    if (!name && usual && d->dc.firmware && !firmware_find(d->dc.cfg, usual, path, sizeof(path)))
        name = usual; // a package that may be missing
    if (!name || !*name || !bar)
        return 0;
    if (firmware_load_file(d->dc.cfg, "romfile", name, ROM_MAX, &rom, &len, e))
        return -EINVAL;
    if (patch)
        patch_ids(rom, len, pci->config);
    ret = pci_set_rom(pci, rom, len);
    free(rom);
    return ret ? err_set(e, "romfile=%.150s: %s", name, strerror(-ret)) : 0;
}

int device_pci_finish(struct devices *d, struct pci_device *pci, struct keyval *kv, const struct device_boot_info *info,
                      struct err *e)
{
    int index = -1;

    if (device_boot_index(kv, &index, e) || add_rom(d, pci, kv, info ? info->rom : NULL, e))
        return -EINVAL;
    if (index < 0 || !info)
        return 0;
    return boot_order_add_pci(d->dc.boot_order, index, pci->devfn, info->kind, info->rest, e);
}
