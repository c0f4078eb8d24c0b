// SPDX-License-Identifier: MIT
// The binary-translating accelerator: the dispatcher loop around translated code.
//
// Each turn of the loop: look at requests and interrupts; find the block for rip (translate it if there is
// none); link the branch that led here to it; run until translated code comes back, and act on the reason.
// What is rare and awkward (single-stepping, data breakpoints, interrupt shadows) is
// left to the interpreter, one instruction at a time, until they are over.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/stats.h"
#include "base/vectors.h"
#include "cpu/cpu.h"
#include "cpu/fpu.h"
#include "cpu/interrupt.h"
#include "shadowpt/shadow.h"
#include "translator/debug_bt.h"
#include "translator/decode_cache.h"
#include "translator/gen.h"
#include "translator/interp.h"
#include "translator/tb.h"

static bool page_has_code(void *opaque, gpa page) { return tb_page_has_code(opaque, page); }

static void view_changed(void *opaque, void *base)
{
    // The host ABI leaves GS to the program: translated code finds its view there.
    __asm__ volatile("wrgsbase %0" ::"r"(base));
}

static void space_changed(void *opaque)
{
    struct bt *bt = opaque;
    if (!bt->shadow)
        return; // called from shadow_create()
    bt->cpu->engine[ENG_VIEW_K] = (uint64_t)shadow_view_of(bt->shadow, false, false);
    bt->cpu->engine[ENG_VIEW_KA] = (uint64_t)shadow_view_of(bt->shadow, false, true);
}

void bt_load_epochs(struct bt *bt)
{
    struct cpu *cpu = bt->cpu;
    if (bt->kicked)
        return; // bt_kick_restore() will
    ibl_select(bt);
    cpu->engine[ENG_IBL_USER] = (uint64_t)bt->ibl_user->entry;
    cpu->engine[ENG_IBL_SUP] = (uint64_t)bt->ibl_sup.entry;
    cpu->engine[ENG_EPOCH_USER] = cpu->mmu.epoch_user;
    cpu->engine[ENG_EPOCH_SUP] = cpu->mmu.epoch_supervisor;
}

static void epoch_changed(void *opaque)
{
    struct bt *bt = opaque;
    if (bt->cpu->mmu.epoch_user == 0 && bt->cpu->mmu.epoch_supervisor == 0) { // numbers start again
        code_cache_flush(bt);
        ibl_clear_all(bt);
    }
    bt_load_epochs(bt);
}

static void code_written(void *opaque, gpa addr, unsigned len)
{
    struct bt *bt = opaque;
    stat_inc(STAT_smc_write);
    tb_invalidate_range(bt, addr, len);
}

static void save_vectors(void *opaque) { cpu_fpu_save(opaque); }

// --- writes and map changes from other threads: queued, drained by the vCPU thread

static void queue_range(struct bt *bt, gpa addr, uint64_t len)
{
    pthread_mutex_lock(&bt->pending_lock);
    if (bt->npending < ARRAY_SIZE(bt->pending)) {
        bt->pending[bt->npending].addr = addr;
        bt->pending[bt->npending++].len = len;
    } else {
        bt->pending_all = true;
    }
    pthread_mutex_unlock(&bt->pending_lock);
    cpu_request(bt->cpu, CPU_REQ_FLUSH);
}

// DMA. Most DMA goes to pages that never held code; the page table of translations belongs to the vCPU
// thread, so that the question is put off to it.
static void ram_written(void *opaque, gpa addr, uint64_t len)
{
    struct bt *bt = opaque;
    for (gpa page = addr & PAGE_MASK; page < addr + len; page += PAGE_SIZE)
        if (tb_page_maybe_code(bt, page)) {
            queue_range(bt, addr, len);
            return;
        }
}

// A BAR, a VGA's window or a PAM segment moved: only translations of those addresses are dropped.
static void map_changed(void *opaque, gpa addr, uint64_t len)
{
    struct bt *bt = opaque;
    pthread_mutex_lock(&bt->pending_lock);
    bt->map_changed = true;
    bt->pending_all |= addr < WINDOW_END; // blocks may hold host addresses of what was there
    pthread_mutex_unlock(&bt->pending_lock);
    queue_range(bt, addr, len);
}

// Translations know whether there is a window, not where.
static void find_window(struct bt *bt)
{
    uint64_t run = 0;
    hva at = as_ram_ptr(bt->cpu->mem, 0, true, &run), was = bt->window;
    bt->window = at && run >= WINDOW_END && !(bt->disable & ACCEL_NO_WINDOW) ? at : NULL;
    if (was && !bt->window)
        code_cache_flush(bt);
    cpu_set_window(bt->cpu, bt->window ? WINDOW_END : 0);
}

static void drain_pending(struct bt *bt)
{
    cpu_fpu_save(bt->cpu);
    cpu_request_clear(bt->cpu, CPU_REQ_FLUSH);
    pthread_mutex_lock(&bt->pending_lock);
    if (bt->map_changed)
        shadow_drop_range(bt->shadow, 0, UINT64_MAX);
    if (bt->pending_all) {
        find_window(bt);
        code_cache_flush(bt);
    } else {
        for (unsigned i = 0; i < bt->npending; i++)
            tb_invalidate_range(bt, bt->pending[i].addr, bt->pending[i].len);
    }
    bt->npending = 0;
    bt->pending_all = bt->map_changed = false;
    pthread_mutex_unlock(&bt->pending_lock);
}

// --- the dispatcher

static bool interpret_only(const struct bt *bt, uint32_t mode)
{
    if (mode & MODE_STEP)
        return true;
    if (mode & MODE_CS64 || LIKELY(!(bt->disable & ACCEL_NO_LEGACY)))
        return false;
    if (mode & MODE_REAL)
        return true;
    return (mode & (MODE_CS32 | MODE_FLAT)) != (MODE_CS32 | MODE_FLAT);
}

// Guest-physical address of code at va, remembered for a while. The epoch says whether it still holds.
static gpa fetch_translate(struct bt *bt, gva va)
{
    struct cpu *cpu = bt->cpu;
    bool user = cpu->mode & MODE_USER;
    uint32_t epoch = user ? cpu->mmu.epoch_user : cpu->mmu.epoch_supervisor;
    struct fetch_entry *e = &bt->fetch[(va >> PAGE_SHIFT & (FETCH_ENTRIES / 2 - 1)) * 2 + user];
    if (e->page == (va & PAGE_MASK) && e->epoch == epoch)
        return e->pa | (va & ~PAGE_MASK);
    struct mmu_fault f;
    gpa pa;
    if (!mmu_fetch_translate(&cpu->mmu, va, user, &pa, &f)) {
        cpu->next_rip = cpu->rip;
        cpu_raise_pf(cpu, &f);
    }
    // The translation may have changed the epoch (first fetch from a page): read it again.
    *e = (struct fetch_entry){
        .page = va & PAGE_MASK, .pa = pa & PAGE_MASK, .epoch = user ? cpu->mmu.epoch_user : cpu->mmu.epoch_supervisor};
    return pa;
}

static bool second_page_moved(struct bt *bt, const struct tb *tb)
{
    if (tb->pa2 == NO_PA)
        return false;
    return fetch_translate(bt, code_linear(tb->mode, (tb->va & PAGE_MASK) + PAGE_SIZE)) != tb->pa2;
}

// The block for cpu->rip; NULL: the interpreter must do this instruction. May unwind with a page fault.
static struct tb *find_block(struct bt *bt)
{
    struct cpu *cpu = bt->cpu;
    gva va = code_addr_now(cpu);
    if (cpu->mode & MODE_CS64 ? (int64_t)(va << 16) >> 16 != (int64_t)va : cpu->rip > cpu->seg[CS].limit)
        return NULL;
    if (UNLIKELY(debug_break_at(cpu, cpu->rip))) // being stepped over
        return NULL;
    gva linear = code_linear(cpu->mode, va);
    gpa pa = fetch_translate(bt, linear);
    uint64_t mode = code_mode(cpu);
    if (bt->exact_next && bt->exact_rip == cpu->rip)
        mode |= TB_EXACT;
    struct tb *tb = bt->last_link ? bt->last_link->to : NULL; // an epoch changed: mostly it still leads there
    if (!tb || !tb_is(tb, va, pa, mode))
        tb = tb_find(bt, va, pa, mode);
    if (tb && second_page_moved(bt, tb)) {
        tb_drop(bt, tb);
        tb = NULL;
    }
    if (tb)
        return tb;
    cpu_fpu_save(cpu); // Capstone and libc are ahead
    struct mmu_fault f;
    bool faulted;
    tb = translate_block(bt, va, pa, mode, &f, &faulted);
    if (faulted) {
        cpu->next_rip = cpu->rip;
        cpu_raise_pf(cpu, &f);
    }
    return tb;
}

// Links the exit taken last to the block it led to.
static void chain_last(struct bt *bt, struct tb *tb)
{
    struct tb_link *l = bt->last_link;
    bt->last_link = NULL;
    bool exact = tb->mode & TB_EXACT;
    if (!l || l->target != tb->va || l->from->dropped || ((l->from->mode ^ tb->mode) & ~TB_EXACT) ||
        l->exact != exact || (bt->disable & ACCEL_NO_CHAIN))
        return;
    if (!l->cross) {
        if (tb->pa2 == NO_PA && !l->to)
            tb_chain(bt, l, tb);
        return;
    }
    if (l->to != tb) {
        tb_unchain(bt, l);
        tb_chain(bt, l, tb);
    } else {
        stat_inc(STAT_tb_link_verified);
    }
    const struct mmu *m = &bt->cpu->mmu;
    l->neg_epoch = -(tb->mode & MODE_USER ? m->epoch_user : m->epoch_supervisor);
}

static void enter_block(struct bt *bt, struct tb *tb)
{
    struct cpu *cpu = bt->cpu;
    if (log_on(LOG_exec)) {
        cpu_fpu_save(cpu);
        log_printf(LOG_exec, "%016llx", (unsigned long long)tb->va);
    }
    bt->current = tb;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (cpu_requests(cpu) & (CPU_REQ_STOP | CPU_REQ_RESET | CPU_REQ_FLUSH) || cpu_interrupt_pending(cpu))
        return;
    cpu_fpu_load(cpu);
    cpu->engine[ENG_SITE] = cpu->engine[ENG_RESUME] = 0;
    bt_load_scratch(cpu);
    bt->glue.enter(tb->code);
    cpu->engine[ENG_SITE] = cpu->engine[ENG_RESUME] = 0; // its block may be evicted before the next kick looks
    stat_inc(STAT_exit_total);
}

// A near branch to a non-canonical address, or beyond the code segment's limit, faults at the branch (SDM vol. 2A, "JMP", "CALL"; 2B, "RET"), which
// translated code has carried out already: RSP goes back, and #GP is raised there.
static void refuse_bad_target(struct cpu *cpu, const struct tb *tb)
{
    gva target = cpu->engine[ENG_TARGET];
    bool code64 = cpu->mode & MODE_CS64;
    if (!tb ||
        (code64 ? (int64_t)(target << 16) >> 16 == (int64_t)target : code_rip(cpu->mode, target) <= cpu->seg[CS].limit))
        return;
    cpu->rip = code_rip(tb->mode, tb->va + tb->ibl_guest);
    uint64_t rsp = cpu->gpr[RSP] - (uint64_t)(int64_t)tb->ibl_rsp;
    if (code64)
        cpu->gpr[RSP] = rsp;
    else
        cpu->gpr[RSP] = cpu->mode & MODE_SS32 ? (uint32_t)rsp : (cpu->gpr[RSP] & ~0xffffull) | (uint16_t)rsp;
    cpu_raise_error(cpu, EXC_GP, 0);
}

static void act_on_exit(struct bt *bt)
{
    struct cpu *cpu = bt->cpu;
    uint64_t arg = cpu->engine[ENG_EXIT];
    switch ((enum exit_kind)cpu->engine[ENG_EXIT_KIND]) {
    case EXIT_LINK:
    case EXIT_NEXT:
        bt->last_link = (struct tb_link *)arg;
        cpu->rip = code_rip(cpu->mode, bt->last_link->target);
        bt->exact_next = bt->last_link->exact;
        bt->exact_rip = cpu->rip;
        stat_inc(STAT_exit_direct_miss);
        break;
    case EXIT_INDIRECT:
        refuse_bad_target(cpu, (const struct tb *)arg);
        cpu->rip = code_rip(cpu->mode, cpu->engine[ENG_TARGET]);
        bt->indirect_missed = true;
        stat_inc(STAT_exit_indirect_miss);
        break;
    case EXIT_SLOW_MEM:
        cpu->rip = ((struct tb_site *)arg)->rip;
        if (bt->stored) {
            bt->stored = false;
            cpu->rip = ((struct tb_site *)arg)->next_rip;
        } else if (((struct tb_site *)arg)->span) {
            bt->exact_next = true;
            bt->exact_rip = cpu->rip;
        } else {
            interp_step(bt->interp);
        }
        break;
    case EXIT_FAULT: interp_step(bt->interp); break;
    case EXIT_DROPPED: cpu->rip = code_rip(cpu->mode, ((struct tb *)arg)->va); break;
    case EXIT_HELPER: break;
    default: break;
    }
}

static void run_block(struct bt *bt)
{
    struct cpu *cpu = bt->cpu;
    bool indirect = bt->indirect_missed;
    bt->indirect_missed = false;
    struct tb *tb = find_block(bt);
    bt->exact_next = false;
    if (!tb) {
        bt->last_link = NULL;
        interp_step(bt->interp);
        return;
    }
    chain_last(bt, tb);
    ibl_set_mode(bt, tb->mode & ~TB_EXACT);
    if (indirect && tb->pa2 == NO_PA && !(tb->mode & TB_EXACT) && !(bt->disable & ACCEL_NO_IBL))
        ibl_insert(bt, tb->va, tb->code, tb->mode & MODE_USER);
    cpu->engine[ENG_EXIT_KIND] = EXIT_COUNT;
    enter_block(bt, tb);
    act_on_exit(bt);
}

// Requests and interrupts. Returns false when run() must return.
static bool attend(struct bt *bt)
{
    struct cpu *cpu = bt->cpu;
    if (bt->kicked) {
        stat_inc(STAT_exit_kick);
        bt_kick_restore(bt);
        if (!cpu_requests(cpu))
            bt_kick_late_timers(bt);
    }
    uint32_t req = cpu_requests(cpu);
    if (req == 0 && !cpu->halted)
        return true;
    if (req & (CPU_REQ_STOP | CPU_REQ_RESET))
        return false;
    if (req & CPU_REQ_FLUSH)
        drain_pending(bt);
    if (cpu_interrupt_pending(cpu)) {
        bt->last_link = NULL;
        bt->indirect_missed = false;
        stat_inc(STAT_exit_interrupt);
        cpu_take_interrupt(cpu);
    } else if (cpu->halted) {
        stat_inc(STAT_exit_hlt);
        cpu_fpu_save(cpu);
        cpu_halt_wait(cpu);
    }
    return true;
}

static void bt_run(struct cpu *cpu, uint64_t max_insns)
{
    struct bt *bt = bt_of(cpu);
    volatile bool raised = false;
    find_window(bt);
    cpu->engine[ENG_IN_CODE] = 1;
    bt_load_epochs(bt);
    space_changed(bt);
    bt_debug_sync(bt);
    view_changed(bt, shadow_view_base(bt->shadow));
    if (setjmp(cpu->unwind)) {
        raised = true;
        cpu->engine[ENG_SITE] = cpu->engine[ENG_RESUME] = 0;
    }
    for (;;) {
        if (raised) {
            raised = false;
            bt->last_link = NULL;
            bt->indirect_missed = false;
            stat_inc(STAT_exit_exception);
            cpu_deliver_exception(cpu);
        }
        if (debug_done(cpu) || !attend(bt))
            break;
        if (cpu->halted)
            continue;
        if (debug_break(cpu))
            break;
        if (interpret_only(bt, cpu->mode))
            interp_step(bt->interp);
        else
            run_block(bt);
    }
    cpu->engine[ENG_IN_CODE] = 0;
    cpu_fpu_save(cpu);
    debug_report(cpu);
}

// --- life

static int bt_init(struct cpu *cpu, const struct accel_config *cfg)
{
    struct bt *bt = aligned_alloc(64, (sizeof(struct bt) + 63) & ~(size_t)63);
    if (!bt)
        return -ENOMEM;
    memset(bt, 0, sizeof(*bt));
    bt->cpu = cpu;
    bt->disable = cfg ? cfg->disable : 0;
    cpu->mmu.no_recheck = bt->disable & ACCEL_NO_RECHECK;
    bt->fast_loop = __builtin_cpu_is("amd");
    bt->tls_off = (int32_t)((char *)cpu - (char *)__builtin_thread_pointer());
    pthread_mutex_init(&bt->pending_lock, NULL);
    static struct ibl_entry kick_entry_storage; // constant once set: the same for every vCPU
    bt->kick_entry = &kick_entry_storage;

    struct shadow_config sc = {.mmu = &cpu->mmu,
                               .page_has_code = page_has_code,
                               .view_changed = view_changed,
                               .space_changed = space_changed,
                               .opaque = bt,
                               .max_bytes = 128u << 20};
    int err;
    if ((err = decoder_create(&bt->decoder)) ||
        (err = (bt->decode_cache = decode_cache_create(bt->decoder)) ? 0 : -ENOMEM) ||
        (err = interp_create(&bt->interp, cpu)) || (err = shadow_create(&bt->shadow, &sc)) ||
        (err = code_cache_init(bt, cfg ? cfg->tb_bytes : 0)) || (err = tb_map_init(bt)) || (err = ibl_init(bt)))
        goto fail;
    struct emit e = {.p = bt->cache.glue_rw, .end = bt->cache.glue_rw + GLUE_SIZE, .exec = cache_exec(bt)};
    if (glue_make(bt, &e)) {
        err = -ENOSPC;
        goto fail;
    }
    bt->kick_entry->neg_va = 1;
    bt->kick_entry->code = bt->glue.ibl_kicked;
    decoder_ask_host(bt->decoder, interp_host_knows, bt->interp);
    cpu->accel = bt;
    mmu_set_shadow(&cpu->mmu, &shadow_mmu_ops, bt->shadow);
    vectors_hook = (struct vectors_hook){save_vectors, cpu};
    cpu->mmu.code_written = code_written;
    cpu->mmu.code_written_opaque = bt;
    cpu->mmu.epoch_changed = epoch_changed;
    cpu->mmu.epoch_opaque = bt;
    as_add_listener(cpu->mem,
                    &(struct as_listener){.ram_written = ram_written, .map_changed = map_changed, .opaque = bt});
    if ((err = host_fault_init()) || (err = host_fault_thread_init()) || (err = bt_kick_init(bt)) ||
        (err = host_fault_add_region(bt->cache.rx + GLUE_SIZE, bt->cache.rx + GLUE_SIZE + bt->cache.size,
                                     bt_on_host_fault, bt)))
        goto fail;
    cpu->kick = bt_kick; // only now: it needs bt->thread and the handler
    return 0;
fail:
    bt_kick_end(bt);
    free(bt);
    cpu->accel = NULL;
    return err;
}

static void bt_destroy(struct cpu *cpu)
{
    struct bt *bt = bt_of(cpu);
    if (!bt)
        return;
    host_fault_remove_region(bt->cache.rx + GLUE_SIZE);
    bt_kick_end(bt);
    cpu->kick = NULL;
    cpu->accel = NULL;
    interp_destroy(bt->interp);
    decode_cache_destroy(bt->decode_cache);
    decoder_destroy(bt->decoder);
    tb_map_destroy(bt);
    ibl_destroy(bt);
    code_cache_destroy(bt);
    shadow_destroy(bt->shadow);
    free(bt);
}

const struct accel_ops accel_bt = {
    .name = "bt",
    .help = "same-ISA binary translation (default)",
    .init = bt_init,
    .run = bt_run,
    .kick = bt_kick,
    .destroy = bt_destroy,
};
