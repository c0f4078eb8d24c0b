// SPDX-License-Identifier: MIT
// An IRQ line: a wire from a device to an interrupt controller's input.
#pragma once

#include "base/types.h"
#include "base/vectors.h"

struct irq_line {
    void (*set)(void *opaque, unsigned n, bool level); // the controller's input function
    void *opaque;
    unsigned n;
};
// Drives the line. Big lock held. A zeroed line goes nowhere.
static inline void irq_set(const struct irq_line *l, bool level)
{
    vectors_save(); // who listens is not known here
    if (l->set)
        l->set(l->opaque, l->n, level);
}
