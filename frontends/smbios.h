// SPDX-License-Identifier: MIT
// The SMBIOS tables: what the guest's dmidecode shows.
#pragma once

#include "base/types.h"

enum {
    SMBIOS_ADDR = 0xf0100 /* without firmware */,
    SMBIOS_SIZE = 0x400,
    SMBIOS_ENTRY_SIZE = 31,
    SMBIOS_TABLE_OFFSET = 64
};

struct smbios_config {
    const char *product, *version;
    uint8_t uuid[16]; // as written, most significant first; all zero: not set
};
// Fills area (SMBIOS_SIZE bytes) with the entry point and, SMBIOS_TABLE_OFFSET behind it, the tables; addr is where
// the guest sees area. *table_len (may be NULL) gets the tables' bytes. 0, or -ENOSPC.
int smbios_build(const struct smbios_config *cfg, uint32_t addr, uint8_t *area, uint32_t *table_len);
