// SPDX-License-Identifier: MIT
// VMware's backdoor port 5658h: its version, and the absolute pointer ("vmmouse").
// VMware open-vm-tools, "backdoor_def.h"; Linux, drivers/input/mouse/vmmouse.c (the guest's side, for facts).
//
// A guest loads EAX with a magic number, CX with a command, EBX with an argument and reads the port; answers
// come in these registers, too. So this one device needs the registers of the CPU that does the IN.
#pragma once

#include "softmmu/address_space.h"

struct input;
struct vmport;

enum vmport_reg { VMPORT_EAX, VMPORT_EBX, VMPORT_ECX, VMPORT_EDX, VMPORT_ESI, VMPORT_EDI };

struct vmport_config {
    struct address_space *ports;
    uint64_t ram_size;
    const uint8_t *uuid; // 16 bytes; must outlive the device
    struct input *input; // NULL: no pointer
    // The registers of the CPU that accesses the port now.
    uint32_t (*get_reg)(void *opaque, enum vmport_reg reg);
    void (*set_reg)(void *opaque, enum vmport_reg reg, uint32_t value);
    void (*poke)(void *opaque); // pointer data wait: the PS/2 mouse interrupts
    void *opaque;
};

struct vmport *vmport_create(const struct vmport_config *cfg); // NULL if out of memory
void vmport_reset(struct vmport *v);
