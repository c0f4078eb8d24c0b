// SPDX-License-Identifier: MIT
// The set of a debugger's breakpoints and watchpoints, and the decisions of a run that is under one's control.
#include "cpu/debug_points.h"

#include "cpu/internal.h"

#include <errno.h>

static bool is_break(unsigned kind) { return kind <= DEBUG_HW_BREAK; }

// --- watchpoints

static bool covers(const struct debug_point *p, gva va, unsigned size, bool write)
{
    if (is_break(p->kind) || (p->kind == DEBUG_WATCH_WRITE && !write) || (p->kind == DEBUG_WATCH_READ && write))
        return false;
    // Differences, so that a range that ends with the address space does not wrap.
    return va >= p->addr ? va - p->addr < p->len : p->addr - va < size;
}

static void watch_access(void *opaque, gva va, unsigned size, bool write)
{
    struct cpu *cpu = opaque;
    struct debug_points *d = cpu->debug;
    if (cpu->debug_active & DEBUG_ACTIVE_HIT)
        return; // the first one of an instruction is told
    for (unsigned i = 0; i < d->set.n; i++)
        if (covers(&d->set.point[i], va, size, write)) {
            d->hit = d->set.point[i];
            cpu->debug_active |= DEBUG_ACTIVE_HIT;
            cpu->mode |= MODE_STEP; // translated code leaves for the loop behind this instruction
            return;
        }
}

static bool watch_page(void *opaque, gva page, bool write)
{
    const struct debug_points *d = ((struct cpu *)opaque)->debug;
    for (unsigned i = 0; i < d->set.n; i++)
        if (covers(&d->set.point[i], page & PAGE_MASK, PAGE_SIZE, write))
            return true;
    return false;
}

static const struct mmu_watch_ops watch_ops = {.access = watch_access, .page = watch_page};

// --- the set

static void set_changed(struct cpu *cpu)
{
    struct debug_points *d = cpu->debug;
    d->generation++;
    d->breaks = d->watches = 0;
    for (unsigned i = 0; i < d->set.n; i++)
        is_break(d->set.point[i].kind) ? d->breaks++ : d->watches++;
    cpu->debug_active &= (uint8_t)~DEBUG_ACTIVE_POINTS;
    if (d->breaks)
        cpu->debug_active |= DEBUG_ACTIVE_POINTS;
    cpu->mmu.watch = d->watches ? &watch_ops : NULL;
    cpu->mmu.watch_opaque = cpu;
}

void debug_points_attach(struct cpu *cpu, struct debug_points *d)
{
    if (!d && cpu->debug)
        debug_points_clear(cpu);
    cpu->debug = d;
    cpu->debug_active = 0;
    if (d)
        set_changed(cpu);
    cpu_update_mode(cpu);
}

static struct debug_point *find(struct debug_set *s, const struct debug_point *p)
{
    for (unsigned i = 0; i < s->n; i++)
        if (s->point[i].addr == p->addr && s->point[i].len == p->len && s->point[i].kind == p->kind)
            return &s->point[i];
    return NULL;
}

static int make_point(enum debug_kind kind, gva addr, uint64_t len, struct debug_point *p)
{
    if (kind >= DEBUG_KINDS || (!is_break(kind) && (!len || len > DEBUG_MAX_WATCH_LEN)))
        return -EINVAL;
    *p = (struct debug_point){.addr = addr, .len = is_break(kind) ? 1 : (uint32_t)len, .kind = kind};
    return 0;
}

int debug_point_insert(struct cpu *cpu, enum debug_kind kind, gva addr, uint64_t len)
{
    struct debug_set *s = &cpu->debug->set;
    struct debug_point p;
    if (make_point(kind, addr, len, &p))
        return -EINVAL;
    if (find(s, &p))
        return 0;
    if (s->n == DEBUG_MAX_POINTS)
        return -ENOSPC;
    s->point[s->n++] = p;
    set_changed(cpu);
    return 0;
}

int debug_point_remove(struct cpu *cpu, enum debug_kind kind, gva addr, uint64_t len)
{
    struct debug_set *s = &cpu->debug->set;
    struct debug_point p, *found;
    if (make_point(kind, addr, len, &p))
        return -EINVAL;
    found = find(s, &p);
    if (!found)
        return -ENOENT;
    *found = s->point[--s->n];
    set_changed(cpu);
    return 0;
}

void debug_points_clear(struct cpu *cpu)
{
    cpu->debug->set.n = 0;
    set_changed(cpu);
}

const struct debug_point *debug_points_at(const struct debug_points *d, gva linear)
{
    for (unsigned i = 0; d->breaks && i < d->set.n; i++)
        if (d->set.point[i].addr == linear && is_break(d->set.point[i].kind))
            return &d->set.point[i];
    return NULL;
}

// --- runs

void debug_points_prepare(struct cpu *cpu, bool step, bool mask_irqs)
{
    struct debug_points *d = cpu->debug;
    d->reason = DEBUG_NONE;
    d->stepped = false;
    d->mask_irqs = step && mask_irqs;
    cpu->debug_active &= DEBUG_ACTIVE_POINTS;
    if (step)
        cpu->debug_active |= DEBUG_ACTIVE_STEP;
    cpu_update_mode(cpu);
}

bool debug_points_done(struct cpu *cpu)
{
    struct debug_points *d = cpu->debug;
    if (cpu->debug_active & DEBUG_ACTIVE_HIT) {
        cpu->debug_active &= (uint8_t)~DEBUG_ACTIVE_HIT;
        cpu_update_mode(cpu);
        d->reason = DEBUG_WATCH;
    } else if ((cpu->debug_active & DEBUG_ACTIVE_STEP) && d->stepped) {
        d->reason = DEBUG_STEP;
    }
    return d->reason;
}

bool debug_points_break(struct cpu *cpu)
{
    struct debug_points *d = cpu->debug;
    if (debug_points_done(cpu)) // an interrupt was delivered meanwhile
        return true;
    if (cpu->debug_active & DEBUG_ACTIVE_STEP) {
        d->stepped = true; // also if it faults: the step then ends at the handler
        return false;
    }
    const struct debug_point *p = debug_break_at(cpu, cpu->rip);
    if (p) {
        d->reason = DEBUG_BREAK;
        d->hit = *p;
    }
    return p;
}
