// SPDX-License-Identifier: MIT
// A 16550A serial port in front of a chardev.
// National Semiconductor PC16550D data sheet (1995).
#pragma once

#include "hw/chardev.h"
#include "hw/irq.h"
#include "softmmu/address_space.h"

struct uart_16550_config {
    struct address_space *as; // ports (or memory)
    uint64_t base;            // 3F8h, 2F8h, 3E8h, 2E8h
    struct irq_line irq;      // 4, 3, 4, 3
    struct chardev *chr;      // NULL: nothing is connected
};

struct uart_16550;

struct uart_16550 *uart_16550_create(const struct uart_16550_config *cfg); // NULL if out of memory
void uart_16550_reset(struct uart_16550 *u);
// Hands gathered output to the chardev now: before the process ends, or the machine stops.
void uart_16550_flush(struct uart_16550 *u);
