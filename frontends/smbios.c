// SPDX-License-Identifier: MIT
// Builds SMBIOS tables: DSP0134 version 2.8, section 5.2.1 "SMBIOS 2.1 (32-bit) Entry Point" and chapter 7.
#include "frontends/smbios.h"

#include <errno.h>
#include <string.h>

#include "frontends/le_bytes.h"

struct builder {
    uint8_t *area;
    uint32_t used; // next free byte
    uint16_t count, largest;
    bool overflow;
};

// Appends one structure: its formatted part, then its strings (NULL-terminated list). Handles count from 0.
static void add(struct builder *b, const uint8_t *formatted, uint8_t len, const char *const *strings)
{
    uint32_t start = b->used, size = len + 2u;

    for (unsigned i = 0; strings[i]; i++)
        size += (uint32_t)strlen(strings[i]) + 1;
    if (b->overflow || start + size > SMBIOS_SIZE) {
        b->overflow = true;
        return;
    }
    memcpy(b->area + start, formatted, len);
    b->area[start + 1] = len;
    put_le(b->area + start + 2, b->count, 2);
    b->used += len;
    for (unsigned i = 0; strings[i]; i++) {
        memcpy(b->area + b->used, strings[i], strlen(strings[i]) + 1);
        b->used += (uint32_t)strlen(strings[i]) + 1;
    }
    b->area[b->used++] = 0;
    if (!strings[0])
        b->area[b->used++] = 0;
    b->count++;
    if (b->used - start > b->largest)
        b->largest = (uint16_t)(b->used - start);
}

static void add_structures(struct builder *b, const struct smbios_config *cfg)
{
    // 7.1 "BIOS Information": characteristics not supported; targeted content distribution, virtual machine
    uint8_t bios[24] = {[4] = 1, [5] = 2, [8] = 3, [10] = 8, [19] = 0x1c, [22] = 0xff, [23] = 0xff};
    // 7.2 "System Information": wake-up by the power switch
    uint8_t system[27] = {[0] = 1, [4] = 1, [5] = 2, [6] = 3, [24] = 6};
    // 7.4 "System Enclosure or Chassis": other, all states safe
    uint8_t chassis[22] = {[0] = 3, [4] = 1, [5] = 1, [6] = 2, [9] = 3, [10] = 3, [11] = 3, [12] = 2};
    // 7.33 "System Boot Information"
    uint8_t boot[11] = {[0] = 32};
    uint8_t end[4] = {[0] = 127};
    static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15}; // 7.2.1 "System - UUID"

    for (unsigned i = 0; i < 16; i++)
        system[8 + i] = cfg->uuid[order[i]];
    add(b, bios, sizeof(bios), (const char *const[]){"ring3", cfg->version, "01/01/2026", NULL});
    add(b, system, sizeof(system), (const char *const[]){"ring3", cfg->product, cfg->version, NULL});
    add(b, chassis, sizeof(chassis), (const char *const[]){"ring3", cfg->version, NULL});
    add(b, boot, sizeof(boot), (const char *const[]){NULL});
    add(b, end, sizeof(end), (const char *const[]){NULL});
}

int smbios_build(const struct smbios_config *cfg, uint32_t addr, uint8_t *area, uint32_t *table_len)
{
    struct builder b = {.area = area, .used = SMBIOS_TABLE_OFFSET};

    memset(area, 0, SMBIOS_SIZE);
    add_structures(&b, cfg);
    if (b.overflow)
        return -ENOSPC;
    memcpy(area, "_SM_", 4);
    area[5] = SMBIOS_ENTRY_SIZE;
    area[6] = 2;
    area[7] = 8;
    put_le(area + 8, b.largest, 2);
    memcpy(area + 16, "_DMI_", 5);
    put_le(area + 22, b.used - SMBIOS_TABLE_OFFSET, 2);
    put_le(area + 24, addr + SMBIOS_TABLE_OFFSET, 4);
    put_le(area + 28, b.count, 2);
    area[30] = 0x28;
    area[21] = byte_checksum(area + 16, 15);
    area[4] = byte_checksum(area, SMBIOS_ENTRY_SIZE);
    if (table_len)
        *table_len = b.used - SMBIOS_TABLE_OFFSET;
    return 0;
}
