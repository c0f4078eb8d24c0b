// SPDX-License-Identifier: MIT
// The firmware configuration device: numbered items and named files, by port or by DMA.
// QEMU's specification docs/specs/fw_cfg.rst.
//
//     510h selector (16, write)   511h data (8)   514h DMA address (64, big-endian)
#pragma once

#include "softmmu/address_space.h"

// clang-format off
enum {
    FW_CFG_SIGNATURE = 0x00, FW_CFG_ID = 0x01, FW_CFG_UUID = 0x02, FW_CFG_RAM_SIZE = 0x03,
    FW_CFG_NOGRAPHIC = 0x04, FW_CFG_NB_CPUS = 0x05, FW_CFG_MACHINE_ID = 0x06, FW_CFG_KERNEL_ADDR = 0x07,
    FW_CFG_KERNEL_SIZE = 0x08, FW_CFG_KERNEL_CMDLINE = 0x09, FW_CFG_INITRD_ADDR = 0x0a,
    FW_CFG_INITRD_SIZE = 0x0b, FW_CFG_BOOT_DEVICE = 0x0c, FW_CFG_NUMA = 0x0d, FW_CFG_BOOT_MENU = 0x0e,
    FW_CFG_MAX_CPUS = 0x0f, FW_CFG_KERNEL_ENTRY = 0x10, FW_CFG_KERNEL_DATA = 0x11, FW_CFG_INITRD_DATA = 0x12,
    FW_CFG_CMDLINE_ADDR = 0x13, FW_CFG_CMDLINE_SIZE = 0x14, FW_CFG_CMDLINE_DATA = 0x15,
    FW_CFG_SETUP_ADDR = 0x16, FW_CFG_SETUP_SIZE = 0x17, FW_CFG_SETUP_DATA = 0x18, FW_CFG_FILE_DIR = 0x19,
    FW_CFG_FILE_FIRST = 0x20, FW_CFG_FILE_SLOTS = 0x60,
    FW_CFG_ACPI_TABLES = 0x8000, FW_CFG_SMBIOS_ENTRIES = 0x8001, FW_CFG_IRQ0_OVERRIDE = 0x8002,
    FW_CFG_E820_TABLE = 0x8003,
};
// clang-format on

struct fw_cfg;

// mem: where DMA goes. Signature and id are there from the start. NULL if out of memory.
struct fw_cfg *fw_cfg_create(struct address_space *ports, struct address_space *mem);
void fw_cfg_reset(struct fw_cfg *f); // the selection; items stay

// Items by number; bytes are copied, numbers stored little-endian. An item that exists is replaced.
// 0, or -EINVAL (no such key), -ENOMEM.
int fw_cfg_add_bytes(struct fw_cfg *f, uint16_t key, const void *data, size_t len);
int fw_cfg_add_string(struct fw_cfg *f, uint16_t key, const char *s); // with its NUL
int fw_cfg_add_u16(struct fw_cfg *f, uint16_t key, uint16_t v);
int fw_cfg_add_u32(struct fw_cfg *f, uint16_t key, uint32_t v);
int fw_cfg_add_u64(struct fw_cfg *f, uint16_t key, uint64_t v);
// Not copied: data stays the caller's, for as long as the device lives (kernels, initrds).
int fw_cfg_add_ref(struct fw_cfg *f, uint16_t key, const void *data, size_t len);

// Named files ("etc/e820", "opt/..."): 0, -EEXIST, -ENAMETOOLONG (55 characters), -ENOSPC, -ENOMEM.
// The directory is kept sorted by name.
int fw_cfg_add_file(struct fw_cfg *f, const char *name, const void *data, size_t len);
int fw_cfg_add_file_ref(struct fw_cfg *f, const char *name, const void *data, size_t len);
// A file that the guest may write by DMA; written (may be NULL) is called after each such write.
int fw_cfg_add_file_writable(struct fw_cfg *f, const char *name, void *data, size_t len,
                             void (*written)(void *opaque, size_t offset, size_t len), void *opaque);
const void *fw_cfg_find_file(const struct fw_cfg *f, const char *name, size_t *len); // NULL: none
