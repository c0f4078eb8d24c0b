// SPDX-License-Identifier: MIT
// The MC146818 real-time clock with 128 bytes of CMOS RAM.
//
// The calendar is not counted: it is a clock of the host plus an offset, which writes to the time
// registers change. While SET (or the divider's reset) stops the clock, the registers hold plain bytes.
// Flags are brought up to date when register C is read; host timers run only for enabled interrupts.
#include "hw/mc146818.h"

#include <stdlib.h>
#include <time.h>

#include "hw/timebase.h"

#define NS_PER_S 1000000000

// MC146818A data sheet, "Registers"; the century byte is IBM's.
// clang-format off
enum {
    RTC_SECONDS = 0, RTC_SECONDS_ALARM = 1, RTC_MINUTES = 2, RTC_MINUTES_ALARM = 3, RTC_HOURS = 4,
    RTC_HOURS_ALARM = 5, RTC_DAY_OF_WEEK = 6, RTC_DAY = 7, RTC_MONTH = 8, RTC_YEAR = 9,
    RTC_A = 10, RTC_B = 11, RTC_C = 12, RTC_D = 13, RTC_CENTURY = 0x32, RTC_SIZE = 128,
};
// clang-format on
// clang-format off
enum {
    A_UIP = 0x80, A_DV = 0x70, A_RS = 0x0f, A_DV_RESET = 0x60, A_DEFAULT = 0x26,
    B_SET = 0x80, B_PIE = 0x40, B_AIE = 0x20, B_UIE = 0x10, B_SQWE = 0x08, B_DM = 0x04, B_24H = 0x02,
    C_IRQF = 0x80, C_PF = 0x40, C_AF = 0x20, C_UF = 0x10,
    D_VRT = 0x80,
    HOURS_PM = 0x80, ALARM_ANY = 0xc0,
};
// clang-format on
// UIP rises 244 us before an update, which takes 1984 us with a 32 kHz crystal.
#define UIP_NS ((244 + 1984) * 1000)

struct mc146818 {
    struct mc146818_config cfg;
    uint8_t cmos[RTC_SIZE];
    uint8_t index;
    int64_t offset;       // ns: calendar = clock of the host + offset
    int64_t last_second;  // UF and AF are worked out up to here
    uint64_t last_period; // PF likewise
    struct loop_timer *second_timer, *periodic_timer;
    bool disconnected;
};

// --- time

static int64_t wall_ns(const struct mc146818 *r)
{
    if (r->cfg.vm_clock)
        return (int64_t)clock_now_ns();
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static int64_t rtc_ns(const struct mc146818 *r) { return wall_ns(r) + r->offset; }

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

static bool rtc_stopped(const struct mc146818 *r)
{
    return r->cmos[RTC_B] & B_SET || (r->cmos[RTC_A] & A_DV_RESET) == A_DV_RESET;
}

static uint8_t encode(const struct mc146818 *r, int v)
{
    return (uint8_t)(r->cmos[RTC_B] & B_DM ? v : (v / 10 % 10) << 4 | v % 10);
}

static int decode(const struct mc146818 *r, uint8_t v) { return r->cmos[RTC_B] & B_DM ? v : (v >> 4) * 10 + (v & 15); }

static uint8_t encode_hour(const struct mc146818 *r, int hour)
{
    if (r->cmos[RTC_B] & B_24H)
        return encode(r, hour);
    uint8_t v = encode(r, hour % 12 ? hour % 12 : 12);
    return hour >= 12 ? v | HOURS_PM : v;
}

static int decode_hour(const struct mc146818 *r, uint8_t v)
{
    if (r->cmos[RTC_B] & B_24H)
        return decode(r, v);
    return decode(r, v & ~HOURS_PM) % 12 + (v & HOURS_PM ? 12 : 0);
}

static void calendar_to_cmos(struct mc146818 *r, int64_t seconds)
{
    time_t t = seconds;
    struct tm tm;
    if (!gmtime_r(&t, &tm))
        return;
    int year = tm.tm_year + 1900;
    r->cmos[RTC_SECONDS] = encode(r, tm.tm_sec);
    r->cmos[RTC_MINUTES] = encode(r, tm.tm_min);
    r->cmos[RTC_HOURS] = encode_hour(r, tm.tm_hour);
    r->cmos[RTC_DAY_OF_WEEK] = encode(r, tm.tm_wday + 1);
    r->cmos[RTC_DAY] = encode(r, tm.tm_mday);
    r->cmos[RTC_MONTH] = encode(r, tm.tm_mon + 1);
    r->cmos[RTC_YEAR] = encode(r, year % 100);
    r->cmos[RTC_CENTURY] = encode(r, year / 100);
}

// Whatever bytes the guest stored; timegm() brings them into range.
static int64_t calendar_from_cmos(const struct mc146818 *r)
{
    struct tm tm = {
        .tm_sec = decode(r, r->cmos[RTC_SECONDS]),
        .tm_min = decode(r, r->cmos[RTC_MINUTES]),
        .tm_hour = decode_hour(r, r->cmos[RTC_HOURS]),
        .tm_mday = decode(r, r->cmos[RTC_DAY]),
        .tm_mon = decode(r, r->cmos[RTC_MONTH]) - 1,
        .tm_year = decode(r, r->cmos[RTC_CENTURY]) * 100 + decode(r, r->cmos[RTC_YEAR]) - 1900,
    };
    return timegm(&tm);
}

// --- flags and interrupts

// The first second after `after` at which the alarm matches; fields of C0h and above match anything.
static int64_t alarm_next(const struct mc146818 *r, int64_t after)
{
    uint8_t sa = r->cmos[RTC_SECONDS_ALARM], ma = r->cmos[RTC_MINUTES_ALARM], ha = r->cmos[RTC_HOURS_ALARM];
    int hour = ha >= ALARM_ANY ? -1 : decode_hour(r, ha);
    int minute = ma >= ALARM_ANY ? -1 : decode(r, ma), second = sa >= ALARM_ANY ? -1 : decode(r, sa);
    if (hour > 23 || minute > 59 || second > 59)
        return INT64_MAX;
    for (int64_t t = after + 1; t <= after + 2 * 86400;) {
        int of_day = (int)(t - floor_div(t, 86400) * 86400);
        if (hour >= 0 && of_day / 3600 != hour)
            t += 3600 - of_day % 3600;
        else if (minute >= 0 && of_day / 60 % 60 != minute)
            t += 60 - of_day % 60;
        else if (second >= 0 && of_day % 60 != second)
            t++;
        else
            return t;
    }
    return INT64_MAX;
}

// The periodic rate in ticks of 32768 Hz; 0: none. Data sheet, table 5.
static unsigned period_ticks(const struct mc146818 *r)
{
    unsigned rs = r->cmos[RTC_A] & A_RS;
    if (!rs || (r->cmos[RTC_A] & A_DV_RESET) == A_DV_RESET)
        return 0;
    return 1u << (rs <= 2 ? rs + 6 : rs - 1);
}

static void update_irq(struct mc146818 *r)
{
    uint8_t *c = &r->cmos[RTC_C];
    bool active = *c & r->cmos[RTC_B] & (C_PF | C_AF | C_UF);
    *c = (uint8_t)(active ? *c | C_IRQF : *c & ~C_IRQF);
    irq_set(&r->cfg.irq, active && !r->disconnected);
}

static void flags_update(struct mc146818 *r)
{
    unsigned period = period_ticks(r);
    if (period) {
        uint64_t n = timebase_ticks(clock_now_ns(), 32768) / period;
        if (n != r->last_period)
            r->cmos[RTC_C] |= C_PF;
        r->last_period = n;
    }
    if (!rtc_stopped(r)) {
        int64_t now = floor_div(rtc_ns(r), NS_PER_S);
        if (now != r->last_second) {
            r->cmos[RTC_C] |= C_UF;
            if (alarm_next(r, r->last_second) <= now)
                r->cmos[RTC_C] |= C_AF;
        }
        r->last_second = now;
    }
    update_irq(r);
}

static void arm_second(struct mc146818 *r)
{
    uint8_t b = r->cmos[RTC_B];
    if (rtc_stopped(r) || !(b & (B_UIE | B_AIE))) {
        loop_timer_del(r->second_timer);
        return;
    }
    int64_t now = rtc_ns(r), second = floor_div(now, NS_PER_S);
    int64_t next = b & B_UIE ? second + 1 : alarm_next(r, second);
    // Looks again after a minute: the host's wall clock may have been set.
    int64_t wait = next > second + 60 ? (int64_t)60 * NS_PER_S : next * NS_PER_S - now;
    timebase_arm(r->second_timer, clock_now_ns(), clock_now_ns() + (uint64_t)wait);
}

static void arm_periodic(struct mc146818 *r)
{
    unsigned period = period_ticks(r);
    if (!period || !(r->cmos[RTC_B] & B_PIE)) {
        loop_timer_del(r->periodic_timer);
        return;
    }
    uint64_t now = clock_now_ns(), n = timebase_ticks(now, 32768) / period + 1;
    timebase_arm(r->periodic_timer, now, timebase_ns(n * period, 32768));
}

static void second_fired(void *opaque)
{
    flags_update(opaque);
    arm_second(opaque);
}

static void periodic_fired(void *opaque)
{
    flags_update(opaque);
    arm_periodic(opaque);
}

// Sets the calendar; phase is where in the second the clock stands.
static void set_calendar(struct mc146818 *r, int64_t seconds, int64_t phase)
{
    // Nanoseconds since 1970 in 64 bits reach the year 2262; what the byte registers can hold goes further.
    if (seconds > 7000000000 || seconds < -7000000000)
        seconds = 0;
    r->offset = seconds * NS_PER_S + phase - wall_ns(r);
    r->last_second = seconds;
}

// --- registers

static bool is_calendar(unsigned index)
{
    return index == RTC_CENTURY ||
           (index <= RTC_YEAR && index != RTC_SECONDS_ALARM && index != RTC_MINUTES_ALARM && index != RTC_HOURS_ALARM);
}

static void refresh(struct mc146818 *r)
{
    if (!rtc_stopped(r))
        calendar_to_cmos(r, floor_div(rtc_ns(r), NS_PER_S));
}

static uint8_t rtc_read(struct mc146818 *r, unsigned index)
{
    if (is_calendar(index)) {
        refresh(r);
        return r->cmos[index];
    }
    switch (index) {
    case RTC_A: {
        int64_t now = rtc_ns(r);
        bool updating = !rtc_stopped(r) && now - floor_div(now, NS_PER_S) * NS_PER_S >= NS_PER_S - UIP_NS;
        return (uint8_t)(r->cmos[RTC_A] | (updating ? A_UIP : 0));
    }
    case RTC_C: {
        flags_update(r);
        uint8_t v = r->cmos[RTC_C];
        r->cmos[RTC_C] = 0;
        update_irq(r);
        return v;
    }
    case RTC_D: return D_VRT;
    default: return r->cmos[index];
    }
}

// A or B: the clock may stop (registers take the time) or start (the time takes the registers).
static void rtc_write_control(struct mc146818 *r, unsigned index, uint8_t v)
{
    flags_update(r);
    bool was_stopped = rtc_stopped(r), divider_was_reset = (r->cmos[RTC_A] & A_DV_RESET) == A_DV_RESET;
    refresh(r);
    int64_t seconds = calendar_from_cmos(r);
    int64_t now = rtc_ns(r), phase = now - floor_div(now, NS_PER_S) * NS_PER_S;
    r->cmos[index] = index == RTC_A ? v & ~A_UIP : v & B_SET ? v & ~B_UIE : v;
    if (was_stopped && !rtc_stopped(r)) {
        // The registers are read as they now are to be read: DM and 24/12 may change with SET.
        // "The first update cycle begins one-half second" after the divider's reset is released.
        set_calendar(r, calendar_from_cmos(r), divider_was_reset ? NS_PER_S / 2 : phase);
    } else if (rtc_stopped(r) && !was_stopped) {
        calendar_to_cmos(r, seconds);
    }
    update_irq(r);
    arm_second(r);
    arm_periodic(r);
}

static void rtc_write(struct mc146818 *r, unsigned index, uint8_t v)
{
    switch (index) {
    case RTC_A:
    case RTC_B: rtc_write_control(r, index, v); return;
    case RTC_C:
    case RTC_D: return; // read-only
    }
    if (!is_calendar(index)) {
        bool alarm = index <= RTC_HOURS_ALARM;
        if (alarm)
            flags_update(r); // up to now by the old alarm
        r->cmos[index] = v;
        if (alarm)
            arm_second(r);
        return;
    }
    refresh(r);
    r->cmos[index] = v;
    if (!rtc_stopped(r)) {
        int64_t now = rtc_ns(r);
        set_calendar(r, calendar_from_cmos(r), now - floor_div(now, NS_PER_S) * NS_PER_S);
        arm_second(r);
    }
}

static uint64_t mc146818_read(void *opaque, uint64_t offset, unsigned size)
{
    struct mc146818 *r = opaque;
    return offset == 0 ? 0xff : rtc_read(r, r->index); // the index is write-only
}

static void mc146818_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct mc146818 *r = opaque;
    if (offset == 0)
        r->index = value & 0x7f; // bit 7 masks NMI, of which nothing here makes any
    else
        rtc_write(r, r->index, (uint8_t)value);
}

static const struct io_ops mc146818_ops = {
    .read = mc146818_read,
    .write = mc146818_write,
    .min_size = 1,
    .max_size = 1,
};

// --- for the board

void mc146818_set_cmos(struct mc146818 *r, unsigned index, uint8_t value)
{
    if (index < RTC_SIZE)
        r->cmos[index] = value;
}

uint8_t mc146818_get_cmos(struct mc146818 *r, unsigned index)
{
    if (index >= RTC_SIZE)
        return 0xff;
    if (is_calendar(index))
        refresh(r);
    return r->cmos[index];
}

int64_t mc146818_get_time(const struct mc146818 *r)
{
    return rtc_stopped(r) ? calendar_from_cmos(r) : floor_div(rtc_ns(r), NS_PER_S);
}

void mc146818_disconnect_irq(struct mc146818 *r, bool disconnected)
{
    r->disconnected = disconnected;
    update_irq(r);
}

void mc146818_reset(struct mc146818 *r)
{
    // Data sheet, "RESET": interrupt enables, their flags and SQWE; time and RAM are kept.
    r->cmos[RTC_B] &= (uint8_t) ~(B_PIE | B_AIE | B_UIE | B_SQWE);
    r->cmos[RTC_C] = 0;
    r->index = 0;
    r->disconnected = false;
    update_irq(r);
    arm_second(r);
    arm_periodic(r);
}

static int64_t initial_seconds(const struct mc146818_config *cfg)
{
    time_t now = time(NULL);
    struct tm tm;
    if (cfg->time_base == RTC_BASE_DATE)
        return cfg->date;
    if (cfg->time_base == RTC_BASE_LOCALTIME && localtime_r(&now, &tm))
        return now + tm.tm_gmtoff;
    return now;
}

struct mc146818 *mc146818_create(const struct mc146818_config *cfg)
{
    struct mc146818 *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->cfg = *cfg;
    r->cmos[RTC_A] = A_DEFAULT;
    r->cmos[RTC_B] = B_24H;
    r->second_timer = loop_timer_new(second_fired, r);
    r->periodic_timer = loop_timer_new(periodic_fired, r);
    if (!r->second_timer || !r->periodic_timer ||
        !as_map_io(cfg->ports, "mc146818", cfg->base, 2, &mc146818_ops, r, 0)) {
        loop_timer_free(r->second_timer);
        loop_timer_free(r->periodic_timer);
        free(r);
        return NULL;
    }
    int64_t wall = wall_ns(r);
    // Following the wall clock means its fraction of a second, too.
    set_calendar(r, initial_seconds(cfg), cfg->vm_clock ? 0 : wall - floor_div(wall, NS_PER_S) * NS_PER_S);
    return r;
}
