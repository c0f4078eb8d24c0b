// SPDX-License-Identifier: MIT
// A vCPU's life: power-on state, the mode word, and the register dump.
#include "cpu/debug_points.h"
#include "cpu/fpu.h"
#include "cpu/internal.h"
#include "cpu/msr.h"

#include <stdio.h>

_Thread_local struct cpu vcpu_self __attribute__((tls_model("local-exec"), aligned(64)));

void cpu_init(struct cpu *cpu, struct address_space *mem, struct address_space *ports, const struct cpu_model *model,
              unsigned index)
{
    cpu->mem = mem;
    cpu->ports = ports;
    cpu->model = model;
    cpu->index = index;
    mmu_init(&cpu->mmu, mem, model->maxphyaddr);
}

// SDM vol. 3A, table 10-1 "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT"
void cpu_reset(struct cpu *cpu)
{
    for (unsigned i = 0; i < 16; i++)
        cpu->gpr[i] = 0;
    uint32_t out[4];
    cpu_model_query(cpu, 1, 0, out);
    cpu->gpr[RDX] = out[0]; // family, model, stepping
    cpu->rip = cpu->next_rip = 0xfff0;
    cpu->rflags = 2;
    for (unsigned i = 0; i < SREG_COUNT; i++)
        cpu->seg[i] = (struct segment){.limit = 0xffff, .attr = ATTR_DATA_REAL};
    cpu->seg[CS] = (struct segment){.base = 0xffff0000, .limit = 0xffff, .attr = ATTR_CODE_REAL, .sel = 0xf000};
    cpu->ldtr = (struct segment){.limit = 0xffff, .attr = SEG_P | SYS_LDT << 8};
    cpu->tr = (struct segment){.limit = 0xffff, .attr = SEG_P | SYS_TSS32_BUSY << 8};
    cpu->gdtr = cpu->idtr = (struct table_reg){.limit = 0xffff};
    cpu->cpl = 0;
    cpu->halted = cpu->nmi_blocked = cpu->in_smm = false;
    cpu->smbase = 0x30000;
    cpu->shadow_sti = cpu->shadow_ss = 0;
    cpu->delivering = -1;
    cpu->cr0 = CR0_CD | CR0_NW | CR0_ET;
    cpu->cr2 = cpu->cr3 = cpu->cr4 = cpu->efer = 0;
    cpu->xcr0 = 1;
    for (unsigned i = 0; i < 8; i++)
        cpu->dr[i] = 0;
    cpu->dr[6] = 0xffff0ff0;
    cpu->dr[7] = 0x400;
    cpu_msr_reset(cpu);
    cpu->tsc_offset = -__builtin_ia32_rdtsc();
    mmu_set_control(&cpu->mmu, cpu->cr0, cpu->cr4, cpu->efer);
    mmu_load_cr3(&cpu->mmu, 0, false);
    cpu_request_clear(cpu, CPU_REQ_NMI | CPU_REQ_SMI | CPU_REQ_INIT | CPU_REQ_SIPI);
    cpu_fpu_reset(cpu);
    cpu_update_mode(cpu);
}

// --- the mode word

static bool is_flat(const struct segment *s, uint32_t must)
{
    return !s->base && s->limit == 0xffffffff && (s->attr & (must | TYPE_DOWN)) == must;
}

// Fills in s's bounds and which of MODE_SEG64K and MODE_SEG_DOWN it speaks for.
static void set_bounds(struct segment_bounds *b, const struct segment *s, bool typed, uint32_t window_end)
{
    if (LIKELY(b->limit == s->limit && b->attr == s->attr && b->base == s->base && b->typed == typed &&
               b->mode & BIT(31)))
        return;
    b->limit = s->limit;
    b->attr = s->attr;
    b->base = (uint32_t)s->base;
    b->typed = typed;
    bool code = s->attr & TYPE_CODE, down = !code && (s->attr & TYPE_DOWN), present = !typed || (s->attr & SEG_P);
    uint64_t end = down ? (s->attr & SEG_DB ? BIT(32) : BIT(16)) : s->limit + 1ull;
    b->start = down ? s->limit + 1ull : 0;
    b->end_r = present && (!typed || !code || (s->attr & TYPE_R)) ? end : 0;
    b->end_w = present && (!typed || (!code && (s->attr & TYPE_W))) ? end : 0;
    for (int i = 0; i < 3; i++) {
        b->max_r[i] = (int64_t)b->end_r - (1 << i);
        b->max_w[i] = (int64_t)b->end_w - (1 << i);
        int64_t low = (int64_t)window_end - (int64_t)b->base - (1 << i);
        b->max_low[i] = down ? -1 : low < b->max_r[i] ? low : b->max_r[i];
    }
    b->mode = BIT(31) | (b->end_w == 0x10000 && !down ? MODE_SEG64K : 0) | (down ? MODE_SEG_DOWN : 0);
}

static uint32_t bounds_mode(const struct cpu *cpu)
{
    uint32_t all = MODE_SEG64K, any = 0; // BIT(31) of a mode only says that there are bounds
    for (unsigned i = 0; i < SREG_COUNT; i++) {
        if (i != CS) {
            all &= cpu->bounds[i].mode;
            any |= cpu->bounds[i].mode & MODE_SEG_DOWN;
        }
    }
    return all | any;
}

static uint32_t segment_mode(const struct cpu *cpu)
{
    uint32_t m = bounds_mode(cpu);
    if (cpu->seg[CS].attr & SEG_DB)
        m |= MODE_CS32;
    if (cpu->seg[SS].attr & SEG_DB)
        m |= MODE_SS32;
    if (!(cpu->cr0 & CR0_PE) || in_vm86(cpu))
        m |= MODE_REAL;
    // CS may be conforming: that bit means "expand down" in data segments only.
    const struct segment *cs = &cpu->seg[CS];
    const uint32_t data = SEG_P | SEG_S | TYPE_W;
    if (!cs->base && cs->limit == 0xffffffff && (~cs->attr & (SEG_P | SEG_S | TYPE_CODE | TYPE_R)) == 0 &&
        is_flat(&cpu->seg[DS], data) && is_flat(&cpu->seg[ES], data) && is_flat(&cpu->seg[SS], data))
        m |= MODE_FLAT;
    return m;
}

void cpu_update_mode(struct cpu *cpu)
{
    uint32_t m;
    bool user = cpu->cpl == 3;
    if ((cpu->efer & EFER_LMA) && (cpu->seg[CS].attr & SEG_L))
        m = MODE_CS64 | MODE_FLAT;
    else {
        for (unsigned i = 0; i < SREG_COUNT; i++)
            set_bounds(&cpu->bounds[i], &cpu->seg[i], in_protected(cpu), cpu->window_end);
        m = segment_mode(cpu) | (cpu->efer & EFER_LMA ? MODE_COMPAT : 0);
        if (!(cpu->cr0 & CR0_PG) && !cpu->mmu.watch)
            m |= MODE_UNPAGED;
    }
    if (user) {
        m |= MODE_USER;
        if (cpu->cr4 & CR4_TSD)
            m |= MODE_TSD_USER;
    } else if (cpu->cpl) {
        m |= cpu->cr4 & CR4_TSD ? MODE_RING12 | MODE_TSD_USER : MODE_RING12;
    }
    if (cpu->cr0 & (CR0_EM | CR0_TS))
        m |= MODE_FPU_OFF;
    if (!(cpu->cr4 & CR4_OSFXSR))
        m |= MODE_SSE_OFF;
    if (!(cpu->cr4 & CR4_OSXSAVE) || (cpu->xcr0 & 6) != 6)
        m |= MODE_AVX_OFF | MODE_AVX512_OFF;
    else if ((cpu->xcr0 & 0xe6) != 0xe6)
        m |= MODE_AVX512_OFF;
    if ((cpu->cr4 & CR4_UMIP) && cpu->cpl)
        m |= MODE_UMIP;
    if ((cpu->rflags & FL_TF) || (cpu->dr[7] & 0xff) || (cpu->shadow_sti | cpu->shadow_ss))
        m |= MODE_STEP;
    if (UNLIKELY(cpu->debug_active & (DEBUG_ACTIVE_STEP | DEBUG_ACTIVE_HIT)))
        m |= MODE_STEP;
    // Alignment checks are on: rare enough to leave to the interpreter, which makes them.
    if (UNLIKELY(user && (cpu->rflags & FL_AC) && (cpu->cr0 & CR0_AM)))
        m |= MODE_STEP;
    cpu->mode = m;
    // EFLAGS.AC means something to the MMU at CPL 0 to 2 only; leaving it out keeps views of user code apart less.
    bool ac = !user && (cpu->rflags & FL_AC);
    if (cpu->mmu.user != user || cpu->mmu.ac != ac)
        mmu_set_privilege(&cpu->mmu, user, ac);
}

void cpu_set_window(struct cpu *cpu, uint32_t end)
{
    if (cpu->window_end == end)
        return;
    cpu->window_end = end;
    for (unsigned i = 0; i < SREG_COUNT; i++)
        cpu->bounds[i].mode = 0; // to be made anew
    cpu_update_mode(cpu);
}

void cpu_segment_loaded(struct cpu *cpu, enum sreg s)
{
    const uint32_t bits = MODE_CS32 | MODE_SS32 | MODE_REAL | MODE_FLAT | MODE_SEG64K | MODE_SEG_DOWN;
    set_bounds(&cpu->bounds[s], &cpu->seg[s], in_protected(cpu), cpu->window_end);
    cpu->mode = (cpu->mode & ~bits) | segment_mode(cpu);
}

void cpu_set_rflags(struct cpu *cpu, uint64_t v)
{
    uint64_t new = (v & 0x3f7fd5) | 2, changed = new ^ cpu->rflags;
    cpu->rflags = new;
    if (changed & (FL_TF | FL_AC | FL_VM))
        cpu_update_mode(cpu);
}

// --- dump

static void dump_segment(const char *name, const struct segment *s, void (*print)(void *, const char *), void *opaque)
{
    char line[128];
    snprintf(line, sizeof line, "%-4s=%04x %016llx %08x %08x DPL=%u %s%s", name, s->sel, (unsigned long long)s->base,
             s->limit, s->attr, attr_dpl(s->attr),
             !(s->attr & SEG_P)    ? "unusable"
             : !(s->attr & SEG_S)  ? "system"
             : s->attr & TYPE_CODE ? "CS"
                                   : "DS",
             s->attr & SEG_L    ? "64"
             : s->attr & SEG_DB ? "32"
                                : "16");
    print(opaque, line);
}

void cpu_dump(const struct cpu *cpu, void (*print)(void *opaque, const char *line), void *opaque)
{
    static const char *const gpr[16] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                        "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15"};
    static const uint8_t order[16] = {RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP, R8, R9, R10, R11, R12, R13, R14, R15};
    static const char *const seg[SREG_COUNT] = {"ES", "CS", "SS", "DS", "FS", "GS"};
    typedef unsigned long long ull;
    char line[160];
    for (unsigned i = 0; i < 16; i += 4) {
        int n = 0;
        for (unsigned j = i; j < i + 4; j++)
            n += snprintf(line + n, sizeof line - n, "%s%s=%016llx", j == i ? "" : " ", gpr[order[j]],
                          (ull)cpu->gpr[order[j]]);
        print(opaque, line);
    }
    uint64_t f = cpu->rflags;
    snprintf(line, sizeof line, "RIP=%016llx RFL=%08x [%c%c%c%c%c%c%c] CPL=%u HLT=%u MODE=%04x", (ull)cpu->rip,
             (unsigned)f, f & FL_DF ? 'D' : '-', f & FL_OF ? 'O' : '-', f & FL_SF ? 'S' : '-', f & FL_ZF ? 'Z' : '-',
             f & FL_AF ? 'A' : '-', f & FL_PF ? 'P' : '-', f & FL_CF ? 'C' : '-', cpu->cpl, cpu->halted, cpu->mode);
    print(opaque, line);
    for (unsigned i = 0; i < SREG_COUNT; i++)
        dump_segment(seg[i], &cpu->seg[i], print, opaque);
    dump_segment("LDT", &cpu->ldtr, print, opaque);
    dump_segment("TR", &cpu->tr, print, opaque);
    snprintf(line, sizeof line, "GDT=     %016llx %08x", (ull)cpu->gdtr.base, cpu->gdtr.limit);
    print(opaque, line);
    snprintf(line, sizeof line, "IDT=     %016llx %08x", (ull)cpu->idtr.base, cpu->idtr.limit);
    print(opaque, line);
    snprintf(line, sizeof line, "CR0=%08x CR2=%016llx CR3=%016llx CR4=%08x", (unsigned)cpu->cr0, (ull)cpu->cr2,
             (ull)cpu->cr3, (unsigned)cpu->cr4);
    print(opaque, line);
    snprintf(line, sizeof line, "DR0=%016llx DR1=%016llx DR2=%016llx DR3=%016llx", (ull)cpu->dr[0], (ull)cpu->dr[1],
             (ull)cpu->dr[2], (ull)cpu->dr[3]);
    print(opaque, line);
    snprintf(line, sizeof line, "DR6=%016llx DR7=%016llx", (ull)cpu->dr[6], (ull)cpu->dr[7]);
    print(opaque, line);
    snprintf(line, sizeof line, "EFER=%016llx XCR0=%016llx", (ull)cpu->efer, (ull)cpu->xcr0);
    print(opaque, line);
}
