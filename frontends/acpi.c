// SPDX-License-Identifier: MIT
// Builds RSDP, RSDT, XSDT, FADT, FACS, MADT and HPET around the DSDT that iasl compiled.
// ACPI Specification 6.4, chapter 5 "ACPI Software Programming Model".
#include "frontends/acpi.h"

#include <errno.h>
#include <string.h>

#include "frontends/le_bytes.h"

#include "dsdt.hex.h" // dsdt_aml[]: written by the build from dsdt.asl

enum { ACPI_HEADER = 36, MAX_TABLES = 8 };

struct builder {
    struct acpi_tables *t;
    uint32_t tables[MAX_TABLES]; // where the tables are that RSDT and XSDT list
    unsigned count;
};

// Room for a table of len bytes on a 64-byte boundary; NULL if the area is full.
static uint8_t *alloc(struct builder *b, uint32_t len)
{
    uint32_t at = (b->t->size + 63) & ~63u;

    if (len > ACPI_TABLES_SIZE || at > ACPI_TABLES_SIZE - len)
        return NULL;
    b->t->size = at + len;
    return b->t->data + at;
}

static uint32_t offset_of(const struct builder *b, const uint8_t *p) { return (uint32_t)(p - b->t->data); }

static void put_pointer(struct builder *b, uint8_t *field, uint32_t to, unsigned size)
{
    put_le(field, to, size);
    b->t->pointer[b->t->pointers++] = (struct acpi_pointer){.at = offset_of(b, field), .size = (uint8_t)size};
}

// 5.2.6 "System Description Table Header"
static uint8_t *new_table(struct builder *b, const char *signature, uint8_t revision, uint32_t len)
{
    uint8_t *t = alloc(b, len);

    if (!t)
        return NULL;
    memset(t, 0, len);
    memcpy(t, signature, 4);
    put_le(t + 4, len, 4);
    t[8] = revision;
    memcpy(t + 10, "RING3 ", 6);
    memcpy(t + 16, "RING3PC ", 8);
    put_le(t + 24, 1, 4);
    memcpy(t + 28, "RNG3", 4);
    put_le(t + 32, 1, 4);
    return t;
}

static void finish_table(struct builder *b, uint8_t *t, uint32_t len, bool listed)
{
    uint32_t start = offset_of(b, t);

    b->t->checksum[b->t->checksums++] = (struct acpi_checksum){.at = start + 9, .start = start, .len = len};
    if (listed && b->count < MAX_TABLES)
        b->tables[b->count++] = start;
}

// 5.2.3.2 "Generic Address Structure": system I/O
static void put_gas_io(uint8_t *p, uint16_t port, uint8_t bits, uint8_t access)
{
    p[0] = 1;
    p[1] = bits;
    p[2] = 0;
    p[3] = access;
    put_le(p + 4, port, 8);
}

// 5.2.9 "Fixed ACPI Description Table (FADT)", revision 3: 244 bytes
static int build_fadt(struct builder *b, const struct acpi_config *cfg, uint32_t facs, uint32_t dsdt)
{
    enum {
        FADT_LEN = 244,
        WBINVD = 1,
        PROC_C1 = 1 << 2,
        SLP_BUTTON = 1 << 5,
        RTC_S4 = 1 << 7,
        TMR_VAL_EXT = 1 << 8,
        RESET_REG_SUP = 1 << 10,
        USE_PLATFORM_CLOCK = 1 << 15
    };
    uint8_t *t = new_table(b, "FACP", 3, FADT_LEN);

    if (!t)
        return -ENOSPC;
    put_pointer(b, t + 36, facs, 4);
    put_pointer(b, t + 40, dsdt, 4);
    t[44] = 1; // INT_MODEL of ACPI 1.0: dual PIC
    put_le(t + 46, cfg->sci_irq, 2);
    put_le(t + 48, cfg->smi_cmd, 4);
    t[52] = cfg->enable_cmd;
    t[53] = cfg->disable_cmd;
    put_le(t + 56, cfg->pm_base, 4);     // PM1a_EVT_BLK
    put_le(t + 64, cfg->pm_base + 4, 4); // PM1a_CNT_BLK
    put_le(t + 76, cfg->pm_base + 8, 4); // PM_TMR_BLK
    put_le(t + 80, cfg->gpe_base, 4);    // GPE0_BLK
    t[88] = 4;
    t[89] = 2;
    t[91] = 4;
    t[92] = cfg->gpe_base ? 4 : 0;
    put_le(t + 96, 0xfff, 2); // no C2
    put_le(t + 98, 0xfff, 2); // no C3
    t[108] = 0x32;            // CENTURY in CMOS
    put_le(t + 109, 3, 2);    // IAPC_BOOT_ARCH: legacy devices, 8042
    put_le(t + 112, WBINVD | PROC_C1 | SLP_BUTTON | RTC_S4 | RESET_REG_SUP | USE_PLATFORM_CLOCK | TMR_VAL_EXT, 4);
    put_gas_io(t + 116, 0xcf9, 8, 1);
    t[128] = 0x0f; // RESET_VALUE
    // X_FIRMWARE_CTRL (132) stays 0: the FACS is listed once
    put_pointer(b, t + 140, dsdt, 8);
    put_gas_io(t + 148, cfg->pm_base, 32, 0);
    put_gas_io(t + 172, cfg->pm_base + 4, 16, 0);
    put_gas_io(t + 208, cfg->pm_base + 8, 32, 0);
    if (cfg->gpe_base)
        put_gas_io(t + 220, cfg->gpe_base, 32, 0);
    finish_table(b, t, FADT_LEN, true);
    return 0;
}

// Gives dsdt.asl's names the values of this machine: NameOp, the name, DWordPrefix, the value (20.2.5.1 "Namespace
// Modifier Objects Encoding"). An SSDT could declare them, but SeaBIOS's parser does not know External.
static int set_dsdt_values(uint8_t *dsdt, uint32_t len, const struct acpi_config *cfg)
{
    enum { NAME_OP = 0x08, DWORD_PREFIX = 0x0c, DEF_NAME = 10 };
    const struct {
        char name[5];
        uint32_t value;
    } rows[] = {
        {"COMF", cfg->com_ports},
        {"FDCF", cfg->fdc},
        {"PCMB", cfg->pci_base},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        uint8_t *p = dsdt + ACPI_HEADER, *end = dsdt + len - DEF_NAME;

        while (p <= end && (p[0] != NAME_OP || memcmp(p + 1, rows[i].name, 4) || p[5] != DWORD_PREFIX))
            p++;
        if (p > end)
            return -EINVAL;
        put_le(p + 6, rows[i].value, 4);
    }
    return 0;
}

// 5.2.12 "Multiple APIC Description Table (MADT)"
static int build_madt(struct builder *b, const struct acpi_config *cfg)
{
    // ISA interrupts that are not what their number says: the timer on pin 2, PCI's level and active high.
    static const struct {
        uint8_t irq, gsi, flags;
    } overrides[] = {
        {0, 2, 0}, {5, 5, 0xd}, {9, 9, 0xd}, {10, 10, 0xd}, {11, 11, 0xd},
    };
    uint32_t len = ACPI_HEADER + 8 + cfg->cpus * 8 + 12 + (uint32_t)ARRAY_SIZE(overrides) * 10 + 6;
    uint8_t *t = new_table(b, "APIC", 3, len), *p;

    if (!t)
        return -ENOSPC;
    put_le(t + 36, cfg->lapic_base, 4);
    put_le(t + 40, 1, 4); // PCAT_COMPAT
    p = t + 44;
    for (unsigned i = 0; i < cfg->cpus; i++, p += 8) { // Processor Local APIC
        p[0] = 0;
        p[1] = 8;
        p[2] = p[3] = (uint8_t)i;
        put_le(p + 4, 1, 4);
    }
    p[0] = 1; // I/O APIC
    p[1] = 12;
    put_le(p + 4, cfg->ioapic_base, 4);
    p += 12;
    for (unsigned i = 0; i < ARRAY_SIZE(overrides); i++, p += 10) { // Interrupt Source Override
        p[0] = 2;
        p[1] = 10;
        p[3] = overrides[i].irq;
        put_le(p + 4, overrides[i].gsi, 4);
        put_le(p + 8, overrides[i].flags, 2);
    }
    p[0] = 4; // Local APIC NMI: LINT1 of all
    p[1] = 6;
    p[2] = 0xff;
    p[5] = 1;
    finish_table(b, t, len, true);
    return 0;
}

// IA-PC HPET Specification 1.0a, section 3.2.4 "The HPET Description Table"
static int build_hpet(struct builder *b, const struct acpi_config *cfg)
{
    enum { HPET_LEN = 56 };
    uint8_t *t = new_table(b, "HPET", 1, HPET_LEN);

    if (!t)
        return -ENOSPC;
    put_le(t + 36, 0x8086a201, 4); // vendor 8086h, legacy capable, 64-bit, three comparators, revision 1
    t[40] = 0;                     // GAS: memory
    put_le(t + 44, cfg->hpet_base, 8);
    finish_table(b, t, HPET_LEN, true);
    return 0;
}

// 5.2.7 and 5.2.8: RSDT and XSDT list every other table with 4 and 8 bytes each. 0 if there is no room.
static uint32_t build_root(struct builder *b, const char *signature, unsigned entry_size)
{
    uint32_t len = ACPI_HEADER + b->count * entry_size;
    uint8_t *t = new_table(b, signature, 1, len);

    if (!t)
        return 0;
    for (unsigned i = 0; i < b->count; i++)
        put_pointer(b, t + ACPI_HEADER + i * entry_size, b->tables[i], entry_size);
    finish_table(b, t, len, false);
    return offset_of(b, t);
}

// 5.2.5.3 "Root System Description Pointer Structure": the second checksum covers the first.
static void build_rsdp(struct acpi_tables *t, uint32_t rsdt, uint32_t xsdt)
{
    memcpy(t->rsdp, "RSD PTR ", 8);
    memcpy(t->rsdp + 9, "RING3 ", 6);
    t->rsdp[15] = 2;
    put_le(t->rsdp + 16, rsdt, 4);
    put_le(t->rsdp + 20, ACPI_RSDP_SIZE, 4);
    put_le(t->rsdp + 24, xsdt, 8);
    t->pointer[t->pointers++] = (struct acpi_pointer){.at = 16, .size = 4, .in_rsdp = true};
    t->pointer[t->pointers++] = (struct acpi_pointer){.at = 24, .size = 8, .in_rsdp = true};
    t->checksum[t->checksums++] = (struct acpi_checksum){.at = 8, .len = 20, .in_rsdp = true};
    t->checksum[t->checksums++] = (struct acpi_checksum){.at = 32, .len = ACPI_RSDP_SIZE, .in_rsdp = true};
}

int acpi_build(const struct acpi_config *cfg, struct acpi_tables *t)
{
    struct builder b = {.t = t};
    uint8_t *facs, *dsdt;
    uint32_t rsdt, xsdt;

    memset(t, 0, sizeof(*t));
    facs = alloc(&b, 64);
    dsdt = alloc(&b, sizeof(dsdt_aml));
    if (!facs || !dsdt)
        return -ENOSPC;
    memcpy(facs, "FACS", 4); // 5.2.10 "Firmware ACPI Control Structure": no checksum
    put_le(facs + 4, 64, 4);
    facs[32] = 1;
    memcpy(dsdt, dsdt_aml, sizeof(dsdt_aml));
    if (set_dsdt_values(dsdt, sizeof(dsdt_aml), cfg))
        return -EINVAL;
    finish_table(&b, dsdt, sizeof(dsdt_aml), false);
    if (build_fadt(&b, cfg, offset_of(&b, facs), offset_of(&b, dsdt)) || build_madt(&b, cfg) ||
        (cfg->hpet_base && build_hpet(&b, cfg)))
        return -ENOSPC;
    rsdt = build_root(&b, "RSDT", 4);
    xsdt = build_root(&b, "XSDT", 8);
    if (!rsdt || !xsdt)
        return -ENOSPC;
    build_rsdp(t, rsdt, xsdt);
    return 0;
}
