// SPDX-License-Identifier: MIT
// Tests of hw/fw_cfg.c.
#include "hw/fw_cfg.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/hw/harness.h"

static struct fw_cfg *fw;
static void start(void) { fw = fw_cfg_create(ports, mem); }

static void read_item(uint16_t key, void *buf, size_t n)
{
    outw(0x510, key);
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)buf)[i] = inb(0x511);
}

static uint32_t dma(uint32_t control, uint32_t len, uint64_t addr)
{
    uint8_t *a = bench_ram.base + 0x1000;
    control = htobe32(control);
    len = htobe32(len);
    addr = htobe64(addr);
    memcpy(a, &control, 4);
    memcpy(a + 4, &len, 4);
    memcpy(a + 8, &addr, 8);
    outl(0x514, 0);
    outl(0x518, htobe32(0x1000));
    memcpy(&control, a, 4);
    return be32toh(control);
}

START_TEST(signature_and_id)
{
    start();
    char s[6];
    read_item(0, s, 6);
    ck_assert_int_eq(memcmp(s, "QEMU\0\0", 6), 0); // zeros past the end
    uint32_t id;
    read_item(1, &id, 4);
    ck_assert_uint_eq(id, 3);
    ck_assert_uint_eq(inl(0x514), 0x554d4551);
    ck_assert_uint_eq(inl(0x518), 0x47464320);
}
END_TEST

START_TEST(items)
{
    start();
    ck_assert_int_eq(fw_cfg_add_u16(fw, FW_CFG_NB_CPUS, 2), 0);
    ck_assert_int_eq(fw_cfg_add_u64(fw, FW_CFG_RAM_SIZE, 0x12345678), 0);
    ck_assert_int_eq(fw_cfg_add_string(fw, FW_CFG_CMDLINE_DATA, "root=/dev/vda"), 0);
    ck_assert_int_eq(fw_cfg_add_u32(fw, FW_CFG_IRQ0_OVERRIDE, 1), 0);
    ck_assert_int_eq(fw_cfg_add_u16(fw, 0x3000, 1), -EINVAL);
    uint16_t n;
    uint64_t ram;
    char line[14];
    read_item(FW_CFG_NB_CPUS, &n, 2);
    read_item(FW_CFG_RAM_SIZE, &ram, 8);
    read_item(FW_CFG_CMDLINE_DATA, line, sizeof(line));
    ck_assert_uint_eq(n, 2);
    ck_assert_uint_eq(ram, 0x12345678);
    ck_assert_str_eq(line, "root=/dev/vda");
    read_item(FW_CFG_IRQ0_OVERRIDE, &n, 2);
    ck_assert_uint_eq(n, 1);
    read_item(0x7fff, &n, 2);
    ck_assert_uint_eq(n, 0);
}
END_TEST

START_TEST(directory_is_sorted)
{
    start();
    ck_assert_int_eq(fw_cfg_add_file(fw, "opt/zulu", "zz", 2), 0);
    ck_assert_int_eq(fw_cfg_add_file(fw, "etc/alpha", "aaa", 3), 0);
    ck_assert_int_eq(fw_cfg_add_file(fw, "etc/alpha", "aaa", 3), -EEXIST);
    char name[80];
    memset(name, 'n', sizeof(name));
    name[56] = 0;
    ck_assert_int_eq(fw_cfg_add_file(fw, name, "", 0), -ENAMETOOLONG);
    uint8_t d[4 + 2 * 64];
    read_item(FW_CFG_FILE_DIR, d, sizeof(d));
    ck_assert_uint_eq(d[3], 2);
    ck_assert_str_eq((char *)d + 4 + 8, "etc/alpha");
    ck_assert_str_eq((char *)d + 4 + 64 + 8, "opt/zulu");
    ck_assert_uint_eq(d[4 + 3], 3);
    char data[3];
    read_item((uint16_t)(d[8] << 8 | d[9]), data, 3);
    ck_assert_int_eq(memcmp(data, "aaa", 3), 0);
    size_t len;
    ck_assert_ptr_nonnull(fw_cfg_find_file(fw, "opt/zulu", &len));
    ck_assert_uint_eq(len, 2);
}
END_TEST

START_TEST(slots_run_out)
{
    start();
    int r = 0;
    unsigned n = 0;
    for (; !r; n++) {
        char name[32];
        snprintf(name, sizeof(name), "opt/%u", n);
        r = fw_cfg_add_file(fw, name, &n, sizeof(n));
    }
    ck_assert_int_eq(r, -ENOSPC);
    ck_assert_uint_eq(n - 1, FW_CFG_FILE_SLOTS);
}
END_TEST

START_TEST(dma_reads_and_skips)
{
    start();
    fw_cfg_add_bytes(fw, FW_CFG_KERNEL_DATA, "0123456789", 10);
    ck_assert_uint_eq(dma(FW_CFG_KERNEL_DATA << 16 | 8 | 2, 4, 0x2000), 0);
    ck_assert_int_eq(memcmp(bench_ram.base + 0x2000, "0123", 4), 0);
    ck_assert_uint_eq(dma(4, 2, 0), 0);
    memset(bench_ram.base + 0x2000, 'x', 16);
    ck_assert_uint_eq(dma(2, 8, 0x2000), 0);
    ck_assert_int_eq(memcmp(bench_ram.base + 0x2000, "6789\0\0\0\0x", 9), 0);
    ck_assert_uint_eq(dma(2, 1, 1ull << 39), 1); // no memory there
    ck_assert_uint_eq(dma(2, 0xffffffff, 0x2000), 1);
}
END_TEST

static size_t written_at, written_len;
static void on_written(void *opaque, size_t offset, size_t len)
{
    written_at = offset;
    written_len = len;
}

START_TEST(dma_writes_only_where_allowed)
{
    start();
    static char buf[8];
    fw_cfg_add_file_writable(fw, "etc/w", buf, sizeof(buf), on_written, NULL);
    memcpy(bench_ram.base + 0x2000, "abcdefgh", 8);
    uint32_t key = FW_CFG_FILE_FIRST;
    ck_assert_uint_eq(dma(key << 16 | 8 | 4, 2, 0), 0);
    ck_assert_uint_eq(dma(0x10, 4, 0x2000), 0);
    ck_assert_int_eq(memcmp(buf, "\0\0abcd\0\0", 8), 0);
    ck_assert_uint_eq(written_at, 2);
    ck_assert_uint_eq(written_len, 4);
    ck_assert_uint_eq(dma(0x10, 3, 0x2000), 1); // past the end
    ck_assert_uint_eq(dma(0 << 16 | 8 | 0x10, 1, 0x2000), 1);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        signature_and_id, items, directory_is_sorted, slots_run_out, dma_reads_and_skips, dma_writes_only_where_allowed,
    };
    return bench_main("fw_cfg", tests, ARRAY_SIZE(tests));
}
