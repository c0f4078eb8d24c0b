// SPDX-License-Identifier: MIT
// Disassembly for logs, by Capstone.
#include <capstone/capstone.h>
#include <stdio.h>

#include "translator/decode.h"

void disassemble(struct decoder *d, const uint8_t *bytes, unsigned len, enum decode_mode mode, uint64_t rip, char *out,
                 size_t out_size)
{
    // A handle of its own: logs are rare, and text is not what the decoder's are set up for.
    static const cs_mode modes[] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};
    csh cs;
    cs_insn *insn = NULL;
    size_t n = 0;
    if (cs_open(CS_ARCH_X86, modes[mode], &cs) == CS_ERR_OK) {
        n = cs_disasm(cs, bytes, len, rip, 1, &insn);
        if (n)
            snprintf(out, out_size, "%s %s", insn->mnemonic, insn->op_str);
        cs_free(insn, n);
        cs_close(&cs);
    }
    if (!n)
        snprintf(out, out_size, "(%u bytes: %02x ...)", len, len ? bytes[0] : 0);
}
