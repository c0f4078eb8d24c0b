// SPDX-License-Identifier: MIT
// Capstone's word on whether bytes are an instruction, remembered.
//
// Capstone takes 0.4 us. Its answer does not depend on a displacement, nor on an immediate but for the byte that
// selects an operation in some vector instructions; without those, programs are made of few distinct encodings.
// Capstone runs without detail: its operand lists and flags are not used, and cost more than the decode.
//
// Of AVX and AVX-512 Capstone knows too little to be asked which W, L, masks and broadcasts an instruction takes.
// A form with registers only raises its #UD when the host runs it, but one with a memory operand would be found
// invalid only after the operand has raised its #PF or #GP, which come later: SDM vol. 3A, section 6.9
// "Prioritization of Concurrent Events". So the host has the last word on these, here.
#include "translator/verdict.h"

#include <capstone/capstone.h>
#include <stdlib.h>
#include <string.h>

#include "translator/opcodes.h"

enum { ENTRIES = 1 << 14, KEY = 12 };

struct verdicts {
    csh cs[3]; // by enum decode_mode
    cs_insn *insn;
    decoder_host_fn *host; // may be NULL
    void *host_opaque;
    struct known {
        uint8_t key[KEY], len, mode; // len: of the whole instruction; 0: free
        uint16_t id;
    } known[ENTRIES];
};

struct verdicts *verdicts_create(void)
{
    static const cs_mode modes[] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};
    struct verdicts *v = calloc(1, sizeof(*v));
    if (!v)
        return NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++)
        if (cs_open(CS_ARCH_X86, modes[i], &v->cs[i]) != CS_ERR_OK)
            goto fail;
    v->insn = cs_malloc(v->cs[2]);
    if (v->insn)
        return v;
fail:
    verdicts_destroy(v);
    return NULL;
}

void verdicts_destroy(struct verdicts *v)
{
    if (!v)
        return;
    if (v->insn)
        cs_free(v->insn, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(v->cs); i++)
        if (v->cs[i])
            cs_close(&v->cs[i]);
    free(v);
}

void verdicts_ask_host(struct verdicts *v, decoder_host_fn *fn, void *opaque)
{
    v->host = fn;
    v->host_opaque = opaque;
}

// Capstone's id for the bytes, 0 if it refuses them.
static unsigned ask_capstone(struct verdicts *v, enum decode_mode mode, uint64_t rip, const uint8_t *bytes, size_t len,
                             unsigned *cs_len)
{
    *cs_len = 0;
    if (!cs_disasm_iter(v->cs[mode], &bytes, &len, &rip, v->insn))
        return 0;
    *cs_len = v->insn->size;
    return v->insn->id;
}

// The same instruction with each prefix once and the mandatory one last: Capstone refuses SSE instructions
// with another legacy prefix between the mandatory one and the opcode. Returns its length.
static unsigned normalise(const struct insn *in, uint8_t out[INSN_MAX])
{
    static const uint8_t seg[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
    unsigned n = 0, opcode = in->opcode_off - (in->map == MAP_1 ? 0u : in->map == MAP_0F ? 1u : 2u);
    if (in->seg >= 0)
        out[n++] = seg[in->seg];
    if (in->addrsize_prefix)
        out[n++] = 0x67;
    if (in->lock)
        out[n++] = 0xf0;
    if (in->opsize_prefix)
        out[n++] = 0x66;
    if (in->rep || in->repne)
        out[n++] = in->rep ? 0xf3 : 0xf2;
    if (in->rex)
        out[n++] = in->rex;
    for (unsigned i = opcode; i < in->len && n < INSN_MAX; i++)
        out[n++] = in->bytes[i];
    return n;
}

static unsigned confirm(struct verdicts *v, enum decode_mode mode, uint64_t rip, unsigned len, struct insn *in)
{
    unsigned cs_len, id = ask_capstone(v, mode, rip, in->bytes, len, &cs_len);
    int quirk = quirk_check(in, mode, id, cs_len);
    if (quirk < 0 && (!id || cs_len != len) && in->enc == ENC_LEGACY) {
        uint8_t bytes[INSN_MAX];
        unsigned n = normalise(in, bytes);
        id = ask_capstone(v, mode, rip, bytes, n, &cs_len);
        quirk = quirk_check(in, mode, id, cs_len);
        len = n;
    }
    if (quirk >= 0)
        id = (unsigned)quirk;
    else if (!id || cs_len != len)
        return 0;
    return id;
}

// The bytes that Capstone's answer depends on. False: more than fit.
static bool make_key(const struct insn *in, uint8_t key[KEY])
{
    unsigned n = 0, disp = in->disp_off ? in->disp_off : INSN_MAX;
    bool any_imm = in->imm_off && !(in->imm_len == 1 && (in->map != MAP_1 || in->enc != ENC_LEGACY));
    unsigned imm = any_imm ? in->imm_off : INSN_MAX;
    memset(key, 0, KEY);
    for (unsigned i = 0; i < in->len; i++) {
        if ((i >= disp && i < disp + in->disp_len) || (i >= imm && i < imm + in->imm_len))
            continue;
        if (n == KEY)
            return false;
        key[n++] = in->bytes[i];
    }
    return true;
}

static unsigned slot_of(const uint8_t key[KEY], unsigned len, enum decode_mode mode)
{
    uint64_t a;
    uint32_t b;
    memcpy(&a, key, sizeof(a));
    memcpy(&b, key + 8, sizeof(b));
    uint64_t h = (a ^ (uint64_t)b << 29 ^ (len << 2 | mode)) * 0x9e3779b97f4a7c15ull;
    return (h ^ h >> 31) * 0x9e3779b97f4a7c15ull >> 50 & (ENTRIES - 1);
}

bool verdict(struct verdicts *v, enum decode_mode mode, uint64_t rip, struct insn *in)
{
    uint8_t key[KEY];
    bool keyed = make_key(in, key);
    struct known *k = &v->known[keyed ? slot_of(key, in->len, mode) : 0];
    if (keyed && k->len == in->len && k->mode == mode && !memcmp(k->key, key, KEY)) {
        in->id = k->id;
        return k->id;
    }
    unsigned id = confirm(v, mode, rip, in->len, in);
    if (id && v->host && in->enc != ENC_LEGACY && in->has_mem && !v->host(v->host_opaque, in))
        id = 0;
    if (keyed) {
        memcpy(k->key, key, KEY);
        k->len = in->len;
        k->mode = (uint8_t)mode;
        k->id = (uint16_t)id;
    }
    in->id = (uint16_t)id;
    return id;
}
