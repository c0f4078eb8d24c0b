// SPDX-License-Identifier: MIT
// Code addresses: linear address and CS base in one number, IPs that wrap, limits in the mode.
#include <stdlib.h>

#include "translator/code_addr.h"
#include "tests/unit/check_main.h"

enum { REAL16 = MODE_REAL, PM32 = MODE_CS32 };

START_TEST(flat_is_itself)
{
    ck_assert_uint_eq(code_addr(0, 0x401000), 0x401000);
    ck_assert_uint_eq(code_rip(PM32, 0x401000), 0x401000);
    ck_assert_uint_eq(code_target(MODE_CS64, 0x7fff00000ff0, 5, -0x10, 8), 0x7fff00000fe5);
    ck_assert_uint_eq(code_next(MODE_CS64, 0xfffffffffffffff0, 16), 0);
}
END_TEST

START_TEST(base_and_offset)
{
    gva at = code_addr(0xf0000, 0xfff0);
    ck_assert_uint_eq(code_linear(REAL16, at), 0xffff0);
    ck_assert_uint_eq(code_rip(REAL16, at), 0xfff0);
    at = code_addr(0xffff0000, 0xfff0); // after reset
    ck_assert_uint_eq(code_linear(REAL16, at), 0xfffffff0);
    ck_assert_uint_eq(code_rip(REAL16, at), 0xfff0);
    at = code_addr(0xffff0, 0xffff); // beyond 1 MiB
    ck_assert_uint_eq(code_linear(REAL16, at), 0x10ffef);
    at = code_addr(0xfffff000, 0x2000); // linear addresses wrap at 4 GiB
    ck_assert_uint_eq(code_linear(PM32, at), 0x1000);
    ck_assert_uint_eq(code_rip(PM32, at), 0x2000);
}
END_TEST

START_TEST(wraps)
{
    gva at = code_addr(0x12340, 0xfffe);
    ck_assert_uint_eq(code_next(REAL16, at, 2), code_addr(0x12340, 0));
    ck_assert_uint_eq(code_next(PM32, at, 2), code_addr(0x12340, 0x10000));
    ck_assert_uint_eq(code_target(REAL16, at, 2, 0x10, 2), code_addr(0x12340, 0x10));
    ck_assert_uint_eq(code_target(REAL16, code_addr(0x12340, 0), 2, -4, 2), code_addr(0x12340, 0xfffe));
    ck_assert_uint_eq(code_target(REAL16, at, 2, 0x10, 4), code_addr(0x12340, 0x10010)); // 66h: not cut
    ck_assert_uint_eq(code_target(PM32, code_addr(0x1000, 0x12345), 4, 0, 2), code_addr(0x1000, 0x2349));
}
END_TEST

START_TEST(limits)
{
    static struct cpu cpu;
    cpu.mode = REAL16;
    cpu.seg[CS].limit = 0xffff;
    ck_assert_uint_eq(code_limit(code_mode(&cpu)), 0xffff);
    cpu.seg[CS].limit = 0xffffffff;
    ck_assert_uint_eq(code_mode(&cpu), REAL16); // 4 GiB is no limit, and the mode word alone
    ck_assert_uint_eq(code_limit(code_mode(&cpu)), 0xffffffff);
    cpu.mode = MODE_CS64;
    cpu.seg[CS].limit = 0;
    ck_assert_uint_eq(code_mode(&cpu), MODE_CS64);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("code_addr");
    TCase *t = tcase_create("code_addr");
    tcase_add_test(t, flat_is_itself);
    tcase_add_test(t, base_and_offset);
    tcase_add_test(t, wraps);
    tcase_add_test(t, limits);
    suite_add_tcase(s, t);
    return check_main(s);
}
