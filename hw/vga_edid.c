// SPDX-License-Identifier: MIT
// The monitor's description: an EDID with one preferred mode and the established ones.
// VESA Enhanced EDID Standard, Release A, Revision 2 (EDID structure 1.4), section 3.
#include "hw/vga_internal.h"

#include <string.h>

enum { EDID_BLOCK = 128, DETAILED = 54, DESCRIPTOR = 18, REFRESH = 60, DPI = 100 };

// Section 3.10.2 "Detailed Timing Descriptor", with blanking of about a quarter of each direction's minimum.
static void put_timing(uint8_t *p, unsigned x, unsigned y)
{
    unsigned hblank = 160, vblank = y / 40 + 8, hfront = 48, hsync = 32, vfront = 3, vsync = 6;
    unsigned clock = (unsigned)((uint64_t)(x + hblank) * (y + vblank) * REFRESH / 10000); // 10 kHz
    unsigned mm_x = x * 254 / (DPI * 10), mm_y = y * 254 / (DPI * 10);
    p[0] = (uint8_t)clock;
    p[1] = (uint8_t)(clock >> 8);
    p[2] = (uint8_t)x;
    p[3] = (uint8_t)hblank;
    p[4] = (uint8_t)((x >> 8) << 4 | hblank >> 8);
    p[5] = (uint8_t)y;
    p[6] = (uint8_t)vblank;
    p[7] = (uint8_t)((y >> 8) << 4 | vblank >> 8);
    p[8] = (uint8_t)hfront;
    p[9] = (uint8_t)hsync;
    p[10] = (uint8_t)((vfront & 15) << 4 | (vsync & 15));
    p[11] = 0;
    p[12] = (uint8_t)mm_x;
    p[13] = (uint8_t)mm_y;
    p[14] = (uint8_t)((mm_x >> 8) << 4 | mm_y >> 8);
    p[17] = 0x18; // digital, separate sync
}

static void put_text(uint8_t *p, uint8_t tag, const char *text)
{
    size_t len = strlen(text);
    p[3] = tag;
    memset(p + 5, ' ', 13);
    memcpy(p + 5, text, len);
    p[5 + len] = '\n';
}

// Standard timing: (width / 8 - 31), aspect ratio in bits 7:6 (0: 16:10, 1: 4:3, 2: 5:4, 3: 16:9), 60 Hz.
static const uint8_t standard[8][2] = {
    {0x01, 0x01}, // none
    {1920 / 8 - 31, 0xc0}, {1600 / 8 - 31, 0x40}, {1280 / 8 - 31, 0x80}, {1440 / 8 - 31, 0x00},
    {1680 / 8 - 31, 0x00}, {1280 / 8 - 31, 0xc0}, {1152 / 8 - 31, 0x40},
};

void vga_edid_make(uint8_t edid[256], unsigned xres, unsigned yres)
{
    static const uint8_t head[] = {
        0x00, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x00, 0x48, 0xd9,          // manufacturer "RFY": not assigned by the PnP registry
        0x34, 0x12, 0,    0,    0,    0, // product, serial number
        1,    30,                        // week and year - 1990 of manufacture
        1,    4,                         // EDID 1.4
        0xa5,                            // digital, 8 bits a colour, DisplayPort
    };
    static const uint8_t srgb[10] = {0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54};
    unsigned sum = 0;
    memset(edid, 0, 256);
    memcpy(edid, head, sizeof(head));
    edid[21] = (uint8_t)(xres * 254 / (DPI * 100)); // cm
    edid[22] = (uint8_t)(yres * 254 / (DPI * 100));
    edid[23] = 120;  // gamma 2.2
    edid[24] = 0x06; // sRGB; the first detailed timing is the native one
    memcpy(edid + 25, srgb, sizeof(srgb));
    edid[35] = 0x21; // 640x480, 800x600
    edid[36] = 0x08; // 1024x768
    memcpy(edid + 38, standard, sizeof(standard));
    put_timing(edid + DETAILED, xres, yres);
    put_text(edid + DETAILED + DESCRIPTOR, 0xfc, "ring3");
    uint8_t *limits = edid + DETAILED + 2 * DESCRIPTOR;
    static const uint8_t range[DESCRIPTOR] = {0,  0,    0,    0xfd, 0,   50,  125, 30,  160,
                                              60, 0x01, '\n', ' ',  ' ', ' ', ' ', ' ', ' '};
    memcpy(limits, range, sizeof(range));
    edid[DETAILED + 3 * DESCRIPTOR + 3] = 0x10; // dummy
    for (unsigned i = 0; i < EDID_BLOCK - 1; i++)
        sum += edid[i];
    edid[EDID_BLOCK - 1] = (uint8_t)(256 - sum % 256);
}
