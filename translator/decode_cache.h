// SPDX-License-Identifier: MIT
// Decoding remembered by the bytes.
#pragma once

#include "translator/decode.h"

struct decode_cache;
struct decode_cache *decode_cache_create(struct decoder *d); // NULL: out of memory
void decode_cache_destroy(struct decode_cache *c);
// As decode() of decode.h.
int decode_cached(struct decode_cache *c, const uint8_t *bytes, unsigned len, enum decode_mode mode, uint64_t rip,
                  struct insn *out);
// The same without a copy: good until the next call. NULL for -1.
const struct insn *decode_look(struct decode_cache *c, const uint8_t *bytes, unsigned len, enum decode_mode mode,
                               uint64_t rip);
