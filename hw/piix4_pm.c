// SPDX-License-Identifier: MIT
// PIIX4 power management function: PMBA, PMREGMISC, DEVACTB, and an SMBus host with nothing on its bus.
// Intel 82371AB (PIIX4) data sheet (290562-001), sections 7.1 "Power Management PCI Configuration Registers"
// and 7.3.3 "SMBus I/O Space Registers".
#include "hw/piix4_pm.h"

#include <stdlib.h>

enum { PMBA = 0x40, DEVACTB = 0x58, PMREGMISC = 0x80, SMBBA = 0x90, SMBHSTCFG = 0xd2, SMBREV = 0xd6 };
enum { DEVACTB_APMC_EN = 2 }; // bit 25, in byte 3
enum { SMB_PORTS = 16 };

struct piix4_pm {
    struct pci_device pci;
    struct piix4_pm_config cfg;
    struct region *smb;
    uint8_t smb_regs[SMB_PORTS];
};

// --- SMBus host: every transfer ends in a device error, as when no slave acknowledges

enum { SMBHSTSTS = 0, SMBHSTCNT = 2 };
enum { HSTSTS_DEV_ERR = 4, HSTCNT_START = 0x40 };

static uint64_t smb_read(void *opaque, uint64_t offset, unsigned size)
{
    struct piix4_pm *p = opaque;
    return p->smb_regs[offset & (SMB_PORTS - 1)];
}

static void smb_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct piix4_pm *p = opaque;
    if (offset == SMBHSTSTS)
        p->smb_regs[SMBHSTSTS] &= (uint8_t)~value; // write 1 to clear
    else if (offset == SMBHSTCNT) {
        p->smb_regs[SMBHSTCNT] = (uint8_t)value & 0x1f;
        if (value & HSTCNT_START)
            p->smb_regs[SMBHSTSTS] |= HSTSTS_DEV_ERR;
    } else if (offset >= 3 && offset <= 6)
        p->smb_regs[offset] = (uint8_t)value;
}

static const struct io_ops smb_ops = {.read = smb_read, .write = smb_write, .min_size = 1, .max_size = 1};

static void update(struct piix4_pm *p)
{
    const uint8_t *c = p->pci.config;
    uint16_t base = (uint16_t)((c[PMBA] | c[PMBA + 1] << 8) & 0xffc0);
    if (p->cfg.base_changed)
        p->cfg.base_changed(p->cfg.opaque, base, (c[PMREGMISC] & 1) && base);
    uint16_t smb = (uint16_t)((c[SMBBA] | c[SMBBA + 1] << 8) & 0xfff0);
    bool on = (c[SMBHSTCFG] & 1) && (c[0x04] & 1) && smb;
    if (on)
        as_move(p->smb, smb);
    as_set_enabled(p->smb, on);
}

static void config_written(struct pci_device *d, unsigned offset, unsigned size)
{
    if (offset < 0x10 || offset + size > PMBA)
        update(CONTAINER_OF(d, struct piix4_pm, pci));
}

static void reset(struct pci_device *d)
{
    struct piix4_pm *p = CONTAINER_OF(d, struct piix4_pm, pci);
    uint8_t *c = d->config;
    for (unsigned i = 0x40; i < 0xe0; i++)
        c[i] = 0;
    c[0x07] = 0x02;
    c[PMBA] = 1; // I/O space indicator, hard-wired
    c[SMBBA] = 1;
    c[DEVACTB + 3] = p->cfg.smm ? 0 : DEVACTB_APMC_EN;
    c[0x5f] = 0x40; // DEVRESA..D: what the PC's serial and parallel ports need to be found
    c[0x63] = 0x60;
    c[0x67] = 0x98;
    c[SMBREV] = 0;
    update(p);
}

void piix4_pm_set_base(struct piix4_pm *p, uint16_t base)
{
    p->pci.config[PMBA] = (uint8_t)((base & 0xc0) | 1);
    p->pci.config[PMBA + 1] = (uint8_t)(base >> 8);
    p->pci.config[PMREGMISC] |= 1;
    update(p);
}

bool piix4_pm_apmc_enabled(const struct piix4_pm *p) { return p->pci.config[DEVACTB + 3] & DEVACTB_APMC_EN; }

struct piix4_pm *piix4_pm_create(const struct piix4_pm_config *cfg)
{
    struct piix4_pm *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->cfg = *cfg;
    p->pci.name = "PIIX4_PM";
    p->pci.config_written = config_written;
    p->pci.reset = reset;
    // INTA is shown as IRQ 9's SCI but never driven through a PIRQ.
    const struct pci_ids ids = {0x8086, 0x7113, 0x1af4, 0x1100, .class = 6, .subclass = 0x80, .revision = 3};
    p->smb = as_map_io(cfg->ports, "smbus", 0, SMB_PORTS, &smb_ops, p, -1);
    if (!p->smb || (as_set_enabled(p->smb, false), pci_add(cfg->bus, &p->pci, 1 << 3 | 3, &ids, 1))) {
        if (p->smb)
            as_unmap(p->smb);
        free(p);
        return NULL;
    }
    static const struct {
        uint8_t at, mask;
    } writable[] = {
        {0x40, 0xc0}, {0x41, 0xff}, {0x58, 0xff}, {0x59, 0xff}, {0x5a, 0xff}, {0x5b, 0xff}, {0x5f, 0xff},
        {0x63, 0xff}, {0x67, 0xff}, {0x80, 0x01}, {0x90, 0xf0}, {0x91, 0xff}, {0xd2, 0x0f},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(writable); i++)
        p->pci.wmask[writable[i].at] = writable[i].mask;
    reset(&p->pci);
    return p;
}
