// SPDX-License-Identifier: MIT
// The register tables, and how their values are taken from and put into struct cpu.
//
// Names, sizes and types of the standard features are GDB's (manual, appendix G.5.6 "i386 Features"); they come first and
// in the order that GDB assumes without a description. Control registers are named as QEMU names them. A register
// is written as an instruction would write it: by the cpu_op_* function with its checks and consequences.
#include "frontends/gdbstub_regs.h"

#include "cpu/cpu.h"
#include "cpu/cpuid.h"

#include <cpuid.h>
#include <string.h>

enum kind {
    K_GPR,
    K_PC,
    K_FLAGS,
    K_SEL,
    K_ST,
    K_FCTL,
    K_XMM,
    K_MXCSR,
    K_YMMH,
    K_ZMMH,
    K_OPMASK,
    K_BASE,
    K_KGS,
    K_CR,
    K_EFER,
    K_XCR0,
    K_DR,
    K_TABLE,
};
enum { T_GDT_BASE, T_GDT_LIMIT, T_IDT_BASE, T_IDT_LIMIT, T_LDT, T_TR, T_TR_BASE };

// clang-format off
#define GPR(name, type, n) { name, type, NULL, 64, K_GPR, n, GDB_CORE }
#define GPR32(name, type, n) { name, type, NULL, 32, K_GPR, n, GDB_CORE }
#define SEL(name, n) { name, "int32", NULL, 32, K_SEL, n, GDB_CORE }
#define ST(n) { "st" #n, "i387_ext", NULL, 80, K_ST, n, GDB_CORE }
#define FCTL(name, n) { name, "int", "float", 32, K_FCTL, n, GDB_CORE }
#define XMM(n) { "xmm" #n, "vec128", NULL, 128, K_XMM, n, GDB_SSE }
#define MXCSR { "mxcsr", "i386_mxcsr", "vector", 32, K_MXCSR, 0, GDB_SSE }
#define YMMH(n) { "ymm" #n "h", "uint128", NULL, 128, K_YMMH, n, GDB_AVX }
#define XMM16(n) { "xmm" #n, "vec128", NULL, 128, K_XMM, n, GDB_AVX512 }
#define YMM16H(n) { "ymm" #n "h", "uint128", NULL, 128, K_YMMH, n, GDB_AVX512 }
#define ZMMH(n) { "zmm" #n "h", "v2ui128", NULL, 256, K_ZMMH, n, GDB_AVX512 }
#define OPMASK(n) { "k" #n, "uint64", NULL, 64, K_OPMASK, n, GDB_AVX512 }
#define BASE(name, n, feature) { name, "int", NULL, 64, K_BASE, n, feature }
#define CR(name, type, n) { name, type, NULL, 64, K_CR, n, GDB_CONTROL }
#define SYS(name, bits, kind, n) { name, "int", "system", bits, kind, n, GDB_TABLES }
// clang-format on

#define SELECTORS SEL("cs", CS), SEL("ss", SS), SEL("ds", DS), SEL("es", ES), SEL("fs", FS), SEL("gs", GS)
#define X87                                                                                                      \
    ST(0), ST(1), ST(2), ST(3), ST(4), ST(5), ST(6), ST(7), FCTL("fctrl", 0), FCTL("fstat", 1), FCTL("ftag", 2), \
        FCTL("fiseg", 3), FCTL("fioff", 4), FCTL("foseg", 5), FCTL("fooff", 6), FCTL("fop", 7)
#define UPPER16(R) \
    R(16), R(17), R(18), R(19), R(20), R(21), R(22), R(23), R(24), R(25), R(26), R(27), R(28), R(29), R(30), R(31)
#define LOWER8(R) R(0), R(1), R(2), R(3), R(4), R(5), R(6), R(7)
#define NEXT8(R) R(8), R(9), R(10), R(11), R(12), R(13), R(14), R(15)
#define CONTROL                                                                                          \
    {"k_gs_base", "int", NULL, 64, K_KGS, 0, GDB_CONTROL}, CR("cr0", "x86_cr0", 0), CR("cr2", "int", 2), \
        CR("cr3", "int", 3), CR("cr4", "x86_cr4", 4), CR("cr8", "int", 8),                               \
    {                                                                                                    \
        "efer", "x86_efer", NULL, 64, K_EFER, 0, GDB_CONTROL                                             \
    }
#define TABLES                                                                                                    \
    SYS("xcr0", 64, K_XCR0, 0), SYS("cs_base", 64, K_BASE, CS), SYS("ss_base", 64, K_BASE, SS),                   \
        SYS("ds_base", 64, K_BASE, DS), SYS("es_base", 64, K_BASE, ES), SYS("gdt_base", 64, K_TABLE, T_GDT_BASE), \
        SYS("gdt_limit", 32, K_TABLE, T_GDT_LIMIT), SYS("idt_base", 64, K_TABLE, T_IDT_BASE),                     \
        SYS("idt_limit", 32, K_TABLE, T_IDT_LIMIT), SYS("ldt", 32, K_TABLE, T_LDT), SYS("tr", 32, K_TABLE, T_TR), \
        SYS("tr_base", 64, K_TABLE, T_TR_BASE), SYS("dr0", 64, K_DR, 0), SYS("dr1", 64, K_DR, 1),                 \
        SYS("dr2", 64, K_DR, 2), SYS("dr3", 64, K_DR, 3), SYS("dr6", 64, K_DR, 6), SYS("dr7", 64, K_DR, 7)

// clang-format off
static const struct gdb_reg regs64[] = {
    GPR("rax", "int64", RAX), GPR("rbx", "int64", RBX), GPR("rcx", "int64", RCX), GPR("rdx", "int64", RDX),
    GPR("rsi", "int64", RSI), GPR("rdi", "int64", RDI), GPR("rbp", "data_ptr", RBP), GPR("rsp", "data_ptr", RSP),
    GPR("r8", "int64", R8), GPR("r9", "int64", R9), GPR("r10", "int64", R10), GPR("r11", "int64", R11),
    GPR("r12", "int64", R12), GPR("r13", "int64", R13), GPR("r14", "int64", R14), GPR("r15", "int64", R15),
    { "rip", "code_ptr", NULL, 64, K_PC, 0, GDB_CORE }, { "eflags", "i386_eflags", NULL, 32, K_FLAGS, 0, GDB_CORE },
    SELECTORS, X87,
    XMM(0), XMM(1), XMM(2), XMM(3), XMM(4), XMM(5), XMM(6), XMM(7), XMM(8), XMM(9), XMM(10), XMM(11), XMM(12),
    XMM(13), XMM(14), XMM(15), MXCSR,
    YMMH(0), YMMH(1), YMMH(2), YMMH(3), YMMH(4), YMMH(5), YMMH(6), YMMH(7), YMMH(8), YMMH(9), YMMH(10), YMMH(11),
    YMMH(12), YMMH(13), YMMH(14), YMMH(15),
    UPPER16(XMM16), UPPER16(YMM16H), LOWER8(OPMASK), LOWER8(ZMMH), NEXT8(ZMMH), UPPER16(ZMMH),
    BASE("fs_base", FS, GDB_SEGMENTS), BASE("gs_base", GS, GDB_SEGMENTS), CONTROL, TABLES,
};
// clang-format on
// clang-format off
static const struct gdb_reg regs32[] = {
    GPR32("eax", "int32", RAX), GPR32("ecx", "int32", RCX), GPR32("edx", "int32", RDX), GPR32("ebx", "int32", RBX),
    GPR32("esp", "data_ptr", RSP), GPR32("ebp", "data_ptr", RBP), GPR32("esi", "int32", RSI),
    GPR32("edi", "int32", RDI), { "eip", "code_ptr", NULL, 32, K_PC, 0, GDB_CORE },
    { "eflags", "i386_eflags", NULL, 32, K_FLAGS, 0, GDB_CORE },
    SELECTORS, X87,
    XMM(0), XMM(1), XMM(2), XMM(3), XMM(4), XMM(5), XMM(6), XMM(7), MXCSR,
    YMMH(0), YMMH(1), YMMH(2), YMMH(3), YMMH(4), YMMH(5), YMMH(6), YMMH(7),
    LOWER8(OPMASK), LOWER8(ZMMH),
    BASE("fs_base", FS, GDB_CONTROL), BASE("gs_base", GS, GDB_CONTROL), CONTROL, TABLES,
};
// clang-format on

static const struct {
    const char *name;
    const struct gdb_reg *regs;
    unsigned count;
} arches[GDB_ARCHS] = {
    [GDB_X86_64] = {"x86-64", regs64, ARRAY_SIZE(regs64)},
    [GDB_I386] = {"i386", regs32, ARRAY_SIZE(regs32)},
    [GDB_I8086] = {"i8086", regs32, ARRAY_SIZE(regs32)},
};

const char *gdb_arch_name(enum gdb_arch a) { return arches[a].name; }

bool gdb_arch_parse(const char *name, enum gdb_arch *out)
{
    for (unsigned a = 0; a < GDB_ARCHS; a++)
        if (!strcmp(name, arches[a].name)) {
            *out = (enum gdb_arch)a;
            return true;
        }
    return false;
}

enum gdb_arch gdb_arch_of(const struct cpu *cpu)
{
    if (!(cpu->model->efer_mask & EFER_LMA))
        return GDB_I386;
    return (cpu->cr0 & CR0_PG) && !(cpu->efer & EFER_LMA) ? GDB_I386 : GDB_X86_64;
}

unsigned gdb_reg_count(enum gdb_arch a) { return arches[a].count; }

unsigned gdb_reg_count_g(enum gdb_arch a)
{
    unsigned n = 0;

    while (n < arches[a].count && arches[a].regs[n].feature <= GDB_SSE)
        n++;
    return n;
}

const struct gdb_reg *gdb_reg_row(enum gdb_arch a, unsigned n)
{
    return n < arches[a].count ? &arches[a].regs[n] : NULL;
}

const char *gdb_reg_name(enum gdb_arch a, unsigned n)
{
    const struct gdb_reg *r = gdb_reg_row(a, n);

    return r ? r->name : NULL;
}

// --- vector state: the XSAVE area, SDM vol. 1, sections 13.4.1 "Legacy Region of an XSAVE Area" and 13.4.2

enum {
    FX_FCW = 0,
    FX_FSW = 2,
    FX_FTW = 4,
    FX_FOP = 6,
    FX_FIP = 8,
    FX_FDP = 16,
    FX_MXCSR = 24,
    FX_ST = 32,
    FX_XMM = 160,
    XS_BV = 512,
    XS_AVX = 576
};
enum { BV_X87 = 1, BV_SSE = 2, BV_AVX = 4, BV_OPMASK = 32, BV_ZMM_HI256 = 64, BV_HI16_ZMM = 128 };

// Where a component of AVX-512 is in the standard format, and its size: SDM vol. 1, section 13.2 "Enumeration of CPU
// Support for XSAVE Instructions and XSAVE-Supported Features".
static unsigned component_start(uint64_t bit, unsigned *size)
{
    unsigned offset, none;

    __cpuid_count(0xd, (unsigned)__builtin_ctzll(bit), *size, offset, none, none);
    return offset;
}

static bool in_use(const struct cpu *cpu, uint64_t component) { return *(uint64_t *)(cpu->xsave + XS_BV) & component; }

// Where component's bytes from offset on (in the area; of AVX-512's, in the component) are, after the area says that they count; NULL: this CPU has none.
static uint8_t *area(struct cpu *cpu, uint64_t component, unsigned offset)
{
    unsigned start = 0, size = 0;

    if (!(cpu->fpu_host_mask & component))
        return NULL;
    if (component > BV_AVX)
        offset += start = component_start(component, &size);
    if (!in_use(cpu, component)) { // give it its initial value
        if (component == BV_X87) {
            memset(cpu->xsave, 0, FX_MXCSR);
            memset(cpu->xsave + FX_ST, 0, FX_XMM - FX_ST);
            *(uint16_t *)(cpu->xsave + FX_FCW) = 0x37f;
        } else if (component == BV_SSE) {
            memset(cpu->xsave + FX_XMM, 0, 256);
        } else if (component == BV_AVX) {
            memset(cpu->xsave + XS_AVX, 0, 256);
        } else {
            memset(cpu->xsave + start, 0, size);
        }
        *(uint64_t *)(cpu->xsave + XS_BV) |= component;
    }
    return cpu->xsave + offset;
}

// The tag word in full: SDM vol. 1, section 8.1.7 "x87 FPU Tag Word". The area has one bit a register ("not empty").
static uint16_t full_tags(const uint8_t *fx)
{
    unsigned top = fx[FX_FSW + 1] >> 3 & 7, tags = 0;

    for (unsigned phys = 0; phys < 8; phys++) {
        const uint8_t *st = fx + FX_ST + 16 * ((phys - top) & 7);
        unsigned exponent = st[8] | (st[9] & 0x7f) << 8, tag;
        uint64_t mantissa;

        memcpy(&mantissa, st, 8);
        if (!(fx[FX_FTW] >> phys & 1))
            tag = 3; // empty
        else if (exponent && exponent != 0x7fff && mantissa >> 63)
            tag = 0; // valid
        else
            tag = exponent || mantissa ? 2 : 1; // special, or zero
        tags |= tag << 2 * phys;
    }
    return (uint16_t)tags;
}

static uint32_t fctl_read(const uint8_t *fx, unsigned n)
{
    static const uint8_t at[8] = {FX_FCW, FX_FSW, 0, FX_FIP + 4, FX_FIP, FX_FDP + 4, FX_FDP, FX_FOP};
    uint32_t v = 0;

    if (n == 2)
        return full_tags(fx);
    memcpy(&v, fx + at[n], n == 4 || n == 6 ? 4 : 2);
    return v;
}

static void fctl_write(uint8_t *fx, unsigned n, uint32_t v)
{
    static const uint8_t at[8] = {FX_FCW, FX_FSW, 0, FX_FIP + 4, FX_FIP, FX_FDP + 4, FX_FDP, FX_FOP};

    if (n == 2) {
        fx[FX_FTW] = 0;
        for (unsigned phys = 0; phys < 8; phys++)
            if ((v >> 2 * phys & 3) != 3)
                fx[FX_FTW] |= (uint8_t)(1u << phys);
    } else {
        memcpy(fx + at[n], &v, n == 4 || n == 6 ? 4 : 2);
    }
}

// The bytes of a vector or x87 register, for both directions; NULL: the CPU has none.
static uint8_t *vector_bytes(struct cpu *cpu, const struct gdb_reg *r)
{
    switch (r->kind) {
    case K_ST: return area(cpu, BV_X87, FX_ST + 16u * r->n);
    case K_XMM: return r->n < 16 ? area(cpu, BV_SSE, FX_XMM + 16u * r->n) : area(cpu, BV_HI16_ZMM, 64u * (r->n - 16u));
    case K_YMMH:
        return r->n < 16 ? area(cpu, BV_AVX, XS_AVX + 16u * r->n) : area(cpu, BV_HI16_ZMM, 64u * (r->n - 16u) + 16);
    case K_ZMMH:
        return r->n < 16 ? area(cpu, BV_ZMM_HI256, 32u * r->n) : area(cpu, BV_HI16_ZMM, 64u * (r->n - 16u) + 32);
    case K_OPMASK: return area(cpu, BV_OPMASK, 8u * r->n);
    default: return NULL;
    }
}

// --- reading

static uint64_t table_read(const struct cpu *cpu, unsigned n)
{
    switch (n) {
    case T_GDT_BASE: return cpu->gdtr.base;
    case T_GDT_LIMIT: return cpu->gdtr.limit;
    case T_IDT_BASE: return cpu->idtr.base;
    case T_IDT_LIMIT: return cpu->idtr.limit;
    case T_LDT: return cpu->ldtr.sel;
    case T_TR: return cpu->tr.sel;
    default: return cpu->tr.base;
    }
}

static uint64_t cr_read(struct cpu *cpu, unsigned n)
{
    switch (n) {
    case 0: return cpu->cr0;
    case 2: return cpu->cr2;
    case 3: return cpu->cr3;
    case 4: return cpu->cr4;
    default: return cpu->intc && cpu->intc->get_tpr ? cpu->intc->get_tpr(cpu->intc_opaque) : 0;
    }
}

// GDB knows no segments: for code of 16 bits it gets the linear address, as breakpoints have it.
static uint64_t pc_base(const struct cpu *cpu, enum gdb_arch a)
{
    return a == GDB_I8086 && !(cpu->mode & MODE_CS64) ? cpu->seg[CS].base : 0;
}

static uint64_t value_read(struct cpu *cpu, enum gdb_arch a, const struct gdb_reg *r)
{
    switch ((enum kind)r->kind) {
    case K_GPR: return cpu->gpr[r->n];
    case K_PC: return cpu->rip + pc_base(cpu, a);
    case K_FLAGS: return cpu->rflags;
    case K_SEL: return cpu->seg[r->n].sel;
    case K_FCTL: return fctl_read(area(cpu, BV_X87, 0), r->n);
    case K_MXCSR: return *(uint32_t *)(cpu->xsave + FX_MXCSR);
    case K_BASE: return cpu->seg[r->n].base;
    case K_KGS: return cpu->kernel_gs_base;
    case K_CR: return cr_read(cpu, r->n);
    case K_EFER: return cpu->efer;
    case K_XCR0: return cpu->xcr0;
    case K_DR: return cpu->dr[r->n];
    case K_TABLE: return table_read(cpu, r->n);
    default: return 0;
    }
}

static bool is_vector(const struct gdb_reg *r)
{
    return r->kind == K_ST || r->kind == K_XMM || r->kind == K_YMMH || r->kind == K_ZMMH || r->kind == K_OPMASK;
}

unsigned gdb_reg_read(struct cpu *cpu, enum gdb_arch a, unsigned n, uint8_t *out)
{
    const struct gdb_reg *r = gdb_reg_row(a, n);
    const uint8_t *from;
    uint64_t v;

    if (!r)
        return 0;
    if (is_vector(r)) {
        from = vector_bytes(cpu, r);
        if (from)
            memcpy(out, from, r->bits / 8u);
        else
            memset(out, 0, r->bits / 8u);
    } else {
        v = value_read(cpu, a, r);
        memcpy(out, &v, r->bits / 8u);
    }
    return r->bits / 8u;
}

// --- writing: with the instruction's own function, which raises what it does not like

enum write_op { W_CR, W_EFER, W_SEL, W_CS };

// False, and the state as it was, if it raised.
static bool by_instruction(struct cpu *cpu, enum write_op op, unsigned n, uint64_t v)
{
    const struct {
        uint64_t rax, rcx, rdx, rip, next;
        uint8_t cpl, ss;
    } old = {cpu->gpr[RAX], cpu->gpr[RCX], cpu->gpr[RDX], cpu->rip, cpu->next_rip, cpu->cpl, cpu->shadow_ss};
    volatile bool ok = false;

    if (!setjmp(cpu->unwind)) {
        if (op == W_CR || op == W_EFER)
            cpu->cpl = 0;
        switch (op) {
        case W_CR: cpu_op_mov_to_cr(cpu, n, v); break;
        case W_EFER:
            cpu->gpr[RCX] = 0xc0000080;
            cpu->gpr[RAX] = (uint32_t)v;
            cpu->gpr[RDX] = v >> 32;
            cpu_op_wrmsr(cpu);
            break;
        case W_SEL: cpu_op_load_sreg(cpu, (enum sreg)n, (uint16_t)v); break;
        case W_CS: cpu_op_far_jmp(cpu, (uint16_t)v, cpu->rip, cpu->mode & MODE_CS64 ? 8 : 4); break;
        }
        ok = true;
    }
    cpu->gpr[RAX] = old.rax;
    cpu->gpr[RCX] = old.rcx;
    cpu->gpr[RDX] = old.rdx;
    cpu->rip = old.rip;
    cpu->next_rip = old.next;
    cpu->shadow_ss = old.ss;
    if (op != W_CS)
        cpu->cpl = old.cpl;
    cpu_update_mode(cpu);
    return ok;
}

static bool cr_write(struct cpu *cpu, unsigned n, uint64_t v)
{
    if (n != 8) // its function would take the big lock
        return by_instruction(cpu, W_CR, n, v);
    if (v > 15 || !cpu->intc || !cpu->intc->set_tpr)
        return false;
    cpu->intc->set_tpr(cpu->intc_opaque, v);
    return true;
}

static bool pc_write(struct cpu *cpu, enum gdb_arch a, uint64_t v)
{
    uint64_t rip = v - pc_base(cpu, a);

    if (!(cpu->mode & MODE_CS64))
        rip = (uint32_t)rip;
    if (!(cpu->mode & MODE_CS64) && rip > cpu->seg[CS].limit)
        return false;
    cpu->rip = rip;
    // It goes on elsewhere: what was under way here is over.
    cpu->halted = false;
    cpu->shadow_sti = cpu->shadow_ss = 0;
    cpu_update_mode(cpu);
    return true;
}

int gdb_set_pc(struct cpu *cpu, enum gdb_arch a, uint64_t v) { return pc_write(cpu, a, v) ? 0 : -1; }

static bool flags_write(struct cpu *cpu, uint64_t v)
{
    if ((v ^ cpu->rflags) & FL_VM) // entering and leaving VM86 takes more than a bit
        return false;
    cpu_set_rflags(cpu, v);
    cpu_update_mode(cpu);
    return true;
}

static bool is_canonical(uint64_t v) { return (uint64_t)((int64_t)(v << 16) >> 16) == v; }

static bool base_write(uint64_t *base, uint64_t v)
{
    if (!is_canonical(v))
        return false;
    *base = v;
    return true;
}

static bool value_write(struct cpu *cpu, enum gdb_arch a, const struct gdb_reg *r, uint64_t v)
{
    switch ((enum kind)r->kind) {
    case K_GPR: cpu->gpr[r->n] = v; return true;
    case K_PC: return pc_write(cpu, a, v);
    case K_FLAGS: return flags_write(cpu, v);
    case K_SEL: return v <= 0xffff && by_instruction(cpu, r->n == CS ? W_CS : W_SEL, r->n, v);
    case K_FCTL: fctl_write(area(cpu, BV_X87, 0), r->n, (uint32_t)v); return true;
    case K_MXCSR:
        if (v & ~(uint64_t)cpu->fpu_mxcsr_mask)
            return false;
        *(uint32_t *)area(cpu, BV_SSE, FX_MXCSR) = (uint32_t)v;
        return true;
    case K_BASE: // the others follow their selectors
        return (r->n == FS || r->n == GS) && (cpu->efer & EFER_LMA) && base_write(&cpu->seg[r->n].base, v);
    case K_KGS: return base_write(&cpu->kernel_gs_base, v);
    case K_CR: return cr_write(cpu, r->n, v);
    case K_EFER: return by_instruction(cpu, W_EFER, 0, v);
    default: return false;
    }
}

int gdb_reg_write(struct cpu *cpu, enum gdb_arch a, unsigned n, const uint8_t *in)
{
    const struct gdb_reg *r = gdb_reg_row(a, n);
    uint8_t now[GDB_REG_BYTES], *to;
    unsigned size = gdb_reg_read(cpu, a, n, now);
    uint64_t v = 0;

    if (!size)
        return 0;
    if (!memcmp(now, in, size)) // a G packet writes all of them for the sake of one
        return (int)size;
    if (is_vector(r)) {
        to = vector_bytes(cpu, r);
        if (!to)
            return -1;
        memcpy(to, in, size);
        return (int)size;
    }
    memcpy(&v, in, size);
    return value_write(cpu, a, r, v) ? (int)size : -1;
}
