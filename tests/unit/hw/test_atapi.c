// SPDX-License-Identifier: MIT
// Tests of hw/atapi*.c: the PACKET protocol, commands and the tray. ATA/ATAPI-6 (T13/1410D), MMC-3 (T10/1363D).
#include "tests/unit/hw/ide_bench.h"

#include <errno.h>
#include <string.h>

enum { CD_SECTORS = 300, ACTIVE = 1, INT = 4, END = 0x8000 };
static struct block *medium;
static struct ide_drive *drive;
static uint8_t data[1 << 20];

static void start(bool with_medium)
{
    ide_bench_start();
    medium = with_medium ? ide_image(CD_SECTORS * 4, true) : NULL;
    drive = ide_bench_cd(0, 0, medium);
    outb(CMD + 6, 0xa0);
}

// Runs a packet command by PIO; returns the bytes it replied, or minus the sense key.
static int run(const uint8_t packet[12], unsigned limit)
{
    unsigned got = 0;
    ide_packet(packet, false, limit);
    for (;;) {
        uint8_t status = ide_wait(medium);
        ck_assert(bench_line[IDE_IRQ].level);
        ck_assert_uint_eq(inb(CMD + 7), status);
        ck_assert(!bench_line[IDE_IRQ].level);
        if (!(status & DRQ)) {
            ck_assert_uint_eq(inb(CMD + 2) & 3, 3); // done
            ck_assert_uint_eq(status & ~ERR, DRDY | DSC);
            return status & ERR ? -(inb(CMD + 1) >> 4) : (int)got;
        }
        ck_assert_uint_eq(inb(CMD + 2) & 3, 2); // data, to the host
        unsigned n = inb(CMD + 4) | inb(CMD + 5) << 8;
        ck_assert_uint_ge(n, 1);
        ck_assert_uint_le(n, limit);
        ide_read_words(data + got, (n + 1) / 2);
        got += n;
    }
}
#define RUN(...) run((const uint8_t[12]){__VA_ARGS__}, 0xfffe)

static void expect_sense(uint8_t key, uint8_t asc, uint8_t ascq)
{
    ck_assert_int_eq(RUN(0x03, 0, 0, 0, 18), 18);
    ck_assert_uint_eq(data[0], 0x70);
    ck_assert_uint_eq(data[2], key);
    ck_assert_uint_eq(data[12], asc);
    ck_assert_uint_eq(data[13], ascq);
}

static uint32_t be32(const uint8_t *p) { return (uint32_t)(p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]); }

START_TEST(signature_and_identify)
{
    start(true);
    ck_assert_uint_eq(inb(CTL), 0);
    ck_assert_uint_eq(inb(CMD + 4), 0x14);
    ck_assert_uint_eq(inb(CMD + 5), 0xeb);
    outb(CMD + 4, 0);
    outb(CMD + 5, 0);
    outb(CMD + 7, 0xec); // IDENTIFY DEVICE: refused with the signature
    ck_assert_uint_eq(inb(CMD + 7), DRDY | DSC | ERR);
    ck_assert_uint_eq(inb(CMD + 1), ABRT);
    ck_assert_uint_eq(inb(CMD + 4), 0x14);
    ck_assert_uint_eq(inb(CMD + 5), 0xeb);
    outb(CMD + 7, 0xa1);
    ck_assert_uint_eq(inb(CMD + 7), DRDY | DSC | DRQ);
    ide_read_words(data, 256);
    ck_assert_uint_eq(data[0] | data[1] << 8, 0x85c0);
    ck_assert_mem_eq(data + 54, "IRGN 3VD-DOR M", 14);
    ck_assert_uint_eq(inb(CTL), DRDY | DSC);
    outb(CMD + 7, 0x08); // DEVICE RESET
    ck_assert_uint_eq(inb(CTL), 0);
    ck_assert_uint_eq(inb(CMD + 5), 0xeb);
    outb(CMD + 7, 0x30); // WRITE SECTORS
    ck_assert_uint_eq(inb(CMD + 7), DRDY | DSC | ERR);
}
END_TEST

START_TEST(inquiry_is_cut_at_the_allocation)
{
    start(true);
    ck_assert_int_eq(RUN(0x12, 0, 0, 0, 36), 36);
    ck_assert_uint_eq(data[0], 5);
    ck_assert_uint_eq(data[1], 0x80);
    ck_assert_mem_eq(data + 8, "RING3   RING3 DVD-ROM   1.0 ", 28);
    ck_assert_int_eq(RUN(0x12, 0, 0, 0, 5), 5); // an odd length
    ck_assert_int_eq(RUN(0x12, 0, 0, 0, 0), 0);
    ck_assert_int_eq(RUN(0x12, 1, 0, 0, 36), -5);
    expect_sense(5, 0x24, 0);
    expect_sense(0, 0, 0); // once
}
END_TEST

START_TEST(byte_count_limit)
{
    start(true);
    ck_assert_int_eq(run((const uint8_t[12]){0x12, 0, 0, 0, 36}, 10), 36);
    ck_assert_int_eq(run((const uint8_t[12]){0x12, 0, 0, 0, 36}, 11), 36);
    ck_assert_mem_eq(data + 8, "RING3   ", 8);
    // 0 has room for no data, which does no harm where there is none.
    ide_packet((const uint8_t[12]){0x12, 0, 0, 0, 36}, false, 0);
    ck_assert_uint_eq(inb(CMD + 7), DRDY | DSC | ERR);
    ide_packet((const uint8_t[12]){0x00}, false, 0);
    ck_assert_uint_eq(inb(CMD + 7), DRDY | DSC);
}
END_TEST

START_TEST(no_medium)
{
    start(false);
    ck_assert_int_eq(RUN(0x00), -2);
    expect_sense(2, 0x3a, 1);
    ck_assert_int_eq(RUN(0x25), -2);
    ck_assert_int_eq(RUN(0x28, 0, 0, 0, 0, 0, 0, 0, 1), -2);
    ck_assert_int_eq(RUN(0x43, 0, 0, 0, 0, 0, 0, 0, 20), -2);
    ck_assert_int_eq(RUN(0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 64), 28);
    ck_assert_uint_eq(data[2], 0x70);
    ck_assert_int_eq(RUN(0x46, 0, 0, 0, 0, 0, 0, 0, 8), 8);
    ck_assert_uint_eq(data[7], 0); // no profile
    ck_assert_int_eq(RUN(0x99), -5);
    expect_sense(5, 0x20, 0);
}
END_TEST

START_TEST(reads)
{
    start(true);
    ck_assert_int_eq(RUN(0x25), 8);
    ck_assert_uint_eq(be32(data), CD_SECTORS - 1);
    ck_assert_uint_eq(be32(data + 4), 2048);
    ck_assert_int_eq(run((const uint8_t[12]){0x28, 0, 0, 0, 0, 16, 0, 0, 3}, 2048), 3 * 2048);
    for (unsigned i = 0; i < 12; i++)
        ide_expect_sector(data + 512 * i, 64 + i);
    ck_assert_int_eq(run((const uint8_t[12]){0x28, 0, 0, 0, 0, 10, 0, 0, 2}, 1000), 2 * 2048);
    ide_expect_sector(data + 3584, 47);
    ck_assert_int_eq(RUN(0xa8, 0, 0, 0, 0, 0, 0, 0, 0, 200), 200 * 2048); // more than the buffer
    for (unsigned i = 0; i < 800; i++)
        ide_expect_sector(data + 512 * i, i);
    ck_assert_int_eq(RUN(0x28, 0, 0, 0, 1, 0, 0, 0, 0), 0);
    ck_assert_int_eq(RUN(0x28, 0, 0, 0, 1, 0x2b, 0, 0, 2), -5); // 299 and 300
    expect_sense(5, 0x21, 0);
    ck_assert_int_eq(RUN(0x28, 0, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff), -5);
    ck_assert_int_eq(RUN(0x2b, 0, 0, 0, 1, 0x2b), 0);
    ck_assert_int_eq(RUN(0x2b, 0, 0, 0, 1, 0x2c), -5);
}
END_TEST

START_TEST(reads_by_dma)
{
    start(true);
    ide_packet((const uint8_t[12]){0x28, 0, 0, 0, 0, 5, 0, 0, 4}, true, 0);
    ide_dma_start((struct prd[]){{BUFFER, 4096, 0}, {BUFFER + 4096, 4096, END}}, 2, true);
    ck_assert_uint_eq(ide_wait(medium), DRDY | DSC);
    ck_assert_uint_eq(inb(CMD + 2) & 3, 3);
    ck_assert_uint_eq(inb(BM + 2) & 7, INT);
    inb(CMD + 7);
    for (unsigned i = 0; i < 16; i++)
        ide_expect_sector(bench_ram.base + BUFFER + 512 * i, 20 + i);
    // A short reply: the table is longer.
    ide_packet((const uint8_t[12]){0x12, 0, 0, 0, 36}, true, 0);
    ide_dma_start((struct prd[]){{BUFFER, 64, END}}, 1, true);
    ck_assert_uint_eq(ide_wait(medium), DRDY | DSC);
    ck_assert_uint_eq(inb(BM + 2) & 7, ACTIVE | INT);
    ck_assert_mem_eq(bench_ram.base + BUFFER + 8, "RING3   ", 8);
}
END_TEST

START_TEST(read_cd)
{
    static const uint8_t sync[12] = {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0};
    start(true);
    ck_assert_int_eq(RUN(0xbe, 0, 0, 0, 0, 8, 0, 0, 2, 0x10), 2 * 2048);
    ide_expect_sector(data, 32);
    ck_assert_int_eq(RUN(0xbe, 0, 0, 0, 0, 8, 0, 0, 150, 0xf8), 150 * 2352); // more than the buffer
    for (unsigned i = 0; i < 150; i++) {
        const uint8_t *raw = data + 2352 * i;
        unsigned frame = 150 + 8 + i;
        ck_assert_mem_eq(raw, sync, 12);
        ck_assert_uint_eq(raw[13], frame / 75);
        ck_assert_uint_eq(raw[14], frame % 75 / 10 << 4 | frame % 75 % 10);
        ck_assert_uint_eq(raw[15], 1);
        ide_expect_sector(raw + 16, 32 + 4 * i);
    }
    ck_assert_int_eq(RUN(0xbe, 0, 0, 0, 0, 8, 0, 0, 3, 0x20), 3 * 4); // headers only
    ck_assert_uint_eq(data[4 * 2 + 2], 0x10);
    ck_assert_int_eq(RUN(0xbe, 0, 0, 0, 0, 8, 0, 0, 1, 0x00), 0);
    ck_assert_int_eq(RUN(0xb9, 0, 0, 0, 2, 8, 0, 2, 10, 0x10), 2 * 2048); // from 00:02:08 to 00:02:10
    ide_expect_sector(data, 32);
    ck_assert_int_eq(RUN(0xb9, 0, 0, 0, 1, 0, 0, 2, 10, 0x10), -5);     // inside the lead-in
    ck_assert_int_eq(RUN(0xbe, 1 << 2, 0, 0, 0, 8, 0, 0, 1, 0x10), -5); // CD-DA
    expect_sense(5, 0x64, 0);
    ck_assert_int_eq(RUN(0xbe, 0, 0, 0, 0, 8, 0, 0, 1, 0x12), -5); // C2 errors
}
END_TEST

START_TEST(error_detection_code)
{
    // ECMA-130, 14.3: the CRC over sector and code has no remainder.
    start(true);
    ck_assert_int_eq(RUN(0xbe, 0, 0, 0, 0, 0, 0, 0, 1, 0xf8), 2352);
    uint32_t rest = 0;
    for (unsigned i = 0; i < 2068; i++) {
        rest ^= data[i];
        for (unsigned k = 0; k < 8; k++)
            rest = rest >> 1 ^ (rest & 1 ? 0xd8018001u : 0);
    }
    ck_assert_uint_eq(rest, 0);
}
END_TEST

START_TEST(table_of_contents)
{
    start(true);
    ck_assert_int_eq(RUN(0x43, 0, 0, 0, 0, 0, 0, 1, 0), 20);
    ck_assert_uint_eq(data[1], 18);
    ck_assert_uint_eq(data[2], 1);
    ck_assert_uint_eq(data[3], 1);
    ck_assert_uint_eq(data[5], 0x14);
    ck_assert_uint_eq(data[6], 1);
    ck_assert_uint_eq(be32(data + 8), 0);
    ck_assert_uint_eq(data[14], 0xaa);
    ck_assert_uint_eq(be32(data + 16), CD_SECTORS);
    ck_assert_int_eq(RUN(0x43, 2, 0, 0, 0, 0, 0xaa, 1, 0), 12); // MSF, lead-out only: 450 frames
    ck_assert_uint_eq(data[6], 0xaa);
    ck_assert_uint_eq(be32(data + 8), 0x00000600);
    ck_assert_int_eq(RUN(0x43, 0, 0, 0, 0, 0, 2, 1, 0), -5);       // there is no track 2
    ck_assert_int_eq(RUN(0x43, 0, 1, 0, 0, 0, 0, 1, 0), 12);       // sessions
    ck_assert_int_eq(RUN(0x43, 0, 0, 0, 0, 0, 0, 1, 0, 0x40), 12); // as SFF-8020i asks for them
    ck_assert_int_eq(RUN(0x43, 0, 2, 0, 0, 0, 0, 1, 0), 4 + 44);   // raw
    ck_assert_uint_eq(data[4 + 3], 0xa0);
    ck_assert_uint_eq(data[4 + 22 + 3], 0xa2);
    ck_assert_uint_eq(data[4 + 22 + 9], 6);
    ck_assert_int_eq(RUN(0x43, 0, 0, 0, 0, 0, 0, 0, 4), 4);
    ck_assert_int_eq(RUN(0x43, 0, 5, 0, 0, 0, 0, 1, 0), -5);
}
END_TEST

START_TEST(mode_pages)
{
    start(true);
    ck_assert_int_eq(RUN(0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 255), 28);
    ck_assert_uint_eq(data[1], 26);
    ck_assert_uint_eq(data[2], 0x01);
    ck_assert_uint_eq(data[8], 0x2a);
    ck_assert_uint_eq(data[9], 18);
    ck_assert_int_eq(RUN(0x5a, 0, 0x3f, 0, 0, 0, 0, 0, 255), 8 + 8 + 16 + 12 + 20);
    ck_assert_int_eq(RUN(0x5a, 0, 0x40 | 0x01, 0, 0, 0, 0, 0, 255), 16); // changeable: nothing
    ck_assert_uint_eq(data[8], 0x01);
    ck_assert_uint_eq(data[11], 0);
    ck_assert_int_eq(RUN(0x5a, 0, 0xc0 | 0x01, 0, 0, 0, 0, 0, 255), -5);
    expect_sense(5, 0x39, 0);
    ck_assert_int_eq(RUN(0x5a, 0, 0x05, 0, 0, 0, 0, 0, 255), -5);
}
END_TEST

static void select_pages(const uint8_t *list, unsigned n)
{
    ide_packet((const uint8_t[12]){0x55, 0x10, 0, 0, 0, 0, 0, 0, (uint8_t)n}, false, 0xfffe);
    ck_assert_uint_eq(inb(CTL), DRDY | DSC | DRQ);
    ck_assert_uint_eq(inb(CMD + 2) & 3, 0); // data, to the drive
    ck_assert_uint_eq(inb(CMD + 4), n);
    ide_write_words(list, n / 2);
}

START_TEST(mode_select)
{
    uint8_t list[16] = {0};
    start(true);
    list[8] = 0x01;
    list[9] = 6;
    select_pages(list, 16);
    ck_assert_uint_eq(inb(CMD + 7), DRDY | DSC);
    list[8] = 0x02; // no such page
    select_pages(list, 16);
    ck_assert_uint_eq(inb(CMD + 7), DRDY | DSC | ERR);
    expect_sense(5, 0x26, 0);
    ck_assert_int_eq(RUN(0x55, 0x11, 0, 0, 0, 0, 0, 0, 16), -5); // save
}
END_TEST

START_TEST(tray_by_the_guest)
{
    start(true);
    ck_assert_int_eq(RUN(0x1e, 0, 0, 0, 1), 0); // lock
    ck_assert_int_eq(RUN(0x1b, 0, 0, 0, 2), -5);
    expect_sense(5, 0x53, 2);
    ck_assert(ide_cd_status(drive).locked);
    ck_assert_int_eq(RUN(0x1e, 0, 0, 0, 0), 0);
    ck_assert_int_eq(RUN(0x1b, 0, 0, 0, 2), 0); // eject
    ck_assert(ide_cd_status(drive).tray_open);
    ck_assert_int_eq(RUN(0x00), -2);
    expect_sense(2, 0x3a, 2);
    ck_assert_int_eq(RUN(0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8), 8);
    ck_assert_uint_eq(data[1] & 0x10, 0x10);    // door open
    ck_assert_int_eq(RUN(0x1b, 0, 0, 0, 3), 0); // load
    ck_assert_int_eq(RUN(0x00), -6);
    expect_sense(6, 0x28, 0);
    ck_assert_int_eq(RUN(0x00), 0);
    ck_assert_int_eq(RUN(0x1b, 0, 0, 0, 1), 0); // motor
}
END_TEST

static int event(void)
{
    ck_assert_int_eq(RUN(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), 8);
    ck_assert_uint_eq(data[2], 4);
    return data[4] << 8 | data[5];
}

static unsigned moves;
static bool moved_open;
static void tray_moved(void *opaque, bool open)
{
    moves++;
    moved_open = open;
}

START_TEST(tray_by_the_monitor)
{
    start(true);
    ide_cd_on_tray(drive, tray_moved, NULL);
    ck_assert_int_eq(event(), 0x0002); // nothing new, a medium
    ck_assert_int_eq(RUN(0x1e, 0, 0, 0, 1), 0);
    ck_assert_int_eq(ide_cd_eject(drive, false), -EBUSY);
    ck_assert_int_eq(event(), 0x0102); // the button was pressed
    ck_assert_int_eq(event(), 0x0002);
    ck_assert_int_eq(ide_cd_eject(drive, true), 0);
    ck_assert(moves == 1 && moved_open);
    ck_assert_int_eq(event(), 0x0301); // gone, tray open
    ck_assert_ptr_eq(ide_cd_take(drive), medium);
    ck_assert_ptr_null(ide_cd_take(drive));
    ck_assert_int_eq(RUN(0x00), -2);
    struct block *other = ide_image(40, true);
    ide_cd_insert(drive, other);
    ck_assert(moves == 2 && !moved_open);
    medium = other;
    ck_assert_int_eq(event(), 0x0202);
    ck_assert_int_eq(RUN(0x25), -6);
    ck_assert_int_eq(RUN(0x25), 8);
    ck_assert_uint_eq(be32(data), 9);
    ck_assert_int_eq(RUN(0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8), -5); // only polled
    ck_assert_int_eq(RUN(0x4a, 1, 0, 0, 0x02, 0, 0, 0, 8), 4);  // no such class
    ck_assert_uint_eq(data[2], 0x80);
}
END_TEST

START_TEST(medium_taken_in_the_middle_of_a_read)
{
    start(true);
    ide_packet((const uint8_t[12]){0x28, 0, 0, 0, 0, 0, 0, 0, 9}, false, 2048);
    ck_assert_uint_eq(ide_wait(medium), DRDY | DSC | DRQ);
    ck_assert_int_eq(ide_cd_eject(drive, true), 0);
    block_close(ide_cd_take(drive));
    ck_assert_uint_eq(inb(CMD + 7), DRDY | DSC | ERR);
    ck_assert_uint_eq(inb(CMD + 1) >> 4, 2);
    ck_assert_uint_eq(inw(CMD), 0xffff);
    medium = NULL;
    ck_assert_int_eq(RUN(0x00), -2);
}
END_TEST

START_TEST(about_the_disc)
{
    start(true);
    ck_assert_int_eq(RUN(0x51, 0, 0, 0, 0, 0, 0, 0, 255), 34);
    ck_assert_uint_eq(data[1], 32);
    ck_assert_uint_eq(data[2], 0x0e);
    ck_assert_int_eq(RUN(0x52, 1, 0, 0, 0, 1, 0, 0, 255), 28);
    ck_assert_uint_eq(be32(data + 24), CD_SECTORS);
    ck_assert_int_eq(RUN(0x52, 1, 0, 0, 0, 2, 0, 0, 255), -5);
    ck_assert_int_eq(RUN(0x42, 2, 0x40, 1, 0, 0, 0, 0, 255), 16);
    ck_assert_uint_eq(data[1], 0x15);
    ck_assert_int_eq(RUN(0x42, 0, 0, 0, 0, 0, 0, 0, 255), 4);
    ck_assert_int_eq(RUN(0x42, 0, 0x40, 9, 0, 0, 0, 0, 255), -5);
    ck_assert_int_eq(RUN(0x46, 0, 0, 0, 0, 0, 0, 0, 255), 8 + 12 + 12 + 8);
    ck_assert_uint_eq(be32(data), 36);
    ck_assert_uint_eq(data[7], 0x08); // CD-ROM is the current profile
    ck_assert_int_eq(RUN(0x46, 2, 0, 3, 0, 0, 0, 0, 255), 16);
    ck_assert_uint_eq(data[9], 3);
    ck_assert_int_eq(RUN(0xad, 0, 0, 0, 0, 0, 0, 0, 8), -5); // no DVD
    expect_sense(5, 0x30, 2);
    ck_assert_int_eq(RUN(0xbb, 0, 0xff, 0xff), 0);
}
END_TEST

int main(void)
{
    // clang-format off
    const TTest *const tests[] = {
        signature_and_identify, inquiry_is_cut_at_the_allocation, byte_count_limit, no_medium, reads, reads_by_dma,
        read_cd, error_detection_code, table_of_contents, mode_pages, mode_select, tray_by_the_guest,
        tray_by_the_monitor, medium_taken_in_the_middle_of_a_read, about_the_disc,
    };
    // clang-format on
    return bench_main("atapi", tests, ARRAY_SIZE(tests));
}
