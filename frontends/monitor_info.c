// SPDX-License-Identifier: MIT
// "info" subjects about the board and its back ends.
#include "frontends/monitor_internal.h"

#include "base/stats.h"
#include "frontends/drives.h"
#include "frontends/machine.h"
#include "frontends/version.h"
#include "hw/block.h"
#include "hw/net.h"
#include "hw/pci.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- the board

static void info_status(struct monitor *mon, const struct monitor_args *args)
{
    enum run_state s = runstate_get(mon->machine->runstate);

    monitor_printf(mon, "VM status: %s", s == RUN_STATE_RUNNING ? "running" : "paused");
    if (s != RUN_STATE_RUNNING && s != RUN_STATE_PAUSED)
        monitor_printf(mon, " (%s)", run_state_name(s));
    monitor_printf(mon, "\n");
}

static void print_region(void *mon, const char *name, uint64_t base, uint64_t size, const char *kind)
{
    monitor_printf(mon, "  %016" PRIx64 "-%016" PRIx64 " (%s): %s\n", base, base + size - 1, kind, name);
}

static void info_mtree(struct monitor *mon, const struct monitor_args *args)
{
    monitor_printf(mon, "address-space: memory\n");
    as_for_each(mon->machine->mem, print_region, mon);
    monitor_printf(mon, "\naddress-space: I/O\n");
    as_for_each(mon->machine->ports, print_region, mon);
}

static const char *pci_class_name(const uint8_t *config)
{
    static const struct {
        uint16_t class; // class and subclass; FFh: any subclass
        const char *name;
    } names[] = {
        {0x0100, "SCSI controller"},
        {0x0101, "IDE controller"},
        {0x0102, "Floppy controller"},
        {0x01ff, "Storage controller"},
        {0x0200, "Ethernet controller"},
        {0x02ff, "Network controller"},
        {0x0300, "VGA controller"},
        {0x03ff, "Display controller"},
        {0x0600, "Host bridge"},
        {0x0601, "ISA bridge"},
        {0x06ff, "Bridge"},
        {0x0780, "Communication controller"},
    };
    uint16_t class = (uint16_t)(config[11] << 8 | config[10]);

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (names[i].class == class || ((names[i].class & 0xff) == 0xff && names[i].class >> 8 == class >> 8))
            return names[i].name;
    return NULL;
}

static void print_bar(struct monitor *mon, unsigned n, const struct pci_bar *bar)
{
    if (!bar->size)
        return;
    if (bar->io)
        monitor_printf(mon, "      BAR%u: I/O at 0x%04" PRIx64 " [0x%04" PRIx64 "].\n", n, bar->addr,
                       bar->addr + bar->size - 1);
    else
        monitor_printf(mon, "      BAR%u: %d bit%s memory at 0x%08" PRIx64 " [0x%08" PRIx64 "].\n", n,
                       bar->is64 ? 64 : 32, bar->prefetch ? " prefetchable" : "", bar->addr, bar->addr + bar->size - 1);
}

static void print_pci(void *opaque, struct pci_device *d)
{
    struct monitor *mon = opaque;
    const uint8_t *c = d->config;
    const char *class = pci_class_name(c);

    monitor_printf(mon, "  Bus  0, device %3u, function %u:\n    ", d->devfn >> 3, d->devfn & 7);
    if (class)
        monitor_printf(mon, "%s", class);
    else
        monitor_printf(mon, "Class %02x%02x", c[11], c[10]);
    monitor_printf(mon, ": PCI device %02x%02x:%02x%02x\n      PCI subsystem %02x%02x:%02x%02x\n", c[1], c[0], c[3],
                   c[2], c[0x2d], c[0x2c], c[0x2f], c[0x2e]);
    if (c[0x3d])
        monitor_printf(mon, "      IRQ %u, pin %c\n", c[0x3c], 'A' + (c[0x3d] - 1) % 4);
    for (unsigned i = 0; i < PCI_BARS; i++)
        print_bar(mon, i, &d->bar[i]);
    print_bar(mon, 6, &d->rom);
    monitor_printf(mon, "      id \"\"\n");
}

static void info_pci(struct monitor *mon, const struct monitor_args *args)
{
    pci_for_each(board_pci_bus(mon->machine->board), print_pci, mon);
}

static void print_qtree(void *opaque, struct pci_device *d)
{
    struct monitor *mon = opaque;
    const char *class = pci_class_name(d->config);
    const uint8_t *c = d->config;

    monitor_printf(mon, "      dev: %s, id \"\"\n        addr = %02x.%x\n", d->name, d->devfn >> 3, d->devfn & 7);
    monitor_printf(mon, "        class %s, addr 00:%02x.%x, pci id %02x%02x:%02x%02x (sub %02x%02x:%02x%02x)\n",
                   class ? class : "?", d->devfn >> 3, d->devfn & 7, c[1], c[0], c[3], c[2], c[0x2d], c[0x2c], c[0x2f],
                   c[0x2e]);
    for (unsigned i = 0; i < PCI_BARS; i++)
        if (d->bar[i].size)
            monitor_printf(mon, "        bar %u: %s at 0x%" PRIx64 " [0x%" PRIx64 "]\n", i,
                           d->bar[i].io ? "i/o" : "mem", d->bar[i].addr, d->bar[i].addr + d->bar[i].size - 1);
}

static void info_qtree(struct monitor *mon, const struct monitor_args *args)
{
    monitor_printf(mon, "bus: main-system-bus\n  type System\n  dev: i440FX-pcihost, id \"\"\n    bus: pci.0\n"
                        "      type PCI\n");
    pci_for_each(board_pci_bus(mon->machine->board), print_qtree, mon);
}

static void info_pic(struct monitor *mon, const struct monitor_args *args)
{
    board_info_irq(mon->machine->board, monitor_print_line, mon);
}

// --- back ends

// id: (name); without one, all of them.
struct block_list {
    struct monitor *mon;
    const char *only;
    bool first;
};

static void print_block(void *opaque, const struct drive *d)
{
    struct block_list *l = opaque;
    bool open = false, locked = false;

    if (l->only && strcmp(l->only, d->id) && (!d->device || strcmp(l->only, d->device)))
        return;
    monitor_printf(l->mon, "%s%s: ", l->first ? "" : "\n", d->id);
    l->first = false;
    if (d->block)
        monitor_printf(l->mon, "%s (raw%s)\n", block_name(d->block), block_readonly(d->block) ? ", read-only" : "");
    else
        monitor_printf(l->mon, "[not inserted]\n");
    if (d->device)
        monitor_printf(l->mon, "    Attached to:      %s\n", d->device);
    if (d->media && d->media->status) {
        d->media->status(d->media_opaque, &open, &locked);
        monitor_printf(l->mon, "    Removable device: %slocked, tray %s\n", locked ? "" : "not ",
                       open ? "open" : "closed");
    }
    if (d->block)
        monitor_printf(l->mon, "    Cache mode:       %s\n    Size:             %" PRIu64 " bytes, by %s\n",
                       block_write_cache(d->block) ? "writeback" : "writethrough", block_size(d->block),
                       block_aio_name(d->block));
}

static void info_block(struct monitor *mon, const struct monitor_args *args)
{
    struct block_list l = {mon, monitor_arg_text(args, "device"), true};

    drives_for_each(mon->machine->devices, print_block, &l);
    if (l.only && l.first)
        monitor_printf(mon, "Error: Device '%s' not found\n", l.only);
}

static void print_net(void *mon, const char *card, struct netdev *n)
{
    monitor_printf(mon,
                   "%s: user, %s; to guest %" PRIu64 " frames %" PRIu64 " bytes, from guest %" PRIu64 " frames %" PRIu64
                   " bytes, %" PRIu64 " dropped\n",
                   n->id, card, n->rx_frames, n->rx_bytes, n->tx_frames, n->tx_bytes, n->dropped);
}

static void info_network(struct monitor *mon, const struct monitor_args *args)
{
    devices_for_each_net(mon->machine->devices, print_net, mon);
}

static void print_chardev(void *mon, const char *id, const char *kind, bool open)
{
    monitor_printf(mon, "%s: filename=%s\n", id, kind);
}

static void info_chardev(struct monitor *mon, const struct monitor_args *args)
{
    chardevs_for_each(mon->machine->chardevs, print_chardev, mon);
}

static void info_stats(struct monitor *mon, const struct monitor_args *args)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    if (!f)
        return;
    stats_print(f);
    fclose(f);
    for (char *s = text, *nl; s && (nl = strchr(s, '\n')); s = nl + 1)
        monitor_printf(mon, "%.*s\n", (int)(nl - s), s);
    free(text);
}

static void info_version(struct monitor *mon, const struct monitor_args *args)
{
    monitor_printf(mon, RING3_VERSION "\n");
}

static void info_name(struct monitor *mon, const struct monitor_args *args)
{
    if (mon->machine->cfg->name)
        monitor_printf(mon, "%s\n", mon->machine->cfg->name);
}

static void info_uuid(struct monitor *mon, const struct monitor_args *args)
{
    const uint8_t *u = mon->machine->cfg->uuid;

    for (unsigned i = 0; i < 16; i++)
        monitor_printf(mon, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", u[i]);
    monitor_printf(mon, "\n");
}

static void info_kvm(struct monitor *mon, const struct monitor_args *args)
{
    monitor_printf(mon, "kvm support: disabled\n");
}

static void info_accel(struct monitor *mon, const struct monitor_args *args)
{
    monitor_printf(mon, "%s, CPU model %s\n", mon->machine->cfg->accel, mon->machine->model.name);
}

const struct monitor_command monitor_info_commands[] = {
    {"status", "", "", "show the current VM status (running|paused)", info_status},
    {"mtree", "", "", "show memory and port regions", info_mtree},
    {"pci", "", "", "show PCI info", info_pci},
    {"qtree", "", "", "show device tree", info_qtree},
    {"pic|irq", "", "", "show PIC state", info_pic},
    {"block", "device:s?", "[device]", "show info of one block device or all block devices", info_block},
    {"network", "", "", "show the network state", info_network},
    {"chardev", "", "", "show the character devices", info_chardev},
    {"stats|jit", "", "", "show the counters of the translator and the devices", info_stats},
    {"accel", "", "", "show what executes guest code", info_accel},
    {"kvm", "", "", "show KVM information", info_kvm},
    {"version", "", "", "show the version", info_version},
    {"name", "", "", "show the current VM name", info_name},
    {"uuid", "", "", "show the current VM UUID", info_uuid},
    {NULL, NULL, NULL, NULL, NULL},
};
