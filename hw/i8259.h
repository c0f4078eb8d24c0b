// SPDX-License-Identifier: MIT
// The pair of 8259A interrupt controllers of a PC, with the ELCR of the ISA bridge.
// Intel 8259A data sheet (231468-003); 82371AB (PIIX4) data sheet, section 4.1.3 for the ELCR.
#pragma once

#include "hw/irq.h"
#include "softmmu/address_space.h"

struct i8259;

// Maps 20h-21h, A0h-A1h, 4D0h-4D1h. intr is the master's INT output (to LINT0 of the local APICs).
// NULL if out of memory.
struct i8259 *i8259_create(struct address_space *ports, struct irq_line intr);
void i8259_reset(struct i8259 *p);
// An irq_line set function: n is 0 to 15 (2 is the cascade and is ignored).
void i8259_set_irq(void *opaque, unsigned n, bool level);
// The CPU's INTA cycles: the vector, always valid (a spurious one is IRQ 7 of the master or slave).
int i8259_acknowledge(void *opaque);
bool i8259_requested(const struct i8259 *p, unsigned n); // latched, not masked, and not yet taken by the CPU
bool i8259_int_output(const struct i8259 *p);
// `info pic`: one line per chip.
void i8259_info(const struct i8259 *p, void (*print)(void *opaque, const char *line), void *opaque);
