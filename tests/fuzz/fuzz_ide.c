// SPDX-License-Identifier: MIT
// Fuzzes hw/ide*.c, hw/atapi*.c and hw/piix3_ide.c: two disks and a CD drive in memory, descriptor tables in the
// bench's RAM that the input writes.
#include "tests/fuzz/fuzz.h"
#include "tests/unit/hw/ide_bench.h"

#include <stdlib.h>
#include <string.h>

static struct block *disk[2], *medium[2];
static struct ide_drive *cd;
static unsigned in_drive; // which medium; 2: none

// Registers of memory that PRDs may name, too.
static uint64_t mmio_read(void *opaque, uint64_t offset, unsigned size) { return offset; }
static void mmio_write(void *opaque, uint64_t offset, uint64_t value, unsigned size) {}
static const struct io_ops mmio_ops = {.read = mmio_read, .write = mmio_write, .min_size = 1, .max_size = 4};

static void create(void)
{
    ide_bench_start();
    disk[0] = ide_image(2000, false);
    disk[1] = ide_image(3, false);
    medium[0] = ide_image(400, true);
    medium[1] = ide_image(1, true); // no whole CD sector
    ide_bench_disk(0, 0, disk[0]);
    ide_bench_disk(0, 1, disk[1]);
    cd = ide_bench_cd(1, 0, medium[0]);
    if (!as_map_io(mem, "mmio", 0x200000, 0x1000, &mmio_ops, NULL, 0))
        abort();
}

static void reset(void)
{
    ide_config_write(0x20, BM, 4);
    ide_config_write(0x04, 5, 2);
    ide_config_write(0x40, 0x80008000, 4);
    for (unsigned i = 0; i < 2; i++)
        ide_channel_reset(piix3_ide_channel(ide, i));
    memset(bench_ram.base, 0, BENCH_RAM);
    if (in_drive)
        ide_cd_insert(cd, medium[in_drive = 0]);
}

static void wait_for_disks(void)
{
    for (unsigned i = 0; i < 2; i++) {
        block_drain(disk[i]);
        block_drain(medium[i]);
    }
}

// A descriptor somewhere in a table at TABLE, pointing to RAM, MMIO or nowhere.
static void set_descriptor(uint8_t a, uint8_t b)
{
    static const uint32_t bases[] = {BUFFER, 0x200000, 0xfffff000, 0x100000 - 16, TABLE, 0x40000000, BUFFER + 1, 0};
    const struct prd p = {bases[a & 7], (uint16_t)(b << (a >> 3 & 15)), b & 1 ? 0x8000 : 0};
    memcpy(bench_ram.base + TABLE + (a >> 5) * 8, &p, sizeof(p));
    outl(BM + 4 + (a & 8), TABLE);
}

// A packet command that is likely to exist.
static void packet(uint8_t a, uint8_t b)
{
    static const uint8_t codes[] = {0x00, 0x03, 0x12, 0x1b, 0x1e, 0x25, 0x28, 0x42, 0x43, 0x46,
                                    0x4a, 0x51, 0x55, 0x5a, 0xa8, 0xad, 0xb9, 0xbd, 0xbe, 0x52};
    outb(0x176, 0);
    outb(0x171, a >> 7);
    outb(0x174, b);
    outb(0x175, a & 0x40 ? 0x08 : 0);
    outb(0x177, 0xa0);
    // Half of them with addresses and lengths that can be right.
    const bool small = a & 0x20;
    const uint8_t p[12] = {codes[a % sizeof(codes)],
                           small ? b & 2 : b & 3,
                           small ? 0 : b & 0x40,
                           small ? 0 : b,
                           b & (small ? 2 : 7),
                           b & 63,
                           0,
                           small ? 0 : b >> 6,
                           b & 31,
                           small ? b | 0x10 : b,
                           0,
                           0};
    for (unsigned i = 0; i < 12; i += 2)
        outw(0x170, (uint16_t)(p[i] | p[i + 1] << 8));
}

static void event(uint8_t a, uint8_t b)
{
    switch (b & 7) {
    case 0: wait_for_disks(); break;
    case 1: set_descriptor(a, b >> 3); break;
    case 2: packet(a, b); break;
    case 3: // a whole command, which random ports seldom make up
        ide_issue(a, b, b >> 2, (uint32_t)a * 7,
                  (const uint8_t[]){0x20, 0x30, 0xc8, 0xca, 0x25, 0x35, 0xc4, 0xec}[a & 7]);
        break;
    case 4: // the data register, for a while
        for (unsigned i = 0; i < 300; i++)
            if (a & 1)
                outw(a & 2 ? CMD : 0x170, (uint16_t)(a * i));
            else
                inw(a & 2 ? CMD : 0x170);
        break;
    case 5:
        if (ide_cd_eject(cd, a & 1) == 0) {
            ide_cd_take(cd);
            in_drive = (a >> 1) % 3;
            if (in_drive < 2)
                ide_cd_insert(cd, medium[in_drive]);
        }
        break;
    case 6: outb(BM + (a & 8), a & 7 ? 9 : 0); break;
    default: ide_config_write(0x04, a & 1 ? 5 : 1, 2); break;
    }
}

static const struct fuzz_target target = {
    "ide",  {{false, CMD, 8}, {false, CTL, 1}, {false, 0x170, 8}, {false, 0x376, 1}, {false, BM, 16}},
    create, reset,
    event,  0,
};
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int ret = fuzz_run(&target, data, size);
    wait_for_disks();
    return ret;
}
