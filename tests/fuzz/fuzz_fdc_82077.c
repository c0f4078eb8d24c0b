// SPDX-License-Identifier: MIT
// Fuzzes hw/fdc_*.c and hw/i8237.c together: a disk in memory, DMA into the bench's RAM.
#include "hw/fdc_82077.h"
#include "hw/i8237.h"

#include "hw/block.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static struct fdc *fdc;
static struct i8237 *dma;
static struct block *disk[2];

static void create(void)
{
    const struct fdc_config cfg = {
        .ports = ports, .base = 0x3f0, .irq = bench_irq(6), .dma_channel = 2, .dma = dma = i8237_create(ports, mem)};
    static const unsigned sectors[2] = {2880, 3};
    char path[64], why[160];

    for (unsigned i = 0; i < 2; i++) {
        int fd = memfd_create("disk", 0);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        const struct block_options o = {.path = path, .no_lock = true, .readonly = i, .aio = BLOCK_AIO_THREADS};
        if (ftruncate(fd, sectors[i] * 512) || block_open(&o, &disk[i], why))
            abort();
    }
    fdc = fdc_create(&cfg);
    if (!fdc || fdc_add_drive(fdc, 0, FDC_TYPE_1440K, disk[0]) || fdc_add_drive(fdc, 1, FDC_TYPE_1440K, disk[1]))
        abort();
}

static void reset(void)
{
    i8237_reset(dma);
    i8237_open_cascade(dma);
    fdc_reset(fdc);
    outb(0x3f2, 0x1c);
}

static void event(uint8_t a, uint8_t b)
{
    static const uint8_t opcodes[] = {0xe6, 0x4c, 0xc5, 0x42, 0xd6, 0x51, 0x5d, 0x4d, 0x4a, 0x0f, 0x07, 0xcf};

    switch (a & 3) {
    case 0:                       // a whole command that random ports seldom make up, to a controller that can take it
        if (inb(0x3f4) != 0x80) { // busy, or with results to be read
            outb(0x3f2, 0);
            outb(0x3f2, 0x1c);
            outb(0x0a, 0x02);
        }
        outb(0x3f7, b & 0x80 ? b & 3 : 0);
        outb(0x0b, b & 0x20 ? 0x4a : 0x46);
        for (unsigned i = 0; i < 9; i++)
            outb(0x3f5, i == 0   ? opcodes[(a >> 2) % sizeof(opcodes)]
                        : i == 1 ? b & 5
                        : i == 2 ? b >> 6 & 1
                        : i == 3 ? b >> 2 & 1
                        : i == 4 ? 1 + (b >> 3)
                        : i == 5 ? 2
                                 : 18);
        break;
    case 1: // channel 2 open, either way
        outb(0x0b, (uint8_t)(0x42 | (a & 0x3c)));
        outb(0x0a, 0x02);
        break;
    case 2: fdc_set_media(fdc, a >> 2 & 1, b & 1 ? disk[a >> 2 & 1] : NULL); break;
    case 3: outb(0x3f7, b & 3); break;
    }
}

static const struct fuzz_target target = {
    "fdc_82077",
    {{false, 0x3f0, 6}, {false, 0x3f5, 1}, {false, 0x3f7, 1}, {false, 0, 16}, {false, 0x80, 16}, {false, 0xc0, 32}},
    create,
    reset,
    event,
    0,
};
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_run(&target, data, size); }
