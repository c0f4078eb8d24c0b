// SPDX-License-Identifier: MIT
// Capstone's word on whether bytes are an instruction, remembered. Private to the decoder.
#pragma once

#include "translator/decode.h"

struct verdicts;
struct verdicts *verdicts_create(void);    // NULL: out of memory
void verdicts_destroy(struct verdicts *v); // NULL is fine
void verdicts_ask_host(struct verdicts *v, decoder_host_fn *fn, void *opaque);

// in: the decoder's own reading of in->len bytes. True: Capstone, or the manual against it (quirks.c), says that
// there is such an instruction, and the host, if it is asked, does not deny it; in->id is filled in.
bool verdict(struct verdicts *v, enum decode_mode mode, uint64_t rip, struct insn *in);
