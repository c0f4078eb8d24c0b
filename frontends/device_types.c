// SPDX-License-Identifier: MIT
// Each -device type: its properties as QEMU names them, and how it is created from them.
#include "frontends/device_types.h"

#include "hw/block.h"
#include "hw/debugcon.h"
#include "hw/isa_debug_exit.h"
#include "hw/net.h"
#include "virtio/virtio_blk.h"
#include "virtio/virtio_console.h"
#include "virtio/virtio_net.h"
#include "virtio/virtio_pci.h"
#include "virtio/virtio_rng.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct device_property pci_properties[] = {
    {"addr", "slot[.function], hexadecimal; default: the first free one"},
    {"bus", "pci.0"},
    {"disable-legacy", "on: no virtio 0.9 interface (default: off)"},
    {"disable-modern", "on: no virtio 1.x interface (default: off)"},
    {"vectors", "MSI-X vectors; 0: none"},
    {"bootindex", "place in the boot order, 0 first"},
    {"romfile", "option ROM for the firmware; empty: none"},
    {"rombar", "off: no option ROM"},
    {NULL, NULL},
};

// --- what the virtio devices share

static int parse_devfn(const char *text, int *devfn)
{
    char *end;
    unsigned long slot = strtoul(text, &end, 16), fn = 0;

    if (end == text || slot > 31)
        return -EINVAL;
    if (*end == '.')
        fn = strtoul(end + 1, &end, 16);
    if (*end || fn > 7)
        return -EINVAL;
    *devfn = (int)(slot << 3 | fn);
    return 0;
}

int device_parse_addr(struct keyval *kv, int *devfn, struct err *e)
{
    const char *addr = keyval_get(kv, "addr"), *bus = keyval_get(kv, "bus");

    *devfn = -1;
    if (addr && parse_devfn(addr, devfn))
        return err_set(e, "addr=%.40s: expected a slot from 00 to 1f, with .function", addr);
    if (bus && strcmp(bus, "pci.0") && strcmp(bus, "pci"))
        return err_set(e, "bus=%.40s: the only bus is pci.0", bus);
    return 0;
}

static int pci_config_parse(struct keyval *kv, struct virtio_pci_config *pc, struct err *e)
{
    uint64_t vectors = ~0ull;

    *pc = (struct virtio_pci_config){.vectors = -1};
    if (device_parse_addr(kv, &pc->devfn, e) || keyval_get_uint(kv, "vectors", &vectors, e) ||
        keyval_get_on_off_auto(kv, "disable-legacy", &pc->disable_legacy, e) ||
        keyval_get_bool(kv, "disable-modern", &pc->disable_modern, e))
        return -EINVAL;
    if (vectors != ~0ull && vectors > 128)
        return err_set(e, "vectors=%llu: at most 128", (unsigned long long)vectors);
    pc->vectors = vectors == ~0ull ? -1 : (int)vectors;
    return 0;
}

static int plug(struct devices *d, struct virtio_device *v, struct keyval *kv, const struct device_boot_info *boot,
                struct err *e)
{
    struct virtio_pci_config pc;
    int ret;

    if (!v)
        return err_set(e, "out of memory, or a property has a value that does not fit");
    ret = pci_config_parse(kv, &pc, e);
    if (!ret && (ret = virtio_pci_add(d->dc.bus, v, &pc)))
        err_set(e, pc.devfn >= 0 ? "its PCI slot is taken" : "no free PCI slot");
    if (ret)
        v->ops->destroy(v);
    else
        ret = device_pci_finish(d, virtio_pci_device(v), kv, boot, e);
    return ret ? -EINVAL : 0;
}

struct drive *devices_take_drive(struct devices *d, const char *id, struct err *e)
{
    for (unsigned i = 0; i < d->drive_count; i++) {
        struct drive *drive = &d->drive[i];

        if (strcmp(drive->id, id))
            continue;
        if (drive->taken) {
            err_set(e, "drive '%.60s' is in use already", id);
            return NULL;
        }
        drive->taken = true;
        return drive;
    }
    err_set(e, "there is no -drive with id=%.60s", id);
    return NULL;
}

// --- virtio-blk-pci

static const struct device_property blk_properties[] = {
    {"drive", "id of the -drive (needed)"},
    {"serial", "what the guest reads as serial number, at most 20 bytes"},
    {"num-queues", "default: 1"},
    {"queue-size", "default: 256"},
    {"logical_block_size", "512 or 4096; default: 512"},
    {"physical_block_size", "default: 512"},
    {"write-cache", "off: the guest sees a write-through disk; default: auto"},
    {"config-wce", "off: the guest cannot change the write cache"},
    {NULL, NULL},
};

static int create_blk(struct devices *d, struct keyval *kv, struct err *e)
{
    static const struct device_boot_info boot = {"scsi", "/disk@0,0", NULL};
    const char *id = keyval_get(kv, "drive"), *serial = keyval_get(kv, "serial");
    struct virtio_blk_config vc = {.serial = serial};
    bool write_cache = true, config_wce = true;
    struct drive *drive;

    if (!id)
        return err_set(e, "drive= is missing");
    if (!(drive = devices_take_drive(d, id, e)))
        return -EINVAL;
    if (!drive->block)
        return err_set(e, "drive '%.60s' is empty; a disk needs an image", id);
    drive->device = keyval_get(kv, "id");
    if (keyval_get_range(kv, "num-queues", 0, VIRTIO_MAX_QUEUES, &vc.num_queues, e) ||
        keyval_get_range(kv, "queue-size", 0, 1024, &vc.queue_size, e) ||
        keyval_get_range(kv, "logical_block_size", 0, 1 << 15, &vc.logical_block_size, e) ||
        keyval_get_range(kv, "physical_block_size", 0, 1 << 15, &vc.physical_block_size, e) ||
        keyval_get_on_off_auto(kv, "write-cache", &write_cache, e) || keyval_get_bool(kv, "config-wce", &config_wce, e))
        return -EINVAL;
    vc.block = drive->block;
    vc.no_write_cache = !write_cache;
    vc.no_config_wce = !config_wce;
    if (!serial)
        vc.serial = drive->serial;
    return plug(d, virtio_blk_create(&vc), kv, &boot, e);
}

// --- virtio-net-pci

static const struct device_property net_properties[] = {
    {"netdev", "id of the -netdev"},
    {"mac", "Ethernet address; default: 52:54:00:12:34:56 and up"},
    {"host_mtu", "MTU that the guest is told"},
    {"rx_queue_size", "default: 256"},
    {"tx_queue_size", "default: 256"},
    {"csum", "off: no offloads"},
    {"gso", "off: no offloads"},
    {NULL, NULL},
};

static int create_net(struct devices *d, struct keyval *kv, struct err *e)
{
    static const struct device_boot_info boot = {"ethernet", "/ethernet-phy@0", "pxe-virtio.rom"};
    const char *id = keyval_get(kv, "netdev"), *mac = keyval_get(kv, "mac");
    struct virtio_net_config vc = {0};
    unsigned mtu = 0;
    bool csum = true, gso = true;

    for (unsigned i = 0; id && i < d->net_count; i++)
        if (!strcmp(d->net[i].netdev->id, id)) {
            if (d->net[i].card)
                return err_set(e, "netdev '%.60s' is in use already", id);
            vc.netdev = d->net[i].netdev;
            d->net[i].card = "virtio-net-pci";
        }
    if (id && !vc.netdev)
        return err_set(e, "there is no -netdev with id=%.60s", id);
    net_default_mac(vc.mac, d->nic_count++);
    if (mac && net_parse_mac(mac, vc.mac))
        return err_set(e, "mac=%.40s: expected xx:xx:xx:xx:xx:xx", mac);
    if (keyval_get_range(kv, "host_mtu", 0, 65535, &mtu, e) ||
        keyval_get_range(kv, "rx_queue_size", 0, 1024, &vc.rx_queue_size, e) ||
        keyval_get_range(kv, "tx_queue_size", 0, 1024, &vc.tx_queue_size, e) || keyval_get_bool(kv, "csum", &csum, e) ||
        keyval_get_bool(kv, "gso", &gso, e))
        return -EINVAL;
    vc.mtu = (uint16_t)mtu;
    vc.no_offload = !csum || !gso;
    return plug(d, virtio_net_create(&vc), kv, &boot, e);
}

// --- virtio-rng-pci, virtio-serial-pci, virtconsole

static const struct device_property rng_properties[] = {
    {"rng", "id of an -object rng-random or rng-builtin (default: one of its own)"},
    {"max-bytes", "limit per period (default: none)"},
    {"period", "in ms"},
    {NULL, NULL},
};

static int create_rng(struct devices *d, struct keyval *kv, struct err *e)
{
    const char *id = keyval_get(kv, "rng"), *object_id;
    struct virtio_rng_config vc = {0};
    bool found = !id;

    for (unsigned i = 0; i < d->dc.cfg->object_count && !found; i++) {
        object_id = keyval_get(&d->dc.cfg->objects[i], "id");
        found = object_id && !strcmp(object_id, id);
    }
    if (!found)
        return err_set(e, "there is no -object with id=%.60s", id);
    if (keyval_get_size(kv, "max-bytes", &vc.max_bytes, e) ||
        keyval_get_range(kv, "period", 0, 1 << 30, &vc.period_ms, e))
        return -EINVAL;
    return plug(d, virtio_rng_create(&vc), kv, NULL, e);
}

static const struct device_property serial_properties[] = {
    {"max_ports", "accepted; a controller has one console port"},
    {NULL, NULL},
};
static const struct device_property console_properties[] = {
    {"chardev", "id of the -chardev"},
    {"name", "accepted"},
    {"bus", "accepted: each console belongs to the virtio-serial-pci before it"},
    {NULL, NULL},
};

// The console that belongs to a controller: the first virtconsole after it, before the next controller.
static struct keyval *console_of(struct devices *d, const struct keyval *controller)
{
    struct config *cfg = d->dc.cfg;
    unsigned i = (unsigned)(controller - cfg->devices);

    if (controller < cfg->devices || i >= cfg->device_count)
        return NULL;
    for (i++; i < cfg->device_count; i++) {
        const struct device_type *t = device_type_find(keyval_get(&cfg->devices[i], "driver"));

        if (t && !strcmp(t->name, "virtio-serial-pci"))
            return NULL;
        if (t && !strcmp(t->name, "virtconsole"))
            return &cfg->devices[i];
    }
    return NULL;
}

static int create_serial(struct devices *d, struct keyval *kv, struct err *e)
{
    struct keyval *console = console_of(d, kv);
    struct chardev *chr = NULL;
    const char *id = console ? keyval_get(console, "chardev") : NULL;

    keyval_get(kv, "max_ports");
    if (id && chardevs_find(d->dc.chardevs, id, &chr, e))
        return -EINVAL;
    if (console)
        keyval_add(console, "connected", "on"); // seen by create_console
    return plug(d, virtio_console_create(chr), kv, NULL, e);
}

static int create_console(struct devices *d, struct keyval *kv, struct err *e)
{
    keyval_get(kv, "name");
    keyval_get(kv, "bus");
    keyval_get(kv, "chardev");
    return keyval_get(kv, "connected") ? 0 : err_set(e, "it needs a -device virtio-serial-pci of its own before it");
}

// --- isa-debug-exit, isa-debugcon

static const struct device_property exit_properties[] = {
    {"iobase", "first port (default: 0x501)"},
    {"iosize", "ports (default: 2)"},
    {NULL, NULL},
};

static int create_exit(struct devices *d, struct keyval *kv, struct err *e)
{
    unsigned base = 0x501, size = 2;

    if (keyval_get_range(kv, "iobase", 0, 0xffff, &base, e) || keyval_get_range(kv, "iosize", 0, 8, &size, e))
        return -EINVAL;
    if (!size || base + size > 0x10000)
        return err_set(e, "iosize=%u does not fit", size);
    return isa_debug_exit_create(d->dc.ports, (uint16_t)base, (uint16_t)size, d->dc.debug_exit, d->dc.opaque)
               ? 0
               : err_set(e, "out of memory");
}

static const struct device_property debugcon_properties[] = {
    {"chardev", "id of the -chardev (needed)"},
    {"iobase", "port (default: 0xe9)"},
    {"readback", "what a read gives (default: 0xe9)"},
    {NULL, NULL},
};

static int create_debugcon(struct devices *d, struct keyval *kv, struct err *e)
{
    const char *id = keyval_get(kv, "chardev");
    unsigned base = 0xe9, readback = 0xe9;
    struct chardev *chr;

    if (!id)
        return err_set(e, "chardev= is missing");
    if (keyval_get_range(kv, "iobase", 0, 0xffff, &base, e) ||
        keyval_get_range(kv, "readback", 0, 0xff, &readback, e) || chardevs_find(d->dc.chardevs, id, &chr, e))
        return -EINVAL;
    return debugcon_create(d->dc.ports, (uint16_t)base, (uint8_t)readback, chr) ? 0 : err_set(e, "out of memory");
}

// --- the table

static const struct device_type types[] = {
    {"ide-hd", NULL, "IDE", "disk", ide_properties, false, device_ide_hd_create},
    {"ide-cd", NULL, "IDE", "CD/DVD drive", ide_properties, false, device_ide_cd_create},
    {"virtio-blk-pci", "virtio-blk", "PCI", "disk", blk_properties, true, create_blk},
    {"virtio-net-pci", "virtio-net", "PCI", "network card", net_properties, true, create_net},
    {"virtio-rng-pci", "virtio-rng", "PCI", "random numbers", rng_properties, true, create_rng},
    {"virtio-serial-pci", "virtio-serial", "PCI", "controller of one virtconsole", serial_properties, true,
     create_serial},
    {"virtconsole", NULL, "virtio-serial", "console", console_properties, false, create_console},
    {"floppy", NULL, "floppy-bus", "drive of the floppy controller", floppy_properties, false, device_floppy_create},
    {"VGA", NULL, "PCI", "graphics adapter with Bochs VBE", vga_properties, false, device_vga_create},
    {"isa-debug-exit", NULL, "ISA", "ends ring3 with status (v << 1) | 1", exit_properties, false, create_exit},
    {"isa-debugcon", NULL, "ISA", "debug console", debugcon_properties, false, create_debugcon},
};

const struct device_type *device_type_at(unsigned i) { return i < ARRAY_SIZE(types) ? &types[i] : NULL; }

const struct device_type *device_type_find(const char *name)
{
    for (unsigned i = 0; name && i < ARRAY_SIZE(types); i++)
        if (!strcmp(types[i].name, name) || (types[i].alias && !strcmp(types[i].alias, name)))
            return &types[i];
    return NULL;
}

static bool list_has(const struct device_property *list, const char *name)
{
    for (; list->name; list++)
        if (!strcmp(list->name, name))
            return true;
    return false;
}

bool device_type_has(const struct device_type *t, const char *property)
{
    return !strcmp(property, "driver") || !strcmp(property, "id") || list_has(t->properties, property) ||
           (t->pci && list_has(pci_properties, property));
}

static void print_list(const struct device_property *list)
{
    for (; list->name; list++)
        printf("  %-22s %s\n", list->name, list->help);
}

void device_type_print_properties(const struct device_type *t)
{
    printf("%s properties:\n", t->name);
    print_list(t->properties);
    if (t->pci)
        print_list(pci_properties);
}
