// SPDX-License-Identifier: MIT
// Instructions with a rule of their own: one table line each, naming the function that does it. What has no
// line here is done by the interpreter, one instruction at a time.
#include "base/stats.h"
#include "cpu/cpu.h"
#include "cpu/fpu.h"
#include "cpu/interrupt.h"
#include "translator/gen.h"
#include "translator/interp.h"

// After a helper that did not transfer control: 0 goes on in the block.
static uint64_t go_on(struct cpu *cpu, const struct tb_site *site, uint32_t mode)
{
    if (cpu->mode != mode || site->tb->dropped || cpu_attention_due(cpu) || cpu->halted) {
        cpu->rip = site->next_rip;
        return 1;
    }
    if (!cpu->fpu_live)
        cpu_fpu_load(cpu);
    bt_load_scratch(cpu);
    bt_kick_resuming(bt_of(cpu), site->tb);
    return 0;
}

uint64_t bt_go_on(struct cpu *cpu, const struct tb_site *site) { return go_on(cpu, site, site->tb->mode); }

uint64_t bt_helper_interp(struct cpu *cpu, const struct tb_site *site)
{
    uint32_t mode = cpu->mode;
    stat_inc(STAT_exit_interp_one);
    interp_step(bt_of(cpu)->interp);
    if (cpu->rip != site->next_rip)
        return 1;
    return go_on(cpu, site, mode);
}

void gen_helper(struct gen *g, unsigned i, uint64_t (*fn)(struct cpu *, const struct tb_site *), uint64_t a, uint64_t b)
{
    struct tb_site *s = gen_site(g, i, true);
    if (!s)
        return;
    s->fn = fn;
    s->arg[0] = a;
    s->arg[1] = b;
    emit_lea_rip(&g->e, R15, (uint8_t *)s);
    emit_jmp(&g->e, g->bt->glue.helper);
    s->resume = gen_here(g);
    g->helper = true;
}

// --- helpers that transfer control

static uint64_t h_syscall(struct cpu *cpu, const struct tb_site *site)
{
    cpu_op_syscall(cpu);
    return bt_transfer(cpu);
}
static uint64_t h_sysret(struct cpu *cpu, const struct tb_site *site)
{
    cpu_op_sysret(cpu, site->arg[0]);
    return bt_transfer(cpu);
}
static uint64_t h_iret(struct cpu *cpu, const struct tb_site *site)
{
    cpu_op_iret(cpu, site->arg[0]);
    return bt_transfer(cpu);
}

static uint64_t h_sysenter(struct cpu *cpu, const struct tb_site *site)
{
    cpu_op_sysenter(cpu);
    return bt_transfer(cpu);
}
static uint64_t h_sysexit(struct cpu *cpu, const struct tb_site *site)
{
    cpu_op_sysexit(cpu, site->arg[0]);
    return bt_transfer(cpu);
}
static uint64_t h_int(struct cpu *cpu, const struct tb_site *site)
{
    cpu_op_int(cpu, site->arg[0]);
    return bt_transfer(cpu);
}

// --- helpers that do not

static uint64_t h_cli(struct cpu *cpu, const struct tb_site *site)
{
    cpu_op_cli(cpu);
    return go_on(cpu, site, cpu->mode);
}

// STI holds interrupts off for one more instruction (SDM vol. 2B, "STI"). The block goes on with that
// instruction in any case, so with nothing pending now the shadow need not be modelled; with something
// pending the dispatcher single-steps it.
uint64_t bt_helper_sti(struct cpu *cpu, const struct tb_site *site)
{
    cpu_op_sti(cpu);
    if (cpu_requests(cpu) == 0) {
        cpu->shadow_sti = 0;
        cpu_update_mode(cpu);
        return go_on(cpu, site, site->tb->mode);
    }
    cpu->rip = site->next_rip;
    return 1;
}
static uint64_t h_pushf(struct cpu *cpu, const struct tb_site *site)
{
    cpu_push(cpu, cpu_op_pushf(cpu, site->arg[0]), site->arg[0]);
    return go_on(cpu, site, site->tb->mode);
}
static uint64_t h_popf(struct cpu *cpu, const struct tb_site *site)
{
    uint64_t rsp = cpu->gpr[RSP];
    uint64_t v = cpu_load(cpu, rsp, site->arg[0]);
    cpu_op_popf(cpu, v, site->arg[0]);
    cpu->gpr[RSP] = rsp + site->arg[0];
    return go_on(cpu, site, site->tb->mode);
}
static uint64_t h_stac(struct cpu *cpu, const struct tb_site *site)
{
    cpu_op_stac(cpu, site->arg[0]);
    return go_on(cpu, site, site->tb->mode);
}
static uint64_t h_rdtsc(struct cpu *cpu, const struct tb_site *site)
{
    cpu_op_rdtsc(cpu);
    return go_on(cpu, site, site->tb->mode);
}
static uint64_t h_cpuid(struct cpu *cpu, const struct tb_site *site)
{
    cpu_op_cpuid(cpu);
    return go_on(cpu, site, site->tb->mode);
}
static uint64_t h_swapgs(struct cpu *cpu, const struct tb_site *site)
{
    cpu_op_swapgs(cpu);
    return go_on(cpu, site, site->tb->mode);
}
static uint64_t h_rdmsr(struct cpu *cpu, const struct tb_site *site)
{
    cpu_op_rdmsr(cpu);
    return go_on(cpu, site, site->tb->mode);
}
static uint64_t h_wrmsr(struct cpu *cpu, const struct tb_site *site)
{
    cpu_op_wrmsr(cpu);
    return go_on(cpu, site, site->tb->mode);
}
static uint64_t h_mov_from_cr(struct cpu *cpu, const struct tb_site *site)
{
    cpu->gpr[site->arg[1]] = cpu_op_mov_from_cr(cpu, site->arg[0]);
    return go_on(cpu, site, site->tb->mode);
}
static uint64_t h_mov_to_cr(struct cpu *cpu, const struct tb_site *site)
{
    cpu_op_mov_to_cr(cpu, site->arg[0], cpu->gpr[site->arg[1]]);
    return go_on(cpu, site, site->tb->mode);
}

// --- the table: 64-bit operand sizes as the instruction has them there
struct system_rule {
    uint8_t map, opcode;
    int16_t modrm; // exact byte or -1
    uint64_t (*fn)(struct cpu *, const struct tb_site *);
    uint64_t arg;
    bool opsize; // pass the operand size as the argument
};

static const struct system_rule rules[] = {
    {MAP_0F, 0x05, -1, h_syscall, 0, false},  // SYSCALL
    {MAP_0F, 0x07, -1, h_sysret, 0, true},    // SYSRET
    {MAP_0F, 0x34, -1, h_sysenter, 0, false}, // SYSENTER
    {MAP_1, 0xcf, -1, h_iret, 0, true},       // IRET
    {MAP_1, 0xfa, -1, h_cli, 0, false},       // CLI
    {MAP_1, 0x9c, -1, h_pushf, 0, true},      // PUSHF
    {MAP_0F, 0x31, -1, h_rdtsc, 0, false},    // RDTSC
    {MAP_0F, 0xa2, -1, h_cpuid, 0, false},    // CPUID
    {MAP_0F, 0x01, 0xf8, h_swapgs, 0, false}, // SWAPGS
    {MAP_0F, 0x01, 0xca, h_stac, 0, false},   // CLAC
    {MAP_0F, 0x01, 0xcb, h_stac, 1, false},   // STAC
    {MAP_0F, 0x32, -1, h_rdmsr, 0, false},    // RDMSR
    {MAP_0F, 0x30, -1, h_wrmsr, 0, false},    // WRMSR
};

bool gen_system(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    if ((in->class != IC_SYSTEM && in->class != IC_XSTATE) || in->lock || in->enc != ENC_LEGACY)
        return false;
    if (gen_operand(g, i))
        return true;
    if (in->class != IC_SYSTEM)
        return false;
    if (gen_inline(g, i))
        return true;
    if (in->map == MAP_1 && in->opcode == 0x9d && g->code64 && in->opsize == 8) { // POPF
        gen_helper(g, i, h_popf, 8, 0);
        return true;
    }
    if (in->map == MAP_0F && (in->opcode == 0x20 || in->opcode == 0x22) && g->code64) { // MOV CR
        gen_helper(g, i, in->opcode == 0x20 ? h_mov_from_cr : h_mov_to_cr, in->reg, in->rm);
        return true;
    }
    if (in->map == MAP_1 && in->opcode == 0xcd) { // INT n
        gen_helper(g, i, h_int, (uint8_t)in->imm, 0);
        return true;
    }
    if (in->map == MAP_0F && in->opcode == 0x35) { // SYSEXIT
        gen_helper(g, i, h_sysexit, in->rex & 8 ? 8 : 4, 0);
        return true;
    }
    if (gen_seg_system(g, i))
        return true;
    for (unsigned k = 0; k < ARRAY_SIZE(rules); k++) {
        const struct system_rule *r = &rules[k];
        if (r->map == in->map && r->opcode == in->opcode && (r->modrm < 0 || r->modrm == in->modrm)) {
            gen_helper(g, i, r->fn, r->opsize ? in->opsize : r->arg, 0);
            return true;
        }
    }
    return false;
}
