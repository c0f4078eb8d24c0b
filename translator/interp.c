// SPDX-License-Identifier: MIT
// The interpreter's step: fetch, decode (or find it decoded), execute, and the traps around it.
//
// The order of events follows SDM vol. 3A, section 6.9 "Prioritization of Concurrent Events": traps of the
// previous instruction came at its end, then instruction breakpoints, then fetch and decode faults, then
// the instruction's own.
#include "translator/interp.h"

#include <errno.h>
#include <stdlib.h>

#include "translator/interp_int.h"

int interp_create(struct interp **out, struct cpu *cpu)
{
    struct interp *in = aligned_alloc(64, (sizeof *in + 63) & ~(size_t)63);
    if (!in)
        return -ENOMEM;
    *in = (struct interp){.cpu = cpu, .thunk_fd = -1};
    in->cache = calloc(DECODE_CACHE, sizeof *in->cache);
    int err = in->cache ? decoder_create(&in->decoder) : -ENOMEM;
    if (!err)
        err = thunk_create(in);
    if (err) {
        interp_destroy(in);
        return err;
    }
    decoder_ask_host(in->decoder, interp_host_knows, in);
    *out = in;
    return 0;
}

void interp_destroy(struct interp *in)
{
    if (!in)
        return;
    thunk_destroy(in);
    decoder_destroy(in->decoder);
    free(in->cache);
    free(in);
}

// ---- fetch and decode

// Offset in the code segment to linear address, with the limit or canonical check for len bytes.
static gva fetch_linear(struct cpu *cpu, unsigned len)
{
    if (interp_code64(cpu)) {
        if (!interp_canonical(cpu->rip) || !interp_canonical(cpu->rip + len - 1))
            cpu_raise_error(cpu, EXC_GP, 0);
        return cpu->rip;
    }
    if (cpu->rip + len - 1 > cpu->seg[CS].limit)
        cpu_raise_error(cpu, EXC_GP, 0);
    return (uint32_t)(cpu->seg[CS].base + cpu->rip);
}

static bool same_bytes(const uint8_t *a, const uint8_t *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

static enum decode_mode decode_mode(const struct cpu *cpu)
{
    return cpu->mode & MODE_CS64 ? DECODE_64 : cpu->mode & MODE_CS32 ? DECODE_32 : DECODE_16;
}

// Decodes from memory: first what is on this page, and more only if the instruction goes on.
static void decode_fresh(struct interp *in, struct decoded *d, gva lin)
{
    struct cpu *cpu = in->cpu;
    struct mmu_fault f;
    uint8_t bytes[INSN_MAX];
    bool user = cpu->mode & MODE_USER;
    unsigned room = PAGE_SIZE - (unsigned)(lin & (PAGE_SIZE - 1)), want = room < INSN_MAX ? room : INSN_MAX;
    unsigned got = mmu_fetch(&cpu->mmu, lin, user, bytes, want, &f);
    if (got < want)
        cpu_raise_pf(cpu, &f);
    d->valid = false;
    d->thunk = 0;
    cpu_fpu_save(cpu); // Capstone is general C
    if (decode(in->decoder, bytes, got, decode_mode(cpu), cpu->rip, &d->insn)) {
        gva next = lin + got;
        if (!interp_code64(cpu))
            next = (uint32_t)next;
        unsigned more = mmu_fetch(&cpu->mmu, next, user, bytes + got, INSN_MAX - got, &f);
        cpu_fpu_save(cpu);
        if (decode(in->decoder, bytes, got + more, decode_mode(cpu), cpu->rip, &d->insn))
            cpu_raise_pf(cpu, &f); // cut short by the fault
    }
    d->lin = lin;
    d->mode = (uint8_t)decode_mode(cpu);
    d->valid = true;
}

static struct decoded *fetch(struct interp *in)
{
    struct cpu *cpu = in->cpu;
    struct mmu_fault f;
    uint8_t bytes[INSN_MAX];
    gva lin = fetch_linear(cpu, 1);
    struct decoded *d = &in->cache[(lin ^ lin >> 12) & (DECODE_CACHE - 1)];
    bool hit = false;
    if (d->valid && d->lin == lin && d->mode == decode_mode(cpu)) {
        unsigned got = mmu_fetch(&cpu->mmu, lin, cpu->mode & MODE_USER, bytes, d->insn.len, &f);
        hit = got == d->insn.len && same_bytes(bytes, d->insn.bytes, got);
    }
    if (!hit)
        decode_fresh(in, d, lin);
    fetch_linear(cpu, d->insn.len);
    return d;
}

// ---- debug exceptions: SDM vol. 3B, chapter 18 "Debug, Branch Profile, TSC, ..."

static void check_code_breakpoints(struct interp *in)
{
    struct cpu *cpu = in->cpu;
    uint64_t dr7 = cpu->dr[7], hits = 0;
    in->watch = dr7 & 0xff;
    if (LIKELY(!in->watch) || cpu->rflags & FL_RF)
        return;
    gva lin = interp_code64(cpu) ? cpu->rip : (uint32_t)(cpu->seg[CS].base + cpu->rip);
    for (unsigned n = 0; n < 4; n++)
        if (dr7 >> (2 * n) & 3 && !(dr7 >> (16 + 4 * n) & 3) && cpu->dr[n] == lin)
            hits |= BIT(n);
    if (hits) {
        cpu->rflags |= FL_RF; // a fault: the frame's RF lets IRET go on past it (section 17.3.1.1)
        cpu_raise_db(cpu, hits);
    }
}

enum { DR6_BS = 1 << 14 };

static _Noreturn void raise_held(struct interp *in)
{
    uint64_t bits = in->db_held;
    in->db_held = 0;
    in->cpu->halted = false;
    cpu_raise_db(in->cpu, bits);
}

// ---- the step

static void execute(struct interp *in)
{
    switch (in->cur->insn.class) {
    case IC_PLAIN: interp_plain(in); return;
    case IC_JMP:
    case IC_JCC:
    case IC_CALL:
    case IC_RET:
    case IC_JMP_IND:
    case IC_CALL_IND:
    case IC_LOOP: interp_flow(in); return;
    case IC_PUSH:
    case IC_POP:
    case IC_LEAVE:
    case IC_ENTER:
    case IC_PUSHA:
    case IC_POPA: interp_stack(in); return;
    case IC_STRING: interp_string(in); return;
    case IC_SYSTEM:
    case IC_XSTATE: interp_system(in); return;
    }
    if (in->cur->insn.too_long) // SDM vol. 3A, section 6.15, "Interrupt 13-General Protection Exception (#GP)"
        cpu_raise_error(in->cpu, EXC_GP, 0);
    cpu_raise(in->cpu, EXC_UD);
}

void interp_step(struct interp *in)
{
    struct cpu *cpu = in->cpu;
    if (UNLIKELY(in->db_held) && !cpu->shadow_ss) // the instruction after MOV SS faulted: now its handler's first
        raise_held(in);
    check_code_breakpoints(in);
    in->cur = fetch(in);
    bool trap = cpu->rflags & FL_TF, sti = cpu->shadow_sti, ss = cpu->shadow_ss;
    uint64_t start = cpu->rip;
    in->db_hits = 0;
    in->no_trap = in->keep_rf = false;
    in->next_rip = start + in->cur->insn.len;
    if (!interp_code64(cpu))
        in->next_rip &= cpu->mode & MODE_CS32 ? 0xffffffff : 0xffff;
    cpu->next_rip = in->next_rip;
    execute(in);
    cpu->rip = in->next_rip;
    if (!in->keep_rf)
        cpu->rflags &= ~(uint64_t)FL_RF;
    // A shadow covers the one instruction after the one that started it; a second MOV SS does not extend it.
    if (UNLIKELY(sti || ss)) {
        cpu->shadow_sti = sti ? 0 : cpu->shadow_sti;
        cpu->shadow_ss = ss ? 0 : cpu->shadow_ss;
        cpu_update_mode(cpu);
    }
    // Data breakpoints wait for the end of the shadow of MOV SS; a single-step trap there is lost.
    in->db_held |= in->db_hits;
    uint64_t step = trap && !in->no_trap ? DR6_BS : 0;
    if (UNLIKELY(step | in->db_held) && !cpu->shadow_ss) {
        in->db_held |= step;
        raise_held(in);
    }
}
