// SPDX-License-Identifier: MIT
// A bench for IDE drives.
#include "tests/unit/hw/ide_bench.h"

#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

struct piix3_ide *ide;

struct block *ide_image(unsigned sectors, bool readonly)
{
    char path[64], why[160];
    uint8_t sector[512];
    struct block *b;
    int fd = memfd_create("disk", 0);
    memset(sector, 0, sizeof(sector));
    sector[511] = 0x5a;
    for (uint32_t i = 0; i < sectors; i++) {
        memcpy(sector, &i, sizeof(i));
        if (pwrite(fd, sector, sizeof(sector), (off_t)i * 512) != sizeof(sector))
            abort();
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    const struct block_options o = {.path = path, .readonly = readonly, .no_lock = true};
    if (block_open(&o, &b, why))
        abort();
    close(fd);
    return b;
}

void ide_config_write(unsigned reg, uint32_t v, unsigned size)
{
    as_store(ports, 0xcf8, 0x80000000u | (1 << 3 | 1) << 8 | (reg & 0xfc), 4);
    as_store(ports, 0xcfc + (reg & 3), v, size);
}

void ide_bench_start(void)
{
    const struct pci_bus_config pc = {.mem = mem, .ports = ports};
    const struct piix3_ide_config ic = {
        .bus = pci_bus_create(&pc),
        .ports = ports,
        .irq = {bench_irq(IDE_IRQ), bench_irq(IDE_IRQ + 1)},
    };
    ide = piix3_ide_create(&ic);
    if (!ide)
        abort();
    ide_config_write(0x20, BM, 4);
    ide_config_write(0x04, 5, 2);
    ide_config_write(0x40, 0x80008000, 4);
}

static struct ide_drive *attach(unsigned channel, unsigned unit, bool cd, struct block *b)
{
    const struct ide_drive_config dc = {.cd = cd, .block = b};
    if (ide_attach(piix3_ide_channel(ide, channel), unit, &dc))
        abort();
    return ide_channel_drive(piix3_ide_channel(ide, channel), unit);
}

struct ide_drive *ide_bench_disk(unsigned channel, unsigned unit, struct block *b)
{
    return attach(channel, unit, false, b);
}

struct ide_drive *ide_bench_cd(unsigned channel, unsigned unit, struct block *b)
{
    return attach(channel, unit, true, b);
}

uint8_t ide_wait(struct block *b)
{
    if (b)
        block_drain(b);
    return inb(CTL);
}

void ide_issue(uint8_t device, uint8_t feature, uint8_t count, uint32_t lba, uint8_t command)
{
    outb(CMD + 6, (uint8_t)(device | (lba >> 24 & 15)));
    outb(CMD + 1, feature);
    outb(CMD + 2, count);
    for (unsigned i = 0; i < 3; i++)
        outb((uint16_t)(CMD + 3 + i), (uint8_t)(lba >> 8 * i));
    outb(CMD + 7, command);
}

void ide_issue_ext(uint8_t device, uint16_t count, uint64_t lba, uint8_t command)
{
    outb(CMD + 6, device | LBA);
    outb(CMD + 2, (uint8_t)(count >> 8));
    for (unsigned i = 0; i < 3; i++)
        outb((uint16_t)(CMD + 3 + i), (uint8_t)(lba >> (24 + 8 * i)));
    outb(CMD + 2, (uint8_t)count);
    for (unsigned i = 0; i < 3; i++)
        outb((uint16_t)(CMD + 3 + i), (uint8_t)(lba >> 8 * i));
    outb(CMD + 7, command);
}

void ide_read_words(void *to, unsigned words)
{
    for (unsigned i = 0; i < words; i++) {
        uint16_t v = inw(CMD);
        memcpy((uint8_t *)to + 2 * i, &v, 2);
    }
}

void ide_write_words(const void *from, unsigned words)
{
    for (unsigned i = 0; i < words; i++) {
        uint16_t v;
        memcpy(&v, (const uint8_t *)from + 2 * i, 2);
        outw(CMD, v);
    }
}

void ide_expect_sector(const void *data, uint32_t number)
{
    uint32_t got;
    memcpy(&got, data, 4);
    ck_assert_uint_eq(got, number);
    ck_assert_uint_eq(((const uint8_t *)data)[511], 0x5a);
}

void ide_dma_start(const struct prd *table, unsigned n, bool to_memory)
{
    memcpy(bench_ram.base + TABLE, table, n * sizeof(*table));
    outb(BM, 0);
    outl(BM + 4, TABLE);
    outb(BM + 2, 0x06);
    outb(BM, to_memory ? 8 : 0);
    outb(BM, to_memory ? 9 : 1);
}

void ide_packet(const uint8_t packet[12], bool dma, unsigned limit)
{
    outb(CMD + 1, dma);
    outb(CMD + 4, (uint8_t)limit);
    outb(CMD + 5, (uint8_t)(limit >> 8));
    outb(CMD + 7, 0xa0);
    ck_assert_uint_eq(inb(CTL), DRDY | DSC | DRQ);
    ck_assert_uint_eq(inb(CMD + 2) & 3, 1); // command, to the drive
    ide_write_words(packet, 6);
}
