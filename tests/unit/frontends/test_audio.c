// SPDX-License-Identifier: MIT
// -audiodev wav: the file says how much sound there is, and nothing asks for sound without the big lock, under which the
// file is closed.
#include "base/biglock.h"
#include "base/loop.h"
#include "frontends/audio.h"
#include "frontends/le_bytes.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/check_main.h"

static sem_t asked;
static size_t samples_given;
static unsigned without_lock;

static void source(void *opaque, int16_t *samples, unsigned count)
{
    without_lock += !big_lock_held();
    for (unsigned i = 0; i < count; i++)
        samples[i] = (int16_t)(samples_given + i);
    samples_given += count;
    sem_post(&asked);
}

START_TEST(wav)
{
    char path[] = "/tmp/ring3-test-wav-XXXXXX";
    uint8_t file[1 << 16];
    struct err e;
    void *state;
    size_t len;
    FILE *f;

    ck_assert_int_ge(close(mkstemp(path)), 0);
    sem_init(&asked, 0, 0);
    ck_assert_int_eq(loop_init(), 0);
    ck_assert_int_eq(audio_wav.open(path, source, NULL, &state, &e), 0);
    ck_assert_int_eq(loop_start(), 0);
    for (unsigned i = 0; i < 3; i++)
        sem_wait(&asked);
    audio_wav.close(state);
    loop_stop();
    ck_assert_uint_eq(without_lock, 0);

    f = fopen(path, "rb");
    ck_assert_ptr_nonnull(f);
    len = fread(file, 1, sizeof(file), f);
    fclose(f);
    unlink(path);
    ck_assert_uint_ge(len, 44 + 3 * 2);
    ck_assert_mem_eq(file, "RIFF", 4);
    ck_assert_uint_eq(get_le(file + 4, 4), 36 + 2 * samples_given);
    ck_assert_uint_eq(get_le(file + 24, 4), AUDIO_RATE);
    ck_assert_uint_eq(get_le(file + 40, 4), 2 * samples_given);
    for (size_t i = 0; 44 + 2 * i + 1 < len; i++)
        ck_assert_uint_eq(get_le(file + 44 + 2 * i, 2), i & 0xffff);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("audio");
    TCase *t = tcase_create("audio");

    tcase_add_test(t, wav);
    suite_add_tcase(s, t);
    return check_main(s);
}
