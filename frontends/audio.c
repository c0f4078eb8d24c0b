// SPDX-License-Identifier: MIT
// -audiodev: the drivers, and the one that writes a WAV file.
#include "frontends/audio.h"

#include "base/biglock.h"
#include "base/log.h"
#include "hw/pcspk.h"
#include "hw/timebase.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct audio_driver *const drivers[] = {
    &audio_none,
    &audio_wav,
#if RING3_HAVE_SDL
    &audio_sdl,
#endif
};

struct audio {
    const struct audio_driver *driver;
    struct pcspk *speaker;
    void *state;
};

static const struct audio_driver *driver_find(const char *name)
{
    for (unsigned i = 0; name && i < ARRAY_SIZE(drivers); i++)
        if (!strcmp(drivers[i]->name, name))
            return drivers[i];
    return NULL;
}

void audio_print_help(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(drivers); i++)
        printf("%-8s %s\n", drivers[i]->name, drivers[i]->help);
}

int audio_check(struct keyval *kv, struct err *e)
{
    const char *name = keyval_get(kv, "driver"), *path = keyval_get(kv, "path");
    const struct audio_driver *d = driver_find(name);

    if (!d)
        return err_set(e, "-audiodev: there is no driver '%.60s' (-audiodev help lists them)", name ? name : "");
    if (!keyval_get(kv, "id"))
        return err_set(e, "-audiodev %s: id= is missing", d->name);
    if (d->file && !path)
        return err_set(e, "-audiodev %s: path= is missing", d->name);
    if (!d->file && path)
        return err_set(e, "-audiodev %s: no property 'path'", d->name);
    return keyval_check_used(kv, "-audiodev", e);
}

static void render(void *opaque, int16_t *samples, unsigned count)
{
    pcspk_render(((struct audio *)opaque)->speaker, samples, count, AUDIO_RATE);
}

int audio_open(struct keyval *kv, struct pcspk *speaker, struct audio **out, struct err *e)
{
    struct audio *a = calloc(1, sizeof(*a));
    struct err why;

    if (!a)
        return err_set(e, "out of memory");
    a->driver = driver_find(keyval_get(kv, "driver"));
    a->speaker = speaker;
    if (a->driver->open(keyval_get(kv, "path"), render, a, &a->state, &why)) {
        err_set(e, "-audiodev %s: %.200s", a->driver->name, why.text);
        free(a);
        return -EINVAL;
    }
    *out = a;
    return 0;
}

void audio_close(struct audio *a)
{
    if (!a)
        return;
    a->driver->close(a->state);
    free(a);
}

// --- none

static int none_open(const char *path, audio_source *source, void *opaque, void **state, struct err *e) { return 0; }

static void none_close(void *state) {}

const struct audio_driver audio_none = {"none", "silence", false, none_open, none_close};

// --- wav: as much sound as guest time has passed

enum { WAV_HEADER = 44, WAV_CHUNK = 4410, WAV_INTERVAL_NS = 50000000 };
#define WAV_MAX 0xffffff00u // bytes of sound that the header can say

struct wav {
    int fd;
    audio_source *source;
    void *opaque;
    struct loop_timer *timer;
    uint64_t start;
    uint32_t bytes;
};

// "Multimedia Programming Interface and Data Specifications 1.0", "Waveform Audio File Format (WAVE)".
static bool wav_write_header(const struct wav *w)
{
    struct __attribute__((packed)) {
        char riff[4];
        uint32_t length;
        char wave[8];
        uint32_t format_length;
        uint16_t format, channels;
        uint32_t rate, bytes_per_second;
        uint16_t block, bits;
        char data[4];
        uint32_t data_length;
    } h = {"RIFF",
           htole32(w->bytes + WAV_HEADER - 8),
           "WAVEfmt ",
           htole32(16),
           htole16(1),
           htole16(1),
           htole32(AUDIO_RATE),
           htole32(AUDIO_RATE * 2),
           htole16(2),
           htole16(16),
           "data",
           htole32(w->bytes)};

    return pwrite(w->fd, &h, sizeof(h), 0) == sizeof(h);
}

static void wav_fired(void *opaque)
{
    struct wav *w = opaque;
    uint64_t due = timebase_ticks(clock_now_ns() - w->start, AUDIO_RATE) * 2;
    int16_t samples[WAV_CHUNK];

    if (due > WAV_MAX)
        due = WAV_MAX;
    // Bounded: after a long stop the rest is made up for at the next ticks.
    for (unsigned i = 0; i < 8 && w->bytes < due; i++) {
        unsigned n = due - w->bytes < sizeof(samples) ? (unsigned)(due - w->bytes) / 2 : WAV_CHUNK;

        w->source(w->opaque, samples, n);
        for (unsigned k = 0; k < n; k++)
            samples[k] = (int16_t)htole16((uint16_t)samples[k]);
        if (pwrite(w->fd, samples, n * 2, WAV_HEADER + (off_t)w->bytes) != (ssize_t)n * 2) {
            warn_report("-audiodev wav: the file cannot be written any more: %s", strerror(errno));
            return;
        }
        w->bytes += n * 2;
    }
    loop_timer_mod(w->timer, clock_now_ns() + WAV_INTERVAL_NS);
}

static int wav_open(const char *path, audio_source *source, void *opaque, void **state, struct err *e)
{
    struct wav *w = calloc(1, sizeof(*w));

    if (!w)
        return err_set(e, "out of memory");
    *w = (struct wav){.source = source, .opaque = opaque, .start = clock_now_ns()};
    w->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0 || !wav_write_header(w)) {
        err_set(e, "cannot write %.120s: %s", path, strerror(errno));
        if (w->fd >= 0)
            close(w->fd);
        free(w);
        return -EINVAL;
    }
    big_lock();
    w->timer = loop_timer_new(wav_fired, w);
    if (w->timer)
        loop_timer_mod(w->timer, w->start);
    big_unlock();
    *state = w;
    return w->timer ? 0 : err_set(e, "out of memory");
}

static void wav_close(void *state)
{
    struct wav *w = state;

    big_lock();
    loop_timer_free(w->timer);
    big_unlock();
    if (!wav_write_header(w))
        warn_report("-audiodev wav: cannot write the header: %s", strerror(errno));
    close(w->fd);
    free(w);
}

const struct audio_driver audio_wav = {"wav", "writes a WAV file, path=FILE", true, wav_open, wav_close};
