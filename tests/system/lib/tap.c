// SPDX-License-Identifier: MIT
// TAP on the debug console (port E9h) and COM1, one line per check, and the exit through isa-debug-exit.
#include <stdarg.h>

#include "test.h"

enum { COM1 = 0x3f8, DEBUGCON = 0xe9, LINE = 400 };

static unsigned count, failed;

static void put(char c)
{
    outb(DEBUGCON, (uint8_t)c);
    for (unsigned i = 0; i < 100000 && !(inb(COM1 + 5) & 0x20); i++)
        ;
    outb(COM1, (uint8_t)c);
}

void out_str(const char *s)
{
    while (*s)
        put(*s++);
}

struct buf {
    char text[LINE];
    size_t len;
};

static void add(struct buf *b, char c)
{
    if (b->len < LINE - 1)
        b->text[b->len++] = c;
    b->text[b->len] = 0;
}

static void add_str(struct buf *b, const char *s)
{
    while (*s)
        add(b, *s++);
}

static void add_num(struct buf *b, uint64_t v, bool hex)
{
    char tmp[24];
    int n = 0;
    do {
        unsigned d;
        if (hex) {
            d = v & 15;
            v >>= 4;
        } else { // 32 bits are enough for decimals, and need no 64-bit division in a 32-bit image
            d = (uint32_t)v % 10;
            v = (uint32_t)v / 10;
        }
        tmp[n++] = "0123456789abcdef"[d];
    } while (v);
    while (n)
        add(b, tmp[--n]);
}

// %s %d %u %x %lx %llx %%; nothing else is needed.
static void add_fmt(struct buf *b, const char *f, va_list ap)
{
    for (; *f; f++) {
        if (*f != '%') {
            add(b, *f);
            continue;
        }
        int longs = 0;
        for (f++; *f == 'l'; f++)
            longs++;
        uint64_t v;
        switch (*f) {
        case 's': add_str(b, va_arg(ap, const char *)); break;
        case 'd':
        case 'u':
        case 'x':
            v = longs == 2 ? va_arg(ap, unsigned long long) : longs ? va_arg(ap, unsigned long) : va_arg(ap, unsigned);
            add_num(b, v, *f == 'x');
            break;
        default: add(b, *f);
        }
    }
}

static void finish_line(struct buf *b)
{
    add(b, '\n');
    out_str(b->text);
}

static void start_line(struct buf *b, bool good, const char *name)
{
    b->len = 0;
    count++;
    failed += !good;
    add_str(b, good ? "ok " : "not ok ");
    add_num(b, count, false);
    add_str(b, " - ");
    add_str(b, name);
}

void ok(bool good, const char *fmt, ...)
{
    struct buf b;
    va_list ap;
    start_line(&b, good, "");
    va_start(ap, fmt);
    add_fmt(&b, fmt, ap);
    va_end(ap);
    finish_line(&b);
}

void check_eq_(const char *name, uint64_t got, uint64_t want)
{
    struct buf b;
    start_line(&b, got == want, name);
    if (got != want) {
        add_str(&b, ": got ");
        add_num(&b, got, true);
        add_str(&b, " want ");
        add_num(&b, want, true);
    }
    finish_line(&b);
}

void skip(const char *name, const char *why)
{
    struct buf b;
    start_line(&b, true, name);
    add_str(&b, " # SKIP ");
    add_str(&b, why);
    finish_line(&b);
}

void note(const char *fmt, ...)
{
    struct buf b = {.len = 0};
    va_list ap;
    add_str(&b, "# ");
    va_start(ap, fmt);
    add_fmt(&b, fmt, ap);
    va_end(ap);
    finish_line(&b);
}

static void add_exc(struct buf *b, unsigned vec, ureg err, ureg rip)
{
    add_str(b, "vector ");
    add_num(b, vec, false);
    if (err != NO_ERROR) {
        add_str(b, " error ");
        add_num(b, err, true);
    }
    add_str(b, " rip ");
    add_num(b, rip, true);
}

// rip NULL: do not compare it. In user mode the address is the user alias.
void check_exc(const char *name, const struct state *s, unsigned vec, ureg err, const void *rip)
{
    ureg want = (ureg)rip;
    if (TEST64 && rip && (s->cs & 3) == 3)
        want = (ureg)USER(rip);
    bool good = s->vec == vec && s->err == err && (!rip || s->rip == want);
    struct buf b;
    start_line(&b, good, name);
    if (!good) {
        add_str(&b, ": got ");
        add_exc(&b, s->vec, s->err, s->rip);
        add_str(&b, " want ");
        add_exc(&b, vec, err, want);
    }
    finish_line(&b);
}

void check_done(const char *name, const struct state *s) { check_exc(name, s, EXC_DONE, NO_ERROR, NULL); }

unsigned tap_failures(void) { return failed; }

_Noreturn void tap_done(void)
{
    struct buf b = {.len = 0};
    add_str(&b, "1..");
    add_num(&b, count, false);
    finish_line(&b);
    debug_exit(failed ? 1 : 0);
}
