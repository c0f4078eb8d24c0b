// SPDX-License-Identifier: MIT
// Key-value arguments: splitting, the ',,' escape, typed getters, unused keys.
#include "frontends/keyval.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/check_main.h"

static struct keyval kv;
static struct err e;

START_TEST(splits)
{
    ck_assert_int_eq(keyval_parse(&kv, "virtio-blk-pci,drive=d0,readonly,serial=a=b", "driver", &e), 0);
    ck_assert_str_eq(keyval_get(&kv, "driver"), "virtio-blk-pci");
    ck_assert_str_eq(keyval_get(&kv, "drive"), "d0");
    ck_assert_str_eq(keyval_get(&kv, "readonly"), "on");
    ck_assert_str_eq(keyval_get(&kv, "serial"), "a=b");
    ck_assert_ptr_null(keyval_get(&kv, "nothing"));
    ck_assert_int_eq(keyval_check_used(&kv, "x", &e), 0);
    keyval_free(&kv);
}
END_TEST

START_TEST(commas)
{
    ck_assert_int_eq(keyval_parse(&kv, "file=a,,b,,,id=c,", NULL, &e), 0);
    ck_assert_str_eq(keyval_get(&kv, "file"), "a,b,");
    ck_assert_str_eq(keyval_get(&kv, "id"), "c");
    ck_assert_uint_eq(kv.count, 2);
    keyval_free(&kv);
    ck_assert_int_eq(keyval_parse(&kv, ",,", "driver", &e), 0);
    ck_assert_str_eq(keyval_get(&kv, "driver"), ",");
    keyval_free(&kv);
}
END_TEST

START_TEST(last_one_wins_and_unused_is_named)
{
    ck_assert_int_eq(keyval_parse(&kv, "a=1,a=2,colour=red", NULL, &e), 0);
    ck_assert_str_eq(keyval_get(&kv, "a"), "2");
    ck_assert_int_ne(keyval_check_used(&kv, "-thing", &e), 0);
    ck_assert_str_eq(e.text, "-thing: no property 'colour'");
    keyval_free(&kv);
}
END_TEST

START_TEST(refuses)
{
    char many[512] = "";

    ck_assert_int_ne(keyval_parse(&kv, "=x", NULL, &e), 0);
    for (int i = 0; i < KEYVAL_MAX + 1; i++)
        strcat(many, "k=v,");
    ck_assert_int_ne(keyval_parse(&kv, many, NULL, &e), 0);
}
END_TEST

START_TEST(sizes)
{
    static const struct {
        const char *text;
        int ret;
        uint64_t value;
    } rows[] = {
        {"512", 0, 512ull << 20},
        {"512M", 0, 512ull << 20},
        {"2G", 0, 2ull << 30},
        {"1.5g", 0, 3ull << 29},
        {"4096K", 0, 4 << 20},
        {"1GiB", 0, 1 << 30},
        {"7B", 0, 7},
        {"0x10", 0, 16ull << 20},
        {"", -1, 0},
        {"M", -1, 0},
        {"-1", -1, 0},
        {"12Q", -1, 0},
        {"12MM", -1, 0},
        {"99999999999999E", -1, 0},
        {"18446744073709551615", -1, 0},
        {"nan", -1, 0},
        {"1e400", -1, 0},
    };
    uint64_t v;

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        int ret = parse_size(rows[i].text, 1 << 20, &v);
        ck_assert_msg((ret == 0) == (rows[i].ret == 0), "'%s' gave %d", rows[i].text, ret);
        if (!ret)
            ck_assert_msg(v == rows[i].value, "'%s' gave %llu", rows[i].text, (unsigned long long)v);
    }
}
END_TEST

START_TEST(typed)
{
    bool b = false;
    uint64_t n = 7;
    unsigned u = 3;

    ck_assert_int_eq(keyval_parse(&kv, "a=on,b=off,c=maybe,d=0x1f0,e=12x,f=auto", NULL, &e), 0);
    ck_assert(!keyval_get_bool(&kv, "a", &b, &e) && b);
    ck_assert(!keyval_get_bool(&kv, "b", &b, &e) && !b);
    ck_assert(keyval_get_bool(&kv, "c", &b, &e));
    ck_assert(!keyval_get_uint(&kv, "d", &n, &e) && n == 0x1f0);
    ck_assert(keyval_get_uint(&kv, "e", &n, &e));
    n = 7;
    ck_assert(!keyval_get_uint(&kv, "absent", &n, &e) && n == 7);
    ck_assert(!keyval_get_on_off_auto(&kv, "a", &b, &e) && b);
    ck_assert(!keyval_get_on_off_auto(&kv, "f", &b, &e) && b);
    ck_assert(keyval_get_on_off_auto(&kv, "c", &b, &e));
    ck_assert(!keyval_get_range(&kv, "absent", 10, 20, &u, &e) && u == 3);
    ck_assert(!keyval_get_range(&kv, "d", 0x1f0, 0x1f0, &u, &e) && u == 0x1f0);
    ck_assert(keyval_get_range(&kv, "d", 0x1f1, 0x200, &u, &e));
    ck_assert(keyval_get_range(&kv, "d", 0, 0x1ef, &u, &e));
    keyval_free(&kv);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("keyval");
    TCase *t = tcase_create("keyval");

    tcase_add_test(t, splits);
    tcase_add_test(t, commas);
    tcase_add_test(t, last_one_wins_and_unused_is_named);
    tcase_add_test(t, refuses);
    tcase_add_test(t, sizes);
    tcase_add_test(t, typed);
    suite_add_tcase(s, t);
    return check_main(s);
}
