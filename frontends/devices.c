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
            return err_set(e, "-device %s: no property '%.60s' (-device %s,help lists them)", t->name,
                           kv->item[i].key, t->name);
    return 0;
}

static int check_object(struct keyval *kv, struct err *e)
{
    const char *type = keyval_get(kv, "qom-type"), *file = keyval_get(kv, "filename");

    if (!type || (strcmp(type, "rng-random") && strcmp(type, "rng-builtin")))
        return err_set(e, "-object: there is no type '%.60s' (there are rng-random, rng-builtin)",
                       type ? type : "");
    if (!keyval_get(kv, "id"))
        return err_set(e, "-object %s: id= is missing", type);
    if (file && strcmp(file, "/dev/urandom") && strcmp(file, "/dev/random"))
        return err_set(e, "-object %s: filename=%.80s: only /dev/urandom is supported", type, file);
    return keyval_check_used(kv, "-object", e);
}

static int check_drive(struct keyval *kv, struct err *e)
{
    static const char *const known[] = { "if",    "file",         "format",    "id",
                                         "cache", "readonly",     "read-only", "snapshot",
                                         "media", "aio",          "discard",   "serial",
                                         "index", "file.locking", "werror",    "rerror" };
    const char *iface = keyval_get(kv, "if"), *format = keyval_get(kv, "format"),
               *media = keyval_get(kv, "media");
    const char *id = keyval_get(kv, "id"), *file = keyval_get(kv, "file");

    for (unsigned i = 0, j; i < kv->count; i++) {
        for (j = 0; j < ARRAY_SIZE(known) && strcmp(known[j], kv->item[i].key); j++)
            continue;
        if (j == ARRAY_SIZE(known))
            return err_set(e, "-drive: no property '%.60s'", kv->item[i].key);
    }
    if (!iface || (strcmp(iface, "virtio") && strcmp(iface, "none")))
        return err_set(
            e, "-drive: if=%.40s is not supported yet; use if=virtio (or if=none,id=ID and a -device)",
            iface ? iface : "ide (the default)");
    if (!strcmp(iface, "none") && !id)
        return err_set(e, "-drive: if=none needs id=");
    if (!file)
        return err_set(e, "-drive: file= is missing");
    if (format && strcmp(format, "raw"))
        return err_set(e, "-drive: format=%.40s is not supported; only raw is", format);
    if (media && strcmp(media, "disk"))
        return err_set(e, "-drive: media=%.40s is not supported; only disk is", media);
    return 0;
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
        if (check_drive(&cfg->drives[i], e))
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

// --- drives

// "value" among names: its index, or -EINVAL with a message.
static int choose(const char *key, const char *value, const char *const *names, unsigned count, struct err *e)
{
    for (unsigned i = 0; i < count; i++)
        if (!strcmp(names[i], value))
            return (int)i;
    return err_set(e, "-drive: %s=%.40s is not one of its values", key, value);
}

static int parse_drive(struct devices *d, struct keyval *kv, struct block_options *bo, struct err *e)
{
    static const char *const caches[] = { // in the order of enum block_cache
        "writeback", "none", "writethrough", "directsync", "unsafe" };
    static const char *const aios[] = { "auto", "threads", "io_uring", "native" };
    static const char *const discards[] = { "ignore", "off", "unmap", "on" };
    const char *cache = keyval_get(kv, "cache"), *aio = keyval_get(kv, "aio"),
               *discard = keyval_get(kv, "discard");
    const char *locking = keyval_get(kv, "file.locking");
    int n = 0;

    *bo = (struct block_options){ .path = keyval_get(kv, "file"), .snapshot = d->dc.cfg->snapshot };
    if (keyval_get_bool(kv, "readonly", &bo->readonly, e) ||
        keyval_get_bool(kv, "read-only", &bo->readonly, e) ||
        keyval_get_bool(kv, "snapshot", &bo->snapshot, e))
        return -EINVAL;
    if (cache && (n = choose("cache", cache, caches, ARRAY_SIZE(caches), e)) < 0)
        return n;
    bo->cache = cache ? (enum block_cache)n : BLOCK_CACHE_WRITEBACK;
    if (aio && (n = choose("aio", aio, aios, ARRAY_SIZE(aios), e)) < 0)
        return n;
    bo->aio = aio ? (n == 3 ? BLOCK_AIO_AUTO : (enum block_aio)n) : BLOCK_AIO_AUTO;
    if (discard && (n = choose("discard", discard, discards, ARRAY_SIZE(discards), e)) < 0)
        return n;
    bo->discard = discard && n >= 2;
    bo->no_lock = locking && !strcmp(locking, "off");
    return 0;
}

static int refuse_other_formats(const struct keyval *kv, struct block *b, struct err *e)
{
    static const struct { const char *magic, *name; } formats[] = {
        { "QFI\xfb", "qcow2" }, { "KDMV", "VMDK" }, { "vhdx", "VHDX" }, { "cone", "VHD" }, { "<<< ", "VDI" },
    };
    uint8_t head[512];

    for (unsigned i = 0; i < kv->count; i++)
        if (!strcmp(kv->item[i].key, "format"))
            return 0; // format=raw was said
    if (block_size(b) < sizeof(head) || block_read(b, 0, head, sizeof(head)))
        return 0;
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++)
        if (!memcmp(head, formats[i].magic, 4))
            return err_set(
                e, "-drive %.150s: it is a %s image; only raw ones are supported (qemu-img convert -O raw)",
                block_name(b), formats[i].name);
    return 0;
}

static int add_implied(struct devices *d, const char *text, struct err *e)
{
    if (keyval_parse(&d->implied[d->implied_count], text, "driver", e))
        return -EINVAL;
    d->implied_count++;
    return 0;
}

static int open_drive(struct devices *d, unsigned n, struct keyval *kv, struct err *e)
{
    struct drive *drive = &d->drive[d->drive_count];
    const char *id = keyval_get(kv, "id");
    struct block_options bo;
    char text[160], why[160];

    if (parse_drive(d, kv, &bo, e))
        return -EINVAL;
    if (id)
        snprintf(drive->id, sizeof(drive->id), "%s", id);
    else
        snprintf(drive->id, sizeof(drive->id), "virtio%u", n);
    for (unsigned i = 0; i < d->drive_count; i++)
        if (!strcmp(d->drive[i].id, drive->id))
            return err_set(e, "-drive: id '%.60s' is used twice", drive->id);
    if (block_open(&bo, &drive->block, why))
        return err_set(e, "-drive: %.160s", why);
    d->drive_count++;
    drive->serial = keyval_get(kv, "serial");
    if (refuse_other_formats(kv, drive->block, e))
        return -EINVAL;
    if (strcmp(keyval_get(kv, "if"), "virtio"))
        return 0;
    snprintf(text, sizeof(text), "virtio-blk-pci,drive=%s", drive->id);
    return add_implied(d, text, e);
}

// --- networks

static int open_net(struct devices *d, unsigned n, struct keyval *kv, struct err *e)
{
    const char *hostfwd[KEYVAL_MAX + 1] = { NULL }, *dnssearch[KEYVAL_MAX + 1] = { NULL };
    const char *id = keyval_get(kv, "id"), *mac = keyval_get(kv, "mac");
    bool is_nic = keyval_get(kv, "is-nic"), ipv4 = true, ipv6 = true;
    struct net *net = &d->net[d->net_count];
    struct net_slirp_options so = { 0 };
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
    return add_implied(d, text, e);
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
        ret = add_implied(d, "VGA", e);
    for (unsigned i = 0; i < cfg->netdev_count && !ret; i++)
        ret = open_net(d, i, &cfg->netdevs[i], e);
    for (unsigned i = 0; i < cfg->drive_count && !ret; i++)
        ret = open_drive(d, i, &cfg->drives[i], e);
    for (unsigned i = 0; i < d->implied_count && !ret; i++)
        ret = create_device(d, &d->implied[i], e);
    for (unsigned i = 0; i < cfg->device_count && !ret; i++)
        ret = create_device(d, &cfg->devices[i], e);
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

void devices_for_each_block(struct devices *d, void (*fn)(void *opaque, const char *id, struct block *b),
                            void *opaque)
{
    for (unsigned i = 0; i < d->drive_count; i++)
        fn(opaque, d->drive[i].id, d->drive[i].block);
}

void devices_for_each_net(struct devices *d, void (*fn)(void *opaque, const char *card, struct netdev *n),
                          void *opaque)
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
