// SPDX-License-Identifier: MIT
// Runs a fuzz target without libFuzzer: replays the files named, or random inputs (-runs=N -seed=S).
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_INPUT = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    static uint8_t buf[1 << 20];
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        return 1;
    }
    size_t n = fread(buf, 1, sizeof(buf), f);
    fclose(f);
    return LLVMFuzzerTestOneInput(buf, n);
}

int main(int argc, char **argv)
{
    static uint8_t buf[MAX_INPUT];
    unsigned long runs = 1000;
    uint64_t seed = 1;
    bool files = false;
    for (int i = 1; i < argc; i++) {
        if (!strncmp(argv[i], "-runs=", 6))
            runs = strtoul(argv[i] + 6, NULL, 0);
        else if (!strncmp(argv[i], "-seed=", 6))
            seed = strtoull(argv[i] + 6, NULL, 0);
        else if (files = true, replay(argv[i]))
            return 1;
    }
    for (unsigned long r = 0; !files && r < runs; r++) {
        size_t n = 0;
        for (size_t end = 16 + (seed >> 33) % (MAX_INPUT - 16); n < end; n++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u; // Knuth's MMIX
            buf[n] = (uint8_t)(seed >> 40);
        }
        LLVMFuzzerTestOneInput(buf, n);
    }
    return 0;
}
