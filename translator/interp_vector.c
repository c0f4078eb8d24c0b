// SPDX-License-Identifier: MIT
// Operands whose elements count one by one: masked accesses, gathers and scatters, MASKMOV.
// Only selected elements may fault: SDM vol. 1, section 15.6.3 "Memory Fault Suppression"; vol. 2C, "VGATHER...".
#include "translator/interp_int.h"

// ---- registers taken apart, by code of one instruction

// Stores or loads vector register n (128 << vl bits) to or from buf.
static void move_vector(struct interp *in, unsigned n, unsigned vl, uint8_t *buf, bool load, bool evex)
{
    uint8_t op = load ? 0x6f : 0x7f, modrm = (uint8_t)((n & 7) << 3); // [rax]
    uint8_t legacy[] = {0xf3, (uint8_t)(0x40 | (n >> 1 & 4)), 0x0f, op, modrm};
    uint8_t vex[] = {0xc5, (uint8_t)((~n << 4 & 0x80) | 0x78 | vl << 2 | 2), op, modrm};
    uint8_t ev[] = {0x62, (uint8_t)((~n << 4 & 0x80) | 0x61 | (~n & 0x10)), 0x7e, (uint8_t)(vl << 5 | 8), op, modrm};
    if (evex)
        thunk_run_bytes(in, ev, sizeof ev, (uintptr_t)buf);
    else if (in->cur->insn.enc != ENC_LEGACY)
        thunk_run_bytes(in, vex, sizeof vex, (uintptr_t)buf);
    else
        thunk_run_bytes(in, legacy, sizeof legacy, (uintptr_t)buf);
}

// kmovq: a host that lacks it (AVX512F without BW) has no guest that uses wider masks, and raises #UD here.
static uint64_t read_mask(struct interp *in, unsigned k)
{
    uint8_t code[] = {0xc4, 0xe1, 0xfb, 0x93, (uint8_t)(0xc0 | k)};
    return thunk_run_bytes(in, code, sizeof code, 0);
}

static void write_mask(struct interp *in, unsigned k, uint64_t v)
{
    uint8_t code[] = {0xc4, 0xe1, 0xfb, 0x92, (uint8_t)(0xc0 | k << 3)};
    thunk_run_bytes(in, code, sizeof code, v);
}

static uint64_t element(const uint8_t *v, unsigned i, unsigned size)
{
    uint64_t x = 0;
    for (unsigned k = 0; k < size; k++)
        x |= (uint64_t)v[i * size + k] << (8 * k);
    return x;
}

static void set_element(uint8_t *v, unsigned i, unsigned size, uint64_t x)
{
    for (unsigned k = 0; k < size; k++)
        v[i * size + k] = (uint8_t)(x >> (8 * k));
}

// ---- masked loads and stores

// A bit per memory element that the current instruction accesses.
static uint64_t selected(struct interp *in, const struct insn *i, unsigned n)
{
    uint64_t all = n >= 64 ? ~0ull : BIT(n) - 1, mask = 0;
    if (i->enc == ENC_EVEX) {
        mask = read_mask(in, i->evex[3] & 7);
        unsigned vl = 16u << (i->vl > 2 ? 2 : i->vl);
        // Expand and compress: as many elements as the mask has bits, from the start.
        bool packed = i->map == MAP_0F38 && ((i->opcode & 0xfc) == 0x88 || (i->opcode & 0xfe) == 0x62);
        if (packed || i->mem_bcast) {
            unsigned lanes = i->mem_bcast ? vl / i->mem_size : n;
            unsigned bits = (unsigned)__builtin_popcountll(mask & (lanes >= 64 ? ~0ull : BIT(lanes) - 1));
            mask = i->mem_bcast ? bits != 0 : bits >= 64 ? ~0ull : BIT(bits) - 1;
        }
    } else { // VMASKMOV, VPMASKMOV: the sign bits of vvvv
        move_vector(in, i->vvvv, i->vl, in->vec[0], false, false);
        for (unsigned k = 0; k < n; k++)
            mask |= (uint64_t)(in->vec[0][(k + 1) * i->mask_elem - 1] >> 7) << k;
    }
    return mask & all;
}

void interp_masked(struct interp *in, uint64_t ea, bool misaligned)
{
    struct cpu *cpu = in->cpu;
    const struct insn *i = &in->cur->insn;
    unsigned size = i->mask_elem, n = i->mem_size / size;
    bool write = i->mem_access & MA_WRITE;
    uint64_t mask = selected(in, i, n), wrap = interp_size_mask(i->addrsize);
    uint8_t *buf = in->bounce;
    gva lin[64];
    if (misaligned && mask)
        cpu_raise_error(cpu, EXC_GP, 0);
    for (unsigned k = 0; k < i->mem_size; k++)
        buf[k] = 0;
    for (unsigned k = 0; k < n; k++) {
        if (!(mask >> k & 1))
            continue;
        lin[k] = cpu_linear(cpu, i->mem_seg, (ea + k * size) & wrap, size, write);
        interp_note_access(in, lin[k], size, write);
        if (write)
            interp_probe_write(in, lin[k], size);
        else
            cpu_read(cpu, lin[k], buf + k * size, size);
    }
    if (!thunk_run_insn(in, (uintptr_t)buf))
        cpu_raise(cpu, EXC_UD);
    for (unsigned k = 0; write && k < n; k++)
        if (mask >> k & 1)
            cpu_write(cpu, lin[k], buf + k * size, size);
}

// ---- gathers and scatters

struct gather {
    unsigned elem, index_size, n; // bytes, bytes, elements
    bool scatter, evex, any;      // any: an element has been accessed
    uint64_t mask;                // elements still to do
};

static void describe(struct interp *in, const struct insn *i, struct gather *g)
{
    unsigned vl = 16u << (i->vl > 2 ? 2 : i->vl);
    g->elem = i->rex & 8 ? 8 : 4;
    g->index_size = i->opcode & 1 ? 8 : 4;
    g->n = vl / (g->elem > g->index_size ? g->elem : g->index_size);
    g->scatter = i->opcode >= 0xa0;
    g->evex = i->enc == ENC_EVEX;
}

// The widest registers the host has: a gather that stops half way leaves the upper bits alone.
static unsigned full_width(const struct cpu *cpu) { return (cpu->fpu_host_mask & 0xe0) == 0xe0 ? 2 : 1; }

// Writes back a gather or scatter that is about to access one more element, which may fault: what is done, and the
// mask with the elements that were passed cleared.
static void commit_partial(struct interp *in, const struct insn *i, const struct gather *g)
{
    // The VEX forms leave what is above VL alone until they are done, the EVEX forms clear it with the first
    // element (AMD Zen 5).
    unsigned width = g->evex && g->any ? i->vl : full_width(in->cpu);
    if (!g->scatter)
        move_vector(in, i->reg, width, in->vec[0], true, width == 2 || g->evex);
    if (g->evex)
        write_mask(in, i->evex[3] & 7, g->mask);
    else
        move_vector(in, i->vvvv, width, in->vec[1], true, width == 2);
}

// All done: the mask is zero and the destination's upper bits are, too.
static void commit_whole(struct interp *in, const struct insn *i, const struct gather *g)
{
    if (g->evex)
        write_mask(in, i->evex[3] & 7, 0);
    for (unsigned k = 0; k < sizeof in->vec[1]; k++) {
        in->vec[1][k] = 0;
        if (k >= g->n * g->elem)
            in->vec[0][k] = 0;
    }
    if (!g->evex)
        move_vector(in, i->vvvv, i->vl, in->vec[1], true, false);
    if (!g->scatter)
        move_vector(in, i->reg, i->vl, in->vec[0], true, g->evex);
}

static uint64_t element_ea(struct interp *in, const struct insn *i, const struct gather *g, unsigned k)
{
    uint64_t index = element(in->vec[2], k, g->index_size);
    if (g->index_size == 4)
        index = (uint64_t)(int64_t)(int32_t)index;
    return (interp_ea(in, i) + index * i->scale) & interp_size_mask(i->addrsize);
}

void interp_gather_scatter(struct interp *in)
{
    struct cpu *cpu = in->cpu;
    const struct insn *i = &in->cur->insn;
    struct gather g = {0};
    describe(in, i, &g);
    // The index, with EVEX.V' as its fifth bit.
    unsigned index = (unsigned)i->index | (g.evex ? i->vvvv & 16 : 0), k_reg = i->evex[3] & 7;
    // #UD unless destination, index and mask differ; k0 is no mask.
    if (i->index < 0 ||
        (g.evex ? !k_reg || (!g.scatter && index == i->reg) : index == i->reg || index == i->vvvv || i->vvvv == i->reg))
        cpu_raise(cpu, EXC_UD);
    unsigned width = full_width(cpu);
    move_vector(in, i->reg, width, in->vec[0], false, width == 2);
    move_vector(in, index, width, in->vec[2], false, width == 2);
    if (g.evex) {
        g.mask = read_mask(in, k_reg);
    } else {
        move_vector(in, i->vvvv, width, in->vec[1], false, width == 2);
        for (unsigned k = 0; k < g.n; k++)
            g.mask |= (uint64_t)(in->vec[1][(k + 1) * g.elem - 1] >> 7) << k;
    }
    for (unsigned k = 0; k < g.n; k++) {
        if (!(g.mask >> k & 1)) {
            if (!g.evex)
                set_element(in->vec[1], k, g.elem, 0);
            continue;
        }
        if (k)
            commit_partial(in, i, &g); // what follows may raise
        gva lin = cpu_linear(cpu, i->mem_seg, element_ea(in, i, &g, k), g.elem, g.scatter);
        interp_note_access(in, lin, g.elem, g.scatter);
        if (g.scatter)
            cpu_store(cpu, lin, element(in->vec[0], k, g.elem), g.elem);
        else
            set_element(in->vec[0], k, g.elem, cpu_load(cpu, lin, g.elem));
        g.mask &= ~BIT(k);
        g.any = true;
        if (!g.evex)
            set_element(in->vec[1], k, g.elem, 0);
    }
    commit_whole(in, i, &g);
}

// ---- MASKMOVQ, MASKMOVDQU: bytes of reg selected by the sign bits of rm, to DS:[rDI]

static void store_mmx(struct interp *in, unsigned n, uint8_t *buf)
{
    uint8_t code[] = {0x0f, 0x7f, (uint8_t)((n & 7) << 3)};
    thunk_run_bytes(in, code, sizeof code, (uintptr_t)buf);
}

void interp_maskmov(struct interp *in)
{
    struct cpu *cpu = in->cpu;
    const struct insn *i = &in->cur->insn;
    bool mmx = i->uses_mmx && i->enc == ENC_LEGACY && i->pp != 0x66;
    unsigned n = mmx ? 8 : 16;
    interp_check_features(in, i);
    if (mmx) {
        store_mmx(in, i->modrm >> 3, in->vec[0]);
        store_mmx(in, i->modrm, in->vec[1]);
    } else {
        move_vector(in, i->reg, 0, in->vec[0], false, false);
        move_vector(in, i->rm, 0, in->vec[1], false, false);
    }
    unsigned seg = i->seg >= 0 ? (unsigned)i->seg : DS;
    uint64_t ea = cpu->gpr[RDI] & interp_size_mask(i->addrsize);
    for (unsigned pass = 0; pass < 2; pass++) // first the rights, then the bytes
        for (unsigned k = 0; k < n; k++) {
            if (!(in->vec[1][k] & 0x80))
                continue;
            gva lin = cpu_linear(cpu, (enum sreg)seg, (ea + k) & interp_size_mask(i->addrsize), 1, true);
            if (pass) {
                cpu_store(cpu, lin, in->vec[0][k], 1);
            } else {
                interp_note_access(in, lin, 1, true);
                interp_probe_write(in, lin, 1);
            }
        }
}
