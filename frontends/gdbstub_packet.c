// SPDX-License-Identifier: MIT
// The GDB remote serial protocol's framing. GDB manual, appendix E "GDB Remote Serial Protocol".
#include "frontends/gdbstub_packet.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

// --- in

static void append(struct gdb_reader *r, uint8_t byte)
{
    if (r->len < GDB_PACKET_MAX)
        r->data[r->len++] = (char)byte;
    else
        r->bad = true;
}

static void start(struct gdb_reader *r)
{
    r->state = GDB_DATA;
    r->len = 0;
    r->sum = 0;
    r->bad = false;
}

static enum gdb_event idle_byte(struct gdb_reader *r, uint8_t byte)
{
    switch (byte) {
    case '$': start(r); return GDB_NOTHING;
    case '+': return GDB_ACK;
    case '-': return GDB_NAK;
    case 3: return GDB_INTERRUPT;
    default: return GDB_NOTHING; // line noise
    }
}

static void data_byte(struct gdb_reader *r, uint8_t byte)
{
    if (byte == '$') { // the last packet broke off
        start(r);
        return;
    }
    if (byte == '#') {
        r->state = GDB_SUM1;
        return;
    }
    r->sum += byte;
    if (byte == '}')
        r->state = GDB_ESCAPE;
    else if (byte == '*')
        r->state = GDB_RUN;
    else
        append(r, byte);
}

// The byte says how often the last one comes again, plus 29.
static void run_byte(struct gdb_reader *r, uint8_t byte)
{
    r->state = GDB_DATA;
    if (byte == '#') { // ends the packet as well
        r->bad = true;
        r->state = GDB_SUM1;
        return;
    }
    r->sum += byte;
    if (byte < ' ' || byte > 126 || byte == '$' || !r->len) {
        r->bad = true;
        return;
    }
    for (unsigned n = byte - 29u; n; n--)
        append(r, (uint8_t)r->data[r->len - 1]);
}

enum gdb_event gdb_read_byte(struct gdb_reader *r, uint8_t byte)
{
    int digit;

    switch (r->state) {
    case GDB_IDLE: return idle_byte(r, byte);
    case GDB_DATA: data_byte(r, byte); return GDB_NOTHING;
    case GDB_ESCAPE:
        r->sum += byte;
        append(r, byte ^ 0x20);
        r->state = GDB_DATA;
        return GDB_NOTHING;
    case GDB_RUN: run_byte(r, byte); return GDB_NOTHING;
    case GDB_SUM1:
        digit = hex_digit((char)byte);
        r->bad |= digit < 0;
        r->want = (uint8_t)((unsigned)digit << 4);
        r->state = GDB_SUM2;
        return GDB_NOTHING;
    case GDB_SUM2: break;
    }
    digit = hex_digit((char)byte);
    r->state = GDB_IDLE;
    r->data[r->len] = 0;
    return r->bad || digit < 0 || (r->want | digit) != r->sum ? GDB_BROKEN : GDB_PACKET;
}

// --- out

void gdb_put(struct gdb_reply *p, const void *data, size_t len)
{
    if (len > sizeof(p->data) - p->len) {
        p->full = true;
        return;
    }
    memcpy(p->data + p->len, data, len);
    p->len += len;
}

void gdb_putf(struct gdb_reply *p, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof(text))
        p->full = true;
    else
        gdb_put(p, text, (size_t)n);
}

void gdb_put_hex(struct gdb_reply *p, const void *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *from = data;

    for (; len; len--, from++)
        gdb_put(p, (char[]){digits[*from >> 4], digits[*from & 15]}, 2);
}

static bool wants_escape(uint8_t c) { return c == '$' || c == '#' || c == '}' || c == '*'; }

size_t gdb_frame(const struct gdb_reply *p, uint8_t *wire)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *w = wire, sum = 0;

    *w++ = '$';
    for (size_t i = 0; i < p->len; i++) {
        if (wants_escape(p->data[i])) {
            *w++ = '}';
            *w++ = p->data[i] ^ 0x20;
        } else {
            *w++ = p->data[i];
        }
    }
    for (const uint8_t *b = wire + 1; b < w; b++)
        sum += *b;
    *w++ = '#';
    *w++ = (uint8_t)digits[sum >> 4];
    *w++ = (uint8_t)digits[sum & 15];
    return (size_t)(w - wire);
}

// --- numbers

bool gdb_take_hex(const char **s, uint64_t *out)
{
    const char *p = *s;
    uint64_t v = 0;

    for (; hex_digit(*p) >= 0 && p - *s < 16; p++)
        v = v << 4 | (uint64_t)hex_digit(*p);
    if (p == *s)
        return false;
    *s = p;
    *out = v;
    return true;
}

bool gdb_take(const char **s, const char *prefix)
{
    size_t n = strlen(prefix);

    if (strncmp(*s, prefix, n))
        return false;
    *s += n;
    return true;
}

bool gdb_take_bytes(const char **s, uint8_t *out, size_t len)
{
    for (; len; len--, *s += 2) {
        int hi = hex_digit((*s)[0]), lo = hi < 0 ? -1 : hex_digit((*s)[1]);

        if (lo < 0)
            return false;
        *out++ = (uint8_t)(hi << 4 | lo);
    }
    return true;
}
