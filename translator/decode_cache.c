// SPDX-License-Identifier: MIT
// Decoding remembered by the bytes: programs repeat few distinct instructions, and Capstone costs 0.4 us each.
//
// The bytes alone determine struct insn (nothing in it depends on the address), so an entry is right wherever the
// same bytes stand. The length is not known before decoding; a first table, indexed by the first three bytes,
// guesses it, and the second is indexed by a hash of that many bytes and compares them all.
#include <stdlib.h>
#include <string.h>

#include "base/stats.h"
#include "translator/decode_cache.h"

enum { GUESSES = 1 << 14, ENTRIES = 1 << 12 };

struct decode_cache {
    struct decoder *decoder;
    struct insn last;
    uint8_t guess[GUESSES];
    struct {
        uint8_t mode;
        struct insn insn;
    } entry[ENTRIES]; // insn.len 0: free
};

struct decode_cache *decode_cache_create(struct decoder *d)
{
    struct decode_cache *c = calloc(1, sizeof(*c));
    if (c)
        c->decoder = d;
    return c;
}

void decode_cache_destroy(struct decode_cache *c) { free(c); }

static uint64_t mix(uint64_t h) { return (h ^ h >> 29) * 0x9e3779b97f4a7c15ull; }

static unsigned guess_slot(const uint8_t *bytes, enum decode_mode mode)
{
    uint64_t first = bytes[0] | (uint64_t)bytes[1] << 8 | (uint64_t)bytes[2] << 16 | (uint64_t)mode << 24;
    return mix(first) >> 48 & (GUESSES - 1);
}

static unsigned entry_slot(const uint8_t *bytes, unsigned len, enum decode_mode mode)
{
    uint64_t lo = 0, hi = 0;
    memcpy(&lo, bytes, len < 8 ? len : 8);
    if (len > 8)
        memcpy(&hi, bytes + 8, len - 8);
    return mix(mix(lo + mode) + hi + len) >> 40 & (ENTRIES - 1);
}

const struct insn *decode_look(struct decode_cache *c, const uint8_t *bytes, unsigned len, enum decode_mode mode,
                               uint64_t rip)
{
    unsigned g = 0;
    if (len >= INSN_MAX) {
        g = guess_slot(bytes, mode);
        unsigned n = c->guess[g];
        if (n) {
            unsigned s = entry_slot(bytes, n, mode);
            const struct insn *in = &c->entry[s].insn;
            if (in->len == n && c->entry[s].mode == mode && !memcmp(in->bytes, bytes, n)) {
                stat_inc(STAT_tb_decode_hits);
                return in;
            }
        }
    }
    if (decode(c->decoder, bytes, len, mode, rip, &c->last))
        return NULL;
    if (len < INSN_MAX || !c->last.len)
        return &c->last;
    unsigned s = entry_slot(bytes, c->last.len, mode);
    c->guess[g] = c->last.len;
    c->entry[s].mode = mode;
    c->entry[s].insn = c->last;
    return &c->entry[s].insn;
}

int decode_cached(struct decode_cache *c, const uint8_t *bytes, unsigned len, enum decode_mode mode, uint64_t rip,
                  struct insn *out)
{
    const struct insn *in = decode_look(c, bytes, len, mode, rip);
    if (!in)
        return -1;
    *out = *in;
    return 0;
}
