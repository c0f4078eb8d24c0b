// SPDX-License-Identifier: MIT
// Tells the kinds of kernels apart, and reads files for their loaders.
#include "frontends/boot_image.h"

#include "frontends/linux_loader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPY_BYTES = 1 << 20 };

int boot_file_open(const char *path, uint64_t *size, const char *flag, struct err *e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &st)) {
        err_set(e, "-%s %.150s: %s", flag, path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        err_set(e, "-%s %.150s: not a regular file", flag, path);
    } else if (!st.st_size) {
        err_set(e, "-%s %.150s: the file is empty", flag, path);
    } else {
        *size = (uint64_t)st.st_size;
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

int boot_file_copy(struct address_space *mem, int fd, uint64_t offset, uint64_t size, gpa to, struct err *e)
{
    uint8_t *buf = malloc(COPY_BYTES);
    int ret = buf ? 0 : err_set(e, "out of memory");

    while (size && !ret) {
        size_t want = size < COPY_BYTES ? size : COPY_BYTES;
        ssize_t n = pread(fd, buf, want, (off_t)offset);

        if (n <= 0)
            ret = err_set(e, "a file of -kernel or -initrd cannot be read: %s",
                          n ? strerror(errno) : "it shrank");
        else if (!as_write(mem, to, buf, (size_t)n))
            ret = err_set(e, "no memory at %#llx for the kernel", (unsigned long long)to);
        else {
            offset += (uint64_t)n;
            to += (uint64_t)n;
            size -= (uint64_t)n;
        }
    }
    free(buf);
    return ret;
}

const char *boot_cmdline(const struct boot_image_config *cfg) { return cfg->cmdline ? cfg->cmdline : ""; }

int boot_image_open(const struct boot_image_config *cfg, struct boot_image **out, struct err *e)
{
    return linux_boot_open(cfg, out, e);
}

int boot_image_load(struct boot_image *b, struct address_space *mem, struct err *e)
{
    return b ? b->ops->load(b, mem, e) : 0;
}

void boot_image_set_cpu(const struct boot_image *b, struct cpu *cpu)
{
    if (b)
        b->ops->set_cpu(b, cpu);
}

void boot_image_close(struct boot_image *b)
{
    if (b)
        b->ops->close(b);
}
