// SPDX-License-Identifier: MIT
// The monitor's "info" subjects, and x, xp and print.
#include "frontends/machine.h"
#include "frontends/monitor.h"

#include "base/stats.h"
#include "cpu/cpu.h"
#include "hw/block.h"
#include "hw/net.h"
#include "hw/pci.h"
#include "translator/decode.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- the CPU

static void info_registers(struct monitor *mon, char *args)
{
    monitor_hold_cpu(mon);
    cpu_dump(vcpu_cpu(monitor_machine(mon)->vcpu), monitor_print_line, mon);
    monitor_release_cpu(mon);
}

static void info_status(struct monitor *mon, char *args)
{
    enum run_state s = runstate_get(monitor_machine(mon)->runstate);

    if (s == RUN_STATE_RUNNING || s == RUN_STATE_PAUSED)
        monitor_printf(mon, "VM status: %s\n", run_state_name(s));
    else
        monitor_printf(mon, "VM status: paused (%s)\n", run_state_name(s));
}

static void info_cpus(struct monitor *mon, char *args)
{
    monitor_printf(mon, "* CPU #0: %s, accelerator %s\n", monitor_machine(mon)->model.name,
                   monitor_machine(mon)->cfg->accel);
}

// Present pages, runs of equal rights joined; bounded by what the tables can hold in lines.
static void info_mem(struct monitor *mon, char *args)
{
    enum { LINES = 256 };
    struct mmu *mmu = &vcpu_cpu(monitor_machine(mon)->vcpu)->mmu;
    unsigned lines = 0, steps = 0;
    uint64_t start = 0;
    bool in_run = false;

    monitor_hold_cpu(mon);
    // Every 2 MiB of the two canonical halves' ends: where kernels and programs are.
    for (gva va = 0; steps < 1 << 20 && lines < LINES; steps++, va += 2 << 20) {
        gpa pa;
        bool present;

        if (steps == 1 << 19)
            va = 0xffffff8000000000;
        present = mmu_debug_translate(mmu, va, &pa);
        if (present != in_run && ++lines) {
            if (in_run)
                monitor_printf(mon, "%016" PRIx64 "-%016" PRIx64 "\n", start, va);
            start = va;
            in_run = present;
        }
    }
    monitor_release_cpu(mon);
}

// --- the board

static void print_region(void *mon, const char *name, uint64_t base, uint64_t size, const char *kind)
{
    monitor_printf(mon, "  %016" PRIx64 "-%016" PRIx64 " (%s): %s\n", base, base + size - 1, kind, name);
}

static void info_mtree(struct monitor *mon, char *args)
{
    monitor_printf(mon, "memory\n");
    as_for_each(monitor_machine(mon)->mem, print_region, mon);
    monitor_printf(mon, "ports\n");
    as_for_each(monitor_machine(mon)->ports, print_region, mon);
}

static void print_pci(void *mon, struct pci_device *d)
{
    const uint8_t *c = d->config;

    monitor_printf(mon,
                   "  Bus 0, device %2u, function %u: %s\n    class %02x%02x: PCI device %02x%02x:%02x%02x\n",
                   d->devfn >> 3, d->devfn & 7, d->name, c[11], c[10], c[1], c[0], c[3], c[2]);
    if (c[0x3d])
        monitor_printf(mon, "    IRQ %u, pin %c\n", c[0x3c], 'A' + c[0x3d] - 1);
    for (unsigned i = 0; i < PCI_BARS; i++)
        if (d->bar[i].size)
            monitor_printf(mon, "    BAR%u: %s at %#" PRIx64 ", %#" PRIx64 " bytes\n", i,
                           d->bar[i].io ? "I/O" : "memory", d->bar[i].addr, d->bar[i].size);
}

static void info_pci(struct monitor *mon, char *args)
{
    pci_for_each(board_pci_bus(monitor_machine(mon)->board), print_pci, mon);
}

static void print_qtree(void *mon, struct pci_device *d)
{
    monitor_printf(mon, "    dev: %s, addr = %02x.%x\n", d->name, d->devfn >> 3, d->devfn & 7);
}

static void info_qtree(struct monitor *mon, char *args)
{
    monitor_printf(mon, "bus: main-system-bus\n  bus: pci.0\n");
    pci_for_each(board_pci_bus(monitor_machine(mon)->board), print_qtree, mon);
}

static void info_pic(struct monitor *mon, char *args)
{
    board_info_irq(monitor_machine(mon)->board, monitor_print_line, mon);
}

// --- back ends

static void print_block(void *mon, const char *id, struct block *b)
{
    monitor_printf(mon, "%s: %s (raw%s), %" PRIu64 " bytes, %s, %s\n", id, block_name(b),
                   block_readonly(b) ? ", read-only" : "", block_size(b),
                   block_write_cache(b) ? "writeback" : "writethrough", block_aio_name(b));
}

static void info_block(struct monitor *mon, char *args)
{
    devices_for_each_block(monitor_machine(mon)->devices, print_block, mon);
}

static void print_net(void *mon, const char *card, struct netdev *n)
{
    monitor_printf(mon,
                   "%s: user, %s; to guest %" PRIu64 " frames %" PRIu64 " bytes, from guest %" PRIu64
                   " frames %" PRIu64 " bytes, %" PRIu64 " dropped\n",
                   n->id, card, n->rx_frames, n->rx_bytes, n->tx_frames, n->tx_bytes, n->dropped);
}

static void info_network(struct monitor *mon, char *args)
{
    devices_for_each_net(monitor_machine(mon)->devices, print_net, mon);
}

static void info_chardev(struct monitor *mon, char *args)
{
    chardevs_info(monitor_machine(mon)->chardevs, monitor_print_line, mon);
}

static void info_stats(struct monitor *mon, char *args)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    if (!f)
        return;
    stats_print(f);
    fclose(f);
    for (char *s = text, *nl; s && (nl = strchr(s, '\n')); s = nl + 1)
        monitor_printf(mon, "%.*s\n", (int)(nl - s), s);
    free(text);
}

static void info_version(struct monitor *mon, char *args) { monitor_printf(mon, "ring3 0.1.0\n"); }

static void info_name(struct monitor *mon, char *args)
{
    monitor_printf(mon, "%s\n", monitor_machine(mon)->cfg->name ? monitor_machine(mon)->cfg->name : "(none)");
}

const struct monitor_command monitor_info_commands[] = {
    { "registers", "", "CPU registers", info_registers },
    { "status", "", "running or paused", info_status },
    { "cpus", "", "CPUs", info_cpus },
    { "mem", "", "mapped ranges of guest-virtual memory, in steps of 2 MiB", info_mem },
    { "mtree", "", "memory and port regions", info_mtree },
    { "pci", "", "PCI devices", info_pci },
    { "qtree", "", "device tree", info_qtree },
    { "pic", "", "interrupt controllers", info_pic },
    { "block", "", "disks", info_block },
    { "network", "", "networks", info_network },
    { "chardev", "", "character devices", info_chardev },
    { "stats", "", "counters", info_stats },
    { "version", "", "version", info_version },
    { "name", "", "name of the machine", info_name },
    { NULL, NULL, NULL, NULL },
};

// --- memory: "x/8xg ADDR"

// A number, or $register with an optional + or - number.
static bool parse_address(struct monitor *mon, const char *s, uint64_t *out)
{
    static const char *const names[] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                         "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };
    const struct cpu *cpu = vcpu_cpu(monitor_machine(mon)->vcpu);
    char *end;
    size_t len;

    if (*s != '$') {
        *out = strtoull(s, &end, 0);
        return end != s && !*end;
    }
    len = strcspn(++s, "+-");
    *out = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (strlen(names[i]) == len && !strncmp(names[i], s, len)) {
            *out = cpu->gpr[i] + strtoull(s + len, NULL, 0);
            return true;
        }
    if ((len == 3 && !strncmp(s, "rip", 3)) || (len == 2 && !strncmp(s, "pc", 2))) {
        *out = cpu->rip + strtoull(s + len, NULL, 0);
        return true;
    }
    return false;
}

struct format { unsigned count, size; char kind; };

static void parse_format(const char *s, struct format *f)
{
    static const char sizes[] = "bhwg";

    *f = (struct format){ 1, 4, 'x' };
    if (*s == '/')
        s++;
    if (isdigit((unsigned char)*s))
        f->count = (unsigned)strtoul(s, (char **)&s, 10);
    if (f->count > 4096)
        f->count = 4096;
    for (; *s && !isspace((unsigned char)*s); s++)
        if (strchr(sizes, *s))
            f->size = 1u << (strchr(sizes, *s) - sizes);
        else
            f->kind = *s;
}

static bool read_guest(struct machine *m, uint64_t addr, bool physical, void *buf, unsigned len)
{
    gpa pa = addr;

    for (unsigned i = 0; i < len; i++) {
        if (!physical && !mmu_debug_translate(&vcpu_cpu(m->vcpu)->mmu, addr + i, &pa))
            return false;
        if (physical)
            pa = addr + i;
        if (!as_ram_ptr(m->mem, pa, false, NULL)) // never a device: reads there have effects
            return false;
        ((uint8_t *)buf)[i] = *as_ram_ptr(m->mem, pa, false, NULL);
    }
    return true;
}

static void dump_code(struct monitor *mon, uint64_t addr, bool physical, unsigned count)
{
    struct cpu *cpu = vcpu_cpu(monitor_machine(mon)->vcpu);
    enum decode_mode mode = cpu->mode & MODE_CS64 ? DECODE_64 : cpu->mode & MODE_CS32 ? DECODE_32 : DECODE_16;
    struct decoder *d;

    if (decoder_create(&d))
        return;
    for (unsigned i = 0; i < count; i++) {
        uint8_t bytes[INSN_MAX];
        struct insn insn;
        char text[96];
        unsigned len = INSN_MAX;

        while (len && !read_guest(monitor_machine(mon), addr, physical, bytes, len))
            len--;
        if (!len || decode(d, bytes, len, mode, addr, &insn)) {
            monitor_printf(mon, "0x%016" PRIx64 ":  (cannot read)\n", addr);
            break;
        }
        disassemble(d, bytes, insn.len, mode, addr, text, sizeof(text));
        monitor_printf(mon, "0x%016" PRIx64 ":  %s\n", addr, text);
        addr += insn.len;
    }
    decoder_destroy(d);
}

static void dump_words(struct monitor *mon, uint64_t addr, bool physical, const struct format *f)
{
    unsigned per_line = 16 / f->size;

    for (unsigned i = 0; i < f->count; i++, addr += f->size) {
        uint64_t v = 0;

        if (i % per_line == 0)
            monitor_printf(mon, "%s%016" PRIx64 ":", i ? "\n" : "", addr);
        if (!read_guest(monitor_machine(mon), addr, physical, &v, f->size)) {
            monitor_printf(mon, " (cannot read)");
            break;
        }
        if (f->kind == 'd' || f->kind == 'u')
            monitor_printf(mon, " %" PRIu64, v);
        else
            monitor_printf(mon, " 0x%0*" PRIx64, (int)f->size * 2, v);
    }
    monitor_printf(mon, "\n");
}

static void dump(struct monitor *mon, char *args, bool physical)
{
    struct format f;
    uint64_t addr;

    parse_format(*args == '/' ? args : "", &f);
    if (*args == '/')
        args += strcspn(args, " ") + (strchr(args, ' ') != NULL);
    monitor_hold_cpu(mon);
    if (!parse_address(mon, args, &addr))
        monitor_printf(mon, "not an address: '%s' (a number, or $rip, $rsp, ...)\n", args);
    else if (f.kind == 'i')
        dump_code(mon, addr, physical, f.count);
    else
        dump_words(mon, addr, physical, &f);
    monitor_release_cpu(mon);
}

static void cmd_x(struct monitor *mon, char *args) { dump(mon, args, false); }
static void cmd_xp(struct monitor *mon, char *args) { dump(mon, args, true); }

static void cmd_print(struct monitor *mon, char *args)
{
    uint64_t v;

    if (*args == '/')
        args += strcspn(args, " ") + (strchr(args, ' ') != NULL);
    if (parse_address(mon, args, &v))
        monitor_printf(mon, "%#" PRIx64 "\n", v);
    else
        monitor_printf(mon, "not a value: '%s'\n", args);
}

const struct monitor_command monitor_memory_commands[] = {
    { "x", "[/COUNT FORMAT SIZE] ADDR",
      "guest-virtual memory; FORMAT x, d or i (code), SIZE b, h, w or g: x/4i $rip", cmd_x },
    { "xp", "[/COUNT FORMAT SIZE] ADDR", "guest-physical memory", cmd_xp },
    { "print", "VALUE", "a number or $register", cmd_print },
    { "p", "VALUE", "the same as print", cmd_print },
    { NULL, NULL, NULL, NULL },
};
