// SPDX-License-Identifier: MIT
// Finds firmware images and maps the BIOS.
#include "frontends/firmware.h"

#include "frontends/boot_image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROM_BELOW = -2 }; // below PCI's BARs, which a guest may place anywhere

static const char *const default_dirs[] = {
    "/usr/local/share/ring3", "/usr/share/ring3",   "/usr/share/seabios",   "/usr/share/qemu",
    "/usr/share/kvm",         "/usr/lib/ipxe/qemu", "/usr/share/ipxe/qemu", "/usr/local/share/qemu",
};

const char *firmware_default_dir(unsigned i) { return i < ARRAY_SIZE(default_dirs) ? default_dirs[i] : NULL; }

static bool found(const char *dir, const char *name, char *path, size_t size)
{
    int n = snprintf(path, size, "%s%s%s", dir, *dir ? "/" : "", name);

    return n > 0 && (size_t)n < size && !access(path, R_OK);
}

int firmware_find(const struct config *cfg, const char *name, char *path, size_t size)
{
    if (found("", name, path, size))
        return 0;
    for (unsigned i = 0; i < cfg->dir_count; i++)
        if (found(cfg->dirs[i], name, path, size))
            return 0;
    for (unsigned i = 0; firmware_default_dir(i); i++)
        if (found(firmware_default_dir(i), name, path, size))
            return 0;
    return -ENOENT;
}

// Reads [0, len) of fd. 0 or -errno.
static int read_all(int fd, uint8_t *to, size_t len)
{
    while (len) {
        ssize_t n = read(fd, to, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? -errno : -EIO;
        to += n;
        len -= (size_t)n;
    }
    return 0;
}

// Opens a regular file of 1 to max bytes. The descriptor, or -1 with a message.
static int open_image(const char *what, const char *path, size_t max, size_t *len, struct err *e)
{
    uint64_t size = 0;
    int fd = boot_file_open(path, &size, what, e);

    if (fd >= 0 && size > max) {
        err_set(e, "%s %.150s: %llu bytes; at most %zu are of use", what, path, (unsigned long long)size, max);
        close(fd);
        return -1;
    }
    *len = (size_t)size;
    return fd;
}

int firmware_load_file(const struct config *cfg, const char *what, const char *name, size_t max, uint8_t **data,
                       size_t *len, struct err *e)
{
    char path[4096];
    int fd, ret;

    if (firmware_find(cfg, name, path, sizeof(path)))
        return err_set(e, "%s %.150s: there is no such file, also not where -L help says", what, name);
    fd = open_image(what, path, max, len, e);
    if (fd < 0)
        return -EINVAL;
    *data = malloc(*len);
    ret = *data ? read_all(fd, *data, *len) : -ENOMEM;
    close(fd);
    if (ret) {
        free(*data);
        return err_set(e, "%s %.150s: %s", what, path, strerror(-ret));
    }
    return 0;
}

// --- the BIOS

static int find_usual_bios(const struct config *cfg, char *path, size_t size)
{
    static const char *const names[] = {"bios-256k.bin", "bios.bin"};

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (!firmware_find(cfg, names[i], path, size))
            return 0;
    return -ENOENT;
}

bool firmware_installed(const struct config *cfg)
{
    char path[4096];

    return !find_usual_bios(cfg, path, sizeof(path));
}

static int find_bios(const struct config *cfg, char *path, size_t size, struct err *e)
{
    if (cfg->bios)
        return firmware_find(cfg, cfg->bios, path, size)
                   ? err_set(e, "-bios %.150s: there is no such file, also not where -L help says", cfg->bios)
                   : 0;
    if (!find_usual_bios(cfg, path, size))
        return 0;
    return err_set(e, "there is no firmware: install the package 'seabios', or name a file with -bios, a folder "
                      "with -L, or a Linux kernel with -kernel");
}

int firmware_open(const struct config *cfg, struct firmware **out, struct err *e)
{
    struct firmware *f = calloc(1, sizeof(*f));
    char path[4096];
    int fd = -1, ret;

    if (!f)
        return err_set(e, "out of memory");
    if (find_bios(cfg, path, sizeof(path), e) || (fd = open_image("-bios", path, FIRMWARE_MAX, &f->size, e)) < 0)
        goto fail;
    if (f->size % (64 << 10)) {
        err_set(e, "-bios %.150s: %llu bytes; a BIOS is a multiple of 64 KiB", path, (unsigned long long)f->size);
        goto fail;
    }
    ret = ram_create(&f->rom, f->size);
    if (!ret)
        ret = read_all(fd, f->rom.base, f->size);
    if (ret) {
        err_set(e, "-bios %.150s: %s", path, strerror(-ret));
        goto fail;
    }
    close(fd);
    *out = f;
    return 0;
fail:
    if (fd >= 0)
        close(fd);
    firmware_close(f);
    return -EINVAL;
}

void firmware_close(struct firmware *f)
{
    if (!f)
        return;
    if (f->rom.base)
        ram_destroy(&f->rom);
    free(f);
}

// What decodes where: Intel 82441FX data sheet, section 3.2.18 "PAM": E0000h to FFFFFh go to PCI and so to
// the PIIX3's BIOS ROM unless PAM says DRAM.
int firmware_map(struct firmware *f, struct address_space *mem)
{
    uint64_t legacy = f->size < FIRMWARE_LEGACY ? f->size : FIRMWARE_LEGACY;

    if (!as_map_ram(mem, "bios", (1ull << 32) - f->size, f->size, &f->rom, 0, true, ROM_BELOW) ||
        !as_map_ram(mem, "bios-low", 0x100000 - legacy, legacy, &f->rom, f->size - legacy, true, ROM_BELOW))
        return -ENOMEM;
    return 0;
}
