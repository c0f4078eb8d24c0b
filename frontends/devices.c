// SPDX-License-Identifier: MIT
// From the command line's drives, networks and devices to things that are plugged in.
#include "frontends/device_types.h"

#include "hw/block.h"
#include "hw/net_slirp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- names, before anything is opened

static int check_device(const struct keyval *kv, const char *name, struct err *e)
{
    const struct device_type *t = device_type_find(name);

    if (!t)
        return err_set(e, "-device: there is no device '%.80s' (-device help lists them)", name ? name : "");
    for (unsigned i = 0; i < kv->count; i++)
        if (!device_type_has(t, kv->item[i].key))
            return err_set(e, "-device %s: no property '%.60s' (-device %s,help lists them)", t->name, kv->item[i].key,
                           t->name);
    return 0;
}

static int check_object(struct keyval *kv, struct err *e)
{
    const char *type = keyval_get(kv, "qom-type"), *file = keyval_get(kv, "filename");

    if (!type || (strcmp(type, "rng-random") && strcmp(type, "rng-builtin")))
        return err_set(e, "-object: there is no type '%.60s' (there are rng-random, rng-builtin)", type ? type : "");
    if (!keyval_get(kv, "id"))
        return err_set(e, "-object %s: id= is missing", type);
    if (file && strcmp(file, "/dev/urandom") && strcmp(file, "/dev/random"))
        return err_set(e, "-object %s: filename=%.80s: only /dev/urandom is supported", type, file);
    return keyval_check_used(kv, "-object", e);
}

static int check_net(struct keyval *kv, struct err *e)
{
    const char *type = keyval_get(kv, "type");
    bool is_nic = keyval_get(kv, "is-nic");
    const char *model = keyval_get(kv, "model");

    if (!type || strcmp(type, "user"))
        return err_set(e, "%s: type '%.40s' is not supported; there is user", is_nic ? "-nic" : "-netdev",
                       type ? type : "");
    if (!is_nic && !keyval_get(kv, "id"))
        return err_set(e, "-netdev user: id= is missing");
    if (model && strcmp(model, "virtio-net-pci") && strcmp(model, "virtio"))
        return err_set(e, "-nic: model=%.40s is not supported; there is virtio-net-pci", model);
    return 0;
}

int devices_check(struct config *cfg, struct err *e)
{
    for (unsigned i = 0; i < cfg->drive_count; i++)
        if (drives_check(&cfg->drives[i], e))
            return -EINVAL;
    for (unsigned i = 0; i < cfg->netdev_count; i++)
        if (check_net(&cfg->netdevs[i], e))
            return -EINVAL;
    for (unsigned i = 0; i < cfg->object_count; i++)
        if (check_object(&cfg->objects[i], e))
            return -EINVAL;
    for (unsigned i = 0; i < cfg->device_count; i++)
        if (check_device(&cfg->devices[i], keyval_get(&cfg->devices[i], "driver"), e))
            return -EINVAL;
    return 0;
}

// --- devices that other arguments stand for

int devices_imply(struct devices *d, const char *text, struct err *e)
{
    if (keyval_parse(&d->implied[d->implied_count], text, "driver", e))
        return -EINVAL;
    d->implied_count++;
    return 0;
}

// --- networks

static int open_net(struct devices *d, unsigned n, struct keyval *kv, struct err *e)
{
    const char *hostfwd[KEYVAL_MAX + 1] = {NULL}, *dnssearch[KEYVAL_MAX + 1] = {NULL};
    const char *id = keyval_get(kv, "id"), *mac = keyval_get(kv, "mac");
    bool is_nic = keyval_get(kv, "is-nic"), ipv4 = true, ipv6 = true;
    struct net *net = &d->net[d->net_count];
    struct net_slirp_options so = {0};
    char name[32], text[160], why[160];
    unsigned fwd = 0, search = 0;

    for (unsigned i = 0; i < kv->count; i++)
        if (!strcmp(kv->item[i].key, "hostfwd"))
            hostfwd[fwd++] = kv->item[i].value;
        else if (!strcmp(kv->item[i].key, "dnssearch"))
            dnssearch[search++] = kv->item[i].value;
    keyval_get(kv, "hostfwd");
    keyval_get(kv, "dnssearch");
    snprintf(name, sizeof(name), "#net%u", n);
    so.id = id ? id : name;
    so.net = keyval_get(kv, "net");
    so.host = keyval_get(kv, "host");
    so.dhcpstart = keyval_get(kv, "dhcpstart");
    so.dns = keyval_get(kv, "dns");
    so.hostname = keyval_get(kv, "hostname");
    so.domainname = keyval_get(kv, "domainname");
    so.tftp = keyval_get(kv, "tftp");
    so.bootfile = keyval_get(kv, "bootfile");
    so.tftp_server_name = keyval_get(kv, "tftp-server-name");
    so.ipv6_prefix = keyval_get(kv, "ipv6-prefix");
    so.ipv6_host = keyval_get(kv, "ipv6-host");
    so.ipv6_dns = keyval_get(kv, "ipv6-dns");
    so.hostfwd = hostfwd;
    so.dnssearch = dnssearch;
    if (keyval_get_bool(kv, "ipv4", &ipv4, e) || keyval_get_bool(kv, "ipv6", &ipv6, e) ||
        keyval_get_bool(kv, "restrict", &so.restricted, e))
        return -EINVAL;
    so.no_ipv4 = !ipv4;
    so.no_ipv6 = !ipv6;
    if (!is_nic && mac)
        return err_set(e, "-netdev user: no property 'mac' (it belongs to the -device)");
    if (keyval_check_used(kv, is_nic ? "-nic user" : "-netdev user", e))
        return -EINVAL;
    if (net_slirp_create(&so, &net->netdev, why))
        return err_set(e, "%s user: %.160s", is_nic ? "-nic" : "-netdev", why);
    snprintf(net->netdev->id, sizeof(net->netdev->id), "%s", so.id);
    d->net_count++;
    if (!is_nic)
        return 0;
    snprintf(text, sizeof(text), "virtio-net-pci,netdev=%s%s%s", so.id, mac ? ",mac=" : "", mac ? mac : "");
    return devices_imply(d, text, e);
}

// --- devices

static int create_device(struct devices *d, struct keyval *kv, struct err *e)
{
    const struct device_type *t = device_type_find(keyval_get(kv, "driver"));
    struct err why;

    keyval_get(kv, "id");
    if (t->create(d, kv, &why))
        return err_set(e, "-device %s: %.250s", t->name, why.text);
    return 0;
}

int devices_create(const struct devices_config *dc, struct devices **out, struct err *e)
{
    struct devices *d = calloc(1, sizeof(*d));
    struct config *cfg = dc->cfg;
    int ret = 0;

    if (!d)
        return err_set(e, "out of memory");
    d->dc = *dc;
    if (device_vga_default(cfg)) // first, so that it has the slot that it has under QEMU
        ret = devices_imply(d, "VGA", e);
    for (unsigned i = 0; i < cfg->netdev_count && !ret; i++)
        ret = open_net(d, i, &cfg->netdevs[i], e);
    if (!ret)
        ret = drives_open_all(d, e);
    for (unsigned i = 0; i < d->implied_count && !ret; i++)
        ret = create_device(d, &d->implied[i], e);
    for (unsigned i = 0; i < cfg->device_count && !ret; i++)
        ret = create_device(d, &cfg->devices[i], e);
    if (!ret)
        ret = device_floppy_default(d, e);
    if (ret) {
        devices_destroy(d);
        return -EINVAL;
    }
    *out = d;
    return 0;
}

void devices_destroy(struct devices *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < d->drive_count; i++)
        block_close(d->drive[i].block);
    for (unsigned i = 0; i < d->net_count; i++)
        netdev_destroy(d->net[i].netdev);
    for (unsigned i = 0; i < d->implied_count; i++)
        keyval_free(&d->implied[i]);
    free(d);
}

void devices_for_each_block(struct devices *d, void (*fn)(void *opaque, const char *id, struct block *b), void *opaque)
{
    for (unsigned i = 0; i < d->drive_count; i++)
        if (d->drive[i].block)
            fn(opaque, d->drive[i].id, d->drive[i].block);
}

void devices_for_each_net(struct devices *d, void (*fn)(void *opaque, const char *card, struct netdev *n), void *opaque)
{
    for (unsigned i = 0; i < d->net_count; i++)
        fn(opaque, d->net[i].card ? d->net[i].card : "(no card)", d->net[i].netdev);
}

// --- help

void devices_print_help(void)
{
    const struct device_type *t;

    for (unsigned i = 0; (t = device_type_at(i)); i++)
        printf("name \"%s\", bus %s, desc \"%s\"\n", t->name, t->bus, t->help);
}

int devices_print_properties(const char *name, struct err *e)
{
    const struct device_type *t = device_type_find(name);

    if (!t)
        return err_set(e, "-device: there is no device '%.80s' (-device help lists them)", name ? name : "");
    device_type_print_properties(t);
    return 0;
}
