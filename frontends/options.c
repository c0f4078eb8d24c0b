// SPDX-License-Identifier: MIT
// The parser of the command line, driven by options.def.
#include "frontends/options_internal.h"

#include "base/log.h"
#include "cpu/accel.h"
#include "cpu/cpuid.h"
#include "frontends/devices.h"
#include "frontends/version.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct option {
    const char *section; // set in a section's own row only
    const char *flag, *arg, *help;
    option_fn *fn;
};

static const struct option options[] = {
// clang-format off
#define SECTION(title) { .section = title },
#define OPTION(handler, f, a, h) { .flag = f, .arg = a, .help = h, .fn = opt_##handler },
// clang-format on
#include "frontends/options.def"
#undef SECTION
#undef OPTION
};

// Parses arg into the next element of an array of keyvals.
static int add_keyval(struct keyval *array, unsigned *count, unsigned max, const char *arg, const char *implied,
                      const char *flag, struct err *e)
{
    if (*count == max)
        return err_set(e, "-%s: more than %u of them", flag, max);
    if (keyval_parse(&array[*count], arg, implied, e))
        return -EINVAL;
    ++*count;
    return 0;
}

// --- machine

int opt_machine(struct config *c, const char *flag, const char *arg, struct err *e)
{
    struct keyval kv;
    const char *type, *accel, *speaker;
    bool off = false, vmport = !c->no_vmport, smm = !c->no_smm;
    int ret = 0;

    if (wants_help(arg)) {
        puts("Supported machines are:\npc                   Standard PC (i440FX + PIIX, 1996) (default)");
        return HANDLED_HELP;
    }
    if (keyval_parse(&kv, arg, "type", e))
        return -EINVAL;
    type = keyval_get(&kv, "type");
    accel = keyval_get(&kv, "accel");
    speaker = keyval_get(&kv, "pcspk-audiodev");
    if (type && strcmp(type, "pc") && strncmp(type, "pc-i440fx", 9))
        ret = err_set(e, "-%s: unsupported machine type '%.60s' (there is only 'pc')", flag, type);
    else if (accel && !accel_find(accel))
        ret = err_set(e, "-%s: unknown accelerator '%.60s' (-accel help lists them)", flag, accel);
    else if (keyval_get_on_off_auto(&kv, "vmport", &vmport, e) || keyval_get_on_off_auto(&kv, "smm", &smm, e) ||
             keyval_get_bool(&kv, "usb", &off, e) || (off && err_set(e, "-%s: usb=on is not supported", flag)))
        ret = -EINVAL;
    else
        ret = keyval_check_used(&kv, "-machine", e);
    if (!ret && accel)
        c->accel = accel_find(accel)->name;
    c->no_vmport = !vmport;
    if (!ret && speaker)
        snprintf(c->speaker_audiodev, sizeof(c->speaker_audiodev), "%s", speaker);
    c->no_smm = !smm;
    keyval_free(&kv);
    return ret;
}

// chain=off and so on: optimisations switched off, to compare with and without.
static int parse_optimisations(struct keyval *kv, uint32_t *disable, struct err *e)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } rows[] = {
        {"chain", ACCEL_NO_CHAIN},         {"ibl", ACCEL_NO_IBL},         {"flags", ACCEL_NO_FLAGS},
        {"runs", ACCEL_NO_RUNS},           {"remat", ACCEL_NO_REMAT},     {"high", ACCEL_NO_HIGH},
        {"legacy", ACCEL_NO_LEGACY},       {"spans", ACCEL_NO_SPANS},     {"clone", ACCEL_NO_CLONE},
        {"window", ACCEL_NO_WINDOW},       {"strings", ACCEL_NO_STRINGS}, {"unroll", ACCEL_NO_UNROLL},
        {"self-kick", ACCEL_NO_SELF_KICK}, {"recheck", ACCEL_NO_RECHECK}, {"swap", ACCEL_NO_SWAP},
    };

    *disable = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        bool on = true;

        if (keyval_get_bool(kv, rows[i].name, &on, e))
            return -EINVAL;
        *disable |= on ? 0 : rows[i].bit;
    }
    return 0;
}

int opt_accel(struct config *c, const char *flag, const char *arg, struct err *e)
{
    struct keyval kv;
    const char *name;
    uint64_t mib = 0;
    uint32_t disable = 0;
    int ret;

    if (wants_help(arg)) {
        static const char *const names[] = {"bt", "interp"};
        for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
            if (accel_find(names[i]))
                printf("%-8s %s\n", names[i], accel_find(names[i])->help);
        return HANDLED_HELP;
    }
    if (keyval_parse(&kv, arg, "accel", e))
        return -EINVAL;
    name = keyval_get(&kv, "accel");
    if (!name || !accel_find(name))
        ret = err_set(e, "-accel: unknown accelerator '%.60s' (-accel help lists them)", name ? name : "");
    else if (keyval_get_uint(&kv, "tb-size", &mib, e) || parse_optimisations(&kv, &disable, e) ||
             keyval_check_used(&kv, "-accel", e))
        ret = -EINVAL;
    else if (mib > 2048)
        ret = err_set(e, "-accel: tb-size=%llu: at most 2048 MiB", (unsigned long long)mib);
    else
        ret = 0;
    if (!ret) {
        c->accel = accel_find(name)->name;
        c->tb_bytes = mib << 20;
        c->accel_disable = disable;
    }
    keyval_free(&kv);
    return ret;
}

static void print_line(const char *line) { puts(line); }

int opt_cpu(struct config *c, const char *flag, const char *arg, struct err *e)
{
    if (wants_help(arg)) {
        cpu_model_help(print_line);
        return HANDLED_HELP;
    }
    c->cpu = arg;
    return 0;
}

int opt_smp(struct config *c, const char *flag, const char *arg, struct err *e)
{
    static const char *const keys[] = {"cpus", "sockets", "cores", "threads", "maxcpus", "dies", "clusters"};
    struct keyval kv;
    uint64_t n;
    int ret;

    if (keyval_parse(&kv, arg, "cpus", e))
        return -EINVAL;
    ret = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(keys) && !ret; i++) {
        n = 1;
        ret = keyval_get_uint(&kv, keys[i], &n, e);
        if (!ret && n != 1)
            ret = err_set(e, "-smp: %s=%llu: only 1 CPU is supported for now", keys[i], (unsigned long long)n);
    }
    if (!ret)
        ret = keyval_check_used(&kv, "-smp", e);
    keyval_free(&kv);
    return ret;
}

int opt_m(struct config *c, const char *flag, const char *arg, struct err *e)
{
    struct keyval kv;
    const char *size;
    int ret = 0;

    if (keyval_parse(&kv, arg, "size", e))
        return -EINVAL;
    size = keyval_get(&kv, "size");
    if (keyval_check_used(&kv, "-m", e))
        ret = -EINVAL;
    else if (!size || parse_size(size, 1 << 20, &c->ram_bytes))
        ret = err_set(e, "-m: '%.60s' is not a size (try 512M or 2G)", size ? size : "");
    else if (c->ram_bytes < 2 << 20)
        ret = err_set(e, "-m: a PC needs at least 2 MiB of memory");
    else if (c->ram_bytes > 1ull << 39)
        ret = err_set(e, "-m: at most 512 GiB");
    c->ram_bytes &= ~0xfffffull; // whole MiB
    keyval_free(&kv);
    return ret;
}

int opt_name(struct config *c, const char *flag, const char *arg, struct err *e)
{
    c->name = !strncmp(arg, "guest=", 6) ? arg + 6 : arg;
    return 0;
}

int opt_uuid(struct config *c, const char *flag, const char *arg, struct err *e)
{
    const char *s = arg;

    for (unsigned i = 0; i < 16; i++, s += 2) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            s += *s == '-';
        if (!isxdigit((unsigned char)s[0]) || !isxdigit((unsigned char)s[1]) || sscanf(s, "%2hhx", &c->uuid[i]) != 1)
            return err_set(e, "-uuid: '%.60s' is no UUID", arg);
    }
    return *s ? err_set(e, "-uuid: '%.60s' is no UUID", arg) : 0;
}

static int parse_rtc_base(struct config *c, const char *base, struct err *e)
{
    struct tm tm = {0};
    const char *end;

    if (!strcmp(base, "utc")) {
        c->rtc_base = CONFIG_RTC_UTC;
    } else if (!strcmp(base, "localtime")) {
        c->rtc_base = CONFIG_RTC_LOCALTIME;
    } else {
        end = strptime(base, strchr(base, 'T') ? "%Y-%m-%dT%H:%M:%S" : "%Y-%m-%d", &tm);
        if (!end || *end)
            return err_set(e, "-rtc: base=%.60s: expected utc, localtime or a date such as 2026-11-22T16:00:00", base);
        c->rtc_base = CONFIG_RTC_DATE;
        c->rtc_date = timegm(&tm);
    }
    return 0;
}

int opt_rtc(struct config *c, const char *flag, const char *arg, struct err *e)
{
    struct keyval kv;
    const char *base, *clock, *drift;
    int ret = 0;

    if (keyval_parse(&kv, arg, "base", e))
        return -EINVAL;
    base = keyval_get(&kv, "base");
    clock = keyval_get(&kv, "clock");
    drift = keyval_get(&kv, "driftfix");
    if (base)
        ret = parse_rtc_base(c, base, e);
    if (!ret && clock && strcmp(clock, "host") && strcmp(clock, "vm"))
        ret = err_set(e, "-rtc: clock=%.60s: expected host or vm", clock);
    if (!ret && drift && strcmp(drift, "none"))
        ret = err_set(e, "-rtc: driftfix=%.60s is not supported", drift);
    if (!ret)
        ret = keyval_check_used(&kv, "-rtc", e);
    if (!ret)
        c->rtc_vm_clock = clock && !strcmp(clock, "vm");
    keyval_free(&kv);
    return ret;
}

int opt_nodefaults(struct config *c, const char *flag, const char *arg, struct err *e)
{
    c->nodefaults = true;
    return 0;
}

int opt_no_hpet(struct config *c, const char *flag, const char *arg, struct err *e)
{
    c->no_hpet = true;
    return 0;
}

int opt_ignored(struct config *c, const char *flag, const char *arg, struct err *e) { return 0; }

// --- boot

int opt_kernel(struct config *c, const char *flag, const char *arg, struct err *e)
{
    c->kernel = arg;
    return 0;
}
int opt_initrd(struct config *c, const char *flag, const char *arg, struct err *e)
{
    c->initrd = arg;
    return 0;
}
int opt_append(struct config *c, const char *flag, const char *arg, struct err *e)
{
    c->append = arg;
    return 0;
}

// --- disks and network

int opt_snapshot(struct config *c, const char *flag, const char *arg, struct err *e)
{
    c->snapshot = true;
    return 0;
}

int opt_netdev(struct config *c, const char *flag, const char *arg, struct err *e)
{
    return add_keyval(c->netdevs, &c->netdev_count, CONFIG_NETDEVS, arg, "type", flag, e);
}

// -nic is a -netdev that carries its card: devices.c tells the two apart by this pair.
int opt_nic(struct config *c, const char *flag, const char *arg, struct err *e)
{
    if (!strcmp(arg, "none"))
        return 0;
    if (add_keyval(c->netdevs, &c->netdev_count, CONFIG_NETDEVS, arg, "type", flag, e))
        return -EINVAL;
    return keyval_add(&c->netdevs[c->netdev_count - 1], "is-nic", "on") ? err_set(e, "-nic: too many properties") : 0;
}

int opt_net(struct config *c, const char *flag, const char *arg, struct err *e)
{
    return strcmp(arg, "none") ? err_set(e, "-net %.60s is not supported; use -nic %.60s", arg, arg) : 0;
}

int opt_device(struct config *c, const char *flag, const char *arg, struct err *e)
{
    if (wants_help(arg)) {
        devices_print_help();
        return HANDLED_HELP;
    }
    if (add_keyval(c->devices, &c->device_count, CONFIG_DEVICES, arg, "driver", flag, e))
        return -EINVAL;
    if (keyval_get(&c->devices[c->device_count - 1], "help"))
        return devices_print_properties(keyval_get(&c->devices[c->device_count - 1], "driver"), e) ? -EINVAL
                                                                                                   : HANDLED_HELP;
    return 0;
}

int opt_object(struct config *c, const char *flag, const char *arg, struct err *e)
{
    return add_keyval(c->objects, &c->object_count, CONFIG_OBJECTS, arg, "qom-type", flag, e);
}

// --- consoles

int opt_serial(struct config *c, const char *flag, const char *arg, struct err *e)
{
    if (c->serial_count == CONFIG_SERIALS)
        return err_set(e, "-serial: a PC has at most %d serial ports", CONFIG_SERIALS);
    c->serials[c->serial_count++] = arg;
    return 0;
}

int opt_debugcon(struct config *c, const char *flag, const char *arg, struct err *e)
{
    c->debugcon = arg;
    return 0;
}

int opt_chardev(struct config *c, const char *flag, const char *arg, struct err *e)
{
    return add_keyval(c->chardevs, &c->chardev_count, CONFIG_CHARDEVS, arg, "backend", flag, e);
}

// --- running

int opt_start_paused(struct config *c, const char *flag, const char *arg, struct err *e)
{
    c->start_paused = true;
    return 0;
}

int opt_no_reboot(struct config *c, const char *flag, const char *arg, struct err *e)
{
    c->no_reboot = true;
    return 0;
}

int opt_no_shutdown(struct config *c, const char *flag, const char *arg, struct err *e)
{
    c->no_shutdown = true;
    return 0;
}

int opt_pidfile(struct config *c, const char *flag, const char *arg, struct err *e)
{
    c->pidfile = arg;
    return 0;
}

int opt_sandbox(struct config *c, const char *flag, const char *arg, struct err *e)
{
    bool on;

    if (parse_bool(arg, &on))
        return err_set(e, "-sandbox %.60s: expected on or off", arg);
    c->no_sandbox = !on;
    return 0;
}

// --- help

int opt_d(struct config *c, const char *flag, const char *arg, struct err *e)
{
    static const char *const rows[][2] = {
// clang-format off
#define X(name, help) { #name, help },
        // clang-format on
        LOG_CATEGORIES(X)
#undef X
    };

    if (wants_help(arg)) {
        puts("Log items (comma separated):");
        for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
            printf("%-14s %s\n", rows[i][0], rows[i][1]);
        return HANDLED_HELP;
    }
    c->log_items = arg;
    return 0;
}

int opt_D(struct config *c, const char *flag, const char *arg, struct err *e)
{
    c->log_file = arg;
    return 0;
}

int opt_version(struct config *c, const char *flag, const char *arg, struct err *e)
{
    puts("ring3 version " RING3_VERSION);
    return HANDLED_HELP;
}

// Prints text wrapped at 100 columns with the given indentation.
static void print_wrapped(const char *text, unsigned indent)
{
    unsigned column = indent;

    printf("%*s", (int)indent, "");
    while (*text) {
        unsigned len = (unsigned)strcspn(text, " ");
        if (column + len > 100 && column > indent) {
            printf("\n%*s", (int)indent, "");
            column = indent;
        }
        printf("%.*s", (int)len, text);
        column += len;
        text += len;
        if (*text) {
            putchar(' ');
            column++;
            text++;
        }
    }
    putchar('\n');
}

int opt_help(struct config *c, const char *flag, const char *arg, struct err *e)
{
    puts("usage: ring3 [options]\n\n"
         "Runs a whole x86 PC in one unprivileged process. For example, a Linux kernel on this terminal:\n\n"
         "    ring3 -nographic -m 1G -kernel vmlinuz -initrd initrd.img -append 'console=ttyS0'\n\n"
         "a disk and a network card for it:\n\n"
         "    -drive file=disk.img,format=raw,if=virtio -nic user,hostfwd=tcp::2222-:22\n\n"
         "On the terminal, Ctrl-A x ends the machine, Ctrl-A c switches to the monitor, Ctrl-A h helps.");
    for (unsigned i = 0; i < ARRAY_SIZE(options); i++) {
        const struct option *o = &options[i];

        if (o->section) {
            printf("\n%s:\n", o->section);
            continue;
        }
        printf("  -%s%s%s\n", o->flag, o->arg ? " " : "", o->arg ? o->arg : "");
        print_wrapped(o->help, 8);
    }
    puts("\nThe exit status is 0 after a normal end, 1 after an error, or what isa-debug-exit was told.");
    return HANDLED_HELP;
}

// Text for roff: '-' and '\' escaped, a leading '.' or '\'' made harmless.
static void print_roff(const char *s)
{
    if (*s == '.' || *s == '\'')
        fputs("\\&", stdout);
    for (; *s; s++) {
        if (*s == '-' || *s == '\\')
            putchar('\\');
        if (*s == '\\')
            putchar('e');
        else
            putchar(*s);
    }
}

int opt_man(struct config *c, const char *flag, const char *arg, struct err *e)
{
    puts(".\\\" SPDX-License-Identifier: MIT\n.\\\" Written by 'ring3 -man' from frontends/options.def.\n"
         ".TH RING3 1 \"\" \"ring3 " RING3_VERSION "\"\n.SH NAME\nring3 \\- run an x86 PC in one unprivileged process\n"
         ".SH SYNOPSIS\n.B ring3\n[\\fIoptions\\fR]\n.SH DESCRIPTION\n"
         "ring3 runs a whole PC by binary translation. It needs no hardware virtualization, no kernel module "
         "and "
         "no privileges. Its flags follow QEMU's. A value may hold a comma if it is written twice.\n.SH "
         "OPTIONS");
    for (unsigned i = 0; i < ARRAY_SIZE(options); i++) {
        const struct option *o = &options[i];

        if (o->section) {
            printf(".SS %s\n", o->section);
            continue;
        }
        fputs(".TP\n.B \\-", stdout);
        print_roff(o->flag);
        if (o->arg) {
            fputs(" \\fI", stdout);
            print_roff(o->arg);
            fputs("\\fR", stdout);
        }
        putchar('\n');
        print_roff(o->help);
        putchar('\n');
    }
    puts(".SH KEYS\nWith \\-nographic or a mux=on character device, Ctrl\\-A is followed by: h help, x end "
         "the machine, "
         "c next of serial port and monitor, b send a break, Ctrl\\-A send Ctrl\\-A. In a window, a click gives the "
         "guest the mouse; Ctrl\\-Alt and G takes it back or gives it and the keyboard, F fills the screen, + and \\- "
         "scale, 0 is the size the guest drew.\n"
         ".SH EXIT STATUS\n0 after a normal end (the guest powered off, quit, SIGINT, SIGTERM or SIGHUP); 1 "
         "after an error; "
         "(v<<1)|1 when the guest wrote v to isa\\-debug\\-exit.");
    return HANDLED_HELP;
}

// --- the parser

static const struct option *option_find(const char *flag)
{
    for (unsigned i = 0; i < ARRAY_SIZE(options); i++)
        if (options[i].flag && !strcmp(options[i].flag, flag))
            return &options[i];
    return NULL;
}

enum options_result options_parse(struct config *c, int argc, char **argv, struct err *e)
{
    memset(c, 0, sizeof(*c));
    c->accel = "bt";
    c->cpu = "max";
    c->ram_bytes = 128 << 20;
    c->boot.reboot_timeout = -1;
    for (int i = 1; i < argc; i++) {
        const char *flag = argv[i], *arg = NULL;
        const struct option *o;
        int ret;

        if (*flag != '-') { // an image without an option is the first disk
            if (!*flag)
                err_set(e, "an argument is empty");
            if (!*flag || opt_hd(c, "hda", flag, e))
                return OPTIONS_ERROR;
            continue;
        }
        flag += flag[1] == '-' ? 2 : 1;
        o = option_find(flag);
        if (!o) {
            err_set(e, "%.80s: unknown option (ring3 -help lists them)", argv[i]);
            return OPTIONS_ERROR;
        }
        if (o->arg) {
            if (++i == argc) {
                err_set(e, "-%s needs an argument: %s", flag, o->arg);
                return OPTIONS_ERROR;
            }
            arg = argv[i];
        }
        ret = o->fn(c, flag, arg, e);
        if (ret)
            return ret == HANDLED_HELP ? OPTIONS_DONE : OPTIONS_ERROR;
    }
    return OPTIONS_RUN;
}

void config_free(struct config *c)
{
    struct {
        struct keyval *kv;
        unsigned count;
    } lists[] = {
        {c->drives, c->drive_count},           {c->devices, c->device_count},   {c->netdevs, c->netdev_count},
        {c->audiodevs, c->audiodev_count},     {c->chardevs, c->chardev_count}, {c->objects, c->object_count},
        {c->option_roms, c->option_rom_count},
    };

    for (unsigned i = 0; i < c->monitor_count; i++)
        if (c->monitors[i].is_id) // see opt_mon()
            free((char *)c->monitors[i].spec);
    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++)
        for (unsigned j = 0; j < lists[i].count; j++)
            keyval_free(&lists[i].kv[j]);
}
