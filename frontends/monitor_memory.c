// SPDX-License-Identifier: MIT
// Monitor commands that show the guest's memory or save it: x, xp, print, memsave, pmemsave.
#include "frontends/monitor_internal.h"

#include "frontends/guest_memory.h"
#include "frontends/machine.h"
#include "translator/decode.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { COUNT_MAX = 65536 };

// --- code

static enum decode_mode code_mode(const struct cpu *cpu)
{
    return cpu->mode & MODE_CS64 ? DECODE_64 : cpu->mode & MODE_CS32 ? DECODE_32 : DECODE_16;
}

static void dump_code(struct monitor *mon, uint64_t addr, bool physical, unsigned count)
{
    struct machine *m = mon->machine;
    enum decode_mode mode = code_mode(vcpu_cpu(m->vcpu));
    struct decoder *d;

    if (decoder_create(&d))
        return;
    for (unsigned i = 0; i < count; i++) {
        uint8_t bytes[INSN_MAX];
        char text[96], hex[INSN_MAX * 3 + 1] = "";
        unsigned len = INSN_MAX;
        struct insn insn;

        while (len && !guest_memory_read(m, addr, physical, bytes, len))
            len--;
        if (!len || decode(d, bytes, len, mode, addr, &insn)) {
            monitor_printf(mon, "0x%08" PRIx64 ": unable to read memory\n", addr);
            break;
        }
        for (unsigned b = 0; b < insn.len; b++)
            sprintf(hex + 3 * b, "%02x ", bytes[b]);
        disassemble(d, bytes, insn.len, mode, addr, text, sizeof(text));
        monitor_printf(mon, "0x%08" PRIx64 ":  %-24s %s\n", addr, hex, text);
        addr += insn.len;
    }
    decoder_destroy(d);
}

// --- words

static void print_char(struct monitor *mon, uint64_t v)
{
    static const char escapes[] = "\nn\rr\\\\''";
    const char *e = escapes;

    v &= 0xff;
    while (*e && (uint8_t)*e != v)
        e += 2;
    if (*e)
        monitor_printf(mon, "'\\%c'", e[1]);
    else if (v >= 32 && v < 127)
        monitor_printf(mon, "'%c'", (char)v);
    else
        monitor_printf(mon, "'\\x%02x'", (unsigned)v);
}

static void print_value(struct monitor *mon, uint64_t v, char kind, unsigned size)
{
    static const uint8_t octal_digits[] = {0, 3, 6, 0, 11, 0, 0, 0, 22},
                         decimal_digits[] = {0, 4, 6, 0, 11, 0, 0, 0, 20};
    unsigned shift = 64 - 8 * size;

    switch (kind) {
    case 'o': monitor_printf(mon, "0%0*" PRIo64, octal_digits[size], v); break;
    case 'u': monitor_printf(mon, "%*" PRIu64, decimal_digits[size], v); break;
    case 'd': monitor_printf(mon, "%*" PRId64, decimal_digits[size], (int64_t)(v << shift) >> shift); break;
    case 'c': print_char(mon, v); break;
    default: monitor_printf(mon, "0x%0*" PRIx64, (int)size * 2, v); break;
    }
}

static void dump_words(struct monitor *mon, uint64_t addr, bool physical, const struct monitor_format *f)
{
    unsigned size = f->kind == 'c' ? 1 : f->size ? f->size : 4, per_line = f->kind == 'c' ? 8 : 16 / size;

    for (unsigned i = 0; i < f->count; i++, addr += size) {
        uint64_t v = 0;

        if (i % per_line == 0)
            monitor_printf(mon, "%s%016" PRIx64 ":", i ? "\n" : "", addr);
        if (!guest_memory_read(mon->machine, addr, physical, &v, size)) {
            monitor_printf(mon, " Cannot access memory");
            break;
        }
        monitor_printf(mon, " ");
        print_value(mon, v, f->kind, size);
    }
    monitor_printf(mon, "\n");
}

static void dump(struct monitor *mon, const struct monitor_args *args, bool physical)
{
    uint64_t addr = (uint64_t)monitor_arg_number(args, "addr", 0);
    struct monitor_format f = args->format;

    if (f.count > COUNT_MAX) // no more than anybody reads
        f.count = COUNT_MAX;
    monitor_hold_cpu(mon);
    if (f.kind == 'i')
        dump_code(mon, addr, physical, f.count);
    else
        dump_words(mon, addr, physical, &f);
    monitor_release_cpu(mon);
}

static void cmd_x(struct monitor *mon, const struct monitor_args *args) { dump(mon, args, false); }
static void cmd_xp(struct monitor *mon, const struct monitor_args *args) { dump(mon, args, true); }

static void cmd_print(struct monitor *mon, const struct monitor_args *args)
{
    uint64_t v = (uint64_t)monitor_arg_number(args, "val", 0);

    switch (args->format.kind) {
    case 'o': monitor_printf(mon, "%#" PRIo64, v); break;
    case 'u': monitor_printf(mon, "%" PRIu64, v); break;
    case 'd': monitor_printf(mon, "%" PRId64, (int64_t)v); break;
    case 'c': print_char(mon, v); break;
    default: monitor_printf(mon, "%#" PRIx64, v); break;
    }
    monitor_printf(mon, "\n");
}

// BSD's sum(1), to compare two machines quickly.
static void cmd_sum(struct monitor *mon, const struct monitor_args *args)
{
    uint64_t addr = (uint64_t)monitor_arg_number(args, "start", 0),
             size = (uint64_t)monitor_arg_number(args, "size", 0);
    uint8_t chunk[PAGE_SIZE];
    uint16_t sum = 0;

    if (size > mon->machine->ram.size + (4ull << 30)) {
        monitor_printf(mon, "Error: more than the machine's memory\n");
        return;
    }
    for (uint64_t i = 0; i < size; i += sizeof(chunk)) {
        size_t n = size - i < sizeof(chunk) ? size - i : sizeof(chunk);

        if (!guest_memory_read(mon->machine, addr + i, true, chunk, n)) {
            monitor_printf(mon, "0x%08" PRIx64 ": unable to read memory\n", addr + i);
            return;
        }
        for (size_t b = 0; b < n; b++)
            sum = (uint16_t)((sum >> 1 | sum << 15) + chunk[b]);
    }
    monitor_printf(mon, "%05u\n", sum);
}

static void cmd_gva2gpa(struct monitor *mon, const struct monitor_args *args)
{
    gpa pa;
    bool mapped;

    monitor_hold_cpu(mon);
    mapped = mmu_debug_translate(&vcpu_cpu(mon->machine->vcpu)->mmu, (uint64_t)monitor_arg_number(args, "addr", 0),
                                 &pa);
    monitor_release_cpu(mon);
    if (mapped)
        monitor_printf(mon, "gpa: %#" PRIx64 "\n", pa);
    else
        monitor_printf(mon, "Unmapped\n");
}

// --- ports

static unsigned port_size(const struct monitor_args *args)
{
    return args->format.size == 2 || args->format.size == 4 ? args->format.size : 1;
}

static void cmd_port_read(struct monitor *mon, const struct monitor_args *args)
{
    uint16_t port = (uint16_t)monitor_arg_number(args, "addr", 0);
    unsigned size = port_size(args);
    uint64_t v;

    monitor_hold_cpu(mon); // what a port does may move the memory map
    v = as_load(mon->machine->ports, port, size);
    monitor_release_cpu(mon);
    monitor_printf(mon, "port%c[0x%04x] = 0x%0*" PRIx64 "\n",
                   size == 1   ? 'b'
                   : size == 2 ? 'w'
                               : 'l',
                   port, (int)size * 2, v);
}

static void cmd_port_write(struct monitor *mon, const struct monitor_args *args)
{
    monitor_hold_cpu(mon);
    as_store(mon->machine->ports, (uint16_t)monitor_arg_number(args, "addr", 0),
             (uint64_t)monitor_arg_number(args, "val", 0), port_size(args));
    monitor_release_cpu(mon);
}

// --- files

static void save(struct monitor *mon, const struct monitor_args *args, bool physical)
{
    uint64_t addr = (uint64_t)monitor_arg_number(args, "val", 0), size = (uint64_t)monitor_arg_number(args, "size", 0);
    struct err e;

    if (guest_memory_save(mon->machine, addr, physical, size, monitor_arg_text(args, "filename"), &e))
        monitor_printf(mon, "Error: %s\n", e.text);
}

static void cmd_memsave(struct monitor *mon, const struct monitor_args *args) { save(mon, args, false); }
static void cmd_pmemsave(struct monitor *mon, const struct monitor_args *args) { save(mon, args, true); }

const struct monitor_command monitor_memory_commands[] = {
    {"x", "fmt:/,addr:l", "/fmt addr", "virtual memory dump starting at 'addr' (x/4i $pc, x/8xg $rsp)", cmd_x},
    {"xp", "fmt:/,addr:l", "/fmt addr", "physical memory dump starting at 'addr'", cmd_xp},
    {"print|p", "fmt:/,val:l", "/fmt expr", "print expression value (use $reg for CPU register access)", cmd_print},
    {"sum", "start:l,size:l", "addr size", "compute the checksum of a memory region", cmd_sum},
    {"gva2gpa", "addr:l", "addr", "print the guest physical address of a guest virtual address", cmd_gva2gpa},
    {"i", "fmt:/,addr:l", "/fmt addr", "I/O port read", cmd_port_read},
    {"o", "fmt:/,addr:l,val:l", "/fmt addr value", "I/O port write", cmd_port_write},
    {"memsave", "val:l,size:l,filename:s", "addr size file",
     "save to disk virtual memory dump starting at 'addr' of size 'size'", cmd_memsave},
    {"pmemsave", "val:l,size:l,filename:s", "addr size file",
     "save to disk physical memory dump starting at 'addr' of size 'size'", cmd_pmemsave},
    {NULL, NULL, NULL, NULL, NULL},
};
