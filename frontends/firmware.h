// SPDX-License-Identifier: MIT
// Firmware and option ROM images: where they are found, and the BIOS mapped as ROM.
//
// A name is a file as it stands if there is one; else it is looked for in the folders of -L, then in those of the
// distribution's packages (firmware_default_dir).
#pragma once

#include "frontends/options.h"
#include "softmmu/address_space.h"

enum { FIRMWARE_MAX = 16 << 20, FIRMWARE_LEGACY = 128 << 10 }; // the part that is also seen below 1 MiB

const char *firmware_default_dir(unsigned i); // NULL: no more
// The first folder that has it. 0 or -ENOENT.
int firmware_find(const struct config *cfg, const char *name, char *path, size_t size);
// The whole of a file, to be freed: 0, or -EINVAL with a message ("what" and the name are in it).
int firmware_load_file(const struct config *cfg, const char *what, const char *name, size_t max, uint8_t **data,
                       size_t *len, struct err *e);

// The BIOS: its bytes in memory of their own, which ends at 4 GiB.
struct firmware {
    struct ram rom;
    uint64_t size; // bytes of the image, a multiple of 64 KiB; rom.size is the same
};
bool firmware_installed(const struct config *cfg); // is there one without -bios?
// 0 or -EINVAL with a message.
int firmware_open(const struct config *cfg, struct firmware **out, struct err *e);
void firmware_close(struct firmware *f); // NULL is fine
// Maps it below 4 GiB and its end at E0000h, under the 440FX's PAM. 0 or -ENOMEM.
int firmware_map(struct firmware *f, struct address_space *mem);
