// SPDX-License-Identifier: MIT
// Tests of the ATA side of hw/ide*.c: registers, resets, PIO and commands without data. ATA/ATAPI-6 (T13/1410D).
#include "tests/unit/hw/ide_bench.h"

#include <errno.h>
#include <string.h>

enum { SECTORS = 4096 };
static struct block *disk;
static uint8_t data[512 * 256];

static void start(void)
{
    ide_bench_start();
    disk = ide_image(SECTORS, false);
    ide_bench_disk(0, 0, disk);
}

static void expect_regs(uint8_t error, uint8_t count, uint8_t low, uint8_t mid, uint8_t high)
{
    ck_assert_uint_eq(inb(CMD + 1), error);
    ck_assert_uint_eq(inb(CMD + 2), count);
    ck_assert_uint_eq(inb(CMD + 3), low);
    ck_assert_uint_eq(inb(CMD + 4), mid);
    ck_assert_uint_eq(inb(CMD + 5), high);
}

static void expect_ok(void)
{
    ck_assert_uint_eq(ide_wait(disk), DRDY | DSC);
    ck_assert(bench_line[IDE_IRQ].level);
    ck_assert_uint_eq(inb(CMD + 7), DRDY | DSC);
    ck_assert(!bench_line[IDE_IRQ].level);
}

static void expect_error(uint8_t error)
{
    ck_assert_uint_eq(ide_wait(disk), DRDY | DSC | ERR);
    ck_assert_uint_eq(inb(CMD + 1), error);
    ck_assert(bench_line[IDE_IRQ].level);
    inb(CMD + 7);
    ck_assert(!bench_line[IDE_IRQ].level);
}

START_TEST(power_on_signature)
{
    start();
    ck_assert_uint_eq(inb(CTL), DRDY | DSC);
    expect_regs(1, 1, 1, 0, 0);
    ck_assert_uint_eq(inb(CMD + 6), 0xa0);
    ck_assert(!bench_line[IDE_IRQ].level);
}
END_TEST

START_TEST(soft_reset)
{
    start();
    ide_issue(LBA, 0, 7, 0x0123456, 0x40);
    outb(CMD + 6, 0xf0);
    outb(CTL, 0x04);
    ck_assert_uint_eq(inb(CTL), BSY); // device 0 is selected again
    outb(CMD + 7, 0xec);              // nothing is taken now
    ck_assert_uint_eq(inb(CTL), BSY);
    outb(CTL, 0x00);
    ck_assert_uint_eq(inb(CTL), DRDY | DSC);
    expect_regs(1, 1, 1, 0, 0);
    ck_assert_uint_eq(inb(CMD + 6) & 0x10, 0);
    ck_assert(!bench_line[IDE_IRQ].level);
}
END_TEST

START_TEST(missing_drives)
{
    start();
    outb(CMD + 6, 0xb0);
    ck_assert_uint_eq(inb(CMD + 7), 0); // device 0 answers for device 1
    ck_assert_uint_eq(inb(CTL), 0);
    ck_assert_uint_eq(inb(CMD + 6), 0xb0);
    ck_assert_uint_eq(inw(CMD), 0xffff);
    outb(CMD + 7, 0xec);
    ck_assert_uint_eq(inb(CTL), 0);
    ck_assert(!bench_line[IDE_IRQ].level);
    for (unsigned i = 1; i < 8; i++) // nobody on the second channel
        ck_assert_uint_eq(inb((uint16_t)(0x170 + i)), 0x7f);
    ck_assert_uint_eq(inb(0x376), 0x7f);
    outb(0x177, 0xec);
    ck_assert(!bench_line[IDE_IRQ + 1].level);
}
END_TEST

START_TEST(decoding_follows_idetim)
{
    start();
    ide_config_write(0x40, 0, 2);
    ck_assert_uint_eq(inb(CTL), 0xff);
    ck_assert_uint_eq(inb(0x376), 0x7f);
    ide_config_write(0x40, 0x8000, 2);
    ck_assert_uint_eq(inb(CTL), DRDY | DSC);
    ide_config_write(0x04, 4, 2); // no I/O space
    ck_assert_uint_eq(inb(CTL), 0xff);
}
END_TEST

START_TEST(registers_latch_for_both_and_keep_the_previous)
{
    start();
    ide_bench_disk(0, 1, ide_image(64, false));
    outb(CMD + 6, 0xa0);
    outb(CMD + 2, 0x11);
    outb(CMD + 2, 0x22);
    outb(CMD + 3, 0x33);
    outb(CMD + 3, 0x44);
    ck_assert_uint_eq(inb(CMD + 2), 0x22);
    outb(CTL, 0x80); // HOB
    ck_assert_uint_eq(inb(CMD + 2), 0x11);
    ck_assert_uint_eq(inb(CMD + 3), 0x33);
    outb(CMD + 6, 0xb0); // any write ends it
    ck_assert_uint_eq(inb(CMD + 2), 0x22);
    ck_assert_uint_eq(inb(CMD + 3), 0x44);
    // Wide accesses are several narrow ones.
    outw(CMD + 2, 0x6655);
    ck_assert_uint_eq(inb(CMD + 3), 0x66);
    ck_assert_uint_eq(inw(CMD + 2), 0x6655);
}
END_TEST

static unsigned word(unsigned n) { return data[2 * n] | data[2 * n + 1] << 8; }

static void identify(uint8_t device)
{
    ide_issue(device, 0, 0, 0, 0xec);
    ck_assert_uint_eq(inb(CTL), DRDY | DSC | DRQ);
    ck_assert(bench_line[IDE_IRQ].level);
    inb(CMD + 7);
    ide_read_words(data, 256);
    ck_assert_uint_eq(inb(CTL), DRDY | DSC);
    ck_assert(!bench_line[IDE_IRQ].level); // none at the end of PIO data-in
    uint8_t sum = 0;
    for (unsigned i = 0; i < 512; i++)
        sum = (uint8_t)(sum + data[i]);
    ck_assert_uint_eq(data[510], 0xa5);
    ck_assert_uint_eq(sum, 0);
}

START_TEST(identify_device)
{
    start();
    identify(0);
    ck_assert_uint_eq(word(0), 0x0040);
    ck_assert_uint_eq(word(1), 4); // 4096 / (16 * 63)
    ck_assert_uint_eq(word(3), 16);
    ck_assert_uint_eq(word(6), 63);
    ck_assert_uint_eq(word(60) | word(61) << 16, SECTORS);
    ck_assert_uint_eq(word(100), SECTORS);
    ck_assert_uint_eq(word(101) | word(102) | word(103), 0);
    ck_assert_uint_eq(word(47), 0x8010);
    ck_assert_uint_eq(word(49) & 0x0300, 0x0300);
    ck_assert_uint_eq(word(63), 0x0007);
    ck_assert_uint_eq(word(88), 0x203f); // UDMA 0 to 5, 5 is chosen
    ck_assert_uint_eq(word(83) & 0xc400, 0x4400);
    ck_assert_mem_eq(data + 54, "IRGN 3AHDRIDKS", 14); // RING3 HARDDISK by words, high byte first
}
END_TEST

START_TEST(set_features_shows_in_identify)
{
    start();
    ide_issue(0, 0x03, 0x22, 0, 0xef); // MWDMA 2
    expect_ok();
    ide_issue(0, 0, 4, 0, 0xc6); // SET MULTIPLE MODE
    expect_ok();
    ide_issue(0, 0x82, 0, 0, 0xef); // write cache off
    expect_ok();
    ck_assert(!block_write_cache(disk));
    ide_issue(0, 0x55, 0, 0, 0xef);
    expect_ok();
    ide_issue(7, 0, 32, 0, 0x91); // 8 heads, 32 sectors
    expect_ok();
    identify(0);
    ck_assert_uint_eq(word(63), 0x0407);
    ck_assert_uint_eq(word(88), 0x003f);
    ck_assert_uint_eq(word(59), 0x0104);
    ck_assert_uint_eq(word(85) & 0x60, 0);
    ck_assert_uint_eq(word(54), 16);
    ck_assert_uint_eq(word(55), 8);
    ck_assert_uint_eq(word(56), 32);
    ck_assert_uint_eq(word(57) | word(58) << 16, 4096);
    ide_issue(0, 0x03, 0x47, 0, 0xef); // UDMA 7 is not there
    expect_error(ABRT);
    ide_issue(0, 0x03, 0x0d, 0, 0xef); // PIO 5
    expect_error(ABRT);
    ide_issue(0, 0x02, 0, 0, 0xef);
    expect_ok();
    ck_assert(block_write_cache(disk));
    ide_issue(0, 0x77, 0, 0, 0xef);
    expect_error(ABRT);
}
END_TEST

// Reads n sectors in DRQ blocks of `block` sectors, with an interrupt for each.
static void pio_in(unsigned n, unsigned block)
{
    ide_wait(disk);
    unsigned rises = bench_line[IDE_IRQ].rises - 1; // the first one is there
    for (unsigned done = 0; done < n; done += block) {
        unsigned now = n - done < block ? n - done : block;
        ck_assert_uint_eq(ide_wait(disk), DRDY | DSC | DRQ);
        ck_assert(bench_line[IDE_IRQ].level);
        ck_assert_uint_eq(inb(CMD + 7), DRDY | DSC | DRQ);
        ide_read_words(data + 512 * done, 256 * now);
    }
    ck_assert_uint_eq(inb(CTL), DRDY | DSC);
    ck_assert_uint_eq(bench_line[IDE_IRQ].rises - rises, (n + block - 1) / block);
}

static void pio_out(unsigned n, unsigned block)
{
    for (unsigned done = 0; done < n; done += block) {
        unsigned now = n - done < block ? n - done : block;
        ck_assert_uint_eq(ide_wait(disk), DRDY | DSC | DRQ);
        ck_assert(bench_line[IDE_IRQ].level == (done > 0)); // the first block is asked for silently
        inb(CMD + 7);
        ide_write_words(data + 512 * done, 256 * now);
    }
    expect_ok();
}

START_TEST(read_by_lba28)
{
    start();
    ide_issue(LBA, 0, 3, 1000, 0x20);
    pio_in(3, 1);
    for (unsigned i = 0; i < 3; i++)
        ide_expect_sector(data + 512 * i, 1000 + i);
    expect_regs(0, 0, 1002 & 255, 1002 >> 8, 0); // the last one
    ck_assert_uint_eq(inw(CMD), 0xffff);         // no more data
}
END_TEST

START_TEST(read_by_chs)
{
    start();
    // 2/3/5: (2 * 16 + 3) * 63 + 4 = 2209
    outb(CMD + 6, 0xa3);
    outb(CMD + 2, 2);
    outb(CMD + 3, 5);
    outb(CMD + 4, 2);
    outb(CMD + 5, 0);
    outb(CMD + 7, 0x20);
    pio_in(2, 1);
    ide_expect_sector(data, 2209);
    ide_expect_sector(data + 512, 2210);
    expect_regs(0, 0, 6, 2, 0);
    ck_assert_uint_eq(inb(CMD + 6) & 15, 3);
    outb(CMD + 3, 0); // sector 0 does not exist
    outb(CMD + 7, 0x20);
    expect_error(IDNF);
    outb(CMD + 3, 64);
    outb(CMD + 7, 0x20);
    expect_error(IDNF);
}
END_TEST

START_TEST(count_0_is_256)
{
    start();
    ide_issue(LBA, 0, 0, 10, 0x20);
    pio_in(256, 1);
    ide_expect_sector(data, 10);
    ide_expect_sector(data + 512 * 255, 265);
}
END_TEST

START_TEST(read_ext_and_across_the_buffer)
{
    static uint8_t big[512 * 1024];
    start();
    ide_issue_ext(0, 1024, 2000, 0x24);
    for (unsigned i = 0; i < 1024; i++) {
        ck_assert_uint_eq(ide_wait(disk), DRDY | DSC | DRQ);
        inb(CMD + 7);
        ide_read_words(big + 512 * i, 256);
        ide_expect_sector(big + 512 * i, 2000 + i);
    }
    ck_assert_uint_eq(inb(CTL), DRDY | DSC);
    ide_issue_ext(0, 1, 1ull << 40, 0x24);
    expect_error(IDNF);
}
END_TEST

START_TEST(multiple)
{
    start();
    ide_issue(LBA, 0, 8, 0, 0xc4);
    expect_error(ABRT); // not set up
    ide_issue(0, 0, 3, 0, 0xc6);
    expect_error(ABRT);
    ide_issue(0, 0, 32, 0, 0xc6);
    expect_error(ABRT);
    ide_issue(0, 0, 4, 0, 0xc6);
    expect_ok();
    ide_issue(LBA, 0, 10, 500, 0xc4);
    pio_in(10, 4);
    for (unsigned i = 0; i < 10; i++)
        ide_expect_sector(data + 512 * i, 500 + i);
    ide_issue(LBA, 0, 10, 700, 0xc5);
    pio_out(10, 4);
    uint8_t back[5120];
    ck_assert_int_eq(block_read(disk, 700 * 512, back, sizeof(back)), 0);
    ck_assert_mem_eq(back, data, sizeof(back));
}
END_TEST

START_TEST(write_sectors)
{
    uint8_t back[1536];
    start();
    for (unsigned i = 0; i < sizeof(back); i++)
        data[i] = (uint8_t)(i * 7 + i / 256);
    ide_issue(LBA, 0, 3, 50, 0x30);
    pio_out(3, 1);
    ck_assert_int_eq(block_read(disk, 50 * 512, back, sizeof(back)), 0);
    ck_assert_mem_eq(back, data, sizeof(back));
    ck_assert_int_eq(block_read(disk, 53 * 512, back, 512), 0);
    ide_expect_sector(back, 53);
    ide_issue_ext(0, 2, 4000, 0x34);
    pio_out(2, 1);
    ck_assert_int_eq(block_read(disk, 4000 * 512, back, 1024), 0);
    ck_assert_mem_eq(back, data, 1024);
    ide_issue(LBA, 0, 2, SECTORS - 1, 0x30); // one is outside: nothing is asked for
    expect_error(IDNF);
}
END_TEST

START_TEST(data_by_dwords)
{
    start();
    ide_issue(LBA, 0, 1, 77, 0x20);
    ck_assert_uint_eq(ide_wait(disk), DRDY | DSC | DRQ);
    for (unsigned i = 0; i < 128; i++) {
        uint32_t v = inl(CMD);
        memcpy(data + 4 * i, &v, 4);
    }
    ide_expect_sector(data, 77);
    ck_assert_uint_eq(inb(CTL), DRDY | DSC);
}
END_TEST

START_TEST(commands_without_data)
{
    static const uint8_t fine[] = {0x10, 0x1f, 0x70, 0x94, 0x95, 0x96, 0x97, 0x99,
                                   0xe0, 0xe1, 0xe2, 0xe3, 0xe6, 0xe7, 0xea};
    static const uint8_t aborted[] = {0x00, 0x06, 0x08, 0x22, 0x32, 0x50, 0xa0, 0xa1, 0xc0, 0xf1, 0xf6, 0xf9, 0xff};
    start();
    for (unsigned i = 0; i < sizeof(fine); i++) {
        ide_issue(LBA, 0, 1, 1, fine[i]);
        expect_ok();
    }
    for (unsigned i = 0; i < sizeof(aborted); i++) {
        ide_issue(LBA, 0, 1, 1, aborted[i]);
        expect_error(ABRT);
    }
    ide_issue(0, 0, 0, 0, 0xe5);
    expect_ok();
    ck_assert_uint_eq(inb(CMD + 2), 0xff);
    ide_issue(LBA, 0, 1, SECTORS, 0x70);
    expect_error(IDNF);
    ide_issue(LBA, 0, 16, SECTORS - 16, 0x40); // VERIFY
    expect_ok();
    ide_issue(LBA, 0, 17, SECTORS - 16, 0x40);
    expect_error(IDNF);
    ide_issue(0, 0, 0, 0, 0xf8); // READ NATIVE MAX
    expect_ok();
    expect_regs(0, 0, (SECTORS - 1) & 255, (SECTORS - 1) >> 8, 0);
}
END_TEST

START_TEST(diagnostic)
{
    start();
    ide_bench_disk(0, 1, ide_image(64, false));
    outb(CMD + 6, 0xb0);
    outb(CMD + 7, 0x90);
    ck_assert(bench_line[IDE_IRQ].level);
    expect_regs(1, 1, 1, 0, 0);
    ck_assert_uint_eq(inb(CMD + 6), 0xa0); // device 0 answers
    ck_assert_uint_eq(inb(CMD + 7), DRDY | DSC);
    ck_assert(!bench_line[IDE_IRQ].level);
}
END_TEST

// A missing drive is not busy for ever.
START_TEST(diagnostic_after_a_reset_of_one_drive)
{
    start();
    outb(CTL, 0x04);
    outb(CTL, 0x00);
    outb(CMD + 7, 0x90);
    ck_assert(bench_line[IDE_IRQ].level);
    expect_regs(1, 1, 1, 0, 0);
}
END_TEST

START_TEST(interrupt_enable_and_selection)
{
    start();
    ide_bench_disk(0, 1, ide_image(64, false));
    outb(CTL, 0x02); // nIEN
    ide_issue(0, 0, 0, 0, 0xe5);
    ck_assert(!bench_line[IDE_IRQ].level);
    outb(CTL, 0x00);
    ck_assert(bench_line[IDE_IRQ].level); // it is still pending
    inb(CTL);
    ck_assert(bench_line[IDE_IRQ].level); // the alternate status does not acknowledge
    outb(CMD + 6, 0xb0);
    ck_assert(!bench_line[IDE_IRQ].level); // a drive that is not selected is silent
    outb(CMD + 6, 0xa0);
    ck_assert(bench_line[IDE_IRQ].level);
    outb(CMD + 7, 0xe5); // a command acknowledges, too, and raises its own
    ck_assert_uint_eq(bench_line[IDE_IRQ].rises, 3);
}
END_TEST

START_TEST(reset_in_the_middle)
{
    start();
    ide_issue(LBA, 0, 8, 0, 0x30);
    ide_write_words(data, 300);
    outb(CMD + 7, 0xec); // DRQ is set: not taken
    ck_assert_uint_eq(inb(CTL), DRDY | DSC | DRQ);
    outb(CTL, 0x04);
    outb(CTL, 0x00);
    ck_assert_uint_eq(inb(CTL), DRDY | DSC);
    outw(CMD, 0x1234); // goes nowhere
    ck_assert_uint_eq(inb(CTL), DRDY | DSC);
    uint8_t back[512];
    ck_assert_int_eq(block_read(disk, 0, back, 512), 0);
    ide_expect_sector(back, 0); // the transfer had not reached the image
    identify(0);
}
END_TEST

START_TEST(smart)
{
    start();
    outb(CMD + 6, 0xa0);
    ide_issue(0, 0xda, 0, 0xc24f00, 0xb0);
    expect_ok();
    ck_assert_uint_eq(inb(CMD + 4), 0x4f);
    ck_assert_uint_eq(inb(CMD + 5), 0xc2);
    for (unsigned sub = 0xd0; sub <= 0xd1; sub++) {
        uint8_t sum = 0;
        ide_issue(0, (uint8_t)sub, 1, 0xc24f00, 0xb0);
        ck_assert_uint_eq(ide_wait(disk), DRDY | DSC | DRQ);
        ide_read_words(data, 256);
        for (unsigned i = 0; i < 512; i++)
            sum = (uint8_t)(sum + data[i]);
        ck_assert_uint_eq(sum, 0);
        ck_assert_uint_eq(data[2], 1); // the first attribute
    }
    ide_issue(0, 0xda, 0, 0, 0xb0); // no key
    expect_error(ABRT);
    ide_issue(0, 0xd9, 0, 0xc24f00, 0xb0);
    expect_ok();
    ide_issue(0, 0xd0, 0, 0xc24f00, 0xb0);
    expect_error(ABRT);
    ide_issue(0, 0xd8, 0, 0xc24f00, 0xb0);
    expect_ok();
}
END_TEST

static uint8_t cmos[64];
static void set_cmos(void *opaque, uint8_t index, uint8_t value) { cmos[index] = value; }

START_TEST(geometry_for_the_bios)
{
    struct ide_geometry g;
    start();
    // A partition table that was made with 8 heads and 32 sectors.
    uint8_t mbr[512] = {0};
    mbr[510] = 0x55;
    mbr[511] = 0xaa;
    mbr[446 + 4] = 0x83;
    mbr[446 + 5] = 7;
    mbr[446 + 6] = 32;
    mbr[446 + 12] = 1;
    struct block *b = ide_image(8 * 32 * 100, false);
    ck_assert_int_eq(block_write(b, 0, mbr, 512), 0);
    g = ide_drive_geometry(ide_bench_disk(0, 1, b));
    ck_assert_uint_eq(g.cylinders, 100);
    ck_assert_uint_eq(g.heads, 8);
    ck_assert_uint_eq(g.sectors, 32);
    ck_assert_int_eq(g.translation, IDE_TRANSLATE_NONE);
    piix3_ide_cmos(ide, set_cmos, NULL);
    ck_assert_uint_eq(cmos[0x12], 0xff);
    ck_assert_uint_eq(cmos[0x19], 47);
    ck_assert_uint_eq(cmos[0x1a], 47);
    ck_assert_uint_eq(cmos[0x1b], 4);
    ck_assert_uint_eq(cmos[0x1d], 16);
    ck_assert_uint_eq(cmos[0x23], 63);
    ck_assert_uint_eq(cmos[0x24], 100);
    ck_assert_uint_eq(cmos[0x26], 8);
    ck_assert_uint_eq(cmos[0x2c], 32);
    ck_assert_uint_eq(cmos[0x39], 0);
    // One made through a translating BIOS: 255 heads.
    mbr[446 + 5] = 254;
    mbr[446 + 6] = 63;
    b = ide_image(255 * 63 * 10, false);
    ck_assert_int_eq(block_write(b, 0, mbr, 512), 0);
    g = ide_drive_geometry(ide_bench_disk(1, 0, b));
    ck_assert_uint_eq(g.cylinders, 159);
    ck_assert_uint_eq(g.heads, 16);
    ck_assert_int_eq(g.translation, IDE_TRANSLATE_LARGE);
    piix3_ide_cmos(ide, set_cmos, NULL);
    ck_assert_uint_eq(cmos[0x39], IDE_TRANSLATE_LARGE << 4);
}
END_TEST

START_TEST(attach_refuses)
{
    start();
    struct ide_channel *ch = piix3_ide_channel(ide, 0);
    struct ide_drive_config dc = {.block = ide_image(1, false)};
    ck_assert_int_eq(ide_attach(ch, 0, &dc), -EBUSY);
    dc.serial = "123456789012345678901";
    ck_assert_int_eq(ide_attach(ch, 1, &dc), -EINVAL);
    dc.serial = "tab\t";
    ck_assert_int_eq(ide_attach(ch, 1, &dc), -EINVAL);
    dc.serial = NULL;
    dc.block = NULL;
    ck_assert_int_eq(ide_attach(ch, 1, &dc), -EINVAL);
}
END_TEST

int main(void)
{
    // clang-format off
    const TTest *const tests[] = {
        power_on_signature, soft_reset, missing_drives, decoding_follows_idetim,
        registers_latch_for_both_and_keep_the_previous, identify_device, set_features_shows_in_identify,
        read_by_lba28, read_by_chs, count_0_is_256, read_ext_and_across_the_buffer, multiple, write_sectors,
        data_by_dwords, commands_without_data, diagnostic, diagnostic_after_a_reset_of_one_drive,
        interrupt_enable_and_selection, reset_in_the_middle, smart, geometry_for_the_bios, attach_refuses,
    };
    // clang-format on
    return bench_main("ide", tests, ARRAY_SIZE(tests));
}
