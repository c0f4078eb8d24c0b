// SPDX-License-Identifier: MIT
// ACPI fixed hardware as the PIIX4 has it: PM1a events and control, PM timer, GPE0, SMI_CMD.
#include "hw/acpi_pm.h"

#include <stdlib.h>

#include "hw/timebase.h"

enum { PM1_STS = 0, PM1_EN = 2, PM1_CNT = 4, PM_TMR = 8 };
// clang-format off
enum {
    TMR_STS = BIT(0), BM_STS = BIT(4), GBL_STS = BIT(5), PWRBTN_STS = BIT(8), SLPBTN_STS = BIT(9),
    RTC_STS = BIT(10),
    PCIEXP_WAKE_STS = BIT(14), WAK_STS = BIT(15),
    PM1_STS_ALL = TMR_STS | BM_STS | GBL_STS | PWRBTN_STS | SLPBTN_STS | RTC_STS | WAK_STS,
    PM1_EN_ALL = TMR_STS | GBL_STS | PWRBTN_STS | SLPBTN_STS | RTC_STS,
    SCI_EN = BIT(0), GBL_RLS = BIT(2), SLP_TYP_SHIFT = 10, SLP_EN = BIT(13),
};
// clang-format on
enum { APM_CNT = 0, APM_STS = 1, PIIX4_ENABLE = 0xf1, PIIX4_DISABLE = 0xf0 };

struct acpi_pm {
    struct acpi_pm_config cfg;
    struct region *block;
    uint16_t sts, en, cnt;
    uint16_t gpe_sts, gpe_en;
    uint8_t apm_cnt, apm_sts;
    uint64_t msb_toggles;     // of the timer, counted up to here
    struct loop_timer *timer; // for TMR_STS while its event is enabled
};

// --- timer and SCI

static unsigned timer_bits(const struct acpi_pm *p) { return p->cfg.timer_32bit ? 32 : 24; }

static uint64_t timer_ticks(void) { return timebase_ticks(clock_now_ns(), ACPI_PM_TIMER_HZ); }

// "TMR_STS is set any time the most significant bit of the timer changes" (ACPI 1.0b, 4.7.3.1.1).
static void timer_update(struct acpi_pm *p)
{
    uint64_t toggles = timer_ticks() >> (timer_bits(p) - 1);
    if (toggles != p->msb_toggles)
        p->sts |= TMR_STS;
    p->msb_toggles = toggles;
}

static void update(struct acpi_pm *p)
{
    timer_update(p);
    bool sci = (p->sts & p->en & PM1_EN_ALL) || (p->gpe_sts & p->gpe_en);
    irq_set(&p->cfg.sci, sci && p->cnt & SCI_EN);
    if (p->en & TMR_STS && !(p->sts & TMR_STS)) {
        uint64_t next = (p->msb_toggles + 1) << (timer_bits(p) - 1);
        timebase_arm(p->timer, clock_now_ns(), timebase_ns(next, ACPI_PM_TIMER_HZ));
    } else {
        loop_timer_del(p->timer);
    }
}

static void timer_fired(void *opaque) { update(opaque); }

// --- PM block: 8-bit accesses are combined here, since status bits are cleared byte by byte

static uint8_t pm_read_byte(struct acpi_pm *p, uint64_t offset)
{
    unsigned shift = offset & 1 ? 8 : 0;
    switch (offset & ~1ull) {
    case PM1_STS: return (uint8_t)(p->sts >> shift);
    case PM1_EN: return (uint8_t)(p->en >> shift);
    case PM1_CNT: return (uint8_t)(p->cnt >> shift);
    default: return 0;
    }
}

static uint64_t pm_read(void *opaque, uint64_t offset, unsigned size)
{
    struct acpi_pm *p = opaque;
    if (offset >= PM_TMR && offset < PM_TMR + 4) {
        uint64_t v = timer_ticks() & (BIT(timer_bits(p)) - 1);
        return v >> 8 * (offset - PM_TMR);
    }
    timer_update(p);
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)pm_read_byte(p, offset + i) << 8 * i;
    return v;
}

static void put_byte(uint16_t *reg, uint64_t offset, uint8_t v)
{
    *reg = (uint16_t)(offset & 1 ? (*reg & 0x00ff) | v << 8 : (*reg & 0xff00) | v);
}

static void control_written(struct acpi_pm *p)
{
    bool sleep = p->cnt & SLP_EN;
    unsigned type = p->cnt >> SLP_TYP_SHIFT & 7;
    p->cnt &= (uint16_t) ~(SLP_EN | GBL_RLS); // write-only
    if (sleep && type == p->cfg.slp_typ_s5 && p->cfg.power_off)
        p->cfg.power_off(p->cfg.opaque);
}

static void pm_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    vectors_save(); // what may follow is the machine's
    struct acpi_pm *p = opaque;
    bool control = false;
    timer_update(p);
    for (unsigned i = 0; i < size; i++, offset++) {
        uint8_t v = (uint8_t)(value >> 8 * i);
        switch (offset & ~1ull) {
        case PM1_STS: p->sts &= (uint16_t) ~(v << (offset & 1 ? 8 : 0)); break;
        case PM1_EN:
            put_byte(&p->en, offset, v);
            p->en &= PM1_EN_ALL;
            break;
        case PM1_CNT:
            put_byte(&p->cnt, offset, v);
            control = true;
            break;
        }
    }
    if (control)
        control_written(p);
    update(p);
}

// --- GPE0 and SMI_CMD

static uint64_t gpe_read(void *opaque, uint64_t offset, unsigned size)
{
    struct acpi_pm *p = opaque;
    uint16_t v = offset < 2 ? p->gpe_sts : p->gpe_en;
    return v >> (offset & 1 ? 8 : 0) & 0xff;
}

static void gpe_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct acpi_pm *p = opaque;
    if (offset < 2)
        p->gpe_sts &= (uint16_t) ~((value & 0xff) << (offset & 1 ? 8 : 0));
    else
        put_byte(&p->gpe_en, offset, (uint8_t)value);
    update(p);
}

static uint64_t apm_read(void *opaque, uint64_t offset, unsigned size)
{
    struct acpi_pm *p = opaque;
    return offset == APM_CNT ? p->apm_cnt : p->apm_sts;
}

static void apm_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    vectors_save(); // what may follow is the machine's
    struct acpi_pm *p = opaque;
    uint8_t v = (uint8_t)value;
    if (offset == APM_STS) {
        p->apm_sts = v;
        return;
    }
    p->apm_cnt = v;
    if (v == p->cfg.enable_cmd)
        acpi_pm_set_sci_enabled(p, true);
    else if (v == p->cfg.disable_cmd)
        acpi_pm_set_sci_enabled(p, false);
    if (p->cfg.smi)
        p->cfg.smi(p->cfg.opaque);
}

static const struct io_ops pm_ops = {
    .read = pm_read, .write = pm_write, .min_size = 1, .max_size = 4, .gpr_only = true};
static const struct io_ops gpe_ops = {
    .read = gpe_read, .write = gpe_write, .min_size = 1, .max_size = 1, .gpr_only = true};
static const struct io_ops apm_ops = {
    .read = apm_read, .write = apm_write, .min_size = 1, .max_size = 1, .gpr_only = true};

// --- for the board

void acpi_pm_set_sci_enabled(struct acpi_pm *p, bool enabled)
{
    p->cnt = (uint16_t)(enabled ? p->cnt | SCI_EN : p->cnt & ~SCI_EN);
    update(p);
}

bool acpi_pm_hears_power_button(const struct acpi_pm *p) { return p->en & PWRBTN_STS; }

bool acpi_pm_power_button(struct acpi_pm *p)
{
    p->sts |= PWRBTN_STS;
    update(p);
    return acpi_pm_hears_power_button(p);
}

void acpi_pm_set_gpe(struct acpi_pm *p, unsigned bit)
{
    if (bit < 16)
        p->gpe_sts |= (uint16_t)(1u << bit);
    update(p);
}

void acpi_pm_set_base(struct acpi_pm *p, uint16_t base, bool enabled)
{
    base &= (uint16_t) ~(ACPI_PM_SIZE - 1);
    if (base)
        as_move(p->block, base);
    as_set_enabled(p->block, enabled && base);
}

void acpi_pm_reset(struct acpi_pm *p)
{
    p->sts = p->en = p->cnt = p->gpe_sts = p->gpe_en = 0;
    p->apm_cnt = p->apm_sts = 0;
    p->msb_toggles = timer_ticks() >> (timer_bits(p) - 1);
    update(p);
}

struct acpi_pm *acpi_pm_create(const struct acpi_pm_config *cfg)
{
    struct acpi_pm *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->cfg = *cfg;
    if (!cfg->enable_cmd && !cfg->disable_cmd) {
        p->cfg.enable_cmd = PIIX4_ENABLE;
        p->cfg.disable_cmd = PIIX4_DISABLE;
    }
    p->timer = loop_timer_new(timer_fired, p);
    // Without a base yet it waits, disabled, at an address that no other device has.
    p->block = as_map_io(cfg->ports, "acpi-pm", cfg->base ? cfg->base : 0xb000, ACPI_PM_SIZE, &pm_ops, p, 0);
    if (!p->timer || !p->block || !as_map_io(cfg->ports, "apm", ACPI_SMI_CMD, 2, &apm_ops, p, 0) ||
        (cfg->gpe_base && !as_map_io(cfg->ports, "acpi-gpe0", cfg->gpe_base, 4, &gpe_ops, p, 0)))
        return NULL; // start-up fails as a whole: nothing is taken apart
    if (!cfg->base)
        as_set_enabled(p->block, false);
    acpi_pm_reset(p);
    return p;
}
