// SPDX-License-Identifier: MIT
// Fuzz target: the command line. Each line of the input is one argument; words from a dictionary by number.
#include "frontends/devices.h"
#include "frontends/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Bytes 128 and up stand for these, so that random input gets past the flag names.
static const char *const words[] = {
    "-m\n",
    "-drive\n",
    "-device\n",
    "-netdev\n",
    "-nic\n",
    "-chardev\n",
    "-object\n",
    "-serial\n",
    "-smp\n",
    "-machine\n",
    "-accel\n",
    "-rtc\n",
    "file=",
    "if=virtio",
    "if=none",
    "id=",
    "format=raw",
    "virtio-blk-pci",
    "virtio-rng-pci",
    "drive=",
    "user",
    "hostfwd=",
    "rng-random",
    "stdio",
    "size=",
    "cpus=",
    "pc",
    "bt",
    "interp",
    "tb-size=",
    "base=utc",
    "clock=vm",
    ",",
    ",,",
    "=",
    "on",
    "off",
    "1G",
    "99999999999999999999",
    "\n",
    "-S\n",
    "isa-debug-exit",
    "iobase=",
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { MAX_ARGS = 24, MAX_TEXT = 8192 };
    static char text[MAX_TEXT + 32];
    static struct config c;
    char *argv[MAX_ARGS + 1] = {(char *)"ring3"};
    size_t len = 0;
    struct err e;
    int argc = 1;

    for (size_t i = 0; i < size && len < MAX_TEXT; i++) {
        if (data[i] >= 128) {
            const char *w = words[data[i] % ARRAY_SIZE(words)];
            memcpy(text + len, w, strlen(w));
            len += strlen(w);
        } else {
            text[len++] = data[i] ? (char)data[i] : '\n';
        }
    }
    text[len] = 0;
    for (char *s = text; argc < MAX_ARGS && *s;) {
        size_t n = strcspn(s, "\n");
        argv[argc++] = s;
        s += n + (s[n] != 0);
        s[-1] = s[-1] == '\n' ? 0 : s[-1];
    }
    e.text[0] = 0;
    switch (options_parse(&c, argc, argv, &e)) {
    case OPTIONS_ERROR:
        if (!*e.text)
            abort(); // refused without a word
        break;
    case OPTIONS_RUN:
        if (devices_check(&c, &e) && !*e.text)
            abort();
        break;
    case OPTIONS_DONE: break;
    }
    config_free(&c);
    return 0;
}
