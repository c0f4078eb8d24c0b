// SPDX-License-Identifier: MIT
// Instructions that 64-bit mode does not have, and that therefore cannot run natively here: decimal
// adjustments, BOUND, ARPL, SALC. SDM vol. 2.
#include "translator/interp_int.h"

static void set_szp(struct cpu *cpu, uint8_t v)
{
    uint64_t fl = cpu->rflags & ~(uint64_t)(FL_SF | FL_ZF | FL_PF);
    fl |= (v & 0x80 ? FL_SF : 0) | (v ? 0 : FL_ZF) | (__builtin_parity(v) ? 0 : FL_PF);
    cpu->rflags = fl;
}

static void set_flag(struct cpu *cpu, uint64_t flag, bool on)
{
    cpu->rflags = on ? cpu->rflags | flag : cpu->rflags & ~flag;
}

static void set_al(struct cpu *cpu, uint8_t v) { cpu->gpr[RAX] = (cpu->gpr[RAX] & ~0xffull) | v; }
static void set_ax(struct cpu *cpu, uint16_t v) { cpu->gpr[RAX] = (cpu->gpr[RAX] & ~0xffffull) | v; }

// "DAA-Decimal Adjust AL after Addition", "DAS-Decimal Adjust AL after Subtraction"
static void decimal_adjust(struct cpu *cpu, bool subtract)
{
    uint8_t al = (uint8_t)cpu->gpr[RAX], r = al;
    bool cf = cpu->rflags & FL_CF, af = (al & 15) > 9 || cpu->rflags & FL_AF;
    bool carry = al > 0x99 || cf;
    if (af) {
        // DAS also keeps the borrow of this step
        if (subtract && al < 6)
            cf = true;
        r = (uint8_t)(subtract ? r - 6 : r + 6);
    }
    if (carry)
        r = (uint8_t)(subtract ? r - 0x60 : r + 0x60);
    set_al(cpu, r);
    set_szp(cpu, r);
    set_flag(cpu, FL_AF, af);
    set_flag(cpu, FL_CF, carry || (subtract && af && cf));
    set_flag(cpu, FL_OF, false);
}

// "AAA-ASCII Adjust After Addition", "AAS-ASCII Adjust AL After Subtraction"
static void ascii_adjust(struct cpu *cpu, bool subtract)
{
    uint16_t ax = (uint16_t)cpu->gpr[RAX];
    bool adjust = (ax & 15) > 9 || cpu->rflags & FL_AF;
    if (adjust)
        ax = (uint16_t)(subtract ? ax - 0x106 : ax + 0x106);
    set_ax(cpu, ax & 0xff0f);
    set_szp(cpu, ax & 0x0f);
    set_flag(cpu, FL_AF | FL_CF, adjust);
    set_flag(cpu, FL_OF, false);
}

// "AAM-ASCII Adjust AX After Multiply", "AAD-ASCII Adjust AX Before Division"
static void ascii_muldiv(struct cpu *cpu, uint8_t base, bool divide)
{
    uint8_t al = (uint8_t)cpu->gpr[RAX], ah = (uint8_t)(cpu->gpr[RAX] >> 8);
    if (divide) {
        set_ax(cpu, (uint8_t)(al + ah * base));
    } else {
        if (!base)
            cpu_raise(cpu, EXC_DE);
        set_ax(cpu, (uint16_t)((al / base) << 8 | al % base));
    }
    set_szp(cpu, (uint8_t)cpu->gpr[RAX]);
    set_flag(cpu, FL_CF | FL_AF | FL_OF, false);
}

// "BOUND-Check Array Index Against Bounds"
static void exec_bound(struct interp *in, const struct insn *i)
{
    struct cpu *cpu = in->cpu;
    unsigned size = i->opsize, shift = 64 - 8 * size;
    gva lin = interp_linear(in, 2 * size, false);
    int64_t index = (int64_t)(cpu->gpr[i->reg] << shift) >> shift;
    int64_t lo = (int64_t)(cpu_load(cpu, lin, size) << shift) >> shift;
    int64_t hi = (int64_t)(cpu_load(cpu, lin + size, size) << shift) >> shift;
    if (index < lo || index > hi)
        cpu_raise(cpu, EXC_BR);
}

// "ARPL-Adjust RPL Field of Segment Selector"
static void exec_arpl(struct interp *in, const struct insn *i)
{
    struct cpu *cpu = in->cpu;
    if (cpu->mode & MODE_REAL)
        cpu_raise(cpu, EXC_UD);
    gva lin = 0;
    if (i->has_mem) {
        lin = interp_linear(in, 2, true);
        interp_probe_write(in, lin, 2);
    }
    unsigned dst = (unsigned)(i->has_mem ? cpu_load(cpu, lin, 2) : interp_get(cpu, i, i->rm, 2));
    unsigned rpl = cpu->gpr[i->reg] & 3;
    bool adjust = (dst & 3) < rpl;
    if (adjust) {
        dst = (dst & ~3u) | rpl;
        if (i->has_mem)
            cpu_store(cpu, lin, dst, 2);
        else
            interp_set(cpu, i, i->rm, 2, dst);
    }
    set_flag(cpu, FL_ZF, adjust);
}

bool interp_legacy(struct interp *in)
{
    struct cpu *cpu = in->cpu;
    const struct insn *i = &in->cur->insn;
    if (i->enc != ENC_LEGACY || i->map != MAP_1)
        return false;
    switch (i->opcode) {
    case 0x27:
    case 0x2f: decimal_adjust(cpu, i->opcode == 0x2f); return true;
    case 0x37:
    case 0x3f: ascii_adjust(cpu, i->opcode == 0x3f); return true;
    case 0xd4:
    case 0xd5: ascii_muldiv(cpu, (uint8_t)i->imm, i->opcode == 0xd5); return true;
    case 0xd6: // SALC
        set_al(cpu, cpu->rflags & FL_CF ? 0xff : 0);
        return true;
    case 0x62: exec_bound(in, i); return true;
    case 0x63:
        if ((i->has_mem ? i->mem_size : i->rm_size) != 2)
            return false; // MOVSXD
        exec_arpl(in, i);
        return true;
    }
    return false;
}
