// SPDX-License-Identifier: MIT
// A VGA on the bench, programmed as a BIOS does it: the standard modes' registers, and what a test needs to look
// at the screen.
#pragma once

#include "hw/vga.h"

#include "tests/unit/hw/harness.h"

struct vga_mode_regs {
    uint8_t number, misc, sr[5], cr[25], gr[9], ar[21];
};
extern const struct vga_mode_regs vga_mode_table[];
extern const unsigned vga_mode_count;

extern struct vga *vga;
extern struct display *screen;
extern struct display_frame frame; // as of the last look()
extern struct display_rect dirty;
extern struct pci_bus *vga_bus;

enum { FRAME_BUFFER = 0xe0000000, MMIO = 0xfe000000 };

void vga_start(unsigned vgamem_mb); // plugged in, BARs mapped, palette distinct, nothing programmed
const struct vga_mode_regs *vga_find_mode(unsigned number);
void vga_set_mode(unsigned number); // IBM PS/2 Hardware Interface Technical Reference's values; palette kept
void sr_write(unsigned n, uint8_t v);
void gr_write(unsigned n, uint8_t v);
void cr_write(unsigned n, uint8_t v);
void ar_write(unsigned n, uint8_t v);
void dispi(unsigned n, uint16_t v);
uint16_t dispi_read(unsigned n);
void vbe_mode(unsigned width, unsigned height, unsigned bpp, unsigned flags);
void look(void);
uint32_t pixel(unsigned x, unsigned y);
void expect_pixel(unsigned x, unsigned y, uint32_t want); // quick: for loops over the screen
uint32_t dac_color(unsigned n);                           // of the bench's palette
uint32_t attr_color(unsigned n);                          // behind the attribute palette
static inline uint8_t peek(uint32_t a) { return (uint8_t)as_load(mem, a, 1); }
static inline void poke(uint32_t a, uint8_t v) { as_store(mem, a, v, 1); }
uint32_t screen_crc(void);
