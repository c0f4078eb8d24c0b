// SPDX-License-Identifier: MIT
// ISA DMA: two 8237A controllers in cascade and their page registers.
// Intel 8237A data sheet (231466); Intel 82371AB (PIIX4), section 4.2.1 "DMA Registers"; the high pages are
// those of the 82374EB (ESC), section 3.2 "DMA Register Description".
//
//   channel   0 1 2 3      bytes, inside 64 KiB      ports 00h-0Fh   pages 87h 83h 81h 82h
//   channel   (4) 5 6 7    words, inside 128 KiB     ports C0h-DFh   pages 8Fh 8Bh 89h 8Ah
// Channel 4 is where the first controller's requests enter the second; it transfers nothing itself.
#pragma once

#include "softmmu/address_space.h"

enum { I8237_CHANNELS = 8, I8237_CASCADE = 4 };

struct i8237;

// Maps 00h-0Fh, 80h-8Fh, C0h-DFh and 480h-48Fh; mem is where transfers go. NULL if out of memory.
struct i8237 *i8237_create(struct address_space *ports, struct address_space *mem);
void i8237_reset(struct i8237 *d);
// What a BIOS leaves behind: channel 4 in cascade mode and open.
void i8237_open_cascade(struct i8237 *d);

// A device's side. A device raises DREQ and moves what it has. If the channel does not take it (masked,
// disabled, or the wrong direction), it waits with DREQ high until ready() tells that the guest has changed
// something; ready() is called inside that port write. Channel 0 to 7, but 4. Big lock held.
void i8237_connect(struct i8237 *d, unsigned channel, void (*ready)(void *opaque), void *opaque);
void i8237_set_dreq(struct i8237 *d, unsigned channel, bool level);
// Memory to device ("read transfer") and device to memory ("write transfer"), at most len bytes, for channels 5
// to 7 an even number. Return the bytes moved. *tc: the count ran out (TC), and nothing is moved beyond it.
// A verify transfer counts without touching memory; a device then reads FFh.
size_t i8237_read(struct i8237 *d, unsigned channel, void *buf, size_t len, bool *tc);
size_t i8237_write(struct i8237 *d, unsigned channel, const void *buf, size_t len, bool *tc);
