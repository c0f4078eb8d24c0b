// SPDX-License-Identifier: MIT
// Tests of hw/pcspk.c with the real timer and port 61h.
#include "hw/pcspk.h"

#include "tests/unit/hw/harness.h"

enum { RATE = 44100, SECOND = RATE };

static struct pcspk *speaker;
static int16_t samples[SECOND];

static void start(void)
{
    struct i8254 *t = i8254_create(ports, 0x40, (struct irq_line){0});
    speaker = pcspk_create(t, port_b_create(ports, t));
}

static void tone(uint16_t divisor)
{
    outb(0x43, 0xb6); // counter 2, mode 3
    outb(0x42, (uint8_t)divisor);
    outb(0x42, divisor >> 8);
}

// Rising edges in a second of sound; -1: silence.
static int hertz(void)
{
    int rises = 0, loud = 0;

    pcspk_render(speaker, samples, SECOND, RATE);
    for (unsigned i = 1; i < SECOND; i++) {
        rises += samples[i - 1] < 0 && samples[i] > 0;
        loud |= samples[i];
    }
    return loud ? rises : -1;
}

START_TEST(tones)
{
    start();
    ck_assert_int_eq(hertz(), -1);
    tone(1193182 / 440);
    ck_assert_int_eq(hertz(), -1); // neither gate nor switch
    outb(0x61, 0x03);
    ck_assert_int_ge(hertz(), 438);
    ck_assert_int_le(hertz(), 441);
    outb(0x61, 0x01); // the timer runs, unheard
    ck_assert_int_eq(hertz(), -1);
    outb(0x61, 0x02); // the gate is low
    ck_assert_int_eq(hertz(), -1);
    outb(0x61, 0x03);
    tone(1193);
    ck_assert_int_ge(hertz(), 998);
    ck_assert_int_le(hertz(), 1001);
}
END_TEST

START_TEST(what_no_speaker_can_play)
{
    start();
    outb(0x61, 0x03);
    tone(20); // 60 kHz
    ck_assert_int_eq(hertz(), -1);
    outb(0x43, 0xb0); // mode 0: no wave
    outb(0x42, 0x00);
    outb(0x42, 0x10);
    ck_assert_int_eq(hertz(), -1);
    tone(0); // 65536: the lowest
    ck_assert_int_eq(hertz(), 18);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {tones, what_no_speaker_can_play};
    return bench_main("pcspk", tests, ARRAY_SIZE(tests));
}
