// SPDX-License-Identifier: MIT
// The firmware configuration device: numbered items and named files, by port or by DMA.
#include "hw/fw_cfg.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PORT_SELECT = 0, PORT_DATA = 1, PORT_SIZE = 2, DMA_HIGH = 0, DMA_LOW = 4, DMA_SIZE = 8 };
enum { ID_TRADITIONAL = 1, ID_DMA = 2 };
enum { KEY_ARCH_LOCAL = 0x8000, KEY_INDEX = 0x3fff, KEYS = FW_CFG_FILE_FIRST + FW_CFG_FILE_SLOTS };
enum { DMA_ERROR = 0x01, DMA_READ = 0x02, DMA_SKIP = 0x04, DMA_SELECT = 0x08, DMA_WRITE = 0x10 };
// Reading past the end of an item gives zeros; this many at most for one request.
enum { DMA_MAX_ZEROS = 0x100000, NAME_SIZE = 56 };
#define DMA_SIGNATURE 0x51454d5520434647ull // "QEMU CFG"

struct fw_cfg_item {
    uint8_t *data;
    size_t len;
    bool present, owned, writable;
    void (*written)(void *opaque, size_t offset, size_t len);
    void *opaque;
};

// The directory as the guest reads it: a count, then entries, all big-endian.
struct fw_cfg_file {
    uint32_t size;
    uint16_t select;
    uint16_t reserved;
    char name[NAME_SIZE];
} __attribute__((packed));
struct fw_cfg_directory {
    uint32_t count;
    struct fw_cfg_file file[FW_CFG_FILE_SLOTS];
} __attribute__((packed));

// One DMA request in guest memory, all big-endian.
struct fw_cfg_dma_access {
    uint32_t control, length;
    uint64_t address;
} __attribute__((packed));

struct fw_cfg {
    struct address_space *mem;
    struct fw_cfg_item item[2][KEYS]; // generic, arch-local
    struct fw_cfg_directory dir;
    unsigned files;
    struct fw_cfg_item *selected; // NULL: nothing there
    size_t offset;
    uint32_t dma_high;
};

// --- items

static struct fw_cfg_item *item_of(struct fw_cfg *f, uint16_t key)
{
    unsigned index = key & KEY_INDEX;
    return index < KEYS ? &f->item[key & KEY_ARCH_LOCAL ? 1 : 0][index] : NULL;
}

static int item_set(struct fw_cfg *f, uint16_t key, const void *data, size_t len, bool copy)
{
    struct fw_cfg_item *it = item_of(f, key);
    if (!it || len > UINT32_MAX)
        return -EINVAL;
    uint8_t *bytes = (uint8_t *)data;
    if (copy) {
        bytes = malloc(len ? len : 1);
        if (!bytes)
            return -ENOMEM;
        if (len)
            memcpy(bytes, data, len);
    }
    if (it->owned)
        free(it->data);
    *it = (struct fw_cfg_item){.data = bytes, .len = len, .present = true, .owned = copy};
    return 0;
}

int fw_cfg_add_bytes(struct fw_cfg *f, uint16_t key, const void *data, size_t len)
{
    return item_set(f, key, data, len, true);
}

int fw_cfg_add_ref(struct fw_cfg *f, uint16_t key, const void *data, size_t len)
{
    return item_set(f, key, data, len, false);
}

int fw_cfg_add_string(struct fw_cfg *f, uint16_t key, const char *s)
{
    return fw_cfg_add_bytes(f, key, s, strlen(s) + 1);
}

int fw_cfg_add_u16(struct fw_cfg *f, uint16_t key, uint16_t v)
{
    v = htole16(v);
    return fw_cfg_add_bytes(f, key, &v, sizeof(v));
}

int fw_cfg_add_u32(struct fw_cfg *f, uint16_t key, uint32_t v)
{
    v = htole32(v);
    return fw_cfg_add_bytes(f, key, &v, sizeof(v));
}

int fw_cfg_add_u64(struct fw_cfg *f, uint16_t key, uint64_t v)
{
    v = htole64(v);
    return fw_cfg_add_bytes(f, key, &v, sizeof(v));
}

// --- files

static const struct fw_cfg_file *find_entry(const struct fw_cfg *f, const char *name)
{
    for (unsigned i = 0; i < f->files; i++)
        if (!strcmp(f->dir.file[i].name, name))
            return &f->dir.file[i];
    return NULL;
}

const void *fw_cfg_find_file(const struct fw_cfg *f, const char *name, size_t *len)
{
    const struct fw_cfg_file *e = find_entry(f, name);
    if (!e)
        return NULL;
    const struct fw_cfg_item *it = &f->item[0][be16toh(e->select)];
    if (len)
        *len = it->len;
    return it->data;
}

static int file_add(struct fw_cfg *f, const char *name, const void *data, size_t len, bool copy)
{
    if (strlen(name) >= NAME_SIZE)
        return -ENAMETOOLONG;
    if (find_entry(f, name))
        return -EEXIST;
    if (f->files == FW_CFG_FILE_SLOTS)
        return -ENOSPC;
    // The key is the slot's, for good; only the directory is sorted.
    uint16_t key = (uint16_t)(FW_CFG_FILE_FIRST + f->files);
    int r = item_set(f, key, data, len, copy);
    if (r < 0)
        return r;
    unsigned at = f->files++;
    for (; at > 0 && strcmp(f->dir.file[at - 1].name, name) > 0; at--)
        f->dir.file[at] = f->dir.file[at - 1];
    f->dir.file[at] = (struct fw_cfg_file){.size = htobe32((uint32_t)len), .select = htobe16(key)};
    strcpy(f->dir.file[at].name, name);
    f->dir.count = htobe32(f->files);
    return fw_cfg_add_ref(f, FW_CFG_FILE_DIR, &f->dir, sizeof(f->dir.count) + f->files * sizeof(f->dir.file[0]));
}

int fw_cfg_add_file(struct fw_cfg *f, const char *name, const void *data, size_t len)
{
    return file_add(f, name, data, len, true);
}

int fw_cfg_add_file_ref(struct fw_cfg *f, const char *name, const void *data, size_t len)
{
    return file_add(f, name, data, len, false);
}

int fw_cfg_add_file_writable(struct fw_cfg *f, const char *name, void *data, size_t len,
                             void (*written)(void *opaque, size_t offset, size_t len), void *opaque)
{
    int r = file_add(f, name, data, len, false);
    if (r < 0)
        return r;
    struct fw_cfg_item *it = &f->item[0][FW_CFG_FILE_FIRST + f->files - 1];
    it->writable = true;
    it->written = written;
    it->opaque = opaque;
    return 0;
}

// --- ports

static void select_key(struct fw_cfg *f, uint16_t key)
{
    struct fw_cfg_item *it = item_of(f, key);
    f->selected = it && it->present ? it : NULL;
    f->offset = 0;
}

static uint64_t port_read(void *opaque, uint64_t offset, unsigned size)
{
    struct fw_cfg *f = opaque;
    if (offset != PORT_DATA || !f->selected || f->offset >= f->selected->len)
        return 0;
    return f->selected->data[f->offset++];
}

static void port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    if (offset == PORT_SELECT) // data written to the data port is ignored, as QEMU has done since 2.4
        select_key(opaque, (uint16_t)value);
}

static const struct io_ops port_ops = {.read = port_read, .write = port_write, .min_size = 1, .max_size = 2};

// --- DMA

static size_t item_left(const struct fw_cfg *f)
{
    return f->selected && f->offset < f->selected->len ? f->selected->len - f->offset : 0;
}

static bool write_zeros(struct fw_cfg *f, gpa addr, size_t len)
{
    static const uint8_t zeros[PAGE_SIZE];
    if (len > DMA_MAX_ZEROS)
        return false;
    for (size_t n; len; addr += n, len -= n) {
        n = len < sizeof(zeros) ? len : sizeof(zeros);
        if (!as_write(f->mem, addr, zeros, n))
            return false;
    }
    return true;
}

static bool dma_read(struct fw_cfg *f, gpa addr, size_t len)
{
    size_t have = item_left(f), n = len < have ? len : have;
    if (n && !as_write(f->mem, addr, f->selected->data + f->offset, n))
        return false;
    f->offset += n;
    return write_zeros(f, addr + n, len - n);
}

static bool dma_write(struct fw_cfg *f, gpa addr, size_t len)
{
    struct fw_cfg_item *it = f->selected;
    if (!it || !it->writable || len > item_left(f) || !as_read(f->mem, addr, it->data + f->offset, len))
        return false;
    size_t at = f->offset;
    f->offset += len;
    if (it->written)
        it->written(it->opaque, at, len);
    return true;
}

static void dma_run(struct fw_cfg *f, gpa at)
{
    struct fw_cfg_dma_access a;
    if (!as_read(f->mem, at, &a, sizeof(a)))
        return; // nowhere to report to
    uint32_t control = be32toh(a.control);
    size_t len = be32toh(a.length), left;
    bool ok = true;
    if (control & DMA_SELECT)
        select_key(f, (uint16_t)(control >> 16));
    if (control & DMA_READ)
        ok = dma_read(f, be64toh(a.address), len);
    else if (control & DMA_WRITE)
        ok = dma_write(f, be64toh(a.address), len);
    else if (control & DMA_SKIP)
        f->offset += len < (left = item_left(f)) ? len : left;
    uint32_t result = htobe32(ok ? 0 : DMA_ERROR);
    as_write(f->mem, at, &result, sizeof(result));
}

static uint64_t dma_port_read(void *opaque, uint64_t offset, unsigned size)
{
    // Big-endian bytes, so that a little-endian guest reads them one by one as they are spelt.
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (DMA_SIGNATURE >> (56 - 8 * ((offset + i) & 7)) & 0xff) << 8 * i;
    return v;
}

static void dma_port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct fw_cfg *f = opaque;
    if (size == 8) {
        f->dma_high = 0;
        dma_run(f, be64toh(value));
    } else if (size == 4 && offset == DMA_HIGH) {
        f->dma_high = be32toh((uint32_t)value);
    } else if (size == 4 && offset == DMA_LOW) {
        gpa at = (gpa)f->dma_high << 32 | be32toh((uint32_t)value);
        f->dma_high = 0; // so that a low half alone means an address below 4 GiB
        dma_run(f, at);
    }
}

static const struct io_ops dma_ops = {
    .read = dma_port_read,
    .write = dma_port_write,
    .min_size = 1,
    .max_size = 8,
};

// --- life

void fw_cfg_reset(struct fw_cfg *f)
{
    select_key(f, FW_CFG_SIGNATURE);
    f->dma_high = 0;
}

struct fw_cfg *fw_cfg_create(struct address_space *ports, struct address_space *mem)
{
    struct fw_cfg *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->mem = mem;
    if (fw_cfg_add_bytes(f, FW_CFG_SIGNATURE, "QEMU", 4) < 0 ||
        fw_cfg_add_u32(f, FW_CFG_ID, ID_TRADITIONAL | ID_DMA) < 0 ||
        fw_cfg_add_ref(f, FW_CFG_FILE_DIR, &f->dir, sizeof(f->dir.count)) < 0 ||
        !as_map_io(ports, "fw_cfg", 0x510, PORT_SIZE, &port_ops, f, 0) ||
        !as_map_io(ports, "fw_cfg-dma", 0x514, DMA_SIZE, &dma_ops, f, 0))
        return NULL; // start-up fails as a whole: nothing is taken apart
    fw_cfg_reset(f);
    return f;
}
