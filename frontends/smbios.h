// SPDX-License-Identifier: MIT
// The SMBIOS tables: what the guest's dmidecode shows.
#pragma once

#include "base/types.h"

enum { SMBIOS_ADDR = 0xf0100, SMBIOS_SIZE = 0x400 };

struct smbios_config {
    const char *product, *version;
    uint8_t uuid[16]; // as written, most significant first; all zero: not set
};
// Fills area (SMBIOS_SIZE bytes, what the guest sees at SMBIOS_ADDR). 0, or -ENOSPC.
int smbios_build(const struct smbios_config *cfg, uint8_t *area);
