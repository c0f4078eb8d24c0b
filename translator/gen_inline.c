// SPDX-License-Identifier: MIT
// Sensitive instructions that need no C: their effect on the state block, a few host instructions inline.
//
// At CPL 0 CLI, STI, STAC, CLAC and SWAPGS cannot fault, so that they come down to a store. Where arithmetic
// flags are live behind the instruction the forms below keep them (BMI2 shifts, LEA, JRCXZ).
#include "cpu/cpu.h"
#include "cpu/cpuid.h"
#include "translator/gen.h"
#include "translator/host_insn.h"

static bool live_after(const struct gen *g, unsigned i) { return i + 1 >= g->n || g->live[i + 1]; }
static bool at_cpl0(const struct gen *g) { return !(g->tb->mode & (MODE_USER | MODE_RING12)); }

// One bit of cpu->rflags; bits 0..7 of it are stale while translated code runs and may become anything, and TF is 0.
static void set_flag(struct gen *g, unsigned bit, bool set, bool live)
{
    struct emit *e = &g->e;
    struct emem flags = CPU_FIELD(g->bt, rflags), tmp = eng(g->bt, ENG_TMP);
    if (!live) {
        emit_op_mem(e, 0, 0x81, set ? 1 : 4, flags); // or, and
        emit_32(e, set ? 1u << bit : ~(1u << bit));
        return;
    }
    emit_load32(e, R15, flags);
    emit_mov_imm(e, R14, 64 - bit);
    host_shlx(e, R15, R15, R14); // the bits below it
    host_shrx(e, R15, R15, R14);
    emit_store32(e, tmp, R15);
    emit_load32(e, R15, flags);
    emit_mov_imm(e, R14, bit + 1);
    host_shrx(e, R15, R15, R14); // those above
    host_shlx(e, R15, R15, R14);
    emit_load32(e, R14, tmp);
    emit_lea32(e, R15, (struct emem){.base = R15, .index = R14, .scale = 1, .disp = set ? 1 << bit : 0});
    emit_store32(e, flags, R15);
}

static bool gen_cli(struct gen *g, unsigned i)
{
    if (!at_cpl0(g))
        return false;
    set_flag(g, 9, false, live_after(g, i));
    return true;
}

// The shadow of STI covers the next instruction, which is in the same block and so runs before anything can be
// taken; requests that are there already go through the helper.
static bool gen_sti(struct gen *g, unsigned i)
{
    struct emit *e = &g->e;
    if (i + 1 >= g->n)
        return false;
    if (!at_cpl0(g)) {
        gen_helper(g, i, bt_helper_sti, 0, 0);
        return true;
    }
    bool live = live_after(g, i);
    uint8_t *none;
    if (live) {
        emit_store(e, eng(g->bt, ENG_RCX), RCX);
        emit_load32(e, RCX, CPU_FIELD(g->bt, request));
        uint8_t *zero = emit_jmp8(e, 0xe3);
        emit_load(e, RCX, eng(g->bt, ENG_RCX));
        gen_helper(g, i, bt_helper_sti, 0, 0); // comes back here
        none = emit_jmp(e, NULL);
        emit_here(e, zero);
        emit_load(e, RCX, eng(g->bt, ENG_RCX));
        set_flag(g, 9, true, true);
    } else {
        emit_load32(e, R15, CPU_FIELD(g->bt, request));
        emit_op_reg(e, 0, 0x85, R15, R15);
        uint8_t *zero = emit_jmp8(e, 0x74);
        gen_helper(g, i, bt_helper_sti, 0, 0);
        none = emit_jmp(e, NULL);
        emit_here(e, zero);
        set_flag(g, 9, true, false);
    }
    emit_patch(e, none, gen_here(g));
    return true;
}

// AC lifts SMAP: another view. Its base is kept beside the CPU (accel_bt.c), so that a switch is a load.
static bool gen_stac(struct gen *g, unsigned i, bool set)
{
    struct emit *e = &g->e;
    if (!at_cpl0(g) || !g->code64 || !g->bt->cpu->model->has_smap)
        return false;
    set_flag(g, 18, set, live_after(g, i));
    emit_op_mem(e, 0, 0xc6, 0, CPU_FIELD(g->bt, mmu.ac)); // mov byte
    emit_8(e, set);
    emit_load(e, R15, eng(g->bt, set ? ENG_VIEW_KA : ENG_VIEW_K));
    emit_bytes(e, "\xf3\x49\x0f\xae\xdf", 5); // wrgsbase r15
    return true;
}

static bool gen_cld(struct gen *g, unsigned i)
{
    set_flag(g, 10, false, live_after(g, i));
    if (g->scratch)
        emit_mov_imm(&g->e, R11, 1); // the step of string instructions: gen_seg.c
    return true;
}

static bool gen_swapgs(struct gen *g)
{
    struct emit *e = &g->e;
    if (!at_cpl0(g) || !g->code64)
        return false;
    emit_load(e, R14, CPU_FIELD(g->bt, seg[GS].base));
    emit_load(e, R15, CPU_FIELD(g->bt, kernel_gs_base));
    emit_store(e, CPU_FIELD(g->bt, kernel_gs_base), R14);
    emit_store(e, CPU_FIELD(g->bt, seg[GS].base), R15);
    return true;
}

// Guest TSC = host TSC + offset.
static bool gen_rdtsc(struct gen *g, unsigned i, bool aux)
{
    struct emit *e = &g->e;
    struct emem offset = CPU_FIELD(g->bt, tsc_offset);
    if ((g->tb->mode & MODE_TSD_USER) || (aux && !g->bt->cpu->model->has_rdtscp))
        return false;
    emit_bytes(e, aux ? "\x0f\x01\xf9" : "\x0f\x31", aux ? 3 : 2);
    if (!live_after(g, i)) {
        emit_op_mem(e, 0, 0x03, RAX, offset); // add eax, low half
        offset.disp += 4;
        emit_op_mem(e, 0, 0x13, RDX, offset); // adc edx, high half
    } else {
        host_rorx(e, RDX, RDX, 32);
        emit_load(e, R15, offset);
        emit_lea(e, RAX, (struct emem){.base = RAX, .index = RDX, .scale = 1});
        emit_lea(e, RAX, (struct emem){.base = RAX, .index = R15, .scale = 1});
        host_rorx(e, RDX, RAX, 32);
        emit_mov32(e, RDX, RDX);
        emit_mov32(e, RAX, RAX);
    }
    if (aux)
        emit_load32(e, RCX, CPU_FIELD(g->bt, tsc_aux));
    return true;
}

// MOV r, Sreg. SDM vol. 2B, "MOV": 32- and 64-bit destinations are zero-extended.
static bool gen_mov_from_sreg(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    struct emit *e = &g->e;
    unsigned s = in->modrm >> 3 & 7;
    if (in->has_mem || s >= SREG_COUNT)
        return false;
    struct emem sel = CPU_FIELD(g->bt, seg[0].sel);
    sel.disp += (int32_t)(s * sizeof(struct segment));
    emit_op_mem(e, EF_0F, 0xb7, R15, sel); // movzx r15d, word
    if (in->rm >= R14) {
        struct emem to = CPU_FIELD(g->bt, gpr[in->rm]);
        emit_op_mem(e, in->opsize == 2 ? EF_66 : EF_W, 0x89, R15, to);
    } else {
        emit_op_reg(e, in->opsize == 2 ? EF_66 : 0, 0x89, R15, in->rm);
    }
    return true;
}

// The flags image: what LAHF and SETO say, and the rest of cpu->rflags without VM and RF. All registers and flags are
// the guest's again before the push, which may fault.
static bool gen_pushf(struct gen *g, unsigned i)
{
    struct emit *e = &g->e;
    if (!g->code64 || g->insn[i].opsize != 8)
        return false;
    emit_store(e, eng(g->bt, ENG_TMP2), RAX);
    host_flags_to_ax(e);
    emit_store32(e, CPU_FIELD(g->bt, stash.r[0]), RAX);
    emit_op_reg(e, EF_0F, 0xb6, R14, RAX); // movzx r14d, al
    emit_bytes(e, "\x0f\xb6\xc4", 3);      // movzx eax, ah
    host_shift_imm32(e, SHIFT_SHL, R14, 11);
    emit_op_reg(e, 0, 0x09, R14, RAX); // or eax, r14d
    emit_load32(e, R15, CPU_FIELD(g->bt, rflags));
    emit_op_reg(e, 0, 0x81, 4, R15); // and r15d, imm32
    emit_32(e, ~(uint32_t)(FL_ARITH | FL_RF | FL_VM));
    emit_op_reg(e, 0, 0x09, RAX, R15); // or r15d, eax
    emit_store(e, eng(g->bt, ENG_TMP), R15);
    emit_load32(e, RAX, CPU_FIELD(g->bt, stash.r[0]));
    host_flags_from_ax(e);
    emit_load(e, RAX, eng(g->bt, ENG_TMP2));
    emit_lea(e, R14, EMEM(RSP, -8));
    gen_lookup(g, i, 8, true, false, true, true);
    emit_lea(e, R14, EMEM_R14_R15);
    emit_load(e, R15, eng(g->bt, ENG_TMP));
    emit_store(e, EMEM(R14, 0), R15);
    emit_lea(e, RSP, EMEM(RSP, -8));
    return true;
}

bool gen_inline(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    if (in->map == MAP_1) {
        switch (in->opcode) {
        case 0x8c: return gen_mov_from_sreg(g, i);
        case 0x9c: return gen_pushf(g, i);
        case 0xfa: return gen_cli(g, i);
        case 0xfb: return gen_sti(g, i);
        case 0xfc: return gen_cld(g, i);
        }
    } else if (in->map == MAP_0F && in->opcode == 0x31) {
        return gen_rdtsc(g, i, false);
    } else if (in->map == MAP_0F && in->opcode == 0x01) {
        switch (in->modrm) {
        case 0xca: return gen_stac(g, i, false);
        case 0xcb: return gen_stac(g, i, true);
        case 0xf8: return gen_swapgs(g);
        case 0xf9: return gen_rdtsc(g, i, true);
        }
    }
    return false;
}

// BT, BTS, BTR, BTC with a register bit offset: the operand lies (offset / operand bits) words from the address.
// The host's instruction adds that itself, so it gets the address as it was and the addend of the page that is
// meant. In 32-bit code that sum could leave the 4 GiB in which it is right: the interpreter does those.
bool gen_bitstring(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    struct emit *e = &g->e;
    struct rewrite how = {.mem = true, .base = R14, .index = R15, .map14 = R15, .map15 = R15};
    if (!g->code64 || in->addrsize != 8 || !gen_ea(g, i))
        return false;
    emit_store(e, eng(g->bt, ENG_TMP), R14);
    if (in->reg >= R14)
        emit_load(e, R15, CPU_FIELD(g->bt, gpr[in->reg]));
    else
        emit_mov(e, R15, in->reg);
    if (in->opsize == 4)
        emit_op_reg(e, EF_W, 0x63, R15, R15); // movsxd r15, r15d
    else if (in->opsize == 2)
        emit_op_reg(e, EF_W | EF_0F, 0xbf, R15, R15); // movsx r15, r15w
    emit_store(e, eng(g->bt, ENG_RCX), RCX);
    emit_mov_imm(e, RCX, in->opsize == 8 ? 6 : in->opsize == 4 ? 5 : 4);
    host_sarx(e, R15, R15, RCX);
    emit_load(e, RCX, eng(g->bt, ENG_RCX));
    emit_lea(e, R14, (struct emem){.base = R14, .index = R15, .scale = in->opsize});
    gen_lookup(g, i, in->opsize, in->mem_access & MA_WRITE, false, false, g->live[i] != 0);
    emit_load(e, R14, eng(g->bt, ENG_TMP));
    if (in->reg >= R14) {
        emit_lea(e, R14, EMEM_R14_R15);
        emit_load(e, R15, CPU_FIELD(g->bt, gpr[in->reg]));
        how.index = -1;
    }
    return rewrite_plain(e, in, &how) == 0;
}
