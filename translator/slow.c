// SPDX-License-Identifier: MIT
// The slow path of a memory access in translated code: the page is not resident, is left by the access, holds
// translations, or is a device.
//
// glue.c stores the guest's registers and calls bt_mem_slow(). It returns the addend that makes the inline
// code's [address + addend] right, and the instruction goes on as if nothing had been; or 0, and the
// dispatcher has the interpreter do the one instruction, which gets everything right at leisure.
#include "base/biglock.h"
#include "base/stats.h"
#include "cpu/cpu.h"
#include "cpu/fpu.h"
#include "cpu/interrupt.h"
#include "shadowpt/shadow.h"
#include "translator/tb.h"

static bool canonical(gva va) { return (int64_t)(va << 16) >> 16 == (int64_t)va; }

// A store to a page with translations: drops the blocks it touches, then lets the store happen. Only this
// one: the page gets no entry, so that the next store comes here again.
static uint64_t store_to_code_page(struct bt *bt, const struct tb_site *site, gva ea)
{
    gpa pa;
    hva host = shadow_code_store(bt->shadow, ea, &pa);
    if (!host)
        return 0;
    switch (tb_code_store(bt, pa, site->size)) {
    case CODE_STORE_NO_CODE: return 0;
    case CODE_STORE_BESIDE: break;
    case CODE_STORE_HIT:
        tb_invalidate_range(bt, pa, site->size);
        if (site->tb->dropped) // this very block: the rest of it may be stale
            return 0;
    }
    stat_inc(STAT_smc_write);
    return (uint64_t)host - ea;
}

// A span's range: its first access is made resident by itself, as the guest asked for it. If that does for the whole
// span, too, the block goes on; else its exact twin does.
static uint64_t span_slow(struct bt *bt, const struct tb_site *site, gva ea)
{
    struct cpu *cpu = bt->cpu;
    struct mmu_fault f;
    gva lead = ea + site->lead_at;
    if ((ea & ~PAGE_MASK) + site->size > PAGE_SIZE || ((cpu->mode & MODE_CS64) && !canonical(ea)))
        return 0;
    switch (shadow_resolve(bt->shadow, lead, site->lead_size, site->lead_write, &f)) {
    case 0: {
        enum mmu_access access = site->write ? MMU_WRITE : MMU_READ;
        hva host = shadow_mmu_ops.lookup(bt->shadow, ea, access, cpu->mmu.user, cpu->mmu.ac);
        return host ? (uint64_t)host - ea : 0;
    }
    default: // a fault is for the twin: it knows the order of things
        return 0;
    }
}

// The device's side of one access; the instruction itself then loads from, or stores to, the bounce buffer.
static uint64_t device_access(struct bt *bt, const struct tb_site *site, gva ea, gpa pa)
{
    static __thread uint64_t bounce;
    struct cpu *cpu = bt->cpu;
    uint64_t v = cpu->gpr[site->device_reg & 15];
    if (site->device == SITE_STORE_HIGH)
        v >>= 8;
    else if (site->device == SITE_STORE_IMM)
        v = (uint64_t)(int32_t)site->device_imm;
    stat_inc(STAT_mmu_mmio);
    big_lock();
    if (site->write)
        as_store(cpu->mmu.mem, pa, site->size == 8 ? v : v & (BIT(8 * site->size) - 1), site->size);
    else
        bounce = as_load(cpu->mmu.mem, pa, site->size);
    big_unlock();
    return (uint64_t)&bounce - ea;
}

static uint64_t mem_slow(struct cpu *cpu, const struct tb_site *site)
{
    struct bt *bt = bt_of(cpu);
    gva ea = cpu->engine[ENG_EA];
    struct mmu_fault f;
    uint64_t addend = 0;
    stat_inc(STAT_exit_slow_mem);
    if (site->span) {
        addend = span_slow(bt, site, ea);
        goto done;
    }
    bool inside = (ea & ~PAGE_MASK) + site->size <= PAGE_SIZE;
    gpa pa;
    if (site->device && inside && !cpu->mmu.watch && shadow_device(bt->shadow, ea, site->write, &pa)) {
        addend = device_access(bt, site, ea, pa);
        if (UNLIKELY(site->write && cpu_attention_due(cpu))) { // the store was all there is to the instruction
            bt->stored = true;
            return 0;
        }
        goto done;
    }
    if (site->write && inside) {
        addend = store_to_code_page(bt, site, ea);
        if (site->tb->dropped)
            return 0;
        if (addend)
            goto done;
    }
    if ((cpu->mode & MODE_CS64) && (!canonical(ea) || !canonical(ea + site->size - 1)))
        return 0;
    switch (shadow_resolve(bt->shadow, ea, site->size, site->write, &f)) {
    case 0: {
        enum mmu_access access = site->write ? MMU_WRITE : MMU_READ;
        hva host = shadow_mmu_ops.lookup(bt->shadow, ea, access, cpu->mmu.user, cpu->mmu.ac);
        addend = host ? (uint64_t)host - ea : 0;
        break;
    }
    case 1:
        if (site->write && inside)
            addend = store_to_code_page(bt, site, ea);
        break;
    default:
        // A misaligned vector operand may mean #GP, which comes before #PF: the interpreter knows.
        if (site->masked || (site->size >= 16 && ea % site->size))
            return 0;
        cpu->rip = site->rip;
        tb_unswap(cpu, site->swap);
        cpu_raise_pf(cpu, &f);
    }
done:
    if (addend && !cpu->fpu_live)
        cpu_fpu_load(cpu);
    bt_kick_resuming(bt, site->tb);
    return addend;
}

uint64_t bt_mem_slow(struct cpu *cpu, const struct tb_site *site)
{
    uint64_t addend = mem_slow(cpu, site);
    if (!addend)
        tb_unswap(cpu, site->swap);
    return addend;
}
