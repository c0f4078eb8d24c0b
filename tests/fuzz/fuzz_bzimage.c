// SPDX-License-Identifier: MIT
// Fuzz target: the bzImage header of -kernel. The last 8 bytes are the file's size.
#include "frontends/linux_loader.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    // A good header, so that single changed bytes reach the later checks.
    static const struct {
        unsigned at;
        uint32_t v;
        unsigned size;
    } good[] = {
        {0x1f1, 3, 1}, {0x1fe, 0xaa55, 2},   {0x201, 0x66, 1}, {0x202, 0x53726448, 4}, {0x206, 0x020f, 2},
        {0x211, 1, 1}, {0x230, 0x200000, 4}, {0x234, 1, 1},    {0x236, 1, 2},
    };
    uint8_t file[1024] = {0};
    struct linux_header h;
    uint64_t file_size = 1 << 20;
    struct err e;

    if (size < 8)
        return 0;
    for (unsigned i = 0; i < ARRAY_SIZE(good); i++)
        memcpy(file + good[i].at, &good[i].v, good[i].size);
    memcpy(&file_size, data + size - 8, 8);
    size -= 8;
    for (size_t i = 0; i + 2 < size; i += 3) // (offset, value) pairs
        file[(data[i] | data[i + 1] << 8) & 1023] = data[i + 2];
    if (!linux_parse_header(file, sizeof(file), file_size, &h, &e)) {
        // What the loader relies on.
        if (h.setup_bytes >= file_size || h.setup_bytes + h.kernel_bytes != file_size || h.header_end > sizeof(file))
            abort();
        if (h.relocatable && (h.alignment & (h.alignment - 1)))
            abort();
    } else if (!*e.text || strlen(e.text) >= sizeof(e.text)) {
        abort();
    }
    return 0;
}
