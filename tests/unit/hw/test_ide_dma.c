// SPDX-License-Identifier: MIT
// Tests of the bus master in hw/piix3_ide.c, with disks behind it. "Programming Interface for Bus Master IDE
// Controller", revision 1.0.
#include "tests/unit/hw/ide_bench.h"

#include <string.h>

enum { SECTORS = 8192, ACTIVE = 1, ERROR = 2, INT = 4, END = 0x8000, READ_DMA = 0xc8, WRITE_DMA = 0xca };
static struct block *disk;

static void start(void)
{
    ide_bench_start();
    disk = ide_image(SECTORS, false);
    ide_bench_disk(0, 0, disk);
}

static uint8_t *guest(uint32_t addr) { return bench_ram.base + addr; }

static void expect_end(uint8_t bm_status)
{
    ck_assert_uint_eq(ide_wait(disk), DRDY | DSC);
    ck_assert_uint_eq(inb(BM + 2) & 7, bm_status);
    ck_assert(bench_line[IDE_IRQ].level == ((bm_status & INT) != 0));
    ck_assert_uint_eq(inb(CMD + 7), DRDY | DSC);
    outb(BM, 0);
    outb(BM + 2, INT | ERROR);
    ck_assert_uint_eq(inb(BM + 2) & 7, 0);
}

START_TEST(reads)
{
    start();
    ide_issue(LBA, 0, 4, 100, READ_DMA);
    ide_dma_start((struct prd[]){{BUFFER, 1024, 0}, {BUFFER + 0x8000, 1024, END}}, 2, true);
    expect_end(INT);
    ide_expect_sector(guest(BUFFER), 100);
    ide_expect_sector(guest(BUFFER + 512), 101);
    ide_expect_sector(guest(BUFFER + 0x8000), 102);
    ide_expect_sector(guest(BUFFER + 0x8200), 103);
    ck_assert_uint_eq(*guest(BUFFER + 1024), 0);
}
END_TEST

START_TEST(engine_may_start_first)
{
    start();
    ide_dma_start((struct prd[]){{BUFFER, 512, END}}, 1, true);
    ck_assert_uint_eq(inb(BM + 2) & 7, ACTIVE);
    ide_issue(LBA, 0, 1, 7, READ_DMA);
    expect_end(INT);
    ide_expect_sector(guest(BUFFER), 7);
}
END_TEST

START_TEST(writes)
{
    uint8_t back[2048];
    start();
    for (unsigned i = 0; i < sizeof(back); i++)
        *guest(BUFFER + i) = (uint8_t)(i * 3 + i / 256);
    ide_issue(LBA, 0, 4, 200, WRITE_DMA);
    ide_dma_start((struct prd[]){{BUFFER, 2, 0}, {BUFFER + 2, 2046, END}}, 2, false);
    expect_end(INT);
    ck_assert_int_eq(block_read(disk, 200 * 512, back, sizeof(back)), 0);
    ck_assert_mem_eq(back, guest(BUFFER), sizeof(back));
    ide_issue_ext(0, 2, 8000, 0x3d); // WRITE DMA FUA EXT
    ide_dma_start((struct prd[]){{BUFFER, 1024, END}}, 1, false);
    expect_end(INT);
    ck_assert_int_eq(block_read(disk, 8000 * 512, back, 1024), 0);
    ck_assert_mem_eq(back, guest(BUFFER), 1024);
}
END_TEST

START_TEST(longer_than_the_buffer)
{
    struct prd table[8];
    start();
    for (unsigned i = 0; i < 8; i++)
        table[i] = (struct prd){BUFFER + 0x10000 * (i % 2), 0, i == 7 ? END : 0}; // 0: 64 KiB
    ide_issue_ext(0, 1024, 3000, 0x25);
    ide_dma_start(table, 8, true);
    expect_end(INT);
    ide_expect_sector(guest(BUFFER), 3000 + 6 * 128);
    ide_expect_sector(guest(BUFFER + 0x10000 + 127 * 512), 3000 + 1023);
}
END_TEST

START_TEST(table_larger_than_the_transfer)
{
    start();
    ide_issue(LBA, 0, 1, 5, READ_DMA);
    ide_dma_start((struct prd[]){{BUFFER, 4096, END}}, 1, true);
    expect_end(ACTIVE | INT); // "not an error"
    ide_expect_sector(guest(BUFFER), 5);
}
END_TEST

START_TEST(table_smaller_than_the_transfer)
{
    start();
    ide_issue(LBA, 0, 3, 20, READ_DMA);
    ide_dma_start((struct prd[]){{BUFFER, 512, END}}, 1, true);
    ck_assert_uint_eq(ide_wait(disk), DRDY | DSC | DRQ); // the drive waits for more
    ck_assert_uint_eq(inb(BM + 2) & 7, 0);
    ck_assert(!bench_line[IDE_IRQ].level);
    ck_assert_uint_eq(inw(CMD), 0xffff); // by DMA only
    ide_dma_start((struct prd[]){{BUFFER + 512, 1024, END}}, 1, true);
    expect_end(INT);
    for (unsigned i = 0; i < 3; i++)
        ide_expect_sector(guest(BUFFER + 512 * i), 20 + i);
}
END_TEST

START_TEST(bad_addresses)
{
    start();
    ide_issue(LBA, 0, 2, 0, READ_DMA); // to where nothing is
    ide_dma_start((struct prd[]){{0x40000000, 1024, END}}, 1, true);
    ide_wait(disk);
    ck_assert_uint_eq(inb(BM + 2) & 7, ERROR);
    ck_assert(!bench_line[IDE_IRQ].level);
    outb(CTL, 4);
    outb(CTL, 0);
    ide_issue(LBA, 0, 2, 0, READ_DMA); // a table that is not there
    outb(BM, 0);
    outb(BM + 2, 6);
    outl(BM + 4, 0x40000000);
    outb(BM, 9);
    ide_wait(disk);
    ck_assert_uint_eq(inb(BM + 2) & 7, ERROR);
    outb(CTL, 4);
    outb(CTL, 0);
    // Odd addresses and counts lose their lowest bit.
    ide_issue(LBA, 0, 1, 9, READ_DMA);
    ide_dma_start((struct prd[]){{BUFFER + 1, 513, END}}, 1, true);
    expect_end(INT);
    ide_expect_sector(guest(BUFFER), 9);
}
END_TEST

START_TEST(tables_without_end)
{
    static struct prd table[8192];
    start();
    for (unsigned i = 0; i < 8192; i++)
        table[i] = (struct prd){BUFFER, 2, 0};
    ide_issue_ext(0, 64, 0, 0x25); // 32 KiB of the 16 KiB that such a table can take
    ide_dma_start(table, 8192, true);
    ide_wait(disk);
    ck_assert_uint_eq(inb(BM + 2) & 7, 0);
    ck_assert_uint_eq(inb(CTL), DRDY | DSC | DRQ);
}
END_TEST

START_TEST(no_bus_mastering)
{
    start();
    ide_config_write(0x04, 1, 2);
    ide_issue(LBA, 0, 1, 0, READ_DMA);
    ide_dma_start((struct prd[]){{BUFFER, 512, END}}, 1, true);
    ide_wait(disk);
    ck_assert_uint_eq(inb(BM + 2) & 7, ERROR);
    ck_assert_uint_eq(*guest(BUFFER + 511), 0);
}
END_TEST

START_TEST(stopped_and_started_again)
{
    start();
    ide_issue(LBA, 0, 2, 33, READ_DMA);
    outb(BM, 0); // never started
    ck_assert_uint_eq(ide_wait(disk), DRDY | DSC | DRQ);
    ck_assert_uint_eq(inb(BM + 2) & ACTIVE, 0);
    outb(CMD + 7, READ_DMA); // a second command is not taken
    ide_dma_start((struct prd[]){{BUFFER, 1024, END}}, 1, true);
    expect_end(INT);
    ide_expect_sector(guest(BUFFER + 512), 34);
}
END_TEST

START_TEST(pio_interrupts_leave_their_mark)
{
    start();
    ide_issue(0, 0, 0, 0, 0xe5);
    ck_assert_uint_eq(inb(BM + 2) & 7, INT);
    inb(CMD + 7);
    ck_assert_uint_eq(inb(BM + 2) & 7, INT); // until it is cleared
    outb(BM + 2, INT | 0x60);
    ck_assert_uint_eq(inb(BM + 2), 0x60); // drives 0 and 1 are capable, says the driver
}
END_TEST

START_TEST(registers)
{
    start();
    outl(BM + 4, 0x12345677);
    ck_assert_uint_eq(inl(BM + 4), 0x12345674);
    outb(BM + 6, 0xab);
    ck_assert_uint_eq(inl(BM + 4), 0x12ab5674);
    outl(BM + 12, 0xffffffff);
    ck_assert_uint_eq(inl(BM + 12), 0xfffffffc);
    ck_assert_uint_eq(inl(BM + 4), 0x12ab5674);
    outb(BM, 0xf8);
    ck_assert_uint_eq(inb(BM), 0x08);
    ck_assert_uint_eq(inb(BM + 1), 0);
    ck_assert_uint_eq(inb(BM + 3), 0);
}
END_TEST

static gpa written_from, written_to;
static void ram_written(void *opaque, gpa addr, uint64_t len)
{
    if (addr < written_from)
        written_from = addr;
    if (addr + len > written_to)
        written_to = addr + len;
}

START_TEST(translations_hear_of_it)
{
    const struct as_listener l = {.ram_written = ram_written};
    start();
    as_add_listener(mem, &l);
    written_from = UINT64_MAX;
    ide_issue(LBA, 0, 2, 0, READ_DMA);
    ide_dma_start((struct prd[]){{BUFFER, 1024, END}}, 1, true);
    expect_end(INT);
    ck_assert_uint_eq(written_from, BUFFER);
    ck_assert_uint_eq(written_to, BUFFER + 1024);
    ck_assert(bench_ram.dirty[(BUFFER >> PAGE_SHIFT) / 64] >> (BUFFER >> PAGE_SHIFT) % 64 & 1);
}
END_TEST

START_TEST(machine_reset_in_the_middle)
{
    start();
    ide_issue(LBA, 0, 8, 0, WRITE_DMA);
    ide_dma_start((struct prd[]){{BUFFER, 512, END}}, 1, false);
    ide_config_write(0x04, 0, 2);
    ide_channel_reset(piix3_ide_channel(ide, 0));
    ide_config_write(0x04, 5, 2);
    ck_assert_uint_eq(inb(CTL), DRDY | DSC);
    uint8_t back[512];
    ck_assert_int_eq(block_read(disk, 0, back, 512), 0);
    ide_expect_sector(back, 0);
}
END_TEST

int main(void)
{
    // clang-format off
    const TTest *const tests[] = {
        reads, engine_may_start_first, writes, longer_than_the_buffer, table_larger_than_the_transfer,
        table_smaller_than_the_transfer, bad_addresses, tables_without_end, no_bus_mastering,
        stopped_and_started_again, pio_interrupts_leave_their_mark, registers, translations_hear_of_it,
        machine_reset_in_the_middle,
    };
    // clang-format on
    return bench_main("ide_dma", tests, ARRAY_SIZE(tests));
}
