// SPDX-License-Identifier: MIT
// Reading the guest's memory for the monitor, and saving it to files.
#include "frontends/guest_memory.h"

#include "cpu/state.h"
#include "frontends/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

// The host address of one byte, and how many follow it on the same page; NULL: no memory.
static const uint8_t *look_up(struct machine *m, uint64_t addr, bool physical, uint64_t *run)
{
    gpa pa = addr;
    uint64_t contiguous, left = PAGE_SIZE - (addr & (PAGE_SIZE - 1));
    const uint8_t *p;

    *run = left;
    if (!physical && !mmu_debug_translate(&vcpu_cpu(m->vcpu)->mmu, addr, &pa))
        return NULL;
    p = as_ram_ptr(m->mem, pa, false, &contiguous);
    *run = p && contiguous < left ? contiguous : left;
    return p;
}

// The graphics adapter's window is a device, but memory to whoever looks at a text screen. Reading it has no effect
// that a guest in a text mode could see.
static bool in_vga_window(uint64_t addr, uint64_t len) { return addr >= 0xa0000 && addr + len <= 0xc0000; }

bool guest_memory_read(struct machine *m, uint64_t addr, bool physical, void *buf, size_t len)
{
    for (uint8_t *to = buf; len;) {
        uint64_t run;
        const uint8_t *p = look_up(m, addr, physical, &run);

        if (run > len)
            run = len;
        if (p)
            memcpy(to, p, run);
        else if (!physical || !in_vga_window(addr, run) || !as_read(m->mem, addr, to, run))
            return false;
        to += run;
        addr += run;
        len -= run;
    }
    return true;
}

static bool write_all(int fd, const uint8_t *p, size_t len)
{
    while (len) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static int save_pages(struct machine *m, int fd, uint64_t addr, bool physical, uint64_t size, const char *path,
                      struct err *e)
{
    uint8_t page[PAGE_SIZE]; // a copy: the guest may unmap what is written

    while (size) {
        uint64_t n = PAGE_SIZE - (addr & (PAGE_SIZE - 1));

        if (n > size)
            n = size;
        if (!guest_memory_read(m, addr, physical, page, n)) {
            if (!physical) // as QEMU says it
                return err_set(e, "Invalid addr 0x%016llx/size %llu specified", (unsigned long long)addr,
                               (unsigned long long)size);
            memset(page, 0xff, n); // nothing answers on the bus
        }
        if (!write_all(fd, page, n))
            return err_set(e, "writing memory to '%.100s' failed: %s", path, strerror(errno));
        addr += n;
        size -= n;
    }
    return 0;
}

int guest_memory_save(struct machine *m, uint64_t addr, bool physical, uint64_t size, const char *path, struct err *e)
{
    int fd, ret;

    // More than there is: a mistake that would fill the host's disk.
    if (size > m->ram.size + (4ull << 30))
        return err_set(e, "Invalid size %llu specified", (unsigned long long)size);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_set(e, "Could not open '%.100s': %s", path, strerror(errno));
    machine_hold_cpu(m);
    ret = save_pages(m, fd, addr, physical, size, path, e);
    machine_release_cpu(m);
    close(fd);
    return ret;
}
