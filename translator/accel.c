// SPDX-License-Identifier: MIT
// The accelerators by name.
#include "cpu/accel.h"

#include <string.h>

const struct accel_ops *accel_find(const char *name)
{
    static const struct accel_ops *const all[] = {&accel_bt, &accel_interp};
    for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
        if (!strcmp(all[i]->name, name))
            return all[i];
    return NULL;
}
