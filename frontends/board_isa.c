// SPDX-License-Identifier: MIT
// The board's ISA devices that need more than a line: DMA, floppy controller, VMware port.
#include "frontends/board_internal.h"

#include "cpu/state.h"
#include "hw/fdc_82077.h"
#include "hw/i8042.h"
#include "hw/i8237.h"
#include "hw/mc146818.h"
#include "hw/pcspk.h"
#include "hw/vmport.h"

enum { FDC_DMA_CHANNEL = 2, CMOS_FLOPPY_TYPES = 0x10, CMOS_EQUIPMENT = 0x14 };

bool board_create_dma(struct board *b) { return (b->dma = i8237_create(b->cfg.ports, b->cfg.mem)); }

bool board_create_fdc(struct board *b, uint16_t base, struct irq_line irq)
{
    struct fdc_config fc = {
        .ports = b->cfg.ports, .base = base, .irq = irq, .dma = b->dma, .dma_channel = FDC_DMA_CHANNEL};

    return (b->fdc = fdc_create(&fc));
}

bool board_create_speaker(struct board *b) { return (b->speaker = pcspk_create(b->pit, b->port_b)); }
struct pcspk *board_speaker(struct board *b) { return b->speaker; }

void board_set_floppy_cmos(struct board *b)
{
    uint8_t equipment = mc146818_get_cmos(b->rtc, CMOS_EQUIPMENT) & 0x3e;

    mc146818_set_cmos(b->rtc, CMOS_FLOPPY_TYPES, fdc_cmos_types(b->fdc));
    mc146818_set_cmos(b->rtc, CMOS_EQUIPMENT, equipment | fdc_cmos_equipment(b->fdc));
}

// --- the VMware port: port accesses run on the thread of the CPU that makes them

static const uint8_t gpr_of[] = {[VMPORT_EAX] = RAX, [VMPORT_EBX] = RBX, [VMPORT_ECX] = RCX,
                                 [VMPORT_EDX] = RDX, [VMPORT_ESI] = RSI, [VMPORT_EDI] = RDI};

static uint32_t get_reg(void *opaque, enum vmport_reg reg) { return (uint32_t)vcpu_self.gpr[gpr_of[reg]]; }
static void set_reg(void *opaque, enum vmport_reg reg, uint32_t value) { vcpu_self.gpr[gpr_of[reg]] = value; }
static void poke(void *opaque) { mouse_poke(((struct board *)opaque)->kbd); }

bool board_create_vmport(struct board *b)
{
    const struct config *o = b->cfg.options;
    struct vmport_config vc = {.ports = b->cfg.ports,
                               .ram_size = b->cfg.ram->size,
                               .uuid = o->uuid,
                               .input = b->cfg.input,
                               .get_reg = get_reg,
                               .set_reg = set_reg,
                               .poke = poke,
                               .opaque = b};

    return o->no_vmport || (b->vmport = vmport_create(&vc));
}

void board_reset_isa(struct board *b)
{
    i8237_reset(b->dma);
    fdc_reset(b->fdc);
    if (b->vmport)
        vmport_reset(b->vmport);
}
