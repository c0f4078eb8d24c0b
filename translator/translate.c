// SPDX-License-Identifier: MIT
// The translator: guest bytes at an address -> one translated block.
//
// A block is a run of instructions inside one guest page, from its start to the first unconditional transfer,
// state change or limit; conditional branches leave it (or go back into it) on the taken side and it goes
// on behind them. (An instruction that straddles two pages is a block of its own.) It is made in three
// passes: decode forward, compute backward which arithmetic flags are live before each instruction, emit
// forward. Most instructions are copied; only memory operands, control flow and the sensitive
// instructions are rewritten:
//
//      guest                       host
//      add  rax, rbx               add  rax, rbx
//      mov  [rdi], rax             (address to r14, addend to r15, checks)  mov [r14+r15], rax
//      jnz  loop                   jnz  link
//      cpuid                       lea  r15, [site]; jmp helper
#include <string.h>

#include "base/log.h"
#include "base/stats.h"
#include "cpu/cpu.h"
#include "translator/decode_cache.h"
#include "translator/gen.h"
#include "translator/interp.h"

enum { LOOKAHEAD = 10, EXACT_INSNS = 16 };

struct work { // scratch of one translation: large, so not on the stack
    struct insn insn[TB_MAX_INSNS];
    gva rip[TB_MAX_INSNS];
    uint8_t *host[TB_MAX_INSNS + 1];
    uint16_t live[TB_MAX_INSNS + 1];
    uint16_t taken_live[TB_MAX_INSNS]; // flags live at the taken target
    struct tb_link links[GEN_MAX_LINKS];
    struct tb_map_entry map[2 * TB_MAX_INSNS]; // twice: runs of stack instructions have a second form
    struct gen gen;
    uint8_t *code_end;
};

void *gen_data(struct gen *g, size_t size)
{
    size = (size + 7) & ~(size_t)7;
    if (g->d + size > g->d_end) {
        g->e.overflow = true;
        return NULL;
    }
    void *p = g->d;
    g->d += size;
    memset(p, 0, size);
    return p;
}

struct tb_site *gen_site(struct gen *g, unsigned i, bool helper)
{
    struct tb_site *s = gen_data(g, helper ? sizeof(*s) : offsetof(struct tb_site, fn));
    if (!s)
        return NULL;
    s->rip = code_rip(g->tb->mode, g->rip[i]);
    s->next_rip = code_rip(g->tb->mode, gen_next(g, i));
    s->tb = g->tb;
    s->swap = gen_swapped(g, i) ? g->tb->swap : 0;
    if (g->nsites == ARRAY_SIZE(g->sites))
        g->log.fixed = true;
    else
        g->sites[g->nsites++] = (uint32_t)((uint8_t *)s - (uint8_t *)g->tb);
    return s;
}

void gen_map(struct gen *g, unsigned i)
{
    struct tb *tb = g->tb;
    tb->map[tb->nmap++] = (struct tb_map_entry){.host = gen_here(g) - tb->code,
                                                .guest = g->rip[i] - tb->va,
                                                .len = g->insn[i].len,
                                                .high = g->high_dirty,
                                                .renamed = gen_swapped(g, i)};
}

static enum decode_mode decode_mode_of(uint32_t mode)
{
    return mode & MODE_CS64 ? DECODE_64 : mode & MODE_CS32 ? DECODE_32 : DECODE_16;
}

static bool is_branch(const struct insn *in) { return in->class >= IC_JMP && in->class <= IC_LOOP; }

static bool ends_block(const struct insn *in)
{
    switch (in->class) {
    case IC_JCC:
    case IC_LOOP: return false;
    case IC_JMP:
    case IC_CALL:
    case IC_RET:
    case IC_JMP_IND:
    case IC_CALL_IND:
    case IC_INVALID: return true;
    default: return in->ends_block;
    }
}

// An instruction that the code segment's limit cuts short, or whose IP would wrap inside it: the interpreter's.
static bool beyond_limit(uint64_t mode, gva at, unsigned len)
{
    if (mode & MODE_CS64)
        return false;
    uint32_t limit = code_limit(mode);
    if (!(mode & MODE_CS32) && limit > 0xffff)
        limit = 0xffff;
    return code_rip(mode, at) + len - 1 > limit;
}

// Decodes up to a block's worth. Returns the number of instructions; 0 if the first one leaves the page.
static unsigned decode_run(struct bt *bt, struct work *w, gva va, gpa pa, const uint8_t *page, uint64_t mode)
{
    unsigned n = 0;
    unsigned off = va & ~PAGE_MASK;
    const uint64_t *starts = tb_page_starts(bt, pa);
    unsigned most = mode & TB_EXACT ? EXACT_INSNS : TB_MAX_INSNS;
    while (n < most && off < PAGE_SIZE) {
        struct insn *in = &w->insn[n];
        w->rip[n] = (va & PAGE_MASK) + off;
        if (decode_cached(bt->decode_cache, page + off, PAGE_SIZE - off, decode_mode_of(mode), w->rip[n], in))
            break;
        if (beyond_limit(mode, w->rip[n], in->len))
            break;
        off += in->len;
        n++;
        if (debug_break_at(bt->cpu, code_rip(mode, (va & PAGE_MASK) + off)))
            break;
        if ((in->map == MAP_1 && in->opcode == 0xfb && in->enc == ENC_LEGACY) || gen_real_loads_ss(mode, in))
            continue; // STI, MOV SS: the shadow is to end in the same block
        if (gen_real_goes_on(mode, in))
            continue;
        // Code that has a block already is linked to rather than translated again.
        if (ends_block(in))
            break;
        bool may_start = starts && off < PAGE_SIZE && starts[off / 64] >> (off % 64) & 1;
        if (may_start && tb_find(bt, (va & PAGE_MASK) + off, (pa & PAGE_MASK) + off, mode))
            break;
    }
    return n;
}

// What is known of a block before code is made for it.
static void begin(struct bt *bt, struct work *w, struct tb *tb, unsigned n)
{
    struct gen *g = &w->gen;
    memset(g, 0, offsetof(struct gen, slow));
    g->log.nrel = g->log.naddr = 0;
    g->log.fixed = false;
    g->bt = bt;
    g->tb = tb;
    g->d = (uint8_t *)(tb + 1);
    g->d_end = bt->cache.d + TB_MAX_DATA;
    g->insn = w->insn;
    g->rip = w->rip;
    g->host = w->host;
    g->live = w->live;
    g->taken_live = w->taken_live;
    g->links = w->links;
    g->n = n;
    g->code64 = tb->mode & MODE_CS64;
    g->flat32 = gen_flat32(tb->mode);
    g->user = tb->mode & MODE_USER;
    g->scratch = !(tb->mode & (MODE_CS64 | MODE_COMPAT));
}

// A small loop, instructions first to last, several times in a row, so that spans reach over several rounds. The JCC
// between two rounds is the one that leaves: the opposite condition, to the instruction behind the loop. What followed
// the loop follows its last round, as far as there is room. Returns the number of instructions.
static unsigned unroll(struct work *w, unsigned n, unsigned first, unsigned last, unsigned rounds)
{
    unsigned body = last - first + 1, added = body * (rounds - 1), tail = n - last - 1;
    if (last + 1 + added + tail > TB_MAX_INSNS)
        tail = TB_MAX_INSNS - (last + 1 + added);
    memmove(&w->insn[last + 1 + added], &w->insn[last + 1], tail * sizeof(w->insn[0]));
    memmove(&w->rip[last + 1 + added], &w->rip[last + 1], tail * sizeof(w->rip[0]));
    for (unsigned k = 0; k < added; k++) {
        w->insn[last + 1 + k] = w->insn[first + k % body];
        w->rip[last + 1 + k] = w->rip[first + k % body];
    }
    for (unsigned round = 0; round + 1 < rounds; round++) {
        struct insn *jcc = &w->insn[last + round * body];
        jcc->opcode ^= 1;
        jcc->imm = 0;
    }
    stat_inc(STAT_tb_unrolled);
    return last + 1 + added + tail;
}

// Unrolls the first loop of a block of *n instructions, if that is worth it.
static bool unroll_loop(struct bt *bt, struct work *w, unsigned *n, struct tb *tb)
{
    struct gen *g = &w->gen;
    begin(bt, w, tb, *n);
    if (debug_break_at(bt->cpu, code_rip(tb->mode, w->rip[0]))) // decode_run() stopped before all others
        return false;
    for (unsigned k = 0; k < *n; k++) {
        const struct insn *in = &w->insn[k];
        if (in->class != IC_JCC || in->imm >= 0)
            continue;
        int first = gen_index_of(w->rip, k + 1, code_target(tb->mode, w->rip[k], in->len, in->imm, in->opsize));
        unsigned rounds = first >= 0 ? gen_span_unroll(g, (unsigned)first, k) : 1;
        if (rounds < 2 || k + 1 + (k + 1 - (unsigned)first) * (rounds - 1) > TB_MAX_INSNS)
            continue;
        *n = unroll(w, *n, (unsigned)first, k, rounds);
        return true;
    }
    return false;
}

// --- liveness of the arithmetic flags

// Instructions with a rule of their own may fault, push or show the flags: they read all.
static uint16_t flags_read(const struct insn *in, uint64_t mode)
{
    if (gen_seg_keeps_flags(mode, in) || gen_string_keeps_flags(mode, in))
        return in->flags_read;
    if (in->class == IC_SYSTEM || in->class == IC_INVALID || in->class == IC_STRING || in->class == IC_XSTATE)
        return FL_ARITH;
    return in->flags_read;
}

static uint16_t live_before(const struct insn *in, uint16_t after, uint64_t mode)
{
    return (after & ~in->flags_written) | flags_read(in, mode);
}

// Flags live at a branch target in the same page: looks at a few instructions there. The block then depends
// on these bytes, too, and says so in tb->deps.
static uint16_t lookahead(struct bt *bt, struct tb *tb, const uint8_t *page, gva target)
{
    if ((target & PAGE_MASK) != (tb->va & PAGE_MASK) || tb->ndeps == TB_MAX_DEPS)
        return FL_ARITH;
    uint16_t live = 0, written = 0;
    unsigned start = target & ~PAGE_MASK, off = start;
    for (unsigned k = 0; k < LOOKAHEAD && off < PAGE_SIZE; k++) {
        if (debug_break_at(bt->cpu, code_rip(tb->mode, (target & PAGE_MASK) + off)))
            break; // the debugger wants to see the flags
        const struct insn *in = decode_look(bt->decode_cache, page + off, PAGE_SIZE - off, decode_mode_of(tb->mode),
                                            (target & PAGE_MASK) + off);
        if (!in)
            break;
        live |= flags_read(in, tb->mode) & ~written;
        written |= in->flags_written;
        off += in->len;
        if (written == FL_ARITH || is_branch(in) || in->ends_block)
            break;
    }
    live |= FL_ARITH & ~written;
    if (live != FL_ARITH) {
        tb->deps[tb->ndeps].lo = start;
        tb->deps[tb->ndeps++].hi = off;
    }
    return live;
}

static void compute_liveness(struct bt *bt, struct work *w, unsigned n, struct tb *tb, const uint8_t *page)
{
    int inside[TB_MAX_INSNS];
    for (unsigned i = 0; i < n; i++) {
        const struct insn *in = &w->insn[i];
        inside[i] = -1;
        w->taken_live[i] = FL_ARITH;
        if (in->class == IC_JMP || in->class == IC_JCC || in->class == IC_CALL || in->class == IC_LOOP) {
            gva t = code_target(tb->mode, w->rip[i], in->len, in->imm, in->opsize);
            inside[i] = gen_index_of(w->rip, n, t);
            if (inside[i] < 0)
                w->taken_live[i] = lookahead(bt, tb, page, t);
        }
    }
    uint16_t end = FL_ARITH;
    gva next = code_next(tb->mode, w->rip[n - 1], w->insn[n - 1].len);
    if (!ends_block(&w->insn[n - 1]))
        end = lookahead(bt, tb, page, next);
    if (bt->disable & ACCEL_NO_FLAGS) {
        for (unsigned i = 0; i < n; i++)
            w->live[i] = w->taken_live[i] = FL_ARITH;
        return;
    }
    memset(w->live, 0, sizeof(w->live));
    for (unsigned pass = 0, changed = 1; changed && pass < 8; pass++) {
        changed = 0;
        uint16_t after = end;
        for (unsigned i = n; i-- > 0;) {
            const struct insn *in = &w->insn[i];
            uint16_t taken = inside[i] >= 0 ? w->live[inside[i]] : w->taken_live[i];
            if (in->class == IC_JMP || in->class == IC_CALL)
                after = taken;
            else if (in->class == IC_JCC || in->class == IC_LOOP)
                after |= taken;
            else if (in->class == IC_RET || in->class == IC_JMP_IND || in->class == IC_CALL_IND)
                after = FL_ARITH;
            uint16_t before = live_before(in, after, tb->mode);
            if (before != w->live[i]) {
                w->live[i] = before;
                changed = 1;
            }
            after = before;
        }
        if (pass == 7) // did not settle: be safe
            for (unsigned i = 0; i < n; i++)
                w->live[i] = FL_ARITH;
    }
}

// --- emission

// Instructions whose unit is switched off need the interpreter's #NM/#UD checks.
static bool unit_off(const struct insn *in, uint32_t mode)
{
    if (in->enc != ENC_LEGACY && (mode & MODE_REAL))
        return true;
    if ((in->uses_x87 || in->uses_mmx || in->uses_sse || in->uses_avx || in->uses_avx512) && (mode & MODE_FPU_OFF))
        return true;
    if (in->uses_sse && (mode & MODE_SSE_OFF))
        return true;
    return (in->uses_avx && (mode & MODE_AVX_OFF)) || (in->uses_avx512 && (mode & MODE_AVX512_OFF));
}

// FNSTENV and FNSAVE show the address of the last x87 instruction: the host's, in the code cache, if copied. The
// interpreter has the guest's or none.
static bool stores_x87_pointers(const struct insn *in)
{
    return in->uses_x87 && in->has_mem && (in->opcode == 0xd9 || in->opcode == 0xdd) && (in->modrm >> 3 & 7) == 6;
}

bool gen_needs_unit(const struct gen *g, unsigned i)
{
    return unit_off(&g->insn[i], g->tb->mode) || stores_x87_pointers(&g->insn[i]);
}

static bool gen_one(struct gen *g, unsigned i)
{
    const struct insn *in = &g->insn[i];
    if (gen_needs_unit(g, i))
        return false;
    switch (in->class) {
    case IC_PLAIN: return gen_plain(g, i);
    case IC_PUSH: return gen_push(g, i);
    case IC_POP: return gen_pop(g, i);
    case IC_LEAVE: return gen_leave(g, i);
    case IC_STRING: return gen_string(g, i);
    case IC_INVALID: return false;
    default:
        if (is_branch(in))
            return gen_branch(g, i);
        if (gen_seg_inline(g, i))
            return true;
        if (g->e.overflow)
            return false;
        g->rcx_saved = false; // inline rules have uses of their own for the state block's scratch fields
        bool done = gen_system(g, i);
        g->rcx_saved = false;
        return done;
    }
}

static void gen_insn(struct gen *g, unsigned i)
{
    uint8_t *start = g->e.p;
    unsigned nrel = g->log.nrel, naddr = g->log.naddr;
    uint8_t loaded = g->high_loaded, dirty = g->high_dirty;
    unsigned nslow = g->nslow, nlinks = g->nlinks;
    g->seg = 0;
    bool deferred = g->deferred;
    uint32_t ibl_off = g->tb->ibl_off;
    bool rcx_saved = g->rcx_saved;
    g->helper = false;
    if (!gen_one(g, i) && !g->e.overflow) {
        if (gen_swapped(g, i)) { // the interpreter knows the guest's names
            g->e.overflow = true;
            return;
        }
        g->e.p = start;
        g->log.nrel = nrel;
        g->log.naddr = naddr;
        g->nslow = nslow;
        g->seg = 0;
        g->nlinks = nlinks;
        g->tb->ibl_off = ibl_off;
        g->rcx_saved = rcx_saved;
        g->high_loaded = loaded;
        g->high_dirty = dirty;
        gen_high_forget(g);
        if (deferred)
            gen_remat(g, &(struct gen_remat){.saved = true});
        g->deferred = g->want_defer = false;
        gen_helper(g, i, bt_helper_interp, 0, 0);
    }
    // Dropping a block writes a 5-byte jump over its entry, which must not reach a second branch target.
    while (i == 0 && g->e.p < start + 5 && !g->e.overflow)
        emit_8(&g->e, 0x90);
}

static void log_code(struct bt *bt, const struct tb *tb, const uint8_t *code, uint32_t size)
{
    char text[128];
    for (const uint8_t *p = code; p < code + size;) {
        struct insn in;
        size_t left = code + size - p;
        for (unsigned i = 0; i < tb->nmap; i++)
            if (tb->code + tb->map[i].host == p)
                log_printf(LOG_out_asm, " guest %llx:", (unsigned long long)tb->va + tb->map[i].guest);
        if (decode(bt->decoder, p, left > INSN_MAX ? INSN_MAX : left, DECODE_64, (uintptr_t)p, &in) || in.len == 0)
            break;
        disassemble(bt->decoder, p, in.len, DECODE_64, (uintptr_t)p, text, sizeof(text));
        log_printf(LOG_out_asm, "  %p: %s", (const void *)p, text);
        p += in.len;
    }
}

static void log_block(struct bt *bt, const struct work *w, const struct tb *tb)
{
    char text[128];
    if (log_on(LOG_in_asm)) {
        log_printf(LOG_in_asm, "---- %016llx (phys %llx) mode %llx", (unsigned long long)tb->va,
                   (unsigned long long)tb->pa, (unsigned long long)tb->mode);
        for (unsigned i = 0; i < w->gen.n; i++) {
            disassemble(bt->decoder, w->insn[i].bytes, w->insn[i].len, decode_mode_of(tb->mode), w->rip[i], text,
                        sizeof(text));
            log_printf(LOG_in_asm, "  %llx: %s", (unsigned long long)w->rip[i], text);
        }
    }
    if (log_on(LOG_out_asm)) {
        log_printf(LOG_out_asm, "---- host code for %016llx, %u bytes", (unsigned long long)tb->va, tb->code_size);
        log_code(bt, tb, tb->code, tb->code_size);
        log_printf(LOG_out_asm, " out of line, %u bytes:", tb->cold_size);
        log_code(bt, tb, tb->cold, tb->cold_size);
    }
}

// Writes down what tb_clone.c needs to move the block.
static void note_relocations(struct gen *g, const uint8_t *code, const uint8_t *code_end, const uint8_t *cold)
{
    struct tb *tb = g->tb;
    const struct emit_log *l = &g->log;
    tb->reloc = NULL;
    if (l->fixed || !g->code64 || !g->user || tb->pa2 != NO_PA)
        return;
    uint32_t *r = gen_data(g, (l->nrel + l->naddr + g->nsites) * sizeof(*r));
    if (!r)
        return;
    tb->reloc = r;
    tb->nrel = (uint16_t)l->nrel;
    tb->naddr = (uint16_t)l->naddr;
    tb->nsites = (uint16_t)g->nsites;
    for (unsigned i = 0; i < l->nrel + l->naddr; i++) {
        const uint8_t *p = i < l->nrel ? l->rel[i] : l->addr[i - l->nrel];
        *r++ = p >= code && p < code_end ? (uint32_t)(p - code) : (uint32_t)(p - cold) | TB_RELOC_COLD;
    }
    memcpy(r, g->sites, g->nsites * sizeof(*r));
}

// What a block may be made with; attempts that fail are made again with less.
struct means {
    bool swap, spans;
};

static bool emit_insns(struct bt *bt, struct work *w, struct tb *tb, unsigned n, const struct means *means)
{
    struct gen *g = &w->gen;
    struct code_cache *c = &bt->cache;
    begin(bt, w, tb, n);
    g->e = (struct emit){.p = c->p, .end = c->p + TB_MAX_CODE, .exec = cache_exec(bt), .log = &g->log};
    tb->code = gen_here(g);
    tb->map = w->map; // until it is known how much there is
    tb->nmap = 0;
    tb->swap = 0;
    gen_note_entries(g);
    if (means->swap)
        gen_swap_plan(g);
    if (means->spans)
        gen_span_plan(g);
    for (unsigned i = 0; i < n;) {
        if (gen_swap_edge(g, i))
            gen_high_forget(g);
        if (g->swap_end == i && i)
            gen_swap(g);
        bool in_span = gen_in_span(g, i);
        if (in_span || !gen_keeps_high(g, i) || gen_entered_at(g, i))
            gen_high_forget(g);
        gen_map(g, i);
        w->host[i] = gen_here(g);
        if (g->swap_end && g->swap_first == i)
            gen_swap(g);
        unsigned run = in_span ? 0 : gen_stack_run(g, i);
        if (run) {
            g->helper = false;
        } else if (in_span) {
            g->helper = false;
            uint8_t *start = g->e.p;
            if (!gen_span_insn(g, i))
                return false;
            while (i == 0 && g->e.p < start + 5 && !g->e.overflow)
                emit_8(&g->e, 0x90); // as gen_insn() does
        } else
            gen_insn(g, i);
        for (unsigned done = run ? run : 1; done; done--, i++)
            if (w->insn[i].gpr_written & 1u << RCX || g->helper)
                g->rcx_saved = false;
        if (i < n && gen_entered_at(g, i))
            g->rcx_saved = false;
    }
    gen_high_forget(g);
    if (g->swap_end == n)
        gen_swap(g);
    const struct insn *last = &w->insn[n - 1];
    if (g->helper || !is_branch(last) || !ends_block(last))
        gen_fallthrough(g, gen_next(g, n - 1));
    gen_link_checks(g);
    tb->code_size = gen_here(g) - tb->code;
    w->code_end = g->e.p;
    // What is seldom run goes elsewhere, so that what runs lies close together.
    g->e = (struct emit){
        .p = c->cold, .end = c->cold + TB_MAX_CODE, .exec = cache_exec(bt), .overflow = g->e.overflow, .log = &g->log};
    tb->cold = gen_here(g);
    gen_run_stubs(g);
    gen_slow_stubs(g);
    gen_foreign_stubs(g);
    gen_link_stubs(g);
    gen_span_stubs(g);
    tb->drop_stub = gen_here(g);
    emit_lea_rip(&g->e, R14, (uint8_t *)tb);
    emit_mov_imm(&g->e, R15, EXIT_DROPPED);
    emit_jmp(&g->e, bt->glue.exit);
    tb->cold_size = gen_here(g) - tb->cold;
    note_relocations(g, c->p, w->code_end, c->cold);
    tb->map = gen_data(g, tb->nmap * sizeof(*tb->map));
    if (tb->map)
        memcpy(tb->map, w->map, tb->nmap * sizeof(*tb->map));
    tb->data_size = (uint32_t)(g->d - (uint8_t *)tb);
    return !g->e.overflow;
}

static bool emit_block(struct bt *bt, struct work *w, struct tb *tb, unsigned n, const struct means *means)
{
    bool done = emit_insns(bt, w, tb, n, means);
    if (!done)
        gen_swap_names(&w->gen); // as they were
    return done;
}

struct tb *translate_block(struct bt *bt, gva va, gpa pa, uint64_t mode, struct mmu_fault *f, bool *faulted)
{
    static _Thread_local struct work work;
    struct work *w = &work;
    struct cpu *cpu = bt->cpu;
    *faulted = false;
    bool rom;
    const uint8_t *page = as_page_ptr(cpu->mem, pa & PAGE_MASK, &rom);
    if (!page)
        return NULL;
    // Reserving may evict, so it comes before anything that points into the cache.
    code_cache_reserve(bt);
    struct tb *clone = tb_clone(bt, va, pa, mode);
    if (clone)
        return clone;
    struct gen *g = &w->gen;
    g->d = bt->cache.d;
    g->d_end = bt->cache.d + TB_MAX_DATA;
    struct tb *tb = gen_data(g, sizeof(*tb));
    *tb = (struct tb){.va = va, .pa = pa, .pa2 = NO_PA, .mode = mode, .original = true};

    unsigned n = decode_run(bt, w, va, pa, page, tb->mode);
    if (n == 0) {
        if (!decode_cached(bt->decode_cache, page + (va & ~PAGE_MASK), PAGE_SIZE - (va & ~PAGE_MASK),
                           decode_mode_of(tb->mode), va, &w->insn[0]))
            return NULL; // beyond the limit
        gva va2 = code_linear(tb->mode, (va & PAGE_MASK) + PAGE_SIZE);
        if (!mmu_fetch_translate(&cpu->mmu, va2, cpu->mode & MODE_USER, &tb->pa2, f)) {
            *faulted = true;
            return NULL;
        }
        const uint8_t *page2 = as_page_ptr(cpu->mem, tb->pa2 & PAGE_MASK, &rom);
        if (!page2)
            return NULL;
        uint8_t bytes[2 * INSN_MAX];
        unsigned first = PAGE_SIZE - (va & ~PAGE_MASK);
        memcpy(bytes, page + (va & ~PAGE_MASK), first);
        memcpy(bytes + first, page2, INSN_MAX);
        w->rip[0] = va;
        if (decode(bt->decoder, bytes, first + INSN_MAX, decode_mode_of(cpu->mode), va, &w->insn[0]))
            return NULL;
        if (beyond_limit(tb->mode, va, w->insn[0].len))
            return NULL;
        n = 1;
    }
    unsigned limit = n;
    bool unrolled = unroll_loop(bt, w, &limit, tb);
    compute_liveness(bt, w, limit, tb, page);
    struct means means = {.swap = true, .spans = true};
    // Ran out of room, or of rules: without exchanges, with its loop once, without spans, then a shorter block.
    while (!emit_block(bt, w, tb, limit, &means)) {
        tb->ibl_off = 0;
        if (g->swap_end) {
            means.swap = false;
            continue;
        }
        if (unrolled) {
            unrolled = false;
            limit = decode_run(bt, w, va, pa, page, tb->mode);
            tb->ndeps = 0;
            compute_liveness(bt, w, limit, tb, page);
            continue;
        }
        if (means.spans) {
            means.spans = false;
            continue;
        }
        if (limit == 1)
            return NULL;
        limit /= 2;
        for (unsigned i = 0; i < limit; i++) // liveness of a cut block's end is not known
            w->live[i] = FL_ARITH;
    }
    tb->insns = limit;
    tb->size = w->rip[limit - 1] + w->insn[limit - 1].len - va;
    code_cache_commit(bt, tb, w->code_end, g->e.p, g->d);
    tb_insert(bt, tb);
    stat_inc(STAT_tb_translated);
    stat_add(STAT_tb_insns, limit);
    if (mode & TB_EXACT)
        stat_inc(STAT_tb_exact);
    if (!(tb->mode & MODE_CS64) && !gen_flat32(tb->mode))
        stat_inc(STAT_tb_legacy);
    log_block(bt, w, tb);
    return tb;
}
