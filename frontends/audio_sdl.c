// SPDX-License-Identifier: MIT
// -audiodev sdl: sound through SDL, which asks for samples on a thread of its own.
#include "frontends/audio.h"

#include <SDL.h>
#include <stdlib.h>

#include "base/biglock.h"

struct sdl_audio {
    SDL_AudioDeviceID device;
    audio_source *source;
    void *opaque;
};

static void fill(void *opaque, Uint8 *stream, int len)
{
    struct sdl_audio *a = opaque;

    big_lock();
    a->source(a->opaque, (int16_t *)(void *)stream, (unsigned)len / 2);
    big_unlock();
}

static int sdl_open(const char *path, audio_source *source, void *opaque, void **state, struct err *e)
{
    struct sdl_audio *a = calloc(1, sizeof(*a));
    // 512 samples are 12 ms: what a short beep may lose at its ends.
    SDL_AudioSpec want = {
        .freq = AUDIO_RATE, .format = AUDIO_S16SYS, .channels = 1, .samples = 512, .callback = fill, .userdata = a};

    if (!a)
        return err_set(e, "out of memory");
    a->source = source;
    a->opaque = opaque;
    if (SDL_InitSubSystem(SDL_INIT_AUDIO) || !(a->device = SDL_OpenAudioDevice(NULL, 0, &want, NULL, 0))) {
        err_set(e, "%s", SDL_GetError());
        free(a);
        return -1;
    }
    SDL_PauseAudioDevice(a->device, 0);
    *state = a;
    return 0;
}

static void sdl_close(void *state)
{
    struct sdl_audio *a = state;

    SDL_CloseAudioDevice(a->device); // waits for fill(), which takes the big lock
    SDL_QuitSubSystem(SDL_INIT_AUDIO);
    if (!SDL_WasInit(0)) // the window was the last but for this
        SDL_Quit();
    free(a);
}

const struct audio_driver audio_sdl = {"sdl", "the host's sound, by SDL", false, sdl_open, sdl_close};
