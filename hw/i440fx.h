// SPDX-License-Identifier: MIT
// The 440FX host bridge (82441FX, PCI function 00.0): PAM shadow RAM at C0000h-FFFFFh and SMRAM at A0000h.
//
// The board maps RAM at [0, A0000h) and from 100000h up, and the firmware ROM below FFFFFh at a priority
// under I440FX_PAM_PRIORITY; the bridge lays RAM over C0000h..FFFFFh, segment by segment, as the PAM
// registers say.
#pragma once

#include "hw/pci.h"

enum { I440FX_PAM_PRIORITY = 10, I440FX_SMRAM_PRIORITY = 20 };

struct i440fx;
struct i440fx_config {
    struct pci_bus *bus;
    struct address_space *mem;
    struct ram *ram; // guest-physical A0000h..FFFFFh is the same offset in it; at least 1 MiB
    struct ram *rom; // the firmware, whose end shows below 100000h; NULL: none
};
struct i440fx *i440fx_create(const struct i440fx_config *cfg); // NULL if out of memory or slot 0 is taken
void i440fx_reset(struct i440fx *b);                           // also done by pci_bus_reset
// A board that boots a kernel without firmware wants all of C0000h..FFFFFh to be RAM.
void i440fx_open_pam(struct i440fx *b);
// The CPU entered or left system management mode: SMRAM shows at A0000h if it is enabled.
void i440fx_set_smm(struct i440fx *b, bool smm);
