// SPDX-License-Identifier: MIT
// Tests of hw/fdc_*.c, with real image files behind the drives.
#include "hw/fdc_82077.h"

#include "hw/block.h"
#include "hw/i8237.h"
#include "tests/unit/hw/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IRQ = 6, DOR = 0x3f2, MSR = 0x3f4, DSR = 0x3f4, FIFO = 0x3f5, DIR = 0x3f7, CCR = 0x3f7, BUFFER = 0x20000 };

static struct fdc *fdc;
static struct i8237 *dma;

// An image whose every sector starts with its own number.
static struct block *image(unsigned sectors, bool readonly)
{
    char path[] = "/tmp/ring3-fdc-XXXXXX", why[160];
    uint8_t sector[512] = {0};
    int fd = mkstemp(path);
    struct block *b;

    ck_assert_int_ge(fd, 0);
    for (uint32_t i = 0; i < sectors; i++) {
        memcpy(sector, &i, sizeof(i));
        sector[511] = 0x5a;
        ck_assert_int_eq(write(fd, sector, sizeof(sector)), sizeof(sector));
    }
    close(fd);
    const struct block_options o = {.path = path, .readonly = readonly, .aio = BLOCK_AIO_THREADS};
    ck_assert_int_eq(block_open(&o, &b, why), 0);
    unlink(path);
    return b;
}

static void start(struct block *media)
{
    const struct fdc_config cfg = {
        .ports = ports, .base = 0x3f0, .irq = bench_irq(IRQ), .dma_channel = 2, .dma = dma = i8237_create(ports, mem)};
    i8237_open_cascade(dma);
    fdc = fdc_create(&cfg);
    ck_assert_int_eq(fdc_add_drive(fdc, 0, FDC_TYPE_AUTO, media), 0);
}

static void send(const uint8_t *bytes, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        ck_assert_uint_eq(inb(MSR) & 0xc0, 0x80);
        outb(FIFO, bytes[i]);
    }
}
#define SEND(...) send((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void expect(const uint8_t *want, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        ck_assert_uint_eq(inb(MSR) & 0xd0, 0xd0);
        uint8_t got = inb(FIFO);
        ck_assert_msg(got == want[i], "result %u is %02x, want %02x", i, got, want[i]);
    }
    ck_assert_uint_eq(inb(MSR) & 0xd0, 0x80);
}
#define EXPECT(...) expect((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

// Out of reset, motor of drive 0 on, interrupts and DMA through, 500 kbit/s.
static void ready(void)
{
    outb(DOR, 0x1c);
    for (uint8_t i = 0; i < 4; i++) {
        SEND(0x08);
        EXPECT(0xc0 | i, 0);
    }
    outb(CCR, 0);
    SEND(0x03, 0xdf, 0x02);
}

static void seek(uint8_t cylinder)
{
    SEND(0x0f, 0x00, cylinder);
    ck_assert(bench_line[IRQ].level);
    SEND(0x08);
    EXPECT(0x20, cylinder);
    ck_assert(!bench_line[IRQ].level);
}

static void program_dma(uint8_t mode, unsigned bytes)
{
    outb(0x0a, 0x06);
    outb(0x0c, 0);
    outb(0x0b, mode);
    outb(0x04, BUFFER & 0xff);
    outb(0x04, BUFFER >> 8 & 0xff);
    outb(0x81, BUFFER >> 16);
    outb(0x05, (uint8_t)(bytes - 1));
    outb(0x05, (uint8_t)((bytes - 1) >> 8));
    outb(0x0a, 0x02);
}

static uint32_t sector_number(unsigned n)
{
    uint32_t v;
    memcpy(&v, (uint8_t *)bench_ram.base + BUFFER + 512 * n, 4);
    return v;
}

START_TEST(reset_and_identity)
{
    start(NULL);
    ck_assert_uint_eq(inb(MSR), 0); // held in reset by DOR
    outb(DOR, 0x0c);
    ck_assert(bench_line[IRQ].level);
    ck_assert_uint_eq(inb(MSR), 0x80);
    SEND(0x08);
    EXPECT(0xc0, 0);
    ck_assert(!bench_line[IRQ].level); // one interrupt for the four
    for (uint8_t i = 1; i < 4; i++) {
        SEND(0x08);
        EXPECT(0xc0 | i, 0);
    }
    SEND(0x08); // nothing left: an invalid command
    EXPECT(0x80);
    SEND(0x10);
    EXPECT(0x90);
    SEND(0x18); // PART ID: not on an 82077AA
    EXPECT(0x80);
    SEND(0x94);
    EXPECT(0x10);
    SEND(0x14);
    EXPECT(0x00);
    SEND(0x13, 0, 0x5f, 0x07);
    SEND(0x12, 0x84 | 2);
    SEND(0x0e);
    EXPECT(0, 0, 0, 0, 0, 0, 0, 0x06, 0x5f, 0x07);
}
END_TEST

START_TEST(lock_keeps_the_configuration)
{
    start(NULL);
    ready();
    SEND(0x13, 0, 0x1a, 0x05); // polling off
    SEND(0x94);
    EXPECT(0x10);
    outb(DSR, 0x80);
    ck_assert(!bench_line[IRQ].level); // no polling, no interrupt
    SEND(0x0e);
    EXPECT(0, 0, 0, 0, 0xdf, 0x02, 0, 0x80, 0x1a, 0x05);
    SEND(0x14);
    EXPECT(0x00);
    outb(DSR, 0x80);
    SEND(0x0e);
    EXPECT(0, 0, 0, 0, 0xdf, 0x02, 0, 0x00, 0x20, 0x00);
}
END_TEST

START_TEST(interrupts_pass_the_gate)
{
    start(NULL);
    outb(DOR, 0x04); // DMAGATE# off: INT and DRQ are not driven
    ck_assert(!bench_line[IRQ].level);
    outb(DOR, 0x0c);
    ck_assert(bench_line[IRQ].level);
}
END_TEST

START_TEST(seek_recalibrate_and_change_line)
{
    start(image(2880, false));
    ready();
    ck_assert_uint_eq(inb(DIR), 0x80);
    SEND(0x07, 0x00);
    ck_assert_uint_eq(inb(MSR), 0x81); // drive 0 busy until sensed
    SEND(0x08);
    EXPECT(0x20, 0);
    ck_assert_uint_eq(inb(DIR), 0x80); // no step pulse yet
    seek(40);
    ck_assert_uint_eq(inb(DIR), 0);
    SEND(0x04, 0x00);
    EXPECT(0x28);
    SEND(0x07, 0x00);
    SEND(0x08);
    EXPECT(0x20, 0);
    SEND(0x04, 0x04);
    EXPECT(0x3c);
    SEND(0xcf, 0x00, 10); // relative, inward
    SEND(0x08);
    EXPECT(0x20, 10);
    SEND(0x8f, 0x00, 11); // one too far outward
    SEND(0x08);
    EXPECT(0x70, 0xff);
    SEND(0x07, 0x01); // no drive: track 0 is never seen
    SEND(0x08);
    EXPECT(0x71, 0);
    ck_assert_int_eq(fdc_set_media(fdc, 0, NULL), 0);
    ck_assert_uint_eq(inb(DIR), 0x80);
    outb(DOR, 0x0c); // motor off: not selected
    ck_assert_uint_eq(inb(DIR), 0);
}
END_TEST

START_TEST(read_by_dma)
{
    start(image(2880, false));
    ready();
    seek(2);
    program_dma(0x46, 1024);
    SEND(0xe6, 0x04, 2, 1, 17, 2, 18, 0x1b, 0xff);
    ck_assert(bench_line[IRQ].level);
    EXPECT(0x04, 0, 0, 3, 0, 1, 2); // MT: after the last sector of side 1
    ck_assert(!bench_line[IRQ].level);
    ck_assert_uint_eq(sector_number(0), (2 * 2 + 1) * 18 + 16);
    ck_assert_uint_eq(sector_number(1), (2 * 2 + 1) * 18 + 17);
}
END_TEST

START_TEST(multi_track_goes_to_the_other_side)
{
    start(image(2880, false));
    ready();
    program_dma(0x46, 36 * 512);
    SEND(0xe6, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff);
    EXPECT(0x04, 0, 0, 1, 0, 1, 2);
    for (unsigned i = 0; i < 36; i++)
        ck_assert_uint_eq(sector_number(i), i);
    program_dma(0x46, 36 * 512); // without MT it ends at EOT, without TC
    SEND(0x66, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff);
    EXPECT(0x40, 0x80, 0, 1, 0, 1, 2);
}
END_TEST

START_TEST(waits_for_the_channel)
{
    start(image(2880, false));
    ready();
    program_dma(0x46, 512);
    outb(0x0a, 0x06);
    SEND(0x66, 0x00, 0, 0, 5, 2, 18, 0x1b, 0xff);
    ck_assert_uint_eq(inb(MSR), 0x10);
    ck_assert(!bench_line[IRQ].level);
    ck_assert_uint_eq(inb(0x08) & 0xf0, 0x40);
    outb(0x0a, 0x02);
    ck_assert(bench_line[IRQ].level);
    EXPECT(0x00, 0, 0, 0, 0, 6, 2);
    ck_assert_uint_eq(sector_number(0), 4);
    ck_assert_uint_eq(inb(0x08) & 0xf0, 0);
}
END_TEST

START_TEST(write_by_dma)
{
    struct block *b = image(2880, false);
    uint8_t got[512];

    start(b);
    ready();
    seek(79);
    memset((uint8_t *)bench_ram.base + BUFFER, 0xee, 1024);
    program_dma(0x4a, 600); // cut short in the second sector: zeros follow
    SEND(0x45, 0x04, 79, 1, 17, 2, 18, 0x1b, 0xff);
    EXPECT(0x04, 0, 0, 80, 1, 1, 2);
    ck_assert_int_eq(block_read(b, 2878 * 512, got, 512), 0);
    ck_assert_uint_eq(got[511], 0xee);
    ck_assert_int_eq(block_read(b, 2879 * 512, got, 512), 0);
    ck_assert_uint_eq(got[87], 0xee);
    ck_assert_uint_eq(got[88], 0);
}
END_TEST

START_TEST(write_protected)
{
    struct block *b = image(2880, true);

    start(b);
    ready();
    SEND(0x04, 0x00);
    EXPECT(0x78);
    program_dma(0x4a, 512);
    SEND(0x45, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff);
    EXPECT(0x40, 0x02, 0, 0, 0, 1, 2);
    SEND(0x4d, 0x00, 2, 18, 0x54, 0xf6);
    EXPECT(0x40, 0x02, 0, 0, 0, 0, 2);
}
END_TEST

START_TEST(what_is_not_on_the_disk)
{
    start(image(2880, false));
    ready();
    program_dma(0x46, 512);
    SEND(0x66, 0x00, 0, 0, 19, 2, 19, 0x1b, 0xff); // no sector 19
    EXPECT(0x40, 0x04, 0, 0, 0, 19, 2);
    SEND(0x66, 0x00, 1, 0, 1, 2, 18, 0x1b, 0xff); // the heads are on 0
    EXPECT(0x40, 0x04, 0x10, 1, 0, 1, 2);
    SEND(0x66, 0x00, 0, 0, 1, 3, 18, 0x1b, 0xff); // sectors of 1024 bytes
    EXPECT(0x40, 0x04, 0, 0, 0, 1, 3);
    outb(CCR, 2); // 250 kbit/s
    SEND(0x66, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff);
    EXPECT(0x40, 0x01, 0, 0, 0, 1, 2);
    SEND(0x4a, 0x00);
    EXPECT(0x40, 0x01, 0, 0, 0, 0, 0);
    outb(CCR, 0);
    SEND(0x4a, 0x04);
    EXPECT(0x04, 0, 0, 0, 1, 1, 2);
    SEND(0x4a, 0x01); // no drive
    EXPECT(0x41, 0x01, 0, 0, 0, 0, 0);
    seek(80);
    SEND(0x4a, 0x00);
    EXPECT(0x40, 0x01, 0, 0, 0, 0, 0);
}
END_TEST

START_TEST(implied_seek)
{
    start(image(2880, false));
    ready();
    SEND(0x13, 0, 0x57, 0);
    program_dma(0x46, 512);
    SEND(0x66, 0x00, 33, 0, 1, 2, 18, 0x1b, 0xff);
    EXPECT(0x00, 0, 0, 33, 0, 2, 2);
    ck_assert_uint_eq(sector_number(0), 33 * 36);
}
END_TEST

START_TEST(fifo_without_dma)
{
    start(image(2880, false));
    ready();
    SEND(0x03, 0xdf, 0x03); // ND
    SEND(0x66, 0x00, 0, 0, 17, 2, 18, 0x1b, 0xff);
    for (unsigned s = 0; s < 2; s++)
        for (unsigned i = 0; i < 512; i++) {
            ck_assert(bench_line[IRQ].level == (i == 0));
            ck_assert_uint_eq(inb(MSR), 0xf0);
            uint8_t v = inb(FIFO);
            ck_assert_uint_eq(v, i == 0 ? 16 + s : i == 511 ? 0x5a : 0);
        }
    ck_assert(bench_line[IRQ].level);
    EXPECT(0x40, 0x80, 0, 1, 0, 1, 2); // nobody gave TC
    SEND(0x45, 0x00, 0, 0, 18, 2, 18, 0x1b, 0xff);
    for (unsigned i = 0; i < 512; i++) {
        ck_assert_uint_eq(inb(MSR), 0xb0);
        outb(FIFO, 0x77);
    }
    EXPECT(0x40, 0x80, 0, 1, 0, 1, 2);
    uint8_t got[512];
    ck_assert_int_eq(block_read(fdc_media(fdc, 0), 17 * 512, got, 512), 0);
    ck_assert_uint_eq(got[0], 0x77);
    ck_assert_uint_eq(got[511], 0x77);
}
END_TEST

START_TEST(format_verify_scan)
{
    uint8_t *ids = (uint8_t *)bench_ram.base + BUFFER, got[512];

    start(image(2880, false));
    ready();
    seek(3);
    for (uint8_t i = 0; i < 18; i++)
        memcpy(ids + 4 * i, (const uint8_t[]){3, 0, i + 1, 2}, 4);
    program_dma(0x4a, 72);
    SEND(0x4d, 0x00, 2, 18, 0x54, 0xf6);
    EXPECT(0x00, 0, 0, 3, 0, 18, 2);
    for (unsigned i = 0; i < 18; i++) {
        ck_assert_int_eq(block_read(fdc_media(fdc, 0), (3 * 36 + i) * 512, got, 512), 0);
        ck_assert(got[0] == 0xf6 && got[511] == 0xf6);
    }
    SEND(0x56, 0x00, 3, 0, 1, 2, 18, 0x1b, 0xff); // VERIFY to EOT
    EXPECT(0x00, 0, 0, 4, 0, 1, 2);
    SEND(0x56, 0x80, 3, 0, 1, 2, 18, 0x1b, 2); // EC: two sectors
    EXPECT(0x00, 0, 0, 3, 0, 3, 2);
    memset(ids, 0xf6, 512);
    program_dma(0x4a, 512);
    SEND(0x51, 0x00, 3, 0, 1, 2, 18, 0x1b, 1); // SCAN EQUAL
    EXPECT(0x00, 0, 0x08, 3, 0, 1, 2);
    ids[5] = 0x10;
    program_dma(0x4a, 512);
    SEND(0x51, 0x00, 3, 0, 1, 2, 18, 0x1b, 1);
    EXPECT(0x00, 0, 0x04, 3, 0, 1, 2);
    program_dma(0x4a, 512);
    SEND(0x5d, 0x00, 3, 0, 1, 2, 18, 0x1b, 1); // HIGH OR EQUAL: the disk's byte is higher
    EXPECT(0x00, 0, 0x00, 3, 0, 1, 2);
}
END_TEST

START_TEST(read_track_and_deleted_data)
{
    start(image(1440, false)); // 720K: 9 sectors, 250 kbit/s
    ready();
    outb(CCR, 2);
    program_dma(0x46, 9 * 512);
    SEND(0x42, 0x00, 0, 0, 5, 2, 9, 0x1b, 0xff); // from the index hole, whatever R says
    EXPECT(0x00, 0, 0, 1, 0, 1, 2);
    ck_assert_uint_eq(sector_number(0), 0);
    ck_assert_uint_eq(sector_number(8), 8);
    program_dma(0x46, 9 * 512);
    SEND(0x4c, 0x00, 0, 0, 5, 2, 9, 0x1b, 0xff); // a sector of the other kind, and no more
    EXPECT(0x00, 0, 0x40, 0, 0, 6, 2);
    program_dma(0x46, 9 * 512);
    SEND(0x6c, 0x00, 0, 0, 5, 2, 9, 0x1b, 0xff);
    EXPECT(0x40, 0x04, 0, 0, 0, 5, 2);
}
END_TEST

START_TEST(sizes_and_cmos)
{
    static const struct {
        unsigned sectors;
        uint8_t cmos;
    } rows[] = {{320, 2},  {360, 2},  {640, 2},  {720, 2}, {1440, 4}, {2400, 2},
                {2880, 4}, {3360, 4}, {5760, 5}, {1, 4},   {2000, 4}, {5000, 5}};

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        bench_init();
        start(image(rows[i].sectors, false));
        ck_assert_uint_eq(fdc_cmos_types(fdc), rows[i].cmos << 4);
        ck_assert_uint_eq(fdc_cmos_equipment(fdc), 0x01);
    }
    bench_init();
    start(NULL);
    ck_assert_uint_eq(fdc_cmos_types(fdc), 0x50);
    ck_assert_int_eq(fdc_add_drive(fdc, 0, FDC_TYPE_AUTO, NULL), -EBUSY);
    ck_assert_int_eq(fdc_add_drive(fdc, 2, FDC_TYPE_AUTO, NULL), -EINVAL);
    ck_assert_int_eq(fdc_add_drive(fdc, 1, FDC_TYPE_AUTO, image(10000, false)), -EFBIG);
    ck_assert_int_eq(fdc_add_drive(fdc, 1, FDC_TYPE_1440K, NULL), 0);
    ck_assert_uint_eq(fdc_cmos_types(fdc), 0x54);
    ck_assert_uint_eq(fdc_cmos_equipment(fdc), 0x41);
    ck_assert_int_eq(fdc_set_media(fdc, 1, image(5760, false)), -EFBIG); // not in a 1.44M drive
    ck_assert_int_eq(fdc_set_media(fdc, 0, image(5760, false)), 0);
}
END_TEST

START_TEST(beyond_the_image)
{
    start(image(1, false)); // a boot sector alone
    ready();
    program_dma(0x46, 1024);
    SEND(0x66, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff);
    EXPECT(0x00, 0, 0, 0, 0, 3, 2);
    ck_assert_uint_eq(((uint8_t *)bench_ram.base)[BUFFER + 511], 0x5a);
    ck_assert_uint_eq(((uint8_t *)bench_ram.base)[BUFFER + 1023], 0);
    program_dma(0x4a, 512);
    SEND(0x45, 0x00, 0, 0, 2, 2, 18, 0x1b, 0xff);
    EXPECT(0x40, 0x20, 0x20, 0, 0, 2, 2);
}
END_TEST

int main(void)
{
    // clang-format off
    const TTest *const tests[] = {
        reset_and_identity, lock_keeps_the_configuration, interrupts_pass_the_gate, seek_recalibrate_and_change_line,
        read_by_dma, multi_track_goes_to_the_other_side, waits_for_the_channel, write_by_dma, write_protected,
        what_is_not_on_the_disk, implied_seek, fifo_without_dma, format_verify_scan, read_track_and_deleted_data,
        sizes_and_cmos, beyond_the_image,
    };
    // clang-format on
    return bench_main("fdc_82077", tests, ARRAY_SIZE(tests));
}
