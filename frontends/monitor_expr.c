// SPDX-License-Identifier: MIT
// Expressions of the monitor: addresses and numbers, with the CPU's registers.
#include "frontends/monitor_internal.h"

#include "cpu/state.h"
#include "frontends/machine.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64 };

struct expr {
    struct monitor *mon;
    const char *s;
    char *why; // 128 bytes; set once there is an error
    bool failed;
    unsigned depth;
};

static int64_t fail(struct expr *x, const char *fmt, int c)
{
    if (!x->failed)
        snprintf(x->why, 128, fmt, c);
    x->failed = true;
    return 0;
}

static void skip_blanks(struct expr *x) { x->s = monitor_skip_blanks(x->s); }

// --- registers

// clang-format off
#define REGISTER(name, field) { name, offsetof(struct cpu, field), sizeof(((struct cpu *)0)->field) }
// clang-format on
#define GPR(r, e, n) REGISTER(r, gpr[n]), REGISTER(e, gpr[n])
#define SEGMENT(name, n) REGISTER(name, seg[n].sel), REGISTER(name ".base", seg[n].base)

static const struct {
    const char *name;
    uint32_t offset;
    uint8_t size;
} registers[] = {
    GPR("rax", "eax", 0),     GPR("rcx", "ecx", 1),     GPR("rdx", "edx", 2),       GPR("rbx", "ebx", 3),
    GPR("rsp", "esp", 4),     GPR("rbp", "ebp", 5),     GPR("rsi", "esi", 6),       GPR("rdi", "edi", 7),
    REGISTER("r8", gpr[8]),   REGISTER("r9", gpr[9]),   REGISTER("r10", gpr[10]),   REGISTER("r11", gpr[11]),
    REGISTER("r12", gpr[12]), REGISTER("r13", gpr[13]), REGISTER("r14", gpr[14]),   REGISTER("r15", gpr[15]),
    REGISTER("rip", rip),     REGISTER("eip", rip),     REGISTER("rflags", rflags), REGISTER("eflags", rflags),
    SEGMENT("es", ES),        SEGMENT("cs", CS),        SEGMENT("ss", SS),          SEGMENT("ds", DS),
    SEGMENT("fs", FS),        SEGMENT("gs", GS),        REGISTER("cr0", cr0),       REGISTER("cr2", cr2),
    REGISTER("cr3", cr3),     REGISTER("cr4", cr4),     REGISTER("efer", efer),
};

static bool register_value(const struct cpu *cpu, const char *name, size_t len, int64_t *out)
{
    uint64_t v = 0;

    if (len == 2 && !strncmp(name, "pc", 2)) { // the linear address of the next instruction
        *out = (int64_t)(cpu->mode & MODE_CS64 ? cpu->rip : (uint32_t)(cpu->seg[CS].base + cpu->rip));
        return true;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(registers); i++)
        if (strlen(registers[i].name) == len && !strncmp(registers[i].name, name, len)) {
            memcpy(&v, (const char *)cpu + registers[i].offset, registers[i].size);
            *out = (int64_t)v;
            return true;
        }
    return false;
}

static int64_t take_register(struct expr *x)
{
    size_t len = strspn(x->s, "abcdefghijklmnopqrstuvwxyz0123456789.");
    struct machine *m = x->mon->machine;
    int64_t v;

    if (!m || !m->vcpu)
        return fail(x, "unknown register", 0);
    machine_hold_cpu(m);
    if (register_value(vcpu_cpu(m->vcpu), x->s, len, &v))
        x->s += len;
    else
        v = fail(x, "unknown register", 0);
    machine_release_cpu(m);
    return v;
}

// --- grammar: sum of products of "logic" terms, as QEMU's monitor binds them (& | ^ bind tightest)

static int64_t sum(struct expr *x);

static int64_t take_number(struct expr *x)
{
    char *end;
    uint64_t v;

    if (!isdigit((unsigned char)*x->s))
        return *x->s ? fail(x, "invalid char '%c' in expression", isprint((unsigned char)*x->s) ? *x->s : '?')
                     : fail(x, "unexpected end of expression", 0);
    errno = 0;
    v = strtoull(x->s, &end, 0);
    if (errno == ERANGE)
        return fail(x, "number too large", 0);
    x->s = end;
    return (int64_t)v;
}

static int64_t take_char(struct expr *x)
{
    char c = x->s[0];

    if (!c || x->s[1] != '\'')
        return fail(x, "missing terminating ' character", 0);
    x->s += 2;
    return (uint8_t)c;
}

static int64_t unary(struct expr *x)
{
    int64_t v;
    char c;

    skip_blanks(x);
    c = *x->s;
    if (++x->depth > DEPTH_MAX)
        return fail(x, "expression nested too deeply", 0);
    if (c && strchr("+-~($'", c))
        x->s++;
    switch (c) {
    case '+': v = unary(x); break;
    case '-': v = (int64_t)(0 - (uint64_t)unary(x)); break;
    case '~': v = ~unary(x); break;
    case '$': v = take_register(x); break;
    case '\'': v = take_char(x); break;
    case '(':
        v = sum(x);
        skip_blanks(x);
        if (x->failed)
            break;
        if (*x->s != ')')
            v = fail(x, "')' expected", 0);
        else
            x->s++;
        break;
    default: v = take_number(x); break;
    }
    x->depth--;
    skip_blanks(x);
    return v;
}

static int64_t logic(struct expr *x)
{
    int64_t v = unary(x);

    while (!x->failed && (*x->s == '&' || *x->s == '|' || *x->s == '^')) {
        char op = *x->s++;
        int64_t w = unary(x);

        v = op == '&' ? v & w : op == '|' ? v | w : v ^ w;
    }
    return v;
}

static int64_t product(struct expr *x)
{
    int64_t v = logic(x);

    while (!x->failed && (*x->s == '*' || *x->s == '/' || *x->s == '%')) {
        char op = *x->s++;
        int64_t w = logic(x);

        if (op == '*')
            v = (int64_t)((uint64_t)v * (uint64_t)w);
        else if (!w)
            v = fail(x, "division by zero", 0);
        else if (w == -1) // the one quotient that may overflow
            v = op == '/' ? (int64_t)(0 - (uint64_t)v) : 0;
        else
            v = op == '/' ? v / w : v % w;
    }
    return v;
}

static int64_t sum(struct expr *x)
{
    int64_t v = product(x);

    while (!x->failed && (*x->s == '+' || *x->s == '-')) {
        char op = *x->s++;
        uint64_t w = (uint64_t)product(x);

        v = (int64_t)(op == '+' ? (uint64_t)v + w : (uint64_t)v - w);
    }
    return v;
}

bool monitor_expr(struct monitor *mon, const char **text, int64_t *out, char why[128])
{
    struct expr x = {.mon = mon, .s = *text, .why = why};

    *out = sum(&x);
    *text = x.s;
    return !x.failed;
}
