// SPDX-License-Identifier: MIT
// The 82077AA floppy disk controller in PC-AT mode, with two drives.
// Intel 82077AA data sheet (290166-007).
#pragma once

#include "hw/irq.h"
#include "softmmu/address_space.h"

struct block;
struct fdc;
struct i8237;

enum { FDC_DRIVES = 2 };
enum fdc_drive_type { // as CMOS byte 10h has them; AUTO: what suits the first image, 2.88M without one
    FDC_TYPE_NONE,
    FDC_TYPE_360K,
    FDC_TYPE_1200K,
    FDC_TYPE_720K,
    FDC_TYPE_1440K,
    FDC_TYPE_2880K,
    FDC_TYPE_AUTO,
};

struct fdc_config {
    struct address_space *ports;
    uint16_t base; // 3F0h; 3F6h belongs to the IDE controller
    struct irq_line irq;
    struct i8237 *dma;
    unsigned dma_channel;
};

struct fdc *fdc_create(const struct fdc_config *cfg); // both drives absent; NULL if out of memory
void fdc_reset(struct fdc *f);                        // the RESET pin: media stay
// Before the guest runs. media may be NULL: an empty drive. 0; -EBUSY: there is one already;
// -EFBIG: the image is larger than any floppy disk; -EINVAL: no such drive.
int fdc_add_drive(struct fdc *f, unsigned unit, enum fdc_drive_type type, struct block *media);
// Another disk, or none; the guest sees the disk change line. The caller keeps the block. -EFBIG, -EINVAL.
int fdc_set_media(struct fdc *f, unsigned unit, struct block *media);
struct block *fdc_media(const struct fdc *f, unsigned unit);
bool fdc_has_drive(const struct fdc *f, unsigned unit);
// What firmware puts into CMOS: byte 10h, and the floppy bits of the equipment byte 14h.
uint8_t fdc_cmos_types(const struct fdc *f);
uint8_t fdc_cmos_equipment(const struct fdc *f);
enum fdc_drive_type fdc_type_by_name(const char *name, bool *ok); // "144", "288", "120", "auto", "none"
