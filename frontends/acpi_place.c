// SPDX-License-Identifier: MIT
// Places ACPI tables in memory, or has the firmware do it.
// The loader's commands are those of SeaBIOS (src/fw/romfile_loader.h): 128-byte
// entries, each a command and its arguments, all little-endian.
#include "frontends/acpi.h"

#include "frontends/le_bytes.h"
#include "hw/fw_cfg.h"

#include <endian.h>
#include <string.h>

static const char tables_file[] = "etc/acpi/tables", rsdp_file[] = "etc/acpi/rsdp";

// --- by ourselves

static void add_address(uint8_t *field, unsigned size, uint64_t base)
{
    for (unsigned i = 0; i < size; i++) {
        base += field[i];
        field[i] = (uint8_t)base;
        base >>= 8;
    }
}

static void put_checksum(uint8_t *base, const struct acpi_checksum *c)
{
    base[c->at] = 0;
    base[c->at] = byte_checksum(base + c->start, c->len);
}

void acpi_place(const struct acpi_tables *t, uint8_t *area)
{
    uint8_t *rsdp = area + (ACPI_RSDP_ADDR - ACPI_AREA_BASE);

    memset(area, 0, ACPI_AREA_SIZE);
    memcpy(area, t->data, t->size);
    memcpy(rsdp, t->rsdp, sizeof(t->rsdp));
    for (unsigned i = 0; i < t->pointers; i++)
        add_address((t->pointer[i].in_rsdp ? rsdp : area) + t->pointer[i].at, t->pointer[i].size, ACPI_AREA_BASE);
    for (unsigned i = 0; i < t->checksums; i++)
        put_checksum(t->checksum[i].in_rsdp ? rsdp : area, &t->checksum[i]);
}

// --- by the firmware

enum { CMD_ALLOCATE = 1, CMD_ADD_POINTER = 2, CMD_ADD_CHECKSUM = 3 };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2 };
enum { FILE_NAME = 56, MAX_COMMANDS = 2 + ACPI_MAX_POINTERS + ACPI_MAX_CHECKSUMS };

struct loader_command {
    uint32_t command;
    union {
        struct {
            char file[FILE_NAME];
            uint32_t align;
            uint8_t zone;
        } __attribute__((packed)) allocate;
        struct {
            char in[FILE_NAME], to[FILE_NAME]; // the field is in one file, what it points to in the other
            uint32_t at;
            uint8_t size;
        } __attribute__((packed)) pointer;
        struct {
            char file[FILE_NAME];
            uint32_t at, start, len;
        } __attribute__((packed)) checksum;
        uint8_t room[124];
    };
} __attribute__((packed));
_Static_assert(sizeof(struct loader_command) == 128, "as SeaBIOS reads them");

static void allocate(struct loader_command *c, const char *file, uint32_t align, uint8_t zone)
{
    c->command = htole32(CMD_ALLOCATE);
    strcpy(c->allocate.file, file);
    c->allocate.align = htole32(align);
    c->allocate.zone = zone;
}

int acpi_add_to_fw_cfg(const struct acpi_tables *t, struct fw_cfg *f)
{
    struct loader_command cmd[MAX_COMMANDS];
    unsigned n = 0;
    int ret;

    memset(cmd, 0, sizeof(cmd));
    allocate(&cmd[n++], rsdp_file, 16, ZONE_FSEG);
    allocate(&cmd[n++], tables_file, 64, ZONE_HIGH);
    for (unsigned i = 0; i < t->pointers; i++, n++) {
        cmd[n].command = htole32(CMD_ADD_POINTER);
        strcpy(cmd[n].pointer.in, t->pointer[i].in_rsdp ? rsdp_file : tables_file);
        strcpy(cmd[n].pointer.to, tables_file);
        cmd[n].pointer.at = htole32(t->pointer[i].at);
        cmd[n].pointer.size = t->pointer[i].size;
    }
    for (unsigned i = 0; i < t->checksums; i++, n++) {
        cmd[n].command = htole32(CMD_ADD_CHECKSUM);
        strcpy(cmd[n].checksum.file, t->checksum[i].in_rsdp ? rsdp_file : tables_file);
        cmd[n].checksum.at = htole32(t->checksum[i].at);
        cmd[n].checksum.start = htole32(t->checksum[i].start);
        cmd[n].checksum.len = htole32(t->checksum[i].len);
    }
    ret = fw_cfg_add_file(f, tables_file, t->data, t->size);
    if (!ret)
        ret = fw_cfg_add_file(f, rsdp_file, t->rsdp, sizeof(t->rsdp));
    return ret ? ret : fw_cfg_add_file(f, "etc/table-loader", cmd, n * sizeof(cmd[0]));
}
