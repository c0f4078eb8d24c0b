// SPDX-License-Identifier: MIT
// -audiodev: where the sound of the PC speaker goes.
#pragma once

#include "frontends/keyval.h"

struct audio;
struct pcspk;

// Fills samples: mono, 16 bits, AUDIO_RATE a second. Big lock held.
typedef void audio_source(void *opaque, int16_t *samples, unsigned count);
enum { AUDIO_RATE = 44100 };

struct audio_driver {
    const char *name, *help;
    bool file; // needs path=
    int (*open)(const char *path, audio_source *source, void *opaque, void **state, struct err *e);
    void (*close)(void *state); // without the big lock
};
extern const struct audio_driver audio_none, audio_wav, audio_sdl;

// "wav,id=ID,path=FILE" as -audiodev takes it: only checked. 0 or -EINVAL.
int audio_check(struct keyval *kv, struct err *e);
void audio_print_help(void);
// Starts the sound. Without the big lock. 0 or -EINVAL.
int audio_open(struct keyval *kv, struct pcspk *speaker, struct audio **out, struct err *e);
void audio_close(struct audio *a); // NULL is fine; without the big lock
