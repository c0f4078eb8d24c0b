// SPDX-License-Identifier: MIT
// Log categories and file, counters, the big lock, byte copies.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/biglock.h"
#include "base/copy.h"
#include "base/log.h"
#include "base/stats.h"
#include "tests/unit/check_main.h"

START_TEST(mask_of_a_list)
{
    char bad[32] = "";
    ck_assert_int_eq(log_set_mask("mmu,pci", bad), 0);
    ck_assert_uint_eq(log_mask, 1u << LOG_mmu | 1u << LOG_pci);
    ck_assert(log_on(LOG_mmu) && !log_on(LOG_exec));
    ck_assert_int_lt(log_set_mask("mmu,nonsense_that_is_longer_than_the_buffer,pci", bad), 0);
    ck_assert_str_eq(bad, "nonsense_that_is_longer_than_th");
    ck_assert_uint_eq(log_mask, 1u << LOG_mmu | 1u << LOG_pci); // as it was
    ck_assert_int_lt(log_set_mask("mm", bad), 0);
    ck_assert_int_eq(log_set_mask("", bad), 0);
    ck_assert_uint_eq(log_mask, 0);
}
END_TEST

START_TEST(lines_in_a_file)
{
    char path[] = "ring3-log-XXXXXX", bad[32], text[64] = "";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(log_set_file(path), 0);
    log_set_mask("pci", bad);
    log_printf(LOG_pci, "one %d", 1);
    log_printf(LOG_mmu, "not this");
    log_printf(LOG_pci, "two\n");
    log_flush();
    ck_assert_int_eq(read(fd, text, sizeof(text) - 1), 10);
    ck_assert_str_eq(text, "one 1\ntwo\n");
    ck_assert_int_lt(log_set_file("/no/such/folder/log"), 0);
    ck_assert_int_eq(log_set_file(NULL), 0);
    close(fd);
    unlink(path);
}
END_TEST

START_TEST(counters_that_counted)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    memset(stats, 0, sizeof(stats));
    stat_inc(STAT_mmu_walks);
    stat_add(STAT_mmu_pf, 41);
    stat_inc(STAT_cpu_cpuid);
    stats_print(f);
    fclose(f);
    ck_assert_ptr_nonnull(strstr(text, "mmu\n  walks"));
    ck_assert_ptr_nonnull(strstr(text, " 41  page faults"));
    ck_assert_ptr_nonnull(strstr(text, "\ncpu\n  cpuid"));
    ck_assert_ptr_null(strstr(text, "mmio"));
    free(text);
}
END_TEST

START_TEST(lock_knows_its_thread)
{
    ck_assert(!big_lock_held());
    big_lock();
    ck_assert(big_lock_held());
    big_unlock();
    ck_assert(!big_lock_held());
}
END_TEST

START_TEST(copies_of_every_length)
{
    uint8_t from[600], to[600];
    for (unsigned i = 0; i < sizeof(from); i++) {
        from[i] = (uint8_t)(i * 13 + 1);
    }
    for (unsigned n = 0; n < 590; n++) {
        memset(to, 0xcc, sizeof(to));
        copy_bytes(to + 3, from + 1, n);
        ck_assert_mem_eq(to + 3, from + 1, n);
        ck_assert_uint_eq(to[2], 0xcc);
        ck_assert_uint_eq(to[n + 3], 0xcc);
        zero_bytes(to + 3, n);
        ck_assert(n == 0 || (to[3] == 0 && to[n + 2] == 0));
        ck_assert_uint_eq(to[n + 3], 0xcc);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("base");
    TCase *t = tcase_create("base");
    tcase_add_test(t, mask_of_a_list);
    tcase_add_test(t, lines_in_a_file);
    tcase_add_test(t, counters_that_counted);
    tcase_add_test(t, lock_knows_its_thread);
    tcase_add_test(t, copies_of_every_length);
    suite_add_tcase(s, t);
    return check_main(s);
}
