// SPDX-License-Identifier: MIT
// The end of a test program's main(): runs what it has put together, and says how it went.
#pragma once

#include <check.h>
#include <stdlib.h>

// Runs the suite and frees it. Returns main()'s status.
static inline int check_main(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

// A suite of tests that all begin and end the same way, each a test case of its own name.
struct check_list {
    const char *name;
    const TTest *const *tests;
    unsigned count;
    SFun set_up, tear_down; // NULL: nothing to do
    double timeout;         // seconds; 0: the library's
};

static inline int check_list_main(struct check_list l)
{
    Suite *suite = suite_create(l.name);

    for (unsigned i = 0; i < l.count; i++) {
        TCase *t = tcase_create(l.tests[i]->name);

        if (l.timeout > 0)
            tcase_set_timeout(t, l.timeout);
        tcase_add_checked_fixture(t, l.set_up, l.tear_down);
        tcase_add_test(t, l.tests[i]);
        suite_add_tcase(suite, t);
    }
    return check_main(suite);
}
