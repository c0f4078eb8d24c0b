// SPDX-License-Identifier: MIT
// Fuzzes hw/fw_cfg.c; DMA requests are built in guest memory.
#include "hw/fw_cfg.h"

#include <endian.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

static struct fw_cfg *fw;
static char buf[100];

static void create(void)
{
    fw = fw_cfg_create(ports, mem);
    fw_cfg_add_string(fw, FW_CFG_CMDLINE_DATA, "console=ttyS0");
    fw_cfg_add_file(fw, "etc/empty", "", 0);
    fw_cfg_add_file_writable(fw, "etc/writable", buf, sizeof(buf), NULL, NULL);
}

static void reset(void) { fw_cfg_reset(fw); }

static void event(uint8_t a, uint8_t b)
{
    uint32_t control = htobe32((uint32_t)(a & 0x3f) << 16 | (b & 0x1f)), len = htobe32(1u << (a & 31));
    uint64_t addr = htobe64((uint64_t)b << (a & 63));
    memcpy(bench_ram.base + 0x1000, &control, 4);
    memcpy(bench_ram.base + 0x1004, &len, 4);
    memcpy(bench_ram.base + 0x1008, &addr, 8);
    outl(0x518, htobe32(0x1000));
}

static const struct fuzz_target target = {
    "fw_cfg", {{false, 0x510, 2}, {false, 0x514, 8}}, create, reset, event, 0,
};
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_run(&target, data, size); }
