// SPDX-License-Identifier: MIT
// Builds the machine and carries out resets; main.c waits for its end.
#include "frontends/machine.h"

#include "base/biglock.h"
#include "base/log.h"
#include "base/loop.h"
#include "cpu/cpu.h"
#include "cpu/fpu.h"
#include "cpu/interrupt.h"
#include "frontends/acpi.h"
#include "frontends/audio.h"
#include "frontends/consoles.h"
#include "frontends/firmware.h"
#include "frontends/gdbstub.h"
#include "hw/input.h"
#include "hw/block.h"
#include "hw/display.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/sysinfo.h>
#include <unistd.h>
#include <x86intrin.h>

// --- requests

static void on_reset(void *opaque) { runstate_reset(((struct machine *)opaque)->runstate, RUN_CAUSE_GUEST_RESET); }

static void on_power_off(void *opaque)
{
    runstate_shutdown(((struct machine *)opaque)->runstate, RUN_CAUSE_GUEST_SHUTDOWN, 0);
}

// It ends the process even under -no-shutdown: the guest names the exit status.
static void on_debug_exit(void *opaque, int status)
{
    struct machine *m = opaque;

    runstate_set_policy(m->runstate, m->cfg->no_reboot, false);
    runstate_shutdown(m->runstate, RUN_CAUSE_GUEST_SHUTDOWN, status);
}

void machine_hold_cpu(struct machine *m)
{
    big_unlock(); // the vCPU may be waiting for it inside a device
    vcpu_hold(m->vcpu);
    big_lock();
}

void machine_release_cpu(struct machine *m) { vcpu_release(m->vcpu); }

// --- what the run state asks for

static void rs_halt(void *opaque)
{
    if (((struct machine *)opaque)->vcpu)
        vcpu_pause_async(((struct machine *)opaque)->vcpu);
}

static void rs_pause(void *opaque) { vcpu_pause(((struct machine *)opaque)->vcpu); }
static void rs_resume(void *opaque) { vcpu_resume(((struct machine *)opaque)->vcpu); }
static void rs_reset(void *opaque) { vcpu_reset(((struct machine *)opaque)->vcpu); }
static void rs_power_button(void *opaque) { board_power_button(((struct machine *)opaque)->board); }

// The guest's TSC is the host's with an offset, which grows by as much as the guest's clock stood still.
static void rs_clocks(void *opaque, bool run)
{
    struct machine *m = opaque;

    if (run) {
        vcpu_cpu(m->vcpu)->tsc_offset -= __rdtsc() - m->stopped_tsc;
        clock_start();
    } else {
        clock_stop();
        m->stopped_tsc = __rdtsc();
    }
}

static void flush_block(void *opaque, const char *id, struct block *b)
{
    block_drain(b);
    block_flush(b);
}

// What the guest has written is on the disks and on the consoles when the user sees it stopped.
static void rs_flush(void *opaque)
{
    struct machine *m = opaque;

    board_flush(m->board);
    devices_for_each_block(m->devices, flush_block, NULL);
}

// Whoever looks at the CPU from the I/O thread goes before it does.
static void close_frontends(struct machine *m)
{
    consoles_destroy(m->consoles);
    m->consoles = NULL;
    gdbstub_destroy(m->gdbstub, m->exit_status);
    m->gdbstub = NULL;
}

static void rs_exit(void *opaque, int status)
{
    struct machine *m = opaque;
    uint64_t one = 1;

    m->exit_status = status;
    close_frontends(m);
    m->ended = true;
    while (write(m->event_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
}

static const struct runstate_ops runstate_ops = {
    .halt = rs_halt,
    .pause = rs_pause,
    .clocks = rs_clocks,
    .resume = rs_resume,
    .flush = rs_flush,
    .reset = rs_reset,
    .power_button = rs_power_button,
    .exit = rs_exit,
};

// The firmware handed over to -kernel (kernel_rom.h): the CPU is stopped behind the instruction that said so.
static void on_kernel_entered(void *opaque)
{
    struct machine *m = opaque;

    m->kernel_entered = true;
    cpu_request(vcpu_cpu(m->vcpu), CPU_REQ_RESET);
}

static bool cannot_load(struct machine *m, const struct err *e)
{
    error_report("%s", e->text);
    runstate_shutdown(m->runstate, RUN_CAUSE_HOST_ERROR, 1);
    return false;
}

static bool enter_kernel(struct machine *m, struct cpu *cpu)
{
    struct err e;
    int ret;

    m->kernel_entered = false;
    big_lock();
    ret = boot_image_load(m->boot, m->mem, &e);
    big_unlock();
    if (ret)
        return cannot_load(m, &e);
    boot_image_set_cpu(m->boot, cpu);
    return true;
}

// On the vCPU thread: see vcpu.h.
static bool reset_machine(void *opaque, struct cpu *cpu, bool first)
{
    struct machine *m = opaque;
    struct err e;
    int ret;

    if (m->kernel_entered)
        return enter_kernel(m, cpu);
    if (!first && (runstate_ending(m->runstate) || m->cfg->no_reboot)) {
        on_reset(m); // which becomes a shutdown
        return false;
    }
    big_lock();
    cpu_reset(cpu);
    board_reset(m->board);
    ret = m->firmware ? 0 : boot_image_load(m->boot, m->mem, &e);
    if (!clock_running())
        m->stopped_tsc = __rdtsc(); // the guest's TSC is 0 now
    big_unlock();
    if (ret)
        return cannot_load(m, &e);
    if (!m->firmware)
        boot_image_set_cpu(m->boot, cpu);
    if (!first)
        runstate_reset_done(m->runstate);
    return true;
}

// --- creation

enum { FIRMWARE_TABLES = 256 << 10 }; // at the end of low memory the firmware keeps ACPI tables and the like

// A kernel is entered directly, which is fast, unless there is a screen: only the firmware can set its mode.
static bool behind_firmware(const struct config *cfg)
{
    if (cfg->bios)
        return true;
    if (cfg->nographic || !device_vga_wanted(cfg))
        return false;
    if (firmware_installed(cfg))
        return true;
    warn_report("without firmware (package 'seabios') the screen stays dark until the kernel sets a mode");
    return false;
}

static int open_boot(struct machine *m, struct err *e)
{
    struct config *cfg = m->cfg;
    struct boot_image_config ic = {.kernel = cfg->kernel,
                                   .initrd = cfg->initrd,
                                   .cmdline = cfg->append,
                                   .low_ram = board_low_ram(cfg->ram_bytes),
                                   .acpi_rsdp = ACPI_RSDP_ADDR};

    if (!cfg->kernel && (cfg->initrd || cfg->append))
        return err_set(e, "-initrd and -append need -kernel");
    if (!cfg->kernel)
        return firmware_open(cfg, &m->firmware, e);
    ic.firmware = behind_firmware(cfg);
    if (ic.firmware && firmware_open(cfg, &m->firmware, e))
        return -EINVAL;
    ic.e820_count = board_e820(cfg->ram_bytes, ic.e820);
    if (ic.firmware)
        ic.low_ram -= FIRMWARE_TABLES;
    return boot_image_open(&ic, &m->boot, e);
}

static int create_memory(struct machine *m, struct err *e)
{
    struct sysinfo si;
    uint64_t host = ~0ull;
    int ret;

    // The memory is not reserved, so that nothing else would refuse it before the host runs out.
    if (!sysinfo(&si))
        host = ((uint64_t)si.totalram + si.totalswap) * si.mem_unit;
    if (m->cfg->ram_bytes > host)
        return err_set(e, "-m: %llu MiB are more than this host's memory and swap (%llu MiB)",
                       (unsigned long long)(m->cfg->ram_bytes >> 20), (unsigned long long)(host >> 20));
    ret = ram_create(&m->ram, m->cfg->ram_bytes);
    if (ret)
        return err_set(e, "-m: cannot set up %llu MiB of memory: %s", (unsigned long long)(m->cfg->ram_bytes >> 20),
                       strerror(-ret));
    m->mem = as_create("memory", 1ull << m->model.maxphyaddr);
    m->ports = as_create("ports", 1 << 16);
    return m->mem && m->ports ? 0 : err_set(e, "out of memory");
}

static int open_debugger(struct machine *m, struct err *e)
{
    char spec[300];
    struct err why;

    if (m->cfg->gdb && (gdbstub_chardev_spec(m->cfg->gdb, spec, sizeof(spec), &why) ||
                        chardevs_open(m->chardevs, spec, &m->gdb_chr, NULL, &why)))
        return err_set(e, "-gdb %.80s: %.200s", m->cfg->gdb, why.text);
    return 0;
}

static int create_vcpu(struct machine *m, struct err *e)
{
    struct vcpu_config vc = {.accel = accel_find(m->cfg->accel),
                             .accel_config = {.tb_bytes = m->cfg->tb_bytes, .disable = m->cfg->accel_disable},
                             .model = &m->model,
                             .mem = m->mem,
                             .ports = m->ports,
                             .reset = reset_machine,
                             .opaque = m};
    int ret = vcpu_create(&vc, &m->vcpu);

    return ret ? err_set(e, "cannot start the CPU's thread: %s", strerror(-ret)) : 0;
}

static int create_board(struct machine *m, struct board_config *bc, struct err *e)
{
    struct devices_config dc = {
        .cfg = m->cfg, .ports = m->ports, .chardevs = m->chardevs, .debug_exit = on_debug_exit, .opaque = m};
    int ret;

    bc->ram = &m->ram;
    bc->mem = m->mem;
    bc->ports = m->ports;
    bc->cpu = vcpu_cpu(m->vcpu);
    bc->model = &m->model;
    bc->firmware = m->firmware;
    if (m->firmware && m->boot)
        bc->kernel_entered = on_kernel_entered;
    bc->options = m->cfg;
    bc->smm = m->firmware && !m->cfg->no_smm;
    bc->reset = on_reset;
    bc->power_off = on_power_off;
    bc->opaque = m;
    big_lock();
    bc->input = m->input = input_create();
    ret = m->input ? board_create(bc, &m->board, e) : err_set(e, "out of memory");
    if (!ret) {
        dc.bus = board_pci_bus(m->board);
        dc.ide = board_ide(m->board);
        dc.fdc = board_fdc(m->board);
        dc.screen = m->screen;
        dc.boot_order = board_boot_order(m->board);
        dc.firmware = m->firmware;
        ret = devices_create(&dc, &m->devices, e);
    }
    if (!ret)
        ret = board_finish(m->board, e);
    if (!ret && m->gdb_chr && gdbstub_create(m, m->gdb_chr, &m->gdbstub))
        ret = err_set(e, "out of memory");
    if (!ret)
        ret = consoles_start(m->consoles, e);
    big_unlock();
    return ret;
}

// -machine pcspk-audiodev=ID: the only sound there is.
static int open_sound(struct machine *m, struct err *e)
{
    struct config *cfg = m->cfg;

    if (!*cfg->speaker_audiodev)
        return 0;
    for (unsigned i = 0; i < cfg->audiodev_count; i++)
        if (!strcmp(keyval_get(&cfg->audiodevs[i], "id"), cfg->speaker_audiodev))
            return audio_open(&cfg->audiodevs[i], board_speaker(m->board), &m->audio, e);
    return err_set(e, "-machine: there is no -audiodev with id=%.31s", cfg->speaker_audiodev);
}

int machine_create(struct config *cfg, struct machine **out, struct err *e)
{
    struct machine *m = calloc(1, sizeof(*m));
    struct board_config bc = {0};
    char why[160];

    if (!m)
        return err_set(e, "out of memory");
    m->cfg = cfg;
    m->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    m->runstate = runstate_create(&runstate_ops, m);
    m->screen = display_create();
    if (!m->runstate || !m->screen) {
        err_set(e, "out of memory");
        goto fail;
    }
    runstate_set_policy(m->runstate, cfg->no_reboot, cfg->no_shutdown);
    big_lock();
    rs_clocks(m, false); // until the first cont
    big_unlock();
    if (cpu_model_parse(cfg->cpu, &m->model, why)) {
        err_set(e, "-cpu: %.160s", why);
        goto fail;
    }
    if (cfg->ram_bytes > 1ull << (m->model.maxphyaddr - 1)) {
        err_set(e, "-m: the CPU model addresses at most %llu GiB", 1ull << (m->model.maxphyaddr - 31));
        goto fail;
    }
    if (devices_check(cfg, e) || open_boot(m, e) || create_memory(m, e) || consoles_open(m, &bc, &m->consoles, e) ||
        open_debugger(m, e) || create_vcpu(m, e) || create_board(m, &bc, e) || open_sound(m, e))
        goto fail;
    *out = m;
    return 0;
fail:
    machine_destroy(m);
    return -EINVAL;
}

int machine_start(struct machine *m, struct err *e)
{
    int ret = vcpu_start(m->vcpu);

    if (ret)
        return runstate_ending(m->runstate) ? err_set(e, "the machine cannot start") // it was said why
                                            : err_set(e, "accelerator '%s': %s", m->cfg->accel, strerror(-ret));
    big_lock();
    chardevs_start(m->chardevs);
    if (!m->cfg->start_paused)
        runstate_cont(m->runstate);
    big_unlock();
    return 0;
}

void machine_destroy(struct machine *m)
{
    if (!m)
        return;
    big_lock();
    close_frontends(m);
    big_unlock();
    vcpu_stop(m->vcpu);
    audio_close(m->audio);
    big_lock();
    devices_destroy(m->devices); // waits for the disks
    if (m->board)
        board_flush(m->board);
    big_unlock();
    loop_stop();
    vcpu_destroy(m->vcpu); // behind the I/O thread, whose timers raise interrupts to the last
    big_lock();
    chardevs_destroy(m->chardevs);
    big_unlock();
    boot_image_close(m->boot);
    firmware_close(m->firmware);
    if (m->ram.base)
        ram_destroy(&m->ram);
    close(m->event_fd);
    runstate_destroy(m->runstate);
    big_lock();
    display_destroy(m->screen);
    big_unlock();
    // The board's devices, and with them the address spaces, end with the process.
    if (!m->board) {
        as_destroy(m->mem);
        as_destroy(m->ports);
        big_lock();
        input_destroy(m->input);
        big_unlock();
    }
    free(m);
}
