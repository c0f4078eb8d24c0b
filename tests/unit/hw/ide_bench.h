// SPDX-License-Identifier: MIT
// A bench for IDE drives: the PIIX3 function on a PCI bus, images whose sectors say who they are, and a small
// driver that talks to both as a BIOS would.
#pragma once

#include "hw/block.h"
#include "hw/piix3_ide.h"
#include "tests/unit/hw/harness.h"

enum { CMD = 0x1f0, CTL = 0x3f6, BM = 0xc000, IDE_IRQ = 14, SLAVE = 0x10, LBA = 0x40 };
enum { BSY = 0x80, DRDY = 0x40, DF = 0x20, DSC = 0x10, DRQ = 0x08, ERR = 0x01 };
enum { ABRT = 0x04, IDNF = 0x10 };
enum { TABLE = 0x1000, BUFFER = 0x20000 }; // in guest memory

extern struct piix3_ide *ide;

// An image of so many sectors: each starts with its number and ends with 5Ah.
struct block *ide_image(unsigned sectors, bool readonly);
void ide_bench_start(void); // on a fresh bench: no drives, the bus master at port BM
struct ide_drive *ide_bench_disk(unsigned channel, unsigned unit, struct block *b);
struct ide_drive *ide_bench_cd(unsigned channel, unsigned unit, struct block *b);
void ide_config_write(unsigned reg, uint32_t v, unsigned size);

// All of these are for the first channel.
uint8_t ide_wait(struct block *b); // until not busy: the alternate status. b may be NULL
void ide_issue(uint8_t device, uint8_t feature, uint8_t count, uint32_t lba, uint8_t command);
void ide_issue_ext(uint8_t device, uint16_t count, uint64_t lba, uint8_t command);
void ide_read_words(void *to, unsigned words);
void ide_write_words(const void *from, unsigned words);
void ide_expect_sector(const void *data, uint32_t number);

struct prd {
    uint32_t addr;
    uint16_t count, flags;
};
void ide_dma_start(const struct prd *table, unsigned n, bool to_memory);

// A packet command, up to the end of the packet; feature bit 0: DMA.
void ide_packet(const uint8_t packet[12], bool dma, unsigned limit);
