// SPDX-License-Identifier: MIT
// Guest RAM anywhere in the address space, in place of softmmu/ram.c: the sanitizers' shadow memory leaves no
// room for its reserved aliases, and no engine runs in these tests.
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "softmmu/address_space.h"

int ram_create(struct ram *ram, uint64_t size)
{
    *ram = (struct ram){.size = size};
    ram->base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ram->dirty = calloc(size / PAGE_SIZE / 64 + 1, 8);
    return ram->base == MAP_FAILED || !ram->dirty ? -ENOMEM : 0;
}

void ram_destroy(struct ram *ram)
{
    munmap(ram->base, ram->size);
    free(ram->dirty);
}
