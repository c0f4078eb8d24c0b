// SPDX-License-Identifier: MIT
// The ACPI tables as an operating system finds them: signatures, lengths, checksums, and who points to whom.
#include "frontends/acpi.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static uint8_t area[ACPI_AREA_SIZE];
static const struct acpi_config cfg = { .cpus = 2,
                                        .lapic_base = 0xfee00000,
                                        .ioapic_base = 0xfec00000,
                                        .hpet_base = 0xfed00000,
                                        .pm_base = 0x600,
                                        .gpe_base = 0xafe0,
                                        .smi_cmd = 0xb2,
                                        .enable_cmd = 0xf1,
                                        .disable_cmd = 0xf0,
                                        .sci_irq = 9,
                                        .com_ports = 5 };

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
    static const char *const order[] = { "FACP", "APIC", "HPET" };
    const uint8_t *rsdp, *rsdt, *xsdt, *fadt;

    ck_assert_int_eq(acpi_build(&cfg, area), 0);
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
    ck_assert_uint_eq(area[ACPI_BOARD_FLAGS_ADDR - ACPI_AREA_BASE], 5);
}
END_TEST

// Every MADT entry has a length, and together they fill the table.
START_TEST(madt)
{
    unsigned seen[5] = { 0 };
    const uint8_t *t, *p, *end;

    ck_assert_int_eq(acpi_build(&cfg, area), 0);
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
    ck_assert_int_ne(acpi_build(&big, area), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("acpi");
    TCase *t = tcase_create("acpi");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_add_test(t, chain);
    tcase_add_test(t, madt);
    tcase_add_test(t, too_many_cpus);
    suite_add_tcase(s, t);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
