// SPDX-License-Identifier: MIT
// Fuzzes hw/acpi_pm.c and hw/reset_ports.c.
#include "hw/acpi_pm.h"

#include "hw/reset_ports.h"
#include "tests/fuzz/fuzz.h"

static struct acpi_pm *pm;
static struct reset_ports *rp;
static void nothing(void *opaque) {}
static void nothing_bool(void *opaque, bool b) {}

static void create(void)
{
    const struct acpi_pm_config cfg = {
        .ports = ports,
        .base = 0x600,
        .gpe_base = 0xafe0,
        .sci = bench_irq(9),
        .power_off = nothing,
        .smi = nothing,
    };
    pm = acpi_pm_create(&cfg);
    const struct reset_ports_config rc = {.ports = ports, .reset = nothing_bool, .set_a20 = nothing_bool};
    rp = reset_ports_create(&rc);
}

static void reset(void)
{
    acpi_pm_set_base(pm, 0x600, true);
    acpi_pm_reset(pm);
    reset_ports_reset(rp);
}

static void event(uint8_t a, uint8_t b)
{
    switch (a & 3) {
    case 0: acpi_pm_power_button(pm); break;
    case 1: acpi_pm_set_gpe(pm, b); break;
    case 2: acpi_pm_set_base(pm, (uint16_t)(b << 8 | a), a & 4); break;
    case 3: acpi_pm_set_sci_enabled(pm, b & 1); break;
    }
}

static const struct fuzz_target target = {
    "acpi_pm", {{false, 0x600, 16}, {false, 0xafe0, 4}, {false, 0xb2, 2}, {false, 0xcf9, 1}, {false, 0x92, 1}},
    create,    reset,
    event,     1,
};
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_run(&target, data, size); }
