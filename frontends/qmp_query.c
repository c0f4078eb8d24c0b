// SPDX-License-Identifier: MIT
// QMP's query commands.
#include "frontends/qmp_internal.h"

#include "frontends/drives.h"
#include "frontends/machine.h"
#include "hw/block.h"
#include "hw/pci.h"

#include <stdio.h>

static void query_status(struct qmp_call *c)
{
    enum run_state s = runstate_get(c->machine->runstate);

    c->result = cJSON_CreateObject();
    cJSON_AddStringToObject(c->result, "status", run_state_name(s));
    cJSON_AddBoolToObject(c->result, "singlestep", false);
    cJSON_AddBoolToObject(c->result, "running", s == RUN_STATE_RUNNING);
}

static void query_version(struct qmp_call *c) { c->result = qmp_version(); }

static void query_name(struct qmp_call *c)
{
    c->result = cJSON_CreateObject();
    if (c->machine->cfg->name)
        cJSON_AddStringToObject(c->result, "name", c->machine->cfg->name);
}

static void query_uuid(struct qmp_call *c)
{
    const uint8_t *u = c->machine->cfg->uuid;
    char text[40];

    snprintf(text, sizeof(text), "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1],
             u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
    c->result = cJSON_CreateObject();
    cJSON_AddStringToObject(c->result, "UUID", text);
}

static void query_kvm(struct qmp_call *c)
{
    c->result = cJSON_CreateObject();
    cJSON_AddBoolToObject(c->result, "enabled", false);
    cJSON_AddBoolToObject(c->result, "present", false);
}

static void query_target(struct qmp_call *c)
{
    c->result = cJSON_CreateObject();
    cJSON_AddStringToObject(c->result, "arch", "x86_64");
}

static void empty_list(struct qmp_call *c) { c->result = cJSON_CreateArray(); }

static void add_name(void *list, const char *name)
{
    cJSON *item = cJSON_CreateObject();

    cJSON_AddStringToObject(item, "name", name);
    cJSON_AddItemToArray(list, item);
}

static void query_commands(struct qmp_call *c)
{
    c->result = cJSON_CreateArray();
    qmp_for_each_command(add_name, c->result);
}

static void query_cpus_fast(struct qmp_call *c)
{
    cJSON *cpu = cJSON_CreateObject(), *props = cJSON_AddObjectToObject(cpu, "props");

    cJSON_AddNumberToObject(props, "core-id", 0);
    cJSON_AddNumberToObject(props, "thread-id", 0);
    cJSON_AddNumberToObject(props, "socket-id", 0);
    cJSON_AddNumberToObject(cpu, "cpu-index", 0);
    cJSON_AddNumberToObject(cpu, "thread-id", vcpu_thread_id(c->machine->vcpu));
    cJSON_AddStringToObject(cpu, "qom-path", "/machine/unattached/device[0]");
    cJSON_AddStringToObject(cpu, "target", "x86_64");
    c->result = cJSON_CreateArray();
    cJSON_AddItemToArray(c->result, cpu);
}

static void query_memory_size_summary(struct qmp_call *c)
{
    c->result = cJSON_CreateObject();
    cJSON_AddNumberToObject(c->result, "base-memory", (double)c->machine->ram.size);
    cJSON_AddNumberToObject(c->result, "plugged-memory", 0);
}

static void add_chardev(void *list, const char *id, const char *filename, bool open)
{
    cJSON *item = cJSON_CreateObject();

    cJSON_AddStringToObject(item, "label", id);
    cJSON_AddStringToObject(item, "filename", filename);
    cJSON_AddBoolToObject(item, "frontend-open", open);
    cJSON_AddItemToArray(list, item);
}

static void query_chardev(struct qmp_call *c)
{
    c->result = cJSON_CreateArray();
    chardevs_for_each(c->machine->chardevs, add_chardev, c->result);
}

// --- block devices

static void add_medium(cJSON *info, const struct drive *d)
{
    cJSON *in = cJSON_AddObjectToObject(info, "inserted"), *image, *cache;
    bool cached = block_write_cache(d->block);

    cJSON_AddStringToObject(in, "file", block_name(d->block));
    cJSON_AddStringToObject(in, "drv", "raw");
    cJSON_AddBoolToObject(in, "ro", block_readonly(d->block));
    cJSON_AddBoolToObject(in, "encrypted", false);
    cJSON_AddNumberToObject(in, "backing_file_depth", 0);
    cJSON_AddStringToObject(in, "detect_zeroes", "off");
    for (const char *const *n =
             (const char *const[]){"bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr", "write_threshold", NULL};
         *n; n++)
        cJSON_AddNumberToObject(in, *n, 0);
    cache = cJSON_AddObjectToObject(in, "cache");
    cJSON_AddBoolToObject(cache, "writeback", cached);
    cJSON_AddBoolToObject(cache, "direct", block_alignment(d->block) > 1);
    cJSON_AddBoolToObject(cache, "no-flush", false);
    image = cJSON_AddObjectToObject(in, "image");
    cJSON_AddStringToObject(image, "filename", block_name(d->block));
    cJSON_AddStringToObject(image, "format", "raw");
    cJSON_AddNumberToObject(image, "virtual-size", (double)block_size(d->block));
}

static void add_drive(void *list, const struct drive *d)
{
    cJSON *info = cJSON_CreateObject();
    bool open = false, locked = false;

    cJSON_AddStringToObject(info, "device", d->id);
    cJSON_AddStringToObject(info, "qdev", d->device ? d->device : d->id);
    cJSON_AddStringToObject(info, "type", "unknown");
    cJSON_AddBoolToObject(info, "removable", d->media != NULL);
    if (d->media && d->media->status) {
        d->media->status(d->media_opaque, &open, &locked);
        cJSON_AddBoolToObject(info, "tray_open", open);
    }
    cJSON_AddBoolToObject(info, "locked", locked);
    if (d->block)
        add_medium(info, d);
    cJSON_AddItemToArray(list, info);
}

static void query_block(struct qmp_call *c)
{
    c->result = cJSON_CreateArray();
    drives_for_each(c->machine->devices, add_drive, c->result);
}

// --- PCI

static void add_region(cJSON *regions, unsigned n, const struct pci_bar *bar)
{
    cJSON *r;

    if (!bar->size)
        return;
    r = cJSON_CreateObject();
    cJSON_AddNumberToObject(r, "bar", n);
    cJSON_AddStringToObject(r, "type", bar->io ? "io" : "memory");
    cJSON_AddNumberToObject(r, "address", (double)bar->addr);
    cJSON_AddNumberToObject(r, "size", (double)bar->size);
    if (!bar->io) {
        cJSON_AddBoolToObject(r, "prefetch", bar->prefetch);
        cJSON_AddBoolToObject(r, "mem_type_64", bar->is64);
    }
    cJSON_AddItemToArray(regions, r);
}

static unsigned word(const uint8_t *config, unsigned offset) { return config[offset] | config[offset + 1] << 8; }

static void add_pci_device(void *list, struct pci_device *d)
{
    cJSON *dev = cJSON_CreateObject(), *class = cJSON_AddObjectToObject(dev, "class_info"),
          *id = cJSON_AddObjectToObject(dev, "id"), *regions;

    cJSON_AddNumberToObject(dev, "bus", 0);
    cJSON_AddNumberToObject(dev, "slot", d->devfn >> 3);
    cJSON_AddNumberToObject(dev, "function", d->devfn & 7);
    cJSON_AddStringToObject(class, "desc", d->name);
    cJSON_AddNumberToObject(class, "class", word(d->config, 0x0a));
    cJSON_AddNumberToObject(id, "vendor", word(d->config, 0));
    cJSON_AddNumberToObject(id, "device", word(d->config, 2));
    cJSON_AddNumberToObject(id, "subsystem-vendor", word(d->config, 0x2c));
    cJSON_AddNumberToObject(id, "subsystem", word(d->config, 0x2e));
    if (d->config[0x3d])
        cJSON_AddNumberToObject(dev, "irq", d->config[0x3c]);
    cJSON_AddNumberToObject(dev, "irq_pin", d->config[0x3d]);
    cJSON_AddStringToObject(dev, "qdev_id", "");
    regions = cJSON_AddArrayToObject(dev, "regions");
    for (unsigned i = 0; i < PCI_BARS; i++)
        add_region(regions, i, &d->bar[i]);
    cJSON_AddItemToArray(list, dev);
}

static void query_pci(struct qmp_call *c)
{
    cJSON *bus = cJSON_CreateObject();

    cJSON_AddNumberToObject(bus, "bus", 0);
    pci_for_each(board_pci_bus(c->machine->board), add_pci_device, cJSON_AddArrayToObject(bus, "devices"));
    c->result = cJSON_CreateArray();
    cJSON_AddItemToArray(c->result, bus);
}

const struct qmp_command qmp_query_commands[] = {
    {"query-status", "", query_status},
    {"query-version", "", query_version},
    {"query-name", "", query_name},
    {"query-uuid", "", query_uuid},
    {"query-kvm", "", query_kvm},
    {"query-target", "", query_target},
    {"query-iothreads", "", empty_list},
    {"query-jobs", "", empty_list},
    {"query-block-jobs", "", empty_list},
    {"query-commands", "", query_commands},
    {"query-cpus-fast", "", query_cpus_fast},
    {"query-memory-size-summary", "", query_memory_size_summary},
    {"query-chardev", "", query_chardev},
    {"query-block", "", query_block},
    {"query-pci", "", query_pci},
    {NULL, NULL, NULL},
};
