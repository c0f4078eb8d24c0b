// SPDX-License-Identifier: MIT
// The packets of the GDB remote serial protocol: manual, appendices E.2 "Packets" and E.4 "General Query Packets".
// An empty reply says that a packet is not known. QEMU's own packets, which its users have in their scripts, are here,
// too; Qring3.Arch is ours.
#include "frontends/gdbstub_internal.h"
#include "frontends/gdbstub_memory.h"
#include "frontends/machine.h"
#include "frontends/monitor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef void packet_fn(struct gdbstub *s, const char *args, size_t len); // len bytes, and a 0 behind them

static void ok(struct gdbstub *s) { gdb_put(&s->reply, "OK", 2); }
static void fail(struct gdbstub *s, int err) { gdb_putf(&s->reply, "E%02x", (unsigned)err & 0xff); }

// --- registers

static void cmd_read_all(struct gdbstub *s, const char *args, size_t len)
{
    uint8_t value[GDB_REG_BYTES];

    for (unsigned n = 0; n < gdb_reg_count_g(s->arch); n++)
        gdb_put_hex(&s->reply, value, gdb_reg_read(s->cpu, s->arch, n, value));
}

static void cmd_write_all(struct gdbstub *s, const char *args, size_t len)
{
    uint8_t value[GDB_REG_BYTES];
    bool bad = false;

    for (unsigned n = 0; n < gdb_reg_count_g(s->arch) && *args; n++) {
        if (!gdb_take_bytes(&args, value, gdb_reg_row(s->arch, n)->bits / 8u)) {
            fail(s, EINVAL);
            return;
        }
        bad |= gdb_reg_write(s->cpu, s->arch, n, value) < 0;
    }
    bad ? fail(s, EINVAL) : ok(s);
}

static void cmd_read_one(struct gdbstub *s, const char *args, size_t len)
{
    uint8_t value[GDB_REG_BYTES];
    uint64_t n;
    unsigned size;

    if (!gdb_take_hex(&args, &n) || n > 0xffff || !(size = gdb_reg_read(s->cpu, s->arch, (unsigned)n, value)))
        fail(s, EINVAL);
    else
        gdb_put_hex(&s->reply, value, size);
}

static void cmd_write_one(struct gdbstub *s, const char *args, size_t len)
{
    uint8_t value[GDB_REG_BYTES];
    uint64_t n;
    const struct gdb_reg *r;

    if (!gdb_take_hex(&args, &n) || n > 0xffff || !(r = gdb_reg_row(s->arch, (unsigned)n)) || !gdb_take(&args, "=") ||
        !gdb_take_bytes(&args, value, r->bits / 8u) || gdb_reg_write(s->cpu, s->arch, (unsigned)n, value) < 0)
        fail(s, EINVAL);
    else
        ok(s);
}

// --- memory

static bool take_range(const char **args, uint64_t *addr, uint64_t *len)
{
    return gdb_take_hex(args, addr) && gdb_take(args, ",") && gdb_take_hex(args, len);
}

static void cmd_read_memory(struct gdbstub *s, const char *args, size_t len)
{
    uint8_t buf[GDB_PACKET_MAX / 2];
    uint64_t addr, n;
    size_t got;

    if (!take_range(&args, &addr, &n)) {
        fail(s, EINVAL);
        return;
    }
    got = gdb_memory_read(s->cpu, s->physical, addr, buf, n < sizeof(buf) ? n : sizeof(buf));
    if (got || !n)
        gdb_put_hex(&s->reply, buf, got); // fewer than asked for: up to what is not mapped
    else
        fail(s, EFAULT);
}

static void write_memory(struct gdbstub *s, uint64_t addr, const void *from, size_t n)
{
    gdb_memory_write(s->cpu, s->physical, addr, from, n) == n ? ok(s) : fail(s, EFAULT);
}

static void cmd_write_memory(struct gdbstub *s, const char *args, size_t len)
{
    uint8_t buf[GDB_PACKET_MAX / 2];
    uint64_t addr, n;

    if (!take_range(&args, &addr, &n) || n > sizeof(buf) || !gdb_take(&args, ":") || !gdb_take_bytes(&args, buf, n))
        fail(s, EINVAL);
    else
        write_memory(s, addr, buf, n);
}

static void cmd_write_binary(struct gdbstub *s, const char *args, size_t len)
{
    const char *end = args + len;
    uint64_t addr, n;

    if (!take_range(&args, &addr, &n) || !gdb_take(&args, ":") || n != (size_t)(end - args))
        fail(s, EINVAL);
    else
        write_memory(s, addr, args, n);
}

// --- breakpoints and watchpoints

static void change_point(struct gdbstub *s, const char *args,
                         int (*change)(struct cpu *cpu, enum debug_kind kind, gva addr, uint64_t len))
{
    uint64_t kind, addr, n;
    int ret;

    if (!gdb_take_hex(&args, &kind) || !gdb_take(&args, ",") || !take_range(&args, &addr, &n)) {
        fail(s, EINVAL);
        return;
    }
    if (kind >= DEBUG_KINDS)
        return; // no such kind
    ret = change(s->cpu, (enum debug_kind)kind, addr, n);
    ret ? fail(s, -ret) : ok(s);
}

static void cmd_insert(struct gdbstub *s, const char *args, size_t len) { change_point(s, args, debug_point_insert); }
static void cmd_remove(struct gdbstub *s, const char *args, size_t len) { change_point(s, args, debug_point_remove); }

// --- running

static void resume_at(struct gdbstub *s, const char *args, bool step)
{
    uint64_t addr;

    if (gdb_take_hex(&args, &addr) && gdb_set_pc(s->cpu, s->arch, addr)) {
        fail(s, EINVAL);
        return;
    }
    s->silent = true;
    gdbstub_resume(s, step);
}

static void cmd_continue(struct gdbstub *s, const char *args, size_t len) { resume_at(s, args, false); }
static void cmd_step(struct gdbstub *s, const char *args, size_t len) { resume_at(s, args, true); }

// C SIG;ADDR and S SIG;ADDR: a machine takes no signals.
static void resume_with_signal(struct gdbstub *s, const char *args, bool step)
{
    uint64_t sig;

    if (!gdb_take_hex(&args, &sig))
        fail(s, EINVAL);
    else
        resume_at(s, *args == ';' ? args + 1 : "", step);
}

static void cmd_continue_signal(struct gdbstub *s, const char *args, size_t len) { resume_with_signal(s, args, false); }
static void cmd_step_signal(struct gdbstub *s, const char *args, size_t len) { resume_with_signal(s, args, true); }

// A thread-id: -1 all, 0 any, 1 the one there is.
static bool take_thread(const char **args)
{
    uint64_t id;

    return gdb_take(args, "-1") || (gdb_take_hex(args, &id) && id <= 1);
}

// ;ACTION[:THREAD]... The first that means our thread counts.
static void cmd_vcont(struct gdbstub *s, const char *args, size_t len)
{
    while (gdb_take(&args, ";")) {
        char action = *args ? *args++ : 0;
        bool step = action == 's' || action == 'S', ours = true;
        uint64_t sig;

        if (!action || !strchr("cCsS", action) || ((action == 'C' || action == 'S') && !gdb_take_hex(&args, &sig)))
            break;
        if (gdb_take(&args, ":"))
            ours = take_thread(&args);
        if (ours) {
            resume_at(s, "", step);
            return;
        }
        args += strcspn(args, ";");
    }
    fail(s, EINVAL);
}

static void cmd_vcont_query(struct gdbstub *s, const char *args, size_t len) { gdb_putf(&s->reply, "vCont;c;C;s;S"); }

static void cmd_why(struct gdbstub *s, const char *args, size_t len)
{
    // A debugger that asks has just come: what another one left behind is not its business.
    debug_points_clear(s->cpu);
    s->points.reason = DEBUG_NONE;
    gdb_putf(&s->reply, "T05thread:01;");
}

static void cmd_detach(struct gdbstub *s, const char *args, size_t len)
{
    debug_points_clear(s->cpu);
    debug_points_prepare(s->cpu, false, false);
    ok(s);
    runstate_cont(s->runstate);
}

static void cmd_kill(struct gdbstub *s, const char *args, size_t len)
{
    s->silent = true;
    runstate_shutdown(s->runstate, RUN_CAUSE_HOST_QMP_QUIT, 0);
}

static void cmd_vkill(struct gdbstub *s, const char *args, size_t len)
{
    ok(s);
    runstate_shutdown(s->runstate, RUN_CAUSE_HOST_QMP_QUIT, 0);
}

// --- threads: one, the CPU

static void cmd_set_thread(struct gdbstub *s, const char *args, size_t len)
{
    if (*args)
        args++; // g or c: what for
    take_thread(&args) ? ok(s) : fail(s, EINVAL);
}

static void cmd_thread_alive(struct gdbstub *s, const char *args, size_t len)
{
    take_thread(&args) ? ok(s) : fail(s, EINVAL);
}

static void cmd_current_thread(struct gdbstub *s, const char *args, size_t len)
{
    if (!*args) // qCRC begins like it
        gdb_putf(&s->reply, "QC01");
}

static void cmd_first_threads(struct gdbstub *s, const char *args, size_t len) { gdb_putf(&s->reply, "m01"); }
static void cmd_more_threads(struct gdbstub *s, const char *args, size_t len) { gdb_putf(&s->reply, "l"); }

static void cmd_thread_info(struct gdbstub *s, const char *args, size_t len)
{
    const char *text = s->cpu->halted ? "CPU#0 [halted]" : "CPU#0 [running]";

    gdb_put_hex(&s->reply, text, strlen(text));
}

// --- what we are

static void cmd_supported(struct gdbstub *s, const char *args, size_t len)
{
    s->swbreak = strstr(args, "swbreak+");
    s->hwbreak = strstr(args, "hwbreak+");
    gdb_putf(&s->reply, "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;vContSupported+;swbreak+;hwbreak+",
             GDB_PACKET_MAX);
}

static void cmd_no_ack(struct gdbstub *s, const char *args, size_t len)
{
    s->no_ack = true;
    ok(s);
}

static void cmd_attached(struct gdbstub *s, const char *args, size_t len) { gdb_put(&s->reply, "1", 1); }

static void cmd_features(struct gdbstub *s, const char *args, size_t len)
{
    uint64_t offset, n;

    if (!gdb_take(&args, "target.xml:") || !take_range(&args, &offset, &n)) {
        gdb_putf(&s->reply, "E00"); // no such annex
        return;
    }
    if (!offset || !s->xml) {
        free(s->xml);
        s->xml = gdb_target_xml(s->arch, &s->xml_len);
    }
    if (!s->xml || offset > s->xml_len) {
        fail(s, EINVAL);
        return;
    }
    n = n < GDB_PACKET_MAX - 1 ? n : GDB_PACKET_MAX - 1;
    gdb_put(&s->reply, s->xml_len - offset > n ? "m" : "l", 1);
    gdb_put(&s->reply, s->xml + offset, s->xml_len - offset > n ? n : s->xml_len - offset);
}

// --- QEMU's packets

static void cmd_qemu_supported(struct gdbstub *s, const char *args, size_t len)
{
    gdb_putf(&s->reply, "sstepbits;sstep;PhyMemMode");
}

static void cmd_sstep_bits(struct gdbstub *s, const char *args, size_t len)
{
    gdb_putf(&s->reply, "ENABLE=%x,NOIRQ=%x,NOTIMER=%x", GDB_SSTEP_ENABLE, GDB_SSTEP_NOIRQ, GDB_SSTEP_NOTIMER);
}

static void cmd_sstep(struct gdbstub *s, const char *args, size_t len) { gdb_putf(&s->reply, "0x%x", s->sstep); }

static void cmd_set_sstep(struct gdbstub *s, const char *args, size_t len)
{
    uint64_t v;

    gdb_take(&args, "0x");
    if (!gdb_take_hex(&args, &v) || v & ~(uint64_t)GDB_SSTEP_ALL) {
        fail(s, EINVAL);
        return;
    }
    s->sstep = (unsigned)v;
    ok(s);
}

static void cmd_phy_mode(struct gdbstub *s, const char *args, size_t len) { gdb_putf(&s->reply, "%d", s->physical); }

static void cmd_set_phy_mode(struct gdbstub *s, const char *args, size_t len)
{
    uint64_t v;

    if (!gdb_take_hex(&args, &v)) {
        fail(s, EINVAL);
        return;
    }
    s->physical = v;
    ok(s);
}

// --- ours: which architecture target.xml describes, from the next connection on. GDB reads it once a connection.

static void cmd_arch(struct gdbstub *s, const char *args, size_t len)
{
    gdb_putf(&s->reply, "%s;next:%s", gdb_arch_name(s->arch), s->arch_fixed ? gdb_arch_name(s->next_arch) : "auto");
}

static void cmd_set_arch(struct gdbstub *s, const char *args, size_t len)
{
    if (!strcmp(args, "auto")) {
        s->arch_fixed = false;
    } else if (gdb_arch_parse(args, &s->next_arch)) {
        s->arch_fixed = true;
    } else {
        fail(s, EINVAL);
        return;
    }
    ok(s);
}

// --- the monitor: "monitor COMMAND" of the debugger

static void put_console(struct gdbstub *s, const char *text)
{
    enum { CHUNK = GDB_PACKET_MAX / 2 - 1 };

    for (size_t n; *text; text += n) {
        n = strnlen(text, CHUNK);
        gdb_put(&s->reply, "O", 1);
        gdb_put_hex(&s->reply, text, n);
        gdbstub_send(s);
    }
}

static void cmd_monitor(struct gdbstub *s, const char *args, size_t len)
{
    char line[512], *text;

    if (len / 2 >= sizeof(line) || !gdb_take_bytes(&args, (uint8_t *)line, len / 2)) {
        fail(s, EINVAL);
        return;
    }
    line[len / 2] = 0;
    text = monitor_run_captured(s->machine, line);
    if (!text) {
        fail(s, ENOMEM);
        return;
    }
    put_console(s, text);
    free(text);
    ok(s);
}

// --- the table: longer names before their beginnings

// clang-format off
static const struct {
    const char *name;
    packet_fn *fn;
} packets[] = {
    { "vCont?", cmd_vcont_query }, { "vCont", cmd_vcont }, { "vKill;", cmd_vkill },
    { "qSupported", cmd_supported }, { "QStartNoAckMode", cmd_no_ack }, { "qAttached", cmd_attached },
    { "qXfer:features:read:", cmd_features }, { "qC", cmd_current_thread },
    { "qfThreadInfo", cmd_first_threads }, { "qsThreadInfo", cmd_more_threads },
    { "qThreadExtraInfo,", cmd_thread_info }, { "qRcmd,", cmd_monitor },
    { "qqemu.Supported", cmd_qemu_supported }, { "qqemu.sstepbits", cmd_sstep_bits },
    { "qqemu.sstep", cmd_sstep }, { "Qqemu.sstep=", cmd_set_sstep }, { "qqemu.PhyMemMode", cmd_phy_mode },
    { "Qqemu.PhyMemMode:", cmd_set_phy_mode }, { "qring3.Arch", cmd_arch }, { "Qring3.Arch:", cmd_set_arch },
    { "?", cmd_why }, { "g", cmd_read_all }, { "G", cmd_write_all }, { "p", cmd_read_one }, { "P", cmd_write_one },
    { "m", cmd_read_memory }, { "M", cmd_write_memory }, { "X", cmd_write_binary }, { "Z", cmd_insert },
    { "z", cmd_remove }, { "c", cmd_continue }, { "C", cmd_continue_signal }, { "s", cmd_step },
    { "S", cmd_step_signal }, { "H", cmd_set_thread }, { "T", cmd_thread_alive }, { "D", cmd_detach },
    { "k", cmd_kill },
};
// clang-format on

void gdbstub_execute(struct gdbstub *s)
{
    const char *packet = s->in.data;

    for (unsigned i = 0; i < ARRAY_SIZE(packets); i++) {
        size_t n = strlen(packets[i].name);

        if (!strncmp(packet, packets[i].name, n)) {
            packets[i].fn(s, packet + n, s->in.len - n);
            return;
        }
    }
}
