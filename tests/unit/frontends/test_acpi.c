// SPDX-License-Identifier: MIT
// The ACPI tables as an operating system finds them: signatures, lengths, checksums, and who points to whom.
#include "frontends/acpi.h"

#include "hw/fw_cfg.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/check_main.h"

static uint8_t area[ACPI_AREA_SIZE];
static const struct acpi_config cfg = {.cpus = 2,
                                       .lapic_base = 0xfee00000,
                                       .ioapic_base = 0xfec00000,
                                       .hpet_base = 0xfed00000,
                                       .pm_base = 0x600,
                                       .gpe_base = 0xafe0,
                                       .smi_cmd = 0xb2,
                                       .enable_cmd = 0xf1,
                                       .disable_cmd = 0xf0,
                                       .sci_irq = 9,
                                       .com_ports = 5};

static struct acpi_tables tables;

static void build(void)
{
    ck_assert_int_eq(acpi_build(&cfg, &tables), 0);
    acpi_place(&tables, area);
}

static uint32_t get32(const uint8_t *p) { return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24; }

static const uint8_t *at(uint64_t guest)
{
    ck_assert_msg(guest >= ACPI_AREA_BASE && guest < ACPI_AREA_BASE + ACPI_AREA_SIZE - 36, "address %#llx",
                  (unsigned long long)guest);
    return area + (guest - ACPI_AREA_BASE);
}

static uint8_t sum(const uint8_t *p, size_t len)
{
    uint8_t s = 0;

    while (len--)
        s += *p++;
    return s;
}

static const uint8_t *check_table(uint32_t guest, const char *signature)
{
    const uint8_t *t = at(guest);

    ck_assert_msg(!memcmp(t, signature, 4), "%.4s instead of %s", (const char *)t, signature);
    ck_assert_uint_eq(sum(t, get32(t + 4)), 0);
    return t;
}

START_TEST(chain)
{
    static const char *const order[] = {"FACP", "APIC", "HPET"};
    const uint8_t *rsdp, *rsdt, *xsdt, *fadt;

    build();
    rsdp = at(ACPI_RSDP_ADDR);
    ck_assert_mem_eq(rsdp, "RSD PTR ", 8);
    ck_assert_uint_eq(sum(rsdp, 20), 0);
    ck_assert_uint_eq(sum(rsdp, 36), 0);
    rsdt = check_table(get32(rsdp + 16), "RSDT");
    xsdt = check_table(get32(rsdp + 24), "XSDT");
    ck_assert_uint_eq(get32(rsdt + 4), 36 + 3 * 4);
    for (unsigned i = 0; i < 3; i++) {
        check_table(get32(rsdt + 36 + 4 * i), order[i]);
        ck_assert_uint_eq(get32(xsdt + 36 + 8 * i), get32(rsdt + 36 + 4 * i));
    }
    fadt = at(get32(rsdt + 36));
    check_table(get32(fadt + 40), "DSDT");
    ck_assert_mem_eq(at(get32(fadt + 36)), "FACS", 4);
    ck_assert_uint_eq(get32(fadt + 36) % 64, 0);
    ck_assert_uint_eq(get32(fadt + 56), 0x600);
    const uint8_t *dsdt = at(get32(fadt + 40));
    ck_assert_ptr_nonnull(memmem(dsdt, get32(dsdt + 4), "\010COMF\x0c\x05\0\0\0", 10));
}
END_TEST

// Every MADT entry has a length, and together they fill the table.
START_TEST(madt)
{
    unsigned seen[5] = {0};
    const uint8_t *t, *p, *end;

    build();
    t = check_table(get32(at(get32(at(ACPI_RSDP_ADDR) + 16)) + 40), "APIC");
    end = t + get32(t + 4);
    for (p = t + 44; p < end; p += p[1]) {
        ck_assert(p[0] < 5 && p[1] >= 2);
        seen[p[0]]++;
    }
    ck_assert_ptr_eq(p, end);
    ck_assert_uint_eq(seen[0], 2);
    ck_assert_uint_eq(seen[1], 1);
    ck_assert_uint_eq(seen[2], 5);
    ck_assert_uint_eq(seen[4], 1);
}
END_TEST

START_TEST(too_many_cpus)
{
    struct acpi_config big = cfg;

    big.cpus = 20000;
    ck_assert_int_ne(acpi_build(&big, &tables), 0);
}
END_TEST

// What SeaBIOS does with the loader's commands gives the same tables, at another address.
START_TEST(loader)
{
    static struct address_space *ports, *mem; // these end with the process
    static struct fw_cfg *f;
    static uint8_t *copy[2];
    const uint8_t *cmd, *file;
    size_t len, file_len[2];
    static const char *const names[2] = {"etc/acpi/tables", "etc/acpi/rsdp"};
    const uint32_t where[2] = {0x7fe0000, 0xf5a40};

    ports = as_create("ports", 65536);
    mem = as_create("memory", 1 << 20);
    f = fw_cfg_create(ports, mem);
    build();
    ck_assert_int_eq(acpi_add_to_fw_cfg(&tables, f), 0);
    for (unsigned i = 0; i < 2; i++) {
        file = fw_cfg_find_file(f, names[i], &file_len[i]);
        ck_assert_ptr_nonnull(file);
        copy[i] = malloc(file_len[i]);
        memcpy(copy[i], file, file_len[i]);
    }
    cmd = fw_cfg_find_file(f, "etc/table-loader", &len);
    ck_assert_uint_eq(len % 128, 0);
    for (; len; len -= 128, cmd += 128) {
        unsigned in = strcmp((const char *)cmd + 4, names[0]) != 0;
        const uint8_t *args = cmd + 4 + 56;

        ck_assert_str_eq((const char *)cmd + 4, names[in]);
        if (get32(cmd) == 2) {
            uint32_t at_byte = get32(args + 56), size = args[60];
            uint64_t v = 0;

            ck_assert_str_eq((const char *)args, names[0]);
            ck_assert_uint_le(at_byte + size, file_len[in]);
            memcpy(&v, copy[in] + at_byte, size);
            ck_assert_uint_lt(v, file_len[0]);
            v += where[0];
            memcpy(copy[in] + at_byte, &v, size);
        } else if (get32(cmd) == 3) {
            ck_assert_uint_le(get32(args + 4) + get32(args + 8), file_len[in]);
            copy[in][get32(args)] -= sum(copy[in] + get32(args + 4), get32(args + 8));
        } else {
            ck_assert_uint_eq(get32(cmd), 1);
        }
    }
    ck_assert_uint_eq(sum(copy[1], 20), 0);
    ck_assert_uint_eq(sum(copy[1], 36), 0);
    ck_assert_uint_lt(get32(copy[1] + 16) - where[0], file_len[0]);
    file = copy[0] + (get32(copy[1] + 16) - where[0]);
    ck_assert_mem_eq(file, "RSDT", 4);
    for (unsigned i = 36; i < get32(file + 4); i += 4) {
        const uint8_t *t = copy[0] + (get32(file + i) - where[0]);
        ck_assert_uint_eq(sum(t, get32(t + 4)), 0);
    }
    free(copy[0]);
    free(copy[1]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("acpi");
    TCase *t = tcase_create("acpi");

    tcase_add_test(t, chain);
    tcase_add_test(t, madt);
    tcase_add_test(t, loader);
    tcase_add_test(t, too_many_cpus);
    suite_add_tcase(s, t);
    return check_main(s);
}
