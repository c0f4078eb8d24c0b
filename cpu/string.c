// SPDX-License-Identifier: MIT
// String instructions: as long a run as stays inside one page on each side, natively, on host memory.
// SDM vol. 1, section 7.3.9 "String Operations"; vol. 2B, "REP/REPE/REPZ/REPNE/REPNZ".
//
// A run that leaves its page, its segment or its address size, or meets a device, is one element made by the
// checked loads and stores. RCX, RSI and RDI are written back after each run, so a fault or an interrupt finds the
// instruction restartable between two elements, as the manual has it.
#include "base/copy.h"
#include "cpu/internal.h"

struct str {
    struct cpu *cpu;
    unsigned size;
    uint64_t mask; // of the address size
    enum sreg src;
    bool down; // DF
    enum rep rep;
    uint16_t port;
    bool stop; // REPE/REPNE: the condition ended it
};

// --- addresses

static uint64_t reg_get(const struct str *s, enum reg r) { return s->cpu->gpr[r] & s->mask; }

static void reg_set(const struct str *s, enum reg r, uint64_t v)
{
    uint64_t *p = &s->cpu->gpr[r];
    *p = s->mask == 0xffff ? (*p & ~0xffffull) | (v & 0xffff) : v & s->mask;
}

static void advance(const struct str *s, enum reg r, uint64_t n)
{
    uint64_t bytes = n * s->size;
    reg_set(s, r, s->down ? s->cpu->gpr[r] - bytes : s->cpu->gpr[r] + bytes);
}

// How many elements from offset off (linear la) stay in la's page, in the address size and in the segment;
// 0: not even one, or one that needs the checked path.
static uint64_t run_length(const struct str *s, enum sreg seg, uint64_t off, gva la, bool write)
{
    unsigned in_page = la % PAGE_SIZE, size = s->size;
    uint64_t n;
    if (in_page + size > PAGE_SIZE)
        return 0;
    if (s->down) {
        n = in_page / size + 1;
        if (off / size + 1 < n)
            n = off / size + 1;
    } else {
        uint64_t room = s->mask - off; // bytes to the wrap, less one
        n = (PAGE_SIZE - in_page) / size;
        if (room < PAGE_SIZE && (room + 1) / size < n)
            n = (room + 1) / size;
    }
    if (n > 1 && !in_code64(s->cpu)) {
        uint64_t low = s->down ? off - (n - 1) * size : off;
        bool typed = !(s->cpu->mode & MODE_REAL);
        if (!segment_allows(s->cpu, &s->cpu->seg[seg], low, n * size, write, typed))
            return 0;
    }
    return n;
}

// --- host pointers

struct host_run {
    hva p;
    gpa pa;
    bool watched; // a store must be told to the dirty bitmap and the engine
};

// Checks the access (raising #PF) and finds its page's memory; false: a device or ROM.
static bool host_page(struct cpu *cpu, gva la, bool write, struct host_run *r)
{
    struct mmu *m = &cpu->mmu;
    struct mmu_fault f;
    enum mmu_access kind = write ? MMU_WRITE : MMU_READ;
    uint8_t none = 0;
    r->watched = false;
    r->p = m->shadow ? m->shadow->lookup(m->shadow_ctx, la, kind, m->user, m->ac) : NULL;
    if (LIKELY(r->p))
        return true;
    if (!(write ? mmu_write(m, la, &none, 1, MMU_PROBE, &f) : mmu_read(m, la, &none, 1, MMU_PROBE, &f)))
        cpu_raise_pf(cpu, &f);
    if (m->shadow && (r->p = m->shadow->lookup(m->shadow_ctx, la, kind, m->user, m->ac)))
        return true;
    if (UNLIKELY(m->watch) && m->watch->page(m->watch_opaque, la, write))
        return false; // element by element, so that the one that is watched is seen
    // No fast entry: there is no shadow, or the page holds translations, or it is no RAM.
    if (!mmu_debug_translate(m, la, &r->pa) || !(r->p = as_ram_ptr(cpu->mem, r->pa, write, NULL)))
        return false;
    r->watched = write;
    return true;
}

static void host_written(struct cpu *cpu, const struct str *s, const struct host_run *r, uint64_t n)
{
    if (!r->watched)
        return;
    uint64_t bytes = n * s->size;
    gpa low = s->down ? r->pa - (bytes - s->size) : r->pa;
    as_mark_dirty(cpu->mem, low, bytes);
    if (cpu->mmu.code_written)
        cpu->mmu.code_written(cpu->mmu.code_written_opaque, low, bytes);
}

// The host's own instruction has the element size's semantics even where source and destination overlap.
#define NATIVE(op, suffix, down, ...)                                    \
    do {                                                                 \
        if (down)                                                        \
            __asm__ volatile("std; rep " op suffix "; cld" __VA_ARGS__); \
        else                                                             \
            __asm__ volatile("rep " op suffix __VA_ARGS__);              \
    } while (0)

void cpu_host_movs(hva d, hva s, uint64_t n, unsigned size, bool down)
{
#define OPERANDS : "+D"(d), "+S"(s), "+c"(n) : : "memory", "cc"
    switch (size) {
    case 1: NATIVE("movs", "b", down, OPERANDS); break;
    case 2: NATIVE("movs", "w", down, OPERANDS); break;
    case 4: NATIVE("movs", "l", down, OPERANDS); break;
    default: NATIVE("movs", "q", down, OPERANDS); break;
    }
#undef OPERANDS
}

void cpu_host_stos(hva d, uint64_t v, uint64_t n, unsigned size, bool down)
{
#define OPERANDS : "+D"(d), "+c"(n) : "a"(v) : "memory", "cc"
    switch (size) {
    case 1: NATIVE("stos", "b", down, OPERANDS); break;
    case 2: NATIVE("stos", "w", down, OPERANDS); break;
    case 4: NATIVE("stos", "l", down, OPERANDS); break;
    default: NATIVE("stos", "q", down, OPERANDS); break;
    }
#undef OPERANDS
}

static uint64_t peek(const uint8_t *p, unsigned size)
{
    switch (size) {
    case 1: return *p;
    case 2: return *(const copy_u16 *)p;
    case 4: return *(const copy_u32 *)p;
    default: return *(const copy_u64 *)p;
    }
}

static void poke(struct cpu *cpu, gva la, uint64_t v, unsigned size) { cpu_store(cpu, la, v, size); }

// --- the operations: each does up to max elements and returns how many

static uint64_t do_movs(struct str *s, uint64_t max)
{
    struct cpu *cpu = s->cpu;
    struct host_run from, to;
    uint64_t si = reg_get(s, RSI), di = reg_get(s, RDI), n = max;
    gva ls = cpu_linear(cpu, s->src, si, s->size, false);
    gva ld = cpu_linear(cpu, ES, di, s->size, true);
    if (max > 1) {
        uint64_t a = run_length(s, s->src, si, ls, false), b = run_length(s, ES, di, ld, true);
        n = n < a ? n : a;
        n = n < b ? n : b;
    }
    if (max > 1 && n && host_page(cpu, ls, false, &from) && host_page(cpu, ld, true, &to)) {
        cpu_host_movs(to.p, from.p, n, s->size, s->down);
        host_written(cpu, s, &to, n);
    } else {
        n = 1;
        poke(cpu, ld, cpu_load(cpu, ls, s->size), s->size);
    }
    advance(s, RSI, n);
    advance(s, RDI, n);
    return n;
}

static uint64_t do_stos(struct str *s, uint64_t max)
{
    struct cpu *cpu = s->cpu;
    struct host_run to;
    uint64_t di = reg_get(s, RDI), n = max;
    gva ld = cpu_linear(cpu, ES, di, s->size, true);
    if (max > 1) {
        uint64_t b = run_length(s, ES, di, ld, true);
        n = n < b ? n : b;
    }
    if (max > 1 && n && host_page(cpu, ld, true, &to)) {
        cpu_host_stos(to.p, cpu->gpr[RAX], n, s->size, s->down);
        host_written(cpu, s, &to, n);
    } else {
        n = 1;
        poke(cpu, ld, cpu->gpr[RAX], s->size);
    }
    advance(s, RDI, n);
    return n;
}

static void set_accumulator(struct str *s, uint64_t v)
{
    uint64_t m = size_mask(s->size), *rax = &s->cpu->gpr[RAX];
    *rax = s->size < 4 ? (*rax & ~m) | (v & m) : v & m;
}

static uint64_t do_lods(struct str *s, uint64_t max)
{
    struct cpu *cpu = s->cpu;
    struct host_run from;
    uint64_t si = reg_get(s, RSI), n = max;
    gva ls = cpu_linear(cpu, s->src, si, s->size, false);
    if (max > 1) {
        uint64_t a = run_length(s, s->src, si, ls, false);
        n = n < a ? n : a;
    }
    if (max > 1 && n && host_page(cpu, ls, false, &from)) { // only the last one stays
        uint64_t off = (n - 1) * s->size;
        set_accumulator(s, peek(s->down ? from.p - off : from.p + off, s->size));
    } else {
        n = 1;
        set_accumulator(s, cpu_load(cpu, ls, s->size));
    }
    advance(s, RSI, n);
    return n;
}

// Flags of a - b at the element's size.
static uint64_t compare_flags(uint64_t a, uint64_t b, unsigned size)
{
    unsigned shift = 64 - size * 8;
    uint64_t ax;
    // Shifted to the top, the operands give CF, OF, SF and ZF; AF and PF come from the low byte.
    __asm__("cmpq %2, %1; seto %%al; lahf" : "=&a"(ax) : "r"(a << shift), "r"(b << shift) : "cc");
    uint64_t f = (ax >> 8 & (FL_CF | FL_ZF | FL_SF)) | (ax & 1 ? FL_OF : 0);
    __asm__("cmpb %b2, %b1; lahf" : "=&a"(ax) : "q"(a), "q"(b) : "cc");
    return f | (ax >> 8 & (FL_AF | FL_PF));
}

static void finish_compare(struct str *s, uint64_t a, uint64_t b)
{
    uint64_t m = size_mask(s->size);
    s->cpu->rflags = (s->cpu->rflags & ~(uint64_t)FL_ARITH) | compare_flags(a, b, s->size);
    bool equal = !((a ^ b) & m);
    s->stop = s->rep == REP_E ? !equal : equal;
}

// Compares up to n elements; q NULL: with v. Leaves the last pair in *a, *b.
static uint64_t compare_run(const struct str *s, const uint8_t *p, const uint8_t *q, uint64_t v, uint64_t n,
                            uint64_t *a, uint64_t *b)
{
    ptrdiff_t step = s->down ? -(ptrdiff_t)s->size : (ptrdiff_t)s->size;
    uint64_t i = 0;
    *b = v;
    do {
        *a = peek(p, s->size);
        if (q) {
            *b = peek(q, s->size);
            q += step;
        }
        p += step;
        i++;
    } while (i < n && (*a == *b) == (s->rep == REP_E));
    return i;
}

static uint64_t do_cmps(struct str *s, uint64_t max)
{
    struct cpu *cpu = s->cpu;
    struct host_run x, y;
    uint64_t si = reg_get(s, RSI), di = reg_get(s, RDI), n = max, a, b;
    gva ls = cpu_linear(cpu, s->src, si, s->size, false);
    gva ld = cpu_linear(cpu, ES, di, s->size, false);
    if (max > 1) {
        uint64_t i = run_length(s, s->src, si, ls, false), j = run_length(s, ES, di, ld, false);
        n = n < i ? n : i;
        n = n < j ? n : j;
    }
    if (max > 1 && n && host_page(cpu, ls, false, &x) && host_page(cpu, ld, false, &y)) {
        n = compare_run(s, x.p, y.p, 0, n, &a, &b);
    } else {
        n = 1;
        a = cpu_load(cpu, ls, s->size);
        b = cpu_load(cpu, ld, s->size);
    }
    advance(s, RSI, n);
    advance(s, RDI, n);
    finish_compare(s, a, b);
    return n;
}

static uint64_t do_scas(struct str *s, uint64_t max)
{
    struct cpu *cpu = s->cpu;
    struct host_run y;
    uint64_t di = reg_get(s, RDI), n = max, acc = cpu->gpr[RAX] & size_mask(s->size), a, b;
    gva ld = cpu_linear(cpu, ES, di, s->size, false);
    if (max > 1) {
        uint64_t j = run_length(s, ES, di, ld, false);
        n = n < j ? n : j;
    }
    if (max > 1 && n && host_page(cpu, ld, false, &y)) {
        n = compare_run(s, y.p, NULL, acc, n, &b, &a);
    } else {
        n = 1;
        b = cpu_load(cpu, ld, s->size);
    }
    advance(s, RDI, n);
    finish_compare(s, acc, b);
    return n;
}

static uint64_t do_ins(struct str *s, uint64_t max)
{
    struct cpu *cpu = s->cpu;
    struct mmu_fault f;
    uint64_t none = 0;
    gva ld = cpu_linear(cpu, ES, reg_get(s, RDI), s->size, true);
    // What a port gives cannot be given back: the store must be known to succeed before the port is read.
    if (!mmu_write(&cpu->mmu, ld, &none, s->size, MMU_PROBE, &f))
        cpu_raise_pf(cpu, &f);
    poke(cpu, ld, cpu_op_in(cpu, s->port, s->size), s->size);
    advance(s, RDI, 1);
    return 1;
}

static uint64_t do_outs(struct str *s, uint64_t max)
{
    struct cpu *cpu = s->cpu;
    gva ls = cpu_linear(cpu, s->src, reg_get(s, RSI), s->size, false);
    cpu_op_out(cpu, s->port, cpu_load(cpu, ls, s->size), s->size);
    advance(s, RSI, 1);
    return 1;
}

void cpu_op_string(struct cpu *cpu, enum string_op op, unsigned size, unsigned addrsize, enum rep rep,
                   enum sreg src_seg)
{
    static uint64_t (*const ops[])(struct str *, uint64_t) = {
        [STR_MOVS] = do_movs, [STR_STOS] = do_stos, [STR_LODS] = do_lods, [STR_CMPS] = do_cmps,
        [STR_SCAS] = do_scas, [STR_INS] = do_ins,   [STR_OUTS] = do_outs,
    };
    struct str s = {.cpu = cpu,
                    .size = size,
                    .mask = size_mask(addrsize),
                    .src = src_seg,
                    .down = cpu->rflags & FL_DF,
                    .rep = rep,
                    .port = cpu->gpr[RDX]};
    if (op == STR_INS || op == STR_OUTS)
        cpu_check_io(cpu, s.port, size);
    if (rep == REP_NONE) {
        ops[op](&s, 1);
        cpu->rip = cpu->next_rip;
        return;
    }
    bool compares = op == STR_CMPS || op == STR_SCAS;
    uint32_t requests = cpu_requests(cpu);
    uint64_t count = reg_get(&s, RCX);
    while (count) {
        count -= ops[op](&s, cpu->mode & MODE_STEP ? 1 : count);
        reg_set(&s, RCX, count);
        if (!count || (compares && s.stop))
            break;
        if (cpu->mode & MODE_STEP || cpu_interrupt_pending(cpu) || cpu_requests(cpu) != requests)
            return; // rip stays: the rest is done when the instruction runs again
    }
    cpu->rip = cpu->next_rip;
}
