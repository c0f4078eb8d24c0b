// SPDX-License-Identifier: MIT
// Fuzzes the decoder: the first byte chooses the mode, the rest are instructions, one after the other.
#include <stdlib.h>
#include <string.h>

#include "translator/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

// What those who use a struct insn rely on.
static void check(const struct insn *in, const uint8_t *bytes, unsigned room)
{
    demand(in->len >= 1 && in->len <= INSN_MAX && in->len <= room);
    demand(memcmp(in->bytes, bytes, in->len) == 0);
    demand(in->class <= IC_INVALID);
    if (in->class == IC_INVALID)
        return;
    demand(in->modrm_off < in->len && in->sib_off < in->len && in->opcode_off < in->len);
    demand(in->disp_off + in->disp_len <= in->len && in->imm_off + in->imm_len <= in->len);
    demand(in->base >= -1 && in->base <= 16 && in->index >= -1 && (in->vsib || in->index <= 15));
    demand(in->reg < 32 && in->rm < 32 && in->vvvv < 32);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct decoder *d;
    if (!d && decoder_create(&d))
        abort();
    enum decode_mode mode = size ? data[0] % 3 : DECODE_64;
    for (size_t at = 1; at < size;) {
        unsigned room = size - at < INSN_MAX ? (unsigned)(size - at) : INSN_MAX;
        struct insn in, again;
        memset(&in, 0, sizeof(in));
        memset(&again, 0, sizeof(again));
        if (decode(d, data + at, room, mode, 0x1000 + at, &in)) {
            demand(room < INSN_MAX); // 15 bytes always decide
            break;
        }
        check(&in, data + at, room);
        // Only its own bytes count.
        if (in.class != IC_INVALID) {
            demand(!decode(d, data + at, in.len, mode, 0x1000 + at, &again));
            demand(again.len == in.len && again.class == in.class && again.id == in.id);
        }
        at += in.len;
    }
    return 0;
}
